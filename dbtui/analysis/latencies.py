"""A log-linear histogram of latencies: small, mergeable, subtractable, with a bounded relative error.

Latencies are counted in units of 0.1 µs. Up to 25.6 µs every unit has a bucket of its own; above, each doubling is
divided into 128 buckets of equal width. A latency is taken for the middle of its bucket, so that whatever is read from
the histogram differs from the exact value by at most 1/256 (0.4 %) or 0.05 µs, whichever is more. This is the layout
of an HDR histogram with two significant digits; quantiles are by nearest rank.
"""

import math
from collections import Counter
from collections.abc import Iterable

from dbtui.model.loadtest import Latencies

UNITS_PER_SECOND = 10_000_000
_BITS = 7
_DIVISIONS = 1 << _BITS
LARGEST_SECONDS = 86_400.0
#: What is promised: see above.
RELATIVE_ERROR = 1 / (2 * _DIVISIONS)
ABSOLUTE_ERROR_SECONDS = 0.5 / UNITS_PER_SECOND


def bucket_of(seconds: float) -> int:
    """Return the bucket of a latency. Less than nothing counts as nothing, more than a day as a day."""
    units = int(min(max(seconds, 0.0), LARGEST_SECONDS) * UNITS_PER_SECOND)
    if units < 2 * _DIVISIONS:
        return units
    shift = units.bit_length() - _BITS - 1
    return (shift << _BITS) + (units >> shift)


def seconds_of(bucket: int) -> float:
    """Return the middle of a bucket."""
    if bucket < 2 * _DIVISIONS:
        return (bucket + 0.5) / UNITS_PER_SECOND
    shift = (bucket >> _BITS) - 1
    return ((bucket - (shift << _BITS)) + 0.5) * (1 << shift) / UNITS_PER_SECOND


BUCKETS = bucket_of(LARGEST_SECONDS) + 1


class LatencyRecorder:
    """Counts latencies until they are taken. One thread at a time."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS

    def record(self, seconds: float) -> None:
        """Count one latency. This is `bucket_of`, written out: it runs once a request."""
        units = int(seconds * 10_000_000)
        if units < 256:
            self._counts[max(units, 0)] += 1
            return
        shift = units.bit_length() - 8
        index = (shift << 7) + (units >> shift)
        self._counts[index if index < BUCKETS else BUCKETS - 1] += 1

    def take(self) -> Latencies:
        """Return what was counted since the last time, and begin anew."""
        counts, self._counts = self._counts, [0] * BUCKETS
        return Latencies(tuple((bucket, count) for bucket, count in enumerate(counts) if count))


def record_all(seconds: Iterable[float]) -> Latencies:
    """Return the histogram of latencies that are all there."""
    return Latencies(tuple(sorted(Counter(map(bucket_of, seconds)).items())))


def merge(parts: Iterable[Latencies]) -> Latencies:
    """Return the histogram of everything that the parts hold."""
    counts: Counter[int] = Counter()
    for part in parts:
        for bucket, count in part.pairs:
            counts[bucket] += count
    return Latencies(tuple(sorted(counts.items())))


def subtract(later: Latencies, earlier: Latencies) -> Latencies:
    """Return what came between two states of one growing histogram. Raises ValueError when it has not grown."""
    counts = Counter(dict(later.pairs))
    for bucket, count in earlier.pairs:
        counts[bucket] -= count
    if any(count < 0 for count in counts.values()):
        raise ValueError("the later histogram does not hold the earlier one")
    return Latencies(tuple(sorted((bucket, count) for bucket, count in counts.items() if count)))


def quantile(latencies: Latencies, share: float) -> float | None:
    """Return the seconds that `share` (0 to 1) of all latencies do not exceed, by nearest rank; None: there is none."""
    rank = max(1, math.ceil(share * latencies.count))
    seen = 0
    for bucket, count in latencies.pairs:
        seen += count
        if seen >= rank:
            return seconds_of(bucket)
    return None


def mean(latencies: Latencies) -> float | None:
    """Return the mean in seconds; None: there is none."""
    count = latencies.count
    return sum(seconds_of(bucket) * times for bucket, times in latencies.pairs) / count if count else None


def largest(latencies: Latencies) -> float | None:
    """Return the longest latency in seconds; never less than any quantile."""
    return seconds_of(latencies.pairs[-1][0]) if latencies.pairs else None
