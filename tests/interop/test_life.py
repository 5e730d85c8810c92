"""What a connection lives through, and what it does not, between adieu and the others."""

import pytest

from e2e.lab.peer import connect
from interop.support import MARKS, join, pair, talking

RESTARTING = [pytest.param(name, marks=MARKS[name]) for name in ("chromium", "firefox", "pion")]  # aiortc can not
VANISHING = [pytest.param(name, marks=MARKS[name]) for name in ("chromium", "aiortc", "pion")]  # Firefox says goodbye


@pytest.mark.parametrize("other", RESTARTING)
@pytest.mark.parametrize("adieu_restarts", [True, False], ids=["adieu-restarts", "the-other-restarts"])
async def test_data_goes_on_through_an_ice_restart(lab, other, adieu_restarts):
    """Closing rules 55, 69: new credentials, the same DTLS and SCTP, the same channel."""
    async with talking(lab, other) as (us, them):
        restarter, follower = (us, them) if adieu_restarts else (them, us)
        before = await us.call("local")
        await restarter.call("restart")
        await connect(restarter, follower)
        for turn in range(3):
            assert await us.send("chat", f"{turn} from adieu") == await them.message("chat")
            assert await them.send("chat", f"{turn} from the other") == await us.message("chat")
        assert _ufrag(before) != _ufrag(await us.call("local"))
        for peer in (us, them):
            assert peer.seen("chat") == ["open"]
        # A restart that was taken over leaves a link that closes as any other.
        await us.call("close_channel", label="chat")
        await us.expect("close", label="chat")
        await them.expect("close", label="chat")


@pytest.mark.parametrize("other", VANISHING)
async def test_a_peer_that_vanishes_is_missed_within_seconds(lab, other):
    """Closing rules 66, 67: no goodbye comes; the checks that stay unanswered tell."""
    async with lab.peer("adieu") as us:
        await us.call("new")
        async with lab.peer(other) as them:  # at the end of this block: killed, or its tab closed
            await them.call("new")
            await us.call("channel", label="chat")
            await join(us, them, adieu_offers=True)
            await us.expect("open", label="chat")
            await us.expect("state", kind="connection", state="connected")
            us.hold_back()
        await us.expect("state", kind="connection", state="disconnected", patience=10)
        assert us.seen("chat") == ["open"], "a channel survives that"


async def test_two_of_adieu_restart_while_they_talk(lab):
    """The same with adieu at both ends."""
    async with pair(lab, "adieu") as (us, them):
        await us.call("channel", label="chat")
        await join(us, them, adieu_offers=True)
        await them.expect("open", label="chat")
        for turn in range(3):
            await (us if turn % 2 else them).call("restart")
            await (connect(us, them) if turn % 2 else connect(them, us))
            assert await us.send("chat", "on") == await them.message("chat")


def _ufrag(sdp: str) -> str:
    return next(line for line in sdp.splitlines() if line.startswith("a=ice-ufrag:"))
