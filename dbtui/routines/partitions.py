"""Partitioned tables: looking at them, planning what keeps them right, and doing it step by step."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dbtui.adapters.adapter import PartitionAdapter, PartitionExecutor, Target
from dbtui.analysis.partition_words import describe_step
from dbtui.analysis.partitions import plan_partitions, steps_to_count
from dbtui.analysis.policy_choices import choose_policy
from dbtui.errors import Cancelled, ConnectError, DbtuiError, RefusedError, ServerError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.partitions import (
    LockPatience,
    Partition,
    PartitionedTable,
    PartitionPlan,
    PartitionsResult,
    PartitionsSnapshot,
    PartitionStep,
    StepKind,
    StepOutcome,
    StepResult,
)
from dbtui.model.policies import ArchiveMode, PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.model.text import format_untrusted
from dbtui.routines.context import RoutineContext
from dbtui.routines.partition_journal import ArchiveProof, PartitionJournal, UnendedRun

_UNSUPPORTED = {EngineName.SQLITE: "SQLite has no partitioned tables: a table is one tree of pages in one file"}
_CLOCKS_APART = timedelta(days=1)
_TAKING = (StepKind.DETACH, StepKind.EXCHANGE, StepKind.DROP)
_ENOUGH = (StepOutcome.DONE, StepOutcome.SKIPPED)


# ---------------------------------------------------------------- looking


def unsupported_partitions(profile: ConnectionProfile, taken_at: datetime) -> PartitionsSnapshot:
    """Return the snapshot of an engine that has no such thing as partitions."""
    return PartitionsSnapshot(profile=profile.name, taken_at=taken_at, unsupported=_UNSUPPORTED[profile.engine])


def collect_partitions(c: RoutineContext, profile: ConnectionProfile) -> Routine[PartitionsSnapshot]:
    """Ask a target for its partitioned tables; none of them is read. Raises ConnectError, ServerError."""
    yield from ()
    partitions = c.adapter(profile.engine).partitions
    if partitions is None:
        return unsupported_partitions(profile, c.now())
    with c.open_target(replace(profile, read_only=True)) as target:
        tables = partitions.collect_partitioned_tables(target)
    taken_at = max((each.taken_at for each in tables), default=c.now())
    gaps = tuple(dict.fromkeys(gap for each in tables for gap in each.gaps))
    return PartitionsSnapshot(profile=profile.name, taken_at=taken_at, tables=tables, gaps=gaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTable:
    """A table as it was found. `prunes`: whether a query up to now() leaves partitions out; None: not known."""

    table: PartitionedTable
    prunes: bool | None = None


def collect_one(
    c: RoutineContext,
    profile: ConnectionProfile,
    table: TableName,
    *,
    is_exact: bool = False,
    asks_prunes: bool = True,
) -> Routine[SeenTable]:
    """Ask for one partitioned table with all there is to know of it; `is_exact`: its partitions are measured too.

    `asks_prunes`: whether queries leave partitions out is asked as well, which makes the server plan one.
    Raises ConnectError, ServerError, UsageError (it is not there, or not partitioned).
    """
    yield from ()
    partitions = _partitions_of(c, profile)
    with c.open_target(replace(profile, read_only=True)) as target:
        found = partitions.collect_partitioned_table(target, table)
        found, prunes = _ask_prunes(partitions, target, found) if asks_prunes else (found, None)
        sizes = partitions.collect_exact_sizes(target, found.table, found.partitions) if is_exact else {}
    measured = tuple(replace(each, bytes_exact=sizes.get(each.table)) for each in found.partitions)
    return SeenTable(table=replace(found, partitions=measured), prunes=prunes)


def collect_sizes(
    c: RoutineContext, profile: ConnectionProfile, table: TableName, chosen: Sequence[Partition]
) -> Routine[Mapping[TableName, int]]:
    """Measure some partitions of a table, in bytes with their indexes; one that is locked is left out.

    Raises ConnectError, ServerError, UsageError.
    """
    yield from ()
    partitions = _partitions_of(c, profile)
    with c.open_target(replace(profile, read_only=True)) as target:
        return partitions.collect_exact_sizes(target, table, chosen)


def _ask_prunes(
    partitions: PartitionAdapter, target: Target, table: PartitionedTable
) -> tuple[PartitionedTable, bool | None]:
    """Ask whether queries leave partitions out; planning one waits for every partition, which may be locked."""
    try:
        return table, partitions.collect_prunes(target, table)
    except ServerError as error:
        gap = f"whether queries leave partitions out: not known: {error.message}"
        return replace(table, gaps=(*table.gaps, gap)), None


# ---------------------------------------------------------------- planning


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """A table as it was found, and the plan made for it."""

    table: PartitionedTable
    plan: PartitionPlan


def plan_partitions_of(
    c: RoutineContext,
    profile: ConnectionProfile,
    table: TableName,
    policy: PartitionPolicy | None = None,
    words: Mapping[str, Any] | None = None,
) -> Routine[PlannedTable]:
    """Look at a table and plan what brings it to its policy, with the SQL and the locks for this server.

    `policy` None: the profile's, else what is there goes on; `words` change it, as in the configuration file.
    Raises ConnectError, ServerError, UsageError.
    """
    yield from ()
    partitions = _partitions_of(c, profile)
    with c.open_target(replace(profile, read_only=True)) as target:
        found = partitions.collect_partitioned_table(target, table)
        chosen = choose_policy(found, profile, policy, words or {})
        return PlannedTable(table=found, plan=_plan(partitions, target, found, chosen))


def _plan(
    partitions: PartitionAdapter, target: Target, table: PartitionedTable, policy: PartitionPolicy
) -> PartitionPlan:
    conflicts = {
        step.bound: partitions.count_conflicts(target, table, step)
        for step in steps_to_count(table, policy, table.taken_at)
        if step.bound is not None
    }
    plan = plan_partitions(table, policy, table.taken_at, conflicts=conflicts)
    return replace(plan, steps=tuple(partitions.describe_step(table, step) for step in plan.steps))


# ---------------------------------------------------------------- applying


def find_unended_run(
    c: RoutineContext, profile: ConnectionProfile, table: TableName, journals: Path
) -> UnendedRun | None:
    """Return the last run of a plan of this table that wrote no end: it was killed, or goes on. Raises StorageError."""
    found = PartitionJournal(journals, _subject(profile, table), c.now).find_unended()
    return replace(found, is_running=_is_running(found.process)) if found is not None else None


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def partitions_lock(profile: ConnectionProfile, table: TableName) -> str:
    """Return the name of the lock that keeps two runs on this machine apart; others meet the server's own."""
    return f"partitions of {_subject(profile, table)}"


def _subject(profile: ConnectionProfile, table: TableName) -> str:
    from dbtui.routines.backups.stored import database_of, server_name  # looking starts sooner without

    return f"{table} in {database_of(profile)} on {server_name(profile)}"


def apply_partitions(
    c: RoutineContext,
    profile: ConnectionProfile,
    plan: PartitionPlan,
    journals: Path,
    patience: LockPatience | None = None,
) -> Routine[PartitionsResult]:
    """Do the steps of a plan in order and plan anew at the end; `journals` is the directory of the journals.

    A step that meets a lock for longer than patience is LOCKED, what needs it is skipped, and the rest goes on; any
    other failure is the last step. Rows are dropped only after they were proven to be in a backup, unless the policy
    says that they are not archived.
    Raises RefusedError, LockedError (another run), ConnectError (when nothing was done yet), Cancelled, StorageError.
    """
    _refuse(profile, plan)
    partitions = _partitions_of(c, profile)
    journal = PartitionJournal(journals, _subject(profile, plan.table), c.now)
    with c.open_target(profile) as target:
        table = partitions.collect_partitioned_table(target, plan.table)
        _refuse_clocks(plan, table.taken_at, c.now())
        with partitions.open_executor(target, table, patience or LockPatience()) as executor:
            unended = journal.find_unended()
            if unended is not None:
                yield Warned(f"{unended}; what is there now was looked at, and this plan is for that")
            journal.begin(plan)
            run = _Run(c, profile, plan, table, executor, journal)
            try:
                yield from run.run_steps()
                left = _count_left(partitions, target, run)
            except BaseException as error:  # however it ends, the journal says so
                journal.end(f"{type(error).__name__}: {format_untrusted(str(error))}")
                raise
            journal.end("failed" if run.is_stopped else "ended", left)
    return PartitionsResult(table=plan.table, results=tuple(run.results), left=left)


def _refuse(profile: ConnectionProfile, plan: PartitionPlan) -> None:
    refusals = () if plan.steps else plan.refusals  # steps beside refusals are safe, and worth doing
    if profile.read_only:
        refusals = (f"profile {format_untrusted(profile.name)} is read-only", *refusals)
    if refusals:
        raise RefusedError(f"partitions apply refused: {'; '.join(refusals)}", "nothing was changed")


def _refuse_clocks(plan: PartitionPlan, server: datetime, here: datetime) -> None:
    """A clock that is wrong makes young rows old: nothing is taken out while two of them tell different days."""
    apart = max(abs(here - server), plan.taken_at - server)
    if apart > _CLOCKS_APART and any(step.kind in _TAKING for step in plan.steps):
        raise RefusedError(
            f"partitions apply refused: the server's clock says {server:%Y-%m-%d %H:%M} UTC, it is"
            f" {here:%Y-%m-%d %H:%M} here, and the plan is of {plan.taken_at:%Y-%m-%d %H:%M}: what is past retention is"
            " not certain",
            "nothing was changed; set the clock that is wrong and plan again",
        )


def _count_left(partitions: PartitionAdapter, target: Target, run: "_Run") -> int:
    """How many steps a new plan has; those not done, where the server cannot be asked any more."""
    try:
        table = partitions.collect_partitioned_table(target, run.plan.table)
    except (ConnectError, ServerError):
        if not run.is_stopped:
            raise
        return sum(each.outcome not in _ENOUGH for each in run.results) + len(run.plan.steps) - len(run.results)
    return len(_plan(partitions, target, table, run.plan.policy).steps)


@dataclass
class _Run:
    """One run of a plan: what was done, and what waits for something that was not."""

    c: RoutineContext
    profile: ConnectionProfile
    plan: PartitionPlan
    table: PartitionedTable
    executor: PartitionExecutor
    journal: PartitionJournal
    results: list[StepResult] = field(default_factory=list)
    waiting: list[StepResult] = field(default_factory=list)  # those that are still to come
    archived: dict[TableName, ArchiveProof] = field(default_factory=dict)
    is_stopped: bool = False

    def run_steps(self) -> Routine[None]:
        """Do one step after the other; stop at the first that failed other than by a lock."""
        for number, step in enumerate(self.plan.steps, 1):
            self.c.cancellation.check()
            self.journal.begin_step(number, step, describe_step(step))
            yield Progressed(number - 1, len(self.plan.steps), "steps")
            result = yield from self._run_step(step)
            self.journal.end_step(number, result)
            self.results.append(result)
            if result.outcome is StepOutcome.LOCKED or _is_waiting(result):
                self.waiting.append(result)
            if result.outcome not in _ENOUGH:
                yield Warned(f"{result.outcome.value}: {describe_step(step)}: {result.detail or 'no reason was given'}")
            if result.outcome is StepOutcome.FAILED:
                self.is_stopped = True
                return

    def _run_step(self, step: PartitionStep) -> Routine[StepResult]:
        began = time.monotonic()
        if missing := self._missing(step):
            return StepResult(step=step, outcome=StepOutcome.SKIPPED, detail=missing)
        try:
            result = yield from self._do(step)
        except (Cancelled, GeneratorExit):
            raise
        except DbtuiError as error:
            if isinstance(error, ConnectError) and not self.results:
                raise
            result = StepResult(step=step, outcome=StepOutcome.FAILED, detail=str(error))
        return replace(result, seconds=result.seconds or time.monotonic() - began)

    def _missing(self, step: PartitionStep) -> str:
        """What keeps a step from its turn: something before it that is still to come."""
        for earlier in self.waiting:
            in_order = _is_needed_first(earlier.step, step, self.profile.engine)
            if in_order or _keeps_waiting(earlier.step, step) or _is_of_same(earlier.step, step):
                return f"{_WAITS} {earlier.step.kind.value} of {format_untrusted(str(earlier.step.partition))}"
        return ""

    def _do(self, step: PartitionStep) -> Routine[StepResult]:
        if step.kind is StepKind.ARCHIVE:
            began = time.monotonic()
            yield StepStarted(step.kind.value, describe_step(step))
            result = yield from self._archive(step)
            yield StepFinished(step.kind.value, time.monotonic() - began, f"{result.archive}: {result.detail}")
            return result
        if step.kind is StepKind.DROP and self.plan.policy.archive is ArchiveMode.DUMP:
            yield from self._prove(step)
        return (yield from self.executor.run(step))

    def _archive(self, step: PartitionStep) -> Routine[StepResult]:
        from dbtui.routines.partition_archives import archive_partition

        proof = yield from archive_partition(self.c, self.profile, step.partition, self.plan.policy.archive_dir)
        self.journal.note_archive(step, proof)
        self.archived[step.partition] = proof
        try:
            self.executor.mark_archived(step, proof.backup_id)
        except (ServerError, RefusedError) as error:
            yield Warned(f"{step.partition} could not be marked as archived: {error}")
        detail = f"{proof.rows} rows, checksums and count proven"
        return StepResult(step=step, outcome=StepOutcome.DONE, detail=detail, archive=proof.backup_id)

    def _prove(self, step: PartitionStep) -> Routine[None]:
        """See to it that a backup holds every row of a table about to be dropped; one is made where none does."""
        fresh = self.archived.get(step.partition)
        if fresh is not None:
            from dbtui.routines.partition_archives import compare_rows

            problem = yield from compare_rows(self.c, self.profile, step.partition, fresh)
        else:
            problem = yield from self._prove_earlier(step)
        if problem:
            yield Warned(f"{step.partition} is archived anew before it is dropped: {problem}")
            yield from self._archive(step)

    def _prove_earlier(self, step: PartitionStep) -> Routine[str]:
        """Look for the archive that an earlier run made; return what speaks against it."""
        marked = next((each.archive for each in self.table.detached if each.table == step.partition), "")
        noted = self.journal.find_archive(step)
        if noted is not None and (noted.backup_id != marked if marked else not step.identity):
            noted = None  # of another table that had the name
        directory = noted.directory if noted is not None else self.plan.policy.archive_dir
        backup_id = noted.backup_id if noted is not None else marked
        if not backup_id:
            return "no backup of it is known"
        from dbtui.routines.partition_archives import prove_archive

        return (yield from prove_archive(self.c, self.profile, step.partition, directory, backup_id))


_WAITS = "waits for the"


def _is_waiting(result: StepResult) -> bool:
    return result.outcome is StepOutcome.SKIPPED and result.detail.startswith(_WAITS)


def _is_needed_first(earlier: PartitionStep, later: PartitionStep, engine: EngineName) -> bool:
    """Whether a partition that could not be made keeps `later` from its turn.

    What is taken out may be the last one otherwise; and MySQL's `LESS THAN` of a later partition would swallow the
    range of the one before it.
    """
    if earlier.kind not in (StepKind.CREATE, StepKind.DRAIN_DEFAULT):
        return False
    if later.kind in (StepKind.DETACH, StepKind.EXCHANGE, StepKind.DROP):
        return True
    return engine is EngineName.MYSQL and later.kind in (StepKind.CREATE, StepKind.DRAIN_DEFAULT)


def _keeps_waiting(earlier: PartitionStep, later: PartitionStep) -> bool:
    """Whether a detach that waits keeps others waiting: PostgreSQL has one pending at a time, which it may have left.

    An index of the parent becomes valid when a part is attached and no partition lacks one; what leaves may lack it.
    """
    if later.kind is StepKind.ATTACH_INDEX:
        return earlier.kind is StepKind.DETACH
    is_pending = earlier.kind is StepKind.REPAIR_DETACH or (earlier.kind is StepKind.DETACH and earlier.concurrently)
    return is_pending and later.kind is StepKind.DETACH


def _is_of_same(earlier: PartitionStep, later: PartitionStep) -> bool:
    is_same = later.partition in (earlier.partition, earlier.into)
    return is_same or bool(earlier.identity and earlier.identity == later.identity)


def _partitions_of(c: RoutineContext, profile: ConnectionProfile) -> PartitionAdapter:
    partitions = c.adapter(profile.engine).partitions
    if partitions is None:
        raise UsageError(unsupported_partitions(profile, c.now()).unsupported, "name a PostgreSQL or MySQL target")
    return partitions
