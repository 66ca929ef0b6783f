"""What is remembered from look to look: where logs ended when, for rates and for the age of a place in a log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbtui.analysis.replicas.positions import Point, bytes_between
from dbtui.analysis.replicas.thresholds import DEFAULT_THRESHOLDS, ReplicaThresholds

#: Ends of the primary's log are remembered for the age of what is applied, the rest for rates.
POSITIONS_SECONDS, RATES_SECONDS = 900.0, 15.0
_MOST_POSITIONS, _MOST_SAMPLES = 1200, 60
_SHORTEST_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Sample:
    """Where something was at a moment (seconds of our monotonic clock)."""

    at: float
    point: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is remembered between two looks. A value: `advance` returns another one."""

    thresholds: ReplicaThresholds = DEFAULT_THRESHOLDS
    root: str = ""  # whose `ends` these are
    timeline: int | None = None
    ends: tuple[Sample, ...] = ()
    replays: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)  # by link
    retained: Mapping[tuple[str, str], tuple[Sample, ...]] = field(default_factory=dict)  # by server and slot
    copied: Mapping[tuple[str, int], tuple[Sample, ...]] = field(default_factory=dict)  # by server and session


def remember(
    samples: tuple[Sample, ...], new: Sample | None, seconds: float = RATES_SECONDS, most: int = _MOST_SAMPLES
) -> tuple[Sample, ...]:
    """Return the samples with a new one. One that is further back begins anew; a clock that ran back does too."""
    if new is None:
        return samples
    if samples and (new.point < samples[-1].point or new.at < samples[-1].at):
        return (new,)
    if samples and new.at == samples[-1].at:
        return samples
    from_ = new.at - seconds
    kept = tuple(each for each in samples if each.at >= from_)[1 - most :]
    return (*(kept or samples[-1:]), new)


def remember_end(samples: tuple[Sample, ...], new: Sample | None) -> tuple[Sample, ...]:
    """The same for the primary's log: for a quarter of an hour. While nothing is written one sample says it all."""
    if new is not None and len(samples) >= 2 and samples[-1].point == samples[-2].point == new.point:
        return (*samples[:-1], new) if new.at >= samples[-1].at else (new,)
    return remember(samples, new, POSITIONS_SECONDS, _MOST_POSITIONS)


def rate_of(samples: Sequence[Sample], sizes: Mapping[int, int]) -> float | None:
    """Return bytes a second over the samples; None when they are too few or too close."""
    if len(samples) < 2 or samples[-1].at - samples[0].at < _SHORTEST_SECONDS:
        return None
    moved = bytes_between(samples[0].point, samples[-1].point, sizes)
    return None if moved is None else moved / (samples[-1].at - samples[0].at)


def age_of(ends: Sequence[Sample], point: Point | None, now: float) -> float | None:
    """Return for how long at most the log has been longer than `point`: who is that far has all that is older.

    None when no look is old enough.
    """
    if point is None:
        return None
    seen = next((each for each in reversed(ends) if each.point <= point), None)
    return None if seen is None else max(0.0, now - seen.at)
