"""adieu, by its W3C layer; with a word, that congestion controller."""

import asyncio
import importlib.metadata
import sys
import time

from common import HIGH, LOW, main

import adieu


class AdieuLink:
    version = importlib.metadata.version("adieu")

    def __init__(self):
        self.on_message = None
        settings = {"settings": adieu.TransportSettings(congestion=sys.argv[1])} if sys.argv[1:] else {}
        self.pc = adieu.RTCPeerConnection(**settings)
        self.channel = self.pc.createDataChannel("bench", negotiated=True, id=0)
        self.channel.bufferedAmountLowThreshold = LOW
        self._open, self._low, self._gathered = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.pc.onicegatheringstatechange = self._gathering
        self.channel.onopen = lambda _: self._open.set()
        self.channel.onbufferedamountlow = lambda _: self._low.set()
        self.channel.onmessage = lambda event: self.on_message(event.data)

    def _gathering(self, _):
        if self.pc.iceGatheringState == "complete":
            self._gathered.set()

    async def offer(self):
        await self.pc.setLocalDescription()
        await self._gathered.wait()
        return self.pc.localDescription.sdp

    async def answer(self, sdp):
        await self.pc.setRemoteDescription({"type": "offer", "sdp": sdp})
        return await self.offer()

    async def accept(self, sdp):
        await self.pc.setRemoteDescription({"type": "answer", "sdp": sdp})

    async def opened(self):
        await self._open.wait()

    def send(self, data):
        self.channel.send(data)

    async def blast(self, message, until):
        count = 0
        channel, low, now = self.channel, self._low, time.perf_counter
        while now() < until:
            if channel.bufferedAmount > HIGH:
                low.clear()
                await low.wait()
            channel.send(message)
            count += 1
        return count

    async def close(self):
        self.pc.close()
        await self.pc.wait_closed()


main(AdieuLink)
