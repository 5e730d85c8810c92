"""Common parts of `adieu send` and `adieu share`: the room for receivers, the code and link on the screen, receipts."""

from __future__ import annotations

import dataclasses
import importlib
import os
import secrets
import string
import threading
from typing import TYPE_CHECKING, Any

from adieu.cli.sending import code as codes
from adieu.cli.sending import link as links
from adieu.cli.sending import meeting
from adieu.cli.sending.proof import Secrets
from adieu.cli.sending.tries import Tries
from adieu.webrtc import RTCCertificate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from contextlib import AsyncExitStack
    from pathlib import Path

    from adieu.cli.sending.code import Code
    from adieu.cli.sending.display import Display
    from adieu.cli.sending.guest import Guest
    from adieu.cli.sending.link import Link
    from adieu.cli.sending.sender import Sender
    from adieu.session import Room

_LETTERS = string.ascii_lowercase + string.digits


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """The open room.

    Attributes:
        room: where they come to.
        code: what they may enter.
        link: what they may open.
        places: further addresses of this program, `host:port`.
    """

    room: Room
    code: Code | None
    link: Link | None
    places: list[str]


async def opened(
    stack: AsyncExitStack,
    given: argparse.Namespace,
    make_sender: Callable[[Secrets, Any], Sender],
    *,
    words: bool,
    link: bool,
    tries: int,
) -> tuple[Sender, Offer]:
    """Open a room for receivers, on the server, or on one in this program.

    Args:
        stack: closes everything.
        given: the options.
        make_sender: makes the sender, from the secrets and a certificate.
        words: whether there is a code.
        link: whether there is a link.
        tries: of codes.

    Raises:
        ValueError: the code that was given is taken, or the server has no page.
    """
    certificate = RTCCertificate.generate()
    own_code = os.environ.get("ADIEU_CODE") if words else None
    url, public, places = given.server, given.server, list[str]()
    if url is None:
        number, places = await stack.enter_async_context(meeting.at_home(given.host, given.port, page=link))
        host = "127.0.0.1" if given.host is None else places[0].rpartition(":")[0]
        url, public = f"ws://{host}:{number}/ws", f"ws://{places[0]}/ws"
    for _ in range(meeting.PLACES):
        code = None if not words else codes.parse(own_code) if own_code else codes.make()
        place = code.place if code is not None else "".join(secrets.choice(_LETTERS) for _ in range(12))
        made_link = links.make(public, place) if link else None
        if code is not None and places:
            code = dataclasses.replace(code, address=places[0])
        secret = code or made_link
        if secret is None:
            raise AssertionError("neither a code nor a link")
        sender = make_sender(Secrets(code, made_link, Tries(tries)), certificate)
        try:
            room = await stack.enter_async_context(
                meeting.meeting(url, secret, given, sender.connect, sender.gate, sends=True)
            )
        except meeting.TakenError:
            if own_code:
                raise ValueError("somebody uses this code already: take another one") from None
            continue
        return sender, Offer(room, code, made_link, places[1:])
    raise ValueError(f"{meeting.PLACES} places on the server are taken: try again")


def load_connections() -> threading.Thread:
    """Load what connections are made of, while a person reads the code. Return the thread that does it."""
    loading = threading.Thread(target=importlib.import_module, args=("adieu.cli.sending.pinned",), daemon=True)
    loading.start()
    return loading


def announce(display: Display, what: str, offer: Offer, server: str | None) -> None:
    """Show the code, the link and its QR code; then load the rest."""
    if offer.code is not None:
        command = f"adieu receive {offer.code}" + (f" --server {server}" if server else "")
        text = f"{what}. On the other computer:\n\n   {command}\n"
        display.say("code", text, code=str(offer.code), command=command)
    if offer.link is not None:
        from adieu.cli.sending import qr  # noqa: PLC0415 most codes are read out

        link = str(offer.link)
        head = f"{what}. Open" if offer.code is None else "Or open"
        text = f"{head} this link in a browser, or give it to `adieu receive`:\n\n   {link}\n"
        display.say("link", text, link=link, command=f"adieu receive {link}")
        if display.for_a_person:
            display.draw([*(f"   {line}" for line in qr.shown(link)), ""])
    for place in offer.places:
        page = "" if offer.link is None else str(dataclasses.replace(offer.link, page=f"http://{place}/"))
        display.say("address", f"   also reached at {page or place}", address=place, link=page)
    load_connections()


def write_receipt(path: Path, guest: Guest, number: int | None) -> None:
    """Write a receiver's receipt; with a number, its name gets it: `receipt-2.json`."""
    from adieu.cli.sending.receipt import receipt_of  # noqa: PLC0415 where it is asked for

    if guest.listing is not None:
        place = path if number is None else path.with_stem(f"{path.stem}-{number}")
        place.write_bytes(receipt_of(guest.listing.entries, guest.proofs, guest.receipt))
