"""The built module over a virtual network: what the engine's own tests show in Rust, seen through the binding."""

from __future__ import annotations

import errno
import sys

import pytest

from adieu import _core
from unit.core.peers import VirtualPair


def test_events_come_in_the_order_that_the_w3c_layer_relies_on() -> None:
    with VirtualPair() as pair:
        pair.connect()
        order = [kind for kind in pair.a.order if kind not in {"CANDIDATE", "GATHERING"}]
        assert order == [
            *("ICE_STATE", "ICE_PAIR", "ICE_STATE", "DTLS_STATE", "DTLS_CERTIFICATES", "DTLS_STATE", "SCTP_STATE"),
        ]
        assert [state for _, state in pair.a.seen["ICE_STATE"]] == ["checking", "connected"]
        pair.run(4)
        assert pair.a.last("ICE_STATE") == (pair.a.transport, "completed"), "no triggered check may come any more"
        assert pair.a.seen["DTLS_CERTIFICATES"][0][1][0][0] == 0x30  # DER
        assert pair.a.seen["SCTP_STATE"][0][1:] == ("connected", None, "", 65535)
        assert [event[2] for event in pair.a.seen["GATHERING"]] == ["gathering", "complete"]


def test_text_bytes_and_empty_messages_arrive_as_what_they_were() -> None:
    with VirtualPair() as pair:
        pair.connect()
        theirs, ours = pair.channel()
        for message in ("grüße", b"\x00\xff", "", b"", bytearray(b"array"), memoryview(b"view")):
            size = len(message.encode()) if isinstance(message, str) else len(message)
            assert ours.send(message) == size
        pair.until(lambda: pair.a.count("MESSAGE") == 6)
        assert pair.a.messages() == ["grüße", b"\x00\xff", "", b"", b"array", b"view"]
        assert [event[2] for event in pair.a.seen["MESSAGE"]] == [7, 2, 0, 0, 5, 4]
        assert {event[0] for event in pair.a.seen["MESSAGE"]} == {theirs.id}


def test_a_view_that_is_not_contiguous_is_sent_as_its_bytes() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        assert ours.send(memoryview(b"a-b-c-")[::2]) == 3
        pair.until(lambda: pair.a.count("MESSAGE") == 1)
        assert pair.a.messages() == [b"abc"]


def test_an_incoming_channel_tells_what_it_was_opened_with() -> None:
    with VirtualPair() as pair:
        pair.connect()
        pair.b.open(0, label="läbel", protocol="p", ordered=False, max_retransmits=3, priority=1024)
        pair.b.open(2, label="", protocol="", max_packet_life_time=1500)
        pair.until(lambda: pair.a.count("CHANNEL_INCOMING") == 2)
        first, second = pair.a.seen["CHANNEL_INCOMING"]
        assert (first[0], first[1].stream_id, *said(first[2])) == (
            *(pair.a.transport, 0),
            *("läbel", "p", False, None, 3, 1024),
        )
        assert said(second[2]) == ("", "", True, 1500, None, 256)


def said(o: _core.ChannelOptions) -> tuple[object, ...]:
    return o.label, o.protocol, o.ordered, o.max_packet_life_time, o.max_retransmits, o.priority


def test_buffered_amount_rises_at_send_and_falls_when_it_has_left() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        pair.run(1)
        ours.low_threshold = 1000
        assert ours.low_threshold == 1000
        assert (ours.buffered_amount, ours.send(b"x" * 250_000), ours.buffered_amount) == (0, 250_000, 250_000)
        assert ours.watch_low()
        pair.until(lambda: pair.b.count("CHANNEL_LOW") == 1)
        assert ours.buffered_amount <= 1000
        ours.send(b"x" * 250_000)
        pair.run(5)
        assert ours.buffered_amount == 0
        assert pair.b.seen["CHANNEL_LOW"] == [(ours.id,)], "once: it was watched only once"
        assert not ours.watch_low(), "it is low already"


def test_a_message_that_is_too_large_for_the_peer_is_not_counted_as_waiting() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        ours.send(b"x" * 262_145)
        ours.send(b"small")
        pair.until(lambda: pair.a.messages() == [b"small"])
        pair.run(1)
        assert ours.buffered_amount == 0


def test_a_full_send_buffer_refuses_and_loses_nothing() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        pair.net.cut("10.0.0.1")
        message, taken = b"x" * 262_144, 0
        with pytest.raises(BufferError, match="262144 bytes more"):
            while True:
                ours.send(message)
                taken += 1
        assert taken == 64, "16 MiB"
        assert ours.buffered_amount == taken * len(message)
        ours.send(b"")
        pair.net.cut("10.0.0.1", cut=False)
        pair.until(lambda: pair.a.count("MESSAGE") == taken + 1, limit=60)
        assert ours.buffered_amount == 0


def test_closing_rules_40_to_44_through_the_handles() -> None:
    with VirtualPair() as pair:
        pair.connect()
        theirs, ours = pair.channel(6)
        for _ in range(20):
            ours.send(b"x" * 50_000)
        ours.close()
        ours.send(b"dropped")
        pair.until(lambda: pair.b.count("CHANNEL_CLOSED") == 1 and pair.a.count("CHANNEL_CLOSED") == 1)
        assert pair.a.count("MESSAGE") == 20
        assert pair.a.order[-2:] == ["CHANNEL_CLOSING", "CHANNEL_CLOSED"]
        assert pair.a.last("CHANNEL_CLOSED") == (theirs.id, None, None)
        assert pair.b.last("CHANNEL_CLOSED") == (ours.id, None, None)
        assert pair.b.count("CHANNEL_CLOSING") == 0
        again, _ = pair.channel(6)
        assert again.id != theirs.id


def test_closing_rules_12_and_56_the_abort_closes_the_other_side_with_its_cause() -> None:
    with VirtualPair() as pair:
        pair.connect()
        theirs, ours = pair.channel()
        for _ in range(10):
            ours.send(b"x" * 100_000)
        pair.b.close("see you")
        pair.until(lambda: pair.a.count("CHANNEL_CLOSED") == 1 and pair.b.count("CONNECTION_ENDED") == 1)
        text = "User-Initiated Abort, reason=see you"
        assert pair.a.last("SCTP_STATE") == (pair.a.transport, "closed", 12, text, None)
        assert pair.a.last("CHANNEL_CLOSED") == (theirs.id, text, 12)
        assert pair.a.last("DTLS_STATE") == (pair.a.transport, "closed", None, "", None, None)
        assert pair.a.order.index("SCTP_STATE") < pair.a.order.index("CHANNEL_CLOSED")
        connection, left = pair.b.last("CONNECTION_ENDED") or (None, None)
        assert connection == pair.b.connection
        assert left == {"transports": 0, "channels": 0, "sockets": 0, "timers": 0, "unsent": 0, "allocations": 0}
        assert ours.buffered_amount > 0, "closing rule 48"
        counters = pair.b.loop.counters()
        assert {name: count for name, count in counters.items() if not name.startswith("dropped")} == {
            "connections": 0,
            "transports": 0,
            "channels": 0,
            "sockets": 0,
            "allocations": 0,
            "timers": 0,
            "panics": 0,
            "queued_events": 0,
        }


def test_a_connection_without_transports_ends_too() -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1")
    connection = loop.connection(_core.Certificate.generate())
    loop.close_connection(connection)
    loop.close_connection(connection)
    assert net.next() == net.now
    events, more = loop.drain(10, 1000)
    assert not more
    assert [event[:2] for event in events] == [(_core.CONNECTION_ENDED, connection)]


def test_one_transport_closes_alone() -> None:
    with VirtualPair() as pair:
        pair.connect()
        theirs, ours = pair.channel()
        pair.b.loop.close_transport(pair.b.transport)
        pair.until(lambda: pair.a.count("CHANNEL_CLOSED") == 1 and pair.b.count("CHANNEL_CLOSED") == 1)
        assert (pair.b.last("CHANNEL_CLOSED") or ())[0] == ours.id
        assert pair.a.last("CHANNEL_CLOSED") == (theirs.id, "User-Initiated Abort, reason=Transport closed", 12)
        assert pair.b.loop.counters()["connections"] == 1
        assert pair.b.loop.counters()["sockets"] == 0
        pair.b.close()
        pair.until(lambda: pair.b.count("CONNECTION_ENDED") == 1)


def test_commands_on_what_has_ended_do_nothing() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        loop, transport = pair.b.loop, pair.b.transport
        pair.b.close()
        pair.until(lambda: pair.b.count("CONNECTION_ENDED") == 1)
        before = pair.b.order.copy()
        ours.send(b"x")
        ours.close()
        loop.add_candidate(transport, 1, None)
        loop.set_remote(transport, 2, "cccc", "c" * 22)
        loop.gather(transport, 2, "dddd", "d" * 22, True, [])
        loop.drop_generation(transport, 1)
        loop.consumed(transport, 5)
        channel = loop.open_channel(transport, 8, _core.ChannelOptions("", negotiated=True))
        channel.send(b"x")
        channel.close()
        loop.close_transport(transport)
        pair.run(1)
        assert pair.b.order == before
        assert loop.counters()["dropped_message"] == 0


def test_back_pressure_a_reader_that_takes_nothing_stops_the_sender() -> None:
    with VirtualPair(receive_buffer=300_000) as pair:
        pair.connect()
        _, ours = pair.channel()
        pair.a.reads = False
        for number in range(100):
            ours.send(bytes([number]) * 50_000)
        pair.run(20)
        held = sum(event[2] for event in pair.a.seen["MESSAGE"])
        assert 300_000 <= held < 400_000
        assert ours.buffered_amount > 3_000_000
        pair.a.reads = True
        pair.a.loop.consumed(pair.a.transport, held)
        pair.until(lambda: pair.a.count("MESSAGE") == 100, limit=30)
        assert [message[0] for message in pair.a.messages()] == list(range(100))


def test_drain_is_bounded_in_events_and_in_bytes() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        for _ in range(10):
            ours.send(b"x" * 1000)
        for _ in range(20):  # time moves, nothing is drained
            pair.net.advance(pair.net.now + 0.05)
        events, more = pair.a.loop.drain(3, 1 << 20)
        assert (len(events), more) == (3, True)
        events, more = pair.a.loop.drain(100, 1500)
        assert (len(events), more) == (2, True), "the bound is looked at after each"
        assert pair.a.loop.counters()["queued_events"] == 5
        events, more = pair.a.loop.drain(100, 1 << 20)
        assert (len(events), more) == (5, False)


def test_while_events_wait_next_is_now() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        pair.run(1)
        ours.send(b"x")
        pair.net.advance(pair.net.now + 0.05)
        assert pair.net.next() == pair.net.now
        pair.a.take()
        pair.b.take()
        due = pair.net.next()
        assert due is not None
        assert due > pair.net.now


def test_the_same_seed_gives_the_same_run() -> None:
    def run(seed: int) -> list[tuple[float, int]]:
        with VirtualPair(seed) as pair:
            pair.net.link(loss=0.05, delay=0.01, jitter=0.005)
            pair.net.record()
            pair.connect()
            _, ours = pair.channel()
            ours.send(b"x" * 250_000)
            pair.until(lambda: pair.a.count("MESSAGE") == 1, limit=60)
            return [(at, len(datagram)) for at, *_, datagram in pair.net.sent() if len(datagram) > 1000]

    first = run(7)
    assert first == run(7)
    assert first != run(8)


def test_recording_tells_what_was_sent_and_injecting_is_a_strangers_packet() -> None:
    with VirtualPair() as pair:
        pair.net.record()
        pair.connect()
        sent = pair.net.sent()
        assert pair.net.sent() == []
        at, source, port, destination, _, datagram = sent[0]
        assert (at, source, destination) == (0.0, "10.0.0.1", "10.0.0.2")
        assert datagram[0] < 4, "STUN comes first"
        before = pair.a.loop.counters()["dropped_unknown"]
        pair.net.inject(("10.9.9.9", 1), ("10.0.0.1", port), b"\xff garbage")
        pair.net.inject(("10.9.9.9", 1), ("10.0.0.1", 1), b"\xff to nobody")
        pair.run(0.1)
        assert pair.a.loop.counters()["dropped_unknown"] == before + 1


def test_a_cut_is_silence_and_a_heal_is_noticed() -> None:
    with VirtualPair() as pair:
        pair.connect()
        pair.net.cut("10.0.0.2")
        assert pair.until(lambda: pair.a.last("ICE_STATE") == (pair.a.transport, "disconnected")) <= 5.1
        pair.net.cut("10.0.0.2", cut=False)
        assert pair.until(lambda: pair.a.last("ICE_STATE") != (pair.a.transport, "disconnected")) < 1.5


def test_each_packet_lost_in_turn_by_drop_next() -> None:
    for skip in range(12):
        with VirtualPair() as pair:
            pair.connect()
            _, ours = pair.channel()
            pair.run(1)
            pair.net.drop_next(1, skip)
            for number in range(5):
                ours.send(bytes([number]) * 3000)
            ours.close()
            pair.until(lambda: pair.b.count("CHANNEL_CLOSED") == 1)
            assert [message[0] for message in pair.a.messages()] == [0, 1, 2, 3, 4]


def test_an_ice_restart_and_its_rollback() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        pair.a.gather(2, controlling=True)
        pair.b.gather(2, controlling=False)
        pair.a.loop.drop_generation(pair.a.transport, 2)
        pair.b.loop.drop_generation(pair.b.transport, 2)
        pair.run(5)
        pair.negotiate(4)
        pair.until(lambda: all((peer.last("ICE_PAIR") or (0, 0))[1] == 4 for peer in (pair.a, pair.b)))
        ours.send("after")
        pair.until(lambda: pair.a.messages() == ["after"])
        assert all(state in {"checking", "connected", "completed"} for _, state in pair.a.seen["ICE_STATE"])


def test_stun_gives_reflexive_candidates_and_silence_an_error() -> None:
    net = _core.VirtualNetwork()
    net.record()
    loop = net.host("10.0.0.1")
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    servers = ["stun:192.0.2.1:3478", "stun:192.0.2.2", "stun:no.such.name"]
    loop.gather(transport, 1, "aaaa", "a" * 22, True, servers)
    net.advance(0.001)
    requests = {destination: (port, datagram) for _, _, port, destination, _, datagram in net.sent()}
    port, request = requests["192.0.2.1"]
    assert request[:8] == bytes.fromhex("000100002112a442")
    mapped = bytes([203 ^ 0x21, 0 ^ 0x12, 113 ^ 0xA4, 5 ^ 0x42])
    answer = (
        bytes.fromhex("0101000c2112a442") + request[8:20] + bytes.fromhex("002000080001") + (6000 ^ 0x2112).to_bytes(2)
    )
    net.inject(("192.0.2.1", 3478), ("10.0.0.1", port), answer + mapped)
    net.advance(30.0)
    events, _ = loop.drain(100, 1000)
    lines = [(event[3].split(" ", 3)[3], event[4]) for event in events if event[0] == _core.CANDIDATE]
    assert [line.split(" ", 1)[1] for line, _ in lines] == [
        "10.0.0.1 10000 typ host",
        "10.0.0.1 9 typ host tcptype active",
        "203.0.113.5 6000 typ srflx raddr 10.0.0.1 rport 10000",
    ]
    assert [url for _, url in lines] == [None, None, "stun:192.0.2.1:3478"]
    errors = [event[3:] for event in events if event[0] == _core.CANDIDATE_ERROR]
    assert (None, None, "stun:no.such.name", 701, "a virtual network has no names") in errors
    assert ("10.0.0.1", 10000, "stun:192.0.2.2", 701, "STUN server 192.0.2.2:3478 did not answer") in errors
    states = [event[3] for event in events if event[0] == _core.GATHERING]
    assert states == ["gathering", "complete"]


@pytest.mark.parametrize(
    ("policy", "loopback", "expected"),
    [
        ("all", "auto", ["10.0.0.1", "fd00::1"]),
        ("all", "always", ["10.0.0.1", "127.0.0.1", "fd00::1"]),
        ("all", "never", ["10.0.0.1", "fd00::1"]),
        ("relay", "auto", []),
    ],
)
def test_which_addresses_are_offered(policy: str, loopback: str, expected: list[str]) -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1", "127.0.0.1", "fd00::1")
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    loop.gather(transport, 1, "aaaa", "a" * 22, True, [], policy, _core.Addresses(loopback=loopback))  # type: ignore[arg-type]
    net.next()
    events, _ = loop.drain(100, 1000)
    lines = [event[3] for event in events if event[0] == _core.CANDIDATE]
    for protocol in ("udp", "tcp"):
        of_it = [line.split(" ") for line in lines if line.split(" ")[2] == protocol]
        assert sorted(words[4] for words in of_it) == expected
    assert len({line.split(" ")[0] for line in lines}) == 2 * len(expected), "distinct foundations"
    assert len({line.split(" ")[3] for line in lines}) == 2 * len(expected), "distinct priorities"


def fault(name: str) -> int:
    """The system's number of an error of sockets: Windows has others than those that Python gives these names there."""
    on_windows = {"EMFILE": 10024, "ENFILE": 4, "EACCES": 10013, "EPERM": 5} if sys.platform == "win32" else {}
    return on_windows.get(name) or int(getattr(errno, name))


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (fault("EMFILE"), "no file descriptor is left"),
        (fault("ENFILE"), "no file descriptor is left"),
        (fault("EACCES"), "no permission"),
        (errno.EADDRINUSE, "the port is taken"),
        (errno.EADDRNOTAVAIL, "no network interface has this address"),
    ],
)
def test_an_address_that_can_not_be_used_is_named_and_the_others_are_used(number: int, word: str) -> None:
    net = _core.VirtualNetwork()
    loop = net.host("10.0.0.1", "10.0.0.2")
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    net.refuse("10.0.0.1", number)
    loop.gather(transport, 1, "aaaa", "a" * 22, True, [])
    net.next()
    events, _ = loop.drain(100, 1000)
    (trouble,) = [event for event in events if event[0] == _core.CANDIDATE_ERROR]
    assert trouble[1:7] == (transport, 1, "10.0.0.1", None, "", 701)
    assert word in str(trouble[7])
    assert f"os error {number}" in str(trouble[7])
    assert {event[3].split(" ")[4] for event in events if event[0] == _core.CANDIDATE} == {"10.0.0.2"}
    assert events.index(trouble) < events.index((_core.GATHERING, transport, 1, "complete"))
    # What is refused is asked for again by the next generation.
    net.refuse("10.0.0.1", None)
    loop.gather(transport, 2, "bbbb", "b" * 22, True, [])
    net.next()
    events, _ = loop.drain(100, 1000)
    assert {event[3].split(" ")[4] for event in events if event[0] == _core.CANDIDATE} == {"10.0.0.1", "10.0.0.2"}
    assert not [event for event in events if event[0] == _core.CANDIDATE_ERROR]


@pytest.mark.parametrize(
    ("policy", "loopback", "word"),
    [("all", "never", "no network interface but loopback"), ("relay", "auto", "there is no TURN server")],
)
def test_that_there_is_no_address_is_named(policy: str, loopback: str, word: str) -> None:
    net = _core.VirtualNetwork()
    loop = net.host("127.0.0.1")
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    loop.gather(transport, 1, "aaaa", "a" * 22, True, [], policy, _core.Addresses(loopback=loopback))  # type: ignore[arg-type]
    net.next()
    events, _ = loop.drain(100, 1000)
    assert [event[0] for event in events] == [_core.CANDIDATE_ERROR, _core.GATHERING, _core.GATHERING]
    assert events[0][1:7] == (transport, 1, None, None, "", 701)
    assert word in str(events[0][7])


def test_that_sending_is_forbidden_is_said_once() -> None:
    with VirtualPair() as pair:
        pair.connect()
        line = str(pair.a.seen["CANDIDATE"][0][2]).split(" ")
        pair.net.refuse(line[4], errno.ENETUNREACH)  # this may pass: ICE has its own clock for it
        pair.run(5)
        assert pair.a.seen["CANDIDATE_ERROR"] == []
        pair.net.refuse(line[4], fault("EPERM"))
        pair.run(5)
        (trouble,) = pair.a.seen["CANDIDATE_ERROR"]
        assert trouble[1:6] == (1, line[4], int(line[5]), "", 701)
        assert "no permission" in trouble[6]
        assert pair.a.loop.counters()["dropped_unsent"] > 1


def test_loopback_is_offered_where_there_is_nothing_else() -> None:
    net = _core.VirtualNetwork()
    loop = net.host("127.0.0.1")
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    loop.gather(transport, 1, "aaaa", "a" * 22, True, [])
    net.next()
    events, _ = loop.drain(100, 1000)
    assert {event[3].split(" ")[4] for event in events if event[0] == _core.CANDIDATE} == {"127.0.0.1"}


def test_statistics_of_a_living_and_of_an_ended_transport() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        ours.send(b"x" * 1000)
        pair.until(lambda: pair.a.count("MESSAGE") == 1)
        pair.run(10)
        pair.b.loop.request_stats(pair.b.transport, 7)
        pair.until(lambda: pair.b.count("STATS") == 1)
        transport, request, stats = pair.b.seen["STATS"][0]
        assert (transport, request) == (pair.b.transport, 7)
        assert (stats["ended"], stats["ice_state"], stats["ice_role"]) == (False, "completed", "controlled")
        assert stats["dtls"] == {
            "state": "connected",
            "version": "FEFC",
            "role": "client",
            "cipher": "TLS_AES_128_GCM_SHA256",
            "srtp_cipher": "SRTP_AES128_CM_HMAC_SHA1_80",
        }
        (one,) = stats["pairs"]
        assert one["remote"].endswith("10.0.0.1 10000 typ host")
        assert one["consent_requests_sent"] >= 4
        assert one["current_round_trip_time"] == pytest.approx(0.02, abs=0.002)
        assert one["last_response_age"] < 2.6
        assert stats["channels"][ours.id]["bytes_sent"] == 1000
        assert stats["sctp"]["smoothed_round_trip_time"] >= 0.02
        assert stats["sctp"]["controller"] == "tolerant"
        assert stats["sctp"]["shortest_round_trip_time"] == pytest.approx(0.02, abs=0.002)
        assert (stats["sctp"]["lost"], stats["sctp"]["timeouts"]) == (0, 0)
        pair.b.close()
        pair.until(lambda: pair.b.count("CONNECTION_ENDED") == 1)
        pair.b.loop.request_stats(pair.b.transport, 8)
        pair.b.loop.request_stats(999_999, 9)
        pair.until(lambda: pair.b.count("STATS") == 3)
        last = pair.b.seen["STATS"][1][2]
        assert last["ended"]
        assert last["channels"][ours.id]["bytes_sent"] == 1000
        assert pair.b.seen["STATS"][2] == (999_999, 9, {})


def test_many_connections_on_two_hosts_do_not_disturb_each_other() -> None:
    net = _core.VirtualNetwork(3)
    net.link(delay=0.005)
    left, right = net.host("10.0.0.1"), net.host("10.0.0.2")
    from unit.core.peers import Pair

    pairs = [Pair(left, right) for _ in range(30)]
    by_transport = {peer.transport: peer for pair in pairs for peer in (pair.a, pair.b)}
    for pair in pairs:
        pair.start()
    for _ in range(2000):
        for loop in (left, right):
            for event in loop.drain(10_000, 1 << 24)[0]:
                if event[0] in {_core.CANDIDATE, _core.GATHERING, _core.SCTP_STATE}:
                    peer = by_transport[event[1]]
                    assert peer.other is not None
                    if event[0] == _core.CANDIDATE:
                        peer.other.loop.add_candidate(peer.other.transport, 1, event[3])
                    if event[0] == _core.SCTP_STATE:
                        peer.seen["SCTP_STATE"].append(event[1:])
        if all(pair.is_connected() for pair in pairs):
            break
        due = net.next()
        assert due is not None
        net.advance(due)
    assert all(pair.is_connected() for pair in pairs)
    assert left.counters()["connections"] == 30
    left.close()
    right.close()
    net.advance(net.now + 3)
    assert left.counters()["connections"] == right.counters()["sockets"] == 0
