"""JitterBuffer, for programs that replace the one of a receiver."""

from __future__ import annotations


class JitterBuffer:
    """Holds nothing: adieu's receivers keep what is late by time, not by a number of packets.

    Args:
        capacity: packets; not used.
        prefetch: packets; not used.
        is_video: whether it is for video; not used.
    """

    def __init__(self, capacity: int, prefetch: int = 0, is_video: bool = False) -> None:
        del prefetch, is_video
        self.capacity = capacity
