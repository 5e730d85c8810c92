"""Attributes with a grammar of their own, one function each.

Each function takes a block, and returns None or an empty value if the block does not have the attribute. A malformed
attribute raises `SdpSyntaxError` with its line. If it is optional, or may come several times, it is left out instead
and listed in `Block.unusable`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from adieu.sdp.candidate import Candidate
from adieu.sdp.grammar import ICE_CHARS, SdpSyntaxError, SdpValueError, integer, is_token
from adieu.sdp.model import Connection

if TYPE_CHECKING:
    from adieu.sdp.model import Block, Line

Setup = Literal["active", "passive", "actpass", "holdconn"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

_DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
_UFRAG_LENGTH: Final = range(4, 257)
_PWD_LENGTH: Final = range(22, 257)
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*")
RID = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""RFC 8851 section 10, with "_" and "-" of its erratum."""
_DIGEST_BYTES: Final = {"md5": 16, "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`a=fingerprint` (RFC 8122 section 5): the algorithm in lower case, the digest in upper case."""

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """`a=group` (RFC 5888 section 5)."""

    semantics: str
    mids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SctpMap:
    """`a=sctpmap` of the drafts before RFC 8841; some implementations still write it."""

    port: int
    application: str
    streams: int | None


@dataclass(frozen=True, slots=True)
class RtpMap:
    """`a=rtpmap`: the codec of a payload type. `parameters` are the channels of audio."""

    payload_type: int
    name: str
    clock_rate: int
    parameters: str | None = None


@dataclass(frozen=True, slots=True)
class RtcpFb:
    """`a=rtcp-fb`: a feedback that is understood. `payload_type` None means all payload types."""

    payload_type: int | None
    value: str


@dataclass(frozen=True, slots=True)
class ExtMap:
    """`a=extmap`: the number of a header extension, and its direction (None: that of the section)."""

    id: int
    uri: str
    direction: Direction | None = None
    attributes: str | None = None


@dataclass(frozen=True, slots=True)
class Msid:
    """`a=msid`: the id of a stream ("-": no stream), and the application's data, which names the track."""

    stream: str
    appdata: str | None = None


@dataclass(frozen=True, slots=True)
class Rid:
    """`a=rid`: one stream of several of the same source, and its restrictions."""

    id: str
    direction: Literal["send", "recv"]
    restrictions: str | None = None


@dataclass(frozen=True, slots=True)
class SimulcastStream:
    """One stream of a simulcast: its rids are alternatives, of which the first one is preferred."""

    rids: tuple[str, ...]
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Simulcast:
    """`a=simulcast`: the streams in each direction, the preferred one first."""

    send: tuple[SimulcastStream, ...] = ()
    recv: tuple[SimulcastStream, ...] = ()


# --- ICE (RFC 8839) -----------


def ice_ufrag(block: Block) -> str | None:
    """`a=ice-ufrag`: 4 to 256 ice-chars."""
    return _ice_word(block, "ice-ufrag", _UFRAG_LENGTH)


def ice_pwd(block: Block) -> str | None:
    """`a=ice-pwd`: 22 to 256 ice-chars."""
    return _ice_word(block, "ice-pwd", _PWD_LENGTH)


def ice_options(block: Block) -> frozenset[str]:
    """`a=ice-options`: "trickle", "ice2" …"""
    words: set[str] = set()
    for line in block.by_name.get("ice-options", ()):
        words.update(_content(line).split())
    return frozenset(words)


def ice_lite(block: Block) -> bool:
    """`a=ice-lite`."""
    return "ice-lite" in block.by_name


def candidates(block: Block) -> tuple[Candidate, ...]:
    """All `a=candidate`."""
    return block.each("candidate", _candidate)


def end_of_candidates(block: Block) -> bool:
    """`a=end-of-candidates` (RFC 8840)."""
    return block.has("end-of-candidates")


# --- DTLS (RFC 8122, 8842) -----------


def fingerprints(block: Block) -> tuple[Fingerprint, ...]:
    """All `a=fingerprint`."""
    return tuple(map(_fingerprint, block.by_name.get("fingerprint", ())))


def setup(block: Block) -> Setup | None:
    """`a=setup` (RFC 4145 section 4)."""
    line = block.attribute("setup")
    if line is None:
        return None
    role = _content(line).lower()
    if role not in get_args(Setup):
        raise SdpSyntaxError(line.number, f"the setup role is {role[:40]!r}, not one of {', '.join(get_args(Setup))}")
    return cast("Setup", role)


# --- grouping (RFC 5888, 9143) -----------


def mid(block: Block) -> str | None:
    """`a=mid`; None if it is missing or empty."""
    line = block.attribute("mid")
    name = line.content if line is not None else None
    if line is None or not name:
        return None
    if not is_token(name):
        raise SdpSyntaxError(line.number, f"{name[:40]!r} is not a mid")
    return name


def groups(block: Block) -> tuple[Group, ...]:
    """All `a=group` of the session level."""
    return block.each("group", _group)


def bundle_only(block: Block) -> bool:
    """`a=bundle-only`."""
    return "bundle-only" in block.by_name


# --- SCTP (RFC 8841) -----------


def sctp_port(block: Block) -> int | None:
    """`a=sctp-port`."""
    line = block.attribute("sctp-port")
    return None if line is None else integer(_content(line), line.number, "the SCTP port", 65535)


def max_message_size(block: Block) -> int | None:
    """`a=max-message-size` in bytes; 0 says that there is no limit."""
    line = block.attribute("max-message-size")
    return None if line is None else integer(_content(line), line.number, "the maximum message size", 2**64 - 1)


def sctpmap(block: Block) -> SctpMap | None:
    """The old `a=sctpmap:<port> <application> [<streams>]`."""
    return next(iter(block.each("sctpmap", _sctpmap)), None)


def _sctpmap(line: Line) -> SctpMap:
    fields = _content(line).split(" ")
    if not 2 <= len(fields) <= 3:
        raise SdpSyntaxError(line.number, "a sctpmap needs a port, an application and a number of streams")
    return SctpMap(
        integer(fields[0], line.number, "the SCTP port", 65535),
        fields[1],
        integer(fields[2], line.number, "the number of streams", 65536) if len(fields) == 3 else None,
    )


# --- RTP -----------


def rtcp_mux(block: Block) -> bool:
    """`a=rtcp-mux` (RFC 5761)."""
    return block.has("rtcp-mux")


def rtcp_rsize(block: Block) -> bool:
    """`a=rtcp-rsize` (RFC 5506)."""
    return block.has("rtcp-rsize")


def direction(block: Block) -> Direction | None:
    """`a=sendrecv`, `a=sendonly`, `a=recvonly` or `a=inactive`."""
    by_name = block.by_name
    for name in _DIRECTIONS:
        if name in by_name:
            return name
    return None


def rtpmaps(block: Block) -> tuple[RtpMap, ...]:
    """All `a=rtpmap` (RFC 8866 section 6.6)."""
    return block.each("rtpmap", _rtpmap)


def fmtps(block: Block) -> dict[int, str]:
    """All `a=fmtp` (RFC 8866 section 6.15), by payload type; the text is the codec's."""
    return dict(block.each("fmtp", _for_payload_type))


def rtcp_fbs(block: Block) -> tuple[RtcpFb, ...]:
    """All `a=rtcp-fb` (RFC 4585 section 4.2)."""
    return block.each("rtcp-fb", _rtcp_fb)


def extmaps(block: Block) -> tuple[ExtMap, ...]:
    """All `a=extmap` (RFC 8285 section 8)."""
    return block.each("extmap", _extmap)


def msids(block: Block) -> tuple[Msid, ...]:
    """All `a=msid`. Ids are taken as written: some implementations do not keep to RFC 8830 section 2."""
    return block.each("msid", _msid)


def ssrcs(block: Block) -> tuple[int, ...]:
    """The synchronization sources in `a=ssrc:<number> ...` (RFC 5576), each once; what is no such number is ignored."""
    found: dict[int, None] = {}
    for line in block.attributes("ssrc"):
        number = line.value.partition(":")[2].partition(" ")[0]
        if number.isascii() and number.isdigit() and len(number) <= 10 and int(number) < 2**32:
            found[int(number)] = None
    return tuple(found)


def ssrc_streams(block: Block) -> list[str]:
    """The ids of streams in `a=ssrc:<number> msid:<stream> <track>`, the form before RFC 8830."""
    found: list[str] = []
    for line in block.attributes("ssrc"):
        _, _, said = _content(line).partition(" ")
        name, _, value = said.partition(":")
        if name == "msid" and (stream := value.partition(" ")[0]):
            found.append(stream)
    return found


def rids(block: Block) -> tuple[Rid, ...]:
    """All `a=rid` (RFC 8851 section 10)."""
    return block.each("rid", _rid)


def simulcast(block: Block) -> Simulcast | None:
    """`a=simulcast` (RFC 8853 section 5.1)."""
    return next(iter(block.each("simulcast", _simulcast)), None)


def extmap_allow_mixed(block: Block) -> bool:
    """`a=extmap-allow-mixed` (RFC 8285 section 6)."""
    return block.has("extmap-allow-mixed")


def msid_semantic(block: Block) -> tuple[str, ...] | None:
    """`a=msid-semantic`: the semantic, most often WMS, and the streams. Browsers write it; nothing depends on it."""
    line = block.attribute("msid-semantic")
    return None if line is None else tuple(_content(line).split())


def connection(block: Block) -> Connection | None:
    """The `c=` line."""
    line = block.of_type("c")
    if line is None:
        return None
    fields = line.value.split()
    if len(fields) < 3:
        raise SdpSyntaxError(line.number, "a connection needs a network type, an address type and an address")
    return Connection(*fields[:3])


# --- helpers -----------


def _content(line: Line) -> str:
    _, colon, content = line.value.partition(":")
    if not colon:
        raise SdpSyntaxError(line.number, f"a={line.value[:40]} has no value")
    return content


def _ice_word(block: Block, name: str, lengths: range) -> str | None:
    lines = block.by_name.get(name)
    if not lines:
        return None
    line = lines[0]
    word = _content(line)
    if len(word) not in lengths or not ICE_CHARS.fullmatch(word):
        # The value is a secret, or next to one: the error does not repeat it.
        raise SdpValueError(
            line.number, f"a={name} has {len(word)} characters, but needs {lengths[0]} to {lengths[-1]} ice-chars"
        )
    return word


def _fingerprint(line: Line) -> Fingerprint:
    algorithm, _, value = _content(line).partition(" ")
    algorithm = algorithm.lower()
    if not is_token(algorithm) or not _FINGERPRINT.fullmatch(value):
        raise SdpSyntaxError(line.number, "a fingerprint needs an algorithm and hexadecimal pairs joined by colons")
    size = _DIGEST_BYTES.get(algorithm)
    if size is not None and len(value) != 3 * size - 1:
        raise SdpSyntaxError(line.number, f"a {algorithm} fingerprint must have {size} bytes")
    return Fingerprint(algorithm, value.upper())


def _candidate(line: Line) -> Candidate:
    return Candidate.parse(_content(line), line.number)


def _group(line: Line) -> Group:
    words = _content(line).split()
    if not words or not all(map(is_token, words)):
        raise SdpSyntaxError(line.number, "a group needs semantics and mids")
    return Group(words[0], tuple(words[1:]))


def _for_payload_type(line: Line) -> tuple[int, str]:
    number, _, text = _content(line).partition(" ")
    return integer(number, line.number, "the payload type", 127), text


def _rtpmap(line: Line) -> RtpMap:
    payload_type, encoding = _for_payload_type(line)
    name, *rest = encoding.strip().split("/")
    if not is_token(name) or not 1 <= len(rest) <= 2:
        raise SdpSyntaxError(line.number, f"{encoding[:40]!r} is not a codec, its clock rate and its channels")
    rate = integer(rest[0], line.number, "the clock rate", 2**32 - 1)
    return RtpMap(payload_type, name, rate, rest[1] if len(rest) == 2 else None)


def _rtcp_fb(line: Line) -> RtcpFb:
    number, _, value = _content(line).partition(" ")
    if not value:
        raise SdpSyntaxError(line.number, "a feedback needs a payload type and a type of feedback")
    return RtcpFb(None if number == "*" else integer(number, line.number, "the payload type", 127), value)


def _extmap(line: Line) -> ExtMap:
    mapped, _, rest = _content(line).partition(" ")
    number, slash, way = mapped.partition("/")
    uri, _, extra = rest.partition(" ")
    if not uri or (slash and way not in get_args(Direction)):
        raise SdpSyntaxError(line.number, "a header extension needs a number, optionally a direction, and a URI")
    # # RFC 8285 section 5: 4096 to 4351 are offered, and mean any free number.
    identifier = integer(number, line.number, "the number of the header extension", 4351)
    return ExtMap(identifier, uri, cast("Direction", way) if slash else None, extra or None)


def _msid(line: Line) -> Msid:
    stream, _, appdata = _content(line).partition(" ")
    if not stream:
        raise SdpSyntaxError(line.number, "an msid needs the id of a stream")
    return Msid(stream, appdata.strip() or None)


def _rid(line: Line) -> Rid:
    fields = _content(line).split(" ", 2)
    if len(fields) < 2 or not RID.fullmatch(fields[0]) or fields[1] not in {"send", "recv"}:
        raise SdpSyntaxError(line.number, "a rid needs an id and a direction, send or recv")
    return Rid(fields[0], cast("Literal['send', 'recv']", fields[1]), fields[2] if len(fields) == 3 else None)


def _simulcast(line: Line) -> Simulcast:
    fields = _content(line).split()
    ways = fields[::2]
    if len(fields) not in {2, 4} or len(set(ways)) != len(ways) or not set(ways) <= {"send", "recv"}:
        raise SdpSyntaxError(line.number, "a simulcast needs streams to send, to receive, or both")
    streams = {way: _simulcast_streams(line, text) for way, text in zip(ways, fields[1::2], strict=True)}
    return Simulcast(streams.get("send", ()), streams.get("recv", ()))


def _simulcast_streams(line: Line, text: str) -> tuple[SimulcastStream, ...]:
    streams: list[SimulcastStream] = []
    for group in text.split(";"):
        alternatives = group.split(",")
        rids = tuple(rid.removeprefix("~") for rid in alternatives)
        if not all(RID.fullmatch(rid) for rid in rids):
            raise SdpSyntaxError(line.number, f"{group[:40]!r} are not rids")
        streams.append(SimulcastStream(rids, paused=alternatives[0].startswith("~")))
    return tuple(streams)
