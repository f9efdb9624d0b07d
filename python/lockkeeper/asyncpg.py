"""The part of asyncpg's Pool and Connection that services use, so that one can
try Lockkeeper by changing an import:

    import lockkeeper.asyncpg as asyncpg
    pool = await asyncpg.create_pool("/run/lockkeeper/lockkeeper.sock")

python/README says what is there and what is not.  An acquired connection is no
session: outside a transaction its statements are carried out wherever there is
a slot, and what SET says does not last.
"""
from __future__ import annotations

import abc
from types import TracebackType
from typing import Any, AsyncIterator, Generator, Iterable, Sequence

from ._client import Lockkeeper, connect
from ._cursor import Cursor as _Cursor
from ._executor import Executor
from ._rows import Row
from ._transaction import Transaction as _Transaction
from .errors import Error as PostgresError, UsageError as InterfaceError

__all__ = ["Connection", "InterfaceError", "Pool", "PostgresError",
           "PreparedStatement", "Record", "Transaction", "create_pool"]


class Record(Row):
    """As asyncpg's: iterating gives the values."""

    def __iter__(self) -> Any:
        return iter(self._cells)

    def keys(self) -> Any:
        return iter(self._shape.columns)

    def values(self) -> Any:
        return iter(self._cells)

    def items(self) -> Any:
        return zip(self._shape.columns, self._cells)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return self._cells == other._cells
        return tuple(self._cells) == other

    def __hash__(self) -> int:
        return hash(tuple(self._cells))

    def __repr__(self) -> str:
        inner = " ".join(f"{name}={value!r}" for name, value in self.items())
        return f"<Record {inner}>"


def _record(row: Row) -> Record:
    return Record(row._shape, row._cells)


class _Statements(abc.ABC):
    """What a Pool and a Connection have in common."""

    @abc.abstractmethod
    def _executor(self, timeout: float | None) -> Executor:
        """Where statements go now."""

    async def execute(self, query: str, *args: Any,
                      timeout: float | None = None) -> str:
        return await self._executor(timeout).execute(query, *args)

    async def executemany(self, command: str, args: Iterable[Sequence[Any]],
                          *, timeout: float | None = None) -> None:
        """All or nothing."""
        async with self._executor(timeout).transaction() as tx:
            each_one = tx if timeout is None else tx.options(timeout=timeout)
            for each in args:
                await each_one.execute(command, *each)

    async def fetch(self, query: str, *args: Any,
                    timeout: float | None = None) -> list[Record]:
        return list(map(_record, await self._executor(timeout).fetch(
            query, *args)))

    async def fetchrow(self, query: str, *args: Any,
                       timeout: float | None = None) -> Record | None:
        row = await self._executor(timeout).fetchrow(query, *args)
        return None if row is None else _record(row)

    async def fetchval(self, query: str, *args: Any, column: int = 0,
                       timeout: float | None = None) -> Any:
        row = await self.fetchrow(query, *args, timeout=timeout)
        return None if row is None else row[column]


class Transaction:
    """`async with con.transaction()`, or start() and commit() or rollback()."""

    def __init__(self, connection: Connection, of: _Transaction) -> None:
        self._connection = connection
        self._of = of

    async def start(self) -> None:
        await self._of.start()
        self._connection._inner.append(self._of)

    def _leave(self) -> None:
        inner = self._connection._inner
        if self._of in inner:
            del inner[inner.index(self._of):]

    async def commit(self) -> None:
        self._leave()
        await self._of.commit()

    async def rollback(self) -> None:
        self._leave()
        await self._of.rollback()

    async def __aenter__(self) -> None:
        await self._of.__aenter__()
        self._connection._inner.append(self._of)

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        self._leave()
        await self._of.__aexit__(kind, error, traceback)


class Cursor:
    """`async for` over it, in a transaction; or await it, for fetch(n) and
    fetchrow()."""

    def __init__(self, of: _Cursor) -> None:
        self._of = of

    async def _self(self) -> Cursor:
        return self

    def __await__(self) -> Generator[Any, None, Cursor]:
        return self._self().__await__()

    async def __aiter__(self) -> AsyncIterator[Record]:
        async with self._of as rows:
            async for row in rows:
                yield _record(row)

    async def fetchrow(self) -> Record | None:
        async for row in self._of:
            return _record(row)
        return None

    async def fetch(self, n: int) -> list[Record]:
        rows: list[Record] = []
        while len(rows) < n and (row := await self.fetchrow()) is not None:
            rows.append(row)
        return rows


class PreparedStatement:
    """The daemon prepares by itself what is often asked: this only keeps the
    text."""

    def __init__(self, connection: Connection, query: str) -> None:
        self._connection = connection
        self._query = query

    def get_query(self) -> str:
        return self._query

    async def fetch(self, *args: Any, timeout: float | None = None
                    ) -> list[Record]:
        return await self._connection.fetch(self._query, *args,
                                            timeout=timeout)

    async def fetchrow(self, *args: Any, timeout: float | None = None
                       ) -> Record | None:
        return await self._connection.fetchrow(self._query, *args,
                                               timeout=timeout)

    async def fetchval(self, *args: Any, column: int = 0,
                       timeout: float | None = None) -> Any:
        return await self._connection.fetchval(self._query, *args,
                                               column=column, timeout=timeout)

    async def executemany(self, args: Iterable[Sequence[Any]], *,
                          timeout: float | None = None) -> None:
        await self._connection.executemany(self._query, args, timeout=timeout)

    def cursor(self, *args: Any) -> Cursor:
        return self._connection.cursor(self._query, *args)


class Connection(_Statements):
    def __init__(self, lk: Lockkeeper) -> None:
        self._lk = lk
        self._inner: list[_Transaction] = []
        self._is_released = False

    def _now(self) -> Executor:
        if self._is_released:
            raise InterfaceError("the connection has been released to its "
                                 "pool")
        return self._inner[-1] if self._inner else self._lk.autocommit()

    def _executor(self, timeout: float | None) -> Executor:
        now = self._now()
        return now if timeout is None else now.options(timeout=timeout)

    def transaction(self, *, isolation: str | None = None,
                    readonly: bool = False, deferrable: bool = False
                    ) -> Transaction:
        return Transaction(self, self._now().transaction(
            isolation=isolation, read_only=readonly, deferrable=deferrable))

    def is_in_transaction(self) -> bool:
        return bool(self._inner)

    def cursor(self, query: str, *args: Any) -> Cursor:
        if not self._inner:
            raise InterfaceError("a cursor is in a transaction")
        return Cursor(self._now().iterate(query, *args))

    async def prepare(self, query: str) -> PreparedStatement:
        return PreparedStatement(self, query)

    async def _release(self) -> None:
        inner, self._inner = self._inner, []
        self._is_released = True
        for tx in inner[:1]:		# the savepoints go with it
            if tx.is_open:
                await tx.rollback()


class _Acquiring:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def _acquire(self) -> Connection:
        self._connection = Connection(self._pool._client())
        return self._connection

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._acquire().__await__()

    async def __aenter__(self) -> Connection:
        return await self._acquire()

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        assert self._connection is not None
        if error is None or isinstance(error, Exception):
            await self._connection._release()
            return
        for tx in self._connection._inner[:1]:
            tx.abandon()


class Pool(_Statements):
    """One connection to the daemon, whose pool is the pool."""

    def __init__(self, path: str | None, database: str | None) -> None:
        self._path = path
        self._database = database
        self._lk: Lockkeeper | None = None

    async def _connect(self) -> Pool:
        if self._lk is None:
            self._lk = await connect(self._path, database=self._database)
        return self

    def __await__(self) -> Generator[Any, None, Pool]:
        return self._connect().__await__()

    async def __aenter__(self) -> Pool:
        return await self._connect()

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        await self.close()

    def _client(self) -> Lockkeeper:
        if self._lk is None:
            raise InterfaceError("the pool is not open: await create_pool()")
        return self._lk

    def _executor(self, timeout: float | None) -> Executor:
        outside = self._client().autocommit()
        return outside if timeout is None else outside.options(timeout=timeout)

    def acquire(self) -> _Acquiring:
        return _Acquiring(self)

    async def release(self, connection: Connection) -> None:
        await connection._release()

    async def close(self) -> None:
        if self._lk is not None:
            await self._lk.close()

    def terminate(self) -> None:
        if self._lk is not None:
            self._lk.core.close()


def create_pool(path: str | None = None, *, database: str | None = None
                ) -> Pool:
    """path: of the daemon's socket, as for lockkeeper.connect(); how many
    sessions there are is the daemon's configuration."""
    return Pool(path, database)
