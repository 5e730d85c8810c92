"""Certificates and addresses between adieu and the others."""

import asyncio

import pytest

from e2e.lab.peer import connect
from interop.support import MARKS, each_offerer, pair

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


@pytest.mark.parametrize("other", [pytest.param("chromium-mdns", marks=MARKS["chromium"])])
@each_offerer
async def test_a_browser_that_hides_its_addresses_still_connects(lab, other, adieu_offers):
    """Its candidates are .local names, which adieu does not look up: its checks show where it is (RFC 8445 7.3.1.3)."""
    async with pair(lab, other) as (us, them):
        await (us if adieu_offers else them).call("channel", label="chat")
        await (connect(us, them) if adieu_offers else connect(them, us))
        await asyncio.gather(us.expect("open", label="chat"), them.expect("open", label="chat"))
        candidates = [e["candidate"]["candidate"] for e in them.events if e["event"] == "candidate" and e["candidate"]]
        assert any(".local " in candidate for candidate in candidates), "the browser showed its addresses"
        assert await us.send("chat", "hello") == await them.message("chat")
        assert await them.send("chat", "hello") == await us.message("chat")
