"""Fixtures of the tests of whole stacks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.fixture
def threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time would run on while a thread works."""

    async def to_thread(work: Any, *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return work(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
