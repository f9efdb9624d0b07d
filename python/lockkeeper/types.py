"""Values that Python has no type of its own for."""
from __future__ import annotations

import datetime
from typing import Any, Generic, Iterable, NamedTuple, TypeVar

T = TypeVar("T")


class IntervalParts(NamedTuple):
    months: int
    days: int
    microseconds: int


class Interval(datetime.timedelta):
    """PostgreSQL's interval: months, days and microseconds, none of which can
    be made of another.  As a timedelta it counts 30 days for a month and 24
    hours for a day, as PostgreSQL does when it compares intervals."""

    parts: IntervalParts

    def __new__(cls, months: int = 0, days: int = 0,
                microseconds: int = 0) -> Interval:
        self = super().__new__(cls, days=30 * months + days,
                               microseconds=microseconds)
        self.parts = IntervalParts(months, days, microseconds)
        return self

    def __repr__(self) -> str:
        months, days, microseconds = self.parts
        return f"Interval(months={months}, days={days}, " \
            f"microseconds={microseconds})"

    def __reduce__(self) -> tuple[type[Interval], IntervalParts]:
        return Interval, self.parts


class Range(Generic[T]):
    """Of values from lower to upper.  None is no bound; bounds is one of
    "[)", "[]", "(]" and "()".  Range.empty() holds none."""

    __slots__ = ("lower", "upper", "bounds", "is_empty")

    def __init__(self, lower: T | None = None, upper: T | None = None,
                 bounds: str = "[)") -> None:
        if bounds not in ("[)", "[]", "(]", "()"):
            raise ValueError(f"{bounds!r} are no bounds of a range")
        self.lower = lower
        self.upper = upper
        self.bounds = bounds
        self.is_empty = False

    @classmethod
    def empty(cls) -> Range[T]:
        self = cls(None, None, "()")
        self.is_empty = True
        return self

    def _key(self) -> tuple[Any, ...]:
        if self.is_empty:
            return ()
        # A bound that is not there is neither in nor out.
        return (self.lower, self.lower is not None and self.bounds[0] == "[",
                self.upper, self.upper is not None and self.bounds[1] == "]")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Range):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __bool__(self) -> bool:
        return not self.is_empty

    def __contains__(self, value: Any) -> bool:
        if self.is_empty or value is None:
            return False
        lower: Any = self.lower
        upper: Any = self.upper
        return ((lower is None or value > lower
                 or (value == lower and self.bounds[0] == "["))
                and (upper is None or value < upper
                     or (value == upper and self.bounds[1] == "]")))

    def __repr__(self) -> str:
        if self.is_empty:
            return "Range.empty()"
        return f"Range({self.lower!r}, {self.upper!r}, {self.bounds!r})"


class Multirange(tuple[Range[T], ...]):
    """Ranges in order, none of which touches the next."""

    def __new__(cls, ranges: Iterable[Range[T]] = ()) -> Multirange[T]:
        return super().__new__(cls, ranges)	# type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Multirange({super().__repr__()})"


class Json:
    """A value that goes out as JSON: for lists, which are arrays otherwise,
    and for strings and numbers, which are themselves."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Json({self.value!r})"
