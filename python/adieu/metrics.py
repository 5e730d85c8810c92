"""Numbers of all sessions of this program for Prometheus.

```py
import adieu.metrics
import prometheus_client

adieu.metrics.install()
prometheus_client.start_http_server(9100)
```

It needs the package `prometheus-client`: `pip install 'adieu[metrics]'`.
"""

from __future__ import annotations

import asyncio
import platform
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, get_args
from weakref import WeakKeyDictionary

import adieu
from adieu.histogram import Histogram
from adieu.session.machine.actions import StateName
from adieu.session.machine.cause import CAUSES
from adieu.session.observers import observe, unobserve

try:
    from prometheus_client import REGISTRY
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
except ImportError:
    raise ImportError("adieu.metrics needs one package more: pip install 'adieu[metrics]'") from None

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry, Metric

    from adieu.session.events import ResetEvent, StateEvent
    from adieu.session.observers import Observed, Traffic
    from adieu.session.receipt import CloseReceipt

__all__ = ["SessionMetrics", "install", "uninstall"]

KNOWN = frozenset(CAUSES)
DIRECTIONS = ("sent", "delivered", "taken")


class _Life:
    """One session that has not ended.

    Attributes:
        began: the time of its loop.
        is_open: it has been open.
    """

    __slots__ = ("began", "is_open", "most")

    def __init__(self, began: float) -> None:
        self.began = began
        self.is_open = False
        self.most = [(0, 0)] * len(DIRECTIONS)
        """Messages and bytes in each direction that were seen; a counter never goes back."""

    def look(self, traffic: Traffic) -> list[tuple[int, int]]:
        """Return messages and bytes in each direction; no number is smaller than before."""
        seen = [(total.messages, total.bytes) for total in traffic]
        self.most = [(max(a[0], b[0]), max(a[1], b[1])) for a, b in zip(self.most, seen, strict=True)]
        return self.most


class SessionMetrics:
    """A collector for a registry of prometheus_client, and an observer of all sessions. `install` makes one.

    Thread safety: `collect` may run in any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lives: WeakKeyDictionary[Observed, _Life] = WeakKeyDictionary()
        self._started = 0
        self._ended: Counter[tuple[str, str]] = Counter()
        self._resets: Counter[tuple[str, str]] = Counter()
        self._suspicions: Counter[str] = Counter()
        self._lost: Counter[str] = Counter(unsent=0, unknown=0)
        self._past = [(0, 0)] * len(DIRECTIONS)
        self._connecting = Histogram()
        self._closing = Histogram()
        self._resetting: dict[str, Histogram] = {}

    # --- as an observer -----------

    def began(self, session: Observed) -> None:
        """Count a session."""
        with self._lock:
            self._started += 1
            self._lives[session] = _Life(asyncio.get_running_loop().time())

    def changed(self, session: Observed, event: StateEvent) -> None:
        """Count suspicions, and measure the time until the session is open."""
        with self._lock:
            life = self._lives.get(session)
            if event.state == "open" and life is not None and not life.is_open:
                life.is_open = True
                self._connecting.add(asyncio.get_running_loop().time() - life.began)
            if event.state == "suspect" and event.previous != "suspect":
                self._suspicions[_known(event.cause)] += 1

    def reset(self, session: Observed, event: ResetEvent) -> None:
        """Count a reset that has ended."""
        del session
        with self._lock:
            if event.report is not None:
                self._resetting.setdefault(event.level, Histogram()).add(event.report.duration)
                self._resets[event.level, "done"] += 1
            elif event.error is not None:
                self._resets[event.level, "failed"] += 1

    def ended(self, session: Observed, receipt: CloseReceipt) -> None:
        """Count an end, and the messages that it lost."""
        with self._lock:
            life = self._lives.pop(session, None)
            if life is not None:
                self._past = _added(self._past, life.look(session.traffic()))
            self._ended[receipt.path, _known(receipt.cause)] += 1
            if receipt.steps:
                last = receipt.steps[-1]
                self._closing.add(last.start + last.duration - receipt.steps[0].start)
            for channel in receipt.channels.values():
                for kind, total in (("unsent", channel.sent.unsent), ("unknown", channel.sent.unknown)):
                    self._lost[kind] += total.messages if total is not None and channel.reliable else 0

    # --- as a collector -----------

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, as prometheus_client asks."""
        with self._lock:
            yield from list(self._metrics())

    def _metrics(self) -> Iterator[Metric]:
        lives = list(self._lives.items())
        states = Counter(session.state for session, _ in lives)
        yield _gauge(
            "adieu_sessions", "Sessions by state.", "state", {name: states[name] for name in get_args(StateName)}
        )
        yield CounterMetricFamily("adieu_sessions_started", "Sessions that began.", value=self._started)
        text = "Sessions that ended, by the path of the close and the cause."
        yield _counter("adieu_sessions_ended", text, ("path", "cause"), self._ended)
        text = "Resets that ended, by level and result."
        yield _counter("adieu_session_resets", text, ("level", "result"), self._resets)
        text = "Times that the other side was not heard, by cause."
        yield _counter(
            "adieu_session_suspicions", text, ("cause",), {(cause,): n for cause, n in self._suspicions.items()}
        )
        text = "Messages of reliable channels that ended sessions left unsent, or of which nobody knows."
        yield _counter("adieu_session_messages_lost", text, ("kind",), {(kind,): n for kind, n in self._lost.items()})
        now = self._past
        for session, life in lives:
            now = _added(now, life.look(session.traffic()))
        for place, (unit, text) in enumerate((("messages", "Messages"), ("bytes", "Payload bytes"))):
            counts = {(name,): now[number][place] for number, name in enumerate(DIRECTIONS)}
            whole = f"{text} of session channels: sent, delivered to the other program, and taken here."
            yield _counter(f"adieu_session_{unit}", whole, ("direction",), counts)
        yield _histogram("adieu_session_connect_seconds", "Time until a session is open.", self._connecting)
        yield _histogram("adieu_session_close_seconds", "Time that a close took.", self._closing)
        resets = HistogramMetricFamily(
            "adieu_session_reset_seconds", "Time that a reset took, by level.", labels=["level"]
        )
        for level, histogram in sorted(self._resetting.items()):
            resets.add_metric([level], histogram.buckets(), histogram.sum)
        yield resets
        build = {"version": adieu.__version__, "python": platform.python_version()}
        yield InfoMetricFamily("adieu_build", "The version of adieu that runs, and of its Python.", build)


def install(registry: CollectorRegistry | None = None) -> SessionMetrics:
    """Count all sessions from now on, and register the numbers.

    Args:
        registry: of prometheus_client; None: its own one, which `start_http_server` shows.

    Returns:
        The collector, for `uninstall`.

    Raises:
        ValueError: the registry has these numbers already.
    """
    metrics = SessionMetrics()
    (REGISTRY if registry is None else registry).register(_typed(metrics))
    observe(metrics)
    return metrics


def uninstall(metrics: SessionMetrics, registry: CollectorRegistry | None = None) -> None:
    """Stop counting, and take the numbers out of the registry."""
    unobserve(metrics)
    (REGISTRY if registry is None else registry).unregister(_typed(metrics))


def _typed(metrics: SessionMetrics) -> Any:
    return metrics  # prometheus_client asks for a subclass of its own class, and uses `collect` alone


def _known(cause: str) -> str:
    """Return a cause as a label: words of the peer must not become labels."""
    return cause if cause and all(part in KNOWN for part in cause.split(", ")) else "other"


def _added(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(a[0] + b[0], a[1] + b[1]) for a, b in zip(one, other, strict=True)]


def _gauge(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Any) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, text, buckets=histogram.buckets(), sum_value=histogram.sum)
