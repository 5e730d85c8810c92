"""TCP candidates (RFC 6544): adieu listens, and the others connect where no UDP comes through."""

from __future__ import annotations

import os
import subprocess
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from conftest import missing
from e2e.lab.namespace import INSIDE
from e2e.lab.peer import connect
from interop.support import MARKS, each_offerer

if TYPE_CHECKING:
    from collections.abc import Iterator

BIG = 256 * 1024


@contextmanager
def without_udp() -> Iterator[None]:
    """Drop all UDP, in this run's own network."""
    if not os.environ.get(INSIDE):
        missing("a network of its own", "run by tests/e2e/lab/namespace.py")
    tools = ("iptables", "ip6tables")
    for tool in tools:
        subprocess.run([tool, "-I", "INPUT", "-p", "udp", "-j", "DROP"], check=True)
    try:
        yield
    finally:
        for tool in tools:
            subprocess.run([tool, "-D", "INPUT", "-p", "udp", "-j", "DROP"], check=True)


async def talk(us: Any, them: Any) -> None:
    for sender, receiver in ((us, them), (them, us)):
        for data in ("hello over TCP", bytes(range(256)) * (BIG // 256)):
            assert await sender.send("chat", data) == await receiver.message("chat")


@pytest.mark.parametrize(
    "other", [pytest.param(name, marks=MARKS[name]) for name in ("chromium", "firefox")] + ["adieu"]
)
@each_offerer
async def test_the_others_connect_to_our_tcp_port(lab: Any, other: str, adieu_offers: bool) -> None:
    with without_udp():
        async with AsyncExitStack() as stack:
            them, us = [await stack.enter_async_context(lab.peer(name)) for name in (other, "adieu")]
            await us.call("new", settings={"tcpPort": 0})
            await them.call("new")
            first, second = (us, them) if adieu_offers else (them, us)
            await first.call("channel", label="chat")
            await connect(first, second)
            for peer in (us, them):
                await peer.expect("open", label="chat")
            await talk(us, them)
            stats = await us.pc.getStats()
            (pair,) = [one for one in stats.values() if one["type"] == "candidate-pair" and one["nominated"]]
            local, remote = stats[pair["localCandidateId"]], stats[pair["remoteCandidateId"]]
            assert (local["protocol"], local["tcpType"], remote["protocol"]) == ("tcp", "passive", "tcp")
            await first.call("restart")
            await connect(first, second)
            await talk(us, them)
            await us.call("close")
            await them.expect("close", label="chat")
