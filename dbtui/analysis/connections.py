"""Judging looks at a target: what there is to say of it, rates out of two looks, how long to wait before another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dbtui.model.connections import StatusCounters, TargetStatus
from dbtui.model.findings import FindingLevel, TargetConcern, TargetFinding
from dbtui.model.text import format_duration

#: From these on there is something to say: the age of a transaction, the part of the sessions that is used, how far
#: a replica is behind; and below this part of the reads found in memory.
OLD_TRANSACTION_SECONDS = 300.0
FULL_FRACTION = 0.8
LAGGING_SECONDS = 10.0
LOW_CACHE_HIT_FRACTION = 0.9

#: A start that is derived from an uptime in whole seconds moves a little from look to look.
_START_TOLERANCE_SECONDS = 5.0
_JITTER = 0.25
_COMPARED = ("sessions_used", "sessions_available", "sessions_active", "sessions_idle_in_transaction",
             "sessions_blocked")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a target does a second. None: it does not count that, or nothing can be said yet.

    `cache_hit_fraction` is None also when nothing was read between the two looks. `was_reset`: the server started
    anew or its counters were set back, so the two looks cannot be compared.
    """

    tps: float | None = None
    qps: float | None = None
    cache_hit_fraction: float | None = None
    was_reset: bool = False


NO_RATES = Rates()


def assess_status(status: TargetStatus) -> tuple[TargetFinding, ...]:
    """Return what there is to say of a target by one look at it, what matters most first; nothing: all is well."""
    return tuple(sorted(_findings(status), key=lambda finding: finding.level is not FindingLevel.TROUBLE))


def _findings(status: TargetStatus) -> Iterator[TargetFinding]:
    remark, trouble = FindingLevel.REMARK, FindingLevel.TROUBLE
    used, available, age = status.sessions_used, status.sessions_available, status.oldest_transaction_seconds
    if status.sessions_blocked:
        yield TargetFinding(TargetConcern.BLOCKED, trouble, f"{status.sessions_blocked} blocked")
    if age is not None and age >= OLD_TRANSACTION_SECONDS:
        yield TargetFinding(TargetConcern.OLD_TRANSACTION, remark, f"oldest transaction {format_duration(age)}")
    if available and used is not None and used >= FULL_FRACTION * available:
        yield TargetFinding(TargetConcern.FULL, remark, f"{used} of {available} sessions used")
    if status.lag_seconds is not None and status.lag_seconds >= LAGGING_SECONDS:
        yield TargetFinding(TargetConcern.LAGGING, remark, f"{format_duration(status.lag_seconds)} behind")
    if status.file is not None and status.file.integrity not in ("", "ok"):
        yield TargetFinding(TargetConcern.DAMAGED, trouble, f"damaged: {status.file.integrity}")


def assess_cache_hit(rates: Rates) -> TargetFinding | None:
    """Return what there is to say of how much was read from memory between two looks."""
    fraction = rates.cache_hit_fraction
    if fraction is None or fraction >= LOW_CACHE_HIT_FRACTION:
        return None
    words = f"{fraction * 100:.1f} % of the reads hit the cache"
    return TargetFinding(TargetConcern.LOW_CACHE_HIT, FindingLevel.REMARK, words)


def assess_changes(previous: TargetStatus | None, current: TargetStatus) -> frozenset[str]:
    """Return which values of a target differ between two looks, by their names; ages and sizes, which always do, are
    none of them. Before the first look there was nothing to differ from.
    """
    if previous is None:
        return frozenset()
    changed = {name for name in _COMPARED if getattr(previous, name) != getattr(current, name)}
    if previous.info is not None and current.info is not None and previous.info.role != current.info.role:
        changed.add("role")
    return frozenset(changed)


def assess_rates(previous: TargetStatus, current: TargetStatus) -> Rates:
    """Return what happened a second between two looks at one target."""
    seconds = (current.taken_at - previous.taken_at).total_seconds()
    before, after = previous.counters, current.counters
    if before is None or after is None or seconds <= 0:
        return NO_RATES
    if _started_anew(previous, current) or _was_set_back(before, after):
        return Rates(was_reset=True)
    hit, read = _difference(before.blocks_hit, after.blocks_hit), _difference(before.blocks_read, after.blocks_read)
    transactions = _difference(before.transactions, after.transactions)
    queries = _difference(before.queries, after.queries)
    return Rates(
        tps=None if transactions is None else transactions / seconds,
        qps=None if queries is None else queries / seconds,
        cache_hit_fraction=None if hit is None or read is None or hit + read == 0 else hit / (hit + read),
    )


def _started_anew(previous: TargetStatus, current: TargetStatus) -> bool:
    if previous.started_at is None or current.started_at is None:
        return False
    return (current.started_at - previous.started_at).total_seconds() > _START_TOLERANCE_SECONDS


def _was_set_back(before: StatusCounters, after: StatusCounters) -> bool:
    pairs = (
        (before.transactions, after.transactions),
        (before.queries, after.queries),
        (before.blocks_hit, after.blocks_hit),
        (before.blocks_read, after.blocks_read),
    )
    return any(old is not None and new is not None and new < old for old, new in pairs)


def _difference(old: int | None, new: int | None) -> int | None:
    return None if old is None or new is None else new - old


def describe_backoff(
    attempt: int, random: Callable[[], float], *, first_seconds: float = 1.0, longest_seconds: float = 30.0
) -> float:
    """Return how many seconds to wait after the `attempt`-th failure in a row (from 1): 1 2 4 8 16 30 30 ….

    `random` returns a number from 0 to 1. A quarter of the time is left to it, so that a hundred targets that were
    lost together are not tried together.
    """
    seconds = min(longest_seconds, first_seconds * 2.0 ** min(max(attempt, 1) - 1, 30))
    return seconds * (1 - _JITTER * random())
