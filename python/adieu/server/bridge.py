"""A bridge that carries frames between WebSockets, of whatever library, and the hub."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from adieu.histogram import SECONDS, Histogram
from adieu.protocol.redact import redact
from adieu.protocol.signaling import CloseCode
from adieu.server.hub import Close, Send

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.server.hub import Hub
    from adieu.server.hub.replica import Replica

logger: Final = logging.getLogger("adieu.server")

FAREWELL_TIMEOUT = 5.0
"""Seconds for the client's close frame when the server stops: at full load its clients have much to read first."""

ORDERLY = 1.0
"""Seconds for closes that wait behind queued frames; after that each client gets its close frame at once."""

CutOff: TypeAlias = "Callable[[float | None], None]"
"""Ends a connection within this many seconds; None: within its own timeout."""
OUTBOX_FACTOR = 3
"""Times `Settings.queue_bytes`. The hub bounds what it keeps for one client; this bounds the answers too."""


TIMINGS: dict[str, tuple[str, tuple[float, ...]]] = {
    "connection_seconds": ("Signaling: life of a WebSocket.", (1.0, 10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0)),
    "handle_seconds": ("Signaling: work on one frame of a client, with all that it makes for others.", SECONDS),
    "send_seconds": ("Signaling: wait of a frame for a client until its socket has taken it.", SECONDS),
}
"""Names of the times that the bridge measures: the text for Prometheus, and the bounds."""


class GoneError(Exception):
    """The socket has been closed meanwhile."""


class FrameSocket(Protocol):
    """A WebSocket that has been accepted."""

    async def receive(self) -> str | bytes | None:
        """Return the next frame; None: there will be no other."""
        ...

    async def send(self, text: str) -> None:
        """Send a frame. Raises GoneError."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame. Raises GoneError."""
        ...


class _Outlet:
    """Frames that wait to be written to one socket."""

    def __init__(self, cut_off: CutOff) -> None:
        self.frames: deque[tuple[float, str]] = deque()
        """Each with the time at which it came."""
        self.size = 0
        self.close: Close | None = None
        self.woken = asyncio.Event()
        self._cut_off = cut_off

    def put(self, frame: str, now: float) -> None:
        """Add a frame."""
        self.frames.append((now, frame))
        self.size += len(frame)
        self.woken.set()

    def pop(self) -> tuple[float, str]:
        """Return the next frame, and the time at which it came."""
        since, frame = self.frames.popleft()
        self.size -= len(frame)
        return since, frame

    def end(self, close: Close) -> None:
        """End the socket after the queued frames, and soon, even if the client does not read."""
        self.close = close
        self.woken.set()
        self._cut_off(FAREWELL_TIMEOUT if close.code is CloseCode.SHUTDOWN else None)


def check_drain(seconds: float) -> None:
    """Check the time between `goaway` and the close. Raises ValueError."""
    if not 0 <= seconds < math.inf:
        raise ValueError(f"the seconds between goaway and the close must be 0 or more, not {seconds} (drain)")


class Bridge:
    """Carries frames between sockets and one hub, and keeps the hub's time. Use it in one event loop only."""

    def __init__(self, hub: Hub | Replica) -> None:
        self.hub = hub
        self.wake: Callable[[], None] | None = None
        """Called after inputs, if the hub is a replica: they have to get into the log."""
        self.timings: dict[str, Histogram] = {name: Histogram(bounds) for name, (_, bounds) in TIMINGS.items()}
        self._outlets: dict[int, _Outlet] = {}
        self._limit = OUTBOX_FACTOR * hub.settings.queue_bytes
        self._timer: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()
        self._emptied.set()

    async def carry(self, websocket: FrameSocket, address: str, cut_off: CutOff) -> None:
        """Serve an accepted socket until its end."""
        outlet = _Outlet(cut_off)
        began = self._now()
        number = self.hub.handle_connect(address, began)
        self._outlets[number] = outlet
        self._emptied.clear()
        self.flush()
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(websocket, outlet, number))
                await self._read(websocket, outlet, number)
                writer.cancel()
        finally:
            ended = self._now()
            self.timings["connection_seconds"].add(ended - began)
            self.hub.handle_disconnect(number, ended)
            self.flush()
            del self._outlets[number]
            if not self._outlets:
                self._emptied.set()

    async def _read(self, websocket: FrameSocket, outlet: _Outlet, number: int) -> None:
        while True:
            frame = await websocket.receive()
            if frame is None:
                return
            if outlet.close is not None:
                continue  # the hub has closed it: its frames are ignored
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%d > %s", number, redact(frame))
            began = self._now()
            self.hub.handle_message(number, frame, began)
            self.flush()
            self.timings["handle_seconds"].add(self._now() - began)

    async def _write(self, websocket: FrameSocket, outlet: _Outlet, number: int) -> None:
        try:
            while True:
                outlet.woken.clear()
                while outlet.frames:
                    since, frame = outlet.pop()
                    if logger.isEnabledFor(logging.DEBUG):
                        logger.debug("%d < %s", number, redact(frame))
                    await websocket.send(frame)
                    self.timings["send_seconds"].add(self._now() - since)
                if outlet.close is not None:
                    await websocket.close(int(outlet.close.code), outlet.close.reason)
                    return
                await outlet.woken.wait()
        except GoneError:
            return  # the reader notices it too

    def flush(self) -> None:
        """Carry out all outputs of the hub, then set its timer."""
        while (output := self.hub.poll_output()) is not None:
            outlet = self._outlets.get(output.connection)
            if outlet is None or outlet.close is not None:
                continue
            match output:
                case Send(connection=connection, text=text):
                    outlet.put(text, self._now())
                    if outlet.size > self._limit:
                        self.hub.handle_slow(connection, self._now())
                case Close():
                    outlet.end(output)
        if self.wake is not None:
            self.wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.hub.poll_timeout()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.hub.handle_timeout(self._now())
        self.flush()

    def leaving(self, body: bytes) -> bool:
        """Handle the goodbye of a page."""
        known = self.hub.handle_leaving(body, self._now())
        self.flush()
        return known

    def kick(self, peer: str, reason: str) -> bool:
        """Remove a peer. Returns whether there was one."""
        known = self.hub.handle_kick(peer, reason, self._now())
        self.flush()
        return known

    def close_room(self, room: str, reason: str) -> int:
        """Close a room. Returns the number of peers that were in it."""
        count = self.hub.handle_close_room(room, reason, self._now())
        self.flush()
        return count

    def drain(self, after: float) -> None:
        """Send `goaway`, take no new clients, and close all sockets after this many seconds."""
        self.hub.handle_shutdown(after, self._now())
        self.flush()

    async def shut_down(self, after: float, patience: float) -> None:
        """Send `goaway`, wait `after` seconds, close all sockets, and wait at most `patience` seconds."""
        self.hub.handle_shutdown(after if self._outlets else 0.0, self._now())
        self.flush()
        try:
            async with asyncio.timeout(after + patience):
                await self._emptied.wait()
        except TimeoutError:
            logger.info("%d sockets have not read everything yet: they are closed after that", len(self._outlets))

    def stop(self) -> None:
        """Stop the hub's timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
