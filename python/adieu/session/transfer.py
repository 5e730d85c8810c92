"""Files: offered over the control channel, carried by a channel of their own, resumed at the byte.

A reset in the middle is not noticed: the channel replays what was lost, and the words are said again. A transfer that
was cut off by the end of a session leaves a `.part` file, from whose end the next transfer of the same file goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from adieu.errors import SessionClosedError, SessionError, TransferError
from adieu.protocol.control import File, FileOffer
from adieu.session.emitter import Emitter, settle_current

if TYPE_CHECKING:
    from os import PathLike

    from adieu.session.channel import Channel
    from adieu.session.emitter import Handler
    from adieu.session.session import Session

CHUNK = 256 * 1024
PREFIX = "file "
"""Channels whose names begin so belong to transfers."""
MAX_OFFERS = 64
"""Offers of the other side that nobody has answered yet."""
EVENTS = frozenset({"progress"})


class Transfer:
    """A file on its way to the other side; made by `session.send_file()`.

    Attributes:
        name: as the other side is told.
        size: bytes.
        done: bytes that the other side is known to have taken.
    """

    def __init__(self, transfers: Transfers, path: Path, offer: FileOffer) -> None:
        self.id: str = secrets.token_hex(8)
        self.name: str = offer.name
        self.size: int = offer.size
        self.done: int = 0
        self._transfers = transfers
        self._path = path
        self._offer = offer
        loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[int] = loop.create_future()
        self._finished: asyncio.Future[None] = loop.create_future()
        self._finished.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._emitter = Emitter(transfers.session.tasks, EVENTS, f"file {self.name!r}")

    async def wait(self) -> None:
        """Wait until the other side has all of it, checked against its hash.

        Raises:
            TransferError: it was refused, failed, or the session ended; the message says which.

        Cancellation: the transfer goes on.
        """
        settle_current()
        await asyncio.shield(self._finished)

    def cancel(self) -> None:
        """Give it up; the other side is told."""
        if not self._finished.done():
            self._transfers.say(File(id=self.id, failed="cancelled by the sender"))
            self.fail("cancelled")

    def on(self, name: str, handler: Handler) -> Handler:
        """`progress`: called with this transfer when more has arrived there."""
        return self._emitter.on(name, handler)

    @property
    def finished(self) -> bool:
        """Whether it is over, one way or the other."""
        return self._finished.done()

    def fail(self, why: str) -> None:
        """It is over, and did not succeed."""
        if not self._finished.done():
            self._finished.set_exception(TransferError(f"{self.name!r} was not sent: {why}"))
            self._accepted.cancel()

    def say_again(self) -> None:
        """The connection is another: what may have been lost with the old one is said again."""
        if not self._accepted.done():
            self._transfers.say(File(id=self.id, offer=self._offer))

    def heard(self, file: File) -> None:
        """A word of the receiver."""
        if file.accept is not None and not self._accepted.done():
            if file.accept <= self.size:
                self._accepted.set_result(file.accept)
            else:
                self.fail(f"the other side would go on at byte {file.accept} of {self.size}")
        elif file.refuse is not None:
            self.fail(f"refused: {file.refuse}" if file.refuse else "refused")
        elif file.failed is not None:
            self.fail(f"the other side could not keep it: {file.failed}")
        elif file.done and not self._finished.done():
            self.done = self.size
            self._finished.set_result(None)
            self._emitter.emit("progress", self)

    async def run(self) -> None:
        """Offer, wait for the answer, send."""
        self._transfers.say(File(id=self.id, offer=self._offer))
        try:
            offset = await self._accepted
            channel = await self._transfers.session.open(self._offer.channel)
            await self._send(channel, offset)
            await asyncio.shield(self._finished)
        except SessionClosedError:
            self.fail("the session ended")
        except (SessionError, OSError) as error:
            if not self._finished.done():
                self._transfers.say(File(id=self.id, failed=str(error)[:1024]))
            self.fail(str(error))
        except asyncio.CancelledError:
            if not self._finished.done():
                raise

    async def _send(self, channel: Channel, offset: int) -> None:
        with _open(self._path, "rb") as file:
            file.seek(offset)
            position = offset
            while position < self.size and not self._finished.done():
                chunk = await asyncio.to_thread(file.read, min(CHUNK, self.size - position))
                if not chunk:
                    raise TransferError(f"{self._path} became shorter while it was sent")
                await channel.send(chunk)
                position += len(chunk)
                done = max(position - channel.buffered - channel.unacknowledged, offset)
                if done > self.done:
                    self.done = done
                    self._emitter.emit("progress", self)


class IncomingFile:
    """A file that the other side offers; given to the `file` handlers of the session. Accept or refuse it.

    Attributes:
        name: without any folder.
        size: bytes.
        type: its media type, as the sender says; may be empty.
        sha256: hex.
        done: bytes that are here.
    """

    def __init__(self, transfers: Transfers, id_: str, offer: FileOffer) -> None:
        self.id = id_
        self.name: str = _safe(offer.name)
        self.size: int = offer.size
        self.type: str = offer.type
        self.sha256: str = offer.sha256
        self.done: int = 0
        self.answered: bool = False
        self._offset: int | None = None
        self._transfers = transfers
        self._channel = offer.channel
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._over.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._emitter = Emitter(transfers.session.tasks, EVENTS, f"file {self.name!r}")

    def on(self, name: str, handler: Handler) -> Handler:
        """`progress`: called with this file when more of it is here."""
        return self._emitter.on(name, handler)

    def refuse(self, reason: str = "") -> None:
        """Do not take it."""
        self._answer()
        self._transfers.say(File(id=self.id, refuse=reason[:1024]))
        self._transfers.forget(self.id)

    def refuse_unless_answered(self) -> None:
        """The handlers are done with it, and none has answered."""
        if not self.answered:
            self.refuse("nobody took it")

    async def accept(self, to: str | PathLike[str] = ".") -> Path:
        """Take it, and wait until it is here.

        Args:
            to: a folder, or the path of the file. An existing file is never overwritten: the name gets a number.

        Returns:
            Where it is.

        Raises:
            TransferError: it could not be kept, or not all of it came; what is here stays as a `.part` file.

        Cancellation: the sender is told that it failed.
        """
        settle_current()
        self._answer()
        target = Path(to)
        try:
            return await self._receive(target)
        except (OSError, SessionError) as error:
            self._transfers.say(File(id=self.id, failed=str(error)[:1024]))
            if isinstance(error, TransferError):
                raise
            raise TransferError(f"{self.name!r} did not arrive: {error}") from error
        except asyncio.CancelledError:
            self._transfers.say(File(id=self.id, failed="cancelled by the receiver"))
            raise
        finally:
            self._transfers.forget(self.id)

    def _answer(self) -> None:
        if self.answered:
            raise TransferError(f"{self.name!r} was answered already")
        self.answered = True

    async def _receive(self, target: Path) -> Path:
        folder, name = (target, self.name) if await asyncio.to_thread(target.is_dir) else (target.parent, target.name)
        part = folder / f".{name}.{self.sha256[:16]}.part"
        with _open(part, "a+b") as file:
            offset, digest = await asyncio.to_thread(_resume, file, self.size)
            self.done = self._offset = offset
            self._transfers.say(File(id=self.id, accept=offset))
            channel = await self._or_failed(self._transfers.session.open(self._channel))
            while self.done < self.size:
                chunk = await self._or_failed(channel.receive())
                if isinstance(chunk, str) or self.done + len(chunk) > self.size:
                    raise TransferError(f"{self.name!r}: the sender sent something else")
                await asyncio.to_thread(_write, file, digest, chunk)
                self.done += len(chunk)
                self._emitter.emit("progress", self)
        if digest.hexdigest() != self.sha256:
            await asyncio.to_thread(part.unlink)
            raise TransferError(f"{self.name!r} arrived damaged: its hash is not the one announced")
        path = await asyncio.to_thread(_keep, part, folder / name)
        self._transfers.say(File(id=self.id, done=True))
        return path

    async def _or_failed(self, work: Any) -> Any:
        """Wait, unless the sender gives up first."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._over}, return_when=asyncio.FIRST_COMPLETED)
            if self._over.done():
                await self._over
            return await task
        finally:
            task.cancel()

    def heard(self, file: File) -> None:
        """A word of the sender."""
        if file.failed is not None and not self._over.done():
            self._over.set_exception(TransferError(f"{self.name!r} did not arrive: {file.failed}"))

    def say_again(self) -> None:
        """The connection is another: what may have been lost with the old one is said again."""
        if self._offset is not None:
            self._transfers.say(File(id=self.id, accept=self._offset))


class Transfers:
    """All files of one session, both ways."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._out: dict[str, Transfer] = {}
        self._in: dict[str, IncomingFile] = {}
        self._finished: dict[str, None] = {}
        """Files that are here: a sender that asks again is told again."""
        self._free: list[str] = []
        self._made = 0

    def owns(self, channel: str) -> bool:
        """Whether a channel carries files."""
        return channel.startswith(PREFIX)

    def say(self, file: File) -> None:
        """Say a word about a file."""
        if file.done:
            self._finished[file.id] = None
            if len(self._finished) > MAX_OFFERS:
                del self._finished[next(iter(self._finished))]
        self.session.step(lambda now: self.session.machine.say_file(file, now))

    def forget(self, id_: str) -> None:
        """An incoming file is answered for good."""
        self._in.pop(id_, None)

    async def send(self, path: str | PathLike[str], name: str | None, type_: str) -> Transfer:
        """See `Session.send_file`."""
        source = Path(path)
        size, digest = await asyncio.to_thread(_measure, source)
        if self.session.receipt is not None:
            raise SessionClosedError(self.session.receipt.notice, self.session.receipt)
        channel = self._free.pop() if self._free else self._new_channel()
        offer = FileOffer(name=name or source.name, size=size, type=type_, sha256=digest, channel=channel)
        transfer = Transfer(self, source, offer)
        self._out[transfer.id] = transfer
        self.session.tasks.spawn(self._run(transfer, channel), f"sends {transfer.name!r}")
        return transfer

    def _new_channel(self) -> str:
        self._made += 1
        return f"{PREFIX}{self.session.me[:32]} {self._made}"

    async def _run(self, transfer: Transfer, channel: str) -> None:
        try:
            await transfer.run()
        finally:
            del self._out[transfer.id]
            if transfer.done == transfer.size:
                self._free.append(channel)  # nothing is left in it; after a failure something may be

    def said(self, file: File) -> None:
        """A word of the other side."""
        if file.offer is not None:
            self._offered(file.id, file.offer)
        elif (transfer := self._out.get(file.id)) is not None:
            transfer.heard(file)
        elif (incoming := self._in.get(file.id)) is not None:
            incoming.heard(file)

    def _offered(self, id_: str, offer: FileOffer) -> None:
        if id_ in self._finished:
            self.say(File(id=id_, done=True))
        elif (known := self._in.get(id_)) is not None:
            known.say_again()
        elif len(self._in) >= MAX_OFFERS:
            self.say(File(id=id_, refuse="too many files at once"))
        elif not self.session.takes_files:
            self.say(File(id=id_, refuse="nobody takes files here"))
        elif not self.owns(offer.channel):
            self.say(File(id=id_, refuse=f"a file's channel begins with {PREFIX!r}"))
        else:
            incoming = self._in[id_] = IncomingFile(self, id_, offer)
            self.session.tell_file(incoming)

    def reconnected(self) -> None:
        """Another connection carries the session: what may have been lost with the old one is said again."""
        for transfer in self._out.values():
            transfer.say_again()
        for incoming in self._in.values():
            incoming.say_again()
        for id_ in self._finished:
            self.say(File(id=id_, done=True))

    def end(self, why: str) -> None:
        """The session is over."""
        for transfer in list(self._out.values()):
            transfer.fail(f"the session ended: {why}")
        for incoming in list(self._in.values()):
            incoming.heard(File(id=incoming.id, failed=f"the session ended: {why}"))


# --- disk -------------------------------------------------------------------------------------------------------
#
# Reading, writing and hashing are done in a thread. A file is opened and closed here: a task that is cancelled while a
# thread does it would never learn of the handle.


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


def _open(path: Path, mode: Literal["rb", "a+b"]) -> BinaryIO:
    return path.open(mode)


def _resume(file: BinaryIO, size: int) -> tuple[int, Any]:
    """Where an earlier transfer stopped, and the hash up to there."""
    digest = hashlib.sha256()
    file.seek(0, 2)
    if file.tell() > size:
        file.truncate(0)
    file.seek(0)
    while block := file.read(CHUNK):
        digest.update(block)
    return file.tell(), digest


def _write(file: BinaryIO, digest: Any, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _keep(part: Path, target: Path) -> Path:
    """Give the whole file its name; one that is taken gets a number."""
    number, path = 0, target
    while True:
        try:
            path.touch(exist_ok=False)
            break
        except FileExistsError:
            number += 1
            path = target.with_name(f"{target.stem} ({number}){target.suffix}")
    part.replace(path)
    return path


def _safe(name: str) -> str:
    """A name without folders, control characters, or a leading dot."""
    cleaned = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable()).lstrip(".").strip()
    return cleaned[:200] or "file"
