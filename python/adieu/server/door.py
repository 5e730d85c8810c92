"""The entrance of the server: TLS, and a limit on connections that are not WebSockets yet.

A stranger may connect and say nothing. Such connections have a limit of their own, apart from WebSockets, for each
address and in all. At the limit, a new connection replaces the one that was silent longest: one of its own address
first, then any. A connection with a started request is replaced only if no connection is silent. So silent connections
cannot keep out clients that speak at once.
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
"""Seconds to wait for the client's close_notify."""


class Visitor:
    """A connection that is not a WebSocket yet."""

    __slots__ = ("_door", "asking", "network", "transport")

    def __init__(self, door: Door, network: str | None, transport: asyncio.BaseTransport) -> None:
        self._door = door
        self.network: str | None = network
        self.transport: asyncio.BaseTransport = transport
        self.asking: bool = False

    def asks(self) -> None:
        """Handle the first byte of a request."""
        self._door.move(self, asking=True)

    def answered(self) -> None:
        """Handle the end of an answer: the connection is silent again."""
        self._door.move(self, asking=False)

    def leave(self) -> None:
        """Handle the end of the connection, or its upgrade to a WebSocket. The second call does nothing."""
        self._door.forget(self)

    def cut_off(self) -> None:
        """End the connection at once."""
        self.leave()
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()


class Door:
    """The connections that are not WebSockets yet.

    Args:
        places: the most of them.
        per_address: the most from one address (a /64 for IPv6). Loopback has no such bound, because a reverse proxy
        there carries all clients.

    Attributes:
        counters: `cut_silent` and `cut_asking` (connections that were replaced by a new one), `tls_failed`.
    """

    def __init__(self, *, places: int, per_address: int) -> None:
        self.places = places
        self._per_address = per_address
        self._silent: dict[Visitor, None] = {}
        self._asking: dict[Visitor, None] = {}
        """Both in the order in which the connections became silent or started a request."""
        self._networks: dict[str, dict[Visitor, None]] = {}
        self.counters: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        """TLS handshakes; each of them ends by itself in time."""

    def __len__(self) -> int:
        return len(self._silent) + len(self._asking)

    def enter(self, address: str, transport: asyncio.BaseTransport) -> Visitor:
        """Handle a new connection from this address."""
        visitor = Visitor(self, network_of(address), transport)
        if visitor.network is not None:
            others = self._networks.get(visitor.network, {})
            if len(others) >= self._per_address:
                self._cut(next((other for other in others if not other.asking), next(iter(others))))
            # # Only now: the table goes with its last entry.
            self._networks.setdefault(visitor.network, {})[visitor] = None
        if len(self) >= self.places:
            self._cut(next(iter(self._silent or self._asking)))
        self._silent[visitor] = None
        return visitor

    def _cut(self, visitor: Visitor) -> None:
        self.counters["cut_asking" if visitor.asking else "cut_silent"] += 1
        visitor.cut_off()

    def move(self, visitor: Visitor, *, asking: bool) -> None:
        """Move a connection: it has started a request, or is silent again."""
        old, new = (self._silent, self._asking) if asking else (self._asking, self._silent)
        if visitor in old:
            del old[visitor]
            new[visitor] = None
            visitor.asking = asking
            if visitor.network is not None:
                others = self._networks[visitor.network]
                others[visitor] = others.pop(visitor)  # the last of its address too

    def forget(self, visitor: Visitor) -> None:
        """Forget a connection."""
        self._silent.pop(visitor, None)
        self._asking.pop(visitor, None)
        if visitor.network is not None and (others := self._networks.get(visitor.network)) is not None:
            others.pop(visitor, None)
            if not others:
                del self._networks[visitor.network]


class Doorway(asyncio.Protocol):
    """A new connection, until it is counted and its TLS handshake is over. Then the protocol inside gets it.

    Args:
        door: counts the connection.
        inside: makes the protocol inside.
        context: the TLS context, if the server uses TLS.
    """

    def __init__(
        self, door: Door, inside: Callable[[Visitor], asyncio.Protocol], context: ssl.SSLContext | None
    ) -> None:
        self._door = door
        self._inside = inside
        self._context = context
        self._early = bytearray()
        """Bytes that came together with the end of the handshake."""
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection and start."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 it is of TCP
        peer: tuple[Any, ...] | None = transport.get_extra_info("peername")  # None: the client is gone already
        visitor = self._door.enter(str(peer[0]) if peer else "", transport)
        if self._context is None:
            self._hand_over(visitor, transport)
            return
        transport.pause_reading()  # nothing is read before TLS can read it
        task = asyncio.get_running_loop().create_task(self._secure(visitor, transport, self._context))
        self._door.tasks.add(task)
        task.add_done_callback(self._door.tasks.discard)

    def data_received(self, data: bytes) -> None:
        """Keep the bytes of a client that does not wait for the end of the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
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
            # # A stranger without TLS, a client that does not trust the certificate, or one that is gone (RuntimeError:
            # before TLS started). Nothing of this belongs in the log.
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
