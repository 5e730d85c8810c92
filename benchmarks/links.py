"""`make bench-links`: lossy links in virtual time, beside the sender of before; writes links.md and its pictures.

The exit code is 1 when a threshold does not hold, or a packet costs more instructions than the bounds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from run import facts

HERE = Path(__file__).parent
PICTURES = HERE / "links"
COLORS = {"before": "#9a9a9a", "cubic": "#c07c1e", "tolerant": "#2563a8"}
# Instructions of a packet, of both ends and the model: at 1 % loss; and without loss, as a part of the crate's own.
BOUND, PART = 18_000, 1.15
# A queue in which nothing is lost, in round trips: the window of the receiver fits.
NO_LOSS = 20
# The crate as it was: also without what makes it cheaper (rust/dcsctp-patched/savings.rs).
WITHOUT = ("without-savings", {"SCTP_WITHOUT_SAVINGS": "1"})
Series = dict[str, list[tuple[float, float]]]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 320, 56, 44, 18


def main() -> None:
    """Run the figures, draw the pictures, write the report."""
    stamp = "{date}, commit {commit}.".format(**facts())
    figures: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in [*_thresholds(), *_cargo("run", "--quiet", "--example", "figures").stdout.splitlines()]:
        figure = json.loads(line)
        figures[figure.pop("of")].append(figure)
    PICTURES.mkdir(exist_ok=True)
    losses: Series = defaultdict(list)
    for row in figures["loss"]:
        losses[row["sender"]].append((100 * row["loss"], row["rate"]))
    waits: Series = defaultdict(list)
    for row in figures["queue"]:
        waits[row["sender"]].append((row["at"], row["wait"]))
    _save("goodput", _lines(losses, "loss, %", "Mbit/s", 100))
    _save("queue", _lines(waits, "seconds", "ms in the queue", 800))
    _save("fairness", _bars(figures["fairness"]))
    costs = {loss: _cost("tolerant", loss, 1) for loss in (0.0, 0.001, 0.01)}
    plain = {
        "tolerant": _cost("tolerant", 0, NO_LOSS),
        "before": _cost("crate", 0, NO_LOSS),
        "before, without savings": _cost("crate", 0, NO_LOSS, WITHOUT),
    }
    (HERE / "links.md").write_text(_report(stamp, figures, costs, plain), encoding="utf-8")
    if (cost := costs[0.01]) > BOUND:
        sys.exit(f"A packet costs {cost} instructions at 1 % loss, and may cost {BOUND}.")
    for name, cost in plain.items():
        if (ours := plain["tolerant"]) > PART * cost:
            sys.exit(f"Without loss a packet costs {ours} instructions: more than {PART} of {cost}, {name}.")
    if broken := [row["what"] for row in figures["threshold"] if not _holds(row)]:
        sys.exit("\n".join(["Thresholds that do not hold:", *broken]))


def _cargo(*words: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["cargo", words[0], "--release", "--locked", "-p", "adieu-links", *words[1:]]
    env = os.environ | environment
    return subprocess.run(command, check=check, stdout=subprocess.PIPE, text=True, cwd=HERE.parent, env=env)


def _thresholds() -> list[str]:
    """Run the tests of rust/links whole, and return their measurements, a JSON object each."""
    tests = ("--test", "acceptance", "--test", "fairness", "--no-fail-fast", "--", "--nocapture")
    ran = _cargo("test", *tests, check=False, LINKS_WHOLE="1")
    lines = re.findall(r'\{"of": "threshold".*\}', ran.stdout)
    return lines or sys.exit(ran.stdout)


def _holds(row: dict[str, Any]) -> bool:
    return bool(row["value"] >= row["least"] if "least" in row else row["value"] <= row["most"])


def _cost(sender: str, loss: float, queue: float, other: tuple[str, dict[str, str]] = ("", {})) -> int:
    """Instructions for each packet of 20 s, counted by valgrind. `other`: folder and environment of another build."""
    folder, environment = other
    target = ("--target-dir", str(HERE.parent / "target" / folder)) if folder else ()
    words = ("build", "--quiet", "--example", "cost", "--message-format=json", *target)
    built = _cargo(*words, **environment).stdout
    program = json.loads(built.splitlines()[-2])["executable"]
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    given = (sender, str(loss), "20", str(queue))
    ran = subprocess.run([*valgrind, program, *given], check=True, capture_output=True, text=True)
    counted = re.search(r"Collected : (\d+)", ran.stderr)
    assert counted is not None, ran.stderr
    return round(int(counted[1]) / int(ran.stdout))


def _save(name: str, picture: str) -> None:
    (PICTURES / f"{name}.svg").write_text(picture, encoding="utf-8")


def _frame(body: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>{body}</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str = "middle", color: str = "#333") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{color}">{text}</text>'


def _lines(series: Series, x_name: str, y_name: str, top: float) -> str:
    """A line for each sender."""
    right = max(x for points in series.values() for x, _ in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / right * (WIDTH - LEFT - 90), HEIGHT - BOTTOM - y / top * (HEIGHT - BOTTOM - TOP)

    parts = []
    for step in range(5):
        value = top * step / 4
        x, y = place(0, value)
        parts += [
            f'<path d="M{x:.0f} {y:.0f}H{WIDTH - 90}" stroke="#e5e5e5"/>',
            _text(x - 6, y + 4, f"{value:g}", "end"),
        ]
        x, y = place(right * step / 4, 0)
        parts.append(_text(x, y + 18, f"{right * step / 4:g}"))
    parts += [_text((WIDTH - 90 + LEFT) / 2, HEIGHT - 8, x_name), _text(6, 12, y_name, "start")]
    taken: list[float] = []
    for name, points in series.items():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>')
        x, y = place(*points[-1])
        while any(abs(y - other) < 14 for other in taken):
            y -= 14
        taken.append(y)
        parts.append(_text(x + 6, y + 4, name, "start", COLORS[name]))
    return _frame("".join(parts))


def _bars(rows: list[dict[str, Any]]) -> str:
    """Two flows on one link: who has how much."""
    parts, y = [], 24
    for row in rows:
        parts.append(_text(8, y + 11, f"{row['first']} and {row['second']}, queue {row['queue']}", "start"))
        x = 280.0
        for name, rate in zip((row["first"], row["second"]), row["rates"], strict=True):
            width = rate * 3.4
            shape = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="14"'
            parts.append(f'<rect {shape} fill="{COLORS[name]}" stroke="white"/>')
            if width > 20:
                parts.append(_text(x + width / 2, y + 11, f"{rate:.0f}", color="white"))
            x += width
        y += 19
    parts.insert(0, _text(280, 15, "Mbit/s of the first and of the second, of 100", "start"))
    return _frame("".join(parts), WIDTH, y + 8)


def _table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def _worst(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The worst run of each threshold."""
    worst: dict[str, dict[str, Any]] = {}
    for row in rows:
        before = worst.get(row["what"], row)
        pick = min if "least" in row else max
        worst[row["what"]] = pick(before, row, key=lambda row: row["value"])
    return [[what, _bound(row), f"{row['value']:.2f}"] for what, row in sorted(worst.items())]


def _bound(row: dict[str, Any]) -> str:
    return f"≥ {row['least']:g}" if "least" in row else f"≤ {row['most']:g}"


def _report(
    stamp: str, figures: dict[str, list[dict[str, Any]]], costs: dict[float, int], plain: dict[str, int]
) -> str:
    return f"""# Lossy links

{stamp}

Written by `make bench-links`. Virtual time: rust/links runs the engine's own associations over one bottleneck with a
queue; what is lost is lost behind it, and on the way back as often. Means of three runs. *before*: SCTP as the crate
does it by itself; *cubic* and *tolerant*: the two controllers of docs/topics/congestion.md. 65 bytes a packet are
DTLS, UDP and IP, so that 92.6 of 100 Mbit/s is all that fits.

## Thresholds

The worst of the whole runs, of 30 s and more. `cargo test` has shorter ones. 100 Mbit/s and 40 ms, where nothing else
is said; queues in round trips.

{_table(["of the tolerant controller", "threshold", "worst"], _worst(figures["threshold"]))}

{_alone(figures)}
{_together(figures)}
{_costs(costs, plain)}
## A link that falls from 100 to 5 Mbit/s for 15 s

![queue](links/queue.svg)
"""


def _alone(figures: dict[str, list[dict[str, Any]]]) -> str:
    loss = [
        [row["sender"], f"{100 * row['loss']:g}", *(f"{row[name]:.1f}" for name in ("rate", "early", "wait", "again"))]
        for row in figures["loss"]
    ]
    grid = [
        [f"{row['mbit']:g}", str(row["rtt"]), f"{100 * row['loss']:g}"]
        + [f"{row[name]:.1f}" for name in ("before", "cubic", "tolerant", "browser")]
        for row in figures["grid"]
    ]
    jitter = [
        [str(row["jitter"]), *(f"{row[name]:.1f}" for name in ("before", "cubic", "tolerant"))]
        for row in figures["jitter"]
    ]
    return f"""## One sender, 100 Mbit/s, 40 ms, a queue of 40 ms

![Mbit/s over loss](links/goodput.svg)

{_table(["sender", "loss, %", "Mbit/s", "first 2 s", "queue, ms", "sent again, %"], loss)}

## Other links, Mbit/s

A queue of one round trip; *browser*: a receiver that names 20 gaps and has a window of 5 MB.

{_table(["Mbit/s", "ms", "loss, %", "before", "cubic", "tolerant", "to a browser"], grid)}

## Jitter: 100 Mbit/s, 40 ms, 1 % loss, up to so many ms more, changing every 10 ms

{_table(["ms", "before", "cubic", "tolerant"], jitter)}
"""


def _together(figures: dict[str, list[dict[str, Any]]]) -> str:
    late = [
        [row["queue"], row["sender"], *(f"{row['waits'][at]:g}" for at in (0, len(row["waits"]) // 2, -1))]
        for row in figures["late"]
    ]
    fairness = [
        [row["queue"], row["first"], row["second"], f"{row['rates'][0]:.1f}", f"{row['rates'][1]:.1f}"]
        for row in figures["fairness"]
    ]
    return f"""## Two senders on one link, Mbit/s of each after 20 s

The queue in round trips of 40 ms. Without loss of its own, tolerant is cubic.

![shares](links/fairness.svg)

{_table(["queue", "first", "second", "first has", "second has"], fairness)}

## Seconds until a late comer has its share

80 % of a half, over 2 s; the first one has sent for 10 s. {len(figures["late"][0]["waits"])} runs that begin 130 ms
apart; 40: not in 40 s.

{_table(["queue", "both are", "least", "median", "most"], late)}
"""


def _costs(costs: dict[float, int], plain: dict[str, int]) -> str:
    cost = [[f"{100 * loss:g}", str(instructions)] for loss, instructions in costs.items()]
    parts = [[name, str(cost), f"{plain['tolerant'] / cost:.3f}"] for name, cost in plain.items()]
    return f"""## Instructions of a packet, in 20 s of the first link

Counted by valgrind, of *tolerant*: both ends and the model of the link together. At 1 % loss the bound is {BOUND}.
The model fills its messages with an instruction that repeats itself, and valgrind counts each byte: 1100 of a packet.

{_table(["loss, %", "instructions"], cost)}

In a queue of {NO_LOSS} round trips nothing is lost. There *tolerant* may cost {PART} of *before*: with the savings of
`rust/dcsctp-patched/savings.rs`, which both have, and without them, as SCTP was at first.

{_table(["sender", "instructions", "ratio"], parts)}
"""


if __name__ == "__main__":
    main()
