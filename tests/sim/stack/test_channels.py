"""A channel ends by itself, over real engines on virtual time: the session goes on (closing rule S14)."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from adieu import ChannelError, SessionClosedError, UndeliveredError
from sim.stack.pair import connected, fill, numbers
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.session import Channel
    from support.virtual import World


@pytest.mark.parametrize("loss", [0.0, 0.05])
@pytest.mark.parametrize("closer", ["first", "second", "both"])
@simulated(limit=1000)
async def test_eight_mib_both_ways_arrive_and_the_session_goes_on(world: World, closer: str, loss: float) -> None:
    world.network.link(loss=loss, delay=0.01)
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        events: list[str] = []
        for name, channel in (("first", here), ("second", there)):
            for kind in ("closing", "closed"):
                channel.on(kind, lambda _, text=f"{name} {kind}": events.append(text))
        listeners = [asyncio.create_task(numbers(channel)) for channel in (here, there)]
        await asyncio.gather(fill(here, 128, 65536), fill(there, 128, 65536))
        closing = {"first": [here], "second": [there], "both": [here, there]}[closer]
        await asyncio.gather(*(channel.close("done", timeout=120.0) for channel in closing))
        one, other = await asyncio.gather(here.wait_closed(), there.wait_closed())
        assert one.path == other.path == "graceful" and one.clean and other.clean
        assert one.sent == other.received and one.received == other.sent
        assert one.sent.delivered.messages == one.received.delivered.messages == 128
        assert one.reason == other.reason == "done"
        for heard in await asyncio.gather(*listeners):
            assert heard == list(range(1, 129))
        assert here.state == there.state == "closed"
        assert pair.first.state == pair.second.state == "open"
        assert "data" not in pair.first.channels and "data" not in pair.second.channels
        told = {"first": ["second closing"], "second": ["first closing"], "both": []}[closer]
        assert [text for text in events if text.endswith("closing")] == told
        assert sorted(text for text in events if text.endswith("closed")) == ["first closed", "second closed"]
        again, back = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        await asyncio.gather(again.send("1"), back.send("2"))
        assert await asyncio.gather(again.receive(), back.receive()) == ["2", "1"]


@simulated()
async def test_last_words_are_heard_and_what_was_not_read_stays_readable(world: World) -> None:
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))

        async def answer(event: Any) -> None:
            await there.send(f"you said {event.reason}")
            await there.close()  # no last words after it

        there.on("closing", answer)
        await here.send("hello")
        receipt = await here.close("enough")
        assert receipt.clean and receipt.by == "local"
        assert [message async for message in here] == ["you said enough"]
        assert [message async for message in there] == ["hello"]
        for channel in (here, there):
            with pytest.raises(ChannelError, match="was closed: enough") as caught:
                await channel.send("late")
            assert caught.value.receipt is channel.receipt
            with pytest.raises(ChannelError, match="was closed"):
                await channel.receive()
        assert await here.close() is receipt


@simulated()
async def test_what_did_not_leave_can_be_taken_back(world: World) -> None:
    async with connected(world) as pair:
        here, _ = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        pair.cut()
        first = await here.send(b"x")
        sents = [await here.send(bytes(1_000_000)) for _ in range(8)]
        began = world.now
        receipt = await here.close(timeout=1.0)
        assert world.now - began <= 1.05
        assert receipt.path == "deadline" and not receipt.confirmed
        sent = receipt.sent
        assert sent.accepted is not None and sent.unknown is not None and sent.unsent is not None
        assert sent.accepted.messages == 9
        assert sent.delivered.messages + sent.unknown.messages + sent.unsent.messages == 9
        assert len(here.unsent()) == sent.unsent.messages > 0
        with pytest.raises(UndeliveredError, match="the channel has ended"):
            await first.delivered()
        with pytest.raises(UndeliveredError) as caught:
            await sents[-1].delivered()
        assert caught.value.state == "unsent"
        with pytest.raises(ChannelError, match="not free yet"):
            await pair.first.open("chat")
        pair.cut(False)
        await pair.both("open")
        again = None
        while again is None:
            try:
                again = await pair.first.open("chat")
            except ChannelError:
                await asyncio.sleep(0.1)
        for message in here.unsent():
            await again.send(message)
        await again.send("all of it")
        back = await pair.second.open("chat")
        for _ in here.unsent():
            assert await back.receive() == bytes(1_000_000)
        assert await back.receive() == "all of it"


@simulated()
async def test_open_waits_for_the_end_of_the_one_before(world: World) -> None:
    world.network.link(delay=0.05)
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        closing = asyncio.create_task(here.close())
        await asyncio.sleep(0)
        assert here.state == "closing"
        again = await pair.first.open("chat")
        assert closing.done() and again is not here
        await again.send("new")
        assert there.state == "closed"
        assert await (await pair.second.open("chat")).receive() == "new"


@simulated()
async def test_a_channel_ends_with_its_session(world: World) -> None:
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        closed: list[Any] = []
        there.on("closed", lambda event: closed.append(event.receipt))
        pair.first.on("state", lambda _: None)
        await here.send("x")
        closing = asyncio.create_task(here.close())
        receipt = await pair.first.close("bye")
        assert receipt.clean
        assert (await closing).path in {"session", "graceful"}
        assert (await there.wait_closed()).received.delivered.messages == 1
        assert closed == [there.receipt]
        assert await there.receive() == "x"
        with pytest.raises((SessionClosedError, ChannelError)):
            await there.receive()


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.matrix)])
@simulated(limit=4000)
async def test_channels_that_come_and_go_leave_nothing(world: World, count: int) -> None:
    async with connected(world) as pair:
        taken = asyncio.Queue[Any]()
        pair.second.on("channel", lambda event: taken.put_nowait(event.channel))
        objects: list[int] = []
        for number in range(count // 20 + 1):
            here = await asyncio.gather(*(pair.first.open(f"{number}.{i}") for i in range(20)))
            there = [await taken.get() for _ in here]
            await asyncio.gather(*(channel.send("x") for channel in here))
            closers = here if number % 2 else there
            await asyncio.gather(*(channel.close() for channel in closers))
            receipts = await asyncio.gather(*(channel.wait_closed() for channel in (*here, *there)))
            assert all(receipt.clean for receipt in receipts)
            assert not pair.first.channels and not pair.second.channels
            del here, there, closers, receipts
            if number % 10 == 0:
                gc.collect()
                objects.append(len(gc.get_objects()))
        assert objects[-1] - objects[1] < 500, objects


@simulated()
async def test_a_channel_that_is_refused_holds_up_no_close(world: World) -> None:
    async with connected(world) as pair:
        asked = pair.first.open("chat", ordered=False), pair.second.open("chat")
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, ChannelError) and "wanted differently" in str(outcome)
        receipt = await pair.first.close()
        assert {step.outcome for step in receipt.steps} == {"ok"}, receipt.steps
        assert sum(step.duration for step in receipt.steps) < 1.0


@simulated()
async def test_a_channel_that_cannot_be_opened_wakes_those_who_use_it(world: World) -> None:
    async with connected(world) as pair:
        opening = [
            asyncio.create_task(pair.first.open("x")),
            asyncio.create_task(pair.second.open("x", ordered=False)),
        ]
        await asyncio.sleep(0)
        here = pair.first.channels["x"]
        here.on("message", print)
        sent = await here.send("early")
        full = asyncio.create_task(_until_it_is_refused(here))
        waiting = [asyncio.create_task(work) for work in (sent.delivered(), here.receive(), here.wait_closed())]
        refused = await asyncio.gather(*opening, full, *waiting, return_exceptions=True)
        assert all(isinstance(error, ChannelError) for error in [*refused[:3], *refused[4:]]), refused
        assert all("wanted differently" in str(error) for error in refused)
        assert isinstance(refused[3], UndeliveredError) and refused[3].state == "unsent"
        assert here.state == "closed" and here.receipt is None
        assert here.unsent()[0].data == "early"

        again, _ = await asyncio.gather(pair.first.open("x"), pair.second.open("x"))
        for use in (here.send("late"), here.receive(), here.latest(), here.close(), here.wait_closed()):
            with pytest.raises(ChannelError, match="wanted differently"):
                await use
        assert here.receive_now() is None
        here.off("message", print)
        await asyncio.sleep(1)
        assert again.state == "open", "the next one of this name is another"


async def _until_it_is_refused(channel: Channel) -> None:
    while True:
        await channel.send(bytes(65536))
