"""Closing rules 1 to 20: RTCPeerConnection.close()."""

import asyncio
import gc
import weakref
from inspect import getattr_static

import pytest

import adieu
from adieu import MediaStream, once
from adieu.errors import AbortError
from adieu.events import EventHandler
from adieu.webrtc import strict_specification
from sim.webrtc.support import CHANNEL_EVENTS, PC_EVENTS, Log, log_of, states
from support.virtual import simulated

CLOSED = dict.fromkeys(("signaling", "connection", "ice", "sctp", "dtls", "transport"), "closed")


@simulated()
async def test_rule_1_a_second_close_does_nothing(world):
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    a.close()
    await once(ours, "close")
    log = Log()
    log.watch(a, *PC_EVENTS)
    log.channel(ours)
    before = states(a)
    assert a.close() is None
    await world.settle()
    assert (states(a), log) == (before, [])


@simulated()
async def test_rules_2_and_36_tasks_that_were_queued_before_do_nothing(world):
    """The announcement of a channel, a negotiationneeded, a state: queued, then the connection is closed."""
    a, b = world.pair()
    await world.open_channel(a, b)
    log = Log()
    for pc in (a, b):
        log.watch(pc, *PC_EVENTS)
    late = a.createDataChannel("late")
    log.watch(late, "open", "error", "message")
    a.restartIce()
    b.restartIce()
    a.close()
    b.close()
    await world.settle()
    assert log == []
    assert late.readyState == "closed"


@simulated()
async def test_rules_3_4_10_12_13_close_sets_all_states_at_once(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    a.close()
    assert states(a) == CLOSED
    assert ours.readyState == "closed"
    assert theirs.readyState == "open"
    assert a.sctp.transport.iceTransport.getSelectedCandidatePair() is None
    await once(theirs, "close")


@simulated()
async def test_rules_3_12_14_16_only_channels_and_sctp_fire_close(world):
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    await world.settle()
    log = Log()
    log.watch(a, *PC_EVENTS)
    log.watch(a.sctp, "statechange", tag="sctp ")
    log.watch(a.sctp.transport, "statechange", "error", tag="dtls ")
    log.watch(a.sctp.transport.iceTransport, "statechange", "gatheringstatechange", tag="ice ")
    log.channel(ours)
    gathering = a.iceGatheringState
    assert gathering == "complete"
    a.close()
    assert log == []
    await world.settle()
    assert log == ["close (closed)", "sctp statechange"]
    assert a.iceGatheringState == gathering


@simulated()
async def test_rule_12_an_ended_association_tells_its_end_once(world):
    a, b = world.pair()
    _, theirs = await world.open_channel(a, b)
    log = Log()
    log.watch(b.sctp, "statechange", tag="sctp ")
    a.close()
    await once(theirs, "close")
    b.close()
    await world.settle()
    assert log == ["sctp statechange"]


@simulated()
async def test_rule_11_each_channel_that_was_not_closed_gets_one_close_later(world):
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    ended, _ = await world.open_channel(a, b, "ended")
    ended.close()
    await once(ended, "close")
    closing, _ = await world.open_channel(a, b, "closing")
    connecting = a.createDataChannel("connecting")
    closing.close()
    logs = {channel.label: log_of(channel) for channel in (ours, ended, closing, connecting)}
    a.close()
    assert all(channel.readyState == "closed" for channel in (ours, ended, closing, connecting))
    assert not any(logs.values())
    await world.settle()
    once_each = ["close (closed)"]
    assert logs == {"chat": once_each, "closing": once_each, "connecting": once_each, "ended": []}


@simulated()
async def test_rule_11_by_the_letter_there_is_no_close(world):
    with strict_specification():
        a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    log = log_of(ours)
    a.close()
    await once(theirs, "close")
    await world.settle()
    assert log == []
    assert ours.readyState == "closed"


@simulated()
async def test_rules_12_and_72_abort_then_close_notify_and_then_nothing_more(world):
    a, b = world.pair()
    _, theirs = await world.open_channel(a, b)
    await world.settle()
    log = Log()
    log.watch(b.sctp, "statechange", tag="sctp ")
    log.watch(b.sctp.transport, "statechange", tag="dtls ")
    a.close()
    error = await once(theirs, "error")
    assert error.error.sctpCauseCode == 12
    await world.settle()
    assert log == ["sctp statechange", "dtls statechange"]
    assert (b.sctp.state, b.sctp.transport.state) == ("closed", "closed")
    await a.wait_closed()
    world.network.record()
    await world.settle(30)
    assert not [packet for packet in world.network.sent() if packet[1] == "10.0.0.1"]


@simulated()
async def test_rules_17_and_18_what_can_still_be_read(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    descriptions = [a.localDescription, a.currentLocalDescription, a.remoteDescription, a.currentRemoteDescription]
    texts = [description.sdp for description in descriptions]
    a.close()
    after = [a.localDescription, a.currentLocalDescription, a.remoteDescription, a.currentRemoteDescription]
    assert [description.sdp for description in after] == texts
    assert (a.pendingLocalDescription, a.pendingRemoteDescription) == (None, None)
    assert (a.getSenders(), a.getReceivers(), a.getTransceivers()) == ([], [], [])
    assert a.canTrickleIceCandidates is True


@simulated()
async def test_rule_18_a_pending_description_stays_pending(world):
    a, _ = world.pair()
    a.createDataChannel("x")
    await a.setLocalDescription()
    a.close()
    assert a.pendingLocalDescription is not None
    assert a.currentLocalDescription is None


@simulated()
async def test_rule_19_a_closed_connection_can_be_collected(world):
    a, b = world.pair()
    link = world.negotiate(a, b)
    ours = a.createDataChannel("x")
    await once(ours, "open")
    link.stop()
    references = [weakref.ref(thing) for thing in (a, b, ours, a.sctp, a.sctp.transport)]
    world._negotiations.clear()
    for pc in (a, b):
        pc.close()
        assert not await pc.wait_closed()
    await world.settle()
    del a, b, ours, pc, link
    gc.collect()
    assert [reference() for reference in references] == [None] * 5


@simulated()
async def test_rule_19_an_open_connection_is_kept(world):
    a, b = world.pair()
    link = world.negotiate(a, b)
    a.createDataChannel("x")
    await once(b, "datachannel")
    heard = []
    b.onconnectionstatechange = lambda event: heard.append(event.target.connectionState)
    reference = weakref.ref(b)
    link.stop()
    world._negotiations.clear()
    del b, link
    gc.collect()
    assert reference() is not None
    world.network.cut("10.0.0.1")
    await world.settle(20)
    assert heard == ["disconnected", "failed"]
    del a


@simulated()
async def test_rule_19_a_connection_that_was_never_negotiated_is_not_kept(world):
    """Nothing can be fired at it."""
    a, b = world.pair()
    a.createDataChannel("x")
    reference = weakref.ref(a)
    await world.settle()
    del a, b
    gc.collect()
    assert reference() is None


@simulated()
async def test_rule_20_an_open_channel_is_kept_with_its_handlers(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    seen = []
    theirs.onmessage = lambda event: seen.append(event.data)
    reference = weakref.ref(theirs)
    del theirs
    gc.collect()
    ours.send("still there")
    await world.settle()
    assert seen == ["still there"]
    ours.close()
    await once(ours, "close")
    await world.settle()
    gc.collect()
    assert reference() is None


# --- when it may be called -----------


@pytest.mark.parametrize("at", [0, 0.001, 0.02, 0.05, 0.1, 0.2])
@simulated()
async def test_close_while_connecting(world, at):
    world.signaling_delay = 0.01
    world.link(delay=0.02)
    a, b = world.pair()
    world.negotiate(a, b)
    ours = a.createDataChannel("x")
    log = log_of(ours)
    await world.settle(at)
    a.close()
    assert not await a.wait_closed()
    assert ours.readyState == "closed"
    await world.settle()
    assert [entry for entry in log if "close " in entry] == ["close (closed)"]
    b.close()
    assert not await b.wait_closed()


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize(
    "event", ["negotiationneeded", "signalingstatechange", "icecandidate", "icegatheringstatechange",
              "iceconnectionstatechange", "connectionstatechange", "datachannel"]
)  # fmt: skip
@simulated()
async def test_close_in_a_handler(world, event, kind):
    a, b = world.pair()
    world.negotiate(a, b)
    a.createDataChannel("x")
    closer = b if event == "datachannel" else a
    log = Log()
    ledgers = []

    def close(_):
        closer.close()
        log.clear()

    async def close_and_wait(_):
        close(_)
        ledgers.append(await closer.wait_closed())

    log.watch(closer, *PC_EVENTS)
    closer.addEventListener(event, close if kind == "plain" else close_and_wait, once=True)
    assert not await closer.wait_closed()
    await world.settle()
    assert log == []
    assert len(ledgers) == (kind == "async")


@pytest.mark.parametrize("event", ["open", "message", "closing", "close"])
@simulated()
async def test_close_in_a_handler_of_a_channel(world, event):
    a, b = world.pair()
    log = Log()

    def arrived(arrival):
        log.channel(arrival.channel)
        arrival.channel.addEventListener(event, lambda _: b.close(), once=True)

    b.ondatachannel = arrived
    ours, _ = await world.open_channel(a, b)
    if event != "open":
        ours.send("x")
        ours.close()
    assert not await b.wait_closed()
    await world.settle()
    assert log.count("close (closed)") == 1


@simulated()
async def test_the_rest_of_the_states_is_not_announced_when_a_handler_closes(world):
    a, b = world.pair()
    a.oniceconnectionstatechange = lambda _: a.close()
    log = Log()
    log.watch(a, "connectionstatechange")
    world.negotiate(a, b)
    a.createDataChannel("x")
    assert not await a.wait_closed()
    await world.settle()
    assert log == []


@simulated()
async def test_who_waits_for_an_event_is_told(world):
    """Closing rule 35."""
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    waits = {
        "connection": asyncio.ensure_future(once(a, "negotiationneeded")),
        "sctp": asyncio.ensure_future(once(a.sctp, "statechange")),
        "dtls": asyncio.ensure_future(once(a.sctp.transport, "statechange")),
        "ice": asyncio.ensure_future(once(a.sctp.transport.iceTransport, "statechange")),
        "channel": asyncio.ensure_future(once(ours, "message")),
        "close": asyncio.ensure_future(once(ours, "close")),
        "receive": asyncio.ensure_future(ours.receive()),
    }
    await asyncio.sleep(0)
    a.close()
    ended = dict(zip(waits, await asyncio.gather(*waits.values(), return_exceptions=True), strict=True))
    assert ended.pop("close").type == "close"
    assert ended.pop("sctp").type == "statechange"
    assert isinstance(ended.pop("receive"), adieu.InvalidStateError)
    assert {name: type(error).__name__ for name, error in ended.items()} == dict.fromkeys(ended, "AbortError")


@simulated()
async def test_who_waits_for_an_event_of_media_is_told_too(world):
    """Closing rule 35: the track, its stream and the sender of tones have no further event."""
    a, b = world.pair()
    transceiver = a.addTransceiver("audio", {"streams": [MediaStream()]})
    arrives = asyncio.create_task(once(b, "track"))
    await world.connect(a, b)
    event = await arrives
    waiting = [
        asyncio.create_task(once(target, name))
        for target, name in (
            (event.track, "unmute"),
            (event.track.clone(), "unmute"),
            (event.streams[0], "addtrack"),
            (event.transceiver.sender.dtmf, "tonechange"),
        )
    ]
    ended = asyncio.create_task(once(event.track, "ended"))
    tone = asyncio.create_task(once(transceiver.sender.dtmf, "tonechange"))
    await asyncio.sleep(0)
    b.close()
    transceiver.stop()
    for task in (*waiting, tone):
        with pytest.raises(AbortError):
            await asyncio.wait_for(task, 1)
    assert (await asyncio.wait_for(ended, 1)).type == "ended"
    a.close()


@simulated()
async def test_events_behind_an_async_handler_are_not_fired_after_close(world):
    """Closing rule 34."""
    a, b = world.pair()
    log = Log()
    entered = asyncio.Event()

    async def slow(_):
        entered.set()
        await asyncio.sleep(5)

    a.onsignalingstatechange = slow
    world.negotiate(a, b)
    a.createDataChannel("x")
    await entered.wait()
    await world.settle(1)
    log.watch(a, *PC_EVENTS)
    a.close()
    await world.settle(10)
    assert log == []


# --- wait_closed -----------


@simulated()
async def test_wait_closed_is_for_many_before_and_after(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    before = [asyncio.ensure_future(a.wait_closed()) for _ in range(3)]
    await world.settle()
    assert not any(wait.done() for wait in before)
    before[0].cancel()
    a.close()
    ledgers = [*await asyncio.gather(*before[1:]), await a.wait_closed()]
    assert [dict(ledger) for ledger in ledgers] == [{}] * 3


@simulated()
async def test_wait_closed_without_a_negotiation_comes_after_the_close_events(world):
    a, _ = world.pair()
    log = log_of(a.createDataChannel("x"))
    a.close()
    assert not await a.wait_closed()
    assert log == ["close (closed)"]


@simulated()
async def test_nothing_is_left_in_the_core(world):
    hosts = list(world.hosts())
    for _ in range(5):
        a, b = (world.connection(host) for host in hosts)
        ours, _ = await world.open_channel(a, b)
        ours.send(b"x" * 100_000)
        a.close()
        b.close()
        assert not await a.wait_closed()
        assert not await b.wait_closed()
        for host in hosts:
            assert (host.handles.channels, host.handles.transports) == ({}, {})
    await world.settle()
    for host in hosts:
        counters = host.core.counters()
        assert {name: counters[name] for name in ("connections", "transports", "channels", "sockets", "timers")} == {
            "connections": 0, "transports": 0, "channels": 0, "sockets": 0, "timers": 0
        }  # fmt: skip


def test_every_event_of_a_channel_is_watched():
    """The helper knows all of them."""
    for watched, known in ((adieu.RTCDataChannel, CHANNEL_EVENTS), (adieu.RTCPeerConnection, PC_EVENTS)):
        handlers = {name for name in dir(watched) if isinstance(getattr_static(watched, name), EventHandler)}
        assert handlers == {f"on{name}" for name in known}
