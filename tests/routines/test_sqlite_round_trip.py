"""SQLite from one end to the other through the routines: made, listed, shown, verified, restored, under a writer."""

import contextlib
import hashlib
import json
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dbtui import create_backup as create_in_python
from dbtui import restore_backup as restore_in_python
from dbtui.errors import Cancelled, ConnectError, RefusedError, UsageError
from dbtui.model.backups import (
    BackupEntry,
    Compression,
    CreateResult,
    DumpOptions,
    EntryKind,
    RestoreOptions,
    RestorePlan,
    TableName,
)
from dbtui.model.events import CommandRan, Event, StepStarted
from dbtui.routines.backups import (
    apply_restore,
    collect_contents,
    collect_entries,
    collect_sample,
    create_backup,
    find_backup,
    plan_create,
    plan_restore,
    show_definition,
    verify_backup,
)
from dbtui.routines.context import RoutineContext
from tests.adapters.sqlite_files import (
    GZIP,
    NASTY_TABLES,
    NONE,
    ZSTD,
    ask,
    busy_writer,
    drive,
    held_elsewhere,
    lines_of,
    make_database,
    make_large,
    profile_of,
)

C = RoutineContext()


@pytest.fixture(params=[False, True], ids=["rollback", "wal"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A live database under a name that breaks careless programs."""
    folder = tmp_path / "data"
    folder.mkdir()
    return make_database(folder / "erp [red]? #100%\n.db", wal=request.param)


def back_up(live: Path, folder: Path, **asked: object) -> CreateResult:
    return drive(create_backup(C, profile_of(live), folder, DumpOptions(**asked)))  # type: ignore[arg-type]


def entry_of(result: CreateResult) -> BackupEntry:
    return find_backup(Path(result.data_path).parent, result.manifest.backup_id)


def plan_for(live: Path, result: CreateResult, **asked: object) -> RestorePlan:
    return drive(plan_restore(C, entry_of(result), profile_of(live), RestoreOptions(**asked)))  # type: ignore[arg-type]


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if not each.name.endswith(("-wal", "-shm"))}


@pytest.mark.parametrize("compression", [NONE, GZIP, ZSTD], ids=str)
def test_from_one_end_to_the_other(live: Path, tmp_path: Path, compression: Compression) -> None:
    profile, folder, original = profile_of(live), tmp_path / "backups", lines_of(live)
    result = back_up(live, folder, compression=compression)
    path = Path(result.data_path)
    assert names_in(folder) == {path.name, Path(result.manifest_path).name}
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    manifest = json.loads(Path(result.manifest_path).read_bytes())
    assert manifest["files"][0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (manifest["tool"], manifest["server_version"], manifest["format"]) == (
        "sqlite3", sqlite3.sqlite_version, "copy",
    )  # fmt: skip

    (entry,) = drive(collect_entries(C, folder))
    assert (entry.kind, entry.tables, entry.rows) == (EntryKind.COMPLETE, 8, 795)
    contents = drive(collect_contents(C, entry))
    assert tuple(table.name for table in contents.tables) == NASTY_TABLES
    assert all(table.rows_are == "exact" and table.bytes for table in contents.tables)
    assert "CREATE TABLE users" in drive(show_definition(C, entry, TableName("main", "users")))
    assert drive(collect_sample(C, entry, TableName("main", "users"), 1)).rows[0][:2] == ("1", "user 1")

    verified = drive(verify_backup(C, entry, profile))
    assert (verified.proof, verified.tables_compared, verified.problems, verified.differences) == (
        "restored",
        8,
        (),
        (),
    )
    assert names_in(live.parent) == {live.name}

    plan = plan_for(live, result, into="copy.db")
    assert (plan.refusals, plan.replaces, plan.confirm_name) == ((), False, "")
    restored = drive(apply_restore(C, profile, plan))
    assert lines_of(Path(restored.database)) == original
    assert Path(restored.database) == live.with_name("copy.db")

    ask(live, "DELETE FROM orders")
    ask(live, "DROP TABLE keyed")
    changed, inode = lines_of(live), live.stat().st_ino
    plan = plan_for(live, result, replace=True)
    assert (plan.refusals, plan.replaces, plan.confirm_name) == ((), True, live.name)
    replaced = drive(apply_restore(C, profile, plan))
    assert (replaced.tables, replaced.rows, replaced.differences) == (8, 795, ())
    assert lines_of(live) == original
    assert live.stat().st_ino == inode
    assert lines_of(Path(replaced.kept_as)) == changed
    assert names_in(live.parent) == {live.name, "copy.db", Path(replaced.kept_as).name}

    back = find_backup(live.parent, replaced.kept_as)
    drive(apply_restore(C, profile, drive(plan_restore(C, back, profile, RestoreOptions(replace=True)))))
    assert lines_of(live) == changed, "the way back that the plan names"


@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
@pytest.mark.parametrize("compression", [NONE, ZSTD], ids=str)
def test_money_that_moves_meanwhile_is_neither_lost_nor_doubled(
    tmp_path: Path, wal: bool, compression: Compression
) -> None:
    live = make_large(tmp_path / "app.db", wal=wal, megabytes=20)
    with busy_writer(live) as moved:
        results = [back_up(live, tmp_path / f"backups{number}", compression=compression) for number in range(3)]
    assert moved[0]
    seen = []
    for number, result in enumerate(results):
        restored = drive(apply_restore(C, profile_of(live), plan_for(live, result, into=f"copy{number}.db")))
        first, second = ask(Path(restored.database), "SELECT balance FROM accounts ORDER BY id")
        assert int(str(first[0])) + int(str(second[0])) == 1000
        seen.append(int(str(second[0])))
    assert seen == sorted(seen)


def test_chosen_tables_and_schema_alone(live: Path, tmp_path: Path) -> None:
    some = back_up(live, tmp_path / "some", tables=("users", "keyed"))
    assert {table.name: table.rows for table in some.manifest.tables} == {"users": 300, "keyed": 3}
    restored = drive(apply_restore(C, profile_of(live), plan_for(live, some, into="some.db")))
    assert ask(Path(restored.database), "SELECT * FROM users") == ask(live, "SELECT * FROM users")

    without = back_up(live, tmp_path / "without", exclude_tables=("orders",))
    assert "orders" not in {table.name for table in without.manifest.tables}

    bare = back_up(live, tmp_path / "bare", schema_only=True)
    assert {table.rows for table in bare.manifest.tables} == {0}
    restored = drive(apply_restore(C, profile_of(live), plan_for(live, bare, into="bare.db")))
    assert ask(Path(restored.database), "SELECT count(*) FROM orders") == [(0,)]

    whole = back_up(live, tmp_path / "whole", compression=ZSTD)
    restored = drive(apply_restore(C, profile_of(live), plan_for(live, whole, into="one.db", tables=("orders",))))
    assert (restored.tables, restored.rows) == (1, 480)
    assert ask(Path(restored.database), "SELECT * FROM orders") == ask(live, "SELECT * FROM orders")

    plan = drive(plan_create(C, profile_of(live), tmp_path / "none", DumpOptions(tables=("nope",))))
    assert any("nope" in refusal for refusal in plan.refusals)


def test_a_database_that_is_gone_comes_back_under_its_name(live: Path, tmp_path: Path) -> None:
    original, result = lines_of(live), back_up(live, tmp_path / "backups")
    for each in list(live.parent.iterdir()):
        each.unlink()
    with pytest.raises(ConnectError, match=r"there is no file"):
        back_up(live, tmp_path / "backups")
    assert len(names_in(tmp_path / "backups")) == 2
    plan = plan_for(live, result)
    assert (plan.refusals, plan.final_database) == ((), str(live))
    drive(apply_restore(C, profile_of(live), plan))
    assert lines_of(live) == original


def test_who_has_the_file_open_is_in_the_plan(live: Path, tmp_path: Path) -> None:
    result = back_up(live, tmp_path / "backups")
    with held_elsewhere(live, "BEGIN") as holder:
        plan = plan_for(live, result, replace=True)
    assert any(f"(process {holder.pid}, user " in warning for warning in plan.warnings)
    assert plan.sessions == ()


def test_nothing_is_replaced_unasked(live: Path, tmp_path: Path) -> None:
    result = back_up(live, tmp_path / "backups")
    plan = plan_for(live, result, into=live.name)
    assert any("--replace" in refusal for refusal in plan.refusals)
    with pytest.raises(RefusedError):
        drive(apply_restore(C, profile_of(live), plan))
    read_only = drive(
        plan_restore(C, entry_of(result), profile_of(live, read_only=True), RestoreOptions(replace=True))
    )  # fmt: skip
    assert read_only.refusals


@pytest.mark.parametrize("step", ["load", "count rows", "swap", "keep the old"])
def test_a_cancel_at_any_step_leaves_the_live_database_and_nothing_else(live: Path, tmp_path: Path, step: str) -> None:
    original, result = lines_of(live), back_up(live, tmp_path / "backups", compression=ZSTD)
    ask(live, "DELETE FROM orders")
    changed = lines_of(live)
    context = RoutineContext()
    plan = plan_for(live, result, replace=True)
    seen: list[Event] = []
    with pytest.raises(Cancelled, match=r"Ctrl-C"):
        for event in apply_restore(context, profile_of(live), plan):
            seen.append(event)
            if isinstance(event, StepStarted) and event.step == step:
                context.cancellation.request("Ctrl-C")
    assert seen
    assert lines_of(live) == changed != original
    assert names_in(live.parent) == {live.name}


def test_what_is_run_is_told(live: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    drive(create_backup(C, profile_of(live), tmp_path / "backups", DumpOptions()), events)
    commands = [event.text for event in events if isinstance(event, CommandRan)]
    assert len(commands) == 1
    assert "online backup of" in commands[0]
    assert commands[0].isprintable()


def test_a_bad_url_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"%3F"):
        create_in_python(f"sqlite:///{tmp_path}/x.db?mode=ro", tmp_path / "backups")
    assert not (tmp_path / "backups").exists()


def test_inside_an_application(tmp_path: Path) -> None:
    live = make_database(tmp_path / "erp.db", wal=True)
    original = lines_of(live)
    backup = create_in_python(f"sqlite:///{live}", tmp_path / "backups")
    assert backup.suffix == ".sqlite"
    with contextlib.closing(sqlite3.connect(live, isolation_level=None)) as connection:
        connection.execute("DELETE FROM users")
        assert restore_in_python(f"sqlite:///{live}", backup) == str(live)
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (300,), "the open connection goes on"
    assert lines_of(live) == original


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from tests.routines.test_sqlite_round_trip import *
from dbtui.adapters.sqlite import copying
copying.CopyWatch.step = lambda *_words: os.kill(os.getpid(), signal.SIGKILL)
back_up(Path(sys.argv[2]), Path(sys.argv[3]), compression=ZSTD, tables=("users",))
"""


def test_what_a_killed_backup_left_is_swept_by_the_next(live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    words = [sys.executable, "-c", KILLED, str(Path(__file__).parents[2]), str(live), str(folder)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    left = names_in(folder)
    assert left
    assert all(name.endswith(".partial") for name in left)
    assert drive(collect_entries(C, folder)) == ()
    result = back_up(live, folder)
    assert names_in(folder) == {Path(result.data_path).name, Path(result.manifest_path).name}
