"""limits.clients, limits.stall, open files, and what ten thousand idle
clients cost."""
import os
import resource
import socket
import subprocess
import sys
import time

import pytest

import daemon as lk
import process
from checks import update
from client import Closed, bad, encode, good
from timing import SANITIZED, eventually, note, stays, within

N_IDLE = 10_000


def n_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def raise_own_limit(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < n:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(n, hard), hard))


# -- limits.clients

def test_clients_is_inclusive_and_one_more_is_told(lockkeeperd):
    daemon = lockkeeperd(limits={"clients": 5})
    clients = [daemon.connect() for _ in range(5)]
    said = daemon.connect(None).read_to_end()
    assert said.startswith(b"-OVERLOAD 53400 limits.clients (5)")
    assert said.endswith(b"\r\n")
    assert clients[0].call("SHOW", "stats")["clients_refused"] == 1
    for c in clients:
        assert c.call("PING") == "PONG"
    clients.pop().close()
    eventually(lambda: len(clients[0].show("clients")) == 4, "one is gone")
    assert daemon.connect().call("PING") == "PONG"


# -- limits.stall

def stuff(client, n_bytes=4 << 20):
    """Ask for more than the daemon's output limit and the socket hold."""
    client.send("SQL", f"SELECT repeat('x', {n_bytes}) AS v")


def test_one_that_reads_nothing_for_stall_is_closed(db, lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "300ms"})
    lazy, admin = daemon.connect("3", "NAME", "lazy"), daemon.connect()
    tx = f"#{lazy.call('BEGIN')}"
    lazy.call(tx, "SQL", update(1))
    with within(600, "a client that reads nothing is closed"):
        stuff(lazy)
        eventually(lambda: len(admin.show("clients")) == 1, "it is gone", 6)
    eventually(lambda: "limits.stall (300 ms)" in daemon.log, "it is logged")
    daemon.says("client lazy")
    assert admin.call("SHOW", "stats")["clients_stalled"] == 1
    eventually(lambda: not db.locks(), "its locks are gone")
    with pytest.raises(Closed):
        while lazy.pump(1):
            pass


def test_one_that_reads_slowly_is_not(lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "400ms"})
    slow, admin = daemon.connect(), daemon.connect()
    stuff(slow)
    n_read, start = 0, time.monotonic()
    while time.monotonic() < start + 1.5:
        n_read += len(slow.sock.recv(128 << 10))
        time.sleep(0.1)
    assert n_read < 4 << 20
    assert len(admin.show("clients")) == 2


def test_stall_0_is_for_ever_and_is_shown(lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "0"})
    lazy, admin = daemon.connect("3", "NAME", "lazy"), daemon.connect()
    stuff(lazy)

    def stalled_ms(name):
        return next(row["stalled_ms"] for row in admin.show("clients")
                    if row["name"] == name)

    eventually(lambda: (stalled_ms("lazy") or 0) > 300, "it is shown")
    assert stalled_ms(None) is None
    assert len(lazy.recv()[0]["v"]) == 4 << 20
    eventually(lambda: stalled_ms("lazy") is None, "it reads again")


def test_it_is_closed_at_once_when_somebody_waits_for_its_tx(db, lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "1h"}, deadlock={"notify": "200ms"})
    lazy, c = daemon.connect(), daemon.connect()
    tx = f"#{lazy.call('BEGIN')}"
    lazy.call(tx, "SQL", update(1, 100))
    stuff(lazy)
    eventually(lambda: c.show("clients")[0]["stalled_ms"], "it is stalled")
    with within(600, "the holder that reads nothing is closed"):
        assert c.call("SQL", update(1), timeout_s=10) == "UPDATE 1"
    assert db.v(1) == 1
    eventually(lambda: f"somebody waits for its {tx}" in daemon.log,
               "it is logged")


def test_control_one_that_reads_is_waited_for(db, lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "1h"}, deadlock={"notify": "50ms"})
    reader, c = daemon.connect(), daemon.connect()
    tx = f"#{reader.call('BEGIN')}"
    reader.call(tx, "SQL", update(1, 100))
    c.send("SQL", update(1))
    stays(lambda: not c.has_reply(), "it waits", 0.5)
    assert reader.call(tx, "COMMIT") == "COMMIT"
    assert c.recv() == "UPDATE 1"


def test_what_an_unreading_client_asked_for_is_not_piled_up(db, lockkeeperd):
    """300 replies of a MiB each; those who read are served meanwhile."""
    n = 300
    daemon = lockkeeperd(workers={"min": 2, "max": 2})
    lazy, other = daemon.connect(), daemon.connect()
    tx = f"#{lazy.call('BEGIN')}"
    lazy.call(tx, "SQL", update(1))
    before = process.resident_kib(daemon.pid)
    for i in range(n):
        lazy.send(f"@{i}", "SQL", "SELECT repeat('x', 1048576) AS v")
    eventually(lambda: other.show("clients")[0]["stalled_ms"], "it is stalled")
    for _ in range(20):
        assert other.call("SQL", "SELECT 1 AS v") == [{"v": 1}]
    grown = (process.resident_kib(daemon.pid) - before) / 1024
    note("memory for 300 MiB that nobody reads", grown, 40, "MiB")
    assert SANITIZED or grown < 40
    lazy.send("@c", tx, "COMMIT")
    for i in range(n):
        assert len(lazy.tag(str(i), 30)[0]["v"]) == 1 << 20
    assert lazy.tag("c") == "COMMIT"
    assert db.v(1) == 1


def test_what_waits_for_its_turn_is_not_piled_up_either(db, lockkeeperd):
    """Untagged replies of a MiB each behind one that takes its time."""
    n = 200
    daemon = lockkeeperd(workers={"min": 2, "max": 2})
    c = daemon.connect()
    holder = db.connect()
    holder.query("BEGIN; " + update(1))
    before = process.resident_kib(daemon.pid)
    c.send("%first", "SQL", update(1))
    db.wait_for_waiters(1)
    for i in range(n):
        c.send(f"%t{i}", "SQL", "SELECT repeat('x', 1048576) AS v")
    stays(lambda: not c.has_reply(), "all wait for the first", 1.0)
    grown = (process.resident_kib(daemon.pid) - before) / 1024
    note("memory for 200 MiB that wait for their turn", grown, 40, "MiB")
    assert SANITIZED or grown < 40
    holder.query("COMMIT")
    assert c.recv() == "UPDATE 1"
    for _ in range(n):
        assert len(c.recv(30)[0]["v"]) == 1 << 20


# -- limits.output

def test_replies_that_wait_for_their_turn_are_bounded(db, lockkeeperd):
    """Those of COMMAND and SHOW, too, which wait for nothing else."""
    n = 10_000
    daemon = lockkeeperd(limits={"output": "1MiB", "in_flight": 2 * n + 10,
                                 "queue": 2 * n + 10})
    asked = encode(["COMMAND", "DOCS"]) + encode(["SHOW", "config"])
    c, admin, other = daemon.connect(None), daemon.connect(), \
        daemon.connect(None)
    other.send_raw(asked + encode(["QUIT"]))
    once = other.read_to_end().removesuffix(b"+OK\r\n")
    with db.connect() as holder:
        holder.query("BEGIN; " + update(1))
        c.send("SQL", update(1))
        before = process.resident_kib(daemon.pid)
        c.send_raw(n * asked)
        eventually(lambda: max(row["outstanding"] for row in
                               admin.show("clients")) == 2 * n + 1,
                   "all have come", 30)
        grown = (process.resident_kib(daemon.pid) - before) / 1024
        note("20,000 long replies behind another, memory", grown, 64, "MiB")
        if not SANITIZED:
            assert grown < 64 < n * len(once) / (1 << 20)
        assert admin.call("PING") == "PONG"
        holder.query("COMMIT")
    done = b"+UPDATE 1\r\n"
    assert c.read_raw(len(done), 60) == done
    for _ in range(n):
        assert c.read_raw(len(once), 60) == once


# -- open files

def test_without_descriptors_it_waits_and_does_not_spin(daemon):
    c = daemon.connect()
    c.call("SQL", "SELECT 1")
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE,
                     (n_files(daemon.pid), before[1]))
    with socket.socket(socket.AF_UNIX) as late:
        late.connect(daemon.socket)
        late.sendall(b"PING\r\n")
        eventually(lambda: "cannot accept" in daemon.log, "it says so")
        start = process.cpu_ticks(daemon.pid)
        stays(lambda: c.call("PING") == "PONG", "the others are served", 2.5,
              every_s=0.5)
        assert process.cpu_ticks(daemon.pid) - start <= 5, "it spins"
        assert daemon.log.count("cannot accept") == 1
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        late.settimeout(10)
        assert late.recv(100) == b"+PONG\r\n"


RESTRICTED = """
import os, resource, sys
n, uid, gid = map(int, sys.argv[1:4])
resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
if uid:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
os.execvp(sys.argv[4], sys.argv[4:])
"""


def restricted(daemon, n):
    """Start it with n open files allowed, and as nobody who could raise it."""
    ids = process.as_user(process.unprivileged_user())
    if ids:
        os.chown(daemon.directory, ids["user"], ids["group"])
    daemon.wrapper = [sys.executable, "-c", RESTRICTED, str(n),
                      str(ids.get("user", 0)), str(ids.get("group", 0))]


def test_more_clients_than_files_are_refused_at_the_start(lockkeeperd):
    daemon = lockkeeperd()
    daemon.stop()
    restricted(daemon, 1024)
    with pytest.raises(RuntimeError) as failure:
        daemon.start()
    daemon.forget()
    for words in ("limits.clients: 10100 clients", "no more than 1024",
                  "LimitNOFILE="):
        assert words in str(failure.value)


def test_and_refused_by_reload_while_fewer_are_served(lockkeeperd):
    daemon = lockkeeperd(limits={"clients": 100})
    daemon.stop()
    restricted(daemon, 1024)
    daemon.start()
    c = daemon.connect()
    daemon.configure(limits={"clients": 5000})
    assert "limits.clients: 5000" in c.fails("SYNTAX", "RELOAD").message
    assert {"limits.clients": "100"}.items() <= {
        row["key"]: row["value"] for row in c.show("config")}.items()


# -- what clients cost

@pytest.fixture
def held(db):
    """A foreign session that holds row 1; with a low descriptor, as select()
    wants it."""
    session = db.connect()
    session.query("BEGIN; " + update(1))
    return session


@pytest.fixture
def idle_clients(held, lockkeeperd):
    """Ten thousand that have said who they are and then nothing."""
    del held
    raise_own_limit(N_IDLE + 500)
    # This client may be slow to read what it is told beside its replies.
    daemon = lockkeeperd(workers={"min": 2, "max": 8}, limits={"stall": "5min"})
    c, admin = daemon.connect(), daemon.connect()
    c.call("SQL", "SELECT 1")
    c.call("MODELS")	# the catalog has been read
    before = (process.resident_kib(daemon.pid),
              process.status(daemon.pid, "Threads"))
    sockets = []
    try:
        for i in range(N_IDLE):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30)
            sock.connect(daemon.socket)
            sock.sendall(b"HELLO 3 NAME idle-%d\r\n" % i)
            sockets.append(sock)
            if i % 100 == 99:	# in step, so that no queue overflows
                for other in sockets[-100:]:
                    assert other.recv(1000).startswith(b"%11\r\n")
        yield daemon, c, admin, before
    finally:
        for sock in sockets:
            sock.close()


def test_ten_thousand_idle_clients_cost_a_kib_each(db, held, idle_clients):
    daemon, c, admin, (rss_before, threads_before) = idle_clients
    rss = process.resident_kib(daemon.pid)
    each = (rss - rss_before) * 1024 / N_IDLE
    note(f"{N_IDLE} idle clients, memory of each", each, 1024, "B ")
    if not SANITIZED:
        assert each <= 1024
    assert process.status(daemon.pid, "Threads") <= threads_before
    assert int(c.call("SHOW", "stats")["clients_accepted"]) > N_IDLE
    with within(1000, "10,000 tagged requests beside 10,000 idle clients"):
        for i in range(N_IDLE):
            c.send(f"@{i}", "SQL", "SELECT $1::int AS v", str(i))
        for i in range(N_IDLE):
            assert c.tag(str(i)) == [{"v": i}]
    for i in range(N_IDLE):
        c.send(f"@w{i}", "SQL", update(1))
        while i % 100 == 0 and c.pump():
            pass		# each that waits for long is told of it
    assert admin.call("PING", timeout_s=10) == "PONG"
    assert admin.show("clients")[0]["outstanding"] == N_IDLE
    assert "limits.in_flight" in bad("OVERLOAD", _one_more(c)).message
    held.query("COMMIT")
    for i in range(N_IDLE):
        good(c.tag(f"w{i}", timeout_s=60))
    assert db.v(1) == N_IDLE + 1
    assert process.status(daemon.pid, "Threads") <= threads_before + 8


def _one_more(client):
    client.send("@more", "SQL", "SELECT 1")
    return client.tag("more")
