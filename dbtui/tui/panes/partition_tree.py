"""A partitioned table as a tree: partitions, gaps between them, sub-partitions, detached ones. No widget in here.

Only what is on the screen is drawn, so a row is little more than a partition and its place: what its cells say is
worked out when they are drawn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from dbtui.analysis.partition_trees import (
    PartitionMark,
    PartitionMarks,
    bytes_of,
    gaps_before,
    last_gap,
    mark_partitions,
    rows_of,
    spans_by_partition,
)
from dbtui.analysis.partition_words import format_bound, format_value
from dbtui.model.partitions import (
    CoverageSpan,
    DetachedPartition,
    Partition,
    PartitionedTable,
    PartitionLevel,
    RangeBound,
)
from dbtui.model.tables import TableName
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.ages import format_age
from dbtui.tui.cells import Line, Span, Tone, dim, line, size_bar
from dbtui.tui.partition_requests import JudgedTable
from dbtui.tui.widgets.rows import Column

ORDERS = ("bounds", "size", "rows", "name")
_BAR = 5
TONES = {
    None: Tone.PLAIN,
    PartitionLevel.REMARK: Tone.DIM,
    PartitionLevel.WARNING: Tone.WARNING,
    PartitionLevel.TROUBLE: Tone.TROUBLE,
}
GAP_MARK = PartitionMark("gap", PartitionLevel.WARNING)
ENDED_MARK = PartitionMark("no partition", PartitionLevel.TROUBLE)


@dataclass(eq=False)
class Facts:
    """What the rows of one tree share."""

    judged: JudgedTable
    exact: Mapping[TableName, int] = field(default_factory=dict)
    marks: PartitionMarks = field(init=False)
    spans: dict[str, CoverageSpan] = field(init=False)
    largest: int = field(init=False)

    def __post_init__(self) -> None:
        self.marks = mark_partitions(self.judged.assessment)
        self.spans = spans_by_partition(self.judged.assessment)
        self.largest = max((bytes_of(each, self.exact) for each in self.table.partitions), default=0)

    @property
    def table(self) -> PartitionedTable:
        """The table."""
        return self.judged.table

    def span_of(self, partition: Partition) -> CoverageSpan | None:
        """Return what a partition covers, if that is known."""
        return self.spans.get(str(partition.table)) or self.spans.get(partition.table.name)

    def is_measured(self, partition: Partition) -> bool:
        """Whether its size is exact."""
        if partition.partitions:
            return all(map(self.is_measured, partition.partitions))
        return partition.bytes_exact is not None or partition.table in self.exact


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One row: a partition, a gap, or a table that was a partition. `folded` None: nothing hangs on it.

    `parent`: the partition that it is itself a partition of; None: it is one of the table's.
    """

    key: str
    facts: Facts
    stem: str
    partition: Partition | None = None
    parent: Partition | None = None
    gap: CoverageSpan | None = None
    detached: DetachedPartition | None = None
    folded: bool | None = None

    @property
    def marks(self) -> list[PartitionMark]:
        """What is to know of it."""
        if self.gap is not None:
            is_last = self.gap is last_gap(self.facts.judged.assessment)
            return [ENDED_MARK if is_last else GAP_MARK]
        if self.detached is not None:
            return [PartitionMark("archived" if self.detached.archive else "detached")]
        return self.facts.marks.of(self.partition) if self.partition is not None else []

    @property
    def is_marked(self) -> bool:
        """Whether somebody should look at it."""
        return any(each.level in (PartitionLevel.WARNING, PartitionLevel.TROUBLE) for each in self.marks)

    @property
    def name(self) -> str:
        """The name of its table; of a gap, none."""
        if self.partition is not None:
            return self.partition.table.name
        return str(self.detached.table) if self.detached is not None else ""

    @property
    def bounds(self) -> str:
        """From where to where it goes, in short."""
        if self.partition is not None:
            return format_bound(self.partition.bound, self.partition.bound_text)
        if self.detached is not None:
            return format_bound(self.detached.bound, self.detached.bound_text)
        if self.gap is None:
            return ""
        is_last = self.gap is last_gap(self.facts.judged.assessment)
        return f"[{format_value(self.gap.lower)}, {'now' if is_last else format_value(self.gap.upper)})"


def tree_of(facts: Facts, unfolded: frozenset[str], order: str, backwards: bool) -> list[Node]:
    """Return the rows of a table's tree; `unfolded` holds the keys of branches that are open."""
    gaps = gaps_before(facts.table, facts.judged.assessment) if order == ORDERS[0] else {}
    end = last_gap(facts.judged.assessment) if order == ORDERS[0] else None
    partitions = _sort(facts.table.partitions, facts, order, backwards)
    made: list[Node] = []
    for partition in partitions:
        gap = gaps.get(partition.table)
        if gap is not None and not backwards:
            made.append(_gap(facts, gap))
        made += _branch(facts, partition, None, "", unfolded, order, backwards)
        if gap is not None and backwards:
            made.append(_gap(facts, gap))
    if end is not None:
        has_default = bool(partitions) and partitions[0 if backwards else -1].is_default
        made.insert(int(has_default) if backwards else len(made) - has_default, _gap(facts, end))
    return [*made, *(Node(f"detached {each.table}", facts, "╌ ", detached=each) for each in facts.table.detached)]


def _gap(facts: Facts, gap: CoverageSpan) -> Node:
    return Node(f"gap {gap.lower}", facts, "· ", gap=gap)


def _branch(
    facts: Facts,
    partition: Partition,
    parent: Partition | None,
    stem: str,
    unfolded: frozenset[str],
    order: str,
    backwards: bool,
) -> Iterator[Node]:
    key = f"partition {partition.table}"
    folded = key not in unfolded if partition.partitions else None
    yield Node(key, facts, stem, partition=partition, parent=parent, folded=folded)
    if folded is False:
        children = _sort(partition.partitions, facts, order, backwards)
        for child in children:
            yield from _branch(facts, child, partition, stem + "│ ", unfolded, order, backwards)


def _sort(partitions: Sequence[Partition], facts: Facts, order: str, backwards: bool) -> Sequence[Partition]:
    """Put siblings in order: as the server has them by their bounds, the largest first, or by name."""
    orders: dict[str, Callable[[Partition], Any]] = {
        "size": lambda each: -bytes_of(each, facts.exact),
        "rows": lambda each: -(rows_of(each) or 0),
        "name": lambda each: each.table.name,
    }
    ordered = sorted(partitions, key=orders[order]) if order in orders else list(partitions)
    return ordered[::-1] if backwards else ordered


def branch_keys(partitions: Sequence[Partition]) -> frozenset[str]:
    """Return the keys of every branch among them."""
    own = frozenset(f"partition {each.table}" for each in partitions if each.partitions)
    return own.union(*(branch_keys(each.partitions) for each in partitions if each.partitions))


def leaves_of(partition: Partition) -> Iterator[Partition]:
    """Yield what of a partition holds rows itself."""
    if partition.strategy is None or not partition.partitions:
        yield partition
        return
    for each in partition.partitions:
        yield from leaves_of(each)


def search_of(node: Node) -> str:
    """Return what a filter looks into; of a branch that is shut, what hangs on it too."""
    words = [node.name, *(mark.text for mark in node.marks)]
    if node.partition is None:
        return " ".join((*words, node.bounds))
    words.append(node.partition.bound_text)
    if node.folded:
        words += [f"{each.table.name} {each.bound_text}" for each in leaves_of(node.partition)]
    return " ".join(words)


# ---------------------------------------------------------------- cells


def _name(node: Node) -> Line:
    if node.gap is not None:
        return line(Span(node.stem, Tone.TROUBLE))
    sign = "" if node.folded is None else "+ " if node.folded else "- "
    count = len(node.partition.partitions) if node.partition is not None and node.folded is not None else 0
    told = dim(f"  {count}") if count else Span("")
    stem = node.stem or ("" if node.folded is not None else "  ")
    return line(dim(stem + sign), Span(node.name), told)


def _size(node: Node) -> Span:
    if node.partition is None:
        return Span("")
    if node.facts.is_measured(node.partition):
        return Span(format_bytes(bytes_of(node.partition, node.facts.exact)))
    if node.partition.bytes_estimate is None and not node.partition.partitions:
        return dim("–")
    return Span("~" + format_bytes(bytes_of(node.partition, node.facts.exact)))


def _share(node: Node) -> Span:
    largest = node.facts.largest
    if node.partition is None or not largest:
        return Span("")
    return size_bar(bytes_of(node.partition, node.facts.exact) / largest, _BAR)


def _rows(node: Node) -> Span:
    if node.partition is not None:
        rows = rows_of(node.partition)
    else:
        rows = node.detached.rows_estimate if node.detached is not None else None
    return Span("") if rows is None else Span("~" + format_count(rows))


def ends_of(node: Node) -> tuple[datetime, datetime] | None:
    """Return when a partition begins and ends; None: it is not by time."""
    if node.partition is None:
        return None
    span = node.facts.span_of(node.partition)
    if span is not None and isinstance(span.lower, datetime) and isinstance(span.upper, datetime):
        return span.lower, span.upper
    bound = node.partition.bound
    if not isinstance(bound, RangeBound) or len(bound.lower) != 1:
        return None
    lower, upper = _moment(bound.lower[0]), _moment(bound.upper[0])
    return (lower, upper) if lower is not None and upper is not None else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None


def age_of(node: Node) -> str:
    """Return how long ago a partition ended, `now`, or in how long it begins."""
    ends, now = ends_of(node), node.facts.table.taken_at
    if ends is None:
        return ""
    if ends[1] <= now:
        return _far(format_age(ends[1], now), "0 h")
    return "now" if ends[0] <= now else f"in {_far(format_age(now, ends[0]), '1 h')}"


def _far(age: str, soon: str) -> str:
    return soon if age == "now" else age


def show_marks(marks: Sequence[PartitionMark]) -> Line:
    """Return marks as spans, each in its colour."""
    spans: list[Span] = []
    for mark in marks:
        spans += [Span("  "), Span(str(mark), TONES[mark.level])] if spans else [Span(str(mark), TONES[mark.level])]
    return tuple(spans)


COLUMNS: list[Column[Node]] = [
    Column("PARTITION", _name, 20, grow=2, widest=66),
    Column("BOUNDS", lambda node: dim(node.bounds), 24, grow=1, widest=52),
    Column("SIZE", _size, 7, right=True),
    Column("", _share, _BAR, spare=3),
    Column("ROWS", _rows, 8, right=True, spare=1),
    Column("AGE", lambda node: dim(age_of(node)), 7, right=True, spare=2),
    Column("MARKS", lambda node: show_marks(node.marks), 16, grow=2, widest=60),
]
