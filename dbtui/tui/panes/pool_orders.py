"""What the pools pane starts: orders to PgBouncer, load tests and their reports, recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dbtui.errors import DbtuiError
from dbtui.model.pools import PoolerVerb, Tier
from dbtui.tui import pool_requests as requests
from dbtui.tui.cells import Tone
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.messages import Announced, JobWanted, SituationChanged
from dbtui.tui.panes.pane import Pane
from dbtui.tui.spoken_keys import speak_keys, spoken_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbtui.jobs import JobRunner
    from dbtui.model.connections import ConnectionProfile
    from dbtui.model.ladders import PoolReading
    from dbtui.model.loadtest import LoadResult
    from dbtui.model.pools import PoolsSnapshot
    from dbtui.tui.ladder_feed import LadderFeed
    from dbtui.tui.widgets.table import Table

_NEEDS_ADMIN = "this login may look only: PgBouncer wants it in admin_users"


class PoolOrders(Pane):
    """The orders of the pools pane. What they are about is the pane's."""

    runner: JobRunner
    profile: ConnectionProfile | None
    snapshot: PoolsSnapshot | None
    result: LoadResult | None
    load_job: int
    load_slo: float | None
    load_typed: Mapping[str, str]
    feed: LadderFeed | None

    if TYPE_CHECKING:

        @property
        def table(self) -> Table[PoolReading]:
            """The pools."""
            ...

        def enter_level(self, level: str) -> None:
            """Show another level."""
            ...

    # ------------------------------------------------------------ orders to PgBouncer

    def no_orders(self) -> str:
        """Return why nothing can be ordered of PgBouncer, or nothing."""
        pooler = self.snapshot.pooler if self.snapshot is not None else None
        if self.profile is not None and self.profile.read_only:
            return f"{self.profile.name} is read-only"
        if pooler is None:
            return "no PgBouncer is known here"
        if pooler.problem:
            return "PgBouncer does not answer"
        return "" if pooler.is_admin else _NEEDS_ADMIN

    @property
    def database(self) -> str:
        """The database of the pool under the cursor; of an application's pool, none."""
        pool = self.table.cursor_row
        return pool.database if pool is not None and pool.tier is Tier.POOLER else ""

    @property
    def is_pooler_paused(self) -> bool:
        """Whether the database under the cursor, or any, is paused."""
        pooler, name = self.snapshot.pooler if self.snapshot is not None else None, self.database
        return pooler is not None and any(each.is_paused for each in pooler.databases if name in ("", each.name))

    def act_pause_pool(self) -> None:
        """Ask, then let no query begin."""
        self._order(PoolerVerb.PAUSE)

    def act_resume_pool(self) -> None:
        """Ask, then go on."""
        self._order(PoolerVerb.RESUME)

    def act_reload(self) -> None:
        """Ask, then let PgBouncer read its configuration."""
        self._order(PoolerVerb.RELOAD)

    def act_reconnect(self) -> None:
        """Ask, then let server connections be replaced."""
        self._order(PoolerVerb.RECONNECT)

    def act_kill(self) -> None:
        """Ask, then drop the connections of a database."""
        self._order(PoolerVerb.KILL)

    def _order(self, verb: PoolerVerb) -> None:
        ask_in_background(self, "pooler dialog", self._ask_order, verb)

    async def _ask_order(self, verb: PoolerVerb) -> None:
        from dbtui.tui.dialogs.pooler_order import PoolerOrderDialog

        pooler = self.snapshot.pooler if self.snapshot is not None else None
        if self.profile is None or pooler is None:
            return
        names = [each.name for each in pooler.databases if each.name != "pgbouncer"]
        plan = await ask(self, PoolerOrderDialog(self.runner, self.profile, verb, names, self.database))
        if plan is not None:
            self.post_message(JobWanted(requests.order(self.profile, plan)))

    # ------------------------------------------------------------ load tests

    def no_load(self) -> str:
        """Return why no load test can be started, or nothing."""
        if self.load_job:
            return speak_keys("a load test runs: {global.cancel} cancels it")
        return (
            ""
            if self.profile is not None
            else speak_keys("open a connection first: {global.connections}, then {connections.open}")
        )

    def act_test(self) -> None:
        """Ask what to test with which load."""
        ask_in_background(self, "load dialog", self._ask_load)

    async def _ask_load(self) -> None:
        from dbtui.tui.dialogs.load_test import LoadTestDialog

        if self.profile is None:
            return
        dialog = LoadTestDialog(self.runner, self.profile, self.load_typed)
        plan = await ask(self, dialog)
        self.load_typed = dialog.typed
        if plan is not None:
            self.load_slo = plan.request.slo_seconds
            self.post_message(JobWanted(requests.load(self.profile, plan)))

    def act_result(self) -> None:
        """Show the last load test's result."""
        self.enter_level("result")

    def act_report(self) -> None:
        """Write the last load test's report: JSON, and Markdown beside it."""
        if self.result is None:
            return
        directory = Path(self.runner.history.state_dir) / "reports"
        try:
            path = requests.write_report(self.result, directory)
        except OSError as error:
            self._say(f"not written: {error.filename or directory}: {error.strerror or error}", Tone.TROUBLE)
            return
        self._say(f"report written to {path}", Tone.OK)

    # ------------------------------------------------------------ recordings

    def act_record(self) -> None:
        """Write every look to a file from now on, or no more."""
        if self.feed is None:
            self._say("nothing is looked at: open a connection first", Tone.WARNING)
            return
        if self.feed.is_recording:
            path, count = self.feed.stop_recording()
            self._say(f"{count} looks are in {path}; dbtui --replay plays them", Tone.OK)
        else:
            try:
                path = self.feed.record(Path(self.runner.history.state_dir) / "recordings")
            except DbtuiError as error:
                self._say(f"not recorded: {error}", Tone.TROUBLE)
                return
            self._say(f"recording into {path}; {spoken_key('pools.record')} ends it", Tone.OK)
        self.post_message(SituationChanged())

    def _say(self, text: str, tone: Tone) -> None:
        self.post_message(Announced(text, tone))
