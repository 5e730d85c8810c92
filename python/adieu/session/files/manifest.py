"""The manifest of a folder: what the other side says is in it, and which paths that may have here."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from adieu.errors import TransferError
from adieu.protocol import folders
from adieu.session import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from adieu.protocol.folders import Entries, FolderEntry

_NOWHERE = frozenset({"", ".", ".."})
"""No names, but ways to elsewhere."""


class Manifest:
    """The entries of a folder of the other side, checked as they come.

    Attributes:
        entries: as the sender says.
        paths: of each entry, the path in the folder that it gets here: safe for any disk, never out of the folder, each
            another.
    """

    def __init__(self, count: int, size: int) -> None:
        """Begin.

        Args:
            count: the number of entries that was offered.
            size: bytes of all files, as offered.
        """
        self.entries: list[FolderEntry] = []
        self.paths: list[str] = []
        self._count = count
        self._missing = size
        self._characters = 0
        self._digest = hashlib.sha256()
        self._folders: dict[str, str] = {"": ""}
        """The sender's folders, and their paths here."""
        self._raw: set[str] = set()
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def add(self, text: str, page: Entries) -> None:
        """Take a part of it, and the text that it came as.

        Raises:
            TransferError: it is more than was offered, or an entry cannot be; the path is named.
        """
        self._digest.update(text.encode())
        for entry in page.entries:
            if len(self.entries) >= self._count:
                raise TransferError(f"the list of the folder has more than the {self._count} entries that were offered")
            self._characters += len(entry.path)
            self._missing -= entry.size or 0
            if self._missing < 0 or self._characters > folders.MAX_PATHS:
                raise TransferError("the list of the folder is larger than was offered, or than it may be")
            self.paths.append(self._place(entry))
            self.entries.append(entry)
        if page.last and (len(self.entries) != self._count or self._missing):
            raise TransferError("the list of the folder is smaller than was offered")

    def _place(self, entry: FolderEntry) -> str:
        """Return the path of an entry here."""
        path = entry.path
        parent, _, name = path.rpartition("/")
        if "\0" in path or not _NOWHERE.isdisjoint(path.split("/")):
            raise TransferError(f"the list of the folder has a path that leads elsewhere: {path[:100]!r}")
        if parent not in self._folders:
            raise TransferError(f"the list of the folder has {path[:100]!r}, but no folder for it before")
        if path in self._raw:
            raise TransferError(f"the list of the folder has {path[:100]!r} twice")
        if path.count("/") >= folders.MAX_DEPTH:
            raise TransferError(f"the list of the folder has a path of more than {folders.MAX_DEPTH} parts")
        self._raw.add(path)
        place = self._free(self._folders[parent], names.inner(name))
        if entry.size is None:
            self._folders[path] = place
        return place

    def _free(self, parent: str, name: str) -> str:
        before = f"{parent}/" if parent else ""
        place = before + name
        while place in self._taken:  # another name became the same one
            number = self._numbers[before + name] = self._numbers.get(before + name, 0) + 1
            place = before + names.numbered(name, number)
        self._taken.add(place)
        return place

    @property
    def proof(self) -> bytes:
        """The SHA-256 over its texts."""
        return self._digest.digest()


def pages(entries: Sequence[FolderEntry], most: int) -> Iterator[str]:
    """Yield the texts that carry a manifest, in order.

    Args:
        entries: all of it.
        most: characters of a text, if it has more than one entry.
    """
    page: list[FolderEntry] = []
    size = 0
    for entry in entries:
        length = 6 * len(entry.path) + 100  # at most, in JSON
        if page and (len(page) >= folders.AT_ONCE or size + length > most):
            yield folders.encode(folders.Entries(entries=page))
            page, size = [], 0
        page.append(entry)
        size += length
    yield folders.encode(folders.Entries(entries=page, last=True))
