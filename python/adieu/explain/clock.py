"""The clocks of two recordings: how far they are apart, by the messages that both have."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.explain.recording import Recording


class Passage(Struct, frozen=True):
    """A message that one side said and the other heard.

    Attributes:
        by_first: the first recording's side said it.
        said: by the clock of the side that said it.
        heard: by the clock of the other.
        type: its type.
    """

    by_first: bool
    said: float
    heard: float
    type: str


class Clocks(Struct, frozen=True):
    """The relation of two clocks.

    Attributes:
        offset: seconds to add to a time of the second recording, to have it by the first one's clock.
        trip: seconds of the shortest way there and back; None if no message shows it.
        passages: the messages that both have.
    """

    offset: float
    trip: float | None
    passages: list[Passage]


def compare(one: Recording, other: Recording) -> Clocks:
    """Find the offset of two clocks: half of the difference of the shortest ways there and back.

    Without messages both ways, the times at which the recordings began decide: the clocks of the two computers.
    """
    passages = [*_passages(one, other, by_first=True), *_passages(other, one, by_first=False)]
    there = [passage.heard - passage.said for passage in passages if passage.by_first]
    back = [passage.heard - passage.said for passage in passages if not passage.by_first]
    if there and back:
        return Clocks((min(back) - min(there)) / 2, min(there) + min(back), passages)
    return Clocks(other.began - one.began, None, passages)


def _passages(speaker: Recording, listener: Recording, *, by_first: bool) -> Iterator[Passage]:
    """Pair the messages that one side said in-band with those that the other heard: the same text, in order."""
    said: dict[bytes, deque[float]] = defaultdict(deque)
    for when, mark, members in speaker.lines:
        if mark == ">" and members.get("type") != "signal":
            said[_key(members)].append(when)
    for when, mark, members in listener.lines:
        if mark == "<" and (times := said.get(_key(members))):
            yield Passage(by_first, times.popleft(), when, str(members.get("type", ""))[:32])


def _key(members: dict[str, object]) -> bytes:
    return msgspec.json.encode(members, order="sorted")
