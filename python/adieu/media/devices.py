"""MediaDevices: `adieu.mediaDevices`. https://www.w3.org/TR/mediacapture-streams/#mediadevices

There are no real devices yet. With `ADIEU_FAKE_MEDIA=1` in the environment there are a generated microphone, which
gives a soft tone, and a generated camera, which gives moving pictures if PyAV is installed.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from adieu.errors import NotFoundError
from adieu.events import Event, EventHandler, EventTarget
from adieu.media.generated_camera import GeneratedCamera
from adieu.media.generated_microphone import GeneratedSound
from adieu.webrtc.constraints import Constraints, fit
from adieu.webrtc.dictionaries import dictionary, is_mapping
from adieu.webrtc.media_stream import MediaStream
from adieu.webrtc.media_stream_track import MediaStreamTrack, TrackInternals, TrackSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.jsep import Kind

MediaDeviceKind: TypeAlias = Literal["audioinput", "videoinput", "audiooutput"]

FAKE: Final = "ADIEU_FAKE_MEDIA"


@dataclass(frozen=True, slots=True)
class MediaDeviceInfo:
    """A device. https://www.w3.org/TR/mediacapture-streams/#mediadeviceinfo

    Attributes:
        deviceId: its id.
        kind: "audioinput", "videoinput" or "audiooutput".
        label: its name for people.
        groupId: equal for devices that are one piece of hardware.
    """

    deviceId: str
    kind: MediaDeviceKind
    label: str
    groupId: str

    def toJSON(self) -> dict[str, str]:
        """Return a dict that json can write."""
        return {"deviceId": self.deviceId, "kind": self.kind, "label": self.label, "groupId": self.groupId}


@dataclass(frozen=True, slots=True)
class MediaStreamConstraints:
    """The argument of getUserMedia(). https://www.w3.org/TR/mediacapture-streams/#mediastreamconstraints

    Attributes:
        audio: True, or constraints for a microphone.
        video: the same for a camera.
    """

    audio: bool | Mapping[str, Any] | None = None
    video: bool | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("audio", "video"):
            given: object = getattr(self, name)
            if not (given is None or isinstance(given, bool) or is_mapping(given)):
                raise TypeError(f"MediaStreamConstraints.{name} is {given!r}, not True, False or a mapping")


@dataclass(frozen=True, slots=True)
class _Fake:
    info: MediaDeviceInfo
    capabilities: Mapping[str, Any]
    settings: Mapping[str, Any]


_FAKES: Final[Mapping[Kind, _Fake]] = {
    "audio": _Fake(
        MediaDeviceInfo("generated-microphone", "audioinput", "Generated microphone", "generated"),
        {
            "sampleRate": {"min": 8000, "max": 48000},
            "sampleSize": {"min": 16, "max": 16},
            "channelCount": {"min": 1, "max": 2},
            "echoCancellation": [False],
            "autoGainControl": [False],
            "noiseSuppression": [False],
            "latency": {"min": 0.0, "max": 0.1},
            "deviceId": ["generated-microphone"],
            "groupId": ["generated"],
        },
        {"sampleRate": 48000, "sampleSize": 16, "channelCount": 1, "latency": 0.02},
    ),
    "video": _Fake(
        MediaDeviceInfo("generated-camera", "videoinput", "Generated camera", "generated"),
        {
            "width": {"min": 1, "max": 1920},
            "height": {"min": 1, "max": 1080},
            "aspectRatio": {"min": 1 / 1080, "max": 1920.0},
            "frameRate": {"min": 1.0, "max": 60.0},
            "facingMode": ["user", "environment"],
            "resizeMode": ["none", "crop-and-scale"],
            "deviceId": ["generated-camera"],
            "groupId": ["generated"],
        },
        {"width": 640, "height": 480, "frameRate": 30.0, "facingMode": "user", "resizeMode": "none"},
    ),
}


class MediaDevices(EventTarget):
    """Cameras and microphones. There is one object, `adieu.mediaDevices`.

    Events: `devicechange`.
    """

    __slots__ = ()

    ondevicechange: EventHandler[Event] = EventHandler("devicechange")

    async def getUserMedia(
        self,
        constraints: MediaStreamConstraints | Mapping[str, Any] | None = None,
        *,
        audio: bool | Mapping[str, Any] | None = None,
        video: bool | Mapping[str, Any] | None = None,
    ) -> MediaStream:
        """Ask for a microphone, a camera, or both.

        https://www.w3.org/TR/mediacapture-streams/#dom-mediadevices-getusermedia

        Args:
            constraints: a mapping with `audio` and `video`, or MediaStreamConstraints.
            audio: the same as a keyword: True, or constraints.
            video: the same as a keyword.

        Raises:
            TypeError: neither is asked for, or an argument is not constraints.
            NotFoundError: there is no such device.
            OverconstrainedError: no device can do that.

        Cancellation: nothing is held.
        """
        keywords = {name: given for name, given in (("audio", audio), ("video", video)) if given is not None}
        checked = dictionary(MediaStreamConstraints, constraints, keywords, open_=True)
        asked: dict[Kind, Any] = {"audio": checked.audio, "video": checked.video}
        wanted: dict[Kind, Constraints] = {}
        # step 3
        for kind, given in asked.items():
            if given is not None and given is not False:
                wanted[kind] = Constraints.of(given)
        if not wanted:
            raise TypeError("getUserMedia() is asked for neither audio nor video")
        # step 10, in parallel
        await asyncio.sleep(0)
        tracks = [self._track(kind, asked_for) for kind, asked_for in wanted.items()]
        return MediaStream([MediaStreamTrack(internals) for internals in tracks])

    async def enumerateDevices(self) -> list[MediaDeviceInfo]:
        """Return all devices.

        Cancellation: nothing changes.
        """
        return [fake.info for fake in _FAKES.values()] if _is_fake() else []

    def getSupportedConstraints(self) -> dict[str, bool]:
        """Return the names of the constraints that are supported."""
        return {name: True for fake in _FAKES.values() for name in fake.capabilities}

    @staticmethod
    def _track(kind: Kind, constraints: Constraints) -> TrackInternals:
        if not _is_fake():
            raise NotFoundError(
                f"there is no device for {kind}: devices are not there yet. "
                f"{FAKE}=1 in the environment gives generated ones"
            )
        fake = _FAKES[kind]
        ids = {"deviceId": fake.info.deviceId, "groupId": fake.info.groupId}
        settings = fit(constraints, fake.capabilities, {**fake.settings, **ids})
        source = TrackSource(fake.info.label, fake.capabilities)
        if kind == "audio":
            sound = GeneratedSound()
            source.audio, source.feed, source.release = sound.core, sound, sound.release
        else:
            camera = GeneratedCamera(settings)
            source.video, source.release = camera, camera.release
        return TrackInternals(kind, source, constraints=constraints, settings=settings)


def _is_fake() -> bool:
    return os.environ.get(FAKE) == "1"


mediaDevices: Final = MediaDevices()  # noqa: N816 the W3C's name
"""The devices of this machine."""
