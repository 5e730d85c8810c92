"""The pair in memory."""

from __future__ import annotations

import asyncio

import pytest

from adieu.errors import SignalingLostError
from adieu.signaling import Signaling, memory_signaling

pytestmark = pytest.mark.anyio


async def test_messages_arrive_in_order_as_json_would_have_them():
    one, other = memory_signaling()
    assert isinstance(one, Signaling)
    message = {"n": 1, "list": (1, 2)}
    await one.send(message)
    message["n"] = 2
    await one.send({"n": 3})
    assert await other.receive() == {"n": 1, "list": [1, 2]}
    assert await other.receive() == {"n": 3}


async def test_a_receive_waits_and_may_be_cancelled_without_loss():
    one, other = memory_signaling()
    waiting = asyncio.create_task(other.receive())
    await asyncio.sleep(0)
    waiting.cancel()
    await one.send({"n": 1})
    assert await other.receive() == {"n": 1}
    waiting = asyncio.create_task(other.receive())
    await asyncio.sleep(0)
    await one.send({"n": 2})
    assert await waiting == {"n": 2}


async def test_a_cut_holds_both_directions_and_a_heal_delivers_in_order():
    one, other = memory_signaling()
    assert one.up
    one.cut()
    assert not other.up
    await one.send({"n": 1})
    await one.send({"n": 2})
    await other.send({"n": 3})
    waiting = asyncio.create_task(other.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    other.heal()
    assert [await waiting, await other.receive(), await one.receive()] == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_delay_keeps_the_order_also_when_it_shrinks():
    one, other = memory_signaling(delay=0.02)
    await one.send({"n": 1})
    one.delay = 0.001
    await one.send({"n": 2})
    one.delay = 0
    await one.send({"n": 3})
    assert [(await other.receive())["n"] for _ in range(3)] == [1, 2, 3]


async def test_a_close_ends_both_after_what_has_arrived():
    one, other = memory_signaling()
    await one.send({"n": 1})
    waiting = asyncio.create_task(one.receive())
    await asyncio.sleep(0)
    other.close("enough")
    assert await other.receive() == {"n": 1}
    for end in (one, other):
        with pytest.raises(SignalingLostError, match="enough"):
            await end.receive()
        with pytest.raises(SignalingLostError, match="enough"):
            await end.send({})
    with pytest.raises(SignalingLostError, match="enough"):
        await waiting


async def test_what_is_held_is_bounded():
    one, _ = memory_signaling()
    one.cut()
    for _ in range(4096):
        await one.send({})
    with pytest.raises(SignalingLostError, match="4096 messages already wait"):
        await one.send({})


async def test_a_message_that_is_no_json_is_the_caller_s_error():
    one, _ = memory_signaling()
    with pytest.raises(TypeError):
        await one.send({"x": object()})
