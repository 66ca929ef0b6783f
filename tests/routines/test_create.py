"""Making a backup: complete or not at all, whatever happens on the way."""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.errors import Cancelled, RefusedError, StorageError, ToolError, UsageError
from dbtui.model.backups import (
    BackupFormat,
    Compression,
    CompressionKind,
    CreateResult,
    DumpOptions,
    TableFacts,
    TableName,
)
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.events import CommandRan, Progressed, Warned
from dbtui.routines.backups import apply_create, create_backup, plan_create
from dbtui.routines.backups import store as store_module
from tests.routines.fake_engine import Clock, FakeContext, FakeEngine, drive, drive_until, unreachable

URL = "postgresql://dba:secret@db1:5432/erp?sslmode=require&password=secret2&passfile=/home/dba/.pgpass"
PROFILE = ConnectionProfile(
    name="erp", engine=EngineName.POSTGRESQL, url=URL, database="erp", password=Secret("secret")
)
NASTY = ["my db", "o'neil", 'a"b', "../../etc", "-rf", ".hidden", "a\nb", "[red]x", "ünï", "x" * 400]


@pytest.fixture
def fake() -> FakeEngine:
    tables = {TableName("public", "users"): ["ann", "bob"], TableName("public", "orders"): ["1", "2", "3"]}
    return FakeEngine(databases={"erp": tables})


@pytest.fixture
def c(fake: FakeEngine) -> FakeContext:
    return FakeContext(fake=fake, now=Clock())


def made(c: FakeContext, directory: Path, profile: ConnectionProfile = PROFILE, **options: object) -> CreateResult:
    result: CreateResult = drive(create_backup(c, profile, directory, DumpOptions(**options)))  # type: ignore[arg-type]
    return result


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_backup_is_its_data_and_a_complete_manifest(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    directory = tmp_path / "new" / "backups"
    result = made(c, directory)
    assert {path.name for path in directory.iterdir()} == {
        "erp-20261122T150000Z.sql",
        "erp-20261122T150000Z.sql.manifest.json",
    }
    document = json.loads(Path(result.manifest_path).read_text())
    assert document["url"] == "postgresql://dba@db1:5432/erp?sslmode=require&passfile=/home/dba/.pgpass"
    assert "secret" not in Path(result.manifest_path).read_text()
    assert document["backup_id"] == "erp-20261122T150000Z"
    assert document["begin_time"] == "2026-11-22T15:00:00Z"
    assert document["tables"][1] == {"schema": "public", "name": "orders", "rows": 3, "rows_are": "exact", "bytes": 10}
    assert document["files"][0]["path"] == "erp-20261122T150000Z.sql"
    assert document["size_bytes"] == Path(result.data_path).stat().st_size
    assert (document["tool"], document["tool_version"], document["profile"]) == ("pg_dump", "15.18", "erp")
    assert fake.open_targets == 0


def test_files_are_private(c: FakeContext, tmp_path: Path) -> None:
    os.umask(0)
    try:
        result = made(c, tmp_path / "b")
        other = made(c, tmp_path / "b", format=BackupFormat.DIRECTORY)
    finally:
        os.umask(0o022)
    assert mode_of(tmp_path / "b") == 0o700
    assert mode_of(Path(result.data_path)) == mode_of(Path(result.manifest_path)) == 0o600
    assert mode_of(Path(other.data_path)) == 0o700
    assert mode_of(Path(other.data_path) / "toc.dat") == 0o600


def test_a_directory_dump_lists_its_files(c: FakeContext, tmp_path: Path) -> None:
    result = made(c, tmp_path, format=BackupFormat.DIRECTORY, jobs=2)
    assert result.data_path.endswith("erp-20261122T150000Z.dir")
    assert result.manifest.files[0].path == "erp-20261122T150000Z.dir/toc.dat"


def test_backups_of_one_second_are_numbered(c: FakeContext, tmp_path: Path) -> None:
    ids = [made(c, tmp_path).manifest.backup_id for _ in range(2)]
    ids.append(made(c, tmp_path, format=BackupFormat.CUSTOM).manifest.backup_id)
    assert ids == ["erp-20261122T150000Z", "erp-20261122T150000Z-2", "erp-20261122T150000Z-3"]


def test_an_id_taken_between_plan_and_dump_is_not_written_over(c: FakeContext, tmp_path: Path) -> None:
    plan = drive(plan_create(c, PROFILE, tmp_path, DumpOptions()))
    made(c, tmp_path)
    result = drive(apply_create(c, PROFILE, plan))
    assert result.manifest.backup_id == "erp-20261122T150000Z-2"


@pytest.mark.parametrize("database", NASTY)
def test_any_database_name_gets_a_file(c: FakeContext, fake: FakeEngine, tmp_path: Path, database: str) -> None:
    fake.databases[database] = {TableName("public", "t"): ["1"]}
    result = made(c, tmp_path / "b", replace(PROFILE, database=database))
    assert Path(result.data_path).parent == tmp_path / "b"
    assert result.manifest.database == database
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_events_tell_the_command_and_the_progress(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    fake.dump_facts = lambda facts: replace(facts, lock_holders=("pid 7",))
    events = list(create_backup(c, PROFILE, tmp_path, DumpOptions()))
    assert any(isinstance(event, CommandRan) for event in events)
    assert any(isinstance(event, Progressed) for event in events)
    assert any(isinstance(event, Warned) and "pid 7" in event.message for event in events)


def test_refusals_end_it_before_anything_is_written(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    fake.dump_facts = lambda facts: replace(facts, broken_objects=("view v is broken", "view w too"))
    with pytest.raises(RefusedError, match=r"view v is broken.*view w too"):
        made(c, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert "dump" not in fake.calls


# ---------------------------------------------------------------- failures


def _raise(error: BaseException) -> Callable[[], None]:
    def reached() -> None:
        raise error

    return reached


@pytest.mark.parametrize(
    "error", [ToolError("pg_dump failed"), StorageError("full"), MemoryError(), KeyboardInterrupt()]
)
@pytest.mark.parametrize("backup_format", [BackupFormat.PLAIN, BackupFormat.DIRECTORY])
def test_a_failed_dump_leaves_nothing(
    c: FakeContext, fake: FakeEngine, tmp_path: Path, error: BaseException, backup_format: BackupFormat
) -> None:
    made(c, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    fake.fail_at["dump table"] = _raise(error)
    with pytest.raises(type(error)):
        made(c, tmp_path, format=backup_format)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert fake.open_targets == 0


def test_a_cancel_leaves_nothing(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    fake.fail_at["dump table"] = lambda: c.cancellation.request("Ctrl-C")
    with pytest.raises(Cancelled, match="Ctrl-C"):
        made(c, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_written_is_known_until_it_is_kept_or_removed(
    c: FakeContext, fake: FakeEngine, tmp_path: Path
) -> None:
    """Whoever ends a run can say what its end would leave behind."""
    seen: list[str] = []
    fake.fail_at["dump table"] = lambda: seen.extend(each.left for each in c.unfinished if each.is_ours)
    made(c, tmp_path)
    (partial,) = set(seen)
    assert partial.startswith(f"{tmp_path}/erp-2026")
    assert partial.endswith(".sql.partial: the next backup into that directory removes it")
    assert [each.is_ours for each in c.unfinished] == [False]
    fake.fail_at["dump table"] = lambda: c.cancellation.request("Ctrl-C")
    with pytest.raises(Cancelled, match="Ctrl-C"):
        made(c, tmp_path)
    assert [(each.is_ours, each.is_being_undone) for each in c.unfinished] == [(False, False), (False, True)]


def test_closing_the_routine_leaves_nothing(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    routine = create_backup(c, PROFILE, tmp_path, DumpOptions())
    drive_until(routine, lambda event: isinstance(event, Progressed))
    assert list(tmp_path.iterdir()) == []
    assert fake.open_targets == 0


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("call", ["rename", "fsync"])
def test_a_full_disk_while_committing_leaves_nothing(
    c: FakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failing: int
) -> None:
    calls = 0
    real_rename, real_fsync = Path.rename, os.fsync

    def full(*words: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        return (real_rename if call == "rename" else real_fsync)(*words)  # type: ignore[arg-type, type-var]

    monkeypatch.setattr(Path if call == "rename" else os, call, full)
    with pytest.raises(StorageError, match="is full"):
        made(c, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_dump_is_not_a_backup(
    c: FakeContext, fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fake.dump

    def emptied(target, request):  # type: ignore[no-untyped-def]
        result = yield from real(target, request)
        Path(request.partial_path).write_bytes(b"")
        return replace(result, files=tuple(replace(file, size_bytes=0) for file in result.files))

    monkeypatch.setattr(fake, "dump", emptied)
    with pytest.raises(ToolError, match="no bytes"):
        made(c, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_was_planned_must_be_in_the_dump(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    gone = TableFacts("public", "gone")
    fake.dump_facts = lambda facts: replace(facts, tables=(*facts.tables, gone))
    with pytest.raises(ToolError, match=r"public\.gone"):
        made(c, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_said(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    fake.fail_at["open_target"] = unreachable
    with pytest.raises(Exception, match="connection refused"):
        made(c, tmp_path)


def test_a_url_without_a_database_is_refused(c: FakeContext, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no database"):
        made(c, tmp_path, replace(PROFILE, url="postgresql://db1", database=""))


def test_too_little_space_is_seen_before(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    fake.dump_facts = lambda facts: replace(facts, tables=(TableFacts("public", "users", bytes=1 << 60),))
    with pytest.raises(RefusedError, match="are free in"):
        made(c, tmp_path, compression=Compression(CompressionKind.ZSTD))


# ---------------------------------------------------------------- the directory


def test_a_directory_that_others_may_write_is_refused(c: FakeContext, tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(StorageError, match="chmod go-w"):
        made(c, open_to_all)
    open_to_all.chmod(0o1777)
    made(c, open_to_all)


@pytest.mark.parametrize("obstacle", ["file", "loop", "under a file"])
def test_a_directory_that_cannot_be_is_a_sentence(c: FakeContext, tmp_path: Path, obstacle: str) -> None:
    place = tmp_path / "place"
    if obstacle == "loop":
        place.symlink_to(place)
    else:
        place.write_text("")
    with pytest.raises(StorageError) as caught:
        made(c, place / "below" if obstacle == "under a file" else place)
    assert str(place) in str(caught.value)


# ---------------------------------------------------------------- what a killed run left


def _leave(directory: Path, stamp: str) -> list[Path]:
    left = [
        directory / f"erp-{stamp}.sql.partial",
        directory / f"erp-{stamp}.manifest.json.partial",
        directory / f"shop-{stamp}.dir.partial" / "toc.dat",
    ]
    left[2].parent.mkdir()
    for path in left:
        path.write_bytes(b"half")
    return left


def test_orphans_are_swept_by_the_next_backup(c: FakeContext, tmp_path: Path) -> None:
    _leave(tmp_path, "20260101T000000Z")
    (tmp_path / "download.partial").write_bytes(b"someone else's")
    (tmp_path / "notes-20260101T000000Z.txt.partial").write_bytes(b"someone else's")
    made(c, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "erp-20261122T150000Z.sql",
        "erp-20261122T150000Z.sql.manifest.json",
        "download.partial",
        "notes-20260101T000000Z.txt.partial",
    }


def test_a_partial_that_is_being_written_is_left_alone(c: FakeContext, tmp_path: Path) -> None:
    data, reservation, _orphan = _leave(tmp_path, "20260101T000000Z")
    with reservation.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        made(c, tmp_path)
        assert data.exists()
        assert reservation.exists()
        assert not _orphan.exists()
    assert sorted(store_module.sweep_orphans(tmp_path)) == [reservation.name, data.name]


def test_two_runs_do_not_take_the_same_id(c: FakeContext, tmp_path: Path) -> None:
    """A second backup begins and ends while the first is still being written."""
    first = create_backup(c, PROFILE, tmp_path, DumpOptions())
    while not isinstance(next(first), Progressed):
        pass
    second = made(c, tmp_path)
    result = drive(first)
    assert {result.manifest.backup_id, second.manifest.backup_id} == {"erp-20261122T150000Z", "erp-20261122T150000Z-2"}
    assert Path(result.data_path).read_bytes() == Path(second.data_path).read_bytes()
