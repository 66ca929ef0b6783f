"""What two backups do not have in common: judged without a server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.backups.difference_words import describe_part, format_rows_delta, summarise
from dbtui.analysis.backups.differences import assess_differences, is_chosen, suspects
from dbtui.model.backup_differences import Change, DiffSide, FlagKind
from dbtui.model.backups import BackupTable
from dbtui.model.connections import EngineName
from dbtui.model.shapes import ColumnShape, DatabaseShape, SequenceShape, TableShape
from dbtui.model.tables import TableName

MOMENT = datetime(2026, 11, 22, 15, tzinfo=UTC)


def side(label: str, rows: dict[str, int | None], hours: float = 0, **known: object) -> DiffSide:
    made = DiffSide(
        label=label, is_live=False, engine=EngineName.POSTGRESQL, flavour="PostgreSQL", server_version="15.18",
        database="erp", taken_at=MOMENT + timedelta(hours=hours),
        tables=tuple(BackupTable("public", name, count, "exact", 100) for name, count in rows.items()),
        shape=DatabaseShape(tuple(TableShape("public", name, ()) for name in rows)),
    )  # fmt: skip
    return replace(made, **known)  # type: ignore[arg-type]


def kinds(before: DiffSide, after: DiffSide, **wishes: object) -> set[FlagKind]:
    return {flag.kind for flag in assess_differences(before, after, **wishes).flags}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "flagged"),
    [
        (100, 90, False),  # exactly the threshold
        (100, 89, True),
        (100, 0, True),
        (5, 4, False),  # 20 %, and a handful
        (5, 0, True),
        (0, 0, False),
        (100, 200, False),
        (1_000_000, 899_999, True),
    ],
)
def test_what_counts_as_a_loss(before: int, after: int, flagged: bool) -> None:
    found = kinds(side("a", {"t": before}), side("b", {"t": after}, 1))
    assert (FlagKind.ROWS_LOST in found) is flagged


def test_the_threshold_is_what_was_named() -> None:
    pair = side("a", {"t": 1000}), side("b", {"t": 940}, 1)
    assert kinds(*pair) == set()
    assert kinds(*pair, threshold=0.05) == {FlagKind.ROWS_LOST}


def test_a_table_that_nobody_counted_is_no_loss() -> None:
    assert kinds(side("a", {"t": None}), side("b", {"t": 5}, 1)) == set()
    assert kinds(side("a", {"t": 5}), side("b", {"t": None}, 1)) == set()


def test_sides_are_ordered_by_time_and_a_live_one_is_last() -> None:
    early, late = side("a", {"t": 1}), side("b", {"t": 1}, 1)
    assert assess_differences(late, early).before.label == "a"
    live = replace(early, label="live", is_live=True)
    assert assess_differences(live, late).after.label == "live"


def test_backups_of_one_second_are_ordered_by_their_number() -> None:
    labels = ["erp-20261122T150000Z", "erp-20261122T150000Z-2", "erp-20261122T150000Z-10"]
    for earlier, later in pairwise(labels):
        assert assess_differences(side(later, {}), side(earlier, {})).before.label == earlier


def test_losses_come_first_then_what_changed_then_the_rest() -> None:
    before = side("a", {"same": 1, "changed": 50, "gone": 3, "emptied": 9})
    after = side("b", {"same": 1, "changed": 51, "emptied": 0, "added": 1}, 1)
    names = [table.name for table in assess_differences(before, after).tables]
    assert names == ["gone", "emptied", "changed", "added", "same"]


def test_mysql_databases_of_two_names_have_the_same_tables() -> None:
    known: dict[str, Any] = {"engine": EngineName.MYSQL, "flavour": "MariaDB"}
    before = replace(side("a", {}, **known), tables=(BackupTable("shop", "t", 5, "exact"),), database="shop")
    after = replace(side("b", {}, 1.0, **known), tables=(BackupTable("shop2", "t", 5, "exact"),), database="shop2")
    found = assess_differences(before, after)
    assert [table.change for table in found.tables] == [Change.SAME]
    assert [flag.kind for flag in found.flags] == [FlagKind.OTHER_DATABASE]


@pytest.mark.parametrize(
    ("versions", "flagged"), [(("15.18", "15.2"), False), (("15.18", "18.1"), False), (("18.1", "15.18"), True)]
)
def test_an_older_server_is_flagged_and_a_newer_is_not(versions: tuple[str, str], flagged: bool) -> None:
    before = side("a", {"t": 1}, server_version=versions[0])
    after = side("b", {"t": 1}, 1, server_version=versions[1])
    assert (FlagKind.OLDER_VERSION in kinds(before, after)) is flagged


def test_a_database_without_tables() -> None:
    assert FlagKind.NO_TABLES in kinds(side("a", {"t": 1}), side("b", {}, 1))


def test_sequences_that_went_back_but_not_those_that_run_downwards() -> None:
    def shape(value: int | None, definition: str) -> DatabaseShape:
        return DatabaseShape((), (SequenceShape("public", "s", definition, value),))

    def found(before: int | None, after: int | None, definition: str = "bigint start 1 increment 1") -> set[FlagKind]:
        return kinds(side("a", {}, shape=shape(before, definition)), side("b", {}, 1, shape=shape(after, definition)))

    assert found(900, 3) == {FlagKind.SEQUENCE_BACK}
    assert found(3, 900) == found(None, 3) == found(900, None) == set()
    assert found(900, 3, "bigint start 1 increment -1") == found(900, 3, "bigint start 1 increment 1 cycle") == set()


def test_estimates_are_suspected_and_prove_nothing() -> None:
    before, after = side("a", {"t": 1000, "u": 1000, "v": 1000}), side("b", {"t": 10, "u": None, "v": 990}, 1)
    after = replace(after, tables=tuple(replace(table, rows_are="estimate") for table in after.tables))
    assert {name.name for name in suspects(before, after, 0.1)} == {"t", "u"}
    found = assess_differences(before, after)
    assert (found.has_shrunk, found.has_changed) == (False, False)
    assert [flag.is_certain for flag in found.flags] == [False]
    assert format_rows_delta(found.tables[0]) == "~-990"


def test_columns_are_told_with_type_nullability_and_default() -> None:
    def shape(*columns: ColumnShape) -> DatabaseShape:
        return DatabaseShape((TableShape("public", "t", columns),))

    old, new = ColumnShape("a", "text", nullable=True), ColumnShape("a", "text", nullable=False, default="'x'")
    found = assess_differences(side("a", {"t": 1}, shape=shape(old)), side("b", {"t": 1}, 1, shape=shape(new)))
    (part,) = found.tables[0].parts or ()
    assert (part.before, part.after, describe_part(part)) == ("text", "text not null default 'x'", "~column a")
    assert summarise(found) == "1 changed; flagged: more than 10 % of a table's rows lost"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("audit_*", True),
        ("audit_2024", True),
        ("audit_????", True),
        ("audit_?", False),
        ("x.*", False),
        ("[a]udit*", False),
    ],
)
def test_patterns(pattern: str, fits: bool) -> None:
    schema, _, name = pattern.rpartition(".")
    wanted = [TableName(schema, name)]
    assert is_chosen(TableName("app", "audit_2024"), wanted) is fits
    assert is_chosen(TableName("app", "audit_2024"), [], wanted) is not fits


rows = st.dictionaries(st.sampled_from("abcdef"), st.none() | st.integers(0, 500), max_size=6)


@settings(deadline=None)
@given(one=rows, other=rows)
def test_every_table_is_told_once_whoever_is_named_first(
    one: dict[str, int | None], other: dict[str, int | None]
) -> None:
    before, after = side("a", one), side("b", other, 1)
    found, turned = assess_differences(before, after), assess_differences(after, before)
    assert sorted(table.name for table in found.tables) == sorted(set(one) | set(other))
    assert replace(turned, is_reversed=False) == found
    assert assess_differences(before, replace(before, label="b")).has_changed is False
