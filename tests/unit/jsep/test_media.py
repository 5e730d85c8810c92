"""Offers and answers with audio and video, by values alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from adieu import jsep, sdp
from adieu.errors import InvalidAccessError
from adieu.jsep import Codec, Encoding, Transceiver
from adieu.sdp import attributes
from unit.jsep.world import Side, kinds, negotiate, swap

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "sdp").glob("*.sdp"))


def media_side(name, *kinds_, data=False, **members):
    """A side with a transceiver of each kind."""
    side = Side(name, data=data)
    for kind in kinds_:
        add(side, kind, **members)
    return side


def add(side, kind, **members):
    value = Transceiver(id=side.now.transceiver_ids + 1, kind=kind, encodings=(jsep.default_encoding(kind),))
    side.now = side.now.with_transceiver(replace(value, **members))
    return side.now.transceivers[-1].id


def change(side, id_, **members):
    side.now = side.now.with_transceiver(replace(side.now.transceiver(id_), **members))


def sections(text):
    return jsep.parse_description("offer", text).sections


def numbers(section):
    return {codec.payload_type: codec.name for codec in section.codecs}


# --- the text -----------


def test_an_audio_section():
    text = media_side("A", "audio", streams=("S",)).offer()
    section = text[text.index("m=audio") :]
    assert section.startswith("m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 ")
    for line in (
        "a=mid:0",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=sendrecv",
        "a=msid:S",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtcp-fb:111 transport-cc",
        "a=rtpmap:0 PCMU/8000",
        "a=fmtp:63 111/111",
        "a=setup:actpass",
    ):
        assert section.count(line + "\r\n") == 1, line


def test_no_stream_and_nothing_to_send():
    """RFC 9429 section 5.2.1."""
    side = media_side("A", "audio", "video")
    change(side, 2, direction="recvonly", streams=("S",))
    first, second = sections(side.offer())
    assert [line.content for line in first.media.attributes("msid")] == ["-"]
    assert not second.has_msid


def test_what_the_answer_says():
    a, b = media_side("A", "video", streams=("S",)), Side("B", data=False)
    b.remote("offer", swap(a.offer(), "a=rtcp-fb:96 nack pli\r\n", ""))
    answer = b.answer()
    [section] = sections(answer)
    assert section.direction == "recvonly"
    assert not section.has_msid
    assert numbers(section) == numbers(a.now.local.sections[0])
    assert section.codecs[0].feedback == ("goog-remb", "transport-cc", "ccm fir", "nack")
    assert "a=setup:active" in answer


@pytest.mark.parametrize(
    ("wanted", "offered", "answered"),
    [
        ("sendrecv", "sendrecv", "sendrecv"),
        ("sendrecv", "sendonly", "recvonly"),
        ("sendrecv", "recvonly", "sendonly"),
        ("sendrecv", "inactive", "inactive"),
        ("recvonly", "sendrecv", "recvonly"),
        ("recvonly", "recvonly", "inactive"),
        ("sendonly", "sendrecv", "sendonly"),
        ("inactive", "sendrecv", "inactive"),
    ],
)
def test_the_direction_of_the_answer(wanted, offered, answered):
    """RFC 9429 section 5.3.1, for a transceiver that is associated."""
    a, b = media_side("A", "audio"), Side("B", data=False)
    negotiate(a, b)
    change(a, 1, direction=offered)
    change(b, 1, direction=wanted)
    b.remote("offer", a.offer())
    [section] = sections(b.answer())
    assert section.direction == answered


def test_the_direction_of_a_session_counts_for_its_sections():
    b = Side("B", data=False)
    text = media_side("A", "audio").offer()
    b.remote("offer", swap(swap(text, "a=sendrecv\r\n", ""), "t=0 0\r\n", "t=0 0\r\na=recvonly\r\n"))
    assert b.now.transceivers[0].fired_direction == "sendonly"


# --- codecs -----------


def few(codecs=("opus", "VP8"), extensions=("urn:ietf:params:rtp-hdrext:sdes:mid",)):
    """Capabilities with no more than these."""
    known = jsep.NEGOTIABLE
    return jsep.Capabilities(
        {kind: tuple(c for c in known.codecs[kind] if c.name in codecs) for kind in known.codecs},
        {kind: tuple(e for e in known.extensions[kind] if e.uri in extensions) for kind in known.extensions},
    )


@pytest.mark.parametrize("offerer", ["A", "B"])
def test_a_side_with_few_capabilities_negotiates_no_more(offerer):
    a, b = (media_side(name, "audio", "video", made_by_track=True) for name in "AB")
    a.capabilities = few()
    first, second = (a, b) if offerer == "A" else (b, a)
    negotiate(first, second)
    for section in (a.now.current_local if offerer == "A" else b.now.current_remote).sections:
        assert {codec.name for codec in section.codecs} <= {"opus", "VP8"}
        assert [extension.uri for extension in section.extensions] == ["urn:ietf:params:rtp-hdrext:sdes:mid"]
    assert [[c.name for c in t.send_codecs] for t in a.now.transceivers] == [["opus"], ["VP8"]]


def test_capabilities_have_a_codec_of_each_kind():
    with pytest.raises(ValueError, match="no codec that carries video"):
        few(codecs=("opus", "rtx"))
    with pytest.raises(ValueError, match="nothing for audio"):
        jsep.Capabilities(jsep.NEGOTIABLE.codecs, {"video": ()})


def test_the_answer_takes_the_numbers_of_the_offer():
    for path in FIXTURES:
        if "data-audio-video-offer" not in path.name:
            continue
        b = Side("B", data=False)
        b.remote("offer", path.read_bytes().decode())
        offered = b.now.remote.sections
        for section in sections(b.answer())[:2]:
            theirs = {codec.payload_type: codec for codec in offered[section.index].codecs}
            assert {"opus", "VP8"} & {codec.name for codec in section.codecs}, path.name
            for codec in section.codecs:
                assert codec.name == theirs[codec.payload_type].name
                if codec.apt is not None:
                    assert codec.apt in {other.payload_type for other in section.codecs}


def test_later_offers_keep_the_numbers_of_the_other_side():
    """RFC 3264 section 8.3.2, RFC 9429 section 5.2.2."""
    b = Side("B", data=False)
    firefox = next(p for p in FIXTURES if p.name.startswith("firefox") and "data-audio-video-offer" in p.name)
    b.remote("offer", firefox.read_bytes().decode())
    answer = sections(b.answer())
    add(b, "video")
    add(b, "audio")
    offer = sections(b.offer())
    taken = {}
    for section in offer:
        for codec in section.codecs if section.is_rtp else ():
            meaning = jsep.codecs.meaning_of(codec, section.codecs)
            assert taken.setdefault(codec.payload_type, meaning) == meaning, "one meaning within a bundle"
    for before, after in zip(answer[:2], offer, strict=False):
        assert list(numbers(after).items())[: len(before.codecs)] == list(numbers(before).items())
        for extension in before.extensions:
            assert extension in after.extensions


def codec(name, fmtp="", kind="video", rate=90000, channels=None):
    return Codec(-1, kind, name, rate, channels, fmtp)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (codec("VP8"), codec("vp8"), True),
        (codec("VP9"), codec("VP9", "profile-id=0"), True),
        (codec("VP9"), codec("VP9", "profile-id=2"), False),
        (codec("AV1"), codec("AV1", "profile=1"), False),
        (codec("opus", "stereo=1", "audio", 48000, 2), codec("opus", "", "audio", 48000, 2), True),
        (codec("opus", "", "audio", 48000, 2), codec("opus", "", "audio", 48000), False),
        (codec("PCMU", "", "audio", 8000), codec("PCMU", "", "audio", 8000, 1), True),
        (
            codec("H264", "packetization-mode=1;profile-level-id=42e01f"),
            codec("H264", "profile-level-id=42E034;packetization-mode=1"),
            True,
        ),
        (codec("H264", "profile-level-id=42e01f"), codec("H264", "profile-level-id=42001f"), False),
        (codec("H264", "profile-level-id=42e01f"), codec("H264", "profile-level-id=4de01f"), True),
        (codec("H264", "packetization-mode=1"), codec("H264", "packetization-mode=0"), False),
        (codec("H264"), codec("H264", "profile-level-id=42000a;packetization-mode=0"), True),
        (codec("H264", "profile-level-id=zz"), codec("H264"), False),
    ],
)
def test_when_two_codecs_are_one(one, other, same):
    assert jsep.same_codec(one, other) is same
    assert jsep.same_codec(other, one) is same


@pytest.mark.parametrize(
    ("offered", "level"),
    [
        ("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e00a", "42e01f"),
        ("packetization-mode=1;profile-level-id=42e00a", "42e00a"),
        ("packetization-mode=1;profile-level-id=42e034", "42e01f"),
    ],
)
def test_the_level_of_h264(offered, level):
    """RFC 6184 section 8.2.2."""
    b = Side("B", data=False)
    text = media_side("A", "video").offer()
    line = "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
    b.remote("offer", swap(text, line, f"a=fmtp:102 {offered}"))
    [section] = sections(b.answer())
    found = next(codec for codec in section.codecs if codec.payload_type == 102)
    assert found.parameters["profile-level-id"] == level


def test_codec_preferences():
    h264 = codec("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
    vp8 = codec("VP8")
    a, b = media_side("A", "video", preferences=(h264, vp8)), Side("B", data=False)
    [section] = sections(a.offer())
    assert list(numbers(section).items()) == [(102, "H264"), (96, "VP8")]
    a.rollback()
    change(a, 1, preferences=(codec("rtx"), vp8))
    [section] = sections(a.offer())
    assert list(numbers(section).items()) == [(96, "VP8"), (97, "rtx")]
    a.rollback()
    change(a, 1, preferences=())
    b.remote("offer", a.offer())
    change(b, 1, preferences=(h264, vp8))
    [section] = sections(b.answer())
    assert list(numbers(section).items()) == [(102, "H264"), (96, "VP8")]


def test_a_section_without_a_codec_for_it_is_rejected():
    a, b = media_side("A", "audio", "video"), Side("B", data=False)
    text = a.offer()
    b.remote("offer", text.replace("opus", "sopo").replace("PCM", "MCP"))
    answer = b.answer()
    assert [section.rejected for section in sections(answer)] == [True, False]
    assert attributes.groups(sdp.read(answer).session)[0].mids == ("1",)
    assert [t.kind for t in b.now.transceivers] == ["video"], "it could not be offered again"


def test_what_is_negotiated_is_what_both_have():
    a, b = media_side("A", "audio"), Side("B", data=False)
    b.remote("offer", a.offer())
    change(b, 1, direction="sendrecv")
    answer = b.answer()
    a.remote("answer", answer.replace("minptime=10", "minptime=20"))
    [ours], [theirs] = a.now.transceivers, b.now.transceivers
    assert [c.payload_type for c in ours.send_codecs] == [c.payload_type for c in theirs.receive_codecs]
    assert ours.send_codecs[0].fmtp == "minptime=20;useinbandfec=1", "as the other side describes it"
    assert ours.receive_codecs[0].fmtp == "minptime=10;useinbandfec=1", "as we describe it"
    assert [e.uri for e in ours.extensions] == [e.uri for e in theirs.extensions]
    assert ours.reduced_size


# --- bundles -----------


@pytest.mark.parametrize(
    ("policy", "alone"),
    [("balanced", [1, 0, 1, 1]), ("max-compat", [1, 1, 1, 1]), ("max-bundle", [1, 0, 0, 0])],
)
def test_bundle_policies(policy, alone):
    """RFC 9429 section 4.1.1."""
    a, b = media_side("A", "audio", "audio", "video", data=True), Side("B", data=False)
    text = a.offer(bundle_policy=policy)
    assert [not section.bundle_only for section in sections(text)] == list(map(bool, alone))
    assert [section.media.port == 9 for section in sections(text)] == list(map(bool, alone))
    assert "a=group:BUNDLE 0 1 2 3\r\n" in text
    assert kinds(a.actions) == ["Gather"] * sum(alone)
    b.remote("offer", text)
    answer = b.answer()
    assert kinds(b.actions) == ["Gather", "SetRemote", "StartDtls", "StartSctp"]
    assert "a=group:BUNDLE 0 1 2 3\r\n" in answer
    a.remote("answer", answer)
    assert kinds(a.actions) == ["CloseTransport"] * (sum(alone) - 1) + ["SetRemote", "StartDtls", "StartSctp"]
    assert a.now.bundle_transports == b.now.bundle_transports == ("0",) * 4
    assert negotiate(a, b) == negotiate(b, a) == ([], [])


def test_a_peer_that_knows_of_no_bundles():
    a, b = media_side("A", "audio", "video", data=True), Side("B", data=False)
    text = a.offer()
    b.remote("offer", swap(text, "a=group:BUNDLE 0 1 2\r\n", ""))
    answer = b.answer()
    assert "a=group" not in answer
    assert b.now.bundle_transports == ("0", "1", "2")
    assert kinds(b.actions).count("Gather") == 3
    a.remote("answer", answer)
    assert a.now.bundle_transports == ("0", "1", "2")
    add(a, "video")
    a.offer()
    assert a.now.bundle_transports == ("0", "1", "2", "0"), "bundle-only, as video has a transport already"
    assert a.now.local.sections[3].bundle_only


def test_max_bundle_takes_one_of_what_is_not_bundled():
    a, b = media_side("A", "audio", "video"), Side("B", data=False)
    b.remote("offer", swap(a.offer(), "a=group:BUNDLE 0 1\r\n", ""))
    answer = b.local("answer", jsep.create_answer(b.now, b.parameters(bundle_policy="max-bundle")))
    assert [section.rejected for section in sections(answer)] == [False, True]


def test_what_is_new_joins_the_bundle():
    a, b = media_side("A", "audio"), Side("B", data=False)
    negotiate(a, b)
    add(a, "video")
    ours, theirs = negotiate(a, b, data=True)
    assert kinds(ours) == kinds(theirs) == ["StartSctp"]
    assert a.now.bundle_transports == ("0", "0", "0")
    add(b, "video")
    assert negotiate(b, a) == ([], [])


def test_the_transport_outlives_the_section_that_made_it():
    a, b = media_side("A", "audio", "video"), Side("B", data=False)
    negotiate(a, b)
    change(a, 1, stopping=True)
    assert negotiate(a, b) == ([], [])
    assert a.now.bundle_transports == b.now.bundle_transports == (None, "0")
    ours, theirs = negotiate(a, b, restart=True)
    assert kinds(ours) == kinds(theirs) == ["Gather", "SetRemote"]
    change(b, 2, stopping=True)
    ours, theirs = negotiate(b, a)
    assert kinds(ours) == kinds(theirs) == ["CloseTransport"]
    assert (a.now.transceivers, b.now.transceivers) == ((), ())


def test_candidates_go_to_the_section_that_speaks_for_their_transport():
    a, b = media_side("A", "audio", "video"), Side("B", data=False)
    b.remote("offer", a.offer())
    candidate = sdp.Candidate.parse("candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host")
    ufrag = a.now.transports["1"].local.ufrag
    a.now = jsep.add_local_candidate(a.now, "1", ufrag, candidate)
    assert [len(section.media.attributes("candidate")) for section in a.now.local.sections] == [0, 1]
    assert a.now.local.sections[1].media.port == 5000
    a.remote("answer", b.answer())
    a.now = jsep.add_local_candidate(a.now, "0", ufrag, candidate)
    first, second = sections(a.offer())
    assert (len(first.media.attributes("candidate")), second.media.attributes("candidate")) == (1, [])
    assert (first.media.port, second.media.port) == (5000, 5000)


def test_a_bundle_only_section_that_is_answered_alone():
    a, b = media_side("A", "audio", "video"), Side("B", data=False)
    text = a.offer(bundle_policy="max-bundle")
    b.remote("offer", swap(text, "a=bundle-only\r\n", "").replace("m=video 0", "m=video 9"))
    with pytest.raises(InvalidAccessError, match="bundle only"):
        a.remote("answer", swap(b.answer(), "a=group:BUNDLE 0 1\r\n", ""))


def test_an_answer_that_bundles_what_was_not_offered_so():
    a, b = media_side("A", "audio", "video"), Side("B", data=False)
    text = a.offer()
    a.rollback()
    a.local("offer", swap(text, "a=group:BUNDLE 0 1", "a=group:BUNDLE 0"))
    b.remote("offer", text)
    with pytest.raises(InvalidAccessError, match="'1'"):
        a.remote("answer", b.answer())


# --- places -----------


def test_a_place_is_used_again_only_when_it_has_been_rejected():
    a, b = media_side("A", "audio", "video"), Side("B", data=False)
    negotiate(a, b)
    change(a, 1, stopping=True)
    add(a, "audio")
    text = a.offer()
    assert [(s.media.kind, s.mid, s.rejected) for s in sections(text)] == [
        ("audio", "0", True), ("video", "1", False), ("audio", "2", False)
    ]  # fmt: skip
    b.remote("offer", text)
    a.remote("answer", b.answer())
    add(b, "video")
    text = b.offer()
    assert [(s.media.kind, s.mid, s.rejected) for s in sections(text)] == [
        ("video", "3", False), ("video", "1", False), ("audio", "2", False)
    ]  # fmt: skip
    a.remote("offer", text)
    b.remote("answer", a.answer())
    assert [(t.mid, t.index) for t in a.now.transceivers] == [("1", 1), ("2", 2), ("3", 0)]


def test_an_offer_that_is_made_again_keeps_its_mids():
    a = media_side("A", "audio", "video")
    first = a.offer()
    add(a, "audio")
    again = a.offer()
    assert [s.mid for s in sections(first)] == ["0", "1"]
    assert [s.mid for s in sections(again)] == ["0", "1", "2"]
    assert [t.mid for t in a.now.transceivers] == ["0", "1", "2"]


# --- simulcast -----------

RIDS = tuple(Encoding(rid=rid, scale_resolution_down_by=scale) for rid, scale in (("a", 4.0), ("b", 2.0), ("c", 1.0)))


def test_simulcast_is_offered():
    a = media_side("A", "video")
    change(a, 1, encodings=RIDS)
    text = a.offer()
    assert text.endswith("a=rid:a send\r\na=rid:b send\r\na=rid:c send\r\na=simulcast:send a;b;c\r\n")


@pytest.mark.parametrize(
    ("wanted", "left"), [("a;b;c", "abc"), ("c;a", "ac"), ("b", "b"), ("x;y", "a"), (None, "a"), ("~a;b", "ab")]
)
def test_the_answer_says_how_many_are_taken(wanted, left):
    """W3C set a session description, step 8.2.8."""
    a, b = media_side("A", "video"), Side("B", data=False)
    change(a, 1, encodings=RIDS)
    b.remote("offer", a.offer())
    answer = b.answer()
    if wanted is not None:
        rids = [rid.strip("~") for rid in wanted.split(";")]
        answer += "".join(f"a=rid:{rid} recv\r\n" for rid in rids) + f"a=simulcast:recv {wanted}\r\n"
    a.remote("answer", answer)
    assert "".join(a.now.transceivers[0].rids) == left


def test_simulcast_that_the_other_side_asks_for():
    a, b = media_side("A", "video"), Side("B", data=False)
    wanted = "a=rid:x recv\r\na=rid:y recv\r\na=rid:z recv\r\na=simulcast:recv x;y,z;y\r\n"
    b.remote("offer", a.offer() + wanted)
    [transceiver] = b.now.transceivers
    assert [(e.rid, e.scale_resolution_down_by) for e in transceiver.encodings] == [("x", 2.0), ("y", 1.0)]
    change(b, 1, direction="sendrecv")
    assert b.answer().endswith("a=rid:x send\r\na=rid:y send\r\na=simulcast:send x;y\r\n")


def test_a_later_offer_may_ask_for_less():
    a, b = media_side("A", "video"), Side("B", data=False)
    b.remote("offer", a.offer() + "a=rid:x recv\r\na=rid:y recv\r\na=simulcast:recv x;y\r\n")
    change(b, 1, direction="sendrecv")
    a.remote("answer", b.answer())
    b.remote("offer", a.offer() + "a=rid:y recv\r\na=simulcast:recv y\r\n")
    assert b.now.transceivers[0].rids == ("x", "y")
    b.answer()
    assert b.now.transceivers[0].rids == ("y",)


def test_asked_for_simulcast_is_rolled_back():
    a, b = media_side("A", "video"), Side("B", data=False)
    negotiate(a, b)
    before = b.now.transceivers
    b.remote("offer", a.offer() + "a=rid:x recv\r\na=rid:y recv\r\na=simulcast:recv x;y\r\n")
    assert b.now.transceivers[0].rids == ("x", "y")
    b.rollback("remote")
    assert b.now.transceivers == before


# --- what is refused -----------


def test_the_bad_changes_nothing():
    a, b = media_side("A", "audio", "video", data=True), Side("B", data=False)
    text = a.offer()
    before = b.now
    for old, new in (
        ("a=rtcp-mux\r\n", ""),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=mid:1", "a=mid:0"),
        ("BUNDLE 0 1 2", "BUNDLE 0 1 9"),
    ):
        with pytest.raises(InvalidAccessError):
            b.remote("offer", swap(text, old, new))
        assert b.now is before


# --- what a later description adds -----------


def test_candidates_that_only_a_later_description_has():
    a, b = media_side("A", "audio"), Side("B", data=False)
    negotiate(a, b)
    line = "candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host"
    text = a.offer() + f"a={line}\r\na=end-of-candidates\r\n"
    assert b.remote("offer", text) == [jsep.AddCandidate("0", 1, line), jsep.AddCandidate("0", 1, None)]
    assert b.remote("offer", text) == []


def test_a_chosen_codec_that_is_negotiated_away_is_chosen_no_more():
    a, b = media_side("A", "audio"), Side("B", data=False)
    change(a, 1, encodings=(Encoding(codec=codec("PCMU", "", "audio", 8000, 1)),))
    b.remote("offer", a.offer())
    change(b, 1, preferences=(codec("opus", "", "audio", 48000, 2),))
    a.remote("answer", b.answer())
    assert a.now.transceivers[0].encodings == (Encoding(),)


@pytest.mark.parametrize(
    ("said", "streams"),
    [
        ("a=msid:S t\r\na=msid:T t\r\na=msid:S t\r\na=ssrc:1 msid:U t\r\n", ("S", "T")),
        ("a=ssrc:1 cname:x\r\na=ssrc:1 msid:S t\r\na=ssrc:2 msid:S t\r\n", ("S",)),
        ("a=msid:-\r\n", ()),
        ("", (f"{jsep.NAMELESS}1",)),
    ],
)
def test_the_streams_of_a_track(said, streams):
    """RFC 8830, and the form before it."""
    b = Side("B", data=False)
    b.remote("offer", swap(media_side("A", "audio").offer(), "a=msid:-\r\n", said))
    assert b.now.transceivers[0].remote_streams == streams
