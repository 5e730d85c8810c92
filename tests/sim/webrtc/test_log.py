"""The log of a connection: a line for each state, its life at INFO, no secret, and nothing for a message."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from adieu import log, once
from adieu.driver import core_log
from adieu.webrtc import connection_log
from support.calls import python_calls
from support.virtual import simulated

SECRET = "the secret of a message"


def watch_states(pc: Any) -> list[str]:
    """The lines that are due: one for each state that an event reports."""
    due: list[str] = []
    for event, name, value in (
        ("connectionstatechange", "connection", lambda: pc.connectionState),
        ("iceconnectionstatechange", "ICE", lambda: pc.iceConnectionState),
        ("icegatheringstatechange", "gathering", lambda: pc.iceGatheringState),
        ("signalingstatechange", "signaling", lambda: pc.signalingState),
    ):
        pc.addEventListener(event, lambda _, name=name, value=value: due.append(f"webrtc DEBUG = {name} {value()}"))
    return due


def watch_transports(pc: Any) -> list[str]:
    """The same for its transports, from the first description on."""
    due: list[str] = []

    def watch(_: Any) -> None:
        pc.removeEventListener("signalingstatechange", watch)
        for layer, target in (
            ("ice", pc.sctp.transport.iceTransport),
            ("dtls", pc.sctp.transport),
            ("sctp", pc.sctp),
        ):
            target.addEventListener(
                "statechange", lambda e, layer=layer: due.append(f"{layer} DEBUG = {e.target.state}")
            )

    pc.addEventListener("signalingstatechange", watch)
    return due


@simulated()
async def test_each_change_of_a_state_has_its_line(world, written):
    a, b = world.pair()
    due, due_of_transports = watch_states(a), watch_transports(a)
    ours, theirs = await world.open_channel(a, b)
    ours.close()
    await once(ours, "close")
    world.network.cut("10.0.0.2")
    while a.connectionState != "failed":
        await once(a, "connectionstatechange")
    a.close()
    lines = written.of(a.log_id)
    for line in [*due, *due_of_transports]:
        assert line in lines
        lines.remove(line)
    assert {"ice DEBUG = connected", "dtls DEBUG = connected", "sctp DEBUG = connected"} <= {*due_of_transports}
    for state in ("open", "closing", "closed"):
        assert any(line.endswith(f"channel 'chat', stream {ours.id}: {state}") for line in lines)
    assert "webrtc DEBUG > offer: application" in lines
    assert "webrtc DEBUG < answer: application" in lines
    assert any(line.startswith("ice DEBUG > candidate udp host 10.0.0.1:") for line in lines)
    assert any(line.startswith("ice DEBUG < candidate udp host 10.0.0.2:") for line in lines)
    assert any(line.startswith("ice DEBUG ! failed: no answer for") for line in lines), "the core's evidence"
    assert theirs.readyState != "open"


@pytest.mark.parametrize("written", ["INFO"], indirect=True)
@simulated()
async def test_info_is_the_life_of_a_connection_and_nothing_else(world, written):
    a, b = world.pair()
    await world.open_channel(a, b)
    a.close()
    await once(b.sctp, "statechange")
    await world.settle()
    b.close()
    (connected, closed), (b_connected, b_closed) = written.of(a.log_id), written.of(b.log_id)
    assert connected.startswith("webrtc INFO = connected, udp host 10.0.0.1:")
    assert " -> host 10.0.0.2:" in connected or " -> prflx 10.0.0.2:" in connected
    assert closed == "webrtc INFO x closed by this side, connected until then"
    assert b_connected.startswith("webrtc INFO = connected, udp host 10.0.0.2:")
    assert (
        b_closed
        == "webrtc INFO x closed by the other side: SCTP ABORT, cause 12: User-Initiated Abort, reason=Close called"
    )


@pytest.mark.parametrize("written", ["INFO"], indirect=True)
@simulated()
async def test_silence_and_failure_are_part_of_the_life(world, written):
    a, b = world.pair()
    await world.open_channel(a, b)
    world.network.cut("10.0.0.2")
    while a.connectionState != "failed":
        await once(a, "connectionstatechange")
    a.close()
    silent, failed = "! disconnected: the other side does not answer", "x failed: the other side cannot be reached"
    assert written.of(a.log_id)[1:] == [f"webrtc INFO {silent}", f"webrtc INFO {failed}"]


@pytest.mark.parametrize("written", ["INFO"], indirect=True)
@simulated()
async def test_a_relay_that_nobody_names_is_the_reason_of_a_failure(world, written):
    a, b = world.pair()
    a.setConfiguration({"iceTransportPolicy": "relay"})
    a.createDataChannel("chat")
    await a.setLocalDescription()
    await b.setRemoteDescription(await a.gathered())
    await b.setLocalDescription()
    await a.setRemoteDescription(await b.gathered())
    while a.connectionState != "failed":
        await once(a, "connectionstatechange")
    a.close()
    b.close()
    assert written.of(a.log_id) == [
        'webrtc INFO x failed: iceTransportPolicy is "relay", and iceServers names no TURN server'
    ]


@pytest.mark.parametrize("written", ["WARNING"], indirect=True)
@simulated()
async def test_the_core_follows_a_later_level_at_the_next_state(world, written):
    a, b = world.pair()
    await world.open_channel(a, b)
    logging.getLogger("adieu").setLevel("DEBUG")
    world.network.cut("10.0.0.2")
    await once(a, "connectionstatechange")
    await world.settle(2)
    assert any(line.startswith("ice DEBUG > check again: 10.0.0.2") for line in written.of(a.log_id))


@simulated()
async def test_a_candidate_pool_has_its_connections_id_until_the_end(world, written):
    one, two = world.hosts()
    a, b = world.connection(one, iceCandidatePoolSize=1), world.connection(two)
    await world.settle(0.1)
    assert any(line.startswith("ice DEBUG = socket 10.0.0.1") for line in written.of(a.log_id))
    await world.open_channel(a, b)
    a.close()
    b.close()
    await world.settle()
    assert written.of(a.log_id)[-1] == "webrtc DEBUG = released, nothing left"
    assert not any(id_ == "core" for id_, _ in written.lines)
    assert one.handles.names == two.handles.names == {}


@simulated()
async def test_no_line_holds_a_secret_and_a_message_has_none(world, written):
    a, b = world.pair(iceServers=[{"urls": "turn:10.0.0.9", "username": "the-user", "credential": "the-credential"}])
    ours, theirs = await world.open_channel(a, b)
    reading = asyncio.ensure_future(theirs.receive())
    await world.settle(10)
    before = len(written.lines)
    ours.send(SECRET)
    assert await reading == SECRET
    ours.send(SECRET.encode())
    await world.settle(0.5)
    assert len(written.lines) == before
    secrets = [SECRET, "the-user", "the-credential"]
    for pc in (a, b):
        secrets += [line.partition(":")[2] for line in pc.localDescription.sdp.splitlines() if "ice-pwd" in line]
    assert len(secrets) == 5
    a.close()
    b.close()
    await world.settle()
    whole = repr(written.lines)
    assert not [secret for secret in secrets if secret in whole]


@pytest.mark.parametrize("written", ["WARNING"], indirect=True)
@simulated()
async def test_without_a_level_the_log_costs_no_call_for_a_message(world, written):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    taken: list[Any] = []
    theirs.onmessage = taken.append
    await world.settle(10)
    files = {module.__file__ for module in (log, logging, core_log, connection_log)}
    with python_calls(files.__contains__) as calls:
        for _ in range(50):
            ours.send(SECRET)
        await world.settle(0.5)
    assert len(taken) == 50
    assert calls == []
    assert written.lines == []
