"""The comment of a partition stays its owner's: our mark is written under it, and goes again when it is not needed."""

from datetime import UTC, datetime

import pytest

from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.analysis.partitions import plan_partitions
from dbtui.demo.servers import PostgreSQL
from dbtui.model.partitions import LockPatience, StepKind, StepOutcome
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from tests.adapters.partition_tables import LOGS, QUICK, apply_step, create_logs, executing, run_sql, see, step_for
from tests.adapters.postgresql_sessions import any_database, any_server, newest_postgresql  # noqa: F401
from tests.adapters.postgresql_targets import opened
from tests.adapters.test_postgresql_partitions_locks import reading

OWN = 'January; team "blue"\'s\nsecond line'


@pytest.fixture
def url(any_server: PostgreSQL, any_database: str) -> str:  # noqa: F811
    found = any_server.url(any_database)
    create_logs(found)
    run_sql(found, f"COMMENT ON TABLE logs_1 IS {_quoted(OWN)}")
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def comment(url: str, name: str = "logs_1") -> str | None:
    found: str | None = run_sql(url, f"SELECT obj_description('{name}'::regclass, 'pg_class')")[0][0]
    return found


@pytest.mark.parametrize("has_default", [False, True], ids=["concurrently", "plainly"])
def test_a_detached_partition_keeps_its_comment_beside_the_mark(url: str, has_default: bool) -> None:
    if has_default:
        run_sql(url, "CREATE TABLE logs_rest PARTITION OF logs DEFAULT")
    with opened(url) as target:
        assert apply_step(target, StepKind.DETACH, "logs_1").outcome is StepOutcome.DONE
        assert (comment(url) or "").startswith(OWN + "\ndbtui:detached {")
        table = see(target)
        (gone,) = table.detached
        with PARTITIONS.open_executor(target, table, QUICK) as executor:
            executor.mark_archived(step_for(table, StepKind.DROP, "logs_1"), "erp-1")
        assert (comment(url) or "").startswith(OWN + "\ndbtui:detached {")
        assert see(target).detached[0].archive == "erp-1"
        run_sql(url, f"ALTER TABLE logs ATTACH PARTITION logs_1 {gone.bound_text}")
        assert not see(target).detached
        assert apply_step(target, StepKind.DETACH, "logs_2").outcome is StepOutcome.DONE
    assert comment(url) == OWN
    assert (comment(url, "logs_2") or "").startswith("dbtui:detached {")


def test_who_was_not_detached_gets_it_back(url: str) -> None:
    """A reader whose transaction is old: the detach is not begun, and nothing is left of it."""
    patience = LockPatience(tries=2, rungs_seconds=(0.05,), first_pause_seconds=0.01)
    with opened(url) as target, reading(url):
        run_sql(url, "SET lock_timeout = '100ms'", "SELECT 1")
        table = see(target)
        with executing(target, table, patience) as run:
            result = run(step_for(table, StepKind.DETACH, "logs_1"))
        is_pending = any(each.is_detach_pending for each in see(target).partitions)
        assert result.outcome is StepOutcome.LOCKED
        assert is_pending or comment(url) == OWN
    with opened(url) as target:
        kind = StepKind.REPAIR_DETACH if is_pending else StepKind.DETACH
        assert apply_step(target, kind, "logs_1").outcome is StepOutcome.DONE
        assert (comment(url) or "").startswith(OWN + "\ndbtui:detached {")


def test_a_mark_that_a_killed_run_left_goes_at_the_next(url: str) -> None:
    mark = '\ndbtui:detached {"parent": ["public", "logs"], "bound": "x", "at": "", "archive": "", "identity": 1}'
    run_sql(url, f"COMMENT ON TABLE logs_1 IS {_quoted(OWN + mark)}", f"COMMENT ON TABLE logs_3 IS {_quoted(mark[1:])}")
    with opened(url) as target:
        assert not see(target).detached
        assert apply_step(target, StepKind.DETACH, "logs_2").outcome is StepOutcome.DONE
    assert comment(url) == OWN
    assert comment(url, "logs_3") is None


def test_a_copy_of_a_detached_partition_is_not_dropped(url: str) -> None:
    """Restored from its archive, with the comment that it had there: it is another table, and its owner's affair."""
    with opened(url) as target:
        assert apply_step(target, StepKind.DETACH, "logs_1").outcome is StepOutcome.DONE
        mark = comment(url)
        assert mark is not None
        run_sql(
            url, "DROP TABLE logs_1", "CREATE TABLE logs_1 (LIKE logs)", f"COMMENT ON TABLE logs_1 IS {_quoted(mark)}"
        )
        table = see(target)
        (copy,) = table.detached
        assert copy.is_copy
        month = Interval(1, IntervalUnit.MONTH)
        policy = PartitionPolicy(table=LOGS, interval=month, premake=1, retention=month)
        plan = plan_partitions(table, policy, datetime(2026, 5, 1, tzinfo=UTC))
        assert "logs_1" not in {step.partition.name for step in plan.steps}
        assert any("public.logs_1" in warning and "left alone" in warning for warning in plan.warnings)
        result = apply_step(target, StepKind.DROP, "logs_1")
    assert (result.outcome, "another table" in result.detail) == (StepOutcome.FAILED, True)
