"""Whole databases of a real PostgreSQL: looked at, made alike, swapped in one transaction, dropped."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.counts import count_rows
from dbtui.adapters.postgresql.databases import (
    _swap_statements,
    collect_destination,
    create_database,
    drop_database,
    swap_database,
    undo_sql,
)
from dbtui.adapters.postgresql.restore_facts import collect_restore_facts
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.errors import Cancelled, RefusedError, ServerError
from dbtui.model.backups import BackupContents, BackupFormat, Compression, StoredBackup, TableName
from dbtui.model.connections import EngineName
from tests.adapters.postgresql_targets import commands_of, drive, opened
from tests.fix_servers import unique_name

ODD = 'odd "name" \\ [red]\'\n-= '


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def names(postgresql_server: PostgreSQL) -> Iterator[Callable[[str], str]]:
    """Makes names; whatever database has one of them, or one that begins with it, is dropped at the end."""
    made: list[str] = []

    def make(stem: str) -> str:
        made.append(unique_name(stem))
        return made[-1]

    yield make
    for (name,) in postgresql_server.execute("SELECT datname FROM pg_database"):
        if any(str(name).startswith(each) for each in made):
            postgresql_server.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")


def databases(server: PostgreSQL) -> set[str]:
    return {row[0] for row in server.execute("SELECT datname FROM pg_database")}


def rows_of(server: PostgreSQL, database: str) -> list[tuple[object, ...]]:
    return server.execute("SELECT * FROM t", database=database)


def make_pair(server: PostgreSQL, live: str, fresh: str) -> None:
    for name, value in ((live, "old"), (fresh, "new")):
        server.execute(f"CREATE DATABASE {quoted(name)}")
        server.execute(f"CREATE TABLE t AS SELECT '{value}'::text AS v", database=name)


# --- looking --------------------------------------------------------------------------------------------------


def test_a_destination_is_described(postgresql_server: PostgreSQL, names: Callable[[str], str]) -> None:
    name = names(ODD)
    postgresql_server.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
    with opened(postgresql_server.url()) as target:
        assert not collect_destination(target, "nowhere").exists
        empty = collect_destination(target, name)
        assert (empty.exists, empty.tables, empty.sessions) == (True, 0, ())
        postgresql_server.execute("CREATE VIEW v AS SELECT 1", database=name)
        assert collect_destination(target, name).tables == 1, "a database with a view is not empty"
        postgresql_server.execute("CREATE TABLE a (); CREATE TABLE b ()", database=name)
        with closing(psycopg2.connect(postgresql_server.url(name, application_name="shop"))) as other:
            found = collect_destination(target, name)
            assert found.tables == 2 and (found.size_bytes or 0) > 1_000_000
            (session,) = found.sessions
            assert (session.session_id, session.user, session.application, session.client) == (
                other.info.backend_pid,
                "postgres",
                "shop",
                "127.0.0.1",
            )
        postgresql_server.execute(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false")
        assert collect_destination(target, name).tables == 1, "what cannot be looked into is not empty"


def backup_of(form: BackupFormat = BackupFormat.PLAIN) -> StoredBackup:
    return StoredBackup(
        backup_id="b", engine=EngineName.POSTGRESQL, format=form, compression=Compression(), data_path="/nowhere"
    )


def test_facts_for_a_restore(postgresql_server: PostgreSQL) -> None:
    contents = BackupContents(
        engine=EngineName.POSTGRESQL,
        server_version="99.1",
        extensions=("plpgsql", "no_such_extension"),
        roles=("postgres", "no such role"),
    )
    with opened(postgresql_server.url()) as target:
        facts = collect_restore_facts(target, backup_of(), contents, "absent")
        archive = collect_restore_facts(target, backup_of(BackupFormat.CUSTOM), contents, "absent")
    assert facts.missing_roles == ("no such role",) and facts.missing_extensions == ("no_such_extension",)
    assert {"postgres", "template1"} <= set(facts.taken_names) and facts.can_create_database
    assert (facts.free_bytes or 0) > 0, "the server is on this machine and its data can be looked at"
    assert not facts.destination.exists and not facts.refusals
    assert "backup is of PostgreSQL 99" in facts.remarks[0]
    assert archive.tool == "pg_restore" and archive.tool_version


def test_facts_for_a_restore_by_a_plain_login(postgresql_server: PostgreSQL) -> None:
    login = unique_name("plain")
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    contents = BackupContents(engine=EngineName.POSTGRESQL, extensions=("pg_stat_statements",))
    with opened(postgresql_server.url("postgres", login, "x")) as target:
        facts = collect_restore_facts(target, backup_of(), contents, "absent")
    assert not facts.can_create_database and facts.free_bytes is None
    assert "only a superuser may create the extension pg_stat_statements" in facts.refusals[0]


def test_rows_are_counted_where_there_are_tables(postgresql_server: PostgreSQL, names: Callable[[str], str]) -> None:
    name = names("count")
    postgresql_server.execute(f'CREATE DATABASE "{name}"')
    postgresql_server.execute("CREATE TABLE t AS SELECT generate_series(1, 42) AS a", database=name)
    with opened(postgresql_server.url()) as target:
        counted = drive(count_rows(target, name, [TableName("public", "t"), TableName("public", "gone")]))
    assert [(table.name, table.rows, table.rows_are) for table in counted] == [("t", 42, "exact")]


# --- making and dropping --------------------------------------------------------------------------------------


def test_a_new_database_is_like_the_one_it_replaces(postgresql_server: PostgreSQL, names: Callable[[str], str]) -> None:
    source, copy, role = names("source"), names(ODD), unique_name("owner")
    postgresql_server.execute(f"CREATE ROLE {role}")
    postgresql_server.execute(
        f"CREATE DATABASE \"{source}\" OWNER {role} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    )
    with opened(postgresql_server.url()) as target:
        create_database(target, copy, source)
        with pytest.raises(ServerError, match="already exists") as refused:
            create_database(target, copy, source)
        assert refused.value.code == "42P04"
    asked = "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datdba FROM pg_database WHERE datname = %s"
    assert postgresql_server.execute(asked, [copy]) == postgresql_server.execute(asked, [source])


def test_a_new_database_holds_utf8(postgresql_server: PostgreSQL, names: Callable[[str], str]) -> None:
    name = names("fresh")
    with opened(postgresql_server.url()) as target:
        create_database(target, name, "")
        asked = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = %s"
        assert postgresql_server.execute(asked, [name]) == [("UTF8",)]
        drop_database(target, name)
        drop_database(target, name)
    assert name not in databases(postgresql_server)


def test_a_database_is_dropped_under_its_users(postgresql_server: PostgreSQL, names: Callable[[str], str]) -> None:
    name = names("used")
    postgresql_server.execute(f'CREATE DATABASE "{name}"')
    with closing(psycopg2.connect(postgresql_server.url(name))), opened(postgresql_server.url(name)) as target:
        drop_database(target, name)
        assert name not in databases(postgresql_server)
        assert not collect_destination(target, name).exists, "the target goes on, connected elsewhere"


def test_a_database_is_dropped_after_a_cancel(postgresql_server: PostgreSQL, names: Callable[[str], str]) -> None:
    name, cancellation = names("begun"), Cancellation()
    with opened(postgresql_server.url(), cancellation=cancellation) as target:
        create_database(target, name, "")
        cancellation.request()
        drop_database(target, name)
    assert name not in databases(postgresql_server)


def test_a_read_only_profile_changes_nothing(postgresql_server: PostgreSQL) -> None:
    with opened(postgresql_server.url(), read_only=True) as target:
        with pytest.raises(RefusedError, match="is read-only"):
            create_database(target, "x", "")
        with pytest.raises(RefusedError, match="is read-only"):
            drop_database(target, "x")
        with pytest.raises(RefusedError, match="is read-only"):
            drive(swap_database(target, "x", "y", "z"))


# --- swapping -------------------------------------------------------------------------------------------------


def test_a_swap_takes_everything_over_and_can_be_undone(
    postgresql_server: PostgreSQL, names: Callable[[str], str]
) -> None:
    server, live, fresh, role = postgresql_server, names("live" + ODD), names("fresh"), unique_name("owner")
    make_pair(server, live, fresh)
    server.execute(f"CREATE ROLE {role}")
    name = quoted(live)
    for sql in (
        f"ALTER DATABASE {name} OWNER TO {role}",
        f"ALTER DATABASE {name} SET search_path = \"$user\", 'a, b', public",
        f"ALTER DATABASE {name} SET \"my.setting\" = 'it''s \\ odd'",
        f"ALTER ROLE {role} IN DATABASE {name} SET work_mem = '5MB'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 17",
        f"COMMENT ON DATABASE {name} IS 'it''s \\ commented'",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"GRANT CREATE ON DATABASE {name} TO pg_monitor WITH GRANT OPTION",
    ):
        server.execute(sql)
    before = properties(server, live)
    kept = f"{live}_kept"
    with opened(server.url(live)) as target:
        session = psycopg2.connect(server.url(live))
        _, ran = commands_of(swap_database(target, live, fresh, kept))
        with pytest.raises(psycopg2.OperationalError), session.cursor() as cursor:
            cursor.execute("SELECT 1")
        session.close()
        assert collect_destination(target, live).exists, "the target goes on"
    assert rows_of(server, live) == [("new",)]
    assert properties(server, live) == before
    assert ran[-1].startswith("BEGIN; ALTER DATABASE ") and ran[-1].endswith("; COMMIT")
    with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
        psycopg2.connect(server.url(kept))
    for sql in undo_sql(live, kept).split("; "):
        server.execute(sql)
    assert rows_of(server, live) == [("old",)]


def properties(server: PostgreSQL, name: str) -> list[tuple[object, ...]]:
    own = server.execute(
        "SELECT datdba::regrole::text, datconnlimit, shobj_description(oid, 'pg_database'), "
        "array(SELECT x::text FROM unnest(datacl) x ORDER BY 1) FROM pg_database WHERE datname = %s",
        [name],
    )
    settings = server.execute(
        "SELECT setrole, setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase "
        "WHERE datname = %s ORDER BY 1",
        [name],
    )
    return own + settings


def test_a_swap_that_fails_leaves_the_live_database_as_it_was(
    postgresql_server: PostgreSQL, names: Callable[[str], str]
) -> None:
    live, fresh = names("live"), names("fresh")
    make_pair(postgresql_server, live, fresh)
    with opened(postgresql_server.url(live)) as target, pytest.raises(ServerError, match="already exists"):
        drive(swap_database(target, live, fresh, "postgres"))
    assert rows_of(postgresql_server, live) == [("old",)]
    assert rows_of(postgresql_server, fresh) == [("new",)]


def test_a_cancelled_swap_leaves_the_live_database_as_it_was(
    postgresql_server: PostgreSQL, names: Callable[[str], str]
) -> None:
    live, fresh, cancellation = names("live"), names("fresh"), Cancellation()
    make_pair(postgresql_server, live, fresh)
    postgresql_server.execute(f"COMMENT ON DATABASE \"{live}\" IS 'copied first'")
    with opened(postgresql_server.url(live), cancellation=cancellation) as target:
        swap = swap_database(target, live, fresh, f"{live}_kept")
        with pytest.raises(Cancelled):
            drive(swap, lambda _event: cancellation.request())
    assert rows_of(postgresql_server, live) == [("old",)]
    assert rows_of(postgresql_server, fresh) == [("new",)]


def test_a_swap_abandoned_half_way_leaves_the_live_database_open(
    postgresql_server: PostgreSQL, names: Callable[[str], str]
) -> None:
    """A session that nobody may end keeps the rename waiting; then this process is gone, as after kill -9."""
    live, fresh = names("live"), names("fresh")
    make_pair(postgresql_server, live, fresh)
    with closing(psycopg2.connect(postgresql_server.url())) as swapping, swapping.cursor() as cursor:
        for sql in _swap_statements(live, fresh, f"{live}_kept")[:-1]:
            cursor.execute(sql.replace("BEGIN", "SELECT 1"))
    assert rows_of(postgresql_server, live) == [("old",)]
    assert rows_of(postgresql_server, fresh) == [("new",)]


def test_a_session_that_may_not_be_ended_is_named_as_the_cause(
    postgresql_server: PostgreSQL, names: Callable[[str], str]
) -> None:
    server, live, fresh, login = postgresql_server, names("live"), names("fresh"), unique_name("owner")
    make_pair(server, live, fresh)
    server.execute(f"CREATE ROLE {login} LOGIN CREATEDB PASSWORD 'x'")
    for name in (live, fresh):
        server.execute(f'ALTER DATABASE "{name}" OWNER TO {login}')
    with (
        closing(psycopg2.connect(server.url(live))),
        opened(server.url("postgres", login, "x")) as target,
        pytest.raises(ServerError, match=r"(?i)superuser"),
    ):
        drive(swap_database(target, live, fresh, f"{live}_kept"))
    assert rows_of(server, live) == [("old",)]


def test_sessions_that_come_back_at_once_do_not_stop_a_swap(
    postgresql_server: PostgreSQL, names: Callable[[str], str]
) -> None:
    """An application with a pool connects again the moment it is disconnected."""
    live, fresh, stop = names("live"), names("fresh"), threading.Event()
    make_pair(postgresql_server, live, fresh)

    def insist() -> None:
        while not stop.is_set():
            try:
                with closing(psycopg2.connect(postgresql_server.url(live))) as connection:
                    while not stop.is_set():
                        with connection.cursor() as cursor:
                            cursor.execute("SELECT 1")
                        stop.wait(0.005)
            except psycopg2.Error:
                stop.wait(0.005)

    clients = [threading.Thread(target=insist) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        with opened(postgresql_server.url(live)) as target:
            drive(swap_database(target, live, fresh, f"{live}_kept"))
        assert rows_of(postgresql_server, live) == [("new",)]
    finally:
        stop.set()
        for client in clients:
            client.join()


def test_a_swap_through_a_pooler(
    postgresql_server: PostgreSQL, pgbouncer: PgBouncer, names: Callable[[str], str]
) -> None:
    live, fresh = names("live"), names("fresh")
    make_pair(postgresql_server, live, fresh)
    with closing(psycopg2.connect(pgbouncer.url(live))) as user, user.cursor() as cursor:
        cursor.execute("SELECT * FROM t")
        user.commit()
        with opened(pgbouncer.url(live)) as target:
            drive(swap_database(target, live, fresh, f"{live}_kept"))
    assert rows_of(postgresql_server, live) == [("new",)]


def test_the_data_directory_of_another_server_is_not_measured(
    postgresql_server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a tunnel another machine's server looks local, and a directory of that name may exist here."""
    (tmp_path / "postmaster.pid").write_text("1\n/data\n12345\n5432\n")
    contents = BackupContents(engine=EngineName.POSTGRESQL)
    with opened(postgresql_server.url()) as target:
        ask = target.collect_one

        def lie(name: str, *args: object, **binds: object) -> object:
            row = ask(name, *args, **binds)  # type: ignore[arg-type]
            return row._replace(data_directory=str(tmp_path)) if name == "collect_server_for_restore" else row

        monkeypatch.setattr(target, "collect_one", lie)
        assert collect_restore_facts(target, backup_of(), contents, "absent").free_bytes is None
