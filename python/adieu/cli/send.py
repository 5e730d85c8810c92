"""`adieu send`: files and folders to another program that knows a code, or to a browser that has a link."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import threading
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from adieu.cli.address_options import address_options, settings_of
from adieu.cli.log_option import log_option, write_log
from adieu.cli.own_server import own_options

if TYPE_CHECKING:
    import argparse
    from contextlib import AsyncExitStack

    from adieu.cli.arguments import Parser
    from adieu.cli.sending.display import Display
    from adieu.cli.sending.guest import Guest
    from adieu.cli.sending.listing import Listing
    from adieu.webrtc import TransportSettings

EXAMPLES = """\
  adieu send film.mp4                        to a computer in this network
  adieu send film.mp4 --link                 to a browser, a phone: shows a link and its QR code
  adieu send photos notes.txt --server wss://signaling.example.org/ws
  adieu send slides.pdf --receivers 5        ends when five have it
  tar c folder | adieu send - --name folder.tar"""


def options(parser: Parser) -> None:
    """Add the options of the command."""
    add = parser.add_argument
    text = "Files and folders. - sends what comes by stdin, once it has ended."
    add("files", nargs="+", type=Path, metavar="FILE", help=text)
    add("--name", metavar="NAME", help="The name that the receiver sees, for one file or for stdin.")
    text = "Show a link and its QR code instead of a code: any browser opens it, and `adieu receive` takes it too."
    add("--link", action="store_true", help=text)
    add("--receivers", type=_count, default=1, metavar="NUMBER", help="End when so many have received; by default 1.")
    common_options(parser)
    own_options(parser)


def common_options(parser: Parser) -> None:
    """Add the options that `adieu receive` and `adieu share` have too."""
    add = parser.add_argument
    server = add(
        "--server",
        metavar="URL",
        help="Signaling server where both meet, such as wss://host/ws. Without it the sender itself answers in its own"
        " network. For a server with keys, put the token into ADIEU_TOKEN.",
    )
    parser.from_variable(server, "ADIEU_SERVER")
    text = "PEM file with the CAs to trust instead of the system's, or with the server's own certificate."
    add("--ca", type=Path, metavar="FILE", help=text)
    text = "Write the receipt into this file, as JSON: the same bytes on both sides. Several get a number each."
    add("--receipt", type=Path, metavar="FILE", help=text)
    add("--json", action="store_true", help="Print events as lines of JSON.")
    log_option(parser)
    address_options(parser)


def run(given: argparse.Namespace) -> int:
    """Send files and folders to the program that enters the code with `adieu receive`, or to a browser, by a link.

    The code is there at once; read it out, or copy the line. Nothing leaves before the other side has proved that it
    knows the code or the link, and that nobody is between: a server that swaps the connection's descriptions is
    refused. After three wrong codes this one is void. If the connection is lost, or the receiver is killed, the same
    command goes on from there.

    Without --server this command itself is the server, on all addresses of this computer (--host, --port), for as long
    as it runs. Everybody in the network reaches it; what is sent goes to those alone that have the code or the link.
    With --link it serves the page too.

    The exit code is 0 only if both sides hold the same receipt, which names files, bytes and hashes; with several
    receivers, if all of them do. Symbolic links are not sent.
    """
    from adieu.cli.sending.display import Display  # noqa: PLC0415 quick help
    from adieu.cli.sending.listing import Listing  # noqa: PLC0415
    from adieu.session.files.excludes import Excludes  # noqa: PLC0415

    write_log(given.log)
    with tempfile.TemporaryDirectory(prefix="adieu-send-") as folder:
        try:
            settings = settings_of(given)
            listing = Listing(Excludes(given.exclude))
            if given.name is not None and len(given.files) != 1:
                raise ValueError("--name is for one file; several keep their names")
            for path in given.files:
                if str(path) != "-":
                    listing.add(path, given.name or "")
        except (OSError, ValueError) as error:
            print(f"adieu send: {error}", file=sys.stderr)
            return 2
        source = Source(listing, given, Path(folder))
        return _send(given, source, Display(as_json=given.json), settings)


class Source:
    """The list of files, which is complete when stdin has ended.

    Args:
        listing: of the other files.
        given: the options.
        folder: for the bytes of stdin: the receiver learns their number first.
    """

    def __init__(self, listing: Listing, given: argparse.Namespace, folder: Path) -> None:
        self._listing = listing
        self._name: str = given.name or ""
        self._piped = any(str(path) == "-" for path in given.files)
        self._place = folder / "stdin"
        self._ended: asyncio.Future[None] | None = None

    def in_words(self) -> str:
        """Return what it is, as far as it is known."""
        from adieu.cli.sending.display import files_in_words  # noqa: PLC0415 quick help

        known = files_in_words(len(self._listing.files), self._listing.size)
        if not self._piped:
            return known
        return f"{known}, and the bytes of stdin" if self._listing.files else "The bytes of stdin"

    def begin(self) -> None:
        """Begin to read stdin."""
        if self._piped:
            self._ended = loop_future = asyncio.get_running_loop().create_future()
            # A daemon: nothing wakes up a thread that reads from a pipe, and the program may end before.
            threading.Thread(target=self._spool, args=(loop_future,), daemon=True).start()

    def _spool(self, ended: asyncio.Future[None]) -> None:
        def tell(error: OSError | None) -> None:
            if ended.done():
                return
            try:
                if error is not None:
                    raise error
                self._listing.add(self._place, self._name)
            except (OSError, ValueError) as why:
                ended.set_exception(why)
            else:
                ended.set_result(None)

        try:
            with self._place.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
            result = None
        except OSError as error:
            result = error
        try:
            ended.get_loop().call_soon_threadsafe(tell, result)
        except RuntimeError:  # the loop has ended meanwhile
            return

    async def listing(self) -> Listing:
        """Return the list, when it is complete.

        Raises:
            OSError: what comes by stdin could not be kept.
            ValueError: it is too much, or its name is too long.
        """
        if self._ended is not None:
            await asyncio.shield(self._ended)
        return self._listing

    @property
    def left_out(self) -> list[str]:
        """Return what is not sent."""
        return self._listing.left_out


def _send(given: argparse.Namespace, source: Source, display: Display, settings: TransportSettings | None) -> int:
    from adieu.cli.sending import meeting, offering  # noqa: PLC0415 quick help
    from adieu.cli.sending.display import shown  # noqa: PLC0415
    from adieu.cli.sending.sender import MAX_WRONG, Limit, Sender  # noqa: PLC0415

    limit = Limit(given.limit_rate) if given.limit_rate else None

    def finished(guest: Guest, number: int) -> None:
        finish(display, given, guest, None if given.receivers == 1 else number)

    async def work(stack: AsyncExitStack) -> int:
        source.begin()
        sender, offer = await offering.opened(
            stack,
            given,
            lambda known, certificate: Sender(
                source.listing,
                known,
                certificate,
                display,
                limit,
                finished,
                receivers=given.receivers,
                settings=settings,
            ),
            words=not given.link,
            link=given.link,
            tries=MAX_WRONG,
        )
        for path in source.left_out[:10]:
            display.say("left-out", f"Left out, no file and no folder, or not readable: {shown(path)}", path=path)
        offering.announce(display, source.in_words(), offer, given.server)
        return await sender.run(offer.room)

    return meeting.run_until_stopped("send", work)


def finish(display: Display, given: argparse.Namespace, guest: Guest, number: int | None) -> None:
    """Say that a receiver has everything, and write its receipt. Raises OSError."""
    from adieu.cli.sending import offering  # noqa: PLC0415 quick help
    from adieu.cli.sending.display import files_in_words  # noqa: PLC0415

    if guest.listing is None or guest.receipt is None:
        return
    if given.receipt is not None:
        offering.write_receipt(given.receipt, guest, number)
    what = files_in_words(len(guest.listing.files), guest.listing.size)
    id_ = guest.receipt.id
    display = display if number is None else display.of(number)
    display.say("done", f"{what} arrived. Both sides hold receipt {id_}.", receipt=id_, bytes=guest.listing.size)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise ArgumentTypeError(f"{text!r} is not a number of receivers: give one from 1 to 1000")
    return int(text)
