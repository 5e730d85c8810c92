"""The two commands that make the core gather: open a transport, and begin an ICE generation in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    )


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
        [str(url) for url in configuration.urls() if url.is_supported],
        configuration.iceTransportPolicy,
        settings.loopback,
    )
