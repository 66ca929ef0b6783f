"""What a loop of look-ups is by the rules that need no weighing. The classes are those of model.queries.PatternKind."""

from itertools import pairwise
from statistics import median

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.parents import Parenthood
from dbtui.analysis.queries.units import View
from dbtui.analysis.queries.values import ask_the_same
from dbtui.analysis.queries.weighing import Run, recorder_says_lazy
from dbtui.model.queries import PatternKind, ShapeKind

#: Writes between a loop's look-ups, as a share of its turns, from which the look-ups belong to the writes.
WRITE_SHARE = 0.3
#: The share of a loop's neighbours in different transactions from which each is a request of its own.
APART_SHARE = 0.9
#: The share of a loop's turns in which what also ran before the list makes each turn a request.
FORERUNNER_SHARE = 0.8
_SLOW_SECONDS = 0.1
_PAUSE_SECONDS = 0.002
_PAUSE_FACTOR = 5
_LIKE_OTHERS = 0.3
_MOST_TURNS = 50
_BEFORE = 20


def classify_loop(view: View, run: Run, kin: set[Form]) -> PatternKind | None:
    """Return what a loop is; None for what is nothing at all. `kin`: shapes that belong to the same list's rows."""
    event = view.events[run.at[0]]
    if event.load in ("selectin", "subquery", "joined"):
        return None
    if run.distinct == 1:
        return PatternKind.DUPLICATE if ask_the_same([view.events[at] for at in run.at]) else None
    is_lazy = recorder_says_lazy(view, run)
    if not is_lazy and _is_of_writes(view, run):
        return PatternKind.WRITE_LOOP
    if _is_of_requests(view, run, kin):
        return PatternKind.POOLED_REQUESTS
    if run.parenthood is None and not (is_lazy or any(lookup.is_value_first for lookup in run.lookups)):
        return PatternKind.LOOKUP_LOOP
    if run.distinct is None and run.form.shape.kind is ShapeKind.RANGE:
        return PatternKind.LOOKUP_LOOP
    return PatternKind.N_PLUS_ONE


def _is_of_writes(view: View, run: Run) -> bool:
    """Whether the look-ups go along with writes: a validation, a get-or-create, a worker of a queue."""
    pairs = len(run.at) - 1
    written = view.count_writes(run.at[0], run.at[-1])
    return written >= 0.5 * pairs or (written > 0 and view.pairs_with_write(run.at) >= WRITE_SHARE * pairs)


def _is_of_requests(view: View, run: Run, kin: set[Form]) -> bool:
    """Whether each turn is a request of its own, that has nothing in common with the others but the connection."""
    parenthood = run.parenthood
    is_apart = view.pairs_apart(run.at) >= APART_SHARE * (len(run.at) - 1)
    if is_apart and (parenthood is None or not _are_together(view, run, parenthood)):
        return True
    if parenthood is None or view.is_scoped or parenthood.is_nested:
        return False
    return _has_forerunners(view, run, parenthood, kin, is_apart=is_apart) or _has_pauses(view, run, parenthood)


def _are_together(view: View, run: Run, parenthood: Parenthood) -> bool:
    """Whether look-ups in transactions of their own go with the list: theirs is its, or they come without a pause.

    A repository opens one for each call. Nothing else may run in them: a request begins with its session and user.
    """
    if view.are_together(parenthood.at, run.at[0]):
        return True
    places = [parenthood.at, *run.at]
    if not parenthood.kinship or any(
        view.transactions[other] - view.transactions[one] > 1 for one, other in pairwise(places)
    ):
        return False
    if len(view.reads_between(parenthood.at, run.at[-1])) > len(run.at) - 1:
        return False
    pauses = [_longest_pause(view, one, other) for one, other in pairwise(places[:_MOST_TURNS])]
    return all(pause is not None and pause < _PAUSE_SECONDS for pause in pauses)


def _has_forerunners(view: View, run: Run, parenthood: Parenthood, kin: set[Form], *, is_apart: bool) -> bool:
    """Whether what ran before the list runs before each look-up too: the session and the user of a request."""
    before = range(max(parenthood.at - _BEFORE, 0), parenthood.at)
    own = view.transactions[parenthood.at]
    earlier = {
        view.forms[at] for at in before if view.forms[at].is_child and (not is_apart or view.transactions[at] == own)
    }
    if not is_apart:
        earlier &= set(view.forms[parenthood.at : run.at[0]])
    earlier.discard(run.form)
    if not earlier:
        return False
    turns = [set(view.forms[one:other]) for one, other in pairwise(run.at)]
    found = [form for form in earlier if sum(form in turn for turn in turns) >= FORERUNNER_SHARE * len(turns)]
    return len(found) > 1 or (len(found) == 1 and (is_apart or found[0] not in kin))


def _has_pauses(view: View, run: Run, parenthood: Parenthood) -> bool:
    """Whether before each look-up, the first one too, nothing ran for a while: the time between two requests."""
    if view.knows_transactions:
        return False
    first = _longest_pause(view, parenthood.at, run.at[0])
    if first is None or first < _LIKE_OTHERS * _PAUSE_SECONDS:
        return False
    pauses = [_longest_pause(view, one, other) for one, other in pairwise(run.at[:_MOST_TURNS])]
    known = [pause for pause in pauses if pause is not None]
    if len(known) < len(pauses):
        return False
    usual = median(known)
    if first < _LIKE_OTHERS * usual:
        return False
    return usual >= _SLOW_SECONDS or (usual >= _PAUSE_SECONDS and usual >= _PAUSE_FACTOR * _least_pause(view, run))


def _least_pause(view: View, run: Run) -> float:
    """Return the lower quartile of the pauses within a loop."""
    places = range(run.at[0] + 1, min(run.at[-1], run.at[0] + 200) + 1)
    pauses = sorted(pause for at in places if (pause := view.pause_before(at)) is not None)
    return pauses[len(pauses) // 4] if pauses else 0.0


def _longest_pause(view: View, one: int, other: int) -> float | None:
    pauses = [view.pause_before(at) for at in range(one + 1, min(other, one + _BEFORE) + 1)]
    known = [pause for pause in pauses if pause is not None]
    return max(known) if len(known) == len(pauses) else None
