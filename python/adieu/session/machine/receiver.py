"""The direction of a channel from there to here; `flow.py` has the theory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from adieu.protocol import control
from adieu.protocol.control import COST, SMALL, Acknowledged, Turn
from adieu.protocol.words import MAX_RANGES, Total
from adieu.session.machine.flow import LOT, Count, ViolationError
from adieu.session.machine.held import Incoming, Line, Payload, Ranges

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from adieu.session.machine.budget import Budget

MAX_PARTIALS = 16
"""Unfinished messages of an unreliable, unordered channel."""
MAX_GAPS = 4096
"""Runs of numbers by which an unreliable, unordered channel knows a duplicate."""
LARGE = 4096
"""Bytes of a piece that is kept as it came until its message is whole: it is copied once. Smaller ones are gathered:
many objects would need more memory than their bytes."""
AT_ONCE = 4096
"""Messages that a close may count one by one at a time."""


@dataclass(slots=True)
class _Partial:
    """The pieces of a message that is not whole yet: those from the first on are in order, the others wait."""

    text: bool
    again: tuple[str, int] | None = None
    begun: list[memoryview | bytearray] = field(default_factory=list["memoryview | bytearray"])
    """Those from the first on."""
    next: int = 0
    """The index of the piece that is next in order."""
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
            self._append(piece)
            self.next += 1
        return True

    def _append(self, piece: memoryview) -> None:
        if len(piece) >= LARGE:
            self.begun.append(piece)
        elif self.begun and isinstance(last := self.begun[-1], bytearray):
            last += piece
        else:
            self.begun.append(bytearray(piece))

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
    """The part of `taken` that counts only because the session was closing, and was not read when `closed` was sent."""
    up_to: int = 0
    """The last sequence number up to which everything has been taken."""
    taken_beyond: Ranges = field(default_factory=Ranges)
    duplicates: int = 0
    dropped: int = 0
    """Unreliable: lost halves, and the oldest of a full queue. Any: what came after `closed` was said."""
    frozen: bool = False
    """Whether `closed` was sent: nothing is taken after it."""
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
    """The most that `arrived` can become within the given credit. Only further credit raises it."""
    reserve: int = 0
    """The bytes that the budget counts for this channel."""
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
        """The payload that was counted as taken while closing and is still here."""
        return self.kept.bytes

    @property
    def held(self) -> int:
        """Whole messages that are here."""
        return self.line.count + self.kept.count

    @property
    def unread(self) -> int:
        """The cost of the messages that have arrived and are not taken."""
        return self.arrived - self.taken_cost

    @property
    def replaceable(self) -> int:
        """The part of the reserve that another window would replace."""
        return self.reserve - self.kept.cost - COST * self._waiting

    @property
    def taken_cost(self) -> int:
        """The cost of the messages that were taken."""
        return self.taken.bytes + (COST * self.taken.messages if self.counted else 0)

    @property
    def lent(self) -> int:
        """The cost of the given turn, until all of it has arrived."""
        return self._turn_cost if self.have < self.turn else 0

    def receive(self, epoch: int, data: bytes, was_taken: Callable[[tuple[str, int]], bool] = lambda _: False) -> bool:
        """Take one SCTP message. True if it completed a message that is now in the queue. See `complete`."""
        return self.complete(epoch, data, was_taken, waits=False) is not None

    def complete(
        self, epoch: int, data: bytes, was_taken: Callable[[tuple[str, int]], bool], *, waits: bool
    ) -> Payload | None:
        """Take one SCTP message, and return the message that it completes, which is now in the queue.

        All messages of a session come this way: a call that would change nothing is not made.

        Args:
            epoch: the connection that brought it.
            data: header and payload.
            was_taken: whether a message that is sent again was taken the first time: then it counts as taken.
            waits: a reader waits. Then the next message for the application is returned, and taken with this.

        Raises:
            ViolationError: a wrong header, a gap, a message too large, or more than the credit given.
        """
        if self.frozen:
            self.dropped += 1
            return None
        try:
            fragment = control.decode_fragment(data)
        except ValueError as error:
            raise ViolationError(str(error)) from None
        if self.reliable and epoch != self._newest:
            if epoch < self._newest:
                return None  # It comes again over the newer connection, whole.
            self._newest = epoch
            for key in list(self._partials):
                self._forget(key)
            self.account()
        seq = fragment.seq
        if seq <= self.have or (self.beyond.firsts and seq in self.beyond):
            self.duplicates += fragment.last
            return None
        payload = self._assemble(epoch, fragment)
        if payload is not None:
            if self.ordered:
                self.have = seq
            else:
                self._arrived(seq)
            if payload.again is not None and was_taken(payload.again):
                self.duplicates += 1
                self._count(seq, len(payload.data))
                payload = None
            elif waits and not self.line.count and not self.kept.count:
                self._count(seq, len(payload.data))
            else:
                self.line.push(Incoming(seq, payload))
                if waits:
                    payload = self.take()
        if self.reliable:
            self.account()
        else:
            self._drop_oldest()
        return payload

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
            if partial is not None:
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
        return Payload(b"".join(partial.begun), partial.text, partial.again)

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
        self.beyond.add(seq, seq)
        if self.reliable:
            self.have = self.beyond.advance(self.have)
        elif len(self.beyond) > MAX_GAPS:
            self._forget_gap()

    def _forget_gap(self) -> None:
        """Give up the message that has been missing longest."""
        self.have = self.beyond.advance(self.beyond.runs(1)[0][0] - 1)

    def connection_gone(self, epoch: int) -> None:
        """Forget unfinished messages of a lost connection: they will be sent again whole."""
        for key in [key for key in self._partials if key[0] == epoch]:
            self._forget(key)
        self.account()

    # --- credit ---------------------------------------------------------------------------------------------

    def _use_up(self) -> None:
        """Note the used credit, which is known while there is no gap. A later gap does not change it."""
        if self._partials or self.beyond.firsts:
            return
        limit = self.arrived
        if self.arrived < self.edge:
            limit = self.edge - 1 + SMALL + COST
        if self.arrived < self.large_edge:
            limit = max(limit, self.large_edge - 1 + self.budget.max_message + COST)
        if self.have < self.turn:
            limit += self._turn_cost
        self.limit = min(self.limit, limit)

    def account(self) -> None:
        """Tell the budget what this channel needs, after any change."""
        reserve = self.kept.cost if self.kept.count else 0
        if self.reliable and self.counted:
            self._use_up()
            taken = self.taken.bytes + COST * self.taken.messages
            reserve += max(self.limit - taken, 0) + COST * self._waiting
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
        """Forget the oldest message or gap of a channel without credit. False if it is empty. Then call `account`."""
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
        """Whether the other side waits for a turn: it has no open turn, and its window does not help."""
        if self.waits is None or not self.claimed or self.lent or self.waits.up_to <= self.up_to:
            return False
        window = self.edge - self.taken_cost
        return window <= 0 or (window <= SMALL and self.waits.cost > LOT)

    def give_turn(self) -> bool:
        """Give the requested turn, if there is space for its cost."""
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
        # What is here stays readable, and belongs to the application with its channel.
        self.budget = self.budget.apart()

    # --- taking ---------------------------------------------------------------------------------------------

    def take(self) -> Payload | None:
        """The next message for the application, which has taken it with this."""
        message = self.kept.shift() if self.kept.count else None
        if message is None:
            message = self.line.shift()
            if message is None:
                return None
            self._count(message.seq, len(message.payload.data))
        self.account()
        return message.payload

    def give_back(self, payload: Payload) -> None:
        """Keep a message that was taken, and that its reader did not get: it is read next, and counts as unread."""
        self.kept.push_front(Incoming(0, payload))
        self.account()

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
            self._count(message.seq, len(message.payload.data))

    def freeze(self) -> None:
        """Stop taking messages. Counted messages can still be read; the rest is dropped."""
        self.frozen = True
        self.left_unread = Total(len(self.kept), self.kept.bytes)
        self.dropped += len(self.line)
        self.line.clear()
        self._partials.clear()
        self._partial_bytes = self._waiting = 0
        self.edge = self.large_edge = self.turn = 0
        self.arrived = self.limit = self.taken_cost
        self.account()

    def _count(self, seq: int, size: int) -> None:
        self.taken.messages += 1
        self.taken.bytes += size
        self._ack_messages += 1
        self._ack_bytes += size
        if self.reliable:
            if seq != self.up_to + 1:
                self.taken_beyond.add(seq, seq)
            elif self.taken_beyond.firsts:
                self.up_to = self.taken_beyond.advance(seq)
            else:
                self.up_to = seq

    def ack_due(self, messages: int, size: int) -> Literal["", "soon", "now"]:
        """Return when to acknowledge: now, if so much has been taken since the last time; soon, if anything has."""
        if not self.reliable or not self._ack_messages:
            return ""
        return "now" if self._ack_messages >= messages or self._ack_bytes >= size else "soon"

    @property
    def seen(self) -> int:
        """The highest sequence number of which all has arrived."""
        return max(self.have, self.beyond.last)

    @property
    def ack_wanted(self) -> bool:
        """Whether anything has been taken since the last acknowledgement."""
        return self.reliable and self._ack_messages > 0

    def acknowledgement(self) -> Acknowledged:
        """Return the report for the sender."""
        self._ack_messages = self._ack_bytes = 0
        window, turn = self.grant(), self.turn if self.turn > self.up_to else 0
        ranges = self.taken_beyond.runs(MAX_RANGES)
        return Acknowledged(up_to=self.up_to, ranges=ranges, window=window, turn=turn)
