"""The W3C's objects alone: an offer, an answer, candidates, carried by whatever you have. Here: two queues.

python examples/own_signaling.py
"""

import asyncio

import adieu


async def negotiate(pc: adieu.RTCPeerConnection, out: asyncio.Queue, incoming: asyncio.Queue) -> None:
    """Carry descriptions and candidates both ways, as in a browser."""
    pc.onicecandidate = lambda event: out.put_nowait(event.candidate)
    while True:
        match await incoming.get():
            case adieu.RTCSessionDescription() as description:
                await pc.setRemoteDescription(description)
                if description.type == "offer":
                    await pc.setLocalDescription()
                    out.put_nowait(pc.localDescription)
            case candidate:
                await pc.addIceCandidate(candidate)


async def echo(channel: adieu.RTCDataChannel) -> None:
    """Say everything back, until the other side goes."""
    try:
        async for message in channel:
            channel.send(f"you said {message}")
    except adieu.RTCError as error:
        print(f"the other side knows at once: {error} (SCTP cause {error.sctpCauseCode})")


async def main() -> None:
    async with asyncio.TaskGroup() as group:
        caller, callee = adieu.RTCPeerConnection(), adieu.RTCPeerConnection()
        to_callee, to_caller = asyncio.Queue(), asyncio.Queue()
        negotiating = [
            group.create_task(negotiate(caller, to_callee, to_caller)),
            group.create_task(negotiate(callee, to_caller, to_callee)),
        ]
        echoing = []
        callee.ondatachannel = lambda event: echoing.append(group.create_task(echo(event.channel)))

        channel = caller.createDataChannel("chat")
        await caller.setLocalDescription()
        to_callee.put_nowait(caller.localDescription)
        await adieu.once(channel, "open")
        channel.send("hello")
        print(await channel.receive())

        caller.close()  # abrupt and synchronous, as the W3C says
        await asyncio.gather(*echoing)
        callee.close()
        print(f"left of them: {await caller.wait_closed()}, {await callee.wait_closed()}")
        for task in negotiating:
            task.cancel()


asyncio.run(main())
