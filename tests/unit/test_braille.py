"""Charts of text: what is drawn where."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.tui.widgets.braille import bin_by_time, choose_top, draw_area, draw_marks, fill_gaps

HEIGHTS = st.lists(st.one_of(st.none(), st.floats(min_value=-10, max_value=1e6)), max_size=60)


def test_an_area_fills_cells_from_below() -> None:
    assert draw_area([4, 4, 2, 2, 1, 0], 1, 4) == ["⣿⣤⡀"]
    assert draw_area([8, 0, 8, 8], 2, 8) == ["⡇⣿", "⡇⣿"]
    assert draw_area([4, 8], 2, 8) == ["⢸", "⣿"]


def test_plain_signs_take_one_value_a_cell() -> None:
    assert draw_area([0, 1, 2, 4], 1, 4, braille=False) == [" .:#"]
    assert draw_area([8], 2, 8, braille=False) == ["#", "#"]


def test_a_little_more_than_nothing_is_seen() -> None:
    assert draw_area([0.001, None], 1, 100) == ["⡀"]


@given(HEIGHTS, st.integers(1, 8), st.floats(min_value=0.1, max_value=1e6), st.booleans())
def test_every_line_is_as_wide(values: list[float | None], height: int, top: float, braille: bool) -> None:
    lines = draw_area(values, height, top, braille=braille)
    assert len(lines) == height
    assert {len(line) for line in lines} == {math.ceil(len(values) / 2) if braille else len(values)}


@given(st.lists(st.floats(min_value=0, max_value=100), min_size=2, max_size=20))
def test_higher_values_never_show_fewer_dots(values: list[float]) -> None:
    def dots(value: float) -> int:
        return sum((ord(sign) & 0xFF).bit_count() for line in draw_area([value, None], 4, 100) for sign in line.strip())

    shown = [dots(value) for value in sorted(values)]
    assert shown == sorted(shown)


def test_points_fall_into_the_column_of_their_time() -> None:
    points = [(100.2, 1.0), (100.9, 3.0), (102.0, 2.0), (50.0, 9.0), (103.5, math.nan)]
    assert bin_by_time(points, end=103.9, seconds=4, columns=4) == [3.0, None, 2.0, None]


def test_columns_do_not_flicker_while_time_goes_on() -> None:
    points = [(float(second), float(second)) for second in range(100, 110)]
    first = bin_by_time(points, end=110.0, seconds=20, columns=10)
    assert bin_by_time(points, end=111.9, seconds=20, columns=10) == first
    assert bin_by_time(points, end=112.0, seconds=20, columns=10) == [*first[1:], None]


def test_short_holes_are_filled_and_long_ones_stay() -> None:
    assert fill_gaps([1, None, 2, None, None, 3, None], 1) == [1, 1, 2, 2, None, 3, 3]
    assert fill_gaps([None, 1], 3) == [None, 1]


def test_marks_stand_where_stages_began() -> None:
    assert draw_marks([(2.0, "5"), (6.0, "10")], end=9.9, seconds=10, width=10) == "  ┊5  ┊10 "
    assert draw_marks([(2.0, "warm-up"), (4.0, "5")], end=9.9, seconds=10, width=10) == "  ┊w┊5    "
    assert draw_marks([(-5.0, "gone")], end=9.9, seconds=10, width=10) == " " * 10


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (20, 20), (21, 50), (1e6, 1e6)]
)
def test_scales_are_round(highest: float, top: float) -> None:
    assert choose_top([None, highest]) == pytest.approx(top)
