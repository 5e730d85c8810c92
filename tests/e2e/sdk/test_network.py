"""The server goes and comes, the network is cut: what pages and programs make of it (closing rules S7, S10)."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from adieu.server import serve
from e2e.lab.cuts import cut
from e2e.sdk.sides import KINDS, ServerProgram, now, side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from e2e.lab.figures import Figures
    from e2e.sdk.sides import Side, State
    from e2e.sdk.tabs import Tabs

pytestmark = [pytest.mark.anyio, pytest.mark.browser]
MATRIX = pytest.mark.matrix
Pair = tuple["Side", "Side"]
PROGRAM_WITH_PAGES = [("Chromium", "Python"), ("Firefox", "Python")]
PAIRINGS = list(itertools.combinations_with_replacement(KINDS, 2))
"""All at once: they share the server and the network, and wait for the same time."""


@asynccontextmanager
async def met(
    url: str, pairings: list[tuple[str, str]], tabs: Tabs, browsers: dict[str, Any]
) -> AsyncIterator[dict[str, Pair]]:
    """Every pair in a session of its own, ten messages each way said; by its name.

    Each side reaches the server by an address of its own, as if it were alone in its browser: to one address Firefox
    opens one WebSocket at a time, and the next waits until that has failed.
    """
    port = urlsplit(url).port
    urls = (f"ws://127.0.0.{number}:{port}/ws" for number in itertools.count(1))
    async with AsyncExitStack() as stack:
        pairs = {}
        for pairing in pairings:
            who = " – ".join(pairing)
            one, other = [await stack.enter_async_context(side(kind, tabs, browsers)) for kind in pairing]
            await one.join(next(urls), f"{who}, one")
            await other.join(next(urls), f"{who}, other")
            await asyncio.gather(one.meet(f"{who}, other"), other.meet(f"{who}, one"))
            for each in (one, other):
                await each.read()
            await numbers(one, other, 0)
            pairs[who] = one, other
        yield pairs


async def of_all(pairs: dict[str, Pair], look: Callable[[str, Side, Side], Awaitable[None]]) -> None:
    """Look at every pair, also after one has failed."""
    looks = (look(who, one, other) for who, (one, other) in pairs.items())
    failed = [error for error in await asyncio.gather(*looks, return_exceptions=True) if error is not None]
    if failed:
        raise BaseExceptionGroup("of some pairs", failed)


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


@pytest.mark.parametrize(
    "pairings", [pytest.param(PROGRAM_WITH_PAGES[:1], id="one"), pytest.param(PAIRINGS, id="all", marks=MATRIX)]
)
async def test_the_server_is_killed_and_comes_again(
    pairings: list[tuple[str, str]], both: dict[str, Any], tabs: Tabs, figures: Figures
) -> None:
    """No session ends, nothing is lost; it is told at once, and all are in the room again in time."""
    proof = "The server is killed"
    async with AsyncExitStack() as stack:
        server = ServerProgram(tabs.origin)
        running = await stack.enter_async_context(AsyncExitStack())
        process = await running.enter_async_context(server.started())
        pairs = await stack.enter_async_context(met(server.url, pairings, tabs, both))
        killed = now()
        process.kill()

        async def down(who: str, one: Side, other: Side) -> None:
            for each in (one, other):
                [(at, up)] = await soon(each, lambda side: side.signaling(), 5, "signaling is down")
                assert not up
                figures.within(proof, who, f"{each.kind} shows signaling down", at - killed, 1.0)

        await of_all(pairs, down)
        await running.aclose()
        await of_all(pairs, lambda _, one, other: numbers(one, other, 10))
        async with server.started():
            up_again = now()

            async def again(who: str, one: Side, other: Side) -> None:
                for each in (one, other):
                    changes = await soon(each, _up_again, 15, "signaling is up again")
                    took = changes[-1][0] - up_again
                    figures.within(proof, who, f"{each.kind} is in the room again", max(took, 0.0), 5.0)
                assert [await each.state() for each in (one, other)] == ["open", "open"]
                assert not await one.states() and not await other.states()
                await one.reset("transport")  # by the new names that both have at the server
                await numbers(one, other, 20)
                await parted(one, other, 30)

            await of_all(pairs, again)


async def _up_again(one: Side) -> list[tuple[float, bool]]:
    changes = await one.signaling()
    return changes if changes[-1][1] else []


@dataclass(frozen=True)
class Cut:
    """What is cut, and for how long: for good, so long that the sessions end.

    Attributes:
        causes: that are accepted when it is told, and at the end.
        back: seconds after the heal until all is well again.
    """

    seconds: float | None
    signaling: bool = False
    causes: frozenset[str] = frozenset({"frozen, network-lost", "network-lost"})

    @property
    def back(self) -> float:
        return 6.0 if self.signaling else 3.0

    @contextmanager
    def made(self, port: str) -> Iterator[None]:
        """Nothing gets through while the block lasts."""
        with ExitStack() as cuts:
            cuts.enter_context(cut("-p", "udp"))
            if self.signaling:
                cuts.enter_context(cut("-p", "tcp", "--dport", port))
                cuts.enter_context(cut("-p", "tcp", "--sport", port))
            yield


LASTING = (3.0, 8.0, 20.0, 40.0)
CUTS = {
    f"{what} for {seconds:g} s": Cut(seconds, signaling)
    for what, signaling in (("the connection", False), ("connection and signaling", True))
    for seconds in LASTING
}
OFTEN = "connection and signaling for 3 s"
FOR_GOOD = {
    "the connection for good": Cut(None),
    "connection and signaling for good": Cut(None, signaling=True),
}
GIVE_UP = 60.0
"""Seconds of silence after which a session ends by itself (closing rule S10)."""


async def tell(figures: Figures, who: str, what: str, each: Side, began: float, causes: frozenset[str]) -> None:
    """A side has told of the silence in time."""
    changes = await soon(each, lambda side: _since(side, began), 12, "it is told")
    assert changes[0].state == "suspect", changes
    how, told = f"{what}: {each.kind} suspects", changes[0].at - began
    figures.within("The network is cut", who, how, told, 5.0, changes[0].cause, causes=causes)


@asynccontextmanager
async def cut_apart(
    of: Cut, pairings: list[tuple[str, str]], tabs: Tabs, browsers: dict[str, Any]
) -> AsyncIterator[tuple[dict[str, Pair], float, Callable[[], None]]]:
    """Pairs that are cut apart, with ten messages each way on their way into nothing; since when; what ends the cut."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve("0.0.0.0", open_to_all=True, origins=[tabs.origin]))
        pairs = await stack.enter_async_context(met(server.url, pairings, tabs, browsers))
        cuts = stack.enter_context(ExitStack())
        cuts.enter_context(of.made(str(urlsplit(server.url).port)))
        began = now()
        await of_all(pairs, lambda _, one, other: said(one, other))
        yield pairs, began, cuts.close


@pytest.mark.parametrize(
    ("pairings", "what"),
    [
        pytest.param(PROGRAM_WITH_PAGES, OFTEN, id=f"two-{OFTEN}"),
        *(pytest.param(PAIRINGS, what, id=f"all-{what}", marks=MATRIX) for what in CUTS),
    ],
)
@pytest.mark.timeout(240)
async def test_a_cut_network_heals(
    pairings: list[tuple[str, str]], what: str, both: dict[str, Any], tabs: Tabs, figures: Figures
) -> None:
    """Each side says in time that the other is silent, and why. After the cut they go on, with every message once."""
    of = CUTS[what]
    assert of.seconds is not None
    async with cut_apart(of, pairings, tabs, both) as (pairs, began, heal):
        await asyncio.sleep(began + of.seconds - now())
        heal()
        healed = now()

        async def back(who: str, one: Side, other: Side) -> None:
            for each in (one, other):
                await soon(each, _is_open, 30, "open again")
                if of.seconds > 5:
                    await tell(figures, who, what, each, began, of.causes)
                changes = await _since(each, began)
                took = max((change.at for change in changes if change.state == "open"), default=healed) - healed
                figures.within("The network is cut", who, f"{what}: {each.kind} is back", max(took, 0.0), of.back)
            await numbers(one, other, 20)
            await parted(one, other, 30)

        await of_all(pairs, back)


@MATRIX
@pytest.mark.parametrize("what", FOR_GOOD)
@pytest.mark.timeout(240)
async def test_a_network_cut_for_good_ends_the_session(
    what: str, both: dict[str, Any], tabs: Tabs, figures: Figures
) -> None:
    """Each side says in time that the other is silent. Later it closes by itself, and accounts for what it sent."""
    of = FOR_GOOD[what]
    async with cut_apart(of, PAIRINGS, tabs, both) as (pairs, began, _):

        async def end(who: str, one: Side, other: Side) -> None:
            for each in (one, other):
                await tell(figures, who, what, each, began, of.causes)
            for each in (one, other):
                await soon(each, _is_closed, GIVE_UP + 30, "it ends by itself")
                receipt = await each.ended()
                took, cause = (await each.states())[-1].at - began, receipt["cause"]
                how = f"{what}: {each.kind} gives up"
                figures.within("The network is cut", who, how, took, GIVE_UP + 5, cause, causes=of.causes)
                sent = receipt["channels"]["data"]["sent"]
                parts = [sent[part]["messages"] for part in ("delivered", "unknown", "unsent")]
                assert sent["accepted"]["messages"] == sum(parts) == 20 and parts[0] <= 10, sent

        await of_all(pairs, end)


async def said(one: Side, other: Side) -> None:
    """Ten small messages each way, on their way into nothing."""
    await asyncio.gather(one.send(10, 1), other.send(10, 1))


async def _since(one: Side, began: float) -> list[State]:
    return [change for change in await one.states() if change.at >= began]


async def _is_open(one: Side) -> bool:
    return await one.state() == "open"


async def _is_closed(one: Side) -> bool:
    return await one.state() == "closed"
