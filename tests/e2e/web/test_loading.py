"""How the page loads: what Lighthouse measures, on the phone that it imagines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab import browsers
from e2e.lab.figures import slowness
from e2e.web.screen import screen

if TYPE_CHECKING:
    from adieu.server.serving import Server

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

LARGEST = 2.5
"""Seconds until the largest part is there: what web.dev calls good."""
BLOCKED = 0.2
"""The same for the seconds in which a tap would have to wait: of each long task what is over 50 ms."""
JUMPS = 0.1
"""The same for what moves while somebody reads."""
BYTES = 120_000
"""Of all that is loaded until somebody has typed a name: the SDK, which is needed then, has nearly half of it."""
FIGURES = """
const all = (type) => new Promise((done) => {
  const observer = new PerformanceObserver((list) => done(list.getEntries()));
  observer.observe({ type, buffered: true });
  setTimeout(() => done([]), 500);
});
const [largest, shifts, tasks] = await Promise.all(["largest-contentful-paint", "layout-shift", "longtask"].map(all));
const files = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
return {
  largest: largest.at(-1).startTime / 1000,
  jumps: shifts.reduce((sum, { value }) => sum + value, 0),
  blocked: tasks.reduce((sum, { duration }) => sum + duration - 50, 0) / 1000,
  bytes: files.reduce((sum, { transferSize }) => sum + transferSize, 0),
  others: files.map(({ name }) => name).filter((name) => new URL(name).origin !== location.origin),
};
"""


async def load(server: Server) -> dict[str, Any]:
    async with browsers.chromium() as browser, screen(browser, f"{server.http_url}/manifest.webmanifest") as ada:
        await ada.slow_phone()
        await ada.go(f"{server.http_url}/#lab")
        await ada.sees("Chat and files work without them.")
        figures: dict[str, Any] = await ada.run(FIGURES)
    return figures


async def test_the_page_loads_little_and_nothing_jumps(server: Server) -> None:
    got = await load(server)
    assert got["jumps"] <= JUMPS, got
    assert got["bytes"] <= BYTES, got
    assert got["others"] == [], "nothing comes from other servers"


@pytest.mark.matrix
async def test_the_page_is_soon_there_on_a_slow_phone(server: Server) -> None:
    """The phone is slow by a factor: other work on this computer counts four times. So the best of three counts."""
    loads = [(await load(server), slowness()) for _ in range(3)]
    assert any(got["largest"] <= LARGEST * stretch for got, stretch in loads), loads
    assert any(got["blocked"] <= BLOCKED * stretch for got, stretch in loads), loads
