"""Bounds as servers write them, read and written again."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.adapters.mysql import bounds as mysql
from dbtui.adapters.partition_marks import PartitionMark, format_mark, parse_mark
from dbtui.adapters.postgresql import bounds as postgresql
from dbtui.model.backups import TableName
from dbtui.model.partitions import (
    BoundValue,
    HashBound,
    KeyKind,
    Limit,
    ListBound,
    PartitionStrategy,
    RangeBound,
    UnreadBound,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
VALUES: dict[KeyKind, st.SearchStrategy[BoundValue]] = {
    KeyKind.DATE: st.dates(),
    KeyKind.TIMESTAMP: st.datetimes(),
    KeyKind.TIMESTAMPTZ: st.datetimes(
        min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC)
    ),
    KeyKind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    KeyKind.NUMERIC: st.decimals(allow_nan=False, allow_infinity=False, places=4),
    KeyKind.TEXT: TEXT,
    KeyKind.OTHER: TEXT,
}


@st.composite
def keyed_ranges(draw: st.DrawFn) -> tuple[tuple[KeyKind, ...], RangeBound]:
    kinds = tuple(draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3)))
    ends = [
        tuple(draw(VALUES[kind] | st.sampled_from([Limit.LOWEST, Limit.HIGHEST])) for kind in kinds) for _ in range(2)
    ]
    return kinds, RangeBound(*ends)


@given(keyed_ranges())
def test_ranges_of_postgresql_are_read_as_written(keyed: tuple[tuple[KeyKind, ...], RangeBound]) -> None:
    kinds, bound = keyed
    assert postgresql.parse_bound(postgresql.format_bound(bound), kinds) == bound


@given(st.sampled_from(list(VALUES)).flatmap(lambda kind: st.tuples(
    st.just(kind), st.lists(VALUES[kind] | st.none(), min_size=1, max_size=4))))  # fmt: skip
def test_lists_of_postgresql_are_read_as_written(keyed: tuple[KeyKind, list[BoundValue]]) -> None:
    kind, values = keyed
    bound = ListBound(tuple(values))
    assert postgresql.parse_bound(postgresql.format_bound(bound), (kind,)) == bound


@given(st.text(max_size=60))
def test_no_text_upsets_the_readers(text: str) -> None:
    kinds = (KeyKind.TIMESTAMPTZ,)
    for shown in (text, f"FOR VALUES FROM ({text}) TO ({text})", f"FOR VALUES IN ({text})"):
        postgresql.parse_bound(shown, kinds)
    mysql.parse_bounds([text], PartitionStrategy.RANGE, mysql.KeyForm.COLUMN, kinds)
    mysql.parse_bounds([text], PartitionStrategy.LIST, mysql.KeyForm.DAYS, kinds)
    mysql.parse_key(text)
    parse_mark(text)
    parse_mark("dbtui:detached " + text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("FOR VALUES FROM ('0044-03-15 BC') TO ('2026-01-01')", KeyKind.DATE),
        ("FOR VALUES FROM ('20260-01-01') TO (MAXVALUE)", KeyKind.DATE),
        ("FOR VALUES FROM ('NaN') TO (MAXVALUE)", KeyKind.NUMERIC),
        ("FOR VALUES FROM ('2026-01-01 00:00:00') TO (MAXVALUE)", KeyKind.TIMESTAMPTZ),
        ("FOR VALUES FROM (1, 2) TO (3, 4)", KeyKind.INTEGER),
        ("", KeyKind.INTEGER),
    ],
)
def test_what_cannot_be_held_is_not_guessed(text: str, kind: KeyKind) -> None:
    assert postgresql.parse_bound(text, (kind,)) == UnreadBound()


def test_other_bounds_of_postgresql() -> None:
    assert postgresql.parse_bound("FOR VALUES WITH (modulus 8, remainder 3)", ()) == HashBound(8, 3)
    east = datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert postgresql.format_value(east) == "'2026-01-01 00:00:00+00:00'"
    assert postgresql.format_value(Decimal("1E+3")) == "'1000'"
    assert postgresql.format_value("a\\'b") == "E'a\\\\''b'"


@given(st.lists(st.dates(min_value=date(1, 1, 2)), min_size=1, max_size=5, unique=True))
def test_days_of_mysql(days: list[date]) -> None:
    """A partition begins where the one before it ends; TO_DAYS('2026-02-01') is 740013."""
    days.sort()
    numbers = [str(740013 + (each - date(2026, 2, 1)).days) for each in days]
    found = mysql.parse_bounds([*numbers, "MAXVALUE"], PartitionStrategy.RANGE, mysql.KeyForm.DAYS, (KeyKind.DATE,))
    ends: list[BoundValue] = [Limit.LOWEST, *days, Limit.HIGHEST]
    assert found == tuple(RangeBound((low,), (high,)) for low, high in pairwise(ends))


@given(st.lists(TEXT | st.none(), min_size=1, max_size=4))
def test_lists_of_mysql_are_read_as_written(values: list[str | None]) -> None:
    shown = mysql.format_list(ListBound(tuple(values))).removeprefix("IN (").removesuffix(")")
    (found,) = mysql.parse_bounds([shown], PartitionStrategy.LIST, mysql.KeyForm.COLUMN, (KeyKind.TEXT,))
    assert found == ListBound(tuple(values))


def test_keys_of_mysql() -> None:
    assert mysql.parse_key("`a``b`,`c`") == (mysql.KeyForm.COLUMN, ("a`b", "c"))
    assert mysql.parse_key("to_days(`at`)") == (mysql.KeyForm.DAYS, ("at",))
    assert mysql.parse_key("unix_timestamp(`at`)") == (mysql.KeyForm.SECONDS, ("at",))
    assert mysql.parse_key("year(`at`)") == (mysql.KeyForm.OTHER, ("",))


@given(TEXT, TEXT, TEXT, st.none() | st.datetimes(timezones=st.just(UTC)), TEXT, st.integers(0, 2**32 - 1))
def test_marks_are_read_as_written(
    schema: str, name: str, bound: str, moment: datetime | None, comment: str, identity: int
) -> None:
    """Below whatever comment their table has, even if that is a mark itself."""
    moment = moment and moment.replace(microsecond=0)
    mark = PartitionMark(
        parent=TableName(schema, name), bound_text=bound, detached_at=moment, archive=name, identity=identity,
        comment=comment,
    )  # fmt: skip
    assert parse_mark(format_mark(mark)) == mark
    twice = replace(mark, comment=format_mark(mark))
    assert parse_mark(format_mark(twice)) == twice
