"""What a table's own partitions say about the policy that made them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TypeVar
from zoneinfo import available_timezones

from dbtui.analysis.partitions.calendar import HOUR, begin_of, open_zone, wall_of
from dbtui.analysis.partitions.keys import NUMBER_KINDS, TIME_KINDS, Axis
from dbtui.analysis.partitions.spans import Span, axis_of, read_spans, span_of
from dbtui.errors import UsageError
from dbtui.model.partitions import HashBound, KeyKind, ListBound, PartitionedTable, PartitionStrategy
from dbtui.model.policies import Interval, IntervalUnit, KeyCodec, PartitionPolicy

ORIGIN = "from what is there"
_EPOCHS = (
    KeyCodec.EPOCH_SECONDS,
    KeyCodec.EPOCH_MILLISECONDS,
    KeyCodec.EPOCH_MICROSECONDS,
    KeyCodec.EPOCH_NANOSECONDS,
)
_DAY = 24 * HOUR
_SAMPLE = 36
_EARLIEST = 20 * 365 * _DAY  # 1990: smaller numbers are ids
#: Tried before all others, for what changes its clocks as these do is most often one of them.
_LIKELY = (
    "Europe/Berlin", "Europe/Paris", "Europe/London", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "Australia/Sydney", "America/Sao_Paulo",
)  # fmt: skip
T = TypeVar("T")
Ends = tuple[tuple[int, int], ...]


def infer_policy(table: PartitionedTable) -> PartitionPolicy | None:
    """Return the policy that a table's partitions follow, keeping all; None if they follow none that we know."""
    policy = PartitionPolicy(table=table.table, origin=ORIGIN)
    bounds = [each.bound for each in table.partitions if not each.is_detach_pending]
    if table.strategy is PartitionStrategy.LIST:
        values = (value for each in bounds if isinstance(each, ListBound) for value in each.values)
        return replace(policy, values=tuple(str(value) for value in values if value is not None))
    if table.strategy is PartitionStrategy.HASH:
        moduli = [each.modulus for each in bounds if isinstance(each, HashBound)]
        return replace(policy, modulus=max(moduli)) if moduli else None
    return _infer_range(table, policy) if len(table.key_kinds) == 1 else None


def _infer_range(table: PartitionedTable, policy: PartitionPolicy) -> PartitionPolicy | None:
    policy = replace(policy, codec=infer_codec(table))
    newest = replace(table, partitions=table.partitions[-2 * _SAMPLE :])  # they come in the order of their bounds
    axis = axis_of(newest, policy)
    spans = [span for span in read_spans(newest, axis) if span.is_finite][-_SAMPLE:]
    ends = tuple((int(span.lower), int(span.upper)) for span in spans)
    if not ends:
        return None
    if not axis.is_time:
        return _infer_numbers(table, policy, ends)
    found = _infer_times(ends, axis, table.session_time_zone)
    return None if found is None else replace(policy, interval=found[1], time_zone=found[0])


def _infer_numbers(table: PartitionedTable, policy: PartitionPolicy, ends: Ends) -> PartitionPolicy | None:
    if table.key_kinds[0] not in NUMBER_KINDS:
        return None
    width = _most_common([upper - lower for lower, upper in ends])
    return replace(policy, interval=Interval(width, IntervalUnit.NUMBER)) if width else None


def infer_codec(table: PartitionedTable) -> KeyCodec:
    """Return how the key of a table holds times, by the size of its bounds; NONE if it is one, or holds none."""
    kind = table.key_kinds[0] if table.key_kinds else KeyKind.OTHER
    if kind is KeyKind.UUID:
        return KeyCodec.UUID7
    if kind not in NUMBER_KINDS or kind in TIME_KINDS:
        return KeyCodec.NONE
    return next((codec for codec in _EPOCHS if _looks_like(table, codec)), KeyCodec.NONE)


def _looks_like(table: PartitionedTable, codec: KeyCodec) -> bool:
    axis = Axis(table.key_kinds[0], codec, UTC)
    found = False
    for each in table.partitions:
        span = None if each.is_detach_pending else span_of(each, axis)
        if span is not None and span.is_finite:
            found = True
            for end in (span.lower, span.upper):
                if not (end >= _EARLIEST and axis.is_sane(end) and end % (HOUR // 4) == 0):
                    return False
    return found


def _infer_times(ends: Ends, axis: Axis, session_zone: str) -> tuple[str, Interval] | None:
    if axis.grid_zone is None:
        zone = session_zone if _is_zone(session_zone) else "UTC"
        found = _infer_interval(ends, None)
        return None if found is None else (zone, found)
    for name in _zones(ends, session_zone):
        found = _infer_interval(ends, open_zone(name))
        if found is not None and found.unit is not IntervalUnit.HOUR:
            return name, found
    hours = _infer_interval(ends, open_zone("UTC"))
    return None if hours is None else ("UTC", hours)


def _is_zone(name: str) -> bool:
    try:
        open_zone(name)
    except UsageError:
        return False
    return True


def _zones(ends: Ends, session_zone: str) -> Iterator[str]:
    """The zones whose midnights bounds may be, the likely ones first."""
    yield "UTC"
    if _is_zone(session_zone):
        yield session_zone
    if any(upper - lower < 20 * HOUR for lower, upper in ends):
        return
    hours = {(lower % _DAY) / HOUR for lower, _ in ends}
    offset = min(hours) if len(hours) == 1 else None
    if offset is not None and offset == int(offset):
        yield f"Etc/GMT{int(offset) - 24 if offset > 11 else int(offset):+d}"
    found = _find_zone(ends)
    if found:
        yield found


@lru_cache(maxsize=256)
def _find_zone(ends: Ends) -> str:
    """The first zone in which every bound is a midnight; empty: there is none."""
    points = sorted({end for pair in ends for end in pair})
    for name in (*_LIKELY, *sorted(available_timezones())):
        if _is_zone(name) and all(_is_midnight(point, open_zone(name)) for point in points):
            return name
    return ""


def _is_midnight(position: int, zone: tzinfo | None) -> bool:
    return begin_of(_midnight(position, zone), zone) == position


def _midnight(position: int, zone: tzinfo | None) -> datetime:
    """The midnight of the day that a position is in."""
    wall = wall_of(position)
    local = wall if zone is None else wall + (wall.replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta())
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _infer_interval(ends: Ends, zone: tzinfo | None) -> Interval | None:
    found = [each for lower, upper in ends if (each := measure(lower, upper, zone)) is not None]
    common = _most_common(found)
    return common if common is not None and 2 * found.count(common) >= len(ends) else None


def measure(lower: int, upper: int, zone: tzinfo | None) -> Interval | None:
    """Return how long a stretch of time is, in the largest unit that fits both ends; None: not in whole hours."""
    if _is_midnight(lower, zone) and _is_midnight(upper, zone):
        return _measure_days(_midnight(lower, zone), _midnight(upper, zone))
    hours, rest = divmod(upper - lower, HOUR)
    return Interval(hours, IntervalUnit.HOUR) if hours and not rest else None


def _measure_days(begin: datetime, end: datetime) -> Interval:
    months = (end.year - begin.year) * 12 + end.month - begin.month
    if begin.day == end.day and months and begin.day <= 28:
        return _name_months(months, begin)
    days = (end - begin).days
    if days % 7 == 0 and begin.weekday() == 0:
        return Interval(days // 7, IntervalUnit.WEEK)
    return Interval(max(1, days), IntervalUnit.DAY)


def _name_months(months: int, begin: datetime) -> Interval:
    if begin.day == 1 and begin.month == 1 and months % 12 == 0:
        return Interval(months // 12, IntervalUnit.YEAR)
    if begin.day == 1 and begin.month % 3 == 1 and months == 3:
        return Interval(1, IntervalUnit.QUARTER)
    return Interval(months, IntervalUnit.MONTH)


def _most_common(values: list[T]) -> T | None:
    return Counter(values).most_common(1)[0][0] if values else None


def complete_policy(table: PartitionedTable, policy: PartitionPolicy) -> PartitionPolicy:
    """Return a policy with what it leaves open filled from the table: the interval, and how the key holds times."""
    if table.strategy is not PartitionStrategy.RANGE or len(table.key_kinds) != 1:
        return policy
    if policy.interval is None:
        found = infer_policy(table)
        if found is not None and found.interval is not None:
            policy = replace(policy, interval=found.interval)
    is_time = policy.interval is not None and policy.interval.unit is not IntervalUnit.NUMBER
    if policy.codec is KeyCodec.NONE and is_time:
        policy = replace(policy, codec=infer_codec(table))
    return policy


def span_words(span: Span, axis: Axis) -> str:
    """Return how long a span is, in words."""
    if not axis.is_time:
        return str(int(span.upper) - int(span.lower))
    found = measure(int(span.lower), int(span.upper), axis.grid_zone)
    return str(found) if found else "no whole number of hours"
