"""RESP3 as lockkeeperd speaks it: bytes in, values out, and requests as bytes.
No I/O.

A simple string is str, a bulk string bytes, for only who knows a column's type
knows whether it is text.  A reply with rows in the form `table` is a Table, at
whatever depth; tables with the same columns share their Shape.

Decoder and the functions are those of _cresp, which is in C, where that was built,
else _pyresp's.  LOCKKEEPER_IMPLEMENTATION in the environment
says which, c or python.
"""
from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Sequence

from . import errors


class ErrorReply(NamedTuple):
    text: str

    def exception(self) -> errors.Error:
        return errors.from_reply(self.text)


class Shape:
    """Columns and types that rows have in common."""
    __slots__ = ("columns", "types", "index", "plans", "model")

    def __init__(self, columns: Sequence[str], types: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.types = tuple(types)
        self.index = {name: i for i, name in enumerate(columns)}
        self.model = ""			# whose rows; "": it is not known
        # How cells become values, by who asks: see _types.Codecs.
        self.plans: dict[object, Any] = {}


class Table(NamedTuple):
    shape: Shape
    rows: list[list[Any]]


class Push(NamedTuple):
    kind: str
    args: list[Any]


# A request without a reply: what gets it, whether it may commit, and who is told
# what came for a task that had stopped waiting.
Pending = tuple[asyncio.Future[Any] | None, bool,
                Callable[[Any], None] | None]


# ---- by whom it is decoded: both make of the above what they return ----

def _choose() -> str:
    wanted = os.environ.get("LOCKKEEPER_IMPLEMENTATION", "")
    if wanted not in ("", "c", "python"):
        raise ImportError(f"LOCKKEEPER_IMPLEMENTATION is {wanted!r}, and may "
                          "be c or python")
    if wanted == "python":
        return wanted
    try:
        from . import _cresp
    except ImportError as error:
        if wanted == "c":
            raise ImportError(
                "LOCKKEEPER_IMPLEMENTATION is c, and lockkeeper._cresp was not "
                "built: that needs Python.h (Debian: python3-dev)") from error
        return "python"
    _cresp.use(Shape, Table, Push, ErrorReply, errors.ProtocolError)
    return "c"


implementation = _choose()

if TYPE_CHECKING or implementation == "python":
    from ._pyresp import Decoder, bulk, bulks, encoded, request, rows, \
        settle, tagged
else:
    from ._cresp import Decoder, bulk, bulks, encoded, request, rows, \
        settle, tagged

__all__ = ["Decoder", "ErrorReply", "Pending", "Push", "Shape", "Table", "bulk",
           "bulks", "encoded", "implementation", "request", "rows", "settle",
           "tagged"]
