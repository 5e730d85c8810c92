"""What callers give: mappings, keywords, dataclasses, and what is wrong in them."""

import asyncio
import time

import pytest

import adieu
from adieu import RTCConfiguration, RTCDataChannelInit, RTCIceServer, TransportSettings
from adieu.errors import (
    DOMSyntaxError,
    InvalidAccessError,
    InvalidModificationError,
    NotSupportedError,
)
from adieu.webrtc.dictionaries import dictionary, scalar
from adieu.webrtc.ice_server import IceUrl, parse_ice_url


def configure(value=None, **members):
    async def main():
        pc = adieu.RTCPeerConnection(value, **members)
        pc.close()
        return pc.getConfiguration()

    return asyncio.run(main())


# --- in general -----------


def test_a_mapping_keywords_and_the_dataclass_are_the_same():
    wanted = RTCDataChannelInit(ordered=False, protocol="p")
    assert dictionary(RTCDataChannelInit, {"ordered": False, "protocol": "p"}) == wanted
    assert dictionary(RTCDataChannelInit, None, {"ordered": False, "protocol": "p"}) == wanted
    assert dictionary(RTCDataChannelInit, {"ordered": True, "protocol": "p"}, {"ordered": False}) == wanted
    assert dictionary(RTCDataChannelInit, RTCDataChannelInit(protocol="p"), {"ordered": False}) == wanted
    assert dictionary(RTCDataChannelInit, wanted) is wanted


@pytest.mark.parametrize(
    ("value", "members", "match"),
    [
        ("x", {}, "a mapping or RTCDataChannelInit, not 'x'"),
        ({"order": False}, {}, "no member 'order'; it has ordered,"),
        (None, {"order": False}, "no member 'order'"),
        ({"ordered": "no"}, {}, "ordered is 'no'"),
        ({"maxRetransmits": -1}, {}, "maxRetransmits is -1"),
        ({"maxRetransmits": 65536}, {}, "maxRetransmits is 65536"),
        ({"maxRetransmits": True}, {}, "maxRetransmits is True"),
        ({"maxPacketLifeTime": 1.5}, {}, "maxPacketLifeTime is 1.5"),
        ({"protocol": b"x"}, {}, "protocol is b'x'"),
        ({"protocol": "ä" * 32768}, {}, "protocol is longer than 65535 bytes"),
        ({"priority": "highest"}, {}, "priority is 'highest', not one of 'very-low'"),
        ({"negotiated": True}, {}, "id must be given"),
        ({"negotiated": True, "id": 65535}, {}, "id is 65535"),
        ({"maxRetransmits": 1, "maxPacketLifeTime": 1}, {}, "only one can be set"),
    ],
)
def test_a_wrong_member_is_named_with_its_value(value, members, match):
    """W3C createDataChannel steps 11 to 17."""
    with pytest.raises(TypeError, match=match):
        dictionary(RTCDataChannelInit, value, members)


def test_an_id_of_a_channel_that_is_not_negotiated_is_no_matter():
    """W3C createDataChannel step 13."""
    assert RTCDataChannelInit(id=65535).id == 65535


def test_half_a_surrogate_pair_is_replaced():
    assert scalar("a\ud800b") == "a\ufffdb"
    assert scalar("\ud83d\udc4b") == "\U0001f44b"


# --- the configuration -----------


def test_the_default_configuration():
    assert configure() == RTCConfiguration()
    assert RTCConfiguration().iceTransportPolicy == "all"


def test_servers_come_as_they_like():
    for servers in (
        [{"urls": "stun:s.example"}],
        [{"urls": ["stun:s.example"], "credentialType": "password"}],
        (RTCIceServer("stun:s.example"),),
    ):
        [server] = configure(iceServers=servers).iceServers
        assert server.parsed() == [IceUrl("stun", "s.example", 3478)]


@pytest.mark.parametrize(
    ("members", "error", "match"),
    [
        ({"iceServers": {"urls": "stun:x"}}, TypeError, "not a list"),
        ({"iceServers": "stun:x"}, TypeError, "not a list"),
        ({"iceServers": ["stun:x"]}, TypeError, "RTCIceServer, not 'stun:x'"),
        ({"iceServers": [{"urls": 5}]}, TypeError, "urls is 5"),
        ({"iceServers": [{"urls": [5]}]}, TypeError, "urls is 5"),
        ({"iceServers": [{"urls": []}]}, DOMSyntaxError, "empty"),
        ({"iceServers": [{"urls": "http:x"}]}, DOMSyntaxError, "http:x"),
        ({"iceServers": [{"urls": "turn:x"}]}, InvalidAccessError, "username"),
        ({"iceServers": [{"urls": "turn:x", "username": "u"}]}, InvalidAccessError, "credential"),
        ({"iceServers": [{"urls": "turn:x", "username": "u", "credential": 1}]}, TypeError, "credential is 1"),
        ({"iceTransportPolicy": "some"}, TypeError, "iceTransportPolicy is 'some', not one of 'all', 'relay'"),
        ({"bundlePolicy": ""}, TypeError, "bundlePolicy is ''"),
        ({"rtcpMuxPolicy": "negotiate"}, TypeError, "rtcpMuxPolicy is 'negotiate'"),
        ({"iceCandidatePoolSize": 256}, TypeError, "iceCandidatePoolSize is 256"),
        ({"certificates": ["x"]}, TypeError, "certificates has 'x'"),
        ({"iceServer": []}, TypeError, "no member 'iceServer'; it has iceServers"),
    ],
)
def test_a_wrong_configuration(members, error, match):
    with pytest.raises(error, match=match):
        configure(members)
    with pytest.raises(error, match=match):
        configure(**members)


def test_credentials_are_not_shown():
    assert "secret" not in repr(RTCIceServer("turn:x", "u", "secret"))


def test_more_servers_than_can_be_used_are_cut_off():
    assert len(configure(iceServers=[{"urls": "stun:x"}] * 100).iceServers) == 32


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("stun:example.org", IceUrl("stun", "example.org", 3478)),
        ("STUN:example.org:19302", IceUrl("stun", "example.org", 19302)),
        ("stuns:example.org", IceUrl("stuns", "example.org", 5349)),
        ("turn:192.0.2.1:80?transport=tcp", IceUrl("turn", "192.0.2.1", 80, "tcp")),
        ("turns:[2001:db8::1]:443?transport=udp", IceUrl("turns", "2001:db8::1", 443, "udp")),
    ],
)
def test_server_urls(url, parsed):
    assert parse_ice_url(url) == parsed


def test_a_url_as_the_core_takes_it():
    assert str(parse_ice_url("stun:[2001:db8::1]")) == "stun:[2001:db8::1]:3478"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stun",
        "stun:",
        "stun://example.org",
        "http:example.org",
        "stun:example.org?transport=udp",
        "stun:example.org#x",
        "turn:example.org#x",
        "turn:example.org?transport=tls",
        "turn:example.org?x=udp",
        "stun:example.org:port",
        "stun:example.org:65536",
        "stun:exa mple.org",
        "stun:user@example.org",
        "stun:example.org/path",
        "stun:[::1",
    ],
)
def test_urls_that_are_none(url):
    """W3C set a configuration step 6.4."""
    with pytest.raises(DOMSyntaxError):
        parse_ice_url(url)


# --- setConfiguration -----------


async def test_what_can_be_changed():
    pc = adieu.RTCPeerConnection(iceServers=[{"urls": "stun:a"}])
    pc.setConfiguration({"iceServers": [{"urls": "stun:b"}], "iceTransportPolicy": "relay", "iceCandidatePoolSize": 1})
    configuration = pc.getConfiguration()
    assert (configuration.iceTransportPolicy, configuration.iceServers[0].urls) == ("relay", ("stun:b",))
    pc.setConfiguration()
    assert pc.getConfiguration() == RTCConfiguration()
    pc.close()


async def test_what_can_not_be_changed():
    """W3C set a configuration step 3."""
    one, two = [await adieu.RTCPeerConnection.generateCertificate() for _ in range(2)]
    pc = adieu.RTCPeerConnection(certificates=[one])
    for members in ({}, {"certificates": [two]}, {"certificates": [one], "bundlePolicy": "max-bundle"}):
        with pytest.raises(InvalidModificationError):
            pc.setConfiguration(**members)
    pc.setConfiguration(certificates=[one], iceCandidatePoolSize=2)
    await pc.setLocalDescription()
    with pytest.raises(InvalidModificationError, match="after setLocalDescription"):
        pc.setConfiguration(certificates=[one], iceCandidatePoolSize=3)
    before = pc.getConfiguration()
    with pytest.raises(DOMSyntaxError):
        pc.setConfiguration(certificates=[one], iceCandidatePoolSize=2, iceServers=[{"urls": "x"}])
    assert pc.getConfiguration() is before
    pc.close()


# --- settings -----------


@pytest.mark.parametrize(
    ("members", "error", "match"),
    [
        ({"disconnectedAfter": 0}, ValueError, "disconnectedAfter is 0"),
        ({"failedAfter": "x"}, ValueError, "failedAfter is 'x'"),
        ({"receiveBuffer": 1.5}, TypeError, "receiveBuffer is 1.5"),
        ({"maxMessageSize": 0}, ValueError, "maxMessageSize is 0"),
        ({"maxMessageSize": 8388608}, ValueError, "0.9 of receiveBuffer"),
        ({"loopback": "yes"}, TypeError, "loopback is 'yes'"),
        ({"congestion": "reno"}, TypeError, "congestion is 'reno'"),
        ({"ports": (5000,)}, TypeError, r"ports is \(5000,\)"),
        ({"ports": 5000}, TypeError, "ports is 5000"),
        ({"ports": (6000, 5000)}, ValueError, r"ports is \(6000, 5000\)"),
        ({"ports": (0, 5000)}, ValueError, r"ports is \(0, 5000\)"),
        ({"sharedPort": 70000}, TypeError, "sharedPort is 70000"),
        ({"sharedPort": 5000, "ports": (6000, 6009)}, ValueError, "set one of them"),
        ({"interfaces": 5}, TypeError, "interfaces is 5"),
        ({"interfaces": ["10.0.0.0/33"]}, ValueError, "10.0.0.0/33"),
        ({"publicAddresses": 5}, TypeError, "publicAddresses is 5"),
        ({"publicAddresses": {"10.0.0.1": 5}}, TypeError, "publicAddresses is"),
        ({"publicAddresses": ["here"]}, ValueError, "here"),
        ({"publicAddresses": {"10.0.0.1": "2001:db8::1"}}, ValueError, "one is IPv4"),
        ({"publicAddressMode": "both"}, TypeError, "publicAddressMode is 'both'"),
        ({"defaultRouteOnly": 1}, TypeError, "defaultRouteOnly is 1"),
    ],
)
def test_wrong_settings(members, error, match):
    with pytest.raises(error, match=match):
        TransportSettings(**members)


def test_addresses_are_given_in_several_ways():
    one = TransportSettings(interfaces="eth0", publicAddresses="203.0.113.5", ports=[50000, 50009])
    assert one == TransportSettings(interfaces=["eth0"], publicAddresses=["203.0.113.5"], ports=(50000, 50009))
    mapped = TransportSettings(publicAddresses={"10.0.0.1": "203.0.113.5"})
    assert TransportSettings(publicAddresses=mapped.publicAddresses) == mapped
    assert hash(mapped) != hash(one)


async def test_settings_of_addresses_reach_the_candidates():
    settings = {"loopback": "always", "interfaces": ["127.0.0.1"], "publicAddresses": {"127.0.0.1": "203.0.113.5"}}
    pc = adieu.RTCPeerConnection(settings=settings)
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    while pc.iceGatheringState != "complete":
        await adieu.once(pc, "icegatheringstatechange")
    candidates = [line for line in pc.localDescription.sdp.splitlines() if line.startswith("a=candidate")]
    assert {line.split(" ")[4] for line in candidates} == {"203.0.113.5"}
    pc.close()


async def test_settings_reach_the_description():
    pc = adieu.RTCPeerConnection(settings={"maxMessageSize": 1000})
    pc.createDataChannel("x")
    assert "a=max-message-size:1000\r\n" in (await pc.createOffer()).sdp
    pc.close()


# --- certificates -----------


async def test_certificates():
    certificate = await adieu.RTCPeerConnection.generateCertificate({"name": "ECDSA", "namedCurve": "P-256"})
    month = 30 * 24 * 3600 * 1000
    assert abs(certificate.expires - time.time() * 1000 - month) < 60_000
    [fingerprint] = certificate.getFingerprints()
    assert fingerprint.algorithm == "sha-256"
    assert fingerprint.value == fingerprint.value.lower()
    again = adieu.RTCCertificate.from_pem(*certificate.to_pem())
    assert again.getFingerprints() == [fingerprint]
    pc = adieu.RTCPeerConnection(certificates=[again])
    pc.createDataChannel("x")
    assert fingerprint.value.upper() in (await pc.createOffer()).sdp
    pc.close()


@pytest.mark.parametrize(
    ("algorithm", "error"),
    [
        ({"name": "RSASSA-PKCS1-v1_5"}, NotSupportedError),
        ("RSA", NotSupportedError),
        ({"name": "ECDSA", "namedCurve": "P-521"}, NotSupportedError),
        ({"name": "ECDSA", "expires": "soon"}, TypeError),
        ({"name": "ECDSA", "expires": -1}, TypeError),
        (5, TypeError),
    ],
)
async def test_certificates_that_can_not_be_made(algorithm, error):
    with pytest.raises(error):
        await adieu.RTCPeerConnection.generateCertificate(algorithm)


async def test_an_expired_certificate_is_refused():
    """W3C constructor step 3."""
    certificate = await adieu.RTCPeerConnection.generateCertificate({"name": "ECDSA", "expires": 0})
    deadline = time.monotonic() + 5
    while certificate.expires >= time.time() * 1000 and time.monotonic() < deadline:
        pass
    with pytest.raises(InvalidAccessError, match="expired"):
        adieu.RTCPeerConnection(certificates=[certificate])


async def test_only_one_certificate_can_be_used():
    certificates = [await adieu.RTCPeerConnection.generateCertificate() for _ in range(2)]
    with pytest.raises(NotSupportedError, match="2 certificates"):
        adieu.RTCPeerConnection(certificates=certificates)


def test_a_connection_needs_an_event_loop():
    with pytest.raises(RuntimeError, match="event loop"):
        adieu.RTCPeerConnection()
