"""All files and folders of one session, both ways: who hears which word, and which offers are refused at once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.errors import SessionClosedError
from adieu.protocol import folders
from adieu.protocol.control import FILE_CHANNEL, HASH, MAX_FILE_TEXT, File
from adieu.protocol.text import checked, sendable
from adieu.session import disk, names
from adieu.session.files.desk import DONE, MAX_RECORDS, Desk
from adieu.session.files.excludes import Excludes
from adieu.session.files.file import FileCargo, IncomingFile, StreamCargo, bytes_of
from adieu.session.files.folder import FolderCargo, IncomingFolder
from adieu.session.files.scan import Scan, Selection
from adieu.session.files.transfer import Transfer
from adieu.session.ledger import Held
from adieu.session.receipt import PartialFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable
    from os import PathLike
    from typing import BinaryIO, TypeAlias

    from adieu.protocol.control import FileOffer
    from adieu.session.files.incoming import Incoming
    from adieu.session.files.transfer import Cargo, Pace
    from adieu.session.shell import Shell

    FileSource: TypeAlias = str | PathLike[str] | bytes | bytearray | memoryview | BinaryIO | AsyncIterable[bytes]
    FolderSource: TypeAlias = str | PathLike[str] | Selection

MAX_OFFERS = 64
"""Offers of the other side that are not over."""


class Transfers(Desk):
    """All files and folders of one session."""

    def __init__(self, shell: Shell, session: Any) -> None:
        super().__init__(shell, session)
        self._out: dict[str, Transfer] = {}
        self._in: dict[str, Incoming] = {}
        self._missed: set[Incoming] = set()
        """Offers that were over before their turn with the handlers: they count until it comes."""
        self._cut: list[Transfer] = []

    def owns(self, channel: str) -> bool:
        """Whether a channel carries files."""
        return channel.startswith(FILE_CHANNEL)

    def partial(self) -> tuple[PartialFile, ...]:
        """Return the files and folders that are not whole: sent and not all there, or accepted and not all here."""
        going = self._cut + [each for each in self._out.values() if not each.finished]
        coming = [each for each in self._in.values() if each.answered and not each.over]
        return (
            *(PartialFile(each.name, 0 if each.is_stream else each.size, each.done, sent=True) for each in going),
            *(PartialFile(each.name, each.size, each.done, sent=False) for each in coming),
        )

    def held(self) -> list[Held]:
        """Return the files and folders under way, with the lines that sent or accepted them."""
        files: list[Transfer | Incoming] = [*self._out.values(), *self._in.values()]
        return [Held("file", repr(each.name), each.where) for each in files]

    def send(self, parcel: Parcel, before: Transfer | None = None) -> Transfer:
        """Offer it.

        Args:
            parcel: what is sent.
            before: an earlier transfer of the same parcel, in a session that has ended.

        Raises:
            SessionClosedError: the session has ended.
        """
        if (receipt := self.shell.receipt) is not None:
            raise SessionClosedError(receipt.notice, receipt)
        transfer = Transfer(self, parcel.cargo, parcel.name, type_=parcel.type, pace=parcel.pace, before=before)
        self._out[transfer.id] = transfer
        self.shell.tasks.spawn(self._run(transfer), f"sends {transfer.name!r}")
        return transfer

    async def _run(self, transfer: Transfer) -> None:
        try:
            await transfer.run()
        finally:
            del self._out[transfer.id]
            if transfer.was_cut_off and len(self._cut) < MAX_RECORDS:
                self._cut.append(transfer)
        await transfer.free_channel()  # after a failure: who receives no more still takes what comes

    def said(self, file: File) -> None:
        """A word of the other side."""
        if file.offer is not None:
            self._offered(file.id, file.offer)
        elif (transfer := self._out.get(file.id)) is not None:
            transfer.heard(file)
        elif (incoming := self._in.get(file.id)) is not None:
            incoming.heard(file)

    def _offered(self, id_: str, offer: FileOffer) -> None:
        if (final := self.final.get(id_) or DONE.get(id_)) is not None:
            self.say(final)
        elif (known := self._in.get(id_)) is not None:
            known.say_again()
        elif why := self._unwanted(offer):
            self.say(File(id=id_, refuse=why))
        else:
            kind = IncomingFile if offer.entries is None else IncomingFolder
            incoming = self._in[id_] = kind(self, id_, offer, self._forget)
            incoming.tell()

    def _forget(self, incoming: Incoming) -> None:
        """An incoming file is answered for good."""
        if self._in.get(incoming.id) is incoming:
            del self._in[incoming.id]
        if incoming.waits:
            self._missed.add(incoming)
        else:
            self._missed.discard(incoming)

    def _unwanted(self, offer: FileOffer) -> str:
        """Why an offer is refused before anybody looks at it."""
        most = self.shell.machine.options.max_message
        if len(self._in) + len(self._missed) >= MAX_OFFERS:
            return "too many files at once"
        if not self.owns(offer.channel):
            return f"a file's channel begins with {FILE_CHANNEL!r}"
        if any(each.channel == offer.channel and not each.over for each in self._in.values()):
            return f"channel {offer.channel!r} carries another file"
        if (offer.chunk is None) == (not offer.sha256) or (offer.chunk is None) != (not offer.key):
            return "an offer needs a hash, or the size of its chunks and a key"
        if offer.chunk is None and (offer.entries is not None or offer.stream):
            return "a folder, or a stream, needs the size of its chunks"
        if (offer.entries or 0) > folders.MAX_ENTRIES:
            return f"the folder has {offer.entries} files and folders; {folders.MAX_ENTRIES} at most"
        beside = HASH if offer.entries is None else folders.MAX_HEAD
        if offer.chunk is not None and offer.chunk + beside > most:
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
        for final in list(self.final.values()):
            self.say(final)

    def end(self, why: str) -> None:
        """The session is over."""
        for transfer in list(self._out.values()):
            transfer.fail(f"the session ended: {why}")
        for incoming in list(self._in.values()):
            incoming.heard(File(id=incoming.id, failed=f"the session ended: {why}"))


class Parcel:
    """Something to send, with the words around it, for one session or several.

    Attributes:
        cargo: the bytes.
        name: the name for the other side.
        type: the media type.
        pace: see `Session.send_file`.
    """

    def __init__(self, cargo: Cargo, name: str, type_: str, pace: Pace | None) -> None:
        self.cargo = cargo
        self.name = name
        self.type = type_
        self.pace = pace

    def continues(self, before: Parcel) -> bool:
        """Whether this is what was to be sent before, unchanged."""
        here, there = self.cargo, before.cargo
        return (here.key, here.size, here.entries) == (there.key, there.size, there.entries)


async def file_parcel(source: FileSource, name: str | None, type_: str, pace: Pace | None) -> Parcel:
    """See `Session.send_file`."""
    type_ = checked("a file's type", type_, 0, MAX_FILE_TEXT)
    if name is not None:
        name = checked("a file's name", name, 1, MAX_FILE_TEXT)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return Parcel(FileCargo(await asyncio.to_thread(disk.source, path)), name or _name_of(path), type_, pace)
    if name is None:
        raise ValueError("bytes and streams have no name of their own: give name=")
    return Parcel(await _cargo_of(source), name, type_, pace)


async def _cargo_of(source: Any) -> Cargo:
    if (data := bytes_of(source)) is not None:
        return FileCargo(await asyncio.to_thread(disk.Memory, data))
    if hasattr(source, "read") or hasattr(source, "__aiter__"):
        return StreamCargo(source)
    raise TypeError(
        f"a file's source is a path, bytes, a binary file or an async iterable, not {type(source).__name__}"
    )


async def folder_parcel(path: FolderSource, name: str | None, exclude: Iterable[str], pace: Pace | None) -> Parcel:
    """See `Session.send_folder`. A selection of files and folders has no name of its own."""
    if name is not None:
        name = checked("a folder's name", name, 1, MAX_FILE_TEXT)
    if isinstance(path, Selection):
        return Parcel(FolderCargo(path), name or names.NO_NAME, "", pace)
    root = Path(os.path.abspath(path))  # noqa: ASYNC240, PTH100 asks the disk for nothing; `..` has no name of its own
    scan = await asyncio.to_thread(Scan, root, Excludes(exclude))
    return Parcel(FolderCargo(scan), name or _name_of(root), "", pace)


def _name_of(path: Path) -> str:
    """Return the name of a path as text: one on a disk may be no text at all."""
    return sendable(path.name, MAX_FILE_TEXT) or names.NO_NAME
