"""The second level of the queries pane: the statements that take the time, and the plan of one."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from textual.binding import BindingType

from dbtui.analysis.queries.live_sums import LiveLook
from dbtui.analysis.queries.normalising import Normaliser
from dbtui.jobs import JobRunner
from dbtui.model.top_queries import TopQueriesWindow, TopQueryRate
from dbtui.routines.queries import ExplainedQuery
from dbtui.tui import query_requests as requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, plain_text
from dbtui.tui.dialogs.planned import error_lines
from dbtui.tui.messages import CopyWanted
from dbtui.tui.panes import query_columns as columns
from dbtui.tui.panes import query_detail as detail
from dbtui.tui.panes.partition_view import PartitionView
from dbtui.tui.panes.query_columns import TopRow
from dbtui.tui.panes.query_list import Watched, problem_lines
from dbtui.tui.panes.query_plans import show_tree
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

_MOST_GAPS = 3
_COPIED_WIDTH = 100


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known of the plan of a shape."""

    key: str
    explained: ExplainedQuery | None = None
    lines: tuple[Line, ...] = ()
    is_tree: bool = True

    def show(self, width: int) -> list[Line]:
        """Return it as lines of so many cells."""
        if self.explained is None:
            return list(self.lines)
        if not self.is_tree:
            other = line(dim(speak_keys("the server's words; {top.explain} draws the tree")))
            return [other, *(line(text) for text in self.explained.plan.splitlines())]
        other = line(dim(speak_keys("expected, not measured; {top.explain} shows the server's words")))
        return [other, *show_tree(self.explained.tree, width)]


class TopView(PartitionView):
    """Shows the last look, since the reset or since the look before."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("top")

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="top-view")
        self.runner = runner
        self.watched = Watched()
        self.is_whole = False  # since the reset, not since the look before
        self.marks_changes = True  # not on a slow link: each mark is sent, and taken off again
        self._before: dict[str, TopQueryRate] | None = None
        self._now: TopQueriesWindow | None = None
        self._plan: _Plan | None = None
        self._indexed: LiveLook | None = None  # the look whose rates are `_rates`: in the window, in all
        self._rates: tuple[dict[str, TopQueryRate], dict[str, TopQueryRate]] = ({}, {})
        self._normaliser = Normaliser()

    def make_table(self) -> Table[TopRow]:
        """The shapes, those that take most first."""
        table: Table[TopRow] = Table(columns.COLUMNS, lambda row: row.key, columns.search, live=True, id="top",
                                     classes="list")  # fmt: skip
        table.sort_by(columns.TIME)
        return table

    @property
    def row(self) -> TopRow | None:
        """The shape under the cursor."""
        found: TopRow | None = self.table.cursor_row
        return found

    @property
    def window(self) -> TopQueriesWindow | None:
        """What is listed."""
        look = self.watched.look
        return None if look is None else look.whole if self.is_whole else look.window

    # ------------------------------------------------------------ what is shown

    def show(self, watched: Watched) -> None:
        """Show what is known now."""
        if watched.profile != self.watched.profile:
            self._before = self._now = self._plan = None
            if watched.profile is not None:
                self._normaliser = Normaliser(watched.profile.engine)
        self.watched = watched
        if self.window is not self._now:
            self._before = columns.rates_by_key(self._now) if self._now is not None else None
            self._now = self.window
        self.show_all()

    def show_all(self) -> None:
        """Draw the shapes, or why there is none."""
        window = self.window
        before = self._before if self.marks_changes else None
        found = columns.make_rows(window, before, marks_values=self.is_whole) if window is not None else []
        self.table.show_rows(found, self._nothing())
        self.show_headline()
        self.show_detail()

    def _nothing(self) -> list[Line]:
        watched = self.watched
        if watched.profile is None:
            how = speak_keys("{global.connections}, then {connections.open} opens one.")
            return [line(f" The statements of a connection would be here: {how}")]
        if watched.is_file:
            return [line(f" {watched.profile.name} is a file that applications open: no server sums up statements.")]
        look = watched.look
        if look is None:
            waited = f" {watched.asked_seconds:.0f} s" if watched.asked_seconds >= 1 else ""
            return [line(dim(f" Asking {watched.profile.name} for its sums of statements …{waited}"))]
        if not look.snapshot.source:
            return []
        if self.is_whole or look.window is not None:
            return [line(dim(" No statement ran in this time."))]
        return [
            line(dim(f" One look is there; the next, in {watched.pace_seconds:.0f} s, tells what ran between.")),
            BLANK,
            line(" ", Span(speak_keys("{top.span}"), Tone.KEY), " shows what ran since the counters began"),
        ]

    def headline_lines(self) -> Sequence[Line]:
        """What is summed up, and over which time."""
        look, window = self.watched.look, self.window
        lines = problem_lines(self.watched)
        if look is None:
            return lines
        gaps = [line(" ", Span("○ ", Tone.WARNING), gap) for gap in look.snapshot.gaps[:_MOST_GAPS]]
        if window is None or not look.snapshot.source:
            return [*lines, *gaps]
        what = line(" ", Span(f"{look.snapshot.source}   {detail.span_text(window)}"),
                    dim(f"   {columns.shapes_text(window.rates)}"),
                    dim("   paused" if self.watched.is_paused else ""))  # fmt: skip
        warnings = [line(" ", Span("▲ ", Tone.WARNING), each) for each in window.warnings]
        return [*lines, what, *gaps, *warnings]

    def detail_lines(self, row: Any, width: int) -> Sequence[Line]:
        """All about a shape."""
        look = self.watched.look
        if look is None:
            return ()
        rate: TopQueryRate = row.rate
        key = rate.query.key
        if self._indexed is not look:
            self._indexed = look
            self._rates = columns.rates_by_key(look.window), columns.rates_by_key(look.whole)
        now, whole = (each.get(key) for each in self._rates)
        shape = self._normaliser.shape(rate.query.sql)
        plan = self._plan.show(width) if self._plan is not None and self._plan.key == key else None
        may = speak_keys("it may be repeated for each row of another one: {queries.top} shows why")
        suspected = [line(Span("▲ ", Tone.WARNING), may) for each in look.suspects if each.child.key == key]
        return [
            *detail.show_query(rate.query, now, whole, look.window),
            *detail.show_advice(rate, shape, look.schema),
            *suspected,
            *detail.show_plan_key(plan),
        ]

    def situation(self, base: Situation) -> Situation:
        """Say which shape is under the cursor."""
        row = self.row
        return replace(
            base,
            scopes=("top", "queries", "live", "global"),
            crumbs=(*base.crumbs, "top"),
            top_query=row is not None,
            copyable=row.rate.query.sql if row is not None else "",
            deep=True,
        )

    # ------------------------------------------------------------ keys

    def act_span(self) -> None:
        """List what ran since the reset, or since the look before."""
        self.is_whole = not self.is_whole
        self._before, self._now = None, self.window
        self.show_all()
        self.announce("since the counters began" if self.is_whole else "between two looks")

    def act_read(self) -> None:
        """Read all about the shape under the cursor."""
        self.read_detail()

    def act_explain(self) -> None:
        """Ask for the plan of the shape under the cursor; once it is there, show it in the server's words, or drawn."""
        row, profile = self.row, self.watched.profile
        if row is None or profile is None:
            return
        self.read_detail()
        plan = self._plan
        if plan is not None and plan.key == row.key and plan.explained is not None:
            self._plan = replace(plan, is_tree=not plan.is_tree)
            self.show_detail()
            return
        run_in_background(self, "explain", self._explain, profile, row.key, group="explain")

    async def _explain(self, profile: Any, key: str) -> None:
        began = time.monotonic()

        def tell() -> None:
            waited = f"{time.monotonic() - began:.0f} s"
            self._tell(_Plan(key, lines=(line(dim(f"Asking for the plan … {waited}")),)))

        tell()
        timer = self.set_interval(1.0, tell)
        try:
            outcome = await outcome_of(self.runner, requests.explain(profile, key))
        finally:
            timer.stop()
        failed = tuple(error_lines(outcome.error)) if outcome.result is None else ()
        self._tell(_Plan(key, outcome.result, failed))
        self.detail.action_last()

    def _tell(self, plan: _Plan) -> None:
        self._plan = plan
        self.show_detail()

    def act_copy_all(self) -> None:
        """Copy all about the shape under the cursor."""
        if self.row is not None:
            lines = self.detail_lines(self.row, _COPIED_WIDTH)
            self.post_message(CopyWanted("\n".join(plain_text(each).rstrip() for each in lines)))
