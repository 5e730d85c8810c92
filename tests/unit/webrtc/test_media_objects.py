"""Tracks, streams and devices, without a connection."""

import asyncio
import gc
import weakref

import pytest

import adieu
from adieu import MediaStream, MediaStreamTrack, MediaStreamTrackEvent
from adieu.errors import AbortError, InvalidStateError, NotFoundError, OverconstrainedError
from adieu.webrtc.constraints import Constraints, fit
from adieu.webrtc.media_stream import StreamInternals
from adieu.webrtc.media_stream_track import TrackInternals, TrackSource
from support.media import stream, track


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setenv("ADIEU_FAKE_MEDIA", "1")


def ask(*args, **members):
    return asyncio.run(adieu.mediaDevices.getUserMedia(*args, **members))


# --- tracks -----------


def test_a_track_and_its_clone_end_apart():
    """Closing rule 76: no event at stop(); the source is released when its last track has ended."""
    released, ended = [], []
    one = MediaStreamTrack(TrackInternals("video", TrackSource("camera", release=lambda: released.append(1))))
    one.enabled = False
    one.onended = ended.append
    other = one.clone()
    assert (other.kind, other.label, other.enabled, other.id == one.id) == ("video", "camera", False, False)
    one.stop()
    one.stop()
    assert (one.readyState, other.readyState, released, ended) == ("ended", "live", [], [])
    assert one.clone().readyState == "ended"
    other.stop()
    assert released == [1]


def test_a_track_that_ends_by_itself_says_so_once():
    slots = TrackInternals("audio", TrackSource())
    one, ended = MediaStreamTrack(slots), []
    one.onended = ended.append
    slots.end()
    slots.end()
    assert (one.readyState, len(ended)) == ("ended", 1)


def test_mute_and_unmute():
    slots = TrackInternals("audio", TrackSource(), muted=True)
    one, log = MediaStreamTrack(slots), []
    one.onmute = lambda _: log.append("mute")
    one.onunmute = lambda _: log.append("unmute")
    for muted in (True, False, False, True):
        slots.set_muted(muted)
    assert log == ["unmute", "mute"]
    assert one.muted


@pytest.mark.parametrize("stopped_first", [False, True])
def test_a_clone_follows_the_source_also_when_the_first_track_has_ended(stopped_first):
    released, log = [], []
    slots = TrackInternals("audio", TrackSource(release=lambda: released.append(1)), muted=True)
    one = MediaStreamTrack(slots)
    clone = one.clone()
    other = clone.clone()
    for name in ("mute", "unmute", "tone", "ended"):
        clone.addEventListener(name, lambda event: log.append(event.type))
    if stopped_first:
        one.stop()
    slots.set_muted(False)
    assert (clone.muted, other.muted) == (False, False)
    other.stop()
    slots.tell_tone("1", 0.1)
    slots.set_muted(True)
    slots.end()
    slots.end()
    assert (log, clone.readyState, released) == (["unmute", "tone", "mute", "ended"], "ended", [1])


def test_a_clone_ends_too_when_the_event_loop_has_ended():
    slots, log = TrackInternals("audio", TrackSource()), []
    clone = MediaStreamTrack(slots).clone()
    clone.onended = log.append
    slots.end_quietly()
    assert (clone.readyState, log) == ("ended", [])


def test_the_source_does_not_keep_a_clone_that_the_program_has_dropped():
    source = TrackSource()
    one = MediaStreamTrack(TrackInternals("audio", source))
    gone = weakref.ref(one.clone())
    gc.collect()
    assert (gone(), len(source.tracks())) == (None, 1)


@pytest.mark.anyio
async def test_whoever_awaits_an_event_of_a_track_does_not_wait_for_ever():
    own, source = MediaStreamTrack(TrackInternals("audio", TrackSource())), TrackInternals("audio", TrackSource())
    other = MediaStreamTrack(source)
    stopped, unmuted, ended = (
        asyncio.create_task(adieu.once(*each)) for each in ((own, "ended"), (other, "unmute"), (other, "ended"))
    )
    await asyncio.sleep(0)
    own.stop()
    source.end()
    with pytest.raises(AbortError, match="stopped by this program"):
        await asyncio.wait_for(stopped, 1)
    with pytest.raises(AbortError, match="the track has ended"):
        await asyncio.wait_for(unmuted, 1)
    assert (await asyncio.wait_for(ended, 1)).type == "ended"
    with pytest.raises(InvalidStateError, match="has ended"):
        await adieu.once(other, "unmute")


def test_a_track_is_stopped_after_its_event_loop_was_closed():
    one = MediaStreamTrack(TrackInternals("audio", TrackSource()))
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(adieu.once(one, "unmute"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    one.stop()
    assert not waiting.done()
    waiting._log_destroy_pending = False


def test_members_of_a_track_are_checked():
    one = track("video")
    with pytest.raises(TypeError, match="enabled is 1"):
        one.enabled = 1
    one.contentHint = "speech"
    assert one.contentHint == ""
    one.contentHint = "detail"
    assert one.contentHint == "detail"


# --- streams -----------


def test_a_stream():
    audio, video = track(), track("video")
    one = MediaStream([audio, video, audio])
    assert one.getTracks() == [audio, video]
    assert (one.getAudioTracks(), one.getVideoTracks()) == ([audio], [video])
    assert (one.getTrackById(video.id), one.getTrackById("x")) == (video, None)
    assert MediaStream(one).getTracks() == one.getTracks()
    assert MediaStream(one).id != one.id
    audio.stop()
    assert one.active
    video.stop()
    assert not one.active
    assert not MediaStream().active
    clone = stream("audio", "video").clone()
    assert [t.kind for t in clone.getTracks()] == ["audio", "video"]


def test_only_the_connection_fires_events_at_a_stream():
    slots = StreamInternals("S")
    one, log = MediaStream.of(slots), []
    one.onaddtrack = lambda event: log.append(("add", event.track))
    one.onremovetrack = lambda event: log.append(("remove", event.track))
    audio, video = track(), track("video")
    one.addTrack(audio)
    one.removeTrack(audio)
    one.removeTrack(audio)
    slots.add(video)
    slots.add(video)
    slots.remove(video)
    slots.remove(video)
    assert (one.id, log) == ("S", [("add", video), ("remove", video)])


@pytest.mark.parametrize("wrong", [5, ["x"], "x"])
def test_a_stream_takes_tracks_only(wrong):
    with pytest.raises(TypeError):
        MediaStream(wrong)


def test_a_track_event():
    one = track()
    assert MediaStreamTrackEvent("addtrack", {"track": one}).track is one
    with pytest.raises(TypeError, match="track is 'x'"):
        MediaStreamTrackEvent("addtrack", track="x")


# --- devices -----------


def test_there_are_no_devices_unless_they_are_asked_for(monkeypatch):
    monkeypatch.delenv("ADIEU_FAKE_MEDIA", raising=False)
    with pytest.raises(NotFoundError, match="ADIEU_FAKE_MEDIA=1"):
        ask(audio=True)
    assert asyncio.run(adieu.mediaDevices.enumerateDevices()) == []


@pytest.mark.usefixtures("fake")
def test_generated_devices():
    one = ask({"audio": True, "video": {"width": 1280, "height": {"ideal": 720}}})
    [audio, video] = one.getTracks()
    assert (audio.kind, audio.label, audio.readyState) == ("audio", "Generated microphone", "live")
    settings = video.getSettings()
    assert (settings["width"], settings["height"], settings["frameRate"]) == (1280, 720, 30.0)
    assert video.getConstraints() == {"width": 1280, "height": {"ideal": 720}}
    assert video.getCapabilities()["width"] == {"min": 1, "max": 1920}
    assert [t.kind for t in ask(video=True, audio=False).getTracks()] == ["video"]
    kinds = [device.kind for device in asyncio.run(adieu.mediaDevices.enumerateDevices())]
    assert kinds == ["audioinput", "videoinput"]
    assert adieu.mediaDevices.getSupportedConstraints()["width"]


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({}, TypeError),
        ({"audio": False, "video": None}, TypeError),
        ({"audio": 5}, TypeError),
        ({"video": {"advanced": 1}}, TypeError),
        ({"video": {"width": {"min": 5000}}}, OverconstrainedError),
        ({"video": {"deviceId": {"exact": "x"}}}, OverconstrainedError),
    ],
)
def test_what_can_not_be_had(members, error):
    with pytest.raises(error):
        ask(members)


@pytest.mark.usefixtures("fake")
def test_constraints_are_applied_as_a_whole_or_not_at_all():
    async def main():
        [video] = (await adieu.mediaDevices.getUserMedia(video=True)).getTracks()
        await video.applyConstraints({"width": {"exact": 320}, "facingMode": "environment"})
        settings = video.getSettings()
        assert (settings["width"], settings["facingMode"]) == (320, "environment")
        with pytest.raises(OverconstrainedError) as caught:
            await video.applyConstraints({"width": 100, "frameRate": {"min": 1000}})
        assert caught.value.constraint == "frameRate"
        assert video.getSettings() == settings
        await video.applyConstraints()
        assert video.getConstraints() == {}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("rules", "width"),
    [
        (500, 500),
        ({"ideal": 5000}, 1920),
        ({"min": 700}, 700),
        ({"max": 100}, 100),
        ({"min": 100, "ideal": 50}, 100),
        ({"exact": 640}, 640),
    ],
)
def test_the_value_that_fits_best(rules, width):
    capabilities = {"width": {"min": 1, "max": 1920}}
    assert fit(Constraints.of({"width": rules}), capabilities, {"width": 640}) == {"width": width}


def test_advanced_constraints_are_left_out_when_they_do_not_fit():
    capabilities = {"width": {"min": 1, "max": 1920}}
    asked = Constraints.of({"advanced": [{"width": 5000}, {"width": 800}]})
    assert fit(asked, capabilities, {"width": 640}) == {"width": 800}
