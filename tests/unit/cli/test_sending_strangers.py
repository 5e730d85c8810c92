"""Strangers in the room of `adieu send` and `adieu receive`, and the other side of a sending that means harm."""

# ruff: noqa: SIM117 the sender is there before the stranger
from __future__ import annotations

import argparse
import asyncio
import gc
import io
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import adieu
from adieu.cli import send
from adieu.cli.screen import Screen
from adieu.cli.sending import display, listing, messages, receiver, sender
from adieu.cli.sending.guest import Guest
from adieu.cli.sending.messages import Entry, ExchangeError, Line
from adieu.cli.sending.pake import Pake
from adieu.server.small import serve_small
from adieu.session.ice_servers import IceServers
from support.virtual import World, simulated
from unit.cli.test_sending import CODE, both_well, receiving, result, sending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adieu.session.channel import Channel

pytestmark = pytest.mark.anyio


@pytest.fixture
def listed(tmp_path: Path) -> listing.Listing:
    (tmp_path / "a.txt").write_text("hello")
    made = listing.Listing()
    made.add(tmp_path / "a.txt")
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


async def closes(channel: Channel) -> None:
    await channel.close("no more")


async def no_utf8(channel: Channel) -> None:
    await channel.send(b'{"type":"failed","text":"\xff\xfe"}')


async def deep(channel: Channel) -> None:
    await channel.send('{"type":"done","x":' + "[" * 100_000)


async def escapes(channel: Channel) -> None:
    await channel.send(msgspec.json.encode(messages.Failed("\x1b[2K\rAll of it arrived.\n\u202eok")))


async def odd_tag(channel: Channel) -> None:
    await channel.send('{"type":"\\u001b[2J\\nAll of it arrived."}')


async def refuses(channel: Channel) -> None:
    await channel.send(msgspec.json.encode(messages.Refused()))


async def silent(_: Channel) -> None:
    pass


async def begins(channel: Channel) -> None:
    """Hold a try, and say nothing more."""
    side = Pake(b"zebra-zebra-zebra", sender=b"any", receiver=b"any", sends=False)
    await channel.send(msgspec.json.encode(messages.Pake(side.message)))
    await channel.receive()


@pytest.mark.parametrize("trick", [closes, no_utf8, deep, escapes, odd_tag, refuses, silent, begins])
async def test_a_stranger_neither_keeps_the_place_nor_writes_into_the_terminal(
    listed: listing.Listing, target: Path, trick: Callable[[Channel], Awaitable[None]]
) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with adieu.join(server.url(), room=CODE.room) as room:
            session = await asyncio.wait_for(room.session(), 20)
            await trick(await session.open(messages.CHANNEL))
            async with receiving(server.url(), target) as (other, here):  # the stranger is here still
                both_well(one, other, await result(here), await result(there))
    said = "".join(text for _, text in one.shown.events)
    assert said.isprintable(), said
    assert not faults
    assert {"failed", "wrong-code"}.isdisjoint(one.shown.words()), "only those that have proved themselves are heard"
    assert "All of it" not in said


class FakeRoom:
    """A room whose peers come to a gate."""

    def __init__(self, gate: sender.Gate) -> None:
        self.gate = gate
        self.peers: list[Any] = []
        self.client = self
        ice = IceServers(self)  # type: ignore[arg-type]
        ice.known.set()
        gate.room.set_result(self)  # type: ignore[arg-type]
        gate.ice.set_result(ice)

    async def ice_servers(self) -> tuple[list[Any], float]:
        return [], 0.0

    def comes(self, name: str) -> asyncio.Task[bool]:
        self.peers.append(SimpleNamespace(peer=name, meta={}))
        return asyncio.create_task(self.gate(self.peers[-1]))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@simulated()
async def test_strangers_that_hold_all_places_go_one_by_one(world: World) -> None:
    loop = asyncio.get_running_loop()
    room = FakeRoom(gate := sender.Gate(1))
    out: list[tuple[str, float]] = []
    begin = loop.time()

    def put_out(name: str) -> Callable[[], None]:
        return lambda: out.append((name, loop.time() - begin))

    for number in range(sender.CANDIDATES):
        assert await room.comes(f"stranger {number}")
        gate.taken(f"stranger {number}", put_out(f"stranger {number}"))
    late = [room.comes(f"late {number}") for number in range(2)]
    await asyncio.sleep(sender.HURRY - 1)
    assert not any(each.done() for each in late) and not out, "each has a few seconds"
    await asyncio.sleep(1.5)
    assert all(each.done() and each.result() for each in late)
    assert [name for name, _ in out] == ["stranger 0", "stranger 1"]
    assert all(sender.HURRY <= at < sender.HURRY + 1 for _, at in out)
    await gate.enter("late 0")
    await asyncio.sleep(60)
    assert len(out) == 2, "who has proved itself is not put out, nor anybody when nobody waits"


@simulated()
async def test_only_so_many_are_served_at_once_however_many_have_proved_themselves(world: World) -> None:
    room = FakeRoom(gate := sender.Gate(1))
    for name in ("one", "two"):
        assert await room.comes(name)
        gate.taken(name, lambda: None)
    await gate.enter("one")
    entering = asyncio.create_task(gate.enter("two"))
    third = room.comes("three")
    await settle()
    assert not entering.done() and not third.done() and gate.waiting.is_set()
    gate.leave("one")
    await settle()
    assert entering.done() and not third.done()
    gate.leave("two")
    await settle()
    assert third.done()
    gate.leave("three")


@simulated()
async def test_one_that_is_not_connected_in_time_loses_its_place(world: World) -> None:
    room = FakeRoom(gate := sender.Gate(1))
    for number in range(sender.CANDIDATES):
        assert await room.comes(f"{number}")
    await asyncio.sleep(sender.TO_CONNECT + 1)
    begin = asyncio.get_running_loop().time()
    assert await room.comes("honest")
    assert asyncio.get_running_loop().time() == begin
    gate.leave("honest")


async def test_a_silent_crowd_of_strangers_stops_nobody(
    listed: listing.Listing, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over real connections: they hold all places of candidates and all tries."""
    monkeypatch.setattr(sender, "HURRY", 1.0)
    monkeypatch.setattr(sender, "CANDIDATES", 2)
    async with serve_small() as server, sending(server.url(), listed) as (one, there):
        async with AsyncExitStack() as crowd:
            for trick in (begins, silent):
                room = await crowd.enter_async_context(adieu.join(server.url(), room=CODE.room))
                await trick(await (await asyncio.wait_for(room.session(), 20)).open(messages.CHANNEL))
            async with receiving(server.url(), target) as (other, here):
                both_well(one, other, await result(here), await result(there))
    assert (target / "a.txt").read_text() == "hello"


async def test_a_stranger_that_opens_no_channel_soon_loses_the_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Session:
        async def open(self, _: str) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(messages, "PATIENCE", 0.05)
    with pytest.raises(ExchangeError, match="opened no channel"):
        await asyncio.wait_for(Line.of(Session()), 5)  # type: ignore[arg-type]


async def test_a_false_sender_has_no_more_guesses_when_it_leaves_after_each(target: Path) -> None:
    """The receiver's confirmation lets a false sender check one guess, whatever it answers."""
    guesses = 0

    async def guess(session: adieu.Session) -> None:
        nonlocal guesses
        line = await Line.of(session)
        first = await messages.exchange(line, None, messages.Pake)
        side = Pake(b"zebra-zebra-zebra", sender=b"any", receiver=b"any", sends=True)
        side.key(first.message)
        await messages.exchange(line, messages.Pake(side.message), messages.Confirm)
        guesses += 1

    async with serve_small() as server, receiving(server.url(), target) as (other, here):
        for _ in range(receiver.MAX_WRONG + 2):
            if here.done():
                break
            async with adieu.join(server.url(), room=CODE.room, meta={sender.ROLE: "sender"}) as room:
                session = asyncio.create_task(room.session())
                await asyncio.wait({session, here}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
                if session.done():
                    await guess(session.result())
                session.cancel()
            await other._display.until(lambda: here.done() or len(other._display.events) >= guesses)
        assert await result(here) == 1
    assert guesses == receiver.MAX_WRONG
    assert set(other._display.words()) == {"wrong-code"}


async def test_the_words_of_a_false_sender_are_not_shown(target: Path) -> None:
    async with serve_small() as server, receiving(server.url(), target) as (other, here):
        async with adieu.join(server.url(), room=CODE.room, meta={sender.ROLE: "sender"}) as room:
            await escapes(await (await room.session()).open(messages.CHANNEL))
            assert await result(here) == 1
    [(what, said)] = other._display.events
    assert what == "failed" and "All of it" not in said and "did not prove" in said


async def test_a_receiver_that_claims_files_without_end_is_refused(listed: listing.Listing) -> None:
    class Endless:
        begin = 0

        async def receive(self) -> messages.Have:
            self.begin += 200
            assert self.begin < 10_000, "it takes all of it"
            return messages.Have([(self.begin + n, "0" * 64) for n in range(200)], last=False)

    with pytest.raises(ExchangeError, match="more files than are sent"):
        await Guest._compare(None, Endless(), listed)  # type: ignore[arg-type]


async def test_a_file_that_vanished_is_said_to_a_receiver_that_claims_it(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="No such file"):
        await Guest._proof_of(tmp_path / "gone")


async def test_a_list_of_very_long_paths_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "MAX_PATHS", 100_000)

    class Endless:
        async def receive(self) -> messages.Entries:
            return messages.Entries([Entry("x" * 4096, 1)] * 200, last=False)

    with pytest.raises(ExchangeError, match="very long paths"):
        await receiver.Receiver._list(None, Endless())  # type: ignore[arg-type]


def test_the_cost_of_a_list_grows_with_its_length_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(count: int) -> float:
        entries = [Entry(f"folder/{number}", 1) for number in range(count)]
        best = 1e9
        for _ in range(2):
            began = time.process_time()
            assert len(listing.safe_paths(entries)) == count
            best = min(best, time.process_time() - began)
        return best

    assert seconds(20_000) < 20 * seconds(2000), "ten times as much costs more than twenty times as much"
    monkeypatch.setattr(listing, "MAX_ENTRIES", 1000)
    with pytest.raises(ExchangeError, match="more than 1000 folders"):
        listing.safe_paths([Entry(f"{number}/" + "/".join("abcdefgh" * 12), 1) for number in range(900)])


@pytest.mark.parametrize("paths", [["a/b", "a"], ["a", "a/b"], ["a/b/c", "a/b"], ["a/b", "a/b/c"], ["a", "a"]])
def test_a_file_is_never_a_folder_too(paths: list[str]) -> None:
    with pytest.raises(ExchangeError, match="twice"):
        listing.safe_paths([Entry(path, 1) for path in paths])


def test_only_inside_a_folder_may_a_name_be_hidden() -> None:
    found = listing.safe_paths([Entry(path, 1) for path in ("/.bashrc", ".profile", "a/.x", "//.y")])
    assert [str(each) for each in found] == ["file/.bashrc", "profile", "a/.x", "file/file/.y"]


def test_a_name_on_this_disk_writes_nothing_into_the_terminal() -> None:
    out = io.StringIO()
    shown = display.Display(as_json=False, screen=Screen(out))
    shown.say("left-out", "Left out: a\x1b[2Jb\udcff\u202e")
    shown.say("code", "two\nlines")
    shown.draw(["\x1b[1mbold\x1b[0m"])
    assert out.getvalue() == "Left out: a\ufffd[2Jb\ufffd\ufffd\ntwo\nlines\n\x1b[1mbold\x1b[0m\n"
    assert display.shown("a\nb") == "a\ufffdb"


async def test_a_name_for_stdin_that_cannot_be_is_said_and_hangs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"hello")))
    source = send.Source(listing.Listing(), argparse.Namespace(name="a/" * 200 + "b", files=[Path("-")]), tmp_path)
    source.begin()
    with pytest.raises(ValueError, match="too deep"):
        await asyncio.wait_for(source.listing(), 10)


async def test_those_who_never_get_a_connection_leave_nothing_behind(listed: listing.Listing) -> None:
    async with serve_small() as server, sending(server.url(), listed) as (one, _):
        await one.gate.room
        for number in range(20):
            pc = one.connect(SimpleNamespace(id=str(number)))
            assert str(number) in one._pins
            pc.close()
            await pc.wait_closed()
            del pc
        gc.collect()
        assert not one._pins
