"""A robot with a camera that gives H264: its frames are passed on as they are, and nothing is encoded here.

python examples/camera_robot.py

The camera here is a toy that needs PyAV, and so does the viewer: pip install 'adieu[video]'. With V4L2, GStreamer or
an encoder of the hardware there is no need for it on the robot: put its frames into `send`.
"""

import asyncio
import contextlib

import av

import adieu
from adieu.media import EncodedSource, VideoSink
from adieu.testing import number_of, numbered

PICTURES = 75


class Camera:
    """Takes 30 numbered pictures a second, and compresses them to H264 by itself, as many cameras do."""

    def __init__(self) -> None:
        self.force_key = True
        self.codec = av.CodecContext.create("libx264", "w")
        self.codec.width, self.codec.height, self.codec.pix_fmt = 640, 480, "yuv420p"
        self.codec.framerate, self.codec.gop_size, self.codec.bit_rate = 30, 300, 1_000_000
        self.codec.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}

    def take(self, number: int) -> tuple[bytes, bool]:
        """Return a frame, and whether it can be decoded by itself."""
        picture = numbered(number)
        picture.pts = number
        if self.force_key:
            picture.pict_type = av.video.frame.PictureType.I
            self.force_key = False
        [packet] = self.codec.encode(picture)
        return bytes(packet), packet.is_keyframe


async def robot(session: adieu.Session) -> None:
    camera, source = Camera(), EncodedSource("video/H264")
    source.on("bitrate", lambda event: print(f"robot: the path carries {event.bitrate // 1000} kbit/s"))
    looked_at = asyncio.Event()

    @source.on("keyframe")
    def _(_: adieu.Event) -> None:
        camera.force_key = True  # somebody has begun to look, or has lost a frame
        looked_at.set()

    session.add_track(source.track)
    await looked_at.wait()
    number = 0
    while session.state == "open":
        data, key = camera.take(number)
        source.send(data, key=key)
        number += 1
        await asyncio.sleep(1 / 30)


async def viewer(session: adieu.Session) -> None:
    came: asyncio.Future[adieu.MediaStreamTrack] = asyncio.get_running_loop().create_future()
    session.on("track", lambda event: None if came.done() else came.set_result(event.track))
    numbers: list[int] = []
    async for frame in VideoSink(await came, format="gray", queue=30):
        number = number_of(frame.data, frame.width)
        if number is not None:
            numbers.append(number)
        if len(numbers) == 1:
            print(f"viewer: the first picture is {frame.width}x{frame.height}")
        if len(numbers) >= PICTURES:
            break
    in_order = numbers == sorted(set(numbers))
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    print(f"viewer: saw {len(numbers)} pictures, in order: {in_order}, missing: {missing}")
    receipt = await session.close("seen enough")
    [account] = receipt.media.values()
    print(f"viewer: {account.received.decoded} pictures were decoded")


async def main() -> None:
    async with adieu.memory_pair() as (ada, ben):
        driving = asyncio.create_task(robot(ada))
        await viewer(ben)
        receipt = await ada.wait_closed()
        with contextlib.suppress(adieu.DOMException):
            await driving
        [account] = receipt.media.values()
        print(f"robot: at least {PICTURES} frames were passed on: {account.sent.frames >= PICTURES}")


asyncio.run(main())
