"""Lockkeeper for asyncio: lockkeeper.connect() and what it gives.

The daemon's own words are explained in lockkeeper-protocol(7).
"""
from . import errors
from ._client import Autocommit, Lockkeeper, connect
from ._cursor import Cursor
from ._executor import Executor
from ._resp import implementation
from ._rows import Record, Row
from ._subscribe import Message, Subscription
from ._transaction import Transaction
from ._unit import Unit
from ._version import __version__
from .errors import (
    CanceledError, CheckViolationError, ClosedError, ClosingError,
    ConnectionLostError, DataError, DeadlockError, DeniedError, Error,
    ExclusionViolationError, ForeignKeyViolationError, IntegrityError,
    LockTimeoutError, NoColumnError, NoModelError, NotFound,
    NotLoaded, NotNullViolationError, NoTransactionError, OutcomeUnknownError,
    OverloadError, PoolTimeoutError, PostgresError, ProtocolError,
    ProtocolVersionError, RequestSyntaxError, RestrictViolationError,
    SerializationError, TimeoutError, TransactionAbortedError,
    TransactionEnded, TransactionExpiredError, TransactionNotInherited,
    UniqueViolationError, UnitAbortedError, UnmetError, UsageError)
from .expr import col, default, everything, related
from .types import Interval, Json, Multirange, Range

__all__ = [
    "Autocommit", "CanceledError", "CheckViolationError", "ClosedError",
    "ClosingError", "ConnectionLostError", "Cursor", "DataError",
    "DeadlockError", "DeniedError", "Error", "ExclusionViolationError",
    "Executor", "ForeignKeyViolationError", "IntegrityError", "Interval",
    "Json", "LockTimeoutError", "Lockkeeper", "Message", "Multirange",
    "NoColumnError", "NoModelError", "NoTransactionError", "NotFound",
    "NotLoaded", "NotNullViolationError", "OutcomeUnknownError", "OverloadError",
    "PoolTimeoutError", "PostgresError", "ProtocolError",
    "ProtocolVersionError", "Range", "Record", "RequestSyntaxError",
    "RestrictViolationError", "Row", "SerializationError", "Subscription",
    "TimeoutError", "Transaction", "TransactionAbortedError",
    "TransactionEnded", "TransactionExpiredError", "TransactionNotInherited",
    "UniqueViolationError", "Unit", "UnitAbortedError", "UnmetError",
    "UsageError", "__version__", "col", "connect", "default", "errors",
    "everything", "implementation", "related",
]
