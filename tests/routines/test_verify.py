"""Proving backups: what is found, what is written down, and that no scratch database stays."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.errors import Cancelled, RefusedError, ServerError, StorageError, ToolError
from dbtui.model.backups import (
    BackupEntry,
    BackupFormat,
    CreateResult,
    DumpOptions,
    TableDifference,
    TableName,
    VerifyResult,
)
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.routines.backups import (
    collect_contents,
    collect_sample,
    create_backup,
    delete_backup,
    find_backup,
    verify_backup,
)
from dbtui.routines.connections import collect_status
from tests.routines.fake_engine import HEAD, TRAILER, Clock, FakeContext, FakeEngine, drive, unreachable

PROFILE = ConnectionProfile(
    name="erp", engine=EngineName.POSTGRESQL, url="postgresql://dba@db1:5432/erp", database="erp"
)
USERS, ORDERS = TableName("public", "users"), TableName("public", "orders")


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine(databases={"erp": {USERS: ["ann", "bob"], ORDERS: ["1", "2", "3"]}})


@pytest.fixture
def c(fake: FakeEngine) -> FakeContext:
    return FakeContext(fake=fake, now=Clock(1))


def made(c: FakeContext, directory: Path, backup_format: BackupFormat = BackupFormat.PLAIN) -> BackupEntry:
    result: CreateResult = drive(create_backup(c, PROFILE, directory, DumpOptions(format=backup_format)))
    return find_backup(directory, result.manifest.backup_id)


def verified(c: FakeContext, entry: BackupEntry, profile: ConnectionProfile | None = None) -> VerifyResult:
    result: VerifyResult = drive(verify_backup(c, entry, profile))
    return result


def proof_of(entry: BackupEntry) -> tuple[str | None, str | None]:
    document = json.loads(Path(entry.data_path + ".manifest.json").read_text())
    return document["verified_at"], document["proof"]


def test_a_sound_backup_is_proven_and_says_so(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path)
    assert proof_of(entry) == (None, None)
    result = verified(c, entry)
    assert (result.problems, result.proof, result.files_checked) == ((), "checksums", 1)
    assert proof_of(entry) == (result.verified_at, "checksums")
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{entry.backup_id}.sql",
        f"{entry.backup_id}.sql.manifest.json",
    }
    assert Path(entry.data_path + ".manifest.json").stat().st_mode & 0o777 == 0o600


def test_a_restore_into_a_scratch_database_is_a_proof(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    entry = made(c, tmp_path)
    before = copy.deepcopy(fake.databases)
    result = verified(c, entry, PROFILE)
    assert (result.problems, result.proof, result.tables_compared) == ((), "restored", 2)
    assert proof_of(entry) == (result.verified_at, "restored")
    assert fake.databases == before
    assert fake.open_targets == 0
    assert "drop_database" in fake.calls


def test_lost_rows_are_found_and_the_old_proof_goes(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    entry = made(c, tmp_path)
    verified(c, entry)
    fake.lose_rows = 1
    result = verified(c, entry, PROFILE)
    assert result.differences[0] == TableDifference("public", "users", 2, 1)
    assert "public.users has 1 rows instead of 2" in result.problems
    assert (result.verified_at, proof_of(entry)) == (None, (None, None))
    assert list(fake.databases) == ["erp"]


@pytest.mark.parametrize("error", [ServerError("broken"), ToolError("pg_restore failed")])
def test_a_load_that_fails_is_a_problem_found(
    c: FakeContext, fake: FakeEngine, tmp_path: Path, error: Exception
) -> None:
    def fail() -> None:
        raise error

    entry = made(c, tmp_path)
    fake.fail_at["load table"] = fail
    result = verified(c, entry, PROFILE)
    assert str(error) in result.problems[0]
    assert list(fake.databases) == ["erp"]


def test_a_cancel_drops_the_scratch_database_and_keeps_the_manifest(
    c: FakeContext, fake: FakeEngine, tmp_path: Path
) -> None:
    entry = made(c, tmp_path)
    verified(c, entry)
    before = proof_of(entry)
    cancelled = replace(c, cancellation=Cancellation())
    fake.fail_at["load table"] = lambda: cancelled.cancellation.request("Ctrl-C")
    with pytest.raises(Cancelled):
        verified(cancelled, entry, PROFILE)
    assert list(fake.databases) == ["erp"]
    assert proof_of(entry) == before


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_every_truncation_is_found(c: FakeContext, tmp_path: Path, cut: int) -> None:
    entry = made(c, tmp_path)
    path = Path(entry.data_path)
    path.write_bytes(path.read_bytes()[:cut])
    result = verified(c, entry)
    assert "truncated" in result.problems[0]
    assert result.verified_at is None


def test_a_flipped_bit_is_found(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path)
    path = Path(entry.data_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    assert "SHA-256" in verified(c, entry).problems[0]


def test_a_directory_with_strangers_or_gaps_is_found(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path, BackupFormat.DIRECTORY)
    assert verified(c, entry).problems == ()
    stranger = Path(entry.data_path) / "9999.dat"
    stranger.write_bytes(b"")
    assert "9999.dat is not in the manifest" in verified(c, entry).problems[0]
    stranger.unlink()
    (Path(entry.data_path) / "toc.dat").unlink()
    assert "is gone" in verified(c, entry).problems[0]


def test_a_file_replaced_by_a_link_is_found(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path, BackupFormat.DIRECTORY)
    toc = Path(entry.data_path) / "toc.dat"
    toc.rename(tmp_path / "elsewhere")
    toc.symlink_to(tmp_path / "elsewhere")
    assert "not a regular file" in verified(c, entry).problems[0]


def test_foreign_dumps_are_checked_for_what_they_hold(c: FakeContext, tmp_path: Path) -> None:
    path = tmp_path / "their.sql"
    path.write_text(HEAD + '["public", "t", ["\\\\! rm"]]\n' + TRAILER)
    assert "hostile" in verified(c, find_backup(tmp_path, "their.sql")).problems[0]
    path.write_text(HEAD + '["public", "t", ["1"]]\n')
    assert "cut off" in verified(c, find_backup(tmp_path, "their.sql")).problems[0]


def test_a_target_that_must_not_change_is_refused(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path)
    with pytest.raises(RefusedError, match="read-only"):
        verified(c, entry, replace(PROFILE, read_only=True))
    with pytest.raises(RefusedError, match="same engine"):
        verified(c, entry, replace(PROFILE, engine=EngineName.MYSQL))


# ---------------------------------------------------------------- looking in, deleting, connections


def test_contents_carry_the_manifests_rows(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path)
    contents = drive(collect_contents(c, entry))
    assert [(table.name, table.rows, table.rows_are) for table in contents.tables] == [
        ("users", 2, "exact"),
        ("orders", 3, "exact"),
    ]
    assert contents.database == "erp"
    sample = drive(collect_sample(c, entry, USERS, 1))
    assert (sample.rows, sample.more) == ((("ann",),), True)


@pytest.mark.parametrize("backup_format", [BackupFormat.PLAIN, BackupFormat.DIRECTORY])
def test_deleting_takes_the_backup_and_nothing_else(
    c: FakeContext, tmp_path: Path, backup_format: BackupFormat
) -> None:
    kept = made(c, tmp_path)
    (tmp_path / "their.sql").write_text(HEAD)
    entry = made(c, tmp_path, backup_format)
    assert entry.backup_id in drive(delete_backup(c, entry))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{kept.backup_id}.sql",
        f"{kept.backup_id}.sql.manifest.json",
        "their.sql",
    }
    drive(delete_backup(c, find_backup(tmp_path, "their.sql")))
    assert not (tmp_path / "their.sql").exists()


def test_what_is_not_of_the_dump_is_not_deleted(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path, BackupFormat.DIRECTORY)
    (Path(entry.data_path) / "thesis.odt").write_text("precious")
    with pytest.raises(StorageError, match=r"thesis\.odt, which is not of it"):
        drive(delete_backup(c, entry))
    assert {path.name for path in tmp_path.rglob("*")} == {Path(entry.data_path).name, "thesis.odt"}
    foreign = find_backup(tmp_path, entry.data_path)
    with pytest.raises(RefusedError, match=r"without toc\.dat"):
        drive(delete_backup(c, foreign))
    assert (Path(entry.data_path) / "thesis.odt").exists()


def test_a_foreign_directory_dump_is_deleted_file_by_file(c: FakeContext, tmp_path: Path) -> None:
    dump = tmp_path / "their.dir"
    dump.mkdir()
    for name in ("toc.dat", "3001.dat.gz", "3002.dat", "blobs.toc", "blob_16.dat.zst"):
        (dump / name).write_bytes(b"PGDMP")
    drive(delete_backup(c, find_backup(tmp_path, "their.dir")))
    assert list(tmp_path.iterdir()) == []


def test_a_broken_backup_can_be_deleted(c: FakeContext, tmp_path: Path) -> None:
    entry = made(c, tmp_path)
    Path(entry.data_path + ".manifest.json").write_text("broken")
    drive(delete_backup(c, find_backup(tmp_path, entry.backup_id)))
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_is_a_status(c: FakeContext, fake: FakeEngine) -> None:
    assert drive(collect_status(c, PROFILE)).reachable
    fake.fail_at["open_target"] = unreachable
    status = drive(collect_status(c, PROFILE))
    assert (status.reachable, status.problem) == (False, "connection refused")
