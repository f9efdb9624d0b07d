"""Rows some at a time: OPEN, FETCH and CLOSE.

How many a FETCH asks for follows from how large the last ones were, so that a
reply stays under a size behind which other coroutines' replies do not wait.
"""
from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _words, errors
from ._executor import Envelope
from ._rows import Row
from ._transaction import Transaction
from ._words import Request

if TYPE_CHECKING:
    from ._core import Core

REPLY_BYTES = 256 * 1024
_FIRST_ROWS = 32
_MAX_ROWS = 10000


class Cursor:
    """`async for row in …`.  Outside a transaction it has one of its own, on
    the connection for large replies.  Who leaves the loop early may close it,
    by aclose() or `async with`; else it is closed when it is garbage."""

    def __init__(self, core: Core, request: Request[list[Row]],
                 tx: Transaction | None, envelope: Envelope) -> None:
        self._core = core
        self._request = request
        self._is_ours = tx is None
        self._tx = tx
        self._envelope = envelope
        self._number: int | None = None
        self._rows: list[Row] = []
        self._n_next = _FIRST_ROWS
        self._is_over = False

    def __aiter__(self) -> Cursor:
        return self

    async def __anext__(self) -> Row:
        while not self._rows:
            if self._is_over:
                raise StopAsyncIteration
            try:
                await self._fetch()
            except BaseException:
                self._abandon()
                raise
        return self._rows.pop()

    async def _open(self) -> Transaction:
        tx = self._tx
        if tx is None:
            tx = self._tx = Transaction(self._core, None, None, True, False,
                                        False)
            tx.use_database(self._envelope.database)
            tx.use_connection(self._core.bulk())
            await tx._start()
        opened: Request[Any] = self._request.behind("OPEN")
        opened.take, opened.model = _words.as_it_is, None	# its number
        self._number = await tx.ask(opened, self._envelope)
        return tx

    async def _fetch(self) -> None:
        tx = self._tx
        if self._number is None or tx is None:
            tx = await self._open()
        connection = tx._root._connection
        before, n = connection.n_bytes, self._n_next
        rows: list[Row] = await tx.ask(Request(
            ["FETCH", self._number or 0, n], _words.rows,
            self._request.model))
        # Others' replies count, too: then it is fewer rows than could be.
        n_bytes = max(1, connection.n_bytes - before)
        if rows:
            fitting = len(rows) * REPLY_BYTES * 3 // (4 * n_bytes)
            self._n_next = max(1, min(4 * n, fitting, _MAX_ROWS))
        self._rows = rows[::-1]
        if len(rows) < n:
            await self._close()

    async def _close(self) -> None:
        self._is_over = True
        tx, number = self._tx, self._number
        if tx is None or not tx.is_open:
            return
        if self._is_ours:
            await tx.rollback()		# it has changed nothing
        elif number is not None:
            self._number = None
            await tx.ask(Request(["CLOSE", number], _words.nothing))

    async def aclose(self) -> None:
        self._rows = []
        if not self._is_over:
            await self._close()

    async def __aenter__(self) -> Cursor:
        return self

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        if error is None or isinstance(error, Exception):
            try:
                await self.aclose()
            except errors.Error:
                if error is None:
                    raise
        else:
            self._abandon()

    def _abandon(self) -> None:
        """Nothing is awaited: the task is dying, or there is none."""
        tx = self._tx
        if self._is_over or tx is None or not tx.is_open:
            self._is_over = True
            return
        self._is_over = True
        if self._is_ours:
            tx.abandon()
        elif self._number is not None:
            tx._post(b"CLOSE", b"%d" % self._number)

    def __del__(self) -> None:
        if self._is_over or self._tx is None:
            return
        loop = self._tx._root._connection.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._abandon)
