"""What a remote holds: whole backups, broken ones, the rest; read once, and never waited for long."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.remotes.directories import DirectoryRemote
from dbtui.analysis.backups.places import merge_places
from dbtui.errors import ConnectError, RemoteError
from dbtui.model.backups import EntryKind
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress
from dbtui.model.shipping import RemoteHistory
from dbtui.routines.backups import collect_entries
from dbtui.routines.backups.remote_catalogue import collect_remote_entries, collect_remote_history
from dbtui.routines.context import RoutineContext
from tests.backup_histories import date_back
from tests.shipping_lab import Lab, drive, manifest_of, rewrite


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab.make(tmp_path)


@dataclass(frozen=True)
class CountingContext(RoutineContext):
    """Opens directories that count what is read of them; `refused` cannot be read, and after `answers` none comes."""

    reads: list[str] = field(default_factory=list)
    refused: str = ""
    answers: int = 1000

    @contextmanager
    def open_remote(self, address: RemoteAddress) -> Iterator[Any]:
        yield CountingRemote(self, address)


class CountingRemote(DirectoryRemote):
    """One of those."""

    def __init__(self, c: CountingContext, address: RemoteAddress) -> None:
        super().__init__(address, c.cancellation)
        self._c = c

    def read(self, name: str, limit_bytes: int) -> bytes:
        if len(self._c.reads) >= self._c.answers:
            self._c.cancellation.wait(60)
            self._c.cancellation.check()
        self._c.reads.append(name)
        if name == self._c.refused:
            raise RemoteError(f"{self.address} did not let us read {name}", "see its permissions")
        return super().read(name, limit_bytes)


def listed(lab: Lab, database: str = "") -> RemoteHistory:
    return drive(collect_remote_entries(lab.c, lab.address, database))


def test_an_empty_remote_and_one_that_is_not_there_yet_have_no_history(lab: Lab) -> None:
    assert listed(lab) == RemoteHistory(address=str(lab.address))
    lab.there.rmdir()
    assert listed(lab).entries == ()


def test_a_row_says_what_the_row_here_says(lab: Lab) -> None:
    entry = lab.back_up()
    lab.push(entry)
    (row,) = listed(lab).entries
    data = f"{lab.address}/{Path(entry.data_path).name}"
    assert row == replace(entry, directory="", data_path=data, remote=str(lab.address))
    assert row.fingerprint
    assert listed(lab, "erp").entries == (row,)
    assert listed(lab, "shop").entries == ()


def test_histories_become_one(lab: Lab) -> None:
    first = lab.back_up()
    lab.push(first)
    gone, both = date_back(lab.here, first.backup_id, [timedelta(days=2), timedelta(days=1)])
    for backup_id in (gone, both):
        for path in lab.here.glob(f"{backup_id}*"):
            shutil.copy(path, lab.there)
    (lab.here / f"{gone}.sqlite").unlink()
    (lab.here / f"{gone}.sqlite.manifest.json").unlink()
    only_here = date_back(lab.here, first.backup_id, [timedelta(days=3)])[0]
    merged = merge_places(drive(collect_entries(lab.c, lab.here)), [listed(lab).entries])
    there = str(lab.address)
    assert [(row.backup_id, row.remote, row.copies) for row in merged] == [
        (first.backup_id, "", (there,)),
        (both, "", (there,)),
        (gone, there, ()),
        (only_here, "", ()),
    ]


def test_what_is_not_whole_is_a_row_that_says_why(lab: Lab) -> None:
    first = lab.back_up()
    lab.push(first)
    gone, short, garbled, stolen = date_back(lab.there, first.backup_id, [timedelta(days=each) for each in range(1, 5)])
    (lab.there / f"{gone}.sqlite").unlink()
    (lab.there / f"{short}.sqlite").write_bytes(b"short")
    (lab.there / f"{garbled}.sqlite.manifest.json").write_text("{")
    document = json.loads((lab.there / f"{first.backup_id}.sqlite.manifest.json").read_text())
    (lab.there / f"{stolen}.sqlite.manifest.json").write_text(json.dumps(document))
    problems = {row.backup_id: row.problem for row in listed(lab).entries if row.kind is EntryKind.BROKEN}
    assert problems.keys() == {gone, short, garbled, stolen}
    assert "is not there" in problems[gone]
    assert "has 5 B" in problems[short]
    assert "JSON" in problems[garbled]
    assert "another backup" in problems[stolen]


def test_data_without_a_manifest_is_counted_and_no_row(lab: Lab) -> None:
    lab.push(lab.back_up())
    (lab.there / "somebody.tar").write_bytes(b"x" * 2000)
    (lab.there / "shop").mkdir()
    (lab.there / "shop" / "shop-20261101T000000Z.sql.manifest.json").write_text("{}")
    history = listed(lab)
    assert len(history.entries) == 1
    assert [remark.partition(str(lab.address))[2] for remark in history.remarks] == [
        " holds 2.0 kB without a manifest, which are no backups: somebody.tar",
        "/shop",
    ]


def test_a_second_list_reads_only_what_is_new(lab: Lab) -> None:
    first = lab.back_up()
    lab.push(first)
    date_back(lab.there, first.backup_id, [timedelta(hours=each) for each in range(1, 40)])
    reads: list[str] = []
    c = CountingContext(reads=reads)
    before = drive(collect_remote_entries(c, lab.address)).entries
    assert len(reads) == len(set(reads)) == len(before) == 40
    reads.clear()
    assert drive(collect_remote_entries(c, lab.address)).entries == before
    assert reads == []
    (newest,) = date_back(lab.there, first.backup_id, [timedelta(seconds=-30)])
    assert drive(collect_remote_entries(c, lab.address)).entries[0].backup_id == newest
    assert reads == [f"{newest}.sqlite.manifest.json"]


def test_one_manifest_that_cannot_be_read_hides_no_other(lab: Lab) -> None:
    first = lab.back_up()
    lab.push(first)
    others = date_back(lab.there, first.backup_id, [timedelta(hours=each) for each in range(1, 9)])
    c = CountingContext(refused=f"{others[3]}.sqlite.manifest.json")
    entries = drive(collect_remote_entries(c, lab.address)).entries
    assert {row.backup_id for row in entries if row.kind is EntryKind.COMPLETE} == {first.backup_id, *others} - {
        others[3]
    }
    (broken,) = [row for row in entries if row.kind is EntryKind.BROKEN]
    assert "did not let us read" in broken.problem


def refuse(address: RemoteAddress) -> None:
    raise ConnectError(f"{address} is not reached", "see the network")


@pytest.mark.parametrize(
    "change",
    [{"size_bytes": 10**30}, {"tables": [{"schema": "main", "name": "t", "rows": 10**30, "rows_are": "exact"}]}],
)
def test_numbers_that_nothing_has_hide_no_other_backup(lab: Lab, change: dict[str, Any]) -> None:
    entries = [lab.back_up(), lab.back_up()]
    for entry in entries:
        lab.push(entry)
    rewrite(lab.there / manifest_of(entries[0]).name, lambda manifest: manifest.update(change))
    for _ in range(2):  # read, and by the index
        kinds = {entry.backup_id: entry.kind for entry in drive(collect_remote_entries(lab.c, lab.address)).entries}
        assert kinds == {entries[0].backup_id: EntryKind.BROKEN, entries[1].backup_id: EntryKind.COMPLETE}


def test_a_remote_that_is_not_reached_is_a_gap(lab: Lab) -> None:
    class Unreachable(RoutineContext):
        @contextmanager
        def open_remote(self, address: RemoteAddress) -> Iterator[Any]:
            refuse(address)
            yield

    history = drive(collect_remote_history(Unreachable(), lab.address))
    assert history.entries == ()
    assert history.problem == f"{lab.address} is left out: {lab.address} is not reached; see the network"


def test_a_remote_that_does_not_answer_is_not_waited_for(lab: Lab) -> None:
    class Frozen(RoutineContext):
        @contextmanager
        def open_remote(self, address: RemoteAddress) -> Iterator[Any]:
            self.cancellation.wait(60)
            self.cancellation.check()
            yield

    history = drive(collect_remote_history(Frozen(), lab.address, seconds=0.2))
    assert "no answer within 0.2 s" in history.problem


def test_of_a_slow_remote_what_was_read_is_shown_and_the_next_list_goes_on(lab: Lab) -> None:
    first = lab.back_up()
    lab.push(first)
    date_back(lab.there, first.backup_id, [timedelta(hours=each) for each in range(1, 20)])

    history = drive(collect_remote_history(CountingContext(answers=6), lab.address, seconds=1))
    assert 1 <= len(history.entries) < 20
    assert f"only {len(history.entries)} of the 20 backups" in history.problem
    again: list[str] = []
    whole = drive(collect_remote_history(CountingContext(reads=again), lab.address))
    assert (len(whole.entries), whole.problem) == (20, "")
    assert len(again) == 20 - len(history.entries)


def test_addresses_that_are_no_directories_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    address = parse_remote_address(f"file://{tmp_path}/file")
    with pytest.raises(RemoteError):
        drive(collect_remote_entries(RoutineContext(), address))
