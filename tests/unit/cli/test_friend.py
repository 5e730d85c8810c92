"""The echo friend, over a real server and real connections."""

from __future__ import annotations

import asyncio
import errno
import io
import sys
import tempfile

import pytest

import adieu
import adieu.cli.friend
from adieu.cli.friend import Place, keep_company
from adieu.errors import SessionClosedError, TransferError
from adieu.server import serve
from adieu.session import Channel
from support.certificates import Certificates

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "url", "room"),
    [
        ("http://127.0.0.1:8080/#lab", "ws://127.0.0.1:8080/ws", "lab"),
        ("http://127.0.0.1:8080/lab", "ws://127.0.0.1:8080/ws", "lab"),
        ("https://example.org/talk/#Ada%20%26%20Ben", "wss://example.org/talk/ws", "Ada & Ben"),
        ("https://example.org/talk/lab", "wss://example.org/talk/ws", "lab"),
        ("ws://[::1]:8080/ws/lab", "ws://[::1]:8080/ws", "lab"),
    ],
)
def test_a_room_is_named_by_the_address_of_its_page(text, url, room):
    assert Place.parse(text) == Place(url, room)


@pytest.mark.parametrize(
    "text", ["", "lab", "http://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws", "ftp://example.org/lab"]
)
def test_what_is_no_room_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="give the address of the page, such as http"):
        Place.parse(text)


async def test_it_answers_returns_files_and_says_goodbye(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    said: list[str] = []
    stop = asyncio.Event()
    source = tmp_path / "a.bin"
    source.write_bytes(bytes(range(256)) * 4096)
    async with serve() as server:
        friend = asyncio.create_task(keep_company(Place(server.url, "lab"), "Echo", said.append, stop))
        async with adieu.join(server.url, room="lab", name="Ada") as room:
            session = await room.session()
            chat = await session.open("chat")
            assert "I am Echo" in str(await chat.receive())
            await chat.send("hello")
            assert await chat.receive() == "You wrote: hello"
            await chat.send(b"\0\1")
            assert await chat.receive() == "You sent me 2 bytes."
            assert not list((tmp_path / "temporary").iterdir()), "nothing is kept before a file comes"
            back: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

            @session.on("file")
            async def _(file):
                back.set_result((await file.accept(tmp_path / "back")).read_bytes())

            transfer = await session.send_file(source)
            await transfer.wait()
            assert await back == source.read_bytes()
            stop.set()
            receipt = await session.wait_closed()
            assert (receipt.by, receipt.clean, receipt.reason.text) == ("remote", True, "the friend was stopped")
        await friend
    assert not list((tmp_path / "temporary").iterdir())
    assert said[0] == "Echo is in room lab."
    assert said[-1].startswith("You left Ada")


async def test_who_leaves_hears_a_goodbye_and_who_says_bye_is_left():
    stop = asyncio.Event()
    async with serve() as server:
        friend = asyncio.create_task(keep_company(Place(server.url, "lab"), "Echo", lambda _: None, stop))
        async with adieu.join(server.url, room="lab", name="Ada") as room:
            session = await room.session()
            chat = await session.open("chat")
            await chat.receive()
            assert (await session.close()).clean
            assert str(await chat.receive()).startswith("Goodbye!")
        async with adieu.join(server.url, room="lab", name="Ben") as room:
            session = await room.session()
            chat = await session.open("chat")
            await chat.receive()
            await chat.send("Bye!")
            assert await chat.receive() == "Goodbye!"
            assert (await session.wait_closed()).reason.text == "you said so"
        stop.set()
        await friend


async def test_a_friend_comes_to_a_server_with_tls(tmp_path):
    """`adieu demo --join https://… --ca FILE`; without the file it says what is missing, in one line."""
    certificates = Certificates(tmp_path)
    files = certificates.signed("localhost")
    async with serve(cert=files.cert, key=files.key) as server:
        where = f"https://localhost:{server.addresses[0][1]}/#lab"

        async def friend(*options):
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "adieu", "demo", "--plain", "--join", where, *options),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )

        stranger = await friend()
        _, text = await stranger.communicate()
        assert stranger.returncode == 2
        assert "unknown CA" in text.decode()
        assert "--ca FILE" in text.decode()
        assert len(text.splitlines()) == 1
        known = await friend("--ca", str(certificates.ca))
        async with asyncio.timeout(30), adieu.join(server.url.replace("127.0.0.1", "localhost"), "lab", "Ada",
                                                   ssl=certificates.ca) as room:  # fmt: skip
            session = await room.session()
            chat = await session.open("chat")
            assert "I am Echo" in str(await chat.receive())
        known.terminate()
        assert await known.wait() == 0


async def test_a_goodbye_that_comes_too_late_is_not_said(caplog, monkeypatch):
    """Who left while the friend stood still cannot be written to any more: the session is closing already."""
    send = Channel.send

    async def refuse(self, data):
        if str(data).startswith("Goodbye!"):
            raise SessionClosedError("cannot send: the session is closing")
        return await send(self, data)

    monkeypatch.setattr(Channel, "send", refuse)
    stop = asyncio.Event()
    said: list[str] = []
    async with serve() as server:
        friend = asyncio.create_task(keep_company(Place(server.url, "lab"), "Echo", said.append, stop))
        async with adieu.join(server.url, room="lab", name="Ada") as room:
            session = await room.session()
            await (await session.open("chat")).receive()
            await session.close()
        stop.set()
        await friend
    assert said[-1].startswith("Ada left")
    assert not [record.message for record in caplog.records if "handler" in record.message]


@pytest.mark.parametrize(
    ("source", "why"), [(io.BytesIO(b"a"), "size is not known"), (b"ab", "too large")], ids=["stream", "large"]
)
async def test_a_stream_and_a_large_file_are_refused(monkeypatch, source, why):
    monkeypatch.setattr(adieu.cli.friend, "MAX_FILE", 1)
    stop = asyncio.Event()
    async with serve() as server:
        friend = asyncio.create_task(keep_company(Place(server.url, "lab"), "Echo", lambda _: None, stop))
        async with adieu.join(server.url, room="lab", name="Ada") as room:
            session = await room.session()
            await (await session.open("chat")).receive()
            transfer = await session.send_file(source, name="x")
            with pytest.raises(TransferError, match=why):
                await transfer.wait()
        stop.set()
        await friend


async def test_a_file_that_cannot_be_kept_is_refused_in_words(caplog, monkeypatch, tmp_path):
    """No place on the disk is no fault of the program's."""

    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    stop = asyncio.Event()
    said: list[str] = []
    source = tmp_path / "a.bin"
    source.write_bytes(b"a")
    async with serve() as server:
        friend = asyncio.create_task(keep_company(Place(server.url, "lab"), "Echo", said.append, stop))
        async with adieu.join(server.url, room="lab", name="Ada") as room:
            session = await room.session()
            await (await session.open("chat")).receive()
            transfer = await session.send_file(source)
            with pytest.raises(TransferError, match="No space left"):
                await transfer.wait()
            await session.close()
        stop.set()
        await friend
    assert any("No space left" in line for line in said)
    assert not [record.message for record in caplog.records if "handler" in record.message]
