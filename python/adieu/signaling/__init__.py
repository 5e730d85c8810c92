"""Signaling for sessions: the interface that a session needs, the client of `adieu serve`, and a pair in memory."""

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
