"""The page of the states, drawn from the table; and situations in which a machine of any language is held to it.

`python -m sim.session.states` (in tests/) writes docs/reference/session-states.md and vectors/states.json anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from adieu.protocol import words
from adieu.session.machine.states import STATES
from sim.session import traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.session.machine.machine import SessionMachine

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "session-states.md"
VECTOR = ROOT / "vectors" / "states.json"


def page() -> str:
    lines = [
        "# States of a session",
        "",
        "Drawn from the table in `python/adieu/session/machine/states.py`; the tests hold both languages to it.",
        "",
        "![States of a session, and the ways between them](../pictures/states.svg)",
        "",
        "| State | It means | It leads to | Words that may have an effect | The application may |",
        "|---|---|---|---|---|",
    ]
    for name, row in STATES.items():
        leads = "<br>".join(f"**{other}**: {why}." for other, why in row.leads_to.items()) or "—"
        said = ", ".join(f"`{word}`" for word in sorted(row.words))
        asked = ", ".join(f"`{request}`" for request in sorted(row.requests)) or "—"
        lines.append(f"| **{name}** | {row.means} | {leads} | {said} | {asked} |")
    return "\n".join(lines) + "\n"


@cache
def situations() -> dict[tuple[Any, ...], tuple[str, int]]:
    """Where in the traces a machine is in which situation for the first time: name of the trace, and its steps."""
    found: dict[tuple[Any, ...], tuple[str, int]] = {}
    for path in sorted(traces.FOLDER.glob("*.json")):
        trace = json.loads(path.read_text())
        for at, machine in replayed(trace):
            reset, closing = machine.reset, machine.closing
            key = (
                machine.state,
                machine.smaller,
                reset and (reset.level, reset.phase, reset.asker == machine.me, len(machine.connections)),
                closing and (closing.by, closing.step.name, closing.heard_done, closing.heard_closed is not None),
            )
            found.setdefault(key, (path.stem, at))
    return found


def replayed(trace: dict[str, Any]) -> Iterator[tuple[int, SessionMachine]]:
    """The machine before each input of a trace."""
    inputs = [number for number, step in enumerate(trace["steps"]) if "in" in step]
    machine = None
    for number in [*inputs[1:], len(trace["steps"])]:
        machine = traces.replay({**trace, "steps": trace["steps"][:number]})
        yield number, machine


def said_by_the_other(m: SessionMachine) -> list[words.AnyWord]:
    """Words that may come now, at least one of each kind."""
    reset = m.reset
    epoch = reset.epoch if reset is not None else m.last_epoch + 1
    n = reset.n if reset is not None else 1
    final = {name: channel.receiver.have for name, channel in m.channels.items()}
    accounts = {}
    for name, channel in m.channels.items():
        sender, receiver = channel.sender, channel.receiver
        came = words.Total(receiver.seen, receiver.taken.bytes + receiver.queued_bytes)
        accounts[name] = words.ChannelAccount(accepted=came, taken=sender.delivered.total(), up_to=sender.acked or None)
    reason = words.Reason("left", "bye")
    return [
        words.Closing(receipt=m.receipt, reason=reason, deadline_ms=60_000, final=final),
        words.Closing(receipt=m.receipt, reason=reason, deadline_ms=0, final=final),
        words.Wait(reason="a moment", eta_ms=1000),
        words.Done(final=final),
        words.Closed(receipt=m.receipt, reason=reason, closer=m.peer, channels=accounts),
        words.Reset(asker=m.peer, n=99, epoch=epoch, level="transport"),
        words.ResetOk(asker=m.me, n=n, epoch=epoch, level="transport"),
        words.Switch(epoch=epoch, have=final),
        words.Switch(epoch=m.active or epoch, have=final),
        words.Switched(epoch=epoch, have=final),
        words.Cancel(epoch=epoch),
    ]


def has_effect(m: SessionMachine, word: words.AnyWord) -> bool:
    """Whether a word changes the machine, or makes it do or report something; the machine is used up by it."""
    while m.poll_action() or m.poll_event():
        pass
    before = picture(m)
    m.signal_received(word, m.now)
    return bool(m.poll_action() or m.poll_event()) or picture(m) != before


def picture(m: SessionMachine) -> str:
    return repr((m.state, m.last_epoch, m.reset, m.closing, m.resets, sorted(m.timers), sorted(m.words)))


@cache
def cases() -> list[dict[str, Any]]:
    """Each situation, and which words have an effect in it."""
    made = []
    for (state, *_), (name, steps) in situations().items():
        trace = json.loads((traces.FOLDER / f"{name}.json").read_text())
        trace["steps"] = trace["steps"][:steps]
        said = said_by_the_other(traces.replay(trace))
        effects = [[msgspec.to_builtins(word), has_effect(traces.replay(trace), word)] for word in said]
        made.append({"trace": name, "steps": steps, "state": state, "words": effects})
    return made


def write() -> None:
    """Write the page and the vector anew."""
    PAGE.write_text(page(), encoding="utf-8")
    VECTOR.write_text(json.dumps(cases(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
