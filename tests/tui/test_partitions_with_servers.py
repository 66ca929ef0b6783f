"""A gap made, planned, applied and seen cured by keys alone: on PostgreSQL, on MariaDB, and in a pseudo-terminal."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.config import Settings, parse_url
from dbtui.demo.servers import MariaDB, PgBouncer
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobState
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.routines.backups import find_backup
from dbtui.routines.context import RoutineContext
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.partitions import PartitionsPane
from tests.costs import least
from tests.fix_servers import wait_until as wait_for
from tests.routines.partition_lab import ROWS, Lab, month
from tests.tui.fix_pty import ROOT, Terminal
from tests.tui.world import screen_text, wait_to_see, wait_until

LARGE = (160, 45)
DUE = (-15, -14, -13)
LETTERS = {".": "full_stop", "_": "underscore"}


@pytest.fixture
def lab(postgresql_database: str, tmp_path: Path) -> Lab:
    made = Lab(postgresql_database, tmp_path)
    made.create()
    return made


def _app(profile: ConnectionProfile, tmp_path: Path) -> DbtuiApp:
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    return DbtuiApp(runner, Settings(profiles=(profile,), backup_dir=str(tmp_path / "backups")))


async def _open_tree(pilot: Pilot[Any], app: DbtuiApp) -> PartitionsPane:
    await wait_until(pilot, lambda: bool(app.statuses))
    await pilot.press("4")
    await wait_until(pilot, lambda: isinstance(app.pane, PartitionsPane) and app.pane.tables.chosen is not None)
    pane = cast(PartitionsPane, app.pane)
    await pilot.press("enter")
    await wait_until(pilot, lambda: pane.branches.judged is not None and pane.branches.judged.is_whole)
    return pane


async def _apply(pilot: Pilot[Any], app: DbtuiApp, pane: PartitionsPane, typed: str) -> None:
    await pilot.press("n")
    await wait_until(pilot, lambda: pane.plan.read is not None)
    await pilot.press("a")
    await wait_to_see(pilot, f"type the table {typed}")
    await pilot.press(*(LETTERS.get(letter, letter) for letter in typed))
    await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
    await pilot.press("enter", "enter")


async def test_a_gap_is_found_and_cured_and_what_is_due_goes_into_a_backup(lab: Lab, tmp_path: Path) -> None:
    """On PostgreSQL: the tree shows the gap, the plan fills it, archives three months and drops them."""
    app = _app(replace(lab.profile, partitions=(lab.policy,)), tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open_tree(pilot, app)
        text = await wait_to_see(pilot, "▲ gap", "▲ 3 past retention (12 months)", f"[{month(-5):%Y-%m-%d}")
        assert "coverage" in text and "·" in text and "┊" in text
        await pilot.press("e")
        await wait_to_see(pilot, "16 partitions measured: ")
        await _apply(pilot, app, pane, "public.logs")
        await wait_to_see(pilot, "nothing left to do", "R plans anew")
        assert lab.partitions() == {lab.name(offset) for offset in range(-12, 4)}
        archives = [find_backup(tmp_path / "archive", each) for each in lab.archived()]
        assert [each.rows for each in archives] == [ROWS] * len(DUE)
        await pilot.press("escape")
        await wait_until(pilot, lambda: "▲ gap" not in screen_text(app) and lab.name(3) in screen_text(app))
        assert lab.name(-15) not in screen_text(app)
        await pilot.press("n")
        await wait_to_see(pilot, "● it is as it should be: nothing to do")
    kept = app.runner.history.entries(1)[0]
    assert (kept.routine, kept.state) == ("partitions apply", JobState.SUCCEEDED)
    assert any("ATTACH PARTITION" in command for command in kept.commands)


async def test_who_holds_a_lock_is_named_until_it_is_let_go(lab: Lab, tmp_path: Path) -> None:
    """The strip names the session; what was locked goes on when it is free."""
    app = _app(replace(lab.profile, partitions=(lab.policy,)), tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open_tree(pilot, app)
        with lab.holding(f'SELECT count(*) FROM "{lab.name(-14)}"'):
            await _apply(pilot, app, pane, "public.logs")
            await wait_to_see(pilot, "› detach", "held by session", "bystander")
        await wait_to_see(pilot, "nothing left to do", seconds=60)


async def test_a_cancelled_run_goes_on_by_a_new_plan(lab: Lab, tmp_path: Path) -> None:
    """ctrl+x while it waits for a lock: no row is lost, what is left is planned at once."""
    app = _app(replace(lab.profile, partitions=(lab.policy,)), tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open_tree(pilot, app)
        with lab.holding(f'SELECT count(*) FROM "{lab.name(-15)}"'):
            await _apply(pilot, app, pane, "public.logs")
            await wait_to_see(pilot, "held by session")
            await pilot.press("ctrl+x")
            await wait_to_see(pilot, "Cancel this job?")
            await pilot.press("y")
            await wait_to_see(pilot, "partitions apply public.logs: cancelled")
        await wait_until(pilot, lambda: pane.plan.read is not None)
        assert lab.name(-5) in lab.partitions()
        assert lab.name(-15) in lab.tables()
        await pilot.press("R")
        await wait_until(pilot, lambda: pane.plan.read is not None)
        await pilot.press("a")
        await wait_to_see(pilot, "type the table public.logs")
        await pilot.press(*(LETTERS.get(letter, letter) for letter in "public.logs"), "enter", "enter")
        await wait_to_see(pilot, "nothing left to do")
    assert lab.partitions() == {lab.name(offset) for offset in range(-12, 4)}


async def test_a_run_that_was_killed_is_told_when_planning(lab: Lab, tmp_path: Path) -> None:
    """Its journal has no end."""
    app = _app(replace(lab.profile, partitions=(lab.policy,)), tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open_tree(pilot, app)
        await _apply(pilot, app, pane, "public.logs")
        await wait_to_see(pilot, "nothing left to do")
        (journal,) = (tmp_path / "state" / "partitions").iterdir()
        kept = [line for line in journal.read_text().splitlines(keepends=True) if '"ended"' not in line]
        journal.write_text("".join(kept[:-1]).replace(f'"process": {os.getpid()}', '"process": 4194304'))
        await pilot.press("R")
        await wait_to_see(pilot, "▲ warning", "the run that process 4194304 began")


async def test_through_a_pooler_nothing_is_applied(lab: Lab, pgbouncer: PgBouncer, tmp_path: Path) -> None:
    """It is looked at, and the plan says why it is refused."""
    database = lab.url.rpartition("/")[2]
    profile = replace(parse_url(pgbouncer.url(database), "erp"), partitions=(lab.policy,))
    app = _app(profile, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await _open_tree(pilot, app)
        await pilot.press("n")
        await wait_to_see(pilot, "✖ refused", "a pooler is in the way to public.logs")
        await pilot.press("a")
        await wait_to_see(pilot, "apply: a pooler is in the way to public.logs")


# ------------------------------------------------------------ MariaDB


def _make_months(server: MariaDB, schema: str) -> list[str]:
    """`logs` from 15 months back to this one, and pmax; a row in each. Returns the names."""
    names = [f"p{month(offset):%Y%m}" for offset in range(-15, 1)]
    parts = [f"PARTITION {name} VALUES LESS THAN ('{month(offset + 1):%Y-%m-%d}')"
             for name, offset in zip(names, range(-15, 1), strict=True)]  # fmt: skip
    server.execute(
        "CREATE TABLE logs (id bigint NOT NULL AUTO_INCREMENT, at date NOT NULL, v int, PRIMARY KEY (id, at))"
        f" PARTITION BY RANGE COLUMNS (at) ({', '.join(parts)}, PARTITION pmax VALUES LESS THAN (MAXVALUE))",
        database=schema,
    )
    for offset in range(-15, 1):
        server.execute(f"INSERT INTO logs (at, v) VALUES ('{month(offset):%Y-%m-%d}', 1)", database=schema)
    return names


async def test_mariadb_gets_its_next_months_and_loses_those_past_retention(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    """What was missing ahead is split from the tail; three months go into backups."""
    schema = mariadb_database.rpartition("/")[2]
    names = _make_months(mariadb_server, schema)
    policy = PartitionPolicy(
        table=TableName(schema, "logs"), interval=Interval(1, IntervalUnit.MONTH), premake=3,
        retention=Interval(12, IntervalUnit.MONTH), archive_dir=str(tmp_path / "archive"),
    )  # fmt: skip
    profile = replace(parse_url(mariadb_database, "shop"), partitions=(policy,), backup_dir=str(tmp_path / "backups"))
    app = _app(profile, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open_tree(pilot, app)
        await wait_to_see(pilot, "▲ 3 past retention (12 months)", names[0], "pmax")
        await _apply(pilot, app, pane, f"{schema}.logs")
        await wait_to_see(pilot, "nothing left to do", seconds=60)
        await pilot.press("escape")
        await wait_until(pilot, lambda: names[0] not in screen_text(app))
        assert pane.branches.judged is not None
        assert pane.branches.judged.assessment.due == ()
        await pilot.press("n")
        await wait_to_see(pilot, "● it is as it should be: nothing to do")
    there = [row[0] for row in mariadb_server.execute(
        f"SELECT partition_name FROM information_schema.partitions WHERE table_schema = '{schema}'"
        " AND table_name = 'logs' ORDER BY partition_ordinal_position")]  # fmt: skip
    assert there[:13] == names[3:]
    assert len(there) == 13 + 3 + 1
    assert len(list((tmp_path / "archive").glob("*.manifest.json"))) == len(DUE)
    assert mariadb_server.execute("SELECT count(*) FROM logs", database=schema)[0][0] == 13


# ------------------------------------------------------------ in a pseudo-terminal


@pytest.fixture
def ui(lab: Lab, tmp_path: Path) -> Iterator[Terminal]:
    """`dbtui URL` itself at eighty columns: without a policy what is there goes on, and nothing is dropped."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8",
               "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}  # fmt: skip
    terminal = Terminal([sys.executable, "-m", "dbtui", lab.url], environ, answers=True)
    yield terminal
    terminal.press("q")
    terminal.end_seconds(15)
    terminal.process.wait()
    terminal.process.close()


def test_a_gap_is_cured_in_a_terminal(ui: Terminal, lab: Lab) -> None:
    """4, enter, n, enter, esc, a, y: and the month is there."""
    ui.wait_to_see("PG 15")
    ui.press("4")
    ui.wait_to_see("public.logs")
    ui.press("\r")
    ui.wait_to_see("coverage")
    ui.wait_to_see("▲ gap")
    ui.wait_until_idle()
    assert least(lambda: max(ui.bytes_of(key) for key in "kj"), 1500) < 1500  # two rows, timeline and footer
    ui.press("n")
    ui.wait_to_see("plan for public.logs")
    ui.press("\r")
    ui.wait_to_see("ALTER TABLE")
    ui.press("\x1b")
    ui.wait_to_see("○ the plan")
    ui.press("a")
    ui.wait_to_see("creates")
    ui.wait_to_see("[ Cancel ]")
    ui.wait_until_idle()
    ui.press("y")
    ui.wait_to_see("nothing left to do")
    wait_for(lambda: lab.name(-5) in lab.partitions())
    ui.press("\x1b")
    ui.wait_for(lambda: "coverage" in ui.text and "▲ gap" not in ui.text)
