"""Deadlocks and their neighbours, as far as tests/isolation cannot say it."""
import time

import pytest

from checks import assert_nothing_left, n_verdicts, update
from client import Closed, LkError, NoReply, bad
from timing import eventually


def blocking(daemon):
    return daemon.connect("3", "MODE", "blocking", "THREAD", "main")


# -- the essay's

def essay(daemon):
    """(holder, waiter) of one program: the holder's tx has row 1, and the
    waiter has sent its update of it."""
    a, b = blocking(daemon), blocking(daemon)
    a.call("BEGIN")
    a.sql(update(1))
    b.send("SQL", update(1))
    return a, b


def test_the_verdict_is_told_to_every_member(daemon):
    a, b = essay(daemon)
    bad("DEADLOCK", b.recv())
    said = b.push("deadlock", 2)
    assert {"text", "members"} <= set(said)
    assert a.push("deadlock", 2)["text"] == said["text"]
    shown, = a.show("deadlocks")
    assert said["text"] in repr(shown)
    assert b.call("SHOW", "error")["kind"] == "DEADLOCK"
    assert b.call("SHOW", "error")["retry"] == "transaction"
    assert a.call("COMMIT") == "COMMIT"


def test_again_and_again_each_has_its_own_verdict(db, daemon):
    a, b = blocking(daemon), blocking(daemon)
    for i in range(20):
        a.call("BEGIN")
        a.sql(update(1))
        bad("DEADLOCK", b.try_call("SQL", update(1)))
        assert a.call("COMMIT") == "COMMIT"
        assert b.value("SELECT v FROM r WHERE id = 1") == i + 1
    assert n_verdicts(a) == 20
    assert_nothing_left(db, a)


def test_report_mode_says_it_and_does_nothing(db, lockkeeperd):
    a, b = essay(lockkeeperd(deadlock={"mode": "report"}))
    eventually(lambda: n_verdicts(a) == 1, "it is reported")
    with pytest.raises(NoReply):
        b.recv(1.0)
    assert n_verdicts(a) == 1
    assert a.call("COMMIT") == "COMMIT"
    assert b.recv() == "UPDATE 1"


def test_report_mode_says_a_ring_once_and_postgresql_ends_it(lockkeeperd):
    c = lockkeeperd(deadlock={"mode": "report"}).connect()
    txs = [f"#{c.call('BEGIN')}" for _ in range(2)]
    for i, tx in enumerate(txs):
        c.call(tx, "SQL", update(i + 1))
    for i, tx in enumerate(txs):
        c.send(f"@{i}", tx, "SQL", update(2 - i))
    assert "deadlock: " in c.push("deadlock")["text"]
    verdict, = c.show("deadlocks")
    assert verdict["action"] == "reported"
    reply = c.until(lambda: next(
        (r for r in c.tagged.values() if isinstance(r, LkError)), None),
        "PostgreSQL's own victim", 10)
    assert "deadlock detected" in reply
    assert n_verdicts(c) == 1


# -- no verdict where somebody can still move

def test_a_holder_whose_commit_is_on_its_way_is_no_deadlock(db, lockkeeperd):
    """The blocked thread sent COMMIT on its other connection first."""
    daemon = lockkeeperd()
    db.sql("""CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER nap AFTER UPDATE ON r
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (new.v = 1) EXECUTE FUNCTION nap()""")
    a, b = blocking(daemon), blocking(daemon)
    a.call("BEGIN")
    a.sql(update(1))
    a.send("COMMIT")
    b.send("SQL", update(1))
    assert b.recv() == "UPDATE 1"
    assert a.recv() == "COMMIT"
    assert n_verdicts(a) == 0


def test_no_false_verdict_when_commit_and_update_race(db, daemon):
    a, b = blocking(daemon), blocking(daemon)
    n_late = 0
    for i in range(100):
        a.call("BEGIN")
        a.sql(update(1))
        sent = time.monotonic()
        b.send("SQL", update(1))
        time.sleep((i % 25) / 1000 / 5)
        a.send("COMMIT")
        is_late = time.monotonic() - sent > 0.010
        assert a.recv() == "COMMIT"
        reply = b.recv()
        # This machine may let the COMMIT wait until after the first look:
        # then it was a deadlock.
        if is_late and isinstance(reply, LkError):
            assert reply.kind == "DEADLOCK"
            n_late += 1
        else:
            assert reply == "UPDATE 1"
    assert db.v(1) == 200 - n_late
    assert n_verdicts(a) == n_late < 50


# -- AWAIT

def test_await_is_accepted_in_all_its_forms(daemon):
    c = daemon.connect()
    for words in (["a", "b"], ["a", "ALL", "b", "c"], ["a", "any", "b", "c"],
                  ["a"], ["a", "never-seen"], ["a"]):
        assert c.call("AWAIT", *words) == "OK"
    for words in ([], ["a", "ANY"]):
        c.fails("SYNTAX", "AWAIT", *words)


def test_await_acts_at_once_though_the_tasks_request_is_out(db, daemon):
    c = daemon.connect()
    c.send("@s", "%a", "SQL", "SELECT pg_sleep(0.4)")
    c.send("@w", "%a", "AWAIT", "a", "b")
    assert c.tag("w") == "OK"
    assert not c.has_reply("s")
    c.send("@w", "AWAIT", "a")
    assert c.tag("w") == "OK"
    c.tag("s")


def test_awaited_tasks_are_shown_and_forgotten(daemon):
    c = daemon.connect()
    c.call("AWAIT", "a", "b")
    shown = repr(c.show("tasks"))
    assert "'a'" in shown and "'b'" in shown
    c.call("AWAIT", "a")
    assert "'b'" not in repr(c.show("tasks"))


def test_a_task_that_awaits_is_gone_with_its_client(daemon):
    c, other = daemon.connect(), daemon.connect()
    c.call("AWAIT", "a", "b")
    c.close()
    eventually(lambda: "'b'" not in repr(other.show("tasks")),
               "its tasks are gone")
    with pytest.raises(Closed):
        c.pump(0)
