"""The rows of the table: who does what, and what we want to see."""
import contextlib
import math
import resource
import socket
import threading
import time

import process
from client import encode
from stage import ROWS, SESSIONS
from ways import Lockkeeper, Pgbench, Python, Way

FEW_ROWS = 100		# accounts that transfers are between
MANY_IDLE = 10000
SLOW_REPLY_MIB = 16


class Target:
    """value(of) is computed in each round; `of` has the round's measurements
    by name, and one that is missing leaves the target out."""

    def __init__(self, text, value, at_least=None, at_most=None):
        self.text = text
        self.value = value
        self.at_least = at_least
        self.at_most = at_most

    def is_met(self, value):
        return value >= self.at_least if self.at_most is None \
            else value <= self.at_most

    @property
    def wanted(self):
        return f"at least {self.at_least:g}" if self.at_most is None \
            else f"at most {self.at_most:g}"


class Row:
    """The first way is the one that the others' ratios are about."""

    def __init__(self, key, title, ways, targets, metric="per_s",
                 unit="a second"):
        self.key = key
        self.title = title
        self.ways = ways
        self.targets = targets
        self.metric = metric
        self.unit = unit


def ratio(ours, theirs):
    """inf when they got nothing done, or needed no time."""
    return ours / theirs if theirs else math.inf


def over(ours, theirs, text, limit):
    return Target(f"{ours} / {theirs}{text}", lambda of: ratio(
        of[ours]["per_s"], of[theirs]["per_s"]), limit)


def peers(workload, coroutines, rows, *ours):
    """One Python program's coroutines; ours are more ways of our own."""
    return [
        Python("lockkeeper", "Python: lockkeeper", workload, coroutines,
               rows),
        Python("asyncpg", "Python: asyncpg", workload, coroutines, rows),
        Python("sqlalchemy", "Python: SQLAlchemy", workload, coroutines,
               rows),
        Python("psycopg2", "Python: psycopg2 threads", workload, coroutines,
               rows),
        *ours,
    ]


def pure(workload, coroutines, rows):
    return Python("lockkeeper", "Python: lockkeeper, no C", workload,
                  coroutines, rows, "python")


def get_rows():
    return [
        Row("get", "get, 1,000 coroutines", [
            Lockkeeper("Lockkeeper", "get", 1000, 16, ROWS),
            Pgbench("PgBouncer, 1,000 clients", "get", 1000, ROWS),
            Pgbench("direct, 16 sessions", "get", SESSIONS, ROWS, True),
            Pgbench("direct, 2, 128 keys at once", "get-many", 2, ROWS, True),
            *peers("get", 1000, ROWS, pure("get", 1000, ROWS)),
        ], [
            over("Lockkeeper", "PgBouncer, 1,000 clients", "", 12),
            over("Lockkeeper", "direct, 16 sessions", "", 8),
            over("Python: lockkeeper", "Python: asyncpg", "", 8),
            over("Python: lockkeeper, no C", "Python: asyncpg", "", 3),
        ]),
        Row("get-connections", "get, 1,000 connections", [
            Lockkeeper("Lockkeeper", "get", 1000, 1000, ROWS),
            Pgbench("PgBouncer, 1,000 clients", "get", 1000, ROWS),
        ], [over("Lockkeeper", "PgBouncer, 1,000 clients", "", 4)]),
        Row("get-one", "get, one client: median of its waits", [
            Lockkeeper("Lockkeeper", "get", 1, 1, ROWS),
            Pgbench("PgBouncer", "get", 1, ROWS, False, True),
            Pgbench("direct", "get", 1, ROWS, True, True),
            *peers("get", 1, ROWS, pure("get", 1, ROWS)),
        ], [
            Target("Lockkeeper / PgBouncer, p50", lambda of: ratio(
                of["Lockkeeper"]["p50"], of["PgBouncer"]["p50"]),
                   at_most=1.15),
            over("Python: lockkeeper", "Python: asyncpg", ", a second", 0.8),
        ], "p50", "us"),
    ]


def hot_rows():
    return [Row("hot", "update of one hot row", [
        Lockkeeper("Lockkeeper, 1,000 coroutines", "hot", 1000, 16, ROWS),
        Lockkeeper("Lockkeeper, 100", "hot", 100, 16, ROWS),
        Lockkeeper("Lockkeeper, 10", "hot", 10, 10, ROWS),
        Pgbench("PgBouncer, 200 clients", "hot", 200, ROWS),
        Pgbench("direct, 200 sessions", "hot", 200, ROWS, True),
        Pgbench("direct, 1, 128 in one", "hot-many", 1, ROWS, True),
        *peers("hot", 1000, ROWS),
    ], [
        over("Lockkeeper, 1,000 coroutines", "PgBouncer, 200 clients", "",
             20),
        over("Lockkeeper, 1,000 coroutines", "direct, 200 sessions", "", 100),
        over("Lockkeeper, 1,000 coroutines", "Lockkeeper, 10", " (flat)",
             0.9),
        Target("another row's p99, meanwhile / before", lambda of: ratio(
            of["Lockkeeper, 1,000 coroutines"]["other_p99"],
            of["Lockkeeper, 1,000 coroutines"]["other_before"]), at_most=3),
    ])]


def transfer_row(key, title, workload, limit, ways, targets):
    name = "PgBouncer, 200 clients"
    return Row(key, title, [
        Lockkeeper("Lockkeeper", workload, 200, 16, FEW_ROWS), *ways,
        Pgbench(name, "transfer", 200, FEW_ROWS),
        Pgbench(f"{name}, in order", "transfer-ordered", 200, FEW_ROWS),
        Pgbench("direct, 16 sessions", "transfer", SESSIONS, FEW_ROWS, True),
        *peers(workload, 200, FEW_ROWS),
    ], [over("Lockkeeper", name, "", limit), *targets])


def transfer_rows():
    return [
        transfer_row(
            "transfer-unit", "transfer as a unit, 200 coroutines, 100 "
            "accounts", "transfer-unit", 3, [], []),
        transfer_row(
            "transfer-tx", "transfer, verb by verb, 200 coroutines, 100 "
            "accounts", "transfer-tx", 1.3,
            [Lockkeeper("Lockkeeper, in order", "transfer-tx", 200, 16,
                        FEW_ROWS, "--in-order")],
            [Target("deadlocks that the program heard of: Lockkeeper, in "
                    "order", lambda of: of["Lockkeeper, in order"][
                        "deadlocks"], at_most=0)]),
    ]


# -- what is no throughput

def connect(stage):
    client = socket.socket(socket.AF_UNIX)
    client.connect(stage.daemon.socket)
    return client


class Idle(Way):
    """What the daemon keeps for clients that only are there."""

    def measure(self, stage, seconds):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        n = min(MANY_IDLE, limit - 200)
        self.note = f"{n} clients"
        with contextlib.ExitStack() as clients:
            before = process.resident_kib(stage.daemon.pid)
            for _ in range(n):
                client = clients.enter_context(connect(stage))
                client.sendall(encode(["PING"]))
                client.recv(100)
            after = process.resident_kib(stage.daemon.pid)
        return {"kib": (after - before) / n}


class SlowReader:
    """Asks for a large reply again and again, and reads 64 KiB of it in
    20 ms."""

    def __init__(self, stage):
        self._stage = stage
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._is_over.set()
        self._thread.join()

    def _read(self):
        request = encode(["SQL", "SELECT repeat('x', 1024) AS x FROM "
                          f"generate_series(1, {SLOW_REPLY_MIB} * 1024)"])
        with connect(self._stage) as client:
            client.settimeout(10)
            client.sendall(request * 100)
            while not self._is_over.wait(0.02) and client.recv(65536):
                pass


class Beside(Lockkeeper):
    """`lockkeeper bench` while somebody reads slowly."""

    def measure(self, stage, seconds):
        pid = stage.daemon.pid
        before = process.resident_kib(pid)
        most = [0]
        is_over = threading.Event()

        def watch():
            while not is_over.wait(0.01):
                most[0] = max(most[0], process.resident_kib(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with SlowReader(stage):
                time.sleep(min(0.5, seconds))
                measured = super().measure(stage, seconds)
        finally:
            is_over.set()
            watcher.join()
        return measured | {"grown_mib": max(0, most[0] - before) / 1024}


def other_rows():
    beside = f"a {SLOW_REPLY_MIB} MiB reply read slowly"
    return [
        Row("idle", "10,000 idle clients", [Idle("Lockkeeper")],
            [Target("KiB of resident memory each",
                    lambda of: of["Lockkeeper"]["kib"], at_most=1)],
            "kib", "KiB each"),
        Row("slow-reader", "get, 100 coroutines: p99 of their waits", [
            Beside(f"beside {beside}", "get", 100, 16, ROWS),
            Lockkeeper("alone", "get", 100, 16, ROWS),
        ], [
            Target("p99, beside / alone", lambda of: ratio(
                of[f"beside {beside}"]["p99"], of["alone"]["p99"]),
                   at_most=1.25),
            Target("MiB that the daemon grew by", lambda of:
                   of[f"beside {beside}"]["grown_mib"],
                   at_most=2.5 * SLOW_REPLY_MIB),	# one on its way, and the next
        ], "p99", "us"),
    ]


def all_rows():
    return get_rows() + hot_rows() + transfer_rows() + other_rows()
