"""The lowest free id, without a search through all that are in use."""

import random

import pytest

from adieu.webrtc.stream_ids import FreeIds


@pytest.mark.parametrize("parity", [0, 1])
def test_it_is_always_the_lowest_one_that_is_free(parity):
    rng = random.Random(parity)
    free, used = FreeIds(), set()
    for _ in range(20_000):
        if used and rng.random() < 0.48:
            gone = rng.choice(sorted(used)) if rng.random() < 0.2 else min(used)
            used.discard(gone)
            free.give_back(gone)
        elif rng.random() < 0.1:
            used.add(rng.randrange(400))  # taken by its number, as a negotiated channel does
        else:
            found = free.lowest(parity, 300, used)
            expected = next((n for n in range(parity, 300, 2) if n not in used), None)
            assert found == expected
            if found is not None:
                used.add(found)


class Counting(set):
    asked = 0

    def __contains__(self, number):
        self.asked += 1
        return super().__contains__(number)


def test_what_it_costs_does_not_grow_with_what_is_in_use():
    free, used = FreeIds(), Counting()
    for _ in range(30_000):
        used.add(free.lowest(0, 65535, used))
    for _ in range(1000):
        used.discard(4)
        free.give_back(4)
        assert free.lowest(0, 65535, used) == 4
        used.add(4)
        assert free.lowest(0, 65535, used) == 60_000
    assert used.asked < 70_000


def test_ids_that_come_and_go_are_remembered_once():
    free = FreeIds()
    assert free.lowest(0, 100, {0, 2, 4}) == 6
    for _ in range(1000):
        for number in (0, 2, 4, 50, 51):
            free.give_back(number)
    assert [free.lowest(0, 100, used) for used in ({0}, {0, 2}, {0, 2, 4})] == [2, 4, 6]
