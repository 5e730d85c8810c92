"""Closing rules 56 to 66: the abrupt end as the other side sees it, and what `connectionState` is worth."""

import asyncio

import pytest

from adieu import once
from adieu.errors import RTCError
from sim.webrtc.support import PC_EVENTS, Log, log_of, states
from support.virtual import reached, simulated


@simulated()
async def test_rules_56_57_58_error_then_close_with_cause_12(world):
    a, b = world.pair()
    _, theirs = await world.open_channel(a, b)
    other, _ = await world.open_channel(b, a, "other")
    logs = log_of(theirs), log_of(other)
    errors = []
    for channel in (theirs, other):
        channel.onerror = lambda event: errors.append(event.error)
    a.close()
    await asyncio.gather(once(theirs, "close"), once(other, "close"))
    await world.settle()
    assert logs == (["error (closed)", "close (closed)"],) * 2
    assert b.sctp.state == "closed"
    for error in errors:
        assert isinstance(error, RTCError)
        assert (error.name, error.errorDetail, error.sctpCauseCode) == ("OperationError", "sctp-failure", 12)
        assert "Close called" in error.message


@simulated()
async def test_rule_57_who_reads_gets_the_error_after_what_is_here(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    messages = aiter(theirs)
    ours.send("last words")
    await world.settle()
    a.close()
    await once(theirs, "close")
    assert await anext(messages) == "last words"
    with pytest.raises(RTCError, match="Close called"):
        await anext(messages)


@simulated()
async def test_rule_59_a_channel_that_was_closed_hears_nothing_more(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    ours.close()
    await asyncio.gather(once(ours, "close"), once(theirs, "close"))
    logs = [log_of(channel) for channel in (ours, theirs)]
    a.close()
    await once(b.sctp, "statechange")
    await world.settle()
    assert logs == [[], []]


@simulated()
async def test_rule_60_the_other_connection_is_not_closed(world):
    """It says "connected" until ICE finds out, although DTLS and SCTP are closed."""
    a, b = world.pair()
    _, theirs = await world.open_channel(a, b)
    await world.settle()
    log = Log()
    log.watch(b, *PC_EVENTS)
    a.close()
    await once(theirs, "close")
    await world.settle(0.5)
    assert states(b) | {"ice": "", "transport": ""} == {
        "signaling": "stable", "connection": "connected", "ice": "", "sctp": "closed", "dtls": "closed", "transport": ""
    }  # fmt: skip
    assert log == []


@simulated()
async def test_rule_62_it_ends_failed_and_never_closed(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    seen = []
    b.onconnectionstatechange = lambda _: seen.append(b.connectionState)
    a.close()
    await world.settle(60)
    assert seen == ["disconnected", "failed"]


@simulated()
async def test_rule_61_a_wrong_fingerprint_fails_dtls(world):
    a, b = world.pair()
    ours = a.createDataChannel("x")
    log = log_of(ours)
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    forged = forge(b.localDescription.sdp)
    await a.setRemoteDescription(type="answer", sdp=forged)
    dtls = a.sctp.transport
    seen = Log()
    seen.watch(dtls, "error", "statechange", tag="dtls ")
    seen.watch(a, "connectionstatechange")
    errors = []
    dtls.onerror = lambda event: errors.append(event.error)
    trickle(a, b)
    await reached(a, "failed")
    assert (dtls.state, errors[0].errorDetail) == ("failed", "fingerprint-failure")
    assert seen.index("dtls error") < len(seen) - 1
    assert seen[seen.index("dtls error") + 1] == "dtls statechange"
    await world.settle(60)
    assert ours.readyState in {"connecting", "closed"}
    assert "open (open)" not in log
    a.close()
    b.close()
    assert not await a.wait_closed()
    assert not await b.wait_closed()


def forge(text):
    """The same description with another fingerprint."""
    line = next(line for line in text.split("\r\n") if line.startswith("a=fingerprint"))
    return text.replace(line, f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}")


def trickle(a, b):
    """The candidates that are in the local descriptions already, and those to come."""
    for one, other in ((a, b), (b, a)):
        one.onicecandidate = lambda event, other=other: asyncio.ensure_future(other.addIceCandidate(event.candidate))


@simulated()
async def test_rules_62_66_disconnected_heals_by_itself(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    seen = []
    a.onconnectionstatechange = lambda _: seen.append(a.connectionState)
    world.network.cut("10.0.0.2")
    await reached(a, "disconnected")
    world.network.cut("10.0.0.2", False)
    await reached(a, "connected")
    assert seen == ["disconnected", "connected"]


@simulated()
async def test_rule_65_a_restart_brings_a_failed_connection_back(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    world.network.cut("10.0.0.2")
    await asyncio.gather(reached(a, "failed"), reached(b, "failed"))
    before = a.localDescription.sdp
    world.network.cut("10.0.0.2", False)
    a.restartIce()
    await asyncio.gather(reached(a, "connected"), reached(b, "connected"))
    ours.send("back")
    assert await theirs.receive() == "back"
    assert ufrag(before) != ufrag(a.localDescription.sdp)


def ufrag(text):
    return next(line for line in text.split("\r\n") if line.startswith("a=ice-ufrag"))


@simulated()
async def test_rule_66_a_dead_peer_and_a_closing_channel(world):
    """Rule 74: a channel stays "closing" while the peer is silent; nothing of this side hangs on it but the channel."""
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    world.network.cut("10.0.0.2")
    ours.close()
    log = log_of(ours)
    await reached(a, "failed")
    assert ours.readyState in {"closing", "closed"}
    a.close()
    assert not await a.wait_closed()
    await world.settle()
    assert log.count("close (closed)") == 1
