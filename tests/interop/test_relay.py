"""Relayed candidates alone on both ends, over a real coturn: adieu with the browsers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab.turn import turn_server
from e2e.turn.pairs import HOST
from interop.support import MARKS, each_offerer, join

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 262144


@pytest.mark.parametrize("other", [pytest.param(name, marks=MARKS[name]) for name in ("chromium", "firefox")])
@each_offerer
async def test_messages_of_256_kib_pass_both_ways_and_all_is_released_at_the_close(
    lab: Any, other: str, adieu_offers: bool, tmp_path: Path
) -> None:
    with turn_server(tmp_path, HOST) as turn:
        async with lab.peer(other) as them, lab.peer("adieu") as us:
            for peer in (us, them):
                configuration = {"iceServers": [turn.server()], "iceTransportPolicy": "relay"}
                await peer.call("new", configuration=configuration)
            await (us if adieu_offers else them).call("channel", label="chat")
            await join(us, them, adieu_offers=adieu_offers)
            await us.expect("open", label="chat")
            await them.expect("open", label="chat")
            assert len(turn.allocations()[1]) >= 2
            for sender, receiver in ((us, them), (them, us)):
                sent = [await sender.send("chat", data) for data in ("grüß dich", bytes(range(256)) * (SIZE // 256))]
                assert [await receiver.message("chat") for _ in sent] == sent
            await us.call("close")
            await them.call("close")
            # Each browser has one allocation for each of its addresses.
            await asyncio.to_thread(turn.wait_for, 2, 0, 5)
