"""The close of one connection: announce, drain, channels, connection, clean-up.

Proof of delivery needs no change to `send()`. Each side says how many messages it sent on each channel (`done`). It
waits until it has received as many as the other side sent, and says how many those were (`closed`).

A side whose peer has no goodbye empties its own queues and waits until nothing has come for a while. Then it closes
each channel: when the stream reset ends, the other side's stack has everything.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, Literal, Protocol

from adieu.farewell.receipt import ChannelAccount, GoodbyeReceipt, Seen
from adieu.farewell.words import MAX_DEADLINE, Begin, Closed, Done, encode

SILENT: Final = "crashed or frozen or network-lost"
"""Causes that look the same from outside."""
FAILED: Final = "a channel failed"
"""The cause if a channel ended with an error, so that nothing counts it, though the connection is there."""
LOOK = 0.025
"""Seconds between two looks."""
QUIET = 0.5
"""Seconds after our own queues were empty until a peer without goodbye counts as silent: a guess."""
PAUSE = 2.5
"""The same after its last message. A browser whose packet is lost pauses for 0.4 s, and for 1.2 s if its repetition is
lost too."""


class Host(Protocol):
    """The connection, as a close uses it."""

    mutual: bool
    """The other side has goodbye: it counts what it receives."""
    young_until: float
    """Until then a side with goodbye may not have shown that it has it; of the event loop's clock."""
    message_at: float
    """When the last message of the application came; of the event loop's clock."""

    def say(self, text: str) -> bool:
        """Say a word to the other side; return whether it is on its way. Else it can be tried again."""
        ...

    async def flush(self) -> None:
        """Have the application send its last."""

    async def count(self) -> dict[int, Seen]:
        """Look at the channels, by stream id; also at those that ended with their association."""
        ...

    def close_channels(self, *, talk: bool) -> None:
        """Close the given channels, and with `talk` the talk channel."""

    def is_closed(self, id_: int | None = None) -> bool:
        """Whether the stream of this channel is reset both ways, or it was not given; None: of the talk channel."""
        ...

    def is_heard(self) -> bool:
        """Whether the other side has closed the talk channel, or its stream is reset both ways: it has heard all."""
        ...


class Closing:
    """The close of one connection; made when it begins, here or there.

    Attributes:
        by: the side that closes.
        deadline: when all is over, whatever the other side does; of the event loop's clock.
        final: messages that the other side has sent, as it says.
        taken: messages that the other side has received, as it says.
        cause: why the connection was over before its close was.
    """

    def __init__(self, host: Host, by: Literal["local", "remote"], begin: Begin, timeout: float) -> None:
        self.by: Literal["local", "remote", "both"] = by
        self.deadline: float = float("inf")
        self.final: dict[int, int] | None = None
        self.taken: dict[int, int] | None = None
        self.cause: str | None = None
        self._host = host
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._drain_until = 0.0
        self._seen: dict[int, Seen] = {}
        self._late = False
        self._closing = False
        self._announced = False
        self._said = self._told = False
        self._done: dict[int, int] = {}
        self._quiet_since = self._loop.time()
        self._limit(timeout)

    def _limit(self, timeout: float) -> None:
        """The earliest deadline counts. A part of the time is kept for the steps after the drain."""
        deadline = self._loop.time() + (timeout if self.by == "local" else min(timeout, MAX_DEADLINE))
        if deadline < self.deadline:
            self.deadline = deadline
            self._drain_until = deadline - min(max(timeout / 10, 0.2), timeout / 2)

    def join(self, begin: Begin) -> None:
        """Both sides close at once: agree on one receipt without another word."""
        if self.by != "local":
            return
        self.by = "both"
        if begin.receipt < self._begin.receipt:
            self._begin.receipt, self._begin.reason = begin.receipt, begin.reason
        self._begin.reset |= begin.reset
        self._limit(begin.deadline_ms / 1000)

    async def run(self) -> GoodbyeReceipt:
        """Do it; the receipt is there at the deadline at the latest."""
        await self._flush()
        await self._drain()
        if self.cause is None:
            self._closing = True
            self._close_channels()
            await self._count_late()
            while not self._are_closed() and await self._goes_on(self.deadline):
                self._close_channels()
        return self._receipt()

    async def _goes_on(self, until: float) -> bool:
        """Wait a moment; return False if the connection is over, or the time of this step."""
        if self.cause is not None:
            return False
        if self._loop.time() >= until:
            self._late = True
            return False
        await asyncio.sleep(LOOK)
        return True

    async def _flush(self) -> None:
        flushed = asyncio.ensure_future(self._host.flush())
        try:
            self._announce()
            while not flushed.done() and await self._goes_on(self._drain_until):
                self._announce()
        finally:
            flushed.cancel()
            await asyncio.wait({flushed}, timeout=LOOK)  # an application that does not let itself be cancelled is left
        if flushed.done() and not flushed.cancelled() and (error := flushed.exception()) is not None:
            self._loop.call_exception_handler({"message": "flush() of goodbye failed", "exception": error})

    def _announce(self) -> None:
        """Say that it begins, as soon as there is somebody to hear it."""
        if self._announced or not self._host.mutual or self.by == "remote":
            return
        self._begin.deadline_ms = max(0, round(1000 * (self.deadline - self._loop.time())))
        self._announced = self._host.say(encode(self._begin))

    async def _drain(self) -> None:
        while not await self._is_through() and await self._goes_on(self._drain_until):
            pass
        if not self._said:
            return
        taken = encode(Closed({id_: each.received for id_, each in self._seen.items()}))
        self._told = self._host.say(taken)
        while (self.taken is None or not self._told) and await self._goes_on(self._drain_until):
            self._told = self._told or self._host.say(taken)

    async def _is_through(self) -> bool:
        self._announce()
        now = await self._host.count()
        counted = {id_: each for id_, each in self._seen.items() if each.counted}
        self._seen = now | counted | {id_: each for id_, each in now.items() if each.counted}
        if not self._host.mutual:
            return self._is_quiet()
        if not self._said:
            self._done = {id_: each.sent for id_, each in self._seen.items()}
            self._said = self._host.say(encode(Done(self._done)))
        return self.final is not None and all(self._is_whole(*each) for each in self._seen.items()) and self._said

    def _is_quiet(self) -> bool:
        given = [each.given for each in self._seen.values() if each.given is not None]
        now = self._loop.time()
        if any(each.buffered for each in given):
            self._quiet_since = now
        host = self._host
        quiet_from = max(self._quiet_since + QUIET, host.message_at + PAUSE, host.young_until)
        return not given or now >= quiet_from

    def _is_whole(self, id_: int, seen: Seen) -> bool:
        """Whether all that will ever come has come; nothing more comes over a closed channel."""
        reliable = seen.given is not None and seen.given.reliable
        is_over = self._host.is_closed(id_) or not seen.counted
        return not reliable or is_over or seen.received >= (self.final or {}).get(id_, 0)

    def _close_channels(self) -> None:
        """The talk channel stays until both have said all: its end tells the other side that all was heard."""
        self._host.close_channels(talk=self._told and self.taken is not None)

    async def _count_late(self) -> None:
        """Count what was sent after `done`. From now on nothing more can be."""
        for id_, each in (await self._host.count()).items():
            if each.counted:
                self._seen[id_] = replace(self._seen.get(id_, each), sent=each.sent, counted=True)

    def _are_closed(self) -> bool:
        are_closed = all(self._host.is_closed(id_) for id_, each in self._seen.items() if each.counted)
        return are_closed and (not self._host.mutual or self._host.is_closed())

    def _is_taken(self) -> bool:
        """Whether the other side has counted all that `done` said: it left no sooner than was right."""
        if self.taken is None:
            return False
        for id_, sent in self._done.items():
            given = self._seen[id_].given
            is_there = self.taken[id_] >= sent if id_ in self.taken else self._host.is_closed(id_)
            if given is not None and given.reliable and not is_there:
                return False
        return True

    def _receipt(self) -> GoodbyeReceipt:
        mutual = self._host.mutual
        is_counted = all(each.counted for each in self._seen.values())
        # After the drain this is how a close ends for the slower side, and under libraries that close their connection
        # with its channel. A silence proves nothing.
        is_end = self._closing and is_counted and self.cause != SILENT and (self._is_taken() or not mutual)
        cause = None if is_end else self.cause or (None if is_counted else FAILED)
        return GoodbyeReceipt(
            id=self._begin.receipt,
            by=self.by,
            reason=self._begin.reason,
            reset=self._begin.reset,
            clean=not self._late and cause is None,
            confirmed=mutual and self._told and self.taken is not None and self._host.is_heard(),
            cause=cause,
            channels=tuple(self._account(id_, seen, cause) for id_, seen in self._seen.items()),
            mutual=mutual,
        )

    def _account(self, id_: int, seen: Seen, cause: str | None) -> ChannelAccount:
        count = (self.taken or {}).get(id_) if seen.counted else None
        delivered = None if count is None else min(count, seen.sent)
        # A channel that broke with its connection proves nothing.
        is_reset = seen.given is not None and seen.given.reliable and self._host.is_closed(id_) and cause is None
        proof: Literal["peer", "reset", "none"] = "peer" if delivered is not None else "reset" if is_reset else "none"
        return ChannelAccount(seen.label, id_, seen.sent, seen.received, delivered, proof, seen.given is not None)
