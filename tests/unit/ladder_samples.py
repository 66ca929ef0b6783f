"""Looks at a ladder as tests want them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dbtui.analysis.pools import Track, advance
from dbtui.model.ladders import LadderAssessment
from dbtui.model.pools import (
    AppPool,
    AppPoolsSnapshot,
    HostLoad,
    PoolerDatabase,
    PoolerPool,
    PoolerSettings,
    PoolerSnapshot,
    PoolerTotals,
    PoolsSnapshot,
    ServerHolder,
    ServerPool,
    ServerState,
    Timing,
)

BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = PoolerSettings(default_pool_size=8, max_client_conn=500)


def moment(at: float) -> dict[str, Any]:
    """Both clocks, so many seconds after the beginning."""
    return {"taken_at": BEGAN_AT + timedelta(seconds=at), "monotonic_seconds": at}


def app(at: float, *pools: AppPool) -> AppPoolsSnapshot:
    """A look at application pools."""
    return AppPoolsSnapshot(**moment(at), pools=pools)


def app_pool(**values: Any) -> AppPool:
    """A pool of 5 + 10."""
    usual: dict[str, Any] = {
        "source": "erp.1.sock", "service": "erp-api", "pid": 1, "pool": "main", "size": 5, "max_overflow": 10,
        "timeout_seconds": 30.0,
    }  # fmt: skip
    return AppPool(**{**usual, **values})


def pooler(at: float, *pools: PoolerPool, **values: Any) -> PoolerSnapshot:
    """A look at PgBouncer, every database of which has a pool of 8."""
    databases = tuple(PoolerDatabase(name=name, pool_size=8) for name in sorted({pool.database for pool in pools}))
    usual: dict[str, Any] = {"source": "db1:6432", "databases": databases, "settings": SETTINGS, "pools": pools}
    return PoolerSnapshot(**{**moment(at), **usual, **values})


def pool(**values: Any) -> PoolerPool:
    """The pool erp/app."""
    return PoolerPool(**{"database": "erp", "user": "app", **values})


def full_pool(**values: Any) -> PoolerPool:
    """The pool erp/app with all of its 8 servers at work and 7 clients waiting."""
    return pool(**{"cl_active": 8, "cl_waiting": 7, "sv_active": 8, "maxwait_seconds": 0.3, **values})


def totals(
    at: float, *, rate: float = 100.0, busy: float = 8.0, queue: float = 7.0, database: str = "erp"
) -> PoolerTotals:
    """Counters of a database that was always so busy."""
    return PoolerTotals(
        database=database,
        xact_total=int(rate * at),
        query_total=int(rate * at),
        xact_seconds=(busy + queue) * at,
        query_seconds=(busy + queue) * at,
        wait_seconds=queue * at,
    )


def server(at: float, *holders: ServerHolder, **values: Any) -> ServerPool:
    """A server with 97 slots of which 20 are used."""
    return ServerPool(**{**moment(at), "slots": 97, "used": 20, "holders": holders, **values})


def holder(state: ServerState, count: int, oldest: float = 5.0, **values: Any) -> ServerHolder:
    """So many sessions of the application web."""
    usual: dict[str, Any] = {"application": "web", "client": "10.0.0.7", "user": "app"}
    return ServerHolder(**{**usual, "state": state, "count": count, "oldest_seconds": oldest, **values})


def host(at: float, cores: int = 8, busy: float = 2.0) -> HostLoad:
    """This machine, with so many cores always busy."""
    return HostLoad(**moment(at), cores=cores, load_1m=busy, busy_seconds_total=busy * at)


def ladder(at: float, **tiers: Any) -> PoolsSnapshot:
    """A snapshot of some tiers."""
    return PoolsSnapshot(profile="erp", **moment(at), **tiers)


def judge(snapshots: Iterable[PoolsSnapshot], track: Track | None = None) -> LadderAssessment:
    """The judgement after the last."""
    track, assessment = track or Track(), None
    for snapshot in snapshots:
        track, assessment = advance(track, snapshot)
    assert assessment is not None
    return assessment


def saturated(seconds: int = 8, **tiers: Any) -> list[PoolsSnapshot]:
    """Looks, a second apart, at a PgBouncer whose pool is full; `tiers` are functions of the time."""
    return [
        ladder(
            at,
            pooler=pooler(at, full_pool(), totals=(totals(at),), used_clients=15),
            **{name: make(at) for name, make in tiers.items()},
        )
        for at in range(seconds)
    ]


def steady_app(at: float, *, rate: float = 100.0, held: float = 15.0, waiting: float = 0.0, **values: Any) -> AppPool:
    """A pool that always held so many connections while so many waited."""
    return replace(
        app_pool(checked_out=int(held), pending=int(waiting)),
        wait=Timing(count=int(rate * at), seconds=waiting * at),
        hold=Timing(count=int(rate * at), seconds=held * at),
        **values,
    )
