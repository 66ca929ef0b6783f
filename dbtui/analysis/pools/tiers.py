"""The tiers of the ladder: pools added up, with a level and in words."""

from collections.abc import Mapping, Sequence

from dbtui.analysis.pools.capacity import Capacity, sum_capacities
from dbtui.analysis.pools.rates import rate_cores, rate_pooler_cpu
from dbtui.analysis.pools.thresholds import Thresholds
from dbtui.analysis.pools.tracks import Looks, PoolFacts, PoolKey, PoolTrack
from dbtui.analysis.pools.words import count_of, format_rate, format_share, format_used, format_wait
from dbtui.model.ladders import Level, PoolReading, PoolState, TierReading
from dbtui.model.pools import AppPoolsSnapshot, HostLoad, PoolerSnapshot, ServerPool, ServerState, Tier
from dbtui.model.text import format_untrusted

#: `used_clients` is without console sessions, which count against max_client_conn; one of them is ours.
_OWN_CONSOLE = 1
_SHOWN_CONNECTING_SECONDS = 0.5
_NAMES = {Tier.APP: "app pools", Tier.POOLER: "PgBouncer", Tier.SERVER: "server", Tier.HOST: "host"}


def name_tier(tier: Tier) -> str:
    """Return what a tier is called on the screen."""
    return _NAMES[tier]


def name_with_article(tier: TierReading) -> str:
    """Return what a tier is called in a sentence."""
    return tier.label if tier.tier is Tier.POOLER else f"the {tier.label}"


def read_pools(facts: Sequence[PoolFacts], tracks: Mapping[PoolKey, PoolTrack]) -> tuple[PoolReading, ...]:
    """Return the pools of a tier, judged, the worst first."""
    readings = [read_pool(each, tracks[each.tier, each.pool]) for each in facts]
    readings.sort(key=lambda each: (-each.level.rank, -each.waiting, -(each.utilisation or 0.0), each.pool))
    return tuple(readings)


def read_pool(facts: PoolFacts, track: PoolTrack) -> PoolReading:
    """Return a pool, judged."""
    rates = facts.rates
    errors = None if rates is None else rates.errors
    return PoolReading(
        tier=facts.tier,
        pool=facts.pool,
        label=facts.label,
        used=facts.used,
        capacity=facts.capacity,
        effective_capacity=facts.effective,
        bound_by=facts.bound_by,
        waiting=facts.waiting,
        oldest_wait_seconds=facts.oldest_wait_seconds,
        utilisation=facts.utilisation,
        errors_per_second=errors,
        level=track.level,
        state=track.state,
        words=_describe_pool(facts, track),
        database=facts.database,
        user=facts.user,
        service=facts.service,
        pid=facts.pid,
        rates=rates,
    )


def _describe_pool(facts: PoolFacts, track: PoolTrack) -> str:
    words = [] if track.state is PoolState.OK else [track.state.value]
    if track.state is PoolState.CONNECTING and facts.oldest_wait_seconds < _SHOWN_CONNECTING_SECONDS:
        words = []
    words.append(format_used(facts.used, facts.effective))
    if facts.waiting:
        words.append(_describe_waiting(facts.waiting, facts.oldest_wait_seconds, "oldest"))
    if facts.rates is not None and facts.rates.errors:
        words.append(f"{format_rate(facts.rates.errors)} timed out")
    if facts.rates is not None and facts.rates.is_frozen:
        words.append("nobody is served")
    return ", ".join(words)


def _describe_waiting(waiting: int, seconds: float, name: str) -> str:
    return f"{waiting} waiting" + (f", {name} {format_wait(seconds)}" if seconds > 0 else "")


# ---------------------------------------------------------------- app pools and PgBouncer


def read_app(look: AppPoolsSnapshot, pools: tuple[PoolReading, ...], facts: Sequence[PoolFacts]) -> TierReading:
    """Return the tier of the applications' pools."""
    capacities = [each.effective for each in facts]
    capacity = None if None in capacities or not facts else sum(each or 0 for each in capacities)
    used, waiting = sum(each.used for each in facts), sum(each.waiting for each in facts)
    oldest = max((each.oldest_wait_seconds for each in facts), default=0.0)
    words = [count_of(len(pools), "pool")]
    if waiting:
        words = [_describe_waiting(waiting, oldest, "oldest")]
    errors = _sum_errors(pools)
    if errors:
        words.append(f"{format_rate(errors)} timed out")
    return TierReading(
        tier=Tier.APP,
        label=name_tier(Tier.APP),
        used=used,
        capacity=capacity,
        effective_capacity=capacity,
        waiting=waiting,
        oldest_wait_seconds=oldest,
        utilisation=min(1.0, used / capacity) if capacity else None,
        errors_per_second=errors,
        level=worst_level(pools),
        words=", ".join(words) if pools else "no pool answers",
        pools=pools,
        taken_at=look.taken_at,
        gaps=look.gaps,
    )


def read_pooler(
    looks: Looks[PoolerSnapshot],
    pools: tuple[PoolReading, ...],
    capacities: Mapping[tuple[str, str], Capacity],
    server: ServerPool | None,
    thresholds: Thresholds,
) -> TierReading:
    """Return the tier of PgBouncer."""
    look = looks.looks[-1]
    capacity = sum_capacities(look, capacities, server) if capacities else None
    used, waiting = sum(each.used for each in pools), sum(each.waiting for each in pools)
    oldest = max((each.oldest_wait_seconds for each in pools), default=0.0)
    clients, cpu = client_level(look, thresholds), rate_pooler_cpu(looks.over(thresholds.rates_seconds))
    words = [_describe_waiting(waiting, oldest, "maxwait")] if waiting else []
    if look.settings.max_client_conn:
        words.append(f"{look.used_clients}/{look.settings.max_client_conn} clients")
    if cpu is not None and cpu >= thresholds.pooler_cpu / 2:
        words.append(f"{format_share(cpu)} of a core")
    levels = [worst_level(pools), clients]
    if cpu is not None and cpu >= thresholds.pooler_cpu:
        levels.append(Level.CRITICAL)
    return TierReading(
        tier=Tier.POOLER,
        label=name_tier(Tier.POOLER),
        used=used,
        capacity=_sum_configured(pools),
        effective_capacity=capacity,
        waiting=waiting,
        oldest_wait_seconds=oldest,
        utilisation=min(1.0, used / capacity) if capacity else None,
        level=max(levels, key=lambda level: level.rank),
        words=", ".join(words),
        pools=pools,
        taken_at=look.taken_at,
        problem=format_untrusted(look.problem),
        gaps=look.gaps,
    )


def client_level(look: PoolerSnapshot, thresholds: Thresholds) -> Level:
    """Return how near PgBouncer is to max_client_conn, at which the next client is refused."""
    most = look.settings.max_client_conn
    if most <= 0:
        return Level.OK
    if look.used_clients + _OWN_CONSOLE >= most:
        return Level.CRITICAL
    share = look.used_clients / most
    return Level.HIGH if share >= thresholds.high_utilisation else Level.OK


def _sum_configured(pools: Sequence[PoolReading]) -> int | None:
    capacities = [each.capacity for each in pools]
    return None if None in capacities or not pools else sum(each or 0 for each in capacities)


def _sum_errors(pools: Sequence[PoolReading]) -> float | None:
    known = [each.errors_per_second for each in pools if each.errors_per_second is not None]
    return sum(known) if known else None


def worst_level(pools: Sequence[PoolReading]) -> Level:
    """Return the worst level of pools."""
    return max((each.level for each in pools), key=lambda level: level.rank, default=Level.OK)


# ---------------------------------------------------------------- server and host


def read_server(look: ServerPool, pool: PoolReading) -> TierReading:
    """Return the tier of the server."""
    on_cpu = look.count(ServerState.ON_CPU)
    words = [f"{on_cpu} on CPU" + (f" of {count_of(look.cores, 'core')}" if look.cores else "")]
    for state, name in ((ServerState.LOCK, "wait for locks"), (ServerState.IDLE_IN_TRANSACTION, "idle in transaction")):
        if look.count(state):
            words.append(f"{look.count(state)} {name}")
    if pool.errors_per_second:
        words.append(f"{format_rate(pool.errors_per_second)} refused")
    return TierReading(
        tier=Tier.SERVER,
        label=name_tier(Tier.SERVER),
        used=pool.used,
        capacity=pool.capacity,
        effective_capacity=pool.effective_capacity,
        utilisation=pool.utilisation,
        errors_per_second=pool.errors_per_second,
        level=pool.level,
        words=", ".join(words),
        pools=(pool,),
        taken_at=look.taken_at,
        gaps=look.gaps,
    )


def read_host(looks: Looks[HostLoad], thresholds: Thresholds) -> TierReading:
    """Return the tier of this machine: busy cores by its counters, or its load average where they are not known."""
    look = looks.looks[-1]
    busy = rate_cores(looks.over(thresholds.rates_seconds))
    cores = max(1, look.cores)
    used = min(float(cores), max(0.0, look.load_1m)) if busy is None else busy
    share = used / cores
    level = Level.HIGH if busy is not None and share >= thresholds.host_cpu else Level.OK
    return TierReading(
        tier=Tier.HOST,
        label=name_tier(Tier.HOST),
        used=used,
        capacity=cores,
        effective_capacity=cores,
        utilisation=share,
        level=level,
        words=f"load {look.load_1m:.1f} of {cores}" + ("" if busy is None else f", CPU {format_share(share)}"),
        taken_at=look.taken_at,
    )
