"""A program of its own that is in a room for as long as it lives, and takes every session; for tests that stop it.

python sleeper.py URL ROOM NAME — prints a JSON line for each session, what it hears, and each end.
"""

from __future__ import annotations

import asyncio
import json
import sys

import adieu
from adieu.session import Ladder, Options

SHORT = Options(recovery=Ladder(ice_restart=0.5, new_connection=1.0, again=1.0, give_up=3.0), connect_timeout=5.0)


def tell(what: str, **members: object) -> None:
    print(json.dumps({"what": what, **members}), flush=True)


async def serve(session: adieu.Session) -> None:
    tell("session", id=session.id)
    try:
        channel = await session.open("chat")
        async for message in channel:
            await channel.send(message)
    except adieu.SessionClosedError:
        pass
    tell("closed", id=session.id, cause=(await session.wait_closed()).cause)


async def main(url: str, room: str, name: str) -> None:
    async with adieu.join(url, room=room, name=name, options=SHORT) as place, asyncio.TaskGroup() as group:
        while True:
            group.create_task(serve(await place.session()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
