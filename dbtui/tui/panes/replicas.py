"""Pane 6: primaries and their replicas, how far behind each is and at which stage, slots, base backups, orders."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.timer import Timer

from dbtui.jobs import Job, JobRunner
from dbtui.model.connections import ConnectionProfile, EngineName, TargetStatus
from dbtui.model.jobs import JobOutcome
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import BLANK, Line, Span, Tone, cut, dim, line, strong, wrap
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import SituationChanged
from dbtui.tui.panes import replica_cells as cells
from dbtui.tui.panes import replica_rows as rows
from dbtui.tui.panes.pool_charts import Axis
from dbtui.tui.panes.replica_charts import StageCharts, row_charts
from dbtui.tui.panes.replica_detail import command_lines, show_row
from dbtui.tui.panes.replica_groups import Group, find_groups
from dbtui.tui.panes.replica_orders import ReplicaOrders
from dbtui.tui.panes.replica_rows import ReplicaRow, RowKind
from dbtui.tui.replica_feed import ReplicaFeed
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table

_HEADLINE, _WIDE_HEADLINE = 3, 2
_LEAST_LIST = 5
_OLD_LOOKS, _OLD_SECONDS = 3, 15.0
_FEW_GROUPS, _TOGETHER_SECONDS = 5, 0.5


class ReplicasPane(ReplicaOrders):
    """Watches while it is in view. What it shows is derived from the last look at each group and those before."""

    TITLE: ClassVar[str] = "Replicas"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("replicas"), *bindings_of("live")]

    def __init__(
        self,
        runner: JobRunner,
        profiles: tuple[ConnectionProfile, ...] = (),
        statuses: Mapping[str, TargetStatus] | None = None,
    ) -> None:
        """`statuses`: what is known of the profiles' servers, by their names; read whenever the pane is gone to."""
        super().__init__(id="replicas")
        self.runner = runner
        self.known_profiles, self.statuses = profiles, statuses or {}
        self.profile: ConnectionProfile | None = None
        self.feed = ReplicaFeed(self, runner, self._show_soon)
        self._drawing: Timer | None = None
        self._width = 0
        self._list_height: int | None = None

    def compose(self) -> ComposeResult:
        """What is worst, the tree, and all about one row of it beside its charts."""
        yield Lines(BLANK, classes="headline")
        table: Table[ReplicaRow] = Table(cells.columns_for(0), lambda row: row.key, rows.row_search, live=True,
                                         id="replica-list", classes="list")  # fmt: skip
        yield table
        with Horizontal(id="replica-below"):
            yield TextPanel(id="replica-detail", classes="detail")
            yield StageCharts(id="replica-charts")

    @property
    def table(self) -> Table[ReplicaRow]:
        """The tree."""
        return self.query_one("#replica-list", Table)

    @property
    def detail(self) -> TextPanel:
        """All about the row under the cursor."""
        return self.query_one("#replica-detail", TextPanel)

    @property
    def charts(self) -> StageCharts:
        """The last five minutes of it."""
        return self.query_one(StageCharts)

    @property
    def row(self) -> ReplicaRow | None:
        """The row under the cursor."""
        return self.table.cursor_row

    @property
    def group(self) -> Group | None:
        """The group of the row under the cursor; without one the first."""
        name = self.row.group if self.row is not None else ""
        return next((each for each in self.feed.groups if each.name == name), next(iter(self.feed.groups), None))

    # ------------------------------------------------------------ looking

    def on_mount(self) -> None:
        """Show what there is."""
        self._find_groups()
        self.show_all()

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        self.feed.is_wanted = False
        self.feed.stop()

    def _find_groups(self) -> None:
        seen = {name for name, each in self.statuses.items() if each.info is not None and each.info.role == "replica"}
        self.feed.show_groups(find_groups(self.known_profiles, self.profile, seen))

    def open_target(self, profile: ConnectionProfile) -> None:
        """Show the group of another target first from now on."""
        if profile == self.profile:
            return
        self.profile = profile
        if self.is_attached:
            self._find_groups()
            self._leave_detail()
            self.show_all()
            self.table.action_first()

    def shown(self, in_view: bool) -> None:
        """Out of sight nothing is asked; what was seen last stays, with its age."""
        if in_view == self.feed.is_wanted:
            return
        self.feed.is_wanted = in_view
        if self.is_attached:
            self._find_groups()
            self.show_all()

    def set_pace(self, seconds: float) -> None:
        """Look no more often than this: the terminal's link takes no more."""
        self.feed.least_seconds = seconds

    def load(self) -> None:
        """Look now; paused, once."""
        self._find_groups()
        self.feed.look()

    # ------------------------------------------------------------ what is shown

    def _show_soon(self) -> None:
        """Draw a look: at once, and of many groups together with those that come meanwhile."""
        if len(self.feed.groups) <= _FEW_GROUPS:
            self.show_all()
        elif self._drawing is None:
            self._drawing = self.set_timer(_TOGETHER_SECONDS, self.show_all)

    def show_all(self) -> None:
        """Draw everything anew; what did not change is not sent."""
        self._drawing = None
        if not self.is_attached:
            return
        now, table = datetime.now(UTC), self.table
        if self._width != self.app.size.width:
            self._width = self.app.size.width
            table.show_columns(cells.columns_for(self._width))
        is_flat = table.view.order is not None
        found = rows.all_rows(self.feed.groups, now, is_flat=is_flat)
        self._make_room(len(found))
        table.show_rows(found, cells.show_nothing(self.profile))
        self._show_headline()
        self.show_detail()
        self.post_message(SituationChanged())

    def _show_headline(self) -> None:
        """What is worst in the group; where the detail is not seen, what is so with a row, and the command for it."""
        width = self.app.size.width
        lines = self._remarks() + ([] if self.is_reading_alone else list(self._said(width)))
        if lines and not self.has_class("-reading") and not self.has_class("-charts"):
            lines += [BLANK] * (self._headline_lines - len(lines))  # the list does not jump when the cursor moves
        headline = self.query_one(".headline", Lines)
        headline.display = bool(lines)
        headline.show_lines(lines)

    @property
    def _headline_lines(self) -> int:
        return _HEADLINE if self.app.size.width < cells.WIDE else _WIDE_HEADLINE

    def _said(self, width: int) -> Iterator[Line]:
        group, row = self.group, self.row
        if group is None or row is None or group.assessment is None:
            return
        is_of_row = row.kind is not RowKind.PRIMARY and not self._has_room
        level, name, sentence = group.assessment.level, group.name, group.assessment.sentence
        if is_of_row:
            level, name, sentence = row.level, row.name, rows.sentence_of(row)
        sign, tone = cells.SIGNS[level]
        said = wrap(line(" ", Span(f"{sign} ", tone), strong(name), f"  {sentence}"), width - 1)
        commands = [cut((*line("   "), *each), width) for each in command_lines(row)] if is_of_row else []
        said = _cut_lines(said, self._headline_lines - len(commands))
        gaps = group.assessment.gaps if not is_of_row else ()
        yield from said
        yield from commands
        for gap in gaps[: self._headline_lines - len(said)]:
            yield cut(line("   ", Span("▲ ", Tone.WARNING), dim(gap)), width)

    def _make_room(self, count: int) -> None:
        """Above the detail the list is no higher than it needs to be."""
        most = self.app.size.height * 2 // 5
        frame = 3  # its header, and its frame
        wanted = max(_LEAST_LIST, min(most, count + frame)) if self._has_room else None
        if self._list_height != wanted:
            self._list_height = wanted
            self.table.styles.height = wanted if wanted is not None else "1fr"

    @property
    def _has_room(self) -> bool:
        """Whether list and detail are both there."""
        return self.screen.has_class("-wide") and self.screen.has_class("-tall")

    def _remarks(self) -> list[Line]:
        profile = self.profile
        if profile is not None and profile.engine is EngineName.SQLITE and self.feed.groups:
            return [line(dim(f" {profile.name} is an SQLite file: it has no replicas. Those of other connections:"))]
        return []

    def show_detail(self) -> None:
        """Show all about the row under the cursor, and its charts."""
        panel, row, group = self.detail, self.row, self.group
        same, panel.name_shown = panel.name_shown == self.table.cursor_key, self.table.cursor_key
        if row is None or group is None:
            panel.show_text(())
            self.charts.show_charts((), Axis(0.0, datetime.now(UTC)), ())
            return
        panel.show_text(show_row(row, group, datetime.now(UTC)), keep=same)
        snapshot = group.snapshot
        if snapshot is not None:
            axis = Axis(snapshot.monotonic_seconds, snapshot.taken_at, self.feed.pace_of(group))
            self.charts.show_charts(row_charts(group, row), axis, ())

    def on_resize(self) -> None:
        """Columns and headline are made for a width."""
        self.call_after_refresh(self.show_all)

    def tick(self) -> None:
        """Ages may read differently."""
        if self.feed.is_wanted:
            self.show_all()

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another row."""
        self._show_headline()
        self.show_detail()

    def sort(self, backwards: bool) -> None:
        """A tree that is sorted by something is a list."""
        super().sort(backwards)
        self.show_all()

    def focus_content(self) -> None:
        """The list, or what has taken its place."""
        if self.has_class("-charts"):
            focus_now(self.charts)
        else:
            focus_now(self.table if self.table.display and not self.is_reading_alone else self.detail)

    @property
    def is_reading_alone(self) -> bool:
        """Whether the detail has taken the list's place."""
        return self.has_class("-reading") and not self._has_room

    # ------------------------------------------------------------ where the operator is

    def situation(self, base: Situation) -> Situation:
        """Say what is under the cursor, and what may be ordered."""
        row = self.row
        crumbs = (self.profile.name, "replicas") if self.profile is not None else ("replicas",)
        is_row = self.is_reading_alone or self.has_class("-charts")
        crumbs = (*crumbs, row.name) if row is not None and is_row else crumbs
        return replace(
            self.with_orders(base),
            scopes=("replicas", "live", "global"),
            crumbs=crumbs,
            profile=self.profile,
            replica_row=row is not None,
            copyable=(rows.command_of(row) or cells.row_text(row)) if row is not None else "",
            deep=base.filtered or self.has_class("-reading") or self.has_class("-charts"),
            age=self._age(),
        )

    def _age(self) -> str:
        group = self.group
        if group is None or group.snapshot is None:
            return ""
        seconds = (datetime.now(UTC) - group.snapshot.taken_at).total_seconds()
        pace = self.feed.pace_of(group)
        is_old = seconds > max(_OLD_SECONDS, pace * _OLD_LOOKS)
        age = age_text(group.snapshot.taken_at, datetime.now(UTC))
        if self.feed.is_paused:
            return f"paused, {age}"
        return age if is_old else f"every {pace:g} s"

    def back(self) -> bool:
        """From the charts or the detail to the list."""
        if not self.has_class("-reading") and not self.has_class("-charts"):
            if self.screen.focused is self.table:
                return False
            focus_now(self.table)
            return True
        self._leave_detail()
        return True

    def _leave_detail(self) -> None:
        self.set_class(False, "-reading", "-charts")
        self.charts.can_focus = False
        if self.feed.is_wanted:
            focus_now(self.table)
        self.show_all()

    # ------------------------------------------------------------ keys

    def act_detail(self) -> None:
        """Read all about the row under the cursor, or go back to the list."""
        if self.has_class("-reading"):
            self._leave_detail()
        elif self.row is not None:
            self._leave_detail()
            self.set_class(True, "-reading")
            focus_now(self.detail)
            self.show_all()

    def act_charts(self) -> None:
        """Give the charts the screen, or take it from them."""
        if self.has_class("-charts"):
            self._leave_detail()
            return
        self.set_class(False, "-reading")
        self.set_class(True, "-charts")
        self.charts.can_focus = True
        focus_now(self.charts)
        self.call_after_refresh(self.show_all)

    def act_pause(self) -> None:
        """Ask nothing more, or go on."""
        self.feed.is_paused = not self.feed.is_paused
        self.feed.adjust()
        paused = speak_keys("paused: {live.pause} goes on, {global.refresh} asks once")
        self.announce(paused if self.feed.is_paused else "asking again")
        self.post_message(SituationChanged())

    def act_faster(self) -> None:
        """Ask more often."""
        self.announce(f"asking every {self.feed.change_pace(-1):g} s")

    def act_slower(self) -> None:
        """Ask less often."""
        self.announce(f"asking every {self.feed.change_pace(1):g} s")

    # ------------------------------------------------------------ jobs

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """After an order the servers are looked at anew."""
        if job.request.routine.startswith("replicas ") and self.feed.is_watching:
            self.feed.look()


def _cut_lines(lines: list[Line], most: int) -> list[Line]:
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], (*lines[most - 1], dim(" …"))]
