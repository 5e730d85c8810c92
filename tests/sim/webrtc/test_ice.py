"""ICE between two of adieu: hidden addresses, restarts in the middle of a transfer, rollback, consent."""

from __future__ import annotations

import itertools
import re

import pytest

import adieu
from support.virtual import reached, simulate, simulated

NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.local")


@simulated()
async def test_names_hide_the_addresses_of_both_sides(world):
    one, two = world.hosts()
    a = world.connection(one, settings={"hideAddresses": True})
    b = world.connection(two, settings={"hideAddresses": True})
    ours, theirs = await world.open_channel(a, b)
    got = adieu.once(theirs, "message")
    ours.send("hello")
    assert (await got).data == "hello"
    for pc in (a, b):
        assert "10.0.0." not in pc.localDescription.sdp.replace("IN IP4 0.0.0.0", "")
        report = await pc.getStats()
        shown = [one["address"] for one in report.values() if one["type"] in {"local-candidate", "remote-candidate"}]
        assert shown
        # The side that answers may have heard a check before it found the name: that shows the peer's address.
        assert all(NAME.fullmatch(address) or address.startswith("10.") for address in shown)
        assert all(NAME.fullmatch(one["address"]) for one in report.values() if one["type"] == "local-candidate"), shown
    a.close()
    b.close()


@simulated()
async def test_a_name_that_nobody_has_fails_and_is_counted(world):
    """No state of gathering waits for it, and nothing else does."""
    one, two = world.hosts()
    a, b = world.connection(one), world.connection(two)
    a.createDataChannel("x")
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    name = "d9ed6ab9-0b2f-4c5d-8a52-6f0f8a1f3b11.local"
    await a.addIceCandidate({"candidate": f"candidate:1 1 udp 1 {name} 9 typ host", "sdpMid": "0"})
    await reached(a, "failed")
    assert 15 <= world.now < 17
    assert one.core.counters()["dropped_candidate"] == 1
    a.close()
    b.close()


@simulated()
async def test_statistics_show_checked_pairs_and_the_one_in_use(world):
    one, two = world.host("10.0.0.1", "10.0.1.1"), world.host("10.0.0.2", "10.0.1.2")
    a, b = world.connection(one), world.connection(two)
    await world.connect(a, b)
    await world.settle(5)
    report = await a.getStats()
    pairs = [entry for entry in report.values() if entry["type"] == "candidate-pair"]
    assert len(pairs) == 4
    [selected] = [pair for pair in pairs if pair["nominated"]]
    [transport] = [entry for entry in report.values() if entry["type"] == "transport"]
    assert transport["selectedCandidatePairId"] == selected["id"]
    for pair in pairs:
        assert pair["state"] == "succeeded"
        assert pair["requestsSent"] >= pair["responsesReceived"] - pair.get("consentRequestsSent", 0) > 0
        assert pair["requestsReceived"] >= pair["responsesSent"] > 0
        assert report[pair["localCandidateId"]]["type"] == "local-candidate"
    assert selected["bytesSent"] > 0
    await a.addIceCandidate(
        {"candidate": "candidate:9 1 udp 9 192.0.2.99 9 typ host", "sdpMid": "0", "usernameFragment": None}
    )
    await world.settle(1)
    lost = [p for p in (await a.getStats()).values() if p["type"] == "candidate-pair" and p["state"] == "in-progress"]
    assert [pair["responsesReceived"] for pair in lost] == [0, 0]
    a.close()
    b.close()


@pytest.mark.parametrize("settings", [{"hideAddresses": 1}, {"hideAddresses": "yes"}])
def test_hiding_is_a_bool(settings):
    with pytest.raises(TypeError, match="hideAddresses"):
        adieu.TransportSettings(**settings)


@pytest.mark.parametrize("how", ["offerer", "answerer", "rolled back", "rolled back at the other side"])
@simulated()
async def test_a_transfer_runs_on_through_a_restart_and_through_its_rollback(world, how):
    """Nothing is lost, and no gap is longer than 300 ms."""
    world.link(delay=0.03, rate=5e6)
    a, b = world.pair()
    negotiation = world.negotiate(a, b)
    ours, theirs = await world.open_channel(a, b)
    came: list[float] = []
    theirs.onmessage = lambda event: came.append(world.now) if len(event.data) == 20_000 else None
    for number in range(300):
        if number == 100 and how in {"offerer", "answerer"}:
            (a if how == "offerer" else b).restartIce()
        elif number == 100 and how == "rolled back":
            negotiation.stop()
            offer = await a.createOffer(iceRestart=True)
            await a.setLocalDescription(offer)
        elif number == 100:
            negotiation.stop()
            await b.setRemoteDescription(await a.createOffer(iceRestart=True))
        elif number == 200 and how == "rolled back":
            await a.setLocalDescription(type="rollback")
        elif number == 200 and how == "rolled back at the other side":
            await b.setRemoteDescription(type="rollback")
        ours.send(bytes(20_000))
        await world.settle(0.01)
    await world.settle(3)
    assert len(came) == 300
    gaps = [after - before for before, after in itertools.pairwise(came)]
    assert max(gaps) <= 0.3, f"{max(gaps):.3f} s"
    for pc in (a, b):
        assert pc.connectionState == "connected"
        pair = next(one for one in (await pc.getStats()).values() if one["type"] == "candidate-pair")
        assert pair["state"] == "succeeded"
    a.close()
    b.close()


@pytest.mark.parametrize("seed", range(3))
def test_no_packet_leaves_later_than_thirty_seconds_after_the_last_answer(seed):
    """RFC 7675 section 5.1, closing rule 67; what was sent is the witness, with data that waits to be sent."""

    async def program(world):
        a, b = world.pair()
        ours, _ = await world.open_channel(a, b)
        await world.settle(3.3)
        world.network.cut("10.0.0.2", True)
        cut = world.now
        world.network.record()
        while world.now < cut + 60:
            ours.send(bytes(1000))
            await world.settle(0.5)
        sent = [one[0] for one in world.network.sent() if one[1].startswith("10.0.0.1")]
        assert cut + 25 < max(sent) <= cut + 30, max(sent) - cut
        assert a.connectionState == "failed"
        a.close()
        await world.settle(3)
        late = [one for one in world.network.sent() if one[1].startswith("10.0.0.1")]
        assert not late, "no last packets either"
        b.close()

    simulate(program, seed=seed)
