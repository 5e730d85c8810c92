"""The signaling server as an ASGI application, for a program that has a web server already."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from adieu.server.admin import AdminToken
from adieu.server.app import Access, make_app
from adieu.server.bridge import ORDERLY, Bridge, check_drain
from adieu.server.guard import IN_CODE, Guard
from adieu.server.ice import IceConfig
from adieu.server.jwks import KeySet
from adieu.server.sharing import make_hub, on_bus
from adieu.server.tokens import authentication

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from adieu.server.hub import Hub, Replica, Settings

logger: Final = logging.getLogger("adieu.server")


class SignalingApp:
    """The signaling server as an ASGI application: mount it under a prefix, or give it to a web server whole.

    ```python
    signaling = adieu.server.SignalingApp(keys=[secret], names=["example.org"])
    app = Starlette(routes=[Mount("/talk", signaling)], lifespan=signaling.lifespan)
    ```

    Programs then join `wss://example.org/talk/ws`, and people open `https://example.org/talk/`. Below the prefix are
    also `healthz` and `readyz`. Each process has rooms of its own: `bus=` lets several workers share theirs.

    Args:
        keys: keys of the tokens: secrets of 32 bytes or more, or public keys in PEM. `make_token` makes tokens.
        audience: required value in the tokens' `aud`.
        open_to_all: confirms that without a key everybody who reaches the application may join.
        names: host names of the application, in addition to `localhost` and addresses.
        origins: origins of pages from other servers that may use it, such as `https://app.example.org`; `*` for all.
        ice: STUN and TURN servers for clients.
        metrics: whether to serve `metrics` below the prefix, to everybody.
        page: whether to serve the page for people.
        settings: limits. The limits of connections that are not WebSockets yet are those of your web server, and so is
            the longest frame that it reads before `message_bytes` is looked at.
        drain: seconds between `goaway` and the close with 3001 at the end.
        jwks: a set of public keys that somebody else keeps (RFC 7517): `https://…`, or a file. It is read again by
            itself.
        admin_token: a secret of 32 characters or more that opens `v1/admin` below the prefix to operators.
        bus: the url of a Redis, such as `redis://127.0.0.1:6379`, by which several processes share their rooms.
        bus_prefix: processes with the same one share their rooms.

    Raises:
        ValueError: options contradict each other, or would open the server by mistake; the error names the remedy.
        ImportError: the extra is not installed.
    """

    def __init__(
        self,
        *,
        keys: Sequence[str | bytes] = (),
        audience: str | None = None,
        open_to_all: bool = False,
        names: Sequence[str] = (),
        origins: Sequence[str] = (),
        ice: IceConfig | None = None,
        metrics: bool = False,
        page: bool = True,
        settings: Settings | None = None,
        drain: float = 0.0,
        jwks: str | Path | None = None,
        admin_token: str | None = None,
        bus: str | None = None,
        bus_prefix: str = "adieu",
    ) -> None:
        if not (keys or jwks or open_to_all):
            raise ValueError(
                "without a key everybody who reaches the application may join: give keys=[...], or confirm this"
                " (open_to_all=True)"
            )
        check_drain(drain)
        self._guard = Guard(hosts=tuple(names), origins=tuple(origins), remedies=IN_CODE)
        self._jwks = None if jwks is None else KeySet(jwks, now=time.monotonic)
        self._authenticate = authentication(keys, audience=audience, jwks=self._jwks)
        self._admin = None if admin_token is None else AdminToken(admin_token)
        self._settings = settings
        self._ice = ice or IceConfig()
        self._access = Access.ALL if metrics else Access.NOBODY
        self._page = page
        self._drain = drain
        self._bus = bus
        self._bus_prefix = bus_prefix
        self._running: tuple[Bridge, ASGIApp] | None = None

    @property
    def hub(self) -> Hub | Replica:
        """The server hub, for reading.

        Raises:
            RuntimeError: the lifespan has not been entered, or is over.
        """
        return self._now_running()[0].hub

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Run while the application does: give it as `lifespan=` to Starlette or FastAPI, or enter it in your own.

        At its end all clients get `goaway`, and after `drain` seconds the close code 3001. Some web servers close the
        WebSockets before that; then clients connect again to whatever comes next, and their sessions go on.

        Args:
            app: the application, as Starlette and FastAPI give it; not used.

        Raises:
            RuntimeError: it is running already.
            ImportError: a bus is given, and its extra is not installed.
            ValueError: the url of the bus is not valid, or this server does not fit to the others on it.
            OSError: the bus cannot be reached.

        Cancellation: sockets are closed without a goodbye.
        """
        del app
        if self._running is not None:
            raise RuntimeError("the lifespan of this SignalingApp has been entered already: enter it once")
        hub = make_hub(self._settings, bus=self._bus, authenticate=self._authenticate, ice_servers=self._ice.servers)
        bridge = Bridge(hub)
        self._running = (
            bridge,
            make_app(bridge, self._guard, metrics=self._access, page=self._page, date=False, admin=self._admin),
        )
        following = None if self._jwks is None else asyncio.create_task(self._jwks.run(), name="adieu jwks")
        try:
            async with on_bus(self._bus, self._bus_prefix, bridge):
                yield
                await bridge.shut_down(self._drain, ORDERLY)
        finally:
            if following is not None:
                following.cancel()
            self._running = None
            bridge.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI says.

        Raises:
            RuntimeError: the lifespan has not been entered.
        """
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        _, app = self._now_running()
        await app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Serve the lifespan of ASGI, for a web server that was given this application itself.

        An error goes to it as a message: an exception would mean that there is no lifespan, and it would go on.
        """
        await receive()  # startup
        phase = "startup"
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()  # shutdown
        except Exception as error:
            logger.debug("the %s of the SignalingApp has failed", phase, exc_info=True)
            await send({"type": f"lifespan.{phase}.failed", "message": f"{type(error).__name__}: {error}"})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    def _now_running(self) -> tuple[Bridge, ASGIApp]:
        if self._running is None:
            raise RuntimeError(
                "the lifespan of this SignalingApp has not been entered, and a mounted application's own is not run:"
                " give it to the outer one, FastAPI(lifespan=signaling.lifespan), or enter signaling.lifespan() there"
            )
        return self._running
