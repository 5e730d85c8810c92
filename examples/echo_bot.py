"""A bot that says back what it hears, a second later: sound of another program, decoded, and spoken again.

python examples/echo_bot.py

Here the caller is a second program with a synthesised voice. In front of a page only `connect` is another one: the page
adds its microphone, and plays what comes back.
"""

import asyncio
from collections import deque
from contextlib import suppress

import adieu
from adieu.media import AudioSink, AudioSource
from adieu.testing import ToneReader, tones

LATER = 1.0
RATE = 24000


async def bot(pc: adieu.RTCPeerConnection, heard: asyncio.Event) -> None:
    """Say back everything, a second later."""
    echo = AudioSource(sample_rate=RATE)
    pc.addTrack(echo.track)
    event = await adieu.once(pc, "track")
    waiting: deque[bytes] = deque()
    with suppress(adieu.InvalidStateError):  # the connection was closed, and there is sound that was not read before
        async for frame in AudioSink(event.track, sample_rate=RATE):
            heard.set()
            waiting.append(frame.data)
            if len(waiting) * frame.duration > LATER:
                await echo.write(waiting.popleft())


async def caller(pc: adieu.RTCPeerConnection) -> None:
    """Speak numbered tones, and listen for them."""
    voice = AudioSource(sample_rate=48000)
    pc.addTrack(voice.track)
    event = await adieu.once(pc, "track")
    sink, reader = AudioSink(event.track, sample_rate=8000), ToneReader()
    await voice.write(tones(75))  # 3 seconds
    async for frame in sink:
        for tone in reader.feed(frame.data, frame.time):
            if tone.number % 25 == 0:
                print(f"caller: tone {tone.number} came back")
        if reader.heard and reader.heard[-1].number >= 70:
            break
    numbers = {tone.number for tone in reader.heard}
    print(f"caller: {len(numbers & set(range(5, 70)))} of 65 tones came back")


async def connect(one: adieu.RTCPeerConnection, other: adieu.RTCPeerConnection) -> None:
    """Stand in for your signaling."""
    await one.setLocalDescription()
    await other.setRemoteDescription(await one.gathered())
    await other.setLocalDescription()
    await one.setRemoteDescription(await other.gathered())


async def main() -> None:
    here, there = adieu.RTCPeerConnection(), adieu.RTCPeerConnection()
    heard = asyncio.Event()
    listening = asyncio.create_task(bot(there, heard))
    calling = asyncio.create_task(caller(here))
    await asyncio.sleep(0)  # both have added their tracks
    await connect(here, there)
    await calling
    print(f"the bot heard something: {heard.is_set()}")
    for pc in (here, there):
        pc.close()  # the bot's track ends, and its loop with it
    await listening
    print(f"left: {await here.wait_closed()}, {await there.wait_closed()}")


asyncio.run(main())
