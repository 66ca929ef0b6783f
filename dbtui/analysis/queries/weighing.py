"""How sure a repeated look-up is an N+1, and why: sentences for whom it is shown."""

from dataclasses import dataclass, field

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.parents import Parenthood
from dbtui.analysis.queries.shapes import is_key_column
from dbtui.analysis.queries.units import View
from dbtui.model.queries import Lookup, ShapeKind

BASE = 0.40
LEAST_SHOWN = 0.50
LEAST_FINDING = 0.65
CERTAIN = 0.99
LAZY_LOADS = frozenset({"lazy", "immediate", "lazy_select", "column", "polymorphic", "dynamic"})


@dataclass(slots=True)
class Weight:
    """A confidence that grows and shrinks with reasons."""

    value: float = BASE
    reasons: list[str] = field(default_factory=list)

    def add(self, by: float, reason: str = "") -> None:
        """Count a reason for, or with a negative number against."""
        self.value += by
        if reason:
            self.reasons.append(reason)


@dataclass(slots=True)
class Run:
    """The look-ups of one shape in a loop.

    `at`: where. `distinct`: different values, None when they are hidden. `lookups`: those whose values vary.
    """

    form: Form
    at: list[int]
    distinct: int | None = None
    lookups: tuple[Lookup, ...] = ()
    parenthood: Parenthood | None = None
    confidence: float = 0.0
    reasons: tuple[str, ...] = ()


def weigh(view: View, run: Run, companions: int) -> Weight:
    """Return how sure a run of look-ups is an N+1. `companions`: other look-ups of the same loop among them."""
    weight = Weight()
    count = len(run.at)
    values = f"{run.distinct} different values" if run.distinct is not None else "values that the text hides"
    weight.add(min(0.02 * count, 0.30), f"the same look-up ran {count} times in one unit of work, with {values}")
    if recorder_says_lazy(view, run):
        weight.add(2.0, f"the application recorded it as a lazy load of {view.events[run.at[0]].relationship}")
    _weigh_parent(view, run, weight)
    _weigh_text(run, weight)
    if run.distinct is None:
        weight.add(-0.05, "its values are hidden, so they may have been the same")
    elif run.distinct < 0.5 * count:
        weight.add(-0.10, "most of the values were asked for more than once")
    noise = view.count_reads(run.at[0], run.at[-1]) - max(count - 2, 0) - companions
    if noise > 2 * count:
        weight.add(-0.25, "much else was read in between")
    if not view.count_writes(run.at[0], run.at[-1]):
        weight.reasons.append("nothing was written in between")
    _weigh_call_sites(view, run, weight)
    weight.value = round(_soften(weight.value), 2)
    return weight


def _soften(value: float) -> float:
    """Keep a sum of reasons below certainty, which only the application's own word gives."""
    if value >= 2.0:
        return CERTAIN
    return max(value, 0.0) if value <= 0.9 else min(0.9 + (value - 0.9) * 0.15, 0.98)


def recorder_says_lazy(view: View, run: Run) -> bool:
    """Whether the application's recorder named the relationship that a run loads lazily."""
    event = view.events[run.at[0]]
    return event.load in LAZY_LOADS and bool(event.relationship)


def _weigh_parent(view: View, run: Run, weight: Weight) -> None:
    parenthood = run.parenthood
    if parenthood is None:
        weight.add(-0.15, "no statement before it read a list to go through")
        return
    shape = parenthood.form.shape
    name = shape.tables[0] if shape.tables else "a list"
    rows = view.events[parenthood.at].rows
    if parenthood.is_nested:
        weight.add(0.25, f"each look-up of {name}, itself repeated, was followed by it")
    else:
        said = f", {rows} rows" if rows is not None else ""
        weight.add(0.25, f"it follows a statement that reads {name}{said}")
    if parenthood.kinship:
        weight.add(0.10, parenthood.kinship)
    if rows is not None and not parenthood.is_nested and shape.kind is not ShapeKind.CURSOR:
        longest = len(run.at)
        if 0.5 * rows <= longest <= 1.15 * rows:
            weight.add(0.10, f"{longest} look-ups match its {rows} rows")
        elif longest > 1.3 * rows + 1:
            weight.add(-0.20, f"{longest} look-ups are more than its {rows} rows")
    if parenthood.written:
        weight.add(-0.10, "something was written between the two")
    if parenthood.distance > 10:
        weight.add(-0.10, f"{parenthood.distance} other statements ran between the two")


def _weigh_text(run: Run, weight: Weight) -> None:
    shape = run.form.shape
    if any(lookup.is_value_first for lookup in run.lookups):
        weight.add(0.20, "it is written value first, as lazy loads of SQLAlchemy are")
    elif not any(is_key_column(lookup.column) for lookup in run.lookups):
        _weigh_unkeyed(run, weight)
    if shape.kind is ShapeKind.RANGE:
        weight.add(-0.10, "it also has a range or a pattern")


def _weigh_unkeyed(run: Run, weight: Weight) -> None:
    """A name or a slug that is looked up comes from a file or the program as often as from the rows before."""
    parenthood = run.parenthood
    if parenthood is None or parenthood.kinship:
        return
    weight.add(-0.50, "what it looks up is no key, and not what the rows before it returned")


def _weigh_call_sites(view: View, run: Run, weight: Weight) -> None:
    site = view.events[run.at[0]].call_site
    if site and all(view.events[at].call_site == site for at in run.at[:200]):
        weight.add(0.20, f"every one came from {site}")
