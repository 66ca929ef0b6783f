"""Where one shape is repeated as a loop repeats it: often, close together, and with the same things in between.

A connection of a pool serves one request after the other, and what many requests ask is repeated there too. A loop is
told from that by what lies between two of its turns: few shapes, the same ones each time, and no list without a value.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.units import View

#: So many shapes the body of a loop may have.
MOST_SHAPES = 8
_LOOK = 40


def find_loops(view: View, form: Form, least: int) -> list[list[int]]:
    """Return the loops of a shape: the places of each, `least` or more."""
    at = view.where[form]
    loops = []
    begin = 0
    while begin <= len(at) - least:
        end = _end_of_loop(view, at, begin, least)
        if end > begin:
            loops.append(at[begin:end])
            begin = end
        else:
            begin += 1
    return loops


def _end_of_loop(view: View, at: Sequence[int], begin: int, least: int) -> int:
    """Return where in `at` a loop that begins at `begin` ends; `begin` when none does.

    Its first turns show what belongs to it: at most one shape may be there only once. Later ones may bring something
    new at every fourth turn, and any time within one transaction. A loop stays in one, or has one for each turn.
    """
    first: Counter[Form] = Counter()
    numbers = view.transactions
    is_apart = numbers[at[begin]] != numbers[at[begin + 1]]
    for turn in range(begin + 1, begin + least):
        if (numbers[at[turn - 1]] != numbers[at[turn]]) is not is_apart:
            return begin
        between = shapes_between(view, at[turn - 1], at[turn])
        if between is None:
            return begin
        first.update(between)
    if len(first) > MOST_SHAPES or (least > 2 and list(first.values()).count(1) > 1):
        return begin
    body, surprises = set(first), 0
    is_one_work = view.is_scoped or (view.knows_transactions and not is_apart)
    turn = begin + least
    while turn < len(at) and (numbers[at[turn - 1]] != numbers[at[turn]]) is is_apart:
        if at[turn] == at[turn - 1] + 1:  # as most are
            turn = turn + 1 if is_apart else _end_of_direct_turns(numbers, at, turn)
            continue
        between = shapes_between(view, at[turn - 1], at[turn])
        if between is None:
            break
        new = between - body
        if new:
            surprises += len(new)
            body |= new
            if len(body) > MOST_SHAPES or (not is_one_work and surprises > (turn - begin + 1) // 4):
                break
        turn += 1
    return turn


def _end_of_direct_turns(numbers: Sequence[int], at: Sequence[int], turn: int) -> int:
    """Return the first turn from `turn` on that does not follow the one before it directly, in its transaction."""
    step, low, high = 1, turn, len(at)
    begin, number = at[turn - 1], numbers[at[turn - 1]]

    def is_direct(other: int) -> bool:
        return at[other] - begin == other - turn + 1 and numbers[at[other]] == number

    while low + step < high and is_direct(low + step):
        low, step = low + step, 2 * step
    high = min(high, low + step)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if is_direct(middle) else (low, middle)
    return low + 1


def shapes_between(view: View, one: int, other: int) -> set[Form] | None:
    """Return the shapes that read or write between two statements; None when that is no loop's body."""
    if other == one + 1:
        return set()
    forms, lists = view.forms, view.plain_lists
    if lists and bisect_right(lists, one) != bisect_right(lists, other - 1):
        return None
    between = set(forms[one + 1 : min(other, one + _LOOK)])
    if other - one > _LOOK:
        between.update(forms[max(other - _LOOK, one + 1) : other])
    between = {form for form in between if form.is_read or form.is_write}
    return between if len(between) <= MOST_SHAPES else None
