"""The same without asyncio, for scripts and threads: every call blocks.

    with lockkeeper.sync.connect("/run/lockkeeper/lockkeeper.sock") as lk:
        with lk.transaction():
            lk.update("accounts", 1, balance=col("balance") - 30)

Each thread has a connection of its own, which tells the daemon that the thread
does nothing else while it waits: so a wait that keeps the thread from doing
what would end it is seen.  Under asyncio.to_thread, a call is that of the task
which awaits the thread.
"""
from __future__ import annotations

import asyncio
import concurrent.futures
import os
import socket
import sys
import threading
import weakref
from types import FrameType, TracebackType
from typing import Any, Awaitable, Callable, Concatenate, Coroutine, \
    Generator, Iterator, ParamSpec, Sequence, TypeVar

from . import _resp, errors
from ._client import DEFAULT_PATH, Autocommit, Lockkeeper
from ._connection import Connection
from ._core import Core
from ._executor import Caller, Executor
from ._resp import Pending
from ._rows import Row
from ._tasks import Task, word_of
from ._transaction import Transaction as AsyncTransaction
from ._unit import Unit
from ._words import Request
from .models import Model

T = TypeVar("T")
P = ParamSpec("P")


def _now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Its result: nothing in it ever waits for a loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("a blocking call has waited for an event loop")


# ---- whose call it is ----

def _asyncio_future(future: concurrent.futures.Future[Any]) -> Any:
    """asyncio's for a function in a thread of its executor."""
    for callback in list(getattr(future, "_done_callbacks", ())):
        names = callback.__code__.co_freevars \
            if hasattr(callback, "__code__") else ()
        for name, cell in zip(names, callback.__closure__ or ()):
            if name == "destination":
                return cell.cell_contents
    return None


def awaiting_task() -> Task | None:
    """The asyncio task that awaits what this thread runs for it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        item = frame.f_locals.get("self") \
            if frame.f_code.co_name == "run" else None
        future = getattr(item, "future", None)
        if isinstance(future, concurrent.futures.Future):
            waited_for = _asyncio_future(future)
            if waited_for is None:
                return None
            for task in asyncio.all_tasks(waited_for.get_loop()):
                if getattr(task, "_fut_waiter", None) is waited_for:
                    return task
            return None
        frame = frame.f_back
    return None


# ---- one thread's connection ----

class _Answer:
    """What a future is to who awaits it: here the result comes before."""

    def set_result(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, Any]:
        return self._value
        yield			# so that it is a generator


class _Blocking(Connection):
    """What Core and its executors ask of a connection, on a plain socket.  It
    is never ready but opened when something is sent."""

    def __init__(self, path: str, hello: Callable[[], Sequence[bytes]],
                 on_up: Callable[[], object]) -> None:
        self.path = path
        self.generation = 0
        self.is_ready = False
        self.create_future: Callable[[], Any] = _Answer
        self._is_open = False
        self.greeting: dict[str, Any] = {}
        self._hello = hello
        self._on_up = on_up
        self._is_closed = False
        self._pid = os.getpid()
        self._socket: socket.socket | None = None
        self._decoder = _resp.Decoder()
        self._replies: list[Any] = []

    def connect(self) -> None:
        if self._is_closed:
            raise errors.ClosedError("the client was closed")
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(self.path)
            self._socket, self._pid = made, os.getpid()
            self._decoder, self._replies = _resp.Decoder(), []
            made.sendall(_resp.request(self._hello()))
            greeting = self._receive()
            if isinstance(greeting, _resp.ErrorReply):
                raise greeting.exception()
        except BaseException:
            made.close()
            raise
        self.greeting = greeting
        self._is_open = True
        self._on_up()

    def drop(self) -> None:
        """It has ended, or what comes next on it is not known."""
        made, self._socket = self._socket, None
        self._is_open = False
        self.generation += 1
        if made is not None:
            made.close()

    def close(self) -> None:
        self._is_closed = True
        self.drop()

    def _receive(self) -> Any:
        assert self._socket is not None
        while not self._replies:
            data = self._socket.recv(256 * 1024)
            if not data:
                raise ConnectionError(f"{self.path} ended the connection")
            self._replies += [value for _, value in self._decoder.feed(data)
                              if not isinstance(value, _resp.Push)]
        return self._replies.pop(0)

    def ask(self, requests: Sequence[tuple[int, bytes]], may_commit: bool
            ) -> list[Any]:
        """Their replies, in order: those of one task come so.  They have tags,
        for without one BEGIN would open the connection's own transaction,
        which everything joins."""
        if self._pid != os.getpid():
            self.drop()			# the parent's
        if not self._is_open:
            self.connect()
        assert self._socket is not None
        try:
            self._socket.sendall(b"".join(
                b"*%d\r\n$%d\r\n@%d\r\n%b" % (n + 1, 1 + len(str(i)), i, data)
                for i, (n, data) in enumerate(requests)))
            return [self._receive() for _ in requests]
        except OSError as error:
            self.drop()
            if may_commit:
                raise errors.OutcomeUnknownError(
                    f"{error}; whether the request was carried out is not "
                    "known") from error
            raise errors.ConnectionLostError(
                f"{error}; nothing of the request was committed") from error
        except BaseException:		# interrupted: its reply is still to come
            self.drop()
            raise

    async def wait_ready(self) -> None:
        pass

    def send(self, n: int, head: bytes, data: bytes, pending: Pending
             ) -> bytes:
        future, may_commit, _ = pending
        assert future is not None
        future.set_result(self.ask([(n, head + data)], may_commit)[0])
        return b""

    def post_encoded(self, n: int, data: bytes) -> None:
        if self._is_open:
            try:
                self.ask([(n, data)], False)
            except errors.Error:
                pass			# nobody waits for what it was


class _Core(Core):
    def _new_connection(self, on_push: Callable[..., None]) -> Connection:
        return _Blocking(self.path, lambda: self._hello(b"blocking"),
                         self._on_up)

    def bulk(self) -> Connection:
        return self.connection

    def caller(self) -> object:
        return awaiting_task() or threading.current_thread()

    def place(self) -> tuple[int, bytes]:
        task = awaiting_task()
        if task is not None:
            return 1, word_of(task)
        name = threading.current_thread().name.encode("utf-8", "replace")
        return 1, _resp.bulk(b"%%%b/%d" % (
            name[:200], threading.get_native_id()))

    async def exchange_all(self, connection: Connection, head: bytes, n: int,
                           requests: Sequence[Request[Any]]
                           ) -> tuple[list[Any], Any]:
        assert isinstance(connection, _Blocking)
        *first, last = connection.ask(
            [(n + request.n, head + request.data) for request in requests],
            True)
        return first, last


# ---- what a program has ----

def _blocking(method: Callable[Concatenate[Executor, P], Coroutine[Any, Any, T]]
              ) -> Callable[Concatenate[BlockingExecutor, P], T]:
    def call(self: BlockingExecutor, /, *args: P.args, **kwargs: P.kwargs
             ) -> T:
        return _now(method(self._executor(), *args, **kwargs))
    call.__doc__ = method.__doc__
    call.__name__ = method.__name__
    return call


async def _result(awaitable: Awaitable[T]) -> T:
    return await awaitable


class BlockingExecutor(Caller):
    """Executor's methods, which block."""

    def run(self, awaitable: Awaitable[T]) -> T:
        """What awaiting it gives, of a model: lk.run(User.get(1))."""
        return _now(_result(awaitable))

    call = _blocking(Executor.call)
    fetch = _blocking(Executor.fetch)
    fetchrow = _blocking(Executor.fetchrow)
    fetchval = _blocking(Executor.fetchval)
    execute = _blocking(Executor.execute)
    get = _blocking(Executor.get)
    find = _blocking(Executor.find)
    one = _blocking(Executor.one)
    first = _blocking(Executor.first)
    count = _blocking(Executor.count)
    exists = _blocking(Executor.exists)
    create = _blocking(Executor.create)
    create_many = _blocking(Executor.create_many)
    update = _blocking(Executor.update)
    upsert = _blocking(Executor.upsert)
    delete = _blocking(Executor.delete)
    update_all = _blocking(Executor.update_all)
    delete_all = _blocking(Executor.delete_all)
    load = _blocking(Executor.load)
    publish = _blocking(Executor.publish)

    def iterate(self, sql: str, *args: Any) -> Iterator[Row]:
        cursor = self._executor().iterate(sql, *args)
        try:
            while True:
                try:
                    yield _now(cursor.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            _now(cursor.aclose())

    def options(self, *, timeout: float | None = None,
                lock_timeout: float | None = None, database: str | None = None,
                replay: bool = False) -> BlockingExecutor:
        return _Of(self._executor().options(
            timeout=timeout, lock_timeout=lock_timeout, database=database,
            replay=replay))

    def transaction(self, *, isolation: str | None = None,
                    read_only: bool = False, deferrable: bool = False
                    ) -> Transaction:
        return Transaction(self._executor().transaction(
            isolation=isolation, read_only=read_only, deferrable=deferrable))


class _Of(BlockingExecutor):
    def __init__(self, of: Executor) -> None:
        self._of = of

    def _executor(self) -> Executor:
        return self._of


class Transaction(_Of):
    """`with lk.transaction() as tx`: as lockkeeper.Transaction."""

    _of: AsyncTransaction

    def __enter__(self) -> Transaction:
        _now(self._of.__aenter__())
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        _now(self._of.__aexit__(kind, error, traceback))

    def commit(self) -> None:
        _now(self._of.commit())

    def rollback(self) -> None:
        _now(self._of.rollback())


class BlockingUnit:
    """`with lk.unit() as u`: u's methods are lockkeeper.Unit's."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def __enter__(self) -> Unit:
        return self._unit

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        _now(self._unit.__aexit__(kind, error, traceback))


class Client(BlockingExecutor):
    """For all threads: each connects at its first call."""

    def __init__(self, path: str, database: str | None, name: str) -> None:
        self._path = path
        self._database = database
        self._name = name
        self._local = threading.local()
        self._cores: weakref.WeakSet[_Core] = weakref.WeakSet()

    def _executor(self) -> Lockkeeper:
        client: Lockkeeper | None = getattr(self._local, "client", None)
        if client is None:
            core = _Core(self._path, self._database, self._name, 0.0)
            self._cores.add(core)
            client = self._local.client = Lockkeeper(core)
        return client

    def autocommit(self) -> BlockingExecutor:
        return _Of(Autocommit(self._executor().core))

    def bind(self, *models: type[Model]) -> None:
        """As Lockkeeper.bind(): what they ask is asked in the thread that runs
        it, see run()."""
        for model in models:
            model.bind(self)

    def unit(self, *, retry: int | None = None, isolation: str | None = None
             ) -> BlockingUnit:
        return BlockingUnit(self._executor().unit(retry=retry,
                                                  isolation=isolation))

    def close(self) -> None:
        """All threads' connections."""
        for core in list(self._cores):
            core.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()


def connect(path: str | None = None, *, database: str | None = None,
            name: str | None = None) -> Client:
    """As lockkeeper.connect()."""
    client = Client(path or os.environ.get("LOCKKEEPER_SOCKET")
                    or DEFAULT_PATH, database,
                    name or os.path.basename(sys.argv[0] or "python")[:255])
    connection = client._executor().core.connection
    assert isinstance(connection, _Blocking)
    connection.connect()		# so that what is wrong is said here
    return client
