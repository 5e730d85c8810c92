"""Files on disk: reading and hashing the sent ones, and saving received ones once they are verified.

Slow parts are for worker threads, one part after the other. The owner of a file opens and closes it: a task that is
cancelled while a thread opens a file would never get the handle.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import threading
from typing import TYPE_CHECKING, BinaryIO
from weakref import WeakValueDictionary

from adieu.errors import TransferError
from adieu.protocol.control import HASH, MAX_MODE
from adieu.protocol.words import MAX_COUNT
from adieu.session import names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READ = 1024 * 1024
"""Bytes read at once where no chunk says how many."""
SLICE = 64 * READ
"""Bytes hashed in one go: a thread cannot be interrupted, and this takes a twentieth of a second."""
SYSTEM_FILE = 4096
"""Bytes: files of the system (`/proc`, `/sys`) claim to have nothing or a page, whatever is in them."""
MAX_SYSTEM_FILE = 1024 * 1024


class Source:
    """A file to be sent. All transfers of the same one share it, so that each chunk is hashed once.

    Attributes:
        path: where it is.
        size: bytes, when it was looked at; so many are sent.
        key: equal only for the same bytes at the same place.
        modified: when it was changed, in microseconds since 1970; None: unknown.
        mode: its permission bits; None: unknown.
        hashed: bytes that were hashed so far.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._stat = os.fstat(file.fileno())
        self._all: bytes | None = None
        self.path = path
        self.size: int = self._stat.st_size
        if self.size <= SYSTEM_FILE:
            self._read_at_once(file)
        self.key: str = hashlib.sha256(repr((str(path.absolute()), self.identity(self._stat))).encode()).hexdigest()[
            :32
        ]
        self.modified: int | None = changed(self._stat)
        self.mode: int | None = stat.S_IMODE(self._stat.st_mode) & MAX_MODE
        self._forget_hashes()

    def _forget_hashes(self) -> None:
        self.hashed: int = 0
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._whole = ""
        self._lock = threading.Lock()
        self._whole_lock = threading.Lock()

    @staticmethod
    def identity(found: os.stat_result) -> tuple[int, ...]:
        """Return a key that differs for another file, or for other bytes."""
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read_at_once(self, file: BinaryIO) -> None:
        data = file.read(MAX_SYSTEM_FILE + 1)
        if len(data) == self.size:
            return
        if len(data) > MAX_SYSTEM_FILE:
            raise OSError(errno.EFBIG, f"it claims to have {self.size} bytes and has more; send a copy", str(self.path))
        self._all, self.size = data, len(data)

    def open(self) -> BinaryIO | None:
        """Open the file for reading; None if that needs no handle.

        Raises:
            OSError: the file cannot be read.
            TransferError: the file is not the one that was offered.
        """
        if self._all is not None:
            return None
        file = _open(self.path)
        found = os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) != (self._stat.st_dev, self._stat.st_ino):
            file.close()
            raise TransferError(f"{self.path} is another file than the one that was offered")
        return file

    def chunk(self, file: BinaryIO | None, index: int, size: int, room: memoryview) -> memoryview:
        """One chunk, and its SHA-256 after it, at the beginning of `room`.

        Raises:
            OSError: the file cannot be read.
            TransferError: the file has changed since it was offered.
        """
        data = room[: min(size, self.size - index * size)]
        self.fill(file, index * size, data)
        end = len(data) + HASH
        room[len(data) : end] = self._hash(file, index, size, data)
        return room[:end]

    def chunks(self, file: BinaryIO | None, indices: range, size: int, room: bytearray) -> list[tuple[int, memoryview]]:
        """Several of them at once, with their indices: each hand-over to a thread has its price; see `chunk`."""
        view = memoryview(room)
        step = size + HASH
        return [(index, self.chunk(file, index, size, view[at * step :])) for at, index in enumerate(indices)]

    def skip(self, file: BinaryIO | None, index: int, size: int) -> bytes:
        """The hash of a chunk that the other side has already; see `chunk`."""
        known = self._hashes.get((index, size))
        return known or self._hash(file, index, size, self.read(file, index * size, size))

    def _hash(self, file: BinaryIO | None, index: int, size: int, data: bytearray | memoryview) -> bytes:
        if not self._unchanged(file):
            # It grew: what it had is sent still. A hash that was made before may be of other bytes.
            return hashlib.sha256(data).digest()
        with self._lock:
            known = self._hashes.get((index, size))
            if known is None:
                known = self._hashes[index, size] = hashlib.sha256(data).digest()
                self.hashed += len(data)
            return known

    def _unchanged(self, file: BinaryIO | None) -> bool:
        if file is None:
            return True
        found = os.fstat(file.fileno())
        if found.st_size < self.size:
            raise TransferError(f"{self.path} became shorter while it was sent")
        if found.st_mtime_ns == self._stat.st_mtime_ns:
            return True
        if found.st_size == self._stat.st_size:
            raise TransferError(f"{self.path} was changed while it was sent")
        return False

    def read(self, file: BinaryIO | None, at: int, size: int) -> bytearray:
        """At most `size` bytes from `at` on, as far as the file was offered; see `fill`."""
        data = bytearray(min(size, self.size - at))
        self.fill(file, at, memoryview(data))
        return data

    def fill(self, file: BinaryIO | None, at: int, data: memoryview) -> None:
        """Read bytes from `at` on.

        Raises:
            OSError: the file cannot be read.
            TransferError: it has become shorter.
        """
        if file is None:
            data[:] = (self._all or b"")[at : at + len(data)]
            return
        file.seek(at)
        if file.readinto(data) < len(data):  # type: ignore[attr-defined]
            raise TransferError(f"{self.path} became shorter while it was sent")

    def whole(self, file: BinaryIO | None, stopped: Callable[[], bool]) -> str:
        """Return the SHA-256 of the whole file in hex, for the first version of the protocol. Can be stopped early."""
        with self._whole_lock:
            if not self._whole:
                digest = hashlib.sha256()
                for at in range(0, self.size, READ):
                    if stopped():
                        return ""
                    digest.update(self.read(file, at, READ))
                    self.hashed += min(READ, self.size - at)
                self._whole = digest.hexdigest()
            return self._whole


class Memory(Source):
    """Bytes to be sent: a source without a file."""

    def __init__(self, data: bytes) -> None:
        self._all = data
        self.size: int = len(self._all)
        self.key: str = hashlib.sha256(self._all).hexdigest()[:32]
        self.modified: int | None = None
        self.mode: int | None = None
        self._forget_hashes()


_sources: WeakValueDictionary[tuple[str, tuple[int, ...]], Source] = WeakValueDictionary()
_sources_lock = threading.Lock()


def source(path: Path) -> Source:
    """The file at `path`; while another transfer of it runs, and it has not changed, the same source.

    Raises:
        OSError: it cannot be read, or is no file; the path is named.
    """
    with _open(path) as file:
        key = (str(path.absolute()), Source.identity(os.fstat(file.fileno())))
        with _sources_lock:
            known = _sources.get(key)
        if known is not None:
            return known
        made = Source(path, file)
    with _sources_lock:
        return _sources.setdefault(key, made)


def _open(path: Path) -> BinaryIO:
    # Looked at before it is opened: to open a pipe waits for whoever writes into it.
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder; send the files in it, or an archive of it", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no file but a device, a pipe or a socket; send a copy", str(path))
    return path.open("rb")


class Part:
    """The received part of a file, of one transfer alone, until it is complete and gets its name.

    Attributes:
        path: its temporary path.
        size: bytes that are verified or, without chunks, hashed.
    """

    def __init__(self, folder: Path, name: str, key: str) -> None:
        """Take what an earlier transfer of the same file left, if nobody else has; else begin.

        Args:
            folder: where the file is to be.
            name: how it is to be called.
            key: equal for transfers of the same file.

        Raises:
            OSError: there is no such folder, no room, or no permission.
        """
        short = names.cut(name, names.MAX_NAME)
        self._target = folder / name
        with contextlib.suppress(FileNotFoundError):
            self._target.lstat()  # a name that this disk cannot have is known now, not at the end
        self.path: Path = folder / f".{short}.{key}.part"
        self._found = self.path
        claimed = claim(self.path)
        if claimed is None:
            self.path = folder / f".{short}.{key[:8]}-{secrets.token_hex(4)}.part"
            claimed = self.path.open("x+b")
        self._file: BinaryIO = claimed
        self.size: int = 0
        self._digest = hashlib.sha256()

    def found(self, size: int, chunk: int) -> int:
        """Bytes that are here of a file of `size`: whole chunks only. The rest is cut off."""
        here = os.fstat(self._file.fileno()).st_size
        if here > size:
            here = 0
        elif here < size:
            here -= here % chunk
        self._file.truncate(here)
        return here

    def rehash(self, until: int, chunk: int | None) -> bool:
        """Hash a part of the found bytes, up to `until` in all. Return whether that is done.

        Args:
            until: bytes, as returned by `found`.
            chunk: bytes; None: one hash of the whole.
        """
        self._file.seek(self.size)
        stop = min(until, self.size + SLICE)
        while self.size < stop:
            data = self._file.read(min(chunk or READ, until - self.size))
            if not data:
                raise TransferError(f"{self.path} became shorter")
            self._digest.update(hashlib.sha256(data).digest() if chunk else data)
            self.size += len(data)
        self._file.seek(self.size)
        return self.size == until

    def add_proved(self, message: bytes, size: int) -> None:
        """A chunk of `size` bytes with its hash after it.

        Raises:
            OSError: the data cannot be saved.
            TransferError: it is not what its hash says.
        """
        data = memoryview(message)[:-HASH]
        digest = hashlib.sha256(data).digest()
        if len(data) != size or digest != message[-HASH:]:
            raise TransferError("it arrived damaged: a piece is not what its hash says")
        self._write(data)
        self._digest.update(digest)

    def add(self, data: bytes) -> None:
        """Bytes of a file that is proved as a whole. Raises OSError when they cannot be kept."""
        self._write(data)
        self._digest.update(data)

    def add_all(self, messages: list[bytes], size: int, chunk: int | None) -> None:
        """Save received data of a file of `size` bytes: chunks with their hashes, or bytes.

        Raises:
            OSError: the data cannot be saved.
            TransferError: a hash does not match, or the data is larger than the offer.
        """
        for message in messages:
            if chunk is not None:
                self.add_proved(message, min(chunk, size - self.size))
            elif self.size + len(message) <= size:
                self.add(message)
            else:
                raise TransferError("the sender sent more than it offered")

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._file.flush()
        self.size += len(data)

    @property
    def proof(self) -> str:
        """The hash over all that is here: of the bytes, or of the hashes of the chunks. Hex."""
        return self._digest.hexdigest()

    def keep(self, *, overwrite: bool = False, modified: int | None = None, mode: int | None = None) -> Path:
        """Give it its name.

        Args:
            overwrite: replace a file that has the name; else the new one gets a number.
            modified: its time, in microseconds since 1970; None: now.
            mode: its permission bits; None: as other files that are made here.

        Raises:
            OSError: it cannot have it.
            TransferError: somebody has touched it.
        """
        mine = os.fstat(self._file.fileno())
        if mine.st_size != self.size or not _is(self.path, mine):
            raise TransferError(f"somebody else has changed {self.path} while it came")
        if os.name == "nt":
            self._file.close()  # an open file cannot be moved there
        stamp(self.path, mine, modified, mode)
        if overwrite:
            self.path.replace(self._target)
            return self._target
        number = 0
        while True:
            path = self._target.with_name(names.numbered(self._target.name, number))
            try:
                self._move_to(path)
            except FileExistsError:
                number += 1
            else:
                return path

    def _move_to(self, path: Path) -> None:
        """Give it this name, if nothing has it.

        Raises:
            FileExistsError: something has it.
            OSError: it cannot have it.
        """
        try:
            # To take the place of a file, even of an empty one, can wait until all bytes are on the disk (ext4).
            os.link(self.path, path)
        except FileExistsError:
            raise
        except OSError:  # this disk has no links
            path.touch(exist_ok=False)
            try:
                self.path.replace(path)
            except BaseException:
                path.unlink()
                raise
        else:
            self.path.unlink()

    def drop(self) -> None:
        """Remove the part, which is useless."""
        if _is(self.path, os.fstat(self._file.fileno())):
            self._remove()

    def close(self) -> None:
        """Release the part. It stays where the next transfer of the same file finds it."""
        try:
            if self.path != self._found and not self._file.closed and _is(self.path, os.fstat(self._file.fileno())):
                self._give_back()
        finally:
            with contextlib.suppress(OSError):  # what could not be written has been said
                self._file.close()

    def _give_back(self) -> None:
        with contextlib.suppress(OSError):  # there is one already, or this disk has no links
            os.link(self.path, self._found)
        self._remove()

    def _remove(self) -> None:
        if os.name == "nt":
            self._file.close()
        self.path.unlink(missing_ok=True)


def changed(found: os.stat_result) -> int | None:
    """Return when a file was changed, in microseconds since 1970; None: no number of a message has room for it."""
    modified = max(found.st_mtime_ns // 1000, 0)
    return modified if modified <= MAX_COUNT else None


def stamp(path: str | Path, made: os.stat_result, modified: int | None, mode: int | None) -> None:
    """Give a file or a folder that was made here its time and its permissions.

    It has no permission that those made here do not have; a reader of a file may execute it. The owner
    keeps the permissions to change it again.

    Args:
        path: where it is; a link is not followed.
        made: how it was when it was made.
        modified: microseconds since 1970; None: as it is.
        mode: the permission bits; None: as they are.
    """
    if mode is not None and os.name != "nt":
        most = made.st_mode & MAX_MODE
        owner = stat.S_IRUSR | stat.S_IWUSR | (stat.S_IXUSR if stat.S_ISDIR(made.st_mode) else 0)
        # Permissions or a time that this disk cannot have are no reason to lose a file.
        with contextlib.suppress(OSError):
            os.chmod(path, mode & (most | (most & 0o444) >> 2) | owner)  # noqa: PTH101 of thousands of files
    if modified is not None:
        with contextlib.suppress(OSError, OverflowError):
            os.utime(path, ns=(modified * 1000, modified * 1000))


def check_free(folder: Path, size: int) -> None:
    """See whether so many bytes have room.

    Raises:
        OSError: there is no such folder.
        TransferError: they have not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise TransferError(f"{size} bytes are to come, but the disk of {folder} has {free} bytes left")


def claim(path: Path) -> BinaryIO | None:
    """Open it for this transfer alone, made if need be; None: somebody else has it."""
    for _ in range(8):
        # No link is followed: in a folder of several people somebody else might have put it there.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags, 0o666), "r+b")
        try:
            if not _locked(file):
                file.close()
                return None
            if _is(path, os.fstat(file.fileno())):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # it got its name, or was removed, between opening and locking
    return None


def _is(path: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.lstat(), found)
    except FileNotFoundError:
        return False


def _locked(file: BinaryIO) -> bool:
    """Lock it, for as long as it is open; whether nobody else has."""
    try:
        import fcntl  # noqa: PLC0415 not on Windows
    except ImportError:
        return _locked_on_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _locked_on_windows(file: BinaryIO) -> bool:
    import msvcrt  # noqa: PLC0415 only there

    file.seek(2**31 - 2)  # the last place that `locking` can have: others cannot read a locked byte
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    finally:
        file.seek(0)
    return True
