"""Offers and answers between two connections: perfect negotiation, glare, rollback, restart, loss."""

import asyncio
from pathlib import Path

import pytest

import adieu
from adieu import once
from adieu.errors import (
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    OperationError,
    RTCError,
)
from sim.webrtc.support import PC_EVENTS, Log, log_of
from support.virtual import reached, simulated

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "sdp").glob("*.sdp"))


# --- what is fired, and when -----------


@simulated()
async def test_the_order_of_events_of_the_offerer(world):
    a, b = world.pair()
    log = Log()
    log.watch(a, *PC_EVENTS)
    ours = a.createDataChannel("x")
    log.channel(ours, "channel ")
    await world.settle()
    assert log == ["negotiationneeded"]
    await a.setLocalDescription()
    assert log[1:] == ["signalingstatechange"]
    await world.settle()
    assert log[2:] == [
        "icegatheringstatechange",
        "icecandidate",  # UDP
        "icecandidate",  # TCP
        "icecandidate",
        "icegatheringstatechange",
        "icecandidate",
    ]
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await world.settle()
    del log[:]
    await a.setRemoteDescription(b.localDescription)
    assert log == ["signalingstatechange"]
    await once(ours, "open")
    assert log[1:] == [
        "iceconnectionstatechange",
        "connectionstatechange",
        "iceconnectionstatechange",
        "connectionstatechange",
        "channel open (open)",
    ]


@simulated()
async def test_a_description_says_what_is_known_when_it_is_looked_at(world):
    a, _ = world.pair()
    a.createDataChannel("x")
    await a.setLocalDescription()
    early = a.localDescription.sdp
    assert "a=candidate" not in early
    assert "m=application 9 " in early
    await world.settle()
    late = a.localDescription.sdp
    assert "a=candidate" in late
    assert "m=application 9 " not in late
    assert late.endswith("a=end-of-candidates\r\n")
    assert a.localDescription is a.pendingLocalDescription


@simulated()
async def test_candidates_name_their_section_and_generation(world):
    a, _ = world.pair()
    a.createDataChannel("x")
    seen = []
    a.onicecandidate = lambda event: seen.append(event.candidate)
    await a.setLocalDescription()
    await world.settle()
    *candidates, end, nothing = seen
    assert nothing is None
    assert end.candidate == ""
    for candidate in (*candidates, end):
        assert (candidate.sdpMid, candidate.sdpMLineIndex) == ("0", 0)
        assert f"a=ice-ufrag:{candidate.usernameFragment}\r\n" in a.localDescription.sdp
    assert candidates[0].type == "host"
    assert candidates[0].address == "10.0.0.1"


@simulated()
async def test_servers_that_can_not_be_used_are_named(world):
    """TURN is not there yet, and a name is not found: 701."""
    servers = [{"urls": ["turn:t.example", "stun:nowhere.example"], "username": "u", "credential": "c"}]
    a, _ = world.pair(iceServers=servers)
    errors = []
    a.onicecandidateerror = lambda event: errors.append((event.url, event.errorCode))
    a.createDataChannel("x")
    await a.setLocalDescription()
    await world.settle(10)
    assert sorted(errors) == [("stun:nowhere.example:3478", 701), ("turn:t.example:3478", 701)]
    assert a.iceGatheringState == "complete"


@simulated()
async def test_relay_alone_gathers_nothing(world):
    a, _ = world.pair(iceTransportPolicy="relay")
    a.createDataChannel("x")
    await a.setLocalDescription()
    await world.settle()
    assert "a=candidate" not in a.localDescription.sdp
    assert a.iceGatheringState == "complete"


@simulated()
async def test_relay_alone_gathers_nothing_also_where_sockets_are_open_already(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    a.setConfiguration({"iceTransportPolicy": "relay"})
    a.restartIce()
    await world.settle()
    assert "a=candidate" not in a.localDescription.sdp
    assert a.iceGatheringState == "complete"


# --- negotiationneeded -----------


@simulated()
async def test_negotiation_is_needed_for_the_first_channel_alone(world):
    a, b = world.pair()
    log = Log()
    log.watch(a, "negotiationneeded")
    a.createDataChannel("x")
    a.createDataChannel("y")
    await world.settle()
    assert log == ["negotiationneeded"]
    world.negotiate(a, b)
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    await world.settle()
    a.createDataChannel("z")
    await world.settle()
    assert log == ["negotiationneeded"]


@simulated()
async def test_it_is_asked_again_when_it_was_not_answered(world):
    """Needed while an offer without data is pending: fired when that one is done."""
    a, b = world.pair()
    log = Log()
    log.watch(a, "negotiationneeded")
    await a.setLocalDescription()
    a.createDataChannel("x")
    await world.settle()
    assert log == []
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    await world.settle()
    assert log == ["negotiationneeded"]


@simulated()
async def test_it_waits_for_the_chain_to_be_empty(world):
    a, _ = world.pair()
    log = Log()
    log.watch(a, "negotiationneeded")
    calls = [asyncio.ensure_future(a.createOffer()) for _ in range(5)]
    await asyncio.sleep(0)
    a.createDataChannel("x")
    for call in calls:
        assert log == []
        await call
    await world.settle()
    assert log == ["negotiationneeded"]


@simulated()
async def test_a_rollback_asks_again(world):
    a, _ = world.pair()
    log = Log()
    log.watch(a, "negotiationneeded", "signalingstatechange")
    a.createDataChannel("x")
    await a.setLocalDescription()
    await world.settle()
    assert log == ["signalingstatechange"], "what was needed is offered already"
    await a.setLocalDescription(type="rollback")
    await world.settle()
    assert log[1:] == ["signalingstatechange", "negotiationneeded"]
    assert (a.localDescription, a.iceGatheringState, a.iceConnectionState) == (None, "new", "new")


# --- perfect negotiation -----------


@pytest.mark.parametrize("loss", [0, 0.1])
@pytest.mark.parametrize("delay", [0, 0.03])
@simulated(seed=5)
async def test_both_offer_at_once(world, delay, loss):
    world.signaling_delay = delay
    world.link(loss=loss, delay=0.01)
    a, b = world.pair()
    link = world.negotiate(a, b)
    ours, theirs = a.createDataChannel("from a"), b.createDataChannel("from b")
    arrived = {}
    for pc in (a, b):
        pc.ondatachannel = lambda event: arrived.setdefault(event.channel.label, event.channel)
    await asyncio.gather(once(ours, "open"), once(theirs, "open"), reached(a, "connected"), reached(b, "connected"))
    ours.send("a")
    theirs.send("b")
    await world.settle(5)
    assert sorted(arrived) == ["from a", "from b"]
    assert (a.signalingState, b.signalingState) == ("stable", "stable")
    assert link.offers == 2, "the polite one's came to nothing"


@pytest.mark.parametrize("delay", [0, 0.005, 0.03])
@simulated()
async def test_both_restart_ice_at_once(world, delay):
    world.signaling_delay = delay
    world.link(delay=0.01)
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    log = log_of(ours)
    before = ufrags(a) | ufrags(b)
    received = []
    theirs.onmessage = lambda event: received.append(event.data)
    for round_ in range(5):
        ours.send(f"before {round_}")
        a.restartIce()
        b.restartIce()
        ours.send(f"during {round_}")
        await world.settle(3)
    assert received == [f"{when} {round_}" for round_ in range(5) for when in ("before", "during")]
    assert not before & (ufrags(a) | ufrags(b))
    assert (a.connectionState, b.connectionState) == ("connected", "connected")
    assert log == []


def ufrags(pc):
    return {line for line in pc.localDescription.sdp.split("\r\n") if line.startswith("a=ice-ufrag")}


@simulated()
async def test_negotiations_go_on_under_loss_and_with_slow_signaling(world):
    world.signaling_delay = 0.2
    world.link(loss=0.05, delay=0.02, jitter=0.01)
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    received = []
    theirs.onmessage = lambda event: received.append(event.data)
    for number in range(20):
        (a if number % 2 else b).restartIce()
        ours.send(str(number))
        await world.settle(0.15)
    await world.settle(10)
    assert received == [str(number) for number in range(20)]
    assert (a.connectionState, b.connectionState) == ("connected", "connected")


@simulated()
async def test_a_restart_that_is_rolled_back_leaves_the_path_as_it_was(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    before = ufrags(a)
    for _ in range(3):
        await a.setLocalDescription(await a.createOffer(iceRestart=True))
        assert ufrags(a) != before
        await a.setLocalDescription(type="rollback")
        assert ufrags(a) == before
    ours.send("still here")
    assert await theirs.receive() == "still here"
    await world.settle(60)
    assert (a.connectionState, b.connectionState) == ("connected", "connected")


@simulated()
async def test_the_old_path_carries_until_the_new_one_is_chosen(world):
    """RFC 8445: a restart does not interrupt."""
    world.signaling_delay = 0.5
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    states = []
    a.onconnectionstatechange = lambda _: states.append(a.connectionState)
    a.restartIce()
    await world.settle(0.2)
    for number in range(10):
        ours.send(str(number))
        assert await theirs.receive() == str(number)
        await world.settle(0.1)
    assert states == []


@simulated()
async def test_after_a_restart_its_candidates_alone_are_used(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    pair = a.sctp.transport.iceTransport.getSelectedCandidatePair()
    changes = Log()
    changes.watch(a.sctp.transport.iceTransport, "selectedcandidatepairchange")
    a.restartIce()
    await world.settle(5)
    assert changes
    assert a.sctp.transport.iceTransport.getSelectedCandidatePair() != pair


# --- descriptions -----------


@simulated()
async def test_the_end_of_a_generation_that_was_replaced_is_not_told(world):
    """The other side does not know it any more, and would refuse it."""
    a, b = world.pair(iceServers=[{"urls": "stun:10.0.0.9"}])  # nobody answers there: gathering takes long
    ends = []
    a.addEventListener("icecandidate", lambda event: ends.append(event.candidate))
    await world.connect(a, b)
    [first] = {candidate.usernameFragment for candidate in ends}
    a.restartIce()
    await world.settle(60)
    told = [candidate.usernameFragment for candidate in ends if candidate is not None and candidate.candidate == ""]
    assert len(told) == 1 and told != [first]


@simulated()
async def test_a_rollback_takes_back_what_would_have_carried_data(world):
    """W3C: [[SctpTransport]] is what it was when the state was last stable; also where media has the transport."""
    a, b = world.pair()
    a.addTransceiver("audio")
    await world.connect(a, b, data=False)
    for link in world._negotiations:
        link.stop()
    a.createDataChannel("x")
    await a.setLocalDescription()
    assert a.sctp.state == "connecting"
    await a.setLocalDescription(type="rollback")
    assert a.sctp is None


@simulated()
async def test_an_implicit_rollback_says_stable_in_between(world):
    """W3C setRemoteDescription step 3.1."""
    a, b = world.pair()
    for pc in (a, b):
        pc.createDataChannel("x")
        await pc.setLocalDescription()
    seen = []
    a.onsignalingstatechange = lambda _: seen.append(a.signalingState)
    await a.setRemoteDescription(b.localDescription)
    assert seen == ["stable", "have-remote-offer"]
    assert a.pendingLocalDescription is None


@simulated()
async def test_a_bad_offer_does_not_roll_ours_back(world):
    a, b = world.pair()
    for pc in (a, b):
        pc.createDataChannel("x")
        await pc.setLocalDescription()
    bad = b.localDescription.sdp.replace("a=setup:actpass", "a=setup:holdconn")
    with pytest.raises(InvalidAccessError, match="holdconn"):
        await a.setRemoteDescription(type="offer", sdp=bad)
    assert a.signalingState == "have-local-offer"
    assert a.pendingLocalDescription is not None


@simulated()
async def test_what_was_created_and_nothing_else_can_be_set(world):
    a, b = world.pair()
    a.createDataChannel("x")
    offer = await a.createOffer()
    with pytest.raises(InvalidModificationError):
        await a.setLocalDescription(type="offer", sdp=offer.sdp.replace("actpass", "active"))
    await a.setLocalDescription(offer)
    await b.setRemoteDescription(offer)
    with pytest.raises(InvalidModificationError):
        await b.setLocalDescription(type="answer", sdp="v=0")
    answer = await b.createAnswer()
    await b.setLocalDescription(type="answer")
    assert b.localDescription.sdp == answer.sdp
    with pytest.raises(InvalidModificationError):
        await b.setLocalDescription(offer)


@simulated()
async def test_an_implicit_offer_is_made_anew_when_something_was_added(world):
    a, _ = world.pair()
    offer = await a.createOffer()
    await a.setLocalDescription()
    assert a.localDescription.sdp == offer.sdp
    await a.setLocalDescription(type="rollback")
    await a.createOffer()
    a.createDataChannel("x")
    await a.setLocalDescription()
    assert "m=application" in a.localDescription.sdp


@simulated()
async def test_calls_in_the_wrong_state(world):
    a, b = world.pair()
    a.createDataChannel("x")
    with pytest.raises(InvalidStateError, match="no offer to answer"):
        await a.createAnswer()
    with pytest.raises(InvalidStateError):
        await a.setLocalDescription(type="answer")
    with pytest.raises(InvalidStateError):
        await a.setRemoteDescription(type="answer", sdp="nonsense")
    with pytest.raises(InvalidStateError):
        await a.setLocalDescription(type="rollback")
    with pytest.raises(InvalidStateError, match="no remote description"):
        await a.addIceCandidate()
    await b.setRemoteDescription(await a.createOffer())
    with pytest.raises(InvalidStateError):
        await b.createOffer()
    with pytest.raises(InvalidStateError):
        await b.setLocalDescription(type="offer")


@pytest.mark.parametrize(
    ("change", "line"), [(("v=0", "v=1"), 1), (("t=0 0", "?"), 4), (("a=setup:actpass", "a=setup:?"), 12)]
)
@simulated()
async def test_a_malformed_description_names_its_line_and_changes_nothing(world, change, line):
    a, b = world.pair()
    a.createDataChannel("x")
    offer = await a.createOffer()
    with pytest.raises(RTCError) as caught:
        await b.setRemoteDescription(type="offer", sdp=offer.sdp.replace(*change))
    assert (caught.value.errorDetail, caught.value.sdpLineNumber) == ("sdp-syntax-error", line)
    assert (b.signalingState, b.remoteDescription) == ("stable", None)
    await b.setRemoteDescription(offer)


@simulated()
async def test_pending_and_current(world):
    a, b = world.pair()
    a.createDataChannel("x")
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    assert (b.pendingRemoteDescription.type, b.currentRemoteDescription) == ("offer", None)
    assert b.pendingRemoteDescription.sdp == a.localDescription.sdp
    await b.setLocalDescription()
    assert (b.currentLocalDescription.type, b.pendingLocalDescription) == ("answer", None)
    assert b.sctp.state == "connecting"
    sctp = a.sctp
    assert (sctp.state, sctp.transport.state) == ("connecting", "new"), "from the offer on"
    await a.setRemoteDescription(b.localDescription)
    assert a.sctp is sctp
    assert (a.currentLocalDescription.type, a.currentRemoteDescription.type) == ("offer", "answer")


@simulated()
async def test_a_provisional_answer_connects(world):
    a, b = world.pair()
    ours = a.createDataChannel("x")
    await a.setLocalDescription()
    await world.settle()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription(type="pranswer")
    assert b.signalingState == "have-local-pranswer"
    await world.settle()
    await a.setRemoteDescription(b.localDescription)
    assert (a.signalingState, a.remoteDescription.type) == ("have-remote-pranswer", "pranswer")
    await once(ours, "open")
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    assert (a.signalingState, b.signalingState) == ("stable", "stable")
    assert b.localDescription.type == "answer"
    await world.settle(30)
    assert (a.connectionState, ours.readyState) == ("connected", "open")


@pytest.mark.parametrize("path", [p for p in FIXTURES if p.stem.endswith("-offer")], ids=lambda path: path.stem)
@simulated()
async def test_what_others_offer_is_answered(world, path):
    _, b = world.pair()
    await b.setRemoteDescription(type="offer", sdp=path.read_bytes().decode())
    await b.setLocalDescription()
    assert b.signalingState == "stable"
    assert (b.sctp is not None) == ("m=application" in b.remoteDescription.sdp)
    assert b.remoteDescription.sdp == path.read_bytes().decode()
    # pion trickles and does not say so
    assert b.canTrickleIceCandidates is not path.name.startswith(("pion", "aiortc"))
    b.close()
    assert not await b.wait_closed()


@simulated()
async def test_data_that_is_rejected(world):
    """Every await ends: channels that waited for the association fail, and the transport is given back."""
    a, _ = world.pair()
    ours = a.createDataChannel("x")
    log = log_of(ours)
    await a.setLocalDescription()
    text = a.localDescription.sdp.replace("a=setup:actpass", "a=setup:active").replace("a=group:BUNDLE 0\r\n", "")
    await a.setRemoteDescription(type="answer", sdp=text.replace("m=application 9 ", "m=application 0 "))
    await world.settle()
    assert log == ["error (closed)", "close (closed)"]
    assert (a.sctp, a.iceGatheringState, a.connectionState) == (None, "new", "new")
    needed = Log()
    needed.watch(a, "negotiationneeded")
    a.createDataChannel("again")
    await world.settle()
    assert needed == ["negotiationneeded"]
    offer = await a.createOffer()
    assert "a=mid:1\r\n" in offer.sdp


@simulated()
async def test_data_that_is_rejected_later_ends_its_channels(world):
    """W3C RTCSctpTransportState "closed": "applying a remote description that rejects data"."""
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    sctp, logs = a.sctp, (log_of(ours), log_of(theirs))
    offer = (await b.createOffer()).sdp
    port = next(line for line in offer.split("\r\n") if line.startswith("m=")).split()[1]
    rejected = offer.replace(f"m=application {port} ", "m=application 0 ").replace("a=group:BUNDLE 0\r\n", "")
    await a.setRemoteDescription(type="offer", sdp=rejected)
    await a.setLocalDescription()
    await world.settle()
    assert logs[0] == ["error (closed)", "close (closed)"]
    assert logs[1] == ["error (closed)", "close (closed)"]
    assert (a.sctp, sctp.state, sctp.transport.state, sctp.transport.iceTransport.state) == (
        None, "closed", "closed", "closed"
    )  # fmt: skip
    assert a.connectionState == "new"
    a.close()
    assert not await a.wait_closed()


# --- candidates -----------


@simulated()
async def test_candidates_that_belong_nowhere(world):
    a, b = world.pair()
    a.createDataChannel("x")
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    line = "candidate:1 1 udp 2130706431 10.0.0.9 5000 typ host"
    for members in (
        {"sdpMid": "9"},
        {"sdpMLineIndex": 1},
        {"sdpMid": "0", "usernameFragment": "nobody"},
        {"sdpMid": "0", "candidate": "candidate:rubbish"},
    ):
        with pytest.raises(OperationError):
            await b.addIceCandidate({"candidate": line, **members})
    with pytest.raises(TypeError, match="neither"):
        await b.addIceCandidate(line)
    assert line not in b.remoteDescription.sdp
    await b.addIceCandidate(line, sdpMid="0")
    await b.addIceCandidate(adieu.RTCIceCandidate(candidate=line, sdpMLineIndex=0))
    assert b.remoteDescription.sdp.count(line) == 2
    await b.addIceCandidate(None)
    await b.addIceCandidate({"candidate": "", "sdpMid": "0"})
    assert b.remoteDescription.sdp.count("a=end-of-candidates") == 1


@simulated()
async def test_what_the_transport_shows_of_its_candidates(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    await world.settle(4)
    ice = a.sctp.transport.iceTransport
    other = b.sctp.transport.iceTransport
    assert [(c.address, c.protocol) for c in ice.getLocalCandidates()] == [("10.0.0.1", "udp"), ("10.0.0.1", "tcp")]
    assert [(c.address, c.protocol) for c in ice.getRemoteCandidates()] == [("10.0.0.2", "udp"), ("10.0.0.2", "tcp")]
    assert ice.getLocalParameters() == other.getRemoteParameters()
    pair = ice.getSelectedCandidatePair()
    assert (pair.local.address, pair.remote.address) == ("10.0.0.1", "10.0.0.2")
    assert {ice.role, other.role} == {"controlling", "controlled"}
    assert (ice.state, ice.gatheringState, ice.component) == ("completed", "complete", "rtp")
    [certificate] = a.sctp.transport.getRemoteCertificates()
    assert certificate.startswith(b"\x30")


@simulated()
async def test_without_trickle_the_descriptions_are_enough(world):
    a, b = world.pair()
    ours = a.createDataChannel("x")
    await a.setLocalDescription()
    while a.iceGatheringState != "complete":
        await once(a, "icegatheringstatechange")
    await b.setRemoteDescription(a.localDescription.toJSON())
    await b.setLocalDescription()
    while b.iceGatheringState != "complete":
        await once(b, "icegatheringstatechange")
    await a.setRemoteDescription(b.localDescription.toJSON())
    await once(ours, "open")
