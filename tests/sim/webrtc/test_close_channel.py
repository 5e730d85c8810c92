"""Closing rules 37 to 55: RTCDataChannel.close(), and what the other side sees of it."""

import asyncio

import pytest

from adieu import once
from adieu.errors import InvalidStateError, OperationError
from sim.webrtc.support import log_of
from support.virtual import simulated

BOTH = pytest.mark.parametrize("negotiated", [False, True], ids=["in-band", "negotiated"])


async def channels(world, negotiated, **members):
    """A channel open at both ends, made in one of the two ways (closing rule 54)."""
    a, b = world.pair()
    if not negotiated:
        return a, b, *await world.open_channel(a, b, **members)
    world.negotiate(a, b)
    ours, theirs = (pc.createDataChannel("chat", negotiated=True, id=5, **members) for pc in (a, b))
    await asyncio.gather(once(ours, "open"), once(theirs, "open"))
    return a, b, ours, theirs


@BOTH
@simulated()
async def test_rules_37_42_43_44_54_what_each_side_sees(world, negotiated):
    a, b, ours, theirs = await channels(world, negotiated)
    log, their_log = log_of(ours), log_of(theirs)
    ours.close()
    assert ours.readyState == "closing"
    assert log == []
    await asyncio.gather(once(ours, "close"), once(theirs, "close"))
    await world.settle()
    assert log == ["close (closed)"]
    assert their_log == ["closing (closing)", "close (closed)"]
    assert (a.connectionState, b.connectionState) == ("connected", "connected")


@BOTH
@simulated()
async def test_rule_38_either_side_may_close(world, negotiated):
    _, _, ours, theirs = await channels(world, negotiated)
    log = log_of(ours)
    theirs.close()
    await asyncio.gather(once(ours, "close"), once(theirs, "close"))
    assert log == ["closing (closing)", "close (closed)"]


@simulated()
async def test_rules_39_50_a_channel_that_is_closing_takes_nothing(world):
    world.link(rate=1e6, delay=0.01)
    _, _, ours, _ = await channels(world, False)
    ours.send(b"x" * 100_000)
    ours.close()
    with pytest.raises(InvalidStateError, match="closing"):
        ours.send("x")
    await once(ours, "bufferedamountlow")
    with pytest.raises(InvalidStateError):
        ours.send("x")
    assert ours.close() is None
    await once(ours, "close")


@BOTH
@pytest.mark.parametrize("loss", [0, 0.05])
@simulated(seed=3)
async def test_rules_40_41_what_was_queued_arrives_first(world, negotiated, loss):
    world.link(loss=loss, delay=0.01)
    _, _, ours, theirs = await channels(world, negotiated)
    sent = [bytes([number]) * 50_000 for number in range(40)]
    got = []
    theirs.onmessage = lambda event: got.append(event.data)
    log = log_of(theirs)
    for message in sent:
        ours.send(message)
    ours.close()
    await once(ours, "close")
    await world.settle()
    assert got == sent
    assert log == ["closing (closing)", "close (closed)"]


@simulated()
async def test_rule_42_the_other_sides_pending_data_is_sent_before_it_answers(world):
    """It is sent, and thrown away by the closer (rule 45); bufferedAmount shows that it left."""
    world.link(rate=1e6, delay=0.01)
    _, _, ours, theirs = await channels(world, False)
    theirs.send(b"x" * 200_000)
    ours.close()
    await once(theirs, "closing")
    await once(theirs, "close")
    assert theirs.bufferedAmount == 0


@simulated()
async def test_rule_45_the_closer_hears_nothing_any_more(world):
    world.link(delay=0.05)
    _, _, ours, theirs = await channels(world, False)
    got = []
    ours.onmessage = lambda event: got.append(event.data)
    theirs.send("too late")
    ours.close()
    await once(ours, "close")
    await world.settle()
    assert got == []


@simulated()
async def test_rule_45_nor_does_who_reads(world):
    world.link(delay=0.05)
    _, _, ours, theirs = await channels(world, False)
    theirs.send("in time")
    messages = aiter(ours)
    await world.settle()
    theirs.send("too late")
    ours.close()
    await once(ours, "close")
    assert [message async for message in messages] == ["in time"]


@BOTH
@simulated()
async def test_rule_46_both_close_at_once(world, negotiated):
    world.link(delay=0.02)
    _, _, ours, theirs = await channels(world, negotiated)
    logs = [log_of(channel) for channel in (ours, theirs)]
    ours.send("x")
    theirs.send("y")
    ours.close()
    theirs.close()
    await asyncio.gather(once(ours, "close"), once(theirs, "close"))
    await world.settle()
    assert logs == [["close (closed)"]] * 2


@simulated()
async def test_rule_47_an_id_is_free_after_both_resets_and_not_before(world):
    world.link(delay=0.05)
    a, b, ours, theirs = await channels(world, True)
    ours.close()
    with pytest.raises(OperationError, match="id 5 is used"):
        a.createDataChannel("early", negotiated=True, id=5)
    await asyncio.gather(once(ours, "close"), once(theirs, "close"))
    assert (ours.id, theirs.id) == (5, 5)
    again, other = (pc.createDataChannel("again", negotiated=True, id=5) for pc in (a, b))
    await asyncio.gather(once(again, "open"), once(other, "open"))
    again.send("fresh")
    assert await other.receive() == "fresh"


@simulated()
async def test_rule_47_in_band_ids_are_used_again(world):
    a, b, first, _ = await channels(world, False)
    other, _ = await world.open_channel(a, b, "other")
    assert {first.id % 2, other.id % 2} == {first.id % 2}
    first.close()
    await once(first, "close")
    third, _ = await world.open_channel(a, b, "third")
    assert third.id == first.id


@simulated()
async def test_rule_48_buffered_amount_stays_as_it_was(world):
    world.link(rate=1000)
    a, _, ours, _ = await channels(world, False)
    ours.send(b"x" * 100_000)
    before = ours.bufferedAmount
    assert before == 100_000
    a.close()
    assert ours.bufferedAmount == before
    await world.settle()
    assert ours.bufferedAmount == before


@simulated()
async def test_rule_49_nothing_buffered_says_nothing_about_what_arrived(world):
    world.link(delay=5)
    _, _, ours, theirs = await channels(world, False)
    got = []
    theirs.onmessage = lambda event: got.append(event.data)
    ours.send("x")
    await asyncio.sleep(0.1)
    assert (ours.bufferedAmount, got) == (0, [])


@simulated()
async def test_rule_51_a_channel_that_can_not_be_made(world, monkeypatch):
    """The id is beyond what the association has, which is known only when it is up."""
    a, b = world.pair()
    world.negotiate(a, b)
    good = a.createDataChannel("good")
    bad = a.createDataChannel("bad", negotiated=True, id=50)
    monkeypatch.setattr("adieu.webrtc.channels.MAX_ID", 49)
    log = log_of(bad)
    errors = []
    bad.onerror = lambda event: errors.append(event.error)
    await once(good, "open")
    await world.settle()
    assert log == ["error (closed)", "close (closed)"]
    assert errors[0].errorDetail == "data-channel-failure"
    with pytest.raises(OperationError, match="too high"):
        a.createDataChannel("bad", negotiated=True, id=51)


@simulated()
async def test_rule_52_a_channel_that_is_closed_before_there_is_an_association(world):
    a, b = world.pair()
    world.negotiate(a, b)
    early = a.createDataChannel("early")
    log = log_of(early)
    early.close()
    assert early.readyState == "closing"
    assert log == []
    other = a.createDataChannel("other")
    await once(other, "open")
    arrived = []
    b.ondatachannel = lambda event: arrived.append(event.channel.label)
    await world.settle()
    assert log == ["close (closed)"]
    assert "early" not in arrived


@simulated()
async def test_rules_38_52_a_channel_that_is_closed_while_connecting(world):
    world.link(delay=0.05)
    a, b = world.pair()
    world.negotiate(a, b)
    ours = a.createDataChannel("ours")
    arrived = []
    b.ondatachannel = lambda event: arrived.append(event.channel)
    log = log_of(ours)
    await once(a, "connectionstatechange")
    assert ours.readyState == "connecting"
    ours.close()
    await once(ours, "close")
    await world.settle()
    assert log == ["close (closed)"]
    assert [channel.readyState for channel in arrived] in ([], ["closed"])
    assert a.connectionState == "connected"


@simulated()
async def test_rule_53_a_stream_closed_before_the_acknowledgement_is_reset(world):
    world.link(delay=0.05)
    a, b = world.pair()
    await world.connect(a, b)
    ours = a.createDataChannel("ours")
    arrived = []
    b.ondatachannel = lambda event: event.channel.label == "ours" and arrived.append(event.channel)
    await once(ours, "open")
    ours.close()
    await once(ours, "close")
    await world.settle()
    assert [channel.readyState for channel in arrived] == ["closed"]
    again, theirs = await world.open_channel(a, b, "again")
    assert again.id == ours.id
    again.send("fresh")
    assert await theirs.receive() == "fresh"


@simulated()
async def test_rule_55_channels_survive_a_restart_and_failed(world):
    a, _, ours, theirs = await channels(world, False)
    log = log_of(ours)
    world.network.cut("10.0.0.1")
    while a.connectionState != "failed":
        await once(a, "connectionstatechange")
    ours.send("said while failed")
    world.network.cut("10.0.0.1", False)
    a.restartIce()
    assert await theirs.receive() == "said while failed"
    assert (ours.readyState, log) == ("open", [])
    assert (a.sctp.state, a.sctp.transport.state) == ("connected", "connected")
    while a.connectionState != "connected":
        await once(a, "connectionstatechange")
