"""Pane 3: the saturation ladder of the open target, its pools, their clients, five minutes of all, and load tests."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from dbtui.analysis.loadtest import load_point
from dbtui.analysis.pools import Thresholds, Track, advance
from dbtui.jobs import Job, JobRunner
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.jobs import JobOutcome
from dbtui.model.ladders import LadderAssessment, PoolReading
from dbtui.model.loadtest import LoadResult, LoadSecond
from dbtui.model.pools import LoadPoint, PoolerClients, PoolsSnapshot, Tier
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import BLANK, Line, Tone, dim, line
from dbtui.tui.focusing import focus_now
from dbtui.tui.ladder_feed import LadderFeed
from dbtui.tui.messages import LadderChanged, LadderWanted, SituationChanged
from dbtui.tui.paces import step_pace
from dbtui.tui.panes import pool_charts as charts
from dbtui.tui.panes import pool_rows as rows
from dbtui.tui.panes.pool_clients import ClientsView
from dbtui.tui.panes.pool_detail import SETUP_LINES, result_text, show_pool, show_result, show_small_print
from dbtui.tui.panes.pool_orders import PoolOrders
from dbtui.tui.panes.pool_panels import ChartPanel, LadderView
from dbtui.tui.spoken_keys import speak_keys, spoken_key
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table

LADDER, CLIENTS, CHARTS, RESULT = "", "clients", "charts", "result"
LIVE_SECONDS, HIDDEN_SECONDS = 1.0, 5.0
_KINDS: tuple[Tier | None, ...] = (None, Tier.POOLER, Tier.APP)
_KIND_NAMES = {None: "pools", Tier.POOLER: "PgBouncer's pools", Tier.APP: "application pools"}
#: From so many rows and columns on, the charts have a place of their own between ladder and pools.
CHART_ROWS, CHART_COLUMNS = 32, 100
_LEAST_LADDER, _TALL_LADDER = 6, 9
_LEAST_LIST = 6
_MOST_LOAD_POINTS = 3600


class PoolsPane(PoolOrders):
    """Shows one target's ladder. All of it is derived from the last snapshot and what is remembered of those before."""

    TITLE: ClassVar[str] = "Pools"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("live")
    VIEW: ClassVar[type[LadderView]] = LadderView

    class SnapshotsArrived(Message):
        """Snapshots wait to be taken."""

    class ClientsArrived(Message):
        """PgBouncer's clients were asked for."""

        def __init__(self, clients: PoolerClients) -> None:
            super().__init__()
            self.clients = clients

    def __init__(
        self, runner: JobRunner, live_seconds: float = LIVE_SECONDS, thresholds: Thresholds | None = None
    ) -> None:
        super().__init__(id="pools")
        self.thresholds = thresholds or Thresholds()
        self.runner = runner
        self.profile: ConnectionProfile | None = None
        self.snapshot: PoolsSnapshot | None = None
        self.assessment: LadderAssessment | None = None
        self.track = Track(thresholds=self.thresholds)
        self.level = LADDER
        self.kind: Tier | None = None
        self.marked: frozenset[str] = frozenset()
        self.load_points: list[LoadPoint] = []
        self.load_slo: float | None = None
        self.load_job = 0
        self.load_typed: Mapping[str, str] = {}
        self.result: LoadResult | None = None
        self.live_seconds = self._usual_seconds = live_seconds
        self.least_seconds = 0.0
        self.is_paused = self._is_shown = False
        self.feed: LadderFeed | None = None
        self._list_height: int | None = None

    def compose(self) -> ComposeResult:
        """Ladder, charts and pools; a pool's clients; a load test's result."""
        with self.VIEW(id="ladder-view"):
            yield Lines(BLANK, id="ladder")
            yield ChartPanel(id="charts")
            table: Table[PoolReading] = Table(rows.POOL_COLUMNS, rows.pool_key, rows.pool_search, tickable=True,
                                              live=True, id="pool-list")  # fmt: skip
            yield table
            yield TextPanel(id="pool-detail")
            yield TextPanel(id="load-result", wraps=False)
        yield ClientsView()

    @property
    def table(self) -> Table[PoolReading]:
        """The pools."""
        return self.query_one("#pool-list", Table)

    @property
    def clients(self) -> ClientsView:
        """The clients of PgBouncer."""
        return self.query_one(ClientsView)

    @property
    def marked_pools(self) -> list[PoolReading]:
        """The pools that are marked and still there."""
        found = rows.all_pools(self.assessment, None) if self.assessment else []
        return [pool for pool in found if rows.pool_key(pool) in self.marked]

    # ------------------------------------------------------------ looking

    def on_mount(self) -> None:
        """Show what there is."""
        self._show_level()
        self.show_all()
        self.query_one("#pool-detail", TextPanel).display = False

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        self.stop()

    def open_target(self, profile: ConnectionProfile | None) -> None:
        """Show the ladder of another target from now on."""
        if profile == self.profile:
            return
        self.stop()
        self.profile = profile
        self.snapshot, self.assessment, self.track = None, None, Track(thresholds=self.thresholds)
        self.marked, self.level, self.result, self.load_points = frozenset(), LADDER, None, []
        if self.is_attached:
            self.table.show_filter("")
            self.clients.show(None)
            self._show_level()
            self.show_all()
        if self._is_shown:
            self.start()

    def start(self) -> None:
        """Look at the target, unless that is done already or it has no server."""
        if self.profile is None or self.feed is not None or self.profile.engine is EngineName.SQLITE:
            return
        self.feed = LadderFeed(self.profile, self.runner.context, self._pace,
                               lambda: self.post_message(self.SnapshotsArrived()),
                               lambda clients: self.post_message(self.ClientsArrived(clients)))  # fmt: skip
        self.post_message(LadderWanted(self.feed))

    def stop(self) -> None:
        """Look no more, and end a recording."""
        feed, self.feed = self.feed, None
        if feed is not None:
            feed.stop()
            self.post_message(LadderChanged())

    @property
    def _pace(self) -> float:
        return max(self.live_seconds if self._is_shown or self.load_job else HIDDEN_SECONDS, self.least_seconds)

    def _set_pace(self) -> None:
        if self.feed is not None:
            self.feed.set_interval(self._pace)
            self.post_message(LadderChanged())

    def set_pace(self, seconds: float) -> None:
        """Look, and draw, no more often than this when the terminal's link takes no more."""
        self.least_seconds = seconds if seconds > self._usual_seconds else 0.0
        self._set_pace()

    def shown(self, in_view: bool) -> None:
        """Out of sight it is looked at now and then only: the five minutes stay whole."""
        if in_view == self._is_shown:
            return
        self._is_shown = in_view
        if in_view:
            self.start()
            if self.is_attached:
                self.show_all()
        self._set_pace()

    def on_pools_pane_snapshots_arrived(self, message: SnapshotsArrived) -> None:
        """Draw what was seen."""
        message.stop()
        if self.feed is not None:
            self.show_snapshots(self.feed.take())
            if error := self.feed.take_recording_error():
                self.announce(f"the recording has ended: {error}", Tone.TROUBLE)

    def show_snapshots(self, snapshots: list[PoolsSnapshot]) -> None:
        """Judge snapshots one after another and show the last; one older than what is shown is dropped."""
        for snapshot in snapshots:
            if self.snapshot is not None and snapshot.monotonic_seconds < self.snapshot.monotonic_seconds:
                continue
            self.snapshot = snapshot
            self.track, self.assessment = advance(self.track, snapshot)
            if snapshot.load is not None and not self.load_job:
                self._add_load(snapshot.load)
        if snapshots and self.is_attached and self._is_shown:
            self.show_all()

    def on_pools_pane_clients_arrived(self, message: ClientsArrived) -> None:
        """Draw them."""
        message.stop()
        if self.level == CLIENTS:
            self.clients.show(message.clients)

    # ------------------------------------------------------------ what is shown

    @property
    def _shows_charts(self) -> bool:
        """Whether the charts have a place beside the ladder."""
        return self.app.size.height >= CHART_ROWS and self.app.size.width >= CHART_COLUMNS

    def show_all(self) -> None:
        """Draw everything anew; what did not change is not sent."""
        assessment, width = self.assessment, self.app.size.width
        least = _TALL_LADDER if self._shows_charts else _LEAST_LADDER
        ladder = self.query_one("#ladder", Lines)
        nothing = self._nothing()
        if assessment is None:
            ladder.show_lines([BLANK])
            self.table.show_rows((), nothing)
            return
        ladder.show_lines(self._ladder(assessment, width, least))
        found = rows.all_pools(assessment, self.kind)
        self.marked &= {rows.pool_key(pool) for pool in rows.all_pools(assessment, None)}
        self._make_room(len(found))
        self.table.show_rows(found, nothing)
        self.table.show_marks(self.marked)
        self._show_charts(assessment)
        if self.query_one("#pool-detail", TextPanel).display:
            self.show_detail()
        self.post_message(SituationChanged())

    def _ladder(self, assessment: LadderAssessment, width: int, least: int) -> list[Line]:
        if self.level == CHARTS:
            return rows.brief_lines(assessment, width, gauges=False)
        if not self._shows_charts and (self.level == RESULT or self.query_one("#pool-detail").display):
            return rows.brief_lines(assessment, width, gauges=True)
        return rows.ladder_lines(assessment, width, spoken_key("global.copy"), least)

    def _show_charts(self, assessment: LadderAssessment) -> None:
        panel = self.query_one(ChartPanel)
        if not panel.display or self.snapshot is None:
            return
        axis = charts.Axis(self.snapshot.monotonic_seconds, self.snapshot.taken_at, self._pace)
        points = [each for each in self.load_points if each.monotonic_seconds >= axis.end - charts.SECONDS]
        drawn = [*charts.tier_charts(assessment, self.track.points), *charts.load_charts(points, self.load_slo)]
        panel.show_charts(drawn, axis, charts.stage_marks(points))

    def _make_room(self, pools: int) -> None:
        """Beside charts the list is no higher than it needs to be."""
        most = self.app.size.height * 2 // 5
        wanted = max(_LEAST_LIST, min(most, pools + 1)) if self._shows_charts and self.level == LADDER else None
        if self._list_height != wanted:
            self._list_height = wanted
            self.table.styles.height = wanted if wanted is not None else "1fr"

    def _nothing(self) -> list[Line]:
        """What stands where no pool is."""
        profile = self.profile
        if profile is None:
            how = speak_keys("{global.connections}, then {connections.open} opens one.")
            return [line(f" The pools of a connection would be here: {how}")]
        if profile.engine is EngineName.SQLITE:
            return [line(f" {profile.name} is an SQLite file: programs open it by themselves, so there is no pool.")]
        if not profile.pgbouncer_url and not profile.app_pools:
            return list(SETUP_LINES)
        if self.assessment is None:
            return [line(dim(f" Asking {profile.name} for its pools …"))]
        small = show_small_print(self.snapshot, self.assessment)
        what = "No pool has been used yet." if self.kind is None else f"No {_KIND_NAMES[self.kind]} are known."
        return [line(f" {what}"), *small]

    def show_detail(self) -> None:
        """Show all about the pool under the cursor."""
        panel, pool = self.query_one("#pool-detail", TextPanel), self.table.cursor_row
        small = show_small_print(self.snapshot, self.assessment)
        if pool is None or self.assessment is None:
            panel.show_text(small)
            return
        same = panel.name_shown == rows.pool_key(pool)
        panel.name_shown = rows.pool_key(pool)
        panel.show_text([*show_pool(pool, self.snapshot, self.assessment), BLANK, *small], keep=same)

    def on_resize(self) -> None:
        """Everything is made for a size."""
        self._show_level()
        self.call_after_refresh(self.show_all)

    def _show_level(self) -> None:
        reading = self.query_one("#pool-detail", TextPanel).display and self.level == LADDER
        self.query_one(LadderView).display = self.level != CLIENTS
        self.query_one(LadderView).can_focus = self.level == CHARTS  # nothing else on it takes the keys then
        self.clients.display = self.level == CLIENTS
        self.query_one("#charts").display = self.level == CHARTS or self._shows_charts
        self.query_one("#load-result").display = self.level == RESULT
        self.table.display = self.level == LADDER and not (reading and not self._shows_charts)
        self.query_one("#pool-detail").display = reading

    def enter_level(self, level: str) -> None:
        """Show another level: the ladder, the charts alone, the clients, or a load test's result."""
        self.level = level
        if self.feed is not None:
            self.feed.ask_clients(level == CLIENTS)
            self.post_message(LadderChanged())
        self._show_level()
        self.focus_content()
        self.call_after_refresh(self.show_all)
        self.post_message(SituationChanged())

    def focus_content(self) -> None:
        """The list that is shown."""
        if self.level == CLIENTS:
            focus_now(self.clients.table)
        elif self.level == RESULT:
            focus_now(self.query_one("#load-result", TextPanel))
        elif self.level == LADDER:
            focus_now(self.table if self.table.display else self.query_one("#pool-detail", TextPanel))
        else:
            focus_now(self.query_one(LadderView))

    # ------------------------------------------------------------ where the operator is

    def owner_of(self, scope: str) -> object:
        """The clients have their own keys."""
        return self.clients if scope == "clients" else self

    def situation(self, base: Situation) -> Situation:
        """Say which pool or client is under the cursor and what may be ordered."""
        profile, name = self.profile, self.profile.name if self.profile else ""
        base = replace(base, profile=profile, no_orders=self.no_orders(), no_load=self.no_load(),
                       load_result=self.result is not None,
                       paused_pooler=self.is_pooler_paused, age=self._age())  # fmt: skip
        if self.level == CLIENTS:
            return replace(self.clients.situation(base), crumbs=(name, "pools", "clients"), deep=True)
        pool = self.table.cursor_row
        what = {CHARTS: "five minutes", RESULT: "load test"}.get(self.level, "")
        crumbs = (name or "pools", *((_KIND_NAMES[self.kind],) if name else ()), *((what,) if what else ()))
        deep = base.filtered or self.level != LADDER or self.kind is not None or not self.table.display
        return replace(base, scopes=("pools", "live", "global"), crumbs=crumbs, pool=pool, deep=deep,
                       ticked=len(self.marked_pools), copyable=self._copyable(pool),
                       no_clients=self._no_clients())  # fmt: skip

    def _copyable(self, pool: PoolReading | None) -> str:
        if self.level == RESULT and self.result is not None:
            return result_text(self.result)
        if self.marked_pools:
            return "\n".join(rows.pool_text(each) for each in self.marked_pools)
        command = rows.advice_text(self.assessment.verdict) if self.assessment is not None else ""
        return command or (rows.pool_text(pool) if pool is not None else "")

    def _no_clients(self) -> str:
        if self.snapshot is None or self.snapshot.pooler is None:
            return "no PgBouncer is configured: pgbouncer_url in the profile"
        return self.snapshot.pooler.problem and f"PgBouncer does not answer: {self.snapshot.pooler.problem}"

    def _age(self) -> str:
        if self.snapshot is None:
            return ""
        recording = "● rec  " if self.feed is not None and self.feed.is_recording else ""
        if self.is_paused:
            return f"{recording}paused, {age_text(self.snapshot.taken_at, datetime.now(UTC))}"
        return f"{recording}every {self._pace:g} s"

    # ------------------------------------------------------------ going about

    def back(self) -> bool:
        """From the detail, the clients, the charts or a result to the ladder; from some of the pools to all."""
        if self.level == CLIENTS and self.clients.back():
            return True
        if self.level != LADDER:
            self.enter_level(LADDER)
        elif self.query_one("#pool-detail").display:
            self._read(False)
        elif self.kind is not None:
            self.kind = None
            self.show_all()
        else:
            return False
        return True

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another pool."""
        if table is self.table and self.query_one("#pool-detail").display:
            self.show_detail()
        elif self.level == CLIENTS:
            self.clients.show_detail()

    def load(self) -> None:
        """Look now."""
        if self.feed is not None:
            self.feed.wake()

    def _read(self, reading: bool) -> None:
        self.query_one("#pool-detail").display = reading
        self.show_detail()
        self.enter_level(LADDER)
        if reading:
            focus_now(self.query_one("#pool-detail", TextPanel))

    def act_detail(self) -> None:
        """Show all about the pool under the cursor, or the list again."""
        self._read(not self.query_one("#pool-detail").display)

    def act_clients(self) -> None:
        """Show the clients of the pool under the cursor, or of the marked ones."""
        pool = self.table.cursor_row
        chosen = self.marked_pools or ([pool] if pool is not None else [])
        if self.level == CHARTS:
            return
        if pool is not None and pool.tier is Tier.APP and not self.marked_pools:
            chosen = []
        self.clients.choose([each for each in chosen if each.tier is Tier.POOLER])
        self.enter_level(CLIENTS)

    def act_charts(self) -> None:
        """Give the charts the screen, or take it from them."""
        self.enter_level(LADDER if self.level == CHARTS else CHARTS)

    def act_kind(self) -> None:
        """Show all pools, PgBouncer's, or those of applications."""
        self.kind = _KINDS[(_KINDS.index(self.kind) + 1) % len(_KINDS)]
        self.show_all()

    def act_tick(self) -> None:
        """Mark a pool and go on to the next one."""
        pool = self.table.cursor_row
        if pool is None:
            return
        self.marked ^= {rows.pool_key(pool)}
        self.table.show_marks(self.marked)
        self.table.action_down()
        self.post_message(SituationChanged())

    def act_untick(self) -> None:
        """Unmark every pool."""
        self.marked = frozenset()
        self.table.show_marks(self.marked)
        self.post_message(SituationChanged())

    def act_pause(self) -> None:
        """Ask nothing more, or go on."""
        self.is_paused = not self.is_paused
        if self.feed is not None:
            self.feed.set_paused(self.is_paused)
        paused = speak_keys("paused: {live.pause} goes on, {global.refresh} asks once")
        self.announce(paused if self.is_paused else "asking again")

    def act_faster(self) -> None:
        """Ask more often."""
        self._change_pace(-1)

    def act_slower(self) -> None:
        """Ask less often."""
        self._change_pace(1)

    def _change_pace(self, step: int) -> None:
        self.live_seconds = step_pace(self.live_seconds, step)
        self._set_pace()
        self.announce(f"asking every {self.live_seconds:g} s")

    # ------------------------------------------------------------ load tests

    def _add_load(self, point: LoadPoint) -> None:
        if self.load_points and point.monotonic_seconds <= self.load_points[-1].monotonic_seconds:
            return
        self.load_points = [*self.load_points[-_MOST_LOAD_POINTS:], point]

    def load_ticked(self, job: Job[Any], second: LoadSecond) -> None:
        """A second of a load test has passed: it is drawn on the axis of the ladder with the next look."""
        if self.load_job != job.job_id:
            self.load_job = job.job_id
            self._set_pace()
        point = load_point(second)
        self._add_load(point)
        if self.feed is not None:
            self.feed.load = point

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """A load test's result takes the screen; after an order PgBouncer is looked at anew."""
        if isinstance(outcome.result, LoadResult):
            self.load_job, self.result = 0, outcome.result
            if self.feed is not None:
                self.feed.load = None
            self._set_pace()
            panel = self.query_one("#load-result", TextPanel)
            panel.show_text(show_result(outcome.result, self.app.size.width), wraps=False)
            if self._is_shown:
                self.enter_level(RESULT)
        elif job.request.routine.startswith("pools "):
            self.load()
