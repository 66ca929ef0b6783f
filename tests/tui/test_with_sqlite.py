"""The whole way by keys on a real SQLite file: back up, look inside, restore beside it, restore over it, delete."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.config import Settings, parse_url
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.routines.context import RoutineContext
from dbtui.tui.app import DbtuiApp
from dbtui.tui.widgets.footer import MessageLine
from dbtui.tui.widgets.inputs import Choice, PushButton
from tests.tui.world import wait_to_see, wait_until

SIZE = (100, 30)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file with two tables, one of them with a difficult name."""
    path = tmp_path / "app.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE readings (id INTEGER PRIMARY KEY, value REAL NOT NULL)")
        connection.execute('CREATE TABLE "od[d] ""name" (note TEXT)')
        connection.executemany("INSERT INTO readings (value) VALUES (?)", [(number / 7,) for number in range(500)])
        connection.execute('INSERT INTO "od[d] ""name" VALUES (?)', ("[red]x[/]",))
    return path


def _rows(path: Path) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        readings = connection.execute("SELECT * FROM readings ORDER BY id").fetchall()
        return [*readings, *connection.execute('SELECT * FROM "od[d] ""name"').fetchall()]


def _app(database: Path, tmp_path: Path) -> tuple[DbtuiApp, ConnectionProfile]:
    profile = replace(
        parse_url(f"sqlite:///{database}", "app", "test"),
        backup_dir=str(tmp_path / "backups"),
        environment=Environment.PRODUCTION,
    )
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    return DbtuiApp(runner, Settings(profiles=(profile,)), profile), profile


def _push(app: DbtuiApp, button_id: str = "accept") -> PushButton:
    return app.dialogs[-1].query_one(f"#{button_id}", PushButton)


async def test_the_whole_way(database: Path, tmp_path: Path) -> None:
    """Rows are compared after each restore."""
    before = _rows(database)
    app, _profile = _app(database, tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "No backup in", "b backs up app")
        await pilot.press("b")
        await wait_to_see(pilot, "Writes app-")
        button = _push(app)
        await wait_until(pilot, lambda: not button.disabled)
        app.screen.set_focus(button)
        await pilot.press("enter")
        await wait_to_see(pilot, "● backed up", "○ not proven")

        await pilot.press("v")
        await wait_to_see(pilot, "intact: 1 file checked", "● checksums")
        await pilot.press("enter")
        await wait_to_see(pilot, "readings", 'od[d] "name', "500")
        await pilot.press("o")
        await wait_to_see(pilot, "first rows")
        await pilot.press("escape", "escape", "r")
        await wait_to_see(pilot, "Creates", "app_restored.sqlite")
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
        await pilot.press("tab", "enter")
        await wait_to_see(pilot, "● restored into")
        assert _rows(tmp_path / "app_restored.sqlite") == before

        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("DELETE FROM readings")
        await pilot.press("r")
        await wait_to_see(pilot, "Creates")
        app.screen.set_focus(app.dialogs[-1].query_one("#mode", Choice))
        await pilot.press("right")
        await wait_to_see(pilot, "Replaces", "type the database", "type the profile app")
        button = _push(app)
        names = [name for _, name in app.dialogs[-1].query_one(".names")._names]  # type: ignore[attr-defined]
        for field, name in zip(app.dialogs[-1].query(".name-input"), names, strict=True):
            app.screen.set_focus(field)
            await pilot.press(*name)
        await wait_until(pilot, lambda: not button.disabled)
        app.screen.set_focus(button)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "is kept as" in app.query_one(MessageLine).text)
        assert _rows(database) == before

        await pilot.press("d")
        await wait_to_see(pilot, "There is no undo")
        entry = app.backups_pane.history.cursor_row
        assert isinstance(entry, BackupEntry)
        await pilot.press(*entry.backup_id, "enter", "enter")
        await wait_to_see(pilot, "No backup in")
        assert list((tmp_path / "backups").glob("app-*")) == []


async def test_a_missing_file_is_a_line_with_a_reason(tmp_path: Path) -> None:
    """The connection is marked, and backing it up is refused with the same reason."""
    app, _profile = _app(tmp_path / "gone.sqlite", tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("1")
        await wait_to_see(pilot, "✖  app")
        await pilot.press("i")
        text = await wait_to_see(pilot, "R tries now")
        assert "gone.sqlite" in "".join(text.split())
        await pilot.press("escape")
        await pilot.press("b")
        await wait_to_see(pilot, "Back up app", "✖ ")
        assert app.dialogs[-1].query_one("#accept").disabled
        assert not (tmp_path / "gone.sqlite").exists()
