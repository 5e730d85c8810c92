"""Two peers that do everything a program may do, at random and for long, in virtual time.

Each walk is made of its seed alone. `ADIEU_SEED` is the first seed and `ADIEU_STEPS` says how many steps are gone in
all, over all ways; a failure says with which two values it comes back:

    ADIEU_SEED=123 ADIEU_STEPS=40 pytest tests/property/webrtc/test_random_walk.py -k by_hand
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest

from adieu import MediaStream
from adieu.errors import (
    AbortError,
    DOMException,
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    OperationError,
    RTCError,
)
from adieu.jsep import direction as directions
from adieu.jsep import parse_description
from adieu.webrtc.conformance import strict_specification
from sim.webrtc.support import PC_EVENTS, Log
from support.media import track
from support.virtual import World, simulate

SEED = int(os.environ.get("ADIEU_SEED", "1"))
STEPS = int(os.environ.get("ADIEU_STEPS", "10000"))
LENGTH = 40
MANY = 8
PATIENCE = 60.0
"""Virtual seconds within which every promise settles."""

CLOSED = (InvalidStateError, AbortError)
KINDS = ("audio", "video")
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
WRONG_IN_ANSWERS = (
    ("^a=mid:.*$", "a=mid:of-no-offer"),
    ("^a=setup:.*$", "a=setup:actpass"),
    ("^a=fingerprint:.*\r\n", ""),
    ("^a=fingerprint:sha-256 ", "a=fingerprint:sha-257 "),
    ("^a=ice-ufrag:.*\r\n", ""),
    ("^m=[a-z]+ ", "m=text "),
)
NETWORK_LINES = re.compile(r"^(a=candidate:.*|a=end-of-candidates|c=.*)\r\n|(?<=^m=)(\w+) \d+", re.MULTILINE)


class Walk:
    """What happens in one walk."""

    def __init__(self, world: World, rng: random.Random, *, strict: bool = False) -> None:
        self.world = world
        self.rng = rng
        self.done: list[str] = []
        self.peers = [Peer(self, number, strict=strict) for number in (1, 2)]
        for peer, other in zip(self.peers, reversed(self.peers), strict=True):
            peer.other = other

    @property
    def is_over(self) -> bool:
        return any(peer.is_closed for peer in self.peers)


class Peer:
    """One side, and what can be done to it."""

    other: Peer

    def __init__(self, walk: Walk, number: int, *, strict: bool) -> None:
        self.walk = walk
        self.rng = walk.rng
        self.name = "_ab"[number]
        self.host = walk.world.host(f"10.0.0.{number}")
        with strict_specification() if strict else nullcontext():
            self.pc = walk.world.connection(
                self.host, bundlePolicy=self.rng.choice(["balanced", "max-compat", "max-bundle"])
            )
        self.strict = strict
        self.channels: list[Any] = []
        self.negotiated: dict[Any, str] = {}
        self.stopped: set[Any] = set()
        """What was stopped by the program, or by an offer that was made up."""
        self.promises: list[asyncio.Task[Any]] = []
        self.after_close = Log()
        self.sctp_ends = Log()
        self.sctp_lived = False
        self.seen = Log()
        self.seen.watch(self.pc, "signalingstatechange", "track", "datachannel")
        self.needs_negotiation = False
        self.pc.onnegotiationneeded = self._needed
        self.pc.ondatachannel = lambda event: self.channels.append(event.channel)
        self.pc.ontrack = self._tracked

    @property
    def is_closed(self) -> bool:
        return self.pc.signalingState == "closed"

    def _needed(self, _: Any) -> None:
        assert self.pc.signalingState == "stable"
        self.needs_negotiation = True

    def _tracked(self, event: Any) -> None:
        assert event.transceiver in self.pc.getTransceivers()
        assert event.receiver.track is event.track
        assert all(event.track in stream.getTracks() for stream in event.streams)

    def promise(self, coroutine: Any, *allowed: type[Exception]) -> asyncio.Task[Any]:
        """A call that is not awaited now; but it settles, and with nothing but these errors."""

        async def settle() -> None:
            with suppress(*allowed):
                try:
                    await coroutine
                except CLOSED:
                    if not self.is_closed:
                        raise

        task = asyncio.ensure_future(settle())
        self.promises.append(task)
        return task

    # --- what a program does besides negotiating -----------

    def act(self) -> None:
        """Any one thing; none of it is awaited."""
        actions = {
            self.add_transceiver: 4,
            self.add_track: 3,
            self.remove_track: 2,
            self.set_direction: 4,
            self.stop: 2,
            self.set_parameters: 3,
            self.replace_track: 2,
            self.set_streams: 1,
            self.prefer: 1,
            self.create_channel: 2,
            self.close_channel: 1,
            self.restart: 2,
            self.configure: 1,
            self.look: 2,
            self.create: 2,
        }
        if len(self.pc.getTransceivers()) > MANY:  # more of the same costs time and shows nothing
            actions |= {self.add_transceiver: 0, self.add_track: 0, self.stop: 6}
        action = self.rng.choices(list(actions), list(actions.values()))[0]
        self.note(action.__name__)
        if self.is_closed:
            self.late(action)
        else:
            action()

    def late(self, action: Any) -> None:
        """Closing rules 21 to 30: refused, or without effect."""
        before = observed(self)
        with suppress(InvalidStateError):
            action()
        unchanged(before, observed(self), action)

    def remember(self) -> None:
        """Which transceiver is, or was, in which section."""
        known = self.pc.getTransceivers() if self.pc.signalingState == "stable" else self.stopped
        self.negotiated |= {t: t.mid for t in known if t.mid is not None}

    def note(self, what: str) -> None:
        self.walk.done.append(f"{self.name} {what}")

    def live(self) -> Any:
        """One that is not stopped; often the first, whose section speaks for its bundle."""
        live = [t for t in self.pc.getTransceivers() if t.direction != "stopped"]
        return self.rng.choice([*live, *live[:1] * 3]) if live else None

    def add_transceiver(self) -> None:
        kind = self.rng.choice(KINDS)
        init: dict[str, Any] = {"direction": self.rng.choice(DIRECTIONS)}
        if self.rng.random() < 0.5:
            init["streams"] = [MediaStream()]
        if kind == "video" and self.rng.random() < 0.4:
            init["sendEncodings"] = [{"rid": rid} for rid in "qhf"[: self.rng.randint(1, 3)]]
        self.pc.addTransceiver(self.rng.choice([kind, track(kind)]), init)

    def add_track(self) -> None:
        one = track(self.rng.choice(KINDS))
        self.pc.addTrack(one, *[MediaStream([one])] * self.rng.randint(0, 1))

    def remove_track(self) -> None:
        if senders := self.pc.getSenders():
            self.pc.removeTrack(self.rng.choice(senders))

    def set_direction(self) -> None:
        if transceiver := self.live():
            transceiver.direction = self.rng.choice(DIRECTIONS)

    def stop(self) -> None:
        if transceiver := self.live():
            transceiver.stop()
            self.stopped.add(transceiver)
            if transceiver.mid is not None:  # perhaps only offered yet, and gone before it is looked at again
                self.negotiated[transceiver] = transceiver.mid

    def set_parameters(self) -> None:
        if transceiver := self.live():
            parameters = transceiver.sender.getParameters()
            for encoding in parameters.encodings:
                encoding.active = self.rng.random() < 0.7
                encoding.maxBitrate = self.rng.choice([None, 100_000])
            self.promise(transceiver.sender.setParameters(parameters), InvalidStateError)

    def replace_track(self) -> None:
        if transceiver := self.live():
            new = self.rng.choice([None, track(transceiver.receiver.track.kind)])
            self.promise(transceiver.sender.replaceTrack(new), InvalidStateError)

    def set_streams(self) -> None:
        if transceiver := self.live():
            transceiver.sender.setStreams(*[MediaStream() for _ in range(self.rng.randint(0, 2))])

    def prefer(self) -> None:
        if transceiver := self.live():
            codecs = transceiver.receiver.getCapabilities(transceiver.receiver.track.kind).codecs
            self.rng.shuffle(codecs)
            transceiver.setCodecPreferences(self.rng.choice([codecs, []]))

    def create_channel(self) -> None:
        self.channels.append(self.pc.createDataChannel("x", ordered=self.rng.random() < 0.5))

    def close_channel(self) -> None:
        if self.channels:
            self.rng.choice(self.channels).close()

    def restart(self) -> None:
        self.pc.restartIce()

    def configure(self) -> None:
        configuration = self.pc.getConfiguration()
        servers = self.rng.choice([[], [{"urls": "stun:10.0.0.9"}]])
        if self.rng.random() < 0.3:
            with pytest.raises(DOMException):
                self.pc.setConfiguration(iceServers=[{"urls": "nothing"}], bundlePolicy=configuration.bundlePolicy)
            assert self.pc.getConfiguration() == configuration
        else:
            self.pc.setConfiguration(
                iceServers=servers, bundlePolicy=configuration.bundlePolicy, certificates=configuration.certificates
            )

    def look(self) -> None:
        self.promise(self.pc.getStats())

    def create(self) -> None:
        state = self.rng.choice([self.pc.createOffer, self.pc.createAnswer])
        task = self.promise(state(), InvalidStateError)
        if self.rng.random() < 0.2:
            asyncio.get_running_loop().call_soon(task.cancel)

    def close(self) -> None:
        self.note("close")
        sctp = self.pc.sctp
        self.sctp_lived = sctp is not None and sctp.state != "closed"
        self.pc.close()
        if sctp is not None:
            self.sctp_ends.watch(sctp, "statechange")
        for target in [self.pc, *transports(self.pc)]:
            if target is not sctp:
                self.after_close.watch(target, *PC_EVENTS, "statechange", "gatheringstatechange")


def transports(pc: Any) -> list[Any]:
    """All objects under a connection that fire events."""
    dtls = {t.sender.transport for t in pc.getTransceivers()} | ({pc.sctp.transport} if pc.sctp else set())
    found = [transport for transport in dtls if transport is not None]
    return [*([pc.sctp] if pc.sctp else []), *found, *(transport.iceTransport for transport in found)]


# --- what may not change, and what is the same on both sides -----------


def observed(peer: Peer) -> dict[str, Any]:
    """All that a program can see of the negotiation; not what the network brings at any moment."""
    pc = peer.pc
    slots = ("current", "pending")
    return {
        "state": pc.signalingState,
        "descriptions": {
            (when, side): shown(getattr(pc, f"{when}{side}Description"))
            for when in slots
            for side in ("Local", "Remote")
        },
        "trickle": pc.canTrickleIceCandidates,
        "transports": len(peer.host.handles.transports),
        "configuration": pc.getConfiguration(),
        "sctp": (pc.sctp, pc.sctp and pc.sctp.maxMessageSize),
        "senders": pc.getSenders(),
        "receivers": pc.getReceivers(),
        "transceivers": [seen(transceiver) for transceiver in pc.getTransceivers()],
        "events": list(peer.seen),
    }


def unchanged(before: dict[str, Any], after: dict[str, Any], by: object) -> None:
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, (by, *((name, before[name], after[name]) for name in changed))


def shown(description: Any) -> Any:
    """A description without what is gathered meanwhile."""
    return None if description is None else (description.type, NETWORK_LINES.sub(r"\2", description.sdp))


def seen(transceiver: Any) -> Any:
    sender, receiver = transceiver.sender, transceiver.receiver
    parameters = sender.getParameters()
    return (
        transceiver,
        transceiver.mid,
        transceiver.direction,
        transceiver.currentDirection,
        (sender.track, sender.transport, parameters.encodings, parameters.codecs, parameters.rtcp),
        (receiver.track, receiver.track.readyState, receiver.track.muted, receiver.transport, receiver.getParameters()),
    )


def check_agreement(walk: Walk) -> None:
    """Both stable: the same sections, and what one sends the other receives."""
    a, b = walk.peers
    assert (a.pc.signalingState, b.pc.signalingState) == ("stable", "stable")
    descriptions = [getattr(p.pc, f"current{side}Description") for p in (a, b) for side in ("Local", "Remote")]
    if None in descriptions:
        assert descriptions == [None] * 4
        return
    lines = [parse_description("offer", description.sdp).sections for description in descriptions]
    for places in zip(*lines, strict=True):  # strict: as many on both sides
        assert len({(section.mid, section.media.kind) for section in places}) == 1
        live = [section for section in places if not section.rejected]
        if len(live) == 4 and places[0].is_rtp:
            ours, theirs, back, forth = (section.direction for section in places)
            assert (ours, theirs) == (forth, back)
    stopped = {peer.negotiated.get(transceiver) for peer in walk.peers for transceiver in peer.stopped}
    for peer in walk.peers:
        ended = {mid for transceiver, mid in peer.negotiated.items() if transceiver.currentDirection == "stopped"}
        assert ended <= stopped, "what nobody has stopped goes on"
    mids = [{t.mid: t for t in peer.pc.getTransceivers() if t.mid is not None} for peer in (a, b)]
    assert mids[0].keys() == mids[1].keys()
    for mid, one in mids[0].items():
        other = mids[1][mid]
        assert one.receiver.track.kind == other.receiver.track.kind
        if "stopped" not in {one.direction, other.direction}:
            assert one.currentDirection == directions.reverse(other.currentDirection)


async def finish(walk: Walk) -> None:
    """The end: everything settles, is given back, and nothing more is heard."""
    first, second = walk.rng.sample(walk.peers, 2)
    for peer in (first, second):
        if not peer.is_closed:
            peer.close()
    for peer in walk.peers:
        async with asyncio.timeout(PATIENCE):
            assert not await peer.pc.wait_closed()
    done, pending = await asyncio.wait([*first.promises, *second.promises, settled()], timeout=PATIENCE)
    if walk.peers[0].strict:  # closing rules 31, 35: by the letter they stay as they are
        for task in pending:
            task.cancel()
    else:
        assert not pending
    for task in done:
        if not task.cancelled():
            task.result()
    await walk.world.settle()
    for peer in walk.peers:
        assert peer.after_close == [], "closing rules 14, 33, 34"
        assert len(peer.sctp_ends) == peer.sctp_lived, "closing rule 12"
        assert all(channel.readyState == "closed" for channel in peer.channels)
        assert peer.pc.connectionState == "closed"
        assert (peer.host.handles.transports, peer.host.handles.channels) == ({}, {})


def settled() -> asyncio.Future[None]:
    """So that there is always something to be waited for."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


# --- negotiation by hand: every order of calls that keeps both sides together -----------


class ByHand:
    """What the two have told each other.

    Attributes:
        offering: who has an offer pending.
        heard: the other one has it as its remote description.
        answer: the answer that waits to be taken by who offers, "provisional" or final.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.rng = walk.rng
        self.offering: Peer | None = None
        self.heard = False
        self.answer: Any = None
        for peer in walk.peers:
            peer.pc.onicecandidate = lambda event, peer=peer: self.candidate(peer, event.candidate)

    def candidate(self, peer: Peer, candidate: Any) -> None:
        """Candidates go across when they like: too early, too late, or for what was rolled back."""
        if self.rng.random() < 0.9:
            given = candidate and candidate.toJSON()
            peer.other.promise(peer.other.pc.addIceCandidate(given), OperationError, InvalidStateError)

    async def step(self) -> None:
        """One more thing that is allowed now, while the two do other things."""
        moves = self.moves()
        move, *arguments = self.rng.choices([m[1:] for m in moves], [m[0] for m in moves])[0]
        self.walk.done.append(f"{move.__name__} {' '.join(a.name for a in arguments)}")
        call = asyncio.ensure_future(move(*arguments))
        while self.rng.random() < 0.4:
            await asyncio.sleep(0)
            self.rng.choice(self.walk.peers).act()
        async with asyncio.timeout(PATIENCE):
            await call

    def moves(self) -> list[Any]:
        one = self.offering
        if one is None:
            a, b = self.walk.peers
            return [(8, self.offer, a), (8, self.offer, b), (3, self.glare), *self.tries(a), *self.tries(b)]
        other = one.other
        if self.answer is not None:
            take = [(8, self.take, one), *self.tries(one)]
            return take if self.answer["type"] == "answer" else [*take, (4, self.reply, other)]
        if not self.heard:
            return [
                (8, self.tell, other),
                (2, self.offer, one),
                (2, self.roll_back, one),
                (2, self.glare),
                *self.tries(one),
            ]
        if other.pc.signalingState == "have-local-pranswer" or one.pc.signalingState == "have-remote-pranswer":
            return [(8, self.reply, other), *self.tries(one), *self.tries(other)]
        return [
            (8, self.reply, other),
            (2, self.roll_back, other),
            (2, self.both_roll_back),
            (2, self.offer_again, one),
            *self.tries(one),
            *self.tries(other),
        ]

    def tries(self, peer: Peer) -> list[Any]:
        tries = [(2, self.refused, peer)]
        if peer.pc.signalingState == "stable" and peer.other.pc.signalingState in {"stable", "have-local-offer"}:
            tries.append((2, self.there_and_back, peer))
        return tries

    # --- moves -----------

    async def offer(self, peer: Peer) -> None:
        await self.describe(peer, "offer")
        self.offering, self.heard = peer, False

    async def describe(self, peer: Peer, type_: str) -> None:
        """Set an offer or answer, in one of the ways there are."""
        pc = peer.pc
        restart = {"iceRestart": self.rng.random() < 0.3}
        match self.rng.randrange(4):
            case 0 if type_ != "pranswer":
                await pc.setLocalDescription()
            case 1:
                await pc.setLocalDescription(type=type_)
            case _:
                made = await (pc.createOffer(restart) if type_ == "offer" else pc.createAnswer())
                if self.rng.random() < 0.3:  # what is set then is not made of what there is
                    peer.act()
                try:
                    await pc.setLocalDescription(type=type_, sdp=made.sdp)
                except InvalidModificationError:  # another call has created one meanwhile
                    await pc.setLocalDescription(type=type_)

    async def tell(self, peer: Peer) -> None:
        """The offer comes; what the one who hears it has pending is rolled back by it."""
        assert self.offering is not None
        await peer.pc.setRemoteDescription(self.offering.pc.localDescription)
        assert self.walk.is_over or peer.pc.signalingState == "have-remote-offer"
        self.heard = True

    async def glare(self) -> None:
        """Both offer. One gives way, by itself or by the other's offer; or both do."""
        both = self.rng.sample(self.walk.peers, 2)
        offers = [peer for peer in both if peer.pc.signalingState == "stable"]
        await asyncio.gather(*(self.describe(peer, "offer") for peer in offers))
        winner, loser = both
        self.offering, self.heard = winner, False
        match self.rng.randrange(3):
            case 0:
                await self.tell(loser)
            case 1:
                await loser.pc.setLocalDescription(type="rollback")
            case _:
                await loser.pc.setLocalDescription(type="rollback")
                await self.roll_back(winner)

    async def roll_back(self, peer: Peer) -> None:
        local = peer is self.offering
        await (peer.pc.setLocalDescription if local else peer.pc.setRemoteDescription)({"type": "rollback"})
        assert self.walk.is_over or peer.pc.signalingState == "stable"
        self.heard = False
        if local:
            self.offering = None

    async def both_roll_back(self) -> None:
        assert self.offering is not None
        one, other = self.offering, self.offering.other
        for peer in self.rng.sample([one, other], 2):
            call = peer.pc.setLocalDescription if peer is one else peer.pc.setRemoteDescription
            await call({"type": "rollback"})
        self.offering, self.heard = None, False

    async def offer_again(self, peer: Peer) -> None:
        await self.describe(peer, "offer")
        await self.tell(peer.other)

    async def reply(self, peer: Peer) -> None:
        """An answer, or a provisional one."""
        type_ = self.rng.choice(["answer", "answer", "pranswer"])
        await self.describe(peer, type_)
        self.answer = peer.pc.localDescription.toJSON()
        assert self.answer["type"] == type_

    async def take(self, peer: Peer) -> None:
        await peer.pc.setRemoteDescription(self.answer)
        if self.answer["type"] == "answer":
            states = (peer.pc.signalingState, peer.other.pc.signalingState)
            assert self.walk.is_over or states == ("stable", "stable")
            self.offering, self.heard = None, False
        self.answer = None

    async def refused(self, peer: Peer) -> None:
        """What can not be applied changes nothing that can be seen."""
        with self.still(peer):
            await self.walk.world.settle(0.01)  # what others have begun would be seen
            call, description, errors = self.wrong(peer)
            before = observed(peer)
            with pytest.raises(errors):
                await call(description)
            if not peer.is_closed:
                unchanged(before, observed(peer), description)

    async def there_and_back(self, peer: Peer) -> None:
        """An offer, ours or the other's or something like it, that is rolled back has left nothing behind."""
        call = peer.pc.setLocalDescription if self.rng.random() < 0.3 else peer.pc.setRemoteDescription
        with self.still(peer), self.still(peer.other):
            await self.walk.world.settle(0.01)  # what others have begun would be seen
            maker = peer if call == peer.pc.setLocalDescription else peer.other
            text = (await maker.pc.createOffer(iceRestart=self.rng.random() < 0.3)).sdp
            if maker is not peer and self.rng.random() < 0.7:
                text = self.edited(text)
            before = observed(peer)
            try:
                await call(type="offer", sdp=text)
            except (RTCError, InvalidAccessError):
                self.walk.done.append("refused")
                assert maker is not peer
                unchanged(before, observed(peer), text)
            else:
                await call(type="rollback")
                after = observed(peer) | {"events": before["events"]}
                # W3C: what a description has stopped stays so.
                stopped = {t for t, _, _, was, *_ in before["transceivers"] if t.currentDirection == "stopped" != was}
                peer.stopped |= stopped
                if not stopped:
                    unchanged(before, after, text)

    def edited(self, text: str) -> str:
        lines = text.split("\r\n")[:-1]
        for _ in range(self.rng.randint(1, 3)):
            at = self.rng.randrange(len(lines))
            match self.rng.randrange(5):
                case 0 if len(lines) > 1:
                    del lines[at]
                case 1:
                    lines.insert(at, self.rng.choice(lines))
                case 2:
                    lines[at] = re.sub("[0-9]+", str(self.rng.choice([0, 1, 9, 97, 2**32])), lines[at], count=1)
                case 3:
                    words = (
                        ("actpass", "active"),
                        ("sendrecv", "recvonly"),
                        ("recvonly", "sendrecv"),
                        ("video", "audio"),
                    )
                    lines[at] = lines[at].replace(*self.rng.choice(words))
                case _:
                    lines[at] = lines[at][: self.rng.randrange(len(lines[at]) + 1)]
        return "\r\n".join(lines) + "\r\n"

    @contextmanager
    def still(self, peer: Peer) -> Any:
        """Nothing else is done to this one meanwhile."""
        act, peer.act = peer.act, lambda: None  # type: ignore[method-assign]
        try:
            yield
        finally:
            peer.act = act  # type: ignore[method-assign]

    def wrong(self, peer: Peer) -> Any:
        """A description that can not be applied now."""
        pc, state = peer.pc, peer.pc.signalingState
        known = [
            d for d in (pc.localDescription, pc.remoteDescription, peer.other.pc.localDescription) if d is not None
        ]
        texts = [description.sdp for description in known] or ["v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n"]
        text = self.rng.choice(texts)
        broken = text.replace("v=0", self.rng.choice(["v=1", "v=", "\0", "v=0\r\nm=audio"]), 1)
        answers = {"have-local-offer", "have-remote-pranswer"}
        options: list[Any] = [
            (pc.setRemoteDescription, {"type": "offer", "sdp": broken}, DOMException),
            (pc.setLocalDescription, {"type": "offer", "sdp": broken}, DOMException),
        ]
        if state not in answers:
            options.append((pc.setRemoteDescription, {"type": "answer", "sdp": text}, InvalidStateError))
            options.append((pc.setLocalDescription, {"type": "rollback"}, (InvalidStateError, *CLOSED)))
            if state == "have-local-offer":
                options.pop()
        else:
            answer = {"type": "answer", "sdp": broken}
            options.append((pc.setRemoteDescription, answer, RTCError))
            if pc.pendingLocalDescription.sdp.count("m="):
                head = text.partition("m=")[0].replace("a=group:", "a=x-group:")
                options.append((pc.setRemoteDescription, {"type": "answer", "sdp": head}, InvalidAccessError))
            if self.answer is not None and re.search("^m=[a-z]+ [1-9]", self.answer["sdp"], re.MULTILINE):
                for pattern, replacement in WRONG_IN_ANSWERS:
                    wrong = re.sub(pattern, replacement, self.answer["sdp"], flags=re.MULTILINE)
                    options.append((pc.setRemoteDescription, {"type": "answer", "sdp": wrong}, InvalidAccessError))
        if state != "have-remote-offer":
            options.append((pc.setRemoteDescription, {"type": "rollback"}, InvalidStateError))
        if state == "stable" and (current := pc.currentRemoteDescription) is not None and current.sdp.count("m="):
            head = current.sdp.partition("m=")[0].replace("a=group:", "a=x-group:")
            options.append((pc.setRemoteDescription, {"type": "offer", "sdp": head}, InvalidAccessError))
        return self.rng.choice(options)

    async def settle(self) -> None:
        """To the end of what is under way, and of what is still to be negotiated."""
        for _ in range(100):  # a reply is often a pranswer, and each side may have something to ask
            if self.offering is not None:
                one = self.offering
                if self.answer is not None:
                    await self.take(one)
                elif self.heard:
                    await self.reply(one.other)
                else:
                    await self.tell(one.other)
                continue
            await self.walk.world.settle(0.1)
            asking = [peer for peer in self.walk.peers if peer.needs_negotiation]
            if not asking:
                return
            asking[0].needs_negotiation = False
            await self.offer(asking[0])
        raise AssertionError("the two come to no end")


async def by_hand(walk: Walk) -> None:
    table = ByHand(walk)
    closing = walk.rng.randrange(LENGTH * 3 // 2)
    for number in range(LENGTH):
        if number == closing:
            await close_within(walk, table)
        if walk.is_over:
            walk.rng.choice(walk.peers).act()
        else:
            await table.step()
            await walk.world.settle(walk.rng.choice([0.0, 0.0, 0.01, 1.0]))
            for peer in walk.peers:
                peer.remember()
    if not walk.is_over:
        async with asyncio.timeout(PATIENCE):
            await table.settle()
        await walk.world.settle(1.0)
        check_agreement(walk)


async def close_within(walk: Walk, table: ByHand) -> None:
    """In the middle of a call, with others waiting behind it."""
    for peer in walk.peers:
        for _ in range(walk.rng.randrange(4)):
            peer.create()
    call = asyncio.ensure_future(table.step())
    for _ in range(walk.rng.randrange(6)):
        await asyncio.sleep(0)
    walk.rng.choice(walk.peers).close()
    done, _ = await asyncio.wait([call], timeout=PATIENCE)
    if not done:
        assert walk.peers[0].strict, "closing rule 35"
        call.cancel()
    elif not call.cancelled() and (error := call.exception()) is not None:
        assert isinstance(error, (*CLOSED, DOMException)), error


async def perfectly(walk: Walk) -> None:
    """Perfect negotiation: all that is done is done while descriptions and candidates are on their way."""
    walk.world.signaling_delay = walk.rng.choice([0.0, 0.005, 0.1])
    polite, other = walk.rng.sample(walk.peers, 2)
    walk.world.negotiate(polite.pc, other.pc)
    closing = walk.rng.randrange(LENGTH * 3 // 2)
    for number in range(LENGTH):
        peer = walk.rng.choice(walk.peers)
        if number == closing:
            peer.close()
        else:
            peer.act()
        await walk.world.settle(walk.rng.choice([0.0, 0.0, 0.001, 0.01, 0.3]))
        for peer in walk.peers:
            peer.remember()
    if not walk.is_over:
        await walk.world.settle(20.0)
        check_agreement(walk)


WAYS = {"by_hand": (by_hand, False), "perfectly": (perfectly, False), "by_the_letter": (by_hand, True)}
ACTS = {"add_transceiver", "add_track", "remove_track", "set_direction", "stop", "set_parameters", "replace_track"}
ACTS |= {"set_streams", "create_channel", "close_channel", "restart", "close"}
MOVES = {"offer", "tell", "glare", "roll_back", "both_roll_back", "offer_again", "reply", "take", "refused"}
EVERYTHING = {"by_hand": ACTS | MOVES | {"there_and_back"}, "perfectly": ACTS}
SHARES = {"by_hand": 0.45, "perfectly": 0.4, "by_the_letter": 0.15}


@pytest.mark.timeout(0)
@pytest.mark.parametrize("way", WAYS)
def test_random_walks(way: str) -> None:
    play, strict = WAYS[way]
    steps = Counter[str]()
    for number in range(max(1, round(STEPS * SHARES[way] / LENGTH))):
        for step in walk_once(play, SEED + number, strict=strict):
            steps.update(re.findall("[a-z]+_[a-z_]+|glare|tell|offer|take|reply|refused|close|restart|stop", step))
    if STEPS >= 10_000 and SHARES[way] > 0.2:
        left_out = [name for name in EVERYTHING[way] if not steps[name]]
        assert not left_out, "a walk that goes nowhere finds nothing"


def walk_once(play: Any, seed: int, *, strict: bool) -> list[str]:
    walks: list[Walk] = []

    async def program(world: World) -> None:
        walk = Walk(world, random.Random(seed), strict=strict)
        walks.append(walk)
        await play(walk)
        await finish(walk)

    try:
        simulate(program, seed=seed, limit=5000)
    except BaseException as error:
        error.add_note(f"ADIEU_SEED={seed} ADIEU_STEPS={LENGTH}; steps: {'; '.join(walks[0].done) if walks else ''}")
        raise
    return walks[0].done
