"""The steps that one can watch: what a close or a reset does at the moment, and what is still under way.

Nothing is counted while nobody watches. A step that begins is reported at once, and the numbers within it four times a
second. Under way are the messages that the receipt would call unknown or unsent if the session ended now; the pieces of
files are not among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from adieu.protocol.control import FILE_CHANNEL
from adieu.session.machine import account, actions
from adieu.session.machine.state import Over, Watch

if TYPE_CHECKING:
    from adieu.session.machine.state import MachineState

EVERY = 0.25
"""Seconds between two reports of one step."""

At: TypeAlias = tuple[Literal["close", "reset"], str]
"""The work, and its step."""


def watch(m: MachineState, on: bool) -> None:
    """Begin to report, or stop."""
    m.timers.pop("progress", None)
    if not on:
        m.watch = None
    elif m.watch is None:
        m.watch = Watch()


def look(m: MachineState, watch: Watch) -> None:
    """Report the step if it is a new one, or if the last report is old enough."""
    at = _at(m)
    if at is None:
        m.timers.pop("progress", None)
        return
    if at != watch.at or m.now >= watch.due:
        watch.at, watch.due = at, m.now + EVERY
        m.report(_progressed(m, at))
    m.timers["progress"] = watch.due


def _at(m: MachineState) -> At | None:
    if m.closing is not None:
        return None if isinstance(m.closing.step, Over) else ("close", m.closing.step.name)
    return None if m.reset is None else ("reset", m.reset.phase)


def _progressed(m: MachineState, at: At) -> actions.Progressed:
    messages = size = incoming = 0
    final = (m.closing.final if m.closing is not None else None) or {}
    for name, channel in m.channels.items():
        if name.startswith(FILE_CHANNEL) or account.has_own(channel):
            continue  # named as a file; or in a receipt of its own
        sender = channel.sender
        if channel.reliable:
            messages += sender.accepted.messages - sender.delivered.messages
            size += sender.accepted.bytes - sender.delivered.bytes
            incoming += max(final.get(name, 0) - channel.receiver.up_to, 0)
        else:  # nothing is known of those that have left
            messages += len(sender.queue)
            size += sender.queued_bytes
    work, step = at
    end = m.closing.deadline if m.closing is not None else m.timers.get("reset", m.now)
    return actions.Progressed(work, step, messages, size, incoming, max(end - m.now, 0.0))
