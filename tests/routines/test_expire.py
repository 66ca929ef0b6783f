"""Retention on real files: exactly what was planned goes, looked at again before; locks, kills, forged files."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbtui.analysis.backups.retention_words import describe_result
from dbtui.errors import Cancelled, LockedError, RefusedError, StorageError
from dbtui.model.backups import BackupFormat, DumpOptions, EntryKind, TableName
from dbtui.model.connections import ConnectionProfile
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.model.proofs import PROOFS_SUFFIX
from dbtui.model.retention import DELETING_SUFFIX, PIN_SUFFIX, ExpireResult, RetentionPlan
from dbtui.routines.backups import collect_entries, create_backup, delete_backup, find_backup, plan_proof, verify_backup
from dbtui.routines.backups.expire import ExpireRequest, apply_expire, plan_expire
from dbtui.routines.backups.holding import held_for_reading
from dbtui.routines.backups.pins import pin_backup, read_pin, unpin_backup
from dbtui.routines.backups.store import pending_backup
from dbtui.routines.context import RoutineContext
from tests.backup_histories import DAY, back_up, date_back, ids_in, make_file
from tests.routines.fake_engine import Clock, FakeContext, FakeEngine, drive
from tests.routines.test_create import PROFILE

ROOT = Path(__file__).parents[2]


@dataclass
class Place:
    """A directory with a backup of each of some days, newest first."""

    profile: ConnectionProfile
    directory: Path
    ids: list[str]
    steps: list[tuple[str, str]] = field(default_factory=list)

    def plan(self, profile: ConnectionProfile | None = None, **numbers: Any) -> RetentionPlan:
        """Plan by a policy."""
        policy = RetentionPolicy(**(numbers or {"last": 2}))
        request = ExpireRequest(directories=(self.directory,), policy_of=lambda _backup: policy, profile=profile)
        made: RetentionPlan = drive(plan_expire(RoutineContext(), request))
        return made

    def apply(self, plan: RetentionPlan, c: RoutineContext | None = None) -> ExpireResult:
        """Do a plan."""
        done: ExpireResult = drive(
            apply_expire(c or RoutineContext(), plan, lambda subject, detail: self.steps.append((subject, detail)))
        )
        return done

    def manifest(self, backup_id: str) -> Path:
        """Where a manifest is."""
        return self.directory / f"{backup_id}.sqlite.manifest.json"

    def data(self, backup_id: str) -> Path:
        """Where the data is."""
        return self.directory / f"{backup_id}.sqlite"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    profile = make_file(tmp_path / "app.sqlite")
    directory = tmp_path / "backups"
    newest = back_up(profile, directory)
    return Place(profile, directory, [newest, *date_back(directory, newest, [DAY * each for each in range(1, 6)])])


def test_exactly_what_was_planned_goes(place: Place) -> None:
    """Oldest first, each step told; what is not a backup stays."""
    (place.directory / "notes.txt").write_text("mine")
    (place.directory / "other.sql").write_text("SELECT 1;")
    plan = place.plan(place.profile)
    assert ids_in(place.directory) == set(place.ids)
    done = place.apply(plan)
    assert done.removed == tuple(reversed(place.ids[2:]))
    assert ids_in(place.directory) == set(place.ids[:2])
    assert [subject for subject, _ in place.steps] == ["", *done.removed]
    assert place.ids[5] in place.steps[0][1]
    assert "SHA-256" in place.steps[1][1]
    left = {path.name for path in place.directory.iterdir()}
    kept = {path.name for each in place.ids[:2] for path in (place.data(each), place.manifest(each))}
    assert left == kept | {"notes.txt", "other.sql"}
    assert not place.plan(place.profile).removed


def test_what_came_after_the_plan_stays(place: Place) -> None:
    """Even what the same policy would remove."""
    plan = place.plan()
    (late,) = date_back(place.directory, place.ids[0], [DAY * 9])
    place.apply(plan)
    assert late in ids_in(place.directory)


def test_another_manifest_under_an_id_is_left(place: Place) -> None:
    plan = place.plan()
    manifest = json.loads(place.manifest(place.ids[4]).read_text())
    place.manifest(place.ids[4]).write_text(json.dumps({**manifest, "warnings": ["made anew"]}))
    done = place.apply(plan)
    assert done.skipped == ((place.ids[4], "its manifest has changed since the plan was made"),)
    assert place.ids[4] in ids_in(place.directory)
    assert len(done.removed) == 3


def test_one_that_was_pinned_after_the_plan_is_left(place: Place) -> None:
    plan = place.plan()
    drive(pin_backup(RoutineContext(), find_backup(place.directory, place.ids[5])))
    assert place.apply(plan).skipped == ((place.ids[5], "it was pinned since the plan was made"),)
    assert place.ids[5] in ids_in(place.directory)


def test_one_that_somebody_deleted_meanwhile_is_no_error(place: Place) -> None:
    plan = place.plan()
    drive(delete_backup(RoutineContext(), find_backup(place.directory, place.ids[3])))
    done = place.apply(plan)
    assert done.skipped == ((place.ids[3], "it is not there any more"),)
    assert ids_in(place.directory) == set(place.ids[:2])


def test_nothing_goes_when_those_that_stay_are_gone(place: Place) -> None:
    """The last line of defence: the plan was right, the disk is not as it was."""
    plan = place.plan(last=1)
    place.data(place.ids[0]).write_bytes(b"cut")
    with pytest.raises(RefusedError, match="no good backup of app would be left"):
        place.apply(plan)
    assert ids_in(place.directory) == set(place.ids)


def test_a_cut_backup_counts_for_nothing(place: Place) -> None:
    """Every newer one is cut: the last whole one stays, and so do they, for somebody to look at."""
    for each in place.ids[:3]:
        place.data(each).write_bytes(b"")
    plan = place.plan(last=1)
    done = place.apply(plan)
    assert set(done.removed) == set(place.ids[4:])
    assert place.ids[3] in ids_in(place.directory)
    assert "has 0 bytes, its manifest says" in plan.groups[0].verdicts[0].reasons[0]


def test_one_whose_data_or_manifest_is_broken_is_left_alone(place: Place) -> None:
    place.data(place.ids[0]).unlink()
    place.manifest(place.ids[1]).write_text("{")
    plan = place.plan(last=1)
    assert {each.backup_id: each.kind for each in plan.left_alone} == dict.fromkeys(place.ids[:2], EntryKind.BROKEN)
    place.apply(plan)
    assert place.manifest(place.ids[0]).exists()
    assert place.data(place.ids[1]).exists()
    assert ids_in(place.directory) == {place.ids[1], place.ids[2]}


def test_one_whose_verification_failed_counts_for_nothing(place: Place) -> None:
    manifest = json.loads(place.manifest(place.ids[0]).read_text())
    place.manifest(place.ids[0]).write_text(json.dumps({**manifest, "failed_at": "2026-11-22T15:00:00Z"}))
    plan = place.plan(last=1)
    assert [each.backup_id for each in plan.kept] == place.ids[:2]


def test_a_look_at_checksums_does_not_undo_what_a_restore_proved(place: Place) -> None:
    proven, unequal = place.ids[3], place.ids[1]
    for backup_id in (proven, unequal):
        entry = find_backup(place.directory, backup_id)
        plan = drive(plan_proof(RoutineContext(), entry))
        drive(verify_backup(RoutineContext(), entry, plan))
    path = Path(f"{place.directory}/{unequal}.sqlite{PROOFS_SUFFIX}")
    found = json.loads(path.read_text())
    found["proofs"].insert(0, found["proofs"][0] | {"outcome": "different"})
    found["proofs"].insert(0, found["proofs"][0] | {"outcome": "unproven"})
    path.write_text(json.dumps(found))
    for backup_id in place.ids:
        drive(verify_backup(RoutineContext(), find_backup(place.directory, backup_id), None))

    by_restores = place.plan(last=1, counts=CountedProof.RESTORED)
    verdicts = {each.backup.backup_id: each for each in by_restores.groups[0].verdicts}
    assert verdicts[proven].keeps and any("last" in why for why in verdicts[proven].reasons), verdicts[proven]
    assert {each.backup_id for each in by_restores.removed} == set(place.ids[4:])
    assert verdicts[unequal].backup.problem == "its last restore was not equal to its manifest"


def test_other_targets_are_not_touched(place: Place) -> None:
    """Of a target only what was made from its URL or by its name; without one, each database by itself."""
    elsewhere = {"url": "sqlite:////srv/other/app.sqlite", "profile": "elsewhere"}
    strangers = date_back(place.directory, place.ids[0], [DAY * each for each in (20, 21, 22)], **elsewhere)
    plan = place.plan(place.profile, last=1)
    assert {each.backup_id for each in plan.removed} == set(place.ids[1:])
    assert {each.backup_id for each in plan.left_alone} == set(strangers)
    assert len(place.plan(last=1).groups) == 2
    assert {each.backup_id for each in place.plan(last=1).kept} == {place.ids[0], strangers[0]}


def test_definitions_never_push_out_rows(place: Place) -> None:
    schema = date_back(place.directory, place.ids[0], [DAY / 2, DAY / 3, DAY / 4], schema_only=True)
    plan = place.plan(last=1)
    assert {each.backup_id for each in plan.kept} == {place.ids[0], schema[2]}


# ---------------------------------------------------------------- pins


def test_a_pin_is_a_file_beside_the_data(place: Place) -> None:
    """The manifest stays as it was, byte for byte; a pinned backup is not deleted by hand either."""
    entry = find_backup(place.directory, place.ids[5])
    before = place.manifest(place.ids[5]).read_bytes()
    assert drive(pin_backup(RoutineContext(), entry, "before the migration")) is True
    assert drive(pin_backup(RoutineContext(), entry)) is False
    assert place.manifest(place.ids[5]).read_bytes() == before
    pin = Path(entry.data_path + PIN_SUFFIX)
    assert pin.stat().st_mode & 0o777 == 0o600
    found = read_pin(entry)
    assert found is not None
    assert found.reason == "before the migration"
    (listed,) = (each for each in drive(collect_entries(RoutineContext(), place.directory)) if each.is_pinned)
    assert listed.backup_id == place.ids[5]
    with pytest.raises(RefusedError, match=r"is pinned by .*before the migration"):
        drive(delete_backup(RoutineContext(), entry))
    place.apply(place.plan())
    assert ids_in(place.directory) == {*place.ids[:2], place.ids[5]}
    assert drive(unpin_backup(RoutineContext(), entry)) is True
    assert drive(unpin_backup(RoutineContext(), entry)) is False
    place.apply(place.plan())
    assert ids_in(place.directory) == set(place.ids[:2])


def test_a_pin_that_cannot_be_read_is_a_pin(place: Place) -> None:
    entry = find_backup(place.directory, place.ids[5])
    Path(entry.data_path + PIN_SUFFIX).write_bytes(b"\xff")
    with pytest.raises(RefusedError, match="is pinned"):
        drive(delete_backup(RoutineContext(), entry))
    assert place.ids[5] not in {each.backup_id for each in place.plan().removed}


def test_a_broken_backup_cannot_be_pinned(place: Place) -> None:
    place.data(place.ids[5]).unlink()
    with pytest.raises(RefusedError, match="is no whole backup"):
        drive(pin_backup(RoutineContext(), find_backup(place.directory, place.ids[5])))


# ---------------------------------------------------------------- who else is at work


def test_it_waits_for_nobody_while_a_backup_is_made(place: Place) -> None:
    plan = place.plan()
    backup_id = f"app-{datetime.now(UTC) + DAY:%Y%m%dT%H%M%SZ}"
    with (
        pending_backup(place.directory, backup_id, ".sqlite", lambda: backup_id),
        pytest.raises(LockedError, match=f"{backup_id} is being made"),
    ):
        place.apply(plan)
    assert ids_in(place.directory) == set(place.ids)
    place.apply(plan)


def test_a_backup_that_is_being_restored_stays(place: Place) -> None:
    """Nothing at all is removed then."""
    plan = place.plan()
    with held_for_reading(place.manifest(place.ids[4])), pytest.raises(LockedError, match="is held by a restore"):
        place.apply(plan)
    assert ids_in(place.directory) == set(place.ids)
    with held_for_reading(place.manifest(place.ids[0])):  # one that stays anyway
        place.apply(plan)
    assert ids_in(place.directory) == set(place.ids[:2])


def test_two_at_once_exclude_each_other(place: Place) -> None:
    plan = place.plan()
    descriptor = os.open(place.directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="another dbtui backup expire"):
            place.apply(plan)
    finally:
        os.close(descriptor)
    place.apply(plan)


# ---------------------------------------------------------------- ended half-way


def test_cancelled_half_way_a_new_plan_goes_on(place: Place) -> None:
    plan = place.plan()
    c = RoutineContext()
    doing = apply_expire(c, plan, lambda subject, _detail: c.cancellation.request("operator") if subject else None)
    with pytest.raises(Cancelled):
        drive(doing)
    assert ids_in(place.directory) == set(place.ids[:5])
    again = place.plan()
    assert {each.backup_id for each in again.removed} == set(place.ids[2:5])
    place.apply(again)
    assert ids_in(place.directory) == set(place.ids[:2])


VICTIM = """
import sys
from pathlib import Path
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.model.proofs import PROOFS_SUFFIX
from dbtui.routines.backups import delete
from dbtui.routines.backups.expire import ExpireRequest, apply_expire, plan_expire
from dbtui.routines.context import RoutineContext
from tests.routines.fake_engine import drive

directory, where = Path(sys.argv[1]), sys.argv[2]
remove_path = delete.remove_path
done = []

def stop():
    print("reached", flush=True)
    sys.stdin.read()

def removing(path):
    if where == "before the data" and path.suffix == ".sqlite" and len(done) == 1:
        stop()
    remove_path(path)
    if where == "after the data" and path.suffix == ".sqlite" and len(done) == 1:
        stop()

delete.remove_path = removing
request = ExpireRequest(directories=(directory,), policy_of=lambda _backup: RetentionPolicy(last=2))
plan = drive(plan_expire(RoutineContext(), request))
drive(apply_expire(RoutineContext(), plan, lambda subject, _detail: done.append(subject) if subject else None))
"""


@pytest.fixture
def kill_at(place: Place) -> Callable[[str], None]:
    """Expire in another process and kill it in the midst of the second deletion."""

    def run(where: str) -> None:
        with subprocess.Popen([sys.executable, "-c", VICTIM, str(place.directory), where], cwd=ROOT,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:  # fmt: skip
            assert victim.stdout is not None
            assert victim.stdout.readline() == "reached\n"
            assert not place.plan().leftovers  # somebody is still at it
            victim.send_signal(signal.SIGKILL)

    return run


@pytest.mark.parametrize("where", ["before the data", "after the data"])
def test_killed_half_way_the_next_run_finishes(
    place: Place, kill_at: Callable[[str], None], where: str
) -> None:  # fmt: skip
    """What had begun to go is no backup any more, is said to be half deleted, and is finished; no byte is left."""
    kill_at(where)
    mark = place.data(place.ids[4] + ".sqlite").with_name(f"{place.ids[4]}.sqlite{DELETING_SUFFIX}")
    assert mark.exists()
    rows = drive(collect_entries(RoutineContext(), place.directory))
    half = [each for each in rows if each.kind is EntryKind.FOREIGN]
    assert [each.problem.partition(":")[0] for each in half] == (
        ["it was being deleted when that run ended"] if where == "before the data" else []
    )
    plan = place.plan()
    assert plan.leftovers == (str(mark),)
    done = place.apply(plan)
    assert done.finished == (f"{place.ids[4]}.sqlite",)
    assert {path.name for path in place.directory.iterdir()} == {
        path.name for each in place.ids[:2] for path in (place.data(each), place.manifest(each))
    }


def test_a_dump_in_a_directory_goes_file_by_file_and_is_finished(tmp_path: Path) -> None:
    """Half of its files are gone already, and a stranger lies among them: that stays, and is named."""
    fake = FakeEngine(databases={"erp": {TableName("public", "users"): ["ann"], TableName("public", "orders"): ["1"]}})
    options = DumpOptions(format=BackupFormat.DIRECTORY)
    made = [
        drive(create_backup(FakeContext(fake=fake, now=Clock(1 + hour * 3600)), PROFILE, tmp_path, options))
        for hour in range(3)
    ]
    oldest, middle, newest = (Path(each.data_path) for each in made)
    manifest = Path(made[0].manifest_path)
    manifest.rename(oldest.with_name(oldest.name + DELETING_SUFFIX))
    next(path for path in sorted(oldest.iterdir())).unlink()
    (middle / "notes.txt").write_text("mine")
    c = FakeContext(fake=fake, now=Clock(86400))
    request = ExpireRequest(directories=(tmp_path,), policy_of=lambda _backup: RetentionPolicy(last=1))
    done = drive(apply_expire(c, drive(plan_expire(c, request)), lambda _subject, _detail: None))
    assert done.finished == (oldest.name,)
    assert not oldest.exists()
    assert "also holds notes.txt" in done.remains[0][1]
    assert done.skipped == () and "not wholly gone" in describe_result(done) and "stays" not in describe_result(done)
    assert {path.name for path in tmp_path.iterdir()} == {middle.name, newest.name, f"{newest.name}.manifest.json"}
    assert [path.name for path in middle.iterdir()] == ["notes.txt"]


def test_a_forged_mark_of_a_deletion_removes_nothing(place: Place) -> None:
    """A mark that names a living backup, or files elsewhere."""
    forged = place.directory / f"{place.ids[0]}.sqlite{DELETING_SUFFIX}"
    forged.write_bytes(place.manifest(place.ids[0]).read_bytes())
    outside = json.loads(place.manifest(place.ids[0]).read_text())
    outside["files"][0]["path"] = "../app.sqlite"
    (place.directory / f"app{DELETING_SUFFIX}").write_text(json.dumps(outside))
    done = place.apply(place.plan())
    assert done.finished == ()
    assert place.ids[0] in ids_in(place.directory)
    assert Path(place.profile.database).exists()


def test_a_directory_that_others_may_write_to_is_refused(place: Place) -> None:
    """Somebody could put a forged backup there to push out a real one."""
    plan = place.plan()
    place.directory.chmod(0o777)
    with pytest.raises(StorageError, match="can be written by other users"):
        place.apply(plan)
    assert ids_in(place.directory) == set(place.ids)


def test_a_refused_plan_is_not_done(place: Place) -> None:
    date_back(place.directory, place.ids[0], [-DAY])
    plan = place.plan()
    with pytest.raises(RefusedError, match="after now"):
        place.apply(plan)
    assert set(place.ids) <= ids_in(place.directory)
    assert replace(plan).is_refused
