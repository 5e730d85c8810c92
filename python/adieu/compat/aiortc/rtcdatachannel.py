"""RTCDataChannel, with the events and properties of aiortc's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adieu.compat.aiortc.emitter import EventEmitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.compat.aiortc.rtcsctptransport import RTCSctpTransport
    from adieu.webrtc import RTCDataChannel as Inner


@dataclass
class RTCDataChannelParameters:
    """The options of a channel. Times are in milliseconds."""

    label: str = ""
    maxPacketLifeTime: int | None = None
    maxRetransmits: int | None = None
    ordered: bool = True
    protocol: str = ""
    negotiated: bool = False
    id: int | None = None


class RTCDataChannel(EventEmitter):
    """A data channel. Events: "open", "message" (with the data), "bufferedamountlow", "closing" and "close".

    Attributes:
        w3c: adieu's own object, with all that the W3C has.
    """

    def __init__(self, inner: Inner, transport: Callable[[], RTCSctpTransport | None]) -> None:
        super().__init__()
        self.w3c = inner
        self._transport = transport
        self._over = False
        inner.onopen = lambda _event: self.emit("open")
        inner.onmessage = lambda event: self.emit("message", event.data)
        inner.onbufferedamountlow = lambda _event: self.emit("bufferedamountlow")
        inner.onclosing = lambda _event: self.emit("closing")
        inner.onclose = lambda _event: self.end()

    def end(self) -> None:
        """Tell that it is closed, once. Its handlers are dropped then."""
        if not self._over:
            self._over = True
            self.emit("close")
            self.remove_all_listeners()

    @property
    def bufferedAmount(self) -> int:
        """The bytes that are queued and not sent."""
        return self.w3c.bufferedAmount

    @property
    def bufferedAmountLowThreshold(self) -> int:
        """The bytes at and below which "bufferedamountlow" happens."""
        return self.w3c.bufferedAmountLowThreshold

    @bufferedAmountLowThreshold.setter
    def bufferedAmountLowThreshold(self, value: int) -> None:
        if not 0 <= value <= 4294967295:
            raise ValueError(f"bufferedAmountLowThreshold={value}: from 0 to 4294967295 bytes")
        self.w3c.bufferedAmountLowThreshold = value

    @property
    def negotiated(self) -> bool:
        """Whether both sides create it with the same id."""
        return self.w3c.negotiated

    @property
    def id(self) -> int | None:
        """The stream id; None before it has one."""
        return self.w3c.id

    @property
    def label(self) -> str:
        """The name."""
        return self.w3c.label

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in the order in which they were sent."""
        return self.w3c.ordered

    @property
    def maxPacketLifeTime(self) -> int | None:
        """The milliseconds during which a message is sent again."""
        return self.w3c.maxPacketLifeTime

    @property
    def maxRetransmits(self) -> int | None:
        """The number of times that a message is sent again."""
        return self.w3c.maxRetransmits

    @property
    def protocol(self) -> str:
        """The name of the protocol on it."""
        return self.w3c.protocol

    @property
    def readyState(self) -> str:
        """The state: "connecting", "open", "closing" or "closed"."""
        return self.w3c.readyState

    @property
    def transport(self) -> RTCSctpTransport | None:
        """The SCTP transport; None before there is one: in the W3C's order it comes with a description."""
        return self._transport()

    def send(self, data: str | bytes) -> None:
        """Send a message.

        Raises:
            InvalidStateError: the channel is not open.
            OperationError: about 20 MB wait. Nothing was queued: send it again at "bufferedamountlow".
            ValueError: it is neither str nor bytes, or too large for the other side.
        """
        try:
            self.w3c.send(data)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def close(self) -> None:
        """Close the channel. Messages that were sent before still arrive."""
        self.w3c.close()
