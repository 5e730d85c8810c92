"""Messages from one peer to another. They are delivered as they are; `from` is set here, never by the sender.

A message is accepted when it is kept for its receiver. Then it arrives once and in order, or the receiver's seat ends
and the sender gets that announcement. A message that cannot be accepted is answered by a numbered `error`, which
survives a resume too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adieu.protocol.signaling import BareAck, Candidates, Description, Error, Probe, encode_body

if TYPE_CHECKING:
    from adieu.protocol.signaling import CloseRoom, Kick, Relayed
    from adieu.server.hub.state import Seat, State

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()
_ENVELOPE = ("id", "seq", "ack")
_GONE = "no peer of this id shares a room with you"


def relay(state: State, seat: Seat, message: Relayed, data: str, request: int | None) -> None:
    """Deliver a message."""
    target = neighbour(state, seat, message.to)
    if target is None:
        _undelivered(state, seat, message, request, "gone", _GONE, temporary=False)
    elif (problem := _too_large(state, message)) is not None:
        _undelivered(state, seat, message, request, "limit", problem, temporary=False)
    elif not state.deliver(target, passed_on(message, data, seat.peer)):
        text = "the queue of the peer is full: it reads too slowly, or has been away for long"
        _undelivered(state, seat, message, request, "full", text, temporary=True)
    else:
        state.counters["relayed"] += 1


def neighbour(state: State, seat: Seat, peer: str) -> Seat | None:
    """Return the seat of a peer that shares a room. A peer in other rooms looks like one that does not exist."""
    target = state.seats.get(peer)
    if target is None or target is seat or target.rooms.keys().isdisjoint(seat.rooms):
        return None
    return target


def passed_on(message: Relayed, data: str | bytes, sender: str) -> bytes:
    """Return the message for its receiver: the known members, `from`, and every member that this version does not know.

    `type` and `to` are written as they were read, so that the receiver cannot read a doubled member differently.
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
            return f"an SDP of {len(sdp.encode())} bytes is too long; the limit is {settings.sdp_bytes}"
        case Candidates(candidates=candidates) if len(candidates) > settings.candidates:
            return (
                f"{len(candidates)} candidates are too many; the limit is {settings.candidates}: send them in batches"
            )
        case _:
            return None


def _undelivered(
    state: State, seat: Seat, message: Relayed, request: int | None, code: str, text: str, *, temporary: bool
) -> None:
    state.counters[f"undelivered_{code}"] += 1
    state.announce(seat, Error(code=code, message=text, temporary=temporary, peer=message.to), request)


def probe(state: State, seat: Seat, message: Probe, data: str, request: int | None) -> None:
    """Answer for the socket of a peer, and ask the peer itself.

    Neither the question nor an answer is kept: late answers would be useless.
    """
    target = neighbour(state, seat, message.to)
    connection = None if target is None else target.connection
    if message.alive is None:
        answer = Probe(to=message.to, session=message.session, alive=connection is not None)
        state.reply(seat, answer, request)
    if connection is not None:
        state.send(connection, passed_on(message, data, seat.peer).decode())


def kick(state: State, seat: Seat, message: Kick, request: int | None) -> Seat | None:
    """Say yes to the asker. The caller kicks the returned seat."""
    if "kick" not in seat.grant.can:
        state.refuse(seat, request, "denied", "the token does not grant the right `kick`")
        return None
    target = neighbour(state, seat, message.peer)
    if target is None:
        state.refuse(seat, request, "gone", _GONE)
        return None
    state.reply(seat, BareAck(), request)
    return target


def may_close(state: State, seat: Seat, message: CloseRoom, request: int | None) -> bool:
    """Whether the peer may close this room for everybody; else it is refused."""
    if "close" not in seat.grant.can:
        state.refuse(seat, request, "denied", "the token does not grant the right `close`")
    elif message.room not in seat.rooms:
        state.refuse(seat, request, "gone", "this client is not in that room")
    else:
        return True
    return False


def last_words(state: State, seat: Seat, closing: list[Relayed]) -> None:
    """Deliver the messages of a page that went away. Errors are dropped, because their reader is gone."""
    for message in closing:
        target = neighbour(state, seat, message.to)
        if target is not None and state.deliver(target, passed_on(message, encode_body(message), seat.peer)):
            state.counters["relayed"] += 1
