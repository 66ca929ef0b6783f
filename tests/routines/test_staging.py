"""Working on a backup that lies in a remote: what is fetched is gone afterwards, however that ends."""

import fcntl
import os
from pathlib import Path

import pytest

from dbtui.errors import DamagedBackupError, DbtuiError, RefusedError
from dbtui.model.backups import BackupEntry, EntryKind, RestoreOptions
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.routines.backups import verify_backup
from dbtui.routines.backups.remote_find import RemoteBackup, find_remote_backup
from dbtui.routines.backups.staging import (
    apply_restore_far,
    plan_restore_far,
    staging_directory,
    sweep_staging,
    with_fetched,
)
from tests.shipping_lab import Lab, drive, flip, names_in


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path)


@pytest.fixture
def found(lab: Lab) -> RemoteBackup:
    """A backup that lies in the remote."""
    entry = lab.back_up()
    lab.push(entry)
    return drive(find_remote_backup(lab.c, lab.address, entry.backup_id))


def test_a_fetched_backup_is_one_like_any_here_and_gone_afterwards(lab: Lab, found: RemoteBackup) -> None:
    seen: list[BackupEntry] = []

    def look(entry: BackupEntry) -> Routine[None]:
        yield from ()
        seen.append(entry)
        assert Path(entry.data_path).read_bytes() == next(lab.there.glob("*.sqlite")).read_bytes()
        assert Path(entry.directory).stat().st_mode & 0o777 == 0o700

    drive(with_fetched(lab.c, found, lab.root / "room", look))
    assert [(entry.backup_id, entry.kind, entry.remote) for entry in seen] == [
        (found.entry.backup_id, EntryKind.COMPLETE, "")
    ]
    assert list((lab.root / "room").iterdir()) == []


def test_what_fails_there_leaves_nothing(lab: Lab, found: RemoteBackup) -> None:
    def fail(_entry: BackupEntry) -> Routine[None]:
        yield from ()
        raise DbtuiError("it fails")

    with pytest.raises(DbtuiError, match="it fails"):
        drive(with_fetched(lab.c, found, lab.root / "room", fail))
    flip(next(lab.there.glob("*.sqlite")))
    with pytest.raises(DamagedBackupError):
        drive(with_fetched(lab.c, found, lab.root / "room", fail))
    assert list((lab.root / "room").iterdir()) == []


def test_a_proof_of_a_fetched_backup_writes_nothing_into_the_remote(lab: Lab, found: RemoteBackup) -> None:
    before = {path: path.read_bytes() for path in lab.there.iterdir()}
    verified = drive(with_fetched(lab.c, found, lab.root / "room", lambda entry: verify_backup(lab.c, entry, None)))
    assert verified.verified_at is not None
    assert {path: path.read_bytes() for path in lab.there.iterdir()} == before


def test_a_restore_is_planned_without_the_data_and_done_with_it(lab: Lab, found: RemoteBackup) -> None:
    room = lab.root / "room"
    options = RestoreOptions(into="back.db")
    plan = drive(plan_restore_far(lab.c, found, room, lab.profile, options))
    assert not room.exists()
    assert (plan.refusals, plan.steps[0].text.startswith("fetch ")) == ((), True)
    drive(apply_restore_far(lab.c, found, room, lab.profile, plan))
    assert (lab.root / "back.db").exists()
    assert list(room.iterdir()) == []


def test_a_restore_of_what_is_not_whole_is_refused_in_the_plan(lab: Lab, found: RemoteBackup) -> None:
    next(lab.there.glob("*.sqlite")).unlink()
    plan = drive(plan_restore_far(lab.c, found, lab.root / "room", lab.profile, RestoreOptions(into="back.db")))
    assert ["is not there" in refusal for refusal in plan.refusals] == [True]
    with pytest.raises(RefusedError):
        drive(apply_restore_far(lab.c, found, lab.root / "room", lab.profile, plan))
    assert names_in(lab.root / "room") == set() if (lab.root / "room").exists() else True


def test_only_what_dead_runs_left_is_swept(lab: Lab) -> None:
    room = lab.root / "room"
    room.mkdir()
    dead, living, other = room / ".dbtui-pulled-dead", room / ".dbtui-pulled-living", room / ".dbtui-other"
    for path in (dead, living, other):
        path.mkdir()
        (path / "erp.sql.partial").write_text("half")
    holder = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with staging_directory(lab.c, room) as mine:
            assert sweep_staging(room) == ()
            assert set(room.iterdir()) == {living, other, mine}
    finally:
        os.close(holder)
    assert sweep_staging(room) == (living,)


def test_planning_a_proof_or_a_restore_elsewhere_wants_the_same_engine(lab: Lab, found: RemoteBackup) -> None:
    profile = ConnectionProfile(name="pg", engine=lab.profile.engine.POSTGRESQL, url="postgresql://db1/erp")
    plan = drive(plan_restore_far(lab.c, found, lab.root / "room", profile, RestoreOptions()))
    assert ["same engine" in refusal for refusal in plan.refusals] == [True]
