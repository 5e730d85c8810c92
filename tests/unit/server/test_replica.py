"""What is special about replicas on one log; all tests of the hub run with them too."""

from __future__ import annotations

import random

import msgspec
import pytest

from adieu.protocol import VERSION
from adieu.protocol.signaling import (
    BareAck,
    CloseCode,
    Hello,
    Join,
    Kicked,
    Leave,
    Leaving,
    PeerAway,
    PeerBack,
    PeerLeft,
    Quit,
    Refresh,
    Resume,
    Welcome,
    encode,
)
from adieu.protocol.words import Wait
from adieu.server.hub import Close, Grant, Send, Settings, TokenRefusedError
from adieu.server.hub import replica as replica_module
from adieu.server.hub.replica import DEAD, HEARTBEAT, Batch, GapError, Replica
from adieu.server.hub.timers import Timers
from unit.server import bench
from unit.server.bench import Bench, Cluster


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(bench, "make_hub", Cluster)
    return Bench(Settings(grace=20.0))


def word(to, text=""):
    return Wait(to=to, session="s", reason=text, eta_ms=1)


def place(bench_, person):
    return bench_.hub.places[person.connection][0]


def wait(bench_, seconds):
    for _ in range(round(seconds / HEARTBEAT)):
        bench_.now += HEARTBEAT
        bench_.hub.handle_timeout(bench_.now)
        bench_.pump()


def stop(bench_, replica):
    """A server that says nothing from now on."""
    bench_.hub.replicas.remove(replica)


# --- two servers ------------------------------------------------------------------------------------------------


def test_peers_of_two_servers_meet_and_hear_each_other(cluster):
    ada, ben = cluster.person(name="ada"), cluster.person(name="ben")
    assert place(cluster, ada) is not place(cluster, ben)
    ada.relay(word(ben.peer, "hello"))
    assert [wait.reason for wait in ben.got(Wait)] == ["hello"]


def test_peers_of_a_dead_server_come_back_at_another_without_a_loss(cluster):
    ada, ben = cluster.person(name="ada"), cluster.person(name="ben")
    dead, lives = place(cluster, ben), place(cluster, ada)
    stop(cluster, dead)
    ada.relay(word(ben.peer, "1"))
    wait(cluster, DEAD - 1)
    assert ada.got(PeerAway) == []
    wait(cluster, 2)
    assert ada.got(PeerAway) == [PeerAway(room="lab", peer=ben.peer)]
    ada.relay(word(ben.peer, "2"))
    again = cluster.back(ben)
    assert place(cluster, again) is lives
    assert again.welcome.resumed
    assert [wait.reason for wait in again.got(Wait)] == ["1", "2"]
    assert ada.got(PeerBack) == [PeerBack(room="lab", peer=ben.peer)]


def test_a_client_may_come_back_before_its_server_is_known_dead(cluster):
    ada, ben = cluster.person(name="ada"), cluster.person(name="ben")
    stop(cluster, place(cluster, ben))
    ada.relay(word(ben.peer, "1"))
    again = cluster.back(ben)
    assert [wait.reason for wait in again.got(Wait)] == ["1"]
    wait(cluster, 2 * DEAD)
    assert ada.got(PeerAway) == ada.got(PeerLeft) == []


def test_after_its_grace_a_peer_of_a_dead_server_has_left(cluster):
    ada, ben = cluster.person(name="ada"), cluster.person(name="ben")
    stop(cluster, place(cluster, ben))
    wait(cluster, 20 + DEAD + 2)
    assert [left.reason for left in ada.got(PeerLeft)] == ["timeout"]


def test_an_operator_kicks_and_closes_from_any_server(cluster):
    ada, ben, eve = cluster.person(), cluster.person(), cluster.person()
    for replica, target in ((place(cluster, ben), ada), (place(cluster, ada), ben)):
        assert replica.handle_kick(target.peer, "noise", cluster.now)
        cluster.hub.settle()
        cluster.pump()
        assert target.closed.code is CloseCode.KICKED
    assert place(cluster, eve).handle_close_room("lab", "over", cluster.now) == 1
    cluster.hub.settle()
    cluster.pump()
    assert eve.got(Kicked) == [Kicked(reason="over", code="room-closed")]


def test_a_server_that_stops_says_it_to_its_own_clients_alone(cluster):
    ada, ben = cluster.person(), cluster.person()
    stopping = place(cluster, ben)
    stopping.handle_shutdown(1.0, cluster.now)
    cluster.pump()
    wait(cluster, 2)
    assert (ada.closed, ben.closed.code) == (None, CloseCode.SHUTDOWN)
    assert not stopping.ready
    late = stopping.handle_connect("127.0.0.1", cluster.now)
    assert stopping.poll_output() == Close(late, CloseCode.SHUTDOWN, "the server is stopping")
    stopping.exit()
    cluster.hub.settle()
    assert "bus_servers" in stopping.gauges()
    assert place(cluster, ada).gauges()["bus_servers"] == 1


# --- the log ----------------------------------------------------------------------------------------------------


def alone(**options):
    replica = Replica(node="a", random=random.Random(1).randbytes, **options)
    replica.up = True
    replica.enter(blank=False)
    return replica


def feed(replica, *, at=1000):
    batch = replica.take_batch()
    replica.apply(f"{at}-{feed.count}", batch)
    feed.count += 1
    return batch


feed.count = 0


def outputs(replica):
    found = []
    while (output := replica.poll_output()) is not None:
        found.append(output)
    return found


def test_nothing_is_answered_before_it_is_in_the_log():
    replica = alone()
    feed(replica)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    replica.handle_message(socket, encode(Hello(version=VERSION)), 0.0)
    assert outputs(replica) == []
    feed(replica)
    [welcome] = outputs(replica)
    assert isinstance(welcome, Send)


def test_a_batch_appended_twice_counts_once_and_a_gap_is_noticed():
    replica = alone()
    feed(replica)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    replica.handle_message(socket, encode(Hello(version=VERSION)), 0.0)
    batch = feed(replica)
    assert len(outputs(replica)) == 1
    before = replica.gauges()
    replica.apply("1001-0", batch)
    assert (outputs(replica), replica.gauges(), replica.counters["bus_doubled"]) == ([], before, 1)
    replica.take_batch()
    with pytest.raises(GapError):
        feed(replica)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc1", msgspec.msgpack.encode(["x", 1, b"", [[99]]]), b"\x94" * 5000])
def test_an_entry_that_is_no_batch_is_counted_and_ignored(data):
    replica = alone()
    feed(replica)
    replica.apply("2000-0", data)
    assert replica.counters["bus_bad"] == 1
    assert replica.gauges()["bus_servers"] == 1


def test_a_server_ended_as_too_slow_enters_again_with_its_copy():
    replica = alone()
    feed(replica)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    feed(replica)
    other = Replica(node="b", random=random.Random(2).randbytes)
    other.enter(blank=True)
    replica.apply("1001-0", other.take_batch())
    [(_, snapshot)] = replica.snapshots
    other.load(snapshot)
    for second in range(2, 9):
        batch = other.take_batch()
        for each in (replica, other):
            each.apply(f"{second * 1000}-0", batch)
    assert replica.expelled
    late = replica.take_batch()
    other.apply("8001-0", late)
    assert other.counters["bus_late"] == 1
    assert other.gauges()["connections"] == 0
    replica.rename("c")
    [*_, closed] = outputs(replica)
    assert (closed.connection, closed.code) == (socket, CloseCode.LOST)
    batch = replica.take_batch()
    for each in (replica, other):
        each.apply("8002-0", batch)
    assert not replica.expelled
    assert replica.gauges()["bus_servers"] == other.gauges()["bus_servers"] == 2


def test_a_silence_of_the_log_uses_up_nobodys_grace():
    replica = alone()
    feed(replica, at=1000)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    replica.handle_message(socket, encode(Hello(version=VERSION)), 0.0)
    feed(replica, at=1500)
    [welcome] = outputs(replica)
    token = msgspec.json.decode(welcome.text)["resumeToken"]
    replica.lose("Redis is gone")
    assert [output.code for output in outputs(replica) if isinstance(output, Close)] == [CloseCode.LOST]
    replica.up = True
    feed(replica, at=10_000_000)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    resume = Resume(token=token, last_seq=0)
    replica.handle_message(socket, encode(Hello(version=VERSION, resume=resume)), 0.0)
    feed(replica, at=10_000_100)
    [again] = outputs(replica)
    assert msgspec.json.decode(again.text, type=Welcome).resumed


def test_without_the_log_nobody_is_let_in():
    replica = Replica(node="a", random=random.Random(1).randbytes)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    told, closed = outputs(replica)
    assert (closed.connection, closed.code) == (socket, CloseCode.TOO_MANY)
    assert msgspec.json.decode(told.text)["temporary"]
    assert not replica.ready
    assert not replica.waiting


def inputs(replica):
    feed.count += 1
    return msgspec.msgpack.decode(replica.take_batch(), type=Batch).inputs


def greeted(replica):
    """A client with a seat; its socket, and its resume token."""
    socket = replica.handle_connect("127.0.0.1", 0.0)
    replica.handle_message(socket, encode(Hello(version=VERSION)), 0.0)
    feed(replica)
    [welcome] = outputs(replica)
    return socket, msgspec.json.decode(welcome.text, type=Welcome).resume_token


def test_a_client_that_floods_is_closed_before_it_fills_the_log():
    replica = alone(settings=Settings(burst=10))
    feed(replica)
    socket, _ = greeted(replica)
    for _ in range(1000):
        replica.handle_message(socket, "x", 0.0)
    assert [output.code for output in outputs(replica) if isinstance(output, Close)] == [CloseCode.TOO_MANY]
    assert len(inputs(replica)) < 30


@pytest.mark.parametrize("frame", ["x" * 60_000, "[" * 60_000, encode(BareAck(), request=7)])
def test_a_stranger_s_frame_that_is_no_hello_does_not_reach_the_log(frame):
    replica = alone()
    feed(replica)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    for _ in range(100):
        replica.handle_message(socket, frame, 0.0)
    told, closed = outputs(replica)
    assert (closed.connection, closed.code) == (socket, CloseCode.BAD_REQUEST)
    error = msgspec.json.decode(told.text)
    assert (error["code"], error.get("id")) == ("bad-request", 7 if "7" in str(frame) else None)
    assert len(replica.take_batch()) < 200
    feed.count += 1


def test_after_a_refused_token_no_frame_reaches_the_log():
    def authenticate(token):
        raise TokenRefusedError("no")

    replica = alone(authenticate=authenticate)
    feed(replica)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    replica.handle_message(socket, encode(Hello(version=VERSION, token="t" * 4000)), 0.0)
    for _ in range(100):
        replica.handle_message(socket, "x" * 60_000, 0.0)
    assert len(feed(replica)) < 500
    assert [output.code for output in outputs(replica) if isinstance(output, Close)] == [CloseCode.INVALID_TOKEN]


def test_a_stranger_s_goodbye_does_not_reach_the_log():
    replica = alone()
    feed(replica)
    for body in (b"x" * 60_000, b"[" * 60_000, msgspec.json.encode(Leaving(resume_token="guessed"))):
        assert not replica.handle_leaving(body, 0.0)
    assert not replica.waiting
    assert (replica.counters["leaves_bad"], replica.counters["leaves_unknown"]) == (2, 1)


def test_goodbyes_of_a_client_are_limited_as_its_frames_are():
    replica = alone(settings=Settings(burst=10))
    feed(replica)
    _, token = greeted(replica)
    if_gone, last = (msgspec.json.encode(Leaving(resume_token=token, if_gone=value)) for value in (True, False))
    for count in (10, 0, 0):
        assert [replica.handle_leaving(if_gone, 0.0) for _ in range(100)].count(True) == count
        feed(replica)
    assert replica.counters["leaves_too_many"] == 290
    assert [replica.handle_leaving(last, 0.0) for _ in range(5)] == [True, False, False, False, False]
    feed(replica)
    assert replica.gauges()["seats"] == 0


def test_what_waits_for_the_log_has_a_bound_in_bytes(monkeypatch):
    monkeypatch.setattr(replica_module, "MOST_PENDING", 100_000)
    replica = alone()
    feed(replica)
    (first, token), (second, _) = greeted(replica), greeted(replica)
    for _ in range(5):
        replica.handle_message(first, "x" * 30_000, 0.0)
    assert [each.code for each in outputs(replica)] == [CloseCode.TOO_MANY]
    body = msgspec.json.encode(Leaving(resume_token=token)).ljust(30_000)
    assert not replica.handle_leaving(body, 0.0)
    assert len(feed(replica)) < 100_000
    replica.handle_message(second, "x" * 30_000, 0.0)
    assert replica.handle_leaving(body, 0.0)
    feed(replica)
    assert CloseCode.TOO_MANY not in [each.code for each in outputs(replica) if isinstance(each, Close)]


# --- tokens -----------------------------------------------------------------------------------------------------


def test_tokens_are_checked_at_the_socket_and_not_logged():
    def authenticate(token):
        if token != "secret-token":
            raise TokenRefusedError("no")
        return Grant(user="ada", expires_in=100.0)

    replica = alone(authenticate=authenticate)
    other = Replica(node="b", random=random.Random(2).randbytes)  # it would let everybody in
    batches = [feed(replica)]
    first, second = (replica.handle_connect("127.0.0.1", 0.0) for _ in range(2))
    replica.handle_message(first, encode(Hello(version=VERSION, token="secret-token")), 0.0)
    replica.handle_message(second, encode(Hello(version=VERSION, token="wrong")), 0.0)
    batches.append(feed(replica))
    replica.handle_message(first, encode(Refresh(token="secret-token"), request=1), 0.0)
    replica.handle_message(first, '{"type":"\\u0072efresh","token":"secret\\u002dtoken"}', 0.0)
    batches.append(feed(replica))
    texts = [output.text for output in outputs(replica) if isinstance(output, Send)]
    assert [msgspec.json.decode(text)["type"] for text in texts] == ["welcome", "error", "refreshed", "error"]
    for number, batch in enumerate(batches):
        assert b"secret-token" not in batch
        assert b"wrong" not in batch
        other.apply(f"1000-{feed.count + number}", batch)
    [seat] = other._hub._state.seats.values()
    assert seat.grant.user == "ada"


assert HEARTBEAT < DEAD / 5


# --- at random ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_copies_that_began_at_different_times_stay_equal(cluster, seed):
    """Clients do everything, servers enter and die: after each entry that is looked at, all copies are equal."""
    chance = random.Random(seed)
    people = [cluster.person(f"room-{number % 3}") for number in range(9)]

    def act(person):
        match chance.randrange(8):
            case 0:
                person.lose()
                return cluster.back(person, last_seq=min(person.last_seq, chance.randrange(99)))
            case 1:
                person.say(Quit())
                return cluster.person(f"room-{chance.randrange(3)}", tab=str(chance.randrange(3)))
            case 2:
                person.say(Join(room=f"room-{chance.randrange(3)}", meta={"tab": str(chance.randrange(3))}))
            case 3:
                person.say(Leave(room=f"room-{chance.randrange(3)}"))
            case 4:
                person.say(BareAck(), ack=person.last_seq)
            case 5:
                wait(cluster, chance.choice([0.5, 2.0]))
            case _:
                person.relay(word(chance.choice(people).peer, "x"))
        return person

    for step in range(240):
        if step % 60 == 20:
            cluster.hub.add(f"late-{step}")
        if step % 60 == 50:
            dead = chance.choice(cluster.hub.replicas)
            stop(cluster, dead)
            people = [cluster.back(each) if place(cluster, each) is dead else each for each in people]
            wait(cluster, DEAD + 1)
        index = chance.randrange(len(people))
        people[index] = person if (person := act(people[index])).closed is None else cluster.person("room-0")
        cluster.hub.compare()


def test_deadlines_of_one_moment_keep_their_order_whatever_was_cleaned_up():
    """A server that dies makes many at once; copies clean up at different times."""
    many, few = Timers(), Timers()
    for timers, noise in ((many, 500), (few, 0)):
        timers.set("z", 9.0)
        timers.set("a", 5.0)
        timers.set("z", 5.0)
        for number in range(noise):
            timers.set("noise", 100.0 + number)
        timers.set("noise", 7.0)
    assert [many.pop_due(10.0) for _ in range(4)] == [few.pop_due(10.0) for _ in range(4)] == ["a", "z", "noise", None]


def test_a_name_that_no_frame_can_hold_is_refused_and_stops_nothing():
    replica = alone(authenticate=lambda token: Grant(user="\ud83d"))
    feed(replica)
    socket = replica.handle_connect("127.0.0.1", 0.0)
    replica.handle_message(socket, encode(Hello(version=VERSION, token="x")), 0.0)
    feed(replica)
    assert [output.code for output in outputs(replica) if isinstance(output, Close)] == [CloseCode.INVALID_TOKEN]
    replica.handle_close_room("\ud83d", "\ud83d", 0.0)
    replica.handle_kick("\ud83d", "\ud83d", 0.0)
    feed(replica)
