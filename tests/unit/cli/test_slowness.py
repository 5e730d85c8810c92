"""How the demo finds that a machine is busy, and what it allows then."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from adieu.cli import demo
from adieu.cli.slowness import IDLE, MOST, WORK, Pace, slowness
from support.virtual import World, simulated


def pace(*seen: float) -> Pace:
    made = Pace()
    for slow in seen:
        made.saw(slow)
    return made


@pytest.mark.parametrize("times", [1.0, 2.0, 20.0])
def test_slowness_is_the_time_that_passed_over_the_work_that_was_done(times: float) -> None:
    work = itertools.count()
    used = [0.0]

    def does() -> float:
        used[0] = next(work) * WORK / 10
        return used[0]

    assert slowness(lambda: used[0] * times, does) == pytest.approx(times, rel=0.2)


def test_a_machine_counts_as_no_faster_than_its_processor() -> None:
    passed, work = itertools.count(), itertools.count()
    assert slowness(lambda: next(passed) * WORK / 100, lambda: next(work) * WORK) == 1.0


@pytest.mark.parametrize(
    ("seen", "stretch"),
    [((), 1.0), ((1.0, IDLE), 1.0), ((3.0, 1.0), 3.0), ((2.0, 7.0, 4.0), 7.0), ((MOST,), MOST), ((MOST * 4,), MOST)],
)
def test_bounds_grow_with_the_slowest_measurement(seen: tuple[float, ...], stretch: float) -> None:
    """The factor is bounded."""
    assert pace(*seen).stretch == stretch


def test_on_an_idle_machine_a_bound_is_a_bound() -> None:
    assert pace(IDLE).judge(5.0, 5.0) == (True, "")
    assert pace(IDLE).judge(5.1, 5.0) == (False, "5.1 s")
    assert pace(IDLE).words == ""


def test_on_a_busy_machine_more_is_allowed_and_it_says_so() -> None:
    kept, why = pace(4.0).judge(19.0, 5.0)
    assert kept
    assert why == "19.0 s; work takes 4.0 times its processor time here, so 20 s are allowed"
    assert not pace(4.0).judge(20.5, 5.0)[0]
    assert "4.0 times" in pace(4.0).words


def test_what_was_in_time_needs_no_excuse() -> None:
    assert pace(4.0).judge(5.0, 5.0) == (True, "")
    assert pace(MOST * 2).judge(5.0, 5.0) == (True, "")


def test_what_cannot_be_judged_says_so_and_fails() -> None:
    kept, why = pace(MOST * 2).judge(6.0, 5.0)
    assert not kept
    assert "cannot be judged" in why
    assert "not judged" in pace(MOST * 2).words


@simulated()
async def test_silence_ends_a_part(world: World) -> None:
    """The allowed silence is longer on a computer that turns out to be slower."""
    told: asyncio.Queue[tuple[demo.Peer, dict[str, object] | None]] = asyncio.Queue()
    with pytest.raises(TimeoutError):
        await demo.next_told(told, Pace())
    assert world.now == pytest.approx(demo.QUIET)
    began, slow = world.now, Pace()
    asyncio.get_running_loop().call_later(demo.QUIET / 2, slow.saw, 3.0)
    with pytest.raises(TimeoutError):
        await demo.next_told(told, slow)
    assert world.now - began == pytest.approx(demo.QUIET * 3.0)
