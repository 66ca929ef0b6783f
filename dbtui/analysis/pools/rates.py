"""Differences of two looks: rates that are never negative, and none at all over a restart or a jump of a clock.

PgBouncer's own `avg_*` are not used: they are as old as its stats_period, and what they mean changed in 1.23.
Its times are added late: `wait_time` when a server is assigned, `xact_time` (wait included) when a transaction ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from dbtui.model.ladders import PoolRates
from dbtui.model.pools import (
    AppPool,
    AppPoolsSnapshot,
    HostLoad,
    PoolerPool,
    PoolerSnapshot,
    PoolerTotals,
    ServerPool,
    Tier,
)

#: PgBouncer's database of its own console: no pool of anybody's.
CONSOLE_DATABASE = "pgbouncer"
#: Wall and monotonic clock may drift apart so much between two looks before one of them must have jumped.
_CLOCK_SECONDS, _CLOCK_FRACTION = 2.0, 0.2
#: Busy servers may be counted so many more than there are, since time is added when transactions end.
_BUSY_EXCESS_FRACTION, _BUSY_EXCESS = 1.25, 1.0
#: And so many fewer than none. So many transactions for each server at work make an average.
_BUSY_LACK, _LEAST_TURNS = 0.25, 2
_START_TOLERANCE_SECONDS = 2.0


class Timed(Protocol):
    """A look of a tier."""

    @property
    def taken_at(self) -> datetime:
        """When, by the wall clock."""

    @property
    def monotonic_seconds(self) -> float:
        """When, by the collector's monotonic clock."""


class Step(Enum):
    """How a look follows the one before it."""

    SAME = auto()  # it is the one before it
    NEXT = auto()
    JUMPED = auto()  # how much time has passed is not known


def compare_clocks(older: Timed, newer: Timed) -> Step:
    """Return whether the time between two looks is known.

    A monotonic clock that ran backwards is another machine's or another run's. When wall and monotonic clock disagree,
    either the wall clock was set or the machine slept while the counters went on: no rate over that.
    """
    seconds = newer.monotonic_seconds - older.monotonic_seconds
    if seconds == 0:
        return Step.SAME if newer.taken_at == older.taken_at else Step.JUMPED
    wall = newer.taken_at.timestamp() - older.taken_at.timestamp()
    if seconds < 0 or abs(wall - seconds) > max(_CLOCK_SECONDS, _CLOCK_FRACTION * seconds):
        return Step.JUMPED
    return Step.NEXT


# ---------------------------------------------------------------- PgBouncer


def is_pooler_reset(older: PoolerSnapshot, newer: PoolerSnapshot) -> bool:
    """Whether PgBouncer started anew (or forgot an idle database): some counter is smaller than it was, or gone."""
    if (newer.cpu_seconds_total or 0.0) < (older.cpu_seconds_total or 0.0) and newer.cpu_seconds_total is not None:
        return True
    after = {each.database: each for each in newer.totals}
    return any(_is_less(old, after.get(old.database, PoolerTotals(database=""))) for old in older.totals)


def _is_less(old: PoolerTotals, new: PoolerTotals) -> bool:
    return (
        new.xact_total < old.xact_total
        or new.query_total < old.query_total
        or new.xact_seconds < old.xact_seconds - 1e-6
        or new.query_seconds < old.query_seconds - 1e-6
        or new.wait_seconds < old.wait_seconds - 1e-6
        or new.received_bytes < old.received_bytes
        or new.sent_bytes < old.sent_bytes
    )


def rate_pooler(older: PoolerSnapshot, newer: PoolerSnapshot) -> dict[str, PoolRates]:
    """Return by database what happened a second between two looks of one PgBouncer, which was not restarted between."""
    seconds = newer.monotonic_seconds - older.monotonic_seconds
    before = {each.database: each for each in older.totals}
    servers, waiting = _most(count_servers, older, newer), _fewest_waiting(older, newer)
    working = _most(lambda pool: pool.sv_active, newer)
    rates = {}
    for total in newer.totals:
        old = before.get(total.database)
        if old is None or seconds <= 0 or total.database == CONSOLE_DATABASE:
            continue
        name = total.database
        rates[name] = _rate_database(old, total, seconds, servers.get(name, 0), waiting.get(name, 0))
        if total.xact_total - old.xact_total < _LEAST_TURNS * working.get(name, 0):
            rates[name] = replace(rates[name], busy=None)
    return rates


def _rate_database(old: PoolerTotals, new: PoolerTotals, seconds: float, servers: int, waiting: int) -> PoolRates:
    transactions, waited = new.xact_total - old.xact_total, max(0.0, new.wait_seconds - old.wait_seconds)
    is_frozen = waiting > 0 and waited < 1e-6
    busy = None if is_frozen else (new.xact_seconds - old.xact_seconds - waited) / seconds
    if busy is not None and not -_BUSY_LACK <= busy <= servers * _BUSY_EXCESS_FRACTION + _BUSY_EXCESS:
        busy = None  # a wait or a transaction far longer than the window was added at once
    return PoolRates(
        tier=Tier.POOLER,
        pool=new.database,
        seconds=seconds,
        transactions=transactions / seconds,
        queries=(new.query_total - old.query_total) / seconds,
        busy=None if busy is None else max(0.0, busy),
        queue=None if is_frozen else waited / seconds,
        wait_mean_seconds=waited / transactions if transactions and not is_frozen else None,
        hold_mean_seconds=None if busy is None or not transactions else max(0.0, busy) * seconds / transactions,
        received_bytes=(new.received_bytes - old.received_bytes) / seconds,
        sent_bytes=(new.sent_bytes - old.sent_bytes) / seconds,
        is_frozen=is_frozen,
    )


def count_servers(pool: PoolerPool) -> int:
    """Return how many server connections a pool has, those under way included."""
    return max(0, pool.sv_active + pool.sv_idle + pool.sv_used + pool.sv_tested + pool.sv_login + pool.sv_cancel)


def _most(count: Callable[[PoolerPool], int], *looks: PoolerSnapshot) -> dict[str, int]:
    """The most that was counted over a database's pools in any of the looks."""
    most: dict[str, int] = {}
    for look in looks:
        for name, number in _sum_pools(look, count).items():
            most[name] = max(number, most.get(name, 0))
    return most


def _fewest_waiting(older: PoolerSnapshot, newer: PoolerSnapshot) -> dict[str, int]:
    before = _sum_pools(older, lambda pool: pool.cl_waiting)
    after = _sum_pools(newer, lambda pool: pool.cl_waiting)
    return {name: min(number, before.get(name, 0)) for name, number in after.items()}


def _sum_pools(look: PoolerSnapshot, count: Callable[[PoolerPool], int]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for pool in look.pools:
        sums[pool.database] = sums.get(pool.database, 0) + count(pool)
    return sums


def rate_pooler_cpu(looks: Sequence[PoolerSnapshot]) -> float | None:
    """Return the share of one core that the PgBouncer process used between the first and the last look."""
    if len(looks) < 2:
        return None
    older, newer = looks[0], looks[-1]
    seconds = newer.monotonic_seconds - older.monotonic_seconds
    if older.cpu_seconds_total is None or newer.cpu_seconds_total is None or seconds <= 0:
        return None
    return max(0.0, newer.cpu_seconds_total - older.cpu_seconds_total) / seconds


# ---------------------------------------------------------------- applications


AppKey = tuple[str, int, str]


def key_of(pool: AppPool) -> AppKey:
    """Return what makes a pool the same one in another look."""
    return pool.source, pool.pid, pool.pool


def is_app_reset(old: AppPool, new: AppPool) -> bool:
    """Whether a process started anew between two looks: it says so, or some counter is smaller than it was."""
    if old.started_at is not None and new.started_at is not None:
        moved = new.started_at.timestamp() - old.started_at.timestamp()
        if abs(moved) > _START_TOLERANCE_SECONDS:
            return True
    pairs = ((old.wait, new.wait), (old.abandoned, new.abandoned), (old.hold, new.hold), (old.create, new.create))
    return (
        any(after.count < before.count or after.seconds < before.seconds - 1e-6 for before, after in pairs)
        or new.timeouts_total < old.timeouts_total
        or new.closed_total < old.closed_total
        or new.invalidated_total < old.invalidated_total
    )


def rate_app_pool(old: AppPool, new: AppPool, seconds: float, name: str) -> PoolRates:
    """Return what a pool did a second in `seconds` between two looks, its process not restarted between."""
    waits, holds = new.wait.count - old.wait.count, new.hold.count - old.hold.count
    waited = max(0.0, new.wait.seconds - old.wait.seconds)
    abandoned = max(0.0, new.abandoned.seconds - old.abandoned.seconds)
    held = max(0.0, new.hold.seconds - old.hold.seconds)
    is_frozen = min(old.pending, new.pending) > 0 and waits == 0 and new.abandoned.count == old.abandoned.count
    connections = max(old.checked_out + old.checked_in, new.checked_out + new.checked_in)
    busy: float | None = held / seconds
    if (holds == 0 and new.checked_out) or held / seconds > connections * _BUSY_EXCESS_FRACTION + _BUSY_EXCESS:
        busy = None  # nothing came back, or something that was held for far longer than the window
    return PoolRates(
        tier=Tier.APP,
        pool=name,
        seconds=seconds,
        transactions=waits / seconds,
        busy=busy,
        queue=None if is_frozen else (waited + abandoned) / seconds,
        wait_mean_seconds=waited / waits if waits else None,
        hold_mean_seconds=held / holds if holds else None,
        connects=(new.create.count - old.create.count) / seconds,
        errors=(new.timeouts_total - old.timeouts_total) / seconds,
        is_frozen=is_frozen,
    )


def mark(rates: PoolRates, *, was_reset: bool = False, has_clock_jumped: bool = False) -> PoolRates:
    """Return rates that say why there are none."""
    return replace(rates, was_reset=was_reset, has_clock_jumped=has_clock_jumped)


# ---------------------------------------------------------------- server and host


def rate_refused(looks: Sequence[ServerPool]) -> float | None:
    """Return how many connections a second a server refused; None: it does not count them, or started anew."""
    if len(looks) < 2:
        return None
    older, newer = looks[0], looks[-1]
    seconds = newer.monotonic_seconds - older.monotonic_seconds
    if older.refused_total is None or newer.refused_total is None or seconds <= 0:
        return None
    return max(0, newer.refused_total - older.refused_total) / seconds


def is_server_reset(old: ServerPool, new: ServerPool) -> bool:
    """Whether the server started anew between two looks."""
    if old.refused_total is not None and new.refused_total is not None and new.refused_total < old.refused_total:
        return True
    if old.started_at is None or new.started_at is None:
        return False
    return abs(new.started_at.timestamp() - old.started_at.timestamp()) > 5 * _START_TOLERANCE_SECONDS


def rate_cores(looks: Sequence[HostLoad]) -> float | None:
    """Return how many cores were busy between the first and the last look."""
    if len(looks) < 2:
        return None
    older, newer = looks[0], looks[-1]
    seconds = newer.monotonic_seconds - older.monotonic_seconds
    if older.busy_seconds_total is None or newer.busy_seconds_total is None or seconds <= 0:
        return None
    return min(float(max(1, newer.cores)), max(0.0, newer.busy_seconds_total - older.busy_seconds_total) / seconds)


def index_app(look: AppPoolsSnapshot) -> Mapping[AppKey, AppPool]:
    """Return the pools of a look by what makes them the same."""
    return {key_of(pool): pool for pool in look.pools}
