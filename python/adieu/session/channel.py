"""A named channel: messages with receipts, over all resets of the connection under it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from adieu.errors import SessionClosedError, UndeliveredError
from adieu.protocol.text import scalar
from adieu.session.emitter import Emitter
from adieu.session.machine.held import Payload
from adieu.session.receipt import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from adieu.protocol.words import Level
    from adieu.session.emitter import Handler
    from adieu.session.machine.actions import StateName
    from adieu.session.receipt import CloseReceipt, ResetReport
    from adieu.session.shell import Shell

H = TypeVar("H")

AT_ONCE = 32
"""Messages that are handed to a handler before other work has its turn, where more of them wait."""


class ChannelSession(Protocol):
    """The part of a `Session` that its channels show. The object is the session itself."""

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
        self._senders: set[asyncio.Future[None]] = set()
        """Calls that wait for room to send or for an acknowledgement: each looks again after a change."""
        self._emitter = Emitter(shell.tasks, frozenset({"message"}), f"channel {name!r}")
        self._readers: deque[asyncio.Future[str | bytes | None]] = deque()
        """Calls of `receive` that wait. A result of None makes the call look again."""
        self._handed: Payload | None = None
        """A `receive` has a message and has not gone on: until then it may be cancelled, and nothing overtakes it."""
        self._has_handler = False
        self._handling = False
        """A handler runs."""
        self._waits = False
        """The machine knows that a reader waits: it gives out the next message as it comes."""
        self._reading = False
        """`_read` is about to run."""
        self.opened: asyncio.Future[None] = shell.loop.create_future()
        self.opened.add_done_callback(lambda future: future.cancelled() or future.exception())

    # --- sending ------------------------------------------------------------------------------------------

    async def send(self, data: str | bytes | bytearray | memoryview | Message) -> Sent:
        """Send one message; waits only for room in the buffer.

        Args:
            data: text (half of a surrogate pair becomes U+FFFD), bytes, or a `Message` that a receipt gave back.

        Raises:
            SessionClosedError: the session has ended, or is closing and this side may not send now.
            ChannelError: larger than `max_message` (16 MiB).
            TypeError: neither text nor bytes.

        Cancellation: while it waits nothing has been accepted.
        """
        self._shell.check_loop()
        payload = _payload(data)
        while not self._machine.has_room(self.name) and self._machine.state != "closed":
            await self._change()
        seq = self._machine.send(self.name, payload, self._shell.loop.time())
        self._shell.settle()
        return Sent(self, seq)

    async def wait_delivered(self, seq: int) -> None:
        """See `Sent.delivered`."""
        channel = self._machine.channels[self.name]
        if not channel.reliable:
            raise UndeliveredError(f"channel {self.name!r} is unreliable and keeps no account", "unreliable")
        while not channel.sender.is_acknowledged(seq):
            if self._machine.outcome is not None:
                self._check_taken(seq)
                return
            self._shell.check_loop()
            await self._change()

    async def _change(self) -> None:
        sender = self._shell.loop.create_future()
        self._senders.add(sender)
        try:
            await sender
        finally:
            self._senders.discard(sender)

    def _check_taken(self, seq: int) -> None:
        """Return if the other side's last word covers the message; the session is over.

        Raises:
            UndeliveredError: it does not.
        """
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
        """Return the next message.

        Raises:
            SessionClosedError: the session has ended, and nothing is left; `receipt` says how.

        Cancellation: no message is lost.
        """
        while (payload := self._take()) is None:
            if (receipt := self._shell.receipt) is not None:
                raise SessionClosedError(receipt.notice, receipt)
            self._shell.check_loop()
            if (message := await self._next()) is not None:
                return message
        return _message(payload)

    async def _next(self) -> str | bytes | None:
        """Wait for the next message, when no message is here. Returns None to have the caller look again."""
        reader: asyncio.Future[str | bytes | None] = self._shell.loop.create_future()
        self._readers.append(reader)
        if self._has_reader:
            self._wait()
        try:
            return await reader
        except (asyncio.CancelledError, GeneratorExit):
            if self._handed is not None and reader.done() and not reader.cancelled():
                self._machine.give_back(self.name, self._handed, self._shell.loop.time())
            raise
        finally:
            if reader in self._readers:
                self._readers.remove(reader)
            if reader.done() and not reader.cancelled():
                self._handed = None
            if self._waits or self._readers or self._has_handler:
                self._look_again()

    def receive_now(self) -> str | bytes | None:
        """Return the next message if it is here already, else None."""
        payload = self._take()
        return None if payload is None else _message(payload)

    def _take(self) -> Payload | None:
        payload = self._machine.take(self.name, self._shell.loop.time())
        self._shell.settle()
        return payload

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages, until the session closes cleanly.

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

        Usable as a decorator. Handlers may be plain or async; what arrives while an async one runs waits.
        """
        if handler is None:
            return partial(self.on, name)
        result = self._emitter.on(name, handler)
        self._has_handler = True
        self._read_soon()
        return result

    def off(self, name: str, handler: Handler) -> None:
        """Remove a handler."""
        self._emitter.off(name, handler)
        self._has_handler = self._emitter.has(name)
        self._look_again()

    # --- how a message gets to its reader: as it comes if one waits, else when there is one -------------------

    def deliver(self, payload: Payload) -> None:
        """Hand a message that has just come to the reader that waits for it."""
        self._hand_out(payload)
        if self._handed is not None:
            self._waits = False
            self._machine.reader_changed(self.name, False, self._shell.loop.time())
        elif self._handling or not self._waits or not self._has_handler:  # else the handler waits again
            self._look_again()

    def _hand_out(self, payload: Payload) -> None:
        message = payload.data.decode(errors="replace") if payload.text else payload.data
        readers = self._readers
        while readers:
            if not (reader := readers.popleft()).done():
                reader.set_result(message)
                self._handed = payload
                return
        if not self._has_handler:  # the reader was cancelled a moment ago
            self._machine.give_back(self.name, payload, self._shell.loop.time())
            return
        self._handling = True
        self._handling = not self._emitter.enter("message", message, self._handled)

    def _handled(self) -> None:
        self._handling = False
        self._read()

    @property
    def _has_reader(self) -> bool:
        """Whether a message would be taken now: a `receive` waits, or there is a handler that is not at work."""
        return self._handed is None and (bool(self._readers) or (self._has_handler and not self._handling))

    def _look_again(self) -> None:
        """Bring what the machine knows in line with the readers there are."""
        if self._waits is not self._has_reader:
            if self._waits:
                self._stop_waiting()
            else:
                self._read_soon()

    def _wait(self) -> None:
        if not self._waits:
            self._waits = True
            self._machine.reader_changed(self.name, True, self._shell.loop.time())

    def _stop_waiting(self) -> None:
        if self._waits:
            self._waits = False
            self._machine.reader_changed(self.name, False, self._shell.loop.time())

    def _read_soon(self) -> None:
        if not self._reading:
            self._reading = True
            self._shell.loop.call_soon(self._read)

    def _read(self) -> None:
        """Hand out the messages that are here, while there is a reader. Then wait for more."""
        self._reading = False
        for _ in range(AT_ONCE):
            if not self._has_reader:
                self._stop_waiting()
                return
            if (payload := self._take()) is None:
                self._wait()
                return
            self._hand_out(payload)
        self._read_soon()

    # --- what the session reports ---------------------------------------------------------------------------

    def readable(self) -> None:
        """Note that messages are here."""
        if self._has_reader:
            self._read_soon()

    def changed(self) -> None:
        """Note that there may be room to send, or that messages were acknowledged."""
        for sender in self._senders:
            if not sender.done():
                sender.set_result(None)

    def ended(self) -> None:
        """Note that the session has ended: each waiter looks again."""
        self.changed()
        while self._readers:
            if not (reader := self._readers.popleft()).done():
                reader.set_result(None)

    def forget(self) -> None:
        """Forget the handlers: the session has ended."""
        self._emitter.clear()
        self._has_handler = False

    @property
    def handlers(self) -> int:
        """Return how many handlers there are, for the ledger."""
        return self._emitter.count()

    def __repr__(self) -> str:
        return f"<Channel {self.name!r} of {self.session!r}>"


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    """`channel`: the other side has opened a channel."""

    channel: Channel


def _message(payload: Payload) -> str | bytes:
    return payload.data.decode(errors="replace") if payload.text else payload.data


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
