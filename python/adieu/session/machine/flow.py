"""The two directions of a named channel: sequence numbers, credit, acknowledgement, replay.

A `Sender` keeps every message of a reliable channel until the other application has taken it, so that a new
connection can go on where the other side's `have` says. A `Receiver` yields each message once, whatever
connection brought it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adieu.protocol import control
from adieu.protocol.control import Acknowledged, Reliability
from adieu.protocol.words import Total

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RANGES = 256
"""In one acknowledgement; the rest waits for the next."""
MAX_PARTIALS = 16
"""Unfinished messages of an unreliable, unordered channel."""
MAX_REMEMBERED = 4096
"""Sequence numbers by which an unreliable, unordered channel knows a duplicate."""


class ViolationError(Exception):
    """The other side broke the protocol; the message says how."""


@dataclass(slots=True)
class Count:
    """A running `Total`."""

    messages: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """One more message of `size` bytes."""
        self.messages += 1
        self.bytes += size

    def total(self) -> Total:
        """The number as it stands."""
        return Total(self.messages, self.bytes)


@dataclass(slots=True, frozen=True)
class Payload:
    """A message as the application sees it: text is UTF-8 here."""

    data: bytes
    text: bool
    again: tuple[str, int] | None = None
    """Sent again: (receipt id, sequence number) of the first time."""


@dataclass(slots=True)
class Outgoing:
    """A message that `send()` has accepted."""

    seq: int
    payload: Payload


@dataclass(slots=True)
class Sender:
    """The direction from here to there."""

    reliable: bool
    window: int = 0
    """Bytes that may be under way and not taken: the other side's grant."""
    accepted: Count = field(default_factory=Count)
    started: int = 0
    """The last sequence number whose first fragment was ever handed to a data channel."""
    delivered: Count = field(default_factory=Count)
    """Acknowledged: taken by the other application."""
    queue: deque[Outgoing] = field(default_factory=deque[Outgoing])
    """To go out: first what a rewind put back, then what was never started; in order."""
    queued_bytes: int = 0
    flight: deque[Outgoing] = field(default_factory=deque[Outgoing])
    """Reliable: started on this connection, or had by the other side, and not acknowledged; in order."""
    flight_bytes: int = 0
    acked: int = 0
    _acked_beyond: set[int] = field(default_factory=set[int])
    _current: Outgoing | None = None
    _offset: int = 0
    _index: int = 0

    def accept(self, payload: Payload) -> int:
        """Take a message in and give its sequence number."""
        self.accepted.add(len(payload.data))
        message = Outgoing(self.accepted.messages, payload)
        self.queue.append(message)
        self.queued_bytes += len(payload.data)
        return message.seq

    def frames(self, room: int, fragment: int) -> Iterator[bytes]:
        """What may go out now: whole messages or fragments, until `room` bytes or the credit are used up.

        Args:
            room: bytes that the data channel should still buffer.
            fragment: the largest SCTP message in bytes, header included.
        """
        while room > 0:
            message = self._current
            if message is None:
                # A message may start while any credit is left and is then sent whole.
                if not self.queue or (self.reliable and self.flight_bytes >= self.window):
                    return
                message = self._start()
            frame = self._next_frame(message, fragment)
            room -= len(frame)
            yield frame

    def _start(self) -> Outgoing:
        message = self.queue.popleft()
        size = len(message.payload.data)
        self.queued_bytes -= size
        self.started = max(self.started, message.seq)
        if self.reliable:
            self.flight.append(message)
            self.flight_bytes += size
        self._current, self._offset, self._index = message, 0, 0
        return message

    def _next_frame(self, message: Outgoing, fragment: int) -> bytes:
        payload = message.payload
        first = self._offset == 0
        again = payload.again if first else None
        size = fragment - control.MAX_HEADER - (control.RECEIPT_BYTES + 8 if again else 0)
        end = min(self._offset + size, len(payload.data))
        last = end == len(payload.data)
        header = control.encode_header(
            message.seq, text=payload.text, first=first, last=last, index=self._index, again=again
        )
        frame = header + (payload.data if first and last else memoryview(payload.data)[self._offset : end])
        self._offset, self._index = end, self._index + 1
        if last:
            self._current = None
        return frame

    def acknowledge(self, ack: Acknowledged) -> bool:
        """The other application has taken messages. True if that was news.

        Raises:
            ViolationError: it acknowledges what was never sent.
        """
        last = max((ack.up_to, *(end for _, end in ack.ranges)))
        if last > self.started:
            raise ViolationError(f"acknowledged message {last}, but only {self.started} were sent")
        if ack.up_to < self.acked:
            return False  # An older acknowledgement than the last is ignored.
        before = self.delivered.messages
        while self.flight and self.flight[0].seq <= ack.up_to:
            self.flight_bytes -= self._taken(self.flight.popleft())
        while self.queue and self.queue[0].seq <= ack.up_to:  # put back by a rewind, but it had arrived
            self.queued_bytes -= self._taken(self.queue.popleft())
        if ack.ranges:
            self._acknowledge_ranges(ack.ranges)
        news = self.delivered.messages > before or ack.window != self.window
        self.acked, self.window = ack.up_to, ack.window
        self._acked_beyond = {seq for seq in self._acked_beyond if seq > ack.up_to}
        return news

    def _acknowledge_ranges(self, ranges: list[tuple[int, int]]) -> None:
        kept: deque[Outgoing] = deque()
        for message in self.flight:
            if any(start <= message.seq <= end for start, end in ranges):
                self.flight_bytes -= self._taken(message)
                self._acked_beyond.add(message.seq)
            else:
                kept.append(message)
        self.flight = kept

    def _taken(self, message: Outgoing) -> int:
        size = len(message.payload.data)
        self.delivered.add(size)
        return size

    def rewind(self, have: int) -> int:
        """Go on after `have` on another connection: what is beyond goes out again. How many that are.

        Raises:
            ViolationError: the other side has what was never sent.
        """
        if have > self.started:
            raise ViolationError(f"has message {have}, but only {self.started} were sent")
        self._current = None
        again = 0
        while self.flight and self.flight[-1].seq > have:
            message = self.flight.pop()
            size = len(message.payload.data)
            self.flight_bytes -= size
            self.queued_bytes += size
            self.queue.appendleft(message)
            again += 1
        return again

    def is_acknowledged(self, seq: int) -> bool:
        """Whether the other application is known to have taken it (reliable channels)."""
        return seq <= self.acked or seq in self._acked_beyond

    def unsent(self) -> list[Outgoing]:
        """Accepted, and no byte of it ever left."""
        return [message for message in self.queue if message.seq > self.started]

    def unsent_total(self) -> Total:
        """The same as a number."""
        messages = self.unsent()
        return Total(len(messages), sum(len(message.payload.data) for message in messages))

    def unknown(self) -> list[Outgoing]:
        """Left, and not known to have been taken (reliable channels); in order."""
        return [*self.flight, *(message for message in self.queue if message.seq <= self.started)]

    @property
    def idle(self) -> bool:
        """Nothing waits to go out."""
        return not self.queue and self._current is None


@dataclass(slots=True)
class Incoming:
    """A whole message that arrived."""

    seq: int
    payload: Payload


@dataclass(slots=True)
class _Partial:
    text: bool
    again: tuple[str, int] | None
    pieces: list[memoryview]
    size: int


@dataclass(slots=True)
class Receiver:
    """The direction from there to here."""

    ordered: bool
    reliable: bool
    window: int
    max_message: int
    have: int = 0
    """The last sequence number up to which everything has arrived."""
    beyond: set[int] = field(default_factory=set[int])
    kept: deque[Incoming] = field(default_factory=deque[Incoming])
    """Counted as taken while closing, not yet taken by the application; older than all in `queue`."""
    kept_bytes: int = 0
    queue: deque[Incoming] = field(default_factory=deque[Incoming])
    queued_bytes: int = 0
    taken: Count = field(default_factory=Count)
    up_to: int = 0
    """The last sequence number up to which everything has been taken."""
    taken_beyond: set[int] = field(default_factory=set[int])
    duplicates: int = 0
    dropped: int = 0
    """Unreliable: lost halves, and the oldest of a full queue. Any: what came after `closed` was said."""
    frozen: bool = False
    """`closed` was said: nothing is taken any more."""
    _partials: dict[tuple[int, int], _Partial] = field(default_factory=dict[tuple[int, int], _Partial])
    _partial_bytes: int = 0
    _ack_messages: int = 0
    _ack_bytes: int = 0

    def receive(self, epoch: int, data: bytes) -> bool:
        """One SCTP message. True if it completed a message that is now in the queue.

        Raises:
            ViolationError: a wrong header, a gap, a message too large, or more than the credit given.
        """
        if self.frozen:
            self.dropped += 1
            return False
        try:
            fragment = control.decode_fragment(data)
        except ValueError as error:
            raise ViolationError(str(error)) from None
        if fragment.seq <= self.have or fragment.seq in self.beyond:
            self.duplicates += fragment.last
            return False
        payload = self._assemble(epoch, fragment)
        if payload is None:
            return False
        self._arrived(fragment.seq)
        self.queue.append(Incoming(fragment.seq, payload))
        self.queued_bytes += len(payload.data)
        self._bound()
        return True

    def _assemble(self, epoch: int, fragment: control.Fragment) -> Payload | None:
        if fragment.first and fragment.last:
            return Payload(bytes(fragment.payload), fragment.text, fragment.again)
        key = (epoch, fragment.seq)
        partial = self._begin(key, fragment) if fragment.first else self._partials.get(key)
        if partial is None or len(partial.pieces) != fragment.index:
            if self.reliable:
                raise ViolationError(f"fragment {fragment.index} of message {fragment.seq} out of order")
            self._forget(key)  # a fragment was lost, and with it the message
            return None
        partial.pieces.append(fragment.payload)
        partial.size += len(fragment.payload)
        self._partial_bytes += len(fragment.payload)
        if partial.size > self.max_message:
            raise ViolationError(f"message {fragment.seq} is larger than {self.max_message} bytes")
        # Halves of one message may come over two connections at once, hence twice.
        if self._partial_bytes + self.queued_bytes > self.window + 2 * self.max_message:
            raise ViolationError(f"more than the {self.window} bytes of credit given")
        if not fragment.last:
            return None
        del self._partials[key]
        self._partial_bytes -= partial.size
        return Payload(b"".join(partial.pieces), partial.text, partial.again)

    def _begin(self, key: tuple[int, int], fragment: control.Fragment) -> _Partial:
        self._forget(key)
        if not self.reliable:
            # Unfinished ones may never be finished: on an ordered channel none will, else a few are kept.
            while self._partials and (self.ordered or len(self._partials) >= MAX_PARTIALS):
                self._forget(next(iter(self._partials)))
        partial = self._partials[key] = _Partial(fragment.text, fragment.again, [], 0)
        return partial

    def _forget(self, key: tuple[int, int]) -> None:
        partial = self._partials.pop(key, None)
        if partial is not None:
            self._partial_bytes -= partial.size
            self.dropped += not self.reliable

    def _arrived(self, seq: int) -> None:
        if self.reliable:
            if self.ordered and seq != self.have + 1:
                raise ViolationError(f"message {seq} after message {self.have} on an ordered channel")
            self.beyond.add(seq)
            self.have = _advance(self.have, self.beyond)
        elif self.ordered:
            self.have = seq
        else:
            self.beyond.add(seq)
            if len(self.beyond) > MAX_REMEMBERED:
                self.beyond.discard(min(self.beyond))

    def _bound(self) -> None:
        if self.reliable:
            if self.queued_bytes > self.window + self.max_message:
                raise ViolationError(f"more than the {self.window} bytes of credit given")
            return
        while self.queued_bytes > self.window and len(self.queue) > 1:
            self.queued_bytes -= len(self.queue.popleft().payload.data)
            self.dropped += 1

    def connection_gone(self, epoch: int) -> None:
        """Halves of messages that came over it are forgotten: the whole comes again."""
        for key in [key for key in self._partials if key[0] == epoch]:
            self._forget(key)

    def take(self) -> Payload | None:
        """The next message for the application, which has taken it with this."""
        if self.kept:
            message = self.kept.popleft()
            self.kept_bytes -= len(message.payload.data)
            return message.payload
        if not self.queue:
            return None
        message = self.queue.popleft()
        self.queued_bytes -= len(message.payload.data)
        self._count(message)
        return message.payload

    def keep(self, room: int) -> int:
        """While closing: what is queued counts as taken, as far as `room` bytes reach. How many bytes that was."""
        before = self.kept_bytes
        while self.queue and self.kept_bytes - before + len(self.queue[0].payload.data) <= room:
            message = self.queue.popleft()
            size = len(message.payload.data)
            self.queued_bytes -= size
            self.kept.append(message)
            self.kept_bytes += size
            self._count(message)
        return self.kept_bytes - before

    def skip_last(self) -> None:
        """The message that has just come was taken in an earlier session: it counts as taken, and is not yielded."""
        message = self.queue.pop()
        self.queued_bytes -= len(message.payload.data)
        self.duplicates += 1
        self._count(message)

    def freeze(self) -> None:
        """From now on nothing is taken: what was counted can still be read, the rest is dropped."""
        self.frozen = True
        self.dropped += len(self.queue)
        self.queue.clear()
        self.queued_bytes = 0
        self._partials.clear()

    def _count(self, message: Incoming) -> None:
        size = len(message.payload.data)
        self.taken.add(size)
        self._ack_messages += 1
        self._ack_bytes += size
        if self.reliable:
            self.taken_beyond.add(message.seq)
            self.up_to = _advance(self.up_to, self.taken_beyond)

    def ack_due(self, messages: int, size: int) -> bool:
        """Whether so much has been taken since the last acknowledgement."""
        return self._ack_messages >= messages or self._ack_bytes >= size

    @property
    def ack_wanted(self) -> bool:
        """Whether anything has been taken since the last acknowledgement."""
        return self.reliable and self._ack_messages > 0

    def acknowledgement(self) -> Acknowledged:
        """What to tell the sender now."""
        self._ack_messages = self._ack_bytes = 0
        return Acknowledged(up_to=self.up_to, ranges=_ranges(self.taken_beyond)[:MAX_RANGES], window=self.window)


class Remembered:
    """What was taken in sessions that have ended, so that a message sent again is known again for a while."""

    def __init__(self, seconds: float = 600.0, size: int = 1000) -> None:
        self._seconds = seconds
        self._size = size
        self._taken: dict[tuple[str, str], tuple[float, int, frozenset[int]]] = {}

    def add(self, receipt: str, channel: str, receiver: Receiver, now: float) -> None:
        """A session has ended: keep what was taken of one of its channels."""
        if receiver.reliable and receiver.taken.messages:
            self._taken[receipt, channel] = (now, receiver.up_to, frozenset(receiver.taken_beyond))
        while self._taken and (len(self._taken) > self._size or self._oldest() < now - self._seconds):
            del self._taken[next(iter(self._taken))]

    def _oldest(self) -> float:
        return next(iter(self._taken.values()))[0]

    def has(self, receipt: str, channel: str, seq: int, now: float) -> bool:
        """Whether that message was taken, not too long ago."""
        when, up_to, beyond = self._taken.get((receipt, channel), (0.0, 0, frozenset()))
        return now - when <= self._seconds and (seq <= up_to or seq in beyond)


def _advance(last: int, beyond: set[int]) -> int:
    while last + 1 in beyond:
        last += 1
        beyond.discard(last)
    return last


def _ranges(numbers: set[int]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if result and result[-1][1] == number - 1:
            result[-1] = (result[-1][0], number)
        else:
            result.append((number, number))
    return result


def is_reliable(reliability: Reliability) -> bool:
    """Neither bound is set."""
    return reliability.max_retransmits is None and reliability.max_packet_life_time is None
