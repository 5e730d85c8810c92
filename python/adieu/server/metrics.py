"""The hub's counters and gauges for Prometheus."""

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
    """Asks the hub when Prometheus asks."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """One gauge for each kind of thing that is held, one counter for each kind of event."""
        for name, value in self._hub.gauges().items():
            yield GaugeMetricFamily(f"adieu_{name}", f"Signaling: {name.replace('_', ' ')} held now.", value=value)
        events = CounterMetricFamily("adieu_events", "Signaling: what has happened, by kind.", labels=["kind"])
        for kind, count in sorted(self._hub.counters.items()):
            events.add_metric([kind], count)
        yield events


class Metrics:
    """The text for `/metrics`; a registry of its own, so that several servers in a process do not meet."""

    def __init__(self, hub: Hub) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_HubCollector(hub))

    def text(self) -> bytes:
        """In Prometheus' format."""
        return generate_latest(self._registry)
