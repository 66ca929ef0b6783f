"""The time at which a pool will be full, foretold from ramps that were recorded with real servers."""

from pathlib import Path

import pytest

from tests.ramps import Foresight, Row, assess_foresight, read_ramp

RAMPS = sorted((Path(__file__).parent / "pool_ramps").glob("*.json"))


def test_at_least_eight_of_ten_ramps_are_foretold() -> None:
    seen: list[Foresight] = [assess_foresight(read_ramp(path)) for path in RAMPS]
    assert len(seen) == 10
    assert sum(each.is_good for each in seen) >= 8


def test_nothing_is_foretold_of_a_pool_that_does_not_fill() -> None:
    steady = [Row(at, 100 * at, 7.0 * at, 0.0, 7, 1, 0, 0.0) for at in range(60)]
    assert assess_foresight([*steady, *_jump(60)]).said == ()


def _jump(at: int) -> list[Row]:
    """A pool that is full from one second to the next: nobody could have known."""
    return [Row(at + step, 6000 + 110 * step, 420 + 8.0 * step, 0.0, 8, 0, 0, 0.0) for step in range(1, 5)]


@pytest.mark.parametrize("path", RAMPS, ids=lambda path: path.stem)
def test_an_estimate_gets_better_as_the_time_comes_near(path: Path) -> None:
    seen = assess_foresight(read_ramp(path))
    assert seen.full_at is not None
    when = [abs(when - seen.full_at) for _, when in seen.said]
    assert min(when[-3:]) <= 0.1 * seen.full_at
