"""The Rust core as Python sees it.

One I/O thread per process owns every socket, timer and engine and never takes the GIL. Python holds handles
(integers, and `Channel` objects on the hot path), sends commands down and drains batches of events.

Rules that hold for every call:

* A command never blocks and never raises for the state of the network: it is queued. What comes of it is an event.
* A command on a handle that has ended does nothing.
* A wrong argument (a malformed candidate, a bad fingerprint) raises `ValueError` with the value, before
  anything is queued.
* After a fork every handle of the child is dead: commands do nothing, nothing is sent, `drain` yields nothing.
* Times are seconds (float), sizes are bytes.

Thread safety: every object here may be used from any thread.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, final

__all__ = [
    "CANDIDATE",
    "CANDIDATE_ERROR",
    "CHANNEL_CLOSED",
    "CHANNEL_CLOSING",
    "CHANNEL_FAILED",
    "CHANNEL_INCOMING",
    "CHANNEL_LOW",
    "CHANNEL_OPEN",
    "CONNECTION_ENDED",
    "CONNECTION_PANICKED",
    "DTLS_CERTIFICATES",
    "DTLS_STATE",
    "GATHERING",
    "ICE_PAIR",
    "ICE_ROLE",
    "ICE_STATE",
    "LOG",
    "MESSAGE",
    "SCTP_STATE",
    "STATS",
    "Certificate",
    "Channel",
    "Event",
    "Loop",
    "VirtualNetwork",
    "__version__",
    "set_log",
]

__version__: Final[str]

# --- events -----------
# An event is a tuple whose first member is one of these; what follows is in the comment.

MESSAGE: Final = 0  # channel: int, data: str | bytes, size: int   (payload bytes, text as UTF-8, for `consumed`)
CHANNEL_OPEN: Final = 1  # channel: int               the association is up; DCEP OPEN, if any, is on its way
CHANNEL_INCOMING: Final = 2  # transport: int, Channel, label: str, protocol: str, ordered: bool,
# max_packet_life_time: int | None (ms), max_retransmits: int | None, priority: int
CHANNEL_CLOSING: Final = 3  # channel: int               the peer has reset its direction first
CHANNEL_CLOSED: Final = 4  # channel: int, error: str | None, cause_code: int | None
# error None: closed by the procedure, the stream id is free again.
# error set: the association ended under it (closing rule 56), its transport was closed, or the peer did not
# finish the closing procedure for ten seconds (then the stream id stays taken)
CHANNEL_LOW: Final = 5  # channel: int               bufferedAmount fell to the threshold or below it (`watch_low`)
CHANNEL_FAILED: Final = 6  # channel: int, message: str the transport could not be made (closing rule 51), or
# the peer sent a message larger than we announced
CANDIDATE: Final = 7  # transport: int, generation: int, line: str ("candidate:…"), url: str | None
CANDIDATE_ERROR: Final = 8  # transport: int, generation: int, address: str | None, port: int | None,
# url: str, error_code: int (RFC 5389, or 701), error_text: str
# url "": no server, but this machine is in the way: no descriptor, no interface, no permission, no port
GATHERING: Final = 9  # transport: int, generation: int, state: "gathering" | "complete"
ICE_STATE: Final = 10  # transport: int, state: "new" | "checking" | "connected" | "completed" |
#                        "disconnected" | "failed"
ICE_PAIR: Final = 11  # transport: int, generation: int, local: str, remote: str  (candidate lines)
ICE_ROLE: Final = 12  # transport: int, role: "controlling" | "controlled"   (after a role conflict)
DTLS_STATE: Final = 13  # transport: int, state: "connecting" | "connected" | "closed" | "failed",
# detail: None | "dtls-failure" | "fingerprint-failure", message: str,
# sent_alert: int | None, received_alert: int | None
DTLS_CERTIFICATES: Final = 14  # transport: int, certificates: list[bytes]  (DER, leaf first), before "connected"
SCTP_STATE: Final = 15  # transport: int, state: "connected" | "closed", cause_code: int | None,
# message: str, max_channels: int | None
STATS: Final = 16  # transport: int, request: int, stats: dict[str, object]   (see `Loop.request_stats`)
CONNECTION_ENDED: Final = 17  # connection: int, left: dict[str, int]   the reaper is done; what is still held
# (all zero: nothing)
CONNECTION_PANICKED: Final = 18  # connection: int, message: str         a bug of ours: this connection alone died
LOG: Final = 19  # connection: int (0: of none), logger: str ("adieu.ice", …), text: str   (see `set_log`)

Event: TypeAlias = tuple[object, ...]

def set_log(wanted: bool) -> None:
    """Have LOG events come, or not: of all connections of the process, from now on.

    An event queue holds 4096 of them; more are left out, counted (`dropped_log`), and named by the next line.
    """

@final
class Certificate:
    """A self-signed ECDSA P-256 certificate and its private key."""

    @staticmethod
    def generate(valid_for: float = 2592000.0) -> Certificate:
        """Make a new one (about 1 ms, GIL released). Args: valid_for: seconds."""
    @staticmethod
    def from_pem(certificate: str, private_key: str) -> Certificate:
        """Read one. Raises ValueError when it is not an ECDSA P-256 or P-384 pair, naming what it is."""
    def to_pem(self) -> tuple[str, str]: ...
    def fingerprint(self, algorithm: Literal["sha-256", "sha-384", "sha-512"] = "sha-256") -> str:
        """Uppercase hex pairs joined by colons (RFC 8122)."""
    @property
    def expires(self) -> float:
        """Unix time in seconds."""

@final
class Channel:
    """One data channel of the core. Its `id` names it in events; it is unique in the process and never reused."""

    @property
    def id(self) -> int: ...
    @property
    def stream_id(self) -> int: ...
    @property
    def buffered_amount(self) -> int:
        """Payload bytes queued and not yet handed to the network: an atomic, lowered by the I/O thread."""
    @property
    def low_threshold(self) -> int: ...
    @low_threshold.setter
    def low_threshold(self, value: int) -> None: ...
    def watch_low(self) -> bool:
        """Have CHANNEL_LOW come once, when bufferedAmount is at the threshold or below. False: it is so already."""
    def send(self, data: str | bytes | bytearray | memoryview) -> int:
        """Queue one message and return its size in payload bytes (text as UTF-8). The data is copied once.

        A message on a channel that is not open, or larger than the peer takes, is dropped: the caller knows both.

        Raises:
            BufferError: the send buffer (16 MiB a transport) cannot take it; nothing was queued.
            UnicodeEncodeError: text with lone surrogates; replace them first (Web IDL's USVString).
        """
    def close(self) -> None:
        """Start the closing procedure: what is queued is sent first, then the stream is reset (rules 37-47).

        Messages that arrive from now on are dropped (rule 45)."""

@final
class Loop:
    """The event queue of one event loop, and the door to the I/O thread.

    The queue's file descriptor becomes readable when the queue goes from empty to non-empty.
    """

    def __new__(cls) -> Loop:
        """Start the I/O thread if this is the first. Raises OSError, by name, when the system refuses."""
    def fileno(self) -> int:
        """The descriptor for `loop.add_reader`; -1 for a loop of a `VirtualNetwork`."""
    def drain(self, max_events: int, max_bytes: int) -> tuple[list[Event], bool]:
        """Take events, oldest first, until a bound is reached. The bool says that more are waiting."""
    def close(self) -> None:
        """End it: its connections are closed by the reaper, no event comes any more. Idempotent."""
    def counters(self) -> dict[str, int]:
        """What this loop holds in the core now, and what strangers sent it: `connections`, `transports`,
        `channels`, `sockets`, `timers`, `queued_events`, `dropped_unknown`, `dropped_stun`, `dropped_dtls`,
        `dropped_sctp`, `dropped_dcep`, `dropped_message`, `dropped_candidate`, `dropped_unsent`, `dropped_log`,
        `panics`."""

    def connection(self, certificate: Certificate) -> int: ...
    def close_connection(self, connection: int, reason: str = "Close called") -> None:
        """Abrupt close: SCTP ABORT cause 12 with `reason`, DTLS close_notify, ICE and sockets released. The last
        packets leave even when this event loop is blocked or gone. Ends with CONNECTION_ENDED."""

    def transport(
        self,
        connection: int,
        *,
        disconnected_after: float = 2.5,
        failed_after: float = 15.0,
        receive_buffer: int = 8388608,
        max_message_size: int = 262144,
    ) -> int:
        """A bundle of ICE, DTLS and SCTP. `max_message_size` is what we announce; `receive_buffer` bounds what
        waits for Python before the SCTP window closes."""
    def close_transport(self, transport: int) -> None:
        """Abrupt close of one transport of a connection that goes on: ABORT and close_notify, sockets released, its
        channels get CHANNEL_CLOSED with an error. No event of it comes any more."""
    def gather(
        self,
        transport: int,
        generation: int,
        ufrag: str,
        pwd: str,
        controlling: bool,
        servers: Sequence[str],
        policy: Literal["all", "relay"] = "all",
        loopback: Literal["auto", "always", "never"] = "auto",
    ) -> None:
        """Start ICE generation `generation` (1 the first) with these local credentials. `servers` are
        `stun:host:port` URLs. `loopback` "auto" offers loopback addresses only where there are no others. Each address
        that can not be used, and that there is none, is told by a CANDIDATE_ERROR before GATHERING "complete"."""
    def set_role(self, transport: int, generation: int, controlling: bool) -> None:
        """Of a generation that was begun before it was known who offers; before `set_remote`."""
    def set_remote(self, transport: int, generation: int, ufrag: str, pwd: str, lite: bool = False) -> None:
        """The peer's credentials for this generation: checks start. The pair of the generation before carries
        traffic until this one has chosen its own."""
    def add_candidate(self, transport: int, generation: int, line: str | None) -> None:
        """A remote candidate ("candidate:…"), or None for end-of-candidates. Raises ValueError when malformed.
        TCP candidates and names that do not resolve are counted and ignored."""
    def drop_generation(self, transport: int, generation: int) -> None:
        """Roll back an ICE restart: that generation is forgotten, the one before goes on."""
    def start_dtls(self, transport: int, client: bool, fingerprints: Sequence[tuple[str, str]]) -> None:
        """The handshake starts when ICE has a pair. One of the fingerprints (algorithm, value) must match."""
    def start_sctp(self, transport: int, local_port: int, remote_port: int, remote_max_message_size: int) -> None:
        """`remote_max_message_size` 0 means unlimited (RFC 8841); 65536 when the SDP did not say."""
    def open_channel(
        self,
        transport: int,
        stream_id: int,
        *,
        label: str,
        protocol: str,
        negotiated: bool,
        ordered: bool = True,
        max_packet_life_time: int | None = None,
        max_retransmits: int | None = None,
        priority: int = 256,
    ) -> Channel:
        """May be called before the association is up; CHANNEL_OPEN follows."""
    def consumed(self, transport: int, size: int) -> None:
        """Python has taken `size` bytes of messages: reopen the receive window by that much."""
    def request_stats(self, transport: int, request: int) -> None:
        """Answered by STATS; also for a transport that has ended lately (then with its last figures).

        The dict is empty when the transport is not known. Members that are not known are absent; times are seconds,
        `*_age` counts back from the moment of the figures, which is `age` ago:
        `ended`, `age`, `ice_state`, `ice_role`, `packets_sent`, `bytes_sent`, `packets_received`, `bytes_received`,
        `last_packet_sent_age`, `last_packet_received_age`, `requests_sent`, `responses_received`,
        `requests_received`, `selected_pair_changes`, `unread`;
        `pairs` (the selected one): `generation`, `local`, `remote`, `state`, `nominated`, `selected`, the traffic
        members, `consent_requests_sent`, `responses_received`, `current_round_trip_time`, `total_round_trip_time`,
        `last_response_age`; `dtls`: `state`, `version` ("FEFD", "FEFC"), `cipher`, `srtp_cipher`, `role`;
        `sctp`: `smoothed_round_trip_time`, `congestion_window`, `receiver_window`, `unacked_chunks`, `packets_sent`,
        `packets_received`, `packets_retransmitted`, `zero_checksum`;
        `channels` by core channel id: `stream_id`, `messages_sent`, `bytes_sent`, `messages_received`,
        `bytes_received`.
        """

@final
class VirtualNetwork:
    """A network in memory with its own clock, for tests: the same engines and commands, no sockets, no thread.

    Deterministic for a seed but for keys and certificates. Time moves only by `advance`.
    """

    def __new__(cls, seed: int = 0) -> VirtualNetwork: ...
    @property
    def now(self) -> float:
        """Seconds since it was made."""
    def host(self, *addresses: str) -> Loop:
        """A loop whose connections have these IP addresses, on a host of their own."""
    def link(
        self,
        *,
        loss: float = 0.0,
        delay: float = 0.0,
        jitter: float = 0.0,
        rate: float | None = None,
        queue: int = 262144,
    ) -> None:
        """Set all paths: loss (0-1), one-way delay and jitter (s), rate (bytes/s) with a queue (bytes)."""
    def cut(self, address: str, cut: bool = True) -> None:
        """Drop everything from and to this address, or heal it."""
    def refuse(self, address: str, errno: int | None) -> None:
        """Have the system refuse sockets on this address with this error, and what is sent from it (unless it is about
        descriptors); None: no more."""
    def drop_next(self, count: int, skip: int = 0) -> None:
        """Lose `count` datagrams after letting `skip` pass: each packet lost in turn."""
    def inject(self, source: tuple[str, int], destination: tuple[str, int], datagram: bytes) -> None:
        """A stranger's packet."""
    def next(self) -> float | None:
        """When something is due (absolute, in this clock), or None. Runs the commands that wait; while some loop has
        events that were not drained, that is now. Names are never found here."""
    def advance(self, now: float) -> None:
        """Deliver and fire everything due until `now`."""
    def sent(self) -> list[tuple[float, str, int, str, int, bytes]]:
        """What was sent since the last call, if recording: (time, source, port, destination, port, datagram)."""
    def record(self, on: bool = True) -> None: ...
