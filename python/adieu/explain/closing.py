"""The close of a session: which of the five steps took the time, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from adieu.session.machine.cause import DEATHS

if TYPE_CHECKING:
    from adieu.explain.recording import Receipt, Recording

LONG = 1.0
"""Seconds: a close that takes longer is explained."""
ENDS = DEATHS | {"gave-up", "protocol-error", "security-error", "connection-closed"}
"""Causes that explain an end by themselves."""
CLOSERS = {"local": "this side", "remote": "the other side", "both": "both sides at once"}


class Close(Struct, frozen=True):
    """The close as one side saw it; see `Episode`."""

    start: float
    end: float
    step: str
    cause: str
    sentences: list[str]


class _Left(Struct):
    """The messages of reliable channels that did not get through, or that nobody has read."""

    unread: int = 0
    unread_bytes: int = 0
    missing: int = 0
    missing_bytes: int = 0


def closing(recording: Recording) -> Close | None:
    """Explain the close. None if the session has not ended."""
    receipt = recording.receipt
    if receipt is None:
        return None
    total = sum(step.duration for step in receipt.steps)
    end = recording.lines[-1][0] if recording.lines else 0.0
    longest = max(receipt.steps, key=lambda step: step.duration, default=None)
    who = CLOSERS.get(receipt.by, "nobody: the connection was lost" if receipt.by else "a side")
    sentences = [f"closed by {who}; path {receipt.path or 'unknown'}; {total:.2f} s"]
    if receipt.by == "both":
        sentences.append("both closed at the same time: the smaller deadline held, and there were no last words")
    parts = ", ".join(f"{step.name} {step.duration:.2f} s ({step.outcome})" for step in receipt.steps)
    if parts:
        sentences.append(f"steps: {parts}")
    cause, why = _cause(recording, receipt, total)
    sentences += [*why, receipt.notice]
    step = longest.name if longest is not None else "announce"
    return Close(max(end - total, 0.0), end, step, cause, [text for text in sentences if text])


def _cause(recording: Recording, receipt: Receipt, total: float) -> tuple[str, list[str]]:
    if receipt.cause in ENDS:
        sure = f" ({receipt.confidence})" if receipt.confidence else ""
        evidence = f": {'; '.join(receipt.evidence)}" if receipt.evidence else ""
        return receipt.cause, [f"cause: {receipt.cause}{sure}{evidence}"]
    left = _left(receipt)
    if left.unread and (receipt.path != "graceful" or total >= LONG):
        text = f"{left.unread} messages ({left.unread_bytes} bytes) had come and were not read: the reader is slow"
        more = f"; {left.missing} more ({left.missing_bytes} bytes) found no room" if left.missing else ""
        return "slow application", [text + more]
    if left.missing:
        text = f"{left.missing} messages ({left.missing_bytes} bytes) were still queued or under way at the end"
        return "large queue", [text]
    if total >= LONG:
        return _waited(recording)
    if receipt.by == "both":
        return "both at once", []
    return "nothing", ["nothing held it up"]


def _waited(recording: Recording) -> tuple[str, list[str]]:
    """Name the side whose `done` came late: its handlers, or its queue, took the time."""
    places = {mark: place for place, (_, mark, members) in enumerate(recording.lines) if members.get("type") == "done"}
    ours, theirs = places.get(">"), places.get("<")
    if ours is None and theirs is None:
        return "no answer", ["neither side said `done`"]
    if ours is None or (theirs is not None and theirs < ours):  # the second one only waited for it
        return "other side's last words", [
            "the other side said `done` late: it still took or sent, or its handlers ran"
        ]
    return "own last words", ["this side said `done` late: it still took or sent, or its handlers ran"]


def _left(receipt: Receipt) -> _Left:
    left = _Left()
    for channel in receipt.channels.values():
        for account in (channel.sent, channel.received) if channel.reliable else ():
            if account.unread is not None:
                left.unread += account.unread.messages
                left.unread_bytes += account.unread.bytes
            for total in (account.unknown, account.unsent):
                if total is not None:
                    left.missing += total.messages
                    left.missing_bytes += total.bytes
    return left
