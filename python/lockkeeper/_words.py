"""Requests as words, and what their replies are.

A Request is one verb with its arguments, encoded; its take makes of the reply
what the caller gets.
"""
from __future__ import annotations

import copy
from typing import Any, Callable, Generic, Iterable, Mapping, NamedTuple, \
    Sequence, TypeVar

from . import _resp
from ._encode import encode
from ._rows import Row
from .expr import Change, Condition, Default, Everything, Order, Words, \
    col, name, relation_words

T = TypeVar("T")

# Of which nothing is left to do again when their reply is lost.
_READS = frozenset("""GET FIND ONE FIRST COUNT EXISTS LOAD SHOW DESCRIBE MODELS
    TYPES PING ECHO COMMAND INFO CLIENT OPEN FETCH CLOSE BEGIN SAVEPOINT RELEASE
    AWAIT GIVE CANCEL SUBSCRIBE UNSUBSCRIBE MULTI DISCARD""".split())
# What is part of a transaction, where there is one.
_IN_TX = frozenset("""SQL OPEN FETCH CLOSE PUBLISH GET FIND ONE FIRST COUNT
    EXISTS CREATE CREATEMANY UPDATE UPSERT DELETE UPDATEALL DELETEALL LOAD
    """.split())
# Whose reply is one row, or null.
_ONE_ROW = frozenset(("GET", "ONE", "FIRST", "CREATE", "UPDATE", "UPSERT"))


class Verb(NamedTuple):
    may_commit: bool
    # Or else it says nothing of data, and changes none.
    is_for_transactions: bool
    is_one_row: bool


def _verb(word: str) -> Verb:
    return Verb(word not in _READS, word in _IN_TX, word in _ONE_ROW)


_VERBS = {word: _verb(word) for word in _READS | _IN_TX}


def verb_of(word: str) -> Verb:
    return _VERBS.get(word) or _verb(word.upper())


class Request(Generic[T]):
    """words: the verb and its arguments, any values.  model: whose rows these
    are, in maps: the form in which related rows may be nested deeply; relation:
    or those that it leads to from there."""

    __slots__ = ("verb", "n", "data", "take", "model", "relation")

    def __init__(self, words: Sequence[Any], take: Callable[[Any], T],
                 model: str | None = None, relation: str | None = None
                 ) -> None:
        self.verb = _VERBS.get(words[0]) or verb_of(words[0])
        self.take = take
        self.model = model
        self.relation = relation
        self.n = len(words)
        self.data = _resp.encoded(words, encode)
        if model is not None:
            self.n += 1
            self.data = _resp.bulk(b"=maps") + self.data

    def behind(self, word: str) -> Request[T]:
        """The same with a word before its verb, which is one itself."""
        made = copy.copy(self)
        form = _resp.bulks([b"=maps"]) if self.model is not None else b""
        made.verb = verb_of(word)
        made.n = self.n + 1
        made.data = form + _resp.bulk(word.encode()) + self.data[len(form):]
        return made


# ---- replies ----

def as_it_is(value: Any) -> Any:
    return value


def a_map(value: Any) -> dict[str, Any]:
    made: dict[str, Any] = value
    return made


def nothing(value: Any) -> None:
    return None


def rows(value: Any) -> list[Any]:
    """An array, or a command tag where there are none."""
    return value if isinstance(value, list) else []


def row_or_none(value: Any) -> Any:
    """Of a table, or a row in maps."""
    if isinstance(value, list):
        return value[0] if value else None
    return value if isinstance(value, Row) else None


def row(value: Any) -> Row:
    made: Row = row_or_none(value)
    return made


def first_value(value: Any) -> Any:
    return value[0][0] if isinstance(value, list) and value and value[0] \
        else None


def tag(value: Any) -> str:
    """The command tag; of rows, one in the same form."""
    return value if isinstance(value, str) else f"SELECT {len(value)}"


# ---- any verb ----

def any_verb(verb: str, args: Sequence[Any]) -> Request[Any]:
    return Request([verb, *args],
                   row_or_none if verb_of(verb).is_one_row else as_it_is)


def sql(text: str, args: Sequence[Any], take: Callable[[Any], T]
        ) -> Request[T]:
    return Request(["SQL", text, *args], take)


# ---- clauses ----

def key_words(key: Any) -> Words:
    return list(map(encode, key)) if isinstance(key, (tuple, list)) \
        else [encode(key)]


def _names(names: Iterable[Any]) -> bytes:
    return b",".join(name(str(each)) for each in names)


def condition_of(where: Condition | Everything | None,
                 equal: Mapping[str, Any]) -> Words:
    """where, and each column equal to its value."""
    parts = [] if where is None or isinstance(where, Everything) else [where]
    parts += [col(column) == value for column, value in equal.items()]
    if not parts:
        return []
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole.words()


def clauses(where: Words = [], order: Sequence[Any] = (),
            after: Sequence[Any] | None = None, limit: int | None = None,
            offset: int | None = None, fields: Sequence[Any] | None = None,
            with_: Sequence[Any] = (), lock: str | None = None) -> Words:
    words: Words = []
    if where:
        words += [b"WHERE", *where]
    if order:
        words += [b"ORDER", b",".join(Order.of(each).word()
                                      for each in order)]
    if after is not None:
        words += [b"AFTER", *map(encode, after)]
    if limit is not None:
        words += [b"LIMIT", b"%d" % limit]
    if offset is not None:
        words += [b"OFFSET", b"%d" % offset]
    if fields is not None:
        words += [b"FIELDS", _names(fields)]
    if with_:
        words += [b"WITH", relation_words(with_)]
    if lock is not None:
        words += [b"FOR", *lock.encode().split()]
    return words


def assignments(values: Mapping[str, Any]) -> Words:
    words: Words = []
    for column, value in values.items():
        if isinstance(value, Change):
            words += value.words(column)
        elif isinstance(value, Default):
            words += [name(column), b"TO", b"DEFAULT"]
        else:
            words += [name(column), b"=", encode(value)]
    return words


# ---- verbs about models ----

def get(model: str, key: Any, fields: Sequence[Any] | None = None,
        with_: Sequence[Any] = (), lock: str | None = None
        ) -> Request[Row | None]:
    words: list[Any] = ["GET", model, *key] if type(key) is tuple else \
        ["GET", model, *key_words(key)]
    if fields is not None or with_ or lock is not None:
        words += clauses(fields=fields, with_=with_, lock=lock)
    return Request(words, row_or_none, model if with_ else None)


def find(verb: str, model: str, words: Words, take: Callable[[Any], T],
         is_nested: bool = False) -> Request[T]:
    return Request([verb, model, *words], take,
                   model if is_nested else None)


def count(verb: str, model: str, where: Words) -> Request[Any]:
    words: list[Any] = [verb, model]
    if where:
        words += [b"WHERE", *where]
    return Request(words, as_it_is)


def create(model: str, values: Mapping[str, Any]) -> Request[Row]:
    return Request(["CREATE", model, *assignments(values)], row)


def create_many(model: str, columns: Sequence[str],
                table: Iterable[Sequence[Any]]) -> Request[int]:
    words: list[Any] = ["CREATEMANY", model, len(columns), *map(name, columns)]
    for cells in table:
        words += cells
    return Request(words, as_it_is)


def update(model: str, key: Any, values: Mapping[str, Any], if_: Words
           ) -> Request[Row | None]:
    words: list[Any] = ["UPDATE", model, *key_words(key), b"SET",
                    *assignments(values)]
    if if_:
        words += [b"IF", *if_]
    return Request(words, row_or_none)


def upsert(model: str, values: Mapping[str, Any], on: Sequence[Any]
           ) -> Request[Row]:
    words: list[Any] = ["UPSERT", model, *assignments(values)]
    if on:
        words += [b"ON", _names(on)]
    return Request(words, row)


def delete(model: str, key: Any, if_: Words) -> Request[bool]:
    words: list[Any] = ["DELETE", model, *key_words(key)]
    if if_:
        words += [b"IF", *if_]
    return Request(words, bool)


def _all_of(where: Condition | Everything, equal: Mapping[str, Any]) -> Words:
    return condition_of(where, equal) or [b"ALL"]


def update_all(model: str, values: Mapping[str, Any],
               where: Condition | Everything, equal: Mapping[str, Any] = {}
               ) -> Request[int]:
    return Request(["UPDATEALL", model, b"SET",
                    *assignments(values), b"WHERE", *_all_of(where, equal)],
                   as_it_is)


def delete_all(model: str, where: Condition | Everything,
               equal: Mapping[str, Any] = {}) -> Request[int]:
    return Request(["DELETEALL", model, b"WHERE",
                    *_all_of(where, equal)], as_it_is)


def load(model: str, key: Any, relation: str, words: Words) -> Request[Any]:
    return Request(["LOAD", model, *key_words(key), name(relation),
                    *words], as_it_is, model, relation)
