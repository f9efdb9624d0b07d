"""Every kind of error, provoked: the reply on each version, and SHOW error."""
import os
import signal
import socket

import pytest

from checks import update
from client import Client, Closed, bad, pairs
from daemon import run
from proxy import Proxy
from timing import eventually

FORMS = {"RESP2": ["2"], "RESP3": ["3"], "blob": ["3", "ERRORS", "blob"]}

# What the program's own table says: kind -> (SQLSTATE, retry).
TABLE = {kind: (sqlstate, retry) for kind, sqlstate, retry, _ in
         (line.split("\t") for line in
          run("--dump", "errors").stdout.splitlines())}

PROVOKERS = {}


def provokes(kind, *words, fields=(), sqlstate=None):
    """The function, given a stage, returns a client and the error that it
    got, or also more words that the message must have.  words: in the message
    anyway; fields: exactly those that are known beside."""
    def note(function):
        PROVOKERS[kind] = (function, words, set(fields),
                           sqlstate or TABLE[kind][0])
        return function
    return note


class Stage:
    """A daemon and the client that is to fail in one of the three forms."""

    def __init__(self, pg, db, lockkeeperd, form):
        self.pg = pg
        self.db = db
        self._lockkeeperd = lockkeeperd
        self._hello = FORMS[form]
        self.daemon = None
        self.finish = lambda: None	# once all was looked at

    def client(self, *hello, conninfo=None, **settings):
        self.daemon = self._lockkeeperd(conninfo, **settings)
        return self.daemon.connect(*self._hello, *hello)

    def holder(self):
        """Another client, whose transaction has row 1; and its handle."""
        other = self.daemon.connect("3", "NAME", "billing")
        handle = other.call("%invoice", "BEGIN")
        other.call(f"#{handle}", "SQL", update(1))
        return other, handle

    def foreign_client(self):
        """A client of another user's process."""
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(self.daemon.socket)
                socket.send_fds(theirs, [b"x"], [sock.fileno()])
            finally:
                os._exit(0)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        ours.close()
        os.waitpid(child, 0)
        return Client(None, *self._hello, sock=socket.socket(fileno=fds[0]))


@provokes("PG", "r_pkey", fields=["detail", "table", "constraint"],
          sqlstate="23505")
def a_duplicate_key(stage):
    c = stage.client()
    return c, c.try_call("SQL", "INSERT INTO r VALUES (1)")


@provokes("DEADLOCK", "row (0,1) of r", fields=["tx", "members"])
def a_blocked_thread(stage):
    words = ("MODE", "blocking", "THREAD", "t")
    c = stage.client(*words)
    other = stage.daemon.connect("3", *words)
    held = other.call("BEGIN")
    other.sql(update(1))
    c.call("BEGIN")
    return c, c.try_call("SQL", update(1)), f"#{held}"


@provokes("SERIALIZE", "concurrent update", fields=["tx"])
def an_update_behind_the_snapshot(stage):
    c = stage.client()
    tx = f"#{c.call('BEGIN', 'REPEATABLE', 'READ')}"
    c.call(tx, "SQL", "SELECT 1")
    stage.db.sql(update(1))
    return c, c.try_call(tx, "SQL", update(1))


@provokes("LOCKTIMEOUT", "row (0,1) of r", "task invoice", "client billing")
def a_held_row(stage):
    c = stage.client()
    _, held = stage.holder()
    return c, c.try_call("?50", "SQL", update(1)), f"#{held}"


@provokes("TIMEOUT", "100 ms", "phase run")
def a_slow_statement(stage):
    c = stage.client()
    return c, c.try_call("~100", "SQL", "SELECT pg_sleep(30)")


@provokes("CANCELED", "CANCEL")
def a_cancel(stage):
    c = stage.client()
    c.send("@x", "SQL", "SELECT pg_sleep(30)")
    c.call("CANCEL", "x")
    return c, c.tag("x")


@provokes("POOLTIMEOUT", "no slot of main", "task invoice", "100 ms")
def a_taken_slot(stage):
    c = stage.client(workers={"min": 1, "max": 1}, timeouts={"queue": "100ms"})
    _, held = stage.holder()
    return c, c.try_call("SQL", update(2)), f"#{held}"


@provokes("TXABORTED", fields=["tx"])
def a_commit_of_a_failed_transaction(stage):
    c = stage.client()
    tx = f"#{c.call('BEGIN')}"
    c.fails("PG", tx, "SQL", "SELECT 1/0")
    return c, c.try_call(tx, "COMMIT"), tx


@provokes("TXEXPIRED", "KILL of client operator", fields=["tx"])
def a_killed_transaction(stage):
    c = stage.client()
    handle = c.call("BEGIN")
    stage.daemon.connect("3", "NAME", "operator").call("KILL", handle)
    return c, c.try_call(f"#{handle}", "SQL", update(1)), f"#{handle}"


@provokes("NOTX", "#1 ")
def a_handle_of_nothing(stage):
    c = stage.client()
    return c, c.try_call("#1", "SQL", update(1))


@provokes("UNKNOWN", "the statement", fields=["detail"])
def a_line_cut_while_a_statement_runs(stage):
    with Proxy(stage.pg, stage.db.name) as proxy:
        c = stage.client(conninfo=proxy.conninfo)
        c.send("SQL", "UPDATE r SET v = 1 FROM pg_sleep(30) WHERE id = 1")
        eventually(lambda: stage.db.backends("wait_event = 'PgSleep'"),
                   "it runs")
        proxy.cut()
        return c, c.recv()


@provokes("CONNLOST", 'database "nowhere" does not exist', fields=["detail"])
def a_database_that_is_not_there(stage):
    c = stage.client(conninfo=stage.pg.conninfo("nowhere"),
                     timeouts={"connect": "200ms"})
    return c, c.try_call("SQL", "SELECT 1")


@provokes("CLOSING", "shutting down")
def a_begin_while_the_daemon_ends(stage):
    c = stage.client(timeouts={"drain": "30s"})
    holder, held = stage.holder()
    stage.daemon.send_signal(signal.SIGTERM)
    holder.push("closing")

    def finish():
        assert holder.call(f"#{held}", "COMMIT") == "COMMIT"
        assert stage.daemon.exit_status() == 0
        assert stage.db.v(1) == 1

    stage.finish = finish
    return c, c.try_call("BEGIN")


@provokes("NOPROTO", "2 and 3")
def hello_4(stage):
    c = stage.client()
    return c, c.try_call("HELLO", "4")


@provokes("DENIED", "KILL")
def another_users_kill(stage):
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    stage.client(listen={"mode": "0666"})
    c = stage.foreign_client()
    return c, c.try_call("KILL", "1")


@provokes("SYNTAX", "FROBNICATE", "COMMAND LIST")
def an_unknown_verb(stage):
    c = stage.client()
    return c, c.try_call("FROBNICATE")


@provokes("OVERLOAD", "limits.in_flight (1)")
def one_request_too_many(stage):
    c = stage.client(limits={"in_flight": 1})
    c.send("@x", "SQL", "SELECT pg_sleep(0.2)")
    error = c.try_call("SQL", "SELECT 1")
    c.tag("x")		# or SHOW would be one too many, too
    return c, error


@provokes("NOMODEL", "no model \"rr\"")
def no_model(stage):
    c = stage.client()
    return c, c.try_call("GET", "rr", "1")


@provokes("NOCOLUMN", "\"vv\"", "v")
def no_column(stage):
    c = stage.client()
    return c, c.try_call("FIND", "r", "WHERE", "vv", "=", "1")


@provokes("UNMET", "ONE r: there is no such row")
def unmet(stage):
    c = stage.client()
    return c, c.try_call("ONE", "r", "WHERE", "v", "=", "-77")


@provokes("EXECABORT", "nothing was done", "no model \"rr\"")
def no_unit(stage):
    c = stage.client()
    c.call("MULTI")
    bad("NOMODEL", c.try_call("GET", "rr", "1"))
    return c, c.try_call("EXEC")


@provokes("PROTO", "elements")
def no_resp(stage):
    c = stage.client()
    c.send_raw(b"*x\r\n")
    return c, c.recv()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", PROVOKERS)
def test_its_reply_and_show_error_say_the_same(pg, db, lockkeeperd, kind,
                                               form):
    provoke, words, fields, sqlstate = PROVOKERS[kind]
    stage = Stage(pg, db, lockkeeperd, form)
    c, error, *more = provoke(stage)
    bad(kind, error)
    assert error.sqlstate == sqlstate
    for word in (*words, *more):
        assert word in error.message, error.line
    retry = TABLE[kind][1]
    if form == "blob":
        assert error.fields.pop("retry") == retry
        assert set(error.fields) == fields
    else:
        assert error.fields == {}
    if kind == "PROTO":
        with pytest.raises(Closed):
            c.recv()
        return
    shown = pairs(c.call("SHOW", "error"))
    about = {name: shown.pop(name) for name in fields}
    assert shown == {"kind": kind, "sqlstate": sqlstate,
                     "message": error.message, "retry": retry}
    assert all(about.values())
    if form == "blob":
        assert error.fields == about
    stage.finish()


def test_no_kind_was_left_out():
    assert set(PROVOKERS) == set(TABLE)
