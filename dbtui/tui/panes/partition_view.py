"""What the three levels of the partitions pane have in common: a headline, a list, and all about its focused row."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from dbtui.tui.actions import Situation
from dbtui.tui.cells import BLANK, Line
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import Announced, SituationChanged
from dbtui.tui.panes.pane import Pane
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table


class PartitionView(Vertical):
    """One level. At eighty columns the detail takes the list's place while it is read."""

    taken_at: datetime | None = None  # when what it shows was seen

    def make_table(self) -> Table[Any]:
        """Return the list, for `compose`."""
        raise TypeError(f"{type(self).__name__} lists nothing")

    def compose(self) -> ComposeResult:
        """Headline above, list and detail below."""
        yield Lines(BLANK, classes="headline")
        with Horizontal(classes="split"):
            yield self.make_table()
            yield TextPanel(classes="detail")

    @property
    def table(self) -> Table[Any]:
        """The list."""
        return self.query_one(Table)

    @property
    def detail(self) -> TextPanel:
        """All about its focused row."""
        return self.query_one(".detail", TextPanel)

    @property
    def pane(self) -> Pane:
        """The pane that it is a level of."""
        return self.query_ancestor(Pane)

    def situation(self, base: Situation) -> Situation:
        """Return `base` with what is under the cursor here."""
        raise TypeError(f"{type(self).__name__} is nowhere")

    def show_all(self) -> None:
        """Draw what there is; what did not change is not sent."""
        raise TypeError(f"{type(self).__name__} shows nothing")

    def headline_lines(self) -> Sequence[Line]:
        """Return what stands above the list."""
        return ()

    def detail_lines(self, row: Any, width: int) -> Sequence[Line]:
        """Return all about a row."""
        raise TypeError(f"{type(self).__name__} tells nothing of {type(row).__name__}")

    def show_headline(self) -> None:
        """Draw what stands above the list."""
        lines = self.headline_lines()
        headline = self.query_one(".headline", Lines)
        headline.display = bool(lines)
        headline.show_lines(lines)

    def show_detail(self) -> None:
        """Show all about what is under the cursor; a text about the same row stays where it was scrolled to."""
        panel, row, key = self.detail, self.table.cursor_row, self.table.cursor_key
        same, panel.name_shown = panel.name_shown == key, key
        panel.show_text(self.detail_lines(row, panel.text_width) if row is not None else (), keep=same)

    def read_detail(self) -> None:
        """Go to the detail."""
        if self.table.cursor_row is not None:
            self.pane.set_class(True, "-reading")
            focus_now(self.detail)
            self.post_message(SituationChanged())

    def announce(self, *words: Any) -> None:
        """Say a sentence in the message line."""
        self.post_message(Announced(*words))
