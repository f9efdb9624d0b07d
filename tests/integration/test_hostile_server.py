"""A server that speaks PostgreSQL's protocol wrongly: no worker dies of it,
and each request gets its one reply."""
import struct

import pytest

from client import LkError, bad
from hostile_pg import (BYTEA, FLOAT8, INT4, columns, complete, error, message,
                        notice, parameter, ready, report, row)
from hostile_stage import (ONE, and_ready, greet, hang_up, last, silence,
                           then, until_cancelled, without)
from timing import stays


def lengths(*sizes):
    """A row with cells of one byte that say to be of these sizes."""
    return message(b"D", struct.pack("!H", len(sizes)) + b"".join(
        struct.pack("!i", size) + b"x" for size in sizes))


# What comes instead of a statement's description and result, and what may be
# made of it: None, a value; PG, the server's error; LOST, the session's end.
ANSWERS = {
    "an error without SQLSTATE":
        (last(report(b"E", S="ERROR", V="ERROR", M="no")), "LOST"),
    "an error with an empty SQLSTATE":
        (last(report(b"E", S="ERROR", C="", M="no")), "LOST"),
    "an error without message": (last(report(b"E", C="42601")), "PG"),
    "an error with nothing": (last(message(b"E", b"\0")), "LOST"),
    "an error in broken UTF-8":
        (last(report(b"E", C="42601", M=b"\xff\xfe\xc3", D=b"\x80")), "PG"),
    "an error in several lines":
        (last(report(b"E", C="42601", M="a\r\n+b\r\nc")), "PG"),
    "an error with a long SQLSTATE":
        (last(report(b"E", C="42601" * 99, M="no")), "PG"),
    "an error of a megabyte":
        (last(report(b"E", C="42601", M="x" * 1000000)), "PG"),
    "an error with unknown fields":
        (last(report(b"E", C="42601", M="no", z="z", Z="Z")), "PG"),
    "two errors": (last(error("42601") + error("42601")), "PG"),
    "a result behind an error": (last(error("42601") + ONE), "PG"),
    "an error behind rows":
        (last(columns("v") + row("x") + error("22012")), "PG"),
    "ReadyForQuery too early": (last(ready()), "LOST"),
    "ReadyForQuery twice": (last(ONE + ready()), None),
    "ReadyForQuery in a transaction": (last(ONE + ready(b"T")), None),
    "nothing": (last(b""), "LOST"),
    "a row without description": (last(row("x") + complete("SELECT 1")),
                                  "LOST"),
    "a row with too many cells": (last(columns("v") + row("x", "y")), "LOST"),
    "a row without cells": (last(columns("v") + row()), "LOST"),
    "a cell of negative length":
        (last(columns("v") + lengths(-2) + complete("SELECT 1")), "LOST"),
    "a cell beyond its message":
        (last(columns("v") + lengths(1000) + complete("SELECT 1")), "LOST"),
    "a cell of 2 GiB":
        (last(columns("v") + lengths(2 ** 31 - 1)), "LOST"),
    "two descriptions": (last(columns("v", "w") + columns("v") + row("x")
                              + complete("SELECT 1")), "LOST"),
    "two results": (last(ONE + ONE), "LOST"),
    "two tags": (last(complete("SELECT 1") * 2), "LOST"),
    "no columns": (last(columns() + row() + complete("SELECT 1")), None),
    "65535 columns of one name":
        (last(columns(*["a"] * 65535) + row(*[None] * 65535)
              + complete("SELECT 1")), None),
    "fewer columns than said":
        (last(message(b"T", struct.pack("!H", 3) + columns("v")[7:])),
         "LOST"),
    "odd names of columns":
        (last(columns("", "a\r\n+OK", b"\xff\xfe", b"\xff\xfe", '"')
              + row(1, 2, 3, 4, 5) + complete("SELECT 1")), None),
    "values in binary":
        (last(columns(("v", INT4))[:-2] + b"\0\1" + row(b"\0\0\0\1")
              + complete("SELECT 1")), None),
    "values in broken UTF-8":
        (last(columns("v") + row(b"\xff\xfe\0\xc3") + complete("SELECT 1")),
         None),
    "numbers that are none":
        (last(columns(("a", INT4), ("b", FLOAT8), ("c", FLOAT8))
              + row("1\r\n:2", "1\r\n+PONG", "1e") + complete("SELECT 1")),
         None),
    "bytea that is none":
        (last(columns(("a", BYTEA), ("b", BYTEA)) + row("\\xzz1", "\\9\\")
              + complete("SELECT 1")), None),
    "arrays that are none":
        (last(columns(("a", 1007), ("b", 1007), ("c", 1016))
              + row("{{{{1", "{1,{2}", "[") + complete("SELECT 1")),
         None),
    "a tag with a word for a number": (last(complete("UPDATE abc")), None),
    "a tag with a huge number": (last(complete("UPDATE " + "9" * 40)), None),
    "a tag of 10 KB": (last(complete("x" * 10000)), None),
    "a tag in two lines": (last(complete("UPDATE 1\r\n+OK")), None),
    "a tag in broken UTF-8": (last(complete(b"\xff\xfe")), None),
    "an empty tag": (last(complete("")), None),
    "a tag without its end": (last(message(b"C", b"UPDATE 1")), "LOST"),
    "a tag with a NUL": (last(message(b"C", b"UP\0DATE 1\0")), "LOST"),
    "CopyInResponse": (last(message(b"G", b"\0\0\0")), "LOST"),
    "CopyOutResponse": (last(message(b"H", b"\0\0\1\0\0")), "LOST"),
    "CopyBothResponse": (last(message(b"W", b"\0\0\0")), "LOST"),
    "CopyData": (last(message(b"d", b"x") + ONE), None),
    "EmptyQueryResponse": (last(message(b"I")), None),
    "PortalSuspended": (last(columns("v") + message(b"s")), "LOST"),
    "FunctionCallResponse": (last(message(b"V", b"\0\0\0\0")), "LOST"),
    "a ParameterDescription": (last(message(b"t", b"\0\0") + ONE), "LOST"),
    "an unknown type of message": (last(message(b"?", b"x")), "LOST"),
    "a message of type NUL": (last(message(b"\0", b"x")), "LOST"),
    "a length of 2 GiB": (last(message(b"C", b"x", 2 ** 31 - 1)), "LOST"),
    "a length below 4": (last(message(b"D", b"", 3)), "LOST"),
    "a negative length": (last(message(b"D", b"x", -5)), "LOST"),
    "no protocol at all": (last(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "LOST"),
    "another encoding":
        (last(parameter("client_encoding", "LATIN1")
              + parameter("standard_conforming_strings", "off") + ONE), None),
    "parameters that nobody knows":
        (last(parameter("", "") + parameter("x" * 1000, "y") + ONE), None),
    "a parameter without value": (last(message(b"S", b"x\0")), "LOST"),
    "a thousand notifications":
        (last(message(b"A", struct.pack("!i", 1) + b"a\0b\0") * 1000 + ONE),
         None),
    "notices":
        (last(notice("a" * 10000) * 10 + report(b"N") + ONE), None),
    "a notice that is FATAL":
        (last(report(b"N", V="FATAL", M="odd") + ONE), None),
    "another key":
        (last(message(b"K", struct.pack("!ii", 0, 0)) + ONE), None),
    "authentication once more":
        (last(message(b"R", struct.pack("!i", 0)) + ONE), "LOST"),
    "the end": (hang_up, "LOST"),
    "the end behind a row": (then(columns("v") + row("x"), hang_up), "LOST"),
    "the end behind a tag": (then(ONE, hang_up), "LOST"),
    "the end within a message": (then(ONE[:-3], hang_up), "LOST"),
}

HOW = {
    "a query": ("portal", ["SQL", "SELECT attack"]),
    "a query with a parameter": ("portal", ["SQL", "SELECT attack $1", "a"]),
    "a command": ("portal", ["SQL", "DO attack"]),
}


def check(what, reply, expected, lost_kinds):
    if expected is None:
        assert not isinstance(reply, LkError), (what, reply.line)
        return
    assert isinstance(reply, LkError), (what, reply)
    kinds = lost_kinds if expected == "LOST" else ("PG",)
    assert reply.kind in kinds and reply.message, (what, reply.line)


@pytest.mark.parametrize("how", HOW)
def test_no_answer_to_a_statement_harms_more_than_its_session(hostile, how):
    st = hostile()
    at, request = HOW[how]
    for what, (action, expected) in ANSWERS.items():
        st.server.on(at, action)
        reply = st.client.try_call(*request)
        check(what, reply, expected, ("UNKNOWN",))
        if expected == "LOST":
            detail = st.client.call("SHOW", "error")["detail"]
            assert detail and "no reason" not in detail, what
        st.assert_sane(what)


def test_no_answer_in_a_transaction_harms_more_than_that(hostile):
    st = hostile()
    for what, (action, expected) in ANSWERS.items():
        tx = f"#{st.client.call('BEGIN')}"
        assert st.client.call(tx, "SQL", "UPDATE sane") == "UPDATE 1"
        st.server.on("portal", action)
        reply = st.client.try_call(tx, "SQL", "SELECT attack")
        if what == "ReadyForQuery twice":
            expected = "LOST"		# the first says: no transaction
        check(what, reply, expected, ("CONNLOST",))
        st.server.behave()
        reply = st.client.try_call(tx, "ROLLBACK")
        assert reply == "ROLLBACK", what
        st.assert_sane(what)


@pytest.mark.parametrize("at,sql,kind", [
    ("parse", "SELECT attack", "UNKNOWN"),
    ("describe", "SELECT attack $1", "CONNLOST"),
    ("bind", "SELECT attack", "UNKNOWN"),
    ("sync", "SELECT attack", "UNKNOWN")])
def test_no_answer_to_a_part_of_a_statement_harms(hostile, at, sql, kind):
    """The same bytes where none of them belong."""
    st = hostile()
    request = ["SQL", sql] + ["a"] * sql.count("$")
    for what, (action, _) in ANSWERS.items():
        st.server.on(at, and_ready(action) if at == "sync" else action)
        reply = st.client.try_call(*request)
        if isinstance(reply, LkError):
            assert reply.kind in (kind, "PG"), (what, reply.line)
        st.assert_sane(what)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_no_answer_to_the_end_of_a_transaction_harms(hostile, end):
    st = hostile()
    for what, (action, expected) in ANSWERS.items():
        tx = f"#{st.client.call('BEGIN')}"
        assert st.client.call(tx, "SQL", "UPDATE sane") == "UPDATE 1"
        st.server.on("portal", action, sql=end)
        reply = st.client.try_call(tx, end)
        if isinstance(reply, LkError):
            assert reply.kind in ("UNKNOWN", "PG", "CONNLOST"), \
                (what, reply.line)
        elif end == "COMMIT":
            # A server that says so in whatever words has committed.
            assert expected is None or "Ready" in what, what
        st.assert_sane(what)


# -- where the daemon asks for itself

INTERNAL = {k: ANSWERS[k] for k in (
    "an error with nothing", "an error without message", "nothing",
    "no columns", "65535 columns of one name", "odd names of columns",
    "values in binary", "EmptyQueryResponse", "an empty tag", "two results",
    "CopyOutResponse", "ReadyForQuery too early", "the end")}
INTERNAL |= {
    "no rows": (last(columns("a", "b", "c", "d") + complete("SELECT 0")), 0),
    "NULLs": (last(columns("a", "b", "c", "d") + row(*[None] * 4)
                   + complete("SELECT 1")), 0),
    "words": (last(columns("a", "b", "c", "d") + row("", "x", "", "x" * 9999)
                   + complete("SELECT 1")), 0),
    "numbers": (last(columns("a", "b", "c", "d")
                     + row(2 ** 40, -5, 99999, 2 ** 70) * 3
                     + complete("SELECT 3")), 0),
    "one of itself": (last(columns("a", "b", "c", "d")
                           + row(99999, 99999, "{", "x")
                           + complete("SELECT 1")), 0),
}


def test_no_answer_about_types_harms(hostile):
    st = hostile()
    odd = columns(("v", 99999)) + row("{1,{2}}") + complete("SELECT 1")
    for what, (action, _) in INTERNAL.items():
        st.server.on("portal", last(odd))
        st.server.on("portal", action, sql="pg_type")
        reply = st.client.try_call("SQL", "SELECT attack")
        if isinstance(reply, LkError):
            assert reply.kind in ("UNKNOWN", "CONNLOST"), (what, reply.line)
        else:
            assert len(reply) == 1, (what, reply)
        st.assert_sane(what)


@pytest.mark.parametrize("sql", ["CLOSE ALL", "pg_advisory_unlock_all",
                                 "pg_prepared_statements", "DISCARD SEQ"])
def test_no_answer_to_the_cleaning_harms(hostile, sql):
    st = hostile()
    for what, (action, _) in INTERNAL.items():
        st.server.on("portal", action, sql=sql)
        assert st.client.call("SQL", "DO sane") == "DO", what
        st.assert_sane(what)


@pytest.mark.parametrize("sql", [
    "wait_event_type", "pg_locks", "pg_stat_activity ORDER", "prepared_xacts",
    "current_database", "pg_class", "pg_cancel_backend"])
def test_no_answer_to_a_watcher_harms(hostile, sql):
    """A statement that stays out is looked at, and then cancelled."""
    st = hostile()
    wait = row("relation", 1, 2, None, None, None, None, None, None, None,
               "3/4", 77, "AccessShareLock", "f", "2026-01-01", 100)
    for what, (action, _) in INTERNAL.items():
        st.server.on("portal", until_cancelled)
        for name in ("wait_event_type", "pg_locks"):
            st.server.on("portal", action if name == sql else last(
                columns(*"abcdefghijklmnop") + wait + complete("SELECT 1")),
                sql=name)
        st.server.on("portal", action, sql=sql)
        st.client.send("@x", "~100", "SQL", "SELECT attack")
        reply = st.client.tag("x", 20)
        assert reply.kind in ("TIMEOUT", "UNKNOWN"), (what, reply.line)
        st.assert_sane(what)


# -- sessions that do not come up

def authentication(code, body=b""):
    return greet(auth=message(b"R", struct.pack("!i", code) + body))


STARTS = {
    "the end": hang_up,
    "an error without SQLSTATE": then(report(b"E", M="no"), hang_up),
    "an error with nothing": then(message(b"E", b"\0"), hang_up),
    "an error of old": then(b"Eno such thing\n\0", hang_up),
    "authentication of an unknown kind": authentication(99),
    "GSS": authentication(7),
    "SSPI": authentication(9),
    "SCM credentials": authentication(6),
    "MD5 without salt": authentication(5),
    "SASL without mechanism": authentication(10, b"\0"),
    "SASL by an unknown mechanism": authentication(10, b"NEVER-HEARD\0\0"),
    "SASL goes on unasked": authentication(11, b"r=x,s=y,i=1"),
    "SASL ends unasked": authentication(12, b"v=x"),
    "a long authentication": authentication(0, b"x" * 5000),
    "the end behind authentication": then(message(b"R", b"\0" * 4), hang_up),
    "the end behind parameters":
        then(message(b"R", b"\0" * 4) + parameter("a", "b"), hang_up),
    "no parameters": greet(parameters=b""),
    "another protocol": then(message(b"v", struct.pack("!ii", 9, 0)),
                             hang_up),
    "ReadyForQuery first": greet(auth=ready()),
    "rows first": greet(auth=columns("v") + row("x")),
    "pid 0": greet(key=message(b"K", b"\0" * 8)),
    "a negative pid": greet(key=message(b"K", b"\xff" * 8)),
    "another pid": greet(key=message(b"K", b"\1" * 8)),
    "no key": greet(key=b""),
    "half a key": greet(key=message(b"K", b"\0" * 5)),
    "COPY first": greet(ready=message(b"G", b"\0\0\0")),
    "an error behind authentication":
        greet(parameters=error(severity="FATAL")),
    "notices of a megabyte, then the end":
        then(notice("x" * 1000000) * 3, hang_up),
    "a negative length": then(message(b"R", b"", -1), hang_up),
    "a long ParameterStatus": greet(parameters=message(b"S", b"x" * 40000)),
    "no protocol at all": then(b"SSH-2.0-OpenSSH_9.2\r\n", hang_up),
    "an old version": without(server_version="9.6.24"),
    "a version that is none": without(server_version="abc"),
    "an empty version": without(server_version=""),
    "a negative version": without(server_version="-15"),
    "DateStyle of one's own": without(DateStyle="German"),
    "another client encoding": without(client_encoding="SQL_ASCII"),
    "silence": silence,
    "silence in mid-message": then(message(b"R", b"", 8), silence),
}


def test_sessions_that_do_not_come_up_are_told_of_and_tried_again(hostile):
    st = hostile(len(STARTS), timeouts={"connect": "500ms"})
    c = st.client
    for server, action in zip(st.servers, STARTS.values()):
        server.on("startup", action)
    for i in range(len(STARTS)):
        c.send(f"@{i}", f"/h{i}", "SQL", "SELECT sane")
    for i, what in enumerate(STARTS):
        error_ = bad("CONNLOST", c.tag(str(i), 20))
        assert len(error_.message) > 15, (what, error_.line)
    for server in st.servers:
        server.behave()
        server.parameters = st.server.parameters | {
            "server_version": "999.9", "client_encoding": "UTF8"}
    st.servers[0].parameters["DateStyle"] = "ISO, DMY"
    for i, what in enumerate(STARTS):
        st.recover(what, i)
        st.assert_sane(what, i)


def test_no_answer_to_the_first_question_harms(hostile):
    answers = {k: v for k, v in INTERNAL.items() if k != "two results"}
    st = hostile(len(answers), timeouts={"connect": "500ms"})
    for i, (server, (action, _)) in enumerate(zip(st.servers,
                                                  answers.values())):
        server.on("portal", action, sql="pg_control_system")
        st.client.send(f"@{i}", f"/h{i}", "SQL", "SELECT sane")
    for i, what in enumerate(answers):
        reply = bad("CONNLOST", st.client.tag(str(i), 20))
        assert len(reply.message) > 15, (what, reply.line)
    for server in st.servers:
        server.behave()
    for i, what in enumerate(answers):
        st.recover(what, i)
        st.assert_sane(what, i)


def test_a_server_that_drops_idle_sessions_is_not_stormed(hostile):
    st = hostile()
    n = []

    def count(backend):
        n.append(backend)
        backend.send(backend.greeting())

    st.server.on("startup", count)
    st.server.on("sync", then(ready(), hang_up), sql="pg_control_system",
                 application="lockkeeper")
    st.client.send("@x", "~1000", "SQL", "SELECT sane")
    stays(lambda: len(n) < 20, "connections are few", 1)
    assert isinstance(st.client.tag("x"), LkError)
    st.assert_sane("drops")
