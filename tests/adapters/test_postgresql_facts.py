"""What planning a dump learns from a real server: tables, privileges, locks, what is left out."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from dbtui.adapters.postgresql.facts import collect_dump_facts
from dbtui.adapters.postgresql.patterns import matching_tables
from dbtui.demo.servers import PgBouncer, PostgreSQL, PostgreSQLReplica
from dbtui.model.backups import DumpFacts, DumpOptions, TableName
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name

TABLES = [
    TableName("public", "users"),
    TableName("public", "User s"),
    TableName("erp", "users"),
    TableName("erp", "orders"),
    TableName("erp", "odd.name"),
    TableName("erp", "st*r"),
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("users", {"public.users", "erp.users"}),
        ("public.users", {"public.users"}),
        ("ERP.Orders", {"erp.orders"}),
        ("erp.*", {"erp.users", "erp.orders", "erp.odd.name", "erp.st*r"}),
        ("*.user?", {"public.users", "erp.users"}),
        ('"User s"', {"public.User s"}),
        ("User s", {"public.User s"}),
        ('erp."st*r"', {"erp.st*r"}),
        ('"USERS"', set()),
        ("erp.odd.name", {"erp.odd.name"}),
        ('erp."odd.name"', {"erp.odd.name"}),
        ("nothing", set()),
        ("use[rs]*", set()),
    ],
)
def test_patterns(pattern: str, expected: set[str]) -> None:
    assert {str(table) for table in matching_tables(pattern, TABLES)} == expected


@pytest.fixture
def database(postgresql_server: PostgreSQL, postgresql_database: str) -> Iterator[str]:
    """A database with partitions, inheritance, foreign keys, a large object and things that no dump holds."""
    name = postgresql_database.rpartition("/")[2]
    for sql in (
        "CREATE SCHEMA erp",
        "CREATE TABLE erp.orgs (id int PRIMARY KEY)",
        "CREATE TABLE erp.orders (id serial PRIMARY KEY, org int REFERENCES erp.orgs)",
        "CREATE TABLE logs (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
        "CREATE TABLE hollow (a int) PARTITION BY LIST (a)",
        "INSERT INTO erp.orgs SELECT generate_series(1, 500)",
        "CREATE MATERIALIZED VIEW pale AS SELECT 1 AS one WITH NO DATA",
        "SELECT lo_create(4711)",
        "CREATE UNLOGGED TABLE scratch (a int)",
    ):
        postgresql_server.execute(sql, database=name)
    yield name


def facts_of(server: PostgreSQL, database: str, **options: object) -> DumpFacts:
    with opened(server.url(database)) as target:
        return collect_dump_facts(target, DumpOptions(**options))  # type: ignore[arg-type]


def names(facts: DumpFacts) -> list[str]:
    return [str(table.table_name) for table in facts.tables]


def test_everything_by_default(postgresql_server: PostgreSQL, database: str) -> None:
    facts = facts_of(postgresql_server, database)
    expected = ["erp.orders", "erp.orgs", "public.hollow", "public.logs_1", "public.logs_2", "public.scratch"]
    assert names(facts) == expected
    assert facts.tool == "pg_dump" and facts.tool_major == facts.info.version_number // 10000
    assert (facts.database_bytes or 0) > 1_000_000 and facts.large_objects == 1
    assert facts.roles == ("postgres",) and facts.missing_privileges == () and facts.lock_holders == ()
    assert facts.remarks == ("materialised views without data stay without data: public.pale",)
    orgs = next(table for table in facts.tables if table.name == "orgs")
    assert (orgs.bytes or 0) >= 8192 and orgs.is_readable and not orgs.has_row_security


def test_a_partitioned_table_stands_for_its_partitions(postgresql_server: PostgreSQL, database: str) -> None:
    assert names(facts_of(postgresql_server, database, tables=("logs",))) == ["public.logs_1", "public.logs_2"]
    assert names(facts_of(postgresql_server, database, tables=("hollow",))) == ["public.hollow"]
    without = facts_of(postgresql_server, database, exclude_tables=("logs", "erp.*"))
    assert names(without) == ["public.hollow", "public.scratch"]


def test_patterns_without_a_table_and_keys_that_lead_outside(postgresql_server: PostgreSQL, database: str) -> None:
    facts = facts_of(postgresql_server, database, tables=("orders", "nosuch*"), exclude_tables=("neither",))
    assert facts.unmatched == ("nosuch*", "neither")
    assert "foreign keys lead to tables that are not in the dump: erp.orders → erp.orgs" in facts.remarks


def test_what_a_login_may_not_read_comes_with_the_grant(postgresql_server: PostgreSQL, database: str) -> None:
    login = unique_name("reader")
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    postgresql_server.execute(f"GRANT SELECT ON erp.orgs TO {login}", database=database)
    postgresql_server.execute("ALTER TABLE erp.orgs ENABLE ROW LEVEL SECURITY", database=database)
    with opened(postgresql_server.url(database, login, "x")) as target:
        facts = collect_dump_facts(target, DumpOptions(tables=("erp.*",)))
        for grant in facts.missing_privileges[:-1]:
            postgresql_server.execute(grant, database=database)
        again = collect_dump_facts(target, DumpOptions(tables=("erp.*",)))
    assert facts.missing_privileges[:3] == (
        f'GRANT USAGE ON SCHEMA "erp" TO "{login}"',
        f'GRANT SELECT ON TABLE "erp"."orders" TO "{login}"',
        f'GRANT SELECT ON SEQUENCE "erp"."orders_id_seq" TO "{login}"',
    )
    assert [table.has_row_security for table in facts.tables] == [False, True]
    assert again.missing_privileges == facts.missing_privileges[-1:]
    assert "LARGE OBJECT" in again.missing_privileges[0]


def test_sessions_in_the_way_are_named_without_waiting_for_them(postgresql_server: PostgreSQL, database: str) -> None:
    url = postgresql_server.url(database, application_name="migration")
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE erp.orgs IN ACCESS EXCLUSIVE MODE")
        facts = facts_of(postgresql_server, database)
        other = facts_of(postgresql_server, database, tables=("logs",))
        assert facts.lock_holders == (
            f"session {holder.info.backend_pid} postgres (migration) holds ACCESS EXCLUSIVE on erp.orgs for 0 s",
        )
        assert other.lock_holders == ()


def test_old_transactions_are_named(
    postgresql_server: PostgreSQL, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbtui.adapters.postgresql.facts._LONG_SECONDS", 0)
    with closing(psycopg2.connect(postgresql_server.url(database, application_name="old"))) as old:
        with old.cursor() as cursor:
            cursor.execute("SELECT 1")
        facts = facts_of(postgresql_server, database)
        said = f"session {old.info.backend_pid} postgres (old) has had a transaction open for 0 s (idle in transaction)"
        assert said in facts.long_transactions


def test_members_of_extensions_are_not_listed(postgresql_server: PostgreSQL, database: str) -> None:
    postgresql_server.execute("CREATE TABLE member ()", database=database)
    postgresql_server.execute("ALTER EXTENSION plpgsql ADD TABLE member", database=database)
    assert "public.member" not in names(facts_of(postgresql_server, database))


def test_a_replica_comes_with_a_warning(postgresql_replica: PostgreSQLReplica) -> None:
    with opened(postgresql_replica.url()) as target:
        facts = collect_dump_facts(target, DumpOptions())
    assert "replay may cancel a long dump" in facts.remarks[0]


def test_a_pooler_is_mentioned(pgbouncer: PgBouncer, database: str) -> None:
    with opened(pgbouncer.url(database)) as target:
        facts = collect_dump_facts(target, DumpOptions())
    assert "goes past the pooler" in facts.remarks[0]
