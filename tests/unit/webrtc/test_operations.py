"""The operations chain, and the inbox of a channel."""

import asyncio

import pytest

from adieu.errors import AbortError, InvalidStateError, RTCError
from adieu.webrtc.inbox import Inbox, MessageIterator
from adieu.webrtc.ledger import Release, ReleaseLedger
from adieu.webrtc.operations import OperationsChain


@pytest.fixture
def log():
    return []


@pytest.fixture
def chain(log):
    return OperationsChain(lambda: log.append("empty"), strict=False)


def operation(log, name, wait=None):
    async def run():
        log.append(f"{name} begins")
        if wait is not None:
            await wait
        log.append(f"{name} ends")
        return name

    return run


async def rounds(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_after_the_other(chain, log):
    """W3C chain an operation."""
    gate = asyncio.get_running_loop().create_future()
    one = asyncio.ensure_future(chain.chain(operation(log, "one", gate)))
    two = asyncio.ensure_future(chain.chain(operation(log, "two")))
    await rounds()
    assert log == ["one begins"]
    assert len(chain) == 2
    gate.set_result(None)
    assert await asyncio.gather(one, two) == ["one", "two"]
    assert log == ["one begins", "one ends", "two begins", "two ends", "empty"]


async def test_a_failure_is_the_callers_and_the_next_one_runs(chain, log):
    async def fails():
        raise RuntimeError("no")

    one = asyncio.ensure_future(chain.chain(fails))
    two = asyncio.ensure_future(chain.chain(operation(log, "two")))
    with pytest.raises(RuntimeError, match="no"):
        await one
    assert await two == "two"


@pytest.mark.parametrize("victim", [0, 1])
async def test_a_cancelled_caller_leaves_the_chain(chain, log, victim):
    gate = asyncio.get_running_loop().create_future()
    tasks = [
        asyncio.ensure_future(chain.chain(operation(log, "one", gate))),
        asyncio.ensure_future(chain.chain(operation(log, "two"))),
        asyncio.ensure_future(chain.chain(operation(log, "three"))),
    ]
    await rounds()
    tasks[victim].cancel()
    await rounds()
    if not gate.done():
        gate.set_result(None)
    await asyncio.wait(tasks)
    assert tasks[victim].cancelled()
    assert log[-2:] == ["three ends", "empty"]
    assert len(chain) == 0


async def test_close_ends_what_waits_and_refuses_the_rest(chain, log):
    """Closing rules 22, 32, 35."""
    gate = asyncio.get_running_loop().create_future()
    one = asyncio.ensure_future(chain.chain(operation(log, "one", gate)))
    two = asyncio.ensure_future(chain.chain(operation(log, "two")))
    await rounds()
    chain.close()
    with pytest.raises(AbortError):
        await two
    with pytest.raises(InvalidStateError):
        await chain.chain(operation(log, "three"))
    gate.set_result(None)
    await one
    assert "two begins" not in log
    assert "empty" not in log


async def test_by_the_letter_what_waits_never_ends(log):
    """Closing rule 31."""
    chain = OperationsChain(lambda: None, strict=True)
    gate = asyncio.get_running_loop().create_future()
    tasks = [asyncio.ensure_future(chain.chain(operation(log, name, gate))) for name in ("one", "two")]
    await rounds()
    chain.close()
    await rounds(20)
    assert not tasks[1].done()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


# --- inbox -----------


@pytest.fixture
def taken():
    return []


@pytest.fixture
def inbox(taken):
    return Inbox(taken.append)


async def test_messages_are_given_back_when_they_are_read(inbox, taken):
    inbox.put("a", 1)
    inbox.put(b"bc", 2)
    assert taken == []
    assert [await inbox.get(), await inbox.get()] == ["a", b"bc"]
    assert taken == [1, 2]


async def test_each_reader_gets_another_message(inbox):
    readers = [asyncio.ensure_future(inbox.get()) for _ in range(2)]
    await rounds()
    inbox.put("a", 1)
    inbox.put("b", 1)
    assert await asyncio.gather(*readers) == ["a", "b"]


@pytest.mark.parametrize("when", ["before", "with"])
async def test_a_cancelled_reader_loses_nothing(inbox, when):
    first, second = (asyncio.ensure_future(inbox.get()) for _ in range(2))
    await rounds()
    if when == "with":
        inbox.put("a", 1)
    first.cancel()
    if when == "before":
        inbox.put("a", 1)
    await rounds()
    assert first.cancelled()
    assert await asyncio.wait_for(second, 1) == "a"


async def test_what_is_here_is_read_before_the_end(inbox, taken):
    inbox.put("a", 1)
    inbox.put("b", 1)
    inbox.end(None)
    assert taken == [2], "the others go on: the window is open again"
    assert [message async for message in MessageIterator(inbox)] == ["a", "b"]
    with pytest.raises(InvalidStateError):
        await inbox.get()
    assert taken == [2]


async def test_an_error_ends_it_after_what_is_here(inbox):
    inbox.put("a", 1)
    inbox.end(RTCError({"errorDetail": "sctp-failure"}, "gone"))
    messages = MessageIterator(inbox)
    assert await anext(messages) == "a"
    with pytest.raises(RTCError, match="gone"):
        await anext(messages)


async def test_the_end_wakes_every_reader(inbox):
    readers = [asyncio.ensure_future(inbox.get()) for _ in range(2)]
    await rounds()
    inbox.end(None)
    for reader in readers:
        with pytest.raises(InvalidStateError):
            await reader


# --- ledger -----------


def test_a_ledger_is_false_when_nothing_is_left():
    assert not ReleaseLedger({"sockets": 0})
    left = ReleaseLedger({"sockets": 2, "timers": 0})
    assert left
    assert dict(left) == {"sockets": 2}
    assert repr(left) == "2 sockets"
    assert repr(ReleaseLedger({})) == "nothing left"


async def test_the_end_is_for_all_who_wait_before_and_after():
    release = Release()
    waits = [asyncio.ensure_future(release.wait()) for _ in range(3)]
    await rounds()
    waits[0].cancel()
    await rounds()
    release.finish({"sockets": 0})
    release.finish({"sockets": 1})
    assert [dict(ledger) for ledger in await asyncio.gather(*waits[1:])] == [{}, {}]
    assert not await release.wait()
