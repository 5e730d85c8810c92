"""Closing rules 21 to 36: calls on a closed connection, and calls that were pending when it was closed."""

import asyncio

import pytest

from adieu.errors import AbortError, InvalidStateError
from adieu.webrtc import strict_specification
from sim.webrtc.support import PC_EVENTS, Log
from support.virtual import simulated

OFFER = {"type": "offer", "sdp": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"}

PENDING = {
    "createOffer": lambda pc: pc.createOffer(),
    "createAnswer": lambda pc: pc.createAnswer(),
    "setLocalDescription": lambda pc: pc.setLocalDescription(),
    "setLocalDescription rollback": lambda pc: pc.setLocalDescription(type="rollback"),
    "setRemoteDescription": lambda pc: pc.setRemoteDescription(OFFER),
    "addIceCandidate": lambda pc: pc.addIceCandidate(),
    "addIceCandidate with one": lambda pc: pc.addIceCandidate(
        candidate="candidate:1 1 udp 1 10.0.0.9 1 typ host", sdpMid="0"
    ),
}


@pytest.mark.parametrize("name", PENDING)
@simulated()
async def test_rules_21_22_promises_of_a_closed_connection(world, name):
    a, b = world.pair()
    await world.open_channel(a, b)
    a.close()
    with pytest.raises(InvalidStateError):
        await PENDING[name](a)


@simulated()
async def test_rule_23_calls_on_a_closed_connection(world):
    a, _ = world.pair()
    a.close()
    with pytest.raises(InvalidStateError):
        a.createDataChannel("x")
    with pytest.raises(InvalidStateError):
        a.setConfiguration()


@simulated()
async def test_rules_26_33_restart_ice_on_a_closed_connection(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    log = Log()
    log.watch(a, *PC_EVENTS)
    a.close()
    assert a.restartIce() is None
    await world.settle()
    assert log == []


@simulated()
async def test_rule_27_the_configuration_stays(world):
    a, _ = world.pair(iceServers=[{"urls": "stun:example.org"}])
    before = a.getConfiguration()
    a.close()
    assert a.getConfiguration() is before


@simulated()
async def test_rule_28_statistics_stay(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    ours.send("x" * 1000)
    await theirs.receive()
    a.close()
    report = await a.getStats()
    assert report["P"]["dataChannelsOpened"] == 1
    [transport] = [stats for stats in report.values() if stats["type"] == "transport"]
    assert transport["bytesSent"] > 1000
    assert transport["dtlsState"] == "closed"
    await a.wait_closed()
    await world.settle(100)
    assert (await a.getStats())["P"]["dataChannelsOpened"] == 1


@simulated()
async def test_rule_30_late_calls_on_a_channel(world):
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    connecting = a.createDataChannel("y")
    with pytest.raises(InvalidStateError, match="connecting"):
        connecting.send("x")
    a.close()
    with pytest.raises(InvalidStateError, match="closed"):
        ours.send("x")
    assert ours.close() is None
    assert ours.readyState == "closed"


# --- what was pending -----------


@pytest.mark.parametrize("name", PENDING)
@simulated()
async def test_rules_31_35_what_was_pending_ends_with_an_abort_error(world, name):
    a, b = world.pair()
    await world.open_channel(a, b)
    if name == "createAnswer":
        await a.setRemoteDescription(await b.createOffer())
    if name == "setLocalDescription rollback":
        await a.setLocalDescription()
    pending = asyncio.ensure_future(PENDING[name](a))
    await asyncio.sleep(0)
    a.close()
    with pytest.raises(AbortError):
        await pending


@simulated()
async def test_rules_32_35_what_waited_behind_it_too(world):
    a, _ = world.pair()
    log = Log()
    log.watch(a, *PC_EVENTS)
    a.createDataChannel("x")
    pending = [asyncio.ensure_future(PENDING[name](a)) for name in PENDING]
    await asyncio.sleep(0)
    log.clear()
    a.close()
    ended = await asyncio.gather(*pending, return_exceptions=True)
    assert [type(error).__name__ for error in ended] == ["AbortError"] * len(PENDING)
    assert log == []
    assert a.localDescription is None


@simulated()
async def test_rules_31_32_by_the_letter_they_never_end(world):
    with strict_specification():
        a, _ = world.pair()
    a.createDataChannel("x")
    pending = [asyncio.ensure_future(PENDING[name](a)) for name in PENDING]
    await asyncio.sleep(0)
    a.close()
    assert not await a.wait_closed()
    await world.settle(100)
    assert not any(task.done() for task in pending)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)


@simulated()
async def test_rules_33_34_nothing_is_fired_after_the_close(world):
    """Closed in the middle of everything: gathering, checking, a channel on its way."""
    for rounds in range(40):
        a, b = (
            world.connection(world.host(f"10.1.0.{rounds + 1}")),
            world.connection(world.host(f"10.2.0.{rounds + 1}")),
        )
        link = world.negotiate(a, b)
        b.createDataChannel("y")
        a.createDataChannel("x")
        for _ in range(rounds):
            await asyncio.sleep(0)
        log = Log()
        a.close()
        log.watch(a, *PC_EVENTS)
        await world.settle(0.5)
        assert log == [], rounds
        link.stop()
        b.close()


@simulated()
async def test_rule_34_a_handler_that_closes_ends_the_tasks_events(world):
    """Three events tell that gathering is complete: each of the first two closes."""
    for count, last in enumerate(["gatheringstatechange", "icegatheringstatechange"], 1):
        pc = world.connection(world.host(f"10.1.0.{count}"))
        pc.createDataChannel("x")
        await pc.setLocalDescription()
        ice, log = pc.sctp.transport.iceTransport, Log()

        def close(event, pc=pc, ice=ice, last=last, log=log):
            if ice.gatheringState == "complete":
                log.append(event.type)
                if event.type == last:
                    pc.close()

        ice.ongatheringstatechange = pc.onicegatheringstatechange = pc.onicecandidate = close
        await world.settle(5)
        assert log == ["gatheringstatechange", "icegatheringstatechange"][:count]


@simulated()
async def test_an_abandoned_call_changes_nothing(world):
    """Cancellation: wholly or not at all."""
    a, b = world.pair()
    for name in ("createOffer", "setLocalDescription"):
        call = asyncio.ensure_future(PENDING[name](a))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert (a.signalingState, a.localDescription) == ("stable", None)
    await world.open_channel(a, b)
