"""The pools of a target: snapshots are posted, keys pressed, the screen read; no server takes part."""

import json
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.jobs import JobRequest
from dbtui.model.events import Routine
from dbtui.model.loadtest import LoadPlan, LoadRequest, LoadResult, LoadSecond, LoadStage, StageResult
from dbtui.model.pools import LoadPoint, PoolerPlan, PoolerResult, PoolerVerb, PoolsSnapshot
from dbtui.recordings import read_recording
from dbtui.tui import pool_requests
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.pools import PoolsPane
from dbtui.tui.widgets.inputs import Choice, TextInput
from tests.tui.pool_world import BASE, CLIENTS, calm, ladder, saturated
from tests.tui.world import World, screen_lines, screen_text, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)
SATURATED = [*calm(100), *saturated(20, 100)]


@pytest.fixture
def pooled(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with a PgBouncer and application pools before its first target; the terminal has braille."""
    first = replace(world.profiles[0], pgbouncer_url="postgresql://stats@db1:6432/pgbouncer",
                    app_pools=("unix:///run/user/1000/dbtui/*.sock",))  # fmt: skip
    world.profiles = (first, *world.profiles[1:])
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("LC_ALL", raising=False)
    return world


async def _open(pilot: Pilot[Any], app: DbtuiApp, snapshots: list[PoolsSnapshot]) -> PoolsPane:
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", "3")
    await wait_until(pilot, lambda: isinstance(app.pane, PoolsPane) and app.pane.feed is not None)
    pane = cast(PoolsPane, app.pane)
    pane.show_snapshots(snapshots)
    await pilot.pause()
    return pane


async def test_the_ladder_names_the_narrow_tier_and_the_cure(pooled: World) -> None:
    """At eighty columns: four gauges, the verdict, a command and where to type it, what is certain, the pools."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, SATURATED)
        text = await wait_to_see(pilot, "erp/app is the narrow one")
        lines = screen_lines(app)
        assert re.match(r" ✖ app pools █{20} +30/30  full, 12 waiting, oldest 3.1 s", lines[2])
        assert lines[3].startswith(" ✖ PgBouncer") and "10 waiting, maxwait 1.4 s" in lines[3]
        assert lines[4].startswith(" ● server") and "39/97  6 on CPU of 8 cores" in lines[4]
        assert lines[5].startswith(" ● host") and "3.0/8" in lines[5]
        assert "› default_pool_size = 27   y copies it" in text
        assert "pgbouncer.ini, section [pgbouncer]" in text
        assert "certain  an application's request times out in 26.9 s" in text
        rows = [line for line in lines if "saturated" in line]
        assert [row.split()[1] for row in rows] == ["erp/app", "erp-api", "erp-api"]
        assert "● reports/report" in text
        assert app.situation.copyable == "default_pool_size = 27"
        assert pane.table.view.shown[0].pool == "erp/app"


async def test_nothing_turns_when_all_is_well(pooled: World) -> None:
    """Without a verdict to copy, y takes the pool under the cursor; marked pools come before both."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, calm(20))
        assert "nothing is saturated" in screen_text(app)
        assert app.situation.copyable.startswith("pooler\terp/app\t4/20\t0 waiting")
        await pilot.press("space", "space")
        assert app.situation.ticked == 2
        assert app.situation.copyable.count("\n") == 1
        await pilot.press("u")
        assert app.situation.ticked == 0
        assert pane.table.cursor == 2


async def test_five_minutes_on_one_axis(pooled: World) -> None:
    """With room the charts are there at once; without, a key gives them the screen."""
    app = pooled.app()
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open(pilot, app, SATURATED)
        for second in range(10):
            pane.load_points.append(LoadPoint(monotonic_seconds=BASE + 110 + second, stage="20 clients", rate=950.0,
                                              p95_seconds=0.041))  # fmt: skip
        pane.show_all()
        text = await wait_to_see(pilot, "┊20 clients", "950/s", "41 ms", "+12 waiting", "3.0/8")
        assert len(re.findall(r"┊\d\d:\d\d", text)) == 5
        assert any("⣿" in line for line in text.splitlines())
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, SATURATED)
        assert "⣿" not in screen_text(app)
        await pilot.press("c")
        text = await wait_to_see(pilot, "five minutes", "⣿")
        assert (
            len(
                [
                    line
                    for line in text.splitlines()
                    if line.strip().startswith(("app pools", "PgBouncer", "server", "host"))
                ]
            )
            == 4
        )
        assert "POOL  " not in text
        await pilot.press("c")
        await wait_to_see(pilot, "saturated")
        await pilot.press("c")
        await wait_to_see(pilot, "five minutes")
        await pilot.press("escape")
        await wait_to_see(pilot, "saturated")


async def test_poor_terminals_get_plain_charts(pooled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console of Linux has no braille."""
    monkeypatch.setenv("TERM", "linux")
    app = pooled.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app, SATURATED)
        text = await wait_to_see(pilot, "####")
        assert not re.search("[\u2801-\u28ff]", text)


async def test_a_tier_that_stalls_stays_with_its_age(pooled: World) -> None:
    """What PgBouncer said last is dimmed and says how old it is; a PgBouncer that is down says why."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, calm(20))
        last = ladder(20)
        pane.show_snapshots([replace(ladder(at), pooler=last.pooler) for at in range(21, 35)])
        await wait_to_see(pilot, "14 s old")
        assert screen_lines(app)[3].startswith(" ○ PgBouncer")
        pane.show_snapshots([ladder(at, problem="connection refused on db1:6432") for at in range(36, 40)])
        text = await wait_to_see(pilot, "connection refused on db1:6432")
        assert next(line for line in text.splitlines() if "refused" in line).startswith(" ✖ PgBouncer")


async def test_paused_is_not_saturated(pooled: World) -> None:
    """A queue that an operator wanted is told from one that nobody did; U is offered in place of P."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, [ladder(at, active=0, waiting=9, maxwait=4.0, paused=True) for at in range(1, 20)])
        text = await wait_to_see(pilot, "paused")
        assert "saturated" not in text
        assert "U RESUME" in text and "P PAUSE" not in text


async def test_clients_of_a_pool(pooled: World) -> None:
    """Enter: application, server, query; enter again shows the whole of one, esc goes back step by step."""
    app = pooled.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app, SATURATED)
        await pilot.press("enter")
        await wait_to_see(pilot, "Asking PgBouncer for its clients")
        wants = pooled.ladders[-1].wants_clients
        assert wants is not None
        assert pooled.watches["erp"].wants_sessions
        wants(CLIENTS)
        text = await wait_to_see(pilot, "clients of erp/app", "1 waiting")
        row = next(line for line in text.splitlines() if "10.0.0.7:51023" in line)
        for cell in ("erp-api", "→ 8123", "idle in tx", "12.0 s", "Client: Cl", "UPDATE stock"):
            assert cell in row
        assert "reporting" not in text
        await pilot.press("j", "enter")
        await wait_to_see(pilot, "Statement", "UPDATE stock SET n = n - 1")
        await pilot.press("escape", "escape")
        await wait_to_see(pilot, "reports/report")
        assert pooled.ladders[-1].wants_clients is None
        assert not pooled.watches["erp"].wants_sessions


async def test_which_pools_and_all_about_one(pooled: World) -> None:
    """v goes from all to PgBouncer's and the applications'; i tells all; / filters."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, SATURATED)
        for count in (2, 2, 4):
            await pilot.press("v")
            assert len(pane.table.view.shown) == count
        await pilot.press("g", "i")
        await wait_to_see(pilot, "SHOW POOLS", "cl_waiting 10")
        await pilot.press("escape", "slash", *"4711", "enter", "i")
        await wait_to_see(pilot, "erp-api process 4711", "5 + 10 overflow")


async def test_empty_panes_say_what_to_do(world: World) -> None:
    """Without anything configured: what to write where, and still server and host; of a file, a sentence."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, [])
        await wait_to_see(
            pilot, 'pgbouncer_url = "postgresql://stats@db1:6432/pgbouncer"', "app_pools =", "publish_pool"
        )
        pane.show_snapshots([replace(snapshot, app=None, pooler=None) for snapshot in calm(3)])
        text = await wait_to_see(pilot, "pgbouncer_url")
        assert "● server" in text and "● host" in text and "PgBouncer  " not in text
        await pilot.press("1", "G", "enter", "3")
        await wait_to_see(pilot, "app is an SQLite file")


async def test_it_rests_out_of_sight_and_pauses(pooled: World) -> None:
    """Out of sight it looks every five seconds; p holds it; plus and minus change how often."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, calm(3))
        watch = pooled.ladders[-1]
        assert watch.seconds == 1.0
        await pilot.press("minus")
        assert watch.seconds == 2.0
        await pilot.press("p")
        assert watch.calls[-1] == "pause"
        await wait_to_see(pilot, "paused")
        await pilot.press("p", "7")
        assert watch.calls[-1] == "resume"
        await wait_until(pilot, lambda: watch.seconds == 5.0)
        await pilot.press("R")
    assert watch.calls[-1] == "stop"


async def test_what_is_seen_arrives_from_threads(pooled: World) -> None:
    """What the watch publishes is drawn; looks at the server reach the ladder."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, [])
        for snapshot in calm(3):
            pooled.ladders[-1].publish(snapshot)
        await wait_to_see(pilot, "● erp/app")
        pooled.watches["erp"].look()
        assert "look at erp" in pooled.ladders[-1].calls


async def test_recording(pooled: World) -> None:
    """w writes every look to a private file that can be read again."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, [])
        await pilot.press("w")
        await wait_to_see(pilot, "● rec")
        for snapshot in calm(3):
            pooled.ladders[-1].publish(snapshot)
        await pilot.press("w")
        await wait_to_see(pilot, "3 looks are in")
    (path,) = (Path(pooled.runner.history.state_dir) / "recordings").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.monotonic_seconds for each in read_recording(path)] == [BASE + at for at in (1, 2, 3)]


# ------------------------------------------------------------ orders


def _plan(verb: PoolerVerb, database: str) -> PoolerPlan:
    command = f"{verb.value.upper()} {database}".strip()
    return PoolerPlan(verb=verb, source="db1:6432", database=database, command=command,
                      consequence="lets no query of erp begin", confirm="erp", danger=2,
                      undo=f"RESUME {database}" if verb is PoolerVerb.PAUSE else "")  # fmt: skip


@pytest.fixture
def ordered(pooled: World, monkeypatch: pytest.MonkeyPatch) -> list[PoolerPlan]:
    """What was ordered of PgBouncer."""
    given: list[PoolerPlan] = []

    def order(profile: Any, plan: PoolerPlan) -> JobRequest[PoolerResult]:
        def start(_context: Any) -> Routine[PoolerResult]:
            yield from ()
            given.append(plan)
            return PoolerResult(verb=plan.verb, database=plan.database, seconds=0.1, detail=f"{plan.command}: done")

        return JobRequest(
            routine=f"pools {plan.verb}", target=profile.name, start=start, summary=lambda done: done.detail
        )

    monkeypatch.setattr(pool_requests, "order", order)
    monkeypatch.setattr(pool_requests, "order_plan", lambda profile, verb, database: pooled.returns(
        "plan", profile.name, lambda: _plan(verb, database)))  # fmt: skip
    return given


async def test_pause_is_planned_confirmed_and_recorded(pooled: World, ordered: list[PoolerPlan]) -> None:
    """The consequence first, the focus on Cancel; a production profile wants its name typed."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app, SATURATED)
        await pilot.press("P")
        await wait_to_see(pilot, "This lets no query of erp begin.", "PAUSE erp", "RESUME erp", "[ Cancel ]")
        await pilot.press("y")
        assert not ordered
        await wait_until(pilot, lambda: bool(app.dialogs[-1].query(TextInput)))
        await pilot.press("shift+tab", *"erp", "tab", "tab", "enter")
        await wait_to_see(pilot, "PAUSE erp: done")
    assert [(plan.verb, plan.database) for plan in ordered] == [(PoolerVerb.PAUSE, "erp")]


async def test_orders_are_greyed_with_the_reason(pooled: World, ordered: list[PoolerPlan]) -> None:
    """A stats-only login, and a read-only profile, order nothing."""
    app = pooled.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app, [ladder(1, admin=False)])
        await pilot.press("K")
        await wait_to_see(pilot, "KILL: this login may look only: PgBouncer wants it in admin_users")
        pane.profile = replace(pooled.profiles[0], read_only=True)
        await pilot.press("P")
        await wait_to_see(pilot, "PAUSE: erp is read-only")
    assert not ordered


# ------------------------------------------------------------ load tests


@pytest.fixture
def loaded(pooled: World, monkeypatch: pytest.MonkeyPatch) -> list[LoadRequest]:
    """What load was asked for; each test has two seconds and two stages."""
    given: list[LoadRequest] = []

    def load(profile: Any, plan: LoadPlan) -> JobRequest[LoadResult]:
        from dbtui.model.events import LoadTicked

        def start(_context: Any) -> Routine[LoadResult]:
            given.append(plan.request)
            seconds = []
            for number, stage in enumerate(plan.request.stages):
                second = LoadSecond(
                    stage=stage.name, second=number, monotonic_seconds=BASE + 90 + 25 * number, completed=900
                )
                seconds.append(second)
                yield LoadTicked(second)
            now = datetime.now(UTC)
            stages = tuple(StageResult(stage=stage, seconds=1.0, completed=900, rate=900.0, goodput=880.0,
                                       p50_seconds=0.01, p95_seconds=0.04 * number, p99_seconds=0.09)
                           for number, stage in enumerate(plan.request.stages, 1))  # fmt: skip
            return LoadResult(request=plan.request, shown_target=plan.shown_target, began_at=now, ended_at=now,
                              stages=stages, seconds=tuple(seconds), knee=stages[-1].stage.name)  # fmt: skip

        return JobRequest(routine="bench sql", target=profile.name, start=start)

    def load_plan(profile: Any, request: LoadRequest) -> JobRequest[LoadPlan]:
        plan = LoadPlan(request=request, shown_target=profile.name, is_private=True, confirm=profile.name,
                        warnings=("erp is a PRODUCTION profile",))  # fmt: skip
        return pooled.returns("plan", profile.name, lambda: plan)

    monkeypatch.setattr(pool_requests, "load", load)
    monkeypatch.setattr(pool_requests, "load_plan", load_plan)
    return given


async def test_a_load_test_from_question_to_report(pooled: World, loaded: list[LoadRequest]) -> None:
    """t asks, a name has to be typed, the seconds are drawn, the result takes the screen, e writes the report."""
    app = pooled.app()
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open(pilot, app, SATURATED)
        await pilot.press("t")
        await wait_to_see(
            pilot, "Load test on erp", "[ Cancel ]", "Loads erp for 45 s, with up to 20 requests at a time."
        )
        dialog = app.dialogs[-1]
        assert dialog.query_one("#way", Choice).value == "pooler"
        dialog.query_one("#stages", TextInput).value = "5,10"
        dialog.query_one("#duration", TextInput).value = "2 bananas"
        await wait_to_see(pilot, "each stage: '2 bananas' is not a time")
        dialog.query_one("#duration", TextInput).value = "1s"
        dialog.query_one("#slo", TextInput).value = "200ms"
        await wait_to_see(
            pilot, "Loads erp for 2 s", "5 clients 1 s, 10 clients 1 s", "answers within 200 ms", "PRODUCTION"
        )
        await wait_until(pilot, lambda: bool(dialog.query(".name-input")))
        assert dialog.query_one("#accept").disabled
        dialog.query_one(".name-input", TextInput).value = "erp"
        await wait_until(pilot, lambda: not dialog.query_one("#accept").disabled)
        dialog.push("accept")
        text = await wait_to_see(pilot, "the knee is at 10 clients", "5 clients", "900")
        assert "▲10 clients" in text
        assert [point.stage for point in pane.load_points] == ["5 clients", "10 clients"]
        await pilot.press("e")
        await wait_to_see(pilot, "report written to")
        await pilot.press("escape")
        await wait_to_see(pilot, "stages  10 clients", "┊5 clients", "900/s")
        await pilot.press("r")
        await wait_to_see(pilot, "the knee is at")
    (asked,) = loaded
    assert asked.is_pooled and asked.slo_seconds == 0.2
    assert asked.stages == (LoadStage(name="5 clients", seconds=1.0, concurrency=5),
                            LoadStage(name="10 clients", seconds=1.0, concurrency=10))  # fmt: skip
    reports = sorted((Path(pooled.runner.history.state_dir) / "reports").iterdir())
    assert [path.suffix for path in reports] == [".json", ".md"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in reports)
    assert json.loads(reports[0].read_text())["version"] == 1
