"""A named channel: messages with receipts, over all resets of the connection under it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, overload

from adieu.errors import ChannelError, SessionClosedError, UndeliveredError
from adieu.protocol.text import scalar
from adieu.protocol.words import Total
from adieu.session.emitter import Emitter, settle_current
from adieu.session.events import ChannelClosedEvent, ChannelClosingEvent
from adieu.session.ledger import Held
from adieu.session.machine.held import Payload
from adieu.session.machine.receipt import Account, ChannelEndReceipt
from adieu.session.receipt import Message
from adieu.webrtc.dictionaries import sendable_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.protocol.words import Level
    from adieu.session.emitter import Handler, On, R, Reacts
    from adieu.session.machine.actions import StateName
    from adieu.session.machine.receipt import Outcome
    from adieu.session.receipt import CloseReceipt, ResetReport
    from adieu.session.shell import Shell


NOTHING = Account(accepted=Total(), delivered=Total(), unread=Total(), unknown=Total(), unsent=Total())
EVENTS = frozenset({"message", "closing", "closed"})
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
            UndeliveredError: the session or the channel ended first, or the channel could not be opened (`state` says
                whether it left); or the channel is unreliable.

        Cancellation: the message is not affected.
        """
        await self._channel.wait_delivered(self.seq)

    def __repr__(self) -> str:
        return f"<Sent {self.seq} on {self._channel.name!r}>"


class Channel:
    """One of a session's named channels; made by `session.open()`.

    Receive with one of: `async for message in channel`, `await channel.receive()`, `await channel.latest()`,
    `channel.on("message", handler)`.
    A message is taken, and acknowledged, when it is yielded or its handler is entered. Text is `str`, else `bytes`.

    `close()` ends it, and the session goes on. Delivered messages that were not read by then stay readable.

    Attributes:
        name: the same on both sides.
        session: the session that it belongs to.
        receipt: how it ended; None before.

    Thread safety: of the session's event loop.
    """

    def __init__(self, shell: Shell, session: ChannelSession, name: str) -> None:
        self.session = session
        self.name = name
        self.where: str = ""
        """The line that opened it here; empty if the other side did."""
        self._shell = shell
        self._machine = shell.machine
        self._here = shell.machine.channels[name]
        self.receipt: ChannelEndReceipt | None = None
        self._failure = ""
        """Why it could not be opened."""
        self._senders: set[asyncio.Future[None]] = set()
        """Calls that wait for room to send or for an acknowledgement: each looks again after a change."""
        self._emitter = Emitter(shell.tasks, EVENTS, f"channel {name!r}")
        self._readers: deque[asyncio.Future[str | bytes | None]] = deque()
        """Calls of `receive` that wait. A result of None makes the call look again."""
        self._handed: Payload | None = None
        """A `receive` has a message and has not gone on: until then it may be cancelled, and nothing overtakes it."""
        self._ended_with_session = False
        self._has_handler = False
        self._handling = False
        """A handler runs."""
        self._waits = False
        """The machine knows that a reader waits: it gives out the next message as it comes."""
        self._reading = False
        """`_read` is about to run."""
        self.opened: asyncio.Future[None] = shell.loop.create_future()
        self._closed: asyncio.Future[ChannelEndReceipt] = shell.loop.create_future()
        for future in (self.opened, self._closed):
            future.add_done_callback(lambda future: future.cancelled() or future.exception())

    # --- sending ------------------------------------------------------------------------------------------

    async def send(self, data: str | bytes | bytearray | memoryview | Message) -> Sent:
        """Send one message; waits only for room in the buffer.

        Args:
            data: text (half of a surrogate pair becomes U+FFFD), bytes, or a `Message` that a receipt gave back.

        Raises:
            SessionClosedError: the session has ended, or is closing and this side may not send now.
            ChannelError: larger than `max_message` (16 MiB); or the channel has ended, or is closing and this side may
                not send now; or it could not be opened.
            TypeError: neither text nor bytes.

        Cancellation: while it waits nothing has been accepted.
        """
        self._shell.check_loop()
        return await self._send(payload_of(data))

    async def _send(self, payload: Payload) -> Sent:
        self._require_here()
        while not self._machine.has_room(self.name) and self._machine.state != "closed":
            await self._change()
            self._require_here()
        try:
            seq = self._machine.send(self.name, payload, self._shell.loop.time())
        except SessionClosedError as error:
            raise self._shell.with_receipt(error) from None
        self._shell.settle()
        return Sent(self, seq)

    async def wait_delivered(self, seq: int) -> None:
        """See `Sent.delivered`."""
        if not self._here.reliable:
            raise UndeliveredError(f"channel {self.name!r} is unreliable and keeps no account", "unreliable")
        while not self._here.sender.is_acknowledged(seq):
            if self.receipt is not None:
                self._check_taken(seq, self.receipt)
                return
            if self._failure:
                raise self._undelivered(f"message {seq} on {self.name!r} never left: {self._failure}", "unsent")
            self._shell.check_loop()
            await self._change()

    async def _change(self) -> None:
        sender = self._shell.loop.create_future()
        self._senders.add(sender)
        try:
            await sender
        finally:
            self._senders.discard(sender)

    def _check_taken(self, seq: int, receipt: ChannelEndReceipt) -> None:
        """Return if the other side's last word covers the message; the channel has ended.

        Raises:
            UndeliveredError: it does not.
        """
        if receipt.confirmed and self._here.ordered and seq <= receipt.sent.delivered.messages:
            return
        what = "session" if self._ended_with_session else "channel"
        if seq > self._here.sender.started:
            raise self._undelivered(f"message {seq} on {self.name!r} never left: the {what} has ended", "unsent")
        raise self._undelivered(f"message {seq} on {self.name!r} may not have arrived: the {what} has ended", "unknown")

    def _undelivered(self, text: str, state: Literal["unsent", "unknown"]) -> UndeliveredError:
        error = UndeliveredError(text, state)
        error.recording = self._shell.recorder
        return error

    def unsent(self) -> list[Message]:
        """Return what was accepted and never left, in order. After the channel's end it is safe to send it again."""
        receipt = self._machine.receipt
        return [
            Message(_message(message.payload), message.seq, receipt, sent=False)
            for message in self._here.sender.unsent()
        ]

    @property
    def buffered(self) -> int:
        """Bytes accepted and not yet handed to the connection."""
        return self._here.sender.queued_bytes

    @property
    def unacknowledged(self) -> int:
        """Bytes handed to the connection and not yet taken by the other application (reliable channels)."""
        return self._here.sender.flight_bytes

    # --- receiving ----------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        """Return the next message.

        Raises:
            SessionClosedError: the session has ended, and nothing is left; `receipt` says how.
            ChannelError: the channel has ended, and nothing is left; `receipt` says how.

        Cancellation: no message is lost.
        """
        while (payload := self._take()) is None:
            if (receipt := self._shell.receipt) is not None and self._ended_with_session:
                raise SessionClosedError(receipt.notice, receipt)
            self._require_here()
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
                self._here.receiver.give_back(self._handed)
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

    async def latest(self) -> str | bytes:
        """Return the newest message that is here, and skip those before it.

        It is for readings, of which only the last one counts. It waits if no message is here. Skipped messages count as
        taken.

        Raises:
            SessionClosedError: as `receive`.

        Cancellation: no message is lost.
        """
        message = await self.receive()
        while (newer := self.receive_now()) is not None:
            message = newer
        return message

    def _take(self) -> Payload | None:
        if self._is_gone:
            return self._here.receiver.take()
        payload = self._machine.take(self.name, self._shell.loop.time())
        self._shell.settle()
        return payload

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages, until the channel or its session closes cleanly.

        Raises:
            SessionClosedError: the session ended otherwise; `receipt` says how.
            ChannelError: the channel ended otherwise; `receipt` says how.
        """
        while True:
            try:
                message = await self.receive()
            except (SessionClosedError, ChannelError) as error:
                if error.receipt is not None and error.receipt.clean:
                    return
                raise
            yield message

    @overload
    def on(self, name: Literal["message"]) -> On[str | bytes]: ...
    @overload
    def on(self, name: Literal["message"], handler: Reacts[str | bytes, R]) -> Reacts[str | bytes, R]: ...
    @overload
    def on(self, name: Literal["closing"]) -> On[ChannelClosingEvent]: ...
    @overload
    def on(
        self, name: Literal["closing"], handler: Reacts[ChannelClosingEvent, R]
    ) -> Reacts[ChannelClosingEvent, R]: ...
    @overload
    def on(self, name: Literal["closed"]) -> On[ChannelClosedEvent]: ...
    @overload
    def on(self, name: Literal["closed"], handler: Reacts[ChannelClosedEvent, R]) -> Reacts[ChannelClosedEvent, R]: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler (plain or async), or decorate one. Handlers run one after the other.

        Events: `message`, with the message itself: what arrives while an async handler runs waits. `closing`
        (ChannelClosingEvent): the other side closes the channel. `closed` (ChannelClosedEvent): it has ended, by itself
        or with its session.
        """
        if handler is None:
            on: Any = self.on
            return partial(on, name)
        self._shell.check_loop()
        result = self._emitter.on(name, handler)
        if name == "message":
            self._has_handler = True
            self._read_soon()
        return result

    def off(self, name: str, handler: Handler) -> None:
        """Remove a handler."""
        self._emitter.off(name, handler)
        self._has_handler = self._emitter.has("message")
        self._look_again()

    # --- its end -------------------------------------------------------------------------------------------

    async def close(
        self,
        reason: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 the deadline is the protocol's, not only the waiting's
    ) -> ChannelEndReceipt:
        """Close the channel gracefully, and leave the session open: what was sent arrives, then its place is free.

        The other side gets `closing`, and may send last words; then both get `closed`. In a session that is closing,
        the channel ends with it.

        Args:
            reason: a few words for the other side.
            timeout: seconds for everything, 5 by default. The receipt has what has not arrived by then.

        Returns:
            The receipt; the same again if it has ended already. A peer of a version that knows no close of a channel
            learns nothing of it: then `path` is `untold`, and the name stays taken until the session ends.

        Raises:
            ChannelError: it could not be opened.

        Cancellation: the close goes on, within its time.
        """
        settle_current()
        if self.receipt is not None:
            return self.receipt
        self._shell.check_loop()
        seconds = self._shell.close_seconds(timeout)
        given: Any = reason
        if not isinstance(given, str):
            raise TypeError(f"a reason must be text, not {type(given).__name__}")
        if not self._failure:
            self._shell.step(lambda now: self._machine.close_channel(self.name, reason, seconds, now))
        return await asyncio.shield(self._closed)

    async def wait_closed(self) -> ChannelEndReceipt:
        """Wait for the end, by itself or with the session, and return the receipt.

        Raises:
            ChannelError: it could not be opened.

        Cancellation: the channel goes on.
        """
        return await self._shell.wait_for_end(self.receipt, self._closed)

    @property
    def state(self) -> Literal["connecting", "open", "closing", "closed"]:
        """How far it is: it is `closing` from the call of `close()` on either side, and in a session that closes."""
        if self._closed.done():
            return "closed"
        if self.is_closing or self._machine.state == "closing":
            return "closing"
        return "open" if self._here.open else "connecting"

    @property
    def is_closing(self) -> bool:
        """Whether it is being closed, while its session goes on."""
        return not self._closed.done() and self._here.end is not None

    def _require_here(self) -> None:
        """See whether it has not ended.

        Raises:
            ChannelError: it has, or could not be opened.
        """
        if self._is_gone:
            raise ChannelError(self._failure or self._words(), self.receipt)

    @property
    def _is_gone(self) -> bool:
        """Whether the session has no such channel, or another one of this name."""
        return bool(self._failure) or (self.receipt is not None and not self._ended_with_session)

    def _words(self) -> str:
        receipt = self.receipt
        why = f": {receipt.reason}" if receipt is not None and receipt.reason else ""
        return f"channel {self.name!r} was closed{why}; open it again to go on"

    # --- how a message gets to its reader: as it comes if one waits, else when there is one -------------------

    def deliver(self, payload: Payload) -> None:
        """Hand a message that has just come to the reader that waits for it."""
        self._hand_out(payload)
        if self._handed is not None:
            self._stop_waiting()
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
            self._here.receiver.give_back(payload)
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
            if not self._closed.done():
                self._machine.reader_changed(self.name, True, self._shell.loop.time())

    def _stop_waiting(self) -> None:
        if self._waits:
            self._waits = False
            if not self._closed.done():
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

    def other_closes(self, reason: str, deadline: float) -> None:
        """Note that the other side closes the channel: last words may be sent until all handlers have settled."""
        event = ChannelClosingEvent(reason, max(deadline - self._shell.loop.time(), 0.0))
        over = self._machine.channel_last_words_over
        self._emitter.emit("closing", event, lambda: self._shell.step(lambda now: over(self.name, now)))

    def failed(self, error: ChannelError) -> None:
        """Note that it cannot be opened: each waiter looks again."""
        self._failure = str(error)
        for future in (self.opened, self._closed):
            if not future.done():
                future.set_exception(error)
        self._look_all_again()

    def end(self, receipt: ChannelEndReceipt) -> None:
        """Note that it has ended: each waiter looks again."""
        if self.receipt is not None:
            return
        self.receipt = receipt
        if not self.opened.done():
            self.opened.set_exception(ChannelError(self._words(), receipt))
        self._closed.set_result(receipt)
        self._emitter.emit("closed", ChannelClosedEvent(receipt))
        self._look_all_again()

    def _look_all_again(self) -> None:
        self.changed()
        if self._has_handler:
            self._read_soon()
        while self._readers:
            if not (reader := self._readers.popleft()).done():
                reader.set_result(None)

    def session_ended(self, outcome: Outcome, error: SessionClosedError) -> None:
        """Note that the session has ended, and the channel with it."""
        self._ended_with_session = True
        if not self.opened.done():
            self.opened.set_exception(error)
        account = outcome.channels.get(self.name)
        self.end(
            ChannelEndReceipt(
                sent=NOTHING if account is None else account.sent,
                received=NOTHING if account is None else account.received,
                reliable=self._here.reliable,
                name=self.name,
                by=outcome.by,
                reason=outcome.reason.text,
                path="session",
                duration=0.0,
                confirmed=outcome.confirmed,
            )
        )

    def forget(self) -> None:
        """Forget the handlers: the session has ended."""
        self._emitter.clear()
        self._has_handler = False

    def held(self) -> list[Held]:
        """Return the channel, until the session ends, and its handlers, for the ledger."""
        mine = [Held("channel", repr(self.name), self.where)] if self._shell.receipt is None else []
        return mine + self._emitter.held()

    def __repr__(self) -> str:
        return f"<Channel {self.name!r} of {self.session!r}>"


@dataclass(frozen=True, slots=True)
class ChannelEvent:
    """`channel`: the other side has opened a channel."""

    channel: Channel


async def send_uncopied(channel: Channel, data: memoryview) -> Sent:
    """Send a piece of a file, as `send` does; its bytes must not change before it is delivered."""
    payload = Payload(cast("bytes", data), text=False)
    return await channel._send(payload)  # noqa: SLF001 its own module # pyright: ignore[reportPrivateUsage]


def _message(payload: Payload) -> str | bytes:
    # Bytes that were sent uncopied may change one day; of others `bytes` makes no copy.
    return payload.data.decode(errors="replace") if payload.text else bytes(payload.data)


def payload_of(data: object) -> Payload:
    """Return what `send()` was given as the machine holds it.

    Raises:
        TypeError: neither text nor bytes.
    """
    match data:
        case str():
            return Payload(scalar(data).encode(), text=True)
        case bytes():
            return Payload(data, text=False)
        case bytearray() | memoryview():
            return Payload(bytes(cast("bytearray | memoryview", data)), text=False)
        case Message(data=inner, sent=sent):
            payload = payload_of(inner)
            return Payload(payload.data, payload.text, (data.receipt, data.seq) if sent else None)
        case _:
            raise TypeError(f"send() takes str or bytes, not {type(data).__name__}{sendable_form(data)}")
