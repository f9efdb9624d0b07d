"""Queries of a model: what Model.find() gives."""
from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, AsyncIterator, Generator, Generic, \
    Sequence, TypeVar

from . import _words
from ._columns import Column
from ._rows import Row
from .errors import UnmetError, UsageError
from .expr import Condition, Everything, Order, Words

if TYPE_CHECKING:
    from ._executor import Caller, Executor
    from .models import Model

M = TypeVar("M", bound="Model")


class Query(Generic[M]):
    """Each method that says more about it gives another query.  `await` it for
    a list, `async for` it for some at a time."""

    def __init__(self, model: type[M], using: Caller | None) -> None:
        self._model = model
        self._using = using
        self._condition: Condition | Everything | None = None
        self._order: tuple[Any, ...] = ()
        self._after: Sequence[Any] | Model | None = None
        self._limit: int | None = None
        self._offset: int | None = None
        self._with: tuple[Any, ...] = ()
        self._lock: str | None = None

    def _changed(self, **changes: Any) -> Query[M]:
        made = copy.copy(self)
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    # -- which rows

    def where(self, *conditions: Condition | Everything, **equal: Any
              ) -> Query[M]:
        made = self._changed()
        all_of = [*conditions, *(self._model._columns[name] == value
                                 if name in self._model._columns else
                                 self._model._properties[name] == value
                                 for name, value in self._known(equal))]
        for condition in all_of:
            before = made._condition
            made._condition = condition if before is None or isinstance(
                condition, Everything) or isinstance(before, Everything) \
                else before & condition
        return made

    def _known(self, equal: dict[str, Any]) -> list[tuple[str, Any]]:
        for name in equal:
            if name not in self._model._columns \
                    and name not in self._model._properties:
                raise UsageError(f"{self._model.__name__} has no column "
                                 f"{name}")
        return list(equal.items())

    def order_by(self, *columns: Any) -> Query[M]:
        return self._changed(_order=columns)

    def after(self, row: Model | Sequence[Any]) -> Query[M]:
        """Behind this row, in the order: an object, or the values of the
        order's columns and then of the key's."""
        return self._changed(_after=row)

    def limit(self, n: int) -> Query[M]:
        return self._changed(_limit=n)

    def offset(self, n: int) -> Query[M]:
        return self._changed(_offset=n)

    def with_(self, *relations: Any) -> Query[M]:
        """Related rows come along."""
        return self._changed(_with=relations)

    def lock(self, strength: str) -> Query[M]:
        """"UPDATE", "NO KEY UPDATE", "SHARE" or "KEY SHARE", and NOWAIT or
        SKIP LOCKED behind it: in transactions."""
        return self._changed(_lock=strength)

    def using(self, executor: Caller) -> Query[M]:
        """In this transaction, for instance."""
        return self._changed(_using=executor)

    # -- as words

    @property
    def _executor(self) -> Executor:
        return self._model._executor(self._using)

    def _where_words(self) -> Words:
        return _words.condition_of(self._condition, {})

    async def _after_values(self) -> Sequence[Any] | None:
        after = self._after
        if after is None or isinstance(after, (list, tuple)):
            return after
        described = await self._executor.core.describe(self._model._table)
        names = [Order.of(each).word().decode().lstrip("-").strip('"')
                 for each in self._order]
        names += [name for name in described["key"] if name not in names]
        return [after._values[name] for name in names]  # type: ignore[union-attr]

    async def _clauses(self, limit: int | None,
                       fields: Sequence[Any] | None = None) -> Words:
        return _words.clauses(
            self._where_words(), self._order, await self._after_values(),
            limit, self._offset, fields, self._with, self._lock)

    async def _ask(self, verb: str, take: Any, limit: int | None = None,
                   fields: Sequence[Any] | None = None) -> Any:
        return await self._executor.ask(_words.find(
            verb, self._model._table, await self._clauses(limit, fields), take,
            bool(self._with)))

    def _object(self, row: Row) -> M:
        return self._model(row, self._using)

    # -- what they are

    async def all(self) -> list[M]:
        rows = await self._ask("FIND", _words.rows, self._limit)
        return [self._object(row) for row in rows]

    def __await__(self) -> Generator[Any, None, list[M]]:
        return self.all().__await__()

    async def __aiter__(self) -> AsyncIterator[M]:
        request = _words.find("FIND", self._model._table,
                              await self._clauses(self._limit), _words.rows,
                              bool(self._with))
        async with self._executor.cursor(request) as cursor:
            async for row in cursor:
                yield self._object(row)

    async def first(self) -> M | None:
        row = await self._ask("FIRST", _words.row_or_none)
        return None if row is None else self._object(row)

    async def one(self) -> M:
        """The only one; UnmetError when there is none, or another."""
        return self._object(await self._ask("ONE", _words.row))

    async def one_or_none(self) -> M | None:
        """The only one, or None; UnmetError when there is another."""
        rows = await self._ask("FIND", _words.rows, 2)
        if len(rows) > 1:
            raise UnmetError(f"there is more than one {self._model.__name__}")
        return self._object(rows[0]) if rows else None

    async def values(self, *columns: Column[Any]) -> list[Row]:
        """These columns only, as rows."""
        rows: list[Row] = await self._ask("FIND", _words.rows, self._limit,
                                          columns)
        return rows

    async def scalar(self, column: Column[Any]) -> Any:
        """The column in the first row, or None."""
        row = await self._ask("FIRST", _words.row_or_none, None, [column])
        return None if row is None else column._value(row[0])

    async def count(self) -> int:
        number: int = await self._executor.ask(_words.count(
            "COUNT", self._model._table, self._where_words()))
        return number

    async def exists(self) -> bool:
        is_there: bool = await self._executor.ask(_words.count(
            "EXISTS", self._model._table, self._where_words()))
        return is_there

    # -- changes

    def _where(self) -> Condition | Everything:
        if self._condition is None:
            raise UsageError("say which rows: find(lockkeeper.everything) are "
                             "all")
        if self._order or self._limit is not None \
                or self._offset is not None or self._after is not None:
            raise UsageError("rows are changed by a condition only, in no "
                             "order and without a limit")
        return self._condition

    async def update(self, **values: Any) -> int:
        """All of them; how many.  Hooks are not called."""
        where = self._where()
        return await self._executor.ask(_words.update_all(
            self._model._table, await self._model._by_column(
                self._executor, values, False), where))

    async def delete(self) -> int:
        return await self._executor.ask(_words.delete_all(
            self._model._table, self._where()))
