"""Writes the SQLite file of a small application: devices and what they measured."""

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from dbtui.demo.rows import generate_app
from dbtui.demo.schema import read_schema


def fill_app(path: Path, now: datetime, scale: float = 1.0) -> int:
    """Write the database at `path` (0600, WAL); returns how many rows it has."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    tables = generate_app(now, scale)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("PRAGMA synchronous = off")
        connection.executescript(read_schema("app")[0])
        for table in tables:
            places = ", ".join("?" * len(table.columns))
            columns = ", ".join(table.columns)
            connection.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", table.rows)
        connection.commit()
    return sum(len(table.rows) for table in tables)
