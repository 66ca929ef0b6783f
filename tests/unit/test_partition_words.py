"""Partitions in words: bounds, what is typed before a plan is applied, how a run is judged."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from dbtui.analysis.partition_words import (
    describe_locks,
    describe_plan,
    describe_policy,
    describe_result,
    describe_step,
    format_bound,
    judge_result,
    names_to_type,
)
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.jobs import JobState
from dbtui.model.partitions import (
    Bound,
    DefaultBound,
    HashBound,
    Limit,
    ListBound,
    PartitionPlan,
    PartitionsResult,
    PartitionStep,
    RangeBound,
    StepKind,
    StepLocks,
    StepOutcome,
    StepResult,
    UnreadBound,
)
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName

LOGS = TableName("public", "audit_logs")
OLD = TableName("public", "audit_logs_y2025m01")
MONTH = IntervalUnit.MONTH
POLICY = PartitionPolicy(table=LOGS, interval=Interval(1, MONTH), retention=Interval(12, MONTH), origin="config.toml")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def step(kind: StepKind, danger: int = 1, rows_estimate: int | None = None) -> PartitionStep:
    return PartitionStep(kind=kind, table=LOGS, partition=OLD, why="it is due", danger=danger,
                         rows_estimate=rows_estimate)  # fmt: skip


def plan(*steps: PartitionStep, archive: ArchiveMode = ArchiveMode.DUMP) -> PartitionPlan:
    return PartitionPlan(table=LOGS, policy=replace(POLICY, archive=archive), taken_at=NOW, steps=steps)


def profile(environment: Environment = Environment.DEVELOPMENT) -> ConnectionProfile:
    return ConnectionProfile(
        name="erp", engine=EngineName.POSTGRESQL, url="postgresql://h/erp", environment=environment
    )


@pytest.mark.parametrize(
    ("bound", "shown"),
    [
        (RangeBound((NOW,), (NOW + timedelta(days=7),)), "[2026-11-23, 2026-11-30)"),
        (RangeBound((datetime(2026, 1, 1),), (datetime(2026, 1, 1, 1),)), "[2026-01-01, 2026-01-01 01:00:00)"),
        (RangeBound((datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=3))),), (Limit.HIGHEST,)),
         "[2026-01-01+0300, MAXVALUE)"),
        (RangeBound((date(2026, 1, 1), 5), (date(2026, 2, 1), 5)), "[2026-01-01 5, 2026-02-01 5)"),
        (RangeBound((Decimal("1.50"),), (10,)), "[1.50, 10)"),
        (ListBound(("acme", None)), "in (acme, NULL)"),
        (ListBound(tuple(range(9))), "in (0, 1, 2, 3, 4, 5, …)"),
        (HashBound(8, 3), "3 of 8"),
        (DefaultBound(), "default"),
        (UnreadBound(), "FOR VALUES …"),
    ],
)  # fmt: skip
def test_bounds_in_short(bound: Bound, shown: str) -> None:
    assert format_bound(bound, "FOR VALUES …") == shown


def test_a_policy_in_one_line() -> None:
    assert describe_policy(POLICY) == "every 1 month, 4 ahead, kept 12 months, archived, UTC (config.toml)"
    gone = replace(POLICY, archive=ArchiveMode.NONE, grace_seconds=7 * 86400.0, time_zone="Europe/Paris", origin="")
    assert (
        describe_policy(gone) == "every 1 month, 4 ahead, kept 12 months, NOT archived, dropped 7 d later, Europe/Paris"
    )
    assert describe_policy(PartitionPolicy(table=LOGS, modulus=8)) == "modulus 8, kept for ever"


def test_steps_and_locks_in_one_line() -> None:
    made = replace(step(StepKind.CREATE), bound=RangeBound((1,), (9,)), locks=StepLocks(parent="A", others="B on c"))
    assert describe_step(made) == "create public.audit_logs_y2025m01 [1, 9)"
    assert describe_locks(made) == "parent A, B on c"
    assert describe_locks(step(StepKind.ARCHIVE)) == ""


@pytest.mark.parametrize(
    ("steps", "environment", "typed"),
    [
        ([step(StepKind.CREATE)], Environment.DEVELOPMENT, ()),
        ([step(StepKind.CREATE)], Environment.PRODUCTION, ("public.audit_logs",)),
        ([step(StepKind.DROP, 3)], Environment.STAGING, ("public.audit_logs",)),
        ([step(StepKind.CREATE), step(StepKind.DROP, 3)], Environment.PRODUCTION, ("public.audit_logs", "erp")),
    ],
)
def test_what_must_be_typed(steps: list[PartitionStep], environment: Environment, typed: tuple[str, ...]) -> None:
    assert names_to_type(plan(*steps), profile(environment)) == typed


def test_the_consequence_says_what_is_lost() -> None:
    made = plan(step(StepKind.CREATE), step(StepKind.CREATE), step(StepKind.DROP, 3, rows_estimate=80_100))
    kept = describe_plan(made, profile())
    assert kept.startswith("creates 2 and drops 1 of the partitions of public.audit_logs at erp; ")
    assert "proven before a drop" in kept
    lost = describe_plan(
        replace(made, policy=replace(POLICY, archive=ArchiveMode.NONE)), profile(Environment.PRODUCTION)
    )
    assert "erp (PRODUCTION); about 80.1 k rows are LOST" in lost
    unknown = plan(step(StepKind.DROP, 3), archive=ArchiveMode.NONE)
    assert "rows that nobody has counted are LOST" in describe_plan(unknown, profile())


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("", JobState.SUCCEEDED),
        ("done skipped", JobState.SUCCEEDED),
        ("done locked", JobState.PARTIAL),
        ("locked", JobState.PARTIAL),
        ("done failed", JobState.PARTIAL),
        ("skipped failed", JobState.FAILED),
        ("failed", JobState.FAILED),
    ],
)
def test_how_a_run_is_judged(outcomes: str, state: JobState) -> None:
    results = tuple(StepResult(step=step(StepKind.DROP), outcome=StepOutcome(each)) for each in outcomes.split())
    assert judge_result(PartitionsResult(table=LOGS, results=results)) is state


def test_a_result_in_one_line() -> None:
    done = StepResult(step=step(StepKind.ARCHIVE), outcome=StepOutcome.DONE, archive="erp-1")
    stuck = StepResult(step=step(StepKind.DROP), outcome=StepOutcome.LOCKED, tries=30, detail="4711 holds it")
    said = describe_result(PartitionsResult(table=LOGS, results=(done, stuck), left=1))
    assert said == ("public.audit_logs: 1 done, 1 locked; 1 step left; "
                    "locked after 30 tries: drop public.audit_logs_y2025m01; 4711 holds it")  # fmt: skip
    assert describe_result(PartitionsResult(table=LOGS)) == "public.audit_logs: nothing to do"
