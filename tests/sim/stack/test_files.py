"""Files over real engines, on virtual time."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.protocol.control import CHUNK, File, FileOffer
from adieu.session import FileReceipt, Options, disk
from adieu.session.files import desk
from adieu.session.files.transfers import MAX_OFFERS
from adieu.session.machine import connections
from adieu.session.session import shell_of
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from pathlib import Path

    from support.virtual import Pair, World

pytestmark = pytest.mark.usefixtures("threads_at_once")
OLD = Options(capabilities=())
"""As the version before: whole files are hashed before they are offered."""
BOTH = pytest.mark.parametrize("options", [Options(), OLD], ids=["files2", "files1"])


def made(folder: Path, size: int = 3 * CHUNK + 5, name: str = "f.bin") -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def taking(session: adieu.Session, folder: Path, name: str = "") -> list[Any]:
    """Accept everything into a folder, and under a name if there is one; what came of each."""
    folder.mkdir(exist_ok=True)
    results: list[Any] = []

    async def take(file: adieu.IncomingFile) -> None:
        try:
            results.append(await file.accept(folder / name))
        except adieu.TransferError as error:
            results.append(error)

    session.on("file", lambda file: results.append(asyncio.ensure_future(take(file))) or results.pop())
    return results


def hostile(session: adieu.Session, file: File) -> None:
    shell_of(session).step(lambda now: shell_of(session).machine.say_file(file, now))


# --- both versions --------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
@simulated()
async def test_a_file_of_any_size_arrives_whole_and_both_have_its_proof(
    world: World, tmp_path: Path, options: Options, size: int
) -> None:
    source = made(tmp_path, size)
    async with connected(world, options=options) as pair:
        seen: list[adieu.IncomingFile] = []
        pair.second.on("file", seen.append)
        results = taking(pair.second, tmp_path / "in")
        sending = await pair.first.send_file(source, type="x/y")
        await sending.wait()
        assert results[0].read_bytes() == source.read_bytes()
        assert sending.done == sending.size == size
        assert len(sending.proof) == 64 and sending.proof == seen[0].proof
        assert bool(seen[0].sha256) == (options is OLD)
        assert seen[0].type == "x/y"
        receipts = await asyncio.gather(pair.first.close(), pair.second.wait_closed())
        assert [receipt.files for receipt in receipts] == [
            (FileReceipt("f.bin", size, sending.proof, sent=sent),) for sent in (True, False)
        ]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["f.bin"]


@BOTH
@simulated()
async def test_two_hundred_at_once_all_arrive(world: World, tmp_path: Path, options: Options) -> None:
    sources = [made(tmp_path, 1000 + number, f"{number}.bin") for number in range(200)]
    async with connected(world, options=options) as pair:
        results = taking(pair.second, tmp_path / "in")
        transfers = [await pair.first.send_file(source) for source in sources]
        await asyncio.gather(*(sending.wait() for sending in transfers))
        assert {path.name for path in results} == {path.name for path in sources}
        assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in results)
        assert len(pair.first.channels) <= desk.MAX_OFFERED


@BOTH
@simulated()
async def test_an_offer_waits_for_a_handler(world: World, tmp_path: Path, options: Options) -> None:
    source = made(tmp_path)
    async with connected(world, options=options) as pair:
        sending = await pair.first.send_file(source)
        await asyncio.sleep(9.0)
        results = taking(pair.second, tmp_path)
        await sending.wait()
        assert results[0].name == "f (1).bin"


@BOTH
@simulated()
async def test_an_offer_that_nobody_answers_is_refused_after_ten_seconds(
    world: World, tmp_path: Path, options: Options
) -> None:
    source = made(tmp_path)
    async with connected(world, options=options) as pair:
        for handler, why in ((None, "no handler for files on this side"), (lambda _: None, "no handler accepted it")):
            if handler:
                pair.second.on("file", handler)
            began = world.now
            with pytest.raises(adieu.TransferError, match=why):
                await (await pair.first.send_file(source)).wait()
            assert 9.9 < world.now - began < 10.5


@BOTH
@simulated()
async def test_a_handler_that_works_or_holds_may_take_its_time(world: World, tmp_path: Path, options: Options) -> None:
    source = made(tmp_path)
    held: list[adieu.IncomingFile] = []

    async def asks(file: adieu.IncomingFile) -> None:
        await asyncio.sleep(40)
        held.append(file)
        file.hold()

    async with connected(world, options=options) as pair:
        pair.second.on("file", asks)
        sending = await pair.first.send_file(source)
        await asyncio.sleep(100)
        assert not sending.finished and not held[0].answered
        path = await held[0].accept(tmp_path / "late.bin")
        await sending.wait()
        assert path.read_bytes() == source.read_bytes()


@BOTH
@simulated()
async def test_an_answer_just_after_the_handler_is_an_answer(world: World, tmp_path: Path, options: Options) -> None:
    source = made(tmp_path)
    async with connected(world, options=options) as pair:
        tasks: list[asyncio.Task[Path]] = []
        pair.second.on("file", lambda file: tasks.append(asyncio.create_task(file.accept(tmp_path))))
        await (await pair.first.send_file(source)).wait()
        assert (await tasks[0]).read_bytes() == source.read_bytes()


@BOTH
@simulated()
async def test_one_cancelled_before_an_answer_takes_no_place(world: World, tmp_path: Path, options: Options) -> None:
    source = made(tmp_path)
    async with connected(world, options=options) as pair:
        held: list[adieu.IncomingFile] = []
        gone: list[adieu.IncomingFile] = []

        def hold(file: adieu.IncomingFile) -> None:
            file.hold()
            file.on("withdrawn", gone.append)
            held.append(file)

        pair.second.on("file", hold)
        for _ in range(MAX_OFFERS + 10):
            sending = await pair.first.send_file(source)
            await asyncio.sleep(0.1)
            sending.cancel()
            with pytest.raises(adieu.TransferError, match="cancelled"):
                await sending.wait()
        await asyncio.sleep(0.1)
        assert len(held) == len(gone) == MAX_OFFERS + 10
        with pytest.raises(adieu.TransferError, match="cancelled by the sender"):
            await held[0].accept(tmp_path)


@simulated()
async def test_what_is_withdrawn_before_its_turn_is_shown_to_nobody(world: World) -> None:
    async with connected(world) as pair:
        seen: list[adieu.IncomingFile] = []
        pair.second.on("file", seen.append)
        for each in range(3 * MAX_OFFERS):
            withdrawn(pair.first, f"{each:016x}")
        await asyncio.sleep(1)
        assert not seen
        await pair.first.send_file(b"x", name="x")
        await asyncio.sleep(1)
        assert len(seen) == 1, "they take no place"


@simulated()
async def test_what_is_withdrawn_while_a_handler_is_busy_counts_until_its_turn(world: World) -> None:
    async with connected(world) as pair:
        seen: list[str] = []
        go_on = asyncio.Event()

        async def look(file: adieu.IncomingFile) -> None:
            seen.append(file.name)
            await go_on.wait()

        pair.second.on("file", look)
        for name in ("first", "last"):
            await pair.first.send_file(b"x", name=name)
            await asyncio.sleep(0.1)
        for _ in range(3 * MAX_OFFERS):
            withdrawn(pair.first, f"{0:016x}")
        await asyncio.sleep(0.1)
        late = await pair.first.send_file(b"x", name="late")
        with pytest.raises(adieu.TransferError, match="too many files at once"):
            await late.wait()
        go_on.set()
        await asyncio.sleep(0.1)
        assert seen == ["first", "last"]
        await pair.first.send_file(b"x", name="next")
        await asyncio.sleep(0.1)
        assert seen == ["first", "last", "next"]


def withdrawn(session: adieu.Session, id_: str) -> None:
    """Offer, and withdraw at once."""
    offer = FileOffer(name="flood", size=1, channel="file flood", chunk=CHUNK, key="ab" * 16)
    hostile(session, File(id=id_, offer=offer))
    hostile(session, File(id=id_, failed="withdrawn"))


@BOTH
@simulated()
async def test_an_unwanted_file_leaves_the_channel_for_the_next(world: World, tmp_path: Path, options: Options) -> None:
    source = made(tmp_path, 40 * CHUNK)
    folder = tmp_path / "in"
    folder.mkdir()
    async with connected(world, options=options) as pair:
        ends: list[asyncio.Task[Path]] = []

        def some(file: adieu.IncomingFile) -> None:
            ends.append(asyncio.create_task(file.accept(folder)))
            if len(ends) <= 5:
                file.on("progress", lambda file: file.done > 3 * CHUNK and ends[-1].cancel())

        pair.second.on("file", some)
        for _ in range(5):
            with pytest.raises(adieu.TransferError, match="cancelled by the receiver"):
                await (await pair.first.send_file(source)).wait()
            await asyncio.wait(ends)
            await asyncio.sleep(1)
        await (await pair.first.send_file(source)).wait()
        assert (await ends[-1]).read_bytes() == source.read_bytes()
        assert [name for name in pair.first.channels if name.startswith("file ")] == [
            name for name in pair.second.channels if name.startswith("file ")
        ]
        assert len(pair.first.channels) == 1
        receipt = await pair.first.close()
        assert receipt.clean, receipt
    assert [path.name for path in folder.iterdir()] == ["f.bin"]


@BOTH
@pytest.mark.parametrize("word", ["refuse", "failed", "failed by the sender"])
@simulated()
async def test_a_last_word_that_was_lost_with_a_connection_is_said_again(
    world: World, tmp_path: Path, options: Options, word: str
) -> None:
    """Nothing waits for ever for a word that was said while no connection was there to carry it."""
    source = made(tmp_path, 60 * CHUNK)
    world.link(delay=0.01, rate=8_000_000)
    async with connected(world, options=options) as pair:
        offered: asyncio.Future[adieu.IncomingFile] = asyncio.get_running_loop().create_future()

        async def held(file: adieu.IncomingFile) -> None:
            file.hold()
            if not offered.done():
                offered.set_result(file)

        pair.second.on("file", held)
        sending = await pair.first.send_file(source)
        file = await offered
        accepting = None
        if word != "refuse":
            accepting = asyncio.create_task(file.accept(tmp_path / "there"))
            while file.done < CHUNK:
                await asyncio.sleep(0.01)
        machine = shell_of(pair.second).machine
        assert machine.active is not None
        connections.release(machine, machine.active)  # no connection, and no time for another
        match word, accepting:
            case "refuse", _:
                file.refuse("no")
            case "failed", asyncio.Task():
                accepting.cancel()
            case _:
                sending.cancel()
        with suppress(adieu.SessionError):
            await pair.first.reset()
        with pytest.raises(adieu.TransferError):
            async with asyncio.timeout(60):
                await sending.wait()
        if accepting is not None:
            async with asyncio.timeout(60):
                await asyncio.wait({accepting})


@BOTH
@simulated()
async def test_a_file_offered_before_the_session_is_open_is_offered_then(
    world: World, tmp_path: Path, options: Options
) -> None:
    source = made(tmp_path)
    here, there = adieu.signaling.memory_signaling(delay=0.01)
    one, two = world.hosts()
    members = {"options": options}
    first = adieu.Session(connect=lambda: world.connection(one), signaling=here, role="first", **members)
    second = adieu.Session(connect=lambda: world.connection(two), signaling=there, role="second", **members)
    results = taking(second, tmp_path / "in")
    async with first, second:
        sending = await first.send_file(source)
        await sending.wait()
        assert results[0].read_bytes() == source.read_bytes()


@BOTH
@simulated()
async def test_it_goes_on_through_outages_and_resets(world: World, tmp_path: Path, options: Options) -> None:
    source = made(tmp_path, 30 * CHUNK)
    world.link(delay=0.01, rate=8_000_000)
    async with connected(world, options=options) as pair:
        results = taking(pair.second, tmp_path / "in")
        sending = await pair.first.send_file(source)
        steps = iter((5, 10, 15, 20))
        halts: asyncio.Queue[None] = asyncio.Queue()
        limit = next(steps) * CHUNK

        def look(_: Any) -> None:
            nonlocal limit
            if sending.done > limit:
                limit = next(steps, 100) * CHUNK
                halts.put_nowait(None)

        sending.on("progress", look)
        await halts.get()
        await pair.first.reset("transport")
        await halts.get()
        await pair.second.reset("full")
        await halts.get()
        pair.cut()
        await asyncio.sleep(12)
        pair.cut(False)
        await sending.wait()
        assert results[0].read_bytes() == source.read_bytes()


@simulated()
async def test_four_mebibytes_ask_a_thread_at_most_five_times(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each hand-over has its price, in time and in turns of the loop (it was eight times for each mebibyte)."""
    count = 32
    asked = 0
    at_once = asyncio.to_thread

    async def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await at_once(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", counted)
    async with connected(world) as pair:
        taking(pair.second, tmp_path / "in")
        await (await pair.first.send_file(made(tmp_path, count * CHUNK))).wait()
    assert asked <= count * 5 // 4 + 3


# --- whatever a worker dies of --------------------------------------------------------------------------------------


class OddError(Exception):
    """Not foreseen by anybody."""


@BOTH
@pytest.mark.parametrize("where", ["open", "fill", "chunk", "whole"])
@simulated()
async def test_a_sender_that_dies_of_anything_ends_both_who_wait(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Options, where: str
) -> None:
    source = made(tmp_path, 20 * CHUNK)
    monkeypatch.setattr(disk.Source, where, lambda *_: (_ for _ in ()).throw(OddError("half \ud83d")))
    async with connected(world, options=options) as pair:
        results = taking(pair.second, tmp_path / "in")
        sending = await pair.first.send_file(source)
        if (where == "chunk" and options is OLD) or (where == "whole" and options is not OLD):
            await sending.wait()
            return
        with pytest.raises(adieu.TransferError, match="half"):
            await sending.wait()
        await asyncio.sleep(1)
        assert not [each for each in results if not isinstance(each, adieu.TransferError)]
        assert pair.first.state == pair.second.state == "open"


@BOTH
@pytest.mark.parametrize("where", ["__init__", "found", "add", "add_proved", "keep"])
@simulated()
async def test_a_receiver_that_dies_of_anything_ends_both_who_wait(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Options, where: str
) -> None:
    source = made(tmp_path, 20 * CHUNK)
    if where != "__init__":
        monkeypatch.setattr(disk.Part, where, lambda *_: (_ for _ in ()).throw(OddError("half \ud83d")))
    async with connected(world, options=options) as pair:
        results = taking(pair.second, tmp_path / "in", "\ud83d" if where == "__init__" else "")
        sending = await pair.first.send_file(source)
        if where == ("add" if options is not OLD else "add_proved"):
            await sending.wait()
            return
        with pytest.raises(adieu.TransferError, match="could not save it"):
            await sending.wait()
        await asyncio.sleep(1)
        assert isinstance(results[0], adieu.TransferError)
        assert pair.first.state == pair.second.state == "open"


# --- what a peer may say --------------------------------------------------------------------------------------------


async def offered_by_hand(pair: Pair, folder: Path, data: bytes, **members: Any) -> tuple[adieu.Channel, list[Any]]:
    """An offer made by hand, of two chunks, and accepted there."""
    results = taking(pair.second, folder)
    members = {"size": len(data), "chunk": len(data) // 2, "key": "ab" * 16, **members}
    hostile(pair.first, File(id="by hand", offer=FileOffer(name="f", channel="file x", **members)))
    return await pair.first.open("file x"), results


def proved(data: bytes) -> bytes:
    return data + disk.hashlib.sha256(data).digest()


@pytest.mark.parametrize("what", ["hash", "bytes", "short", "long", "swapped", "proof", "text", "first version"])
@simulated()
async def test_what_is_not_what_its_hashes_say_is_not_received(world: World, tmp_path: Path, what: str) -> None:
    one, two = os.urandom(CHUNK), os.urandom(CHUNK)
    hashes = b"".join(proved(each)[-32:] for each in (one, two))
    messages: dict[str, list[bytes | str]] = {
        "hash": [one + bytes(32)],
        "bytes": [proved(one), two[1:] + b"x" + proved(two)[-32:]],
        "short": [proved(one), proved(two[1:])],
        "long": [proved(one + b"x")],
        "swapped": [proved(two), proved(one), disk.hashlib.sha256(hashes).digest()],
        "proof": [proved(one), proved(two), bytes(32)],
        "text": ["no bytes"],
        "first version": [one, two],
    }
    of_whole = {"chunk": None, "key": "", "sha256": "0" * 64} if what == "first version" else {}
    async with connected(world) as pair:
        channel, results = await offered_by_hand(pair, tmp_path / "in", one + two, **of_whole)
        for message in messages[what]:
            await channel.send(message)
        await asyncio.sleep(1)
        assert isinstance(results[0], adieu.TransferError), results
        assert pair.second.state == "open"
    assert not (tmp_path / "in" / "f").exists()


@pytest.mark.parametrize(
    "members",
    [
        {"chunk": None},
        {"key": ""},
        {"sha256": "a" * 64},
        {"chunk": None, "key": "", "sha256": ""},
    ],
)
@simulated()
async def test_an_offer_that_says_both_or_neither_is_refused(
    world: World, tmp_path: Path, members: dict[str, Any]
) -> None:
    async with connected(world) as pair:
        _, results = await offered_by_hand(pair, tmp_path / "in", bytes(2 * CHUNK), **members)
        await asyncio.sleep(1)
        assert not results and pair.second.state == "open"


@pytest.mark.parametrize(
    ("channels", "why"),
    [(["chat"], "a file's channel begins with 'file '"), (["file x", "file x"], "channel 'file x' carries another")],
)
@simulated()
async def test_a_file_has_a_channel_of_its_own(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: list[str], why: str
) -> None:
    said: list[File] = []
    monkeypatch.setattr(desk.Desk, "say", lambda _, file: said.append(file))
    async with connected(world) as pair:
        results = taking(pair.second, tmp_path / "in")
        for number, channel in enumerate(channels):
            offer = FileOffer(name="f", size=1, chunk=CHUNK, key="ab" * 16, channel=channel)
            hostile(pair.first, File(id=f"x{number}", offer=offer))
        await asyncio.sleep(1)
        [refusal] = [file.refuse for file in said if file.refuse]
        assert why in refusal
        assert not results and pair.second.state == "open"


@pytest.mark.parametrize(
    "file", [{"accept": 5}, {"accept": 1 << 40}, {"done": True}, {"done": True, "proof": "0" * 64}]
)
@simulated()
async def test_a_receiver_that_says_what_cannot_be_is_not_believed(
    world: World, tmp_path: Path, file: dict[str, Any]
) -> None:
    source = made(tmp_path)
    async with connected(world) as pair:
        told: list[adieu.IncomingFile] = []
        pair.second.on("file", lambda each: (told.append(each), each.hold()))
        sending = await pair.first.send_file(source)
        await asyncio.sleep(0.5)
        hostile(pair.second, File(id=told[0].id, **file))
        with pytest.raises(adieu.TransferError, match=r"would go on at byte|another hash"):
            await sending.wait()


@simulated()
async def test_names_and_types_without_room_are_refused_before_anything_is_said(world: World, tmp_path: Path) -> None:
    source = made(tmp_path, 5)
    async with connected(world) as pair:
        results = taking(pair.second, tmp_path / "in")
        with pytest.raises(ValueError, match="name must have 1 to 255 characters, not 256"):
            await pair.first.send_file(source, name="n" * 256)
        with pytest.raises(ValueError, match="name must have 1 to 255 characters, not 0"):
            await pair.first.send_file(source, name="")
        with pytest.raises(ValueError, match="type must have at most 255 characters, not 300"):
            await pair.first.send_file(source, type="t" * 300)
        for name in ("n" * 255, "😀" * 255, "\ud83d", "CON", "../x"):
            await (await pair.first.send_file(source, name=name, type="t" * 255)).wait()
        assert all(isinstance(each, type(source)) for each in results) and len(results) == 5
        assert pair.first.state == "open"
