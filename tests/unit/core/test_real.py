"""The built module on real sockets: forks, exits, threads, strangers on the wire, an application that stops."""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adieu import _core
from unit.core.peers import Pair, Peer, RealPair
from unit.core.process import BLOCKED, Half

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).parents[2]
#: What a stranger or an application that is stuck may not delay.
PROMPT = 1.0


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "python")])},
    )


# --- fork and exit ----------------------------------------------------------------------------------------------------

FORK = """
import os, sys, time, warnings
from pathlib import Path
from unit.core.peers import RealPair

def sockets():
    links = (os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.exists())
    return sum(link.startswith("socket:") for link in links)

warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process with threads
pair = RealPair().connect()
theirs, ours = pair.channel()
for _ in range(50):
    ours.send(b"x" * 50_000)  # the I/O thread is busy when it happens
assert sockets() > 0
child = os.fork()
if child == 0:
    assert sockets() == 0, "a port that the parent gives back has to be free"
    ours.send(b"of the child")
    ours.close()
    assert pair.b.loop.drain(10, 1000) == ([], False)
    pair.b.loop.counters()
    pair.b.loop.request_stats(pair.b.transport, 1)
    pair.b.close()
    pair.a.loop.close()
    pair.b.loop.close()
    del pair, ours, theirs
    with RealPair().connect() as mine:
        mine.channel()
        mine.b.close()
        mine.until(lambda: mine.a.count("SCTP_STATE") == 2)
    sys.exit(7)  # with everything that runs at exit
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
ours.send(b"of the parent")
pair.until(lambda: pair.a.count("MESSAGE") == 51)
assert pair.a.messages()[-1] == b"of the parent"
time.sleep(0.2)  # nothing of the child comes late
pair.a.take()
assert (pair.a.count("MESSAGE"), pair.a.count("SCTP_STATE")) == (51, 1)
pair.b.close()
pair.until(lambda: pair.b.count("CONNECTION_ENDED") == 1)
print("end")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="elsewhere: Windows has no fork")
def test_the_child_of_a_fork_can_do_no_harm_and_make_connections_of_its_own() -> None:
    with start("-c", FORK) as program:
        output = program.communicate(timeout=60)
    assert (program.returncode, *output) == (0, "end\n", "")


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [("exit", 0, "Process exit"), ("raise", 1, "Process exit"), ("thread", 0, "Process exit"),
     ("block", 0, "closed and blocked")],
)  # fmt: skip
def test_a_process_that_ends_or_blocks_with_an_open_connection_says_so_at_once(
    how: str, code: int, reason: str
) -> None:
    half = Half(_core.EventQueue(), "dddd")
    with start("-m", "unit.core.process", how) as other:
        assert other.stdin and other.stdout and other.stderr
        theirs = other.stdout.readline()
        other.stdin.write(half.describe(controlling=True) + "\n")
        other.stdin.flush()
        half.connect(theirs, client=False)
        assert other.stdout.readline() == "open\n"
        began = float(other.stdout.readline())
        _, _, error, cause = half.next("CHANNEL_CLOSED", limit=BLOCKED / 2)
        assert time.monotonic() - began < PROMPT
        assert (error, cause) == (f"User-Initiated Abort, reason={reason}", 12)
        other.stdin.close()
        errors = other.stderr.read()
        assert other.wait(30) == code
        if how != "block":
            assert time.monotonic() - began < 2.5, "two seconds at most, and only for what is unsent"
        assert ("an error that nobody expected" in errors) if how == "raise" else errors == ""
    half.loop.close()


def switches_of_the_io_thread() -> int:
    """Return how often it has gone to sleep so far."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text() == "adieu-io\n":
            lines = (task / "status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    raise AssertionError("there is no such thread")


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="elsewhere: only Linux counts the switches of a thread"
)
def test_a_message_that_is_sent_alone_does_not_wake_the_io_thread() -> None:
    """It wakes for the acknowledgement and for the answer, which are two packets, and not after each that it sends."""
    half, count = Half(_core.EventQueue(), "dddd"), 500
    with start("-m", "unit.core.process", "echo") as other:
        assert other.stdin and other.stdout
        theirs = other.stdout.readline()
        other.stdin.write(half.describe(controlling=True) + "\n")
        other.stdin.flush()
        channel = half.connect(theirs, client=False)
        for number in range(-20, count):
            if number == 0:
                before = switches_of_the_io_thread()
            channel.send(f"{number}")
            assert half.next("MESSAGE")[2] == f"{number}"
        took = switches_of_the_io_thread() - before
        other.kill()
    half.loop.close()
    assert took < 2.2 * count


ALONE = """
from adieu import _core
loop = _core.EventQueue()
for _ in range(20):
    transport = loop.transport(loop.connection(_core.Certificate.generate()))
    loop.gather(transport, 1, "aaaa", "a" * 22, True, ["stun:192.0.2.1", "stun:no-such-name.invalid"])
    loop.set_remote(transport, 1, "bbbb", "b" * 22)
    loop.add_candidate(transport, 1, "candidate:1 1 udp 2122260223 192.0.2.7 9 typ host")
    loop.open_channel(transport, 1, _core.ChannelOptions("", negotiated=True)).send(b"x" * 100_000)
"""


def test_a_process_ends_in_time_whoever_does_not_answer() -> None:
    with start("-c", ALONE) as program:
        began = time.monotonic()
        output = program.communicate(timeout=30)
        took = time.monotonic() - began
    assert (program.returncode, *output) == (0, "", "")
    assert took < 5, took


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["connection", "loop", "forgotten"])
def test_the_other_hears_of_the_end_while_nobody_runs_the_loop_that_ended_it(how: str) -> None:
    with RealPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        for _ in range(100):
            ours.send(b"x" * 100_000)
        began = time.monotonic()
        match how:
            case "connection":
                pair.b.close()
            case "loop":
                pair.b.loop.close()
            case _:
                pair.poller.unregister(pair.b.loop.fileno())
                pair.b.loop = pair.a.loop  # it was the last reference
        while not pair.a.count("CHANNEL_CLOSED"):
            pair.a.take()
            assert time.monotonic() - began < PROMPT
            select.select([pair.a.loop.fileno()], [], [], 0.1)
        assert pair.a.seen["CHANNEL_CLOSED"][0][2] == 12


def test_what_is_called_after_the_end_of_a_loop_does_nothing() -> None:
    with RealPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        loop, transport = pair.b.loop, pair.b.transport
        loop.close()
        loop.close()
        ours.send(b"late")
        ours.close()
        pair.b.close()
        loop.request_stats(transport, 1)
        loop.consumed(transport, 1)
        loop.open_channel(transport, 2, _core.ChannelOptions("", negotiated=True)).send(b"x")
        again = loop.transport(loop.connection(pair.b.certificate))
        loop.gather(again, 1, "cccc", "c" * 22, True, [])
        pair.until(lambda: pair.a.count("CHANNEL_CLOSED") == 1)
        deadline = time.monotonic() + 5
        while any(loop.counters()[name] for name in ("connections", "transports", "channels", "sockets", "timers")):
            assert time.monotonic() < deadline, loop.counters()
            time.sleep(0.01)
        assert loop.drain(100, 1000) == ([], False)
        assert pair.a.messages() == []


def test_two_loops_in_two_threads_and_a_channel_used_by_many() -> None:
    with RealPair() as pair:
        pair.connect()
        theirs, ours = pair.channel()
        stuck = []

        def send(channel: _core.Channel, name: int) -> None:
            for number in range(1000):
                channel.send(f"{name} {number}")

        def read(peer: Peer) -> None:
            while True:
                peer.take()
                if peer.count("MESSAGE") >= 4000:
                    return
                if not select.select([peer.loop.fileno()], [], [], 5)[0]:
                    stuck.append(peer.loop.counters())

        threads = [threading.Thread(target=read, args=(peer,)) for peer in (pair.a, pair.b)]
        threads += [
            threading.Thread(target=send, args=(channel, name)) for channel in (theirs, ours) for name in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not stuck, "a wake-up was lost"
        for peer in (pair.a, pair.b):
            texts = [str(message).split() for message in peer.messages()]
            for name in range(4):
                assert [int(number) for by, number in texts if by == str(name)] == list(range(1000))
        pair.until(lambda: theirs.buffered_amount == ours.buffered_amount == 0)


# --- an application that does not read --------------------------------------------------------------------------------


def test_a_full_send_buffer_refuses_and_loses_nothing() -> None:
    with RealPair(receive_buffer=1 << 20) as pair:
        pair.connect()
        _, ours = pair.channel()
        pair.a.reads = False
        taken = 0
        with pytest.raises(BufferError, match="16777216 are waiting"):
            for taken in range(1000):
                ours.send(taken.to_bytes(4) + bytes(200_000))
        refused = ours.buffered_amount
        assert 16_000_000 < refused <= 16 << 20
        pair.until(lambda: sum(event[2] for event in pair.a.seen["MESSAGE"]) >= 1 << 20)
        pair.a.reads = True
        pair.a.loop.consumed(pair.a.transport, sum(event[2] for event in pair.a.seen["MESSAGE"]))
        pair.until(lambda: pair.a.count("MESSAGE") == taken)
        assert [int.from_bytes(message[:4]) for message in pair.a.messages()] == list(range(taken))  # type: ignore[arg-type]
        pair.until(lambda: ours.buffered_amount == 0)


def test_events_that_nobody_takes_are_bounded_and_none_is_lost() -> None:
    count = 300_000
    with RealPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        for _ in range(count):
            ours.send(b"x")
        waiting, still = 0, 0
        while still < 10:  # until nothing more comes up
            time.sleep(0.05)
            before, waiting = waiting, pair.a.loop.counters()["queued_events"]
            still = still + 1 if before == waiting else 0
        assert 60_000 < waiting < 80_000, waiting
        assert ours.buffered_amount > 0
        pair.until(lambda: pair.a.count("MESSAGE") == count, limit=60)


# --- the wire ---------------------------------------------------------------------------------------------------------


class Relay(threading.Thread):
    """Stands between two peers: each sees the other at a port of the relay, so that it can forge and repeat."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.sockets = [self._socket(), self._socket()]  # the first stands for peer a
        self.peers: list[tuple[str, int] | None] = [None, None]
        self.seen: list[tuple[int, bytes]] = []  # (from which peer, datagram)
        self._ends = threading.Event()

    @staticmethod
    def _socket() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.settimeout(0.05)
        return one

    def candidate(self, peer: int, line: str) -> str:
        """What the other is told in place of this candidate."""
        words = line.split(" ")
        self.peers[peer] = (words[4], int(words[5]))
        words[5] = str(self.sockets[peer].getsockname()[1])
        return " ".join(words)

    def run(self) -> None:
        while not self._ends.is_set():
            for at in select.select(self.sockets, [], [], 0.05)[0]:
                to = self.sockets.index(at)  # who sends to the port that stands for `to`
                datagram = at.recv(65536)
                self.seen.append((1 - to, datagram))
                self.put(1 - to, datagram)

    def put(self, source: int, datagram: bytes) -> None:
        """To the other peer, as if from this one."""
        if (destination := self.peers[1 - source]) is not None:
            self.sockets[source].sendto(datagram, destination)

    def end(self) -> None:
        self._ends.set()
        self.join()
        for one in self.sockets:
            one.close()


class RelayedPeer(Peer):
    relay: Relay
    index: int

    def tell_candidate(self, generation: int, line: str) -> None:
        if line.split(" ")[2] == "udp" and line.split(" ")[4] == "127.0.0.1":
            super().tell_candidate(generation, self.relay.candidate(self.index, line))


class RelayedPair(RealPair):
    Peer = RelayedPeer

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        for index, peer in enumerate((self.a, self.b)):
            assert isinstance(peer, RelayedPeer)
            peer.relay, peer.index = relay, index


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay()
    relay.start()
    yield relay
    relay.end()


def talk(pair: Pair, theirs: _core.Channel, ours: _core.Channel) -> None:
    before = pair.a.count("MESSAGE"), pair.b.count("MESSAGE")
    ours.send("to a")
    theirs.send("to b")
    pair.until(lambda: (pair.a.count("MESSAGE"), pair.b.count("MESSAGE")) == (before[0] + 1, before[1] + 1))
    assert (pair.a.messages()[-1], pair.b.messages()[-1]) == ("to a", "to b")


def attack(pair: Pair, put: Callable[[bytes], object], datagrams: list[bytes]) -> None:
    """A few at a time, so that none is lost in a socket's buffer."""
    for number, datagram in enumerate(datagrams):
        put(datagram)
        if number % 50 == 49:
            time.sleep(0.002)
            pair.a.take()
            pair.b.take()


def test_strange_forged_and_repeated_datagrams_change_nothing(relay: Relay) -> None:
    numbers = random.Random(5)
    with RelayedPair(relay) as pair:
        pair.connect()
        theirs, ours = pair.channel()
        talk(pair, theirs, ours)
        record = relay.seen.copy()
        assert len(record) > 20
        before = {peer.name: peer.loop.counters() for peer in (pair.a, pair.b)}

        garbage = [bytes([first]) + numbers.randbytes(numbers.randrange(200)) for first in range(256) for _ in range(4)]
        repeated = [datagram for _, datagram in record]
        changed = []
        for datagram in repeated:
            for _ in range(10):
                flipped = bytearray(datagram)
                flipped[numbers.randrange(len(flipped))] ^= 1 << numbers.randrange(8)
                changed += [bytes(flipped), datagram[: numbers.randrange(len(datagram))]]
        for source in (0, 1):
            attack(pair, lambda datagram, source=source: relay.put(source, datagram), repeated + changed + garbage)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for destination in relay.peers:
                assert destination
                # Checks of STUN come last: after a right one that is repeated, DTLS itself judges this address
                # (RFC 8445 section 12.2), and says nothing about what it discards.
                ordered = sorted(repeated + changed + garbage + [b""], key=lambda one: one[:1] < b"\x04")
                attack(pair, lambda one, to=destination: stranger.sendto(one, to), ordered)

        talk(pair, theirs, ours)
        for peer in (pair.a, pair.b):
            counters = peer.loop.counters()
            rise = {name: count - before[peer.name][name] for name, count in counters.items()}
            assert rise["panics"] == 0
            assert rise["dropped_unknown"] > 300
            assert rise["dropped_stun"] > 50
            assert rise["dropped_dtls"] > 300
            assert (rise["sockets"], rise["channels"], rise["transports"]) == (0, 0, 0)
            assert [state for _, state in peer.seen["ICE_STATE"]][-1] in {"connected", "completed"}
            assert peer.count("SCTP_STATE") == len(peer.routes()) == 1
        pair.b.close("bye")
        pair.until(lambda: pair.a.count("CHANNEL_CLOSED") == 1)
        assert pair.a.seen["CHANNEL_CLOSED"][0][1:] == ("User-Initiated Abort, reason=bye", 12)
