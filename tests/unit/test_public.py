"""The two functions for applications, on a real SQLite file."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import dbtui
from dbtui.errors import DamagedBackupError, DbtuiError, LockedError, RefusedError, UsageError
from dbtui.history import History
from dbtui.jobs import held_lock
from dbtui.model.jobs import JobState
from dbtui.public import create_backup, restore_backup


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("erp.db")) as connection:
        connection.execute("CREATE TABLE users (name text)")
        connection.execute("INSERT INTO users VALUES ('ann'), ('bob')")
        connection.commit()
    yield "sqlite:///erp.db"


def users_in(path: str | Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM users ORDER BY name")]


def add_user(path: str | Path, name: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO users VALUES (?)", (name,))
        connection.commit()


def test_they_are_the_packages_own(url: str, tmp_path: Path) -> None:
    path = dbtui.create_backup(url)
    assert path.parent == tmp_path / "backups"
    assert path.name.startswith("erp-2")
    assert path.suffix == ".sqlite"
    assert users_in(path) == ["ann", "bob"]
    add_user("erp.db", "eve")
    assert dbtui.restore_backup(url, path) == str(tmp_path / "erp.db")
    assert users_in("erp.db") == ["ann", "bob"]
    (kept,) = tmp_path.glob("erp_kept_*.db")
    assert users_in(kept) == ["ann", "bob", "eve"]


def test_options_are_those_of_the_command_line(url: str, tmp_path: Path) -> None:
    path = create_backup(url, tmp_path / "b", compress="zstd:3", tables=("users",))
    assert path.name.endswith(".sqlite.zst")
    assert restore_backup(url, str(path), into="other.db") == str(tmp_path / "other.db")
    assert users_in("other.db") == ["ann", "bob"]


def test_a_lost_database_comes_back(url: str) -> None:
    path = create_backup(url)
    Path("erp.db").unlink()
    restore_backup(url, path.relative_to(Path.cwd()))
    assert users_in("erp.db") == ["ann", "bob"]


def test_without_replace_a_new_database_is_made(url: str, tmp_path: Path) -> None:
    path = create_backup(url)
    add_user("erp.db", "eve")
    assert restore_backup(url, path, replace=False) == str(tmp_path / "erp_restored.db")
    assert users_in("erp.db") == ["ann", "bob", "eve"]
    with pytest.raises(RefusedError, match="--replace"):
        restore_backup(url, path, into="erp.db", replace=False)


def test_errors_are_raised_and_history_is_kept(url: str) -> None:
    path = create_backup(url)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DamagedBackupError):
        restore_backup(url, path)
    assert users_in("erp.db") == ["ann", "bob"]
    entries = History(Path(os.environ["XDG_STATE_HOME"]) / "dbtui").entries()
    assert [(entry.routine, entry.state) for entry in entries] == [
        ("backup restore", JobState.FAILED),
        ("backup create", JobState.SUCCEEDED),
    ]
    assert entries[1].subject == "erp"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: create_backup("oracle://db1/erp"), UsageError),
        (lambda: create_backup("sqlite:///erp.db", format="tar"), UsageError),
        (lambda: create_backup("sqlite:///erp.db", compress="zip"), UsageError),
        (lambda: create_backup("sqlite:///absent.db"), DbtuiError),
        (lambda: restore_backup("sqlite:///erp.db", "backups/absent.sqlite"), UsageError),
    ],
)
def test_bad_input_is_one_sentence(url: str, call: object, error: type[DbtuiError]) -> None:
    with pytest.raises(error) as caught:
        call()  # type: ignore[operator]
    assert str(caught.value).isprintable()
    assert not Path("absent.db").exists()


def test_one_backup_of_a_database_at_a_time(url: str, tmp_path: Path) -> None:
    state = Path(os.environ["XDG_STATE_HOME"]) / "dbtui"
    with held_lock(state / "locks", f"backup of {tmp_path / 'erp.db'}"), pytest.raises(LockedError, match="erp"):
        create_backup(url)


def test_they_work_from_any_thread(url: str) -> None:
    made: list[Path] = []
    thread = threading.Thread(target=lambda: made.append(create_backup(url, "b")))
    thread.start()
    thread.join()
    assert users_in(made[0]) == ["ann", "bob"]
