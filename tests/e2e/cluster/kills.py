"""Kills servers and Redis under load, twenty times each, and writes a report about the messages.

python -m e2e.cluster.kills [--kills 20] [--pairs 40] [--rate 20]     (in tests/)
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from pathlib import Path

from e2e.cluster.world import World

REPORT = Path(__file__).resolve().parents[1] / "reports" / "cluster.md"


def row(kind: str, kills: int, world: World, lost: int, seconds: list[float]) -> str:
    count = world.count
    middle, worst = statistics.median(seconds), max(seconds)
    doubled, odd = count.doubled, len(count.undelivered) + count.disordered
    figures = (kind, kills, count.sent, lost, doubled, odd, count.new_seats, f"{middle:.2f}", f"{worst:.2f}")
    return f"| {' | '.join(map(str, figures))} |"


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--only", action="append", choices=["servers", "always", "everysec"])
    given = parser.parse_args()
    chance = random.Random(5)
    rows: list[str] = []
    options = {"servers": 3, "pairs": given.pairs, "rate": given.rate}
    known: list[float] = []

    async def servers() -> None:
        async with World(**options) as world:
            times = []
            for number in range(given.kills):
                await asyncio.sleep(chance.uniform(0.2, 1.0))
                times.append(await world.kill_a_server(number % 3))
                print(f"server {number}: {times[-1]:.2f} s", flush=True)
            rows.append(row("a server", given.kills, world, await world.all_taken(), times))

    async def redis(fsync: str) -> None:
        async with World(**options, fsync=fsync) as world:
            times = []
            for number in range(given.kills):
                await asyncio.sleep(chance.uniform(0.2, 1.0))
                knew, back = await world.kill_redis(chance.uniform(0.0, 2.0))
                known.append(knew)
                times.append(back)
                print(f"redis {number}: known after {knew:.2f} s, back after {back:.2f} s", flush=True)
            rows.append(row(f"Redis, `appendfsync {fsync}`", given.kills, world, await world.all_taken(), times))

    kinds = {"servers": servers, "always": lambda: redis("always"), "everysec": lambda: redis("everysec")}
    for kind in given.only or kinds:
        await kinds[kind]()
        print(rows[-1], flush=True)
    if given.only:
        return
    people = 2 * given.pairs
    REPORT.write_text(
        f"""# Kills of servers and of Redis

Three servers on one Redis 7 with an append-only file, {people} clients in {given.pairs} rooms behind a balancer. Each
client sends {given.rate:g} numbered messages a second to its partner. All are killed with SIGKILL and started again.
`python -m e2e.cluster.kills` (in `tests/`) writes this page.

| killed | times | messages | lost | doubled | out of order, refused | new seats | median s | longest s |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

The seconds are those from the kill of a server, or from the return of Redis, until all clients are connected again with
their seats. All clients knew that Redis was gone after {statistics.median(known):.2f} s (median) and
{max(known):.2f} s (longest).

With `appendfsync everysec` and a slow disk, Redis says yes to an entry before the entry is in the file. If a kill loses
such an entry, all clients get new seats, and a message on its way is reported to its sender as undelivered ("refused").
""",
        "utf-8",
    )
    print(REPORT.read_text("utf-8"))


if __name__ == "__main__":
    asyncio.run(main())
