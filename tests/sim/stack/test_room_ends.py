"""How a room ends, what it keeps until then, and what it does with a connection that is being closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.session import room as rooms
from adieu.signaling import RoomLost, memory_signaling
from sim.stack.rooms import house, until
from support.virtual import simulated

if TYPE_CHECKING:
    from support.virtual import World


@pytest.mark.parametrize("code", ["room-full", "denied", "limit"])
@simulated()
async def test_a_room_that_the_server_does_not_let_in_again_is_over(world: World, code: str) -> None:
    """The server was started anew, or the room is no longer in the token."""
    async with house(world) as made:
        ada, ben = await made.enter("a1", name="ada"), await made.enter("b1", name="ben")
        session, _ = await asyncio.gather(ada.room.session(), ben.room.session())
        waits = asyncio.create_task(ada.room.session())
        told: list[Any] = []
        ada.room.on("signaling", told.append)
        ada.client.hear(RoomLost("lab", code, "16 peers are in it, which is the most"))
        with pytest.raises(adieu.SignalingLostError, match="16 peers are in it"):
            await asyncio.wait_for(waits, 1.0)
        with pytest.raises(adieu.SignalingLostError, match="16 peers are in it"):
            await asyncio.wait_for(ada.room.session(), 1.0)
        assert [type(event) for event in told] == [RoomLost]
        assert session.state == "open", "its connection needs no room"


@simulated()
async def test_sessions_that_nobody_takes_are_forgotten_after_their_end(world: World) -> None:
    """A program that has a handler for sessions never asks for the next one."""
    async with house(world) as made:
        ada, ben = await made.enter("a1", name="ada"), await made.enter("b1", name="ben")
        await until(lambda: ada.sessions and ada.sessions[0].state == "open", 5.0)
        await ben.room.close()
        await ada.sessions[0].wait_closed()
        late = await asyncio.wait_for(ada.room.session(), 1.0)
        assert late.receipt is not None, "a moment later it is still handed out"
        other = await made.enter("c1", name="cleo")
        await until(lambda: len(ada.sessions) == 2 and ada.sessions[1].state == "open", 5.0)
        await other.room.close()
        await asyncio.sleep(rooms.REMEMBER + 10.0)
        assert ada.room._arrivals == []


@simulated()
async def test_a_connection_that_is_being_closed_does_not_end_the_renewal_of_servers(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1", name="ada"), await made.enter("b1", name="ben")
        session, _ = await asyncio.gather(ada.room.session(), ben.room.session())
        asked: list[float] = []

        async def ice_servers() -> tuple[list[Any], float]:
            asked.append(world.now)
            return [{"urls": f"stun:10.0.0.9:{len(asked)}"}], 30.0

        ada.client.ice_servers = ice_servers  # type: ignore[method-assign]
        assert session.pc is not None
        connections = [session.pc, world.connection(world.host())]
        connections[0].close()
        renewal = asyncio.create_task(ada.room._ice.renew(lambda: connections))
        await asyncio.sleep(50.0)
        renewal.cancel()
        assert len(asked) == 3, "at 0, 20 and 40 s"
        [server] = connections[1].getConfiguration().iceServers
        assert list(server.urls) == ["stun:10.0.0.9:3"]
        connections[1].close()


@simulated()
async def test_servers_that_there_cannot_be_are_reported_and_asked_for_again(world: World) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1", name="ada"), await made.enter("b1", name="ben")
        session, _ = await asyncio.gather(ada.room.session(), ben.room.session())
        answers = iter([([{"urls": "turn:a?transport=smoke"}], 30.0), ([{"urls": "stun:10.0.0.9:3"}], 0.0)])
        reported: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))

        async def ice_servers() -> tuple[list[Any], float]:
            return next(answers)

        ada.client.ice_servers = ice_servers  # type: ignore[method-assign]
        assert session.pc is not None
        open_connections = [session.pc]
        await asyncio.wait_for(ada.room._ice.renew(lambda: open_connections), 60.0)
        assert reported == ["the ICE servers that the signaling server names cannot be used"]
        assert session.pc.getConfiguration().iceServers != []


@pytest.mark.parametrize("given", [{"timeout": -1.0}, {"timeout": float("nan")}, {"timeout": float("inf")}])
@simulated()
async def test_a_wrong_timeout_closes_no_room(world: World, given: dict[str, Any]) -> None:
    async with house(world) as made:
        ada, ben = await made.enter("a1", name="ada"), await made.enter("b1", name="ben")
        session, _ = await asyncio.gather(ada.room.session(), ben.room.session())
        for close in (ada.room.close, ada.room.close_for_all):
            with pytest.raises(ValueError, match="timeout must be 0 or more seconds, not"):
                await close(**given)
        assert session.state == "open" and ada.room.over is None


@simulated()
async def test_a_peer_that_says_no_hello_has_an_error_of_its_own(world: World) -> None:
    """It speaks the W3C's protocols and not adieu's."""
    one, two = world.hosts()
    mine, theirs = memory_signaling()
    plain = world.connection(two)

    async def answer() -> None:
        while True:
            message = await theirs.receive()
            if message["type"] == "description":
                await plain.setRemoteDescription({"type": message["sdpType"], "sdp": message["sdp"]})
                await plain.setLocalDescription()
                await plain.gathered()
                said = {"type": "description", "epoch": message["epoch"], "session": message["session"]}
                await theirs.send({**said, "sdpType": "answer", "sdp": plain.localDescription.sdp})
            elif message["type"] == "candidates":
                for candidate in message["candidates"]:
                    await plain.addIceCandidate(candidate)

    answers = asyncio.create_task(answer())
    session = adieu.Session(connect=lambda: world.connection(one), signaling=mine, role="first")
    session.start()
    with pytest.raises(adieu.NotAdieuPeerError) as raised:
        await asyncio.wait_for(session.wait_open(), 60.0)
    assert isinstance(raised.value, adieu.SessionClosedError)
    assert raised.value.receipt is session.receipt and session.receipt is not None
    assert session.receipt.cause == "protocol-error"
    answers.cancel()
    plain.close()
    await session.end()
