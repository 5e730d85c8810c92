"""Files: offered over the control channel, carried by a channel of their own, proved piece by piece.

A file is offered at once, and hashed chunk by chunk while it is sent (capability `files2`, see `FileOffer`); for a
program of the version before it is hashed first. A reset in the middle is not noticed: the channel replays what was
lost, and the words are said again. A transfer that was cut off leaves a `.part` file, from whose end the next transfer
of the same file goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adieu.errors import SessionClosedError, SessionError, TransferError
from adieu.protocol.control import CHUNK, HASH, MAX_FILE_TEXT, MIN_CHUNK, File, FileOffer
from adieu.protocol.text import checked, sendable
from adieu.protocol.words import MAX_TEXT
from adieu.session import disk, names
from adieu.session.emitter import Emitter, settle_current
from adieu.session.receipt import FileReceipt

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from os import PathLike

    from adieu.session.channel import Channel, Sent
    from adieu.session.emitter import Handler
    from adieu.session.shell import Shell

PIECE = 256 * 1024
"""Bytes of a message, where a file is not proved by chunks."""
PREFIX = "file "
"""Channels whose names begin so belong to transfers."""
MAX_OFFERS = 64
"""Offers of the other side that are not over."""
MAX_OFFERED = 32
"""Offers of this side that are not over; those beyond wait for one to end. Less than the other side takes."""
MAX_SENDING = 8
"""Files of this side under way at once."""
BATCH = 4
"""Messages that are handed to a thread at once, if they are there."""
AHEAD = 8
"""Messages of a file that are read before the other side has taken them."""
MAX_FINAL = 128
"""Last words that are kept, to be said again on a new connection."""
MAX_RECORDS = 1000
"""Files that the receipt names."""
SENDER_EVENTS = frozenset({"progress"})
RECEIVER_EVENTS = frozenset({"progress", "withdrawn"})


class TransferSession(Protocol):
    """The members of the `Session` that transfers use; the rest comes from its shell."""

    async def wait_open(self) -> None: ...  # noqa: D102
    async def open(self, name: str) -> Channel: ...  # noqa: D102


class Transfer:
    """A file on its way to the other side; made by `session.send_file()`.

    Attributes:
        name: the name that the other side sees.
        size: bytes.
        done: bytes that the other side has confirmed.
        proof: once it is sent, the SHA-256 over the hashes of its chunks, in hex; the receiver has the same. For a
        program of the previous version it is the SHA-256 of the file itself.
    """

    def __init__(self, transfers: Transfers, source: disk.Source, name: str, type_: str) -> None:
        self.id: str = secrets.token_hex(8)
        self.name: str = name
        self.size: int = source.size
        self.done: int = 0
        self.proof: str = ""
        self.channel: str = ""
        self.last: Sent | None = None
        """The last message over the channel."""
        self._type = type_
        self._transfers = transfers
        self._source = source
        self._offer: FileOffer | None = None
        loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[int] = loop.create_future()
        self._finished: asyncio.Future[None] = loop.create_future()
        for future in (self._accepted, self._finished):
            future.add_done_callback(_seen)
        self._emitter = Emitter(transfers.shell.tasks, SENDER_EVENTS, f"file {self.name!r}")

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

    def on(self, name: str, handler: Handler) -> Handler:
        """`progress`: called with this transfer when more has arrived there."""
        return self._emitter.on(name, handler)

    @property
    def finished(self) -> bool:
        """Whether it is over, one way or the other."""
        return self._finished.done()

    def fail(self, why: str) -> None:
        """End the transfer as failed."""
        if not self._finished.done():
            error = TransferError(f"{self.name!r} was not sent: {why}")
            self._finished.set_exception(error)
            if not self._accepted.done():
                self._accepted.set_exception(error)

    def _give_up(self, why: str, told: str) -> None:
        if not self._finished.done() and self._offer is not None:
            self._transfers.say(File(id=self.id, failed=told))
        self.fail(why)

    def say_again(self) -> None:
        """The connection is another: what may have been lost with the old one is said again."""
        if not self._accepted.done() and self._offer is not None:
            self._transfers.say(File(id=self.id, offer=self._offer))

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
        chunk = self._offer.chunk if self._offer is not None else None
        if at > self.size or (chunk is not None and at % chunk and at != self.size):
            self._give_up(f"the other side would go on at byte {at} of {self.size}", f"no byte to go on at: {at}")
        else:
            self._accepted.set_result(at)

    def _arrived(self, file: File, offer: FileOffer) -> None:
        if offer.chunk is None and self._accepted.done() and self._accepted.result() == self.size:
            self.proof = offer.sha256  # it had all of it already
        if not self.proof or (offer.chunk is not None and file.proof != self.proof):
            self.fail("the other side reports a file with another hash")
            return
        self.done = self.size
        self._finished.set_result(None)
        self._transfers.record(FileReceipt(self.name, self.size, self.proof, sent=True))

        self._emitter.emit("progress", self)

    async def run(self) -> None:
        """Wait for a turn, offer, wait for the answer, send."""
        session = self._transfers.session
        try:
            await session.wait_open()
            async with self._transfers.offering:
                if not self._finished.done():
                    await self._run(session)
                    await self._transfers.empty(self)
        except asyncio.CancelledError:
            self.fail("it was cancelled with its session")
            raise
        except SessionClosedError:
            self.fail("the session ended")
        except Exception as error:  # noqa: BLE001 who waits for the transfer is told, whatever it died of
            self._give_up(_words(error), _words(error))

    async def _run(self, session: TransferSession) -> None:
        self.channel = self._transfers.take_channel()
        offer = await self._make_offer()
        if self._finished.done():
            return
        self._offer = offer
        self._transfers.say(File(id=self.id, offer=offer))
        offset = await self._accepted
        async with self._transfers.sending:
            if self._finished.done():
                return
            channel = await session.open(self.channel)
            file = self._source.open()
            try:
                if offer.chunk is None:
                    work = self._send_bytes(channel, file, offset, offer.sha256)
                else:
                    work = self._send_chunks(channel, file, offset, offer.chunk)
                await _unless(self._finished, work)
            finally:
                if file is not None:
                    file.close()
        await asyncio.shield(self._finished)

    async def _make_offer(self) -> FileOffer:
        machine = self._transfers.shell.machine
        chunk = min(CHUNK, machine.options.max_message - HASH)
        offer: dict[str, Any] = {"name": self.name, "size": self.size, "type": self._type, "channel": self.channel}
        if "files2" in machine.capabilities and chunk >= MIN_CHUNK:
            return FileOffer(**offer, chunk=chunk, key=self._source.key)
        file = self._source.open()
        try:
            digest = await asyncio.to_thread(self._source.whole, file, self._finished.done)
        finally:
            if file is not None:
                file.close()
        return FileOffer(**offer, sha256=digest)

    async def _send_chunks(self, channel: Channel, file: Any, offset: int, chunk: int) -> None:
        first = -(-offset // chunk)
        hashes: list[bytes] = []
        under_way: deque[Sent] = deque()
        count = -(-self.size // chunk)
        batches = (range(index, min(index + BATCH, count)) for index in range(first, count, BATCH))
        reading = self._read_soon(file, next(batches, None), chunk)
        try:
            while reading is not None:
                messages = await reading
                reading = self._read_soon(file, next(batches, None), chunk)  # while these are sent
                for at, message in messages:
                    hashes.append(message[-HASH:])
                    await self._send(channel, message, under_way)
                    self._progress(channel, min((at + 1) * chunk, self.size), offset)
        finally:
            if reading is not None:
                await _stop(reading)
        proof = hashlib.sha256()
        for index in range(first):  # what the other side had already is proved with the rest
            proof.update(await asyncio.to_thread(self._source.skip, file, index, chunk))
        for each in hashes:
            proof.update(each)
        self.proof = proof.hexdigest()
        await self._send(channel, proof.digest(), under_way)

    def _read_soon(self, file: Any, some: range | None, chunk: int) -> asyncio.Task[list[tuple[int, bytes]]] | None:
        """Start to read some chunks in a thread: each with its index, and its hash after it. None: no chunk is left."""
        if some is None:
            return None
        task = asyncio.create_task(asyncio.to_thread(self._source.chunks, file, some, chunk))
        task.add_done_callback(_seen)
        return task

    async def _send_bytes(self, channel: Channel, file: Any, offset: int, sha256: str) -> None:
        under_way: deque[Sent] = deque()
        piece = min(PIECE, self._transfers.shell.machine.options.max_message)
        for at in range(offset, self.size, piece):
            data = await asyncio.to_thread(self._source.read, file, at, piece)
            if at + len(data) == self.size:
                self.proof = sha256
            await self._send(channel, data, under_way)
            self._progress(channel, at + len(data), offset)

    async def _send(self, channel: Channel, message: bytes, under_way: deque[Sent]) -> None:
        self.last = await channel.send(message)
        under_way.append(self.last)
        if len(under_way) > AHEAD:
            await under_way.popleft().delivered()

    def _progress(self, channel: Channel, position: int, offset: int) -> None:
        done = max(position - channel.buffered - channel.unacknowledged, offset)
        if done > self.done:
            self.done = done
            _tell(self._emitter, self)


class IncomingFile:
    """A file that the other side offers; given to the `file` handlers of the session. Accept or refuse it.

    It is refused when nobody has answered ten seconds after it was offered (`Options.file_patience`), no handler is
    at it, and it is not held.

    Attributes:
        name: without any folder, fit for any disk.
        size: bytes.
        type: its media type, as the sender says; may be empty.
        sha256: hex; only where the sender's program is of the version before, else empty.
        proof: once it is here, the SHA-256 over the hashes of its chunks (or `sha256`), hex; the sender has the same.
        done: bytes that are here.
        answered: whether it was accepted or refused.
    """

    def __init__(self, transfers: Transfers, id_: str, offer: FileOffer) -> None:
        self.id = id_
        self.name: str = names.safe(offer.name)
        self.size: int = offer.size
        self.type: str = offer.type
        self.sha256: str = offer.sha256
        self.channel: str = offer.channel
        self.proof: str = ""
        self.done: int = 0
        self.answered: bool = False
        self._offer = offer
        self._offset: int | None = None
        self._wanted: str = offer.sha256
        """The proof that is to come out."""
        self._transfers = transfers
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = loop.create_future()
        self._over.add_done_callback(_seen)
        self._emitter = Emitter(transfers.shell.tasks, RECEIVER_EVENTS, f"file {self.name!r}")
        self._held = False
        self._told = False
        self._handled = False
        self._patience: asyncio.TimerHandle | None = loop.call_later(
            transfers.shell.machine.options.file_patience, self._waited
        )

    def on(self, name: str, handler: Handler) -> Handler:
        """Add a handler: it is called with this file.

        `progress`: more of it is here. `withdrawn`: the sender has given up, or the session has ended, before it was
        answered.
        """
        return self._emitter.on(name, handler)

    def hold(self) -> None:
        """The answer comes later, when a person has been asked: the handlers may return without one."""
        self._held = True

    def refuse(self, reason: str = "") -> None:
        """Do not take it.

        Raises:
            TransferError: it was answered already.
        """
        self._answer()
        if not self._over.done():
            self._transfers.say(File(id=self.id, refuse=reason))
        self._transfers.forget(self.id)

    def tell(self) -> None:
        """Have the handlers of the session look at it, if there are any and they have not."""
        emitter = self._transfers.shell.emitter
        if emitter.has("file") and not self._told and not self.answered:
            self._told = True
            emitter.emit("file", self, self._looked_at)

    def _looked_at(self) -> None:
        self._handled = True
        self._refuse_if_late()

    def _waited(self) -> None:
        self._patience = None
        self._refuse_if_late()

    def _refuse_if_late(self) -> None:
        """Nobody has answered in time, and nobody is at it."""
        if self._patience is None and not self.answered and not self._held and self._told == self._handled:
            self.refuse("no handler accepted it" if self._told else "no handler for files on this side")

    async def accept(self, to: str | PathLike[str] = ".") -> Path:
        """Accept the file, and wait until it is complete.

        Args:
            to: a folder, or the path of the file. An existing file is never overwritten: the name gets a number.

        Returns:
            The path of the file. Its bytes are verified, and from this transfer alone.

        Raises:
            TransferError: the file could not be saved, or did not arrive completely. The received part stays as a
            `.part` file.

        Cancellation: the sender sees that the transfer failed.
        """
        settle_current()
        target = Path(to)
        if self._over.done():
            await self._over
        self._answer()
        try:
            return await self._receive(target)
        except asyncio.CancelledError:
            self._fail("cancelled by the receiver")
            raise
        except Exception as error:
            self._fail(_words(error))
            if isinstance(error, TransferError):
                raise
            raise TransferError(f"{self.name!r} did not arrive: {_words(error)}") from error
        finally:
            self._transfers.forget(self.id)

    def _answer(self) -> None:
        if self.answered:
            raise TransferError(f"{self.name!r} was answered already")
        self.answered = True
        self.stop_waiting()

    def stop_waiting(self) -> None:
        """Note that the offer needs no answer now."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _fail(self, why: str) -> None:
        if not self._over.done():
            self._transfers.say(File(id=self.id, failed=why))
        if self._offset is not None:
            self._transfers.drain(self.channel)

    async def _receive(self, target: Path) -> Path:
        chunk = self._offer.chunk
        folder, name = (target, self.name) if await asyncio.to_thread(target.is_dir) else (target.parent, target.name)
        part = disk.Part(folder, name, (self._offer.key or self.sha256)[:16])
        try:
            found = part.found(self.size, chunk or 1)
            while part.size < found:
                await asyncio.to_thread(part.rehash, found, chunk)
            self.done = found
            await self._transfers.stop_draining(self.channel)
            self._offset = found
            self._transfers.say(File(id=self.id, accept=found))
            await _unless(self._over, self._take(part, chunk))
            if self.over:
                await self._over
            wanted = self._wanted
            if part.proof != wanted:
                part.drop()
                raise TransferError(f"{self.name!r} arrived damaged: its hash is not the one announced")
            path = part.keep()
        finally:
            part.close()
        self.proof = wanted
        self._transfers.say(File(id=self.id, done=True, proof=None if chunk is None else wanted))
        self._transfers.record(FileReceipt(self.name, self.size, wanted, sent=False))

        return path

    async def _take(self, part: disk.Part, chunk: int | None) -> None:
        """All that comes."""
        channel = await self._transfers.session.open(self.channel)
        while self.done < self.size:
            messages = await self._some(channel, self.size - self.done)
            await asyncio.to_thread(part.add_all, messages, self.size, chunk)
            self.done = part.size
            _tell(self._emitter, self)
        if chunk is not None:
            self._wanted = self._of_a_file(await channel.receive()).hex()

    async def _some(self, channel: Channel, missing: int) -> list[bytes]:
        """Return the next message and the queued ones after it, at most as many bytes as the file still needs."""
        messages = [self._of_a_file(await channel.receive())]
        taken = len(messages[0])
        while taken < missing and len(messages) < BATCH and (message := channel.receive_now()) is not None:
            messages.append(self._of_a_file(message))
            taken += len(message)
        return messages

    def _of_a_file(self, message: str | bytes) -> bytes:
        if isinstance(message, str):
            raise TransferError(f"{self.name!r}: the sender sent something else")
        return message

    @property
    def over(self) -> bool:
        """Whether the sender has given up."""
        return self._over.done()

    def heard(self, file: File) -> None:
        """A word of the sender."""
        if file.failed is None or self._over.done():
            return
        self._over.set_exception(TransferError(f"{self.name!r} did not arrive: {file.failed}"))
        if not self.answered:
            self.stop_waiting()
            self._transfers.forget(self.id)
            self._emitter.emit("withdrawn", self)

    def say_again(self) -> None:
        """The connection is another: what may have been lost with the old one is said again."""
        if self._offset is not None:
            self._transfers.say(File(id=self.id, accept=self._offset))


class Transfers:
    """All files of one session, both ways."""

    def __init__(self, shell: Shell, session: TransferSession) -> None:
        self.shell = shell
        self.session = session
        self.offering: asyncio.Semaphore = asyncio.Semaphore(MAX_OFFERED)
        self.sending: asyncio.Semaphore = asyncio.Semaphore(MAX_SENDING)
        self._out: dict[str, Transfer] = {}
        self._in: dict[str, IncomingFile] = {}
        self._final: dict[str, File] = {}
        """The last control messages about ended files, so that a sender that asks again gets the same answer."""
        self._arrived: deque[FileReceipt] = deque(maxlen=MAX_RECORDS)
        self._drains: dict[str, asyncio.Task[None]] = {}
        self._free: list[str] = []
        self._made = 0

    def owns(self, channel: str) -> bool:
        """Whether a channel carries files."""
        return channel.startswith(PREFIX)

    def say(self, file: File) -> None:
        """Say a word about a file; its text is made sayable."""
        if file.failed is not None or file.refuse is not None:
            file = File(id=file.id, failed=_sayable(file.failed), refuse=_sayable(file.refuse))
        if file.offer is None and file.accept is None:
            self._final[file.id] = file
            if len(self._final) > MAX_FINAL:
                del self._final[next(iter(self._final))]
        self.shell.step(lambda now: self.shell.machine.say_file(file, now))

    def record(self, file: FileReceipt) -> None:
        """A file arrived whole."""
        self._arrived.append(file)

    @property
    def arrived(self) -> tuple[FileReceipt, ...]:
        """The last that arrived whole, for the receipt."""
        return tuple(self._arrived)

    def forget(self, id_: str) -> None:
        """An incoming file is answered for good."""
        self._in.pop(id_, None)

    async def send(self, path: str | PathLike[str], name: str | None, type_: str) -> Transfer:
        """See `Session.send_file`."""
        place = Path(path)
        type_ = checked("a file's type", type_, 0, MAX_FILE_TEXT)
        if name is None:  # a name on a disk may be no text at all; what can be said of it is said
            name = sendable(place.name, MAX_FILE_TEXT) or names.NO_NAME
        name = checked("a file's name", name, 1, MAX_FILE_TEXT)
        source = await asyncio.to_thread(disk.source, place)
        if (receipt := self.shell.receipt) is not None:
            raise SessionClosedError(receipt.notice, receipt)
        transfer = Transfer(self, source, name, type_)
        self._out[transfer.id] = transfer
        self.shell.tasks.spawn(self._run(transfer), f"sends {transfer.name!r}")
        return transfer

    def take_channel(self) -> str:
        """A channel that nothing else uses at the moment."""
        if self._free:
            return self._free.pop()
        self._made += 1
        return f"{PREFIX}{self.shell.machine.me[:32]} {self._made}"

    async def _run(self, transfer: Transfer) -> None:
        try:
            await transfer.run()
        finally:
            del self._out[transfer.id]
        await self.empty(transfer)  # after a failure: who receives no more still takes what comes

    async def empty(self, transfer: Transfer) -> None:
        """When nothing of this transfer is left in its channel, another may use it."""
        name, transfer.channel = transfer.channel, ""
        if name:
            with suppress(SessionError):
                if transfer.last is not None:
                    await transfer.last.delivered()
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
            await _stop(task)

    def said(self, file: File) -> None:
        """A word of the other side."""
        if file.offer is not None:
            self._offered(file.id, file.offer)
        elif (transfer := self._out.get(file.id)) is not None:
            transfer.heard(file)
        elif (incoming := self._in.get(file.id)) is not None:
            incoming.heard(file)

    def _offered(self, id_: str, offer: FileOffer) -> None:
        if (final := self._final.get(id_)) is not None:
            self.say(final)
        elif (known := self._in.get(id_)) is not None:
            known.say_again()
        elif why := self._unwanted(offer):
            self.say(File(id=id_, refuse=why))
        else:
            incoming = self._in[id_] = IncomingFile(self, id_, offer)
            incoming.tell()

    def _unwanted(self, offer: FileOffer) -> str:
        """Why an offer is refused before anybody looks at it."""
        most = self.shell.machine.options.max_message
        if len(self._in) >= MAX_OFFERS:
            return "too many files at once"
        if not self.owns(offer.channel):
            return f"a file's channel begins with {PREFIX!r}"
        if any(each.channel == offer.channel and not each.over for each in self._in.values()):
            return f"channel {offer.channel!r} carries another file"
        if (offer.chunk is None) == (not offer.sha256) or (offer.chunk is None) != (not offer.key):
            return "an offer needs a hash, or the size of its chunks and a key"
        if offer.chunk is not None and offer.chunk + HASH > most:
            return f"its chunks have {offer.chunk} bytes; this side accepts messages of {most}"
        return ""

    def handler_added(self) -> None:
        """Somebody handles files now: those that wait are shown."""
        for incoming in list(self._in.values()):
            incoming.tell()

    def reconnected(self) -> None:
        """Another connection carries the session: what may have been lost with the old one is said again."""
        for transfer in self._out.values():
            transfer.say_again()
        for incoming in self._in.values():
            incoming.say_again()
        for final in list(self._final.values()):
            self.say(final)

    def end(self, why: str) -> None:
        """The session is over."""
        for transfer in list(self._out.values()):
            transfer.fail(f"the session ended: {why}")
        for incoming in list(self._in.values()):
            incoming.heard(File(id=incoming.id, failed=f"the session ended: {why}"))


async def _unless(over: asyncio.Future[Any], work: Coroutine[Any, Any, None]) -> None:
    """Do it, unless the other side ends it before."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_seen)
    try:
        await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        await _stop(task)


async def _stop(task: asyncio.Future[Any]) -> None:
    """Cancel it, and wait until it has ended."""
    task.cancel()
    await asyncio.wait({task})


def _tell(emitter: Emitter, file: Transfer | IncomingFile) -> None:
    """More is there. A task for every piece is much, when nobody listens."""
    if emitter.has("progress"):
        emitter.emit("progress", file)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _sayable(text: str | None) -> str | None:
    return None if text is None else sendable(text, MAX_TEXT)


def _seen(future: asyncio.Future[Any]) -> None:
    """Retrieve the exception, because nobody may wait for it."""
    if not future.cancelled():
        future.exception()
