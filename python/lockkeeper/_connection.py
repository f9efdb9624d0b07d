"""One connection to the daemon, for all tasks of an event loop.

Every request has a tag, and its reply sets the future that waits for it.  What
is sent in one turn of the loop leaves in one system call.  When the connection
ends, requests fail with what is true of them, and it is opened again; nothing
is sent twice.
"""
from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import random
import weakref
from typing import Any, Callable, Sequence

from . import _resp, errors
from ._resp import Pending

log = logging.getLogger("lockkeeper")

_FIRST_DELAY_S = 0.02
_MAX_DELAY_S = 5.0


_IGNORED: Pending = (None, False, None)


class _Link(asyncio.Protocol):
    """What one socket tells its Connection, for as long as it is that's."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def data_received(self, data: bytes) -> None:
        if self.connection.link is self:
            self.connection.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.connection.link is self:
            self.connection.ended(exc)

    def pause_writing(self) -> None:
        if self.connection.link is self:
            self.connection.is_ready = False

    def resume_writing(self) -> None:
        if self.connection.link is self:
            self.connection.set_ready()


class Connection:
    def __init__(self, path: str, hello: Callable[[], Sequence[bytes]],
                 connect_timeout_s: float,
                 on_push: Callable[[str, list[Any]], None],
                 on_up: Callable[[], object]) -> None:
        self.path = path
        self._use(asyncio.get_running_loop())
        # Grows when the connection ends: what was begun before is gone.
        self.generation = 0
        self.is_ready = False		# up, and willing to take more
        self.greeting: dict[str, Any] = {}
        self._hello = hello
        self._connect_timeout_s = connect_timeout_s
        self._on_push = on_push
        self._on_up = on_up
        self._is_closed = False
        self._forget()
        _all.add(self)

    def _forget(self) -> None:
        """All of the connection that has ended, or is not there yet."""
        self.link: _Link | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._decoder = _resp.Decoder()
        self._pending: dict[bytes, Pending] = {}
        self._out: list[bytes] = []
        self._serial = 0
        self._n_sent = 0		# tags up to this one have been sent
        self._greeted: asyncio.Future[Any] | None = None
        self._readiness: asyncio.Future[None] | None = None
        self._opener: asyncio.Task[None] | None = None
        self._why: BaseException | None = None

    @property
    def n_bytes(self) -> int:
        """That came on this connection so far."""
        return self._decoder.n_bytes

    @property
    def n_pending(self) -> int:
        return len(self._pending)

    # -- opening and ending

    def _use(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.create_future: Callable[[], asyncio.Future[Any]] = \
            loop.create_future

    async def open(self) -> None:
        """Once; raises what keeps it from being opened."""
        self._use(asyncio.get_running_loop())
        try:
            transport, link = await self.loop.create_unix_connection(
                lambda: _Link(self), self.path)
            self.link = link
            self._transport = transport
            self._greeted = self.loop.create_future()
            transport.write(_resp.request(self._hello()))
            reply = await self._greeted
            if isinstance(reply, _resp.ErrorReply):
                raise reply.exception()
        except BaseException:
            self._drop()
            raise
        self.greeting = reply
        self.set_ready()
        self._on_up()

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        self.link = None
        if transport is not None:
            transport.abort()

    def close(self) -> None:
        self._is_closed = True
        if self._opener is not None:
            self._opener.cancel()
        self._flush()
        if self._transport is not None:
            self._transport.close()
        self._lose("the client was closed")

    async def wait_ready(self) -> None:
        """Until it is up and takes more; opens it again when it has ended."""
        if self.loop is not asyncio.get_running_loop():
            if self._transport is not None:
                raise errors.UsageError(
                    "the client belongs to another event loop")
            self._use(asyncio.get_running_loop())
            self._readiness = None
        while not self.is_ready:
            if self._is_closed:
                raise errors.ClosedError("the client was closed")
            self._start_opening()
            if self._readiness is None or self._readiness.done():
                self._readiness = self.loop.create_future()
            done, _ = await asyncio.wait([self._readiness],
                                         timeout=self._connect_timeout_s)
            if not done and self._transport is None:
                raise errors.ConnectionLostError(
                    f"no connection to {self.path} within "
                    f"{self._connect_timeout_s:g} s: "
                    f"{self._why or 'no answer'}") from self._why

    def set_ready(self) -> None:
        self.is_ready = True
        if self._readiness is not None and not self._readiness.done():
            self._readiness.set_result(None)

    def _start_opening(self) -> None:
        if self._transport is None and (self._opener is None
                                        or self._opener.done()):
            self._opener = self.loop.create_task(
                self._reopen(), name="lockkeeper-connect",
                context=contextvars.Context())

    async def _reopen(self) -> None:
        delay_s = _FIRST_DELAY_S
        while not self._is_closed:
            try:
                await self.open()
                return
            except (OSError, errors.Error) as error:
                self._why = error
                log.debug("no connection to %s: %s", self.path, error)
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, _MAX_DELAY_S)

    def ended(self, exc: Exception | None) -> None:
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_exception(errors.ConnectionLostError(
                f"{self.path} ended the connection before its greeting"))
        else:
            self._lose(f"the connection to {self.path} has ended"
                       + (f": {exc}" if exc else ""))
            # At once: there may be who only listens.
            self._start_opening()

    def _lose(self, why: str) -> None:
        """Each request gets what is true of it."""
        pending, n_sent = self._pending, self._n_sent
        self.generation += 1
        self.is_ready = False
        readiness, opener = self._readiness, self._opener
        self._forget()
        self._readiness, self._opener = readiness, opener
        for tag, (future, may_commit, _) in pending.items():
            if future is None or future.done():
                continue
            if may_commit and int(tag) <= n_sent:
                future.set_exception(errors.OutcomeUnknownError(
                    f"{why}; whether the request was carried out is not "
                    "known"))
            else:
                future.set_exception(errors.ConnectionLostError(
                    f"{why}; nothing of the request was committed"))
        if self._is_closed and readiness and not readiness.done():
            readiness.set_result(None)	# they look and find it closed

    def forked(self) -> None:
        """In the child: the socket stays the parent's, and is not to be
        written to, nor kept open when the parent dies."""
        if self._transport is not None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, self._transport.get_extra_info("socket").fileno())
            os.close(null)
        self.generation += 1
        self.is_ready = False
        self._forget()

    # -- sending

    def post(self, *words: bytes) -> None:
        """A request whose reply does not matter to anybody."""
        self.post_encoded(len(words), _resp.bulks(words))

    def post_encoded(self, n: int, data: bytes) -> None:
        if self._transport is not None:
            self.send(n, b"", data, _IGNORED)

    def send(self, n: int, head: bytes, data: bytes, pending: Pending
             ) -> bytes:
        """A request of n words, which head and data are, encoded.  Its tag."""
        self._serial = number = self._serial + 1
        tag, request = _resp.tagged(number, n, head, data)
        self._pending[tag] = pending
        out = self._out
        if not out:
            self.loop.call_soon(self._flush)
        out.append(request)
        return tag

    def abandon(self, tag: bytes, future: asyncio.Future[Any]) -> None:
        """The task that waited does so no longer."""
        pending = self._pending.get(tag)
        if pending is not None and pending[0] is future:
            self.post(b"CANCEL", tag)

    def _flush(self) -> None:
        out, transport = self._out, self._transport
        if not out or transport is None:
            return
        self._out = []
        self._n_sent = self._serial
        transport.write(b"".join(out))

    # -- receiving

    def received(self, data: bytes) -> None:
        pending = self._pending
        try:
            replies = self._decoder.feed(data)
        except (errors.ProtocolError, ValueError, IndexError):
            log.exception("%s sent what is no reply", self.path)
            self._drop()
            self._lose(f"{self.path} sent what is no reply")
            return
        for value in _resp.settle(pending, replies):
            self._untagged(value)

    def _untagged(self, value: Any) -> None:
        if isinstance(value, _resp.Push):
            try:
                self._on_push(value.kind, value.args)
            except Exception:	# a hook's; the connection has to go on
                log.exception("in a hook of the push %s", value.kind)
        elif self._greeted is not None and not self._greeted.done():
            self._greeted.set_result(value)


_all: weakref.WeakSet[Connection] = weakref.WeakSet()


def _after_fork() -> None:
    for connection in list(_all):
        connection.forked()


os.register_at_fork(after_in_child=_after_fork)
