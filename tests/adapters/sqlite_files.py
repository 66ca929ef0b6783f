"""Database files for the tests of the SQLite adapter, and the few words to drive it."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import connect
from dbtui.adapters.sqlite.adapter import ADAPTER
from dbtui.adapters.sqlite.connect import SqliteTarget
from dbtui.model.backups import (
    BackupContents,
    BackupFormat,
    Compression,
    CompressionKind,
    DumpOptions,
    DumpRequest,
    DumpResult,
    LoadRequest,
    StoredBackup,
    TableName,
)
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Event

ResultT = TypeVar("ResultT")
BACKUPS = ADAPTER.backups
NONE = Compression()
GZIP = Compression(CompressionKind.GZIP)
ZSTD = Compression(CompressionKind.ZSTD)
CONTENTS = BackupContents(engine=EngineName.SQLITE)
SUFFIX = {CompressionKind.NONE: "", CompressionKind.GZIP: ".gz", CompressionKind.ZSTD: ".zst"}

NASTY = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, "e mail" TEXT UNIQUE, photo BLOB);
CREATE TABLE "we""ird [red]" ("a""b" TEXT, "" TEXT, [select] INT);
CREATE TABLE keyed (code TEXT PRIMARY KEY, amount REAL) WITHOUT ROWID;
CREATE TABLE orders (
  id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INT REFERENCES users (id), price INT, count INT,
  total INT AS (price * count) VIRTUAL, shout TEXT AS (upper('x' || id)) STORED);
CREATE TABLE loose (value);
CREATE INDEX orders_by_user ON orders (user_id, price DESC);
CREATE INDEX big_orders ON orders (price) WHERE price > 50;
CREATE INDEX by_expression ON users (lower(name));
CREATE VIRTUAL TABLE notes USING fts5 (title, body);
CREATE VIRTUAL TABLE old_notes USING fts4 (body);
CREATE VIRTUAL TABLE places USING rtree (id, x0, x1, y0, y1);
CREATE VIEW spent AS SELECT u.name, sum(o.total) AS total FROM users u JOIN orders o ON o.user_id = u.id GROUP BY 1;
CREATE TRIGGER no_negative BEFORE INSERT ON orders WHEN new.price < 0
BEGIN SELECT raise(ABORT, 'no; negative'); END;
INSERT INTO "we""ird [red]" VALUES ('[bold]x', char(10) || char(9), NULL);
INSERT INTO keyed VALUES ('a', 1.5), ('b', -0.0), ('ü', 9e99);
INSERT INTO loose VALUES (NULL), (x'00ff'), (cast(x'ff41fe' AS TEXT)), (12), (1.25), (''), (zeroblob(70000));
INSERT INTO notes VALUES ('first', 'hello world'), ('second', 'goodbye world');
INSERT INTO old_notes VALUES ('hello');
INSERT INTO places VALUES (1, 0, 1, 0, 1), (2, 5, 6, 5, 6);
PRAGMA user_version = 42;
PRAGMA application_id = 1234567;
"""
NASTY_TABLES = ("keyed", "loose", "notes", "old_notes", "orders", "places", "users", 'we"ird [red]')


def make_database(path: Path, *, wal: bool = False, page_size: int = 4096, rows: int = 300) -> Path:
    """Make a database with everything in it that has ever broken a copy."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA page_size = {page_size}")
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(NASTY)
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO users VALUES (?, ?, ?, ?)",
            ((n, f"user {n}", f"u{n}@example.org", bytes(range(n % 256))) for n in range(1, rows + 1)),
        )
        connection.executemany(
            "INSERT INTO orders (user_id, price, count) VALUES (?, ?, ?)",
            ((n % rows + 1, n % 100, n % 7) for n in range(rows * 2)),
        )
        connection.execute("COMMIT")
        connection.execute("DELETE FROM orders WHERE id % 5 = 0")
        connection.execute("DELETE FROM loose WHERE value = 12")
    return path


def make_large(path: Path, *, wal: bool, megabytes: int = 40) -> Path:
    """Make a database of one table that takes a while to copy."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t (v) VALUES (?)", ((bytes(100_000),) for _ in range(megabytes * 10)))
        connection.execute("COMMIT")
        connection.executescript("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INT)")
        connection.executescript("INSERT INTO accounts VALUES (1, 500), (2, 500)")
    return path


def lines_of(path: Path) -> list[str]:
    """Everything in a database as SQL text, to compare two of them."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.text_factory = _decode
        lines = list(connection.iterdump())
        lines += (
            [repr(row) for row in connection.execute("SELECT rowid, * FROM loose")] if "loose" in str(lines) else []
        )
        settings = ("user_version", "application_id", "encoding")
        return lines + [f"{each} {connection.execute(f'PRAGMA {each}').fetchone()[0]}" for each in settings]


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Run one statement on a database of its own connection."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.text_factory = _decode
        return connection.execute(statement).fetchall()


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def profile_of(path: Path | str, *, read_only: bool = False) -> ConnectionProfile:
    """The profile of a file."""
    text = str(path)
    url = f"sqlite:///{quote(text, safe='/', errors='surrogateescape')}"
    return ConnectionProfile(name="app", engine=EngineName.SQLITE, url=url, database=text, read_only=read_only)


@contextmanager
def opened(
    path: Path | str, cancellation: Cancellation | None = None, *, read_only: bool = False
) -> Iterator[SqliteTarget]:
    """A target, closed at the end."""
    target = connect.open_target(profile_of(path, read_only=read_only), None, cancellation or Cancellation(), {})
    try:
        yield target
    finally:
        target.close()


def drive(routine: Generator[Event, None, ResultT], events: list[Event] | None = None) -> ResultT:
    """Run a routine to its end and return its result."""
    while True:
        try:
            event = next(routine)
        except StopIteration as end:
            result: ResultT = end.value
            return result
        if events is not None:
            events.append(event)


def dump_to(
    source: Path,
    folder: Path,
    options: DumpOptions | None = None,
    *,
    cancellation: Cancellation | None = None,
    events: list[Event] | None = None,
) -> tuple[DumpResult, StoredBackup]:
    """Take a backup with the adapter alone and give it its final name."""
    options = options or DumpOptions(format=BackupFormat.COPY)
    final = folder / f"app-20261122T150000Z.sqlite{SUFFIX[options.compression.kind]}"
    partial = final.with_name(final.name + ".partial")
    with opened(source, cancellation) as target:
        facts = BACKUPS.collect_dump_facts(target, options)
        request = DumpRequest(partial_path=str(partial), options=options, facts=facts)
        result = drive(BACKUPS.dump(target, request), events)
    partial.rename(final)
    return result, stored(final, options.compression)


def stored(path: Path, compression: Compression = NONE) -> StoredBackup:
    """A file as a foreign backup."""
    return StoredBackup(
        backup_id=path.name,
        engine=EngineName.SQLITE,
        format=BackupFormat.COPY,
        compression=compression,
        data_path=str(path),
    )


def options(**asked: object) -> DumpOptions:
    """Options of a copy."""
    return replace(DumpOptions(format=BackupFormat.COPY), **asked)  # type: ignore[arg-type]


@contextmanager
def busy_writer(path: Path) -> Iterator[list[int]]:
    """Move money between the two accounts of `make_large`, as fast as it goes, until they are gone; the list counts."""
    stop, moved = threading.Event(), [0]

    def work() -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            while not stop.is_set():
                connection.execute("BEGIN IMMEDIATE")
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'accounts'").fetchall():
                    return
                connection.execute("UPDATE accounts SET balance = balance - 1 WHERE id = 1")
                connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 2")
                connection.execute("UPDATE t SET v = zeroblob(100000) WHERE id = 1 + ? % 30", (moved[0],))
                connection.execute("COMMIT")
                moved[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not moved[0] and time.monotonic() < deadline:
            stop.wait(0.001)
        yield moved
    finally:
        stop.set()
        thread.join()


def load_new(target: SqliteTarget, backup: StoredBackup, database: str, tables: tuple[TableName, ...] = ()) -> None:
    """Create a new file and load a backup into it."""
    BACKUPS.create_database(target, database, "", CONTENTS)
    request = LoadRequest(backup=backup, contents=CONTENTS, database=database, tables=tables)
    drive(BACKUPS.load(target, request))


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path: Path, statement: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a transaction until the block ends."""
    words = [sys.executable, "-c", HOLDER, str(path), statement]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder
