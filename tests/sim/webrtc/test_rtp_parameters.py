"""What senders and receivers can be asked for and told, and the tones of a telephone."""

from __future__ import annotations

import asyncio

import pytest

import adieu
from adieu import jsep, once
from adieu.errors import InvalidCharacterError, InvalidModificationError, InvalidStateError, OperationError
from support.media import track
from support.virtual import simulated


def encodings(sender):
    return sender.getParameters().encodings


# --- capabilities and preferences -----------


def test_capabilities():
    for cls in (adieu.RTCRtpSender, adieu.RTCRtpReceiver):
        audio, video = cls.getCapabilities("audio"), cls.getCapabilities("video")
        assert [c.mimeType for c in audio.codecs][:2] == ["audio/opus", "audio/red"]
        names = [c.mimeType for c in video.codecs]
        assert set(names) == {"video/VP8", "video/H264", "video/rtx", "video/red"}
        assert names.count("video/rtx") == 1
        assert any(e.uri.endswith("sdes:mid") for e in video.headerExtensions)
        assert cls.getCapabilities("x") is None
        with pytest.raises(TypeError):
            cls.getCapabilities(5)


@simulated()
async def test_a_connection_has_the_capabilities_of_its_making(world):
    known = jsep.NEGOTIABLE
    vp8 = tuple(codec for codec in known.codecs["video"] if codec.name == "VP8")
    few = jsep.Capabilities({**known.codecs, "video": vp8}, known.extensions)
    a, b = world.pair()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adieu.webrtc.capabilities.NEGOTIABLE", few)
        assert [c.mimeType for c in adieu.RTCRtpSender.getCapabilities("video").codecs] == ["video/VP8"]
        c = world.connection(world.host("10.0.0.3"))
    fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
    h264 = {"mimeType": "video/H264", "clockRate": 90000, "sdpFmtpLine": fmtp}
    for pc, offered in ((a, "96 97 102"), (c, "96\r\n")):
        transceiver = pc.addTransceiver("video")
        assert f"m=video 9 UDP/TLS/RTP/SAVPF {offered}" in (await pc.createOffer()).sdp
        if pc is c:
            with pytest.raises(InvalidModificationError):
                transceiver.setCodecPreferences([h264])
            with pytest.raises(OperationError):
                c.addTransceiver("video", sendEncodings=[{"codec": h264}])
        else:
            transceiver.setCodecPreferences([h264])
    await b.setRemoteDescription(await c.createOffer())
    assert "H264" not in (await b.createAnswer()).sdp


@simulated()
async def test_codec_preferences(world):
    a, b = world.pair()
    transceiver = a.addTransceiver("video")
    codecs = adieu.RTCRtpReceiver.getCapabilities("video").codecs
    h264, vp8 = (next(c for c in codecs if c.mimeType == f"video/{name}") for name in ("H264", "VP8"))
    transceiver.setCodecPreferences([h264, {"mimeType": "video/vp8", "clockRate": 90000}, vp8])
    await a.setLocalDescription()
    assert "m=video 9 UDP/TLS/RTP/SAVPF 102 96\r\n" in a.localDescription.sdp
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    assert [c.mimeType for c in transceiver.sender.getParameters().codecs] == ["video/H264", "video/VP8"]
    transceiver.setCodecPreferences([])
    assert "m=video 9 UDP/TLS/RTP/SAVPF 102 96 " in (await a.createOffer()).sdp


@pytest.mark.parametrize(
    "wrong",
    [
        [{"mimeType": "video/x", "clockRate": 90000}],
        [{"mimeType": "audio/opus", "clockRate": 48000, "channels": 2}],
        [{"mimeType": "video/rtx", "clockRate": 90000}],
        [{"mimeType": "video/H264", "clockRate": 90000, "sdpFmtpLine": "profile-level-id=640028"}],
    ],
)
@simulated()
async def test_preferences_for_what_there_is_not(world, wrong):
    a, _ = world.pair()
    transceiver = a.addTransceiver("video")
    with pytest.raises(InvalidModificationError):
        transceiver.setCodecPreferences(wrong)
    with pytest.raises(TypeError):
        transceiver.setCodecPreferences("x")


# --- encodings -----------


@simulated()
async def test_encodings_of_a_new_sender(world):
    a, _ = world.pair()
    [audio] = encodings(a.addTransceiver("audio").sender)
    assert (audio.active, audio.rid, audio.scaleResolutionDownBy) == (True, None, None)
    [video] = encodings(a.addTransceiver("video", sendEncodings=[]).sender)
    assert video.scaleResolutionDownBy == 1.0
    three = a.addTransceiver("video", sendEncodings=[{"rid": "a"}, {"rid": "b", "active": False}, {"rid": "c"}])
    assert [(e.rid, e.active, e.scaleResolutionDownBy) for e in encodings(three.sender)] == [
        ("a", True, 4.0), ("b", False, 2.0), ("c", True, 1.0)
    ]  # fmt: skip
    given = a.addTransceiver("video", sendEncodings=[{"rid": "a", "scaleResolutionDownBy": 3.0}, {"rid": "b"}])
    assert [e.scaleResolutionDownBy for e in encodings(given.sender)] == [3.0, 1.0]
    assert encodings(a.addTransceiver("video", sendEncodings=[{"rid": "a"}]).sender)[0].rid is None
    most = [{"rid": str(n)} for n in range(20)]
    assert len(encodings(a.addTransceiver("video", sendEncodings=most).sender)) == 6
    [tone] = encodings(a.addTransceiver("audio", sendEncodings=[{"scaleResolutionDownBy": 0.1}]).sender)
    assert tone.scaleResolutionDownBy is None


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ([{"rid": ""}], TypeError),
        ([{"rid": "a-b"}], TypeError),
        ([{"rid": "a" * 17}], TypeError),
        ([{"rid": "a"}, {}], TypeError),
        ([{}, {}], TypeError),
        ([{"rid": "a"}, {"rid": "a"}], TypeError),
        ([{"scaleResolutionDownBy": 0.5}], ValueError),
        ([{"maxFramerate": -1.0}], ValueError),
        ([{"maxBitrate": -1}], TypeError),
        ([{"active": 1}], TypeError),
        ([{"priority": "most"}], TypeError),
        ([{"codec": {"mimeType": "video/x", "clockRate": 1}}], OperationError),
        ({"rid": "a"}, TypeError),
    ],
)
@simulated()
async def test_wrong_encodings(world, wrong, error):
    a, _ = world.pair()
    with pytest.raises(error):
        a.addTransceiver("video", sendEncodings=wrong)
    assert a.getTransceivers() == []


@simulated()
async def test_set_parameters(world):
    a, _ = world.pair()
    sender = a.addTransceiver("video").sender
    parameters = sender.getParameters()
    assert parameters == sender.getParameters()
    parameters.encodings[0].active = False
    parameters.encodings[0].maxBitrate = 100_000
    assert encodings(sender)[0].active, "a copy"
    await sender.setParameters(parameters)
    [encoding] = encodings(sender)
    assert (encoding.active, encoding.maxBitrate) == (False, 100_000)
    with pytest.raises(InvalidModificationError):
        await sender.setParameters(parameters)
    parameters = sender.getParameters()
    await asyncio.sleep(0)
    with pytest.raises(InvalidStateError, match="getParameters"):
        await sender.setParameters(parameters)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda p: setattr(p, "transactionId", "x"), InvalidModificationError),
        (lambda p: p.encodings.append(adieu.RTCRtpEncodingParameters()), InvalidModificationError),
        (lambda p: p.encodings.clear(), InvalidModificationError),
        (lambda p: p.encodings.reverse(), InvalidModificationError),
        (lambda p: setattr(p.encodings[0], "rid", "x"), InvalidModificationError),
        (lambda p: p.codecs.append(adieu.RTCRtpCodecParameters("video/VP8", 90000)), InvalidModificationError),
        (lambda p: setattr(p.rtcp, "cname", "x"), InvalidModificationError),
        (lambda p: setattr(p.encodings[0], "scaleResolutionDownBy", 0.9), ValueError),
        (lambda p: setattr(p.encodings[0], "codec", adieu.RTCRtpCodec("video/x", 1)), InvalidModificationError),
        (lambda p: setattr(p, "encodings", None), TypeError),
    ],
)
@simulated()
async def test_what_can_not_be_set(world, change, error):
    a, _ = world.pair()
    sender = a.addTransceiver("video", sendEncodings=[{"rid": "a"}, {"rid": "b"}]).sender
    parameters = sender.getParameters()
    before = sender.getParameters()
    change(parameters)
    with pytest.raises(error):
        await sender.setParameters(parameters)
    assert sender.getParameters().encodings == before.encodings


@simulated()
async def test_an_answer_that_comes_between_decides_which_encodings_there_are(world):
    a, b = world.pair()
    sender = a.addTransceiver("video", sendEncodings=[{"rid": "x"}, {"rid": "y"}]).sender
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    answering = asyncio.ensure_future(a.setRemoteDescription(b.localDescription))
    await asyncio.sleep(0)
    parameters = sender.getParameters()
    for encoding in parameters.encodings:
        encoding.maxBitrate = 5
    await sender.setParameters(parameters)
    await answering
    assert [(e.rid, e.maxBitrate) for e in encodings(sender)] == [("x", 5)]


@simulated()
async def test_what_has_been_negotiated(world):
    a, b = world.pair()
    sender = a.addTrack(track())
    assert (sender.getParameters().codecs, a.getReceivers()[0].getParameters().codecs) == ([], [])
    await world.connect(a, b, data=False)
    ours, theirs = sender.getParameters(), b.getReceivers()[0].getParameters()
    assert ours.codecs == theirs.codecs
    assert ours.codecs[0] == adieu.RTCRtpCodecParameters(
        "audio/opus", 48000, 2, "minptime=10;useinbandfec=1", payloadType=111
    )
    assert ours.headerExtensions == theirs.headerExtensions
    assert (ours.rtcp.reducedSize, bool(ours.rtcp.cname)) == (True, True)
    assert a.getReceivers()[0].getParameters().rtcp.cname is None
    ours.encodings[0].codec = adieu.RTCRtpCodec("audio/iSAC", 16000)
    with pytest.raises(InvalidModificationError):
        await sender.setParameters(ours)


# --- replaceTrack, setStreams -----------


@simulated()
async def test_replace_track(world):
    a, _ = world.pair()
    one, other = track(), track()
    sender = a.addTrack(one)
    await sender.replaceTrack(other)
    assert sender.track is other
    await sender.replaceTrack(None)
    assert sender.track is None
    for wrong in (track("video"), "x"):
        with pytest.raises(TypeError):
            await sender.replaceTrack(wrong)


@simulated()
async def test_jitter_buffer_target(world):
    a, _ = world.pair()
    receiver = a.addTransceiver("audio").receiver
    receiver.jitterBufferTarget = 4000
    for wrong, error in ((4001, ValueError), (-1, ValueError), ("x", TypeError)):
        with pytest.raises(error):
            receiver.jitterBufferTarget = wrong
    assert receiver.jitterBufferTarget == 4000
    receiver.jitterBufferTarget = None
    assert receiver.jitterBufferTarget is None
    assert receiver.getSynchronizationSources() == receiver.getContributingSources() == []


# --- tones -----------


@simulated()
async def test_tones(world):
    a, b = world.pair()
    sender = a.addTrack(track())
    assert a.addTransceiver("video").sender.dtmf is None
    dtmf = sender.dtmf
    assert not dtmf.canInsertDTMF
    with pytest.raises(InvalidStateError):
        dtmf.insertDTMF("1")
    await world.connect(a, b, data=False)
    assert dtmf.canInsertDTMF
    log = []
    dtmf.ontonechange = lambda event: log.append((event.tone, dtmf.toneBuffer, round(world.now, 3)))
    start = round(world.now, 3)
    dtmf.insertDTMF("1,b", duration=1, interToneGap=100)
    assert dtmf.toneBuffer == "1,B"
    await world.settle(5)
    assert [(tone, buffer, round(when - start, 3)) for tone, buffer, when in log] == [
        ("1", ",B", 0.0), (",", "B", 0.14), ("B", "", 2.14), ("", "", 2.28)
    ]  # fmt: skip
    with pytest.raises(InvalidCharacterError, match="'X'"):
        dtmf.insertDTMF("1x")
    for wrong in ({"tones": 5}, {"tones": "1", "duration": "x"}):
        with pytest.raises(TypeError):
            dtmf.insertDTMF(**wrong)
    log.clear()
    dtmf.insertDTMF("123")
    await once(dtmf, "tonechange")
    a.close()
    await world.settle(5)
    assert [tone for tone, *_ in log] == ["1"], "closing rule 33: nothing after the close"
