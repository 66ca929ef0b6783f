"""Backup directories with a long past: real backups of an SQLite file, made again under other dates."""

import json
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dbtui.config import parse_url
from dbtui.model.backups import DumpOptions
from dbtui.model.connections import ConnectionProfile
from dbtui.routines.backups import create_backup
from dbtui.routines.context import RoutineContext

DAY = timedelta(days=1)


def make_file(path: Path, rows: int = 50) -> ConnectionProfile:
    """Make a database file and return its profile, whose backups lie in `backups` beside it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE readings (id INTEGER PRIMARY KEY, value REAL)")
        connection.executemany("INSERT INTO readings (value) VALUES (?)", [(each / 7,) for each in range(rows)])
    return parse_url(f"sqlite:///{path}", path.stem)


def back_up(profile: ConnectionProfile, directory: Path) -> str:
    """Make a backup now and return its id."""
    making = create_backup(RoutineContext(), profile, directory, DumpOptions())
    while True:
        try:
            next(making)
        except StopIteration as end:
            return str(end.value.manifest.backup_id)


def date_back(directory: Path, backup_id: str, ages: Iterable[timedelta], **facts: Any) -> list[str]:
    """Copy a backup to other dates, so long before now; return the ids. `facts` are other words of the manifest."""
    now = datetime.now(UTC)
    made = []
    for age in ages:
        moment = now - age
        fresh = f"{facts.get('database', backup_id.rpartition('-')[0])}-{moment:%Y%m%dT%H%M%SZ}"
        manifest = json.loads((directory / f"{backup_id}.sqlite.manifest.json").read_text())
        stamp = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        manifest |= {"backup_id": fresh, "begin_time": stamp, "end_time": stamp, **facts}
        manifest["files"][0]["path"] = f"{fresh}.sqlite"
        shutil.copy(directory / f"{backup_id}.sqlite", directory / f"{fresh}.sqlite")
        (directory / f"{fresh}.sqlite.manifest.json").write_text(json.dumps(manifest))
        made.append(fresh)
    return made


def ids_in(directory: Path) -> set[str]:
    """The ids of the backups that lie in a directory with manifest and data."""
    manifests = {path.name.removesuffix(".sqlite.manifest.json") for path in directory.glob("*.manifest.json")}
    return {each for each in manifests if (directory / f"{each}.sqlite").exists()}
