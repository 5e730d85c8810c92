"""Where connections come in: TLS, and the places of those who have not become WebSockets yet.

A stranger may connect and say nothing. Such connections have places of their own, apart from those of WebSockets, some
for each address and some in all. When they are taken, whoever comes takes the place of the one that has been silent
longest: of its own address first, then of all. Who has begun to ask loses its place only where nobody is silent. So
nobody who speaks at once is kept out by many who do not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from adieu.server.hub.limits import network_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

FIRST_BYTE_TIMEOUT = 5.0
"""Seconds for the TLS handshake, and then for the first byte of a request."""
TLS_CLOSE_TIMEOUT = 2.0
"""Seconds for the other side's close_notify."""


class Visitor:
    """A connection that is no WebSocket yet."""

    __slots__ = ("_door", "asking", "network", "transport")

    def __init__(self, door: Door, network: str | None, transport: asyncio.BaseTransport) -> None:
        self._door = door
        self.network: str | None = network
        self.transport: asyncio.BaseTransport = transport
        self.asking: bool = False

    def asks(self) -> None:
        """A request has begun to come."""
        self._door.move(self, asking=True)

    def answered(self) -> None:
        """It has its answer, and is silent again."""
        self._door.move(self, asking=False)

    def leave(self) -> None:
        """It has ended, or is a WebSocket now. Does nothing the second time."""
        self._door.forget(self)

    def cut_off(self) -> None:
        """End it at once."""
        self.leave()
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


class Door:
    """The places of connections that are no WebSockets yet.

    Args:
        places: how many there are.
        per_address: how many of them one address may have (a /64 for IPv6); loopback has no such bound, since a
            reverse proxy there is everybody.

    Attributes:
        counters: `cut_silent`, `cut_asking`: who lost its place to somebody new; `tls_failed`.
    """

    def __init__(self, *, places: int, per_address: int) -> None:
        self.places = places
        self._per_address = per_address
        self._silent: dict[Visitor, None] = {}
        self._asking: dict[Visitor, None] = {}
        """Both in the order in which they have come to be so."""
        self._networks: dict[str, dict[Visitor, None]] = {}
        self.counters: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        """TLS handshakes; each ends by itself in time."""

    def __len__(self) -> int:
        return len(self._silent) + len(self._asking)

    def enter(self, address: str, transport: asyncio.BaseTransport) -> Visitor:
        """A connection has come from this address."""
        visitor = Visitor(self, network_of(address), transport)
        if visitor.network is not None:
            others = self._networks.get(visitor.network, {})
            if len(others) >= self._per_address:
                self._cut(next((other for other in others if not other.asking), next(iter(others))))
            # Only now: with the last of them its table has gone.
            self._networks.setdefault(visitor.network, {})[visitor] = None
        if len(self) >= self.places:
            self._cut(next(iter(self._silent or self._asking)))
        self._silent[visitor] = None
        return visitor

    def _cut(self, visitor: Visitor) -> None:
        self.counters["cut_asking" if visitor.asking else "cut_silent"] += 1
        visitor.cut_off()

    def move(self, visitor: Visitor, *, asking: bool) -> None:
        """It has begun to ask, or to be silent."""
        old, new = (self._silent, self._asking) if asking else (self._asking, self._silent)
        if visitor in old:
            del old[visitor]
            new[visitor] = None
            visitor.asking = asking
            if visitor.network is not None:
                others = self._networks[visitor.network]
                others[visitor] = others.pop(visitor)  # the last of its address, too

    def forget(self, visitor: Visitor) -> None:
        """It is no longer here."""
        self._silent.pop(visitor, None)
        self._asking.pop(visitor, None)
        if visitor.network is not None and (others := self._networks.get(visitor.network)) is not None:
            others.pop(visitor, None)
            if not others:
                del self._networks[visitor.network]


class Doorway(asyncio.Protocol):
    """A new connection, until it is known and, with TLS, its handshake is over; then it goes to the protocol inside.

    Args:
        door: where it gets its place.
        inside: makes that protocol.
        context: for TLS.
    """

    def __init__(
        self, door: Door, inside: Callable[[Visitor], asyncio.Protocol], context: ssl.SSLContext | None
    ) -> None:
        self._door = door
        self._inside = inside
        self._context = context
        self._early = bytearray()
        """What came together with the end of the handshake."""
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 it is of TCP
        peer: tuple[Any, ...] | None = transport.get_extra_info("peername")  # None: it has gone already
        visitor = self._door.enter(str(peer[0]) if peer else "", transport)
        if self._context is None:
            self._hand_over(visitor, transport)
            return
        transport.pause_reading()  # nothing is to be read before TLS is there to read it
        task = asyncio.get_running_loop().create_task(self._secure(visitor, transport, self._context))
        self._door.tasks.add(task)
        task.add_done_callback(self._door.tasks.discard)

    def data_received(self, data: bytes) -> None:
        """The first words of a client that does not wait for the end of the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone already."""
        del exc
        self._lost = True

    async def _secure(self, visitor: Visitor, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=FIRST_BYTE_TIMEOUT,
                ssl_shutdown_timeout=TLS_CLOSE_TIMEOUT,
            )
        except (OSError, RuntimeError):
            # What a stranger says instead of TLS, a client that does not trust the certificate, or one that has gone
            # (RuntimeError: before TLS began): none of it is of interest to whoever reads the log.
            secured = None
        except asyncio.CancelledError:
            visitor.cut_off()
            raise
        if secured is None or self._lost:
            self._door.counters["tls_failed"] += 1
            visitor.cut_off()
            return
        visitor.transport = secured
        self._hand_over(visitor, secured)

    def _hand_over(self, visitor: Visitor, transport: asyncio.Transport) -> None:
        inside = self._inside(visitor)
        transport.set_protocol(inside)
        inside.connection_made(transport)
        if self._early:
            inside.data_received(bytes(self._early))
