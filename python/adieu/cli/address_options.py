"""The options of a command about the addresses and ports of its connections."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from adieu.cli.arguments import Parser
    from adieu.webrtc import TransportSettings


def address_options(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument_group("addresses of connections").add_argument
    text = "UDP ports that connections may use, such as 50000-50099: those that a firewall lets through."
    add("--udp-ports", type=port_range, metavar="A-B", help=text)
    text = "Address of a 1:1 NAT in front of this computer, port for port. Others get it in place of the inside one."
    add("--public-address", action="append", type=_public, metavar="ADDRESS", help=f"{text} Repeatable.")
    text = (
        "Which addresses of this computer are used: the name of an interface, such as eth0 or 'docker*', an address or"
        " a network; with ! before it, which are not. Repeatable."
    )
    add("--interface", action="append", type=_rule, metavar="RULE", help=text)


def settings_of(given: argparse.Namespace) -> TransportSettings | None:
    """Return what was given, as a connection takes it, or None if nothing was given.

    Raises:
        ValueError: the public addresses do not fit each other.
    """
    if given.udp_ports is None and given.public_address is None and given.interface is None:
        return None
    return _settings(given.udp_ports, given.public_address or (), given.interface or ())


def port_range(text: str) -> tuple[int, int]:
    """A type for an option that takes a range of ports."""
    first, _, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not a range of ports: give one such as 50000-50099")
    if not 1 <= int(first) <= int(last) <= 65535:
        raise ArgumentTypeError(f"{text!r} is not a range of ports: they go from 1 to 65535, the smaller one first")
    return int(first), int(last)


def _public(text: str) -> str:
    return _checked(text, publics=(text,))


def _rule(text: str) -> str:
    return _checked(text, rules=(text,))


def _checked(text: str, publics: tuple[str, ...] = (), rules: tuple[str, ...] = ()) -> str:
    try:
        _settings(None, publics, rules)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def _settings(
    ports: tuple[int, int] | None, publics: list[str] | tuple[str, ...], rules: list[str] | tuple[str, ...]
) -> TransportSettings:
    from adieu.webrtc import TransportSettings  # noqa: PLC0415 quick help

    try:
        return TransportSettings(ports=ports, publicAddresses=tuple(publics), interfaces=tuple(rules))
    except ValueError as error:
        raise ValueError(str(error).removeprefix("TransportSettings: ")) from None
