"""Spans of sessions for OpenTelemetry, over real engines on virtual time."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

import adieu.tracing
from conftest import missing
from sim.stack.pair import connected
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.virtual import World


@pytest.fixture
def finished() -> Iterator[Any]:
    """The function that gives the spans that have ended."""
    if importlib.util.find_spec("opentelemetry") is None:
        missing("opentelemetry-sdk", "make")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = adieu.tracing.install(provider)
    yield exporter.get_finished_spans
    adieu.tracing.uninstall(traces)


@simulated()
async def test_a_session_is_a_span_with_its_receipt(world: World, finished: Any) -> None:
    async with connected(world) as pair:
        chat = await pair.first.open("chat")
        other = await pair.second.open("chat")
        await chat.send("hello")
        await other.receive()
        await pair.first.reset("transport")
        receipt = await pair.first.close("done")
        await pair.second.wait_closed()
    spans = [span for span in finished() if span.name == "adieu.session"]
    assert len(spans) == 2
    [mine] = [span for span in spans if span.attributes["adieu.receipt.by"] == "local"]
    assert mine.attributes["adieu.receipt.id"] == receipt.id
    assert mine.attributes["adieu.receipt.path"] == "graceful"
    assert mine.attributes["adieu.receipt.clean"] is True
    assert mine.attributes["adieu.messages.delivered"] == 1
    assert mine.status.is_ok or mine.status.status_code.name == "UNSET"
    below = [span for span in finished() if span.parent is not None and span.parent.span_id == mine.context.span_id]
    assert sorted(span.name for span in below) == ["adieu.close", "adieu.connect", "adieu.reset"]
    [reset] = [span for span in below if span.name == "adieu.reset"]
    assert reset.attributes["adieu.reset.level"] == "transport"
    states = [event.name for event in mine.events]
    assert states[:1] == ["open"] and "resetting" in states and states[-1] == "closed"


@simulated(limit=200)
async def test_an_end_that_nobody_wanted_is_an_error(world: World, finished: Any) -> None:
    async with connected(world) as pair:
        pair.cut()
        receipt = await pair.first.wait_closed()
        await pair.second.wait_closed()
    for span in finished():
        if span.name == "adieu.session":
            assert span.status.status_code.name == "ERROR", (span.attributes, receipt)
            assert span.attributes["adieu.receipt.cause"] == receipt.cause
    assert sum(span.name == "adieu.session" for span in finished()) == 2
