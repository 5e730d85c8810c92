"""EventTarget: order, async handlers, failures, waiting."""

import asyncio
import logging
from contextlib import contextmanager

import pytest

from adieu.errors import AbortError, InvalidStateError
from adieu.events import SLOW_HANDLER, Event, EventHandler, EventTarget, MessageEvent, end_events, once


class Thing(EventTarget):
    onopen = EventHandler[Event]("open")


@pytest.fixture
def thing():
    return Thing()


@contextmanager
def failures():
    """What goes to the loop's exception handler."""
    loop = asyncio.get_running_loop()
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(context))
    try:
        yield seen
    finally:
        loop.set_exception_handler(None)


async def rounds(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


# --- plain handlers -----------


async def test_handlers_are_called_at_once_and_in_order(thing):
    seen = []
    thing.addEventListener(
        "open", lambda e: seen.append(("first", e.type, e.target is thing, e.currentTarget is thing))
    )
    thing.onopen = lambda e: seen.append("attribute")
    thing.addEventListener("open", lambda e: seen.append("last"))
    assert thing.dispatchEvent(Event("open")) is True
    assert seen == [("first", "open", True, True), "attribute", "last"]


async def test_the_same_listener_twice_is_one(thing):
    seen = []
    thing.addEventListener("open", seen.append)
    thing.addEventListener("open", seen.append)
    thing.onopen = seen.append  # which is another one
    thing.dispatchEvent(Event("open"))
    assert len(seen) == 2


async def test_an_attribute_keeps_its_place_until_it_is_none(thing):
    """https://html.spec.whatwg.org/#event-handler-attributes."""
    seen = []
    thing.onopen = lambda e: seen.append("old")
    thing.addEventListener("open", lambda e: seen.append("listener"))
    thing.onopen = lambda e: seen.append("new")
    thing.dispatchEvent(Event("open"))
    assert seen == ["new", "listener"]
    thing.onopen = None
    assert thing.onopen is None
    thing.onopen = lambda e: seen.append("again")
    thing.dispatchEvent(Event("open"))
    assert seen[2:] == ["listener", "again"]


@pytest.mark.parametrize("options", [{"options": {"once": True}}, {"once": True}])
async def test_once_is_once(thing, options):
    seen = []
    thing.addEventListener("open", seen.append, **options)
    thing.dispatchEvent(Event("open"))
    thing.dispatchEvent(Event("open"))
    assert len(seen) == 1


async def test_removed_listeners_are_not_called_any_more(thing):
    seen = []

    def second(event):
        seen.append("second")

    def first(event):
        seen.append("first")
        thing.removeEventListener("open", second)

    thing.addEventListener("open", first)
    thing.addEventListener("open", second)
    thing.dispatchEvent(Event("open"))
    thing.removeEventListener("open", first)
    thing.removeEventListener("open", first)
    thing.dispatchEvent(Event("open"))
    assert seen == ["first"]


async def test_what_can_not_be_called_is_refused(thing):
    with pytest.raises(TypeError, match="onopen is 5"):
        thing.onopen = 5
    with pytest.raises(TypeError, match="'open' is None"):
        thing.addEventListener("open", None)


async def test_a_handler_that_fails_is_reported_and_the_next_one_runs(thing):
    seen = []
    with failures() as reported:
        thing.addEventListener("open", lambda e: 1 / 0)
        thing.addEventListener("open", seen.append)
        thing.dispatchEvent(Event("open"))
        thing.removeEventListener("open", seen.append)
        thing.dispatchEvent(Event("open"))
    assert len(seen) == 1
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError] * 2
    assert "'open'" in reported[0]["message"]


@pytest.mark.parametrize("others", [0, 1])
async def test_a_cancelled_future_that_a_handler_reads_is_reported_as_any_error(thing, others):
    seen = []
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    with failures() as reported:
        thing.addEventListener("open", lambda e: cancelled.result())
        for _ in range(others):
            thing.addEventListener("open", seen.append)
        assert thing.dispatchEvent(Event("open")) is True
    assert [type(context["exception"]) for context in reported] == [asyncio.CancelledError]
    assert len(seen) == others


# --- async handlers -----------


async def test_async_handlers_of_one_object_never_overlap(thing):
    seen = []
    running = 0

    async def handler(event):
        nonlocal running
        running += 1
        assert running == 1
        seen.append(("begins", event.data))
        await rounds()
        seen.append(("ends", event.data))
        running -= 1

    thing.addEventListener("open", handler)
    thing.addEventListener("open", lambda e: seen.append(("plain", e.data)))
    for number in (1, 2):
        thing.dispatchEvent(MessageEvent("open", str(number)))
    await rounds(20)
    assert seen == [
        ("begins", "1"), ("ends", "1"), ("plain", "1"), ("begins", "2"), ("ends", "2"), ("plain", "2")
    ]  # fmt: skip


async def test_other_objects_go_on(thing):
    other, seen = Thing(), []
    thing.onopen = lambda e: asyncio.sleep(1000)
    other.onopen = seen.append
    thing.dispatchEvent(Event("open"))
    other.dispatchEvent(Event("open"))
    assert len(seen) == 1


async def test_a_handler_that_is_set_while_another_runs_gets_what_waits(thing):
    seen = []

    async def opened(event):
        await rounds()
        thing.addEventListener("message", lambda e: seen.append(e.data))

    thing.onopen = opened
    thing.dispatchEvent(Event("open"))
    thing.dispatchEvent(MessageEvent("message", "hello"))
    await rounds(10)
    assert seen == ["hello"]


async def test_an_async_handler_that_fails_is_reported(thing):
    seen = []

    async def fails(event):
        await asyncio.sleep(0)
        raise RuntimeError("no")

    with failures() as reported:
        thing.addEventListener("open", fails)
        thing.addEventListener("open", seen.append)
        thing.dispatchEvent(Event("open"))
        await rounds()
    assert [str(context["exception"]) for context in reported] == ["no"]
    assert len(seen) == 1


async def test_a_handler_that_awaits_what_was_cancelled_loses_no_event(thing):
    """The handler's task was not cancelled: the events that wait behind it are handed out."""
    seen = []
    helper = asyncio.create_task(asyncio.sleep(1000))

    async def awaits(event):
        seen.append(event.type)
        if event.type == "open":
            await helper

    thing.addEventListener("open", awaits)
    thing.addEventListener("open", lambda e: seen.append("next"))
    thing.addEventListener("close", awaits)
    with failures() as reported:
        thing.dispatchEvent(Event("open"))
        thing.dispatchEvent(Event("close"))
        await rounds()
        helper.cancel()
        await rounds()
    assert seen == ["open", "next", "close"]
    assert [type(context["exception"]) for context in reported] == [asyncio.CancelledError]


async def test_a_cancelled_handler_leaves_the_object_usable(thing):
    seen = []

    async def handler(event):
        await asyncio.sleep(1000)

    thing.addEventListener("open", handler, once=True)
    thing.dispatchEvent(Event("open"))
    await asyncio.sleep(0)
    [task] = [t for t in asyncio.all_tasks() if "onopen" in t.get_name()]
    task.cancel()
    await rounds()
    thing.onopen = seen.append
    thing.dispatchEvent(Event("open"))
    assert len(seen) == 1


async def test_a_slow_handler_that_holds_others_back_is_logged(thing, caplog, monkeypatch):
    loop = asyncio.get_running_loop()
    release = loop.create_future()
    thing.onopen = lambda e: wait(release)
    thing.dispatchEvent(Event("open"))
    await asyncio.sleep(0)
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + SLOW_HANDLER + 1)
    with caplog.at_level(logging.WARNING, "adieu"):
        for _ in range(3):
            thing.dispatchEvent(Event("open"))
    assert len(caplog.records) == 1
    assert "one after the other" in caplog.text
    thing.onopen = None
    release.set_result(None)
    await rounds()


async def wait(future):
    await future


# --- waiting -----------


async def test_once_gives_the_next_event_of_its_type(thing):
    waiting = asyncio.ensure_future(once(thing, "open"))
    await asyncio.sleep(0)
    thing.dispatchEvent(Event("close"))
    assert not waiting.done()
    event = Event("open")
    thing.dispatchEvent(event)
    assert await waiting is event


async def test_once_is_not_held_back_by_an_async_handler(thing):
    """A handler may await another event of its own object."""
    seen = []

    async def handler(event):
        seen.append((await once(thing, "low")).type)

    thing.onopen = handler
    thing.dispatchEvent(Event("open"))
    await rounds()
    thing.dispatchEvent(Event("low"))
    await rounds()
    assert seen == ["low"]


async def test_a_cancelled_once_leaves_nothing_behind(thing):
    waiting = asyncio.ensure_future(once(thing, "open"))
    await asyncio.sleep(0)
    waiting.cancel()
    await rounds()
    assert not thing._waiters
    thing.dispatchEvent(Event("open"))


async def test_an_end_ends_every_wait(thing):
    waits = [asyncio.ensure_future(once(thing, name)) for name in ("open", "open", "close")]
    await asyncio.sleep(0)
    end_events(thing, "it is over")
    for waiting in waits:
        with pytest.raises(AbortError, match="it is over"):
            await waiting
    with pytest.raises(InvalidStateError, match="'open' cannot happen now: it is over"):
        await once(thing, "open")


async def test_an_end_may_forget_what_waits_for_a_handler(thing):
    seen = []
    thing.onopen = lambda e: rounds()
    thing.addEventListener("late", seen.append)
    thing.dispatchEvent(Event("open"))
    thing.dispatchEvent(Event("late"))
    end_events(thing, "over", forget=True)
    await rounds(10)
    assert seen == []
