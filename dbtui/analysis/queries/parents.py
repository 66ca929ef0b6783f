"""Which statement's rows a repeated look-up goes through."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.kinship import explain_kinship
from dbtui.analysis.queries.units import View
from dbtui.model.queries import Lookup, ShapeKind, StatementEvent

_LIMIT_BOUND = re.compile(r"LIMIT (?:\$\d+|\?|%s)\s*$", re.IGNORECASE)
_MOST_CANDIDATES = 6
_MOST_TRIMMED = 4
_FARTHEST = 60
_FARTHEST_BACK = 2_000
_MOST_TRANSACTIONS_AWAY = 2
_MOST_WRITTEN = 2


@dataclass(slots=True)
class Parenthood:
    """A parent and the part of a run that belongs to it.

    `at`: where the parent is first; `runs`: the look-ups after each of its occurrences. `distance`,
    `written`: how many others read or wrote between the two. `kinship`: what the names say.
    `is_nested`: the parent is itself run once a row of another.
    """

    form: Form
    at: int
    runs: list[list[int]]
    distance: int
    written: int
    kinship: str = ""
    is_nested: bool = False

    @property
    def positions(self) -> list[int]:
        """All look-ups, in order."""
        return [at for run in self.runs for at in run]


def find_parent(
    view: View, form: Form, lookups: tuple[Lookup, ...], found: Mapping[Form, Parenthood], least: int
) -> Parenthood | None:
    """Return the parent of a repeated look-up, the likeliest of those before it; None when there is none.

    `lookups`: by what values that vary it looks rows up. `found`: the look-ups that have a parent already, one of which
    may be this one's. `least`: repeats worth a hint. The
    first look-ups of a run may be somebody else's, such as that of the user who is logged in: then what stands between
    them and the rest is asked too.
    """
    positions = view.where[form]
    best: tuple[tuple[bool, int, int], Parenthood] | None = None
    for anchor in range(min(max(len(positions) - least + 1, 1), _MOST_TRIMMED)):
        low = positions[anchor - 1] if anchor else -1
        for order, at in enumerate(_candidates(view, form, low, positions[anchor])):
            parenthood = _try(view, form, lookups, at, positions[anchor:], found, least)
            if parenthood is None or (anchor and not parenthood.kinship and best is None and low >= 0 and order):
                continue
            rank = (bool(parenthood.kinship), -anchor, -order)
            if best is None or rank > best[0]:
                best = (rank, parenthood)
        if best is not None and best[0][0]:
            break
    return best[1] if best else None


def _candidates(view: View, form: Form, low: int, high: int) -> Iterator[int]:
    """Give the nearest statements before `high` that may return rows, one of each shape."""
    seen: set[Form] = {form}
    lists = view.lists
    for order in range(bisect_left(lists, high) - 1, -1, -1):
        at = lists[order]
        if at <= low or at < high - _FARTHEST_BACK:
            return
        candidate = view.forms[at]
        if candidate in seen:
            continue
        seen.add(candidate)
        if _may_return_rows(view, form, at):
            yield at
        if len(seen) > _MOST_CANDIDATES:
            return


def _may_return_rows(view: View, form: Form, at: int) -> bool:
    """Whether a statement returned rows to go through, as far as anybody knows."""
    event, shape = view.events[at], view.forms[at].shape
    if event.rows is not None and shape.kind is not ShapeKind.CURSOR:
        return event.rows >= 2
    if shape.kind is ShapeKind.LOOKUP:
        if _asks_for_one(event):
            return False
        if not event.params and _LIMIT_BOUND.search(event.sql):
            return bool(explain_kinship(form.shape, form.shape.lookups, shape))
    if view.forms[at].is_parent:
        return True
    return (len(shape.tables) > 1 or shape.is_truncated) and bool(
        explain_kinship(form.shape, form.shape.lookups, shape)
    )


def _asks_for_one(event: StatementEvent) -> bool:
    """Whether a statement ends in a limit that its library writes for one row: Django's 21, or a 1 among the values."""
    if event.sql.endswith("LIMIT 21"):
        return True
    if not event.params or not _LIMIT_BOUND.search(event.sql):
        return False
    last = event.params[-1]
    return str(last[-1] if isinstance(last, list | tuple) and last else last) == "1"


def _try(
    view: View,
    form: Form,
    lookups: tuple[Lookup, ...],
    at: int,
    positions: Sequence[int],
    found: Mapping[Form, Parenthood],
    least: int,
) -> Parenthood | None:
    """Return what a run is under one parent; None when the parent goes along with it rather than before it."""
    parent = view.forms[at]
    again = [other for other in view.where[parent] if at <= other < positions[-1]]
    runs = _split(positions, again)
    longest = max(len(run) for run in runs)
    is_nested = parent in found and parent.is_child
    if len(again) == 1:
        if parent.is_child and len(view.where[parent]) >= least:
            return None  # the last of a loop that ended before this one began
    elif is_nested:
        if longest < least and len(positions) < 1.5 * len(again):
            return None
    elif longest < least or len(positions) < 2 * sum(bool(run) for run in runs):
        return None
    distance = _distance(view, at, positions[0], least)
    if distance > _FARTHEST:
        return None
    if not view.is_scoped and view.transactions[positions[0]] - view.transactions[at] > _MOST_TRANSACTIONS_AWAY:
        return None
    written = view.count_writes(at, positions[0])
    if written > _MOST_WRITTEN:
        return None
    kinship = explain_kinship(form.shape, lookups, parent.shape)
    return Parenthood(parent, at, [run for run in runs if run], distance, written, kinship, is_nested)


def _split(positions: Sequence[int], again: Sequence[int]) -> list[list[int]]:
    """Return the look-ups after each occurrence of the parent."""
    ends = [*(bisect_left(positions, at) for at in again[1:]), len(positions)]
    begins = [0, *ends[:-1]]
    return [list(positions[begin:end]) for begin, end in zip(begins, ends, strict=True)]


def _distance(view: View, at: int, first: int, least: int) -> int:
    """Count what was read between a parent and the first look-up, other repeated look-ups apart."""
    between = view.reads_between(at, first)
    return sum(len(view.where[view.forms[each]]) < least for each in between)
