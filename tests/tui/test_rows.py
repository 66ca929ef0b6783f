"""Which rows a table shows and how wide its columns are."""

from dbtui.tui.cells import Span
from dbtui.tui.widgets.rows import Column, RowView, column_widths


def _column(width: int, **fields: int) -> Column[str]:
    return Column("X", lambda row: Span(row), width, **fields)  # type: ignore[arg-type]


def test_spare_columns_give_way_highest_first() -> None:
    """What matters most stays."""
    columns = [_column(10), _column(10, spare=1), _column(10, spare=2)]
    assert sorted(column_widths(columns, 34)) == [0, 1, 2]
    assert sorted(column_widths(columns, 30)) == [0, 1]
    assert sorted(column_widths(columns, 15)) == [0]


def test_room_left_is_shared() -> None:
    """By weight, up to the widest."""
    columns = [_column(10, grow=1), _column(10, grow=3), _column(10)]
    widths = column_widths(columns, 74)
    assert sum(widths.values()) == 70
    assert widths[2] == 10
    assert widths[1] > widths[0]
    assert column_widths([_column(10, grow=1, widest=14), _column(10)], 74) == {0: 14, 1: 10}


def _view() -> RowView[str]:
    return RowView(key_of=str, search=str, rows=["erp one", "shop two", "erp two"])


def test_filter_words_must_all_match() -> None:
    """A word with an exclamation mark must not."""
    view = _view()
    view.filter = "ERP two"
    view.refresh()
    assert view.shown == ["erp two"]
    view.filter = "two !erp"
    view.refresh()
    assert view.shown == ["shop two"]


def test_unknown_values_come_last_in_both_orders() -> None:
    """A missing number is not the smallest."""
    known = {"erp one": 1, "erp two": 2}
    view = _view()
    view.order = known.get
    view.refresh()
    assert view.shown == ["erp one", "erp two", "shop two"]
    view.descending = True
    view.refresh()
    assert view.shown == ["erp two", "erp one", "shop two"]
