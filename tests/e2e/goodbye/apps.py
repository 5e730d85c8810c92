"""Pages of applications that have their own connections: of adieu they know `goodbye` alone, or nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from e2e.sdk.tabs import BUNDLE, Tabs, found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

    from e2e.lab.browsers import Browser
    from e2e.sdk.tabs import Tab

GOODBYE = BUNDLE.with_name("goodbye.min.js")

SETUP = """
kept.events = [];
kept.heard = [];
kept.hear = (channel) => {
  kept.chat = channel;
  channel.onmessage = ({ data }) => kept.heard.push(data.length ?? data.byteLength);
  channel.onclose = () => kept.events.push("channel closed");
};
kept.wrap = (options = {}) => {
  const end = kept.end = adieu.goodbye(kept.pc, options);
  for (const type of ["closing", "closed", "reset", "gone", "back"])
    end.addEventListener(type, (event) => {
      kept.events.push(type);
      kept[type] = { ...event, at: performance.now() };
    });
  return end;
};
kept.until = async (holds, patience = 10000) => {
  for (const end = performance.now() + patience; !holds();) {
    if (performance.now() > end) throw new Error(`not in time: ${holds}; ${JSON.stringify(kept.events)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
kept.gathered = async () => {
  if (kept.pc.iceGatheringState !== "complete")
    await new Promise((resolve) => kept.pc.addEventListener("icegatheringstatechange",
      () => kept.pc.iceGatheringState === "complete" && resolve()));
  return kept.pc.localDescription.toJSON();
};
kept.pc = new RTCPeerConnection();
kept.pc.ondatachannel = ({ channel }) => kept.hear(channel);
"""


class Apps(Tabs):
    """The server of the application's page."""

    def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path.partition("?")[0] != "/adieu-rtc.js":
            return super()._requested(connection, request)
        return found(GOODBYE.read_bytes())


CHAT = "kept.hear(kept.pc.createDataChannel('chat'));"
SOUND = """
const { stream } = new AudioContext().createMediaStreamDestination();
for (const track of stream.getTracks()) kept.pc.addTrack(track, stream);
"""


async def connect(first: Tab, second: Tab, *, media: bool) -> None:
    """Connect two pages by the application's own signaling: a data channel or sound, all candidates at once."""
    if media:
        await second.run(SOUND)
    offer = await first.run(f"{SOUND if media else CHAT} await kept.pc.setLocalDescription(); return kept.gathered()")
    answer = await second.run(
        "await kept.pc.setRemoteDescription(offer); await kept.pc.setLocalDescription(); return kept.gathered()",
        offer=offer,
    )
    await first.run("await kept.pc.setRemoteDescription(answer)", answer=answer)
    holds = "kept.pc.connectionState === 'connected'" if media else "kept.chat?.readyState === 'open'"
    opened = f"await kept.until(() => {holds})"
    await asyncio.gather(first.run(opened), second.run(opened))


@asynccontextmanager
async def two(
    one: Browser, other: Browser, *, goodbye: bool = True, media: bool = False
) -> AsyncIterator[tuple[Tab, Tab]]:
    """Connect two pages; the first one has goodbye, the second one with `goodbye`."""
    async with Apps().serving() as apps, apps.open(one) as here, apps.open(other) as there:
        for tab in (here, there):
            await tab.run(SETUP)
        await here.run("kept.wrap()")
        if goodbye:
            await there.run("kept.wrap()")
        await connect(here, there, media=media)
        yield here, there
