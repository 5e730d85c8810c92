"""aiortc."""

import asyncio
import time

import aiortc
from common import HIGH, LOW, main


class AiortcLink:
    version = aiortc.__version__

    def __init__(self):
        self.on_message = None
        self.pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self.channel = self.pc.createDataChannel("bench", negotiated=True, id=0)
        self.channel.bufferedAmountLowThreshold = LOW
        self._open, self._low = asyncio.Event(), asyncio.Event()
        self.channel.on("open", self._open.set)
        self.channel.on("bufferedamountlow", self._low.set)
        self.channel.on("message", self._heard)

    def _heard(self, data):
        self.on_message(data)

    async def offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def answer(self, sdp):
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return self.pc.localDescription.sdp

    async def accept(self, sdp):
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "answer"))

    async def opened(self):
        await self._open.wait()

    def send(self, data):
        self.channel.send(data)

    async def blast(self, message, until):
        count = 0
        while time.perf_counter() < until:
            self._low.clear()
            if self.channel.bufferedAmount > HIGH:
                await self._low.wait()
            self.channel.send(message)
            count += 1
        return count

    async def close(self):
        await self.pc.close()


main(AiortcLink)
