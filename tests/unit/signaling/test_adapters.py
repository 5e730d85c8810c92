"""The test for adapters: it passes ours, and names the fault of each bad one."""

from __future__ import annotations

import asyncio
import copy

import pytest

import adieu
from adieu.errors import SignalingLostError
from adieu.signaling import memory_signaling
from adieu.testing import check_signaling

pytestmark = pytest.mark.anyio


async def test_the_pair_in_memory_keeps_the_rules():
    first, second = memory_signaling()

    async def end():
        first.close()

    await check_signaling(first, second, end=end, wait=1.0)


class Queues:
    """A plain adapter over two queues, which keeps all rules until one is broken."""

    def __init__(self, out, into, fault=""):
        self.out, self.into, self.fault = out, into, fault
        self.count = 0

    async def send(self, message):
        self.count += 1
        if self.fault == "waits":
            self.out.put_nowait(copy.deepcopy(message))
            while not self.out.empty():
                await asyncio.sleep(0)
            return
        if self.fault == "loses" and self.count == 40:
            return
        if self.fault == "doubles" and self.count == 40:
            self.out.put_nowait(message)
        if self.fault == "cuts":
            message = {key: value[:1000] if isinstance(value, str) else value for key, value in message.items()}
        self.out.put_nowait(message if self.fault == "shares" else copy.deepcopy(message))

    async def receive(self):
        message = await self.into.get()
        if self.fault == "forgets":
            await asyncio.sleep(0)
        return message


def queues(fault):
    there, back = asyncio.Queue(), asyncio.Queue()
    return Queues(there, back, fault), Queues(back, there, fault)


async def test_a_plain_adapter_passes():
    await check_signaling(*queues(""), wait=1.0)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("waits", "must not wait for the other side"),
        ("loses", "once and in order|was lost"),
        ("doubles", "once and in order"),
        ("cuts", "as it was sent"),
        ("shares", "must not change"),
        ("forgets", "cancelled|was lost"),
    ],
)
async def test_a_bad_adapter_is_told_its_fault(fault, rule):
    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        await check_signaling(*queues(fault), wait=0.2)
    error = caught.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, AssertionError)
    assert any(part in str(error) for part in rule.split("|"))


async def test_an_end_that_is_not_said_is_a_fault():
    async def end():
        pass

    with pytest.raises(AssertionError, match="after the end a receive"):
        await check_signaling(*queues(""), end=end, wait=0.1)


async def test_something_else_is_no_signaling():
    with pytest.raises(AssertionError, match="no send"):
        await check_signaling(object(), object())
    assert issubclass(SignalingLostError, adieu.SignalingError)
