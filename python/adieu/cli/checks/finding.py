"""The answer of a check, and what checks share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Status = Literal["ok", "note", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check.

    Attributes:
        name: what was checked: one word or two.
        status: `ok`; `note`: something is missing that is not always needed; `failed`; `skipped`: it was not tried.
        text: the answer in words.
        remedy: what a person can do about it.
        figures: the same as numbers and names, for programs.
    """

    name: str
    status: Status
    text: str
    remedy: str = ""
    figures: dict[str, Any] = field(default_factory=dict[str, Any])


async def in_thread(function: Callable[[], T], seconds: float) -> T:
    """Call a function that may block. Its thread does not keep the program from ending.

    Raises:
        TimeoutError: it took longer than `seconds`; it goes on by itself.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)  # type: ignore[arg-type]

    def work() -> None:
        value: T | None = None
        error: BaseException | None = None
        try:
            value = function()
        except Exception as caught:  # noqa: BLE001 it is raised where the result is awaited
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, daemon=True, name="adieu doctor").start()
    async with asyncio.timeout(seconds):
        return await done


def milliseconds(seconds: float) -> str:
    """A short time in words: `0.3 ms`, `45 ms`."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def shown(address: tuple[str, int]) -> str:
    """An address and port in words: `192.0.2.1 port 3478`."""
    return f"{address[0]} port {address[1]}"
