"""Offers and answers with data, between two of us and against what others write."""

from pathlib import Path

import pytest

from adieu import jsep, sdp
from adieu.errors import InvalidAccessError, InvalidStateError, RTCError
from adieu.jsep import AddCandidate, CloseTransport, Gather, SctpAssociation, SetRemote, StartDtls, StartSctp
from adieu.sdp import attributes
from unit.jsep.test_media import media_side
from unit.jsep.world import FINGERPRINT, HEAD, Side, kinds, negotiate, swap

FIXTURES = sorted((Path(__file__).parents[2] / "fixtures" / "sdp").glob("*.sdp"))


@pytest.fixture
def a():
    return Side("A")


@pytest.fixture
def b():
    return Side("B", data=False)


# --- the text -----------


def test_the_first_offer(a):
    text = a.offer()
    assert text == (
        "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-options:trickle ice2\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
        f"a=ice-ufrag:Auf01\r\na=ice-pwd:Apwd01xxxxxxxxxxxxxxxxxx\r\na=fingerprint:sha-256 {FINGERPRINT['A']}\r\n"
        "a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
    )


def test_an_offer_of_nothing(a, b):
    a.data = False
    assert "m=" not in a.offer()
    b.remote("offer", a.now.local.text)
    assert a.remote("answer", b.answer()) == []
    assert (a.now.state, b.now.state) == ("stable", "stable")


def test_the_answer_takes_the_active_role_and_the_group(a, b):
    b.remote("offer", a.offer())
    answer = b.answer()
    assert "a=setup:active\r\n" in answer
    assert "a=group:BUNDLE 0\r\n" in answer
    assert "a=mid:0\r\n" in answer


def test_an_answer_groups_nothing_that_was_not_grouped(a, b):
    b.remote("offer", swap(a.offer(), "a=group:BUNDLE 0\r\n", ""))
    assert "a=group" not in b.answer()


def test_an_answer_names_no_mid_where_the_offer_has_none(a, b):
    text = swap(swap(a.offer(), "a=group:BUNDLE 0\r\n", ""), "a=mid:0\r\n", "")
    b.remote("offer", text)
    answer = b.answer()
    assert "a=mid" not in answer
    assert kinds(b.actions) == ["Gather", "SetRemote", "StartDtls", "StartSctp"]
    assert kinds(a.remote("answer", answer)) == ["SetRemote", "StartDtls", "StartSctp"]


def test_the_old_form_of_the_section_is_answered_in_the_old_form(b):
    section = (
        "m=application 9 DTLS/SCTP 6000\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:" + "p" * 24 + "\r\n"
        f"a=fingerprint:sha-256 {FINGERPRINT['A']}\r\na=setup:actpass\r\na=mid:data\r\n"
        "a=sctpmap:6000 webrtc-datachannel 1024\r\n"
    )
    b.remote("offer", HEAD + section)
    answer = b.answer()
    assert "m=application 9 DTLS/SCTP 5000\r\n" in answer
    assert "a=sctpmap:5000 webrtc-datachannel 65535\r\n" in answer
    assert "sctp-port" not in answer
    assert b.actions[-1] == StartSctp("data", SctpAssociation(5000, 6000, 65536))


def test_the_version_grows_with_each_description_that_is_set(a, b):
    versions = []
    for _ in range(3):
        negotiate(a, b)
        versions.append((a.now.local.sdp.origin.session_version, b.now.local.sdp.origin.session_version))
    assert versions == [(1, 1), (2, 2), (3, 3)]


# --- the actions -----------


def test_what_the_two_sides_do(a, b):
    ours, theirs = negotiate(a, b)
    own, other = a.now.transports["0"].local, b.now.transports["0"].local
    assert ours == [
        Gather("0", 1, own, controlling=True),
        SetRemote("0", 1, other, lite=False),
        StartDtls("0", False, (attributes.Fingerprint("sha-256", FINGERPRINT["B"]),)),
        StartSctp("0", SctpAssociation(5000, 5000, 262144)),
    ]
    assert theirs == [
        Gather("0", 1, other, controlling=False),
        SetRemote("0", 1, own, lite=False),
        StartDtls("0", True, (attributes.Fingerprint("sha-256", FINGERPRINT["A"]),)),
        StartSctp("0", SctpAssociation(5000, 5000, 262144)),
    ]


def test_nothing_is_done_when_nothing_changed(a, b):
    negotiate(a, b)
    assert negotiate(a, b) == ([], [])
    assert negotiate(b, a) == ([], [])


def test_later_answers_keep_the_dtls_roles(a, b):
    negotiate(a, b)
    a.remote("offer", b.offer())
    assert "a=setup:passive" in a.answer()


def test_an_active_offer_makes_the_answerer_passive(a, b):
    b.remote("offer", swap(a.offer(), "a=setup:actpass", "a=setup:active"))
    assert "a=setup:passive" in b.answer()
    assert b.now.transports["0"].dtls_client is False


def test_a_missing_role_is_active(a, b):
    """RFC 4145 section 4."""
    b.remote("offer", swap(a.offer(), "a=setup:actpass\r\n", ""))
    assert "a=setup:passive" in b.answer()


def test_who_answers_a_lite_agent_controls(a, b):
    """RFC 8445 section 6.1.1."""
    b.remote("offer", swap(a.offer(), "t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"))
    b.answer()
    assert b.actions[0].controlling
    assert b.actions[1].lite


def test_fingerprint_and_credentials_of_the_session_level(a, b):
    text = a.offer()
    lines = [line for line in text.split("\r\n") if line.startswith(("a=fingerprint", "a=ice-ufrag", "a=ice-pwd"))]
    for line in lines:
        text = text.replace(line + "\r\n", "")
    b.remote("offer", text.replace("t=0 0\r\n", "t=0 0\r\n" + "".join(line + "\r\n" for line in lines)))
    b.answer()
    assert b.now.transports["0"].remote == a.now.transports["0"].local
    assert b.now.transports["0"].fingerprints[0].value == FINGERPRINT["A"]


def test_a_new_maximum_message_size_is_taken(a, b):
    negotiate(a, b)
    b.remote("offer", swap(a.offer(), "a=max-message-size:262144", "a=max-message-size:100"))
    b.answer()
    assert b.actions == []
    assert b.now.transports["0"].sctp.remote_max_message_size == 100


def test_a_provisional_answer_starts_and_the_final_one_adds_nothing(a, b):
    b.remote("offer", a.offer())
    provisional = b.answer("pranswer")
    assert (b.now.state, kinds(b.actions)) == ("have-local-pranswer", ["Gather", "SetRemote", "StartDtls", "StartSctp"])
    assert kinds(a.remote("pranswer", provisional)) == ["SetRemote", "StartDtls", "StartSctp"]
    assert a.now.state == "have-remote-pranswer"
    answer = b.answer()
    assert b.actions == []
    assert a.remote("answer", answer) == []
    assert (a.now.state, b.now.state) == ("stable", "stable")


# --- pending and current -----------


def test_pending_and_current(a, b):
    offer = a.offer()
    assert (a.now.pending_local.text, a.now.current_local) == (offer, None)
    b.remote("offer", offer)
    assert (b.now.pending_remote.text, b.now.current_remote) == (offer, None)
    answer = b.answer()
    a.remote("answer", answer)
    for side, local, remote in ((a, offer, answer), (b, answer, offer)):
        assert (side.now.pending_local, side.now.pending_remote) == (None, None)
        assert (side.now.current_local.text, side.now.current_remote.text) == (local, remote)


@pytest.mark.parametrize(("source", "type_"), [("local", "answer"), ("remote", "answer"), ("remote", "pranswer")])
def test_an_answer_to_nothing(a, source, type_):
    with pytest.raises(InvalidStateError, match="stable"):
        (a.local if source == "local" else a.remote)(type_, HEAD)


def test_an_offer_against_an_offer(a, b):
    a.offer()
    with pytest.raises(InvalidStateError, match="have-local-offer"):
        a.remote("offer", b.offer(data=True))


# --- sections that are not ours -----------


@pytest.mark.parametrize(
    "path", [p for p in FIXTURES if "data" in p.stem and p.stem.endswith("-offer")], ids=lambda path: path.stem
)
def test_the_offers_of_others_are_answered(path):
    """Everything is accepted, in its place, and over one transport (RFC 9143 section 7.3)."""
    b = Side("B", data=False)
    offer = path.read_bytes().decode()
    b.remote("offer", offer)
    answer = sdp.read(b.answer())
    offered = sdp.read(offer)
    assert [media.kind for media in answer.media] == [media.kind for media in offered.media]
    assert [attributes.mid(m) for m in answer.media] == [attributes.mid(m) for m in offered.media]
    assert all(media.port != 0 for media in answer.media)
    assert attributes.groups(answer.session)[0].mids == attributes.groups(offered.session)[0].mids
    assert kinds(b.actions)[:2] == ["Gather", "SetRemote"]
    assert kinds(b.actions)[-2:] == ["StartDtls", "StartSctp"]
    candidates = [action.line for action in b.actions if isinstance(action, AddCandidate)]
    assert any("udp" in line for line in candidates if line)
    [transport] = b.now.transports.values()
    assert transport.dtls_client is True


@pytest.mark.parametrize("path", [p for p in FIXTURES if "-data-answer" in p.stem], ids=lambda path: path.stem)
def test_the_answers_of_others_are_taken(path):
    a = Side("A")
    a.offer()
    assert kinds(a.remote("answer", path.read_bytes().decode()))[0] == "SetRemote"
    assert a.now.transports["0"].dtls_client is False


def test_candidates_of_the_sections_that_share_the_transport_count():
    """pion writes all of them under the first section, whose credentials the others have too."""
    b = Side("B", data=False)
    b.remote(
        "offer", next(p for p in FIXTURES if p.name.startswith("pion") and "data-audio" in p.name).read_bytes().decode()
    )
    b.answer()
    lines = [action.line for action in b.actions if isinstance(action, AddCandidate) and action.line]
    assert len(lines) == 2, "component 1 of IPv4 and IPv6"


def test_rejected_sections_are_offered_again_rejected_and_in_their_places():
    b = Side("B", data=False)
    chromium = next(p for p in FIXTURES if p.name.startswith("chromium") and "data-audio-video-offer" in p.name)
    text = chromium.read_bytes().decode()
    b.remote("offer", text.replace("rtpmap:", "nothing:").replace("9 0 8 13 ", ""))
    b.answer()
    offer = sdp.read(b.offer())
    assert [(m.kind, m.port != 0, attributes.mid(m)) for m in offer.media] == [
        ("audio", False, "0"),
        ("video", False, "1"),
        ("application", True, "2"),
    ]
    assert offer.media[0].formats == ("0",)
    assert attributes.groups(offer.session)[0].mids == ("2",)


RTP = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=sendrecv\r\n"
    f"a=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 24}\r\na=setup:actpass\r\na=fingerprint:sha-256 {FINGERPRINT['A']}\r\n"
)


def test_audio_alone_is_rejected_and_makes_no_transport(b):
    b.remote("offer", HEAD + RTP)
    answer = sdp.read(b.answer())
    assert answer.media[0].port == 0
    assert not answer.session.has("group")
    assert b.actions == []


def test_a_new_data_section_takes_the_place_of_a_rejected_one_under_a_new_mid(b):
    """RFC 9429 section 5.2.2."""
    b.remote("offer", HEAD + RTP)
    b.answer()
    offer = sdp.read(b.offer(data=True))
    assert [(media.kind, attributes.mid(media)) for media in offer.media] == [("application", "1")]


def test_a_second_data_section_is_rejected(a, b):
    text = a.offer()
    second = text[text.index("m=") :].replace("a=mid:0", "a=mid:1")
    b.remote("offer", swap(text, "BUNDLE 0", "BUNDLE 0 1") + second)
    answer = sdp.read(b.answer())
    assert [media.port != 0 for media in answer.media] == [True, False]
    assert attributes.groups(answer.session)[0].mids == ("0",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UDP/DTLS/SCTP webrtc-datachannel", "TCP/TLS/BFCP *"),
        ("a=sctp-port:5000", "a=sctp-port:0"),
        ("m=application 9", "m=application 0"),
        (
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=bundle-only\r\n",
        ),
    ],
)
def test_a_data_section_that_can_not_be_accepted(a, b, old, new):
    """RFC 8841 (port 0), RFC 9143 section 7.3.1 (bundle-only with nothing to be bundled with)."""
    b.remote("offer", swap(a.offer(), old, new))
    assert sdp.read(b.answer()).media[0].port == 0
    assert b.actions == []


def test_a_rejected_data_section_ends_the_transport(a, b):
    negotiate(a, b)
    b.remote("offer", swap(a.offer(), "m=application 9", "m=application 0"))
    b.answer()
    assert b.actions == [CloseTransport("0")]
    a.remote("answer", b.now.local.text)
    assert a.actions == [CloseTransport("0")]
    assert (a.now.transports, b.now.transports) == ({}, {})
    ours, theirs = negotiate(a, b)
    assert kinds(ours) == kinds(theirs) == ["Gather", "SetRemote", "StartDtls", "StartSctp"]
    assert a.now.local.sections[0].mid == "1"
    assert ours[0].generation == 2, "numbers are not used again"


# --- what is refused -----------


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("a=ice-ufrag:Auf01\r\n", "", "ice-ufrag"),
        (f"a=fingerprint:sha-256 {FINGERPRINT['A']}\r\n", "", "fingerprint"),
        (f"sha-256 {FINGERPRINT['A']}", "sha-1 " + FINGERPRINT["A"][: 3 * 20 - 1], "weak"),
        ("a=setup:actpass", "a=setup:holdconn", "holdconn"),
        ("BUNDLE 0", "BUNDLE 0 9", "'9'"),
        ("BUNDLE 0", "BUNDLE 0 0", "twice"),
    ],
)
def test_an_invalid_offer_changes_nothing(a, b, old, new, match):
    before = b.now
    with pytest.raises(InvalidAccessError, match=match):
        b.remote("offer", swap(a.offer(), old, new))
    assert b.now is before


def test_two_sections_of_one_mid(a, b):
    text = a.offer()
    with pytest.raises(InvalidAccessError, match="same mid"):
        b.remote("offer", text + text[text.index("m=") :])


def test_rtp_without_rtcp_mux(b):
    with pytest.raises(InvalidAccessError, match="rtcp-mux"):
        b.remote("offer", HEAD + swap(RTP, "a=rtcp-mux\r\n", ""))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("a=setup:active", "a=setup:actpass", "actpass"),
        ("a=mid:0", "a=mid:1", "group|'1'"),
        ("m=application", "m=audio", "audio"),
        ("a=ice-pwd:Bpwd01xxxxxxxxxxxxxxxxxx\r\n", "", "ice-pwd"),
    ],
)
def test_an_answer_that_does_not_fit(a, b, old, new, match):
    b.remote("offer", a.offer())
    answer = swap(swap(b.answer(), "a=group:BUNDLE 0\r\n", ""), old, new)
    before = a.now
    with pytest.raises(InvalidAccessError, match=match):
        a.remote("answer", answer)
    assert a.now is before


@pytest.mark.parametrize("sections", [0, 2])
def test_an_answer_with_another_number_of_sections(a, b, sections):
    b.remote("offer", a.offer())
    answer = b.answer()
    body = answer[answer.index("m=") :]
    text = swap(answer, "a=group:BUNDLE 0\r\n", "").replace(body, "") + "".join(
        body.replace("mid:0", f"mid:{n}") for n in range(sections)
    )
    with pytest.raises(InvalidAccessError, match=f"{sections} media sections"):
        a.remote("answer", text)


def test_an_answer_that_accepts_what_was_rejected(b):
    b.remote("offer", HEAD + RTP)
    b.answer()
    b.offer()
    with pytest.raises(InvalidAccessError, match="was not offered"):
        b.remote("answer", HEAD + swap(RTP, "actpass", "active"))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("a=setup:actpass", "a=setup:active", "DTLS role"),
        ("a=sctp-port:5000", "a=sctp-port:5001", "SCTP port"),
    ],
)
def test_a_later_offer_that_would_need_another_association(a, b, old, new, match):
    negotiate(a, b)
    with pytest.raises(InvalidAccessError, match=match):
        b.remote("offer", swap(a.offer(), old, new))


def test_another_fingerprint_is_another_transport_in_the_same_place(a, b):
    """RFC 8842 section 4: a call that is handed over to somebody else."""
    negotiate(a, b)
    assert b.remote("offer", swap(a.offer(), FINGERPRINT["A"], FINGERPRINT["C"])) == []
    b.answer()
    assert kinds(b.actions) == ["CloseTransport", "Gather", "SetRemote", "StartDtls", "StartSctp"]
    assert b.now.transports["0"].fingerprints[0].value == FINGERPRINT["C"]


@pytest.mark.parametrize("number", [64, 72, 95])
def test_payload_types_that_could_not_be_told_from_rtcp(b, number):
    """RFC 5761 section 4."""
    with pytest.raises(InvalidAccessError, match=f"payload type {number}"):
        b.remote("offer", HEAD + RTP.replace("111", str(number)) + f"a=rtpmap:{number} opus/48000/2\r\n")


def test_a_later_offer_that_leaves_a_section_out(a, b):
    negotiate(a, b)
    text = a.offer()
    with pytest.raises(InvalidAccessError, match="left out"):
        b.remote("offer", swap(text[: text.index("m=")], "a=group:BUNDLE 0\r\n", ""))


def test_a_later_offer_that_renames_a_section(a, b):
    negotiate(a, b)
    with pytest.raises(InvalidAccessError, match="rejected section"):
        b.remote("offer", swap(swap(a.offer(), "a=mid:0", "a=mid:x"), "BUNDLE 0", "BUNDLE x"))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("t=0 0", "nonsense", 4),
        ("a=setup:actpass", "a=setup:both", 12),
        ("a=sctp-port:5000", "a=sctp-port:many", 14),
    ],
)
def test_a_malformed_line_is_named(a, old, new, line):
    with pytest.raises(RTCError) as caught:
        jsep.parse_description("offer", swap(a.offer(), old, new))
    assert (caught.value.errorDetail, caught.value.sdpLineNumber) == ("sdp-syntax-error", line)


@pytest.mark.parametrize(("old", "new"), [("ufrag:Auf01", "ufrag:Au$01"), ("pwd:Apwd01", "pwd:Ap$d01")])
def test_what_is_no_ufrag_and_no_password_is_content_and_not_syntax(a, b, old, new):
    """W3C set a session description, failure step 6."""
    with pytest.raises(InvalidAccessError, match="line"):
        b.remote("offer", swap(a.offer(), old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=ice-ufrag:Auf01", "a=ice-ufrag:x"),
        ("a=ice-pwd:", "a=ice-pwd: "),
        ("a=fingerprint:sha-256", "a=fingerprint:sha-256 AB:"),
        ("a=ice-ufrag:Auf01\r\n", ""),
    ],
)
def test_of_a_bundle_only_the_first_one_s_transport_is_read(b, old, new):
    """As browsers have it: what the others say of it is never used."""
    text = media_side("A", "audio", "video", data=True).offer()
    first, last = text.index("m="), text.rindex("m=")
    b.remote("offer", text[:last] + swap(text[last:], old, new))
    assert len([m for m in b.answer().split("m=")[1:] if " 9 " in m.splitlines()[0]]) == 3
    with pytest.raises((InvalidAccessError, RTCError)):
        Side("B", data=False).remote("offer", text[:first] + swap(text[first:last], old, new) + text[last:])


def test_an_answer_that_does_not_say_its_mids_has_those_of_the_offer(a, b):
    """RFC 9429 section 5.11: sections of an answer are known by their places."""
    offer = media_side("A", "audio", data=True)
    b.remote("offer", offer.offer())
    offer.remote("answer", swap(b.answer(), "a=mid:1\r\n", ""))
    assert offer.now.state == "stable"
    assert [section.mid for section in offer.now.current_remote.sections] == ["0", "1"]
    assert len(offer.now.transports) == 1
    host = sdp.Candidate.parse("candidate:1 1 udp 1 10.0.0.1 5000 typ host")
    plan = jsep.add_remote_candidate(offer.now, host, mid="1", index=None, ufrag=None)
    assert [section.mid for section in plan.after.current_remote.sections] == ["0", "1"]


@pytest.mark.parametrize("said", ["UDP/DTLS/SCTP x-unknown", "SCTP webrtc-datachannel"])
def test_an_answer_over_another_protocol_is_refused(a, b, said):
    b.remote("offer", a.offer())
    answer = swap(b.answer(), "UDP/DTLS/SCTP webrtc-datachannel", said)
    with pytest.raises(InvalidAccessError, match="offered over UDP/DTLS/SCTP"):
        a.remote("answer", answer)


def test_lines_that_can_not_be_used_are_passed_over_and_known(b):
    text = media_side("A", "audio", data=True).offer()
    odd = (
        "a=candidate:x",
        "a=rtcp-fb:none",
        "a=extmap:one urn:x",
        "a=msid:",
        "a=rtpmap:999 x/1",
        "a=fmtp:y z",
        "a=rid:%",
    )
    end = text.index("m=application")
    text = text[:end] + "".join(f"{line}\r\n" for line in odd) + text[end:]
    description = jsep.parse_description("offer", text)
    first = text[:end].count("\r\n") + 1
    count, errors = description.unusable
    assert count == len(odd)
    assert sorted(error.line for error in errors) == list(range(first, first + len(odd)))
    b.remote("offer", text)
    assert all(line in b.now.pending_remote.text for line in odd), "the text stays as it is"
    answer = b.answer()
    assert not any(line in answer for line in odd)


def test_a_header_extension_keeps_its_number(b):
    """RFC 8285 section 6."""
    text = HEAD + RTP + "a=rtpmap:111 opus/48000/2\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
    b.remote("offer", text)
    b.answer()
    with pytest.raises(InvalidAccessError, match="header extension 1"):
        b.remote("offer", swap(text, "sdes:mid", "ssrc-audio-level"))
