"""Trees of partitions added up and marked."""

from dataclasses import replace
from datetime import UTC, datetime

from dbtui.analysis.partition_trees import (
    PartitionMark,
    bytes_of,
    count_partitions,
    gaps_before,
    group_findings,
    last_gap,
    mark_partitions,
    rows_of,
    spans_by_partition,
    sum_bytes,
    sum_rows,
)
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    CoverageSpan,
    KeyKind,
    Partition,
    PartitionAssessment,
    PartitionedTable,
    PartitionFinding,
    PartitionLevel,
    PartitionStrategy,
    PartitionTrouble,
    RangeBound,
)
from dbtui.model.tables import TableName

NAME = TableName("public", "logs")


def _partition(name: str, **fields: object) -> Partition:
    return Partition(table=TableName("public", name), bound=RangeBound((1,), (2,)), bound_text="", **fields)  # type: ignore[arg-type]


def _table(*partitions: Partition) -> PartitionedTable:
    return PartitionedTable(
        table=NAME, engine=EngineName.POSTGRESQL, taken_at=datetime(2026, 11, 23, tzinfo=UTC),
        server_version_number=150000, strategy=PartitionStrategy.RANGE, key_columns=("id",),
        key_kinds=(KeyKind.INTEGER,), partitions=partitions,
    )  # fmt: skip


def _finding(kind: PartitionTrouble, level: PartitionLevel, sentence: str = "", name: str = "") -> PartitionFinding:
    return PartitionFinding(kind=kind, level=level, sentence=sentence, partition=name)


def test_branches_are_added_up_and_what_was_measured_comes_first() -> None:
    leaves = (_partition("a1", bytes_estimate=100, rows_estimate=5), _partition("a2", bytes_estimate=50))
    branch = _partition("a", partitions=leaves)
    other = _partition("b", bytes_estimate=7, bytes_exact=9)
    assert count_partitions((branch, other)) == 4
    assert (bytes_of(branch), bytes_of(other), sum_bytes((branch, other))) == (150, 9, 159)
    assert sum_bytes((branch, other), {leaves[0].table: 1000, other.table: 11}) == 1061
    assert (rows_of(branch), rows_of(other), sum_rows((branch, other)), sum_rows((other,))) == (5, None, 5, None)


def test_marks_of_a_partition_the_worst_first_and_each_once() -> None:
    assessment = PartitionAssessment(
        table=NAME,
        findings=(
            _finding(PartitionTrouble.OVERLAP, PartitionLevel.TROUBLE, name="a"),
            _finding(PartitionTrouble.MISSING_INDEX, PartitionLevel.WARNING, name="public.a"),
            _finding(PartitionTrouble.MISSING_INDEX, PartitionLevel.WARNING, name="public.a"),
            _finding(PartitionTrouble.GAP, PartitionLevel.TROUBLE, name="b"),
            _finding(PartitionTrouble.LOCK_TABLE, PartitionLevel.REMARK),
        ),
        current="a",
        due=("b",),
    )
    marks = mark_partitions(assessment)
    assert sorted(map(str, marks.of(_partition("a")))) == ["current", "▲ missing index", "✖ overlap"]
    assert [str(each) for each in marks.of(_partition("b", is_foreign=True))] == ["✖ past retention", "foreign table"]
    assert [str(each) for each in marks.of(_partition("c", is_detach_pending=True))] == ["detach pending"]
    assert marks.of(_partition("d")) == []


def test_gaps_stand_before_the_partition_that_follows_them() -> None:
    coverage = (
        CoverageSpan(1, 2, "a"), CoverageSpan(2, 4), CoverageSpan(4, 5, "public.b"), CoverageSpan(5, 6, "c"),
        CoverageSpan(6, 9),
    )  # fmt: skip
    assessment = PartitionAssessment(table=NAME, coverage=coverage)
    table = _table(_partition("a"), _partition("b"), _partition("c"), _partition("rest"))
    assert gaps_before(table, assessment) == {TableName("public", "b"): CoverageSpan(2, 4)}
    assert last_gap(assessment) == CoverageSpan(6, 9)
    assert last_gap(replace(assessment, coverage=coverage[:-1])) is None
    assert last_gap(PartitionAssessment(table=NAME)) is None
    assert set(spans_by_partition(assessment)) == {"a", "public.b", "c"}
    assert gaps_before(table, PartitionAssessment(table=NAME)) == {}


def test_findings_are_counted_by_what_they_are() -> None:
    found = [
        _finding(PartitionTrouble.GAP, PartitionLevel.TROUBLE),
        _finding(PartitionTrouble.GAP, PartitionLevel.WARNING),
        _finding(PartitionTrouble.PAST_RETENTION, PartitionLevel.WARNING, "3 past retention (12 months)"),
        _finding(PartitionTrouble.HAS_DEFAULT, PartitionLevel.REMARK),
    ]
    assert group_findings(found) == [
        PartitionMark("2 × gap", PartitionLevel.TROUBLE),
        PartitionMark("3 past retention (12 months)", PartitionLevel.WARNING),
        PartitionMark("has a default", PartitionLevel.REMARK),
    ]
    assert str(group_findings(found)[0]) == "✖ 2 × gap"
