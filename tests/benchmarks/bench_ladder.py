"""What judging costs: a look at 50 pools of PgBouncer and 20 application pools, in CPU time.

Prints the time for each look while every pool fills (so that there is a projection for each) and while every pool is
full, and the part of one core that this is at a look a second. Exits with 1 when it is more than a hundredth.
"""

import sys
import time
from collections.abc import Callable, Sequence

from dbtui.analysis.pools import Track, advance
from dbtui.model.pools import PoolsSnapshot, Tier
from tests.unit.ladder_samples import SETTINGS, app, host, ladder, pool, pooler, server, steady_app, totals

POOLS, APPLICATIONS, LOOKS = 50, 20, 60
PROMISED_SECONDS = 0.010


def look(at: int, working: int, waiting: int, busy: float) -> PoolsSnapshot:
    """A look at many pools that are all alike."""
    pools = [
        pool(database=f"db{number}", sv_active=working, sv_idle=8 - working, cl_waiting=waiting)
        for number in range(POOLS)
    ]
    counted = tuple(totals(at, busy=busy, queue=waiting, database=f"db{number}") for number in range(POOLS))
    applications = [steady_app(at, held=15, pid=number, source=str(number)) for number in range(APPLICATIONS)]
    return ladder(
        at,
        app=app(at, *applications),
        pooler=pooler(at, *pools, totals=counted, settings=SETTINGS),
        server=server(at),
        host=host(at),
    )


def measure(make: Callable[[int], PoolsSnapshot]) -> float:
    """Return the CPU seconds that a look costs, the least of ten stretches."""
    looks = [make(at) for at in range(2 * LOOKS)]
    track, costs = Track(), []
    for each in looks[:LOOKS]:
        track, _ = advance(track, each)
    for first in range(LOOKS, 2 * LOOKS, 6):
        began = time.process_time()
        for each in looks[first : first + 6]:
            track, _ = advance(track, each)
        costs.append((time.process_time() - began) / 6)
    assert len(track.pools) == POOLS + APPLICATIONS + (Tier.SERVER in {tier for tier, _ in track.pools})
    return min(costs)


def main(_: Sequence[str]) -> int:
    """Measure both."""
    filling = measure(lambda at: look(at, min(7, 2 + at // 25), 0, 2 + at / 25))
    full = measure(lambda at: look(at, 8, 7, 8.0))
    for name, seconds in (("filling", filling), ("full", full)):
        print(f"{name}: {seconds * 1000:.1f} ms a look at {POOLS} + {APPLICATIONS} pools, {seconds:.1%} of a core")
    return 0 if max(filling, full) <= PROMISED_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
