"""The online backup: exact, of one moment, with progress, and nothing left when it fails."""

import contextlib
import hashlib
import sqlite3
import stat
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import copying
from dbtui.adapters.streams import open_raw
from dbtui.errors import Cancelled, ConnectError, RefusedError, ServerError
from dbtui.model.backups import Compression, DumpRequest
from dbtui.model.events import CommandRan, Event, Progressed, StepFinished, Warned
from tests.adapters.sqlite_files import (
    BACKUPS,
    GZIP,
    NASTY_TABLES,
    NONE,
    ZSTD,
    ask,
    busy_writer,
    drive,
    dump_to,
    lines_of,
    make_database,
    make_large,
    opened,
    options,
)


@pytest.mark.parametrize("compression", [NONE, GZIP, ZSTD], ids=str)
@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
def test_a_copy_is_exact_private_and_plain(tmp_path: Path, wal: bool, compression: Compression) -> None:
    source = make_database(tmp_path / "app.db", wal=wal)
    folder = tmp_path / "backups"
    folder.mkdir()
    result, backup = dump_to(source, folder, options(compression=compression))

    path = Path(backup.data_path)
    assert [each.name for each in folder.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert result.files[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result.files[0].size_bytes == path.stat().st_size
    with open_raw(path, compression) as packed:
        plain = packed.read()
    assert result.uncompressed_bytes == len(plain)
    assert plain[18:20] == b"\x01\x01", "the copy needs no write-ahead log"
    copy = tmp_path / "copy.db"
    copy.write_bytes(plain)
    assert lines_of(copy) == lines_of(source)
    assert ask(copy, "PRAGMA integrity_check") == [("ok",)]


def test_rows_are_exact_and_shadow_tables_are_not_shown(tmp_path: Path) -> None:
    result, _ = dump_to(make_database(tmp_path / "app.db"), tmp_path)
    assert tuple(table.name for table in result.tables) == NASTY_TABLES
    assert {table.schema for table in result.tables} == {"main"}
    assert {table.rows_are for table in result.tables} == {"exact"}
    rows = {table.name: table.rows for table in result.tables}
    assert rows == {
        "keyed": 3, "loose": 6, "notes": 2, "old_notes": 1, "orders": 480, "places": 2, "users": 300, 'we"ird [red]': 1,
    }  # fmt: skip
    assert all(table.bytes for table in result.tables)
    assert set(result.extensions) == {"fts4", "fts5", "rtree"}


@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
def test_a_writer_neither_starves_the_copy_nor_gets_into_it(tmp_path: Path, wal: bool) -> None:
    source = make_large(tmp_path / "app.db", wal=wal)
    events: list[Event] = []
    with busy_writer(source) as moved:
        before = moved[0]
        dump_to(source, tmp_path, events=events)
        during = moved[0] - before
    copy = tmp_path / "app-20261122T150000Z.sqlite"
    assert during > 0 or not wal
    assert ask(copy, "SELECT sum(balance) FROM accounts") == [(1000,)]
    assert ask(copy, "PRAGMA integrity_check") == [("ok",)]
    assert not [event for event in events if isinstance(event, Warned)], "no step saw the copy start again"


def test_progress_comes_in_bytes_and_never_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "PAGES_A_STEP", 64)
    source = make_large(tmp_path / "app.db", wal=True)
    events: list[Event] = []
    dump_to(source, tmp_path, events=events)
    step = next(n for n, event in enumerate(events) if isinstance(event, StepFinished))
    copied = [event for event in events[:step] if isinstance(event, Progressed)]
    size = (tmp_path / "app-20261122T150000Z.sqlite").stat().st_size
    assert copied[-1] == Progressed(size, size, "bytes")
    assert [each.done for each in copied] == sorted(each.done for each in copied)
    assert any(isinstance(event, CommandRan) and "online backup" in event.text for event in events)


def test_a_copy_that_starts_again_is_made_in_one_step(tmp_path: Path) -> None:
    """Without the held snapshot a writer makes SQLite begin anew; the watch sees it and the copy gets done."""
    source_path = make_large(tmp_path / "app.db", wal=True, megabytes=10)
    events: list[Event] = []
    with (
        contextlib.closing(sqlite3.connect(source_path, isolation_level=None, check_same_thread=False)) as source,
        contextlib.closing(sqlite3.connect(tmp_path / "copy.db", check_same_thread=False)) as copy,
        contextlib.closing(sqlite3.connect(source_path, isolation_level=None, check_same_thread=False)) as writer,
    ):
        watch = copying.CopyWatch(source_path)
        seen = watch.step

        def meddling_step(status: int, remaining: int, total: int) -> None:
            writer.execute("UPDATE accounts SET balance = balance + 1")
            seen(status, remaining, total)

        watch.step = meddling_step  # type: ignore[method-assign]
        drive(copying.copy_pages(source, copy, watch, Cancellation(), pages=100), events)
    assert watch.restarts == 1
    assert any(isinstance(event, Warned) and "one step" in event.message for event in events)
    assert ask(tmp_path / "copy.db", "SELECT count(*) FROM t") == [(100,)]


@pytest.mark.parametrize("compression", [NONE, ZSTD], ids=str)
def test_a_cancel_leaves_nothing_and_no_thread(
    tmp_path: Path, compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PAGES_A_STEP", 16)
    source = make_large(tmp_path / "app.db", wal=True)
    cancellation = Cancellation()
    folder = tmp_path / "backups"
    folder.mkdir()
    seen: list[list[str]] = []
    step = copying.CopyWatch.step

    def cancelling_step(watch: copying.CopyWatch, status: int, remaining: int, total: int) -> None:
        if remaining < total // 2:
            seen.append(sorted(each.name for each in folder.iterdir()))
            cancellation.request("Ctrl-C")
        step(watch, status, remaining, total)

    monkeypatch.setattr(copying.CopyWatch, "step", cancelling_step)
    with pytest.raises(Cancelled, match=r"Ctrl-C"):
        dump_to(source, folder, options(compression=compression), cancellation=cancellation)
    assert seen, "it was cancelled in the middle"
    assert all(name.endswith(".partial") for names in seen for name in names)
    assert not list(folder.iterdir())


def test_a_routine_that_is_closed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "PAGES_A_STEP", 1)
    source = make_large(tmp_path / "app.db", wal=True)
    folder = tmp_path / "backups"
    folder.mkdir()
    with opened(source) as target:
        facts = BACKUPS.collect_dump_facts(target, options())
        request = DumpRequest(partial_path=str(folder / "a.sqlite.partial"), options=options(), facts=facts)
        routine = BACKUPS.dump(target, request)
        while not isinstance(next(routine), CommandRan):
            pass
        assert list(folder.iterdir())
        routine.close()
    assert not list(folder.iterdir())


# ---------------------------------------------------------------- some tables, no rows


def test_chosen_tables_come_with_their_indexes_triggers_and_row_numbers(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db", wal=True)
    result, backup = dump_to(source, tmp_path, options(tables=("ord*", "main.LOOSE", "notes")))
    copy = Path(backup.data_path)
    assert {table.name: table.rows for table in result.tables} == {"loose": 6, "notes": 2, "orders": 480}
    assert ask(copy, "SELECT rowid, value FROM loose") == ask(source, "SELECT rowid, value FROM loose")
    assert ask(copy, "SELECT * FROM orders") == ask(source, "SELECT * FROM orders")
    assert ask(copy, "SELECT title FROM notes WHERE notes MATCH 'goodbye'") == [("second",)]
    names = {str(row[0]) for row in ask(copy, "SELECT name FROM sqlite_master WHERE sql IS NOT NULL")}
    assert {"orders_by_user", "big_orders", "no_negative"} <= names
    assert not names & {"users", "spent", "places", "places_node", "keyed", "by_expression"}
    assert ask(copy, "PRAGMA integrity_check") == [("ok",)]
    assert ask(copy, "PRAGMA user_version") == [(42,)]
    assert copy.stat().st_size < result.uncompressed_bytes + 1 <= source.stat().st_size  # type: ignore[operator]


@pytest.mark.parametrize("compression", [NONE, GZIP], ids=str)
def test_excluded_tables_are_left_out_and_views_stay(tmp_path: Path, compression: Compression) -> None:
    source = make_database(tmp_path / "app.db")
    result, _ = dump_to(source, tmp_path, options(exclude_tables=("*notes", "pl?ces"), compression=compression))
    assert [table.name for table in result.tables] == ["keyed", "loose", "orders", "users", 'we"ird [red]']
    if compression is NONE:
        copy = tmp_path / "app-20261122T150000Z.sqlite"
        assert ask(copy, "SELECT count(*) FROM spent") == ask(source, "SELECT count(*) FROM spent")
        assert not ask(copy, "SELECT name FROM sqlite_master WHERE name LIKE 'notes%'")


def test_a_pattern_that_matches_nothing_is_told_and_refused(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    with opened(source) as target:
        assert BACKUPS.collect_dump_facts(target, options(tables=("nope*", "users"))).unmatched == ("nope*",)
    with pytest.raises(RefusedError, match=r"no table matches nope\*"):
        dump_to(source, tmp_path, options(tables=("nope*",)))
    assert [each.name for each in tmp_path.iterdir()] == ["app.db"]


def test_the_schema_alone_has_every_definition_and_no_row(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db", wal=True, page_size=8192)
    result, backup = dump_to(source, tmp_path, options(schema_only=True))
    copy = Path(backup.data_path)
    assert {table.name: table.rows for table in result.tables} == dict.fromkeys(NASTY_TABLES, 0)
    statement = (
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE '%notes\\_%' ESCAPE '\\' ORDER BY 1, 2"
    )
    assert ask(copy, statement) == ask(source, statement)
    assert ask(copy, "PRAGMA user_version") == [(42,)]
    assert ask(copy, "PRAGMA page_size") == [(8192,)]


def test_the_schema_of_some_tables(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    result, _ = dump_to(source, tmp_path, options(schema_only=True, tables=("users",)))
    assert [(table.name, table.rows) for table in result.tables] == [("users", 0)]


# ---------------------------------------------------------------- what the application alone knows


def test_functions_and_collations_of_the_application_do_not_hinder_a_copy(tmp_path: Path) -> None:
    source = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.create_collation("BY_LENGTH", lambda left, right: len(left) - len(right))
        connection.create_function("twice", 1, lambda value: value * 2, deterministic=True)
        connection.executescript(
            """
            CREATE TABLE a (name TEXT COLLATE BY_LENGTH PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE b (n INT CHECK (twice(n) > n), m AS (twice(n)));
            CREATE INDEX on_b ON b (twice(n));
            CREATE UNIQUE INDEX on_a ON a (name COLLATE BY_LENGTH);
            INSERT INTO a VALUES ('zz'), ('aaa'), ('y'); INSERT INTO b (n) VALUES (1), (2), (3);
            """
        )
    result, backup = dump_to(source, tmp_path)
    assert {table.name: table.rows for table in result.tables} == {"a": 3, "b": 3}
    assert drive(BACKUPS.check_archive(backup, Cancellation())) == ()
    sample = BACKUPS.collect_sample(backup, result.tables[1].table_name, 10, Cancellation())
    assert (sample.columns, len(sample.rows)) == (("n",), 3), "the generated column needs the function"


def test_a_virtual_table_whose_module_is_not_here_is_copied_and_told(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) "
            "VALUES ('table', 'maps', 'maps', 0, 'CREATE VIRTUAL TABLE maps USING VirtualShape(x)')"
        )
    with opened(source) as target:
        remarks = BACKUPS.collect_dump_facts(target, options()).remarks
    assert any("maps needs the module virtualshape" in remark for remark in remarks)
    result, backup = dump_to(source, tmp_path)
    assert {table.name: table.rows for table in result.tables}["maps"] is None
    assert result.warnings == ("the rows of maps cannot be counted here: its module is missing",)
    definitions = "SELECT name, sql FROM sqlite_master ORDER BY 1"
    assert ask(Path(backup.data_path), definitions) == ask(source, definitions)
    with pytest.raises(RefusedError, match=r"maps .*needs the module virtualshape"):
        dump_to(source, tmp_path, options(tables=("users",)))


# ---------------------------------------------------------------- failures


def test_no_backup_is_made_of_a_damaged_database(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    damaged = bytearray(source.read_bytes())
    root = int(str(ask(source, "SELECT rootpage FROM sqlite_master WHERE name = 'users'")[0][0]))
    damaged[(root - 1) * 4096 : (root - 1) * 4096 + 64] = b"\xee" * 64
    source.write_bytes(damaged)
    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(ServerError, match=r"app\.db is damaged: .*no backup was made") as caught:
        dump_to(source, folder)
    assert caught.value.code.startswith("SQLITE_CORRUPT")
    assert not list(folder.iterdir())


def test_a_file_that_goes_away_before_the_dump(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    with opened(source) as target:
        facts = BACKUPS.collect_dump_facts(target, options())
        source.unlink()
        request = DumpRequest(partial_path=str(tmp_path / "a.sqlite.partial"), options=options(), facts=facts)
        with pytest.raises(ConnectError, match=r"there is no file .*app\.db"):
            drive(BACKUPS.dump(target, request))
    assert not list(tmp_path.iterdir())


def test_a_writer_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_database(tmp_path / "app.db")
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as writer, opened(source) as target:
        writer.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("dbtui.adapters.sqlite.connect.BUSY_SECONDS", 0.3)
        with pytest.raises(ServerError, match=r"app\.db is locked by another process"):
            BACKUPS.collect_dump_facts(target, options())


def test_a_wait_for_a_lock_is_cancelled(tmp_path: Path) -> None:
    source = make_database(tmp_path / "app.db")
    cancellation = Cancellation()
    with (
        contextlib.closing(sqlite3.connect(source, isolation_level=None)) as writer,
        opened(source, cancellation) as target,
    ):
        writer.execute("BEGIN EXCLUSIVE")
        cancellation.request("SIGTERM")
        with pytest.raises(Cancelled, match=r"SIGTERM"):
            BACKUPS.collect_dump_facts(target, options())
