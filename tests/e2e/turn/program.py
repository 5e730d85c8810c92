"""A program with a relayed address that does not close its connection: argv is the server as JSON, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

from adieu.webrtc import RTCPeerConnection


async def main(server: dict[str, str], end: str) -> None:
    pc = RTCPeerConnection({"iceServers": [server], "iceTransportPolicy": "relay"})
    pc.createDataChannel("x")
    gathered = asyncio.Event()
    pc.onicecandidate = lambda event: event.candidate is None and gathered.set()
    await pc.setLocalDescription()
    await asyncio.wait_for(gathered.wait(), 20)
    print("gathered", flush=True)
    if end == "blocked":
        pc.close()
        sys.stdin.readline()  # the event loop stands still
    elif end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif end == "exit":
        sys.exit(3)
    else:
        assert end == "finished"


asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2]))
if sys.argv[2] == "finished":
    print("loop is over", flush=True)
    time.sleep(0.2)  # the loop has been closed for a while when the program ends
