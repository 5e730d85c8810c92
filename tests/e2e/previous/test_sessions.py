"""Sessions with a program of the version before this one: nothing is lost, and the receipts are equal."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.protocol.text import line
from adieu.server import serve
from e2e.lab.processes import running
from e2e.previous.echo import KINDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def previous() -> str:
    """The folder of the version before."""
    built = subprocess.run([sys.executable, str(ROOT / "tools" / "previous.py")], stdout=subprocess.PIPE, check=True)
    return built.stdout.decode().strip()


class Previous:
    """The session here, and the program at its other end."""

    def __init__(self, session: adieu.Session, orders: adieu.Channel, process: asyncio.subprocess.Process) -> None:
        self.session = session
        self.process = process
        self._orders = orders

    async def obeys(self, do: str, **members: Any) -> dict[str, Any]:
        await self._orders.send(json.dumps({"do": do, **members}))
        return json.loads(await self._orders.receive())

    async def receipt(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 30))


@asynccontextmanager
async def together(previous: str, folder: Path, **options: Any) -> AsyncIterator[Previous]:
    program = (sys.executable, str(Path(__file__).with_name("echo.py")))
    room = secrets.token_hex(16)
    environment = {"PYTHONPATH": previous}
    async with (
        serve() as server,
        running(*program, server.url, room, str(folder), env=environment, stdout=asyncio.subprocess.PIPE) as process,
        adieu.join(server.url, room=room, name="present", **options) as place,
    ):
        session = await asyncio.wait_for(place.session("previous"), 20)
        yield Previous(session, await session.open("orders"), process)


async def echoed(session: adieu.Session, name: str, count: int, size: int) -> int:
    """How many of `count` messages came back, and each as it was sent."""
    channel = await session.open(name, **KINDS[name])
    sent = [number.to_bytes(4) + bytes(size) for number in range(count)]
    came: set[bytes] = set()

    async def hear() -> None:
        while len(came) < count:
            came.add(bytes(await channel.receive()))  # type: ignore[arg-type]

    hearing = asyncio.create_task(hear())
    for message in sent:
        await channel.send(message)
    if name != "lossy":
        await asyncio.wait_for(hearing, 30)
    else:
        await asyncio.wait({hearing}, timeout=2)
        hearing.cancel()
    assert came <= set(sent)
    return len(came)


def test_the_other_program_is_of_the_version_before(previous: str) -> None:
    code = "import adieu, sys; sys.exit(not adieu.__file__.startswith(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, previous], env={"PYTHONPATH": previous}, check=True)


@pytest.mark.parametrize("closer", ["present", "previous", "both"])
async def test_messages_of_every_kind_arrive_and_the_receipts_are_equal(
    previous: str, tmp_path: Path, closer: str
) -> None:
    async with together(previous, tmp_path) as other:
        for name in KINDS:
            assert await echoed(other.session, name, 300, 5) > 0
        assert await echoed(other.session, "loose", 40, 200_000) == 40  # fragments
        if closer != "present":
            await other.obeys("close", text="previous is done")
        receipt = await (
            other.session.wait_closed() if closer == "previous" else other.session.close("done", timeout=20.0)
        )
        theirs = await other.receipt()
        assert receipt.confirmed and theirs["confirmed"]
        assert receipt.agreed == theirs["agreed"]
        assert receipt.clean and theirs["clean"]


async def test_a_channel_closes_here_and_the_other_learns_nothing_of_it(previous: str, tmp_path: Path) -> None:
    async with together(previous, tmp_path) as other:
        assert await echoed(other.session, "plain", 20, 5) == 20
        channel = other.session.channels["plain"]
        closed = await asyncio.wait_for(channel.close("enough"), 6)
        assert closed.path == "untold" and not closed.confirmed and closed.sent.delivered.messages == 20
        with pytest.raises(adieu.ChannelError, match="closed"):
            await channel.send("more")
        with pytest.raises(adieu.ChannelError, match="not free"):
            await other.session.open(channel.name, **KINDS[channel.name])
        receipt = await other.session.close("done", timeout=20.0)
        assert receipt.clean and receipt.agreed == (await other.receipt())["agreed"]


async def test_many_small_messages_that_nobody_reads_yet_are_no_violation(previous: str, tmp_path: Path) -> None:
    """The version before counts no credit for the message itself: what it sends within its credit is honest."""
    async with together(previous, tmp_path) as other:
        channel = await other.session.open("many")
        await other.obeys("send many", count=30_000, size=0)
        heard = 0
        async for message in channel:
            assert int.from_bytes(message[:4]) == heard  # type: ignore[arg-type]
            heard += 1
            if heard == 30_000:
                break
        receipt = await other.session.close("done", timeout=20.0)
        assert receipt.clean
        assert receipt.agreed == (await other.receipt())["agreed"]


async def test_files_go_both_ways(previous: str, tmp_path: Path) -> None:
    async with together(previous, tmp_path) as other:
        got: asyncio.Future[Path] = asyncio.get_running_loop().create_future()

        @other.session.on("file")
        async def _(file: Any) -> None:
            got.set_result(await file.accept(tmp_path / "from.bin"))

        digest = (await other.obeys("send file", blocks=8192))["sha256"]
        assert hashlib.sha256((await got).read_bytes()).hexdigest() == digest
        mine = tmp_path / "mine.bin"
        mine.write_bytes(secrets.token_bytes(3_000_000))
        await (await other.session.send_file(mine)).wait()
        while not (tmp_path / "to-previous.sha256").exists():
            await asyncio.sleep(0.02)
        receipt = await other.session.close("done", timeout=20.0)
        assert (tmp_path / "to-previous.sha256").read_text() == hashlib.sha256(mine.read_bytes()).hexdigest()
        assert receipt.agreed == (await other.receipt())["agreed"]


@pytest.mark.parametrize("asker", ["present", "previous"])
async def test_resets_lose_and_double_nothing(previous: str, tmp_path: Path, asker: str) -> None:
    async with together(previous, tmp_path) as other:
        channel = await other.session.open("many")
        await other.obeys("send many", count=200, size=2000)
        for epoch, level in enumerate(("transport", "full"), 2):
            if asker == "present":
                assert (await other.session.reset(level)).epoch == epoch  # type: ignore[arg-type]
            else:
                assert (await other.obeys("reset", level=level))["epoch"] == epoch
            assert await echoed(other.session, "plain", 100, 3000) == 100
        heard = [int.from_bytes((await channel.receive())[:4]) for _ in range(200)]  # type: ignore[arg-type]
        assert heard == list(range(200))
        receipt = await other.session.close("done", timeout=20.0)
        assert receipt.clean
        assert receipt.agreed == (await other.receipt())["agreed"]


ODD = "bye\x1b]0;owned\x07\r\nroot\u202e@host\x9b2J"


@pytest.mark.parametrize("text", [ODD, ODD + "\ud83d"], ids=["control characters", "half a pair"])
async def test_an_odd_reason_of_the_present_is_the_same_on_both_sides(previous: str, tmp_path: Path, text: str) -> None:
    async with together(previous, tmp_path) as other:
        receipt = await other.session.close(text, timeout=20.0)
        theirs = await other.receipt()
        assert receipt.confirmed and theirs["confirmed"]
        assert receipt.agreed == theirs["agreed"]
        assert receipt.reason.text.isprintable()


async def test_of_an_odd_reason_of_the_version_before_the_text_alone_is_another(previous: str, tmp_path: Path) -> None:
    """It accounts for the text as it was given; here it is cleaned, as what people read has to be."""
    async with together(previous, tmp_path) as other:
        await other.obeys("close", text=ODD)
        receipt = await other.session.wait_closed()
        theirs = await other.receipt()
        assert receipt.confirmed and theirs["confirmed"]
        ours, before = json.loads(receipt.agreed), json.loads(theirs["agreed"])
        assert before["reason"]["text"] == ODD
        assert ours["reason"]["text"] == line(ODD) == receipt.reason.text
        ours["reason"] = before["reason"] = None
        assert ours == before
