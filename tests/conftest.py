"""What all tests share."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from support.written import Written


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio; a fixture of session scope shares its loop with them."""
    return "asyncio"


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[Written]:
    """The log at DEBUG, or at the level that is the fixture's parameter."""
    from adieu import _core
    from support.written import Written

    handler, logger = Written(), logging.getLogger("adieu")
    before = logger.level
    logger.setLevel(getattr(request, "param", "DEBUG"))
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)
    _core.set_log(False)


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets what it starts in the background ignore Ctrl-C, and all programs of the tests inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A task whose exception nobody fetched is reported only when it is collected: do it inside the test.
    if "PYTHONASYNCIODEBUG" not in os.environ:
        sys.set_coroutine_origin_tracking_depth(4)


CI = os.environ.get("CI") == "true"


def missing(what: str, remedy: str) -> None:
    """A tool is not there: a failure where nobody looks (CI=true), else a skip that says what to do."""
    pytest.skip(f"{what} is not here: {remedy}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """With CI=true nothing passes by being left out, but what belongs to another system ("elsewhere: …")."""
    report: pytest.TestReport = yield
    if CI and report.skipped and not hasattr(report, "wasxfail") and "elsewhere:" not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"left out, which CI=true forbids: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """The same for a whole module that leaves itself out."""
    report: pytest.CollectReport = yield
    if CI and report.outcome == "skipped" and "elsewhere:" not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"left out, which CI=true forbids: {report.longrepr}"
    return report
