"""The log: what a line looks like, whom it is about, what was slow, where it
goes, and that no value of a client's is in it."""
import json
import os
import re
import signal
import time

import pytest

import daemon as lk
from checks import assert_nothing_left, update
from client import LkError, bad, good
from timing import FACTOR, eventually

LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) "
    r"(?P<level>error|warning|info|debug):"
    r"(?:(?: client (?P<client>\d+))?(?: tx (?P<tx>\d+))?"
    r"(?: pid (?P<pid>\d+))?:)? (?P<text>.*)")

SLOW = re.compile(
    r"slow: (?P<total_ms>\d+) ms \(queue (?P<queue_ms>\d+), "
    r"lock (?P<lock_ms>\d+), run (?P<run_ms>\d+)\) in (?P<database>[^,:]+)"
    r"(?:, task (?P<task>[^:]+))?: (?P<doing>.*)")

TIMES = ("queue_ms", "lock_ms", "run_ms")


def numbers(record):
    return {key: int(value) if value is not None and value.isdigit() else value
            for key, value in record.items()}


def parse_text(line):
    match = LINE.fullmatch(line)
    assert match, f"no line of the log: {line!r}"
    record = numbers(match.groupdict())
    slow = SLOW.fullmatch(record["text"])
    return record | (numbers(slow.groupdict()) if slow else {})


def parse_json(line):
    record = json.loads(line)
    assert list(record)[:6] == ["time", "level", "client", "tx", "pid", "text"]
    return record


PARSERS = {"text": parse_text, "json": parse_json}
FORMATS = pytest.mark.parametrize("form", PARSERS)


def records(daemon):
    """What is in the log, a dict for each line."""
    parse = PARSERS[daemon.settings["log"].get("format", "text")]
    return [parse(line) for line in daemon.log.splitlines(keepends=True)
            if line.endswith("\n") for line in [line[:-1]]]


def find(daemon, begin, **wanted):
    """The first record whose text begins so, when it is there."""
    def look():
        return next((r for r in records(daemon)
                     if r["text"].startswith(begin)
                     and all(r[k] == v for k, v in wanted.items())), None)

    return eventually(look, f"the log has {begin} {wanted}")


def client_id(client):
    return client.call("CLIENT", "ID")


def slow_of(daemon, words):
    """The record of the slow statement that has these words in it."""
    def look():
        return next((r for r in records(daemon) if "total_ms" in r
                     and r["text"].startswith("slow")
                     and words in r["doing"]), None)

    found = eventually(look, f"{words} is in the log as slow")
    assert sum(found[key] for key in TIMES) == found["total_ms"]
    return found


@pytest.fixture
def prepared(db):
    """prepared(log={…}, …): a daemon that is yet to be started."""
    daemons = []

    def prepare(**settings):
        daemons.append(lk.Daemon(db.conninfo, **settings))
        return daemons[-1]

    try:
        yield prepare
        for daemon in daemons:
            daemon.stop()
    finally:
        for daemon in daemons:
            daemon.remove()


# -- whom a record is about

@FORMATS
def test_a_connection_and_a_failed_statement_are_named(lockkeeperd, form):
    daemon = lockkeeperd(log={"level": "debug", "format": form})
    c = daemon.connect()
    me = client_id(c)
    handle = c.call("BEGIN")
    pid = c.call(f"#{handle}", "SQL", "SELECT pg_backend_pid() AS p")[0]["p"]
    c.fails("PG", f"#{handle}", "SQL", "SELECT 1 / $1::int", "0")
    c.call(f"#{handle}", "ROLLBACK")
    with daemon.connect() as rude:
        rude.send_raw(b"*1\r\n$-9\r\n")
        rude.recv()
    assert find(daemon, "connected: ", client=me)["level"] == "debug"
    assert find(daemon, "main: session opened", pid=pid)["client"] is None
    find(daemon, "received: SQL SELECT ? / $1::int", client=me, tx=handle)
    find(daemon, "failed: SQL SELECT ? / $1::int: PG 22012 ", client=me,
         tx=handle, pid=pid)
    find(daemon, "ended: 3 statements", client=me, tx=handle, pid=pid)
    assert find(daemon, "failed: no verb: PROTO ")["client"] > me
    ready = find(daemon, "ready: ")
    assert (ready["client"], ready["tx"], ready["pid"]) == (None,) * 3


def cross_rows(c, n_crossing):
    """Two transactions that hold a row each, of which so many want the
    other's; returns their handles."""
    handles = [c.call(f"%t{i}", "BEGIN") for i in (1, 2)]
    for i, handle in enumerate(handles, 1):
        c.call(f"%t{i}", f"#{handle}", "SQL", update(i))
    for i in range(1, n_crossing + 1):
        c.send(f"@w{i}", f"%t{i}", f"#{handles[i - 1]}", "SQL",
               f"UPDATE r SET v = v + 987654321 WHERE id = {3 - i}")
    return handles


def take_verdict(c):
    """The number of the one that was failed, and its error."""
    replies = {i: c.tag(f"w{i}") for i in (1, 2)}
    failed = [i for i, reply in replies.items()
              if isinstance(reply, LkError)]
    assert len(failed) == 1, replies
    return failed[0], bad("DEADLOCK", replies[failed[0]])


@FORMATS
def test_a_verdict_names_its_victim(db, lockkeeperd, form):
    daemon = lockkeeperd(log={"format": form})
    c = daemon.connect()
    handles = cross_rows(c, 2)
    victim, error = take_verdict(c)
    record = find(daemon, "deadlock: ", level="warning")
    assert error.message in record["text"]
    assert record["client"] == client_id(c)
    assert record["tx"] == handles[victim - 1]
    assert record["pid"] > 0
    if form == "json":
        assert (record["deadlock"], record["action"]) == (1, "failing")
        assert (record["database"], record["task"]) == ("main", f"t{victim}")
        assert record["doing"] == "SQL UPDATE r SET v = v + ? WHERE id = ?"
        assert sum(record[key] for key in TIMES) == record["total_ms"]
    end = find(daemon, "deadlock 1 failed after ", pid=record["pid"])
    if form == "json":
        assert 0 < record["verdict_us"] <= end["end_us"]
    shown, = c.show("deadlocks")
    assert (f"[failing, {shown['verdict_us']} us after the last wait began]"
            in record["text"])
    assert f"after {shown['end_us']} us" in end["text"]
    for i, handle in enumerate(handles, 1):
        c.call(f"%t{i}", f"#{handle}", "ROLLBACK")
    assert_nothing_left(db, c)


def test_a_wait_that_is_no_deadlock_is_no_verdict(db, lockkeeperd):
    daemon = lockkeeperd(log={"format": "json"})
    c = daemon.connect()
    handles = cross_rows(c, 1)
    eventually(lambda: c.show("waits"), "it waits")
    c.call("%t2", f"#{handles[1]}", "COMMIT")
    good(c.tag("w1"))
    c.call("%t1", f"#{handles[0]}", "COMMIT")
    assert_nothing_left(db, c)
    daemon.stop()
    assert not [r for r in records(daemon) if "deadlock" in r["text"]]


# -- slow statements

@FORMATS
def test_slow_tells_queue_lock_and_run_apart(db, lockkeeperd, form):
    daemon = lockkeeperd(workers={"min": 1, "max": 1},
                         log={"format": form, "slow": "150ms"})
    c = daemon.connect()
    c.send("@run", "SQL", "SELECT pg_sleep(0.3)")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    c.send("@queue", "%basket", "SQL", "SELECT v FROM r WHERE id = 5")
    good(c.tag("run"))
    good(c.tag("queue"))
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    c.send("@lock", "SQL", update(1, 100))
    db.wait_for_waiters(1)
    foreign.query("SELECT pg_sleep(0.3); COMMIT")
    good(c.tag("lock"))

    run = slow_of(daemon, "pg_sleep(?)")
    queue = slow_of(daemon, "SELECT v")
    lock = slow_of(daemon, "UPDATE r")
    assert 290 <= run["run_ms"] < 300 + 100 * FACTOR
    assert run["queue_ms"] + run["lock_ms"] < 100 * FACTOR
    # It came when the other had begun already.
    assert 150 <= queue["queue_ms"] < 300 + 100 * FACTOR
    assert queue["lock_ms"] == 0
    assert queue["run_ms"] < 100 * FACTOR
    assert 290 <= lock["lock_ms"] < 300 + 100 * FACTOR
    assert lock["queue_ms"] + lock["run_ms"] < 100 * FACTOR
    assert (queue["task"], lock["task"]) == ("basket", None)
    assert lock["doing"] == "SQL UPDATE r SET v = v + ? WHERE id = ?"
    for record in (run, queue, lock):
        assert record["level"] == "info"
        assert record["database"] == "main"
        assert record["client"] == client_id(c)
        assert record["pid"] > 0


def test_slow_zero_logs_none_and_others_those_above(lockkeeperd):
    silent = lockkeeperd(log={"slow": "0"})
    picky = lockkeeperd(log={"slow": "300ms"})
    for daemon in (silent, picky):
        c = daemon.connect()
        c.sql("SELECT pg_sleep(0.4), 'long'")
        c.sql("SELECT 'short'")
        daemon.stop()
    assert "slow:" not in silent.log
    slow = [r for r in records(picky) if "total_ms" in r]
    assert [r["doing"] for r in slow] == ["SQL SELECT pg_sleep(?), ?"]


# -- values

RAISE = """DO $body$ BEGIN
    RAISE EXCEPTION 'Secret6 in a message' USING ERRCODE = '{}';
END $body$"""


def provoke_everything(db, daemon):
    """Errors, slow statements, deadlocks and timeouts of all kinds, each with
    a Secret in it as a parameter, a literal or a comment."""
    c = daemon.connect("3", "NAME", "app")
    # Server errors that repeat what they were given.
    c.fails("PG", "SQL", "SELECT $1::int", "Secret1")
    c.fails("PG", "SQL", "SELECT 'Secret2'::int /* Secret3 */")
    c.fails("PG", "SQL", 'SELECT "Secret4" FROM r')
    c.fails("PG", "SQL", "Secret5 is no statement")
    for sqlstate in ("P0001", "40P01", "40001", "55P03", "57014", "25P02"):
        assert isinstance(c.try_call("SQL", RAISE.format(sqlstate)), LkError)
    c.fails("SYNTAX", "Secret7", "Secret8")
    # Slow ones, good and bad.
    c.sql("SELECT pg_sleep(0.06), 'Secret9', $1", "Secret10")
    c.fails("PG", "SQL", "SELECT pg_sleep(0.06), $1::int", "Secret11")
    # A deadlock.
    handles = cross_rows(c, 2)
    take_verdict(c)
    for i, handle in enumerate(handles, 1):
        c.call(f"%t{i}", f"#{handle}", "ROLLBACK")
    # Limits, while somebody holds the row.
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    wait = "UPDATE r SET v = length('Secret12') + $1::int WHERE id = 1"
    c.fails("LOCKTIMEOUT", "?60", "SQL", wait, "987654321")
    c.fails("TIMEOUT", "~60", "SQL", wait, "987654321")
    c.fails("TIMEOUT", "~60", "SQL", "SELECT pg_sleep(30), 'Secret13'")
    c.send("@out", "SQL", "SELECT pg_sleep(30), 'Secret14'")
    c.send("@out2", "SQL", "SELECT pg_sleep(30), 'Secret15'")
    eventually(lambda: len(db.backends("wait_event = 'PgSleep'")) == 2,
               "all slots are taken")
    c.fails("POOLTIMEOUT", "SQL", "SELECT 'Secret16'")
    for tag in ("out", "out2"):
        assert c.call("CANCEL", tag) == 1
        bad("CANCELED", c.tag(tag))
    foreign.query("ROLLBACK")
    # A transaction that idles too long, behind a statement that failed.
    handle = c.call("BEGIN")
    c.fails("PG", f"#{handle}", "SQL", "SELECT 'Secret17'::int")
    c.push("txexpired")
    c.fails("TXEXPIRED", f"#{handle}", "SQL", "SELECT 'Secret18'")
    c.call(f"#{handle}", "ROLLBACK")
    # A session that dies, idle and with a statement in hand.
    c.send("@dead", "SQL", "SELECT pg_sleep(30), 'Secret19'")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    db.sql(f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '{db.name}' AND {db.OURS}""")
    assert isinstance(c.tag("dead"), LkError)
    c.close()


@FORMATS
def test_no_value_is_logged_above_debug(db, lockkeeperd, form):
    daemon = lockkeeperd(workers={"min": 1, "max": 2},
                         timeouts={"queue": "200ms",
                                   "idle_in_transaction": "500ms"},
                         log={"format": form, "slow": "50ms"})
    provoke_everything(db, daemon)
    daemon.stop()
    texts = [r["text"] for r in records(daemon)]
    for begin in ("deadlock: ", "deadlock 1 failed", "LOCKTIMEOUT: ",
                  "TIMEOUT: ", "POOLTIMEOUT: ", "rolled back: it held a session",
                  "main: session lost: ", "slow: "):
        assert any(t.startswith(begin) for t in texts), (begin, texts)
    for value in ("Secret", "987654321"):
        assert value not in daemon.log


def test_debug_has_the_servers_words(lockkeeperd):
    daemon = lockkeeperd(log={"level": "debug"})
    c = daemon.connect()
    c.fails("PG", "SQL", "SELECT $1::int", "Secret1")
    find(daemon, 'failed: SQL SELECT $1::int: PG 22P02 invalid input syntax '
         'for type integer: "Secret1"')


def test_a_clients_bytes_make_no_second_line(lockkeeperd):
    for form in PARSERS:
        daemon = lockkeeperd(log={"level": "debug", "format": form})
        c = daemon.connect()
        c.send(b"@\xff\x1b[2J", "PING")
        c.until(lambda: c.tagged, "it is answered")
        c.fails("PG", "SQL", "SELECT $1::int",
                'x\n2026-01-01T00:00:00.000Z error: "forged"\r\n')
        daemon.stop()
        assert not [r for r in records(daemon) if r["level"] == "error"]
        assert "\x1b" not in daemon.log
        assert [r for r in records(daemon) if "forged" in r["text"]]


# -- where it goes

def test_the_journal_gets_priorities(prepared):
    daemon = prepared(log={"level": "debug", "slow": "1us"})
    daemon.log_path.touch()
    stat = os.stat(daemon.log_path)
    daemon.env["JOURNAL_STREAM"] = f"{stat.st_dev}:{stat.st_ino}"
    daemon.start()
    daemon.connect().sql("SELECT 1")
    daemon.stop()
    lines = daemon.log.splitlines()
    for line in lines:
        assert re.match(r"<[3467]>(error|warning|info|debug):", line), line
    assert any(re.match(r"<6>info: client \d+ pid \d+: slow: ", line)
               for line in lines)
    assert any(line.startswith("<7>debug: client ") for line in lines)


def test_a_file_gets_the_log_and_stderr_nothing(prepared):
    daemon = prepared()
    path = daemon.directory / "lockkeeper.log"
    path.write_text("kept\n")
    daemon.settings["log"] = {"target": str(path), "format": "json"}
    daemon.config_path.write_text(lk.config_text(daemon.settings))
    daemon.start()
    daemon.connect().call("PING")
    daemon.stop()
    kept, *lines = path.read_text().splitlines()
    assert kept == "kept"
    texts = [parse_json(line)["text"] for line in lines]
    assert texts[0].startswith("ready: ") and texts[-1] == "ended"
    assert daemon.log == ""


def test_a_file_that_cannot_be_opened_is_named_at_the_start(prepared):
    daemon = prepared(log={"target": "/nowhere/at/all/log"})
    done = lk.run("-c", daemon.config_path)
    assert done.returncode == 1
    assert "log.target: /nowhere/at/all/log: No such file" in done.stderr
    assert not os.path.exists(daemon.socket)


def test_a_reader_that_stands_still_stalls_nobody(prepared):
    daemon = prepared(log={"level": "debug"})
    reader, writer = os.pipe()
    with os.fdopen(reader) as lines, os.fdopen(writer, "w") as stderr:
        daemon.start(stderr=stderr)
        stderr.close()
        c = daemon.connect()
        slowest = 0.0
        for _ in range(100):
            for _ in range(200):
                c.send("PING", "x" * 50)
            start = time.monotonic()
            for _ in range(200):
                c.recv()
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < 0.5 * FACTOR / 10
        lost = next(line for line in lines if "lines lost" in line)
        assert re.search(r"warning: \d+ lines lost: stderr is slower than the "
                         r"log$", lost), lost
        daemon.stop()


# -- new settings

def with_file(daemon, name="lockkeeper.log", **log):
    """Let the config say that the log goes to this file; returns its path."""
    path = daemon.directory / name
    daemon.settings["log"] = {"target": str(path)} | log
    daemon.config_path.write_text(lk.config_text(daemon.settings))
    return path


def has(path, words):
    return path.exists() and words in path.read_text()


def test_sighup_opens_a_renamed_file_anew(prepared):
    daemon = prepared()
    path = with_file(daemon)
    daemon.start()
    eventually(lambda: has(path, "ready: "), "it has written")
    old = path.rename(path.with_suffix(".1"))
    daemon.send_signal(signal.SIGHUP)
    eventually(path.exists, "the file is there again")
    daemon.stop()
    assert has(path, "info: ended\n")
    assert "ended" not in old.read_text()
    assert not [line for p in (old, path) for line in
                p.read_text().splitlines() if not LINE.fullmatch(line)]


def test_sighup_changes_level_target_format_and_slow(prepared):
    daemon = prepared()
    first = with_file(daemon, "first.log", slow="0")
    daemon.start()
    daemon.connect().sql("SELECT 'unseen'")
    second = with_file(daemon, "second.log", format="json", slow="1us",
                       level="debug")
    daemon.send_signal(signal.SIGHUP)
    eventually(second.exists, "the other file is there")
    daemon.connect().sql("SELECT 'seen' AS s")
    daemon.stop()
    assert "slow: " not in first.read_text()
    assert "debug: " not in first.read_text()
    texts = [parse_json(line)["text"] for line in
             second.read_text().splitlines()]
    assert [t for t in texts if SLOW.fullmatch(t)]
    assert [t for t in texts if t.startswith("received: ")]
    assert texts[-1] == "ended"


def test_sighup_with_a_file_that_cannot_be_opened_stays_and_says_so(prepared):
    daemon = prepared()
    path = with_file(daemon)
    daemon.start()
    with_file(daemon, "no/such/folder")
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: has(path, "no/such/folder: No such file or directory; "
                           f"the log stays at {path}\n"), "it is said")
    daemon.stop()
    assert has(path, "info: ended\n")
