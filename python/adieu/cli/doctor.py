"""`adieu doctor`: what works from here, in words and with remedies."""

from __future__ import annotations

import asyncio
import errno
import getpass
import json
import os
import platform
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.cli.address_options import port_range
from adieu.cli.checks import computer
from adieu.cli.log_option import log_option, write_log
from adieu.cli.screen import Screen

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from adieu.cli.arguments import Parser
    from adieu.cli.checks.finding import Finding
    from adieu.cli.screen import Part
    from adieu.webrtc.ice_server import IceUrl

EXAMPLES = """\
  adieu doctor
  adieu doctor --stun stun:stun.example.org --stun stun:stun.example.net:3478
  ADIEU_TURN_PASSWORD=... adieu doctor --turn turns:turn.example.org:443?transport=tcp --turn-user ada
  adieu doctor --server wss://signaling.example.org/ws --json"""

WIDE = 16


def options(parser: Parser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add(
        "--stun",
        action="append",
        type=_stun,
        default=[],
        metavar="URL",
        help="STUN server to ask, such as stun:host:port. Repeatable: the kind of a NAT needs two, at different"
        " addresses.",
    )
    add(
        "--turn",
        action="append",
        type=_turn,
        default=[],
        metavar="URL",
        help="TURN server to relay through, such as turn:host:port?transport=udp or turns:host:443?transport=tcp."
        " Repeatable. Its password comes from ADIEU_TURN_PASSWORD or a question, or put its shared secret into"
        " ADIEU_TURN_SECRET.",
    )
    add("--turn-user", metavar="NAME", help="The user name for --turn.")
    server = add(
        "--server",
        metavar="URL",
        help="Signaling server to enter, such as wss://host/ws; its STUN servers are asked too. For a server with"
        " keys, put the token into ADIEU_TOKEN.",
    )
    parser.from_variable(server, "ADIEU_SERVER")
    text = "PEM file with the CAs to trust instead of the system's, or with the server's own certificate."
    add("--ca", type=Path, metavar="FILE", help=text)
    add("--ports", type=_ports, metavar="A-B", help="UDP ports that must be free, such as 50000-50099.")
    add("--json", action="store_true", help="Print one object of JSON instead of lines.")
    log_option(parser)


def run(given: argparse.Namespace) -> int:
    """Say what works from this computer: UDP, the kind of NAT, IPv6, mDNS, ports, clock, open files, the core itself.

    With --stun, --turn and --server it also asks these servers; without them it sends nothing beyond this computer and
    its local network. Every question has a time limit. A line that begins with NO has a remedy below it; `note` is for
    things that are missing but not always needed. The exit code is 1 if a line begins with NO, else 0.
    """
    write_log(given.log)
    if given.turn and not (os.environ.get("ADIEU_TURN_PASSWORD") or os.environ.get("ADIEU_TURN_SECRET")):
        if not (given.turn_user and sys.stdin.isatty()):
            print(
                "adieu doctor: --turn needs --turn-user and ADIEU_TURN_PASSWORD, or ADIEU_TURN_SECRET", file=sys.stderr
            )
            return 2
        os.environ["ADIEU_TURN_PASSWORD"] = getpass.getpass(f"Password of {given.turn_user}: ")
    report = Report(Screen(), as_json=given.json)
    clock = computer.Clock()
    report.add(computer.open_files())
    try:
        asyncio.run(_examine(given, report))
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            raise
        report.stopped(f"the rest was not tried: {error.strerror}")
    report.add(clock.finding())
    return report.end()


class Report:
    """The findings, printed as they come or as JSON at the end."""

    def __init__(self, screen: Screen, *, as_json: bool) -> None:
        self._screen = screen
        self._as_json = as_json
        self._findings: list[Finding] = []
        if not as_json:
            screen.line(("bold", "adieu doctor"), f"   {_versions()}")

    def add(self, finding: Finding) -> None:
        """Add a finding."""
        self._findings.append(finding)
        if self._as_json:
            return
        marks: dict[str, Part] = {
            "ok": ("good", "ok  "),
            "note": ("warning", "note"),
            "failed": ("bad", "NO  "),
            "skipped": ("dim", "-   "),
        }
        self._screen.line("  ", marks[finding.status], f"  {finding.name:<{WIDE}}{finding.text}")
        if finding.remedy and finding.status != "ok":
            self._screen.line(" " * (8 + WIDE), ("dim", f"-> {finding.remedy}"))

    def stopped(self, text: str) -> None:
        """Say that the checks could not go on."""
        from adieu.cli.checks.finding import Finding  # noqa: PLC0415 quick help

        self.add(Finding("doctor", "failed", text, "raise the limit of open files (ulimit -n)"))

    def end(self) -> int:
        """Print the end. Return the exit code."""
        failed = [finding.name for finding in self._findings if finding.status == "failed"]
        if self._as_json:
            checks = [
                {"name": each.name, "status": each.status, "text": each.text, "remedy": each.remedy, **each.figures}
                for each in self._findings
            ]
            print(json.dumps({"versions": _versions(), "ok": not failed, "checks": checks}, indent=2))
        elif failed:
            self._screen.line(
                ("bad", f"{len(failed)} of {len(self._findings)} checks failed"), f": {', '.join(failed)}"
            )
        else:
            self._screen.line(("good", "Nothing failed."))
        return 1 if failed else 0


def _versions() -> str:
    from adieu import __version__  # noqa: PLC0415 it loads the core

    return f"adieu {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"


async def _examine(given: argparse.Namespace, report: Report) -> None:
    """Make all checks, one after the other: they would disturb each other's times."""
    from adieu.cli.checks import network, stun, turn  # noqa: PLC0415 quick help

    finding, local = await network.addresses()
    report.add(finding)
    udp = await network.udp(local)
    report.add(udp)
    report.add(computer.ports(given.ports))
    report.add(network.ipv6(local))
    report.add(await network.mdns(local))
    if udp.status == "ok":
        report.add(await network.core())
    else:
        report.add(_without_udp())
    named: list[IceUrl] = list(given.stun)
    relays: list[dict[str, Any]] = []
    if given.server is not None:
        async for found in _ask_server(given, named, relays):
            report.add(found)
    for found in await stun.check(named, local):
        report.add(found)
    trusted = given.ca.read_text("ascii") if given.ca is not None else None
    for found in await turn.check([*_turn_servers(given), *relays], trusted):
        report.add(found)


def _turn_servers(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the TURN servers of the options, with their credentials. The password is in no argument and no output."""
    if not given.turn:
        return []
    if secret := os.environ.get("ADIEU_TURN_SECRET"):
        from adieu.server import IceConfig  # noqa: PLC0415 quick help

        made, _ = IceConfig(turn=tuple(given.turn), secret=secret).servers("doctor", joined=True)
        credentials = {"username": made[0].username, "credential": made[0].credential}
    else:
        credentials = {"username": given.turn_user or "", "credential": os.environ.get("ADIEU_TURN_PASSWORD") or ""}
    return [{"urls": url, **credentials} for url in given.turn]


def _without_udp() -> Finding:
    from adieu.cli.checks.finding import Finding  # noqa: PLC0415 quick help

    return Finding("core", "skipped", "without UDP no connection can be made")


async def _ask_server(
    given: argparse.Namespace, named: list[IceUrl], relays: list[dict[str, Any]]
) -> AsyncIterator[Finding]:
    """Yield what the signaling server shows; add the STUN and TURN servers that it names."""
    from adieu.cli.checks import server  # noqa: PLC0415 quick help

    findings, servers = await server.check(given.server, os.environ.get("ADIEU_TOKEN") or None, given.ca)
    for finding in findings:
        yield finding
    urls: list[str] = [each for entry in servers for each in entry["urls"]]
    named += [_stun(url) for url in urls if url.startswith("stun:")]
    relays += [{**entry, "urls": url} for entry in servers for url in entry["urls"] if url.startswith("turn")]


def _stun(text: str) -> IceUrl:
    from adieu.errors import DOMSyntaxError  # noqa: PLC0415 quick help
    from adieu.webrtc.ice_server import parse_ice_url  # noqa: PLC0415

    try:
        url = parse_ice_url(text)
    except DOMSyntaxError as error:
        raise ArgumentTypeError(str(error)) from None
    if url.scheme != "stun":
        raise ArgumentTypeError(f"{text!r} is not a STUN server over UDP: give one such as stun:host:3478")
    return url


def _turn(text: str) -> str:
    from adieu.errors import DOMSyntaxError  # noqa: PLC0415 quick help
    from adieu.webrtc.ice_server import parse_ice_url  # noqa: PLC0415

    try:
        url = parse_ice_url(text)
    except DOMSyntaxError as error:
        raise ArgumentTypeError(str(error)) from None
    if url.scheme not in {"turn", "turns"} or not url.is_supported:
        raise ArgumentTypeError(f"{text!r} is not a TURN server: give one such as turn:host:3478?transport=udp")
    return text


def _ports(text: str) -> range:
    first, last = port_range(text)
    return range(first, last + 1)
