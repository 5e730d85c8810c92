"""The server hub: decides without a network. `hub` has the theory of operation; each procedure has a file."""

from adieu.server.hub.hub import Hub
from adieu.server.hub.limits import Settings
from adieu.server.hub.replica import Replica
from adieu.server.hub.state import Close, Grant, IceSource, Output, Send, TokenRefusedError

__all__ = ["Close", "Grant", "Hub", "IceSource", "Output", "Replica", "Send", "Settings", "TokenRefusedError"]
