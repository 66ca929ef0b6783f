"""Dumps of a real PostgreSQL: every format restores to the rows that were counted, and nothing is left behind."""

import hashlib
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.counts import count_rows
from dbtui.adapters.postgresql.dump import dump
from dbtui.adapters.postgresql.facts import collect_dump_facts
from dbtui.adapters.streams import open_raw
from dbtui.demo.servers import PgBouncer, PostgreSQL, PostgreSQLReplica
from dbtui.errors import ServerError
from dbtui.model.backups import BackupFormat, DumpOptions, DumpRequest, DumpResult, TableName
from dbtui.model.events import CommandRan, Event, Progressed, StepFinished, StepStarted
from tests.adapters.postgresql_targets import drive, large_database, make_dump, opened, options_of, wait_until
from tests.fix_servers import unique_name

ODD_TABLE = TableName("odd [red]", 'a.b"c\n$*')
SCHEMA = (
    'CREATE SCHEMA "odd [red]"',
    'CREATE TABLE "odd [red]"."a.b""c\n$*" (id serial PRIMARY KEY, t text, b bytea)',
    'INSERT INTO "odd [red]"."a.b""c\n$*" (t, b) '
    "SELECT E'tab\\there \\\\. line\\nbreak ' || i, decode(md5(i::text), 'hex') FROM generate_series(1, 20000) i",
    "CREATE TYPE mood AS ENUM ('sad', 'it''s ok')",
    "CREATE TABLE logs (at date, mood mood) PARTITION BY RANGE (at)",
    "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE logs_2 PARTITION OF logs DEFAULT",
    "INSERT INTO logs SELECT '2026-01-01'::date + i % 60, 'it''s ok' FROM generate_series(1, 600) i",
    "CREATE TABLE parent (a int)",
    "CREATE TABLE child (b int) INHERITS (parent)",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO child VALUES (2, 3), (4, 5)",
    "CREATE TABLE empty ()",
    "SELECT lo_from_bytea(4711, 'large')",
)
COUNTS = {
    ODD_TABLE: 20000,
    TableName("public", "logs_1"): 310,
    TableName("public", "logs_2"): 290,
    TableName("public", "parent"): 1,
    TableName("public", "child"): 2,
    TableName("public", "empty"): 0,
}


@pytest.fixture(scope="module")
def database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """A small database with names, types and inheritance that a dump can get wrong. Tests only read it."""
    name = unique_name("dumped")
    postgresql_server.execute(f'CREATE DATABASE "{name}"')
    for sql in SCHEMA:
        postgresql_server.execute(sql, database=name)
    yield name
    postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def large(postgresql_server: PostgreSQL) -> Iterator[str]:
    with large_database(postgresql_server) as name:
        yield name


@pytest.fixture
def target(postgresql_server: PostgreSQL, database: str) -> Iterator[PostgresqlTarget]:
    with opened(postgresql_server.url(database)) as target:
        yield target


def counts_of(result: DumpResult) -> dict[TableName, int | None]:
    return {table.table_name: table.rows for table in result.tables}


@contextmanager
def restored(server: PostgreSQL, target: PostgresqlTarget, path: Path, options: DumpOptions) -> Iterator[str]:
    """A new database with the dump in it, loaded by PostgreSQL's own tools."""
    name = unique_name("restored")
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        with target.tool_arguments(name) as (login, environ):
            if options.format is BackupFormat.PLAIN:
                words = [str(target.tool("psql")), *login, "-Xqw", "-v", "ON_ERROR_STOP=1", "-1", "-f", "-"]
                with open_raw(path, options.compression) as text:
                    subprocess.run(words, env=environ, input=text.read(), check=True, stdout=subprocess.DEVNULL)
            else:
                words = [str(target.tool("pg_restore")), *login, "-w", "--exit-on-error", str(path)]
                subprocess.run(words, env=environ, check=True)
        yield name
    finally:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


# --- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    ["plain", "plain:gzip:1", "plain:zstd", "plain:zstd:3", "custom", "custom:gzip", "directory", "directory:gzip:1"],
)
def test_every_format_restores_to_the_rows_that_were_counted(
    postgresql_server: PostgreSQL, target: PostgresqlTarget, tmp_path: Path, form: str
) -> None:
    options = options_of(form, jobs=2 if form.startswith("directory") else 1)
    path = tmp_path / "dump.partial"
    result = make_dump(target, path, options)
    assert counts_of(result) == COUNTS
    assert all(table.rows_are == "exact" for table in result.tables)
    assert "odd [red]" in result.schemas
    for file in result.files:
        written = path / file.path if file.path else path
        assert hashlib.sha256(written.read_bytes()).hexdigest() == file.sha256
        assert written.stat().st_size == file.size_bytes
    if path.is_dir():
        assert sorted(file.path for file in result.files) == sorted(each.name for each in path.iterdir())
    if options.format is BackupFormat.PLAIN:
        with open_raw(path, options.compression) as text:
            assert len(text.read()) == result.uncompressed_bytes
    with restored(postgresql_server, target, path, options) as name:
        again = drive(count_rows(target, name, list(COUNTS)))
        assert {table.table_name: table.rows for table in again} == COUNTS
        order = 'SELECT t, b FROM "odd [red]"."a.b""c\n$*" ORDER BY id'
        assert postgresql_server.execute(order, database=name) == postgresql_server.execute(
            order, database=target.info.database
        )
        assert postgresql_server.execute("SELECT lo_get(4711)", database=name)[0][0].tobytes() == b"large"


def test_custom_with_zstd_is_packed_by_whoever_can(target: PostgresqlTarget, tmp_path: Path) -> None:
    options = options_of("custom:zstd")
    path = tmp_path / "d"
    facts = collect_dump_facts(target, options)
    request = DumpRequest(partial_path=str(path), options=options, facts=facts)
    result = drive(dump(target, request))
    assert counts_of(result) == COUNTS
    packs_itself = facts.tool_major >= 16 and not facts.tool_lacks_zstd
    assert path.read_bytes()[:4] == (b"PGDM" if packs_itself else b"\x28\xb5\x2f\xfd")


def test_files_are_private(target: PostgresqlTarget, tmp_path: Path) -> None:
    for form in ("plain", "plain:zstd", "custom", "directory"):
        make_dump(target, tmp_path / form, options_of(form))
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_schema_only(postgresql_server: PostgreSQL, target: PostgresqlTarget, tmp_path: Path) -> None:
    options = options_of("plain", schema_only=True)
    result = make_dump(target, tmp_path / "d", options)
    assert set(counts_of(result)) == set(COUNTS) and not any(counts_of(result).values())
    assert all(table.rows is None for table in result.tables)
    with restored(postgresql_server, target, tmp_path / "d", options) as name:
        assert {table.rows for table in drive(count_rows(target, name, list(COUNTS)))} == {0}


def test_chosen_tables_bring_their_parents(
    postgresql_server: PostgreSQL, target: PostgresqlTarget, tmp_path: Path
) -> None:
    options = options_of("plain", tables=("logs_1", "child"))
    result = make_dump(target, tmp_path / "d", options)
    logs, child, parent = (TableName("public", name) for name in ("logs_1", "child", "parent"))
    assert counts_of(result) == {logs: 310, child: 2, parent: 1}
    text = (tmp_path / "d").read_text()
    assert "CREATE TABLE public.logs (" in text and "logs_2" not in text
    assert "SELECT pg_catalog.lo_create('4711')" in text, "large objects are in a dump of chosen tables too"


def test_excluded_tables_are_not_in_the_dump(
    postgresql_server: PostgreSQL, target: PostgresqlTarget, tmp_path: Path
) -> None:
    options = options_of("custom", exclude_tables=("logs", 'odd*."a.b""c\n$*"'))
    result = make_dump(target, tmp_path / "d", options)
    assert {table.name for table in counts_of(result)} == {"parent", "child", "empty"}
    with restored(postgresql_server, target, tmp_path / "d", options) as name:
        found = postgresql_server.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^(logs|a\\.)' AND relkind IN ('r', 'p')", database=name
        )
        assert found == []


# --- events ------------------------------------------------------------------------------------------------------


def test_events_tell_what_happens(postgresql_server: PostgreSQL, large: str, tmp_path: Path) -> None:
    events: list[Event] = []
    with opened(postgresql_server.url(large)) as target:
        make_dump(target, tmp_path / "d", options_of("plain:gzip:6"), events.append)
    steps = [event.step for event in events if isinstance(event, StepStarted)]
    assert steps == ["snapshot", "dump", "count rows"]
    assert [event.step for event in events if isinstance(event, StepFinished)] == steps
    (command,) = [event.text for event in events if isinstance(event, CommandRan)]
    words = shlex.split(command)
    assert words[0].endswith("pg_dump") and "--no-password" in words and postgresql_server.password not in command
    progress = [event for event in events if isinstance(event, Progressed) and event.unit == "bytes"]
    done = [event.done for event in progress]
    assert len(done) >= 3 and done == sorted(done) and done[-1] > 20_000_000
    assert all(event.total and event.done <= event.total for event in progress)
    assert {event.detail for event in progress} & {"public.one", "public.two", "public.three"}


@pytest.mark.parametrize("form", ["custom:gzip", "directory:gzip"])
def test_archives_make_progress_too(postgresql_server: PostgreSQL, large: str, tmp_path: Path, form: str) -> None:
    done: list[int] = []
    with opened(postgresql_server.url(large)) as target:
        make_dump(
            target,
            tmp_path / "d",
            options_of(form),
            lambda event: done.append(event.done) if isinstance(event, Progressed) else None,
        )
    assert len(set(done)) >= 3


# --- consistency -----------------------------------------------------------------------------------------------------


def test_rows_are_exact_under_a_writer(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    """A writer adds, removes and truncates all the while; what was counted is what a restore yields."""
    name = unique_name("busy")
    postgresql_server.execute(f'CREATE DATABASE "{name}"')
    for sql in (
        "CREATE TABLE grows AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 50000) i",
        "CREATE TABLE shrinks AS SELECT i FROM generate_series(1, 50000) i",
        "CREATE TABLE twin AS SELECT i FROM generate_series(1, 1000) i",
    ):
        postgresql_server.execute(sql, database=name)
    stop = threading.Event()

    def write() -> None:
        with closing(psycopg2.connect(postgresql_server.url(name))) as connection, connection.cursor() as cursor:
            number = 50000
            while not stop.is_set():
                number += 1
                cursor.execute("INSERT INTO grows VALUES (%s, 'y'); INSERT INTO twin VALUES (%s)", (number, number))
                cursor.execute("DELETE FROM shrinks WHERE i = %s", (number - 50000,))
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with opened(postgresql_server.url(name)) as target:
            for form in ("plain", "directory"):
                options = options_of(form, jobs=2 if form == "directory" else 1)
                result = make_dump(target, tmp_path / form, options)
                counted = counts_of(result)
                grown = counted[TableName("public", "grows")] or 0
                assert grown - 50000 == (counted[TableName("public", "twin")] or 0) - 1000
                with restored(postgresql_server, target, tmp_path / form, options) as copy:
                    again = drive(count_rows(target, copy, list(counted)))
                    assert {table.table_name: table.rows for table in again} == counted
    finally:
        stop.set()
        writer.join()
        postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("form", ["plain:gzip:1", "directory:gzip:1"])
def test_large_tables_are_counted_in_ranges_behind_the_dump(
    postgresql_server: PostgreSQL, large: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """With rows added and removed all over them meanwhile: the ranges together are the snapshot."""
    monkeypatch.setattr("dbtui.adapters.postgresql.row_counter._LARGE_BYTES", 1 << 20)
    monkeypatch.setattr("dbtui.adapters.postgresql.row_counter._CHUNK_BLOCKS", 64)
    monkeypatch.setattr("dbtui.adapters.postgresql.row_counter._POLL_SECONDS", 0.05)
    ranges: list[str] = []
    ask = PostgresqlTarget.rows

    def listen(self: PostgresqlTarget, sql: str, *rest: object, **named: object) -> list[object]:
        ranges.extend([sql] if "ctid >=" in sql else [])
        return ask(self, sql, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresqlTarget, "rows", listen)
    postgresql_server.execute("CREATE TABLE IF NOT EXISTS holes AS SELECT * FROM one", database=large)
    postgresql_server.execute("DELETE FROM holes WHERE i % 3 = 0", database=large)
    expected = {"one": 300000, "two": 300000, "three": 300000, "holes": 200000}

    behind: list[int] = []

    def disturb(event: Event) -> None:
        if isinstance(event, StepFinished) and event.step == "dump":
            behind.append(len(ranges))
        if isinstance(event, Progressed):
            postgresql_server.execute("INSERT INTO holes SELECT * FROM one WHERE i % 300 = 1", database=large)

    try:
        with opened(postgresql_server.url(large)) as target:
            options = options_of(form, jobs=2 if "directory" in form else 1)
            result = make_dump(target, tmp_path / "d", options, disturb)
    finally:
        postgresql_server.execute("DROP TABLE holes", database=large)
    assert {table.name: table.rows for table in result.tables} == expected
    assert behind[0] > len(ranges) / 2 > 25, "most were counted while the dump ran"


def test_a_locked_table_is_an_error_with_the_holder(
    postgresql_server: PostgreSQL, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbtui.adapters.postgresql.snapshot.LOCK_WAIT_SECONDS", 1)
    url = postgresql_server.url(database, application_name="migration")
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor, opened(url) as target:
        cursor.execute("LOCK TABLE parent IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ServerError, match=r"could not be locked .* 1 s: session \d+ postgres \(migration\) holds"):
            make_dump(target, tmp_path / "d", options_of())
    assert not (tmp_path / "d").exists()


# --- other ways to the server ----------------------------------------------------------------------


def test_a_replica_can_be_dumped(
    postgresql_server: PostgreSQL, postgresql_replica: PostgreSQLReplica, tmp_path: Path
) -> None:
    name = unique_name("streamed")
    postgresql_server.execute(f'CREATE DATABASE "{name}"')
    postgresql_server.execute("CREATE UNLOGGED TABLE scratch AS SELECT 1 AS a", database=name)
    postgresql_server.execute("CREATE TABLE kept AS SELECT generate_series(1, 7) AS a", database=name)
    (position,) = postgresql_server.execute("SELECT pg_current_wal_insert_lsn()")[0]
    wait_until(lambda: postgresql_replica.execute("SELECT pg_last_wal_replay_lsn() >= %s", [position]) == [(True,)])
    with opened(postgresql_replica.url(name)) as target:
        for form in ("plain", "directory"):
            result = make_dump(target, tmp_path / form, options_of(form, jobs=2 if form == "directory" else 1))
            assert {table.name: table.rows for table in result.tables} == {"scratch": 0, "kept": 7}


def test_a_dump_goes_through_a_pooler(pgbouncer: PgBouncer, database: str, tmp_path: Path) -> None:
    with opened(pgbouncer.url(database)) as target:
        assert target.is_pooled
        assert counts_of(make_dump(target, tmp_path / "d", options_of())) == COUNTS


def test_a_read_only_profile_can_be_dumped(postgresql_server: PostgreSQL, database: str, tmp_path: Path) -> None:
    with opened(postgresql_server.url(database), read_only=True) as target:
        assert counts_of(make_dump(target, tmp_path / "d", options_of())) == COUNTS


def test_a_timeout_of_the_role_does_not_end_a_dump(postgresql_server: PostgreSQL, large: str, tmp_path: Path) -> None:
    login = unique_name("hasty")
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN SUPERUSER PASSWORD 'x'")
    postgresql_server.execute(f"ALTER ROLE {login} SET statement_timeout = '150ms'")
    postgresql_server.execute(f"ALTER ROLE {login} SET idle_in_transaction_session_timeout = '150ms'")
    with opened(postgresql_server.url(large, login, "x")) as target:
        result = make_dump(target, tmp_path / "d", options_of("plain:gzip:6"))
    assert set(counts_of(result).values()) == {300000}


def search_path_through(pgbouncer: PgBouncer, database: str) -> str:
    with closing(psycopg2.connect(pgbouncer.url(database))) as client, client.cursor() as cursor:
        cursor.execute("SHOW search_path")
        (path,) = cursor.fetchone() or ("",)
        return str(path)


def test_a_dump_leaves_the_sessions_of_a_pooler_as_they_were(
    pgbouncer: PgBouncer, postgresql_database: str, tmp_path: Path
) -> None:
    """pg_dump empties the search_path of its session; through a pooler applications would get that session next."""
    name = postgresql_database.rpartition("/")[2]
    before = search_path_through(pgbouncer, name)
    with opened(pgbouncer.url(name)) as target:
        facts = collect_dump_facts(target, DumpOptions())
        make_dump(target, tmp_path / "d", options_of())
        assert target.is_pooled and not target.works_pooled
    assert any("goes past the pooler, straight to 127.0.0.1:" in remark for remark in facts.remarks)
    assert search_path_through(pgbouncer, name) == before


def test_without_a_way_past_a_pooler_a_dump_warns_and_works(
    pgbouncer: PgBouncer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresqlTarget, "_find_way_past", lambda _self: None)
    with opened(pgbouncer.url(database)) as target:
        facts = collect_dump_facts(target, DumpOptions())
        assert counts_of(make_dump(target, tmp_path / "d", options_of())) == COUNTS
        assert target.works_pooled and "use the server's own address" in facts.remarks[0]
