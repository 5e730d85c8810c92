"""A program that sends, or receives, for `test_killed_files.py`: it says each percent as a line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import adieu


def say(**members: Any) -> None:
    print(json.dumps(members), flush=True)


async def send(url: str, source: Path) -> None:
    async def pace(size: int) -> None:
        await asyncio.sleep(size / 16e6)  # slow enough to be killed on the way

    async with adieu.join(url, room="lab", name="sender") as room:
        send = room.send_file if source.suffix else room.send_folder
        carried = await send("receiver", source, pace=pace)
        carried.on("progress", lambda _: say(done=carried.done))
        await carried.wait()
        say(proof=carried.proof)


async def receive(url: str, to: Path) -> None:
    async with adieu.join(url, room="lab", name="receiver") as room:

        async def take(offer: Any) -> None:
            begun = False

            def progress(_: Any) -> None:
                nonlocal begun
                say(**{"done" if begun else "begun": offer.done})
                begun = True

            offer.on("progress", progress)
            path = await offer.accept(to)
            say(path=str(path), proof=offer.proof)

        def watch(session: adieu.Session) -> None:
            session.on("file", take)
            session.on("folder", take)

        room.on("session", watch)
        await asyncio.Event().wait()


if __name__ == "__main__":
    role, url, place = sys.argv[1:]
    asyncio.run({"send": send, "receive": receive}[role](url, Path(place)))
