"""What the tests with pages share: the browsers, and the figures of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conftest import missing
from e2e.lab import browsers
from e2e.lab.figures import Figures, slowness
from e2e.sdk.tabs import BUNDLE, Tabs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Container, Iterable, Iterator

    from e2e.lab.browsers import Chromium, Firefox

PROGRAMS = {"Chromium": browsers.chromium_program, "Firefox": browsers.firefox_program}
START: dict[str, Any] = {"Chromium": browsers.chromium, "Firefox": browsers.firefox}


def look(*names: str) -> None:
    """What a test needs must be there."""
    if not BUNDLE.exists():
        missing("the SDK's bundle", "npm ci && npm run build, in js/")
    for name in names:
        if name in PROGRAMS and PROGRAMS[name]() is None:
            missing(name, "python tools/system.py installs it, or says how")


def some(values: Iterable[Any], often: Container[Any]) -> list[Any]:
    """Parameters, of which `make test` takes those in `often` and `make matrix` all."""
    return [value if value in often else pytest.param(value, marks=pytest.mark.matrix) for value in values]


@pytest.fixture(scope="module", params=["Chromium", "Firefox"], ids=str.lower)
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Chromium | Firefox]:
    """Each of the two, for modules that look at one at a time."""
    look(request.param)
    async with START[request.param]() as started:
        yield started


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Chromium]:
    look("Chromium")
    async with browsers.chromium() as started:
        yield started


@pytest.fixture(scope="session")
async def firefox() -> AsyncIterator[Firefox]:
    look("Firefox")
    async with browsers.firefox() as started:
        yield started


@pytest.fixture
def both(chromium: Chromium, firefox: Firefox) -> dict[str, Chromium | Firefox]:
    """Both browsers, by name."""
    return {"Chromium": chromium, "Firefox": firefox}


@pytest.fixture
async def tabs() -> AsyncIterator[Tabs]:
    """The server of the test page."""
    async with Tabs().serving() as serving:
        yield serving


@pytest.fixture(scope="session")
def run() -> Iterator[Figures]:
    """The figures of the whole run; at its end the report is written."""
    found = {name.lower(): program() for name, program in PROGRAMS.items()}
    figures = Figures("matrix", "Pages and programs in every pairing")
    for name, path in found.items():
        if path:
            figures.versions[name.capitalize()] = browsers._version(path, "--version", "--no-sandbox")
    yield figures
    figures.write()


@pytest.fixture
def figures(run: Figures, request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Those of the run, for one test."""
    run.before = slowness()
    failed = request.session.testsfailed
    yield run
    if request.session.testsfailed > failed:
        run.failed.append(request.node.name)
