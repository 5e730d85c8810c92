"""Spans of all sessions of this program for OpenTelemetry.

A session is one span, `adieu.session`, with the receipt as attributes. Its parts are spans below it: `adieu.connect`,
`adieu.reset`, `adieu.close`. States are events of the session's span. The span that is current when a session begins is
the parent.

It needs the package `opentelemetry-api`, which is not loaded before `install()`: `pip install 'adieu[tracing]'`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import adieu
from adieu.session.observers import observe, unobserve

if TYPE_CHECKING:
    from adieu.session.events import ResetEvent, StateEvent
    from adieu.session.observers import Observed
    from adieu.session.receipt import CloseReceipt

__all__ = ["SessionTraces", "install", "uninstall"]


class _Spans:
    """The spans of one session that have not ended."""

    __slots__ = ("close", "connect", "reset", "session")

    def __init__(self, session: Any, connect: Any) -> None:
        self.session = session
        self.connect = connect
        self.reset: Any = None
        self.close: Any = None


class SessionTraces:
    """An observer that makes spans. `install` makes one."""

    def __init__(self, tracer: Any, trace: Any) -> None:
        self._tracer = tracer
        self._trace = trace
        self._spans: WeakKeyDictionary[Observed, _Spans] = WeakKeyDictionary()

    def began(self, session: Observed) -> None:
        """Start the session's span, and that of its first connection."""
        whole = self._tracer.start_span("adieu.session", attributes={"adieu.peer.name": session.name})
        self._spans[session] = _Spans(whole, self._below(whole, "adieu.connect"))

    def changed(self, session: Observed, event: StateEvent) -> None:
        """Note the state. The first `open` ends the span of the connection, and `closing` starts that of the close."""
        if (spans := self._spans.get(session)) is None:
            return
        because = {"adieu.cause": event.cause, "adieu.evidence": event.evidence} if event.cause else {}
        spans.session.add_event(event.state, because)
        if event.state == "open" and spans.connect is not None:
            spans.session.set_attribute("adieu.session.id", session.id)
            spans.connect.end()
            spans.connect = None
        elif event.state == "closing":
            spans.close = self._below(spans.session, "adieu.close")

    def reset(self, session: Observed, event: ResetEvent) -> None:
        """Start the span of a reset, or end it."""
        if (spans := self._spans.get(session)) is None:
            return
        if event.report is None and event.error is None:
            self._end(spans.reset, "replaced by another reset")
            attributes = {"adieu.reset.level": event.level, "adieu.cause": event.cause}
            spans.reset = self._below(spans.session, "adieu.reset", attributes)
            return
        if spans.reset is not None and event.report is not None:
            spans.reset.set_attribute("adieu.reset.level", event.level)
            spans.reset.set_attribute("adieu.reset.replayed", event.report.replayed)
            spans.reset.set_attribute("adieu.path", event.report.path)
        self._end(spans.reset, event.error)
        spans.reset = None

    def ended(self, session: Observed, receipt: CloseReceipt) -> None:
        """Put the receipt into the session's span, and end all of its spans."""
        if (spans := self._spans.pop(session, None)) is None:
            return
        for part, why in ((spans.connect, "the session ended"), (spans.reset, "the session ended")):
            self._end(part, why)
        trouble = None if receipt.clean and receipt.by != "network" else receipt.notice
        for span in (spans.close, spans.session):
            if span is not None:
                span.set_attributes(_attributes(receipt))
                self._end(span, trouble)

    def _below(self, parent: Any, name: str, attributes: dict[str, Any] | None = None) -> Any:
        return self._tracer.start_span(name, self._trace.set_span_in_context(parent), attributes=attributes)

    def _end(self, span: Any, error: str | None) -> None:
        if span is None:
            return
        if error is not None:
            span.set_status(self._trace.StatusCode.ERROR, error)
        span.end()


def _attributes(receipt: CloseReceipt) -> dict[str, Any]:
    """Return a receipt as attributes: how it ended, and the numbers of all channels together."""
    found: dict[str, Any] = {
        "adieu.receipt.id": receipt.id,
        "adieu.receipt.by": receipt.by,
        "adieu.receipt.path": receipt.path,
        "adieu.receipt.cause": receipt.cause,
        "adieu.receipt.reason": receipt.reason.code,
        "adieu.receipt.confirmed": receipt.confirmed,
        "adieu.receipt.clean": receipt.clean,
        "adieu.receipt.channels": len(receipt.channels),
    }
    for name in ("delivered", "unread", "unknown", "unsent"):
        totals = [getattr(channel.sent, name) for channel in receipt.channels.values()]
        found[f"adieu.messages.{name}"] = sum(total.messages for total in totals if total is not None)
    for step in receipt.steps:
        found[f"adieu.step.{step.name}.seconds"] = step.duration
    return found


def install(provider: Any = None) -> SessionTraces:
    """Make spans of all sessions from now on.

    Args:
        provider: the TracerProvider; None: the one that OpenTelemetry was set up with.

    Returns:
        The observer, for `uninstall`.

    Raises:
        ImportError: opentelemetry-api is not installed.
    """
    try:
        trace: Any = import_module("opentelemetry.trace")
    except ImportError as error:
        raise ImportError(f"adieu.tracing needs one package more: pip install 'adieu[tracing]' ({error})") from error
    traces = SessionTraces(trace.get_tracer("adieu", adieu.__version__, provider), trace)
    observe(traces)
    return traces


def uninstall(traces: SessionTraces) -> None:
    """Make no further spans. Those that are open stay so."""
    unobserve(traces)
