"""What is certain (a limit minus an age) and what is guessed (a pool that goes on filling), kept apart.

The guess is a Theil-Sen line, the median of the slopes of all pairs, which one odd look does not bend.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from dbtui.analysis.pools.thresholds import Thresholds
from dbtui.analysis.pools.tracks import PoolFacts, PoolKey, PoolTrack, Sample
from dbtui.analysis.pools.words import format_wait
from dbtui.model.ladders import Countdown, Level, PoolState, Projection
from dbtui.model.pools import PoolerDatabase, PoolerSettings, Tier

#: Before somebody has waited for so long, a countdown starts anew with every look.
_COUNTED_FROM_SECONDS = 1.0
_REMEMBERED_HITS = 2


# ---------------------------------------------------------------- exact


def assess_countdowns(
    app: Sequence[PoolFacts],
    pooler: Sequence[PoolFacts],
    settings: PoolerSettings | None,
    databases: Mapping[str, PoolerDatabase],
) -> tuple[Countdown, ...]:
    """Return when those who wait reach a limit if they go on waiting, the soonest first."""
    found = [*_app_countdowns(app)]
    if settings is not None:
        found += _pooler_countdowns(pooler, settings, databases)
    return tuple(sorted(found, key=lambda each: each.seconds))


def _app_countdowns(app: Sequence[PoolFacts]) -> Iterator[Countdown]:
    for facts in app:
        if facts.waiting and facts.timeout_seconds is not None and facts.oldest_wait_seconds >= _COUNTED_FROM_SECONDS:
            yield _count_down(
                facts, "DB_POOL_TIMEOUT", facts.timeout_seconds, "an application's request times out", "times out"
            )


def _pooler_countdowns(
    pooler: Sequence[PoolFacts], settings: PoolerSettings, databases: Mapping[str, PoolerDatabase]
) -> Iterator[Countdown]:
    for facts in pooler:
        if not facts.waiting or facts.oldest_wait_seconds < _COUNTED_FROM_SECONDS:
            continue
        database = databases.get(facts.database)
        reserve = settings.reserve_pool_size if database is None else database.reserve_pool_size
        timeout = settings.reserve_pool_timeout_seconds
        if reserve and timeout > facts.oldest_wait_seconds and facts.state is not PoolState.PAUSED:
            yield _count_down(
                facts, "reserve_pool_timeout", timeout, "PgBouncer opens its reserve", "the reserve opens"
            )
        if settings.query_wait_timeout_seconds > 0:
            limit = settings.query_wait_timeout_seconds
            yield _count_down(facts, "query_wait_timeout", limit, "PgBouncer drops a client", "a client is dropped")


def _count_down(facts: PoolFacts, name: str, limit: float, event: str, past: str) -> Countdown:
    left = max(0.0, limit - facts.oldest_wait_seconds)
    sentence = f"{event} in {format_wait(left)} ({name} {limit:g} − {facts.oldest_wait_seconds:.1f})"
    if left == 0:
        sentence = f"{past} now ({name} {limit:g} s is over)"
    return Countdown(tier=facts.tier, pool=facts.pool, name=name, seconds=left, sentence=sentence)


# ---------------------------------------------------------------- guessed


def fit_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return slope and intercept of the Theil-Sen line through points; (0, median) for fewer than two."""
    slopes = [
        (y2 - y1) / (x2 - x1) for index, (x1, y1) in enumerate(points) for x2, y2 in points[index + 1 :] if x2 > x1
    ]
    if not slopes:
        return 0.0, median(y for _, y in points) if points else 0.0
    slope = median(slopes)
    return slope, median(y - slope * x for x, y in points)


def project(
    track: PoolTrack, facts: PoolFacts, now: float, thresholds: Thresholds
) -> tuple[PoolTrack, Projection | None]:
    """Return when a pool will be as good as full, and what to remember for the next look.

    There is a projection only when the slope has been positive for enough looks, the pool will be full soon, the last
    two estimates agree, and the pool is at least half full and not yet as good as full.
    """
    if not facts.effective or facts.state is not PoolState.OK or track.level.rank >= Level.CRITICAL.rank:
        return _forget(track), None
    recent = [each for each in track.samples if each.at >= now - thresholds.projection_seconds]
    reaches = thresholds.projection_to * facts.effective
    worked = _level_now(recent)
    if len(recent) < thresholds.projection_samples or worked < thresholds.projection_from * facts.effective / 2:
        return _forget(track), None
    slope, intercept = fit_line([(each.at - now, each.load) for each in recent])
    if slope <= 0 or intercept >= reaches:
        return _forget(track), None
    eta = (reaches - intercept) / slope
    hits = (*track.hits, (now, now + eta))[-_REMEMBERED_HITS:]
    track = replace(track, rising=track.rising + 1, hits=hits)
    if not _is_shown(track, intercept, eta, facts.effective, now, thresholds):
        return track, None
    return track, Projection(
        tier=facts.tier,
        pool=facts.pool,
        seconds=eta,
        reaches=reaches,
        per_second=slope,
        sentence=f"{facts.label} is as good as full in about {max(1.0, eta):.0f} s if it goes on so",
    )


def _level_now(recent: Sequence[Sample]) -> float:
    last = recent[-3:]
    return median(each.load for each in last) if last else 0.0


def _forget(track: PoolTrack) -> PoolTrack:
    return replace(track, rising=0, hits=()) if track.rising or track.hits else track


def _is_shown(track: PoolTrack, level: float, eta: float, capacity: int, now: float, thresholds: Thresholds) -> bool:
    share = level / capacity
    if track.rising < thresholds.projection_samples or eta > thresholds.projection_longest_seconds:
        return False
    if not thresholds.projection_from <= share < thresholds.projection_to:
        return False
    before, after = (hit - now for _, hit in track.hits)
    return abs(after - before) <= thresholds.projection_agreement * max(after, before, 1.0)


def project_all(
    tracks: dict[PoolKey, PoolTrack], facts: Sequence[PoolFacts], now: Mapping[Tier, float], thresholds: Thresholds
) -> tuple[Projection, ...]:
    """Return the projections of all pools, the soonest first; `tracks` is brought up to date."""
    found = []
    for each in facts:
        key = each.tier, each.pool
        tracks[key], projection = project(tracks[key], each, now[each.tier], thresholds)
        if projection is not None:
            found.append(projection)
    return tuple(sorted(found, key=lambda each: each.seconds))
