"""Calls that need `async with`: made without it, they say how they are written."""

from __future__ import annotations

from typing import Any

import pytest

import adieu
import adieu.server


@pytest.mark.parametrize(
    "call",
    [lambda: adieu.join("ws://127.0.0.1:1/ws", room="lab"), adieu.memory_pair, adieu.server.serve],
    ids=["join", "memory_pair", "serve"],
)
async def test_a_block_without_async_with_says_how_it_is_written(call: Any) -> None:
    for use, error in (
        (lambda given: given.session, AttributeError),
        (tuple, TypeError),
        (lambda given: given.__await__(), TypeError),
    ):
        with pytest.raises(error, match="write `async with adieu"):
            use(call())
