"""Partitions whose rows are on another server: shown, never asked, never taken out; and a default that is one."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import pytest

from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.analysis.partitions import assess_partitions, plan_partitions
from dbtui.errors import UsageError
from dbtui.model.partitions import PartitionLevel, PartitionTrouble, StepKind, StepOutcome
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, PartitionPolicy
from tests.adapters.partition_tables import (
    LOGS,
    apply_step,
    create_logs,
    executing,
    month,
    partition,
    run_sql,
    see,
    step_for,
)
from tests.adapters.postgresql_targets import opened

NOW = datetime(2026, 3, 10, tzinfo=UTC)
POLICY = PartitionPolicy(
    table=LOGS, interval=Interval(1, IntervalUnit.MONTH), premake=2, retention=Interval(1, IntervalUnit.MONTH),
    archive=ArchiveMode.NONE,
)  # fmt: skip


@pytest.fixture
def url(postgresql_database: str) -> str:
    """`logs` with its first month on another server, as far as this one knows."""
    where = urlsplit(postgresql_database)
    create_logs(postgresql_database)
    run_sql(
        postgresql_database,
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port"
        f" '{where.port}', dbname '{where.path[1:]}')",
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user '{where.username}',"
        f" password '{unquote(where.password or '')}')",
        "ALTER TABLE logs DETACH PARTITION logs_1",
        "ALTER TABLE logs_1 RENAME TO kept",
        "CREATE FOREIGN TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01 00:00+00') TO"
        " ('2026-02-01 00:00+00') SERVER far OPTIONS (table_name 'kept')",
    )
    return postgresql_database


def close_far_server(url: str) -> None:
    """Whoever asks the other server now fails."""
    run_sql(url, "ALTER SERVER far OPTIONS (SET port '1')")


def test_it_is_shown_and_its_server_is_not_asked(url: str) -> None:
    close_far_server(url)
    with opened(url) as target:
        table = see(target)
        assert partition(table, "logs_1").is_foreign
        assert not table.gaps
        assert PARTITIONS.collect_prunes(target, table) is not None
        assessment = assess_partitions(table, POLICY, NOW)
    (found,) = [each for each in assessment.findings if each.partition == "logs_1"]
    assert (found.kind, found.level) == (PartitionTrouble.PAST_RETENTION, PartitionLevel.REMARK)
    assert "foreign table" in found.sentence
    assert assessment.due == ()


def test_a_plan_leaves_it_alone_and_says_why(url: str) -> None:
    with opened(url) as target:
        table = see(target)
        plan = plan_partitions(table, replace(POLICY, ensure_indexes=False), NOW)
        assert [step.kind for step in plan.steps] == [StepKind.CREATE] * 2
        (warning,) = plan.warnings
        assert "public.logs_1 is past retention" in warning
        assert "foreign table" in warning
        with executing(target, table) as run:
            for step in plan.steps:
                assert run(PARTITIONS.describe_step(table, step)).outcome is StepOutcome.DONE
        assert plan_partitions(see(target), POLICY, NOW).is_converged


@pytest.mark.parametrize("kind", [StepKind.DETACH, StepKind.DROP])
def test_whoever_asks_for_it_all_the_same_is_told_so(url: str, kind: StepKind) -> None:
    with opened(url) as target:
        result = apply_step(target, kind, "logs_1")
    assert result.outcome is StepOutcome.FAILED
    assert "foreign table" in result.detail
    assert run_sql(url, "SELECT count(*) FROM logs_1") == [(31,)]


def test_a_foreign_table_with_a_mark_is_no_detached_partition(url: str) -> None:
    run_sql(url, "ALTER TABLE logs DETACH PARTITION logs_1",
            'COMMENT ON FOREIGN TABLE logs_1 IS \'dbtui:detached {"parent": ["public", "logs"], "bound":'
            ' "FOR VALUES FROM (MINVALUE) TO (MAXVALUE)", "at": "", "archive": ""}\'')  # fmt: skip
    with opened(url) as target:
        assert see(target).detached == ()


def test_indexes_are_not_wanted_of_it(url: str) -> None:
    run_sql(url, "CREATE INDEX by_v ON ONLY logs (v)")
    with opened(url) as target:
        steps = plan_partitions(see(target), POLICY, NOW).steps
    built = {step.partition.name for step in steps if step.kind is StepKind.CREATE_INDEX}
    assert built == {"logs_2", "logs_3"}


def test_beside_a_default_on_another_server_nothing_is_planned(url: str) -> None:
    """Its rows cannot be locked while a partition is made, and those that belong into it would be lost from sight."""
    run_sql(url, "CREATE FOREIGN TABLE logs_rest PARTITION OF logs DEFAULT SERVER far OPTIONS (table_name 'kept')")
    close_far_server(url)
    with opened(url) as target:
        table = see(target)
        assert table.default_rows is None
        plan = plan_partitions(table, POLICY, NOW)
        assert (plan.steps, len(plan.refusals)) == ((), 1)
        assert "public.logs_rest" in plan.refusals[0]
        assert "foreign table" in plan.refusals[0]
        with pytest.raises(UsageError, match="foreign table"):
            step_for(table, StepKind.CREATE, "logs_4", bound=month(4))
