"""Counters, gauges and histograms of the server for Prometheus."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily

import adieu
from adieu.server.bridge import TIMINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from adieu.server.bridge import Bridge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _HubCollector:
    """Reads the bridge and its hub when Prometheus asks."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Yield a gauge for each type of thing that is held, a counter of events by kind, and the histograms."""
        hub = self._bridge.hub
        for name, value in hub.gauges().items():
            yield GaugeMetricFamily(f"adieu_{name}", f"Signaling: {name.replace('_', ' ')} held now.", value=value)
        events = CounterMetricFamily("adieu_events", "Signaling: events by kind.", labels=["kind"])
        for kind, count in sorted(hub.counters.items()):
            events.add_metric([kind], count)
        yield events
        text = "Signaling: time from the beginning of a WebSocket to its first room."
        yield HistogramMetricFamily("adieu_join_seconds", text, hub.joining.buckets(), hub.joining.sum)
        for name, histogram in self._bridge.timings.items():
            yield HistogramMetricFamily(f"adieu_{name}", TIMINGS[name][0], histogram.buckets(), histogram.sum)
        build = {"version": adieu.__version__, "python": platform.python_version()}
        yield InfoMetricFamily("adieu_build", "The version of adieu that runs, and of its Python.", build)


class Metrics:
    """The text for `/metrics`. Each server has its own registry, so that several in a process do not collide."""

    def __init__(self, bridge: Bridge) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_HubCollector(bridge))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' format."""
        return generate_latest(self._registry)
