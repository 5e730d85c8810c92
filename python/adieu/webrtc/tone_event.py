"""ToneEvent: a telephone tone of the other side. The W3C has an event for tones that are sent only."""

from __future__ import annotations

from adieu.events import Event


class ToneEvent(Event):
    """The other side has played a telephone tone (RFC 4733), and it is over. The `type` is "tone".

    Attributes:
        tone: one of "0" to "9", "A" to "D", "#" and "*".
        duration: in seconds, at most 8.2.
    """

    __slots__ = ("duration", "tone")

    def __init__(self, tone: str, duration: float) -> None:
        super().__init__("tone")
        self.tone: str = tone
        self.duration: float = duration
