"""Traces of the session machine as JSON, so that another language can replay them: vectors/session.

Each trace is one side of a scenario: what the machine was told (`in`, with the time), what it asked for (`do`) and
told (`tell`), in order. `python -m sim.session.traces` (in tests/) writes them anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from adieu.protocol import control, words
from adieu.protocol.control import Reliability
from adieu.session.machine import actions
from adieu.session.machine.held import Payload
from adieu.session.machine.machine import SessionMachine
from adieu.session.machine.options import Options
from sim.session.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.session.world import Side

FOLDER = Path(__file__).parents[3] / "vectors" / "session"


def met(*, before: bool = False, **options: Any) -> World:
    """Two that have met and opened a channel; `before`: one of them is of the version that could not do more."""
    world = World(options=Options(**options))
    if before:
        world.b.machine.options = msgspec.structs.replace(world.b.machine.options, capabilities=())
    world.start()
    world.run(when=world.both("open"))
    world.a.open("chat")
    world.run(when=lambda: "chat" in world.b.machine.channels and world.a.machine.channels["chat"].open)
    return world


def graceful_close() -> World:
    world = met()
    world.a.send("chat", b"hello")
    world.b.send("chat", b"hi")
    world.a.close(5.0, "done")
    world.run(when=world.both("closed"))
    return world


def closing_before_hello() -> World:
    """Side a is open and closes at once: its word by signaling is faster than its hello."""
    world = World().start()
    world.a.busy_until = 2.0
    world.run(when=lambda: world.a.state == "open")
    world.a.close(5.0)
    return world


def closed_before_hello() -> World:
    world = closing_before_hello()
    world.run(when=world.both("closed"))
    return world


def last_words() -> World:
    world = met()
    world.b.auto_last_words = False
    world.a.close(5.0, "done")
    world.run(when=lambda: bool(world.b.events(actions.ClosingAsked)))
    world.b.send("chat", b"thanks, bye")
    world.b.call("last_words_over")
    world.run(when=world.both("closed"))
    return world


def both_close() -> World:
    world = met()
    world.a.send("chat", b"from a")
    world.b.send("chat", b"from b")
    world.a.close(5.0, "a says")
    world.b.close(3.0, "b says")
    world.run(when=world.both("closed"))
    return world


def reset_with_replay() -> World:
    world = met()
    for number in range(6):
        world.a.send("chat", bytes([number]) * 2000)
    world.b.reset("transport")
    world.cut_link()
    world.run(world.now + 1.0)
    world.cut_link(False)
    world.run(when=lambda: world.both("open")() and len(world.b.got["chat"]) == 6)
    world.a.close()
    world.run(when=world.both("closed"))
    return world


def silence_and_recovery() -> World:
    world = met()
    world.cut_link()
    world.a.send("chat", b"into the void")
    world.run(world.now + 12.0)
    world.cut_link(False)
    world.run(when=lambda: world.both("open")() and bool(world.b.got["chat"]))
    return world


def heals_one_way() -> World:
    """Side a, which offers, hears the old connection again; its own packets wait. Side b looks like one that hangs."""
    world = met()
    world.cut_link()
    world.run(when=lambda: bool(world.b.machine.reset and world.b.machine.reset.level == "transport"))
    world.a.pausing.add(1)
    world.cut_link(False)
    world.run(when=lambda: world.a.state == "open" != world.b.state)
    world.run(when=world.both("open"))
    return world


def killed() -> World:
    world = met()
    world.kill(world.b)
    world.run(when=lambda: world.a.state == "closed")
    return world


def deadline() -> World:
    world = met(closing_bound=3000)
    world.b.reads = False
    for number in range(5):
        world.a.send("chat", bytes([number]) * 1000)
    world.a.close(1.0)
    world.run(when=world.both("closed"))
    return world


def protocol_error() -> World:
    world = met()
    world.a.call("control_received", 1, '{"type":"ping"}')
    world.run(when=world.both("closed"))
    return world


def no_way_out() -> World:
    """`b` has no socket for the new connection of a reset; then one more works; then `a` has none for a new path."""
    world = met()
    real, world.ice = world.ice, lambda side, epoch: None  # type: ignore[method-assign]
    world.a.reset("transport")
    world.run(when=lambda: 2 in world.b.machine.connections)
    world.b.call("no_way_out", 2, "no file descriptor is left")
    world.run(when=lambda: all(side.events(actions.ResetEnded) for side in (world.a, world.b)))
    world.a.reset("ice")
    world.run(when=lambda: world.a.machine.reset is not None and world.a.machine.reset.phase == "building")
    world.a.call("no_way_out", 1, "no network interface has an address")
    world.ice = real  # type: ignore[method-assign]
    world.b.reset("transport")
    world.run(when=lambda: world.both("open")() and world.b.machine.active not in {1, 2})
    world.a.close()
    world.run(when=world.both("closed"))
    return world


def unordered() -> World:
    """Pieces of a message in any order, ranges, and a channel that asks for credit."""
    world = met()
    for name in ("first", "second"):
        world.a.open(name, ordered=False)
        world.run(when=lambda name=name: name in world.b.machine.channels and world.a.machine.channels[name].open)
    for number in range(2):
        world.a.send("second", bytes([number]) * 66_000)
    world.run(world.now + 1.0)
    world.kill(world.a, socket_ends=False)  # what follows is made by hand
    channel = world.b.machine.channels["first"]
    header = control.encode_header
    world.b.call("data_received", 1, channel.id, header(2, text=False) + b"second")
    world.b.call("data_received", 1, channel.id, header(1, text=False, first=False, index=1) + b"rst")
    world.run(world.now + 0.1)
    world.b.call("data_received", 1, channel.id, header(1, text=False, last=False) + b"fi")
    world.run(world.now + 0.1)
    world.b.call("abort")
    world.run(when=lambda: world.b.state == "closed")
    return world


def version_before() -> World:
    """Without `credit2`: payload alone is counted, and messages that lie here make the window smaller."""
    world = met(before=True)
    world.a.reads = False
    world.b.send("chat", bytes(100))
    for _ in range(20):
        world.b.send("chat", b"")
    world.a.send("chat", bytes(66_000))
    world.run(world.now + 1.0)
    world.a.reads = True
    world.a.read("chat")
    world.a.settle()
    world.a.close(5.0, "done")
    world.run(when=world.both("closed"))
    return world


def far_deadline() -> World:
    """A close of the other side that would never end, and one of this side that does."""
    world = met()
    closing = words.Closing(
        receipt=world.a.machine.receipt, reason=words.Reason("left"), deadline_ms=2**53 - 1, final={"chat": 5}
    )
    world.a.call("control_received", 1, control.encode(closing))
    world.run(world.now + 0.5)
    world.a.close(2.0)
    world.run(when=lambda: world.a.state == "closed")
    return world


def unread() -> World:
    world = met()
    world.b.reads = False
    for size in (0, 3, 5):
        world.a.send("chat", bytes(size))
    world.a.close()
    world.run(when=world.both("closed"))
    return world


def closed_when_dead() -> World:
    world = met()
    world.a.send("chat", b"hello?")
    world.run(world.now + 2.0)
    world.kill(world.b)
    world.run(when=lambda: world.a.state == "suspect")
    world.a.close(5.0, "nobody there")
    world.run(when=lambda: world.a.state == "closed")
    return world


def slept() -> World:
    world = met()
    world.run(world.now + 1.0)
    world.hang(world.b)
    world.run(world.now + 75.0)
    world.hang(world.b, hung=False)
    world.run(when=world.both("closed"))
    return world


def impossible_account() -> World:
    """Side b claims a cause that is not its own, writes control characters, and states what cannot be."""
    world = met()
    world.b.send("chat", b"hi")
    world.run(world.now + 0.1)
    world.b.stuck = True
    reason = words.Reason("security-error")
    spoken = msgspec.structs.replace(reason)
    msgspec.structs.force_setattr(spoken, "text", "bye\x1b[2J\n\u202eroot")
    account = words.ChannelAccount(accepted=words.Total(0, 0), unsent=words.Total(7, 70))
    receipt = world.b.machine.receipt
    for word in (
        words.Closing(receipt=receipt, reason=spoken, deadline_ms=2000, final={"chat": 1}),
        words.Done(final={"chat": 1}),
        words.Closed(receipt=receipt, reason=spoken, closer="b", channels={"chat": account}),
    ):
        world.a.call("control_received", 1, control.encode(word))
    world.run(when=lambda: world.a.state == "closed")
    return world


def smaller_deadline() -> World:
    """Both close; side b dies in the middle, and side a ends by b's deadline all the same."""
    world = met(closing_bound=1000)
    world.b.reads = False
    for number in range(3):
        world.a.send("chat", bytes([number]) * 1000)
    world.a.close(5.0, "a says")
    world.b.close(1.0, "b says")
    world.run(when=lambda: world.a.machine.closing.by == world.b.machine.closing.by == "both")  # type: ignore[union-attr]
    world.kill(world.b, socket_ends=False)
    world.run(when=lambda: world.a.state == "closed")
    return world


def replay_of_a_part() -> World:
    """Three messages are there and not acknowledged, three are lost with the old connection."""
    world = met()
    world.b.reads = False
    for number in range(3):
        world.a.send("chat", bytes([number]))
    world.run(world.now + 0.2)
    world.cut_link()
    for number in range(3, 6):
        world.a.send("chat", bytes([number]))
    world.run(world.now + 0.1)
    world.a.reset("transport")
    world.run(when=lambda: 2 in world.a.machine.connections)
    world.stuck.clear()
    world.cut_link(False)
    world.run(when=lambda: world.both("open")() and world.b.machine.channels["chat"].receiver.have == 6)
    world.b.read("chat")
    world.b.settle()
    world.b.call("abort")
    world.run(when=world.both("closed"))
    return world


def switch_is_waited_for() -> World:
    """The ladder's reset has said `switch`, and no answer comes: the next rung leaves it alone."""
    world = met()
    for side in (world.a, world.b):
        side.connections.pop(1)
        side.engine_until = world.now
    world.run(when=lambda: world.a.machine.reset is not None and world.a.machine.reset.phase == "switching")
    world.cut_link()
    world.b.signaling = False
    world.run(world.now + 15.0)
    return world


def channel_closed() -> World:
    """With messages both ways, last words, and the name used again."""
    world = met()
    world.b.auto_last_words = False
    for number in range(3):
        world.a.send("chat", bytes([number]) * 70_000)
        world.b.send("chat", bytes([number]))
    world.a.call("close_channel", "chat", "enough", 5.0)
    world.run(when=lambda: bool(world.b.events(actions.ChannelClosing)))
    world.b.send("chat", b"last words")
    world.b.call("channel_last_words_over", "chat")
    world.run(when=lambda: not world.a.machine.channels and not world.b.machine.channels)
    world.b.open("chat")
    world.b.send("chat", b"again")
    world.run(when=lambda: world.a.got["chat"][-1:] == [b"again"])
    world.b.close()
    world.run(when=world.both("closed"))
    return world


def channel_closed_by_both() -> World:
    world = met()
    world.a.send("chat", b"from a")
    world.b.send("chat", b"from b")
    world.a.call("close_channel", "chat", "a says", 5.0)
    world.b.call("close_channel", "chat", "b says", 5.0)
    world.run(when=lambda: not world.a.machine.channels and not world.b.machine.channels)
    return world


def channel_closed_in_a_reset() -> World:
    """The last words about it are lost with the connection, and said again on the new one."""
    world = met()
    for side in (world.a, world.b):
        side.send("chat", b"from " + side.name.encode())
    world.b.call("close_channel", "chat", "", 10.0)
    world.run(world.now + 0.035)
    world.a.reset("full")
    world.run(when=lambda: not world.a.machine.channels and not world.b.machine.channels)
    return world


def channel_at_its_deadline() -> World:
    """The other side is silent; its name is free when it speaks again. The session closes while another one ends."""
    world = met()
    world.cut_link()
    world.a.send("chat", b"into the void")
    world.a.call("close_channel", "chat", "", 1.0)
    world.run(when=lambda: bool(world.a.events(actions.ChannelClosed)))
    world.cut_link(False)
    world.run(when=lambda: not world.a.machine.channels and not world.b.machine.channels)
    world.b.open("more")
    world.run(when=lambda: "more" in world.a.machine.channels)
    world.a.call("close_channel", "more", "", 5.0)
    world.b.close()
    world.run(when=world.both("closed"))
    return world


def channel_of_the_version_before() -> World:
    world = met(before=True)
    world.a.send("chat", b"hello")
    world.a.call("close_channel", "chat", "", 5.0)
    world.run(when=lambda: bool(world.a.events(actions.ChannelClosed)))
    world.b.send("chat", b"to nobody")
    world.a.close()
    world.run(when=world.both("closed"))
    return world


def watched_close() -> World:
    """A close reports its steps: messages both ways, an unreliable message, and a file are still under way."""
    world = met(closing_bound=200_000)
    world.a.open("lossy", ordered=False, max_retransmits=0)
    world.a.open("file a 1")
    world.run(when=lambda: world.a.machine.channels["file a 1"].open)
    world.a.call("watch_progress", True)
    world.b.call("watch_progress", True)
    world.b.reads = False
    for number in range(4):
        world.a.send("chat", bytes([number]) * 70_000)
        world.a.send("lossy", bytes([number]))
        world.a.send("file a 1", bytes([number]) * 1000)
        world.b.send("chat", bytes([number]))
    world.a.close(2.0)
    world.run(when=world.both("closed"))
    return world


def watched_resets() -> World:
    """A reset of each level reports its steps. Without a listener it reports nothing."""
    world = met()
    world.a.call("watch_progress", True)
    for level in ("ice", "transport", "full"):
        world.a.send("chat", b"under way")
        world.a.reset(level)
        world.run(when=world.both("open"))
    world.cut_link()
    world.a.send("chat", b"into the void")
    world.a.reset("transport")
    world.run(world.now + 1.0)
    world.a.call("watch_progress", False)
    world.run(world.now + 1.0)
    world.a.call("abort")
    world.run(when=lambda: world.a.state == "closed")
    return world


def network_changes() -> World:
    """A path that answers is left alone, one that does not is renewed; a hint renews it at once, also of both sides."""
    world = met()
    world.a.call("network_changed", "an address has come")
    world.run(world.now + 2.0)
    for side in (world.a, world.b):
        side.call("network_changed", "the program says so", at_once=True)
        world.run(when=lambda: world.both("open")() and world.a.machine.reset is None is world.b.machine.reset)
    world.a.call("network_changed", "the program says so", at_once=True)
    world.b.call("network_changed", "the program says so", at_once=True)
    world.run(when=lambda: world.both("open")() and world.a.machine.reset is None is world.b.machine.reset)
    for side in (world.a, world.b):
        world.cut_link()
        side.call("network_changed", "an address is gone")
        world.run(world.now + 1.2)
        world.cut_link(False)
        world.run(when=lambda: world.both("open")() and world.a.machine.reset is None is world.b.machine.reset)
    world.cut_link()
    world.set_signaling(world.b, False)
    world.b.call("network_changed", "an address is gone")
    world.run(world.now + 2.5)
    world.cut_link(False)
    world.set_signaling(world.b, True)
    world.run(when=lambda: world.both("open")() and world.a.machine.reset is None is world.b.machine.reset)
    world.b.close()
    world.run(when=world.both("closed"))
    return world


def failed_in_a_cut(seconds: float = 37.0, first: str = "b", gap: float = 0.6) -> World:
    """The connection fails in a cut of all. Signaling comes back to one side before the other: one connection is made.

    Args:
        seconds: of the cut.
        first: the side that signaling comes back to first.
        gap: seconds until it comes back to the other.
    """
    world = met()
    world.cut_link()
    for side in (world.a, world.b):
        side.signaling = False
        side.call("signaling_changed", False)
    world.run(world.now + 16.0)
    for side in (world.a, world.b):
        side.call("connection_lost", 1, "failed", "ICE failed")
    world.run(world.now + seconds - 16.0)
    world.cut_link(False)
    one = getattr(world, first)
    world.set_signaling(one, True)
    one.call("presence_changed", "away")
    world.run(world.now + gap)
    world.set_signaling(one.other, True)
    world.run(when=world.both("open"))
    world.b.close()
    world.run(when=world.both("closed"))
    return world


def media_ends() -> World:
    """Each side waits for its sound, and says in its last word what it sent and what came."""
    world = met()
    world.a.auto_last_words = False
    world.b.call("ask_close", words.Reason("left", "done"), 5.0, speaking=True)
    sent = words.MediaAccount(packets=400, bytes=32_000, unsent_ms=1500, arrived=90)
    world.b.call("media_counted", {"0": sent})
    world.run(when=lambda: bool(world.a.events(actions.ClosingAsked)))
    world.a.call("last_words_over", speaking=True)
    world.run(world.now + 0.5)
    world.b.call("media_counted", {"0": msgspec.structs.replace(sent, packets=475, bytes=38_000, unsent_ms=0)})
    world.b.call("media_finished")
    world.run(world.now + 0.5)
    counted = words.MediaAccount(packets=100, bytes=8_000, unsent_ms=20, arrived=9_999)
    world.a.call("media_counted", {"0": counted, "1": words.MediaAccount(packets=3, bytes=300)})
    world.a.call("media_finished")
    world.run(when=world.both("closed"))
    return world


def media_at_its_deadline() -> World:
    """Sound that lasts longer than the close: the last account before the deadline counts."""
    world = met()
    world.a.call("ask_close", words.Reason("left", "done"), 2.0, speaking=True)
    for rest in (3000, 2000):
        world.a.call("media_counted", {"0": words.MediaAccount(packets=50, bytes=4000, unsent_ms=rest)})
        world.b.call("media_counted", {"0": words.MediaAccount(arrived=49)})
        world.run(world.now + 0.5)
    world.run(when=world.both("closed"))
    return world


def media_of_the_version_before() -> World:
    """A side without the capability: it neither sends nor receives accounts of media."""
    world = met(before=True)
    for side in (world.a, world.b):
        side.call("media_counted", {"0": words.MediaAccount(packets=5, bytes=500, arrived=5)})
    world.a.close()
    world.run(when=world.both("closed"))
    return world


SCENARIOS: dict[str, Callable[[], World]] = {
    scenario.__name__: scenario
    for scenario in (
        graceful_close, closed_before_hello, last_words, both_close, reset_with_replay,
        silence_and_recovery, heals_one_way, killed, deadline, protocol_error, no_way_out,
        unordered, version_before, far_deadline, unread, closed_when_dead, slept, impossible_account,
        smaller_deadline, replay_of_a_part, switch_is_waited_for,
        channel_closed, channel_closed_by_both, channel_closed_in_a_reset, channel_at_its_deadline,
        channel_of_the_version_before,
        watched_close, watched_resets, network_changes, failed_in_a_cut,
        media_ends, media_at_its_deadline, media_of_the_version_before,
    )
}  # fmt: skip


def written(scenario: str, world: World, side: Side) -> dict[str, Any]:
    """One side of a scenario, as JSON has it."""
    return {
        "scenario": scenario,
        "side": side.name,
        "me": side.name,
        "peer": side.other.name,
        "room": "room",
        "options": {
            "closingBound": side.machine.options.closing_bound,
            "capabilities": list(side.machine.options.capabilities),
            **{_camel(name): value for name, value in _changed(side.machine.options).items()},
        },
        "steps": [_entry(entry) for entry in side.trace],
        "outcome": msgspec.to_builtins(side.machine.outcome),
    }


def _changed(options: Options) -> dict[str, Any]:
    """The options that are not as they are without being set; those that are always written apart."""
    now, before = msgspec.structs.asdict(options), msgspec.structs.asdict(Options())
    return {
        name: value
        for name, value in now.items()
        if value != before[name] and name not in {"closing_bound", "capabilities"}
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _entry(entry: tuple[Any, ...]) -> dict[str, Any]:
    match entry:
        case ("in", now, method, args, kwargs):
            return {
                "in": method,
                "now": now,
                "args": [_plain(arg) for arg in args],
                "named": {k: _plain(v) for k, v in kwargs.items()},
            }
        case (kind, thing):
            return {kind: msgspec.to_builtins(thing)}
    raise AssertionError(entry)


def _plain(value: Any) -> Any:
    if isinstance(value, Payload):
        return {"data": msgspec.to_builtins(value.data), "text": value.text, "again": value.again}
    return msgspec.to_builtins(value)


def replay(trace: dict[str, Any]) -> SessionMachine:
    """Feed a machine what the trace says; it must ask and tell the same."""
    given = {
        field: trace["options"][_camel(field)]
        for field in Options.__struct_fields__
        if _camel(field) in trace["options"]
    }
    options = Options(**{**given, "capabilities": tuple(given["capabilities"])})
    machine = SessionMachine(me=trace["me"], peer=trace["peer"], room=trace["room"], options=options)
    for number, step in enumerate(trace["steps"]):
        if "in" in step:
            getattr(machine, step["in"])(*_arguments(step), now=step["now"], **_named(step))
            continue
        kind = "do" if "do" in step else "tell"
        output = machine.poll_action() if kind == "do" else machine.poll_event()
        assert msgspec.to_builtins(output) == step[kind], f"{trace['scenario']} {trace['side']}, step {number}"
    return machine


def _arguments(step: dict[str, Any]) -> list[Any]:
    args = list(step["args"])
    match step["in"]:
        case "send":
            payload = args[1]
            data = msgspec.convert(payload["data"], bytes)
            args[1] = Payload(data, payload["text"], payload["again"] and tuple(payload["again"]))
        case "data_received":
            args[2] = msgspec.convert(args[2], bytes)
        case "signal_received":
            args[0] = msgspec.convert(args[0], words.AnyWord)
        case "ask_close":
            args[0] = msgspec.convert(args[0], words.Reason)
        case "media_counted":
            args[0] = msgspec.convert(args[0], dict[str, words.MediaAccount])
    return args


def _named(step: dict[str, Any]) -> dict[str, Any]:
    named = dict(step["named"])
    if "reliability" in named:
        named["reliability"] = msgspec.convert(named["reliability"], Reliability)
    return named


def write() -> None:
    """Make all vectors anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, scenario in SCENARIOS.items():
        world = scenario()
        for side in (world.a, world.b):
            text = json.dumps(written(name, world, side), indent=1)
            (FOLDER / f"{name}_{side.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    write()
