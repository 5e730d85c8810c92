"""Whatever a peer says, in whatever state: a close ends in its time, what is held has a bound, nothing is raised.

`ADIEU_WALKS` makes it longer; the walks are the same in every run.
"""

from __future__ import annotations

import os
import time
from collections import Counter

from adieu.protocol.control import Acknowledged
from adieu.session.machine.flow import Payload, Sender
from property.session.hostile import STEP, BrokenPromiseError, Walk

WALKS = int(os.environ.get("ADIEU_WALKS", "400"))
STEPS = 120
LEAST = {
    "connecting": 15, "open": 1000, "suspect": 2, "recovering": 25, "resetting": 1000, "closing": 900, "closed": 200,
    "closing by local": 700, "closing by remote": 200, "closing by both": 15, "closing by network": 80,
    "step drain": 200, "step channels": 80, "step connection": 400, "step clean-up": 400, "last words": 80,
    "path graceful": 8, "path deadline": 40, "path abrupt": 120,
    "by local": 100, "by remote": 15, "by both": 10, "by network": 30,
    "reset ice asked": 100, "reset ice building": 50, "reset transport asked": 200, "reset transport building": 90,
    "reset transport switching": 10, "reset full asked": 200, "reset full building": 200, "reset full switching": 8,
    "halves": 200, "pieces before their turn": 50, "gaps": 2000, "packed": 50, "hungry": 30, "beyond a bound": 3,
    "ended in silence": 3, "ended after an hour": 1,
}  # fmt: skip
"""How often the walks have to be in each state."""


def test_whatever_a_peer_says_a_close_ends_in_its_time_and_nothing_grows() -> None:
    seen: Counter[str] = Counter()
    for seed in range(WALKS):
        try:
            Walk(seed, seen).run(STEPS)
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
    assert 60_000 < len(sender.flight) < 70_000, "no more than send_buffer, whatever the other side grants"
    for _ in range(3):
        began = time.thread_time()
        sender.acknowledge(Acknowledged(up_to=0, ranges=[(n, n) for n in range(2, 60_000, 234)][:256], window=0))
        assert time.thread_time() - began <= STEP
    assert sender.delivered.messages == 256
    sender.acknowledge(Acknowledged(up_to=59_000, window=0))
    assert sender.delivered.messages > 58_999
