"""Names for asyncio's tasks, by which the daemon knows them."""
from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import threading
import weakref
from typing import Any

from ._resp import bulk

Task = asyncio.Task[Any]

_MAX_BYTES = 200
_numbers = itertools.count(1)
# The word of the task that has asked last in this context, which most often is
# the one that asks now; one that it has created has a copy.
_last: contextvars.ContextVar[tuple[weakref.ref[Task] | None, bytes]] = \
    contextvars.ContextVar("lockkeeper task", default=(None, b""))
_words: weakref.WeakKeyDictionary[Task, bytes] = weakref.WeakKeyDictionary()
_by_name: weakref.WeakValueDictionary[str, Task] = \
    weakref.WeakValueDictionary()


def task_now() -> Task:
    task = asyncio.current_task()
    assert task is not None		# who else could await
    return task


def name_of(task: Task) -> str:
    """No other task of the process has it, or ever had."""
    return word_of(task).split(b"\r\n")[1][1:].decode()


def word_of(task: Task) -> bytes:
    """The envelope's %task, encoded."""
    word = _words.get(task)
    if word is None:
        text = "".join(c if c.isprintable() else "?" for c in task.get_name())
        name = text.encode("utf-8", "replace")[:_MAX_BYTES].decode(
            "utf-8", "ignore") + f"/{next(_numbers)}"
        word = _words[task] = bulk(b"%" + name.encode())
        _by_name[name] = task
    return word


def word_now(loop: asyncio.AbstractEventLoop) -> bytes:
    """The running task's, which most often is loop's: to ask which loop runs
    here takes a system call."""
    task = asyncio.current_task(loop) or asyncio.current_task()
    last, word = _last.get()
    if last is not None and last() is task:
        return word
    assert task is not None
    word = word_of(task)
    _last.set((weakref.ref(task), word))
    return word


def task_of(name: str) -> Task | None:
    return _by_name.get(name)


def thread_word() -> bytes:
    """HELLO's THREAD: no other thread of the host has, or ever had, the same.
    Where the kernel does not say when it began, its id has to do."""
    thread = threading.get_native_id()
    try:
        with open(f"/proc/self/task/{thread}/stat", "rb") as file:
            began = file.read().rpartition(b")")[2].split()[19]
    except OSError:
        began = b"0"
    return b"%d.%d.%b" % (os.getpid(), thread, began)
