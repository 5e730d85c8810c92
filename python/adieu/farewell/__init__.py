"""A graceful end for an application's own RTCPeerConnection: `adieu.goodbye(pc)`.

It builds on the W3C's objects alone, and on nothing of sessions, servers or signaling. Its words on the wire are in
docs/reference/goodbye.md; the browser's half is `js/src/goodbye`.
"""

from adieu.farewell.end import Goodbye, GoodbyeReset, Old, goodbye
from adieu.farewell.event import GoodbyeEvent
from adieu.farewell.receipt import ChannelAccount, GoodbyeReceipt

__all__ = ["ChannelAccount", "Goodbye", "GoodbyeEvent", "GoodbyeReceipt", "GoodbyeReset", "Old", "goodbye"]
