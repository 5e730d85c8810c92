"""Directions of media, as seen from one side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from adieu.sdp.attributes import Direction

_REVERSED: Final[dict[Direction, Direction]] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_OF: Final[dict[tuple[bool, bool], Direction]] = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}


def sends(direction: Direction | None) -> bool:
    """Whether it has a sending part."""
    return direction in {"sendrecv", "sendonly"}


def receives(direction: Direction | None) -> bool:
    """Whether it has a receiving part."""
    return direction in {"sendrecv", "recvonly"}


def of(*, send: bool, receive: bool) -> Direction:
    """Return the direction with these parts."""
    return _OF[send, receive]


def reverse(direction: Direction) -> Direction:
    """Return the direction as the other side sees it."""
    return _REVERSED[direction]


def intersect(a: Direction, b: Direction) -> Direction:
    """Return the direction with the parts that both have."""
    return of(send=sends(a) and sends(b), receive=receives(a) and receives(b))
