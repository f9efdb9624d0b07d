"""LISTEN and NOTIFY: SUBSCRIBE once for each channel that anybody hears."""
from __future__ import annotations

import asyncio
import collections
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _resp, _words
from ._tasks import task_now, word_of
from ._words import Request

if TYPE_CHECKING:
    from ._core import Core

_MAX_WAITING = 10000


class Message(NamedTuple):
    """is_missed: something was published that did not come, or may have been;
    look for yourself what has changed.  Then the payload says why."""
    channel: str
    payload: str
    is_missed: bool = False


class Subscription:
    """`async for message in lk.subscribe("orders")`.  Hears from its first
    `async for` or `async with` on; ends with the block, with aclose(), or when
    nobody has it any more."""

    def __init__(self, hub: Hub, channels: tuple[str, ...]) -> None:
        self._hub = hub
        self.channels = channels
        self._waiting: collections.deque[Message] = collections.deque()
        self._wake: asyncio.Future[None] | None = None
        self._is_heard = False
        self._is_closed = False

    def put(self, message: Message) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.clear()
            message = Message(message.channel, "more was published than was "
                              "taken", True)
        self._waiting.append(message)
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def start(self) -> Subscription:
        """Return when everything that is published from now on will come."""
        if not self._is_heard:
            self._is_heard = True
            await self._hub.add(self)
        return self

    async def __aenter__(self) -> Subscription:
        return await self.start()

    async def __aexit__(self, kind: type[BaseException] | None,
                        error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._is_closed = True
        self._hub.remove(self)
        self._notify()

    async def aclose(self) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        await self.start()
        while not self._waiting:
            if self._is_closed:
                raise StopAsyncIteration
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self._waiting.popleft()


class Hub:
    """Of a client: who hears what."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._heard: dict[str, weakref.WeakSet[Subscription]] = {}
        core.push_hooks.setdefault("message", []).append(self._message)
        core.push_hooks.setdefault("missed", []).append(self._missed)
        core.up_hooks.append(self._again)

    async def add(self, subscription: Subscription) -> None:
        for channel in subscription.channels:
            self._heard.setdefault(channel, weakref.WeakSet()).add(
                subscription)
        weakref.finalize(subscription, self._garbage,
                         asyncio.get_running_loop())
        try:
            # Also for those that others hear: theirs may not be confirmed.
            reply = await self._core.exchange(
                self._core.connection, 1, word_of(task_now()), Request(
                    ["SUBSCRIBE", *subscription.channels], _words.nothing),
                False)
            if isinstance(reply, _resp.ErrorReply):
                raise reply.exception()
            # An end that came before this has not ended it.
            self._end(subscription.channels)
        except BaseException:
            self.remove(subscription)
            raise

    def remove(self, subscription: Subscription) -> None:
        for channel in subscription.channels:
            self._heard.get(channel, weakref.WeakSet()).discard(subscription)
        self._prune()

    def _garbage(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._prune)

    def _prune(self) -> None:
        self._end(tuple(self._heard))

    def _end(self, channels: tuple[str, ...]) -> None:
        """Those of them that nobody hears any more."""
        gone = [channel for channel in channels
                if not self._heard.get(channel)]
        for channel in gone:
            self._heard.pop(channel, None)
        if gone:
            self._core.connection.post(
                b"UNSUBSCRIBE", *(channel.encode() for channel in gone))

    def _message(self, channel: bytes, payload: bytes) -> None:
        name = channel.decode()
        for subscription in list(self._heard.get(name, ())):
            subscription.put(Message(name, payload.decode()))

    def _missed(self, told: dict[str, Any]) -> None:
        self._tell_missed(told["channels"], told["text"])

    def _tell_missed(self, channels: list[str], text: str) -> None:
        for channel in channels:
            for subscription in list(self._heard.get(channel, ())):
                subscription.put(Message(channel, text, True))

    def _again(self) -> None:
        """The connection is another one."""
        channels = list(self._heard)
        if channels:
            self._core.connection.post(
                b"SUBSCRIBE", *(channel.encode() for channel in channels))
            self._tell_missed(channels, "the connection was lost meanwhile")
