"""Messages: sending, buffering, reading, back-pressure; channels and their ids; statistics."""

import asyncio
from collections import Counter

import pytest

import adieu
from adieu import RTCError, _core, once
from adieu.errors import InvalidStateError, OperationError
from sim.webrtc.support import Log, log_of
from support.virtual import simulated

# --- send -----------


@simulated()
async def test_what_can_be_sent(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    got = []
    theirs.onmessage = lambda event: got.append((event.data, event.origin, event.target is theirs))
    backwards = memoryview(b"abcdef")[::-2]
    for data in ("text", "", "ä\U0001f44b", b"bytes", b"", bytearray(b"array"), memoryview(b"view"), backwards,
                 memoryview(b"\0\1\0\2").cast("H"), "half \ud800 pair"):  # fmt: skip
        ours.send(data)
    await world.settle()
    assert [data for data, *_ in got] == [
        "text", "", "ä\U0001f44b", b"bytes", b"", b"array", b"view", b"fdb", b"\0\1\0\2", "half \ufffd pair"
    ]  # fmt: skip
    assert all(rest == ["", True] for _, *rest in got)
    assert [type(data) for data, *_ in got].count(bytes) == 6


@pytest.mark.parametrize("data", [None, 5, 1.5, ["x"], {"x": 1}, object()])
@simulated()
async def test_what_can_not_be_sent(world, data):
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    with pytest.raises(TypeError, match=type(data).__name__):
        ours.send(data)
    assert ours.bufferedAmount == 0


@pytest.mark.parametrize(
    ("fits", "large"),
    [(b"x" * 1000, b"x" * 1001), ("ä" * 500, "ä" * 501), ("\U0001f44b" * 250, "\U0001f44b" * 250 + "x")],
)
@simulated()
async def test_a_message_larger_than_the_peer_takes(world, fits, large):
    one, two = world.hosts()
    a, b = world.connection(one), world.connection(two, settings={"maxMessageSize": 1000})
    ours, theirs = await world.open_channel(a, b)
    assert a.sctp.maxMessageSize == 1000
    assert b.sctp.maxMessageSize == 262144
    with pytest.raises(TypeError, match="maxMessageSize is 1000"):
        ours.send(large)
    ours.send(fits)
    assert await theirs.receive() == fits


@simulated()
async def test_the_largest_message(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    message = bytes(range(256)) * 1024
    ours.send(message)
    assert await theirs.receive() == message


@simulated()
async def test_a_full_buffer_loses_nothing(world):
    world.link(rate=50e6, delay=0.005)
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    message, queued = b"x" * 200_000, 0
    while queued < 1000:
        try:
            ours.send(message)
        except OperationError as error:
            assert "send buffer is full" in str(error)  # noqa: PT017 in a loop, because some go in first
            break
        queued += 1
    assert ours.bufferedAmount == queued * len(message) > 10e6
    ours.close()
    assert sum([len(got) async for got in theirs]) == queued * len(message)


# --- bufferedAmount -----------


@simulated()
async def test_buffered_amount_only_grows_within_a_task(world):
    """W3C bufferedAmount."""
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    for number in range(1, 6):
        ours.send("ä" * 100)
        assert ours.bufferedAmount == 200 * number
        world.network.advance(world.now + 0.5)
        assert ours.bufferedAmount == 200 * number, "the packet has left, the task has not ended"
    await asyncio.sleep(0)
    assert ours.bufferedAmount == 0


@simulated()
async def test_polling_makes_progress(world):
    world.link(rate=1e6, delay=0.01)
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    ours.send(b"x" * 200_000)
    seen = [ours.bufferedAmount]
    while ours.bufferedAmount:
        await asyncio.sleep(0.01)
        seen.append(ours.bufferedAmount)
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) > 5


@simulated()
async def test_the_low_event(world):
    world.link(rate=1e6, delay=0.01)
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    ours.bufferedAmountLowThreshold = 50_000
    seen = []
    ours.onbufferedamountlow = lambda _: seen.append(ours.bufferedAmount)
    ours.send(b"x" * 40_000)
    await world.settle()
    assert seen == [], "it was never above"
    ours.send(b"x" * 200_000)
    await world.settle()
    assert len(seen) == 1
    assert 0 <= seen[0] <= 50_000
    assert ours.bufferedAmountLowThreshold == 50_000


@simulated()
async def test_the_low_event_comes_also_when_the_core_was_never_above(world):
    """It sends while the task runs, in which bufferedAmount only grows. Who saw it above awaits the event."""
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    ours.bufferedAmountLowThreshold = 1000
    for _ in range(20):
        ours.send(b"x" * 100)
        world.network.advance(world.now + 0.01)
    assert ours.bufferedAmount == 2000
    assert ours._core.buffered_amount == 0
    log = Log()
    log.watch(ours, "bufferedamountlow")
    async with asyncio.timeout(10):
        await once(ours, "bufferedamountlow")
    await world.settle()
    assert log == ["bufferedamountlow"]


@simulated()
async def test_the_low_event_after_the_threshold_was_changed(world):
    world.link(rate=1e5)
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    log = Log()
    log.watch(ours, "bufferedamountlow")
    ours.bufferedAmountLowThreshold = 10
    ours.send(b"x" * 100_000)
    ours.bufferedAmountLowThreshold = 200_000
    await world.settle(10)
    assert log == [], "it did not fall to it"
    for _ in range(20):
        ours.send(b"x" * 20_000)
    ours.bufferedAmountLowThreshold = 100_000
    await world.settle(10)
    assert log == ["bufferedamountlow"]
    assert ours.bufferedAmount == 0


@simulated()
async def test_a_threshold_that_is_set_before_there_is_a_transport(world):
    a, b = world.pair()
    world.negotiate(a, b)
    ours = a.createDataChannel("x")
    ours.bufferedAmountLowThreshold = 1000
    assert ours.bufferedAmount == 0
    await once(ours, "open")
    log = Log()
    log.watch(ours, "bufferedamountlow")
    ours.send(b"x" * 900)
    await world.settle()
    assert log == []
    for wrong in (-1, 2**32, "x", None):
        with pytest.raises(TypeError, match="bufferedAmountLowThreshold"):
            ours.bufferedAmountLowThreshold = wrong


# --- reading -----------


@simulated()
async def test_nothing_is_missed_when_the_reader_is_there_in_time(world):
    a, b = world.pair()
    world.negotiate(a, b)
    ours = a.createDataChannel("x")
    ours.onopen = lambda _: [ours.send(str(number)) for number in range(100)]
    readers = []
    b.ondatachannel = lambda event: readers.append(aiter(event.channel))
    await world.settle()
    ours.close()
    await world.settle()
    assert [message async for message in readers[0]] == [str(number) for number in range(100)]


@simulated()
async def test_the_first_message_after_awaiting_the_channel(world):
    """A channel that is awaited is there before its first message."""
    a, b = world.pair()
    world.negotiate(a, b)
    ours = a.createDataChannel("x")
    ours.onopen = lambda _: ours.send("first")
    theirs = (await asyncio.wait_for(once(b, "datachannel"), 10)).channel
    assert await theirs.receive() == "first"


@pytest.mark.parametrize("kind", ["plain", "async"])
@simulated()
async def test_a_handler_that_is_set_in_the_datachannel_handler_hears_all(world, kind):
    a, b = world.pair()
    world.negotiate(a, b)
    got = []

    def plain(event):
        assert event.channel.readyState == "open"
        event.channel.send("sent before open")
        event.channel.onopen = lambda _: got.append("open")
        event.channel.onmessage = lambda message: got.append(message.data)

    async def async_(event):
        plain(event)

    b.ondatachannel = plain if kind == "plain" else async_
    ours = a.createDataChannel("x")
    ours.onopen = lambda _: ours.send("hello")
    replies = aiter(ours)
    assert await anext(replies) == "sent before open"
    await world.settle()
    assert got == ["open", "hello"]


@simulated()
async def test_what_is_not_read_stops_the_peer(world):
    """The bound of the buffer is the window: bytes that nobody reads are not given back."""
    one, two = world.hosts()
    a = world.connection(one)
    b = world.connection(two, settings={"receiveBuffer": 300_000, "maxMessageSize": 100_000})
    ours, theirs = await world.open_channel(a, b)
    messages = aiter(theirs)
    for _ in range(20):
        ours.send(b"x" * 100_000)
    await world.settle(20)
    held = ours.bufferedAmount
    assert held > 1_000_000
    await world.settle(20)
    assert ours.bufferedAmount == held
    for _ in range(20):
        await anext(messages)
    await world.settle(20)
    assert ours.bufferedAmount == 0
    assert a.connectionState == "connected"


@simulated()
async def test_an_async_handler_stops_the_peer_too(world):
    one, two = world.hosts()
    a = world.connection(one)
    b = world.connection(two, settings={"receiveBuffer": 300_000, "maxMessageSize": 100_000})
    ours, theirs = await world.open_channel(a, b)
    gate, got = asyncio.Event(), []

    async def slow(event):
        await gate.wait()
        got.append(event.data[:2])

    theirs.onmessage = slow
    for number in range(20):
        ours.send(b"%02d" % number + b"x" * 99_000)
    await world.settle(20)
    assert ours.bufferedAmount > 1_000_000
    gate.set()
    await world.settle(20)
    assert got == [b"%02d" % number for number in range(20)]


@simulated()
async def test_a_closed_channel_that_was_not_read_stops_nobody(world):
    one, two = world.hosts()
    a = world.connection(one)
    b = world.connection(two, settings={"receiveBuffer": 300_000, "maxMessageSize": 100_000})
    ours, theirs = await world.open_channel(a, b)
    other, their_other = await world.open_channel(a, b, "other")
    messages = aiter(theirs)
    for _ in range(2):
        ours.send(b"x" * 99_000)
    ours.close()
    await once(ours, "close")
    got = []
    their_other.onmessage = lambda event: got.append(len(event.data))
    for _ in range(20):
        other.send(b"x" * 99_000)
    await world.settle(20)
    assert got == [99_000] * 20
    assert [len(message) async for message in messages] == [99_000] * 2


@simulated()
async def test_handler_and_reader_both_get_it(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    got = []
    theirs.onmessage = lambda event: got.append(event.data)
    messages = aiter(theirs)
    waits = asyncio.ensure_future(once(theirs, "message"))
    ours.send("x")
    assert (await waits).data == await anext(messages) == "x"
    assert got == ["x"]


@simulated()
async def test_reading_a_closed_channel(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b)
    ours.close()
    await once(theirs, "close")
    assert [message async for message in theirs] == []
    with pytest.raises(InvalidStateError):
        await theirs.receive()


# --- channels -----------


@simulated()
async def test_what_the_other_side_knows_of_a_channel(world):
    a, b = world.pair()
    names = ("label", "protocol", "ordered", "maxPacketLifeTime", "maxRetransmits", "negotiated", "priority", "id")
    for members in (
        {},
        {"protocol": "näher"},
        {"ordered": False, "maxRetransmits": 3, "priority": "high"},
        {"maxPacketLifeTime": 500, "priority": "very-low"},
        {"maxRetransmits": 0},
        {"id": 7},
    ):
        ours, theirs = await world.open_channel(a, b, "läbel", **members)
        assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) for name in names}
        assert ours.protocol == members.get("protocol", "")
        assert ours.maxRetransmits == members.get("maxRetransmits")


@simulated()
async def test_ids_go_by_the_dtls_role(world):
    """RFC 8832 section 6: even for the client, odd for the server."""
    a, b = world.pair()
    early = a.createDataChannel("early")
    assert early.id is None
    assert a.createDataChannel("taken", negotiated=True, id=1).id == 1
    await world.connect(a, b, data=False)
    b.createDataChannel("taken", negotiated=True, id=1)
    assert early.id == 3
    late, _ = await world.open_channel(a, b, "late")
    back, _ = await world.open_channel(b, a, "back")
    assert (late.id, back.id) == (5, 0)


@simulated()
async def test_ids_that_can_not_be_had(world):
    a, b = world.pair()
    a.createDataChannel("x", negotiated=True, id=5)
    with pytest.raises(OperationError, match="id 5 is used"):
        a.createDataChannel("y", negotiated=True, id=5)
    with pytest.raises(TypeError, match="the label"):
        a.createDataChannel(None)
    with pytest.raises(TypeError, match="longer than 65535"):
        a.createDataChannel("ä" * 40_000)
    b.close()


@simulated()
async def test_an_unreliable_channel_loses_and_keeps_going(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b, ordered=False, maxRetransmits=0)
    world.link(loss=0.3)
    got = []
    theirs.onmessage = lambda event: got.append(int(event.data))
    for number in range(200):
        ours.send(str(number))
        await world.settle(0.01)
    await world.settle(10)
    assert 50 < len(got) < 190
    assert len(set(got)) == len(got)


@simulated()
async def test_many_channels_at_once(world):
    a, b = world.pair()
    arrived = {}
    b.ondatachannel = lambda event: arrived.setdefault(event.channel.label, event.channel)
    world.negotiate(a, b)
    ours = [a.createDataChannel(str(number)) for number in range(300)]
    await asyncio.gather(*(once(channel, "open") for channel in ours))
    await world.settle()
    assert len(arrived) == 300
    for channel in ours:
        channel.send(channel.label)
    assert all(arrived[channel.label].id == channel.id for channel in ours)
    for channel in ours:
        channel.close()
    await asyncio.gather(*(once(channel, "close") for channel in ours))


@simulated()
async def test_panics_end_one_connection_alone(world):
    """CONNECTION_PANICKED: a bug of the core is an end with an error, and nothing hangs."""
    hosts = list(world.hosts())
    a, b = (world.connection(host) for host in hosts)
    ours, _ = await world.open_channel(a, b)
    others = [world.connection(host) for host in hosts]
    other, their_other = await world.open_channel(*others)
    log = log_of(ours)
    waits = asyncio.ensure_future(ours.receive())
    await asyncio.sleep(0)
    hosts[0].handles.connections[a._internals.handle].handle_panicked("index out of bounds")
    with pytest.raises(RTCError, match="index out of bounds"):
        await waits
    await world.settle()
    assert log == ["error (closed)", "close (closed)"]
    assert (a.connectionState, a.sctp.state, a.sctp.transport.state) == ("failed", "closed", "failed")
    other.send("goes on")
    assert await their_other.receive() == "goes on"
    a.close()
    assert not await a.wait_closed()


# --- statistics -----------


@simulated()
async def test_statistics(world):
    a, b = world.pair()
    ours, theirs = await world.open_channel(a, b, "chat", protocol="p")
    for _ in range(3):
        ours.send("12345")
        await theirs.receive()
    await world.settle(10)
    report = await a.getStats()
    by_type = {}
    for id_, stats in report.items():
        assert stats["id"] == id_
        by_type.setdefault(stats["type"], []).append(stats)
    assert {kind: len(entries) for kind, entries in by_type.items()} == {
        "peer-connection": 1, "transport": 1, "candidate-pair": 1, "local-candidate": 2, "remote-candidate": 2,
        "certificate": 2, "data-channel": 1,
    }  # fmt: skip
    [transport], [pair], [channel] = (by_type[kind] for kind in ("transport", "candidate-pair", "data-channel"))
    assert transport["selectedCandidatePairId"] == pair["id"]
    assert (transport["dtlsState"], transport["dtlsRole"]) == ("connected", "server")
    assert report[transport["localCertificateId"]]["fingerprint"] in a.localDescription.sdp
    assert report[transport["remoteCertificateId"]]["fingerprint"] in b.localDescription.sdp
    assert pair["nominated"] is True
    assert pair["responsesReceived"] > 0
    assert report[pair["localCandidateId"]]["address"] == "10.0.0.1"
    assert report[pair["remoteCandidateId"]]["address"] == "10.0.0.2"
    age = pair["timestamp"] - pair["lastPacketReceivedTimestamp"]
    assert 0 <= age < 5000
    assert (channel["label"], channel["protocol"], channel["state"]) == ("chat", "p", "open")
    assert (channel["messagesSent"], channel["bytesSent"], channel["dataChannelIdentifier"]) == (3, 15, ours.id)
    assert by_type["peer-connection"][0]["dataChannelsOpened"] == 1
    assert abs(transport["timestamp"] - a._internals.driver.clock.now()) < 1000


@simulated()
async def test_statistics_show_how_long_the_peer_has_been_silent(world):
    a, b = world.pair()
    await world.open_channel(a, b)
    world.network.cut("10.0.0.2")
    await world.settle(10)
    [pair] = [stats for stats in (await a.getStats()).values() if stats["type"] == "candidate-pair"]
    assert 9_000 < pair["timestamp"] - pair["lastPacketReceivedTimestamp"] < 15_000


@simulated()
async def test_statistics_of_a_new_connection(world):
    a, _ = world.pair()
    report = await a.getStats()
    assert list(report) == ["P"]
    assert isinstance(report, adieu.RTCStatsReport)


# --- what it costs -----------


class Counting:
    """A core whose events are counted by their numbers."""

    def __init__(self, core):
        self._core = core
        self.seen = Counter()

    def __getattr__(self, name):
        return getattr(self._core, name)

    def __setattr__(self, name, value):
        if name in {"_core", "seen"}:
            super().__setattr__(name, value)
        else:
            setattr(self._core, name, value)

    def deliver(self, *arguments):
        waited = self._core.waiting
        event, left = self._core.deliver(*arguments)
        self.seen[_core.MESSAGE] += waited - self._core.waiting - (event is not None)
        if event is not None:
            self.seen[event[0]] += 1
        return event, left


@pytest.mark.parametrize("listens", [False, True])
@simulated()
async def test_a_message_is_one_event_and_low_comes_only_to_who_listens(world, listens):
    here, there = world.hosts()
    counting = here.core = Counting(here.core)
    a, b = world.connection(here), world.connection(there)
    ours, theirs = await world.open_channel(a, b)
    theirs.onmessage = lambda event: theirs.send(event.data)
    lows = []
    if listens:
        ours.onbufferedamountlow = lambda _: lows.append(ours.bufferedAmount)
    await world.settle()
    counting.seen.clear()
    for _ in range(100):
        ours.send(b"x" * 100)
        assert await ours.receive() == b"x" * 100
    await world.settle()
    assert counting.seen[_core.MESSAGE] == 100
    assert counting.seen[_core.CHANNEL_LOW] <= (100 if listens else 0)
    assert len(lows) == (100 if listens else 0)
    assert set(+counting.seen) <= {_core.MESSAGE, _core.CHANNEL_LOW}


@simulated()
async def test_who_listens_after_it_was_sent_is_told_when_it_falls(world):
    world.link(rate=1e6, delay=0.01)
    a, b = world.pair()
    ours, _ = await world.open_channel(a, b)
    for listen in (
        lambda seen: ours.addEventListener("bufferedamountlow", seen.append, once=True),
        lambda seen: setattr(ours, "onbufferedamountlow", seen.append),
    ):
        ours.send(b"x" * 200_000)
        await world.settle(0.05)
        assert ours.bufferedAmount > 0
        seen = []
        listen(seen)
        await world.settle()
        assert len(seen) == 1
    await world.settle()
    ours.send(b"x" * 200_000)
    await world.settle(0.05)
    await once(ours, "bufferedamountlow")
    assert ours.bufferedAmount == 0
