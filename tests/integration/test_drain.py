"""Ending: what is open may finish for a while, nothing new is begun."""
import signal

import pytest

from checks import update
from client import Closed, bad, good
from timing import eventually, stays, within


def sees_draining(client):
    return client.push("closing")


@pytest.fixture
def stage(lockkeeperd):
    """A daemon with patience, a client with an open tx, and another one."""
    daemon = lockkeeperd(timeouts={"drain": "20s"})
    c, other = daemon.connect("3", "NAME", "holder"), daemon.connect()
    tx = f"#{c.call('%T1', 'BEGIN')}"
    c.call("%T1", tx, "SQL", update(1))
    return daemon, c, other, tx


def end_by_signal(daemon, _admin):
    daemon.send_signal(signal.SIGTERM)


def end_by_verb(_daemon, admin):
    assert admin.call("SHUTDOWN") == "OK"


@pytest.mark.parametrize("end", [end_by_signal, end_by_verb])
def test_an_open_tx_may_commit_and_then_it_ends(db, stage, end):
    daemon, c, other, tx = stage
    end(daemon, other)
    told = sees_draining(c)
    assert told["within_ms"] == 20000
    assert "shutting down" in told["text"]
    assert c.call("%T1", tx, "SQL", update(1)) == "UPDATE 1"
    stays(lambda: c.call("PING") == "PONG", "it serves what is open", 0.2)
    assert c.call("%T1", tx, "COMMIT") == "COMMIT"
    assert daemon.exit_status() == 0
    with pytest.raises(Closed):
        while other.pump(1):
            pass
    assert db.v(1) == 2


def test_nothing_new_is_begun(db, stage):
    daemon, c, other, tx = stage
    daemon.send_signal(signal.SIGTERM)
    sees_draining(other)
    for request in [("BEGIN",), ("SQL", update(2)), ("BEGIN", "HERE")]:
        error = other.fails("CLOSING", *request)
        assert error.sqlstate == "57P03"
        assert "shutting down" in error.message
    assert other.call("PING") == "PONG"
    assert other.show("transactions")[0]["state"] == "idle"
    late = daemon.connect(None)
    assert late.read_to_end().startswith(b"-CLOSING 57P03 ")
    c.call("%T1", tx, "ROLLBACK")
    assert daemon.exit_status() == 0
    assert db.v(2) == 0


def test_what_was_sent_before_is_done(db, lockkeeperd):
    """Even what waited for its turn and for a slot."""
    daemon = lockkeeperd(workers={"min": 1, "max": 1},
                         timeouts={"drain": "20s"})
    c = daemon.connect()
    c.send("@0", "%T", "SQL", "SELECT pg_sleep(0.3)")
    c.send("@1", "%T", "SQL", update(1))
    c.send("@2", "SQL", update(1))
    c.send("BEGIN", "HERE")
    assert isinstance(c.recv(), int)
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    daemon.send_signal(signal.SIGTERM)
    sees_draining(c)
    c.send("SQL", update(1))		# joins what is open
    c.send("COMMIT")
    for tag in "012":
        good(c.tag(tag))
    assert c.recv() == "UPDATE 1" and c.recv() == "COMMIT"
    assert daemon.exit_status() == 0
    assert db.v(1) == 3


def test_an_aborted_tx_is_not_waited_for(stage):
    daemon, c, _other, tx = stage
    c.call("KILL", tx[1:])
    with within(500, "end with nothing but an aborted tx"):
        daemon.stop()


def test_a_client_that_goes_is_not_waited_for(db, stage):
    daemon, c, other, _tx = stage
    daemon.send_signal(signal.SIGTERM)
    sees_draining(other)
    c.close()
    assert daemon.exit_status() == 0
    assert db.v(1) == 0


def test_past_timeouts_drain_all_is_ended_and_told_why(db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"drain": "300ms"})
    c, other = daemon.connect("3", "NAME", "holder"), daemon.connect()
    tx = f"#{c.call('%T1', 'BEGIN')}"
    c.call("%T1", tx, "SQL", "UPDATE r SET v = 4711 WHERE id = 1")
    running = f"#{other.call('BEGIN')}"
    db.connect().query("BEGIN; " + update(2))
    other.send("@w", running, "SQL", update(2))
    other.send("@auto", "SQL", "SELECT pg_sleep(60)")
    db.wait_for_waiters(1)
    with within(600, "end past timeouts.drain"):
        daemon.send_signal(signal.SIGTERM)
        for tag in ("w", "auto"):
            error = bad("CLOSING", other.tag(tag))
            assert "shutting down" in error.message
        text = c.push("txexpired")["text"]
        assert daemon.exit_status() == 0
    assert "waited 3" in text and tx in text
    assert f"{tx} of task T1 of client holder" in daemon.log
    assert "idle in transaction" in daemon.log
    assert "4711" not in daemon.log
    assert db.v(1) == 0
    eventually(lambda: not db.backends(), "its sessions are gone")


def test_control_without_a_limit_it_waits_on(stage):
    daemon, c, other, tx = stage
    daemon.configure(timeouts={"drain": "0"})
    other.call("RELOAD")
    daemon.send_signal(signal.SIGTERM)
    assert sees_draining(c)["within_ms"] is None
    stays(lambda: other.call("PING") == "PONG", "it waits", 1.0)
    assert c.call("%T1", tx, "COMMIT") == "COMMIT"
    assert daemon.exit_status() == 0


@pytest.mark.parametrize("end", [
    lambda daemon, admin: daemon.send_signal(signal.SIGINT),
    lambda daemon, admin: admin.call("SHUTDOWN", "0"),
    lambda daemon, admin: admin.call("SHUTDOWN", "50"),
], ids=["signal", "shutdown_0", "shutdown_50"])
def test_a_second_word_ends_it_at_once(db, stage, end):
    daemon, c, other, _tx = stage
    other.send("@slow", "SQL", "SELECT pg_sleep(60)")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    daemon.send_signal(signal.SIGTERM)
    sees_draining(c)
    with within(500, "end at the second word"):
        end(daemon, other)
        bad("CLOSING", other.tag("slow"))
        assert daemon.exit_status() == 0
    assert db.v(1) == 0


def test_a_third_signal_kills_it(db, stage, pg):
    """When even PostgreSQL does not answer any more."""
    daemon, c, _other, tx = stage
    c.send("%T1", tx, "COMMIT")
    assert c.recv() == "COMMIT"
    pids = [row[0] for row in db.backends()]
    c.send("SQL", "SELECT pg_sleep(60)")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    pg.signal_backends(signal.SIGSTOP, pids)
    try:
        daemon.send_signal(signal.SIGTERM)
        sees_draining(c)
        daemon.send_signal(signal.SIGTERM)
        eventually(lambda: "draining no longer" in daemon.log, "it hurries")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.exit_status() == -signal.SIGTERM
    finally:
        pg.signal_backends(signal.SIGCONT, pids)
    daemon.remove()


@pytest.mark.parametrize("words", [("-1",), ("x",), ("99999999999",), ("",)])
def test_shutdown_with_a_wrong_time_does_nothing(daemon, words):
    c = daemon.connect()
    error = c.fails("SYNTAX", "SHUTDOWN", *words)
    assert "milliseconds" in error.message
    assert c.call("SQL", "SELECT 1 AS v") == [{"v": 1}]
