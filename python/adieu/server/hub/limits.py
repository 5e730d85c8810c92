"""What the server takes, and from whom: every bound is here, and every one is a setting."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, fields

from adieu.protocol.bucket import Bucket
from adieu.protocol.signaling import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The limits of a server. Times are seconds, sizes are bytes.

    Attributes:
        message_bytes: the longest frame; a longer one is close code 1009.
        sdp_bytes: the longest SDP in a `description` (60 KiB at most).
        candidates: how many in one `candidates` (50 at most).
        messages_per_second: what one client may send for long; more is close code 3013.
        burst: what it may send at once.
        rooms: how many one client may be in.
        room_peers: how many may be in one room.
        meta_bytes: how much a client may tell about itself in a `join`.
        connects_per_minute: new sockets from one address (a /64 for IPv6), and as many at once: a school or a mobile
            carrier may be behind one. Who is refused is told to come again. Not counted on loopback, where there are
            no strangers and where a reverse proxy that was not named would be everybody.
        connections: WebSockets in all.
        pending: connections that are no WebSockets (yet): beside those, so that a full server still answers.
        pending_per_address: of them, from one address; not counted on loopback. Who has been silent longest makes room.
        seats: clients in all, those away among them.
        seats_per_address: clients from one address, those away among them; not counted on loopback.
        queue_bytes: what is kept for one client: what it has not acknowledged, or not read.
        kept_bytes: what is kept for all clients together.
        strikes: bad messages until close code 3501.
        hello_timeout: until `hello` has come.
        grace: how long the seat of a lost client is kept.
        reload_window: a page that comes back within this time has reloaded.
        ping: between pings; without a pong for as long again the socket is closed with 3012.
        ack_messages: after so many messages an acknowledgement is said by itself,
        ack_delay: or after this time.
        expiry_warning: how long before a token's end `tokenExpiring` is said.
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
                raise ValueError(f"{field.name} is {value!r}: a limit is a number above 0")

    def announced(self) -> Limits:
        """What a client is told in `welcome`."""
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
    """Who comes from where: new sockets a minute and seats, each for one address."""

    _SWEEP = 1024

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buckets: dict[str, Bucket] = {}
        self._seats: Counter[str] = Counter()
        self._sweep_at = self._SWEEP

    def __len__(self) -> int:
        return len(self._buckets) + len(self._seats)

    def admit(self, address: str, now: float) -> bool:
        """Whether one more socket may come. One that is refused is not counted, so that who waits gets in."""
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
        """Drop who has been quiet for a minute; a full bucket says no more than none. Amortized over the growth."""
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket.level(now) < bucket.capacity}
        self._sweep_at = max(self._SWEEP, 2 * len(self._buckets))

    def take_seat(self, address: str) -> bool:
        """Whether this address may have one more seat; counts it."""
        origin = network_of(address)
        if origin is None:
            return True
        if self._seats[origin] >= self._settings.seats_per_address:
            return False
        self._seats[origin] += 1
        return True

    def free_seat(self, address: str) -> None:
        """The seat that `take_seat` gave this address is free."""
        origin = network_of(address)
        if origin is None:
            return
        self._seats[origin] -= 1
        if not self._seats[origin]:
            del self._seats[origin]


def network_of(address: str) -> str | None:
    """What counts as one stranger: an IPv4 address, an IPv6 /64; None on loopback.

    What is no address (a socket file, a test) counts as it stands.
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
