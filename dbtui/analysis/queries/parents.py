"""Which statement's rows a repeated look-up goes through."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.kinship import explain_kinship
from dbtui.analysis.queries.units import View
from dbtui.model.queries import Lookup, ShapeKind, StatementEvent

_LIMIT_BOUND = re.compile(r"LIMIT (?:\$\d+|\?|%s)\s*$", re.IGNORECASE)
_MOST_CANDIDATES = 6
_MOST_TRIMMED = 4
_FARTHEST = 30
_MOST_STEPS = 40
_MOST_TRANSACTIONS_AWAY = 2
_MOST_WRITTEN = 2


@dataclass(slots=True)
class Loop:
    """A shape that is repeated, and where. `is_n_plus_one`: as has been judged so far."""

    form: Form
    at: list[int]
    lookups: tuple[Lookup, ...] = ()
    is_n_plus_one: bool = False


class Loops:
    """All loops of a view."""

    def __init__(self, loops: Iterable[Loop]) -> None:
        self._by_form: dict[Form, list[Loop]] = {}
        self.places: set[int] = set()
        for loop in loops:
            self._by_form.setdefault(loop.form, []).append(loop)
            self.places.update(loop.at)

    def find(self, form: Form, at: int) -> Loop | None:
        """Return the loop of a shape that a statement is a turn of, or stands within."""
        loops = self._by_form.get(form, ())
        order = bisect_right(loops, at, key=lambda loop: loop.at[0]) - 1
        return loops[order] if order >= 0 and at <= loops[order].at[-1] else None


@dataclass(slots=True)
class Parenthood:
    """The parent of a loop, and where it is.

    `skipped`: look-ups at the front that ran before it. `distance`, `written`: how many others read or wrote between
    the two. `kinship`: what the names say. `is_nested`: the parent is itself run in a loop.
    """

    form: Form
    at: int
    skipped: int = 0
    distance: int = 0
    written: int = 0
    kinship: str = ""
    is_nested: bool = False


def find_parent(view: View, loop: Loop, loops: Loops, least: int) -> Parenthood | None:
    """Return the parent of a loop, the likeliest of the lists before it; None when there is none.

    `loops`: all of the view. `least`: repeats worth a hint. The first look-ups of a loop may be somebody
    else's, such as that of the user who is logged in: then what stands between them and the rest is asked too.
    """
    best: tuple[tuple[bool, int, int], Parenthood] | None = None
    for skipped in range(min(max(len(loop.at) - least + 1, 1), _MOST_TRIMMED)):
        low = loop.at[skipped - 1] if skipped else -1
        for order, at in enumerate(_candidates(view, loop, loops, low, loop.at[skipped])):
            parenthood = _try(view, loop, at, skipped, loops, least)
            if parenthood is None:
                continue
            rank = (bool(parenthood.kinship), -skipped, -order)
            if best is None or rank > best[0]:
                best = (rank, parenthood)
            if parenthood.kinship:
                break
        if best is not None and best[0][0]:
            break
    return best[1] if best else None


def _candidates(view: View, loop: Loop, loops: Loops, low: int, high: int) -> Iterator[int]:
    """Give the nearest statements before `high` that may return rows, one of each shape. Loops are passed over."""
    seen: set[Form] = {loop.form}
    lists = view.lists
    order = bisect_left(lists, high) - 1
    for _ in range(_MOST_STEPS):
        if order < 0 or (at := lists[order]) <= low:
            return
        candidate = view.forms[at]
        if candidate not in seen:
            seen.add(candidate)
            if _may_return_rows(view, loop, at):
                yield at
            if len(seen) > _MOST_CANDIDATES:
                return
        within = loops.find(candidate, at)
        order = order - 1 if within is None else min(bisect_left(lists, within.at[0]), order) - 1


def _may_return_rows(view: View, loop: Loop, at: int) -> bool:
    """Whether a statement returned rows to go through, as far as anybody knows."""
    event, shape = view.events[at], view.forms[at].shape
    if event.rows is not None and shape.kind is not ShapeKind.CURSOR:
        return event.rows >= 2
    if shape.kind is ShapeKind.LOOKUP:
        if _asks_for_one(event):
            return False
        if not event.params and _LIMIT_BOUND.search(event.sql):
            return bool(explain_kinship(loop.form.shape, loop.lookups, shape))
    if view.forms[at].is_parent:
        return True
    return (len(shape.tables) > 1 or shape.is_truncated) and bool(explain_kinship(loop.form.shape, loop.lookups, shape))


def _asks_for_one(event: StatementEvent) -> bool:
    """Whether a statement ends in a limit that its library writes for one row: Django's 21, or a 1 among the values."""
    if event.sql.endswith("LIMIT 21"):
        return True
    if not event.params or not _LIMIT_BOUND.search(event.sql):
        return False
    last = event.params[-1]
    return str(last[-1] if isinstance(last, list | tuple) and last else last) == "1"


def _try(view: View, loop: Loop, at: int, skipped: int, loops: Loops, least: int) -> Parenthood | None:
    """Return what a loop is to one parent; None when the parent goes along with it rather than before it."""
    parent, turns = view.forms[at], loop.at[skipped:]
    if not view.is_scoped and view.transactions[turns[0]] - view.transactions[at] > _MOST_TRANSACTIONS_AWAY:
        return None
    places = view.where[parent]
    again = places[bisect_left(places, at) : bisect_left(places, turns[-1])]
    outer = loops.find(parent, at)
    is_nested = len(again) > 1
    if is_nested:
        has_many = max(map(len, _split(turns, again))) >= least
        if outer is not None and outer.is_n_plus_one:
            if not has_many and len(turns) < 1.5 * len(again):
                return None
        elif not has_many or len(turns) < 2 * len(again):
            return None
    elif outer is not None and not _is_alone(view, outer, at, turns):
        return None  # the last turn of a loop that ended before this one began
    distance = sum(place not in loops.places for place in view.reads_between(at, turns[0]))
    written = view.count_writes(at, turns[0])
    if distance > _FARTHEST or written > _MOST_WRITTEN:
        return None
    kinship = explain_kinship(loop.form.shape, loop.lookups, parent.shape)
    return Parenthood(parent, at, skipped, distance, written, kinship, is_nested)


def _is_alone(view: View, outer: Loop, at: int, turns: Sequence[int]) -> bool:
    """Whether a list that many requests read has a transaction of its own each time, and the look-ups are all in it."""
    numbers = view.transactions
    if not numbers[at] == numbers[turns[0]] == numbers[turns[-1]]:
        return False
    place = bisect_left(outer.at, at)
    return all(numbers[other] != numbers[at] for other in outer.at[max(place - 1, 0) : place + 2] if other != at)


def _split(positions: Sequence[int], again: Sequence[int]) -> list[Sequence[int]]:
    """Return the look-ups after each occurrence of the parent."""
    ends = [*(bisect_left(positions, at) for at in again[1:]), len(positions)]
    begins = [0, *ends[:-1]]
    return [positions[begin:end] for begin, end in zip(begins, ends, strict=True)]
