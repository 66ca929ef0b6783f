"""What a new partition takes over from its siblings: who sees which rows, by what replicas tell rows apart, where."""

from contextlib import closing

import psycopg2
import pytest

from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.demo.servers import PostgreSQL
from dbtui.model.partitions import StepKind, StepOutcome
from tests.adapters.partition_tables import apply_step, create_logs, month, run_sql, see
from tests.adapters.postgresql_sessions import any_database, any_server, newest_postgresql  # noqa: F401
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name


@pytest.fixture
def url(any_server: PostgreSQL, any_database: str) -> str:  # noqa: F811
    return any_server.url(any_database)


def create_guarded(url: str, reader: str) -> None:
    """`logs`, whose newest partition shows a reader some of its rows, and lets it change one column."""
    create_logs(url)
    run_sql(
        url,
        f"CREATE ROLE {reader}",
        "ALTER TABLE logs_3 ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE logs_3 FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY \"odd's\" ON logs_3 FOR SELECT TO {reader} USING (v = 7 AND current_user <> 'a''b')",
        "CREATE POLICY all_of ON logs_3 AS RESTRICTIVE USING (v < 100) WITH CHECK (v < 50)",
        f"GRANT SELECT ON logs_3 TO {reader}",
        f"GRANT UPDATE (v) ON logs_3 TO {reader}",
    )


def seen_by(url: str, reader: str, sql: str) -> list[object]:
    try:
        return run_sql(url, f"SET ROLE {reader}", sql)
    finally:
        run_sql(url, f"DROP OWNED BY {reader}", f"DROP ROLE {reader}")


@pytest.mark.parametrize("has_default", [False, True], ids=["created", "drained"])
def test_who_reads_a_new_partition_sees_no_more_than_of_the_others(url: str, has_default: bool) -> None:
    reader = unique_name("reader")
    create_guarded(url, reader)
    kind = StepKind.DRAIN_DEFAULT if has_default else StepKind.CREATE
    if has_default:
        run_sql(url, "CREATE TABLE logs_rest (LIKE logs INCLUDING ALL EXCLUDING IDENTITY)",
                "INSERT INTO logs_rest (id, at, v) VALUES (3, '2026-04-07', 1)")  # fmt: skip
        run_sql(url, "ALTER TABLE logs ATTACH PARTITION logs_rest DEFAULT")
        run_sql(url, f"GRANT SELECT ON logs_rest TO {reader}", "ALTER TABLE logs_rest ENABLE ROW LEVEL SECURITY")
    with opened(url) as target:
        assert apply_step(target, kind, "logs_4", bound=month(4)).outcome is StepOutcome.DONE
        assert see(target).gaps == ()
    run_sql(url, "INSERT INTO logs (at, v) VALUES ('2026-04-05', 7), ('2026-04-06', 8)")
    assert run_sql(url, "SELECT count(*) FROM logs_4") == [(3 if has_default else 2,)]
    assert seen_by(url, reader, "SELECT v FROM logs_4") == ([] if has_default else [(7,)])


def test_policies_and_grants_of_columns_are_taken_over_as_they_are(url: str) -> None:
    reader = unique_name("reader")
    create_guarded(url, reader)
    with opened(url) as target:
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.DONE
    policies = (
        "SELECT polname, polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid),"
        " pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = '{}'::regclass ORDER BY 1"
    )
    assert run_sql(url, policies.format("logs_4")) == run_sql(url, policies.format("logs_3")) != []
    flags = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = 'logs_4'"
    assert run_sql(url, flags) == [(True, True)]
    asked = "SELECT has_column_privilege('logs_4', 'v', 'UPDATE'), has_column_privilege('logs_4', 'at', 'UPDATE')"
    assert seen_by(url, reader, asked) == [(True, False)]


def test_a_policy_that_names_its_table_is_not_taken_over_and_then_nothing_is_seen(url: str) -> None:
    reader = unique_name("reader")
    create_guarded(url, reader)
    run_sql(url, "CREATE TABLE owners (v int)", "CREATE POLICY own ON logs_3 USING (EXISTS (SELECT FROM owners o"
            " WHERE o.v = logs_3.v))")  # fmt: skip
    with opened(url) as target:
        assert any("a row policy of logs_3 names that table" in gap for gap in see(target).gaps)
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.DONE
    run_sql(url, "INSERT INTO logs (at, v) VALUES ('2026-04-05', 7)")
    assert seen_by(url, reader, "SELECT v FROM logs_4") == []


def test_rows_are_told_apart_by_the_index_that_tells_those_of_the_others(url: str) -> None:
    create_logs(url)
    run_sql(
        url,
        "ALTER TABLE logs ALTER id SET NOT NULL",
        'CREATE UNIQUE INDEX "by_id:parent %I" ON logs (id, at)',
        "ALTER TABLE logs_3 REPLICA IDENTITY USING INDEX logs_3_id_at_idx",
    )
    with opened(url) as target:
        assert apply_step(target, StepKind.CREATE, "logs_:parent's", bound=month(4)).outcome is StepOutcome.DONE
        assert see(target).gaps == ()
    found = run_sql(
        url,
        "SELECT c.relreplident, pg_get_indexdef(x.indexrelid) ~ '\\(id, at\\)' FROM pg_class c"
        " JOIN pg_index x ON x.indrelid = c.oid AND x.indisreplident WHERE c.relname = 'logs_:parent''s'",
    )
    assert found == [("i", True)]


def test_an_index_that_only_a_sibling_has_tells_no_rows_of_new_ones(url: str) -> None:
    create_logs(url)
    run_sql(
        url,
        "ALTER TABLE logs_3 ALTER id SET NOT NULL",
        "CREATE UNIQUE INDEX alone ON logs_3 (id)",
        "ALTER TABLE logs_3 REPLICA IDENTITY USING INDEX alone",
    )
    with opened(url) as target:
        assert [gap for gap in see(target).gaps if "by an index that its parent lacks" in gap]
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.DONE


def test_a_new_partition_goes_where_its_siblings_are(url: str, any_server: PostgreSQL) -> None:  # noqa: F811
    place, space = unique_name("space"), unique_name("tables")
    directory = any_server.directory.add_subdirectory(place, any_server.account)
    create_logs(url)
    database = url.rpartition("/")[2]
    run_sql(url, f"CREATE TABLESPACE {space} LOCATION '{directory}'",
            f'ALTER DATABASE "{database}" SET default_tablespace = {space}')  # fmt: skip
    try:
        with opened(url) as target:
            assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.DONE
        assert run_sql(url, "SELECT DISTINCT reltablespace::int FROM pg_class WHERE relname LIKE 'logs_4%'") == [(0,)]
    finally:
        run_sql(url, f'ALTER DATABASE "{database}" RESET ALL', "DROP TABLE logs")
        run_sql(url, f"DROP TABLESPACE {space}")


def test_default_privileges_of_the_login_show_a_new_partition_to_nobody_else(url: str) -> None:
    reader = unique_name("reader")
    create_logs(url)
    run_sql(
        url,
        f"CREATE ROLE {reader}",
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC, {reader}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT UPDATE ON TABLES TO {reader}",
        f"GRANT INSERT ON logs_3 TO {reader}",
    )
    with opened(url) as target:
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.DONE
    may = [f"has_table_privilege('logs_4', '{privilege}')" for privilege in ("SELECT", "INSERT", "UPDATE")]
    assert run_sql(url, f"SET ROLE {reader}", f"SELECT {', '.join(may)}") == [(False, True, False)]
    run_sql(url, f"DROP OWNED BY {reader}", f"DROP ROLE {reader}")
    run_sql(url, "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC")


def test_tables_of_other_sessions_alone_are_not_there(url: str) -> None:
    create_logs(url)
    with closing(psycopg2.connect(url)) as other, other.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE mine (at date) PARTITION BY RANGE (at)")
        other.commit()
        with opened(url) as target:
            assert [each.table.name for each in PARTITIONS.collect_partitioned_tables(target)] == ["logs"]
