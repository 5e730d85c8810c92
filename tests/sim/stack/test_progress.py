"""The steps of a close or a reset that a program watches, and files by their names, over real engines."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.protocol.control import CHUNK
from adieu.session.session import shell_of
from sim.stack.pair import connected, fill, numbers
from support.virtual import simulated

if TYPE_CHECKING:
    from pathlib import Path

    from support.virtual import World

pytestmark = pytest.mark.usefixtures("threads_at_once")


@simulated(limit=1000)
async def test_a_close_tells_its_steps_and_what_is_under_way(world: World) -> None:
    world.link(loss=0.01, delay=0.05, rate=2_000_000)
    async with connected(world) as pair:
        told: list[adieu.ProgressEvent] = []
        there: list[adieu.ProgressEvent] = []
        pair.first.on("progress", told.append)
        pair.second.on("progress", there.append)
        here, other = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        listening = asyncio.create_task(numbers(other))
        await fill(here, 64, 65536)
        receipt = await pair.first.close("done", timeout=60.0)
        assert receipt.path == "graceful"
        assert len(await listening) == 64
        assert [event.step for event in told][-2:] == ["channels", "connection"]
        drains = [event for event in told if event.step == "drain"]
        assert len(drains) > 8
        assert [event.bytes for event in drains] == sorted((event.bytes for event in drains), reverse=True)
        assert drains[0].messages > 8 >= told[-1].messages == 0
        assert all(event.work == "close" and event.level is None and event.files == () for event in told)
        assert max(event.incoming for event in there) > 8


@simulated(limit=100)
async def test_a_reset_tells_its_level_and_its_steps(world: World) -> None:
    async with connected(world) as pair:
        told: list[adieu.ProgressEvent] = []
        pair.first.on("progress", told.append)
        await pair.second.reset("full")
        assert {(event.work, event.level) for event in told} == {("reset", "full")}
        assert "building" in {event.step for event in told}


@simulated(limit=100)
async def test_nothing_is_counted_before_anybody_listens_or_after(world: World) -> None:
    async with connected(world) as pair:
        machine = shell_of(pair.first).machine
        assert machine.watch is None
        told: list[adieu.ProgressEvent] = []
        pair.first.on("progress", told.append)
        assert machine.watch is not None
        pair.first.off("progress", told.append)
        assert machine.watch is None
        await pair.first.reset()
        assert told == []


@simulated(limit=100)
async def test_a_slow_handler_hears_the_newest_and_no_queue(world: World) -> None:
    """And a handler of `closing` that takes its time does not keep it back."""
    world.link(rate=100_000)
    async with connected(world) as pair:
        seconds: list[float] = []

        async def slow(event: adieu.ProgressEvent) -> None:
            seconds.append(event.seconds)
            await asyncio.sleep(2.0)

        pair.second.on("closing", lambda _: asyncio.sleep(4.0))
        pair.second.on("progress", slow)
        channel = await pair.second.open("data")
        await channel.send(bytes(600_000))
        await pair.first.close(timeout=10.0)
        assert 2 <= len(seconds) <= 6
        assert all(before - after > 1.9 for before, after in itertools.pairwise(seconds))


@simulated(limit=1000)
async def test_both_name_a_file_that_was_cut_off_and_it_goes_on(world: World, tmp_path: Path) -> None:
    world.link(rate=2_000_000)
    path = tmp_path / "film.mp4"
    path.write_bytes(os.urandom(20 * CHUNK))
    async with connected(world) as pair:
        told: list[adieu.ProgressEvent] = []
        pair.first.on("progress", told.append)
        coming: list[asyncio.Task[Path]] = []
        there: list[adieu.IncomingFile] = []

        def take(file: adieu.IncomingFile) -> None:
            there.append(file)
            coming.append(asyncio.ensure_future(file.accept(tmp_path / "here")))

        (tmp_path / "here").mkdir()
        pair.second.on("file", take)
        transfer = await pair.first.send_file(path)
        while transfer.done < 3 * CHUNK:
            await asyncio.sleep(0.1)
        one = await pair.first.close(timeout=1.0)
        other = await pair.second.wait_closed()
        with pytest.raises(adieu.TransferError):
            await transfer.wait()
        with pytest.raises(adieu.TransferError):
            await coming[0]
        (mine,), (theirs,) = one.partial, other.partial
        assert (mine.name, mine.size, mine.sent) == ("film.mp4", 20 * CHUNK, True)
        assert (theirs.name, theirs.sent) == ("film.mp4", False)
        assert 3 * CHUNK <= mine.done <= 19 * CHUNK
        assert one.notice == f"You left second. {100 * mine.done // mine.size} % of film.mp4 was sent."
        assert other.notice == f"first left. {100 * theirs.done // theirs.size} % of film.mp4 arrived."
        for receipt in (one, other):
            assert not receipt.clean
            assert "message" not in receipt.notice, "pieces are not counted as messages"
            assert receipt.channels == {}
            assert '"partial":[{' in receipt.to_json()
        assert all(event.messages == event.bytes == 0 for event in told)
        assert {file.name for event in told for file in event.files} == {"film.mp4"}
    async with connected(world) as pair:
        pair.second.on("file", take)
        transfer = await pair.first.send_file(path)
        await transfer.wait()
        assert (await coming[1]).read_bytes() == path.read_bytes()
        one = await pair.first.close()
        assert one.partial == () and one.clean
        assert one.notice == "You left second. The file film.mp4 was delivered."
