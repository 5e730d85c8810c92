"""Sound that is encoded already: packets of Opus, sent as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from adieu.errors import NotSupportedError
from adieu.media.encoded_frame import EncodedFrame
from adieu.media.voice import Voice

if TYPE_CHECKING:
    from typing_extensions import Buffer

RATE: Final = 48_000
"""Frames a second in the timestamps of Opus, whatever the rate of the sound is."""
AT_ONCE: Final = 500
"""Packets that are handed to the core at once."""


class EncodedSound(Voice):
    """A source of packets of Opus, which nobody decodes on the way: from a voice of a service, from a file.

    ```python
    voice = adieu.media.EncodedSource("audio/opus")
    pc.addTrack(voice.track)
    async for packet in service.speech():
        await voice.write(packet)
    ```

    `EncodedSource("audio/opus")` makes it. The core keeps the time: a packet leaves when the one before it has been
    heard, whether the event loop is free or not. While the queue is empty, nothing is sent. Packets that are written
    before a connection is there wait for it.

    Args:
        max_seconds: the most that is queued, in seconds, 0.02 to 60; then `write` waits.

    Raises:
        ValueError: a number is out of its range.

    Thread safety: of one event loop, that in which it is made.
    """

    _name: ClassVar[str] = "EncodedSource"

    def __init__(self, *, max_seconds: float = 10.0) -> None:
        settings = {"sampleRate": RATE, "channelCount": 2}
        super().__init__("packets of Opus of this program", settings, max_seconds, "opus")

    @property
    def mime_type(self) -> str:
        """The codec: "audio/opus"."""
        return "audio/opus"

    async def write(self, *packets: Buffer | EncodedFrame) -> None:
        """Queue packets, after those that are queued already. Return when all of them are queued.

        While more than `max_seconds` are queued this waits, as `AudioSource.write` does.

        Args:
            packets: packets of Opus, each without a container, at most 1100 bytes and 120 ms; or frames of `encoded`.

        Raises:
            TypeError: it has no bytes.
            ValueError: it is no packet of Opus, too large, or a frame of another codec. Then nothing is queued.
            NotSupportedError: the connection has agreed on another codec.
            InvalidStateError: the source has ended, the connections that sent it are closed, or the session is closing.

        Cancellation: some of them may be queued.
        """
        self._driver.require_thread("EncodedSource.write()")
        self._check_packets()
        ready = [_bytes_of(packet) for packet in packets]
        clears, at = self._clears, 0
        async with self._turn:
            while at < len(ready) and clears == self._clears:
                self._check_packets()
                given = ready[at : at + AT_ONCE]
                taken = self._core.write_packets(given)
                at += taken
                if taken < len(given):
                    await self._wait_for_room()

    def send(self, packet: Buffer | EncodedFrame) -> bool:
        """Queue a packet, if there is room for it. It does not wait.

        Args:
            packet: as in `write`.

        Returns:
            Whether it is queued. It is not while `max_seconds` are queued, or a `write` waits.

        Raises:
            TypeError: it has no bytes.
            ValueError: it is no packet of Opus, too large, or a frame of another codec.
            NotSupportedError: the connection has agreed on another codec.
            InvalidStateError: the source has ended, the connections that sent it are closed, or the session is closing.
        """
        self._driver.require_thread("EncodedSource.send()")
        self._check_packets()
        return not self._turn.locked() and self._core.write_packets((_bytes_of(packet),)) == 1

    def _check_packets(self) -> None:
        self._check_writable()
        if wrong := self._core.wrong:
            raise NotSupportedError(
                f"the connection sends {wrong}, and this source has opus: the other side does not take that, or "
                "setCodecPreferences() has left it out"
            )

    def _label(self) -> str:
        return "EncodedSource audio/opus"


def _bytes_of(packet: Buffer | EncodedFrame) -> Buffer:
    if not isinstance(packet, EncodedFrame):
        return packet
    if packet.mime_type != "audio/opus":
        raise ValueError(f"a frame of {packet.mime_type} for a source of audio/opus")
    return packet.data
