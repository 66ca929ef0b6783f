"""Back up, look into, verify and restore on real PostgreSQL, MariaDB and SQLite; what counts is the rows afterwards."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pymysql
import pytest

from dbtui.config import parse_url
from dbtui.errors import Cancelled, DamagedBackupError, MismatchError
from dbtui.model.backups import (
    BackupEntry,
    BackupFormat,
    Compression,
    CompressionKind,
    CreateResult,
    DumpOptions,
    RestoreOptions,
    RestorePlan,
    RestoreResult,
    TableName,
)
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Routine, StepStarted
from dbtui.model.urls import parse_database_url
from dbtui.routines.backups import (
    apply_restore,
    collect_contents,
    collect_sample,
    create_backup,
    find_backup,
    plan_restore,
    show_definition,
    verify_backup,
)
from dbtui.routines.connections import collect_status
from dbtui.routines.context import RoutineContext
from tests.routines.fake_engine import drive

SETUP = {
    EngineName.POSTGRESQL: """
        CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, photo bytea, born date);
        CREATE TABLE orders (id integer PRIMARY KEY, user_id integer REFERENCES users (id), amount numeric(12, 2));
        CREATE TABLE "odd; name" (value text);
        CREATE INDEX orders_user ON orders (user_id);
        CREATE VIEW spenders AS
            SELECT name, sum(amount) AS spent FROM users JOIN orders ON user_id = users.id GROUP BY name
    """,
    EngineName.MYSQL: """
        CREATE TABLE users (id integer PRIMARY KEY, name varchar(200) NOT NULL, photo blob, born date) CHARSET utf8mb4;
        CREATE TABLE orders (id integer PRIMARY KEY, user_id integer, amount numeric(12, 2),
            FOREIGN KEY (user_id) REFERENCES users (id));
        CREATE TABLE `odd; name` (value text) CHARSET utf8mb4;
        CREATE VIEW spenders AS
            SELECT name, sum(amount) AS spent FROM users JOIN orders ON user_id = users.id GROUP BY name
    """,
    EngineName.SQLITE: """
        CREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, photo blob, born date);
        CREATE TABLE orders (id integer PRIMARY KEY, user_id integer REFERENCES users (id), amount numeric);
        CREATE TABLE "odd; name" (value text);
        CREATE INDEX orders_user ON orders (user_id);
        CREATE VIEW spenders AS
            SELECT name, sum(amount) AS spent FROM users JOIN orders ON user_id = users.id GROUP BY name
    """,
}
NAMES = ["ann", "o'neil", 'say "hi"', "tab\there", "line\nbreak", "back\\slash", "\\.", "🎈 ünï", "[red]x[/]", ""]
TABLES = ("users", "orders", "odd; name")


@dataclass(frozen=True)
class World:
    """One database with data, and ways to look at it that are not ours."""

    profile: ConnectionProfile
    url: str

    @contextlib.contextmanager
    def connect(self, database: str = "") -> Iterator[Any]:
        url = parse_database_url(self.url)
        name = database or url.database
        password = url.password.reveal() if url.password else None
        host, _, port = url.hosts.partition(":")
        if url.engine is EngineName.SQLITE:
            connection: Any = sqlite3.connect(name)
        elif url.engine is EngineName.POSTGRESQL:
            connection = psycopg2.connect(host=host, port=port, user=url.user, password=password, dbname=name)
        else:
            connection = pymysql.connect(
                host=host, port=int(port), user=url.user, password=password or "", database=name, charset="utf8mb4"
            )
        with contextlib.closing(connection):
            yield connection

    def execute(self, *statements: str, database: str = "") -> None:
        with self.connect(database) as connection:
            for statement in statements:
                connection.cursor().execute(statement)
            connection.commit()

    def fill(self) -> None:
        mark = "?" if self.profile.engine is EngineName.SQLITE else "%s"
        users = [(number, name, bytes(range(256)), f"19{number + 70}-02-28") for number, name in enumerate(NAMES)]
        orders = [(number, number % len(NAMES), f"{number}.25") for number in range(500)]
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.executemany(f"INSERT INTO users VALUES ({mark}, {mark}, {mark}, {mark})", users)
            cursor.executemany(f"INSERT INTO orders VALUES ({mark}, {mark}, {mark})", orders)
            odd = self.quoted("odd; name")
            cursor.executemany(f"INSERT INTO {odd} VALUES ({mark})", [(name,) for name in NAMES])
            cursor.execute(f"INSERT INTO {odd} VALUES (NULL)")
            connection.commit()

    def quoted(self, name: str) -> str:
        sign = "`" if self.profile.engine is EngineName.MYSQL else '"'
        return sign + name.replace(sign, sign * 2) + sign

    def rows(
        self, database: str = "", tables: Sequence[str] = (*TABLES, "spenders")
    ) -> dict[str, list[tuple[Any, ...]]]:
        with self.connect(database) as connection:
            found = {}
            for table in tables:
                cursor = connection.cursor()
                cursor.execute(f"SELECT * FROM {self.quoted(table)}")
                rows = [tuple(_plain(value) for value in row) for row in cursor.fetchall()]
                found[table] = sorted(rows, key=repr)
            return found

    def databases(self) -> set[str]:
        if self.profile.engine is EngineName.SQLITE:
            return {str(path) for path in Path(self.profile.database).parent.iterdir() if path.is_file()}
        listing = (
            "SELECT datname FROM pg_database" if self.profile.engine is EngineName.POSTGRESQL else "SHOW DATABASES"
        )
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(listing)
            return {row[0] for row in cursor.fetchall()}

    def drop(self, database: str) -> None:
        if self.profile.engine is not EngineName.SQLITE:
            other = "postgres" if self.profile.engine is EngineName.POSTGRESQL else "mysql"
            with self.connect(other) as connection:
                if self.profile.engine is EngineName.POSTGRESQL:
                    connection.autocommit = True
                connection.cursor().execute(f"DROP DATABASE IF EXISTS {self.quoted(database)}")


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


@pytest.fixture(params=list(EngineName), ids=[engine.value for engine in EngineName])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    engine: EngineName = request.param
    if engine is EngineName.SQLITE:
        (tmp_path / "data").mkdir()
        url = f"sqlite:///{quote(str(tmp_path / 'data' / 'erp.db'))}"
    else:
        url = request.getfixturevalue(
            "postgresql_database" if engine is EngineName.POSTGRESQL else "mariadb_database"
        )  # fmt: skip
    made = World(parse_url(url), url)
    made.execute(*(each for each in SETUP[engine].split(";\n") if each.strip()))
    made.fill()
    before = made.databases()
    yield made
    for database in made.databases() - before:
        made.drop(database)


@pytest.fixture
def c() -> RoutineContext:
    return RoutineContext()


def backed_up(c: RoutineContext, world: World, directory: Path, **options: Any) -> BackupEntry:
    result: CreateResult = drive(create_backup(c, world.profile, directory, DumpOptions(**options)))
    return find_backup(directory, result.manifest.backup_id)


def restored(c: RoutineContext, world: World, entry: BackupEntry, **options: Any) -> RestoreResult:
    plan: RestorePlan = drive(plan_restore(c, entry, world.profile, RestoreOptions(**options)))
    result: RestoreResult = drive(apply_restore(c, world.profile, plan))
    return result


@pytest.mark.parametrize("compression", list(CompressionKind))
def test_into_a_new_database(c: RoutineContext, world: World, tmp_path: Path, compression: CompressionKind) -> None:
    entry = backed_up(c, world, tmp_path / "b", compression=Compression(compression))
    before = world.rows()
    assert (entry.tables, entry.rows) == (3, 521)
    result = restored(c, world, entry)
    assert result.database != world.profile.database
    assert (result.tables, result.rows) == (3, 521)
    assert world.rows(result.database) == before == world.rows()


@pytest.mark.parametrize("world", [EngineName.POSTGRESQL], indirect=True)
@pytest.mark.parametrize("backup_format", [BackupFormat.CUSTOM, BackupFormat.DIRECTORY])
@pytest.mark.parametrize("compression", [CompressionKind.NONE, CompressionKind.GZIP])
def test_archives_of_pg_dump(
    c: RoutineContext, world: World, tmp_path: Path, backup_format: BackupFormat, compression: CompressionKind
) -> None:
    jobs = 2 if backup_format is BackupFormat.DIRECTORY else 1
    entry = backed_up(c, world, tmp_path / "b", format=backup_format, compression=Compression(compression), jobs=jobs)
    result = restored(c, world, entry, jobs=jobs)
    assert world.rows(result.database) == world.rows()
    assert drive(verify_backup(c, entry, world.profile)).problems == ()


def test_over_the_old_one_and_back(c: RoutineContext, world: World, tmp_path: Path) -> None:
    entry = backed_up(c, world, tmp_path / "b")
    before = world.rows()
    world.execute("DELETE FROM orders WHERE id < 100", "INSERT INTO orders VALUES (1000, 1, 1.00)")
    later = world.rows()
    result = restored(c, world, entry, replace=True)
    assert result.database == world.profile.database
    assert world.rows() == before
    assert result.kept_as in world.databases()
    assert result.kept_as in result.undo
    if world.profile.engine is EngineName.POSTGRESQL:
        with world.connect("postgres") as connection:
            connection.autocommit = True
            connection.cursor().execute(f'ALTER DATABASE "{result.kept_as}" ALLOW_CONNECTIONS true')
    if world.profile.engine is not EngineName.MYSQL:
        assert world.rows(result.kept_as) == later
    else:
        assert world.rows(result.kept_as, TABLES) == {table: later[table] for table in TABLES}


def test_chosen_tables(c: RoutineContext, world: World, tmp_path: Path) -> None:
    entry = backed_up(c, world, tmp_path / "b")
    result = restored(c, world, entry, tables=("users",))
    assert (result.tables, result.rows) == (1, len(NAMES))
    assert world.rows(result.database, ("users",)) == world.rows(tables=("users",))


def test_verified_by_a_restore_that_leaves_nothing(c: RoutineContext, world: World, tmp_path: Path) -> None:
    entry = backed_up(c, world, tmp_path / "b")
    before = world.databases()
    result = drive(verify_backup(c, entry, world.profile))
    assert (result.problems, result.proof, result.tables_compared) == ((), "restored", 3)
    assert world.databases() == before
    assert find_backup(tmp_path / "b", entry.backup_id).proof == "restored"


def test_looked_into_without_a_server(c: RoutineContext, world: World, tmp_path: Path) -> None:
    entry = backed_up(c, world, tmp_path / "b", compression=Compression(CompressionKind.ZSTD))
    contents = drive(collect_contents(c, entry))
    counts = {table.name: (table.rows, table.rows_are) for table in contents.tables}
    assert counts == {"users": (10, "exact"), "orders": (500, "exact"), "odd; name": (11, "exact")}
    users = next(table.table_name for table in contents.tables if table.name == "users")
    assert "name" in drive(show_definition(c, entry, users))
    sample = drive(collect_sample(c, entry, users, 3))
    assert sample.columns == ("id", "name", "photo", "born")
    assert [row[1] for row in sample.rows] == NAMES[:3]
    assert sample.more


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_a_truncated_backup_changes_nothing(c: RoutineContext, world: World, tmp_path: Path, share: float) -> None:
    entry = backed_up(c, world, tmp_path / "b")
    before, databases = world.rows(), world.databases()
    data = Path(entry.data_path)
    data.write_bytes(data.read_bytes()[: int(entry.size_bytes * share)])
    assert drive(verify_backup(c, entry, None)).problems
    with pytest.raises(DamagedBackupError):
        restored(c, world, entry, replace=True)
    Path(entry.data_path + ".manifest.json").unlink()
    with pytest.raises(DamagedBackupError):
        restored(c, world, find_backup(tmp_path / "b", str(data)), replace=True)
    assert (world.rows(), world.databases()) == (before, databases)


def test_a_foreign_copy_is_restored_all_the_same(c: RoutineContext, world: World, tmp_path: Path) -> None:
    entry = backed_up(c, world, tmp_path / "b")
    Path(entry.data_path + ".manifest.json").unlink()
    foreign = find_backup(tmp_path / "b", entry.data_path)
    result = restored(c, world, foreign)
    assert world.rows(result.database) == world.rows()


@pytest.mark.parametrize("step", ["dump", "finish"])
def test_a_cancelled_backup_leaves_nothing(c: RoutineContext, world: World, tmp_path: Path, step: str) -> None:
    routine = create_backup(
        c, world.profile, tmp_path / "b", DumpOptions(compression=Compression(CompressionKind.ZSTD))
    )
    with pytest.raises(Cancelled):
        drive_and_cancel(c, routine, step)
    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.parametrize("step", ["checksums", "create", "load", "count rows"])
def test_a_cancelled_restore_leaves_what_was(c: RoutineContext, world: World, tmp_path: Path, step: str) -> None:
    entry = backed_up(c, world, tmp_path / "b")
    world.execute("DELETE FROM orders")
    before, databases = world.rows(), world.databases()
    plan = drive(plan_restore(c, entry, world.profile, RestoreOptions(replace=True)))
    with pytest.raises(Cancelled):
        drive_and_cancel(c, apply_restore(c, world.profile, plan), step)
    assert (world.rows(), world.databases()) == (before, databases)


@pytest.mark.parametrize("step", ["create", "load", "count rows"])
def test_a_cancelled_verification_drops_its_database(
    c: RoutineContext, world: World, tmp_path: Path, step: str
) -> None:
    entry = backed_up(c, world, tmp_path / "b")
    databases = world.databases()
    with pytest.raises(Cancelled):
        drive_and_cancel(c, verify_backup(c, entry, world.profile), step)
    assert world.databases() == databases
    assert find_backup(tmp_path / "b", entry.backup_id).verified_at is None


def drive_and_cancel(c: RoutineContext, routine: Routine[Any], step: str) -> None:
    """Run a routine and ask it to stop as soon as a step begins."""
    for event in routine:
        if isinstance(event, StepStarted) and event.step == step:
            c.cancellation.request("Ctrl-C")


def test_rows_that_do_not_arrive_end_the_restore(c: RoutineContext, world: World, tmp_path: Path) -> None:
    """The manifest promises more than the dump holds: as if the load had lost rows."""
    entry = backed_up(c, world, tmp_path / "b")
    before, databases = world.rows(), world.databases()
    path = Path(entry.data_path + ".manifest.json")
    path.write_text(path.read_text().replace('"rows": 500,', '"rows": 501,'))
    found = drive(verify_backup(c, find_backup(tmp_path / "b", entry.backup_id), world.profile))
    assert [(one.name, one.expected, one.found) for one in found.differences] == [("orders", 501, 500)]
    with pytest.raises(MismatchError, match="500 rows instead of 501"):
        restored(c, world, find_backup(tmp_path / "b", entry.backup_id), replace=True)
    assert (world.rows(), world.databases()) == (before, databases)


def test_the_status_tells_what_is_there(c: RoutineContext, world: World) -> None:
    status = drive(collect_status(c, world.profile))
    assert (status.problem, status.reachable, status.tables) == ("", True, 3)
    assert status.info.engine is world.profile.engine


def test_tables_of_the_manifest_are_named_as_the_server_names_them(
    c: RoutineContext, world: World, tmp_path: Path
) -> None:
    entry = backed_up(c, world, tmp_path / "b", tables=("users",))
    contents = drive(collect_contents(c, entry))
    schema = {
        EngineName.POSTGRESQL: "public",
        EngineName.MYSQL: world.profile.database,
        EngineName.SQLITE: "main",
    }[world.profile.engine]
    assert [table.table_name for table in contents.tables] == [TableName(schema, "users")]


NASTY = ['-o\'neil "quoted" `ticks` [red]\nünï %2Fx', "dbname=x host=y", "x" * 63]


@pytest.mark.parametrize("name", NASTY)
def test_a_database_may_have_any_name(c: RoutineContext, world: World, tmp_path: Path, name: str) -> None:
    url = parse_database_url(world.url)
    if url.engine is EngineName.SQLITE:
        database = str(Path(url.database).parent / f"{name}.db")
        Path(url.database).rename(database)
    else:
        database = name
        with world.connect() as connection:
            if url.engine is EngineName.POSTGRESQL:
                connection.autocommit = True
            connection.cursor().execute(f"CREATE DATABASE {world.quoted(name)}")
    password = url.password.reveal() if url.password else None
    text = str(replace(url, database=database))
    if password:
        text = text.replace("@", f":{quote(password, safe='')}@", 1)
    nasty = World(parse_url(text), text)
    try:
        if url.engine is not EngineName.SQLITE:
            nasty.execute(*(each for each in SETUP[url.engine].split(";\n") if each.strip()))
            nasty.fill()
        entry = backed_up(c, nasty, tmp_path / "b")
        before = nasty.rows()
        nasty.execute("DELETE FROM orders")
        assert nasty.rows(restored(c, nasty, entry).database) == before
        restored(c, nasty, entry, replace=True)
        assert nasty.rows() == before
        assert drive(verify_backup(c, entry, nasty.profile)).problems == ()
    finally:
        if url.engine is not EngineName.SQLITE:
            for each in nasty.databases() - {url.database}:
                if each.startswith((name[:20], "dbtui_verify")):
                    world.drop(each)
