"""The server goes and comes, the network is cut: what a page and a program make of it (closing rules S7, S10)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from adieu.server import serve
from e2e.lab.cuts import cut
from e2e.sdk.conftest import some
from e2e.sdk.sides import ServerProgram, meet, now, side

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.lab.figures import Figures
    from e2e.sdk.sides import Side
    from e2e.sdk.tabs import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
PAIRINGS = [("Chromium", "Python"), ("Firefox", "Python"), ("Chromium", "Firefox")]


async def soon(one: Side, what: Callable[[Side], Any], seconds: float, text: str) -> Any:
    """Ask a side again and again until it has an answer."""
    try:
        async with asyncio.timeout(seconds):
            while not (answer := await what(one)):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{one.kind}, not in {seconds} s: {text}; {await one.states()}") from None
    return answer


async def numbers(one: Side, other: Side, first: int) -> None:
    """Ten small messages each way, and all that came before."""
    for _ in range(10):
        await asyncio.gather(one.send(1, 1), other.send(1, 1))
    for each in (one, other):
        await soon(each, lambda side: _count(side, first + 10), 20, f"{first + 10} messages")


async def _count(one: Side, count: int) -> bool:
    return len(await one.got()) >= count


async def parted(one: Side, other: Side, count: int) -> None:
    """A clean close, and every message exactly once."""
    receipt, _ = await asyncio.gather(one.close(), other.ended())
    assert receipt["clean"], receipt
    for each in (one, other):
        await each.left()
        got = await each.got()
        assert [value if isinstance(value, int) else _first(value) for value in got] == [n % 256 for n in range(count)]


def _first(message: Any) -> int:
    return int(message["0"] if isinstance(message, dict) else message[0])  # bytes, as a page's JSON has them


@pytest.mark.parametrize("pairing", some(PAIRINGS, {("Chromium", "Python")}), ids="-".join)
async def test_the_server_is_killed_and_comes_again(
    pairing: tuple[str, str], both: dict[str, Any], tabs: Tabs, figures: Figures
) -> None:
    """No session ends, nothing is lost; it is told at once, and all are in the room again in time."""
    who = " – ".join(pairing)
    async with AsyncExitStack() as stack:
        server = ServerProgram(tabs.origin)
        running = await stack.enter_async_context(AsyncExitStack())
        process = await running.enter_async_context(server.started())
        one, other = [await stack.enter_async_context(side(kind, tabs, both)) for kind in pairing]
        await meet(server.url, {"one": one, "other": other})
        for each in (one, other):
            await each.read()
        await numbers(one, other, 0)
        killed = now()
        process.kill()
        for each in (one, other):
            [(at, up)] = await soon(each, lambda side: side.signaling(), 5, "signaling is down")
            assert not up
            figures.within("The server is killed", who, f"{each.kind} shows signaling down", at - killed, 1.0)
        await running.aclose()
        await numbers(one, other, 10)
        async with server.started():
            up_again = now()
            for each in (one, other):
                changes = await soon(each, _up_again, 15, "signaling is up again")
                took = changes[-1][0] - up_again
                figures.within("The server is killed", who, f"{each.kind} is in the room again", max(took, 0.0), 5.0)
            assert [await each.state() for each in (one, other)] == ["open", "open"]
            assert not await one.states() and not await other.states()
            await one.reset("transport")  # by the new names that both have at the server
            await numbers(one, other, 20)
            await parted(one, other, 30)


async def _up_again(one: Side) -> list[tuple[float, bool]]:
    changes = await one.signaling()
    return changes if changes[-1][1] else []


CUTS = {
    "the connection for 3 s": (3.0, False),
    "the connection for 12 s": (12.0, False),
    "connection and signaling for 3 s": (3.0, True),
    "connection and signaling for 12 s": (12.0, True),
}


@pytest.mark.parametrize("what", some(CUTS, {"connection and signaling for 3 s"}))
@pytest.mark.parametrize("kind", ["Chromium", "Firefox"])
async def test_a_cut_network_heals(kind: str, what: str, both: dict[str, Any], tabs: Tabs, figures: Figures) -> None:
    """Silence is told in time and with its cause; after the cut the session is back, with every message once."""
    seconds, with_signaling = CUTS[what]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(origins=[tabs.origin]))
        port = str(urlsplit(server.url).port)
        one, other = [await stack.enter_async_context(side(each, tabs, both)) for each in (kind, "Python")]
        await meet(server.url, {"one": one, "other": other})
        for each in (one, other):
            await each.read()
        await numbers(one, other, 0)
        with ExitStack() as cuts:
            began = now()
            cuts.enter_context(cut("-p", "udp"))
            if with_signaling:
                cuts.enter_context(cut("-p", "tcp", "--dport", port))
                cuts.enter_context(cut("-p", "tcp", "--sport", port))
            await asyncio.sleep(seconds)
        healed = now()
        who = f"{kind} – Python"
        for each in (one, other):
            await soon(each, _is_open, 30, "open again")
            changes = [change for change in await each.states() if change.at >= began]
            if seconds > 5:
                assert changes[0].state == "suspect", changes
                told = changes[0].at - began
                figures.within("The network is cut", who, f"{what}: {each.kind} suspects", told, 5.0, changes[0].cause)
                assert changes[0].cause in {"frozen, network-lost", "network-lost"}
            back = max((change.at for change in changes if change.state == "open"), default=healed) - healed
            bound = 6.0 if with_signaling else 3.0
            figures.within("The network is cut", who, f"{what}: {each.kind} is back", max(back, 0.0), bound)
        await numbers(one, other, 10)
        await parted(one, other, 20)


async def _is_open(one: Side) -> bool:
    return await one.state() == "open"
