"""Rooms, and who is in them."""

from __future__ import annotations

import msgspec
import pytest

from adieu.protocol.signaling import Error, Join, Joined, Leave, Left, PeerAway, PeerBack, PeerJoined, PeerLeft, Quit
from adieu.server.hub import Grant, Settings
from unit.server.bench import Bench

pytestmark = pytest.mark.usefixtures("each_hub")


def test_joined_tells_who_is_there_and_who_is_away():
    bench = Bench()
    ada, ben = bench.person(name="ada", role="host"), bench.person(name="ben")
    ben.lose()
    eve = bench.connect()
    eve.hello()
    joined = eve.join()
    assert [(peer.name, peer.meta, peer.away) for peer in joined.peers] == [
        ("ada", {"role": "host"}, False),
        ("ben", {}, True),
    ]
    assert ada.got(PeerJoined)[-1].peer.peer == eve.peer


def test_nobody_is_told_of_itself():
    bench = Bench()
    people = [bench.person() for _ in range(3)]
    people[0].say(Leave(room="lab"))
    people[1].lose()
    bench.back(people[1])
    for person in bench.people.values():
        told = person.got(PeerJoined) + person.got(PeerLeft) + person.got(PeerAway) + person.got(PeerBack)
        assert person.peer not in {getattr(event.peer, "peer", event.peer) for event in told}
        assert person.peer not in {peer.peer for joined in person.got(Joined) for peer in joined.peers}


def test_joining_again_changes_nothing_and_is_answered_again():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    before = len(ada.frames)
    assert [peer.peer for peer in ben.join().peers] == [ada.peer]
    assert len(ada.frames) == before


def test_leaving_is_told_and_answered_also_twice():
    bench = Bench()
    ada, ben = bench.person(), bench.person()
    assert ben.say(Leave(room="lab", reason="tired"), request=3) == [Left(room="lab")]
    assert ada.got(PeerLeft) == [PeerLeft(room="lab", peer=ben.peer, reason="left", text="tired")]
    assert ben.say(Leave(room="lab")) == [Left(room="lab")]
    assert ben.say(Leave(room="never")) == [Left(room="never")]
    assert bench.hub.gauges()["rooms"] == 1


def test_away_and_back_are_told_in_every_shared_room():
    bench = Bench()
    ada, ben = bench.person("one"), bench.person("one")
    ada.join("two")
    ben.join("two")
    ben.lose()
    assert {away.room for away in ada.got(PeerAway)} == {"one", "two"}
    bench.back(ben)
    assert {back.room for back in ada.got(PeerBack)} == {"one", "two"}


def test_presence_and_messages_survive_a_lost_socket_in_their_order():
    bench = Bench()
    ada = bench.person()
    ada.lose()
    ben = bench.person()
    ben.say(Leave(room="lab"))
    ben.join()
    ben.say(Quit())
    again = bench.back(ada)
    kinds = [type(message).__name__ for envelope, message in again.frames if envelope.seq is not None]
    assert kinds == ["PeerJoined", "PeerLeft", "PeerJoined", "PeerLeft"]


def test_a_room_has_a_limit_which_those_away_count_in():
    bench = Bench(Settings(room_peers=2))
    bench.person().lose()
    bench.person()
    late = bench.connect()
    late.hello()
    (error,) = late.say(Join(room="lab"), request=1)
    assert (error.code, error.temporary) == ("room-full", True)
    bench.wait(80)
    assert len(late.join().peers) == 1


def test_a_client_has_a_limit_of_rooms():
    bench = Bench(Settings(rooms=2))
    ada = bench.person("one")
    ada.join("two")
    ada.join("two")
    (error,) = ada.say(Join(room="three"))
    assert error.code == "limit"
    ada.say(Leave(room="one"))
    ada.join("three")


def test_meta_has_a_limit():
    bench = Bench(Settings(meta_bytes=100))
    ada = bench.person(None)
    (error,) = ada.say(Join(room="lab", meta={"x": "y" * 100}))
    assert error.code == "limit"
    assert bench.hub.gauges()["rooms"] == 0
    ada.join("lab", x="y" * 80)


@pytest.mark.parametrize("meta", ["[]", "5", '{"a":}', '"x"'])
def test_meta_that_is_no_object_is_a_bad_request(meta):
    bench = Bench()
    ada = bench.person(None)
    (error,) = ada.say(f'{{"type":"join","room":"lab","meta":{meta}}}')
    assert error.code == "bad-request"


# --- reload ---------------------------------------------------------------------------------------------------


def test_a_tab_that_comes_back_within_5_s_has_reloaded():
    bench = Bench()
    ada = bench.person()
    old = bench.person(tab="t1")
    old.lose()
    bench.wait(4.9)
    new = bench.person(tab="t1")
    assert ada.got(PeerLeft) == [
        PeerLeft(room="lab", peer=old.peer, reason="replaced", text="its page was loaded again")
    ]
    assert ada.got(PeerJoined)[-1].reloaded == old.peer
    assert ada.got(PeerJoined)[-1].peer.peer == new.peer
    assert bench.hub.gauges()["seats"] == 2


def test_a_tab_that_had_left_by_itself_has_reloaded_too():
    bench = Bench()
    ada = bench.person()
    old = bench.person(tab="t1")
    old.say(Quit())
    bench.wait(4.9)
    bench.person(tab="t1")
    assert ada.got(PeerJoined)[-1].reloaded == old.peer
    assert bench.hub.gauges()["departed"] == 0


@pytest.mark.parametrize("ends", ["quits", "is lost"])
def test_after_5_s_it_has_not(ends):
    bench = Bench()
    ada = bench.person()
    old = bench.person(tab="t1")
    old.say(Quit()) if ends == "quits" else old.lose()
    bench.wait(5.1)
    bench.person(tab="t1")
    assert ada.got(PeerJoined)[-1].reloaded == ""
    assert bench.hub.gauges()["departed"] == 0


def test_the_copy_of_a_tab_that_is_connected_replaces_nobody():
    bench = Bench()
    ada = bench.person()
    bench.person(tab="t1")
    bench.person(tab="t1")
    assert not ada.got(PeerLeft)
    assert ada.got(PeerJoined)[-1].reloaded == ""


def test_a_tab_id_is_told_to_nobody():
    bench = Bench()
    ada = bench.person()
    old = bench.person(tab="secret-tab", color="red")
    late = bench.person()
    assert ada.got(PeerJoined)[0].peer.meta == {"color": "red"}
    everything = msgspec.json.encode([person.raw for person in (ada, old, late)])
    assert b"secret-tab" not in everything


def test_another_user_or_another_room_is_no_reload():
    grants = {"a": Grant(user="a"), "b": Grant(user="b")}
    bench = Bench(authenticate=lambda token: grants[token])

    def come(user, room):
        person = bench.connect()
        person.hello(token=user)
        person.join(room, tab="t1")
        return person

    old = come("a", "lab")
    watcher = bench.connect()
    watcher.hello(token="a")
    watcher.join("lab")
    old.lose()
    come("b", "lab")
    come("a", "office")
    assert [joined.reloaded for joined in watcher.got(PeerJoined)] == [""]
    assert not watcher.got(PeerLeft)


@pytest.mark.parametrize("tab", [5, None, "x" * 65, ["t"]])
def test_a_tab_that_is_none_is_ignored(tab):
    bench = Bench()
    bench.person(tab=tab).lose()
    watcher = bench.person()
    bench.person(tab=tab)
    assert not watcher.got(PeerLeft)
    assert not watcher.got(Error)
