"""Partitioned tables to judge, and a model of what their servers do with a step."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from dbtui.analysis.partitions import plan_partitions, steps_to_count
from dbtui.analysis.partitions.spans import Span, axis_of, ends_of, read_spans
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    Bound,
    BoundValue,
    DefaultBound,
    DetachedPartition,
    HashBound,
    KeyKind,
    Limit,
    ListBound,
    Partition,
    PartitionedTable,
    PartitionPlan,
    PartitionStep,
    PartitionStrategy,
    RangeBound,
    StepKind,
)
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
LOGS = TableName("public", "logs")
MONTH, DAY, HOUR = (Interval(1, unit) for unit in (IntervalUnit.MONTH, IntervalUnit.DAY, IntervalUnit.HOUR))


def at(year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def partition(name: str, lower: BoundValue, upper: BoundValue, rows: int | None = None, **more: object) -> Partition:
    made = Partition(
        table=TableName("public", name),
        bound=RangeBound((lower,), (upper,)),
        bound_text=f"FOR VALUES FROM ('{lower}') TO ('{upper}')",
        rows_estimate=rows,
        identity=sum(name.encode()),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def default(name: str = "logs_default") -> Partition:
    return Partition(table=TableName("public", name), bound=DefaultBound(), bound_text="DEFAULT")


def table(
    partitions: Iterable[Partition] = (),
    kind: KeyKind = KeyKind.TIMESTAMPTZ,
    engine: EngineName = EngineName.POSTGRESQL,
    strategy: PartitionStrategy = PartitionStrategy.RANGE,
    **more: object,
) -> PartitionedTable:
    made = PartitionedTable(
        table=LOGS,
        engine=engine,
        taken_at=NOW,
        server_version_number=150018 if engine is EngineName.POSTGRESQL else 101119,
        strategy=strategy,
        key_columns=("created_at",),
        key_kinds=(kind,),
        partitions=tuple(partitions),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def months(first: datetime, count: int) -> list[Partition]:
    """Monthly partitions of UTC, as `logs_y2026m01`."""
    begins = [first.replace(year=first.year + (first.month - 1 + n) // 12, month=(first.month - 1 + n) % 12 + 1)
              for n in range(count + 1)]  # fmt: skip
    return [partition(f"logs_y{a:%Y}m{a:%m}", a, b) for a, b in pairwise(begins)]


def days(first: datetime, count: int) -> list[Partition]:
    begins = [first + timedelta(days=n) for n in range(count + 1)]
    return [partition(f"logs_p{a:%Y%m%d}", a, b) for a, b in pairwise(begins)]


def numbers(first: int, width: int, count: int, rows: int | None = 1) -> list[Partition]:
    return [partition(f"logs_p{n}", n, n + width, rows) for n in range(first, first + width * count, width)]


def policy(interval: Interval | None = MONTH, **more: object) -> PartitionPolicy:
    return replace(PartitionPolicy(table=LOGS, interval=interval), **more)  # type: ignore[arg-type]


def kinds(plan: PartitionPlan) -> list[StepKind]:
    return [step.kind for step in plan.steps]


def names(plan: PartitionPlan, *wanted: StepKind) -> list[str]:
    return [step.partition.name for step in plan.steps if not wanted or step.kind in wanted]


def ranges(plan: PartitionPlan) -> list[tuple[BoundValue, BoundValue]]:
    """The bounds of what a plan creates."""
    made = [step.bound for step in plan.steps if step.kind in (StepKind.CREATE, StepKind.DRAIN_DEFAULT)]
    return [(bound.lower[0], bound.upper[0]) for bound in made if isinstance(bound, RangeBound)]


# --- a server --------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """One table, and the positions of the rows in its default partition. It refuses what a server refuses."""

    table: PartitionedTable
    policy: PartitionPolicy
    stray: list[int] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._settle()

    @property
    def is_mysql(self) -> bool:
        return self.table.engine is EngineName.MYSQL

    def spans(self) -> tuple[Span, ...]:
        return read_spans(self.table, axis_of(self.table, self.policy))

    def plan(self, now: datetime) -> PartitionPlan:
        """As a routine plans: the rows in the way are counted first."""
        steps = steps_to_count(self.table, self.policy, now)
        conflicts = {step.bound: len(self._strays_of(step.bound)) for step in steps if step.bound is not None}
        return plan_partitions(self.table, self.policy, now, conflicts=conflicts)

    def apply(self, steps: Iterable[PartitionStep], now: datetime) -> None:
        for step in steps:
            self.apply_step(step, now)

    def apply_step(self, step: PartitionStep, now: datetime) -> None:
        if step.kind in (StepKind.CREATE, StepKind.DRAIN_DEFAULT):
            self._create(step)
        elif step.kind in (StepKind.DETACH, StepKind.EXCHANGE, StepKind.REPAIR_DETACH):
            self._detach(step, now)
        elif step.kind is StepKind.ARCHIVE:
            found = next(each for each in self.table.detached if each.table == step.partition)
            rest = tuple(each for each in self.table.detached if each != found)
            self.table = replace(self.table, detached=(*rest, replace(found, archive=f"backup of {found.table}")))
        elif step.kind is StepKind.DROP:
            self._drop(step)
        self._settle()

    def _create(self, step: PartitionStep) -> None:
        assert step.bound is not None
        taken = {each.table.name for each in self.table.partitions} | {each.table.name for each in self.table.detached}
        assert step.partition.name not in taken | {self.table.table.name}
        if isinstance(step.bound, RangeBound):
            self._check_overlap(step.bound)
        strays = self._strays_of(step.bound)
        assert not strays or self.is_mysql or step.kind is StepKind.DRAIN_DEFAULT, "would be violated by some row"
        self.stray = [row for row in self.stray if row not in strays]
        made = Partition(table=step.partition, bound=step.bound, bound_text=str(step.bound), identity=id(step))
        self.table = replace(self.table, partitions=(*self.table.partitions, made))

    def _check_overlap(self, bound: RangeBound) -> None:
        ends = ends_of(bound, axis_of(self.table, self.policy))
        assert ends is not None
        for span in self.spans():
            is_tail = self.is_mysql and span.upper == float("inf")
            assert is_tail or span.upper <= ends[0] or ends[1] <= span.lower, f"{bound} would overlap {span}"
            assert not self.is_mysql or is_tail or span.upper <= ends[0], "VALUES LESS THAN must increase"

    def _strays_of(self, bound: Bound | None) -> list[int]:
        ends = ends_of(bound, axis_of(self.table, self.policy)) if isinstance(bound, RangeBound) else None
        return [] if ends is None else [row for row in self.stray if ends[0] <= row < ends[1]]

    def _detach(self, step: PartitionStep, now: datetime) -> None:
        found = next(each for each in self.table.partitions if each.table == step.partition)
        is_repair = step.kind is StepKind.REPAIR_DETACH
        assert found.is_detach_pending is is_repair, "already pending detach"
        others = tuple(each for each in self.table.partitions if each is not found)
        assert is_repair or not any(each.is_detach_pending for each in others), "another is pending detach"
        assert not found.is_default
        assert others or is_repair, "the last partition"
        gone = DetachedPartition(
            table=step.into or found.table, parent=self.table.table, bound_text=found.bound_text, detached_at=now,
            bound=found.bound,
        )  # fmt: skip
        self.table = replace(self.table, partitions=others, detached=(*self.table.detached, gone))

    def _drop(self, step: PartitionStep) -> None:
        self.dropped.append(step.partition.name)
        self.table = replace(
            self.table,
            partitions=tuple(each for each in self.table.partitions if each.table != step.partition),
            detached=tuple(each for each in self.table.detached if each.table != step.partition),
        )
        assert self.table.partitions, "the last partition"

    def _settle(self) -> None:
        """What the catalogue says afterwards: MySQL's partitions begin where the one before ends."""
        changed = self.table
        if self.is_mysql:
            ordered = [span.partition for span in self.spans()]
            lower: BoundValue = Limit.LOWEST
            settled = []
            for each in sorted(ordered, key=lambda one: self._upper(one)):
                assert isinstance(each.bound, RangeBound)
                settled.append(replace(each, bound=RangeBound((lower,), each.bound.upper)))
                lower = each.bound.upper[0]
            changed = replace(changed, partitions=tuple(settled))
        has_default = changed.default is not None or self.is_mysql
        self.table = replace(changed, default_rows=len(self.stray) if has_default else None)

    def _upper(self, each: Partition) -> float:
        axis = axis_of(self.table, self.policy)
        assert isinstance(each.bound, RangeBound)
        found = axis.position(each.bound.upper[0])
        assert found is not None
        return found


def listed(name: str, *values: BoundValue) -> Partition:
    return Partition(table=TableName("public", name), bound=ListBound(values), bound_text="FOR VALUES IN (…)")


def hashed(modulus: int, remainder: int) -> Partition:
    bound = HashBound(modulus, remainder)
    return Partition(table=TableName("public", f"logs_h{modulus}_{remainder}"), bound=bound, bound_text=str(bound))
