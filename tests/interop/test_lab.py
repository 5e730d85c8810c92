"""The other implementations among themselves: when these fail, the lab is broken, not adieu."""

import pytest

from e2e.lab.peer import connect

PAIRS = [
    ("chromium", "firefox"),
    ("firefox", "chromium"),
    ("chromium", "aiortc"),
    ("pion", "aiortc"),
    ("pion", "chromium"),
]


@pytest.mark.browser
@pytest.mark.peer
@pytest.mark.parametrize(("offerer", "answerer"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def test_others_talk_and_close(lab, offerer, answerer):
    async with lab.peer(offerer) as a, lab.peer(answerer) as b:
        await a.call("new")
        await b.call("new")
        await a.call("channel", label="chat")
        await connect(a, b)
        await a.expect("open", label="chat")
        await b.expect("datachannel", label="chat")
        sent = await a.send("chat", "grüß dich")
        assert await b.message("chat") == sent
        sent = await b.send("chat", bytes(range(256)) * 64)
        assert await a.message("chat") == sent
        await a.call("close_channel", label="chat")
        await a.expect("close", label="chat")
        await b.expect("close", label="chat")
        await a.call("close")
        await b.call("close")
