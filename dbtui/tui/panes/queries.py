"""Pane 5: statements that repeat and what cures them, those that take the time, captures that make sure, logs."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from dbtui.analysis.query_words import summarise_findings
from dbtui.jobs import Job, JobRequest, JobRunner
from dbtui.model.captures import StaleCapture
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Progressed
from dbtui.model.jobs import JobOutcome
from dbtui.model.queries import CapturePlan, CaptureResult, QueryFindings
from dbtui.model.text import format_bytes
from dbtui.routines.queries import InspectWish
from dbtui.tui import query_requests as requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import Tone
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import JobWanted, SituationChanged
from dbtui.tui.panes.pane import Pane
from dbtui.tui.panes.partition_view import PartitionView
from dbtui.tui.panes.query_findings import FindingsView
from dbtui.tui.panes.query_list import Watched
from dbtui.tui.panes.query_rows import Source
from dbtui.tui.panes.query_top import TopView
from dbtui.tui.query_feed import QueryFeed
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

FINDINGS, TOP = "findings", "top"
_PROGRESS_SECONDS = 0.5


@dataclass(eq=False)
class Capture:
    """A capture that was begun here. `found`: what its judge has said last."""

    profile: ConnectionProfile
    plan: CapturePlan
    began_at: datetime
    request: JobRequest[CaptureResult] | None = None
    found: QueryFindings | None = None
    seconds: float = 0.0


class QueriesPane(Pane):
    """Watches the sums of the open target while it is in view; a capture goes on when it is not."""

    TITLE: ClassVar[str] = "Queries"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("queries"), *bindings_of("live")]

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="queries")
        self.runner = runner
        self.feed = QueryFeed(self, runner, self.show_all)
        self.level = FINDINGS
        self.capture: Capture | None = None
        self.captured: dict[str, Source] = {}  # the last capture of each target
        self.opened_file: Source | None = None
        self.stale: tuple[StaleCapture, ...] = ()
        self._reading = ""  # how far a file is
        self._waiting: Timer | None = None

    def compose(self) -> ComposeResult:
        """Two levels; one of them is shown."""
        yield FindingsView()
        yield TopView(self.runner)

    @property
    def profile(self) -> ConnectionProfile | None:
        """The open target."""
        return self.feed.profile

    @property
    def journals(self) -> Path:
        """Where captures leave their journals."""
        return Path(self.runner.history.state_dir) / requests.JOURNALS

    # ------------------------------------------------------------ levels

    @property
    def findings(self) -> FindingsView:
        """What repeats."""
        return self.query_one(FindingsView)

    @property
    def top(self) -> TopView:
        """What takes the time."""
        return self.query_one(TopView)

    @property
    def view(self) -> PartitionView:
        """The level that is shown."""
        return self.top if self.level == TOP else self.findings

    def on_mount(self) -> None:
        """Begin with what repeats."""
        self.enter_level(FINDINGS)

    def enter_level(self, level: str) -> None:
        """Show another level."""
        self.level = level
        self.set_class(False, "-reading")
        self.findings.display, self.top.display = level == FINDINGS, level == TOP
        if self.feed.is_wanted:
            self.focus_content()
        self.call_after_refresh(self.show_all)
        self.post_message(SituationChanged())

    def focus_content(self) -> None:
        """The list that is shown, or the text that has taken its place."""
        focus_now(self.view.table if self.view.table.display else self.view.detail)

    def open_target(self, profile: ConnectionProfile) -> None:
        """Watch another target from now on."""
        if profile == self.profile:
            return
        self.opened_file, self.stale = None, ()
        for view in (self.findings, self.top):
            view.table.show_filter("")
        self.feed.open_target(profile)
        self.enter_level(FINDINGS)
        self._look_for_stale()

    # ------------------------------------------------------------ looking

    def shown(self, in_view: bool) -> None:
        """Out of sight nothing is asked."""
        if in_view == self.feed.is_wanted:
            return
        self.feed.is_wanted = in_view
        self.feed.adjust()
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_interval(1.0, self._show_waiting) if in_view else None
        if in_view:
            self._look_for_stale()

    def _show_waiting(self) -> None:
        if self.feed.is_watching and self.feed.look is None and self.feed.problem is None:
            self.show_all()

    def set_pace(self, seconds: float) -> None:
        """Ask no more often than this: the terminal's link takes no more."""
        self.feed.least_seconds = seconds
        self.top.marks_changes = seconds <= self.feed.seconds

    def load(self) -> None:
        """Ask now."""
        if not self.feed.is_paused:
            self.feed.restart()
        self._look_for_stale()

    def _look_for_stale(self) -> None:
        if self.profile is not None:
            run_in_background(self, "look for captures", self._find_stale, self.profile, group="stale")

    async def _find_stale(self, profile: ConnectionProfile) -> None:
        outcome = await outcome_of(self.runner, requests.stale(profile, self.journals))
        if profile != self.profile:
            return
        if outcome.result is None:  # what was seen before still stands
            self.announce(f"whether a capture has left settings changed is not known: {outcome.error}", Tone.TROUBLE)
        elif outcome.result != self.stale:
            self.stale = outcome.result
            self.show_all()

    # ------------------------------------------------------------ what is shown

    @property
    def source(self) -> Source | None:
        """Where the findings that are shown come from: a file, the capture under way, or the last one."""
        if self.opened_file is not None or self.profile is None:
            return self.opened_file
        capture = self.capture
        if capture is not None and capture.profile == self.profile:
            return Source(found=capture.found or QueryFindings(), name="capture", taken_at=capture.began_at,
                          seconds=capture.seconds, sample_rate=capture.plan.sample_rate, is_running=True)  # fmt: skip
        return self.captured.get(self.profile.name)

    @property
    def watched(self) -> Watched:
        """What is known of the target now."""
        feed = self.feed
        return Watched(profile=feed.profile, look=feed.look, problem=feed.problem, stale=self.stale,
                       asked_seconds=feed.asked_seconds, pace_seconds=feed.pace, is_paused=feed.is_paused,
                       reading=self._reading)  # fmt: skip

    def show_all(self) -> None:
        """Draw what is known now."""
        if not self.is_attached:
            return
        if self.level == TOP:
            self.top.show(self.watched)
        else:
            self.findings.show(self.watched, self.source)
        self.post_message(SituationChanged())

    def situation(self, base: Situation) -> Situation:
        """Say what is under the cursor, and what may be done."""
        crumbs = (self.profile.name, "queries") if self.profile is not None else ("queries",)
        deep = base.filtered or self.has_class("-reading") or bool(self._reading)
        return self.view.situation(
            replace(base, crumbs=crumbs, profile=self.profile, deep=deep, age=self._age(),
                    no_capture=self._no_capture(), stale_capture=bool(self.stale))
        )  # fmt: skip

    def _no_capture(self) -> str:
        if self.feed.profile is not None and self.watched.is_file:
            return speak_keys("no server logs its statements: record them inside, {queries.open} reads that")
        if self.capture is not None:
            return speak_keys("a capture is under way: {global.cancel} ends it")
        return ""

    def _age(self) -> str:
        look = self.feed.look
        if look is None or self.opened_file is not None:
            return ""
        age = age_text(look.snapshot.taken_at, datetime.now(UTC))
        return f"paused, {age}" if self.feed.is_paused else "live" if age == "just now" else age

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another row."""
        if table is self.view.table:
            self.view.show_detail()

    def on_resize(self) -> None:
        """What is drawn is made for a width."""
        self.call_after_refresh(self.show_all)

    def back(self) -> bool:
        """From the text to the list, from the file to the target, from the top queries to the findings."""
        if self.has_class("-reading"):
            self.set_class(False, "-reading")
            focus_now(self.view.table)
        elif self._reading:
            self.workers.cancel_group(self, "read")
        elif self.screen.focused is not self.view.table:
            focus_now(self.view.table)
        elif self.level == TOP:
            self.enter_level(FINDINGS)
        elif self.opened_file is not None:
            self.opened_file = None
            self.show_all()
        else:
            return False
        self.post_message(SituationChanged())
        return True

    # ------------------------------------------------------------ keys of both levels

    def owner_of(self, scope: str) -> object:
        """Each list has keys of its own."""
        return {FINDINGS: self.findings, TOP: self.top}.get(scope, self)

    def act_top(self) -> None:
        """Show which statements take the time, or again what repeats."""
        self.enter_level(FINDINGS if self.level == TOP else TOP)

    def act_pause(self) -> None:
        """Ask nothing more, or go on."""
        self.feed.is_paused = not self.feed.is_paused
        self.feed.adjust()
        self.show_all()
        paused = speak_keys("paused: {live.pause} goes on")
        self.announce(paused if self.feed.is_paused else "asking again")

    def act_faster(self) -> None:
        """Ask more often."""
        self.announce(f"asking every {self.feed.change_pace(-1):g} s")

    def act_slower(self) -> None:
        """Ask less often."""
        self.announce(f"asking every {self.feed.change_pace(1):g} s")

    # ------------------------------------------------------------ captures

    def act_capture(self) -> None:
        """Ask, then capture."""
        if self.profile is not None:
            ask_in_background(self, "capture dialog", self._ask_capture, self.profile)

    async def _ask_capture(self, profile: ConnectionProfile) -> None:
        from dbtui.tui.dialogs.capture import CaptureDialog

        plan = await ask(
            self, CaptureDialog(self.runner, profile, self.findings.row if self.level == FINDINGS else None)
        )
        if plan is None:
            return
        capture = self.capture = Capture(profile, plan, datetime.now(UTC))
        loop = asyncio.get_running_loop()

        def found(findings: QueryFindings) -> None:
            with suppress(RuntimeError):  # the loop is closed: the operator has left
                loop.call_soon_threadsafe(self._take_findings, capture, findings)

        capture.request = requests.capture(profile, plan, self.journals, found)
        self.opened_file = None
        if self.level != FINDINGS:
            self.enter_level(FINDINGS)
        self.show_all()
        self.post_message(JobWanted(capture.request))

    def _take_findings(self, capture: Capture, found: QueryFindings) -> None:
        if self.capture is capture and self.is_attached:
            capture.found, capture.seconds = found, (datetime.now(UTC) - capture.began_at).total_seconds()
            if self.level == FINDINGS:
                self.show_all()

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """A capture has ended: show what it found, and whether the settings are back."""
        capture = self.capture
        if capture is not None and job.request is capture.request:
            self.capture = None
            if isinstance(outcome.result, CaptureResult):
                self.captured[capture.profile.name] = _source_of(outcome.result, capture)
            self.show_all()
            self._look_for_stale()
        elif job.request.routine in ("repair captures", "capture queries"):
            self._look_for_stale()

    def act_repair(self) -> None:
        """Put back what an interrupted capture has left on."""
        if self.profile is not None:
            self.post_message(JobWanted(requests.repair(self.profile, self.journals)))

    # ------------------------------------------------------------ files

    def act_open(self) -> None:
        """Ask for a log or a trace, then read it."""
        ask_in_background(self, "log dialog", self._ask_log)

    async def _ask_log(self) -> None:
        from dbtui.tui.dialogs.open_log import OpenLogDialog

        wish = await ask(self, OpenLogDialog(self.runner))
        if wish is not None:
            self.enter_level(FINDINGS)
            run_in_background(self, "read a log", self._read, wish, self.profile, group="read")

    async def _read(self, wish: InspectWish, profile: ConnectionProfile | None) -> None:
        name = Path(wish.path).name
        server = profile if profile is not None and not self.watched.is_file else None
        jobs: list[Job[QueryFindings]] = []

        def tell() -> None:
            self._reading = f"reading {name}{_progress(jobs[0].progress) if jobs else ''}"
            self.show_all()

        tell()
        timer = self.set_interval(_PROGRESS_SECONDS, tell)
        try:
            outcome = await outcome_of(self.runner, requests.inspect(wish, server), jobs.append)
        finally:
            timer.stop()
            self._reading = ""
            self.show_all()
        if outcome.result is None:
            self.announce(f"{name}: {outcome.error}", Tone.TROUBLE)
            return
        self.opened_file = Source(found=outcome.result, name=name, taken_at=datetime.now(UTC), is_file=True)
        self.show_all()
        self.announce(f"{name}: {summarise_findings(outcome.result)}", Tone.OK)


def _source_of(result: CaptureResult, capture: Capture) -> Source:
    return Source(found=result.findings, name="capture", taken_at=capture.began_at, seconds=result.seconds,
                  sample_rate=result.plan.sample_rate, is_restored=result.is_restored, ended_by=result.ended_by,
                  left=result.left)  # fmt: skip


def _progress(progress: Progressed | None) -> str:
    if progress is None or not progress.total:
        return f"   {format_bytes(progress.done)}" if progress is not None else ""
    share = min(1.0, progress.done / progress.total)
    return f"   {share:.0%} of {format_bytes(progress.total)}"
