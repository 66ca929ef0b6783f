"""Plans for partitioned tables: what is made, what is left, what goes, and in which order."""

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from dbtui.analysis.partitions import plan_partitions, steps_to_count
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    Bound,
    DetachedPartition,
    HashBound,
    KeyKind,
    Limit,
    ListBound,
    PartitionIndex,
    PartitionStrategy,
    RangeBound,
    StepKind,
)
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, KeyCodec
from dbtui.model.tables import TableName
from tests.costs import least, quiet_heap
from tests.unit.partition_scenes import (
    DAY,
    HOUR,
    LOGS,
    MONTH,
    NOW,
    Server,
    at,
    days,
    default,
    hashed,
    kinds,
    listed,
    months,
    names,
    numbers,
    partition,
    policy,
    ranges,
    table,
)

YEAR_KEPT = Interval(12, IntervalUnit.MONTH)
TEN = Interval(10, IntervalUnit.NUMBER)


# --- what is made ----------------------------------------------------------------------------------------------------


def test_four_days_are_made_ahead_and_no_fifth() -> None:
    plan = plan_partitions(table(), policy(DAY, premake=4), NOW)
    assert ranges(plan) == [(at(2026, 11, day), at(2026, 11, day + 1)) for day in (23, 24, 25, 26, 27)]
    assert names(plan) == [f"logs_y2026m11d{day}" for day in (23, 24, 25, 26, 27)]
    assert set(kinds(plan)) == {StepKind.CREATE}
    assert [step.danger for step in plan.steps] == [1] * 5


def test_missed_runs_are_caught_up() -> None:
    """Nobody ran it for five days: what was missed is made, once, and what is to be ahead."""
    server = Server(table(days(at(2026, 11, 10), 8)), policy(DAY, premake=2))
    plan = server.plan(NOW)
    assert names(plan) == [f"logs_p202611{day}" for day in (18, 19, 20, 21, 22, 23, 24, 25)]
    server.apply(plan.steps, NOW)
    assert server.plan(NOW).is_converged


def test_an_idle_table_grows_as_time_goes() -> None:
    server = Server(table(days(at(2026, 11, 20), 6)), policy(DAY, premake=2))
    assert server.plan(NOW).is_converged
    later = NOW + timedelta(days=2)
    assert names(server.plan(later)) == ["logs_p20261126", "logs_p20261127"]


def test_a_gap_in_the_middle_is_filled_once() -> None:
    made = months(at(2026, 1), 15)
    server = Server(table([*made[:3], *made[6:]]), policy(premake=2))
    plan = server.plan(NOW)
    assert names(plan) == ["logs_y2026m04", "logs_y2026m05", "logs_y2026m06"]
    assert all("gap" in step.why for step in plan.steps)
    server.apply(plan.steps, NOW)
    assert server.plan(NOW).is_converged


def test_a_gap_of_ids_is_filled() -> None:
    made = numbers(0, 10, 8)
    server = Server(table([*made[:2], *made[4:]], KeyKind.INTEGER, newest_value=65), policy(TEN, premake=1))
    assert ranges(server.plan(NOW)) == [(20, 30), (30, 40)]
    assert names(server.plan(NOW)) == ["logs_p20", "logs_p30"]


def test_ids_that_begin_at_five_go_on_at_five() -> None:
    plan = plan_partitions(table(numbers(5, 10, 3), KeyKind.INTEGER, newest_value=31), policy(TEN, premake=2), NOW)
    assert ranges(plan) == [(35, 45), (45, 55)]


def test_ids_are_made_ahead_of_the_newest_row_and_not_of_the_clock() -> None:
    filled = [replace(each, rows_estimate=10 if number < 2 else 0) for number, each in enumerate(numbers(0, 10, 4))]
    assert plan_partitions(table(filled, KeyKind.INTEGER), policy(TEN, premake=2), NOW).is_converged
    plan = plan_partitions(table(filled, KeyKind.INTEGER), policy(TEN, premake=4), NOW)
    assert ranges(plan) == [(40, 50), (50, 60)]


def test_where_nothing_tells_the_newest_id_that_is_said() -> None:
    plan = plan_partitions(table(numbers(0, 10, 4, rows=None), KeyKind.INTEGER), policy(TEN, premake=1), NOW)
    assert not plan.steps
    assert "ANALYZE" in plan.warnings[0]


@pytest.mark.parametrize(
    ("interval", "first", "count"),
    [
        (HOUR, at(2026, 11, 23, 10), 4),
        (DAY, at(2026, 11, 23), 4),
        (Interval(1, IntervalUnit.WEEK), at(2026, 11, 23), 4),
        (MONTH, at(2026, 11), 4),
        (Interval(1, IntervalUnit.QUARTER), at(2026, 10), 4),
        (Interval(1, IntervalUnit.YEAR), at(2026), 4),
        (Interval(6, IntervalUnit.HOUR), at(2026, 11, 23, 6), 4),
    ],
)
def test_every_interval_begins_where_its_calendar_does(interval: Interval, first: datetime, count: int) -> None:
    plan = plan_partitions(table(), policy(interval, premake=count), NOW)
    made = ranges(plan)
    assert made[0][0] == first
    assert len(made) == count + 1
    assert len(set(names(plan))) == count + 1


def test_months_end_with_the_month() -> None:
    """pg_partman's thirty days after January the 31st are March."""
    plan = plan_partitions(table(), policy(premake=3), at(2027, 1, 31, 23))
    assert [lower for lower, _ in ranges(plan)] == [at(2027, 1), at(2027, 2), at(2027, 3), at(2027, 4)]


def test_months_from_the_fifteenth_go_on_from_the_fifteenth() -> None:
    made = [partition(f"p{month}", at(2026, month, 15), at(2026, month + 1, 15)) for month in (8, 9, 10, 11)]
    assert ranges(plan_partitions(table(made), policy(premake=2), NOW)) == [
        (at(2026, 12, 15), at(2027, 1, 15)),
        (at(2027, 1, 15), at(2027, 2, 15)),
    ]


def test_months_of_moscow_stay_midnights_of_moscow_whatever_the_session() -> None:
    midnights = [datetime(2026, month, day, 21, tzinfo=UTC) for month, day in ((8, 31), (9, 30), (10, 31), (11, 30))]
    made = [partition(f"p{a:%m}", a, b) for a, b in pairwise(midnights)]
    asked = policy(premake=1, time_zone="Europe/Moscow")
    plan = plan_partitions(table(made), asked, NOW)
    assert ranges(plan) == [(midnights[-1], datetime(2026, 12, 31, 21, tzinfo=UTC))]
    refused = plan_partitions(table(made, session_time_zone="Europe/Moscow"), policy(premake=1), NOW)
    assert not refused.steps
    assert 'set time_zone = "Europe/Moscow"' in refused.refusals[0]


def test_wall_clock_keys_step_through_a_change_of_the_clocks() -> None:
    begin = datetime(2026, 10, 24)
    made = [partition("p20261024", begin, begin + timedelta(days=1))]
    plan = plan_partitions(
        table(made, KeyKind.TIMESTAMP), policy(DAY, premake=2, time_zone="Europe/Paris"), at(2026, 10, 24, 22, 30)
    )
    assert ranges(plan)[0] == (datetime(2026, 10, 25), datetime(2026, 10, 26))
    assert len(plan.steps) == 3  # it is the 25th in Paris already


def test_hours_around_a_change_of_the_clocks_have_names_of_their_own() -> None:
    plan = plan_partitions(table(), policy(HOUR, premake=5, time_zone="Europe/Paris"), at(2026, 10, 24, 23))
    assert len(set(names(plan))) == 6
    lowers = [lower for lower, _ in ranges(plan)]
    assert lowers == [at(2026, 10, 24, 23) + timedelta(hours=n) for n in range(6)]


def test_dates_epochs_and_uuids_get_bounds_of_their_own_kind() -> None:
    dates = plan_partitions(table(kind=KeyKind.DATE), policy(premake=1), NOW)
    assert ranges(dates)[0] == (date(2026, 11, 1), date(2026, 12, 1))
    epochs = plan_partitions(
        table(kind=KeyKind.INTEGER), policy(premake=1, codec=KeyCodec.EPOCH_MILLISECONDS), at(2026, 3, 9)
    )
    assert ranges(epochs)[0] == (1772323200000, 1775001600000)
    uuids = plan_partitions(table(kind=KeyKind.UUID), policy(DAY, premake=1), at(2026, 3, 1, 9))
    assert ranges(uuids)[0][0] == "019ca6b1-dc00-7000-8000-000000000000"
    assert plan_partitions(table(kind=KeyKind.UUID), policy(DAY), NOW).policy.codec is KeyCodec.UUID7


def test_the_codec_of_an_epoch_is_told_by_its_bounds() -> None:
    made = [partition("p1", 1772323200, 1772409600), partition("p2", 1772409600, 1772496000)]
    plan = plan_partitions(table(made, KeyKind.INTEGER), policy(DAY, premake=1), at(2026, 3, 2, 5))
    assert plan.policy.codec is KeyCodec.EPOCH_SECONDS
    assert ranges(plan) == [(1772496000, 1772582400)]


def test_a_neighbour_that_ends_elsewhere_is_met_exactly() -> None:
    made = [*months(at(2026, 8), 3), partition("odd", at(2026, 11), at(2026, 11, 20))]
    plan = plan_partitions(table(made), policy(premake=1), NOW)
    assert ranges(plan) == [(at(2026, 11, 20), at(2026, 12, 1)), (at(2026, 12), at(2027, 1))]
    assert names(plan)[0] != "logs_y2026m11"


def test_a_partition_up_to_the_end_of_time_leaves_nothing_to_make() -> None:
    made = [*months(at(2026, 9), 2), partition("rest", at(2026, 11), Limit.HIGHEST)]
    assert plan_partitions(table(made), policy(), NOW).is_converged


def test_what_would_be_due_at_once_is_not_made() -> None:
    made = [months(at(2024, 1), 1)[0], *months(at(2026, 10), 2)]
    plan = plan_partitions(table(made), policy(premake=1, retention=Interval(3, IntervalUnit.MONTH)), NOW)
    assert [lower for lower, _ in ranges(plan)] == [at(2026, 8), at(2026, 9), at(2026, 12)]


def test_a_part_of_a_month_that_would_be_due_at_once_is_not_made() -> None:
    """Retention ends on August the 23rd, and the gap on the 10th."""
    made = [*months(at(2026, 6), 2), partition("odd", at(2026, 8, 10), at(2026, 9)), *months(at(2026, 9), 4)]
    plan = plan_partitions(table(made), policy(premake=1, retention=Interval(3, IntervalUnit.MONTH)), NOW)
    assert ranges(plan) == []


def test_more_partitions_than_anybody_means_are_refused() -> None:
    made = [partition("old", at(1990, 1, 1, 5), at(1990, 1, 1, 6))]
    plan = plan_partitions(table(made), policy(HOUR), NOW)
    assert not plan.steps
    assert "20000 partitions" in plan.refusals[0]


# --- the default partition -------------------------------------------------------------------------------------------


def test_few_rows_in_default_move_and_many_are_refused_with_what_to_do() -> None:
    kept = table([*months(at(2026, 11), 1), default()], default_rows=50_007)
    asked = policy(premake=3)
    counted = steps_to_count(kept, asked, NOW)
    assert [step.kind for step in counted] == [StepKind.CREATE] * 3
    rows: dict[Bound, int] = {
        step.bound: count for step, count in zip(counted, (7, 50_000, 0), strict=True) if step.bound
    }
    plan = plan_partitions(kept, asked, NOW, conflicts=rows)
    assert kinds(plan) == [StepKind.CREATE, StepKind.DRAIN_DEFAULT]
    assert names(plan) == ["logs_y2027m02", "logs_y2026m12"]
    assert plan.steps[1].rows_estimate == 7
    assert "logs_default has 50.0 k rows in the way of public.logs_y2027m01" in plan.refusals[0]
    assert "in batches" in plan.refusals[0]


def test_an_empty_default_is_in_nobodys_way() -> None:
    kept = table([*months(at(2026, 11), 1), default()], default_rows=0)
    assert steps_to_count(kept, policy(), NOW) == ()
    assert set(kinds(plan_partitions(kept, policy(), NOW))) == {StepKind.CREATE}


def test_rows_that_nobody_counted_by_month_are_moved_if_all_of_them_are_few() -> None:
    kept = [*months(at(2026, 11), 1), default()]
    assert set(kinds(plan_partitions(table(kept, default_rows=3), policy(), NOW))) == {StepKind.DRAIN_DEFAULT}
    assert not plan_partitions(table(kept, default_rows=1 << 20), policy(), NOW).steps


# --- what goes -------------------------------------------------------------------------------------------------------


def test_what_is_past_retention_is_detached_then_archived_then_dropped() -> None:
    plan = plan_partitions(table(months(at(2025, 9), 19)), policy(premake=4, retention=YEAR_KEPT), NOW)
    assert [(step.kind, step.partition.name) for step in plan.steps] == [
        (kind, f"logs_y2025m{month}")
        for kind in (StepKind.DETACH, StepKind.ARCHIVE, StepKind.DROP)
        for month in ("09", "10")
    ]
    assert [step.danger for step in plan.steps] == [1, 1, 0, 0, 3, 3]
    assert plan.steps[0].identity
    assert plan.steps[0].bound_text.startswith("FOR VALUES")


def test_the_boundary_of_retention_is_inclusive() -> None:
    made = months(at(2025, 10), 20)
    exactly = at(2026, 11)
    assert names(plan_partitions(table(made), policy(retention=YEAR_KEPT), exactly), StepKind.DROP) == ["logs_y2025m10"]
    just_before = exactly - timedelta(microseconds=1)
    assert not plan_partitions(table(made), policy(retention=YEAR_KEPT), just_before).steps


def test_without_an_archive_a_drop_needs_none() -> None:
    asked = policy(premake=1, retention=YEAR_KEPT, archive=ArchiveMode.NONE)
    plan = plan_partitions(table(months(at(2025, 10), 16)), asked, NOW)
    assert kinds(plan) == [StepKind.DETACH, StepKind.DROP]
    assert "not to be archived" in plan.steps[1].why


def test_grace_lies_between_detaching_and_dropping() -> None:
    asked = policy(premake=1, retention=YEAR_KEPT, grace_seconds=7 * 86400)
    server = Server(table(months(at(2025, 10), 16)), asked)
    plan = server.plan(NOW)
    assert kinds(plan) == [StepKind.DETACH, StepKind.ARCHIVE]
    server.apply(plan.steps, NOW)
    assert server.plan(NOW + timedelta(days=6)).is_converged
    assert kinds(server.plan(NOW + timedelta(days=7))) == [StepKind.DROP]


def test_a_detached_table_that_is_not_understood_or_not_aged_is_never_dropped() -> None:
    def detached(bound: Bound) -> DetachedPartition:
        name = TableName("public", "logs_y2025m10")
        return DetachedPartition(table=name, parent=LOGS, bound_text="?", detached_at=at(2020), bound=bound)

    kept = table(months(at(2025, 11), 16))
    unread = replace(kept, detached=(replace(detached(RangeBound((), ())), table=TableName("public", "x")),))
    young = replace(kept, detached=(detached(RangeBound((at(2026, 1),), (at(2026, 2),))),))
    aged = replace(kept, detached=(detached(RangeBound((at(2025, 10),), (at(2025, 11),))),))
    asked = policy(premake=1, retention=YEAR_KEPT)
    assert not plan_partitions(unread, asked, NOW).steps
    assert "never dropped" in plan_partitions(unread, asked, NOW).warnings[0]
    assert not plan_partitions(young, asked, NOW).steps
    assert "attach it again" in plan_partitions(young, asked, NOW).warnings[0]
    assert kinds(plan_partitions(aged, asked, NOW)) == [StepKind.ARCHIVE, StepKind.DROP]
    assert not plan_partitions(aged, policy(premake=1), NOW).steps


def test_the_place_of_a_table_that_was_detached_by_hand_is_kept_for_it() -> None:
    made = months(at(2026, 1), 14)
    gone = made.pop(3)
    aside = DetachedPartition(
        table=gone.table, parent=LOGS, bound_text=gone.bound_text, detached_at=NOW, bound=gone.bound
    )
    plan = plan_partitions(table(made, detached=(aside,)), policy(premake=1), NOW)
    assert not plan.steps
    assert "public.logs_y2026m04" in " ".join(plan.warnings)


def test_an_interrupted_detach_is_repaired_first() -> None:
    made = months(at(2025, 10), 16)
    made[0] = replace(made[0], is_detach_pending=True)
    plan = plan_partitions(table(made), policy(premake=3, retention=YEAR_KEPT), NOW)
    assert kinds(plan) == [StepKind.REPAIR_DETACH, StepKind.CREATE, StepKind.ARCHIVE, StepKind.DROP]
    kept = plan_partitions(table(made), policy(premake=2), NOW)
    assert kinds(kept) == [StepKind.REPAIR_DETACH]
    assert "attach it again" in kept.warnings[0]


def test_foreign_keys_keep_partitions_and_not_what_is_made_ahead() -> None:
    kept = table(months(at(2025, 9), 15), referenced_by=(TableName("public", "events"),))
    plan = plan_partitions(kept, policy(premake=1, retention=YEAR_KEPT), NOW)
    assert names(plan) == ["logs_y2026m12"]
    assert "foreign keys of public.events" in plan.refusals[0]
    assert "drop those keys" in plan.refusals[0]


def test_the_last_partition_stays_though_it_is_past_retention() -> None:
    kept = table([*months(at(2020), 1), default()], default_rows=1 << 20)
    plan = plan_partitions(kept, policy(premake=1, retention=YEAR_KEPT), NOW)
    assert not plan.steps
    assert plan.refusals


def test_ids_are_kept_by_their_distance_from_the_newest() -> None:
    asked = policy(TEN, premake=1, retention=Interval(30, IntervalUnit.NUMBER))
    plan = plan_partitions(table(numbers(0, 10, 8), KeyKind.INTEGER, newest_value=62), asked, NOW)
    assert names(plan, StepKind.DROP) == ["logs_p0", "logs_p10", "logs_p20"]


def test_a_foreign_table_is_left_alone() -> None:
    made = months(at(2025, 10), 16)
    made[0] = replace(made[0], is_foreign=True)
    plan = plan_partitions(table(made), policy(premake=1, retention=YEAR_KEPT), NOW)
    assert not plan.steps
    assert "foreign table" in plan.warnings[0]


# --- lists, hashes, indexes ------------------------------------------------------------------------------------------


def test_every_value_gets_a_partition() -> None:
    kept = table(
        [listed("logs_acme", "acme"), default()], KeyKind.TEXT, strategy=PartitionStrategy.LIST, default_rows=0
    )
    asked = policy(None, values=("acme", "Zeta & Söhne", "beta", "beta"))
    server = Server(kept, asked)
    plan = server.plan(NOW)
    assert names(plan) == ["logs_zeta_s_hne", "logs_beta"]
    assert plan.steps[0].bound == ListBound(("Zeta & Söhne",))
    server.apply(plan.steps, NOW)
    assert server.plan(NOW).is_converged
    ids = table([listed("one", 1)], KeyKind.INTEGER, strategy=PartitionStrategy.LIST)
    assert plan_partitions(ids, policy(None, values=("1", "2")), NOW).steps[0].bound == ListBound((2,))
    assert "is no integer" in plan_partitions(ids, policy(None, values=("x",)), NOW).refusals[0]


def test_a_hash_is_completed() -> None:
    kept = table([hashed(4, 0), hashed(4, 3), hashed(8, 1)], KeyKind.INTEGER, strategy=PartitionStrategy.HASH)
    plan = plan_partitions(kept, policy(None), NOW)
    assert [step.bound for step in plan.steps] == [HashBound(8, 2), HashBound(8, 5), HashBound(8, 6)]
    new = plan_partitions(replace(kept, partitions=()), policy(None, modulus=3), NOW)
    assert names(new) == ["logs_h0", "logs_h1", "logs_h2"]
    assert "moves every row" in plan_partitions(kept, policy(None, modulus=16), NOW).refusals[0]


def index(name: str, parent: str = "", valid: bool = True, column: str = "created_at") -> PartitionIndex:
    return PartitionIndex(
        name=name, definition=f"CREATE INDEX {name} ON t USING btree ({column})", columns=(column,), parent=parent,
        is_valid=valid,
    )  # fmt: skip


def test_missing_indexes_are_built_or_attached_one_partition_after_the_other() -> None:
    made = months(at(2026, 10), 7)
    parent = index("logs_created_at_idx", valid=False)
    made[0] = replace(made[0], indexes=(index("a", parent.name),))
    made[1] = replace(made[1], indexes=(index("b"),))
    made[2] = replace(made[2], indexes=(index("c", valid=False),))
    plan = plan_partitions(table(made[:6], indexes=(parent,), are_indexes_read=True), policy(premake=4), NOW)
    done = [(step.kind, step.partition.name, step.index.name if step.index else "") for step in plan.steps][:5]
    assert done == [
        (StepKind.ATTACH_INDEX, "logs_y2026m11", "b"),
        (StepKind.CREATE_INDEX, "logs_y2026m12", "c"),
        (StepKind.ATTACH_INDEX, "logs_y2026m12", "c"),
        (StepKind.CREATE_INDEX, "logs_y2027m01", "logs_y2027m01_created_at_idx"),
        (StepKind.ATTACH_INDEX, "logs_y2027m01", "logs_y2027m01_created_at_idx"),
    ]
    again = next(step for step in plan.steps if step.kind is StepKind.CREATE_INDEX)
    assert again.index is not None
    assert not again.index.is_valid
    without = policy(premake=4, ensure_indexes=False)
    assert not plan_partitions(table(made[:6], indexes=(parent,), are_indexes_read=True), without, NOW).steps


# --- MySQL -----------------------------------------------------------------------------------------------------------


def mysql(made: list[tuple[str, object]], **more: object) -> Server:
    parts = [partition(name, Limit.LOWEST, upper) for name, upper in made]  # type: ignore[arg-type]
    kept = table(parts, KeyKind.TIMESTAMP, EngineName.MYSQL)
    return Server(kept, policy(**{"premake": 1, **more}))  # type: ignore[arg-type]


def naive(year: int, month: int) -> datetime:
    return datetime(year, month, 1)


def test_an_empty_tail_is_split_from_below() -> None:
    server = mysql([("p202610", naive(2026, 11)), ("pmax", Limit.HIGHEST)])
    plan = server.plan(NOW)
    assert ranges(plan) == [(naive(2026, 11), naive(2026, 12)), (naive(2026, 12), naive(2027, 1))]
    assert names(plan) == ["p202611", "p202612"]
    server.apply(plan.steps, NOW)
    assert server.plan(NOW).is_converged


def test_a_tail_with_rows_is_split_while_they_are_few() -> None:
    server = mysql([("p202610", naive(2026, 11)), ("pmax", Limit.HIGHEST)])
    few = replace(server.table, default_rows=100)
    assert kinds(plan_partitions(few, server.policy, NOW)) == [StepKind.DRAIN_DEFAULT] * 2
    many = plan_partitions(replace(server.table, default_rows=1 << 20), server.policy, NOW)
    assert not many.steps
    assert len(many.refusals) == 1


def test_without_a_tail_partitions_are_added_behind_the_last() -> None:
    server = mysql([("p202608", naive(2026, 9)), ("p202609", naive(2026, 10))])
    assert ranges(server.plan(NOW))[0] == (naive(2026, 10), naive(2026, 11))


def test_rows_are_exchanged_into_a_table_archived_and_dropped() -> None:
    made: list[tuple[str, object]] = [
        ("p202509", naive(2025, 10)),
        *((f"p{each:%Y%m}", end) for each, end in pairwise([naive(2025, 10), naive(2025, 11), naive(2025, 12)])),
        ("pmax", Limit.HIGHEST),
    ]
    server = mysql(made, retention=YEAR_KEPT)
    plan = server.plan(at(2026, 10, 20))
    gone = [(step.kind, step.partition.name) for step in plan.steps if step.kind is not StepKind.CREATE]
    assert gone == [
        (StepKind.EXCHANGE, "p202509"), (StepKind.ARCHIVE, "logs_p202509"), (StepKind.DROP, "logs_p202509"),
    ]  # fmt: skip
    exchange = next(step for step in plan.steps if step.kind is StepKind.EXCHANGE)
    assert exchange.into == TableName("public", "logs_p202509")
    lost = replace(server.policy, archive=ArchiveMode.NONE)
    dropped = plan_partitions(server.table, lost, at(2026, 10, 20))
    assert names(dropped, StepKind.DROP) == ["p202509"]
    assert StepKind.EXCHANGE not in kinds(dropped)


# --- many ------------------------------------------------------------------------------------------------------------


def test_ten_thousand_partitions_are_planned_in_a_second() -> None:
    kept = table(days(at(1999, 7, 20), 10_000))
    asked = policy(DAY, premake=30, retention=Interval(20, IntervalUnit.YEAR))

    def seconds() -> float:
        began = time.process_time()
        assert len(plan_partitions(kept, asked, NOW).steps) > 1000
        return time.process_time() - began

    with quiet_heap():
        assert least(seconds, 1) <= 1
