"""The files and folders of one transfer: their list, and their bytes in pieces; how those in a folder are found."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Protocol

from adieu.errors import TransferError
from adieu.protocol import folders
from adieu.protocol.control import MAX_MODE
from adieu.protocol.folders import FolderEntry, Piece
from adieu.protocol.text import sendable
from adieu.session import disk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from adieu.session.files.excludes import Excludes

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A link that has taken a file's place is not followed, and a pipe not waited for."""


class Digest(Protocol):
    """A hash under way, as `hashlib.sha256()` returns it."""

    def update(self, data: bytes, /) -> None: ...  # noqa: D102
    def digest(self) -> bytes: ...  # noqa: D102
    def hexdigest(self) -> str: ...  # noqa: D102


class Selection:
    """Files and folders that one transfer sends, as they were when they were looked at.

    Attributes:
        entries: of each, what the other side reads; each folder before what is in it.
        left_out: the paths of links, devices and what cannot be read.
        size: bytes of all files.
        key: equal only for the same selection, 32 hex digits.
    """

    def __init__(self, key: str) -> None:
        self.entries: list[FolderEntry] = []
        self.left_out: list[str] = []
        self.size: int = 0
        self.key: str = key
        self._places: list[str] = []
        self._found: list[os.stat_result] = []

    @property
    def files(self) -> int:
        """The number of files."""
        return sum(entry.size is not None for entry in self.entries)

    def add(self, place: str, path: str, found: os.stat_result) -> None:
        """Add a file or a folder.

        Args:
            place: where it is.
            path: what the other side reads.
            found: what is known of it.

        Raises:
            ValueError: it is too much for one transfer.
        """
        if len(self.entries) >= folders.MAX_ENTRIES:
            raise ValueError(f"there are more than {folders.MAX_ENTRIES} files and folders: send an archive of them")
        if len(path) > folders.MAX_PATH or path.count("/") >= folders.MAX_DEPTH:
            raise ValueError(f"the path {path[:100]!r}… is too long or too deep: send an archive")
        size = found.st_size if stat.S_ISREG(found.st_mode) else None
        mode = stat.S_IMODE(found.st_mode) & MAX_MODE
        self.entries.append(FolderEntry(path=path, size=size, modified=disk.changed(found), mode=mode))
        self._places.append(place)
        self._found.append(found)
        self.size += size or 0

    def pieces(
        self,
        chunk: int,
        had: dict[int, tuple[int, str]],
        skip: set[int],
        proofs: dict[str, str],
        stopped: Callable[[], bool],
    ) -> Iterator[Piece]:
        """Yield all pieces of the files, in order.

        Args:
            chunk: bytes of a piece, but the last of a file.
            had: number of an entry to the part that the other side has: bytes, and their proof.
            skip: numbers of entries that it does not want.
            proofs: gets the proof of each file, when it is known.
            stopped: whether the rest is wanted no longer.

        Raises:
            OSError: a file cannot be read.
            TransferError: a file is another than it was; the path is named.
        """
        for n, entry in enumerate(self.entries):
            if entry.size is None or n in skip:
                continue
            digest = yield from self._of_file(n, entry.size, chunk, had.get(n), stopped)
            if stopped():
                return
            proofs[entry.path] = digest.hexdigest()

    def _of_file(
        self, n: int, size: int, chunk: int, had: tuple[int, str] | None, stopped: Callable[[], bool]
    ) -> Generator[Piece, None, Digest]:
        """Yield the pieces that are wanted of a file; return the hash over those of all its chunks."""
        proof = hashlib.sha256()
        if not size:
            return proof
        file = os.open(self._places[n], _FLAGS)
        try:
            self._check(n, file)
            begin = 0
            if had is not None and had[0] <= size:
                begin = had[0]
                for at in range(0, begin, chunk):
                    if stopped():
                        return proof
                    proof.update(hashlib.sha256(self._read(n, file, at, min(chunk, begin - at))).digest())
                if proof.hexdigest() != had[1]:  # other bytes: all of it is sent
                    begin, proof = 0, hashlib.sha256()
            for at in range(begin, size, chunk):
                data = self._read(n, file, at, min(chunk, size - at))
                digest = hashlib.sha256(data).digest()
                proof.update(digest)
                yield Piece(n, at, data, digest)
            self._check(n, file)
            return proof
        finally:
            os.close(file)

    def _read(self, n: int, file: int, at: int, size: int) -> bytes:
        os.lseek(file, at, os.SEEK_SET)
        data = os.read(file, size)
        if len(data) < size:
            raise TransferError(f"{self._places[n]} became shorter while the folder was sent")
        return data

    def _check(self, n: int, file: int) -> None:
        now, then = os.fstat(file), self._found[n]
        if (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
            then.st_dev,
            then.st_ino,
            then.st_size,
            then.st_mtime_ns,
        ):
            raise TransferError(f"{self._places[n]} was changed while the folder was sent; send it again")


class Scan(Selection):
    """Everything in a folder, sorted by name; equal keys are equal folders.

    Attributes:
        root: the folder.
    """

    def __init__(self, root: Path, excluded: Excludes) -> None:
        """Look at it.

        Raises:
            OSError: it cannot be read, or is no folder.
            ValueError: it is too much for one transfer.
        """
        found = root.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(f"{root} is no folder; send it as a file")
        identity = (str(root.absolute()), found.st_dev, found.st_ino)
        super().__init__(hashlib.sha256(repr(identity).encode(errors="surrogatepass")).hexdigest()[:32])
        self.root = root
        self._excluded = excluded
        self._look(str(root), "")

    def _look(self, place: str, path: str) -> None:
        seen: set[str] = set()
        with os.scandir(place) as inside:
            inner = sorted(inside, key=lambda each: each.name)
        for each in inner:
            name = sendable(each.name, folders.MAX_PATH)
            below = f"{path}/{name}" if path else name
            try:
                found = each.stat(follow_symlinks=False)
            except OSError:
                self.left_out.append(each.path)
                continue
            is_folder = stat.S_ISDIR(found.st_mode)
            if self._excluded(below, folder=is_folder):
                continue
            wanted = is_folder or stat.S_ISREG(found.st_mode)
            if name in seen or not wanted or not os.access(each.path, os.R_OK | (os.X_OK if is_folder else 0)):
                self.left_out.append(each.path)
                continue
            seen.add(name)
            self.add(each.path, below, found)
            if is_folder:
                self._look(each.path, below)


def messages(pieces: Iterator[Piece], most: int) -> Iterator[tuple[bytes, int]]:
    """Yield the messages that carry some pieces, each with the number of bytes of the pieces in it.

    Args:
        pieces: each of at most `most` bytes.
        most: bytes of all pieces of a message.
    """
    some: list[Piece] = []
    size = 0
    for piece in pieces:
        if some and (len(some) >= folders.AT_ONCE or size + len(piece.data) > most):
            yield folders.encode_pieces(some), size
            some, size = [], 0
        some.append(piece)
        size += len(piece.data)
    if some:
        yield folders.encode_pieces(some), size
