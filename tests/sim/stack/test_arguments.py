"""What a program gives to a session, and what it should not, on virtual time."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import adieu
from adieu.session import Options
from adieu.signaling import memory_signaling
from sim.stack.pair import connected
from sim.stack.rooms import house
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.virtual import World

HALVES = ["see you \ud83d", "\udc4b", "\udc4b\ud83d", "a\ud83d" * 2000, "\udcff.bin", "\ud83d\udc4b"]


def mended(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- texts ------------------------------------------------------------------------------------------------------------


@simulated()
@pytest.mark.parametrize("text", HALVES)
async def test_a_reason_that_is_no_unicode_is_repaired_and_both_sides_agree(world: World, text: str) -> None:
    async with connected(world) as pair:
        receipt = await asyncio.wait_for(pair.first.close(text), 6)
        other = await asyncio.wait_for(pair.second.wait_closed(), 6)
        assert receipt.agreed == other.agreed and receipt.clean
        assert receipt.reason.text == other.reason.text == mended(text[:1024])


@simulated()
@pytest.mark.parametrize("text", HALVES)
async def test_channels_and_messages_that_are_no_unicode_are_repaired(world: World, text: str) -> None:
    name = text[:128]
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open(name), pair.second.open(name))
        assert here.name == there.name == mended(name)
        await here.send(text)
        assert await there.receive() == mended(text)
        assert (await pair.first.close()).clean


@simulated()
async def test_a_wait_with_a_broken_reason_is_asked_and_granted(world: World) -> None:
    asked: list[tuple[str, float]] = []

    def on_wait(reason: str, seconds: float) -> bool:
        asked.append((reason, seconds))
        return True

    async with connected(world, on_wait=on_wait) as pair:

        @pair.second.on("closing")
        async def _(event: adieu.ClosingEvent) -> None:
            for wrong in (float("nan"), float("inf"), -1.0):
                with pytest.raises(ValueError, match="more seconds"):
                    event.wait(wrong, "x")
            event.wait(8.0, "not yet \ud83d")
            await asyncio.sleep(6.0)

        receipt = await pair.first.close("bye", timeout=2.0)
        assert asked == [("not yet \ufffd", 8.0)]
        assert receipt.clean


@simulated()
@pytest.mark.parametrize("text", HALVES)
async def test_an_error_whose_text_is_no_unicode_ends_nothing_else(world: World, text: str) -> None:
    here, there = memory_signaling()

    def connect() -> Any:
        raise OSError(text)

    one = adieu.Session(connect=connect, signaling=here, role="first")
    host = world.host("10.0.0.1")
    other = adieu.Session(connect=lambda: world.connection(host), signaling=there, role="second")
    other.start()
    one.start()
    for session in (one, other):
        receipt = await asyncio.wait_for(session.wait_closed(), 5)
        assert receipt.reason.text == mended(text[:1024])
        await session.end()
    world.errors.clear()


@simulated()
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -0.1])
async def test_a_close_with_a_time_that_is_none_changes_nothing(world: World, seconds: float) -> None:
    async with connected(world) as pair:
        with pytest.raises(ValueError, match=f"timeout must be 0 or more seconds, not {seconds}"):
            await pair.first.close("bye", timeout=seconds)
        with pytest.raises(TypeError):
            await pair.first.close(5)  # type: ignore[arg-type]
        assert pair.first.state == "open"
        assert (await pair.first.close("bye")).clean


@simulated()
@pytest.mark.parametrize("name", ["", "x" * 129])
async def test_a_name_beyond_its_bounds_is_refused_with_both(world: World, name: str) -> None:
    async with connected(world) as pair:
        with pytest.raises(ValueError, match=rf"a channel's name must have 1 to 128 characters, not {len(name)}"):
            await pair.first.open(name)
        with pytest.raises(TypeError, match="must be text, not bytes"):
            await pair.first.open(b"chat")  # type: ignore[arg-type]


# --- connections ------------------------------------------------------------------------------------------------------


@simulated()
@pytest.mark.parametrize("role", ["first", "second"])
@pytest.mark.parametrize("what", ["connected", "closed", "offered", "coroutine", "nothing", "twice"])
async def test_a_connection_that_is_not_new_is_an_error_at_once(world: World, role: Any, what: str) -> None:
    one, two = world.pair()
    ready: Callable[[], Any] = lambda: one  # noqa: E731
    if what == "connected":
        one.createDataChannel("mine")
        await world.connect(one, two)
    elif what == "closed":
        one.close()
    elif what == "offered":
        one.createDataChannel("mine")
        await one.setLocalDescription()
    elif what == "nothing":
        ready = lambda: None  # noqa: E731
    elif what == "coroutine":

        async def later() -> Any:
            return one

        ready = later
    here, there = memory_signaling()
    host = world.host("10.0.0.9")
    mine = adieu.Session(connect=ready, signaling=here, role=role, name="Ben")
    other = adieu.Session(
        connect=lambda: world.connection(host), signaling=there, role="second" if role == "first" else "first"
    )
    began = world.now
    mine.start()
    other.start()
    if what == "twice":
        await asyncio.gather(mine.wait_open(), other.wait_open())
        with pytest.raises(adieu.ResetFailedError):
            await mine.reset()
        assert mine.state == "open"
        await mine.close()
    else:
        said = r"connect\(\) gave .*(in use already|is closed|a plain function)"
        with pytest.raises(adieu.SessionClosedError, match=said):
            await mine.wait_open()
        assert world.now - began < 1.0
        if what == "connected":
            assert one.connectionState == "connected"  # it is the caller's, and stays so
    await asyncio.wait_for(other.wait_closed(), 2)
    for session in (mine, other):
        await session.end()
    one.close()
    two.close()
    world.errors.clear()


@simulated()
async def test_what_makes_no_connections_is_refused(world: World) -> None:
    here, _ = memory_signaling()
    pc, _ = world.pair()
    for wrong in (pc, None, "pc"):
        with pytest.raises(TypeError, match="a function that makes a new RTCPeerConnection"):
            adieu.Session(connect=wrong, signaling=here, role="first")  # type: ignore[arg-type]
        if wrong is not None:
            with pytest.raises(TypeError, match="a function that makes"):
                async with adieu.join("ws://127.0.0.1:9/ws", room="lab", connect=wrong):  # type: ignore[arg-type]
                    pass


# --- signaling of one's own -------------------------------------------------------------------------------------------


class Air:
    """As a broadcast: what is said while nobody listens is lost; and each of `lost`, by its number."""

    def __init__(self, lost: set[int], delay: float = 0.0) -> None:
        self.lost = lost
        self.delay = delay
        self.said = 0
        self.due = 0.0
        self.ends = (AirEnd(self), AirEnd(self))


def _after(air: Air) -> float:
    """When what is said now arrives: in order."""
    air.due = max(air.due + 1e-6, asyncio.get_running_loop().time() + air.delay)
    return air.due


class AirEnd:
    def __init__(self, air: Air) -> None:
        self._air = air
        self.listens = False
        self.sent = 0
        self._heard: deque[Any] = deque()
        self._woken = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent += 1
        self._air.said += 1
        [other] = [end for end in self._air.ends if end is not self]
        if other.listens and self._air.said not in self._air.lost:
            asyncio.get_running_loop().call_at(_after(self._air), other.hear, message)

    def hear(self, message: dict[str, Any]) -> None:
        self._heard.append(message)
        self._woken.set()

    async def receive(self) -> dict[str, Any]:
        self.listens = True
        while not self._heard:
            self._woken.clear()
            await self._woken.wait()
        return self._heard.popleft()


@simulated()
@pytest.mark.parametrize("late", ["first", "second"])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 7.02, 7.77, 50.5])
async def test_own_signaling_opens_within_a_second_however_late_the_other_side_starts(
    world: World, late: str, seconds: float
) -> None:
    world.link(delay=0.02)
    air = Air(set())
    one, two = world.hosts()
    first = adieu.Session(connect=lambda: world.connection(one), signaling=air.ends[0], role="first")
    second = adieu.Session(connect=lambda: world.connection(two), signaling=air.ends[1], role="second")
    early, other = (second, first) if late == "first" else (first, second)
    early.start()
    await asyncio.sleep(seconds)
    began = world.now
    other.start()
    await asyncio.gather(first.wait_open(), second.wait_open())
    assert world.now - began < 1.0
    said = air.said
    await asyncio.sleep(30.0)
    assert air.said == said  # nothing is said again that was heard
    await first.close()
    assert (await second.wait_closed()).clean
    for session in (first, second):
        await session.end()


@simulated()
@pytest.mark.parametrize("lost", [{number} for number in range(1, 9)] + [{1, 2, 3}, {2, 4, 6, 8}])
async def test_own_signaling_that_loses_a_message_costs_seconds_at_most(world: World, lost: set[int]) -> None:
    air = Air(lost)
    one, two = world.hosts()
    first = adieu.Session(connect=lambda: world.connection(one), signaling=air.ends[0], role="first")
    second = adieu.Session(connect=lambda: world.connection(two), signaling=air.ends[1], role="second")
    for session in (second, first):
        session.start()
    await asyncio.wait_for(asyncio.gather(first.wait_open(), second.wait_open()), 4)
    assert first.epoch == 1
    await first.close()
    await second.wait_closed()
    for session in (first, second):
        await session.end()


@simulated()
async def test_own_signaling_that_is_slower_than_the_saying_again_opens_once(world: World) -> None:
    air = Air(set(), delay=1.7)
    one, two = world.hosts()
    first = adieu.Session(connect=lambda: world.connection(one), signaling=air.ends[0], role="first")
    second = adieu.Session(connect=lambda: world.connection(two), signaling=air.ends[1], role="second")
    states: list[str] = []
    for session in (second, first):
        session.on("state", lambda event: states.append(event.state))
        session.start()
    await asyncio.wait_for(asyncio.gather(first.wait_open(), second.wait_open()), 8)
    await asyncio.sleep(10)
    assert states == ["open", "open"] and first.epoch == second.epoch == 1
    await first.close()
    await second.wait_closed()
    for session in (first, second):
        await session.end()


@simulated()
async def test_nobody_is_called_for_ever(world: World) -> None:
    air = Air(set())
    host = world.host("10.0.0.1")
    first = adieu.Session(
        connect=lambda: world.connection(host),
        signaling=air.ends[0],
        role="first",
        options=Options(connect_timeout=10.0),
    )
    first.start()
    assert (await first.wait_closed()).cause == "gave-up"
    await asyncio.sleep(1)
    said = air.said
    assert said < 100
    await asyncio.sleep(60)
    assert air.said == said
    await first.end()


@simulated()
async def test_an_error_about_an_ended_session_has_its_receipt(world: World) -> None:
    async with connected(world) as pair:
        chat, _ = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        for message, remedy in (({"x": 1}, "json"), (np.zeros(2), "tobytes")):
            with pytest.raises(TypeError, match=remedy):
                await chat.send(message)  # type: ignore[call-overload]
        receipt = await pair.first.close("done")
        for late in (chat.send("late"), pair.first.open("other")):
            with pytest.raises(adieu.SessionClosedError, match="the session has ended: You left") as caught:
                await late
            assert caught.value.receipt is receipt


# --- channels, threads, and blocks that an error ends -----------------------------------------------------------------


@simulated()
@pytest.mark.parametrize(
    "options",
    [
        {"ordered": "no"},
        {"ordered": 0},
        {"ordered": None},
        {"max_retransmits": 1.5},
        {"max_retransmits": "3"},
        {"max_retransmits": True},
        {"max_retransmits": 70000},
        {"max_packet_life_time": -1},
        {"max_packet_life_time": 20.0},
        {"max_packet_life_time": 1, "max_retransmits": 1},
    ],
)
async def test_a_wrong_option_of_a_channel_costs_nothing(world: World, options: dict[str, Any]) -> None:
    async with connected(world) as pair:
        with pytest.raises((TypeError, ValueError), match="|".join(options)):
            await pair.first.open("orders", **options)
        await asyncio.sleep(1.0)
        orders, other = await asyncio.gather(pair.first.open("orders"), pair.second.open("orders"))
        await orders.send("land")
        assert await other.receive() == "land"


@simulated()
async def test_each_call_from_another_thread_says_how_it_is_made(world: World) -> None:
    async with connected(world) as pair:
        chat, _ = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        track = adieu.media.AudioSource().track
        calls: list[Callable[[], object]] = [
            lambda: pair.first.add_track(track),
            lambda: pair.first.remove_track(track),
            lambda: pair.first.on("state", print),
            lambda: pair.first.hint("network-changed"),
            lambda: chat.on("message", print),
            lambda: asyncio.run(chat.send("hello")),
            lambda: asyncio.run(chat.close()),
            lambda: asyncio.run(pair.first.open("other")),
            lambda: asyncio.run(pair.first.send_file(b"hello", name="hello.txt")),
            lambda: asyncio.run(pair.first.send_folder("/dev")),
            lambda: asyncio.run(pair.first.reset()),
            lambda: asyncio.run(pair.first.close()),
        ]

        def work() -> None:
            for call in calls:
                with pytest.raises(RuntimeError, match="run_coroutine_threadsafe.*call_soon_threadsafe"):
                    call()

        with ThreadPoolExecutor() as threads:
            threads.submit(work).result()
        assert pair.first.state == "open"


@simulated()
@pytest.mark.parametrize(
    ("error", "reason"),
    [(asyncio.CancelledError, ""), (KeyboardInterrupt, ""), (ZeroDivisionError, "ZeroDivisionError")],
)
async def test_a_program_that_is_stopped_leaves_without_the_name_of_an_error(
    world: World, error: type[BaseException], reason: str
) -> None:
    async with connected(world) as pair:
        await pair.first.__aexit__(error, error(), None)
        receipt = await pair.second.wait_closed()
        assert receipt.reason.text == reason and receipt.clean


def test_a_block_that_is_written_with_with_alone_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"write `async with adieu\.join"), adieu.join("ws://x/ws", room="lab"):  # type: ignore[attr-defined]
        pass


# --- questions to the program -----------------------------------------------------------------------------------------


async def not_at_once(reason: str, seconds: float) -> bool:
    return bool(reason) and seconds > 0


def broken(reason: str, seconds: float) -> bool:
    raise RuntimeError(f"{reason} {seconds}")


@pytest.mark.parametrize(("on_wait", "why"), [(not_at_once, "True or False at once"), (broken, "a moment 30")])
@simulated()
async def test_a_wait_that_nobody_answers_at_once_is_not_granted_and_reported(
    world: World, on_wait: Callable[..., bool], why: str
) -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with connected(world, on_wait=on_wait) as pair:

        async def last_words(event: adieu.ClosingEvent) -> None:
            event.wait(30.0, "a moment")
            await asyncio.sleep(20.0)

        pair.second.on("closing", last_words)
        begun = asyncio.get_running_loop().time()
        await pair.first.close(timeout=2.0)
        assert asyncio.get_running_loop().time() - begun < 3.0
    assert [why in str(context["exception"]) and "on_wait()" in context["message"] for context in told] == [True]


@simulated()
async def test_a_broadcast_on_a_channel_that_cannot_be_says_so_to_the_caller(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1", name="ada"), await made.enter("b1", name="ben")
        await asyncio.gather(ada.room.session(), ben.room.session())
        with pytest.raises(ValueError, match="a channel's name must have 1 to 128 characters"):
            await ada.room.broadcast("", "hello")
        with pytest.raises(TypeError, match="a channel's name must be text, not int"):
            await ada.room.broadcast(5, "hello")  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["session", "channel"])
@simulated()
async def test_a_close_may_have_all_the_time_there_is(world: World, what: str) -> None:
    async with connected(world) as pair:
        channel, _ = await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))
        closing = channel if what == "channel" else pair.first
        await asyncio.wait_for(closing.close(timeout=1e300), 5)
        assert pair.second.state == "open" if what == "channel" else (await pair.second.wait_closed()).clean
        assert "wrong control message" not in str(pair.second.receipt)
