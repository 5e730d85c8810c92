"""The address of this computer in its network, for links that other devices can open."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

PATH = "/v1/address"
_ELSEWHERE = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))
"""Addresses for documentation (RFC 5737, RFC 3849). Nothing is sent to them."""


def own_address() -> str:
    """Return the address that this computer uses for other networks; empty if it is in no network."""
    for elsewhere, family in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as made:
                made.connect((elsewhere, 9))  # this only chooses a route
                address = str(made.getsockname()[0])
        except OSError:
            continue
        if not ipaddress.ip_address(address).is_loopback:
            return address
    return ""


def route(is_local: Callable[[Request], bool]) -> Route:
    """Return the route that says where the page is for other devices. Only programs on this computer learn it."""

    async def answer(request: Request) -> Response:
        host = own_address() if is_local(request) else ""
        if not host:
            return Response("Not Found", status_code=404)
        _, port = request.scope["server"]
        place = f"[{host}]" if ":" in host else host
        path = request.url.path.removesuffix(PATH)
        return JSONResponse(
            {"address": f"{request.url.scheme}://{place}:{port}{path}/"}, headers={"Cache-Control": "no-store"}
        )

    return Route(PATH, answer, methods=["GET"])
