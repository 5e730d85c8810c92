"""The numbers of all sessions for Prometheus, over real engines on virtual time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import adieu.metrics
from adieu.session import observers
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.virtual import World


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    metrics = adieu.metrics.install(registry)
    yield registry
    adieu.metrics.uninstall(metrics, registry)
    assert not generate_latest(registry)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, generate_latest(registry).decode()
    return found


@simulated()
async def test_sessions_messages_and_ends_are_counted(world: World, registry: CollectorRegistry) -> None:
    world.network.link(delay=0.02)
    async with connected(world) as pair:
        assert value(registry, "adieu_sessions", state="open") == 2
        assert value(registry, "adieu_sessions_started_total") == 2
        for name in ("one", "two"):
            here, there = await asyncio.gather(pair.first.open(name), pair.second.open(name))
            for _ in range(10):
                await here.send(b"x" * 100)
            for _ in range(10):
                await there.receive()
            await here.close()
        here, there = await asyncio.gather(pair.first.open("three"), pair.second.open("three"))
        sent = await here.send("hello")
        assert await there.receive() == "hello"
        await sent.delivered()
        for name in ("sent", "delivered", "taken"):
            assert value(registry, "adieu_session_messages_total", direction=name) == 21, "closed channels count too"
            assert value(registry, "adieu_session_bytes_total", direction=name) == 2005
        assert value(registry, "adieu_session_connect_seconds_count") == 2
        assert 0.04 < value(registry, "adieu_session_connect_seconds_sum") < 10
        await pair.first.reset("transport")
        assert value(registry, "adieu_session_resets_total", level="transport", result="done") == 2
        assert value(registry, "adieu_session_reset_seconds_count", level="transport") == 2
        await pair.first.close("done")
        await pair.second.wait_closed()
    assert value(registry, "adieu_sessions_ended_total", path="graceful", cause="left") == 2
    assert value(registry, "adieu_sessions", state="open") == 0
    assert value(registry, "adieu_session_messages_total", direction="delivered") == 21, "those of ended sessions stay"
    assert value(registry, "adieu_session_messages_lost_total", kind="unknown") == 0
    assert value(registry, "adieu_session_close_seconds_count") == 2
    info = {"version": adieu.__version__, "python": sys.version.split()[0]}
    assert value(registry, "adieu_build_info", **info) == 1


@simulated(limit=200)
async def test_a_lost_network_and_its_lost_messages_are_counted(world: World, registry: CollectorRegistry) -> None:
    async with connected(world) as pair:
        here, _ = await asyncio.gather(pair.first.open("data"), pair.second.open("data"))
        pair.cut()
        for _ in range(3):
            await here.send("lost")
        receipt = await pair.first.wait_closed()
        await pair.second.wait_closed()
        lost = receipt.channels["data"].sent
        assert value(registry, "adieu_session_suspicions_total", cause=receipt.cause) >= 1
        kinds = {"unsent": lost.unsent, "unknown": lost.unknown}
        assert sum(total.messages for total in kinds.values() if total is not None) == 3
        for kind, total in kinds.items():
            assert total is not None
            assert value(registry, "adieu_session_messages_lost_total", kind=kind) == total.messages
        assert value(registry, "adieu_sessions_ended_total", path="abrupt", cause=receipt.cause) >= 1


@simulated()
async def test_an_observer_that_fails_disturbs_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(f"no {name}")

    broken = Broken()
    observers.observe(broken)  # type: ignore[arg-type]
    try:
        async with connected(world) as pair:
            await pair.first.close("done")
    finally:
        observers.unobserve(broken)  # type: ignore[arg-type]
    assert "an observer of sessions failed" in caplog.text


def test_a_cause_that_a_peer_has_made_up_is_no_label() -> None:
    assert adieu.metrics._known("left") == "left"
    assert adieu.metrics._known("frozen, network-lost") == "frozen, network-lost"
    assert adieu.metrics._known("x" * 50) == "other"
    assert adieu.metrics._known("") == "other"


@pytest.mark.parametrize(
    ("module", "call", "extra"), [("metrics", "", "metrics"), ("tracing", "adieu.tracing.install()", "tracing")]
)
def test_without_its_package_it_says_what_to_install(module: str, call: str, extra: str) -> None:
    absent = "import sys; sys.modules['prometheus_client'] = sys.modules['opentelemetry.trace'] = None"
    code = f"{absent}\nimport adieu.{module}\n{call}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"pip install 'adieu[{extra}]'" in ran.stderr
