"""What the tests of the MySQL adapter share."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, StoredBackup
from dbtui.model.connections import ConnectionProfile, EngineName, Secret

ResultT = TypeVar("ResultT")


def drain(routine: Generator[object, None, ResultT]) -> ResultT:
    """Run a routine to its end and return its result."""
    return collect(routine)[1]


def collect(routine: Generator[object, None, ResultT]) -> tuple[list[object], ResultT]:
    """Run a routine to its end and return its events and its result."""
    events: list[object] = []
    while True:
        try:
            events.append(next(routine))
        except StopIteration as end:
            return events, end.value


def profile_of(url: str, **settings: object) -> tuple[ConnectionProfile, Secret | None]:
    """Return the profile and the password that a URL of a throwaway server stands for."""
    parts = urlsplit(url)
    password = Secret(unquote(parts.password)) if parts.password else None
    bare = url.replace(f":{parts.password}@", "@", 1) if parts.password else url
    database = unquote(parts.path.removeprefix("/"))
    profile = ConnectionProfile(name="test", engine=EngineName.MYSQL, url=bare, database=database, **settings)  # type: ignore[arg-type]
    return profile, password


def open_mysql(url: str, cancellation: Cancellation | None = None, **settings: object) -> MysqlTarget:
    """Connect to the database that a URL names."""
    profile, password = profile_of(url, **settings)
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    return MysqlTarget(profile, password, cancellation or Cancellation(), environ)


def stored_dump(path: Path, text: str | bytes = b"") -> StoredBackup:
    """Return a foreign dump; `text`, if any, is written to it first."""
    if text:
        path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    kind = {".zst": CompressionKind.ZSTD, ".gz": CompressionKind.GZIP}.get(path.suffix, CompressionKind.NONE)
    return StoredBackup(
        backup_id=path.name,
        engine=EngineName.MYSQL,
        format=BackupFormat.PLAIN,
        compression=Compression(kind),
        data_path=str(path),
    )


def parse_kind(packing: str) -> CompressionKind:
    """Return a packing by its name."""
    return CompressionKind(packing)
