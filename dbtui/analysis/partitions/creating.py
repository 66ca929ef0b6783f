"""The partitions that are missing: those ahead, gaps, values of a list, remainders of a hash."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from math import inf, lcm

from dbtui.analysis.partitions.calendar import Position
from dbtui.analysis.partitions.naming import Namer, find_style
from dbtui.analysis.partitions.spans import Layout, Span, ends_of, span_of
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    Bound,
    BoundValue,
    HashBound,
    KeyKind,
    Limit,
    ListBound,
    PartitionedTable,
    PartitionStep,
    RangeBound,
    StepKind,
)
from dbtui.model.policies import PartitionPolicy
from dbtui.model.text import format_count

#: As many rows move from the default partition in one transaction without holding its lock for long.
DRAIN_ROWS = 20_000
#: More than these are not made by one plan: an interval or a bound was meant otherwise.
MOST_CREATED = 20_000


@dataclass(slots=True)
class Creation:
    """What was found missing: steps in the order of their bounds, and why some are not planned."""

    steps: list[PartitionStep] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


def create_ranges(table: PartitionedTable, policy: PartitionPolicy, layout: Layout, namer: Namer) -> Creation:
    """Return the ranges that are missing between the first partition and the last to be made ahead."""
    found = Creation()
    style = find_style(layout.covered, layout.axis, layout.grid)
    values = _Neighbours(layout)
    set_aside = () if layout.is_mysql else tuple(_set_aside(table, layout))
    for lower, upper in _missing(policy, layout):
        if len(found.steps) >= MOST_CREATED:
            found.refusals.append(
                f"more than {MOST_CREATED} partitions of {table.table} would be made: use a longer interval, or make"
                " the first of them by hand"
            )
            found.steps.clear()
            return found
        held = next((name for begin, end, name in set_aside if begin < upper and lower < end), "")
        if held and upper <= layout.now:
            found.warnings.append(f"what {held} held is left open: attach it again, or drop it to have a new partition")
            continue
        bound = RangeBound((values.lower(lower),), (values.upper(upper),))
        if _is_beyond(bound.lower[0], table):
            break
        if is_last := _is_beyond(bound.upper[0], table):
            bound = RangeBound(bound.lower, (Limit.HIGHEST,))
        named_at = int(lower) if not layout.is_mysql else layout.grid.floor(int(upper) - 1)
        found.steps.append(
            PartitionStep(
                kind=StepKind.CREATE,
                table=table.table,
                partition=namer.name_range(style, named_at, layout.axis, layout.grid),
                why=_why(lower, upper, layout, policy),
                bound=bound,
            )
        )
        if is_last:
            found.warnings.append(f"the key of {table.table} ends at {table.key_most}: nothing can be made after that")
            break
    return found


def _is_beyond(value: BoundValue, table: PartitionedTable) -> bool:
    """Whether a whole number is more than the key can hold; a bound must be one that it can."""
    return table.key_most is not None and isinstance(value, int) and value > table.key_most


def _why(lower: Position, upper: Position, layout: Layout, policy: PartitionPolicy) -> str:
    if upper <= layout.now:
        return "a gap: its rows have no partition of their own"
    if lower <= layout.now:
        return "rows of now have no partition of their own"
    return f"one of {policy.premake} to be there ahead"


def _missing(policy: PartitionPolicy, layout: Layout) -> Iterator[tuple[Position, Position]]:
    """The ranges to be made, in order. MySQL's begin where the one before ends, whatever that is."""
    is_mysql = layout.is_mysql
    covered, grid = layout.covered, layout.grid
    end = grid.ahead(layout.now, policy.premake)
    begin: Position = grid.floor(layout.now)
    if covered:
        first = covered[0]
        begin = min(begin, first.lower if first.lower > -inf else first.upper)
        if not layout.is_fitting and covered[-1].upper < inf:
            end = max(end, _end_of_first_cell(layout, int(covered[-1].upper)))
    before: Position = covered[-1].upper if covered else -inf
    for gap in _gaps(covered, begin, end):
        for lower, upper in _split(gap, layout):
            yield (before if is_mysql else lower), upper
            before = upper


def _end_of_first_cell(layout: Layout, end: int) -> int:
    """Where the first whole cell behind an end is over. Where no partition shows the interval, the plan leaves one."""
    begin = end if layout.grid.is_on(end) else layout.grid.following(end)
    return layout.grid.following(begin)


def _gaps(covered: tuple[Span, ...], begin: Position, end: Position) -> Iterator[tuple[int, int]]:
    at = begin
    for span in covered:
        if at >= end:
            return
        if span.lower > at:
            yield int(at), int(min(span.lower, end))
        at = max(at, span.upper)
    if at < end:
        yield int(at), int(end)


def _split(gap: tuple[int, int], layout: Layout) -> Iterator[tuple[int, int]]:
    """A gap in cells of the grid, without those that would be due at once."""
    lower, end = gap
    if layout.cut is not None:
        lower = max(lower, min(layout.grid.floor(layout.cut), end))
    while lower < end:
        upper = min(layout.grid.following(lower), end)
        if layout.cut is None or upper > layout.cut:
            yield lower, upper
        lower = upper


class _Neighbours:
    """Values of bounds as the neighbours have them, so that ends meet exactly."""

    def __init__(self, layout: Layout) -> None:
        self._axis = layout.axis
        self._uppers: dict[Position, BoundValue] = {}
        self._lowers: dict[Position, BoundValue] = {}
        for span in layout.covered:
            if isinstance(span.partition.bound, RangeBound):
                self._uppers[span.upper] = span.partition.bound.upper[0]
                self._lowers[span.lower] = span.partition.bound.lower[0]

    def lower(self, position: Position) -> BoundValue:
        return self._uppers[position] if position in self._uppers else self._axis.value(position)

    def upper(self, position: Position) -> BoundValue:
        return self._lowers[position] if position in self._lowers else self._axis.value(position)


def _set_aside(table: PartitionedTable, layout: Layout) -> Iterator[tuple[Position, Position, str]]:
    """What tables hold that were partitions, and could be again."""
    for each in table.detached:
        ends = ends_of(each.bound, layout.axis) if isinstance(each.bound, RangeBound) else None
        if ends is not None:
            yield *ends, str(each.table)
    for partition in table.partitions:
        span = span_of(partition, layout.axis) if partition.is_detach_pending else None
        if span is not None:
            yield span.lower, span.upper, str(partition.table)


# --- lists and hashes ------------------------------------------------------------------------------------------------


def create_values(table: PartitionedTable, policy: PartitionPolicy, namer: Namer) -> Creation:
    """Return a partition for every value of the policy that has none."""
    found = Creation()
    kind = table.key_kinds[0] if table.key_kinds else KeyKind.OTHER
    taken = {
        value
        for each in table.partitions
        if isinstance(each.bound, ListBound) and not each.is_detach_pending
        for value in each.bound.values
    }
    for text in policy.values:
        try:
            value = parse_value(text, kind)
        except (ValueError, InvalidOperation):
            found.refusals.append(f"“{text}” is no {kind.value}, which the key of {table.table} is: correct the values")
            continue
        if value not in taken:
            taken.add(value)
            found.steps.append(
                PartitionStep(
                    kind=StepKind.CREATE,
                    table=table.table,
                    partition=namer.name_value(text),
                    why=f"“{text}” has no partition",
                    bound=ListBound((value,)),
                )
            )
    return found


def parse_value(text: str, kind: KeyKind) -> BoundValue:
    """Return a value of a list as a key of that kind holds it. Raises ValueError, InvalidOperation."""
    if kind is KeyKind.INTEGER:
        return int(text)
    if kind is KeyKind.NUMERIC:
        return Decimal(text)
    if kind is KeyKind.DATE:
        return date.fromisoformat(text)
    return datetime.fromisoformat(text) if kind in (KeyKind.TIMESTAMP, KeyKind.TIMESTAMPTZ) else text


def missing_remainders(table: PartitionedTable, modulus: int | None = None) -> tuple[HashBound, ...]:
    """Return the bounds that complete a hash; of partitions with several moduli those of the largest."""
    bounds = [
        each.bound for each in table.partitions if isinstance(each.bound, HashBound) and not each.is_detach_pending
    ]
    whole = lcm(*(bound.modulus for bound in bounds)) if bounds else modulus
    if whole is None:
        return ()
    taken = set(chain.from_iterable(range(bound.remainder, whole, bound.modulus) for bound in bounds))
    return tuple(HashBound(whole, remainder) for remainder in range(whole) if remainder not in taken)


def create_remainders(table: PartitionedTable, policy: PartitionPolicy, namer: Namer) -> Creation:
    """Return the partitions that a hash lacks. MySQL's hashes lack none."""
    if table.engine is EngineName.MYSQL:
        return Creation()
    return Creation(
        [
            PartitionStep(
                kind=StepKind.CREATE,
                table=table.table,
                partition=namer.name_remainder(bound.modulus, bound.remainder),
                why=f"rows of remainder {bound.remainder} have no partition",
                bound=bound,
            )
            for bound in missing_remainders(table, policy.modulus)
        ]
    )


# --- rows in the way -------------------------------------------------------------------------------------------------


def rows_in_default(table: PartitionedTable, tail: Span | None) -> int | None:
    """Return how many rows lie where those of new partitions may be; None: nobody counted."""
    if tail is not None and table.default_rows is None:
        return tail.partition.rows_estimate
    return table.default_rows if tail is not None or table.default is not None else 0


def settle_conflicts(
    table: PartitionedTable, found: Creation, tail: Span | None, conflicts: Mapping[Bound, int] | None
) -> Creation:
    """Return the steps with rows of the default partition in their way as drains, or refused where they are many.

    `conflicts`: how many rows of each bound lie there; a bound that is not in it may be that of all of them. MySQL
    copies every row of the tail, so there all count.
    """
    total = rows_in_default(table, tail)
    default = tail.partition if tail is not None else table.default
    if not total or default is None:
        return found
    settled = Creation([], found.warnings, found.refusals)
    for step in found.steps:
        rows = total
        if conflicts is not None and step.bound is not None and tail is None:
            rows = conflicts.get(step.bound, total)
        if rows > DRAIN_ROWS:
            settled.refusals.append(_refuse_drain(step, str(default.table), rows, is_counted=conflicts is not None))
            if tail is not None:
                break
        elif rows == 0:
            settled.steps.append(step)
        elif table.referenced_by and conflicts is not None:
            settled.refusals.append(
                f"{default.table} has {format_count(rows)} rows in the way of {step.partition}, and foreign keys of"
                f" {table.referenced_by[0]} point at {table.table}: what moves is deleted and inserted, so drop those"
                " keys for the move, or move the rows by hand"
            )
        else:
            why = f"{step.why}; up to {rows} rows of {default.table} belong into it and move in one transaction"
            settled.steps.append(replace(step, kind=StepKind.DRAIN_DEFAULT, why=why, rows_estimate=rows))
    return settled


def _refuse_drain(step: PartitionStep, default: str, rows: int, *, is_counted: bool) -> str:
    said = "rows in the way of" if is_counted else "rows, some perhaps in the way of"
    return (
        f"{default} has {format_count(rows)} {said} {step.partition}: more than {format_count(DRAIN_ROWS)} would hold"
        " its lock for long; move them into a table of their own in batches, then plan again"
    )
