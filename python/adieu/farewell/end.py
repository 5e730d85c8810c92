"""A graceful end, and a new beginning, for any RTCPeerConnection of adieu."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args, overload
from weakref import ReferenceType, WeakKeyDictionary, ref

from adieu.errors import AbortError
from adieu.events import EventTarget, end_events
from adieu.farewell.connection import Connection, Owner, make_id
from adieu.farewell.event import GoodbyeEvent
from adieu.farewell.words import MAX_REASON, Begin
from adieu.media.devices import mediaDevices
from adieu.protocol.control import PROTOCOL
from adieu.webrtc.peer_connection import RTCPeerConnection, data_channels_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from adieu.farewell.receipt import GoodbyeReceipt
    from adieu.webrtc import MediaStream, MediaStreamTrack, RTCDataChannel

    Make: TypeAlias = Callable[["Old"], Awaitable[RTCPeerConnection] | RTCPeerConnection]

R = TypeVar("R")
EventName: TypeAlias = Literal["closing", "closed", "reset", "gone", "back"]
EVENTS = frozenset(get_args(EventName))
LOOK = 0.025
CLOSED = "the connection is closed"


@dataclass(frozen=True, slots=True)
class Old:
    """The rest of a connection, for the maker of the next one.

    Attributes:
        receipt: of the old connection.
        stream: the new stream, if devices were asked.
    """

    receipt: GoodbyeReceipt
    stream: MediaStream | None


@dataclass(frozen=True, slots=True)
class GoodbyeReset:
    """The result of a reset.

    Attributes:
        receipt: of the old connection.
        pc: the new connection.
        stream: the new stream, if devices were asked.
        channels: the new data channels by the labels of the old ones.
        missing: labels whose channel did not come back in time.
    """

    receipt: GoodbyeReceipt
    pc: RTCPeerConnection
    stream: MediaStream | None
    channels: dict[str, RTCDataChannel]
    missing: tuple[str, ...]


_ends: WeakKeyDictionary[RTCPeerConnection, ReferenceType[Goodbye]] = WeakKeyDictionary()


def goodbye(
    pc: RTCPeerConnection,
    *,
    channels: Iterable[RTCDataChannel] = (),
    tracks: Iterable[MediaStreamTrack] = (),
    devices: dict[str, Any] | None = None,
    channel: bool = False,
    say: Callable[[str], object] | None = None,
    flush: Callable[[], Awaitable[object] | object] | None = None,
) -> Goodbye:
    """Give a connection a graceful end.

    It works with goodbye on both sides, and as well as it can with this one alone. Called twice for one connection, it
    returns the same object, which takes the channels and tracks of both calls.

    Args:
        pc: any RTCPeerConnection of adieu, but not one of a session.
        channels: accepted as in the browser; adieu finds all data channels of its own objects.
        tracks: stopped at the end.
        devices: the constraints with which `reset()` calls `getUserMedia()`.
        channel: add data channels to a connection without any: it needs another offer then.
        say: says a word over the application's own signaling, while there is no channel for it: above all that this
            side left. The other side gives it to `said()`.
        flush: sends what the application still holds; awaited, within the timeout, before the drain.

    Raises:
        TypeError: the connection belongs to a session of adieu, which has an end of its own.
        RuntimeError: there is no running event loop.
    """
    _check(pc)
    known = _ends.get(pc)
    end = None if known is None else known()
    if end is None:
        end = Goodbye(pc, devices=devices, channel=channel, say=say, flush=flush)
    end.add(channels=channels, tracks=tracks)
    return end


def _check(pc: RTCPeerConnection) -> None:
    if any(each.protocol == PROTOCOL for each in data_channels_of(pc)):
        raise TypeError("this connection belongs to a session of adieu: close the session instead")


class Goodbye(EventTarget):
    """The end of a connection, and of each that follows it by `reset()`.

    Events:
        closing: the other side begins to close; this is the last moment to send.
        closed: the connection is closed.
        reset: the other side has closed, to come back.
        gone: the other side left without a close, or nothing is heard of it.
        back: it is heard again.
    """

    def __init__(
        self,
        pc: RTCPeerConnection,
        *,
        devices: dict[str, Any] | None,
        channel: bool,
        say: Callable[[str], object] | None,
        flush: Callable[[], Awaitable[object] | object] | None,
    ) -> None:
        """Use `goodbye()`."""
        super().__init__()
        self._devices = devices
        self._add_channel = channel
        self._owner = Owner(self.dispatchEvent, self._over, self._failed, say, flush, self._handled)
        self._tracks: dict[MediaStreamTrack, None] = {}
        self._receipt: GoodbyeReceipt | None = None
        self._resetting: asyncio.Task[GoodbyeReset] | None = None
        self._goes_on = False
        self._attach(pc)

    def _attach(self, pc: RTCPeerConnection) -> None:
        self._connection = Connection(pc, self._owner, add=self._add_channel)
        self._ended = None  # events of the next connection can come
        self._receipt = None
        self._result: asyncio.Future[GoodbyeReceipt] = asyncio.get_running_loop().create_future()
        self._asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _ends[pc] = ref(self)

    @property
    def pc(self) -> RTCPeerConnection:
        """The connection of this moment."""
        return self._connection.pc

    @property
    def mutual(self) -> bool:
        """Whether the other side has goodbye too, and has shown it: then a close proves what arrived."""
        return self._connection.mutual

    @property
    def receipt(self) -> GoodbyeReceipt | None:
        """How the connection ended; None while it has not."""
        return self._receipt

    def add(self, *, channels: Iterable[RTCDataChannel] = (), tracks: Iterable[MediaStreamTrack] = ()) -> None:
        """Take more channels and tracks into account."""
        for channel in channels:
            self._connection.watch(channel)
        self._tracks |= dict.fromkeys(tracks)

    def said(self, text: str) -> None:
        """Hear a word of the other side that came over the application's own signaling."""
        self._connection.heard(text)

    @overload
    def on(self, name: EventName) -> Callable[[Callable[[GoodbyeEvent], R]], Callable[[GoodbyeEvent], R]]: ...
    @overload
    def on(self, name: EventName, handler: Callable[[GoodbyeEvent], R]) -> Callable[[GoodbyeEvent], R]: ...
    def on(self, name: str, handler: Any = None) -> Any:
        """Add a handler, or decorate one.

        Raises:
            ValueError: there is no such event; the message lists those there are.
        """
        if name not in EVENTS:
            raise ValueError(f"goodbye has no event {name!r}; it has {', '.join(sorted(EVENTS))}")
        if handler is None:
            on: Any = self.on
            return partial(on, name)
        self.addEventListener(name, handler)
        return handler

    async def close(self, *, reason: str = "", timeout: float = 5.0) -> GoodbyeReceipt:  # noqa: ASYNC109 the deadline is the protocol's
        """End it: announce, drain and close the data channels, close the connection, stop the tracks.

        A second call, and one after the end, gives the same receipt. A reset that is under way ends too.

        Args:
            reason: at most 1024 characters; the other side reads it.
            timeout: seconds for everything.

        Raises:
            ValueError: the reason is too long, or the timeout is not a time.

        Cancellation: the close goes on.
        """
        receipt = await self._close(reset=False, reason=reason, timeout=timeout)
        if not self._goes_on:
            end_events(self, CLOSED)
        return receipt

    async def _close(self, *, reset: bool, reason: str, timeout: float) -> GoodbyeReceipt:  # noqa: ASYNC109
        if len(reason) > MAX_REASON:
            raise ValueError(f"a reason has at most {MAX_REASON} characters, not {len(reason)}")
        if not 0 <= timeout < inf:
            raise ValueError(f"timeout={timeout!r}: a number of seconds is needed")
        ended = self._result
        self._goes_on &= reset
        begin = Begin(receipt=make_id(), reason=reason, reset=reset, deadline_ms=0)
        self._connection.close(begin, timeout)
        self._ask()
        return await asyncio.shield(ended)

    async def reset(self, make: Make, *, reason: str = "", timeout: float = 5.0) -> GoodbyeReset:  # noqa: ASYNC109
        """Close the connection, have the application make another, and go on with it.

        The other side gets `reset`, and calls `reset()` itself. Tracks are stopped, and the devices asked again. A
        second call joins one that runs.

        Args:
            make: called with the rest of the old connection; returns the new one, also as an awaitable.
            reason: at most 1024 characters; the other side reads it.
            timeout: seconds for the close, and for the channels to come back.

        Raises:
            AbortError: `close()` was called before there was a new connection; one that `make` still returns is closed.
            TypeError: `make` returned no RTCPeerConnection, or one of a session.
            Exception: whatever `make` and `getUserMedia()` raise; the old connection is closed then.

        Cancellation: the reset goes on.
        """
        if self._resetting is None or self._resetting.done():
            self._goes_on = True
            work = self._do_reset(make, reason, timeout)
            self._resetting = asyncio.get_running_loop().create_task(work, name="adieu goodbye: resets")
        return await asyncio.shield(self._resetting)

    async def _do_reset(self, make: Make, reason: str, timeout: float) -> GoodbyeReset:  # noqa: ASYNC109
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        before = [(channel.label, channel.protocol) for channel in self._connection.known_channels()]
        receipt = await self._close(reset=True, reason=reason, timeout=timeout)
        tracks: list[MediaStreamTrack] = []
        try:
            self._check_goes_on()
            stream = None if self._devices is None else await mediaDevices.getUserMedia(self._devices)
            tracks += [] if stream is None else stream.getTracks()
            self._check_goes_on()
            made: Any = make(Old(receipt, stream))
            pc: Any = await made if isawaitable(made) else made
            if not isinstance(pc, RTCPeerConnection):
                raise TypeError(f"make() returned {pc!r}: it must return the new RTCPeerConnection")
            _check(pc)
            if not self._goes_on:
                pc.close()
            self._check_goes_on()
            self._attach(pc)
        except BaseException:
            for track in tracks:
                track.stop()
            end_events(self, CLOSED)
            raise
        self.add(tracks=tracks)
        while True:
            channels, missing = _match(before, self._connection.known_channels())
            is_back = not missing and all(channel.readyState == "open" for channel in channels.values())
            if is_back or self._receipt is not None or loop.time() >= until:
                return GoodbyeReset(receipt, pc, stream, channels, missing)
            await asyncio.sleep(LOOK)

    def _check_goes_on(self) -> None:
        """A reset makes the next connection, if no `close()` came."""
        if not self._goes_on:
            raise AbortError("close() was called during the reset")

    def _ask(self) -> None:
        """Note that the application waits for the end itself: its handlers are not waited for."""
        if not self._asked.done():
            self._asked.set_result(None)

    def _await_event(self, type_: str) -> asyncio.Future[Any]:
        if asyncio.current_task() is self._running:
            self._ask()
        return super()._await_event(type_)

    async def _handled(self) -> None:
        if self._running is not None:
            await asyncio.wait({self._running, self._asked}, return_when=asyncio.FIRST_COMPLETED)

    def _over(self, receipt: GoodbyeReceipt) -> None:
        self._receipt = receipt
        self._stop_tracks()
        self._result.set_result(receipt)
        is_theirs = receipt.reset and receipt.by == "remote"
        self.dispatchEvent(GoodbyeEvent("reset" if is_theirs else "closed", receipt=receipt))
        if not receipt.reset or not (self._goes_on or is_theirs):  # nothing follows
            end_events(self, CLOSED)

    def _failed(self, error: BaseException) -> None:
        """The event loop ends, or there is a fault here."""
        self._stop_tracks()
        end_events(self, CLOSED)
        if isinstance(error, asyncio.CancelledError):
            self._result.cancel()
        else:
            self._result.set_exception(error)

    def _stop_tracks(self) -> None:
        for track in self._tracks:
            track.stop()
        self._tracks.clear()

    def __repr__(self) -> str:
        return f"<Goodbye of {self.pc!r}>"


def _match(
    before: list[tuple[str, str]], after: list[RTCDataChannel]
) -> tuple[dict[str, RTCDataChannel], tuple[str, ...]]:
    """Find each channel among the new ones: by its label, else by its place among those whose labels are new."""
    by_label = {channel.label: channel for channel in reversed(after)}
    labels = {label for label, _ in before}
    channels: dict[str, RTCDataChannel] = {}
    missing: list[str] = []
    for label, protocol in before:
        olds = [old for old, its in before if its == protocol and old not in by_label]
        news = [channel for channel in after if channel.protocol == protocol and channel.label not in labels]
        if label in by_label:
            channels[label] = by_label[label]
        elif len(olds) == len(news):
            channels[label] = news[olds.index(label)]
        else:  # which is which cannot be known
            missing.append(label)
    return channels, tuple(missing)
