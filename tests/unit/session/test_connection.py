"""A session's connection and what the other side describes: one transport, and candidates that may be odd."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import adieu
from adieu.errors import InvalidAccessError, RTCError
from adieu.protocol.signaling import Candidate, Candidates, Description
from adieu.session.connection import Connection, check_bundle
from adieu.session.tasks import Tasks

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "protocol" / "bundles.json"
BUNDLES = json.loads(VECTORS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", BUNDLES, ids=[case["name"] for case in BUNDLES])
def test_a_description_of_more_than_one_transport_is_refused(case):
    description = Description(epoch=1, sdp_type="offer", sdp=case["sdp"])
    if case["refused"]:
        with pytest.raises(InvalidAccessError, match="transports"):
            check_bundle(description)
    else:
        check_bundle(description)


def test_there_is_a_bound_on_sections():
    [whole] = [case["sdp"] for case in BUNDLES if case["name"] == "one section in a bundle"]
    head, _, section = whole.partition("m=")
    most = head + f"m={section.replace('a=mid:0', 'a=mid:{}')}" * 256
    mids = [str(number) for number in range(256)]
    most = most.replace("BUNDLE 0", f"BUNDLE {' '.join(mids)}").format(*mids)
    check_bundle(Description(epoch=1, sdp_type="offer", sdp=most))
    with pytest.raises(RTCError, match="256"):
        check_bundle(Description(epoch=1, sdp_type="offer", sdp=f"{most}m={section}"))


class Sink:
    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, epoch, kind, text):
        self.lost.set_result((epoch, kind, text))

    def __getattr__(self, name):
        return lambda *_: None


async def test_a_candidate_that_can_not_be_used_does_not_end_a_connection():
    sink, tasks, pc = Sink(), Tasks("test"), adieu.RTCPeerConnection()
    connection = Connection(3, pc, offer=False, polite=True, sink=sink, tasks=tasks)
    [offer] = [case["sdp"] for case in BUNDLES if case["name"] == "one section in a bundle"]
    connection.signaled(Description(epoch=3, sdp_type="offer", sdp=offer))
    line = "candidate:1 1 udp 1 192.0.2.1 {} typ host"
    said = [Candidate(candidate=text, sdp_mid="0") for text in (line.format(5), "candidate:x", line.format(6))]
    connection.signaled(Candidates(epoch=3, candidates=said))
    async with asyncio.timeout(10):
        while connection._jobs or not connection._worker.done():
            await asyncio.wait([connection._worker])
    assert not sink.lost.done()
    assert pc.remoteDescription.sdp.count("a=candidate:") == 2
    connection.release()
    assert not await pc.wait_closed()


async def test_such_an_offer_loses_the_connection_before_a_transport_is_made():
    sink, tasks, pc = Sink(), Tasks("test"), adieu.RTCPeerConnection()
    connection = Connection(3, pc, offer=False, polite=True, sink=sink, tasks=tasks)
    [offer] = [case["sdp"] for case in BUNDLES if case["name"] == "two in no bundle"]
    connection.signaled(Description(epoch=3, sdp_type="offer", sdp=offer))
    epoch, kind, text = await asyncio.wait_for(sink.lost, 10)
    assert (epoch, kind) == (3, "failed")
    assert "2 transports" in text
    assert pc.remoteDescription is None
    assert not [stats for stats in (await pc.getStats()).values() if stats["type"] == "transport"]
    connection.release()
    assert not await pc.wait_closed()
