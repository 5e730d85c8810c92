"""Counters and gauges of the server hub for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from adieu.server.hub import Hub

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _HubCollector:
    """Reads the hub when Prometheus asks."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """Yield a gauge for each type of thing that is held, and a counter for each type of event."""
        for name, value in self._hub.gauges().items():
            yield GaugeMetricFamily(f"adieu_{name}", f"Signaling: {name.replace('_', ' ')} held now.", value=value)
        events = CounterMetricFamily("adieu_events", "Signaling: events by kind.", labels=["kind"])
        for kind, count in sorted(self._hub.counters.items()):
            events.add_metric([kind], count)
        yield events


class Metrics:
    """The text for `/metrics`. Each server has its own registry, so that several in a process do not collide."""

    def __init__(self, hub: Hub) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_HubCollector(hub))

    def text(self) -> bytes:
        """Return the metrics in Prometheus' format."""
        return generate_latest(self._registry)
