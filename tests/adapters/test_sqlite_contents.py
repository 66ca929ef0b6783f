"""Looking into a backup: the same whether it is packed or not, and nothing of it is changed or left behind."""

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import unpacked
from dbtui.errors import Cancelled, DamagedBackupError, StorageError, UsageError
from dbtui.model.backups import Compression, TableName
from tests.adapters.sqlite_files import (
    BACKUPS,
    GZIP,
    NASTY_TABLES,
    NONE,
    ZSTD,
    ask,
    drive,
    dump_to,
    make_database,
    make_large,
    options,
    stored,
)

ANY = Cancellation()


@pytest.fixture(autouse=True)
def own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies are unpacked where this test can count them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("compression", [NONE, GZIP, ZSTD], ids=str)
def test_contents(tmp_path: Path, compression: Compression) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path, options(compression=compression))
    found = BACKUPS.collect_contents(backup, ANY)
    assert tuple(table.name for table in found.tables) == NASTY_TABLES
    assert {table.name: table.rows for table in found.tables}["orders"] == 480
    assert all(table.rows_are == "exact" and table.bytes for table in found.tables)
    assert {(each.kind, each.name) for each in found.objects} == {
        ("view", "spent"), ("trigger", "no_negative"),
        ("index", "orders_by_user"), ("index", "big_orders"), ("index", "by_expression"),
    }  # fmt: skip
    assert found.server_version == sqlite3.sqlite_version
    assert found.database == "app-20261122T150000Z"
    assert found.schemas == ("main",)
    assert found.warnings == ()


@pytest.mark.parametrize("compression", [NONE, ZSTD], ids=str)
def test_definition_and_rows(tmp_path: Path, compression: Compression) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path, options(compression=compression))
    definition = BACKUPS.show_definition(backup, TableName("main", "orders"), ANY)
    assert definition.startswith("CREATE TABLE orders (")
    assert "CREATE INDEX orders_by_user ON orders (user_id, price DESC);" in definition
    assert "CREATE TRIGGER no_negative" in definition
    sample = BACKUPS.collect_sample(backup, TableName("main", "orders"), 2, ANY)
    assert sample.columns == ("id", "user_id", "price", "count", "total", "shout")
    assert sample.rows == (("1", "1", "0", "0", "0", "X1"), ("2", "2", "1", "1", "1", "X2"))
    assert sample.more


def test_values_of_every_kind_are_shown(tmp_path: Path) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path)
    sample = BACKUPS.collect_sample(backup, TableName("", "LOOSE"), 50, ANY)
    assert sample.rows == (
        (None,), ("x'00ff'",), ("\\xffA\\xfe",), ("1.25",), ("",), (f"x'{'00' * 32}…'",),
    )  # fmt: skip
    assert not sample.more
    weird = BACKUPS.collect_sample(backup, TableName("main", 'we"ird [red]'), 50, ANY)
    assert (weird.columns, weird.rows) == (('a"b', "", "select"), (("[bold]x", "\n\t", None),))
    notes = BACKUPS.collect_sample(backup, TableName("main", "notes"), 1, ANY)
    assert (notes.columns, notes.rows, notes.more) == (("title", "body"), (("first", "hello world"),), True)


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (?)", ("ü" * 5000,))
        connection.commit()
    ((value,),) = BACKUPS.collect_sample(stored(path), TableName("main", "t"), 5, ANY).rows
    assert value == "ü" * 1000 + "…"


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path)
    for name in (TableName("main", "nope"), TableName("other", "users"), TableName("main", "notes_data")):
        with pytest.raises(UsageError, match=r"the backup has no table"):
            BACKUPS.show_definition(backup, name, ANY)
        with pytest.raises(UsageError, match=r"the backup has no table"):
            BACKUPS.collect_sample(backup, name, 5, ANY)


def test_looking_changes_nothing_and_leaves_nothing_beside_the_backup(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    path = make_database(folder / "live-copy.sqlite", wal=True)
    before = path.read_bytes()
    BACKUPS.collect_contents(stored(path), ANY)
    BACKUPS.collect_sample(stored(path), TableName("main", "users"), 5, ANY)
    assert path.read_bytes() == before
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_a_log_beside_a_copy_made_by_hand_is_warned_of(tmp_path: Path) -> None:
    path = make_database(tmp_path / "copied.sqlite")
    Path(f"{path}-wal").write_bytes(b"x" * 4096)
    assert any("copied.sqlite-wal" in warning for warning in BACKUPS.collect_contents(stored(path), ANY).warnings)


def test_a_packed_backup_is_unpacked_once_privately_and_removed(
    tmp_path: Path, own_temporary_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path, options(compression=ZSTD))
    unpacking: list[object] = []
    real = unpacked._unpack
    monkeypatch.setattr(unpacked, "_unpack", lambda *words: unpacking.append(words) or real(*words))  # type: ignore[func-returns-value]
    BACKUPS.collect_contents(backup, ANY)
    BACKUPS.collect_sample(backup, TableName("main", "users"), 5, ANY)
    BACKUPS.show_definition(backup, TableName("main", "users"), ANY)
    assert len(unpacking) == 1
    (folder,) = own_temporary_files.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}
    unpacked.remove_copies()
    assert not list(own_temporary_files.iterdir())


def test_what_a_killed_run_unpacked_is_swept(tmp_path: Path, own_temporary_files: Path) -> None:
    left = own_temporary_files / "dbtui-unpacked-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "backup.sqlite").write_bytes(b"secret rows")
    stranger = own_temporary_files / "dbtui-unpacked-without-lock"
    stranger.mkdir()
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path, options(compression=GZIP))
    BACKUPS.collect_contents(backup, ANY)
    assert not left.exists()
    assert stranger.exists()
    unpacked.remove_copies()


def test_unpacking_is_cancelled_and_leaves_nothing(tmp_path: Path, own_temporary_files: Path) -> None:
    _, backup = dump_to(make_large(tmp_path / "app.db", wal=False), tmp_path, options(compression=ZSTD))
    cancellation = Cancellation()
    seen: list[int] = []

    def tell(done: int, _limit: int) -> None:
        seen.append(done)
        cancellation.request("Ctrl-C")

    with (
        pytest.raises(Cancelled, match=r"Ctrl-C"),
        unpacked.readable_file(backup, cancellation, tell),
    ):
        raise AssertionError
    assert len(seen) == 1
    assert not list(own_temporary_files.iterdir())


def test_no_room_to_unpack_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path, options(compression=ZSTD))
    monkeypatch.setattr(unpacked, "_free_bytes", lambda _folder: 1000)
    with pytest.raises(StorageError, match=r"are needed to unpack the backup .*TMPDIR"):
        BACKUPS.collect_contents(backup, ANY)


def test_a_file_that_changes_is_unpacked_again(tmp_path: Path) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path, options(compression=GZIP))
    assert BACKUPS.collect_contents(backup, ANY).tables
    path = Path(backup.data_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedBackupError, match=r"ends too early"):
        BACKUPS.collect_contents(backup, ANY)
    unpacked.remove_copies()


def test_a_file_copied_in_the_middle_of_a_transaction_is_refused(tmp_path: Path) -> None:
    """Its journal holds the way back; without that, rows nobody committed would be restored."""
    live, copy = make_database(tmp_path / "app.db"), tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(live, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 5")
        writer.execute("BEGIN")
        writer.execute("UPDATE users SET name = 'nobody committed this'")
        writer.executemany("INSERT INTO orders (user_id, price, count) VALUES (1, ?, 1)", ((n,) for n in range(20_000)))
        for suffix in ("", "-journal"):
            shutil.copy(f"{live}{suffix}", f"{copy}{suffix}")
        writer.execute("ROLLBACK")
    assert b"nobody committed this" in copy.read_bytes()
    for look in (
        lambda: BACKUPS.collect_contents(stored(copy), ANY),
        lambda: drive(BACKUPS.check_archive(stored(copy), ANY)),
    ):
        with pytest.raises(
            DamagedBackupError, match=r"copy\.db-journal lies beside it: copy\.db was copied in the middle"
        ):
            look()
    assert ask(copy, "SELECT COUNT(*) FROM users WHERE name LIKE 'nobody%'") == [(0,)], "as the hint says"
    assert BACKUPS.collect_contents(stored(copy), ANY).warnings == ()
    journal = Path(f"{copy}-journal")
    journal.write_bytes(bytes(4096))
    assert BACKUPS.collect_contents(stored(copy), ANY).warnings == (), "PRAGMA journal_mode = PERSIST leaves zeros"
