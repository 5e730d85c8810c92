"""What browsers and others really say (tests/fixtures/sdp, made by tests/interop/record_sdp.py): offers and answers."""

from pathlib import Path

import pytest

from adieu import jsep
from adieu.jsep import Gather, Negotiation, SetRemote
from adieu.jsep.validate import check_remote_answer
from unit.jsep.test_media import media_side
from unit.jsep.world import Side

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "sdp").glob("*.sdp"))
OFFERS = [path for path in FIXTURES if path.stem.endswith("-offer")]
ANSWERS = [path for path in FIXTURES if "-answer-to-" in path.stem]
WHATS = ("data", "data-audio-video", "audio", "audio-video", "simulcast")
BROWSERS = ("chromium", "firefox")


def text_of(path):
    return path.read_bytes().decode()


def named(name, what, kind="offer"):
    """The one file of this name and kind, whatever its version is."""
    [found] = [p for p in FIXTURES if (p.stem.split("-")[0], p.stem.split("-", 2)[2]) == (name, f"{what}-{kind}")]
    return found


def offer_of(answer):
    """The offer that was answered."""
    what, _, offerer = answer.stem.split("-", 2)[2].partition("-answer-to-")
    return named(offerer, what)


def sides(description):
    return [(section.mid, section.media.kind) for section in description.sections]


def test_everything_is_there():
    for name in BROWSERS:
        other = BROWSERS[name == BROWSERS[0]]
        for what in WHATS:
            assert named(name, what)
            assert named(name, what, f"answer-to-{other}")
            assert named(name, what, "answer-to-adieu")
        for what in ("before-restart", "after-restart"):
            assert named(name, what)
            assert named(other, what, f"answer-to-{name}")
    for what in WHATS[:4]:
        assert named("aiortc", what)
        assert named("aiortc", what, "answer-to-adieu")


@pytest.mark.parametrize("path", OFFERS, ids=lambda path: path.stem)
def test_each_offer_is_answered(path):
    b = Side("B", data=False)
    b.remote("offer", text_of(path))
    answer = jsep.parse_description("answer", b.answer())
    offer = b.now.current_remote
    assert sides(answer) == sides(offer)
    assert not any(section.rejected for section in answer.sections)
    check_remote_answer(Negotiation(), offer, answer)


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_each_answer_fits_the_offer_that_it_answers(path):
    offer = jsep.parse_description("offer", text_of(offer_of(path)))
    answer = jsep.parse_description("answer", text_of(path))
    assert sides(answer) == sides(offer)
    check_remote_answer(Negotiation(), offer, answer)


@pytest.mark.parametrize("path", [p for p in ANSWERS if p.stem.endswith("-adieu")], ids=lambda path: path.stem)
def test_each_answer_to_our_own_offer_is_taken(path):
    offer = text_of(offer_of(path))
    kinds = [section.media.kind for section in jsep.parse_description("offer", offer).sections]
    a = media_side("A", *(kind for kind in kinds if kind != "application"), data="application" in kinds)
    a.local("offer", offer)
    actions = a.remote("answer", text_of(path))
    assert [type(action) for action in actions].count(SetRemote) == len(a.now.transports) == 1
    assert a.now.state == "stable"
    assert all(transceiver.send_codecs for transceiver in a.now.transceivers)
    assert (a.now.data_key is not None) == ("application" in kinds)


@pytest.mark.parametrize("name", BROWSERS)
def test_a_restart_of_theirs_is_answered_by_a_new_generation(name):
    b = Side("B", data=False)
    b.remote("offer", text_of(named(name, "before-restart")))
    b.answer()
    [before] = b.now.transports.values()
    b.remote("offer", text_of(named(name, "after-restart")))
    b.answer()
    [after] = b.now.transports.values()
    assert [type(action) for action in b.actions][:2] == [Gather, SetRemote]
    assert after.generation > before.generation
    assert after.local != before.local
    assert after.remote != before.remote
    assert (after.dtls_client, after.fingerprints) == (before.dtls_client, before.fingerprints)


@pytest.mark.parametrize("name", BROWSERS)
def test_simulcast_of_theirs_is_understood(name):
    offer = jsep.parse_description("offer", text_of(named(name, "simulcast")))
    [video] = offer.sections
    assert [stream.rids for stream in video.simulcast.send] == [("q",), ("h",), ("f",)]
