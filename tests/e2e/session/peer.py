"""A program of its own that joins a room and echoes, for tests that kill, stop or cut it.

python peer.py URL ROOM NAME — prints a JSON line for each thing that happens.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import adieu


def tell(what: str, **members: object) -> None:
    print(json.dumps({"what": what, "at": time.time(), **members}), flush=True)


async def stream(session: adieu.Session, every: float) -> None:
    """Numbers, for as long as the session takes them."""
    channel = await session.open("stream")
    number = 0
    try:
        while True:
            number += 1
            await channel.send(number.to_bytes(8) + bytes(1000))
            await asyncio.sleep(every)
    except adieu.SessionClosedError:
        pass


async def listen(session: adieu.Session) -> None:
    channel = await session.open("stream")
    numbers: list[int] = []
    try:
        async for data in channel:
            numbers.append(int.from_bytes(data[:8]))
    except adieu.SessionClosedError:
        pass
    expected = list(range(1, len(numbers) + 1))
    tell("heard", count=len(numbers), in_order=numbers == expected)


async def main(url: str, room: str, name: str) -> None:
    async with adieu.join(url, room=room, name=name) as place:
        session = await place.session()

        @session.on("state")
        def _(event: adieu.StateEvent) -> None:
            tell("state", state=event.state, cause=event.cause, evidence=event.evidence)

        tell("connected")
        async with asyncio.TaskGroup() as group:
            group.create_task(stream(session, 0.01))
            group.create_task(listen(session))
            receipt = await session.wait_closed()
        tell("receipt", **json.loads(receipt.to_json()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
