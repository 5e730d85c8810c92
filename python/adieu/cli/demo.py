"""`adieu demo`: the main features in one terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.cli.address_options import address_options, settings_of
from adieu.cli.demo_page import FRIEND, beside, interrupted
from adieu.cli.log_option import VARIABLE, log_option, write_log
from adieu.cli.screen import Screen
from adieu.cli.slowness import Pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.cli.arguments import Parser
    from adieu.cli.demo_page import Page
    from adieu.cli.screen import Part

QUIET = 30.0
"""Seconds of silence after which a part of the demo has failed."""
KNOWN_WITHIN = 5.0
"""Seconds. Both bounds, and the time of a close, are for an idle computer: see `slowness.py`."""
FILE_SIZE = 32 * 1024 * 1024
MIB = 1024 * 1024


def options(parser: Parser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    add("--plain", action="store_true", help="No colors and no bars.")
    add(
        "--keep",
        action=argparse.BooleanOptionalAction,
        help="Serve the page, with the demo friend in it, until Ctrl-C. By default, in a terminal, the page is served,"
        " and stays if you open it or press Enter.",
    )
    add(
        "--join",
        metavar="URL/ROOM",
        help="Instead of the demo, join a room of a running `adieu serve` as a friend: answer chat, send files back,"
        " answer a camera with a picture and a voice, say goodbye. Give the address of the page, such as"
        " http://127.0.0.1:8080/#lab. For a server with keys, put the token into ADIEU_TOKEN.",
    )
    add("--name", default=FRIEND, help="The name of the friend. With --join.")
    add(
        "--ca",
        type=Path,
        metavar="FILE",
        help="PEM file with the CAs to trust instead of the system's, or with the server's own certificate. For https://"
        " and wss:// addresses, with --join.",
    )
    log_option(parser)
    address_options(parser)


def run(given: argparse.Namespace) -> int:
    """Let two Python programs meet, talk, close properly and reset in this terminal, and kill one of them.

    A signaling server runs inside this program. The two peers are separate programs, and their data goes over real UDP
    between them. It takes about half a minute. The exit code is 0 if every check passed.
    """
    write_log(given.log)
    screen = Screen(plain=given.plain)
    if given.join is not None:
        return _join(screen, given)
    if alone := _for_join_alone(given):
        print(
            f"adieu demo: {alone} is for --join: without it the two programs of the demo meet inside this computer",
            file=sys.stderr,
        )
        return 2
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    keep = on_terminal if given.keep is None else given.keep
    failures = asyncio.run(_play(screen, page=keep, ask=given.keep is None))
    if failures is None:
        screen.line("Stopped.")
        return 130
    for failure in failures:
        screen.line(("bad", "FAILED"), f" {failure}")
    return 1 if failures else 0


def _for_join_alone(given: argparse.Namespace) -> str:
    """Return the first option that was given and has no meaning without --join, or an empty text."""
    options = {"--udp-ports": given.udp_ports, "--public-address": given.public_address,
               "--interface": given.interface, "--ca": given.ca}  # fmt: skip
    return next((name for name, value in options.items() if value is not None), "")


def _join(screen: Screen, given: argparse.Namespace) -> int:
    from adieu.cli.friend import Place, keep_company  # noqa: PLC0415 quick help
    from adieu.errors import AdieuError  # noqa: PLC0415 quick help

    async def stay() -> None:
        token = os.environ.get("ADIEU_TOKEN") or None
        with interrupted() as stop:
            await keep_company(
                Place.parse(given.join), given.name, screen.line, stop, token, given.ca, settings_of(given)
            )

    try:
        asyncio.run(stay())
    except (ValueError, AdieuError) as error:
        print(f"adieu demo: {error}", file=sys.stderr)
        return 2
    return 0


class DemoError(Exception):
    """A check of the demo failed; the message says which."""


@dataclass
class Peer:
    """One of the two programs."""

    name: str
    process: asyncio.subprocess.Process
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    told: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The last message of each type."""

    def answer(self, number: float) -> None:
        """Send the number that it has asked for."""
        assert self.process.stdin is not None  # noqa: S101 a pipe was asked for
        self.process.stdin.write(f"{number}\n".encode())


@dataclass
class Show:
    """The output of the demo."""

    screen: Screen
    pace: Pace = field(default_factory=Pace)
    """The speed of the computer during the current part."""
    failures: list[str] = field(default_factory=list[str])

    def heading(self, text: str) -> None:
        """Print the title of a part."""
        self.screen.line()
        self.screen.line(("bold", text))

    def line(self, *parts: Part) -> None:
        """Print a line of a part."""
        self.screen.line("   ", *parts)

    def check(self, true: bool, text: str) -> None:
        """Print whether a fact holds that must hold."""
        self.line(("good", "yes") if true else ("bad", "NO "), f"  {text}")
        if not true:
            self.failures.append(text)

    def within(self, bound: float, seconds: float, text: str) -> None:
        """Print whether a time bound was kept. On a busy computer the bound is longer, and the line says so."""
        kept, why = self.pace.judge(seconds, bound)
        self.check(kept, f"{text} within {bound:.0f} s" + (f" ({why})" if why else ""))


async def _play(screen: Screen, *, page: bool, ask: bool) -> list[str] | None:
    """Return the checks that failed; None when a signal came first. Nothing stays behind in either case."""
    show = Show(screen)
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(interrupted())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="adieu-demo-")))
        (folder / "offered.bin").write_bytes(os.urandom(FILE_SIZE))
        stack.callback(screen.hide_bars)
        url, web = await _serve(stack, screen, page=page)
        screen.line(("bold", "adieu demo"), f"   server {url}, in this process")
        if web is not None:
            screen.line(f"   the page: {web.address}")
        elif page:
            screen.line("   ", ("dim", "the page needs more packages: pip install 'adieu[server]'"))
        parts = asyncio.create_task(_parts(show, url, folder))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stop.is_set():
            parts.cancel()
            await asyncio.wait({parts})
            return None
        await parts
        if not show.failures:
            screen.line()
            screen.line(("good", "Every check passed"), f", in {time.perf_counter() - began:.1f} s.")
        if web is not None:
            screen.hide_bars()
            await web.offer(stop, ask=ask)
    return show.failures


async def _serve(stack: AsyncExitStack, screen: Screen, *, page: bool) -> tuple[str, Page | None]:
    """Start the signaling server, and the page if it is wanted and its extra is there."""
    from adieu.server import serve  # noqa: PLC0415 quick help
    from adieu.server.small import serve_small  # noqa: PLC0415

    try:
        server = await stack.enter_async_context(serve())
    except ImportError:
        return (await stack.enter_async_context(serve_small())).url(), None
    return server.url, await stack.enter_async_context(beside(server, screen)) if page else None


async def _parts(show: Show, url: str, folder: Path) -> None:
    for part in (_close, _reset, _kill):
        show.pace = Pace()
        try:
            async with show.pace.measuring():
                await part(show, url, folder)
        except DemoError as error:
            show.failures.append(str(error))
            return
        finally:
            if show.pace.words:
                show.line(("dim", show.pace.words))


# --- the parts --------------------------------------------------------------------------------------------------------


async def _close(show: Show, url: str, folder: Path) -> None:
    show.heading("1  Meet, talk, and close while both still send")
    receipts: dict[str, dict[str, Any]] = {}
    held: dict[str, list[str]] = {}
    async for peer, message in _run(show, "close", url, folder):
        match message["what"]:
            case "started":
                show.line(f"{peer.name:<5} is process {message['pid']}")
            case "connected":
                show.line(f"{peer.name:<5} connected after {message['seconds'] * 1000:.0f} ms: {message['path']}")
            case "messages":
                rate = message["count"] / message["seconds"]
                show.line(f"{message['count']} messages in {message['seconds']:.2f} s, {rate:.0f} a second")
            case "file":
                rate = message["size"] / MIB / message["seconds"]
                show.line(f"{message['size'] / MIB:.0f} MiB file in {message['seconds']:.2f} s, {rate:.0f} MiB/s")
            case "received":
                show.check(message["same"], "the file arrived, byte for byte")
            case "closing":
                peer.answer(show.pace.stretch)
            case "closes":
                show.line(f"Ada closes, within {message['timeout']:.0f} s; both are still sending")
            case "receipt":
                receipts[peer.name] = message
            case "left":
                held[peer.name] = message["held"]
            case _:
                pass
    _show_timeline(show, receipts)
    _check_receipts(show, receipts, held)


async def _reset(show: Show, url: str, folder: Path) -> None:
    show.heading("2  Reset in the middle of a transfer")
    receipts: dict[str, dict[str, Any]] = {}
    held: dict[str, list[str]] = {}
    numbers: dict[str, dict[str, Any]] = {}
    async for peer, message in _run(show, "reset", url, folder):
        match message["what"]:
            case "reset":
                show.line(
                    f"new connection (number {message['epoch']}) after {message['seconds'] * 1000:.0f} ms,"
                    f" {message['replayed']} messages sent again"
                )
            case "received":
                show.check(message["same"], "the file arrived through the reset, byte for byte")
            case "numbers":
                numbers[peer.name] = message
            case "closing":
                peer.answer(show.pace.stretch)
            case "receipt":
                receipts[peer.name] = message
            case "left":
                held[peer.name] = message["held"]
            case _:
                pass
    for name, seen in sorted(numbers.items()):
        show.check(
            seen["first"] == 1 and not seen["doubled"] and not seen["missing"],
            f"{name} heard {seen['last']} blocks, {seen['missing']} missing, {seen['doubled']} doubled",
        )
    _check_receipts(show, receipts, held)


async def _kill(show: Show, url: str, folder: Path) -> None:
    show.heading("3  Ben's program is killed")
    killed = 0.0
    known: dict[str, Any] | None = None
    async for peer, message in _run(show, "kill", url, folder, survivor="Ada"):
        match message["what"]:
            case "kill me now":
                victim = _PEERS["Ben"]
                killed = time.time()
                victim.process.kill()
                show.line(f"kill -9 {victim.process.pid}")
            # Earlier reports do not count: on a busy computer a living peer may be suspected.
            case "state" if _is_trouble(message) and killed and message["at"] >= killed and known is None:
                known = message
                seconds = message["at"] - killed
                show.line(f"after {seconds:.2f} s {peer.name} says: {message['state']}, {message['cause']}")
                for evidence in message["evidence"]:
                    show.line(f"  {evidence}")
                show.within(KNOWN_WITHIN, seconds, "known")
                peer.answer(show.pace.stretch)
            case "receipt":
                show.line(f"notice   “{message['receipt']['notice']}”")
            case _:
                pass
    show.check(known is not None, "the survivor reported what happened")


def _is_trouble(message: dict[str, Any]) -> bool:
    return message["state"] in {"suspect", "recovering", "closed"}


# --- running the two programs -----------------------------------------------------------------------------------------

_PEERS: dict[str, Peer] = {}


async def _run(
    show: Show, part: str, url: str, folder: Path, survivor: str | None = None
) -> AsyncIterator[tuple[Peer, dict[str, Any]]]:
    """Start both programs of a part and yield their messages, until both have ended."""
    told: asyncio.Queue[tuple[Peer, dict[str, Any] | None]] = asyncio.Queue()
    room = secrets.token_hex(16)
    peers = [await _start(role, name, part, url, room, folder) for role, name in (("ada", "Ada"), ("ben", "Ben"))]
    _PEERS.clear()
    _PEERS.update({peer.name: peer for peer in peers})
    readers = [asyncio.create_task(reader) for peer in peers for reader in (_listen(peer, told), _overhear(peer))]
    try:
        open_ = len(peers)
        while open_:
            peer, message = await next_told(told, show.pace)
            if message is None:
                open_ -= 1
                code = await peer.process.wait()
                if code != 0 and survivor in {None, peer.name}:
                    raise DemoError(f"{peer.name}'s program ended with {code}:\n" + "\n".join(peer.errors))
            elif message["what"] == "step":
                show.screen.status(f"{peer.name:<5} {message['text']}")
            elif message["what"] == "progress":
                show.screen.bar(message["of"], message["done"], message["total"])
            else:
                yield peer, message
    except TimeoutError:
        raise DemoError(
            f"part {part!r} is not over, and both programs were silent for {_quiet(show.pace):.0f} s"
        ) from None
    finally:
        for peer in peers:
            if peer.process.returncode is None:
                peer.process.kill()
            await peer.process.wait()
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)


def _quiet(pace: Pace) -> float:
    return QUIET * pace.stretch


async def next_told(
    told: asyncio.Queue[tuple[Peer, dict[str, Any] | None]], pace: Pace
) -> tuple[Peer, dict[str, Any] | None]:
    """Return the next message. The time allowed grows during the wait if the computer turns out to be slower."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (left := began + _quiet(pace) - loop.time()) > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                return await told.get()
    raise TimeoutError


async def _start(role: str, name: str, part: str, url: str, room: str, folder: Path) -> Peer:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "adieu.cli.demo_peer",
        part,
        role,
        url,
        room,
        str(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MIB,
    )
    return Peer(name, process)


async def _listen(peer: Peer, told: asyncio.Queue[tuple[Peer, dict[str, Any] | None]]) -> None:
    assert peer.process.stdout is not None  # noqa: S101 a pipe was asked for
    async for line in peer.process.stdout:
        message = json.loads(line)
        peer.told[message["what"]] = message
        told.put_nowait((peer, message))
    told.put_nowait((peer, None))


async def _overhear(peer: Peer) -> None:
    assert peer.process.stderr is not None  # noqa: S101 a pipe was asked for
    async for line in peer.process.stderr:
        text = line.decode(errors="replace").rstrip()
        peer.errors.append(text)
        if VARIABLE in os.environ:
            print(f"{peer.name}: {text}", file=sys.stderr)


# --- the receipts -----------------------------------------------------------------------------------------------------


def _show_timeline(show: Show, receipts: dict[str, dict[str, Any]]) -> None:
    names = sorted(receipts)
    rows = [["   step", *(cell for name in names for cell in (f"{name}: from", "for", "outcome"))]]
    for row in zip(*(receipts[name]["receipt"]["steps"] for name in names), strict=False):
        cells = [f"   {row[0]['name']}"]
        for step in row:
            cells += [f"{step['start'] * 1000:.0f} ms", f"{step['duration'] * 1000:.0f} ms", step["outcome"]]
        rows.append(cells)
    show.screen.table(rows, right=(1, 2, 4, 5))


def _check_receipts(show: Show, receipts: dict[str, dict[str, Any]], held: dict[str, list[str]]) -> None:
    if set(receipts) != {"Ada", "Ben"}:
        show.check(False, f"both hold a receipt (only {', '.join(sorted(receipts)) or 'nobody'} does)")
        return
    ada, ben = receipts["Ada"]["receipt"], receipts["Ben"]["receipt"]
    for channel, account in ada["channels"].items():
        for arrow, sent in (("Ada to Ben", account["sent"]), ("Ben to Ada", account["received"])):
            counts = ", ".join(
                f"{sent[what]['messages'] if sent[what] is not None else '?'} {what}"
                for what in ("accepted", "delivered", "unread", "unknown", "unsent")
            )
            show.line(f"{channel:<10.10} {arrow}: {counts}")
    show.line(f"receipt  {ada['id']}, {ada['path']}, {len(receipts['Ada']['agreed'])} bytes agreed on")
    show.line(f"notices  Ada: “{ada['notice']}”  Ben: “{ben['notice']}”")
    show.check(ada["id"] == ben["id"], "the same receipt id on both sides")
    lacking = [name for name, receipt in (("Ada", ada), ("Ben", ben)) if not receipt["confirmed"]]
    if lacking:  # each side reports what it cannot know; there is nothing to compare (closing rule S2)
        text = f"both have the other side's report ({' and '.join(lacking)} did not get it: nothing is agreed on)"
        show.check(False, text)
    else:
        agreed = receipts["Ada"]["agreed"] == receipts["Ben"]["agreed"]
        show.check(agreed, "both have the other side's report, and the agreed parts are equal, byte for byte")
    show.check(ada["clean"] and ben["clean"], "nothing unsent, nothing unknown")
    left = [*ada["ledger"], *ben["ledger"], *(each for name in sorted(held) for each in held[name])]
    show.check(not left and set(held) == {"Ada", "Ben"}, "everything is released" + "".join(f"; {x}" for x in left))
