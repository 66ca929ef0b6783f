"""Retention of a remote: exactly what was planned goes, looked at again before; pins, cuts, and other bastions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.remotes.directories import DirectoryRemote
from dbtui.errors import ConnectError, RefusedError
from dbtui.model.policies import RetentionPolicy
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress
from dbtui.model.retention import DELETING_SUFFIX, PIN_SUFFIX, RetentionPlan
from dbtui.routines.backups import collect_entries
from dbtui.routines.backups.expire import ExpireRequest
from dbtui.routines.backups.pins import pin_remote, unpin_remote
from dbtui.routines.backups.push import apply_push, plan_push
from dbtui.routines.backups.remote_catalogue import collect_remote_entries
from dbtui.routines.backups.remote_expire import apply_remote_expire, plan_remote_expire
from dbtui.routines.backups.remote_find import find_remote_backup
from dbtui.routines.backups.remote_removal import delete_remote_backup
from dbtui.routines.context import RoutineContext
from tests.backup_histories import DAY, back_up, date_back, ids_in, make_file
from tests.fix_remotes import S3Server, s3_address, s3_settings
from tests.shipping_lab import drive, rewrite


class CutRemote(DirectoryRemote):
    """A directory that is reached no more after so many removals."""

    def __init__(self, c: "CutContext", address: RemoteAddress) -> None:
        super().__init__(address, c.cancellation)
        self._c = c

    def remove(self, name: str) -> None:
        if len(self._c.removed) == self._c.removals:
            raise ConnectError(f"{self.address} cannot be reached")
        self._c.removed.append(name)
        super().remove(name)


@dataclass(frozen=True)
class CutContext(RoutineContext):
    """Loses its remote after some removals."""

    removals: int = 0
    removed: list[str] = field(default_factory=list)

    @contextmanager
    def open_remote(self, address: RemoteAddress) -> Iterator[Any]:
        yield CutRemote(self, address)


@dataclass
class Place:
    """A directory that is a remote, with a backup of each of six days, newest first."""

    directory: Path
    address: RemoteAddress
    ids: list[str]
    steps: list[tuple[str, str]] = field(default_factory=list)

    def plan(self, c: RoutineContext | None = None, **numbers: Any) -> RetentionPlan:
        policy = RetentionPolicy(**(numbers or {"last": 2}))
        request = ExpireRequest(directories=(), policy_of=lambda _backup: policy)
        made: RetentionPlan = drive(plan_remote_expire(c or RoutineContext(), self.address, request))
        return made

    def apply(self, plan: RetentionPlan, c: RoutineContext | None = None) -> Any:
        note = lambda subject, detail: self.steps.append((subject, detail))  # noqa: E731
        return drive(apply_remote_expire(c or RoutineContext(), self.address, plan, note))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    directory = tmp_path / "remote"
    directory.mkdir(mode=0o700)
    newest = back_up(make_file(tmp_path / "app.db"), directory)
    older = date_back(directory, newest, [DAY * day for day in range(1, 6)])
    return Place(directory, parse_remote_address(f"file://{directory}"), [newest, *older])


def test_exactly_what_was_planned_goes(place: Place) -> None:
    (place.directory / "notes.txt").write_text("mine")
    plan = place.plan()
    assert plan.directories == (str(place.address),)
    assert ids_in(place.directory) == set(place.ids), "a plan changes nothing"
    done = place.apply(plan)
    assert done.removed == tuple(reversed(place.ids[2:])) and done.skipped == done.remains == ()
    assert ids_in(place.directory) == set(place.ids[:2])
    assert sorted(path.name for path in place.directory.iterdir()) == sorted(
        ["notes.txt", *(f"{each}.sqlite{end}" for each in place.ids[:2] for end in ("", ".manifest.json"))]
    )
    assert [subject for subject, _ in place.steps] == ["", *reversed(place.ids[2:])]


def test_one_that_is_pinned_there_stays_until_it_is_not(place: Place) -> None:
    far = drive(find_remote_backup(RoutineContext(), place.address, place.ids[5]))
    assert drive(pin_remote(RoutineContext(), far, "the audit")) is True
    assert drive(pin_remote(RoutineContext(), far)) is False
    rows = {row.backup_id: row for row in drive(collect_remote_entries(RoutineContext(), place.address)).entries}
    assert [key for key, row in rows.items() if row.is_pinned] == [place.ids[5]]
    with pytest.raises(RefusedError, match="is pinned in file://"):
        drive(delete_remote_backup(RoutineContext(), place.address, far.data_name))
    assert place.ids[5] not in place.apply(place.plan()).removed
    assert drive(unpin_remote(RoutineContext(), far)) is True
    assert place.apply(place.plan()).removed == (place.ids[5],)


def test_what_changed_after_the_plan_stays(place: Place) -> None:
    plan = place.plan()
    (place.directory / f"{place.ids[3]}.sqlite{PIN_SUFFIX}").write_text("{}")
    manifest = place.directory / f"{place.ids[4]}.sqlite.manifest.json"
    manifest.write_text(manifest.read_text().replace('"tool_version"', '"tool_version" '))
    (place.directory / f"{place.ids[5]}.sqlite.manifest.json").unlink()
    done = place.apply(plan)
    assert dict(done.skipped) == {
        place.ids[5]: "it is not there any more",
        place.ids[4]: "its manifest has changed since the plan was made",
        place.ids[3]: "it was pinned since the plan was made",
    }
    assert done.removed == (place.ids[2],)


@pytest.mark.parametrize("loss", ["gone", "cut"])
def test_nothing_goes_when_what_should_stay_is_not_there(place: Place, loss: str) -> None:
    plan = place.plan()
    for backup_id in place.ids[:2]:
        data = place.directory / f"{backup_id}.sqlite"
        if loss == "gone":
            data.unlink()
        else:
            data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(RefusedError, match="no good backup of app would be left"):
        place.apply(plan)
    assert ids_in(place.directory) >= set(place.ids[2:])


def test_a_cut_backup_counts_for_nothing(place: Place) -> None:
    data = place.directory / f"{place.ids[0]}.sqlite"
    data.write_bytes(data.read_bytes()[:-1])
    plan = place.plan(last=1)
    assert [each.backup_id for each in plan.left_alone] == [place.ids[0]]
    assert [each.backup_id for each in plan.groups[0].kept] == [place.ids[1]]


def test_a_manifest_with_an_impossible_time_stops_no_policy(place: Place) -> None:
    manifest = place.directory / f"{place.ids[0]}.sqlite.manifest.json"
    rewrite(manifest, lambda document: document.update(begin_time="9999-99-99T99:99:99Z"))
    plan = place.plan(last=1)
    assert [each.backup_id for each in plan.left_alone] == [f"{place.ids[0]}.sqlite"]
    assert [each.backup_id for each in plan.groups[0].kept] == [place.ids[1]]


@pytest.mark.parametrize("removals", [0, 1, 2, 3])
def test_a_deletion_that_is_cut_anywhere_is_finished_by_the_next(place: Place, removals: int) -> None:
    plan = place.plan(last=5)
    (doomed,) = plan.removed
    with pytest.raises(ConnectError):
        place.apply(plan, CutContext(removals=removals))
    mark = place.directory / f"{doomed.backup_id}.sqlite{DELETING_SUFFIX}"
    assert mark.exists()
    history = drive(collect_remote_entries(RoutineContext(), place.address))
    assert any("deletions that have not ended" in remark for remark in history.remarks) is (removals < 2)
    again = place.plan(last=5)
    assert again.leftovers == (mark.name,)
    done = place.apply(again)
    assert done.finished == (f"{doomed.backup_id}.sqlite",)
    assert ids_in(place.directory) == set(place.ids[:5])
    assert not [path for path in place.directory.iterdir() if doomed.backup_id in path.name]


def test_a_forged_mark_removes_nothing(place: Place) -> None:
    victim = place.directory / f"{place.ids[0]}.sqlite"
    source = place.directory / f"{place.ids[5]}.sqlite.manifest.json"
    (place.directory / f"{place.ids[0]}.sqlite{DELETING_SUFFIX}").write_text(source.read_text())
    done = place.apply(place.plan(last=6))
    assert done.finished == () and victim.exists() and ids_in(place.directory) == set(place.ids)


def test_here_and_there_are_judged_apart(place: Place, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir(mode=0o700)
    fresh = back_up(make_file(tmp_path / "app2.db"), here)
    (entry,) = drive(collect_entries(RoutineContext(), here))
    drive(apply_push(RoutineContext(), drive(plan_push(RoutineContext(), entry, place.address))))
    place.apply(place.plan(last=1))
    assert ids_in(here) == {fresh}
    assert ids_in(place.directory) == {fresh, place.ids[0]}


def test_a_bucket_is_expired_like_a_directory(place: Place, s3_server: S3Server) -> None:
    address = s3_address(s3_server.make_bucket())
    settings = s3_settings(s3_server.url())
    c = RoutineContext(remote_settings=lambda _address: settings)
    for entry in drive(collect_entries(c, place.directory)):
        drive(apply_push(c, drive(plan_push(c, entry, address))))
    bucket = Place(place.directory, address, place.ids)
    done = bucket.apply(bucket.plan(c), c)
    assert done.removed == tuple(reversed(place.ids[2:]))
    keys = {key.removeprefix("erp/") for key in s3_server.keys(address.host)}
    assert keys == {f"{each}.sqlite{end}" for each in place.ids[:2] for end in ("", ".manifest.json")}
    assert ids_in(place.directory) == set(place.ids)
