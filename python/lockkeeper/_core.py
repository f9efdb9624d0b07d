"""What a client's executors share: its connections, and what it knows of its
databases' types and relations.
"""
from __future__ import annotations

import asyncio
import contextvars
import logging
import weakref
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Sequence, TypeVar

from . import _awaits, _decode, _resp, _words
from ._connection import Connection
from ._executor import PLAIN, Envelope
from ._tasks import task_now, thread_word, word_now
from ._words import Request

if TYPE_CHECKING:
    from ._transaction import Transaction

T = TypeVar("T")
Raw = Callable[[Request[Any]], Awaitable[Any]]

log = logging.getLogger("lockkeeper")

# The innermost transaction whose block the task is in, or None outside of all.
current: contextvars.ContextVar[Transaction | None] = \
    contextvars.ContextVar("lockkeeper transaction", default=None)


class Core:
    def __init__(self, path: str, database: str | None, name: str,
                 connect_timeout: float) -> None:
        self.path = path
        self.database = database
        self._name = name
        self._connect_timeout = connect_timeout
        self.connection = self._new_connection(self._on_push)
        self._bulk: Connection | None = None
        self._codecs: dict[str | None, _decode.Codecs] = {}
        self._models: dict[tuple[str | None, str], dict[str, Any]] = {}
        self.push_hooks: dict[str, list[Callable[..., None]]] = {
            kind: [function] for kind, function in _awaits.LOGGED.items()}
        self.up_hooks: list[Callable[[], object]] = []
        # Open ones, by their handles.
        self.transactions: weakref.WeakValueDictionary[int, Transaction] = \
            weakref.WeakValueDictionary()
        self._awaits = _awaits.Awaits(self)

    def _new_connection(self, on_push: Callable[[str, list[Any]], None]
                        ) -> Connection:
        return Connection(self.path, lambda: self._hello(b"async"),
                          self._connect_timeout, on_push, self._on_up)

    def _hello(self, mode: bytes) -> list[bytes]:
        """With the thread, which is the loop's: a blocking call in it keeps
        all of the loop's tasks waiting."""
        hello = [b"HELLO", b"3", b"NAME", self._name.encode(), b"MODE", mode,
                 b"THREAD", thread_word(), b"GROUP", b"python",
                 b"ROWS", b"table", b"TAGS", b"push", b"ERRORS", b"blob"]
        if self.database is not None:
            hello += [b"DATABASE", self.database.encode()]
        return hello

    def _on_up(self) -> None:
        """Another daemon, perhaps, and another schema."""
        self._models.clear()
        self._codecs.clear()
        for hook in self.up_hooks:
            hook()

    def _on_push(self, kind: str, args: list[Any]) -> None:
        told = args if kind in ("message", "subscribe", "unsubscribe") else \
            [_decode.builtin.value(arg) for arg in args]
        for hook in self.push_hooks.get(kind, ()):
            hook(*told)

    def bulk(self) -> Connection:
        """For large replies, behind which nobody else's wait."""
        if self._bulk is None:
            self._bulk = self._new_connection(self._on_push)
        return self._bulk

    def close(self) -> None:
        self.connection.close()
        if self._bulk is not None:
            self._bulk.close()

    # -- requests

    async def exchange(self, connection: Connection, n: int, head: bytes,
                       request: Request[Any], may_commit: bool,
                       orphan: Callable[[Any], None] | None = None) -> Any:
        """The reply as it comes.  A task that is cancelled meanwhile leaves at
        once, and the request is ended.  ask() does the same without a coroutine
        more."""
        if not connection.is_ready \
                or connection.loop is not asyncio.get_running_loop():
            await connection.wait_ready()
        future = connection.create_future()
        tag = connection.send(n + request.n, head, request.data,
                              (future, may_commit, orphan))
        try:
            return await future
        except asyncio.CancelledError:
            connection.abandon(tag, future)
            if orphan is not None and not future.cancelled() \
                    and future.exception() is None:
                orphan(future.result())		# it came just before
            raise

    async def exchange_all(self, connection: Connection, head: bytes, n: int,
                           requests: Sequence[Request[Any]]
                           ) -> tuple[list[Any], Any]:
        """Sent in one go: the replies of all but the last, None for those that
        have not come, and that of the last, which may commit."""
        await connection.wait_ready()
        first: list[asyncio.Future[Any]] = []
        for request in requests[:-1]:
            first.append(connection.create_future())
            connection.send(n + request.n, head, request.data,
                            (first[-1], False, None))
        try:
            last = await self.exchange(connection, n, head, requests[-1], True)
            return [future.result() if future.done() else None
                    for future in first], last
        finally:
            for future in first:	# that nobody waits for any more
                if not future.cancel() and not future.cancelled():
                    future.exception()

    # -- who asks

    def caller(self) -> object:
        """To whom a transaction belongs."""
        return task_now()

    def place(self) -> tuple[int, bytes]:
        """The number of words before a request of the caller's, and they."""
        return 1, word_now(self.connection.loop)

    def transaction_now(self) -> Transaction | None:
        """The one that a call of the running task is part of."""
        tx = current.get()
        while tx is not None and tx.core is not self:
            tx = tx.outer
        if tx is not None:
            tx.check_caller()
        return tx

    async def ask(self, request: Request[T], envelope: Envelope,
                  joins: bool) -> T:
        """What the caller gets.  joins: in the transaction that its task is
        in, where there is one; else outside of all."""
        if joins and current.get() is not None \
                and request.verb.is_for_transactions:
            tx = self.transaction_now()
            if tx is not None:
                return await tx.ask(request, envelope)
        connection = self.bulk() if envelope.is_bulk else self.connection
        n, head = self.place()
        if not connection.is_ready \
                or connection.loop is not asyncio.get_running_loop():
            await connection.wait_ready()
        future = connection.create_future()
        tag = connection.send(
            envelope.n + n + request.n, envelope.data + head, request.data,
            (future, request.verb.may_commit, None))
        try:
            value = await future
        except asyncio.CancelledError:
            connection.abandon(tag, future)
            raise
        if type(value) is _resp.ErrorReply:
            raise value.exception()
        database = envelope.database or self.database
        try:
            return self._taken(value, request, database)
        except _decode.Missing:
            pass

        def again(other: Request[Any]) -> Awaitable[Any]:
            there = b"" if database is None else \
                _resp.bulk(b"/" + database.encode())
            return self.exchange(connection, n + bool(there), there + head,
                                 other, False)

        return await self.take(value, request, database, again)

    def _codecs_of(self, database: str | None) -> _decode.Codecs:
        return self._codecs.get(database) or \
            self._codecs.setdefault(database, _decode.Codecs())

    def _taken(self, value: Any, request: Request[T], database: str | None
               ) -> T:
        """What the caller gets for a reply; or something has to be known
        first."""
        codecs = self._codecs.get(database) or self._codecs_of(database)
        if request.model is None:
            return request.take(codecs.rows(value)
                                if type(value) is _resp.Table
                                else codecs.value(value))
        return request.take(codecs.nested(value, request.model,
                                          request.relation))

    async def take(self, value: Any, request: Request[T],
                   database: str | None, again: Raw) -> T:
        """What the caller gets for a reply.  again asks what has to be known
        for that, where the request was carried out."""
        while True:
            codecs = self._codecs_of(database)
            try:
                return self._taken(value, request, database)
            except _decode.Unknown as unknown:
                await self._learn(codecs, unknown.name, again)
            except _decode.Undescribed as undescribed:
                codecs.describe(await self.describe(undescribed.model,
                                                    database))
            except _decode.Changed:
                self._codecs.pop(database, None)
                self._models.clear()

    async def _learn(self, codecs: _decode.Codecs, name: str,
                     again: Raw) -> None:
        rows = await again(_words.sql(_decode.ASK, (name,), _words.rows))
        if type(rows) is _resp.ErrorReply:
            raise rows.exception()
        while True:
            try:
                codecs.learn(name, codecs.value(rows))
                return
            except _decode.Unknown as unknown:
                await self._learn(codecs, unknown.name, again)

    # -- models

    async def describe(self, model: str, database: str | None = None
                       ) -> dict[str, Any]:
        """DESCRIBE's reply, asked once for each connection."""
        database = database or self.database
        known = self._models.get((database, model))
        if known is None:
            envelope = PLAIN.more(None, None, database, False, False)
            known = self._models[database, model] = await self.ask(
                Request(["DESCRIBE", model], _words.a_map), envelope, False)
        return known
