"""Clients that die, babble or do not listen."""
import os
import random
import signal
import socket
import time

import pytest

from checks import assert_nothing_left, update
from client import Client, Closed, LkError, encode
from timing import IS_SLOW, eventually, within


@pytest.fixture
def watcher(daemon):
    """A client that only looks."""
    return daemon.connect("3", "NAME", "watcher")


def assert_forgotten(db, watcher):
    """Nothing of any other client: see the first promise of this project."""
    eventually(lambda: [c["name"] for c in watcher.show("clients")]
               == ["watcher"], "SHOW clients has only the watcher", 2.5)
    assert_nothing_left(db, watcher)
    eventually(lambda: all(w["state"] in ("idle", "connecting")
                           for w in watcher.show("workers")),
               "all workers are idle", 2.5)
    eventually(lambda: len(watcher.show("tasks")) <= 1,
               "no task but the watcher's", 2.5)


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


# -- bytes

def test_garbage_closes_only_its_own_connection(daemon, watcher):
    """64 MiB of it, in pieces: the daemon answers once and is done."""
    chance = random.Random(5)
    block = chance.randbytes(1 << 20)
    for first in (b"", b"*3\r\n", b"*1\r\n$10\r\n", b"SQL "):
        c = daemon.connect(None)
        sent = 0
        try:
            c.send_raw(first)
            for _ in range(16):
                c.send_raw(block)
                sent += len(block)
        except OSError:
            pass		# closed by then
        said = c.read_to_end()
        assert said.count(b"PROTO") <= 1
        assert watcher.call("PING") == "PONG"
        c.close()


def test_an_endless_inline_line_is_refused(daemon, watcher):
    c = daemon.connect(None)
    try:
        for _ in range(64):
            c.send_raw(b"x" * (1 << 20))
    except OSError:
        pass
    c.read_to_end()
    assert watcher.call("PING") == "PONG"


def resident_kib(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status
                    if line.startswith("VmRSS"))


@pytest.mark.skipif(IS_SLOW, reason="sanitizers keep memory of their own")
def test_announced_lengths_cost_no_memory(lockkeeperd):
    daemon = lockkeeperd(limits={"request": "64MiB"})
    watcher = daemon.connect()
    before = resident_kib(daemon)
    clients = []
    for _ in range(50):
        for head in (b"*60000\r\n", b"*1\r\n$60000000\r\n"):
            c = daemon.connect(None)
            c.send_raw(head)
            clients.append(c)
    watcher.call("PING")
    time.sleep(0.2)
    assert resident_kib(daemon) - before < 40 * 1024


@pytest.mark.parametrize("head", [
    b"*2147483648\r\n", b"*-1000\r\n", b"*99999999999999999999999\r\n",
    b"*1\r\n$9223372036854775807\r\n", b"*1\r\n$-9223372036854775808\r\n",
    b"*1\r\n$2147483647\r\n", b"*1\r\n$18446744073709551616\r\n"])
def test_hostile_lengths_are_refused(daemon, watcher, head):
    c = daemon.connect(None)
    c.send_raw(head)
    assert b"PROTO" in c.read_to_end(5)
    assert watcher.call("PING") == "PONG"


def test_a_request_above_limits_request_is_refused(lockkeeperd):
    daemon = lockkeeperd(limits={"request": "1MiB"})
    c = daemon.connect()
    assert c.value("SELECT length($1::text)", "x" * 900_000) == 900_000
    try:
        c.send("SQL", "SELECT length($1::text)", "x" * 2_000_000)
    except OSError:
        pass
    assert b"PROTO" in c.read_to_end()
    assert daemon.connect().call("PING") == "PONG"


def test_half_frames_run_nothing(db, daemon, watcher):
    whole = encode(["SQL", update(1)])
    for cut in range(1, len(whole)):
        c = Client(daemon.socket)
        c.send_raw(whole[:cut])
        c.close()
    assert_forgotten(db, watcher)
    assert db.v(1) == 0


# -- a client that does not read

def test_a_client_that_never_reads_hurts_only_itself(db, daemon, watcher):
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
        assert resident_kib(daemon) < 200 * 1024
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


def test_after_proto_nothing_of_that_connection_runs(db, daemon):
    c = daemon.connect(None)
    c.send_raw(b"*x\r\n" + encode(["SQL", update(1)]))
    c.read_to_end()
    assert db.v(1) == 0
    with pytest.raises(Closed):
        c.pump(0)


def test_text_that_is_not_utf8_is_an_error_and_the_session_stays(daemon):
    c = daemon.connect()
    assert isinstance(c.try_call("SQL", "SELECT $1::text", b"\xff\xfe"),
                      LkError)
    assert isinstance(c.try_call("SQL", b"SELECT '\xff'"), LkError)
    assert c.value("SELECT 1") == 1
