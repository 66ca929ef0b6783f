"""What is typed, what a table's own partitions tell, and what is refused with a sentence that says what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.analysis.partitions import (
    check_policy,
    complete_policy,
    infer_policy,
    parse_interval,
    parse_retention,
    plan_partitions,
)
from dbtui.analysis.partitions.calendar import begin_of
from dbtui.analysis.partitions.keys import open_axis
from dbtui.errors import UsageError
from dbtui.model.connections import EngineName
from dbtui.model.partitions import KeyKind, Limit, Partition, PartitionedTable, PartitionStrategy, UnreadBound
from dbtui.model.policies import Interval, IntervalUnit, KeyCodec, PartitionPolicy
from tests.unit.partition_scenes import (
    DAY,
    HOUR,
    MONTH,
    NOW,
    at,
    days,
    default,
    hashed,
    listed,
    months,
    numbers,
    partition,
    policy,
    table,
)


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1 month", MONTH),
        ("month", MONTH),
        ("monthly", MONTH),
        ("1 mon", MONTH),
        (" 3  Months ", Interval(3, IntervalUnit.MONTH)),
        ("daily", DAY),
        ("1d", DAY),
        ("6 hours", Interval(6, IntervalUnit.HOUR)),
        ("hourly", HOUR),
        ("weekly", Interval(1, IntervalUnit.WEEK)),
        ("quarterly", Interval(1, IntervalUnit.QUARTER)),
        ("2 years", Interval(2, IntervalUnit.YEAR)),
        ("1_000_000", Interval(1_000_000, IntervalUnit.NUMBER)),
        ("10", Interval(10, IntervalUnit.NUMBER)),
    ],
)
def test_intervals_are_read(text: str, interval: Interval) -> None:
    assert parse_interval(text) == interval


@pytest.mark.parametrize(
    "text", ["", "  ", "30 minutes", "-1 day", "0 days", "1.5 days", "soon", "1 day 2 hours", "9" * 60, "²"]
)
def test_what_is_no_interval_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_interval(text)
    assert refused.value.hint


@given(st.text(max_size=30))
def test_any_text_is_an_interval_or_a_usage_error(text: str) -> None:
    try:
        assert parse_interval(text).count >= 1
    except UsageError as error:
        assert error.message


@given(st.builds(Interval, st.integers(1, 100_000), st.sampled_from(IntervalUnit)))
def test_an_interval_is_read_as_it_is_written(interval: Interval) -> None:
    assert parse_interval(str(interval)) == interval


def test_retention_may_be_forever() -> None:
    assert parse_retention("forever") is None
    assert parse_retention("none") is None
    assert parse_retention("12 months") == Interval(12, IntervalUnit.MONTH)


# --- from what is there ----------------------------------------------------------------------------------------------


def zoned(zone: str, begins: list[datetime], kind: KeyKind = KeyKind.TIMESTAMPTZ) -> list[Partition]:
    """Partitions between midnights of a zone."""
    axis = open_axis(kind, KeyCodec.NONE, "UTC")
    points = [axis.value(begin_of(each, ZoneInfo(zone))) for each in begins]
    return [partition(f"p{number}", a, b) for number, (a, b) in enumerate(pairwise(points))]


MIDNIGHTS = [datetime(2026, month, 1) for month in range(1, 13)]


@pytest.mark.parametrize(
    ("made", "interval"),
    [
        (months(at(2026), 5), MONTH),
        (days(at(2026), 5), DAY),
        ([partition("w", at(2026, 11, 2), at(2026, 11, 9))], Interval(1, IntervalUnit.WEEK)),
        ([partition("q", at(2026, 4), at(2026, 7))], Interval(1, IntervalUnit.QUARTER)),
        ([partition("y", at(2026), at(2027))], Interval(1, IntervalUnit.YEAR)),
        ([partition("h", at(2026, 1, 1, 6), at(2026, 1, 1, 12))], Interval(6, IntervalUnit.HOUR)),
        ([partition("h", at(2026, 1, 1, 23), at(2026, 1, 2))], HOUR),
    ],
)
def test_the_interval_is_told_by_the_bounds(made: list[Partition], interval: Interval) -> None:
    found = infer_policy(table(made))
    assert found is not None
    assert (found.interval, found.time_zone, found.retention) == (interval, "UTC", None)
    assert not check_policy(table(made), found)


@pytest.mark.parametrize(
    ("zone", "session", "expected"),
    [
        ("Europe/Moscow", "Europe/Moscow", "Europe/Moscow"),
        ("Europe/Moscow", "UTC", "Etc/GMT-3"),
        ("Europe/Paris", "UTC", "Europe/Berlin"),  # which has the same midnights
        ("America/New_York", "Nowhere/Land", "America/New_York"),
        ("Australia/Lord_Howe", "UTC", "Australia/LHI"),  # and so has this one
    ],
)
def test_the_zone_is_one_that_has_these_midnights(zone: str, session: str, expected: str) -> None:
    made = table(zoned(zone, MIDNIGHTS), session_time_zone=session)
    found = infer_policy(made)
    assert found is not None
    assert (found.interval, found.time_zone) == (MONTH, expected)
    assert not check_policy(made, found)


def test_numbers_lists_and_hashes_tell_theirs() -> None:
    ids = infer_policy(table(numbers(5, 10, 4), KeyKind.INTEGER))
    assert ids is not None
    assert ids.interval == Interval(10, IntervalUnit.NUMBER)
    values = infer_policy(
        table([listed("a", "acme"), listed("b", "zeta", None)], KeyKind.TEXT, strategy=PartitionStrategy.LIST)
    )
    assert values is not None
    assert values.values == ("acme", "zeta")
    modulus = infer_policy(table([hashed(4, 0), hashed(8, 1)], KeyKind.TEXT, strategy=PartitionStrategy.HASH))
    assert modulus is not None
    assert modulus.modulus == 8


@pytest.mark.parametrize(
    ("scale", "codec"),
    [
        (1, KeyCodec.EPOCH_SECONDS),
        (10**3, KeyCodec.EPOCH_MILLISECONDS),
        (10**6, KeyCodec.EPOCH_MICROSECONDS),
        (10**9, KeyCodec.EPOCH_NANOSECONDS),
    ],
)
def test_the_codec_is_told_by_the_size_of_the_bounds(scale: int, codec: KeyCodec) -> None:
    week = 7 * 86400
    monday = 1767571200
    found = infer_policy(table([partition("p", monday * scale, (monday + week) * scale)], KeyKind.INTEGER))
    assert found is not None
    assert (found.codec, found.interval) == (codec, Interval(1, IntervalUnit.WEEK))


def test_ids_are_not_taken_for_times() -> None:
    found = infer_policy(table(numbers(1_000_000_000, 10_000_000, 4), KeyKind.INTEGER))
    assert found is not None
    assert found.codec is KeyCodec.NONE


def test_nothing_is_told_by_nothing() -> None:
    assert infer_policy(table()) is None
    assert infer_policy(table([default()])) is None
    assert infer_policy(table([partition("p", "a", "b")], KeyKind.TEXT)) is None
    assert infer_policy(table([partition("p", Limit.LOWEST, at(2026))])) is None


def test_an_interval_left_out_is_that_of_the_partitions() -> None:
    assert complete_policy(table(months(at(2026), 4)), policy(None)).interval == MONTH
    assert plan_partitions(table(months(at(2026, 10), 2)), policy(None, premake=1), NOW).steps


# --- refused ---------------------------------------------------------------------------------------------------------


def _two_columns(kept: PartitionedTable) -> PartitionedTable:
    return replace(kept, key_columns=("a", "b"), key_kinds=(KeyKind.INTEGER, KeyKind.INTEGER))


MADE = months(at(2026, 9), 4)
UNREAD = replace(MADE[0], bound=UnreadBound())
NESTED = replace(MADE[0], strategy=PartitionStrategy.HASH)


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (table(MADE, managed_by="pg_partman"), "is kept by pg_partman: it is shown here, and changed there"),
        (table(MADE, is_owner=False, owner="erp"), "log in as erp"),
        (table(MADE, is_replica=True), "plan for public.logs on its primary"),
        (table(MADE, is_pooled=True), "connect to the server itself"),
        (table(MADE, server_version_number=120022), "from 13 on"),
        (table(engine=EngineName.SQLITE), "SQLite has no partitions"),
        (_two_columns(table(MADE)), "2 columns"),
        (table(MADE, KeyKind.OTHER, key_text="RANGE (lower(x))"), "RANGE (lower(x)), has no order"),
        (table([UNREAD, *MADE[1:]]), "were not understood"),
        (table([NESTED, *MADE[1:]]), "is itself partitioned by hash"),
        (table([*MADE, partition("twice", at(2026, 9, 5), at(2026, 9, 6))]), "overlap: detach one of them"),
    ],
)
def test_a_table_that_is_not_ours_to_change_is_refused(kept: PartitionedTable, sentence: str) -> None:
    plan = plan_partitions(kept, policy(), NOW)
    assert not plan.steps
    assert sentence in plan.refusals[0]


IDS = table(numbers(0, 10, 3), KeyKind.INTEGER)
TEN = Interval(10, IntervalUnit.NUMBER)


@pytest.mark.parametrize(
    ("kept", "asked", "sentence"),
    [
        (table(MADE), policy(DAY), "says 1 day, and no partition is that long: public.logs_y2026m12 has 1 month"),
        (table(MADE), policy(DAY), 'set the interval to "1 month", or make one of 1 day by hand'),
        (table(MADE), policy(TEN), "the key holds time, and an interval of 10 is a number"),
        (table(MADE), policy(retention=TEN), "the interval is 1 month and the retention 10"),
        (table(MADE), policy(premake=0), "use 1 or more"),
        (table(MADE), policy(time_zone="Mars/Olympus"), "is no time zone"),
        (table(MADE), policy(time_zone="Europe/Moscow"), 'no midnight in Europe/Moscow: set time_zone = "UTC"'),
        (table(MADE), policy(codec=KeyCodec.EPOCH_SECONDS), "needs no codec"),
        (table(), policy(None), "give an interval"),
        (table(kind=KeyKind.DATE), policy(HOUR), "which has no hours"),
        (IDS, policy(MONTH), "say how it holds time by a codec"),
        (IDS, policy(Interval(7, IntervalUnit.NUMBER)), 'logs_p20 has 10; set the interval to "10"'),
        (table(numbers(10**12, 10**6, 2), KeyKind.INTEGER), policy(codec=KeyCodec.EPOCH_SECONDS), "use another codec"),
        (IDS, policy(codec=KeyCodec.UUID7), "and no uuid"),
        (table(kind=KeyKind.UUID), policy(codec=KeyCodec.EPOCH_SECONDS), "its codec is uuid7"),
        (table(MADE), policy(retention=Interval(9000, IntervalUnit.YEAR)), "the calendar of public.logs ends"),
        (table(strategy=PartitionStrategy.LIST), policy(None, retention=MONTH), "have no age: leave retention out"),
        (table([partition("p", 1, 5)]), policy(), "are no values of a key that is timestamptz"),
    ],
)  # fmt: skip
def test_a_policy_that_disagrees_is_refused(kept: PartitionedTable, asked: PartitionPolicy, sentence: str) -> None:
    plan = plan_partitions(kept, asked, NOW)
    assert not plan.steps
    assert sentence in " ".join(plan.refusals)


def test_an_interval_that_somebody_began_by_hand_is_continued() -> None:
    made = [*MADE, partition("d1", at(2027, 1, 1), at(2027, 1, 2))]
    assert not check_policy(table(made), policy(DAY))


def test_the_midnight_of_the_newest_decides_about_the_zone() -> None:
    """Years of UTC, then one that somebody made in Moscow's time: it is not met half."""
    late = datetime(2027, 1, 31, 21, tzinfo=UTC)
    made = [*MADE, partition("moscow", at(2027), late)]
    assert "21:00 UTC" in check_policy(table(made), policy())[0]


def test_calendars_that_end_are_refused_when_planned() -> None:
    asked = policy(Interval(1000, IntervalUnit.YEAR), premake=9)
    assert "use less" in plan_partitions(table(), asked, NOW).refusals[0]
    assert plan_partitions(table(), policy(), datetime(9999, 12, 31, tzinfo=UTC) - timedelta(days=1)).refusals


def test_refusals_are_safe_to_show() -> None:
    evil = replace(MADE[0], table=replace(MADE[0].table, name="x\x1b[31m\u202e"), bound=UnreadBound())
    assert "\x1b" not in check_policy(table([evil]), policy())[0]
