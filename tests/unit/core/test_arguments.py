"""Wrong arguments: an error that names the value, before anything is queued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adieu import _core
from unit.core.peers import VirtualPair


@pytest.fixture
def net() -> _core.VirtualNetwork:
    return _core.VirtualNetwork()


@pytest.fixture
def loop(net: _core.VirtualNetwork) -> _core.EventQueue:
    return net.host("10.0.0.1")


@pytest.fixture
def transport(loop: _core.EventQueue) -> int:
    return loop.transport(loop.connection(_core.Certificate.generate()))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ufrag": "abc"}, "ufrag='abc'|ufrag=\"abc\""),
        ({"ufrag": "ab cd"}, "ab cd"),
        ({"ufrag": "a" * 257}, "ufrag"),
        ({"pwd": "short"}, "pwd of 5 characters"),
        ({"servers": ["http://x"]}, "http://x"),
        ({"servers": ["turn:x"]}, "turn:x"),
        ({"servers": ["stun:x:99999"]}, "stun:x:99999"),
        ({"policy": "some"}, "some"),
    ],
)
def test_gather(loop: _core.EventQueue, transport: int, arguments: dict[str, Any], named: str) -> None:
    good: dict[str, Any] = {"ufrag": "aaaa", "pwd": "a" * 22, "controlling": True, "servers": []}
    with pytest.raises(ValueError, match=named):
        loop.gather(transport, 1, **(good | arguments))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"loopback": "perhaps"}, "perhaps"),
        ({"ports": (7, 5)}, "7-5"),
        ({"publics": [(None, "here")]}, '"here"'),
        ({"publics": [("10.0.0.1", "2001:db8::1")]}, "one is IPv4"),
        ({"interfaces": ["10.0.0.0/33"]}, "10.0.0.0/33"),
    ],
)
def test_addresses(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        _core.Addresses(**arguments)


def test_a_secret_is_not_shown(loop: _core.EventQueue, transport: int) -> None:
    with pytest.raises(ValueError, match="pwd") as error:
        loop.set_remote(transport, 1, "aaaa", "secret word")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "candidate:",
        "candidate:1 1 udp x 10.0.0.2 5 typ host",
        "candidate:1 1 udp 1 not_an_address! 5 typ host",
        "candidate:1 1 udp 1 10.0.0.2 65536 typ host",
        "candidate:1 1 udp 1 10.0.0.2 5 typ ghost",
        "candidate:1 1 udp 1 10.0.0.2 5 typ host " + "x y " * 400,
    ],
)
def test_a_malformed_candidate(loop: _core.EventQueue, transport: int, line: str) -> None:
    with pytest.raises(ValueError, match="candidate"):
        loop.add_candidate(transport, 1, line)


@pytest.mark.parametrize(
    ("fingerprints", "named"),
    [
        ([], "no fingerprint"),
        ([("sha-1", "AA:BB")], "sha-1"),
        ([("sha-224", "AA:BB"), ("md5", "AA")], "sha-224, md5"),
        ([("sha-256", "AA:BB")], "AA:BB"),
        ([("sha-256", "zz:" * 31 + "zz")], "zz:zz"),
    ],
)
def test_fingerprints(loop: _core.EventQueue, transport: int, fingerprints: list[tuple[str, str]], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        loop.start_dtls(transport, True, fingerprints)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_packet_life_time": 1, "max_retransmits": 1}, "both"),
        ({"stream_id": 65535}, "65535"),
        ({"label": "x" * 65536}, "label has 65536"),
        ({"protocol": "x" * 65536}, "protocol has 65536"),
    ],
)
def test_open_channel(loop: _core.EventQueue, transport: int, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        open_channel(loop, transport, **arguments)


@pytest.mark.parametrize("arguments", [{"stream_id": 65536}, {"max_retransmits": 65536}, {"priority": -1}])
def test_numbers_that_do_not_fit(loop: _core.EventQueue, transport: int, arguments: dict[str, Any]) -> None:
    with pytest.raises(OverflowError):
        open_channel(loop, transport, **arguments)


def open_channel(loop: _core.EventQueue, transport: int, stream_id: int = 1, **options: Any) -> None:
    loop.open_channel(transport, stream_id, _core.ChannelOptions(**({"label": ""} | options)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": 1.5},
        {"late_loss": -0.1},
        {"reorder": float("nan")},
        {"rate": 0.0},
        {"burst": 0.5},
        {"others": 2.0, "rate": 1.0},
        {"reorder_delay": -1.0},
    ],
)
def test_links(net: _core.VirtualNetwork, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        net.link(**arguments)


def test_an_unknown_congestion_controller(loop: _core.Loop) -> None:
    with pytest.raises(ValueError, match='congestion="reno"'):
        loop.transport(loop.connection(_core.Certificate.generate()), congestion="reno")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e10, 1e18])
def test_times(net: _core.VirtualNetwork, loop: _core.EventQueue, value: float) -> None:
    connection = loop.connection(_core.Certificate.generate())
    with pytest.raises(ValueError, match="disconnected_after"):
        loop.transport(connection, disconnected_after=value)
    with pytest.raises(ValueError, match="failed_after"):
        loop.transport(connection, failed_after=value)
    with pytest.raises(ValueError, match="valid_for"):
        _core.Certificate.generate(value)
    with pytest.raises(ValueError, match="now"):
        net.advance(value)
    with pytest.raises(ValueError, match="jitter"):
        net.link(jitter=value)


def test_the_longest_times_and_the_largest_sizes_do_no_harm() -> None:
    size = 2**63
    options: dict[str, Any] = {"disconnected_after": 1e9, "failed_after": 1e9}
    options |= {"receive_buffer": size, "max_message_size": size}
    with VirtualPair(**options) as pair:
        pair.connect()
        _, ours = pair.channel()
        ours.low_threshold = size
        ours.send(b"x" * 200_000)
        pair.until(lambda: pair.a.count("MESSAGE") == 1)
        pair.net.link(delay=1e9)
        pair.a.loop.consumed(pair.a.transport, size)
        pair.run(10)
        assert pair.a.loop.counters()["panics"] == pair.b.loop.counters()["panics"] == 0


def test_what_can_be_sent(loop: _core.EventQueue, transport: int) -> None:
    channel = loop.open_channel(transport, 1, _core.ChannelOptions("", negotiated=True))
    with pytest.raises(TypeError, match="not int"):
        channel.send(5)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        channel.send("\ud800")
    with pytest.raises(OverflowError):
        channel.low_threshold = -1
    assert channel.buffered_amount == 0


def test_the_virtual_network(net: _core.VirtualNetwork) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        net.host("nowhere")
    with pytest.raises(ValueError, match="at least one"):
        net.host()
    with pytest.raises(ValueError, match=r"loss=1\.5"):
        net.link(loss=1.5)
    with pytest.raises(ValueError, match="rate=0"):
        net.link(rate=0)
    with pytest.raises(ValueError, match="delay"):
        net.link(delay=-1)
    with pytest.raises(ValueError, match="here"):
        net.cut("here")


def test_certificates() -> None:
    made = _core.Certificate.generate(3600.0)
    certificate, key = made.to_pem()
    read = _core.Certificate.from_pem(certificate, key)
    assert read.fingerprint() == made.fingerprint()
    assert read.expires == made.expires
    assert len(made.fingerprint("sha-512")) == 64 * 3 - 1
    with pytest.raises(ValueError, match="sha-1"):
        made.fingerprint("sha-1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="valid_for"):
        _core.Certificate.generate(-1)
    with pytest.raises(ValueError, match="does not belong"):
        _core.Certificate.from_pem(certificate, _core.Certificate.generate().to_pem()[1])
    with pytest.raises(ValueError, match="not PEM"):
        _core.Certificate.from_pem("nothing", key)


RSA = """-----BEGIN CERTIFICATE-----
MIIBZzCCARGgAwIBAgIUXxk3yS6NVWcGNvJsAXKpQk1F2xswDQYJKoZIhvcNAQEL
BQAwADAeFw0yNjAxMDEwMDAwMDBaFw0zNjAxMDEwMDAwMDBaMAAwXDANBgkqhkiG
9w0BAQEFAANLADBIAkEAw7Yq0rXG8Q0m1PzZ4Hn8y3m3y0t0o7Yy0m3m8q0m1PzZ
4Hn8y3m3y0t0o7Yy0m3m8q0m1PzZ4Hn8y3m3y0t0o7Yy0QIDAQABo1MwUTAdBgNV
-----END CERTIFICATE-----
"""


def test_a_certificate_that_is_not_one_is_named() -> None:
    with pytest.raises(ValueError, match="certificate"):
        _core.Certificate.from_pem(RSA, "x")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="elsewhere: the proof is Linux's")
def test_the_module_does_nothing_when_it_is_imported() -> None:
    import subprocess
    import sys

    code = (
        "import os, sys\n"
        "from adieu import _core\n"
        "threads = os.listdir('/proc/self/task')\n"
        "sockets = [fd for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')\n"
        "           and 'socket' in os.readlink(f'/proc/self/fd/{fd}')]\n"
        "sys.exit(len(threads) - 1 + len(sockets))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
