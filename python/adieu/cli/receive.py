"""`adieu receive`: takes files and folders from `adieu send` and `adieu share`."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adieu.cli.address_options import settings_of
from adieu.cli.log_option import write_log
from adieu.cli.send import common_options
from adieu.errors import SignalingLostError

if TYPE_CHECKING:
    import argparse
    from contextlib import AsyncExitStack

    from adieu.cli.arguments import Parser
    from adieu.cli.sending.code import Code
    from adieu.cli.sending.display import Display
    from adieu.cli.sending.link import Link
    from adieu.webrtc import TransportSettings

EXAMPLES = """\
  adieu receive 192.0.2.7:41234/4821-amber-lotus-river
  adieu receive 4821-amber-lotus-river --server wss://signaling.example.org/ws --to Downloads
  adieu receive http://192.0.2.7:41234/#receive/4821/QmFzZTY0dXJsX29mXzE2Yg
  adieu receive --to - | tar x               asks for the code"""


def options(parser: Parser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    text = (
        "The code or the link that the sender shows. Without it, the variable ADIEU_CODE, or a question: others on this"
    )
    add("code", nargs="?", metavar="CODE", help=f"{text} computer can see the arguments of a program.")
    text = "Folder for the files; by default this one. - writes one file to stdout."
    add("--to", type=Path, default=Path(), metavar="FOLDER", help=text)
    text = "Replace files that are there, and merge folders; by default a name that is taken gets a number."
    add("--overwrite", action="store_true", help=text)
    common_options(parser)


def run(given: argparse.Namespace) -> int:
    """Receive files and folders from the program that shows the code or link, `adieu send` or `adieu share`.

    Nothing is overwritten without --overwrite: a name that is taken gets a number. Until everything is there, files
    stay in a folder .adieu-...; the same command goes on from there. The exit code is 0 only if both sides hold the
    same receipt, which names files, bytes and hashes.
    """
    from adieu.cli.sending import code as codes  # noqa: PLC0415 quick help
    from adieu.cli.sending import link as links  # noqa: PLC0415
    from adieu.cli.sending.display import Display  # noqa: PLC0415

    write_log(given.log)
    try:
        settings = settings_of(given)
        text = given.code or os.environ.get("ADIEU_CODE") or _asked()
        code = links.parse(text) if links.is_link(text) else codes.parse(text)
        if isinstance(code, codes.Code) and not code.address and given.server is None:
            raise ValueError("this code is for a server: give --server URL, as the sender does")
        to_stdout = str(given.to) == "-"
        if not to_stdout and not given.to.is_dir():
            raise ValueError(f"{given.to} is no folder")
    except (ValueError, EOFError) as error:
        print(f"adieu receive: {error}", file=sys.stderr)
        return 2
    if not to_stdout:
        return _receive(given, given.to, code, Display(as_json=given.json), settings)
    if given.json:
        print("adieu receive: --json and --to - both need stdout", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="adieu-receive-") as folder:
        return _receive(given, Path(folder), code, Display(as_json=False, to_stderr=True), settings, to_stdout=True)


def _asked() -> str:
    if not sys.stdin.isatty():
        raise ValueError("there is no code: give it, or set ADIEU_CODE")
    return getpass.getpass("Code: ")


def _receive(
    given: argparse.Namespace,
    folder: Path,
    secret: Code | Link,
    display: Display,
    settings: TransportSettings | None,
    *,
    to_stdout: bool = False,
) -> int:
    from adieu.cli.sending import meeting  # noqa: PLC0415 quick help
    from adieu.cli.sending.display import shown  # noqa: PLC0415
    from adieu.cli.sending.link import Link  # noqa: PLC0415
    from adieu.cli.sending.proof import Pin  # noqa: PLC0415
    from adieu.cli.sending.receipt import receipt_of  # noqa: PLC0415
    from adieu.cli.sending.receiver import Receiver  # noqa: PLC0415
    from adieu.signaling.client import is_refused  # noqa: PLC0415
    from adieu.webrtc import RTCPeerConnection  # noqa: PLC0415

    async def work(stack: AsyncExitStack) -> int:
        pin = Pin(await RTCPeerConnection.generateCertificate(), settings)
        receiver = Receiver(folder, secret, pin, display, overwrite=given.overwrite)
        if isinstance(secret, Link):
            url = secret.server
        else:
            url = f"ws://{secret.address}/ws" if secret.address else given.server
        try:
            room = await stack.enter_async_context(
                meeting.meeting(url, secret, given, receiver.connect, receiver.accept, sends=False)
            )
        except SignalingLostError as error:
            at_sender = isinstance(secret, Link) or secret.address
            if at_sender and isinstance(error.__cause__, OSError) and is_refused(error.__cause__):
                raise SignalingLostError(_gone(url)) from error
            raise
        result = await receiver.run(room)
        if result == 0:
            if given.receipt is not None:
                given.receipt.write_bytes(receipt_of(receiver.entries, receiver.proofs, receiver.receipt))
            id_ = "" if receiver.receipt is None else receiver.receipt.id
            names = ", ".join(shown(str(path)) for path in receiver.kept[:5])
            kept = [str(path) for path in receiver.kept]
            display.say("done", f"{names}. Both sides hold receipt {id_}.", receipt=id_, kept=kept)
            if to_stdout:
                return _to_stdout(receiver.kept, display)
        return result

    return meeting.run_until_stopped("receive", work)


def _gone(url: str) -> str:
    """Say why nothing listens at the address of a code or link: most often the sender was the server."""
    place = urlsplit(url).netloc
    return f"nothing answers at {place}: the sender has ended, or its address is another now. Ask it for a new code"


def _to_stdout(kept: list[Path], display: Display) -> int:
    if len(kept) != 1 or not kept[0].is_file():
        display.say("failed", "only one file can go to stdout: give --to FOLDER")
        return 1
    with kept[0].open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
    return 0
