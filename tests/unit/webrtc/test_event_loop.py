"""Connections and the life of event loops, on real sockets: ends, threads, what is left."""

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import adieu.signaling
from adieu import RTCPeerConnection, once
from adieu.driver import Driver
from adieu.events import Event, EventHandler

PATIENCE = 20


async def connect(a, b):
    """Both in this loop; a channel open at both ends."""
    for one, other in ((a, b), (b, a)):
        one.onicecandidate = lambda event, other=other: asyncio.ensure_future(other.addIceCandidate(event.candidate))
    ours = a.createDataChannel("x")
    arrives = asyncio.ensure_future(once(b, "datachannel"))
    await a.setLocalDescription()
    await b.setRemoteDescription(a.localDescription)
    await b.setLocalDescription()
    await a.setRemoteDescription(b.localDescription)
    async with asyncio.timeout(PATIENCE):
        await once(ours, "open")
        return ours, (await arrives).channel


class OtherLoop:
    """An event loop in a thread of its own, with a connection to one of this loop."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.pc = self.arrives = None
        self._thread = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.loop.close()

    def start(self):
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def stop(self):
        if self._thread is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(PATIENCE)
            self._thread = None

    async def do(self, coroutine):
        async with asyncio.timeout(PATIENCE):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self.loop))

    async def answer(self, offer):
        self.pc = RTCPeerConnection()
        self.arrives = asyncio.ensure_future(once(self.pc, "datachannel"))
        await self.pc.setRemoteDescription(offer)
        await self.pc.setLocalDescription()
        while self.pc.iceGatheringState != "complete":
            await once(self.pc, "icegatheringstatechange")
        return self.pc.localDescription.toJSON()

    async def connect(self):
        """A connection of this loop, its open channel, and the channel's next error."""
        pc = RTCPeerConnection()
        channel = pc.createDataChannel("x")
        await pc.setLocalDescription()
        while pc.iceGatheringState != "complete":
            await once(pc, "icegatheringstatechange")
        await pc.setRemoteDescription(await self.do(self.answer(pc.localDescription.toJSON())))
        async with asyncio.timeout(PATIENCE):
            await once(channel, "open")
        failing = asyncio.get_running_loop().create_future()
        channel.onerror = failing.set_result
        return pc, channel, failing


@pytest.fixture
def other():
    with OtherLoop() as loop:
        yield loop


async def test_two_loops_in_two_threads(other):
    pc, channel, _ = await other.connect()
    reading = channel.receive()

    async def talk():
        (await other.arrives).channel.send("hi")

    await other.do(talk())
    async with asyncio.timeout(PATIENCE):
        assert await reading == "hi"
    pc.close()
    assert not await pc.wait_closed()

    async def close():
        other.pc.close()
        return await other.pc.wait_closed()

    assert not await other.do(close())


async def test_the_end_of_a_loop_closes_what_its_program_forgot(other):
    """The peer is told at once: ABORT with cause 12, not silence."""
    pc, _, failing = await other.connect()
    await other.do(other.loop.shutdown_asyncgens())
    async with asyncio.timeout(PATIENCE):
        error = (await failing).error
    assert error.sctpCauseCode == 12
    assert other.pc.connectionState == "closed"
    for one in (pc, other.pc):
        one.close()
    assert not await pc.wait_closed()


async def test_close_on_a_loop_that_was_closed(other):
    """Without the usual shutdown nobody noticed; close() still tells the peer, and nothing hangs."""
    pc, _, failing = await other.connect()
    other.stop()
    other.loop.close()
    other.pc.close()
    async with asyncio.timeout(PATIENCE):
        error = (await failing).error
        assert error.sctpCauseCode == 12
        assert dict(await other.pc.wait_closed()) == {"unwatched": 1}
    other.pc.close()
    pc.close()
    assert not await pc.wait_closed()


async def test_close_on_a_loop_that_has_stopped(other):
    """Its events come when it runs again."""
    pc, _, failing = await other.connect()
    other.stop()
    other.pc.close()
    assert other.pc.connectionState == "closed"
    async with asyncio.timeout(PATIENCE):
        await failing
    other.start()
    assert not await other.do(other.pc.wait_closed())
    pc.close()
    assert not await pc.wait_closed()


# --- threads -----------

READS = {
    "getConfiguration", "getTransceivers", "getSenders", "getReceivers", "getParameters", "getCapabilities",
    "generateCertificate", "getContributingSources", "getSynchronizationSources", "getLocalCandidates",
    "getRemoteCandidates", "getSelectedCandidatePair", "getLocalParameters", "getRemoteParameters",
    "getRemoteCertificates",
}  # fmt: skip
INTERNAL = {"forget_parameters", "clear"}
ARGUMENTS = {
    "addTransceiver": ("audio",),
    "createDataChannel": ("x",),
    "send": ("x",),
    "dispatchEvent": (Event("open"),),
    "addEventListener": ("open", print),
    "removeEventListener": ("open", print),
    "insertDTMF": ("1",),
    "setCodecPreferences": ([],),
    "setParameters": ({},),
    "replaceTrack": (None,),
    "addTrack": (None,),
    "removeTrack": (None,),
}
VALUES = {"bufferedAmountLowThreshold": 5, "binaryType": "blob", "direction": "sendonly", "jitterBufferTarget": 100}


def uses(thing):
    """What a program may do with an object that is not only looking at it, by name."""
    for name in dir(type(thing)):
        member = inspect.getattr_static(type(thing), name)
        if name == "__aiter__":
            yield name, thing.__aiter__
        elif name.startswith(("_", "handle_")) or name in READS | INTERNAL:
            continue
        elif isinstance(member, EventHandler):
            yield name, partial(setattr, thing, name, print)
        elif isinstance(member, property):
            if member.fset is not None:
                yield name, partial(setattr, thing, name, VALUES[name])
        elif callable(member):
            yield name, partial(getattr(thing, name), *ARGUMENTS.get(name, ()))


def elsewhere(call):
    """The error of a call in another thread, also of a coroutine that is awaited there."""

    def run():
        result = call()
        if inspect.iscoroutine(result):

            async def main():
                return await asyncio.wait_for(result, PATIENCE)

            asyncio.run(main())

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).exception(PATIENCE)


async def test_an_object_that_is_used_in_another_thread_says_what_to_do():
    a, b = RTCPeerConnection(), RTCPeerConnection()
    transceiver = a.addTransceiver("audio")
    ours, _ = await connect(a, b)
    objects = [a, ours, transceiver, transceiver.sender, transceiver.receiver, transceiver.sender.dtmf]
    objects += [a.sctp, a.sctp.transport, a.sctp.transport.iceTransport]
    tried = 0
    for thing in objects:
        for name, call in uses(thing):
            error = elsewhere(call)
            assert type(error) is RuntimeError, (thing, name, error)
            assert type(thing).__name__ in str(error)
            assert "loop.call_soon_threadsafe(" in str(error)
            assert "run_coroutine_threadsafe(" in str(error)
            tried += 1
    assert tried > 60
    assert type(elsewhere(lambda: once(a, "track"))) is RuntimeError
    assert (a.connectionState, ours.readyState) == ("connected", "open"), "nothing has happened"
    loop = asyncio.get_running_loop()
    waits = [asyncio.ensure_future(wait) for wait in (once(ours, "close"), once(a.sctp, "statechange"))]
    pending = asyncio.ensure_future(a.createOffer())
    await asyncio.sleep(0)
    await asyncio.to_thread(loop.call_soon_threadsafe, a.close)
    async with asyncio.timeout(PATIENCE):
        results = await asyncio.gather(*waits, pending, return_exceptions=True)
        assert not await a.wait_closed()
    assert [type(result).__name__ for result in results[:2]] == ["Event", "Event"]
    b.close()
    assert not await b.wait_closed()


async def test_a_loop_that_goes_on_in_another_thread_takes_its_objects_along(other):
    pc, channel, _ = await other.connect()
    other.stop()
    other.start()  # in a new thread

    async def talk():
        (await other.arrives).channel.send("hi")
        other.pc.createDataChannel("y")

    reading = channel.receive()
    await other.do(talk())
    async with asyncio.timeout(PATIENCE):
        assert await reading == "hi"
    pc.close()
    other.stop()
    other.pc.close()  # it runs nowhere: any thread may
    assert other.pc.connectionState == "closed"


def test_close_after_the_loop_has_ended():
    async def main():
        a, b = RTCPeerConnection(), RTCPeerConnection()
        await connect(a, b)
        fresh = RTCPeerConnection()
        fresh.createDataChannel("x")
        return a, b, fresh

    *connected, fresh = asyncio.run(main())
    for pc in (*connected, fresh):
        pc.close()
        pc.close()
        assert pc.connectionState == "closed"
    for pc in connected:
        assert dict(asyncio.run(pc.wait_closed())) == {"unwatched": 1}
    assert not asyncio.run(fresh.wait_closed())


def test_a_program_that_forgets_everything_ends_cleanly():
    """What was forgotten is named, with the line that made it. Nothing else: no traceback, no wait."""
    program = (
        "import asyncio, sys\n"
        "sys.path.insert(0, 'tests')\n"
        "from unit.webrtc.test_event_loop import connect\n"
        "from adieu import RTCPeerConnection\n"
        "async def main():\n"
        "    asyncio.get_running_loop().slow_callback_duration = 60\n"  # a busy machine is no fault
        "    a, b = RTCPeerConnection(), RTCPeerConnection()\n"
        "    ours, theirs = await connect(a, b)\n"
        "    a.onicecandidate = b.onicecandidate = None\n"
        "    ours.send(b'x' * 100000)\n"
        "    forgotten = asyncio.ensure_future(theirs.receive())\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
        "print('end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "always", "-W", "error::RuntimeWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "end\n")
    said = [line for line in done.stderr.splitlines() if ": unclosed" in line or not line.startswith(" ")]
    assert len(said) == 2, done.stderr
    for line in said:
        assert "ResourceWarning: unclosed <RTCPeerConnection " in line, done.stderr
        assert "made at <string>:7: " in line


def held():
    """Descriptors, threads and tasks of this process."""
    process = Path("/proc/self")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), len(asyncio.all_tasks())


async def test_nothing_is_left_of_connections_that_were_closed():
    before = None
    for round_ in range(12):
        a, b = RTCPeerConnection(), RTCPeerConnection()
        ours, theirs = await connect(a, b)
        ours.send("x" * 1000)
        assert await theirs.receive()
        for pc in (a, b):
            pc.onicecandidate = None
            pc.close()
            assert not await pc.wait_closed()
        if round_ == 2:
            gc.collect()  # of the tests before
            before = held()
    await asyncio.sleep(0)
    assert before is not None
    assert all(now <= then for now, then in zip(held(), before, strict=True)), (held(), before)
    handles = Driver.current().handles
    del a, b, ours, theirs, pc
    gc.collect()
    assert (handles.connections, handles.transports, handles.channels) == ({}, {}, {})
    assert not any(isinstance(thing, RTCPeerConnection) for thing in gc.get_objects())


async def test_a_pool_of_candidates_is_used_and_given_back():
    a, b = (RTCPeerConnection(iceCandidatePoolSize=2) for _ in range(2))
    core = Driver.current().core
    async with asyncio.timeout(PATIENCE):
        while core.counters()["sockets"] < 4:  # an address has a socket for each
            await asyncio.sleep(0.01)
        ours, theirs = await connect(a, b)
        ours.send("hello")
        assert await theirs.receive() == "hello"
    unused = RTCPeerConnection(iceCandidatePoolSize=3)
    for pc in (a, b, unused):
        pc.close()
        assert not await pc.wait_closed()
    assert core.counters()["sockets"] == 0


async def test_a_blocked_loop_does_not_stop_the_last_packets(other):
    """They leave although nobody runs the event loop that called close()."""
    pc, _, failing = await other.connect()
    release = threading.Event()

    async def close_and_block():
        other.pc.close()
        release.wait(PATIENCE)

    blocked = asyncio.ensure_future(other.do(close_and_block()))
    async with asyncio.timeout(PATIENCE):
        await failing
    assert not blocked.done()
    release.set()
    await blocked
    pc.close()
    assert not await pc.wait_closed()


# --- what was not closed -----------


def line_of(text):
    """Where this text stands in this file, as warnings say it."""
    lines = Path(__file__).read_text().splitlines()
    return f"{Path(__file__).name}:{next(n for n, line in enumerate(lines, 1) if text in line)}"


async def test_a_connection_that_was_dropped_without_handlers_is_named_and_closed():
    core = Driver.current().core
    gc.collect()
    before = core.counters()["sockets"]
    pc = RTCPeerConnection()  # dropped at once
    pc.createDataChannel("x").close()
    await pc.setLocalDescription()
    things = [pc]
    del pc
    with pytest.warns(ResourceWarning, match="unclosed <RTCPeerConnection new, have-local-offer>") as said:
        things.clear()
    assert [line_of("# dropped at once") in str(one.message) for one in said] == [True]
    async with asyncio.timeout(PATIENCE):
        while core.counters()["sockets"] > before:
            await asyncio.sleep(0.01)


async def test_the_channel_of_a_dropped_connection_goes_on_until_it_is_closed():
    """Closing rule 20: who sends needs no handler."""
    a, b = RTCPeerConnection(), RTCPeerConnection()
    ours, theirs = await connect(a, b)
    a.onicecandidate = b.onicecandidate = None
    handles = Driver.current().handles
    things = [a]
    del a
    with pytest.warns(ResourceWarning, match="it was dropped; call close()"):
        things.clear()
    reading = theirs.receive()
    ours.send("still here")
    async with asyncio.timeout(PATIENCE):
        assert await reading == "still here"
        assert len(handles.connections) == 2
        ours.close()
        await once(ours, "close")
        while len(handles.connections) > 1:
            await asyncio.sleep(0.01)
    b.close()
    assert not await b.wait_closed()


async def test_a_dropped_connection_with_handlers_goes_when_it_has_failed():
    """Closing rule 19: until then an event may come."""
    settings = {"disconnectedAfter": 0.2, "failedAfter": 0.6}
    a, b = RTCPeerConnection(settings=settings), RTCPeerConnection(settings=settings)
    await connect(a, b)
    heard = []
    a.onconnectionstatechange = lambda event: heard.append(event.target.connectionState)
    core = Driver.current().core
    del a
    b.onicecandidate = None
    gc.collect()

    async def failing():
        b.close()  # from here on it may fail at any moment
        assert not await b.wait_closed()
        while core.counters()["sockets"]:
            gc.collect()
            await asyncio.sleep(0.05)

    with pytest.warns(ResourceWarning, match="unclosed <RTCPeerConnection failed, stable>"):
        await asyncio.wait_for(failing(), PATIENCE)
    assert heard == ["disconnected", "failed"]


@pytest.mark.parametrize("closed", [True, False])
def test_a_connection_closed_after_its_loop_was_not_forgotten(closed):
    async def main():
        pc = RTCPeerConnection()
        pc.createDataChannel("x")
        pc.onicecandidate = lambda _: pc
        await pc.setLocalDescription()
        return pc

    pc = asyncio.run(main())
    if closed:
        pc.close()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        del pc
        gc.collect()
    assert [one.category for one in said] == ([] if closed else [ResourceWarning])


def test_a_session_never_closed_is_named_after_its_loop():
    async def main():
        here, _ = adieu.signaling.memory_signaling()
        session = adieu.Session(connect=RTCPeerConnection, signaling=here, role="first")  # never closed
        session.start()
        await asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    named = [str(one.message) for one in said if "unclosed <Session" in str(one.message)]
    assert len(named) == 1
    assert line_of("# never closed") in named[0]
