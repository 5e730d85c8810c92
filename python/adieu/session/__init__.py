"""Sessions: rooms, named channels with receipts, graceful close, reset, recovery."""

from adieu.session.channel import Channel, Sent
from adieu.session.events import ChannelEvent, ClosedEvent, ClosingEvent, ResetEvent, SignalingChange, StateEvent
from adieu.session.join import join
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
