"""A cut at every single step of an exchange; then a second one at every step of the recovery."""

from __future__ import annotations

import pytest

from adieu.protocol.signaling import PeerAway, PeerBack, PeerLeft
from adieu.signaling.events import Down, Moved, Undelivered, Up
from sim.signaling.world import NEVER, Client, World

SENDS = 6


def meet(world: World) -> tuple[Client, Client]:
    ada, ben = world.client("ada"), world.client("ben")
    world.run(1)
    ada.join()
    ben.join()
    world.run(1)
    return ada, ben


def exchange(world: World, ada: Client, ben: Client) -> list[tuple[int, int, str]]:
    """Both send, a message every 5 ms: some are in flight at any moment."""
    sent: list[tuple[int, int, str]] = []
    for turn in range(SENDS):
        world.at(world.now + turn * 0.005, lambda: sent.append((0, 1, ada.send(ben))))
        world.at(world.now + turn * 0.005, lambda: sent.append((1, 0, ben.send(ada))))
    return sent


def steps_of_an_exchange() -> tuple[int, int]:
    world = World()
    ada, ben = meet(world)
    before = world.steps
    exchange(world, ada, ben)
    world.run(2)
    return before + 1, world.steps


FIRST, LAST = steps_of_an_exchange()


@pytest.mark.parametrize(("client_after", "server_after"), [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.02, NEVER)])
@pytest.mark.parametrize("step", range(FIRST, LAST + 1))
def test_one_cut_loses_and_doubles_nothing(step, client_after, server_after):
    world = World()
    ada, ben = meet(world)
    sent = exchange(world, ada, ben)
    world.on_step = lambda now: (
        world.cut(ada, client_after=client_after, server_after=server_after) if now == step else None
    )
    world.run(20)
    assert [text for _, text in ben.words] == [text for sender, _, text in sent if sender == 0]
    assert [text for _, text in ada.words] == [text for sender, _, text in sent if sender == 1]
    for client in (ada, ben):
        assert not client.got(Undelivered)
        assert not client.got(Moved)
        assert not client.got(PeerLeft)
        assert client.machine.leftovers == {"requests": 0, "messages": 0, "frames": 0}
    assert [up.resumed for up in ada.got(Up)] == [False, True]
    assert len(ada.got(Down)) == 1
    assert len(ben.got(PeerAway)) == len(ben.got(PeerBack))
    assert len(world.hub._state.seats) == 2
    assert world.hub.gauges()["kept_bytes"] == sum(
        m.size for s in world.hub._state.seats.values() for m in s.rooms.values()
    )


def test_a_second_cut_anywhere_in_the_recovery_loses_nothing_in_silence():
    moved = 0
    for first in range(FIRST, LAST + 1, 3):
        for second in range(first + 1, first + 40):
            world = World()
            ada, ben = meet(world)
            exchange(world, ada, ben)
            world.on_step = lambda now, cuts=(first, second), world=world, ada=ada: (
                world.cut(ada, server_after=0.3) if now in cuts else None
            )
            world.run(120)
            world.check_promises()
            moved += len(ada.got(Moved))
            assert set(world.hub._state.seats) == {ada.machine.peer, ben.machine.peer}
    # The one moment that costs a seat is the answer to a resume: its token is spent and the next one is lost.
    assert moved > 0


def test_a_server_that_starts_anew_is_joined_by_itself():
    world = World()
    ada, ben = meet(world)
    old = ada.machine.peer
    world.restart()
    world.run(5)
    assert ada.machine.peer != old
    assert ada.got(Moved) == [Moved(old, ada.machine.peer)]
    assert [up.resumed for up in ada.got(Up)] == [False, False]
    assert ada.machine.rooms == {"lab"}
    sent = [(0, 1, ada.send(ben)), (1, 0, ben.send(ada))]
    world.run(1)
    assert ada.words == [(ben.machine.peer, sent[1][2])]
    assert ben.words == [(ada.machine.peer, sent[0][2])]
