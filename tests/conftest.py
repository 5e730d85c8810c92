"""What all tests share."""

import os
import sys

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio; a fixture of session scope shares its loop with them."""
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    # A task whose exception nobody fetched is reported only when it is collected: do it inside the test.
    if "PYTHONASYNCIODEBUG" not in os.environ:
        sys.set_coroutine_origin_tracking_depth(4)


def missing(what: str, remedy: str) -> None:
    """A tool is not there: a failure where nobody looks (CI=true), else a skip that says what to do."""
    message = f"{what} is not here: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
