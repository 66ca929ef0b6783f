"""Inside one backup: the tree of what it holds, and the definition or first rows of a table; a level of the pane."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import BackupContents, BackupEntry, TableName
from dbtui.model.jobs import JobOutcome
from dbtui.tui import far_requests, requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import BLANK, Line, dim, line, strong
from dbtui.tui.dialogs.planned import error_lines
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import Announced, SituationChanged
from dbtui.tui.panes import backup_contents as inside
from dbtui.tui.panes import backup_list as listing
from dbtui.tui.panes.backup_rows import row_key
from dbtui.tui.panes.pane import Pane
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

SAMPLE_ROWS = 50


class ContentsView(Horizontal):
    """The tree of one backup and the definition or rows beside it; hidden until a backup is looked into."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("contents")

    def __init__(
        self, runner: JobRunner, shrunk: Callable[[str], float | None], opens_with: Callable[[BackupEntry], str]
    ) -> None:
        super().__init__(id="contents-view", classes="split")
        self._runner, self._shrunk_by, self._opens_with = runner, shrunk, opens_with
        self.entry: BackupEntry | None = None  # the backup that is looked into
        self.contents: BackupContents | None = None
        self.ticked: frozenset[TableName] = frozenset()
        self._folded: frozenset[str] = frozenset()
        self._order = inside.ORDERS[0]

    def compose(self) -> ComposeResult:
        """The tree, and what is read beside it."""
        with Vertical(classes="list"):
            yield Lines(BLANK, id="contents-summary")
            yield Table(inside.COLUMNS, lambda leaf: leaf.key, lambda leaf: leaf.search, id="contents",
                        tickable=True)  # fmt: skip
        with Vertical(classes="detail"):
            yield Lines(BLANK, id="table-title")
            yield TextPanel(id="table-text")

    @property
    def table(self) -> Table[inside.Leaf]:
        """The contents of the backup."""
        return self.query_one("#contents", Table)

    @property
    def text(self) -> TextPanel:
        """What is read."""
        return self.query_one("#table-text", TextPanel)

    @property
    def _pane(self) -> Pane:
        return self.query_ancestor(Pane)

    @property
    def is_reading(self) -> bool:
        """Whether a table is read."""
        return self._pane.has_class("-reading")

    # ------------------------------------------------------------ opening

    def open(self, entry: BackupEntry) -> None:
        """Look into a backup."""
        self.entry, self.contents = entry, None
        self.ticked, self._folded = frozenset(), frozenset()
        self.query_one("#contents-summary", Lines).show_lines([line(" ", strong(entry.backup_id))])
        self.table.show_filter("")
        self.table.show_marks(())
        self.table.show_rows((), [line(dim(" Reading the backup …"))])
        self.show_overview()
        run_in_background(self, "look into a backup", self._read, entry, group="contents")

    def close(self) -> None:
        """Look into nothing any more."""
        self.workers.cancel_group(self, "contents")
        self.entry = self.contents = None
        self.ticked = frozenset()

    async def _read(self, entry: BackupEntry) -> None:
        contents = far_requests.contents(entry) if entry.remote else requests.contents(entry)
        outcome = await self._reading(contents, self._say_reading)
        if self.entry is None or row_key(self.entry) != row_key(entry):
            return
        if outcome.result is None:
            self.table.show_rows((), [(*line(" "), *each) for each in error_lines(outcome.error)])
            return
        self.show_contents(outcome.result)

    def show_contents(self, contents: BackupContents) -> None:
        """Show what the open backup holds."""
        first = self.contents is None
        self.contents = contents
        self._show_tree()
        if first and len(self.table.view.shown) > 1:
            self.table.action_down()
        self.show_overview()

    def _show_tree(self) -> None:
        if self.contents is None or self.entry is None:
            return
        leaves = inside.tree_of(self.contents, self._folded, self._order)
        self.table.show_rows(leaves, [line(" The backup holds no table.")])
        marks = [leaf.key for leaf in leaves if leaf.table is not None and leaf.table.table_name in self.ticked]
        self.table.show_marks(marks)
        summary = inside.contents_summary(self.entry, self.contents, len(self.ticked))
        self.query_one("#contents-summary", Lines).show_lines([summary])

    def show_overview(self) -> None:
        """The detail beside the tree while no table is read: the backup itself."""
        entry = self.entry
        if entry is None:
            return
        lines = listing.show_entry(entry, datetime.now(UTC), self._shrunk_by(entry.backup_id),
                                   opens_with=self._opens_with(entry))  # fmt: skip
        if self.contents is not None:
            lines += [line()] + [line(dim("▲ "), text) for text in self.contents.warnings]
        if entry.remote:
            lines += [line(), line(dim(speak_keys("Told by its manifest; {backups.pull} fetches it to be read.")))]
        self.query_one("#table-title", Lines).show_lines([line(dim("this backup"))])
        self.text.show_text(lines)

    # ------------------------------------------------------------ reading a table

    def act_definition(self) -> None:
        """Show the SQL of the table under the cursor; open or shut a branch."""
        self._read_table("definition")

    def act_sample(self) -> None:
        """Show the first rows of the table under the cursor."""
        self._read_table("first rows")

    def _read_table(self, what: str) -> None:
        entry, leaf = self.entry, self.table.cursor_row
        if entry is None or leaf is None:
            return
        if leaf.table is None:
            self._fold(leaf)
            return
        self._pane.set_class(True, "-reading")
        title = line(strong(str(leaf.table.table_name)), dim(f"  {what}"))
        self.query_one("#table-title", Lines).show_lines([title])
        self.text.show_text([line(dim("Reading the backup …"))])
        focus_now(self.text)
        reading = (
            partial(self._show_read, requests.definition(entry, leaf.table.table_name), inside.show_definition)
            if what == "definition"
            else partial(
                self._show_read, requests.sample(entry, leaf.table.table_name, SAMPLE_ROWS), inside.show_sample
            )
        )
        run_in_background(self, "read a table", reading, group="table")

    def stop_reading(self) -> None:
        """Read no table any more."""
        self.workers.cancel_group(self, "table")
        self.show_overview()

    async def _show_read(self, request: JobRequest[Any], show: Any) -> None:
        outcome = await self._reading(request, lambda text: self.text.show_text([line(dim(text))]))
        lines: Sequence[Line] = error_lines(outcome.error) if outcome.result is None else show(outcome.result)
        self.text.show_text(lines, wraps=False)

    async def _reading(self, request: JobRequest[Any], say: Callable[[str], object]) -> JobOutcome[Any]:
        """Wait for something that is read from a backup; meanwhile say how long it has taken."""
        began = time.monotonic()
        stops = speak_keys("{global.back} stops")
        timer = self.set_interval(1.0, lambda: say(f"Reading the backup … {time.monotonic() - began:.0f} s, {stops}"))
        try:
            return await outcome_of(self._runner, request)
        finally:
            timer.stop()

    def _say_reading(self, text: str) -> None:
        self.table.show_rows((), [line(dim(f" {text}"))])

    # ------------------------------------------------------------ ticks, order

    def act_tick(self) -> None:
        """Tick what is under the cursor, or all of its schema, and go on to the next line."""
        leaf = self.table.cursor_row
        if leaf is None or self.contents is None:
            return
        tables = inside.tables_under(self.contents, leaf)
        self.ticked = self.ticked - tables if tables <= self.ticked else self.ticked | tables
        self._show_tree()
        if leaf.table is not None:
            self.table.action_down()
        self.post_message(SituationChanged())

    def act_untick(self) -> None:
        """Untick every table."""
        self.ticked = frozenset()
        self._show_tree()
        self.post_message(SituationChanged())

    def _fold(self, leaf: inside.Leaf) -> None:
        if leaf.folded is not None:
            self._folded = inside.fold(leaf, self._folded)
            self._show_tree()

    def sort(self, backwards: bool) -> None:
        """Sort tables within their schema: by size, rows or name."""
        orders = inside.ORDERS
        self._order = orders[(orders.index(self._order) + (-1 if backwards else 1)) % len(orders)]
        self._show_tree()
        self.post_message(Announced(f"tables sorted by {self._order}"))

    def situation(self, base: Situation) -> Situation:
        """Say which table is under the cursor."""
        leaf = self.table.cursor_row
        crumbs = [self.entry.backup_id] if self.entry else []
        crumbs += [str(leaf.table.table_name)] if leaf and leaf.table and self.is_reading else []
        copyable = base.copyable
        if self.is_reading:
            copyable = self.text.text
        elif leaf is not None:
            copyable = str(leaf.table.table_name) if leaf.table else leaf.label
        return replace(
            base,
            scopes=("contents", "backups", "global"),
            crumbs=(*base.crumbs, *crumbs),
            table=leaf.table if leaf else None,
            foldable=leaf is not None and leaf.folded is not None,
            ticked=len(self.ticked),
            deep=True,
            copyable=copyable,
        )
