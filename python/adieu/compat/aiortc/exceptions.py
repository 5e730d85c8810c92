"""The errors that aiortc has. Those that adieu has too are adieu's own."""

from __future__ import annotations

from adieu.errors import InvalidAccessError, InvalidStateError, OperationError

__all__ = ["InternalError", "InvalidAccessError", "InvalidStateError", "OperationError"]


class InternalError(Exception):
    """An argument that a connection cannot take, such as a track of an unknown kind."""
