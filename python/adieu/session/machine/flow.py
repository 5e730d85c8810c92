"""The two directions of a named channel: sequence numbers, credit, acknowledgement, replay.

A `Sender` keeps every message of a reliable channel until the other application has taken it, so that a new
connection can go on where the other side's `have` says. A `Receiver` yields each message once, whatever
connection brought it.

Credit is counted in bytes, where each message costs `COST` beside its payload, from the first message on: the credit
that was given ends at an `edge`, which never goes back. A message may start before the edge and is then sent whole. So
what can still come is known, and `Budget` gives no more credit than a session can hold: windows while there is room,
and always room for one largest message beside them. A sender that no window helps (what waits is too large for it, and
nothing that it sent is still to be taken) asks for a turn and says what the next messages cost; turns are given in the
order in which they were asked for. So these hold, whatever is sent on whatever channels:

- A peer that keeps within the credit it was given never meets the budget: only giving credit, or a turn, raises what
  is kept for a channel, and both look for room first.
- Nothing waits for ever, if the application reads all channels: what a turn was given for comes, is taken, and gives
  its room back to the next turn. Windows cannot take that room, however long they stay unused; unreliable channels,
  which may, give it back at once.
- What is held never exceeds the budget.

A peer that does not know this (no capability `credit2`) counts payload alone. What is held from it stays within the
budget too, but one that begins more largest messages at once than fit in there is ended for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adieu.protocol import control
from adieu.protocol.control import COST, SMALL, Acknowledged, Reliability, Turn
from adieu.protocol.words import MAX_RANGES, Total
from adieu.session.machine.held import Incoming, Line, Payload, Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Budget",
    "Incoming",
    "Outgoing",
    "Payload",
    "Receiver",
    "Remembered",
    "Sender",
    "ViolationError",
    "is_reliable",
]

MAX_PARTIALS = 16
"""Unfinished messages of an unreliable, unordered channel."""
MAX_GAPS = 4096
"""Runs of numbers by which an unreliable, unordered channel knows a duplicate."""
MAX_FLIGHT = 16384
"""Messages of a channel that are under way and not taken, whatever the other side grants."""
AT_ONCE = 4096
"""Messages that one step may count one by one."""
TINY = 1024
"""The window of a channel where there are so many that no larger one fits: each channel's part of the least budget."""
LOT = SMALL + COST
"""So much is asked for in one turn, or one larger message."""
SPARE = 32
"""This part of the budget is not given as credit: pieces that come before those in front of them need more than their
payload, which is enough for pieces of 8 KiB."""
ENOUGH = 1024 * 1024
"""A window of this size is not worth asking for more."""


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
    """What may be under way and not taken, whatever the other side grants."""
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
    """To go out: first what a rewind put back, then what was never started; in order."""
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
        """What waits to go out, as it is counted."""
        return self.queued_bytes + COST * len(self.queue)

    def frames(self, room: int, fragment: int) -> Iterator[bytes]:
        """What may go out now: whole messages or fragments, until `room` bytes or the credit are used up.

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
        """Up to where credit is asked for, now, and for what a turn; 0: nothing is.

        Asked once for each window that the other side says. A turn only when no acknowledgement is to come that could
        bring a window: all that was sent is taken.
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
        """What the other application has taken, if it has these too (reliable channels)."""
        count = Count(self.delivered.messages, self.delivered.bytes)
        for message in self.unknown():
            if message.seq in also:
                count.add(len(message.payload.data))
        return count.total()

    def settle(self, also: Ranges) -> None:
        """The other side's last word: it has taken these too. No acknowledgement of them will come."""
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


class Budget:
    """What a session may hold for its application: payload, and `COST` for each message and for each piece of one.

    Every receiver keeps its reserve here: what it holds, and what may still come within the credit that it gave.
    """

    def __init__(self, size: int, window: int, max_message: int) -> None:
        self.size = size
        self.window = window
        self.max_message = max_message
        self.used: int = 0
        """All reserves together."""
        self.channels: int = 0
        """How many receivers draw on it."""
        self.last_room: int = max(max_message, SMALL) + COST
        """Never given as a window: there is always room for one turn after the other."""
        self.yielding: dict[int, Receiver] = {}
        """Those without credit, by `id`: what they hold makes way for a turn."""

    @property
    def free(self) -> int:
        """What may be given as credit, or filled by what has no credit."""
        return self.size - self.size // SPARE - self.used

    def window_of(self, receiver: Receiver) -> int:
        """Bytes that may follow what this channel's application has taken, as things are now.

        A large window is given without being asked for as long as there is room for another one.
        """
        if not receiver.counted:
            # The other side may start its largest message with any credit: it gets its share of a quarter.
            share = max(self.size // 4 // max(self.channels, 1), TINY)
            most = min(self.window, share) if receiver.claimed else min(self.window, share, SMALL)
            return max(most - COST * receiver.held, 0)
        room = max(self.free - self.last_room, 0) + receiver.replaceable - receiver.lent - COST
        large = room - self.max_message
        if receiver.claimed and min(large, self.max_message) > SMALL:
            another = self.window + self.max_message + COST
            if SMALL < self.window <= large - another:
                return self.window
            if (wanted := receiver.wanted - receiver.taken_cost) > SMALL:
                return min(large, max(self.window, SMALL + 1), wanted)
        return max(min(self.window, SMALL, room - SMALL), 0)

    def make_room(self, size: int) -> bool:
        """Whether `size` bytes are free, for a turn: what unreliable channels hold is dropped for it."""
        for receiver in self.yielding.values():
            while self.free < size and receiver.drop_one():
                receiver.account()
        return self.free >= size


def least_budget(window: int, max_message: int, max_channels: int) -> int:
    """What a session needs to be of use: a large window, a turn for a largest message, and little for each channel."""
    large = window + max_message + COST + max_message + COST + SMALL
    least = large + max_channels * (TINY + SMALL + COST)
    return least + least // (SPARE - 1) + 1


@dataclass(slots=True)
class _Partial:
    """The pieces of a message that is not whole yet: those from the first on are joined, the others wait."""

    text: bool
    again: tuple[str, int] | None = None
    joined: bytearray = field(default_factory=bytearray)
    next: int = 0
    """The index of the piece that is joined next."""
    pieces: dict[int, memoryview] = field(default_factory=dict[int, memoryview])
    """Those that came before their turn."""
    last: int | None = None
    size: int = 0

    def add(self, fragment: control.Fragment) -> bool:
        """One more piece; False if it contradicts the others."""
        index = fragment.index
        if index < self.next or index in self.pieces or (self.last is not None and index > self.last):
            return False
        if fragment.last:
            if self.last is not None or any(other > index for other in self.pieces):
                return False
            self.last = index
        if fragment.first:
            self.text, self.again = fragment.text, fragment.again
        self.size += len(fragment.payload)
        self.pieces[index] = fragment.payload
        while (piece := self.pieces.pop(self.next, None)) is not None:
            self.joined += piece
            self.next += 1
        return True

    @property
    def whole(self) -> bool:
        """Nothing is missing."""
        return self.last is not None and self.next > self.last


@dataclass(slots=True)
class Receiver:
    """The direction from there to here."""

    ordered: bool
    reliable: bool
    budget: Budget
    counted: bool = False
    """Both sides count `COST` for each message (`credit2`)."""
    claimed: bool = False
    """The application has opened the channel, or read from it."""
    have: int = 0
    """The last sequence number up to which everything has arrived."""
    beyond: Ranges = field(default_factory=Ranges)
    kept: Line = field(default_factory=Line)
    """Counted as taken while closing, not yet taken by the application; older than all in `line`."""
    line: Line = field(default_factory=Line)
    """Whole, and not taken."""
    taken: Count = field(default_factory=Count)
    left_unread: Total = field(default_factory=Total)
    """Of `taken`, once `closed` is said: what counts only because the session was closing, and was not read by then."""
    up_to: int = 0
    """The last sequence number up to which everything has been taken."""
    taken_beyond: Ranges = field(default_factory=Ranges)
    duplicates: int = 0
    dropped: int = 0
    """Unreliable: lost halves, and the oldest of a full queue. Any: what came after `closed` was said."""
    frozen: bool = False
    """`closed` was said: nothing is taken any more."""
    wanted: int = 0
    """The other side asks for credit up to here: all that it has accepted."""
    waits: Turn | None = None
    """The turn that the other side asks for and has not got."""
    turn: int = 0
    """Messages up to this one may come whatever the edges are."""
    edge: int = 0
    """Where the credit given ends: what starts before it may come."""
    large_edge: int = 0
    """The same for messages larger than `SMALL`."""
    arrived: int = 0
    """Whole messages and pieces, as they are counted against the edges."""
    limit: int = 0
    """Of `arrived`: what can come within the credit given. Only more credit raises it."""
    reserve: int = 0
    """What the budget counts for this channel."""
    _turn_cost: int = 0
    _newest: int = 0
    """The latest connection that brought something."""
    _partials: dict[tuple[int, int], _Partial] = field(default_factory=dict[tuple[int, int], _Partial])
    _partial_bytes: int = 0
    _waiting: int = 0
    """Pieces that came before their turn, in all unfinished messages."""
    _ack_messages: int = 0
    _ack_bytes: int = 0

    def __post_init__(self) -> None:
        self.budget.channels += 1
        if not self.reliable:
            self.budget.yielding[id(self)] = self

    @property
    def queue(self) -> deque[Incoming]:
        """The next messages that the application has not taken; of very many only the first."""
        return self.line.front

    @property
    def queued_bytes(self) -> int:
        """Payload of whole messages that the application has not taken."""
        return self.line.bytes

    @property
    def kept_bytes(self) -> int:
        """Payload of what was counted as taken while closing and is still here."""
        return self.kept.bytes

    @property
    def held(self) -> int:
        """Whole messages that are here."""
        return len(self.line) + len(self.kept)

    @property
    def unread(self) -> int:
        """What has come and is not taken, as it is counted."""
        return self.arrived - self.taken_cost

    @property
    def replaceable(self) -> int:
        """Of the reserve: what another window would put in its place."""
        return self.reserve - self.kept.cost - COST * self._waiting

    @property
    def taken_cost(self) -> int:
        """What was taken, as it is counted."""
        return self.taken.bytes + (COST * self.taken.messages if self.counted else 0)

    @property
    def lent(self) -> int:
        """What the turn that was given costs, until all of it is here."""
        return self._turn_cost if self.have < self.turn else 0

    def receive(self, epoch: int, data: bytes, was_taken: Callable[[tuple[str, int]], bool] = lambda _: False) -> bool:
        """One SCTP message. True if it completed a message that is now in the queue.

        Args:
            epoch: the connection that brought it.
            data: header and payload.
            was_taken: whether a message that is sent again was taken the first time: then it counts as taken.

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
        if self.reliable and epoch != self._newest:
            if epoch < self._newest:
                return False  # It comes again over the newer connection, whole.
            self._newest = epoch
            for key in list(self._partials):
                self._forget(key)
            self.account()
        if fragment.seq <= self.have or fragment.seq in self.beyond:
            self.duplicates += fragment.last
            return False
        payload = self._assemble(epoch, fragment)
        if payload is not None:
            self._arrived(fragment.seq)
            message = Incoming(fragment.seq, payload)
            if payload.again is not None and was_taken(payload.again):
                self.duplicates += 1
                self._count(message)
                payload = None
            else:
                self.line.push(message)
        self._bound()
        return payload is not None

    # --- pieces ---------------------------------------------------------------------------------------------

    def _assemble(self, epoch: int, fragment: control.Fragment) -> Payload | None:
        key = (epoch, fragment.seq)
        partial = self._partials.get(key)
        size = len(fragment.payload) + (0 if partial is None else partial.size)
        if size > self.budget.max_message:
            raise ViolationError(f"message {fragment.seq} is larger than {self.budget.max_message} bytes")
        if self.reliable:
            self._check(fragment, begun=partial is not None)
        if fragment.first and fragment.last:
            self._forget(key)
            self.arrived += size + (COST if self.counted else 0)
            return Payload(bytes(fragment.payload), fragment.text, fragment.again)
        # Without order the pieces of a message come in any order; with it one that is missing never comes.
        fits = not self.ordered or fragment.index == (0 if partial is None else partial.next)
        if fits and partial is None:
            partial = self._begin(key, fragment)
        waiting = 0 if partial is None else len(partial.pieces)
        if partial is None or not fits or not partial.add(fragment):
            if self.reliable:
                raise ViolationError(f"fragment {fragment.index} of message {fragment.seq} out of order")
            self._forget(key)  # a fragment was lost, and with it the message
            return None
        self._waiting += len(partial.pieces) - waiting
        self._partial_bytes += len(fragment.payload)
        self.arrived += len(fragment.payload)
        if not partial.whole:
            return None
        del self._partials[key]
        self._partial_bytes -= partial.size
        return Payload(bytes(partial.joined), partial.text, partial.again)

    def _check(self, fragment: control.Fragment, *, begun: bool) -> None:
        """Only what could start with the credit given may come, and be kept."""
        seq, size = fragment.seq, len(fragment.payload)
        if self.arrived + size + (COST if self.counted and not begun else 0) > self.limit:
            raise ViolationError(f"more than the credit given: {self.unread + size} bytes")
        # What credit was given for is in the budget already, but for a piece that comes before its turn.
        if self.budget.used + COST + (0 if self.counted else COST + size) > self.budget.size:
            raise ViolationError(f"more than the {self.budget.size} bytes that a session holds")
        if begun and fragment.first and fragment.last:
            raise ViolationError(f"message {seq} whole and in pieces")
        if self.ordered:
            if seq != self.have + 1:
                raise ViolationError(f"message {seq} after message {self.have} on an ordered channel")
        elif self.counted:
            before = self.taken_cost + COST * (seq - 1 - self.taken.messages)
            if seq > max(self.beyond.last, self.turn) and before >= self.edge:
                raise ViolationError(f"message {seq} cannot have started with the credit given")

    def _begin(self, key: tuple[int, int], fragment: control.Fragment) -> _Partial:
        if not self.reliable:
            # Unfinished ones may never be finished: on an ordered channel none will, else a few are kept.
            while self._partials and (self.ordered or len(self._partials) >= MAX_PARTIALS):
                self._forget(next(iter(self._partials)))
        partial = self._partials[key] = _Partial(fragment.text)
        self.arrived += COST if self.counted else 0
        return partial

    def _forget(self, key: tuple[int, int]) -> None:
        partial = self._partials.pop(key, None)
        if partial is not None:
            self.arrived -= partial.size + (COST if self.counted else 0)
            self._partial_bytes -= partial.size
            self._waiting -= len(partial.pieces)
            self.dropped += not self.reliable

    def _arrived(self, seq: int) -> None:
        if self.ordered:
            self.have = seq
            return
        self.beyond.add(seq, seq)
        if self.reliable:
            self.have = self.beyond.advance(self.have)
        elif len(self.beyond) > MAX_GAPS:
            self._forget_gap()

    def _forget_gap(self) -> None:
        """What is missing longest is too late now."""
        self.have = self.beyond.advance(self.beyond.runs(1)[0][0] - 1)

    def connection_gone(self, epoch: int) -> None:
        """Halves of messages that came over it are forgotten: the whole comes again."""
        for key in [key for key in self._partials if key[0] == epoch]:
            self._forget(key)
        self.account()

    # --- credit ---------------------------------------------------------------------------------------------

    def _bound(self) -> None:
        if self.reliable:
            self.account()
        else:
            self._drop_oldest()

    def _use_up(self) -> None:
        """With no gap it is known what of the credit is used up. It stays so: a gap later changes nothing."""
        if self._partials or self.beyond:
            return
        limit = self.arrived
        if self.arrived < self.edge:
            limit = self.edge - 1 + SMALL + COST
        if self.arrived < self.large_edge:
            limit = max(limit, self.large_edge - 1 + self.budget.max_message + COST)
        self.limit = min(self.limit, limit + self.lent)

    def account(self) -> None:
        """Tell the budget what this channel needs, after any change."""
        reserve = self.kept.cost
        if self.reliable and self.counted:
            self._use_up()
            reserve += max(self.limit - self.taken_cost, 0) + COST * self._waiting
        else:
            self.limit = self.edge + self.budget.max_message if self.edge else 0
            reserve += self.line.cost + self._partial_bytes
            reserve += COST * (len(self.beyond) + len(self._partials) + self._waiting)
        self.budget.used += reserve - self.reserve
        self.reserve = reserve

    def _drop_oldest(self) -> None:
        """Without credit: a full queue drops its oldest, and so do unfinished messages that need too much room."""
        most = self.budget.window if self.claimed else min(self.budget.window, SMALL)
        while len(self.line) > 1 and (self.line.bytes > most or COST * len(self.line) > max(most, SMALL)):
            self.drop_one()
        self.account()
        while self.budget.free < 0 and self.drop_one():
            self.account()

    def drop_one(self) -> bool:
        """Without credit: forget the oldest message, half of one, or gap. False if there is none. Then `account`."""
        if self.line:
            self.line.shift()
            self.dropped += 1
        elif self._partials:
            self._forget(next(iter(self._partials)))
        elif self.beyond:
            self._forget_gap()
        else:
            return False
        return True

    def grant(self) -> int:
        """Give as much credit as there is room for: the window to tell, in bytes that may follow what is taken."""
        if not self.reliable:
            return self.budget.window
        taken, window = self.taken_cost, self.budget.window_of(self)
        if not self.counted:
            self.edge = max(self.edge, taken + window)
            self.account()
            return window
        if not self.frozen and window and taken + window > self.edge:
            self.edge = taken + window
            if window > SMALL:
                self.large_edge = self.edge
            largest = self.budget.max_message if window > SMALL else SMALL
            self.limit = max(self.limit, self.edge - 1 + largest + COST + self.lent)
            self.account()
        return max(self.edge - taken, 0)

    @property
    def hungry(self) -> bool:
        """The other side asks for more credit than it has."""
        return (self.wanted > self.edge or self.waits is not None) and not self.frozen

    def ask(self, wanted: int, turn: Turn | None) -> None:
        """The other side asks for credit, and for a turn."""
        self.wanted = max(self.wanted, wanted)
        if turn is not None:
            self.waits = turn

    @property
    def stuck(self) -> bool:
        """The other side waits for a turn, has none that is not over, and no window that it was given helps."""
        if self.waits is None or not self.claimed or self.lent or self.waits.up_to <= self.up_to:
            return False
        window = self.edge - self.taken_cost
        return window <= 0 or (window <= SMALL and self.waits.cost > LOT)

    def give_turn(self) -> bool:
        """Give the turn that is asked for, if there is room for what it costs."""
        assert self.waits is not None
        cost = min(self.waits.cost, self.budget.last_room)
        if not self.budget.make_room(cost):
            return False
        self.turn = min(self.waits.up_to, self.up_to + cost // COST)
        self.waits = None
        self._turn_cost = cost
        self.limit += cost
        self.account()
        return True

    def leave(self) -> None:
        """The channel is gone: so is what it needs."""
        self.budget.used -= self.reserve
        self.budget.channels -= 1
        self.budget.yielding.pop(id(self), None)
        self.reserve = 0

    # --- taking ---------------------------------------------------------------------------------------------

    def take(self) -> Payload | None:
        """The next message for the application, which has taken it with this."""
        message = self.kept.shift()
        if message is None:
            message = self.line.shift()
            if message is None:
                return None
            self._count(message)
        self.account()
        return message.payload

    def keep(self, room: int) -> int:
        """While closing: what is queued counts as taken, as far as `room` bytes reach. How many bytes that was."""
        before = self.kept.bytes
        if not self.kept and self.line and self.line.bytes <= room:
            self._keep_all()
        else:
            self._keep_some(before + room)
        self.account()
        return self.kept.bytes - before

    def _keep_all(self) -> None:
        """All that has arrived is taken, however much it is."""
        self.taken.messages += len(self.line)
        self.taken.bytes += self.line.bytes
        self._ack_messages += len(self.line)
        self._ack_bytes += self.line.bytes
        self.kept, self.line = self.line, self.kept
        if self.reliable:
            self.up_to, self.taken_beyond = self.have, self.beyond.copy()

    def _keep_some(self, most: int) -> None:
        spare = self.budget.size - self.budget.used + self.line.cost + self.kept.cost
        for _ in range(AT_ONCE):
            message = self.line.first()
            if message is None or self.kept.bytes + len(message.payload.data) > most:
                return
            if not self.counted and self.line.cost + self.kept.cost + COST > spare:
                return  # what is packed in one line may not be in the other
            self.line.shift()
            self.kept.push(message)
            self._count(message)

    def freeze(self) -> None:
        """From now on nothing is taken: what was counted can still be read, the rest is dropped."""
        self.frozen = True
        self.left_unread = Total(len(self.kept), self.kept.bytes)
        self.dropped += len(self.line)
        self.line.clear()
        self._partials.clear()
        self._partial_bytes = self._waiting = 0
        self.edge = self.large_edge = self.turn = 0
        self.arrived = self.limit = self.taken_cost
        self.account()

    def _count(self, message: Incoming) -> None:
        size = len(message.payload.data)
        self.taken.add(size)
        self._ack_messages += 1
        self._ack_bytes += size
        if self.reliable:
            if message.seq != self.up_to + 1:
                self.taken_beyond.add(message.seq, message.seq)
            else:
                self.up_to = self.taken_beyond.advance(message.seq)

    def ack_due(self, messages: int, size: int) -> bool:
        """Whether so much has been taken since the last acknowledgement."""
        return self._ack_messages >= messages or self._ack_bytes >= size

    @property
    def seen(self) -> int:
        """The highest sequence number of which all has arrived."""
        return max(self.have, self.beyond.last)

    @property
    def ack_wanted(self) -> bool:
        """Whether anything has been taken since the last acknowledgement."""
        return self.reliable and self._ack_messages > 0

    def acknowledgement(self) -> Acknowledged:
        """What to tell the sender now."""
        self._ack_messages = self._ack_bytes = 0
        window, turn = self.grant(), self.turn if self.turn > self.up_to else 0
        ranges = self.taken_beyond.runs(MAX_RANGES)
        return Acknowledged(up_to=self.up_to, ranges=ranges, window=window, turn=turn)


class Remembered:
    """What was taken in sessions that have ended, so that a message sent again is known again for a while."""

    def __init__(self, seconds: float = 600.0, size: int = 1000) -> None:
        self._seconds = seconds
        self._size = size
        self._taken: dict[tuple[str, str], tuple[float, int, Ranges]] = {}

    def add(self, receipt: str, channel: str, receiver: Receiver, now: float) -> None:
        """A session has ended: keep what was taken of one of its channels."""
        if receiver.reliable and receiver.taken.messages:
            self._taken[receipt, channel] = (now, receiver.up_to, receiver.taken_beyond.copy())
        while self._taken and (len(self._taken) > self._size or self._oldest() < now - self._seconds):
            del self._taken[next(iter(self._taken))]

    def _oldest(self) -> float:
        return next(iter(self._taken.values()))[0]

    def has(self, receipt: str, channel: str, seq: int, now: float) -> bool:
        """Whether that message was taken, not too long ago."""
        when, up_to, beyond = self._taken.get((receipt, channel), (0.0, 0, Ranges()))
        return now - when <= self._seconds and (seq <= up_to or seq in beyond)


def is_reliable(reliability: Reliability) -> bool:
    """Neither bound is set."""
    return reliability.max_retransmits is None and reliability.max_packet_life_time is None
