"""Damaged and hostile backups of SQLite are refused with a sentence before anything of them is used."""

import contextlib
import os
import random
import sqlite3
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import check, connect, unpacked
from dbtui.adapters.sqlite.schema import collect_schema
from dbtui.errors import Cancelled, DamagedBackupError, DbtuiError
from dbtui.model.backups import Compression, StoredBackup, TableName
from dbtui.model.events import Event, Progressed, Warned
from tests.adapters.sqlite_files import BACKUPS, GZIP, NONE, ZSTD, drive, dump_to, make_database, options, stored

ANY = Cancellation()


def problems_of(backup: StoredBackup) -> tuple[str, ...]:
    """What check_archive says, as a verification would show it."""
    try:
        return drive(BACKUPS.check_archive(backup, Cancellation()))
    except DamagedBackupError as error:
        return (str(error),)


def assert_one_sentence(problems: tuple[str, ...]) -> None:
    for problem in problems:
        assert problem
        assert "\n" not in problem
        assert "Traceback" not in problem


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a sound copy."""
    folder = tmp_path_factory.mktemp("sound")
    dump_to(make_database(folder / "app.db"), folder)
    return (folder / "app-20261122T150000Z.sqlite").read_bytes()


def write(folder: Path, content: bytes, name: str = "x.sqlite") -> StoredBackup:
    (folder / name).write_bytes(content)
    return stored(folder / name)


@pytest.mark.parametrize("compression", [NONE, GZIP, ZSTD], ids=str)
def test_a_sound_backup_passes(tmp_path: Path, compression: Compression) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db", wal=True), tmp_path, options(compression=compression))
    events: list[Event] = []
    assert drive(BACKUPS.check_archive(backup, ANY), events) == ()
    assert not [event for event in events if isinstance(event, Warned)]


# ---------------------------------------------------------------- damage


def test_every_truncation_is_refused(tmp_path: Path, sound: bytes) -> None:
    cuts = {0, 1, 15, 16, 99, 100, 4095, 4096, len(sound) - 1, len(sound) - 4096}
    cuts |= {random.Random(7).randrange(len(sound)) for _ in range(60)}
    for cut in cuts:
        problems = problems_of(write(tmp_path, sound[:cut]))
        assert problems, f"cut at {cut}"
        assert_one_sentence(problems)
        with pytest.raises(DamagedBackupError):
            BACKUPS.collect_contents(stored(tmp_path / "x.sqlite"), ANY)


@pytest.mark.parametrize("compression", [GZIP, ZSTD], ids=str)
def test_every_truncation_and_flip_of_a_packed_backup_is_refused(tmp_path: Path, compression: Compression) -> None:
    _, backup = dump_to(make_database(tmp_path / "app.db"), tmp_path, options(compression=compression))
    path, dice = Path(backup.data_path), random.Random(11)
    packed = path.read_bytes()
    for _ in range(15):
        path.write_bytes(packed[: dice.randrange(len(packed))])
        assert_one_sentence(problems_of(backup))
        assert problems_of(backup)
        flipped = bytearray(packed)
        flipped[dice.randrange(20, len(packed))] ^= 1 << dice.randrange(8)
        path.write_bytes(flipped)
        assert problems_of(backup)
        assert_one_sentence(problems_of(backup))
    unpacked.remove_copies()


def test_bit_flips_never_break_the_check(tmp_path: Path, sound: bytes) -> None:
    """SQLite keeps no checksums: a flip within a value is the manifest's to find. Whatever is found is a sentence."""
    dice, found = random.Random(3), 0
    for _ in range(200):
        flipped = bytearray(sound)
        flipped[dice.randrange(len(sound))] ^= 1 << dice.randrange(8)
        backup = write(tmp_path, bytes(flipped))
        problems = problems_of(backup)
        found += bool(problems)
        assert_one_sentence(problems)
        with contextlib.suppress(DbtuiError):
            for table in BACKUPS.collect_contents(backup, ANY).tables:
                BACKUPS.collect_sample(backup, table.table_name, 5, ANY)
                BACKUPS.show_definition(backup, table.table_name, ANY)
    assert found > 20


def test_pages_of_zeros_and_of_noise_are_found(tmp_path: Path, sound: bytes) -> None:
    for page in range(1, len(sound) // 4096):
        for noise in (bytes(4096), random.Random(page).randbytes(4096)):
            backup = write(tmp_path, sound[: page * 4096] + noise + sound[(page + 1) * 4096 :])
            assert_one_sentence(problems_of(backup))
    damaged = sound[:4096] + b"\x00" * (len(sound) - 4096)
    assert problems_of(write(tmp_path, damaged))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PGDMP\x01\x0e\x00" + os.urandom(500), "an archive of pg_dump, not an SQLite database"),
        (b"--\n-- PostgreSQL database dump\n--\n", "a text dump of PostgreSQL, not an SQLite database"),
        (b"-- MariaDB dump 10.19\nCREATE TABLE `t` (a int);", "a text dump of MariaDB, not an SQLite database"),
        (b"-- MySQL dump 10.13\n", "a text dump of MySQL, not an SQLite database"),
        (zlib.compress(b"x" * 1000, wbits=31), "gzip data, not an SQLite database"),
        (random.Random(1).randbytes(8192), "something else, or encrypted, not an SQLite database"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in problems_of(write(tmp_path, content))[0]
    with pytest.raises(DamagedBackupError, match=said):
        BACKUPS.collect_contents(stored(tmp_path / "x.sqlite"), ANY)


def test_a_name_that_says_the_wrong_packing(tmp_path: Path, sound: bytes) -> None:
    (tmp_path / "x.sqlite.zst").write_bytes(sound)
    assert "damaged" in problems_of(stored(tmp_path / "x.sqlite.zst", ZSTD))[0]


def test_an_index_that_does_not_fit_its_table_is_found(tmp_path: Path) -> None:
    path = make_database(tmp_path / "x.sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON;"
            "UPDATE sqlite_master SET sql = 'CREATE INDEX orders_by_user ON orders (price, user_id)' "
            "WHERE name = 'orders_by_user'"
        )
    assert any("orders_by_user" in problem for problem in problems_of(stored(path)))


def test_rows_without_their_parent_are_a_warning(tmp_path: Path) -> None:
    path = make_database(tmp_path / "x.sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM users WHERE id = 3")
    events: list[Event] = []
    assert drive(BACKUPS.check_archive(stored(path), ANY), events) == ()
    (warning,) = (event.message for event in events if isinstance(event, Warned))
    assert warning == "orders has 2 rows that refer to rows that do not exist"


def test_a_bomb_is_stopped_at_the_size_that_its_header_tells(tmp_path: Path, sound: bytes) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = bomb.compress(sound) + b"".join(bomb.compress(bytes(1 << 20)) for _ in range(300)) + bomb.flush()
    (tmp_path / "x.sqlite.gz").write_bytes(packed)
    assert "unpacks to more than" in problems_of(stored(tmp_path / "x.sqlite.gz", GZIP))[0]


# ---------------------------------------------------------------- hostile definitions

CANARY = "canary"


def poison(path: Path, statements: str) -> StoredBackup:
    """Change a database's own list of definitions by hand."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA writable_schema = ON; {statements}")
    return stored(path)


INSERT = "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES "
POISONS: dict[str, Callable[[str], str]] = {
    "a view that loads code": lambda canary: f"CREATE VIEW v AS SELECT load_extension('{canary}')",
    "a view that writes a file": lambda canary: f"CREATE VIEW v AS SELECT writefile('{canary}', 'x')",
    "a trigger that writes a file": lambda canary: (
        f"CREATE TRIGGER g AFTER INSERT ON users BEGIN SELECT writefile('{canary}', 'x'); END"
    ),
    "a trigger that sets a tokenizer": lambda _canary: (
        "CREATE TRIGGER g AFTER DELETE ON users BEGIN SELECT fts3_tokenizer('simple', x'4141414141414141'); END"
    ),
    "a default that reads a file": lambda _canary: "CREATE TABLE d (a DEFAULT (readfile('/etc/passwd')))",
    "a view in the place of a table": lambda canary: (
        f"UPDATE sqlite_master SET rootpage = 0, sql = 'CREATE VIEW users AS SELECT writefile(''{canary}'', 1)' "
        "WHERE name = 'users'"
    ),
    "two statements": lambda canary: (
        f"UPDATE sqlite_master SET sql = sql || '; ATTACH ''{canary}'' AS x' WHERE name = 'keyed'"
    ),
    "no definition": lambda _canary: "UPDATE sqlite_master SET sql = NULL WHERE name = 'keyed'",
    "garbage": lambda _canary: "UPDATE sqlite_master SET sql = 'CREATE TABLE keyed (((' WHERE name = 'keyed'",
    "an unknown kind": lambda _canary: f"{INSERT} ('gadget', 'g', 'g', 3, 'CREATE TABLE g (a)')",
    "a page that is not there": lambda _canary: "UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'keyed'",
    "a page twice": lambda _canary: (
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'users') "
        "WHERE name = 'keyed'"
    ),
}


@pytest.mark.parametrize("name", POISONS)
def test_a_hostile_definition_is_refused_and_nothing_of_it_runs(tmp_path: Path, name: str) -> None:
    canary = tmp_path / CANARY
    try:
        backup = poison(make_database(tmp_path / "x.sqlite"), POISONS[name](str(canary)))
    except sqlite3.DatabaseError:
        backup = stored(tmp_path / "x.sqlite")
    problems = problems_of(backup)
    assert problems
    assert_one_sentence(problems)
    with contextlib.suppress(DbtuiError):
        for table in BACKUPS.collect_contents(backup, ANY).tables:
            with contextlib.suppress(DbtuiError):
                BACKUPS.collect_sample(backup, table.table_name, 5, ANY)
            BACKUPS.show_definition(backup, table.table_name, ANY)
    assert not canary.exists()


def test_names_that_draw_on_the_screen_are_shown_as_text(tmp_path: Path) -> None:
    path = make_database(tmp_path / "x.sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute('CREATE TRIGGER "\x1b[2J\u202eevil" AFTER INSERT ON users BEGIN SELECT edit(1); END')
    (problem,) = problems_of(stored(path))
    assert "evil" in problem
    assert problem.isprintable()


def test_a_backup_is_opened_without_any_way_out(tmp_path: Path) -> None:
    path = make_database(tmp_path / "x.sqlite")
    with connect.open_untrusted(path) as connection:
        for statement in (
            f"ATTACH '{tmp_path / CANARY}' AS other",
            "SELECT load_extension('x.so')",
            "SELECT fts3_tokenizer('simple')",
            "PRAGMA writable_schema = ON",
            "PRAGMA query_only = OFF",
            "PRAGMA trusted_schema = ON",
            "DELETE FROM users",
            "CREATE TABLE x (a)",
            f"VACUUM INTO '{tmp_path / CANARY}'",
        ):
            with pytest.raises(sqlite3.DatabaseError):
                connection.execute(statement).fetchall()
        assert collect_schema(connection).tables
    assert [each.name for each in tmp_path.iterdir()] == ["x.sqlite"]


def test_an_endless_view_hurts_nobody(tmp_path: Path) -> None:
    path = make_database(tmp_path / "x.sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "CREATE VIEW forever AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT * FROM n"
        )
        connection.execute("CREATE TABLE g (a, b AS (a || hex(zeroblob(100))))")
    began = time.monotonic()
    assert problems_of(stored(path)) == ()
    assert BACKUPS.collect_contents(stored(path), ANY).objects
    assert time.monotonic() - began < 20


def test_a_check_is_cancelled_while_sqlite_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_database(tmp_path / "x.sqlite")
    cancellation = Cancellation()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    monkeypatch.setattr(check, "find_damage", lambda connection: connection.execute(endless).fetchall())
    routine = BACKUPS.check_archive(stored(path), cancellation)
    for event in routine:
        if isinstance(event, Progressed) and event.unit == "pages":
            cancellation.request("SIGTERM")
            break
    began = time.monotonic()
    with pytest.raises(Cancelled, match=r"SIGTERM"):
        drive(routine)
    assert time.monotonic() - began < 5


def test_a_backup_that_is_gone_is_told(tmp_path: Path) -> None:
    for name, compression in (("gone.sqlite", NONE), ("gone.sqlite.gz", GZIP)):
        with pytest.raises(DbtuiError, match=r"gone\.sqlite"):
            BACKUPS.collect_contents(stored(tmp_path / name, compression), ANY)
    with pytest.raises(DbtuiError, match=r"not a regular file"):
        BACKUPS.collect_sample(stored(tmp_path), TableName("main", "t"), 5, ANY)
