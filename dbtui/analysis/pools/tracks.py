"""What is remembered from look to look: the looks of each tier for differences, and each pool's samples and gates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dbtui.analysis.pools.rates import AppKey, Step, Timed, compare_clocks
from dbtui.analysis.pools.thresholds import CLOSED, DEFAULT_THRESHOLDS, Gate, Thresholds, turn_gate
from dbtui.model.ladders import LadderPoint, Level, PoolRates, PoolState
from dbtui.model.pools import AppPoolsSnapshot, HostLoad, PoolerSnapshot, ServerPool, Tier

LookT = TypeVar("LookT", bound=Timed)

#: Looks are remembered for the identities, samples for the projection; points are for five minutes of chart.
LOOKS_SECONDS = 16.0
SAMPLES_SECONDS = 20.0
POINTS_SECONDS = 300.0
_MOST_LOOKS, _MOST_SAMPLES, _MOST_POINTS = 40, 120, 1200


# ---------------------------------------------------------------- looks of a tier


@dataclass(frozen=True, slots=True)
class Looks(Generic[LookT]):
    """The last looks of one tier, without a restart or a jump of a clock among them, the newest last.

    `was_reset`: the oldest is the first after a restart. `has_clock_jumped`: the only one is the first after a jump.
    """

    looks: tuple[LookT, ...] = ()
    is_new: bool = False  # the newest came with the snapshot that is judged
    was_reset: bool = False
    has_clock_jumped: bool = False

    @property
    def last(self) -> LookT | None:
        """The newest look."""
        return self.looks[-1] if self.looks else None

    def over(self, seconds: float) -> tuple[LookT, ...]:
        """Return the looks of the last `seconds`, always the newest two when there are."""
        if len(self.looks) <= 2:
            return self.looks
        from_ = self.looks[-1].monotonic_seconds - seconds
        kept = tuple(look for look in self.looks if look.monotonic_seconds >= from_ - 1e-9)
        return kept if len(kept) >= 2 else self.looks[-2:]


def follow(looks: Looks[LookT], new: LookT | None, is_reset: Callable[[LookT, LookT], bool]) -> Looks[LookT]:
    """Return the looks with a new one; those before a restart or a jump of a clock are forgotten."""
    if new is None:
        return Looks()
    last = looks.last
    if last is None:
        return Looks((new,), is_new=True)
    step = compare_clocks(last, new)
    if step is Step.SAME:
        return Looks(looks.looks, was_reset=looks.was_reset, has_clock_jumped=looks.has_clock_jumped)
    if step is Step.JUMPED:
        return Looks((new,), is_new=True, has_clock_jumped=True)
    if is_reset(last, new):
        return Looks((new,), is_new=True, was_reset=True)
    from_ = new.monotonic_seconds - LOOKS_SECONDS
    kept = tuple(look for look in looks.looks if look.monotonic_seconds >= from_)[1 - _MOST_LOOKS :]
    is_first_there = bool(kept) and kept[0] is looks.looks[0]
    return Looks((*(kept or (last,)), new), is_new=True, was_reset=looks.was_reset and is_first_there)


# ---------------------------------------------------------------- pools


@dataclass(frozen=True, slots=True)
class Sample:
    """A pool in one look. `load`: connections that worked, averaged since the look before where counters tell it."""

    at: float
    used: float
    load: float
    waiting: int
    is_queueing: bool  # full, and somebody waits
    state: PoolState


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """What one look says of one pool, before anything is made of it."""

    tier: Tier
    pool: str
    label: str
    used: int
    load: float
    capacity: int | None
    effective: int | None
    bound_by: str = ""
    waiting: int = 0
    oldest_wait_seconds: float = 0.0
    is_full: bool = False
    errors: float = 0.0  # since the look before, a second
    state: PoolState = PoolState.OK
    rates: PoolRates | None = None
    database: str = ""
    user: str = ""
    service: str = ""
    pid: int = 0
    timeout_seconds: float | None = None
    servers: int = 0

    @property
    def utilisation(self) -> float | None:
        """The part of what it can have that works; 1 at most."""
        if self.effective is None:
            return None
        if self.effective <= 0:
            return 1.0 if self.waiting or self.used else 0.0
        return min(1.0, max(self.load, self.used if self.waiting else 0.0) / self.effective)


@dataclass(frozen=True, slots=True)
class PoolTrack:
    """What is remembered of one pool. `hits`: the last estimates of when it will be full, by (when made, when full)."""

    samples: tuple[Sample, ...] = ()
    warn: Gate = CLOSED
    high: Gate = CLOSED
    critical: Gate = CLOSED
    error_at: float | None = None
    level: Level = Level.OK
    state: PoolState = PoolState.OK
    rising: int = 0
    hits: tuple[tuple[float, float], ...] = ()

    @property
    def worked(self) -> float:
        """How many connections worked in the last looks, on average."""
        last = self.samples[-5:]
        return sum(sample.load for sample in last) / len(last) if last else 0.0


def observe(track: PoolTrack, facts: PoolFacts, now: float, thresholds: Thresholds) -> PoolTrack:
    """Return what is remembered of a pool after a look at `now` (seconds)."""
    # Nobody queues for a slot of the server: who finds none is refused.
    is_queueing = facts.is_full and (facts.waiting > 0 or facts.tier is Tier.SERVER) and facts.state is PoolState.OK
    sample = Sample(now, facts.used, facts.load, facts.waiting, is_queueing, facts.state)
    from_ = now - SAMPLES_SECONDS
    kept = track.samples
    if kept and (kept[0].at < from_ or len(kept) >= _MOST_SAMPLES):
        kept = tuple(each for each in kept if each.at >= from_)[1 - _MOST_SAMPLES :]
    samples = (*kept, sample)
    utilisation = facts.utilisation or 0.0
    warn = _turn(track.warn, now, utilisation, thresholds.warn_utilisation, thresholds.warn_seconds, thresholds)
    high = _turn(track.high, now, utilisation, thresholds.high_utilisation, thresholds.high_seconds, thresholds)
    is_critical = is_queueing and (
        facts.oldest_wait_seconds > thresholds.oldest_wait_seconds
        or _lasts(samples, thresholds, lambda each: each.is_queueing)
    )
    critical = turn_gate(
        track.critical, now, begins=is_critical, continues=is_queueing, off_after=thresholds.clear_seconds
    )
    if is_critical:
        critical = Gate(is_on=True)
    if facts.state in _NOT_SATURATED:
        critical = CLOSED
    error_at = now if facts.errors > 0 else track.error_at
    has_error = error_at is not None and 0 <= now - error_at < thresholds.emergency_seconds
    level = _level(has_error, critical, high, warn)
    state = _state(facts, samples, critical, thresholds)
    return PoolTrack(
        samples, warn, high, critical, error_at if has_error else None, level, state, track.rising, track.hits
    )


_WITHOUT_SERVER = (PoolState.LOGIN_BOUND, PoolState.UNREACHABLE)
_NOT_SATURATED = (PoolState.PAUSED, PoolState.DISABLED, PoolState.UNREACHABLE, PoolState.LOGIN_BOUND)


def _turn(gate: Gate, now: float, utilisation: float, on: float, seconds: float, thresholds: Thresholds) -> Gate:
    return turn_gate(
        gate,
        now,
        begins=utilisation >= on,
        continues=utilisation >= on - thresholds.margin,
        on_after=seconds,
        off_after=thresholds.clear_seconds,
    )


def _lasts(samples: tuple[Sample, ...], thresholds: Thresholds, is_so: Callable[[Sample], bool]) -> bool:
    """Whether something was so in 3 of 5 looks, however far apart they are."""
    from_ = samples[-1].at - thresholds.looks_seconds
    recent = [each for each in samples if each.at > from_]
    if len(recent) < thresholds.of_looks:
        recent = list(samples[-thresholds.of_looks :])
    count = sum(1 for each in recent if is_so(each))
    return count >= thresholds.waiting_looks and count * thresholds.of_looks >= thresholds.waiting_looks * len(recent)


def _level(has_error: bool, critical: Gate, high: Gate, warn: Gate) -> Level:
    if has_error:
        return Level.EMERGENCY
    if critical.is_on:
        return Level.CRITICAL
    if high.is_on:
        return Level.HIGH
    return Level.WARN if warn.is_on else Level.OK


def _state(facts: PoolFacts, samples: tuple[Sample, ...], critical: Gate, thresholds: Thresholds) -> PoolState:
    """What a pool does. That logins are the limit, or fail, is believed when it lasts; until then it connects."""
    if facts.state is PoolState.LOGIN_BOUND:
        lasts = _lasts(samples, thresholds, lambda each: each.state in _WITHOUT_SERVER)
        return PoolState.LOGIN_BOUND if lasts else PoolState.CONNECTING
    if facts.state is PoolState.UNREACHABLE:
        since = next((each.at for each in reversed(samples) if each.state not in _WITHOUT_SERVER), samples[0].at)
        return facts.state if samples[-1].at - since >= thresholds.unreachable_seconds else PoolState.CONNECTING
    if facts.state is PoolState.OK and critical.is_on:
        return PoolState.SATURATED
    return facts.state


# ---------------------------------------------------------------- all of it


PoolKey = tuple[Tier, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is remembered between two looks at a ladder. A value: `advance` returns another one.

    `points` are the last five minutes for charts. With other `thresholds` it judges by them.
    """

    thresholds: Thresholds = DEFAULT_THRESHOLDS
    app: Looks[AppPoolsSnapshot] = field(default_factory=Looks)
    pooler: Looks[PoolerSnapshot] = field(default_factory=Looks)
    server: Looks[ServerPool] = field(default_factory=Looks)
    host: Looks[HostLoad] = field(default_factory=Looks)
    app_since: Mapping[AppKey, float] = field(default_factory=dict)  # when a process was first seen, or seen anew
    pools: Mapping[PoolKey, PoolTrack] = field(default_factory=dict)
    points: tuple[LadderPoint, ...] = ()
    taken_at_seconds: float | None = None
    interval_seconds: float = 1.0


def keep_points(points: tuple[LadderPoint, ...], new: LadderPoint) -> tuple[LadderPoint, ...]:
    """Return the points of the last five minutes."""
    from_ = new.monotonic_seconds - POINTS_SECONDS
    if points and (points[0].monotonic_seconds < from_ or len(points) >= _MOST_POINTS):
        points = tuple(point for point in points if point.monotonic_seconds >= from_)[1 - _MOST_POINTS :]
    return (*points, new)
