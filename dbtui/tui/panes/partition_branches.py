"""The second level of the partitions pane: the tree of one table, its timeline, and all about one partition."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.message import Message

from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.partitions import Partition
from dbtui.model.tables import TableName
from dbtui.model.text import format_bytes
from dbtui.tui import partition_requests as requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import BLANK, Line, Tone, dim, line
from dbtui.tui.messages import SituationChanged
from dbtui.tui.panes import partition_tree as tree
from dbtui.tui.panes.partition_detail import show_node
from dbtui.tui.panes.partition_list import headline
from dbtui.tui.panes.partition_strip import Strip, lay_strip
from dbtui.tui.panes.partition_view import PartitionView
from dbtui.tui.partition_requests import JudgedTable
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

_MOST_MEASURED = 2000


class TreeView(PartitionView):
    """Shows the last look at one table."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("partitions")

    class PlanWanted(Message):
        """A plan is wanted for what is under the cursor."""

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="tree-view")
        self.runner = runner
        self.profile: ConnectionProfile | None = None
        self.judged: JudgedTable | None = None
        self.facts: tree.Facts | None = None
        self.exact: dict[TableName, int] = {}
        self._unfolded: frozenset[str] = frozenset()
        self._order, self._backwards = tree.ORDERS[0], False
        self._strip, self._headline = Strip(), [BLANK]  # of ten thousand partitions: not for every step of the cursor
        self._headline_of: tuple[JudgedTable | None, int] = (None, 0)
        self._rows: list[tree.Node] = []
        self._rows_of: tuple[object, ...] = ()

    def make_table(self) -> Table[tree.Node]:
        """The partitions."""
        return Table(tree.COLUMNS, lambda node: node.key, tree.search_of, id="partition-tree", classes="list")

    # ------------------------------------------------------------ what is shown

    @property
    def node(self) -> tree.Node | None:
        """The row under the cursor."""
        row: tree.Node | None = self.table.cursor_row
        return row

    @property
    def chosen(self) -> TableName | None:
        """What a plan would be for: the table, or the partition around the cursor that is partitioned itself."""
        if self.judged is None:
            return None
        table, node = self.judged.table, self.node
        if node is None or table.engine is not EngineName.POSTGRESQL:
            return table.table
        branch = node.partition if node.partition is not None and node.partition.strategy is not None else node.parent
        return branch.table if branch is not None else table.table

    def open(self, profile: ConnectionProfile, judged: JudgedTable) -> None:
        """Show another table, at the partition of now."""
        self.profile = profile
        self.exact, self._unfolded = {}, frozenset()
        self._order, self._backwards = tree.ORDERS[0], False
        self.table.show_filter("")
        self.table.show_rows(())
        self.show(judged)
        self.go_to_current()

    def close(self) -> None:
        """Show nothing any more."""
        self.workers.cancel_node(self)
        self.judged = self.facts = self.taken_at = None
        self._headline_of, self._rows, self._rows_of = (None, 0), [], ()

    def show(self, judged: JudgedTable) -> None:
        """Show this look at the table that is open."""
        self.judged, self.facts, self.taken_at = judged, tree.Facts(judged, self.exact), datetime.now(UTC)
        self.show_all()

    def forget_sizes(self) -> None:
        """What was measured may be different now."""
        self.exact = {}

    def show_all(self) -> None:
        """Draw headline, timeline, tree and detail."""
        if self.facts is None:
            return
        shape = (self.facts, self._unfolded, self._order, self._backwards)
        if shape != self._rows_of:
            self._rows, self._rows_of = tree.tree_of(*shape), shape
        first = speak_keys("{partitions.plan} plans the first")
        self.table.show_rows(self._rows, [line(" It has no partition yet: ", dim(first))])
        self.show_headline()
        self.show_detail()

    def headline_lines(self) -> Sequence[Line]:
        """What the table is, and the timeline with what is under the cursor."""
        if self.judged is None or self.facts is None:
            return ()
        assessment, width = self.judged.assessment, self.app.size.width
        if self._headline_of[0] is not self.judged or self._headline_of[1] != width:
            self._strip = lay_strip(assessment.coverage, self.judged.table.taken_at, width, assessment.due)
            self._headline, self._headline_of = headline(self.judged, width), (self.judged, width)
        node, focused = self.node, None
        if node is not None:
            focused = node.gap or (self.facts.span_of(node.partition) if node.partition is not None else None)
        return [*self._headline, *self._strip.show(focused)]

    def detail_lines(self, row: Any, width: int) -> Sequence[Line]:
        """All about the row under the cursor."""
        return show_node(row)

    def situation(self, base: Situation) -> Situation:
        """Say what is under the cursor."""
        node = self.node
        name = str(self.judged.table.table) if self.judged is not None else ""
        return replace(
            base,
            scopes=("partitions", "live", "global"),
            crumbs=(*base.crumbs, name),
            partitioned=self.judged is not None,
            foldable=node is not None and node.folded is not None,
            has_branches=self.judged is not None and any(each.partitions for each in self.judged.table.partitions),
            copyable=self._copyable(node),
            deep=True,
        )

    def _copyable(self, node: tree.Node | None) -> str:
        if node is None:
            return ""
        if self.pane.has_class("-reading") and self.detail.has_focus:
            return self.detail.text
        if node.partition is not None:
            return str(node.partition.table)
        return str(node.detached.table) if node.detached is not None else node.bounds

    # ------------------------------------------------------------ going about

    def act_detail(self) -> None:
        """Read about what is under the cursor; open or shut a branch."""
        node = self.node
        if node is None or node.folded is None:
            self.read_detail()
            return
        self._unfolded ^= {node.key}
        self.show_all()

    def act_info(self) -> None:
        """Read about what is under the cursor, whatever it is."""
        self.read_detail()

    def act_plan(self) -> None:
        """Plan for this table, or for the partition under the cursor that is partitioned itself."""
        self.post_message(self.PlanWanted())

    def act_fold(self) -> None:
        """Open every branch; shut them all, if any is open."""
        if self.judged is not None:
            self._unfolded = frozenset() if self._unfolded else tree.branch_keys(self.judged.table.partitions)
            self.show_all()

    def go_to_current(self) -> bool:
        """Put the cursor on the partition that takes the rows of now. Returns False when there is none."""
        current = self.judged.assessment.current if self.judged is not None else ""
        for node in self.table.view.shown:
            if current and node.partition is not None and node.partition.table.name == current:
                self.table.move_to(node.key, centred=True)
                return True
        return False

    def act_current(self) -> None:
        """Go to the partition that takes the rows of now."""
        if not self.go_to_current():
            self.announce("no partition that is shown takes the rows of now", Tone.WARNING)

    def act_next(self) -> None:
        """Go to the next row that somebody should look at; after the last one, to the first."""
        rows, cursor = self.table.view.shown, self.table.cursor
        for node in (*rows[cursor + 1 :], *rows[: cursor + 1]):
            if node.is_marked:
                self.table.move_to(node.key, centred=True)
                return
        self.announce("no partition is marked")

    def sort(self, backwards: bool) -> None:
        """Partitions are sorted among their siblings: by bounds, size, rows or name."""
        if backwards:
            self._backwards = not self._backwards
        else:
            self._order = tree.ORDERS[(tree.ORDERS.index(self._order) + 1) % len(tree.ORDERS)]
            self._backwards = False
        self.show_all()
        self.announce(f"sorted by {self._order}{', backwards' if self._backwards else ''}")

    # ------------------------------------------------------------ measuring

    def act_sizes(self) -> None:
        """Measure what is on the screen."""
        judged, profile = self.judged, self.profile
        if judged is None or profile is None:
            return
        top = round(self.table.scroll_offset.y)
        nodes: list[tree.Node] = self.table.view.shown[top : top + max(1, self.table.size.height - 1)]
        visible = [node.partition for node in nodes if node.partition is not None]
        chosen = list({leaf.table: leaf for each in visible for leaf in tree.leaves_of(each)}.values())
        chosen = chosen[:_MOST_MEASURED]
        self.announce(f"measuring {_count(len(chosen))} …")
        run_in_background(self, "measure partitions", self._measure, profile, judged, chosen, group="measure")

    async def _measure(self, profile: ConnectionProfile, judged: JudgedTable, chosen: list[Partition]) -> None:
        outcome = await outcome_of(self.runner, requests.sizes(profile, judged.table.table, chosen))
        if outcome.result is None:
            self.announce(f"not measured: {outcome.error}", Tone.TROUBLE)
            return
        if self.judged is None or self.judged.table.table != judged.table.table:
            return
        self.exact = {**self.exact, **outcome.result}
        self.facts = tree.Facts(self.judged, self.exact)
        self.show_all()
        count = len(outcome.result)
        left = f"; {len(chosen) - count} could not be, they are locked" if count < len(chosen) else ""
        self.announce(f"{_count(count)} measured: {format_bytes(sum(outcome.result.values()))}{left}", Tone.OK)
        self.post_message(SituationChanged())


def _count(number: int) -> str:
    return f"{number} partition{'' if number == 1 else 's'}"
