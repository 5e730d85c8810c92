"""One program behind a NAT: JSON lines in, JSON lines out. Arguments: "offer" or "answer", then the configuration."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import adieu


async def main(role: str, configuration: dict[str, Any]) -> None:
    pc = adieu.RTCPeerConnection(configuration, settings={"failedAfter": 6.0})
    start = time.monotonic()

    def tell(**words: Any) -> None:
        print(json.dumps(words), flush=True)

    def changed(_: Any) -> None:
        if pc.connectionState in {"connected", "failed"}:
            tell(state=pc.connectionState, seconds=time.monotonic() - start)

    pc.onicecandidate = lambda event: tell(candidate=event.candidate and event.candidate.toJSON())
    pc.onconnectionstatechange = changed
    pc.createDataChannel("x", negotiated=True, id=1)
    if role == "offer":
        await pc.setLocalDescription()
        tell(description=pc.localDescription.toJSON())
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        words = json.loads(line)
        if "description" in words:
            start = time.monotonic()
            await pc.setRemoteDescription(words["description"])
            if role == "answer":
                await pc.setLocalDescription()
                tell(description=pc.localDescription.toJSON())
        elif "candidate" in words:
            await pc.addIceCandidate(words["candidate"])
        elif "path" in words:
            report = await pc.getStats()
            pair = next(one for one in report.values() if one["type"] == "candidate-pair" and one["nominated"])
            tell(path=[report[pair[f"{side}CandidateId"]]["candidateType"] for side in ("local", "remote")])
        else:
            tell(state=pc.connectionState)
            break
    pc.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
