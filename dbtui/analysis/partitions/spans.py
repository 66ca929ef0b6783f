"""A table partitioned by range as stretches of one axis, and where now and the end of its retention are on it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf

from dbtui.analysis.partitions.calendar import Grid, Position, grid_through, plain_grid, step_back
from dbtui.analysis.partitions.keys import Axis, is_bare_uuid, open_axis
from dbtui.model.connections import EngineName
from dbtui.model.partitions import KeyKind, Partition, PartitionedTable, RangeBound
from dbtui.model.policies import Interval, PartitionPolicy


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition takes of the axis."""

    lower: Position
    upper: Position
    partition: Partition

    @property
    def is_finite(self) -> bool:
        """Whether both ends are values."""
        return self.lower > -inf and self.upper < inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A table on its axis under a policy, at the moment `taken_at`.

    `spans` in order, without those whose detach is pending. `now`: where rows of now go. `cut`: what ends at or before
    it is due; None: nothing ever is. `tail`: MySQL's last partition, which takes what is beyond all others and is split
    to make more. `is_fitting`: some live span is as long as the grid's cells.
    """

    axis: Axis
    grid: Grid
    spans: tuple[Span, ...]
    taken_at: datetime
    now: int
    cut: int | None
    tail: Span | None = None
    is_mysql: bool = False
    is_fitting: bool = False

    @property
    def covered(self) -> tuple[Span, ...]:
        """The spans that are in the way of new ones: all but the tail."""
        return self.spans if self.tail is None else self.spans[:-1]

    @property
    def live(self) -> tuple[Span, ...]:
        """The finite spans that tell how the table is divided: those not due, or all if each is.

        Once MySQL has dropped what is due, the first that stays has no lower end. It tells nothing before that either.
        """
        kept = tuple(span for span in self.spans if not self.is_due(span))
        if self.is_mysql:
            return tuple(span for span in kept[1:] if span.is_finite)
        return tuple(span for span in kept if span.is_finite) or tuple(span for span in self.spans if span.is_finite)

    def is_due(self, span: Span) -> bool:
        """Whether a span is past retention."""
        return self.cut is not None and span.upper <= self.cut


def axis_of(table: PartitionedTable, policy: PartitionPolicy) -> Axis:
    """Return the axis of a table's key. Raises UsageError for a time zone that is none."""
    kind = table.key_kinds[0] if table.key_kinds else KeyKind.OTHER
    ends = (end for each in table.partitions if isinstance(each.bound, RangeBound) for end in each.bound.lower[:1])
    bare = kind is KeyKind.UUID and any(map(is_bare_uuid, ends))
    return open_axis(kind, policy.codec, policy.time_zone, has_bare_uuids=bare)


def read_spans(table: PartitionedTable, axis: Axis) -> tuple[Span, ...]:
    """Return the spans of the range partitions that are there to stay, in order; what is unreadable is left out."""
    return tuple(sorted(_spans(table.partitions, axis), key=lambda span: (span.lower, span.upper)))


def _spans(partitions: Iterable[Partition], axis: Axis) -> Iterator[Span]:
    for partition in partitions:
        if not partition.is_detach_pending and (span := span_of(partition, axis)) is not None:
            yield span


def span_of(partition: Partition, axis: Axis) -> Span | None:
    """Return what a partition takes of the axis; None if it is no range, or not of this key."""
    found = ends_of(partition.bound, axis) if isinstance(partition.bound, RangeBound) else None
    return None if found is None else Span(*found, partition)


def ends_of(bound: RangeBound, axis: Axis) -> tuple[Position, Position] | None:
    """Return where a range begins and ends; None if it is not of this key."""
    if len(bound.lower) != 1 or len(bound.upper) != 1:
        return None
    lower, upper = axis.position(bound.lower[0]), axis.position(bound.upper[0])
    return None if lower is None or upper is None or lower >= upper else (lower, upper)


def lay_out(table: PartitionedTable, policy: PartitionPolicy, interval: Interval, now: datetime) -> Layout:
    """Return a table on its axis. Raises UsageError for an unknown time zone, OverflowError beyond the calendar."""
    axis = axis_of(table, policy)
    spans = read_spans(table, axis)
    here = axis.now(now) if axis.is_time else newest_of(table, spans)
    cut = None if policy.retention is None else step_back(here, policy.retention, axis.grid_zone)
    last = spans[-1] if spans else None
    tail = last if last is not None and last.upper == inf and table.engine is EngineName.MYSQL else None
    plain = plain_grid(interval, axis.grid_zone)
    layout = Layout(
        axis=axis, grid=plain, spans=spans, taken_at=now, now=here, cut=cut, tail=tail,
        is_mysql=table.engine is EngineName.MYSQL,
    )  # fmt: skip
    found = find_grid(layout.live, interval, plain)
    return replace(layout, grid=found or plain, is_fitting=found is not None)


def find_grid(spans: Iterable[Span], interval: Interval, plain: Grid) -> Grid | None:
    """Return the grid on which most spans are one interval long, the plain one among equals; None: no span is."""
    grids = Counter(
        grid
        for span in spans
        if (grid := grid_through(int(span.lower), int(span.upper), interval, plain.zone)) is not None
    )
    if not grids:
        return None
    return min(grids, key=lambda grid: (-grids[grid], grid != plain, grid.phase, grid.day))


def newest_of(table: PartitionedTable, spans: tuple[Span, ...]) -> int:
    """Return the highest number in a table's key: what was read, else where the last partition with rows begins.

    Where nothing tells which partitions hold rows it is the lowest there is a partition for: nothing is due then.
    """
    if table.newest_value is not None:
        return table.newest_value
    filled = [span for span in spans if _has_rows(span.partition)]
    found = filled[-1] if filled else spans[0] if spans else None
    if found is None or not (found.lower > -inf or found.upper < inf):
        return 0
    return int(found.lower) if found.lower > -inf else int(found.upper) - 1


def is_newest_known(table: PartitionedTable) -> bool:
    """Whether anything tells which partition holds the highest number."""
    return table.newest_value is not None or any(map(_has_rows, table.partitions)) or not table.partitions


def _has_rows(partition: Partition) -> bool:
    return any(each is not None and each > 0 for each in (partition.rows_estimate, partition.bytes_exact))
