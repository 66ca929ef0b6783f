"""What new partitions are called."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.analysis.partitions import plan_partitions
from dbtui.analysis.partitions.naming import Namer, fit_name, is_name_allowed
from dbtui.model.connections import EngineName
from dbtui.model.partitions import KeyKind, Partition, PartitionedTable
from dbtui.model.policies import Interval, IntervalUnit
from dbtui.model.tables import TableName
from tests.unit.partition_scenes import DAY, HOUR, MONTH, NOW, at, months, names, partition, policy, table

TEN = Interval(10, IntervalUnit.NUMBER)


def next_name(made: list[Partition], interval: Interval = MONTH, **more: object) -> str:
    return names(plan_partitions(table(made, **more), policy(interval, premake=1), NOW))[-1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("november", "december"),
    [
        ("logs_y2026m11", "logs_y2026m12"),
        ("logs_p2026_11", "logs_p2026_12"),
        ("logs_p20261101", "logs_p20261201"),
        ("logs_p2026_11_01", "logs_p2026_12_01"),
        ("logs_2026-11", "logs_2026-12"),
        ("logs_202611", "logs_202612"),
        ("Logs Of 2026_11 (Shop)", "Logs Of 2026_12 (Shop)"),
        ('we"ird_202611', 'we"ird_202612'),
        ("events2_202611", "events2_202612"),
        ("p1", "logs_y2026m12"),  # which tells nothing
        ("logs_2026", "logs_y2026m12"),  # nor does this one, of months
    ],
)
def test_the_style_of_the_newest_is_continued(november: str, december: str) -> None:
    assert next_name([partition(november, at(2026, 11), at(2026, 12))]) == december


@pytest.mark.parametrize(
    ("made", "interval", "expected"),
    [
        (
            partition("logs_y2026w48", at(2026, 11, 23), at(2026, 11, 30)),
            Interval(1, IntervalUnit.WEEK),
            "logs_y2026w49",
        ),
        (partition("logs_2026q4", at(2026, 10), at(2027, 1)), Interval(1, IntervalUnit.QUARTER), "logs_2027q1"),
        (partition("logs_p2026", at(2026), at(2027)), Interval(1, IntervalUnit.YEAR), "logs_p2027"),
        (partition("logs_20261123", at(2026, 11, 23), at(2026, 11, 24)), DAY, "logs_20261124"),
        (partition("logs_p20261123_100000", at(2026, 11, 23, 10), at(2026, 11, 23, 11)), HOUR, "logs_p20261123_110000"),
    ],
)
def test_every_interval_has_styles(made: Partition, interval: Interval, expected: str) -> None:
    assert next_name([made], interval) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("logs_p20", "logs_p30"),
        ("logs_0020", "logs_0030"),
        ("logs_2", "logs_3"),
        ("logs_20_x", "logs_30_x"),
        ("abc", "logs_p30"),
    ],
)
def test_numbers_are_continued_too(made: str, expected: str) -> None:
    assert next_name([partition(made, 20, 30, 1)], TEN, kind=KeyKind.INTEGER, newest_value=21) == expected


def test_below_zero_a_name_has_no_sign() -> None:
    kept = table([], KeyKind.INTEGER, newest_value=-5)
    assert names(plan_partitions(kept, policy(TEN, premake=1), NOW)) == ["logs_pm10", "logs_p0"]


def test_a_name_that_is_taken_is_not_given_again() -> None:
    made = [*months(at(2026, 10), 2)]
    assert next_name(made, names_taken=("logs_y2026m12",)) == "logs_y2026m12_2"


def test_partitions_lie_where_their_siblings_do() -> None:
    made = [partition("p2026_11", at(2026, 11), at(2026, 12), table=TableName("parts", "p2026_11"))]
    assert plan_partitions(table(made), policy(premake=1), NOW).steps[0].partition == TableName("parts", "p2026_12")


LONG = "a_table_with_a_name_so_long_that_nothing_more_fits_behind_it_64"


def test_a_long_name_is_cut_and_two_such_tables_stay_apart() -> None:
    made: set[str] = set()
    for name in (LONG, LONG[:-1] + "5"):
        kept = PartitionedTable(
            table=TableName("public", name), engine=EngineName.POSTGRESQL, taken_at=NOW, server_version_number=150000,
            strategy=table().strategy, key_columns=("at",), key_kinds=(KeyKind.TIMESTAMPTZ,),
        )  # fmt: skip
        given_names = names(plan_partitions(kept, policy(HOUR, premake=47), NOW))
        assert all(len(each.encode()) <= 63 and "_y2026m11d2" in each for each in given_names)
        made.update(given_names)
    assert len(made) == 96


@given(
    st.text(min_size=1, max_size=80), st.text(max_size=20), st.sampled_from((EngineName.POSTGRESQL, EngineName.MYSQL))
)
def test_every_name_fits_and_ends_as_it_should(stem: str, suffix: str, engine: EngineName) -> None:
    name = fit_name(engine, stem, suffix)
    assert name.endswith(suffix)
    if is_name_allowed(engine, suffix + "_123456"):
        assert is_name_allowed(engine, name)


@given(st.lists(st.text(min_size=1, max_size=70), min_size=1, max_size=12))
def test_values_of_any_text_get_names_that_differ(values: list[str]) -> None:
    for engine in (EngineName.POSTGRESQL, EngineName.MYSQL):
        namer = Namer(table(engine=engine))
        given_names = [namer.name_value(value).name for value in values]
        assert len({each.lower() for each in given_names}) == len(values)
        assert all(is_name_allowed(engine, each) for each in given_names)


def test_hours_of_local_names_differ_though_the_clock_is_twice_the_same() -> None:
    """Siblings are called by the clock of Paris, which shows 02:00 twice."""
    begin = datetime(2026, 10, 24, 22, tzinfo=UTC)
    made = [partition("logs_2026102500", begin, begin + timedelta(hours=1))]
    asked = policy(HOUR, premake=4, time_zone="Europe/Paris")
    given_names = names(plan_partitions(table(made), asked, begin))
    assert given_names == ["logs_2026102501", "logs_2026102502", "logs_2026102502_2", "logs_2026102503"]
