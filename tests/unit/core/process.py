"""A peer in a process of its own that ends, or stops, in some way: `python -m unit.core.process HOW`.

It prints what the other has to know, reads what it has to know, and prints "open" when its channel is. Then it prints
the time (the clock is the machine's) and does what HOW says. With "echo" it answers each message until it is killed.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from typing import Any

from adieu import _core
from unit.core.peers import KINDS, Peer, wait

BLOCKED = 2.5
#: What a program still holds when it ends.
HELD: list[object] = []


class Half(Peer):
    """One of two peers that know each other by lines of JSON."""

    def describe(self, *, controlling: bool) -> str:
        self.gather(controlling=controlling, addresses=_core.Addresses(loopback="always"))
        lines = []
        while (event := self.next("CANDIDATE", "GATHERING"))[-1] != "complete":
            if event[0] == _core.CANDIDATE:
                lines.append(event[3])
        return json.dumps([self.ufrag(1), self.pwd(1), self.certificate.fingerprint(), lines])

    def connect(self, description: str, *, client: bool) -> _core.Channel:
        ufrag, pwd, fingerprint, lines = json.loads(description)
        self.loop.set_remote(self.transport, 1, ufrag, pwd)
        for line in [*lines, None]:
            self.loop.add_candidate(self.transport, 1, line)
        self.loop.start_dtls(self.transport, client, [("sha-256", fingerprint)])
        self.loop.start_sctp(self.transport, 5000, 5000, 262144)
        channel = self.open(0, negotiated=True)
        self.next("CHANNEL_OPEN")
        return channel

    def next(self, *kinds: str, limit: float = 20.0) -> tuple[Any, ...]:
        return wait(self.loop, *(value for value, name in KINDS.items() if name in kinds), limit=limit)


def main(how: str) -> None:
    half = Half(_core.EventQueue(), "cccc")
    print(half.describe(controlling=False), flush=True)
    channel = half.connect(sys.stdin.readline(), client=True)
    HELD.append(half)
    print("open", flush=True)
    if how == "echo":
        while True:
            _, _, data, *_ = half.next("MESSAGE")
            channel.send(data)
    for _ in range(100):
        channel.send(b"x" * 100_000)
    print(time.monotonic(), flush=True)
    match how:
        case "exit":
            return
        case "raise":
            raise RuntimeError("an error that nobody expected")
        case "thread":
            import threading

            threading.Thread(target=time.sleep, args=(BLOCKED,), daemon=True).start()
            sys.exit(0)
        case "block":
            half.close("closed and blocked")
            ctypes.PyDLL(None).usleep(int(BLOCKED * 1e6))  # with the GIL: no Python runs
        case _:
            raise AssertionError(how)


if __name__ == "__main__":
    main(sys.argv[1])
