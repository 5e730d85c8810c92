"""The function of a program that makes the connections of a room's sessions: with the session, if it asks for it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from adieu.session.session import Session
    from adieu.webrtc import RTCPeerConnection

    Connect: TypeAlias = Callable[[], RTCPeerConnection] | Callable[[Session], RTCPeerConnection]

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def for_session(connect: Connect) -> Callable[[Session], RTCPeerConnection]:
    """Return a function of the session that the connection is for, whether or not this one asks for it."""
    made: Any = connect
    try:
        signature = inspect.signature(made)
    except (TypeError, ValueError):  # it does not tell its parameters
        return lambda _: made()
    wanted = [each for each in signature.parameters.values() if each.kind in _BY_PLACE and each.default is each.empty]
    return made if wanted else lambda _: made()
