"""Steps of partition plans, run on PostgreSQL: the installed server and 18."""

from datetime import date

import psycopg2
import pytest

from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.demo.servers import PostgreSQL
from dbtui.model.backups import TableName
from dbtui.model.events import Warned
from dbtui.model.partitions import DefaultBound, PartitionIndex, RangeBound, StepKind, StepOutcome
from tests.adapters.partition_tables import (
    QUICK,
    apply_step,
    create_logs,
    executing,
    month,
    partition,
    run_sql,
    see,
    step_for,
)
from tests.adapters.postgresql_sessions import any_database, any_server, newest_postgresql  # noqa: F401
from tests.adapters.postgresql_targets import opened


@pytest.fixture
def url(any_server: PostgreSQL, any_database: str) -> str:  # noqa: F811
    return any_server.url(any_database)


def test_a_partition_is_created_with_what_like_does_not_copy(url: str) -> None:
    create_logs(url)
    run_sql(
        url,
        "ALTER TABLE logs_3 SET (fillfactor = 70, toast.autovacuum_enabled = false)",
        "ALTER TABLE logs_3 REPLICA IDENTITY FULL",
        "DROP ROLE IF EXISTS reader_of_partitions",
        "CREATE ROLE reader_of_partitions",
        "GRANT SELECT ON logs_3 TO reader_of_partitions WITH GRANT OPTION",
        "GRANT INSERT ON logs_3 TO PUBLIC",
    )
    with opened(url) as target:
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.DONE
        after = see(target)
        assert partition(after, "logs_4").bound == month(4)
        assert [each.parent for each in partition(after, "logs_4").indexes] == ["logs_at"]
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.SKIPPED
    run_sql(url, "INSERT INTO logs (at, v) VALUES ('2026-04-05', 3)")
    assert run_sql(url, "SELECT id > 0, v, w FROM logs_4") == [(True, 3, 6)]
    copied = run_sql(
        url,
        "SELECT c.reloptions, c.relreplident, c.relacl::text ~ 'reader_of_partitions=r\\*', c.relacl::text ~ '[{,]=a/'"
        " FROM pg_class c WHERE relname = 'logs_4'",
    )
    assert copied == [(["fillfactor=70"], "f", True, True)]
    run_sql(url, "DROP OWNED BY reader_of_partitions", "DROP ROLE reader_of_partitions")


def test_names_with_quotes_and_upper_case(url: str) -> None:
    run_sql(
        url,
        'CREATE SCHEMA "Odd; S"',
        'CREATE TABLE "Odd; S"."T""%s" ("When" date NOT NULL) PARTITION BY RANGE ("When")',
    )
    where = TableName("Odd; S", 'T"%s')
    name = "P'1\"; DROP TABLE x"
    with opened(url) as target:
        bound = RangeBound((date(2026, 1, 1),), (date(2026, 2, 1),))
        table = see(target, where)
        step = step_for(table, StepKind.CREATE, name, bound=bound)
        with executing(target, table) as run:
            assert run(step).outcome is StepOutcome.DONE
        assert partition(see(target, where), name).bound == bound
        table = see(target, where)
        with executing(target, table) as run:
            assert run(step_for(table, StepKind.DETACH, name)).outcome is StepOutcome.DONE
        table = see(target, where)
        assert [(each.table.name, each.bound) for each in table.detached] == [(name, bound)]
        with executing(target, table) as run:
            assert run(step_for(table, StepKind.DROP, name)).outcome is StepOutcome.DONE
        assert not see(target, where).detached


@pytest.mark.parametrize("has_default", [False, True], ids=["concurrently", "plainly"])
def test_detach_archive_drop(url: str, has_default: bool) -> None:
    create_logs(url, default=has_default)
    with opened(url) as target:
        table = see(target)
        step = step_for(table, StepKind.DETACH, "logs_1")
        assert step.concurrently is not has_default
        with executing(target, table) as run:
            assert run(step).outcome is StepOutcome.DONE
            assert run(step).outcome is StepOutcome.SKIPPED
        table = see(target)
        (gone,) = table.detached
        assert (gone.table.name, gone.bound, gone.archive) == ("logs_1", month(1), "")
        drop = step_for(table, StepKind.DROP, "logs_1")
        with PARTITIONS.open_executor(target, table, QUICK) as executor:
            executor.mark_archived(drop, "erp-20261122T150000Z")
        assert see(target).detached[0].archive == "erp-20261122T150000Z"
        with executing(target, table) as run:
            assert run(drop).outcome is StepOutcome.DONE
            assert run(drop).outcome is StepOutcome.SKIPPED
    assert run_sql(url, "SELECT to_regclass('logs_1')") == [(None,)]


def test_what_has_changed_since_the_plan_is_left_alone(url: str) -> None:
    create_logs(url)
    with opened(url) as target:
        table = see(target)
        detach = step_for(table, StepKind.DETACH, "logs_1")
        run_sql(
            url,
            "ALTER TABLE logs DETACH PARTITION logs_1",
            "ALTER TABLE logs_1 RENAME TO kept",
            "CREATE TABLE logs_1 (LIKE logs)",
        )
        with executing(target, table) as run:
            result = run(detach)
        assert result.outcome is StepOutcome.FAILED
        assert "another table" in result.detail
        run_sql(
            url,
            "ALTER TABLE logs DETACH PARTITION logs_2",
            "ALTER TABLE logs ATTACH PARTITION logs_2"
            " FOR VALUES FROM ('2026-01-15 00:00+00') TO ('2026-03-01 00:00+00')",
        )
        with executing(target, table) as run:
            result = run(step_for(table, StepKind.DETACH, "logs_2"))
        assert "its bound is" in result.detail
        drop = step_for(see(target), StepKind.DROP, "logs_3")
        with executing(target, table) as run:
            assert "still a partition" in run(drop).detail
    assert run_sql(url, "SELECT count(*) FROM kept") == [(31,)]


def test_few_rows_of_the_default_are_moved(url: str) -> None:
    create_logs(url, default=True)
    run_sql(url, "INSERT INTO logs (at, v) VALUES ('2026-04-02', 1), ('2026-04-30', 2), ('2026-07-01', 3)")
    with opened(url) as target:
        table = see(target)
        assert table.default_rows == 3
        step = step_for(table, StepKind.DRAIN_DEFAULT, "logs_4", bound=month(4))
        assert PARTITIONS.count_conflicts(target, table, step) == 2
        refused = apply_step(target, StepKind.CREATE, "logs_4", bound=month(4))
        assert refused.outcome is StepOutcome.FAILED
        before = run_sql(url, "SELECT id, at, v, w FROM logs ORDER BY id")
        with executing(target, table) as run:
            assert run(step).outcome is StepOutcome.DONE
    assert run_sql(url, "SELECT v FROM ONLY logs_4 ORDER BY 1") == [(1,), (2,)]
    assert run_sql(url, "SELECT id, at, v, w FROM logs ORDER BY id") == before


def test_rows_with_foreign_keys_or_triggers_are_not_moved(url: str) -> None:
    create_logs(url, default=True)
    run_sql(
        url,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "CREATE TRIGGER audit AFTER DELETE ON logs FOR EACH ROW EXECUTE FUNCTION f()",
        "INSERT INTO logs (at) VALUES ('2026-04-02')",
    )
    with opened(url) as target:
        result = apply_step(target, StepKind.DRAIN_DEFAULT, "logs_4", bound=month(4))
        assert (result.outcome, "audit" in result.detail) == (StepOutcome.FAILED, True)


def test_a_large_default_is_checked_first(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    create_logs(url, default=True)
    run_sql(url, "INSERT INTO logs (at) SELECT '2027-05-01' FROM generate_series(1, 50)")
    monkeypatch.setattr("dbtui.adapters.postgresql.partition_sql.CHECK_ROWS", 10)
    with opened(url) as target:
        table = see(target)
        step = step_for(table, StepKind.CREATE, "logs_4", bound=month(4))
        assert "NOT VALID" in step.sql[0]
        with executing(target, table) as run:
            assert run(step).outcome is StepOutcome.DONE
        assert partition(see(target), "logs_4").bound == month(4)
        blocked = step_for(table, StepKind.CREATE, "bad", bound=RangeBound(month(17).lower, month(18).upper))
        with executing(target, table) as run:
            assert run(blocked).outcome is StepOutcome.FAILED
    assert run_sql(url, "SELECT conname FROM pg_constraint WHERE conname ~ 'dbtui'") == []


def test_a_check_that_a_killed_run_left_goes(url: str) -> None:
    create_logs(url, default=True)
    run_sql(
        url,
        "ALTER TABLE logs_rest ADD CONSTRAINT dbtui_excludes_0123456789abcdef CHECK (at IS NULL OR at < '2026-08-01')"
        " NOT VALID",
    )
    with opened(url) as target:
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is StepOutcome.DONE
    assert run_sql(url, "SELECT conname FROM pg_constraint WHERE conname ~ 'dbtui'") == []


def test_a_default_can_be_created(url: str) -> None:
    create_logs(url)
    with opened(url) as target:
        assert apply_step(target, StepKind.CREATE, "rest", bound=DefaultBound()).outcome is StepOutcome.DONE
        assert see(target).default is not None


def test_indexes_are_built_one_by_one_and_attached(url: str) -> None:
    create_logs(url, months=2)
    run_sql(url, 'CREATE INDEX "Up ""s" ON ONLY logs (v, abs(id)) WHERE v > 0')
    with opened(url) as target:
        table = see(target)
        index = next(each for each in table.indexes if each.name == 'Up "s')
        assert (index.is_valid, index.columns) == (False, ("v", "abs(id)"))
        for name in ("logs_1", "logs_2"):
            with executing(target, table) as run:
                assert run(step_for(table, StepKind.CREATE_INDEX, name, index=index)).outcome is StepOutcome.DONE
                assert run(step_for(table, StepKind.CREATE_INDEX, name, index=index)).outcome is StepOutcome.SKIPPED
                assert run(step_for(table, StepKind.ATTACH_INDEX, name, index=index)).outcome is StepOutcome.DONE
                # Until the parent's is valid, attaching again has the server look at it again.
                again = StepOutcome.DONE if name == "logs_1" else StepOutcome.SKIPPED
                assert run(step_for(table, StepKind.ATTACH_INDEX, name, index=index)).outcome is again
        after = see(target)
        assert next(each for each in after.indexes if each.name == 'Up "s').is_valid
        assert [each.parent for each in partition(after, "logs_1").indexes].count('Up "s') == 1
        new = PartitionIndex(name="by_v", definition="CREATE INDEX by_v ON ONLY public.logs USING btree (v)")
        parent = step_for(after, StepKind.CREATE_INDEX, "logs", index=new)
        assert parent.locks.parent == "SHARE"
        with executing(target, after) as run:
            assert run(parent).outcome is StepOutcome.DONE


def test_an_index_that_a_killed_run_left_is_built_again(url: str) -> None:
    create_logs(url, months=1)
    run_sql(url, "CREATE INDEX by_v ON ONLY logs (v)")
    with opened(url) as target:
        table = see(target)
        index = next(each for each in table.indexes if each.name == "by_v")
        step = step_for(table, StepKind.CREATE_INDEX, "logs_1", index=index)
        run_sql(url, step.sql[0], "UPDATE pg_index SET indisvalid = false WHERE indrelid = 'logs_1'::regclass")
        with executing(target, table) as run:
            assert run(step).outcome is StepOutcome.DONE
        assert all(each.is_valid for each in partition(see(target), "logs_1").indexes if not each.parent)


def test_a_pending_detach_is_ended_first(url: str) -> None:
    create_logs(url)
    with opened(url) as target:
        leave_pending(url)
        table = see(target)
        assert partition(table, "logs_1").is_detach_pending
        warned: list[str] = []
        with executing(target, table) as run:
            result = run(
                step_for(table, StepKind.DETACH, "logs_2"),
                lambda event: warned.append(event.message) if isinstance(event, Warned) else None,
            )
        assert result.outcome is StepOutcome.DONE
        assert [each.table.name for each in see(target).partitions] == ["logs_3"]


def test_a_pending_detach_is_repaired(url: str) -> None:
    create_logs(url)
    with opened(url) as target:
        leave_pending(url)
        table = see(target)
        step = step_for(table, StepKind.REPAIR_DETACH, "logs_1")
        with executing(target, table) as run:
            assert run(step).outcome is StepOutcome.DONE
        assert "logs_1" not in {each.table.name for each in see(target).partitions}


def leave_pending(url: str) -> None:
    """Begin to detach logs_1 and give up, as a reader's transaction is in the way."""
    reader = psycopg2.connect(url)
    try:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM logs")
        with pytest.raises(psycopg2.Error):
            run_sql(url, "SET lock_timeout = '50ms'", "ALTER TABLE logs DETACH PARTITION logs_1 CONCURRENTLY")
    finally:
        reader.close()
