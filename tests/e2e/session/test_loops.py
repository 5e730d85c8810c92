"""A session lives in one event loop, and not longer."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.signaling import memory_signaling

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

CALLS: dict[str, Callable[[adieu.Session, adieu.Channel], Coroutine[Any, Any, Any]]] = {
    "close": lambda session, _: session.close(),
    "wait_closed": lambda session, _: session.wait_closed(),
    "wait_open": lambda session, _: session.wait_open(),
    "open": lambda session, _: session.open("another"),
    "reset": lambda session, _: session.reset("transport"),
    "send": lambda _, channel: channel.send("late"),
    "receive": lambda _, channel: channel.receive(),
}


async def opened() -> tuple[adieu.Session, adieu.Session, adieu.Channel]:
    here, there = memory_signaling()
    first = adieu.Session(connect=adieu.RTCPeerConnection, signaling=here, role="first", name="Ben")
    second = adieu.Session(connect=adieu.RTCPeerConnection, signaling=there, role="second", name="Ada")
    first.start()
    second.start()
    channel = await first.open("chat")
    return first, second, channel


def forget(things: list[Any]) -> None:
    """What is in this list, and what hangs on it, is collected."""
    things.clear()
    gc.collect()


@pytest.mark.parametrize("call", CALLS)
def test_after_its_event_loop_has_ended_a_session_says_so(call: str) -> None:
    things: list[Any] = list(asyncio.run(opened()))

    async def late() -> None:
        async with asyncio.timeout(5.0):
            await CALLS[call](things[0], things[2])

    with pytest.raises(adieu.SessionClosedError, match="with Ben ended with its event loop"):
        asyncio.run(late())
    with pytest.warns(ResourceWarning, match="unclosed <Session .* made at test_loops.py:"):
        forget(things)


def test_a_receipt_is_there_after_the_event_loop() -> None:
    async def all_of_it() -> tuple[adieu.Session, adieu.Channel, Any]:
        first, second, channel = await opened()
        theirs = await second.open("chat")
        await theirs.send("read me later")
        receipt = await first.close()
        await second.wait_closed()
        await asyncio.gather(first.end(), second.end())
        return first, channel, receipt

    session, channel, receipt = asyncio.run(all_of_it())
    assert asyncio.run(session.close()) is asyncio.run(session.wait_closed()) is receipt
    assert asyncio.run(channel.receive()) == "read me later"
    with pytest.raises(adieu.SessionClosedError):
        asyncio.run(channel.receive())


def test_another_event_loop_is_told_the_way() -> None:
    async def main() -> None:
        async with adieu.memory_pair() as (first, _):
            channel = await first.open("chat")

            def elsewhere() -> None:
                for call in CALLS.values():
                    with pytest.raises(RuntimeError, match="run_coroutine_threadsafe"):
                        asyncio.run(call(first, channel))

            await asyncio.to_thread(elsewhere)

    asyncio.run(main())
