"""The two commands that make the core gather: open a transport, and begin an ICE generation in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import _core

if TYPE_CHECKING:
    from adieu.driver import Driver
    from adieu.jsep import IceCredentials
    from adieu.webrtc.configuration import RTCConfiguration, TransportSettings


def open_transport(driver: Driver, connection: int, settings: TransportSettings) -> int:
    """Open a transport in the core, within this connection of the core. Returns its handle."""
    return driver.core.transport(
        connection,
        disconnected_after=settings.disconnectedAfter,
        failed_after=settings.failedAfter,
        receive_buffer=settings.receiveBuffer,
        max_message_size=settings.maxMessageSize,
        congestion=settings.congestion,
        capture=settings.capture.native if settings.capture is not None else None,
    )


def _trust(settings: TransportSettings) -> _core.Trust | None:
    given = settings.trustedCertificates
    return None if given is None else _core.Trust(given.encode() if isinstance(given, str) else given)


def gather(
    driver: Driver,
    handle: int,
    generation: int,
    local: IceCredentials,
    how: tuple[RTCConfiguration, TransportSettings],
    *,
    controlling: bool,
) -> None:
    """Begin an ICE generation in the transport with this handle."""
    configuration, settings = how
    driver.core.gather(
        handle,
        generation,
        local.ufrag,
        local.pwd,
        controlling,
        [str(url) for url in configuration.urls() if url.is_supported and not url.is_turn],
        configuration.iceTransportPolicy,
        settings.addresses(),
        settings.tcpPort,
        _trust(settings),
        configuration.relays(),
        settings.hideAddresses,
    )
