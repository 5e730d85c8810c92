"""Gathers candidates with the servers that the arguments name, and prints how long that took and what went wrong."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import adieu


async def main(urls: list[str]) -> None:
    pc = adieu.RTCPeerConnection({"iceServers": [{"urls": urls}]})
    errors: list[tuple[str, int]] = []
    ended = asyncio.Event()

    def found(event: Any) -> None:
        if event.candidate is None:
            ended.set()

    pc.onicecandidate = found
    pc.onicecandidateerror = lambda event: errors.append((event.url, event.errorCode))
    pc.createDataChannel("x")
    start = time.monotonic()
    await pc.setLocalDescription()
    await ended.wait()
    print(json.dumps({"seconds": time.monotonic() - start, "errors": sorted(errors)}))
    pc.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
