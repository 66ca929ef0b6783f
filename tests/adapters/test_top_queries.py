"""The sums of statements that servers keep, and what is said where they keep none."""

import contextlib
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from dbtui.adapters.mysql.sessions import SESSIONS as MYSQL_SESSIONS
from dbtui.adapters.mysql.status import collect_status as collect_mysql_status
from dbtui.adapters.mysql.top_queries import QUERIES as MYSQL
from dbtui.adapters.own_statements import squeeze
from dbtui.adapters.postgresql.pools import POOLS
from dbtui.adapters.postgresql.sessions import SESSIONS
from dbtui.adapters.postgresql.status import collect_status
from dbtui.adapters.postgresql.top_queries import QUERIES, collect_totals
from dbtui.demo.servers import MariaDB, PostgreSQL, ServerDirectory
from dbtui.demo.servers.postgresql import embedded_binaries
from dbtui.model.queries import ForeignKey, TopQueriesSnapshot, TopQuery
from tests.adapters.mysql_targets import open_mysql
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name


@pytest.fixture(scope="module")
def measured(server_directory: ServerDirectory) -> Iterator[MariaDB]:
    """A MariaDB that sums statements up."""
    options = ["--performance-schema=ON"]
    with MariaDB(server_directory, name=unique_name("maria"), options=options) as made:
        made.execute("CREATE DATABASE shop")
        yield made


def find(snapshot: TopQueriesSnapshot, part: str) -> TopQuery:
    (found,) = [query for query in snapshot.queries if part.lower() in query.sql.lower()]
    return found


# ---------------------------------------------------------------- PostgreSQL


def work(url: str) -> None:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE thing AS SELECT generate_series(1, 50) AS number")
        for number in range(7):
            cursor.execute("SELECT number FROM thing WHERE number <= %s", (number + 3,))
        connection.commit()


@pytest.mark.parametrize("version", ["1.8", "1.9", "1.10"])
def test_every_version_of_the_extension(postgresql_database: str, version: str) -> None:
    with contextlib.closing(psycopg2.connect(postgresql_database)) as connection:
        connection.autocommit = True
        connection.cursor().execute('CREATE SCHEMA "odd Schema"')
        connection.cursor().execute(f"CREATE EXTENSION pg_stat_statements SCHEMA \"odd Schema\" VERSION '{version}'")
    work(postgresql_database)
    with opened(postgresql_database) as target:
        snapshot = QUERIES.collect_top_queries(target)
        again = QUERIES.collect_top_queries(target)
    query = find_in(snapshot, "from thing where", postgresql_database)
    assert snapshot.source == f"pg_stat_statements {version}" and not snapshot.gaps
    assert (query.calls, query.rows, query.user) == (7, sum(range(3, 10)), "postgres")
    assert 0 < query.total_seconds < 5 and query.min_seconds and query.max_seconds
    assert query.hit_bytes and query.read_bytes is not None and query.temp_bytes == 0 and query.wal_bytes is not None
    assert (snapshot.since is None) == (snapshot.evicted is None) == (version == "1.8")
    assert find_in(again, "from thing where", postgresql_database).key == query.key
    here = [each.sql for each in again.queries if each.database == postgresql_database.rpartition("/")[2]]
    assert not [sql for sql in here if "dbtui" in sql or "pg_stat_statements(" in sql]


def find_in(snapshot: TopQueriesSnapshot, part: str, url: str) -> TopQuery:
    database = url.rpartition("/")[2]
    (found,) = [each for each in snapshot.queries if part in each.sql.lower() and each.database == database]
    return found


def test_the_newest_server(server_directory: ServerDirectory) -> None:
    binaries = embedded_binaries()
    with PostgreSQL(server_directory, name=unique_name("pg18"), binaries=binaries) as server:
        server.execute("CREATE EXTENSION pg_stat_statements")
        work(server.url())
        with opened(server.url()) as target:
            snapshot = QUERIES.collect_top_queries(target)
    query = find(snapshot, "from thing where")
    assert snapshot.source == "pg_stat_statements 1.12"
    assert query.calls == 7 and query.first_at is not None and query.wal_bytes is not None


def test_a_reset_begins_anew(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    name = postgresql_database.rpartition("/")[2]
    postgresql_server.execute("CREATE EXTENSION pg_stat_statements", database=name)
    work(postgresql_database)
    with opened(postgresql_database) as target:
        before = QUERIES.collect_top_queries(target)
        postgresql_server.execute("SELECT pg_stat_statements_reset()", database=name)
        after = QUERIES.collect_top_queries(target)
    assert before.since is not None and after.since is not None and after.since > before.since
    assert len(after.queries) < len(before.queries)


def test_texts_of_others_are_hidden_and_the_grant_is_said(
    postgresql_server: PostgreSQL, postgresql_database: str
) -> None:
    login, name = unique_name("plain"), postgresql_database.rpartition("/")[2]
    postgresql_server.execute("CREATE EXTENSION pg_stat_statements", database=name)
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    work(postgresql_database)
    with opened(postgresql_server.url(name, user=login, password="x")) as target:
        hidden = QUERIES.collect_top_queries(target)
        postgresql_server.execute(f"GRANT pg_read_all_stats TO {login}")
        seen = QUERIES.collect_top_queries(target)
    postgresql_server.execute(f"DROP ROLE {login}")
    (gap,) = hidden.gaps
    assert f'GRANT pg_read_all_stats TO "{login}"' in gap
    of_others = [each for each in hidden.queries if each.database == name and each.user == "postgres"]
    assert [each.sql for each in of_others] == [""] and of_others[0].calls >= 8
    assert not seen.gaps and find_in(seen, "from thing where", postgresql_database).calls == 7


def test_an_extension_that_was_not_created(postgresql_database: str) -> None:
    with opened(postgresql_database) as target:
        snapshot = QUERIES.collect_top_queries(target)
    assert not snapshot.queries
    assert "CREATE EXTENSION pg_stat_statements in database" in snapshot.gaps[0]


def test_a_library_that_is_not_loaded(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql(config=["shared_preload_libraries = 'auto_explain'"])
    with opened(server.url()) as target:
        without = QUERIES.collect_top_queries(target)
        server.execute("CREATE EXTENSION pg_stat_statements")
        created = QUERIES.collect_top_queries(target)
    setting = "set shared_preload_libraries = 'auto_explain, pg_stat_statements', restart the server"
    assert setting in without.gaps[0] and "then run CREATE EXTENSION" in without.gaps[0]
    assert setting in created.gaps[0] and "CREATE EXTENSION" not in created.gaps[0]


def test_own_statements_are_left_out(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    """Also those of other dbtui sessions, which may have no right to keep themselves out."""
    name = postgresql_database.rpartition("/")[2]
    postgresql_server.execute("CREATE EXTENSION pg_stat_statements", database=name)
    with opened(postgresql_database) as other:
        collect_status(other)
        SESSIONS.collect_sessions(other)
        POOLS.collect_server_pool(other)
    with opened(postgresql_database) as target:
        QUERIES.measure_round_trip(target)
        snapshot = QUERIES.collect_top_queries(target)
    texts = [each.sql for each in snapshot.queries if each.database == name]
    assert not [text for text in texts if "pg_stat_activity" in text or "introduce" in text], texts


def test_what_a_login_without_rights_asks_for_is_left_out(
    postgresql_server: PostgreSQL, postgresql_database: str
) -> None:
    """It cannot keep its own statements from being summed up, also not those that ask for the sums."""
    login, name = unique_name("watcher"), postgresql_database.rpartition("/")[2]
    postgresql_server.execute("CREATE EXTENSION pg_stat_statements", database=name)
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x' IN ROLE pg_monitor")
    with opened(postgresql_server.url(name, user=login, password="x")) as target:
        QUERIES.collect_top_queries(target)
        collect_totals(target)
        snapshot = QUERIES.collect_top_queries(target)
    postgresql_server.execute(f"DROP ROLE {login}")
    texts = [each.sql for each in snapshot.queries if each.user == login]
    assert not [text for text in texts if "pg_stat_statements" in text]


def test_the_way_to_the_server_is_measured(postgresql_database: str) -> None:
    with opened(postgresql_database) as target:
        assert 0 < QUERIES.measure_round_trip(target) < 1


KEYS = (
    "CREATE TABLE org (id int PRIMARY KEY, name text)",
    "CREATE TABLE person (id int PRIMARY KEY, org_id int NOT NULL REFERENCES org (id), boss_id int REFERENCES person)",
    "CREATE INDEX ON person (boss_id) WHERE boss_id > 5",
    "CREATE INDEX ON person (lower(id::text))",
    "CREATE TABLE passport (person_id int UNIQUE REFERENCES person, code text)",
    "CREATE SCHEMA far",
    "CREATE TABLE far.tag (a int, b int, PRIMARY KEY (b, a))",
    "CREATE TABLE far.tagged (a int NOT NULL, b int NOT NULL, FOREIGN KEY (b, a) REFERENCES far.tag (b, a))",
    "CREATE TABLE part (id int, org_id int REFERENCES org (id), PRIMARY KEY (id)) PARTITION BY RANGE (id)",
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (10)",
)


def test_keys_and_indexes_of_postgresql(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    name = postgresql_database.rpartition("/")[2]
    for sql in KEYS:
        postgresql_server.execute(sql, database=name)
    with opened(postgresql_database) as target:
        schema = QUERIES.collect_query_schema(target)
    assert set(schema.foreign_keys) == {
        ForeignKey("person", ("org_id",), "org", ("id",), is_required=True),
        ForeignKey("person", ("boss_id",), "person", ("id",)),
        ForeignKey("passport", ("person_id",), "person", ("id",), is_unique=True),
        ForeignKey("far.tagged", ("b", "a"), "far.tag", ("b", "a"), is_required=True),
        ForeignKey("part", ("org_id",), "org", ("id",)),
    }
    assert schema.primary_keys == {"org": ("id",), "person": ("id",), "part": ("id",), "far.tag": ("b", "a")}
    assert schema.indexed == {
        "org": {"id"}, "person": {"id"}, "passport": {"person_id"}, "far.tag": {"b"}, "part": {"id"},
    }  # fmt: skip


# ---------------------------------------------------------------- MariaDB


def test_digests(measured: MariaDB) -> None:
    measured.execute("CREATE TABLE shop.thing (number int)")
    measured.execute("INSERT INTO thing SELECT seq FROM seq_1_to_50", database="shop")
    for number in range(7):
        measured.execute("SELECT number FROM thing WHERE number <= %s", (number + 3,), database="shop")
    target = open_mysql(measured.url("shop"))
    with contextlib.closing(target):
        snapshot = MYSQL.collect_top_queries(target)
        query = find(snapshot, "FROM `thing` WHERE")
        assert 0 < MYSQL.measure_round_trip(target) < 1
    assert (query.calls, query.rows, query.rows_examined, query.database) == (7, 42, 350, "shop")
    assert query.no_index_calls == 7 and query.first_at is not None and query.last_at is not None
    assert 0 < query.total_seconds < 5
    assert snapshot.since is not None and snapshot.since <= query.first_at and snapshot.evicted == 0


def test_own_digests_are_left_out(measured: MariaDB) -> None:
    polled = open_mysql(measured.url("shop"), read_only=True)
    with contextlib.closing(polled):
        collect_mysql_status(polled)
        MYSQL_SESSIONS.collect_sessions(polled)
        MYSQL.collect_query_schema(polled)
        MYSQL.collect_top_queries(polled)
        snapshot = MYSQL.collect_top_queries(polled)
    texts = [each.sql for each in snapshot.queries]
    assert not [text for text in texts if "events_statements" in text or "information_schema" in text.lower()], texts


def test_what_keeps_a_mariadb_from_summing_up(measured: MariaDB, mariadb_server: MariaDB) -> None:
    off = open_mysql(mariadb_server.url())
    with contextlib.closing(off):
        assert "put performance_schema = ON below [mysqld]" in MYSQL.collect_top_queries(off).gaps[0]
    login = unique_name("plain")
    measured.execute(f"CREATE USER '{login}'@'127.0.0.1' IDENTIFIED BY 'x'")
    plain = open_mysql(measured.url("", user=login, password="x"))
    with contextlib.closing(plain):
        grant = f"GRANT SELECT ON performance_schema.* TO '{login}'@'127.0.0.1'"
        assert grant in MYSQL.collect_top_queries(plain).gaps[0]
        measured.execute(grant)
        assert not MYSQL.collect_top_queries(plain).gaps
    switch = "UPDATE performance_schema.setup_consumers SET ENABLED = '{}' WHERE NAME = 'statements_digest'"
    measured.execute(switch.format("NO"))
    target = open_mysql(measured.url())
    with contextlib.closing(target):
        gap = MYSQL.collect_top_queries(target).gaps[0]
    measured.execute(switch.format("YES"))
    assert switch.format("YES") in gap


def test_keys_and_indexes_of_mariadb(mariadb_server: MariaDB, mariadb_database: str) -> None:
    name = mariadb_database.rpartition("/")[2]
    for sql in (
        "CREATE TABLE org (id int PRIMARY KEY)",
        "CREATE TABLE person (id int PRIMARY KEY, org_id int NOT NULL, boss_id int,"
        " FOREIGN KEY (org_id) REFERENCES org (id), FOREIGN KEY (boss_id) REFERENCES person (id))",
        "CREATE TABLE passport (person_id int UNIQUE, FOREIGN KEY (person_id) REFERENCES person (id))",
    ):
        mariadb_server.execute(sql, database=name)
    target = open_mysql(mariadb_database)
    with contextlib.closing(target):
        schema = MYSQL.collect_query_schema(target)
    assert set(schema.foreign_keys) == {
        ForeignKey("person", ("org_id",), "org", ("id",), is_required=True),
        ForeignKey("person", ("boss_id",), "person", ("id",)),
        ForeignKey("passport", ("person_id",), "person", ("id",), is_unique=True),
    }
    assert schema.primary_keys == {"org": ("id",), "person": ("id",)}
    assert schema.indexed["person"] == {"id", "org_id", "boss_id"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SELECT a FROM t WHERE b = :name AND c = 'x'", "SELECT `a` FROM `t` WHERE `b` = ? AND `c` = ?"),
        ("SELECT x::int8 FROM t -- why\nWHERE y = %(name)s", "select x::int8 from t where y = $1"),
    ],
)
def test_statements_are_the_same_but_for_values(ours: str, theirs: str) -> None:
    assert squeeze(ours) == squeeze(theirs)
