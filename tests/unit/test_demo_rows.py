"""The demo's rows: the same every time, plausible, and fitting together."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dbtui.demo.rows import (
    MONTHS_BACK,
    Table,
    batches,
    generate_app,
    generate_erp,
    generate_shop,
    months_around,
)

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize("generate", [generate_erp, generate_shop, generate_app])
def test_the_same_clock_makes_the_same_rows(generate: Callable[..., list[Table]]) -> None:
    assert generate(NOW, 0.02) == generate(NOW, 0.02)


def test_the_erp_has_some_hundred_thousand_rows() -> None:
    assert 90_000 < sum(len(table.rows) for table in generate_erp(NOW)) < 130_000


@pytest.mark.parametrize("generate", [generate_erp, generate_shop, generate_app])
def test_every_row_has_every_column(generate: Callable[..., list[Table]]) -> None:
    for table in generate(NOW, 0.02):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_months_follow_one_another_but_for_one_gap() -> None:
    months = months_around(NOW)
    gaps = [(a.end, b.begin) for a, b in itertools.pairwise(months) if a.end != b.begin]
    assert gaps == [(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))]
    assert months[0].suffix == "y2025m09"
    assert months[-1].end == datetime(2027, 2, 1, tzinfo=UTC)
    assert len([month for month in months if month.begin <= NOW]) == MONTHS_BACK


@pytest.mark.parametrize("now", [NOW, datetime(2026, 1, 31, tzinfo=UTC), datetime(2028, 2, 29, 23, 59, tzinfo=UTC)])
def test_every_audit_log_has_a_partition_and_none_is_in_the_future(now: datetime) -> None:
    months = months_around(now)
    for row in generate_erp(now, 0.02)[-1].rows:
        moment = row[-1]
        assert isinstance(moment, datetime)
        assert moment <= now
        assert any(month.begin <= moment < month.end for month in months)


def test_keys_point_at_rows_that_exist() -> None:
    tables = {table.name: table for table in generate_erp(NOW, 0.02)}
    items = {row[0] for row in tables["inventory_items"].rows}
    orders = {row[0] for row in tables["orders"].rows}
    for order, _, item, *_ in tables["order_lines"].rows:
        assert order in orders
        assert item in items
    emails = [str(row[2]) for row in tables["users"].rows]
    assert len(set(emails)) == len(emails)
    assert all(email.isascii() for email in emails)


def test_batches_keep_every_row() -> None:
    rows = [(number,) for number in range(7)]
    assert [list(batch) for batch in batches(rows, 3)] == [rows[:3], rows[3:6], rows[6:]]
