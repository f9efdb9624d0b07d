"""Transactions, their savepoints, and who is in them.

A transaction belongs to the task that began it, and the client's calls in that
task are part of it until its block ends.  A task that was created inside the
block inherits it, but does not own it: its calls raise TransactionNotInherited,
for on their own they would be carried out outside, unseen.
"""
from __future__ import annotations

import logging
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any, Awaitable, Sequence, TypeVar

from . import _resp, _words, errors
from ._connection import Connection
from ._core import current
from ._executor import PLAIN, Envelope, Executor
from ._rows import Row
from ._tasks import task_now, word_of
from ._words import Request

if TYPE_CHECKING:
    from ._core import Core
    from ._cursor import Cursor

T = TypeVar("T")

log = logging.getLogger("lockkeeper")

_ISOLATIONS = {"read committed", "repeatable read", "serializable"}

class Transaction(Executor):
    """`async with lk.transaction() as tx`: committed at the end of the block,
    rolled back when an exception leaves it.  Inside another one it is a
    savepoint.  Or by hand: await start(), then commit() or rollback(); then
    only tx's own methods are part of it."""

    _is_open = False
    _is_manual = False

    def __init__(self, core: Core, parent: Transaction | None,
                 isolation: str | None, read_only: bool, deferrable: bool,
                 force_rollback: bool) -> None:
        if isolation is not None \
                and isolation.replace("_", " ").lower() not in _ISOLATIONS:
            raise errors.UsageError(
                f"{isolation!r} is no isolation: there are "
                f"{', '.join(sorted(_ISOLATIONS))}")
        if parent is not None and (isolation or read_only or deferrable):
            raise errors.UsageError("a savepoint has the isolation of its "
                                    "transaction")
        self._core = core
        self._parent = parent
        self._root: Transaction = self if parent is None else parent._root
        self._isolation = isolation
        self._read_only = read_only
        self._deferrable = deferrable
        self._force_rollback = force_rollback
        self._database: str | None = \
            None if parent is None else parent._root._database
        self._has_ended = False
        self._savepoint = b""
        self.outer: Transaction | None = None
        # The root's:
        self._connection: Connection = core.connection
        self._generation = 0
        self._owner: object = None
        self._owner_words: tuple[int, bytes] = 0, b""
        self._handle = 0
        self._tx_word = b""
        self._n_savepoints = 0

    @property
    def core(self) -> Core:
        return self._core

    @property
    def handle(self) -> int:
        """The daemon's number for it, as SHOW transactions has it."""
        return self._root._handle

    @property
    def is_open(self) -> bool:
        return self._is_open and (self._parent is None
                                  or self._parent.is_open)

    @property
    def is_shared(self) -> bool:
        return self._root._force_rollback

    @property
    def database(self) -> str | None:
        return self._root._database or self.core.database

    def use_database(self, database: str | None) -> None:
        if database is not None and self._parent is not None \
                and database != self.database:
            raise errors.UsageError(f"a savepoint is in its transaction's "
                                    f"database, not in {database}")
        self._root._database = database or self._root._database

    def use_connection(self, connection: Connection) -> None:
        """Before it is begun."""
        self._connection = connection

    # -- who is in it

    def _is_owner(self) -> bool:
        return self._root._owner is self.core.caller()

    def check_caller(self) -> None:
        """Of a call through the client, which must not escape."""
        if not self.is_shared and not self._is_owner():
            owner = self._root._owner
            raise errors.TransactionNotInherited(
                "the task was created inside a transaction of "
                f"{getattr(owner, 'get_name', lambda: 'another')()}, "
                "which it does not own: call tx's own methods to be in it, "
                "those of lk.autocommit() to be outside")
        self._check_open()

    def _check_open(self) -> None:
        if not self.is_open:
            raise errors.TransactionEnded(
                "the transaction has ended" if self._has_ended
                else "the transaction has not been started")
        root = self._root
        if root._generation != root._connection.generation:
            raise errors.ConnectionLostError(
                "the connection has ended, and the transaction with it")

    # -- requests

    def _head(self) -> tuple[int, bytes]:
        """%task, where that is the owner, and #tx.  For another task's call
        the daemon takes the owner, who waits for it."""
        root = self._root
        if root._force_rollback:
            n, words = 1, word_of(task_now())
        elif self._is_owner():
            n, words = root._owner_words
        else:
            n, words = 0, b""
        return n + 1, words + root._tx_word

    def raw(self, request: Request[Any], envelope: Envelope = PLAIN,
            may_commit: bool = False) -> Awaitable[Any]:
        n, head = self._head()
        return self.core.exchange(
            self._root._connection, n + envelope.n, envelope.data + head,
            request, may_commit)

    async def ask(self, request: Request[T], envelope: Envelope = PLAIN) -> T:
        self._check_open()
        if envelope.database not in (None, self.database):
            raise errors.UsageError(
                f"the transaction is in another database than "
                f"{envelope.database}: lk.autocommit() leaves it")
        value = await self.raw(request, envelope)
        if type(value) is _resp.ErrorReply:
            raise value.exception()
        return await self.core.take(value, request, self.database, self.raw)

    def cursor(self, request: Request[list[Row]],
               envelope: Envelope = PLAIN) -> Cursor:
        from ._cursor import Cursor
        return Cursor(self.core, request, self, envelope)

    def transaction(self, *, isolation: str | None = None,
                    read_only: bool = False, deferrable: bool = False,
                    force_rollback: bool = False) -> Transaction:
        return Transaction(self.core, self, isolation, read_only, deferrable,
                           force_rollback)

    # -- beginning and ending

    def _begin_words(self) -> list[str]:
        words = ["BEGIN"]
        if self._isolation is not None:
            words += self._isolation.replace("_", " ").upper().split()
        if self._read_only:
            words += ["READ", "ONLY"]
        if self._deferrable:
            words.append("DEFERRABLE")
        if self._force_rollback:
            words.append("SHARED")
        return words

    async def _begin(self) -> None:
        connection = self._connection
        n, head = self.core.place()
        words: list[bytes | None] = []
        if self._database is not None:
            words.append(b"/" + self._database.encode())

        def orphan(handle: Any) -> None:
            if isinstance(handle, int):
                connection.post(b"#%d" % handle, b"ROLLBACK")

        reply = await self.core.exchange(
            connection, len(words) + n, head + _resp.bulks(words),
            Request(self._begin_words(), _words.as_it_is), False, orphan)
        if isinstance(reply, _resp.ErrorReply):
            raise reply.exception()
        self._owner, self._owner_words = self.core.caller(), (n, head)
        self._generation = connection.generation
        self._handle = reply
        self._tx_word = _resp.bulk(b"#%d" % reply)
        self.core.transactions[reply] = self

    async def _set_savepoint(self) -> None:
        root = self._root
        assert self._parent is not None
        self._parent._check_open()
        root._n_savepoints += 1
        self._savepoint = b"lk_%d" % root._n_savepoints
        reply = await self.raw(Request(["SAVEPOINT", self._savepoint],
                                       _words.nothing))
        if isinstance(reply, _resp.ErrorReply):
            raise reply.exception()

    async def _start(self) -> None:
        if self._is_open or self._has_ended:
            raise errors.UsageError("a transaction is started once")
        if self._parent is None:
            await self._begin()
        else:
            await self._set_savepoint()
        self._is_open = True

    async def start(self) -> Transaction:
        """By hand: who does not end it, either, has it rolled back when it is
        garbage."""
        await self._start()
        self._is_manual = True
        return self

    def _end(self) -> None:
        self._is_open = False
        self._has_ended = True

    async def commit(self) -> None:
        self._check_open()
        self._end()
        if self._parent is not None:
            await self._end_with("RELEASE", self._savepoint)
            return
        if self._force_rollback:
            await self._end_with("ROLLBACK")
            return
        try:
            await self._end_with("COMMIT")
        except BaseException:
            # Cancelled, or refused: what is left of it goes.  Where it was
            # committed all the same, the daemon knows no such transaction.
            self._post(b"ROLLBACK")
            raise

    async def rollback(self) -> None:
        """Also early: what the block does then is an error, and its end is
        none."""
        self._check_open()
        self._end()
        if self._parent is None:
            await self._end_with("ROLLBACK")
            return
        await self._end_with("ROLLBACK", "TO", self._savepoint)
        await self._end_with("RELEASE", self._savepoint)

    async def _end_with(self, *words: str | bytes) -> None:
        reply = await self.raw(Request(words, _words.nothing), PLAIN,
                               words[0] == "COMMIT")
        if isinstance(reply, _resp.ErrorReply):
            raise reply.exception()

    def _post(self, *words: bytes) -> None:
        """What nobody waits for."""
        root = self._root
        if root._generation == root._connection.generation:
            root._connection.post(b"#%d" % root._handle, *words)

    def abandon(self) -> None:
        """Roll back without waiting for it: the task is dying."""
        if not self.is_open:
            return
        self._end()
        if self._parent is None:
            self._post(b"ROLLBACK")
        else:
            self._post(b"ROLLBACK", b"TO", self._savepoint)
            self._post(b"RELEASE", self._savepoint)

    # -- as a block

    async def __aenter__(self) -> Transaction:
        await self._start()
        self.outer = current.get()
        current.set(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        current.set(self.outer)
        if not self.is_open:
            self._end()
        elif error is None:
            await self.commit()
        elif not isinstance(error, Exception):	# cancelled, closed or killed
            self.abandon()
        else:
            try:
                await self.rollback()
            except errors.Error as failure:
                # The daemon has ended it already, or will at once.
                self._end()
                log.debug("rolling back: %s", failure)

    def __del__(self) -> None:
        if not self._is_manual or not self.is_open:
            return
        warnings.warn(f"transaction {self.handle} was never ended and is "
                      "rolled back", ResourceWarning, source=self)
        loop = self._root._connection.loop
        if not loop.is_closed():
            root, savepoint = self._root, self._savepoint
            words = [b"ROLLBACK", b"TO", savepoint] if savepoint else \
                [b"ROLLBACK"]
            loop.call_soon_threadsafe(root._connection.post,
                                      b"#%d" % root._handle, *words)
