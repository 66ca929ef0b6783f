"""What the repetitions of one unit of work are: N+1, or one of the things that look like it."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

from dbtui.analysis.queries.applications import fold_application
from dbtui.analysis.queries.classes import APART_SHARE, classify_loop
from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.loops import find_loops
from dbtui.analysis.queries.normalising import Normaliser
from dbtui.analysis.queries.parents import Loop, Loops, Parenthood, find_parent
from dbtui.analysis.queries.units import Unit, View
from dbtui.analysis.queries.values import ask_the_same, read_values
from dbtui.analysis.queries.weighing import LEAST_SHOWN, Run, weigh
from dbtui.model.queries import PatternKind, ShapeKind, StatementEvent

#: By its place: asked of every statement.
_APPLICATION = itemgetter(StatementEvent._fields.index("application"))

#: How often a shape ran, by database, application and shape.
Ran = Counter[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """`finding_repeats`, `hint_repeats`: from how many repeats a pattern is one or the other."""

    finding_repeats: int = 5
    hint_repeats: int = 3


@dataclass(slots=True)
class Match:
    """One pattern met once: one loop. `above`: the parents of the parent, nearest first.

    `is_continued`: it goes on where an earlier part of the unit ended.
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
        """The most often that one of its shapes was repeated."""
        return max(len(run.at) for run in self.runs)

    @property
    def last_parent_at(self) -> int | None:
        """Where the parent ran last, before the last look-ups."""
        if self.parent_at is None:
            return None
        where = self.view.where[self.view.forms[self.parent_at]]
        return where[bisect_left(where, self.runs[0].at[-1]) - 1]


def judge_unit(unit: Unit, normaliser: Normaliser, limits: Limits, ran: Ran) -> list[Match]:
    """Return the patterns of a unit. `ran` counts the shapes of units in which requests cannot be told apart."""
    least = limits.hint_repeats
    if len(unit.forms) < least:
        return []
    counts = Counter(unit.forms)
    if not any(count >= least and form.is_counted for form, count in counts.items()):
        return []
    matches: list[Match] = []
    for view, carried in _views(unit, counts):
        if view.is_blind:
            database, application = view.events[0].database, fold_application(view.events[0].application)
            for form, places in view.where.items():
                if form.is_parent or form.is_child:
                    ran[database, application, form.shape.text] += len(places)
        for match in _Judge(view, normaliser, limits).judge():
            at = match.parent_at
            match.is_continued = at is not None and at < carried
            matches.append(match)
    return matches


def _views(unit: Unit, counts: Counter[Form]) -> Iterator[tuple[View, int]]:
    """Give what one client asked, and how much at its front was judged before.

    A unit is cut where its connection was reset, which is where another user of the pool begins. A pooler that lends
    the connection for each transaction tells the server whose it is: the application's name changes in between.
    """
    is_shared = not unit.is_scoped and len(set(map(_APPLICATION, unit.events))) > 1
    if not is_shared and not any(form.is_reset for form in counts):
        yield View(unit.events, unit.forms, is_scoped=unit.is_scoped), unit.carried
        return
    ends = [*(at for at, form in enumerate(unit.forms) if form.is_reset), len(unit.forms)]
    for begin, end in zip([0, *(at + 1 for at in ends[:-1])], ends, strict=True):
        owners: dict[str, list[int]] = {}
        for at in range(begin, end):
            owners.setdefault(unit.events[at].application if is_shared else "", []).append(at)
        for places in owners.values():
            events, forms = [unit.events[at] for at in places], [unit.forms[at] for at in places]
            yield View(events, forms, is_scoped=unit.is_scoped), bisect_left(places, unit.carried)


class _Judge:
    """Judges one view."""

    def __init__(self, view: View, normaliser: Normaliser, limits: Limits) -> None:
        self._view = view
        self._normaliser = normaliser
        self._limits = limits
        self._runs: dict[int, list[Run]] = {}  # N+1, by where the parent is; those without one by where they begin
        self._parents: dict[Form, Parenthood] = {}
        self._told: set[Form] = set()  # shapes with a loop that has a class of its own
        self._others: list[tuple[PatternKind, Run]] = []

    def judge(self) -> list[Match]:
        """Return the patterns of the view."""
        view, least = self._view, self._limits.hint_repeats
        loops: list[Loop] = []
        for form, at in view.where.items():
            if len(at) < least or not form.is_counted:
                continue
            if form.is_child:
                loops += [Loop(form, places) for places in find_loops(view, form, least)]
            else:
                self._judge_other(form, at)
        loops.sort(key=lambda loop: loop.at[0])
        known = Loops(loops)
        for loop in loops:
            self._judge_loop(loop, known)
        for form, at in view.where.items():
            if form.is_child and form not in self._told:
                self._judge_rest(form, at)
        self._drop_single_owners()
        return [*self._weigh_all(), *self._merge_others()]

    def _judge_loop(self, loop: Loop, loops: Loops) -> None:
        view = self._view
        distinct, loop.lookups = read_values(self._normaliser, loop.form, [view.events[at] for at in loop.at])
        parenthood = find_parent(view, loop, loops, self._limits.hint_repeats)
        run = Run(loop.form, loop.at, distinct, loop.lookups, parenthood)
        if parenthood is not None and parenthood.skipped:
            run.at = loop.at[parenthood.skipped :]
            run.distinct, run.lookups = read_values(self._normaliser, loop.form, [view.events[at] for at in run.at])
        kin = {
            form for form, known in self._parents.items() if known.kinship and parenthood and known.at == parenthood.at
        }
        kind = classify_loop(view, run, kin)
        if kind is PatternKind.N_PLUS_ONE:
            loop.is_n_plus_one = True
            self._add(run)
            if parenthood is not None:
                self._parents[loop.form] = parenthood
        elif kind is not None and kind is not PatternKind.POOLED_REQUESTS:
            self._others.append((kind, run))
        if kind is not PatternKind.POOLED_REQUESTS:
            self._told.add(loop.form)

    def _add(self, run: Run) -> None:
        """Put a run to those of the same parent; one of the same shape goes on where a pause broke it off."""
        runs = self._runs.setdefault(run.parenthood.at if run.parenthood else run.at[0], [])
        for known in runs:
            if known.form is run.form:
                known.at = sorted({*known.at, *run.at})
                events = [self._view.events[at] for at in known.at]
                known.distinct, known.lookups = read_values(self._normaliser, known.form, events)
                return
        runs.append(run)

    def _judge_rest(self, form: Form, at: list[int]) -> None:
        """Judge look-ups that are repeated all over the unit, rather than in a loop."""
        if len(at) < self._limits.finding_repeats:
            return
        if self._view.pairs_apart(at) >= APART_SHARE * (len(at) - 1):
            self._others.append((PatternKind.POOLED_REQUESTS, Run(form, at)))
        elif not form.shape.is_hidden and ask_the_same([self._view.events[each] for each in at]):
            self._others.append((PatternKind.DUPLICATE, Run(form, at, 1)))

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
            run.distinct = 1
            is_apart = self._view.pairs_apart(at) >= APART_SHARE * (len(at) - 1)
            if not is_apart and ask_the_same([self._view.events[each] for each in at]):
                self._others.append((PatternKind.DUPLICATE, run))

    def _drop_single_owners(self) -> None:
        """Without a parent, lazy loads beside a look-up of each owner are a loop over single objects."""
        owners = [run for kind, run in self._others if kind is PatternKind.LOOKUP_LOOP]
        for begin, runs in list(self._runs.items()):
            run = runs[0]
            if run.parenthood is not None:
                continue
            beside = [bisect_right(each.at, run.at[-1]) - bisect_left(each.at, run.at[0]) for each in owners]
            if any(count >= 0.8 * (len(run.at) - 1) for count in beside):
                del self._runs[begin]
                self._others.append((PatternKind.LOOKUP_LOOP, run))

    def _weigh_all(self) -> Iterator[Match]:
        """Weigh the look-ups of each loop together: those with the same parent."""
        places = sorted(at for runs in self._runs.values() for run in runs for at in run.at)
        for runs in self._runs.values():
            shown = []
            for run in runs:
                inside = bisect_left(places, run.at[-1]) - bisect_right(places, run.at[0])
                weight = weigh(self._view, run, inside - max(len(run.at) - 2, 0))
                run.confidence, run.reasons = weight.value, tuple(weight.reasons)
                if run.confidence >= LEAST_SHOWN:
                    shown.append(run)
                else:
                    self._others.append((PatternKind.LOOKUP_LOOP, run))
            if shown:
                yield self._make_match(shown)

    def _make_match(self, runs: list[Run]) -> Match:
        best = max(runs, key=lambda run: (run.confidence, len(run.at)))
        reasons = best.reasons
        if len(runs) > 1:
            reasons = (*reasons, f"{len(runs)} look-ups are repeated for the same rows")
        parenthood = best.parenthood
        at = parenthood.at if parenthood else None
        return Match(PatternKind.N_PLUS_ONE, runs, self._view, best.confidence, reasons, at, self._above(parenthood))

    def _above(self, parenthood: Parenthood | None) -> tuple[Form, ...]:
        """Return the parents of a parent that is itself repeated, nearest first."""
        above: list[Form] = []
        while parenthood is not None and parenthood.is_nested:
            parenthood = self._parents.get(parenthood.form)
            if parenthood is None or parenthood.form in above:
                break
            above.append(parenthood.form)
        return tuple(above)

    def _merge_others(self) -> Iterator[Match]:
        """Make one match of each shape that is no N+1, but one of all that belong to a write loop or to requests."""
        together: dict[PatternKind, list[Run]] = {}
        lists = {known.form for known in self._parents.values()}
        for kind, run in self._others:
            if len(run.at) < self._limits.finding_repeats and kind not in (PatternKind.BATCH, PatternKind.CURSOR):
                continue
            if kind is PatternKind.DUPLICATE and run.form in lists:
                continue
            if kind in (PatternKind.WRITE_LOOP, PatternKind.POOLED_REQUESTS):
                together.setdefault(kind, []).append(run)
            else:
                yield Match(kind, [run], self._view, 0.9, _reasons_of(kind, run))
        for kind, runs in together.items():
            runs.sort(key=lambda run: -len(run.at))
            yield Match(kind, runs[:4], self._view, 0.9, _reasons_of(kind, runs[0]))


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
