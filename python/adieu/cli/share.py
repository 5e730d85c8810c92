"""`adieu share`: stays up and serves files and folders to all who have the code or the link."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adieu.cli.address_options import settings_of
from adieu.cli.log_option import write_log
from adieu.cli.own_server import own_options
from adieu.cli.send import common_options, finish

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from adieu.cli.arguments import Parser
    from adieu.cli.sending.display import Display
    from adieu.cli.sending.guest import Guest
    from adieu.cli.sending.listing import Listing
    from adieu.cli.sending.sender import Sender
    from adieu.webrtc import TransportSettings

EXAMPLES = """\
  adieu share photos                         to all in this network that have the code or the link
  adieu share photos --server wss://signaling.example.org/ws
  adieu share photos --json                  each event as a line of JSON; the last is the summary"""

MAX_WRONG = 10
"""Wrong codes in all, of 24 bits; then only the link counts. More than for `adieu send`: many people mistype more."""


def options(parser: Parser) -> None:
    """Add the options of the command."""
    text = "Files and folders. They are listed again for each receiver."
    parser.add_argument("files", nargs="+", type=Path, metavar="FOLDER", help=text)
    common_options(parser)
    own_options(parser)


def run(given: argparse.Namespace) -> int:
    """Share files and folders with all who enter the code with `adieu receive`, or open the link in a browser.

    It stays until Ctrl-C, and then says how each receiver fared. Up to 16 receive at the same time; more wait. One
    whose program was killed, or whose network was lost, goes on with the same command. After ten wrong codes the code
    is void, and only the link counts.

    Without --server this command itself is the server, and serves the page, on all addresses of this computer (--host,
    --port). Everybody in the network reaches it; what is shared goes to those alone that have the code or the link.

    The exit code is 0 if every receiver that proved itself holds the same receipt as this side, or was lost, and nobody
    is interrupted. A lost one may have returned as the next one; the summary names it.
    """
    from adieu.cli.sending.display import Display  # noqa: PLC0415 quick help

    write_log(given.log)
    try:
        first, settings = _listed(given), settings_of(given)
    except (OSError, ValueError) as error:
        print(f"adieu share: {error}", file=sys.stderr)
        return 2
    return _share(given, first, Display(as_json=given.json), settings)


def _listed(given: argparse.Namespace) -> Listing:
    from adieu.cli.sending.listing import Listing  # noqa: PLC0415 quick help
    from adieu.session.files.excludes import Excludes  # noqa: PLC0415

    made = Listing(Excludes(given.exclude))
    for path in given.files:
        made.add(path)
    return made


def _share(given: argparse.Namespace, first: Listing, display: Display, settings: TransportSettings | None) -> int:
    from adieu.cli.sending import meeting, offering  # noqa: PLC0415 quick help
    from adieu.cli.sending.display import files_in_words, shown  # noqa: PLC0415
    from adieu.cli.sending.sender import Limit, Sender  # noqa: PLC0415

    limit = Limit(given.limit_rate) if given.limit_rate else None
    senders: list[Sender] = []

    async def listing() -> Listing:
        return await asyncio.to_thread(_listed, given)

    def finished(guest: Guest, number: int) -> None:
        finish(display, given, guest, number)

    async def work(stack: AsyncExitStack) -> int:
        sender, offer = await offering.opened(
            stack,
            given,
            lambda known, certificate: Sender(
                listing, known, certificate, display, limit, finished, receivers=None, settings=settings
            ),
            words=True,
            link=True,
            tries=MAX_WRONG,
        )
        senders.append(sender)
        for path in first.left_out[:10]:
            display.say("left-out", f"Left out, no file and no folder, or not readable: {shown(path)}", path=path)
        offering.announce(display, files_in_words(len(first.files), first.size), offer, given.server)
        return await sender.run(offer.room)

    return meeting.run_until_stopped("share", work, lambda: summarize(display, senders[0].guests if senders else []))


def summarize(display: Display, guests: Sequence[Guest]) -> int:
    """Say how each receiver fared. Return the exit code."""
    from adieu.cli.sending.display import amount, duration  # noqa: PLC0415 quick help

    display.end()
    rows = [("", "receiver", "path", "sent", "took", "end")]
    told = [
        {
            "receiver": number,
            "path": guest.path,
            "bytes": guest.sent,
            "seconds": round(guest.ended - guest.began, 1) if guest.ended else None,
            "end": guest.how or "interrupted",
            "receipt": "" if guest.receipt is None else guest.receipt.id,
        }
        for number, guest in enumerate(guests, 1)
    ]
    for each, guest in zip(told, guests, strict=True):
        took = "" if each["seconds"] is None else duration(guest.ended - guest.began)
        rows.append(("", f"[{each['receiver']}]", guest.path, amount(guest.sent), took, str(each["end"])))
    well = sum(guest.how == "done" for guest in guests)
    sent = sum(guest.sent for guest in guests)
    text = f"{well} of {len(guests)} receivers have everything, and hold the receipt; {amount(sent)} sent."
    display.say("summary", text, receivers=told, bytes=sent)
    if guests:
        display.table(rows)
    # A lost one may have returned, as another one.
    return int(any(guest.how not in {"done", "lost"} for guest in guests))
