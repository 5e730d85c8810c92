"""hello, resume, tokens, ends of seats."""

from __future__ import annotations

import pytest

from adieu.protocol import VERSION
from adieu.protocol.signaling import (
    BareAck,
    CloseCode,
    CloseRoom,
    Error,
    Goaway,
    Goodbye,
    Hello,
    IceServer,
    IceServers,
    IceServersRequest,
    Join,
    Kick,
    Kicked,
    Leave,
    Left,
    PeerAway,
    PeerBack,
    PeerJoined,
    PeerLeft,
    Quit,
    Refresh,
    Refreshed,
    Resume,
    TokenExpiring,
)
from adieu.protocol.words import Wait
from adieu.server.hub import Grant, Settings, TokenRefusedError
from unit.server.bench import Bench

pytestmark = pytest.mark.usefixtures("each_hub")


def word(to, text=""):
    return Wait(to=to, session="s", reason=text, eta_ms=1)


GRANTS = {
    "ada": Grant(user="ada"),
    "ben": Grant(user="ben"),
    "ben, short": Grant(user="ben", expires_in=100.0),
    "ben, next": Grant(user="ben", expires_in=200.0),
    "ben, confined": Grant(user="ben", rooms=frozenset({"lab"})),
    "host": Grant(user="host", can=frozenset({"kick"})),
    "closer": Grant(user="closer", can=frozenset({"close", "fly"})),
}


def authenticate(token):
    if token == "old":
        raise TokenRefusedError("expired", CloseCode.EXPIRED)
    if token not in GRANTS:
        raise TokenRefusedError("not a token of ours")
    return GRANTS[token]


# --- hello ----------------------------------------------------------------------------------------------------


def test_welcome_gives_an_id_a_resume_token_and_the_limits():
    bench = Bench()
    welcome = bench.connect().hello(name="ada")
    assert len(welcome.peer) == 32
    assert len(welcome.resume_token) == 22  # 128 bits in base64
    assert welcome.peer not in welcome.resume_token
    assert (welcome.resumed, welcome.resume_grace_ms, welcome.ping_ms) == (False, 75_000, 10_000)
    assert welcome.limits == Settings().announced()


def test_a_resume_token_is_kept_only_as_a_hash():
    bench = Bench()
    welcome = bench.connect().hello()
    assert welcome.resume_token.encode() not in b"".join(bench.hub._state.tokens)
    assert all(len(key) == 32 for key in bench.hub._state.tokens)


@pytest.mark.parametrize("first", ['{"type":"join","room":"lab"}', "{", b"\x00", '{"type":"future"}', "[]", ""])
def test_before_hello_anything_else_is_a_bad_request(first):
    bench = Bench()
    person = bench.connect()
    (error,) = person.say(first)
    assert (error.code, person.closed.code) == ("bad-request", CloseCode.BAD_REQUEST)
    assert bench.hub.gauges()["connections"] == 0


def test_another_version_is_told_both():
    bench = Bench()
    person = bench.connect()
    (error,) = person.say(Hello(version=VERSION + 1))
    assert str(VERSION) in error.message
    assert str(VERSION + 1) in error.message
    assert person.closed.code == CloseCode.BAD_REQUEST


def test_who_says_no_hello_within_5_s_is_closed_with_3000():
    bench = Bench()
    person = bench.connect()
    bench.wait(4.9)
    assert person.closed is None
    bench.wait(0.2)
    assert person.closed.code == CloseCode.LOST


def test_hello_is_said_once():
    bench = Bench()
    person = bench.person()
    (error,) = person.say(Hello(version=VERSION))
    assert error.code == "bad-request"
    assert person.closed is None


# --- resume ---------------------------------------------------------------------------------------------------


def test_a_lost_client_takes_its_seat_back_and_gets_what_it_missed():
    bench = Bench()
    ada, ben = bench.person(name="ada"), bench.person(name="ben")
    ada.relay(word(ben.peer, "1"))
    ben.lose()
    ada.relay(word(ben.peer, "2"))
    again = bench.back(ben)
    assert again.welcome.resumed
    assert again.peer == ben.peer
    assert [wait.reason for wait in again.got(Wait)] == ["2"]
    assert ada.got(PeerAway) == [PeerAway(room="lab", peer=ben.peer)]
    assert ada.got(PeerBack) == [PeerBack(room="lab", peer=ben.peer)]


def test_the_server_says_what_it_has_of_a_resumed_client():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    ada.relay(word(ben.peer))
    ada.relay(word(ben.peer))
    ada.lose()
    again = bench.back(ada)
    assert again.frames[0][0].ack == 2
    again.say(word(ben.peer, "again"), seq=2)  # a duplicate
    assert [wait.reason for wait in ben.got(Wait)] == ["", ""]
    assert bench.hub.counters["duplicates"] == 1


def test_a_resume_token_is_used_once_and_replaced():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    ada.lose()
    again = bench.back(ada)
    assert again.welcome.resume_token != ada.welcome.resume_token
    thief = bench.back(ada)
    assert not thief.welcome.resumed
    assert thief.peer != ada.peer
    # Who shows a spent token may have stolen it, or have lost the answer: the seat is nobody's.
    assert again.closed.code == CloseCode.LOST
    assert ben.got(PeerLeft)[-1].reason == "replaced"
    assert set(bench.hub._state.seats) == {ben.peer, thief.peer}


def test_a_resume_token_is_bound_to_its_user():
    bench = Bench(authenticate=authenticate)
    ada = bench.connect()
    ada.hello(token="ada")
    ada.lose()
    thief = bench.connect()
    welcome = thief.hello(token="ben", resume=Resume(token=ada.welcome.resume_token, last_seq=0))
    assert not welcome.resumed
    owner = bench.connect()
    assert owner.hello(token="ada", resume=Resume(token=ada.welcome.resume_token, last_seq=0)).resumed


def test_a_newer_socket_takes_over():
    """The older one has not noticed its end yet."""
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    again = bench.back(ada)
    assert again.welcome.resumed
    assert ada.closed.code == CloseCode.LOST
    assert not ben.got(PeerAway)
    assert not ben.got(PeerBack)
    ada.lose()  # its end is heard at last, and is nothing new
    assert not ben.got(PeerAway)


def test_after_the_grace_time_the_seat_is_gone():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    ada.lose()
    bench.wait(74.9)
    assert not ben.got(PeerLeft)
    bench.wait(0.2)
    text = "it did not reconnect in time"
    assert ben.got(PeerLeft) == [PeerLeft(room="lab", peer=ada.peer, reason="timeout", text=text)]
    again = bench.back(ada)
    assert not again.welcome.resumed
    assert again.peer != ada.peer


@pytest.mark.parametrize("last_seq", [0, 99])
def test_an_impossible_acknowledgement_is_no_resume(last_seq):
    """The client claims messages that were never sent, or fewer than it once had."""
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    ada.relay(word(ben.peer))
    ben.say(BareAck(), ack=ben.last_seq)
    ben.lose()
    again = bench.back(ben, last_seq=last_seq)
    assert not again.welcome.resumed
    assert ada.got(PeerLeft)[-1].reason == "replaced"


# --- tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "code"), [(None, CloseCode.INVALID_TOKEN), ("x", CloseCode.INVALID_TOKEN), ("old", CloseCode.EXPIRED)]
)
def test_without_a_good_token_nobody_gets_a_seat(token, code):
    bench = Bench(authenticate=authenticate)
    person = bench.connect()
    (error,) = person.say(Hello(version=VERSION, token=token))
    assert isinstance(error, Error)
    assert person.closed.code == code
    assert error.temporary == (code is CloseCode.EXPIRED)
    assert bench.hub.gauges()["seats"] == 0


def test_a_token_that_ends_is_announced_and_then_closes_with_3005():
    bench = Bench(authenticate=authenticate)
    ben = bench.connect()
    ben.hello(token="ben, short")
    bench.wait(50.1)
    assert ben.got(TokenExpiring) == [TokenExpiring(in_ms=50_000)]
    bench.wait(49)
    assert ben.closed is None
    bench.wait(1)
    assert ben.closed.code == CloseCode.EXPIRED
    assert bench.hub.gauges()["away"] == 1  # it may come again with a new one


def test_a_refreshed_token_moves_the_end():
    bench = Bench(authenticate=authenticate)
    ben = bench.connect()
    ben.hello(token="ben, short")
    bench.wait(60)
    assert ben.say(Refresh(token="ben, next"), request=7) == [Refreshed(expires_in=200.0)]
    assert ben.frames[-1][0].id == 7
    bench.wait(199)
    assert ben.closed is None
    bench.wait(2)
    assert ben.closed.code == CloseCode.EXPIRED


@pytest.mark.parametrize("token", ["ada", "x"])
def test_a_refresh_is_for_the_same_user_only(token):
    bench = Bench(authenticate=authenticate)
    ben = bench.connect()
    ben.hello(token="ben, short")
    (error,) = ben.say(Refresh(token=token))
    assert error.code == "invalid-token"
    bench.wait(101)
    assert ben.closed.code == CloseCode.EXPIRED


def test_a_token_names_the_rooms():
    bench = Bench(authenticate=authenticate)
    ben = bench.connect()
    ben.hello(token="ben, confined")
    ben.join("lab")
    (error,) = ben.say(Join(room="office"), request=3)
    assert error.code == "denied"
    assert not error.temporary
    assert ben.frames[-1][0].id == 3


def test_a_new_token_that_allows_less_leaves_the_other_rooms():
    bench = Bench(authenticate=authenticate)
    ben, ada = bench.connect(), bench.connect()
    ben.hello(token="ben")
    ada.hello(token="ada")
    for room in ("lab", "office"):
        ben.join(room)
        ada.join(room)
    ben.say(Refresh(token="ben, confined"))
    assert ben.got(Left) == [Left(room="office")]
    assert [left.room for left in ada.got(PeerLeft)] == ["office"]


# --- ends -----------------------------------------------------------------------------------------------------


def test_quit_frees_the_seat_at_once():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    assert ada.say(Quit(reason="done"), request=1) == [Goodbye()]
    assert ada.closed.code == CloseCode.QUIT
    assert ben.got(PeerLeft) == [PeerLeft(room="lab", peer=ada.peer, reason="left", text="done")]
    assert not bench.back(ada).welcome.resumed


def test_a_kick_needs_the_right():
    bench = Bench(authenticate=authenticate)
    host, ada = bench.connect(), bench.connect()
    host.hello(token="host")
    ada.hello(token="ada")
    host.join()
    ada.join()
    (error,) = ada.say(Kick(peer=host.peer))
    assert error.code == "denied"
    assert host.closed is None
    assert host.say(Kick(peer=ada.peer, reason="enough"), request=5)[0] == BareAck()
    assert ada.got(Kicked) == [Kicked(reason="enough")]
    assert ada.closed.code == CloseCode.KICKED
    assert host.got(PeerLeft) == [PeerLeft(room="lab", peer=ada.peer, reason="kicked", text="enough")]
    (error,) = host.say(Kick(peer=ada.peer))
    assert error.code == "gone"


def test_only_a_member_with_the_right_closes_a_room():
    bench = Bench(authenticate=authenticate)
    host, ada, ben = bench.connect(), bench.connect(), bench.connect()
    for person, token in ((host, "closer"), (ada, "ada"), (ben, "ben")):
        person.hello(token=token)
        person.join("lab")
    ben.join("hall")
    assert host.welcome.can == ["close"] and ada.welcome.can == []
    assert ada.say(CloseRoom(room="lab"))[0].code == "denied"
    assert host.say(CloseRoom(room="hall"))[0].code == "gone"
    assert ada.closed is None and not ben.got(Left)
    assert host.say(CloseRoom(room="lab", reason="late"), request=5)[-1] == BareAck()
    assert ada.got(Kicked) == [Kicked(reason="late", code="room-closed")]
    assert ada.closed.code == CloseCode.KICKED
    assert ben.got(Left) == [Left(room="lab", code="room-closed", text="late")]
    assert ben.closed is None and host.closed is None and not host.got(Kicked)


def test_a_kick_reaches_only_who_shares_a_room():
    bench = Bench(authenticate=authenticate)
    host, ada = bench.connect(), bench.connect()
    host.hello(token="host")
    ada.hello(token="ada")
    host.join("lab")
    ada.join("office")
    (error,) = host.say(Kick(peer=ada.peer))
    assert error.code == "gone"
    assert ada.closed is None


def test_a_kicked_peer_that_is_away_is_gone_too():
    bench = Bench(authenticate=authenticate)
    host, ada = bench.connect(), bench.connect()
    host.hello(token="host")
    ada.hello(token="ada")
    host.join()
    ada.join()
    ada.lose()
    host.say(Kick(peer=ada.peer))
    assert host.got(PeerLeft)[-1].reason == "kicked"
    assert bench.hub.gauges()["seats"] == 1


def test_goaway_then_3001_for_all_and_for_who_comes_meanwhile():
    bench = Bench()
    ada = bench.person()
    bench.hub.handle_shutdown(3.0, bench.now)
    bench.pump()
    assert ada.got(Goaway) == [Goaway(reason="the server is stopping", after_ms=3000)]
    late = bench.connect()
    assert late.closed.code == CloseCode.SHUTDOWN
    bench.wait(2.9)
    assert ada.closed is None
    bench.wait(0.2)
    assert ada.closed.code == CloseCode.SHUTDOWN


# --- ICE servers ----------------------------------------------------------------------------------------------


def test_turn_credentials_only_after_a_join():
    def servers(peer, *, joined):
        return ([IceServer(urls=["turn:t"], username=f"1:{peer}", credential="c")], 3600) if joined else ([], 0)

    bench = Bench(ice_servers=servers)
    ada = bench.person(None)
    assert ada.welcome.ice_servers == []
    (error,) = ada.say(IceServersRequest())
    assert error.code == "denied"
    ada.join()
    (answer,) = ada.say(IceServersRequest(), request=2)
    assert isinstance(answer, IceServers)
    assert (answer.ice_servers[0].username, answer.ice_ttl) == (f"1:{ada.peer}", 3600)
    ada.say(Leave(room="lab"))
    (error,) = ada.say(IceServersRequest())
    assert error.code == "denied"


def test_who_resumes_in_a_room_gets_them_with_the_welcome():
    seen = []

    def servers(peer, *, joined):
        seen.append(joined)
        return [], 0

    bench = Bench(ice_servers=servers)
    ada = bench.person()
    ada.lose()
    bench.back(ada)
    assert seen == [False, True]


def test_peer_joined_is_in_the_same_order_for_all():
    bench = Bench()
    ada = bench.person(name="ada", color="red")
    ben = bench.person(name="ben")
    assert ada.got(PeerJoined)[0].peer.peer == ben.peer
    assert ada.got(PeerJoined)[0].peer.name == "ben"
    joined = bench.person().join()
    assert {peer.name: peer.meta for peer in joined.peers} == {"ada": {"color": "red"}, "ben": {}}
