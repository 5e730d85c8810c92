"""An event loop without `add_reader`, as the default one of Windows: a thread waits for the core."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from adieu import RTCPeerConnection
from adieu.driver import Driver, waking


class Loop(asyncio.SelectorEventLoop):
    """It waits for its own things alone."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError

    remove_reader = add_reader


def waking_threads():
    return [thread for thread in threading.enumerate() if thread.name == "adieu-wake"]


def until_no_thread_waits():
    end = time.monotonic() + 10
    while waking_threads():
        assert time.monotonic() < end, "a thread stays behind"
        time.sleep(0.01)


async def exchange():
    """Send a message, get it back, and close one side; the other one hears of it."""
    a, b = RTCPeerConnection(), RTCPeerConnection()
    over = asyncio.Event()
    got = asyncio.get_running_loop().create_future()
    a.onicecandidate = lambda event: b.addIceCandidate(event.candidate)
    b.onicecandidate = lambda event: a.addIceCandidate(event.candidate)

    def answer(event):
        event.channel.onmessage = lambda message: event.channel.send(message.data)
        event.channel.onclose = lambda _: over.set()

    b.ondatachannel = answer
    channel = a.createDataChannel("there and back")
    channel.onopen = lambda _: channel.send("hello")
    channel.onmessage = lambda event: got.set_result(event.data)
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    message = await asyncio.wait_for(got, 20)
    a.close()
    await asyncio.wait_for(over.wait(), 20)
    b.close()
    return message


def test_two_connections_talk_and_close_and_no_thread_stays_behind():
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(exchange()) == "hello"
        assert len(waking_threads()) == 1
    until_no_thread_waits()


@pytest.mark.parametrize("is_told", [False, True])
def test_a_loop_that_is_closed_without_shutdown_is_let_go(monkeypatch, is_told):
    monkeypatch.setattr(waking, "LOOKS", 0.05)

    async def main():
        driver = Driver.current()
        if is_told:
            RTCPeerConnection().createDataChannel("left")
        return weakref.ref(driver)

    loop = Loop()
    driver = loop.run_until_complete(main())
    loop.close()
    del loop
    until_no_thread_waits()
    gc.collect()
    assert driver() is None


def test_a_blocked_loop_is_told_once(monkeypatch):
    told = []
    monkeypatch.setattr(waking, "LOOKS", 0.01)

    async def main():
        loop = asyncio.get_running_loop()
        call_soon = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: told.append(args) or call_soon(*args))
        core = Driver.current().core
        core.request_stats(1, 1)  # of a transport that is not there: the answer is an event
        time.sleep(0.3)  # noqa: ASYNC251 it is the blocked loop
        return len(told)

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(main()) == 1
