"""The ICE candidate pool: what is gathered before there is a description.

RFC 9429 section 3.5.4: the first local description takes candidates out of the pool, which is then given up. Until it
is set nobody hears of them.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from adieu.webrtc.create_description import certificate_of, fresh_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.driver import Driver, TransportHandler
    from adieu.jsep import Gather, IceCredentials
    from adieu.webrtc.configuration import RTCConfiguration, TransportSettings
    from adieu.webrtc.slots import Slots

MAX_POOLED: Final = 16
"""Each holds a socket for every address of the host; a connection that bundles needs one."""

FIRST: Final = 1
"""The ICE generation of the first local description."""


def prepare(slots: Slots) -> None:
    """W3C set a configuration: gather as many as it says, anew where the servers or the policy have changed.

    After setLocalDescription() it is too late for that, and nothing happens.
    """
    if slots.negotiation.generations:
        return
    configuration = slots.configuration
    if slots.pool is None:
        if not configuration.iceCandidatePoolSize:
            return
        slots.pool = CandidatePool(slots)
    slots.pool.fill(configuration, slots.settings)


class CandidatePool:
    """Transports of the core that have no description yet.

    A connection that only has a pool is not kept alive: when it is collected, its pool goes too.

    Attributes:
        credentials: with which they were begun: the first description has these.
    """

    def __init__(self, slots: Slots) -> None:
        self._driver = slots.driver
        self._free: list[Pooled] = []
        self._filled_for: object = None
        self.credentials: IceCredentials = fresh_credentials()
        handles, core = slots.driver.handles, slots.driver.core
        self._connection = slots.handle = core.connection(certificate_of(slots).native)
        handles.connections[self._connection] = _Unused(slots)
        self._finalizer = weakref.finalize(slots, _abandon, slots.driver, self._connection, self._free)
        self._finalizer.atexit = False

    def fill(self, configuration: RTCConfiguration, settings: TransportSettings) -> None:
        """Gather as the configuration says, unless that is what was done."""
        wanted = configuration.iceServers, configuration.iceTransportPolicy, configuration.iceCandidatePoolSize
        if wanted == self._filled_for:
            return
        self._let_go()
        self._filled_for = wanted
        self.credentials = fresh_credentials()
        for _ in range(min(configuration.iceCandidatePoolSize, MAX_POOLED)):
            handle = open_transport(self._driver, self._connection, settings)
            pooled = Pooled(self._driver, handle)
            self._driver.handles.transports[handle] = cast("TransportHandler", pooled)
            self._free.append(pooled)
            gather(self._driver, handle, FIRST, self.credentials, (configuration, settings), controlling=True)

    def take(self, wanted: Gather) -> Pooled | None:
        """One for this transport, if there is one."""
        if not self._free or (wanted.local, wanted.generation) != (self.credentials, FIRST):
            return None
        return self._free.pop(0)

    def end(self) -> None:
        """It is not needed any more: close what was not taken."""
        self._finalizer.detach()
        self._let_go()

    def _let_go(self) -> None:
        for pooled in self._free:
            self._driver.handles.transports.pop(pooled.handle, None)
            self._driver.core.close_transport(pooled.handle)
        self._free.clear()


class Pooled:
    """A transport of the core that waits for its description, with what the core has told of it."""

    def __init__(self, driver: Driver, handle: int) -> None:
        self.handle: int = handle
        self._driver = driver
        self._told: deque[tuple[str, tuple[Any, ...]]] = deque()

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Whatever a TransportHandler is told."""
        if not name.startswith("handle_"):
            raise AttributeError(name)
        return lambda *arguments: self._told.append((name, arguments))

    def hand_over(self, transport: TransportHandler) -> None:
        """From now on this one is told: first what has happened, each in a task of its own."""
        transports = self._driver.handles.transports
        if self.handle not in transports:  # closed meanwhile
            return
        if not self._told:
            transports[self.handle] = transport
            return
        self._driver.queue_task(self.hand_over, transport)
        name, arguments = self._told.popleft()
        getattr(transport, name)(*arguments)


class _Unused:
    """The connection's handler while it is not negotiated: it does not keep it alive."""

    def __init__(self, slots: Slots) -> None:
        self._slots = weakref.ref(slots)

    def handle_ended(self, left: dict[str, int]) -> None:
        if (slots := self._slots()) is not None:
            slots.handle_ended(left)

    def handle_panicked(self, message: str) -> None:
        if (slots := self._slots()) is not None:
            slots.handle_panicked(message)

    def handle_loop_ended(self) -> None:
        if (slots := self._slots()) is not None:
            slots.handle_loop_ended()


def _abandon(driver: Driver, connection: int, free: list[Pooled]) -> None:
    """The object was collected; in whatever thread."""
    for pooled in free:
        driver.handles.transports.pop(pooled.handle, None)
    driver.handles.connections.pop(connection, None)
    driver.core.close_connection(connection)


def open_transport(driver: Driver, connection: int, settings: TransportSettings) -> int:
    """Make a transport of the core."""
    return driver.core.transport(
        connection,
        disconnected_after=settings.disconnectedAfter,
        failed_after=settings.failedAfter,
        receive_buffer=settings.receiveBuffer,
        max_message_size=settings.maxMessageSize,
    )


def gather(
    driver: Driver,
    handle: int,
    generation: int,
    local: IceCredentials,
    how: tuple[RTCConfiguration, TransportSettings],
    *,
    controlling: bool,
) -> None:
    """Have the core begin an ICE generation."""
    configuration, settings = how
    driver.core.gather(
        handle,
        generation,
        local.ufrag,
        local.pwd,
        controlling,
        [str(url) for url in configuration.urls() if url.is_supported],
        configuration.iceTransportPolicy,
        settings.loopback,
    )
