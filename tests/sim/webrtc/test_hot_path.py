"""The hot path: what is called between the core and a handler, and that nothing is lost by the short way.

Messages that are sent in one task arrive in one batch here, so a handler that changes something changes what happens to
the very next message.
"""

import asyncio
import sys
from contextlib import contextmanager

import pytest

from adieu import MessageEvent, once
from adieu.errors import InvalidStateError
from support.virtual import simulated


@contextmanager
def calls():
    """The names of all functions that are called, of Python's and of C's."""
    seen = []

    def note(frame, event, argument):
        if event == "call":
            seen.append(frame.f_code.co_qualname)
        elif event == "c_call":
            seen.append(f"C {argument.__name__}")

    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(None)


@pytest.fixture
def got():
    return []


@pytest.mark.parametrize("message", [b"x" * 100, "text"])
@pytest.mark.parametrize("attribute", [True, False])
@simulated()
async def test_no_python_frame_is_between_core_and_handler(world, message, attribute):
    ours, theirs = await world.open_channel(*world.pair())
    events = []

    def handler(event):
        events.append(event)

    if attribute:
        theirs.onmessage = handler
    else:
        theirs.addEventListener("message", handler)
    await world.settle()
    ours.send(message)
    ours.send(message)
    with calls() as seen:
        await world.settle()
    start = seen.index("C deliver")
    own = handler.__qualname__
    assert seen[start : start + 5] == ["C deliver", own, "C append", own, "C append"]
    assert "RTCDataChannel.handle_message" not in seen
    for event in events:
        assert type(event) is MessageEvent
        assert (event.type, event.data, event.origin) == ("message", message, "")
        assert event.target is event.currentTarget is theirs
    assert events[0] is not events[1]


@pytest.mark.parametrize("message", [b"x" * 100, bytearray(100), "text"])
@simulated()
async def test_a_message_is_sent_by_one_call_of_the_core(world, message):
    ours, _ = await world.open_channel(*world.pair())
    ours.send(message)  # the first of a task begins a turn
    with calls() as seen:
        ours.send(message)
    assert seen[:2] == ["RTCDataChannel.send", "C post"]
    assert seen[2:] in ([], ["calls", "C setprofile"]) or seen[2].startswith("_GeneratorContextManager")


@simulated()
async def test_the_window_opens_again_without_python(world):
    """Ten times the receive buffer passes: what is handed out is given back."""
    ours, theirs = await world.open_channel(*world.pair())
    sizes = []
    theirs.onmessage = lambda event: sizes.append(len(event.data))
    for _ in range(80):
        for _ in range(4):
            ours.send(bytes(250_000))
        await world.settle(0.2)
    await world.settle(30)
    assert sum(sizes) == 80 * 1_000_000


@simulated()
async def test_a_handler_that_is_replaced_gets_no_further_message(world, got):
    ours, theirs = await world.open_channel(*world.pair())

    def first(event):
        got.append(("first", event.data))
        theirs.onmessage = lambda event: got.append(("second", event.data))

    theirs.onmessage = first
    send(ours, "abc")
    await world.settle()
    assert got == [("first", "a"), ("second", "b"), ("second", "c")]


@simulated()
async def test_a_listener_added_meanwhile_gets_the_next_message(world, got):
    ours, theirs = await world.open_channel(*world.pair())

    def first(event):
        got.append(("first", event.data))
        theirs.addEventListener("message", second)

    def second(event):
        got.append(("second", event.data))

    theirs.onmessage = first
    send(ours, "ab")
    await world.settle()
    assert got == [("first", "a"), ("first", "b"), ("second", "b")]


@simulated()
async def test_once_is_once_and_a_handler_that_is_removed_is_not_called(world, got):
    ours, theirs = await world.open_channel(*world.pair())

    def each(event):
        got.append(("each", event.data))
        if event.data == "b":
            theirs.removeEventListener("message", each)

    theirs.addEventListener("message", lambda event: got.append(("once", event.data)), once=True)
    theirs.addEventListener("message", each)
    send(ours, "abc")
    await world.settle()
    assert got == [("once", "a"), ("each", "a"), ("each", "b")]


@simulated()
async def test_who_awaits_a_message_gets_it_beside_the_handler(world, got):
    ours, theirs = await world.open_channel(*world.pair())
    theirs.onmessage = lambda event: got.append(event.data)
    waiting = asyncio.ensure_future(once(theirs, "message"))
    await world.settle()
    send(ours, "ab")
    assert (await waiting).data == "a"
    await world.settle()
    assert got == ["a", "b"]


@simulated()
async def test_a_reader_that_begins_in_the_handler_gets_the_next_message(world, got):
    ours, theirs = await world.open_channel(*world.pair())

    def handler(event):
        got.append(event.data)
        readers.append(asyncio.ensure_future(theirs.receive()))

    readers = []
    theirs.onmessage = handler
    send(ours, "ab")
    await world.settle()
    assert got == ["a", "b"]
    assert await readers[0] == "b"
    readers[1].cancel()


@simulated()
async def test_no_message_comes_after_a_close_in_the_handler(world, got):
    ours, theirs = await world.open_channel(*world.pair())

    def handler(event):
        got.append(event.data)
        theirs.close()

    theirs.onmessage = handler
    send(ours, "abc")
    await world.settle()
    assert got == ["a"]
    with pytest.raises(InvalidStateError, match="closed, not open"):
        theirs.send("x")


@simulated()
async def test_what_a_handler_raises_is_reported_and_stops_nothing(world, got):
    ours, theirs = await world.open_channel(*world.pair())

    def handler(event):
        got.append(event.data)
        if event.data == "a":
            raise ValueError("no a")

    theirs.onmessage = handler
    send(ours, "ab")
    await world.settle()
    assert got == ["a", "b"]
    [reported] = world.errors
    world.errors.clear()
    assert isinstance(reported["exception"], ValueError)
    assert reported["exception"].__traceback__ is not None
    assert reported["message"] == f"the 'message' handler of {theirs!r} failed"


@pytest.mark.parametrize("handlers", [1, 2])
@simulated()
async def test_a_cancelled_future_that_a_handler_reads_does_not_close_the_window(world, got, handlers):
    """Each message is given back to the core, as after any other exception; no event loop ends."""
    ours, theirs = await world.open_channel(*world.pair())
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    def handler(event):
        got.append(event.data)
        cancelled.result()

    theirs.onmessage = handler
    if handlers == 2:
        theirs.addEventListener("message", lambda event: None)
    for _ in range(200):
        ours.send(bytes(60_000))
    await world.settle()
    assert len(got) == len(world.errors) == 200
    assert {type(reported["exception"]) for reported in world.errors} == {asyncio.CancelledError}
    world.errors.clear()


@simulated()
async def test_an_async_handler_never_overlaps_and_the_short_way_comes_back(world, got):
    ours, theirs = await world.open_channel(*world.pair())

    async def slow(event):
        got.append(("begins", event.data))
        await asyncio.sleep(1)
        got.append(("ends", event.data))

    theirs.onmessage = slow
    send(ours, "ab")
    await world.settle(5)
    assert got == [("begins", "a"), ("ends", "a"), ("begins", "b"), ("ends", "b")]
    theirs.onmessage = lambda event: got.append(event.data)
    ours.send("c")
    with calls() as seen:
        await world.settle()
    assert got[4:] == ["c"]
    assert "RTCDataChannel.handle_message" not in seen


@simulated()
async def test_a_channel_that_nobody_closed_is_collected_with_its_handler(world):
    import gc
    import weakref

    a, b = world.pair()
    _, theirs = await world.open_channel(a, b)

    class Handler:
        def __call__(self, event):
            """Nothing."""

    handler = Handler()
    theirs.onmessage = handler
    kept = weakref.ref(handler)
    del handler
    gc.collect()
    assert kept() is not None
    a.close()
    b.close()
    await world.settle()
    del theirs
    gc.collect()
    assert kept() is None


def send(channel, messages):
    for message in messages:
        channel.send(message)
