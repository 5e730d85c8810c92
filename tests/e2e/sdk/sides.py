"""The two kinds of sides that a session has in these tests, a page and a program, under the same hand.

A side joins a room on a server, is asked for a session with another by name, and then keeps by itself what a test looks
at: when its state changed (seconds of the machine's clock, the same for all), and the numbers that came on its channel.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import adieu
from e2e.lab.processes import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from e2e.lab.browsers import Browser
    from e2e.sdk.tabs import Tab, Tabs

KINDS = ("Chromium", "Firefox", "Python")
MIB = 1 << 20
BLOCK = 256 * 1024
JOIN = """
kept.now = () => (performance.timeOrigin + performance.now()) / 1000;
kept.room = await adieu.join(url, { room: "lab", name });
"""
MEET = """
kept.session = await kept.room.session({ name });
kept.states = [];
kept.session.addEventListener("state", ({ state, cause }) => kept.states.push({ at: kept.now(), state, cause }));
kept.signaling = [];
kept.session.addEventListener("signaling", ({ up }) => kept.signaling.push({ at: kept.now(), up }));
kept.seen = new Set();
kept.session.addEventListener("track", ({ track }) => kept.seen.add(track));
kept.data = await kept.session.open("data");
kept.sent = 0;
kept.got = [];
"""
MEDIA = "kept.stream = await kept.session.addStream({ audio: true, video: true })"
READ = (
    "kept.reading = (async () => { for await (const m of kept.data) kept.got.push(m.length === size ? m[0] : m); })()"
)
LIVE = "return [...kept.seen].filter(({ readyState }) => readyState === 'live').length"
SEND = "for (let n = 0; n < count; n++) await kept.data.send(new Uint8Array(size).fill(kept.sent++))"
END = """
await kept.reading?.catch(() => undefined);
const patience = performance.now() + 3000;
while (!kept.session.ledger().empty && performance.now() < patience) await new Promise((done) => setTimeout(done, 20));
const tracks = [...(kept.stream?.getTracks() ?? []), ...kept.seen];
return { live: tracks.filter(({ readyState }) => readyState !== "ended").length, held: String(kept.session.ledger()) };
"""


def now() -> float:
    return time.time()


async def until(condition: Callable[[], Any], seconds: float, what: str = "") -> None:
    """Wait for something that tells nobody."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not in {seconds} s: {what}") from None


@dataclass(frozen=True)
class State:
    """A change of a session's state."""

    at: float
    state: str
    cause: str


class Side(Protocol):
    """See the module. Messages are blocks of 256 KiB, each filled with its number."""

    kind: str

    async def join(self, url: str, name: str) -> None: ...
    async def meet(self, name: str) -> None: ...
    async def media(self) -> None: ...
    async def capturing(self) -> bool: ...
    async def live(self) -> int: ...
    async def say(self, text: str) -> None: ...
    async def send(self, count: int, size: int = BLOCK) -> None: ...
    async def read(self) -> None: ...
    async def got(self) -> list[Any]: ...
    async def reset(self, level: str) -> None: ...
    async def close(self) -> dict[str, Any]: ...
    async def close_channel(self) -> dict[str, Any]: ...
    async def channel_ended(self) -> dict[str, Any]: ...
    async def open_again(self) -> None: ...
    async def ended(self) -> dict[str, Any]: ...
    async def left(self) -> dict[str, Any]: ...
    async def states(self) -> list[State]: ...
    async def state(self) -> str: ...
    async def signaling(self) -> list[tuple[float, bool]]: ...


class Page:
    """A tab of a browser."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.kind = tab.browser.name.capitalize()

    async def join(self, url: str, name: str) -> None:
        await self.tab.run(JOIN, url=url, name=name)

    async def meet(self, name: str) -> None:
        await self.tab.run(MEET, name=name)

    async def media(self) -> None:
        await self.tab.run(MEDIA)

    async def capturing(self) -> bool:
        return await self.tab.browser.capturing()

    async def live(self) -> int:
        return int(await self.tab.run(LIVE))

    async def say(self, text: str) -> None:
        await self.tab.run("await kept.data.send(text)", text=text)

    async def send(self, count: int, size: int = BLOCK) -> None:
        await self.tab.run(SEND, count=count, size=size)

    async def read(self) -> None:
        await self.tab.run(READ, size=BLOCK)

    async def got(self) -> list[Any]:
        got: list[Any] = await self.tab.run("return kept.got")
        return got

    async def reset(self, level: str) -> None:
        await self.tab.run("await kept.session.reset({ level })", level=level)

    async def close(self) -> dict[str, Any]:
        code = "return (await kept.session.close({ reason: 'done', timeout: 20000 })).toJSON()"
        receipt: dict[str, Any] = await self.tab.run(code)
        return receipt

    async def close_channel(self) -> dict[str, Any]:
        receipt: dict[str, Any] = await self.tab.run("return await kept.data.close({ reason: 'done', timeout: 20000 })")
        return receipt

    async def channel_ended(self) -> dict[str, Any]:
        receipt: dict[str, Any] = await self.tab.run("return await kept.data.waitClosed()", 60.0)
        return receipt

    async def open_again(self) -> None:
        await self.tab.run("kept.data = await kept.session.open('data'); kept.got = []; kept.sent = 0")

    async def ended(self) -> dict[str, Any]:
        receipt: dict[str, Any] = await self.tab.run("return (await kept.session.waitClosed()).toJSON()", 60.0)
        return receipt

    async def left(self) -> dict[str, Any]:
        """Once it has ended: how many tracks live, and what the ledger lists."""
        left: dict[str, Any] = await self.tab.run(END)
        return left

    async def states(self) -> list[State]:
        return [State(**change) for change in await self.tab.run("return kept.states")]

    async def state(self) -> str:
        return str(await self.tab.run("return kept.session.state"))

    async def signaling(self) -> list[tuple[float, bool]]:
        return [(change["at"], change["up"]) for change in await self.tab.run("return kept.signaling")]


class Program:
    """This process."""

    kind = "Python"

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._sent = 0
        self._got: list[Any] = []
        self._states: list[State] = []
        self._signaling: list[tuple[float, bool]] = []
        self._reading: asyncio.Task[None] | None = None
        self.room: adieu.Room
        self.session: adieu.Session
        self.data: adieu.Channel

    async def join(self, url: str, name: str) -> None:
        self.room = await self._stack.enter_async_context(adieu.join(url, room="lab", name=name))

    async def meet(self, name: str) -> None:
        session = self.session = await self.room.session(name)
        session.on("state", lambda event: self._states.append(State(now(), event.state, event.cause)))
        session.on("signaling", lambda event: self._signaling.append((now(), event.up)))
        self.data = await session.open("data")

    async def media(self) -> None:
        """A program in these tests has no camera."""

    async def capturing(self) -> bool:
        return False

    async def live(self) -> int:
        return 0

    async def say(self, text: str) -> None:
        await self.data.send(text)

    async def send(self, count: int, size: int = BLOCK) -> None:
        for _ in range(count):
            await self.data.send(bytes([self._sent % 256]) * size)
            self._sent += 1

    async def read(self) -> None:
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for message in self.data:
                self._got.append(message[0] if len(message) == BLOCK else message)
        except adieu.SessionClosedError:
            pass

    async def got(self) -> list[Any]:
        return self._got

    async def reset(self, level: str) -> None:
        await self.session.reset(level)  # type: ignore[arg-type]

    async def close(self) -> dict[str, Any]:
        return _plain(await self.session.close("done", timeout=20.0))

    async def close_channel(self) -> dict[str, Any]:
        return json.loads((await self.data.close("done", timeout=20.0)).to_json())  # type: ignore[no-any-return]

    async def channel_ended(self) -> dict[str, Any]:
        return json.loads((await self.data.wait_closed()).to_json())  # type: ignore[no-any-return]

    async def open_again(self) -> None:
        self.data = await self.session.open("data")
        self._got, self._sent = [], 0

    async def ended(self) -> dict[str, Any]:
        return _plain(await self.session.wait_closed())

    async def left(self) -> dict[str, Any]:
        if self._reading is not None:
            await self._reading
        # The handlers of this test are held until the room is left.
        held = [held for held in self.session.ledger().held if held.kind != "handler"]
        return {"live": 0, "held": str(held) if held else "nothing"}

    async def states(self) -> list[State]:
        return self._states

    async def state(self) -> str:
        return self.session.state

    async def signaling(self) -> list[tuple[float, bool]]:
        return self._signaling


def _plain(receipt: adieu.CloseReceipt) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(receipt.to_json())
    return plain


@asynccontextmanager
async def side(kind: str, tabs: Tabs, browsers: dict[str, Browser]) -> AsyncIterator[Side]:
    """One of "Chromium", "Firefox", "Python"."""
    async with AsyncExitStack() as stack:
        if kind == "Python":
            yield Program(stack)
        else:
            yield Page(await stack.enter_async_context(tabs.open(browsers[kind])))


async def meet(url: str, sides: dict[str, Side]) -> None:
    """All join in this order, and each has its session with the next; of two, with the other."""
    names = list(sides)
    for name, one in sides.items():
        await one.join(url, name)
    await asyncio.gather(*(sides[name].meet(names[(n + 1) % len(names)]) for n, name in enumerate(names)))


# --- the server, as a program of its own ------------------------------------------------------------------------


@dataclass
class ServerProgram:
    """`adieu serve` on all addresses, to be killed and started again at the same port."""

    origin: str
    url: str = "ws://127.0.0.1:0/ws"

    @asynccontextmanager
    async def started(self) -> AsyncIterator[asyncio.subprocess.Process]:
        code = "import sys; from adieu.cli import main; sys.argv[0] = 'adieu'; main()"
        port = str(urlsplit(self.url).port)
        command = (sys.executable, "-c", code, "serve", "--host", "0.0.0.0", "--open", "--port", port)
        command += ("--origin", self.origin)
        environment = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "TERM": "dumb"}
        async with running(*command, env=environment, stdout=asyncio.subprocess.PIPE) as process:
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
            assert "ws://" in line, line
            self.url = line.split()[-1]
            yield process
