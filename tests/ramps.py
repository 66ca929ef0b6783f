"""Ramps: load that grows until a pool of PgBouncer is full, as it was seen, and how well the moment was foretold."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from dbtui.analysis.pools import Track, advance
from dbtui.model.pools import PoolerDatabase, PoolerPool, PoolerSettings, PoolerSnapshot, PoolerTotals, PoolsSnapshot

SERVERS = 8
REACHES = 0.9 * SERVERS
LAST_SECONDS = 10.0
TOLERANCE = 0.25
_BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)
_COLUMNS = ("at", "xact", "xact_seconds", "wait_seconds", "sv_active", "sv_idle", "cl_waiting", "maxwait")


@dataclass(frozen=True)
class Row:
    """One look at the pool, `at` seconds after the load began."""

    at: float
    xact: int
    xact_seconds: float
    wait_seconds: float
    sv_active: int
    sv_idle: int
    cl_waiting: int
    maxwait: float


@dataclass(frozen=True)
class Foresight:
    """What was foretold in the last seconds before the pool was as good as full: (when said, for when)."""

    full_at: float | None
    said: tuple[tuple[float, float], ...]
    looks: int

    @property
    def worst_error(self) -> float:
        """The largest error of those in the last seconds, as a part of the time from the load's begin to the end."""
        if self.full_at is None or not self.said:
            return float("inf")
        return max(abs(when - self.full_at) / self.full_at for _, when in self.said)

    @property
    def worst_seconds(self) -> float:
        """The largest error in seconds."""
        return float("inf") if self.full_at is None else self.worst_error * self.full_at

    @property
    def is_good(self) -> bool:
        """Whether it was said in most of the looks of the last seconds, and never wrong by more than a quarter."""
        return len(self.said) >= self.looks / 2 and self.worst_error <= TOLERANCE


def read_row(snapshot: PoolsSnapshot, database: str, began: float) -> Row | None:
    """Return what a snapshot says of the pool, None while it is not there."""
    pooler = snapshot.pooler
    assert pooler is not None
    pool = next((each for each in pooler.pools if each.database == database), None)
    total = next((each for each in pooler.totals if each.database == database), None)
    if pool is None or total is None:
        return None
    return Row(
        at=round(pooler.monotonic_seconds - began, 3),
        xact=total.xact_total,
        xact_seconds=round(total.xact_seconds, 6),
        wait_seconds=round(total.wait_seconds, 6),
        sv_active=pool.sv_active,
        sv_idle=pool.sv_idle + pool.sv_used,
        cl_waiting=pool.cl_waiting,
        maxwait=round(pool.maxwait_seconds, 6),
    )


def rebuild(row: Row) -> PoolsSnapshot:
    """Return a snapshot that says what a row says."""
    taken_at = _BEGAN_AT + timedelta(seconds=row.at)
    pooler = PoolerSnapshot(
        source="recorded",
        taken_at=taken_at,
        monotonic_seconds=row.at,
        pools=(
            PoolerPool(
                database="erp", user="app", cl_active=row.sv_active, cl_waiting=row.cl_waiting,
                sv_active=row.sv_active, sv_idle=row.sv_idle, maxwait_seconds=row.maxwait,
            ),
        ),
        totals=(
            PoolerTotals(
                database="erp", xact_total=row.xact, query_total=row.xact, xact_seconds=row.xact_seconds,
                wait_seconds=row.wait_seconds,
            ),
        ),
        databases=(PoolerDatabase(name="erp", pool_size=SERVERS),),
        settings=PoolerSettings(default_pool_size=SERVERS, max_client_conn=500),
    )  # fmt: skip
    return PoolsSnapshot(profile="erp", taken_at=taken_at, monotonic_seconds=row.at, pooler=pooler)


def assess_foresight(rows: Sequence[Row]) -> Foresight:
    """Return what was foretold of a ramp in the last seconds before its pool was as good as full."""
    full_at = find_full(rows)
    if full_at is None:
        return Foresight(None, (), 0)
    track = Track()
    said = []
    looks = 0
    for row in rows:
        track, assessment = advance(track, rebuild(row))
        if full_at - LAST_SECONDS <= row.at < full_at:
            looks += 1
            said += [(row.at, row.at + each.seconds) for each in assessment.projections]
    return Foresight(full_at, tuple(said), looks)


def find_full(rows: Sequence[Row]) -> float | None:
    """Return when nine tenths of the servers worked for the first time, by the median of three seconds."""
    loads = [
        (new.at, (new.xact_seconds - old.xact_seconds - new.wait_seconds + old.wait_seconds) / (new.at - old.at))
        for old, new in pairwise(rows)
    ]
    for index in range(1, len(loads) - 1):
        if median(load for _, load in loads[index - 1 : index + 2]) >= REACHES:
            return loads[index][0]
    return None


def write_ramp(path: Path, rows: Sequence[Row]) -> None:
    """Write a ramp: the names of its columns, then its rows, a line each."""
    lines = [json.dumps(_COLUMNS)]
    lines += [json.dumps([getattr(row, name) for name in _COLUMNS]) for row in rows]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def read_ramp(path: Path) -> list[Row]:
    """Read a ramp that was written."""
    columns, *rows = json.loads(path.read_text(encoding="utf-8"))
    return [Row(**dict(zip(columns, row, strict=True))) for row in rows]
