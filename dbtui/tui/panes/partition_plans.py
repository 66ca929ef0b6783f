"""The third level of the partitions pane: a plan, step by step; what is applied is asked for first."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import BindingType

from dbtui.jobs import Job, JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import PartitionsResult
from dbtui.model.policies import PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.routines.partition_journal import JOURNALS
from dbtui.tui import partition_requests as requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import Line, dim, line
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.dialogs.planned import error_lines
from dbtui.tui.messages import JobWanted, SituationChanged
from dbtui.tui.panes import partition_steps as rows
from dbtui.tui.panes.partition_view import PartitionView
from dbtui.tui.partition_requests import ReadPlan
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background


class PlanView(PartitionView):
    """Shows a plan as it was read, and afterwards what became of its steps."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("steps")

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="plan-view")
        self.runner = runner
        self.profile: ConnectionProfile | None = None
        self.planned: TableName | None = None
        self.words: Mapping[str, Any] = {}  # what the operator has changed about the policy
        self.read: ReadPlan | None = None
        self.done: PartitionsResult | None = None
        self._at = 0  # the number of the step under way

    def make_table(self) -> Table[rows.PlanRow]:
        """The steps."""
        return Table(rows.COLUMNS, lambda row: row.key, rows.row_search, id="steps", classes="list")

    @property
    def journals(self) -> Path:
        """Where runs leave their journals."""
        return Path(self.runner.history.state_dir) / JOURNALS

    @property
    def row(self) -> rows.PlanRow | None:
        """The row under the cursor."""
        found: rows.PlanRow | None = self.table.cursor_row
        return found

    # ------------------------------------------------------------ planning

    def open(self, profile: ConnectionProfile, table: TableName) -> None:
        """Plan for a table by its policy."""
        self.profile, self.planned, self.words = profile, table, {}
        self.table.show_filter("")
        self.make_plan()

    def close(self) -> None:
        """Plan no more."""
        self.workers.cancel_node(self)
        self.planned = self.read = self.done = self.taken_at = None

    def make_plan(self) -> None:
        """Look at the table and plan anew."""
        if self.profile is None or self.planned is None:
            return
        self.read = self.done = self.taken_at = None
        self.show_all()
        self._say_planning(0.0)
        run_in_background(self, "plan", self._plan, self.profile, self.planned, self.words, group="plan")

    async def _plan(self, profile: ConnectionProfile, table: TableName, words: Mapping[str, Any]) -> None:
        began = time.monotonic()
        timer = self.set_interval(1.0, lambda: self._say_planning(time.monotonic() - began))
        try:
            outcome = await outcome_of(self.runner, requests.plan(profile, table, words, self.journals))
        finally:
            timer.stop()
        if outcome.result is None:
            self.table.show_rows((), [(*line(" "), *each) for each in error_lines(outcome.error)])
            self.show_headline()
        else:
            self.show(outcome.result)
        self.post_message(SituationChanged())

    def _say_planning(self, seconds: float) -> None:
        stops = speak_keys(", {global.back} stops")
        waited = f" {seconds:.0f} s{stops}" if seconds >= 1 else ""
        self.table.show_rows((), [line(dim(f" Looking at {self.planned} and planning …{waited}"))])

    def show(self, read: ReadPlan) -> None:
        """Show a plan, at its first step."""
        self.read, self.done, self.taken_at, self._at = read, None, datetime.now(UTC), 0
        self.table.show_rows(())
        self.show_all()
        first = next((row.key for row in self.table.view.shown if row.kind != "plan"), "plan")
        self.table.move_to(first)

    def show_end(self, table: str, done: PartitionsResult | None) -> None:
        """Show what became of each step; of a run that has no result to tell, what is left to do."""
        if self.read is None or table != str(self.planned):
            return
        self._at = 0
        if done is None:
            self.make_plan()
        else:
            self.done = done
            self.show_all()

    # ------------------------------------------------------------ what is shown

    def show_all(self) -> None:
        """Draw the plan."""
        if self.read is not None:
            self.table.show_rows(rows.plan_rows(self.read, self.done, self._at))
        self.show_headline()
        self.show_detail()

    def headline_lines(self) -> Sequence[Line]:
        """What the plan comes to."""
        return rows.plan_headline(self.read, self.done, self.app.size.width) if self.read is not None else ()

    def detail_lines(self, row: Any, width: int) -> Sequence[Line]:
        """All about the row under the cursor."""
        if self.read is None or self.profile is None:
            return ()
        return rows.show_row(row, self.read, self.done, self.profile)

    def situation(self, base: Situation) -> Situation:
        """Say which step is under the cursor, and why the plan cannot be applied."""
        row = self.row
        return replace(
            base,
            scopes=("steps", "global"),
            crumbs=(*base.crumbs, str(self.planned or ""), "plan"),
            no_apply=self.no_apply(),
            no_step="" if row is not None else "no step under the cursor",
            copyable=self._copyable(row),
            deep=True,
        )

    def _copyable(self, row: rows.PlanRow | None) -> str:
        if row is None or self.read is None:
            return ""
        if row.step is not None:
            return rows.sql_of(row.step) or str(row.step.partition)
        return rows.sql_of_plan(self.read.plan.steps) or row.text if row.kind == "plan" else row.text

    def no_apply(self) -> str:
        """Return why the plan cannot be applied, or nothing."""
        read, profile = self.read, self.profile
        if profile is not None and profile.read_only:
            return f"{profile.name} is read-only"
        if read is None or profile is None:
            return "there is no plan yet"
        if not read.plan.steps:
            return read.plan.refusals[0] if read.plan.refusals else "there is nothing to do"
        if self.done is not None:
            return speak_keys("this plan was applied: {global.refresh} plans anew")
        return speak_keys("it is being applied: {global.cancel} cancels that") if self.running is not None else ""

    @property
    def running(self) -> Job[Any] | None:
        """The job that applies a plan of this table."""
        if self.profile is None:
            return None
        wanted = (requests.APPLY, self.profile.name, str(self.planned))
        for job in self.runner.running:
            if (job.request.routine, job.request.target, job.request.subject) == wanted:
                return job
        return None

    def show_progress(self) -> None:
        """Show which step is under way."""
        job = self.running
        at = job.whole.done + 1 if job is not None and job.whole is not None else 0
        if self.read is not None and at != self._at:
            self._at = at
            self.table.show_rows(rows.plan_rows(self.read, self.done, at))

    # ------------------------------------------------------------ keys

    def act_read(self) -> None:
        """Read about what is under the cursor."""
        self.read_detail()

    def act_apply(self) -> None:
        """Ask, then do the plan."""
        if self.read is not None and self.profile is not None:
            ask_in_background(self, "apply dialog", self._apply, self.profile, self.read)

    async def _apply(self, profile: ConnectionProfile, read: ReadPlan) -> None:
        from dbtui.tui.dialogs.apply_partitions import ApplyPartitionsDialog

        dialog = ApplyPartitionsDialog(self.runner, profile, read, self.words, self.journals)
        chosen = await ask(self, dialog)
        if chosen is not None:
            self.post_message(JobWanted(requests.apply(profile, chosen, self.journals)))
        elif dialog.changed is not None:
            self.show(dialog.changed)

    def act_policy(self) -> None:
        """Ask what the table should be like, then plan by that."""
        if self.profile is not None and self.planned is not None:
            policy = self.read.plan.policy if self.read is not None else PartitionPolicy(table=self.planned)
            ask_in_background(self, "policy dialog", self._ask_policy, self.profile, policy)

    async def _ask_policy(self, profile: ConnectionProfile, policy: PartitionPolicy) -> None:
        from dbtui.tui.dialogs.partition_policy import PolicyDialog

        chosen = await ask(self, PolicyDialog(self.runner, profile, policy, self.words, self.journals))
        if chosen is not None:
            self.words = chosen.words
            self.show(chosen.read)
