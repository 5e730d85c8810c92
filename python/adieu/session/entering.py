"""Entering a room on a signaling server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.block import block
from adieu.protocol.signaling import MAX_ROOM
from adieu.protocol.text import checked
from adieu.session.connect import check_connect
from adieu.session.given import reason_of
from adieu.session.room import Room
from adieu.signaling import SignalingClient
from adieu.unclosed import warn_unclosed, where_made
from adieu.webrtc import TransportSettings
from adieu.webrtc.dictionaries import dictionary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from adieu.session.connect_for import Connect
    from adieu.session.machine.options import Options
    from adieu.session.room import Accept
    from adieu.signaling.trust import Trust


@block("async with adieu.join(...) as room:")
async def join(
    url: str,
    room: str,
    name: str = "",
    *,
    token: str | Callable[[], str | Awaitable[str]] | None = None,
    accept: Accept | None = None,
    meta: Mapping[str, Any] | None = None,
    connect: Connect | None = None,
    settings: TransportSettings | dict[str, Any] | None = None,
    options: Options | None = None,
    on_wait: Callable[[str, float], bool] | None = None,
    ssl: Trust | None = None,
) -> AsyncGenerator[Room]:
    """Enter a room on a signaling server; leaving the block closes all its sessions gracefully.

    ```python
    async with adieu.join("ws://127.0.0.1:8080/ws", room="lab", name="ada") as room:
        session = await room.session()
    ```

    Args:
        url: of the server, as `adieu serve` prints it.
        room: where peers find each other.
        name: what people read of us.
        token: a JWT, or a function that makes one; for a server with keys.
        accept: called with each `Peer`; returns whether it gets a session (then both learn each other's addresses). By
            default every peer in the room gets one.
        meta: metadata for the other peers.
        connect: makes an RTCPeerConnection; by default one with the server's ICE servers, and `settings`. If it has a
            parameter, it gets the `Session` that the connection is for.
        settings: ports, addresses and the like, see `adieu.TransportSettings`; without `connect`.
        options: numbers, see `adieu.session.Options`.
        on_wait: asked when another side wants more time while we close: `on_wait(reason, seconds) -> bool`.
        ssl: for `wss://`, whom to trust instead of whom the system trusts: an `ssl.SSLContext`, or a file with the
            certificates of CAs (or the server's own) in PEM.

    Raises:
        SignalingLostError: nobody answers at `url`.
        SignalingRefusedError: the server or the room does not want us, or its certificate is not trusted.
        TypeError: `connect` is no function, or `settings` is given too; a name is no text.
        ValueError: the url is no server's; a name is empty or too long; the file holds no certificates.

    Cancellation: everything is closed, abruptly if the cancelling does not wait.
    """
    where = where_made()
    room = checked("a room's name", room, 1, MAX_ROOM)
    if connect is not None:
        check_connect(connect)
        if settings is not None:
            raise TypeError("settings= and connect= are both given: connect() sets up its connections itself")
    given = dictionary(TransportSettings, settings) if settings is not None else None
    async with SignalingClient(url, name=name, token=token, ssl=ssl) as client:
        place = Room(
            client,
            room,
            connect=connect,
            settings=given,
            accept=accept,
            options=options,
            on_wait=on_wait,
        )
        try:
            await place.enter(meta)
            try:
                yield place
            except BaseException as error:
                if isinstance(error, GeneratorExit):
                    warn_unclosed(place, where, "the block of join() was never left")
                await place.close(reason=reason_of(error))
                raise
            await place.close()
        finally:
            await place.leave()
