"""Sessions: rooms, named channels with receipts, graceful close, reset, recovery."""

from typing import TYPE_CHECKING

from adieu.lazy import lazy

if TYPE_CHECKING:
    from adieu.session.channel import Channel, ChannelEvent, Sent
    from adieu.session.entering import join
    from adieu.session.events import ClosedEvent, ClosingEvent, ResetEvent, SignalingChange, StateEvent
    from adieu.session.ledger import Held, Ledger
    from adieu.session.machine.cause import CAUSES
    from adieu.session.machine.options import Ladder, Options, RecoveryPolicy
    from adieu.session.machine.receipt import Account, ChannelReceipt, StepReceipt
    from adieu.session.memory import memory_pair
    from adieu.session.pair import Unconnected
    from adieu.session.receipt import CloseReceipt, FileReceipt, Message, ResetReport
    from adieu.session.recorder import Recorder
    from adieu.session.room import Room
    from adieu.session.session import Session
    from adieu.session.transfer import IncomingFile, Transfer

__all__ = [
    "CAUSES",
    "Account",
    "Channel",
    "ChannelEvent",
    "ChannelReceipt",
    "CloseReceipt",
    "ClosedEvent",
    "ClosingEvent",
    "FileReceipt",
    "Held",
    "IncomingFile",
    "Ladder",
    "Ledger",
    "Message",
    "Options",
    "Recorder",
    "RecoveryPolicy",
    "ResetEvent",
    "ResetReport",
    "Room",
    "Sent",
    "Session",
    "SignalingChange",
    "StateEvent",
    "StepReceipt",
    "Transfer",
    "Unconnected",
    "join",
    "memory_pair",
]

if not TYPE_CHECKING:  # a module's __getattr__ would hide misspelled names from type checkers
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "adieu.session.channel": ("Channel ChannelEvent Sent",),
            "adieu.session.events": ("ClosedEvent ClosingEvent ResetEvent SignalingChange StateEvent",),
            "adieu.session.entering": ("join",),
            "adieu.session.ledger": ("Held Ledger",),
            "adieu.session.machine.cause": ("CAUSES",),
            "adieu.session.machine.options": ("Ladder Options RecoveryPolicy",),
            "adieu.session.machine.receipt": ("Account ChannelReceipt StepReceipt",),
            "adieu.session.memory": ("memory_pair",),
            "adieu.session.pair": ("Unconnected",),
            "adieu.session.receipt": ("CloseReceipt FileReceipt Message ResetReport",),
            "adieu.session.recorder": ("Recorder",),
            "adieu.session.room": ("Room",),
            "adieu.session.session": ("Session",),
            "adieu.session.transfer": ("IncomingFile Transfer",),
        },
    )
