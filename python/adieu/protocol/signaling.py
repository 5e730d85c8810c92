"""Messages between a signaling client and the server, WebSocket subprotocol `adieu.v1+json`.

They are JSON text frames tagged by `type`. Every message may carry the members of the envelope. `id` is the number of a
request, repeated in its answer. `seq` numbers the messages that must survive a lost socket, for each direction. `ack`
is the last `seq` received.

A client numbers the messages that it wants relayed, from 1 for each seat. The server numbers relayed messages,
presence, and the `error` about a message that could not be delivered. Numbered messages arrive once and in order, also
across a resume. Answers to requests are not numbered: a client asks again.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from adieu.protocol.nesting import check_nesting
from adieu.protocol.words import (
    MAX_COUNT,
    Cancel,
    Capabilities,
    Closed,
    Closing,
    Count,
    Done,
    Id,
    Line,
    Message,
    Moved,
    Reset,
    ResetOk,
    Switch,
    Switched,
    Version,
    Wait,
    Word,
    clean,
)

SUBPROTOCOL = "adieu.v1+json"
MAX_TOKEN = 8192
MAX_PERSON = 256
MAX_ROOM = 256
Token = Annotated[str, Meta(max_length=MAX_TOKEN)]
PersonName = Annotated[str, Meta(max_length=MAX_PERSON)]
RoomName = Annotated[str, Meta(min_length=1, max_length=MAX_ROOM)]
Room = Annotated[str, Meta(max_length=MAX_ROOM)]
Details = Annotated[dict[Annotated[str, Meta(max_length=128)], Any], Meta(max_length=64)]
"""Metadata that a program gives about itself. The length of a frame and `MAX_NESTING` bound it."""
Seconds = Annotated[float, Meta(ge=0, le=MAX_COUNT)]


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Members that any frame may carry in addition to its own."""

    id: Count | None = None
    seq: Annotated[int, Meta(ge=1, le=MAX_COUNT)] | None = None
    ack: Count | None = None


# --- from the client ----------------------------------------------------------------------------------------


class Resume(Struct, frozen=True, kw_only=True, rename="camel"):
    """Takes a seat back after its socket was lost."""

    token: Token
    last_seq: Count


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The first message, within 5 s."""

    version: Version
    name: PersonName = ""
    token: Token | None = None
    resume: Resume | None = None
    capabilities: Capabilities = []


class Join(Message, frozen=True, kw_only=True, tag="join"):
    """Joins a room. The answer is `joined`."""

    room: RoomName
    meta: Details = {}


class Leave(Message, frozen=True, kw_only=True, tag="leave"):
    """Leaves the room. The answer is `left`."""

    room: RoomName
    reason: Line = ""

    def __post_init__(self) -> None:
        clean(self, "reason")


class Description(Word, frozen=True, kw_only=True, tag="description"):
    """A session description for the peer's connection of this epoch."""

    epoch: Count
    sdp_type: Literal["offer", "pranswer", "answer", "rollback"]
    sdp: Annotated[str, Meta(max_length=60 * 1024)]


class Candidate(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """An RTCIceCandidateInit."""

    candidate: Annotated[str, Meta(max_length=1024)]
    sdp_mid: Annotated[str, Meta(max_length=64)] | None = None
    sdp_m_line_index: Annotated[int, Meta(ge=0, le=65535)] | None = msgspec.field(default=None, name="sdpMLineIndex")
    username_fragment: Annotated[str, Meta(max_length=256)] | None = None


class Candidates(Word, frozen=True, kw_only=True, tag="candidates"):
    """A batch of ICE candidates."""

    epoch: Count
    candidates: Annotated[list[Candidate], Meta(max_length=50)]
    end: bool = False


class Probe(Word, frozen=True, kw_only=True, tag="probe"):
    """Asks whether the socket of a peer is alive. The server answers (`from` empty), and the peer too (`alive` set)."""

    alive: bool | None = None


class IceServersRequest(Message, frozen=True, kw_only=True, tag="iceServers"):
    """Asks for fresh TURN credentials, after a join."""


class Refresh(Message, frozen=True, kw_only=True, tag="refresh"):
    """Gives a new token before the old one expires. The answer is `refreshed`."""

    token: Token


class Kick(Message, frozen=True, kw_only=True, tag="kick"):
    """Removes a peer from the room; needs the right `kick`."""

    peer: Id
    reason: Line = ""

    def __post_init__(self) -> None:
        clean(self, "reason")


class CloseRoom(Message, frozen=True, kw_only=True, tag="closeRoom"):
    """Closes a room for everybody in it; needs the right `close`. The others get `kicked` or `left`, as at `Kicked`.

    The answer is a plain yes. The asker stays until it leaves.
    """

    room: Room
    reason: Line = ""

    def __post_init__(self) -> None:
        clean(self, "reason")


class Quit(Message, frozen=True, kw_only=True, tag="quit"):
    """Leaves for good. The answer is `goodbye` and close code 1000; the seat is free at once."""

    reason: Line = ""

    def __post_init__(self) -> None:
        clean(self, "reason")


class BareAck(Message, frozen=True, kw_only=True, tag="ack"):
    """Carries only the envelope: `ack` when there is no other message, `id` as a plain yes to a request."""


Relayed = (
    Description | Candidates | Probe | Moved
    | Closing | Wait | Done | Closed | Reset | ResetOk | Switch | Switched | Cancel
)  # fmt: skip
FromClient = Hello | Join | Leave | IceServersRequest | Refresh | Kick | CloseRoom | Quit | BareAck | Relayed


# --- from the server ----------------------------------------------------------------------------------------


class IceServer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An RTCIceServer."""

    urls: Annotated[list[Annotated[str, Meta(max_length=2048)]], Meta(max_length=64)]
    username: Annotated[str, Meta(max_length=1024)] | None = None
    credential: Annotated[str, Meta(max_length=1024)] | None = None


ServerList = Annotated[list[IceServer], Meta(max_length=64)]


class Limits(Struct, frozen=True, kw_only=True, rename="camel"):
    """Limits of the server. It refuses anything beyond them."""

    message_bytes: Count
    sdp_bytes: Count
    candidates: Count
    messages_per_second: Annotated[float, Meta(ge=0, le=MAX_COUNT)]
    burst: Count
    rooms: Count
    room_peers: Count


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The answer to `hello`. After a resume, the envelope's `ack` is the last message that the server has."""

    peer: Id
    resume_token: Token
    resumed: bool
    resume_grace_ms: Count
    ping_ms: Count
    limits: Limits
    ice_servers: ServerList = []
    ice_ttl: Count = 0
    """Seconds that the credentials in `ice_servers` are valid; 0: forever."""
    can: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=64)] = []
    """The rights that the token grants, such as `kick` and `close`."""


class Peer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A peer in a room."""

    peer: Id
    name: PersonName = ""
    user: Annotated[str, Meta(max_length=1024)] = ""
    meta: Details = {}
    away: bool = False


class Joined(Message, frozen=True, kw_only=True, tag="joined"):
    """The answer to `join`, with the other peers in the room."""

    room: Room
    peers: Annotated[list[Peer], Meta(max_length=4096)]


class Left(Message, frozen=True, kw_only=True, tag="left"):
    """The answer to `leave`; or, without a request, this client was put out of the room."""

    room: Room
    code: Annotated[str, Meta(max_length=64)] = ""
    """Without a request: `room-closed`, or empty if a new token does not allow the room."""
    text: Line = ""

    def __post_init__(self) -> None:
        clean(self, "text")


class PeerJoined(Message, frozen=True, kw_only=True, tag="peerJoined"):
    """A peer joined."""

    room: Room
    peer: Peer
    reloaded: Id = ""
    """The peer id that the same tab had until a moment ago. The cause of that peer is `reloaded`."""


class PeerAway(Message, frozen=True, kw_only=True, tag="peerAway"):
    """The socket of a peer ended without `quit`. Its seat is kept for a while."""

    room: Room
    peer: Id


class PeerBack(Message, frozen=True, kw_only=True, tag="peerBack"):
    """A peer that was away has resumed its seat."""

    room: Room
    peer: Id


LeaveReason = Literal["left", "kicked", "replaced", "timeout", "shutdown"]


class PeerLeft(Message, frozen=True, kw_only=True, tag="peerLeft"):
    """A peer is gone."""

    room: Room
    peer: Id
    reason: LeaveReason
    text: Line = ""

    def __post_init__(self) -> None:
        clean(self, "text")


class Kicked(Message, frozen=True, kw_only=True, tag="kicked"):
    """This client was removed; close code 3509 follows."""

    reason: Line = ""
    code: Literal["kicked", "room-closed"] = "kicked"
    """`room-closed`: its only room was closed, for everybody in it."""

    def __post_init__(self) -> None:
        clean(self, "reason")


class IceServers(Message, frozen=True, kw_only=True, tag="iceServersAre"):
    """The answer to `iceServers`."""

    ice_servers: ServerList
    ice_ttl: Count = 0


class Refreshed(Message, frozen=True, kw_only=True, tag="refreshed"):
    """The answer to `refresh`."""

    expires_in: Seconds
    """Seconds."""


class TokenExpiring(Message, frozen=True, kw_only=True, tag="tokenExpiring"):
    """Asks the client to send `refresh` within this time."""

    in_ms: Count


class Goaway(Message, frozen=True, kw_only=True, tag="goaway"):
    """The server is about to stop."""

    reason: Line
    action: Literal["reconnect", "stop"] = "reconnect"
    after_ms: Count

    def __post_init__(self) -> None:
        clean(self, "reason")


class Goodbye(Message, frozen=True, kw_only=True, tag="goodbye"):
    """The answer to `quit`."""


class Error(Message, frozen=True, kw_only=True, tag="error"):
    """An error of a request, or of the connection before it closes."""

    code: Annotated[str, Meta(max_length=64)]
    message: Line
    temporary: bool = False
    peer: Id = ""
    """The peer to which the message could not be delivered."""

    def __post_init__(self) -> None:
        clean(self, "message")


FromServer = (
    Welcome | Joined | Left | PeerJoined | PeerAway | PeerBack | PeerLeft | Kicked | IceServers | Refreshed
    | TokenExpiring | Goaway | Goodbye | Error | BareAck | Relayed
)  # fmt: skip


# --- beside the WebSocket -----------------------------------------------------------------------------------


class Leaving(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The body of `POST /v1/leave`, which a page sends by `sendBeacon` when it goes away. The seat is free at once.

    With `if_gone` it is sent in advance, by a page that may end without a goodbye. It counts if the socket ends in the
    next seconds.
    """

    resume_token: Token
    closing: Annotated[list[Closing], Meta(max_length=128)] = []
    reason: Line = ""
    if_gone: bool = False

    def __post_init__(self) -> None:
        clean(self, "reason")


class CloseCode(IntEnum):
    """WebSocket close codes. 3500 and above are final; after all others a client reconnects."""

    QUIT = 1000
    TOO_BIG = 1009
    LOST = 3000
    SHUTDOWN = 3001
    EXPIRED = 3005
    SLOW = 3008
    NO_PONG = 3012
    TOO_MANY = 3013
    INVALID_TOKEN = 3500
    BAD_REQUEST = 3501
    LIMIT = 3504
    DENIED = 3507
    KICKED = 3509

    @property
    def final(self) -> bool:
        """Whether reconnecting is pointless."""
        return self >= 3500 or self is CloseCode.QUIT


def is_final(code: int) -> bool:
    """Whether a client must not reconnect after this code. Unknown codes are temporary."""
    return code in _FINAL


_FINAL = frozenset(int(code) for code in CloseCode if code.final)


# --- text ---------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()
_envelope_decoder = msgspec.json.Decoder(Envelope)
_client_decoder: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)
_server_decoder: msgspec.json.Decoder[FromServer] = msgspec.json.Decoder(FromServer)


class _Tag(Struct):
    type: str


_tag_decoder = msgspec.json.Decoder(_Tag)
_CLIENT_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in FromClient.__args__)
_SERVER_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in FromServer.__args__)

T = TypeVar("T")


def encode(
    message: FromClient | FromServer, *, request: int | None = None, seq: int | None = None, ack: int | None = None
) -> str:
    """Return the text of a frame: the message and its envelope, where `request` is the `id`."""
    return wrap(_encoder.encode(message), request=request, seq=seq, ack=ack)


def encode_body(message: FromClient | FromServer) -> bytes:
    """Encode the message alone. `wrap` adds the envelope when it is sent, because a replayed frame has a new one."""
    return _encoder.encode(message)


def wrap(body: bytes, *, request: int | None = None, seq: int | None = None, ack: int | None = None) -> str:
    """Put the envelope's members in front of those of an encoded message (which has at least its `type`)."""
    envelope = _encoder.encode(Envelope(id=request, seq=seq, ack=ack))
    if envelope == b"{}":
        return body.decode()
    return (envelope[:-1] + b"," + body[1:]).decode()


def decode_client(text: str | bytes) -> tuple[Envelope, FromClient | None]:
    """Read a frame from a client; the message is None for a type of a later version.

    Raises:
        ValueError: the text is not JSON, or a field is wrong; the message names it.
    """
    return _decode(text, _client_decoder, _CLIENT_TAGS)


def decode_server(text: str | bytes) -> tuple[Envelope, FromServer | None]:
    """Read a frame from the server, as `decode_client` does."""
    return _decode(text, _server_decoder, _SERVER_TAGS)


def _decode(text: str | bytes, decoder: msgspec.json.Decoder[T], known: frozenset[str]) -> tuple[Envelope, T | None]:
    check_nesting(text)
    try:
        envelope = _envelope_decoder.decode(text)
        try:
            return envelope, decoder.decode(text)
        except msgspec.ValidationError:
            if _tag_decoder.decode(text).type not in known:
                return envelope, None
            raise
    except (UnicodeError, RecursionError) as error:
        raise ValueError(f"not a signaling message: {error}") from error
