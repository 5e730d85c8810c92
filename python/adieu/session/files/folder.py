"""A folder: its manifest, then its files, one after the other, in one channel. `protocol/folders.py` has the messages.

The receiver answers the manifest: it names the files that it has parts of from an earlier transfer, and those that it
does not want. Small files share a message; a large one has a message for each chunk.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from adieu.errors import TransferError
from adieu.protocol import folders
from adieu.protocol.control import CHUNK, MIN_CHUNK, File
from adieu.session import disk
from adieu.session.files.desk import BATCH, ahead, unless
from adieu.session.files.incoming import Incoming, check_exists
from adieu.session.files.manifest import Manifest, pages
from adieu.session.files.scan import messages
from adieu.session.files.staging import Staging
from adieu.session.receipt import FileReceipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from adieu.protocol.folders import FolderEntry, Had
    from adieu.session.channel import Channel
    from adieu.session.files.desk import Desk
    from adieu.session.files.scan import Selection
    from adieu.session.files.transfer import Line

T = TypeVar("T", bound=folders.Text)
PAGE = 128 * 1024
"""Characters of a part of a manifest."""


class FolderCargo:
    """A folder to be sent."""

    def __init__(self, scan: Selection) -> None:
        self.size: int = scan.size
        self.files: int | None = scan.files
        self.key: str = scan.key
        self.entries: tuple[FolderEntry, ...] = tuple(scan.entries)
        self.left_out: list[str] = scan.left_out
        self.proofs: dict[str, str] = {}
        self._scan = scan
        self._chunk = CHUNK
        self._most = PAGE

    async def offer(self, desk: Desk, stopped: Callable[[], bool]) -> dict[str, Any]:
        """See `Cargo`."""
        del stopped
        most = desk.shell.machine.options.max_message
        self._chunk = min(CHUNK, most - folders.MAX_HEAD)
        self._most = min(PAGE, most)
        if not desk.can("files3") or self._chunk < MIN_CHUNK:
            raise TransferError("the other side's program takes no folders: send the files one by one")
        return {"size": self.size, "chunk": self._chunk, "key": self.key, "entries": len(self.entries)}

    def may_begin(self, at: int) -> bool:
        """See `Cargo`."""
        return at == 0

    async def send(self, line: Line, at: int, prove: Callable[[str], None]) -> None:
        """See `Cargo`."""
        del at
        manifest = hashlib.sha256()
        for text in pages(self.entries, self._most):
            manifest.update(text.encode())
            await line.send(text)
        had, skip = await self._hear(line.channel)
        position = sum(size for size, _ in had.values()) + sum(self.entries[n].size or 0 for n in skip)
        over = False
        pieces = messages(self._scan.pieces(self._chunk, had, skip, self.proofs, lambda: over), self._chunk)
        try:
            async with aclosing(ahead(lambda: next(pieces, None))) as sending:
                async for message, size in sending:
                    position = min(position + size, self.size)
                    await line.send(message, position)
        finally:
            over = True
        wanted = (entry for n, entry in enumerate(self.entries) if entry.size is not None and n not in skip)
        proof = folders.proof_of(manifest.digest(), (bytes.fromhex(self.proofs[entry.path]) for entry in wanted))
        prove(proof)
        await line.send(folders.encode(folders.Proof(proof=proof)))

    async def _hear(self, channel: Channel) -> tuple[dict[int, tuple[int, str]], set[int]]:
        """Hear what the receiver has, and what it does not want."""
        had: dict[int, tuple[int, str]] = {}
        skip: set[int] = set()
        before, last = -1, False
        while not last:
            heard = await _text(channel, folders.Have)
            last = heard.last
            numbers = [each.n for each in heard.files]
            if any(after <= n for n, after in zip([before, *numbers], numbers, strict=False)):
                raise TransferError("the other side names a file twice, or not in order")
            before = numbers[-1] if numbers else before
            had |= {each.n: (each.size, each.proof) for each in heard.files}
            skip.update(heard.skip)
        for n in (*had, *skip):
            size = self.entries[n].size if n < len(self.entries) else None
            if size is None or (n in had and had[n][0] != size and (had[n][0] > size or had[n][0] % self._chunk)):
                raise TransferError(f"the other side has a part of entry {n} that cannot be")
        return had, skip


class IncomingFolder(Incoming):
    """A folder that the other side offers; given to the `folder` handlers of the session. Accept or refuse it.

    It is refused when nobody has answered ten seconds after it was offered (`Options.file_patience`), no handler is
    at it, and it is not held.

    Attributes:
        name: fit for any disk.
        size: bytes of all files in it.
        count: the number of files and folders in it.
        proof: once it is here, the SHA-256 over its manifest and the proofs of its files, hex; the sender has the same.
        done: bytes that are here.
        answered: whether it was accepted or refused.
        entries: what is in it, as the sender says; empty before it is accepted.
        paths: of each entry its path in the folder here, which is safe for every disk.
        proofs: path to the proof of each file that is here: the SHA-256 over the hashes of its chunks, hex.
    """

    KIND: Literal["file", "folder"] = "folder"

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.count: int = self._offer.entries or 0
        self.entries: tuple[FolderEntry, ...] = ()
        self.paths: tuple[str, ...] = ()
        self.proofs: dict[str, str] = {}
        self._chunk: int = self._offer.chunk or CHUNK

    async def accept(
        self, to: str | PathLike[str] = ".", *, exists: Literal["rename", "overwrite", "skip"] = "rename"
    ) -> Path:
        """Accept the folder, and wait until it is complete.

        Args:
            to: the folder in which it gets its name.
            exists: what happens if something of this name is there. `rename`: the new one gets a number. `overwrite`:
                both are merged, once all is here, and new files replace those of their names. `skip`: both are merged,
                and files that are there stay; they are not sent.

        Returns:
            The path of the folder. Its files are verified, and have the sender's times and permissions, as far as other
            files that are made here may have them.

        Raises:
            TransferError: it could not be saved, or did not arrive completely; or the disk has no room for it; or its
                list names what may not be. The received part stays as a hidden `.part` folder, from which the next
                transfer goes on.
            ValueError: `exists` is something else.

        Cancellation: the sender sees that the transfer failed.
        """
        check_exists(exists)
        return await self._accepted(lambda: self._receive(Path(to), exists))

    async def _receive(self, folder: Path, exists: str) -> Path:
        await self._take_place(folder / self.name)
        staging = await asyncio.to_thread(Staging, folder, self.name, (self._offer.key)[:16], exists)
        try:
            await self._begin(0)
            await unless(self._over, self._take(staging))
            if self.over:
                await self._over
            path = await asyncio.to_thread(staging.keep)
        finally:
            staging.close()
        self._desk.say(File(id=self.id, done=True, proof=self.proof))
        self._desk.record(FileReceipt(self.name, self.size, self.proof, sent=False, files=self._files))
        return path

    @property
    def _files(self) -> int:
        return sum(entry.size is not None for entry in self.entries)

    async def _take(self, staging: Staging) -> None:
        channel = await self._desk.session.open(self.channel)
        manifest = Manifest(self.count, self.size)
        last = False
        while not last:
            text, page = await _text_and_message(channel, folders.Entries)
            await asyncio.to_thread(manifest.add, text, page)
            last = page.last
        self.entries, self.paths = tuple(manifest.entries), tuple(manifest.paths)
        self.proofs = staging.proofs
        await asyncio.to_thread(staging.prepare, manifest)
        files = await self._look(staging)
        disk.check_free(staging.path, self.size - staging.size)
        await self._say_what_is_here(channel, files, sorted(staging.skip))
        self._came(staging.size)
        await self._take_pieces(channel, staging)
        ended = await asyncio.to_thread(staging.end)
        proof = folders.proof_of(manifest.proof, ended)
        if self.proof != proof:
            staging.drop()
            raise TransferError(f"{self.name!r} arrived damaged: its hash is not the one announced")

    async def _look(self, staging: Staging) -> list[Had]:
        found = staging.found(self._chunk)
        files: list[Had] = []
        while some := await asyncio.to_thread(_some_of, found):
            files += [had for had in some if had is not None]
        return files

    async def _say_what_is_here(self, channel: Channel, files: list[Had], skip: list[int]) -> None:
        most = folders.AT_ONCE
        for at in range(0, max(len(files), len(skip), 1), most):
            last = at + most >= max(len(files), len(skip))
            have = folders.Have(files=files[at : at + most], skip=skip[at : at + most], last=last)
            await channel.send(folders.encode(have))

    async def _take_pieces(self, channel: Channel, staging: Staging) -> None:
        """Take all pieces, up to the proof."""
        message: str | bytes | None = await channel.receive()
        while not isinstance(message, str):
            some: list[bytes] = []
            while isinstance(message, bytes):
                some.append(message)
                message = channel.receive_now() if len(some) < BATCH else None
            await asyncio.to_thread(_add, staging, some, self._chunk)
            self._came(staging.size)
            if message is None:
                message = await channel.receive()
        self._arrived(_read(message, folders.Proof).proof, self.size)


def _add(staging: Staging, some: list[bytes], chunk: int) -> None:
    for message in some:
        try:
            pieces = folders.decode_pieces(message)
        except ValueError as error:
            raise TransferError(f"it arrived damaged: {error}") from None
        staging.add(pieces, chunk)


def _some_of(found: Any) -> list[Had | None]:
    """Return the next files that are found, not all at once: a thread cannot be interrupted."""
    some: list[Had | None] = []
    for each in found:
        some.append(each)
        if each is None or len(some) >= folders.AT_ONCE:
            break
    return some


async def _text(channel: Channel, kind: type[T]) -> T:
    return (await _text_and_message(channel, kind))[1]


async def _text_and_message(channel: Channel, kind: type[T]) -> tuple[str, T]:
    text = await channel.receive()
    if not isinstance(text, str):
        raise TransferError("the other side sent something else than its list of files")
    return text, _read(text, kind)


def _read(text: str, kind: type[T]) -> T:
    try:
        message = folders.decode(text)
    except ValueError as error:
        raise TransferError(f"the other side's list of files is wrong: {error}") from None
    if not isinstance(message, kind):
        raise TransferError("the other side sent something else than its list of files")
    return message
