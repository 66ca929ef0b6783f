"""The table: the cursor stays on its row, only what changed is drawn, and ten thousand rows are quick."""

import time
from typing import Any

from textual.app import App, ComposeResult

from dbtui.tui.cells import Span, line
from dbtui.tui.widgets.rows import Column
from dbtui.tui.widgets.table import Table
from tests.costs import least_awaited, quiet_heap

Row = tuple[str, int]


class Shown(App[None]):
    """A table and nothing else."""

    CSS = "Table { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        columns: list[Column[Row]] = [
            Column("NAME", lambda row: Span(row[0]), 10, grow=1, order=lambda row: row[0]),
            Column("COUNT", lambda row: Span(str(row[1])), 6, right=True, order=lambda row: row[1], descending=True),
        ]
        self.table: Table[Row] = Table(columns, lambda row: row[0], lambda row: row[0])
        self.drawn = 0

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    def on_mount(self) -> None:
        """Count the lines it draws."""
        self.table.focus()
        real = self.table.render_line

        def counted(y: int) -> Any:
            self.drawn += 1
            return real(y)

        self.table.render_line = counted  # type: ignore[method-assign]

    def lines(self) -> list[str]:
        """What it shows."""
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]


def _rows(count: int) -> list[Row]:
    return [(f"row{number:05}", number) for number in range(count)]


async def test_numbers_are_right_aligned() -> None:
    """Under their label."""
    app = Shown()
    async with app.run_test(size=(30, 6)) as pilot:
        app.table.show_rows([("a", 5), ("b", 1234)])
        await pilot.pause()
        lines = app.lines()
        assert lines[0].index("COUNT") + 5 == len(lines[1]) == len(lines[2])


async def test_the_cursor_stays_on_its_row() -> None:
    """Whatever is added, taken, sorted or filtered."""
    app = Shown()
    async with app.run_test(size=(30, 8)) as pilot:
        app.table.show_rows(_rows(20))
        await pilot.press("j", "j", "j")
        assert app.table.cursor_key == "row00003"
        app.table.show_rows([("new", 0), *_rows(20)])
        assert app.table.cursor_key == "row00003"
        app.table.sort_next()
        app.table.sort_next()
        assert app.table.cursor_key == "row00003"
        app.table.show_filter("row0000")
        assert app.table.cursor_key == "row00003"
        app.table.show_rows([row for row in _rows(20) if row[1] != 3])
        await pilot.pause()
        assert app.table.cursor_row is not None


async def test_refresh_keeps_the_row_at_its_height() -> None:
    """Rows that come in above do not push the one under the cursor away."""
    app = Shown()
    async with app.run_test(size=(30, 8)) as pilot:
        app.table.show_rows(_rows(100))
        await pilot.press("G", "k")
        await pilot.pause()
        before = [number for number, text in enumerate(app.lines()) if "row00098" in text]
        app.table.show_rows([("aaa", 0), ("bbb", 0), *_rows(100)])
        await pilot.pause()
        assert [number for number, text in enumerate(app.lines()) if "row00098" in text] == before


async def test_ten_thousand_rows_are_quick() -> None:
    """Showing, filtering and jumping cost what is in view. A pane with all its columns: test_many_rows.py."""
    app = Shown()
    async with app.run_test(size=(80, 40)) as pilot:

        async def show() -> float:
            app.table.show_rows(())
            await pilot.pause()
            app.drawn, began = 0, time.process_time()
            app.table.show_rows(_rows(10_000))
            await pilot.pause()
            assert 0 < app.drawn < 150
            return time.process_time() - began

        async def narrow() -> float:
            app.table.show_filter("")
            await pilot.pause()
            app.drawn, began = 0, time.process_time()
            app.table.show_filter("99")
            await pilot.pause()
            assert 0 < app.drawn < 150
            return time.process_time() - began

        with quiet_heap():
            assert await least_awaited(show, 0.2) <= 0.2
            assert await least_awaited(narrow, 0.2) <= 0.2
        app.drawn = 0
        app.table.show_filter("")
        await pilot.press("G")
        await pilot.pause()
        assert "row09999" in app.lines()[-1]
        assert app.drawn < 150


async def test_only_changed_rows_are_drawn() -> None:
    """A refresh in which one row differs draws one line."""
    app = Shown()
    async with app.run_test(size=(80, 40)) as pilot:
        rows = _rows(30)
        app.table.show_rows(rows)
        await pilot.pause()
        app.drawn = 0
        app.table.show_rows([(name, 777 if number == 12 else number) for name, number in rows])
        await pilot.pause()
        assert app.drawn == 1
        app.drawn = 0
        await pilot.press("j")
        await pilot.pause()
        assert app.drawn <= 2


async def test_empty_and_filtered_away_say_so() -> None:
    """An empty list says what would be here; a filter that hides everything says how to clear it."""
    app = Shown()
    async with app.run_test(size=(60, 8)) as pilot:
        app.table.show_rows([], [line("nothing yet, b makes one")])
        await pilot.pause()
        assert "nothing yet, b makes one" in "\n".join(app.lines())
        app.table.show_rows(_rows(3))
        app.table.show_filter("zzz")
        await pilot.pause()
        assert "esc clears the filter" in "\n".join(app.lines())
        await pilot.press("j", "G", "k", "g", "pagedown")
        assert app.table.cursor_row is None


async def test_a_text_spills_over_empty_cells() -> None:
    """An error may use the room of columns that have nothing to say."""
    app = Shown()
    columns: list[Column[Row]] = [
        Column("NAME", lambda row: Span(row[0]), 8, spills=True),
        Column("COUNT", lambda row: Span("" if row[1] < 0 else str(row[1])), 20),
    ]
    app.table.columns = tuple(columns)
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.show_rows([("connection refused", -1), ("connection refused", 4)])
        await pilot.pause()
        assert "connection refused" in app.lines()[1]
        assert "connect…" in app.lines()[2]
