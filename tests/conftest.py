"""What all tests share."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import signal
import sys
import time
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


BEGAN = pytest.StashKey[float]()
ORDERLY = 0.9
"""The part of a test's time after which it is cancelled."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[BEGAN] = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Cancel an async test that hangs, in its own loop and before its time is over.

    The signal of pytest-timeout breaks into the loop that all async tests share: then those that follow fail, too.
    """
    run, own = pyfuncitem.obj, pyfuncitem.get_closest_marker("timeout")
    seconds = float(own.args[0] if own is not None else pyfuncitem.config.getini("timeout"))
    if not seconds or not inspect.iscoroutinefunction(run) or hasattr(run, "hypothesis"):
        return

    @functools.wraps(run)
    async def bounded(*arguments: Any, **named: Any) -> None:
        bound = seconds * ORDERLY - (time.monotonic() - pyfuncitem.stash[BEGAN])
        try:
            async with asyncio.timeout(bound) as limit:
                await run(*arguments, **named)
        except TimeoutError:
            if limit.expired():
                pytest.fail(f"it hung, and was cancelled after {seconds * ORDERLY:.0f} s")
            raise

    pyfuncitem.obj = bounded


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
