"""The negotiation-needed flag. https://www.w3.org/TR/webrtc/#updating-the-negotiation-needed-flag"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.events import Event

if TYPE_CHECKING:
    from adieu.webrtc.slots import Slots


def update_negotiation_needed_flag(slots: Slots) -> None:
    """W3C update the negotiation-needed flag."""
    # step 1
    if len(slots.operations):
        slots.update_on_empty_chain = True
        return
    # step 2
    slots.driver.queue_task(_update, slots)


def on_empty_chain(slots: Slots) -> None:
    """W3C chain an operation, steps 7.4.4 to 7.4.6."""
    if slots.update_on_empty_chain:
        slots.update_on_empty_chain = False
        update_negotiation_needed_flag(slots)


def _update(slots: Slots) -> None:
    # step 2.1 (closing rule 33)
    if slots.is_closed:
        return
    # step 2.2
    if len(slots.operations):
        slots.update_on_empty_chain = True
        return
    # step 2.3
    if slots.negotiation.state != "stable":
        return
    # step 2.4
    if not check_if_negotiation_is_needed(slots):
        slots.negotiation_needed = False
        return
    # steps 2.5 to 2.7
    if not slots.negotiation_needed:
        slots.negotiation_needed = True
        slots.fire(Event("negotiationneeded"))


def check_if_negotiation_is_needed(slots: Slots) -> bool:
    """W3C check if negotiation is needed."""
    # step 2
    if slots.credentials_to_replace:
        return True
    # steps 3 and 4; step 5 is about transceivers
    current = slots.negotiation.current_local
    sections = current.sections if current is not None else ()
    negotiated = any(s.is_data and not slots.negotiation.is_recyclable(s.index) for s in sections)
    return slots.has_made_channels and not negotiated
