"""Fetching backups: a manifest in a remote is not believed, and whatever goes wrong leaves nothing here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.errors import Cancelled, DamagedBackupError, DbtuiError, RefusedError, UsageError
from dbtui.model.backups import EntryKind
from dbtui.model.connections import EngineName
from dbtui.model.events import Progressed
from dbtui.model.shipping import BackupOrigin, PullPlan
from dbtui.routines.backups import collect_entries, find_backup, pull
from dbtui.routines.backups.pull import apply_pull, plan_pull
from dbtui.routines.backups.stored import public_url
from dbtui.routines.context import RoutineContext
from tests.shipping_lab import Lab, drive, flip, names_in, rewrite

SHA = "0" * 64


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path)


@pytest.fixture
def pushed(lab: Lab) -> str:
    """The id of a backup that lies in the remote."""
    entry = lab.back_up()
    lab.push(entry)
    return entry.backup_id


def data_there(lab: Lab) -> Path:
    return next(lab.there.glob("*.sqlite"))


def manifest_there(lab: Lab) -> Path:
    return next(lab.there.glob("*.manifest.json"))


def test_what_comes_is_what_was_sent(lab: Lab, pushed: str) -> None:
    done = lab.pull(pushed)
    fetched = lab.root / "fetched"
    assert (done.was_there, done.moved_bytes) == (False, data_there(lab).stat().st_size)
    assert names_in(fetched) == names_in(lab.there)
    for name in names_in(fetched):
        assert (fetched / name).read_bytes() == (lab.there / name).read_bytes()
        assert (fetched / name).stat().st_mode & 0o777 == 0o600
    assert fetched.stat().st_mode & 0o777 == 0o700
    (entry,) = drive(collect_entries(lab.c, fetched))
    assert (entry.backup_id, entry.kind) == (pushed, EntryKind.COMPLETE)


def test_a_backup_is_found_by_its_id_its_beginning_its_name_or_as_the_latest(lab: Lab, pushed: str) -> None:
    for reference in (pushed, pushed[:9], f"{pushed}.sqlite", f"{pushed}.sqlite.manifest.json", "latest"):
        assert lab.plan_pull(reference).backup_id == pushed
    with pytest.raises(UsageError, match="there is no backup"):
        lab.plan_pull("shop-2026")
    with pytest.raises(UsageError, match="no whole backup of shop"):
        plan_latest(lab, BackupOrigin("shop", EngineName.SQLITE, ""))


def test_the_latest_of_a_database_is_not_that_of_its_namesake_elsewhere(lab: Lab, pushed: str) -> None:
    url = public_url(lab.profile)
    for origin in (BackupOrigin("erp", EngineName.SQLITE, url), BackupOrigin("erp", EngineName.SQLITE, "", "erp")):
        assert plan_latest(lab, origin).backup_id == pushed
    with pytest.raises(UsageError, match=f"{pushed} is of {url}: if you mean it, name it"):
        plan_latest(lab, BackupOrigin("erp", EngineName.SQLITE, "sqlite:////elsewhere/erp.db", "other"))
    with pytest.raises(UsageError, match="no whole backup of erp"):
        plan_latest(lab, BackupOrigin("erp", EngineName.POSTGRESQL, url))


def plan_latest(lab: Lab, origin: BackupOrigin) -> PullPlan:
    return drive(plan_pull(lab.c, lab.address, "latest", lambda _manifest: lab.here, origin))


def test_a_second_pull_finds_it_here(lab: Lab, pushed: str) -> None:
    lab.pull(pushed)
    assert lab.pull(pushed).was_there
    assert lab.plan_pull(pushed, "backups").is_done


def test_a_plan_writes_nothing(lab: Lab, pushed: str) -> None:
    assert lab.plan_pull(pushed).missing_bytes > 0
    assert not (lab.root / "fetched").exists()


def test_another_backup_of_that_name_here_stays(lab: Lab, pushed: str) -> None:
    lab.pull(pushed)
    here = lab.root / "fetched" / f"{pushed}.sqlite.manifest.json"
    rewrite(here, lambda manifest: manifest["files"][0].update(sha256=SHA))
    before = {path: path.read_bytes() for path in here.parent.iterdir()}
    with pytest.raises(RefusedError, match="another backup called"):
        lab.pull(pushed)
    here.unlink()
    with pytest.raises(RefusedError, match="without a manifest"):
        lab.pull(pushed)
    del before[here]
    assert {path: path.read_bytes() for path in here.parent.iterdir()} == before


# ---------------------------------------------------------------- what is wrong there


def test_a_flipped_bit_is_refused_and_nothing_stays(lab: Lab, pushed: str) -> None:
    flip(data_there(lab))
    with pytest.raises(DamagedBackupError, match="SHA-256"):
        lab.pull(pushed)
    assert names_in(lab.root / "fetched") == set()


def test_data_that_is_gone_or_short_is_refused_before_anything_is_fetched(lab: Lab, pushed: str) -> None:
    data = data_there(lab)
    data.write_bytes(data.read_bytes()[:-1])
    assert ["the manifest says" in refusal for refusal in lab.plan_pull(pushed).refusals] == [True]
    data.unlink()
    with pytest.raises(RefusedError, match="is not there"):
        lab.pull(pushed)
    assert not (lab.root / "fetched").exists()


def test_no_room_is_told_before(lab: Lab, pushed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "free_bytes", lambda _directory: 1000)
    with pytest.raises(RefusedError, match=r"1\.0 kB are free"):
        lab.pull(pushed)
    assert not (lab.root / "fetched").exists()


def test_a_cancelled_pull_leaves_nothing(lab: Lab, pushed: str) -> None:
    cancellation = Cancellation()
    c = RoutineContext(cancellation=cancellation)
    pulling = apply_pull(c, lab.plan_pull(pushed))
    with pytest.raises(Cancelled):
        for event in pulling:
            if isinstance(event, Progressed):
                cancellation.request("the test")
    assert names_in(lab.root / "fetched") == set()


def test_what_a_killed_pull_left_is_in_nobody_s_way(lab: Lab, pushed: str) -> None:
    fetched = lab.root / "fetched"
    fetched.mkdir(mode=0o700)
    (fetched / f"{pushed}.sqlite.partial").write_bytes(b"half")
    (fetched / f"{pushed}.manifest.json.partial").write_bytes(b"")
    assert not lab.pull(pushed).was_there
    assert names_in(fetched) == names_in(lab.there)


# ---------------------------------------------------------------- manifests that somebody forged


def path_of(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["files"][0].update(path=text)


def with_file(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["files"][0].update(fields)


def second_file(path: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        manifest["files"].append({**manifest["files"][0], "path": path.format(**manifest)})

    return change


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "traversal": path_of("../../../outside.sqlite"),
    "absolute": path_of("/tmp/outside.sqlite"),
    "home": path_of("~/outside.sqlite"),
    "dots": path_of("erp-20261101T000000Z.sqlite/../x"),
    "empty part": path_of("erp-20261101T000000Z.sqlite//x"),
    "null byte": path_of("erp-20261101T000000Z.sqlite\0"),
    "another backup": path_of("erp-20251101T000000Z.sqlite"),
    "a configuration": path_of(".bashrc"),
    "an option": path_of("-rf"),
    "nested": path_of("erp-20261101T000000Z.sqlite/data"),
    "two names": second_file("cron.daily"),
    "below a file": second_file("{backup_id}.sqlite/more"),
    "the same twice": second_file("{backup_id}.sqlite"),
    "a manifest of its own": second_file("{backup_id}.sqlite.manifest.json"),
    "negative size": with_file(size_bytes=-1),
    "absurd size": with_file(size_bytes=1 << 62),
    "beyond integers": with_file(size_bytes=1 << 80),
    "no checksum": with_file(sha256=""),
    "checksum of another kind": with_file(sha256="../" + "0" * 61),
    "no files": lambda manifest: manifest.update(files=[]),
    "a later version": lambda manifest: manifest.update(format_version=99),
    "another format": lambda manifest: manifest.update(format="directory"),
    "wrong type": lambda manifest: manifest.update(files="all"),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_manifest_is_refused_and_writes_nothing_anywhere(lab: Lab, pushed: str, kind: str) -> None:
    rewrite(manifest_there(lab), FORGERIES[kind])
    before = everything(lab.root)
    with pytest.raises(DamagedBackupError, match="is not used"):
        lab.pull(pushed)
    assert everything(lab.root) == before


def everything(root: Path) -> set[str]:
    return {str(path) for path in (*root.rglob("*"), Path("/tmp/outside.sqlite")) if path.exists()}


def test_a_manifest_under_the_name_of_another_is_refused(lab: Lab, pushed: str) -> None:
    manifest_there(lab).rename(lab.there / "-rf.sqlite.manifest.json")
    with pytest.raises(DbtuiError, match=r"is not used|there is no backup"):
        lab.pull("-rf")
    assert not (lab.root / "fetched").exists()


def test_sizes_that_the_remote_does_not_confirm_are_refused(lab: Lab, pushed: str) -> None:
    rewrite(manifest_there(lab), with_file(size_bytes=1 << 50))
    with pytest.raises(RefusedError, match="the manifest says"):
        lab.pull(pushed)
    assert not (lab.root / "fetched").exists()


def test_a_manifest_that_is_no_json_is_refused(lab: Lab, pushed: str) -> None:
    manifest_there(lab).write_bytes(b"\xff{")
    with pytest.raises(DamagedBackupError):
        lab.pull(pushed)


def test_fields_of_a_later_dbtui_come_along(lab: Lab, pushed: str) -> None:
    rewrite(manifest_there(lab), lambda manifest: manifest.update(colour="blue"))
    lab.pull(pushed)
    here = lab.root / "fetched" / manifest_there(lab).name
    assert json.loads(here.read_text())["colour"] == "blue"
    assert find_backup(here.parent, pushed).kind is EntryKind.COMPLETE
