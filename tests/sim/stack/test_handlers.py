"""How a message gets to its reader: to a handler, plain or async, or to a `receive` that waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from adieu import MessageEvent, SessionClosedError
from adieu.session import Options
from adieu.session.session import shell_of
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.session import Channel
    from support.virtual import Pair, World

mark: ContextVar[str] = ContextVar("mark", default="")


async def opened(pair: Pair) -> tuple[Channel, Channel]:
    return await asyncio.gather(pair.first.open("data"), pair.second.open("data"))


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def say(channel: Channel, *texts: str) -> None:
    for text in texts:
        await channel.send(text)


def errors() -> list[str]:
    """The messages that the event loop's exception handler gets from now on."""
    found: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(str(context["exception"])))
    return found


@simulated()
async def test_plain_handlers_and_waiting_receives_make_no_task(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        loop, made, heard = asyncio.get_running_loop(), [], []
        there.on("message", heard.append)
        await say(here, "first")
        await until(lambda: heard)
        await world.settle(1.0)  # the connection is negotiated to its end
        loop.set_task_factory(lambda loop, work, **more: made.append(work) or asyncio.Task(work, loop=loop, **more))
        await say(here, "a", "b", "c")
        while len(heard) < 4:
            await asyncio.sleep(0.001)
        there.off("message", heard.append)
        here.on("message", heard.append)
        await say(here, "d")
        assert await there.receive() == "d"
        await say(there, "e")
        while len(heard) < 5:
            await asyncio.sleep(0.001)
        loop.set_task_factory(None)
        assert heard == ["first", "a", "b", "c", "e"] and made == []


@simulated()
@pytest.mark.parametrize("kind", ["plain", "async", "both"])
async def test_handlers_run_one_after_the_other_in_the_order_of_messages(world: World, kind: str) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []

        def plain(text: str) -> None:
            heard.append(f"plain {text}")

        async def slow(text: str) -> None:
            heard.append(f"begin {text}")
            await asyncio.sleep(0.05)
            heard.append(f"end {text}")

        each = {"plain": [plain, plain], "async": [slow, slow], "both": [slow, plain]}[kind]
        for handler in each:
            there.on("message", handler)
        await say(here, *"abc")
        words = {plain: ["plain"], slow: ["begin", "end"]}
        wanted = [f"{word} {text}" for text in "abc" for handler in each for word in words[handler]]
        await until(lambda: len(heard) == len(wanted))
        assert heard == wanted


@simulated()
async def test_what_came_before_the_handler_comes_before_what_came_after(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []
        texts = [str(number) for number in range(100)]
        await say(here, *texts[:50])
        await world.settle(0.5)
        there.on("message", heard.append)
        assert heard == [], "not inside on()"
        await say(here, *texts[50:])
        await until(lambda: len(heard) == 100)
        assert heard == texts


@simulated()
async def test_what_an_async_handler_has_no_time_for_is_not_taken(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        going, heard = asyncio.Event(), []

        async def slow(text: str) -> None:
            heard.append(text)
            await going.wait()

        there.on("message", slow)
        sent = [await here.send(text) for text in "abc"]
        await sent[0].delivered()
        await world.settle(1.0)
        assert heard == ["a"] and here.unacknowledged == 2
        going.set()
        await sent[2].delivered()
        assert heard == ["a", "b", "c"]


@simulated()
async def test_the_window_closes_while_an_async_handler_runs_and_opens_after_it(world: World) -> None:
    options = Options(window=1 << 18, send_buffer=1 << 18)
    async with connected(world, options=options) as pair:
        here, there = await opened(pair)
        going, heard = asyncio.Event(), []

        async def slow(data: bytes) -> None:
            heard.append(len(data))
            await going.wait()

        there.on("message", slow)

        async def fill() -> None:
            for _ in range(200):
                await here.send(bytes(50_000))

        sending = asyncio.create_task(fill())
        await world.settle(2.0)
        assert not sending.done() and len(heard) == 1
        going.set()
        await sending
        await until(lambda: len(heard) == 200)


@simulated()
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_an_error_in_a_handler_is_reported_and_stops_nothing(world: World, error: type[BaseException]) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        told, heard = errors(), []

        def plain(text: str) -> None:
            raise error(f"plain {text}")

        async def slow(text: str) -> None:
            await asyncio.sleep(0.01)
            raise error(f"slow {text}")

        for handler in (plain, slow, heard.append):
            there.on("message", handler)
        await say(here, *"ab")
        await until(lambda: heard == ["a", "b"])
        slow_ones = ["slow a", "slow b"] if error is ValueError else []  # a task that is cancelled has not failed
        assert sorted(told) == ["plain a", "plain b", *slow_ones]


@simulated()
@pytest.mark.parametrize("what", ["close", "wait_closed", "abrupt", "reset", "receive", "off"])
async def test_a_handler_may_do_anything_with_its_own_session(world: World, what: str) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []
        receipts: list[Any] = []

        async def handler(text: str) -> None:
            heard.append(text)
            if text != "a":
                return
            match what:
                case "close":
                    receipts.append(await pair.second.close("enough"))
                case "abrupt":
                    receipts.append(await pair.second.close(timeout=0))
                case "wait_closed":
                    receipts.append(await pair.second.wait_closed())
                case "reset":
                    await pair.second.reset()
                    heard.append("reset")
                case "receive":
                    heard.append(f"received {await there.receive()}")
                case "off":
                    there.off("message", handler)
                    there.on("message", heard.append)

        there.on("message", handler)
        with suppress(Exception):  # it may be closing already
            await say(here, *"abc")
        if what in {"close", "wait_closed", "abrupt"}:
            receipt = await pair.first.close()
            await until(lambda: receipts)
            assert receipts[0].clean or what == "abrupt"
            assert receipt.clean or what == "abrupt"
            await until(lambda: heard == ["a", "b", "c"] or what == "abrupt")
        else:
            wanted = {"reset": ["a", "reset", "b", "c"], "receive": ["a", "received b", "c"], "off": ["a", "b", "c"]}
            await until(lambda: heard == wanted[what])


@simulated()
async def test_a_plain_handler_may_read_on_close_and_send(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[Any] = []
        closing: list[Any] = []
        gone = asyncio.Event()

        def handler(text: str) -> None:
            heard.append(text)
            while (more := there.receive_now()) is not None:
                heard.append(more)
            if text == "last":
                closing.append(asyncio.ensure_future(pair.second.close("enough")))
                gone.set()

        await say(here, *"abc")
        await world.settle(0.1)
        there.on("message", handler)
        await say(here, "last")
        await gone.wait()
        await pair.first.wait_closed()
        assert heard == ["a", "b", "c", "last"]
        assert (await closing[0]).clean


def cancel_as_it_comes(pair: Pair, reading: asyncio.Task[Any], *, before: bool = False) -> None:
    """Cancel a call of `receive` right before, or after, its message is handed to it."""
    readers = shell_of(pair.second).readers
    deliver = readers["data"]

    def cancel_too(payload: Any) -> None:
        if before:
            reading.cancel()
        deliver(payload)
        reading.cancel()

    readers["data"] = cancel_too


@simulated()
@pytest.mark.parametrize("before", [True, False])
async def test_a_receive_that_is_cancelled_as_its_message_comes_loses_nothing(world: World, before: bool) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        reading = asyncio.create_task(there.receive())
        await world.settle(0.1)
        cancel_as_it_comes(pair, reading, before=before)
        await say(here, *"ab")
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert [await there.receive() for _ in "ab"] == ["a", "b"]


@simulated()
async def test_a_message_whose_receive_was_cancelled_stays_unread(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        reading = asyncio.create_task(there.receive())
        await world.settle(0.1)
        cancel_as_it_comes(pair, reading)
        await say(here, "a")
        with pytest.raises(asyncio.CancelledError):
            await reading
        await say(here, "b")
        await world.settle(0.5)
        receipt = await pair.first.close()
        sent = receipt.channels["data"].sent
        assert (sent.delivered.messages, sent.unread.messages, sent.unread.bytes) == (2, 2, 2)
        assert (await pair.second.wait_closed()).channels["data"].received.unread.messages == 2
        assert [await there.receive() for _ in "ab"] == ["a", "b"]


@simulated()
async def test_a_loop_over_messages_that_is_closed_as_one_comes_loses_nothing(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        waiting = there.receive().__await__()
        next(waiting)
        readers = shell_of(pair.second).readers
        deliver = readers["data"]
        readers["data"] = lambda payload: (deliver(payload), waiting.close())
        await say(here, *"ab")
        await world.settle(0.1)
        readers["data"] = deliver
        assert [await there.receive() for _ in "ab"] == ["a", "b"]


@simulated()
async def test_a_message_whose_receive_was_cancelled_goes_to_the_next_reader(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []
        reading = asyncio.create_task(there.receive())
        await world.settle(0.1)
        cancel_as_it_comes(pair, reading)
        there.on("message", heard.append)
        await say(here, *"abc")
        await until(lambda: len(heard) == 3)
        assert heard == ["a", "b", "c"] and reading.cancelled()


@simulated()
async def test_calls_of_receive_that_wait_get_one_message_each_in_their_order(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        reading = [asyncio.create_task(there.receive()) for _ in range(3)]
        await world.settle(0.1)
        reading[1].cancel()
        await say(here, *"abcd")
        assert [await reading[0], await reading[2], await there.receive()] == ["a", "b", "c"]
        await world.settle(0.5)
        receipt = await pair.first.close()
        assert receipt.channels["data"].sent.unread.messages == 1  # nobody has read d
        assert await there.receive() == "d"


@simulated()
async def test_a_reader_that_has_left_takes_nothing(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        reading = asyncio.create_task(there.receive())
        there.on("message", print)
        await world.settle(0.1)
        reading.cancel()
        there.off("message", print)
        await asyncio.wait({reading})
        await say(here, "a")
        await world.settle(0.5)
        assert here.unacknowledged == 1
        assert await there.receive() == "a"


@simulated()
async def test_a_handler_that_was_removed_takes_nothing(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        there.on("message", print)
        await world.settle(0.1)
        there.off("message", print)
        await say(here, "a")
        await world.settle(0.5)
        assert here.unacknowledged == 1
        assert await there.receive() == "a"


@simulated()
async def test_a_context_variable_that_a_handler_sets_stays_its_own(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []

        def plain(text: str) -> None:
            heard.append(mark.get())
            mark.set(text)

        there.on("message", plain)
        await say(here, *"abc")
        await until(lambda: len(heard) == 3)
        assert heard == ["", "", ""] and mark.get() == ""


@simulated()
async def test_the_end_of_a_session_enters_no_further_handler(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []

        async def forever(text: str) -> None:
            heard.append(text)
            await asyncio.Event().wait()

        there.on("message", forever)
        there.on("message", heard.append)
        await say(here, *"abc")
        await until(lambda: heard)
        await pair.first.close()
        await pair.second.end()
        await world.settle(0.5)
        assert heard == ["a"]
        assert not pair.second.ledger()


@simulated()
async def test_a_handler_that_cancels_itself_lets_the_next_message_through(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []

        async def handler(text: str) -> None:
            heard.append(text)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        there.on("message", handler)
        await say(here, *"ab")
        await until(lambda: heard == ["a", "b"])


@simulated()
async def test_unread_messages_are_handled_after_the_end(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        heard: list[str] = []
        await say(here, *"ab")
        reading = asyncio.create_task(pair.second.wait_closed())
        await pair.first.close()
        await reading
        there.on("message", heard.append)
        await until(lambda: heard == ["a", "b"])


@simulated()
@pytest.mark.parametrize("data", [b"\xff", "text"])
async def test_what_a_message_brings_about_is_done_at_once(world: World, data: bytes | str) -> None:
    async with connected(world) as pair:
        await opened(pair)
        shell = shell_of(pair.second)
        machine = shell.machine
        assert machine.active is not None
        shell.data_received(machine.active, machine.channels["data"].id, MessageEvent("message", data=data))
        assert pair.second.state == "closing" and not machine.actions and not machine.events


@simulated()
async def test_the_latest_reading_is_returned_and_those_before_it_are_taken(world: World) -> None:
    async with connected(world) as pair:
        here, there = await opened(pair)
        waiting = asyncio.create_task(there.latest())
        await here.send("0")
        assert await waiting == "0"
        await say(here, "1", "2", "3")
        await asyncio.sleep(1.0)
        assert await there.latest() == "3"
        assert there.receive_now() is None
        receipt = await pair.first.close()
        with pytest.raises(SessionClosedError):
            await there.latest()
    assert receipt.channels["data"].sent.delivered.messages == 4
    assert receipt.channels["data"].sent.unread.messages == 0
