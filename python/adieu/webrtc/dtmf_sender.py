"""RTCDTMFSender. https://www.w3.org/TR/webrtc/#rtcdtmfsender"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from adieu.errors import InvalidCharacterError, InvalidStateError
from adieu.events import Event, EventHandler, EventTarget
from adieu.webrtc.dictionaries import dictionary, string, unsigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.events import Handler
    from adieu.webrtc.transceiver_internals import TransceiverInternals

_TONES: Final = frozenset("0123456789ABCD#*,")
_PAUSE: Final = 2000


@dataclass(frozen=True, slots=True)
class RTCDTMFToneChangeEventInit:
    """The member of a tonechange event."""

    tone: str = ""

    def __post_init__(self) -> None:
        string("RTCDTMFToneChangeEventInit.tone", self.tone)


class RTCDTMFToneChangeEvent(Event):
    """A tone begins. With an empty tone, all tones have been played.

    Args:
        type: "tonechange".
        eventInitDict: a mapping, or the member as a keyword: `tone`.
    """

    __slots__ = ("_init",)

    def __init__(self, type: str, eventInitDict: object = None, **members: Any) -> None:
        super().__init__(type)
        self._init = dictionary(RTCDTMFToneChangeEventInit, eventInitDict, members)

    @property
    def tone(self) -> str:
        """The tone that begins; empty after the last one."""
        return self._init.tone


class RTCDTMFSender(EventTarget):
    """Sends the tones of a telephone (RFC 4733).

    Events: `tonechange`.
    """

    __slots__ = ("_buffer", "_duration", "_gap", "_internals", "_playing")

    ontonechange: EventHandler[RTCDTMFToneChangeEvent] = EventHandler("tonechange")

    if TYPE_CHECKING:

        @overload
        def addEventListener(
            self,
            type: Literal["tonechange"],
            callback: Handler[RTCDTMFToneChangeEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            callback: Handler[Event],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        def addEventListener(
            self,
            type: str,
            callback: Handler[Any],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None:
            """See EventTarget."""

    def __init__(self, internals: TransceiverInternals) -> None:
        super().__init__(internals.owner.driver)
        self._internals = internals
        self._buffer = ""
        self._duration = 100
        self._gap = 70
        self._playing = False

    @property
    def toneBuffer(self) -> str:
        """The tones that are still to be played."""
        return self._buffer

    @property
    def canInsertDTMF(self) -> bool:
        """W3C determine if DTMF can be sent."""
        value = self._internals.value
        # steps 3 to 7
        return (
            self._internals.owner.connection_state == "connected"
            and not value.stopping
            and self._internals.is_sending
            and value.encodings[0].active
            and any(codec.name == "telephone-event" for codec in value.send_codecs)
        )

    def insertDTMF(self, tones: str, duration: int = 100, interToneGap: int = 70) -> None:
        """Play tones instead of those that wait. https://www.w3.org/TR/webrtc/#dom-rtcdtmfsender-insertdtmf

        Args:
            tones: of "0" to "9", "A" to "D", "#" and "*"; "," is a pause of two seconds.
            duration: of each tone, in milliseconds, 40 to 6000.
            interToneGap: the silence after each, in milliseconds, 30 to 6000.

        Raises:
            InvalidStateError: its transceiver is stopped, or negotiation does not let it send tones.
            InvalidCharacterError: there is no such tone.
        """
        self._require_thread("insertDTMF()")
        string("the tones", tones)
        unsigned("the duration", duration, 2**32 - 1)
        unsigned("the interToneGap", interToneGap, 2**32 - 1)
        # steps 3 and 4
        if self._internals.value.stopping or not self.canInsertDTMF:
            raise InvalidStateError("no tones can be sent: the transceiver is stopped, or is not negotiated for them")
        # steps 5 and 6
        tones = tones.upper()
        if unknown := set(tones) - _TONES:
            raise InvalidCharacterError(f"there is no tone {min(unknown)!r}")
        # steps 7 to 10
        self._buffer = tones
        self._duration = min(max(duration, 40), 6000)
        self._gap = min(max(interToneGap, 30), 6000)
        # steps 11 to 13
        if tones and not self._playing:
            self._playing = True
            self._internals.owner.driver.queue_task(self._play)

    def clear(self) -> None:
        """Remove all tones: replaceTrack() has set another track."""
        self._buffer = ""

    def _play(self) -> None:
        """W3C DTMF playout task steps."""
        internals = self._internals
        # steps 1 and 2
        if internals.owner.is_closed or internals.value.stopping or not internals.is_sending:
            self._playing = False
            return
        # step 3
        if not self._buffer:
            self._playing = False
            self.dispatchEvent(RTCDTMFToneChangeEvent("tonechange", tone=""))
            return
        # steps 4 to 6
        tone, self._buffer = self._buffer[0], self._buffer[1:]
        wait = _PAUSE if tone == "," else self._duration + self._gap
        if tone != "," and internals.media_sender is not None:
            internals.owner.driver.core.dtmf(internals.media_sender, tone, self._duration / 1000)
        internals.owner.driver.call_later(wait / 1000, self._play)
        # step 7
        self.dispatchEvent(RTCDTMFToneChangeEvent("tonechange", tone=tone))
