"""The core gets what is negotiated, as a whole, after each change."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from adieu import _core, once
from adieu.errors import InvalidAccessError
from adieu.media import AudioSource
from adieu.webrtc import media_transport
from sim.webrtc.test_transceivers import exchange
from support.virtual import simulated


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> dict[int, dict[str, Any]]:
    """The members of each section that the core was given last, by its sender."""
    found: dict[int, dict[str, Any]] = {}

    def section(mid: str, kind: Any, **members: Any) -> _core.Section:
        found[members["sender"]] = {"mid": mid, "kind": kind, **members}
        return _core.Section(mid, kind, **members)

    monkeypatch.setattr(media_transport, "_core", SimpleNamespace(Section=section))
    return found


class Spy:
    """A core whose `attach` is watched."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self.attached: list[tuple[Any, bool]] = []

    def attach(self, sender: int, source: Any, enabled: bool = True) -> None:
        self.attached.append((source, enabled))
        self._core.attach(sender, source, enabled)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


def of(sections: dict[int, dict[str, Any]], transceiver: Any) -> dict[str, Any]:
    return sections[transceiver._internals.media_sender]


def ways(section: dict[str, Any]) -> tuple[bool, bool]:
    return section["sends"], section["receives"]


@simulated()
async def test_each_side_sends_and_receives_what_was_agreed(world, sections):
    a, b = world.pair()
    one = a.addTransceiver("audio", direction="sendonly")
    await exchange(a, b)
    other = b.getTransceivers()[0]
    here, there = of(sections, one), of(sections, other)
    assert ways(here) == (True, False)
    assert ways(there) == (False, True)
    assert here["mid"] == there["mid"] == one.mid
    assert here["send"][0] == (111, "opus", 48000, 2, "minptime=10;useinbandfec=1")
    assert [row[0] for row in here["send"]] == [row[0] for row in there["receive"]]
    assert dict(here["extensions"]) == dict(there["extensions"])
    assert here["active"]


@simulated()
async def test_a_rollback_brings_the_table_of_before(world, sections):
    a, b = world.pair()
    a.addTransceiver("audio")
    await exchange(a, b)
    one = a.getTransceivers()[0]
    before = dict(of(sections, one))
    one.direction = "inactive"
    await a.setLocalDescription()
    await a.setLocalDescription({"type": "rollback"})
    assert of(sections, one) == before


@simulated()
async def test_a_stopped_transceiver_is_out_of_the_table_at_once(world, sections):
    a, b = world.pair()
    a.addTransceiver("audio")
    await exchange(a, b)
    one = a.getTransceivers()[0]
    assert of(sections, one)["sends"]
    sections.clear()
    one.stop()
    assert not sections


@simulated()
async def test_a_stopped_transceiver_says_bye_and_the_statistics_of_before_are_kept(world):
    a, b = world.pair()
    speech = AudioSource()
    a.addTrack(speech.track)
    await world.connect(a, b)
    [here], [there] = a.getTransceivers(), b.getTransceivers()
    await speech.write(bytes(2 * 48000))
    await once(there.receiver.track, "unmute")
    before = asyncio.ensure_future(there.receiver.getStats())
    await asyncio.sleep(0)
    muted = asyncio.ensure_future(once(there.receiver.track, "mute"))
    here.stop()
    await muted
    there.stop()
    assert "inbound-rtp" in {stats["type"] for stats in (await before).values()}
    assert "inbound-rtp" not in {stats["type"] for stats in (await there.receiver.getStats()).values()}


@simulated()
async def test_parameters_reach_the_core(world, sections):
    a, b = world.pair()
    sender = a.addTransceiver("audio").sender
    await exchange(a, b)
    parameters = sender.getParameters()
    parameters.encodings[0].active = False
    parameters.encodings[0].maxBitrate = 24000
    await sender.setParameters(parameters)
    section = of(sections, a.getTransceivers()[0])
    assert (section["active"], section["max_bitrate"]) == (False, 24000)


@simulated()
async def test_a_sender_sends_its_track_and_silence_while_not_enabled(world):
    one, two = world.hosts()
    a, b = world.connection(one), world.connection(two)
    spy = Spy(one.core)
    one.core = spy
    with one.use():
        speech = AudioSource()
    sender = a.addTrack(speech.track)
    await exchange(a, b)
    source = speech.track._internals.source.audio
    assert spy.attached == [(source, True)]
    speech.track.enabled = False
    await sender.replaceTrack(None)
    speech.track.enabled = True  # nobody sends it
    await sender.replaceTrack(speech.track)
    a.removeTrack(sender)
    assert spy.attached[1:] == [(source, False), (None, False), (source, True), (None, False)]
    one.core = spy._core


@simulated()
async def test_a_track_that_ends_is_taken_from_its_sender(world):
    one, two = world.hosts()
    a, b = world.connection(one), world.connection(two)
    spy = Spy(one.core)
    one.core = spy
    with one.use():
        speech = AudioSource()
    a.addTrack(speech.track)
    await exchange(a, b)
    speech.track.stop()
    assert spy.attached[-1] == (None, False)
    one.core = spy._core


@simulated()
async def test_a_receiver_keeps_its_target_from_before_the_negotiation(world):
    one, two = world.hosts()
    a, b = world.connection(one), world.connection(two)
    told: list[float | None] = []

    class Targets(Spy):
        def jitter_target(self, receiver: int, seconds: float | None) -> None:
            told.append(seconds)
            self._core.jitter_target(receiver, seconds)

    one.core = Targets(one.core)
    receiver = a.addTransceiver("audio").receiver
    receiver.jitterBufferTarget = 200
    await exchange(a, b)
    receiver.jitterBufferTarget = None
    assert told == [0.2, None]
    one.core = one.core._core


@simulated()
async def test_nothing_is_registered_for_a_connection_that_is_closed(world):
    a, b = world.pair()
    a.addTransceiver("audio")
    a.addTransceiver("video")
    came = asyncio.ensure_future(once(b, "track"))
    await exchange(a, b)
    await came
    assert len(a._internals.driver.handles.media) == 3  # two receivers, and the sender of video
    for pc in (a, b):
        pc.close()
        assert not pc._internals.driver.handles.media


@simulated()
@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("a=mid:0", "a=mid:0\r\na=ssrc"),
        ("a=mid:0", "a=mid:0\r\na=ssrc:\r\na=ssrc:x cname:y\r\na=ssrc:4294967296 cname:y"),
        ("a=mid:0", "a=mid:0\r\na=extmap:300 urn:ietf:params:rtp-hdrext:toffset"),
        ("a=extmap:4 ", "a=extmap:4096 "),
        ("111", "200"),
    ],
)
async def test_numbers_that_no_packet_can_carry_are_left_out(world, sections, line, instead):
    """A description is applied by then: an error would leave it half done."""
    a, b = world.pair()
    a.addTransceiver("audio")
    offer = await a.createOffer()
    assert line in offer.sdp
    try:
        await b.setRemoteDescription({"type": "offer", "sdp": offer.sdp.replace(line, instead)})
    except InvalidAccessError:
        return  # refused as a whole
    await b.setLocalDescription()
    there = of(sections, b.getTransceivers()[0])
    assert all(number <= 255 for number, _ in there["extensions"])
    assert all(row[0] <= 127 for row in there["receive"])
