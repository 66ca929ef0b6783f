"""Leaving while jobs run on a real server: what they made is gone when the UI has ended, or it is said what is left."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from textual.pilot import Pilot

from dbtui.adapters.adapter import Target
from dbtui.adapters.postgresql.backups import PostgresqlBackups
from dbtui.config import Settings, parse_url
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import ServerError
from dbtui.history import History
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import DumpOptions, LoadRequest, RestoreOptions
from dbtui.model.jobs import JobState
from dbtui.routines.context import RoutineContext
from dbtui.tui import leaving, requests
from dbtui.tui.app import DbtuiApp
from dbtui.tui.widgets.footer import MessageLine
from dbtui.tui.workers import outcome_of
from tests.tui.world import wait_to_see, wait_until

ResultT = TypeVar("ResultT")
#: Longer than leaving took before it waited for jobs.
DROP_SECONDS = 1.5


@pytest.fixture
def app(postgresql_server: PostgreSQL, postgresql_database: str, tmp_path: Path) -> DbtuiApp:
    """The UI on a database with a table."""
    profile = replace(parse_url(postgresql_database, "erp", "test"), backup_dir=str(tmp_path / "backups"))
    postgresql_server.execute("CREATE TABLE users AS SELECT generate_series(1, 1000) AS id", database=profile.database)
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    return DbtuiApp(runner, Settings(profiles=(profile,)), profile)


def fresh_databases(server: PostgreSQL, app: DbtuiApp) -> list[str]:
    """What a restore is filling."""
    assert app.opened is not None
    rows = server.execute("SELECT datname FROM pg_database WHERE datname LIKE '%\\_\\_new\\_%'")
    return [name for (name,) in rows if name.startswith(app.opened.database)]


async def result_of(app: DbtuiApp, request: JobRequest[ResultT]) -> ResultT:
    """Run a job to its end."""
    outcome = await outcome_of(app.runner, request)
    assert outcome.result is not None, outcome.error
    return outcome.result


async def quit_while_it_restores(
    app: DbtuiApp, pilot: Pilot[Any], server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back up, replace the database with that, and confirm to leave when the rows have been loaded."""
    profile, loaded, real_load = app.opened, threading.Event(), PostgresqlBackups.load
    assert profile is not None
    directory = Path(profile.backup_dir or "")
    create_plan = await result_of(app, requests.create_plan(profile, directory, DumpOptions()))
    await result_of(app, requests.create(profile, create_plan))
    (entry,) = await result_of(app, requests.entries(directory))
    plan = await result_of(app, requests.restore_plan(entry, profile, RestoreOptions(replace=True)))

    def load(self: PostgresqlBackups, target: Any, request: LoadRequest) -> Any:
        yield from real_load(self, target, request)
        loaded.set()
        target.cancellation.wait(60)
        target.cancellation.check()

    monkeypatch.setattr(PostgresqlBackups, "load", load)
    app.start_job(requests.restore(profile, plan))
    await wait_until(pilot, loaded.is_set)
    assert len(fresh_databases(server, app)) == 1
    await pilot.press("q")
    await wait_to_see(pilot, "Leave while a job runs?")
    await pilot.press("y")


def drop_slowly(monkeypatch: pytest.MonkeyPatch, allowed: threading.Event | None = None) -> None:
    """Let dropping wait for a while, or until it is allowed."""
    real_drop = PostgresqlBackups.drop_database

    def drop(self: PostgresqlBackups, target: Target, database: str) -> None:
        if allowed is None:
            time.sleep(DROP_SECONDS)
        else:
            allowed.wait(60)
        real_drop(self, target, database)

    monkeypatch.setattr(PostgresqlBackups, "drop_database", drop)


async def test_leaving_drops_what_a_restore_was_filling(
    app: DbtuiApp, postgresql_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so meanwhile; the database that was to be replaced is untouched."""
    drop_slowly(monkeypatch)
    async with app.run_test(size=(200, 30)) as pilot:
        await quit_while_it_restores(app, pilot, postgresql_server, monkeypatch)
        await wait_to_see(pilot, "ending the restore: dropping ", "(at most 15 s; q leaves at once)")
        (name,) = fresh_databases(postgresql_server, app)
        assert f"dropping {name} on 127.0.0.1" in app.query_one(MessageLine).text
        await wait_until(pilot, lambda: not app.is_running)
        assert fresh_databases(postgresql_server, app) == []
    assert app.runner.jobs[-1].state is JobState.CANCELLED
    assert leaving.left_behind(app.runner) == []
    assert app.opened is not None
    assert postgresql_server.execute("SELECT count(*) FROM users", database=app.opened.database) == [(1000,)]


async def test_leaving_waits_no_longer_than_it_says(
    app: DbtuiApp, postgresql_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it leaves, and says what is left where."""
    allowed = threading.Event()
    drop_slowly(monkeypatch, allowed)
    monkeypatch.setattr(leaving, "MOST_SECONDS", 1.0)
    try:
        async with app.run_test(size=(200, 30)) as pilot:
            await quit_while_it_restores(app, pilot, postgresql_server, monkeypatch)
            await wait_until(pilot, lambda: not app.is_running, 5)
        (name,) = fresh_databases(postgresql_server, app)
        (sentence,) = leaving.left_behind(app.runner)
        assert f"may have left the database {name} on 127.0.0.1" in sentence
    finally:
        allowed.set()
    while app.runner.running:
        time.sleep(0.02)
    assert leaving.left_behind(app.runner) == []


async def test_a_drop_that_fails_while_leaving_is_said(
    app: DbtuiApp, postgresql_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UI that would have shown the job's error has gone by then."""

    def refuse(_self: PostgresqlBackups, _target: Target, _database: str) -> None:
        raise ServerError("the server is shutting down")

    with monkeypatch.context() as patch:
        patch.setattr(PostgresqlBackups, "drop_database", refuse)
        async with app.run_test(size=(200, 30)) as pilot:
            await quit_while_it_restores(app, pilot, postgresql_server, monkeypatch)
            await wait_until(pilot, lambda: not app.is_running)
    (name,) = fresh_databases(postgresql_server, app)
    assert name in leaving.left_behind(app.runner)[0]
    postgresql_server.execute(f'DROP DATABASE "{name}"')
