"""The connection of `adieu send` and `adieu receive`: loaded while a person reads the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.webrtc import RTCPeerConnection, RTCSessionDescription

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.webrtc import TransportSettings


class PinnedConnection(RTCPeerConnection):
    """A connection that takes only descriptions that pass a check: those of the proved program, once there is one."""

    __slots__ = ("_check",)

    def __init__(
        self, check: Callable[[str], None], configuration: dict[str, Any], settings: TransportSettings | None
    ) -> None:
        super().__init__(configuration, settings=settings)
        self._check = check

    async def setRemoteDescription(  # noqa: N802 a name of the W3C
        self, *arguments: Any, **members: Any
    ) -> None:
        """Check the description, then set it."""
        self._check(RTCSessionDescription(*arguments[:1], **members).sdp)
        await super().setRemoteDescription(*arguments, **members)
