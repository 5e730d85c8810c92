"""Calls that are made with `async with`, and say so when they are made without it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


class Block(AbstractAsyncContextManager[T_co]):
    """Begins what the call makes when `async with` enters it, and ends it with the block."""

    def __init__(self, manager: AbstractAsyncContextManager[T_co], usage: str) -> None:
        self._manager = manager
        self._usage = usage

    async def __aenter__(self) -> T_co:
        return await self._manager.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> bool | None:
        return await self._manager.__aexit__(kind, error, where)

    if not TYPE_CHECKING:  # a type checker says by itself that there is no such thing

        def __await__(self) -> NoReturn:
            raise TypeError(f"it is a block, and nothing to await: write `{self._usage}`")

        def __enter__(self) -> NoReturn:
            raise TypeError(f"it begins in a coroutine: write `{self._usage}`")

        def __exit__(self, *_: object) -> None:
            """Be found by `with`, which looks for both."""

        def __iter__(self) -> NoReturn:
            raise TypeError(f"it begins with its block: write `{self._usage}`")

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(f"there is no {name!r} before the block begins: write `{self._usage}`")


def block(usage: str) -> Callable[[Callable[P, AsyncGenerator[T_co]]], Callable[P, Block[T_co]]]:
    """Make a context manager of a generator, as `contextlib.asynccontextmanager` does.

    Args:
        usage: how it is written, for the error of a program that writes it without `async with`.
    """

    def decorate(generator: Callable[P, AsyncGenerator[T_co]]) -> Callable[P, Block[T_co]]:
        make = asynccontextmanager(generator)

        @wraps(generator)
        def begin(*args: P.args, **keywords: P.kwargs) -> Block[T_co]:
            return Block(make(*args, **keywords), usage)

        return begin

    return decorate
