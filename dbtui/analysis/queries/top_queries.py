"""What each shape did between two looks at a server's sums.

Counters begin anew when somebody resets them, and a shape's own when the server forgot it for want of room and met it
again: then what they show now is the least that was done, and is not taken for a difference.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from dbtui.model.queries import TopQueriesSnapshot, TopQuery
from dbtui.model.top_queries import TopQueriesWindow, TopQueryRate, TopQuerySort

#: Sums of floats that come over the wire rounded may seem to go back by so much.
_ROUNDING_SECONDS = 1e-6
#: So far may the server's clock be from ours before a shape counts as one that was there before the window.
_SKEW = timedelta(minutes=5)
_BYTES = ("read_bytes", "hit_bytes", "temp_bytes", "written_bytes", "wal_bytes", "rows_examined", "no_index_calls")


def compare_top_queries(before: TopQueriesSnapshot | None, after: TopQueriesSnapshot) -> TopQueriesWindow:
    """Return what happened between two looks; of one look alone (`before` None), since its counters began.

    Shapes that did nothing are left out. `before` must be of the same server, and earlier.
    """
    if before is None or before.source != after.source:
        return _since_reset(after)
    is_reset = before.since is not None and after.since is not None and after.since > before.since
    began_at, seconds = _span(before, after, is_reset=is_reset)
    earlier = {} if is_reset else {query.key: query for query in before.queries}
    differences, appeared, unmatched = [], 0, 0
    for query in after.queries:
        known = earlier.get(query.key)
        if known is None and not is_reset:
            if query.first_at is not None and query.first_at < before.taken_at - _SKEW:
                unmatched += 1
                continue
            appeared += 1
        differences.append(_subtract(known, query))
    now = {query.key for query in after.queries}
    return _window(
        after,
        differences,
        began_at=began_at,
        seconds=seconds,
        is_since_reset=is_reset,
        appeared=appeared,
        forgotten=sum(1 for query in before.queries if query.key not in now),
        unmatched=unmatched,
        warnings=tuple(_warn(before, after, is_reset=is_reset)),
    )


def _since_reset(after: TopQueriesSnapshot) -> TopQueriesWindow:
    seconds = None if after.since is None else max(0.0, (after.taken_at - after.since).total_seconds())
    differences = [_subtract(None, query) for query in after.queries]
    return _window(after, differences, began_at=after.since, seconds=seconds or None, is_since_reset=True)


def _span(before: TopQueriesSnapshot, after: TopQueriesSnapshot, *, is_reset: bool) -> tuple[datetime, float]:
    """When the window began and how long it was; after a reset since that, as far as both clocks agree."""
    seconds = after.monotonic_seconds - before.monotonic_seconds
    if seconds <= 0:  # looks of two processes
        seconds = max(0.0, (after.taken_at - before.taken_at).total_seconds())
    if is_reset and after.since is not None:
        since = (after.taken_at - after.since).total_seconds()
        if 0 < since <= seconds:
            return after.since, since
    return before.taken_at, seconds


def _warn(before: TopQueriesSnapshot, after: TopQueriesSnapshot, *, is_reset: bool) -> Iterable[str]:
    if is_reset:
        yield "the counters were reset within this time: what was before is not in it"
    forgotten = (after.evicted or 0) - (before.evicted or 0)
    if forgotten > 0 and not is_reset:
        yield f"the server had no room for {forgotten} statements' shapes within this time: calls are missing"


# ---------------------------------------------------------------- differences


_Difference = tuple[TopQuery, dict[str, int | None], int, float, bool]


def _subtract(before: TopQuery | None, after: TopQuery) -> _Difference:
    """The newest sums, the differences of the counters, calls, seconds, and whether it is the least that was done."""
    is_anew = before is not None and (
        after.calls < before.calls
        or after.total_seconds < before.total_seconds - _ROUNDING_SECONDS
        or (after.first_at is not None and before.first_at is not None and after.first_at > before.first_at)
    )
    base = None if is_anew else before
    counts = {name: _difference(base, after, name) for name in ("rows", *_BYTES)}
    calls = after.calls - (base.calls if base else 0)
    seconds = max(0.0, after.total_seconds - (base.total_seconds if base else 0.0))
    return after, counts, calls, seconds, is_anew


def _difference(before: TopQuery | None, after: TopQuery, name: str) -> int | None:
    now: int | None = getattr(after, name)
    then: int | None = 0 if before is None else getattr(before, name)
    return None if now is None or then is None else max(0, now - then)


def _window(
    after: TopQueriesSnapshot,
    differences: Sequence[_Difference],
    *,
    began_at: datetime | None,
    seconds: float | None,
    is_since_reset: bool = False,
    appeared: int = 0,
    forgotten: int = 0,
    unmatched: int = 0,
    warnings: tuple[str, ...] = (),
) -> TopQueriesWindow:
    did = [each for each in differences if each[2] or each[3]]
    whole = sum(each[3] for each in did)
    rates = tuple(_rate(*each, whole=whole, window_seconds=seconds) for each in did)
    return TopQueriesWindow(
        profile=after.profile,
        ended_at=after.taken_at,
        began_at=began_at,
        seconds=seconds,
        rates=tuple(sort_rates(rates, TopQuerySort.TIME)),
        calls=sum(each[2] for each in did),
        total_seconds=whole,
        is_since_reset=is_since_reset,
        appeared=appeared,
        forgotten=forgotten,
        unmatched=unmatched,
        warnings=warnings,
    )


def _rate(
    query: TopQuery,
    counts: dict[str, int | None],
    calls: int,
    seconds: float,
    is_least: bool,
    *,
    whole: float,
    window_seconds: float | None,
) -> TopQueryRate:
    rows = counts["rows"]
    return TopQueryRate(
        query=query,
        calls=calls,
        total_seconds=seconds,
        calls_per_second=calls / window_seconds if window_seconds else 0.0,
        share=seconds / whole if whole else 0.0,
        mean_seconds=seconds / calls if calls else None,
        rows_per_call=rows / calls if rows is not None and calls else None,
        is_least=is_least,
        **counts,
    )


# ---------------------------------------------------------------- sorting and choosing


_SORTED: dict[TopQuerySort, Callable[[TopQueryRate], float | None]] = {
    TopQuerySort.TIME: lambda rate: rate.total_seconds,
    TopQuerySort.CALLS: lambda rate: rate.calls,
    TopQuerySort.MEAN: lambda rate: rate.mean_seconds,
    TopQuerySort.ROWS: lambda rate: rate.rows,
    TopQuerySort.ROWS_PER_CALL: lambda rate: rate.rows_per_call,
    TopQuerySort.EXAMINED: lambda rate: rate.rows_examined,
    TopQuerySort.READ: lambda rate: rate.read_bytes,
    TopQuerySort.HIT: lambda rate: rate.hit_bytes,
    TopQuerySort.TEMP: lambda rate: rate.temp_bytes,
    TopQuerySort.WRITTEN: lambda rate: rate.written_bytes,
    TopQuerySort.WAL: lambda rate: rate.wal_bytes,
}


def sort_rates(rates: Iterable[TopQueryRate], by: TopQuerySort, *, is_ascending: bool = False) -> list[TopQueryRate]:
    """Return rates sorted, the largest first; those that the server does not count come last either way."""
    value, sign = _SORTED[by], 1 if is_ascending else -1

    def rank(rate: TopQueryRate) -> tuple[bool, float, float, str]:
        found = value(rate)
        return found is None, sign * (found or 0.0), -rate.total_seconds, rate.query.key

    return sorted(rates, key=rank)


def list_sorts(rates: Iterable[TopQueryRate]) -> tuple[TopQuerySort, ...]:
    """Return what rates can be sorted by: what some of them have."""
    known = list(rates)
    return tuple(sort for sort in TopQuerySort if any(_SORTED[sort](rate) is not None for rate in known))


def find_rates(rates: Iterable[TopQueryRate], words: str) -> list[TopQueryRate]:
    """Return the rates whose statement, database or login has every word, in any case."""
    wanted = words.casefold().split()
    return [rate for rate in rates if all(word in _text_of(rate.query) for word in wanted)]


def _text_of(query: TopQuery) -> str:
    return f"{query.sql}\n{query.database}\n{query.user}".casefold()
