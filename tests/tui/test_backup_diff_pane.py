"""Two backups side by side, by keys: marking, comparing, filtering, copying, going back; and with a real file."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui.analysis.backups import assess_differences
from dbtui.config import Settings, parse_url
from dbtui.errors import DamagedBackupError
from dbtui.history import History
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backup_differences import BackupDifferences, DiffSide
from dbtui.model.backups import BackupEntry, BackupTable, DumpOptions
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.shapes import ColumnShape, DatabaseShape, NamedShape, TableShape
from dbtui.routines.backups import create_backup
from dbtui.routines.context import RoutineContext
from dbtui.tui import diff_requests
from dbtui.tui.app import DbtuiApp
from tests.routines.fake_engine import drive
from tests.tui.world import World, screen_text, wait_to_see, wait_until

SIZE = (80, 24)
WIDE = (160, 40)
NAME = "[red]x[/] \x1b[31m"
ID = ColumnShape("id", "bigint", nullable=False)


def side(
    label: str, day: int, rows: dict[str, int], shapes: tuple[TableShape, ...], *, is_live: bool = False
) -> DiffSide:
    return DiffSide(
        label=label, is_live=is_live, engine=EngineName.POSTGRESQL, flavour="PostgreSQL", server_version="15.18",
        database="erp", taken_at=datetime(2026, 11, day, 15, tzinfo=UTC), shape=DatabaseShape(shapes),
        tables=tuple(BackupTable("public", name, count, "exact", count * 100) for name, count in rows.items()),
    )  # fmt: skip


def table(name: str, *columns: ColumnShape, indexes: tuple[NamedShape, ...] = ()) -> TableShape:
    return TableShape("public", name, (ID, *columns), indexes)


def differences(first: str, second: str, *, is_live: bool = False) -> BackupDifferences:
    """Orders lost most rows, a table went, another has a column more; roles are the same."""
    note = ColumnShape("note", "text", nullable=True)
    before = side(
        first, 20, {"orders": 900_000, "users": 48_000, "roles": 12, "doomed": 5},
        (table("orders", indexes=(NamedShape("orders_at", "CREATE INDEX orders_at ON public.orders (at)"),)),
         table("users"), table("roles"), table("doomed")),
    )  # fmt: skip
    after = side(
        second, 22, {"orders": 300_000, "users": 48_000, "roles": 12, NAME: 1},
        (table("orders"), table("users", note), table("roles"), table(NAME)), is_live=is_live,
    )  # fmt: skip
    return assess_differences(before, after)


@pytest.fixture
def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was compared."""
    compared: list[tuple[str, str]] = []

    def compare(entry: BackupEntry, other: BackupEntry | ConnectionProfile) -> JobRequest[BackupDifferences]:
        name = other.backup_id if isinstance(other, BackupEntry) else other.name
        compared.append((entry.backup_id, name))
        is_live = not isinstance(other, BackupEntry)
        return world.returns("compare", name, lambda: differences(entry.backup_id, name, is_live=is_live))

    monkeypatch.setattr(diff_requests, "compare", compare)
    return compared


async def test_a_mark_goes_with_its_backup(world: World, asked: list[tuple[str, str]]) -> None:
    """Nothing is compared with what was removed; the mark of one that stays, stays."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("space", "j", "R")
        await wait_to_see(pilot, "■", "c compare")
        world.entries = world.entries[1:]
        await pilot.press("R")
        await wait_until(pilot, lambda: "■" not in screen_text(app), what="the mark to go")
        await pilot.press("c")
        await wait_to_see(pilot, "mark the other backup first")
        assert asked == []


@pytest.mark.parametrize("size", [SIZE, WIDE])
async def test_two_backups_side_by_side(world: World, asked: list[tuple[str, str]], size: tuple[int, int]) -> None:
    """Losses first, both sides of each table, only differences until every table is asked for."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=size) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("space")
        await wait_to_see(pilot, "■")
        await pilot.press("j", "c")
        text = await wait_to_see(pilot, "earlier", "later", "public.orders", "900.0 k", "300.0 k", "-600.0 k")
        assert asked == [("erp-20261122T150000Z", "erp-20261121T150000Z")]
        assert text.index("public.orders") < text.index("public.users")
        assert "public.roles" not in text
        assert "▲ public.doomed is gone" in text or "▲ public.orders lost" in text
        await pilot.press("v")
        await wait_to_see(pilot, "public.roles")
        await pilot.press("v")
        await wait_until(pilot, lambda: "public.roles" not in screen_text(app))
        await pilot.press("escape")
        await wait_to_see(pilot, "● restored", "■")
        await pilot.press("escape")


async def test_a_table_in_detail(world: World, asked: list[tuple[str, str]]) -> None:
    """Enter shows what changed in it as it was and is; escape goes back level by level."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("space", "j", "c")
        await wait_to_see(pilot, "public.orders")
        for _ in range(4):
            if app.backups_pane.diff.table.cursor_key != "table public\0orders":
                await pilot.press("j")
        await pilot.press("enter")
        await wait_to_see(pilot, "public.orders", "lost 67 %", "index orders_at", "CREATE INDEX orders_at ON")
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.focused is app.backups_pane.diff.table)
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.focused is app.backups_pane.history)
    assert asked


async def test_filtering_sorting_and_copying(world: World, asked: list[tuple[str, str]]) -> None:
    """As in every list."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("space", "j", "c")
        await wait_to_see(pilot, "public.orders")
        await pilot.press("slash", *"note", "enter")
        await wait_until(pilot, lambda: len(app.backups_pane.diff.table.view.shown) == 1)
        assert app.situation.copyable == "public.users"
        await pilot.press("y")
        await wait_to_see(pilot, "sent to terminal: public.users")
        await pilot.press("escape", "s")
        await wait_to_see(pilot, "sorted by table")
    assert asked


async def test_hostile_names_are_text(world: World, asked: list[tuple[str, str]]) -> None:
    """Neither markup nor escape sequences."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("space", "j", "c")
        text = await wait_to_see(pilot, "[red]x[/]")
        assert "\x1b" not in text
    assert asked


async def test_comparing_with_the_live_database(world: World, asked: list[tuple[str, str]]) -> None:
    """C compares with where the backup was made from."""
    async with world.app(world.profiles[0]).run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("C")
        await wait_to_see(pilot, "erp (live)", "public.orders")
        assert asked == [("erp-20261122T150000Z", "erp")]


async def test_what_cannot_be_compared_says_why(world: World, asked: list[tuple[str, str]]) -> None:
    """Without a mark; the marked one with itself; a backup that is damaged."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("c")
        await wait_to_see(pilot, "mark the other backup first: space")
        await pilot.press("space", "c")
        await wait_to_see(pilot, "this is the marked backup")
        assert asked == []
        world.error = DamagedBackupError("its manifest is not readable JSON", "use another backup")
        await pilot.press("j", "c")
        await wait_to_see(pilot, "✖ its manifest is not readable JSON", "use another backup")
        await pilot.press("escape")
        await wait_to_see(pilot, "● checksums")


async def test_with_a_real_file(tmp_path: Path) -> None:
    """A backup, then a change: the pane sees exactly that."""
    database = tmp_path / "app.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript("CREATE TABLE kept (a); CREATE TABLE readings (id INTEGER PRIMARY KEY, value REAL)")
        connection.executemany("INSERT INTO readings (value) VALUES (?)", [(number,) for number in range(500)])
    profile = replace(parse_url(f"sqlite:///{database}", "app", "test"), backup_dir=str(tmp_path / "backups"))
    drive(create_backup(RoutineContext(), profile, tmp_path / "backups", DumpOptions()))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript("ALTER TABLE readings ADD COLUMN unit TEXT; DELETE FROM readings WHERE id > 100")
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    app = DbtuiApp(runner, Settings(profiles=(profile,)), profile)
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("C")
        text = await wait_to_see(pilot, "main.readings", "+column unit", "-400", "lost 80 % of its 500 rows")
        assert "main.kept" not in text
