"""The filter line: what is typed there narrows the list that had the focus, at once."""

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import SituationChanged
from dbtui.tui.widgets.inputs import TextInput
from dbtui.tui.widgets.table import Table


class FilterLine(TextInput):
    """Takes the place of the message line while a filter is typed. Enter keeps the filter, esc drops it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", show=False), Binding("down", "keep", show=False)]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(placeholder="words that rows must hold; !word leaves rows out", **arguments)
        self.display = False
        self._table: Table[Any] | None = None

    def open_for(self, table: Table[Any]) -> None:
        """Filter this list."""
        self._table = None
        self.value = table.view.filter
        self._table = table
        self.screen.query_one("#message").display = False
        self.display = True
        self.cursor_position = len(self.value)
        focus_now(self)

    def _close(self) -> None:
        self.display = False
        self.screen.query_one("#message").display = True
        if self._table is not None:
            focus_now(self._table)
        self.post_message(SituationChanged())

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        event.stop()
        if self._table is not None:
            self._table.show_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self._close()

    def action_keep(self) -> None:
        """Keep the filter."""
        self._close()

    def action_drop(self) -> None:
        """Show every row again."""
        if self._table is not None:
            self._table.show_filter("")
        self._close()
