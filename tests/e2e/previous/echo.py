"""A program of the version before this one: it joins a room and does what it is told there, one JSON line at a time.

python echo.py URL ROOM FOLDER — what it is told comes over the channel "orders", and each order is answered there.
It uses only what both versions have.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import adieu

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "loose": {"ordered": False},
    "lossy": {"ordered": False, "max_retransmits": 0},
}


async def echo(channel: adieu.Channel) -> None:
    """Send back what comes, until the session ends."""
    try:
        async for message in channel:
            await channel.send(message)
    except adieu.SessionClosedError:
        pass


async def obey(session: adieu.Session, order: dict[str, Any], folder: Path) -> dict[str, Any]:
    match order["do"]:
        case "reset":
            report = await session.reset(order["level"])
            return {"epoch": report.epoch, "replayed": report.replayed}
        case "send file":
            path = folder / "from-previous.bin"
            path.write_bytes(bytes(range(256)) * order["blocks"])
            transfer = await session.send_file(path)
            await transfer.wait()
            return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        case "send many":
            channel = await session.open("many")
            for number in range(order["count"]):
                await channel.send(number.to_bytes(4) + bytes(order["size"]))
            return {}
        case "close":
            asyncio.get_running_loop().call_later(
                0.05, lambda: _closing.append(asyncio.ensure_future(session.close(order["text"], timeout=20.0)))
            )
            return {}
        case other:
            raise ValueError(other)


_closing: list[asyncio.Future[Any]] = []


async def main(url: str, room: str, folder: str) -> None:
    place = Path(folder)
    async with adieu.join(url, room=room, name="previous") as joined:
        session = await joined.session()

        @session.on("file")
        async def _(file: Any) -> None:
            path = await file.accept(place / "to-previous.bin")
            (place / "to-previous.sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest())

        orders, *echoes = await asyncio.gather(
            session.open("orders"), *(session.open(name, **options) for name, options in KINDS.items())
        )
        async with asyncio.TaskGroup() as group:
            for channel in echoes:
                group.create_task(echo(channel))
            try:
                async for order in orders:
                    answer = await obey(session, json.loads(order), place)
                    await orders.send(json.dumps(answer))
            except adieu.SessionClosedError:
                pass
            receipt = await session.wait_closed()
        print(
            json.dumps(
                {
                    "agreed": receipt.agreed,
                    "clean": receipt.clean,
                    "path": receipt.path,
                    "by": receipt.by,
                    "confirmed": receipt.confirmed,
                    "notice": receipt.notice,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
