"""Named channels: opening, credit, acknowledgement, and what a wrong peer gets."""

from __future__ import annotations

import itertools
import json

import pytest

from adieu.errors import ChannelError
from adieu.protocol import control
from adieu.protocol.control import COST, SMALL, Turn
from adieu.protocol.words import Total
from adieu.session.machine import actions
from adieu.session.machine.budget import Budget
from adieu.session.machine.flow import ViolationError
from adieu.session.machine.held import Payload
from adieu.session.machine.options import Options
from adieu.session.machine.receiver import Receiver
from adieu.session.machine.sender import Sender
from sim.session.test_machine_close import opened
from sim.session.world import World


def test_the_same_name_from_both_at_once_is_one_channel() -> None:
    world = World().start()
    world.run(when=world.both("open"))
    world.a.open("chat")
    world.b.open("chat")
    world.run(world.now + 1)
    a, b = world.a.machine.channels["chat"], world.b.machine.channels["chat"]
    assert a.open and b.open and a.id == b.id == control.FIRST_ID_SMALLER
    world.a.send("chat", b"1")
    world.b.send("chat", b"2")
    world.run(world.now + 1)
    assert world.a.got["chat"] == [b"2"] and world.b.got["chat"] == [b"1"]


def test_a_channel_that_gives_way_may_end_before_the_reason_comes() -> None:
    """Both open the same name: the stream of the larger side is reset, and the `open` of the other is still queued."""
    world = World().start()
    world.run(when=world.both("open"))
    world.a.open("chat")
    world.b.open("chat")
    world.b.call("stream_closed", 1, control.FIRST_ID_LARGER)
    world.run(world.now + 1)
    assert world.a.machine.state == world.b.machine.state == "open"
    world.b.send("chat", b"2")
    world.run(world.now + 1)
    assert world.a.got["chat"] == [b"2"]
    world.b.call("stream_closed", 1, control.FIRST_ID_SMALLER)
    world.a.lost(1, "closed", "the application closed a channel")
    world.run(when=world.both("closed"))


def test_channels_opened_before_the_connection_open_with_it() -> None:
    world = World().start()
    world.a.open("early")
    world.a.send("early", b"first")
    world.run(when=world.both("open"))
    world.run(world.now + 1)
    assert world.b.got["early"] == [b"first"]


def test_options_that_differ_are_an_error_on_both_sides() -> None:
    world = World().start()
    world.run(when=world.both("open"))
    world.a.open("chat", ordered=False)
    world.b.open("chat")
    world.run(world.now + 1)
    for side in (world.a, world.b):
        assert "wanted differently" in side.events(actions.ChannelFailed)[0].message
        assert "chat" not in side.machine.channels
    world.a.open("chat")
    world.run(world.now + 1)
    assert world.b.machine.channels["chat"].open
    with pytest.raises(ChannelError, match="already open with ordered=True"):
        world.a.open("chat", ordered=False)


def test_a_slow_reader_stops_its_channel_and_no_other() -> None:
    world = opened(window=1 << 20)
    world.a.open("other")
    world.run(world.now + 0.2)
    world.b.reads = False
    for _ in range(100):
        world.a.send("chat", bytes(65536))
    world.run(world.now + 2)
    assert world.b.machine.channels["chat"].receiver.queued_bytes == 1 << 20
    world.a.send("other", b"passes")
    world.run(world.now + 0.5)
    world.b.read("other")
    assert world.b.got["other"] == [b"passes"]
    world.b.reads = True
    world.b.read("chat")
    world.b.settle()
    world.run(when=lambda: len(world.b.got["chat"]) == 100)


def test_a_waiting_reader_gets_a_message_with_its_input() -> None:
    world = opened()
    world.b.waits = True
    world.b.read("chat")
    for number in range(3):
        world.a.send("chat", bytes([number]))
    world.run(world.now + 0.2)
    inputs = [entry[2] for entry in world.b.trace if entry[0] == "in"]
    assert world.b.got["chat"] == [b"\0", b"\1", b"\2"]
    assert inputs[inputs.index("reader_changed") :].count("take") == 0
    assert not world.b.events(actions.Readable)
    assert world.a.machine.channels["chat"].sender.delivered.messages == 3, "it is acknowledged as by `take`"
    world.b.feed("reader_changed", "chat", False)
    world.a.send("chat", b"later")
    world.run(world.now + 0.2)
    assert world.b.events(actions.Readable) and world.b.got["chat"][-1] == b"later"


def test_unread_messages_come_first_even_if_a_reader_waits_early() -> None:
    world = opened()
    world.b.reads = False
    world.a.send("chat", b"1")
    world.run(world.now + 0.1)
    world.b.feed("reader_changed", "chat", True)
    world.a.send("chat", b"2")
    world.run(world.now + 0.1)
    assert world.b.got["chat"] == [b"1"] and len(world.b.events(actions.Readable)) == 2
    world.b.read("chat")
    assert world.b.got["chat"] == [b"1", b"2"]


def test_waiting_and_taking_readers_have_the_same_account() -> None:
    outcomes = []
    for waits in (False, True):
        world = opened()
        for side in (world.a, world.b):
            side.waits = waits
            side.read("chat")
        for number in range(200):
            world.a.send("chat", bytes([number]) * 700)
            world.b.send("chat", bytes([number]))
        world.a.reset("transport")
        world.cut_link()
        world.run(world.now + 0.3)
        world.cut_link(False)
        world.run(when=lambda world=world: world.both("open")() and world.a.machine.reset is None)
        world.a.send("chat", b"last")
        world.a.close()
        world.run(when=world.both("closed"))
        assert len(world.b.got["chat"]) == 201 and len(world.a.got["chat"]) == 200
        assert bool(world.b.events(actions.Readable)) is not waits
        outcomes.append((world.a.outcome.agreed, world.b.outcome.path, world.b.outcome.clean))
    assert outcomes[0] == outcomes[1]


def test_a_message_starts_while_any_credit_is_left_and_is_sent_whole() -> None:
    world = opened(window=1000)
    world.b.reads = False
    world.a.send("chat", bytes(999))
    world.a.send("chat", bytes(1 << 20))
    world.a.send("chat", b"waits")
    world.run(world.now + 1)
    assert [len(m.payload.data) for m in world.b.machine.channels["chat"].receiver.queue] == [999, 1 << 20]


def test_large_messages_are_fragmented_and_arrive_whole() -> None:
    world = opened()
    data = bytes(range(256)) * 65536
    world.a.send("chat", data)
    world.run(when=lambda: bool(world.b.got["chat"]))
    assert world.b.got["chat"] == [data]
    with pytest.raises(ChannelError, match="limit is 16777216"):
        world.a.send("chat", data + b"x")


def test_acknowledgements_come_after_64_messages_or_20_ms() -> None:
    world = opened()
    sender = world.a.machine.channels["chat"].sender
    world.a.send("chat", b"x")
    world.run(world.now + 0.015)
    assert not sender.is_acknowledged(1)
    world.run(world.now + 0.04)
    assert sender.is_acknowledged(1)
    assert sender.delivered.messages == 1


def test_an_acknowledgement_older_than_the_last_is_ignored_closing_rule_s5() -> None:
    sender = Sender(reliable=True, counted=True)
    sender.granted(10_000)
    for _ in range(4):
        sender.accept(Payload(b"12345", text=False))
    list(sender.frames(1 << 20, 1200))
    assert sender.acknowledge(control.Acknowledged(up_to=3, window=2000))
    assert not sender.acknowledge(control.Acknowledged(up_to=1, window=50))
    assert (sender.acked, sender.window, sender.delivered.messages) == (3, 2000, 3)
    assert sender.is_acknowledged(3) and not sender.is_acknowledged(4)


def test_acknowledged_ranges_are_delivered_and_not_sent_again_closing_rule_s5() -> None:
    sender = Sender(reliable=True, counted=True)
    sender.granted(10_000)
    for _ in range(9):
        sender.accept(Payload(b"x", text=False))
    list(sender.frames(1 << 20, 1200))
    sender.acknowledge(control.Acknowledged(up_to=1, ranges=[(3, 4), (7, 8)], window=10_000))
    assert [message.seq for message in sender.flight] == [2, 5, 6, 9]
    assert sender.delivered.total() == Total(5, 5) and sender.flight_bytes == 4
    assert sender.rewind(1) == 4
    assert [message.seq for message in sender.queue] == [2, 5, 6, 9]


@pytest.mark.parametrize(
    ("up_to", "ranges"),
    [(10, []), (1, [(3, 10)]), (3, [(3, 4)]), (1, [(3, 2)]), (1, [(5, 6), (3, 4)]), (1, [(3, 5), (5, 6)])],
)
def test_an_acknowledgement_that_cannot_be_is_a_violation(up_to: int, ranges: list[tuple[int, int]]) -> None:
    sender = Sender(reliable=True, counted=True)
    sender.granted(10_000)
    for _ in range(9):
        sender.accept(Payload(b"x", text=False))
    list(sender.frames(1 << 20, 1200))
    with pytest.raises(ViolationError, match="acknowledged message"):
        sender.acknowledge(control.Acknowledged(up_to=up_to, ranges=ranges, window=10_000))


def test_nobody_has_what_was_never_sent() -> None:
    sender = Sender(reliable=True, counted=True)
    sender.accept(Payload(b"x", text=False))
    assert sender.rewind(0) == 0
    with pytest.raises(ViolationError, match="has message 1"):
        sender.rewind(1)


def receiving(*, ordered: bool = True, reliable: bool = True, counted: bool = True, size: int = 1 << 20) -> Receiver:
    """Of a session whose messages are at most 100 kB, with all the credit that it gets."""
    receiver = Receiver(ordered, reliable, Budget(size, 200_000, 100_000), counted=counted, claimed=True)
    receiver.grant()
    return receiver


@pytest.mark.parametrize("counted", [False, True])
def test_a_message_is_no_larger_than_the_largest(counted: bool) -> None:
    receiver = receiving(counted=counted)
    assert receiver.receive(1, control.encode_header(1, text=False) + bytes(100_000))
    with pytest.raises(ViolationError, match="larger than 100000"):
        receiver.receive(1, control.encode_header(2, text=False) + bytes(100_001))


def test_empty_messages_use_up_credit() -> None:
    receiver = receiving()
    with pytest.raises(ViolationError, match="credit"):
        for seq in range(1, 10_000):
            receiver.receive(1, control.encode_header(seq, text=False))
    assert len(receiver.line) < 2000
    assert receiver.budget.used <= receiver.budget.size


def test_a_side_of_the_version_before_stays_within_the_budget() -> None:
    """It counts payload alone, so nothing but the budget ends a flood of small messages."""
    receiver = receiving(counted=False)
    with pytest.raises(ViolationError, match="that a session holds"):
        for seq in range(1, 50_000):
            receiver.receive(1, control.encode_header(seq, text=False) + b"x")
    assert receiver.budget.used <= receiver.budget.size


def test_of_an_unreliable_channel_sixteen_halves_are_kept() -> None:
    receiver = receiving(ordered=False, reliable=False)
    for seq in range(1, 41):
        receiver.receive(1, control.encode_header(seq, text=False, last=False) + bytes(10))
    assert receiver.dropped == 24
    assert not receiver.receive(1, control.encode_header(24, text=False, first=False, index=1) + b"x")
    assert receiver.receive(1, control.encode_header(40, text=False, first=False, index=1) + b"x")


def test_a_peer_opens_no_more_channels_than_there_may_be() -> None:
    world = opened(max_channels=3)
    for number in range(5):
        opening = control.Open(name=f"c{number}", id=control.FIRST_ID_LARGER - 2 * number, window=1)
        world.a.call("control_received", 1, control.encode(opening))
    assert len(world.a.machine.channels) == 3
    assert world.a.state == "open"


def test_unordered_reliable_channels_survive_a_reset() -> None:
    world = opened()
    world.a.open("bag", ordered=False)
    world.run(world.now + 0.2)
    for n in range(300):
        world.a.send("bag", n.to_bytes(2) + bytes(20000))
    world.run(world.now + 0.03)
    world.a.reset()
    world.run(when=lambda: len(world.b.got["bag"]) >= 300)
    world.run(world.now + 1)
    assert sorted(int.from_bytes(d[:2]) for d in world.b.got["bag"]) == list(range(300))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"type":"ping"}',
        '{"type":"ack","channels":{"chat":{"upTo":7,"window":1}}}',
        '{"type":"open","name":"x","id":1020,"window":1}',
        '{"type":"open","name":"x","id":1022,"window":1}',
        '{"type":"hello","version":1,"peer":"b","session":"x","epoch":1,"have":{}}',
        "[" * 100000,
    ],
)
def test_a_wrong_control_message_ends_the_session_with_a_protocol_error(text: str) -> None:
    world = opened()
    world.a.call("control_received", 1, text)
    world.run(when=world.both("closed"))
    assert world.a.outcome.cause == "protocol-error"
    assert world.a.outcome.reason.text
    # What one side holds against the other is its reason, and no cause of the other's.
    assert (world.b.outcome.reason.code, world.b.outcome.cause) == ("protocol-error", "left")


def test_a_second_hello_is_a_protocol_error() -> None:
    world = opened()
    said = {"version": 1, "peer": "b", "session": world.b.machine.session, "epoch": 1, "have": {}}
    world.a.call("control_received", 1, json.dumps({"type": "hello", **said}))
    world.run(when=world.both("closed"))
    assert (world.a.outcome.cause, world.a.outcome.reason.text) == ("protocol-error", "a second hello")


@pytest.mark.parametrize(
    "frame",
    [b"", b"\x80\x01", b"\x06", b"\x06\x00", b"\x06\x05x", b"\x00\x01\x01x", b"\x02\xff", b"\x04\x01\x00x"],
)
def test_a_wrong_frame_ends_the_session_with_a_protocol_error(frame: bytes) -> None:
    world = opened()
    world.a.call("data_received", 1, world.a.machine.channels["chat"].id, frame)
    world.run(when=world.both("closed"))
    assert world.a.outcome.cause == "protocol-error"


def test_more_than_the_credit_given_is_a_protocol_error_and_bounded() -> None:
    world = opened(window=1000, max_message=1000)
    world.a.reads = False
    channel = world.a.machine.channels["chat"]
    for seq in range(1, 100):
        world.a.call("data_received", 1, channel.id, control.encode_header(seq, text=False) + bytes(500))
    assert world.a.state in {"closing", "closed"}
    assert channel.receiver.queued_bytes + channel.receiver.kept_bytes <= 3000


def test_an_unknown_message_type_is_ignored() -> None:
    world = opened()
    world.a.call("control_received", 1, '{"type":"later","x":1}')
    assert world.a.state == "open"


def test_a_full_unreliable_queue_drops_its_oldest_and_counts() -> None:
    world = World(options=Options(window=1000)).start()
    world.run(when=world.both("open"))
    world.a.open("state", max_retransmits=0)
    world.run(world.now + 0.5)
    world.b.reads = False
    for n in range(10):
        world.a.send("state", bytes([n]) * 200)
    world.run(world.now + 1)
    receiver = world.b.machine.channels["state"].receiver
    assert receiver.dropped == 5
    world.b.reads = True
    world.b.read("state")
    assert [d[0] for d in world.b.got["state"]] == [5, 6, 7, 8, 9]


def test_a_peer_that_says_no_hello_does_not_speak_adieu() -> None:
    world = World()
    world.b.stuck = True
    world.start()
    world.a.connections[1] = world.b.connections[1] = {None}
    world.a.connect(1)
    world.run(when=lambda: world.a.state == "closed")
    assert 5.0 < world.now < 8.0
    assert "does not speak adieu" in world.a.outcome.reason.text


def test_one_packet_that_proves_life_twice_brings_no_blame() -> None:
    """The link is cut right after that packet: the hello may be behind it."""
    world = World()
    world.b.stuck = True
    world.start()
    world.a.connections[1] = world.b.connections[1] = {None}
    world.a.connect(1)
    world.run(4.9)
    world.cut_link()
    world.run(when=lambda: world.a.machine.connections[1].alive_at is not None)
    world.run(world.now + 3.0)
    assert world.a.state == "connecting"
    assert world.a.machine.connections[1].alive_at is None
    world.cut_link(False)
    world.run(when=lambda: world.a.state == "closed")
    assert "does not speak adieu" in world.a.outcome.reason.text


def test_a_message_sent_again_later_is_known_for_ten_minutes() -> None:
    first = opened()
    first.a.send("chat", b"taken, but its acknowledgement was lost")
    first.run(first.now + 1)
    receipt = first.a.machine.receipt
    first.b.close()
    first.run(when=first.both("closed"))
    for seconds, taken in ((0.0, []), (700.0, [b"taken, but its acknowledgement was lost", b"new"])):
        second = opened()
        second.now += seconds
        second.b.machine.remembered = first.b.machine.remembered
        data = b"taken, but its acknowledgement was lost"
        second.a.call("send", "chat", Payload(data, text=False, again=(receipt, 1)))
        second.a.call("send", "chat", Payload(b"new", text=False, again=(receipt, 2)))
        second.run(second.now + 1)
        assert second.b.got["chat"] == (taken or [b"new"])
        assert second.a.machine.channels["chat"].sender.is_acknowledged(2)


def test_what_both_sides_can_do_is_in_use_and_nothing_else() -> None:
    world = World()
    world.a.machine.options = Options(capabilities=("one", "two"))
    world.b.machine.options = Options(capabilities=("two", "three"))
    world.start()
    world.run(when=world.both("open"))
    assert world.a.machine.capabilities == world.b.machine.capabilities == {"two"}
    world.b.machine.options = Options(capabilities=("one",))
    world.a.reset("transport")
    world.run(when=lambda: world.a.machine.active == 2 and world.both("open")())
    assert world.a.machine.capabilities == {"two"}, "a session keeps what it began with"


def frame(seq: int, data: bytes = b"", **kind: object) -> bytes:
    return control.encode_header(seq, text=False, **kind) + data  # type: ignore[arg-type]


def receiver(*, ordered: bool = False, counted: bool = True) -> Receiver:
    made = Receiver(ordered, True, Budget(1 << 26, 1 << 22, 1 << 24), counted=counted, claimed=True)
    made.grant()
    return made


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_without_order_the_pieces_of_a_message_come_in_any_order(order: tuple[int, ...]) -> None:
    one = receiver()
    pieces = [frame(1, bytes([n]) * 3, first=n == 0, last=n == 3, index=n) for n in range(4)]
    assert [one.receive(1, pieces[n]) for n in order] == [False, False, False, True]
    assert one.take() == Payload(b"\0\0\0\1\1\1\2\2\2\3\3\3", text=False)
    assert one.reserve <= (1 << 22) + (1 << 24) + COST


def test_a_piece_that_contradicts_the_others_breaks_the_protocol() -> None:
    for wrong in (
        frame(1, b"x", first=False, last=False, index=1),  # twice
        frame(1, b"x", first=False, last=False, index=5),  # behind the last
        frame(1, b"x", first=False, last=True, index=2),  # another last
        frame(1, b"x"),  # whole
    ):
        one = receiver()
        one.receive(1, frame(1, b"x", first=False, last=False, index=1))
        one.receive(1, frame(1, b"x", first=False, last=True, index=4))
        with pytest.raises(ViolationError):
            one.receive(1, wrong)
        assert not one.line


def test_halves_and_late_parts_of_an_old_connection_are_ignored() -> None:
    one = receiver(ordered=True)
    one.receive(1, frame(1, b"old ", first=True, last=False, index=0))
    one.receive(2, frame(1, b"new ", first=True, last=False, index=0))
    assert not one.receive(1, frame(1, b"end", first=False, last=True, index=1))
    assert not one.receive(1, frame(2, b"old"))
    assert one.receive(2, frame(1, b"end", first=False, last=True, index=1))
    assert one.take() == Payload(b"new end", text=False) and one.take() is None


def test_the_version_before_gets_a_flood_unchanged_by_packing() -> None:
    one = receiver(ordered=True, counted=False)
    again = ("0123456789abcdef" * 2, 2**53 - 1)
    sent = [
        Payload(bytes([n % 251]) * (n % 5), text=n % 2 == 1, again=again if n % 7 == 0 else None) for n in range(60_000)
    ]
    for seq, payload in enumerate(sent, 1):
        assert one.receive(1, control.encode_header(seq, text=payload.text, again=payload.again) + payload.data)
    assert len(one.queue) == 4096 and len(one.line) == 60_000
    assert one.budget.used == one.reserve < 4_000_000
    assert one.grant() == 0, "no more, please"
    assert [one.take() for _ in sent] == sent
    assert one.take() is None and one.reserve == 0
    assert one.grant() == 1 << 22


def test_a_message_larger_than_64_kib_waits_until_the_channel_is_taken() -> None:
    world = World().start()
    world.b.reads = False
    world.run(when=world.both("open"))
    world.a.open("chat")
    world.a.send("chat", bytes(65_536))
    world.a.send("chat", bytes(65_537))
    world.run(world.now + 1.0)
    there = world.b.machine.channels["chat"].receiver
    assert [len(message.payload.data) for message in there.queue] == [65_536]
    assert there.reserve <= 2 * SMALL + COST
    world.b.reads = True
    world.b.read("chat")
    world.b.settle()
    world.run(world.now + 1.0)
    assert [len(data) for data in world.b.got["chat"]] == [65_536, 65_537]


def test_a_stream_that_waits_is_asked_for_less_each_time() -> None:
    """Else its answer would be the same at once, and again, without end."""
    world = World(options=Options(stream_high=50_000, link_high=20_000)).start()
    world.run(when=world.both("open"))
    for name in ("small", "large"):
        world.a.open(name)
    world.run(world.now + 0.1)
    asked: dict[int, int] = {}

    def do(action: actions.AnyAction) -> None:
        if isinstance(action, actions.AskDrained):
            asked[action.id] = action.most

    world.a.do = do  # type: ignore[method-assign]
    world.a.send("small", bytes(1500))
    world.a.send("large", bytes(30_000))
    small = world.a.machine.channels["small"].id
    for most in (751, 375, 187, 93, 46, 23, 11, 5, 2, 1, 0):
        assert asked.pop(small) == most
        world.a.call("drained", 1, small, most)
    assert small not in asked, "there is nothing left to ask"


def test_a_channel_whose_opened_was_lost_is_there_after_a_reset() -> None:
    world = World().start()
    world.run(when=world.both("open"))
    world.a.open("chat")
    world.run(when=lambda: "chat" in world.b.machine.channels)
    world.cut_link()
    world.a.reset("full")
    world.run(when=lambda: 2 in world.a.connections)
    assert not world.a.machine.channels["chat"].open, "its answer is lost with the first connection"
    assert world.a.machine.channels["chat"].id in world.a.connections[2]


def test_a_channel_opened_during_a_reset_is_on_both_connections() -> None:
    world = World().start()
    world.run(when=world.both("open"))
    world.a.reset("transport")
    world.run(when=lambda: 2 in world.a.connections)
    assert world.a.machine.active == 1
    world.a.open("chat")
    assert all(world.a.machine.channels["chat"].id in world.a.connections[epoch] for epoch in (1, 2))


def tight(room: int, **kind: bool) -> Receiver:
    """A receiver that has used up a large window, where other channels have left so much room for windows."""
    receiver = receiving(ordered=False, **kind)
    for seq in (1, 2):
        receiver.receive(1, frame(seq, bytes(100_000)))
        receiver.take()
    budget = receiver.budget
    assert receiver.reserve == 0 and receiver.edge == receiver.large_edge == 200_000
    budget.used += budget.free - budget.last_room - room
    return receiver


def test_a_used_window_is_not_counted_again_after_a_gap() -> None:
    receiver = tight(SMALL + COST + 10_000)
    assert receiver.grant() == 10_000
    reserve = receiver.reserve
    receiver.receive(1, frame(4, b"before the third"))
    assert receiver.beyond and receiver.reserve == reserve


def test_a_turn_is_given_where_no_window_helps() -> None:
    receiver = tight(0)
    used = receiver.budget.used
    assert receiver.grant() == 0 and receiver.budget.used == used
    receiver.ask(1 << 20, Turn(up_to=5, cost=3 * (10_000 + COST)))
    assert receiver.hungry and receiver.stuck and receiver.give_turn() and not receiver.stuck
    assert receiver.acknowledgement().turn == 5
    for left, seq in ((2, 3), (1, 5), (0, 4)):
        receiver.receive(1, frame(seq, bytes(10_000)))
        receiver.take()
        assert receiver.grant() == 0 and receiver.reserve == left * (10_000 + COST)
    assert receiver.acknowledgement().turn == 0
    assert receiver.budget.used == used, "what was taken is behind the edge, and nothing was given"
    with pytest.raises(ViolationError, match="credit"):
        receiver.receive(1, frame(6))


def test_a_turn_lends_at_most_the_largest_message() -> None:
    receiver = tight(0)
    receiver.ask(1 << 20, Turn(up_to=2**53 - 1, cost=2**53 - 1))
    receiver.budget.used += 1
    assert not receiver.give_turn() and receiver.stuck
    receiver.budget.used -= 1
    assert receiver.give_turn() and receiver.budget.free == 0
    assert receiver.reserve == 100_000 + COST and receiver.turn == 2 + receiver.reserve // COST


def test_what_is_unreliable_makes_way_for_a_turn() -> None:
    receiver = tight(0)
    budget = receiver.budget
    other = Receiver(ordered=False, reliable=False, budget=budget, claimed=True)
    for seq in (1, 2):
        other.receive(1, frame(seq, bytes(45_000), last=False))
    receiver.ask(1 << 20, Turn(up_to=3, cost=50_000))
    assert budget.free < 50_000 and receiver.give_turn()
    assert other.dropped == 1 and budget.free >= 0, "no more than is needed"


def test_a_sender_starts_what_its_turn_was_asked_for_and_no_more() -> None:
    sender = Sender(reliable=True, counted=True)
    for size in (100, 100, SMALL, 100):
        sender.accept(Payload(bytes(size), text=False))
    _, turn = sender.wanted()
    assert turn == Turn(up_to=2, cost=2 * (100 + COST)), "as many as fit in a lot"
    assert sender.wanted() == (0, None), "asked once"
    sender.granted(0, turn=2**53 - 1)
    assert len(list(sender.frames(1 << 20, 65536))) == 2
    assert sender.wanted()[1] is None, "an acknowledgement is to come, and may bring a window"
    sender.acknowledge(control.Acknowledged(up_to=2, window=0))
    assert sender.wanted()[1] == Turn(up_to=3, cost=SMALL + COST)
