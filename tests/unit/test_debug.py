"""Captures: tshark reads every packet of a connection without a complaint."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.debug import Capture
from conftest import missing
from support.virtual import simulate

if TYPE_CHECKING:
    from pathlib import Path

# What is encrypted is guessed at now and then, as one of the many protocols of UDP; only what it is counts.
COMPLAINTS = "(stun || dtls) && (_ws.malformed || _ws.expert.severity >= error || stun.att.crc32.bad)"


def connected(path: Path, *, count: int = 3, **options: Any) -> Capture:
    """Two connections that exchange some messages; the first one is captured."""
    with Capture(path, **options) as capture:

        async def program(world: Any) -> None:
            one, two = world.hosts()
            a = world.connection(one, settings={"capture": capture})
            b = world.connection(two)
            ours, theirs = await world.open_channel(a, b)
            for number in range(count):
                got = adieu.once(theirs, "message")
                ours.send(f"secret number {number}")
                await got
            await world.settle(5)
            a.close()
            b.close()
            await world.settle()

        simulate(program)
    return capture


def tshark(path: Path, *arguments: str) -> list[str]:
    if shutil.which("tshark") is None:
        missing("tshark", "python tools/system.py installs it, or says how")
    command = ["tshark", "-n", "-r", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_all_messages_of_stun_and_records_of_dtls_are_read(tmp_path):
    path = tmp_path / "a.pcapng"
    capture = connected(path)
    assert capture.dropped == 0
    frames = tshark(path, "-T", "fields", "-e", "_ws.col.Protocol")
    assert len(frames) == capture.written
    # tshark 4.0 knows the handshake of DTLS 1.3, and calls its short encrypted records just UDP.
    stun, dtls = frames.count("STUN"), sum(one.startswith("DTLS") for one in frames)
    assert stun > 5
    assert dtls > 1
    assert stun + dtls + frames.count("UDP") == len(frames), set(frames)
    assert tshark(path, "-Y", COMPLAINTS) == []
    assert len(tshark(path, "-Y", "stun.att.hmac && stun.att.crc32.status")) == stun
    assert set(tshark(path, "-T", "fields", "-e", "ip.src")) == {"10.0.0.1", "10.0.0.2"}
    assert b"secret number" not in path.read_bytes()


def test_with_contents_the_messages_can_be_read_and_a_warning_says_so(tmp_path, caplog):
    path = tmp_path / "a.pcapng"
    with caplog.at_level(logging.WARNING, "adieu"):
        connected(path, contents=True)
    assert "in the clear" in caplog.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = b"".join(
        bytes.fromhex(line) for line in tshark(path, "-Y", "sctp", "-T", "fields", "-e", "data.data") if line
    )
    chunks = tshark(path, "-Y", "sctp.chunk_type == 0", "-T", "json", "-x")
    assert all(f"secret number {number}".encode() in path.read_bytes() for number in range(3)), text[:100]
    assert json.loads("\n".join(chunks))
    assert tshark(path, "-Y", "_ws.malformed") == []
    assert len(tshark(path, "-Y", "sctp.chunk_type == 6")) == 1, "the ABORT at the end"


def test_a_full_file_counts_what_it_lacks_and_the_connection_goes_on(tmp_path):
    capture = connected(tmp_path / "a.pcapng", count=50, max_bytes=4096)
    assert capture.dropped > 10
    assert (tmp_path / "a.pcapng").stat().st_size <= 4096


async def test_a_real_connection_is_captured_from_the_first_check_to_the_last_packet(tmp_path):
    with Capture(tmp_path / "a.pcapng") as capture:
        a = adieu.RTCPeerConnection(settings={"capture": capture})
        b = adieu.RTCPeerConnection()
        for one, other in ((a, b), (b, a)):
            one.onicecandidate = lambda event, other=other: (
                event.candidate and asyncio.ensure_future(other.addIceCandidate(event.candidate))
            )
        channel = a.createDataChannel("x")
        await a.setLocalDescription()
        await b.setRemoteDescription(a.localDescription)
        await b.setLocalDescription()
        await a.setRemoteDescription(b.localDescription)
        await adieu.once(channel, "open")
        a.close()
        await a.wait_closed()
        b.close()
    assert capture.written > 10
    assert tshark(tmp_path / "a.pcapng", "-Y", COMPLAINTS) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        Capture(tmp_path / "nowhere" / "a.pcapng")


def test_a_capture_is_no_path():
    with pytest.raises(TypeError, match=r"capture"):
        adieu.TransportSettings(capture="a.pcapng")
