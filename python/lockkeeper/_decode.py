"""PostgreSQL's values as Python's, by the name of their type.

A cell comes as RESP has it: numbers and truth as such, arrays as lists, all
else as bytes with PostgreSQL's text.  How the rows of a Shape are decoded is
worked out once for each.
"""
from __future__ import annotations

import datetime
import decimal
import functools
import ipaddress
import json
import re
import uuid
from typing import Any, Callable, NamedTuple, Sequence

from . import types
from ._resp import Shape, Table, rows as make_rows
from ._rows import Record, Row
from .errors import DataError

Decoder = Callable[[Any], Any]
# By column: None where a cell is the value already.
Plan = tuple[tuple[int, Decoder], ...]

_text: Decoder = bytes.decode


def _strange(what: str, cell: bytes) -> DataError:
    return DataError(f"Python has no {what} {cell.decode(errors='replace')}; "
                     "have it as ::text")


# -- dates and times

_UTC = datetime.timezone.utc


def _date(cell: bytes) -> datetime.date:
    if cell == b"infinity":
        return datetime.date.max
    if cell == b"-infinity":
        return datetime.date.min
    try:
        return datetime.date.fromisoformat(cell.decode())
    except ValueError:
        raise _strange("date", cell) from None


def _time(cell: bytes) -> datetime.time:
    try:
        return datetime.time.fromisoformat(cell.decode())
    except ValueError:
        raise _strange("time", cell) from None


def _timestamp(cell: bytes) -> datetime.datetime:
    if cell == b"infinity":
        return datetime.datetime.max
    if cell == b"-infinity":
        return datetime.datetime.min
    try:
        return datetime.datetime.fromisoformat(cell.decode())
    except ValueError:
        raise _strange("timestamp", cell) from None


def _timestamptz(cell: bytes) -> datetime.datetime:
    value = _timestamp(cell)
    return value.replace(tzinfo=_UTC)	# in which all of the daemon's are


_INTERVAL = re.compile(
    rb"(?:(-?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?"
    rb"(?:([+-]?)(\d+):(\d+):(\d+)(?:\.(\d+))?)?")


def _interval(cell: bytes) -> types.Interval:
    match = _INTERVAL.fullmatch(cell)
    if match is None:
        raise _strange("interval", cell)
    years, months, days, sign, hours, minutes, seconds, fraction = \
        match.groups()
    microseconds = (int(hours or 0) * 3600 + int(minutes or 0) * 60
                    + int(seconds or 0)) * 1_000_000 \
        + int((fraction or b"").ljust(6, b"0"))
    try:
        return types.Interval(int(years or 0) * 12 + int(months or 0),
                              int(days or 0),
                              -microseconds if sign == b"-" else microseconds)
    except OverflowError:
        raise _strange("interval", cell) from None


# -- addresses

def _inet(cell: bytes) -> Any:
    text = cell.decode()
    return ipaddress.ip_interface(text) if "/" in text \
        else ipaddress.ip_address(text)


def _cidr(cell: bytes) -> Any:
    return ipaddress.ip_network(cell.decode())


# -- of parts

def _bytea(cell: bytes) -> bytes:
    """Inside of a record or a range, where it is text."""
    return bytes.fromhex(cell[2:].decode())


def _array_of(element: Decoder | None) -> Decoder:
    def decode(cell: Any) -> Any:
        if type(cell) is bytes:		# one that the daemon could not read
            return cell.decode()
        return [decode(item) if type(item) is list else
                None if item is None else
                item if element is None else element(item)
                for item in cell]
    return decode


_FIELD = re.compile(rb'"((?:[^"\\]|\\.|"")*)"|([^,"\\]*)', re.DOTALL)
_ESCAPED = re.compile(rb'\\(.)|""', re.DOTALL)


def _unescape(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda m: m[1] if m[1] is not None else b'"', text)


def _fields(text: bytes) -> list[bytes | None]:
    """What is between the brackets of a record or a range, taken apart at its
    commas; None for what is empty."""
    fields: list[bytes | None] = []
    at = 0
    while True:
        match = _FIELD.match(text, at)
        assert match is not None
        quoted, plain = match.groups()
        fields.append(_unescape(quoted) if quoted is not None else
                      plain or None)
        at = match.end()
        if at >= len(text):
            return fields
        if text[at:at + 1] != b",":
            raise DataError("a value of a composite type or a range that is "
                            f"not understood: {text!r:.200}")
        at += 1


def _record_of(shape: Shape, decoders: Sequence[Decoder]) -> Decoder:
    def decode(cell: bytes) -> Record:
        fields = _fields(cell[1:-1]) if shape.columns else []
        if len(fields) != len(decoders):
            raise Changed
        return Record(shape, [
            None if field is None else decode_field(field)
            for field, decode_field in zip(fields, decoders)])
    return decode


def _range_of(bound: Decoder) -> Callable[[bytes], types.Range[Any]]:
    def decode(cell: bytes) -> types.Range[Any]:
        if cell == b"empty":
            return types.Range.empty()
        lower, upper = _fields(cell[1:-1])
        return types.Range(None if lower is None else bound(lower),
                           None if upper is None else bound(upper),
                           (cell[:1] + cell[-1:]).decode())
    return decode


_ONE_RANGE = re.compile(rb'[\[(](?:"(?:[^"\\]|\\.|"")*"|[^"\])])*[\])]|empty',
                        re.DOTALL)


def _multirange_of(bound: Decoder) -> Decoder:
    one = _range_of(bound)

    def decode(cell: bytes) -> types.Multirange[Any]:
        return types.Multirange(map(one, _ONE_RANGE.findall(cell)))
    return decode


# ---- by name ----

# A cell of these is a value already; inside of another's text it is not.
_TYPED: dict[str, Decoder] = {
    "boolean": lambda cell: cell == b"t",
    "smallint": int, "integer": int, "bigint": int, "oid": int,
    "bytea": _bytea,
}

_DECODERS: dict[str, Decoder] = {
    "real": float, "double precision": float,	# NaN comes as bytes
    "numeric": lambda cell: decimal.Decimal(cell.decode()),
    "uuid": lambda cell: uuid.UUID(cell.decode()),
    "date": _date,
    "time without time zone": _time, "time with time zone": _time,
    "timestamp without time zone": _timestamp,
    "timestamp with time zone": _timestamptz,
    "interval": _interval,
    "json": json.loads, "jsonb": json.loads,
    "inet": _inet, "cidr": _cidr,
}

_RANGES = {
    "int4": "integer", "int8": "bigint", "num": "numeric", "date": "date",
    "ts": "timestamp without time zone", "tstz": "timestamp with time zone",
}

# Text, whatever it says.  All names with a blank, too: none is a user's.
_TEXTS = frozenset("""text name character "char" xml money bit box circle line
    lseg path point polygon macaddr macaddr8 tsvector tsquery pg_lsn xid xid8
    cid tid pg_snapshot txid_snapshot jsonpath record void refcursor aclitem
    regproc regprocedure regoper regoperator regclass regtype regconfig
    regdictionary regnamespace regrole regcollation unknown cstring
    pg_node_tree""".split()) | {"character varying", "bit varying"}


class Missing(Exception):
    """Something has to be known first."""


class Changed(Missing):
    """A type is not as it was when it was learnt."""


class Unknown(Missing):
    """A type has to be learnt first: ask() for it, then learn()."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Undescribed(Missing):
    """A model has to be known first: describe() it."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model


# What is asked of a type by its name: one row.
ASK = """SELECT t.typtype::text AS kind,
    CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, NULL)
        ELSE (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r
              WHERE t.oid IN (r.rngtypid, r.rngmultitypid)) END AS of,
    ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS columns,
    ARRAY(SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS types
    FROM pg_type t WHERE t.oid = to_regtype($1)"""


class Nested(NamedTuple):
    shape: Shape
    decoders: Plan


def _bare(type_name: str) -> str:
    """Without its modifier: numeric(10,2), interval day to second."""
    if type_name.startswith("interval"):
        return "interval[]" if type_name.endswith("[]") else "interval"
    return re.sub(r"\(\d+(,-?\d+)?\)", "", type_name)


class Codecs:
    """The types of one database."""

    def __init__(self) -> None:
        self._learnt: dict[str, Decoder] = {}
        self._domains: dict[str, str] = {}	# what they rest on
        self._models: dict[str, Any] = {}
        self._nested: dict[tuple[str, tuple[str, ...]], Nested] = {}
        for name, bound in _RANGES.items():
            self._learnt[name + "range"] = _range_of(self.inside(bound))
            self._learnt[name + "multirange"] = \
                _multirange_of(self.inside(bound))

    def of(self, name: str) -> Decoder | None:
        """For a cell of this type; None: it is the value already."""
        if name in _TYPED:
            return None
        if name == "rowset":		# a table in a table: WITH
            return self.rows
        if name in self._domains:
            return self.of(self._domains[name])
        known = _DECODERS.get(name) or self._learnt.get(name)
        if known is not None:
            return known
        if name.endswith("[]"):
            return _array_of(self.of(name[:-2]))
        if name in _TEXTS:
            return _text
        raise Unknown(name)

    def inside(self, name: str) -> Decoder:
        """For its text inside of another type's."""
        if name.endswith("[]"):
            element = self.inside(name[:-2])
            return lambda cell: _array_text(cell, element)
        if name in self._domains:
            return self.inside(self._domains[name])
        return _TYPED.get(name) or self.of(name) or _text

    def rows(self, table: Table) -> list[Row]:
        """The table's rows.  Raises Unknown, and then nothing has changed."""
        shape = table.shape
        plan = shape.plans.get(self)
        if plan is None:
            plan = self.plan(shape)
        return make_rows(Row, shape, plan, table.rows)

    def value(self, value: Any) -> Any:
        """Any reply's, with text where it has bytes."""
        kind = type(value)
        if kind is Table:
            return self.rows(value)
        if kind is bytes:
            return value.decode("utf-8", "surrogateescape")
        if kind is list:
            return [self.value(item) for item in value]
        if kind is dict:
            return {key: self.value(item) for key, item in value.items()}
        return value

    # -- rows in maps, with related ones, whose types the catalog says

    def describe(self, described: dict[str, Any]) -> None:
        """DESCRIBE's reply."""
        self._models[described["model"]] = described

    def nested(self, value: Any, model: str, relation: str | None) -> Any:
        """Rows of the model, or those to which the relation leads from it.
        Raises Unknown and Undescribed, and then nothing has changed."""
        if relation is not None:
            model = self._relation(model, relation)["model"]
        if value is None:
            return None
        return self._of_map(value, model) if isinstance(value, dict) else \
            [self._of_map(row, model) for row in value]

    def _relation(self, model: str, name: str) -> dict[str, Any]:
        if model not in self._models:
            raise Undescribed(model)
        for relation in self._models[model]["relations"]:
            if relation["name"] == name:
                found: dict[str, Any] = relation
                return found
        raise Changed

    def _of_map(self, row: dict[str, Any], model: str) -> Row:
        key = model, tuple(row)
        plan = self._nested.get(key)
        if plan is None:
            plan = self._nested[key] = self._plan_nested(*key)
        cells = list(row.values())
        for i, decode in plan.decoders:
            if cells[i] is not None:
                cells[i] = decode(cells[i])
        return Row(plan.shape, cells)

    def _plan_nested(self, model: str, columns: tuple[str, ...]) -> Nested:
        if model not in self._models:
            raise Undescribed(model)
        types = {column["name"]: _bare(column["type"])
                 for column in self._models[model]["columns"]}
        shape = Shape(columns, [types.get(name, "rowset") for name in columns])
        shape.model = model
        decoders: list[tuple[int, Decoder]] = []
        for i, (name, type_name) in enumerate(zip(columns, shape.types)):
            if type_name == "rowset":
                to = self._relation(model, name)["model"]
                decoders.append((i, functools.partial(
                    self.nested, model=to, relation=None)))
            elif decode := self.of(type_name):
                decoders.append((i, decode))
        return Nested(shape, tuple(decoders))

    def plan(self, shape: Shape) -> Plan:
        made = tuple((i, decode) for i, decode in
                     enumerate(map(self.of, shape.types)) if decode)
        shape.plans[self] = made
        return made

    def learn(self, name: str, rows: list[Any]) -> None:
        """What ASK was answered.  Raises Unknown for a type that this one is
        made of."""
        if not rows:
            self._learnt[name] = _text
            return
        row = rows[0]
        if row["kind"] == "d":
            self._domains[name] = row["of"]
            self.inside(row["of"])
        elif row["kind"] == "r":
            self._learnt[name] = _range_of(self.inside(row["of"]))
        elif row["kind"] == "m":
            self._learnt[name] = _multirange_of(self.inside(row["of"]))
        elif row["kind"] == "c":
            shape = Shape(row["columns"], row["types"])
            self._learnt[name] = _record_of(
                shape, [self.inside(each) for each in row["types"]])
        else:
            self._learnt[name] = _text


def _array_text(cell: bytes, element: Decoder) -> Any:
    """An array in its text form."""
    value, end = _array_at(cell, cell.index(b"{"), element)
    if end != len(cell):
        raise DataError(f"an array that is not understood: {cell!r:.200}")
    return value


_ITEM = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^,{}"]+)', re.DOTALL)


def _array_at(cell: bytes, at: int, element: Decoder) -> tuple[list[Any], int]:
    items: list[Any] = []
    at += 1
    while cell[at:at + 1] != b"}":
        if cell[at:at + 1] == b"{":
            item, at = _array_at(cell, at, element)
            items.append(item)
        else:
            match = _ITEM.match(cell, at)
            if match is None:
                raise DataError("an array that is not understood: "
                                f"{cell!r:.200}")
            quoted, plain = match.groups()
            items.append(element(_unescape(quoted)) if quoted is not None else
                         None if plain == b"NULL" else element(plain))
            at = match.end()
        if cell[at:at + 1] == b",":
            at += 1
    return items, at + 1




# For what the daemon itself says.
builtin = Codecs()
