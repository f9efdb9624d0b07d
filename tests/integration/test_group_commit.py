"""Writes of one row that share a transaction, and what each of them gets."""
import select

import pytest

from checks import assert_nothing_left
from client import LkError, good
from timing import eventually


def commits(db):
    return int(db.value("SELECT xact_commit FROM pg_stat_database "
                        "WHERE datname = current_database()"))


def flood(c, n, *words, prefix="w"):
    """Reading meanwhile: of who waits long a push tells, and who leaves a
    megabyte of these unread is not read from."""
    for i in range(n):
        while not select.select([], [c.sock], [], 0)[1]:
            c.pump(0.01)
        c.send(f"@{prefix}{i}", *(str(w).replace("{i}", str(i))
                                  for w in words))


def replies(c, n, prefix="w"):
    return [c.tag(f"{prefix}{i}") for i in range(n)]


def hot(c, n, tasks=200):
    """n updates of row 1, by so many tasks that each await their own."""
    left, done = n, []
    for i in range(min(tasks, n)):
        c.send(f"@w{i}", f"%t{i}", "UPDATE", "r", "1", "SET", "v", "+=", "1")
        left -= 1
    number = tasks
    while len(done) < n:
        c.until(lambda: c.tagged, "a reply")
        tag, value = c.tagged.popitem()
        done.append(good(value)["v"])
        if left > 0:
            left -= 1
            number += 1
            c.send(f"@w{number}", f"%{tag}", "UPDATE", "r", "1", "SET", "v",
                   "+=", "1")
    return done


def test_a_hot_row_costs_few_commits(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 4, "max": 4})
    c = daemon.connect("3")
    hot(c, 10)
    before = commits(db)
    values = hot(c, 4000)
    # Each has the row as it has left it.
    assert sorted(values) == list(range(11, 4011))
    assert db.v(1) == 4010
    s = c.call("SHOW", "stats")
    assert s["grouped"] > 1000 and s["groups"] < s["grouped"] / 4, s
    assert s["group_replays"] == 0
    # Sessions say what they have done now and then, and when they end.
    daemon.stop()
    assert commits(db) - before < 4000 - s["grouped"] / 2

def test_a_group_is_no_larger_than_batch_max(db, lockkeeperd):
    c = lockkeeperd(batch={"max": 4}).connect("3")
    assert sorted(hot(c, 400)) == list(range(1, 401))
    s = c.call("SHOW", "stats")
    assert 0 < s["grouped"] <= 4 * s["groups"]
    assert db.v(1) == 400


def test_control_without_groups_each_commits(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 4, "max": 4},
                    batch={"group_commit": "off"}).connect("3")
    assert sorted(hot(c, 500)) == list(range(1, 501))
    s = c.call("SHOW", "stats")
    assert s["groups"] == s["grouped"] == 0
    assert s["laned"] > 0
    assert db.v(1) == 500
    assert_nothing_left(db, c)


def test_one_that_fails_fails_alone(db, lockkeeperd):
    db.sql("ALTER TABLE r ADD CHECK (v <> 50)")
    c = lockkeeperd().connect("3")
    # Each says what the row is to be, and one of them what it must not be.
    flood(c, 100, "UPDATE", "r", "1", "SET", "v", "=", "{i}")
    got = replies(c, 100)
    for i, reply in enumerate(got):
        if i == 50:
            assert reply.kind == "PG" and reply.sqlstate == "23514"
        else:
            assert good(reply) == {"id": 1, "v": i}
    s = c.call("SHOW", "stats")
    assert s["group_replays"] >= 1
    assert s["errors"] == 1
    assert db.v(1) != 50
    assert_nothing_left(db, c)


def test_each_has_its_own_null_and_count(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    c.call("SQL", "UPDATE r SET v = 5 WHERE id = 1")
    flood(c, 50, "UPDATE", "r", "1", "SET", "v", "-=", "1", "IF", "v", ">",
          "0")
    got = [good(r) for r in replies(c, 50)]
    assert sum(r is not None for r in got) == 5
    assert sorted(r["v"] for r in got if r) == [0, 1, 2, 3, 4]
    assert db.v(1) == 0
    # One deletes it, outside of groups, and what comes later finds nothing.
    flood(c, 20, "DELETE", "r", "1")
    assert sum(good(r) for r in replies(c, 20)) == 1


def test_a_failing_constraint_at_commit_is_told_to_whom_it_concerns(
        db, lockkeeperd):
    db.sql("CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE "
           "DEFERRABLE INITIALLY DEFERRED, w int);"
           "INSERT INTO t VALUES (1, 1, 0), (2, 2, 0)")
    c = lockkeeperd(batch={"group_commit": "always"}).connect("3")
    for i in range(40):
        c.send(f"@w{i}", "UPDATE", "t", "1", "SET",
               *(("v", "=", "2") if i == 20 else ("w", "+=", "1")))
    for i, reply in enumerate(replies(c, 40)):
        if i == 20:
            assert reply.sqlstate == "23505"
        else:
            assert good(reply)["v"] == 1
    assert db.value("SELECT w FROM t WHERE id = 1") == "39"


@pytest.mark.parametrize("what", [
    "CREATE INDEX ON r (v)",
    "CREATE INDEX ON r ((v + 1))",
    "CREATE INDEX ON r (id) WHERE v > 0",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE UPDATE ON r "
    "FOR EACH ROW EXECUTE FUNCTION f()",
    "ALTER TABLE r ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE r ADD w int GENERATED ALWAYS AS (v * 2) STORED;"
    "CREATE INDEX ON r (w)",
    "CREATE TABLE kid () INHERITS (r)",
    "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o "
    "SELECT generate_series(0, 300);"
    "ALTER TABLE r ADD FOREIGN KEY (v) REFERENCES o",
], ids=lambda what: what[:40])
def test_what_more_hangs_on_has_a_commit_of_its_own(db, lockkeeperd, what):
    db.sql(what)
    c = lockkeeperd(workers={"min": 1, "max": 4}).connect("3")
    flood(c, 100, "UPDATE", "r", "1", "SET", "v", "+=", "1")
    assert [good(r)["v"] for r in replies(c, 100)] == list(range(1, 101))
    assert c.call("SHOW", "stats")["groups"] == 0


def test_a_cancelled_one_has_done_nothing_and_the_others_have(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    with db.connect() as other:
        other.query("BEGIN")
        other.query("UPDATE r SET v = 0 WHERE id = 1")
        flood(c, 20, "UPDATE", "r", "1", "SET", "v", "+=", "1")
        eventually(lambda: len(c.show("waits")) >= 20, "all wait")
        assert c.call("CANCEL", "w7") == 1
        assert c.tag("w7").kind == "CANCELED"
        other.query("COMMIT")
    for i in range(20):
        if i != 7:
            good(c.tag(f"w{i}"))
    assert db.v(1) == 19
    assert_nothing_left(db, c)


def test_after_killed_sessions_nothing_is_done_twice(db, lockkeeperd):
    """Whoever is told so has done it once; of the UNKNOWN nobody knows."""
    daemon = lockkeeperd(workers={"min": 2, "max": 2})
    c, n, unknown, done, killed = daemon.connect("3"), 3000, 0, 0, 0
    flood(c, n, "UPDATE", "r", "1", "SET", "v", "+=", "1")
    for i in range(n):
        reply = c.tag(f"w{i}")
        if isinstance(reply, LkError):
            assert reply.kind in ("UNKNOWN", "PG", "CONNLOST"), reply.line
            unknown += reply.kind == "UNKNOWN"
        else:
            done += 1
        if i % 500 == 100:
            killed += 1
            db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                   "WHERE application_name = 'lockkeeper' "
                   "AND datname = current_database()")
    assert killed and done + unknown > 0
    assert done <= db.v(1) <= done + unknown
