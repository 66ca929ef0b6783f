"""What is wrong with a partitioned table, and how long its partitions last."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from math import inf

from dbtui.analysis.partitions.calendar import NANOSECONDS, Position, grid_through
from dbtui.analysis.partitions.checking import check_alignment, check_policy
from dbtui.analysis.partitions.creating import missing_remainders, parse_value, rows_in_default
from dbtui.analysis.partitions.expiring import LEFT_ALONE, due_spans
from dbtui.analysis.partitions.indexing import (
    indexed_partitions,
    invalid_indexes,
    missing_indexes,
    stuck_indexes,
    word_stuck,
)
from dbtui.analysis.partitions.inferring import complete_policy, infer_policy
from dbtui.analysis.partitions.planning import locks_needed
from dbtui.analysis.partitions.spans import Layout, Span, lay_out
from dbtui.errors import UsageError
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    CoverageSpan,
    KeyKind,
    ListBound,
    PartitionAssessment,
    PartitionedTable,
    PartitionFinding,
    PartitionLevel,
    PartitionStrategy,
    PartitionTrouble,
    UnreadBound,
)
from dbtui.model.policies import Interval, PartitionPolicy
from dbtui.model.text import format_count, format_duration, format_untrusted

_MOST_OF_A_KIND = 20
_HOUR_SECONDS = 3600
#: How the server calls an index that it builds in place of another (the manual, REINDEX).
_LEFT_BY_REINDEX = re.compile(r"_cc(new|old)\d*$")
_LEVELS = (PartitionLevel.TROUBLE, PartitionLevel.WARNING, PartitionLevel.REMARK)
Findings = Iterator[PartitionFinding]


def assess_partitions(
    table: PartitionedTable, policy: PartitionPolicy | None, now: datetime, *, prunes: bool | None = None
) -> PartitionAssessment:
    """Return what is to be known about a table at a moment, the worst first.

    `policy` None: that of its own partitions. `prunes`: whether a query up to now() leaves partitions out;
    None: unknown.
    """
    judged = complete_policy(table, policy) if policy is not None else infer_policy(table)
    layout = _lay_out(table, judged, now)
    findings = [*_find(table, prunes=prunes)]
    if judged is not None:
        findings += [*_find_values(table, judged), *_find_refusals(table, judged, now, is_asked=policy is not None)]
    if layout is None or judged is None:
        return PartitionAssessment(table=table.table, findings=_worst_first(findings), policy=judged)
    past = due_spans(layout, 1) if any(layout.now < span.upper for span in layout.spans) else due_spans(layout, 0)
    due = [span for span in past if not span.partition.is_foreign]
    findings += [*_find_gaps(table, layout), *_find_headroom(table, judged, layout), *_find_due(judged, len(due))]
    findings += _find_foreign(past)
    findings += _find_misaligned(table, judged, layout)
    ends_at = _ends_at(layout)
    current = next((span.partition.table.name for span in layout.spans if span.lower <= layout.now < span.upper), "")
    return PartitionAssessment(
        table=table.table,
        findings=_worst_first(findings),
        coverage=tuple(_cover(layout)),
        headroom_seconds=(ends_at - now).total_seconds() if ends_at is not None else None,
        ends_at=ends_at,
        current=current,
        due=tuple(span.partition.table.name for span in due),
        policy=judged,
    )


def _lay_out(table: PartitionedTable, policy: PartitionPolicy | None, now: datetime) -> Layout | None:
    """The table on its axis; None where there is none, or it ends before the policy does."""
    if policy is None or policy.interval is None or table.strategy is not PartitionStrategy.RANGE:
        return None
    if table.is_made_on_demand:  # what has no partition yet is neither a gap nor an end
        return None
    if len(table.key_kinds) != 1 or table.key_kinds[0] in (KeyKind.OTHER, KeyKind.TEXT):
        return None
    try:
        return lay_out(table, policy, policy.interval, now)
    except (UsageError, OverflowError):
        return None  # check_policy has said why


def _worst_first(findings: list[PartitionFinding]) -> tuple[PartitionFinding, ...]:
    ordered = sorted(findings, key=lambda each: _LEVELS.index(each.level))
    return tuple(replace(each, sentence=format_untrusted(each.sentence)) for each in ordered)


def _say(kind: PartitionTrouble, level: PartitionLevel, sentence: str, partition: str = "") -> PartitionFinding:
    return PartitionFinding(kind=kind, level=level, sentence=sentence, partition=partition)


# --- of any table ----------------------------------------------------------------------------------------------------


def _find(table: PartitionedTable, *, prunes: bool | None) -> Findings:
    if table.managed_by:
        sentence = f"kept by {table.managed_by}: shown here, changed there"
        yield _say(PartitionTrouble.MANAGED, PartitionLevel.REMARK, sentence)
    if not table.is_owner:
        owner = f", but to {table.owner}" if table.owner else ""
        sentence = f"does not belong to this login{owner}: shown, and not to be changed"
        yield _say(PartitionTrouble.NOT_OWNER, PartitionLevel.REMARK, sentence)
    for each in table.partitions:
        if each.is_detach_pending:
            sentence = "its detach was begun and did not end, and no other can be detached concurrently until it has"
            yield _say(PartitionTrouble.DETACH_PENDING, PartitionLevel.TROUBLE, sentence, each.table.name)
        elif isinstance(each.bound, UnreadBound):
            sentence = f"its bounds were not understood: {each.bound_text}"
            yield _say(PartitionTrouble.UNREADABLE, PartitionLevel.WARNING, sentence, each.table.name)
    if prunes is False:
        sentence = "a query up to now() reads every partition: give it times as literals, or as parameters"
        yield _say(PartitionTrouble.CANNOT_PRUNE, PartitionLevel.WARNING, sentence)
    yield from _find_default(table)
    yield from _find_indexes(table)
    yield from _find_locks(table)


def _find_default(table: PartitionedTable) -> Findings:
    default = table.default
    if default is None:
        return
    name = default.table.name
    if table.default_rows:
        rows = format_count(table.default_rows)
        sentence = f"{rows} rows have no partition of their own, and block the one they belong into"
        yield _say(PartitionTrouble.DEFAULT_ROWS, PartitionLevel.WARNING, sentence, name)
    if table.strategy is PartitionStrategy.RANGE and table.engine is EngineName.POSTGRESQL:
        sentence = "no partition can be detached concurrently while it is there, and it is scanned whenever one is made"
        yield _say(PartitionTrouble.HAS_DEFAULT, PartitionLevel.REMARK, sentence, name)


def _find_indexes(table: PartitionedTable) -> Findings:
    partitions = indexed_partitions(table)
    stuck = {each.name: word_stuck(table, each) for each in stuck_indexes(table)}
    for parent in table.indexes:
        if parent.name in stuck:
            yield _say(PartitionTrouble.INVALID_INDEX, PartitionLevel.WARNING, stuck[parent.name])
        elif not parent.is_valid:
            sentence = f"{parent.name} of {table.table} is not valid: partitions lack theirs, or one did not get built"
            yield _say(PartitionTrouble.INVALID_INDEX, PartitionLevel.WARNING, sentence)
    for count, (partition, index) in enumerate(missing_indexes(table)):
        if count < _MOST_OF_A_KIND:
            sentence = f"lacks the index {index.name} of its parent"
            yield _say(PartitionTrouble.MISSING_INDEX, PartitionLevel.WARNING, sentence, partition.table.name)
    for partition, index in invalid_indexes(table):
        sentence = f"its index {index.name} did not get built, and no query uses it"
        if not index.parent and _LEFT_BY_REINDEX.search(index.name):
            sentence = (
                f"a REINDEX that was stopped has left {index.name}, which no query uses: DROP INDEX CONCURRENTLY it"
            )
        yield _say(PartitionTrouble.INVALID_INDEX, PartitionLevel.WARNING, sentence, partition.table.name)
    key = table.key_columns[0] if table.key_columns else ""
    if partitions and key and not any(index.columns[:1] == (key,) for index in table.indexes):
        without = [each for each in partitions if not any(index.columns[:1] == (key,) for index in each.indexes)]
        if without:
            advice = f": CREATE INDEX ON ONLY {table.table} ({key}), and the next plan builds it on each"
            sentence = f"{len(without)} of {len(partitions)} partitions have no index that begins with the key {key}"
            sentence += "" if table.managed_by else advice
            yield _say(PartitionTrouble.MISSING_INDEX, PartitionLevel.REMARK, sentence)


def _find_locks(table: PartitionedTable) -> Findings:
    if table.lock_slots is None:
        return
    needed = locks_needed(table)
    if 2 * needed > table.lock_slots:
        level = PartitionLevel.WARNING if needed > table.lock_slots else PartitionLevel.REMARK
        sentence = f"a query that reads every partition takes {needed} of the server's {table.lock_slots} locks"
        yield _say(PartitionTrouble.LOCK_TABLE, level, sentence)


def _find_values(table: PartitionedTable, policy: PartitionPolicy) -> Findings:
    if table.strategy is PartitionStrategy.HASH and table.engine is EngineName.POSTGRESQL:
        missing = missing_remainders(table, policy.modulus)
        if missing:
            which = ", ".join(str(bound.remainder) for bound in missing[:5]) + (", …" if len(missing) > 5 else "")
            sentence = f"rows of remainder {which} of {missing[0].modulus} have no partition, and cannot be written"
            yield _say(PartitionTrouble.INCOMPLETE_HASH, PartitionLevel.TROUBLE, sentence)
    if table.strategy is PartitionStrategy.LIST and len(table.key_kinds) == 1:
        bounds = [each.bound for each in table.partitions if isinstance(each.bound, ListBound)]
        taken = {value for bound in bounds for value in bound.values}
        for text in policy.values:
            if not _is_taken(text, table.key_kinds[0], taken):
                sentence = f"“{text}” has no partition of its own"
                yield _say(PartitionTrouble.MISSING_VALUE, PartitionLevel.WARNING, sentence)


def _is_taken(text: str, kind: KeyKind, taken: Collection[object]) -> bool:
    try:
        return parse_value(text, kind) in taken
    except (ValueError, ArithmeticError):
        return False


def _find_refusals(table: PartitionedTable, policy: PartitionPolicy, now: datetime, *, is_asked: bool) -> Findings:
    """What keeps a policy that somebody gave from being followed, where no other finding says it."""
    told = table.managed_by or not table.is_owner or any(isinstance(p.bound, UnreadBound) for p in table.partitions)
    if is_asked and not told and not table.is_replica and not table.is_pooled:
        for sentence in check_policy(table, policy, now):
            kind = PartitionTrouble.OVERLAP if "overlap" in sentence else PartitionTrouble.MISALIGNED
            yield _say(kind, PartitionLevel.WARNING, sentence)


# --- of ranges -------------------------------------------------------------------------------------------------------


def _find_gaps(table: PartitionedTable, layout: Layout) -> Findings:
    count = 0
    takes = "go to default" if table.default is not None else "cannot be written"
    for first, second in pairwise(layout.spans):
        if second.lower < first.upper:
            sentence = f"{first.partition.table.name} overlaps with it"
            yield _say(PartitionTrouble.OVERLAP, PartitionLevel.TROUBLE, sentence, second.partition.table.name)
        elif second.lower > first.upper:
            count += 1
            if count > _MOST_OF_A_KIND:
                continue
            level = PartitionLevel.TROUBLE if second.lower > layout.now else PartitionLevel.WARNING
            if layout.is_due(first) and layout.cut is not None and second.lower <= layout.cut:
                level = PartitionLevel.REMARK  # its rows would be past retention
            ends = f"[{_show(first.upper, layout)}, {_show(second.lower, layout)})"
            sentence = f"a gap before it: rows of {ends} {takes}"
            yield _say(PartitionTrouble.GAP, level, sentence, second.partition.table.name)
    if count > _MOST_OF_A_KIND:
        yield _say(PartitionTrouble.GAP, PartitionLevel.WARNING, f"{count - _MOST_OF_A_KIND} more gaps")


def _show(position: Position, layout: Layout) -> str:
    if not layout.axis.is_time:
        return str(int(position))
    moment = layout.axis.moment(position)
    is_midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return f"{moment:%Y-%m-%d}" if is_midnight else f"{moment:%Y-%m-%d %H:%M}"


def _find_headroom(table: PartitionedTable, policy: PartitionPolicy, layout: Layout) -> Findings:
    if not layout.covered or layout.covered[-1].upper == inf:
        if layout.tail is not None and not layout.covered:
            sentence = f"all rows go to {layout.tail.partition.table.name}, for there is no other partition"
            yield _say(PartitionTrouble.HEADROOM, PartitionLevel.WARNING, sentence)
        return
    last = layout.covered[-1]
    name = last.partition.table.name
    rest = _rest(table, layout)
    if last.upper <= layout.now:
        level = (
            PartitionLevel.WARNING if table.default is not None or layout.tail is not None else PartitionLevel.TROUBLE
        )
        when = f" {format_duration((layout.now - last.upper) / NANOSECONDS)} ago" if layout.axis.is_time else ""
        yield _say(PartitionTrouble.HEADROOM, level, f"the last partition ended{when}: rows of now {rest}", name)
        return
    ahead = sum(span.lower > layout.now for span in layout.covered)
    if not layout.axis.is_time:
        if ahead == 0:
            sentence = f"the newest rows are in the last partition: those from {int(last.upper)} on {rest}"
            yield _say(PartitionTrouble.HEADROOM, PartitionLevel.WARNING, sentence, name)
        return
    seconds = (last.upper - layout.now) / NANOSECONDS
    width = (last.upper - last.lower) / NANOSECONDS
    ends = f"the last partition ends in {format_duration(seconds)}"
    if ahead == 0:
        is_close = seconds < max(_HOUR_SECONDS, width / 10)
        level = PartitionLevel.TROUBLE if is_close else PartitionLevel.WARNING
        yield _say(PartitionTrouble.HEADROOM, level, f"{ends}: rows of then {rest}", name)
    elif ahead < policy.premake and policy.origin != "from what is there":
        sentence = f"{ends}: {ahead} of {policy.premake} are there ahead"
        yield _say(PartitionTrouble.HEADROOM, PartitionLevel.REMARK, sentence, name)


def _rest(table: PartitionedTable, layout: Layout) -> str:
    if layout.tail is not None:
        return f"go to {layout.tail.partition.table.name}"
    return "go to default" if table.default is not None else "cannot be written"


def _find_due(policy: PartitionPolicy, count: int) -> Findings:
    if count:
        sentence = f"{count} past retention ({policy.retention})"
        yield _say(PartitionTrouble.PAST_RETENTION, PartitionLevel.WARNING, sentence)


def _find_foreign(past: Iterable[Span]) -> Findings:
    for span in past:
        if span.partition.is_foreign:
            name = span.partition.table.name
            yield _say(
                PartitionTrouble.PAST_RETENTION, PartitionLevel.REMARK, f"past retention, and {LEFT_ALONE}", name
            )


def _find_misaligned(table: PartitionedTable, policy: PartitionPolicy, layout: Layout) -> list[PartitionFinding]:
    """Partitions that neither begin nor end where the grid says; a policy that fits none was told already."""
    tail_rows = rows_in_default(table, layout.tail) if layout.tail is not None else 0
    found = []
    if tail_rows and layout.tail is not None:
        sentence = (
            f"about {format_count(tail_rows)} rows have no partition of their own, and are copied when it is split"
        )
        found.append(
            _say(PartitionTrouble.DEFAULT_ROWS, PartitionLevel.WARNING, sentence, layout.tail.partition.table.name)
        )
    if policy.interval is None or any(check_alignment(table, policy, layout, policy.interval)):
        return found
    odd = [
        span.partition.table.name
        for span in layout.live
        if grid_through(int(span.lower), int(span.upper), policy.interval, layout.grid.zone) != layout.grid
        and not (layout.grid.is_on(int(span.lower)) and layout.grid.is_on(int(span.upper)))
    ]
    if odd:
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        sentence = (
            f"{odd[0]}{more} do not begin and end with {_article(policy.interval)}: what is made next fits between"
        )
        found.append(_say(PartitionTrouble.MISALIGNED, PartitionLevel.REMARK, sentence, odd[0]))
    return found


def _article(interval: Interval) -> str:
    return f"every {interval}"


def _ends_at(layout: Layout) -> datetime | None:
    if not layout.axis.is_time or not layout.covered or layout.covered[-1].upper == inf:
        return None
    return layout.axis.moment(layout.covered[-1].upper)


def _cover(layout: Layout) -> Iterator[CoverageSpan]:
    """Partitions and gaps in order, to now at least. What is endless reaches one step further than the rest."""
    at: Position | None = None
    for span in layout.spans:
        known = [end for end in (span.lower, span.upper) if -inf < end < inf]
        if not known:
            continue
        lower = span.lower if span.lower > -inf else layout.grid.floor(int(span.upper) - 1)
        upper = span.upper if span.upper < inf else layout.grid.following(int(span.lower))
        if at is not None and lower > at:
            yield _coverage(at, lower, layout)
        yield _coverage(lower, upper, layout, span.partition.table.name)
        at = upper
    if at is not None and at < layout.now:
        yield _coverage(at, layout.now, layout)


def _coverage(lower: Position, upper: Position, layout: Layout, partition: str = "") -> CoverageSpan:
    if not layout.axis.is_time:
        return CoverageSpan(int(lower), int(upper), partition)
    return CoverageSpan(layout.axis.moment(lower), layout.axis.moment(upper), partition)
