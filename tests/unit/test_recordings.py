"""Recordings: what was written is read again; a file that is none, cut or hostile gives a sentence with the line."""

import errno
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui import recordings
from dbtui.errors import StorageError, UsageError
from dbtui.model.pools import (
    AppPool,
    AppPoolsSnapshot,
    HostLoad,
    PoolerPool,
    PoolerSnapshot,
    PoolsSnapshot,
    ServerHolder,
    ServerPool,
    ServerState,
    Timing,
)
from dbtui.recordings import Recorder, read_recording

NOW = datetime(2026, 11, 22, 3, 4, 5, 678901, tzinfo=UTC)


def snapshot(monotonic_seconds: float = 1.5) -> PoolsSnapshot:
    holder = ServerHolder(application="erp", client="", user="app", state=ServerState.LOCK, count=3)
    wait = Timing(2, 0.5, (1, 1), (0.1,))
    return PoolsSnapshot(
        profile="erp",
        taken_at=NOW,
        monotonic_seconds=monotonic_seconds,
        app=AppPoolsSnapshot(
            taken_at=NOW,
            monotonic_seconds=1.0,
            pools=(AppPool(source="/x", service="s", pid=1, pool="p", wait=wait, started_at=NOW),),
        ),
        pooler=PoolerSnapshot(
            source="h:6432", taken_at=NOW, monotonic_seconds=1.0, pools=(PoolerPool(database="d", user="u"),)
        ),
        server=ServerPool(taken_at=NOW, monotonic_seconds=1.0, slots=97, used=3, holders=(holder,)),
        host=HostLoad(taken_at=NOW, monotonic_seconds=1.0, cores=2, load_1m=0.5),
    )


def recorded(directory: Path, *snapshots: PoolsSnapshot) -> Path:
    recorder = Recorder(directory / "x.jsonl", "erp")
    for each in snapshots:
        recorder.write(each)
    recorder.close()
    return recorder.path


def make_directory(parent: Path) -> Path:
    directory = parent / "other"
    directory.mkdir()
    return directory


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    taken = [snapshot(float(number)) for number in range(5)]
    path = recorded(tmp_path, *taken)
    assert list(read_recording(path)) == taken
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_files_are_named_for_profile_and_time_and_never_replaced(tmp_path: Path) -> None:
    first = Recorder.create(tmp_path / "new", "../erp prod\x1b")
    second = Recorder.create(tmp_path / "new", "../erp prod\x1b")
    assert first.path != second.path
    assert first.path.parent == second.path.parent == tmp_path / "new"
    for each in (first, second):
        each.close()
    with pytest.raises(StorageError, match="cannot be made"):
        Recorder(first.path, "erp")


def test_a_line_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    path = recorded(tmp_path, snapshot(1.0), snapshot(2.0))
    path.write_bytes(path.read_bytes()[:-20])
    assert list(read_recording(path)) == [snapshot(1.0)]


def test_a_recording_ends_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MOST_BYTES", 3000)
    recorder = Recorder(tmp_path / "x.jsonl", "erp")
    with pytest.raises(OSError, match="too large") as caught:
        for _ in range(10):
            recorder.write(snapshot())
    assert caught.value.errno == errno.EFBIG
    recorder.close()
    assert recorder.path.stat().st_size <= 3000
    assert list(read_recording(recorder.path)) == [snapshot()] * recorder.count


@pytest.mark.parametrize(("text", "where", "what"), [
    (b"", "", "empty"), (b"{}\n", "line 1", "not a recording"), (b"\x7fELF\n", "line 1", "not a recording"),
    (b'{"recording": "dbtui pools", "version": 2}\n', "line 1", "version 2"),
    (b'{"recording": "something", "version": 1}\n', "line 1", "not a recording"),
    (b'{"recording": "dbtui pools", "version": 1}\n{"profile": 7}\n', "line 2", "not a look"),
    (b'{"recording": "dbtui pools", "version": 1}\n' + b"[" * 200_000 + b"\n", "line 2", "not a look"),
    (b'{"recording": "dbtui pools", "version": 1}\n\xff\n', "line 2", "not a look"),
    (b'{"recording": "dbtui pools", "version": 1}\n{"\\u001b[2J": 1}\n', "line 2", "not a look"),
])  # fmt: skip
def test_what_is_no_recording(tmp_path: Path, text: bytes, where: str, what: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(text)
    with pytest.raises(UsageError) as caught:
        list(read_recording(path))
    assert where in str(caught.value)
    assert what in str(caught.value)
    assert str(caught.value).isprintable()


def test_lines_without_end_and_looks_out_of_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recorded(tmp_path, snapshot(2.0), snapshot(1.0))
    with pytest.raises(UsageError, match=r"line 3: .*before the one above"):
        list(read_recording(path))
    monkeypatch.setattr(recordings, "MOST_LINE_BYTES", 200)
    with pytest.raises(UsageError, match="line 2: the line is longer"):
        list(read_recording(path))
    monkeypatch.undo()
    monkeypatch.setattr(recordings, "MOST_SNAPSHOTS", 1)
    with pytest.raises(UsageError, match="line 3: a recording has 1 looks"):
        list(read_recording(recorded(make_directory(tmp_path), snapshot(), snapshot())))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        list(read_recording(tmp_path / "none"))
    with pytest.raises(StorageError, match="cannot be read"):
        list(read_recording(tmp_path))


def test_a_wall_clock_that_jumps_does_not_matter(tmp_path: Path) -> None:
    late = replace(snapshot(2.0), taken_at=NOW.replace(year=2020))
    assert list(read_recording(recorded(tmp_path, snapshot(1.0), late)))[1] == late
