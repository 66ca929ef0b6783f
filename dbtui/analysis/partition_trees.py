"""Trees of partitions added up and marked: what both the commands and the terminal UI show of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dbtui.model.partitions import (
    CoverageSpan,
    Partition,
    PartitionAssessment,
    PartitionedTable,
    PartitionFinding,
    PartitionLevel,
    PartitionTrouble,
)
from dbtui.model.tables import TableName

SIGNS = {PartitionLevel.REMARK: "○", PartitionLevel.WARNING: "▲", PartitionLevel.TROUBLE: "✖"}
_ORDER = (PartitionLevel.REMARK, PartitionLevel.WARNING, PartitionLevel.TROUBLE)


def count_partitions(partitions: Iterable[Partition]) -> int:
    """Return how many they are, with the partitions of those that have some themselves."""
    return sum(1 + count_partitions(each.partitions) for each in partitions)


def bytes_of(partition: Partition, exact: Mapping[TableName, int] | None = None) -> int:
    """Return how large a partition is with its own partitions, as far as that is known; `exact` comes first."""
    known = partition.bytes_exact if partition.bytes_exact is not None else partition.bytes_estimate
    own = (exact or {}).get(partition.table, known or 0)
    return own + sum(bytes_of(each, exact) for each in partition.partitions)


def sum_bytes(partitions: Iterable[Partition], exact: Mapping[TableName, int] | None = None) -> int:
    """Return how large they are together."""
    return sum(bytes_of(each, exact) for each in partitions)


def rows_of(partition: Partition) -> int | None:
    """Return about how many rows a partition holds, or its own partitions do; None: nobody knows."""
    return sum_rows(partition.partitions) if partition.partitions else partition.rows_estimate


def sum_rows(partitions: Iterable[Partition]) -> int | None:
    """Return about how many rows they hold together; None: nobody knows of any."""
    known = [rows for each in partitions if (rows := rows_of(each)) is not None]
    return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class PartitionMark:
    """What is to know of a partition, in a word or two. `level` None: it is only said."""

    text: str
    level: PartitionLevel | None = None

    def __str__(self) -> str:
        return f"{SIGNS[self.level]} {self.text}" if self.level is not None else self.text


@dataclass
class PartitionMarks:
    """What is to know of each partition of a table, the worst first."""

    by_name: defaultdict[str, list[PartitionMark]] = field(default_factory=lambda: defaultdict(list))

    def of(self, partition: Partition) -> list[PartitionMark]:
        """Return the marks of one."""
        found = [*self.by_name.get(str(partition.table), ()), *self.by_name.get(partition.table.name, ())]
        if partition.is_detach_pending and not any("detach" in each.text for each in found):
            found.append(PartitionMark("detach pending"))
        if partition.is_foreign:
            found.append(PartitionMark("foreign table"))
        return list(dict.fromkeys(found))


def mark_partitions(assessment: PartitionAssessment) -> PartitionMarks:
    """Return what is to know of each partition, and which one takes the rows of now; gaps have rows of their own."""
    marks = PartitionMarks()
    for finding in assessment.findings:
        if finding.partition and finding.kind is not PartitionTrouble.GAP:
            marks.by_name[finding.partition].append(PartitionMark(finding.kind.value, finding.level))
    for name in assessment.due:
        if not any("retention" in each.text for each in marks.by_name[name]):
            marks.by_name[name].append(PartitionMark("past retention", PartitionLevel.TROUBLE))
    if assessment.current:
        marks.by_name[assessment.current].insert(0, PartitionMark("current"))
    return marks


def spans_by_partition(assessment: PartitionAssessment) -> dict[str, CoverageSpan]:
    """Return what each partition covers, by its name."""
    return {span.partition: span for span in assessment.coverage if span.partition}


def gaps_before(table: PartitionedTable, assessment: PartitionAssessment) -> dict[TableName, CoverageSpan]:
    """Return the gaps of a table, each by the partition that follows it."""
    ends: dict[datetime | int, CoverageSpan] = {span.upper: span for span in assessment.coverage if not span.partition}
    if not ends:
        return {}
    spans = spans_by_partition(assessment)
    found = {}
    for partition in table.partitions:
        span = spans.get(str(partition.table)) or spans.get(partition.table.name)
        if span is not None and (gap := ends.pop(span.lower, None)) is not None:
            found[partition.table] = gap
    return found


def last_gap(assessment: PartitionAssessment) -> CoverageSpan | None:
    """Return the gap that no partition follows: the last one has ended."""
    last = assessment.coverage[-1] if assessment.coverage else None
    return last if last is not None and not last.partition else None


def group_findings(findings: Iterable[PartitionFinding]) -> list[PartitionMark]:
    """Return findings counted by what they are: `▲ 2 × gap`, `▲ 3 past retention (12 months)`, the worst first."""
    counted: dict[PartitionTrouble, list[PartitionFinding]] = {}
    for finding in findings:
        counted.setdefault(finding.kind, []).append(finding)
    return [_group(kind, found) for kind, found in counted.items()]


def _group(kind: PartitionTrouble, found: list[PartitionFinding]) -> PartitionMark:
    level = max((each.level for each in found), key=_ORDER.index)
    if kind is PartitionTrouble.PAST_RETENTION:  # it counts by itself
        return PartitionMark(found[0].sentence, level)
    return PartitionMark(kind.value if len(found) == 1 else f"{len(found)} × {kind.value}", level)
