"""Python values as PostgreSQL's text, for parameters: bytes, or None for NULL.

PostgreSQL decides what type a parameter has, and the daemon gives it bytes of
a bytea as they are, so a value's own form is all that is needed.
"""
from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import json
import math
import uuid
from typing import Any, Callable, Mapping

from . import types
from ._rows import Record
from .errors import DataError

_Encoder = Callable[[Any], bytes]

_FAR = datetime.datetime.max, datetime.datetime.min


def _float(value: float) -> bytes:
    if math.isfinite(value):
        return repr(value).encode()
    return b"NaN" if value != value else \
        b"Infinity" if value > 0 else b"-Infinity"


def _decimal(value: decimal.Decimal) -> bytes:
    if value.is_nan():
        return b"NaN"
    return str(value).encode()


def _date(value: datetime.date) -> bytes:
    if value == datetime.date.max:
        return b"infinity"
    if value == datetime.date.min:
        return b"-infinity"
    return value.isoformat().encode()


def _datetime(value: datetime.datetime) -> bytes:
    bare = value.replace(tzinfo=None)
    if bare == datetime.datetime.max:
        return b"infinity"
    if bare == datetime.datetime.min:
        return b"-infinity"
    return value.isoformat(" ").encode()


def _time(value: datetime.time) -> bytes:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise DataError(f"{value!r} has a time zone whose offset depends on "
                        "the date")
    return value.isoformat().encode()


def _interval(months: int, days: int, microseconds: int) -> bytes:
    sign = "-" if microseconds < 0 else ""
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{months} mons {days} days "
            f"{sign}{hours}:{minutes:02}:{seconds:02}.{fraction:06}").encode()


def _timedelta(value: datetime.timedelta) -> bytes:
    return _interval(0, value.days,
                     value.seconds * 1_000_000 + value.microseconds)


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


# -- of parts: array, range, record

_ARRAY_PLAIN = frozenset(
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.+-:/")


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _part(value: Any) -> bytes | None:
    """Text inside of another's, where bytes have to be text, too."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b"\\x" + bytes(value).hex().encode()
    return encode(value)


def _element(value: Any) -> bytes:
    if isinstance(value, list):
        return _array(value)
    text = _part(value)
    if text is None:
        return b"NULL"
    if text and _ARRAY_PLAIN.issuperset(text) and text.upper() != b"NULL":
        return text
    return _quoted(text)


def _array(value: list[Any]) -> bytes:
    return b"{" + b",".join(map(_element, value)) + b"}"


def _field(value: Any) -> bytes:
    text = _part(value)
    return b"" if text is None else _quoted(text)


def _record(value: tuple[Any, ...] | Record) -> bytes:
    cells = value if isinstance(value, tuple) else value.values()
    return b"(" + b",".join(map(_field, cells)) + b")"


def _range(value: types.Range[Any]) -> bytes:
    if value.is_empty:
        return b"empty"
    return (value.bounds[0] + "%s,%s" + value.bounds[1]).encode() % (
        _field(value.lower), _field(value.upper))


_ENCODERS: dict[type, _Encoder] = {
    str: str.encode,
    int: lambda value: b"%d" % value,
    bool: lambda value: b"true" if value else b"false",
    float: _float,
    bytes: bytes,
    bytearray: bytes,
    memoryview: bytes,
    decimal.Decimal: _decimal,
    uuid.UUID: lambda value: str(value).encode(),
    datetime.datetime: _datetime,
    datetime.date: _date,
    datetime.time: _time,
    types.Interval: lambda value: _interval(*value.parts),
    datetime.timedelta: _timedelta,
    ipaddress.IPv4Interface: lambda value: str(value).encode(),
    ipaddress.IPv6Interface: lambda value: str(value).encode(),
    ipaddress.IPv4Address: lambda value: str(value).encode(),
    ipaddress.IPv6Address: lambda value: str(value).encode(),
    ipaddress.IPv4Network: lambda value: str(value).encode(),
    ipaddress.IPv6Network: lambda value: str(value).encode(),
    types.Json: lambda value: json_bytes(value.value),
    dict: json_bytes,
    types.Range: _range,
    types.Multirange:
        lambda value: b"{" + b",".join(map(_range, value)) + b"}",
    Record: _record,
    tuple: _record,
    list: _array,
}


def _find(value: Any) -> _Encoder:
    """Of a subclass, for which the nearest class is the one meant."""
    if isinstance(value, enum.Enum):
        return lambda member: encode(member.value) or b""
    for cls in type(value).__mro__:
        if cls in _ENCODERS:
            return _ENCODERS[cls]
    if isinstance(value, Mapping):
        return lambda mapping: json_bytes(dict(mapping))
    raise DataError(f"no text for PostgreSQL is known of a "
                    f"{type(value).__qualname__}")


def encode(value: Any) -> bytes | None:
    if value is None:
        return None
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        encoder = _find(value)
    return encoder(value)


def register(cls: type, encoder: _Encoder) -> None:
    """For a type of this package's that cannot be known here."""
    _ENCODERS[cls] = encoder
