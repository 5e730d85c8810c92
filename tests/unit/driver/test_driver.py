"""The driver on a core that only keeps a list: what is handed out when, and what is given back."""

import asyncio
import gc
import time
import weakref

import pytest

from adieu import _core
from adieu.driver import Driver
from adieu.driver.loop import MAX_EVENTS, MAX_SECONDS, SETTLING
from unit.core.peers import VirtualPair


class Core:
    """What the driver uses of a `_core.EventQueue`."""

    def __init__(self):
        self.events = []
        self.calls = []
        self.turn = self.thread = 0

    def fileno(self):
        return -1

    def next_turn(self):
        self.turn += 1

    @property
    def waiting(self):
        return len(self.events)

    def deliver(self, channels, max_events, max_bytes, max_seconds):
        for handed_out in range(1, max_events + 1):
            event = self.events.pop(0)
            if event[0] != _core.MESSAGE:
                return event, max_events - handed_out
            if event[1] in channels:
                channels[event[1]].handle_message(*event[2:])
        return None, 0

    def take_ice_state(self, transport):
        follows = self.events and self.events[0][:2] == (_core.ICE_STATE, transport)
        return self.events.pop(0)[2] if follows else None

    def consumed(self, transport, size):
        self.calls.append(("consumed", transport, size))

    def request_stats(self, transport, request):
        self.calls.append(("stats", transport, request))

    def close(self):
        self.calls.append(("close",))


class Channel:
    def __init__(self, log):
        self.log = log

    def handle_message(self, data, size):
        self.log.append(data)

    def __getattr__(self, name):
        return lambda *values: self.log.append((name, *values))


@pytest.fixture
def core():
    return Core()


@pytest.fixture
async def driver(core):
    return Driver(asyncio.get_running_loop(), core)


@pytest.fixture
def log():
    return []


def messages(*texts, channel=1):
    return [(_core.MESSAGE, channel, text, len(text)) for text in texts]


async def rounds(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_messages_are_handed_out_together(core, driver, log):
    driver.handles.channels[1] = Channel(log)
    core.events = messages("a", "b", "c")
    driver.wake()
    assert log == ["a", "b", "c"]


async def test_every_other_event_is_a_task_of_its_own(core, driver, log):
    driver.handles.channels[1] = Channel(log)
    core.events = [(_core.CHANNEL_LOW, 1), (_core.CHANNEL_CLOSING, 1), *messages("a")]
    driver.wake()
    assert log == [("handle_low",)]
    await rounds(1)
    assert log == [("handle_low",), ("handle_closing",)]
    driver.wake()  # the descriptor is still readable: nothing is handed out twice, or out of turn
    await rounds(2)
    assert log[2:] == ["a"]


async def test_a_line_of_the_core_ends_no_batch_and_is_written_in_its_place(core, driver, log, caplog):
    caplog.set_level("DEBUG", "adieu")
    driver.handles.channels[1] = Channel(log)
    driver.handles.names[7] = "pc3"
    line = (_core.LOG, 7, "adieu.ice", "= pair\x1b[31m\nforged")
    core.events = [*messages("a"), line, (_core.LOG, 9, "adieu.sctp", "> INIT"), *messages("b")]
    driver.wake()
    assert log == ["a", "b"]
    written = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert written == [
        ("adieu.ice", "DEBUG", "pc3 = pair\ufffd[31m\ufffdforged"),
        ("adieu.sctp", "DEBUG", "core > INIT"),
    ]
    core.events = [(_core.CONNECTION_ENDED, 7, {})]
    driver.wake()
    assert driver.handles.names == {}


@pytest.mark.parametrize("how", ["plain", "wait_for", "gather"])
async def test_who_awaits_the_opening_has_run_before_the_first_message(core, driver, log, how):
    opened = asyncio.get_running_loop().create_future()

    class Opening(Channel):
        def handle_open(self):
            opened.set_result(None)

    async def waits():
        match how:
            case "plain":
                await opened
            case "wait_for":
                await asyncio.wait_for(opened, 1)
            case "gather":
                await asyncio.gather(asyncio.shield(opened), asyncio.sleep(0))
        log.append("ready")

    driver.handles.channels[1] = Opening(log)
    task = asyncio.create_task(waits())
    await rounds(3)
    core.events = [(_core.CHANNEL_OPEN, 1), *messages("a")]
    driver.wake()
    await rounds(SETTLING + 3)
    await task
    assert log == ["ready", "a"]


async def test_what_is_due_after_a_task_comes_before_what_the_core_has_had_since(core, driver, log):
    """A message may come back while its sender's handler runs: `bufferedamountlow` of the sending is first."""

    class Echoed(Channel):
        def handle_message(self, data, size):
            super().handle_message(data, size)
            if data == "a":
                driver.after_turn(lambda: log.append("fallen"))
                core.events = messages("b")

    driver.handles.channels[1] = Echoed(log)
    core.events = [(_core.CHANNEL_LOW, 1), *messages("a")]
    driver.wake()
    await rounds(3)
    assert log == [("handle_low",), "a", "fallen", "b"]


async def test_a_handler_that_fails_stops_nothing(core, driver, log):
    class Broken(Channel):
        def handle_low(self):
            raise RuntimeError("broken")

    driver.handles.channels[1] = Broken(log)
    core.events = [(_core.CHANNEL_LOW, 1), *messages("a")]
    with pytest.raises(RuntimeError, match="broken"):
        driver.wake()
    await rounds(2)
    assert log == ["a"]


@pytest.fixture
def messages_of_a_peer():
    """Fill the event queue of one of two peers over a network in memory, and call it a loop's."""
    with VirtualPair() as pair:
        pair.connect()
        theirs, ours = pair.channel()
        pair.a.reads = False

        def send(count):
            for number in range(count):
                ours.send(f"{number}")
            for _ in range(40):  # time moves, nothing is taken
                pair.net.advance(pair.net.now + 0.05)
            return pair.a.loop, theirs.id

        yield send


async def test_a_full_batch_lets_others_run_before_the_next(log, messages_of_a_peer):
    core, channel = messages_of_a_peer(1300)
    driver = Driver(asyncio.get_running_loop(), core)
    driver.handles.channels[channel] = Channel(log)
    driver.wake()
    assert len(log) == MAX_EVENTS == 512
    await rounds(1)
    assert len(log) == 1024
    await rounds(1)
    assert log == [f"{number}" for number in range(1300)]


async def test_slow_handlers_let_others_run_too(log, messages_of_a_peer):
    core, channel = messages_of_a_peer(100)

    class Slow(Channel):
        def handle_message(self, data, size):
            if len(log) % 32 == 0:
                time.sleep(2 * MAX_SECONDS)
            log.append(data)

    channels = {channel: Slow(log)}
    left = 100
    for handed_out in (32, 64, 96, 100):
        event, left = core.deliver(channels, left, 1 << 20, MAX_SECONDS)
        assert (event, left, len(log)) == (None, 100 - handed_out, handed_out)


async def test_bytes_bound_a_batch_too(log, messages_of_a_peer):
    core, channel = messages_of_a_peer(10)
    assert core.deliver({channel: Channel(log)}, 10, 3, 1.0) == (None, 0)
    assert log == ["0", "1", "2"]
    assert core.waiting == 7


async def test_what_belongs_to_nobody_is_let_go(core, driver):
    core.events = [
        (_core.CHANNEL_OPEN, 9),
        *messages("a", channel=9),
        (_core.ICE_STATE, 9, "failed"),
        (_core.CONNECTION_ENDED, 9, {}),
        (_core.STATS, 9, 9, {}),
    ]
    driver.wake()
    await rounds(10)
    assert core.events == []


async def test_every_event_reaches_its_method(core, driver, log):
    target = Channel(log)
    driver.handles.channels[1] = driver.handles.transports[2] = driver.handles.connections[3] = target
    core.events = [
        (_core.CHANNEL_OPEN, 1),
        (_core.CHANNEL_INCOMING, 2, "channel", "label", "protocol", True, None, 3, 256),
        (_core.CHANNEL_CLOSING, 1),
        (_core.CHANNEL_CLOSED, 1, "error", 12),
        (_core.CHANNEL_LOW, 1),
        (_core.CHANNEL_FAILED, 1, "why"),
        (_core.CANDIDATE, 2, 1, "candidate:…", None, None),
        (_core.CANDIDATE_ERROR, 2, 1, None, None, "stun:x", 701, "text"),
        (_core.GATHERING, 2, 1, "complete"),
        (_core.ICE_ROLE, 2, "controlled"),
        (_core.DTLS_CERTIFICATES, 2, [b"der"]),
        (_core.DTLS_STATE, 2, "failed", "dtls-failure", "message", None, 40),
        (_core.SCTP_STATE, 2, "connected", None, "", 1024),
        (_core.CONNECTION_PANICKED, 3, "bug"),
        (_core.CONNECTION_ENDED, 3, {"sockets": 0}),
    ]
    driver.wake()
    await rounds(40)
    assert log == [
        ("handle_open",),
        ("handle_incoming", "channel", "label", "protocol", True, None, 3, 256),
        ("handle_closing",),
        ("handle_closed", "error", 12),
        ("handle_low",),
        ("handle_failed", "why"),
        ("handle_candidate", 1, "candidate:…", None, None),
        ("handle_candidate_error", 1, None, None, "stun:x", 701, "text"),
        ("handle_gathering", 1, "complete"),
        ("handle_role", "controlled"),
        ("handle_certificates", [b"der"]),
        ("handle_dtls", "failed", "dtls-failure", "message", None, 40),
        ("handle_sctp", "connected", None, "", 1024),
        ("handle_panicked", "bug"),
        ("handle_ended", {"sockets": 0}),
    ]


async def test_pair_and_state_change_in_one_task(core, driver, log):
    """W3C RTCIceTransport: "related and are handled in the same task"."""
    driver.handles.transports[2] = Channel(log)
    core.events = [
        (_core.ICE_PAIR, 2, 1, "l", "r"),
        (_core.ICE_STATE, 2, "connected"),
        (_core.ICE_PAIR, 2, 1, "l2", "r2"),
        (_core.ICE_STATE, 7, "connected"),
        (_core.ICE_STATE, 2, "disconnected"),
    ]
    driver.wake()
    await rounds(8)
    assert log == [
        ("handle_ice", "connected", ("l", "r")),
        ("handle_ice", None, ("l2", "r2")),
        ("handle_ice", "disconnected", None),
    ]


async def test_an_event_that_is_not_known_is_a_bug(core, driver):
    core.events = [(99, 1)]
    with pytest.raises(AssertionError, match="99"):
        driver.wake()


async def test_consumed_bytes_are_given_back_once_a_round(core, driver):
    for _ in range(3):
        driver.consumed(2, 10)
    driver.consumed(5, 1)
    assert core.calls == []
    await rounds(1)
    assert sorted(core.calls) == [("consumed", 2, 30), ("consumed", 5, 1)]


async def test_a_turn_lasts_for_a_task(core, driver):
    """W3C bufferedAmount: "MUST NOT be decreased before the current task yielded back to the event loop"."""
    turn = driver.watch_turn()
    assert driver.watch_turn() == driver.turn == turn
    await asyncio.sleep(0)
    assert driver.turn != turn
    turn = driver.watch_turn()
    driver.wake()
    assert driver.turn != turn, "an event is a task"


async def test_statistics(core, driver):
    asking = asyncio.ensure_future(driver.stats(2))
    await asyncio.sleep(0)
    [(_, transport, request)] = core.calls
    assert transport == 2
    core.events = [(_core.STATS, 2, request, {"bytes_sent": 1})]
    driver.wake()
    assert await asking == {"bytes_sent": 1}


async def test_the_end_ends_what_waits(core, driver, log):
    driver.handles.connections[3] = Channel(log)
    asking = asyncio.ensure_future(driver.stats(2))
    await asyncio.sleep(0)
    driver.end()
    driver.end()
    assert await asking == {}
    assert await driver.stats(2) == {}
    assert log == [("handle_loop_ended",)]
    assert core.calls[-1] == ("close",)


async def test_objects_made_in_a_handler_belong_to_the_same_driver(core, driver, log):
    class Making(Channel):
        def handle_low(self):
            log.append(Driver.current())

    driver.handles.channels[1] = Making(log)
    core.events = [(_core.CHANNEL_LOW, 1)]
    driver.wake()
    driver.queue_task(lambda: log.append(Driver.current()))
    await rounds(2)
    assert log == [driver, driver]
    assert Driver.current() is not driver


async def test_a_chosen_driver_is_chosen_in_its_tasks_too(core, driver):
    async def which():
        return Driver.current()

    with driver.use():
        assert Driver.current() is driver
        task = asyncio.create_task(which())
    assert await task is driver
    driver.end()
    with driver.use():
        assert Driver.current() is not driver, "it has ended"


def test_there_must_be_a_running_loop():
    with pytest.raises(RuntimeError, match=r"no running event loop here.*asyncio\.run\(main\(\)\)"):
        Driver.current()


def test_the_end_of_the_loop_is_the_drivers():
    async def main():
        return Driver.current()

    driver = asyncio.run(main())
    assert driver.ended
    assert driver.is_over
    driver.queue_task(pytest.fail, "never runs")


def test_neither_loop_nor_driver_is_kept():
    references = []

    async def main():
        references.append(weakref.ref(Driver.current()))
        references.append(weakref.ref(asyncio.get_running_loop()))

    asyncio.run(main())
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_a_loop_that_is_closed_without_shutdown_keeps_nothing_either():
    async def main():
        return weakref.ref(Driver.current())

    loop = asyncio.new_event_loop()
    reference = loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()
    assert reference() is None
