"""The options about addresses and ports: read, refused in a person's words, and given to the connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.cli.address_options import address_options, settings_of
from adieu.cli.arguments import Parser
from adieu.cli.sending.proof import Pin

if TYPE_CHECKING:
    import argparse


def read(*words: str) -> argparse.Namespace:
    parser = Parser("send", "Send.")
    address_options(parser)
    return parser.read(words)


def test_without_an_option_connections_are_as_ever() -> None:
    assert settings_of(read()) is None


def test_ports_public_addresses_and_rules_become_settings() -> None:
    words = ["--udp-ports", "50000-50099", "--public-address", "203.0.113.5", "--public-address", "2001:db8::5"]
    settings = settings_of(read(*words, "--interface", "eth0", "--interface", "!docker*"))
    assert settings == adieu.TransportSettings(
        ports=(50000, 50099), publicAddresses=["203.0.113.5", "2001:db8::5"], interfaces=["eth0", "!docker*"]
    )


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--udp-ports", "50000", "'50000' is not a range of ports: give one such as 50000-50099"),
        ("--udp-ports", "9-8", "they go from 1 to 65535, the smaller one first"),
        ("--udp-ports", "0-8", "they go from 1 to 65535"),
        ("--udp-ports", "1-65536", "they go from 1 to 65535"),
        ("--public-address", "example.org", '"example.org", which is no IP address'),
        ("--interface", "10.0.0.0/99", "does not fit"),
    ],
)
def test_what_is_malformed_is_said_in_one_line(
    option: str, value: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(option, value)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"adieu send: {option}: ") and text in said and said.count("\n") == 1
    assert "TransportSettings" not in said


async def test_the_connections_of_a_transfer_have_them() -> None:
    settings = settings_of(read("--udp-ports", "47380-47399"))
    pc = Pin(await adieu.RTCPeerConnection.generateCertificate(), settings).connection([])
    pc.createDataChannel("x")
    await pc.setLocalDescription()
    await pc.gathered()
    assert pc.localDescription is not None
    lines = [line.split() for line in pc.localDescription.sdp.splitlines() if line.startswith("a=candidate:")]
    ports = [int(words[5]) for words in lines if words[2].lower() == "udp"]
    assert ports and all(47380 <= port <= 47399 for port in ports)
    pc.close()
    await pc.wait_closed()
