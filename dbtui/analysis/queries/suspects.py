"""Suspicions of N+1 from sums alone: a look-up that is called as often as another statement returns rows.

Sums keep no order, so this is never a finding: what moves together may do so by chance. A suspicion needs a key between
both tables, and both to have moved together in every one of at least five windows.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from dbtui.analysis.queries.curing import cure
from dbtui.analysis.queries.python_names import bare_name, is_same_table
from dbtui.analysis.queries.relations import is_value_first
from dbtui.analysis.queries.table_keys import (
    TableKeys,
    infer_key_of_columns,
    infer_keys_to,
    keys_of,
    lookups_of,
    read_table,
)
from dbtui.model.queries import (
    Child,
    ForeignKey,
    MappedRelation,
    PatternKind,
    PatternLevel,
    QuerySchema,
    Repetition,
    Shape,
    ShapeKind,
    TopQuery,
)
from dbtui.model.top_queries import QuerySuspect, TopQueriesWindow, TopQueryRate

LEAST_WINDOWS = 5
_LEAST_ROWS = _LEAST_REPEATS = 3.0
#: Calls of the child for each row of the parent: fewer where objects are known already, more by a little chance.
_LEAST_RATIO, _MOST_RATIO = 0.5, 1.15
_STABLE = 0.2
#: A loop that is under way while somebody looks has its parent in one window and the rest of its calls in the next.
_MOST_JOINED = 2
#: Under an even load everything moves together.
_UNEVEN = 0.2
_CHILDREN = (ShapeKind.LOOKUP, ShapeKind.AGGREGATE)
_PARENTS = (ShapeKind.SET, ShapeKind.RANGE, ShapeKind.LOOKUP, ShapeKind.BATCH)
CONFIRM = "sums keep no order: capture 30 s to confirm"


@dataclass(frozen=True, slots=True)
class _Track:
    """One shape through all windows, a place each; `rows` of a window is 0 where the server does not count them."""

    query: TopQuery
    shape: Shape
    calls: tuple[int, ...]
    rows: tuple[int, ...]
    all_calls: int
    all_rows: int
    seconds: float
    tables: frozenset[str]  # bare names, folded


@dataclass(frozen=True, slots=True)
class _Match:
    parent: _Track
    repeats: float
    rows: float
    spread: float
    key: ForeignKey
    is_known: bool


def find_suspects(
    windows: Sequence[TopQueriesWindow],
    shape_of: Callable[[str], Shape],
    schema: QuerySchema | None = None,
    relations: Sequence[MappedRelation] = (),
) -> tuple[QuerySuspect, ...]:
    """Return what may be an N+1, those written as lazy loads first, then by the time they take.

    `windows`: one after another, of one server; those in which counters were reset do not count. Fewer than five: none.
    """
    usable = [window for window in windows if window.seconds and not window.is_since_reset]
    if len(usable) < LEAST_WINDOWS:
        return ()
    tracks = _follow(usable, shape_of)
    keys = keys_of(schema)
    parents: defaultdict[tuple[str, str], list[_Track]] = defaultdict(list)
    for track in sorted(tracks, key=lambda each: each.all_rows):
        if track.shape.kind in _PARENTS and track.all_rows >= _LEAST_ROWS * track.all_calls > 0:
            parents[track.query.database, track.query.user].append(track)
    spent = sum(window.seconds or 0.0 for window in usable)
    found = []
    for child in tracks:
        if child.shape.kind in _CHILDREN and child.shape.lookups:
            near = _near(parents[child.query.database, child.query.user], child.all_calls)
            matches = sorted(
                _match(child, _joined(child, near, keys), keys), key=lambda match: (not match.is_known, match.spread)
            )
            if matches:
                found.append(_suspect(child, matches, spent, schema, relations))
    return tuple(sorted(found, key=lambda each: (not each.is_value_first, -each.seconds_per_second, each.child.key)))


def _follow(windows: Sequence[TopQueriesWindow], shape_of: Callable[[str], Shape]) -> list[_Track]:
    places: dict[str, dict[int, TopQueryRate]] = defaultdict(dict)
    for place, window in enumerate(windows):
        for rate in window.rates:
            places[rate.query.key][place] = rate
    tracks = []
    for rates in places.values():
        query = rates[max(rates)].query
        if not query.sql or query.is_truncated:
            continue
        each = [rates.get(place) for place in range(len(windows))]
        calls = tuple(rate.calls if rate else 0 for rate in each)
        rows = tuple(rate.rows or 0 if rate else 0 for rate in each)
        seconds = sum(rate.total_seconds for rate in rates.values())
        shape = shape_of(query.sql)
        tables = frozenset(bare_name(table).casefold() for table in shape.tables)
        tracks.append(_Track(query, shape, calls, rows, sum(calls), sum(rows), seconds, tables))
    return tracks


# ---------------------------------------------------------------- one child


def _near(parents: Sequence[_Track], calls: int) -> Sequence[_Track]:
    """Those of some parents, sorted by their rows, that returned about as many rows as the child was called."""
    least = bisect_left(parents, calls / _MOST_RATIO, key=lambda parent: parent.all_rows)
    most = bisect_right(parents, calls / _LEAST_RATIO, key=lambda parent: parent.all_rows)
    return parents[least:most]


def _joined(child: _Track, parents: Sequence[_Track], keys: TableKeys) -> Sequence[_Track]:
    """Those of some parents that a key joins with the child; where the catalogue has no word, lazy loads' alone."""
    table = lookups_of(child.shape)[0].table
    if keys.find_table(table) is None:
        return parents if is_value_first(child.shape) else ()
    around = keys.tables_around(table)
    return [parent for parent in parents if not around.isdisjoint(parent.tables)]


def _match(child: _Track, parents: Sequence[_Track], keys: TableKeys) -> Iterator[_Match]:
    for parent in parents:
        moved = _move_together(child, parent) if parent.query.key != child.query.key else None
        if moved is None:
            continue
        known = _joining_key(child.shape, parent.shape, keys)
        key = known or _promised_key(child.shape, parent.shape, keys)
        is_even = _spread(parent.calls) < _UNEVEN
        if key is not None and (is_value_first(child.shape) or (known is not None and not is_even)):
            repeats, rows = child.all_calls / parent.all_calls, parent.all_rows / parent.all_calls
            yield _Match(parent, repeats, rows, moved, key, known is not None)


def _move_together(child: _Track, parent: _Track) -> float | None:
    """Return how far the child's calls for a row of the parent strayed in some window; None: they do not belong."""
    if child.all_calls < _LEAST_REPEATS * parent.all_calls:
        return None
    usual = child.all_calls / parent.all_rows
    ratios: list[float] = []
    calls, rows, joined, former_rows = 0, 0, 0, 0
    for child_calls, parent_rows in zip(child.calls, parent.rows, strict=True):
        calls, rows, joined = calls + child_calls, rows + parent_rows, joined + 1
        if rows and abs(calls / rows - usual) <= _STABLE * usual:
            ratios.append(calls / rows)
            former_rows = rows
            calls = rows = joined = 0
        elif not calls and not rows:
            joined = 0
        elif joined == _MOST_JOINED or (not rows and calls > _STABLE * usual * former_rows):
            return None  # the child ran without this parent, or the parent without the child
    if len(ratios) < LEAST_WINDOWS:
        return None
    middle = median(ratios)
    strayed = max(abs(ratio - middle) for ratio in ratios) / middle if middle else 1.0
    return strayed if strayed <= _STABLE else None


def _spread(calls: Sequence[int]) -> float:
    return (max(calls) - min(calls)) / max(calls) if max(calls) else 0.0


def _joining_key(child: Shape, parent: Shape, keys: TableKeys) -> ForeignKey | None:
    """The catalogue's foreign key that the look-up follows from a row of the parent; None when there is none."""
    table = lookups_of(child)[0].table
    columns = [lookup.column for lookup in lookups_of(child) if is_same_table(lookup.table, table)]
    down = keys.key_of_columns(table, columns, parent.tables)
    if down is not None and any(is_same_table(down.parent, each) for each in parent.tables):
        return down
    if is_value_first(child) or not keys.is_by_primary_key(table, columns):
        return None
    return next(iter(keys.keys_to(table, columns, parent.tables)), None)


def _promised_key(child: Shape, parent: Shape, keys: TableKeys) -> ForeignKey | None:
    """The same, promised by names alone, where the catalogue does not know the table."""
    table = lookups_of(child)[0].table
    if keys.find_table(table) is not None:
        return None
    columns = [lookup.column for lookup in lookups_of(child)]
    down = infer_key_of_columns(keys, table, columns, parent.tables)
    return down or next(iter(infer_keys_to(keys, read_table(child), parent)), None)


# ---------------------------------------------------------------- words


def _suspect(
    child: _Track,
    matches: Sequence[_Match],
    spent_seconds: float,
    schema: QuerySchema | None,
    relations: Sequence[MappedRelation],
) -> QuerySuspect:
    best = matches[0]
    repetition = Repetition(
        kind=PatternKind.N_PLUS_ONE,
        level=PatternLevel.HINT,
        confidence=0.0,
        children=(
            Child(shape=child.shape, repeats=max(1, round(best.repeats)), seconds=None, samples=(child.query.sql,)),
        ),
        parent=best.parent.shape,
        parent_sql=best.parent.query.sql,
        parent_rows=round(best.rows),
        database=child.query.database,
    )
    return QuerySuspect(
        child=child.query,
        parent=best.parent.query,
        repeats=best.repeats,
        parent_rows=best.rows,
        windows=sum(1 for calls in best.parent.calls if calls),
        seconds_per_second=child.seconds / spent_seconds if spent_seconds else 0.0,
        is_value_first=is_value_first(child.shape),
        foreign_key=best.key if best.is_known else None,
        other_parents=len(matches) - 1,
        reasons=tuple(_reasons(child, best, len(matches) - 1)),
        cure=cure(repetition, schema, relations),
    )


def _reasons(child: _Track, best: _Match, others: int) -> Iterator[str]:
    yield f"{best.repeats:.1f} calls for one of the parent, which returns {best.rows:.1f} rows"
    windows = sum(1 for calls in best.parent.calls if calls)
    yield f"its calls followed the parent's rows through {windows} windows, within {best.spread * 100:.0f} %"
    key = best.key
    told = f"{bare_name(key.table)}.{', '.join(key.columns)} to {bare_name(key.parent)}"
    yield f"foreign key {told}" if best.is_known else f"{told} by its name; the catalogue does not know it"
    if is_value_first(child.shape):
        yield "the value is written first, as SQLAlchemy's lazy loads are"
    if _spread(best.parent.calls) < _UNEVEN:
        yield "the load was even, so that moving together says little"
    if others:
        yield f"{others} other statement{'s' if others > 1 else ''} would do as its parent"
    yield CONFIRM
