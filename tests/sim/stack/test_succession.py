"""A peer that was restarted: files and sessions go on with the peer of its name, on virtual time."""

from __future__ import annotations

import asyncio
import io
import os
from typing import TYPE_CHECKING, Any

import pytest

from adieu.errors import SignalingLostError, TransferError
from adieu.protocol.control import CHUNK, File
from adieu.session import succession
from adieu.session.files.desk import Desk
from adieu.session.succession import CarriedTransfer
from sim.stack.rooms import House, Member, house, until
from support.virtual import simulated

if TYPE_CHECKING:
    from pathlib import Path

    import adieu
    from adieu.session.files.transfers import Parcel
    from support.virtual import World

pytestmark = pytest.mark.usefixtures("threads_at_once")
SIZE = 40 * CHUNK


class Receiver:
    """A program that accepts everything, in one session after the other."""

    def __init__(self, member: Member, to: Path) -> None:
        to.mkdir(exist_ok=True)
        self.member = member
        self.to = to
        self.begun: list[tuple[int, Any]] = []
        """Bytes that were there when an offer was accepted, and the offer."""
        self.tasks: list[asyncio.Task[Path]] = []
        member.room.on("session", self._watch)

    def _watch(self, session: adieu.Session) -> None:
        session.on("file", self._take)
        session.on("folder", self._take)

    def _take(self, offer: Any) -> None:
        first = offer.on("progress", lambda offer: first and self.begun.append((offer.done, offer)))
        self.tasks.append(asyncio.create_task(offer.accept(self.to)))
        self.tasks[-1].add_done_callback(lambda task: task.cancelled() or task.exception())

    async def die(self, world: World, home: House, address: str) -> None:
        """As a program that is killed: nothing gets out, and its files are let go."""
        world.network.cut(address, True)
        home.server.lose(self.member.client)
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def pair(home: House, folder: Path) -> tuple[Member, Receiver]:
    sender = await home.enter("a", name="sender")
    return sender, Receiver(await home.enter("b", name="receiver"), folder)


@pytest.mark.parametrize("what", ["file", "folder"])
@simulated()
async def test_a_transfer_goes_on_with_a_receiver_that_was_killed(world: World, tmp_path: Path, what: str) -> None:
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "film.mp4"
    source.write_bytes(os.urandom(SIZE))
    world.link(delay=0.01, rate=4_000_000)
    async with house(world) as home:
        sender, receiver = await pair(home, tmp_path / "in")
        room = sender.room
        carried = await (
            room.send_file("receiver", source) if what == "file" else room.send_folder("receiver", tmp_path / "src")
        )
        await until(lambda: carried.done > 12 * CHUNK, 60)
        sent: list[adieu.Transfer | None] = [carried.transfer]
        await receiver.die(world, home, "10.0.0.2")
        killed = world.now
        again = Receiver(await home.enter("c", name="receiver"), tmp_path / "in")
        await until(lambda: again.begun, 20)
        assert world.now - killed < 12, "it does not wait for the end of a silent session"
        assert again.begun[0][0] > 12 * CHUNK
        await carried.wait()
        path = await again.tasks[0]
        assert (path if what == "file" else path / "film.mp4").read_bytes() == source.read_bytes()
        assert carried.done == carried.size == SIZE and carried.proof
        assert carried.transfer not in sent and carried.transfer is not None
        assert carried.transfer.id == (sent[0].id if sent[0] else "")
    assert [each.name for each in (tmp_path / "in").iterdir()] == ["film.mp4" if what == "file" else "src"]


@simulated()
async def test_it_waits_for_the_session_after_a_close_and_goes_on(world: World, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(os.urandom(SIZE))
    world.link(delay=0.01, rate=8_000_000)
    async with house(world) as home:
        sender = await home.enter("a", name="sender")
        carried = await sender.room.send_file("receiver", source)
        await asyncio.sleep(30)
        receiver = Receiver(await home.enter("b", name="receiver"), tmp_path / "in")
        await until(lambda: carried.done > 5 * CHUNK, 60)
        await receiver.member.room.close("later", timeout=0.5)
        await receiver.member.room.leave()
        home.server.vacate(receiver.member.client)
        assert not carried.finished
        again = Receiver(await home.enter("c", name="receiver"), tmp_path / "in")
        await carried.wait()
        assert again.begun[0][0] > 4 * CHUNK
        assert (await again.tasks[0]).read_bytes() == source.read_bytes()


@simulated()
async def test_a_last_word_that_was_lost_makes_no_second_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(os.urandom(SIZE // 4))
    plain = Desk.say
    lost: list[File] = []

    def say(self: Desk, file: File) -> None:
        if file.done and not lost:
            lost.append(file)
            world.network.cut("10.0.0.2", True)
        plain(self, file)

    monkeypatch.setattr(Desk, "say", say)
    async with house(world) as home:
        sender, receiver = await pair(home, tmp_path / "in")
        carried = await sender.room.send_file("receiver", source)
        await until(lambda: lost, 20)
        await receiver.tasks[0]
        home.server.lose(sender.client)
        await sender.sessions[0].wait_closed()
        assert not carried.finished
        world.network.cut("10.0.0.2", False)
        home.server.resume(sender.client)
        async with asyncio.timeout(60):
            await carried.wait()
        assert len(receiver.tasks) == 1
    assert [each.name for each in (tmp_path / "in").iterdir()] == ["film.mp4"]


@simulated()
async def test_a_refusal_and_a_cancel_end_it_and_leaving_the_room_does(world: World, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(os.urandom(100))
    async with house(world) as home:
        sender = await home.enter("a", name="sender")
        other = await home.enter("b", name="receiver")
        other.room.on("session", lambda session: session.on("file", lambda file: file.refuse("not today")))
        with pytest.raises(TransferError, match="refused: not today"):
            await (await sender.room.send_file("receiver", source)).wait()
        cancelled = await sender.room.send_file("nobody", b"x", name="x")
        cancelled.cancel()
        with pytest.raises(TransferError, match="cancelled"):
            await cancelled.wait()
        with pytest.raises(TypeError, match="cannot be read again"):
            await sender.room.send_file("receiver", io.BytesIO(b"x"), name="x")
        waiting = await sender.room.send_file("nobody", source)
        await sender.room.close()
        with pytest.raises(TransferError, match="the room is over"):
            await waiting.wait()
        assert isinstance(waiting, CarriedTransfer)


@simulated()
async def test_what_was_cancelled_before_the_peer_came_is_not_offered(world: World, tmp_path: Path) -> None:
    async with house(world) as home:
        sender = await home.enter("a", name="sender")
        carried = await sender.room.send_file("receiver", b"x", name="x")
        await asyncio.sleep(1)
        carried.cancel()
        receiver = Receiver(await home.enter("b", name="receiver"), tmp_path / "in")
        await until(lambda: receiver.member.room.sessions, 20)
        await asyncio.sleep(10)
        assert not receiver.tasks and carried.transfer is None


@simulated()
async def test_a_folder_that_is_cancelled_while_it_is_looked_at_again_is_not_offered(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "film.mp4").write_bytes(os.urandom(SIZE))
    world.link(delay=0.01, rate=8_000_000)
    async with house(world) as home:
        sender, receiver = await pair(home, tmp_path / "in")
        carried = await sender.room.send_folder("receiver", tmp_path / "src")
        await until(lambda: carried.done > 5 * CHUNK, 60)
        plain, looking = succession.folder_parcel, asyncio.Event()

        async def slow(*args: Any) -> Parcel:
            looking.set()
            await asyncio.sleep(5)
            return await plain(*args)

        monkeypatch.setattr(succession, "folder_parcel", slow)
        await receiver.member.room.close("later", timeout=0.5)
        home.server.vacate(receiver.member.client)
        again = Receiver(await home.enter("c", name="receiver"), tmp_path / "in")
        await asyncio.wait_for(looking.wait(), 20)
        carried.cancel()
        await asyncio.sleep(20)
        assert not again.tasks


@simulated()
async def test_a_transfer_under_way_leaves_no_task_behind_in_a_room_that_is_left(world: World, tmp_path: Path) -> None:
    world.link(delay=0.01, rate=8_000_000)
    async with house(world) as home:
        sender, _ = await pair(home, tmp_path / "in")
        carried = await sender.room.send_file("receiver", os.urandom(SIZE), name="x")
        await until(lambda: carried.done > 5 * CHUNK, 60)
        await sender.room.tasks.end()
        left = {repr(task.get_coro()) for task in asyncio.all_tasks()}
        assert not [each for each in left if "Succession.change" in each or "Transfer.wait" in each]
        with pytest.raises(TransferError, match="left the room"):
            await carried.wait()


@simulated()
async def test_a_session_that_does_not_answer_gives_way_to_its_successor(world: World, tmp_path: Path) -> None:
    del tmp_path
    async with house(world) as home:
        robot = await home.enter("b", name="robot")
        here = await home.enter("a", name="operator")
        seen: list[adieu.Session] = []
        ends: list[float] = []

        async def work() -> None:
            async for session in here.room.follow("robot"):
                seen.append(session)
                await session.wait_closed()
                ends.append(world.now)

        working = asyncio.create_task(work())
        await until(lambda: seen, 10)
        world.network.cut("10.0.0.1", True)
        home.server.lose(robot.client)
        killed = world.now
        await home.enter("c", name="robot")
        await until(lambda: len(seen) == 2, 20)
        assert ends[0] - killed < 10
        assert seen[0].receipt is not None and seen[0].receipt.cause in {
            "crashed",
            "network-lost",
            "frozen, network-lost",
        }
        await asyncio.sleep(20)
        assert seen[1].receipt is None, "one that answers gives way to nobody"
        working.cancel()
        await asyncio.wait({working})
        assert not isinstance(working, SignalingLostError)
