"""Reads a text into a `SessionDescription`."""

from __future__ import annotations

from itertools import starmap
from typing import Final

from adieu.sdp.grammar import DIGITS, MAX_BYTES, MAX_CANDIDATES, MAX_MEDIA, SdpSyntaxError, integer, is_token
from adieu.sdp.model import Block, Line, Media, Origin, SessionDescription

# RFC 8866 section 5: "The set of type letters is deliberately small and not intended to be extensible -- an SDP parser
# MUST completely ignore or reject any session description that contains a type letter that it doesn't understand."
_SESSION_TYPES: Final = frozenset("iuepcbtrzka")
# # Some lines come in a wrong place. They mean nothing for a section, and are kept as they are.
_MEDIA_TYPES: Final = _SESSION_TYPES - {"t"}
_ORIGIN_DIGITS: Final = 1000


def read(text: str) -> SessionDescription:
    """Read a description. Lines may end with CRLF or LF.

    Raises:
        SdpSyntaxError: the text is not SDP, or is larger than the bounds of `adieu.sdp.grammar`.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise SdpSyntaxError(1, f"the description is larger than {MAX_BYTES} bytes")
    lines, malformed = _lines(text)
    version = _header(lines, 0, "v", malformed)
    if not version.value.startswith("0"):  # as in browsers: blanks and other text may follow
        raise SdpSyntaxError(version.number, f"the version is {version.value[:40]!r}, not 0")
    origin = _origin(_header(lines, 1, "o", malformed))
    name = _header(lines, 2, "s", malformed)
    session, media = _blocks(lines[3:], malformed)
    return SessionDescription(origin, name.value, session, media)


def _lines(text: str) -> tuple[list[Line], SdpSyntaxError | None]:
    """Return the lines up to the first malformed one, and its error."""
    lines: list[Line] = []
    rows = text.split("\n")
    if rows[-1] == "":
        rows.pop()
    for number, row in enumerate(rows, 1):
        content = row.removesuffix("\r")
        if len(content) < 2 or content[1] != "=":
            return lines, SdpSyntaxError(number, f"{content[:40]!r} is not of the form <type>=<value>")
        if "\r" in content:
            return lines, SdpSyntaxError(number, "a line must not contain CR")
        lines.append(Line(content[0], content[2:], number))
    return lines, None


def _header(lines: list[Line], place: int, letter: str, malformed: SdpSyntaxError | None) -> Line:
    if len(lines) <= place:
        raise malformed or SdpSyntaxError(place + 1, f"the description ends where its {letter}= line should be")
    line = lines[place]
    if line.type != letter:
        raise SdpSyntaxError(line.number, f"a {line.type}= line where the {letter}= line should be")
    return line


def _origin(line: Line) -> Origin:
    fields = line.value.split(" ")
    if len(fields) != 6 or not all(fields):
        raise SdpSyntaxError(line.number, "the origin needs six fields: username, id, version, IN, IP4 or IP6, address")
    username, session_id, version, network_type, address_type, address = fields
    # # They are only compared: some have more digits than fit into 64 bits.
    for what, number in (("id", session_id), ("version", version)):
        if not DIGITS.fullmatch(number) or len(number) > _ORIGIN_DIGITS:
            raise SdpSyntaxError(line.number, f"the session {what} is {number[:40]!r}, not a number")
    return Origin(username, session_id, int(version), network_type, address_type, address)


def _blocks(lines: list[Line], malformed: SdpSyntaxError | None) -> tuple[Block, tuple[Media, ...]]:
    """Read the rest: the lines before the first `m=` line, and one block for each `m=` line."""
    session: list[Line] = []
    sections: list[tuple[Line, list[Line]]] = []
    candidates = 0
    for line in lines:
        if line.type == "m":
            if len(sections) == MAX_MEDIA:
                raise SdpSyntaxError(line.number, f"more than {MAX_MEDIA} media descriptions")
            sections.append((line, []))
            continue
        if line.type not in (_MEDIA_TYPES if sections else _SESSION_TYPES):
            raise SdpSyntaxError(line.number, f"a {line.type}= line is not allowed here")
        if line.type == "a":
            if line.value.startswith(":") or not line.value.strip():
                raise SdpSyntaxError(line.number, "an attribute has no name")
            candidates += line.value[:9].lower() == "candidate" and line.name == "candidate"
            if candidates > MAX_CANDIDATES:
                raise SdpSyntaxError(line.number, f"more than {MAX_CANDIDATES} candidates")
        (sections[-1][1] if sections else session).append(line)
    if malformed is not None:
        raise malformed
    return Block(tuple(session)), tuple(starmap(_media, sections))


def _media(line: Line, below: list[Line]) -> Media:
    fields = line.value.rstrip(" ").split(" ")
    if len(fields) < 4 or not all(fields):
        raise SdpSyntaxError(line.number, "a media line needs a kind, a port, a protocol and at least one format")
    kind, port, protocol, *formats = fields
    if not is_token(kind) or not all(map(is_token, protocol.split("/"))):
        raise SdpSyntaxError(line.number, f"{kind[:40]!r} over {protocol[:40]!r} is not a kind and a protocol")
    port, slash, count = port.partition("/")
    return Media(
        lines=tuple(below),
        kind=kind,
        port=integer(port, line.number, "the port", 65535),
        protocol=protocol,
        formats=tuple(formats),
        port_count=integer(count, line.number, "the number of ports", 65535) if slash else None,
        number=line.number,
    )
