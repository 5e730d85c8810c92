"""The side that receives. It proves the code and takes the files that it lacks. The next attempt goes on from there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import msgspec

from adieu.cli.sending.display import files_in_words, path_in_words, shown
from adieu.cli.sending.listing import FOLDER, digest, identity, safe_paths
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
    exchange,
)
from adieu.cli.sending.proof import Pin, prove_as_receiver
from adieu.cli.sending.sender import ROLE
from adieu.cli.sending.tries import WrongCodeError
from adieu.errors import SessionError, TransferError
from adieu.session import names
from adieu.session.pair import is_wanted

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from adieu.cli.sending.code import Code
    from adieu.cli.sending.display import Display
    from adieu.cli.sending.link import Link
    from adieu.protocol.signaling import Peer
    from adieu.session import CloseReceipt, IncomingFile, Room, Session
    from adieu.webrtc import RTCPeerConnection

TO_MEET = 60.0
"""Seconds to wait for the sender."""
MAX_WRONG = 3
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
        self._ice: list[dict[str, Any]] = []
        self.room: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self._folder = folder
        self._overwrite = overwrite
        self._secret = secret
        self._display = display
        self._under_way: dict[int, int] = {}

    def connect(self) -> RTCPeerConnection:
        """Return a new connection for a session."""
        return self.pin.connection(self._ice)

    async def accept(self, peer: Peer) -> bool:
        """Accept the sender alone: other receivers may be here too."""
        room = await asyncio.shield(self.room)
        self._ice, _ = await room.client.ice_servers()
        return peer.meta.get(ROLE) == "sender"

    async def run(self, room: Room) -> int:
        """Take everything from the sender. Return the exit code."""
        self.room.set_result(room)
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
                self._display.say("failed", f"cannot go on: {error}")
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
        self.entries = await self._list(line)
        try:
            return await self._take_all(session, line)
        except OSError as error:
            why = f"{shown(str(error.filename or ''))}: {error.strerror or error}"
            await line.send(Failed(why[:500]))
            raise ExchangeError(why) from None
        except ExchangeError as error:
            await line.send(Failed(str(error)[:500]))
            raise

    async def _list(self, line: Line) -> list[Entry]:
        entries: list[Entry] = []
        characters = 0
        last = False
        while not last:
            heard = await exchange(line, None, Entries, patience=None)  # it may wait for its own stdin
            entries += heard.entries
            characters += sum(len(entry.path) for entry in heard.entries)
            last = heard.last
            if len(entries) > MAX_ENTRIES or characters > MAX_PATHS:
                raise ExchangeError(f"the sender's list has more than {MAX_ENTRIES} entries, or very long paths")
        return entries

    async def _take_all(self, session: Session, line: Line) -> int:
        paths = await asyncio.to_thread(safe_paths, self.entries)
        if self._overwrite:
            await asyncio.to_thread(check_places, self.entries, paths, self._folder)
        part = Partial(self._folder / f".adieu-{identity(self.entries)}")
        await asyncio.to_thread(part.prepare, self.entries, paths)
        self.proofs = await asyncio.to_thread(part.known)
        await self._compare(line, part, paths)
        self._check_room(part)
        total = sum(max(entry.size, 0) for entry in self.entries)
        count = sum(entry.size != FOLDER for entry in self.entries)
        first = ", ".join(dict.fromkeys(shown(path.parts[0]) for path in paths[:5]))
        self._display.say("receiving", f"Receiving {files_in_words(count, total)}: {first}", files=count, bytes=total)
        missing = {number for number, entry in enumerate(self.entries) if entry.size != FOLDER} - set(self.proofs)
        await self._receive(session, line, part, paths, missing)
        self.kept = await asyncio.to_thread(part.keep, self.entries, paths, self._folder, overwrite=self._overwrite)
        own = digest(self.entries, self.proofs)
        theirs = await exchange(line, Done(own), Done)
        if theirs.digest != own:
            raise ExchangeError("the sender's list of hashes differs from this one")
        self.receipt = receipt = await session.wait_closed()
        self._display.end()
        if not (receipt.confirmed and receipt.clean):
            self._display.say("unconfirmed", f"The files arrived, but the end was not confirmed: {receipt.notice}")
            return 1
        return 0

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
                    over.set_exception(ExchangeError(str(error)))
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
            if number not in missing or number in self._under_way or file.size != self.entries[number].size:
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
        failed = asyncio.create_task(exchange(line, None, Done, patience=None))
        closed = asyncio.create_task(session.wait_closed())
        try:
            waited: set[asyncio.Future[Any]] = {over, failed, closed}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                over.result()
            elif failed.done():
                failed.result()
                raise ExchangeError("the sender says that all is sent, but files are missing")
            else:
                raise SessionError(closed.result().notice)
        finally:
            session.off("file", offered)
            for each in (failed, closed, *tasks):
                each.cancel()
            await asyncio.wait({failed, closed, *tasks})
            over.cancel()

    def _tell(self) -> None:
        done = sum(self.entries[number].size for number in self.proofs) + sum(self._under_way.values())
        self._display.progress(done, sum(max(entry.size, 0) for entry in self.entries))


class Partial:
    """A folder for files until all have arrived.

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
        kept: list[Path] = []
        for name in dict.fromkeys(path.parts[0] for path in paths):
            if overwrite:
                _merge(self._files / name, target / name)
                kept.append(target / name)
                continue
            number = 0
            while os.path.lexists(place := target / names.numbered(name, number)):
                number += 1
            (self._files / name).rename(place)
            kept.append(place)
        shutil.rmtree(self._folder)
        return kept


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
