"""The negotiation-needed flag. https://www.w3.org/TR/webrtc/#updating-the-negotiation-needed-flag"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.events import Event
from adieu.jsep.direction import intersect, reverse, sends

if TYPE_CHECKING:
    from adieu.jsep import Negotiation, Transceiver
    from adieu.webrtc.internals import Internals


def update_negotiation_needed_flag(internals: Internals) -> None:
    """W3C update the negotiation-needed flag."""
    # step 1
    if len(internals.operations):
        internals.update_on_empty_chain = True
        return
    # step 2
    internals.driver.queue_task(_update, internals)


def on_empty_chain(internals: Internals) -> None:
    """W3C chain an operation, steps 7.4.4 to 7.4.6."""
    if internals.update_on_empty_chain:
        internals.update_on_empty_chain = False
        update_negotiation_needed_flag(internals)


def _update(internals: Internals) -> None:
    # step 2.1 (closing rule 33)
    if internals.is_closed:
        return
    # step 2.2
    if len(internals.operations):
        internals.update_on_empty_chain = True
        return
    # step 2.3
    if internals.negotiation.state != "stable":
        return
    # step 2.4
    if not check_if_negotiation_is_needed(internals):
        internals.negotiation_needed = False
        return
    # steps 2.5 to 2.7
    if not internals.negotiation_needed:
        internals.negotiation_needed = True
        internals.fire(Event("negotiationneeded"))


def check_if_negotiation_is_needed(internals: Internals) -> bool:
    """W3C check if negotiation is needed."""
    # step 2
    if internals.credentials_to_replace:
        return True
    # steps 3 and 4
    current = internals.negotiation.current_local
    sections = current.sections if current is not None else ()
    negotiated = any(s.is_data and not internals.negotiation.is_recyclable(s.index) for s in sections)
    if internals.channels.has_made and not negotiated:
        return True
    # steps 5 and 6
    return any(
        _needs_negotiation(internals.negotiation, transceiver) for transceiver in internals.negotiation.transceivers
    )


def _needs_negotiation(negotiation: Negotiation, transceiver: Transceiver) -> bool:
    """Step 5, for one transceiver."""
    local, remote, index = negotiation.current_local, negotiation.current_remote, transceiver.index
    # step 5.1; a stopping transceiver without a section cannot be signaled: the event would fire without end
    if transceiver.stopping and not transceiver.stopped:
        return index is not None
    section = local.sections[index] if local is not None and index is not None and index < len(local.sections) else None
    # steps 5.2 and 5.4
    if transceiver.stopped:
        return section is not None and not negotiation.is_recyclable(section.index)
    if local is None or remote is None or section is None:
        return True
    # step 5.3.1
    if sends(transceiver.direction) and (not section.has_msid or set(section.streams) != set(transceiver.streams)):
        return True
    other = remote.sections[section.index]
    if local.type == "offer":
        # step 5.3.2
        return transceiver.direction not in {section.direction, reverse(other.direction)}
    # step 5.3.3
    return section.direction != intersect(transceiver.direction, reverse(other.direction))
