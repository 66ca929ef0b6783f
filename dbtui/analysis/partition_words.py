"""Partitions in words: bounds, policies, steps and results, for commands, dialogs and history."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time

from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.jobs import JobState
from dbtui.model.partitions import (
    Bound,
    BoundValue,
    DefaultBound,
    HashBound,
    ListBound,
    PartitionedTable,
    PartitionPlan,
    PartitionsResult,
    PartitionStep,
    RangeBound,
    StepKind,
    StepOutcome,
    StepResult,
)
from dbtui.model.policies import ArchiveMode, IntervalUnit, PartitionPolicy
from dbtui.model.text import format_count, format_duration, format_untrusted

_LOST = 3  # the danger of a step that loses rows
_SHOWN_VALUES = 6
_MIDNIGHT = time()


def format_bound(bound: Bound | None, text: str = "") -> str:
    """Return a bound in short: `[2026-01-01, 2026-02-01)`, `in (acme, zeta)`, `3 of 8`, `default`.

    `text`: how the server writes it, for one that was not understood.
    """
    if isinstance(bound, RangeBound):
        return f"[{_format_values(bound.lower)}, {_format_values(bound.upper)})"
    if isinstance(bound, ListBound):
        shown = ", ".join(format_value(each) for each in bound.values[:_SHOWN_VALUES])
        return f"in ({shown}{', …' if len(bound.values) > _SHOWN_VALUES else ''})"
    if isinstance(bound, HashBound):
        return f"{bound.remainder} of {bound.modulus}"
    return "default" if isinstance(bound, DefaultBound) else text


def _format_values(values: tuple[BoundValue, ...]) -> str:
    return " ".join(format_value(each) for each in values)


def format_value(value: BoundValue) -> str:
    """Return one value of a bound; midnights without their hours, times of UTC without their zone."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        shown = str(value.date()) if value.time() == _MIDNIGHT else str(value.replace(tzinfo=None))
        return shown if value.tzinfo in (None, UTC) or not value.utcoffset() else f"{shown}{value:%z}"
    return value.isoformat() if isinstance(value, date) else str(value)


def describe_policy(policy: PartitionPolicy) -> str:
    """Return a policy in one line: `1 month, 4 ahead, kept 12 months, archived, UTC (config.toml, line 12)`."""
    parts = [f"every {policy.interval}" if policy.interval else "", *_describe_ahead(policy)]
    parts.append(f"kept {policy.retention}" if policy.retention else "kept for ever")
    if policy.retention:
        place = f" into {policy.archive_dir}" if policy.archive_dir else ""
        parts.append(f"archived{place}" if policy.archive is ArchiveMode.DUMP else "NOT archived")
        parts.append(f"dropped {format_duration(policy.grace_seconds)} later" if policy.grace_seconds else "")
    if policy.interval and policy.interval.unit is not IntervalUnit.NUMBER:
        parts.append(policy.time_zone)
    origin = f" ({policy.origin})" if policy.origin else ""
    return format_untrusted(", ".join(part for part in parts if part) + origin)


def _describe_ahead(policy: PartitionPolicy) -> Iterator[str]:
    if policy.interval:
        yield f"{policy.premake} ahead"
    if policy.values:
        yield f"{len(policy.values)} values"
    if policy.modulus:
        yield f"modulus {policy.modulus}"


def describe_step(step: PartitionStep) -> str:
    """Return what a step does in one line: `create public.audit_logs_y2026m03 [2026-03-01, 2026-04-01)`."""
    parts = [step.kind.value, str(step.partition)]
    if step.index is not None:
        parts.append(step.index.name)
    if step.bound is not None:
        parts.append(format_bound(step.bound, step.bound_text))
    return format_untrusted(" ".join(parts))


def describe_locks(step: PartitionStep) -> str:
    """Return the locks of a step: `parent SHARE UPDATE EXCLUSIVE, default ACCESS EXCLUSIVE`; empty: none."""
    held = (("parent", step.locks.parent), ("child", step.locks.child), ("default", step.locks.default))
    found = [f"{name} {lock}" for name, lock in held if lock]
    return ", ".join([*found, *([step.locks.others] if step.locks.others else [])])


# ---------------------------------------------------------------- asking


def loses_rows(plan: PartitionPlan) -> bool:
    """Whether the plan drops rows that it does not archive."""
    return plan.policy.archive is ArchiveMode.NONE and any(step.kind is StepKind.DROP for step in plan.steps)


def names_to_type(plan: PartitionPlan, profile: ConnectionProfile) -> tuple[str, ...]:
    """Return what an operator types before a plan is applied; nothing: a yes is enough.

    A plan that drops wants the table's name, and in production the profile's too; production wants the table's always.
    """
    is_production = profile.environment is Environment.PRODUCTION
    if plan.danger >= _LOST:
        return tuple(dict.fromkeys((str(plan.table), *((profile.name,) if is_production else ()))))
    return (str(plan.table),) if is_production else ()


def describe_plan(plan: PartitionPlan, profile: ConnectionProfile) -> str:
    """Return the consequence of a plan as a verb phrase: `creates 3 and drops 1 partition of public.audit_logs`."""
    where = profile.name + (" (PRODUCTION)" if profile.environment is Environment.PRODUCTION else "")
    counted = [f"{_VERBS[kind]} {count}" for kind, count in count_steps(plan.steps)]
    done = " and ".join(part for part in (", ".join(counted[:-1]), *counted[-1:]) if part) or "changes none"
    return format_untrusted(f"{done} of the partitions of {plan.table} at {where}{_describe_loss(plan)}")


def _describe_loss(plan: PartitionPlan) -> str:
    dropped = [step for step in plan.steps if step.kind is StepKind.DROP]
    if not dropped or not loses_rows(plan):
        return "; rows are archived and proven before a drop" if dropped else ""
    known = [step.rows_estimate for step in dropped if step.rows_estimate is not None]
    rows = f"about {format_count(sum(known))} rows" if len(known) == len(dropped) else "rows that nobody has counted"
    return f"; {rows} are LOST, for nothing is archived"


_VERBS = {
    StepKind.REPAIR_DETACH: "finishes the detach of",
    StepKind.CREATE: "creates",
    StepKind.DRAIN_DEFAULT: "moves rows from default into",
    StepKind.CREATE_INDEX: "builds an index on",
    StepKind.ATTACH_INDEX: "attaches an index of",
    StepKind.DETACH: "detaches",
    StepKind.EXCHANGE: "takes out",
    StepKind.ARCHIVE: "archives",
    StepKind.DROP: "drops",
}


def count_steps(steps: Iterable[PartitionStep]) -> tuple[tuple[StepKind, int], ...]:
    """Return how many steps of each kind there are, in the order in which they come."""
    counted: dict[StepKind, int] = {}
    for step in steps:
        counted[step.kind] = counted.get(step.kind, 0) + 1
    return tuple(counted.items())


# ---------------------------------------------------------------- afterwards


def judge_result(result: PartitionsResult, refusals: tuple[str, ...] = ()) -> JobState:
    """Return how a run ended: what met a lock, failed after something was done, or was refused in part, is partly done.

    `refusals`: the plan's.
    """
    outcomes = {each.outcome for each in result.results}
    if StepOutcome.FAILED in outcomes and not outcomes & {StepOutcome.DONE, StepOutcome.LOCKED}:
        return JobState.FAILED
    is_partial = bool(refusals) or bool(outcomes & {StepOutcome.FAILED, StepOutcome.LOCKED})
    return JobState.PARTIAL if is_partial else JobState.SUCCEEDED


def describe_done(result: StepResult) -> str:
    """Return what became of a step: `done: create public.audit_logs_y2026m03 …`."""
    told = [result.detail, f"archive {result.archive}" if result.archive else ""]
    tries = f" after {result.tries} tries" if result.tries > 1 else ""
    detail = "; ".join(part for part in told if part)
    return format_untrusted(f"{result.outcome.value}{tries}: {describe_step(result.step)}{_after(detail)}")


def describe_result(result: PartitionsResult) -> str:
    """Return what a run did, in one line."""
    of_each = {outcome: sum(each.outcome is outcome for each in result.results) for outcome in StepOutcome}
    said = ", ".join(f"{count} {outcome.value}" for outcome, count in of_each.items() if count) or "nothing to do"
    bad = next((each for each in result.results if each.outcome in (StepOutcome.FAILED, StepOutcome.LOCKED)), None)
    left = "" if not result.left else f"; {result.left} step{'' if result.left == 1 else 's'} left"
    return format_untrusted(f"{result.table}: {said}{left}{_after(describe_done(bad) if bad else '')}")


def _after(detail: str) -> str:
    return f"; {detail}" if detail else ""


def describe_key(table: PartitionedTable) -> str:
    """Return how a table is partitioned: `range(created_at)`."""
    return format_untrusted(f"{table.strategy.value}({', '.join(table.key_columns) or table.key_text})")
