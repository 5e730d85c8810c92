"""The part that all files and folders of a session share: words, channels, turns, receipts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from adieu.errors import SessionError
from adieu.protocol.control import FILE_CHANNEL, File
from adieu.protocol.text import sendable
from adieu.protocol.words import MAX_TEXT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from adieu.session.channel import Channel, Sent
    from adieu.session.receipt import FileReceipt
    from adieu.session.shell import Shell

T = TypeVar("T")
AHEAD = 8
"""Messages of a transfer that are handed to the channel before the other side has taken them."""
BATCH = 4
"""Messages that are handed to a thread at once, if they are there."""
MAX_OFFERED = 32
"""Offers of this side that are not over; those beyond wait for one to end. Less than the other side takes."""
MAX_SENDING = 8
"""Files of this side under way at once."""
MAX_FINAL = 128
"""Last words that are kept, to be said again on a new connection."""
MAX_RECORDS = 1000
"""Files and folders that the receipt names."""
MAX_DONE = 1000
"""Files and folders that arrived in this process: a sender that asks in a later session gets the answer again."""
DONE: OrderedDict[str, File] = OrderedDict()
"""The last words of those, by id."""


class TransferSession(Protocol):
    """The members of the `Session` that transfers use; the rest comes from its shell."""

    async def wait_open(self) -> None: ...  # noqa: D102
    async def open(self, name: str) -> Channel: ...  # noqa: D102


class Desk:
    """The part of a session's transfers that each of them uses."""

    def __init__(self, shell: Shell, session: TransferSession) -> None:
        self.shell = shell
        self.session = session
        self.offering: asyncio.Semaphore = asyncio.Semaphore(MAX_OFFERED)
        self.sending: asyncio.Semaphore = asyncio.Semaphore(MAX_SENDING)
        self.final: dict[str, File] = {}
        """The last control messages about ended files, so that a sender that asks again gets the same answer."""
        self._arrived: deque[FileReceipt] = deque(maxlen=MAX_RECORDS)
        self._drains: dict[str, asyncio.Task[None]] = {}
        self._free: list[str] = []
        self._made = 0

    def can(self, capability: str) -> bool:
        """Whether both sides have it."""
        return capability in self.shell.machine.capabilities

    def say(self, file: File) -> None:
        """Say a word about a file; its text is made sayable."""
        if file.failed is not None or file.refuse is not None:
            file = File(id=file.id, failed=_sayable(file.failed), refuse=_sayable(file.refuse))
        if file.offer is None and file.accept is None:
            self.final[file.id] = file
            if len(self.final) > MAX_FINAL:
                del self.final[next(iter(self.final))]
        if file.done:
            DONE[file.id] = file
            if len(DONE) > MAX_DONE:
                DONE.popitem(last=False)
        self.shell.step(lambda now: self.shell.machine.say_file(file, now))

    def record(self, file: FileReceipt) -> None:
        """A file arrived whole."""
        self._arrived.append(file)

    @property
    def arrived(self) -> tuple[FileReceipt, ...]:
        """The last that arrived whole, for the receipt."""
        return tuple(self._arrived)

    def take_channel(self) -> str:
        """A channel that nothing else uses at the moment."""
        if self._free:
            return self._free.pop()
        self._made += 1
        return f"{FILE_CHANNEL}{self.shell.machine.me[:32]} {self._made}"

    async def empty(self, name: str, last: Sent | None) -> None:
        """When nothing is left in a channel of this side, another transfer may use it."""
        if name:
            with suppress(SessionError):
                if last is not None:
                    await last.delivered()
                self._free.append(name)

    def drain(self, name: str) -> None:
        """Discard the rest of an unwanted file."""
        if self.shell.receipt is None and name not in self._drains:
            self._drains[name] = self.shell.tasks.spawn(self._drain(name), f"empties channel {name!r}")

    async def _drain(self, name: str) -> None:
        with suppress(SessionError):
            channel = await self.session.open(name)
            while True:
                await channel.receive()

    async def stop_draining(self, name: str) -> None:
        """Another file comes over this channel."""
        if (task := self._drains.pop(name, None)) is not None:
            await stop(task)


async def unless(over: asyncio.Future[Any], work: Coroutine[Any, Any, None]) -> None:
    """Do it, unless the other side ends it before."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(seen)
    try:
        await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        await stop(task)


async def ahead(work: Callable[[], T | None]) -> AsyncGenerator[T, None]:
    """Yield what `work` returns, until it returns None. It is called in a thread, once more than was asked for."""
    working = _start(work)
    try:
        while (result := await working) is not None:
            working = _start(work)
            yield result
    finally:
        await stop(working)


def _start(work: Callable[[], T | None]) -> asyncio.Task[T | None]:
    task = asyncio.create_task(asyncio.to_thread(work))
    task.add_done_callback(seen)
    return task


async def stop(task: asyncio.Future[Any]) -> None:
    """Cancel it, and wait until it has ended."""
    task.cancel()
    await asyncio.wait({task})


def words(error: BaseException) -> str:
    """Return the text of an error for people."""
    return str(error) or type(error).__name__


def seen(future: asyncio.Future[Any]) -> None:
    """Retrieve the exception, because nobody may wait for it."""
    if not future.cancelled():
        future.exception()


def _sayable(text: str | None) -> str | None:
    return None if text is None else sendable(text, MAX_TEXT)
