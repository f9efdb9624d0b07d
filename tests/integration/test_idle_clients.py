"""What ten thousand clients cost that have done their work and are idle."""
import contextlib
import gc
import resource
import socket

import pytest

from client import encode
from process import resident_kib
from timing import SANITIZED, eventually, note

WANTED = 1_000 if SANITIZED else 10_000
AT_ONCE = 100
SPARE = 500	# descriptors for all else, here and in the daemon


def n_clients():
    """As many as the limits of this process allow to be opened."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < WANTED + SPARE:
        print(f"RLIMIT_NOFILE is {hard}: {hard - SPARE} clients, "
              f"not {WANTED}")
        return hard - SPARE
    return WANTED


@contextlib.contextmanager
def many_sockets(path, n):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (max(n + SPARE, before[0]), before[1]))
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(n):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(path)	# with a timeout it would not wait its turn
            sock.settimeout(60)
            sockets.append(sock)
        yield sockets
    gc.collect()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def ask_all(sockets, request, end):
    """Each its request, some at a time, until its reply ends so."""
    for i in range(0, len(sockets), AT_ONCE):
        for sock in sockets[i:i + AT_ONCE]:
            sock.sendall(request)
        for sock in sockets[i:i + AT_ONCE]:
            got = b""
            while not got.endswith(end):
                some = sock.recv(1 << 16)
                assert some, "the daemon has closed it"
                got += some


LARGE = encode(["SQL", "SELECT length($1)::int AS v", "x" * 30000])

WORK = {
    "connected": [],
    "pinged": [(b"PING\r\n", b"+PONG\r\n")],
    "ran a statement": [(encode(["SQL", "SELECT 1 AS v"]), b":1\r\n")],
    "ran one in a task of its own": [
        (encode(["@t", "%t", "SQL", "SELECT 1 AS v"]), b":1\r\n")],
    "sent a large request": [(LARGE, b":30000\r\n")],
    "had a transaction": [
        (b"BEGIN HERE\r\nSQL 'SELECT 1 AS v'\r\nCOMMIT\r\n",
         b"+COMMIT\r\n")],
}


@pytest.mark.parametrize("what", WORK, ids=lambda what: what)
def test_an_idle_client_costs_a_kib_whatever_it_did_before(lockkeeperd, what):
    daemon = lockkeeperd(workers={"min": 2, "max": 2})
    admin = daemon.connect()
    admin.call("SQL", "SELECT 1")
    admin.call("MODELS")	# the catalog has been read
    # What as many at once need while they work is no idle client's.
    with many_sockets(daemon.socket, AT_ONCE) as sockets:
        for request, end in WORK[what]:
            ask_all(sockets, request, end)
    eventually(lambda: len(admin.show("clients")) == 1, "all are gone", 60)
    before = resident_kib(daemon.pid)
    with many_sockets(daemon.socket, n_clients()) as sockets:
        for request, end in WORK[what]:
            ask_all(sockets, request, end)
        eventually(lambda: admin.call("SHOW", "stats")["clients_accepted"] >
                   len(sockets), "all are there", 60)
        each = (resident_kib(daemon.pid) - before) * 1024 / len(sockets)
        note(f"{len(sockets)} clients that {what}, memory of each", each,
             1024, "B ")
        assert SANITIZED or each <= 1024
    eventually(lambda: len(admin.show("clients")) == 1, "all are gone", 60)
