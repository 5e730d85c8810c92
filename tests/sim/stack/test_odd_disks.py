"""Files and folders of disks that have less, and of files that are odd, on virtual time."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.protocol.control import CHUNK
from sim.stack.pair import connected
from sim.stack.test_folders import Taker, content
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.virtual import World

pytestmark = pytest.mark.usefixtures("threads_at_once")


def source(folder: Path) -> Path:
    root = folder / "photos"
    (root / "deep").mkdir(parents=True)
    (root / "deep/a.txt").write_text("hello")
    return root


@simulated()
async def test_a_disk_that_has_no_permissions_loses_no_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of Windows, or a stick that belongs to another user: `chmod` is not permitted there."""
    root = source(tmp_path)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    async with connected(world) as pair:
        Taker(pair.second, tmp_path / "in")
        for sending in await pair.first.send_file(root / "deep/a.txt"), await pair.first.send_folder(root):
            await asyncio.wait_for(sending.wait(), 10)
    assert content(tmp_path / "in")["photos/deep/a.txt"] == content(tmp_path / "in")["a.txt"] == b"hello"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks in another way")
@simulated()
async def test_a_disk_that_has_no_locks_takes_a_folder(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    root = source(tmp_path)
    async with connected(world) as pair:
        Taker(pair.second, tmp_path / "in")
        await (await pair.first.send_folder(root)).wait()
    assert content(tmp_path / "in")["photos/deep/a.txt"] == b"hello"


@simulated()
async def test_a_file_from_a_far_year_arrives_without_its_time(world: World, tmp_path: Path) -> None:
    """A number on the wire has 53 bits: microseconds up to the year 2255."""
    root = source(tmp_path)
    far = 9_100_000_000 * 10**9
    os.utime(root / "deep/a.txt", ns=(far, far))
    if (root / "deep/a.txt").stat().st_mtime_ns != far:
        pytest.skip("this disk has no such years")
    async with connected(world) as pair:
        Taker(pair.second, tmp_path / "in")
        for sending in await pair.first.send_file(root / "deep/a.txt"), await pair.first.send_folder(root):
            await asyncio.wait_for(sending.wait(), 10)
        assert pair.second.state == "open"
    assert content(tmp_path / "in")["photos/deep/a.txt"] == content(tmp_path / "in")["a.txt"] == b"hello"


class Slow:
    """A pipe that does not block: it has nothing at the moment."""

    def __init__(self) -> None:
        self._parts: list[bytes | None] = [b"the beginning", None, b" and the end", b""]

    def read(self, _: int) -> bytes | None:
        return self._parts.pop(0)


@simulated()
async def test_a_stream_that_has_nothing_at_the_moment_is_not_at_its_end(world: World, tmp_path: Path) -> None:
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_file(Slow(), name="s.bin")  # type: ignore[arg-type]
        with pytest.raises(adieu.TransferError, match="nothing at the moment"):
            await sending.wait()
        assert "nothing at the moment" in await taker.error()
    assert list((tmp_path / "in").iterdir()) == []


@simulated()
async def test_the_notice_of_a_stream_that_was_cut_off_counts_bytes(world: World, tmp_path: Path) -> None:
    """How much of it there was to be nobody knows."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(CHUNK)
        await asyncio.Event().wait()

    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        await pair.first.send_file(endless(), name="s.bin")
        async with asyncio.timeout(10):
            while not taker.offers or taker.offers[0].done < 3 * CHUNK:
                await asyncio.sleep(0.01)
        ours = await pair.first.close(timeout=1.0)
        theirs = await pair.second.wait_closed()
    assert f"{3 * CHUNK} bytes of s.bin arrived" in theirs.notice
    assert [file.size for file in (*ours.partial, *theirs.partial)] == [0, 0]
