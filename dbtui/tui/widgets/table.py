"""A table that draws only what is in view, so that ten thousand rows cost as much as twenty.

The cursor stays on its row (by key) whatever is refreshed, filtered or sorted, and only lines that changed are sent.
"""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, ClassVar, Generic

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from dbtui.tui.actions import bindings_of
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, fit, line, segments, strong, width_of
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Drawn
from dbtui.tui.widgets.rows import GAP, Column, RowT, RowView, column_widths
from dbtui.tui.widgets.toned import Tones

#: For so long after the cursor was moved, new data does not sort the rows of a live table.
HOLD_SECONDS = 3.0
_PLAIN_TONES = {tone: Style.null() for tone in Tone}


class Table(Drawn, Generic[RowT], can_focus=True):
    """Rows under a header line. `marks` holds the keys of ticked rows; `empty` is drawn when there is no row."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("table")

    class Moved(Message):
        """The cursor is on another row, or its row has changed."""

        def __init__(self, table: "Table[Any]") -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> "Table[Any]":
            """The table."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[RowT]],
        key_of: Callable[[RowT], str],
        search: Callable[[RowT], str],
        *,
        tickable: bool = False,
        live: bool = False,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.columns = tuple(columns)
        self.view: RowView[RowT] = RowView(key_of, search)
        self.marks: frozenset[str] = frozenset()
        self.empty: tuple[Line, ...] = ()
        self.tickable = tickable
        self.live = live  # rows change by themselves: while somebody moves about, they keep their places
        self.sorted_by: int | None = None
        self.cursor = 0
        self.cursor_shown = False  # as if it had the focus
        self._moved_at = 0.0
        self._shared_room = -1
        self._widths: dict[int, int] = {}
        self._drawn: dict[int, tuple[Line, bool]] = {}

    # ------------------------------------------------------------ contents

    @property
    def cursor_row(self) -> RowT | None:
        """The row under the cursor."""
        return self.view.shown[self.cursor] if self.cursor < len(self.view.shown) else None

    @property
    def cursor_key(self) -> str:
        """The key of the row under the cursor, or nothing."""
        row = self.cursor_row
        return "" if row is None else self.view.key_of(row)

    def show_rows(self, rows: Sequence[RowT], empty: Iterable[Line] = ()) -> None:
        """Show these rows; the cursor stays on its row, at its height on the screen."""
        self.view.rows = rows
        self.empty = tuple(empty)
        self._rearrange(holds=self.live and monotonic() - self._moved_at < HOLD_SECONDS)

    def show_columns(self, columns: Sequence[Column[RowT]]) -> None:
        """Show other columns of the same rows; they stay sorted by the column of that name, if there is one."""
        label = self.columns[self.sorted_by].label if self.sorted_by is not None else ""
        self.columns, self._shared_room = tuple(columns), -1
        if label:
            places = {column.label: place for place, column in enumerate(self.columns) if column.order}
            self.sorted_by = places.get(label)
            self.view.order = self.columns[self.sorted_by].order if self.sorted_by is not None else None
        self._rearrange()

    def show_marks(self, marks: Iterable[str]) -> None:
        """Tick the rows with these keys."""
        before, self.marks = self.marks, frozenset(marks)
        if before != self.marks:
            self.repaint_changed()

    def show_filter(self, text: str) -> None:
        """Show only rows that match `text`."""
        if text != self.view.filter:
            self.view.filter = text
            self._rearrange()

    def sort_by(self, place: int) -> None:
        """Sort by this column from the beginning on."""
        self.sorted_by = place
        self.view.order, self.view.descending = self.columns[place].order, self.columns[place].descending

    def sort_next(self) -> str:
        """Sort by the next column that can be sorted by and return its name; after the last one, not at all."""
        places: list[int | None] = [place for place, column in enumerate(self.columns) if column.order]
        places.append(None)
        now = places.index(self.sorted_by) if self.sorted_by in places else len(places) - 1
        self.sorted_by = places[(now + 1) % len(places)]
        column = None if self.sorted_by is None else self.columns[self.sorted_by]
        self.view.order = column.order if column else None
        self.view.descending = column.descending if column else False
        self._rearrange()
        return column.label if column else ""

    def sort_backwards(self) -> None:
        """Turn the order of the sorted column around."""
        self.view.descending = not self.view.descending
        self._rearrange()

    def move_to(self, key: str, *, centred: bool = False) -> bool:
        """Put the cursor on the row with this key, if it is shown; `centred`: in the middle of what is in view."""
        place = self.view.places.get(key)
        if place is not None:
            self._move(place)
            if centred:
                self.scroll_to(y=max(0, place - self._page() // 2), animate=False, immediate=True)
                self.repaint_changed()
        return place is not None

    def _rearrange(self, holds: bool = False) -> None:
        key, height = self.cursor_key, self.cursor - self.scroll_offset.y
        self.view.refresh(holds)
        last = max(0, len(self.view.shown) - 1)
        self.cursor = self.view.places.get(key, min(self.cursor, last)) if key else 0
        self.virtual_size = Size(0, len(self.view.shown) + 1)
        self.scroll_to(y=max(0, self.cursor - height), animate=False, immediate=True)
        self.repaint_changed()
        self._scroll_into_view()
        self.post_message(self.Moved(self))

    def repaint_changed(self) -> None:
        """Send the lines that differ from what the terminal shows."""
        for y in range(self.size.height):
            if self._drawn.get(y) != self._line(y):
                self.refresh(Region(0, y, self.size.width, 1))

    # ------------------------------------------------------------ drawing

    def on_resize(self, event: events.Resize) -> None:
        """Keep the cursor in view, and draw for another width."""
        self._scroll_into_view()
        self.call_after_refresh(self.repaint_changed)

    def _line(self, y: int) -> tuple[Line, bool]:
        """Return what line `y` of the widget shows, and whether the cursor is on it."""
        if y == 0:
            return self._header(), False
        place = y - 1 + self.scroll_offset.y
        if place < len(self.view.shown):
            return self._row(self.view.shown[place]), place == self.cursor
        if not self.view.shown:
            return self._nothing(y - 1), False
        return BLANK, False

    def _nothing(self, y: int) -> Line:
        if self.view.rows and self.view.filter:
            words = line(
                " Nothing here matches ",
                strong(self.view.filter),
                dim(speak_keys(" · {global.back} clears the filter")),
            )
            return words if y == 1 else BLANK
        return self.empty[y - 1] if 1 <= y <= len(self.empty) else BLANK

    def _room(self) -> int:
        return self.scrollable_content_region.width - 2 - (2 if self.tickable else 0)

    def _shared_widths(self) -> dict[int, int]:
        room = self._room()
        if room != self._shared_room:
            self._shared_room, self._widths = room, column_widths(self.columns, room)
        return self._widths

    def _header(self) -> Line:
        cells: list[Span] = [Span("   " if self.tickable else " ")]
        for number, (place, width) in enumerate(self._shared_widths().items()):
            column = self.columns[place]
            arrow = ""
            if place == self.sorted_by:
                arrow = "↓" if self.view.descending else "↑"
            label = (dim(column.label), Span(arrow, Tone.ACCENT)) if arrow else (dim(column.label),)
            cells.extend(line(" " * GAP) if number else ())
            cells.extend(fit(label, width, "right" if column.right else "left"))
        return tuple(cells)

    def _row(self, row: RowT) -> Line:
        cells: list[Span] = [Span(" ")]
        if self.tickable:
            cells.append(Span("■ ", Tone.ACCENT) if self.view.key_of(row) in self.marks else Span("  "))
        shown = [(self.columns[place], width) for place, width in self._shared_widths().items()]
        drawn = [column.cells(row) for column, _ in shown]
        number = 0
        while number < len(shown):
            column, width = shown[number]
            cells.extend(line(" " * GAP) if number else ())
            after = number + 1
            while (
                column.spills and after < len(shown) and width_of(drawn[number]) > width and not width_of(drawn[after])
            ):
                width += GAP + shown[after][1]
                after += 1
            cells.extend(fit(drawn[number], width, "right" if column.right else "left"))
            number = after
        return tuple(cells)

    def render_line(self, y: int) -> Strip:
        """Draw one line of what is in view."""
        drawn, under_cursor = self._drawn[y] = self._line(y)
        width = self.size.width
        base, tones = self.looks
        if y == 0:
            base += self.get_component_rich_style("table--header", partial=True)
        elif under_cursor and (self.has_focus or self.cursor_shown):
            base += self.get_component_rich_style("table--cursor", partial=True)
            coloured = base.bgcolor is not None and not base.reverse
            tones = Tones(self, {Tone.DIM: Style.null()}) if coloured else _PLAIN_TONES
        elif under_cursor:
            base += self.get_component_rich_style("table--cursor-blurred", partial=True)
        return Strip(segments(fit(drawn, width), base, tones), width)

    # ------------------------------------------------------------ moving

    def _refresh_place(self, place: int) -> None:
        self.refresh(Region(0, place + 1 - self.scroll_offset.y, self.size.width, 1))

    def _move(self, place: int) -> None:
        place = max(0, min(place, len(self.view.shown) - 1))
        self._moved_at = monotonic()
        if place == self.cursor or not self.view.shown:
            return
        before, self.cursor = self.cursor, place
        self._refresh_place(before)
        self._refresh_place(place)
        self._scroll_into_view()
        self.post_message(self.Moved(self))

    def _scroll_into_view(self) -> None:
        page, top = self._page(), round(self.scroll_offset.y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + page:
            self.scroll_to(y=self.cursor - page + 1, animate=False, immediate=True)

    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def watch_has_focus(self, value: bool) -> None:
        """Only the cursor line looks different."""
        super().watch_has_focus(value)
        self._refresh_place(self.cursor)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        if event.y >= 1:
            self._move(event.y - 1 + self.scroll_offset.y)

    def action_down(self) -> None:
        """Move a row down."""
        self._move(self.cursor + 1)

    def action_up(self) -> None:
        """Move a row up."""
        self._move(self.cursor - 1)

    def action_first(self) -> None:
        """Move to the first row."""
        self._move(0)

    def action_last(self) -> None:
        """Move to the last row."""
        self._move(len(self.view.shown) - 1)

    def action_page_down(self) -> None:
        """Move a page down."""
        self._move(self.cursor + self._page())

    def action_page_up(self) -> None:
        """Move a page up."""
        self._move(self.cursor - self._page())
