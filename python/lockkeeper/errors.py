"""What can go wrong, one class for each kind of error.

All derive from Error.  Those that the daemon reports have its words as
attributes: kind, sqlstate, message, retry (what may be tried again: "no",
"statement" or "transaction"), and, where they are known, detail, hint, table,
column, constraint, position, tx, members and index.  See ERROR REPLIES in
lockkeeper-protocol(7).
"""
from __future__ import annotations

import builtins
from typing import ClassVar


class Error(Exception):
    """Any error of this package.  The class of a kind says that kind, so that
    one that the daemon did not report itself looks the same."""

    kind: str = ""
    sqlstate: str = ""
    retry: str = "no"
    detail: str | None = None
    hint: str | None = None
    table: str | None = None
    column: str | None = None
    constraint: str | None = None
    position: int | None = None
    tx: int | None = None
    members: str | None = None
    index: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# ---- from the daemon ----

class PostgresError(Error):
    """PostgreSQL's, and none of the kinds below."""
    kind, sqlstate = "PG", "XX000"


class DeadlockError(Error):
    """Chosen to end a deadlock; the message names the cycle."""
    kind, sqlstate, retry = "DEADLOCK", "40P01", "transaction"


class SerializationError(Error):
    kind, sqlstate, retry = "SERIALIZE", "40001", "transaction"


class LockTimeoutError(Error):
    """The lock was not to be had in time; the message names the holder."""
    kind, sqlstate, retry = "LOCKTIMEOUT", "55P03", "statement"


class TimeoutError(Error, builtins.TimeoutError):
    """The deadline passed; the message says in which phase."""
    kind, sqlstate, retry = "TIMEOUT", "57014", "statement"


class CanceledError(Error):
    kind, sqlstate, retry = "CANCELED", "57014", "statement"


class PoolTimeoutError(Error):
    """No slot became free in time; the message names who holds them."""
    kind, sqlstate, retry = "POOLTIMEOUT", "LK001", "statement"


class TransactionAbortedError(Error):
    kind, sqlstate, retry = "TXABORTED", "25P02", "transaction"


class TransactionExpiredError(Error):
    kind, sqlstate, retry = "TXEXPIRED", "25P03", "transaction"


class NoTransactionError(Error):
    kind, sqlstate = "NOTX", "25P01"


class OutcomeUnknownError(Error):
    """It may have been committed.  Look before it is done again."""
    kind, sqlstate = "UNKNOWN", "08007"


class ConnectionLostError(Error, ConnectionError):
    """Nothing of the request was committed."""
    kind, sqlstate, retry = "CONNLOST", "08006", "transaction"


class UnmetError(Error):
    """Not the rows that were asked for."""
    kind, sqlstate = "UNMET", "LK002"


class UnitAbortedError(Error):
    kind, sqlstate = "EXECABORT", "25P02"


class ClosingError(Error):
    """The daemon is shutting down; nothing of the request was done."""
    kind, sqlstate, retry = "CLOSING", "57P03", "statement"


class ProtocolVersionError(Error):
    kind, sqlstate = "NOPROTO", "0A000"


class NoModelError(Error):
    kind, sqlstate = "NOMODEL", "42P01"


class NoColumnError(Error):
    kind, sqlstate = "NOCOLUMN", "42703"


class DeniedError(Error):
    kind, sqlstate = "DENIED", "42501"


class RequestSyntaxError(Error):
    """The request is not one that the daemon knows."""
    kind, sqlstate = "SYNTAX", "42601"


class OverloadError(Error):
    """A limit was reached; the message names it."""
    kind, sqlstate, retry = "OVERLOAD", "53400", "statement"


class ProtocolError(Error):
    kind, sqlstate = "PROTO", "08P01"


# ---- PostgreSQL's, by SQLSTATE ----

class IntegrityError(PostgresError):
    """A constraint was violated: class 23."""
    sqlstate = "23000"


class RestrictViolationError(IntegrityError):
    sqlstate = "23001"


class NotNullViolationError(IntegrityError):
    sqlstate = "23502"


class ForeignKeyViolationError(IntegrityError):
    sqlstate = "23503"


class UniqueViolationError(IntegrityError):
    sqlstate = "23505"


class CheckViolationError(IntegrityError):
    sqlstate = "23514"


class ExclusionViolationError(IntegrityError):
    sqlstate = "23P01"


# ---- this side's own ----

class UsageError(Error):
    """The program asked for what cannot be; nothing was sent."""


class DataError(Error, ValueError):
    """A value has no form on the other side: a year that Python does not
    know, a type that has no text for PostgreSQL."""


class NotFound(UnmetError):
    """There is no such row."""


class ClosedError(UsageError):
    """The client was closed."""


class NotLoaded(UsageError):
    """Related rows that have not been asked for."""


class TransactionEnded(UsageError):
    """The transaction that the call would be part of has ended."""


class TransactionNotInherited(UsageError):
    """The task was created inside a transaction that is another task's.  Say
    which is meant: the transaction's own methods, or lk.autocommit()."""


# ---- from what the daemon says to an exception ----

class _Kinds:
    by_kind: ClassVar[dict[str, type[Error]]] = {
        cls.kind: cls for cls in (
            PostgresError, DeadlockError, SerializationError, LockTimeoutError,
            TimeoutError, CanceledError, PoolTimeoutError,
            TransactionAbortedError, TransactionExpiredError,
            NoTransactionError, OutcomeUnknownError, ConnectionLostError,
            UnmetError, UnitAbortedError, ClosingError, ProtocolVersionError,
            NoModelError, NoColumnError, DeniedError, RequestSyntaxError,
            OverloadError, ProtocolError)}
    by_sqlstate: ClassVar[dict[str, type[PostgresError]]] = {
        cls.sqlstate: cls for cls in (
            RestrictViolationError, NotNullViolationError,
            ForeignKeyViolationError, UniqueViolationError,
            CheckViolationError, ExclusionViolationError)}


_NUMBERS = {"position", "tx", "index"}
_FIELDS = {"retry", "detail", "hint", "table", "column", "constraint",
           "members"}


def class_of(kind: str, sqlstate: str) -> type[Error]:
    if kind == "PG" and sqlstate.startswith("23"):
        return _Kinds.by_sqlstate.get(sqlstate, IntegrityError)
    return _Kinds.by_kind.get(kind, Error)


def from_reply(text: str) -> Error:
    """Of the daemon's `KIND SQLSTATE message`, with a line for each field
    behind it when it is a blob."""
    line, *lines = text.split("\n")
    kind, sqlstate, message = (line.split(" ", 2) + ["", ""])[:3]
    error = class_of(kind, sqlstate)(message)
    error.kind, error.sqlstate = kind, sqlstate
    for more in lines:
        name, _, value = more.partition(": ")
        if name in _NUMBERS:
            setattr(error, name, int(value))
        elif name in _FIELDS:
            setattr(error, name, value)
    return error
