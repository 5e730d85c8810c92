"""The messages in vectors/protocol, which the browser SDK replays too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from adieu.protocol import control, folders, signaling

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "protocol"


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


CONTROL, SIGNALING, FRAGMENTS = load("control"), load("signaling"), load("fragments")
FOLDERS = load("folders")


def cases(vectors, kind):
    return [pytest.param(case, id=case["name"]) for case in vectors[kind]]


# --- control --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases(CONTROL, "valid"))
def test_a_control_message_is_read_and_written_the_same(case):
    message = control.decode(case["json"])
    assert message is not None
    assert control.encode(message) == case["json"]


@pytest.mark.parametrize("case", cases(CONTROL, "equal"))
def test_a_control_message_is_written_in_one_way(case):
    assert control.encode(control.decode(case["json"])) == case["written"]


@pytest.mark.parametrize("case", cases(CONTROL, "ignored"))
def test_a_control_message_of_a_later_version_is_ignored(case):
    assert control.decode(case["json"]) is None


@pytest.mark.parametrize("case", cases(CONTROL, "invalid"))
def test_a_control_message_that_is_none_says_why(case):
    with pytest.raises(ValueError, match=r"."):
        control.decode(case["json"])


def test_a_vector_for_every_control_message():
    tags = {json.loads(case["json"])["type"] for case in CONTROL["valid"]}
    assert tags == {kind.__struct_config__.tag for kind in control.AnyControl.__args__}


# --- signaling ------------------------------------------------------------------------------------------------

SIDES = {"client": signaling.decode_client, "server": signaling.decode_server}


def side_cases(kind):
    return [pytest.param(side, case, id=f"{side}: {case['name']}") for side in SIDES for case in SIGNALING[side][kind]]


@pytest.mark.parametrize(("side", "case"), side_cases("valid"))
def test_a_signaling_message_is_read_and_written_the_same(side, case):
    envelope, message = SIDES[side](case["json"])
    assert envelope == signaling.Envelope()
    assert signaling.encode(message) == case["json"]


@pytest.mark.parametrize(("side", "case"), side_cases("equal"))
def test_a_signaling_message_is_written_in_one_way(side, case):
    assert signaling.encode(SIDES[side](case["json"])[1]) == case["written"]


@pytest.mark.parametrize(("side", "case"), side_cases("ignored"))
def test_a_signaling_message_of_a_later_version_keeps_its_envelope(side, case):
    envelope, message = SIDES[side](case["json"])
    assert message is None
    raw = json.loads(case["json"])
    assert (envelope.id, envelope.seq) == (raw.get("id"), raw.get("seq"))


@pytest.mark.parametrize(("side", "case"), side_cases("invalid"))
def test_a_signaling_message_that_is_none_says_why(side, case):
    with pytest.raises(ValueError, match=r"."):
        SIDES[side](case["json"])


@pytest.mark.parametrize("case", SIGNALING["envelopes"], ids=lambda case: case["name"])
def test_an_envelope_stands_before_the_message(case):
    envelope, message = signaling.decode_client(case["json"])
    assert (envelope.id, envelope.seq, envelope.ack) == (case["id"], case["seq"], case["ack"])
    assert signaling.encode(message, request=case["id"], seq=case["seq"], ack=case["ack"]) == case["json"]


@pytest.mark.parametrize("case", SIGNALING["closeCodes"], ids=lambda case: str(case["code"]))
def test_close_codes_that_are_final(case):
    assert signaling.is_final(case["code"]) == case["final"]
    if case["name"]:
        assert signaling.CloseCode(case["code"]).name == case["name"]


@pytest.mark.parametrize("case", SIGNALING["beacon"]["valid"], ids=lambda case: case["name"])
def test_a_beacon_is_read_and_written_the_same(case):
    leaving = msgspec.json.decode(case["json"], type=signaling.Leaving)
    assert msgspec.json.encode(leaving).decode() == case["json"]


@pytest.mark.parametrize(("side", "union"), [("client", signaling.FromClient), ("server", signaling.FromServer)])
def test_a_vector_for_every_signaling_message(side, union):
    tags = {json.loads(case["json"])["type"] for case in SIGNALING[side]["valid"]}
    assert tags == {kind.__struct_config__.tag for kind in union.__args__}


# --- fragments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases(FRAGMENTS, "valid"))
def test_a_fragment_is_read_and_written_the_same(case):
    data = bytes.fromhex(case["hex"])
    fragment = control.decode_fragment(data)
    again = None if case["again"] is None else tuple(case["again"])
    for name in ("text", "first", "last", "seq", "index"):
        assert getattr(fragment, name) == case[name], name
    assert (fragment.again, bytes(fragment.payload).hex()) == (again, case["payload"])
    header = control.encode_header(
        case["seq"], text=case["text"], first=case["first"], last=case["last"], index=case["index"], again=again
    )
    assert header + fragment.payload == data
    assert len(header) <= control.MAX_HEADER + (control.RECEIPT_BYTES + 8 if again else 0)


@pytest.mark.parametrize("case", cases(FRAGMENTS, "invalid"))
def test_a_fragment_that_is_none_says_why(case):
    with pytest.raises(ValueError, match=r"."):
        control.decode_fragment(bytes.fromhex(case["hex"]))


# --- folders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases(FOLDERS, "valid"))
def test_a_text_of_a_folder_is_read_and_written_the_same(case):
    assert folders.encode(folders.decode(case["json"])) == case["json"]


@pytest.mark.parametrize("case", cases(FOLDERS, "invalid"))
def test_a_text_of_a_folder_that_is_none_says_why(case):
    with pytest.raises(ValueError, match=r"."):
        folders.decode(case["json"])


@pytest.mark.parametrize("case", cases(FOLDERS, "pieces"))
def test_pieces_are_read_and_written_the_same(case):
    pieces = folders.decode_pieces(bytes.fromhex(case["hex"]))
    assert [[piece.n, piece.at, bytes(piece.data).hex()] for piece in pieces] == case["pieces"]
    assert all(hashlib.sha256(piece.data).digest() == piece.hash for piece in pieces)
    assert folders.encode_pieces(pieces).hex() == case["hex"]


@pytest.mark.parametrize("case", cases(FOLDERS, "wrong"))
def test_pieces_that_are_none_say_why(case):
    with pytest.raises(ValueError, match=r"."):
        folders.decode_pieces(bytes.fromhex(case["hex"]))


def test_the_proof_of_a_folder_is_the_same_in_both_languages():
    given = FOLDERS["proof"]
    proofs = [bytes.fromhex(each) for each in given["files"]]
    assert folders.proof_of(bytes.fromhex(given["manifest"]), proofs) == given["proof"]


def test_a_message_of_pieces_is_no_longer_than_the_room_that_is_kept_for_it():
    most = [folders.Piece(folders.MAX_ENTRIES - 1, 2**53 - 1, b"x" * 4096, bytes(32))] * folders.AT_ONCE
    assert len(folders.encode_pieces(most)) <= 4096 * folders.AT_ONCE + folders.MAX_HEAD
