"""The receipt, its cause and its sentence are true: closing rules S2, S5, S7, S12."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from adieu.protocol import control, words
from adieu.protocol.words import ChannelAccount, Reason, Total
from adieu.session.ledger import Ledger
from adieu.session.machine import actions
from adieu.session.machine.options import Ladder, Options
from adieu.session.notice import sentence
from adieu.session.receipt import CloseReceipt
from sim.session.world import Side, World


def opened(*, before: tuple[str, ...] = (), **options: Any) -> World:
    """A session with a channel. The sides in `before` are as the version before: they can nothing beyond it."""
    world = World(options=Options(**options))
    for name in before:
        machine = getattr(world, name).machine
        machine.options = Options(**options, capabilities=())
    world.start()
    world.run(when=world.both("open"))
    world.a.open("chat")
    world.run(when=lambda: "chat" in world.b.machine.channels and world.a.machine.channels["chat"].open)
    return world


def said(side: Side) -> str:
    return sentence(side.outcome, "Ben" if side.name == "a" else "Ada")


# --- a room that was closed for all


def test_a_closed_room_is_the_cause_by_the_own_server() -> None:
    world = opened()
    closed = Reason("room-closed", "it is late")
    world.a.call("ask_close", closed, 5.0)
    world.b.auto_last_words = False
    world.run(when=lambda: world.b.state == "closing")
    world.b.call("ask_close", closed, 5.0)
    world.b.call("last_words_over")
    world.run(when=world.both("closed"))
    assert world.a.outcome.cause == world.b.outcome.cause == "room-closed"
    assert said(world.a).startswith("The room was closed for everybody (it is late).")
    assert said(world.a) == said(world.b)


def test_a_peer_cannot_claim_that_the_room_was_closed() -> None:
    world = opened()
    world.a.call("ask_close", Reason("room-closed", "it is late"), 5.0)
    world.run(when=world.both("closed"))
    assert (world.b.outcome.cause, world.b.outcome.reason.code) == ("left", "room-closed")
    assert world.a.outcome.agreed == world.b.outcome.agreed


# --- unread


def test_delivered_and_unread_messages_are_counted_closing_rule_s2() -> None:
    world = opened()
    for number in range(20):
        world.a.send("chat", bytes(number))
    world.run(world.now + 0.2)
    world.b.reads = False
    for _ in range(8):
        world.a.send("chat", b"brake")
    world.a.close()
    world.run(when=world.both("closed"))
    a, b = world.a.outcome, world.b.outcome
    assert a.channels["chat"].sent.unread == b.channels["chat"].received.unread == Total(8, 40)
    assert a.channels["chat"].received.unread == Total()
    assert a.channels["chat"].sent.delivered.messages == 28
    assert a.clean and b.clean
    assert a.agreed == b.agreed
    assert json.loads(a.agreed)["channels"]["chat"]["a"]["unread"] == [8, 40]
    assert said(world.a) == "You left Ben (done). 28 of your messages were delivered; 8 of them were not read yet."
    assert said(world.b) == "Ada left (done). 8 of their messages were not read yet."


def test_what_is_read_before_the_last_word_is_not_unread() -> None:
    world = opened()
    world.b.reads, world.b.auto_last_words = False, False
    for _ in range(3):
        world.a.send("chat", b"x")
    world.a.close()
    world.run(world.now + 0.1)
    assert world.b.feed("take", "chat") is not None
    world.b.call("last_words_over")
    world.run(when=world.both("closed"))
    assert world.a.outcome.channels["chat"].sent.unread == Total(2, 2)
    world.b.read("chat")
    assert world.b.outcome.channels["chat"].received.unread == Total(2, 2)  # as it was then
    assert "1 of them" not in said(world.a) and "2 of them were not read yet" in said(world.a)


@pytest.mark.parametrize("before", [("a",), ("b",), ("a", "b")])
def test_with_the_version_before_the_agreed_part_has_no_unread(before: tuple[str, ...]) -> None:
    world = opened(before=before)
    world.b.reads = False
    world.a.send("chat", b"x")
    world.a.close()
    world.run(when=world.both("closed"))
    a, b = world.a.outcome, world.b.outcome
    assert a.agreed == b.agreed and "unread" not in a.agreed
    for side in (world.a, world.b):
        assert '"unread"' not in control.encode(side.machine.closing.said_closed)  # type: ignore[union-attr]
    assert a.channels["chat"].sent.unread is None  # not told
    assert b.channels["chat"].received.unread == Total(1, 1)  # known here
    assert a.clean and "not read" not in said(world.a)


def test_without_the_others_word_it_is_not_known_what_it_has_read() -> None:
    world = opened()
    world.a.send("chat", b"x")
    world.run(world.now + 0.1)
    world.kill(world.b)
    world.a.close(1.0)
    world.run(when=lambda: world.a.state == "closed")
    assert world.a.outcome.channels["chat"].sent.unread is None


def test_a_channel_only_one_side_knows_is_in_no_receipt() -> None:
    world = opened()
    world.cut_link()
    world.a.open("late")
    world.a.close(2.0)
    world.run(when=world.both("closed"))
    assert world.a.outcome.confirmed and world.b.outcome.confirmed
    assert world.a.outcome.agreed == world.b.outcome.agreed
    assert list(world.a.outcome.channels) == list(world.b.outcome.channels) == ["chat"]


# --- the sentence


def closed_by_hand(world: World, account: ChannelAccount, reason: Reason | None = None, **others: Any) -> None:
    """Side b says its last words itself: a closes, and hears this account."""
    machine = world.b.machine
    reason = reason or Reason("left")
    world.b.stuck = True
    closing = words.Closing(receipt=machine.receipt, reason=reason, deadline_ms=2000, final={"chat": 0})
    final = words.Closed(
        receipt=machine.receipt,
        reason=reason,
        **{"closer": "b", "channels": {"chat": account}, **others},
    )
    for word in (closing, words.Done(final={"chat": 0}), final):
        world.a.call("control_received", 1, control.encode(word))
    world.run(when=lambda: world.a.state == "closed")


def test_the_sentence_tells_the_losses_of_both_directions() -> None:
    world = opened()
    world.a.send("chat", b"hi")
    world.run(world.now + 0.1)
    lost = ChannelAccount(accepted=Total(100, 1000), unsent=Total(60, 600), taken=Total(1, 2))
    closed_by_hand(world, lost, Reason("left", "bye"))
    assert world.a.outcome.confirmed and not world.a.outcome.clean
    assert said(world.a) == "Ben left (bye). 100 of their messages did not arrive; all your messages were delivered."


def test_everything_is_said_only_of_everything() -> None:
    world = opened()
    world.a.open("state", ordered=False, max_retransmits=0)
    world.run(world.now + 0.1)
    world.a.send("chat", b"x")
    world.a.close()
    world.run(when=world.both("closed"))
    assert said(world.a) == "You left Ben (done). Everything was delivered."

    world = opened()
    world.a.open("state", ordered=False, max_retransmits=0)
    world.run(world.now + 0.1)
    world.b.machine.by_id.pop(world.a.machine.channels["state"].id)  # what comes on it is lost
    world.a.send("chat", b"x")
    world.a.send("state", b"x")
    world.a.close()
    world.run(when=world.both("closed"))
    assert world.a.outcome.clean
    assert said(world.a) == "You left Ben (done). Everything that must not be lost was delivered."

    world = opened()
    world.a.send("chat", b"x")
    world.run(world.now + 0.1)
    world.kill(world.b)
    world.run(when=lambda: world.a.state == "closed")
    assert not world.a.outcome.confirmed
    assert said(world.a) == "Ben's program ended without a word. All your messages were delivered."


ODD = "bye\x1b]0;owned\x07\r\n\u2028root\u202e@\u2066host\u200b:\x9b~#\x7f \ud83d"


def test_texts_of_the_other_side_are_one_line_without_control_characters() -> None:
    world = opened()
    closed_by_hand(world, ChannelAccount(), Reason("left", ODD))
    for text in (said(world.a), world.a.outcome.reason.text, sentence(world.a.outcome, ODD), world.a.outcome.agreed):
        assert text.isprintable(), text
    assert world.a.outcome.reason.text == "bye]0;owned root@host:~# \ufffd"


def test_what_a_person_writes_stays() -> None:
    text = "à bientôt, \U0001f468\u200d\U0001f469\u200d\U0001f467 سلام 再见"  # with what joins an emoji's parts
    assert Reason("left", text).text == text


def test_texts_are_cut_and_not_refused() -> None:
    world = opened()
    closed_by_hand(world, ChannelAccount())
    long = '{"type":"closing","receipt":"","reason":{"code":"left","text":"%s"},"deadlineMs":0,"final":{}}'
    word = control.decode(long % ("é" * 3000))
    assert isinstance(word, words.Closing) and word.reason.text == "é" * 1024
    assert len(Reason("left", "x" * 5000).text) == 1024


def test_evidence_has_no_control_characters() -> None:
    world = opened()
    world.a.call("control_received", 1, '{"type":"open","name":"\\u001b[2J","id":1020,"window":1}')
    world.a.machine.end_by_violation(world.now, f"by signaling: {ODD}")
    world.a.settle()
    world.run(when=world.both("closed"))
    assert all(line.isprintable() for line in world.a.outcome.evidence)
    assert said(world.a).isprintable()


# --- accounts that cannot be


T = Total
HONEST = ChannelAccount(accepted=T(2, 10), unsent=T(1, 5), taken=T(5, 25), unread=T(2, 10))
IMPOSSIBLE = {
    "unsent beyond accepted": ChannelAccount(accepted=T(0, 0), unsent=T(1000, 10**6), taken=T(5, 25)),
    "unread beyond taken": ChannelAccount(accepted=T(2, 10), taken=T(5, 25), unread=T(6, 30)),
    "taken beyond what was sent": ChannelAccount(accepted=T(2, 10), taken=T(6, 30)),
    "bytes beyond what was sent": ChannelAccount(accepted=T(2, 10), taken=T(5, 26)),
    "bytes missing from all messages": ChannelAccount(accepted=T(2, 10), taken=T(5, 24)),
    "bytes of no message": ChannelAccount(accepted=T(1, 5), unsent=T(0, 1), taken=T(5, 25)),
    "less taken than acknowledged": ChannelAccount(accepted=T(2, 10), taken=T(4, 20)),
    "less sent than came": ChannelAccount(accepted=T(1, 5), unsent=T(1, 5), taken=T(5, 25)),
    "fewer bytes sent than came": ChannelAccount(accepted=T(2, 4), taken=T(5, 25)),
}


def exchanged() -> World:
    world = opened()
    for _ in range(5):
        world.a.send("chat", b"12345")
    world.b.send("chat", b"54321")
    world.run(world.now + 0.2)
    assert world.a.machine.channels["chat"].sender.delivered.messages == 5
    return world


def test_an_honest_account_is_believed() -> None:
    world = exchanged()
    closed_by_hand(world, HONEST)
    chat = world.a.outcome.channels["chat"]
    assert world.a.outcome.confirmed
    assert (chat.sent.delivered, chat.sent.unread) == (T(5, 25), T(2, 10))
    assert (chat.received.accepted, chat.received.delivered, chat.received.unsent) == (T(2, 10), T(1, 5), T(1, 5))


@pytest.mark.parametrize("account", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_account_that_cannot_be_is_refused_and_shrinks_nothing(account: ChannelAccount) -> None:
    world = exchanged()
    closed_by_hand(world, account)
    refused(world)


@pytest.mark.parametrize(
    "others",
    [
        {"closer": "somebody else"},
        {"closer": ""},
        {"channels": {"chat": HONEST, "ghost": ChannelAccount(accepted=T(1, 1))}},
        {"channels": {"chat": HONEST, "ghost": ChannelAccount(taken=T(1, 1))}},
        {"channels": {}},
    ],
)
def test_an_account_of_other_peers_or_channels_is_refused(others: dict[str, Any]) -> None:
    world = exchanged()
    closed_by_hand(world, HONEST, **others)
    refused(world)


def refused(world: World) -> None:
    outcome = world.a.outcome
    assert not outcome.confirmed and not outcome.clean
    assert any("cannot be" in line for line in outcome.evidence)
    assert list(outcome.channels) == ["chat"]
    sent, received = outcome.channels["chat"].sent, outcome.channels["chat"].received
    assert (sent.accepted, sent.delivered, received.delivered) == (T(5, 25), T(5, 25), T(1, 5))
    assert received.accepted is received.unknown is received.unsent is None


def test_channels_that_are_only_named_are_no_part_of_the_receipt() -> None:
    world = exchanged()
    closed_by_hand(world, HONEST, channels={"chat": HONEST} | {f"ghost{n}": ChannelAccount() for n in range(1000)})
    assert world.a.outcome.confirmed
    assert list(world.a.outcome.channels) == ["chat"] and "ghost" not in world.a.outcome.agreed


def test_an_account_is_refused_if_more_was_seen_after_it() -> None:
    world = opened()
    world.b.stuck = True
    world.a.send("chat", b"12345")
    world.a.close()
    receipt = world.a.machine.receipt
    word = words.Closed(receipt=receipt, reason=Reason("left"), closer="a", channels={"chat": ChannelAccount()})
    world.a.call("signal_received", word)
    ack = control.Ack(channels={"chat": control.Acknowledged(up_to=1, window=1000)})
    world.a.call("control_received", 1, control.encode(ack))
    world.run(when=lambda: world.a.state == "closed")
    assert not world.a.outcome.confirmed
    assert world.a.outcome.channels["chat"].sent.delivered == T(1, 5)


def test_the_first_account_holds() -> None:
    world = exchanged()
    world.a.close()
    world.b.stuck = True
    machine = world.b.machine
    first = words.Closed(receipt=machine.receipt, reason=Reason("left"), closer="a", channels={"chat": HONEST})
    other = ChannelAccount(accepted=T(9, 99), unsent=T(1, 5), taken=T(5, 25))
    second = words.Closed(receipt=machine.receipt, reason=Reason("left"), closer="b", channels={"chat": other})
    for word in (first, second):
        world.a.call("control_received", 1, control.encode(word))
    world.run(when=lambda: world.a.state == "closed")
    assert world.a.outcome.by == "local"
    assert world.a.outcome.channels["chat"].received.accepted == T(2, 10)


# --- each message is in one place


def lists(world: World) -> tuple[list[int], list[int]]:
    """What the receipt of side a gives back as unsent, and as unknown."""
    senders = {name: channel.sender for name, channel in world.a.machine.channels.items()}
    receipt = CloseReceipt(world.a.outcome, Ledger(), "", senders)
    return [m.seq for m in receipt.unsent("chat")], [m.seq for m in receipt.unknown("chat")]


def fits(world: World) -> None:
    """The lists are as long as the counts, and so are their bytes."""
    sent = world.a.outcome.channels["chat"].sent
    unsent, unknown = lists(world)
    assert (len(unsent), len(unknown)) == (sent.unsent.messages, sent.unknown.messages)
    assert sent.delivered.messages + len(unsent) + len(unknown) == sent.accepted.messages
    assert not set(unsent) & set(unknown)
    sender = world.a.machine.channels["chat"].sender
    assert sum(len(message.payload.data) for message in sender.unknown()) == sent.unknown.bytes
    assert sender.delivered.total() == sent.delivered


class SlowToRelease(Side):
    """Its connection takes a while to end: the other side's last word comes in that time."""

    def do(self, action: Any) -> None:
        if isinstance(action, actions.Release):
            self.connections.pop(action.epoch, None)
            self.world.later(0.4, lambda: self.call("released", action.epoch))
        else:
            super().do(action)


@pytest.mark.parametrize("ordered", [True, False])
def test_messages_taken_without_acknowledgement_are_not_unknown_closing_rule_s2(ordered: bool) -> None:
    world = World(rate=3e6, side=SlowToRelease).start()
    world.run(when=world.both("open"))
    world.a.open("chat", ordered=ordered)
    world.run(when=lambda: "chat" in world.b.machine.channels and world.a.machine.channels["chat"].open)
    for number in range(200):
        world.a.send("chat", bytes(60_000 + number))
    world.run(when=lambda: len(world.b.got["chat"]) == 5)
    world.a.close(0)  # what is acknowledged from here on is not heard any more
    world.run(when=world.both("closed"))
    sent = world.a.outcome.channels["chat"].sent
    assert world.a.outcome.confirmed and world.a.outcome.agreed == world.b.outcome.agreed
    assert sent.unsent.messages and sent.unknown.messages and sent.delivered.messages >= 5
    fits(world)
    unsent, unknown = lists(world)
    assert [*unknown, *unsent] == list(range(sent.delivered.messages + 1, 201))


def by_hand(account: ChannelAccount, *, ordered: bool, upto: int = 0) -> World:
    """Side a has sent six messages of 1 to 6 bytes, and hears this account and one acknowledgement."""
    world = World(options=Options()).start()
    world.run(when=world.both("open"))
    world.a.open("chat", ordered=ordered)
    world.run(when=lambda: "chat" in world.b.machine.channels and world.a.machine.channels["chat"].open)
    world.b.stuck = True
    for size in range(1, 7):
        world.a.send("chat", bytes(size))
    ack = control.Ack(channels={"chat": control.Acknowledged(up_to=upto, window=100_000)})
    world.a.call("control_received", 1, control.encode(ack))
    closed_by_hand(world, account)
    return world


def test_which_messages_of_an_unordered_channel_were_taken_is_told() -> None:
    taken = ChannelAccount(taken=T(4, 14), up_to=1, ranges=[(3, 4), (6, 6)])
    world = by_hand(taken, ordered=False)
    assert world.a.outcome.confirmed
    fits(world)
    assert lists(world) == ([], [2, 5])


def test_what_is_not_told_stays_unknown_and_is_not_lost() -> None:
    """The version before does not say which ones: rather twice than never."""
    world = by_hand(ChannelAccount(taken=T(4, 14)), ordered=False, upto=1)
    assert world.a.outcome.confirmed and world.a.outcome.channels["chat"].sent.unknown == T(2, 7)
    assert lists(world) == ([], [2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("ordered", "account"),
    [
        (True, ChannelAccount(taken=T(3, 7))),  # the first three have 6 bytes
        (False, ChannelAccount(taken=T(1, 1), up_to=2)),
        (False, ChannelAccount(taken=T(4, 14), up_to=1, ranges=[(3, 4), (5, 5)])),
        (False, ChannelAccount(taken=T(4, 14), up_to=7)),
        (False, ChannelAccount(taken=T(4, 14), up_to=1, ranges=[(6, 7)])),
        (False, ChannelAccount(taken=T(4, 14), up_to=3, ranges=[(3, 4)])),
        (False, ChannelAccount(taken=T(4, 14), up_to=1, ranges=[(6, 6), (3, 4)])),
        (False, ChannelAccount(taken=T(4, 14), up_to=1, ranges=[(4, 3)])),
    ],
)
def test_an_account_of_other_messages_than_it_counts_is_refused(ordered: bool, account: ChannelAccount) -> None:
    world = by_hand(account, ordered=ordered)
    assert not world.a.outcome.confirmed
    assert lists(world) == ([], [1, 2, 3, 4, 5, 6])


# --- causes


@pytest.mark.parametrize("code", ["left", "tab-closed", "reloaded", "navigated", "connection-closed"])
def test_a_peer_may_say_these_causes_of_itself(code: str) -> None:
    world = opened()
    closed_by_hand(world, ChannelAccount(), Reason(code))
    assert world.a.outcome.cause == code


@pytest.mark.parametrize(
    "code",
    ["crashed", "frozen", "network-lost", "busy", "kicked", "replaced", "server-shutdown", "protocol-error",
     "security-error", "gave-up", "frozen, network-lost", "", "something else"],
)  # fmt: skip
@pytest.mark.parametrize("abrupt", [True, False])
def test_any_other_counts_as_left_and_stays_as_it_was_said(code: str, abrupt: bool) -> None:
    world = opened()
    if abrupt:
        machine = world.b.machine
        word = words.Closing(receipt=machine.receipt, reason=Reason(code), deadline_ms=0, final={})
        world.b.stuck = True
        world.a.call("control_received", 1, control.encode(word))
        world.run(when=lambda: world.a.state == "closed")
    else:
        closed_by_hand(world, ChannelAccount(), Reason(code))
    assert world.a.outcome.cause == "left"
    assert said(world.a) == "Ben left."
    assert json.loads(world.a.outcome.agreed)["reason"]["code"] == code


@pytest.mark.parametrize("socket_ends", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_closing_with_a_dead_peer_names_its_cause_closing_rule_s12(socket_ends: bool, known: bool) -> None:
    world = opened()
    world.a.send("chat", b"x")
    world.run(world.now + 2)
    world.kill(world.b, socket_ends=socket_ends)
    if known:
        world.run(when=lambda: world.a.state in {"suspect", "recovering"})
    world.a.close(3.0)
    world.run(when=lambda: world.a.state == "closed")
    outcome = world.a.outcome
    assert outcome.by == "local" and not outcome.confirmed
    assert outcome.cause == ("crashed" if socket_ends else "frozen, network-lost")
    assert any("no answer for" in line for line in outcome.evidence)
    why = "Ben's program ended without a word" if socket_ends else "Ben could no longer be reached"
    assert said(world.a) == f"You left Ben (done). {why}. All your messages were delivered."


def test_who_aborts_a_session_whose_other_side_is_dead_is_told_too() -> None:
    world = opened()
    world.kill(world.b)
    world.run(when=lambda: world.a.state in {"suspect", "recovering"})
    world.a.call("abort")
    world.run(when=lambda: world.a.state == "closed")
    assert (world.a.outcome.by, world.a.outcome.cause) == ("local", "crashed")


def test_closing_with_a_peer_that_hangs_says_busy() -> None:
    world = opened()
    world.run(world.now + 2)
    world.b.stuck = True
    world.a.close(5.0)
    world.run(when=lambda: world.a.state == "closed")
    assert (world.a.outcome.by, world.a.outcome.cause) == ("local", "busy")


@pytest.mark.parametrize("timeout", [0.3, 5.0])
def test_a_living_side_that_is_closed_has_left(timeout: float) -> None:
    world = opened()
    world.b.auto_last_words = False
    world.run(world.now + 2)
    world.a.close(timeout)
    world.run(when=world.both("closed"))
    assert world.a.outcome.cause == world.b.outcome.cause == "left"


def test_a_side_that_answers_in_the_end_has_left() -> None:
    world = opened()
    world.run(world.now + 2)
    world.hang(world.b)
    world.run(when=lambda: world.a.state == "suspect")
    world.a.close(5.0)
    world.run(world.now + 1)
    world.hang(world.b, hung=False)
    world.run(when=world.both("closed"))
    assert world.a.outcome.confirmed and world.a.outcome.cause == "left"


def test_earlier_packets_do_not_make_a_killed_peer_busy() -> None:
    for quiet in (0.0, 0.5, 0.99, 1.7):
        world = opened()
        world.run(world.now + quiet)
        world.kill(world.b)
        world.run(world.now + 20)
        assert {event.cause for event in world.a.events(actions.StateChanged)} <= {"", "crashed"}


@pytest.mark.parametrize("seconds", [0.02, 0.3, 0.5])
def test_packets_that_were_under_way_when_the_silence_began_are_no_life(seconds: float) -> None:
    world = opened()
    world.kill(world.b)
    world.run(world.now + 0.05)
    world.b.engine_until = world.now + seconds
    world.run(world.now + 20)
    assert {event.cause for event in world.a.events(actions.StateChanged)} <= {"", "crashed"}


def test_a_program_that_hung_and_then_died_is_not_busy_any_more() -> None:
    world = opened()
    world.b.stuck = True
    world.run(when=lambda: world.a.machine.evidence.reported == "busy")
    world.kill(world.b, socket_ends=False)
    world.run(world.now + 4)
    assert world.a.machine.evidence.cause() == "frozen, network-lost"


def test_a_socket_ended_before_the_silence_means_no_crash() -> None:
    world = opened()
    world.b.signaling = False
    world.a.call("presence_changed", "away")
    world.run(world.now + 5)
    assert world.a.state == "open"
    world.cut_link()
    world.run(when=lambda: world.a.state in {"suspect", "recovering"})
    assert world.a.machine.evidence.reported == "frozen, network-lost"


def test_a_socket_the_server_gives_up_means_no_crash() -> None:
    """The server closes the socket of a program that does not answer its pings, as a stopped one."""
    world = opened()
    world.hang(world.b)
    world.run(world.now + 20)
    world.a.call("presence_changed", "away")
    assert world.a.machine.evidence.cause() == "frozen, network-lost"
    world.run(when=lambda: world.a.state == "closed")
    assert world.a.outcome.cause == "frozen, network-lost"


def test_a_late_answer_by_signaling_says_nothing_of_the_next_silence() -> None:
    world = opened()
    world.a.call("probed", True, True)
    world.kill(world.b, socket_ends=False)
    world.run(when=lambda: world.a.state == "suspect")
    assert world.a.machine.evidence.reported == "frozen, network-lost"


# --- a long sleep


SHORT = Ladder(ice_restart=1.0, new_connection=2.0, again=3.0, give_up=6.0)


@pytest.mark.parametrize("seconds", [15, 75, 140])
def test_after_a_long_sleep_nobody_is_said_to_have_ended(seconds: int) -> None:
    world = opened(recovery=SHORT)
    world.run(world.now + 1)
    world.hang(world.b)
    began = world.now
    world.run(when=lambda: world.a.state == "closed")
    world.run(began + seconds)
    world.hang(world.b, hung=False)
    world.run(when=world.both("closed"))
    a, b = world.a.outcome, world.b.outcome
    assert (a.by, a.cause) == ("network", "frozen, network-lost")
    assert said(world.a) == "Ben could no longer be reached."
    assert b.by == "network" and b.confirmed and b.unheard
    assert b.cause == "frozen" and any("was suspended" in line for line in b.evidence)
    assert said(world.b) == "This program was suspended, and the connection to Ada was lost."


def test_who_slept_and_finds_nobody_does_not_blame_the_other() -> None:
    world = opened(recovery=SHORT)
    world.run(world.now + 1)
    world.hang(world.b)
    world.run(world.now + 140)
    world.stuck.clear()
    world.b.inbox.clear()
    world.a.signaling = world.b.signaling = False
    world.hang(world.b, hung=False)
    world.run(when=world.both("closed"))
    assert world.b.outcome.cause == "frozen"
    assert said(world.b) == "This program was suspended, and the connection to Ada was lost."


def test_who_is_given_up_by_the_other_is_told_so() -> None:
    """As a machine whose clock stands while it sleeps."""
    world = opened(recovery=SHORT)
    reason = Reason("crashed", "no answer for 60 s")
    word = words.Closed(receipt=world.b.machine.receipt, reason=reason, closer="network", channels={})
    world.a.call("signal_received", word)
    world.run(when=lambda: world.a.state == "closed")
    assert (world.a.outcome.by, world.a.outcome.cause) == ("network", "frozen, network-lost")
    assert said(world.a) == "Ben no longer heard this side, and gave up."


def test_a_sleep_that_heals_is_forgotten() -> None:
    world = opened()
    world.hang(world.b)
    world.run(world.now + 8)
    world.hang(world.b, hung=False)
    world.run(when=world.both("open"))
    world.run(world.now + 5)
    assert world.b.machine.evidence.stood_still == 0
    patient = Ladder(give_up=90.0)  # or its word that it gives up, which may be the earlier by a moment, decides
    world.a.machine.options = msgspec.structs.replace(world.a.machine.options, recovery=patient)
    world.cut_link()
    world.run(when=world.both("closed"))
    assert world.b.outcome.cause == "network-lost" and not world.b.outcome.unheard
