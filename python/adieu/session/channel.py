"""A named channel: messages with receipts, which survives every reset of the connection under it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from adieu.errors import SessionClosedError, UndeliveredError
from adieu.protocol.text import scalar
from adieu.session.emitter import Emitter
from adieu.session.machine.flow import Payload
from adieu.session.receipt import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from adieu.protocol.words import Level
    from adieu.session.emitter import Handler
    from adieu.session.machine.actions import StateName
    from adieu.session.receipt import CloseReceipt, ResetReport
    from adieu.session.shell import Shell

H = TypeVar("H")


class ChannelSession(Protocol):
    """What a channel shows of its `Session`, which is the same object that opened it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def peer(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> StateName: ...  # noqa: D102
    @property
    def receipt(self) -> CloseReceipt | None: ...  # noqa: D102
    async def close(self, reason: str = "", timeout: float | None = None) -> CloseReceipt: ...  # noqa: D102, ASYNC109
    async def wait_closed(self) -> CloseReceipt: ...  # noqa: D102
    async def reset(self, level: Level = "transport") -> ResetReport: ...  # noqa: D102


class Sent:
    """A message that `send()` has accepted.

    Attributes:
        seq: its number on the channel, from 1.
    """

    __slots__ = ("_channel", "seq")

    def __init__(self, channel: Channel, seq: int) -> None:
        self._channel = channel
        self.seq: int = seq

    async def delivered(self) -> None:
        """Wait until the other application has taken it, or, while closing, has it safe in its queue.

        Raises:
            UndeliveredError: the session ended first (`state` says whether it left), or the channel is unreliable.

        Cancellation: the message is not affected.
        """
        await self._channel.wait_delivered(self.seq)

    def __repr__(self) -> str:
        return f"<Sent {self.seq} on {self._channel.name!r}>"


class Channel:
    """One of a session's named channels; made by `session.open()`.

    Receive with one of: `async for message in channel`, `await channel.receive()`, `channel.on("message", handler)`.
    A message is taken, and acknowledged, when it is yielded or its handler is entered. Text is `str`, else `bytes`.

    Attributes:
        name: the same on both sides.
        session: the session that it belongs to.

    Thread safety: of the session's event loop.
    """

    def __init__(self, shell: Shell, session: ChannelSession, name: str) -> None:
        self.session = session
        self.name = name
        self._shell = shell
        self._machine = shell.machine
        self._changed = asyncio.Event()
        """Set and replaced whenever something about the channel changes: everybody who waits looks again."""
        self._emitter = Emitter(shell.tasks, frozenset({"message"}), f"channel {name!r}")
        self._reader: asyncio.Task[Any] | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.opened.add_done_callback(lambda future: future.cancelled() or future.exception())

    # --- sending ------------------------------------------------------------------------------------------

    async def send(self, data: str | bytes | bytearray | memoryview | Message) -> Sent:
        """Send one message; waits only for room in the buffer.

        Args:
            data: text (half of a surrogate pair becomes U+FFFD), bytes, or a `Message` that a receipt gave back.

        Raises:
            SessionClosedError: the session has ended, or is closing and this side may send no more.
            ChannelError: larger than `max_message` (16 MiB).
            TypeError: neither text nor bytes.

        Cancellation: while it waits nothing has been accepted.
        """
        self._shell.check_loop()
        payload = _payload(data)
        while not self._machine.has_room(self.name) and self._machine.state != "closed":
            await self._changed.wait()
        return Sent(self, self._shell.step(lambda now: self._machine.send(self.name, payload, now)))

    async def wait_delivered(self, seq: int) -> None:
        """See `Sent.delivered`."""
        channel = self._machine.channels[self.name]
        if not channel.reliable:
            raise UndeliveredError(f"channel {self.name!r} is unreliable and keeps no account", "unreliable")
        while not channel.sender.is_acknowledged(seq):
            if self._machine.outcome is not None:
                self._settle_undelivered(seq)
                return
            self._shell.check_loop()
            await self._changed.wait()

    def _settle_undelivered(self, seq: int) -> None:
        """The session is over: by the other side's word all up to its number was taken, or nobody knows."""
        channel, outcome = self._machine.channels[self.name], self._machine.outcome
        assert outcome is not None  # noqa: S101 looked at by the caller
        account = outcome.channels[self.name].sent
        if outcome.confirmed and channel.ordered and seq <= account.delivered.messages:
            return
        if seq > channel.sender.started:
            raise UndeliveredError(f"message {seq} on {self.name!r} never left: the session has ended", "unsent")
        raise UndeliveredError(f"message {seq} on {self.name!r} may not have arrived: the session has ended", "unknown")

    @property
    def buffered(self) -> int:
        """Bytes accepted and not yet handed to the connection."""
        return self._machine.channels[self.name].sender.queued_bytes

    @property
    def unacknowledged(self) -> int:
        """Bytes handed to the connection and not yet taken by the other application (reliable channels)."""
        return self._machine.channels[self.name].sender.flight_bytes

    # --- receiving ----------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            SessionClosedError: the session has ended, and nothing is left; `receipt` says how.

        Cancellation: no message is lost.
        """
        while (payload := self._take()) is None:
            if (receipt := self._shell.receipt) is not None:
                raise SessionClosedError(receipt.notice, receipt)
            self._shell.check_loop()
            await self._changed.wait()
        return payload

    def receive_now(self) -> str | bytes | None:
        """The next message if it is here already, else None."""
        return self._take()

    def _take(self) -> str | bytes | None:
        payload = self._shell.step(lambda now: self._machine.take(self.name, now))
        if payload is None:
            return None
        return payload.data.decode(errors="replace") if payload.text else payload.data

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages, until the session closes cleanly.

        Raises:
            SessionClosedError: it ended otherwise; `receipt` says how.
        """
        while True:
            try:
                message = await self.receive()
            except SessionClosedError as error:
                if error.receipt is not None and error.receipt.clean:
                    return
                raise
            yield message

    @overload
    def on(self, name: str) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: Handler) -> Handler: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Have `handler(message)` called for each message, one after the other. The only event is `message`.

        Usable as a decorator. Handlers may be plain or async.
        """
        if handler is None:
            return partial(self.on, name)
        result = self._emitter.on(name, handler)
        self._read_soon()
        return result

    def off(self, name: str, handler: Handler) -> None:
        """Remove a handler."""
        self._emitter.off(name, handler)

    def _read_soon(self) -> None:
        if self._emitter.has("message") and (self._reader is None or self._reader.done()):
            self._reader = self._shell.tasks.spawn(self._read(), f"reads channel {self.name!r}")

    async def _read(self) -> None:
        """Take a message only when its handler is about to be entered: what waits is not taken."""
        while self._emitter.has("message") and (message := self._take()) is not None:
            handled = asyncio.Event()
            self._emitter.emit("message", message, handled.set)
            await handled.wait()

    # --- told by the session ------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something about the channel has changed: wake all who wait for it."""
        self._changed.set()
        self._changed = asyncio.Event()
        if self._emitter.has("message"):
            self._read_soon()

    def forget(self) -> None:
        """The session has ended and its handlers are done: forget them."""
        self._emitter.clear()

    @property
    def handlers(self) -> int:
        """How many handlers there are, for the ledger."""
        return self._emitter.count()

    def __repr__(self) -> str:
        return f"<Channel {self.name!r} of {self.session!r}>"


def _payload(data: object) -> Payload:
    match data:
        case str():
            return Payload(scalar(data).encode(), text=True)
        case bytes():
            return Payload(data, text=False)
        case bytearray() | memoryview():
            return Payload(bytes(cast("bytearray | memoryview", data)), text=False)
        case Message(data=inner, sent=sent):
            payload = _payload(inner)
            return Payload(payload.data, payload.text, (data.receipt, data.seq) if sent else None)
        case _:
            raise TypeError(f"send() takes str or bytes, not {type(data).__name__}")
