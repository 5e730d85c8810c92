"""The disk's side of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from adieu.errors import TransferError
from adieu.session import disk

CHUNK = 64 * 1024


def proved(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()


def made(folder: Path, size: int = 5 * CHUNK + 7) -> Path:
    path = folder / "source.bin"
    path.write_bytes(os.urandom(size))
    return path


def chunk(source: disk.Source, file: BinaryIO | None, index: int) -> bytes:
    return bytes(source.chunk(file, index, CHUNK, memoryview(bytearray(CHUNK + 32))))


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_each_chunk_is_hashed_once_for_all_who_get_the_file(tmp_path: Path) -> None:
    path = made(tmp_path)
    sources = [disk.source(path) for _ in range(3)]
    got: list[list[bytes]] = []

    def read(source: disk.Source) -> None:
        file = source.open()
        assert file is not None
        with file:
            got.append([chunk(source, file, index) for index in range(6)])

    threads = [threading.Thread(target=read, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got[0] == got[1] == got[2]
    assert b"".join(message[:-32] for message in got[0]) == path.read_bytes()
    assert all(message == proved(message[:-32]) for message in got[0])
    assert sources[0].hashed == path.stat().st_size
    assert sources[0] is sources[1] is sources[2]


def test_the_key_is_another_when_the_bytes_may_be(tmp_path: Path) -> None:
    path = made(tmp_path)
    first = disk.source(path).key
    assert disk.source(path).key == first
    path.write_bytes(os.urandom(path.stat().st_size))
    assert disk.source(path).key != first


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: os.truncate(path, CHUNK + 1), "became shorter"),
        (lambda path: path.write_bytes(bytes(5 * CHUNK + 7)), "was changed"),
    ],
)
def test_a_file_that_changes_while_it_is_sent_is_not_sent(tmp_path: Path, change, why: str) -> None:
    path = made(tmp_path)
    os.utime(path, (1, 1))
    source = disk.source(path)
    file = source.open()
    with contextlib.closing(file):  # type: ignore[type-var]
        change(path)
        with pytest.raises(TransferError, match=why):
            chunk(source, file, 1)


def test_another_file_of_the_same_name_is_not_sent_in_its_place(tmp_path: Path) -> None:
    path = made(tmp_path)
    source = disk.source(path)
    (tmp_path / "other").write_bytes(path.read_bytes())
    (tmp_path / "other").replace(path)
    with pytest.raises(TransferError, match="another file"):
        source.open()
    path.unlink()
    with pytest.raises(FileNotFoundError, match="source.bin"):
        source.open()


def test_of_a_file_that_grows_what_was_offered_is_sent(tmp_path: Path) -> None:
    path = made(tmp_path)
    before = path.read_bytes()
    source = disk.source(path)
    with path.open("ab") as more:
        more.write(b"more")
    os.utime(path, (1, 1))
    with path.open("rb") as file:
        chunks = [chunk(source, file, index) for index in range(6)]
    assert b"".join(message[:-32] for message in chunks) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere: files of the system are Linux's")
def test_files_of_the_system_are_sent_with_what_is_in_them() -> None:
    path = Path("/proc/self/status")
    assert path.stat().st_size == 0
    source = disk.source(path)
    assert source.size > 100
    assert chunk(source, source.open(), 0)[:-32].startswith(b"Name:")


def test_what_is_no_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=r"folder; send the files in it.*[/\\]"):
        disk.source(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        disk.source(tmp_path / "nowhere")
    if os.name == "nt":
        return  # the rest has no names in its folders
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match=r"a device, a pipe or a socket.*pipe"):
        disk.source(pipe)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match=r"a device, a pipe or a socket.*socket"):
            disk.source(tmp_path / "socket")
    with pytest.raises(OSError, match=r"a device.*/dev/zero"):
        disk.source(Path("/dev/zero"))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid(), reason="elsewhere: root has to give up what it may read"
)
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.chmod(0)
    code = f"""
import os, pathlib
from adieu.session import disk
os.setegid(65534); os.seteuid(65534)
try:
    disk.source(pathlib.Path({str(path)!r}))
except PermissionError as error:
    print(error)
"""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert "Permission denied" in ran.stdout and str(path) in ran.stdout


# --- what comes -----------------------------------------------------------------------------------------------------


def test_what_is_proved_is_kept_and_found_again(tmp_path: Path) -> None:
    data = os.urandom(3 * CHUNK)
    part = disk.Part(tmp_path, "f.bin", "ab")
    assert part.found(len(data), CHUNK) == 0
    part.add_proved(proved(data[:CHUNK]), CHUNK)
    part.close()
    assert [path.name for path in tmp_path.iterdir()] == [".f.bin.ab.part"]
    with (tmp_path / ".f.bin.ab.part").open("ab") as file:
        file.write(b"half a chunk")
    part = disk.Part(tmp_path, "f.bin", "ab")
    assert part.found(len(data), CHUNK) == CHUNK
    while not part.rehash(CHUNK, CHUNK):
        pass
    for at in (CHUNK, 2 * CHUNK):
        part.add_proved(proved(data[at : at + CHUNK]), CHUNK)
    hashes = b"".join(hashlib.sha256(data[at : at + CHUNK]).digest() for at in range(0, len(data), CHUNK))
    assert part.proof == hashlib.sha256(hashes).hexdigest()
    path = part.keep()
    part.close()
    assert path == tmp_path / "f.bin" and path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_piece_that_is_not_what_its_hash_says_is_not_kept(tmp_path: Path) -> None:
    part = disk.Part(tmp_path, "f", "ab")
    good = bytes(CHUNK)
    for message, size in ((good + bytes(32), CHUNK), (proved(good[1:]), CHUNK), (b"", 0), (bytes(5), 0)):
        with pytest.raises(TransferError, match="damaged"):
            part.add_proved(message, size)
    assert part.size == 0
    part.close()


def test_two_that_receive_the_same_file_have_a_part_each(tmp_path: Path) -> None:
    first, second = disk.Part(tmp_path, "f", "ab"), disk.Part(tmp_path, "f", "ab")
    assert first.path != second.path
    first.add(b"first")
    second.add(b"second one")
    assert first.keep().read_bytes() == b"first"
    first.close()
    assert second.keep().read_bytes() == b"second one"
    second.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "f (1)"]


def test_the_second_leaves_what_it_has_if_the_first_has_ended(tmp_path: Path) -> None:
    first, second = disk.Part(tmp_path, "f", "ab"), disk.Part(tmp_path, "f", "ab")
    second.add(b"second")
    first.close()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == [".f.ab.part"]  # of the first, which was there before
    first = disk.Part(tmp_path, "f", "ab")
    second = disk.Part(tmp_path, "f", "ab")
    second.add(b"second")
    first.keep()
    first.close()
    second.close()
    third = disk.Part(tmp_path, "f", "ab")
    assert third.found(6, 1) == 6
    third.close()


def test_another_program_does_not_take_what_is_being_received(tmp_path: Path) -> None:
    part = disk.Part(tmp_path, "f", "ab")
    code = f"""
import pathlib
from adieu.session import disk
other = disk.Part(pathlib.Path({str(tmp_path)!r}), "f", "ab")
other.add(b"other")
print(other.keep().name)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    part.add(b"mine")
    assert ran.stdout.strip() == "f" and (tmp_path / "f").read_bytes() == b"other"
    assert part.keep().read_bytes() == b"mine"
    part.close()


def test_what_somebody_else_has_touched_is_not_given_out_as_received(tmp_path: Path) -> None:
    part = disk.Part(tmp_path, "f", "ab")
    part.add(b"12345")
    with part.path.open("ab") as file:
        file.write(b"6")
    with pytest.raises(TransferError, match="somebody else"):
        part.keep()
    part.close()
    if os.name == "nt":
        return  # the system lets nobody rename a file that is open
    other = disk.Part(tmp_path, "g", "ab")
    other.path.rename(tmp_path / "moved")
    other.path.write_bytes(b"planted")
    with pytest.raises(TransferError, match="somebody else"):
        other.keep()
    other.close()
    assert not (tmp_path / "f").exists() and not (tmp_path / "g").exists()


def test_what_is_whole_gets_its_name_without_taking_the_place_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop would wait until all bytes are on the disk."""
    part = disk.Part(tmp_path, "f", "ab")
    part.add(b"one")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: pytest.fail("it takes the place of a file"))
        kept = part.keep()
    part.close()
    assert kept == tmp_path / "f" and kept.read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["f"] and kept.stat().st_nlink == 1


def test_a_disk_without_links_gives_names_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links here")))
    for name in ("f", "f (1)"):
        part = disk.Part(tmp_path, "f", "ab")
        part.add(name.encode())
        assert part.keep() == tmp_path / name
        part.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "f (1)"]
    assert (tmp_path / "f").read_bytes() == b"f"


def test_no_link_is_followed_to_where_a_part_would_be(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"do not touch")
    (tmp_path / ".f.ab.part").symlink_to(precious)
    if os.name == "nt":  # a link is opened, and found to be one before anything is written
        disk.Part(tmp_path, "f", "ab").close()
    else:
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            disk.Part(tmp_path, "f", "ab")
    assert precious.read_bytes() == b"do not touch"


@pytest.mark.skipif(os.name == "nt", reason="elsewhere: Windows has other words and limits")
def test_a_name_that_the_disk_cannot_have_is_known_at_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        disk.Part(tmp_path, "x" * 256, "ab")
    part = disk.Part(tmp_path, "x" * 255, "ab")  # the caller's own
    (tmp_path / ("x" * 255)).write_bytes(b"")
    assert len(part.keep().name) == 255
    part.close()
