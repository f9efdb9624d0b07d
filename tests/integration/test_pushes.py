"""Pushes, key by key.

A lint looks for a function that waits for a push and names each of its keys.
"""
import signal

import pytest

from checks import update
from client import bad, good
from timing import eventually


@pytest.fixture
def lk(lockkeeperd):
    return lockkeeperd(deadlock={"notify": "20ms"})


def test_lockwait_says_who_waits_for_what_and_whom(db, lk):
    holder = lk.connect("3", "NAME", "billing")
    c = lk.connect("3", "NAME", "shop")
    held = holder.call("%invoice", "BEGIN")
    holder.call(f"#{held}", "SQL", update(1))
    pid = int(db.backends("state = 'idle in transaction'")[0][0])
    tx = c.call("%basket", "BEGIN")
    c.send("@w", f"#{tx}", "SQL", update(1))
    said = c.push("lockwait")
    assert said.pop("waiting_ms") >= 20
    blocker, = said.pop("blockers")
    assert list(said.items()) == [
        ("tag", "w"), ("task", "basket"), ("tx", tx),
        ("object", "row (0,1) of r")]
    assert blocker.pop("idle_ms") >= 20
    assert blocker.pop("client").startswith("client billing (pid ")
    assert list(blocker.items()) == [
        ("pid", pid), ("tx", held), ("task", "invoice"), ("state", "idle"),
        ("doing", "SQL UPDATE r SET v = v + ? WHERE id = ?")]
    holder.call(f"#{held}", "ROLLBACK")
    good(c.tag("w"))


def test_lockwait_names_another_program_and_a_prepared_transaction(db, lk):
    foreign = db.connect("report")
    foreign.query(f"BEGIN; {update(1)}")
    db.sql(f"BEGIN; {update(2)}; PREPARE TRANSACTION 'p1'")
    c = lk.connect()
    c.send("@1", "SQL", update(1))
    said = c.push("lockwait")
    assert (said["task"], said["tx"]) == (None, None)
    blocker, = said["blockers"]
    assert blocker.pop("idle_ms") >= 0
    doing = blocker.pop("doing")
    assert doing is None or doing.startswith("BEGIN; UPDATE r")
    assert blocker == {
        "pid": foreign.pid, "tx": None, "task": None, "client": "report",
        "state": "idle in transaction"}
    c.send("@2", "SQL", update(2))
    assert c.push("lockwait")["blockers"] == [{
        "pid": 0, "tx": None, "task": None, "client": "p1",
        "state": "prepared", "idle_ms": 0, "doing": None}]
    foreign.query("ROLLBACK")
    db.sql("ROLLBACK PREPARED 'p1'")
    for tag in "12":
        good(c.tag(tag))


def test_blocking_says_what_is_waited_for_and_by_whom(db, lk):
    holder = lk.connect("3", "NAME", "billing")
    c = lk.connect("3", "NAME", "shop")
    held = holder.call("%invoice", "BEGIN")
    holder.call(f"#{held}", "SQL", update(1))
    tx = c.call("%basket", "BEGIN")
    c.send("@w", f"#{tx}", "SQL", update(1))
    said = holder.push("blocking")
    assert said.pop("waiting_ms") >= 20
    waiter = said.pop("waiter")
    assert list(said.items()) == [
        ("tx", held), ("task", "invoice"), ("object", "row (0,1) of r"),
        ("waiters", 1)]
    assert waiter.pop("client").startswith("client shop (pid ")
    assert list(waiter.items()) == [
        ("pid", int(db.backends("wait_event_type = 'Lock'")[0][0])),
        ("tx", tx), ("task", "basket"),
        ("doing", "SQL UPDATE r SET v = v + ? WHERE id = ?")]
    assert holder.call("SHOW", "stats")["blockings"] == 1
    holder.call(f"#{held}", "ROLLBACK")
    good(c.tag("w"))
    assert not [p for p in c.pushes if p[0] == "blocking"]


def test_blocking_names_another_program_when_it_is_seen(db, lockkeeperd):
    """By a look that timeouts.idle_holder asks for, since no other is."""
    lk = lockkeeperd(deadlock={"notify": "20ms"},
                     timeouts={"idle_holder": "4s"})
    holder = lk.connect()
    held = holder.call("BEGIN")
    holder.call(f"#{held}", "SQL", update(1))
    foreign = db.connect("report")
    foreign.start(update(1))
    said = holder.push("blocking")
    assert (said["tx"], said["task"], said["waiters"]) == (held, None, 1)
    doing = said["waiter"].pop("doing")
    assert doing is None or doing.startswith("UPDATE r SET v = v + ?")
    assert said["waiter"] == {"pid": foreign.pid, "tx": None, "task": None,
                              "client": "report"}
    holder.call(f"#{held}", "COMMIT")


def test_blocking_is_said_once_however_many_wait(db, lockkeeperd):
    lk = lockkeeperd(deadlock={"notify": "300ms"},
                     workers={"min": 1, "max": 30})
    holder, c = lk.connect(), lk.connect()
    held = holder.call("BEGIN")
    holder.call(f"#{held}", "SQL", update(1))

    def n_told():
        holder.pump(0)
        return sum(p[0] == "blocking" for p in holder.pushes)

    for round_of in (0, 1):
        for i in range(25):
            c.send(f"@{round_of}.{i}", f"%w{i}", "SQL", update(1))
        db.wait_for_waiters(25)
        eventually(n_told, "it is told")
        assert 1 < holder.push("blocking")["waiters"] <= 25
        c.pump(1.0)
        assert n_told() == 0, "not for each, nor again"
        for i in range(25):
            c.call("CANCEL", f"{round_of}.{i}")
            bad("CANCELED", c.tag(f"{round_of}.{i}"))
    holder.call(f"#{held}", "ROLLBACK")
    assert holder.call("SHOW", "stats")["blockings"] == 2


def test_blocking_is_not_said_of_a_short_wait(db, lockkeeperd):
    lk = lockkeeperd(deadlock={"notify": "5s"})
    holder, c = lk.connect(), lk.connect()
    held = holder.call("BEGIN")
    holder.call(f"#{held}", "SQL", update(1))
    c.send("@w", "SQL", update(1))
    eventually(lambda: holder.show("waits"), "it is seen to wait")
    holder.pump(0.6)
    assert not [p for p in holder.pushes if p[0] == "blocking"]
    holder.call(f"#{held}", "ROLLBACK")
    good(c.tag("w"))


def test_txexpired_says_which_and_why(daemon):
    c, other = daemon.connect(), daemon.connect("3", "NAME", "operator")
    handle = c.call("BEGIN")
    other.call("KILL", handle)
    said = c.push("txexpired")
    error = c.fails("TXEXPIRED", f"#{handle}", "COMMIT")
    assert said == {"tx": handle, "text": error.message}
    assert "KILL of client operator" in said["text"]


def test_deadlock_tells_every_member_the_same(daemon):
    a, b = (daemon.connect("3", "MODE", "blocking", "THREAD", "t")
            for _ in range(2))
    a.call("BEGIN")
    a.sql(update(1))
    error = bad("DEADLOCK", b.try_call("SQL", update(1)))
    shown, = a.show("deadlocks")
    for member in (a, b):
        assert member.push("deadlock") == {
            "text": error.message, "members": shown["members"]}
    a.call("ROLLBACK")


def test_closing_says_how_long_open_work_may_go_on(lockkeeperd):
    daemon = lockkeeperd(timeouts={"drain": "20s"})
    c = daemon.connect()
    handle = c.call("BEGIN")
    daemon.send_signal(signal.SIGTERM)
    assert c.push("closing") == {
        "text": "the daemon is shutting down: open transactions may end, "
                "nothing new is begun",
        "within_ms": 20000}
    assert c.call(f"#{handle}", "COMMIT") == "COMMIT"
    assert daemon.exit_status() == 0


def test_none_are_sent_on_resp2(lk):
    holder, c = lk.connect(), lk.connect("2")
    held = holder.call("BEGIN")
    holder.call(f"#{held}", "SQL", update(1))
    c.send("@w", "SQL", update(1))
    eventually(lambda: holder.show("waits"), "it is seen to wait")
    assert c.is_silent(0.2)
    holder.call("KILL", held)
    good(c.tag("w"))
    assert not c.pushes
    assert c.call("PING") == "PONG"
