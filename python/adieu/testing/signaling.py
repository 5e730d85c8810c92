"""The test that an adapter of signaling must pass: whatever carries the messages, a session relies on these rules."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from adieu.errors import SignalingLostError
from adieu.signaling import Signaling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

COUNT = 100
"""Messages of a burst; a session sends fewer at once."""
LONG = 60 * 1024
"""The longest text in a message: a session description."""


async def check_signaling(
    first: Signaling,
    second: Signaling,
    *,
    end: Callable[[], Awaitable[None]] | None = None,
    wait: float = 10.0,
) -> None:
    """Check that two connected ends of your signaling keep the rules of `adieu.signaling.Signaling`.

    ```python
    async def test_mine_is_an_adapter():
        first, second = adieu.signaling.memory_signaling()
        await adieu.testing.check_signaling(first, second)
    ```

    Args:
        first: one end.
        second: the other end.
        end: ends the signaling for good. With it the end is checked too, and both ends are of no use after it.
        wait: seconds within which a message must arrive.

    Raises:
        AssertionError: a rule is broken; the error names it.
    """
    for one in (first, second):
        assert isinstance(one, Signaling), f"{type(one).__name__} has no send() and receive()"  # noqa: S101
    checks = (_values, _own_copy, _order, _nobody_receives, _cancelled)
    for check in checks:
        for one, other in ((first, second), (second, first)):
            await check(one, other, wait)
    if end is not None:
        await _end(first, second, end, wait)


async def _values(one: Signaling, other: Signaling, wait: float) -> None:
    """Everything that JSON can hold arrives as it was sent."""
    message: dict[str, Any] = {
        "type": "description",
        "sdp": "v=0\r\n" + "é" * (LONG // 2),
        "text": '"\\\x00\u2028 👋',
        "nested": {"list": [1, -2.5, True, False, None, [], {}]},
        "large": 2**53 - 1,
        "empty": "",
    }
    await _send(one, message, wait)
    _same(await _receive(other, wait), message, "a message must arrive as it was sent")


async def _own_copy(one: Signaling, other: Signaling, wait: float) -> None:
    """A message is what it was when send() returned."""
    message: dict[str, Any] = {"type": "candidates", "list": [1]}
    await _send(one, message, wait)
    message["list"].append(2)
    found = await _receive(other, wait)
    _same(found, {"type": "candidates", "list": [1]}, "a message must not change with the dict after send() returned")


async def _order(one: Signaling, other: Signaling, wait: float) -> None:
    """Many messages in both directions at once arrive once and in order."""

    async def send(end: Signaling) -> None:
        for number in range(COUNT):
            await _send(end, {"type": "ping", "n": number}, wait)

    async def receive(end: Signaling) -> None:
        for number in range(COUNT):
            _same(await _receive(end, wait), {"type": "ping", "n": number}, "messages must arrive once and in order")

    async with asyncio.TaskGroup() as group:
        for end in (one, other):
            group.create_task(send(end))
            group.create_task(receive(end))


async def _nobody_receives(one: Signaling, other: Signaling, wait: float) -> None:
    """send() waits for nobody: a session sends while the other side still asks for a camera."""
    for number in range(COUNT):
        await _send(one, {"type": "early", "n": number}, wait)
    for number in range(COUNT):
        _same(await _receive(other, wait), {"type": "early", "n": number}, "no message may be lost before receive()")


async def _cancelled(one: Signaling, other: Signaling, wait: float) -> None:
    """A cancelled receive() loses nothing, at whichever moment it is cancelled."""
    for number in range(COUNT):
        receiving = asyncio.ensure_future(other.receive())
        await asyncio.sleep(0)
        await _send(one, {"type": "late", "n": number}, wait)
        for _ in range(number % 5):
            await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait([receiving])
        found = await _receive(other, wait) if receiving.cancelled() else receiving.result()
        _same(found, {"type": "late", "n": number}, "a cancelled receive() must not lose a message")


async def _end(first: Signaling, second: Signaling, end: Callable[[], Awaitable[None]], wait: float) -> None:
    """After the end both say so, also to a receive() that waits."""
    waiting = asyncio.ensure_future(second.receive())
    await asyncio.sleep(0)
    await end()
    try:
        calls: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
            ("a receive() that waits", lambda: waiting),
            ("receive()", first.receive),
            ("send()", lambda: first.send({"type": "ping"})),
        ]
        for name, call in calls:
            try:
                await _within(call(), wait)
            except SignalingLostError:
                continue
            except TimeoutError:
                pass
            raise AssertionError(f"after the end {name} must raise SignalingLostError")
    finally:
        waiting.cancel()
        await asyncio.wait([waiting])


async def _within(what: Awaitable[Any], wait: float) -> Any:
    async with asyncio.timeout(wait):
        return await what


async def _send(end: Signaling, message: dict[str, Any], wait: float) -> None:
    try:
        await _within(end.send(message), wait)
    except TimeoutError:
        raise AssertionError(f"send() must not wait for the other side: {wait:g} s were not enough") from None


async def _receive(end: Signaling, wait: float) -> dict[str, Any]:
    try:
        message: dict[str, Any] = await _within(end.receive(), wait)
    except TimeoutError:
        raise AssertionError(f"a message was lost: nothing came for {wait:g} s") from None
    return message


def _same(found: object, sent: object, rule: str) -> None:
    if found != sent:
        raise AssertionError(f"{rule}: {str(sent)[:120]} was sent, and {str(found)[:120]} came")
