"""Backups of a real repository by keys: verified, restored into a directory; what is refused."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.config import load_settings
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.model.repositories import (
    BackupKind,
    Repository,
    RepositoryBackup,
    RepositoryKind,
    RepositoryRestoreOptions,
    RestoreFromRepositoryPlan,
)
from dbtui.routines.context import RoutineContext
from dbtui.tui.app import DbtuiApp
from dbtui.tui.dialogs.dialog import ask
from dbtui.tui.dialogs.restore_cluster import RestoreClusterDialog, TryClusterDialog, show_cluster_plan
from dbtui.tui.panes.backup_clusters import find_owner
from dbtui.tui.widgets.inputs import Choice, TextInput
from tests.fix_repositories import ROWS, RepositoryWorld
from tests.tui.world import World, wait_to_see, wait_until

WIDE = (150, 45)
PATIENCE = 90.0
BACKUP = RepositoryBackup(repository="barman:main", label="20261123T000000", kind=BackupKind.FULL, server_version="15")


def _app(world: RepositoryWorld, folder: Path) -> DbtuiApp:
    config = world.write_settings(folder)
    environ = {**os.environ, "DBTUI_CONFIG": str(config), "DATABASE_URL": ""}
    settings = load_settings(environ)
    runner = JobRunner(RoutineContext(environ=environ), History(folder / "state"))
    return DbtuiApp(runner, settings, settings.profiles[0])


async def test_a_cluster_is_verified_and_restored_by_keys(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    """Its rows are in the history; v has the tool verify; r wants a directory, shows the command, wants it typed."""
    world, app = pgbackrest_world, _app(pgbackrest_world, tmp_path)
    place = world.place("by-keys")
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "main", "pgbackrest", "incr", "full", seconds=PATIENCE)
        await pilot.press("v")
        await wait_to_see(pilot, f"{world.reference()}: intact", "● checksums", seconds=PATIENCE)
        await pilot.press("r")
        await wait_to_see(pilot, "a whole cluster", "Type the data directory that is filled on this machine.")
        dialog = app.dialogs[-1]
        dialog.query_one("#directory", TextInput).value = str(place)
        await wait_to_see(pilot, "This writes a database cluster into", "--pg1-path=", "type the directory",
                          seconds=PATIENCE)  # fmt: skip
        assert dialog.query_one("#accept").disabled
        app.screen.set_focus(dialog.query_one("#cancel"))
        await pilot.press("Y")
        assert app.dialogs
        assert not place.exists()
        dialog.query_one(".name-input", TextInput).value = str(place)
        await wait_until(pilot, lambda: not dialog.query_one("#accept").disabled)
        app.screen.set_focus(dialog.query_one("#accept"))
        await pilot.press("enter")
        await wait_to_see(pilot, f"restored {world.reference()} into", seconds=PATIENCE)
    with world.started(place) as server:
        assert server.rows() == ROWS


async def test_wrong_times_and_homes_are_said_in_place(world: World) -> None:
    """Barman knows no delta; a time wants a zone; nobody's home is nobody's directory."""
    app = world.app()
    repository = Repository(RepositoryKind.BARMAN, "main")
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        dialog = RestoreClusterDialog(app.runner, repository, BACKUP, world.profiles[0])
        question = ask(app.connections_pane, dialog)
        asking = asyncio.ensure_future(question)
        await wait_to_see(pilot, "Type the data directory")
        assert [value for value, _ in dialog.query_one("#mode", Choice).options] == ["empty", "replace"]
        dialog.query_one("#directory", TextInput).value = "~nobody-of-that-name/data"
        await wait_to_see(pilot, "whose home '~nobody-of-that-name/data' means is not known")
        dialog.query_one("#directory", TextInput).value = "/srv/data"
        dialog.query_one("#target-time", TextInput).value = "2026-11-23 09:24"
        await wait_to_see(pilot, "'2026-11-23 09:24' has no time zone; write it as")
        await pilot.press("escape")
        assert await asking is None


def _plan(**fields: object) -> RestoreFromRepositoryPlan:
    known = {
        "repository": Repository(RepositoryKind.PGBACKREST, "main"),
        "backup": BACKUP,
        "command": ("pgbackrest",),
        "options": RepositoryRestoreOptions(directory="/srv/data"),
        "confirm_name": "/srv/data",
        **fields,
    }
    return RestoreFromRepositoryPlan(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "This writes a database cluster into /srv/data, which is new or empty."),
        ({"kept_as": "/srv/data.kept"}, "what is there now is kept as /srv/data.kept."),
        ({"options": RepositoryRestoreOptions(directory="/srv/data", is_delta=True)}, "nothing of it is kept."),
        ({"refusals": ("a server runs there",)}, "✖ a server runs there"),
        ({"steps": (("restore", "pgbackrest restore"),)}, " 1 restore"),
        ({"afterwards": ("start the server",)}, " 1 start the server"),
    ],
)
def test_a_plan_says_what_becomes_of_the_directory(fields: dict[str, object], said: str) -> None:
    """The consequence first, exact commands, what to do afterwards."""
    lines = ["".join(span.text for span in line) for line in show_cluster_plan(_plan(**fields))]
    assert any(said in each for each in lines), lines


async def test_a_trial_that_cannot_be_had_says_why(world: World) -> None:
    """And cannot be confirmed."""
    app = world.app()
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        dialog = TryClusterDialog(BACKUP, None, RuntimeError("no PostgreSQL 15 is installed"))
        question = ask(app.connections_pane, dialog)
        asking = asyncio.ensure_future(question)
        await wait_to_see(pilot, "✖ no PostgreSQL 15 is installed")
        await pilot.press("y")
        assert app.dialogs
        await pilot.press("n")
        assert await asking is None


def test_the_owner_of_a_repository_is_the_production_profile(world: World) -> None:
    """Its environment counts for what is typed."""
    repository = Repository(RepositoryKind.BARMAN, "main")
    profiles: list[ConnectionProfile] = [replace(each, repository=repository) for each in world.profiles[:2]]
    assert find_owner(BACKUP, [profiles[1], profiles[0]]) is profiles[0]
    assert find_owner(BACKUP, [profiles[1]]) is profiles[1]
    assert find_owner(BACKUP, world.profiles) is None
