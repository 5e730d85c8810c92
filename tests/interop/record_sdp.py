"""Record what implementations really say: tests/fixtures/sdp/NAME-VERSION-WHAT-KIND.sdp.

python tests/e2e/lab/namespace.py python tests/interop/record_sdp.py [NAME ...]

Only by hand, when a new version is to be had, for all or for those that are named; the files are read by the tests
of sdp/, jsep/ and webrtc/. KIND is "offer", or "answer-to-NAME": then it answers the offer of that name and WHAT that
lies beside it. What adieu offers is recorded too, so that there are answers to it.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[0] = str(TESTS)  # beside this file there are other modules of the same names

from e2e.lab.pages import Pages  # noqa: E402 the path first
from interop.conftest import OTHERS, Lab  # noqa: E402

TARGET = TESTS / "fixtures" / "sdp"
CHANNEL = ("channel", {"label": "chat"})
WHATS = {
    "data": [CHANNEL],
    "data-audio-video": [CHANNEL, ("media", {})],
    "audio": [("media", {"kinds": ["audio"], "tracks": True})],
    "audio-video": [("media", {"tracks": True})],
    "simulcast": [("media", {"kinds": ["video"], "tracks": True, "rids": ["q", "h", "f"]})],
}
LEFT_OUT = {("aiortc", "simulcast"), ("pion", "audio"), ("pion", "audio-video"), ("pion", "simulcast")}
RESTARTS = (("chromium", "firefox"), ("firefox", "chromium"))


async def main(names: list[str]) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        lab = Lab(stack, await stack.enter_async_context(Pages().serving()))
        for name in names:
            for what in WHATS:
                if (name, what) not in LEFT_OUT:
                    await record_offer(lab, name, what)
        for name in names:
            for what in WHATS:
                if (name, what) not in LEFT_OUT and name != "adieu":
                    await record_answer(lab, name, "adieu", what)
                    await record_answer(lab, name, "firefox" if name == "chromium" else "chromium", what)
        for offerer, answerer in RESTARTS:
            if offerer in names:
                await record_restart(lab, offerer, answerer)


async def record_offer(lab: Lab, name: str, what: str) -> None:
    async with lab.peer(name) as peer:
        await prepare(peer, what)
        await peer.call("offer")
        await keep(peer, what, "offer")


async def record_answer(lab: Lab, name: str, offerer: str, what: str) -> None:
    """To the offer that was recorded; this side has the same to send."""
    [offer] = TARGET.glob(f"{offerer}-[0-9]*[0-9]-{what}-offer.sdp")
    async with lab.peer(name) as peer:
        await peer.call("new")
        if what != "data-audio-video":  # whose transceivers wait for an offer of their own
            for command, arguments in WHATS[what]:
                await peer.call(command, **{key: value for key, value in arguments.items() if key != "rids"})
        await peer.call("answer", sdp=offer.read_bytes().decode())
        await keep(peer, what, f"answer-to-{offerer}")


async def record_restart(lab: Lab, offerer: str, answerer: str) -> None:
    """A negotiation and, over the same connections, one with other ICE credentials."""
    async with lab.peer(offerer) as one, lab.peer(answerer) as other:
        await prepare(one, "data-audio-video")
        await other.call("new")
        for what in ("before-restart", "after-restart"):
            offer = await one.call("offer")
            await keep(one, what, "offer")
            answer = await other.call("answer", sdp=offer)
            await keep(other, what, f"answer-to-{offerer}")
            await one.call("accept", sdp=answer)
            await one.call("restart")


async def prepare(peer, what: str) -> None:
    await peer.call("new")
    for command, arguments in WHATS[what]:
        await peer.call(command, **arguments)


async def keep(peer, what: str, kind: str) -> None:
    """The description when all candidates are in it."""
    if peer.name != "aiortc":  # whose candidates are always in it, and which has no event
        await peer.expect("candidate", candidate=None)
    for old in TARGET.glob(f"{peer.name}-[0-9]*[0-9]-{what}-{kind}.sdp"):
        old.unlink()
    path = TARGET / f"{peer.name}-{peer.version}-{what}-{kind}.sdp"
    path.write_bytes((await peer.call("local")).encode())
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["adieu", *OTHERS]))
