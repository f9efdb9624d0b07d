"""Clients that die, or do not listen."""
import os
import random
import signal
import socket
import time

import pytest

from checks import assert_forgotten, update
from client import Client, encode
from process import resident_kib
from timing import IS_SLOW, eventually, within


@pytest.fixture
def watcher(daemon):
    """A client that only looks."""
    return daemon.connect("3", "NAME", "watcher")


def child_client(daemon, play):
    """Run play(client, ready) in a process of its own; ready() lets the
    parent go on.  The process then only waits for its end."""
    ready_read, ready_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ready_read)
            client = Client(daemon.socket, "3", "NAME", "rude")
            play(client, lambda: os.write(ready_write, b"x"))
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(ready_write)
    os.read(ready_read, 1)
    os.close(ready_read)
    return pid


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# -- kill -9

def play_nothing(c, ready):
    ready()


def play_idle_tx(c, ready):
    tx = f"#{c.call('%t', 'BEGIN')}"
    c.call("%t", tx, "SQL", update(1))
    ready()


def play_unused_tx(c, ready):
    c.call("BEGIN")
    ready()


def play_statement(c, ready):
    c.send("SQL", "UPDATE r SET v = 9 FROM pg_sleep(30) WHERE id = 1")
    ready()


def play_statement_in_tx(c, ready):
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.send(tx, "SQL", "SELECT pg_sleep(30)")
    ready()


def play_lock_wait(c, ready):
    a, b = (f"#{c.call('BEGIN')}" for _ in range(2))
    c.call(a, "SQL", update(1))
    c.send("@w", b, "SQL", update(1))
    # It may get the row, once a is rolled back, before its cancel comes.
    c.send("@x", "SQL", update(1, 0))
    ready()


def play_many(c, ready):
    for i in range(50):
        c.send(f"@{i}", f"%t{i}", "SQL", "SELECT pg_sleep(5)")
    ready()


def play_await(c, ready):
    c.call("AWAIT", "a", "ALL", "b", "c")
    c.call("%a", "BEGIN")
    ready()


def play_half_frame(c, ready):
    c.send_raw(encode(["SQL", update(1)])[:-5])
    ready()


PLAYS = [play_nothing, play_idle_tx, play_unused_tx, play_statement,
         play_statement_in_tx, play_lock_wait, play_many, play_await,
         play_half_frame]


@pytest.mark.parametrize("play", PLAYS, ids=lambda p: p.__name__[5:])
def test_kill_9_leaves_nothing_behind(db, daemon, watcher, play):
    pid = child_client(daemon, play)
    time.sleep(0.1)
    with within(250, f"all gone after kill -9 in {play.__name__[5:]}"):
        kill(pid)
        assert_forgotten(db, watcher)
    assert db.v(1) == 0


def test_control_without_the_kill_it_all_stays(db, daemon, watcher):
    pid = child_client(daemon, play_lock_wait)
    try:
        time.sleep(0.6)
        assert watcher.show("transactions")
        assert db.busy() and db.locks()
    finally:
        kill(pid)
    assert_forgotten(db, watcher)


def play_busy(c, ready):
    """All kinds of traffic, without end."""
    ready()
    chance = random.Random(os.getpid())
    for i in range(100000):
        tx = f"#{c.call('BEGIN')}"
        c.call(tx, "SQL", update(chance.randint(1, 3), 0))
        c.send(f"@{i}", "%other", "SQL", update(chance.randint(1, 3), 0))
        c.call(tx, "SQL", f"SELECT pg_sleep({chance.uniform(0, 0.003)})")
        c.call(tx, chance.choice(["COMMIT", "ROLLBACK"]))
        c.tag(str(i))


def test_kill_9_at_any_moment_leaves_nothing_behind(db, daemon, watcher):
    chance = random.Random(7)
    for _ in range(10 if IS_SLOW else 40):
        pids = [child_client(daemon, play_busy) for _ in range(2)]
        time.sleep(chance.uniform(0, 0.03))
        for pid in pids:
            kill(pid)
        assert_forgotten(db, watcher)
    assert watcher.call("SQL", update(1)) == "UPDATE 1"


# -- a half-close is a close

def test_a_half_close_rolls_back_and_closes(db, daemon, watcher):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.sock.shutdown(socket.SHUT_WR)
    c.read_to_end(5)
    assert_forgotten(db, watcher)
    assert db.v(1) == 0


# -- a client that does not read

def test_a_client_that_never_reads_hurts_only_itself(db, lockkeeperd):
    daemon = lockkeeperd(limits={"in_flight": 100})
    watcher = daemon.connect("3", "NAME", "watcher")
    c = daemon.connect(None)
    c.sock.settimeout(0.5)
    request = encode(["SQL", "SELECT repeat('x', 100000) AS v"])
    sent = 0
    try:
        while sent < 20000:
            c.send_raw(request)
            sent += 1
    except TimeoutError:
        pass
    assert sent < 20000, "the daemon reads on for ever"
    for _ in range(20):
        assert watcher.call("SQL", "SELECT 1 AS v") == [{"v": 1}]
    if not IS_SLOW:
        assert resident_kib(daemon.pid) < 100 * 1024
    c.close()
    assert_forgotten(db, watcher)


def test_replies_are_all_there_when_it_reads_at_last(daemon):
    c = daemon.connect()
    for i in range(100):
        c.send(f"@{i}", "SQL", "SELECT repeat('x', 100000) AS v")
    time.sleep(0.5)
    for i in range(100):
        assert len(c.tag(str(i))[0]["v"]) == 100000


def test_a_paused_clients_death_is_noticed(db, daemon, watcher):
    def play(c, ready):
        tx = f"#{c.call('BEGIN')}"
        c.call(tx, "SQL", update(1))
        for i in range(100):
            c.send("SQL", "SELECT repeat('x', 100000)")
        ready()

    pid = child_client(daemon, play)
    time.sleep(0.3)
    with within(250, "all gone after kill -9 of a client that reads nothing"):
        kill(pid)
        assert_forgotten(db, watcher)


def test_many_connections_come_and_go(db, daemon, watcher):
    for _ in range(5):
        clients = [Client(daemon.socket) for _ in range(100)]
        for c in clients:
            c.send("PING")
        for c in clients:
            assert c.recv() == "PONG"
            c.close()
    assert_forgotten(db, watcher)
