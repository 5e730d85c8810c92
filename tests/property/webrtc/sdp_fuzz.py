"""Descriptions as others write them, and then damaged. Whatever it is, it is taken as a whole or refused as a whole.

python -m property.webrtc.sdp_fuzz --minutes 10 [--seed N]

(with tests/ in PYTHONPATH.) It goes on after a finding, and prints each with the seed that makes it again:
`--seed N --count 1`. `test_sdp_fuzz.py` does the same for a fixed count.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import adieu
from adieu import jsep, sdp
from adieu.errors import DOMException, InvalidAccessError, InvalidStateError, RTCError
from adieu.sdp import SdpSyntaxError
from unit.jsep.test_media import media_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORPUS = [
    (path.stem, path.read_bytes().decode())
    for path in sorted((Path(__file__).parents[2] / "fixtures" / "sdp").glob("*.sdp"))
]
ALL_LINES = sorted({line for _, text in CORPUS for line in text.split("\r\n") if line})
NUMBERS = (
    "0",
    "-1",
    "1",
    "9",
    "97",
    "127",
    "128",
    "255",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "1" * 21,
    "9" * 5000,
)
ODD = (
    "\0",
    "\r",
    "\n",
    "\t",
    "\x7f",
    "é",
    "\u2028",
    "\ufeff",
    "😀",
    "\ud800",
    "\u0661",
    "=",
    ":",
    " ",
    ";",
    "/",
    ",",
    "a=",
)
SECONDS = 5.0
"""Of this process, for one description: many times what it takes, and far below what a slow path would."""


# --- damage -----------


def damaged(rng: random.Random, text: str) -> str:
    """One to eight changes: some of lines, some of characters."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        text = rng.choice(DAMAGES)(rng, text)
    return text


def _lines(change: Callable[[random.Random, list[str]], None]) -> Callable[[random.Random, str], str]:
    def by_line(rng: random.Random, text: str) -> str:
        lines = text.split("\r\n")
        change(rng, lines)
        return "\r\n".join(lines)

    return by_line


def _drop(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    del lines[at : at + rng.choice((1, 1, 1, 5))]


def _double(rng: random.Random, lines: list[str]) -> None:
    at = rng.randrange(len(lines))
    lines[at:at] = lines[at : at + rng.choice((1, 1, 20))] * rng.choice((1, 1, 30))


def _swap(rng: random.Random, lines: list[str]) -> None:
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _foreign(rng: random.Random, lines: list[str]) -> None:
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(ALL_LINES))


def _section(rng: random.Random, lines: list[str]) -> None:
    """A section goes, or comes twice, or comes from another description."""
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")] + [len(lines) - 1]
    if len(starts) < 2:
        return
    which = rng.randrange(len(starts) - 1)
    section = lines[starts[which] : starts[which + 1]]
    if rng.random() < 0.5:
        del lines[starts[which] : starts[which + 1]]
    lines[-1:-1] = section * rng.choice((0, 1, 2, 10))


def _number(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    start = next((i for i in range(at, len(text)) if text[i].isdigit()), None)
    if start is None:
        return text
    end = next((i for i in range(start, len(text)) if not text[i].isdigit()), len(text))
    return text[:start] + rng.choice(NUMBERS) + text[end:]


def _flip(rng: random.Random, text: str) -> str:
    if not text:
        return text
    at = rng.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ 1 << rng.randrange(7)) + text[at + 1 :]


def _insert(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(ODD) * rng.choice((1, 1, 300)) + text[at + rng.randrange(3) :]


def _cut(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] if rng.random() < 0.5 else text[:at] + text[at + rng.choice((1, 3, 40)) :]


def _word(rng: random.Random, text: str) -> str:
    """A word takes the place of another one."""
    words = text.split(" ")
    words[rng.randrange(len(words))] = rng.choice(words)
    return " ".join(words)


DAMAGES = [
    *map(_lines, (_drop, _double, _swap, _foreign, _section)),
    *(_number, _flip, _insert, _cut, _word),
]


# --- what must hold -----------


def check(rng: random.Random, name: str, text: str) -> str:
    """All layers take this description, or refuse it with their errors. What became of it."""
    lines = text.removesuffix("\n").count("\n") + 1
    try:
        read = sdp.read(text)
    except SdpSyntaxError as error:
        _must(1 <= error.line <= lines + 1, f"line {error.line} of {lines}")
        read = None
    if read is not None:
        assert sdp.read(sdp.write(read)) == read
    type_ = "answer" if "-answer-to-" in name and rng.random() < 0.7 else "offer"
    side = _side(rng, type_, name)
    before = side.now
    try:
        side.remote(type_, text)
    except RTCError as error:
        _must(side.now is before, "changed")
        _must(error.errorDetail == "sdp-syntax-error", error.errorDetail)
        _must(1 <= (error.sdpLineNumber or 0) <= lines + 1, f"line {error.sdpLineNumber} of {lines}")
        return "not SDP"
    except InvalidAccessError:
        _must(side.now is before, "changed")
        return "refused"
    if type_ == "offer":
        answer = jsep.parse_description("answer", side.answer())
        offer = side.now.current_remote
        assert [(s.mid, s.media.kind) for s in answer.sections] == [(s.mid, s.media.kind) for s in offer.sections]
    assert side.now.state == "stable"
    side.offer()
    side.rollback()
    return f"{type_} taken"


def _must(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def _side(rng: random.Random, type_: str, name: str) -> Any:
    """One that has negotiated nothing, or something else before, or has offered what is answered here."""
    if type_ == "answer" and name.endswith("-answer-to-adieu"):
        what = name.split("-", 2)[2].removesuffix("-answer-to-adieu")
        [offer] = [text for name, text in CORPUS if name.startswith("adieu-") and name.endswith(f".0-{what}-offer")]
        kinds = [section.media.kind for section in jsep.parse_description("offer", offer).sections]
        side = media_side("A", *(kind for kind in kinds if kind != "application"), data="application" in kinds)
        side.local("offer", offer)
        return side
    kinds = rng.choice(((), ("audio",), ("video", "audio")))
    side = media_side("A", *kinds, data=rng.random() < 0.7)
    if rng.random() < 0.3:
        side.remote("offer", rng.choice([text for name, text in CORPUS if name.endswith("-offer")]))
        side.answer()
    if type_ == "answer":
        side.offer()
    return side


async def check_connections(rng: random.Random, texts: list[str]) -> Counter[str]:
    """A connection with all that is under it takes them one after the other, or refuses them, unchanged."""
    outcomes = Counter[str]()
    pc = adieu.RTCPeerConnection()
    pc.createDataChannel("x")
    pc.addTransceiver("audio")
    for text in texts:
        type_ = rng.choice(("offer", "offer", "answer", "pranswer"))
        if type_ != "offer" and pc.signalingState == "stable":
            await pc.setLocalDescription()
        before = _seen(pc)
        try:
            await pc.setRemoteDescription(type=type_, sdp=text)
        except DOMException as error:
            _must(isinstance(error, RTCError | InvalidAccessError | InvalidStateError), repr(error))
            _must(_seen(pc) == before, "changed")
            outcomes["connection refuses"] += 1
            continue
        outcomes["connection takes"] += 1
        if pc.signalingState == "have-remote-offer":
            await pc.setLocalDescription()
        elif pc.signalingState == "have-remote-pranswer":
            break  # nothing but an answer that fits can follow
    pc.close()
    assert not await asyncio.wait_for(pc.wait_closed(), 10)
    return outcomes


def _seen(pc: Any) -> Any:
    """What a program sees; candidates are gathered at any time."""
    texts = (pc.currentLocalDescription, pc.pendingLocalDescription)
    local = [
        d and [li for li in d.sdp.split("\r\n") if not li.startswith(("a=cand", "a=end", "c=", "m="))] for d in texts
    ]
    remote = [d and (d.type, d.sdp) for d in (pc.currentRemoteDescription, pc.pendingRemoteDescription)]
    transceivers = [(t, t.mid, t.direction, t.currentDirection, t.receiver.track) for t in pc.getTransceivers()]
    return pc.signalingState, pc.canTrickleIceCandidates, local, remote, transceivers, pc.sctp


def one(seed: int) -> tuple[str, str, random.Random]:
    """What this seed makes: the name of what was damaged, the text, and chance for what follows."""
    rng = random.Random(seed)
    name, text = rng.choice(CORPUS)
    if rng.random() < 0.02:
        return (
            name,
            "".join(rng.choices(["a=", "m=", "\r\n", "v=0", " ", *ODD, *NUMBERS[:-1]], k=rng.randrange(40))),
            rng,
        )
    return name, damaged(rng, text), rng


def run(seeds: Iterator[int], report: Callable[[int, BaseException], None]) -> Counter[str]:
    """Go through the seeds; every 25th time a connection gets the last ones."""
    outcomes = Counter[str]()
    kept: list[str] = []
    for seed in seeds:
        name, text, rng = one(seed)
        kept.append(text)
        began = time.process_time()
        try:
            outcomes[check(rng, name, text)] += 1
            if len(kept) == 25:
                outcomes += asyncio.run(check_connections(rng, kept[::4]))
            assert time.process_time() - began < SECONDS, f"took {time.process_time() - began:.1f} s"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcomes["FINDINGS"] += 1
            report(seed, error)
        if len(kept) == 25:
            kept.clear()
    return outcomes


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=sys.maxsize)
    parser.add_argument("--minutes", type=float, default=1.0)
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    last = arguments.seed

    def seeds() -> Iterator[int]:
        nonlocal last
        for last in range(arguments.seed, arguments.seed + arguments.count):
            if time.monotonic() > until:
                return
            yield last

    def report(seed: int, error: BaseException) -> None:
        print(f"--- seed {seed}", *traceback.format_exception(error), sep="\n", flush=True)

    outcomes = run(seeds(), report)
    print(f"seeds {arguments.seed} to {last}:", ", ".join(f"{count} {what}" for what, count in outcomes.most_common()))
    return 1 if outcomes["FINDINGS"] else 0


if __name__ == "__main__":
    sys.exit(main())
