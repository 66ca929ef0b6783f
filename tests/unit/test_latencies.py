"""The histogram of latencies against the exact figures."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.latencies import (
    ABSOLUTE_ERROR_SECONDS,
    BUCKETS,
    LARGEST_SECONDS,
    RELATIVE_ERROR,
    LatencyRecorder,
    bucket_of,
    largest,
    mean,
    merge,
    quantile,
    record_all,
    seconds_of,
    subtract,
)
from dbtui.model.loadtest import Latencies

SECONDS = st.floats(min_value=0, max_value=3600, allow_nan=False)
MANY = st.lists(SECONDS, min_size=1, max_size=200)


def is_close(found: float | None, exact: float) -> bool:
    """Within the error that is promised, and a hair for floating point."""
    assert found is not None
    return abs(found - exact) <= max(exact * RELATIVE_ERROR, ABSOLUTE_ERROR_SECONDS) * (1 + 1e-9) + 1e-12


@settings(deadline=None)
@given(MANY, st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0]))
def test_quantiles_are_those_of_the_exact_values(values: list[float], share: float) -> None:
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert is_close(quantile(record_all(values), share), exact)


@settings(deadline=None)
@given(MANY)
def test_the_recorder_counts_as_the_function_does(values: list[float]) -> None:
    recorder = LatencyRecorder()
    for value in values:
        recorder.record(value)
    assert recorder.take() == record_all(values)
    assert recorder.take() == Latencies()


@settings(deadline=None)
@given(MANY, MANY)
def test_merged_and_subtracted(some: list[float], others: list[float]) -> None:
    both = merge([record_all(some), record_all(others)])
    assert both == record_all([*some, *others])
    assert subtract(both, record_all(some)) == record_all(others)


@settings(deadline=None)
@given(MANY)
def test_mean_and_largest_fit_the_quantiles(values: list[float]) -> None:
    histogram = record_all(values)
    assert is_close(mean(histogram), sum(values) / len(values)) or max(values) < 1e-5
    assert largest(histogram) == quantile(histogram, 1.0)


@settings(deadline=None)
@given(st.integers(0, BUCKETS - 1))
def test_a_bucket_holds_its_middle(bucket: int) -> None:
    assert bucket_of(seconds_of(bucket)) == bucket or seconds_of(bucket) > LARGEST_SECONDS


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1e5), min_size=2, max_size=2))
def test_longer_is_never_before_shorter(values: list[float]) -> None:
    low, high = sorted(values)
    assert bucket_of(low) <= bucket_of(high)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, LARGEST_SECONDS * 100])
def test_what_cannot_be_is_counted_at_the_ends(seconds: float) -> None:
    recorder = LatencyRecorder()
    recorder.record(seconds)
    assert recorder.take() == record_all([seconds])


def test_an_empty_histogram_has_no_figures() -> None:
    assert (quantile(Latencies(), 0.5), mean(Latencies()), largest(Latencies())) == (None, None, None)


def test_a_histogram_that_shrank_is_no_difference() -> None:
    with pytest.raises(ValueError, match="does not hold"):
        subtract(record_all([1.0]), record_all([2.0]))
