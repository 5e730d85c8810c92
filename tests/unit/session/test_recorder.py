"""The flight recorder: one format in both languages, bounded, without secrets; attached to what tells of trouble."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.session import recorder
from adieu.session.recorder import Recorder, shown
from support.virtual import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.virtual import World

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "vectors" / "recorder" / "recordings.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_recording_is_what_the_vector_says(vector: dict[str, Any]) -> None:
    made = Recorder(lambda: vector["head"])
    for now, mark, note in vector["notes"]:
        made.note(now, mark, note)
    recording = json.loads(made.to_json())
    assert recording.pop("program") == "python"
    assert (recording.pop("began") > 1.6e9) is bool(vector["notes"])
    assert recording == vector["recording"]


def test_its_memory_is_bounded_by_lines_and_by_characters() -> None:
    made = Recorder()
    for number in range(3 * recorder.LINES):
        made.note(float(number), "=", {"type": "ice", "epoch": number, "state": "connected"})
    recording = made.recording()
    assert len(recording["lines"]) == recorder.LINES and recording["dropped"] == 2 * recorder.LINES
    assert recording["lines"][-1][0] == 3 * recorder.LINES - 1
    made.note(0.0, ">", json.dumps({"type": "ping", "n": 1}) + " " * recorder.MOST)
    assert made.recording()["lines"][-1][2] == {"type": "unreadable", "characters": recorder.MOST + 24}


def test_unknown_parts_and_hashes_of_control_messages_are_not_shown() -> None:
    secret = "5ec7e75ec7e7" * 5 + "abcd"
    offer = {"name": "a\nb\u202ec.txt", "size": 5, "channel": "f", "sha256": secret, "key": secret[:32]}
    for text in (
        {"type": "ping", "n": 1, "token": secret},
        {"type": "file", "id": "1", "offer": offer},
        {"type": "file", "id": "1", "done": True, "proof": secret},
        {"type": "later", "password": secret},
        {"type": "ping", "n": secret},
    ):
        line = shown(json.dumps(text))
        assert secret[:32] not in json.dumps(line), text
    assert shown(json.dumps({"type": "file", "id": "1", "offer": offer}))["offer"]["name"] == "a bc.txt"
    assert shown("[" * 100_000)["type"] == "unreadable"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = tmp_path / "not there yet"
    monkeypatch.setenv(recorder.FOLDER, str(made))
    return made


@pytest.mark.anyio
async def test_each_session_leaves_its_recording_in_the_folder_that_is_named(folder: Path) -> None:
    async with adieu.memory_pair() as (ada, ben):
        chat = await ada.open("chat")
        await chat.send("the content of a message")
        await (await ben.open("chat")).receive()
    files = [path.read_text() for path in sorted(folder.iterdir())]  # noqa: ASYNC240
    assert len(files) == 2
    for text in files:
        recording = json.loads(text)
        assert recording["receipt"]["clean"] and recording["receipt"]["id"] == ada.receipt.id
        assert "the content" not in text and "a=ice-pwd" not in text
        types = [members["type"] for _, _, members in recording["lines"]]
        assert {"made", "hello", "StateChanged", "open", "opened", "closing", "done", "closed", "notice"} <= {*types}
        if recording["me"] == ada.me:
            assert "askClose" in types


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: Any
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(recorder.FOLDER, str(tmp_path / "file"))
    async with adieu.memory_pair() as (ada, _):
        assert (await ada.close()).clean
    assert any("the recording could not be written" in line for _, line in written.lines)


@simulated()
async def test_only_an_end_in_trouble_has_the_recording(world: World) -> None:
    async with world.sessions() as pair:
        ada, ben = pair.sessions
        chat = await ada.open("chat")
        sent = await chat.send("never read")
        receipt = await ada.close(timeout=0)
        assert not receipt.clean and receipt.recording is ada.recording()
        with pytest.raises(adieu.UndeliveredError) as undelivered:
            await sent.delivered()
        with pytest.raises(adieu.SessionClosedError) as closed:
            await chat.receive()
        assert undelivered.value.recording is closed.value.recording is ada.recording()
        await ben.wait_closed()
    async with world.sessions() as pair:
        assert (await pair.first.close()).recording is None
        assert pair.first.recording().lines()
