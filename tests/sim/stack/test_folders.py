"""Folders, streams, times and modes over real engines, on virtual time."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.errors import TransferError
from adieu.protocol import folders
from adieu.protocol.control import CHUNK, HASH, File, FileOffer
from adieu.protocol.folders import Entries, FolderEntry, Had, Have, Piece, Proof
from adieu.session import FileReceipt, Options, disk
from adieu.session.files import desk, scan, staging
from adieu.session.files.excludes import Excludes
from adieu.session.files.transfer import Line
from adieu.session.session import shell_of
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.virtual import Pair, World

pytestmark = pytest.mark.usefixtures("threads_at_once")
BEFORE = Options(capabilities=("channels1", "credit2", "files2", "unread1"))
"""As the version before."""
TIME = 1_600_000_000_123_456_000
"""Nanoseconds since 1970."""


def made(folder: Path, name: str = "photos") -> Path:
    """A folder with all that folders have."""
    root = folder / name
    for path, size in {
        "a.txt": 5,
        "empty": 0,
        ".hidden": 3,
        "deep/er/x.bin": CHUNK + 7,
        "deep/y": 1,
        "large.bin": 3 * CHUNK,
        "z": 2,
    }.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(os.urandom(size))
        place.chmod(0o640)
        os.utime(place, ns=(TIME, TIME))
    (root / "nothing").mkdir()
    (root / "deep/y").chmod(0o755)
    os.utime(root / "deep", ns=(TIME, TIME))
    return root


def content(root: Path) -> dict[str, bytes | None]:
    """Path in a folder to the bytes of each file, and None for each folder."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in sorted(root.rglob("*"))
    }


class Taker:
    """Accepts what is offered to a session."""

    def __init__(self, session: adieu.Session, to: Path, exists: Any = "rename") -> None:
        to.mkdir(exist_ok=True)
        self.to, self.exists = to, exists
        self.offers: list[adieu.IncomingFile | adieu.IncomingFolder] = []
        self.ends: list[asyncio.Task[Path]] = []
        session.on("file", self._take)
        session.on("folder", self._take)

    def _take(self, offer: adieu.IncomingFile | adieu.IncomingFolder) -> None:
        self.offers.append(offer)
        self.ends.append(asyncio.create_task(offer.accept(self.to, exists=self.exists)))
        self.ends[-1].add_done_callback(lambda task: task.cancelled() or task.exception())

    async def error(self) -> str:
        """How the last one failed."""
        with pytest.raises(TransferError) as caught:
            await self.ends[-1]
        return str(caught.value)


def hostile(session: adieu.Session, file: File) -> None:
    shell_of(session).step(lambda now: shell_of(session).machine.say_file(file, now))


# --- what arrives ---------------------------------------------------------------------------------------------------


@simulated()
async def test_a_folder_arrives_whole_and_both_receipts_name_it(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_folder(root)
        await sending.wait()
        path = await taker.ends[0]
        assert path == tmp_path / "in" / "photos"
        assert content(path) == content(root)
        for place in ("a.txt", "deep/er/x.bin", "empty", "deep"):
            assert (path / place).stat().st_mtime_ns == TIME
        assert stat.S_IMODE((path / "a.txt").stat().st_mode) == 0o640
        assert stat.S_IMODE((path / "deep/y").stat().st_mode) == 0o755
        offer = taker.offers[0]
        assert isinstance(offer, adieu.IncomingFolder)
        assert offer.entries == sending.entries and offer.count == len(content(root)) == len(offer.entries)
        assert offer.proofs == sending.proofs and len(offer.proofs) == 7
        assert (offer.done, offer.size, offer.proof) == (sending.size, sending.done, sending.proof)
        digest = hashlib.sha256((root / "a.txt").read_bytes()).digest()
        assert sending.proofs["a.txt"] == hashlib.sha256(digest).hexdigest()
        receipts = await asyncio.gather(pair.first.close(), pair.second.wait_closed())
        assert [receipt.files for receipt in receipts] == [
            (FileReceipt("photos", sending.size, sending.proof, sent=sent, files=7),) for sent in (True, False)
        ]
    assert [each.name for each in (tmp_path / "in").iterdir()] == ["photos"]


@simulated()
async def test_many_small_files_share_messages(world: World, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(1500):
        (root / f"{number}.txt").write_bytes(b"%d" % number)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        await (await pair.first.send_folder(root)).wait()
        assert content(await taker.ends[0]) == content(root)
        [name] = [name for name in pair.first.channels if name.startswith("file ")]
        accepted = shell_of(pair.first).machine.channels[name].sender.accepted
        assert accepted.messages < 1500 // 256 * 2 + 4


@simulated()
async def test_an_empty_folder_arrives(world: World, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        await (await pair.first.send_folder(tmp_path / "nothing", name="other")).wait()
        assert content(await taker.ends[0]) == {} and (tmp_path / "in" / "other").is_dir()


@simulated()
async def test_links_pipes_and_what_is_excluded_are_left_out(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    (root / "link").symlink_to(root / "a.txt")
    (root / "way").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_folder(root, exclude=["*.bin", "/nothing/", ".*"])
        await sending.wait()
        assert sorted(content(await taker.ends[0])) == ["a.txt", "deep", "deep/er", "deep/y", "empty", "z"]
        assert sorted(sending.left_out) == [str(root / name) for name in ("link", "pipe", "way")]


@simulated()
async def test_a_folder_goes_on_through_resets(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    for number in range(20):
        (root / f"{number}.bin").write_bytes(os.urandom(CHUNK))
    world.link(delay=0.01, rate=8_000_000)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_folder(root)
        for part in (4, 12):
            while sending.done < part * CHUNK:
                await asyncio.sleep(0.05)
            await pair.first.reset("transport")
        await sending.wait()
        assert content(await taker.ends[0]) == content(root)


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "file", "stream", "lines"])
@pytest.mark.parametrize("size", [0, 5, CHUNK, 2 * CHUNK + 9])
@simulated()
async def test_bytes_and_streams_arrive_as_files(world: World, tmp_path: Path, kind: str, size: int) -> None:
    data = os.urandom(size)

    async def parts(step: int) -> AsyncIterator[bytes]:
        for at in range(0, size, step):
            yield data[at : at + step]

    sources: dict[str, Any] = {
        "bytes": data,
        "bytearray": bytearray(data),
        "file": io.BytesIO(data),
        "stream": parts(CHUNK + 3),
        "lines": parts(7001),
    }
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_file(sources[kind], name="made.bin")
        await sending.wait()
        assert (await taker.ends[0]).read_bytes() == data
        assert sending.size == sending.done == taker.offers[0].size == size
        assert isinstance(taker.offers[0], adieu.IncomingFile)
        assert taker.offers[0].stream is ("byte" not in kind)
        [received] = (await pair.second.close()).files
        assert received == FileReceipt("made.bin", size, sending.proof, sent=False)


@simulated()
async def test_a_stream_that_breaks_leaves_nothing_and_says_why(world: World, tmp_path: Path) -> None:
    async def breaking() -> AsyncIterator[Any]:
        yield os.urandom(2 * CHUNK)
        yield "text"

    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        with pytest.raises(TransferError, match="must give bytes, not str"):
            await (await pair.first.send_file(breaking(), name="x")).wait()
        assert "must give bytes" in await taker.error()
        assert list((tmp_path / "in").iterdir()) == []


@simulated()
async def test_sources_that_are_none_are_named(world: World, tmp_path: Path) -> None:
    async with connected(world) as pair:
        with pytest.raises(TypeError, match="not int"):
            await pair.first.send_file(3, name="x")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="give name="):
            await pair.first.send_file(b"x")
        with pytest.raises(NotADirectoryError, match="send it as a file"):
            await pair.first.send_folder(made(tmp_path) / "a.txt")
        with pytest.raises(FileNotFoundError):
            await pair.first.send_folder(tmp_path / "no")


@simulated()
async def test_a_file_has_its_time_and_its_mode(world: World, tmp_path: Path) -> None:
    source = made(tmp_path) / "deep/y"
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        await (await pair.first.send_file(source)).wait()
        found = (await taker.ends[0]).stat()
        assert (found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (TIME, 0o755)


@simulated()
async def test_no_mode_gives_more_than_files_made_here_have(world: World, tmp_path: Path) -> None:
    source = made(tmp_path) / "deep/y"
    source.chmod(0o4477)
    before = os.umask(0o027)
    try:
        async with connected(world) as pair:
            taker = Taker(pair.second, tmp_path / "in")
            await (await pair.first.send_file(source)).wait()
            assert stat.S_IMODE((await taker.ends[0]).stat().st_mode) == 0o650
    finally:
        os.umask(before)


# --- what is there already ------------------------------------------------------------------------------------------


@simulated()
async def test_a_file_that_is_there_is_kept_replaced_or_not_received(world: World, tmp_path: Path) -> None:
    source = tmp_path / "f.txt"
    source.write_bytes(b"new")
    there = tmp_path / "in" / "f.txt"
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        there.write_bytes(b"old")
        for exists, found in (("rename", b"old"), ("skip", b"old"), ("overwrite", b"new")):
            taker.exists = exists
            sending = await pair.first.send_file(source)
            if exists == "skip":
                with pytest.raises(TransferError, match="refused: it is there already"):
                    await sending.wait()
            else:
                await sending.wait()
            path = await taker.ends[-1]
            assert path.name == ("f (1).txt" if exists == "rename" else "f.txt")
            assert there.read_bytes() == found and taker.offers[-1].skipped is (exists == "skip")
        with pytest.raises(ValueError, match="'rename', 'overwrite', 'skip', not 'ask'"):
            await taker.offers[-1].accept(exists="ask")  # type: ignore[arg-type]
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["f (1).txt", "f.txt"]


@simulated()
async def test_a_folder_that_is_there_is_kept_or_merged(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    there = tmp_path / "in" / "photos"
    (there / "deep").mkdir(parents=True)
    for name in ("own.txt", "a.txt", "deep/y"):
        (there / name).write_bytes(b"old")
    old = content(there)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        for exists in ("rename", "skip", "overwrite"):
            taker.exists = exists
            sending = await pair.first.send_folder(root)
            await sending.wait()
            path = await taker.ends[-1]
            assert path.name == ("photos (1)" if exists == "rename" else "photos")
            expected = {"rename": content(root), "skip": content(root) | old, "overwrite": old | content(root)}
            assert content(path) == expected[exists]
            assert sending.done == sending.size
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["photos", "photos (1)"]


@pytest.mark.parametrize("what", ["a file for a folder", "a folder for a file", "a link for a folder"])
@simulated()
async def test_a_file_in_the_way_is_named_first_and_not_touched(world: World, tmp_path: Path, what: str) -> None:
    root = made(tmp_path)
    there = tmp_path / "in" / "photos"
    there.mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    match what:
        case "a file for a folder":
            (there / "deep").write_bytes(b"x")
        case "a folder for a file":
            (there / "a.txt").mkdir()
        case _:
            (there / "deep").symlink_to(tmp_path / "precious")
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in", "overwrite")
        sending = await pair.first.send_folder(root)
        with pytest.raises(TransferError, match="is in the way"):
            await sending.wait()
        assert "is in the way" in await taker.error()
        assert sending.done == 0
        [part] = (tmp_path / "in").glob(".photos.*.part/tree")
        assert content(part) == {}, "nothing was received for nothing"
        assert len(content(there)) == 1 and list((tmp_path / "precious").iterdir()) == []


# --- it goes on where it was cut off --------------------------------------------------------------------------------


async def cut_off(world: World, tmp_path: Path, root: Path, after: int) -> None:
    """A transfer whose receiver cancels it after so many bytes."""
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_folder(root)
        while not taker.offers or taker.offers[0].done < after:
            await asyncio.sleep(0.01)
        taker.ends[0].cancel()
        with pytest.raises(TransferError, match="cancelled by the receiver"):
            await sending.wait()


@simulated()
async def test_a_folder_that_was_cut_off_goes_on_at_the_chunk(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(tmp_path)
    (root / "large.bin").write_bytes(os.urandom(30 * CHUNK))
    world.link(delay=0.01, rate=8_000_000)
    await cut_off(world, tmp_path, root, 12 * CHUNK)
    [part] = (tmp_path / "in").iterdir()
    here = (part / "tree" / "large.bin").stat().st_size
    assert 10 * CHUNK < here < 20 * CHUNK
    (root / "z").write_bytes(b"changed meanwhile")
    (part / "tree" / "stray").write_bytes(b"not in the folder")
    with (part / "tree" / "large.bin").open("ab") as file:
        file.write(b"half a chunk, when the program was killed")
    sent: list[int] = []
    plain = Line.send

    async def counted(self: Line, message: str | bytes, position: int | None = None) -> None:
        if isinstance(message, bytes):
            sent.extend(len(piece.data) for piece in folders.decode_pieces(message))
        await plain(self, message, position)

    monkeypatch.setattr(Line, "send", counted)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_folder(root)
        await sending.wait()
        assert content(await taker.ends[0]) == content(root)
        assert sum(sent) == 30 * CHUNK - here // CHUNK * CHUNK + len(b"changed meanwhile")
        assert len(sending.proofs) == len(taker.offers[0].proofs) == 7  # type: ignore[union-attr]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["photos"]


@simulated()
async def test_a_part_with_other_bytes_is_sent_again_and_nothing_is_lost(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    (root / "large.bin").write_bytes(os.urandom(30 * CHUNK))
    world.link(delay=0.01, rate=8_000_000)
    await cut_off(world, tmp_path, root, 12 * CHUNK)
    [part] = (tmp_path / "in").iterdir()
    for name in ("a.txt", "deep/er/x.bin", "large.bin"):
        with (part / "tree" / name).open("r+b") as file:
            file.write(b"other")
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        await (await pair.first.send_folder(root)).wait()
        assert content(await taker.ends[0]) == content(root)


@simulated()
async def test_a_file_that_changes_meanwhile_fails_its_folder(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    world.link(delay=0.01, rate=2_000_000)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sending = await pair.first.send_folder(root)
        (root / "z").write_bytes(b"longer than it was")
        with pytest.raises(TransferError, match=r"photos/z was changed while the folder was sent"):
            await sending.wait()
        assert "was changed" in await taker.error()
        await (await pair.first.send_folder(root)).wait()
        assert content(await taker.ends[-1]) == content(root)


@simulated()
async def test_the_same_folder_twice_at_once_arrives_twice(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    world.link(delay=0.01, rate=8_000_000)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        sendings = [await pair.first.send_folder(root) for _ in range(2)]
        await asyncio.gather(*(sending.wait() for sending in sendings))
        paths = [await end for end in taker.ends]
        assert sorted(path.name for path in paths) == ["photos", "photos (1)"]
        assert all(content(path) == content(root) for path in paths)
    assert len(list((tmp_path / "in").iterdir())) == 2


# --- a full disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["file", "folder"])
@simulated()
async def test_a_full_disk_refuses_and_both_hear_the_numbers(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    root = made(tmp_path)
    usage = disk.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        send = pair.first.send_folder(root) if what == "folder" else pair.first.send_file(root / "large.bin")
        sending = await send
        with pytest.raises(TransferError, match="has 1000 bytes left"):
            await sending.wait()
        size = sending.size
        assert f"{size} bytes are to come" in await taker.error()
        assert sending.done == 0 and pair.second.state == "open"


@simulated()
async def test_a_disk_that_fills_up_is_said_and_what_came_is_kept(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(tmp_path)
    room = [2 * CHUNK]
    plain = os.write

    def write(file: int, data: Any) -> int:
        if len(data) < 100:  # not a file's: the loop's own
            return plain(file, data)
        if room[0] < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= len(data)
        return plain(file, data)

    monkeypatch.setattr(staging.os, "write", write)
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        with pytest.raises(TransferError, match="No space left on device"):
            await (await pair.first.send_folder(root)).wait()
        assert "No space left" in await taker.error()
        [part] = (tmp_path / "in").iterdir()
        assert (part / "tree" / "deep/er/x.bin").stat().st_size == CHUNK + 7
        monkeypatch.setattr(staging.os, "write", plain)
        await (await pair.first.send_folder(root)).wait()
        assert content(await taker.ends[-1]) == content(root)


# --- the version before, and no handler -----------------------------------------------------------------------------


@simulated()
async def test_the_version_before_gets_files_and_no_folders(world: World, tmp_path: Path) -> None:
    root = made(tmp_path)
    async with connected(world, options=BEFORE) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        for source, name in ((root / "large.bin", None), (b"bytes", "bytes")):
            await (await pair.first.send_file(source, name=name)).wait()
            assert isinstance(taker.offers[-1], adieu.IncomingFile) and taker.offers[-1].mode is None
            await taker.ends[-1]
        with pytest.raises(TransferError, match="takes no folders: send the files one by one"):
            await (await pair.first.send_folder(root)).wait()
        with pytest.raises(TransferError, match="takes no streams: send a file"):
            await (await pair.first.send_file(io.BytesIO(b"x"), name="x")).wait()


@simulated()
async def test_a_program_that_handles_files_alone_refuses_folders(world: World, tmp_path: Path) -> None:
    async with connected(world) as pair:
        pair.second.on("file", lambda _: pytest.fail("a folder is no file"))
        with pytest.raises(TransferError, match="no handler for folders on this side"):
            await (await pair.first.send_folder(made(tmp_path))).wait()


# --- what a peer may say --------------------------------------------------------------------------------------------


def piece(n: int, at: int, data: bytes) -> Piece:
    return Piece(n, at, data, hashlib.sha256(data).digest())


def texts(*entries: FolderEntry) -> str:
    return folders.encode(Entries(entries=list(entries), last=True))


ONE, TWO = FolderEntry(path="a", size=CHUNK + 1), FolderEntry(path="b", size=3)
DATA = b"x" * CHUNK
WHOLE = [
    folders.encode_pieces([piece(0, 0, DATA), piece(0, CHUNK, b"y")]),
    folders.encode_pieces([piece(1, 0, b"abc")]),
]
LIES: dict[str, list[str | bytes]] = {
    "a hash that lies": [folders.encode_pieces([Piece(0, 0, DATA, bytes(32))])],
    "a later file first": [WHOLE[1]],
    "a later piece first": [folders.encode_pieces([piece(0, CHUNK, b"y")])],
    "a piece twice": [folders.encode_pieces([piece(0, 0, DATA), piece(0, 0, DATA)])],
    "a short piece": [folders.encode_pieces([piece(0, 0, DATA[1:])])],
    "a long piece": [folders.encode_pieces([piece(0, 0, DATA + b"x")])],
    "more than the file has": [*WHOLE, folders.encode_pieces([piece(1, 3, b"d")])],
    "another file again": [*WHOLE, WHOLE[0]],
    "a file that is not in the list": [*WHOLE, folders.encode_pieces([piece(2, 0, b"abc")])],
    "a file is missing": [WHOLE[0], folders.encode(Proof(proof="0" * 64))],
    "a half of a file": [folders.encode_pieces([piece(0, 0, DATA)]), folders.encode(Proof(proof="0" * 64))],
    "a proof that lies": [*WHOLE, folders.encode(Proof(proof="0" * 64))],
    "no message of pieces": [b"\x05rubbish"],
    "nothing": [b""],
    "another text": [texts(ONE)],
    "no text of a folder": ["hello"],
}
OF_THE_FIRST_VERSION: dict[str, Any] = {"chunk": None, "key": "", "sha256": "ab" * 32}
LISTS: dict[str, list[str | bytes]] = {
    "a way out": [texts(FolderEntry(path="../a", size=CHUNK + 1), TWO)],
    "the root of the disk": [texts(FolderEntry(path="/etc/a", size=CHUNK + 1), TWO)],
    "twice": [texts(ONE, FolderEntry(path="a", size=3))],
    "more than offered": [texts(ONE, TWO, FolderEntry(path="c", size=0))],
    "less than offered": [texts(ONE)],
    "larger than offered": [texts(ONE, FolderEntry(path="b", size=4))],
    "bytes": [b"abc"],
    "no list": ["{}"],
    "deep nesting": ["[" * 1000],
}


async def by_hand(pair: Pair, messages: list[str | bytes], **members: Any) -> adieu.Channel:
    """An offer of ONE and TWO made by hand, and what is sent after it is accepted."""
    members = {"size": CHUNK + 4, "chunk": CHUNK, "key": "ab" * 16, "entries": 2, **members}
    hostile(pair.first, File(id="by hand", offer=FileOffer(name="f", channel="file x", **members)))
    channel = await pair.first.open("file x")
    for message in messages:
        await channel.send(message)
    await asyncio.sleep(1)
    return channel


@pytest.mark.parametrize("lie", [*LIES, *LISTS])
@simulated()
async def test_a_folder_that_lies_is_not_received_and_the_session_goes_on(
    world: World, tmp_path: Path, lie: str
) -> None:
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        await by_hand(pair, [texts(ONE, TWO), *LIES[lie]] if lie in LIES else LISTS[lie])
        assert len(await taker.error()) > 20
        assert pair.second.state == "open"
        assert [path for path in (tmp_path / "in").iterdir() if not path.name.endswith(".part")] == []
        assert "etc" not in content(tmp_path) and "a" not in content(tmp_path)
        root = made(tmp_path)
        await (await pair.first.send_folder(root)).wait()
        assert content(await taker.ends[-1]) == content(root)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"entries": 1_000_000}, "1000000 files and folders; 100000 at most"),
        (OF_THE_FIRST_VERSION, "needs the size of its chunks"),
        ({**OF_THE_FIRST_VERSION, "entries": None, "stream": True}, "needs the size of its chunks"),
    ],
)
@simulated()
async def test_an_offer_that_cannot_be_is_refused_at_once(
    world: World, tmp_path: Path, members: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[File] = []
    offered: dict[str, Any] = {"size": 1, "chunk": CHUNK, "key": "ab" * 16, "entries": 1}
    monkeypatch.setattr(desk.Desk, "say", lambda _, file: heard.append(file))
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        hostile(
            pair.first,
            File(
                id="x",
                offer=FileOffer(name="f", channel="file x", **{**offered, **members}),
            ),
        )
        await asyncio.sleep(1)
        assert taker.offers == [] and why in (heard[0].refuse or "")


@pytest.mark.parametrize(
    "have",
    [
        Have(files=[Had(n=99, size=1, proof="0" * 64)], last=True),
        Have(files=[Had(n=0, size=5, proof="0" * 64)], last=True),
        Have(files=[Had(n=0, size=9 * CHUNK, proof="0" * 64)], last=True),
        Have(files=[Had(n=1, size=1, proof=""), Had(n=0, size=1, proof="")], last=True),
        Have(skip=[99], last=True),
        Proof(proof="0" * 64),
    ],
    ids=["no entry", "no chunk", "more than it has", "not in order", "skips no entry", "another text"],
)
@simulated()
async def test_a_receiver_that_lies_of_what_it_has_gets_nothing(
    world: World, tmp_path: Path, have: folders.Text
) -> None:
    root = made(tmp_path)
    async with connected(world) as pair:
        pair.second.on("folder", lambda folder: folder.hold())
        sending = await pair.first.send_folder(root)
        await asyncio.sleep(1)
        hostile(pair.second, File(id=sending.id, accept=0))
        await asyncio.sleep(1)
        name = next(name for name in pair.second.channels if name.startswith("file "))
        channel = await pair.second.open(name)
        assert isinstance(await channel.receive(), str)
        await channel.send(folders.encode(have))
        with pytest.raises(TransferError):
            await asyncio.wait_for(sending.wait(), 10)
        assert sending.done == 0 and pair.first.state == "open"


@pytest.mark.parametrize("last", [b"x" * 31, b"", b"x" * 33, b"x" * 32], ids=["short", "empty", "long", "wrong"])
@simulated()
async def test_a_stream_whose_end_lies_is_not_received(world: World, tmp_path: Path, last: bytes) -> None:
    async with connected(world) as pair:
        taker = Taker(pair.second, tmp_path / "in")
        data = b"z" * CHUNK
        message = data + hashlib.sha256(data).digest()
        assert len(message) == CHUNK + HASH
        await by_hand(pair, [message, last], entries=None, stream=True, size=0)
        assert "damaged" in await taker.error()
        assert list((tmp_path / "in").iterdir()) == []


def test_a_scan_refuses_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = made(tmp_path)
    deep = root.joinpath(*["x" * 30] * 40)
    deep.mkdir(parents=True)
    with pytest.raises(ValueError, match="too long or too deep"):
        scan.Scan(root, Excludes([]))
    monkeypatch.setattr(folders, "MAX_ENTRIES", 3)
    with pytest.raises(ValueError, match="more than 3 files and folders"):
        scan.Scan(root, Excludes([]))
