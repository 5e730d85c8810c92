"""One of the two programs of `adieu demo`. It plays a part of the scenario and reports events as lines of JSON.

`python -m adieu.cli.demo_peer PART ROLE URL ROOM FOLDER` — run by `demo.py`, which shows it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import adieu
from adieu.cli.log_option import VARIABLE, write_log
from adieu.cli.steps import in_words
from adieu.session import Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from adieu.session import Channel, CloseReceipt, Session, StateEvent
    from adieu.session.files.file import IncomingFile
    from adieu.session.files.transfer import Transfer
    from adieu.session.room import Room

MESSAGES = 10_000
FILE_SIZE = 32 * 1024 * 1024
STREAM_SIZE = 16 * 1024
NAMES = {"ada": "Ada", "ben": "Ben"}


def tell(what: str, **members: Any) -> None:
    """Report to the program that shows it."""
    sys.stdout.write(json.dumps({"what": what, "at": time.time(), **members}) + "\n")
    sys.stdout.flush()


async def asked(what: str) -> float:
    """Report, and wait for the answer, a number. If the other program has ended, end this one too."""
    tell(what)
    answer = await asyncio.to_thread(sys.stdin.readline)
    if not answer:
        raise SystemExit("the program that shows the demo has ended")
    return float(answer)


async def close(session: Session, reason: str) -> CloseReceipt:
    """Close within the usual time, or on a busy computer within the time that was measured for it."""
    timeout = Options().close_timeout * await asked("closing")
    tell("closes", timeout=timeout)
    return await session.close(reason, timeout)


class Progress:
    """Reports how far something is, but not too often."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._told = 0.0

    def at(self, done: int) -> None:
        """Report that this much is done."""
        now = time.monotonic()
        if now - self._told >= 0.05 or done >= self._total:
            self._told = now
            tell("progress", of=self._what, done=done, total=self._total)


# --- the parts --------------------------------------------------------------------------------------------------------


async def talk_and_close(room: Room, role: str, folder: Path) -> Session:
    """Meet, exchange messages and a file, and close while both still send."""
    began = time.perf_counter()
    session = await room.session()
    show_steps(session)
    tell("connected", seconds=time.perf_counter() - began, path=await describe(session))
    if role == "ada":
        await say_messages(session)
        await give_file(session, folder / "offered.bin")
    else:
        files = await expect_file(session, folder)
        await hear_messages(session)
        await files()
    await close_while_sending(session, role)
    return session


async def reset_in_the_middle(room: Room, role: str, folder: Path) -> Session:
    """Continue a transfer and two streams on a new connection. Nothing is lost or doubled."""
    session = await room.session()
    show_steps(session)
    stream = await session.open("stream")
    files = await expect_file(session, folder) if role == "ben" else None
    transfer = await session.send_file(folder / "offered.bin") if role == "ada" else None
    sender = asyncio.create_task(send_numbers(stream))
    listener = asyncio.create_task(hear_numbers(stream))
    if transfer is not None:
        half = asyncio.Event()
        transfer.on("progress", lambda t: half.set() if t.done >= t.size // 3 else None)
        show_transfer(transfer, "file through a reset")
        await half.wait()
        report = await session.reset("transport")
        tell("reset", seconds=report.duration, epoch=report.epoch, replayed=report.replayed)
        await transfer.wait()
    if files is not None:
        await files()
    sender.cancel()
    await asyncio.wait({sender})
    receipt = await (close(session, "reset shown") if role == "ada" else session.wait_closed())
    first, last, doubled, missing = await listener
    tell("numbers", first=first, last=last, doubled=doubled, missing=missing)
    tell_receipt(receipt)
    return session


async def be_killed(room: Room, role: str, folder: Path) -> Session:
    """Kill Ben; Ada reports what happened."""
    del folder
    session = await room.session()
    chat = await session.open("chat")
    if role == "ben":
        async for _message in chat:
            pass
        return session

    @session.on("state")
    def _(event: StateEvent) -> None:
        tell("state", state=event.state, cause=event.cause, evidence=event.evidence)

    sent = await chat.send("are you there?")
    await sent.delivered()
    await asked("kill me now")  # answered when Ada has reported enough
    tell_receipt(await session.close("the other side is gone", timeout=0.5))
    return session


PARTS: dict[str, Callable[[Room, str, Path], Awaitable[Session]]] = {
    "close": talk_and_close,
    "reset": reset_in_the_middle,
    "kill": be_killed,
}


def show_steps(session: Session) -> None:
    """Report the steps of a close or a reset."""
    session.on("progress", lambda event: tell("step", text=in_words(event)))


# --- what they are made of --------------------------------------------------------------------------------------------


async def describe(session: Session) -> str:
    """Return the path that was found: addresses and protocol versions."""
    assert session.pc is not None  # noqa: S101 it is connected
    sctp = session.pc.sctp
    pair = sctp.transport.iceTransport.getSelectedCandidatePair() if sctp is not None else None
    if pair is None:
        return "UDP"
    local, remote = pair.local, pair.remote
    return f"{local.address} port {local.port} to {remote.address} port {remote.port}, UDP"


async def say_messages(session: Session) -> None:
    """Send ten thousand short messages, each with its number, and wait for the delivery of the last."""
    chat = await session.open("chat")
    progress = Progress("messages", MESSAGES)
    began = time.perf_counter()
    for number in range(1, MESSAGES):
        await chat.send(f"message {number}")
        progress.at(number)
    last = await chat.send(f"message {MESSAGES}")
    progress.at(MESSAGES)
    await last.delivered()
    seconds = time.perf_counter() - began
    tell("messages", count=MESSAGES, seconds=seconds)


async def hear_messages(session: Session) -> None:
    """Receive all of them, in order."""
    chat = await session.open("chat")
    for number in range(1, MESSAGES + 1):
        message = await chat.receive()
        if message != f"message {number}":
            raise SystemExit(f"expected message {number}, got {message!r}")


async def give_file(session: Session, path: Path) -> None:
    """Send the file, and wait until the other side has it."""
    began = time.perf_counter()
    transfer = await session.send_file(path)
    show_transfer(transfer, "file")
    await transfer.wait()
    tell("file", size=transfer.size, seconds=time.perf_counter() - began)


def show_transfer(transfer: Transfer, what: str) -> None:
    """Report how far it is."""
    progress = Progress(what, transfer.size)
    transfer.on("progress", lambda t: progress.at(t.done))


async def expect_file(session: Session, folder: Path) -> Callable[[], Awaitable[None]]:
    """Accept the next offered file. The returned function waits until the file is complete."""
    kept: asyncio.Future[Path] = asyncio.get_running_loop().create_future()

    @session.on("file")
    async def _(file: IncomingFile) -> None:
        kept.set_result(await file.accept(folder / "received.bin"))

    async def wait() -> None:
        path = await kept
        same = await asyncio.to_thread(lambda: path.read_bytes() == (folder / "offered.bin").read_bytes())
        tell("received", size=path.stat().st_size, same=same)
        path.unlink()

    return wait


async def close_while_sending(session: Session, role: str) -> None:
    """Send without a pause on both sides; Ada closes in the middle of it."""
    stream = await session.open("stream")
    sender = asyncio.create_task(send_numbers(stream))
    hears = asyncio.Event()
    listener = asyncio.create_task(hear_numbers(stream, hears))
    if role == "ada":
        await hears.wait()  # Ben may still be looking at the file
        await asyncio.sleep(0.3)
        receipt = await close(session, "the demo is over")
    else:
        receipt = await session.wait_closed()
    await asyncio.wait({sender})
    first, last, doubled, missing = await listener
    tell("numbers", first=first, last=last, doubled=doubled, missing=missing)
    tell_receipt(receipt)


async def send_numbers(channel: Channel) -> None:
    """Send numbered blocks as fast as the channel accepts them, until the session closes."""
    number = 0
    try:
        while True:
            number += 1
            await channel.send(number.to_bytes(8) + bytes(STREAM_SIZE - 8))
    except adieu.SessionClosedError:
        pass


async def hear_numbers(channel: Channel, hears: asyncio.Event | None = None) -> tuple[int, int, int, int]:
    """Return the first and last number, the doubled and the missing ones. The first number sets `hears`."""
    seen: list[int] = []
    async for block in all_of(channel):
        seen.append(int.from_bytes(block[:8]))
        if hears is not None:
            hears.set()
    if not seen:
        return 0, 0, 0, 0
    doubled = len(seen) - len(set(seen))
    missing = seen[-1] - seen[0] + 1 - len(set(seen))
    return seen[0], seen[-1], doubled, missing


async def all_of(channel: Channel) -> AsyncIterator[bytes]:
    """Yield everything until the end, however it ends."""
    try:
        async for block in channel:
            if isinstance(block, bytes):
                yield block
    except adieu.SessionClosedError:
        pass


def tell_receipt(receipt: CloseReceipt) -> None:
    """Report the receipt, for the table of both."""
    tell("receipt", receipt=msgspec.json.decode(receipt.to_json()), agreed=receipt.agreed)


async def main(part: str, role: str, url: str, room: str, folder: Path) -> None:
    """Join, play, leave."""
    tell("started", pid=os.getpid())
    async with adieu.join(url, room=room, name=NAMES[role]) as place:
        session = await PARTS[part](place, role, folder)
    tell("left", held=[str(held) for held in session.ledger().held])


if __name__ == "__main__":
    write_log(os.environ.get(VARIABLE))
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], Path(sys.argv[5])))
