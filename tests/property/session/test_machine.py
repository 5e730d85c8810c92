"""Whatever two sessions do and whatever befalls them: each message once, in order; accounts add up; all ends."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from adieu.session.machine.options import Options
from sim.session.world import World

SIDES = st.sampled_from(["a", "b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), SIDES, st.integers(1, 12), st.sampled_from([1, 1000, 70000, 300000])),
        st.tuples(st.just("run"), st.floats(0.0, 0.4)),
        st.tuples(st.just("run"), st.floats(0.5, 12.0)),
        st.tuples(st.just("reset"), SIDES, st.sampled_from(["ice", "transport", "full"])),
        st.tuples(st.just("cut"), st.booleans()),
        st.tuples(st.just("signaling"), SIDES, st.booleans()),
        st.tuples(st.just("hang"), SIDES, st.booleans()),
        st.tuples(st.just("reads"), SIDES, st.booleans()),
        st.tuples(st.just("break"), SIDES),
    ),
    min_size=3,
    max_size=30,
)
ENDINGS = st.sampled_from(["close a", "close b", "close both", "kill a", "kill b", "abort a"])


def play(world: World, steps: list[tuple[object, ...]], sent: dict[str, int]) -> None:
    for step in steps:
        side = getattr(world, str(step[1]), None) if len(step) > 1 else None
        match step:
            case ("send", _, count, size):
                for _ in range(count):  # type: ignore[call-overload]
                    if side.state in {"closing", "closed"} or side.hung or "chat" not in side.machine.channels:
                        break
                    if side.machine.has_room("chat"):
                        sent[side.name] += 1
                        side.send("chat", sent[side.name].to_bytes(4) + bytes(size))  # type: ignore[operator]
            case ("run", seconds):
                world.run(world.now + seconds)  # type: ignore[operator]
            case ("reset", _, level):
                if side.state not in {"connecting", "closing", "closed"} and not side.hung:
                    side.reset(level)
            case ("cut", cut):
                world.cut_link(bool(cut))
            case ("signaling", _, up):
                if side.signaling != up and side.alive:
                    world.set_signaling(side, bool(up))
            case ("hang", _, hung):
                world.hang(side, bool(hung))
            case ("reads", _, reads):
                side.reads = bool(reads)
                if reads and "chat" in side.machine.channels:
                    side.read("chat")
                    side.settle()
            case ("break", _):
                for epoch in list(side.connections):
                    side.lost(epoch, "failed", "broken")


@settings(max_examples=500, deadline=None)
@given(STEPS, ENDINGS, st.booleans())
def test_each_message_once_and_in_order_accounts_add_up_and_all_ends(
    steps: list[tuple[object, ...]], ending: str, wait_for_open: bool
) -> None:
    world = World(options=Options(window=1 << 20, send_buffer=1 << 30, connect_timeout=120)).start()
    world.a.open("chat")
    world.b.open("chat")
    sent = {"a": 0, "b": 0}
    if wait_for_open:
        world.run(when=world.both("open"))
    play(world, steps, sent)
    verb, _, who = ending.partition(" ")
    for side in (world.a, world.b):
        if who in {side.name, "both"}:
            if verb == "kill":
                world.kill(side)
            else:
                world.hang(side, False)
                side.close(20.0)
                if verb == "abort":
                    side.call("abort")
    world.run(when=lambda: all(s.state == "closed" or not s.alive or s.hung for s in (world.a, world.b)), limit=400)

    for side in (world.a, world.b):
        numbers = [int.from_bytes(data[:4]) for data in side.got["chat"]]
        assert numbers == list(range(1, len(numbers) + 1)), "each once and in order"
        if side.state == "closed":
            assert side.outcome.cause != "protocol-error", "both keep the protocol"
            assert not any("cannot be" in line for line in side.outcome.evidence), "true accounts are believed"
            check_account(world, side, sent)
    a, b = world.a.outcome, world.b.outcome
    if a is not None and b is not None and a.confirmed and b.confirmed:
        assert a.agreed == b.agreed


def check_account(world: World, side: object, sent: dict[str, int]) -> None:
    outcome, other = side.outcome, side.other  # type: ignore[attr-defined]
    channel = outcome.channels.get("chat")
    if channel is None:
        return
    account = channel.sent
    assert account.accepted.messages == sent[side.name]  # type: ignore[attr-defined]
    assert account.delivered.messages + account.unknown.messages + account.unsent.messages == sent[side.name]  # type: ignore[attr-defined]
    other.read("chat")
    receiver = other.machine.channels["chat"].receiver if "chat" in other.machine.channels else None
    taken = receiver.taken.messages if receiver else 0
    assert account.delivered.messages <= taken, "delivered is never overstated"
    assert len(other.got["chat"]) >= account.delivered.messages
