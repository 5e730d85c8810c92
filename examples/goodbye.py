"""A graceful end for a connection of your own: no session, no server, your own signaling.

python examples/goodbye.py
"""

import asyncio

import adieu


async def main() -> None:
    ada, ben = adieu.RTCPeerConnection(), adieu.RTCPeerConnection()
    chat = ada.createDataChannel("chat")
    ben.ondatachannel = lambda event: event.channel.addEventListener("message", lambda it: print("Ben hears", it.data))
    # One line on each side; on one side alone it works too, and proves less.
    end, other_end = adieu.goodbye(ada), adieu.goodbye(ben)
    other_end.on("closing", lambda event: print("Ben learns:", event.reason))

    await introduce(ada, ben)
    await adieu.once(chat, "open")
    chat.send("hello")
    chat.send("queued, and closed at once")
    receipt = await end.close(reason="done", timeout=5.0)
    theirs = await other_end.close()  # closed already: the receipt that Ben's side holds

    [account] = receipt.channels
    print(f"{account.delivered} of {account.sent} messages reached Ben's program")
    print("the same receipt:", theirs.id == receipt.id and theirs.confirmed and receipt.confirmed)


async def introduce(one: adieu.RTCPeerConnection, other: adieu.RTCPeerConnection) -> None:
    """Pass the descriptions on. In your program this is what your signaling does."""
    await one.setLocalDescription()
    await gathered(one)
    await other.setRemoteDescription(one.localDescription)
    await other.setLocalDescription()
    await gathered(other)
    await one.setRemoteDescription(other.localDescription)


async def gathered(pc: adieu.RTCPeerConnection) -> None:
    """Wait until all candidates are in the description."""
    while pc.iceGatheringState != "complete":
        await adieu.once(pc, "icegatheringstatechange")


asyncio.run(main())
