"""The five steps on virtual time: closing rules S1 to S6 and S11."""

from __future__ import annotations

import json

import pytest

from adieu.errors import SessionClosedError
from adieu.protocol import control, words
from adieu.protocol.words import Reason, Total
from adieu.session.machine import actions
from adieu.session.machine.options import Options
from adieu.session.notice import sentence
from sim.session.traces import closing_before_hello
from sim.session.world import World


def opened(**options: object) -> World:
    world = World(options=Options(**options)).start()  # type: ignore[arg-type]
    world.run(when=world.both("open"))
    world.a.open("chat")
    world.run(when=lambda: "chat" in world.b.machine.channels and world.a.machine.channels["chat"].open)
    return world


def accounts_add_up(world: World) -> None:
    for side in (world.a, world.b):
        for channel in side.outcome.channels.values():
            for account in (channel.sent, channel.received):
                if account.accepted is not None:
                    for field in ("messages", "bytes"):
                        parts = sum(
                            getattr(getattr(account, name), field) for name in ("delivered", "unknown", "unsent")
                        )
                        assert parts == getattr(account.accepted, field)


@pytest.mark.parametrize("closer", ["a", "b", "both"])
def test_all_in_flight_arrives_and_receipts_agree_closing_rules_s1_s2(closer: str) -> None:
    world = opened()
    for number in range(128):
        world.a.send("chat", number.to_bytes(2) * 32768)
        world.b.send("chat", number.to_bytes(2) * 32768)
    began = world.now
    for side in (world.a, world.b):
        if closer in {side.name, "both"}:
            side.close()
    world.run(when=world.both("closed"))
    assert world.now - began < 1.0
    a, b = world.a.outcome, world.b.outcome
    assert a.agreed == b.agreed
    assert (a.by, b.by) == {"a": ("local", "remote"), "b": ("remote", "local"), "both": ("both", "both")}[closer]
    assert a.clean and b.clean and a.path == b.path == "graceful"
    assert a.channels["chat"].sent.delivered == Total(128, 8 << 20) == b.channels["chat"].sent.delivered
    assert [step.name for step in a.steps] == ["announce", "drain", "channels", "connection", "clean-up"]
    assert world.a.got["chat"] == world.b.got["chat"] == [n.to_bytes(2) * 32768 for n in range(128)]
    assert len(world.a.events(actions.Ended)) == len(world.b.events(actions.Ended)) == 1


def test_last_words_are_delivered_closing_rule_s3() -> None:
    world = opened()
    world.b.auto_last_words = False
    world.a.close()
    world.run(when=lambda: bool(world.b.events(actions.ClosingAsked)))
    world.run(world.now + 0.5)
    assert world.a.state == "closing"
    world.b.send("chat", b"thanks, bye")
    world.b.call("last_words_over")
    with pytest.raises(SessionClosedError):
        world.b.send("chat", b"one more")
    world.run(when=world.both("closed"))
    assert world.a.got["chat"] == [b"thanks, bye"]
    assert world.a.outcome.agreed == world.b.outcome.agreed
    assert world.a.outcome.clean


def test_both_closing_at_once_share_one_receipt_closing_rule_s4() -> None:
    world = opened()
    world.a.send("chat", b"from a")
    world.b.send("chat", b"from b")
    world.a.close(5.0, "a says")
    world.b.close(3.0, "b says")
    world.run(when=world.both("closed"))
    assert not world.a.events(actions.ClosingAsked) and not world.b.events(actions.ClosingAsked)
    assert world.a.outcome.agreed == world.b.outcome.agreed
    assert json.loads(world.a.outcome.agreed)["closer"] == "both"
    assert json.loads(world.a.outcome.agreed)["reason"]["text"] == "a says"
    assert world.a.got["chat"] == [b"from b"]


@pytest.mark.parametrize("other", [1.0, 8.0])
def test_of_two_closers_the_smaller_deadline_counts_closing_rule_s4(other: float) -> None:
    world = opened(closing_bound=1000)
    world.b.reads = False
    for _ in range(3):
        world.a.send("chat", bytes(1000))  # the drain cannot end before its deadline
    began = world.now
    world.a.close(5.0)
    world.b.close(other)
    world.run(when=lambda: world.a.machine.closing.by == world.b.machine.closing.by == "both")
    world.kill(world.b, socket_ends=False)  # so that no word of its end moves the other on
    world.run(when=lambda: world.a.state == "closed")
    smaller = min(5.0, other)
    assert 0.7 * smaller < world.now - began <= smaller + 0.05


def test_nothing_is_sent_after_the_last_word_closing_rule_s6() -> None:
    world = opened(window=1000)
    world.b.reads = False
    for _ in range(3):
        world.a.send("chat", bytes(1000))
    world.run(world.now + 0.1)
    world.b.stuck = True
    world.a.close(1.0)
    world.run(when=lambda: world.a.machine.closing.said_closed is not None)
    assert world.a.state == "closing" and world.a.machine.active == 1
    said = len(world.a.trace)
    ack = control.Ack(channels={"chat": control.Acknowledged(up_to=1, window=100_000)})
    world.a.call("control_received", 1, control.encode(ack))
    world.run(when=lambda: world.a.state == "closed")
    assert not [entry for entry in world.a.trace[said:] if isinstance(entry[1], actions.SendData)]
    assert world.a.outcome.channels["chat"].sent.unsent.messages == 2


def test_after_the_end_nothing_is_due_closing_rule_s9() -> None:
    world = opened()
    world.a.send("chat", b"x")
    world.a.close()
    world.run(when=world.both("closed"))
    for side in (world.a, world.b):
        assert side.machine.poll_timeout() is None
        assert not side.machine.connections and not side.machine.releasing and not side.connections


def test_the_end_is_told_when_the_connections_are_gone_closing_rule_s9() -> None:
    world = opened()
    world.a.close()
    world.run(when=lambda: bool(world.a.machine.releasing))
    assert world.a.state == "closing"
    world.run(when=world.both("closed"))
    ended = world.a.trace.index(("tell", actions.Ended()))
    assert ended > max(n for n, entry in enumerate(world.a.trace) if entry[:1] + entry[2:3] == ("in", "released"))


def test_the_closer_sends_nothing_new_and_says_so() -> None:
    world = opened()
    world.a.close()
    with pytest.raises(SessionClosedError, match="is closing"):
        world.a.send("chat", b"late")
    with pytest.raises(SessionClosedError, match="is closing"):
        world.a.open("other")
    world.run(when=world.both("closed"))
    with pytest.raises(SessionClosedError, match="has ended"):
        world.b.send("chat", b"later")


def test_a_silent_peer_ends_at_the_deadline_closing_rule_s2() -> None:
    world = opened(send_buffer=1 << 30)
    world.b.reads = False
    for _ in range(200):
        world.a.send("chat", bytes(65536))
    world.run(world.now + 0.5)
    world.hang(world.b)
    began = world.now
    world.a.close(2.0)
    world.run(when=lambda: world.a.state == "closed")
    assert 1.5 <= world.now - began <= 2.01
    outcome = world.a.outcome
    assert not outcome.confirmed and not outcome.clean and outcome.path in {"deadline", "abrupt"}
    sent = outcome.channels["chat"].sent
    assert sent.delivered == Total(0, 0)
    assert sent.unsent.messages == 200 - 64
    assert sent.unknown.messages == 64
    assert outcome.channels["chat"].received.accepted is None
    accounts_add_up_one(world.a.outcome)


def accounts_add_up_one(outcome: object) -> None:
    for channel in outcome.channels.values():  # type: ignore[attr-defined]
        sent = channel.sent
        assert sent.accepted.messages == sent.delivered.messages + sent.unknown.messages + sent.unsent.messages
        assert sent.accepted.bytes == sent.delivered.bytes + sent.unknown.bytes + sent.unsent.bytes


def test_unread_messages_beyond_the_closing_bound_are_not_delivered() -> None:
    world = opened(closing_bound=1 << 20, send_buffer=1 << 30)
    world.b.reads = False
    for _ in range(100):
        world.a.send("chat", bytes(65536))
    world.a.close(1.0)
    world.run(when=world.both("closed"))
    a, b = world.a.outcome, world.b.outcome
    assert a.path == b.path == "deadline"
    assert a.agreed == b.agreed and a.confirmed and not a.clean
    assert a.channels["chat"].sent.delivered == Total(16, 1 << 20)
    accounts_add_up(world)
    world.b.read("chat")
    assert len(world.b.got["chat"]) == 16  # what was delivered stays readable after the close


def test_what_is_delivered_but_not_read_stays_readable() -> None:
    world = opened()
    world.b.reads = False
    world.a.send("chat", b"one")
    world.a.send("chat", b"two")
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.clean
    world.b.read("chat")
    assert world.b.got["chat"] == [b"one", b"two"]


def test_wait_is_granted_only_by_the_closer() -> None:
    for grants in (False, True):
        world = opened()
        world.b.auto_last_words = False
        world.a.grants = grants
        began = world.now
        world.a.close(1.0)
        world.run(when=lambda world=world: bool(world.b.events(actions.ClosingAsked)))
        world.b.call("ask_wait", "saving", 3.0)
        world.run(began + 2.5)
        assert (world.a.state == "closing") is grants
        if grants:
            world.b.send("chat", b"saved")
            world.b.call("last_words_over")
            world.run(when=world.both("closed"))
            assert world.a.got["chat"] == [b"saved"] and world.a.outcome.clean


def test_an_abort_has_a_receipt_and_is_known_closing_rule_s11() -> None:
    world = opened()
    for _ in range(50):
        world.a.send("chat", bytes(65536))
    world.a.close()
    world.run(world.now + 0.01)
    began = world.now
    world.a.call("abort")
    world.run(when=world.both("closed"))
    assert world.now - began < 1.2
    assert world.a.outcome.path == "abrupt"
    accounts_add_up(world)
    assert not world.a.outcome.confirmed  # it did not wait for the other's word
    assert world.b.outcome.confirmed
    sent, received = world.a.outcome.channels["chat"].sent, world.b.outcome.channels["chat"].received
    assert sent.unsent == received.unsent
    assert sent.delivered.messages <= received.delivered.messages


def test_last_words_lost_with_the_connection_come_by_signaling() -> None:
    world = opened()
    world.a.send("chat", b"x")
    world.run(world.now + 0.1)
    world.cut_link()
    world.a.close(2.0)
    world.run(when=world.both("closed"))
    assert world.a.outcome.confirmed and world.b.outcome.confirmed
    assert world.a.outcome.agreed == world.b.outcome.agreed


def test_a_connection_closed_without_a_word_is_deliberate_closing_rule_58() -> None:
    world = opened()
    world.signal_delay = 0.005  # its word is there before the other has waited as long
    world.a.send("chat", bytes(1000))
    began = world.now
    world.b.lost(1, "left", "User-Initiated Abort")
    world.run(when=world.both("closed"))
    assert world.now - began < 1.5
    assert world.b.outcome.cause == "connection-closed" and world.b.outcome.by == "remote"


def test_the_application_closing_the_connection_itself_ends_the_session() -> None:
    world = opened()
    world.a.lost(1, "closed", "pc.close() was called")
    world.run(when=world.both("closed"))
    assert world.a.outcome.cause == world.b.outcome.cause == "connection-closed"
    assert world.a.outcome.by == "local"


def test_a_data_channel_closed_by_the_peer_ends_the_session() -> None:
    world = opened()
    world.b.call("stream_closed", 1, None)
    world.a.lost(1, "closed", "the application closed a channel")
    world.run(when=world.both("closed"))
    assert (world.a.outcome.by, world.b.outcome.by) == ("local", "remote")
    assert world.a.outcome.cause == world.b.outcome.cause == "connection-closed"
    assert world.a.outcome.agreed == world.b.outcome.agreed


def test_a_word_for_an_ended_session_is_answered_by_closed() -> None:
    world = opened()
    world.b.signaling = False
    world.kill(world.b, socket_ends=False)
    world.a.close(0.5)
    world.run(when=lambda: world.a.state == "closed")
    from adieu.protocol import words

    world.a.machine.signal_received(words.Reset(asker="b", n=1, epoch=2, level="transport"), now=world.now)
    action = world.a.machine.poll_action()
    assert isinstance(action, actions.Signal) and isinstance(action.word, words.Closed)


def test_closing_during_connect_ends_both() -> None:
    world = World().start()
    world.a.close()
    world.run(when=world.both("closed"), limit=80)
    assert world.a.outcome.by == "local" and world.b.outcome.by == "remote"


def closed_before_its_hello() -> World:
    """The word of side a has come, and its hello has not."""
    world = closing_before_hello()
    world.run(1.5)
    assert world.b.state == "connecting"
    return world


def test_who_closes_as_soon_as_it_is_open_is_met_all_the_same() -> None:
    world = closed_before_its_hello()
    world.run(when=world.both("closed"))
    assert world.b.states()[:2] == ["open", "closing"]
    assert world.a.outcome.clean and world.a.outcome.agreed == world.b.outcome.agreed
    assert world.now < 2.5


def test_who_closes_and_whose_hello_is_lost_is_believed_at_its_deadline() -> None:
    world = closed_before_its_hello()
    world.cut_link()
    world.run(when=world.both("closed"))
    assert (world.a.outcome.by, world.b.outcome.by) == ("local", "remote")
    assert world.now < 6.0


def test_unreliable_channels_do_not_spoil_clean() -> None:
    world = opened()
    world.a.open("state", ordered=False, max_retransmits=0)
    world.run(world.now + 0.2)
    world.b.reads = False
    for _ in range(10):
        world.a.send("state", b"tick")
    world.run(world.now + 0.2)
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.clean
    assert world.a.outcome.channels["state"].sent.delivered == Total(10, 40)
    assert world.a.outcome.agreed == world.b.outcome.agreed


FAR = 2**53 - 1


def say_closing(world: World, deadline_ms: int = FAR) -> None:
    """`b` closes, says so to `a`, and is a liar: `b` itself knows nothing of it."""
    word = words.Closing(
        receipt=world.a.machine.receipt, reason=Reason("left", "bye"), deadline_ms=deadline_ms, final={"chat": 9}
    )
    world.a.call("control_received", 1, control.encode(word))


def test_no_word_of_the_peer_delays_a_close_closing_rule_s1() -> None:
    world = opened()
    say_closing(world)
    world.run(world.now + 1.0)
    assert world.a.state == "closing"
    began = world.now
    world.a.close(2.0)
    for _ in range(8):  # again and again with more
        say_closing(world, 5000)
        world.run(world.now + 0.25)
    world.run(when=lambda: world.a.state == "closed", limit=0.1)
    assert world.now - began <= 2.0


def test_of_several_closes_the_shortest_decides() -> None:
    world = opened()
    world.hang(world.b)
    began = world.now
    world.a.close(30.0)
    world.run(world.now + 1.0)
    world.a.close(2.0)
    world.a.close(60.0)
    world.run(when=lambda: world.a.state == "closed")
    assert world.now - began <= 3.01
    for timeout in (30.0, 0.3):  # at once, before the first deadline is even announced
        other = opened()
        other.hang(other.b)
        began = other.now
        other.a.close(timeout)
        other.a.close(0.0)
        other.run(when=lambda other=other: other.a.state == "closed")  # type: ignore[misc]
        assert other.now - began <= 0.51


def test_a_closing_peer_has_a_minute_and_one_that_asks_an_hour() -> None:
    for options, patience in (({}, 60.0), ({"closing_patience": 10.0}, 10.0)):
        world = opened(**options)
        began = world.now
        say_closing(world)
        world.run(when=lambda world=world: world.a.state == "closed")
        assert patience <= world.now - began <= patience + 1.0
    world = opened()
    world.kill(world.b, socket_ends=False)  # what comes is made by hand
    channel = world.a.machine.channels["chat"]
    began = world.now
    say_closing(world)
    for seq in range(1, 100):
        world.a.call("data_received", 1, channel.id, control.encode_header(seq, text=False) + b"x")
        if world.a.state == "closed":
            break
        world.run(world.now + 50.0)
    assert 3200 <= world.now - began <= 3601


def test_only_a_grant_gives_more_time_and_an_hour_at_most() -> None:
    world = opened()
    world.b.auto_last_words = False
    world.a.close(2.0)
    world.a.call("control_received", 1, control.encode(words.Wait(reason="please", eta_ms=FAR)))
    assert [event.eta for event in world.a.events(actions.WaitAsked)] == [3600.0]
    began = world.now
    world.a.call("grant_wait", 5.0)
    world.run(when=lambda: world.a.state == "closed")
    assert 4.5 <= world.now - began <= 5.3


def test_both_name_the_same_cause_where_no_connection_can_be_made() -> None:
    world = World().start()
    a, b = world.a, world.b
    reason = Reason("gave-up", "no network interface has an address")
    a.call("cannot_connect", 1, reason.text)
    b.call("signal_received", words.Closed(receipt=b.machine.receipt, closer="a", reason=reason, channels={}))
    world.run(when=lambda: a.outcome is not None and b.outcome is not None)
    assert (a.outcome.by, b.outcome.by) == ("local", "remote")
    assert a.outcome.cause == b.outcome.cause == "gave-up"
    assert a.outcome.agreed == b.outcome.agreed
    assert "no network interface" in sentence(b.outcome, "Ada")


def test_who_gives_up_a_session_that_stood_has_left() -> None:
    world = opened()
    said = words.Closing(receipt=world.a.machine.receipt, reason=Reason("gave-up"), deadline_ms=0, final={})
    world.a.call("control_received", 1, control.encode(said))
    world.run(when=lambda: world.a.outcome is not None)
    assert world.a.outcome.cause == "left"


@pytest.mark.parametrize("how", ["close", "at once", "cannot connect"])
def test_a_text_that_is_no_unicode_ends_a_session_as_any_other(how: str) -> None:
    world = World().start()
    if how != "cannot connect":
        world.run(when=lambda: world.a.state == world.b.state == "open")
    if how == "close":
        world.a.close(text="see you \ud83d")
    elif how == "at once":
        world.a.close(timeout=0.0, text="see you \ud83d")
    else:
        world.a.call("cannot_connect", 1, "see you \ud83d")
    world.run(when=lambda: world.a.outcome is not None and world.b.outcome is not None)
    assert world.a.outcome.reason.text == world.b.outcome.reason.text == "see you \ufffd"
