"""The timeline of a table: what each cell stands for, where now is, which years, what is under the cursor."""

from datetime import UTC, datetime, timedelta

import pytest

from dbtui.model.partitions import CoverageSpan
from dbtui.tui.cells import Tone, plain_text
from dbtui.tui.panes.partition_strip import lay_strip
from tests.tui.partition_world import NOW, month


def _months(first: int, after: int, *missing: int) -> list[CoverageSpan]:
    return [CoverageSpan(month(n), month(n + 1), "" if n in missing else f"m{n}") for n in range(first, after)]


def _show(coverage: list[CoverageSpan], width: int = 80, due: tuple[str, ...] = (), focused: str = "") -> str:
    strip = lay_strip(coverage, NOW, width, due)
    span = next((each for each in coverage if focused and each.partition == focused), None)
    return "".join(plain_text(line).rstrip() for line in strip.show(span))


def test_a_cell_for_each_month_behind_its_year() -> None:
    """Gaps, what is past retention, now behind the month that it is in, and a legend as far as there is room."""
    assert _show(_months(-14, 3, -5), due=("m-14", "m-13")) == (
        " coverage  2025 ▂▂▇▇ 2026 ▇▇▇▇▇·▇▇▇▇▇┊▇ 2027 ▇   · gap  ┊ now  ▂ past retention"
    )
    assert _show(_months(-14, 3, -5), 60, due=("m-14",)).endswith("2027 ▇   · gap")


def test_what_is_under_the_cursor_stands_out() -> None:
    """By its sign; a gap stays one."""
    assert "2026 ▇█▇" in _show(_months(-14, 3), focused="m-9")
    strip = lay_strip(_months(-14, 3, -9), NOW, 80)
    spans = strip.show(CoverageSpan(month(-9), month(-8)))[0]
    assert [span.text for span in spans if span.tone is Tone.STRONG] == ["·"]


def test_a_long_gap_is_as_long_as_it_is() -> None:
    """Three months that nobody made are three dots."""
    coverage = [*_months(-14, -8), CoverageSpan(month(-8), month(-5)), *_months(-5, 1)]
    assert "▇▇···▇▇" in _show(coverage)


def test_a_table_that_has_ended_has_now_at_its_end() -> None:
    """Behind the gap that reaches to it."""
    assert _show([*_months(-14, -2), CoverageSpan(month(-2), NOW)]).startswith(" coverage  2025 ▇▇▇▇ 2026 ▇▇▇▇▇▇▇▇···┊")


def test_a_table_of_the_future_has_now_before_it() -> None:
    """Nothing takes rows of now."""
    assert _show(_months(1, 5)).startswith(" coverage  2026 ┊▇ 2027 ▇▇▇")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_more_partitions_than_cells_share_them(width: int) -> None:
    """Never wider than there is room; one missing day of thousands is still seen."""
    first = NOW.replace(hour=0) - timedelta(days=4000)
    coverage = [CoverageSpan(first + timedelta(days=n), first + timedelta(days=n + 1), "" if n == 1234 else f"d{n}")
                for n in range(4100)]  # fmt: skip
    shown = _show(coverage, width, due=("d0", "d1"))
    assert len(shown) <= width
    assert shown.count("·") == 1 + ("· gap" in shown)
    assert shown.count("┊") == 1 + ("┊ now" in shown)
    assert len(shown) > width - 25


def test_days_of_one_year_have_ends() -> None:
    """There a year says nothing."""
    first = datetime(2026, 11, 1, tzinfo=UTC)
    coverage = [CoverageSpan(first + timedelta(days=n), first + timedelta(days=n + 1), f"d{n}") for n in range(28)]
    assert _show(coverage) == " coverage  2026-11-01 ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇┊▇▇▇▇▇ 2026-11-29   ┊ now"


def test_numbers_have_no_now() -> None:
    """Keys that are numbers have ends of their own."""
    coverage = [CoverageSpan(n * 1000, (n + 1) * 1000, "" if n == 3 else f"p{n}") for n in range(9)]
    assert _show(coverage) == " coverage  0 ▇▇▇·▇▇▇▇▇ 9000   · gap"


@pytest.mark.parametrize("coverage", [[], [CoverageSpan(5, 5, "p")]])
def test_what_has_no_length_has_no_strip(coverage: list[CoverageSpan]) -> None:
    """Lists and hashes."""
    assert _show(coverage) == ""


def test_no_room_no_strip() -> None:
    """Nor is one drawn that says nothing."""
    assert _show(_months(-14, 3), 30) == ""
