"""Backups of many files to and from an S3 server: several at a time, and whatever goes wrong is one outcome."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.errors import Cancelled, ConnectError, DamagedBackupError, RemoteError
from dbtui.model.events import Progressed
from dbtui.routines.backups.pull import apply_pull
from dbtui.routines.backups.push import apply_push
from dbtui.routines.backups.remote_catalogue import collect_remote_entries
from dbtui.routines.context import RoutineContext
from tests.fix_remotes import Faults, FaultyNetwork, S3Server, s3_address, s3_settings
from tests.shipping_lab import Lab, as_directory, drive, flip, names_in


class Bucket(Lab):
    """The remote is a bucket."""

    server: S3Server
    bucket: str

    def held(self) -> set[str]:
        return {key.removeprefix("erp/") for key in self.server.keys(self.bucket)}

    def context(self, cancellation: Cancellation) -> RoutineContext:
        return RoutineContext(cancellation=cancellation, remote_settings=lambda _address: self.settings)


@pytest.fixture
def lab(tmp_path: Path, s3_server: S3Server) -> Bucket:
    made = Lab.make(tmp_path)
    lab = Bucket(made.root, made.profile, made.address)
    lab.server, lab.bucket = s3_server, s3_server.make_bucket()
    lab.address, lab.settings = s3_address(lab.bucket), s3_settings(s3_server.url())
    return lab


def test_many_files_go_there_and_come_back(lab: Bucket) -> None:
    entry = as_directory(lab, lab.back_up())
    pushing = apply_push(lab.c, lab.plan_push(entry))
    events: list[Any] = []
    while True:
        try:
            events.append(next(pushing))
        except StopIteration as end:
            done = end.value
            break
    assert (done.moved_files, done.confirmation) == (12, "checksum")
    totals = {event.total for event in events if isinstance(event, Progressed)}
    assert totals == {done.size_bytes}
    assert lab.held() == names_in(lab.here)
    lab.pull(entry.backup_id)
    fetched = lab.root / "fetched"
    assert names_in(fetched) == names_in(lab.here)
    for name in names_in(fetched):
        assert (fetched / name).read_bytes() == (lab.here / name).read_bytes()


def test_one_altered_file_stops_the_others_and_nothing_stays(lab: Bucket) -> None:
    entry = as_directory(lab, lab.back_up())
    flip(Path(entry.data_path) / "5.dat", 2)
    with pytest.raises(DamagedBackupError, match=r"5\.dat was altered"):
        lab.push(entry)
    assert lab.held() == set()


def test_one_altered_object_stops_the_others_and_nothing_stays_here(lab: Bucket) -> None:
    entry = as_directory(lab, lab.back_up())
    lab.push(entry)
    data = (Path(entry.data_path) / "7.dat").read_bytes()
    lab.server.client.put_object(
        Bucket=lab.bucket, Key=f"erp/{entry.backup_id}.dir/7.dat", Body=data[:-1] + b"?"
    )  # fmt: skip
    with pytest.raises(DamagedBackupError, match=r"7\.dat"):
        lab.pull(entry.backup_id)
    assert names_in(lab.root / "fetched") == set()


def test_a_cancelled_push_is_completed_by_the_next(lab: Bucket) -> None:
    entry = as_directory(lab, lab.back_up())
    cancellation = Cancellation()
    pushing = apply_push(lab.context(cancellation), lab.plan_push(entry))
    with pytest.raises(Cancelled):
        for event in pushing:
            if isinstance(event, Progressed):
                cancellation.request("the test")
    assert drive(collect_remote_entries(lab.c, lab.address)).entries == ()
    lab.push(entry)
    assert lab.held() == names_in(lab.here)


def test_a_cancelled_pull_leaves_nothing(lab: Bucket) -> None:
    entry = as_directory(lab, lab.back_up())
    lab.push(entry)
    cancellation = Cancellation()
    with pytest.raises(Cancelled):
        for event in apply_pull(lab.context(cancellation), lab.plan_pull(entry.backup_id)):
            if isinstance(event, Progressed):
                cancellation.request("the test")
    assert names_in(lab.root / "fetched") == set()


def test_a_link_that_goes_down_is_one_error_and_the_next_push_goes_on(lab: Bucket, network: FaultyNetwork) -> None:
    entry = as_directory(lab, lab.back_up())
    plan = lab.plan_push(entry)
    lab.settings = s3_settings(network.url, timeout_seconds=1.0)
    network.begin(Faults(cut_after=8000, refuse_after_cut=True))
    with pytest.raises((ConnectError, RemoteError)):
        drive(apply_push(lab.c, plan))
    assert f"{entry.backup_id}.dir.manifest.json" not in lab.held()
    sent = len(lab.held())
    lab.settings = s3_settings(lab.server.url())
    done = lab.push(entry)
    assert done.moved_files <= 13 - sent
    assert lab.held() == names_in(lab.here)


def test_two_machines_that_push_the_same_are_both_content(lab: Bucket) -> None:
    entry = lab.back_up()
    first, second = (apply_push(lab.c, lab.plan_push(entry)) for _ in range(2))
    running = [first, second]
    results = []
    while running:
        for each in list(running):
            try:
                next(each)
            except StopIteration as end:
                results.append(end.value)
                running.remove(each)
    assert [done.backup_id for done in results] == [entry.backup_id] * 2
    assert lab.held() == names_in(lab.here)
    assert lab.plan_push(entry).is_done


def test_a_login_that_may_not_delete_suffices(lab: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbtui.adapters.remotes.s3 import S3Remote

    def refuse(self: S3Remote, name: str) -> None:
        raise RemoteError(f"{self.address} did not let us remove {name}", "see the policy of the bucket")

    monkeypatch.setattr(S3Remote, "remove", refuse)
    entry = lab.back_up()
    done = lab.push(entry)
    assert ["stays in" in remark for remark in done.remarks] == [True]
    history = drive(collect_remote_entries(lab.c, lab.address))
    assert [row.backup_id for row in history.entries] == [entry.backup_id]
    assert history.remarks == ()
    assert lab.push(entry).was_there


def test_a_remote_that_is_closed_drops_nothing_that_runs(lab: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    with lab.open_remote() as remote:
        begun = remote._begin(lambda: asyncio.sleep(60))
    assert begun.cancelled()
    del begun
    gc.collect()
    assert caplog.records == []
