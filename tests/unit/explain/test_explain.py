"""What `adieu explain` reads: files of anybody, which never crash it, never forge a line, and are refused by name."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from adieu.explain import RecordingError, draw, read, tell
from adieu.explain.clock import compare
from adieu.session.recorder import Recorder

if TYPE_CHECKING:
    from pathlib import Path

HEAD = {"session": "5" * 32, "me": "a", "peer": "b", "receipt": None}
OTHER = {**HEAD, "me": "b", "peer": "a"}


def made(notes: list[tuple[float, Any, Any]], head: dict[str, Any] = HEAD, **members: Any) -> dict[str, Any]:
    recorder = Recorder(lambda: head)
    for note in notes:
        recorder.note(*note)
    return recorder.recording() | members


def state(name: str, cause: str = "", *evidence: str) -> dict[str, Any]:
    return {"type": "StateChanged", "state": name, "previous": "", "cause": cause, "evidence": list(evidence)}


def ping(n: int, type_: str = "ping") -> str:
    return json.dumps({"type": type_, "n": n})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "something"}, "no flight recording"),
        ({"version": 2}, "version 2"),
        ({"version": 0}, "no flight recording"),
        ({"lines": [[-1, "=", {}]]}, "no flight recording"),
        ({"lines": [[1, "?", {}]]}, "no flight recording"),
        ({"lines": [[1, "=", {}]] * 2001}, "no flight recording"),
        ({"receipt": {"steps": 5}}, "no flight recording"),
        ({"began": float("nan")}, "no flight recording"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_by_name(change: dict[str, Any], told: str) -> None:
    with pytest.raises(RecordingError, match=told):
        read(json.dumps(made([]) | change))


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 100_000, "\x00", '{"format": "adieu-recording"}'])
def test_no_text_crashes_it(text: str) -> None:
    with pytest.raises(RecordingError):
        read(text)


def test_a_file_beyond_the_bound_is_refused() -> None:
    with pytest.raises(RecordingError, match="at most"):
        read(b" " * (16 * 1024 * 1024 + 1))


def test_members_that_are_not_known_and_lines_of_a_later_kind_are_passed_over() -> None:
    story = tell([read(json.dumps(made([(0.0, "=", {"type": "later", "more": [1]})], later=True)))])
    assert story.lines()[-1].startswith("Nothing took time")


def test_nothing_in_a_file_forges_a_line_or_a_tag() -> None:
    bad = "x\n  9.99 s  A  Close: clean\x1b[31m</text><script>"
    notes = [(0.0, "=", state("open")), (5.5, "=", state("suspect", bad, bad)), (9.0, "=", state("open"))]
    story = tell([read(json.dumps(made(notes, program=bad[:60])))])
    assert all(line.isprintable() for line in story.lines())
    assert not any(line.startswith("    9.99 s") for line in story.lines())
    picture = draw(story)
    assert "<script>" not in picture
    ET.fromstring(picture)


def test_a_picture_is_bounded_and_well_formed_whatever_a_file_says() -> None:
    notes = [(0.0, "=", state("open")), (9.0, "=", state("suspect", "a\ufffe\uffffb")), (1e11, "=", state("open"))]
    picture = draw(tell([read(json.dumps(made(notes)))]))
    assert len(picture) < 20_000
    ET.fromstring(picture)


def test_random_lines_never_crash_it() -> None:
    numbers = random.Random(1)
    values = [None, True, -1, 1e300, "x", [], {}, ["x"], {"a": 1}, 0.5]
    types = [
        "StateChanged",
        "ResetStarted",
        "ResetEnded",
        "signal",
        "signaling",
        "moved",
        "ping",
        "done",
        5,
        None,
        [],
        {},
    ]
    names = ["state", "cause", "evidence", "level", "error", "replayed", "duration", "up", "word", "text"]
    for _ in range(300):
        notes = [
            [abs(numbers.gauss(0, 30)), numbers.choice("><=!"),
             {"type": numbers.choice(types), **{name: numbers.choice([*values, "open", "suspect", "closed"])
                                                for name in names}}]
            for _ in range(numbers.randrange(40))
        ]  # fmt: skip
        both = [read(json.dumps(made([], head) | {"lines": notes})) for head in (HEAD, OTHER)]
        for recordings in (both[:1], both):
            story = tell(recordings)
            story.lines()
            json.dumps(story.to_json())
            ET.fromstring(draw(story))


@pytest.mark.parametrize("offset", [-1000.0, 0.0, 12.5])
def test_the_offset_of_two_clocks_is_found_by_their_messages(offset: float) -> None:
    there, back = 0.02, 0.03
    one: list[Any] = []
    other: list[Any] = [(500.0, "=", {"type": "made"})]
    for n in range(10):
        when = 10.0 + n
        late = 0.5 * (n % 3)  # the shortest way counts
        one += [(when, ">", ping(n)), (when + there + back + late, "<", ping(n, "pong"))]
        other += [
            (2000 + when + offset + there + late, "<", ping(n)),
            (2000 + when + offset + there, ">", ping(n, "pong")),
        ]
    clocks = compare(read(json.dumps(made(sorted(one)))), read(json.dumps(made(other, OTHER))))
    assert clocks.trip == pytest.approx(there + back, abs=1e-3)
    assert clocks.offset == pytest.approx(-(1510.0 + offset) - (there - back) / 2, abs=2e-3)
    assert len(clocks.passages) == 20


def test_without_messages_the_computers_clocks_decide_and_it_says_so() -> None:
    story = tell([read(json.dumps(made([(0.0, "=", state("open"))], head, began=100.0 + number)))
                  for number, head in enumerate((HEAD, OTHER))])  # fmt: skip
    assert story.clocks is not None and story.clocks.offset == 1.0 and story.clocks.trip is None
    assert any("No message shows" in line for line in story.lines())


def test_two_recordings_must_be_the_two_sides_of_one_session() -> None:
    mine = read(json.dumps(made([])))
    with pytest.raises(RecordingError, match="same side"):
        tell([mine, mine])
    with pytest.raises(RecordingError, match="two sessions"):
        tell([mine, read(json.dumps(made([], {**OTHER, "session": "6" * 32})))])


# --- the command


def explain(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "adieu", "explain", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_tells_draws_and_refuses(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    notes = [(0.0, "=", state("open")), (5.5, "=", state("suspect", "busy")), (9.0, "=", state("open"))]
    good.write_text(json.dumps(made(notes)))
    bad.write_text("nonsense")
    done = explain(good, "--svg", tmp_path / "x.svg")
    assert done.returncode == 0 and "the old connection - busy" in done.stdout
    ET.parse(tmp_path / "x.svg")
    assert json.loads(explain(good, "--json").stdout)["sides"][0]["episodes"]
    for arguments, code in (((bad,), 1), ((tmp_path / "none.json",), 1), ((good, good), 1), ((good,) * 3, 2)):
        done = explain(*arguments)
        assert done.returncode == code and done.stderr.startswith("adieu explain: "), done
        assert "Traceback" not in done.stderr and not done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/zero, and a limit of memory")
def test_the_command_reads_no_file_beyond_the_bound() -> None:
    resource = importlib.import_module("resource")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    command = [sys.executable, "-m", "adieu", "explain", "/dev/zero"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=limit, check=False)
    assert done.returncode == 1
    assert done.stderr == "adieu explain: /dev/zero: too long; a recording has at most 16777216 bytes\n"
