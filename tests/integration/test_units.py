"""Units: MULTI … EXEC against the real daemon and a real server."""
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from checks import assert_nothing_left, update
from client import Client, LkError, bad, encode, good
from proxy import Proxy
from timing import FACTOR, eventually, within

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL,
        boss_id int REFERENCES users);
    INSERT INTO users VALUES (1, 'Ann', NULL), (2, 'Bob', 1);
    CREATE TABLE orders (id serial PRIMARY KEY,
        user_id int NOT NULL REFERENCES users, total int NOT NULL);
    CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)"""


@pytest.fixture
def c(db, lockkeeperd):
    """A client of a daemon that knows the models."""
    db.sql(SCHEMA)
    return lockkeeperd().connect()


def queue(client, *verbs, options=(), task=()):
    good(client.call(*task, "MULTI", *options))
    for verb in verbs:
        assert client.call(*task, *verb) == "QUEUED"


def unit(client, *verbs, options=(), before=()):
    """The reply of EXEC; an error is a value."""
    queue(client, *verbs, options=options)
    return client.try_call(*before, "EXEC")


def ran(client):
    """SHOW unit."""
    return client.call("SHOW", "unit")


# -- what a unit does

def test_a_unit_replies_all_that_its_verbs_reply(db, c):
    assert unit(
        c, ("CREATE", "orders", "user_id", "=", "1", "total", "=", "5"),
        ("SQL", "UPDATE r SET v = $1 WHERE id = 1", "7"),
        ("GET", "users", "2"), ("GET", "users", "9"),
        ("COUNT", "orders"), ("EXISTS", "users", "WHERE", "name", "=", "x"),
        ("FIND", "users", "FIELDS", "id", "ORDER", "-id"),
        ("SQL", "SELECT v FROM r WHERE id = 1")) == [
            {"id": 1, "user_id": 1, "total": 5}, "UPDATE 1",
            {"id": 2, "name": "Bob", "boss_id": 1}, None, 1, False,
            [{"id": 2}, {"id": 1}], [{"v": 7}]]
    assert db.v(1) == 7
    assert_nothing_left(db, c)


def test_the_bytes_of_the_manual(c):
    c.send_raw(encode(["MULTI"])
               + encode(["UPDATE", "users", "1", "SET", "name", "=", "Zoe"])
               + encode(["DELETE", "orders", "77"]) + encode(["EXEC"]))
    expected = (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n%3\r\n$2\r\nid\r\n:1\r\n"
                b"$4\r\nname\r\n$3\r\nZoe\r\n$7\r\nboss_id\r\n_\r\n:0\r\n")
    assert c.read_raw(len(expected)) == expected


def test_all_of_it_is_one_transaction(db, c):
    pids = unit(c, *[("SQL", "SELECT pg_backend_pid() AS p, "
                      "pg_current_xact_id()::text AS x")] * 3)
    assert pids[0] == pids[1] == pids[2]
    assert unit(c, ("SQL", update(1)), ("SQL", update(2)),
                ("SQL", "SELECT 1/0"), ("SQL", update(3))).kind == "PG"
    assert db.v(1) + db.v(2) + db.v(3) == 0


@pytest.mark.parametrize("options, level", [
    ((), "read committed"), (("READ", "COMMITTED"), "read committed"),
    (("repeatable", "read"), "repeatable read"),
    (("SERIALIZABLE",), "serializable")])
def test_the_isolation_is_as_said(c, options, level):
    asked = ("SQL", "SELECT current_setting('transaction_isolation') AS l")
    assert unit(c, asked, options=options) == [[{"l": level}]]
    if options:
        assert unit(c, ("UNIT", *options), asked) == ["OK", [{"l": level}]]


def test_each_verb_has_its_form_and_exec_that_of_the_others(c):
    assert unit(c, ("=json", "GET", "users", "1"), ("GET", "users", "1"),
                before=("=table",)) == [
                    '{"id":1,"name":"Ann","boss_id":null}',
                    {"columns": ["id", "name", "boss_id"],
                     "types": ["integer", "text", "integer"],
                     "rows": [[1, "Ann", None]]}]


def test_on_resp2_too(db, lockkeeperd):
    db.sql(SCHEMA)
    c2 = lockkeeperd().connect("2")
    assert unit(c2, ("GET", "users", "1"), ("EXISTS", "users")) == [
        ["id", 1, "name", "Ann", "boss_id", None], 1]


def test_nobody_is_locked_out_while_it_is_queued(db, c):
    queue(c, ("SQL", update(1)))
    eventually(lambda: db.busy() == [] and db.locks() == [],
               "nothing but the catalog's reading was there")
    db.sql(update(1))
    assert c.call("EXEC") == ["UPDATE 1"]
    assert db.v(1) == 2


def test_a_larger_unit(db, c):
    n = 2000
    c.send_raw(encode(["MULTI"])
               + encode(["SQL", update(1)]) * n + encode(["EXEC"]))
    for _ in range(n + 1):
        good(c.recv())
    assert c.recv() == ["UPDATE 1"] * n
    assert db.v(1) == n and ran(c)["round_trips"] == 1


# -- round trips

def test_what_is_independent_takes_one_round_trip(c):
    verbs = [("SQL", update(i)) for i in range(1, 6)] + [
        ("UPDATE", "users", "1", "SET", "name", "=", "Zoe"),
        ("COUNT", "users"), ("CREATE", "late", "id", "=", "1"),
        ("DELETEALL", "orders", "WHERE", "ALL")]
    assert isinstance(unit(c, *verbs), list)
    said = ran(c)
    assert said["statements"] == 9 and said["round_trips"] == 1
    assert said["tries"] == 1 and said["ended"] == "committed"


def test_what_depends_waits_once_for_each_dependence(c):
    assert unit(c, ("CREATE", "orders", "user_id", "=", "2", "total", "=", "1"),
                ("SQL", update(1)),
                ("GET", "users", "$1.user_id"), ("GET", "users", "$1.user_id"),
                options=("REF", "$"))[3]["name"] == "Bob"
    assert ran(c)["round_trips"] == 2
    unit(c, ("MUST", "UPDATE", "users", "1", "SET", "name", "=", "Al"),
         ("MUST", "COUNT", "users"), ("SQL", update(1)))
    assert ran(c)["round_trips"] == 3
    unit(c, ("FIND", "users"), ("SQL", update(1)), ("FIND", "users"))
    assert ran(c)["round_trips"] == 2


def test_untyped_parameters_are_described_once_for_each_session(lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    verbs = [("SQL", "UPDATE r SET v = $1 WHERE id = 1", "5")] * 3
    unit(c, *verbs)
    assert ran(c)["round_trips"] == 2
    unit(c, *verbs)
    assert ran(c)["round_trips"] == 1


def test_show_unit_says_how_the_last_one_went(db, c):
    assert c.call("SHOW", "unit") is None
    unit(c, ("UNIT", "RETRY", "7"), ("SQL", update(1)))
    said = c.call("SHOW", "unit")
    assert said.pop("total_ms") < 5000
    assert said == {
        "database": "main", "verbs": 2, "retry": 7, "tries": 1,
        "reasons": [], "statements": 1, "round_trips": 1,
        "ended": "committed"}
    unit(c, ("SQL", "SELECT 1/0"), ("SQL", update(1)))
    assert ran(c)["ended"] == "PG 22012 verb 1 (SQL): division by zero"
    queue(c)
    c.try_call("NONSENSE")
    c.try_call("EXEC")
    assert ran(c)["ended"].startswith("EXECABORT 25P02 ")
    assert ran(c)["tries"] == ran(c)["statements"] == 0
    assert db.v(1) == 1


# -- related rows

ORDERS = ("CREATE", "orders", "user_id", "=", "1", "total", "=")
WITH = ("FIND", "users", "ORDER", "id", "WITH", "boss,orders")


@pytest.mark.parametrize("form", ["=maps", "=table", "=json"])
def test_related_rows_nest_as_they_do_alone(c, form):
    for total in "12":
        c.call(*ORDERS, total)
    alone = c.call(form, *WITH)
    assert unit(c, (form, *WITH), ("SQL", update(1)),
                WITH, before=(form,)) == [alone, "UPDATE 1", alone]


def test_related_rows_are_asked_for_before_what_follows(c):
    got = unit(c, (*ORDERS, "1"), WITH, (*ORDERS, "2"), WITH,
               ("DELETEALL", "orders", "WHERE", "ALL"))
    assert [[o["total"] for o in got[n][0]["orders"]] for n in (1, 3)] == [
        [1], [1, 2]]
    assert got[1][1]["boss"]["name"] == "Ann" and got[4] == 2
    said = ran(c)
    assert said["statements"] == 9 and said["round_trips"] == 5


def test_a_row_with_related_rows_has_values_for_others(c):
    c.call(*ORDERS, "7")
    got = unit(c, ("MUST", *WITH), ("GET", "users", "$1.id"),
               options=("REF", "$"))
    assert got[1]["name"] == "Ann" and got[0][0]["orders"][0]["total"] == 7
    assert "no such column" in bad("SYNTAX", unit(
        c, WITH, ("GET", "users", "$1.boss"), options=("REF", "$")))
    bad("UNMET", unit(c, ("MUST", "FIND", "orders", "WHERE", "id", "=", "77",
                          "WITH", "user")))


def test_a_reply_in_a_unit_stands_one_level_deeper(db, c):
    deep = ("GET", "users", "2", "WITH", ".".join(["boss"] * 6))
    alone = c.call(*deep)
    assert alone["boss"]["boss"] is None
    got = bad("SYNTAX", unit(c, ("SQL", update(1)), deep))
    assert got.message.startswith("verb 2 (GET")
    assert "would nest 8 deep" in got and c.call("SHOW", "error")[
        "index"] == "2"
    assert unit(c, deep, before=("=json",)) == [c.call("=json", *deep)]
    queue(c)
    assert "8 deep" in c.fails("SYNTAX", "=maps", *deep)
    c.fails("EXECABORT", "EXEC")
    assert db.v(1) == 0


def test_related_rows_of_a_changed_type_are_asked_for_anew(db, lockkeeperd):
    db.sql(SCHEMA)
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    for total in "5", "3000000000":
        db.sql(f"INSERT INTO orders (user_id, total) VALUES (1, {total})")
        got = unit(c, ("SQL", update(1)), WITH)
        assert int(total) in [o["total"] for o in got[1][0]["orders"]]
        db.sql("ALTER TABLE orders ALTER total TYPE bigint")
    assert ran(c)["tries"] == 1 and db.v(1) == 2


def test_replies_with_related_rows_count_towards_the_limit(db, lockkeeperd):
    db.sql(SCHEMA + """;
        INSERT INTO orders (user_id, total) SELECT 1, i
            FROM generate_series(1, 200) i""")
    c = lockkeeperd(limits={"result": "20KiB"}).connect()
    assert len(unit(c, ("SQL", update(1)), WITH)[1][0]["orders"]) == 200
    got = bad("OVERLOAD", unit(c, ("SQL", update(1)), WITH, WITH))
    assert "verb 3 (FIND users): " in got
    assert db.v(1) == 1
    assert_nothing_left(db, c)


# -- REF

def test_references_carry_values_of_any_type(db, c):
    db.sql("""CREATE TABLE t (a bytea, b timestamptz, c int[], d text);
        INSERT INTO t VALUES ('\\x00ff', now(), '{1,NULL}', NULL)""")
    made = unit(
        c, ("SQL", "SELECT * FROM t"),
        ("SQL", "INSERT INTO t VALUES ($1, $2, $3, $4)",
         "&1.a", "&1.b", "&1.c", "&1.d"),
        ("SQL", "SELECT count(DISTINCT (a, b, c)) AS n, count(d) AS d FROM t"),
        options=("REF", "&"))
    assert made[2] == [{"n": 1, "d": 0}]


def test_without_ref_nothing_is_one(c):
    assert unit(c, ("GET", "users", "1"), ("UPDATE", "users", "1", "SET",
                "name", "=", "$1.id"))[1]["name"] == "$1.id"


def test_a_reference_that_leads_nowhere_fails_the_unit(db, c):
    for error, part, *verbs in [
            ("UNMET", "column id of verb 1 is to be a value",
             ("GET", "users", "9"), ("GET", "users", "$1.id")),
            ("SYNTAX", "column nix of verb 1", ("GET", "users", "1"),
             ("GET", "users", "$1.nix")),
            ("UNMET", "that verb gave no row", ("SQL", update(1)),
             ("GET", "users", "$1.id"))]:
        got = bad(error, unit(c, *verbs, options=("REF", "$")))
        assert part in got and got.message.startswith("verb 2 (GET users): ")
    assert db.v(1) == 0
    queue(c, options=("REF", "$"))
    assert "no verb before this one" in c.fails("SYNTAX", "GET", "users",
                                                "$1.id")
    c.fails("EXECABORT", "EXEC")


def test_a_value_from_a_row_that_does_not_fit_is_the_servers_word(c):
    got = bad("PG", unit(c, ("GET", "users", "1"),
                         ("GET", "users", "$1.name"), options=("REF", "$")))
    assert got.sqlstate == "22P02" and "verb 2 (GET users)" in got


# -- MUST and what else fails

@pytest.mark.parametrize("verb", [
    ("GET", "users", "9"), ("UPDATE", "users", "9", "SET", "name", "=", "x"),
    ("DELETE", "users", "9"), ("COUNT", "orders"), ("EXISTS", "orders"),
    ("FIND", "orders"), ("FIRST", "orders"),
    ("=table", "FIND", "orders"), ("=json", "GET", "users", "9"),
    ("UPDATEALL", "orders", "SET", "total", "=", "1", "WHERE", "ALL"),
    ("SQL", "UPDATE r SET v = 1 WHERE id = 0"), ("SQL", "SELECT 1 LIMIT 0")])
def test_must_wants_something(db, c, verb):
    n = verb[0].startswith("=")
    must = verb[:n] + ("MUST",) + verb[n:]
    got = bad("UNMET", unit(c, ("SQL", update(1)), must, ("SQL", update(2))))
    named = verb[n] if verb[n] == "SQL" else f"{verb[n]} {verb[n + 1]}"
    assert got.message.startswith(f"verb 2 (MUST {named}): ")
    assert c.call("SHOW", "error")["index"] == "2"
    assert db.v(1) + db.v(2) == 0
    assert_nothing_left(db, c)


def test_must_is_met(db, c):
    assert unit(c, ("MUST", "GET", "users", "1"),
                ("MUST", "COUNT", "users"), ("MUST", "EXISTS", "users"),
                ("MUST", "SQL", "SELECT 0 AS zero"),
                ("MUST", "SQL", "SET LOCAL work_mem = '1MB'"),
                ("MUST", "SQL", update(1)))[3] == [{"zero": 0}]
    assert db.v(1) == 1


def test_a_failed_unit_is_one_error_with_its_index(db, c):
    for verbs, index in [
            ([("SQL", update(1)), ("CREATE", "users", "id", "=", "1", "name",
               "=", "x")], "2"),
            ([("ONE", "orders"), ("SQL", update(1))], "1"),
            ([("SQL", update(1)), ("SQL", update(1)),
              ("SQL", "SELECT nosuch()")], "3")]:
        got = unit(c, *verbs)
        assert isinstance(got, LkError)
        assert c.call("SHOW", "error")["index"] == index
        assert got.message.startswith(f"verb {index} (")
    got = bad("PG", unit(c, ("SQL", "INSERT INTO late VALUES (1), (1)"),
                         ("SQL", update(1))))
    assert got.message.startswith("COMMIT: ")
    assert "index" not in c.call("SHOW", "error")
    assert db.v(1) == 0
    blobs = Client(c.sock.getpeername(), "3", "ERRORS", "blob")
    assert unit(blobs, ("SQL", "SELECT 1/0")).fields["index"] == "1"
    blobs.close()


def test_a_reply_that_is_too_large_fails_the_unit(db, lockkeeperd):
    c = lockkeeperd(limits={"result": "20KiB"}).connect()
    got = bad("OVERLOAD", unit(
        c, ("SQL", update(1)), ("SQL", "SELECT repeat('x', 15000) AS a"),
        ("SQL", "SELECT repeat('x', 15000) AS a")))
    assert "verb 3 (SQL): " in got and "nothing was done" in got
    assert db.v(1) == 0


def test_publish_is_of_the_unit(db, lockkeeperd):
    daemon = lockkeeperd()
    c, hearer = daemon.connect(), daemon.connect()
    hearer.send("SUBSCRIBE", "news")
    hearer.until(lambda: hearer.pushes, "it is subscribed")
    hearer.pushes.clear()
    bad("PG", unit(c, ("PUBLISH", "news", "never"), ("SQL", "SELECT 1/0")))
    assert unit(c, ("SQL", "SELECT 7 AS n"), ("PUBLISH", "news", "$1.n"),
                ("SQL", update(1)), options=("REF", "$"))[1:] == [
                    1, "UPDATE 1"]
    hearer.until(lambda: hearer.pushes, "a message")
    assert hearer.pushes == [["message", "news", "7"]]
    queue(c)
    c.fails("SYNTAX", "PUBLISH", "", "x")
    c.fails("EXECABORT", "EXEC")


# -- errors while queueing

@pytest.mark.parametrize("kind, verb", [
    ("SYNTAX", ("BOGUS",)), ("SYNTAX", ("SQL", "BEGIN")),
    ("SYNTAX", ("SQL", "COPY r TO STDOUT")), ("SYNTAX", ("BEGIN",)),
    ("SYNTAX", ("COMMIT",)), ("SYNTAX", ("SAVEPOINT", "s")),
    ("SYNTAX", ("USE", "main")), ("SYNTAX", ("GET", "users")),
    ("NOMODEL", ("GET", "nobody", "1")), ("SYNTAX", ("MUST", "MULTI")),
    ("NOCOLUMN", ("FIND", "users", "WHERE", "nix", "=", "1"))])
def test_an_error_while_queueing_aborts(db, c, kind, verb):
    queue(c, ("SQL", update(1)))
    assert kind == c.fails(kind, *verb).kind
    assert c.call("SQL", update(2)) == "QUEUED"
    got = c.fails("EXECABORT", "EXEC")
    assert got.sqlstate == "25P02" and kind in got
    assert db.v(1) + db.v(2) == 0
    assert unit(c, ("SQL", update(3))) == ["UPDATE 1"]


def test_in_a_pipeline_nothing_of_a_spoilt_unit_is_done(db, c):
    c.send_raw(encode(["SQL", "SELECT pg_sleep(0.2)"]) + encode(["MULTI"])
               + encode(["SQL", update(1)]) + encode(["NONSENSE"])
               + encode(["EXEC"]) + encode(["SQL", update(2)]))
    replies = [c.recv() for _ in range(6)]
    assert replies[1:3] == ["OK", "QUEUED"] and replies[5] == "UPDATE 1"
    assert [e.kind for e in replies[3:5]] == ["SYNTAX", "EXECABORT"]
    assert (db.v(1), db.v(2)) == (0, 1)


def test_exec_discard_and_multi_in_the_wrong_place(c):
    assert "EXEC without MULTI" in c.fails("SYNTAX", "EXEC")
    assert "DISCARD without MULTI" in c.fails("SYNTAX", "DISCARD")
    c.fails("SYNTAX", "MUST", "SQL", "SELECT 1")
    c.fails("SYNTAX", "UNIT")
    queue(c)
    assert c.fails("SYNTAX", "MULTI").sqlstate == "25001"
    assert c.call("PING") == "PONG"
    assert c.call("EXEC") == []
    queue(c, ("SQL", update(1)))
    assert c.call("DISCARD") == "OK"
    assert c.sql("SELECT 1 AS x") == [{"x": 1}]
    c.call("BEGIN", "HERE")
    assert c.fails("SYNTAX", "MULTI").sqlstate == "25001"
    c.call("ROLLBACK")


def test_many_tasks_queue_on_one_connection(db, c):
    for task in "abc":
        queue(c, ("SQL", update(1)), task=("%" + task,))
    queue(c, ("SQL", update(2)))
    assert c.call("%z", "SQL", update(3)) == "UPDATE 1"
    assert c.call("EXEC") == ["UPDATE 1"]
    assert db.v(1) == 0
    for task in "abc":
        c.send(f"@{task}", f"%{task}", "EXEC")
    assert [c.tag(task) for task in "abc"] == [["UPDATE 1"]] * 3
    assert (db.v(1), db.v(2), db.v(3)) == (3, 1, 1)
    assert_nothing_left(db, c)


def test_a_queue_dies_with_its_connection(db, lockkeeperd):
    daemon = lockkeeperd()
    c = daemon.connect()
    queue(c, ("SQL", update(1)), task=("%t",))
    c.close()
    other = daemon.connect()
    eventually(lambda: "t" not in [t["task"] for t in other.show("tasks")],
               "the task is forgotten")
    other.fails("SYNTAX", "%t", "EXEC")
    assert db.v(1) == 0


# -- replays

SKEW = ("""SELECT sum(v) AS s, pg_sleep(0.15) FROM r WHERE id <= 2""",
        "UPDATE r SET v = v + 1 WHERE id = $1")


def both(*jobs):
    """What each of these returned, side by side."""
    got = [None] * len(jobs)

    def do(i):
        got[i] = jobs[i]()

    threads = [threading.Thread(target=do, args=(i,))
               for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30 * FACTOR / 10)
    return got


def skew(client, row, retry):
    return lambda: unit(client, ("SQL", SKEW[0]), ("SQL", SKEW[1], row),
                        options=("SERIALIZABLE", "RETRY", str(retry)))


def test_scenario_30_write_skew_is_replayed(db, lockkeeperd):
    daemon = lockkeeperd()
    a, b = daemon.connect(), daemon.connect()
    with within(1000, "write skew replayed"):
        got = both(skew(a, "1", 3), skew(b, "2", 3))
    assert [g[1] for g in got] == ["UPDATE 1"] * 2
    # One saw the other's work: they did not both read 0.
    assert sorted(int(g[0][0]["s"]) for g in got) == [0, 1]
    ran_both = [ran(a), ran(b)]
    assert sorted(r["tries"] for r in ran_both) == [1, 2]
    loser = max(ran_both, key=lambda r: r["tries"])
    assert "SERIALIZE 40001" in loser["reasons"][0]
    assert db.v(1) == db.v(2) == 1


def test_scenario_30_without_replays_it_passes_through(db, lockkeeperd):
    daemon = lockkeeperd()
    got = both(skew(daemon.connect(), "1", 0), skew(daemon.connect(), "2", 0))
    error, = [g for g in got if isinstance(g, LkError)]
    assert error.kind == "SERIALIZE" and error.sqlstate == "40001"
    assert db.v(1) + db.v(2) == 1


def test_scenario_30_control_plain_sessions(db):
    a, b = db.connect(), db.connect()
    for s in (a, b):
        s.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
        s.query("SELECT sum(v) FROM r WHERE id <= 2")
    a.query(update(1))
    b.query(update(2))
    a.query("COMMIT")
    with pytest.raises(Exception, match="could not serialize"):
        b.query("COMMIT")


def cross(client, first, second, retry):
    return lambda: unit(client, ("SQL", update(first)),
                        # Time for the other one to get as far.
                        ("SQL", f"SELECT pg_sleep({0.03 * FACTOR})"),
                        ("SQL", update(second)),
                        options=("RETRY", str(retry)))


def test_scenario_25_two_units_cross_and_both_are_done(db, lockkeeperd):
    daemon = lockkeeperd()
    a, b = daemon.connect(), daemon.connect()
    with within(500, "two units that cross"):
        got = both(cross(a, 1, 2, 5), cross(b, 2, 1, 5))
    assert all(isinstance(g, list) for g in got), got
    assert (db.v(1), db.v(2)) == (2, 2)
    assert sorted([ran(a)["tries"], ran(b)["tries"]]) == [1, 2]
    assert a.call("SHOW", "stats")["unit_replays"] == 1
    assert_nothing_left(db, a)


def test_scenario_25_control_postgresqls_detector_fails_one(db, lockkeeperd):
    daemon = lockkeeperd(deadlock={"mode": "off"})
    got = both(cross(daemon.connect(), 1, 2, 0),
               cross(daemon.connect(), 2, 1, 0))
    error, = [g for g in got if isinstance(g, LkError)]
    assert error.kind == "DEADLOCK" and "deadlock detected" in error
    assert db.v(1) == db.v(2) == 1


def test_postgresqls_own_verdict_is_replayed_too(db, lockkeeperd):
    daemon = lockkeeperd(deadlock={"mode": "off"})
    a, b = daemon.connect(), daemon.connect()
    assert all(isinstance(g, list) for g in
               both(cross(a, 1, 2, 3), cross(b, 2, 1, 3)))
    assert (db.v(1), db.v(2)) == (2, 2)
    loser = max(ran(a), ran(b), key=lambda r: r["tries"])
    assert "deadlock detected" in loser["reasons"][0]


def test_a_unit_gives_way_to_a_transaction(db, lockkeeperd):
    daemon = lockkeeperd(replay="off")
    c, other = daemon.connect(), daemon.connect()
    tx = c.call("BEGIN")
    c.call(f"#{tx}", "SQL", update(1))
    queue(other, ("SQL", update(2)), ("SQL", update(1)))
    other.send("EXEC")
    db.wait_for_waiters(1)
    assert c.call(f"#{tx}", "SQL", update(2)) == "UPDATE 1"
    assert c.call(f"#{tx}", "COMMIT") == "COMMIT"
    assert other.recv() == ["UPDATE 1", "UPDATE 1"]
    assert (db.v(1), db.v(2)) == (2, 2)
    assert "DEADLOCK" in ran(other)["reasons"][0]
    assert [d["action"] for d in c.show("deadlocks")] == ["replayed"]


def test_money_moves_and_its_sum_stays(db, lockkeeperd):
    n_tasks, n_each = 64, 12
    db.sql("UPDATE r SET v = 1000")
    daemon = lockkeeperd(workers={"min": 8, "max": 8})
    c = daemon.connect(timeout_s=60)
    for t in range(n_tasks):
        for i in range(n_each):
            a, b = 1 + (t + i) % 10, 1 + (t * 7 + i * 3 + 1) % 10
            for j, words in enumerate([
                    ["MULTI", "SERIALIZABLE", "RETRY", "1000"],
                    ["SQL", "SELECT v FROM r WHERE id = $1", str(a)],
                    ["SQL", update(a, -5)], ["SQL", update(b, 5)],
                    ["EXEC"]]):
                c.send_raw(encode([f"@{t}.{i}.{j}", f"%t{t}"] + words))
    for t in range(n_tasks):
        for i in range(n_each):
            assert c.tag(f"{t}.{i}.4")[1:] == ["UPDATE 1", "UPDATE 1"]
    assert int(db.value("SELECT sum(v) FROM r")) == 100 * 1000
    stats = c.call("SHOW", "stats")
    assert stats["units"] == n_tasks * n_each and stats["unit_replays"] > 0
    assert_nothing_left(db, c)


# -- its time, its end

def hold(db, row=1):
    holder = db.connect()
    holder.query("BEGIN")
    holder.query(update(row))
    return holder


def test_deadlines_lock_timeouts_and_cancels_are_execs(db, lockkeeperd):
    c = lockkeeperd().connect()
    hold(db)
    slow = [("SQL", update(2)), ("SQL", update(1)), ("SQL", update(3))]
    got = bad("TIMEOUT", unit(c, *slow, before=("~100",)))
    assert "phase lock" in got and "verb 2 (SQL): " in got
    got = bad("LOCKTIMEOUT", unit(c, *slow, before=("?50",)))
    assert "verb 2 (SQL): " in got
    queue(c, *slow, task=("%t",))
    c.send("@e", "%t", "EXEC")
    db.wait_for_waiters(1)
    assert c.call("CANCEL", "e") == 1
    bad("CANCELED", c.tag("e"))
    assert ran(c)["tries"] == 1
    assert db.v(2) == 0
    assert_nothing_left(db, c)


def test_the_configs_time_for_statements_is_execs(db, lockkeeperd):
    c = lockkeeperd(timeouts={"statement": "150ms"}).connect()
    queue(c)
    time.sleep(0.3)
    assert c.call("SQL", "SELECT pg_sleep(1)") == "QUEUED"
    with within(150, "a unit's timeouts.statement"):
        bad("TIMEOUT", c.try_call("EXEC"))


def test_without_a_slot_it_is_pooltimeout(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 1, "reserve": 0},
                         timeouts={"queue": "100ms"})
    c = daemon.connect()
    tx = c.call("BEGIN")
    c.call(f"#{tx}", "SQL", update(1))
    bad("POOLTIMEOUT", unit(daemon.connect(), ("SQL", update(2))))
    c.call(f"#{tx}", "ROLLBACK")


def test_a_unit_is_parked_only_if_all_of_it_may_be_run_again(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 2, "reserve": 0})
    c, other = daemon.connect(), daemon.connect()
    for second, parked in [(update(1), 1), ("SELECT pg_sleep(0)", 0)]:
        tx = c.call("BEGIN")
        c.call(f"#{tx}", "SQL", update(1))
        before = c.call("SHOW", "stats")["parked"]
        queue(other, ("SQL", update(2)), ("SQL", update(1)), ("SQL", second))
        other.send("EXEC")
        db.wait_for_waiters(1)
        c.send("@s", "SQL", "SELECT 1 AS x")	# wants the only other slot
        if parked:
            assert c.tag("s") == [{"x": 1}]
            assert db.v(2) == 0
        else:
            time.sleep(0.6)
            assert not c.has_reply("s")
        c.call(f"#{tx}", "COMMIT")
        assert len(other.recv()) == 3
        if not parked:
            c.tag("s")
        assert c.call("SHOW", "stats")["parked"] - before == parked
        assert ran(other)["tries"] == 1 + parked


KILLED = """
import socket, sys
sys.path.insert(0, sys.argv[2])
from client import Client
c = Client(sys.argv[1], "3")
c.call("MULTI")
for row in (2, 1, 3):
    c.call("SQL", f"UPDATE r SET v = v + 1 WHERE id = {row}")
c.send("EXEC")
print("sent", flush=True)
c.recv(60)
"""


def test_a_client_that_is_killed_leaves_nothing(db, lockkeeperd):
    daemon = lockkeeperd()
    hold(db)
    program = subprocess.Popen(
        [sys.executable, "-c", KILLED, daemon.socket,
         os.path.dirname(__file__)], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout.readline() == "sent\n"
        db.wait_for_waiters(1)
        with within(250, "a killed client's unit"):
            program.send_signal(signal.SIGKILL)
            eventually(lambda: not db.busy(), "no session is busy")
    finally:
        program.kill()
        program.communicate()
    assert db.v(2) + db.v(3) == 0
    assert_nothing_left(db, daemon.connect())


def test_a_server_killed_before_commit_costs_a_replay(db, pg, lockkeeperd):
    with Proxy(pg, db.name) as proxy:
        c = lockkeeperd(proxy.conninfo, workers={"min": 1, "max": 1}).connect()
        c.sql("SELECT 1")
        holder = hold(db)
        # COMMIT waits for what the SELECT replies, so it is not sent.
        queue(c, ("SQL", update(2)), ("SQL", update(1)), ("SQL", "SELECT 1"))
        c.send("EXEC")
        db.wait_for_waiters(1)
        proxy.cut()
        holder.query("ROLLBACK")
        assert c.recv()[:2] == ["UPDATE 1"] * 2
        assert (db.v(1), db.v(2)) == (1, 1)
        said = ran(c)
        assert said["tries"] == 2 and "CONNLOST" in said["reasons"][0]


def test_a_server_killed_after_commit_was_sent_is_unknown(
        db, pg, lockkeeperd):
    with Proxy(pg, db.name) as proxy:
        c = lockkeeperd(proxy.conninfo, workers={"min": 1, "max": 1}).connect()
        c.sql("SELECT 1")
        holder = hold(db)
        queue(c, ("SQL", update(2)), ("SQL", update(1)))
        c.send("EXEC")
        db.wait_for_waiters(1)
        proxy.cut()
        bad("UNKNOWN", c.recv())
        holder.query("ROLLBACK")
        # It had come to the server, and so it was done.
        eventually(lambda: db.v(2) == 1, "the unit is committed")


def test_a_reply_too_large_is_not_why_commit_was_lost(db, lockkeeperd):
    db.sql("""ALTER TABLE r ADD w text; UPDATE r SET w = repeat('x', 30000);
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON r DEFERRABLE INITIALLY
        DEFERRED FOR EACH ROW EXECUTE FUNCTION die()""")
    c = lockkeeperd(limits={"result": "20KiB"}).connect()
    got = bad("UNKNOWN", unit(c, ("UPDATE", "r", "1", "SET", "v", "=", "1")))
    assert "COMMIT" in got
    assert db.v(1) == 0


def test_a_backend_that_is_terminated_costs_a_replay(db, lockkeeperd):
    c = lockkeeperd().connect()
    holder = hold(db)
    queue(c, ("SQL", update(2)), ("SQL", update(1)))
    c.send("EXEC")
    db.wait_for_waiters(1)
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
           f"wait_event_type = 'Lock' AND datname = '{db.name}'")
    holder.query("ROLLBACK")
    assert c.recv() == ["UPDATE 1"] * 2
    assert (db.v(1), db.v(2)) == (1, 1)


def test_a_draining_daemon_finishes_what_was_begun(db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"drain": "10s"})
    c, other, late = (daemon.connect() for _ in range(3))
    holder = hold(db)
    queue(c, ("SQL", update(1)))
    queue(late, ("SQL", update(2)))
    c.send("EXEC")
    db.wait_for_waiters(1)
    assert other.call("SHUTDOWN") == "OK"
    late.fails("CLOSING", "EXEC")
    holder.query("ROLLBACK")
    assert c.recv() == ["UPDATE 1"]
    assert daemon.exit_status(10) == 0
    daemon.forget()
    assert (db.v(1), db.v(2)) == (1, 0)


# -- what has changed meanwhile

def test_a_schema_changed_since_costs_nobody_an_error(db, c):
    verbs = [("GET", "users", "1"), ("SQL", "SELECT * FROM users"),
             ("UPDATE", "users", "1", "SET", "name", "=", "A")]
    unit(c, *verbs)
    db.sql("ALTER TABLE users ADD age int DEFAULT 5")
    got = unit(c, *verbs)
    assert got[1][0]["age"] == 5 and got[2]["name"] == "A"
    db.sql("ALTER TABLE users RENAME name TO called")
    queue(c, ("CREATE", "users", "id", "=", "5", "called", "=", "Eve"),
          ("GET", "users", "5"))
    db.sql("ALTER TABLE users RENAME called TO name")
    db.sql("ALTER TABLE users ALTER id TYPE bigint")
    got = c.try_call("EXEC")
    assert got.kind in ("NOCOLUMN", "PG") and "verb 1 (CREATE" in got
    assert unit(c, ("CREATE", "users", "id", "=", "5000000000", "name", "=",
                    "Eve"))[0]["id"] == 5000000000


def test_ddl_in_a_unit_is_seen_by_what_follows(db, c):
    assert unit(c, ("SQL", "CREATE TABLE made (a int)"),
                ("SQL", "INSERT INTO made VALUES ($1)", "4"),
                ("SQL", "SELECT a FROM made")) == [
                    "CREATE TABLE", "INSERT 0 1", [{"a": 4}]]
    eventually(lambda: c.try_call("COUNT", "made") == 1, "it is a model")


def test_nothing_of_a_session_is_left(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    unit(c, ("SQL", "SET work_mem = '77kB'"),
         ("SQL", "SELECT pg_advisory_lock(7)"),
         ("SQL", "CREATE TEMP TABLE tmp (a int)"))
    assert c.value("""SELECT current_setting('work_mem') = '77kB'
        OR to_regclass('tmp') IS NOT NULL""") is False
    assert_nothing_left(db, c)


# -- clients that others have written

def test_their_transactions_are_units(db, daemon, multi_client):
    c = multi_client.open(daemon.socket, str(multi_client.proto))

    def multi(*requests):
        return c.multi(*requests).result(15 * FACTOR / 10)

    assert multi(("SQL", update(1)),
                 ("SQL", "UPDATE r SET v = $1 WHERE id = 2", "9")) == [
                     "UPDATE 1", "UPDATE 1"]
    ok, _, done = multi(
        ("UNIT", "SERIALIZABLE", "REF", "$"),
        ("SQL", "SELECT v AS n FROM r WHERE id = 2"),
        ("MUST", "SQL", "UPDATE r SET v = $1 WHERE id = 3", "$2.n"))
    assert (ok, done) == ("OK", "UPDATE 1")
    assert (db.v(1), db.v(3)) == (1, 9)
    with pytest.raises(LkError, match="22012 verb 2"):
        multi(("SQL", update(4)), ("SQL", "SELECT 1/0"))
    with pytest.raises(LkError, match="unknown verb|EXECABORT|Unknown"):
        multi(("SQL", update(4)), ("NONSENSE",))
    assert db.v(4) == 0
    assert c.sql("SELECT 1 AS x") in ([{"x": 1}], [["x", 1]])
