"""Dumps of every kind restored into a real server: the same database comes out, or nothing at all."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import Cancelled, DamagedBackupError, RefusedError, ServerError, UsageError
from dbtui.model.backups import CompressionKind, TableName
from dbtui.model.events import CommandRan, Event, Progressed, Warned
from tests.adapters.postgresql_nasty import (
    PLAIN_WAYS,
    USERS,
    Nasty,
    ask,
    empty_database,
    environ_with,
    nasty,
    newest_tools,
    packed,
    restore,
    restored,
    stored,
)
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name

__all__ = ["nasty"]
ARCHIVES = ["custom", "custom none", "custom inserts", "directory"]
HEAD = "--\n-- PostgreSQL database dump\n--\n\n"
TAIL = "\n--\n-- PostgreSQL database dump complete\n--\n\n"


def dump_of(directory: Path, body: str, name: str = "made.sql") -> Path:
    path = directory / name
    path.write_text(HEAD + body + TAIL)
    return path


def dumped(server: PostgreSQL, database: str, directory: Path, form: str) -> Path:
    path = directory / {"plain": "x.sql", "custom": "x.dump", "directory": "x.dir"}[form]
    tool = str(server.binaries / "pg_dump")
    subprocess.run([tool, "-d", server.url(database), "-F", form[0], "-f", str(path)], check=True)
    return path


# ---------------------------------------------------------------- whole databases


@pytest.mark.parametrize("way", PLAIN_WAYS)
def test_a_plain_dump_restores_to_the_same_database(nasty: Nasty, way: str) -> None:
    with restored(nasty, stored(nasty.dump(way))) as database:
        assert nasty.schema_and_rows(database) == nasty.schema_and_rows()


@pytest.mark.parametrize("kind", [CompressionKind.GZIP, CompressionKind.ZSTD])
def test_a_packed_plain_dump_restores_to_the_same_database(nasty: Nasty, kind: CompressionKind) -> None:
    with restored(nasty, stored(packed(nasty.dump("plain"), kind))) as database:
        assert nasty.schema_and_rows(database) == nasty.schema_and_rows()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("way", ARCHIVES)
def test_an_archive_restores_to_the_same_database(nasty: Nasty, way: str, jobs: int) -> None:
    with restored(nasty, stored(nasty.dump(way)), jobs=jobs) as database:
        assert nasty.schema_and_rows(database) == nasty.schema_and_rows()


@pytest.mark.parametrize("kind", [CompressionKind.GZIP, CompressionKind.ZSTD])
def test_a_custom_archive_packed_as_a_whole_restores_to_the_same_database(nasty: Nasty, kind: CompressionKind) -> None:
    with restored(nasty, stored(packed(nasty.dump("custom none"), kind))) as database:
        assert nasty.schema_and_rows(database) == nasty.schema_and_rows()


@pytest.mark.parametrize("form", ["plain", "custom", "directory"])
def test_dumps_of_newer_tools_restore_into_an_older_server(nasty: Nasty, form: str) -> None:
    path = nasty.dump(form, program=newest_tools() / "pg_dump")
    environ = environ_with(nasty.server.binaries, newest_tools())
    with empty_database(nasty.server) as database, opened(nasty.server.url(), environ=environ) as target:
        restore(target, stored(path), database)
        assert nasty.schema_and_rows(database) == nasty.schema_and_rows()


def test_progress_commands_and_statistics(nasty: Nasty) -> None:
    environ = environ_with(nasty.server.binaries)
    for way in ("plain", "custom"):
        events: list[Event] = []
        with empty_database(nasty.server) as database, opened(nasty.server.url(), environ=environ) as target:
            restore(target, stored(nasty.dump(way)), database, on_event=events.append)
            assert ask(nasty.server, database, "SELECT reltuples FROM pg_class WHERE oid = 'app.usr'::regclass") == 3000
        moved = [event for event in events if isinstance(event, Progressed)]
        assert moved and all(event.total is None or event.done <= event.total for event in moved)
        commands = [event.text for event in events if isinstance(event, CommandRan)]
        assert commands[-1] == "ANALYZE" and nasty.server.password not in "".join(commands)
    assert "--exit-on-error" in commands[0]


# ---------------------------------------------------------------- chosen tables


@pytest.mark.parametrize("way", ["plain", "inserts", *ARCHIVES])
def test_chosen_tables_come_with_all_they_need(nasty: Nasty, way: str) -> None:
    warned: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Warned):
            warned.append(event.message)

    environ = environ_with(nasty.server.binaries)
    with empty_database(nasty.server) as database, opened(nasty.server.url(), environ=environ) as target:
        restore(target, stored(nasty.dump(way)), database, USERS, TableName("app", "log"), on_event=note)
        tables = nasty.server.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE nspname = 'app' AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1",
            database=database,
        )
        assert [row[0] for row in tables] == ["log", "log_2024", "log_2025", "usr"]
        assert ask(nasty.server, database, "SELECT count(*) FROM app.usr") == 3000
        assert ask(nasty.server, database, "SELECT count(*) FROM app.log") == 9000
        assert ask(nasty.server, database, "SELECT nextval('app.usr_id_seq')") == 3001
        same = (
            "SELECT md5(string_agg(u::text, '|' ORDER BY id)) FROM app.usr u",
            "SELECT string_agg(pg_get_indexdef(indexrelid), '|' ORDER BY indexrelid::regclass::text) FROM pg_index "
            "WHERE indrelid::regclass::text ~ '^app.(usr|log)'",
            "SELECT string_agg(pg_get_constraintdef(oid), '|' ORDER BY conname) FROM pg_constraint "
            "WHERE conrelid = 'app.usr'::regclass AND contype <> 'f'",
            "SELECT string_agg(pg_get_triggerdef(oid), '|') FROM pg_trigger "
            "WHERE tgrelid = 'app.usr'::regclass AND NOT tgisinternal",
            "SELECT obj_description('app.usr'::regclass) || col_description('app.usr'::regclass, 6)",
        )
        for sql in same:
            assert ask(nasty.server, database, sql) == ask(nasty.server, nasty.name, sql)
    assert "the foreign key usr_org_fkey is left out: app.org is not restored" in warned


@pytest.mark.parametrize("way", ["plain", "custom"])
def test_foreign_keys_between_chosen_tables_stay(nasty: Nasty, way: str) -> None:
    with restored(nasty, stored(nasty.dump(way)), USERS, TableName("app", "org")) as database:
        assert ask(nasty.server, database, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 1
        assert ask(nasty.server, database, "SELECT last_value FROM app.org_id_seq") == 50


@pytest.mark.parametrize("way", ["plain", "custom"])
def test_parents_and_partitions_that_were_not_chosen(nasty: Nasty, way: str) -> None:
    with restored(nasty, stored(nasty.dump(way)), TableName("app", "child"), TableName("app", "log_2024")) as database:
        assert ask(nasty.server, database, "SELECT count(*) FROM app.log_2024") == 5135
        assert ask(nasty.server, database, "SELECT to_regclass('app.log')") is None
        assert ask(nasty.server, database, "SELECT count(*) FROM app.unl") == 0  # the parent that it inherits from


def test_a_chosen_table_that_is_not_there_is_named(nasty: Nasty) -> None:
    for way in ("plain", "custom"):
        with (
            pytest.raises(UsageError, match=r"no table app\.nothing"),
            restored(nasty, stored(nasty.dump(way)), TableName("app", "nothing")),
        ):
            pass


# ---------------------------------------------------------------- logins without power


@contextmanager
def plain_login(server: PostgreSQL) -> Iterator[str]:
    name = unique_name("login")
    server.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'secret' NOSUPERUSER CREATEDB")
    try:
        yield name
    finally:
        server.execute(f'DROP ROLE "{name}"')


@pytest.mark.parametrize("skip_owners", [True, False])
@pytest.mark.parametrize("way", ["plain", "custom", "directory"])
def test_an_ordinary_login_restores_into_its_own_database(
    postgresql_server: PostgreSQL, tmp_path: Path, way: str, skip_owners: bool
) -> None:
    source = unique_name("simple")
    postgresql_server.execute(f'CREATE DATABASE "{source}" TEMPLATE template0')
    for sql in (
        "CREATE TABLE public.t (id serial PRIMARY KEY, a text)",
        "INSERT INTO t (a) SELECT 'x' FROM generate_series(1, 100)",
        "COMMENT ON EXTENSION plpgsql IS 'not ours'",
        "COMMENT ON SCHEMA public IS 'not ours'",
        "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
        "CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION f()",
        "GRANT SELECT ON t TO pg_monitor",
        "CREATE POLICY p ON t TO pg_monitor USING (true)",
    ):
        postgresql_server.execute(sql, database=source)
    path = dumped(postgresql_server, source, tmp_path, way)
    environ = environ_with(postgresql_server.binaries)
    with plain_login(postgresql_server) as login, empty_database(postgresql_server, login) as database:
        url = postgresql_server.url(database, login, "secret")
        with opened(url, environ=environ) as target:
            restore(target, stored(path), database, skip_owners=skip_owners)
        assert ask(postgresql_server, database, "SELECT count(*) FROM t") == 100
        owner = ask(postgresql_server, database, "SELECT tableowner FROM pg_tables WHERE tablename = 't'")
        assert owner == login
    postgresql_server.execute(f'DROP DATABASE "{source}"')


@pytest.mark.parametrize("skip_owners", [True, False])
def test_roles_that_do_not_exist_here(postgresql_server: PostgreSQL, tmp_path: Path, skip_owners: bool) -> None:
    path = dump_of(
        tmp_path,
        "CREATE TABLE public.t (a int);\nALTER TABLE public.t OWNER TO nobody_here;\n"
        "COPY public.t (a) FROM stdin;\n1\n\\.\nGRANT SELECT ON TABLE public.t TO nobody_here;\n"
        "ALTER DEFAULT PRIVILEGES FOR ROLE nobody_here IN SCHEMA public GRANT SELECT ON TABLES TO nobody_here;\n"
        "CREATE POLICY p ON public.t TO nobody_here USING (true);\n",
    )
    with empty_database(postgresql_server) as database, opened(postgresql_server.url()) as target:
        if skip_owners:
            restore(target, stored(path), database, skip_owners=True)
            assert ask(postgresql_server, database, "SELECT a FROM t") == 1
        else:
            with pytest.raises(ServerError, match=r"made.sql:\d+: GRANT public.t: role .nobody_here. does not exist"):
                restore(target, stored(path), database)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("CREATE TABLE public.t (a nothing);\n", r"made.sql:5: TABLE public.t: type .nothing. does not exist"),
        (
            "CREATE TABLE public.t (a int);\nCOPY public.t (a) FROM stdin;\n1\n2\nsecret value\n4\n\\.\n",
            r"made.sql:9: COPY public.t: invalid input syntax",
        ),
        (
            "CREATE TABLE public.t (a int);\nINSERT INTO public.t VALUES (1);\nINSERT INTO public.t VALUES ('x');\n",
            r"made.sql:7: INSERT",
        ),
        ("CREATE EXTENSION nothing_such;\n", r"made.sql:5: EXTENSION nothing_such"),
        (
            "CREATE TABLE public.t (a int);\nCOPY public.t (a) FROM stdin;\n1\n1\n\\.\n\n\n"
            "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (a);\n",
            r"made.sql:12: TABLE public.k: could not create unique index",
        ),
    ],
)
def test_an_error_names_file_line_and_object(
    postgresql_server: PostgreSQL, tmp_path: Path, body: str, what: str
) -> None:
    path = dump_of(tmp_path, body)
    with empty_database(postgresql_server) as database, opened(postgresql_server.url()) as target:
        with pytest.raises(ServerError, match=what) as caught:
            restore(target, stored(path), database)
        assert caught.value.code
        assert ask(postgresql_server, database, "SELECT to_regclass('public.t')") is None


def test_the_line_is_right_after_many_pieces(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    rows = 2_000_000
    body = "CREATE TABLE public.t (a int);\nCOPY public.t (a) FROM stdin;\n" + "1\n" * rows + "wrong\n\\.\n"
    path = dump_of(tmp_path, body)
    with (
        empty_database(postgresql_server) as database,
        opened(postgresql_server.url()) as target,
        pytest.raises(ServerError, match=rf"made.sql:{6 + rows + 1}: COPY"),
    ):
        restore(target, stored(path), database)


@pytest.mark.parametrize("form", ["custom", "directory"])
def test_an_archive_that_the_server_refuses_names_the_entry(
    postgresql_server: PostgreSQL, tmp_path: Path, form: str
) -> None:
    source = unique_name("faulty")
    postgresql_server.execute(f'CREATE DATABASE "{source}" TEMPLATE template0')
    for sql in (
        "CREATE TABLE t (a int)",
        "INSERT INTO t VALUES (1)",
    ):
        postgresql_server.execute(sql, database=source)
    path = tmp_path / f"x{'.dump' if form == 'custom' else '.dir'}"
    subprocess.run(
        [postgresql_server.binaries / "pg_dump", "-d", postgresql_server.url(source), "-F", form[0], "-f", path],
        check=True,
    )
    environ = environ_with(postgresql_server.binaries)
    with empty_database(postgresql_server) as database, opened(postgresql_server.url(), environ=environ) as target:
        postgresql_server.execute("CREATE TABLE t (b text)", database=database)
        with pytest.raises(ServerError, match=r"x.*: entry \d+, TABLE t.*already exists"):
            restore(target, stored(path), database)
    postgresql_server.execute(f'DROP DATABASE "{source}"')


def test_a_cut_dump_changes_nothing_even_if_it_was_whole_when_it_was_looked_at(
    nasty: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load itself commits only after the last line, whatever the check before it said."""
    text = nasty.dump("plain").read_bytes()
    path = tmp_path / "cut.sql"
    with empty_database(nasty.server) as database, opened(nasty.server.url()) as target:
        for place in (
            len(text) // 3,
            text.rindex(b"-- PostgreSQL database dump complete"),
            text.rindex(b"ALTER TABLE"),
        ):
            path.write_bytes(text[:place])
            with monkeypatch.context() as patch:
                patch.setattr("dbtui.adapters.postgresql.load._refuse", lambda *_: None)
                with pytest.raises(DamagedBackupError):
                    restore(target, stored(path), database)
            with pytest.raises(DamagedBackupError, match="cut"):
                restore(target, stored(path), database)
            assert ask(nasty.server, database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'") == 0


def test_a_read_only_profile_restores_nothing(nasty: Nasty) -> None:
    with (
        empty_database(nasty.server) as database,
        opened(nasty.server.url(), read_only=True) as target,
        pytest.raises(RefusedError, match="read-only"),
    ):
        restore(target, stored(nasty.dump("plain")), database)


# ---------------------------------------------------------------- cancelling


@pytest.mark.parametrize("way", ["plain", "custom", "directory"])
def test_a_cancel_ends_a_load_at_once_and_leaves_nothing_running(
    postgresql_server: PostgreSQL, tmp_path: Path, way: str
) -> None:
    source = unique_name("slow")
    postgresql_server.execute(f'CREATE DATABASE "{source}" TEMPLATE template0')
    postgresql_server.execute(
        "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 50); CREATE FUNCTION slow(int) RETURNS int "
        "IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT $1 FROM pg_sleep(0)); END $$; "
        "CREATE INDEX ON t (slow(a))",
        database=source,
    )
    body = "BEGIN RETURN (SELECT $1 FROM pg_sleep(2)); END"
    postgresql_server.execute(
        f"CREATE OR REPLACE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ {body} $$", database=source
    )
    path = tmp_path / f"x.{'sql' if way == 'plain' else 'dump' if way == 'custom' else 'dir'}"
    subprocess.run(
        [postgresql_server.binaries / "pg_dump", "-d", postgresql_server.url(source), "-F", way[0], "-f", path],
        check=True,
    )
    cancellation = Cancellation()
    with empty_database(postgresql_server) as database:
        watch = threading.Thread(target=_cancel_when_slow, args=(postgresql_server, database, cancellation))
        watch.start()
        with opened(
            postgresql_server.url(), cancellation=cancellation, environ=environ_with(postgresql_server.binaries)
        ) as target:
            with pytest.raises(Cancelled):
                restore(target, stored(path), database)
            watch.join()
        assert "pg_restore" not in _names_of_children()
        _wait_until_idle(postgresql_server, database)
    postgresql_server.execute(f'DROP DATABASE "{source}"')


def _names_of_children() -> list[str]:
    names = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(one.name())
    return names


def _cancel_when_slow(server: PostgreSQL, database: str, cancellation: Cancellation) -> None:
    busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
    while server.execute(busy, [database])[0][0] == 0:
        pass
    cancellation.request("test")


def _wait_until_idle(server: PostgreSQL, database: str) -> None:
    connection = psycopg2.connect(server.url())
    connection.autocommit = True
    with connection.cursor() as cursor:
        for _ in range(1000):
            cursor.execute("SELECT count(*), pg_sleep(0.01) FROM pg_stat_activity WHERE datname = %s", [database])
            if cursor.fetchone()[0] == 0:  # type: ignore[index]
                break
        else:
            pytest.fail("a session of the cancelled load is still there")
    connection.close()
