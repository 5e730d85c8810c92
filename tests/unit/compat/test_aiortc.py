"""The names of aiortc under adieu.compat: as many as aiortc has, and with the same behaviour of their smaller parts."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import subprocess
import sys
from importlib import import_module

import aiortc
import pytest

import adieu.compat.aiortc as ours
from adieu import NotSupportedError
from adieu.compat.aiortc.contrib import signaling
from adieu.compat.aiortc.emitter import EventEmitter
from adieu.compat.aiortc.sdp import candidate_from_sdp, candidate_to_sdp

pytestmark = pytest.mark.anyio

MODULES = ("", ".contrib.media", ".contrib.signaling", ".exceptions", ".mediastreams", ".rtcconfiguration")
CLASSES = [name for name in aiortc.__all__ if name.startswith(("RTC", "Media", "Audio", "Video"))]
ELSEWHERE = {
    "RTCCertificate": {"generateCertificate"},  # RTCPeerConnection.generateCertificate(), as the W3C has it
    "RTCDtlsTransport": {"getLocalParameters", "getRemoteParameters", "start", "stop", "SRTP_PROFILES"},
    "RTCIceTransport": {
        "addRemoteCandidate", "getRemoteCandidates", "getRemoteParameters", "iceGatherer", "start", "stop",
    },
    "RTCSctpTransport": {"State", "getCapabilities", "is_server", "mid", "port", "setTransport", "start", "stop"},
    "RTCRtpReceiver": {"receive", "setTransport"},
    "RTCRtpSender": {"send", "setTransport"},
}  # fmt: skip
"""Members that only aiortc itself calls: its transports are made by hand, adieu's belong to a connection."""


@pytest.mark.parametrize("name", aiortc.__all__)
def test_a_name_of_aiortc_is_here_or_says_what_to_use_instead(name: str) -> None:
    if name not in ours.MISSING:
        assert name in ours.__all__
        assert getattr(ours, name)
        return
    with pytest.raises(ImportError, match=f"aiortc has {name}, adieu has not: "):
        getattr(ours, name)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_public_members_of_aiortcs(name: str) -> None:
    if name in ours.MISSING or name.endswith("Stats"):
        return
    theirs, mine = getattr(aiortc, name), getattr(ours, name)
    emitter = set(dir(import_module("pyee.asyncio").AsyncIOEventEmitter))
    members = {member for member in dir(theirs) if not member.startswith("_")} - emitter - ELSEWHERE.get(name, set())
    assert not members - set(dir(mine))
    made_by_programs = "Transport" not in name and not name.startswith("RTCRtp")
    if made_by_programs and name not in {"RTCCertificate", "MediaStreamError", "RTCStatsReport"}:
        wanted = inspect.signature(theirs).parameters
        assert list(inspect.signature(mine).parameters)[: len(wanted)] == list(wanted) or name == "RTCDataChannel"


def test_an_emitter_is_used_like_pyees() -> None:
    theirs = {name for name in dir(import_module("pyee.asyncio").AsyncIOEventEmitter) if not name.startswith("_")}
    only_theirs = {"cancel", "complete", "wait_for_complete"}
    assert not theirs - only_theirs - set(dir(EventEmitter))


async def test_handlers_are_called_once_or_until_they_are_removed() -> None:
    emitter, calls = EventEmitter(), []

    @emitter.on("a")
    def plain(value):
        calls.append(value)

    @emitter.once("a")
    async def once(value):
        calls.append(("once", value))

    emitter.add_listener("b", calls.append)
    assert emitter.emit("a", 1)
    assert emitter.emit("a", 2)
    assert not emitter.emit("c")
    await asyncio.sleep(0)
    assert calls == [1, 2, ("once", 1)]
    assert (emitter.event_names(), emitter.listeners("a")) == ({"a", "b"}, [plain])
    emitter.remove_listener("a", plain)
    with pytest.raises(KeyError):
        emitter.remove_listener("a", plain)
    emitter.remove_all_listeners()
    assert not emitter.emit("b", 3)
    with pytest.raises(TypeError, match="function"):
        emitter.on("a", 3)


async def test_a_handler_that_fails_is_told_to_error_or_to_the_event_loop() -> None:
    emitter, told = EventEmitter(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    @emitter.on("a")
    async def late():
        raise KeyError

    @emitter.on("a")
    def now():
        raise ValueError

    emitter.emit("a")
    await asyncio.sleep(0.01)
    assert [type(error) for error in told] == [ValueError, KeyError]
    errors: list[Exception] = []
    emitter.on("error", errors.append)
    emitter.emit("a")
    await asyncio.sleep(0.01)
    assert [type(error) for error in errors] == [ValueError, KeyError]
    assert len(told) == 2
    asyncio.get_running_loop().set_exception_handler(None)


async def test_a_cancelled_future_that_a_handler_reads_stops_no_other_handler() -> None:
    emitter, seen = EventEmitter(), []
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    emitter.on("message", cancelled.result)
    emitter.on("message", lambda: seen.append("next"))
    emitter.on("error", lambda error: seen.append(type(error)))
    emitter.emit("message")
    assert seen == [asyncio.CancelledError, "next"]


def test_a_connection_may_be_made_without_an_event_loop() -> None:
    pc = ours.RTCPeerConnection(ours.RTCConfiguration(iceServers=[ours.RTCIceServer("stun:127.0.0.1:9")]))
    assert (pc.connectionState, pc.signalingState, pc.localDescription, pc.sctp) == ("new", "stable", None, None)
    with pytest.raises(RuntimeError, match="running event loop"):
        pc.createDataChannel("chat")
    asyncio.run(pc.close())
    assert pc.connectionState == pc.signalingState == "closed"


async def test_what_adieu_cannot_do_is_named() -> None:
    with pytest.raises(NotSupportedError, match="alwaysNegotiateDataChannels"):
        ours.RTCPeerConnection(ours.RTCConfiguration(alwaysNegotiateDataChannels=True))
    with pytest.raises(ValueError, match="credentialType"):
        ours.RTCPeerConnection(ours.RTCConfiguration([ours.RTCIceServer("turn:a", credentialType="oauth")]))
    pc = ours.RTCPeerConnection()
    with pytest.raises(ours_internal_error(), match="sideways"):
        pc.addTransceiver("audio", direction="sideways")
    with pytest.raises(ValueError, match="sdpMid"):
        await pc.addIceCandidate(candidate_from_sdp(CANDIDATES[0]))
    await pc.close()


def ours_internal_error() -> type[Exception]:
    error: type[Exception] = import_module("adieu.compat.aiortc.exceptions").InternalError
    return error


CANDIDATES = (
    "1 1 udp 2130706431 192.0.2.1 5000 typ host",
    "2 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active",
    "3 1 udp 1694498815 198.51.100.2 6000 typ srflx raddr 192.0.2.1 rport 5000",
)


@pytest.mark.parametrize("line", CANDIDATES)
def test_a_candidate_is_read_and_written_as_aiortc_does(line: str) -> None:
    theirs = aiortc.sdp.candidate_from_sdp(line)
    mine = candidate_from_sdp(line)
    assert vars(mine) == vars(theirs)
    assert candidate_to_sdp(mine) == aiortc.sdp.candidate_to_sdp(theirs) == line


@pytest.mark.parametrize("text", ["1 2 3", "", "1 x udp 1 1.2.3.4 5 typ host"])
def test_a_line_that_is_no_candidate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"candidate|component"):
        candidate_from_sdp(text)


def test_signaling_writes_what_aiortc_reads() -> None:
    theirs = import_module("aiortc.contrib.signaling")
    candidate = candidate_from_sdp(CANDIDATES[2])
    candidate.sdpMid, candidate.sdpMLineIndex = "0", 0
    for thing in (ours.RTCSessionDescription(sdp="v=0", type="offer"), candidate, signaling.BYE):
        text = signaling.object_to_string(thing)
        back = theirs.object_from_string(text)
        assert theirs.object_to_string(back) == text
        assert signaling.object_from_string(text) == thing
    for text in ("[]", "{}", '{"type": "offer"}', '{"type": "candidate", "candidate": 3}'):
        with pytest.raises(ValueError, match="no description"):
            signaling.object_from_string(text)
    with pytest.raises(ValueError, match="too deep"):
        signaling.object_from_string("[" * 100_000)


@pytest.mark.parametrize("kind", ["tcp-socket", "unix-socket"])
async def test_two_programs_signal_over_a_socket(kind: str, tmp_path, unused_port) -> None:
    parser = argparse.ArgumentParser()
    signaling.add_signaling_arguments(parser)
    where = ["--signaling-port", str(unused_port), "--signaling-path", str(tmp_path / "socket")]
    one, two = (signaling.create_signaling(parser.parse_args(["-s", kind, *where])) for _ in range(2))
    offer = ours.RTCSessionDescription(sdp="v=0", type="offer")
    sent = asyncio.create_task(one.send(offer))
    async with asyncio.timeout(5):
        while not sent.done():
            try:
                assert await two.receive() == offer
                break
            except OSError:  # it does not listen yet
                await asyncio.sleep(0.01)
        await sent
        await two.send(ours.RTCSessionDescription(sdp="v=0", type="answer"))
        answer = await one.receive()
        assert answer is not None
        assert answer.type == "answer"
        await one.close()
        assert await two.receive() is signaling.BYE
        assert await two.receive() is None
        await two.close()
        with pytest.raises(asyncio.CancelledError):
            await two.receive()
    assert not (tmp_path / "socket").exists()


async def test_a_close_ends_a_send_that_waits_for_the_other_side(unused_port: int) -> None:
    one = signaling.TcpSocketSignaling("127.0.0.1", unused_port)
    sending = asyncio.create_task(one.send(signaling.BYE))
    async with asyncio.timeout(5):
        while one._server is None:
            await asyncio.sleep(0.001)
        await one.close()
        with pytest.raises(asyncio.CancelledError):
            await sending
        with pytest.raises(RuntimeError, match="close"):
            await one.send(signaling.BYE)
        early = signaling.TcpSocketSignaling("127.0.0.1", unused_port)
        sending = asyncio.create_task(early.send(signaling.BYE))
        await asyncio.sleep(0)  # it begins to listen
        await early.close()
        with pytest.raises(asyncio.CancelledError):
            await sending
    with pytest.raises(OSError, match="refused|Connect"):
        await asyncio.open_connection("127.0.0.1", unused_port)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_a_library_that_imports_aiortc_gets_adieu() -> None:
    program = """
import adieu.compat
adieu.compat.install_aiortc()
adieu.compat.install_aiortc()
import aiortc, aiortc.contrib.media, aiortc.rtcsctptransport
from aiortc.mediastreams import MediaStreamError
from aiortc.contrib.media import AudioFrame, MediaRelay
import adieu.compat.aiortc
assert aiortc is adieu.compat.aiortc
assert MediaStreamError is adieu.compat.aiortc.MediaStreamError
try:
    import aiortc.codecs
except ModuleNotFoundError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "aiortc.codecs" in ran.stdout
    late = "import aiortc, adieu.compat; adieu.compat.install_aiortc()"
    ran = subprocess.run([sys.executable, "-c", late], capture_output=True, text=True, timeout=60, check=False)
    assert "before the first import" in ran.stderr
    seen = "import adieu.compat.aiortc.contrib.media, sys; assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", seen], timeout=60, check=True)
