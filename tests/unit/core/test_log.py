"""Lines of the core's log: events like the others, with a bound, of each layer, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adieu import _core
from unit.core.peers import VirtualPair

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 4096
"""Lines that may wait in one event queue."""


@pytest.fixture
def wanted() -> Iterator[None]:
    _core.set_log(True)
    yield
    _core.set_log(False)


def lines(pair: VirtualPair) -> list[tuple[int, str, str]]:
    return [*pair.a.seen["LOG"], *pair.b.seen["LOG"]]


@pytest.mark.usefixtures("wanted")
def test_every_layer_says_what_it_does_and_whose_it_is() -> None:
    with VirtualPair() as pair:
        pair.connect()
        _, ours = pair.channel()
        ours.close()
        pair.until(lambda: pair.a.count("CHANNEL_CLOSED") == 1)
        pair.a.close("have a nice day")
        pair.run(1)
        said = [(layer, text) for connection, layer, text in pair.a.seen["LOG"] if connection == pair.a.connection]
        assert len(said) == pair.a.count("LOG")
        for layer, text in [
            ("adieu.ice", "= generation 1 begins, controlling"),
            ("adieu.ice", "= generation 1 checks its pairs"),
            ("adieu.dtls", "= handshake begins as server"),
            ("adieu.dtls", "= connected by DTLS 1.3, TLS_AES_128_GCM_SHA256"),
            ("adieu.sctp", "> INIT"),
            ("adieu.sctp", "< DCEP OPEN, stream 0: answered with ACK"),
            ("adieu.sctp", "< reset of streams [0]"),
            ("adieu.sctp", "> ABORT: have a nice day"),
            ("adieu.dtls", "> close_notify"),
        ]:
            assert (layer, text) in said
        assert any("is nominated, generation 1" in text for layer, text in said if layer == "adieu.ice")
        assert ("adieu.dtls", "< close_notify") in [line[1:] for line in pair.b.seen["LOG"]]


@pytest.mark.usefixtures("wanted")
def test_silence_is_logged_with_its_evidence() -> None:
    with VirtualPair() as pair:
        pair.connect()
        pair.net.cut("10.0.0.2")
        pair.run(8)
        pair.net.cut("10.0.0.2", cut=False)
        pair.run(3)
        said = [text for _, layer, text in pair.a.seen["LOG"] if layer == "adieu.ice"]
        assert any(text.startswith("> check again: 10.0.0.2:") for text in said)
        assert any(text.startswith("! disconnected: no answer for 2.") for text in said)
        assert any("answers again after" in text for text in said)


@pytest.mark.usefixtures("wanted")
@pytest.mark.parametrize("delay", [0.0, 1.0])
def test_a_handshake_without_an_answer_in_time_is_logged(delay: float) -> None:
    with VirtualPair() as pair:
        pair.net.link(delay=delay)
        pair.start()
        pair.until(pair.is_connected, 60)
        again = ("adieu.dtls", "! the handshake has no answer yet: its flight is sent again")
        assert (again in [line[1:] for line in lines(pair)]) == (delay > 0)


@pytest.mark.usefixtures("wanted")
def test_a_program_that_does_not_read_is_logged_and_that_it_reads_again() -> None:
    with VirtualPair(receive_buffer=1 << 18) as pair:
        pair.connect()
        _, ours = pair.channel()
        pair.a.reads = False
        for _ in range(8):
            ours.send(bytes(60_000))
        pair.run(2)
        said = [text for _, layer, text in pair.a.seen["LOG"] if layer == "adieu.sctp"]
        assert any(text.startswith("! the program does not read: ") for text in said)
        pair.a.loop.consumed(pair.a.transport, 300_000)
        pair.run(1)
        assert any(text.startswith("= receives again: ") for _, _, text in pair.a.seen["LOG"])


@pytest.mark.usefixtures("wanted")
def test_no_line_is_written_for_a_message_and_none_holds_a_secret() -> None:
    with VirtualPair() as pair:
        pair.connect()
        theirs, ours = pair.channel()
        pair.run(10)
        before = len(lines(pair))
        for channel in (theirs, ours):
            for _ in range(200):
                channel.send("the secret of a message")
        pair.until(lambda: len(pair.a.messages()) == len(pair.b.messages()) == 200)
        assert len(lines(pair)) == before
        text = repr(lines(pair))
        for secret in (pair.a.pwd(1), pair.b.pwd(1), "the secret of a message"):
            assert secret not in text
        for key in (pair.a.certificate.to_pem()[1], pair.b.certificate.to_pem()[1]):
            assert not any(line in text for line in key.splitlines())


def test_nothing_comes_while_the_log_is_not_wanted() -> None:
    with VirtualPair() as pair:
        pair.connect()
        pair.a.close()
        pair.run(1)
        assert lines(pair) == []


@pytest.mark.usefixtures("wanted")
def test_too_many_lines_are_left_out_counted_and_named_by_the_next() -> None:
    with VirtualPair() as pair:
        pair.connect()
        pair.run(1)
        port = int(pair.a.seen["CANDIDATE"][0][2].split()[5])
        for number in range(MOST + 100):  # each turn in which something is dropped has a line
            pair.net.inject(("10.9.9.9", 1), ("10.0.0.1", port), b"\xff garbage")
            pair.net.advance(pair.net.now + 0.0001 * (number % 2))
        counters = pair.a.loop.counters()
        assert counters["dropped_log"] > 0
        assert counters["queued_events"] <= MOST + 10
        pair.a.take()
        pair.net.inject(("10.9.9.9", 1), ("10.0.0.1", port), b"\xff garbage")
        pair.run(0.1)
        left_out = f"! {counters['dropped_log']} lines before this one are left out: too many waited"
        assert left_out in [text for _, _, text in pair.a.seen["LOG"]]
