"""RESP3 in Python, where there is no _cresp: see _resp."""
from __future__ import annotations

from typing import Any, Callable, Final, Sequence, TypeVar

from . import errors
from ._resp import ErrorReply, Pending, Push, Shape, Table

T = TypeVar("T")


# ---- requests ----

def bulk(word: bytes | None) -> bytes:
    return b"$-1\r\n" if word is None else b"$%d\r\n%b\r\n" % (len(word), word)


def bulks(words: Sequence[bytes | None]) -> bytes:
    return b"".join([b"$-1\r\n" if word is None
                     else b"$%d\r\n%b\r\n" % (len(word), word)
                     for word in words])


def encoded(values: Sequence[Any], encode: Callable[[Any], bytes | None]
            ) -> bytes:
    """As words: bytes and None as they are, else what encode makes of them."""
    return bulks([value if type(value) is bytes else encode(value)
                  for value in values])


def request(words: Sequence[bytes | None]) -> bytes:
    return b"*%d\r\n" % len(words) + bulks(words)


def tagged(number: int, n: int, head: bytes, data: bytes
           ) -> tuple[bytes, bytes]:
    """A request of n words, which head and data are, encoded: its tag, which is
    the number, and all of it."""
    tag = b"%d" % number
    return tag, b"*%d\r\n$%d\r\n@%b\r\n%b%b" % (n + 1, len(tag) + 1, tag, head,
                                                data)


# ---- rows ----

def rows(cls: Callable[[Shape, list[Any]], T], shape: Shape, plan: Sequence[
        tuple[int, Callable[[Any], Any]]], lists: list[list[Any]]) -> list[T]:
    """cls(shape, cells) for each list, its cells decoded by the plan: pairs of
    a column's number and a function, which is not asked about NULL."""
    if not plan:
        return [cls(shape, cells) for cells in lists]
    made = []
    for cells in lists:
        cells = cells[:]
        for i, decode in plan:
            if cells[i] is not None:
                cells[i] = decode(cells[i])
        made.append(cls(shape, cells))
    return made


# ---- replies ----

def settle(pending: dict[bytes, Pending],
           replies: list[tuple[bytes | None, Any]]) -> list[Any]:
    """Hand each reply with a tag to who waits for it; the values of the others.
    """
    rest = []
    for tag, value in replies:
        if tag is None:
            rest.append(value)
            continue
        future, _, orphan = pending.pop(tag, _NOBODY)
        if future is None:
            continue
        if not future.done():
            future.set_result(value)
        elif orphan is not None:
            orphan(value)
    return rest


_NOBODY: Pending = (None, False, None)
_SIMPLE, _ERROR, _INT, _BULK, _ARRAY = b"+-:$*"
_NULL, _BOOL, _DOUBLE, _MAP, _BLOB, _PUSH, _SET = b"_#,%!>~"
# Frames of their own, which no byte on the wire names.
_TABLE: Final = 0
_ROW: Final = 1

_COLUMNS_HEAD = [b"$7", b"columns"]
_MAX_SHAPES = 1000


def _text(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") \
        if type(value) is bytes else value


class _Frame:
    """An array, map, push, table or row that is not whole yet."""
    __slots__ = ("kind", "left", "items", "shape")

    def __init__(self, kind: int, left: int, items: list[Any],
                 shape: Shape | None = None) -> None:
        self.kind = kind
        self.left = left
        self.items = items
        self.shape = shape

    def closed(self) -> Any:
        items = self.items
        if self.kind == _TABLE:
            assert self.shape is not None
            return Table(self.shape, items)
        if self.kind == _MAP:
            return dict(zip(map(_text, items[::2]), items[1::2]))
        if self.kind == _PUSH:
            return Push(_text(items[0]), items[1:])
        return items


class Decoder:
    """Feed it what came; it returns what is whole, as (tag, value), the tag
    being None for what has none.  No reply is looked at from its start again
    because its end had not come."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._tail = b""		# of the last line, which has no end yet
        self._chunks: list[bytes] = []	# behind tail, of a long bulk string
        self._missing = 0		# bytes until its end
        self._stack: list[_Frame] = []
        self._tag: bytes | None = None
        self._shapes: dict[tuple[bytes, ...], Shape] = {}
        self.n_bytes = 0		# of all that came, ever

    def feed(self, data: bytes) -> list[tuple[bytes | None, Any]]:
        self.n_bytes += len(data)
        if self._missing > len(data):
            self._missing -= len(data)
            self._chunks.append(data)
            return []
        self._missing = 0
        if self._chunks:
            data = b"".join((self._tail, *self._chunks, data))
            self._chunks.clear()
        elif self._tail:
            data = self._tail + data
        lines = data.split(b"\r\n")
        self._tail = lines.pop()
        if self._lines:
            lines = self._lines + lines
        done: list[tuple[bytes | None, Any]] = []
        at = self._parse(lines, done)
        self._lines = lines[at:]
        return done

    def _parse(self, lines: list[bytes],
               done: list[tuple[bytes | None, Any]]) -> int:
        """Take from lines what is whole; returns where the rest begins."""
        stack = self._stack
        n, at = len(lines), 0
        value: Any
        while at < n:
            if stack and stack[-1].kind == _TABLE:
                at = self._rows(stack, lines, at)
                if not stack[-1].left:
                    self._put(stack.pop().closed(), done)
                    continue
                if at >= n:
                    break
            line = lines[at]
            at += 1
            kind = line[0]
            if kind == _BULK or kind == _BLOB:
                size = int(line[1:])
                if size < 0:
                    value = None
                else:
                    value, end = self._long(lines, at, size)
                    if value is None:
                        return at - 1
                    at = end
                    if kind == _BLOB:
                        value = ErrorReply(_text(value))
            elif kind == _INT:
                value = int(line[1:])
            elif kind == _NULL:
                value = None
            elif kind == _BOOL:
                value = line == b"#t"
            elif kind == _DOUBLE:
                value = float(line[1:])
            elif kind == _SIMPLE:
                value = _text(line[1:])
            elif kind == _ERROR:
                value = ErrorReply(_text(line[1:]))
            elif kind == _PUSH and line == b">3" and not stack:
                if at >= n:
                    return at - 1
                if lines[at] == b"+reply":
                    if at + 2 >= n:
                        return at - 1
                    self._tag = lines[at + 2]
                    at += 3
                else:
                    stack.append(_Frame(_PUSH, 3, []))
                continue
            elif kind == _MAP and line == b"%3":
                if at + 2 >= n:
                    return at - 1
                if lines[at:at + 2] == _COLUMNS_HEAD \
                        and lines[at + 2][:1] == b"*":
                    end = self._open_table(lines, at)
                    if not end:
                        return at - 1
                    at = end
                    if not stack[-1].left:
                        self._put(stack.pop().closed(), done)
                else:
                    stack.append(_Frame(_MAP, 6, []))
                continue
            elif kind in (_ARRAY, _MAP, _PUSH, _SET):
                left = int(line[1:])
                if left > 0:
                    stack.append(_Frame(
                        kind, 2 * left if kind == _MAP else left, []))
                    continue
                value = None if left < 0 else {} if kind == _MAP else []
            else:
                raise errors.ProtocolError(f"a reply begins with {line!r:.80}")
            self._put(value, done)
        return at

    def _long(self, lines: list[bytes], at: int,
              size: int) -> tuple[bytes | None, int]:
        """A bulk string, whose bytes may hold ends of lines: it, or None when
        its end has not come; and where the next begins."""
        if at < len(lines) and len(lines[at]) == size:
            return lines[at], at + 1
        have, end = -2, at
        while end < len(lines) and have < size:
            have += len(lines[end]) + 2
            end += 1
        if have == size:
            return b"\r\n".join(lines[at:end]), end
        if have > size:
            raise errors.ProtocolError(f"a bulk string is longer than {size}")
        self._missing = size - have - len(self._tail)
        return None, at

    def _put(self, value: Any, done: list[tuple[bytes | None, Any]]) -> None:
        """Where it belongs: into the innermost that is open, or out."""
        stack = self._stack
        while stack:
            frame = stack[-1]
            frame.items.append(value)
            frame.left -= 1
            if frame.left:
                return
            value = stack.pop().closed()
        done.append((self._tag, value))
        self._tag = None

    # -- tables: replies that come often look the same up to their rows

    def _open_table(self, lines: list[bytes], at: int) -> int:
        """From `$7 columns` on; 0 when its head has not come whole."""
        n_columns = int(lines[at + 2][1:])
        # columns, types and rows, each two lines; then two for each name.
        end = at + 8 + 4 * n_columns
        if end >= len(lines):
            return 0
        head = tuple(lines[at + 2:end])
        shape = self._shapes.get(head)
        if shape is None:
            shape = self._new_shape(head, n_columns)
        self._stack.append(_Frame(_TABLE, int(lines[end][1:]), [], shape))
        return end + 1

    def _new_shape(self, head: tuple[bytes, ...], n_columns: int) -> Shape:
        words = head[2:1 + 2 * n_columns:2], head[5 + 2 * n_columns:-2:2]
        columns, types = ([_text(word) for word in part] for part in words)
        if len(columns) != n_columns or len(types) != n_columns \
                or head[-1:] != (b"rows",):
            raise errors.ProtocolError("a name of a column holds an end of "
                                       "line")
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        shape = self._shapes[head] = Shape(columns, types)
        return shape

    @staticmethod
    def _rows(stack: list[_Frame], lines: list[bytes], at: int) -> int:
        """As many rows of the table on top as are whole and plain.  The row
        that is not becomes a frame of its own."""
        frame = stack[-1]
        rows, left = frame.items, frame.left
        assert frame.shape is not None
        width = range(len(frame.shape.columns))
        start = at
        try:
            while left:
                start = at
                if lines[at][0] != _ARRAY:
                    raise errors.ProtocolError("a row is no array")
                at += 1
                row: list[Any] = []
                for _ in width:
                    line = lines[at]
                    at += 1
                    kind = line[0]
                    if kind == _BULK:
                        cell = lines[at]
                        at += 1
                        if len(cell) != int(line[1:]):
                            raise IndexError
                        row.append(cell)
                    elif kind == _INT:
                        row.append(int(line[1:]))
                    elif kind == _NULL:
                        row.append(None)
                    elif kind == _BOOL:
                        row.append(line == b"#t")
                    elif kind == _DOUBLE:
                        row.append(float(line[1:]))
                    else:
                        raise IndexError
                rows.append(row)
                left -= 1
            frame.left = left
            return at
        except IndexError:
            frame.left = left
        if start < len(lines):
            stack.append(_Frame(_ROW, len(width), []))
            start += 1
        return start
