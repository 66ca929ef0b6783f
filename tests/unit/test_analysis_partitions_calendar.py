"""Where partitions begin, in any zone, in every year of its clocks; and what keys hold."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import inf
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.partitions.calendar import HOUR, Grid, plain_grid, position_of, step_back, wall_of
from dbtui.analysis.partitions.keys import Axis, open_axis
from dbtui.model.partitions import BoundValue, KeyKind, Limit
from dbtui.model.policies import Interval, IntervalUnit, KeyCodec

ZONES = sorted(zone for zone in available_timezones() if "/" in zone)
UNITS = [unit for unit in IntervalUnit if unit is not IntervalUnit.NUMBER]


def grid(unit: IntervalUnit, zone: str, count: int = 1) -> Grid:
    return plain_grid(Interval(count, unit), ZoneInfo(zone))


def points(unit: IntervalUnit, zone: str, begin: datetime, count: int) -> list[datetime]:
    """The beginnings of so many partitions, in the zone."""
    found, position = [], grid(unit, zone).floor(position_of(begin))
    for _ in range(count):
        found.append(wall_of(position).replace(tzinfo=UTC).astimezone(ZoneInfo(zone)))
        position = grid(unit, zone).following(position)
    return found


def test_months_of_paris_have_743_720_and_744_hours() -> None:
    begins = points(IntervalUnit.MONTH, "Europe/Paris", datetime(2026, 3, 5, tzinfo=UTC), 4)
    assert [each.strftime("%m-%d %H") for each in begins] == ["03-01 00", "04-01 00", "05-01 00", "06-01 00"]
    hours = [(b.astimezone(UTC) - a.astimezone(UTC)) // timedelta(hours=1) for a, b in pairwise(begins)]
    assert hours == [743, 720, 744]


def test_the_day_the_clocks_go_back_has_25_hours_and_hours_step_through_it_in_utc() -> None:
    days = points(IntervalUnit.DAY, "Europe/Paris", datetime(2026, 10, 24, 23, tzinfo=UTC), 2)
    assert days[1].astimezone(UTC) - days[0].astimezone(UTC) == timedelta(hours=25)
    hours = points(IntervalUnit.HOUR, "Europe/Paris", datetime(2026, 10, 24, 23, tzinfo=UTC), 6)
    assert [each.strftime("%H%z") for each in hours] == [
        "01+0200",
        "02+0200",
        "02+0100",
        "03+0100",
        "04+0100",
        "05+0100",
    ]


def test_a_midnight_that_is_left_out_is_the_first_moment_of_its_day() -> None:
    days = points(IntervalUnit.DAY, "America/Sao_Paulo", datetime(2018, 11, 3, 12, tzinfo=UTC), 3)
    assert [each.strftime("%d %H:%M") for each in days] == ["03 00:00", "04 01:00", "05 00:00"]


def test_a_day_that_is_left_out_has_no_partition() -> None:
    days = points(IntervalUnit.DAY, "Pacific/Apia", datetime(2011, 12, 29, 20, tzinfo=UTC), 3)
    assert [each.strftime("%d") for each in days] == ["29", "31", "01"]


def test_a_midnight_that_is_twice_is_the_second_as_postgresql_reads_it() -> None:
    days = points(IntervalUnit.DAY, "America/Havana", datetime(2026, 11, 1, 12, tzinfo=UTC), 1)
    assert days[0].astimezone(UTC) == datetime(2026, 11, 1, 5, tzinfo=UTC)


def test_weeks_begin_on_monday_and_quarters_in_january() -> None:
    assert points(IntervalUnit.WEEK, "UTC", datetime(2027, 1, 2, tzinfo=UTC), 1)[0].date() == date(2026, 12, 28)
    assert points(IntervalUnit.QUARTER, "UTC", datetime(2026, 11, 23, tzinfo=UTC), 2)[1].date() == date(2027, 1, 1)


@pytest.mark.parametrize(
    ("moment", "interval", "expected"),
    [
        (datetime(2026, 3, 31, 12), Interval(1, IntervalUnit.MONTH), datetime(2026, 2, 28, 12)),
        (datetime(2024, 3, 31), Interval(1, IntervalUnit.MONTH), datetime(2024, 2, 29)),
        (datetime(2026, 1, 15), Interval(1, IntervalUnit.QUARTER), datetime(2025, 10, 15)),
        (datetime(2024, 2, 29), Interval(1, IntervalUnit.YEAR), datetime(2023, 2, 28)),
        (datetime(2026, 12, 31), Interval(12, IntervalUnit.MONTH), datetime(2025, 12, 31)),
        (datetime(2026, 3, 1), Interval(2, IntervalUnit.WEEK), datetime(2026, 2, 15)),
        (datetime(2026, 3, 1), Interval(5, IntervalUnit.HOUR), datetime(2026, 2, 28, 19)),
    ],
)
def test_retention_steps_back_on_the_calendar(moment: datetime, interval: Interval, expected: datetime) -> None:
    assert wall_of(step_back(position_of(moment), interval, None)) == expected


def test_a_months_retention_of_paris_ends_at_its_own_clock() -> None:
    """Noon of March is at another hour of UTC than noon of April."""
    noon = position_of(datetime(2026, 4, 10, 10, tzinfo=UTC))
    back = step_back(noon, Interval(1, IntervalUnit.MONTH), ZoneInfo("Europe/Paris"))
    assert wall_of(back) == datetime(2026, 3, 10, 11)


def test_beyond_the_calendar_is_said() -> None:
    with pytest.raises(OverflowError):
        step_back(position_of(datetime(2026, 1, 1)), Interval(9000, IntervalUnit.YEAR), None)
    with pytest.raises(OverflowError):
        plain_grid(Interval(9000, IntervalUnit.YEAR), None).following(position_of(datetime(2026, 1, 1)))


@pytest.mark.parametrize("part", range(4))
def test_days_and_months_are_monotone_through_every_change_of_the_clocks(part: int) -> None:
    """Of 200 zones and more: partitions follow each other, none is empty, and each begins on a day of its own."""
    zones = ZONES[:: len(ZONES) // 200]
    assert len(zones) >= 200
    for name in zones[part::4]:
        zone = ZoneInfo(name)
        _walk(grid(IntervalUnit.DAY, name), zone, datetime(2018, 1, 1), 366)
        _walk(grid(IntervalUnit.MONTH, name), zone, datetime(1977, 1, 1), 12 * 60)


def _walk(walked: Grid, zone: ZoneInfo, begin: datetime, count: int) -> None:
    position = walked.floor(position_of(begin))
    day = wall_of(position).replace(tzinfo=UTC).astimezone(zone).date()
    for _ in range(count):
        upper = walked.following(position)
        assert upper > position
        assert walked.floor(upper - 1) == position, (zone, wall_of(position))
        assert walked.floor(upper) == upper, (zone, wall_of(upper))
        next_day = wall_of(upper).replace(tzinfo=UTC).astimezone(zone).date()
        assert next_day > day, (zone, wall_of(upper))
        position, day = upper, next_day


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(UNITS),
    st.integers(1, 5),
    st.datetimes(datetime(1950, 1, 1), datetime(2060, 1, 1)),
)
def test_every_moment_is_in_one_cell(zone: str, unit: IntervalUnit, count: int, moment: datetime) -> None:
    cells = grid(unit, zone, count)
    position = position_of(moment)
    lower, upper = cells.floor(position), cells.following(position)
    assert lower <= position < upper
    assert cells.is_on(lower)
    assert cells.following(lower) == upper
    assert cells.floor(upper - 1) == lower


# --- keys ------------------------------------------------------------------------------------------------------------

MIDNIGHT = position_of(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "codec", "value"),
    [
        (KeyKind.DATE, KeyCodec.NONE, date(2026, 3, 1)),
        (KeyKind.TIMESTAMP, KeyCodec.NONE, datetime(2026, 3, 1)),
        (KeyKind.TIMESTAMPTZ, KeyCodec.NONE, datetime(2026, 3, 1, tzinfo=UTC)),
        (KeyKind.INTEGER, KeyCodec.EPOCH_SECONDS, 1772323200),
        (KeyKind.INTEGER, KeyCodec.EPOCH_MILLISECONDS, 1772323200000),
        (KeyKind.INTEGER, KeyCodec.EPOCH_MICROSECONDS, 1772323200000000),
        (KeyKind.NUMERIC, KeyCodec.EPOCH_NANOSECONDS, Decimal(1772323200000000000)),
        (KeyKind.UUID, KeyCodec.UUID7, "019ca6b1-dc00-7000-8000-000000000000"),
    ],
)
def test_a_key_of_time_is_read_and_written(kind: KeyKind, codec: KeyCodec, value: BoundValue) -> None:
    axis = open_axis(kind, codec, "UTC")
    assert axis.position(value) == MIDNIGHT
    assert axis.value(MIDNIGHT) == value
    assert axis.moment(MIDNIGHT) == datetime(2026, 3, 1, tzinfo=UTC)


def test_uuids_that_are_bare_of_version_stay_so() -> None:
    bare = "019ca6b1-dc00-0000-0000-000000000000"
    axis = Axis(KeyKind.UUID, KeyCodec.UUID7, ZoneInfo("UTC"), has_bare_uuids=True)
    assert (axis.position(bare), axis.value(MIDNIGHT)) == (MIDNIGHT, bare)
    assert axis.position("019ca6b1-dc00-7abc-8000-000000000000") == MIDNIGHT + 1


def test_ends_that_are_none_are_endless() -> None:
    axis = open_axis(KeyKind.TIMESTAMPTZ, KeyCodec.NONE, "UTC")
    assert [axis.position(each) for each in (Limit.LOWEST, Limit.HIGHEST, "infinity")] == [-inf, inf, inf]
    assert axis.value(inf) is Limit.HIGHEST


@pytest.mark.parametrize("value", [None, "blue", Decimal("1.5"), date(2026, 1, 1)])
def test_what_is_no_value_of_a_key_is_no_position(value: BoundValue) -> None:
    assert open_axis(KeyKind.NUMERIC, KeyCodec.NONE, "UTC").position(value) is None


def test_now_of_a_wall_clock_is_that_of_the_zone() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    naive = open_axis(KeyKind.TIMESTAMP, KeyCodec.NONE, "Europe/Moscow")
    aware = open_axis(KeyKind.TIMESTAMPTZ, KeyCodec.NONE, "Europe/Moscow")
    assert naive.now(noon) - aware.now(noon) == 3 * HOUR


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([codec for codec in KeyCodec if codec is not KeyCodec.NONE]), st.integers(0, 2_000_000))
def test_whole_hours_survive_every_codec(codec: KeyCodec, hours: int) -> None:
    kind = KeyKind.UUID if codec is KeyCodec.UUID7 else KeyKind.INTEGER
    axis = open_axis(kind, codec, "UTC")
    assert axis.position(axis.value(hours * HOUR)) == hours * HOUR
