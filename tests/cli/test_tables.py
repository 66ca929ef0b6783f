"""Text tables, and JSON lines."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.cli.printers import format_json
from dbtui.cli.tables import Column, count_cells, cut_to_cells, format_table

COLUMNS = (Column("BACKUP", least=8), Column("SIZE", right=True), Column("NOTE", least=4, drop=1))
ROWS = [("erp-20261122T150000Z", "143 MB", "not proven"), ("app", "9 MB", "")]


def test_columns_are_aligned_and_numbers_stand_right() -> None:
    assert format_table(COLUMNS, ROWS) == [
        "BACKUP                  SIZE  NOTE",
        "erp-20261122T150000Z  143 MB  not proven",
        "app                     9 MB",
    ]


def test_the_widest_column_gives_way_first() -> None:
    assert format_table(COLUMNS, ROWS, 34) == [
        "BACKUP            SIZE  NOTE",
        "erp-20261122T…  143 MB  not proven",
        "app               9 MB",
    ]


def test_a_column_is_dropped_when_cutting_is_not_enough() -> None:
    lines = format_table(COLUMNS, ROWS, 20)
    assert lines[0].split() == ["BACKUP", "SIZE"]
    assert all(count_cells(line) <= 20 for line in lines)


def test_hostile_names_stay_in_their_cell() -> None:
    lines = format_table((Column("A"), Column("B")), [("x\n\x1b[31m[red]", "1"), ("\u202eb", "2")])
    assert lines[1:] == ["x··[31m[red]  1", "·b            2"]


def test_wide_characters_take_two_cells() -> None:
    assert count_cells("日本") == 4
    assert count_cells("e\u0301") == 1
    assert cut_to_cells("日本語", 5) == "日本…"
    assert format_table((Column("A"), Column("B")), [("日本", "1"), ("abcd", "2")])[1:] == ["日本  1", "abcd  2"]


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.text(max_size=40), st.text(max_size=10), st.text(max_size=40)), max_size=5),
    width=st.integers(30, 120),
)
def test_every_line_fits_and_nothing_breaks_out(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = format_table(COLUMNS, rows, width)
    assert len(lines) == len(rows) + 1
    for line in lines:
        assert count_cells(line) <= width or count_cells(line) <= 8 + 2 + 20 + 2 + 4
        assert "\n" not in line
        assert "\x1b" not in line


def test_cells_that_say_the_same_stay_in_their_rows() -> None:
    rows = [("b", "1", "○ x"), ("a", "22", "○ x"), ("b", "1", "y\x1b")]
    assert format_table(COLUMNS, rows) == [
        "BACKUP  SIZE  NOTE",
        "b          1  ○ x",
        "a         22  ○ x",
        "b          1  y·",
    ]


@given(st.text() | st.lists(st.text(st.characters(exclude_categories=()))))
def test_json_is_ascii_without_control_characters_and_means_the_same(document: object) -> None:
    line = format_json({"text": document, "number": 1})
    assert line.isascii()
    assert line.isprintable()
    assert line.endswith(', "number": 1}')
    assert json.loads(line)["text"] == document
