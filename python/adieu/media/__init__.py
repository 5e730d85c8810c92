"""Media of programs: sound and pictures, which they speak and hear, show and see, and the devices of their machine.

Audio needs no extra: codecs, playout and clocks are in the core. Pictures are encoded and decoded by PyAV, of the extra
`adieu[video]`; those that are passed on encoded need no extra. Nothing here loads numpy or PyAV before it is used;
arrays are taken and given by the buffer protocol.
"""

from typing import TYPE_CHECKING

from adieu.lazy import lazy

if TYPE_CHECKING:
    from adieu.media.devices import MediaDeviceInfo, MediaDevices, MediaStreamConstraints, mediaDevices
    from adieu.media.encoded_frame import EncodedFrame
    from adieu.media.encoded_sound import EncodedSound
    from adieu.media.encoded_source import EncodedSource, encoded
    from adieu.media.events import BitrateEvent, KeyframeEvent, SourceErrorEvent
    from adieu.media.frame import AudioFrame
    from adieu.media.pictures import VideoFrame
    from adieu.media.sink import AudioSink
    from adieu.media.source import AudioSource
    from adieu.media.video_sink import VideoSink
    from adieu.media.video_source import VideoSource

__all__ = [
    "AudioFrame",
    "AudioSink",
    "AudioSource",
    "BitrateEvent",
    "EncodedFrame",
    "EncodedSound",
    "EncodedSource",
    "KeyframeEvent",
    "MediaDeviceInfo",
    "MediaDevices",
    "MediaStreamConstraints",
    "SourceErrorEvent",
    "VideoFrame",
    "VideoSink",
    "VideoSource",
    "encoded",
    "mediaDevices",
]

if not TYPE_CHECKING:  # a module's __getattr__ would hide misspelled names from type checkers
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "adieu.media.devices": ("MediaDeviceInfo MediaDevices MediaStreamConstraints mediaDevices",),
            "adieu.media.encoded_frame": ("EncodedFrame",),
            "adieu.media.encoded_sound": ("EncodedSound",),
            "adieu.media.encoded_source": ("EncodedSource encoded",),
            "adieu.media.events": ("BitrateEvent KeyframeEvent SourceErrorEvent",),
            "adieu.media.frame": ("AudioFrame",),
            "adieu.media.pictures": ("VideoFrame",),
            "adieu.media.sink": ("AudioSink",),
            "adieu.media.source": ("AudioSource",),
            "adieu.media.video_sink": ("VideoSink",),
            "adieu.media.video_source": ("VideoSource",),
        },
    )
