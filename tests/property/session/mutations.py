"""Each bound matters: with any one of them taken away the walks of `test_hostile` find it.

`python tests/property/session/mutations.py` takes them away one after the other, in a copy, and says which was seen;
some minutes. With words as arguments only those whose name has one of them. Exit code 1 if one was not seen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FLOW = "session/machine/flow.py"
CLOSE = "session/machine/close.py"
MACHINE = "session/machine/machine.py"
RESET = "session/machine/reset.py"
CONTROL = "protocol/control.py"
WORDS = "protocol/words.py"

BOUNDS: dict[str, tuple[str, str, str]] = {
    # --- time
    "a close keeps its own time while another runs": (
        CLOSE, "_hurry(m, m.closing, now, now + timeout)", "pass",
    ),
    "a deadline that is said again does not pass a close of this side": (
        CLOSE, "        deadline = min(deadline, closing.own)\n", "        pass\n",
    ),
    "an hour at most, as said": (CLOSE, "LONGEST = 3600.0", "LONGEST = 1e12"),
    "patience with a silent peer that closes": (CLOSE, "    if now >= due:\n", "    if now >= due + 60:\n"),
    "the last steps end with the close's own time": (
        CLOSE, "until = min(until, closing.own + LAST_WORD)", "until += 60",
    ),
    # --- acknowledgements
    "ranges of an acknowledgement rise": (FLOW, "if not last < start <= end:", "if False:"),
    "no acknowledgement of what was not sent": (FLOW, "        if last > self.started:\n", "        if False:\n"),
    "256 ranges": (
        CONTROL, "Annotated[list[tuple[Count, Count]], Meta(max_length=MAX_RANGES)]", "list[tuple[Count, Count]]",
    ),
    "ranges are merged in one pass": (
        FLOW,
        "        left = iter(ranges)\n",
        "        left = iter(ranges)\n        for _ in range(2000):\n            list(self.flight)\n",
    ),
    "a window is no leave to hold without end what is under way": (FLOW, "min(self.window, self.most)", "self.window"),
    "the same for a peer that counts payload alone": (
        FLOW, "self.flight_bytes < self.window and cost < self.most", "self.flight_bytes < self.window",
    ),
    # --- what is held
    "no more than the credit given": (FLOW, "> self.limit:\n", "> 10**12:\n"),
    "no more than the budget": (
        FLOW, "(0 if self.counted else size) > self.budget.size:", "(0 if self.counted else size) > 10**12:",
    ),
    "a large message starts with a large window only": (
        FLOW, "limit = max(limit, self.edge - 1 + SMALL + COST)",
        "limit = max(limit, self.edge - 1 + self.budget.max_message + COST)",
    ),
    "a channel that nobody took gets little": (
        FLOW, "if receiver.claimed and min(large", "if min(large",
    ),
    "messages count, not only their payload": (
        FLOW, "self.arrived += size + (COST if self.counted else 0)", "self.arrived += size",
    ),
    "halves count, not only their payload": (
        FLOW, "        self.arrived += COST if self.counted else 0\n        return partial", "        return partial",
    ),
    "a flood of small messages is packed": ("session/machine/held.py", "UNPACKED = 4096", "UNPACKED = 10**9"),
    "the largest message": (FLOW, "        if size > self.budget.max_message:\n", "        if False:\n"),
    "an unreliable channel drops its oldest": (FLOW, "while len(self.line) > 1 and (", "while False and ("),
    "an unreliable channel keeps within the budget": (FLOW, "while self.budget.free < 0 and (", "while False and ("),
    "sixteen halves of an unreliable channel": (FLOW, "MAX_PARTIALS = 16", "MAX_PARTIALS = 1000"),
    "one half of an ordered channel": (
        FLOW,
        "            if seq != self.have + 1:\n",
        "            if fragment.first and fragment.last and seq != self.have + 1:\n",
    ),
    "numbers do not jump further than credit reaches": (
        FLOW, "if seq > self.beyond.last and before >= self.edge:", "if False:",
    ),
    "gaps where credit does not count messages": (FLOW, "elif len(self.beyond) > MAX_MISSING:", "elif False:"),
    "gaps of an unreliable channel": (FLOW, "elif len(self.beyond) > MAX_GAPS:", "elif False:"),
    "pieces are not empty": (FLOW, "        if not fragment.last and not size:\n", "        if False:\n"),
    "what a channel needs is told to the budget": (FLOW, "self.budget.used += reserve - self.reserve", "pass"),
    "so many channels": (
        MACHINE, "if len(self.channels) >= self.options.max_channels or message.id in self.by_id:",
        "if message.id in self.by_id:",
    ),
    "epochs do not jump": (RESET, "if word.epoch > m.last_epoch + AHEAD:", "if False:"),
    "epochs of descriptions do not jump": (
        MACHINE, "if not self.last_epoch < epoch <= self.last_epoch + reset.AHEAD or self.smaller:",
        "if not self.last_epoch < epoch or self.smaller:",
    ),
    "the smallest engine": (MACHINE, "if max_message < control.MIN_MESSAGE:", "if False:"),
    # --- decoding
    "the length of a control message": (CONTROL, "    if len(text) > MAX_CONTROL:\n", "    if False:\n"),
    "nesting": (CONTROL, "    check_nesting(text)\n", ""),
    "numbers that both languages hold": (WORDS, "Meta(ge=0, le=MAX_COUNT)", "Meta(ge=0)"),
    "the length of a text": (WORDS, "Text = Annotated[str, Meta(max_length=MAX_TEXT)]", "Text = str"),
    "the length of an id": (WORDS, "Id = Annotated[str, Meta(max_length=MAX_ID)]", "Id = str"),
    "members of a map of channels": (
        WORDS, "Counts = Annotated[dict[Name, Count], Meta(max_length=MAX_CHANNELS)]", "Counts = dict[Name, Count]",
    ),
    "numbers of messages in a header": (CONTROL, "    if value > MAX_COUNT:\n", "    if False:\n"),
}  # fmt: skip


def seen(name: str) -> bool:
    """Whether the tests see that this bound is gone."""
    file, old, new = BOUNDS[name]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(
            ROOT / "python" / "adieu", f"{folder}/adieu", ignore=shutil.ignore_patterns("static", "__pycache__")
        )
        path = Path(folder, "adieu", file)
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise SystemExit(f"{name}: {old!r} stands {text.count(old)} times in {file}")
        path.write_text(text.replace(old, new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS]
        environment = dict(os.environ, PYTHONPATH=folder)
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        words = [line[1:].strip() for line in ran.stdout.splitlines() if line.startswith("E  ")]
        print(f"{'seen' if ran.returncode == 1 else 'NOT SEEN'}: {name}  [{(words or ['-'])[0][:100]}]", flush=True)
        return ran.returncode == 1


TESTS = ["tests/property/session/test_hostile.py"]


def main() -> int:
    wanted = sys.argv[1:]
    names = [name for name in BOUNDS if not wanted or any(word in name for word in wanted)]
    missed = [name for name in names if not seen(name)]
    print(f"{len(names) - len(missed)} of {len(names)} bounds were seen to be gone")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
