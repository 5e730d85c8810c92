"""Codecs: when two are the same one, and which of an offer are agreed on.

A codec of a description is a payload type with an `a=rtpmap` and related lines. Payload types count for one section and
one negotiation only. The identity of a codec is its name, its rate and the parameters that make it another format
(RFC 6184, RFC 9628, the AV1 payload format). Retransmission, redundancy and error correction are codecs too, as in the
W3C's lists, but a section is not accepted for them alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from adieu.sdp import attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from adieu.sdp import Media

Kind: TypeAlias = Literal["audio", "video"]

# RFC 3551 section 6: payload types that need no rtpmap.
STATIC: Final = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000), 13: ("CN", 8000)}
DYNAMIC: Final = (*range(96, 128), *range(35, 64))
"""RFC 3551 section 3 and RFC 5761 section 4: payload types that are free to use if RTCP is multiplexed."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec of a section, or of the capabilities.

    Attributes:
        payload_type: its number here; in capabilities the number of offers.
        kind: "audio" or "video".
        name: as in its rtpmap: "opus", "VP8", "rtx" …
        clock_rate: RTP ticks a second.
        channels: of audio; None if the rtpmap names no number, which means 1.
        fmtp: its parameters as text; empty without parameters.
        feedback: its rtcp-fb.
    """

    payload_type: int
    kind: Kind
    name: str
    clock_rate: int
    channels: int | None = None
    fmtp: str = ""
    feedback: tuple[str, ...] = ()

    @property
    def mime_type(self) -> str:
        """Return the W3C's name: "audio/opus"."""
        return f"{self.kind}/{self.name}"

    @property
    def parameters(self) -> Mapping[str, str]:
        """Return the fmtp if it has the form `name=value;name=value`; names in lower case."""
        pairs = (part.partition("=") for part in self.fmtp.split(";"))
        return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}

    @property
    def is_media(self) -> bool:
        """Whether it carries media by itself: not retransmission, redundancy, error correction, tones or noise."""
        return self.name.lower() not in _HELPERS

    @property
    def apt(self) -> int | None:
        """Return the payload type that "rtx" repeats (RFC 4588 section 8.6)."""
        text = self.parameters.get("apt", "") if self.name.lower() == "rtx" else ""
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else None


_HELPERS: Final = {"rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn"}


# --- reading -----------


def codecs_of(media: Media) -> tuple[Codec, ...]:
    """Return the codecs of a section, in the order of its formats. RFC 3551 names formats without an rtpmap."""
    kind: Kind = "video" if media.kind == "video" else "audio"
    maps = {rtpmap.payload_type: rtpmap for rtpmap in attributes.rtpmaps(media)}
    fmtps = attributes.fmtps(media)
    feedback = attributes.rtcp_fbs(media)
    found: list[Codec] = []
    for text in dict.fromkeys(media.formats):
        if not (text.isascii() and text.isdigit() and len(text) <= 3):
            continue
        number = int(text)
        rtpmap = maps.get(number)
        if rtpmap is not None:
            name, rate, channels = rtpmap.name, rtpmap.clock_rate, _channels(kind, rtpmap.parameters)
        elif number in STATIC:
            (name, rate), channels = STATIC[number], 1
        else:
            continue
        values = tuple(fb.value for fb in feedback if fb.payload_type in {None, number})
        found.append(Codec(number, kind, name, rate, channels, fmtps.get(number, ""), values))
    return tuple(found)


def _channels(kind: Kind, parameters: str | None) -> int | None:
    if kind == "video":
        return None
    return int(parameters) if parameters and parameters.isascii() and parameters.isdigit() else 1


# --- comparing -----------


def same_codec(a: Codec, b: Codec) -> bool:
    """Whether two codecs are one format. For "rtx" this depends on the codecs that they repeat."""
    return _key(a) == _key(b) and _format(a) == _format(b)


def _key(codec: Codec) -> tuple[str, str, int, int]:
    return codec.kind, codec.name.lower(), codec.clock_rate, codec.channels or 1


def _format(codec: Codec) -> object:
    """Return the parameters that make it another format."""
    parameters = codec.parameters
    match codec.name.lower():
        case "h264":
            # RFC 6184 section 8.2.2: absent means 0, and the baseline profile.
            return parameters.get("packetization-mode", "0"), h264_profile(parameters.get("profile-level-id", "42000a"))
        case "vp9":
            return parameters.get("profile-id", "0")
        case "av1":
            return parameters.get("profile", "0")
        case "h265":
            return parameters.get("profile-id", "1"), parameters.get("tier-flag", "0")
        case _:
            return None


_BASELINE: Final = ("baseline", "constrained-baseline")


def h264_profile(profile_level_id: str) -> str:
    """Return the profile of a profile-level-id (RFC 6184 table 5); the profile-level-id itself if it is unknown."""
    try:
        profile, iop = int(profile_level_id[:2], 16), int(profile_level_id[2:4], 16)
    except ValueError:
        return profile_level_id.lower()
    constrained = bool(iop & 0x40) if profile in {0x42, 0x58} else bool(iop & 0x80)
    match profile:
        case 0x42:
            return _BASELINE[constrained]
        case 0x4D:
            return _BASELINE[1] if constrained else "main"
        case 0x58:
            return _BASELINE[1] if constrained and iop & 0x80 else ("baseline" if iop & 0x80 else "extended")
        case 0x64:
            return "constrained-high" if iop & 0x0C == 0x0C else "high"
        case _:
            return profile_level_id.lower()


# --- offering -----------


@dataclass(slots=True)
class Numbers:
    """The taken payload types, or header extensions, of one bundle (RFC 9143 section 9.1).

    Attributes:
        taken: the meaning of each number.
    """

    taken: dict[int, object] = field(default_factory=dict[int, object])

    def take(self, wanted: int, meaning: object, others: Iterable[int]) -> int | None:
        """Take the number that has this meaning, or the wanted one, or else another one; None if no number is free."""
        for number, known in self.taken.items():
            if known == meaning:
                return number
        for number in (wanted, *others):
            if self.taken.setdefault(number, meaning) == meaning:
                return number
        return None


def offered_codecs(
    known: Sequence[Codec], preferences: Sequence[Codec], negotiated: Sequence[Codec], numbers: Numbers
) -> tuple[Codec, ...]:
    """Return the codecs of an offered section (RFC 9429 section 5.2.2).

    Args:
        known: the codecs that this side can negotiate.
        preferences: the wanted codecs in their order; empty: the negotiated ones, then all others.
        negotiated: the codecs that the section has now; they keep their numbers.
        numbers: the taken numbers.
    """
    for codec in negotiated:
        numbers.taken.setdefault(codec.payload_type, meaning_of(codec, negotiated))
    wanted = preferred(known, preferences)
    chosen: list[Codec] = []
    renumbered: dict[int, int] = {}
    if not preferences:
        first = [codec for now in negotiated for codec in wanted if _same_in(codec, wanted, now, negotiated)]
        wanted = (*first, *(codec for codec in wanted if codec not in first))
    for codec in wanted:
        now = next((now for now in negotiated if _same_in(codec, wanted, now, negotiated)), None)
        meaning = meaning_of(codec, wanted)
        number = now.payload_type if now is not None else numbers.take(codec.payload_type, meaning, DYNAMIC)
        if number is None:
            continue
        renumbered[codec.payload_type] = number
        chosen.append(replace(codec, payload_type=number))
    return tuple(_referring(codec, renumbered) for codec in chosen)


def preferred(codecs: Sequence[Codec], preferences: Sequence[Codec]) -> tuple[Codec, ...]:
    """Filter and order codecs by the preferences. A preference for "rtx" adds the "rtx" of each preferred codec."""
    if not preferences:
        return tuple(codecs)
    with_rtx = any(codec.name.lower() == "rtx" for codec in preferences)
    result: list[Codec] = []
    for preference in preferences:
        for codec in codecs:
            if codec.name.lower() != "rtx" and codec not in result and same_codec(codec, preference):
                result.append(codec)
                if with_rtx:
                    result.extend(repeat for repeat in codecs if repeat.apt == codec.payload_type)
    return tuple(result)


def meaning_of(codec: Codec, among: Sequence[Codec]) -> object:
    """Return the meaning of a payload type: two sections of a bundle may share a number if it is equal."""
    if codec.name.lower() == "red" and codec.fmtp:
        # Its fmtp has numbers of this section: another section may have others for the same codecs.
        inner = (
            next((other for other in among if str(other.payload_type) == part), None) for part in codec.fmtp.split("/")
        )
        return _key(codec), tuple(part and meaning_of(part, ()) for part in inner)
    repeated = _repeated(codec, among)
    return _key(codec), _format(codec), codec.fmtp if repeated is None else meaning_of(repeated, ())


def _same_in(a: Codec, among_a: Sequence[Codec], b: Codec, among_b: Sequence[Codec]) -> bool:
    """Whether `same_codec` holds, and two "rtx" repeat the same codec."""
    if not same_codec(a, b):
        return False
    if a.name.lower() != "rtx":
        return True
    repeated, other = _repeated(a, among_a), _repeated(b, among_b)
    return repeated is not None and other is not None and same_codec(repeated, other)


def _repeated(codec: Codec, among: Sequence[Codec]) -> Codec | None:
    """Return the codec that "rtx" repeats."""
    apt = codec.apt
    return None if apt is None else next((other for other in among if other.payload_type == apt), None)


def _referring(codec: Codec, renumbered: Mapping[int, int]) -> Codec:
    """Return the codec with the new numbers in its parameters."""
    if codec.apt is not None:
        return replace(codec, fmtp=f"apt={renumbered.get(codec.apt, codec.apt)}")
    if codec.name == "red" and codec.fmtp:
        referred = (renumbered.get(int(part), int(part)) for part in codec.fmtp.split("/"))
        return replace(codec, fmtp="/".join(map(str, referred)))
    return codec


# --- answering -----------


def answered_codecs(
    known: Sequence[Codec], preferences: Sequence[Codec], offered: Sequence[Codec]
) -> tuple[Codec, ...]:
    """Return the codecs of an answered section (RFC 9429 section 5.3.1): the offer's numbers, our parameters.

    They have the order of the offer, or of the preferences. The result is empty if no codec carries media.
    """
    known = preferred(known, preferences)
    accepted: list[Codec] = []
    for theirs in offered:
        if theirs.name.lower() == "rtx":
            continue
        ours = next((codec for codec in known if same_codec(codec, theirs)), None)
        if ours is not None and not any(same_codec(codec, theirs) for codec in accepted):
            accepted.append(_answered(ours, theirs))
    if preferences:
        order = [next(i for i, codec in enumerate(known) if same_codec(codec, accept)) for accept in accepted]
        accepted = [codec for _, codec in sorted(zip(order, accepted, strict=True), key=lambda pair: pair[0])]
    if not any(codec.is_media for codec in accepted):
        return ()
    repeats_known = any(codec.name.lower() == "rtx" for codec in known)
    result: list[Codec] = []
    for codec in accepted:
        result.append(codec)
        result.extend(
            replace(repeat, feedback=()) for repeat in offered if repeats_known and repeat.apt == codec.payload_type
        )
    return tuple(result)


def _answered(ours: Codec, theirs: Codec) -> Codec:
    feedback = tuple(value for value in theirs.feedback if value in ours.feedback)
    fmtp = ours.fmtp
    if ours.name == "H264":
        fmtp = _answered_h264(ours, theirs)
    elif ours.name == "red":
        fmtp = theirs.fmtp  # it names payload types of the offer
    return replace(ours, payload_type=theirs.payload_type, name=theirs.name, fmtp=fmtp, feedback=feedback)


def _answered_h264(ours: Codec, theirs: Codec) -> str:
    """RFC 6184 section 8.2.2: the lower one of both levels, unless both sides allow them to differ."""
    mode = ours.parameters["packetization-mode"]
    own = ours.parameters["profile-level-id"]
    other = theirs.parameters.get("profile-level-id", "42000a")
    asymmetric = theirs.parameters.get("level-asymmetry-allowed") == "1"
    level = own[4:6] if asymmetric else min(own[4:6].lower(), other[4:6].lower())
    allowed = "level-asymmetry-allowed=1;" if asymmetric else ""
    return f"{allowed}packetization-mode={mode};profile-level-id={other[:4]}{level}"


def negotiated_codecs(offered: Sequence[Codec], answered: Sequence[Codec]) -> tuple[Codec, ...]:
    """Return the codecs of the answer that the offer had (RFC 3264 section 6.1)."""
    return tuple(codec for codec in answered if any(_same_in(codec, answered, other, offered) for other in offered))
