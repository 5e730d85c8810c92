"""A folder that is received: it is built in a hidden folder beside its place, and moved when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import threading
from typing import TYPE_CHECKING, BinaryIO

from adieu.errors import TransferError
from adieu.protocol.folders import Had
from adieu.session import disk, names
from adieu.session.files.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from adieu.protocol.folders import FolderEntry, Piece
    from adieu.session.files.scan import Digest

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Staging:
    """The received part of a folder, of one transfer alone, until it is whole and gets its place.

    Attributes:
        path: the hidden folder; what is received is below `tree` in it.
        size: bytes of files that are verified.
        proofs: path in the folder to the proof of each file that is whole, hex.
        skip: numbers of the entries that are not wanted, as files of their names are there.
    """

    def __init__(self, folder: Path, name: str, key: str, exists: str) -> None:
        """Take what an earlier transfer of the same folder left, if nobody else has; else begin.

        Args:
            folder: where the folder is to be.
            name: how it is to be called.
            key: equal for transfers of the same folder.
            exists: see `IncomingFolder.accept`.

        Raises:
            OSError: there is no such folder, no room, or no permission.
        """
        short = names.cut(name, names.MAX_NAME)
        self._target = folder / name
        self._exists = exists
        self.path: Path = folder / f".{short}.{key}.part"
        lock = self._open()
        if lock is None:  # somebody else has it, or this disk has no locks
            self.path = folder / f".{short}.{key[:8]}-{secrets.token_hex(4)}.part"
            self.path.mkdir()
            lock = (self.path / "lock").open("xb")
        self._lock: BinaryIO = lock
        self._tree = self.path / "tree"
        self._tree.mkdir(exist_ok=True)
        self.size: int = 0
        self.proofs: dict[str, str] = {}
        self.skip: set[int] = set()
        self._manifest = Manifest(0, 0)
        self._had: dict[int, tuple[int, Digest]] = {}
        self._n = -1
        """The entry of the last piece."""
        self._file: int | None = None
        self._at = 0
        self._proof: Digest = hashlib.sha256()
        self._guard = threading.Lock()
        """A thread cannot be interrupted: one that still writes is waited for before the file is closed."""
        self._closed = False

    def _open(self) -> BinaryIO | None:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir()
        if not stat.S_ISDIR(self.path.lstat().st_mode):
            raise TransferError(f"{self.path} is in the way")
        return disk.claim(self.path / "lock")

    # --- before the first byte ------------------------------------------------------------------------------------

    def prepare(self, manifest: Manifest) -> None:
        """Make the folders, see what is to be skipped, and remove what does not belong to it.

        Raises:
            OSError: a folder or a file cannot be made.
            TransferError: two names are one for this disk; or something is in the way at its place.
        """
        self._manifest = manifest
        self._check_names(manifest.paths)
        merged = self._exists != "rename" and os.path.lexists(self._target)
        if merged:
            self._check_target(manifest)
        wanted = dict(zip(manifest.paths, manifest.entries, strict=True))
        self._remove_others(wanted)
        for n, (path, entry) in enumerate(zip(manifest.paths, manifest.entries, strict=True)):
            if entry.size is None:
                (self._tree / path).mkdir(exist_ok=True)
            elif self._exists == "skip" and merged and os.path.lexists(self._target / path):
                self.skip.add(n)
                self.size += entry.size

    def _check_names(self, paths: Sequence[str]) -> None:
        if len({path.casefold() for path in paths}) < len(paths) and (self.path / "LOCK").exists():
            raise TransferError("the folder has names that differ in capitals alone, which are one for this disk")

    def _check_target(self, manifest: Manifest) -> None:
        """See whether both folders can be merged, before a byte is received for nothing."""
        for path, entry in [("", None), *zip(manifest.paths, manifest.entries, strict=True)]:
            place = self._target / path
            try:
                mode = place.lstat().st_mode
            except FileNotFoundError:
                continue
            if (entry is None or entry.size is None) != stat.S_ISDIR(mode):
                raise TransferError(f"{place} is in the way: one is a folder, and the other is not")

    def _remove_others(self, wanted: dict[str, FolderEntry]) -> None:
        """Remove from the tree what is not in the manifest of today, or of another kind."""
        for here, folders, files in os.walk(self._tree):
            below = os.path.relpath(here, self._tree).replace(os.sep, "/")
            before = "" if below == "." else f"{below}/"
            for name in [*folders]:
                entry = wanted.get(before + name)
                path = os.path.join(here, name)  # noqa: PTH118 a hundred thousand of them
                if entry is None or entry.size is not None or os.path.islink(path):  # noqa: PTH114
                    folders.remove(name)
                    os.unlink(path) if os.path.islink(path) else shutil.rmtree(path)  # noqa: PTH108, PTH114
            for name in files:
                entry = wanted.get(before + name)
                if entry is None or entry.size is None:
                    os.unlink(os.path.join(here, name))  # noqa: PTH108, PTH118

    def found(self, chunk: int) -> Iterator[Had | None]:
        """Yield what is here of each file, once it is hashed. None: nothing new; the caller may stop."""
        manifest = self._manifest
        for n, entry in enumerate(manifest.entries):
            if not entry.size or n in self.skip:
                continue
            try:
                file = os.open(self._place(n), _FLAGS & ~os.O_CREAT)
            except FileNotFoundError:
                continue
            with os.fdopen(file, "r+b", buffering=0) as opened:
                here = os.fstat(file).st_size
                here = 0 if here > entry.size else here if here == entry.size else here - here % chunk
                opened.truncate(here)
                proof = hashlib.sha256()
                for at in range(0, here, chunk):
                    proof.update(hashlib.sha256(opened.read(min(chunk, here - at))).digest())
                    if at and not at % disk.SLICE:
                        yield None
            if here:
                self._had[n] = here, proof
                self.size += here
                yield Had(n=n, size=here, proof=proof.hexdigest())

    def _place(self, n: int) -> str:
        return f"{self._tree}/{self._manifest.paths[n]}"

    # --- the pieces -----------------------------------------------------------------------------------------------

    def add(self, pieces: Sequence[Piece], chunk: int) -> None:
        """Save some pieces.

        Raises:
            OSError: one cannot be saved.
            TransferError: a piece is not what its hash says, or not the next one.
        """
        with self._guard:
            for piece in pieces:
                self._add(piece, chunk)

    def _add(self, piece: Piece, chunk: int) -> None:
        digest = hashlib.sha256(piece.data).digest()
        if digest != piece.hash:
            raise TransferError("it arrived damaged: a piece is not what its hash says")
        if piece.n != self._n:
            self._next_file(piece.n, piece.at)
        size = self._manifest.entries[piece.n].size or 0
        if self._file is None or piece.at != self._at or len(piece.data) != min(chunk, size - piece.at):
            raise TransferError("it arrived damaged: a piece is not the next one")
        _write(self._file, piece.data)
        self._at += len(piece.data)
        self.size += len(piece.data)
        self._proof.update(digest)
        if self._at == size:
            file, self._file = self._file, None
            self._stamp(self._n, file)
            self._note(self._n, self._proof)

    def _next_file(self, n: int, at: int) -> None:
        """Note that the files before this one are whole, and open it."""
        if self._closed or self._file is not None or not self._n < n < len(self._manifest.entries):
            raise TransferError("it arrived damaged: a piece of another file came")
        self._pass_to(n)
        entry = self._manifest.entries[n]
        if not entry.size or n in self.skip:
            raise TransferError("it arrived damaged: a piece came that was not asked for")
        here, proof = self._had.pop(n, (0, hashlib.sha256()))
        if at != here:  # the sender has other bytes
            self.size -= here
            here, proof = 0, hashlib.sha256()
        self._file = os.open(self._place(n), _FLAGS, 0o666)
        os.ftruncate(self._file, here)
        os.lseek(self._file, here, os.SEEK_SET)
        self._n, self._at, self._proof = n, here, proof

    def _pass_to(self, end: int) -> None:
        """Note the files from the last one up to this one: they are empty, whole here, or skipped."""
        manifest = self._manifest
        for n in range(self._n + 1, end):
            entry = manifest.entries[n]
            if entry.size is None or n in self.skip:
                continue
            here, proof = self._had.pop(n, (0, hashlib.sha256()))
            if here != entry.size:
                raise TransferError(f"it arrived damaged: {entry.path[:100]!r} is missing")
            file = os.open(self._place(n), _FLAGS, 0o666)
            self._stamp(n, file)
            self._note(n, proof)
        self._n = end - 1

    def _stamp(self, n: int, file: int) -> None:
        entry = self._manifest.entries[n]
        made = os.fstat(file)
        os.close(file)
        disk.stamp(self._place(n), made, entry.modified, entry.mode)

    def _note(self, n: int, proof: Digest) -> None:
        self.proofs[self._manifest.entries[n].path] = proof.hexdigest()

    # --- the end --------------------------------------------------------------------------------------------------

    def end(self) -> list[bytes]:
        """Note that all pieces are here. Return the proofs of the files that were not skipped, in order.

        Raises:
            TransferError: they are not.
        """
        if self._file is not None:
            raise TransferError("it arrived damaged: a file is not complete")
        manifest = self._manifest
        self._pass_to(len(manifest.entries))
        return [
            bytes.fromhex(self.proofs[entry.path])
            for n, entry in enumerate(manifest.entries)
            if entry.size is not None and n not in self.skip
        ]

    def keep(self) -> Path:
        """Give it its place.

        Raises:
            OSError: it cannot have it.
            TransferError: something came in its way meanwhile.
        """
        manifest = self._manifest
        path = self._merge(manifest) if self._exists != "rename" and os.path.lexists(self._target) else self._move()
        for place, entry in reversed([*zip(manifest.paths, manifest.entries, strict=True)]):
            if entry.size is None:  # after what is in it: that changes its time
                here = path / place
                disk.stamp(here, here.lstat(), entry.modified, entry.mode)
        self._remove()
        return path

    def _move(self) -> Path:
        number = 0
        while True:
            path = self._target.with_name(names.numbered(self._target.name, number))
            try:
                path.mkdir()
                break
            except FileExistsError:
                number += 1
        try:
            if os.name == "nt":
                path.rmdir()  # a folder takes the place of an empty one, but not there
            self._tree.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                path.rmdir()
            raise
        return path

    def _merge(self, manifest: Manifest) -> Path:
        self._check_target(manifest)
        for n, (path, entry) in enumerate(zip(manifest.paths, manifest.entries, strict=True)):
            place = self._target / path
            if entry.size is None:
                place.mkdir(exist_ok=True)
            elif n not in self.skip and not (self._exists == "skip" and os.path.lexists(place)):
                (self._tree / path).replace(place)
        return self._target

    def _remove(self) -> None:
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Release it. It stays where the next transfer of the same folder finds it."""
        with self._guard:
            self._closed = True
            if self._file is not None:
                os.close(self._file)
                self._file = None
            self._lock.close()

    def drop(self) -> None:
        """Remove it, which is useless."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _write(file: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
