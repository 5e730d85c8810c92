"""The parts of a session description. All of them are immutable: a change is a new value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from adieu.sdp.grammar import SdpSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_KEPT = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One line, `type=value`.

    Attributes:
        type: the letter before the "=".
        value: the text after the "=".
        number: the number of the line, counted from 1; 0 if it was not read from a text.
    """

    type: str
    value: str
    number: int = 0

    @property
    def name(self) -> str:
        """The name of an attribute: the text before the colon, in lower case; the first word of a property attribute.

        A property attribute has only a name. Some implementations write `a=rtcp-mux `, and browsers accept it.
        """
        name, colon, _ = self.value.partition(":")
        if not colon:
            name = next(iter(name.split()), "")
        return name.lower()

    @property
    def content(self) -> str | None:
        """The value of an attribute: the text after the colon; None for a property attribute."""
        _, colon, content = self.value.partition(":")
        return content if colon else None


def attribute(name: str, value: str | int | None = None) -> Line:
    """Return an `a=` line."""
    return Line("a", name if value is None else f"{name}:{value}")


@dataclass(frozen=True, slots=True)
class Origin:
    """The `o=` line (RFC 8866 section 5.2). The id is text with up to 20 digits; it is only compared."""

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


@dataclass(slots=True)
class Unusable:
    """Lines that could not be read and were left out.

    Attributes:
        count: the number of lines.
        first: the reasons for the first lines, with their numbers.
    """

    count: int = 0
    first: list[SdpSyntaxError] = field(default_factory=list[SdpSyntaxError])

    def add(self, error: SdpSyntaxError) -> None:
        """Add a line. Only the first reasons are kept, because a description may have a hundred thousand such lines."""
        self.count += 1
        if len(self.first) < _KEPT:
            self.first.append(error.with_traceback(None))


@dataclass(frozen=True)
class Block:
    """Lines of one level, session or media, in order, without the line that opens the block."""

    lines: tuple[Line, ...]

    @cached_property
    def by_name(self) -> dict[str, list[Line]]:
        """Return the `a=` lines by their names."""
        index: dict[str, list[Line]] = {}
        for line in self.lines:
            if line.type == "a":
                index.setdefault(line.name, []).append(line)
        return index

    @cached_property
    def _read(self) -> dict[str, tuple[Any, ...]]:
        return {}

    @cached_property
    def unusable(self) -> Unusable:
        """The lines that `each` has left out so far."""
        return Unusable()

    def each(self, name: str, read: Callable[[Line], _T]) -> tuple[_T, ...]:
        """Return the values of the `a=` lines of this name. Lines that cannot be read are added to `unusable`.

        Args:
            name: the name of an optional attribute, or of one that may come several times.
            read: reads a line or raises `SdpSyntaxError`; always the same function for a name.
        """
        lines = self.by_name.get(name)
        if lines is None:
            return ()
        known = self._read
        if name not in known:
            values: list[_T] = []
            for line in lines:
                try:
                    values.append(read(line))
                except SdpSyntaxError as error:
                    self.unusable.add(error)
            known[name] = tuple(values)
        return known[name]

    def attributes(self, name: str) -> list[Line]:
        """Return all `a=` lines of this name."""
        return self.by_name.get(name, [])

    def attribute(self, name: str) -> Line | None:
        """Return the first `a=` line of this name."""
        found = self.by_name.get(name)
        return found[0] if found else None

    def has(self, name: str) -> bool:
        """Whether there is an `a=` line of this name."""
        return name in self.by_name

    def of_type(self, letter: str) -> Line | None:
        """Return the first line of this type."""
        for line in self.lines:
            if line.type == letter:
                return line
        return None

    def with_lines(self, *lines: Line) -> Self:
        """Return the block with these lines added at the end."""
        return replace(self, lines=(*self.lines, *lines))


@dataclass(frozen=True)
class Media(Block):
    """A media description (RFC 8866 section 5.14): its `m=` line, and the lines under it.

    Attributes:
        kind: "audio", "video", "application" …
        port: 0 if the section is rejected or bundle-only.
        port_count: the number after a "/" after the port.
        protocol: for example "UDP/DTLS/SCTP".
        formats: at least one.
        number: the number of the `m=` line.
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
        media: the media descriptions, in order.
    """

    origin: Origin
    name: str
    session: Block
    media: tuple[Media, ...] = ()

    def with_media(self, index: int, media: Media) -> SessionDescription:
        """Return the description with another media description at this index."""
        all_media = (*self.media[:index], media, *self.media[index + 1 :])
        return SessionDescription(self.origin, self.name, self.session, all_media)
