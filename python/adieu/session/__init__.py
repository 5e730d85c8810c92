"""Sessions: rooms, named channels with receipts, graceful close, reset, recovery."""

from typing import TYPE_CHECKING

from adieu.lazy import lazy

if TYPE_CHECKING:
    from adieu.protocol.folders import FolderEntry
    from adieu.session.channel import Channel, ChannelEvent, Sent
    from adieu.session.entering import join
    from adieu.session.events import (
        ChannelClosedEvent,
        ChannelClosingEvent,
        ClosedEvent,
        ClosingEvent,
        ProgressEvent,
        ResetEvent,
        SignalingChange,
        StateEvent,
        TrackEvent,
    )
    from adieu.session.files.file import IncomingFile
    from adieu.session.files.folder import IncomingFolder
    from adieu.session.files.transfer import Transfer
    from adieu.session.ledger import Held, Ledger
    from adieu.session.machine.cause import CAUSES
    from adieu.session.machine.options import Ladder, Options, RecoveryPolicy
    from adieu.session.machine.receipt import Account, ChannelEndReceipt, ChannelReceipt, StepReceipt
    from adieu.session.media import MediaReceipt, MediaReceived, MediaSent
    from adieu.session.memory import memory_pair
    from adieu.session.pair import Unconnected
    from adieu.session.receipt import CloseReceipt, FileReceipt, Message, PartialFile, ResetReport
    from adieu.session.recorder import Recorder
    from adieu.session.room import Room
    from adieu.session.session import Session
    from adieu.session.succession import CarriedTransfer

__all__ = [
    "CAUSES",
    "Account",
    "CarriedTransfer",
    "Channel",
    "ChannelClosedEvent",
    "ChannelClosingEvent",
    "ChannelEndReceipt",
    "ChannelEvent",
    "ChannelReceipt",
    "CloseReceipt",
    "ClosedEvent",
    "ClosingEvent",
    "FileReceipt",
    "FolderEntry",
    "Held",
    "IncomingFile",
    "IncomingFolder",
    "Ladder",
    "Ledger",
    "MediaReceipt",
    "MediaReceived",
    "MediaSent",
    "Message",
    "Options",
    "PartialFile",
    "ProgressEvent",
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
    "TrackEvent",
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
            "adieu.session.events": (
                "ChannelClosedEvent ChannelClosingEvent ClosedEvent ClosingEvent ProgressEvent ResetEvent",
                "SignalingChange StateEvent TrackEvent",
            ),
            "adieu.session.entering": ("join",),
            "adieu.protocol.folders": ("FolderEntry",),
            "adieu.session.files.file": ("IncomingFile",),
            "adieu.session.files.folder": ("IncomingFolder",),
            "adieu.session.files.transfer": ("Transfer",),
            "adieu.session.ledger": ("Held Ledger",),
            "adieu.session.machine.cause": ("CAUSES",),
            "adieu.session.machine.options": ("Ladder Options RecoveryPolicy",),
            "adieu.session.machine.receipt": ("Account ChannelEndReceipt ChannelReceipt StepReceipt",),
            "adieu.session.media": ("MediaReceipt MediaReceived MediaSent",),
            "adieu.session.memory": ("memory_pair",),
            "adieu.session.pair": ("Unconnected",),
            "adieu.session.receipt": ("CloseReceipt FileReceipt Message PartialFile ResetReport",),
            "adieu.session.recorder": ("Recorder",),
            "adieu.session.room": ("Room",),
            "adieu.session.session": ("Session",),
            "adieu.session.succession": ("CarriedTransfer",),
        },
    )
