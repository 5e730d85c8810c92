"""A voice agent that can be interrupted, and whose last sentence is heard before it hangs up.

python examples/voice_agent.py

When the caller begins to speak, the agent stops within a moment, and knows how much of its answer was spoken. The
voices and the speech detection are toys here; everything else is as with real ones.
"""

import asyncio
from array import array

import adieu
from adieu.media import AudioSink, AudioSource
from adieu.testing import voice

ANSWER = "There are many things that I could tell you about the sea, and about the ships, and the people on them."


def is_speech(pcm: bytes) -> bool:
    """Tell speech from silence, by its loudness. Use a real detector instead."""
    return max(map(abs, array("h", pcm)), default=0) > 1000


async def speak(speech: AudioSource, text: str) -> None:
    """Speak a text as it is synthesised, piece by piece. A write waits by itself when enough is queued."""
    for piece in voice(text, sample_rate=speech.sample_rate):
        await speech.write(piece)
        await asyncio.sleep(0)  # a real synthesiser is awaited here


async def first_track(session: adieu.Session) -> adieu.MediaStreamTrack:
    """Wait for the other side's track. A handler that listened itself would hold up the events after this one."""
    came: asyncio.Future[adieu.MediaStreamTrack] = asyncio.get_running_loop().create_future()
    session.on("track", lambda event: None if came.done() else came.set_result(event.track))
    return await came


async def agent(session: adieu.Session) -> None:
    speech = AudioSource(sample_rate=24000)
    session.add_track(speech.track)
    ears = AudioSink(await first_track(session), sample_rate=16000)
    answering = asyncio.create_task(speak(speech, ANSWER))
    async for frame in ears:
        if is_speech(frame.data):
            answering.cancel()
            dropped = speech.clear()  # what is queued is not spoken
            print(f"agent: interrupted after {speech.position:.1f} s; {dropped:.1f} s more were queued")
            break
    await speak(speech, "Goodbye!")
    print(f"agent: hangs up, with {speech.queued:.1f} s still to say")
    receipt = await session.close("the call is over", timeout=8.0)  # the last sentence is heard first
    [account] = receipt.media.values()
    print(f"agent: {account.sent.unsent:.1f} s were not said")


async def caller(session: adieu.Session) -> None:
    mouth = AudioSource(sample_rate=24000)
    session.add_track(mouth.track)
    heard, since, interrupting = 0.0, 0.0, None
    async for frame in AudioSink(await first_track(session), sample_rate=16000):
        speaks = is_speech(frame.data)
        heard, since = heard + speaks * frame.duration, 0.0 if speaks else since + frame.duration
        if heard > 1.0 and interrupting is None:
            print("caller: I interrupt")
            interrupting = asyncio.create_task(speak(mouth, "wait"))
    receipt = await session.wait_closed()
    print(f"caller: heard {heard:.1f} s of speech; {receipt.notice}")


async def main() -> None:
    async with adieu.memory_pair() as (here, there):
        await asyncio.gather(agent(here), caller(there))


asyncio.run(main())
