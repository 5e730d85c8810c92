"""The direction of a channel from here to there; `flow.py` has the theory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adieu.protocol import control
from adieu.protocol.control import COST, SMALL, Acknowledged, Turn
from adieu.protocol.words import Total
from adieu.session.machine.flow import LOT, Count, ViolationError
from adieu.session.machine.held import Payload, Ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FLIGHT = 16384
"""Messages of a channel that are under way and not taken, whatever the other side grants."""
ENOUGH = 1024 * 1024
"""A window of this size is not worth asking for more."""


@dataclass(slots=True)
class Outgoing:
    """A message that `send()` has accepted."""

    seq: int
    payload: Payload


@dataclass(slots=True)
class Sender:
    """The direction from here to there."""

    reliable: bool
    most: int = 16 * 1024 * 1024
    """The most messages on their way and not taken, whatever the other side grants."""
    counted: bool = False
    """Both sides count `COST` for each message (`credit2`)."""
    window: int = 0
    """Bytes that may be under way and not taken: the other side's grant."""
    accepted: Count = field(default_factory=Count)
    started: int = 0
    """The last sequence number whose first fragment was ever handed to a data channel."""
    delivered: Count = field(default_factory=Count)
    """Acknowledged: taken by the other application."""
    queue: deque[Outgoing] = field(default_factory=deque[Outgoing])
    """Messages to send, in order: first those that a rewind put back, then new ones."""
    queued_bytes: int = 0
    flight: deque[Outgoing] = field(default_factory=deque[Outgoing])
    """Reliable: started on this connection, or had by the other side, and not acknowledged; in order."""
    flight_bytes: int = 0
    acked: int = 0
    turn: int = 0
    """Messages up to this one may start whatever the window is."""
    asked: bool = False
    """The other side has been asked for more credit, and has not said another window since."""
    _asked_turn: int = 0
    """The greatest number for which a turn was asked: no other is believed."""
    _acked_beyond: Ranges = field(default_factory=Ranges)
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

    @property
    def queued(self) -> int:
        """The cost of the messages that wait to be sent."""
        return self.queued_bytes + COST * len(self.queue)

    def frames(self, room: int, fragment: int) -> Iterator[bytes]:
        """Return the messages and fragments to send now, until `room` bytes or the credit are used up.

        Args:
            room: bytes that the data channel should still buffer.
            fragment: the largest SCTP message in bytes, header included.
        """
        while room > 0:
            message = self._current
            if message is None:
                if not self.queue or not self._may_start(self.queue[0]):
                    return
                message = self._start()
            frame = self._next_frame(message, fragment)
            room -= len(frame)
            yield frame

    def _may_start(self, message: Outgoing) -> bool:
        """A message may start while any credit is left and is then sent whole; a large one only with a large window.

        In a turn all that the turn was asked for may start.
        """
        if not self.reliable:
            return True
        if len(self.flight) >= MAX_FLIGHT:
            return False
        if message.seq <= self.turn:
            return True
        cost = self.flight_bytes + COST * len(self.flight)
        if not self.counted:
            return self.flight_bytes < self.window and cost < self.most
        return cost < min(self.window, self.most) and (self.window > SMALL or len(message.payload.data) <= SMALL)

    def wanted(self) -> tuple[int, Turn | None]:
        """Return the credit to ask for now, and the turn; 0: no request.

        It asks once for each window of the other side. It asks for a turn only when no acknowledgement can bring a
        window, because all sent messages are taken.
        """
        if self.asked or not self.counted or not self.reliable or not self.queue:
            return 0, None
        starts = self._may_start(self.queue[0])
        if self.window >= ENOUGH or (self.queued <= self.window and starts):
            return 0, None
        self.asked = True
        turn = None if starts or self.flight else self._next_turn()
        return self.accepted.bytes + COST * self.accepted.messages, turn

    def _next_turn(self) -> Turn:
        last = cost = 0
        for message in self.queue:
            more = len(message.payload.data) + COST
            if last and cost + more > LOT:
                break
            last, cost = message.seq, cost + more
        self._asked_turn = max(self._asked_turn, last)
        return Turn(up_to=last, cost=cost)

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

    def granted(self, window: int, turn: int = 0) -> None:
        """The other side says how much may be under way, and gives a turn up to a message."""
        self.window, self.asked = window, False
        self.turn = max(self.turn, min(turn, self._asked_turn))

    def acknowledge(self, ack: Acknowledged) -> bool:
        """The other application has taken messages. True if that was news.

        Raises:
            ViolationError: it acknowledges what was never sent, or its ranges are not rising.
        """
        last = ack.up_to
        for start, end in ack.ranges:
            if not last < start <= end:
                raise ViolationError(f"acknowledged messages {start} to {end} after {last}")
            last = end
        if last > self.started:
            raise ViolationError(f"acknowledged message {last}, but only {self.started} were sent")
        if ack.up_to < self.acked:
            return False  # An older acknowledgement than the last is ignored.
        before = self.delivered.messages
        while self.flight and self.flight[0].seq <= ack.up_to:
            self.flight_bytes -= self._taken(self.flight.popleft())
        while self.queue and self.queue[0].seq <= ack.up_to:  # put back by a rewind, but it had arrived
            self.queued_bytes -= self._taken(self.queue.popleft())
        self.acked = self._acked_beyond.advance(ack.up_to)
        if ack.ranges:
            self._acknowledge_ranges(ack.ranges)
        news = self.delivered.messages > before or ack.window != self.window
        self.granted(ack.window, ack.turn)
        return news

    def _acknowledge_ranges(self, ranges: list[tuple[int, int]]) -> None:
        """Both the ranges and what is under way are in order: one pass over both."""
        kept: deque[Outgoing] = deque()
        left = iter(ranges)
        start, end = next(left)
        while self.flight:
            message = self.flight.popleft()
            while message.seq > end:
                following = next(left, None)
                if following is None:
                    self.flight.appendleft(message)
                    break
                start, end = following
            else:
                if message.seq >= start:
                    self.flight_bytes -= self._taken(message)
                else:
                    kept.append(message)
                continue
            break
        self.flight.extendleft(reversed(kept))
        self._acked_beyond.add_all(ranges)

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
        self._current, self.asked = None, False
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

    def taken_with(self, also: Ranges) -> Total:
        """Return the messages that the other application has taken, including these (reliable channels)."""
        count = Count(self.delivered.messages, self.delivered.bytes)
        for message in self.unknown():
            if message.seq in also:
                count.add(len(message.payload.data))
        return count.total()

    def count_delivered(self, also: Ranges) -> None:
        """Count these as delivered too, by the other side's last word: no acknowledgement of them will come."""
        for message in self.unknown():
            if message.seq in also:
                self._taken(message)
        self.flight = deque(message for message in self.flight if message.seq not in also)
        self.queue = deque(message for message in self.queue if message.seq not in also)
        self.flight_bytes = sum(len(message.payload.data) for message in self.flight)
        self.queued_bytes = sum(len(message.payload.data) for message in self.queue)

    @property
    def idle(self) -> bool:
        """Nothing waits to go out."""
        return not self.queue and self._current is None
