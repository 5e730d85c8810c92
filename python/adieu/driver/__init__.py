"""Between asyncio and the core: one `Driver` for each event loop.

It passes the core's events to their objects, a batch at each wake-up. It also decides every "queue a task" of the W3C's
algorithms: an event is a task of its own (`loop.py`).
"""

from adieu.driver.handlers import ChannelHandler, TransportHandler
from adieu.driver.handles import ConnectionHandler, Handles
from adieu.driver.loop import Driver

__all__ = ["ChannelHandler", "ConnectionHandler", "Driver", "Handles", "TransportHandler"]
