"""An answering machine: it keeps the packets of a message as they come, and plays them back. Nobody decodes on the way.

python examples/answering_machine.py

It needs no codec: the packets of Opus could as well go to a file, to another computer, or into another call. The caller
here is a program with a synthesised voice.
"""

import asyncio

import adieu
from adieu.media import AudioSink, AudioSource, EncodedFrame, EncodedSource, encoded
from adieu.testing import ToneReader, tones

MESSAGE = 2.0
"""Seconds of a message."""


async def first_track(session: adieu.Session) -> adieu.MediaStreamTrack:
    """Wait for the other side's track. A handler that listened itself would hold up the events after this one."""
    came: asyncio.Future[adieu.MediaStreamTrack] = asyncio.get_running_loop().create_future()
    session.on("track", lambda event: None if came.done() else came.set_result(event.track))
    return await came


async def machine(session: adieu.Session) -> None:
    message: list[EncodedFrame] = []
    frames = encoded(await first_track(session))
    async for frame in frames:
        message.append(frame)
        if frame.time - message[0].time >= MESSAGE:
            break
    frames.close()
    size, lost = sum(len(frame.data) for frame in message), message[-1].id - message[0].id + 1 - len(message)
    print(f"machine: a message of {message[0].mime_type}, {len(message)} packets, {size // 1000} kB, {lost} lost")
    voice = EncodedSource("audio/opus")
    session.add_track(voice.track)
    await voice.write(*message)  # all at once: the core sends each one in its time
    print(f"machine: plays {voice.queued:.0f} s")
    receipt = await session.close("that was your message", timeout=8.0)  # it is heard first
    print(f"machine: {sum(account.sent.unsent for account in receipt.media.values()):.1f} s were not said")


async def caller(session: adieu.Session) -> None:
    mouth, reader = AudioSource(sample_rate=24000), ToneReader()
    session.add_track(mouth.track)
    speaking = asyncio.create_task(mouth.write(tones(60, sample_rate=24000)))  # 40 ms each
    async for frame in AudioSink(await first_track(session), sample_rate=8000):
        reader.feed(frame.data, frame.time)
    await speaking
    numbers = {tone.number for tone in reader.heard}
    print(f"caller: heard {len(numbers & set(range(5, 45)))} of 40 tones again; {(await session.wait_closed()).notice}")


async def main() -> None:
    async with adieu.memory_pair() as (here, there):
        await asyncio.gather(machine(here), caller(there))


asyncio.run(main())
