"""The signaling client's machine."""

from __future__ import annotations

import msgspec
import pytest

from adieu.errors import SignalingError, SignalingLostError, SignalingRefusedError
from adieu.protocol.signaling import (
    BareAck,
    Candidate,
    Candidates,
    CloseCode,
    Description,
    Error,
    Goaway,
    Goodbye,
    IceServersRequest,
    Join,
    Joined,
    Kick,
    Kicked,
    Leave,
    Left,
    Peer,
    PeerAway,
    PeerJoined,
    Probe,
    Refresh,
)
from adieu.protocol.words import Reset, Wait
from adieu.signaling.events import Down, Ended, Moved, RoomLost, Undelivered, Up
from adieu.signaling.policy import Policy
from adieu.signaling.states import Alive, Answer, Refusal, Want
from unit.signaling.line import LIMITS, Line, welcome


def word(text="", to="you"):
    return Wait(to=to, session="s", reason=text, eta_ms=1)


# --- hello ----------------------------------------------------------------------------------------------------


def test_hello_is_first_and_nothing_else_before_welcome():
    line = Line(name="ada")
    line.request(Join(room="lab"))
    line.machine.send(word())
    hello = line.open("token")
    assert hello == {"type": "hello", "version": 1, "name": "ada", "token": "token"}
    assert line.said() == []
    assert line.hear(welcome()) == [Up("me", resumed=False)]
    assert line.kinds() == ["join", "wait"]
    assert line.machine.peer == "me"


def test_no_socket_or_no_welcome_within_5_s_is_a_failure():
    line = Line()
    line.wait(4.9)
    assert line.machine.want is Want.DIAL
    line.wait(0.2)
    (down,) = line.events()
    assert isinstance(down, Down)
    assert "within 5 s" in down.reason
    line.open()
    line.wait(5.1)
    assert isinstance(line.events()[0], Down)


def test_the_server_s_reason_is_told_with_the_close():
    line = Line()
    line.open()
    line.hear(Error(code="version", message="this server speaks version 2"))
    (ended,) = line.lose("closed", code=3501)
    assert isinstance(ended.error, SignalingRefusedError)
    assert ended.error.code == 3501
    assert "speaks version 2" in str(ended.error)
    assert line.machine.want is Want.NOTHING


@pytest.mark.parametrize("code", [1000, 3500, 3501, 3504, 3507, 3509])
def test_after_a_final_code_it_does_not_come_again(code):
    line = Line()
    line.up()
    waiting = line.request(Join(room="lab"))
    outputs = line.lose(code=code)
    assert isinstance(outputs[0], Refusal)
    assert outputs[0].request == waiting
    assert isinstance(outputs[-1], Ended)
    assert isinstance(outputs[-1].error, SignalingRefusedError)
    assert line.machine.poll_timeout() is None


@pytest.mark.parametrize("code", [None, 1001, 1006, 1009, 1011, 1012, 3000, 3001, 3005, 3008, 3012, 3013, 3502, 4000])
def test_after_any_other_code_it_does(code):
    line = Line()
    line.up()
    (down,) = line.lose(code=code)
    assert isinstance(down, Down)
    line.wait(3)
    assert line.machine.want is Want.DIAL


def test_waits_between_attempts_double_up_to_2_s():
    line = Line(draw=0.999999)
    waits = []
    for _ in range(9):
        line.machine.handle_timeout(line.now)
        (down,) = line.lose()
        waits.append(down.retry_in)
        line.wait(down.retry_in + 0.001)
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2], abs=0.01)
    half = Line(draw=0.0)
    assert half.lose()[0].retry_in == pytest.approx(0.05)


def test_waits_begin_anew_after_a_connection_that_held():
    line = Line(draw=0.999999)
    for _ in range(6):
        line.lose()
        line.wait(3)
    line.up()
    line.wait(1)
    assert line.lose()[0].retry_in > 1
    line.wait(3)
    line.up()
    line.wait(6)
    assert line.lose()[0].retry_in < 0.2


def test_it_gives_up_when_it_was_told_to():
    line = Line(Policy(give_up=10.0))
    line.up()
    line.lose()
    outputs = []
    for _ in range(20):
        line.wait(1)
        if line.machine.want is Want.NOTHING:
            break
        outputs += line.lose()
    assert isinstance(outputs[-1], Ended)
    assert isinstance(outputs[-1].error, SignalingLostError)
    assert "the server could not be reached for" in str(outputs[-1].error)


# --- requests -------------------------------------------------------------------------------------------------


def test_answers_are_told_by_their_number():
    line = Line()
    line.up()
    one, two = line.request(Join(room="one")), line.request(Join(room="two"))
    assert [frame["id"] for frame in line.said()] == [one, two]
    joined = Joined(room="two", peers=[Peer(peer="x")])
    assert line.hear(joined, request=two) == [Answer(two, joined), joined]
    (refusal,) = line.hear(Error(code="room-full", message="16 are there", temporary=True), request=one)
    assert (refusal.request, refusal.error.code, str(refusal.error)) == (one, "room-full", "16 are there")
    assert line.machine.rooms == {"two"}


def test_a_request_has_its_time_also_while_the_server_is_away():
    line = Line()
    line.up()
    line.lose()
    line.events()
    number = line.request(Join(room="lab"))
    outputs = []
    for _ in range(8):
        outputs += line.lose()
        line.wait(2)
        outputs += line.events()
    (refusal,) = [output for output in outputs if isinstance(output, Refusal)]
    assert refusal.request == number
    assert isinstance(refusal.error, SignalingLostError)
    assert "no answer to join within 15 s" in str(refusal.error)


def test_requests_without_an_answer_are_said_again_after_a_resume():
    line = Line()
    line.up()
    number = line.request(Join(room="lab"))
    line.said()
    line.lose()
    line.back(ack=None)
    (frame,) = line.said()
    assert (frame["type"], frame["id"]) == ("join", number)
    assert line.hear(Joined(room="lab", peers=[]), request=number)[0] == Answer(number, Joined(room="lab", peers=[]))


def test_an_abandoned_request_is_not_said():
    line = Line()
    number = line.request(Join(room="lab"))
    line.machine.abandon(number)
    line.up()
    assert line.said() == []


def test_a_room_that_was_joined_for_nobody_is_left_again():
    line = Line()
    line.up()
    number = line.request(Join(room="lab"))
    line.said()
    line.machine.abandon(number)
    assert line.hear(Joined(room="lab", peers=[]), request=number) == []
    assert line.kinds() == ["leave"]
    assert line.machine.rooms == frozenset()


def test_too_many_requests_are_refused():
    line = Line()
    for _ in range(256):
        line.request(IceServersRequest())
    with pytest.raises(SignalingError, match="256 requests already wait"):
        line.request(IceServersRequest())


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (Join(room=""), "a room's name must have 1 to 256 characters, not 0: ''"),
        (Join(room="x" * 300), "a room's name must have 1 to 256 characters, not 300: 'x"),
        (Leave(room=""), "a room's name must have 1 to 256 characters"),
        (Kick(peer="x" * 200), "a peer's id must have 1 to 128 characters, not 200"),
        (Refresh(token="x" * 9000), "a token must have at most 8192 characters, not 9000"),
        (Join(room="x", meta={"x": "y" * 70_000}), "bytes"),
    ],
)
def test_a_request_that_is_not_allowed_raises(message, what):
    """The protocol does not allow it, so the caller gets the error."""
    line = Line()
    line.up()
    with pytest.raises(ValueError, match=what):
        line.request(message)
    assert line.said() == []


def test_texts_that_are_no_unicode_are_repaired_before_anything_is_said():
    line = Line(name="ada \ud83d")
    hello = line.open("t\ud83d")
    line.hear(welcome())
    line.request(Join(room="lab \ud83d", meta={"a\ud83d": ["\udc4b"]}))
    line.request(Kick(peer="p\ud83d", reason="\ud83d" * 2000))
    line.request(Leave(room="lab \ud83d", reason="\ud83d"))
    join, kick, leave = line.said()
    assert (hello["name"], hello["token"]) == ("ada \ufffd", "t\ufffd")
    assert (join["room"], join["meta"]) == ("lab \ufffd", {"a\ufffd": ["\ufffd"]})
    assert (kick["peer"], kick["reason"]) == ("p\ufffd", "\ufffd" * 1024)
    assert (leave["room"], leave["reason"]) == ("lab \ufffd", "\ufffd")
    line.machine.quit("bye \ud83d", line.now)
    assert line.said()[-1]["reason"] == "bye \ufffd"


def test_a_name_beyond_its_bound_is_refused():
    with pytest.raises(ValueError, match="a person's name must have at most 256 characters, not 257"):
        Line(name="x" * 257)


# --- relayed messages -----------------------------------------------------------------------------------------


def test_messages_are_numbered_and_said_again_from_where_the_server_is():
    line = Line()
    line.up()
    for text in "abc":
        line.machine.send(word(text))
    assert [(frame["seq"], frame["reason"]) for frame in line.said()] == [(1, "a"), (2, "b"), (3, "c")]
    line.lose()
    line.machine.send(word("d"))
    line.back(ack=2)
    assert [(frame["seq"], frame["reason"]) for frame in line.said()] == [(3, "c"), (4, "d")]
    line.hear(BareAck(), ack=4)
    assert line.machine.leftovers == {"requests": 0, "messages": 0, "frames": 0}


def test_requests_and_messages_keep_the_order_in_which_they_were_made():
    line = Line()
    line.up()
    line.lose()
    line.request(Join(room="one"))
    line.machine.send(word("a"))
    line.request(Leave(room="one"))
    line.machine.send(word("b"))
    line.back()
    assert line.kinds() == ["join", "wait", "leave", "wait"]


def test_messages_of_the_server_are_taken_once_and_acknowledged():
    line = Line()
    line.up()
    away = PeerAway(room="lab", peer="you")
    assert line.hear(away, seq=1) == [away]
    assert line.hear(away, seq=1) == []
    line.wait(0.49)
    assert line.later == []
    line.wait(0.02)
    assert line.later == [{"type": "ack", "ack": 1}]
    for seq in range(2, 18):
        line.hear(away, seq=seq)
    assert line.said() == [{"type": "ack", "ack": 17}]
    line.wait(60)
    assert len(line.later) == 1


def test_hello_says_what_was_received_and_shows_the_newest_token():
    line = Line()
    line.up()
    for seq in (1, 2, 3):
        line.hear(PeerAway(room="lab", peer="you"), seq=seq)
    line.lose()
    line.wait(3)
    assert line.open()["resume"] == {"token": "t1", "lastSeq": 3}
    line.hear(welcome(resumed=True, token="t2"))
    line.lose()
    line.wait(3)
    assert line.open()["resume"]["token"] == "t2"


def test_a_gap_makes_it_begin_a_new_socket():
    line = Line()
    line.up()
    (down,) = line.hear(PeerAway(room="lab", peer="you"), seq=2)
    assert "miscounted" in down.reason
    assert line.machine.want is Want.WAIT
    line.wait(3)
    assert line.open()["resume"]["lastSeq"] == 0


def test_an_acknowledgement_of_what_was_not_sent_does_so_too():
    line = Line()
    line.up()
    (down,) = line.hear(BareAck(), ack=1)
    assert "miscounted" in down.reason


def test_a_message_of_a_later_version_is_dropped_but_counted():
    line = Line()
    line.up()
    assert line.hear('{"type":"future","seq":1}') == []
    away = PeerAway(room="lab", peer="you")
    assert line.hear(away, seq=2) == [away]
    assert line.machine.bad_frames == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"type":"peerLeft"}', b"\x00", '{"type":"ack","ack":-1}', "[" * 50_000]
)
def test_what_can_not_be_read_is_counted_and_dropped(text):
    line = Line()
    line.up()
    line.machine.handle_frame(text, line.now)
    assert line.events() == []
    assert line.machine.want is Want.TALK
    assert line.machine.bad_frames == 1


def test_an_undelivered_message_comes_back_to_its_sender():
    line = Line()
    line.up()
    message = word("a")
    line.machine.send(message)
    (frame,) = line.said()
    error = Error(code="gone", message="no such peer", peer="you")
    assert line.hear(error, seq=1, request=frame["id"], ack=1) == [Undelivered("you", "gone", "no such peer", message)]


def test_it_does_so_also_when_the_message_was_acknowledged_before():
    line = Line()
    line.up()
    message = word("a")
    line.machine.send(message)
    (frame,) = line.said()
    line.lose()
    line.back(ack=1)
    error = Error(code="full", message="", temporary=True, peer="you")
    assert line.hear(error, seq=1, request=frame["id"]) == [Undelivered("you", "full", "", message)]


def test_the_outbox_has_a_bound_in_messages_and_bytes():
    line = Line(Policy(outbox_messages=3))
    line.up()
    for text in "abcd":
        line.machine.send(word(text))
    (undelivered,) = line.events()
    assert (undelivered.code, undelivered.message) == ("full", word("d"))
    line = Line(Policy(outbox_bytes=1000))
    line.up()
    line.machine.send(word("x" * 600))
    line.machine.send(word("y" * 600))
    assert line.events()[0].message == word("y" * 600)


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (Wait(session="s", eta_ms=1), "`to`"),
        (Wait(to="you", eta_ms=-1), "etaMs"),
        (Reset(to="you", asker="x" * 200, n=1, epoch=1, level="ice"), "asker"),
        (Description(to="you", epoch=1, sdp_type="offer", sdp="x" * 65_000), "sdp"),
        (Description(to="you", epoch=1, sdp_type="hello", sdp=""), "hello"),
        (Candidates(to="you", epoch=1, candidates=[Candidate(candidate="")] * 51), "candidates"),
    ],
)
def test_a_message_that_is_not_allowed_raises(message, what):
    """The protocol does not allow it, so the caller gets the error."""
    line = Line()
    line.up()
    with pytest.raises(ValueError, match=what):
        line.machine.send(message)
    assert line.said() == []


def test_it_keeps_below_the_server_s_limit_of_messages():
    line = Line()
    line.up(limits=msgspec.structs.replace(LIMITS, messages_per_second=10.0, burst=20))
    for number in range(60):
        line.machine.send(word(str(number)))
    assert len(line.said()) == 18
    line.wait(1)
    assert len(line.later) == 9
    line.wait(10)
    assert [frame["reason"] for frame in line.later][-1] == "59"


# --- a new seat -----------------------------------------------------------------------------------------------


def test_a_new_seat_moves_gives_back_and_joins_again():
    line = Line()
    line.up("old")
    number = line.request(Join(room="lab", meta={"x": 1}))
    line.said()
    line.hear(Joined(room="lab", peers=[]), request=number)
    line.hear(PeerAway(room="lab", peer="you"), seq=1)
    message = word("lost")
    line.machine.send(message)
    line.lose()
    outputs = line.back(peer="new", resumed=False)
    moved, undelivered, up = outputs
    assert moved == Moved("old", "new")
    assert (undelivered.code, undelivered.message) == ("moved", message)
    assert up == Up("new", resumed=False)
    (join,) = line.said()
    assert (join["type"], join["room"], join["meta"]) == ("join", "lab", {"x": 1})
    joined = Joined(room="lab", peers=[Peer(peer="you")])
    assert line.hear(joined, request=join["id"]) == [joined]
    # Numbers begin anew in both directions.
    line.machine.send(word("first"))
    assert line.said()[0]["seq"] == 1
    assert len(line.hear(PeerAway(room="lab", peer="you"), seq=1)) == 1


def test_a_room_that_does_not_take_us_back_is_told():
    line = Line()
    line.up("old")
    line.hear(Joined(room="lab", peers=[]), request=line.request(Join(room="lab")))
    line.said()
    line.lose()
    line.back(peer="new", resumed=False)
    (join,) = line.said()
    error = Error(code="denied", message="not for you")
    assert line.hear(error, request=join["id"]) == [RoomLost("lab", "denied", "not for you")]
    assert line.machine.rooms == frozenset()


def test_a_room_that_was_left_is_not_told_as_lost_when_nobody_waits_for_the_answer_any_more():
    line = Line()
    line.up()
    line.hear(Joined(room="lab", peers=[]), request=line.request(Join(room="lab")))
    request = line.request(Leave(room="lab"))
    line.machine.abandon(request)
    assert line.hear(Left(room="lab"), request=request) == []
    assert line.machine.rooms == frozenset()


def test_a_room_that_the_server_takes_away_is_told():
    line = Line()
    line.up()
    line.hear(Joined(room="lab", peers=[]), request=line.request(Join(room="lab")))
    (lost,) = line.hear(Left(room="lab"))
    assert (lost.room, lost.code) == ("lab", "denied")


def test_a_join_that_waits_is_not_said_twice_in_a_new_seat():
    line = Line()
    line.up("old")
    line.hear(Joined(room="lab", peers=[]), request=line.request(Join(room="lab")))
    line.said()
    line.request(Join(room="lab"))
    line.lose()
    line.back(peer="new", resumed=False)
    assert line.kinds() == ["join"]


# --- probes and the rest --------------------------------------------------------------------------------------


def test_a_probe_of_another_peer_is_answered_by_itself():
    line = Line()
    line.up()
    assert line.hear(Probe(from_="you", to="me", session="s")) == []
    assert line.said() == [{"type": "probe", "session": "s", "to": "you", "alive": True}]


def test_a_flood_of_probes_is_bounded():
    line = Line()
    line.up()
    for number in range(500):
        line.hear(Probe(from_=f"p{number}", to="me"))
        line.hear(Probe(from_="p0", to="me"))
    assert len(line.said()) == 64


def test_the_answers_to_a_probe():
    line = Line()
    line.up()
    number = line.request(Probe(to="you"))
    answer = Probe(to="you", alive=True)
    assert line.hear(answer, request=number) == [Answer(number, answer)]
    assert line.hear(Probe(from_="you", to="me", alive=True)) == [Alive("you")]


def test_messages_pass_as_they_are():
    line = Line()
    line.up()
    for message in (
        PeerJoined(room="lab", peer=Peer(peer="you")),
        Kicked(reason="x"),
        Goaway(reason="stop", after_ms=1),
        Wait(from_="you", to="me", eta_ms=1),
        Error(code="odd", message="about nothing that we said"),
    ):
        assert line.hear(message) == [message]


# --- quit -----------------------------------------------------------------------------------------------------


def test_quit_is_said_after_everything_else():
    line = Line()
    line.up()
    line.machine.send(word("last"))
    line.machine.quit("done", line.now)
    line.machine.send(word("late"))
    assert [frame["type"] for frame in line.said()] == ["wait", "quit"]
    assert line.hear(Goodbye(), ack=1) == [Ended(None)]
    assert line.machine.want is Want.NOTHING


def test_quit_has_a_time_limit():
    """Messages without an acknowledgement come back as `Undelivered`."""
    line = Line()
    line.up()
    line.machine.send(word("last"))
    line.machine.quit("done", line.now)
    line.wait(1.1)
    undelivered, ended = line.events()
    assert (undelivered.code, ended) == ("ended", Ended(None))


@pytest.mark.parametrize("when", ["dialing", "greeting", "resting"])
def test_quit_without_a_server_is_at_once(when):
    line = Line()
    if when == "greeting":
        line.open()
    if when == "resting":
        line.lose()
    line.events()
    line.machine.quit("", line.now)
    assert line.events() == [Ended(None)]


def test_after_quit_nothing_is_asked_any_more():
    line = Line()
    line.up()
    line.machine.quit("", line.now)
    with pytest.raises(SignalingLostError, match="has ended"):
        line.request(Join(room="lab"))


def test_a_lost_socket_while_leaving_is_the_end():
    line = Line()
    line.up()
    line.machine.quit("", line.now)
    assert line.lose(code=CloseCode.SHUTDOWN) == [Ended(None)]
