"""Messages from one peer to another: passed on as they are, with `from` set here and never taken from the sender.

A message is accepted when it is kept for its receiver; then it arrives once and in order, or the receiver's seat ends
and the sender hears that. One that cannot be accepted is answered by a numbered `error`, which survives a resume too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adieu.protocol.signaling import BareAck, Candidates, Description, Error, Probe, encode, encode_body
from adieu.protocol.signaling import Kicked as KickedMessage

if TYPE_CHECKING:
    from adieu.protocol.signaling import Kick, Relayed
    from adieu.server.hub.state import Seat, State

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()
_ENVELOPE = ("id", "seq", "ack")
_GONE = "no such peer shares a room with you"


def relay(state: State, seat: Seat, message: Relayed, data: str, request: int | None) -> None:
    """Pass a message on."""
    target = neighbour(state, seat, message.to)
    if target is None:
        _undelivered(state, seat, message, request, "gone", _GONE, temporary=False)
    elif (problem := _too_large(state, message)) is not None:
        _undelivered(state, seat, message, request, "limit", problem, temporary=False)
    elif not state.deliver(target, passed_on(message, data, seat.peer)):
        text = "the peer does not keep up, or is away for long: its queue is full"
        _undelivered(state, seat, message, request, "full", text, temporary=True)
    else:
        state.counters["relayed"] += 1


def neighbour(state: State, seat: Seat, peer: str) -> Seat | None:
    """The seat of that peer, if it shares a room. Who does not, and who does not exist, look the same."""
    target = state.seats.get(peer)
    if target is None or target is seat or target.rooms.keys().isdisjoint(seat.rooms):
        return None
    return target


def passed_on(message: Relayed, data: str | bytes, sender: str) -> bytes:
    """The message for its receiver: what was read, `from`, and every member that this version does not know.

    `type` and `to` are written as they were read: a member that stands there twice is not read differently there.
    """
    members: dict[str, object] = {"type": message.__struct_config__.tag, "from": sender, "to": message.to}
    for name, value in _members_decoder.decode(data).items():
        if name not in _ENVELOPE:
            members.setdefault(name, value)
    return _encoder.encode(members)


def _too_large(state: State, message: Relayed) -> str | None:
    settings = state.settings
    match message:
        case Description(sdp=sdp) if len(sdp.encode()) > settings.sdp_bytes:
            return f"an SDP of {len(sdp.encode())} bytes; the limit is {settings.sdp_bytes}"
        case Candidates(candidates=candidates) if len(candidates) > settings.candidates:
            return f"{len(candidates)} candidates; the limit is {settings.candidates}: send them in batches"
        case _:
            return None


def _undelivered(
    state: State, seat: Seat, message: Relayed, request: int | None, code: str, text: str, *, temporary: bool
) -> None:
    state.counters[f"undelivered_{code}"] += 1
    state.announce(seat, Error(code=code, message=text, temporary=temporary, peer=message.to), request)


def probe(state: State, seat: Seat, message: Probe, data: str, request: int | None) -> None:
    """Is that peer's socket there? The server says what it knows, and asks the peer itself.

    Neither the question nor an answer is kept: late they would say nothing.
    """
    target = neighbour(state, seat, message.to)
    connection = None if target is None else target.connection
    if message.alive is None:
        answer = Probe(to=message.to, session=message.session, alive=connection is not None)
        state.reply(seat, answer, request)
    if connection is not None:
        state.send(connection, passed_on(message, data, seat.peer).decode())


def kick(state: State, seat: Seat, message: Kick, request: int | None) -> Seat | None:
    """Say `kicked` to a peer and yes to the one who asked; the seat returned is the caller's to free."""
    if "kick" not in seat.grant.can:
        state.refuse(seat, request, "denied", "the token does not give the right `kick`")
        return None
    target = neighbour(state, seat, message.peer)
    if target is None:
        state.refuse(seat, request, "gone", _GONE)
        return None
    if target.connection is not None:
        state.send(target.connection, encode(KickedMessage(reason=message.reason)))
    state.reply(seat, BareAck(), request)
    return target


def last_words(state: State, seat: Seat, closing: list[Relayed]) -> None:
    """What a page said of its sessions when it went away; nobody is there to hear what cannot be passed on."""
    for message in closing:
        target = neighbour(state, seat, message.to)
        if target is not None and state.deliver(target, passed_on(message, encode_body(message), seat.peer)):
            state.counters["relayed"] += 1
