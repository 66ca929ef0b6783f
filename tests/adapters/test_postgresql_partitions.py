"""Partitioned tables of PostgreSQL as their catalogue tells of them."""

import time
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg2
import pytest

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import UsageError
from dbtui.model.backups import TableName
from dbtui.model.partitions import (
    DefaultBound,
    HashBound,
    KeyKind,
    Limit,
    ListBound,
    PartitionedTable,
    PartitionStrategy,
    RangeBound,
)
from tests.adapters.partition_tables import LOGS, create_logs, month, partition, run_sql, see
from tests.adapters.postgresql_sessions import any_database, any_server, newest_postgresql  # noqa: F401
from tests.adapters.postgresql_targets import opened


@pytest.fixture
def url(any_server: PostgreSQL, any_database: str) -> str:  # noqa: F811
    return any_server.url(any_database)


def all_of(target: PostgresqlTarget) -> dict[str, PartitionedTable]:
    return {each.table.name: each for each in PARTITIONS.collect_partitioned_tables(target)}


def test_bounds_do_not_depend_on_the_session(url: str) -> None:
    create_logs(url, default=True)
    name = url.rpartition("/")[2]
    run_sql(
        url,
        f"ALTER DATABASE {name} SET datestyle = 'German'",
        f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'",
        f"ALTER DATABASE {name} SET quote_all_identifiers = on",
        f"ALTER DATABASE {name} SET standard_conforming_strings = off",
    )
    with opened(url) as target:
        table = see(target)
        assert [each.bound for each in table.partitions] == [month(1), month(2), month(3), DefaultBound()]
        assert (table.session_time_zone, table.key_text, table.taken_at.tzinfo) == ("Asia/Kolkata", "RANGE (at)", UTC)
        assert partition(table, "logs_1").bound_text == (
            "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')"
        )
        assert target.rows("SELECT current_setting('timezone') AS zone")[0].zone == "Asia/Kolkata"


def test_every_kind_of_key(url: str) -> None:
    run_sql(
        url,
        "CREATE DOMAIN day AS date",
        "CREATE TABLE d (k day) PARTITION BY RANGE (k)",
        "CREATE TABLE d_1 PARTITION OF d FOR VALUES FROM (MINVALUE) TO ('2026-01-01')",
        "CREATE TABLE d_2 PARTITION OF d FOR VALUES FROM ('2026-01-01') TO ('infinity')",
        "CREATE TABLE n (k numeric) PARTITION BY RANGE (k)",
        "CREATE TABLE n_1 PARTITION OF n FOR VALUES FROM (-1.50) TO (1e3)",
        "CREATE TABLE i (k bigint, t text) PARTITION BY RANGE (k, t)",
        "CREATE TABLE i_1 PARTITION OF i FOR VALUES FROM (-5, ') TO (''') TO (9007199254740993, MAXVALUE)",
        "CREATE TABLE l (k text) PARTITION BY LIST (k)",
        "CREATE TABLE l_1 PARTITION OF l FOR VALUES IN ('a', NULL, 'it''s \\ \"b\"') PARTITION BY HASH (k)",
        "CREATE TABLE l_1_0 PARTITION OF l_1 FOR VALUES WITH (MODULUS 4, REMAINDER 3)",
        "CREATE TABLE u (k uuid) PARTITION BY RANGE (k)",
        "CREATE TABLE u_1 PARTITION OF u FOR VALUES FROM ('018d0000-0000-7000-8000-000000000000') TO (MAXVALUE)",
        "CREATE TABLE e (k timestamp) PARTITION BY RANGE (date_trunc('day', k), k)",
        "CREATE TABLE plain (i int)",
    )
    with opened(url) as target:
        found = all_of(target)
    bounds = {name: [each.bound for each in table.partitions] for name, table in found.items()}
    assert bounds["d"] == [
        RangeBound((Limit.LOWEST,), (date(2026, 1, 1),)),
        RangeBound((date(2026, 1, 1),), ("infinity",)),
    ]
    assert bounds["n"] == [RangeBound((Decimal("-1.50"),), (Decimal(1000),))]
    assert bounds["i"] == [RangeBound((-5, ") TO ('"), (9007199254740993, Limit.HIGHEST))]
    assert bounds["l"] == [ListBound(("a", None, 'it\'s \\ "b"'))]
    assert bounds["u"] == [RangeBound(("018d0000-0000-7000-8000-000000000000",), (Limit.HIGHEST,))]
    (nested,) = found["l"].partitions
    assert (nested.strategy, nested.partitions[0].bound) == (PartitionStrategy.HASH, HashBound(4, 3))
    assert found["d"].key_kinds == (KeyKind.DATE,)
    assert (found["e"].key_columns, found["e"].key_kinds) == (("", "k"), (KeyKind.OTHER, KeyKind.TIMESTAMP))
    assert "plain" not in found
    assert "l_1" not in found


def test_nothing_is_opened(url: str) -> None:
    """Parent and partitions are locked against everybody, and the catalogue answers all the same."""
    create_logs(url)
    holder = psycopg2.connect(url)
    try:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
            with opened(url) as target:
                began = time.monotonic()
                assert len(all_of(target)["logs"].partitions) == 3
                assert time.monotonic() - began < 1.5
                table = see(target)
                assert not table.are_indexes_read
                assert any("its indexes" in gap for gap in table.gaps)
                assert PARTITIONS.collect_exact_sizes(target, LOGS, table.partitions) == {}
    finally:
        holder.close()


def test_a_locked_default_is_a_gap(url: str) -> None:
    create_logs(url, default=True)
    holder = psycopg2.connect(url)
    try:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE logs_rest IN ACCESS EXCLUSIVE MODE")
        with opened(url) as target:
            table = see(target)
        assert table.default_rows is None
        assert any("default" in gap for gap in table.gaps)
    finally:
        holder.close()


def test_thousands_of_partitions_are_a_few_questions(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_sql(
        url,
        "CREATE TABLE logs (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        "CREATE INDEX ON logs (at)",
        "DO $$ BEGIN FOR i IN 0..1499 LOOP EXECUTE format('CREATE TABLE logs_%s PARTITION OF logs FOR VALUES FROM (%L)"
        " TO (%L)', i, timestamptz '2020-01-01 00:00+00' + i * interval '1 hour', timestamptz '2020-01-01 00:00+00'"
        " + (i + 1) * interval '1 hour'); END LOOP; END $$",
    )
    asked: list[str] = []
    rows = PostgresqlTarget.rows

    def counting(self: PostgresqlTarget, sql: str, *words: object, **named: object) -> object:
        asked.append(sql)
        return rows(self, sql, *words, **named)  # type: ignore[arg-type]

    with opened(url) as target:
        monkeypatch.setattr(PostgresqlTarget, "rows", counting)
        table = see(target)
    assert len(table.partitions) == 1500
    names = [each.table.name for each in table.partitions]
    assert names == [f"logs_{number}" for number in range(1500)]
    assert len(asked) < 12


def test_sizes_rows_and_the_newest_value(url: str) -> None:
    run_sql(
        url,
        "CREATE TABLE ids (id bigint PRIMARY KEY, t text) PARTITION BY RANGE (id)",
        "CREATE TABLE ids_1 PARTITION OF ids FOR VALUES FROM (0) TO (1000)",
        "CREATE TABLE ids_2 PARTITION OF ids FOR VALUES FROM (1000) TO (2000)",
        "CREATE TABLE ids_3 PARTITION OF ids FOR VALUES FROM (2000) TO (3000)",
        "CREATE TABLE ids_taken (i int)",
        "INSERT INTO ids SELECT i, repeat('x', 50) FROM generate_series(500, 1200) i",
        "VACUUM ANALYZE ids_1",
    )
    with opened(url) as target:
        table = see(target, TableName("", "ids"))
        sizes = PARTITIONS.collect_exact_sizes(target, table.table, table.partitions[:2])
    assert table.newest_value == 1200
    assert partition(table, "ids_1").rows_estimate == 500
    assert (partition(table, "ids_1").bytes_estimate or 0) > 0
    assert set(sizes) == {TableName("public", "ids_1"), TableName("public", "ids_2")}
    assert sizes[TableName("public", "ids_1")] > 8192
    assert "ids_taken" in table.names_taken
    assert "ids_1" not in table.names_taken
    assert table.are_indexes_read
    assert [(each.is_constraint, each.is_unique, each.columns) for each in table.indexes] == [(True, True, ("id",))]


def test_foreign_keys_and_pruning(url: str) -> None:
    run_sql(
        url,
        "CREATE TABLE logs (id int, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')",
        "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2020-02-01') TO ('2020-03-01')",
        "CREATE TABLE refs (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs)",
    )
    with opened(url) as target:
        table = see(target)
        assert table.referenced_by == (TableName("public", "refs"),)
        assert PARTITIONS.collect_prunes(target, table) is True
        target.rows("SET enable_partition_pruning = off")
        assert PARTITIONS.collect_prunes(target, table) is False


@pytest.mark.parametrize(("name", "words"), [("nothing", "no table"), ("plain", "not partitioned"), ("v", "a view")])
def test_what_is_no_partitioned_table(url: str, name: str, words: str) -> None:
    run_sql(url, "CREATE TABLE plain (i int)", "CREATE VIEW v AS SELECT 1")
    with opened(url) as target, pytest.raises(UsageError, match=words):
        see(target, TableName("", name))


def test_two_tables_of_one_name(url: str) -> None:
    run_sql(url, "CREATE SCHEMA other", "CREATE TABLE other.logs (i int) PARTITION BY RANGE (i)")
    create_logs(url)
    with opened(url) as target:
        assert see(target, TableName("", "logs")).table == LOGS
        assert see(target, TableName("other", "logs")).key_columns == ("i",)


def test_when_it_was_detached(url: str) -> None:
    create_logs(url)
    run_sql(
        url,
        "ALTER TABLE logs DETACH PARTITION logs_1",
        """COMMENT ON TABLE logs_1 IS 'dbtui:detached {"parent": ["public", "logs"], "bound": "FOR VALUES FROM """
        """(''2026-01-01 00:00:00+00'') TO (''2026-02-01 00:00:00+00'')", "at": "2026-11-22T15:00:00+00:00", """
        """"archive": "erp-1"}'""",
        "COMMENT ON TABLE logs_2 IS 'dbtui:detached by hand'",
    )
    with opened(url) as target:
        (gone,) = see(target).detached
    assert (gone.bound, gone.archive) == (month(1), "erp-1")
    assert gone.detached_at == datetime(2026, 11, 22, 15, tzinfo=UTC)
