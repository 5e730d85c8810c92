"""Sessions over real engines when something is wrong, on virtual time."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.session import Options
from adieu.session.session import shell_of
from adieu.signaling import memory_signaling
from sim.stack.pair import connected, fill, numbers
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.session.receipt import Receipt
    from support.virtual import World

MIB = 1 << 20


def adds_up(receipt: Receipt) -> None:
    for channel in receipt.channels.values():
        sent = channel.sent
        assert sent.accepted is not None and sent.unknown is not None and sent.unsent is not None
        for what in ("messages", "bytes"):
            parts = (sent.delivered, sent.unknown, sent.unsent)
            assert sum(getattr(part, what) for part in parts) == getattr(sent.accepted, what)


@simulated()
async def test_a_peer_that_never_acknowledges_is_left_at_the_deadline(world: World) -> None:
    world.link(delay=0.005)
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        await here.send("taken")
        await there.receive()
        await asyncio.sleep(0.1)
        pair.cut()
        pair.signaling.cut()
        await fill(here, 128, 65536)
        began = world.now
        receipt = await pair.first.close("enough", timeout=2.0)
        assert 1.5 <= world.now - began <= 2.01
        sent = receipt.channels["data"].sent
        assert not receipt.clean and not receipt.confirmed
        assert sent.delivered.messages == 1
        assert sent.accepted is not None and sent.accepted.messages == 129
        assert sent.unknown is not None and sent.unknown.messages > 0
        adds_up(receipt)


@simulated()
async def test_unread_messages_beyond_the_closing_bound_end_at_the_deadline(world: World) -> None:
    world.link(delay=0.005)
    async with connected(world, options=Options(closing_bound=2 * MIB)) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        await fill(here, 128, 65536)
        began = world.now
        receipt = await pair.first.close("enough", timeout=3.0)
        other = await pair.second.wait_closed()
        assert world.now - began <= 3.01
        assert receipt.agreed == other.agreed
        assert receipt.path == other.path == "deadline"
        delivered = receipt.channels["data"].sent.delivered
        assert delivered == other.channels["data"].received.delivered
        assert 0 < delivered.bytes <= 2 * MIB
        adds_up(receipt)
        adds_up(other)
        # What is said to be delivered is there to be read, and nothing else.
        heard: list[int] = []
        with pytest.raises(adieu.SessionClosedError):
            while True:
                heard.append(int.from_bytes((await there.receive())[:4]))
        assert heard == list(range(1, delivered.messages + 1))


@pytest.mark.parametrize("seconds", [1.0, 4.0, 12.0, 30.0])
@pytest.mark.parametrize("signaling", [True, False])
@simulated(limit=1000)
async def test_a_cut_heals_and_nothing_is_lost_or_doubled_closing_rule_s10(
    world: World, signaling: bool, seconds: float
) -> None:
    world.link(delay=0.01)
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        counts = {"going": True}

        async def send(channel: adieu.Channel) -> int:
            number = 0
            while counts["going"]:
                number += 1
                await channel.send(number.to_bytes(4) + bytes(1000))
                await asyncio.sleep(0.02)
            return number

        listeners = [asyncio.create_task(numbers(channel)) for channel in (here, there)]
        senders = [asyncio.create_task(send(channel)) for channel in (here, there)]
        states: list[str] = []
        pair.first.on("state", lambda event: states.append(event.state))
        await asyncio.sleep(1.0)
        pair.cut()
        if not signaling:
            pair.signaling.cut()
        await asyncio.sleep(seconds)
        pair.cut(False)
        pair.signaling.heal()
        healed = world.now
        await pair.both("open")
        assert world.now - healed <= 3.0
        await asyncio.sleep(1.0)
        counts["going"] = False
        sent = await asyncio.gather(*senders)
        receipt = await pair.first.close(timeout=30.0)
        assert receipt.clean
        heard = await asyncio.gather(*listeners)
        assert heard == [list(range(1, count + 1)) for count in reversed(sent)]
        if seconds >= 10:
            assert "suspect" in states


@pytest.mark.parametrize("first", ["close", "reset"])
@simulated()
async def test_a_reset_replaces_a_connection_that_the_program_itself_closes(world: World, first: str) -> None:
    world.link(delay=0.004)
    async with connected(world) as pair:

        async def close() -> None:
            assert pair.first.pc is not None
            pair.first.pc.close()

        works = [close(), pair.first.reset("ice")]
        *_, report = sorted(await asyncio.gather(*(works if first == "close" else reversed(works))), key=bool)
        assert report.epoch == 2
        await pair.both("open")
        receipt = await pair.first.close()
        assert receipt.clean
        assert not pair.first.ledger(), str(pair.first.ledger())


@simulated()
async def test_a_higher_reset_while_the_first_is_switching_comes_after_it(world: World) -> None:
    """The other side may have switched already."""
    world.link(delay=0.02)
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        listener = asyncio.create_task(numbers(there))
        offerer = next(session for session in pair.sessions if shell_of(session).machine.smaller)
        await fill(here, 64, 65536)
        lower = asyncio.create_task(offerer.reset("transport"))
        machine = shell_of(offerer).machine
        while machine.reset is None or machine.reset.phase != "switching":
            await asyncio.sleep(0.001)
        epochs: list[int] = []
        other = next(session for session in pair.sessions if session is not offerer)
        other.on("reset", lambda event: epochs.append(offerer.epoch) if event.level == "full" else None)
        report = await offerer.reset("full")
        assert report.level == "full"
        assert epochs[0] == 2, "the connection that was switched to carried the next"
        await asyncio.wait({lower})
        receipt = await pair.first.close(timeout=20.0)
        assert receipt.clean
        assert await listener == list(range(1, 65))


@simulated()
async def test_a_connection_that_fails_ends_the_session_with_the_reason(world: World) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # where it is reported, too

    def no_connection() -> adieu.RTCPeerConnection:
        raise ValueError("no network today")

    here, there = memory_signaling()
    first = adieu.Session(connect=no_connection, signaling=here, role="first")
    second = adieu.Session(connect=no_connection, signaling=there, role="second")
    for session in (first, second):
        session.start()
        with pytest.raises(adieu.SessionClosedError, match="no network today"):
            await session.wait_open()
        assert (await session.wait_closed()).cause == "gave-up"
        await session.end()
        assert not session.ledger(), str(session.ledger())


@simulated()
async def test_two_closes_at_once_give_one_receipt(world: World) -> None:
    async with connected(world) as pair:
        receipts = await asyncio.gather(*(pair.first.close("one") for _ in range(3)), pair.second.close("two"))
        assert receipts[0] is receipts[1] is receipts[2]
        assert receipts[0].agreed == receipts[3].agreed


@simulated()
async def test_closing_inside_a_handler_and_waiting_for_it(world: World) -> None:
    """The handler is not waited for by the close that it waits for."""
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        ended: list[Receipt] = []

        @there.on("message")
        async def heard(message: str | bytes) -> None:
            assert message == "end it"
            ended.append(await pair.second.close("as asked"))

        await here.send("end it")
        receipt = await pair.first.wait_closed()
        await asyncio.sleep(0.01)
        assert ended[0].agreed == receipt.agreed
        assert receipt.clean and receipt.reason.text == "as asked"


@pytest.mark.parametrize("level", ["ice", "transport", "full"])
@simulated()
async def test_closing_during_a_reset_delivers_everything(world: World, level: str) -> None:
    world.link(delay=0.01)
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        listener = asyncio.create_task(numbers(there))
        await fill(here, 64, 65536)
        resetting = asyncio.create_task(pair.first.reset(level))
        await asyncio.sleep(0.015)
        receipt = await pair.first.close(timeout=20.0)
        assert receipt.clean and receipt.channels["data"].sent.delivered.messages == 64
        assert await listener == list(range(1, 65))
        await asyncio.wait({resetting})
        error = resetting.exception()
        assert error is None or isinstance(error, adieu.SessionError)


# --- trouble of this machine -----------


@pytest.mark.parametrize("poor", ["10.0.0.1", "10.0.0.2"])
@pytest.mark.parametrize("asker", ["first", "second"])
@pytest.mark.parametrize("level", ["transport", "full"])
@simulated()
async def test_a_reset_without_a_socket_fails_at_once_by_name(world: World, poor: str, asker: str, level: Any) -> None:
    async with connected(world) as pair:
        here, there = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        heard: dict[str, list[str]] = {"first": [], "second": []}
        for name, session in zip(heard, pair.sessions, strict=True):
            session.on("reset", lambda event, name=name: heard[name].append(event.error or ""))
        world.network.refuse(poor, errno.EMFILE)
        began = world.now
        poor_side = "first" if poor == "10.0.0.1" else "second"
        if asker == poor_side:
            told = "no file descriptor is left"
        else:
            told = "cancelled" if asker == "second" else "the other side has no socket"
        with pytest.raises(adieu.ResetFailedError, match=told):
            await getattr(pair, asker).reset(level)
        assert world.now - began < 1
        await asyncio.sleep(0.5)
        assert any("no file descriptor is left" in error for error in heard[poor_side])
        await here.send("kept")
        if level == "transport":
            assert [session.state for session in pair.sessions] == ["open", "open"]
        world.network.refuse(poor, None)
        await pair.both("open")
        assert await there.receive() == "kept"
        assert (await getattr(pair, asker).reset(level)).level == level
        assert world.now - began < 20


@pytest.mark.parametrize("poor", [0, 1])
@simulated()
async def test_a_session_without_a_socket_ends_at_once_by_name(world: World, poor: int) -> None:
    world.network.refuse(f"10.0.0.{poor + 1}", errno.EMFILE)
    hosts, ends = world.hosts(), memory_signaling(delay=0.002)
    one, two = (
        adieu.Session(connect=lambda host=host: world.connection(host), signaling=end, role=role)
        for host, end, role in zip(hosts, ends, ("first", "second"), strict=True)
    )
    async with one, two:
        with pytest.raises(adieu.SessionClosedError, match="no file descriptor is left") as caught:
            await (one, two)[poor].wait_open()
        assert caught.value.receipt.cause == "gave-up"
        assert world.now < 3
        if poor == 1:  # the first one has not been told yet whom it would have to tell
            with pytest.raises(adieu.SessionClosedError) as caught:
                await one.wait_open()
            assert "no file descriptor is left" in caught.value.receipt.reason.text
            assert world.now < 3


@simulated()
async def test_a_session_without_an_interface_ends_at_once_by_name(world: World) -> None:
    here, _ = memory_signaling()
    host = world.host("127.0.0.1")
    settings = {"loopback": "never"}
    session = adieu.Session(connect=lambda: world.connection(host, settings=settings), signaling=here, role="first")
    async with session:
        with pytest.raises(adieu.SessionClosedError, match="no network interface"):
            await session.wait_open()
    assert world.now < 3


@simulated()
async def test_room_to_send_is_used_also_while_nobody_reads(world: World) -> None:
    """Room comes about when messages start, too, and not only when they are taken."""
    async with connected(world, options=Options(send_buffer=256 * 1024, stream_high=65536, stream_low=0)) as pair:
        here, _ = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        sending = asyncio.create_task(fill(here, 100, 32768))
        await world.settle(1.0)
        assert not sending.done()
        assert not shell_of(pair.first).machine.has_room("data")
        sending.cancel()
        await asyncio.wait({sending})
