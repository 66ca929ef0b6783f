"""What a look at a database file tells, and that it leaves nothing behind and stands in nobody's way."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from dbtui.adapters.sqlite import integrity, status
from dbtui.adapters.sqlite.at_rest import look_at_rest
from dbtui.adapters.sqlite.connect import open_file
from dbtui.adapters.sqlite.locks import describe_locks
from dbtui.model.connections import FileStatus, TargetStatus
from tests.adapters.sqlite_files import NASTY_TABLES, held_elsewhere, make_database, opened


def look(path: Path) -> TargetStatus:
    with opened(path) as target:
        return status.collect_status(target)


def file_of(found: TargetStatus) -> FileStatus:
    assert found.file
    return found.file


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("wal", [True, False], ids=["log", "rollback"])
def test_a_file_that_nobody_has_open(tmp_path: Path, wal: bool) -> None:
    path = make_database(tmp_path / "app.db", wal=wal)
    before = path.stat()
    found = look(path)
    assert found.tables == len(NASTY_TABLES)
    assert found.size_bytes == before.st_size
    assert found.sessions_used is None
    assert found.gaps == ()
    assert found.file == FileStatus(
        wal_bytes=0 if wal else None,
        journal_mode="wal" if wal else "delete",
        lock_state="unlocked",
        integrity="ok",
    )
    assert names_in(tmp_path) == ["app.db"]
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_polling_while_an_application_comes_and_goes(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db", wal=True)
    with opened(path) as target:
        assert file_of(status.collect_status(target)).wal_bytes == 0
        with held_elsewhere(path, "SELECT 1") as holder:
            with contextlib.closing(sqlite3.connect(path)) as application:
                application.execute("CREATE TABLE one_more (id INT)")
                found = status.collect_status(target)
                assert file_of(found).wal_bytes
                assert found.size_bytes == path.stat().st_size + (file_of(found).wal_bytes or 0)
            assert holder.poll() is None
        with contextlib.closing(sqlite3.connect(path)) as last:
            last.execute("SELECT * FROM one_more").fetchall()
        assert names_in(tmp_path) == ["app.db"], (
            "the application's last connection removes its log as if we were not here"
        )
        assert status.collect_status(target).tables == len(NASTY_TABLES) + 1
    assert names_in(tmp_path) == ["app.db"]


@pytest.mark.parametrize(
    ("wal", "statement", "state"),
    [
        (False, "BEGIN", "read by 1 process"),
        (False, "BEGIN IMMEDIATE", "being written by python"),
        (False, "BEGIN EXCLUSIVE", "being written by python"),
        (True, "BEGIN", "read by 1 process"),
        (True, "BEGIN IMMEDIATE", "being written by python"),
        (True, "SELECT 1", "unlocked"),
    ],
)
def test_locks_of_other_processes(tmp_path: Path, wal: bool, statement: str, state: str) -> None:
    path = make_database(tmp_path / "app.db", wal=wal)
    with opened(path) as target, held_elsewhere(path, statement) as holder:
        found = status.collect_status(target)
        assert file_of(found).lock_state.startswith(state)
        if "written" in state:
            assert f"({holder.pid})" in file_of(found).lock_state
        if statement == "BEGIN EXCLUSIVE":
            assert found.tables is None
            assert "locked by another process" in found.gaps[0]
        else:
            assert found.tables == len(NASTY_TABLES)
    assert describe_locks(path, is_wal=False) == "unlocked"


def test_several_readers(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db")
    with held_elsewhere(path, "BEGIN"), held_elsewhere(path, "BEGIN"):
        assert file_of(look(path)).lock_state == "read by 2 processes"


def test_a_look_drops_no_lock_of_this_process(tmp_path: Path) -> None:
    """Closing a second descriptor of a file drops this process's locks on it: while one is held, none is opened."""
    path = make_database(tmp_path / "app.db", wal=True)
    with contextlib.closing(open_file(path)) as ours:
        assert look_at_rest(path, lambda: open_file(path, immutable=True), lambda _: True) is None
        ours.execute("BEGIN")
        ours.execute("SELECT count(*) FROM sqlite_master").fetchall()
        before = _own_locks(path)
        assert before
        look(path)
        assert _own_locks(path) == before


def _own_locks(path: Path) -> int:
    numbers = [str(each.stat().st_ino) for each in (path, path.with_name(path.name + "-shm")) if each.exists()]
    lines = Path("/proc/locks").read_text().splitlines()
    return sum(f":{number} " in line for line in lines for number in numbers)


def test_damage_is_told_and_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_database(tmp_path / "app.db", rows=2000)
    checks = []
    real = integrity.find_damage
    monkeypatch.setattr(integrity, "find_damage", lambda connection: checks.append(1) or real(connection))  # type: ignore[func-returns-value]
    with opened(path) as target:
        assert [file_of(status.collect_status(target)).integrity for _ in range(3)] == ["ok"] * 3
    assert len(checks) == 1
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    assert file_of(look(path)).integrity not in ("", "ok")


def test_a_large_file_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_database(tmp_path / "app.db")
    monkeypatch.setattr(status, "_CHECKED_BYTES", 1000)
    assert file_of(look(path)).integrity == ""


def test_a_check_lets_a_writer_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In rollback mode a writer waits for readers: a check that finds one waiting gives way."""
    path = make_database(tmp_path / "app.db", rows=2000)
    monkeypatch.setattr(status, "is_writer_waiting", lambda _path: True)
    monkeypatch.setattr(status, "_STEPS", 100)
    assert file_of(look(path)).integrity == ""
