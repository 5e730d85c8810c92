"""Who gets a session in a room, and who gets it again, on virtual time (closing rule S13)."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.protocol import words
from adieu.protocol.signaling import Candidates, Description
from adieu.protocol.words import Moved
from adieu.session import Ladder, Options
from adieu.session.machine import connections
from adieu.session.session import shell_of
from sim.stack.rooms import house, talk, until
from support.virtual import simulated

if TYPE_CHECKING:
    from adieu.protocol.signaling import Peer
    from support.virtual import World

SHORT = Options(recovery=Ladder(ice_restart=1.0, new_connection=2.0, again=3.0, give_up=6.0))


# --- again ------------------------------------------------------------------------------------------------------------


@simulated()
async def test_after_a_long_cut_the_two_get_a_session_again(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1", name="ada", options=SHORT), await made.enter("b1", name="ben", options=SHORT)
        first, there = await asyncio.gather(ada.room.session(), ben.room.session())
        await talk(first, there, "before")
        assert ada.room.unconnected == [] and ben.room.unconnected == []
        world.network.cut("10.0.0.1", True)
        await asyncio.gather(first.wait_closed(), there.wait_closed())
        [lacking] = ada.room.unconnected
        assert (lacking.peer.name, lacking.why) == ("ben", "again")
        assert lacking.again is not None and 0 <= lacking.again <= 1.0
        assert lacking.text == first.receipt.notice
        world.network.cut("10.0.0.1", False)
        second, there = await asyncio.gather(ada.room.session(), ben.room.session())
        await talk(second, there, "after")
        assert second.id != first.id
        assert ada.room.unconnected == [] and ben.room.unconnected == []
        for member in (ada, ben):
            assert member.whys() == ["connecting", "again", "connecting"]
        assert ada.room.sessions == [second]


@simulated()
async def test_tries_come_ever_more_rarely_and_begin_anew_after_a_connection(world: World) -> None:
    async with house(world) as made:
        options = Options(recovery=SHORT.recovery, connect_timeout=1.0)
        ada, ben = await made.enter("a1", options=options), await made.enter("b1", options=options)
        await asyncio.gather(ada.room.session(), ben.room.session())
        began: list[float] = []
        ada.room.on("session", lambda _: began.append(world.now))
        world.network.cut("10.0.0.1", True)
        await until(lambda: len(began) == 8, 400)
        waits = [later - earlier for earlier, later in itertools.pairwise(began)]
        assert waits == sorted(waits)
        assert 2.0 <= waits[0] <= 4.0 and 30.0 <= waits[-1] <= 33.0
        world.network.cut("10.0.0.1", False)
        await asyncio.wait_for(asyncio.gather(ada.room.session(), ben.room.session()), 40)
        world.network.cut("10.0.0.1", True)
        began.clear()
        await until(lambda: len(began) == 2, 60)
        assert began[1] - began[0] <= 4.0


@pytest.mark.parametrize("asker", [0, 1])
@simulated()
async def test_who_asks_is_connected_at_once_and_not_as_planned(world: World, asker: int) -> None:
    async with house(world) as made:
        options = Options(recovery=SHORT.recovery, connect_timeout=1.0)
        rooms = [(await made.enter(peer, options=options)).room for peer in ("a1", "b1")]
        mine, other = rooms[asker], rooms[1 - asker]
        await asyncio.gather(mine.session(), other.session())
        world.network.cut("10.0.0.1", True)
        await asyncio.sleep(200.0)

        def waits_long() -> bool:
            return any((lacking.again or 0.0) > 10.0 for lacking in mine.unconnected)

        await until(waits_long, 100)
        assert not mine.try_again("nobody")
        world.network.cut("10.0.0.1", False)
        assert mine.try_again(other.me)
        assert not mine.try_again(other.me), "it is being tried"
        await asyncio.wait_for(asyncio.gather(mine.session(), other.session()), 2)
        assert not mine.try_again(other.me), "there is a session"


@simulated()
async def test_a_first_try_that_fails_is_not_the_last(world: World) -> None:
    async with house(world) as made:
        world.network.cut("10.0.0.2", True)
        options = Options(connect_timeout=5.0)
        members = [await made.enter(peer, options=options) for peer in ("a1", "b1", "c1", "d1")]
        ada, ben, cy, dora = members
        await asyncio.gather(*(ada.room.session(name) for name in ("c1", "d1")), cy.room.session("d1"))
        await asyncio.sleep(20.0)
        assert [each.peer.peer for each in ada.room.unconnected] == ["b1"]
        assert {each.peer.peer for each in ben.room.unconnected} == {"a1", "c1", "d1"}
        world.network.cut("10.0.0.2", False)
        sessions = await asyncio.wait_for(asyncio.gather(*(ben.room.session() for _ in range(3))), 40)
        assert {session.name for session in sessions} == {"a1", "c1", "d1"}
        for member in members:
            assert member.room.unconnected == []
            assert len(member.room.sessions) == 3
        await talk(await dora.room.session("b1"), next(s for s in sessions if s.name == "d1"), "all here")


@simulated()
async def test_a_connection_that_cannot_be_made_is_tried_again(world: World) -> None:
    async with house(world) as made:
        host = world.host("10.0.0.9")
        fails = 2

        def connect() -> Any:
            nonlocal fails
            if fails:
                fails -= 1
                raise OSError("no sockets left")
            return world.connection(host)

        await made.enter("a1", connect=connect)
        ben = await made.enter("b1")
        await asyncio.wait_for(ben.room.session(), 20)
        assert "again" in ben.whys()
        assert len(world.errors) == 2 and not fails
        world.errors.clear()


@simulated()
async def test_connect_with_a_parameter_gets_the_session_that_the_connection_is_for(world: World) -> None:
    async with house(world) as made:
        host = world.host("10.0.0.9")
        asked: list[adieu.Session] = []

        def connect(session: adieu.Session) -> Any:
            asked.append(session)
            return world.connection(host)

        ada = await made.enter("a1", connect=connect)
        for name in ("b1", "c1"):
            await made.enter(name)
        ben, cy = [await ada.room.session(name) for name in ("b1", "c1")]
        await ben.reset("transport")
        assert asked.count(ben) == 2, "for its first connection and for the reset"
        assert asked.count(cy) == 1
        assert {*asked} == {ben, cy}


@simulated()
@pytest.mark.parametrize("closer", [0, 1])
async def test_an_end_that_somebody_wanted_stays_and_both_are_told(world: World, closer: int) -> None:
    async with house(world) as made:
        members = [await made.enter("a1", options=SHORT), await made.enter("b1", options=SHORT)]
        sessions = await asyncio.gather(*(member.room.session() for member in members))
        await sessions[closer].close("enough")
        await sessions[1 - closer].wait_closed()
        await asyncio.sleep(120)
        for member in members:
            assert len(member.sessions) == 1
            [lacking] = member.room.unconnected
            assert (lacking.why, lacking.again) == ("over", None) and "left" in lacking.text


@simulated()
async def test_the_other_side_does_not_undo_an_end_one_wanted(world: World) -> None:
    """Ben's goodbye is lost with the network, and Ada, who opens, takes it for a fault."""
    async with house(world) as made:
        ada, ben = await made.enter("a1", options=SHORT), await made.enter("b1", options=SHORT)
        here, there = await asyncio.gather(ada.room.session(), ben.room.session())
        world.network.cut("10.0.0.1", True)
        relay, made.server.relay = made.server.relay, lambda *_: None  # type: ignore[method-assign]
        await there.close("enough", timeout=1.0)
        await here.wait_closed()
        made.server.relay = relay  # type: ignore[method-assign]
        world.network.cut("10.0.0.1", False)
        await until(lambda: ada.whys()[-1:] == ["over"], 30)
        await asyncio.sleep(60)
        assert len(ben.sessions) == 1 and len(ada.sessions) == 2
        assert ada.sessions[1].receipt is not None


# --- who is away ------------------------------------------------------------------------------------------------------


@simulated()
@pytest.mark.parametrize("ids", [("a1", "b1"), ("b1", "a1")])
async def test_somebody_who_is_away_gets_no_session_until_it_is_back(world: World, ids: tuple[str, str]) -> None:
    async with house(world) as made:
        ghost = await made.enter(ids[0])
        made.server.lose(ghost.client)
        ada = await made.enter(ids[1])
        await asyncio.sleep(30)
        assert ada.sessions == []
        [lacking] = ada.room.unconnected
        assert lacking.why == "away" and lacking.peer.away
        assert [peer.away for peer in ada.room.peers] == [True]
        made.server.resume(ghost.client)
        here, there = await asyncio.wait_for(asyncio.gather(ada.room.session(), ghost.room.session()), 5)
        await talk(here, there, "back")
        assert [peer.away for peer in ada.room.peers] == [False]


@simulated()
async def test_a_session_is_tried_again_when_the_other_is_back(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1", options=SHORT), await made.enter("b1", options=SHORT)
        here, _ = await asyncio.gather(ada.room.session(), ben.room.session())
        world.network.cut("10.0.0.2", True)
        made.server.lose(ben.client)
        await here.wait_closed()
        await asyncio.sleep(60)
        assert len(ada.sessions) == 1 and ada.whys()[-1] == "away"
        world.network.cut("10.0.0.2", False)
        made.server.resume(ben.client)
        again, there = await asyncio.wait_for(asyncio.gather(ada.room.session(), ben.room.session()), 5)
        await talk(again, there, "back")


@simulated()
@pytest.mark.parametrize("new", ["Z9", "A0"])
async def test_who_comes_back_with_another_seat_gets_a_session_at_once(world: World, new: str) -> None:
    """The other side has given up; this side, which slept, still believes that all is well."""
    async with house(world) as made:
        patient = Options(recovery=Ladder(give_up=600.0))
        ada, ben = await made.enter("M1", options=SHORT), await made.enter("N1", options=patient)
        here, there = await asyncio.gather(ada.room.session(), ben.room.session())
        world.network.cut("10.0.0.2", True)
        made.server.lose(ben.client)
        await here.wait_closed()
        made.server.vacate(ben.client)
        await asyncio.sleep(10)
        world.network.cut("10.0.0.2", False)
        made.server.return_as(ben.client, new)
        again, back = await asyncio.wait_for(asyncio.gather(ada.room.session(), ben.room.session()), 10)
        await talk(again, back, "awake")
        await there.wait_closed()
        assert ada.room.sessions == [again] and ben.room.sessions == [back]


@simulated()
@pytest.mark.parametrize("ids", [("M1", "A0"), ("M1", "Z9")])
async def test_a_session_without_connection_gives_way_to_another_without_a_reset(
    world: World, ids: tuple[str, str]
) -> None:
    """Woken in the middle of a reset whose other side is gone: its twenty seconds are not waited for."""
    async with house(world) as made:
        asleep = Options(heartbeat=600.0, suspect_after=600.0, burst=600.0)
        ada, ben = await made.enter(ids[0], options=SHORT), await made.enter("N1", options=asleep)
        here, there = await asyncio.gather(ada.room.session(), ben.room.session())
        made.server.lose(ben.client)
        world.network.cut("10.0.0.2", True)
        resetting = asyncio.ensure_future(there.reset("full"))
        await here.wait_closed()
        machine = shell_of(there).machine
        connections.release(machine, machine.active)
        made.server.vacate(ben.client)
        world.network.cut("10.0.0.2", False)
        made.server.return_as(ben.client, ids[1])
        again, back = await asyncio.wait_for(asyncio.gather(ada.room.session(), ben.room.session()), 8)
        await talk(again, back, "awake")
        await asyncio.wait({resetting})
        assert isinstance(resetting.exception(), adieu.SessionError)


# --- accept -----------------------------------------------------------------------------------------------------------


@simulated()
@pytest.mark.parametrize("ids", [("a1", "b1"), ("b1", "a1")])
async def test_accept_that_raises_is_a_refusal_that_the_other_side_is_told(world: World, ids: tuple[str, str]) -> None:
    def accept(peer: Peer) -> bool:
        raise KeyError(peer.name)

    async with house(world) as made:
        ada, ben = await made.enter(ids[0], name="ada", accept=accept), await made.enter(ids[1], name="ben")
        await until(lambda: ben.whys()[-1:] == ["over"], 5)
        [error] = world.errors
        assert isinstance(error["exception"], KeyError) and "ben is refused" in error["message"]
        world.errors.clear()
        await asyncio.sleep(100)
        assert ada.sessions == [] and len(ben.sessions) == 1
        assert ben.sessions[0].receipt is not None and ben.sessions[0].receipt.reason.text == "not accepted"
        assert [each.why for each in ada.room.unconnected] == ["refused"]


@simulated()
async def test_accept_that_awaits_what_was_cancelled_is_a_refusal_too(world: World) -> None:
    asked = asyncio.create_task(asyncio.sleep(1000))

    async def accept(peer: Peer) -> bool:
        del peer
        await asked
        return True

    async with house(world) as made:
        ada, ben = await made.enter("a1", accept=accept), await made.enter("b1")
        await asyncio.sleep(1)
        asked.cancel()
        await until(lambda: ben.whys()[-1:] == ["over"], 5)
        [error] = world.errors
        assert isinstance(error["exception"], asyncio.CancelledError)
        world.errors.clear()
        assert [each.why for each in ada.room.unconnected] == ["refused"]


@simulated()
@pytest.mark.parametrize("ids", [("a1", "b1"), ("b1", "a1")])
async def test_somebody_who_is_accepted_after_a_long_thought_gets_in(world: World, ids: tuple[str, str]) -> None:
    decided = asyncio.Event()

    async def accept(peer: Peer) -> bool:
        del peer
        await decided.wait()
        return True

    async with house(world) as made:
        ada, ben = await made.enter(ids[0], accept=accept), await made.enter(ids[1])
        await asyncio.sleep(300)
        assert [each.why for each in ada.room.unconnected] == ["considered"]
        assert ada.sessions == []
        decided.set()
        here, there = await asyncio.wait_for(asyncio.gather(ada.room.session(), ben.room.session()), 100)
        await talk(here, there, "at last")


# --- moved ------------------------------------------------------------------------------------------------------------


@simulated()
async def test_a_session_goes_on_after_the_server_was_started_anew(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1"), await made.enter("b1")
        here, there = await asyncio.gather(ada.room.session(), ben.room.session())
        made.server.restart("x1", "y1")
        await until(lambda: (shell_of(here).peer_now, shell_of(there).peer_now) == ("y1", "x1"), 5)
        await asyncio.sleep(60)
        assert len(ada.sessions) == len(ben.sessions) == 1
        assert ada.room.unconnected == ben.room.unconnected == []
        assert (await here.reset()).epoch == 2  # by way of the new server
        await talk(here, there, "after")
        # The next one of the two has a number of its own again.
        await there.close()


@simulated()
async def test_one_seat_alone_may_be_lost(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1"), await made.enter("b1")
        here, there = await asyncio.gather(ada.room.session(), ben.room.session())
        made.server.lose(ben.client)
        await asyncio.sleep(30)
        made.server.vacate(ben.client)
        await asyncio.sleep(5)
        made.server.return_as(ben.client, "z1")
        await until(lambda: shell_of(here).peer_now == "z1", 5)
        await asyncio.sleep(60)
        assert ada.room.sessions == [here] and ben.room.sessions == [there]
        assert len(ada.sessions) == len(ben.sessions) == 1
        await talk(here, there, "after")


@simulated()
@pytest.mark.parametrize("old", [0, 1])
async def test_the_version_before_gets_no_second_session_when_it_moved(world: World, old: int) -> None:
    async with house(world) as made:
        members = [await made.enter("a1", old=old == 0), await made.enter("b1", old=old == 1)]
        here, there = await asyncio.gather(*(member.room.session() for member in members))
        made.server.restart("x1", "y1")
        await asyncio.sleep(60)
        assert [len(member.sessions) for member in members] == [1, 1]
        assert (await here.reset()).epoch == 2
        await talk(here, there, "after")
        assert (await there.reset()).epoch == 3


class Attack:
    """A room with a session to a hostile peer, and a victim that is about to come in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.thought = 1.5

    async def accept(self, peer: Peer) -> bool:
        if peer.name == "victim":
            await asyncio.sleep(self.thought)
        return True


@simulated()
@pytest.mark.parametrize("victim", ["c1", "0c"])
@pytest.mark.parametrize("way", ["in-band", "signaling", "both", "left", "late"])
async def test_nobody_takes_the_place_of_somebody_else_by_a_word(world: World, way: str, victim: str) -> None:
    attack = Attack(world)
    async with house(world) as made:
        ada, eve = await made.enter("a1", accept=attack.accept), await made.enter("b1")
        mine, hers = await asyncio.gather(ada.room.session(), eve.room.session())

        def claim() -> None:
            if way != "signaling":
                shell_of(hers).say_moved(victim)
            if way != "in-band":
                eve.client.send(Moved(session=hers.id, to="a1", peer=victim))

        if way == "left":
            made.server.vacate(eve.client)
        guest = await made.enter(victim, name="victim")
        if way == "late":
            await guest.room.session("a1")
        claim()
        claim()
        got = await asyncio.wait_for(guest.room.session("a1") if way != "late" else ada.room.session("victim"), 8)
        assert got.state == "open"
        assert shell_of(mine).peer_now == "b1" and mine.state == "open"
        [there] = [session for session in ada.room.sessions if shell_of(session).peer_now == victim]
        assert there is not mine
        await talk(there, next(s for s in guest.room.sessions if s.name == "a1"), "mine")


@simulated()
@pytest.mark.parametrize("stage", ["there", "considered", "together"])
async def test_not_even_two_together_take_a_place_that_is_not_theirs(world: World, stage: str) -> None:
    """A newcomer says by signaling that it is the other side of somebody's session, and that one says so in-band."""
    attack = Attack(world)
    async with house(world) as made:
        ada, eve = await made.enter("a1", accept=attack.accept), await made.enter("b1")
        mine, hers = await asyncio.gather(ada.room.session(), eve.room.session())
        if stage != "there":
            made.server.vacate(eve.client)
        guest = await made.enter("c1", name="victim")
        if stage == "together":
            await guest.room.session("a1")
        elif stage == "considered":
            await until(lambda: [each.why for each in ada.room.unconnected] == ["considered"], 5)
        shell_of(hers).say_moved("c1")
        guest.client.send(Moved(session=hers.id, to="a1", peer="c1"))
        await asyncio.sleep(0.5)
        assert shell_of(mine).peer_now == "b1"


@simulated()
async def test_the_word_of_another_ends_no_session_that_answers(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("b1"), await made.enter("a1")
        here, there = await asyncio.gather(ada.room.session(), ben.room.session())
        second = ada.room._pair("a1")
        coming = next(iter_ids(second, "b1"))
        await asyncio.sleep(1)  # the next might begin now
        for _ in range(3):
            ben.client.send(Description(session=coming, to="b1", epoch=1, sdp_type="offer", sdp="v=0\r\n"))
            ben.client.send(Candidates(session=coming, to="b1", epoch=1, candidates=[]))
        await asyncio.sleep(30)
        assert ada.room.sessions == [here] and here.state == "open"
        assert second.early is None
        await talk(here, there, "still")


def iter_ids(pair: Any, me: str) -> Any:
    pair.number("lab", me, "")
    return iter(pair._ids)


@simulated()
async def test_the_other_side_cannot_begin_sessions_without_a_pause(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("b1"), await made.enter("a1")
        here, there = await asyncio.gather(ada.room.session(), ben.room.session())
        ben.client.send(
            words.Closed(
                session=here.id, to="b1", receipt=shell_of(here).machine.receipt, closer="network",
                reason=words.Reason("gave-up"), channels={},
            )
        )  # fmt: skip
        await here.wait_closed()
        made.server.relay, relay = lambda *_: None, made.server.relay  # type: ignore[method-assign]
        pair = ada.room._pair("a1")
        for _ in range(20):
            pair.number("lab", "b1", "")
            coming = next(iter(pair._ids))
            relay("a1", Description(session=coming, to="b1", epoch=1, sdp_type="offer", sdp="v=0\r\n"))
            await asyncio.sleep(0.02)
        assert len(ada.sessions) <= 3
        made.server.relay = relay  # type: ignore[method-assign]
        del there
