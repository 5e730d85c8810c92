"""A program on a computer of its own, and what can befall it."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from adieu.driver import Driver
from adieu.testing.loop import PROGRAM, Program
from adieu.webrtc import RTCDataChannel, RTCPeerConnection

if TYPE_CHECKING:
    from adieu.testing.loop import VirtualLoop

Lie = Callable[[dict[str, Any]], dict[str, Any] | None]


class Peer(Program):
    """A program on a computer of its own, in a `World`.

    Attributes:
        addresses: the IP addresses of its computer.
        driver: takes the core's events of its computer.
    """

    def __init__(self, loop: VirtualLoop, addresses: tuple[str, ...]) -> None:
        super().__init__()
        self.addresses = addresses
        self.died: list[Callable[[], None]] = []
        """Called when it dies."""
        self._network = loop.network
        self._lie: Lie | None = None
        with self._as_program():  # handlers of its events belong to it
            self.driver: Driver = Driver(loop, self._network.host(*addresses))
        loop.programs.append(self)

    @contextmanager
    def _as_program(self) -> Generator[None]:
        token = PROGRAM.set(self)
        try:
            yield
        finally:
            PROGRAM.reset(token)

    @contextmanager
    def use(self) -> Generator[None]:
        """Have what is made in this block, and in tasks started in it, belong to this program and its computer."""
        with self._as_program(), self.driver.use():
            yield

    def connection(self, *args: Any, **members: Any) -> RTCPeerConnection:
        """Make a connection on this computer; arguments as of `RTCPeerConnection`."""
        with self.use():
            pc = (RTCPeerConnection if self._lie is None else _Liar)(*args, **members)
        if isinstance(pc, _Liar):
            pc.lie = self._lie
        return pc

    # --- what befalls it ----------------------------------------------------------------------------------

    def cut(self, way: Literal["in", "out", "both"] = "both") -> None:
        """Drop all packets that come to it (`in`), that it sends (`out`), or both. One way alone is half-open."""
        for address in self.addresses:
            self._network.cut(address, way=way)

    def heal(self) -> None:
        """End the cut."""
        for address in self.addresses:
            self._network.cut(address, False)

    def freeze(self) -> None:
        """Stop the program as SIGSTOP does, or the lid of a laptop: no timer runs, no packet leaves; time goes on.

        Its socket to signaling stays open; what comes there waits.
        """
        self.stop()
        self.cut()

    def thaw(self) -> None:
        """Let it go on. All its timers are late."""
        self.heal()
        self.go_on()

    def die(self) -> None:
        """End the program as SIGKILL does: it says nothing. Its socket to signaling ends, which a server would tell."""
        self.freeze()
        for call in self.died:
            call()

    def lie(self, edit: Lie) -> None:
        """Have it say something else than its session wants to, on the connections that it makes from now on.

        Args:
            edit: gets each control message, and returns what is said instead: another one, or None for nothing.
        """
        self._lie = edit


_lies: WeakKeyDictionary[RTCDataChannel, Lie] = WeakKeyDictionary()


class _LyingChannel(RTCDataChannel):
    """A channel that sends something else than it is given."""

    __slots__ = ()

    def send(self, data: Any) -> None:
        """See the W3C."""
        if (edited := _lies[self](json.loads(data))) is not None:
            super().send(json.dumps(edited))


class _Liar(RTCPeerConnection):
    """A connection whose control channel says what a test wants."""

    lie: Lie | None = None

    def createDataChannel(self, label: str, *args: Any, **members: Any) -> RTCDataChannel:  # noqa: N802
        """See the W3C."""
        channel = super().createDataChannel(label, *args, **members)
        if label == "adieu" and self.lie is not None:
            _lies[channel] = self.lie
            channel.__class__ = _LyingChannel
        return channel
