"""What is said of rows: conditions, orders, changes and related rows.

col("age") >= 21, col("name").like("A%"), col("author").name == "Ann" and
col("data")["user"]["age"].as_("int") > 30 are conditions; & and |, and ~ for
not, join them.  col("balance") + 10 is a change.  Models have columns that say
the same: User.age >= 21.
"""
from __future__ import annotations

import abc
import decimal
import re
from typing import Any, Iterable, Sequence, Union

from ._encode import encode
from .errors import UsageError

Words = list[Union[bytes, None]]

# Where a clause may begin, these words are the clause.
_WORDS = frozenset("""WHERE ORDER AFTER LIMIT OFFSET FIELDS WITH FOR SET IF ON
    AND OR NOT IN BETWEEN IS NULL LIKE ILIKE EQ NE LT LE GT GE TO DEFAULT ALL
    """.split())
_PLAIN = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*")


def name(text: str) -> bytes:
    """A column or relation as a word."""
    if _PLAIN.fullmatch(text) and text.upper() not in _WORDS:
        return text.encode()
    return b'"' + text.replace('"', '""').encode() + b'"'


class Everything:
    """Every row, where a condition has to be said."""

    def __repr__(self) -> str:
        return "lockkeeper.everything"


class Default:
    """The column's default, as a value."""

    def __repr__(self) -> str:
        return "lockkeeper.default"


everything = Everything()
default = Default()


class Condition(abc.ABC):
    @abc.abstractmethod
    def words(self) -> Words:
        """As they stand behind WHERE."""

    def __and__(self, other: Condition) -> Condition:
        return _Joined(b"AND", self, other)

    def __or__(self, other: Condition) -> Condition:
        return _Joined(b"OR", self, other)

    def __invert__(self) -> Condition:
        return _Not(self)

    def __bool__(self) -> bool:
        raise UsageError("a condition is neither true nor false here: join "
                         "conditions with & and |, and negate with ~")


class _Test(Condition):
    def __init__(self, words: Words) -> None:
        self._words = words

    def words(self) -> Words:
        return self._words


class _Joined(Condition):
    def __init__(self, word: bytes, *parts: Condition) -> None:
        self._word = word
        self._parts: list[Condition] = []
        for part in parts:		# a & b & c nests no deeper than a & b
            if isinstance(part, _Joined) and part._word == word:
                self._parts += part._parts
            else:
                self._parts.append(part)

    def words(self) -> Words:
        words: Words = [b"("]
        for i, part in enumerate(self._parts):
            words += ([self._word] if i else []) + part.words()
        return words + [b")"]


class _Not(Condition):
    def __init__(self, part: Condition) -> None:
        self._part = part

    def words(self) -> Words:
        return [b"NOT", b"(", *self._part.words(), b")"]


class Change:
    """What happens to a column's value: an operator and its operand."""

    def __init__(self, path: Path, op: bytes, operand: Any) -> None:
        self._path = path
        self._op = op
        self._operand = operand

    def words(self, column: str) -> Words:
        if self._path.words() != [name(column)]:
            raise UsageError(f"{column} can be changed by what it is itself, "
                             f"not by {self._path!r}")
        return [name(column), self._op, encode(self._operand)]


class Order:
    """A column that rows are ordered by."""

    def __init__(self, text: bytes, is_descending: bool) -> None:
        self._text = text
        self._is_descending = is_descending

    def word(self) -> bytes:
        return (b"-" if self._is_descending else b"") + self._text

    @classmethod
    def of(cls, what: Any) -> Order:
        """"name", "-name", a column, or its desc()."""
        if isinstance(what, Order):
            return what
        if isinstance(what, Path):
            return cls(what.text(), False)
        text = str(what)
        return cls(name(text.removeprefix("-")), text.startswith("-"))


# What JSON's text has to be for values of these types.
_CASTS = {int: "numeric", float: "float8", decimal.Decimal: "numeric",
          bool: "bool"}


class Path:
    """A column; of a row that a relation leads to; or what is in its JSON."""

    def __init__(self, steps: tuple[str, ...], keys: tuple[str | int, ...] = (),
                 cast: str | None = None) -> None:
        self._steps = steps
        self._keys = keys
        self._cast = cast

    def text(self) -> bytes:
        """The column alone."""
        return b".".join(map(name, self._steps))

    def words(self, value: Any = None) -> Words:
        """All of it, to be compared with the value: what is taken out of JSON
        is text unless it is cast."""
        words: Words = [self.text()]
        last = len(self._keys) - 1
        for i, key in enumerate(self._keys):
            words += [b"->>" if i == last else b"->", str(key).encode()]
        cast = self._cast
        if cast is None and self._keys:
            cast = _CASTS.get(type(value))
        if cast is not None:
            words.append(b"::" + cast.encode())
        return words

    def __str__(self) -> str:
        return ".".join(self._steps)

    def __repr__(self) -> str:
        return "<column " + " ".join(
            word.decode() for word in self.words() if word is not None) + ">"

    def __hash__(self) -> int:
        return hash((self._steps, self._keys, self._cast))

    # -- other paths

    def __getattr__(self, step: str) -> Path:
        if step.startswith("__"):
            raise AttributeError(step)
        return Path((*self._steps, step))

    def __getitem__(self, key: str | int) -> Path:
        """What is in JSON under this key."""
        return Path(self._steps, (*self._keys, key))

    def as_(self, cast: str) -> Path:
        """What is in JSON, as this type of PostgreSQL's."""
        return Path(self._steps, self._keys, cast)

    # -- conditions

    def _test(self, op: bytes, value: Any) -> Condition:
        return _Test([*self.words(value), op, encode(value)])

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return self.is_null() if value is None else self._test(b"=", value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return self.is_not_null() if value is None \
            else self._test(b"!=", value)

    def __lt__(self, value: Any) -> Condition:
        return self._test(b"<", value)

    def __le__(self, value: Any) -> Condition:
        return self._test(b"<=", value)

    def __gt__(self, value: Any) -> Condition:
        return self._test(b">", value)

    def __ge__(self, value: Any) -> Condition:
        return self._test(b">=", value)

    def like(self, pattern: str) -> Condition:
        return self._test(b"LIKE", pattern)

    def ilike(self, pattern: str) -> Condition:
        return self._test(b"ILIKE", pattern)

    def contains(self, value: Any) -> Condition:
        """@> of arrays, ranges and jsonb."""
        return self._test(b"@>", value)

    def contained_in(self, value: Any) -> Condition:
        return self._test(b"<@", value)

    def overlaps(self, value: Any) -> Condition:
        return self._test(b"&&", value)

    def has_key(self, key: str) -> Condition:
        return self._test(b"?", key)

    def in_(self, values: Iterable[Any]) -> Condition:
        values = list(values)
        if not values:			# it is in none of them, whatever it is
            return self.is_null() & self.is_not_null()
        return _Test([*self.words(values[0]), b"IN", b"%d" % len(values),
                      *map(encode, values)])

    def between(self, low: Any, high: Any) -> Condition:
        return _Test([*self.words(low), b"BETWEEN", encode(low), encode(high)])

    def is_null(self) -> Condition:
        return _Test([*self.words(), b"IS", b"NULL"])

    def is_not_null(self) -> Condition:
        return _Test([*self.words(), b"IS", b"NOT", b"NULL"])

    # -- changes

    def __add__(self, value: Any) -> Change:
        """A sum; of text, arrays and jsonb what concat() does."""
        if isinstance(value, (str, list, dict)):
            return self.concat(value)
        return Change(self, b"+=", value)

    def __sub__(self, value: Any) -> Change:
        return Change(self, b"-=", value)

    def concat(self, value: Any) -> Change:
        return Change(self, b"||=", value)

    # -- orders

    def asc(self) -> Order:
        return Order(self.text(), False)

    def desc(self) -> Order:
        return Order(self.text(), True)


def col(column: str) -> Path:
    return Path((column,))


class Related:
    """Rows that a relation leads to, to come along: at most n, in an order,
    each with related rows of its own."""

    def __init__(self, relation: str, n: int | None = None,
                 order_by: Sequence[Any] = (),
                 with_: Sequence[Any] = ()) -> None:
        self._relation = relation
        self._n = n
        self._order_by = order_by
        self._with = with_

    def words(self, before: bytes) -> list[bytes]:
        text = before + name(self._relation)
        deeper = text + b"."
        if self._order_by:
            text += b":%b:%b" % (
                b"" if self._n is None else b"%d" % self._n,
                b",".join(Order.of(each).word() for each in self._order_by))
        elif self._n is not None:
            text += b":%d" % self._n
        words = [text]
        for each in self._with:
            words += _related(each).words(deeper)
        return words


def _related(what: Any) -> Any:
    return what if hasattr(what, "words") else _Text(str(what))


class _Text:
    """As in WITH: posts.tags."""

    def __init__(self, text: str) -> None:
        self._text = text

    def words(self, before: bytes) -> list[bytes]:
        return [before + self._text.encode()]


def relation_words(with_: Sequence[Any]) -> bytes:
    words: list[bytes] = []
    for each in with_:
        words += _related(each).words(b"")
    return b",".join(words)


def related(relation: str, n: int | None = None, order_by: Sequence[Any] = (),
            with_: Sequence[Any] = ()) -> Related:
    return Related(relation, n, order_by, with_)
