"""The demo without a terminal: opens the terminal UI at 80x24, goes through every pane, backs up and restores."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

from dbtui.config import Settings
from dbtui.demo.walker import Walker
from dbtui.demo.world import World
from dbtui.model.backups import CreateResult, RestoreResult
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import PartitionsResult
from dbtui.model.replicas import ReplicaResult
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.backup_rows import row_key
from dbtui.tui.panes.partitions import PartitionsPane
from dbtui.tui.start import make_runner
from dbtui.tui.widgets.inputs import TextInput

SCREEN = (80, 24)
#: One profile for each engine.
PROFILES = ("erp", "shop", "app")
_KEYS = {".": "full_stop", "_": "underscore"}
#: What the second replica is called, which is added by keys.
_SECOND = "erp-second"
_COUNTED_TABLES = {
    "erp": "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    "shop": "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
    " AND table_type = 'BASE TABLE'",
    "app": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
}


def walk(settings: Settings, world: World, say: Callable[[str], None]) -> int:
    """Walk through the terminal UI, saying what was seen. Returns 0; raises DbtuiError when something is wrong."""
    return asyncio.run(_walk(settings, world, say))


async def _walk(settings: Settings, world: World, say: Callable[[str], None]) -> int:
    runner = make_runner(os.environ)
    app = DbtuiApp(runner, settings)
    async with app.run_test(size=SCREEN) as pilot:
        walker = Walker(app, pilot, say)
        await _see_connections(walker, settings)
        for name in PROFILES:
            profile = settings.profile(name)
            if profile:
                await _open(walker, settings, profile)
                await _look_inside(walker)
                await _back_up_verify_and_restore(walker, world, profile)
                await _see_partitions(walker, profile)
        await _see_replicas(walker, settings, world)
        await _see_jobs(walker)
        await _see_help(walker)
        await walker.press("q")
        await walker.wait_for("the end", lambda: not app.is_running)
    if app.crash:
        raise walker.failure("it crashed")
    say("all panes seen, every restored database equal to its source")
    return app.return_code or 0


async def _see_connections(walker: Walker, settings: Settings) -> None:
    statuses = walker.app.statuses
    await walker.wait_for("every connection's status", lambda: len(statuses) == len(settings.profiles))
    for status in statuses.values():
        if not status.reachable:
            raise walker.failure(f"{status.profile} is unreachable: {status.problem}")
    walker.say(f"pane 1, connections: {len(statuses)} reachable")
    walker.show_screen()


async def _open(walker: Walker, settings: Settings, profile: ConnectionProfile) -> None:
    await walker.press("1")
    if walker.app.connections_pane.viewing:
        await walker.press("1")
    await walker.press("g")
    for _ in range(settings.profiles.index(profile)):
        await walker.press("j")
    await walker.press("enter")
    await walker.wait_for(f"{profile.name} to open", lambda: walker.app.opened == profile)
    await _see_sessions(walker, profile)
    await walker.press("2")
    await walker.wait_for("the list of backups", lambda: bool(walker.app.backups_pane.history.view.rows))
    await walker.press("slash", *profile.name, "enter")
    walker.say(f"pane 2, backups of {profile.name}:")
    walker.show_screen()


async def _see_sessions(walker: Walker, profile: ConnectionProfile) -> None:
    sessions = walker.app.connections_pane.sessions
    await walker.wait_for("its sessions", lambda: sessions.snapshot is not None)
    seen = sessions.snapshot
    if seen is None or not (seen.unsupported or any(each.is_own for each in seen.sessions)):
        raise walker.failure(f"the sessions of {profile.name} are not seen")
    walker.say(f"pane 1, sessions of {profile.name}: {seen.unsupported or len(seen.sessions)}")
    walker.show_screen()
    await walker.press("t", "t")


async def _look_inside(walker: Walker) -> None:
    pane = walker.app.backups_pane
    await walker.press("g", "enter")
    await walker.wait_for("the contents of the backup", lambda: pane.contents is not None)
    walker.say(f"inside {pane.entry.backup_id if pane.entry else ''}:")
    walker.show_screen(most=10)
    await walker.press("j", "enter")
    await walker.wait_to_see("CREATE TABLE")
    await walker.press("escape", "o")
    await walker.wait_to_see("first rows")
    await walker.press("escape", "escape")
    walker.say("a table's definition and first rows were read from it")


async def _back_up_verify_and_restore(walker: Walker, world: World, profile: ConnectionProfile) -> None:
    jobs = len(walker.app.runner.jobs)
    await walker.press("b")
    await walker.push()
    made: CreateResult = (await walker.wait_for_job(jobs + 1)).outcome.result  # type: ignore[union-attr, assignment]
    walker.say(f"backed up {profile.name} by keys: {made.manifest.backup_id}")
    await walker.wait_for("the new backup in the list", lambda: _first_backup(walker) == made.manifest.backup_id)
    await walker.press("g", "v")
    await walker.wait_for_job(jobs + 2)
    walker.say("verified it by keys: checksums and archive are right")
    await walker.press("g", "r")
    await walker.push()
    done: RestoreResult = (await walker.wait_for_job(jobs + 3)).outcome.result  # type: ignore[union-attr, assignment]
    before, after = _count_rows(world, profile, ""), _count_rows(world, profile, done.database)
    if before != after:
        raise walker.failure(f"{done.database} has other rows than {profile.name}: {after} instead of {before}")
    walker.say(f"restored it by keys into {done.database}: {len(after)} tables, {sum(after.values())} rows, all equal")
    for warning in done.warnings:
        walker.say(f"  with a warning: {warning}")
    await walker.press("escape")


def _first_backup(walker: Walker) -> str:
    rows = walker.app.backups_pane.history.view.rows
    return row_key(rows[0]) if rows else ""


async def _see_partitions(walker: Walker, profile: ConnectionProfile) -> None:
    await walker.press("4")
    pane = cast(PartitionsPane, walker.app.pane)
    await walker.wait_for("its partitioned tables", lambda: pane.profile == profile and pane.tables.seen is not None)
    walker.say(f"pane 4, partitions of {profile.name}:")
    walker.show_screen(most=6)
    if pane.tables.chosen is not None:
        await _keep_right(walker, pane)


async def _keep_right(walker: Walker, pane: PartitionsPane) -> None:
    """The demo's audit log lacks a month, and two are past retention: plan, apply, and plan again."""
    await walker.press("enter")
    await walker.wait_for("its tree", lambda: pane.branches.judged is not None and pane.branches.judged.is_whole)
    walker.show_screen(most=10)
    table = str(pane.planned_for)
    jobs = len(walker.app.runner.jobs)
    await walker.press("n")
    await walker.wait_to_see("plan for")
    walker.show_screen(most=14)
    await walker.press("a")
    await walker.wait_for("the question", lambda: bool(walker.app.dialogs and walker.app.dialogs[-1].query(TextInput)))
    await walker.press(*(_KEYS.get(letter, letter) for letter in table))
    await walker.push()
    done: PartitionsResult = (await walker.wait_for_job(jobs + 1)).outcome.result  # type: ignore[union-attr, assignment]
    if done.left:
        raise walker.failure(f"{done.left} steps are left of the plan of {table}")
    walker.say(f"applied the plan of {table} by keys: {len(done.results)} steps done, nothing left to do")
    await walker.press("escape", "escape")


async def _see_replicas(walker: Walker, settings: Settings, world: World) -> None:
    """The demo's primary with its streaming replica; a second one is added by keys."""
    if not any(profile.replicas for profile in settings.profiles):
        return
    await walker.press("6")
    await walker.wait_to_see("the replica is safe for reads")
    walker.say("pane 6, replicas:")
    walker.show_screen(most=8)
    await walker.press("j", "enter")
    await walker.wait_to_see("safe now")
    await walker.press("escape")
    jobs = len(walker.app.runner.jobs)
    await walker.press("a")
    await walker.wait_for("the dialog", lambda: bool(walker.app.dialogs and walker.app.dialogs[-1].query(TextInput)))
    await walker.paste(str(world.directory.path / _SECOND))
    await walker.wait_to_see("Steps")
    walker.show_screen(most=20)
    await walker.push()
    done: ReplicaResult = (await walker.wait_for_job(jobs + 1)).outcome.result  # type: ignore[union-attr, assignment]
    walker.say(f"added a replica by keys: process {done.pid}, {done.copied_bytes} bytes copied")
    await walker.wait_to_see(_SECOND)
    await walker.press("g")
    await walker.wait_to_see("2 of 2 replicas are safe for reads")
    walker.show_screen(most=8)


async def _see_jobs(walker: Walker) -> None:
    await walker.press("7")
    walker.say("pane 7, jobs:")
    walker.show_screen(most=10)
    await walker.press("enter", "escape")


async def _see_help(walker: Walker) -> None:
    for key, name in (("question_mark", "help"), ("colon", "palette")):
        await walker.press(key)
        await walker.wait_for(f"the {name}", lambda: bool(walker.app.dialogs))
        await walker.press("escape")
        await walker.wait_for(f"the {name} to close", lambda: not walker.app.dialogs)
        walker.say(f"the {name} opens and closes")


def _count_rows(world: World, profile: ConnectionProfile, database: str) -> dict[str, int]:
    """Every table's rows, counted by the server: of the profile's own database, or of another one."""
    run = _runner_of(world, profile, database)
    return {table: run(f"SELECT count(*) FROM {table}")[0][0] for (table,) in run(_COUNTED_TABLES[profile.name])}


def _runner_of(world: World, profile: ConnectionProfile, database: str) -> Callable[[str], list[tuple[Any, ...]]]:
    name = database or profile.database
    if profile.name == "erp" and world.postgresql:
        server = world.postgresql
        return lambda sql: server.execute(sql, database=name)
    if profile.name == "shop" and world.mariadb:
        maria = world.mariadb
        return lambda sql: maria.execute(sql, database=name)
    return lambda sql: _run_on_file(database or str(world.sqlite), sql)


def _run_on_file(path: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()
