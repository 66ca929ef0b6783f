"""The first level of the partitions pane: every partitioned table of the open target."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.binding import BindingType

from dbtui.model.connections import ConnectionProfile
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import Line, line
from dbtui.tui.dialogs.planned import error_lines
from dbtui.tui.panes import partition_list as listing
from dbtui.tui.panes.partition_strip import lay_strip
from dbtui.tui.panes.partition_view import PartitionView
from dbtui.tui.partition_requests import JudgedTable, JudgedTables
from dbtui.tui.widgets.table import Table


class TablesView(PartitionView):
    """Shows what was seen last. Who opens a table, or plans for one, is the pane."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("partitioned")

    def __init__(self) -> None:
        super().__init__(id="tables-view")
        self.profile: ConnectionProfile | None = None
        self.seen: JudgedTables | None = None
        self.problem: BaseException | None = None

    def make_table(self) -> Table[JudgedTable]:
        """The tables."""
        return Table(listing.COLUMNS, listing.table_key, listing.table_search, id="partitioned", classes="list")

    @property
    def chosen(self) -> JudgedTable | None:
        """The table under the cursor."""
        row: JudgedTable | None = self.table.cursor_row
        return row

    def show_nothing(self, profile: ConnectionProfile | None, seconds: float | None) -> None:
        """Show that nothing is known. `seconds`: how long the server has been asked; None: nobody has asked it."""
        self.profile, self.seen, self.problem, self.taken_at = profile, None, None, None
        self.table.show_rows((), listing.show_nothing(profile, "", seconds))
        self.show_headline()
        self.show_detail()

    def show_problem(self, problem: BaseException | None) -> None:
        """Show why the tables are not known."""
        self.problem = problem
        self.show_all()

    def show(self, seen: JudgedTables) -> None:
        """Show these tables."""
        self.seen, self.problem, self.taken_at = seen, None, datetime.now(UTC)
        self.show_all()

    def show_all(self) -> None:
        """Draw the tables, or why there is none."""
        if self.problem is not None and (self.seen is None or not self.seen.tables):
            self.table.show_rows((), [(*line(" "), *each) for each in error_lines(self.problem)])
        elif self.seen is not None:
            nothing = listing.show_nothing(self.profile, self.seen.snapshot.unsupported, None)
            self.table.show_rows(self.seen.tables, nothing)
        self.show_headline()
        self.show_detail()

    def headline_lines(self) -> Sequence[Line]:
        """Why what is shown is old; else nothing."""
        if self.problem is None or self.seen is None or not self.seen.tables:
            return ()
        return [(*line(" "), *each) for each in error_lines(self.problem)]

    def detail_lines(self, row: Any, width: int) -> Sequence[Line]:
        """All about the table under the cursor."""
        judged: JudgedTable = row
        coverage, due = judged.assessment.coverage, judged.assessment.due
        return listing.show_table(judged, lay_strip(coverage, judged.table.taken_at, width, due))

    def situation(self, base: Situation) -> Situation:
        """Say which table is under the cursor."""
        chosen = self.chosen
        return replace(
            base,
            scopes=("partitioned", "live", "global"),
            partitioned=chosen is not None,
            copyable=str(chosen.table.table) if chosen is not None else "",
            deep=base.filtered or base.deep,
        )

    def act_detail(self) -> None:
        """Read all about the table under the cursor."""
        self.read_detail()
