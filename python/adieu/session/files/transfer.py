"""A transfer of this side: the offer, the answers, and the turns, whatever is sent.

A file is offered at once, and hashed chunk by chunk while it is sent (capability `files2`, see `FileOffer`); for a
program of the version before it is hashed first. A reset in the middle is not noticed: the channel replays what was
lost, and the words are said again. A transfer that was cut off leaves a part, from whose end the next transfer of the
same file or folder goes on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from adieu.errors import SessionClosedError, TransferError
from adieu.protocol.control import File, FileOffer
from adieu.session.channel import send_uncopied
from adieu.session.emitter import Emitter, settle_current
from adieu.session.files.desk import AHEAD, seen, unless, words
from adieu.session.receipt import FileReceipt
from adieu.unclosed import where_made

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from adieu.protocol.folders import FolderEntry
    from adieu.session.channel import Channel, Sent
    from adieu.session.emitter import Handler, On, R, Reacts
    from adieu.session.files.desk import Desk

    Pace: TypeAlias = Callable[[int], Awaitable[None]]

EVENTS = frozenset({"progress"})


class Line:
    """The way of a transfer's messages: at its pace, and not too far ahead of the other side.

    Attributes:
        channel: carries them.
        last: the last message.
    """

    def __init__(self, channel: Channel, pace: Pace | None, progress: Callable[[int], None]) -> None:
        self.channel = channel
        self.last: Sent | None = None
        self._pace = pace
        self._progress = progress
        self._under_way: deque[Sent] = deque()

    async def send(self, message: str | bytes | memoryview, position: int | None = None) -> None:
        """Send a message; `position` is the number of the transfer's bytes that are sent with it.

        A memoryview is not copied. Its bytes may change when `AHEAD` more messages are sent: then it is delivered.
        """
        if self._pace is not None:
            await self._pace(len(message))
        if isinstance(message, memoryview):
            self.last = await send_uncopied(self.channel, message)
        else:
            self.last = await self.channel.send(message)
        self._under_way.append(self.last)
        if len(self._under_way) > AHEAD:
            await self._under_way.popleft().delivered()
        if position is not None:
            self._progress(position - self.channel.buffered - self.channel.unacknowledged)


class Cargo(Protocol):
    """Something that a transfer sends: a file, a folder, a stream."""

    size: int
    """Bytes; of a stream those sent so far."""
    files: int | None
    """The number of files, of a folder."""
    key: str
    """Equal only for the same source."""
    entries: tuple[FolderEntry, ...]
    left_out: list[str]
    proofs: dict[str, str]

    async def offer(self, desk: Desk, stopped: Callable[[], bool]) -> dict[str, Any]:
        """Return the members of the offer that tell what is sent."""
        ...

    def may_begin(self, at: int) -> bool:
        """Whether the receiver may ask for it from this byte on."""
        ...

    async def send(self, line: Line, at: int, prove: Callable[[str], None]) -> None:
        """Send it, from a byte on. Before the message after which the receiver is done, tell its proof."""
        ...


class Transfer:
    """A file or a folder on its way to the other side; made by `session.send_file()` and `session.send_folder()`.

    Attributes:
        name: the name that the other side sees.
        size: bytes; of a stream those sent so far.
        done: bytes that the other side has confirmed.
        proof: once it is sent, the SHA-256 over the hashes of its chunks, in hex; the receiver has the same. Of a
            folder it is over its manifest and its files; for a program of the first version, of the file itself.
    """

    def __init__(
        self,
        desk: Desk,
        cargo: Cargo,
        name: str,
        *,
        type_: str = "",
        pace: Pace | None = None,
        before: Transfer | None = None,
    ) -> None:
        self.id: str = secrets.token_hex(8) if before is None else before.id
        self.name: str = name
        self.done: int = 0
        self.proof: str = "" if before is None else before.proof
        self.channel: str = ""
        self.line: Line | None = None
        self.interrupted: bool = False
        """Whether it failed because its session has ended: another session may go on with it."""
        self.was_cut_off: bool = False
        """Whether the close of its session has stopped it."""
        self.where: str = where_made()
        self._type = type_
        self._pace = pace
        self._desk = desk
        self._cargo = cargo
        self._offer: FileOffer | None = None
        loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[int] = loop.create_future()
        self._finished: asyncio.Future[None] = loop.create_future()
        for future in (self._accepted, self._finished):
            future.add_done_callback(seen)
        self._emitter = Emitter(desk.shell.tasks, EVENTS, f"file {self.name!r}")

    @property
    def size(self) -> int:  # noqa: D102 see the class
        return self._cargo.size

    @property
    def is_stream(self) -> bool:
        """Whether its size is not known before its end."""
        return self._offer is not None and self._offer.stream

    @property
    def entries(self) -> tuple[FolderEntry, ...]:
        """List the files and folders in a folder; each folder comes before those in it. Empty for a file."""
        return self._cargo.entries

    @property
    def left_out(self) -> list[str]:
        """List the paths of links, devices and unreadable things in a folder, which are not sent."""
        return self._cargo.left_out

    @property
    def proofs(self) -> dict[str, str]:
        """Return path to proof for each file of a folder that was sent; see `proof`."""
        return self._cargo.proofs

    async def wait(self) -> None:
        """Wait until the other side has all of it, checked against its hash.

        Raises:
            TransferError: it was refused, failed, or the session ended; the message says which.

        Cancellation: the transfer goes on.
        """
        settle_current()
        await asyncio.shield(self._finished)

    def cancel(self) -> None:
        """Cancel the transfer, and notify the other side."""
        self._give_up("cancelled", "cancelled by the sender")

    @overload
    def on(self, name: Literal["progress"]) -> On[Transfer]: ...
    @overload
    def on(self, name: Literal["progress"], handler: Reacts[Transfer, R]) -> Reacts[Transfer, R]: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler, or decorate one. `progress`: called with this transfer when more has arrived there."""
        return self._emitter.on(name) if handler is None else self._emitter.on(name, handler)

    @property
    def finished(self) -> bool:
        """Whether it is over, one way or the other."""
        return self._finished.done()

    def fail(self, why: str) -> None:
        """End the transfer as failed."""
        if not self._finished.done():
            error = TransferError(f"{self.name!r} was not sent: {why}")
            error.recording = self._desk.shell.recorder
            self.interrupted = self._desk.shell.machine.state == "closed"
            self._finished.set_exception(error)
            if not self._accepted.done():
                self._accepted.set_exception(error)

    def _give_up(self, why: str, told: str) -> None:
        if not self._finished.done() and self._offer is not None:
            self._desk.say(File(id=self.id, failed=told))
        self.fail(why)

    def say_again(self) -> None:
        """The connection is another: what may have been lost with the old one is said again."""
        if not self._accepted.done() and self._offer is not None:
            self._desk.say(File(id=self.id, offer=self._offer))

    def heard(self, file: File) -> None:
        """A word of the receiver."""
        if file.accept is not None and not self._accepted.done():
            self._may_begin(file.accept)
        elif file.refuse is not None:
            self.fail(f"refused: {file.refuse}" if file.refuse else "refused")
        elif file.failed is not None:
            self.fail(f"the other side could not save it: {file.failed}")
        elif file.done and self._offer is not None and not self._finished.done():
            self._arrived(file, self._offer)

    def _may_begin(self, at: int) -> None:
        if self._cargo.may_begin(at):
            self._accepted.set_result(at)
        else:
            self._give_up(f"the other side would go on at byte {at} of {self.size}", f"no byte to go on at: {at}")

    def _arrived(self, file: File, offer: FileOffer) -> None:
        if offer.chunk is None and self._accepted.done() and self._accepted.result() == self.size:
            self.proof = offer.sha256  # it had all of it already
        if not self.proof or (offer.chunk is not None and file.proof != self.proof):
            self.fail("the other side reports a file with another hash")
            return
        self.done = self.size
        self._finished.set_result(None)
        self._desk.record(FileReceipt(self.name, self.size, self.proof, sent=True, files=self._cargo.files))

        self._emitter.emit("progress", self)

    async def run(self) -> None:
        """Wait for a turn, offer, wait for the answer, send."""
        session = self._desk.session
        try:
            await session.wait_open()
            async with self._desk.offering:
                if not self._finished.done():
                    await self._run()
                    await self.free_channel()
        except asyncio.CancelledError:
            self.fail("it was cancelled with its session")
            self.interrupted = True
            raise
        except SessionClosedError:
            self.was_cut_off = not self.finished
            self.fail("the session ended")
            self.interrupted = True
        except Exception as error:  # noqa: BLE001 who waits for the transfer is told, whatever it died of
            self._give_up(words(error), words(error))

    async def _run(self) -> None:
        self.channel = self._desk.take_channel()
        about = await self._cargo.offer(self._desk, self._finished.done)
        if self._finished.done():
            return
        self._offer = FileOffer(name=self.name, type=self._type, channel=self.channel, **about)
        self._desk.say(File(id=self.id, offer=self._offer))
        answers: set[asyncio.Future[Any]] = {self._accepted, self._finished}
        await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        if self._finished.done():
            return
        offset = await self._accepted
        async with self._desk.sending:
            if self._finished.done():
                return
            channel = await self._desk.session.open(self.channel)
            self.line = Line(channel, self._pace, lambda position: self._progress(max(position, offset)))
            await unless(self._finished, self._cargo.send(self.line, offset, self._prove))
        await asyncio.shield(self._finished)

    def _prove(self, proof: str) -> None:
        self.proof = proof

    async def free_channel(self) -> None:
        """When nothing of this transfer is left in its channel, another may use it."""
        name, self.channel = self.channel, ""
        await self._desk.empty(name, None if self.line is None else self.line.last)

    def _progress(self, done: int) -> None:
        if done > self.done:
            self.done = done
            if self._emitter.has("progress"):  # a turn of the event loop for every piece is much
                self._emitter.emit("progress", self)
