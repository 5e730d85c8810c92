"""libdatachannel by aiolibdatachannel, which needs Python 3.12."""

import asyncio
import importlib.metadata
import time

from aiolibdatachannel import DataChannelOptions, PeerConnection, RTCConfiguration
from common import HIGH, LOW, main


class LibdatachannelLink:
    version = importlib.metadata.version("aiolibdatachannel")

    def __init__(self):
        self.on_message = None
        self.pc = PeerConnection(RTCConfiguration(max_message_size=1 << 20))
        self.channel = None
        self._tasks = []

    async def _make(self):
        self.channel = await self.pc.create_data_channel("bench", DataChannelOptions(negotiated=True, stream_id=0))
        self._queue = asyncio.Queue()
        self.channel.set_buffered_amount_low_threshold(LOW)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    async def _read(self):
        async for data in self.channel:
            self.on_message(data)

    async def _write(self):
        while True:
            await self.channel.send(await self._queue.get(), wait_for_drain=False)
            self._queue.task_done()

    async def offer(self):
        await self._make()
        return (await self.pc.create_offer()).sdp

    async def answer(self, sdp):
        await self._make()
        await self.pc.set_remote_description(sdp, "offer")
        return (await self.pc.create_answer()).sdp

    async def accept(self, sdp):
        await self.pc.set_remote_description(sdp, "answer")

    async def opened(self):
        await self.channel.wait_open()

    def send(self, data):
        self._queue.put_nowait(data)

    async def blast(self, message, until):
        await self._queue.join()
        count = 0
        low = self.channel._buffered_low_event  # noqa: SLF001 send(wait_for_drain=True) would wait for an empty buffer
        while time.perf_counter() < until:
            low.clear()
            if self.channel.buffered_amount > HIGH:
                await low.wait()
                continue
            await self.channel.send(message, wait_for_drain=False)
            count += 1
            if count % 64 == 0 or len(message) > 4096:
                await asyncio.sleep(0)
        return count

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pc.aclose()


main(LibdatachannelLink)
