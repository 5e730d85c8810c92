"""A call with pipecat's transport for aiortc, over adieu: messages of the channel, sound both ways, the end."""

import adieu.compat

adieu.compat.install_aiortc()

import asyncio
import math
from array import array

from aiortc import AudioStreamTrack, MediaStreamError, RTCPeerConnection, RTCSessionDescription
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import RawAudioTrack


async def main():
    client, server = RTCPeerConnection(), SmallWebRTCConnection()
    channel = client.createDataChannel("chat")
    client.addTrack(AudioStreamTrack())
    answered, closed = asyncio.Event(), asyncio.Event()
    loud = 0

    @channel.on("message")
    def on_message(message):
        print("client:", message)
        answered.set()

    @client.on("track")
    async def on_track(track):
        nonlocal loud
        try:
            while True:
                frame = await track.recv()
                loud += max(array("h", bytes(frame.planes[0]))) > 3000
        except MediaStreamError:
            print("client: the track has ended")

    @server.event_handler("app-message")
    async def on_app_message(connection, message):
        connection.send_app_message({"echo": message["text"]})

    @server.event_handler("closed")
    async def on_closed(connection):
        closed.set()

    await client.setLocalDescription(await client.createOffer())
    await server.initialize(client.localDescription.sdp, client.localDescription.type)
    voice = RawAudioTrack(sample_rate=16000)
    server.replace_audio_track(voice)
    answer = server.get_answer()
    await client.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await server.connect()
    opened = asyncio.Event()
    channel.on("open", opened.set)
    if channel.readyState != "open":
        await opened.wait()
    channel.send('{"type": "greeting", "text": "hello"}')
    await answered.wait()
    heard = [await server.audio_input_track().recv() for _ in range(20)]
    print("server:", len(heard), "frames of", heard[-1].sample_rate)
    await voice.add_audio_bytes(array("h", (round(9000 * math.sin(n / 5)) for n in range(16000))).tobytes())
    await asyncio.sleep(0.5)  # the way to the client, and its playout
    print("client: loud frames", loud)
    await client.close()
    await closed.wait()
    await server.disconnect()


asyncio.run(main())
