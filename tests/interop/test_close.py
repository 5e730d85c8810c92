"""How an end looks from each side, between adieu and the others.

adieu must show what the specification says. What the others show is in `ABRUPT` and in docs/topics/interop.md.
"""

import pytest

from interop.support import MARKS, each_offerer, each_other, talking

# What the other side's channel reports when adieu's connection is closed abruptly; one of these.
ABRUPT = {
    "chromium": [["open", "closing", "error", "close"], ["open", "error", "close"]],  # `closing` comes, but not always
    "firefox": [["open", "close"], ["open", "closing", "close"]],  # nor is the missing `error`
    "aiortc": [["open", "close"]],
    "pion": [["open", "close", "error"], ["open", "error", "close"]],  # told by two goroutines
}
# What adieu's channel reports when the other's connection is closed; one of these. Firefox resets its streams first. If
# both streams are reset before its ABORT comes, the channel has closed without an error (closing rule 43).
ENDED = {
    "chromium": [["open", "error", "close"]],
    "firefox": [["open", "closing", "error", "close"], ["open", "closing", "close"]],
    "aiortc": [["open", "error", "close"]],
    "pion": [["open", "error", "close"]],
}
HAS_CLOSING = {"chromium", "firefox"}
# The SCTP cause of the ABORT that the other sends at its own close (RFC 9260 section 3.3.10.12 has 12).
CAUSE = {"chromium": 12, "firefox": 12, "aiortc": None, "pion": 12}


@each_other
@pytest.mark.parametrize("negotiated", [False, True], ids=["in-band", "negotiated"])
@pytest.mark.parametrize("adieu_offers", [True, False], ids=["adieu-offers", "adieu-answers"])
async def test_adieu_closes_the_channel(lab, other, negotiated, adieu_offers):
    """Closing rules 37, 42, 43, 44, 54: the closer gets `close` alone, the other `closing` and `close`; no `error`."""
    async with talking(lab, other, negotiated=negotiated, adieu_offers=adieu_offers) as (us, them):
        await us.call("close_channel", label="chat")
        assert (await us.expect("close", label="chat"))["readyState"] == "closed"
        await them.expect("close", label="chat")
        await us.call("settle")
        await them.call("settle")
        assert us.seen("chat") == ["open", "close"]
        with_closing, without = ["open", "closing", "close"], ["open", "close"]
        # Chromium loses the `closing` of a channel that came in-band, now and then.
        lost = [without] if other == "chromium" and not negotiated else []
        assert them.seen("chat") in ([with_closing, *lost] if other in HAS_CLOSING else [without])
        assert (await us.call("look"))["connection"] == "connected"
        assert (await them.call("look"))["connection"] == "connected"


@each_other
@pytest.mark.parametrize("negotiated", [False, True], ids=["in-band", "negotiated"])
@pytest.mark.parametrize("adieu_offers", [True, False], ids=["adieu-offers", "adieu-answers"])
async def test_the_other_closes_the_channel(lab, other, negotiated, adieu_offers):
    """Closing rules 42, 43, 44, 54 seen from the other end."""
    async with talking(lab, other, negotiated=negotiated, adieu_offers=adieu_offers) as (us, them):
        await them.call("close_channel", label="chat")
        assert (await us.expect("closing", label="chat"))["readyState"] == "closing"
        assert (await us.expect("close", label="chat"))["readyState"] == "closed"
        await them.expect("close", label="chat")
        await us.call("settle")
        assert us.seen("chat") == ["open", "closing", "close"]
        assert (await us.call("look"))["connection"] == "connected"


@each_other
async def test_both_close_the_channel_at_once(lab, other):
    """Closing rule 46: both end closed, one `close` each, no `error`."""
    async with talking(lab, other) as (us, them):
        them.post("close_channel", label="chat")
        us.post("close_channel", label="chat")
        for peer in (us, them):
            await peer.expect("close", label="chat")
        for peer in (us, them):
            await peer.call("settle")
            assert peer.seen("chat").count("close") == 1
            assert "error" not in peer.seen("chat")


@each_other
async def test_what_adieu_sent_before_its_channel_closed_arrives(lab, other):
    """Closing rules 40, 41: pending messages are sent first, the closer is fully heard."""
    size, count = (16384, 32) if other == "aiortc" else (65536, 64)
    async with talking(lab, other) as (us, them):
        await us.call("flood", label="chat", size=size, count=count)
        await us.call("close_channel", label="chat")
        await us.expect("close", label="chat")
        await them.expect("close", label="chat")
        assert sum(event["event"] == "message" for event in them.events) == count
        assert "error" not in us.seen("chat")


@each_other
async def test_what_the_other_sent_before_its_channel_closed_arrives(lab, other):
    """Closing rules 40, 41 from the other end."""
    size, count = (16384, 32) if other == "aiortc" else (65536, 64)
    async with talking(lab, other) as (us, them):
        await them.call("flood", label="chat", size=size, count=count)
        await them.call("close_channel", label="chat")
        await us.expect("close", label="chat")
        assert sum(event["event"] == "message" for event in us.events) == count
        assert us.seen("chat") == ["open", "closing", "close"]


@each_other
async def test_a_closed_channel_gives_its_id_back(lab, other):
    """Closing rule 47: ten channels with the same id, one after the other."""
    async with talking(lab, other) as (us, them):
        for turn in range(10):
            label = f"turn {turn}"
            negotiated = other != "aiortc"  # which opens none of these once it is connected
            for peer in (us, them) if negotiated else (us,):
                await peer.call("channel", label=label, init={"negotiated": True, "id": 100} if negotiated else {})
            for peer in (us, them):
                await peer.expect("open", label=label)
            assert await us.send(label, label) == await them.message(label)
            assert await them.send(label, label) == await us.message(label)
            closer = us if turn % 2 else them
            await closer.call("close_channel", label=label)
            for peer in (us, them):
                await peer.expect("close", label=label)


@each_other
@each_offerer
async def test_adieu_closes_the_connection(lab, other, adieu_offers):
    """Closing rules 11, 12, 56: ABORT with cause 12 leaves, and the other's channel ends."""
    async with talking(lab, other, adieu_offers=adieu_offers) as (us, them):
        await us.call("close")
        states = await us.call("look")
        assert [states[what] for what in ("connection", "ice", "signaling", "sctp", "dtls")] == ["closed"] * 5
        await us.expect("close", label="chat")
        await them.expect("close", label="chat")
        await us.call("settle")
        await them.call("settle")
        assert us.seen("chat") == ["open", "close"]
        assert them.seen("chat") in ABRUPT[other]
        if other == "chromium":
            error = await them.expect("error", label="chat")
            assert (error["detail"], error["cause"]) == ("sctp-failure", 12)
        if other in HAS_CLOSING:
            states = await them.call("look")
            assert (states["sctp"], states["dtls"]) == ("closed", "closed")


@each_other
@each_offerer
async def test_the_other_closes_the_connection(lab, other, adieu_offers):
    """Closing rules 56, 57, 60, 62: `error` with the SCTP cause, then `close`; the connection itself is not closed."""
    async with talking(lab, other, adieu_offers=adieu_offers) as (us, them):
        await them.call("close")
        assert (await us.expect("close", label="chat"))["readyState"] == "closed"
        await us.call("settle")
        seen = us.seen("chat")
        assert seen in ENDED[other]
        if "error" in seen:
            error = await us.expect("error", label="chat")
            assert (error["detail"], error["cause"]) == ("sctp-failure", CAUSE[other])
        states = await us.call("look")
        assert (states["sctp"], states["connection"] == "closed") == ("closed", False)


@each_other
async def test_the_other_closes_channel_and_connection_in_one_breath(lab, other):
    """Closing rule 12: pc.close() is abrupt. Whatever the wire brings first, the channel ends once."""
    async with talking(lab, other) as (us, them):
        await them.call("close_both", label="chat")
        await us.expect("close", label="chat")
        await us.call("settle")
        assert us.seen("chat").count("close") == 1


@each_other
async def test_after_a_full_channel_close_the_connection_close_is_silent(lab, other):
    """Closing rule 59."""
    async with talking(lab, other) as (us, them):
        await them.call("close_channel", label="chat")
        await us.expect("close", label="chat")
        await them.expect("close", label="chat")
        await them.call("close")
        await us.expect("state", kind="sctp", state="closed")
        await us.call("settle")
        assert us.seen("chat") == ["open", "closing", "close"]


@pytest.mark.parametrize("adieu_offers", [True, False], ids=["adieu-offers", "adieu-answers"])
@pytest.mark.parametrize("other", [pytest.param("chromium", marks=MARKS["chromium"])])
async def test_cause_12_both_ways_with_chromium(lab, other, adieu_offers):
    """Closing rules 57, 58: 12 means that the peer left on purpose, and each says so to the other."""
    async with talking(lab, other, adieu_offers=adieu_offers) as (us, them):
        await them.call("close")
        error = await us.expect("error", label="chat")
        assert error["cause"] == 12
        assert "User-Initiated Abort" in error["message"] or "Close called" in error["message"]
    async with talking(lab, other, adieu_offers=adieu_offers) as (us, them):
        await us.call("close")
        error = await them.expect("error", label="chat")
        assert error["cause"] == 12
        assert "Close called" in error["message"]
