"""What is passed on, and what its sender hears when it is not."""

from __future__ import annotations

import msgspec
import pytest

from adieu.protocol.signaling import (
    BareAck,
    Candidate,
    Candidates,
    CloseCode,
    Description,
    Error,
    Leaving,
    PeerAway,
    PeerLeft,
    Probe,
)
from adieu.protocol.words import Closing, Reason, Wait
from adieu.server.hub import Settings
from unit.server.bench import Bench

pytestmark = pytest.mark.usefixtures("each_hub")


def word(to, text=""):
    return Wait(to=to, session="s", reason=text, eta_ms=1)


def raw(message) -> str:
    return msgspec.json.encode(message).decode()


def test_a_message_is_relayed_as_it_is():
    """Members that this version does not know are relayed too."""
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    sent = {"type": "wait", "session": "s", "to": ben.peer, "etaMs": 5, "reason": "…", "new": {"deep": [1, None]}}
    ada.say(raw({**sent, "id": 9, "seq": 1, "ack": 0}))
    assert ben.raw[-1] == {**sent, "from": ada.peer, "seq": ben.last_seq}


def test_from_is_set_by_the_server():
    bench = Bench()
    ada, ben, eve = bench.person(), bench.person(), bench.person()
    eve.say(raw({"type": "wait", "to": ben.peer, "from": ada.peer, "etaMs": 5}))
    assert ben.raw[-1]["from"] == eve.peer
    eve.say(f'{{"type":"wait","to":"{ben.peer}","etaMs":5,"from":"{ada.peer}","from":"{ada.peer}"}}')
    assert ben.raw[-1]["from"] == eve.peer


def test_a_member_that_stands_twice_is_read_once():
    bench = Bench()
    ada, ben, eve = bench.person(), bench.person(), bench.person()
    eve.say(f'{{"type":"wait","to":"{ada.peer}","to":"{ben.peer}","etaMs":5}}')
    assert ben.raw[-1]["to"] == ben.peer
    assert not ada.got(Wait)


@pytest.mark.parametrize("case", ["nobody", "elsewhere", "myself", "left"])
def test_only_who_shares_a_room_is_reached_and_the_sender_is_told(case):
    bench = Bench()
    ada, ben, other = bench.person(), bench.person(), bench.person("office")
    if case == "left":
        ben.lose()
        bench.wait(80)
    to = {"nobody": "0" * 32, "elsewhere": other.peer, "myself": ada.peer, "left": ben.peer}[case]
    (error,) = [answer for answer in ada.relay(word(to)) if isinstance(answer, Error)]
    assert (error.code, error.peer, error.temporary) == ("gone", to, False)
    envelope, _ = ada.frames[-1]
    assert envelope.id == ada.requests
    assert envelope.seq is not None  # it survives a lost socket too
    assert not other.got(Wait)


def test_an_error_about_a_message_survives_a_lost_socket():
    bench = Bench()
    ada = bench.person()
    before = ada.last_seq
    ada.relay(word("0" * 32))
    ada.lose()
    again = bench.back(ada, last_seq=before)
    assert [error.peer for error in again.got(Error)] == ["0" * 32]


@pytest.mark.parametrize(
    "message",
    [
        lambda to: Description(to=to, epoch=1, sdp_type="offer", sdp="x" * 61_000),
        lambda to: Candidates(to=to, epoch=1, candidates=[Candidate(candidate="c")] * 21),
    ],
)
def test_limits_of_what_is_passed_on(message):
    bench = Bench(Settings(sdp_bytes=60_000, candidates=20))
    ada, ben = bench.person(), bench.person()
    (error,) = ada.relay(message(ben.peer))
    assert error.code == "limit"
    assert not ben.got(type(message("x")))
    assert ada.closed is None


def test_sdp_is_measured_in_bytes():
    bench = Bench(Settings(sdp_bytes=1000))
    ada, ben = bench.person(), bench.person()
    assert ada.relay(Description(to=ben.peer, epoch=1, sdp_type="offer", sdp="é" * 500)) == []
    (error,) = ada.relay(Description(to=ben.peer, epoch=1, sdp_type="offer", sdp="é" * 501))
    assert error.code == "limit"


def test_numbered_messages_must_follow_each_other():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    ada.say(word(ben.peer, "1"), seq=1)
    ada.say(word(ben.peer, "1"), seq=1)
    assert [wait.reason for wait in ben.got(Wait)] == ["1"]
    ada.say(word(ben.peer, "3"), seq=3)
    assert ada.closed.code == CloseCode.BAD_REQUEST
    assert [wait.reason for wait in ben.got(Wait)] == ["1"]


def test_an_acknowledgement_of_what_was_never_sent_ends_the_client():
    bench = Bench()
    ada = bench.person()
    ada.say(BareAck(), ack=5)
    assert ada.closed.code == CloseCode.BAD_REQUEST


def test_acknowledgements_are_said_in_a_while_or_after_some_messages():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    for _ in range(15):
        assert ada.relay(word(ben.peer)) == []
    assert ada.relay(word(ben.peer)) == [BareAck()]
    assert ada.frames[-1][0].ack == 16
    ada.relay(word(ben.peer))
    bench.wait(0.9)
    assert ada.frames[-1][0].ack == 16
    bench.wait(0.2)
    assert ada.frames[-1][0].ack == 17
    bench.wait(10)
    assert len(ada.got(BareAck)) == 2


# --- queues ---------------------------------------------------------------------------------------------------


def test_a_client_without_acknowledgements_is_closed_with_3008():
    """Its senders are notified."""
    bench = Bench(Settings(queue_bytes=1000))
    ada, ben = bench.person(), bench.person()
    refused = []
    for turn in range(20):
        refused += [answer for answer in ada.relay(word(ben.peer, f"{turn}")) if isinstance(answer, Error)]
        if refused:
            break
    assert (refused[0].code, refused[0].temporary, refused[0].peer) == ("full", True, ben.peer)
    assert ben.closed.code == CloseCode.SLOW
    # It comes again and has all that was accepted.
    again = bench.back(ben, last_seq=0)
    assert again.welcome.resumed
    assert [wait.reason for wait in again.got(Wait)] == [str(n) for n in range(turn)]
    again.say(BareAck(), ack=again.last_seq)
    ada.relay(word(ben.peer, "on"))
    assert again.got(Wait)[-1].reason == "on"


def test_messages_for_who_is_away_are_kept_up_to_a_bound():
    bench = Bench(Settings(queue_bytes=1000))
    ada, ben = bench.person(), bench.person()
    ben.lose()
    codes = [answer.code for _ in range(12) for answer in ada.relay(word(ben.peer)) if isinstance(answer, Error)]
    assert codes[0] == "full"
    assert bench.hub._state.seats[ben.peer].outgoing.size <= 1000


def test_a_client_that_misses_more_presence_than_is_kept_loses_its_seat():
    bench = Bench(Settings(queue_bytes=1000))
    ada = bench.person()
    ada.lose()
    for _ in range(40):
        bench.person(name="x" * 100).lose()
        bench.wait(76)
        if ada.peer not in bench.hub._state.seats:
            break
    assert ada.peer not in bench.hub._state.seats
    assert not bench.back(ada).welcome.resumed


def test_a_slow_client_is_not_a_reason_to_lose_others():
    bench = Bench(Settings(queue_bytes=3000, burst=10_000))
    people = [bench.person() for _ in range(8)]
    quick = people[0]
    for turn in range(100):
        for other in people[1:]:
            quick.relay(word(other.peer, str(turn)))
        quick.say(BareAck(), ack=quick.last_seq)
    assert quick.closed is None
    assert all(person.closed.code == CloseCode.SLOW for person in people[1:])


def test_what_is_kept_in_all_is_bounded_and_counted():
    bench = Bench(Settings(kept_bytes=3000, burst=10_000))
    ada, *others = [bench.person() for _ in range(6)]
    codes = []
    for _ in range(20):
        for other in others:
            codes += [answer.code for answer in ada.relay(word(other.peer)) if isinstance(answer, Error)]
    assert "full" in codes
    assert bench.hub.gauges()["kept_bytes"] <= 3000 + 20 * 5 * 300  # errors to ada are kept beyond
    for person in (ada, *others):
        person.say(BareAck(), ack=person.last_seq)
    memberships = sum(m.size for seat in bench.hub._state.seats.values() for m in seat.rooms.values())
    assert bench.hub.gauges()["kept_bytes"] == memberships


# --- probe ----------------------------------------------------------------------------------------------------


def test_a_probe_is_answered_by_the_server_and_by_the_peer():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    (answer,) = ada.say(Probe(to=ben.peer, session="s"), request=4)
    assert (answer.from_, answer.to, answer.alive) == ("", ben.peer, True)
    assert ada.frames[-1][0].id == 4
    (question,) = ben.got(Probe)
    assert (question.from_, question.alive) == (ada.peer, None)
    ben.say(Probe(to=ada.peer, session="s", alive=True))
    assert (ada.got(Probe)[-1].from_, ada.got(Probe)[-1].alive) == (ben.peer, True)


@pytest.mark.parametrize("case", ["away", "elsewhere", "nobody"])
def test_a_probe_of_who_is_not_there_is_answered_with_no(case):
    bench = Bench()
    ada, ben, other = bench.person(), bench.person(), bench.person("office")
    if case == "away":
        ben.lose()
    to = {"away": ben.peer, "elsewhere": other.peer, "nobody": "x"}[case]
    (answer,) = ada.say(Probe(to=to))
    assert answer.alive is False
    if case == "away":  # nor is it kept: late it would say nothing
        assert not bench.back(ben).got(Probe)


# --- a page's last word ---------------------------------------------------------------------------------------


def closing(to):
    return Closing(to=to, session="s", receipt="r", reason=Reason("left"), deadline_ms=0, final={})


def test_a_beacon_passes_on_its_closing_and_frees_the_seat():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    beacon = Leaving(resume_token=ada.welcome.resume_token, closing=[closing(ben.peer)], reason="page closed")
    assert bench.hub.handle_leaving(msgspec.json.encode(beacon), bench.now)
    bench.pump()
    (word,) = ben.got(Closing)
    assert (word.from_, word.deadline_ms) == (ada.peer, 0)
    assert ben.got(PeerLeft) == [PeerLeft(room="lab", peer=ada.peer, reason="left", text="page closed")]
    assert ada.closed.code == CloseCode.QUIT
    assert not bench.hub.handle_leaving(msgspec.json.encode(beacon), bench.now)  # once


def test_a_beacon_works_when_the_socket_is_gone_already():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    ada.lose()
    beacon = Leaving(resume_token=ada.welcome.resume_token, closing=[closing(ben.peer)])
    assert bench.hub.handle_leaving(msgspec.json.encode(beacon), bench.now)
    bench.pump()
    assert len(ben.got(Closing)) == 1
    assert ben.got(PeerLeft)[0].reason == "left"


@pytest.mark.parametrize("socket", ["ends after it", "has ended before it"])
def test_a_word_in_case_the_page_ends_counts_when_its_socket_does(socket):
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    word = Leaving(resume_token=ada.welcome.resume_token, closing=[closing(ben.peer)], if_gone=True)
    if socket == "has ended before it":
        ada.lose()
    assert bench.hub.handle_leaving(msgspec.json.encode(word), bench.now)
    bench.pump()
    if socket == "ends after it":
        assert not ben.got(Closing)
        bench.wait(1)
        ada.lose()
    assert len(ben.got(Closing)) == 1
    assert ben.got(PeerLeft)[0].reason == "left"


def test_if_gone_is_forgotten_when_the_page_lives_on():
    """`if_gone` counts only if the socket ends soon after it."""
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    word = Leaving(resume_token=ada.welcome.resume_token, closing=[closing(ben.peer)], if_gone=True)
    assert bench.hub.handle_leaving(msgspec.json.encode(word), bench.now)
    bench.wait(5)
    ada.lose()
    assert not ben.got(Closing)
    assert [away.peer for away in ben.got(PeerAway)] == [ada.peer]
    bench.back(ada)
    assert not ben.got(PeerLeft)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 60_000,
        b'{"resumeToken":"x"}',
        b"\xff",
        b'{"resumeToken":5}',
        b'{"resumeToken":"x","closing":[{}]}',
    ],
)
def test_a_beacon_that_is_none_changes_nothing(body):
    bench = Bench()
    bench.person()
    assert not bench.hub.handle_leaving(body, bench.now)
    assert bench.hub.poll_output() is None
    assert bench.hub.gauges()["seats"] == 1
