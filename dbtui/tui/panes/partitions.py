"""Pane 4: the partitioned tables of the open target, the tree of one, and the plan that keeps it right."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from dbtui.jobs import Job, JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.jobs import JobOutcome
from dbtui.model.partitions import PartitionsResult
from dbtui.model.tables import TableName
from dbtui.tui import partition_requests as requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import Tone
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import SituationChanged
from dbtui.tui.paces import step_pace
from dbtui.tui.panes.pane import Pane
from dbtui.tui.panes.partition_branches import TreeView
from dbtui.tui.panes.partition_plans import PlanView
from dbtui.tui.panes.partition_tables import TablesView
from dbtui.tui.panes.partition_view import PartitionView
from dbtui.tui.partition_requests import JudgedTable, JudgedTables
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

TABLES, TREE, PLAN = "tables", "tree", "plan"
LOOK_SECONDS = 60.0
_PACES = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
#: A look that took long is not repeated before so many times as long have passed.
_REST = 20


class PartitionsPane(Pane):
    """Asks now and then while it is in view, when it is told to, and after a plan was applied."""

    TITLE: ClassVar[str] = "Partitions"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("live")

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="partitions")
        self.runner = runner
        self.profile: ConnectionProfile | None = None
        self.level = TABLES
        self.look_seconds, self.least_seconds = LOOK_SECONDS, 0.0
        self.is_paused = self._is_shown = False
        self._came_from = TABLES  # where the plan was asked for
        self._asked_at = self._took_seconds = 0.0
        self._looking = ""  # the level that is being asked for
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Three levels; one of them is shown."""
        yield TablesView()
        yield TreeView(self.runner)
        yield PlanView(self.runner)

    # ------------------------------------------------------------ levels

    @property
    def tables(self) -> TablesView:
        """Every table."""
        return self.query_one(TablesView)

    @property
    def branches(self) -> TreeView:
        """One table."""
        return self.query_one(TreeView)

    @property
    def plan(self) -> PlanView:
        """Its plan."""
        return self.query_one(PlanView)

    @property
    def view(self) -> PartitionView:
        """The level that is shown."""
        views: dict[str, PartitionView] = {TABLES: self.tables, TREE: self.branches, PLAN: self.plan}
        return views[self.level]

    def on_mount(self) -> None:
        """Begin with the tables."""
        self._show_level()
        if self.profile is None:
            self.tables.show_nothing(None, None)

    def _show_level(self) -> None:
        for view in (self.tables, self.branches, self.plan):
            view.display = view is self.view

    def enter_level(self, level: str) -> None:
        """Show another level."""
        self.level = level
        self.set_class(False, "-reading")
        self._show_level()
        if self._is_shown:
            self.focus_content()
        self.call_after_refresh(self.view.show_all)
        self.post_message(SituationChanged())

    def focus_content(self) -> None:
        """The list that is shown, or the text that has taken its place."""
        focus_now(self.view.table if self.view.table.display else self.view.detail)

    def open_target(self, profile: ConnectionProfile) -> None:
        """Show the tables of another target from now on."""
        if profile == self.profile:
            return
        self.workers.cancel_node(self)
        self.profile, self._looking, self._asked_at = profile, "", 0.0
        self.branches.close()
        self.plan.close()
        self.tables.table.show_filter("")
        self.tables.show_nothing(profile, None)
        self.enter_level(TABLES)
        if self._is_shown:
            self.look()

    # ------------------------------------------------------------ looking

    def shown(self, in_view: bool) -> None:
        """Out of sight nothing is asked; coming back, what is old is asked for anew."""
        if in_view == self._is_shown:
            return
        self._is_shown = in_view
        if in_view:
            self._look_if_old()
        self._schedule()

    def _look_if_old(self) -> None:
        taken_at = self.view.taken_at
        is_old = taken_at is None or (datetime.now(UTC) - taken_at).total_seconds() > self.pace
        if is_old and (taken_at is None or not self.is_paused):
            self.look()

    def set_pace(self, seconds: float) -> None:
        """Ask no more often than this: the terminal's link takes no more."""
        self.least_seconds = seconds

    @property
    def pace(self) -> float:
        """Seconds between looks."""
        return max(self.look_seconds, self.least_seconds, self._took_seconds * _REST)

    @property
    def is_waiting(self) -> bool:
        """Whether it will look again by itself."""
        return self._timer is not None

    def _schedule(self) -> None:
        """Look again after a while, if somebody looks here."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._is_shown and not self.is_paused and self.is_attached:
            self._timer = self.set_timer(self.pace, self.look)

    def look(self) -> None:
        """Ask for what is shown, unless that is being done; a plan stays as it was read."""
        if self._looking != self.level:
            self._ask(self.level)
        self._schedule()

    def load(self) -> None:
        """Ask now, also for what is dear to ask; a plan is made anew."""
        self.branches.forget_sizes()
        if self.level == PLAN:
            self.plan.make_plan()
        else:
            self._ask(self.level, is_whole=True)

    def _ask(self, level: str, *, is_whole: bool = False) -> None:
        profile, judged = self.profile, self.branches.judged
        if profile is None or level == PLAN:
            return
        self._looking, self._asked_at = level, time.monotonic()
        if level == TABLES:
            if self.tables.seen is None and self.tables.problem is None:
                self.tables.show_nothing(profile, 0.0)
            run_in_background(self, "look at partitions", self._look_at_all, profile, group="look")
        elif judged is not None:
            work = requests.table(profile, judged, asks_prunes=is_whole or not judged.is_whole)
            run_in_background(self, "look at a table", self._look_at_one, profile, work, group="look")

    async def _look_at_all(self, profile: ConnectionProfile) -> None:
        outcome = await self._asking(requests.tables(profile), self._show_waiting)
        if outcome.result is None:
            self.tables.show_problem(outcome.error)
        elif profile == self.profile:
            self.show_tables(outcome.result)

    async def _look_at_one(self, profile: ConnectionProfile, work: JobRequest[JudgedTable]) -> None:
        outcome = await self._asking(work)
        if outcome.result is None:
            self.announce(f"not asked anew: {outcome.error}", Tone.TROUBLE)
        elif profile == self.profile:
            self.show_table(outcome.result)

    async def _asking(self, request: JobRequest[Any], say: Callable[[], object] = lambda: None) -> JobOutcome[Any]:
        """Wait for an answer; meanwhile say how long that has taken."""
        began, timer = time.monotonic(), self.set_interval(1.0, say)
        try:
            return await outcome_of(self.runner, request)
        finally:
            timer.stop()
            self._looking, self._took_seconds = "", time.monotonic() - began

    def _show_waiting(self) -> None:
        if self.tables.seen is None and self.tables.problem is None:
            self.tables.show_nothing(self.profile, time.monotonic() - self._asked_at)

    def show_tables(self, seen: JudgedTables) -> None:
        """Show these tables; a look older than the one that is shown is dropped."""
        before = self.tables.seen
        if before is not None and seen.snapshot.taken_at < before.snapshot.taken_at:
            return
        self.tables.show(seen)
        self.post_message(SituationChanged())

    def show_table(self, judged: JudgedTable) -> None:
        """Show this look at the table that is open; an older one is dropped."""
        before = self.branches.judged
        if before is None or before.table.table != judged.table.table or judged.table.taken_at < before.table.taken_at:
            return
        self.branches.show(judged)
        self.post_message(SituationChanged())

    # ------------------------------------------------------------ where the operator is

    def owner_of(self, scope: str) -> object:
        """Tree and plan have their own keys."""
        return {"partitions": self.branches, "steps": self.plan}.get(scope, self)

    def situation(self, base: Situation) -> Situation:
        """Say what is under the cursor, and what may be done."""
        crumbs = (self.profile.name, "partitions") if self.profile is not None else ("partitions",)
        deep = base.filtered or self.has_class("-reading")
        return self.view.situation(
            replace(base, crumbs=crumbs, no_plan=self._no_plan(), deep=deep, age=self._age(),
                    profile=self.profile)
        )  # fmt: skip

    def _no_plan(self) -> str:
        if self.profile is not None and self.profile.engine is EngineName.SQLITE:
            return "SQLite has no partitioned tables"
        return "" if self.planned_for is not None else "no table under the cursor"

    @property
    def planned_for(self) -> TableName | None:
        """What would be planned for."""
        if self.level == TREE:
            return self.branches.chosen
        chosen = self.tables.chosen
        return chosen.table.table if chosen is not None else None

    def _age(self) -> str:
        if self.view.taken_at is None:
            return ""
        age = age_text(self.view.taken_at, datetime.now(UTC))
        return f"paused, {age}" if self.is_paused else age

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another row."""
        if table is self.view.table:
            self.view.show_detail()
            self.view.show_headline()

    def on_resize(self) -> None:
        """Headline and timeline are made for a width."""
        self.call_after_refresh(self.view.show_all)

    def back(self) -> bool:
        """From the text to the list, from the plan to where it was asked for, from the tree to the tables."""
        if self.has_class("-reading"):
            self.set_class(False, "-reading")
            focus_now(self.view.table)
            self.post_message(SituationChanged())
        elif self.level == PLAN:
            self.plan.close()
            self.enter_level(self._came_from)
        elif self.level == TREE:
            self.branches.close()
            self.enter_level(TABLES)
            self._look_if_old()
        elif self.screen.focused is not self.view.table:
            focus_now(self.view.table)
        else:
            return False
        return True

    def sort(self, backwards: bool) -> None:
        """A tree is sorted among siblings, a plan not at all: its order matters."""
        if self.level == TREE:
            self.branches.sort(backwards)
        elif self.level == PLAN:
            self.announce("the steps stand in the order in which they are done")
        else:
            super().sort(backwards)

    def job_changed(self) -> None:
        """Show which step of the plan is under way."""
        if self.level == PLAN:
            self.plan.show_progress()

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """A plan was applied, in whole or in part: show what became of it, and look at the tables again."""
        request = job.request
        if request.routine != requests.APPLY or self.profile is None or request.target != self.profile.name:
            return
        done = outcome.result if isinstance(outcome.result, PartitionsResult) else None
        self.plan.show_end(request.subject, done)
        self.branches.forget_sizes()
        if self.level != PLAN:
            self._ask(self.level)
        elif self._came_from == TREE:
            self._ask(TREE)
        else:
            self._ask(TABLES)

    # ------------------------------------------------------------ keys

    def act_open(self) -> None:
        """Show the tree of the table under the cursor: at once as the list knows it, then whole."""
        judged = self.tables.chosen
        if judged is None or self.profile is None:
            return
        self.branches.open(self.profile, judged)
        self.enter_level(TREE)
        self.call_after_refresh(self.branches.go_to_current)  # in the middle, once it is known how high the list is
        self._ask(TREE, is_whole=True)

    def act_detail(self) -> None:
        """Read all about the table under the cursor."""
        self.tables.read_detail()

    def act_plan(self) -> None:
        """Plan for the table under the cursor, or the one that is open."""
        table = self.planned_for
        if table is None or self.profile is None:
            return
        if self.level != PLAN:
            self._came_from = self.level
        self.enter_level(PLAN)
        self.plan.open(self.profile, table)

    def on_tree_view_plan_wanted(self, message: TreeView.PlanWanted) -> None:
        """The same, for what is under the cursor of the tree."""
        message.stop()
        self.act_plan()

    def act_pause(self) -> None:
        """Ask nothing more, or go on."""
        self.is_paused = not self.is_paused
        self._schedule()
        paused = speak_keys("paused: {live.pause} goes on, {global.refresh} asks once")
        self.announce(paused if self.is_paused else "asking again")

    def act_faster(self) -> None:
        """Ask more often."""
        self._change_pace(-1)

    def act_slower(self) -> None:
        """Ask less often."""
        self._change_pace(1)

    def _change_pace(self, step: int) -> None:
        self.look_seconds = step_pace(self.look_seconds, step, _PACES)
        self._schedule()
        self.announce(f"asking every {self.look_seconds:g} s")
