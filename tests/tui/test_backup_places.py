"""Other places of backups in the pane: remotes, repositories, schedules; what is known of them, and how old that is."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from dbtui.model.connections import ConnectionProfile
from dbtui.model.findings import FindingLevel
from dbtui.model.repositories import (
    BackupKind,
    Repository,
    RepositoryBackup,
    RepositoryConcern,
    RepositoryFinding,
    RepositoryKind,
    RepositoryReport,
)
from dbtui.model.schedules import CommandRun, InstalledSchedule, Scheduler, ScheduleState, Standing
from dbtui.model.shipping import RemoteHistory
from tests.tui.world import ENTRIES, NOW, World, entry, screen_lines, screen_text, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)
S3 = "s3://backups/erp"
COMMAND = ("backup", "create", "erp")


def far(backup_id: str, address: str = S3, **fields: object) -> object:
    return entry(backup_id, directory="", data_path=f"{address}/{backup_id}.sql", remote=address, **fields)


def schedule(standing: Standing, words: tuple[str, ...] = COMMAND, **fields: object) -> ScheduleState:
    installed = InstalledSchedule(name="dbtui-backup-1", scheduler=Scheduler.CRON, place="crontab",
                                  text="15 3 * * *", words=words)  # fmt: skip
    known = {"profile": "erp", "database": "erp", **fields}
    return ScheduleState(schedule=installed, standing=standing, **known)  # type: ignore[arg-type]


def run(hours: float, code: int = 0) -> CommandRun:
    began = NOW - timedelta(hours=hours)
    return CommandRun(words=COMMAND, began_at=began, ended_at=began + timedelta(seconds=42), exit_code=code)


@pytest.fixture
def shipped(world: World) -> ConnectionProfile:
    """The first profile has a remote, which holds a copy of the newest backup and one that is nowhere else."""
    here = [replace(each, fingerprint=each.backup_id) for each in ENTRIES]
    world.entries = tuple(here)
    world.profiles = (replace(world.profiles[0], remote=S3), *world.profiles[1:])
    copy = replace(here[0], remote=S3, directory="", data_path=f"{S3}/{here[0].backup_id}.sql")
    lost = far("erp-20261030T150000Z", began_at=NOW - timedelta(days=23), fingerprint="old", encryption="age")
    world.remotes[S3] = RemoteHistory(address=S3, entries=(copy, lost))  # type: ignore[arg-type]
    return world.profiles[0]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_one_history_says_where_each_backup_lies(
    world: World, shipped: ConnectionProfile, size: tuple[int, int]
) -> None:
    """Here, here and in the remote, in the remote alone and encrypted; filtered and sorted like the rest."""
    app = world.app(shipped)
    async with app.run_test(size=size) as pilot:
        text = await wait_to_see(pilot, "WHERE", "here+s3", "s3 2 backups, just now")
        rows = [each for each in screen_lines(app) if "restored" in each or "plain age" in each]
        assert "here+s3" in rows[0]
        assert "s3" in rows[1] and "here" not in rows[1]
        assert len([each for each in text.splitlines() if each.strip()]) <= size[1]
        await pilot.press("slash", *"encrypted", "enter")
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.shown) == 1)
        await pilot.press("i")
        await wait_to_see(pilot, "lies in", f"{S3}/erp-20261030T150000Z.sql", "and not here", "no key to open it")
        await pilot.press("escape", "escape", "slash", *"here+s3", "enter")
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.shown) == 0)


async def test_what_lies_only_in_a_remote_is_told_by_its_manifest(world: World, shipped: ConnectionProfile) -> None:
    """What needs its data says which key fetches it; what is deleted is said with its place."""
    app = world.app(shipped)
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "here+s3")
        await pilot.press("P")
        await wait_to_see(pilot, "Push erp-20261122T150000Z")
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.dialogs)
        await pilot.press("L")
        await wait_to_see(pilot, "pull: this backup lies here already")
        await pilot.press("slash", *"encrypted", "enter")
        await wait_to_see(pilot, "L pull")
        await pilot.press("P")
        await wait_to_see(pilot, "push: this backup lies only in a remote: L fetches it first")
        await pilot.press("d")
        await wait_to_see(pilot, "Deletes erp-20261030T150000Z", f"{S3}/erp-20261030T150000Z.sql")


async def test_an_unreachable_remote_is_a_line_and_what_was_seen_stays(
    world: World, shipped: ConnectionProfile
) -> None:
    """The list is there before the remote answers; when it fails, its last backups stay with their age."""
    answers = threading.Event()
    world.place_gate = lambda: answers.wait(30)
    app = world.app(shipped)
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "● restored", "asking s3 …")
        await pilot.press("j")
        assert app.backups_pane.history.cursor == 1
        answers.set()
        await wait_to_see(pilot, "here+s3", "2 backups, just now")
        world.remotes[S3] = RemoteHistory(address=S3, problem=f"{S3} is left out: connection refused")
        await pilot.press("R")
        text = await wait_to_see(pilot, f"✖ {S3} is left out: connection refused; shown as of just now")
        assert "here+s3" in text
        await pilot.press("w")
        await wait_to_see(pilot, "holds", "2 backups", "✖")
        await pilot.press("w")
        await wait_to_see(pilot, "AGE", "PROOF")


async def test_a_remote_is_not_asked_twice_at_once_nor_out_of_sight(world: World, shipped: ConnectionProfile) -> None:
    """R while it is being asked changes nothing; another pane asks nothing at all."""
    answers = threading.Event()
    world.place_gate = lambda: answers.wait(30)
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        assert world.asked == {}
        await pilot.press("2")
        await wait_until(pilot, lambda: world.asked == {S3: 1})
        await pilot.press("R", "R")
        answers.set()
        await wait_to_see(pilot, "here+s3")
        assert world.asked == {S3: 1}
        await pilot.press("1")
        app.backups_pane.places._asked_at.clear()
        app.backups_pane.tick()
        await pilot.pause()
        assert world.asked == {S3: 1}
        await pilot.press("2")
        await wait_until(pilot, lambda: world.asked == {S3: 2})


async def test_schedules_are_told_overdue_ones_first(world: World) -> None:
    """The next run and how the last ended in a line; an overdue one above it, with its reason."""
    coming = NOW + timedelta(hours=5, minutes=12)
    world.schedules = (schedule(Standing.ON_TIME, next_run_at=coming, last_run=run(18.8)),)
    app = world.app(world.profiles[0])
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "next dbtui backup create erp in 5 h, last 18 h ago, ok")
        late = schedule(Standing.OVERDUE, ("backup", "verify", "latest"), profile="", reason="it should have run")
        world.schedules = (late, *world.schedules, schedule(Standing.ON_TIME, profile="shop", next_run_at=NOW))
        await pilot.press("R")
        text = await wait_to_see(pilot, "✖ overdue: dbtui backup verify latest  it should have run", "in 5 h")
        assert text.index("overdue") < text.index("next dbtui")
        await pilot.press("w")
        await wait_to_see(pilot, "standing", "next run", "last run", "took 42 s", "crontab")
        assert "shop" not in screen_text(app)


async def test_a_schedule_that_nobody_runs_is_said(world: World) -> None:
    """It waits for its first run, which never comes: why not is a line."""
    reason = "its timer is not enabled: systemctl --user enable --now dbtui-backup.timer"
    world.schedules = (schedule(Standing.WAITING, reason=reason),)
    app = world.app(world.profiles[0])
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "▲ does not run: dbtui backup create erp  its timer is not enabled")


async def test_where_there_is_nothing_to_say_the_list_is_as_it_was(world: World) -> None:
    """No line, no column; w says how to get there."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SMALL) as pilot:
        text = await wait_to_see(pilot, "● restored")
        assert "WHERE" not in text
        assert "ENGINE" in text.splitlines()[2]
        await pilot.press("w")
        await wait_to_see(pilot, "No remote, no repository and no schedule", "schedule backup create")


# ------------------------------------------------------------ repositories

MAIN = Repository(RepositoryKind.PGBACKREST, "main")


def physical(label: str, hours: float, **fields: object) -> RepositoryBackup:
    known = {
        "repository": str(MAIN),
        "label": label,
        "kind": BackupKind.FULL,
        "ended_at": NOW - timedelta(hours=hours),
        "server_version": "15",
        "database_bytes": 91_000_000_000,
        "repository_bytes": 12_000_000_000,
        **fields,
    }
    return RepositoryBackup(**known)  # type: ignore[arg-type]


@pytest.fixture
def kept(world: World) -> ConnectionProfile:
    """The first profile's cluster has a repository with two backups, of which one is not whole."""
    world.profiles = (replace(world.profiles[0], repository=MAIN), *world.profiles[1:])
    backups = (physical("20261123-000000F", 3.0), physical("20261120-000000F", 70.0, problem="cut", is_usable=False))
    finding = RepositoryFinding(RepositoryConcern.OLD_WAL, FindingLevel.TROUBLE, "the last WAL came 3 h ago")
    world.reports[MAIN] = RepositoryReport(repository=MAIN, taken_at=NOW, backups=backups, findings=(finding,))
    return world.profiles[0]


async def test_backups_of_a_repository_are_rows_of_the_history(world: World, kept: ConnectionProfile) -> None:
    """In their place by age; what can be done with them, and what cannot, is said."""
    app = world.app(kept)
    async with app.run_test(size=LARGE) as pilot:
        text = await wait_to_see(pilot, "main", "pgbackrest", "12 GB", "✖ pgbackrest:main: the last WAL")
        assert text.index("● restored") < text.index("pgbackrest  ") < text.index("● checksums")
        await pilot.press("j")
        await wait_to_see(pilot, "pgbackrest:main/20261123-000000F", "made by pgBackRest")
        for key, name in (("d", "delete"), ("p", "pin"), ("enter", "open"), ("space", "mark")):
            await pilot.press(key)
            await wait_to_see(pilot, f"{name}: pgbackrest:main/20261123-000000F holds a whole cluster")
        await pilot.press("slash", *"whole", "enter")
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.shown) == 2)
        await pilot.press("G", "r")
        await wait_to_see(pilot, "restore: this backup is not whole: cut")


async def test_a_repository_that_cannot_be_asked_keeps_its_rows(world: World, kept: ConnectionProfile) -> None:
    """And says why, in a line."""
    app = world.app(kept)
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "pgbackrest  ")
        trouble = RepositoryFinding(RepositoryConcern.UNREACHABLE, FindingLevel.TROUBLE, "pgbackrest is not installed")
        world.reports[MAIN] = RepositoryReport(repository=MAIN, taken_at=NOW, problem="pgbackrest is not installed",
                                               findings=(trouble,))  # fmt: skip
        await pilot.press("R")
        text = await wait_to_see(pilot, "✖ pgbackrest is not installed")
        assert "pgbackrest  " in text
