"""Data both ways between adieu and the others."""

import asyncio

from interop.support import each_offerer, each_other, join, pair, talking

BIG = 256 * 1024
MESSAGES = {
    "text": "grüß dich, 世界 👋",
    "binary": bytes(range(256)),
    "empty text": "",
    "empty binary": b"",
    "256 KiB of text": "äöü…" * (BIG // 9) + "!" * (BIG % 9),
    "256 KiB of bytes": bytes(range(256)) * (BIG // 256),
}
RELIABILITY = {
    "ordered": {},
    "unordered": {"ordered": False},
    "no retransmissions": {"maxRetransmits": 0},
    "three retransmissions": {"ordered": False, "maxRetransmits": 3},
    "half a second": {"maxPacketLifeTime": 500},
    "a second, unordered": {"ordered": False, "maxPacketLifeTime": 1000},
}


@each_other
@each_offerer
async def test_messages_of_every_kind_arrive_whole_and_in_order(lab, other, adieu_offers):
    async with talking(lab, other, adieu_offers=adieu_offers) as (us, them):
        for sender, receiver in ((us, them), (them, us)):
            sent = [await sender.send("chat", data) for data in MESSAGES.values()]
            got = [await receiver.message("chat") for _ in sent]
            assert dict(zip(MESSAGES, got, strict=True)) == dict(zip(MESSAGES, sent, strict=True))


@each_other
@each_offerer
async def test_negotiated_channels_carry_data_both_ways(lab, other, adieu_offers):
    async with talking(lab, other, adieu_offers=adieu_offers, negotiated=True) as (us, them):
        for sender, receiver in ((us, them), (them, us)):
            assert await sender.send("chat", "hello") == await receiver.message("chat")
        for peer in (us, them):
            assert not [event for event in peer.events if event["event"] == "datachannel"], "negotiated: not announced"
            assert (await peer.call("look"))["channels"]["chat"]["id"] == 7


@each_other
@each_offerer
async def test_both_open_channels_in_band_and_each_learns_their_options(lab, other, adieu_offers):
    """RFC 8832: label, protocol, order and reliability travel in the OPEN message."""
    async with pair(lab, other) as (us, them):
        made = {}
        for peer in (us, them):
            for name, init in RELIABILITY.items():
                label = f"{name} by {peer.name}"
                made[label] = {"ordered": True, "maxRetransmits": None, "maxPacketLifeTime": None, **init}
                await peer.call("channel", label=label, init={**init, "protocol": "interop.v1"})
        await join(us, them, adieu_offers=adieu_offers)
        for label, options in made.items():
            mine, theirs = (us, them) if label.endswith(us.name) else (them, us)
            await mine.expect("open", label=label)
            announced = await theirs.expect("datachannel", label=label)
            assert {key: announced[key] for key in options} == options, label
            assert announced["protocol"] == "interop.v1"
            await theirs.expect("open", label=label)
            ids = [(await peer.call("look"))["channels"][label]["id"] for peer in (us, them)]
            assert ids[0] == ids[1]
            assert await mine.send(label, "hello") == await theirs.message(label)
            assert await theirs.send(label, b"hello") == await mine.message(label)
        assert len({(await us.call("look"))["channels"][label]["id"] for label in made}) == len(made), "ids differ"


@each_other
async def test_megabytes_both_ways_at_once(lab, other):
    size, count = (16384, 32) if other == "aiortc" else (65536, 64)  # aiortc is slow
    async with talking(lab, other) as (us, them):
        await asyncio.gather(*(peer.call("flood", label="chat", size=size, count=count) for peer in (us, them)))
        for peer in (us, them):
            for _ in range(count):
                assert (await peer.message("chat"))[1] == size
