"""A description that has been read, and the properties of its sections that JSEP needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from adieu import sdp
from adieu.errors import InvalidAccessError, RTCError
from adieu.jsep.codecs import codecs_of
from adieu.sdp import attributes

if TYPE_CHECKING:
    from adieu.jsep.codecs import Codec
    from adieu.sdp import SdpSyntaxError
    from adieu.sdp.attributes import Direction, ExtMap, Fingerprint, Setup, Simulcast
    from adieu.sdp.model import Block, Media

DescriptionType: TypeAlias = Literal["offer", "pranswer", "answer"]

# RFC 8841 section 4.1 has the first two; the last one comes from older drafts.
DATA_PROTOCOLS: Final = frozenset({"UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"})
# RFC 9429 section 5.1.2: all profiles of RTP count as "UDP/TLS/RTP/SAVPF".
RTP_PROTOCOLS: Final = frozenset(
    f"{transport}RTP/{profile}"
    for transport in ("", "UDP/TLS/", "TCP/TLS/", "TCP/DTLS/")
    for profile in ("AVP", "AVPF", "SAVP", "SAVPF")
)
DEFAULT_SCTP_PORT: Final = 5000
_KEPT: Final = 20
DEFAULT_MAX_MESSAGE_SIZE: Final = 65536
"""RFC 8841 section 6.1: the size if the attribute is absent."""


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """The user fragment and the password of one ICE generation on one side."""

    ufrag: str
    pwd: str

    def __repr__(self) -> str:  # the password is a secret
        return f"IceCredentials({self.ufrag!r})"


@dataclass(frozen=True)
class Section:
    """One media description with the values of the session level (RFC 9429 section 5.8.2).

    Attributes:
        index: its place.
        media: the lines.
        mid: None if the other side writes no mid.
        rejected: the port is 0 and it is not bundle-only.
        bundle_only: it has no transport of its own.
        direction: of its media, from the side that wrote it.
        credentials: for ICE.
        ice_lite: the other side is an ICE-lite agent.
        trickle: more candidates may come.
        setup: the DTLS role offered or answered; "active" if no role is given (RFC 4145 section 4).
        fingerprints: of the certificate; at least one must match.
        problem: the error in its transport lines. It matters if the section speaks for a transport. In a bundle only
            the first section does; browsers do not read the others' lines either.
    """

    index: int
    media: Media
    mid: str | None
    rejected: bool
    bundle_only: bool
    direction: Direction
    credentials: IceCredentials | None
    ice_lite: bool
    trickle: bool
    setup: Setup
    fingerprints: tuple[Fingerprint, ...]
    problem: sdp.SdpSyntaxError | None = None

    @cached_property
    def key(self) -> str:
        """Return the name of its transport: the mid, or else the index after a colon, which no mid has."""
        return self.mid if self.mid is not None else f":{self.index}"

    @cached_property
    def is_rtp(self) -> bool:
        """Whether it is an audio or video section."""
        return self.media.kind in {"audio", "video"} and self.media.protocol in RTP_PROTOCOLS

    @cached_property
    def is_understood(self) -> bool:
        """Whether it can be accepted at all."""
        return self.is_rtp or self.is_data

    @cached_property
    def codecs(self) -> tuple[Codec, ...]:
        """Return its codecs in the order of their preference."""
        return codecs_of(self.media)

    @cached_property
    def extensions(self) -> tuple[ExtMap, ...]:
        """Return its RTP header extensions."""
        return attributes.extmaps(self.media)

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """Return the ids of the streams that its track is in, each once."""
        found = [msid.stream for msid in attributes.msids(self.media)] or attributes.ssrc_streams(self.media)
        return tuple(stream for stream in dict.fromkeys(found) if stream != "-")

    @property
    def has_msid(self) -> bool:
        """Whether it names streams. Some peers name them for an SSRC, as a draft of RFC 8830 did."""
        return self.media.has("msid") or bool(attributes.ssrc_streams(self.media))

    @cached_property
    def simulcast(self) -> Simulcast | None:
        """Return the simulcast: several streams of the same source."""
        return attributes.simulcast(self.media)

    @cached_property
    def is_data(self) -> bool:
        """Whether it is a data channel section in a form that adieu knows."""
        if self.media.kind != "application" or self.media.protocol not in DATA_PROTOCOLS:
            return False
        if self.media.formats[0] == "webrtc-datachannel":
            return True
        mapped = attributes.sctpmap(self.media)
        return mapped is not None and mapped.application == "webrtc-datachannel"

    @property
    def sctp_port(self) -> int:
        """Return the SCTP port, in the form of RFC 8841 or of older drafts."""
        port = attributes.sctp_port(self.media)
        if port is not None:
            return port
        mapped = attributes.sctpmap(self.media)
        return mapped.port if mapped is not None else DEFAULT_SCTP_PORT

    @property
    def max_message_size(self) -> int:
        """Return the largest message that its writer takes, in bytes; 0 means no limit."""
        size = attributes.max_message_size(self.media)
        return DEFAULT_MAX_MESSAGE_SIZE if size is None else size


@dataclass(frozen=True)
class Description:
    """A description that has been read and is well-formed.

    Attributes:
        type: what it is.
        sdp: the lines, with all candidates that were added since.
        given: the text as it was given, until a candidate is added.
        mids: the mids of sections that write no mid; an answer has those of the offer.
    """

    type: DescriptionType
    sdp: sdp.SessionDescription
    given: str | None = None
    mids: tuple[str | None, ...] = ()

    @cached_property
    def text(self) -> str:
        """Return the text with all candidates."""
        return sdp.write(self.sdp) if self.given is None else self.given

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Return the media descriptions, in their order."""
        session = self.sdp.session
        lite = attributes.ice_lite(session)
        options = attributes.ice_options(session)
        setup = attributes.setup(session)
        direction = attributes.direction(session) or "sendrecv"
        transport = _Transport.of(session)
        return tuple(
            Section(
                index=index,
                media=media,
                mid=attributes.mid(media) or (self.mids[index] if index < len(self.mids) else None),
                rejected=media.port == 0 and not attributes.bundle_only(media),
                bundle_only=media.port == 0 and attributes.bundle_only(media),
                direction=attributes.direction(media) or direction,
                credentials=own.credentials,
                ice_lite=lite,
                trickle="trickle" in options | attributes.ice_options(media),
                setup=attributes.setup(media) or setup or "active",
                fingerprints=own.fingerprints,
                problem=own.problem,
            )
            for index, media in enumerate(self.sdp.media)
            for own in (_Transport.of(media, transport),)
        )

    @cached_property
    def bundle(self) -> tuple[tuple[str, ...], ...]:
        """Return the mids of each BUNDLE group that is not empty."""
        groups = attributes.groups(self.sdp.session)
        return tuple(group.mids for group in groups if group.semantics == "BUNDLE" and group.mids)

    @property
    def unusable(self) -> tuple[int, list[SdpSyntaxError]]:
        """Count the lines that `parse_description` could not use, and return the errors of the first ones.

        They stay in the text and have no effect.
        """
        count = 0
        first: list[SdpSyntaxError] = []
        for block in (self.sdp.session, *self.sdp.media):
            count += block.unusable.count
            first.extend(block.unusable.first[: _KEPT - len(first)])
        return count, first

    @property
    def trickles(self) -> bool:
        """Whether the side that wrote it takes candidates later (RFC 8840 section 4.1.3)."""
        return "trickle" in attributes.ice_options(self.sdp.session) or any(s.trickle for s in self.sections)

    def section(self, key: str) -> Section | None:
        """Return the section of this mid (or key)."""
        return next((section for section in self.sections if section.key == key), None)

    def data_section(self) -> Section | None:
        """Return the first section for data that is not rejected."""
        for section in self.sections:
            if section.is_data and not section.rejected:
                return section
        return None

    def group_of(self, mid: str | None) -> tuple[str, ...]:
        """Return the mids of the BUNDLE group that this one is in; empty if it is in no group."""
        return self._groups.get(mid, ()) if mid is not None else ()

    @cached_property
    def _groups(self) -> dict[str, tuple[str, ...]]:
        """Return the groups by the mid: there may be as many groups as sections."""
        return {mid: mids for mids in reversed(self.bundle) for mid in mids}

    def bundled_with(self, section: Section) -> tuple[Section, ...]:
        """Return the sections that use the same transport as this one, and this one too.

        RFC 9143 section 7.1.1: in an offer, the sections of a group have addresses of their own until the answer. Then
        they share those of one section. Equal credentials show which sections share a transport already.
        """
        mids = self.group_of(section.mid)
        return tuple(
            other
            for other in self.sections
            if other.index == section.index or (other.mid in mids and other.credentials == section.credentials)
        )

    def with_candidates(self, index: int, media: Media) -> Description:
        """Return the description with another media description at this index, in which only the candidates differ.

        They change no other value of a section, so nothing is read again: each candidate would cost a whole reading.
        """
        after = Description(self.type, self.sdp.with_media(index, media), None, self.mids)
        sections = list(self.sections)
        sections[index] = replace(sections[index], media=media)
        object.__setattr__(after, "sections", tuple(sections))
        return after


def parse_description(type_: DescriptionType, text: str) -> Description:
    """Read a description (RFC 9429 section 5.8), with all attributes that are understood.

    Raises:
        RTCError: "sdp-syntax-error" with the line.
        InvalidAccessError: a value is not valid for its attribute.
    """
    try:
        description = Description(type_, sdp.read(text), text)
        # Read all now, so that a malformed line is found here and not when its value is needed.
        _ = description.bundle
        for section in description.sections:
            _ = section.is_data, section.sctp_port, section.max_message_size
            attributes.candidates(section.media)
            attributes.connection(section.media)
            if section.is_rtp:
                _ = section.codecs, section.extensions, section.streams, section.simulcast
                attributes.rids(section.media)
        attributes.connection(description.sdp.session)
    except sdp.SdpSyntaxError as error:
        raise refusal(error) from None
    return description


def refusal(error: sdp.SdpSyntaxError) -> RTCError | InvalidAccessError:
    """Return the error for a line that cannot be read (W3C set a session description, failure steps 3 and 6)."""
    if isinstance(error, sdp.SdpValueError):
        return InvalidAccessError(str(error))
    return RTCError({"errorDetail": "sdp-syntax-error", "sdpLineNumber": error.line}, str(error))


@dataclass(frozen=True, slots=True)
class _Transport:
    """The transport lines of a block, with the values of the session level."""

    ufrag: str | None = None
    pwd: str | None = None
    fingerprints: tuple[Fingerprint, ...] = ()
    problem: sdp.SdpSyntaxError | None = None

    @classmethod
    def of(cls, block: Block, session: _Transport | None = None) -> _Transport:
        above = session if session is not None else cls()
        try:
            return cls(
                attributes.ice_ufrag(block) or above.ufrag,
                attributes.ice_pwd(block) or above.pwd,
                attributes.fingerprints(block) or above.fingerprints,
                above.problem,
            )
        except sdp.SdpSyntaxError as error:
            return cls(problem=error)

    @property
    def credentials(self) -> IceCredentials | None:
        return IceCredentials(self.ufrag, self.pwd) if self.ufrag is not None and self.pwd is not None else None
