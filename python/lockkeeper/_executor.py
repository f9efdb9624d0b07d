"""What can be asked for, wherever it is carried out: by the client, in a
transaction, or outside of all.

What is asked for most is no `async def`, but passes on the one coroutine that
carries it out, since each more would cost every call.
"""
from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING, Any, Coroutine, Iterable, Mapping, \
    NamedTuple, Sequence, TypeVar

from . import _resp, _words
from ._rows import Row
from ._words import Request
from .errors import NotFound, UsageError
from .expr import Condition, Everything

if TYPE_CHECKING:
    from ._core import Core
    from ._cursor import Cursor
    from ._transaction import Transaction

T = TypeVar("T")
Where = Condition | Everything | None


class Envelope(NamedTuple):
    """Words before the verb, encoded, and where the request goes."""
    n: int = 0
    data: bytes = b""
    database: str | None = None
    is_bulk: bool = False

    def more(self, timeout: float | None, lock_timeout: float | None,
             database: str | None, replay: bool, bulk: bool) -> Envelope:
        words: list[bytes | None] = []
        if timeout is not None:
            words.append(b"~%d" % _milliseconds(timeout))
        if lock_timeout is not None:
            words.append(b"?%d" % _milliseconds(lock_timeout))
        if database is not None:
            words.append(b"/" + database.encode())
        if replay:
            words.append(b"!")
        return Envelope(self.n + len(words), self.data + _resp.bulks(words),
                        database or self.database, bulk or self.is_bulk)


PLAIN = Envelope()


def _milliseconds(seconds: float) -> int:
    if seconds < 0:
        raise UsageError(f"a time of {seconds} s")
    return math.ceil(seconds * 1000)


class Caller(abc.ABC):
    """What models may be bound to, and used with."""

    @abc.abstractmethod
    def _executor(self) -> Executor:
        """Who carries out what is asked for now, in this thread."""


class Executor(Caller):
    """Keywords of find() and its like: where, a condition, and column=value
    for what is equal; order_by, limit, after and offset; fields; with_, for
    related rows; and lock, such as "UPDATE" or "SHARE NOWAIT", in
    transactions."""

    def _executor(self) -> Executor:
        return self

    @property
    @abc.abstractmethod
    def core(self) -> Core:
        """The client's, which all of its executors share."""

    @abc.abstractmethod
    def ask(self, request: Request[T], envelope: Envelope = PLAIN
            ) -> Coroutine[Any, Any, T]:
        """One request and what its reply is."""

    @abc.abstractmethod
    def transaction(self, *, isolation: str | None = None,
                    read_only: bool = False, deferrable: bool = False,
                    force_rollback: bool = False) -> Transaction:
        """A transaction, or a savepoint of the one that this is in."""

    @abc.abstractmethod
    def cursor(self, request: Request[list[Row]],
               envelope: Envelope = PLAIN) -> Cursor:
        """The rows of FIND or SQL, some at a time."""

    def options(self, *, timeout: float | None = None,
                lock_timeout: float | None = None, database: str | None = None,
                replay: bool = False, bulk: bool = False) -> Executor:
        """The same, for requests that have seconds to be done (timeout) or to
        wait for locks (lock_timeout), go to another database, may be run again
        from their start (replay), or have large replies and so go by a
        connection that others do not wait for (bulk)."""
        return Optioned(self, PLAIN.more(timeout, lock_timeout, database,
                                         replay, bulk))

    # -- any verb, and SQL

    def call(self, verb: str, *args: Any) -> Coroutine[Any, Any, Any]:
        """Any verb of lockkeeper-protocol(7).  Rows are Row; where the verb
        gives one row or none, it is that or None.  Rows that WITH nests are
        lists of them, as is LOAD's reply, also where one is the most."""
        return self.ask(_words.any_verb(verb, args))

    def fetch(self, sql: str, *args: Any
              ) -> Coroutine[Any, Any, list[Row]]:
        return self.ask(_words.sql(sql, args, _words.rows))

    def fetchrow(self, sql: str, *args: Any
                 ) -> Coroutine[Any, Any, Row | None]:
        """The first row."""
        return self.ask(_words.sql(sql, args, _words.row_or_none))

    def fetchval(self, sql: str, *args: Any) -> Coroutine[Any, Any, Any]:
        """The first column of the first row, or None."""
        return self.ask(_words.sql(sql, args, _words.first_value))

    def execute(self, sql: str, *args: Any) -> Coroutine[Any, Any, str]:
        """The command tag, such as "UPDATE 3"."""
        return self.ask(_words.sql(sql, args, _words.tag))

    def iterate(self, sql: str, *args: Any) -> Cursor:
        """`async for row in lk.iterate(…)`: the rows some at a time, so that
        they may be more than memory holds."""
        return self.cursor(_words.sql(sql, args, _words.rows))

    # -- models

    def get(self, model: str, *key: Any,
            fields: Sequence[Any] | None = None,
            with_: Sequence[Any] = (), lock: str | None = None
            ) -> Coroutine[Any, Any, Row | None]:
        """The row with this key, or None."""
        return self.ask(_words.get(model, key, fields, with_, lock))

    async def find(self, model: str, where: Where = None, /, *,
                   order_by: Sequence[Any] = (), limit: int | None = None,
                   after: Sequence[Any] | None = None,
                   offset: int | None = None,
                   fields: Sequence[Any] | None = None,
                   with_: Sequence[Any] = (), lock: str | None = None,
                   **equal: Any) -> list[Row]:
        words = _words.clauses(_words.condition_of(where, equal), order_by,
                               after, limit, offset, fields, with_, lock)
        return await self.ask(
            _words.find("FIND", model, words, _words.rows,
                                         bool(with_)))

    async def one(self, model: str, where: Where = None, /, *,
                  fields: Sequence[Any] | None = None,
                  with_: Sequence[Any] = (), lock: str | None = None,
                  **equal: Any) -> Row:
        """The only row; UnmetError when there is none, or another."""
        words = _words.clauses(_words.condition_of(where, equal),
                               fields=fields, with_=with_, lock=lock)
        return await self.ask(_words.find("ONE", model, words, _words.row,
                                         bool(with_)))

    async def first(self, model: str, where: Where = None, /, *,
                    order_by: Sequence[Any] = (),
                    after: Sequence[Any] | None = None,
                    offset: int | None = None,
                    fields: Sequence[Any] | None = None,
                    with_: Sequence[Any] = (), lock: str | None = None,
                    **equal: Any) -> Row | None:
        words = _words.clauses(_words.condition_of(where, equal), order_by,
                               after, None, offset, fields, with_, lock)
        return await self.ask(
            _words.find("FIRST", model, words, _words.row_or_none,
                                         bool(with_)))

    async def count(self, model: str, where: Where = None, /,
                    **equal: Any) -> int:
        number: int = await self.ask(_words.count(
            "COUNT", model, _words.condition_of(where, equal)))
        return number

    async def exists(self, model: str, where: Where = None, /,
                     **equal: Any) -> bool:
        is_there: bool = await self.ask(_words.count(
            "EXISTS", model, _words.condition_of(where, equal)))
        return is_there

    async def create(self, model: str, values: Mapping[str, Any] = {}, /,
                     **more: Any) -> Row:
        """A new row, with its defaults."""
        return await self.ask(_words.create(model, {**values, **more}))

    async def create_many(self, model: str,
                          rows: Iterable[Mapping[str, Any]]) -> int:
        """All or none of them; the first one says which columns they have."""
        rows = list(rows)
        if not rows:
            return 0
        columns = list(rows[0])
        return await self.ask(_words.create_many(
            model, columns, [[row[name] for name in columns]
                             for row in rows]))

    async def update(self, model: str, key: Any,
                     values: Mapping[str, Any] = {}, /,
                     if_: Condition | None = None, **more: Any) -> Row | None:
        """The row as it is then, or None; a composite key is a tuple."""
        return await self.ask(_words.update(
            model, key, {**values, **more}, _words.condition_of(if_, {})))

    async def upsert(self, model: str, values: Mapping[str, Any] = {}, /,
                     on: Sequence[Any] = (), **more: Any) -> Row:
        """The row that has this key, new or changed."""
        return await self.ask(_words.upsert(model, {**values, **more}, on))

    async def delete(self, model: str, key: Any, /,
                     if_: Condition | None = None) -> bool:
        """Whether there was such a row."""
        return await self.ask(_words.delete(
            model, key, _words.condition_of(if_, {})))

    async def update_all(self, model: str, where: Condition | Everything,
                         values: Mapping[str, Any] = {}, /, **more: Any
                         ) -> int:
        return await self.ask(_words.update_all(
            model, {**values, **more}, where))

    async def delete_all(self, model: str, where: Condition | Everything
                         ) -> int:
        return await self.ask(_words.delete_all(model, where))

    async def load(self, model: str, key: Any, relation: str,
                   where: Where = None, /, *, order_by: Sequence[Any] = (),
                   limit: int | None = None, offset: int | None = None,
                   fields: Sequence[Any] | None = None,
                   with_: Sequence[Any] = (), **equal: Any) -> Any:
        """What the relation leads to from the row with this key: a list of
        rows, or, where there is one at most, a row or None."""
        words = _words.clauses(_words.condition_of(where, equal), order_by,
                               None, limit, offset, fields, with_)
        return await self.ask(_words.load(model, key, relation, words))

    async def publish(self, channel: str, payload: str) -> None:
        await self.ask(Request(["PUBLISH", channel, payload], _words.nothing))


class Optioned(Executor):
    """Another one, with words in the envelope."""

    def __init__(self, of: Executor, envelope: Envelope) -> None:
        self._of = of
        self._envelope = envelope

    @property
    def core(self) -> Core:
        return self._of.core

    def _both(self, inner: Envelope) -> Envelope:
        outer = self._envelope
        if inner is PLAIN:
            return outer
        return Envelope(outer.n + inner.n, outer.data + inner.data,
                        inner.database or outer.database,
                        inner.is_bulk or outer.is_bulk)

    def ask(self, request: Request[T], envelope: Envelope = PLAIN
            ) -> Coroutine[Any, Any, T]:
        return self._of.ask(request, self._both(envelope))

    def transaction(self, *, isolation: str | None = None,
                    read_only: bool = False, deferrable: bool = False,
                    force_rollback: bool = False) -> Transaction:
        """In the database of the options; the rest is about requests."""
        made = self._of.transaction(
            isolation=isolation, read_only=read_only, deferrable=deferrable,
            force_rollback=force_rollback)
        made.use_database(self._envelope.database)
        return made

    def cursor(self, request: Request[list[Row]],
               envelope: Envelope = PLAIN) -> Cursor:
        return self._of.cursor(request, self._both(envelope))


def found(row: T | None, what: str) -> T:
    if row is None:
        raise NotFound(f"there is no {what}")
    return row
