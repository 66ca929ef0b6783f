"""The intended starts of an open model."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.loadgen.schedule import Arrivals, report_moments, time_stages
from dbtui.model.loadtest import GeneratorPlan, LoadKind, LoadRequest, LoadStage

RATES = st.floats(min_value=0.5, max_value=300)
SECONDS = st.floats(min_value=0.1, max_value=3)
SHIFTS = st.floats(min_value=0, max_value=0.99)


@settings(deadline=None)
@given(RATES, SECONDS, SHIFTS)
def test_starts_are_even_and_inside_the_stage(rate: float, seconds: float, shift: float) -> None:
    arrivals = Arrivals(rate, 100.0, 100.0 + seconds, shift)
    taken = []
    while arrivals.next != math.inf:
        taken.append(arrivals.take())
    assert len(taken) == pytest.approx(rate * seconds, abs=1.01)
    assert all(100.0 <= moment < 100.0 + seconds + 1e-6 for moment in taken)
    assert all(later - earlier == pytest.approx(1 / rate, rel=1e-3) for earlier, later in pairwise(taken))


@settings(deadline=None)
@given(RATES, SECONDS, SHIFTS, st.floats(min_value=99.5, max_value=104), st.integers(0, 20))
def test_skipping_gives_up_exactly_what_was_due_before(
    rate: float, seconds: float, shift: float, moment: float, taken: int
) -> None:  # fmt: skip
    skipping, counting = (Arrivals(rate, 100.0, 100.0 + seconds, shift) for _ in range(2))
    for _ in range(taken):
        if skipping.next != math.inf:
            skipping.take()
            counting.take()
    skipped = skipping.skip_until(moment)
    due = 0
    while counting.next < moment:
        counting.take()
        due += 1
    assert (skipped, skipping.next) == (due, counting.next)


def test_several_generators_take_turns() -> None:
    first, second = Arrivals(10, 0.0, 1.0, 0.0), Arrivals(10, 0.0, 1.0, 0.5)
    starts = sorted([*(first.take() for _ in range(10)), *(second.take() for _ in range(10))])
    assert starts == pytest.approx([number / 20 for number in range(20)])
    assert first.next == second.next == math.inf


def test_reports_come_each_full_second_and_at_a_stage_end() -> None:
    stages = tuple(LoadStage(name=name, seconds=seconds, concurrency=1) for name, seconds in (("a", 1.5), ("b", 2.0)))
    request = LoadRequest(kind=LoadKind.HTTP, target="x", stages=stages)
    first, second = time_stages(GeneratorPlan(request=request, begins=50.0))
    assert report_moments(first, 50.0) == [(51.0, 0), (51.5, 1)]
    assert report_moments(second, 50.0) == [(52.0, 1), (53.0, 2), (53.5, 3)]
