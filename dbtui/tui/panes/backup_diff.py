"""Two backups, or a backup and its live database, side by side: a level of the backups pane."""

import time
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from dbtui.jobs import JobRunner
from dbtui.model.backup_differences import BackupDifferences
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.tui import diff_requests as requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import BLANK, Line, dim, line
from dbtui.tui.dialogs.planned import error_lines
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import SituationChanged
from dbtui.tui.panes import backup_diff_rows as listing
from dbtui.tui.panes.pane import Pane
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background


class DiffView(Vertical):
    """What two sides do not have in common; hidden until something is compared."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("diff")

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="diff-view")
        self._runner = runner
        self._label = ""
        self._asked: tuple[BackupEntry, BackupEntry | ConnectionProfile] | None = None
        self._found: BackupDifferences | None = None
        self._shows_all = False

    def compose(self) -> ComposeResult:
        """Both sides above; tables with their details below."""
        yield Lines(BLANK, id="diff-summary")
        with Horizontal(classes="split"):
            yield Table(listing.COLUMNS, lambda row: row.key, lambda row: row.search, id="diff", classes="list")
            yield TextPanel(id="diff-detail", classes="detail")

    @property
    def is_open(self) -> bool:
        """Whether something is compared."""
        return bool(self._label)

    @property
    def table(self) -> Table[listing.DiffRow]:
        """The tables."""
        return self.query_one("#diff", Table)

    @property
    def detail(self) -> TextPanel:
        """All about one of them."""
        return self.query_one("#diff-detail", TextPanel)

    def compare(self, entry: BackupEntry, other: BackupEntry | ConnectionProfile) -> None:
        """Compare these two and show what is found."""
        self._asked = entry, other
        name = other.backup_id if isinstance(other, BackupEntry) else other.name
        self._label, self._found, self._shows_all = f"{entry.backup_id} and {name}", None, False
        self._say_waiting(0)
        self.query_one("#diff-summary", Lines).show_lines([line(" ", self._label)])
        self.table.show_filter("")
        run_in_background(self, "compare backups", self._compare, entry, other, group="diff")

    def compare_again(self) -> None:
        """Ask again for what is shown."""
        if self._asked is not None:
            run_in_background(self, "compare backups", self._compare, *self._asked, group="diff")

    async def _compare(self, entry: BackupEntry, other: BackupEntry | ConnectionProfile) -> None:
        began = time.monotonic()
        timer = self.set_interval(1.0, lambda: self._say_waiting(time.monotonic() - began))
        try:
            outcome = await outcome_of(self._runner, requests.compare(entry, other))
        finally:
            timer.stop()
        if not self.is_open:
            return
        if outcome.result is None:
            self._found = None
            self.table.show_rows((), [(*line(" "), *each) for each in error_lines(outcome.error)])
            return
        self.show_differences(outcome.result)

    def _say_waiting(self, seconds: float) -> None:
        if self._found is not None:  # something is shown already, and looked at anew
            return
        stops = speak_keys("{global.back} stops")
        words = f" Comparing … {seconds:.0f} s, {stops}" if seconds >= 1 else " Comparing …"
        self.table.show_rows((), [line(dim(words))])

    def show_differences(self, found: BackupDifferences) -> None:
        """Show what was found."""
        self._found = found
        self.query_one("#diff-summary", Lines).show_lines(listing.show_summary(found))
        self._show_rows()
        self.post_message(SituationChanged())

    def _show_rows(self) -> None:
        if self._found is None:
            return
        every = speak_keys(" {diff.all} shows every table")
        empty = [line(" No table differs."), BLANK, line(dim(every))] if not self._shows_all else [line(" No tables.")]
        self.table.show_rows(listing.rows_of(self._found, show_all=self._shows_all), empty)
        self.row_changed()

    def row_changed(self) -> None:
        """Show all about another table."""
        if self._found is None:
            self.detail.show_text(())
            return
        row = self.table.cursor_row
        about: list[Line] = [*listing.show_row(row), BLANK] if row is not None else []
        self.detail.show_text([*about, *listing.show_gaps(self._found)])

    def close(self) -> None:
        """Forget what was compared, and stop comparing."""
        self.workers.cancel_group(self, "diff")
        self._label, self._asked, self._found = "", None, None

    def act_detail(self) -> None:
        """Read all about the table under the cursor."""
        if self._found is not None:
            self.query_ancestor(Pane).set_class(True, "-reading")
            focus_now(self.detail)

    def act_all(self) -> None:
        """Show tables without a difference too, or not."""
        self._shows_all = not self._shows_all
        self._show_rows()

    def situation(self, base: Situation, *, is_reading: bool) -> Situation:
        """Say which table is under the cursor."""
        row = self.table.cursor_row
        return replace(
            base,
            scopes=("diff", "global"),
            crumbs=(*base.crumbs, "compare", *([row.name] if row and is_reading else [])),
            entry=None,
            deep=True,
            copyable=self.detail.text if is_reading else row.name if row else "",
        )
