"""Certificates and addresses between adieu and the others."""

import asyncio
import re

import pytest

from e2e.lab.peer import Peer, connect
from interop.support import MARKS, each_offerer, each_other, pair

TELLING = [pytest.param(name, marks=MARKS[name]) for name in ("chromium", "firefox", "pion")]
ENDS = {"pion": "closed"}  # what its connection is after a fatal alert; the W3C says "failed"
RSA = [pytest.param(name, marks=MARKS[name]) for name in ("pion", "chromium", "firefox")]


@pytest.mark.parametrize("other", RSA)
@each_offerer
async def test_a_peer_with_an_rsa_certificate_fails_clearly(lab, other, adieu_offers):
    """docs/topics/interop.md, "RSA certificates": the handshake fails at once, and says why."""
    async with lab.peer(other) as them, lab.peer("adieu") as us:
        await us.call("new")
        await them.call("new", rsa=True)
        await (us if adieu_offers else them).call("channel", label="chat")
        await (connect(us, them) if adieu_offers else connect(them, us))
        error = await us.expect("error", of="dtls")
        assert error["detail"] == "dtls-failure"
        assert "certificate" in error["message"].lower()
        await us.expect("state", kind="connection", state="failed")
        assert (await us.call("look"))["dtls"] == "failed"


@each_other
@each_offerer
async def test_a_wrong_fingerprint_is_failed_on_both_sides(lab, other, adieu_offers):
    """Closing rule 61: who was told a fingerprint that does not match sends bad_certificate (RFC 8122 section 6.2)."""
    async with pair(lab, other) as (us, them):
        await _mislead(us, them, adieu_offers=adieu_offers)
        error = await us.expect("error", of="dtls")
        assert (error["detail"], error["sent"], error["received"]) == ("fingerprint-failure", 42, None)
        await us.expect("state", kind="connection", state="failed")
        await them.expect("state", kind="connection", state=ENDS.get(other, "failed"), patience=5)


@pytest.mark.parametrize("other", TELLING)
@each_offerer
async def test_a_wrong_fingerprint_at_the_other_side_is_told_to_adieu(lab, other, adieu_offers):
    """Closing rule 61, the other way round: a fatal alert comes in."""
    async with pair(lab, other) as (us, them):
        await _mislead(them, us, adieu_offers=not adieu_offers)
        error = await us.expect("error", of="dtls", patience=5)
        assert (error["detail"], error["sent"]) == ("dtls-failure", None)
        assert error["received"] is not None
        await us.expect("state", kind="connection", state="failed")


async def _mislead(misled: Peer, other: Peer, *, adieu_offers: bool) -> None:
    """Connect them; the first one is told a wrong fingerprint, and offers if `adieu_offers`."""
    offerer, answerer = (misled, other) if adieu_offers else (other, misled)
    await offerer.call("channel", label="chat")
    for peer in (misled, other):
        peer.hold_back()

    def told(sdp: str, reader: Peer) -> str:
        wrong = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
        return re.sub("a=fingerprint:[^\\r\\n]*", wrong, sdp) if reader is misled else sdp

    answer = await answerer.call("answer", sdp=told(await offerer.call("offer"), answerer))
    await offerer.call("accept", sdp=told(answer, offerer))
    misled.relay_to(other)
    other.relay_to(misled)


@pytest.mark.parametrize("other", [pytest.param("chromium-mdns", marks=MARKS["chromium"])])
@each_offerer
async def test_a_browser_that_hides_its_addresses_still_connects(lab, other, adieu_offers):
    """Its candidates are .local names; its checks show where it is, too (RFC 8445 7.3.1.3)."""
    async with pair(lab, other) as (us, them):
        await (us if adieu_offers else them).call("channel", label="chat")
        await (connect(us, them) if adieu_offers else connect(them, us))
        await asyncio.gather(us.expect("open", label="chat"), them.expect("open", label="chat"))
        candidates = [e["candidate"]["candidate"] for e in them.events if e["event"] == "candidate" and e["candidate"]]
        assert any(".local " in candidate for candidate in candidates), "the browser showed its addresses"
        assert await us.send("chat", "hello") == await them.message("chat")
        assert await them.send("chat", "hello") == await us.message("chat")
