"""Little's law as a check: what counters say must agree with what was seen waiting and working at each look.

A counter adds a wait or a transaction when it ends, so that those under way at both ends of the window are counted
too much or too little; the tolerance is what they can make, and the noise of a few looks.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

from dbtui.analysis.pools import rates as differences
from dbtui.analysis.pools.rates import AppKey, key_of
from dbtui.analysis.pools.thresholds import Thresholds
from dbtui.analysis.pools.tracks import Looks, PoolFacts
from dbtui.model.ladders import Check
from dbtui.model.pools import AppPool, AppPoolsSnapshot, PoolerSnapshot, Tier

_LEAST_LOOKS = 8
#: So often must what is counted have ended and begun anew within the window.
_TURNS = 5
_FRACTION, _ABSOLUTE = 0.3, 1.0


def check_pooler(looks: Looks[PoolerSnapshot], thresholds: Thresholds) -> Iterator[Check]:
    """Return what PgBouncer's counters say against its pools, by database, where enough happened to say it."""
    window = looks.over(thresholds.checks_seconds)
    if len(window) < _LEAST_LOOKS:
        return
    seen = [_add_up(look) for look in window]
    for database, rates in differences.rate_pooler(window[0], window[-1]).items():
        if rates.queue is None or rates.busy is None:
            continue
        counts = [each.get(database, _NOTHING) for each in seen]
        waiting, working = [each[0] for each in counts], [each[1] for each in counts]
        ended = (rates.transactions or 0.0) * rates.seconds
        edges = max(waiting) * max(each[2] for each in counts) / rates.seconds
        if ended >= _TURNS * max(1, *waiting):
            yield _check(Tier.POOLER, database, "waiting", waiting, rates.queue, edges)
        if ended >= _TURNS * max(1, *working):
            spent = max(working) * (rates.hold_mean_seconds or 0.0) / rates.seconds
            yield _check(Tier.POOLER, database, "working", working, rates.busy, edges + spent)


_NOTHING = (0, 0, 0.0)


def _add_up(look: PoolerSnapshot) -> dict[str, tuple[int, int, float]]:
    """Clients that wait, servers that work and the longest wait, by database."""
    sums: dict[str, tuple[int, int, float]] = {}
    for pool in look.pools:
        waiting, working, longest = sums.get(pool.database, _NOTHING)
        working += pool.sv_active + pool.sv_cancel
        sums[pool.database] = waiting + pool.cl_waiting, working, max(longest, pool.maxwait_seconds)
    return sums


def check_app(
    looks: Looks[AppPoolsSnapshot], since: Mapping[AppKey, float], facts: Sequence[PoolFacts], thresholds: Thresholds
) -> Iterator[Check]:
    """Return what the counters of application pools say against what was seen, where enough happened to say it."""
    window = looks.over(thresholds.checks_seconds)
    if len(window) < _LEAST_LOOKS or looks.last is None:
        return
    indexed = [(look.monotonic_seconds, differences.index_app(look)) for look in window]
    for pool, named in zip(looks.last.pools, facts, strict=True):
        key = key_of(pool)
        usable = [(at, pools[key]) for at, pools in indexed if key in pools and at >= since.get(key, 0.0)]
        if len(usable) >= _LEAST_LOOKS:
            yield from _check_app_pool(named.pool, usable)


def _check_app_pool(name: str, usable: Sequence[tuple[float, AppPool]]) -> Iterator[Check]:
    (began, old), (ended, new) = usable[0], usable[-1]
    seconds = ended - began
    rates = differences.rate_app_pool(old, new, seconds, name)
    waiting, working = [pool.pending for _, pool in usable], [pool.checked_out for _, pool in usable]
    oldest = max(pool.oldest_pending_seconds for _, pool in usable)
    gone = (rates.transactions or 0.0) * seconds + new.abandoned.count - old.abandoned.count
    if rates.queue is not None and gone >= _TURNS * max(1, *waiting):
        edges = max(waiting) * oldest / seconds
        yield _check(Tier.APP, name, "waiting", waiting, rates.queue, edges)
    holds = new.hold.count - old.hold.count
    if rates.busy is not None and holds >= _TURNS * max(1, *working):
        spent = max(working) * (rates.hold_mean_seconds or 0.0) / seconds
        yield _check(Tier.APP, name, "working", working, rates.busy, spent)


def _check(tier: Tier, pool: str, name: str, seen: Sequence[int], derived: float, edges: float) -> Check:
    counted = sum(seen) / len(seen)
    noise = 3 * sqrt(sum((each - counted) ** 2 for each in seen)) / len(seen)
    holds = abs(counted - derived) <= _ABSOLUTE + _FRACTION * max(counted, derived) + noise + edges
    relation = "agree" if holds else "counters disagree"
    sentence = f"{pool}: {counted:.1f} {name} were seen on average, the counters say {derived:.1f}: {relation}"
    return Check(tier=tier, pool=pool, name=name, counted=counted, derived=derived, holds=holds, sentence=sentence)
