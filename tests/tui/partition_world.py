"""Partitioned tables without servers: by month with a gap and what is past retention, branches, many, strange ones.

What is judged, planned and described is real; only the server is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.mysql.partition_sql import describe_step as describe_mysql
from dbtui.adapters.postgresql.partition_sql import describe_step as describe_postgresql
from dbtui.analysis.partitions import plan_partitions
from dbtui.analysis.policy_choices import choose_policy
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.partitions import (
    BoundValue,
    DetachedPartition,
    KeyKind,
    ListBound,
    Partition,
    PartitionedTable,
    PartitionIndex,
    PartitionPlan,
    PartitionsResult,
    PartitionsSnapshot,
    PartitionStrategy,
    RangeBound,
    StepOutcome,
    StepResult,
)
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.routines.context import RoutineContext
from dbtui.routines.partition_journal import UnendedRun
from dbtui.tui import partition_requests as requests
from dbtui.tui.partition_requests import JudgedTable, JudgedTables, ReadPlan, judge
from tests.tui.world import World

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LOGS = TableName("public", "audit_logs")
POLICY = PartitionPolicy(table=LOGS, interval=Interval(1, IntervalUnit.MONTH), premake=3,
                         retention=Interval(12, IntervalUnit.MONTH), origin="config.toml, line 5")  # fmt: skip


def month(offset: int) -> datetime:
    """The first of a month, counted from that of NOW."""
    count = NOW.year * 12 + NOW.month - 1 + offset
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def ranged(name: str, lower: BoundValue, upper: BoundValue, **fields: Any) -> Partition:
    """A partition of a range."""
    known: dict[str, Any] = {"identity": abs(hash(name)) % 2**31, "rows_estimate": 1_000_000,
                             "bytes_estimate": 250_000_000, **fields}  # fmt: skip
    return Partition(table=TableName("public", name), bound=RangeBound((lower,), (upper,)),
                     bound_text=f"FOR VALUES FROM ('{lower}') TO ('{upper}')", **known)  # fmt: skip


def table(name: str, *partitions: Partition, **fields: Any) -> PartitionedTable:
    """A table by range of a time."""
    known: dict[str, Any] = {
        "engine": EngineName.POSTGRESQL, "taken_at": NOW, "server_version_number": 150018, "flavour": "PostgreSQL",
        "identity": 16000, "strategy": PartitionStrategy.RANGE, "key_columns": ("at",),
        "key_kinds": (KeyKind.TIMESTAMPTZ,), "key_text": "RANGE (at)", "owner": "erp", **fields,
    }  # fmt: skip
    return PartitionedTable(table=TableName("public", name), partitions=partitions, **known)


def monthly(missing: int = -5, **fields: Any) -> PartitionedTable:
    """`audit_logs` by month, from 14 back to 1 ahead, without one: two are past a retention of twelve."""
    months = [ranged(f"audit_logs_y{month(n):%Ym%m}", month(n), month(n + 1), bytes_estimate=(20 + n) * 10_000_000)
              for n in range(-14, 2) if n != missing]  # fmt: skip
    return table("audit_logs", *months, **fields)


def whole(found: PartitionedTable, **fields: Any) -> PartitionedTable:
    """A table with its indexes: one partition lacks one, another one's did not get built."""
    parent = PartitionIndex(name="audit_at", definition="CREATE INDEX audit_at ON public.audit_logs USING btree (at)",
                            columns=("at",))  # fmt: skip

    def index(place: int, each: Partition) -> tuple[PartitionIndex, ...]:
        if place == 4:
            return ()
        return (PartitionIndex(name=f"{each.table.name}_at_idx", definition="", columns=("at",), parent="audit_at",
                               is_valid=place != 6),)  # fmt: skip

    partitions = tuple(replace(each, indexes=index(place, each)) for place, each in enumerate(found.partitions))
    return replace(found, partitions=partitions, indexes=(parent,), are_indexes_read=True, **fields)


def branched() -> PartitionedTable:
    """A list of tenants, of which each has months."""

    def tenant(name: str) -> Partition:
        months = tuple(ranged(f"measures_{name}_m{n:02d}", month(n - 11), month(n - 10)) for n in range(1, 13))
        bound_text = f"FOR VALUES IN ('{name}')"
        return Partition(table=TableName("public", f"measures_{name}"), bound=ListBound((name,)),
                         bound_text=bound_text, strategy=PartitionStrategy.RANGE, partitions=months)  # fmt: skip

    return table("measures", tenant("acme"), tenant("zeta"), strategy=PartitionStrategy.LIST,
                 key_columns=("tenant",), key_kinds=(KeyKind.TEXT,), key_text="LIST (tenant)")  # fmt: skip


def daily(count: int, name: str = "days") -> PartitionedTable:
    """So many days until ten ahead; one in the middle is missing."""
    first = NOW.replace(hour=0) - timedelta(days=count - 10)
    days = [first + timedelta(days=number) for number in range(count + 1)]
    return table(name, *(ranged(f"{name}_{day:%Y%m%d}", day, day + timedelta(days=1))
                         for number, day in enumerate(days) if number != count // 2))  # fmt: skip


def detached(name: str, archive: str = "") -> DetachedPartition:
    """A month that was taken out."""
    bound = RangeBound((month(-15),), (month(-14),))
    return DetachedPartition(table=TableName("public", name), parent=LOGS, bound=bound,
                             bound_text="FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')",
                             detached_at=NOW - timedelta(days=3), archive=archive, rows_estimate=900)  # fmt: skip


@dataclass
class PartitionWorld:
    """What the pane is given instead of servers. `asked`: what was asked for, in order."""

    world: World
    tables: list[PartitionedTable] = field(default_factory=lambda: [monthly(), branched()])
    unsupported: str = ""
    unended: UnendedRun | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    applied: list[PartitionPlan] = field(default_factory=list)
    outcomes: Mapping[int, StepOutcome] = field(default_factory=dict)  # by the number of a step
    blockers: str = ""
    prunes: bool | None = None
    sizes: Callable[[Partition], int] = lambda _partition: 123_456_789
    gate: Callable[[RoutineContext], None] = lambda _context: None

    def find(self, name: TableName) -> PartitionedTable:
        """The table as it is now."""
        found = next((each for each in self.tables if each.table == name), None)
        return found if found is not None else replace(daily(30), table=name)

    def look_at_all(self, profile: ConnectionProfile) -> JobRequest[JudgedTables]:
        """Every table."""

        def make() -> JudgedTables:
            self.asked.append(("tables", profile.name))
            taken_at = max((each.taken_at for each in self.tables), default=NOW)
            snapshot = PartitionsSnapshot(profile=profile.name, taken_at=taken_at, tables=tuple(self.tables),
                                          unsupported=self.unsupported)  # fmt: skip
            return JudgedTables(snapshot, tuple(JudgedTable(each, judge(profile, each)) for each in self.tables))

        return self.world.returns("look", profile.name, make)

    def look_at_one(
        self, profile: ConnectionProfile, before: JudgedTable, *, asks_prunes: bool
    ) -> JobRequest[JudgedTable]:
        """One table, whole."""

        def make() -> JudgedTable:
            self.asked.append(("table", before.table.table, asks_prunes))
            found = self.find(before.table.table)
            prunes = self.prunes if asks_prunes else before.prunes
            return JudgedTable(found, judge(profile, found, prunes), is_whole=True, prunes=prunes)

        return self.world.returns("look", profile.name, make)

    def measure(self, profile: ConnectionProfile, name: TableName, chosen: Any) -> JobRequest[Any]:
        """Sizes."""

        def make() -> Mapping[TableName, int]:
            self.asked.append(("sizes", name, len(chosen)))
            return {each.table: self.sizes(each) for each in chosen}

        return self.world.returns("measure", profile.name, make)

    def plan(self, profile: ConnectionProfile, name: TableName, words: Any, _journals: Path) -> JobRequest[ReadPlan]:
        """A real plan."""

        def make() -> ReadPlan:
            self.asked.append(("plan", name, dict(words)))
            found = self.find(name)
            made = plan_partitions(found, choose_policy(found, profile, None, words), found.taken_at)
            describe = describe_mysql if found.engine is EngineName.MYSQL else describe_postgresql
            steps = tuple(describe(found, step) for step in made.steps)
            return ReadPlan(found, replace(made, steps=steps), self.unended)

        return self.world.returns("plan", profile.name, make)

    def work(self, plan: PartitionPlan, context: RoutineContext) -> Routine[PartitionsResult]:
        """Do nothing, step by step."""
        results = []
        for number, step in enumerate(plan.steps, 1):
            yield Progressed(number - 1, len(plan.steps), "steps")
            yield StepStarted(step.kind.value, str(step.partition))
            if self.blockers and number == 2:
                yield Warned(f"{step.partition.name} waits: {self.blockers}")
                yield Progressed(1, 30, "tries", self.blockers)
            self.gate(context)
            context.cancellation.check()
            outcome = self.outcomes.get(number, StepOutcome.DONE)
            yield StepFinished(step.kind.value, 0.1, outcome.value)
            results.append(StepResult(step=step, outcome=outcome, detail=self.blockers))
        self.applied.append(plan)
        left = sum(each.outcome is not StepOutcome.DONE for each in results)
        return PartitionsResult(table=plan.table, results=tuple(results), left=left)


def patch_requests(partitions: PartitionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer the pane from here."""
    real = requests.apply

    def apply(profile: ConnectionProfile, plan: PartitionPlan, journals: Path) -> JobRequest[PartitionsResult]:
        return replace(real(profile, plan, journals), start=lambda context: partitions.work(plan, context), locks=())

    fakes: dict[str, Any] = {
        "tables": partitions.look_at_all, "table": partitions.look_at_one, "sizes": partitions.measure,
        "plan": partitions.plan, "apply": apply,
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(requests, name, fake)
