"""Transactions that keep others waiting: ended by timeouts.idle_holder."""
import time

import pytest

from checks import assert_nothing_left, update
from client import bad, good
from timing import eventually, stays, within


def hold(client, row_id=1, task="invoice"):
    """A tx that has changed the row and is idle from now on."""
    tx = f"#{client.call(f'%{task}', 'BEGIN')}"
    client.call(tx, "SQL", update(row_id))
    return tx


def looks(client):
    return client.call("SHOW", "stats")["looks"]


@pytest.fixture
def two_s(lockkeeperd):
    return lockkeeperd(workers={"min": 2, "max": 16},
                       timeouts={"idle_holder": "2s"})


# -- 22: the holder's program sleeps

def test_22_an_idle_holder_is_rolled_back_for_those_who_wait(db, two_s):
    holder = two_s.connect("3", "NAME", "billing")
    c = two_s.connect("3", "NAME", "shop")
    with within(250, "scenario 22: rolled back, beyond idle_holder") as w:
        w.start += 2
        tx = hold(holder)
        pid = db.backends("state = 'idle in transaction'")[0][0]
        for i in range(10):
            c.send(f"@{i}", f"%basket{i}", "SQL", update(1))
        for i in range(10):
            assert c.tag(str(i)) == "UPDATE 1"
    assert w.took_ms > -250, "no sooner than that"
    said = holder.push("txexpired")
    assert said["tx"] == int(tx[1:])
    error = holder.fails("TXEXPIRED", tx, "SQL", update(2))
    assert error.sqlstate == "25P03" and error.message == said["text"]
    for words in (f"{tx} was rolled back", f"(pid {pid})", "idle for longer "
                  "than timeouts.idle_holder (2000 ms)", "task basket",
                  "client shop", "row (0,1) of r", ", and 9 more",
                  "task invoice of client billing",
                  "after SQL UPDATE r SET v = v + ? WHERE id = ?"):
        assert words in error.message, (words, error.message)
    two_s.says(error.message.split(": ", 1)[1].split("; ROLLBACK")[0])
    assert holder.call(tx, "ROLLBACK") == "ROLLBACK"
    assert (db.v(1), db.v(2)) == (10, 0)
    assert_nothing_left(db, c)


def test_one_who_gives_up_waiting_counts_no_more(db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_holder": "1s"})
    holder, c = daemon.connect(), daemon.connect()
    tx = hold(holder)
    c.fails("LOCKTIMEOUT", "?300", "SQL", update(1))
    assert holder.is_silent(1.5) and not holder.pushes
    assert holder.call(tx, "COMMIT") == "COMMIT"
    assert db.v(1) == 1


def test_one_who_works_is_not_idle(lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_holder": "300ms"})
    holder, c = daemon.connect(), daemon.connect()
    tx = hold(holder)
    c.send("@w", "SQL", update(1))
    holder.call(tx, "SQL", "SELECT pg_sleep(0.8)")
    for _ in range(8):
        time.sleep(0.1)
        holder.call(tx, "SQL", "SELECT 1")
    assert holder.call(tx, "COMMIT") == "COMMIT"
    good(c.tag("w"))


def test_another_programs_wait_counts_though_nothing_of_ours_is_out(db, two_s):
    holder = two_s.connect()
    tx = hold(holder)
    foreign = db.connect("report")
    with within(500, "a foreign waiter goes on, beyond idle_holder") as w:
        w.start += 2
        foreign.query(update(1))
    error = holder.fails("TXEXPIRED", tx, "COMMIT")
    assert f"backend {foreign.pid} of another program (report, user " \
        in error.message
    assert "row (0,1) of r" in error.message
    assert db.v(1) == 1


def test_those_behind_a_queued_alter_count_by_its_root(db, two_s):
    """Who only reads holds up the reader behind the ALTER."""
    holder, c = two_s.connect(), two_s.connect()
    tx = f"#{holder.call('BEGIN')}"
    holder.call(tx, "SQL", "SELECT count(*) FROM r")
    c.send("@alter", "SQL", "ALTER TABLE r ADD COLUMN w int")
    db.wait_for_waiters(1)
    c.send("@read", "SQL", "SELECT count(*) AS n FROM r")
    with within(2500, "both go on"):
        assert c.tag("alter") == "ALTER TABLE"
        assert c.tag("read") == [{"n": 100}]
    message = holder.fails("TXEXPIRED", tx, "COMMIT").message
    assert "table r" in message and ", and 1 more" in message


def test_reload_applies_it_to_waits_under_way(db, daemon):
    holder, c = daemon.connect(), daemon.connect()
    tx = hold(holder)
    c.send("@w", "SQL", update(1))
    db.wait_for_waiters(1)
    assert c.is_silent(0.5)
    daemon.configure(timeouts={"idle_holder": "100ms"})
    c.call("RELOAD")
    with within(350, "it is rolled back"):
        good(c.tag("w"))
    bad("TXEXPIRED", holder.try_call(tx, "COMMIT"))
    assert db.v(1) == 1


def test_report_keeps_to_it_and_off_sees_nobody(db, lockkeeperd):
    for mode in ("report", "off"):
        daemon = lockkeeperd(timeouts={"idle_holder": "100ms"},
                             deadlock={"mode": mode})
        holder, c = daemon.connect(), daemon.connect()
        tx = hold(holder)
        c.send("@w", "SQL", update(1))
        if mode == "report":
            good(c.tag("w"))
            holder.fails("TXEXPIRED", tx, "COMMIT")
        else:
            assert c.is_silent(0.8)
            assert looks(c) == 0
            holder.call(tx, "ROLLBACK")
            good(c.tag("w"))
    assert db.v(1) == 2


# -- how often it looks for that

def test_an_idle_tx_is_looked_at_twice_in_that_time(lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_holder": "800ms"})
    c = daemon.connect()
    c.sql("SELECT 1")
    before = looks(c)	# one, if that was slow
    stays(lambda: looks(c) == before, "no tx, no look", 0.6)
    tx = hold(c)
    before = looks(c)
    time.sleep(2.2)
    assert 3 <= looks(c) - before <= 7
    c.call(tx, "COMMIT")
    before = looks(c)
    time.sleep(1)
    assert looks(c) - before <= 1


def test_control_without_it_an_idle_tx_is_not_looked_at(daemon):
    c = daemon.connect()
    hold(c)
    before = looks(c)
    time.sleep(1.2)
    assert looks(c) == before


def test_a_short_one_is_bounded_by_the_bucket(db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_holder": "1ms"})
    c = daemon.connect()
    tx = hold(c)
    time.sleep(2)
    assert looks(c) <= 10 * 2 + 10 + 5, "ten a second, after a burst of ten"
    foreign = db.connect()
    foreign.query(update(1))
    eventually(lambda: c.push("txexpired"), "it is told")
    c.fails("TXEXPIRED", tx, "COMMIT")
