"""The client: lockkeeper.connect()."""
from __future__ import annotations

import asyncio
import os
import sys
from types import TracebackType
from typing import Any, Awaitable, Callable, Coroutine, Generator, TypeVar

from ._core import Core, current
from ._cursor import Cursor
from ._executor import PLAIN, Envelope, Executor
from ._rows import Row
from ._subscribe import Hub, Subscription
from ._transaction import Transaction
from ._unit import Unit
from ._words import Request
from .errors import UsageError
from .models import Model
from ._reflect import Reflected, reflect

T = TypeVar("T")

DEFAULT_PATH = "/run/lockkeeper/lockkeeper.sock"


class Autocommit(Executor):
    """Outside of all transactions, whatever block the task is in.  `with
    lk.autocommit():` has the client's own calls be so, too."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._before: list[Transaction | None] = []

    @property
    def core(self) -> Core:
        return self._core

    def ask(self, request: Request[T], envelope: Envelope = PLAIN
            ) -> Coroutine[Any, Any, T]:
        return self._core.ask(request, envelope, False)

    def transaction(self, *, isolation: str | None = None,
                    read_only: bool = False, deferrable: bool = False,
                    force_rollback: bool = False) -> Transaction:
        return Transaction(self._core, None, isolation, read_only, deferrable,
                           force_rollback)

    def cursor(self, request: Request[list[Row]],
               envelope: Envelope = PLAIN) -> Cursor:
        return Cursor(self._core, request, None, envelope)

    def __enter__(self) -> Autocommit:
        self._before.append(current.get())
        current.set(None)
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        current.set(self._before.pop())


class Lockkeeper(Executor):
    """One connection to the daemon for all tasks of an event loop.  Calls are
    part of the transaction whose block the task is in, else each is its own."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._hub = Hub(core)

    @property
    def core(self) -> Core:
        return self._core

    @property
    def database(self) -> str:
        """Where requests go that name none."""
        name: str = self._core.connection.greeting["database"].decode()
        return name

    def ask(self, request: Request[T], envelope: Envelope = PLAIN
            ) -> Coroutine[Any, Any, T]:
        return self._core.ask(request, envelope, True)

    def transaction(self, *, isolation: str | None = None,
                    read_only: bool = False, deferrable: bool = False,
                    force_rollback: bool = False) -> Transaction:
        return Transaction(self._core, self._core.transaction_now(),
                           isolation, read_only, deferrable, force_rollback)

    def cursor(self, request: Request[list[Row]],
               envelope: Envelope = PLAIN) -> Cursor:
        return Cursor(self._core, request, self._core.transaction_now(),
                      envelope)

    def autocommit(self) -> Autocommit:
        return Autocommit(self._core)

    def unit(self, *, retry: int | None = None, isolation: str | None = None,
             database: str | None = None) -> Unit:
        if self._core.transaction_now() is not None:
            raise UsageError("a unit is a transaction of its own and cannot be "
                             "inside another one: there it is a savepoint, "
                             "lk.transaction()")
        return Unit(self._core, retry, isolation, database)

    def subscribe(self, *channels: str) -> Subscription:
        """Messages of PostgreSQL's NOTIFY in these channels."""
        if not channels:
            raise UsageError("no channel to subscribe to")
        return Subscription(self._hub, channels)

    def on(self, kind: str, function: Callable[[dict[str, Any]], None]
           ) -> None:
        """Have it called with what the daemon says unasked: lockwait,
        blocking, deadlock, txexpired, missed or closing, see PUSHES in
        lockkeeper-protocol(7).  It is called in the loop and must not wait."""
        if kind not in ("lockwait", "blocking", "deadlock", "txexpired",
                        "missed", "closing"):
            raise UsageError(f"the daemon never says {kind}")
        self._core.push_hooks.setdefault(kind, []).append(function)

    def bind(self, *models: type[Model]) -> None:
        """Have these classes, and those derived from them, ask this client."""
        for model in models:
            model.bind(self)

    async def reflect(self) -> Reflected:
        """Classes for all models of the database."""
        return await reflect(self)

    async def wait_for(self, awaitable: Awaitable[T], timeout: float | None
                       ) -> T:
        """asyncio.wait_for(), but in this task, and so in its transaction."""
        async with asyncio.timeout(timeout):
            return await awaitable

    async def close(self) -> None:
        """What is open ends: transactions are rolled back."""
        self._core.close()
        await asyncio.sleep(0)		# so that the transport is gone

    async def __aenter__(self) -> Lockkeeper:
        return self

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        await self.close()


class Connecting(Awaitable[Lockkeeper]):
    """`await` it for a client, or have one for a block by `async with`."""

    def __init__(self, path: str | None, database: str | None,
                 name: str | None, connect_timeout: float) -> None:
        self._path = path or os.environ.get("LOCKKEEPER_SOCKET") \
            or DEFAULT_PATH
        self._database = database
        self._name = name or os.path.basename(sys.argv[0] or "python")[:255]
        self._connect_timeout = connect_timeout
        self._client: Lockkeeper | None = None

    async def _connect(self) -> Lockkeeper:
        core = Core(self._path, self._database, self._name or "python",
                    self._connect_timeout)
        await core.connection.open()
        self._client = Lockkeeper(core)
        return self._client

    def __await__(self) -> Generator[Any, None, Lockkeeper]:
        return self._connect().__await__()

    async def __aenter__(self) -> Lockkeeper:
        return await self._connect()

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        if self._client is not None:
            await self._client.close()


def connect(path: str | None = None, *, database: str | None = None,
            name: str | None = None, connect_timeout: float = 10.0
            ) -> Connecting:
    """A client of the daemon whose socket is at path (else the environment's
    LOCKKEEPER_SOCKET, else where packages have it).  Once connected, it
    connects again by itself; a call then waits for connect_timeout seconds."""
    return Connecting(path, database, name, connect_timeout)
