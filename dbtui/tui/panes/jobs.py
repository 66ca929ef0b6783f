"""The last pane: what runs and what ran; the events, the exact commands and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.errors import DbtuiError
from dbtui.jobs import Job, JobRunner
from dbtui.model.events import CommandRan, Event, LoadTicked, Progressed, StepFinished, StepStarted, Warned
from dbtui.model.jobs import HistoryEntry, JobOutcome, JobState
from dbtui.model.text import format_duration
from dbtui.tui import requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import format_age, format_time, parse_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import fact
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import CancelWanted
from dbtui.tui.panes.pane import Pane
from dbtui.tui.spoken_keys import spoken_key
from dbtui.tui.widgets.drawn import TextPanel
from dbtui.tui.widgets.jobs_strip import format_amount, short_routine, what_text
from dbtui.tui.widgets.rows import Column
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

_SIGNS = {
    JobState.QUEUED: Span("○ waits", Tone.DIM),
    JobState.RUNNING: Span("● running", Tone.ACCENT),
    JobState.SUCCEEDED: Span("● done", Tone.OK),
    JobState.PARTIAL: Span("▲ partly", Tone.WARNING),
    JobState.FAILED: Span("✖ failed", Tone.TROUBLE),
    JobState.CANCELLED: Span("▲ cancelled", Tone.WARNING),
}
_PAST = 500


@dataclass(frozen=True, slots=True)
class Run:
    """A job of this session, or one that history kept."""

    key: str
    routine: str
    target: str
    subject: str
    state: JobState
    began_at: datetime | None
    seconds: float | None
    detail: str
    job: Job[Any] | None = None
    past: HistoryEntry | None = None


def run_of_job(job: Job[Any]) -> Run:
    """Return a job of this session as a row."""
    outcome, request = job.outcome, job.request
    detail = outcome_text(job, outcome) if outcome else job.step
    return Run(f"job {job.job_id}", request.routine, request.target, request.subject, job.state, job.began_at,
               outcome.seconds if outcome else None, detail, job=job)  # fmt: skip


def run_of_history(entry: HistoryEntry) -> Run:
    """Return a past run as a row."""
    began, ended = parse_time(entry.began), parse_time(entry.ended)
    seconds = (ended - began).total_seconds() if began and ended else None
    return Run(f"past {entry.entry_id}", entry.routine, entry.target, entry.subject, entry.state, began, seconds,
               entry.detail, past=entry)  # fmt: skip


def outcome_text(job: Job[Any], outcome: JobOutcome[Any]) -> str:
    """Return how a job ended in one sentence."""
    if isinstance(outcome.error, DbtuiError):
        return str(outcome.error)
    if outcome.error is not None:
        return f"unexpected {type(outcome.error).__name__}: {outcome.error}"
    return job.request.summary(outcome.result) if outcome.result is not None else outcome.state.value


def _what(run: Run) -> Line:
    return line(strong(short_routine(run.routine)), dim(f"  {what_text(run.target, run.subject)}"))


COLUMNS: list[Column[Run]] = [
    Column("BEGAN", lambda run: Span(format_age(run.began_at, datetime.now(UTC)) if run.began_at else "–"), 6,
           order=lambda run: run.began_at, descending=True),
    Column("STATE", lambda run: _SIGNS[run.state], 11, order=lambda run: run.state.value),
    Column("WHAT", _what, 24, grow=2, widest=60, order=lambda run: run.routine),
    Column("TOOK", lambda run: Span("" if run.seconds is None else format_duration(run.seconds)), 9, right=True,
           order=lambda run: run.seconds, descending=True),
    Column("RESULT", lambda run: dim(run.detail), 16, grow=3, spare=1),
]  # fmt: skip


def show_nothing() -> list[Line]:
    """Return what is here before anything has run, and the keys that change that."""
    return [
        line(" Nothing has run yet. Every backup, restore and verification would be here, with its exact commands."),
        BLANK,
        line(" ", Span(spoken_key("global.backups"), Tone.KEY), ", then ",
             Span(spoken_key("backups.backup"), Tone.KEY), " makes a backup"),
    ]  # fmt: skip


def show_event(event: Event) -> list[Line]:
    """Return the lines of one event."""
    match event:
        case StepStarted():
            return [line(Span("▌", Tone.ACCENT), strong(event.step), dim(f"  {event.detail}" if event.detail else ""))]
        case StepFinished():
            return [line("  ", dim(f"{event.step} took {event.seconds:.1f} s  {event.detail}"))]
        case Warned():
            return [line("  ", Span("▲ ", Tone.WARNING), event.message)]
        case CommandRan():
            first, *rest = event.text.splitlines() or [""]
            return [line("  ", dim("$ "), first), *(line("    ", text) for text in rest)]
        case LoadTicked():
            return []
        case Progressed():
            total = f" of {format_amount(event.total, event.unit)}" if event.total else ""
            return [line("  ", format_amount(event.done, event.unit), total)]


def show_run(run: Run) -> list[Line]:
    """Return all about a run."""
    lines: list[Line] = [line(strong(run.routine), f"  {run.subject}"), BLANK, fact("state", _SIGNS[run.state])]
    if run.detail:
        lines.append(fact("result" if run.state.is_final else "doing", run.detail))
    lines.append(fact("target", run.target))
    if run.began_at is not None:
        lines.append(fact("began", format_time(run.began_at)))
    if run.seconds is not None:
        lines.append(fact("took", format_duration(run.seconds)))
    if run.past is not None:
        lines += [fact("by", run.past.operator), BLANK, *_commands(run.past.commands)]
    if run.job is not None:
        lines.append(BLANK)
        for event in list(run.job.events):
            lines.extend(show_event(event))
    return lines


def _commands(commands: Sequence[str]) -> list[Line]:
    return [drawn for command in commands for drawn in show_event(CommandRan(command))]


class JobsPane(Pane):
    """Running jobs first, then everything history knows."""

    TITLE: ClassVar[str] = "Jobs"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("jobs")

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="jobs")
        self._runner = runner
        self._past: tuple[HistoryEntry, ...] = ()
        self._warned = 0

    def compose(self) -> ComposeResult:
        """List and detail."""
        with Horizontal(classes="split"):
            table: Table[Run] = Table(COLUMNS, lambda run: run.key, _search, id="runs", classes="list")
            yield table
            yield TextPanel(id="run-detail", classes="detail")

    @property
    def table(self) -> Table[Run]:
        """The list."""
        return self.query_one("#runs", Table)

    def on_mount(self) -> None:
        """Show what is known."""
        self.load()

    def focus_content(self) -> None:
        """The list."""
        focus_now(self.table)

    def load(self) -> None:
        """Read history and the runner."""
        run_in_background(self, "read history", self._load, group="history")

    async def _load(self) -> None:
        outcome = await outcome_of(self._runner, requests.past_runs(self._runner.history, _PAST))
        self._past = outcome.result or ()
        self.show_jobs()
        for warning in self._runner.history.warnings[self._warned :]:
            self.announce(warning, Tone.WARNING)
        self._warned = len(self._runner.history.warnings)

    def show_jobs(self) -> None:
        """Show the jobs as they are now."""
        jobs = [run_of_job(job) for job in reversed(self._runner.jobs)]
        shown = {_identity(run) for run in jobs}
        past = [run_of_history(entry) for entry in self._past]
        self.table.show_rows([*jobs, *(run for run in past if _identity(run) not in shown)], show_nothing())

    def job_changed(self) -> None:
        """Show it."""
        self.show_jobs()

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """It is in history now."""
        self.load()

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another run; a text that only grew stays where it was scrolled to."""
        run = self.table.cursor_row
        panel = self.query_one("#run-detail", TextPanel)
        same = run is not None and panel.name_shown == run.key
        panel.name_shown = run.key if run else ""
        panel.show_text(show_run(run) if run else [], keep=same)

    def back(self) -> bool:
        """From the detail to the list."""
        if self.screen.focused is self.table and not self.has_class("-reading"):
            return False
        self.set_class(False, "-reading")
        focus_now(self.table)
        return True

    def situation(self, base: Situation) -> Situation:
        """Say which run is under the cursor."""
        run = self.table.cursor_row
        detail = self.query_one("#run-detail", TextPanel).text
        runs = run is not None and run.job is not None and not run.state.is_final
        return replace(base, scopes=("jobs", "global"), crumbs=("jobs",), copyable=detail if run else "",
                       job_selected_runs=runs, deep=base.filtered or self.has_class("-reading"))  # fmt: skip

    def act_open(self) -> None:
        """Read the detail; at eighty columns it takes the screen."""
        if self.table.cursor_row is not None:
            self.set_class(True, "-reading")
            focus_now(self.query_one("#run-detail", TextPanel))

    def act_cancel(self) -> None:
        """Cancel the run under the cursor."""
        run = self.table.cursor_row
        if run is not None and run.job is not None:
            self.post_message(CancelWanted(run.job))


def _identity(run: Run) -> tuple[str, str, str]:
    """What tells that a past run is a job of this session; history keeps milliseconds."""
    return (run.routine, run.subject, run.began_at.isoformat(timespec="milliseconds") if run.began_at else "")


def _search(run: Run) -> str:
    return " ".join((run.routine, run.target, run.subject, run.state.value, run.detail))
