"""Partitioned tables, trees and plans as lines of text."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from dbtui.analysis.partition_trees import (
    SIGNS,
    PartitionMarks,
    bytes_of,
    count_partitions,
    gaps_before,
    mark_partitions,
    rows_of,
    sum_bytes,
    sum_rows,
)
from dbtui.analysis.partition_words import describe_key, describe_locks, describe_step, format_bound, format_value
from dbtui.cli.tables import Column, format_table
from dbtui.model.partitions import (
    CoverageSpan,
    Partition,
    PartitionAssessment,
    PartitionedTable,
    PartitionLevel,
    PartitionPlan,
    PartitionStep,
)
from dbtui.model.text import format_bytes, format_count, format_duration, format_untrusted

_LIST = (
    Column("", least=1),
    Column("TABLE", least=28),
    Column("KEY", least=18, drop=3),
    Column("PARTITIONS", right=True),
    Column("SIZE", right=True),
    Column("ROWS", right=True, drop=4),
    Column("ENDS IN", right=True),
    Column("REMARKS", least=14, drop=2),
)
_TREE = (
    Column("PARTITION", least=32),
    Column("BOUNDS", least=26),
    Column("SIZE", right=True),
    Column("", drop=3),
    Column("ROWS", right=True, drop=2),
    Column("MARKS", least=7),
)
_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 6
_GAP, _COVERED, _NOW = "·", "▇", "┊"
_STRIP_CELLS = 60
_TOLD = 8
Judged = tuple[PartitionedTable, PartitionAssessment]


# ---------------------------------------------------------------- all tables


def format_tables(judged: Sequence[Judged], width: int | None) -> list[str]:
    """Return a line for each table: how many partitions, how large, until when, what is wrong with it."""
    return format_table(_LIST, [_row_of_table(*each) for each in judged], width)


def _row_of_table(table: PartitionedTable, assessment: PartitionAssessment) -> tuple[str, ...]:
    level = assessment.level
    return (
        SIGNS[level] if level else "●",
        str(table.table),
        describe_key(table),
        str(count_partitions(table.partitions)),
        _size(sum_bytes(table.partitions)),
        _rows(sum_rows(table.partitions)),
        _headroom(assessment),
        _remarks(assessment),
    )


def _size(size_bytes: int) -> str:
    return format_bytes(size_bytes)


def _rows(rows: int | None) -> str:
    return "" if rows is None else format_count(rows)


def _headroom(assessment: PartitionAssessment) -> str:
    seconds = assessment.headroom_seconds
    return "" if seconds is None else format_duration(seconds) if seconds > 0 else "ended"


def _remarks(assessment: PartitionAssessment) -> str:
    counted: dict[str, int] = {}
    for finding in assessment.findings:
        counted[finding.kind.value] = counted.get(finding.kind.value, 0) + 1
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counted.items())


# ---------------------------------------------------------------- one table


def format_tree(table: PartitionedTable, assessment: PartitionAssessment, width: int) -> list[str]:
    """Return a table's headline, what is to know of it, the strip of its coverage, and its partitions."""
    lines = _joined(_headline(table, assessment), width)
    told = [each for each in assessment.findings if not each.partition or each.level is not PartitionLevel.REMARK]
    for finding in told[:_TOLD]:
        lines += _wrapped(f"{SIGNS[finding.level]} {finding.sentence}", width, indent="  ")
    if len(told) > _TOLD:
        lines.append(f"  and {len(told) - _TOLD} more; their partitions are marked")
    for sentence in table.management:
        lines += _wrapped(f"○ {sentence}", width, indent="  ")
    lines += format_coverage(assessment.coverage, table.taken_at, min(width, _STRIP_CELLS + 24))
    rows = list(_tree_rows(table, assessment))
    return [*lines, "", *format_table(_TREE, rows, width)] if rows else [*lines, "", "it has no partition"]


def _joined(parts: Iterable[str], width: int) -> list[str]:
    """Put parts on lines, three spaces between them, none broken in two."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f"   {part}"
        else:
            lines.append(part if not lines else f"  {part}")
    return lines


def _headline(table: PartitionedTable, assessment: PartitionAssessment) -> Iterator[str]:
    yield format_untrusted(str(table.table))
    interval = assessment.policy.interval if assessment.policy else None
    yield " ".join(part for part in (describe_key(table), f"every {interval}" if interval else "") if part)
    count = count_partitions(table.partitions)
    yield f"{count} partition{'' if count == 1 else 's'}"
    yield format_bytes(sum_bytes(table.partitions))
    if (rows := sum_rows(table.partitions)) is not None:
        yield f"{format_count(rows)} rows"
    if headroom := _headroom(assessment):
        yield f"ends in {headroom}" if headroom != "ended" else "has ended"
    if table.managed_by:
        yield f"managed by {format_untrusted(table.managed_by)}: shown, not touched"


def format_coverage(coverage: Sequence[CoverageSpan], now: datetime, width: int) -> list[str]:
    """Return the strip of an axis: what is covered, where gaps are, where now is; nothing for an axis without length.

    A cell with any gap in it shows the gap.
    """
    if not coverage:
        return []
    first, last = coverage[0].lower, coverage[-1].upper
    ends = (format_value(first), format_value(last))
    cells = width - sum(map(len, ends)) - len("  coverage    ")
    low, length = _position(first), _position(last) - _position(first)
    if cells < 10 or length <= 0:
        return []
    strip = [_COVERED] * cells
    for span in coverage:
        if not span.partition:
            begin = int((_position(span.lower) - low) / length * cells)
            end = max(begin + 1, -int(-(_position(span.upper) - low) / length * cells // 1))
            strip[begin:end] = [_GAP] * (min(end, cells) - begin)
    legend = [f"{_GAP} gap"] if _GAP in strip else []
    if isinstance(first, datetime) and 0 <= (at := (now.timestamp() - low) / length) < 1:
        strip[int(at * cells)] = _NOW
        legend.append(f"{_NOW} now")
    lines = [f"  coverage  {ends[0]} {''.join(strip)} {ends[1]}"]
    return [*lines, *([f"            {'  '.join(legend)}"] if legend else [])]


def _position(value: datetime | int) -> float:
    return value.timestamp() if isinstance(value, datetime) else float(value)


def _tree_rows(table: PartitionedTable, assessment: PartitionAssessment) -> Iterator[tuple[str, ...]]:
    marks = mark_partitions(assessment)
    largest = max((bytes_of(each) for each in table.partitions), default=0)
    gaps = gaps_before(table, assessment)
    for number, partition in enumerate(table.partitions, 1):
        gap = gaps.get(partition.table)
        if gap is not None:
            bounds = f"[{format_value(gap.lower)}, {format_value(gap.upper)})"
            yield (f"├ {_GAP}", bounds, "", "", "", "▲ gap")
        is_last = number == len(table.partitions) and not table.detached
        yield from _rows_of_partition(partition, marks, largest, "└ " if is_last else "├ ", "  " if is_last else "│ ")
    for detached in table.detached:
        told = f"detached {detached.detached_at:%Y-%m-%d %H:%M}" if detached.detached_at else "detached"
        told += f", archive {detached.archive}" if detached.archive else ""
        told = "copy, left alone" if detached.is_copy else told
        yield (f"╌ {detached.table}", detached.bound_text, "", "", _rows(detached.rows_estimate), told)


def _rows_of_partition(
    partition: Partition, marks: PartitionMarks, largest: int, branch: str, stem: str
) -> Iterator[tuple[str, ...]]:
    name = partition.table.name
    size = bytes_of(partition)
    yield (
        branch + name,
        format_bound(partition.bound, partition.bound_text),
        _size(size),
        _bar(size, largest),
        _rows(rows_of(partition)),
        ", ".join(map(str, marks.of(partition))),
    )
    for number, child in enumerate(partition.partitions, 1):
        is_last = number == len(partition.partitions)
        yield from _rows_of_partition(
            child, marks, largest, stem + ("└ " if is_last else "├ "), stem + ("  " if is_last else "│ ")
        )


def _bar(size: int, largest: int) -> str:
    eighths = round(size / largest * _BAR_CELLS * 8) if largest else 0
    return "█" * (eighths // 8) + (_BAR[eighths % 8 - 1] if eighths % 8 else "")


# ---------------------------------------------------------------- plans


def format_plan(plan: PartitionPlan, policy: str, width: int) -> list[str]:
    """Return a plan: its policy, each step with its reason, SQL and locks, what is to know and what is refused.

    SQL stands whole on lines of its own, so that it can be copied.
    """
    lines = [f"plan for {format_untrusted(str(plan.table))}", *_labelled("policy", policy, width)]
    if plan.is_converged:
        lines.append("  it is as it should be: nothing to do")
    for number, step in enumerate(plan.steps, 1):
        lines += _step_lines(number, step, width)
    for warning in plan.warnings:
        lines += _labelled("warning", warning, width)
    for refusal in plan.refusals:
        lines += _labelled("refused", refusal, width)
    return lines


def _step_lines(number: int, step: PartitionStep, width: int) -> Iterator[str]:
    yield f"{number:>3}. {describe_step(step)}"
    yield from _labelled("why", step.why, width)
    if step.rows_estimate is not None or step.bytes_estimate is not None:
        known = [f"about {format_count(step.rows_estimate)} rows" if step.rows_estimate is not None else "",
                 format_bytes(step.bytes_estimate) if step.bytes_estimate is not None else ""]  # fmt: skip
        yield from _labelled("holds", ", ".join(part for part in known if part), width)
    for statement in step.sql:
        first, *more = statement.splitlines() or [""]
        yield f"     {'sql':<8}{format_untrusted(first)}"
        yield from (f"     {'':<8}{format_untrusted(line)}" for line in more)
    if locks := describe_locks(step):
        yield from _labelled("locks", locks, width)
    if step.sql and not step.in_transaction:
        yield from _labelled("note", "outside a transaction", width)
    yield from _labelled("danger", f"{step.danger}: {_DANGERS[min(step.danger, 3)]}", width)


_DANGERS = ("nothing is changed", "can be taken back", "touches sessions", "rows go unless they were archived")


def _labelled(label: str, text: str, width: int) -> list[str]:
    return _wrapped(text, width, first=f"     {label:<8}", indent=" " * 13) if text else []


def _wrapped(text: str, width: int, first: str = "", indent: str = "") -> list[str]:
    return textwrap.wrap(format_untrusted(text), max(40, width), initial_indent=first or indent,
                         subsequent_indent=indent or "  ", break_long_words=False, break_on_hyphens=False)  # fmt: skip
