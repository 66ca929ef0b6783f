"""The ladder judged look by look. Pure: what is remembered is a value, and the clock is that of the snapshots."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dbtui.analysis.pools import rates as differences
from dbtui.analysis.pools.capacity import Capacity, assess_capacities
from dbtui.analysis.pools.checks import check_app, check_pooler
from dbtui.analysis.pools.facts import (
    follow_processes,
    list_app_facts,
    list_pooler_facts,
    list_pooler_rates,
    server_facts,
)
from dbtui.analysis.pools.projections import assess_countdowns, project_all
from dbtui.analysis.pools.rates import Timed
from dbtui.analysis.pools.scenes import Scene
from dbtui.analysis.pools.thresholds import DEFAULT_THRESHOLDS, Thresholds
from dbtui.analysis.pools.tiers import read_app, read_host, read_pooler, read_pools, read_server
from dbtui.analysis.pools.tracks import Looks, PoolFacts, PoolKey, PoolTrack, Track, follow, keep_points, observe
from dbtui.analysis.pools.verdicts import assess_verdict
from dbtui.model.ladders import (
    NO_VERDICT,
    Countdown,
    LadderAssessment,
    LadderPoint,
    PoolRates,
    PoolState,
    Projection,
    TierPoint,
    TierReading,
    Verdict,
    VerdictKind,
)
from dbtui.model.pools import PoolerSnapshot, PoolsSnapshot, Tier

_STALE_INTERVALS = 2.5
_CLOGS = (VerdictKind.LOCKS, VerdictKind.IDLE_IN_TRANSACTION)


@dataclass(frozen=True, slots=True)
class _Facts:
    """The facts of one look at every tier, and what they were made of."""

    app: list[PoolFacts]
    pooler: list[PoolFacts]
    server: list[PoolFacts]
    capacities: Mapping[tuple[str, str], Capacity]
    pooler_rates: Mapping[str, PoolRates]

    @property
    def all(self) -> list[PoolFacts]:
        """The facts of all tiers, from the application down."""
        return [*self.app, *self.pooler, *self.server]


def assess_pools(
    snapshots: Iterable[PoolsSnapshot], thresholds: Thresholds = DEFAULT_THRESHOLDS
) -> LadderAssessment | None:
    """Return the judgement after the last of several looks; None: there was none."""
    track, assessment = Track(thresholds=thresholds), None
    for snapshot in snapshots:
        track, assessment = advance(track, snapshot)
    return assessment


def advance(track: Track, snapshot: PoolsSnapshot) -> tuple[Track, LadderAssessment]:
    """Return what to remember after a snapshot, and the ladder judged by it and by what was remembered."""
    track = _follow(track, snapshot)
    stale = _list_stale(track, snapshot)
    facts = _gather(track, stale)
    track, projections = _observe(track, facts)
    tiers = _read_tiers(track, snapshot, facts, stale)
    fresh = {tier.tier: tier for tier in tiers if not tier.is_stale}
    scene = Scene(snapshot=snapshot, tiers=fresh, track=track, thresholds=track.thresholds)
    verdict = assess_verdict(scene) if tiers or snapshot.server_problem else NO_VERDICT
    assessment = LadderAssessment(
        taken_at=snapshot.taken_at,
        monotonic_seconds=snapshot.monotonic_seconds,
        tiers=tuple(_mark_clogged(tier, verdict) for tier in tiers),
        verdict=verdict,
        countdowns=_count_down(snapshot, facts, fresh),
        projections=tuple(each for each in projections if each.tier in fresh),
        checks=(
            *check_app(track.app, track.app_since, facts.app, track.thresholds),
            *check_pooler(track.pooler, track.thresholds),
        ),
        rates=(*(each.rates for each in facts.app if each.rates is not None), *facts.pooler_rates.values()),
        hidden_queue=scene.hidden,
        queue=scene.queue,
    )
    return replace(track, points=keep_points(track.points, _point(assessment))), assessment


# ---------------------------------------------------------------- following


def _follow(track: Track, snapshot: PoolsSnapshot) -> Track:
    now, before = snapshot.monotonic_seconds, track.taken_at_seconds
    if before is not None and now < before:  # another run, or a recording that is looked at again
        track = Track(thresholds=track.thresholds)
        before = None
    app = follow(track.app, snapshot.app, lambda _old, _new: False)
    since = track.app_since if app.looks is track.app.looks else follow_processes(app, track.app_since)
    return replace(
        track,
        app=app,
        app_since=since,
        pooler=follow(track.pooler, snapshot.pooler, _is_pooler_broken),
        server=follow(track.server, snapshot.server, differences.is_server_reset),
        host=follow(track.host, snapshot.host, lambda _old, _new: False),
        taken_at_seconds=now,
        interval_seconds=track.interval_seconds if before is None or now == before else now - before,
    )


def _is_pooler_broken(old: PoolerSnapshot, new: PoolerSnapshot) -> bool:
    return bool(old.problem or new.problem) or differences.is_pooler_reset(old, new)


def _list_stale(track: Track, snapshot: PoolsSnapshot) -> frozenset[Tier]:
    longest = max(track.thresholds.stale_seconds, _STALE_INTERVALS * track.interval_seconds)
    looks: tuple[tuple[Tier, Timed | None], ...] = (
        (Tier.APP, snapshot.app),
        (Tier.POOLER, snapshot.pooler),
        (Tier.SERVER, snapshot.server),
        (Tier.HOST, snapshot.host),
    )
    return frozenset(tier for tier, look in looks if look is not None and _age(look, snapshot) > longest)


def _age(look: Timed, snapshot: PoolsSnapshot) -> float:
    return max(0.0, snapshot.monotonic_seconds - look.monotonic_seconds)


# ---------------------------------------------------------------- facts


def _gather(track: Track, stale: frozenset[Tier]) -> _Facts:
    server = None if Tier.SERVER in stale else track.server.last
    pooler = track.pooler.last
    capacities = {} if pooler is None else assess_capacities(pooler, server)
    averaged = list_pooler_rates(track.pooler, track.thresholds.rates_seconds)
    slots = server_facts(track.server)
    return _Facts(
        app=list_app_facts(track.app, track.app_since, track.thresholds),
        pooler=list_pooler_facts(track.pooler, server, capacities, averaged),
        server=[] if slots is None else [slots],
        capacities=capacities,
        pooler_rates=averaged,
    )


def _observe(track: Track, facts: _Facts) -> tuple[Track, tuple[Projection, ...]]:
    """Every pool is remembered by its own tier's clock, and a look counts once however often it is shown."""
    looks: dict[Tier, Looks[Any]] = {Tier.APP: track.app, Tier.POOLER: track.pooler, Tier.SERVER: track.server}
    now = {tier: each.looks[-1].monotonic_seconds for tier, each in looks.items() if each.looks}
    pools: dict[PoolKey, PoolTrack] = {}
    new = []
    for each in facts.all:
        key, before = (each.tier, each.pool), track.pools.get((each.tier, each.pool))
        if before is not None and not looks[each.tier].is_new:
            pools[key] = before
            continue
        if looks[each.tier].has_clock_jumped:
            before = None
        pools[key] = observe(before or PoolTrack(), each, now[each.tier], track.thresholds)
        new.append(each)
    projections = project_all(pools, new, now, track.thresholds)
    return replace(track, pools=pools), projections


# ---------------------------------------------------------------- readings


def _read_tiers(
    track: Track, snapshot: PoolsSnapshot, facts: _Facts, stale: frozenset[Tier]
) -> tuple[TierReading, ...]:
    thresholds = track.thresholds
    tiers: list[tuple[TierReading, Timed]] = []
    if snapshot.app is not None:
        tiers.append((read_app(snapshot.app, read_pools(facts.app, track.pools), facts.app), snapshot.app))
    if snapshot.pooler is not None:
        pools = read_pools(facts.pooler, track.pools)
        server = None if Tier.SERVER in stale else snapshot.server
        reading = read_pooler(track.pooler, pools, facts.capacities, server, thresholds)
        tiers.append((reading, snapshot.pooler))
    if snapshot.server is not None:
        tiers.append((read_server(snapshot.server, read_pools(facts.server, track.pools)[0]), snapshot.server))
    if snapshot.host is not None:
        tiers.append((read_host(track.host, thresholds), snapshot.host))
    return tuple(replace(tier, age_seconds=_age(look, snapshot), is_stale=tier.tier in stale) for tier, look in tiers)


def _mark_clogged(tier: TierReading, verdict: Verdict) -> TierReading:
    if verdict.kind not in _CLOGS or not any(pool.state is PoolState.SATURATED for pool in tier.pools):
        return tier
    pools = tuple(
        replace(pool, state=PoolState.CLOGGED, words=pool.words.replace("saturated", "clogged", 1))
        if pool.state is PoolState.SATURATED
        else pool
        for pool in tier.pools
    )
    return replace(tier, pools=pools)


def _count_down(snapshot: PoolsSnapshot, facts: _Facts, fresh: Mapping[Tier, TierReading]) -> tuple[Countdown, ...]:
    pooler = snapshot.pooler
    settings = None if pooler is None or Tier.POOLER not in fresh else pooler.settings
    databases = {} if pooler is None else {database.name: database for database in pooler.databases}
    return assess_countdowns(facts.app if Tier.APP in fresh else (), facts.pooler, settings, databases)


def _point(assessment: LadderAssessment) -> LadderPoint:
    tiers = tuple(
        TierPoint(tier.tier, tier.used, tier.effective_capacity, tier.waiting, tier.utilisation, tier.level)
        for tier in assessment.tiers
        if not tier.is_stale and not tier.problem
    )
    return LadderPoint(assessment.monotonic_seconds, tiers, assessment.queue)
