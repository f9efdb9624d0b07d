"""Who has used the processors: clients, what is between, PostgreSQL."""
import os
import resource

import process

PARTS = ["client", "loop", "workers", "PostgreSQL"]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def used(stage):
    """Seconds so far, by PARTS.  PgBouncer is one loop, and counted as such;
    of clients those count that have ended."""
    clients = resource.getrusage(resource.RUSAGE_CHILDREN)
    daemon = stage.daemon.pid
    loop = process.cpu_ticks(f"{daemon}/task/{daemon}")
    workers = process.cpu_ticks(daemon) - loop
    if stage.pgbouncer:
        loop += process.cpu_ticks(stage.pgbouncer.pid)
    return {"client": clients.ru_utime + clients.ru_stime,
            "loop": loop * _TICK_S, "workers": workers * _TICK_S,
            "PostgreSQL": _family_ticks(stage.postgres.postmaster()) * _TICK_S}


def _family_ticks(parent):
    """Of a process, its children, and those that it had."""
    while True:
        had = _ticks_it_had(parent)
        ticks = process.cpu_ticks(parent) + had
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                fields = process.stat(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == parent:
                ticks += sum(map(int, fields[11:13]))
        # Else one of them is no longer a child, and was none that it had.
        if _ticks_it_had(parent) == had:
            return ticks


def _ticks_it_had(parent):
    return sum(map(int, process.stat(parent)[13:15]))
