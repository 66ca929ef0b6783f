"""Why nothing can be planned for a table, or not by this policy: a sentence each, which says what to do."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from math import inf

from dbtui.analysis.partitions.calendar import Base, begin_of, break_down, open_zone, wall_of
from dbtui.analysis.partitions.inferring import complete_policy, infer_policy, span_words
from dbtui.analysis.partitions.keys import NUMBER_KINDS, TIME_KINDS, Axis
from dbtui.analysis.partitions.spans import Layout, Span, lay_out, span_of
from dbtui.errors import UsageError
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    HashBound,
    KeyKind,
    PartitionedTable,
    PartitionStrategy,
    RangeBound,
    UnreadBound,
)
from dbtui.model.policies import Interval, IntervalUnit, KeyCodec, PartitionPolicy
from dbtui.model.text import format_untrusted

_OLDEST_POSTGRESQL = 130000
_LARGEST_MODULUS = 10_000


def check_policy(table: PartitionedTable, policy: PartitionPolicy, now: datetime | None = None) -> tuple[str, ...]:
    """Return why nothing is planned for a table under a policy, a sentence each; none: it can be.

    `now`: what is live; the table's own clock if it is not given.
    """
    refusals, _ = lay_out_checked(table, complete_policy(table, policy), now or table.taken_at)
    return refusals


def lay_out_checked(
    table: PartitionedTable, policy: PartitionPolicy, now: datetime
) -> tuple[tuple[str, ...], Layout | None]:
    """Return why nothing is planned under a complete policy; and a table by range on its axis, where it got so far."""
    refusals = tuple(_check_table(table)) or tuple(_check_words(table, policy))
    layout = None
    if not refusals and table.strategy is PartitionStrategy.RANGE and policy.interval is not None:
        try:
            layout = lay_out(table, policy, policy.interval, now)
            refusals = tuple(_check_bounds(table, policy, policy.interval, layout))
        except OverflowError:
            refusals = (f"with {policy.interval} and {policy.retention} the calendar of {table.table} ends; use less",)
    return tuple(map(format_untrusted, refusals)), layout


def _check_table(table: PartitionedTable) -> Iterator[str]:
    name = table.table
    if table.managed_by:
        yield f"{name} is kept by {table.managed_by}: it is shown here, and changed there"
    if table.is_replica:
        yield f"this server is a standby: plan for {name} on its primary"
    if table.is_pooled:
        yield f"a pooler is in the way to {name}, and would hand locks to others: connect to the server itself"
    if not table.is_owner:
        owner = f"; log in as {table.owner}, or: GRANT {table.owner} TO this login" if table.owner else ""
        yield f"this login does not own {name}, and only its owner may change its partitions{owner}"
    if table.engine is EngineName.POSTGRESQL and 0 < table.server_version_number < _OLDEST_POSTGRESQL:
        yield f"{name} is on PostgreSQL {table.server_version_number // 10000}: plans are made from 13 on"
    if table.engine is EngineName.SQLITE:
        yield "SQLite has no partitions"
    default = table.default
    if default is not None and default.is_foreign:
        yield (
            f"the default {default.table} is a foreign table: its rows cannot be kept still while a partition is made,"
            " and those that belong into it would not be found any more; make partitions by hand"
        )
    yield from _check_key(table)


def _check_key(table: PartitionedTable) -> Iterator[str]:
    name = table.table
    if table.strategy is PartitionStrategy.HASH:
        return
    if len(table.key_kinds) != 1:
        yield (
            f"the key of {name} has {len(table.key_kinds)} columns, and what lies between two bounds is not clear: make"
            " partitions by hand"
        )
        return
    kind = table.key_kinds[0]
    if table.strategy is PartitionStrategy.RANGE and kind in (KeyKind.OTHER, KeyKind.TEXT):
        yield (
            f"the key of {name}, {table.key_text or kind.value}, has no order that is known here: make its"
            " partitions by hand"
        )
    unread = [each for each in table.partitions if isinstance(each.bound, UnreadBound) and not each.is_detach_pending]
    if unread:
        more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
        yield (
            f"the bounds of {unread[0].table}{more} were not understood, so what is covered is not known: make"
            " partitions by hand"
        )
    nested = next((each for each in table.partitions if each.strategy is not None), None)
    if nested is not None and table.engine is EngineName.POSTGRESQL:
        yield (
            f"{nested.table} is itself partitioned by {nested.strategy}: make the next ones of {name} by hand, and"
            f" plan for {nested.table} as a table of its own"
        )


def _check_words(table: PartitionedTable, policy: PartitionPolicy) -> Iterator[str]:
    if table.strategy is not PartitionStrategy.RANGE:
        if policy.retention is not None:
            yield f"partitions of {table.table} by {table.strategy.value} have no age: leave retention out"
        if table.strategy is PartitionStrategy.HASH:
            yield from _check_modulus(table, policy)
        return
    if policy.interval is None:
        yield f'nothing tells how long the partitions of {table.table} should be: give an interval, such as "1 month"'
        return
    if policy.premake < 1:
        yield "with premake 0 there is a moment without a partition for now: use 1 or more"
    yield from _check_units(table.key_kinds[0], policy, policy.interval)
    try:
        open_zone(policy.time_zone)
    except UsageError as error:
        yield str(error)


def _check_modulus(table: PartitionedTable, policy: PartitionPolicy) -> Iterator[str]:
    bounds = [each.bound for each in table.partitions if isinstance(each.bound, HashBound)]
    largest = max((bound.modulus for bound in bounds), default=policy.modulus)
    if policy.modulus is not None and policy.modulus != largest:
        yield (
            f"{table.table} has the modulus {largest}, the policy says {policy.modulus}: another one moves every row,"
            " so copy it into a new table"
        )
    if largest is not None and not 1 <= largest <= _LARGEST_MODULUS:
        yield f"a modulus of {largest} cannot be planned for: use 1 to {_LARGEST_MODULUS}"


def _check_units(kind: KeyKind, policy: PartitionPolicy, interval: Interval) -> Iterator[str]:
    is_number = interval.unit is IntervalUnit.NUMBER
    holds_time = kind in TIME_KINDS or policy.codec is not KeyCodec.NONE
    if kind in TIME_KINDS and policy.codec is not KeyCodec.NONE:
        yield f"the key is a {kind.value} and needs no codec ({policy.codec.value}): leave it out"
    if kind is KeyKind.UUID and policy.codec is not KeyCodec.UUID7 and not is_number:
        yield "the key is a uuid: its codec is uuid7"
    if kind in NUMBER_KINDS and policy.codec is KeyCodec.UUID7:
        yield f"the key is {kind.value}, and no uuid: use an epoch as its codec"
    if is_number and (holds_time or kind is KeyKind.UUID):
        yield f'the key holds time, and an interval of {interval} is a number: use one such as "1 month"'
    if not is_number and not holds_time:
        yield (
            f"the key is a whole number, and an interval of {interval} is time: use a number, or say how it holds"
            ' time by a codec, such as "epoch ms"'
        )
    if policy.retention is not None and is_number != (policy.retention.unit is IntervalUnit.NUMBER):
        yield f"the interval is {interval} and the retention {policy.retention}: both are time, or both numbers"
    if kind is KeyKind.DATE and interval.unit is IntervalUnit.HOUR:
        yield "the key is a date, which has no hours: use an interval of days or more"


# --- what is there against the policy --------------------------------------------------------------------------------


def _check_bounds(
    table: PartitionedTable, policy: PartitionPolicy, interval: Interval, layout: Layout
) -> Iterator[str]:
    axis, spans = layout.axis, layout.spans
    there = [each for each in table.partitions if isinstance(each.bound, RangeBound) and not each.is_detach_pending]
    if len(spans) < len(there):
        odd_one = next(each for each in there if span_of(each, axis) is None)
        yield f"the bounds of {odd_one.table} ({odd_one.bound_text}) are no values of a key that is {_key_words(axis)}"
        return
    if axis.is_time and axis.kind not in TIME_KINDS:
        odd = next((span for span in spans if not (axis.is_sane(span.lower) and axis.is_sane(span.upper))), None)
        if odd is not None:
            yield f"read as {axis.codec.value}, {odd.partition.table} is not between 1970 and 2200: use another codec"
            return
    for first, second in pairwise(spans):
        if second.lower < first.upper:
            yield f"{first.partition.table} and {second.partition.table} overlap: detach one of them first"
            return
    yield from check_alignment(table, policy, layout, interval)


def _key_words(axis: Axis) -> str:
    return axis.kind.value if axis.codec.value == "none" else axis.codec.value


def check_alignment(
    table: PartitionedTable, policy: PartitionPolicy, layout: Layout, interval: Interval
) -> Iterator[str]:
    """Yield why a policy does not continue the partitions that are there: another interval, another zone's midnight."""
    live = layout.live
    if not live:
        return
    if not layout.is_fitting and not _is_rest_of_cell(live, layout):
        yield _word_misfit(table, policy, live, layout.axis, interval)
    elif _is_at_other_midnight(live[-1], layout, interval):
        yield _word_zone(table, policy, live[-1])


def _word_misfit(
    table: PartitionedTable, policy: PartitionPolicy, live: tuple[Span, ...], axis: Axis, interval: Interval
) -> str:
    found = infer_policy(table)
    other = found is not None and found.time_zone != policy.time_zone
    if found is not None and other and found.interval == interval and axis.is_time and axis.grid_zone is not None:
        return _word_zone(table, policy, live[-1], found.time_zone)
    last = live[-1]
    advice = f'set the interval to "{found.interval}"' if found and found.interval else "make the next one by hand"
    return (
        f"the policy of {table.table} says {interval}, and no partition is that long: {last.partition.table} has"
        f" {span_words(last, axis)}; {advice}, or make one of {interval} by hand, which is then continued"
    )


def _is_rest_of_cell(live: tuple[Span, ...], layout: Layout) -> bool:
    """Whether all there is fills up a cell: the first of a plan's partitions, which was stopped after it."""
    lower, upper = live[0].lower, live[0].upper
    is_one = len(live) == 1 and lower > -inf and upper < inf
    return is_one and not layout.grid.is_on(int(lower)) and layout.grid.following(int(lower)) == upper


def _is_at_other_midnight(last: Span, layout: Layout, interval: Interval) -> bool:
    zone = layout.axis.grid_zone
    if zone is None or break_down(interval)[0] not in (Base.DAY, Base.MONTH) or last.upper == inf:
        return False
    position = int(last.upper)
    local = layout.axis.moment(position)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return begin_of(midnight, zone) != position


def _word_zone(table: PartitionedTable, policy: PartitionPolicy, last: Span, zone: str = "") -> str:
    at = wall_of(int(last.upper))
    advice = f'set time_zone = "{zone}"' if zone else "set time_zone to the one they were made in"
    return (
        f"partitions of {table.table} begin at {at:%H:%M} UTC ({last.partition.table} ends {at:%Y-%m-%d %H:%M} UTC),"
        f" which is no midnight in {policy.time_zone}: {advice}"
    )
