"""What the partitions pane asks the runner to do: looking, measuring, planning, applying."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbtui.analysis.partition_words import describe_result, judge_result
from dbtui.analysis.partitions import assess_partitions
from dbtui.analysis.policy_choices import find_policy
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.partitions import (
    Partition,
    PartitionAssessment,
    PartitionedTable,
    PartitionPlan,
    PartitionsResult,
    PartitionsSnapshot,
)
from dbtui.model.tables import TableName
from dbtui.routines import partitions
from dbtui.routines.context import RoutineContext
from dbtui.routines.partition_journal import UnendedRun

#: What history calls a plan that was applied, by key as by command.
APPLY = "partitions apply"
_CANCELLING = "Steps that are done stay done, and no row is lost: a new plan goes on."


@dataclass(frozen=True, slots=True)
class JudgedTable:
    """A table as it was found, and what is to be known of it. `is_whole`: with indexes and all that plans need.

    `prunes`: whether queries leave partitions out; None: nobody knows.
    """

    table: PartitionedTable
    assessment: PartitionAssessment
    is_whole: bool = False
    prunes: bool | None = None


@dataclass(frozen=True, slots=True)
class JudgedTables:
    """Every partitioned table of a database, judged."""

    snapshot: PartitionsSnapshot
    tables: tuple[JudgedTable, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A plan to be read: with the table that it is for, and the run before it that wrote no end."""

    table: PartitionedTable
    plan: PartitionPlan
    unended: UnendedRun | None = None


def judge(profile: ConnectionProfile, table: PartitionedTable, prunes: bool | None = None) -> PartitionAssessment:
    """Judge a table by the profile's policy for it, if there is one."""
    return assess_partitions(table, find_policy(profile, table.table), table.taken_at, prunes=prunes)


def tables(profile: ConnectionProfile) -> JobRequest[JudgedTables]:
    """Look at every partitioned table of a target."""

    def start(context: RoutineContext) -> Routine[JudgedTables]:
        snapshot = yield from partitions.collect_partitions(context, profile)
        return JudgedTables(snapshot, tuple(JudgedTable(each, judge(profile, each)) for each in snapshot.tables))

    return _reading("look at partitions", profile, start)


def table(profile: ConnectionProfile, before: JudgedTable, *, asks_prunes: bool) -> JobRequest[JudgedTable]:
    """Look at one table with all there is to know of it. `asks_prunes`: else that is as it was `before`."""

    def start(context: RoutineContext) -> Routine[JudgedTable]:
        name = before.table.table
        seen = yield from partitions.collect_one(context, profile, name, asks_prunes=asks_prunes)
        prunes = seen.prunes if asks_prunes else before.prunes
        return JudgedTable(seen.table, judge(profile, seen.table, prunes), is_whole=True, prunes=prunes)

    return _reading("look at a partitioned table", profile, start)


def sizes(
    profile: ConnectionProfile, name: TableName, chosen: Sequence[Partition]
) -> JobRequest[Mapping[TableName, int]]:
    """Measure some partitions of a table."""
    return _reading("measure partitions", profile,
                    lambda context: partitions.collect_sizes(context, profile, name, chosen))  # fmt: skip


def plan(profile: ConnectionProfile, name: TableName, words: Mapping[str, Any], journals: Path) -> JobRequest[ReadPlan]:
    """Plan what brings a table to its policy; `words` change that."""

    def start(context: RoutineContext) -> Routine[ReadPlan]:
        made = yield from partitions.plan_partitions_of(context, profile, name, words=words)
        unended = partitions.find_unended_run(context, profile, made.plan.table, journals)
        return ReadPlan(made.table, made.plan, unended)

    return _reading("plan partitions", profile, start)


def _reading(routine: str, profile: ConnectionProfile, start: Any) -> JobRequest[Any]:
    """Something that is asked of a target: one after another, for each takes a connection."""
    return JobRequest(
        routine=routine, target=profile.name, start=start, changes=False, thread=f"partitions of {profile.name}"
    )


def apply(profile: ConnectionProfile, chosen: PartitionPlan, journals: Path) -> JobRequest[PartitionsResult]:
    """Do a plan."""
    return JobRequest(
        routine=APPLY,
        target=profile.name,
        subject=str(chosen.table),
        thread=f"jobs of {profile.name}",
        locks=(partitions.partitions_lock(profile, chosen.table),),
        start=lambda context: partitions.apply_partitions(context, profile, chosen, journals),
        summary=describe_result,
        judge=lambda done: judge_result(done, chosen.refusals),
        cancelling=_CANCELLING,
    )
