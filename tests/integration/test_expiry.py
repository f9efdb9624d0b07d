"""Transactions that the daemon ends against their client's will."""
import pytest

from checks import update
from timing import eventually, within


def expire_by_idling(c, tx):
    del c, tx


def expire_by_kill(c, tx):
    assert c.call("KILL", tx[1:]) == "OK"


@pytest.mark.parametrize("how", [expire_by_idling, expire_by_kill])
def test_its_locks_go_and_its_client_is_told(db, lockkeeperd, how):
    daemon = lockkeeperd(timeouts={"idle_in_transaction": "300ms"})
    c, other = daemon.connect("3"), daemon.connect("3")
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    with within(600, f"locks gone, {how.__name__}"):
        how(other, tx)
        other.call("SQL", update(1), timeout_s=10)
    assert c.push("txexpired")["tx"] == int(tx[1:])
    assert tx in c.fails("TXEXPIRED", tx, "SQL", update(2)).message
    c.fails("TXEXPIRED", tx, "SAVEPOINT", "s")
    assert c.call(tx, "ROLLBACK") == "ROLLBACK"
    c.fails("NOTX", tx, "ROLLBACK")
    assert (db.v(1), db.v(2)) == (1, 0)


def test_control_without_the_timeout_it_stays(db, daemon):
    del db
    c, other = daemon.connect("3"), daemon.connect("3")
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    other.send("@w", "SQL", update(1))
    assert other.is_silent(1.0)
    c.call(tx, "COMMIT")
    other.tag("w")


def test_commit_of_an_expired_one_says_so_and_ends_it(lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_in_transaction": "100ms"})
    c = daemon.connect("3", "NAME", "billing")
    tx = f"#{c.call('%invoice', 'BEGIN')}"
    c.call("%invoice", tx, "SQL", "SELECT 1")
    text = c.push("txexpired")["text"]
    for words in ("it held a session of main (pid ", "idle for longer than "
                  "timeouts.idle_in_transaction (100 ms)", "task invoice of "
                  "client billing (pid ", "idle in transaction for ",
                  " ms after SQL SELECT ?"):
        assert words in text, (words, text)
    eventually(lambda: c.show("transactions")[0]["state"] == "aborted",
               "it is rolled back")
    c.fails("TXEXPIRED", tx, "COMMIT")
    c.fails("NOTX", tx, "COMMIT")


def test_a_statement_that_runs_is_not_idle(lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_in_transaction": "100ms"})
    c = daemon.connect("3")
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", "SELECT pg_sleep(0.5)")
    assert c.call(tx, "COMMIT") == "COMMIT"


def test_one_that_has_not_begun_holds_nothing_and_stays(lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_in_transaction": "100ms"})
    c = daemon.connect("3")
    tx = f"#{c.call('BEGIN')}"
    assert c.is_silent(0.4)
    assert c.call(tx, "SQL", "SELECT 1 AS x") == [{"x": 1}]


@pytest.mark.parametrize("statement", ["SELECT pg_sleep(30)", update(1)])
def test_kill_ends_a_running_statement_with_one_reply(db, daemon, statement):
    holder, c = daemon.connect("3"), daemon.connect("3")
    held = f"#{holder.call('BEGIN')}"
    holder.call(held, "SQL", update(1))
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(2))
    c.send("@s", tx, "SQL", statement)
    assert c.is_silent(0.1)
    with within(250, "KILL of a running one"):
        holder.call("KILL", tx[1:])
        assert c.tag("s").kind == "TXEXPIRED"
    assert c.is_silent(0.1)
    assert c.call(tx, "ROLLBACK") == "ROLLBACK"
    holder.call(held, "ROLLBACK")
    assert (db.v(1), db.v(2)) == (0, 0)


def test_kill_of_one_waiting_for_its_slot(lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 1})
    a, b = daemon.connect("3"), daemon.connect("3")
    a.send("@s", "SQL", "SELECT pg_sleep(0.5)")
    tx = f"#{b.call('BEGIN')}"
    b.send("@q", tx, "SQL", "SELECT 1")
    eventually(lambda: b.show("transactions")[0]["state"] == "queued",
               "it is queued")
    a.call("KILL", tx[1:])
    assert b.tag("q").kind == "TXEXPIRED"
    b.fails("TXEXPIRED", tx, "COMMIT")
    a.tag("s")


def test_kill_of_none(daemon):
    c = daemon.connect()
    c.fails("NOTX", "KILL", "1")
    c.fails("NOTX", "KILL", "all")
