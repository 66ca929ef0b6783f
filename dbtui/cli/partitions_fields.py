"""Partitions as fields of JSON."""

from typing import Any

from dbtui.analysis.partition_words import describe_policy, format_bound, format_value
from dbtui.model.partitions import (
    Bound,
    DefaultBound,
    HashBound,
    ListBound,
    Partition,
    PartitionAssessment,
    PartitionedTable,
    PartitionsResult,
    PartitionStep,
    RangeBound,
)
from dbtui.routines.partitions import PlannedTable


def bound_fields(bound: Bound | None, text: str = "") -> dict[str, Any] | None:
    """Return a bound with its kind; values as text, so that none loses digits."""
    if bound is None:
        return None
    fields: dict[str, Any] = {"text": format_bound(bound, text)}
    if isinstance(bound, RangeBound):
        return {"kind": "range", "lower": [*map(format_value, bound.lower)], "upper": [*map(format_value, bound.upper)],
                **fields}  # fmt: skip
    if isinstance(bound, ListBound):
        return {"kind": "list", "values": [None if each is None else format_value(each) for each in bound.values],
                **fields}  # fmt: skip
    if isinstance(bound, HashBound):
        return {"kind": "hash", "modulus": bound.modulus, "remainder": bound.remainder, **fields}
    return {"kind": "default" if isinstance(bound, DefaultBound) else "unread", **fields}


def _partition_fields(partition: Partition) -> dict[str, Any]:
    return {
        "table": partition.table,
        "bound": bound_fields(partition.bound, partition.bound_text),
        "bound_text": partition.bound_text,
        "rows_estimate": partition.rows_estimate,
        "bytes_estimate": partition.bytes_estimate,
        "bytes_exact": partition.bytes_exact,
        "is_detach_pending": partition.is_detach_pending,
        "is_foreign": partition.is_foreign,
        "indexes": partition.indexes,
        "partitions": [_partition_fields(each) for each in partition.partitions],
    }


def table_fields(table: PartitionedTable, assessment: PartitionAssessment) -> dict[str, Any]:
    """Return a table and its judgement."""
    names = ("table", "strategy", "key_columns", "key_kinds", "key_text", "indexes", "owner", "is_owner", "is_replica",
             "is_pooled", "managed_by", "management", "referenced_by", "references", "default_rows", "detached",
             "gaps")  # fmt: skip
    return {
        **{name: getattr(table, name) for name in names},
        "partitions": [_partition_fields(each) for each in table.partitions],
        "assessment": {
            "level": assessment.level,
            "findings": assessment.findings,
            "coverage": assessment.coverage,
            "headroom_seconds": assessment.headroom_seconds,
            "ends_at": assessment.ends_at,
            "current": assessment.current,
            "due": assessment.due,
            "policy": assessment.policy,
        },
    }


def step_fields(step: PartitionStep) -> dict[str, Any]:
    """Return a step of a plan."""
    names = ("kind", "partition", "why", "danger", "sql", "locks", "in_transaction", "concurrently", "rows_estimate",
             "bytes_estimate", "identity", "index", "into")  # fmt: skip
    return {**{name: getattr(step, name) for name in names}, "bound": bound_fields(step.bound, step.bound_text)}


def plan_fields(planned: PlannedTable) -> dict[str, Any]:
    """Return a plan, with the policy that it was made by."""
    plan = planned.plan
    return {
        "table": plan.table,
        "taken_at": plan.taken_at,
        "policy": plan.policy,
        "policy_text": describe_policy(plan.policy),
        "is_converged": plan.is_converged,
        "danger": plan.danger,
        "steps": [step_fields(each) for each in plan.steps],
        "warnings": plan.warnings,
        "refusals": plan.refusals,
    }


def result_fields(target: str, done: PartitionsResult) -> dict[str, Any]:
    """Return what a run did."""
    names = ("outcome", "seconds", "tries", "detail", "archive")
    steps = [{**{name: getattr(each, name) for name in names}, "step": step_fields(each.step)} for each in done.results]
    return {"target": target, "table": done.table, "results": steps, "left": done.left}
