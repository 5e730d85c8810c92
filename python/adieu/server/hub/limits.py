"""The limits of the server. Every bound is here, and every bound is a setting."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, fields

from adieu.bucket import Bucket
from adieu.protocol.signaling import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The limits of a server. Times are seconds, sizes are bytes.

    Attributes:
        message_bytes: the longest frame; a longer one is closed with 1009.
        sdp_bytes: the longest SDP in a `description` (60 KiB at most).
        candidates: the most in one `candidates` message (50 at most).
        messages_per_second: the lasting rate of one client; beyond it the socket is closed with 3013.
        burst: the messages that one client may send at once.
        rooms: the most rooms of one client.
        room_peers: the most peers in one room.
        meta_bytes: the longest metadata in a `join`.
        connects_per_minute: new sockets from one address (a /64 for IPv6), also all at once: a school or a mobile
        carrier may be behind one address. A refused client tries again later. Not counted on loopback, where there are
        no strangers, and where an unnamed reverse proxy carries all clients.
        connections: WebSockets in all.
        pending: connections that are not WebSockets (yet). They have their own limit, so that a full server still
        answers.
        pending_per_address: the same from one address; not counted on loopback. The one that was silent longest is
        closed.
        seats: clients in all, including clients that are away.
        seats_per_address: clients from one address, including clients that are away; not counted on loopback.
        queue_bytes: the bytes that are kept for one client because it has not acknowledged or not read them.
        kept_bytes: the same for all clients together.
        strikes: bad messages until close code 3501.
        hello_timeout: until `hello` must have come.
        grace: how long the seat of a lost client is kept.
        reload_window: a page that returns within this time was reloaded.
        ping: between pings. If no pong comes in the same time, the socket is closed with 3012.
        ack_messages: after this many messages an acknowledgement is sent by itself.
        ack_delay: the same after this time.
        expiry_warning: how long before the end of a token `tokenExpiring` is sent.
    """

    message_bytes: int = 64 * 1024
    sdp_bytes: int = 60 * 1024
    candidates: int = 50
    messages_per_second: float = 50.0
    burst: int = 200
    rooms: int = 128
    room_peers: int = 16
    meta_bytes: int = 2048
    connects_per_minute: int = 120
    connections: int = 10_000
    pending: int = 2000
    pending_per_address: int = 256
    seats: int = 20_000
    seats_per_address: int = 1024
    queue_bytes: int = 1024 * 1024
    kept_bytes: int = 512 * 1024 * 1024
    strikes: int = 10
    hello_timeout: float = 5.0
    grace: float = 75.0
    reload_window: float = 5.0
    ping: float = 10.0
    ack_messages: int = 16
    ack_delay: float = 1.0
    expiry_warning: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"{field.name} is {value!r}, but a limit must be a number above 0")

    def announced(self) -> Limits:
        """Return the limits that `welcome` reports to a client."""
        return Limits(
            message_bytes=self.message_bytes,
            sdp_bytes=self.sdp_bytes,
            candidates=self.candidates,
            messages_per_second=self.messages_per_second,
            burst=self.burst,
            rooms=self.rooms,
            room_peers=self.room_peers,
        )


class Gate:
    """Counts new sockets a minute and seats, for each address."""

    _SWEEP = 1024

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buckets: dict[str, Bucket] = {}
        self._seats: Counter[str] = Counter()
        self._sweep_at = self._SWEEP

    def __len__(self) -> int:
        return len(self._buckets) + len(self._seats)

    def admit(self, address: str, now: float) -> bool:
        """Whether another socket may come. A refused one is not counted, so that a waiting client gets in."""
        origin = network_of(address)
        if origin is None:
            return True
        bucket = self._buckets.get(origin)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._forget_full(now)
            per_minute = self._settings.connects_per_minute
            bucket = self._buckets[origin] = Bucket(per_minute / 60, per_minute, now)
        return bucket.take(now)

    def _forget_full(self, now: float) -> None:
        """Drop full buckets: they carry no information. The cost is amortized over the growth."""
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket.level(now) < bucket.capacity}
        self._sweep_at = max(self._SWEEP, 2 * len(self._buckets))

    def kept(self) -> list[tuple[str, tuple[float, float]]]:
        """Return the buckets; seats are counted again by `take_seat`."""
        return [(origin, bucket.kept()) for origin, bucket in self._buckets.items()]

    def restore(self, buckets: list[tuple[str, tuple[float, float]]]) -> None:
        """Continue where another gate was."""
        per_minute = self._settings.connects_per_minute
        for origin, (level, at) in buckets:
            bucket = self._buckets[origin] = Bucket(per_minute / 60, per_minute, at)
            bucket.restore(level, at)
        self._sweep_at = max(self._SWEEP, 2 * len(self._buckets))

    def take_seat(self, address: str) -> bool:
        """Whether this address may have another seat; if so, count it."""
        origin = network_of(address)
        if origin is None:
            return True
        if self._seats[origin] >= self._settings.seats_per_address:
            return False
        self._seats[origin] += 1
        return True

    def free_seat(self, address: str) -> None:
        """Free a seat that `take_seat` gave to this address."""
        origin = network_of(address)
        if origin is None:
            return
        self._seats[origin] -= 1
        if not self._seats[origin]:
            del self._seats[origin]


def network_of(address: str) -> str | None:
    """Return the network that counts as one stranger: an IPv4 address, an IPv6 /64; None on loopback.

    A text that is not an address (a socket file, a test) counts as it is.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address or None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return None if parsed.is_loopback else str(ipaddress.IPv6Network((parsed.packed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return None if parsed.is_loopback else str(parsed)
