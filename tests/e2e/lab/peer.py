"""One WebRTC implementation under the hand of a test, whatever it is and wherever it runs.

Every peer (a page, a program, this process) obeys the same few commands and reports the same events, so that one
test reads the same for all of them. A peer has one connection; its channels are known by their labels.

| command | arguments | answer |
|---|---|---|
| `new` | configuration, rsa; pion: lite; adieu: settings | – |
| `channel` | label, init | – |
| `media` | kinds, tracks, rids: a transceiver of each kind, to record SDP; with a track; with encodings | – |
| `restart` | – : the next offer begins a new ICE generation | – |
| `rollback` | – : takes the offer back; adieu only | – |
| `offer` / `answer` / `accept` | – / sdp / sdp | the local description's sdp, or – |
| `local` | – | the local description's sdp, with the candidates so far |
| `candidate` | candidate (RTCIceCandidateInit, or None at the end) | – |
| `send` | label, text or base64 | – |
| `flood` | label, size, count: so many binary messages at once | – |
| `close_channel` / `close` / `close_both` | label / – / label: both in one task | – |
| `look` | – | states, channels, limits |
| `judge_offers` | texts: each for a connection of its own | for each its answer, or "set:", "answer:" and an error |
| `judge_answers` | kinds, texts: to an offer of data and these kinds | for each "+", or "set:" and the error's name |
| `judge_candidates` | offer, texts: for the one section of that offer | for each "+", or "set:" and the error's name |
| `settle` | –: a moment in which anything still queued would show | – |

Events: `candidate`, `state` (kind, state), `datachannel`, and for a label `open`, `message` (kind, size, crc,
text), `closing`, `error` (detail, cause, message), `close`. A command that fails raises `RefusedError` with the
peer's words.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

PATIENCE = 30.0  # seconds for what a peer should do at once; busy machines are slow


class RefusedError(Exception):
    """The peer could not do what it was told: the name of its error, and its words."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


@dataclass
class Peer:
    """What a test sees of a peer; a subclass brings the commands to it.

    Attributes:
        events: all it reported, in order.
    """

    name: str
    version: str
    events: list[dict[str, Any]] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _other: Peer | None = None
    _relayed: int = 0

    async def call(self, command: str, **arguments: Any) -> Any:
        """Tell it to do something, and wait until it did."""
        raise NotImplementedError

    # --- what happened -----------

    async def expect(self, event: str, *, patience: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """The next event that fits and was not taken yet."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    self._news.clear()
                    for index, heard in enumerate(self.events):
                        if index not in self._taken and _fits(heard, event, fields):
                            self._taken.add(index)
                            return heard
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"{self.name}: no {event} {fields} within {patience} s\n{self.story()}"
                + (f"\n{self._other.story()}" if self._other else "")
            ) from None

    async def message(self, label: str) -> tuple[str, int, int]:
        """The next message on this channel, as `digest` describes it."""
        heard = await self.expect("message", label=label)
        return heard["kind"], heard["size"], heard["crc"]

    def seen(self, label: str) -> list[str]:
        """The events of this channel in order, its messages and its arrival left out."""
        left_out = {"message", "datachannel"}
        return [e["event"] for e in self.events if e.get("label") == label and e["event"] not in left_out]

    def story(self) -> str:
        """All that was reported, for a reader."""
        lines = [
            f"    {heard.get('at', 0) % 1e6:10.1f} "
            + " ".join(f"{key}={str(value)[:90]}" for key, value in heard.items() if key != "at")
            for heard in self.events
        ]
        return "\n".join([f"  {self.name} {self.version}:", *lines[-60:]])

    def hear(self, event: dict[str, Any]) -> None:
        """The subclass says what happened."""
        self.events.append(event)
        self._news.set()
        if event["event"] == "candidate" and self._other is not None:
            self._other.post("candidate", candidate=event["candidate"])

    # --- the two of them -----------

    def post(self, command: str, **arguments: Any) -> None:
        """Tell it to do something without waiting; what it refuses becomes a `fault` event."""
        raise NotImplementedError

    def hold_back(self) -> None:
        """Keep this one's candidates until the other can take them."""
        self._relayed, self._other = len(self.events), None

    def relay_to(self, other: Peer) -> None:
        """From now on the other gets this one's candidates, also those that it found before."""
        self._other = other
        for heard in self.events[self._relayed :]:
            if heard["event"] == "candidate":
                other.post("candidate", candidate=heard["candidate"])

    async def send(self, label: str, data: str | bytes) -> tuple[str, int, int]:
        """Send one message; what the other side must see of it."""
        if isinstance(data, str):
            await self.call("send", label=label, text=data)
        else:
            await self.call("send", label=label, base64=base64.b64encode(data).decode())
        return digest(data)


def digest(data: str | bytes) -> tuple[str, int, int]:
    """A message as an event describes it: its kind, its size in bytes, their CRC-32."""
    raw = data.encode() if isinstance(data, str) else data
    return ("text" if isinstance(data, str) else "binary"), len(raw), zlib.crc32(raw)


async def connect(offerer: Peer, answerer: Peer) -> None:
    """One offer, one answer, candidates as they come; also a second time, on the same connections."""
    for peer in (offerer, answerer):
        peer.hold_back()
    offer = await offerer.call("offer")
    answer = await answerer.call("answer", sdp=offer)
    await offerer.call("accept", sdp=answer)
    offerer.relay_to(answerer)
    answerer.relay_to(offerer)


class RemotePeer(Peer):
    """A peer at the other end of a line of JSON messages: a page's WebSocket, a program's pipes."""

    def __init__(self, name: str, version: str, write: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(name, version)
        self.kill: Callable[[], None] | None = None
        """Ends its program at once, where it has one."""
        self._write = write
        self._ids = itertools.count(1)
        self._asked: dict[int, tuple[str, asyncio.Future[Any] | None]] = {}
        self._posts: asyncio.Queue[str] = asyncio.Queue()

    async def call(self, command: str, **arguments: Any) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._put(command, arguments, answer)
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            raise AssertionError(f"{self.name}: no answer to {command}\n{self.story()}") from None

    def post(self, command: str, **arguments: Any) -> None:
        self._put(command, arguments, None)

    async def run(self, lines: AsyncIterable[str | bytes]) -> None:
        """Serve the line until it ends; the owner of the peer awaits this."""
        writer = asyncio.create_task(self._write_all())
        try:
            async for line in lines:
                self._read(json.loads(line))
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            for _, answer in self._asked.values():
                if answer is not None and not answer.done():
                    answer.set_exception(ConnectionError(f"{self.name} has gone"))

    def _put(self, command: str, arguments: dict[str, Any], answer: asyncio.Future[Any] | None) -> None:
        number = next(self._ids)
        self._asked[number] = command, answer
        self._posts.put_nowait(json.dumps({"id": number, "command": command, **arguments}))

    async def _write_all(self) -> None:
        while True:
            await self._write(await self._posts.get())

    def _read(self, said: dict[str, Any]) -> None:
        if "event" in said:
            self.hear(said)
            return
        command, answer = self._asked.pop(said["id"])
        failed = said.get("error")
        if answer is None:
            if failed:
                self.hear({"event": "fault", "command": command, **failed})
        elif answer.done():
            return  # the caller was cancelled
        elif failed:
            answer.set_exception(RefusedError(failed["name"], failed["message"]))
        else:
            answer.set_result(said.get("result"))


def _fits(heard: dict[str, Any], event: str, fields: dict[str, Any]) -> bool:
    return heard["event"] == event and all(heard.get(key) == value for key, value in fields.items())
