"""RTCDataChannel. https://www.w3.org/TR/webrtc/#rtcdatachannel

Theory of operation
-------------------
```
 connecting ──handle_open──▶ open ──close() or handle_closing──▶ closing ──handle_closed──▶ closed
     │                         │                                                              ▲
     └─────────────────────────┴── an error, or the connection's close(): at once ────────────┘
```
The core sends, resets streams and counts; here is what a program
sees of it, and when.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, overload

from adieu import _core
from adieu.errors import DOMSyntaxError, InvalidStateError, OperationError, RTCError
from adieu.events import Event, EventHandler, EventTarget, MessageEvent, end_events
from adieu.webrtc.dictionaries import boolean, choice, scalar, sendable_form, string, unsigned
from adieu.webrtc.error_event import RTCErrorEvent
from adieu.webrtc.inbox import Inbox, MessageIterator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from adieu.driver import Driver
    from adieu.events import Handler

RTCDataChannelState: TypeAlias = Literal["connecting", "open", "closing", "closed"]
RTCPriorityType: TypeAlias = Literal["very-low", "low", "medium", "high"]
BinaryType: TypeAlias = Literal["blob", "arraybuffer"]

# RFC 8831 section 6.4 numbers what the W3C (webrtc-priority) names.
PRIORITIES: Final[dict[RTCPriorityType, int]] = {"very-low": 128, "low": 256, "medium": 512, "high": 1024}

MESSAGES: Final = _core.MessageFactory(MessageEvent, "message")
MAX_ID: Final = 65534
MAX_WORD: Final = 65535
"""The longest label and protocol, in bytes of UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RTCDataChannelInit:
    """The options of a channel. https://www.w3.org/TR/webrtc/#dom-rtcdatachannelinit

    Attributes:
        ordered: messages arrive in the order in which they were sent.
        maxPacketLifeTime: milliseconds during which a message is retransmitted; None: no limit.
        maxRetransmits: how often a message is retransmitted; None: no limit. Only one of the two may be set.
        protocol: the name of the protocol on the channel.
        negotiated: whether both sides create the channel with the same `id`; nothing is announced.
        id: the stream id of a negotiated channel.
        priority: the priority among the channels of a connection.
    """

    ordered: bool = True
    maxPacketLifeTime: int | None = None
    maxRetransmits: int | None = None
    protocol: str = ""
    negotiated: bool = False
    id: int | None = None
    priority: RTCPriorityType = "low"

    def __post_init__(self) -> None:
        boolean("RTCDataChannelInit.ordered", self.ordered)
        boolean("RTCDataChannelInit.negotiated", self.negotiated)
        for name in ("maxPacketLifeTime", "maxRetransmits", "id"):
            if getattr(self, name) is not None:
                unsigned(f"RTCDataChannelInit.{name}", getattr(self, name), 65535)
        string("RTCDataChannelInit.protocol", self.protocol)
        choice("RTCDataChannelInit.priority", self.priority, RTCPriorityType)
        # W3C createDataChannel steps 11, 14, 15 and 17
        if len(scalar(self.protocol).encode()) > MAX_WORD:
            raise TypeError(f"RTCDataChannelInit.protocol is longer than {MAX_WORD} bytes")
        if self.negotiated and self.id is None:
            raise TypeError("RTCDataChannelInit.negotiated is True: id must be given, the same on both sides")
        if self.maxPacketLifeTime is not None and self.maxRetransmits is not None:
            raise TypeError("RTCDataChannelInit has both maxPacketLifeTime and maxRetransmits: only one can be set")
        if self.negotiated and self.id is not None and self.id > MAX_ID:
            raise TypeError(f"RTCDataChannelInit.id is {self.id}: at most {MAX_ID}")


class ChannelOwner(Protocol):
    """The members of its connection that a channel uses."""

    @property
    def is_closed(self) -> bool:
        """The W3C's [[IsClosed]]."""
        ...

    @property
    def driver(self) -> Driver:
        """Where tasks are queued."""
        ...

    def forget_channel(self, channel: RTCDataChannel) -> None:
        """Note that the channel is closing: remove it from the [[DataChannels]]."""

    def channel_opened(self, channel: RTCDataChannel) -> None:
        """For the statistics."""

    def channel_closed(self, channel: RTCDataChannel, *, reusable: bool) -> None:
        """Note that the channel is closed, and whether its stream id may be used again."""


class RTCDataChannel(EventTarget):
    """A channel for messages in both directions. It comes from `createDataChannel()`, or from a `datachannel` event.

    Events: `open`, `message` (MessageEvent), `bufferedamountlow`, `error` (RTCErrorEvent), `closing`, `close`.

    Besides handlers there are two ways to read: `async for message in channel`, and `await channel.receive()`. From
    their first use on, every message is kept until it is read. Unread messages hold the peer back: all channels of a
    connection share one window (`TransportSettings.receiveBuffer`). To miss no message, use one of them already in the
    `datachannel` handler.

    Thread safety: use it in the thread of its event loop; in other threads calls that change it raise RuntimeError.
    """

    __slots__ = (
        "_binary_type",
        "_buffered",
        "_core",
        "_driver",
        "_id",
        "_inbox",
        "_init",
        "_is_above",
        "_label",
        "_limit",
        "_low_threshold",
        "_owner",
        "_state",
        "_transport",
    )

    onopen: EventHandler[Event] = EventHandler("open")
    onmessage: EventHandler[MessageEvent] = EventHandler("message")
    onbufferedamountlow: EventHandler[Event] = EventHandler("bufferedamountlow")
    onerror: EventHandler[RTCErrorEvent] = EventHandler("error")
    onclosing: EventHandler[Event] = EventHandler("closing")
    onclose: EventHandler[Event] = EventHandler("close")

    if TYPE_CHECKING:

        @overload
        def addEventListener(
            self,
            type: Literal["message"],
            callback: Handler[MessageEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["error"],
            callback: Handler[RTCErrorEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            callback: Handler[Event],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        def addEventListener(
            self,
            type: str,
            callback: Handler[Any],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None:
            """See EventTarget."""

    def __init__(self, owner: ChannelOwner, label: str, init: RTCDataChannelInit) -> None:
        super().__init__(owner.driver)
        self._owner = owner
        self._driver = owner.driver
        self._label = label
        self._init = init
        self._id = init.id if init.negotiated else None
        self._state: RTCDataChannelState = "connecting"
        self._binary_type: BinaryType = "arraybuffer"
        self._core: _core.Channel | None = None
        self._transport = 0
        self._limit = 0.0
        self._inbox: Inbox | None = None
        self._low_threshold = 0
        self._is_above = False
        """bufferedAmount was seen above the threshold while somebody listened, and `bufferedamountlow` is due."""
        self._buffered = 0

    # --- attributes -----------

    @property
    def label(self) -> str:
        """The name of the channel; several channels may have the same."""
        return self._label

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in the order in which they were sent."""
        return self._init.ordered

    @property
    def maxPacketLifeTime(self) -> int | None:
        """Milliseconds during which a message is sent again."""
        return self._init.maxPacketLifeTime

    @property
    def maxRetransmits(self) -> int | None:
        """How often a message is sent again."""
        return self._init.maxRetransmits

    @property
    def protocol(self) -> str:
        """The name of the protocol on the channel."""
        return self._init.protocol

    @property
    def negotiated(self) -> bool:
        """Whether both sides made it."""
        return self._init.negotiated

    @property
    def id(self) -> int | None:
        """The stream id; None until the DTLS roles are negotiated, and then constant."""
        return self._id

    @property
    def priority(self) -> RTCPriorityType:
        """Among the channels of the connection."""
        return self._init.priority

    @property
    def readyState(self) -> RTCDataChannelState:
        """The state."""
        return self._state

    @property
    def bufferedAmount(self) -> int:
        """Bytes that wait to be sent. It only grows within a task, and stays as it is when the channel closes.

        0 says that everything was handed to SCTP, and nothing about what the peer has (closing rule 49).
        """
        core = self._core
        if core is None:
            return self._buffered
        amount = core.amount_in_turn()
        if amount < 0:  # the first look of this turn: from here to the end of the task it only grows
            self._driver.watch_turn()
            return ~amount
        return amount

    @property
    def bufferedAmountLowThreshold(self) -> int:
        """When `bufferedAmount` falls to this or below it, `bufferedamountlow` is fired."""
        return self._low_threshold

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None:
        self._require_thread("bufferedAmountLowThreshold = ...")
        unsigned("bufferedAmountLowThreshold", value, 2**32 - 1)
        self._low_threshold = value
        if self._core is not None:
            self._core.low_threshold = value
            self._set_above(self._core, is_above=False)
            self._watch_fall()

    @property
    def binaryType(self) -> BinaryType:
        """Has no effect: binary messages are `bytes`."""
        return self._binary_type

    @binaryType.setter
    def binaryType(self, value: BinaryType) -> None:
        self._require_thread("binaryType = ...")
        if value not in {"blob", "arraybuffer"}:
            raise DOMSyntaxError(f"binaryType is {value!r}, neither 'blob' nor 'arraybuffer'")
        self._binary_type = value

    # --- methods -----------

    def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Queue one message. https://www.w3.org/TR/webrtc/#datachannel-send

        Args:
            data: text is sent as UTF-8; what is half of a surrogate pair becomes U+FFFD.

        Raises:
            InvalidStateError: the channel is not open (closing rules 30, 39).
            TypeError: the message is larger than `maxMessageSize` of the SCTP transport, or is no message.
            OperationError: the send buffer is full. Nothing was queued: wait for `bufferedamountlow`, and send again.
            RuntimeError: this is not the thread of its event loop.
        """
        core = self._core
        # steps 2 to 8, in the core
        said = _core.Channel.NOT_OPEN if core is None else core.post(data)
        if said:
            self._after_send(said, data)

    def _after_send(self, said: int, data: str | bytes | bytearray | memoryview) -> None:
        """Do what is seldom due after the core's part of `send()`, or raise why it has sent nothing."""
        if said > 0:
            if said & _core.Channel.FIRST:
                self._driver.watch_turn()
            if said & _core.Channel.ABOVE:
                self._watch_fall()
            return
        match said:
            case _core.Channel.OTHER_THREAD:
                self._require_thread("send()")  # which lets pass whom nobody can disturb
                self.send(data)
            case _core.Channel.NOT_OPEN:
                self._require_thread("send()")
                raise InvalidStateError(f"the channel {self._label!r} is {self._state}, not open")
            case _core.Channel.OTHER_TYPE:
                # The W3C's argument is a USVString.
                self.send(scalar(str(data)) if isinstance(data, str) else _bytes_of(data))
            case _core.Channel.TOO_LARGE:
                raise TypeError(f"the message has {_size(data)} bytes; maxMessageSize is {self._limit:.0f}")
            case _:
                raise OperationError(
                    f"the send buffer is full: {self.bufferedAmount} bytes of {self._label!r} wait in it; "
                    "wait for bufferedamountlow and send again"
                )

    def close(self) -> None:
        """Close the channel after sending all queued messages. https://www.w3.org/TR/webrtc/#dom-rtcdatachannel-close

        The peer gets `closing` and `close`, this side `close`. Messages of the peer that are in flight are discarded
        (closing rule 45).
        """
        self._require_thread("close()")
        # step 2
        if self._state in {"closing", "closed"}:
            return
        # step 3; the local side gets no `closing` event (closing rule 37)
        self._set_state("closing")
        # step 4, closing procedure step 3
        self._owner.forget_channel(self)
        if self._core is None:
            # Closing rule 52: there is nothing on the wire yet that would have to be closed.
            self._driver.queue_task(self.handle_closed, None, None)
        else:
            self._core.close()

    def receive(self) -> Awaitable[str | bytes]:
        """The next message, kept from the call on; several callers each get another one.

        Raises (when awaited):
            RTCError: the channel ended with this error, and everything before it has been read.
            InvalidStateError: the channel was closed, and everything before that has been read.

        Cancellation: no message is lost.
        """
        self._require_thread("receive()")
        return self._read().get()

    def __aiter__(self) -> MessageIterator:
        """`async for message in channel`: ends when the channel was closed, raises RTCError when it ended with one."""
        self._require_thread("__aiter__()")
        return MessageIterator(self._read())

    # --- what the connection tells it -----------

    def handle_assigned(self, id_: int) -> None:
        """The DTLS roles are negotiated: this is its id."""
        self._id = id_

    def handle_limit(self, max_message_size: float) -> None:
        """[[MaxMessageSize]] of the SCTP transport."""
        self._limit = max_message_size
        if self._core is not None:
            self._core.max_message_size = max_message_size

    def handle_attached(self, core: _core.Channel, transport: int) -> None:
        """Note that the channel has an underlying data transport."""
        self._core = core
        self._transport = transport
        core.low_threshold = self._low_threshold
        core.max_message_size = self._limit
        self._driver.handles.channels[core.id] = self
        self._rewired()

    def handle_arrived(self) -> None:
        """Open it, as the peer has made it (W3C announcing a data channel instance, step 7). No event is fired yet."""
        self._set_state("open")

    def handle_connection_closed(self, *, announce: bool) -> None:
        """The connection was closed here: abruptly, without the closing procedure (closing rules 10, 11)."""
        if self._state == "closed":
            return
        self._finish(None)
        if announce:
            self._driver.queue_task(self._announce_closed, None)
        else:
            end_events(self, "the connection was closed")

    # --- what the core tells it -----------

    def handle_open(self) -> None:
        """W3C announce an RTCDataChannel as open."""
        # steps 1 and 3
        if self._owner.is_closed or self._state in {"closing", "closed"}:
            return
        # steps 4 and 5
        self._set_state("open")
        self._owner.channel_opened(self)
        self._fire(Event("open"))

    def handle_message(self, data: str | bytes, size: int) -> None:
        """W3C receiving messages on a data channel."""
        # step 3 (closing rule 45)
        if self._state != "open":
            self._driver.consumed(self._transport, size)
            return
        inbox = self._inbox
        if inbox is not None:
            inbox.put(data, size)  # given back when it is read
            if self._listens("message"):
                self._fire(MessageEvent("message", data))
            return
        # step 5; what has to wait behind an async handler is given back when it is its turn (`_taken`)
        if self._fire(MessageEvent("message", data), size):
            self._driver.consumed(self._transport, size)

    def handle_low(self) -> None:
        """W3C bufferedAmountLowThreshold: it has fallen, unless more was sent since."""
        if not self._has_fallen() and self._is_above and self._core is not None:
            self._core.watch_low()  # what it would have been told just before this, the next message tells
            self._driver.after_turn(self._has_fallen)

    def handle_closing(self) -> None:
        """Run the W3C closing procedure that the peer started (closing rule 42). The core does the rest of it."""
        if self._owner.is_closed or self._state in {"closing", "closed"}:
            return
        # steps 3 and 4
        self._owner.forget_channel(self)
        self._set_state("closing")
        self._fire(Event("closing"))

    def handle_closed(self, error: str | None, cause_code: int | None) -> None:
        """W3C announcing a data channel as closed (closing rules 43, 56, 57)."""
        # step 2
        if self._state == "closed":
            return
        # step 3
        failure = None
        if error is not None:
            failure = RTCError({"errorDetail": "sctp-failure", "sctpCauseCode": cause_code}, error)
        self._finish(failure)
        self._owner.channel_closed(self, reusable=error is None)
        # steps 4 and 5
        self._announce_closed(failure)

    def handle_failed(self, message: str) -> None:
        """W3C unable to create an RTCDataChannel (closing rule 51)."""
        if self._state == "closed":
            return
        failure = RTCError({"errorDetail": "data-channel-failure"}, message)
        if self._core is not None:
            self._core.close()  # if it is we who found out
        self._finish(failure)
        self._owner.channel_closed(self, reusable=False)
        self._announce_closed(failure)

    # --- how it works -----------

    def _finish(self, error: RTCError | None) -> None:
        """The state, and nothing more from the core. bufferedAmount stays as it is (closing rule 48)."""
        self._buffered = self.bufferedAmount
        self._set_state("closed")
        if self._core is not None:
            self._driver.handles.channels.pop(self._core.id, None)
            self._core = None
        if self._inbox is not None:
            self._inbox.end(error)

    def _announce_closed(self, error: RTCError | None) -> None:
        if error is not None:
            self._fire(RTCErrorEvent("error", error=error))
        self._fire(Event("close"))
        end_events(self, f"the channel {self._label!r} is closed")

    def _read(self) -> Inbox:
        if self._inbox is None:
            self._inbox = Inbox(self._taken)
            if self._state == "closed":
                self._inbox.end(None)
            self._rewired()
        return self._inbox

    def _set_state(self, state: RTCDataChannelState) -> None:
        self._state = state
        self._rewired()

    def _listened(self, type_: str) -> None:
        if type_ == "bufferedamountlow":
            self._watch_fall()

    def _rewired(self) -> None:
        """Tell the core what it may do by itself: hand out messages, and send without a look at the amount."""
        core = self._core
        if core is None:
            return
        core.is_open = self._state == "open"
        direct = self._only_handler("message") if core.is_open and self._inbox is None else None
        self._driver.core.route(core, self, direct, MESSAGES)
        # Nothing is watched while nobody listens: it would be an event for every message that is sent.
        core.watches_amount = not self._is_above and self._listens("bufferedamountlow")

    def _watch_fall(self) -> None:
        """If it is above the threshold, and somebody listens: `bufferedamountlow` is due when it falls.

        The core says so; but within a task bufferedAmount only grows, and the core, which sends meanwhile, may have
        fallen already. So it is looked at when the task is over.
        """
        core = self._core
        if core is None or self._is_above or self.bufferedAmount <= self._low_threshold:
            return
        if self._listens("bufferedamountlow"):
            self._set_above(core, is_above=True)
            core.watch_low()
            self._driver.after_turn(self._has_fallen)

    def _set_above(self, core: _core.Channel, *, is_above: bool) -> None:
        self._is_above = is_above
        core.watches_amount = not is_above and self._listens("bufferedamountlow")

    def _has_fallen(self) -> bool:
        """Fire `bufferedamountlow` if the amount has fallen to the threshold. Return whether it has."""
        core = self._core
        if core is None or not self._is_above or self._owner.is_closed or core.buffered_amount > self._low_threshold:
            return False
        self._set_above(core, is_above=False)
        self._fire(Event("bufferedamountlow"))
        return True

    def _taken(self, size: int) -> None:
        if size:
            self._driver.consumed(self._transport, size)

    def __repr__(self) -> str:
        return f"<RTCDataChannel {self._label!r} {self._state}, id {self._id}>"


def _bytes_of(data: object) -> bytes | memoryview:
    """Return the bytes of a buffer whose items are not single bytes.

    Raises:
        TypeError: the object is not a buffer.
    """
    if isinstance(data, memoryview):
        return data.cast("B") if data.c_contiguous else data.tobytes()
    raise TypeError(f"a message is str, bytes, bytearray or memoryview, not {type(data).__name__}{sendable_form(data)}")


def _size(data: str | bytes | bytearray | memoryview) -> int:
    return len(scalar(data).encode()) if isinstance(data, str) else memoryview(data).nbytes
