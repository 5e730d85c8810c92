"""Whatever a peer says, in whatever state: a close ends in its time, what is held has a bound, nothing is raised.

`ADIEU_WALKS` makes it longer; the walks are the same in every run.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter

import pytest

from adieu.protocol import control, words
from adieu.protocol.control import SMALL, Acknowledged
from adieu.session.machine.budget import Budget
from adieu.session.machine.flow import ViolationError
from adieu.session.machine.held import Payload
from adieu.session.machine.machine import SessionMachine
from adieu.session.machine.options import Options
from adieu.session.machine.receiver import Receiver
from adieu.session.machine.sender import Sender
from property.session.hostile import KINDS, NONSENSE, STEP, BrokenPromiseError, TooSlowError, Walk, walked
from support.calls import uncollected
from unit.protocol.test_bounds import beyond

WALKS = int(os.environ.get("ADIEU_WALKS", "400"))
FIRST = 29
"""The first walk's seed. Few walks reach the rare states, and those often: these reach all."""
STEPS = 120
LEAST = {
    "connecting": 10, "open": 2000, "suspect": 3, "recovering": 20, "resetting": 1500, "closing": 2000, "closed": 400,
    "closing by local": 2000, "closing by remote": 300, "closing by both": 40, "closing by network": 5,
    "step drain": 300, "step channels": 150, "step connection": 900, "step clean-up": 1000, "last words": 60,
    "path graceful": 8, "path deadline": 50, "path abrupt": 400,
    "by local": 400, "by remote": 30, "by both": 12, "by network": 25,
    "reset ice asked": 200, "reset ice building": 60, "reset transport asked": 300, "reset transport building": 200,
    "reset transport switching": 50, "reset full asked": 250, "reset full building": 450, "reset full switching": 50,
    "halves": 600, "pieces before their turn": 150, "gaps": 20000, "packed": 200, "hungry": 60, "beyond a bound": 12,
    "channels that ended": 8, "ended in silence": 5, "ended after an hour": 4,
}  # fmt: skip
"""How often the walks have to be in each state."""


def test_whatever_a_peer_says_a_close_ends_in_its_time_and_nothing_grows() -> None:
    seen: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + WALKS):
        try:
            seen += walked(seed, STEPS)
        except BrokenPromiseError as error:
            raise AssertionError(f"walk {seed}: {error}") from error
        except Exception as error:
            error.add_note(f"in walk {seed}")
            raise
    missed = {what: (seen[what], least) for what, least in LEAST.items() if seen[what] < least}
    assert not missed, f"states that the walks did not reach often enough: {missed}"


def test_however_much_is_under_way_its_acknowledgement_takes_one_pass() -> None:
    sender = Sender(reliable=True, counted=True)
    sender.granted(2**53 - 1)
    for _ in range(200_000):
        sender.accept(Payload(b"", text=False))
    for _ in sender.frames(1 << 30, 65536):
        pass
    assert len(sender.flight) == 16_384, "no more, whatever the other side grants"
    ranges = [(n, n) for n in range(2, 16_384, 64)]
    assert len(ranges) == 256
    for up_to, runs, delivered in ((0, ranges, 256), (0, ranges, 256), (16_000, [], 16_006)):
        with uncollected():
            began = time.thread_time()
            sender.acknowledge(Acknowledged(up_to=up_to, ranges=runs, window=0))
            assert time.thread_time() - began <= STEP
        assert sender.delivered.messages == delivered


def test_only_an_acknowledgement_that_can_be_is_taken() -> None:
    draw, sent = random.Random(5), 20
    taken: Counter[bool] = Counter()
    for _ in range(4000):
        sender = Sender(reliable=True, counted=True)
        sender.granted(1 << 20)
        for _ in range(sent):
            sender.accept(Payload(b"", text=False))
        for _ in sender.frames(1 << 20, 65536):
            pass
        up_to, *numbers = [draw.randrange(sent + 2) for _ in range(1 + 2 * draw.randrange(4))]
        if draw.random() < 0.6:
            up_to, *numbers = sorted([up_to, *numbers])
        ranges = list(zip(numbers[::2], numbers[1::2], strict=True))
        named = [*range(up_to + 1), *(n for start, end in ranges for n in range(start, end + 1))]
        rises = all(start <= end for start, end in ranges) and named == sorted(set(named))
        can_be = rises and named[-1] <= sent
        taken[can_be] += 1
        try:
            sender.acknowledge(Acknowledged(up_to=up_to, ranges=ranges, window=0))
        except ViolationError:
            assert not can_be, (up_to, ranges)
            named = [0]
        else:
            assert can_be, (up_to, ranges)
        assert sender.delivered.messages == len(named) - 1
    assert min(taken[True], taken[False]) > 1000, taken


@pytest.mark.parametrize("reliable", [True, False], ids=["reliable", "unreliable"])
@pytest.mark.parametrize("counted", [True, False], ids=["messages count", "payload counts"])
def test_on_an_ordered_channel_nothing_begins_before_its_turn(reliable: bool, counted: bool) -> None:
    for last in (True, False):
        budget = Budget(1 << 20, 200_000, 100_000)
        receiver = Receiver(ordered=True, reliable=reliable, budget=budget, counted=counted, claimed=True)
        receiver.grant()
        receiver.receive(1, control.encode_header(1, text=False, last=False) + b"x")
        if reliable:
            with pytest.raises(ViolationError, match="message 2 after message 0"):
                receiver.receive(1, control.encode_header(2, text=False, last=last) + b"x")
        else:
            receiver.receive(1, control.encode_header(2, text=False, last=last) + b"x")
        assert len(receiver._partials) <= 1


def test_a_large_message_starts_with_a_large_window_only() -> None:
    """Also if a part of another message is here while the window is given: then nothing is known of what is used up."""
    receiver = Receiver(
        ordered=False, reliable=True, budget=Budget(1 << 20, SMALL, 200_000), counted=True, claimed=True
    )
    receiver.grant()
    receiver.receive(1, control.encode_header(1, text=False) + bytes(1000))
    receiver.receive(1, control.encode_header(2, text=False, last=False) + b"x")
    assert receiver.take()
    before = receiver.edge
    receiver.grant()
    assert receiver.edge > before
    with pytest.raises(ViolationError, match="more than the credit given"):
        receiver.receive(1, control.encode_header(3, text=False) + bytes(receiver.edge + SMALL))


def test_an_unreliable_channel_keeps_within_the_budget() -> None:
    """Its own window is not the bound: other channels have used up what the session may hold."""
    budget = Budget(1 << 20, 1 << 20, 100_000)
    budget.used = 1 << 19
    receiver = Receiver(ordered=False, reliable=False, budget=budget, claimed=True)
    for seq in range(1, 100):
        receiver.receive(1, control.encode_header(seq, text=False) + bytes(10_000))
        assert budget.free >= 0
    assert receiver.dropped > 0


@pytest.mark.parametrize("counted", [True, False], ids=["messages count", "payload counts"])
def test_however_much_lies_there_a_close_begins_in_one_step(counted: bool) -> None:
    options = Options() if counted else Options(capabilities=())
    machine = SessionMachine(me="b", peer="a", room="room", options=options)
    machine.start(0.0)
    machine.control_opened(1, 65536, 0.0)
    said = control.Hello(
        version=1, peer="a", session=machine.session, epoch=1, have={}, capabilities=list(options.capabilities)
    )
    machine.control_received(1, control.encode(said), 0.0)
    channel = machine.open_channel("chat", ordered=True, reliability=control.Reliability(), now=0.0)
    machine.control_received(1, control.encode(control.Opened(name="chat", id=channel.id, window=1)), 0.0)
    count = 16_000 if counted else 300_000
    for seq in range(1, count + 1):
        machine.data_received(1, channel.id, control.encode_header(seq, text=False), 0.0)
    assert len(channel.receiver.line) == count
    with uncollected():
        began = time.thread_time()
        machine.ask_close(words.Reason("left"), 5.0, 0.0)
        assert time.thread_time() - began <= STEP
    assert channel.receiver.taken.messages == channel.receiver.up_to == count
    assert channel.receiver.taken.messages == sum(machine.take("chat", 0.0) is not None for _ in range(count))


def opened() -> Walk:
    """A session that stands, of which nothing was said yet."""
    for seed in range(100):
        walk = Walk(seed, Counter())
        if walk.m.state == "open" and not walk.m.channels:
            return walk
    raise AssertionError("no session stands")


def told(text: str) -> Walk:
    """A session that was told this text. A step is too slow if it is so in each of three tries, as in a walk."""
    for again in (True, True, False):
        walk = opened()
        try:
            with uncollected():
                walk.say_text(1, text)
            break
        except TooSlowError:
            if not again:
                raise
    return walk


def test_values_beyond_bounds_and_nonsense_are_protocol_errors() -> None:
    wrong = [(where, json.dumps(made)) for kind in KINDS.values() for where, made in beyond(kind, str(kind.tag))]
    for where, text in [*wrong, *((text[:40], text) for text in NONSENSE)]:
        walk = told(text)
        walk.victim.run(2.0)
        assert walk.m.outcome is not None, where
        assert walk.m.outcome.cause == "protocol-error", where
