"""Ten recorded troubles: `adieu explain` names the step and the cause of each, from one side and from both.

Each trouble is made by the real stack on virtual time. Its recordings go through JSON, as through a file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from adieu.explain import draw, read, tell
from adieu.session import Options
from adieu.session.machine.options import Ladder
from sim.stack.pair import fill
from sim.stack.rooms import house
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.explain import Story
    from adieu.session import Session
    from support.virtual import Pair, World

MIB = 1 << 20


def told(*sessions: Session) -> Story:
    """The story of these sides; that it can be told and drawn is checked each time."""
    story = tell([read(session.recording().to_json()) for session in sessions])
    picture = draw(story)
    ET.fromstring(picture)
    assert all(line.isprintable() for line in story.lines())
    return story


def only(story: Story, kind: str, side: str = "A") -> Any:
    (episode,) = story.find(kind, side)
    return episode


async def opened(pair: Pair) -> tuple[Any, Any]:
    return await asyncio.gather(pair.first.open("chat"), pair.second.open("chat"))


@simulated()
async def test_a_frozen_peer(world: World) -> None:
    async with world.sessions() as pair:
        await opened(pair)
        await asyncio.sleep(2.0)
        pair.ben.freeze()
        await asyncio.sleep(20.0)
        pair.ben.thaw()
        await asyncio.sleep(10.0)
        await pair.both("open")
        alone = only(told(pair.first), "silence")
        assert alone.cause == "frozen, network-lost", "one side alone cannot know"
        assert 18.0 <= alone.end - alone.start <= 26.0
        both = told(pair.first, pair.second)
        silence = only(both, "silence")
        assert silence.cause == "frozen"
        assert any("its program did not run from" in text for text in silence.sentences)
        stop = only(both, "stop", "B")
        assert abs(stop.start - silence.start) <= 1.1 and 18.0 <= stop.end - stop.start <= 22.0
        assert only(told(pair.second), "stop").cause == "suspended"


@simulated()
async def test_a_cut_that_heals_with_signaling(world: World) -> None:
    world.link(delay=0.01)
    async with world.sessions() as pair:
        await opened(pair)
        pair.cut()
        await asyncio.sleep(12.0)
        pair.cut(False)
        await pair.both("open")
        await asyncio.sleep(3.0)
        story = told(pair.first, pair.second)
        for side in "AB":
            silence = only(story, "silence", side)
            assert silence.cause == "network-lost"
            assert silence.step in {"an ICE restart", "a new connection", "the old connection"}
            assert any("the network lost them" in text for text in silence.sentences)
        assert only(told(pair.first), "silence").tried, "what was tried is named"


@simulated()
async def test_a_cut_that_heals_without_signaling(world: World) -> None:
    async with world.sessions() as pair:
        await opened(pair)
        pair.cut()
        pair.signaling.cut()
        await asyncio.sleep(7.0)
        pair.cut(False)
        await asyncio.sleep(2.9)
        pair.signaling.heal()
        await pair.both("open")
        await asyncio.sleep(3.0)
        silence = only(told(pair.first, pair.second), "silence")
        assert silence.cause == "network-lost"
        assert silence.step == "the old connection"
        assert 6.0 <= silence.end - silence.start <= 9.0


@simulated()
async def test_a_cut_for_good(world: World) -> None:
    async with world.sessions(options=Options(recovery=Ladder(give_up=30.0))) as pair:
        await opened(pair)
        pair.cut()
        await pair.first.wait_closed()
        await pair.second.wait_closed()
        story = told(pair.first, pair.second)
        silence = only(story, "silence")
        assert (silence.step, silence.cause) == ("given up", "network-lost")
        assert 28.0 <= silence.end - silence.start <= 32.0
        close = only(story, "close")
        assert close.cause in {"network-lost", "frozen, network-lost"}
        assert any("nobody: the connection was lost" in text for text in close.sentences)


@simulated()
async def test_a_slow_application(world: World) -> None:
    async with world.sessions(options=Options(closing_bound=2 * MIB)) as pair:
        here, _ = await opened(pair)
        await fill(here, 128, 65536)  # and nobody reads
        await pair.first.close("enough", timeout=3.0)
        await pair.second.wait_closed()
        for story in (told(pair.first, pair.second), told(pair.first), told(pair.second)):
            close = only(story, "close")
            assert (close.step, close.cause) == ("drain", "slow application")
            assert 2.0 <= close.end - close.start <= 3.1
            assert any("were not read: the reader is slow" in text for text in close.sentences)


@simulated()
async def test_a_large_queue_at_the_timeout(world: World) -> None:
    world.link(delay=0.02, rate=200_000.0)
    async with world.sessions() as pair:
        here, there = await opened(pair)
        heard: list[Any] = []
        there.on("message", heard.append)
        await fill(here, 64, 65536)
        await pair.first.close("enough", timeout=4.0)
        await pair.second.wait_closed()
        close = only(told(pair.first, pair.second), "close")
        assert (close.step, close.cause) == ("drain", "large queue")
        assert any("still queued or under way" in text for text in close.sentences)


@simulated()
async def test_a_reset_with_a_lost_message(world: World) -> None:
    """What the old connection had lost is sent again over the new one."""
    world.link(delay=0.01)
    async with world.sessions() as pair:
        here, there = await opened(pair)
        heard: list[Any] = []
        there.on("message", heard.append)
        world.link(loss=1.0)
        await here.send("lost on the way")
        await asyncio.sleep(0.1)
        asking = asyncio.ensure_future(pair.first.reset("transport"))
        await asyncio.sleep(0.5)
        world.link(delay=0.01)
        await asking
        await asyncio.sleep(1.0)
        assert heard == ["lost on the way"]
        reset = only(told(pair.first, pair.second), "reset")
        assert (reset.step, reset.cause) == ("replay", "messages lost")
        assert any("sent again over the new connection" in text for text in reset.sentences)
        assert any("said again by signaling" in text for text in reset.sentences)
        assert 0.5 <= reset.end - reset.start <= 5.0


@simulated()
async def test_a_crashed_peer(world: World) -> None:
    async with world.sessions() as pair:
        await opened(pair)
        await asyncio.sleep(3.0)
        died = world.now
        before = pair.second.recording().to_json()  # as it would have been on a disk
        pair.ben.die()
        await pair.first.wait_closed()
        story = told(pair.first)
        silence = only(story, "silence")
        assert (silence.step, silence.cause) == ("given up", "crashed")
        assert silence.start <= died <= silence.end
        close = only(story, "close")
        assert close.cause == "crashed"
        assert any("(likely)" in text for text in close.sentences)
        merged = tell([read(pair.first.recording().to_json()), read(before)])
        assert only(merged, "silence").cause == "crashed"
        assert any("without a goodbye" in text for text in only(merged, "silence").sentences)


@simulated()
async def test_a_server_that_is_started_again(world: World) -> None:
    async with house(world) as rooms:
        ada, ben = await rooms.enter("a", name="Ada"), await rooms.enter("b", name="Ben")
        await asyncio.sleep(2.0)
        (one,), (other,) = ada.sessions, ben.sessions
        for member in (ada, ben):
            rooms.server.lose(member.client)
        await asyncio.sleep(5.0)
        rooms.server.restart("c", "d")
        await asyncio.sleep(5.0)
        assert one.state == other.state == "open"
        story = told(one, other)
        for side in "AB":
            server = only(story, "server", side)
            assert (server.step, server.cause) == ("signaling", "server restarted")
            assert 4.9 <= server.end - server.start <= 6.0
        assert not story.find("silence"), "the session did not feel it"


@simulated()
async def test_a_clock_that_jumps(world: World) -> None:
    """The program does not run for a minute, while its computer and its network go on: a debugger, a long call."""
    async with world.sessions() as pair:
        await opened(pair)
        await asyncio.sleep(2.0)
        pair.ada.stop()
        await asyncio.sleep(40.0)
        pair.ada.go_on()
        await pair.both("open")
        await asyncio.sleep(5.0)
        stop = only(told(pair.first), "stop")
        assert (stop.step, stop.cause) == ("this program", "suspended")
        assert 38.0 <= stop.end - stop.start <= 42.0
        story = told(pair.second, pair.first)
        silence = only(story, "silence")
        assert silence.cause == "frozen"
        assert any("B shows why: its program did not run" in text for text in silence.sentences)


@simulated()
async def test_both_close_at_once(world: World) -> None:
    world.link(delay=0.05)
    async with world.sessions() as pair:
        await opened(pair)
        await asyncio.gather(pair.first.close("one"), pair.second.close("two"))
        story = told(pair.first, pair.second)
        for side in "AB":
            close = only(story, "close", side)
            assert close.cause == "both at once"
            assert any("both closed at the same time" in text for text in close.sentences)


@simulated()
async def test_a_closing_handler_that_takes_its_time(world: World) -> None:
    async with world.sessions() as pair:
        await opened(pair)

        async def think(_: Any) -> None:
            await asyncio.sleep(2.0)

        pair.second.on("closing", think)
        await pair.first.close()
        await pair.second.wait_closed()
        close = only(told(pair.first, pair.second), "close")
        assert (close.step, close.cause) == ("drain", "other side's last words")
        assert only(told(pair.second), "close").cause == "own last words"
