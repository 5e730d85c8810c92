"""A program that changes pictures with numpy: what a camera sends comes back as a negative.

python examples/process_video.py

It needs pictures and arrays: pip install 'adieu[video]' numpy. Here the camera is a second program with test pictures
that carry their number. In front of a page only `connect` is another one.
"""

import asyncio

import adieu
from adieu.media import VideoSink, VideoSource
from adieu.testing import number_of, numbered

PICTURES = 60


async def processor(pc: adieu.RTCPeerConnection) -> None:
    """Send each picture back, inverted. While this is busy, older pictures make room for the newest."""
    out = VideoSource()
    pc.addTrack(out.track)
    event = await adieu.once(pc, "track")
    async for frame in VideoSink(event.track, format="bgr24"):
        out.push(255 - frame.array, format="bgr24")


async def camera(pc: adieu.RTCPeerConnection) -> None:
    """Show numbered pictures, and look at their negatives."""
    lens = VideoSource()
    pc.addTrack(lens.track)
    event = await adieu.once(pc, "track")
    showing = asyncio.create_task(show(lens))
    seen: set[int] = set()
    async for frame in VideoSink(event.track, format="gray"):
        negative = bytes(255 - level for level in frame.data[: 32 * frame.width])
        number = number_of(negative, frame.width)
        if number is not None:
            if not seen:
                print(f"camera: picture {number} came back as a negative, {frame.width}x{frame.height}")
            seen.add(number)
        if number == PICTURES:
            break
    showing.cancel()
    # The first ones are shown before the way back is there.
    print(f"camera: {len(seen & set(range(PICTURES // 2, PICTURES)))} of {PICTURES // 2} negatives came back")


async def show(lens: VideoSource) -> None:
    while not lens.sent:  # nobody looks yet
        lens.push(numbered(0))
        await asyncio.sleep(0.1)
    for number in range(1, PICTURES + 30):
        lens.push(numbered(min(number, PICTURES)))
        await asyncio.sleep(1 / 30)


async def connect(one: adieu.RTCPeerConnection, other: adieu.RTCPeerConnection) -> None:
    """Stand in for your signaling."""
    await one.setLocalDescription()
    await other.setRemoteDescription(await one.gathered())
    await other.setLocalDescription()
    await one.setRemoteDescription(await other.gathered())


async def main() -> None:
    here, there = adieu.RTCPeerConnection(), adieu.RTCPeerConnection()
    processing = asyncio.create_task(processor(there))
    looking = asyncio.create_task(camera(here))
    await asyncio.sleep(0)  # both have added their tracks
    await connect(here, there)
    await looking
    for pc in (here, there):
        pc.close()  # the track ends, and the loop of the processor with it
    await processing
    print(f"left: {await here.wait_closed()}, {await there.wait_closed()}")


asyncio.run(main())
