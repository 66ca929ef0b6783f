"""Sending backups: nothing counts before the manifest is there, and nothing is ever written over another backup."""

from pathlib import Path

import pytest

from dbtui.errors import DamagedBackupError, LockedError, RefusedError
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.events import Progressed
from dbtui.routines.backups import delete_backup, find_backup
from dbtui.routines.backups.push import apply_push
from dbtui.routines.backups.remote_catalogue import collect_remote_entries
from tests.shipping_lab import Lab, as_directory, drive, flip, manifest_of, names_in, rewrite


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path)


def listed(lab: Lab) -> list[tuple[str, EntryKind]]:
    history = drive(collect_remote_entries(lab.c, lab.address))
    return [(entry.backup_id, entry.kind) for entry in history.entries]


def test_a_copy_has_the_same_names_and_the_same_bytes(lab: Lab) -> None:
    entry = lab.back_up()
    done = lab.push(entry)
    assert (done.was_there, done.moved_files, done.confirmation) == (False, 1, "read back")
    assert done.path == f"{lab.address}/{Path(entry.data_path).name}"
    assert names_in(lab.there) == names_in(lab.here)
    for name in names_in(lab.here):
        assert (lab.there / name).read_bytes() == (lab.here / name).read_bytes()


def test_what_is_there_is_not_sent_again(lab: Lab) -> None:
    entry = lab.back_up()
    lab.push(entry)
    before = {path: path.stat().st_mtime_ns for path in lab.there.iterdir()}
    plan = lab.plan_push(entry)
    assert (plan.is_done, plan.missing, plan.steps) == (True, (), ())
    done = lab.push(entry)
    assert (done.was_there, done.moved_bytes) == (True, 0)
    assert {path: path.stat().st_mtime_ns for path in lab.there.iterdir()} == before


def test_a_proof_written_later_makes_it_no_other_backup(lab: Lab) -> None:
    entry = lab.back_up()
    lab.push(entry)
    rewrite(manifest_of(entry), lambda manifest: manifest.update(verified_at="2026-11-23T10:00:00Z", proof="checksums"))
    assert lab.push(entry).was_there


def test_a_plan_changes_nothing(lab: Lab) -> None:
    plan = lab.plan_push(lab.back_up())
    assert plan.missing_bytes == plan.size_bytes > 0
    assert names_in(lab.there) == set()


def test_a_directory_of_files_is_sent_whole(lab: Lab) -> None:
    entry = as_directory(lab, lab.back_up())
    done = lab.push(entry)
    assert (done.moved_files, done.files) == (12, 12)
    assert names_in(lab.there) == names_in(lab.here)
    (lab.there / "erp-20261101T000000Z.dir" / "3.dat").unlink()
    again = lab.push(entry)
    assert (again.was_there, again.moved_files) == (False, 1)
    assert names_in(lab.there) == names_in(lab.here)


# ---------------------------------------------------------------- what is not shipped


def test_an_altered_file_is_not_shipped_and_nothing_of_it_stays(lab: Lab) -> None:
    entry = lab.back_up()
    flip(Path(entry.data_path))
    with pytest.raises(DamagedBackupError, match="altered"):
        lab.push(entry)
    assert names_in(lab.there) == set()


def test_one_altered_file_of_many_takes_the_others_with_it(lab: Lab) -> None:
    entry = as_directory(lab, lab.back_up())
    flip(Path(entry.data_path) / "9.dat", 3)
    with pytest.raises(DamagedBackupError, match=r"9\.dat was altered"):
        lab.push(entry)
    assert names_in(lab.there) == set()


def test_a_shortened_file_is_refused_before_anything_is_asked(lab: Lab) -> None:
    entry = lab.back_up()
    Path(entry.data_path).write_bytes(b"short")
    lab.there.rmdir()  # nobody looks there
    with pytest.raises(DamagedBackupError, match="has 5 bytes"):
        lab.plan_push(entry)


def test_foreign_and_broken_backups_are_not_pushed(lab: Lab) -> None:
    entry = lab.back_up()
    (lab.here / "stranger.sql").write_text("SELECT 1;\n")
    with pytest.raises(RefusedError, match="no manifest"):
        lab.plan_push(find_backup(lab.here, "stranger.sql"))
    Path(entry.data_path).unlink()
    with pytest.raises(DamagedBackupError, match="is gone"):
        lab.plan_push(find_backup(lab.here, entry.backup_id))


# ---------------------------------------------------------------- pushes that died


def test_a_push_that_ended_before_the_manifest_is_no_backup_and_is_completed(lab: Lab) -> None:
    entry = lab.back_up()
    pushing = apply_push(lab.c, lab.plan_push(entry))
    for event in pushing:
        if isinstance(event, Progressed) and event.done == event.total:
            break
    while not (lab.there / Path(entry.data_path).name).exists():
        next(pushing)
    pushing.close()
    assert listed(lab) == []
    history = drive(collect_remote_entries(lab.c, lab.address))
    assert ["pushes that have not ended" in remark for remark in history.remarks] == [True]
    plan = lab.plan_push(entry)
    assert (plan.missing, plan.is_done) == ((), False)  # the mark vouches for the data
    done = lab.push(entry)
    assert (done.moved_bytes, done.was_there) == (0, False)
    assert listed(lab) == [(entry.backup_id, EntryKind.COMPLETE)]
    assert names_in(lab.there) == names_in(lab.here)


def test_data_that_nobody_vouches_for_is_sent_anew(lab: Lab) -> None:
    entry = lab.back_up()
    size = Path(entry.data_path).stat().st_size
    (lab.there / Path(entry.data_path).name).write_bytes(b"\0" * size)
    assert lab.push(entry).moved_bytes == size
    assert (lab.there / Path(entry.data_path).name).read_bytes() == Path(entry.data_path).read_bytes()


def test_data_that_went_after_the_plan_is_sent_all_the_same(lab: Lab) -> None:
    entry = lab.back_up()
    lab.push(entry)
    plan = lab.plan_push(entry)
    assert plan.is_done
    (lab.there / Path(entry.data_path).name).unlink()
    done = drive(apply_push(lab.c, plan))
    assert (done.was_there, done.moved_files) == (False, 1)
    assert listed(lab) == [(entry.backup_id, EntryKind.COMPLETE)]


# ---------------------------------------------------------------- others


def test_another_backup_of_that_name_is_never_written_over(lab: Lab, tmp_path: Path) -> None:
    entry = lab.back_up()
    lab.push(entry)
    before = {path: path.read_bytes() for path in lab.there.iterdir()}
    other = other_machine(lab, tmp_path, entry)
    plan = Lab.plan_push(lab, other)
    assert ["is another backup" in refusal for refusal in plan.refusals] == [True]
    assert "sqlite:///" in plan.refusals[0]  # where that one was made
    with pytest.raises(RefusedError, match="nothing is written over it"):
        lab.push(other)
    assert {path: path.read_bytes() for path in lab.there.iterdir()} == before


def other_machine(lab: Lab, tmp_path: Path, entry: BackupEntry) -> BackupEntry:
    """A backup with the same id and other contents."""
    (tmp_path / "other").mkdir()
    other = Lab.make(tmp_path / "other", rows=99)
    other.address = lab.address
    made = other.back_up()
    for suffix in (".sqlite", ".sqlite.manifest.json"):
        (other.here / f"{made.backup_id}{suffix}").rename(other.here / f"{entry.backup_id}{suffix}")
    path = other.here / f"{entry.backup_id}.sqlite.manifest.json"
    rewrite(path, lambda manifest: manifest["files"][0].update(path=f"{entry.backup_id}.sqlite"))
    return find_backup(other.here, entry.backup_id)


def test_who_pushes_another_backup_of_that_name_meanwhile_is_refused(lab: Lab, tmp_path: Path) -> None:
    entry = lab.back_up()
    pushing = apply_push(lab.c, lab.plan_push(entry))
    while not any(name.endswith(".pushing.json") for name in names_in(lab.there)):
        next(pushing)
    other = other_machine(lab, tmp_path, entry)
    assert ["is being pushed" in refusal for refusal in lab.plan_push(other).refusals] == [True]
    with pytest.raises(RefusedError, match="is being pushed"):
        lab.push(other)
    for _event in pushing:
        pass
    assert (lab.there / f"{entry.backup_id}.sqlite").read_bytes() == Path(entry.data_path).read_bytes()
    assert names_in(lab.there) == names_in(lab.here)


def test_nothing_is_sent_to_where_it_is_being_deleted(lab: Lab) -> None:
    entry = lab.back_up()
    lab.push(entry)
    manifest = next(lab.there.glob("*.manifest.json"))
    (lab.there / manifest.name.replace(".manifest.", ".deleting.")).write_bytes(manifest.read_bytes())
    for _ in range(2):  # before and after the manifest has gone
        assert ["is being deleted" in refusal for refusal in lab.plan_push(entry).refusals] == [True]
        with pytest.raises(RefusedError, match="finishes that"):
            lab.push(entry)
        manifest.unlink(missing_ok=True)


def test_a_copy_that_is_deleted_while_it_is_mended_gets_no_manifest_back(lab: Lab) -> None:
    entry = lab.back_up()
    lab.push(entry)
    (lab.there / Path(entry.data_path).name).unlink()
    pushing = apply_push(lab.c, lab.plan_push(entry))
    next(pushing)
    next(lab.there.glob("*.manifest.json")).unlink()
    with pytest.raises(RefusedError, match="was deleted"):
        drive(pushing)
    assert listed(lab) == []


def test_a_copy_that_somebody_completed_meanwhile_is_not_removed_with_what_is_altered_here(lab: Lab) -> None:
    entry = as_directory(lab, lab.back_up())
    whole = {path.relative_to(lab.here): path.read_bytes() for path in lab.here.rglob("*") if path.is_file()}
    flip(Path(entry.data_path) / "9.dat", 3)
    pushing = apply_push(lab.c, lab.plan_push(entry))
    for event in pushing:
        if isinstance(event, Progressed):
            break
    for name, data in whole.items():  # from another machine, where it is whole
        (lab.there / name).parent.mkdir(exist_ok=True)
        (lab.there / name).write_bytes(data)
    with pytest.raises(DamagedBackupError, match="altered"):
        drive(pushing)
    assert listed(lab) == [(entry.backup_id, EntryKind.COMPLETE)]


def test_nobody_deletes_a_backup_while_it_is_pushed(lab: Lab) -> None:
    entry = lab.back_up()
    pushing = apply_push(lab.c, lab.plan_push(entry))
    next(pushing)
    with pytest.raises(LockedError):
        drive(delete_backup(lab.c, entry))
    for _event in pushing:
        pass
    drive(delete_backup(lab.c, entry))
    assert listed(lab) == [(entry.backup_id, EntryKind.COMPLETE)]
