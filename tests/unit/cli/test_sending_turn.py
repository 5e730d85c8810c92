"""The ICE servers of `adieu send` and `adieu receive`: their credentials expire while a sending lasts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.cli.sending import proof, receiver, sender, tries
from adieu.session.ice_servers import IceServers
from support.virtual import World, simulated
from unit.cli.test_sending import CODE, Heard

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
SECONDS = 45


class FakeRoom:
    """A room to which nobody comes. Each answer about ICE servers is another one, and valid for `SECONDS`."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.client = self
        self.asked = 0
        self.peers: list[Any] = []
        self._seconds = seconds

    async def ice_servers(self) -> tuple[list[dict[str, Any]], float]:
        self.asked += 1
        return [{"urls": "turn:192.0.2.1", "username": f"{self.asked}", "credential": "x"}], self._seconds

    async def session(self) -> None:
        await asyncio.Event().wait()


def username(servers: Any) -> int:
    return int(servers[0]["username"])


async def is_renewed(side: Any, accept: Any, room: FakeRoom, role: str, *sessions: Any) -> None:
    """Check that a connection late in the sending gets newer servers, and that nothing is asked for after the end."""
    running = asyncio.create_task(side.run(room))
    assert await accept(SimpleNamespace(peer="x", meta={sender.ROLE: role}))
    first = username(side.connect(*sessions))
    await asyncio.sleep(SECONDS)
    assert username(side.connect(*sessions)) > first
    running.cancel()
    await asyncio.wait({running})
    asked = room.asked
    await asyncio.sleep(10 * SECONDS)
    assert room.asked == asked


@simulated()
async def test_a_receiver_asks_for_ice_servers_again_before_they_expire(world: World, tmp_path: Path) -> None:
    pin: Any = SimpleNamespace(connection=lambda servers: servers, open=[], clear=lambda: None)
    display: Any = Heard()
    one = receiver.Receiver(tmp_path, CODE, pin, display)
    await is_renewed(one, one.accept, FakeRoom(), "sender")


@simulated()
async def test_a_sender_asks_for_ice_servers_again_before_they_expire(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof.Pin, "connection", lambda _, servers: servers)
    certificate: Any = SimpleNamespace(getFingerprints=lambda: [SimpleNamespace(value="aa")])
    known = proof.Secrets(CODE, None, tries.Tries(3))
    given: Any = (None, known, certificate, Heard(), None, None)
    one = sender.Sender(*given)
    await is_renewed(one, one.gate, FakeRoom(), "receiver", SimpleNamespace(id="s"))


async def test_open_connections_get_the_new_ice_servers_too() -> None:
    pin = proof.Pin(await adieu.RTCPeerConnection.generateCertificate())
    pc, closed = pin.connection([]), pin.connection([])
    closed.close()
    assert pin.open == [pc]
    room: Any = FakeRoom(0)
    await IceServers(room).renew(lambda: pin.open)
    (server,) = pc.getConfiguration().iceServers
    assert server.username == "1"
    assert list(pc.getConfiguration().certificates) == [pin.certificate]
    for each in (pc, closed):
        each.close()
        await each.wait_closed()
