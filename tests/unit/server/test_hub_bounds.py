"""A stranger can neither stop the hub nor make it grow."""

from __future__ import annotations

import gc
import random
import tracemalloc
from pathlib import Path

import msgspec
import pytest

import adieu
from adieu.protocol.signaling import BareAck, CloseCode, Join, Leave, Quit
from adieu.protocol.words import Wait
from adieu.server.hub import Settings
from adieu.server.hub.limits import network_of
from adieu.server.hub.timers import Timers
from unit.server.bench import Bench

pytestmark = pytest.mark.usefixtures("each_hub")


def times(each_hub, count):
    """How often a long test does something: with replicas each time costs much more, and they are the same hub."""
    return count if each_hub == "one hub" else count // 50


PACKAGE = Path(adieu.__file__).parent
GARBAGE = [
    "",
    "{",
    "[]",
    "null",
    "5",
    '"text"',
    "{}",
    '{"type":5}',
    '{"type":"join"}',
    '{"type":"join","room":""}',
    '{"type":"join","room":"' + "x" * 300 + '"}',
    '{"type":"join","room":"lab","id":-1}',
    '{"type":"join","room":"lab","id":"one"}',
    '{"type":"wait","to":"x","etaMs":1,"seq":0}',
    '{"type":"wait","to":"x","etaMs":1,"seq":1.5}',
    '{"type":"wait","to":"x","etaMs":99999999999999999999}',
    '{"type":"wait","to":5,"etaMs":1}',
    '{"type":"description","to":"x","epoch":1,"sdpType":"hello","sdp":""}',
    '{"type":"candidates","to":"x","epoch":1,"candidates":[{}]}',
    '{"type":"candidates","to":"x","epoch":1,"candidates":' + str([{"candidate": "c"}] * 51).replace("'", '"') + "}",
    '{"type":"hello","version":NaN}',
    '{"type":"quit","reason":"\\ud800"}',
    '{"type":"quit","x":' + "[" * 30_000 + "]" * 30_000 + "}",
    '{"type":"quit","x":' + '{"y":' * 10_000 + "1" + "}" * 10_000 + "}",
    b"\x00\xff",
    b'{"type":"quit"}',
]


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: repr(text[:40]))
def test_garbage_is_answered_counted_and_dropped(text):
    bench = Bench()
    ada = bench.person()
    (error,) = ada.say(text)
    assert error.code == "bad-request"
    assert not error.temporary
    assert ada.closed is None
    assert bench.hub.counters["bad_messages"] == 1


def test_an_unknown_type_is_unsupported_and_no_offence():
    bench = Bench()
    ada = bench.person()
    for _ in range(50):
        (error,) = ada.say('{"type":"future","id":3,"new":1}')
        assert error.code == "unsupported"
    assert ada.frames[-1][0].id == 3
    assert ada.closed is None


def test_who_goes_on_with_garbage_is_closed_with_3501():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    for _ in range(9):
        ada.say("{")
        assert ada.closed is None
    ada.say("{")
    assert ada.closed.code == CloseCode.BAD_REQUEST
    assert bench.hub.gauges()["seats"] == 1
    assert ben.closed is None


def test_messages_a_second_have_a_limit_with_a_burst():
    bench = Bench()
    ada = bench.person(None)
    bench.wait(10)
    for _ in range(200):
        ada.say(BareAck())
    assert ada.closed is None
    bench.wait(1)
    for _ in range(50):
        ada.say(BareAck())
    assert ada.closed is None
    ada.say(BareAck())
    assert ada.closed.code == CloseCode.TOO_MANY
    # Coming again does not give a new burst.
    again = bench.back(ada)
    again.say(BareAck())
    assert again.closed.code == CloseCode.TOO_MANY


def test_a_message_too_long_is_1009():
    bench = Bench(Settings(message_bytes=1000))
    ada = bench.person()
    ada.say(Join(room="x", meta={"x": "y" * 1000}))
    assert ada.closed.code == CloseCode.TOO_BIG


def test_new_connections_a_minute_from_one_address_have_a_limit():
    bench = Bench()
    people = [bench.connect("192.0.2.1") for _ in range(121)]
    assert [person.closed is None for person in people] == [True] * 120 + [False]
    assert people[-1].closed.code == CloseCode.TOO_MANY
    assert bench.connect("192.0.2.2").closed is None
    bench.wait(0.51)
    assert bench.connect("192.0.2.1").closed is None
    assert bench.connect("192.0.2.1").closed is not None


def test_an_ipv6_stranger_has_a_network_and_loopback_has_no_strangers():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("127.0.0.1") is None
    assert network_of("::1") is None
    assert network_of("::ffff:127.0.0.1") is None
    assert network_of("") is None


def test_sockets_and_seats_have_limits():
    bench = Bench(Settings(connections=3))
    assert [bench.connect().closed is None for _ in range(4)] == [True] * 3 + [False]
    bench = Bench(Settings(seats=1))
    bench.person().lose()
    late = bench.connect()
    (error,) = late.say('{"type":"hello","version":1}')
    assert (error.code, error.temporary, late.closed.code) == ("busy", True, CloseCode.TOO_MANY)


def test_seats_from_one_address_have_a_limit_those_away_among_them():
    bench = Bench(Settings(seats_per_address=2, connects_per_minute=100))
    first = bench.person(address="192.0.2.1")
    bench.person(address="192.0.2.1").lose()
    late = bench.connect("192.0.2.1")
    (error,) = late.say('{"type":"hello","version":1}')
    assert error.code == "busy"
    bench.person(address="192.0.2.2")
    first.say(Quit())
    bench.person(address="192.0.2.1")


def test_strangers_addresses_are_forgotten():
    bench = Bench()
    for number in range(5000):
        bench.now += 0.01
        bench.connect(f"198.51.{number // 250}.{number % 250 + 1}").lose()
    assert len(bench.hub._state.gate) < 2100


def test_10_000_joins_and_leaves_leave_nothing(each_hub):
    bench = Bench(Settings(burst=100_000, reload_window=5.0))
    watcher = bench.person("other")
    ada, ben = bench.person(None), bench.person(None)

    def round_trip(count):
        for number in range(count):
            bench.wait(0.05)
            room = f"room-{number}"
            ada.join(room, tab=f"tab-{number}", x=number)
            ben.join(room)
            ada.relay(Wait(to=ben.peer, session="s", eta_ms=number))
            ben.say(BareAck(), ack=ben.last_seq)
            ben.say(Leave(room=room))
            ada.say(Leave(room=room))
            ada.say(BareAck(), ack=ada.last_seq)
            for person in (ada, ben):
                del person.frames[:-1], person.raw[:-1]
        bench.wait(6)

    round_trip(200)
    before = bench.hub.gauges()
    gc.collect()
    tracemalloc.start()
    round_trip(times(each_hub, 5000))
    gc.collect()
    grown = sum(
        stat.size
        for stat in tracemalloc.take_snapshot().statistics("filename")
        if Path(stat.traceback[0].filename).is_relative_to(PACKAGE)
    )
    tracemalloc.stop()
    assert bench.hub.gauges() == before
    assert before["rooms"] == 1
    assert before["departed"] == 0
    assert grown < 20_000
    assert watcher.closed is None


def test_10_000_clients_that_come_and_go_leave_nothing(each_hub):
    bench = Bench()
    keeper = bench.person()
    empty = bench.hub.gauges()
    for number in range(times(each_hub, 10_000)):
        bench.now += 0.02
        person = bench.person(tab=f"t{number}")
        person.lose() if number % 3 else person.say(Quit())
        keeper.say(BareAck(), ack=keeper.last_seq)
        del keeper.frames[:-1], keeper.raw[:-1], bench.people[person.connection]
        bench.wait(6 if bench.hub.gauges()["seats"] > 14 else 0)
        bench.wait(80 if bench.hub.gauges()["seats"] > 14 else 0)
        keeper.say(BareAck(), ack=keeper.last_seq)
    bench.wait(100)
    keeper.say(BareAck(), ack=keeper.last_seq)
    assert bench.hub.gauges() == empty


def test_timers_that_are_set_again_and_again_do_not_pile_up():
    timers: Timers[str] = Timers()
    for number in range(10_000):
        timers.set("a", 1000.0 - number / 100)
    assert len(timers._heap) < 200
    assert timers.next() == pytest.approx(900.01)
    timers.cancel("a")
    assert timers.next() is None


def test_random_bytes_and_mangled_messages_never_raise(each_hub):
    chance = random.Random(7)
    bench = Bench(Settings(burst=10**9, strikes=10**9))
    ada, ben = bench.person(), bench.person()
    seeds = [
        msgspec.json.encode(message)
        for message in (
            {"type": "join", "room": "r", "meta": {"a": 1}},
            {"type": "wait", "to": ben.peer, "session": "s", "etaMs": 5, "seq": 1},
            {"type": "candidates", "to": ben.peer, "epoch": 1, "candidates": [{"candidate": "x"}]},
            {"type": "leave", "room": "r"},
        )
    ]
    for _ in range(times(each_hub, 20_000)):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        text = data.decode("latin-1") if chance.random() < 0.9 else bytes(data)
        ada.say(text)
        if ada.closed:
            ada = bench.person()
        ben.say(BareAck(), ack=ben.last_seq)
        for person in (ada, ben):
            del person.frames[:-1], person.raw[:-1]
    assert ben.closed is None


@pytest.mark.parametrize("name", ["rooms", "grace", "message_bytes"])
def test_a_limit_is_a_number_above_0(name):
    with pytest.raises(ValueError, match=f"{name} is 0"):
        Settings(**{name: 0})
