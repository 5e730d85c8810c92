"""A peer that says whatever its protocol can say, at a machine whose clock runs; what must hold is looked at each time.

Whole messages are drawn from the types of the protocol, mostly with values that fit the moment (so that every state is
reached), often with extremes, sometimes beyond a bound. `Walk` draws; `Victim` is one side of a session, its shell and
its application.
"""

from __future__ import annotations

import heapq
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import msgspec.inspect as inspect

from adieu.errors import AdieuError
from adieu.protocol import control, words
from adieu.protocol.control import COST, SMALL
from adieu.session.machine import actions
from adieu.session.machine.budget import least_budget
from adieu.session.machine.held import Payload
from adieu.session.machine.machine import SessionMachine
from adieu.session.machine.options import Options
from support.calls import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW, MESSAGE, CHANNELS, BUFFER = 100_000, 150_000, 12, 400_000
NARROW = Options(
    window=WINDOW,
    max_message=MESSAGE,
    max_channels=CHANNELS,
    budget=least_budget(WINDOW, MESSAGE, CHANNELS),
    send_buffer=BUFFER,
    closing_bound=500_000,
)
WIDE = msgspec.structs.replace(NARROW, budget=8 * 1024 * 1024)
STEP = 0.05
"""Seconds of processor time that one input may take."""
TOO_LATE = 0.5
"""Seconds that a close may take beyond its time."""
HOUR = 3600.0
MOST = 2**53 - 1
KINDS: dict[str, inspect.StructType] = {
    str(kind.__struct_config__.tag): inspect.type_info(kind)  # type: ignore[misc]
    for kind in control.AnyControl.__args__
}
OTHERS = [tag for tag in KINDS if tag != "endChannel"]  # that one comes by a draw of its own
WORDS = [str(kind.__struct_config__.tag) for kind in words.AnyWord.__args__ if issubclass(kind, words.Word)]


DEEP = "[" * 16 + "]" * 16
NONSENSE = [
    "", "{", "null", "[]", '{"type":1}', '{"type":"ping"}', "\x00", "[" * 250_000,
    '{"type":"ping","n":1,"x":' + DEEP + "}",
    '{"type":"later","x":' + DEEP + "}",
    '{"type":"ping","n":1,"x":"' + "x" * control.MAX_CONTROL + '"}',
    '{"type":"ack","channels":{"c":{"upTo":0,"window":0,"ranges":[' + ",".join(["[9,1]"] * 40_000) + "]}}}",
]  # fmt: skip


BAD_FRAMES = [b"", b"\xff", b"\x06", b"\x06\x00", b"\x0e\x01short", b"\x06" + b"\xff" * 8, b"\x06\xe0" + bytes(7)]


class BrokenPromiseError(AssertionError):
    """What must hold does not."""


class TooSlowError(BrokenPromiseError):
    """A step took too long. On a shared machine only one that does so each time is to blame."""


def promise(holds: bool, what: str) -> None:
    if not holds:
        raise BrokenPromiseError(what)


@dataclass
class Victim:
    """One side, on a clock of its own."""

    machine: SessionMachine
    draw: random.Random
    seen: Counter[str]
    now: float = 0.0
    due: list[tuple[float, int, Callable[[], Any]]] = field(default_factory=list)
    ends_by: float | None = None
    """A close of this side's was asked for."""
    hears: Callable[[control.AnyControl], None] = lambda _: None
    """The other side hears a control message."""
    ended: bool = False
    grants: bool = True
    """Its `on_wait` says yes now and then."""
    steps: int = 0
    count: int = 0

    def feed(self, method: str, *args: Any, **named: Any) -> Any:
        """One input: it raises nothing, takes little, and leaves all bounds kept."""
        self.steps += 1
        with uncollected():
            began = time.thread_time()
            result = getattr(self.machine, method)(*args, now=self.now, **named)
            took = time.thread_time() - began
        if took > STEP:
            raise TooSlowError(f"{method} took {1000 * took:.0f} ms")
        self.settle()
        if method not in {"data_received", "send", "take"} or not self.steps % 64:
            self.look()
        return result

    def settle(self) -> None:
        while (action := self.machine.poll_action()) is not None:
            self.do(action)
        while (event := self.machine.poll_event()) is not None:
            self.hear(event)

    def later(self, seconds: float, call: Callable[[], Any]) -> None:
        self.count += 1
        heapq.heappush(self.due, (self.now + seconds, self.count, call))

    def do(self, action: actions.AnyAction) -> None:
        match action:
            case actions.Connect(epoch=epoch):
                size = 262144 if self.draw.random() < 0.97 else self.draw.choice([0, 1, 17, 1023, 1024])
                if self.draw.random() < 0.9:
                    self.later(0.05, lambda: self.feed("control_opened", epoch, size))
            case actions.OpenStream(epoch=epoch, id=id_):
                promise(0 <= id_ <= 1021, f"stream {id_}")
                self.later(0.01, lambda: self.feed("stream_opened", epoch, id_))
            case actions.CloseStream(epoch=epoch, id=id_):
                if self.draw.random() < 0.8:
                    self.later(0.02, lambda: self.feed("stream_closed", epoch, id_))
            case actions.Release(epoch=epoch):
                if self.draw.random() < 0.8:
                    self.later(0.02, lambda: self.feed("released", epoch))
            case actions.AskDrained(epoch=epoch, id=id_):
                self.later(0.01, lambda: self.feed("drained", epoch, id_, 0))
            case actions.AskFresh(epoch=epoch):
                age = self.draw.choice([None, 0.1, 9.0])
                self.later(0.001, lambda: self.feed("fresh", epoch, age))
            case actions.RestartIce(epoch=epoch):
                self.later(0.05, lambda: self.feed("negotiated", epoch))
            case actions.SendControl(text=text):
                promise(len(text) <= control.MAX_CONTROL, f"a control message of {len(text)} bytes")
                message = control.decode(text)  # what this side says keeps the bounds too
                promise(message is not None, "an unknown message")
                self.later(0.005, lambda: self.hears(message))
            case actions.Probe():
                self.later(0.02, lambda: self.feed("probed", by_peer=True, alive=True))
            case actions.SendData(data=data):
                control.decode_fragment(data)
            case actions.Signal():
                pass

    def hear(self, event: actions.AnyEvent) -> None:
        match event:
            case actions.StateChanged(state=state):
                self.seen[f"state {state}"] += 1
            case actions.ClosingAsked() if self.draw.random() < 0.7:
                self.later(self.draw.choice([0.0, 0.2]), lambda: self.feed("last_words_over"))
            case actions.ChannelClosing(name=name):
                self.later(0.2, lambda: self.feed("channel_last_words_over", name))
            case actions.ChannelClosed():
                self.seen["channels that ended"] += 1
            case actions.WaitAsked(eta=eta):
                promise(0 <= eta <= HOUR, f"asked to wait {eta} s")
                if self.grants and self.draw.random() < 0.1:
                    self.later(0.0, lambda: self.grant(eta))
            case actions.Ended():
                self.ended = True

    def grant(self, eta: float) -> None:
        self.feed("grant_wait", eta)
        if self.machine.closing is not None and self.ends_by is not None:
            self.ends_by = max(self.ends_by, self.machine.closing.deadline)

    def close(self, timeout: float) -> None:
        by = self.now + timeout
        self.ends_by = by if self.ends_by is None else min(self.ends_by, by)
        self.feed("ask_close", words.Reason("left", "bye"), timeout)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end, calls = self.now + seconds, 0
        while True:
            timeout = self.machine.poll_timeout()
            first = min(self.due[0][0] if self.due else end + 1, end + 1 if timeout is None else timeout)
            if first > end:
                break
            calls += 1
            promise(calls < 100_000, "the clock stands still")
            self.now = max(self.now, first)
            if timeout is not None and timeout <= self.now:
                self.feed("handle_timeout")
                continue
            heapq.heappop(self.due)[2]()
        self.now = end
        self.look()

    # --- what must hold

    def look(self) -> None:
        m = self.machine
        if self.ends_by is not None and m.state != "closed":
            late = self.now - self.ends_by
            promise(late <= TOO_LATE, f"a close is {late:.1f} s late, in {m.state}")
        held, promised = 0, m.budget.used
        promise(len(m.channels) <= CHANNELS, f"{len(m.channels)} channels")
        promise(len(m.connections) <= 4, f"{len(m.connections)} connections")
        promise(all(link.max_message >= 1024 for link in m.connections.values()), "an engine that carries nothing")
        promise(m.ending.keys() <= m.channels.keys(), "a channel that ends and is not there")
        promise(len(m.later) <= 512, f"{len(m.later)} channels to open later")
        for channel in m.ending.values():
            late = self.now - channel.end.deadline  # type: ignore[union-attr]
            promise(channel.end.over or late <= TOO_LATE or m.closing is not None, f"a channel is {late:.1f} s late")  # type: ignore[union-attr]
        promise(len(m.timers) <= 32, f"{len(m.timers)} timers")
        promise(m.last_epoch <= 1024 * (self.steps + 2), f"connection {m.last_epoch} after {self.steps} steps")
        for channel in m.channels.values():
            held += self.look_at(channel)
        promise(held <= m.options.budget, f"{held} bytes are held")
        promise(held <= promised, f"{held} bytes are held, the budget knows of {promised}")
        if self.ended:
            for name, channel in m.outcome.channels.items():  # type: ignore[union-attr]
                for account in (channel.sent, channel.received):
                    for what in ("accepted", "delivered", "unknown", "unsent"):
                        total = getattr(account, what)
                        if total is not None:
                            promise(min(total.messages, total.bytes) >= 0, f"{name}: {what} {total}")

    def look_at(self, channel: Any) -> int:
        sender, receiver = channel.sender, channel.receiver
        line = receiver.line
        partials = sum(part.size + COST * (1 + len(part.pieces)) for part in receiver._partials.values())
        unread = line.bytes + COST * len(line) + partials
        packed = (COST - 32) * (len(line) - len(line.front))
        totals = [n for c in (sender.accepted, sender.delivered, receiver.taken) for n in (c.messages, c.bytes)]
        counts = (sender.queued_bytes, sender.flight_bytes, receiver.queued_bytes, receiver.kept_bytes, receiver.unread)
        if min(*totals, *counts) < 0:
            raise BrokenPromiseError(f"{totals} {counts}")
        promise(sender.flight_bytes + COST * len(sender.flight) <= BUFFER + MESSAGE + COST, "too much is under way")
        promise(sender.acked <= sender.started, "more is acknowledged than was sent")
        promise(len(sender._acked_beyond) <= len(sender.flight) + len(sender.queue) + 1, "too many runs")
        gaps = max(len(receiver.beyond), len(receiver.taken_beyond))
        most = 4097 if not channel.reliable else max(WINDOW, SMALL + 1) // COST + 2 if receiver.counted else 40_000
        promise(gaps <= most, f"{gaps} gaps")
        promise(receiver.have <= MOST and receiver.beyond.last <= MOST, "a number that is none")
        last = [len(line.front[-1].payload.data)] if line.front else []
        largest = max([part.size for part in receiver._partials.values()] + last, default=0)
        promise(largest <= MESSAGE, f"a message of {largest} bytes")
        if channel.reliable and receiver.counted:
            most = max(WINDOW, SMALL + 1) + MESSAGE if receiver.claimed else 2 * SMALL
            promise(unread - COST * receiver._waiting <= most + COST, f"{unread} bytes unread beyond the credit given")
        if not channel.reliable:
            promise(len(receiver._partials) <= 16, "too many halves")
            promise(len(line) <= 1 or line.bytes <= WINDOW, f"{line.bytes} bytes of an unreliable channel unread")
            promise(len(line) <= 1 + WINDOW // COST, f"{len(line)} messages of an unreliable channel unread")
        if channel.ordered and channel.reliable:
            promise(len(receiver._partials) <= 1, "two halves in order")
        self.seen["packed"] += packed > 0
        self.seen["gaps"] += bool(receiver.beyond)
        self.seen["halves"] += bool(receiver._partials)
        self.seen["pieces before their turn"] += receiver._waiting > 0
        kept = receiver.kept
        return unread - packed + kept.bytes + COST * len(kept.front) + 32 * (len(kept) - len(kept.front))


class Walk:
    """What the other side says and does, and what befalls, from one seed."""

    def __init__(self, seed: int, seen: Counter[str]) -> None:
        self.draw = random.Random(seed)
        self.other = random.Random(~seed)
        self.seen = seen
        self.mood = self.draw.choice(["talks", "floods", "halves", "gaps", "resets", "closes", "acknowledges"])
        self.rude = self.draw.choice([0.0, 0.0, 0.01, 0.2])
        """How often something is said that ends the session at once."""
        self.can = self.draw.random() < 0.6
        self.silent = False
        options = self.draw.choice([NARROW, WIDE])
        me, peer = self.draw.choice([("a", "b"), ("b", "a")])
        self.victim = Victim(SessionMachine(me=me, peer=peer, room="room", options=options), self.draw, seen)
        self.victim.hears = self.heard
        self.victim.feed("start")
        if me == "b":
            self.victim.feed("wants_description", 1)
        self.victim.run(0.1)
        if self.draw.random() < 0.95 and self.m.connections:
            self.say_text(1, json.dumps(self.hello(1)))
        for number in range(self.draw.choice([0, 0, 2, 20])):
            first = control.FIRST_ID_LARGER if self.m.smaller else control.FIRST_ID_SMALLER
            reliability = self.draw.choice([{}, {}, {"maxRetransmits": 0}])
            said = {"type": "open", "name": f"n{number}", "id": first - 2 * number, "window": 1 << 22}
            kind = {"ordered": self.draw.random() < 0.5, "reliability": reliability}
            if self.m.connections:
                self.say_text(1, json.dumps(said | kind))

    @property
    def m(self) -> SessionMachine:
        return self.victim.machine

    # --- drawing a message

    def hello(self, epoch: int) -> dict[str, Any]:
        capabilities = ["channels1", "credit2", "unread1"] if self.can else []
        return {
            "type": "hello", "version": 1, "peer": self.m.peer, "session": self.m.session, "epoch": epoch,
            "have": self.counts(), "capabilities": capabilities,
        }  # fmt: skip

    def name(self) -> str:
        return self.draw.choice([*self.m.channels, *self.m.channels, "new", f"n{self.draw.randrange(30)}", "x" * 128])

    def counts(self) -> dict[str, int]:
        return {
            name: self.draw.choice([channel.sender.started, channel.sender.acked, channel.sender.accepted.messages, 0])
            for name, channel in self.m.channels.items()
        }

    def accounts(self) -> dict[str, Any]:
        """What the other side may say of each channel in the end."""
        return {
            name: {
                "accepted": msgspec.to_builtins(channel.receiver.taken.total()),
                "taken": msgspec.to_builtins(channel.sender.delivered.total()),
            }
            for name, channel in self.m.channels.items()
        }

    def epoch(self) -> int:
        m = self.m
        if self.is_rude():
            return MOST
        return self.draw.choice([m.active or 1, m.active or 1, m.last_epoch, m.last_epoch + 1, m.last_epoch + 1, 0])

    def is_rude(self) -> bool:
        return self.draw.random() < self.rude

    def fitting(self, member: str, kind: inspect.IntType) -> int:
        """A number for a member: what fits the moment, or an extreme."""
        draw, m = self.draw, self.m
        match member:
            case "epoch":
                return self.epoch()
            case "version":
                return 2 if self.is_rude() else 1
            case "id":
                first = control.FIRST_ID_LARGER if m.smaller else control.FIRST_ID_SMALLER
                return draw.choice([0, 1, 65534]) if self.is_rude() else first - 2 * draw.randrange(200)
            case "n":
                return draw.choice([m.resets.asked, m.pings, draw.randrange(50), 0, MOST])
            case "window":
                return draw.choice([0, 1, SMALL, SMALL + 1, 1 << 22, 1 << 22, MOST])
            case "deadlineMs" | "etaMs":
                return draw.choice([1, 300, 5000, 5000, 3_600_001, MOST, draw.choice([0, 1000])])
        low, high = kind.ge or 0, MOST if kind.le is None else int(kind.le)
        return draw.choice([low, min(low + 1, high), high, max(high - 1, low), min(7, high), draw.randint(low, high)])

    def value(self, kind: inspect.Type, member: str) -> Any:
        """A value of this type, within its bounds."""
        draw, m = self.draw, self.m
        match kind:
            case inspect.UnionType(types=types):
                return self.value(draw.choice(types), member)
            case inspect.IntType():
                return self.fitting(member, kind)
            case inspect.FloatType():
                return draw.choice([0.0, 0.5, 1e15])
            case inspect.StrType(max_length=most, min_length=least, pattern=pattern):
                fits = {
                    "receipt": [m.receipt] * 9, "session": [m.session, m.session, ""], "peer": [m.peer],
                    "to": [m.me, ""], "from": [m.peer], "asker": [m.peer, m.peer, m.me], "name": [self.name()] * 4,
                    "closer": [m.peer, m.me, "both", "network"], "error": [""] * 4,
                    "code": ["left", "kicked", "protocol-error"],
                }.get(member)  # fmt: skip
                letters = ["0", "f"] if pattern else ["x", "é", "\U0001f600", "\x1b", "\n"]
                sizes = [least or 0, min((least or 0) + 1, most or 1), most or 1]
                drawn = draw.choice(letters) * draw.choice(sizes)
                return draw.choice([*fits, drawn] if fits else [drawn])
            case inspect.BoolType():
                return draw.random() < 0.5
            case inspect.NoneType() | inspect.AnyType():
                return None
            case inspect.LiteralType(values=values):
                return draw.choice(values)
            case inspect.ListType(item_type=item, max_length=most):
                size = draw.choice([0, 1, 2, draw.randrange(9), most or 0])
                return [self.value(item, member) for _ in range(size)]
            case inspect.TupleType(item_types=items):
                return [self.value(item, member) for item in items]
            case inspect.DictType(value_type=inner, max_length=most):
                if member in {"have", "final"} and draw.random() < 0.8:
                    return self.counts()
                size = draw.choice([0, 1, 1, 3, min(most or 0, 1024)]) if draw.random() < 0.1 else 1
                names = {self.name() if size < 9 else f"c{number}" for number in range(size)}
                return {name[: kind.key_type.max_length]: self.value(inner, member) for name in names}  # type: ignore[attr-defined]
            case inspect.StructType():
                return self.struct(kind)
        raise AssertionError(kind)

    def struct(self, kind: inspect.StructType) -> dict[str, Any]:
        made = {kind.tag_field: kind.tag} if kind.tag_field else {}
        for member in kind.fields:
            if member.required or self.draw.random() < 0.5:
                made[member.encode_name] = self.value(member.type, member.encode_name)
        return made

    def ack(self) -> tuple[dict[str, Any], int]:
        """One that fits, or has ranges of every kind; and whether they cannot be."""
        draw, channels, wrong = self.draw, {}, 0
        for name, channel in self.m.channels.items():
            sender = channel.sender
            up_to = draw.choice([sender.acked, sender.acked, sender.started, draw.randint(0, sender.started)])
            if self.is_rude():
                up_to = draw.choice([sender.started + 1, MOST, 0])
            ranges: list[list[int]] = []
            if draw.random() < 0.4:
                at = up_to + 1
                while at < sender.started and len(ranges) < draw.choice([1, 3, 256]):
                    first = at + draw.choice([0, 1, 1, 5])
                    last = min(first + draw.choice([0, 0, 3, 1000]), sender.started)
                    if first > last:
                        break
                    ranges.append([first, last])
                    at = last + 2
                if self.is_rude() and ranges:
                    # None that is right anywhere.
                    ranges.insert(
                        draw.randrange(len(ranges) + 1), draw.choice([[9, 1], ranges[0], [MOST, MOST], [0, 1]])
                    )
                    wrong += channel.reliable
            window = self.fitting("window", inspect.IntType())
            channels[name] = {"upTo": up_to, "window": window, "ranges": ranges}
        return {"type": "ack", "channels": channels}, wrong

    def message(self) -> tuple[dict[str, Any], int]:
        """A message, and by how many of its values it breaks a bound."""
        tags = {
            "talks": ["open", "ack", "ping", "pong", "file", "media", "want"],
            "floods": ["open", "ack", "want"],
            "halves": ["open"], "gaps": ["open"], "acknowledges": ["ack"],
            "closes": ["closing", "wait", "done", "closed"],
            "resets": ["reset", "resetOk", "switch", "switched", "cancel", "hello"],
        }[self.mood]  # fmt: skip
        tag = self.draw.choice(tags) if self.draw.random() < 0.85 else self.draw.choice(OTHERS)
        if self.mood != "resets" and self.other.random() < 0.01:
            tag = "endChannel"
        if tag == "ack" and self.draw.random() < 0.9:
            return self.ack()
        if tag == "hello":
            fresh = [epoch for epoch, link in self.m.connections.items() if not link.heard_hello]
            if not fresh and not self.is_rude():
                return {"type": "ping", "n": 1}, 0
            return self.hello(self.draw.choice(fresh or [self.epoch()])), 0
        made = self.struct(KINDS[tag])
        if tag in {"opened", "endChannel"} and made["name"] in self.m.channels and not self.is_rude():
            made["id"] = self.m.channels[made["name"]].id
            if "closed" in made:
                made["closed"] = self.accounts()[made["name"]]
        if self.draw.random() > 0.01 + self.rude / 2:
            return made, 0
        return self.break_a_bound(KINDS[tag], made)

    def break_a_bound(self, kind: inspect.StructType, made: dict[str, Any]) -> tuple[dict[str, Any], int]:
        from unit.protocol.test_bounds import beyond

        wrong = beyond(kind, str(kind.tag))
        where, broken = self.draw.choice(wrong)
        name = where.split(".", 1)[1]
        for member in kind.fields:
            at = name[len(member.encode_name) : len(member.encode_name) + 1]
            if name.startswith(member.encode_name) and not at.isalnum():
                made[member.encode_name] = broken[member.encode_name]
                return made, 1
        raise AssertionError(where)

    # --- saying it

    def heard(self, message: control.AnyControl) -> None:
        if self.silent:
            return
        match message:
            case control.Ping(n=n) if self.draw.random() < 0.9:
                self.say_text(self.m.active or 1, control.encode(control.Pong(n=n)))
            case control.Hello(epoch=epoch) if epoch > 1 and self.draw.random() < 0.8:
                self.say_text(epoch, json.dumps(self.hello(epoch)))
            case control.Open(name=name, id=id_) if self.draw.random() < 0.9:
                window = self.draw.choice([0, SMALL, 1 << 22, MOST])
                self.say_text(self.m.active or 1, control.encode(control.Opened(name=name, id=id_, window=window)))
            case words.Closing() if self.draw.random() < 0.5:
                kind = self.draw.choice(["done", "done", "closing"])
                final: dict[str, Any] = {"type": kind, "final": self.counts()}
                if kind == "closing":
                    final |= {"receipt": self.m.receipt, "reason": {"code": "left"}, "deadlineMs": 3000}
                self.say_text(self.m.active or 1, json.dumps(final))
            case words.Done() if self.draw.random() < 0.7:
                self.say_text(self.m.active or 1, json.dumps({"type": "done", "final": self.counts()}))
            case words.Closed(receipt=receipt) if self.draw.random() < 0.7:
                closed = {"type": "closed", "receipt": receipt, "closer": self.m.me, "reason": {"code": "left"}}
                self.say_text(self.m.active or 1, json.dumps(closed | {"channels": self.accounts()}))
            case words.Switch(epoch=epoch) if self.draw.random() < 0.7:
                said = {"type": "switched", "epoch": epoch, "have": self.counts()}
                self.say_text(epoch, json.dumps(said))
            case words.Reset(asker=asker, n=n, epoch=epoch, level=level) if self.draw.random() < 0.6:
                said = {"type": "resetOk", "asker": asker, "n": n, "epoch": epoch, "level": level}
                self.say_text(self.m.active or 1, json.dumps(said))

    def say_text(self, epoch: int, text: str | bytes) -> None:
        self.victim.feed("control_received", epoch, text)

    def say(self) -> None:
        made, broken = self.message()
        m = self.m
        epoch = made["epoch"] if made["type"] == "hello" else m.active or 1
        if made["type"] != "hello" and self.is_rude():
            epoch = m.last_epoch
        before, known = m.state, epoch in m.connections
        if self.draw.random() < 0.15 and made["type"] in WORDS and not broken:
            self.victim.feed("signal_received", msgspec.convert(made, words.AnyWord))
            return
        text = json.dumps(made)
        if len(text) > control.MAX_CONTROL:
            return
        self.say_text(epoch, text)
        if broken and known and before != "closed":
            self.seen["beyond a bound"] += 1
            promise(m.closing is not None and m.closing.is_abrupt, f"taken: {text[:300]}")

    def say_nonsense(self) -> None:
        text = self.draw.choice(NONSENSE)
        m = self.m
        epoch, before = m.active or 1, m.state
        known = epoch in m.connections
        self.say_text(epoch, text)
        if known and before != "closed":
            promise(m.closing is not None and m.closing.is_abrupt, f"taken: {text[:100]}")

    def send(self) -> None:
        """Bytes on a session channel."""
        draw, m = self.draw, self.m
        if not m.channels:
            return
        mood = self.mood if draw.random() < 0.7 else "talks"
        channels = [c for c in m.channels.values() if mood != "gaps" or not c.ordered] or list(m.channels.values())
        channel = draw.choice(channels)
        if mood == "gaps" and channel.ordered:
            mood = "talks"
        receiver, header = channel.receiver, control.encode_header
        epoch = draw.choice([m.active or 1, m.active or 1, m.active or 1, m.last_epoch])
        following = receiver.have + 1
        sizes = [SMALL + 1, MESSAGE, MESSAGE + 1, MESSAGE + 1] if self.is_rude() else [0, 1, 100, SMALL]
        frames: list[bytes] = []
        if mood == "floods":
            size = draw.choice([0, 0, 1, 100, SMALL])
            count = draw.choice([10, 100, 100, 6000 if self.is_rude() or not self.can else 200])
            count = min(count, 2 if size == SMALL else count)
            last = max(receiver.beyond.last, receiver.have)
            frames = [header(last + 1 + at, text=False) + bytes(size) for at in range(count)]
        elif mood == "halves":
            seq = following
            if not channel.ordered:
                seq = draw.choice([following, max(receiver.beyond.last, receiver.have) + draw.randrange(1, 30)])
            part = receiver._partials.get((epoch, seq))
            size = draw.choice([1, 100, 30_000] + [0] * self.is_rude())
            count = draw.choice([1, 3, 30, 3000 if self.is_rude() else 5])
            first = 0 if part is None else part.next + len(part.pieces)
            if not channel.ordered and draw.random() < 0.5:
                first += draw.choice([1, 2, 9])
            for index in range(first, first + count):
                frames.append(
                    header(seq, text=False, first=index == 0, last=draw.random() < 0.02, index=index) + bytes(size)
                )
            if not channel.ordered or self.is_rude():
                draw.shuffle(frames)
            if (not channel.ordered or self.is_rude()) and draw.random() < 0.3:  # many of which none goes on
                frames = [header(following + at, text=False, last=False) + b"x" for at in range(400)]
        elif mood == "gaps":
            base = max(receiver.beyond.last, receiver.have)
            jump = draw.choice([20_000, MOST // 2] if self.is_rude() else [2, 2, 3])
            many = 6000 if self.is_rude() or not channel.reliable else 300
            seqs = [base + jump * (at + 1) for at in range(draw.choice([1, 9, 50, many]))]
            frames = [header(seq, text=False) + b"x" for seq in seqs if seq <= MOST]
        else:
            seq = draw.choice([following + 1, MOST]) if self.is_rude() else draw.choice([following] * 8 + [1])
            again = ("00" * 16, draw.choice([1, MOST])) if draw.random() < 0.1 else None
            frames = [header(seq, text=draw.random() < 0.5, again=again) + bytes(draw.choice(sizes))]
        if self.is_rude() and draw.random() < 0.2:
            frames.append(draw.choice([*BAD_FRAMES, draw.randbytes(40)]))
        for frame in frames:
            if m.state == "closed" or self.m.by_id.get(channel.id) is not channel:
                break
            self.victim.feed("data_received", epoch, channel.id, frame)
        self.victim.look()

    # --- what the application does, and what befalls

    def act(self) -> None:
        """The application of the side that is looked at."""
        draw, m, victim = self.draw, self.m, self.victim
        try:
            match draw.randrange(8):
                case 0:
                    reliability = (
                        control.Reliability(max_retransmits=0) if draw.random() < 0.3 else control.Reliability()
                    )
                    ordered = draw.random() < 0.5
                    victim.feed("open_channel", f"n{draw.randrange(30)}", ordered=ordered, reliability=reliability)
                case 1 | 2 if m.channels:
                    name = draw.choice(list(m.channels))
                    size = draw.choice([0, 0, 1, 100, SMALL, SMALL + 1, MESSAGE])
                    for _ in range(draw.choice([1, 5, 1500 if size < 1000 else 3])):
                        if m.has_room(name):
                            victim.feed("send", name, Payload(bytes(size), text=False))
                case 3 | 4 | 5 if m.channels:
                    name = draw.choice(list(m.channels))
                    for _ in range(draw.choice([1, 3, 9000])):
                        if victim.feed("take", name) is None:
                            break
                case 6:
                    victim.feed("ask_reset", draw.choice(["ice", "transport", "full"]))
                case 7 if self.m.channels and self.mood != "resets" and self.other.random() < 0.1:
                    name, timeout = self.other.choice(list(self.m.channels)), self.other.choice([0.0, 0.3, 5.0])
                    victim.feed("close_channel", name, "", timeout)
                case _:
                    victim.feed("ask_wait", "please", draw.choice([0.1, 1e6]))
            victim.look()
        except AdieuError:
            pass  # the caller's own fault, and told to it

    def befall(self) -> None:
        draw, victim = self.draw, self.victim
        match draw.randrange(7):
            case 0:
                kind = draw.choice(["left", "failed", "failed", "security"])
                victim.feed("connection_lost", self.epoch(), kind, "it broke")
            case 1 | 2:
                victim.feed("wants_description", draw.choice([self.epoch(), MOST]))
            case 3:
                victim.feed("presence_changed", draw.choice(["away", "here", "here", "left", "timeout"]))
            case 4:
                victim.feed("signaling_changed", draw.random() < 0.7)
            case 5:
                victim.feed("ice_changed", self.epoch(), draw.choice(["disconnected", "failed", "connected"]))
            case _:
                self.silent = True
                victim.run(draw.choice([4.0, 9.0, 25.0, 70.0]))
                self.silent = False

    def step(self) -> None:
        draw = self.draw
        busy = self.mood in {"floods", "halves", "gaps"}
        what = draw.choices(
            ["say", "send", "act", "time", "befall", "nonsense", "close"],
            [3, 6 if busy else 2, 3, 3, 0.2, 0.01 + 0.5 * self.rude, 0.05],
        )[0]  # fmt: skip
        match what:
            case "say":
                self.say()
            case "send":
                self.send()
            case "act":
                self.act()
            case "befall":
                self.befall()
            case "nonsense":
                self.say_nonsense()
            case "close":
                self.victim.close(draw.choice([0.0, 0.3, 2.0, 5.0, 30.0]))
            case _:
                self.victim.run(draw.choice([0.0, 0.01, 0.1, 0.1, 1.0]))
        self.note()

    def note(self) -> None:
        m, seen = self.m, self.seen
        seen[m.state] += 1
        seen["hungry"] += bool(m.hungry)
        if m.closing is not None:
            seen[f"closing by {m.closing.by}"] += 1
            seen[f"step {m.closing.step.name}"] += 1
            seen["last words"] += m.closing.may_send
        if m.reset is not None:
            seen[f"reset {m.reset.level} {m.reset.phase}"] += 1
        if m.outcome is not None:
            seen[f"path {m.outcome.path}"] += 1
            seen[f"by {m.outcome.by}"] += 1

    # --- to the end

    def run(self, steps: int) -> None:
        for _ in range(self.draw.choice([steps, steps, 12])):
            self.step()
            if self.victim.ended and self.draw.random() < 0.3:
                return
        self.finish()

    def finish(self) -> None:
        """One way or the other the session ends in its time, whatever is said meanwhile."""
        victim, m = self.victim, self.m
        victim.grants = False
        far = {
            "type": "closing",
            "receipt": m.receipt,
            "reason": {"code": "left"},
            "deadlineMs": MOST,
            "final": {"c": 9},
        }
        match self.draw.randrange(4):
            case 0 if victim.ends_by is None and m.state == "open":
                # Only the other side closes, and says nothing more: its deadline is not waited for.
                self.say_text(m.active or 1, json.dumps(far))
                self.mute(m.options.closing_patience + 2)
            case 1 if victim.ends_by is None and m.state == "open":
                # Only the other side closes, and something new comes now and then: an hour is enough.
                self.say_text(m.active or 1, json.dumps(far))
                self.trickle(HOUR + 2)
            case _:
                if self.draw.random() < 0.5:
                    self.say_text(m.active or 1, json.dumps(far))
                victim.close(2.0)
                until = victim.now + 2.0 + TOO_LATE
                while victim.now < until:
                    if self.draw.random() < 0.5:
                        self.say_text(m.active or 1, json.dumps(far))
                    self.say()
                    self.send()
                    victim.run(0.25)
        self.note()
        promise(m.state == "closed", f"{m.state} in the end: {m.closing}")

    def mute(self, seconds: float) -> None:
        victim = self.victim
        by_remote = self.m.closing is not None and self.m.closing.by == "remote"
        began = victim.now
        while victim.now < began + seconds and not victim.ended:
            victim.run(1.0)
        self.seen["ended in silence"] += by_remote and victim.ended

    def trickle(self, seconds: float) -> None:
        victim, m = self.victim, self.m
        by_remote = m.closing is not None and m.closing.by == "remote"
        channel = next((channel for channel in m.channels.values() if channel.reliable), None)
        began = victim.now
        while victim.now < began + seconds and not victim.ended:
            if channel is not None:
                frame = control.encode_header(channel.receiver.have + 1, text=False) + b"x"
                victim.feed("data_received", m.active or 1, channel.id, frame)
            victim.run(20.0)
        self.seen["ended after an hour"] += by_remote and victim.ended and victim.now > began + 600


def walked(seed: int, steps: int) -> Counter[str]:
    """What one walk has seen. A step that is too slow has to be so three times: the walk is the same in each."""
    for again in (True, True, False):
        seen: Counter[str] = Counter()
        try:
            with uncollected():
                Walk(seed, seen).run(steps)
            break
        except TooSlowError:
            if not again:
                raise
    return seen
