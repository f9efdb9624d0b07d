"""What stands in a model's class: columns, properties of JSON columns, and
relations.  In the class they are what conditions, orders and WITH are made of;
in an object they are its values.
"""
from __future__ import annotations

import enum
import re
import sys
import typing
from typing import TYPE_CHECKING, Any, Generator, Generic, Iterator, \
    Sequence, TypeVar, overload

from .errors import NotLoaded, UsageError
from .expr import Path, Related as RelatedWords

if TYPE_CHECKING:
    from .models import Model

T = TypeVar("T")
M = TypeVar("M", bound="Model")


def _enum_in(annotation: Any, model: type) -> type[enum.Enum] | None:
    """The enum.Enum that a Column[…] says, if it says one."""
    if isinstance(annotation, str):
        match = re.search(r"\[(.*)\]$", annotation)
        scope = dict(vars(sys.modules[model.__module__]))
        try:
            inner = eval(match[1], scope, dict(vars(model))) if match else None
        except (NameError, TypeError):	# a name that only type checkers know
            return None
    else:
        inner = (*typing.get_args(annotation), None)[0]
    return _first_enum(inner)


def _first_enum(annotation: Any) -> type[enum.Enum] | None:
    """Mood of Mood, Mood | None and list[Mood | None]."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return annotation
    return next(filter(None, map(_first_enum, typing.get_args(annotation))),
                None)


class Column(Path, Generic[T]):
    """`age: Column[int]`.  column("name in PostgreSQL") where that differs.
    An enum.Enum's values are the labels of PostgreSQL's."""

    def __init__(self, name: str = "") -> None:
        super().__init__((name,))
        self._annotation: Any = None
        self._model: type | None = None
        self._enum: type[enum.Enum] | None = None
        self._is_resolved = False

    def _declare(self, model: type, attribute: str, annotation: Any) -> None:
        if self._steps == ("",):
            self._steps = (attribute,)
        self._model, self._annotation = model, annotation

    def _value(self, value: Any) -> Any:
        """As an object has it."""
        if not self._is_resolved:
            self._is_resolved = True
            if self._model is not None:
                self._enum = _enum_in(self._annotation, self._model)
        if self._enum is None or value is None:
            return value
        return [self._value(each) for each in value] \
            if isinstance(value, list) else self._enum(value)

    @overload
    def __get__(self, instance: None, owner: type) -> Column[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        try:
            return self._value(instance._values[self._steps[0]])
        except KeyError:
            raise NotLoaded(f"{self} is not among the columns that were asked "
                            "for") from None

    def __set__(self, instance: object, value: T) -> None:
        raise UsageError(f"await update({self}=…) changes it; a value that is "
                         "only set would be lost")


class JsonProperty(Path, Generic[T]):
    """`city: JsonProperty[str] = json_property("profile", "city")`: what a
    JSON column has under a key."""

    def __init__(self, column: str, key: str, default: T | None = None,
                 cast: str | None = None) -> None:
        super().__init__((column,), (key,), cast)
        self._key = key
        self._default = default

    @overload
    def __get__(self, instance: None, owner: type) -> JsonProperty[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        return (instance._values[self._steps[0]] or {}).get(
            self._key, self._default)

    def __set__(self, instance: object, value: T) -> None:
        raise UsageError("await update(…) changes it")


def column(name: str) -> Any:
    return Column[Any](name)


def json_property(column: str, key: str, default: Any = None,
                  cast: str | None = None) -> Any:
    return JsonProperty[Any](column, key, default, cast)


# ---- relations ----

class _Relation:
    """In the class: what with_= takes."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def _declare(self, attribute: str) -> None:
        self._name = self._name or attribute

    def words(self, before: bytes) -> list[bytes]:
        return RelatedWords(self._name).words(before)

    def only(self, n: int | None = None, order_by: Sequence[Any] = (),
             with_: Sequence[Any] = ()) -> RelatedWords:
        """n of them at most, in an order, with related rows of their own."""
        return RelatedWords(self._name, n, order_by, with_)

    def with_(self, *with_: Any) -> RelatedWords:
        return RelatedWords(self._name, None, (), with_)

    def __set__(self, instance: object, value: Any) -> None:
        raise UsageError(f"{self._name} follows from the rows, and cannot be "
                         "set")


class Many(_Relation, Generic[M]):
    """`posts: Many[Post]`: a relation that leads to many rows."""

    @overload
    def __get__(self, instance: None, owner: type) -> Many[M]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Related[M]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        return instance._relation(self._name, Related)


class One(_Relation, Generic[M]):
    """`author: One[User]`: a relation that leads to one row at most.  Its
    columns make conditions: Post.author.name == "Ann"."""

    @overload
    def __get__(self, instance: None, owner: type) -> One[M]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> RelatedOne[M]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        return instance._relation(self._name, RelatedOne)

    def __getattr__(self, column: str) -> Path:
        if column.startswith("_"):
            raise AttributeError(column)
        return Path((self._name, column))


def relation(name: str) -> Any:
    """Of another name than the attribute's: relation("order")."""
    return _Named(name)


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


class _RelatedRows(Generic[T]):
    """Of an object.  Nothing but awaiting it asks the daemon."""

    def __init__(self, of: Model, name: str) -> None:
        self._of = of
        self._name = name
        self._loaded: list[T] = []

    def _set(self, value: T) -> None:
        self._loaded = [value]

    @property
    def is_loaded(self) -> bool:
        return bool(self._loaded)

    @property
    def loaded(self) -> T:
        if not self._loaded:
            raise NotLoaded(f"{self._name} has not been asked for: await it, "
                            "or ask for it by with_=")
        return self._loaded[0]

    async def load(self) -> T:
        """Now, whether it was loaded before or not."""
        self._set(await self._of._load(self._name))
        return self._loaded[0]

    async def _get(self) -> T:
        return self._loaded[0] if self._loaded else await self.load()

    def __await__(self) -> Generator[Any, None, T]:
        return self._get().__await__()

    def __repr__(self) -> str:
        return repr(self._loaded[0]) if self._loaded else \
            f"<{self._name}, not loaded>"


class Related(_RelatedRows[list[M]], Generic[M]):
    """Many rows: awaitable; once loaded, a sequence."""

    def __iter__(self) -> Iterator[M]:
        return iter(self.loaded)

    def __len__(self) -> int:
        return len(self.loaded)

    def __getitem__(self, at: int) -> M:
        return self.loaded[at]


class RelatedOne(_RelatedRows["M | None"], Generic[M]):
    """One row or None: awaitable; once loaded, its `loaded`."""

    def __bool__(self) -> bool:
        return self.loaded is not None
