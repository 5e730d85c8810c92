"""Signaling for sessions: the interface that a session needs, the client of `adieu serve`, and a pair in memory."""

from typing import TYPE_CHECKING

from adieu.lazy import lazy

if TYPE_CHECKING:
    from adieu.signaling.base import Signaling
    from adieu.signaling.client import Probed, SignalingClient
    from adieu.signaling.events import Down, Ended, Moved, RoomLost, SignalingEvent, Undelivered, Up
    from adieu.signaling.memory import MemorySignaling, memory_signaling
    from adieu.signaling.policy import Policy

__all__ = [
    "Down",
    "Ended",
    "MemorySignaling",
    "Moved",
    "Policy",
    "Probed",
    "RoomLost",
    "Signaling",
    "SignalingClient",
    "SignalingEvent",
    "Undelivered",
    "Up",
    "memory_signaling",
]

if not TYPE_CHECKING:  # a module's __getattr__ would hide misspelled names from type checkers
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "adieu.signaling.base": ("Signaling",),
            "adieu.signaling.client": ("Probed SignalingClient",),
            "adieu.signaling.events": ("Down Ended Moved RoomLost SignalingEvent Undelivered Up",),
            "adieu.signaling.memory": ("MemorySignaling memory_signaling",),
            "adieu.signaling.policy": ("Policy",),
        },
    )
