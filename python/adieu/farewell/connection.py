"""One connection of an application: its channels, what it says to the other side, and how it ends.

How two sides with goodbye find each other is described in docs/reference/goodbye.md. The browser's half is
`js/src/goodbye/connection.ts`.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Final, Literal

from adieu.errors import DOMException, OperationError
from adieu.farewell.closing import SILENT, Closing
from adieu.farewell.event import GoodbyeEvent
from adieu.farewell.receipt import Given, Seen
from adieu.farewell.words import Begin, Bye, Closed, Done, Hello, Ping, Pong, decode, encode
from adieu.webrtc.peer_connection import data_channels_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from adieu.farewell.receipt import GoodbyeReceipt
    from adieu.webrtc import RTCDataChannel, RTCDtlsTransport, RTCPeerConnection

TALK: Final = 1023
KNOCK: Final = 1022
PROTOCOL: Final = "goodbye.v1"
CLOSED_THERE: Final = 12
"""SCTP cause code: the other side called close()."""

LOOK: Final = 0.5
"""Seconds between two looks for signs of life. The times below are in seconds too."""
STOPPED: Final = 2.5
"""A look that is this late was stopped with its program."""
ASK: Final = 1.0
"""After so much silence a sign of life is asked for."""
UNANSWERED: Final = 3.0
"""After so much silence the other side is gone, if it would have answered."""
UNHEARD: Final = 4.0
"""After so much silence it is gone, if it has no goodbye."""
YOUNG: Final = 2.0
"""The time in which a side with goodbye answers the knock, also on a busy machine."""
WORDS: Final = 0.1
"""The time after the end of a connection in which its last words may still come."""
SETTLED: Final = 1.0
"""The time in which a channel may have closed because the other side left: that is known then."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a connection.

    Attributes:
        fire: fires an event.
        over: takes the receipt: the connection is closed, and nothing follows.
        failed: takes an error that ended the close, so that nobody waits for its receipt.
        say: says a word over the application's own signaling.
        flush: has the application send its last.
        handled: waits for the application's handlers of `closing`.
    """

    fire: Callable[[GoodbyeEvent], object]
    over: Callable[[GoodbyeReceipt], None]
    failed: Callable[[BaseException], None]
    say: Callable[[str], object] | None
    flush: Callable[[], Awaitable[object] | object] | None
    handled: Callable[[], Awaitable[None]]


def make_id() -> str:
    """Return an id for a receipt."""
    return secrets.token_hex(16)


def _given(channel: RTCDataChannel) -> Given:
    return Given(channel.maxRetransmits is None and channel.maxPacketLifeTime is None, channel.bufferedAmount)


class Connection:
    """See the module.

    Attributes:
        pc: the application's object.
        channels: its data channels.
        mutual: the other side has goodbye.
        young_until: until then a side with goodbye may not have shown that it has it.
        message_at: when it was seen that a message of the application had come.
    """

    def __init__(self, pc: RTCPeerConnection, owner: Owner, *, add: bool) -> None:
        """Begin to follow a connection; with `add`, data may be added to one without."""
        self.pc = pc
        self.channels: dict[RTCDataChannel, None] = {}
        self.mutual: bool = False
        self.young_until: float = 0.0
        self.message_at: float = float("-inf")
        self._counts: dict[RTCDataChannel, Seen] = {}
        self._received = 0
        self._owner = owner
        self._add = add
        self._loop = asyncio.get_running_loop()
        self._reset: set[RTCDataChannel] = set()
        self._talk: RTCDataChannel | None = None
        self._greets = self._greeted = self._heard_all = False
        self._closing: Closing | None = None
        self._end: asyncio.Task[None] | None = None
        self._over = False
        self._gone = ""
        self._heard_at = self._looked_at = self._loop.time()
        self._fresh: int | None = None
        pc.addEventListener("datachannel", lambda event: self.watch(event.channel))
        for name in ("signalingstatechange", "connectionstatechange"):
            pc.addEventListener(name, lambda _: self._look())
        self._listening = self._loop.create_task(self._listen(), name="adieu goodbye: listens")
        self._look()

    def watch(self, channel: RTCDataChannel) -> None:
        """Take note of one more channel of the application."""
        if channel not in self.channels:
            self.channels[channel] = None
            self._follow(channel)
            if channel.readyState == "connecting":
                channel.addEventListener("open", lambda _: self._opened(channel))
            elif channel.readyState != "closed":
                self._opened(channel)

    def _opened(self, channel: RTCDataChannel) -> None:
        """Give it a place in the receipt: messages can be sent."""
        self._counts.setdefault(channel, Seen(channel.label, 0, 0))

    def known_channels(self) -> list[RTCDataChannel]:
        """Return the application's data channels."""
        for channel in data_channels_of(self.pc):
            if channel.protocol != PROTOCOL:
                self.watch(channel)
        return list(self.channels)

    def _follow(self, channel: RTCDataChannel) -> None:
        """A channel that closes on a connection that is open was reset both ways; not so one that fails.

        It fails if the other side does not reset it within ten seconds.
        """
        failed: list[object] = []

        def closed(_: object) -> None:
            if self._is_alive() and not failed:
                self._reset.add(channel)
                self._loop.call_later(SETTLED, self._forget, channel)

        channel.addEventListener("error", failed.append)
        channel.addEventListener("close", closed)

    def _forget(self, channel: RTCDataChannel) -> None:
        """Keep nothing of a channel that has ended by itself: a receipt does not name it, and no reset waits for it."""
        if channel in self.channels and self._closing is None and not self._gone:
            del self.channels[channel]
            self._counts.pop(channel, None)
            self._reset.discard(channel)

    def close(self, begin: Begin, timeout: float) -> None:
        """Close it; a close that is under way goes on."""
        if self._closing is None:
            # A connection that is disconnected may come back by itself (closing rule 66).
            is_up = self.pc.connectionState in {"connected", "disconnected"}
            cause = self._gone or ("" if is_up else "not-connected")
            self._begin("local", begin, timeout, cause)

    def _begin(self, by: Literal["local", "remote"], begin: Begin, timeout: float, cause: str = "") -> Closing:
        closing = self._closing = Closing(self, by, begin, timeout)
        closing.cause = cause or None
        self._end = self._loop.create_task(self._finish(closing), name="adieu goodbye: closes")
        return closing

    async def _finish(self, closing: Closing) -> None:
        try:
            receipt = await closing.run()
        except BaseException as error:
            self._owner.failed(error)
            raise
        finally:
            self._over = True
            self._listening.cancel()
            await asyncio.wait({self._listening})
            self.pc.close()
        self._owner.over(receipt)

    # --- what the close needs ---------------------------------------------------------------------------------

    async def flush(self) -> None:
        """See `Host`."""
        await asyncio.sleep(0)  # the application's handlers of `closing` begin first
        flushed, _ = await asyncio.gather(self._flush(), self._owner.handled(), return_exceptions=True)
        if flushed is not None:
            raise flushed

    async def _flush(self) -> None:
        if self._owner.flush is not None:
            result = self._owner.flush()
            if isawaitable(result):
                await result

    async def count(self) -> dict[int, Seen]:
        """See `Host`."""
        by_id = {channel.id: channel for channel in self.known_channels()}
        opened = list(self._counts)
        seen: dict[int, Seen] = {}
        for stats in (await self.pc.getStats()).values():
            id_ = stats.get("dataChannelIdentifier")
            if stats["type"] != "data-channel" or id_ is None or id_ in {TALK, KNOCK} or "messagesSent" not in stats:
                continue  # without counts: its association is over
            channel = by_id.get(id_)
            given = None if channel is None else _given(channel)
            seen[id_] = Seen(stats["label"], stats["messagesSent"], stats["messagesReceived"], given)
            if channel in self._counts:
                self._counts[channel] = seen[id_]
        received = sum(each.received for each in seen.values())
        if received != self._received:
            self._received, self.message_at = received, self._loop.time()
        return self._lost(opened, seen) | seen

    def _lost(self, opened: list[RTCDataChannel], seen: dict[int, Seen]) -> dict[int, Seen]:
        """Return the last counts of the channels that `getStats()` leaves out, and that did not end by themselves."""
        lost: dict[int, Seen] = {}
        for channel in opened:
            is_own_end = channel in self._reset and not self._gone
            if channel.id is not None and channel.id not in {TALK, KNOCK, *seen} and not is_own_end:
                lost[channel.id] = replace(self._counts[channel], given=_given(channel), counted=False)
        return lost

    def close_channels(self, *, talk: bool) -> None:
        """See `Host`."""
        for channel in self.known_channels():
            channel.close()
        if talk and self.mutual and self._talk is not None:
            self._talk.close()

    def is_closed(self, id_: int | None = None) -> bool:
        """See `Host`."""
        if id_ is None:
            return self._talk is None or self._talk in self._reset
        return all(channel.id != id_ or channel in self._reset for channel in self.channels)

    def is_heard(self) -> bool:
        """See `Host`."""
        return self._heard_all or self._talk in self._reset

    # --- the other side ---------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Look for data, for transports, and for their ends."""
        pc = self.pc
        if pc.signalingState == "closed" or self._over:
            return
        self.known_channels()
        if (pc.sctp is not None or self._add) and pc.signalingState == "stable":
            self._knock()
        for transport in self._transports():
            transport.addEventListener("statechange", self._changed)
        self._check_end()

    def _transports(self) -> list[RTCDtlsTransport]:
        """Return the transports that are in use now. Bundling, a rollback and the end of a section close others."""
        pc = self.pc
        found = {user.transport for user in pc.getSenders()} | {user.transport for user in pc.getReceivers()}
        if pc.sctp is not None:
            found.add(pc.sctp.transport)
        return [transport for transport in found if transport is not None]

    def _changed(self, _: object) -> None:
        self._check_end()

    def _knock(self) -> None:
        """Make the talk channel and the knock, once."""
        if self._talk is not None:
            return
        with suppress(DOMException):  # the application uses these stream ids itself, or there are fewer streams
            talk = self._talk = self.pc.createDataChannel("goodbye", negotiated=True, id=TALK, protocol=PROTOCOL)
            self._follow(talk)
            talk.addEventListener("message", lambda event: self.heard(event.data))
            talk.addEventListener("closing", lambda _: self._hung_up())
            talk.addEventListener("error", lambda event: self._check_end(event.error.sctpCauseCode))
            knock = self.pc.createDataChannel("goodbye knock", negotiated=True, id=KNOCK, protocol=PROTOCOL)
            self._follow(knock)
            knock.addEventListener("open", lambda _: self._knocks(knock))
            # The knock may close, because the other side's is closed, before the talk channel is open.
            for channel, event in ((knock, "close"), (talk, "open")):
                channel.addEventListener(event, lambda _: self._answer(knock))

    def _hung_up(self) -> None:
        """The other side closes the talk channel: it has heard all. Else it would leave it open."""
        self._heard_all = True

    def _knocks(self, knock: RTCDataChannel) -> None:
        self.young_until = self._loop.time() + YOUNG
        knock.close()

    def _answer(self, knock: RTCDataChannel) -> None:
        if knock in self._reset and self._is_alive():
            self._greet()

    def _is_alive(self) -> bool:
        """Whether the connection carries data: a channel that closes now was closed by itself."""
        sctp = self.pc.sctp
        return self.pc.signalingState != "closed" and sctp is not None and sctp.transport.state != "closed"

    def _check_end(self, code: int | None = None) -> None:
        """Transports that are closed, of a connection that is not, were closed by the other side."""
        if self._is_ended(code):
            # The words that came before may be handed out after it.
            self._loop.call_later(WORDS, self._ended, code)

    def _is_ended(self, code: int | None) -> bool:
        states = {each.state for each in self._transports()}
        return self.pc.signalingState != "closed" and (code == CLOSED_THERE or states == {"closed"})

    def _ended(self, code: int | None) -> None:
        if self._is_ended(code):
            self._left("left")

    def _greet(self) -> None:
        """Say hello, once."""
        self._greets = True
        self._greeted = self._greeted or self.say(encode(Hello(1)))

    def say(self, text: str) -> bool:
        """Say a word, and return whether it is on its way. An application that fails to say it stops nothing."""
        if self._talk is not None and self._talk.readyState == "open":
            try:
                self._talk.send(text)
            except OperationError:  # the messages of the application fill the queue of the connection
                return False
        elif self._owner.say is not None:
            try:
                self._owner.say(text)
            except Exception as error:  # noqa: BLE001 it is the application's, and goes to who looks after such things
                self._loop.call_exception_handler({"message": "say() of goodbye failed", "exception": error})
        else:
            return False
        return True

    def heard(self, text: str | bytes) -> None:
        """Hear a word of the other side, however it came. Anything else is ignored."""
        word = decode(text)
        if word is None or self._over:
            return
        self._live()
        closing = self._closing
        match word:
            case Hello():
                self.mutual = True
                self._greet()
            case Ping():
                self.say(encode(Pong()))
            case Pong():
                pass
            case Bye(cause=cause):
                self._left(cause)
            case Begin():
                self.mutual = True
                if closing is not None:
                    closing.join(word)
                else:
                    closing = self._begin("remote", word, word.deadline_ms / 1000)
                    self._owner.fire(
                        GoodbyeEvent("closing", reason=word.reason, reset=word.reset, deadline=closing.deadline)
                    )
            case Done(final=final) if closing is not None and closing.final is None:
                closing.final = final
            case Closed(taken=taken) if closing is not None and closing.taken is None:
                closing.taken = taken
            case _:
                pass  # out of its place

    def _left(self, cause: str) -> None:
        """Note that it is gone. After a silence it may come back, else not."""
        if self._gone == cause or self._gone not in {"", SILENT}:
            return
        self._gone = cause
        if self._closing is None:
            self._owner.fire(GoodbyeEvent("gone", cause=cause, silence=self._loop.time() - self._heard_at))
        elif self._closing.cause is None:
            self._closing.cause = cause

    def _live(self) -> None:
        """Here is a sign of life."""
        self._heard_at = self._loop.time()
        if self._gone == SILENT:
            self._gone = ""
            self._owner.fire(GoodbyeEvent("back"))

    async def _listen(self) -> None:
        """Listen for signs of life: while there are some, there is nothing to ask."""
        while self.pc.signalingState != "closed":
            await asyncio.sleep(LOOK)
            now = self._loop.time()
            stopped = now - self._looked_at > STOPPED
            self._looked_at = now
            if self._greets:
                self._greet()
            if stopped or self.pc.connectionState in {"new", "connecting"}:
                self._heard_at = now
            if now - self._heard_at >= ASK:
                await self._ask(now)
            await self.count()  # a reset expects all channels back; an end that nobody expects takes the counts away
        self._abandoned()

    async def _ask(self, now: float) -> None:
        fresh = await self._arrived()
        answers = self.mutual and self._talk is not None and self._talk.readyState == "open"
        # Where nothing is counted and nobody answers, nothing tells.
        if fresh != self._fresh or (fresh is None and not answers):
            self._live()
        elif now - self._heard_at >= (UNANSWERED if answers else UNHEARD):
            self._left(SILENT)
        self._fresh = fresh
        if answers:
            self.say(encode(Ping()))

    async def _arrived(self) -> int | None:
        """Count what came over the path, in bytes and checks; None if the statistics do not say."""
        report = await self.pc.getStats()
        for stats in report.values():
            pair = report.get(stats.get("selectedCandidatePairId", ""))
            if pair is not None:
                names = ("bytesReceived", "responsesReceived", "requestsReceived")
                return sum(int(pair.get(name, 0)) for name in names)
        return None

    def _abandoned(self) -> None:
        """The program has closed the connection itself."""
        self.say(encode(Bye("left")))
        if self._closing is None:
            begin = Begin(receipt=make_id(), reason="", reset=False, deadline_ms=0)
            self._begin("local", begin, 0.0, self._gone or "left")
        elif self._closing.cause is None:
            self._closing.cause = self._gone or "left"
