"""The side that receives. It proves the code and takes the files that it lacks. The next attempt goes on from there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from adieu.cli.sending.display import files_in_words, path_in_words, shown, under_its_name
from adieu.cli.sending.listing import FOLDER, digest, identity, safe_paths, trunk
from adieu.cli.sending.messages import (
    AT_ONCE,
    MAX_ENTRIES,
    MAX_PATHS,
    Digest,
    Done,
    Entries,
    Entry,
    ExchangeError,
    Failed,
    Have,
    Line,
    Missing,
    RefusedError,
    ToldError,
    exchange,
)
from adieu.cli.sending.proof import Pin, prove_as_receiver
from adieu.cli.sending.sender import ROLE
from adieu.cli.sending.tries import WrongCodeError
from adieu.errors import SessionError, TransferError
from adieu.session import names
from adieu.session.ice_servers import IceServers
from adieu.session.pair import is_wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path, PurePosixPath

    from adieu.cli.sending.code import Code
    from adieu.cli.sending.display import Display
    from adieu.cli.sending.link import Link
    from adieu.protocol.signaling import Peer
    from adieu.session import CloseReceipt, IncomingFile, IncomingFolder, Room, Session
    from adieu.webrtc import RTCPeerConnection

T = TypeVar("T")
TO_MEET = 60.0
"""Seconds to wait for the sender."""
MAX_WRONG = 3
UNPROVED = "the other program did not prove that it knows the code or link"
"""Said instead of the words of somebody who may be a stranger."""
SPARE = 16 * 1024 * 1024
"""Bytes of the disk that stay free."""


class Receiver:
    """One receiving.

    Attributes:
        pin: the certificates.
        kept: the files and folders at their final places.
        entries: the sender's list.
        proofs: of each file, by its number.
        receipt: of the session, at the end.
    """

    def __init__(
        self, folder: Path, secret: Code | Link, pin: Pin, display: Display, *, overwrite: bool = False
    ) -> None:
        self.pin = pin
        self.kept: list[Path] = []
        self.entries: list[Entry] = []
        self.proofs: dict[int, str] = {}
        self.receipt: CloseReceipt | None = None
        self._ice: asyncio.Future[IceServers] = asyncio.get_running_loop().create_future()
        self._folder = folder
        self._overwrite = overwrite
        self._secret = secret
        self._display = display
        self._under_way: dict[int, int] = {}
        self._proof = ""
        """The proof of all files together, if they came as one folder."""

    def connect(self) -> RTCPeerConnection:
        """Return a new connection for a session."""
        return self.pin.connection(self._ice.result().servers)

    async def accept(self, peer: Peer) -> bool:
        """Accept the sender alone: other receivers may be here too."""
        ice = await asyncio.shield(self._ice)
        await ice.known.wait()
        return peer.meta.get(ROLE) == "sender"

    async def run(self, room: Room) -> int:
        """Take everything from the sender. Return the exit code."""
        self._ice.set_result(ice := IceServers(room.client))
        renewing = asyncio.create_task(ice.renew(lambda: self.pin.open))
        try:
            return await self._run(room)
        finally:
            await _stopped({renewing})

    async def _run(self, room: Room) -> int:
        wrong = 0
        while wrong < MAX_WRONG:
            try:
                async with asyncio.timeout(TO_MEET):
                    session = await room.session()
            except TimeoutError:
                self._display.say("nobody", self._why_nobody(room))
                return 1
            try:
                return await self._take(session)
            except (WrongCodeError, RefusedError) as error:
                wrong += 1
                self._display.say("wrong-code", str(error))
                await session.close("the code was wrong", timeout=1.0)
                if isinstance(error, RefusedError):
                    return 1
            except ExchangeError as error:
                self._display.end()
                told = isinstance(error, ToldError) and self.pin.proved is None
                self._display.say("failed", f"cannot go on: {UNPROVED if told else error}")
                await session.close(str(error)[:100], timeout=1.0)
                return 1
            except SessionError:
                receipt = await session.wait_closed()
                self._display.end()
                if self.pin.proved is not None and is_wanted(receipt):
                    self._display.say("left", f"the sender left: {receipt.notice}")
                    return 1
                if self.pin.proved is not None:
                    self._display.say("lost", f"{receipt.notice} Waiting for the sender.")
            finally:
                self.pin.clear()
        return 1

    def _why_nobody(self, room: Room) -> str:
        if any(peer.meta.get(ROLE) == "sender" for peer in room.peers):
            return f"the sender is there, but had no place within {TO_MEET:.0f} s: it may serve others. Try again later"
        return f"no sender came within {TO_MEET:.0f} s: look at the code, and whether `adieu send` still runs"

    async def _take(self, session: Session) -> int:
        line = await Line.of(session)
        await prove_as_receiver(session, line, self._secret, self.pin)
        path = path_in_words(session)
        self._display.say("connected", f"The sender has proved itself. Path: {path}.", path=path)
        self.entries, whole = await self._list(line)
        try:
            return await self._take_all(session, line, whole=whole)
        except OSError as error:
            why = f"{shown(str(error.filename or ''))}: {error.strerror or error}"
            await line.send(Failed(why[:500]))
            raise ExchangeError(why) from None
        except ExchangeError as error:
            await line.send(Failed(str(error)[:500]))
            raise

    async def _list(self, line: Line) -> tuple[list[Entry], bool]:
        """Hear the list, and whether the sender can send all of it as one folder."""
        entries: list[Entry] = []
        characters = 0
        last = whole = False
        while not last:
            heard = await exchange(line, None, Entries, patience=None)  # it may wait for its own stdin
            entries += heard.entries
            characters += sum(len(entry.path) for entry in heard.entries)
            last, whole = heard.last, heard.whole
            if len(entries) > MAX_ENTRIES or characters > MAX_PATHS:
                raise ExchangeError(f"the sender's list has more than {MAX_ENTRIES} entries, or very long paths")
        return entries, whole

    async def _take_all(self, session: Session, line: Line, *, whole: bool) -> int:
        paths = await asyncio.to_thread(safe_paths, self.entries)
        if self._overwrite:
            await asyncio.to_thread(check_places, self.entries, paths, self._folder)
        place = self._folder / f".adieu-{identity(self.entries)}"
        if whole:
            await self._take_as_one(session, line, paths, place)
        else:
            await self._take_one_by_one(session, line, paths, Partial(place))
        own = self._proof or digest(self.entries, self.proofs)
        theirs = await exchange(line, Done(own), Done)
        if theirs.digest != own:
            raise ExchangeError("the sender's list of hashes differs from this one")
        self.receipt = receipt = await session.wait_closed()
        self._display.end()
        if not (receipt.confirmed and receipt.clean):
            self._display.say("unconfirmed", f"The files arrived, but the end was not confirmed: {receipt.notice}")
            return 1
        return 0

    def _tell_list(self, paths: list[PurePosixPath]) -> None:
        total = sum(max(entry.size, 0) for entry in self.entries)
        count = sum(entry.size != FOLDER for entry in self.entries)
        first = ", ".join(dict.fromkeys(shown(path.parts[0]) for path in paths[:5]))
        self._display.say("receiving", f"Receiving {files_in_words(count, total)}: {first}", files=count, bytes=total)

    async def _take_as_one(self, session: Session, line: Line, paths: list[PurePosixPath], place: Path) -> None:
        await line.send(Have([], last=True, whole=True))
        await exchange(line, None, Missing)
        self._tell_list(paths)
        tree = Tree(place, self.entries)
        await asyncio.to_thread(place.mkdir, exist_ok=True)
        over: asyncio.Future[IncomingFolder] = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Task[None]] = []

        async def take(folder: IncomingFolder) -> None:
            def moved(_: object) -> None:
                self._under_way[0] = folder.done
                if self._display.is_due:
                    self._tell()

            folder.on("progress", moved)
            try:
                tree.path = await folder.accept(place)
            except TransferError as error:
                if session.receipt is None and not over.done():
                    over.set_exception(ExchangeError(shown(str(error))))
            else:
                over.set_result(folder)

        def offered(folder: IncomingFolder) -> None:
            if tasks or not tree.fits(folder):
                folder.refuse("not in the list")
                return
            folder.hold()
            tasks.append(asyncio.create_task(take(folder)))

        self.proofs = {}
        self._under_way.clear()
        session.on("folder", offered)
        try:
            folder = await self._unless_over(session, line, over)
        finally:
            session.off("folder", offered)
            await _stopped(tasks)
            self._under_way.clear()
        self.proofs = tree.proofs(folder)
        self._proof = folder.proof
        self._tell()
        self.kept = await asyncio.to_thread(tree.keep, folder.paths, self._folder, overwrite=self._overwrite)

    async def _take_one_by_one(self, session: Session, line: Line, paths: list[PurePosixPath], part: Partial) -> None:
        """Take files from a sender of the first version."""
        await asyncio.to_thread(part.prepare, self.entries, paths)
        self.proofs = await asyncio.to_thread(part.known)
        await self._compare(line, part, paths)
        self._check_room(part)
        self._tell_list(paths)
        missing = {number for number, entry in enumerate(self.entries) if entry.size != FOLDER} - set(self.proofs)
        await self._receive(session, line, part, paths, missing)
        self.kept = await asyncio.to_thread(part.keep, self.entries, paths, self._folder, overwrite=self._overwrite)

    async def _compare(self, line: Line, part: Partial, paths: list[PurePosixPath]) -> None:
        """Say what is here already; receive again the files that are others now."""
        known = sorted(self.proofs.items())
        for at in range(0, max(len(known), 1), AT_ONCE):
            await line.send(Have(known[at : at + AT_ONCE], at + AT_ONCE >= len(known)))
        last = False
        while not last:
            heard = await exchange(line, None, Missing, patience=None)  # it hashes them first
            for number in heard.files:
                if self.proofs.pop(number, None) is not None:
                    part.forget(paths[number])
            last = heard.last

    def _check_room(self, part: Partial) -> None:
        missing = (
            sum(max(entry.size, 0) for number, entry in enumerate(self.entries) if number not in self.proofs)
            - part.begun()
        )
        free = shutil.disk_usage(self._folder).free
        if missing + SPARE > free:
            raise ExchangeError(f"the disk has {free} bytes left, but {missing} are to come")

    async def _receive(
        self, session: Session, line: Line, part: Partial, paths: list[PurePosixPath], missing: set[int]
    ) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tasks: set[asyncio.Task[None]] = set()

        async def take(file: IncomingFile, number: int) -> None:
            def moved(_: object) -> None:
                self._under_way[number] = file.done
                if self._display.is_due:
                    self._tell()

            file.on("progress", moved)
            try:
                await file.accept(part.path(paths[number]))
            except TransferError as error:
                if session.receipt is None and not over.done():
                    over.set_exception(ExchangeError(under_its_name(error, number, str(paths[number]))))
                return
            self._under_way.pop(number, None)
            self.proofs[number] = file.proof
            part.note(number, file.proof)
            missing.discard(number)
            self._tell()
            if not missing and not over.done():
                over.set_result(None)

        def offered(file: IncomingFile) -> None:
            number = int(file.name) if file.name.isascii() and file.name.isdigit() else -1
            known = number in missing and number not in self._under_way and not file.stream
            if not known or file.size != self.entries[number].size:
                file.refuse("not in the list")
                return
            file.hold()
            self._under_way[number] = 0
            task = asyncio.create_task(take(file, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        self._under_way.clear()
        if not missing:
            over.set_result(None)
        session.on("file", offered)
        try:
            await self._unless_over(session, line, over)
        finally:
            session.off("file", offered)
            await _stopped(tasks)

    @staticmethod
    async def _unless_over(session: Session, line: Line, over: asyncio.Future[T]) -> T:
        """Wait for the files, unless the sender cannot go on, or the session ends."""
        failed = asyncio.create_task(exchange(line, None, Done, patience=None))
        closed = asyncio.create_task(session.wait_closed())
        try:
            waited: set[asyncio.Future[Any]] = {over, failed, closed}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                return over.result()
            if failed.done():
                failed.result()
                raise ExchangeError("the sender says that all is sent, but files are missing")
            raise SessionError(closed.result().notice)
        finally:
            await _stopped({failed, closed})
            over.cancel()

    def _tell(self) -> None:
        done = sum(self.entries[number].size for number in self.proofs) + sum(self._under_way.values())
        self._display.progress(done, sum(max(entry.size, 0) for entry in self.entries))


async def _stopped(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


class Partial:
    """A folder for files of a sender of the first version, until all have arrived.

    Args:
        folder: where; the same list of files has the same folder, so that the next attempt finds it.
    """

    def __init__(self, folder: Path) -> None:
        self._sizes: dict[int, tuple[int, Path]] = {}
        self._files = folder / "files"
        self._notes = folder / "done"
        self._folder = folder

    def path(self, path: PurePosixPath) -> Path:
        """Return the place of a file of the list."""
        return self._files / path

    def prepare(self, entries: list[Entry], paths: list[PurePosixPath]) -> None:
        """Make all folders. Forget files that are not complete."""
        self._files.mkdir(parents=True, exist_ok=True)
        for entry, path in zip(entries, paths, strict=True):
            place = self.path(path)
            (place if entry.size == FOLDER else place.parent).mkdir(parents=True, exist_ok=True)
        known = self.known()
        self._sizes = {
            number: (entry.size, self.path(path))
            for number, (entry, path) in enumerate(zip(entries, paths, strict=True))
        }
        complete = {number: proof for number, proof in known.items() if self._is_whole(number)}
        self._notes.write_bytes(b"".join(msgspec.json.encode(item) + b"\n" for item in complete.items()))
        for number, (size, place) in self._sizes.items():
            if size != FOLDER and number not in complete:
                place.unlink(missing_ok=True)

    def _is_whole(self, number: int) -> bool:
        size, place = self._sizes.get(number, (FOLDER, self._files))
        with contextlib.suppress(OSError):
            return size != FOLDER and place.stat().st_size == size
        return False

    def known(self) -> dict[int, str]:
        """Return the proofs of the files that are complete."""
        found: dict[int, str] = {}
        with contextlib.suppress(OSError):
            for line in self._notes.read_bytes().splitlines():
                with contextlib.suppress(msgspec.MsgspecError):  # the last line, when the program was killed
                    number, proof = msgspec.json.decode(line, type=tuple[int, Digest])
                    found[number] = proof
        return found

    def note(self, number: int, proof: str) -> None:
        """Remember that a file is complete."""
        with self._notes.open("ab") as notes:
            notes.write(msgspec.json.encode((number, proof)) + b"\n")

    def forget(self, path: PurePosixPath) -> None:
        """Remove a file that is another one now."""
        self.path(path).unlink(missing_ok=True)

    def begun(self) -> int:
        """Return the bytes of files that are partly here."""
        return sum(each.stat().st_size for each in self._files.rglob(".*.part"))

    def keep(
        self, entries: list[Entry], paths: list[PurePosixPath], target: Path, *, overwrite: bool = False
    ) -> list[Path]:
        """Give all files their times and places, and remove this folder.

        A name that is taken gets a number, or with `overwrite` is replaced.
        """
        for entry, path in zip(entries, paths, strict=True):
            if entry.size != FOLDER:
                place = self.path(path)
                if entry.mode & 0o100:
                    place.chmod(place.stat().st_mode | 0o111 & ~_umask())
                os.utime(place, ns=(entry.changed, entry.changed))
        kept = [
            _placed(self._files / name, target, name, overwrite=overwrite)
            for name in dict.fromkeys(path.parts[0] for path in paths)
        ]
        shutil.rmtree(self._folder)
        return kept


class Tree:
    """All files of a sending, as they come in one folder.

    Args:
        place: of the folder until its parts get their places: the same list of files has the same one, so that the
            next attempt goes on.
        entries: the list.

    Attributes:
        path: the folder, when it is whole.
    """

    def __init__(self, place: Path, entries: list[Entry]) -> None:
        self.path: Path = place
        self._place = place
        self._trunk = trunk(entries)
        self._inner = entries[bool(self._trunk) :]
        self._first = len(entries) - len(self._inner)

    def fits(self, folder: IncomingFolder) -> bool:
        """Whether this is the folder of the list, as far as the offer tells."""
        size = sum(max(entry.size, 0) for entry in self._inner)
        return (folder.count, folder.size) == (len(self._inner), size)

    def proofs(self, folder: IncomingFolder) -> dict[int, str]:
        """Return the proof of each file of the list, by its number. Raises ExchangeError: it is another folder."""
        listed = [(entry.path.removeprefix(self._trunk), entry.size) for entry in self._inner]
        if listed != [(entry.path, FOLDER if entry.size is None else entry.size) for entry in folder.entries]:
            shutil.rmtree(self.path)
            raise ExchangeError("the sender sent other files than it had listed")
        files = (number for number, entry in enumerate(folder.entries) if entry.size is not None)
        return {self._first + number: folder.proofs[folder.entries[number].path] for number in files}

    def keep(self, paths: Sequence[str], target: Path, *, overwrite: bool) -> list[Path]:
        """Give all files their places, and their times to the nanosecond. Remove the folder around them.

        A name that is taken gets a number, or with `overwrite` is replaced.
        """
        for path, entry in zip(paths, self._inner, strict=True):
            if entry.size != FOLDER:
                os.utime(self.path / path, ns=(entry.changed, entry.changed))
        if self._trunk:
            kept = [_placed(self.path, target, names.safe(self._trunk), overwrite=overwrite)]
        else:
            tops = [path for path in paths if "/" not in path]
            kept = [_placed(self.path / top, target, names.safe(top), overwrite=overwrite) for top in tops]
        if not any(self._place.glob(".*.part")):  # another receiver may be at it
            shutil.rmtree(self._place)
        return kept


def _placed(source: Path, target: Path, name: str, *, overwrite: bool) -> Path:
    """Move a file or folder to its place, or merge it with the one that is there; return that place."""
    if overwrite:
        _merge(source, target / name)
        return target / name
    number = 0
    while os.path.lexists(place := target / names.numbered(name, number)):
        number += 1
    source.rename(place)
    return place


def check_places(entries: list[Entry], paths: list[PurePosixPath], target: Path) -> None:
    """Raise ExchangeError if a file would take the place of a folder, or a folder that of anything else."""
    for entry, path in zip(entries, paths, strict=True):
        place = target / path
        if os.path.lexists(place) and _is_folder(place) != (entry.size == FOLDER):
            what = "a folder" if entry.size == FOLDER else "a file"
            raise ExchangeError(f"{shown(str(path))} is {what}, and something else is there: it is not replaced")


def _merge(source: Path, place: Path) -> None:
    """Put a file in the place of another one, and the contents of a folder into another one.

    A symbolic link is replaced, and never followed.
    """
    if source.is_dir() and _is_folder(place):
        for each in list(source.iterdir()):
            _merge(each, place / each.name)
    elif source.is_dir() and os.path.lexists(place):
        raise FileExistsError(errno.EEXIST, "something else is there", str(place))
    else:
        source.replace(place)


def _is_folder(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now
