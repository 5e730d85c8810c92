"""NetworkChangeEvent, which is adieu's own: the W3C leaves changes of the network to the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adieu.events import Event
from adieu.webrtc.dictionaries import dictionary, number, string

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class NetworkChangeEventInit:
    """The members of a networkchange event."""

    gone: Sequence[str] = ()
    came: Sequence[str] = ()
    slept: float = 0.0

    def __post_init__(self) -> None:
        for name in ("gone", "came"):
            for address in getattr(self, name):
                string(f"NetworkChangeEventInit.{name}", address)
            object.__setattr__(self, name, tuple(getattr(self, name)))
        number("NetworkChangeEventInit.slept", self.slept)


class NetworkChangeEvent(Event):
    """The addresses of this machine have changed, or it has slept. The path is being checked.

    If the path has lost its address, iceConnectionState becomes "disconnected" at once, and `restartIce()` makes a new
    path. A session does that by itself.

    Args:
        type: "networkchange".
        eventInitDict: a mapping, or members as keywords: `gone`, `came`, `slept`.
    """

    __slots__ = ("_init",)

    def __init__(self, type: str, eventInitDict: object = None, **members: Any) -> None:
        super().__init__(type)
        self._init = dictionary(NetworkChangeEventInit, eventInitDict, members)

    @property
    def gone(self) -> Sequence[str]:
        """The addresses that the machine has no longer."""
        return self._init.gone

    @property
    def came(self) -> Sequence[str]:
        """The addresses that are new."""
        return self._init.came

    @property
    def slept(self) -> float:
        """For how many seconds the machine slept, or the program did not run; 0.0 for no sleep."""
        return self._init.slept
