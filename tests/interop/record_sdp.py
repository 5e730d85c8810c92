"""Record what the other implementations really say: tests/fixtures/sdp/NAME-VERSION-WHAT-KIND.sdp.

python tests/e2e/lab/namespace.py python tests/interop/record_sdp.py

Only by hand, when a new version is to be had; the files are read by the tests of sdp/ and jsep/.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from e2e.lab.pages import Pages  # noqa: E402 the path first
from interop.conftest import OTHERS, Lab  # noqa: E402

TARGET = TESTS / "fixtures" / "sdp"


async def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        lab = Lab(stack, await stack.enter_async_context(Pages().serving()))
        for name in OTHERS:
            offerer = "firefox" if name == "chromium" else "chromium"
            for media in (False, True):
                what = "data-audio-video" if media else "data"
                await record(lab, name, offerer, what, media=media)


async def record(lab: Lab, name: str, offerer: str, what: str, *, media: bool) -> None:
    """One offer of this implementation, and its answer to another's."""
    async with lab.peer(name) as one, lab.peer(offerer) as other, lab.peer(name) as answerer:
        for peer in (one, other, answerer):
            await peer.call("new")
        for peer in (one, other):
            await peer.call("channel", label="chat")
            if media:
                await peer.call("media")
        await one.call("offer")
        await keep(one, what, "offer")
        await answerer.call("answer", sdp=await other.call("offer"))
        await keep(answerer, what, f"answer-to-{offerer}")


async def keep(peer, what: str, kind: str) -> None:
    """The description when all candidates are in it."""
    if peer.name != "aiortc":  # whose candidates are always in it, and which has no event
        await peer.expect("candidate", candidate=None)
    path = TARGET / f"{peer.name}-{peer.version}-{what}-{kind}.sdp"
    path.write_bytes((await peer.call("local")).encode())
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    asyncio.run(main())
