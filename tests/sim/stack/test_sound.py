"""Sound of sessions in virtual time: kept over a reset, finished at a close, accounted for."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from adieu import SessionClosedError
from adieu.media import AudioSink, AudioSource
from adieu.testing import ToneReader, tones
from support.virtual import simulated

if TYPE_CHECKING:
    import adieu


class Listener:
    """Hears all tracks of a session, one after the other or at a time."""

    def __init__(self, world: Any, session: Any) -> None:
        self.world = world
        self.readers: list[ToneReader] = []
        self.tracks: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        session.on("track", self._came)

    def _came(self, event: Any) -> None:
        self.tracks.append(event.track)
        self.readers.append(ToneReader())
        self.tasks.append(asyncio.create_task(self._hear(AudioSink(event.track, sample_rate=8000), self.readers[-1])))

    async def _hear(self, sink: AudioSink, reader: ToneReader) -> None:
        async for frame in sink:
            reader.feed(frame.data, self.world.now)

    @property
    def numbers(self) -> set[int]:
        return {tone.number for reader in self.readers for tone in reader.heard}


def speaker(peer: Any) -> AudioSource:
    with peer.use():
        return AudioSource(sample_rate=24000)


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@simulated()
async def test_a_session_sends_a_track_to_the_other(world):
    async with world.sessions() as pair:
        ear = Listener(world, pair.second)
        speech = speaker(pair.ada)
        pair.first.add_track(speech.track)
        pair.first.add_track(speech.track)  # once is enough
        await speech.write(tones(50, sample_rate=24000))
        await until(lambda: len(ear.numbers) > 45)
        assert any(held.kind == "track" and "test_sound" in held.where for held in pair.first.ledger().held)
        pair.first.remove_track(speech.track)
        assert not any(held.kind == "track" for held in pair.first.ledger().held)
        with pytest.raises(ValueError, match="not sent"):
            pair.first.remove_track(speech.track)


def agreed_of(receipt: adieu.CloseReceipt, mid: str, sender: str) -> tuple[list[int], int, int]:
    """Return what both sides say of what this one sent: packets and bytes, packets that came, milliseconds unsent."""
    account = json.loads(receipt.agreed)["media"][mid][sender]
    return account["sent"], account["arrived"], account["unsentMs"]


@simulated()
async def test_the_last_sentence_is_heard_before_the_close_ends(world):
    async with world.sessions() as pair:
        ear = Listener(world, pair.second)
        speech = speaker(pair.ada)
        pair.first.add_track(speech.track)
        await until(lambda: ear.tracks and not ear.tracks[0].muted)
        await speech.write(tones(50, sample_rate=24000))  # 2 s
        began = world.now
        receipt = await pair.first.close("bye", timeout=8.0)
        assert 1.9 < world.now - began < 4.0
        assert receipt.path == "graceful"
        assert 49 in ear.numbers
        [account] = receipt.media.values()
        assert account.kind == "audio"
        assert account.sent.unsent == 0
        assert account.sent.packets >= 100
        other = await pair.second.wait_closed()
        assert other.agreed == receipt.agreed
        (mid,) = receipt.media
        (packets, size), arrived, unsent = agreed_of(receipt, mid, pair.first.me)
        assert 100 <= packets == arrived <= account.sent.packets and size > 0 and unsent == 0
        assert agreed_of(receipt, mid, pair.second.me) == ([0, 0], 0, 0)
        [got] = other.media.values()
        assert got.received.packets >= account.sent.packets - 25  # this account was taken first
        with pytest.raises(SessionClosedError):
            pair.first.add_track(speech.track)


@simulated()
async def test_cut_does_not_wait_and_says_what_was_not_spoken(world):
    async with world.sessions() as pair:
        speech = speaker(pair.ada)
        pair.first.add_track(speech.track)
        await speech.write(tones(200, sample_rate=24000))
        await asyncio.sleep(1.0)
        began = world.now
        receipt = await pair.first.close(media="cut")
        assert world.now - began < 0.5
        [account] = receipt.media.values()
        assert account.sent.unsent == pytest.approx(7.0, abs=0.3)
        (mid,) = receipt.media
        assert agreed_of(receipt, mid, pair.first.me)[2] == pytest.approx(7000, abs=300)


@simulated()
async def test_the_deadline_ends_a_sentence_that_is_too_long(world):
    async with world.sessions() as pair:
        speech = speaker(pair.ada)
        pair.first.add_track(speech.track)
        await speech.write(tones(200, sample_rate=24000))
        began = world.now
        receipt = await pair.first.close(timeout=2.0)
        assert world.now - began <= 2.1
        assert receipt.path == "deadline"
        (mid,) = receipt.media
        (packets, _), arrived, unsent = agreed_of(receipt, mid, pair.first.me)
        assert unsent == pytest.approx(8000 - 20 * packets, abs=200) and unsent > 5000
        assert 0 <= packets - arrived <= 10  # both sides' last counts are a tenth of a second apart at most
        assert (await pair.second.wait_closed()).agreed == receipt.agreed


@simulated()
async def test_what_a_closing_handler_says_is_heard_too(world):
    async with world.sessions() as pair:
        ear = Listener(world, pair.first)
        speech = speaker(pair.ben)
        pair.second.add_track(speech.track)
        await until(lambda: ear.tracks and not ear.tracks[0].muted)

        @pair.second.on("closing")
        async def _(event: Any) -> None:
            await speech.write(tones(25, sample_rate=24000))

        receipt = await pair.first.close(timeout=8.0)
        assert receipt.path == "graceful"
        assert 24 in ear.numbers


@pytest.mark.parametrize("level", ["ice", "transport", "full"])
@simulated()
async def test_a_reset_keeps_the_track_and_what_is_queued(world, level):
    async with world.sessions() as pair:
        ear = Listener(world, pair.second)
        speech = speaker(pair.ada)
        pair.first.add_track(speech.track)
        writing = asyncio.create_task(speech.write(tones(200, sample_rate=24000)))
        await until(lambda: len(ear.numbers) > 25)
        await pair.first.reset(level)
        await until(lambda: 150 in ear.numbers, 20)
        assert len(ear.tracks) == (1 if level == "ice" else 2)
        heard = sorted((tone.time, tone.number) for reader in ear.readers for tone in reader.heard)
        gaps = [later[0] - earlier[0] for earlier, later in pairwise(heard)]
        assert max(gaps) <= (1.0 if level == "full" else 0.3)
        assert len(ear.numbers & set(range(150))) >= 140
        await writing


@simulated()
async def test_wrong_arguments_are_named(world):
    async with world.sessions() as pair:
        with pytest.raises(TypeError, match="'voice' is not a MediaStreamTrack"):
            pair.first.add_track("voice")
        speech = speaker(pair.ada)
        with pytest.raises(TypeError, match=r"give its \.track"):
            pair.first.add_track(speech)
        speech.track.stop()
        with pytest.raises(ValueError, match="has ended"):
            pair.first.add_track(speech.track)
        with pytest.raises(ValueError, match="media must be 'finish' or 'cut', not 'fade'"):
            await pair.first.close(media="fade")


@simulated()
async def test_a_session_without_media_closes_as_fast_as_ever(world):
    async with world.sessions() as pair:
        began = world.now
        receipt = await pair.first.close()
        assert world.now - began < 0.1
        assert receipt.media == {}


@simulated()
async def test_a_track_waits_until_somebody_listens_for_it(world):
    async with world.sessions() as pair:
        speech = speaker(pair.ada)
        pair.first.add_track(speech.track)
        await asyncio.sleep(2.0)  # a program that comes late
        ear = Listener(world, pair.second)
        await speech.write(tones(10, sample_rate=24000))
        await until(lambda: ear.numbers >= set(range(2, 8)))
        again = Listener(world, pair.second)
        await asyncio.sleep(1.0)
        assert [len(listener.tracks) for listener in (ear, again)] == [1, 0]


@simulated()
async def test_a_track_that_has_ended_waits_for_nobody(world):
    async with world.sessions() as pair:
        pair.first.add_track(speaker(pair.ada).track)
        await asyncio.sleep(2.0)
        await pair.first.reset()
        await asyncio.sleep(2.0)
        ear = Listener(world, pair.second)
        await asyncio.sleep(1.0)
        assert [track.readyState for track in ear.tracks] == ["live"]
