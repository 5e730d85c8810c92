"""`addEventListener` of a connection, with the type of each event: for type checkers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from adieu.events import EventTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.events import Event, Handler
    from adieu.webrtc.data_channel_event import RTCDataChannelEvent
    from adieu.webrtc.ice_events import RTCPeerConnectionIceErrorEvent, RTCPeerConnectionIceEvent
    from adieu.webrtc.network_events import NetworkChangeEvent
    from adieu.webrtc.track_event import RTCTrackEvent


class ConnectionListeners(EventTarget):
    """An EventTarget with the events of an RTCPeerConnection."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def addEventListener(
            self,
            type: Literal["icecandidate"],
            callback: Handler[RTCPeerConnectionIceEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["icecandidateerror"],
            callback: Handler[RTCPeerConnectionIceErrorEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["datachannel"],
            callback: Handler[RTCDataChannelEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["track"],
            callback: Handler[RTCTrackEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: Literal["networkchange"],
            callback: Handler[NetworkChangeEvent],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        @overload
        def addEventListener(
            self,
            type: str,
            callback: Handler[Event],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None: ...
        def addEventListener(
            self,
            type: str,
            callback: Handler[Any],
            options: bool | Mapping[str, Any] | None = None,
            *,
            once: bool = False,
        ) -> None:
            """See EventTarget."""
