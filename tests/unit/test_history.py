"""What ran, who ran it and how it ended."""

import os
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui.history import History
from dbtui.model.jobs import JobOutcome, JobState

BEGAN = datetime(2026, 11, 22, 15, 0, 0, tzinfo=UTC)


def record(history: History, subject: str = "erp", **changes: object) -> None:
    values: dict[str, object] = {
        "routine": "backup create",
        "target": "erp",
        "subject": subject,
        "began_at": BEGAN,
        "outcome": JobOutcome(JobState.SUCCEEDED, seconds=61.5),
        "detail": "42 tables",
        "commands": ("pg_dump --format=plain erp",),
    }
    history.record(**{**values, **changes})  # type: ignore[arg-type]


def test_runs_come_back_newest_first(tmp_path: Path) -> None:
    history = History(tmp_path / "state")
    record(history, "first")
    record(history, "second", outcome=JobOutcome(JobState.FAILED), detail="the disk is full")
    newest, oldest = history.entries()
    assert (newest.subject, newest.state, newest.detail) == ("second", JobState.FAILED, "the disk is full")
    assert (oldest.subject, oldest.commands) == ("first", ("pg_dump --format=plain erp",))
    assert (oldest.began, oldest.ended) == ("2026-11-22T15:00:00.000+00:00", "2026-11-22T15:01:01.500+00:00")
    assert [entry.subject for entry in history.entries(limit=1)] == ["second"]
    assert history.warnings == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    history = History(tmp_path / "state")
    record(history)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE(history.path.stat().st_mode) == 0o600


def test_no_password_is_written(tmp_path: Path) -> None:
    history = History(tmp_path)
    record(history, detail="cannot reach postgresql://erp:hunter2@db1/erp", commands=("x --password=hunter2",))
    record(history, subject="?password=hunter2", target="mysql://u:hunter2@h/d")
    assert b"hunter2" not in history.path.read_bytes()
    assert "postgresql://erp:***@db1/erp" in history.entries()[1].detail


def test_any_text_can_be_written(tmp_path: Path) -> None:
    history = History(tmp_path)
    record(history, subject="a\udcff\x1b[31m\n'\";--", detail="\ud800")
    assert history.entries()[0].subject == "a?\x1b[31m\n'\";--"
    assert history.warnings == []


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    code = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from dbtui.history import History
from dbtui.model.jobs import JobOutcome, JobState
history = History(Path(sys.argv[1]))
for number in range(50):
    history.record("r", "t", f"{sys.argv[2]} {number}", datetime.now(UTC), JobOutcome(JobState.SUCCEEDED), "", ())
assert history.warnings == [], history.warnings
"""
    words = [sys.executable, "-c", code, str(tmp_path / "state")]
    writers = [subprocess.Popen([*words, name], cwd=Path(__file__).parents[2]) for name in ("one", "two")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    entries = History(tmp_path / "state").entries()
    assert len(entries) == 100
    assert len({entry.entry_id for entry in entries}) == 100


def test_a_damaged_file_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"not a database at all" * 100)
    history = History(tmp_path)
    assert history.entries() == ()
    record(history)
    assert len(history.entries()) == 1
    assert any("was damaged and is kept" in warning for warning in history.warnings)
    assert len(list(tmp_path.glob("history.db.damaged-*"))) == 1


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    history = History(tmp_path)
    record(history)
    connection = sqlite3.connect(history.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = history.path.read_bytes()
    record(history)
    assert history.path.read_bytes() == before
    assert "newer dbtui" in history.warnings[0]


def test_a_directory_that_cannot_be_written_does_not_stop_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    history = History(tmp_path / "file" / "dbtui")
    record(history)
    assert len(history.entries()) == 1
    assert history.state_dir == tmp_path / f"dbtui-state-{os.geteuid()}"
    assert stat.S_IMODE(history.state_dir.stat().st_mode) == 0o700
    assert "cannot be written" in history.warnings[0]


def test_a_trap_under_the_temporary_directory_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a directory")
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / f"dbtui-state-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    history = History(tmp_path / "file" / "dbtui")
    assert any("cannot be used either" in warning for warning in history.warnings)
