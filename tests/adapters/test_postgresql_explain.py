"""Plans of other people's statements: nothing of them is run, however they are written."""

import time
from collections.abc import Iterator

import pytest

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sessions import SESSIONS
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.errors import RefusedError, ServerError
from dbtui.model.sessions import Session
from tests.adapters.postgresql_sessions import (
    Crowd,
    add_login,
    any_database,
    any_server,
    crowd,
    database_on,
    execute,
    newest_postgresql,
    see,
)
from tests.adapters.postgresql_targets import opened

__all__ = ["any_database", "any_server", "crowd", "newest_postgresql"]  # fixtures

SCHEMA = """
CREATE SCHEMA erp;
CREATE TABLE erp.orders (id int PRIMARY KEY, org int, note text) PARTITION BY RANGE (id);
CREATE TABLE erp.orders_1 PARTITION OF erp.orders FOR VALUES FROM (0) TO (100);
CREATE TABLE erp.orders_2 PARTITION OF erp.orders FOR VALUES FROM (100) TO (200);
CREATE TABLE touched (n int);
CREATE FUNCTION writer() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO touched VALUES (1); RETURN 1; END $$;
CREATE FUNCTION liar() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN writer(); END $$;
"""


@pytest.fixture
def database(any_server: PostgreSQL, any_database: str) -> str:
    """A database with tables, and functions that say of themselves what is not true."""
    any_server.execute(SCHEMA, database=any_database)
    return any_database


@pytest.fixture
def target(any_server: PostgreSQL, database: str) -> Iterator[PostgresqlTarget]:
    """A target in another database than the statements."""
    with opened(any_server.url()) as made:
        yield made


def running(sql: str, database: str, user: str = "postgres") -> Session:
    return Session(session_id=7, user=user, database=database, sql=sql)


@pytest.mark.parametrize(
    ("sql", "planned"),
    [
        ("SELECT * FROM erp.orders WHERE id = 5;", "Index Cond: (id = 5)"),
        ("/* app:orders */ (SELECT 1) UNION ALL (SELECT 2)", "Append"),
        ("WITH w AS (SELECT 1) SELECT * FROM w -- done", "Result"),
        ("INSERT INTO touched VALUES (2) RETURNING n", "Insert on touched"),
        ("DELETE FROM touched WHERE n = 1", "Delete on touched"),
        ("SELECT ';', 'it''s' ;  ", "Result"),
    ],
)
def test_the_plan_of_a_statement(
    any_server: PostgreSQL, target: PostgresqlTarget, database: str, sql: str, planned: str
) -> None:
    assert planned in SESSIONS.explain(target, running(sql, database))
    assert any_server.execute("SELECT count(*) FROM touched", database=database) == [(0,)]
    with opened(any_server.url(database)) as inside:  # on the own connection, which takes up no other slot
        count = len(inside.own_processes())
        assert planned in SESSIONS.explain(inside, running(sql, database))
        assert len(inside.own_processes()) == count
        assert inside.rows("SHOW transaction_read_only")[0].transaction_read_only == "off"
        assert inside.rows("SHOW statement_timeout")[0].statement_timeout == "0"


@pytest.mark.parametrize(
    ("sql", "planned"),
    [
        ("SELECT * FROM erp.orders WHERE id = $1 AND note LIKE $2", "(id = $1)"),
        ("UPDATE touched SET n = $1 WHERE n = $2", "(n = $2)"),
        ("SELECT 1 LIMIT $1", "Limit"),
    ],
)
def test_the_plan_of_a_statement_with_parameters(
    target: PostgresqlTarget, any_server: PostgreSQL, database: str, sql: str, planned: str
) -> None:
    plan = SESSIONS.explain(target, running(sql, database))
    assert planned in plan or "Subplans Removed: 2" in plan  # before 16 the values are null when it begins
    with opened(any_server.url(database)) as inside:
        SESSIONS.explain(inside, running(sql, database))
        with pytest.raises(ServerError, match="nothing"):
            SESSIONS.explain(inside, running("SELECT * FROM nothing WHERE n = $1", database))
        SESSIONS.explain(inside, running(sql, database))
        assert inside.rows("SELECT * FROM pg_prepared_statements") == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1; DROP TABLE touched",
        "SELECT 1; COMMIT; DROP TABLE touched",
        "SELECT E'a'\n'\\'' ; DROP TABLE touched; --'",
        "SELECT 1; COMMIT; DROP TABLE touched; SELECT $1",
        "SELECT $1::int; COMMIT; DROP TABLE touched",
        "SELECT E'a'\n'\\'' ; COMMIT; DROP TABLE touched; --' $1",
        "DROP TABLE touched",
        "ANALYZE SELECT * FROM touched",
        "(ANALYZE) DELETE FROM touched",
        "SELECT liar()",
        "CREATE TABLE more AS SELECT 1",
        "EXECUTE p(1)",
        "FETCH 100 FROM c",
        "COPY touched TO PROGRAM 'touch /tmp/x'",
        "BEGIN",
        "",
        ";",
        "SELECT * FROM touched WHERE n = 1 AND note = 'cut o…",
    ],
)
def test_nothing_else_is_done_with_a_text(
    any_server: PostgreSQL, target: PostgresqlTarget, database: str, sql: str
) -> None:
    any_server.execute("INSERT INTO touched VALUES (0)", database=database)
    with pytest.raises((RefusedError, ServerError)):
        SESSIONS.explain(target, running(sql, database))
    with opened(any_server.url(database)) as inside, pytest.raises((RefusedError, ServerError)):
        SESSIONS.explain(inside, running(sql, database))
    assert any_server.execute("SELECT n FROM touched", database=database) == [(0,)]


def test_several_statements_are_refused_in_a_sentence(target: PostgresqlTarget, database: str) -> None:
    with pytest.raises(RefusedError, match="several statements in one text have no plan"):
        SESSIONS.explain(target, running("SELECT 1; SELECT 2", database))
    with pytest.raises(RefusedError, match="have a plan, not DROP"):
        SESSIONS.explain(target, running("DROP TABLE touched", database))
    with pytest.raises(RefusedError, match="keeps only the beginning"):
        SESSIONS.explain(target, running("SELECT 1 FROM…", database))
    with pytest.raises(RefusedError, match="is in no database"):
        SESSIONS.explain(target, running("SELECT 1", ""))


def test_planning_waits_for_no_lock(target: PostgresqlTarget, database: str, crowd: Crowd) -> None:
    execute(crowd.join(), "LOCK TABLE touched")
    began = time.monotonic()
    with pytest.raises(ServerError, match="lock timeout"):
        SESSIONS.explain(target, running("SELECT * FROM touched", database))
    assert time.monotonic() - began < 4


def test_names_are_looked_up_as_the_session_s_login_would(
    any_server: PostgreSQL, target: PostgresqlTarget, database: str
) -> None:
    login = add_login(any_server)
    any_server.execute(f"GRANT USAGE ON SCHEMA erp TO {login}", database=database)
    any_server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA erp TO {login}", database=database)
    sql = "SELECT * FROM orders WHERE id = 5"
    with pytest.raises(ServerError, match="may have a search_path or temporary tables of its own"):
        SESSIONS.explain(target, running(sql, database, login))
    any_server.execute(f'ALTER ROLE {login} IN DATABASE "{database}" SET search_path = erp, public')
    assert "orders_1" in SESSIONS.explain(target, running(sql, database, login))
    any_server.execute(f'ALTER ROLE {login} IN DATABASE "{database}" SET search_path = "$user", public')
    any_server.execute(f"CREATE SCHEMA AUTHORIZATION {login} CREATE TABLE orders (id int)", database=database)
    assert "Seq Scan on orders" in SESSIONS.explain(target, running(sql, database, login))


def test_a_superuser_plans_with_the_rights_and_policies_of_the_session_s_login(
    any_server: PostgreSQL, target: PostgresqlTarget, database: str
) -> None:
    login = add_login(any_server)
    any_server.execute("CREATE POLICY own ON touched USING (n = 42)", database=database)
    any_server.execute("ALTER TABLE touched ENABLE ROW LEVEL SECURITY", database=database)
    with pytest.raises(ServerError, match="permission denied for table touched"):
        SESSIONS.explain(target, running("TABLE touched", database, login))
    any_server.execute(f"GRANT SELECT ON touched TO {login}", database=database)
    for sql in ("TABLE touched", "SELECT * FROM touched LIMIT $1"):
        assert "(n = 42)" in SESSIONS.explain(target, running(sql, database, login))
        with opened(any_server.url(database)) as inside:
            assert "(n = 42)" in SESSIONS.explain(inside, running(sql, database, login))
            assert inside.rows("SELECT current_user AS me")[0].me == "postgres"
    assert "(n = 42)" not in SESSIONS.explain(target, running("TABLE touched", database))


def test_a_privilege_that_lacks_is_told(any_server: PostgreSQL, database: str) -> None:
    login = add_login(any_server)
    with (
        opened(any_server.url(database, login, "x")) as target,
        pytest.raises(ServerError, match="permission denied for table touched") as refused,
    ):
        SESSIONS.explain(target, running("SELECT * FROM touched", database))
    assert refused.value.code == "42501"


def test_a_real_session_is_explained(any_server: PostgreSQL, target: PostgresqlTarget, database: str) -> None:
    with opened(any_server.url(database)) as other:
        other.rows("SELECT count(*) FROM touched")
        assert "Seq Scan on touched" in SESSIONS.explain(target, see(target, other.own_processes()[0]))


def test_plans_come_through_a_pooler_and_leave_nothing_there(
    postgresql_server: PostgreSQL, pgbouncer: PgBouncer
) -> None:
    with database_on(postgresql_server) as name, opened(pgbouncer.url(name)) as target:
        postgresql_server.execute("CREATE TABLE t (n int)", database=name)
        for _ in range(2):
            assert "Seq Scan on t" in SESSIONS.explain(target, running("SELECT * FROM t WHERE n = $1", name))
            with pytest.raises(ServerError, match="does not exist"):
                SESSIONS.explain(target, running("SELECT * FROM gone WHERE n = $1", name))
        assert target.rows("SELECT * FROM pg_prepared_statements") == []
        for setting, value in (("statement_timeout", "0"), ("transaction_read_only", "off")):
            assert target.rows(f"SHOW {setting}")[0][0] == value
            target._connection.rollback()
