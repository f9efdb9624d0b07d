"""Who has used the processors: clients, what is between, PostgreSQL."""
import os
import resource

PARTS = ["client", "loop", "workers", "PostgreSQL"]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def used(stage):
    """Seconds so far, by PARTS.  PgBouncer is one loop, and counted as such;
    of clients those count that have ended."""
    clients = resource.getrusage(resource.RUSAGE_CHILDREN)
    daemon = stage.daemon.pid
    loop = _own(f"/proc/{daemon}/task/{daemon}/stat")
    workers = _own(f"/proc/{daemon}/stat") - loop
    if stage.pgbouncer:
        loop += _own(f"/proc/{stage.pgbouncer.pid}/stat")
    return {"client": clients.ru_utime + clients.ru_stime, "loop": loop,
            "workers": workers,
            "PostgreSQL": _family(stage.postgres.postmaster())}


def _family(parent):
    """Of a process, its children, and those that it had."""
    path = f"/proc/{parent}/stat"
    return _own(path) + _reaped(path) + sum(
        _own(child) for child in _stats() if _parent(child) == parent)


def _stats():
    return [f"/proc/{name}/stat" for name in os.listdir("/proc")
            if name.isdecimal()]


# Fields of proc(5), counted from the state, which is behind the name.

def _parent(path):
    return int(_fields(path)[1])


def _own(path):
    return sum(map(int, _fields(path)[11:13])) * _TICK_S


def _reaped(path):
    return sum(map(int, _fields(path)[13:15])) * _TICK_S


def _fields(path):
    """Of a process that has ended meanwhile nothing but zeros."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 15
