"""A single file: how it is sent, chunk by chunk, and received."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import AsyncIterable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from adieu.errors import TransferError
from adieu.protocol.control import CHUNK, HASH, MIN_CHUNK, File
from adieu.session import disk
from adieu.session.files.desk import AHEAD, BATCH, ahead, unless
from adieu.session.files.incoming import Incoming, check_exists
from adieu.session.receipt import FileReceipt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from os import PathLike

    from adieu.protocol.folders import FolderEntry
    from adieu.session.channel import Channel
    from adieu.session.files.desk import Desk
    from adieu.session.files.transfer import Line

PIECE = 256 * 1024
"""Bytes of a message, where a file is not proved by chunks."""


class _Single:
    """A cargo that is one file."""

    files: int | None = None
    entries: tuple[FolderEntry, ...] = ()

    def __init__(self) -> None:
        self.left_out: list[str] = []
        self.proofs: dict[str, str] = {}


class FileCargo(_Single):
    """A file, or bytes, to be sent."""

    def __init__(self, source: disk.Source) -> None:
        super().__init__()
        self.size: int = source.size
        self.key: str = source.key
        self._source = source
        self._chunk: int | None = None
        self._piece = PIECE
        self._sha256 = ""

    async def offer(self, desk: Desk, stopped: Callable[[], bool]) -> dict[str, Any]:
        """See `Cargo`."""
        source = self._source
        chunk = min(CHUNK, desk.shell.machine.options.max_message - HASH)
        if desk.can("files2") and chunk >= MIN_CHUNK:
            self._chunk = chunk
            about: dict[str, Any] = {"size": self.size, "chunk": chunk, "key": source.key}
            if desk.can("files3"):
                about |= {"modified": source.modified, "mode": source.mode}
            return about
        self._piece = min(PIECE, desk.shell.machine.options.max_message)
        file = source.open()
        try:
            self._sha256 = await asyncio.to_thread(source.whole, file, stopped)
        finally:
            if file is not None:
                file.close()
        return {"size": self.size, "sha256": self._sha256}

    def may_begin(self, at: int) -> bool:
        """See `Cargo`."""
        return at <= self.size and (self._chunk is None or not at % self._chunk or at == self.size)

    async def send(self, line: Line, at: int, prove: Callable[[str], None]) -> None:
        """See `Cargo`."""
        file = self._source.open()
        try:
            if self._chunk is None:
                await self._send_bytes(line, file, at, prove)
            else:
                await self._send_chunks(line, file, at, self._chunk, prove)
        finally:
            if file is not None:
                file.close()

    async def _send_chunks(
        self, line: Line, file: BinaryIO | None, offset: int, chunk: int, prove: Callable[[str], None]
    ) -> None:
        first = -(-offset // chunk)
        hashes: list[bytes] = []
        count = -(-self.size // chunk)
        begins = range(first, count, BATCH)
        # When a batch is read, the one so many before it is delivered: its room is used again.
        size = min(BATCH, count - first) * (min(chunk, self.size) + HASH)
        rooms = itertools.cycle([bytearray(size) for _ in begins[: AHEAD // BATCH + 2]])
        batches = zip(begins, rooms, strict=False)

        def read() -> list[tuple[int, memoryview]] | None:
            if (batch := next(batches, None)) is None:
                return None
            index, room = batch
            return self._source.chunks(file, range(index, min(index + BATCH, count)), chunk, room)

        async with aclosing(ahead(read)) as reading:
            async for messages in reading:
                for at, message in messages:
                    hashes.append(bytes(message[-HASH:]))
                    await line.send(message, min((at + 1) * chunk, self.size))
        proof = hashlib.sha256()
        for index in range(first):  # what the other side had already is proved with the rest
            proof.update(await asyncio.to_thread(self._source.skip, file, index, chunk))
        for each in hashes:
            proof.update(each)
        prove(proof.hexdigest())
        await line.send(proof.digest())

    async def _send_bytes(self, line: Line, file: BinaryIO | None, offset: int, prove: Callable[[str], None]) -> None:
        for at in range(offset, self.size, self._piece):
            data = await asyncio.to_thread(self._source.read, file, at, self._piece)
            if at + len(data) == self.size:
                prove(self._sha256)
            await line.send(memoryview(data), at + len(data))


class StreamCargo(_Single):
    """Bytes that come one after the other, and whose number is known at their end."""

    key = ""

    def __init__(self, stream: BinaryIO | AsyncIterable[bytes]) -> None:
        super().__init__()
        self.size: int = 0
        self._stream = stream
        self._chunk = CHUNK

    async def offer(self, desk: Desk, stopped: Callable[[], bool]) -> dict[str, Any]:
        """See `Cargo`."""
        del stopped
        self._chunk = min(CHUNK, desk.shell.machine.options.max_message - HASH)
        if not desk.can("files3") or self._chunk < MIN_CHUNK:
            raise TransferError("the other side's program takes no streams: send a file")
        return {"size": 0, "chunk": self._chunk, "key": secrets.token_hex(16), "stream": True}

    def may_begin(self, at: int) -> bool:
        """See `Cargo`."""
        return at == 0

    async def send(self, line: Line, at: int, prove: Callable[[str], None]) -> None:
        """See `Cargo`."""
        del at
        proof = hashlib.sha256()
        async for data in self._chunks():
            digest = await asyncio.to_thread(_hashed, data)
            proof.update(digest)
            self.size += len(data)
            await line.send(data + digest, self.size)
        prove(proof.hexdigest())
        await line.send(proof.digest())

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Yield chunks; all are whole but the last."""
        gathered = bytearray()
        async for data in self._parts():
            gathered += data
            while len(gathered) >= self._chunk:
                yield bytes(gathered[: self._chunk])
                del gathered[: self._chunk]
        if gathered:
            yield bytes(gathered)

    async def _parts(self) -> AsyncIterator[bytes]:
        stream = self._stream
        if not isinstance(stream, AsyncIterable):
            while (data := _given(await asyncio.to_thread(stream.read, self._chunk))) != b"":
                yield data
        else:
            async for data in stream:
                yield _given(data)


def bytes_of(data: object) -> bytes | None:
    """Return the bytes of something that holds bytes; None: it does not."""
    if isinstance(data, bytes):
        return data
    return bytes(cast("bytearray | memoryview", data)) if isinstance(data, bytearray | memoryview) else None


def _given(data: object) -> bytes:
    found = bytes_of(data)
    if data is None:
        raise BlockingIOError("the stream has nothing at the moment: give one that blocks, or an async iterable")
    if found is None:
        raise TypeError(f"a stream must give bytes, not {type(data).__name__}")
    return found


def _hashed(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class IncomingFile(Incoming):
    """A file that the other side offers; given to the `file` handlers of the session. Accept or refuse it.

    It is refused when nobody has answered ten seconds after it was offered (`Options.file_patience`), no handler is
    at it, and it is not held.

    Attributes:
        name: without any folder, fit for any disk.
        size: bytes; of a stream 0, until all of it is here.
        stream: whether its size is not known before its end.
        type: its media type, as the sender says; may be empty.
        modified: when it was changed last, in microseconds since 1970, as the sender says; None: unknown.
        mode: its permission bits, as the sender says; None: unknown.
        sha256: hex; only where the sender's program is of the first version, else empty.
        proof: once it is here, the SHA-256 over the hashes of its chunks (or `sha256`), hex; the sender has the same.
        done: bytes that are here.
        answered: whether it was accepted or refused.
        skipped: whether it was there already and so was not received.
    """

    KIND: Literal["file", "folder"] = "file"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        offer = self._offer
        self.type: str = offer.type
        self.sha256: str = offer.sha256
        self.stream: bool = offer.stream
        self.modified: int | None = offer.modified
        self.mode: int | None = offer.mode
        self._wanted: str = offer.sha256
        """The proof that is to come out."""

    async def accept(
        self, to: str | PathLike[str] = ".", *, exists: Literal["rename", "overwrite", "skip"] = "rename"
    ) -> Path:
        """Accept the file, and wait until it is complete.

        Args:
            to: a folder, or the path of the file.
            exists: what happens if a file of this name is there. `rename`: the new one gets a number. `overwrite`: it
                is replaced, once the new one is complete. `skip`: it stays, the offer is refused, and `skipped` is set.

        Returns:
            The path of the file. Unless it was skipped, its bytes are verified, and from this transfer alone. It has
            the sender's time and permissions, as far as other files that are made here may have them.

        Raises:
            TransferError: the file could not be saved, or did not arrive completely; or the disk has no room for it.
                The received part stays as a `.part` file.
            ValueError: `exists` is something else.

        Cancellation: the sender sees that the transfer failed.
        """
        check_exists(exists)
        return await self._accepted(lambda: self._receive(Path(to), exists))

    async def _receive(self, target: Path, exists: str) -> Path:
        chunk = self._offer.chunk
        folder, name = (target, self.name) if await asyncio.to_thread(target.is_dir) else (target.parent, target.name)
        if exists == "skip" and await asyncio.to_thread((folder / name).exists):
            self._skip()
            return folder / name
        await self._take_place(folder / name)
        part = disk.Part(folder, name, (self._offer.key or self.sha256)[:16])
        try:
            found = 0 if self.stream else part.found(self.size, chunk or 1)
            disk.check_free(folder, self.size - found)
            while part.size < found:
                await asyncio.to_thread(part.rehash, found, chunk)
            await self._begin(found)
            await unless(self._over, self._take(part, chunk))
            if self.over:
                await self._over
            wanted = self._wanted
            if part.proof != wanted:
                part.drop()
                raise TransferError(f"{self.name!r} arrived damaged: its hash is not the one announced")
            path = part.keep(overwrite=exists == "overwrite", modified=self.modified, mode=self.mode)
        except BaseException:
            if self.stream:
                part.drop()  # nobody can send the rest of it
            raise
        finally:
            part.close()
        self._arrived(wanted, part.size)
        self._desk.say(File(id=self.id, done=True, proof=None if chunk is None else wanted))
        self._desk.record(FileReceipt(self.name, self.size, wanted, sent=False))
        return path

    async def _take(self, part: disk.Part, chunk: int | None) -> None:
        """All that comes."""
        channel = await self._desk.session.open(self.channel)
        if self.stream and chunk is not None:
            await self._take_stream(channel, part, chunk)
            return
        while self.done < self.size:
            messages = await self._some(channel, self.size - self.done)
            await asyncio.to_thread(part.add_all, messages, self.size, chunk)
            self._came(part.size)
        if chunk is not None:
            self._wanted = self._of_a_file(await channel.receive()).hex()

    async def _take_stream(self, channel: Channel, part: disk.Part, chunk: int) -> None:
        while len(message := self._of_a_file(await channel.receive())) > HASH:
            if part.size % chunk:
                raise TransferError(f"{self.name!r} arrived damaged: it goes on after its last piece")
            await asyncio.to_thread(part.add_proved, message, min(len(message) - HASH, chunk))
            self._came(part.size)
        self._wanted = message.hex()

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
