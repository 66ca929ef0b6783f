"""Loading into a new file, and putting new contents into a live one: all of them or none, whatever happens."""

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import connect, copying, swap
from dbtui.errors import Cancelled, ConnectError, RefusedError, ServerError, StorageError
from dbtui.model.backups import (
    BackupTable,
    Compression,
    LoadRequest,
    StoredBackup,
    TableName,
)
from dbtui.model.events import CommandRan, Event, Routine
from tests.adapters.sqlite_files import (
    BACKUPS,
    CONTENTS,
    GZIP,
    NONE,
    ZSTD,
    ask,
    busy_writer,
    drive,
    dump_to,
    held_elsewhere,
    lines_of,
    load_new,
    make_database,
    make_large,
    opened,
    options,
    stored,
)


@pytest.fixture(params=[False, True], ids=["rollback", "wal"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A live database that a restore replaces."""
    folder = tmp_path / "live"
    folder.mkdir()
    return make_large(folder / "app.db", wal=request.param, megabytes=3)


@pytest.fixture
def backup(tmp_path: Path) -> StoredBackup:
    """A backup with other contents than the live database."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return dump_to(make_database(tmp_path / "source.db", rows=3000), folder)[1]


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if not each.name.endswith(("-wal", "-shm"))}


# ---------------------------------------------------------------- into a new file


@pytest.mark.parametrize("compression", [NONE, GZIP, ZSTD], ids=str)
def test_a_new_file_holds_everything(tmp_path: Path, compression: Compression) -> None:
    source = make_database(tmp_path / "app.db", wal=True)
    _, backup = dump_to(source, tmp_path, options(compression=compression))
    with opened(source) as target:
        load_new(target, backup, "new.db")
        counted = drive(BACKUPS.count_rows(target, "new.db", [TableName("main", "ORDERS"), TableName("main", "gone")]))
    new = tmp_path / "new.db"
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert lines_of(new) == lines_of(source)
    assert counted == (BackupTable("main", "orders", 480, "exact"),)


def test_chosen_tables_alone(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    _, backup = dump_to(source, tmp_path, options(compression=ZSTD))
    with opened(source) as target:
        load_new(target, backup, "new.db", (TableName("main", "users"), TableName("main", "notes")))
        found = BACKUPS.collect_destination(target, "new.db")
    new = tmp_path / "new.db"
    assert found.tables == 2
    assert ask(new, "SELECT * FROM users") == ask(source, "SELECT * FROM users")
    assert ask(new, "SELECT title FROM notes WHERE notes MATCH 'hello'") == [("first",)]
    assert ask(new, "PRAGMA integrity_check") == [("ok",)]
    assert {each.name for each in tmp_path.iterdir()} == {"app.db", "new.db", Path(backup.data_path).name}


def test_the_target_itself_may_be_absent(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    before = lines_of(source)
    _, backup = dump_to(source, tmp_path)
    source.unlink()
    with opened(source) as target:
        assert not BACKUPS.collect_destination(target, "app.db").exists
        load_new(target, backup, "app.db")
    assert lines_of(source) == before


def test_nothing_is_loaded_into_or_removed_from_what_this_run_did_not_make(
    tmp_path: Path, backup: StoredBackup
) -> None:
    other = make_database(tmp_path / "other.db")
    with opened(tmp_path / "app.db") as target:
        with pytest.raises(ServerError, match=r"other\.db exists already") as caught:
            BACKUPS.create_database(target, "other.db", "", CONTENTS)
        assert caught.value.code == "EEXIST"
        with pytest.raises(RefusedError, match=r"was not made by this run"):
            drive(BACKUPS.load(target, LoadRequest(backup=backup, contents=CONTENTS, database="other.db")))
        with pytest.raises(RefusedError, match=r"was not made by this run"):
            BACKUPS.drop_database(target, "other.db")
        BACKUPS.drop_database(target, "never-there.db")
    assert ask(other, "SELECT count(*) FROM users") == [(300,)]


def test_a_file_that_took_the_place_of_ours_is_left_alone(tmp_path: Path, backup: StoredBackup) -> None:
    with opened(tmp_path / "app.db") as target:
        load_new(target, backup, "new.db")
        replacement = make_database(tmp_path / "theirs.db")
        replacement.rename(tmp_path / "new.db")
        with pytest.raises(RefusedError, match=r"was not made by this run"):
            BACKUPS.drop_database(target, "new.db")
    assert (tmp_path / "new.db").exists()


def test_dropping_takes_what_lies_beside(tmp_path: Path, backup: StoredBackup) -> None:
    with opened(tmp_path / "app.db") as target:
        load_new(target, backup, "new.db")
        for suffix in ("-wal", "-shm", "-journal"):
            (tmp_path / f"new.db{suffix}").touch()
        BACKUPS.drop_database(target, "new.db")
    assert not list(tmp_path.glob("new.db*"))


def test_a_cancelled_load_ends(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    _, backup = dump_to(make_large(tmp_path / "big.db", wal=False), folder, options(compression=ZSTD))
    cancellation = Cancellation()
    with opened(tmp_path / "app.db", cancellation) as target:
        BACKUPS.create_database(target, "new.db", "", CONTENTS)
        routine = BACKUPS.load(target, LoadRequest(backup=backup, contents=CONTENTS, database="new.db"))
        cancellation.request("Ctrl-C")
        with pytest.raises(Cancelled, match=r"Ctrl-C"):
            drive(routine)
        BACKUPS.drop_database(target, "new.db")
    assert {each.name for each in tmp_path.iterdir()} == {"b", "big.db"}


# ---------------------------------------------------------------- in the place of a live one


def test_a_name_that_nobody_has_is_given_by_a_rename(tmp_path: Path, backup: StoredBackup) -> None:
    events: list[Event] = []
    with opened(tmp_path / "app.db") as target:
        load_new(target, backup, "new.db")
        inode = (tmp_path / "new.db").stat().st_ino
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"), events)
    assert (tmp_path / "app.db").stat().st_ino == inode
    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "kept.db").exists()
    assert any(isinstance(event, CommandRan) and event.text.startswith("rename") for event in events)


def test_a_rename_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    for name in ("new.db", "app.db"):
        (tmp_path / name).write_text(name)
    with pytest.raises(RefusedError, match=r"app\.db exists by now"):
        swap.move_into_place(tmp_path / "new.db", tmp_path / "app.db")
    assert (tmp_path / "app.db").read_text() == "app.db"


def test_a_live_file_keeps_its_inode_owner_mode_and_journal(live: Path, backup: StoredBackup) -> None:
    live.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(live, 65534, 65534)
    old, about, mode = lines_of(live), live.stat(), ask(live, "PRAGMA journal_mode")
    with opened(live) as target:
        load_new(target, backup, "new.db")
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    after = live.stat()
    assert (after.st_ino, after.st_uid, after.st_gid, after.st_mode) == (
        about.st_ino, about.st_uid, about.st_gid, about.st_mode,
    )  # fmt: skip
    assert ask(live, "PRAGMA journal_mode") == mode
    assert lines_of(live) == lines_of(Path(backup.data_path))
    kept = live.with_name("kept.db")
    assert lines_of(kept) == old
    assert (kept.stat().st_uid, stat.S_IMODE(kept.stat().st_mode)) == (about.st_uid, 0o600)
    assert names_in(live.parent) == {"app.db", "kept.db"}
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("page_size", [512, 1024, 65536])
def test_another_page_size(live: Path, tmp_path: Path, page_size: int) -> None:
    source = make_database(tmp_path / "other.db", page_size=page_size)
    rows = ask(source, "SELECT rowid, value FROM loose")
    mode = ask(live, "PRAGMA journal_mode")
    with opened(live) as target:
        load_new(target, stored(source), "new.db")
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    assert lines_of(live) == lines_of(source)
    assert ask(live, "SELECT rowid, value FROM loose") == rows
    assert ask(live, "PRAGMA journal_mode") == mode
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]
    assert ask(live.with_name("kept.db"), "SELECT count(*) FROM t") == [(30,)]


def test_a_reader_of_a_log_keeps_its_snapshot(tmp_path: Path, backup: StoredBackup) -> None:
    live = make_large(tmp_path / "app.db", wal=True, megabytes=5)
    with contextlib.closing(sqlite3.connect(live, isolation_level=None)) as reader, opened(live) as target:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM t").fetchall() == [(50,)]
        load_new(target, backup, "new.db")
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
        assert reader.execute("SELECT count(*) FROM t").fetchall() == [(50,)]
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM users").fetchall() == [(3000,)]
        reader.execute("INSERT INTO users (id, name) VALUES (99999, 'it writes too')")
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]


def write_between(monkeypatch: pytest.MonkeyPatch, live: Path) -> list[str]:
    """Have somebody write once between the two copies of a swap; the list tells how that went."""
    put_in, said = swap._put_in, list[str]()

    def write_and_put_in(*words: Any) -> Routine[None]:
        if not said:
            try:
                with contextlib.closing(sqlite3.connect(live, isolation_level=None, timeout=0)) as connection:
                    connection.execute("UPDATE accounts SET balance = 777 WHERE id = 1")
                said.append("written")
            except sqlite3.OperationalError as error:
                said.append(str(error))
        return (yield from put_in(*words))

    monkeypatch.setattr(swap, "_put_in", write_and_put_in)
    return said


@pytest.mark.parametrize(
    ("wal", "said", "balance"), [(True, "written", 777), (False, "database is locked", 500)], ids=["wal", "rollback"]
)
def test_no_commit_is_lost_between_the_two_copies(
    tmp_path: Path, backup: StoredBackup, monkeypatch: pytest.MonkeyPatch, wal: bool, said: str, balance: int
) -> None:
    """Either nobody can write when the old contents have been copied aside, or what is written is in the kept file."""
    live = make_large(tmp_path / "app.db", wal=wal, megabytes=5)
    how = write_between(monkeypatch, live)
    with opened(live) as target:
        load_new(target, backup, "new.db")
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    assert how == [said]
    assert ask(tmp_path / "kept.db", "SELECT balance FROM accounts WHERE id = 1") == [(balance,)]
    assert ask(live, "SELECT count(*) FROM users") == [(3000,)]


def test_a_busy_writer_loses_no_commit(live: Path, backup: StoredBackup) -> None:
    with opened(live) as target:
        load_new(target, backup, "new.db")
        with busy_writer(live) as moved:
            drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    kept = live.with_name("kept.db")
    assert ask(kept, "SELECT balance FROM accounts ORDER BY id") == [(500 - moved[0],), (500 + moved[0],)]
    assert lines_of(live) == lines_of(Path(backup.data_path))
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]


# ---------------------------------------------------------------- what ends it halfway


@pytest.mark.parametrize("page_size", [4096, 1024])
def test_a_cancel_in_the_middle_leaves_the_live_file_as_it_was(
    live: Path, tmp_path: Path, page_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "PAGES_A_STEP", 8)
    monkeypatch.setattr(copying, "PAGES_A_STEP", 8)
    source = make_database(tmp_path / "other.db", page_size=page_size, rows=3000)
    old, cancellation = lines_of(live), Cancellation()
    step, put_in, putting_in = copying.CopyWatch.step, swap._put_in, [False]

    def cancelling_step(watch: copying.CopyWatch, status: int, remaining: int, total: int) -> None:
        if putting_in[0] and remaining < total // 2:
            cancellation.request("Ctrl-C")
            watch.stop()
        step(watch, status, remaining, total)

    def noted_put_in(*words: Any) -> Routine[None]:
        putting_in[0] = True
        return (yield from put_in(*words))

    monkeypatch.setattr(swap, "_put_in", noted_put_in)
    monkeypatch.setattr(copying.CopyWatch, "step", cancelling_step)
    with opened(live, cancellation) as target:
        load_new(target, stored(source), "new.db")
        with pytest.raises(Cancelled, match=r"Ctrl-C"):
            drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
        assert putting_in[0]
        BACKUPS.drop_database(target, "new.db")
    assert lines_of(live) == old
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]
    assert names_in(live.parent) == {"app.db"}
    with contextlib.closing(sqlite3.connect(live, timeout=0)) as connection:
        connection.execute("UPDATE accounts SET balance = 1")
        connection.commit()


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_what_comes_too_late_keeps_the_old_contents_all_the_same(
    live: Path, backup: StoredBackup, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Once the new contents are committed, a cancel changes nothing, and what was kept of the old ones stays."""
    old, cancellation, dones = lines_of(live), Cancellation(), [0]
    step = copying.CopyWatch.step

    def late_step(watch: copying.CopyWatch, status: int, remaining: int, total: int) -> None:
        dones[0] += status == sqlite3.SQLITE_DONE
        if dones[0] == 2 and how == "cancel":  # the first copy kept the old contents
            cancellation.request("Ctrl-C")
            watch.stop()
        step(watch, status, remaining, total)

    monkeypatch.setattr(copying.CopyWatch, "step", late_step)
    with opened(live, cancellation) as target:
        load_new(target, backup, "new.db")
        routine = BACKUPS.swap_database(target, "app.db", "new.db", "kept.db")
        if how == "close":
            while dones[0] < 2:
                next(routine)
            routine.close()
            BACKUPS.drop_database(target, "new.db")
        else:
            drive(routine)
    assert lines_of(live) == lines_of(Path(backup.data_path))
    assert lines_of(live.with_name("kept.db")) == old
    assert names_in(live.parent) == {"app.db", "kept.db"}


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from dbtui.adapters.sqlite import connect, copying, swap
from tests.adapters.sqlite_files import *
swap.PAGES_A_STEP = 8
step, put_in = copying.CopyWatch.step, swap._put_in
def noted_put_in(*words):
    def dying_step(watch, status, remaining, total):
        step(watch, status, remaining, total)
        if remaining < total * int(sys.argv[4]) // 100:
            os.kill(os.getpid(), signal.SIGKILL)
    copying.CopyWatch.step = dying_step
    return (yield from put_in(*words))
swap._put_in = noted_put_in
live = Path(sys.argv[2])
with opened(live) as target:
    load_new(target, stored(Path(sys.argv[3])), "new.db")
    drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
"""


@pytest.mark.parametrize("left_percent", [95, 50, 3])
def test_a_kill_in_the_middle_leaves_the_live_file_as_it_was(live: Path, tmp_path: Path, left_percent: int) -> None:
    old = lines_of(live)
    larger = make_database(tmp_path / "larger.db", rows=12_000)  # than SQLite's cache, so that pages are written early
    words = [str(Path(__file__).parents[2]), str(live), str(larger), str(left_percent)]
    ran = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    if left_percent == 3 and live.with_name("app.db-journal").exists():
        with pytest.raises(ConnectError, match=r"app\.db was left half written"), opened(live, read_only=True):
            raise AssertionError
    with opened(live) as target:
        assert BACKUPS.collect_destination(target, "app.db").tables == 2
    assert left_percent != 3 or not live.with_name("app.db-journal").exists(), "it was played back"
    assert lines_of(live) == old
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]
    assert lines_of(live.with_name("kept.db")) == old


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for a moment only."""
    monkeypatch.setattr("dbtui.adapters.sqlite.connect.BUSY_SECONDS", 0.5)
    monkeypatch.setattr(swap, "CopyWatch", lambda path, **more: copying.CopyWatch(path, 0.5, **more))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_writer_that_never_ends_is_named_and_nothing_is_changed(
    live: Path, backup: StoredBackup, statement: str
) -> None:
    old = lines_of(live)
    with opened(live) as target:
        load_new(target, backup, "new.db")
        with (
            held_elsewhere(live, statement) as holder,
            pytest.raises(ServerError, match=rf"is locked by another process, open in .*\({holder.pid}\)"),
        ):
            drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
        BACKUPS.drop_database(target, "new.db")
    assert lines_of(live) == old
    assert names_in(live.parent) == {"app.db"}


@pytest.mark.usefixtures("impatient")
def test_a_reader_without_a_log_is_waited_for_and_named(tmp_path: Path, backup: StoredBackup) -> None:
    live = make_large(tmp_path / "app.db", wal=False, megabytes=2)
    old = lines_of(live)
    with opened(live) as target:
        load_new(target, backup, "new.db")
        with held_elsewhere(live, "BEGIN") as holder:
            with pytest.raises(ServerError, match=rf"locked by another process, open in .*\({holder.pid}\)"):
                drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
            assert lines_of(live) == old
            assert holder.stdin
            holder.stdin.close()
            holder.wait()
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    assert ask(live, "SELECT count(*) FROM users") == [(3000,)]
    assert lines_of(tmp_path / "kept.db") == old


def test_a_full_disk_in_the_middle(live: Path, backup: StoredBackup, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says FULL when the journal or log finds no room: the live file is as before."""
    old = lines_of(live)
    open_file = connect.open_file

    def small_file(path: Path, mode: str = "ro") -> sqlite3.Connection:
        connection = open_file(path, mode)
        if path == live and mode == "rw":
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + 1}").fetchall()
        return connection

    larger = Path(backup.data_path).with_name("larger.sqlite")
    make_large(larger, wal=False, megabytes=12)
    monkeypatch.setattr(swap, "open_file", small_file)
    with opened(live) as target:
        load_new(target, stored(larger), "new.db")
        with pytest.raises(StorageError, match=r"the disk that holds .*app\.db is full"):
            drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    assert lines_of(live) == old


def test_a_backup_without_tables_replaces_nothing(live: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.sqlite"
    ask(empty, "PRAGMA user_version = 1")
    old = lines_of(live)
    with opened(live) as target:
        load_new(target, stored(empty), "new.db")
        with pytest.raises(RefusedError, match=r"has no tables, so nothing is replaced by it"):
            drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    assert lines_of(live) == old


def test_an_empty_live_file_takes_the_contents(tmp_path: Path, backup: StoredBackup) -> None:
    (tmp_path / "app.db").touch()
    with opened(tmp_path / "app.db") as target:
        load_new(target, backup, "new.db")
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    assert lines_of(tmp_path / "app.db") == lines_of(Path(backup.data_path))


def test_a_read_only_profile_changes_nothing(tmp_path: Path, backup: StoredBackup) -> None:
    with opened(tmp_path / "app.db", read_only=True) as target:
        with pytest.raises(RefusedError, match=r"profile app is read-only"):
            BACKUPS.create_database(target, "new.db", "", CONTENTS)
        with pytest.raises(RefusedError, match=r"profile app is read-only"):
            drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
    assert not (tmp_path / "new.db").exists()
