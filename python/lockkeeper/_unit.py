"""Units: several verbs that are sent whole and carried out in one transaction,
which the daemon begins again when it loses a deadlock.
"""
from __future__ import annotations

import secrets
from types import TracebackType
from typing import TYPE_CHECKING, Any, Awaitable, Generic, Iterable, Mapping, \
    Sequence, TypeVar

from . import _encode, _resp, _words, errors
from ._executor import Where
from ._rows import Row
from ._words import Request
from .expr import Condition, Everything

if TYPE_CHECKING:
    from ._core import Core

T = TypeVar("T")

# No data of a program begins with it by accident.
_MARKER = b"&" + secrets.token_hex(6).encode() + b":"
# Whose verb's values are being encoded.
_encoding: Unit | None = None


class Reference:
    """A column of the row that an earlier verb gives, as a value."""

    def __init__(self, result: Result[Any], column: str) -> None:
        self.result = result
        self.column = column

    def encoded(self) -> bytes:
        if self.result.unit is not _encoding:
            raise errors.UsageError("a reference is a value in its own unit "
                                    "only")
        return _MARKER + b"%d.%b" % (self.result.index, self.column.encode())


_encode.register(Reference, Reference.encoded)


class Result(Generic[T]):
    """What a verb will give: `value` when the block has ended.  Before, its
    columns are references for later verbs: result.id or result["id"]."""

    def __init__(self, unit: Unit, index: int) -> None:
        self.unit = unit
        self.index = index		# as the daemon counts, from 1
        self._values: list[T] = []

    @property
    def value(self) -> T:
        if not self._values:
            raise errors.UsageError("the unit has not been carried out")
        return self._values[0]

    def _set(self, value: T) -> None:
        self._values.append(value)

    def __getitem__(self, column: str) -> Reference:
        return Reference(self, column)

    def __getattr__(self, column: str) -> Reference:
        if column.startswith("_"):
            raise AttributeError(column)
        return Reference(self, column)


class Unit:
    """`async with lk.unit(retry=5) as u`: u's methods keep what is to be done,
    and the end of the block does it.  A block that an exception leaves does
    nothing.  With must=True a verb that gives None, False, 0 or no rows fails
    the unit."""

    def __init__(self, core: Core, retry: int | None, isolation: str | None,
                 database: str | None) -> None:
        self._core = core
        self._database = database or core.database
        words: list[Any] = ["MULTI"]
        if isolation is not None:
            words += isolation.replace("_", " ").upper().split()
        if retry is not None:
            words += ["RETRY", retry]
        words += ["REF", _MARKER]
        self._begin = Request(words, _words.nothing)
        self._queue: list[tuple[Request[Any], Result[Any]]] = []
        self._has_ended = False

    # -- verbs

    def _keep(self, build: Any, *args: Any, must: bool = False) -> Result[Any]:
        global _encoding
        if self._has_ended:
            raise errors.UsageError("the unit has been carried out")
        before, _encoding = _encoding, self
        try:
            request = build(*args)
        finally:
            _encoding = before
        if must:
            request = request.behind("MUST")
        result: Result[Any] = Result(self, len(self._queue) + 1)
        self._queue.append((request, result))
        return result

    def call(self, verb: str, *args: Any, must: bool = False) -> Result[Any]:
        return self._keep(_words.any_verb, verb, args, must=must)

    def fetch(self, sql: str, *args: Any, must: bool = False
              ) -> Result[list[Row]]:
        return self._keep(_words.sql, sql, args, _words.rows, must=must)

    def fetchrow(self, sql: str, *args: Any, must: bool = False
                 ) -> Result[Row | None]:
        return self._keep(_words.sql, sql, args, _words.row_or_none, must=must)

    def fetchval(self, sql: str, *args: Any, must: bool = False
                 ) -> Result[Any]:
        return self._keep(_words.sql, sql, args, _words.first_value, must=must)

    def execute(self, sql: str, *args: Any, must: bool = False) -> Result[str]:
        return self._keep(_words.sql, sql, args, _words.tag, must=must)

    def get(self, model: str, *key: Any, must: bool = False
            ) -> Result[Row | None]:
        return self._keep(_words.get, model, key, must=must)

    def find(self, model: str, where: Where = None, *, must: bool = False,
             **equal: Any) -> Result[list[Row]]:
        return self._keep(
            lambda: _words.find("FIND", model, _words.clauses(
                _words.condition_of(where, equal)), _words.rows), must=must)

    def count(self, model: str, where: Where = None, *, must: bool = False,
              **equal: Any) -> Result[int]:
        return self._keep(
            lambda: _words.count("COUNT", model, _words.condition_of(
                where, equal)), must=must)

    def create(self, model: str, values: Mapping[str, Any] = {}, /,
               **more: Any) -> Result[Row]:
        return self._keep(_words.create, model, {**values, **more})

    def create_many(self, model: str, rows: Sequence[Mapping[str, Any]]
                    ) -> Result[int]:
        if not rows:
            raise errors.UsageError("there are no rows to create")
        columns = list(rows[0])
        return self._keep(_words.create_many, model, columns,
                          [[row[name] for name in columns] for row in rows])

    def update(self, model: str, key: Any, values: Mapping[str, Any] = {}, /,
               if_: Condition | None = None, must: bool = False, **more: Any
               ) -> Result[Row | None]:
        return self._keep(lambda: _words.update(
            model, key, {**values, **more}, _words.condition_of(if_, {})),
            must=must)

    def upsert(self, model: str, values: Mapping[str, Any] = {}, /,
               on: Iterable[Any] = (), **more: Any) -> Result[Row]:
        return self._keep(_words.upsert, model, {**values, **more}, list(on))

    def delete(self, model: str, key: Any, /, if_: Condition | None = None,
               must: bool = False) -> Result[bool]:
        return self._keep(lambda: _words.delete(
            model, key, _words.condition_of(if_, {})), must=must)

    def update_all(self, model: str, where: Condition | Everything,
                   values: Mapping[str, Any] = {}, /, must: bool = False,
                   **more: Any) -> Result[int]:
        return self._keep(lambda: _words.update_all(
            model, {**values, **more}, where), must=must)

    def delete_all(self, model: str, where: Condition | Everything,
                   must: bool = False) -> Result[int]:
        return self._keep(_words.delete_all, model, where, must=must)

    def publish(self, channel: str, payload: str) -> Result[None]:
        return self._keep(Request, [b"PUBLISH", channel.encode(),
                                    payload.encode()], _words.nothing)

    # -- all of it

    async def __aenter__(self) -> Unit:
        return self

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        if error is not None:
            self._has_ended = True
        elif not self._has_ended:
            await self.run()

    async def run(self) -> None:
        """Carry it out now: for who has no block."""
        if self._has_ended:
            raise errors.UsageError("the unit has been carried out")
        self._has_ended = True
        if not self._queue:
            return
        core, connection = self._core, self._core.connection
        n, task = core.place()
        if self._database is not None:	# where all of it goes: before MULTI
            self._begin.n += 1
            self._begin.data = _resp.bulk(b"/" + self._database.encode()) \
                + self._begin.data
        kept, reply = await core.exchange_all(connection, task, n, [
            self._begin, *(request for request, _ in self._queue),
            Request(["EXEC"], _words.nothing)])
        if type(reply) is _resp.ErrorReply:
            raise self._failure(reply, kept)

        def again(other: Request[Any]) -> Awaitable[Any]:
            there = b"" if self._database is None else \
                _resp.bulk(b"/" + self._database.encode())
            return core.exchange(connection, n + bool(there), there + task,
                                 other, False)

        for value, (request, result) in zip(reply, self._queue):
            if type(value) is _resp.ErrorReply:
                raise value.exception()
            result._set(await core.take(value, request, self._database, again))

    @staticmethod
    def _failure(reply: _resp.ErrorReply, kept: list[Any]) -> errors.Error:
        error = reply.exception()
        if not isinstance(error, errors.UnitAbortedError):
            return error
        for i, told in enumerate(kept):
            if type(told) is _resp.ErrorReply:
                refused: errors.Error = told.exception()
                refused.index = i or None
                return refused
        return error
