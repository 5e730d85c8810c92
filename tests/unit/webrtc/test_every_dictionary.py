"""Where the W3C takes a dictionary, a mapping, keywords and the dataclass do the same; what is wrong is named."""

from __future__ import annotations

import asyncio
from types import MappingProxyType

import pytest

import adieu
from adieu import (
    MediaStreamConstraints,
    RTCAnswerOptions,
    RTCConfiguration,
    RTCDataChannelInit,
    RTCError,
    RTCIceCandidate,
    RTCIceCandidateInit,
    RTCIceServer,
    RTCOfferOptions,
    RTCRtpTransceiverInit,
    RTCSessionDescription,
    RTCSessionDescriptionInit,
    TransportSettings,
)

SERVERS = [{"urls": "stun:stun.example.org"}]
LINE = "candidate:1 1 udp 1 10.0.0.1 5000 typ host"


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setenv("ADIEU_FAKE_MEDIA", "1")


@pytest.fixture
async def pc():
    one = adieu.RTCPeerConnection()
    yield one
    one.close()


def closed(one):
    one.close()
    return one.getConfiguration()


def configured(pc, *given, **members):
    pc.setConfiguration(*given, **members)
    return pc.getConfiguration()


def channel(made):
    return made.ordered, made.maxRetransmits, made.protocol


def transceiver(made):
    return made.direction, [encoding.rid for encoding in made.sender.getParameters().encodings]


async def refusal(call):
    """What a description or a candidate becomes where there is nothing that it could fit."""
    with pytest.raises(adieu.DOMException) as caught:
        await call
    return type(caught.value).__name__, str(caught.value)


async def kinds(call):
    return [track.kind for track in (await call).getTracks()]


# What is called, its dictionary, members that are taken, and what is looked at.
CALLS = {
    "RTCPeerConnection": (
        lambda pc: lambda *a, **k: closed(adieu.RTCPeerConnection(*a, **k)),
        RTCConfiguration,
        {"iceServers": SERVERS, "iceTransportPolicy": "relay", "bundlePolicy": "max-bundle"},
    ),
    "setConfiguration": (
        lambda pc: lambda *a, **k: configured(pc, *a, **k),
        RTCConfiguration,
        {"iceServers": SERVERS, "iceTransportPolicy": "relay"},
    ),
    "createDataChannel": (
        lambda pc: lambda *a, **k: channel(pc.createDataChannel("x", *a, **k)),
        RTCDataChannelInit,
        {"ordered": False, "maxRetransmits": 3, "protocol": "p"},
    ),
    "addTransceiver": (
        lambda pc: lambda *a, **k: transceiver(pc.addTransceiver("video", *a, **k)),
        RTCRtpTransceiverInit,
        {"direction": "sendonly", "sendEncodings": [{"rid": "a"}, {"rid": "b"}]},
    ),
    "RTCSessionDescription": (
        lambda pc: lambda *a, **k: RTCSessionDescription(*a, **k).toJSON(),
        RTCSessionDescriptionInit,
        {"type": "offer", "sdp": "v=0"},
    ),
    "setRemoteDescription": (
        lambda pc: lambda *a, **k: refusal(pc.setRemoteDescription(*a, **k)),
        RTCSessionDescriptionInit,
        {"type": "offer", "sdp": "v=1"},
    ),
    "setLocalDescription": (
        lambda pc: lambda *a, **k: refusal(pc.setLocalDescription(*a, **k)),
        RTCSessionDescriptionInit,
        {"type": "offer", "sdp": "v=1"},
    ),
    "RTCIceCandidate": (
        lambda pc: lambda *a, **k: RTCIceCandidate(*a, **k).toJSON(),
        RTCIceCandidateInit,
        {"candidate": LINE, "sdpMid": "0", "usernameFragment": "u"},
    ),
    "addIceCandidate": (
        lambda pc: lambda *a, **k: refusal(pc.addIceCandidate(*a, **k)),
        RTCIceCandidateInit,
        {"candidate": LINE, "sdpMLineIndex": 0},
    ),
    "getUserMedia": (
        lambda pc: lambda *a, **k: kinds(adieu.mediaDevices.getUserMedia(*a, **k)),
        MediaStreamConstraints,
        {"audio": True, "video": {"width": 320}},
    ),
    "RTCIceServer": (
        lambda pc: lambda *a, **k: closed(adieu.RTCPeerConnection(iceServers=[*a, *([k] if k else [])])),
        RTCIceServer,
        {"urls": ["stun:a.example"], "username": "u"},
    ),
}  # fmt: skip


async def value_of(result):
    return await result if asyncio.iscoroutine(result) else result


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", CALLS)
async def test_a_mapping_keywords_and_the_dataclass_do_the_same(pc, name):
    call, cls, members = CALLS[name]
    call = call(pc)
    wanted = await value_of(call(members))
    assert await value_of(call(MappingProxyType(members))) == wanted
    assert await value_of(call(**members)) == wanted
    assert await value_of(call(cls(**members))) == wanted
    first, *others = members
    rest = {key: members[key] for key in others}
    if name != "RTCIceServer":
        assert await value_of(call({first: members[first]}, **rest)) == wanted, "some here, some there"


async def test_options_of_offers_and_answers(pc):
    pc.addTransceiver("audio")
    await pc.setLocalDescription()
    ufrags = set()
    for given, members in [
        ((), {"iceRestart": True}),
        (({"iceRestart": True},), {}),
        ((RTCOfferOptions(iceRestart=True),), {}),
    ]:
        [line] = {li for li in (await pc.createOffer(*given, **members)).sdp.split("\r\n") if "ice-ufrag" in li}
        ufrags.add(line)
    assert len(ufrags) == 3
    other = adieu.RTCPeerConnection()
    await other.setRemoteDescription(pc.localDescription)
    for given in ((), ({},), (RTCAnswerOptions(),), (None,)):
        assert (await other.createAnswer(*given)).type == "answer"
    other.close()


def test_settings_as_a_mapping_and_as_the_dataclass():
    async def main():
        for given in ({"maxMessageSize": 1000}, TransportSettings(maxMessageSize=1000)):
            one = adieu.RTCPeerConnection(settings=given)
            one.createDataChannel("x")
            assert "a=max-message-size:1000\r\n" in (await one.createOffer()).sdp
            one.close()

    asyncio.run(main())


# What is called, what it is given, and what its error must name.
WRONG = [
    ("RTCPeerConnection", 7, {}, ["RTCConfiguration", "7"]),
    ("RTCPeerConnection", {"iceServer": []}, {}, ["RTCConfiguration", "'iceServer'"]),
    ("RTCPeerConnection", {"iceServers": 7}, {}, ["RTCConfiguration.iceServers", "7"]),
    ("RTCPeerConnection", {"iceServers": [7]}, {}, ["RTCIceServer", "7"]),
    ("RTCPeerConnection", {"iceServers": [{}]}, {}, ["RTCIceServer", "'urls'"]),
    ("RTCPeerConnection", {"iceServers": [{"urls": 7}]}, {}, ["RTCIceServer.urls", "7"]),
    ("RTCPeerConnection", {"iceServers": [{"urls": "stun:x", "username": 7}]}, {}, ["RTCIceServer.username", "7"]),
    ("RTCPeerConnection", None, {"iceTransportPolicy": "some"}, ["RTCConfiguration.iceTransportPolicy", "'some'"]),
    ("RTCPeerConnection", None, {"bundlePolicy": None}, ["RTCConfiguration.bundlePolicy", "None"]),
    ("RTCPeerConnection", None, {"rtcpMuxPolicy": "negotiate"}, ["RTCConfiguration.rtcpMuxPolicy", "'negotiate'"]),
    ("RTCPeerConnection", None, {"certificates": 7}, ["RTCConfiguration.certificates", "7"]),
    ("RTCPeerConnection", None, {"certificates": ["x"]}, ["RTCConfiguration.certificates", "'x'"]),
    ("RTCPeerConnection", None, {"iceCandidatePoolSize": 256}, ["RTCConfiguration.iceCandidatePoolSize", "256"]),
    ("RTCPeerConnection", None, {"iceCandidatePoolSize": "1"}, ["RTCConfiguration.iceCandidatePoolSize", "'1'"]),
    ("setConfiguration", [], {}, ["RTCConfiguration", "[]"]),
    ("createDataChannel", 7, {}, ["RTCDataChannelInit", "7"]),
    ("createDataChannel", {"ordered": 1}, {}, ["RTCDataChannelInit.ordered", "1"]),
    ("createDataChannel", {"maxPacketLifeTime": -1}, {}, ["RTCDataChannelInit.maxPacketLifeTime", "-1"]),
    ("createDataChannel", {"id": 1.5, "negotiated": True}, {}, ["RTCDataChannelInit.id", "1.5"]),
    ("createDataChannel", None, {"protocol": 7}, ["RTCDataChannelInit.protocol", "7"]),
    ("createDataChannel", None, {"negotiated": "x"}, ["RTCDataChannelInit.negotiated", "'x'"]),
    ("addTransceiver", 7, {}, ["RTCRtpTransceiverInit", "7"]),
    ("addTransceiver", {"direction": "up"}, {}, ["RTCRtpTransceiverInit.direction", "'up'"]),
    ("addTransceiver", {"streams": [7]}, {}, ["RTCRtpTransceiverInit.streams", "7"]),
    ("addTransceiver", {"sendEncodings": 7}, {}, ["RTCRtpTransceiverInit.sendEncodings", "7"]),
    ("addTransceiver", {"sendEncodings": [{"active": 7}]}, {}, ["RTCRtpEncodingParameters.active", "7"]),
    ("addTransceiver", {"sendEncodings": [{"rid": "a b"}]}, {}, ["RTCRtpEncodingParameters.rid", "'a b'"]),
    ("addTransceiver", {"sendEncodings": [{"maxBitrate": -1}]}, {}, ["RTCRtpEncodingParameters.maxBitrate", "-1"]),
    (
        "addTransceiver",
        {"sendEncodings": [{"scaleResolutionDownBy": 0.5}]},
        {},
        ["RTCRtpEncodingParameters.scaleResolutionDownBy", "0.5"],
    ),
    ("RTCSessionDescription", {"sdp": ""}, {}, ["RTCSessionDescriptionInit", "'type'"]),
    ("RTCSessionDescription", {"type": "ask"}, {}, ["RTCSessionDescriptionInit.type", "'ask'"]),
    ("RTCSessionDescription", {"type": "offer", "sdp": 7}, {}, ["RTCSessionDescriptionInit.sdp", "7"]),
    ("setRemoteDescription", "offer", {}, ["RTCSessionDescriptionInit", "'offer'"]),
    ("setRemoteDescription", None, {}, ["RTCSessionDescriptionInit", "'type'"]),
    ("setRemoteDescription", {"type": None}, {}, ["RTCSessionDescriptionInit.type", "None"]),
    ("setLocalDescription", {"type": "ask"}, {}, ["RTCLocalSessionDescriptionInit.type", "'ask'"]),
    ("RTCIceCandidate", 7, {}, ["RTCLocalIceCandidateInit", "7"]),
    ("RTCIceCandidate", {"candidate": 7}, {}, ["RTCIceCandidateInit.candidate", "7"]),
    ("RTCIceCandidate", {"sdpMLineIndex": -1}, {}, ["RTCIceCandidateInit.sdpMLineIndex", "-1"]),
    ("addIceCandidate", {"sdpMid": 7}, {}, ["RTCIceCandidateInit.sdpMid", "7"]),
    ("addIceCandidate", {"usernameFragment": 7}, {}, ["RTCIceCandidateInit.usernameFragment", "7"]),
    ("getUserMedia", 7, {}, ["MediaStreamConstraints", "7"]),
    ("getUserMedia", {"audio": "x"}, {}, ["MediaStreamConstraints.audio", "'x'"]),
    ("getUserMedia", None, {"video": 7}, ["MediaStreamConstraints.video", "7"]),
]


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("name", "given", "members", "named"), WRONG)
async def test_what_is_wrong_is_named_with_its_value(pc, name, given, members, named):
    call, *_ = CALLS[name]
    # The call itself: what looks at the outcome would take the error for one of the W3C's.
    with pytest.raises((TypeError, ValueError)) as caught:
        await value_of(call(pc)(given, **members))
    assert not isinstance(caught.value, adieu.DOMException)
    for word in named:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda pc: pc.createOffer(iceRestart=1), ["RTCOfferOptions.iceRestart", "1"]),
        (lambda pc: pc.createOffer({"restart": True}), ["RTCOfferOptions", "'restart'"]),
        (lambda pc: pc.createAnswer({"x": 1}), ["RTCAnswerOptions", "'x'"]),
        (lambda pc: pc.createDataChannel(7), ["label", "7"]),
        (lambda pc: pc.addTransceiver("text"), ["'text'"]),
        (lambda pc: pc.addTransceiver("audio").sender.setParameters(7), ["RTCRtpSendParameters", "7"]),
        (lambda pc: pc.addTransceiver("audio").sender.setParameters({}), ["RTCRtpSendParameters", "'transactionId'"]),
        (lambda pc: pc.addTransceiver("audio").setCodecPreferences(7), ["codecs", "7"]),
        (lambda pc: pc.addTransceiver("audio").setCodecPreferences([{}]), ["RTCRtpCodec", "'mimeType'"]),
        (lambda pc: adieu.RTCPeerConnection(settings=7), ["TransportSettings", "7"]),
        (lambda pc: adieu.RTCPeerConnection.generateCertificate(7), ["7"]),
        (lambda pc: RTCError(7, ""), ["RTCErrorInit", "7"]),
        (lambda pc: RTCError({"errorDetail": "x"}, ""), ["RTCErrorInit.errorDetail", "'x'"]),
        (lambda pc: adieu.RTCErrorEvent("error", {"error": 7}), ["RTCErrorEventInit.error", "7"]),
        (lambda pc: adieu.RTCErrorEvent("error", 7), ["RTCErrorEventInit", "7"]),
    ],
)
async def test_what_is_wrong_elsewhere_is_named_too(pc, call, named):
    with pytest.raises((TypeError, ValueError)) as caught:
        await value_of(call(pc))
    for word in named:
        assert word in str(caught.value), str(caught.value)
