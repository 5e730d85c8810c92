"""The echo friend: a Python program in a room. It answers chat, returns files, shows itself and says goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import adieu
from adieu.cli.friend_media import Appearance
from adieu.cli.steps import in_words
from adieu.errors import SessionClosedError, SessionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.session import Channel, Session
    from adieu.session.events import ClosingEvent, ProgressEvent
    from adieu.session.files.file import IncomingFile
    from adieu.webrtc import TransportSettings

GOODBYES = {"bye", "goodbye", "adieu", "ciao"}
MAX_FILE = 1024**3
"""Bytes. Larger files are refused."""


@dataclass(frozen=True, slots=True)
class Place:
    """A room, and the server that knows it."""

    url: str
    room: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `http://host:port/#ROOM`, as the page's address has it, `http://host:port/ROOM`, or `ws://host/ws/ROOM`.

        Raises:
            ValueError: the text names no server or no room.
        """
        parts = urlsplit(text)
        schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
        path, _, last = parts.path.rstrip("/").rpartition("/")
        if parts.fragment:
            path, last = parts.path.rpartition("/")[0], parts.fragment
        room = unquote(last)
        if parts.scheme not in schemes or not parts.hostname or not room or room == "ws":
            raise ValueError(
                f"{text!r} is not the address of a room: give the address of the page, such as http://127.0.0.1:8080/#lab"
            )
        return cls(f"{schemes[parts.scheme]}://{parts.netloc}{path.removesuffix('/ws')}/ws", room)


async def keep_company(
    place: Place,
    name: str,
    say: Callable[[str], None],
    stop: asyncio.Event,
    token: str | None = None,
    ca: Path | None = None,
    settings: TransportSettings | None = None,
) -> None:
    """Be in the room until `stop` is set, then say goodbye to everybody in it.

    Raises:
        SignalingLostError: the server does not answer, or is gone for good.
        SignalingRefusedError: the server refuses this client, or its certificate is not trusted.
        ValueError: `ca` is not a file with certificates.
    """
    async with adieu.join(place.url, room=place.room, name=name, token=token, ssl=ca, settings=settings) as room:
        say(f"{name} is in room {place.room}.")
        stopping = asyncio.create_task(stop.wait())
        talks: set[asyncio.Task[None]] = set()
        try:
            while not stop.is_set():
                arriving = asyncio.create_task(room.session())
                await asyncio.wait({arriving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not arriving.done():
                    arriving.cancel()
                    break
                talks.add(asyncio.create_task(_talk(arriving.result(), name, say)))
                talks = {talk for talk in talks if not talk.done()}
        finally:
            stopping.cancel()
            await room.close("the friend was stopped")
            await asyncio.gather(*talks)


async def _talk(session: Session, name: str, say: Callable[[str], None]) -> None:
    who = session.name or "Somebody"
    say(f"{who} joined.")
    steps: list[str] = []

    @session.on("progress")
    def _(event: ProgressEvent) -> None:
        if event.step not in steps and (event.messages or event.files):
            steps.append(event.step)
            say(in_words(event))

    appearance = Appearance(session, name)
    try:
        with contextlib.suppress(SessionClosedError):  # how it ended is in the receipt
            await _answer(session, name, say)
        say((await session.wait_closed()).notice)
    finally:
        await appearance.end()


async def _answer(session: Session, name: str, say: Callable[[str], None]) -> None:
    chat = await session.open("chat")

    @session.on("file")
    async def _(file: IncomingFile) -> None:
        await _return(session, file, say)

    @session.on("closing")
    async def _(_: ClosingEvent) -> None:
        with contextlib.suppress(SessionClosedError):  # they left while this program was suspended: too late
            await chat.send("Goodbye! It was nice to talk to you.")

    await chat.send(
        f"Hello {session.name or 'there'}, I am {name}, a program in Python. I repeat what you write and send your"
        " files back. Say “bye”, and I leave."
    )
    await _echo(session, chat)


async def _echo(session: Session, chat: Channel) -> None:
    async for message in chat:
        if not isinstance(message, str):
            await chat.send(f"You sent me {len(message)} bytes.")
        elif message.strip(" .!").lower() in GOODBYES:
            await chat.send("Goodbye!")
            await session.close("you said so")
            return
        else:
            await chat.send(f"You wrote: {message}")


async def _return(session: Session, file: IncomingFile, say: Callable[[str], None]) -> None:
    if file.stream or file.size > MAX_FILE:
        file.refuse("its size is not known before its end: send a file" if file.stream else "too large to be sent back")
        return
    try:
        # A folder for this file alone: a friend that is killed while it only talks leaves nothing behind.
        with tempfile.TemporaryDirectory(prefix="adieu-friend-") as folder:
            transfer = await session.send_file(await file.accept(Path(folder)), name=file.name)
            await transfer.wait()
    except (SessionError, OSError) as error:
        with contextlib.suppress(SessionError):  # the offer is answered already
            file.refuse(str(error))
        say(f"{file.name}: {error}")
    else:
        say(f"{file.name} was sent back, {file.size} bytes.")
