"""The history of a directory, whatever lies in it, and finding a backup by what is typed."""

import gzip
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from dbtui.errors import DamagedBackupError, StorageError, UsageError
from dbtui.model.backups import BackupEntry, BackupFile, BackupFormat, EntryKind, Manifest
from dbtui.model.connections import EngineName
from dbtui.routines.backups import collect_entries, find_backup
from dbtui.routines.backups.catalogue import list_directory
from dbtui.routines.backups.find import find_previous
from dbtui.routines.backups.manifest import encode_manifest
from dbtui.routines.backups.stored import open_stored
from dbtui.routines.context import RoutineContext
from tests.unit.samples import MANIFEST

PLAIN = b"--\n-- PostgreSQL database dump\n--\n"


def add_backup(directory: Path, stamp: str, data: bytes = b"x", suffix: str = ".sql", **fields: object) -> Manifest:
    name = f"erp-{stamp}{suffix}"
    begin = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}Z"
    manifest = replace(
        MANIFEST,
        backup_id=f"erp-{stamp}",
        begin_time=begin,
        files=(BackupFile(name, len(data), ""),),
        size_bytes=len(data),
        **fields,  # type: ignore[arg-type]
    )
    (directory / name).write_bytes(data)
    (directory / f"{name}.manifest.json").write_bytes(encode_manifest(manifest))
    return manifest


def entries_of(directory: Path, database: str = "") -> tuple[BackupEntry, ...]:
    routine = collect_entries(RoutineContext(), directory, database)
    try:
        while True:
            next(routine)
    except StopIteration as end:
        entries: tuple[BackupEntry, ...] = end.value
        return entries


def test_backups_are_listed_newest_first(tmp_path: Path) -> None:
    for stamp in ("20260102T000000Z", "20261122T150000Z", "20251231T235959Z"):
        add_backup(tmp_path, stamp)
    entries = entries_of(tmp_path)
    assert [entry.backup_id for entry in entries] == [
        "erp-20261122T150000Z",
        "erp-20260102T000000Z",
        "erp-20251231T235959Z",
    ]
    newest = entries[0]
    assert newest.kind is EntryKind.COMPLETE
    assert (newest.engine, newest.database, newest.tables, newest.rows) == (EngineName.POSTGRESQL, "erp", 2, 100)
    assert newest.data_path == str(tmp_path / "erp-20261122T150000Z.sql")
    assert newest.began_at.isoformat() == "2026-11-22T15:00:00+00:00"


def test_an_absent_directory_has_no_history_and_an_unreadable_one_says_so(tmp_path: Path) -> None:
    assert entries_of(tmp_path / "absent") == ()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        entries_of(tmp_path / "file")


def test_databases_are_kept_apart(tmp_path: Path) -> None:
    add_backup(tmp_path, "20260102T000000Z")
    add_backup(tmp_path, "20260103T000000Z", database="other")
    assert [entry.database for entry in entries_of(tmp_path, "other")] == ["other"]


def test_a_broken_manifest_is_a_row_with_its_reason(tmp_path: Path) -> None:
    add_backup(tmp_path, "20260102T000000Z")
    path = tmp_path / "erp-20260102T000000Z.sql.manifest.json"
    path.write_bytes(b"{ not json")
    (entry,) = entries_of(tmp_path)
    assert (entry.kind, entry.backup_id) == (EntryKind.BROKEN, "erp-20260102T000000Z")
    assert "not readable JSON" in entry.problem
    assert entry.began_at.year == 2026
    assert entry.data_path.endswith(".sql")
    with pytest.raises(DamagedBackupError, match=rf"as a foreign file, move {path.name} away"):
        open_stored(entry)
    path.rename(tmp_path / "away")
    Path(entry.data_path).write_bytes(PLAIN)
    (entry,) = (each for each in entries_of(tmp_path) if each.data_path.endswith(".sql"))
    assert open_stored(entry).manifest is None


def test_a_manifest_without_data_is_broken(tmp_path: Path) -> None:
    add_backup(tmp_path, "20260102T000000Z")
    (tmp_path / "erp-20260102T000000Z.sql").unlink()
    (entry,) = entries_of(tmp_path)
    assert (entry.kind, entry.data_path) == (EntryKind.BROKEN, "")
    assert "is gone" in entry.problem
    with pytest.raises(DamagedBackupError) as raised:
        open_stored(entry)
    assert raised.value.hint == "use another backup"


@pytest.mark.parametrize(
    ("name", "data", "engine", "backup_format"),
    [
        ("a.sql", PLAIN, EngineName.POSTGRESQL, BackupFormat.PLAIN),
        ("a.sql.gz", gzip.compress(PLAIN, mtime=0), EngineName.POSTGRESQL, BackupFormat.PLAIN),
        ("a.sql.zst", zstandard.compress(PLAIN), EngineName.POSTGRESQL, BackupFormat.PLAIN),
        ("a.sql", b"-- MariaDB dump 10.19\n", EngineName.MYSQL, BackupFormat.PLAIN),
        ("a.sql", b"/*M!999999\\- enable the sandbox mode */\n", EngineName.MYSQL, BackupFormat.PLAIN),
        ("a.dump", b"PGDMP\x01\x0e\x00", EngineName.POSTGRESQL, BackupFormat.CUSTOM),
        ("a.sql", b"PGDMP\x01\x0e\x00", EngineName.POSTGRESQL, BackupFormat.CUSTOM),
        ("a.sqlite", b"SQLite format 3\0", EngineName.SQLITE, BackupFormat.COPY),
    ],
)
def test_foreign_files_are_recognised_by_their_first_bytes(
    tmp_path: Path, name: str, data: bytes, engine: EngineName, backup_format: BackupFormat
) -> None:
    (tmp_path / name).write_bytes(data)
    (entry,) = entries_of(tmp_path)
    assert (entry.kind, entry.engine, entry.format) == (EntryKind.FOREIGN, engine, backup_format)
    assert (entry.size_bytes, entry.problem, entry.rows) == (len(data), "", None)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.sql", b"", "empty"),
        ("a.sql", b"hello", "not recognised"),
        ("a.sql.gz", b"\x1f\x8bgarbage", "damaged"),
        ("a.sql.zst", b"\x28\xb5\x2f\xfdgarbage", "damaged"),
        ("a.sql.age", b"age-encryption.org/v1\n", "encrypted"),
        ("a.sql", "SET statement_timeout".encode("utf-16"), "UTF-16"),
        ("a.sql", b"PRAGMA foreign_keys=OFF;\nBEGIN", "sqlite3 shell"),
        ("a.dump", b"\0" * 257 + b"ustar", "tar"),
    ],
)
def test_what_cannot_be_restored_says_why(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    (entry,) = entries_of(tmp_path)
    assert (entry.kind, entry.engine) == (EntryKind.FOREIGN, None)
    assert said in entry.problem


def test_a_directory_dump_is_recognised_and_measured(tmp_path: Path) -> None:
    dump = tmp_path / "x.dir"
    dump.mkdir()
    assert "toc.dat" in entries_of(tmp_path)[0].problem
    (dump / "toc.dat").write_bytes(b"PGDMP123")
    (dump / "1.dat.gz").write_bytes(b"12345")
    (entry,) = entries_of(tmp_path)
    assert (entry.format, entry.size_bytes, entry.engine) == (BackupFormat.DIRECTORY, 13, EngineName.POSTGRESQL)


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[Path]:
    """A directory with one good backup among everything else that a file system can hold."""
    add_backup(tmp_path, "20260102T000000Z")
    for name in ("pipe.sql", "pipe.manifest.json"):
        os.mkfifo(tmp_path / name)
    for name in ("dangling.sql", "dangling.sql.manifest.json"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.sql").symlink_to(tmp_path / "loop.sql")
    (tmp_path / "folder.manifest.json").mkdir()
    (tmp_path / "binary.manifest.json").write_bytes(os.urandom(4096))
    (tmp_path / "empty.manifest.json").write_bytes(b"")
    (tmp_path / "huge.manifest.json").touch()
    os.truncate(tmp_path / "huge.manifest.json", 1 << 40)
    (tmp_path / "deep.manifest.json").write_bytes(b"[" * 1_000_000)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "erp-20260103T000000Z.sql.partial").write_bytes(b"half")
    (tmp_path / ".hidden.sql").write_bytes(PLAIN)
    (tmp_path / "\x1b[31m\n[red].sql").write_bytes(PLAIN)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.sql")).write_bytes(PLAIN)
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tmp_path)
        try:
            listener.bind("socket.sql")
        finally:
            os.chdir(here)
        yield tmp_path


def test_nothing_in_a_directory_spoils_the_list(zoo: Path) -> None:
    entries = entries_of(zoo)
    kinds = {kind: {entry.backup_id for entry in entries if entry.kind is kind} for kind in EntryKind}
    assert kinds[EntryKind.COMPLETE] == {"erp-20260102T000000Z"}
    assert kinds[EntryKind.BROKEN] == {"pipe", "dangling", "folder", "binary", "empty", "huge", "deep"}
    assert len(kinds[EntryKind.FOREIGN]) == 2
    assert all(entry.problem for entry in entries if entry.kind is EntryKind.BROKEN)


def test_a_symbolic_link_is_not_the_data_of_a_backup(tmp_path: Path) -> None:
    add_backup(tmp_path, "20260102T000000Z")
    data = tmp_path / "erp-20260102T000000Z.sql"
    data.unlink()
    data.symlink_to("/etc/passwd")
    assert "not a regular file" in entries_of(tmp_path)[0].problem


def test_a_forged_manifest_is_a_row_with_its_reason(tmp_path: Path) -> None:
    forged = replace(MANIFEST, files=(BackupFile("../../etc/passwd", 1, ""),))
    (tmp_path / "x.sql.manifest.json").write_bytes(encode_manifest(forged))
    (entry,) = entries_of(tmp_path)
    assert (entry.kind, entry.data_path) == (EntryKind.BROKEN, "")
    assert "outside of the backup" in entry.problem


# ---------------------------------------------------------------- the index


def test_a_long_history_is_indexed_and_the_index_is_never_believed_over_the_files(tmp_path: Path) -> None:
    cache = Path(os.environ["XDG_CACHE_HOME"])
    for number in range(250):
        add_backup(tmp_path, f"2026{number // 28 % 12 + 1:02}{number % 28 + 1:02}T{number // 28:02}0000Z")
    first = entries_of(tmp_path)
    (index,) = cache.rglob("*.msgpack")
    assert index.stat().st_mode & 0o777 == 0o600
    assert entries_of(tmp_path) == first
    changed, gone, without_data = first[10], first[20], first[30]
    replaced = Path(changed.data_path + ".manifest.json")
    about = replaced.stat()
    fresh = tmp_path / "fresh"
    fresh.write_bytes(replaced.read_bytes().replace(b'"rows": 10,', b'"rows": 11,'))
    os.utime(fresh, ns=(about.st_mtime_ns, about.st_mtime_ns))
    fresh.rename(replaced)
    Path(gone.data_path + ".manifest.json").unlink()
    Path(gone.data_path).unlink()
    Path(without_data.data_path).unlink()
    second = {entry.backup_id: entry for entry in entries_of(tmp_path)}
    assert len(second) == 249
    assert second[changed.backup_id].rows == 101
    assert second[without_data.backup_id].kind is EntryKind.BROKEN
    index.write_bytes(b"\x93 damaged")
    assert {entry.backup_id: entry for entry in entries_of(tmp_path)} == second
    index.unlink()
    index.parent.rmdir()
    index.parent.write_text("in the way")
    assert {entry.backup_id: entry for entry in entries_of(tmp_path)} == second


# ---------------------------------------------------------------- finding


def test_a_backup_is_found_by_everything_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_backup(tmp_path, "20260102T000000Z")
    add_backup(tmp_path, "20261122T150000Z")
    name = "erp-20261122T150000Z"
    monkeypatch.chdir(tmp_path)
    for reference in (
        name,
        "erp-20261",
        f"{name}.sql",
        f"{name}.sql.manifest.json",
        f"./{name}.sql",
        f"{tmp_path}/{name}.sql",
        f"{tmp_path}/{name}.sql.manifest.json",
    ):
        for directory in (tmp_path, tmp_path / "absent"):
            if directory == tmp_path or "/" in reference:
                entry = find_backup(directory, reference)
                assert (entry.backup_id, entry.kind) == (name, EntryKind.COMPLETE), reference


def test_foreign_files_are_found_by_name_and_path(tmp_path: Path) -> None:
    (tmp_path / "old.sql").write_bytes(PLAIN)
    (tmp_path / "odd.name").write_bytes(PLAIN)
    assert find_backup(tmp_path, "old.sql").kind is EntryKind.FOREIGN
    assert find_backup(tmp_path, "ol").data_path == str(tmp_path / "old.sql")
    assert find_backup(tmp_path, str(tmp_path / "odd.name")).engine is EngineName.POSTGRESQL


@pytest.mark.parametrize("reference", ["", "nothing", "/no/such/file", "a\0b", "erp-2026", "\x1b[31m"])
def test_what_names_no_single_backup_is_refused(tmp_path: Path, reference: str) -> None:
    add_backup(tmp_path, "20260102T000000Z")
    add_backup(tmp_path, "20261122T150000Z")
    with pytest.raises(UsageError) as caught:
        find_backup(tmp_path, reference)
    assert str(caught.value).isprintable()


def test_a_plain_directory_is_not_a_backup(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        find_backup(tmp_path, str(tmp_path))


def test_an_exact_id_wins_over_longer_ones(tmp_path: Path) -> None:
    add_backup(tmp_path, "20260102T000000Z")
    add_backup(tmp_path, "20260102T000000Z", suffix="-2.sql")
    assert find_backup(tmp_path, "erp-20260102T000000Z").backup_id == "erp-20260102T000000Z"
    assert find_backup(tmp_path, "erp-20260102T000000Z-2").data_path.endswith("-2.sql")


def test_the_previous_backup_is_the_newest_readable_one(tmp_path: Path) -> None:
    assert find_previous(tmp_path, EngineName.POSTGRESQL, "erp") is None
    for stamp in ("20260102T000000Z", "20261122T150000Z", "20260101T000000Z"):
        add_backup(tmp_path, stamp)
    (tmp_path / "erp-20261122T150000Z.sql.manifest.json").write_bytes(b"broken")
    previous = find_previous(tmp_path, EngineName.POSTGRESQL, "erp")
    assert previous is not None
    assert previous.backup_id == "erp-20260102T000000Z"
    assert find_previous(tmp_path, EngineName.MYSQL, "erp") is None


def test_a_listing_knows_its_absolute_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list_directory(Path("x")).directory == str(tmp_path / "x")
