"""The five steps and resets on real sockets, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.protocol.words import Total
from support.made import channels_made

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
BLOCK = 65536
BLOCKS = 128


async def fill(channel: adieu.Channel, blocks: int = BLOCKS) -> None:
    """8 MiB, accepted at once."""
    for number in range(1, blocks + 1):
        await channel.send(number.to_bytes(4) + bytes(BLOCK - 4))


async def numbers(channel: adieu.Channel) -> list[int]:
    return [int.from_bytes(data[:4]) async for data in channel]


@pytest.mark.parametrize("closer", ["first", "second", "both"])
async def test_eight_mib_in_flight_both_ways_arrive_and_both_hold_one_receipt(closer: str) -> None:
    async with adieu.memory_pair() as (first, second):
        here, there = await asyncio.gather(first.open("data"), second.open("data"))
        listeners = [asyncio.create_task(numbers(channel)) for channel in (here, there)]
        await asyncio.gather(fill(here), fill(there))
        began = time.monotonic()
        knew: list[float] = []
        for session in (first, second):
            session.on("state", lambda event: knew.append(time.monotonic()) if event.state == "closing" else None)
        closing = {"first": [first], "second": [second], "both": [first, second]}[closer]
        await asyncio.gather(*(session.close("done", timeout=30.0) for session in closing))
        one, other = await asyncio.gather(first.wait_closed(), second.wait_closed())
        assert max(knew) - began <= 1.0
        assert one.agreed == other.agreed
        assert one.id == other.id
        assert one.clean and other.clean and one.path == other.path == "graceful"
        assert {step.name for step in one.steps} == {"announce", "drain", "channels", "connection", "clean-up"}
        assert not one.ledger and not other.ledger
        for receipt in (one, other):
            for account in (receipt.channels["data"].sent, receipt.channels["data"].received):
                assert account.delivered.messages == BLOCKS
                assert account.delivered.bytes == BLOCKS * BLOCK
        for heard in await asyncio.gather(*listeners):
            assert heard == list(range(1, BLOCKS + 1))
        assert await first.close() is one


async def test_twenty_resets_during_a_two_way_stream_lose_and_double_nothing() -> None:
    async with adieu.memory_pair() as (first, second):
        here, there = await asyncio.gather(first.open("stream"), second.open("stream"))
        going = True
        sent = {"first": 0, "second": 0}

        async def send(name: str, channel: adieu.Channel) -> None:
            while going:
                sent[name] += 1
                await channel.send(sent[name].to_bytes(4) + bytes(2000))
                if sent[name] % 16 == 0:
                    await asyncio.sleep(0)

        listeners = [asyncio.create_task(numbers(channel)) for channel in (here, there)]
        senders = [asyncio.create_task(send("first", here)), asyncio.create_task(send("second", there))]
        for number in range(20):
            report = await (first, second)[number % 2].reset("transport")
            assert report.epoch == number + 2
            while first.state != "open" or second.state != "open":
                await asyncio.sleep(0.005)
        going = False
        await asyncio.gather(*senders)
        receipt = await first.close(timeout=30.0)
        assert receipt.clean
        heard_first, heard_second = await asyncio.gather(*listeners)
        assert heard_second == list(range(1, sent["first"] + 1))
        assert heard_first == list(range(1, sent["second"] + 1))


async def test_each_level_of_reset_and_all_at_once() -> None:
    async with adieu.memory_pair() as (first, second):
        here, there = await asyncio.gather(first.open("chat"), second.open("chat"))
        for level in ("ice", "transport", "full"):
            old = first.pc
            report = await first.reset(level)  # type: ignore[arg-type]
            assert report.level == level
            assert (first.pc is old) is (level == "ice")
            await here.send(level)
            assert await there.receive() == level
        reports = await asyncio.gather(first.reset("full"), second.reset("transport"), first.reset("ice"))
        assert len({report.epoch for report in reports}) == 1


async def test_last_words() -> None:
    async with adieu.memory_pair() as (first, second):
        here, there = await asyncio.gather(first.open("chat"), second.open("chat"))

        @second.on("closing")
        async def _(event: adieu.ClosingEvent) -> None:
            assert event.reason.text == "must go"
            await there.send("thanks, bye")
            await second.wait_closed()  # counts as the handler's end

        receipt = await first.close("must go")
        assert receipt.clean
        assert receipt.channels["chat"].received.unread == Total(1, 11)  # it is read only now
        assert [message async for message in here] == ["thanks, bye"]
        assert receipt.notice == "You left second (must go). 1 of their messages was not read yet."
        notice = (await second.wait_closed()).notice
        assert notice == "first left (must go). 1 of your messages was delivered; 1 of them was not read yet."


async def test_delivered_says_that_it_was_taken() -> None:
    """Closing rule S5."""
    async with adieu.memory_pair() as (first, second):
        here, there = await asyncio.gather(first.open("chat"), second.open("chat"))
        sent = await here.send("hello")
        waiting = asyncio.create_task(sent.delivered())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await there.receive() == "hello"
        await asyncio.wait_for(waiting, 1.0)
        late = await here.send("never read")
        await first.close()
        await late.delivered()  # safe in the queue of the other side
        assert await there.receive() == "never read"
        with pytest.raises(adieu.SessionClosedError):
            await there.receive()


async def test_cancelling_the_last_close_makes_it_abrupt_and_keeps_the_receipt() -> None:
    async with adieu.memory_pair() as (first, second):
        here, _ = await asyncio.gather(first.open("chat"), second.open("chat"))
        second.on("closing", lambda _: asyncio.sleep(60))
        await here.send("x")
        closing = asyncio.create_task(first.close(timeout=60.0))
        await asyncio.sleep(0.1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        receipt = await asyncio.wait_for(first.wait_closed(), 2.0)
        assert receipt.path == "abrupt"
        other = await asyncio.wait_for(second.wait_closed(), 3.0)
        assert other.id == receipt.id


async def test_a_file_arrives_through_a_reset(tmp_path: Path) -> None:
    source, target = tmp_path / "a.bin", tmp_path / "there"
    target.mkdir()
    data = os.urandom(8 << 20)
    source.write_bytes(data)
    async with adieu.memory_pair() as (first, second):
        kept: asyncio.Future[Path] = asyncio.get_running_loop().create_future()
        second.on("file", lambda file: take(file, target, kept))
        transfer = await first.send_file(source)
        halfway = asyncio.Event()
        transfer.on("progress", lambda t: halfway.set() if t.done > t.size // 4 else None)
        await halfway.wait()
        await first.reset()
        await transfer.wait()
        path = await kept
        assert path.read_bytes() == data
        again = await first.send_file(source)
        await again.wait()
        assert sorted(p.name for p in target.iterdir()) == ["a (1).bin", "a.bin"]


async def take(file: adieu.IncomingFile, folder: Path, kept: asyncio.Future[Path]) -> None:
    path = await file.accept(folder)
    if not kept.done():
        kept.set_result(path)


async def test_a_file_goes_on_where_an_ended_session_left_it(tmp_path: Path) -> None:
    source, target = tmp_path / "a.bin", tmp_path / "there"
    target.mkdir()
    data = os.urandom(64 << 20)
    source.write_bytes(data)
    async with adieu.memory_pair() as (first, second):
        kept: asyncio.Future[Path] = asyncio.get_running_loop().create_future()
        failed = asyncio.create_task(expect_failure(second, target))
        transfer = await first.send_file(source)
        halfway = asyncio.Event()
        transfer.on("progress", lambda t: halfway.set() if t.done > t.size // 4 else None)
        await halfway.wait()
        await first.close(timeout=0)
        await failed
        with pytest.raises(adieu.TransferError, match="the session ended"):
            await transfer.wait()
    (part,) = target.iterdir()
    had = part.stat().st_size
    assert 0 < had < len(data)
    async with adieu.memory_pair() as (first, second):
        kept = asyncio.get_running_loop().create_future()
        offsets: list[int] = []
        second.on("file", lambda file: take(file, target, kept))
        transfer = await first.send_file(source)
        transfer.on("progress", lambda t: offsets.append(t.done))
        await transfer.wait()
        assert (await kept).read_bytes() == data
        assert min(offsets) >= had


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_receiver_that_gives_up_lets_go_of_the_file(tmp_path: Path, turns: int) -> None:
    """Cancelled at any point; a handle that nobody closes is an error of the test run itself."""
    source, target = tmp_path / "a.bin", tmp_path / "there"
    target.mkdir()
    source.write_bytes(os.urandom(1 << 20))
    async with adieu.memory_pair() as (first, second):
        offered: asyncio.Future[adieu.IncomingFile] = asyncio.get_running_loop().create_future()
        release = asyncio.Event()

        @second.on("file")
        async def _(file: adieu.IncomingFile) -> None:
            offered.set_result(file)
            await release.wait()

        transfer = await first.send_file(source)
        accepting = asyncio.create_task((await offered).accept(target))
        for _turn in range(turns):
            await asyncio.sleep(0)
        accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await accepting
        release.set()
        with contextlib.suppress(adieu.TransferError):
            await transfer.wait()
    gc.collect()


async def expect_failure(session: adieu.Session, folder: Path) -> None:
    offered: asyncio.Future[adieu.IncomingFile] = asyncio.get_running_loop().create_future()

    @session.on("file")
    async def _(file: adieu.IncomingFile) -> None:
        offered.set_result(file)
        with contextlib.suppress(adieu.TransferError):
            await file.accept(folder)

    await offered
    await session.wait_closed()


async def test_refused_files_and_nobody_who_takes_them(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    async with adieu.memory_pair() as (first, second):
        with pytest.raises(adieu.TransferError, match="no handler for files on this side"):
            await (await first.send_file(tmp_path / "a.bin")).wait()
        second.on("file", lambda file: file.refuse("no, thanks"))
        with pytest.raises(adieu.TransferError, match="no, thanks"):
            await (await first.send_file(tmp_path / "a.bin")).wait()


async def test_a_connection_closed_by_the_application_ends_the_session() -> None:
    async with adieu.memory_pair() as (first, second):
        assert first.pc is not None
        began = time.monotonic()
        first.pc.close()
        one, other = await asyncio.gather(first.wait_closed(), second.wait_closed())
        assert time.monotonic() - began < 1.5
        assert one.cause == other.cause == "connection-closed"
        assert one.by == "local" and other.by == "remote"


@pytest.mark.parametrize("label", ["adieu", "data"])
async def test_a_data_channel_closed_by_the_application_ends_the_session(label: str) -> None:
    """Each side says who did it: the one that closes gets no `closing` (closing rules 37, 42)."""
    with channels_made() as made:
        async with adieu.memory_pair() as (first, second):
            here, there = await asyncio.gather(first.open("data"), second.open("data"))
            await here.send("x")
            assert await there.receive() == "x"
            [channel] = [channel for pc, channel in made if pc is first.pc and channel.label == label]
            channel.close()
            one, other = await asyncio.wait_for(asyncio.gather(first.wait_closed(), second.wait_closed()), 5.0)
            assert one.cause == other.cause == "connection-closed"
            assert one.by == "local" and other.by == "remote"


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() <= before


async def test_nothing_is_left_after_a_close_closing_rule_s9() -> None:
    async with nothing_left():
        async with adieu.memory_pair() as (first, second):
            here, there = await asyncio.gather(first.open("chat"), second.open("chat"))
            there.on("message", lambda message: None)
            await (await here.send("x")).delivered()
        assert not first.ledger(), str(first.ledger())
        assert not second.ledger(), str(second.ledger())


async def test_errors_name_the_value_and_the_remedy() -> None:
    async with adieu.memory_pair() as (first, _):
        with pytest.raises(ValueError, match="1 to 128 characters, not 0"):
            await first.open("")
        with pytest.raises(ValueError, match="not both"):
            await first.open("x", max_retransmits=1, max_packet_life_time=1)
        with pytest.raises(ValueError, match="0 to 65535"):
            await first.open("x", max_retransmits=-1)
        with pytest.raises(ValueError, match="'ice', 'transport' or 'full'"):
            await first.reset("hard")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="it has channel, closed"):
            first.on("clsoed", print)
        channel = await first.open("x")
        with pytest.raises(TypeError, match="str or bytes, not int"):
            await channel.send(1)  # type: ignore[arg-type]
        with pytest.raises(adieu.ChannelError, match="limit is 16777216"):
            await channel.send(bytes((16 << 20) + 1))
