"""The browsers and the server that the page's tests have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adieu.server import serve
from e2e.lab import browsers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.server.serving import Server

START = {"chromium": browsers.chromium, "firefox": browsers.firefox}


@pytest.fixture(scope="module", params=list(START))
async def browser(request: Any) -> AsyncIterator[Any]:
    async with START[request.param]() as started:
        yield started


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serve() as running:
        yield running
