"""Models: classes whose objects are rows.

    class User(Model, table="users"):
        id: Column[int]
        name: Column[str]
        posts: Many["Post"]

    lk.bind(Model)
    ann = await User.create(name="Ann")
    await ann.update(name="Anna")
    await User.find(User.name.like("A%")).order_by(User.name).limit(10)
"""
from __future__ import annotations

import inspect
import re
import typing
from typing import TYPE_CHECKING, Any, ClassVar, Iterable, Mapping, \
    Sequence, TypeVar

from . import _words
from ._columns import Column, JsonProperty, Many, One, Related, RelatedOne, \
    _Named, _Relation, column, json_property, relation
from ._query import Query
from ._rows import Row
from .errors import NotFound, UsageError
from .expr import Change, Condition, Default
from .types import Json

if TYPE_CHECKING:
    from ._executor import Caller, Executor

__all__ = ["Column", "JsonProperty", "Many", "Model", "One", "Query",
           "Related", "RelatedOne", "column", "json_property", "relation"]

M = TypeVar("M", bound="Model")

_DECLARATION = re.compile(r"(?:\w+\.)*(Column|JsonProperty|Many|One)\[")
_KINDS: dict[str, type] = {"Column": Column, "JsonProperty": JsonProperty,
                           "Many": Many, "One": One}


def _kind_of(annotation: Any) -> type | None:
    if isinstance(annotation, str):
        match = _DECLARATION.match(annotation)
        return _KINDS[match[1]] if match else None
    origin = typing.get_origin(annotation)
    return origin if origin in _KINDS.values() else None


class Model:
    """Hooks, which a class may have, as functions or coroutines: before_create
    (a class method that is given the values), after_create, before_update
    (given the values), after_update, before_delete and after_delete."""

    _table: ClassVar[str] = ""
    # Classes by table, to which relations lead.  A base of one's own, declared
    # with table="", has its own.
    _registry: ClassVar[dict[str, type[Model]]] = {}
    _client: ClassVar[Caller | None] = None
    _columns: ClassVar[dict[str, Column[Any]]] = {}	# by attribute
    _properties: ClassVar[dict[str, JsonProperty[Any]]] = {}
    _relations: ClassVar[dict[str, _Relation]] = {}

    def __init_subclass__(cls, *, table: str | None = None) -> None:
        super().__init_subclass__()
        cls._columns = dict(cls._columns)
        cls._properties = dict(cls._properties)
        cls._relations = dict(cls._relations)
        for attribute, annotation in inspect.get_annotations(cls).items():
            kind = _kind_of(annotation)
            if kind is not None:
                cls._declare(attribute, kind, annotation)
        cls._table = cls.__name__.lower() if table is None else table
        if cls._table:
            cls._registry[cls._table] = cls
        else:
            cls._registry = {}

    @classmethod
    def _declare(cls, attribute: str, kind: type, annotation: Any) -> None:
        given = cls.__dict__.get(attribute)
        if kind in (Many, One):
            relation = kind(given.name if isinstance(given, _Named) else "")
            relation._declare(attribute)
            cls._relations[attribute] = relation
            setattr(cls, attribute, relation)
        elif kind is JsonProperty:
            if not isinstance(given, JsonProperty):
                raise UsageError(f"{cls.__name__}.{attribute} needs a "
                                 "json_property(column, key)")
            cls._properties[attribute] = given
        else:
            made = given if isinstance(given, Column) else Column()
            made._declare(cls, attribute, annotation)
            cls._columns[attribute] = made
            setattr(cls, attribute, made)

    @classmethod
    def bind(cls, client: Caller) -> None:
        cls._client = client

    @classmethod
    def _executor(cls, using: Caller | None) -> Executor:
        caller = using or cls._client
        if caller is None:
            raise UsageError(f"{cls.__name__} has no client: lk.bind("
                             f"{cls.__name__}), or using=")
        return caller._executor()

    @classmethod
    def _class_of(cls, table: str) -> type[Model]:
        if table not in cls._registry:
            raise UsageError(f"there is no class for {table}, to which a "
                             f"relation of {cls.__name__} leads")
        return cls._registry[table]

    # -- objects

    def __init__(self, row: Row, using: Caller | None) -> None:
        """Of a row that came; a new one is made by create()."""
        self._values: dict[str, Any] = {}
        self._related: dict[str, Any] = {}
        self._using = using
        self._take(row)

    def _take(self, row: Row) -> None:
        relations = {r._name: (attribute, r)
                     for attribute, r in self._relations.items()}
        for name, type_name, value in zip(row._shape.columns, row._shape.types,
                                          row._cells):
            if type_name != "rowset":
                self._values[name] = value
            elif name in relations:
                attribute, _ = relations[name]
                getattr(self, attribute)._set(self._objects(value))

    def _objects(self, value: Any) -> Any:
        """Of related rows."""
        if isinstance(value, list):
            return [self._objects(row) for row in value]
        if value is None:
            return None
        return self._class_of(value._shape.model)(value, self._using)

    def _relation(self, name: str, kind: Any) -> Any:
        if name not in self._related:
            self._related[name] = kind(self, name)
        return self._related[name]

    async def _load(self, name: str) -> Any:
        executor = self._executor(self._using)
        key = await self._key()
        return self._objects(await executor.ask(
            _words.load(self._table, key, name, [])))

    async def _key(self) -> tuple[Any, ...]:
        described = await self._executor(self._using).core.describe(
            self._table)
        if not described["key"]:
            raise UsageError(f"{self._table} has no primary key, so that its "
                             "rows cannot be told apart")
        missing = [name for name in described["key"]
                   if name not in self._values]
        if missing:
            raise UsageError(f"the key {', '.join(missing)} is not among the "
                             "columns that were asked for")
        return tuple(self._values[name] for name in described["key"])

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}"
                          for name, value in self._values.items())
        return f"<{type(self).__name__} {inner}>"

    def to_dict(self, related: bool = False) -> dict[str, Any]:
        """By attribute; with what was loaded of related rows, if wanted."""
        known = {column._steps[0]: attribute
                 for attribute, column in self._columns.items()}
        made = {known.get(name, name):
                getattr(self, known[name]) if name in known else value
                for name, value in self._values.items()}
        if related:
            for attribute, relation in self._relations.items():
                rows = self._related.get(relation._name)
                if rows is not None and rows.is_loaded:
                    made[attribute] = _dicts(rows.loaded)
        return made

    # -- values

    @classmethod
    async def _by_column(cls, executor: Executor, values: Mapping[str, Any],
                         is_new: bool) -> dict[str, Any]:
        """Of values by attribute.  What a column of JSON gets is JSON, as it
        is when it is read."""
        made = cls._split(values, is_new)
        described = await executor.core.describe(cls._table)
        for column in described["columns"]:
            name = column["name"]
            if column["type"] in ("json", "jsonb") and name in made \
                    and made[name] is not None \
                    and not isinstance(made[name], (Change, Default, Json)):
                made[name] = Json(made[name])
        return made

    @classmethod
    def _split(cls, values: Mapping[str, Any], is_new: bool
               ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {}
        for attribute, value in values.items():
            if attribute in cls._properties:
                property_ = cls._properties[attribute]
                parts.setdefault(property_._steps[0], {})[property_._key] = \
                    value
            elif attribute in cls._columns:
                made[cls._columns[attribute]._steps[0]] = value
            else:
                raise UsageError(f"{cls.__name__} has no column {attribute}")
        for name, part in parts.items():
            if is_new:
                made[name] = {**(made.get(name) or {}), **part}
            elif name in made:
                raise UsageError(f"{name} cannot be changed both as a whole "
                                 "and in part")
            else:
                made[name] = Change(cls._column(name), b"||=", part)
        return made

    @classmethod
    def _column(cls, name: str) -> Column[Any]:
        return next(column for column in cls._columns.values()
                    if column._steps == (name,))

    @classmethod
    async def _hook(cls, hook: str, on: Any, *args: Any) -> None:
        function = getattr(on, hook, None)
        if function is not None:
            done = function(*args)
            if inspect.isawaitable(done):
                await done

    # -- rows by their key

    @classmethod
    async def get_or_none(cls: type[M], *key: Any, with_: Sequence[Any] = (),
                          lock: str | None = None,
                          using: Caller | None = None) -> M | None:
        row = await cls._executor(using).ask(
            _words.get(cls._table, key, None, with_, lock))
        return None if row is None else cls(row, using)

    @classmethod
    async def get(cls: type[M], *key: Any, with_: Sequence[Any] = (),
                  lock: str | None = None, using: Caller | None = None
                  ) -> M:
        """Raises NotFound when there is no such row."""
        found = await cls.get_or_none(*key, with_=with_, lock=lock,
                                      using=using)
        if found is None:
            raise NotFound(f"there is no {cls.__name__} "
                           f"{', '.join(map(repr, key))}")
        return found

    async def refresh(self) -> None:
        """What the row is now; related rows are to be loaded again."""
        row = await self._executor(self._using).ask(
            _words.get(self._table, await self._key()))
        if row is None:
            raise self._vanished()
        self._related.clear()
        self._take(row)

    async def update(self: M, if_: Condition | None = None, **values: Any
                     ) -> M:
        """Change the row, and the object with it; NotFound when it is gone, or
        if_ does not hold."""
        await self._hook("before_update", self, values)
        executor = self._executor(self._using)
        row = await executor.ask(_words.update(
            self._table, await self._key(),
            await self._by_column(executor, values, False),
            _words.condition_of(if_, {})))
        if row is None:
            raise self._vanished()
        self._take(row)
        await self._hook("after_update", self)
        return self

    async def delete(self, if_: Condition | None = None) -> bool:
        """Whether it was still there."""
        await self._hook("before_delete", self)
        was_there = await self._executor(self._using).ask(_words.delete(
            self._table, await self._key(), _words.condition_of(if_, {})))
        await self._hook("after_delete", self)
        return was_there

    def _vanished(self) -> NotFound:
        return NotFound(f"{self!r} is gone, or not as it has to be")

    # -- new rows

    @classmethod
    async def create(cls: type[M], using: Caller | None = None,
                     **values: Any) -> M:
        await cls._hook("before_create", cls, values)
        executor = cls._executor(using)
        row = await executor.ask(_words.create(
            cls._table, await cls._by_column(executor, values, True)))
        made = cls(row, using)
        await cls._hook("after_create", made)
        return made

    @classmethod
    async def upsert(cls: type[M], on: Sequence[Any] = (),
                     using: Caller | None = None, **values: Any) -> M:
        """The row that has this key, new or changed."""
        executor = cls._executor(using)
        row = await executor.ask(_words.upsert(
            cls._table, await cls._by_column(executor, values, False), on))
        return cls(row, using)

    @classmethod
    async def create_many(cls, rows: Iterable[Mapping[str, Any]],
                          using: Caller | None = None) -> int:
        """All or none; the first says which columns they have.  Hooks are not
        called."""
        executor = cls._executor(using)
        return await executor.create_many(
            cls._table, [await cls._by_column(executor, row, True)
                         for row in rows])

    # -- queries

    @classmethod
    def find(cls: type[M], *conditions: Condition, using: Caller | None = None,
             **equal: Any) -> Query[M]:
        """`await` it for a list of objects, or see Query."""
        return Query(cls, using).where(*conditions, **equal)


def _dicts(loaded: Any) -> Any:
    if isinstance(loaded, list):
        return [each.to_dict(related=True) for each in loaded]
    return None if loaded is None else loaded.to_dict(related=True)
