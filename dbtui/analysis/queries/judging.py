"""What the repetitions of one unit of work are: N+1, or one of the things that look like it.

Rules, and the names of the classes, are those of model.queries.PatternKind. All thresholds are here or in weighing.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.normalising import Normaliser
from dbtui.analysis.queries.parents import Parenthood, find_parent
from dbtui.analysis.queries.units import Unit, View
from dbtui.analysis.queries.weighing import LEAST_SHOWN, Run, recorder_says_lazy, weigh
from dbtui.model.queries import Lookup, PatternKind, ShapeKind

#: Writes between a run's look-ups, as a share of them, from which the look-ups belong to the writes.
WRITE_SHARE = 0.3
#: The share of a run's neighbours in different transactions from which each is a request of its own.
APART_SHARE = 0.9
_MOST_VALUES_READ = 30


@dataclass(frozen=True, slots=True)
class Limits:
    """`finding_repeats`, `hint_repeats`: from how many repeats a pattern is one or the other."""

    finding_repeats: int = 5
    hint_repeats: int = 3


@dataclass(slots=True)
class Match:
    """One pattern met in one unit. `above`: the parents of the parent, nearest first.

    `is_continued`: its first look-ups go on where an earlier part of the unit ended.
    """

    kind: PatternKind
    runs: list[Run]
    view: View
    confidence: float
    reasons: tuple[str, ...]
    parent_at: int | None = None
    above: tuple[Form, ...] = ()
    is_continued: bool = False

    @property
    def repeats(self) -> int:
        """The most often that one of its shapes was repeated after one parent."""
        return max(run.repeats for run in self.runs)

    @property
    def last_parent_at(self) -> int | None:
        """Where the parent ran last, before the last look-ups."""
        parenthood = self.runs[0].parenthood
        if parenthood is None:
            return None
        where = self.view.where[parenthood.form]
        return where[bisect_left(where, self.runs[0].at[-1]) - 1]


def judge_unit(unit: Unit, normaliser: Normaliser, limits: Limits) -> list[Match]:
    """Return the patterns of a unit."""
    least = limits.hint_repeats
    if len(unit.forms) < least:
        return []
    counts = Counter(unit.forms)
    if not any(count >= least and form.is_counted for form, count in counts.items()):
        return []
    matches: list[Match] = []
    for view, begin in _views(unit, counts):
        for match in _Judge(view, normaliser, limits).judge():
            at = match.parent_at
            match.is_continued = at is not None and at + begin < unit.carried
            matches.append(match)
    return matches


def _views(unit: Unit, counts: Counter[Form]) -> Iterator[tuple[View, int]]:
    """Cut a unit where its connection was reset, which is where another user of the pool begins."""
    if not any(form.is_reset for form in counts):
        yield View(unit.events, unit.forms, is_scoped=unit.is_scoped), 0
        return
    begin = 0
    for at, form in enumerate(unit.forms):
        if form.is_reset:
            yield View(unit.events[begin:at], unit.forms[begin:at], is_scoped=unit.is_scoped), begin
            begin = at + 1
    yield View(unit.events[begin:], unit.forms[begin:], is_scoped=unit.is_scoped), begin


class _Judge:
    """Judges one view."""

    def __init__(self, view: View, normaliser: Normaliser, limits: Limits) -> None:
        self._view = view
        self._normaliser = normaliser
        self._limits = limits
        self._found: dict[Form, Parenthood] = {}
        self._n_plus_one: list[Run] = []
        self._others: list[tuple[PatternKind, Run]] = []

    def judge(self) -> list[Match]:
        """Return the patterns of the view."""
        least = self._limits.hint_repeats
        for form, at in sorted(self._view.where.items(), key=lambda item: item[1][0]):
            if len(at) < least or not form.is_counted:
                continue
            if form.is_child:
                self._judge_lookups(form)
            else:
                self._judge_other(form, at)
        self._drop_single_owners()
        parents = {parenthood.form for parenthood in self._found.values()}
        self._others = [
            (kind, run) for kind, run in self._others if kind is not PatternKind.DUPLICATE or run.form not in parents
        ]
        return [*self._merge_n_plus_one(), *self._merge_others()]

    def _judge_lookups(self, form: Form) -> None:
        view, least = self._view, self._limits.hint_repeats
        distinct, lookups = self._read_values(form, view.where[form])
        parenthood = find_parent(view, form, lookups, self._found, least)
        if parenthood is not None and not parenthood.is_nested:
            parenthood.runs = [run for run in parenthood.runs if len(run) >= 2] or parenthood.runs
        run = Run(form, parenthood.positions if parenthood else view.where[form], distinct, lookups, parenthood)
        longest = max(run.stretches, key=len)
        if distinct is not None and len(longest) < len(view.where[form]):
            run.distinct, run.lookups = self._read_values(form, longest)
        kind = self._class_of(run)
        if kind is not PatternKind.N_PLUS_ONE:
            if kind is not None:
                self._others.append((kind, run))
            return
        self._n_plus_one.append(run)
        if parenthood is not None:
            self._found[form] = parenthood

    def _class_of(self, run: Run) -> PatternKind | None:
        """Return what a run of look-ups is by the rules that need no weighing."""
        view, count = self._view, len(run.at)
        event = view.events[run.at[0]]
        if event.load in ("selectin", "subquery", "joined"):
            return None
        if run.distinct == 1:
            texts = {view.events[at].sql for at in run.at[:_MOST_VALUES_READ]}
            return PatternKind.DUPLICATE if len(texts) == 1 else None
        pairs = count - 1
        is_lazy = recorder_says_lazy(view, run)
        written = 0 if is_lazy else view.count_writes(run.at[0], run.at[-1])
        if written >= 0.5 * pairs or (written and view.pairs_with_write(run.at) >= WRITE_SHARE * pairs):
            return PatternKind.WRITE_LOOP
        parenthood = run.parenthood
        if view.pairs_apart(run.at) >= APART_SHARE * pairs and not (
            parenthood and view.transactions[parenthood.at] == view.transactions[run.at[0]]
        ):
            return PatternKind.POOLED_REQUESTS
        if parenthood is not None and not view.is_scoped and self._is_requests(run, parenthood):
            return PatternKind.POOLED_REQUESTS
        if parenthood is None and not (is_lazy or any(lookup.is_value_first for lookup in run.lookups)):
            return PatternKind.LOOKUP_LOOP
        if run.distinct is None and run.form.shape.kind is ShapeKind.RANGE:
            return PatternKind.LOOKUP_LOOP
        return PatternKind.N_PLUS_ONE

    def _is_requests(self, run: Run, parenthood: Parenthood) -> bool:
        """Whether each look-up has the same forerunners as its parent: the session and user of a request."""
        view = self._view
        first_list = view.where[parenthood.form][0]
        earlier = {form for form in view.forms[max(first_list - 20, 0) : first_list] if form.is_child}
        earlier &= set(view.forms[parenthood.at : run.at[0]])
        earlier.discard(run.form)
        if not earlier:
            return False
        gaps = [set(view.forms[one:other]) for one, other in pairwise(run.at)]
        forerunners = [form for form in earlier if sum(form in gap for gap in gaps) >= 0.8 * len(gaps)]
        if len(forerunners) == 1:
            known = self._found.get(forerunners[0])
            return known is None or not known.kinship
        return len(forerunners) > 1

    def _read_values(self, form: Form, at: Sequence[int]) -> tuple[int | None, tuple[Lookup, ...]]:
        """Return how many different values a shape's statements look up, and by which columns they vary.

        None when they are hidden. A sample is read where more than one value is in the text.
        """
        events = [self._view.events[each] for each in at]
        lookups = form.shape.lookups
        if form.shape.is_hidden and not any(event.params for event in events):
            return None, lookups
        if form.shape.is_hidden:
            different = len({(event.sql, str(event.params)) for event in events})
        else:
            different = len({event.sql for event in events})
        if different == 1 or not (form.has_many_values or form.shape.is_hidden):
            return different, lookups
        step = max(len(events) // _MOST_VALUES_READ, 1)
        sample = [self._normaliser.values(event.sql, event.params) for event in events[::step]]
        count = len({tuple(value for _, value in each) for each in sample})
        if count == 1:
            return 1, lookups
        columns: dict[Lookup, set[str]] = {}
        for each in sample:
            for lookup, value in each:
                columns.setdefault(lookup, set()).add(value)
        varying = tuple(lookup for lookup, values in columns.items() if len(values) > 1)
        return min(count * step, different), varying or lookups

    def _judge_other(self, form: Form, at: list[int]) -> None:
        kind = form.shape.kind
        run = Run(form, at)
        if kind is ShapeKind.BATCH:
            self._others.append((PatternKind.BATCH, run))
        elif kind is ShapeKind.CURSOR and form.shape.text == "FETCH":
            self._others.append((PatternKind.CURSOR, run))
        elif kind in (ShapeKind.WRITE, ShapeKind.LOCKING):
            self._others.append((PatternKind.WRITE_LOOP, run))
        elif kind is ShapeKind.SET and not form.shape.is_hidden:
            run.distinct = len({self._view.events[each].sql for each in at})
            if run.distinct == 1 and self._view.pairs_apart(at) < APART_SHARE * (len(at) - 1):
                self._others.append((PatternKind.DUPLICATE, run))

    def _drop_single_owners(self) -> None:
        """Without a parent, lazy loads beside a look-up of each owner are a loop over single objects."""
        loops = [run.form for kind, run in self._others if kind is PatternKind.LOOKUP_LOOP]
        for run in [run for run in self._n_plus_one if run.parenthood is None]:
            if any(len(self._view.where[form]) >= 0.8 * len(run.at) for form in loops):
                self._n_plus_one.remove(run)
                self._others.append((PatternKind.LOOKUP_LOOP, run))

    def _merge_n_plus_one(self) -> list[Match]:
        """Put the look-ups of one loop together: those with the same parent."""
        groups: dict[object, list[Run]] = {}
        for run in self._n_plus_one:
            key: object = run.parenthood.form if run.parenthood else run.form
            groups.setdefault(key, []).append(run)
        matches = []
        for runs in groups.values():
            for run in runs:
                weight = weigh(self._view, run, self._companions(run))
                run.confidence, run.reasons = weight.value, tuple(weight.reasons)
            shown = [run for run in runs if run.confidence >= LEAST_SHOWN]
            self._others += [(PatternKind.LOOKUP_LOOP, run) for run in runs if run.confidence < LEAST_SHOWN]
            if shown:
                matches.append(self._make_match(shown))
        return matches

    def _companions(self, run: Run) -> int:
        """Count the other shapes that go along with a run, once each time or more."""
        first, last = run.at[0], run.at[-1]
        count = 0
        for other in self._n_plus_one:
            if other is not run:
                inside = sum(first < at < last for at in other.at)
                count += round(inside / len(run.at))
        return count

    def _make_match(self, runs: list[Run]) -> Match:
        best = max(runs, key=lambda run: (run.confidence, run.repeats))
        reasons = list(best.reasons)
        if len(runs) > 1:
            reasons.append(f"{len(runs)} look-ups are repeated for the same rows")
        parenthood = best.parenthood
        return Match(
            PatternKind.N_PLUS_ONE,
            runs,
            self._view,
            best.confidence,
            tuple(reasons),
            parenthood.at if parenthood else None,
            self._above(parenthood),
        )

    def _above(self, parenthood: Parenthood | None) -> tuple[Form, ...]:
        """Return the parents of a parent that is itself repeated, nearest first."""
        above: list[Form] = []
        while parenthood is not None and parenthood.is_nested:
            parenthood = self._found.get(parenthood.form)
            if parenthood is None or parenthood.form in above:
                break
            above.append(parenthood.form)
        return tuple(above)

    def _merge_others(self) -> list[Match]:
        """Make one match of each shape that is no N+1, but one of all that belong to a write loop or to requests."""
        matches = []
        together: dict[PatternKind, list[Run]] = {}
        for kind, run in self._others:
            if len(run.at) < self._limits.finding_repeats and kind not in (PatternKind.BATCH, PatternKind.CURSOR):
                continue
            if kind in (PatternKind.WRITE_LOOP, PatternKind.POOLED_REQUESTS):
                together.setdefault(kind, []).append(run)
            else:
                matches.append(Match(kind, [run], self._view, 0.9, _reasons_of(kind, run)))
        for kind, runs in together.items():
            runs.sort(key=lambda run: -len(run.at))
            matches.append(Match(kind, runs[:4], self._view, 0.9, _reasons_of(kind, runs[0])))
        return matches


def _reasons_of(kind: PatternKind, run: Run) -> tuple[str, ...]:
    """Say why a repetition is taken for what it is."""
    count = len(run.at)
    if kind is PatternKind.DUPLICATE:
        return (f"the same statement with the same values ran {count} times",)
    if kind is PatternKind.WRITE_LOOP:
        return (f"it ran {count} times, one row at a time, among writes",)
    if kind is PatternKind.BATCH:
        return (f"{count} lists of many values: rows are read in chunks, as they should be",)
    if kind is PatternKind.CURSOR:
        return (f"{count} times FETCH from a cursor: one result, read in parts",)
    if kind is PatternKind.POOLED_REQUESTS:
        return (f"each of the {count} ran in a transaction of its own: requests that share a connection of a pool",)
    return (
        f"the same look-up ran {count} times",
        "no statement before it read a list to go through: a loop over something else is as likely",
    )
