"""The ICE candidate pool: candidates that are gathered before there is a description.

RFC 9429 section 3.5.4: the first local description takes candidates out of the pool, and the pool is then given up.
Before that no event is fired for them.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from adieu.webrtc.core_transport import gather, open_transport
from adieu.webrtc.ice_credentials import fresh_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.driver import Driver, TransportHandler
    from adieu.jsep import Gather, IceCredentials
    from adieu.webrtc.configuration import RTCConfiguration, TransportSettings

MAX_POOLED: Final = 16
"""Each holds a socket for every address of the host; a connection that bundles needs one."""

FIRST: Final = 1
"""The ICE generation of the first local description."""


class CandidatePool:
    """Transports of the core that have no description yet.

    A connection that only has a pool is not kept alive: when its owner is collected, the pool goes too.

    Args:
        driver: queues tasks and gives access to the core.
        connection: the core's connection.
        owner: the object whose collection ends the connection.

    Attributes:
        credentials: of all transports in the pool; the first description uses them.
    """

    def __init__(self, driver: Driver, connection: int, owner: object) -> None:
        self._driver = driver
        self._connection = connection
        self._free: list[Pooled] = []
        self._filled_for: object = None
        self.credentials: IceCredentials = fresh_credentials()
        self._finalizer = weakref.finalize(owner, _abandon, driver, connection, self._free)
        self._finalizer.atexit = False

    def fill(self, configuration: RTCConfiguration, settings: TransportSettings) -> None:
        """Refill the pool if the servers, the policy or the size have changed."""
        wanted = configuration.iceServers, configuration.iceTransportPolicy, configuration.iceCandidatePoolSize
        if wanted == self._filled_for:
            return
        self._close_free()
        self._filled_for = wanted
        self.credentials = fresh_credentials()
        for _ in range(min(configuration.iceCandidatePoolSize, MAX_POOLED)):
            handle = open_transport(self._driver, self._connection, settings)
            pooled = Pooled(self._driver, handle)
            self._driver.handles.transports[handle] = cast("TransportHandler", pooled)
            self._free.append(pooled)
            gather(self._driver, handle, FIRST, self.credentials, (configuration, settings), controlling=True)

    def take(self, wanted: Gather) -> Pooled | None:
        """Take a transport for this generation; None if no transport in the pool fits."""
        if not self._free or (wanted.local, wanted.generation) != (self.credentials, FIRST):
            return None
        return self._free.pop(0)

    def end(self) -> None:
        """Close the transports that were not taken."""
        self._finalizer.detach()
        self._close_free()

    def _close_free(self) -> None:
        for pooled in self._free:
            self._driver.handles.transports.pop(pooled.handle, None)
            self._driver.core.close_transport(pooled.handle)
        self._free.clear()


class Pooled:
    """A transport of the core that waits for its description, with all that the core has reported of it."""

    def __init__(self, driver: Driver, handle: int) -> None:
        self.handle: int = handle
        self._driver = driver
        self._reports: deque[tuple[str, tuple[Any, ...]]] = deque()

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Keep a report, whatever method of a TransportHandler takes it."""
        if not name.startswith("handle_"):
            raise AttributeError(name)
        return lambda *arguments: self._reports.append((name, arguments))

    def attach(self, handler: TransportHandler) -> None:
        """Pass the reports on to this handler: first the kept ones, each in a task of its own, then all to come."""
        transports = self._driver.handles.transports
        if self.handle not in transports:  # closed meanwhile
            return
        if not self._reports:
            transports[self.handle] = handler
            return
        self._driver.queue_task(self.attach, handler)
        name, arguments = self._reports.popleft()
        getattr(handler, name)(*arguments)


def _abandon(driver: Driver, connection: int, free: list[Pooled]) -> None:
    """End the core's connection: its owner was collected. Called in any thread."""
    for pooled in free:
        driver.handles.transports.pop(pooled.handle, None)
    driver.handles.connections.pop(connection, None)
    driver.core.close_connection(connection)
