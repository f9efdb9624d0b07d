"""Which task awaits which, told to the daemon while somebody waits for a lock.

The daemon knows of each task the requests, not what else it awaits.  When it
says that a transaction keeps somebody waiting, the holder's task may be one
that awaits the waiter: a deadlock that only this side can see.  So while such a
wait lasts, the tasks that hold are looked at now and then, and those that they
await in turn.  Only what is certain is said: that a task awaits others which
are tasks, too.  A plain future, of which nobody knows who sets it, is silence.
"""
from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from ._tasks import Task, name_of, task_of

if TYPE_CHECKING:
    from ._core import Core

log = logging.getLogger("lockkeeper")

_LOOK_EVERY_S = 0.1

_WAIT = asyncio.tasks._wait.__code__		# type: ignore[attr-defined]
_WAIT_FOR = asyncio.tasks.wait_for.__code__
_TASK_GROUP = asyncio.TaskGroup.__aexit__.__code__


class Awaited(NamedTuple):
    """is_any: until one of them is done; else until all are."""
    is_any: bool
    tasks: frozenset[Task]


def _innermost(task: Task) -> Any:
    """The frame in which it stands still, as far as it can be seen."""
    inner: Any = task.get_coro()
    frame = None
    while inner is not None:
        found = getattr(inner, "cr_frame", None) \
            or getattr(inner, "gi_frame", None) \
            or getattr(inner, "ag_frame", None)
        if found is None:
            break
        frame = found
        inner = getattr(inner, "cr_await", None) \
            or getattr(inner, "gi_yieldfrom", None) \
            or getattr(inner, "ag_await", None)
    return frame


def _futures(task: Task, waiter: Any) -> tuple[bool, list[Any]]:
    """Whether one of them suffices, and what it waits for."""
    if isinstance(waiter, asyncio.Task):
        return False, [waiter]
    if isinstance(waiter, asyncio.tasks._GatheringFuture):  # type: ignore[attr-defined]
        return False, list(waiter._children)
    frame = _innermost(task)
    if frame is None:
        return False, []
    names = frame.f_locals
    if frame.f_code is _WAIT:
        return names["return_when"] == asyncio.FIRST_COMPLETED, \
            list(names["fs"])
    if frame.f_code is _WAIT_FOR and "fut" in names:
        return False, [names["fut"]]
    if frame.f_code is _TASK_GROUP:
        return False, list(names["self"]._tasks)
    return False, []


def awaited_by(task: Task) -> Awaited | None:
    """None: nothing that is certain."""
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None or waiter.done():
        return None
    is_any, futures = _futures(task, waiter)
    if is_any and not all(isinstance(f, asyncio.Task) for f in futures):
        return None			# who knows when that one is done
    tasks = frozenset(f for f in futures
                      if isinstance(f, asyncio.Task) and not f.done())
    return Awaited(is_any, tasks) if tasks else None


class Awaits:
    """Of a client: what it has said."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._holders: dict[int, str] = {}	# task's name, by transaction
        self._said: dict[Task, Awaited] = {}
        self._timer: asyncio.TimerHandle | None = None
        core.push_hooks.setdefault("blocking", []).append(self._blocking)
        core.push_hooks.setdefault("lockwait", []).append(self._lockwait)
        core.up_hooks.append(self._said.clear)

    def _blocking(self, told: dict[str, Any]) -> None:
        self._held_by(told.get("tx"), told.get("task"))

    def _lockwait(self, told: dict[str, Any]) -> None:
        for blocker in told.get("blockers", ()):
            self._held_by(blocker.get("tx"), blocker.get("task"))

    def _held_by(self, tx: int | None, task: str | None) -> None:
        if tx is not None and task is not None \
                and tx in self._core.transactions:
            self._holders[tx] = task
            self.look()

    def look(self) -> None:
        """Say what has changed; again soon, while somebody is waited for."""
        open_txs = self._core.transactions
        self._holders = {tx: name for tx, name in self._holders.items()
                         if tx in open_txs and open_txs[tx].is_open}
        found: dict[Task, Awaited] = {}
        next_ones = [task for task in map(task_of, self._holders.values())
                     if task is not None]
        loop = self._core.connection.loop
        while next_ones:
            task = next_ones.pop()
            if task in found or task.get_loop() is not loop:
                continue
            awaited = awaited_by(task)
            if awaited is not None:
                found[task] = awaited
                next_ones += awaited.tasks
        for task in self._said.keys() - found.keys():
            self._clear(task)
        for task, awaited in found.items():
            if self._said.get(task) != awaited:
                self._say(task, awaited)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(_LOOK_EVERY_S, self.look) \
            if self._holders else None

    def _say(self, task: Task, awaited: Awaited) -> None:
        is_new = task not in self._said
        self._said[task] = awaited
        self._core.connection.post(
            b"AWAIT", name_of(task).encode(),
            b"ANY" if awaited.is_any else b"ALL",
            *(name_of(other).encode() for other in awaited.tasks))
        if is_new:
            # What it waits for is done before it can go on.
            waiter: asyncio.Future[Any] = getattr(task, "_fut_waiter")
            waiter.add_done_callback(lambda _: self._clear(task))

    def _clear(self, task: Task) -> None:
        if self._said.pop(task, None) is not None:
            self._core.connection.post(b"AWAIT", name_of(task).encode())


# ---- what else the daemon says ----

def _blockers(told: dict[str, Any]) -> str:
    return "; ".join(
        f"task {each['task'] or '-'} of {each['client']} "
        f"({each['state']}: {each['doing']})" for each in told["blockers"])


def log_lockwait(told: dict[str, Any]) -> None:
    log.info("task %s has waited for %s for %d ms, behind %s", told["task"],
             told["object"], told["waiting_ms"], _blockers(told))


def log_blocking(told: dict[str, Any]) -> None:
    log.info("transaction %s of task %s has kept %d waiting for %s for %d ms",
             told["tx"], told["task"], told["waiters"], told["object"],
             told["waiting_ms"])


def log_deadlock(told: dict[str, Any]) -> None:
    log.warning("deadlock: %s", told["text"])


def log_txexpired(told: dict[str, Any]) -> None:
    log.warning("transaction %s was ended: %s", told["tx"], told["text"])


LOGGED = {"lockwait": log_lockwait, "blocking": log_blocking,
          "deadlock": log_deadlock, "txexpired": log_txexpired}
