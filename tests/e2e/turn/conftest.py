"""One coturn for the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.lab.turn import TurnServer, turn_server
from e2e.turn.pairs import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[TurnServer]:
    """A server of its own, with its own log."""
    with turn_server(tmp_path, HOST) as server:
        yield server
