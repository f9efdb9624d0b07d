"""Rows: mappings by column name, whose columns are also attributes."""
from __future__ import annotations

from typing import Any, Iterator, Mapping, overload

from ._resp import Shape


class Row(Mapping[str, Any]):
    """row["name"], row.name and, by position, row[0].  Where a column is called
    like one of a mapping's methods, row["items"] is the column."""

    __slots__ = ("_shape", "_cells")

    def __init__(self, shape: Shape, cells: list[Any]) -> None:
        self._shape = shape
        self._cells = cells

    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...

    @overload
    def __getitem__(self, key: str | int) -> Any: ...

    def __getitem__(self, key: str | int | slice) -> Any:
        if type(key) is str:
            return self._cells[self._shape.index[key]]
        if isinstance(key, slice):
            return tuple(self._cells[key])
        return self._cells[key]		# type: ignore[index]

    def __getattr__(self, name: str) -> Any:
        try:
            return self._cells[self._shape.index[name]]
        except KeyError:
            raise AttributeError(f"the row has no column {name!r}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._shape.index

    def __iter__(self) -> Iterator[str]:
        return iter(self._shape.columns)

    def __len__(self) -> int:
        return len(self._cells)

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"<Row {inner}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._shape.columns, self._shape.types,
                            self._cells)


def _unpickled(columns: list[str], types: list[str], cells: list[Any]) -> Row:
    return Row(Shape(columns, types), cells)


class Record(Row):
    """A value of a composite type.  Two are equal when their values are, and
    one is equal to a tuple of them."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return self._cells == other._cells \
                and self._shape.columns == other._shape.columns
        if isinstance(other, tuple):
            return tuple(self._cells) == other
        return super().__eq__(other)

    def __hash__(self) -> int:
        return hash(tuple(self._cells))
