"""Rows that are known by their keys: who waits for them in the daemon, and what
is to be seen of it."""
import statistics
import time

import pytest

from checks import assert_nothing_left, n_verdicts
from client import bad, good
from timing import eventually, stays, within


def add(c, row, *envelope, by=1):
    c.send(*envelope, "UPDATE", "r", row, "SET", "v", "+=", by)


def begin(c, task, *rows):
    """A transaction that has these rows."""
    tx = f"#{c.call(f'%{task}', 'BEGIN')}"
    for row in rows:
        add(c, row, tx)
        assert good(c.recv())["id"] == row
    return tx


def test_show_lanes_and_waits_tell_of_them(db, lockkeeperd):
    c = lockkeeperd().connect("3", "NAME", "shop")
    tx = begin(c, "first", 1)
    add(c, 1, "@w", "%second")
    add(c, "01", "@x", "%third")
    lane, = eventually(lambda: c.show("lanes"), "a lane")
    assert lane["database"] == "main"
    assert lane["model"] == "r"
    assert lane["key"] == "1"
    assert f"{tx} of task first of client shop" in lane["holder"]
    assert lane["strength"] == "no key update"
    assert lane["waiting"] == 2
    assert 0 <= lane["waiting_ms"] < 60000
    assert lane["commits"] == "in groups"
    wait = c.show("waits")[0]
    assert (wait["task"], wait["tag"], wait["pid"]) == ("second", "w", None)
    assert wait["object"] == "row in r"
    assert wait["mode"] == "no key update"
    assert f"held by {tx} of task first" in wait["blockers"]
    assert not db.n_waiting()
    assert c.call(tx, "COMMIT") == "COMMIT"
    assert [good(c.tag(t))["v"] for t in "wx"] == [2, 3]
    assert c.show("lanes") == []
    assert c.call("SHOW", "stats")["laned"] == 2
    assert_nothing_left(db, c)


def test_a_ring_is_refused_without_a_look(db, lockkeeperd):
    c = lockkeeperd(deadlock={"first_look": "10s"}).connect("3")
    a, b = begin(c, "a", 1), begin(c, "b", 2)
    add(c, 2, "@a", a)
    eventually(lambda: c.show("lanes"), "a waits")
    add(c, 1, "@b", b)
    error = bad("DEADLOCK", c.tag("b"))
    for words in ("task a of client", "task b of client", a, b, "row in r"):
        assert words in error
    assert good(c.tag("a"))["v"] == 1
    c.fails("TXABORTED", b, "COMMIT")
    c.call(a, "COMMIT")
    deadlock, = c.show("deadlocks")
    assert deadlock["action"] == "failed"
    assert deadlock["verdict_us"] < 20000	# 2 ms are promised
    stats = c.call("SHOW", "stats")
    assert stats["deadlocks_refused"] == stats["deadlock_victims"] == 1
    assert stats["looks"] == 0
    assert_nothing_left(db, c)


def test_control_a_ring_of_sql_takes_a_look(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    a, b = begin(c, "a", 1), begin(c, "b", 2)
    c.send("@a", a, "SQL", "UPDATE r SET v = 9 WHERE id = 2")
    c.send("@b", b, "SQL", "UPDATE r SET v = 9 WHERE id = 1")
    c.until(lambda: c.tagged, "a verdict")
    stats = c.call("SHOW", "stats")
    assert stats["deadlocks_refused"] == 0 and stats["looks"] > 0
    assert n_verdicts(c) == 1
    del db


@pytest.mark.parametrize("option", ["REPEATABLE READ", "SERIALIZABLE"])
def test_no_ring_of_older_snapshots_is_refused_unasked(db, lockkeeperd,
                                                       option):
    c = lockkeeperd().connect("3")
    txs = []
    for i, task in enumerate("ab"):
        txs.append(f"#{c.call(f'%{task}', 'BEGIN', *option.split())}")
        add(c, i + 1, txs[-1])
        good(c.recv())
    add(c, 2, "@a", txs[0])
    add(c, 1, "@b", txs[1])
    c.until(lambda: c.tagged, "a verdict")
    assert c.call("SHOW", "stats")["deadlocks_refused"] == 0
    del db


def test_a_timed_out_wait_fails_the_transaction_as_postgresql_does(
        db, lockkeeperd):
    c = lockkeeperd().connect("3")
    a, b = begin(c, "a", 1), begin(c, "b", 2)
    c.call(b, "SAVEPOINT", "s")
    add(c, 1, b, "?50")
    assert "row" in bad("LOCKTIMEOUT", c.recv())
    c.fails("TXABORTED", b, "SQL", "SELECT 1")
    c.call(b, "ROLLBACK", "TO", "s")
    add(c, 3, b)
    good(c.recv())
    c.call(b, "COMMIT")
    c.call(a, "COMMIT")
    assert [db.v(i) for i in (1, 2, 3)] == [1, 1, 1]


def test_a_savepoint_gives_its_rows_back(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    tx = begin(c, "a", 1)
    c.call(tx, "SAVEPOINT", "s")
    add(c, 2, tx)
    good(c.recv())
    add(c, 1, "@one")
    add(c, 2, "@two")
    eventually(lambda: len(c.show("lanes")) == 2, "both wait")
    c.call(tx, "ROLLBACK", "TO", "s")
    assert good(c.tag("two"))["v"] == 1
    assert not c.has_reply("one")
    c.call(tx, "COMMIT")
    assert good(c.tag("one"))["v"] == 2
    assert_nothing_left(db, c)


def test_another_programs_lock_is_waited_for_by_one(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 3}).connect("3")
    with db.connect() as other:
        other.query("BEGIN")
        other.query("UPDATE r SET v = 100 WHERE id = 1")
        for i in range(50):
            add(c, 1, f"@w{i}")
        with within(200, "20 others beside 50 that wait"):
            for i in range(20):
                add(c, 2 + i)
            for i in range(20):
                good(c.recv())
        assert db.n_waiting() <= 1
        other.query("COMMIT")
    for i in range(50):
        good(c.tag(f"w{i}"))
    assert db.v(1) == 150
    assert n_verdicts(c) == 0
    assert_nothing_left(db, c)


def test_an_idle_holder_ends_for_who_waits_in_a_lane(db, lockkeeperd):
    c = lockkeeperd(timeouts={"idle_holder": "300ms"}).connect("3")
    tx = begin(c, "a", 1)
    stays(lambda: c.show("transactions"), "nobody waits for it", 0.6)
    add(c, 1, "@w")
    assert good(c.tag("w"))["v"] == 1
    c.fails("TXEXPIRED", tx, "COMMIT")
    assert_nothing_left(db, c)


def test_scenario_28_a_convoy_is_fair_and_disturbs_nobody(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 4, "max": 4}).connect("3")
    other = c		# one connection, as coroutines have
    n_tasks, n_each = 200, 20
    began, took, left, others = {}, [], {}, []
    before, passed = {}, []	# by how many, from sending it to its reply

    def ask(tag):
        began[tag] = time.monotonic()
        before[tag] = len(took)
        add(c, 1, f"@{tag}", f"%{tag}")

    for i in range(n_tasks):
        left[f"t{i}"] = n_each - 1
        ask(f"t{i}")
    asked = time.monotonic()
    add(other, 2, "@other", "%other")
    while left:
        c.until(lambda: c.tagged, "a reply")
        tag, value = c.tagged.popitem()
        good(value)
        if tag == "other":
            others.append(time.monotonic() - asked)
            asked = time.monotonic()
            add(other, 2, "@other", "%other")
            continue
        passed.append(len(took) - before[tag])
        took.append(time.monotonic() - began[tag])
        if left[tag] == 0:
            del left[tag]
            continue
        left[tag] -= 1
        ask(tag)
    good(c.tag("other"))
    assert db.v(1) == n_tasks * n_each
    # In turn, all others have had theirs; those that came at once have no order.
    assert max(passed) <= 5 * n_tasks, "somebody starved"
    # Another row's writer does not stand behind two hundred of this one's.
    assert statistics.median(others) < max(statistics.median(took), 0.05)
    assert n_verdicts(c) == 0
    assert_nothing_left(db, c)


def test_transactions_do_not_starve_a_statement(db, lockkeeperd):
    """There is always one that has a session, and wants the row."""
    c = lockkeeperd(workers={"min": 4, "max": 4}).connect("3")
    txs = {}

    def open_one(task):
        txs[task] = begin(c, task, int(task))
        add(c, 1, f"@{task}", f"%{task}", txs[task])

    def end_one(how):
        """Of those who have the row, once one does."""
        c.until(lambda: c.tagged.keys() & txs.keys(), "one has the row")
        task = (c.tagged.keys() & txs.keys()).pop()
        good(c.tag(task))
        c.call(f"%{task}", txs.pop(task), how)
        return task

    for task in ("2", "3", "4"):
        open_one(task)
    add(c, 1, "@w", "%w")
    n_before = 0
    with within(1000, "a statement beside transactions without end"):
        while not c.has_reply("w") and n_before < 5000:
            open_one(end_one("COMMIT"))
            n_before += 1
        assert good(c.tag("w", 0.1))["v"] <= n_before + 1
    while txs:
        end_one("ROLLBACK")
    assert_nothing_left(db, c)
