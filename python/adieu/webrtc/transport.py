"""One transport of a connection: its ICE, DTLS and SCTP objects, and their handle in the core.

`transport_actions` gives the core its commands, `transport_events` takes its reports. Both read and set these values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.events import Event
from adieu.webrtc.dtls_transport import DtlsTransportInternals, RTCDtlsTransport
from adieu.webrtc.ice_transport import IceTransportInternals, RTCIceTransport
from adieu.webrtc.sctp_transport import RTCSctpTransport, SctpTransportInternals, max_message_size

if TYPE_CHECKING:
    from adieu.driver import Driver
    from adieu.webrtc.candidate_pool import Pooled


class Transport:
    """A transport of a connection. The first `Gather` for its section opens it in the core.

    Attributes:
        key: of the section that made it.
        ice: the object that a program sees; `ice_internals` are its internals.
        dtls: see `ice`.
        sctp: see `ice`; None while it carries no data.
        ufrags: of each ICE generation that has started and was not dropped.
        gathering: the ICE generations that are still being gathered.
        pooled: the core's transport out of the candidate pool, until its generation begins.
    """

    __slots__ = (
        "_driver",
        "_handle",
        "dtls",
        "dtls_internals",
        "gathering",
        "ice",
        "ice_internals",
        "key",
        "pooled",
        "sctp",
        "sctp_internals",
        "ufrags",
    )

    def __init__(self, driver: Driver, key: str) -> None:
        self.key: str = key
        self.ice_internals: IceTransportInternals = IceTransportInternals()
        self.ice: RTCIceTransport = RTCIceTransport(self.ice_internals, driver)
        self.dtls_internals: DtlsTransportInternals = DtlsTransportInternals(self.ice)
        self.dtls: RTCDtlsTransport = RTCDtlsTransport(self.dtls_internals, driver)
        self.sctp_internals: SctpTransportInternals | None = None
        self.sctp: RTCSctpTransport | None = None
        self.ufrags: dict[int, str] = {}
        self.gathering: set[int] = set()
        self.pooled: Pooled | None = None
        self._driver = driver
        self._handle: int | None = None

    @property
    def handle(self) -> int:
        """The handle of the core's transport."""
        if self._handle is None:
            raise AssertionError(f"the transport {self.key!r} has not started")
        return self._handle

    def begin(self, handle: int, pooled: Pooled | None = None) -> None:
        """Take the handle of the core's transport, and the pooled transport it comes from."""
        self._handle = handle
        self.pooled = pooled

    def set_closed(self) -> None:
        """Set all states to "closed", without an event (W3C close the connection, steps 6, 7 and 9)."""
        if self.sctp_internals is not None:
            self.sctp_internals.state = "closed"
        self.dtls_internals.state = "closed"
        self.ice_internals.state = "closed"

    # --- SCTP -----------

    def establish_sctp(self, remote_max_message_size: int) -> None:
        """W3C set a session description, success step 9.1: create an RTCSctpTransport, or update its limit."""
        if self.sctp_internals is None:
            self.sctp_internals = SctpTransportInternals(self.dtls)
            self.sctp = RTCSctpTransport(self.sctp_internals, self._driver)
        self.sctp_internals.max_message_size = max_message_size(remote_max_message_size)

    def take_sctp(self, other: Transport) -> None:
        """Take over the RTCSctpTransport of `other`: it carries data, or was offered to carry it."""
        if other is not self:
            self.sctp_internals, self.sctp = other.sctp_internals, other.sctp
            other.sctp_internals = other.sctp = None
            if self.sctp_internals is not None:
                self.sctp_internals.dtls = self.dtls

    def end_sctp(self) -> None:
        """Close the RTCSctpTransport: data was rejected or rolled back. Media may go on over this transport."""
        if self.sctp is not None and self.sctp_internals is not None:
            self.sctp_internals.state = "closed"
            self._driver.queue_task(self.sctp.dispatchEvent, Event("statechange"))
            self.sctp_internals = self.sctp = None
