"""Descriptions and candidates as browsers write them, and each of their lines changed in every way; always the same.

A case has a name, `KIND/BASE/PLACE/CHANGE`: from which description of which browser it comes, which line was changed,
and how. What real browsers did with it is in tests/fixtures/sdp/verdicts.txt (`tests/interop/sdp_corpus.py` asks them);
`tests/unit/jsep/test_verdicts.py` holds adieu against it.

An answer must fit the offer that it answers, and each implementation offers its own numbers: the same change is made
in the same answer, fitted to the offer at hand.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.errors import DOMException
from unit.jsep.test_media import media_side
from unit.jsep.world import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = 20250
FIXTURES = Path(__file__).parents[1] / "fixtures" / "sdp"
VERDICTS = FIXTURES / "verdicts.txt"
BROWSERS = ("chromium", "firefox")
SHARE = {"data": 0.4, "data-audio-video": 0.15, "simulcast": 0.1}
"""How many of the changes of a line are tried, of those that have been tried elsewhere already."""


@dataclass(frozen=True)
class Case:
    """One text to be judged.

    Attributes:
        name: see the module.
        text: the description, or the candidate line.
    """

    name: str
    text: str

    @property
    def change(self) -> tuple[str, str]:
        """The name of what was changed, and how."""
        kind, _, place, change = self.name.split("/", 3)
        return ("candidate" if kind == "candidate" else place.rpartition(".")[2].rstrip("0123456789")), change


# --- what is changed -----------


def recorded(name: str, what: str, kind: str = "offer") -> list[str]:
    """The lines of a recorded description, whatever the version."""
    [path] = FIXTURES.glob(f"{name}-[0-9]*[0-9]-{what}-{kind}.sdp")
    return path.read_bytes().decode().removesuffix("\r\n").split("\r\n")


def sections(lines: list[str]) -> list[list[str]]:
    """The session's lines, and those of each section."""
    starts = [0, *(n for n, line in enumerate(lines) if line.startswith("m=")), len(lines)]
    return [lines[a:b] for a, b in pairwise(starts)]


def slim(lines: list[str], codecs: tuple[str, ...], extensions: tuple[str, ...]) -> list[str]:
    """With these codecs and header extensions only, and a candidate of each kind."""
    return [line for part in sections(lines) for line in _slim_section(part, codecs, extensions)]


def _slim_section(part: list[str], codecs: tuple[str, ...], extensions: tuple[str, ...]) -> Iterator[str]:
    numbers = {n for n, (name, apt) in codecs_of(part).items() if name in codecs or (apt and apt[0] in codecs)}
    seen = Counter[str]()
    for line in part:
        name, _, value = line[2:].partition(":")
        first = value.split(" ")[0]
        if line.startswith(("m=audio", "m=video")):
            words = line.split(" ")
            yield " ".join([*words[:3], *(word for word in words[3:] if word in numbers)])
            continue
        if name in {"rtpmap", "fmtp", "rtcp-fb"} and first not in numbers:
            continue
        if name == "extmap" and not value.endswith(extensions):
            continue
        if name == "candidate":
            words = value.split(" ")
            kind = f"candidate {words[1]} {words[2]} {words[5] == '9'}"
            seen[kind] += 1
            if seen[kind] > 1:
                continue
        yield line


def codecs_of(part: list[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Payload type to the codec's name, and of what repeats another one that one's name."""
    names = {}
    for line in part:
        if line.startswith("a=rtpmap:"):
            number, _, codec = line.removeprefix("a=rtpmap:").partition(" ")
            names.setdefault(number, codec.split("/")[0] + ("" if "opus" in codec else "/" + codec.split("/")[1]))
    first: dict[str, str] = {}
    for number, name in names.items():
        if not name.startswith("rtx"):
            first.setdefault(name, number)
    found: dict[str, tuple[str, tuple[str, ...]]] = {number: (name, ()) for name, number in first.items()}
    for line in part:
        if (match := re.fullmatch(r"a=fmtp:(\d+) apt=(\d+)", line)) and match[2] in found:
            found[match[1]] = ("rtx", (names[match[2]],))
    return found


OFFERED = (
    ("opus", "PCMU/8000", "telephone-event/8000", "VP8/90000", "H264/90000", "ulpfec/90000"),
    ("ssrc-audio-level", "sdes:mid", "transport-wide-cc-extensions-01", "toffset", "stream-id", "playout-delay"),
)
ANSWERED = (
    ("opus", "PCMU/8000", "VP8/90000"),
    ("ssrc-audio-level", "sdes:mid", "transport-wide-cc-extensions-01", "toffset"),
)
"""What is kept of them: of an answer what all offer."""


def fitted(answer: list[str], offer: list[str]) -> list[str]:
    """The answer with the mids, payload types and extension numbers of another offer."""
    theirs = sections(offer)
    mids = [next(line[6:] for line in part if line.startswith("a=mid:")) for part in theirs[1:]]
    result: list[str] = []
    for index, part in enumerate(sections(slim(answer, *ANSWERED))):
        if index == 0:
            result.extend(f"a=group:BUNDLE {' '.join(mids)}" if li.startswith("a=group:") else li for li in part)
            continue
        there = {codec: number for number, codec in codecs_of(theirs[index]).items()}
        numbers = {number: there[codec] for number, codec in codecs_of(part).items()}
        uris = dict(line[9:].split(" ")[:2][::-1] for line in theirs[index] if line.startswith("a=extmap:"))
        result.extend(_fitted(line, mids[index - 1], numbers, uris) for line in part)
    return result


def _fitted(line: str, mid: str, numbers: dict[str, str], uris: dict[str, str]) -> str:
    name, _, value = line.partition(":")
    first, _, rest = value.partition(" ")
    if line.startswith(("m=audio", "m=video")):
        words = line.split(" ")
        return " ".join([*words[:3], *(numbers[word] for word in words[3:])])
    match name:
        case "a=mid":
            return f"a=mid:{mid}"
        case "a=extmap":
            return f"a=extmap:{uris[rest].split('/')[0]} {rest}"
        case "a=rtpmap" | "a=rtcp-fb":
            return f"{name}:{numbers[first]} {rest}"
        case "a=fmtp":
            key, _, number = rest.partition("=")
            return f"{name}:{numbers[first]} {f'apt={numbers[number]}' if key == 'apt' else rest}"
        case _:
            return line


# --- how -----------

NUMBERS = ("-1", "0", "1", "128", "256", "65536", "4294967296", "18446744073709551616", "1.5", "0x10", "")
ODD = ("_", "-", "#", "@", "/", "é", ";", "=", "%", ",", "{", "'", "\t", "\x7f", "+")


def _at(change: Callable[[str, str, random.Random], list[str]]) -> Callable[[list[str], int, random.Random], list[str]]:
    """A change of one line by its name (with the sign after it) and its value."""

    def of_lines(lines: list[str], at: int, rng: random.Random) -> list[str]:
        return [*lines[:at], *change(*split(lines[at]), rng), *lines[at + 1 :]]

    return of_lines


def split(line: str) -> tuple[str, str]:
    """`a=name:` and the value; of other lines `x=` and what follows."""
    if line.startswith("a=") and ":" in line:
        name, _, value = line.partition(":")
        return f"{name}:", value
    return (line, "") if line.startswith("a=") else (line[:2], line[2:])


def _number(name: str, value: str, rng: random.Random) -> list[str]:
    found = list(re.finditer(r"\d+", value))
    if not found:
        return [f"{name}{value}{rng.choice(NUMBERS)}"]
    one = found[int(rng.random() * len(found))]
    return [f"{name}{value[: one.start()]}{rng.choice(NUMBERS)}{value[one.end() :]}"]


def _odd(name: str, value: str, rng: random.Random) -> list[str]:
    place = int(rng.random() * (len(value) + 1))
    return [f"{name}{value[:place]}{rng.choice(ODD)}{value[place:]}"]


def _word(name: str, value: str, rng: random.Random) -> list[str]:
    words = value.split(" ")
    words[int(rng.random() * len(words))] = "x-unknown"
    return [name + " ".join(words)]


def _reversed(name: str, value: str, _: random.Random) -> list[str]:
    return [name + " ".join(reversed(value.split(" ")))]


def _move(where: Callable[[list[str], int], int]) -> Callable[[list[str], int, random.Random], list[str]]:
    def moved(lines: list[str], at: int, _: random.Random) -> list[str]:
        rest = [*lines[:at], *lines[at + 1 :]]
        place = where(rest, at)
        return [*rest[:place], lines[at], *rest[place:]]

    return moved


def _opening(lines: list[str], at: int) -> int:
    """Where the section begins in which this line stood; the session's first three lines stay."""
    return next((n for n in range(min(at, len(lines)) - 1, -1, -1) if lines[n].startswith("m=")), 2) + 1


def _end(lines: list[str], at: int) -> int:
    return next((n for n in range(at, len(lines)) if lines[n].startswith("m=")), len(lines))


def _other_level(lines: list[str], at: int) -> int:
    """From the session into the first section, or from a section to the session."""
    first = next((n for n, line in enumerate(lines) if line.startswith("m=")), len(lines))
    return first if at > first else min(first + 2, len(lines))


CHANGES: dict[str, Callable[[list[str], int, random.Random], list[str]]] = {
    "missing": _at(lambda n, v, r: []),
    "twice": _at(lambda n, v, r: [n + v, n + v]),
    "again-with-more": _at(lambda n, v, r: [n + v, f"{n}{v}x"]),
    "first-with-more": _at(lambda n, v, r: [f"{n}{v}x", n + v]),
    "other-level": _move(_other_level),
    "first": _move(_opening),
    "last": _move(_end),
    "blank-at-end": _at(lambda n, v, r: [f"{n}{v} "]),
    "tab-at-end": _at(lambda n, v, r: [f"{n}{v}\t"]),
    "blank-before": _at(lambda n, v, r: [f"{n} {v}"]),
    "blank-in-name": _at(lambda n, v, r: [f"{n[:-1]} {n[-1:]}{v}"]),
    "two-blanks": _at(lambda n, v, r: [n + v.replace(" ", "  ")]),
    "tabs": _at(lambda n, v, r: [n + v.replace(" ", "\t")]),
    "empty": _at(lambda n, v, r: [n]),
    "bare": _at(lambda n, v, r: [n.rstrip(":=")]),
    "no-last-word": _at(lambda n, v, r: [n + v.rpartition(" ")[0]]),
    "no-first-word": _at(lambda n, v, r: [n + v.partition(" ")[2]]),
    "one-word-more": _at(lambda n, v, r: [f"{n}{v} x-unknown"]),
    "word-unknown": _at(_word),
    "words-reversed": _at(_reversed),
    "upper-case": _at(lambda n, v, r: [n + v.upper()]),
    "lower-case": _at(lambda n, v, r: [n + v.lower()]),
    "name-in-upper-case": _at(lambda n, v, r: [n[:2] + n[2:].upper() + v]),
    "long": _at(lambda n, v, r: [n + v + "x" * 300]),
    "very-long": _at(lambda n, v, r: [n + v + "x" * 5000]),
    "number": _at(_number),
    "another-number": _at(_number),
    "character": _at(_odd),
    "another-character": _at(_odd),
}


_ODD: dict[str, Any] = json.loads(Path(__file__).with_name("sdp_values.json").read_text())
VALUES: dict[str, list[str]] = _ODD["values"]
"""Other values that are of interest, by the name of the attribute, or the letter of the line."""
PROTOCOLS: dict[str, list[str]] = _ODD["protocols"] | {"video": _ODD["protocols"]["audio"]}
"""What may follow the port of a section, by its kind; 111 stands for its first format."""
PORTS: list[str] = _ODD["ports"]
EXTRA_LINES: list[str] = _ODD["lines"]
ODD_CANDIDATES: list[str] = _ODD["candidates"]


def _special(name: str, line: str) -> Iterator[str]:
    """Other values that are known to be of interest."""
    if name == "m":
        kind, _, _, *formats = line[2:].split(" ")
        for port in PORTS:
            yield f"m={kind} {port} {line.split(' ', 2)[2]}"
        for other in PROTOCOLS[kind]:
            yield f"m={kind} 9 {other.replace('111', formats[0])}"
        yield line.replace(kind, "text", 1)
        yield line.replace(kind, kind.upper(), 1)
    elif name == "candidate":
        yield from (f"a=candidate:{value}" for value in ODD_CANDIDATES)
    else:
        values = VALUES.get(name, ())
        own = re.match(r"\D*(\d+) ", line + " ")
        number = own[1] if own and name in {"rtpmap", "fmtp", "rtcp-fb"} else "111"
        head = split(line)[0] if ":" in line or not line.startswith("a=") else f"{line}:"
        for value in values:
            yield head + (re.sub(r"^111\b", number, value) if number != "111" else value)


def _whole(lines: list[str]) -> Iterator[tuple[str, list[str], str]]:
    """Changes of the whole description: place and change, the lines, what ends each."""
    yield "text/unchanged", lines, "\r\n"
    yield "text/lf", lines, "\n"
    yield "text/cr", lines, "\r"
    yield "text/blank-lines-between", lines, "\r\n\r\n"
    yield "text/blank-ends", lines, " \r\n"
    yield "text/blank-line-at-end", [*lines, ""], "\r\n"
    yield "text/many-blank-lines-at-end", [*lines, "", "", ""], "\r\n"
    yield "text/blank-line-first", ["", *lines], "\r\n"
    yield "text/byte-order-mark", ["\ufeff" + lines[0], *lines[1:]], "\r\n"
    yield "text/nul", [*lines, "a=x:\0"], "\r\n"
    parts = sections(lines)
    yield "text/no-sections", parts[0], "\r\n"
    yield "text/sections-reversed", [line for part in (parts[0], *parts[:0:-1]) for line in part], "\r\n"
    yield "text/first-section-twice", [*lines, *parts[1]], "\r\n"
    without = [li for li in lines if not li.startswith("a=group:")]
    yield "text/no-group", without, "\r\n"
    yield "text/no-mids", [li for li in without if not li.startswith("a=mid:")], "\r\n"
    yield "text/no-mids-but-a-group", [li for li in lines if not li.startswith("a=mid:")], "\r\n"
    for index, line in enumerate(EXTRA_LINES):
        yield f"extra-{index:02}/session", [*parts[0], line, *lines[len(parts[0]) :]], "\r\n"
        yield f"extra-{index:02}/last", [*lines, line], "\r\n"


# --- all of them -----------


def changed(kind: str, base: str, lines: list[str], what: str, tried: Counter[tuple[str, str]]) -> Iterator[Case]:
    """All changes of a description. Of those that were `tried` before, by their attribute, a share."""
    for place, text, end in _whole(lines):
        yield Case(f"{kind}/{base}/{place}", "".join(line + end for line in text))
    seen = Counter[str]()
    section = "session"
    for at, line in enumerate(lines):
        if line.startswith("m="):
            section = line[2:].split(" ")[0]
        name = split(line)[0].removeprefix("a=").rstrip(":=")
        shape = f"{section}.{name}"
        seen[shape] += 1
        if seen[shape] > (2 if name in {"candidate", "extmap", "fmtp"} else 1):
            continue
        for change, make in CHANGES.items():
            place = f"{shape}{'' if seen[shape] == 1 else seen[shape]}"
            rng = random.Random(f"{SEED} {kind} {what} {base} {place} {change}")
            if tried[name, change] and rng.random() > SHARE[what]:
                continue
            tried[name, change] += 1
            made = make(lines, at, rng)
            if made != lines:
                yield Case(f"{kind}/{base}/{place}/{change}", "".join(each + "\r\n" for each in made))
        if seen[shape] > 1:
            continue
        for number, value in enumerate(_special(name, line)):
            rng = random.Random(f"{SEED} {kind} {what} {base} {shape} {number}")
            if tried[name, f"value-{number:02}"] and rng.random() > SHARE[what]:
                continue
            tried[name, f"value-{number:02}"] += 1
            made = [*lines[:at], value, *lines[at + 1 :]]
            yield Case(f"{kind}/{base}/{shape}/value-{number:02}", "".join(each + "\r\n" for each in made))


def offers() -> list[Case]:
    """Offers of both browsers."""
    tried = Counter[tuple[str, str]]()
    return [
        case
        for what in ("data", "data-audio-video", "simulcast")
        for name in BROWSERS
        for case in changed("offer", f"{name}-{what}", slim(recorded(name, what), *OFFERED), what, tried)
    ]


def answers(what: str, offer: str) -> list[Case]:
    """Answers of both browsers, fitted to this offer of what is asked for: "data" or "data-audio-video"."""
    tried = Counter[tuple[str, str]]()
    lines = offer.removesuffix("\r\n").split("\r\n")
    return [
        case
        for name in BROWSERS
        for case in changed(
            "answer", f"{name}-{what}", fitted(recorded(name, what, "answer-to-adieu"), lines), what, tried
        )
    ]


def candidates() -> list[Case]:
    """Lines for addIceCandidate."""
    cases: list[Case] = []
    for number, value in enumerate(ODD_CANDIDATES):
        cases.append(Case(f"candidate/odd/{number:02}/value", f"candidate:{value}"))
    for name in BROWSERS:
        found = [line for line in slim(recorded(name, "data"), *OFFERED) if line.startswith("a=candidate:")]
        for number, line in enumerate(found):
            plain = line.removeprefix("a=")
            for change, text in (
                ("with-a", line), ("with-crlf", f"{plain}\r\n"), ("with-lf", f"{plain}\n"),
                ("no-prefix", line.partition(":")[2]),
                ("blank-first", f" {plain}"), ("upper-prefix", plain.replace("candidate", "CANDIDATE")),
                ("two-lines", f"{plain}\r\n{line}"), ("blank-after-prefix", plain.replace(":", ": ", 1)),
            ):  # fmt: skip
                cases.append(Case(f"candidate/{name}/{number}/{change}", text))
            for change, make in CHANGES.items():
                made = make([line], 0, random.Random(f"{SEED} candidate {name} {number} {change}"))
                if len(made) == 1 and made != [line]:
                    cases.append(Case(f"candidate/{name}/{number}/{change}", made[0].removeprefix("a=")))
    return cases


CANDIDATE_BASE = "\r\n".join((*slim(recorded("firefox", "data"), *OFFERED), ""))
"""The offer whose candidates those of `candidates()` are."""


# --- verdicts -----------

TAKEN = "+"
REFUSED = "refused"
UNANSWERED = "unanswered"
"""The offer was taken, and no answer could be made."""
DIED = "died"
"""The page did."""
KINDS: dict[str, tuple[str, ...]] = {"data": (), "data-audio-video": ("audio", "video")}


def outcome(verdict: str) -> str:
    """What a peer has said of a case, in one word; of an answer what it accepts, section by section: "+-+"."""
    if verdict.startswith("v=0"):
        parts = sections(verdict.split("\r\n"))[1:]
        return "".join("-" if part[0].split(" ")[1] == "0" else TAKEN for part in parts) or "nothing"
    where, _, error = verdict.partition(":")
    return {"set": REFUSED, "answer": UNANSWERED}[where] if error else verdict


def ours() -> dict[str, str]:
    """adieu's verdicts by the names of the cases; those on candidates need an event loop (`judge_candidates`)."""
    verdicts = {case.name: verdict_on_offer(case.text) for case in offers()}
    for what in KINDS:
        _, offer = our_offer(what)
        verdicts |= {case.name: verdict_on_answer(what, case.text) for case in answers(what, offer)}
    return verdicts


def verdict_on_offer(text: str) -> str:
    """See `outcome`."""
    side = Side("B", data=False)
    try:
        side.remote("offer", text)
    except DOMException:
        return REFUSED
    try:
        return outcome(side.answer())
    except DOMException:
        return UNANSWERED


def our_offer(what: str) -> tuple[Any, str]:
    """A side that has offered what is to be answered, and its offer."""
    side = media_side("A", *KINDS[what], data=True)
    return side, side.offer()


def verdict_on_answer(what: str, text: str) -> str:
    """See `outcome`."""
    side, _ = our_offer(what)
    try:
        side.remote("answer", text)
    except DOMException:
        return REFUSED
    return TAKEN


def all_cases() -> list[Case]:
    """All of them; the answers as adieu would be given them."""
    return [*offers(), *(case for what in KINDS for case in answers(what, our_offer(what)[1])), *candidates()]


# --- the file of verdicts -----------


def digest(cases: list[Case]) -> str:
    """Whether these are the cases that were judged. Answers are fitted to each offer: of them only the names."""
    lines = [case.name if case.name.startswith("answer") else f"{case.name} {case.text!r}" for case in cases]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def write_verdicts(versions: list[str], verdicts: list[dict[str, str]]) -> None:
    """The file. What both take as a whole is not listed; where both say the same it is there once."""
    cases = all_cases()
    browsers = " ".join(f"{name} {version}" for name, version in zip(BROWSERS, versions, strict=True))
    rows = [f"# {browsers} cases {len(cases)} {digest(cases)}"]
    before = ""
    for case in cases:
        said = [each[case.name] for each in verdicts]
        if any(set(verdict) != {TAKEN} for verdict in said):
            place, _, change = case.name.rpartition("/")
            if place != before:
                rows.append(place)
                before = place
            rows.append(f" {change} {' '.join(said if said[0] != said[1] else said[:1])}")
    VERDICTS.write_text("\n".join([*rows, ""]))


@dataclass(frozen=True)
class Verdicts:
    """What the browsers said.

    Attributes:
        versions: of the browsers.
        digest: of the cases that they were given.
        said: by the case's name, for what at least one did not take as a whole.
    """

    versions: tuple[str, ...]
    digest: str
    said: dict[str, tuple[str, str]]

    def of(self, name: str, ours: str) -> tuple[str, str]:
        """Of a case; what was taken as a whole has as many sections as we know of."""
        whole = TAKEN * len(ours) if set(ours) <= {TAKEN, "-"} else TAKEN
        return self.said.get(name, (whole, whole))


def read_verdicts() -> Verdicts:
    """The file."""
    head, *rows = VERDICTS.read_text().splitlines()
    words = head.split(" ")
    said: dict[str, tuple[str, str]] = {}
    place = ""
    for row in rows:
        if row.startswith(" "):
            change, *both = row[1:].split(" ")
            said[f"{place}/{change}"] = (both[0], both[-1])
        else:
            place = row
    return Verdicts((words[2], words[4]), words[7], said)


# --- comparing -----------


def takes(verdict: str) -> bool:
    """Whether there was no error."""
    return verdict not in {REFUSED, UNANSWERED, DIED}


REFUSED_HERE = {
    ("fingerprint", "value-00"): "SHA-1 alone",
    ("fingerprint", "value-06"): "SHA-224 alone",
    ("ice-ufrag", "value-09"): "more than 119 characters",
}
"""What both browsers take and adieu does not, by the name and the change; docs/topics/interop.md says why."""

TAKEN_HERE = {
    "c": "the address of a `c=` line is not used: candidates have the addresses",
    "t": "the times of a session mean nothing here, and are not asked for",
    "m": "a section of a protocol or format that is not known is rejected by the answer; a number of ports is not used",
    "mid": "sections of an answer are known by their places",
    "extmap": "optional: one that can not be read, or has no number that can be used, is not negotiated",
    "simulcast": "optional: one that can not be read is not negotiated",
    "candidate": "one that can not be read is dropped, others may do; alone, it may come without its name",
    "fingerprint": "of a bundle only the first section's transport is read",
    "ice-ufrag": "of a bundle only the first section's transport is read",
    "ice-pwd": "of a bundle only the first section's transport is read",
    "setup": "of a bundle only the first section's transport is read",
}
"""What neither browser takes and adieu does, by the name, and why it may."""


@dataclass(frozen=True)
class Difference:
    """A case on which adieu stands alone."""

    case: Case
    browsers: tuple[str, str]
    ours: str


def differences(ours: dict[str, str]) -> list[Difference]:
    """Where both browsers do the same and adieu does something else."""
    verdicts = read_verdicts()
    found: list[Difference] = []
    for case in all_cases():
        mine = ours[case.name]
        said = verdicts.of(case.name, mine)
        first, second = map(takes, said)
        same_answer = said[0] != said[1] or said[0] == mine
        if first == second and (takes(mine) != first or (first and not same_answer)):
            found.append(Difference(case, said, mine))
    return found
