"""Indexes of a plain dump are built side by side: the same database comes out, and every failure is told."""

import threading
import time
from pathlib import Path

import psycopg2
import pytest

from dbtui.adapters.libpq.failures import translate
from dbtui.adapters.postgresql import load_plain
from dbtui.adapters.postgresql.index_builders import Build, IndexBuilders, builds_index
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import DbtuiError, ServerError
from tests.adapters import test_postgresql_load as one_by_one
from tests.adapters.postgresql_nasty import PLAIN_WAYS, Nasty, ask, empty_database, nasty, restore, restored, stored
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name

__all__ = ["nasty"]


@pytest.fixture(autouse=True)
def _side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the dump is."""
    monkeypatch.setattr(load_plain, "_WORTH_BUILDERS_BYTES", 0)


@pytest.mark.parametrize(
    ("sql", "is_one"),
    [
        (b"CREATE INDEX i ON public.t USING btree (a)", True),
        (b"\ncreate unique index i ON t (a)", True),
        (b"CREATE INDEX i ON ONLY public.parent (a)", True),
        (b'ALTER TABLE ONLY public."a b"\n    ADD CONSTRAINT "x y" PRIMARY KEY (id)', True),
        (b"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k UNIQUE (id)", True),
        (b"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES t", False),
        (b"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k EXCLUDE USING gist (r WITH &&)", False),
        (b"ALTER TABLE ONLY public.t REPLICA IDENTITY USING INDEX k", False),
        (b"ALTER INDEX k ATTACH PARTITION i", False),
        (b"CREATE INDEX CONCURRENTLY i ON t (a)", False),
        (b"CREATE TABLE index (a int)", False),
    ],
)
def test_what_builds_an_index(sql: bytes, is_one: bool) -> None:
    assert builds_index(sql) is is_one


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.parametrize("way", PLAIN_WAYS)
def test_the_same_database_comes_out(nasty: Nasty, way: str, jobs: int) -> None:
    with restored(nasty, stored(nasty.dump(way)), jobs=jobs) as database:
        assert nasty.schema_and_rows(database) == nasty.schema_and_rows()


def test_an_index_that_cannot_be_built_is_named(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    path = one_by_one.dump_of(
        tmp_path,
        "CREATE TABLE public.t (a int);\nCOPY public.t (a) FROM stdin;\n1\n1\n\\.\n\n\n"
        "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (a);\nCREATE INDEX i ON public.t (a);\n",
    )
    with (
        empty_database(postgresql_server) as database,
        opened(postgresql_server.url()) as target,
        pytest.raises(ServerError, match=r"made.sql:12: TABLE public.k: could not create unique index"),
    ):
        restore(target, stored(path), database)


def test_what_comes_after_indexes_finds_them(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    path = one_by_one.dump_of(
        tmp_path,
        "CREATE TABLE public.t (a int NOT NULL);\nCOPY public.t (a) FROM stdin;\n1\n2\n\\.\n\n"
        "CREATE UNIQUE INDEX i ON public.t (a);\nCREATE INDEX j ON public.t (a);\n"
        "ALTER TABLE ONLY public.t REPLICA IDENTITY USING INDEX i;\n"
        "CREATE TABLE public.late (b int);\nCOPY public.late (b) FROM stdin;\n7\n\\.\n\n"
        "CREATE INDEX late_b ON public.late (b);\nCOMMENT ON INDEX public.late_b IS 'late';\n",
    )
    with empty_database(postgresql_server) as database, opened(postgresql_server.url()) as target:
        restore(target, stored(path), database)
        assert ask(postgresql_server, database, "SELECT relreplident FROM pg_class WHERE oid = 't'::regclass") == "i"
        assert ask(postgresql_server, database, "SELECT sum(b) FROM late") == 7
        assert ask(postgresql_server, database, "SELECT obj_description('late_b'::regclass, 'pg_class')") == "late"


def test_a_cancel_ends_builds_at_once(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    one_by_one.test_a_cancel_ends_a_load_at_once_and_leaves_nothing_running(postgresql_server, tmp_path, "plain")


def test_a_login_without_further_connections_builds_with_its_own(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    login = unique_name("narrow")
    postgresql_server.execute(f"CREATE ROLE \"{login}\" LOGIN PASSWORD 'x' CONNECTION LIMIT 2")
    path = one_by_one.dump_of(
        tmp_path, "CREATE TABLE public.t (a int);\nCREATE INDEX i ON public.t (a);\nCREATE INDEX j ON public.t (a);\n"
    )
    url = postgresql_server.url("postgres", login, "x")
    with empty_database(postgresql_server, owner=login) as database, opened(url) as target:
        assert target.info.user == login
        restore(target, stored(path), database)
        assert ask(postgresql_server, database, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'") == 2
    postgresql_server.execute(f'DROP ROLE "{login}"')


def _explain(error: psycopg2.Error) -> DbtuiError:
    return translate(error, "a build")


def test_builds_run_side_by_side_and_are_named(postgresql_server: PostgreSQL) -> None:
    key = threading.get_native_id()
    met = f"(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {key} AND granted) = 2"
    meet = f"SELECT pg_advisory_lock_shared({key}); DO $$ BEGIN WHILE NOT {met} LOOP PERFORM pg_sleep(0.01); "
    meet += "END LOOP; END $$"
    with (
        empty_database(postgresql_server) as database,
        opened(postgresql_server.url()) as target,
        IndexBuilders(target, database, 1) as builders,
    ):
        for name in ("first", "second"):
            builders.add(Build(meet.encode(), name, _explain))
        assert set(builders.drain()) <= {"first", "second"}
        assert not builders.is_busy


def test_builds_that_wait_for_each_other_are_made_one_by_one(postgresql_server: PostgreSQL) -> None:
    with (
        empty_database(postgresql_server) as database,
        opened(postgresql_server.url()) as target,
        IndexBuilders(target, database, 2) as builders,
    ):
        postgresql_server.execute(
            "CREATE TABLE a (); CREATE TABLE b (); CREATE TABLE done (name text)", database=database
        )
        for mine, other in (("a", "b"), ("b", "a")):
            seen = f"(SELECT count(*) FROM pg_locks WHERE relation = '{other}'::regclass AND granted)"
            rounds = f"WHILE {seen} = 0 AND (SELECT count(*) FROM done) = 0 LOOP PERFORM pg_sleep(0.01); END LOOP"
            sql = f"LOCK {mine}; DO $$ BEGIN {rounds}; END $$; LOCK {other}; INSERT INTO done VALUES ('{mine}')"
            builders.add(Build(sql.encode(), mine, _explain))
        for _ in builders.drain():
            pass
        assert ask(postgresql_server, database, "SELECT string_agg(name, '' ORDER BY name) FROM done") == "ab"


def _wait_for_the_end(builders: IndexBuilders) -> None:
    """Until every build has ended, though nobody has asked how."""
    ends = time.monotonic() + 20
    while builders._open_builds:
        assert time.monotonic() < ends


def test_a_build_that_failed_before_anybody_waited_is_told(postgresql_server: PostgreSQL) -> None:
    with (
        empty_database(postgresql_server) as database,
        opened(postgresql_server.url()) as target,
        IndexBuilders(target, database, 2) as builders,
    ):
        builders.add(Build(b"CREATE INDEX i ON missing (a)", "TABLE public.i", _explain))
        _wait_for_the_end(builders)
        assert builders.is_busy
        with pytest.raises(ServerError, match="missing"):
            list(builders.drain())


def test_a_build_that_deadlocks_alone_is_told(postgresql_server: PostgreSQL) -> None:
    with (
        empty_database(postgresql_server) as database,
        opened(postgresql_server.url()) as target,
        IndexBuilders(target, database, 2) as builders,
    ):
        sql = "DO $$ BEGIN RAISE 'missing luck' USING ERRCODE = 'deadlock_detected'; END $$"
        builders.add(Build(sql.encode(), "TABLE public.i", _explain))
        _wait_for_the_end(builders)
        assert builders.is_busy
        with pytest.raises(DbtuiError, match="missing luck"):
            list(builders.drain())


def test_leaving_ends_what_is_being_built(postgresql_server: PostgreSQL) -> None:
    with empty_database(postgresql_server) as database, opened(postgresql_server.url()) as target:
        with IndexBuilders(target, database, 2) as builders:
            builders.add(Build(b"SELECT pg_sleep(600)", "slow", _explain))
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
            while postgresql_server.execute(sleeping, [database])[0][0] == 0:
                pass
        assert postgresql_server.execute(sleeping, [database])[0][0] == 0
