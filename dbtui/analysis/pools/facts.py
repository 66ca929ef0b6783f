"""What a look at each tier says of its pools, and what its counters say since the look before."""

from collections.abc import Mapping
from dataclasses import replace

from dbtui.analysis.pools import rates as differences
from dbtui.analysis.pools.capacity import Capacity, assess_capacities, list_pools
from dbtui.analysis.pools.rates import AppKey, count_servers, key_of
from dbtui.analysis.pools.thresholds import Thresholds
from dbtui.analysis.pools.tracks import Looks, PoolFacts
from dbtui.analysis.pools.words import format_name, name_pool
from dbtui.model.ladders import PoolRates, PoolState
from dbtui.model.pools import (
    AppPool,
    AppPoolsSnapshot,
    PoolerDatabase,
    PoolerPool,
    PoolerSnapshot,
    ServerPool,
    Tier,
)

#: Transactions longer than this are counted too late to say how busy a pool is: totals land when they end.
_LONG_TRANSACTION_SECONDS = 1.0
_LONG_CONNECTING_SECONDS = 1.0
SERVER = "server"


# ---------------------------------------------------------------- applications


def follow_processes(looks: Looks[AppPoolsSnapshot], since: Mapping[AppKey, float]) -> dict[AppKey, float]:
    """Return when each pool of the newest look was first seen, or first seen after its process started anew."""
    if looks.last is None:
        return {}
    now = looks.last.monotonic_seconds
    before = differences.index_app(looks.looks[-2]) if len(looks.looks) > 1 else {}
    followed = {}
    for pool in looks.last.pools:
        key, old = key_of(pool), before.get(key_of(pool))
        is_anew = old is None or differences.is_app_reset(old, pool)
        followed[key] = now if is_anew else since.get(key, now)
    return followed


def list_app_facts(
    looks: Looks[AppPoolsSnapshot], since: Mapping[AppKey, float], thresholds: Thresholds
) -> list[PoolFacts]:
    """Return the facts of every application pool of the newest look."""
    if looks.last is None:
        return []
    window = looks.over(thresholds.rates_seconds)
    indexed = [(look.monotonic_seconds, differences.index_app(look)) for look in window]
    names: set[str] = set()
    facts = []
    for pool in looks.last.pools:
        name = _name_app_pool(pool, names)
        names.add(name)
        facts.append(_app_facts(pool, name, indexed, since.get(key_of(pool), 0.0), looks))
    return facts


def _name_app_pool(pool: AppPool, taken: set[str]) -> str:
    name = f"{format_name(pool.service)} {pool.pid} {format_name(pool.pool)}".rstrip()
    if name in taken:  # processes in containers have the same numbers
        name = f"{name} {format_name(pool.source)}"
    while name in taken:
        name += "'"
    return name


def _app_facts(
    pool: AppPool,
    name: str,
    indexed: list[tuple[float, Mapping[AppKey, AppPool]]],
    since: float,
    looks: Looks[AppPoolsSnapshot],
) -> PoolFacts:
    key = key_of(pool)
    usable = [(at, pools[key]) for at, pools in indexed if at >= since and key in pools]
    now = indexed[-1][0]
    latest = averaged = None
    if len(usable) > 1:
        at, old = usable[0]
        averaged = differences.rate_app_pool(old, pool, now - at, name)
        at, old = usable[-2]
        latest = averaged if len(usable) == 2 else differences.rate_app_pool(old, pool, now - at, name)
    elif len(looks.looks) > 1 or looks.has_clock_jumped:
        averaged = PoolRates(
            tier=Tier.APP,
            pool=name,
            was_reset=not looks.has_clock_jumped and since == now,
            has_clock_jumped=looks.has_clock_jumped,
        )
    capacity, used, waiting = pool.capacity, max(0, pool.checked_out), max(0, pool.pending)
    is_full = capacity is not None and used >= capacity
    state = _app_state(pool, used, waiting, is_full)
    oldest = max(0.0, pool.oldest_pending_seconds) if waiting else 0.0
    if state is PoolState.CONNECTING:
        oldest = max(oldest, pool.oldest_connecting_seconds)
    return PoolFacts(
        tier=Tier.APP,
        pool=name,
        label=name,
        used=used,
        load=used if latest is None or latest.busy is None else min(latest.busy, capacity or latest.busy),
        capacity=capacity,
        effective=capacity,
        bound_by="DB_POOL_SIZE and DB_MAX_OVERFLOW" if capacity is not None else "",
        waiting=waiting,
        oldest_wait_seconds=oldest,
        is_full=is_full,
        errors=0.0 if latest is None else latest.errors or 0.0,
        state=state,
        rates=averaged,
        service=format_name(pool.service),
        pid=pool.pid,
        timeout_seconds=pool.timeout_seconds,
    )


def _app_state(pool: AppPool, used: int, waiting: int, is_full: bool) -> PoolState:
    """A pool that is full of connections which are still being made is not too small."""
    if not is_full:
        return PoolState.CONNECTING if waiting or pool.connecting > 0 else PoolState.OK
    is_slow = pool.oldest_connecting_seconds > _LONG_CONNECTING_SECONDS
    return PoolState.CONNECTING if is_slow and 2 * pool.connecting >= max(1, used) else PoolState.OK


# ---------------------------------------------------------------- PgBouncer


def list_pooler_rates(looks: Looks[PoolerSnapshot], seconds: float) -> dict[str, PoolRates]:
    """Return by database the rates over the last `seconds`; after a restart or a jump, why there are none."""
    window = looks.over(seconds)
    rates = differences.rate_pooler(window[0], window[-1]) if len(window) > 1 else {}
    if looks.last is None or not (looks.was_reset or looks.has_clock_jumped):
        return rates
    none = PoolRates(tier=Tier.POOLER, pool="", was_reset=looks.was_reset, has_clock_jumped=looks.has_clock_jumped)
    marks = {pool.database: replace(none, pool=pool.database) for pool in list_pools(looks.last)}
    return {**marks, **rates}


def list_pooler_facts(
    looks: Looks[PoolerSnapshot],
    server: ServerPool | None,
    capacities: Mapping[tuple[str, str], Capacity] | None,
    averaged: Mapping[str, PoolRates],
) -> list[PoolFacts]:
    """Return the facts of every pool of the newest look at PgBouncer. `averaged`: rates over a few seconds."""
    last = looks.last
    if last is None or last.problem:
        return []
    capacities = assess_capacities(last, server) if capacities is None else capacities
    latest = list_pooler_rates(Looks(looks.looks[-2:]), 0.0)
    databases = {database.name: database for database in last.databases}
    pools = list_pools(last)
    sharing: dict[str, int] = {}
    for pool in pools:
        sharing[pool.database] = sharing.get(pool.database, 0) + 1
    return [
        _pooler_facts(
            pool,
            capacities[pool.database, pool.user],
            databases.get(pool.database),
            latest.get(pool.database) if sharing[pool.database] == 1 else None,
            averaged.get(pool.database) if sharing[pool.database] == 1 else None,
        )
        for pool in pools
    ]


def _pooler_facts(
    pool: PoolerPool,
    capacity: Capacity,
    database: PoolerDatabase | None,
    latest: PoolRates | None,
    averaged: PoolRates | None,
) -> PoolFacts:
    servers, waiting, effective = count_servers(pool), max(0, pool.cl_waiting), capacity.effective
    used = max(0, pool.sv_active + pool.sv_cancel)
    ready = servers - pool.sv_login
    is_full = effective is not None and (used >= effective or (waiting > 0 and ready >= effective))
    name = name_pool(pool)
    return PoolFacts(
        tier=Tier.POOLER,
        pool=name,
        label=name,
        used=used,
        load=_pooler_load(used, effective, latest),
        capacity=capacity.configured,
        effective=effective,
        bound_by=capacity.bound_by,
        waiting=waiting,
        oldest_wait_seconds=max(0.0, pool.maxwait_seconds) if waiting else 0.0,
        is_full=is_full,
        state=_pooler_state(pool, database, servers, is_full),
        rates=averaged,
        database=pool.database,
        user=pool.user,
        servers=servers,
    )


def _pooler_load(used: int, effective: int | None, latest: PoolRates | None) -> float:
    """Servers that worked since the look before; while nobody is served, or transactions are long, those now."""
    if latest is None or latest.busy is None or latest.is_frozen:
        return used
    if (latest.hold_mean_seconds or 0.0) > _LONG_TRANSACTION_SECONDS:
        return used
    return latest.busy if effective is None else min(latest.busy, float(max(effective, used)))


def _pooler_state(pool: PoolerPool, database: PoolerDatabase | None, servers: int, is_full: bool) -> PoolState:
    if database is not None and database.is_paused:
        return PoolState.PAUSED
    if database is not None and database.is_disabled:
        return PoolState.DISABLED
    if not pool.cl_waiting or is_full:
        return PoolState.OK
    if pool.sv_login:
        return PoolState.LOGIN_BOUND
    return PoolState.CONNECTING if servers else PoolState.UNREACHABLE


# ---------------------------------------------------------------- server


def server_facts(looks: Looks[ServerPool]) -> PoolFacts | None:
    """Return the facts of the server's slots."""
    last = looks.last
    if last is None:
        return None
    slots = last.slots if last.slots > 0 else None
    return PoolFacts(
        tier=Tier.SERVER,
        pool=SERVER,
        label="slots",
        used=max(0, last.used),
        load=max(0, last.used),
        capacity=slots,
        effective=slots,
        bound_by="max_connections" if slots else "",
        is_full=slots is not None and last.used >= slots,
        errors=differences.rate_refused(looks.looks[-2:]) or 0.0,
    )
