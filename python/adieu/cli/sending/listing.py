"""The list of files and folders that are sent: from one disk, to safe paths on the other."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from adieu.cli.sending.messages import MAX_ENTRIES, MAX_PATH, MAX_PATHS, Entry, ExchangeError
from adieu.protocol.text import sendable
from adieu.session import names
from adieu.session.files.scan import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from adieu.session.files.excludes import Excludes

FOLDER = -1
MAX_DEPTH = 100


@dataclass(slots=True)
class Listing:
    """The files and folders that one side sends.

    Attributes:
        excluded: the things in folders that are left out without a word, because somebody asked for it.
        entries: as the receiver sees them.
        paths: of each entry on this disk.
        left_out: links, devices and unreadable or vanished things, which are not sent.
        found: what is known of each entry here.
        proofs: of files that were hashed already, by their numbers.
    """

    excluded: Excludes | None = None
    entries: list[Entry] = field(default_factory=list[Entry])
    paths: list[Path] = field(default_factory=list[Path])
    found: list[os.stat_result] = field(default_factory=list[os.stat_result])
    left_out: list[str] = field(default_factory=list[str])
    proofs: dict[int, str] = field(default_factory=dict[int, str])
    _characters: int = 0

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(max(entry.size, 0) for entry in self.entries)

    @property
    def files(self) -> list[int]:
        """Return the numbers of the files."""
        return [number for number, entry in enumerate(self.entries) if entry.size != FOLDER]

    def add(self, path: Path, name: str = "") -> None:
        """Add a file, or a folder with everything in it.

        Raises:
            OSError: it cannot be read.
            ValueError: it is too much, or no file.
        """
        found = path.stat()
        name = sendable(name or path.resolve().name, MAX_PATH) or names.NO_NAME
        if stat.S_ISREG(found.st_mode):
            self._append(path, name, found)
        elif stat.S_ISDIR(found.st_mode):
            self._add_folder(path, name, found)
        else:
            raise ValueError(f"{path} is no file and no folder; give - to send what comes by a pipe")

    def whole(self) -> Selection | None:
        """Return all of it for one transfer; None: it has paths, or names, that a folder cannot have."""
        begin = trunk(self.entries)
        selection = Selection(identity(self.entries, 32))
        folders, seen = {""}, set[str]()
        try:
            for entry, path, found in [*zip(self.entries, self.paths, self.found, strict=True)][bool(begin) :]:
                inner = entry.path.removeprefix(begin)
                above, _, name = inner.rpartition("/")
                if above not in folders or inner in seen or name in {"", ".", ".."}:
                    return None  # a name that was given, or two of one name
                seen.add(inner)
                if entry.size == FOLDER:
                    folders.add(inner)
                selection.add(str(path), inner, found)
        except ValueError:
            return None
        return selection

    def _add_folder(self, path: Path, name: str, found: os.stat_result, below: str = "") -> None:
        self._append(path, name, found)
        for inner in sorted(os.scandir(path), key=lambda each: each.name):
            inner_name = f"{name}/{sendable(inner.name, MAX_PATH)}"
            inner_below = f"{below}{inner.name}"
            try:
                found = inner.stat(follow_symlinks=False)
                if self.excluded is not None and self.excluded(inner_below, folder=stat.S_ISDIR(found.st_mode)):
                    continue
                if stat.S_ISDIR(found.st_mode):
                    self._add_folder(Path(inner.path), inner_name, found, f"{inner_below}/")
                elif stat.S_ISREG(found.st_mode) and os.access(inner.path, os.R_OK):
                    self._append(Path(inner.path), inner_name, found)
                else:
                    self.left_out.append(inner.path)
            except OSError:  # it may not be read, or is gone since the folder was read
                self.left_out.append(inner.path)

    def _append(self, path: Path, name: str, found: os.stat_result) -> None:
        self._characters += len(name)
        if len(self.entries) >= MAX_ENTRIES or self._characters > MAX_PATHS:
            raise ValueError(f"these are more than {MAX_ENTRIES} files, or very long paths: send an archive of them")
        if len(name) > MAX_PATH or name.count("/") > MAX_DEPTH:
            raise ValueError(f"the path {name[:100]!r}… is too long or too deep: send an archive")
        if stat.S_ISDIR(found.st_mode):
            self.entries.append(Entry(name, FOLDER))
        else:
            mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
            self.entries.append(Entry(name, found.st_size, mode, max(found.st_mtime_ns, 0)))
        self.paths.append(path)
        self.found.append(found)


def identity(entries: Sequence[Entry], digits: int = 16) -> str:
    """Return a name for this list: the same list, sent again, is the same sending."""
    return hashlib.sha256(msgspec.json.encode(entries)).hexdigest()[:digits]


def trunk(entries: Sequence[Entry]) -> str:
    """Return the path of the one folder that has everything in it, with a slash, or an empty text."""
    if not entries or entries[0].size != FOLDER or "/" in entries[0].path:
        return ""
    begin = f"{entries[0].path}/"
    return begin if all(entry.path.startswith(begin) for entry in entries[1:]) else ""


def digest(entries: Sequence[Entry], proofs: Mapping[int, str]) -> str:
    """Return the SHA-256 over the list with the proof of each file. Both sides compare it at the end."""
    lines = [[entry.path, entry.size, proofs.get(number, "")] for number, entry in enumerate(entries)]
    return hashlib.sha256(msgspec.json.encode(lines)).hexdigest()


def safe_paths(entries: Sequence[Entry]) -> list[PurePosixPath]:
    """Return a path below the receiver's folder for each entry, whatever the sender calls it.

    Raises:
        ExchangeError: two entries would have one path, or a file would be a folder too.
    """
    made: list[PurePosixPath] = []
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = {PurePosixPath()}
    places: dict[str, PurePosixPath] = {"": PurePosixPath()}
    for entry in entries:
        if entry.path.count("/") > MAX_DEPTH:
            raise ExchangeError("the list of the sender has a path that is too deep")
        path = _place(entry.path, places)
        if len(places) > 2 * MAX_ENTRIES:
            raise ExchangeError(f"the list of the sender has more than {MAX_ENTRIES} folders")
        twice = path in files or (entry.size != FOLDER and path in folders)
        above = path.parent
        while above not in folders:  # those above a known one are known
            twice |= above in files
            folders.add(above)
            above = above.parent
        if twice:
            raise ExchangeError(f"the list of the sender has {str(path)!r} twice")
        (folders if entry.size == FOLDER else files).add(path)
        made.append(path)
    return made


def _place(path: str, places: dict[str, PurePosixPath]) -> PurePosixPath:
    """Return the safe path of a path. Each folder is cleaned once: `places` has those known, with a slash before each.

    Only the first part may not be hidden.
    """
    above, missing = f"/{path}", list[str]()
    while above not in places:
        above, _, name = above.rpartition("/")
        missing.append(name)
    place = places[above]
    for name in reversed(missing):
        place /= names.inner(name) if above else names.safe(name)
        above = f"{above}/{name}"
        places[above] = place
    return place


def in_parts(entries: Sequence[Entry], size: int) -> Iterator[tuple[list[Entry], bool]]:
    """Yield the list in parts, and whether each is the last one."""
    for at in range(0, max(len(entries), 1), size):
        yield list(entries[at : at + size]), at + size >= len(entries)
