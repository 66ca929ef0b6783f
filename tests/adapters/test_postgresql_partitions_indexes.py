"""Indexes of partitions built beside writers: how far they are, whom they wait for, and what a stopped build leaves."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.analysis.partitions import plan_partitions
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import Cancelled
from dbtui.model.events import CommandRan, Event, Progressed, Routine, Warned
from dbtui.model.partitions import PartitionedTable, PartitionStep, StepKind, StepOutcome, StepResult
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from tests.adapters.partition_tables import LOGS, QUICK, create_logs, executing, run_sql, see
from tests.adapters.postgresql_sessions import any_database, any_server, newest_postgresql  # noqa: F401
from tests.adapters.postgresql_targets import drive, opened, wait_until

MONTHS = PartitionPolicy(table=LOGS, interval=Interval(1, IntervalUnit.MONTH), premake=1)
NOW = datetime(2026, 2, 10, tzinfo=UTC)


@pytest.fixture
def url(any_server: PostgreSQL, any_database: str) -> str:  # noqa: F811
    """Partitions that lack the index `by_v` of their parent."""
    found = any_server.url(any_database)
    create_logs(found)
    run_sql(found, "CREATE INDEX by_v ON ONLY logs (v)")
    return found


@contextmanager
def writing(url: str) -> Iterator[psycopg2.extensions.connection]:
    """Somebody who has written into logs_1 and does not end the transaction."""
    with closing(psycopg2.connect(url, application_name="nightly import")) as made:
        with made.cursor() as cursor:
            cursor.execute("INSERT INTO logs (at) VALUES ('2026-01-05')")
        yield made


def plan(table: PartitionedTable) -> list[PartitionStep]:
    steps = plan_partitions(table, MONTHS, NOW).steps
    assert {step.kind for step in steps} <= {StepKind.CREATE_INDEX, StepKind.ATTACH_INDEX}
    return [PARTITIONS.describe_step(table, step) for step in steps]


def invalid(url: str) -> list[str]:
    rows = run_sql(url, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1")
    return [name for (name,) in rows if name != "by_v"]


def mend(url: str) -> list[PartitionStep]:
    """Plan, run all of it, and see that nothing is left; return the plan."""
    with opened(url) as target:
        table = see(target)
        steps = plan(table)
        with executing(target, table) as run:
            outcomes = [run(step).outcome for step in steps]
        assert set(outcomes) <= {StepOutcome.DONE}
        assert plan(see(target)) == []
    assert invalid(url) == []
    assert run_sql(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_v'::regclass") == [(True,)]
    assert len(run_sql(url, "SELECT 1 FROM pg_inherits WHERE inhparent = 'by_v'::regclass")) == 3
    return steps


def until(routine: Routine[StepResult], wanted: str) -> list[Event]:
    """Run until somebody is named, and stop there."""
    seen: list[Event] = []
    for event in routine:
        seen.append(event)
        if isinstance(event, Warned) and wanted in event.message:
            return seen
    raise AssertionError(f"{wanted} was never named: {seen}")


def test_who_keeps_a_build_waiting_is_named(url: str) -> None:
    with opened(url) as target, writing(url) as writer:
        table = see(target)
        with PARTITIONS.open_executor(target, table, QUICK) as executor:
            routine = executor.run(plan(table)[0])
            seen = until(routine, f"session {writer.info.backend_pid} (nightly import")
            writer.commit()
            rest: list[Event] = []
            result = drive(routine, rest.append)
    assert result.outcome is StepOutcome.DONE
    told = [event.detail for event in seen if isinstance(event, Progressed)]
    assert any("waiting for writers" in detail for detail in told)
    assert any(isinstance(event, CommandRan) and "CREATE INDEX CONCURRENTLY" in event.text for event in rest)


def test_how_much_of_the_partition_is_read_is_told_in_bytes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes have a rate where they are shown. The build is slow because its expression is."""
    monkeypatch.setattr("dbtui.adapters.postgresql.partition_indexes._LOOK_SECONDS", 0.02)
    run_sql(
        url,
        "DROP INDEX by_v",
        "CREATE FUNCTION slow(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.002); RETURN v; END $$",
        "INSERT INTO logs (at, v) SELECT '2026-01-05', i FROM generate_series(1, 500) i",
        "ALTER TABLE logs_1 ALTER COLUMN v SET STATISTICS 0",
        "CREATE INDEX by_v ON ONLY logs (slow(v))",
    )
    events: list[Event] = []
    with opened(url) as target:
        table = see(target)
        with PARTITIONS.open_executor(target, table, QUICK) as executor:
            assert drive(executor.run(plan(table)[0]), events.append).outcome is StepOutcome.DONE
    read = [event for event in events if isinstance(event, Progressed) and event.unit == "bytes"]
    assert read
    assert all(event.total and 0 <= event.done <= event.total for event in read)
    assert any("scanning table" in event.detail for event in read)


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "left"])
def test_a_build_that_was_stopped_is_made_good_by_the_next_plan(url: str, is_cancelled: bool) -> None:
    cancellation = Cancellation()
    with writing(url), opened(url, cancellation=cancellation) as target, suppress(Cancelled):
        table = see(target)
        with PARTITIONS.open_executor(target, table, QUICK) as executor:
            routine = executor.run(plan(table)[0])
            until(routine, "nightly import")
            if is_cancelled:
                cancellation.request("operator")
                with pytest.raises(Cancelled):
                    drive(routine)
            else:
                routine.close()
    wait_until(lambda: run_sql(url, "SELECT count(*) FROM pg_stat_progress_create_index") == [(0,)])
    (left,) = invalid(url)
    steps = mend(url)
    (again,) = [step for step in steps if step.index is not None and step.index.name == left
                and step.kind is StepKind.CREATE_INDEX]  # fmt: skip
    assert "did not end" in again.why


def test_what_a_stopped_reindex_left_goes_too(url: str) -> None:
    """An index that hangs on its parent's is built anew in place, and a copy that did not get built is dropped."""
    mend(url)
    index = "logs_1_v_idx"
    run_sql(url, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('{index}'::regclass, 'by_v'::regclass)")
    with writing(url), pytest.raises(psycopg2.Error):
        run_sql(url, "SET statement_timeout = '200ms'", f"REINDEX INDEX CONCURRENTLY {index}")
    assert invalid(url) == [index, f"{index}_ccnew"]
    mend(url)
    assert run_sql(url, f"SELECT to_regclass('{index}_ccnew')") == [(None,)]
