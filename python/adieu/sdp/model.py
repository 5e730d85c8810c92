"""What a session description is made of. All of it is immutable: a change is a new value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self


@dataclass(frozen=True, slots=True)
class Line:
    """One line, `type=value`.

    Attributes:
        type: its letter.
        value: what follows the "=".
        number: where it stood, 1 the first line; 0 when it was made here.
    """

    type: str
    value: str
    number: int = 0

    @property
    def name(self) -> str:
        """Of an attribute: what stands before the colon."""
        return self.value.partition(":")[0]

    @property
    def content(self) -> str | None:
        """Of an attribute: what stands after the colon; None for a property attribute, which has none."""
        _, colon, content = self.value.partition(":")
        return content if colon else None


def attribute(name: str, value: str | int | None = None) -> Line:
    """An `a=` line."""
    return Line("a", name if value is None else f"{name}:{value}")


@dataclass(frozen=True, slots=True)
class Origin:
    """The `o=` line (RFC 8866 section 5.2). The id is text: it has up to 20 digits, and only its identity matters."""

    username: str
    session_id: str
    session_version: int
    network_type: str = "IN"
    address_type: str = "IP4"
    address: str = "0.0.0.0"  # noqa: S104 nothing is bound: the form for "no address"


@dataclass(frozen=True, slots=True)
class Connection:
    """A `c=` line (RFC 8866 section 5.7)."""

    network_type: str
    address_type: str
    address: str


@dataclass(frozen=True)
class Block:
    """Lines of one level, session or media, in their order; without the line that opens the block."""

    lines: tuple[Line, ...]

    @cached_property
    def _by_name(self) -> dict[str, list[Line]]:
        index: dict[str, list[Line]] = {}
        for line in self.lines:
            if line.type == "a":
                index.setdefault(line.name, []).append(line)
        return index

    def attributes(self, name: str) -> list[Line]:
        """All `a=` lines of this name."""
        return self._by_name.get(name, [])

    def attribute(self, name: str) -> Line | None:
        """The first `a=` line of this name."""
        found = self._by_name.get(name)
        return found[0] if found else None

    def has(self, name: str) -> bool:
        """Whether there is an `a=` line of this name."""
        return name in self._by_name

    def of_type(self, letter: str) -> Line | None:
        """The first line of this type."""
        return next((line for line in self.lines if line.type == letter), None)

    def with_lines(self, *lines: Line) -> Self:
        """The same with these lines at the end."""
        return replace(self, lines=(*self.lines, *lines))


@dataclass(frozen=True)
class Media(Block):
    """A media description (RFC 8866 section 5.14): its `m=` line, and the lines under it.

    Attributes:
        kind: "audio", "video", "application" …
        port: 0 when the section is rejected, or bundle-only.
        port_count: what follows a "/" after the port.
        protocol: as "UDP/DTLS/SCTP".
        formats: at least one.
        number: where the `m=` line stood.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    port_count: int | None = None
    number: int = 0


@dataclass(frozen=True)
class SessionDescription:
    """A whole description.

    Attributes:
        origin: the `o=` line.
        name: the `s=` line, most often "-".
        session: the lines of the session level after `s=`.
        media: the media descriptions, in their order.
    """

    origin: Origin
    name: str
    session: Block
    media: tuple[Media, ...] = ()

    def with_media(self, index: int, media: Media) -> SessionDescription:
        """The same with another media description in this place."""
        return replace(self, media=(*self.media[:index], media, *self.media[index + 1 :]))
