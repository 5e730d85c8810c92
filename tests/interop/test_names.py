"""Names of mDNS in place of addresses, with browsers that hide theirs as they do for every page without a camera."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from interop.support import MARKS, pair

if TYPE_CHECKING:
    from e2e.lab.peer import Peer

hiding = pytest.mark.parametrize(
    "other", [pytest.param(name, marks=MARKS[name]) for name in ("chromium-mdns", "firefox-mdns")]
)
NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.local", re.IGNORECASE)


@hiding
async def test_the_name_of_a_browser_is_looked_up(lab: Any, other: str) -> None:
    """The browser gets no candidate, so no check of it can show the way: only its name leads there."""
    async with pair(lab, other) as (us, them):
        await us.call("channel", label="chat")
        await _join(us, them, blind=them)
        await asyncio.gather(us.expect("open", label="chat"), them.expect("open", label="chat"))
        assert all(NAME.fullmatch(address) for address in _addresses(them))
        assert await us.send("chat", "hello") == await them.message("chat")
        remote = [one for one in await us.call("stats") if one["type"] == "remote-candidate"]
        assert all(NAME.fullmatch(one["address"]) for one in remote if one["candidateType"] == "host")
        assert any(one["candidateType"] == "host" for one in remote)


@hiding
async def test_a_browser_looks_up_the_name_that_adieu_shows(lab: Any, other: str) -> None:
    """adieu gets no candidate; what it shows has no address."""
    async with lab.peer(other) as them, lab.peer("adieu") as us:
        await them.call("new")
        await us.call("new", settings={"hideAddresses": True})
        await us.call("channel", label="chat")
        await _join(us, them, blind=us)
        await asyncio.gather(us.expect("open", label="chat"), them.expect("open", label="chat"))
        assert await them.send("chat", "hello") == await us.message("chat")
        shown = [*_addresses(us), *re.findall(r"candidate:\S+ 1 udp \d+ (\S+)", await us.call("local"))]
        assert len(shown) >= 2
        assert all(NAME.fullmatch(address) for address in shown), shown


async def _join(us: Peer, them: Peer, *, blind: Peer) -> None:
    """Connect them; one side gets the candidates of the other, and not the other way round."""

    def told(sdp: str, reader: Peer) -> str:
        return re.sub("a=candidate:[^\r\n]*[\r\n]+", "", sdp) if reader is blind else sdp

    for peer in (us, them):
        peer.hold_back()
    answer = await them.call("answer", sdp=told(await us.call("offer"), them))
    await us.call("accept", sdp=told(answer, us))
    (them if blind is them else us).relay_to(us if blind is them else them)


def _addresses(peer: Peer) -> list[str]:
    """The addresses of its candidates of UDP."""
    lines = [e["candidate"]["candidate"].split() for e in peer.events if e["event"] == "candidate" and e["candidate"]]
    return [words[4] for words in lines if len(words) > 4 and words[2].lower() == "udp" and words[7] == "host"]
