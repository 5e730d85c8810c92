"""Transceivers and their events through negotiation, as the W3C's tests have them."""

from __future__ import annotations

import asyncio

import pytest

from adieu import MediaStream, once
from adieu.errors import InvalidAccessError, InvalidStateError
from support.media import stream, track
from support.virtual import reached, simulated


async def exchange(a, b):
    """One negotiation; the track events of `b` and of `a`."""
    events = {a: [], b: []}
    for pc, seen in events.items():
        pc.addEventListener("track", seen.append)
    try:
        await a.setLocalDescription()
        await b.setRemoteDescription(a.localDescription)
        await b.setLocalDescription()
        await a.setRemoteDescription(b.localDescription)
    finally:
        for pc, seen in events.items():
            pc.removeEventListener("track", seen.append)
    return events[b], events[a]


def mids(pc):
    return [transceiver.mid for transceiver in pc.getTransceivers()]


def current(pc):
    return [transceiver.currentDirection for transceiver in pc.getTransceivers()]


# --- making them -----------


@simulated()
async def test_a_new_transceiver(world):
    pc, _ = world.pair()
    transceiver = pc.addTransceiver("audio")
    assert (transceiver.mid, transceiver.direction, transceiver.currentDirection) == (None, "sendrecv", None)
    assert transceiver.sender.track is None
    remote = transceiver.receiver.track
    assert (remote.kind, remote.readyState, remote.muted) == ("audio", "live", True)
    assert (transceiver.sender.transport, transceiver.receiver.transport) == (None, None)
    assert pc.getTransceivers() == [transceiver]
    assert pc.getSenders() == [transceiver.sender]
    assert pc.getReceivers() == [transceiver.receiver]
    for kind in ("foo", None, 1):
        with pytest.raises(TypeError, match="neither"):
            pc.addTransceiver(kind)
    with pytest.raises(TypeError, match="direction is 'up'"):
        pc.addTransceiver("audio", direction="up")
    with pytest.raises(TypeError, match="streams"):
        pc.addTransceiver("audio", streams=["x"])
    assert len(pc.getTransceivers()) == 1


@simulated()
async def test_add_track(world):
    pc, _ = world.pair()
    one, streams = track(), stream()
    sender = pc.addTrack(one, streams, streams)
    assert sender.track is one
    with pytest.raises(InvalidAccessError):
        pc.addTrack(one)
    with pytest.raises(TypeError):
        pc.addTrack("audio")
    with pytest.raises(TypeError):
        pc.addTrack(track(), one)
    offer = (await pc.createOffer()).sdp
    assert offer.count(f"a=msid:{streams.id}\r\n") == 1
    pc.removeTrack(sender)
    assert (sender.track, pc.getTransceivers()[0].direction) == (None, "recvonly")
    assert pc.addTrack(track()) is sender, "it has never sent: it is used again"
    assert pc.getTransceivers()[0].direction == "sendrecv"


@simulated()
async def test_remove_track_of_another(world):
    a, b = world.pair()
    sender = a.addTrack(track())
    with pytest.raises(InvalidAccessError):
        b.removeTrack(sender)
    with pytest.raises(TypeError):
        a.removeTrack(track())


# --- negotiating -----------


@simulated()
async def test_a_call_with_audio_and_video_connects_over_one_transport(world):
    a, b = world.pair()
    local = stream("audio", "video")
    for one in local.getTracks():
        a.addTrack(one, local)
    events = []
    b.ontrack = events.append
    await world.connect(a, b, data=False)
    assert [event.track.kind for event in events] == ["audio", "video"]
    assert [[s.id for s in event.streams] for event in events] == [[local.id], [local.id]]
    assert events[0].streams[0] is events[1].streams[0]
    assert events[0].streams[0].getTracks() == [event.track for event in events]
    assert events[0].transceiver is b.getTransceivers()[0]
    assert events[0].receiver is b.getReceivers()[0]
    assert (current(a), current(b)) == (["sendonly"] * 2, ["recvonly"] * 2)
    for pc in (a, b):
        [one] = {transceiver.sender.transport for transceiver in pc.getTransceivers()}
        assert (one.state, one.iceTransport.state in {"connected", "completed"}) == ("connected", True)
        assert {transceiver.receiver.transport for transceiver in pc.getTransceivers()} == {one}
        assert pc.sctp is None
    assert mids(a) == mids(b) == ["0", "1"]


@simulated()
async def test_data_joins_media_on_their_transport(world):
    a, b = world.pair()
    a.addTrack(track())
    await world.connect(a, b, data=False)
    transport = a.getSenders()[0].transport
    ours, _ = await world.open_channel(a, b)
    assert a.sctp.transport is transport
    assert ours.readyState == "open"
    a.addTransceiver("video")
    await once(a, "signalingstatechange")
    await once(a, "signalingstatechange")
    assert a.getTransceivers()[1].sender.transport is transport
    assert ours.readyState == "open"


@simulated()
async def test_both_sides_send(world):
    a, b = world.pair()
    ours, theirs = stream("audio"), stream("audio")
    a.addTrack(ours.getTracks()[0], ours)
    b.addTrack(theirs.getTracks()[0], theirs)
    at_b, at_a = await exchange(a, b)
    assert [[s.id for s in event.streams] for event in (*at_b, *at_a)] == [[ours.id], [theirs.id]]
    assert len(b.getTransceivers()) == 1, "addTrack() pairs"
    assert (current(a), current(b)) == (["sendrecv"], ["sendrecv"])


@simulated()
async def test_a_transceiver_pairs_only_when_add_track_has_made_it(world):
    a, b = world.pair()
    a.addTransceiver("audio")
    b.addTransceiver("audio")
    at_b, _ = await exchange(a, b)
    assert [event.transceiver for event in at_b] == b.getTransceivers()[1:]
    assert at_b[0].streams == []
    c, d = world.connection(world.host("10.0.0.3")), world.connection(world.host("10.0.0.4"))
    c.addTransceiver("audio")
    d.addTransceiver("audio")
    d.addTrack(track())
    await exchange(c, d)
    assert mids(d) == [None, "0"]


@simulated()
async def test_directions_through_a_life(world):
    a, b = world.pair()
    ours = stream("audio")
    a.addTrack(ours.getTracks()[0], ours)
    b.addTrack(track())
    await exchange(a, b)
    a.getTransceivers()[0].direction = "recvonly"
    remote = b.getReceivers()[0].track
    [shown] = b._internals.remote_streams.values()
    gone = []
    shown.stream.onremovetrack = lambda event: gone.append(event.track)
    assert await exchange(a, b) == ([], [])
    assert (current(a), current(b)) == (["recvonly"], ["sendonly"])
    assert gone == [remote]
    a.getTransceivers()[0].direction = "sendrecv"
    at_b, at_a = await exchange(a, b)
    assert ([event.track for event in at_b], at_a) == ([remote], [])
    assert at_b[0].streams == [shown.stream], "the same object for the same id"
    a.getTransceivers()[0].direction = "inactive"
    assert await exchange(a, b) == ([], [])
    assert (current(a), current(b)) == (["inactive"], ["inactive"])


@simulated()
async def test_a_peer_that_says_nothing_of_streams(world):
    a, b = world.pair()
    a.addTrack(track())
    offer = (await a.createOffer()).sdp
    events = []
    b.ontrack = events.append
    await b.setRemoteDescription(type="offer", sdp=offer.replace("a=msid:-\r\n", ""))
    [event] = events
    assert len(event.streams) == 1
    assert ":" not in event.streams[0].id


@simulated()
async def test_an_offer_without_mid(world):
    a, b = world.pair()
    a.addTrack(track())
    await a.setLocalDescription()
    text = a.localDescription.sdp.replace("a=mid:", "a=unknown:").replace("a=group:", "a=unknown:")
    await b.setRemoteDescription(type="offer", sdp=text)
    assert mids(b) == ["0"]
    await b.setLocalDescription()
    assert "a=mid" not in b.localDescription.sdp
    await a.setRemoteDescription(b.localDescription)
    assert (mids(a), current(a)) == (["0"], ["sendonly"])
    await a.setLocalDescription()


@simulated()
async def test_the_sctp_transport_goes_with_its_bundle(world):
    a, b = world.pair()
    a.addTrack(track())
    a.createDataChannel("x")
    assert a.sctp is None
    await a.setLocalDescription()
    sctp, transport = a.sctp, a.getSenders()[0].transport
    assert sctp.transport is not transport
    await b.setRemoteDescription(a.localDescription)
    theirs, offered = b.sctp, b.sctp.transport
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    assert a.sctp is sctp
    assert sctp.transport is transport
    assert (b.sctp, theirs.transport) == (theirs, offered)
    assert offered is b.getReceivers()[0].transport


@simulated()
async def test_the_sctp_transport_is_there_while_data_is_offered(world):
    a, b = world.pair()
    a.createDataChannel("x")
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    assert (b.sctp.state, b.sctp.transport.state, b.connectionState) == ("connecting", "new", "new")
    await b.setRemoteDescription(type="rollback")
    await a.setLocalDescription(type="rollback")
    assert (a.sctp, b.sctp) == (None, None)
    await b.setRemoteDescription(await a.createOffer())
    sctp = b.sctp
    b.close()
    assert (sctp.state, sctp.transport.state) == ("closed", "closed")


@simulated()
async def test_data_is_rejected_and_media_goes_on(world):
    a, b = world.pair()
    a.addTrack(track())
    ours, theirs = await world.open_channel(a, b)
    sctp, closed = a.sctp, asyncio.gather(once(ours, "close"), once(theirs, "close"))
    await asyncio.sleep(0)
    offer = (await b.createOffer()).sdp
    head, data = offer[: offer.index("m=application")], offer[offer.index("m=application") :]
    data = "m=application 0 " + data.split(" ", 2)[2]
    mid = data.split("a=mid:")[1][0]
    group = head.split("a=group:")[1].split("\r\n")[0]
    text = head.replace(group, group.replace(f" {mid}", "")) + data
    await a.setRemoteDescription(type="offer", sdp=text)
    await a.setLocalDescription()
    await world.settle()
    assert (a.sctp, sctp.state, ours.readyState) == (None, "closed", "closed")
    assert a.connectionState == "connected"
    assert a.getSenders()[0].transport.state == "connected"
    closed.cancel()


# --- stopping -----------


@simulated()
async def test_stop(world):
    """Closing rules 5, 64."""
    a, b = world.pair()
    a.addTrack(track())
    b.addTrack(track())
    await exchange(a, b)
    log = []
    ours, theirs = a.getTransceivers()[0], b.getTransceivers()[0]
    ours.receiver.track.onended = lambda _: log.append("ours ended")
    theirs.receiver.track.onended = lambda _: log.append("theirs ended")
    theirs.receiver.track.onmute = lambda _: log.append("theirs muted")
    needed = asyncio.ensure_future(once(a, "negotiationneeded"))
    await asyncio.sleep(0)
    ours.stop()
    ours.stop()
    assert (log, ours.receiver.track.readyState) == ([], "live"), "in a task of its own"
    await asyncio.sleep(0)
    assert log == ["ours ended"]
    assert (ours.direction, ours.currentDirection) == ("stopped", "sendrecv")
    assert (ours.receiver.track.readyState, ours.sender.track.readyState) == ("ended", "live")
    with pytest.raises(InvalidStateError):
        ours.direction = "sendrecv"
    with pytest.raises(InvalidStateError):
        await ours.sender.replaceTrack(track())
    parameters = ours.sender.getParameters()
    with pytest.raises(InvalidStateError):
        await ours.sender.setParameters(parameters)
    with pytest.raises(InvalidStateError):
        ours.sender.setStreams()
    with pytest.raises(InvalidStateError):
        ours.sender.dtmf.insertDTMF("1")
    await needed
    transport = ours.sender.transport
    await exchange(a, b)
    assert log == ["ours ended", "theirs ended"]
    assert (a.getTransceivers(), b.getTransceivers(), a.getSenders()) == ([], [], [])
    for one in (ours, theirs):
        assert (one.mid, one.direction, one.currentDirection) == (None, "stopped", "stopped")
        assert one.receiver.track.readyState == "ended"
    await world.settle()
    assert transport.state == "closed", "nothing uses it any more"
    a.addTrack(track())
    assert (await a.createOffer()).sdp.count("m=") == 1, "its place is used again"
    await exchange(a, b)
    assert (mids(a), mids(b)) == (["1"], ["1"])


@simulated()
async def test_the_answerer_stops_it(world):
    """It answers "inactive", and its own offer ends the section."""
    a, b = world.pair()
    a.addTrack(track())
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    b.getTransceivers()[0].stop()
    needed = []
    b.onnegotiationneeded = needed.append
    await b.setLocalDescription()
    assert "a=inactive" in b.localDescription.sdp
    await a.setRemoteDescription(b.localDescription)
    assert current(a) == current(b) == ["inactive"]
    assert len(needed) == 1
    await exchange(b, a)
    assert a.getTransceivers() == b.getTransceivers() == []


@simulated()
async def test_stopped_after_the_offer_was_made(world):
    a, b = world.pair()
    a.addTrack(track())
    b.addTrack(track())
    offer = await a.createOffer()
    a.getTransceivers()[0].stop()
    await a.setLocalDescription(offer)
    await b.setRemoteDescription(offer)
    await b.setLocalDescription()
    needed = asyncio.ensure_future(once(a, "negotiationneeded"))
    await asyncio.sleep(0)
    await a.setRemoteDescription(b.localDescription)
    assert (mids(a), a.getTransceivers()[0].direction) == (["0"], "stopped")
    await needed
    await exchange(a, b)
    assert a.getTransceivers() == b.getTransceivers() == []


# --- rolling back -----------


@simulated()
async def test_a_local_offer_rolled_back_keeps_what_a_program_has_set(world):
    a, _ = world.pair()
    a.addTrack(track())
    await a.setLocalDescription()
    transceiver, other = a.getTransceivers()[0], track()
    assert (transceiver.mid, transceiver.sender.transport is None) == ("0", False)
    transceiver.direction = "sendonly"
    await transceiver.sender.replaceTrack(other)
    await a.setLocalDescription(type="rollback")
    assert (transceiver.mid, transceiver.direction, transceiver.sender.track) == (None, "sendonly", other)
    assert transceiver.sender.transport is None
    await a.setLocalDescription()
    transceiver.stop()
    await a.setLocalDescription(type="rollback")
    assert transceiver.direction == "stopped"
    assert "m=" not in (await a.createOffer()).sdp


@simulated()
async def test_a_remote_offer_rolled_back_takes_its_transceivers_away(world):
    a, b = world.pair()
    ours = stream("audio", "video")
    for one in ours.getTracks():
        a.addTrack(one, ours)
    offer = await a.createOffer()
    await b.setRemoteDescription(offer)
    first, ended = b.getTransceivers()[0], []
    [shown] = b._internals.remote_streams.values()
    removed = []
    shown.stream.onremovetrack = lambda event: removed.append(event.track.kind)
    first.receiver.track.onended = ended.append
    await b.setRemoteDescription(type="rollback")
    assert b.getTransceivers() == []
    assert (first.mid, first.direction, first.currentDirection) == (None, "stopped", "stopped")
    await asyncio.sleep(0)
    assert (len(ended), removed) == (1, ["audio", "video"])
    await b.setRemoteDescription(offer)
    assert mids(b) == ["0", "1"]
    b.addTrack(track())
    await b.setRemoteDescription(type="rollback")
    assert (mids(b), b.getTransceivers()[0].direction) == ([None], "sendrecv"), "addTrack() keeps it"
    at_b, _ = await exchange(a, b)
    assert [event.track.kind for event in at_b] == ["audio", "video"]


@simulated()
async def test_a_removal_rolled_back_gives_the_track_again(world):
    a, b = world.pair()
    ours = stream("audio")
    a.addTrack(ours.getTracks()[0], ours)
    await exchange(a, b)
    a.getTransceivers()[0].direction = "inactive"
    await b.setRemoteDescription(await a.createOffer())
    event = asyncio.ensure_future(once(b, "track"))
    await asyncio.sleep(0)
    await b.setRemoteDescription(type="rollback")
    assert [s.id for s in (await event).streams] == [ours.id]


@simulated()
async def test_events_come_in_the_order_of_the_w3c(world):
    """Success steps 15 to 19: signalingstatechange, mute, removetrack, addtrack, track; then the promise."""
    a, b = world.pair()
    first, second = stream("audio"), stream("video")
    a.addTrack(first.getTracks()[0], first)
    await exchange(a, b)
    log = []
    receiver = b.getReceivers()[0]
    receiver._internals.receiver.muted = False  # as if something had arrived
    receiver.track.onmute = lambda _: log.append("mute")
    b._internals.remote_streams[first.id].stream.onremovetrack = lambda _: log.append("removetrack")
    b.onsignalingstatechange = lambda _: log.append(b.signalingState)
    b.ontrack = lambda event: log.append(f"track {event.streams[0].getTracks() == [event.track]}")
    a.getTransceivers()[0].direction = "inactive"
    a.addTrack(second.getTracks()[0], second)
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    assert log == ["have-remote-offer", "mute", "removetrack", "track True"]


@simulated()
async def test_a_close_in_a_handler_ends_the_rest(world):
    """Closing rule 34."""
    a, b = world.pair()
    a.addTransceiver("audio")
    a.addTransceiver("video")
    log = []

    def seen(event):
        log.append(event.track.kind)
        b.close()

    b.ontrack = seen
    await b.setRemoteDescription(await a.createOffer())
    await world.settle()
    assert log == ["audio"]


# --- closing -----------


@simulated()
async def test_close_stops_them_all(world):
    """Closing rules 5, 7, 9, 17."""
    a, b = world.pair()
    ours = track()
    a.addTrack(ours)
    await world.connect(a, b, data=False)
    [transceiver], log = a.getTransceivers(), []
    transceiver.receiver.track.onended = lambda _: log.append((a.signalingState, a.connectionState))
    a.close()
    assert (log, transceiver.receiver.track.readyState) == ([], "live"), "in a task of its own"
    await world.settle()
    assert log == [("closed", "closed")]
    assert (transceiver.direction, transceiver.currentDirection) == ("stopped", "stopped")
    assert (ours.readyState, transceiver.receiver.track.readyState) == ("live", "ended")
    assert a.getTransceivers() == [transceiver]
    assert a.getSenders() == [transceiver.sender]
    assert a.getReceivers() == [transceiver.receiver]
    assert transceiver.sender.transport.state == "closed"
    assert not await a.wait_closed()


@simulated()
async def test_late_calls(world):
    """Closing rules 23 to 25, 28, 29."""
    a, b = world.pair()
    sender = a.addTrack(track())
    await world.connect(a, b, data=False)
    [transceiver] = a.getTransceivers()
    parameters = sender.getParameters()
    a.close()
    for call in (
        lambda: a.addTrack(track()),
        lambda: a.removeTrack(sender),
        lambda: a.addTransceiver("audio"),
        sender.setStreams,
        transceiver.stop,
        lambda: setattr(transceiver, "direction", "inactive"),
        lambda: sender.dtmf.insertDTMF("1"),
    ):
        with pytest.raises(InvalidStateError):
            call()
    with pytest.raises(InvalidStateError):
        await sender.replaceTrack(None)
    with pytest.raises(TypeError, match="video"):
        await sender.replaceTrack(track("video"))
    with pytest.raises(InvalidStateError):
        await sender.setParameters(parameters)
    transceiver.setCodecPreferences([])
    assert await sender.getStats()
    assert await a.getStats(sender.track)


# --- negotiationneeded -----------


@simulated()
async def test_what_asks_for_a_negotiation(world):
    a, b = world.pair()
    log = []
    a.onnegotiationneeded = lambda _: log.append(1)

    async def needed(change):
        log.clear()
        change()
        await world.settle()
        return bool(log)

    one = track()
    assert await needed(lambda: a.addTrack(one))
    assert not await needed(lambda: a.addTransceiver("video")), "it is needed already"
    await exchange(a, b)
    [audio, video] = a.getTransceivers()
    assert not await needed(lambda: setattr(audio, "direction", "sendrecv"))
    assert await needed(lambda: setattr(video, "direction", "inactive"))
    assert not await needed(lambda: setattr(video, "direction", "sendrecv")), "the flag is down again"
    assert await needed(lambda: audio.sender.setStreams(MediaStream()))
    await exchange(a, b)
    assert await needed(lambda: a.removeTrack(audio.sender))
    await exchange(a, b)
    assert not await needed(lambda: None)
    assert await needed(audio.stop)


@simulated()
async def test_two_that_only_want_to_send_come_to_an_end(world):
    a, b = world.pair()
    for pc in (a, b):
        pc.addTrack(track())
    await exchange(a, b)
    for pc in (a, b):
        pc.getTransceivers()[0].direction = "sendonly"
    link = world.negotiate(a, b)
    await world.settle()
    assert current(a) == current(b) == ["inactive"]
    assert link.offers <= 3


@simulated()
async def test_one_that_is_stopped_before_it_is_negotiated_asks_for_nothing(world):
    a, b = world.pair()
    a.addTransceiver("audio").stop()
    a.addTransceiver("video")
    link = world.negotiate(a, b)
    await world.settle()
    assert (link.offers, mids(b)) == (1, ["0"])


@simulated()
async def test_glare_with_media(world):
    a, b = world.pair()
    world.signaling_delay = 0.01
    link = world.negotiate(a, b)
    a.addTrack(track())
    b.addTrack(track("video"))
    b.createDataChannel("x")
    await asyncio.gather(reached(a, "connected"), reached(b, "connected"))
    await world.settle(5)
    assert (a.signalingState, b.signalingState) == ("stable", "stable")
    assert sorted(mids(a)) == sorted(mids(b))
    assert [t.receiver.track.kind for t in b.getTransceivers()] == ["video", "audio"]
    assert link.offers >= 2


# --- the older forms -----------


@simulated()
async def test_callbacks(world):
    a, b = world.pair()
    got = []
    await a.createOffer(got.append, got.append, {"offerToReceiveAudio": True})
    [offer] = got
    assert (offer.type, offer.sdp.count("m=audio"), "a=recvonly" in offer.sdp) == ("offer", 1, True)
    await b.setRemoteDescription(offer, lambda: got.append("set"), got.append)
    await b.createAnswer(got.append, got.append)
    await b.setRemoteDescription({"type": "answer", "sdp": ""}, lambda: got.append("set"), got.append)
    assert [type(item).__name__ for item in got[1:]] == ["str", "RTCSessionDescriptionInit", "InvalidStateError"]


@pytest.mark.parametrize("policy", ["balanced", "max-compat", "max-bundle"])
@simulated()
async def test_a_bundle_lives_on_without_its_first_section(world, policy):
    """RFC 9143 section 7.2.2: in an offer, something in a bundle has an address; "bundle-only" is for what is new."""
    a, b = world.pair(bundlePolicy=policy)
    first, second = a.addTransceiver("audio"), a.addTransceiver("audio")
    ours, _ = await world.open_channel(a, b)
    first.stop()
    await world.settle()
    assert (first.currentDirection, second.currentDirection) == ("stopped", "sendonly")
    assert [t.currentDirection for t in b.getTransceivers()] == ["recvonly"]
    await world.settle(60)
    assert (a.connectionState, b.connectionState, ours.readyState) == ("connected", "connected", "open")


@simulated()
async def test_an_offer_that_lost_its_first_section_before_it_was_answered(world):
    a, b = world.pair(bundlePolicy="max-bundle")
    first = a.addTransceiver("audio")
    ours = a.createDataChannel("x")
    await a.setLocalDescription()
    first.stop()
    world.negotiate(b, a)
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    await once(ours, "open")


@simulated()
async def test_offer_to_receive(world):
    a, _ = world.pair()
    await a.createOffer(offerToReceiveVideo=True)
    assert [t.direction for t in a.getTransceivers()] == ["recvonly"]
    await a.createOffer(offerToReceiveVideo=True)
    assert len(a.getTransceivers()) == 1
    a.addTrack(track())
    await a.createOffer(offerToReceiveAudio=False, offerToReceiveVideo=False)
    assert [t.direction for t in a.getTransceivers()] == ["inactive", "sendonly"]
    with pytest.raises(TypeError, match="offerToReceiveAudio is 1"):
        await a.createOffer(offerToReceiveAudio=1)


@simulated()
async def test_get_stats_of_a_track(world):
    a, _ = world.pair()
    one = track()
    a.addTrack(one)
    assert "P" in await a.getStats(one)
    for wrong in (track(), "x"):
        with pytest.raises(InvalidAccessError):
            await a.getStats(wrong)


@simulated()
async def test_a_new_transport_makes_the_connection_connecting_at_once(world):
    one, two = world.hosts()
    a, b = world.connection(one, bundlePolicy="max-compat"), world.connection(two)
    for pc, peer in ((a, b), (b, a)):
        pc.onicecandidate = lambda event, peer=peer: world.task(peer.addIceCandidate(event.candidate))
    a.addTransceiver("audio")
    offer = await a.createOffer()
    await a.setLocalDescription(offer)
    await b.setRemoteDescription({"type": "offer", "sdp": offer.sdp.replace("BUNDLE", "OTHER")})
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    await reached(a, "connected")
    await world.settle(10)
    a.createDataChannel("x")
    await a.setLocalDescription()
    await asyncio.sleep(0)
    assert (a.connectionState, a.iceConnectionState) == ("connecting", "checking")
    a.close()
    b.close()
