"""Restoring: nothing that existed is touched until the last step, and nothing stays when a step fails."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.errors import Cancelled, DamagedBackupError, MismatchError, RefusedError, ServerError
from dbtui.model.backups import (
    BackupEntry,
    CreateResult,
    DumpOptions,
    RestoreOptions,
    RestorePlan,
    RestoreResult,
    TableName,
)
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Progressed
from dbtui.routines.backups import apply_restore, create_backup, find_backup, plan_restore
from tests.routines.fake_engine import HEAD, TRAILER, Clock, FakeContext, FakeEngine, drive, drive_until

PROFILE = ConnectionProfile(
    name="erp", engine=EngineName.POSTGRESQL, url="postgresql://dba@db1:5432/erp", database="erp"
)
USERS, ORDERS = TableName("public", "users"), TableName("public", "orders")
NOT_SWAPPED = ("create_database", "load", "load table", "count_rows", "swap_database")


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine(databases={"erp": {USERS: ["ann", "bob"], ORDERS: ["1", "2", "3"]}})


@pytest.fixture
def c(fake: FakeEngine) -> FakeContext:
    return FakeContext(fake=fake, now=Clock(1))


@pytest.fixture
def entry(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> BackupEntry:
    """A backup of erp, to which a row was added since."""
    result: CreateResult = drive(create_backup(c, PROFILE, tmp_path, DumpOptions()))
    fake.databases["erp"][USERS].append("eve")
    fake.calls.clear()
    return find_backup(tmp_path, result.manifest.backup_id)


def planned(c: FakeContext, entry: BackupEntry, **options: Any) -> RestorePlan:
    plan: RestorePlan = drive(plan_restore(c, entry, PROFILE, RestoreOptions(**options)))
    return plan


def restored(c: FakeContext, entry: BackupEntry, **options: Any) -> RestoreResult:
    result: RestoreResult = drive(apply_restore(c, PROFILE, planned(c, entry, **options)))
    return result


def test_into_a_new_database_by_default(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    live = copy.deepcopy(fake.databases["erp"])
    result = restored(c, entry)
    assert (result.database, result.tables, result.rows, result.kept_as) == ("erp_restored", 2, 5, "")
    assert fake.databases == {"erp": live, "erp_restored": {USERS: ["ann", "bob"], ORDERS: ["1", "2", "3"]}}
    assert fake.open_targets == 0


def test_planning_changes_nothing(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    before = copy.deepcopy(fake.databases)
    plan = planned(c, entry, replace=True)
    assert (plan.final_database, plan.confirm_name) == ("erp", "erp")
    assert fake.databases == before


def test_replacing_keeps_the_old_one_under_a_dated_name(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    live = copy.deepcopy(fake.databases["erp"])
    result = restored(c, entry, replace=True)
    assert result.database == "erp"
    assert result.kept_as.startswith("erp_kept_2026")
    assert result.kept_as in result.undo
    assert fake.databases == {"erp": {USERS: ["ann", "bob"], ORDERS: ["1", "2", "3"]}, result.kept_as: live}
    assert result.swap_seconds is not None


def test_an_absent_database_is_made_again(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    del fake.databases["erp"]
    assert restored(c, entry).database == "erp"
    assert list(fake.databases) == ["erp"]


def test_into_an_existing_one_is_refused_without_replace(c: FakeContext, entry: BackupEntry) -> None:
    with pytest.raises(RefusedError, match="--replace"):
        restored(c, entry, into="erp")


def test_chosen_tables_alone(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    result = restored(c, entry, tables=("users",))
    assert (result.tables, result.rows) == (1, 2)
    assert fake.databases["erp_restored"] == {USERS: ["ann", "bob"]}


def test_a_backup_of_another_engine_is_a_refusal(c: FakeContext, entry: BackupEntry) -> None:
    other = ConnectionProfile(name="shop", engine=EngineName.MYSQL, url="mysql://db2/shop", database="shop")
    plan = drive(plan_restore(c, entry, other, RestoreOptions()))
    assert "is a backup of postgresql and shop is mysql" in plan.refusals[0]
    with pytest.raises(RefusedError):
        drive(apply_restore(c, other, plan))


# ---------------------------------------------------------------- damage


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"-- more\n")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "calls"),
    [(_append, []), (_truncate, []), (Path.unlink, []), (_flip, ["check_archive"])],  # the check asks no server
    ids=["append", "truncate", "unlink", "flip"],
)
def test_an_altered_backup_is_refused_before_the_first_statement(
    c: FakeContext, fake: FakeEngine, entry: BackupEntry, damage: Callable[[Path], None], calls: list[str]
) -> None:
    plan = planned(c, entry)
    before = copy.deepcopy(fake.databases)
    fake.calls.clear()
    damage(Path(entry.data_path))
    with pytest.raises(DamagedBackupError, match="is not restored"):
        drive(apply_restore(c, PROFILE, plan))
    assert fake.databases == before
    assert fake.calls == calls


def test_a_foreign_dump_is_read_before_it_is_run(c: FakeContext, fake: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "their.sql"
    path.write_text(HEAD + '["public", "t", ["\\\\! rm"]]\n' + TRAILER)
    entry = find_backup(tmp_path, str(path))
    with pytest.raises(DamagedBackupError, match="hostile"):
        restored(c, entry)
    assert list(fake.databases) == ["erp"]
    path.write_text(HEAD + '["public", "t", ["1"]]\n' + TRAILER)
    assert restored(c, entry).rows == 1


def test_lost_rows_end_the_restore(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    before = copy.deepcopy(fake.databases)
    fake.lose_rows = 1
    with pytest.raises(MismatchError, match=r"public\.users has 1 rows instead of 2"):
        restored(c, entry, replace=True)
    assert fake.databases == before


# ---------------------------------------------------------------- failures on the way


@pytest.mark.parametrize("step", NOT_SWAPPED)
@pytest.mark.parametrize("options", [{}, {"replace": True}])
def test_a_failure_at_any_step_leaves_what_was(
    c: FakeContext, fake: FakeEngine, entry: BackupEntry, step: str, options: dict[str, Any]
) -> None:
    if step == "swap_database" and not options:
        options = {"into": "erp", "replace": True}
    before = copy.deepcopy(fake.databases)

    def fail() -> None:
        raise ServerError("the server went away")

    fake.fail_at[step] = fail
    with pytest.raises(ServerError, match="went away"):
        restored(c, entry, **options)
    assert fake.databases == before
    assert fake.open_targets == 0


@pytest.mark.parametrize("step", ["create_database", "load table", "count_rows"])
def test_a_cancel_at_any_step_leaves_what_was(c: FakeContext, fake: FakeEngine, entry: BackupEntry, step: str) -> None:
    before = copy.deepcopy(fake.databases)
    plan = planned(c, entry, replace=True)
    cancelled = replace(c, cancellation=Cancellation())
    fake.fail_at[step] = lambda: cancelled.cancellation.request("Ctrl-C")
    with pytest.raises(Cancelled):
        drive(apply_restore(cancelled, PROFILE, plan))
    assert fake.databases == before
    assert fake.open_targets == 0


def test_closing_the_routine_drops_the_new_database(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    plan = planned(c, entry)
    routine = apply_restore(c, PROFILE, plan)
    drive_until(routine, lambda event: isinstance(event, Progressed) and event.unit == "tables")
    assert list(fake.databases) == ["erp"]


def test_a_database_made_by_somebody_else_meanwhile_is_not_dropped(
    c: FakeContext, fake: FakeEngine, entry: BackupEntry
) -> None:
    plan = planned(c, entry)
    fake.databases["erp_restored"] = {USERS: ["theirs"]}
    with pytest.raises(RefusedError, match="exists already"):
        drive(apply_restore(c, PROFILE, plan))
    assert fake.databases["erp_restored"] == {USERS: ["theirs"]}


def test_losing_the_race_for_the_name_drops_nothing(
    c: FakeContext, fake: FakeEngine, entry: BackupEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(c, entry)
    real = fake.create_database

    def raced(*words: Any) -> None:
        fake.databases["erp_restored"] = {USERS: ["theirs"]}
        real(*words)

    monkeypatch.setattr(fake, "create_database", raced)
    with pytest.raises(ServerError, match="exists"):
        drive(apply_restore(c, PROFILE, plan))
    assert fake.databases["erp_restored"] == {USERS: ["theirs"]}


def test_an_empty_destination_filled_meanwhile_is_not_replaced(
    c: FakeContext, fake: FakeEngine, entry: BackupEntry
) -> None:
    fake.databases["erp"].clear()
    plan = planned(c, entry)
    assert plan.confirm_name == ""
    fake.databases["erp"][USERS] = ["new"]
    with pytest.raises(RefusedError, match="was empty when this was planned"):
        drive(apply_restore(c, PROFILE, plan))
    assert fake.databases == {"erp": {USERS: ["new"]}}


def test_a_database_that_cannot_be_dropped_is_named(c: FakeContext, fake: FakeEngine, entry: BackupEntry) -> None:
    def fail() -> None:
        raise ServerError("gone")

    fake.fail_at |= {"load": fail, "drop_database": fail}
    with pytest.raises(ServerError, match="erp_restored could not be dropped"):
        restored(c, entry)
