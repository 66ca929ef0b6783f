"""Plans of tables that an earlier plan was stopped in, and what never becomes whole by itself."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from dbtui.analysis.partitions import assess_partitions, plan_partitions, steps_to_count
from dbtui.model.connections import EngineName
from dbtui.model.partitions import KeyKind, Limit, PartitionIndex, PartitionTrouble, StepKind
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, KeyCodec
from dbtui.model.tables import TableName
from tests.unit.partition_scenes import (
    DAY,
    MONTH,
    NOW,
    Server,
    at,
    days,
    default,
    kinds,
    numbers,
    partition,
    policy,
    ranges,
    table,
)

WEEK = Interval(1, IntervalUnit.WEEK)
INDEX = "CREATE INDEX i ON t USING btree (created_at)"


def test_a_plan_stopped_after_the_rest_of_a_week_goes_on_with_whole_weeks() -> None:
    ends = [datetime(2026, 11, day) for day in (9, 16, 26)]  # two weeks, and one that somebody made longer
    made = [partition(f"p{end:%m%d}", Limit.LOWEST, end) for end in ends]
    asked = policy(WEEK, premake=1, retention=Interval(1, IntervalUnit.HOUR), archive=ArchiveMode.NONE)
    server = Server(table(made, KeyKind.TIMESTAMP, EngineName.MYSQL), asked)
    plan = server.plan(NOW)
    assert ranges(plan)[0] == (datetime(2026, 11, 26), datetime(2026, 11, 30))
    server.apply(plan.steps[:1], NOW)
    server.apply([step for step in plan.steps if step.kind is StepKind.DROP], NOW)
    again = server.plan(NOW)
    assert again.refusals == ()
    assert ranges(again)[0] == (datetime(2026, 11, 30), datetime(2026, 12, 7))
    server.apply(again.steps, NOW)
    assert server.plan(NOW).is_converged


def test_what_leaves_is_detached_before_the_last_part_of_an_index_is_attached() -> None:
    """PostgreSQL looks whether an index is whole when a part is attached, and what leaves has none."""
    parent = PartitionIndex(name="i", definition=INDEX, columns=("created_at",), is_valid=False)
    kept = table(days(at(2026, 11, 1), 30), indexes=(parent,), are_indexes_read=True)
    plan = plan_partitions(kept, policy(DAY, premake=4, retention=Interval(10, IntervalUnit.DAY)), NOW)
    order = kinds(plan)
    assert {StepKind.DETACH, StepKind.ATTACH_INDEX} <= set(order)
    last_detach = max(number for number, kind in enumerate(order) if kind is StepKind.DETACH)
    assert order.index(StepKind.ATTACH_INDEX) > last_detach


def test_an_index_that_nothing_can_make_valid_is_told_with_what_to_do() -> None:
    parent = PartitionIndex(name="i", definition=INDEX, columns=("created_at",), is_valid=False)
    part = PartitionIndex(name="p", definition="", columns=("created_at",), parent="i")
    made = [replace(each, indexes=(part,)) for each in days(at(2026, 11, 1), 30)]
    stuck = table(made, indexes=(parent,), are_indexes_read=True)
    plan = plan_partitions(stuck, policy(DAY, premake=4), NOW)
    assert not plan.steps
    assert [warning for warning in plan.warnings if "although every partition has its part" in warning]
    findings = assess_partitions(stuck, policy(DAY, premake=4), NOW).findings
    assert [
        each
        for each in findings
        if each.kind is PartitionTrouble.INVALID_INDEX and "then drop this one" in each.sentence
    ]
    missing = replace(stuck, partitions=(replace(made[0], indexes=()), *made[1:]))
    assert not [each for each in plan_partitions(missing, policy(DAY, premake=4), NOW).warnings if "although" in each]


@pytest.mark.parametrize(
    ("codec", "interval", "first", "width", "count", "newest", "end"),
    [
        (KeyCodec.NONE, Interval(10_000, IntervalUnit.NUMBER), 0, 10_000, 3, 25_000, [(30_000, Limit.HIGHEST)]),
        (KeyCodec.NONE, Interval(10_000, IntervalUnit.NUMBER), -3, 10_000, 3, 25_000, [(29_997, Limit.HIGHEST)]),
    ],
    ids=["within", "shifted"],
)
def test_the_last_partition_of_a_key_ends_where_numbers_do(
    codec: KeyCodec, interval: Interval, first: int, width: int, count: int, newest: int, end: list[tuple[int, Limit]]
) -> None:
    small = table(numbers(first, width, count), KeyKind.INTEGER, newest_value=newest, key_most=(1 << 15) - 1)
    server = Server(small, policy(interval, premake=4, codec=codec))
    plan = server.plan(NOW)
    assert ranges(plan) == end
    assert "nothing can be made after that" in " ".join(plan.warnings)
    server.apply(plan.steps, NOW)
    assert server.plan(NOW).is_converged


def test_seconds_since_1970_end_with_the_key() -> None:
    months = [int(datetime(2037, month, 1, tzinfo=UTC).timestamp()) for month in (10, 11, 12)]
    made = [partition(f"p{lower}", lower, upper) for lower, upper in pairwise(months)]
    server = Server(table(made, KeyKind.INTEGER, key_most=(1 << 31) - 1), policy(MONTH, premake=4))
    plan = server.plan(at(2037, 11, 5))
    assert [upper for _, upper in ranges(plan)] == [int(at(2038, 1, 1).timestamp()), Limit.HIGHEST]
    server.apply(plan.steps, at(2037, 11, 5))
    assert server.plan(at(2037, 11, 5)).is_converged


def test_rows_that_foreign_keys_point_at_are_not_planned_to_move() -> None:
    asked = policy(DAY, premake=2)
    kept = table((*days(at(2026, 11, 1), 23), default()), default_rows=7, referenced_by=(TableName("public", "items"),))
    counted = {step.bound: 0 for step in steps_to_count(kept, asked, NOW) if step.bound is not None}
    first = next(iter(counted))
    plan = plan_partitions(kept, asked, NOW, conflicts={**counted, first: 7})
    assert set(kinds(plan)) == {StepKind.CREATE}
    assert first not in [step.bound for step in plan.steps]
    assert "foreign keys of public.items point at public.logs" in " ".join(plan.refusals)
