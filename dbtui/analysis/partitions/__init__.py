"""Judging partitioned tables, and planning what keeps them right. Pure: the clock is a parameter."""

from dbtui.analysis.partitions.assessing import assess_partitions
from dbtui.analysis.partitions.checking import check_policy
from dbtui.analysis.partitions.inferring import complete_policy, infer_policy
from dbtui.analysis.partitions.planning import plan_partitions, steps_to_count
from dbtui.analysis.partitions.policies import parse_interval, parse_retention

__all__ = [
    "assess_partitions",
    "check_policy",
    "complete_policy",
    "infer_policy",
    "parse_interval",
    "parse_retention",
    "plan_partitions",
    "steps_to_count",
]
