"""Lines of a session in the log: its life at INFO; each state, word, reset and cause with its evidence at DEBUG.

See `adieu.log` for marks and ids. A control message is shown by its type and by some of its members, never whole.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from adieu import log
from adieu.protocol.nesting import check_nesting

if TYPE_CHECKING:
    from adieu.session.machine.actions import ResetEnded, StateChanged
    from adieu.session.machine.receipt import Outcome

LIFE: Final = frozenset({"open", "recovering", "resetting"})
"""States that a line at INFO reports. The end has a line of its own."""

QUIET: Final = frozenset({"ping", "pong", "ack", "want"})
"""Types of control messages that come with time and with messages, and say nothing else."""

SHOWN: Final = ("epoch", "level", "name", "id", "deadlineMs", "etaMs", "error", "accept", "refuse", "failed", "done")
"""Members that are shown. Counts of messages are in the receipt, and the rest is long, or somebody's secret."""


class SessionLog:
    """Writes the lines of one session.

    Attributes:
        id: the session's id in the log.
        is_detailed: the logger was at DEBUG at the last change of the state. Looked at before a line that may come
            often: it costs no call.
    """

    __slots__ = ("id", "is_detailed")

    def __init__(self) -> None:
        self.id: str = log.new_id("s")
        self.is_detailed: bool = log.SESSION.isEnabledFor(logging.DEBUG)

    def began(self, name: str) -> None:
        """Log the beginning."""
        log.SESSION.info("%s = begins, with %s", self.id, log.text(name) or "a peer without a name")

    def line(self, mark: str, text: str) -> None:
        """Write a line at DEBUG."""
        if self.is_detailed:
            log.SESSION.debug("%s %s %s", self.id, mark, log.text(text))

    def control(self, mark: str, message: str | bytes) -> None:
        """Log a control message. Called only if `is_detailed`."""
        try:
            check_nesting(message)
            members: Any = msgspec.json.decode(message)
            is_quiet = members["type"] in QUIET
        except (ValueError, RecursionError, TypeError, KeyError):  # TypeError: also a type that is a list
            self.line("!", f"{len(message)} bytes that are no control message")
            return
        if not is_quiet:
            self.line(mark, f"{members['type']} {_shown(members)}".rstrip())

    def state(self, event: StateChanged, session: str, path: str) -> None:
        """Log a new state, with its cause and the evidence for it.

        Args:
            event: of the machine.
            session: the session's id, the same on both sides.
            path: the id of the connection that carries the session.
        """
        self.is_detailed = log.SESSION.isEnabledFor(logging.DEBUG)
        level = logging.INFO if event.state in LIFE else logging.DEBUG
        if log.SESSION.isEnabledFor(level):
            over = f" over {path}, session {session[:8]}" if event.state == "open" else ""
            evidence = f" ({'; '.join(event.evidence)})" if event.evidence else ""
            cause = f": {event.cause}{evidence}" if event.cause else ""
            log.SESSION.log(level, "%s = %s", self.id, log.text(f"{event.state}{over}{cause}"))

    def reset_ended(self, event: ResetEnded) -> None:
        """Log how a reset went."""
        if event.error:
            log.SESSION.info("%s ! reset (%s) failed: %s", self.id, event.level, log.text(event.error))
        else:
            replayed = f"{event.replayed} messages sent again"
            log.SESSION.info("%s = reset (%s) done in %.1f s, %s", self.id, event.level, event.duration, replayed)

    def ended(self, outcome: Outcome, notice: str) -> None:
        """Log who ended the session, how, and why."""
        evidence = f" ({'; '.join(outcome.evidence)})" if outcome.evidence else ""
        text = f"closed by {outcome.by}, {outcome.path}, {outcome.cause}{evidence}: {notice}"
        log.SESSION.info("%s x %s", self.id, log.text(text))


def _shown(members: dict[str, Any]) -> str:
    """The members of a control message that are shown: `epoch 2, level full`."""
    shown = [f"{name} {members[name]}" for name in SHOWN if isinstance(members.get(name), str | int)]
    match members.get("reason"):
        case {"code": str(code), **rest}:
            shown.append(f"reason {code}: {rest.get('text', '')}".rstrip(": "))
        case str(reason):
            shown.append(f"reason {reason}")
        case _:
            pass
    match members.get("offer"):
        case {"name": name, "size": size}:
            shown.append(f"file {name!r} of {size} bytes")
        case _:
            pass
    return ", ".join(shown)
