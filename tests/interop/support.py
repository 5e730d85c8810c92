"""What the interop tests share: a connected pair, and what each implementation shows at a close."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab.peer import Peer, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OTHERS = ("chromium", "firefox", "aiortc", "pion")
MARKS = {
    "chromium": pytest.mark.browser,
    "chromium-mdns": pytest.mark.browser,
    "firefox": pytest.mark.browser,
    "firefox-mdns": pytest.mark.browser,
    "aiortc": pytest.mark.peer,
    "pion": pytest.mark.peer,
}

each_other = pytest.mark.parametrize("other", [pytest.param(name, marks=MARKS[name]) for name in OTHERS])
each_offerer = pytest.mark.parametrize("adieu_offers", [True, False], ids=["adieu-offers", "adieu-answers"])


@asynccontextmanager
async def pair(lab: Any, other: str) -> AsyncIterator[tuple[Peer, Peer]]:
    """adieu and the other, each with a new connection."""
    async with lab.peer(other) as them, lab.peer("adieu") as us:
        await us.call("new")
        await them.call("new")
        yield us, them


async def join(us: Peer, them: Peer, *, adieu_offers: bool) -> None:
    """Connect them, in this order."""
    await (connect(us, them) if adieu_offers else connect(them, us))


@asynccontextmanager
async def talking(
    lab: Any, other: str, *, adieu_offers: bool = True, negotiated: bool = False
) -> AsyncIterator[tuple[Peer, Peer]]:
    """Connected, with one channel `chat` open at both ends; who offers makes it, unless it is negotiated."""
    async with pair(lab, other) as (us, them):
        if negotiated:
            for peer in (us, them):
                await peer.call("channel", label="chat", init={"negotiated": True, "id": 7})
        else:
            await (us if adieu_offers else them).call("channel", label="chat")
        await join(us, them, adieu_offers=adieu_offers)
        await us.expect("open", label="chat")
        await them.expect("open", label="chat")
        yield us, them
