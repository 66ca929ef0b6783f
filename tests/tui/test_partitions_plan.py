"""The plan of a partitioned table: read, applied after a question, told how it went; no server takes part."""

import threading
from dataclasses import replace
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.model.jobs import JobState
from dbtui.model.partitions import StepKind, StepOutcome
from dbtui.model.policies import ArchiveMode
from dbtui.model.tables import TableName
from dbtui.routines.context import RoutineContext
from dbtui.routines.partition_journal import UnendedRun
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.partitions import PartitionsPane
from dbtui.tui.widgets.inputs import TextInput
from tests.tui.partition_world import LOGS, POLICY, PartitionWorld, monthly, patch_requests, table, whole
from tests.tui.world import World, screen_lines, screen_text, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)
LETTERS = {".": "full_stop", "_": "underscore"}


@pytest.fixture
def lab(world: World, monkeypatch: pytest.MonkeyPatch) -> PartitionWorld:
    """A policy for audit_logs at the first three targets: of production, of staging, and read-only."""
    archived = replace(POLICY, archive_dir="/srv/archive")
    world.profiles = (*(replace(each, partitions=(archived,)) for each in world.profiles[:3]), world.profiles[3])
    world.statuses["shop"] = replace(world.statuses["erp"], profile="shop")
    made = PartitionWorld(world, tables=[monthly()])
    patch_requests(made, monkeypatch)
    return made


async def _plan(pilot: Pilot[Any], app: DbtuiApp, target: int = 1) -> PartitionsPane:
    """Go to a target's partitions and plan for the first table."""
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", *("j",) * target, "4")
    await wait_until(pilot, lambda: isinstance(app.pane, PartitionsPane) and app.pane.tables.seen is not None)
    pane = cast(PartitionsPane, app.pane)
    await pilot.press("n")
    await wait_until(pilot, lambda: pane.plan.read is not None)
    return pane


async def _type_name(pilot: Pilot[Any], app: DbtuiApp, *names: str) -> None:
    await wait_until(pilot, lambda: bool(app.dialogs) and len(app.dialogs[-1].query(TextInput)) == len(names))
    for name in names:
        await pilot.press(*(LETTERS.get(letter, letter) for letter in name))
        await pilot.press("enter")
    await pilot.press("enter")


async def test_steps_are_a_list_and_each_can_be_read(lab: PartitionWorld) -> None:
    """At eighty columns: what it comes to, the policy, the steps; enter reads why, danger, locks and SQL of one."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _plan(pilot, app)
        text = await wait_to_see(pilot, "plan for public.audit_logs   3 create, 2 detach, 2 archive, 2 drop")
        assert "rows are archived and proven before a drop" in text
        assert "○ the plan       every 1 month, 3 ahead, kept 12 months" in text
        steps = [line.split() for line in screen_lines(app) if "audit_logs_y" in line]
        assert steps[0][:3] == ["1", "create", "audit_logs_y2026m06"]
        assert [row[1] for row in steps] == ["create"] * 3 + ["detach"] * 2 + ["archive"] * 2 + ["▲"] * 2
        assert 'ALTER TABLE "public"."audit_logs" ATTACH PARTITION' in app.situation.copyable
        await pilot.press("enter")
        text = await wait_to_see(pilot, "why         a gap: its rows have no partition of their own")
        for words in ("danger      1  can be taken back", "parent   SHARE UPDATE EXCLUSIVE", "in one transaction",
                      'CREATE TABLE "public"."audit_logs_y2026m06"', "LOCK TABLE ONLY"):  # fmt: skip
            assert words in text
        await pilot.press("escape", "G", "enter")
        await wait_to_see(pilot, "3  rows go unless they were archived", "DROP TABLE")
        await pilot.press("escape", "escape")
        await wait_to_see(pilot, "REMARKS")


async def test_the_whole_plan_is_read_and_copied(lab: PartitionWorld) -> None:
    """The first row is the plan itself: enter shows all of it, y copies the SQL of every step."""
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        pane = await _plan(pilot, app)
        await pilot.press("g")
        await wait_to_see(pilot, "It creates 3, detaches 2, archives 2 and drops 2")
        copied = app.situation.copyable
        assert copied.startswith("-- 1. create public.audit_logs_y2026m06\nCREATE TABLE")
        assert "-- 7. archive public.audit_logs_y2025m10: a backup" in copied
        assert copied.count("DETACH PARTITION") == 2
        await pilot.press("slash", *"drop", "enter")
        kinds = [row.step.kind for row in pane.plan.table.view.shown if row.step is not None]
        assert kinds == [StepKind.DROP] * 2
        await pilot.press("s")
        await wait_to_see(pilot, "the steps stand in the order in which they are done")


async def test_a_plan_that_drops_wants_the_name_typed(lab: PartitionWorld) -> None:
    """The consequence first, the focus on Cancel; a wrong name opens nothing; the result is told step by step."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _plan(pilot, app)
        await pilot.press("a")
        text = await wait_to_see(pilot, "Apply the plan of public.audit_logs at erp-test", "type the table")
        assert "This creates 3, detaches 2, archives 2 and drops 2" in text
        assert "rows are archived and proven before a drop" in text
        assert "child: ACCESS EXCLUSIVE (new)" in text
        assert "[ Cancel ]" in text
        await pilot.press("y")
        assert not lab.applied
        await pilot.press("x")
        assert isinstance(app.focused, TextInput)
        await pilot.press("enter")
        assert app.dialogs[-1].query_one("#accept").disabled
        await pilot.press("shift+tab", "backspace")
        await _type_name(pilot, app, "public.audit_logs")
        await wait_to_see(pilot, "● public.audit_logs: 9 done", "● 9 done  nothing left to do   R plans anew")
        assert [row.result.outcome for row in pane.plan.table.view.shown if row.result] == [StepOutcome.DONE] * 9
        await pilot.press("a")
        await wait_to_see(pilot, "apply: this plan was applied: R plans anew")
        lab.tables = [replace(monthly(missing=99), partitions=monthly(missing=99).partitions[2:])]
        await pilot.press("R")
        await wait_to_see(pilot, "plan for public.audit_logs   2 create")
    kept = app.runner.history.entries(1)[0]
    assert (kept.routine, kept.subject, kept.state) == ("partitions apply", "public.audit_logs", JobState.SUCCEEDED)


async def test_production_wants_its_own_name_too(lab: PartitionWorld) -> None:
    """Where rows go."""
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _plan(pilot, app, target=0)
        await pilot.press("a")
        await wait_to_see(pilot, "at erp (PRODUCTION)", "type the table public.audit_logs", "type the profile erp")
        await _type_name(pilot, app, "public.audit_logs", "erp")
        await wait_until(pilot, lambda: bool(lab.applied))


async def test_without_an_archive_it_is_said_that_rows_are_lost(lab: PartitionWorld) -> None:
    """In the headline and in the question."""
    policy = replace(POLICY, archive=ArchiveMode.NONE)
    lab.world.profiles = tuple(replace(each, partitions=(policy,)) for each in lab.world.profiles)
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _plan(pilot, app)
        await wait_to_see(pilot, "▲ rows are dropped that nothing archives")
        await pilot.press("a")
        await wait_to_see(pilot, "about 2.0 M rows are LOST, for nothing is archived")
        await pilot.press("escape")


async def test_what_only_creates_wants_a_yes(lab: PartitionWorld) -> None:
    """y does it; the tree shows what is there then."""
    lab.tables = [monthly()]
    lab.world.profiles = tuple(replace(each, partitions=()) for each in lab.world.profiles)
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _plan(pilot, app)
        await wait_to_see(pilot, "4 create")
        await pilot.press("a")
        await wait_to_see(pilot, "Apply (y)", "creates 4")
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
        lab.tables = [monthly(missing=99)]
        await pilot.press("y")
        await wait_to_see(pilot, "● 4 done")
        await wait_until(pilot, lambda: lab.asked[-1] == ("tables", "erp-test"))
        await pilot.press("escape")
        text = await wait_to_see(pilot, "REMARKS")
        assert "▲ gap" not in text


async def test_another_plan_than_was_read_is_not_applied(lab: PartitionWorld) -> None:
    """The dialog plans anew: what has changed meanwhile is shown, to be read first."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _plan(pilot, app)
        lab.tables = [monthly(missing=-7)]
        await pilot.press("a")
        await wait_to_see(pilot, "✖ the table has changed since this plan was read")
        assert app.dialogs[-1].query_one("#accept").disabled
        assert not app.dialogs[-1].query(TextInput)
        await pilot.press("escape")
        await wait_to_see(pilot, "1    create         audit_logs_y2026m04")
        assert pane.plan.read is not None and not lab.applied


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"is_replica": True}, "this server is a standby: plan for public.audit_logs on its primary"),
        ({"is_pooled": True}, "a pooler is in the way to public.audit_logs"),
        ({"is_owner": False}, "this login does not own public.audit_logs"),
        ({"managed_by": "timescaledb"}, "public.audit_logs is kept by timescaledb"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_cannot_be_applied_says_why(lab: PartitionWorld, fields: dict[str, Any], reason: str) -> None:
    """A replica, a pooler, another owner, another program: the plan is refused, and so is a."""
    lab.tables = [monthly(**fields)]
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _plan(pilot, app)
        text = await wait_to_see(pilot, "✖ refused")
        assert reason.split(":")[0][:40] in text
        await pilot.press("a")
        await wait_to_see(pilot, f"apply: {reason}")
    assert not lab.applied


async def test_a_read_only_profile_plans_and_does_not_apply(lab: PartitionWorld) -> None:
    """The key is grey from the beginning."""
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _plan(pilot, app, target=2)
        await wait_to_see(pilot, "3 create")
        await pilot.press("a")
        await wait_to_see(pilot, "apply: shop is read-only")


async def test_a_run_that_was_killed_is_told(lab: PartitionWorld) -> None:
    """As a warning of the plan, and in the question; one that goes on is told otherwise."""
    lab.unended = UnendedRun("2026-11-22T10:00:00Z", 4711, "drop public.audit_logs_y2025m08")
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _plan(pilot, app)
        await wait_to_see(pilot, "▲ 1 to know", "ended without a word")
        await pilot.press("a")
        await wait_to_see(pilot, "ended without a word, while it was at: drop")
        await pilot.press("escape")
        lab.unended = replace(lab.unended, is_running=True)
        await pilot.press("R")
        await wait_to_see(pilot, "process 4711 has been applying a plan since 2026-11-22T10:00:00Z")


async def test_progress_names_who_is_in_the_way_and_can_be_cancelled(lab: PartitionWorld) -> None:
    """The strip says whom it waits for, the list which step it is at; ctrl+x asks, and what was done stays."""
    lab.blockers = "held by session 8123 (erp-report, in a transaction for 42 s: SELECT 1)"
    gates: list[RoutineContext] = []

    def gate(context: RoutineContext) -> None:
        gates.append(context)
        if len(gates) == 2:
            context.cancellation.wait(20.0)

    lab.gate = gate
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _plan(pilot, app)
        await pilot.press("a")
        await _type_name(pilot, app, "public.audit_logs")
        text = await wait_to_see(pilot, "try 1 of 30  held by session 8123 (erp-report", "› create")
        assert next(line for line in text.splitlines() if "› create" in line).split()[1] == "2"
        await pilot.press("a")
        await wait_to_see(pilot, "apply: it is being applied: ctrl+x cancels that")
        await pilot.press("ctrl+x")
        await wait_to_see(pilot, "Cancel this job?", "Steps that are done stay done, and no row is lost")
        await pilot.press("y")
        await wait_to_see(pilot, "▲ partitions apply public.audit_logs: cancelled")
        await wait_until(pilot, lambda: lab.asked[-1][0] in ("tables", "plan"))
        await wait_to_see(pilot, "3 create, 2 detach")
    assert app.runner.history.entries(1)[0].state is JobState.CANCELLED


async def test_what_was_locked_is_told_beside_its_step(lab: PartitionWorld) -> None:
    """Partly done: each step has its sign, the detail says who was in the way."""
    lab.outcomes = {2: StepOutcome.LOCKED, 3: StepOutcome.FAILED}
    lab.blockers = "held by session 8123"
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _plan(pilot, app)
        await pilot.press("a")
        await _type_name(pilot, app, "public.audit_logs")
        text = await wait_to_see(pilot, "▲ 1 locked", "✖ 1 failed", "2 steps left")
        assert "2  ▲ create" in text and "3  ✖ create" in text
        await pilot.press("j", "enter")
        await wait_to_see(pilot, "locked: create public.audit_logs_y2027m01", "held", "by session 8123")


async def test_nothing_to_do(lab: PartitionWorld) -> None:
    """A table that is as it should be says so."""
    found = monthly(missing=99)
    ahead = [replace(each) for each in found.partitions[2:]]
    lab.tables = [replace(found, partitions=tuple(ahead))]
    policy = replace(POLICY, premake=1)
    lab.world.profiles = tuple(replace(each, partitions=(policy,)) for each in lab.world.profiles)
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _plan(pilot, app)
        await wait_to_see(pilot, "● it is as it should be: nothing to do")
        await pilot.press("a")
        await wait_to_see(pilot, "apply: there is nothing to do")


# ------------------------------------------------------------ another policy


async def test_another_policy_is_typed_and_shown_as_a_plan(lab: PartitionWorld) -> None:
    """o: what cannot be is said at once; what can be is planned; esc changes nothing."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _plan(pilot, app)
        await pilot.press("o")
        await wait_to_see(pilot, "What public.audit_logs should be like", "3 create, 2 detach")
        dialog = app.dialogs[-1]
        assert dialog.query_one("#interval", TextInput).has_focus
        dialog.query_one("#retention", TextInput).value = "6 fortnights"
        await wait_to_see(pilot, "keep: “6 fortnights” has a unit")
        dialog.query_one("#retention", TextInput).value = "6 months"
        dialog.query_one("#premake", TextInput).value = "none"
        await wait_to_see(pilot, "ahead: expected a whole number")
        dialog.query_one("#premake", TextInput).value = "1"
        await wait_to_see(pilot, "steps       1 create, 8 detach, 8 archive")
        await wait_until(pilot, lambda: not dialog.query_one("#accept").disabled)
        assert lab.asked[-1] == ("plan", LOGS, {"retention": "6 months", "premake": 1})
        dialog.query_one("#accept").focus()
        await pilot.press("enter")
        await wait_to_see(pilot, "plan for public.audit_logs   1 create, 8 detach")
        await pilot.press("R")
        await wait_until(pilot, lambda: lab.asked[-1] == ("plan", LOGS, {"retention": "6 months", "premake": 1}))
        await wait_until(pilot, lambda: pane.plan.read is not None)
        await pilot.press("o", "escape")
        await wait_until(pilot, lambda: not app.dialogs)
        assert dict(pane.plan.words) == {"retention": "6 months", "premake": 1}


async def test_a_table_without_a_policy_is_given_one(lab: PartitionWorld) -> None:
    """Nothing tells how long its partitions should be: what was refused is planned once an interval is typed."""
    lab.tables = [table("events")]
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _plan(pilot, app)
        await wait_to_see(pilot, "✖ refused        nothing tells how long the partitions")
        await pilot.press("o")
        await wait_to_see(pilot, "What public.events should be like")
        await pilot.press(*"1", "space", *"day")
        await wait_to_see(pilot, "steps       5 create")
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
        app.dialogs[-1].query_one("#accept").focus()
        await pilot.press("enter")
        await wait_to_see(pilot, "plan for public.events   5 create")
        assert lab.asked[-1] == ("plan", TableName("public", "events"), {"interval": "1 day"})


async def test_planning_can_be_left(lab: PartitionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it is at work; esc goes back, and what comes late is not shown."""
    gate = threading.Event()
    real = lab.find

    def slow(name: TableName) -> Any:
        gate.wait(20)
        return real(name)

    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "4")
        await wait_to_see(pilot, "audit_logs")
        monkeypatch.setattr(lab, "find", slow)
        pane = cast(PartitionsPane, app.pane)
        await pilot.press("n")
        await wait_to_see(pilot, "Looking at public.audit_logs and planning …", "esc stops")
        await pilot.press("escape")
        await wait_to_see(pilot, "REMARKS")
        gate.set()
        await pilot.pause(0.2)
        assert pane.plan.read is None
        assert "plan for" not in screen_text(app)


async def test_indexes_are_steps_too(lab: PartitionWorld) -> None:
    """Built concurrently, outside a transaction, then attached."""
    lab.tables = [whole(monthly())]
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _plan(pilot, app)
        await pilot.press("slash", *"index", "enter")
        await wait_to_see(pilot, "create index", "attach index", "audit_logs_y2026m01_at_i")
        await wait_to_see(pilot, "outside a transaction", "CREATE INDEX CONCURRENTLY")
