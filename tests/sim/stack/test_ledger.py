"""The ledger names everything that a session holds, and the line that made it (closing rule S9)."""

from __future__ import annotations

import asyncio
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adieu.webrtc import RTCPeerConnection
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.virtual import World

HERE = Path(__file__).name


class Unconfirmed(RTCPeerConnection):
    """A connection whose TURN server has not confirmed that a relayed address was given back."""

    __slots__ = ()

    async def wait_closed(self) -> Mapping[str, int]:
        return {**await super().wait_closed(), "allocations": 1}


def line(ahead: int = 0) -> str:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return f"{HERE}:{frame.f_back.f_lineno + ahead}"


def kinds(session: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for held in session.ledger().held:
        found.setdefault(held.kind, []).append(held.where)
    return found


@simulated()
async def test_channels_handlers_and_files_are_held_with_the_lines_that_made_them(
    world: World, tmp_path: Path, threads_at_once: None
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes(100_000))
    async with connected(world) as pair:
        other = asyncio.ensure_future(pair.second.open("chat"))
        chat, opened = await pair.first.open("chat"), line()
        await other

        def hear(_: Any) -> None:
            """Nothing."""

        pair.first.on("closing", hear)
        said = line(-1)
        chat.on("message", hear)
        heard = line(-1)
        transfer = await pair.first.send_file(path)
        sent = line(-1)
        held = kinds(pair.first)
        assert held["channel"] == [opened]
        assert sorted(held["handler"]) == sorted([said, heard])
        assert held["file"] == [sent]
        assert held["connection"] and held["timer"] and held["task"]
        pair.first.off("closing", hear)
        assert kinds(pair.first)["handler"] == [heard]
        with pytest.raises(AssertionError, match=rf"(?s)still held: .*- channel: 'chat' \(made at {opened}\)"):
            pair.first.assert_released()
        transfer.cancel()
        await pair.first.close()
        await pair.second.wait_closed()
        await asyncio.gather(pair.first.end(), pair.second.end())
        pair.first.assert_released()
        pair.second.assert_released()


@simulated()
async def test_an_accepted_file_is_held_by_the_line_that_did(
    world: World, tmp_path: Path, threads_at_once: None
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes(3_000_000))
    world.link(delay=0.01, rate=1_000_000.0)
    async with connected(world) as pair:
        places: list[str] = []

        @pair.second.on("file")
        async def offered(file: Any) -> None:
            places.append(line(1))
            await file.accept(tmp_path / "there.mp4")

        transfer = await pair.first.send_file(path)
        await asyncio.sleep(1.0)
        assert kinds(pair.second)["file"] == places
        await transfer.wait()
        await asyncio.sleep(0.1)
        assert "file" not in kinds(pair.second) and "file" not in kinds(pair.first)


@simulated()
async def test_a_handler_added_twice_is_taken_off_one_by_one(world: World) -> None:
    async with connected(world) as pair:

        def hear(_: Any) -> None:
            """Nothing."""

        before = len(kinds(pair.first).get("handler", []))
        for count in (1, 2):
            pair.first.on("state", hear)
            assert len(kinds(pair.first)["handler"]) == before + count
        pair.first.off("state", hear)
        assert len(kinds(pair.first)["handler"]) == before + 1
        pair.first.off("state", hear)
        pair.first.off("state", hear)
        assert len(kinds(pair.first).get("handler", [])) == before


@simulated()
async def test_the_receipt_names_a_relayed_address_that_no_server_has_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt of its own side: the other side's has nothing of it, and both have the same id (closing rule 15)."""
    ada, ben = world.peer(), world.peer()
    plain = ada.connection

    def unconfirmed(*args: Any, **members: Any) -> RTCPeerConnection:
        pc = plain(*args, **members)
        pc.__class__ = Unconfirmed
        return pc

    monkeypatch.setattr(ada, "connection", unconfirmed)
    async with world.sessions(peers=(ada, ben)) as pair:
        await pair.first.reset("full")
        receipt, seen = await pair.first.close(), await pair.second.wait_closed()
        left = [(held.kind, held.what, held.count) for held in receipt.ledger.held]
        assert left == [("allocations", "connection 1", 1), ("allocations", "connection 2", 1)]
        assert [line.partition(":")[0] for line in json.loads(receipt.to_json())["ledger"]] == ["allocations"] * 2
        assert not seen.ledger
        assert receipt.id == seen.id
