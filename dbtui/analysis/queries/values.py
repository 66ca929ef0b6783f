"""Which values a repeated look-up asks for, and which of them vary."""

from collections.abc import Sequence
from operator import attrgetter

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.normalising import Normaliser
from dbtui.model.queries import Lookup, StatementEvent

_MOST_READ = 30
_END = 24
_SQL = attrgetter("sql")


def read_values(
    normaliser: Normaliser, form: Form, events: Sequence[StatementEvent]
) -> tuple[int | None, tuple[Lookup, ...]]:
    """Return how many different values statements of one shape look up, and by which columns they vary.

    None when they are hidden. A sample is read where more than one value is in the text.
    """
    lookups = form.shape.lookups
    if form.shape.is_hidden and not any(event.params for event in events):
        return None, lookups
    if form.shape.is_hidden:
        different = len({(event.sql, str(event.params)) for event in events})
    else:
        different = _count_different(list(map(_SQL, events)))
    if different == 1 or not (form.has_many_values or form.shape.is_hidden):
        return different, lookups
    step = max(len(events) // _MOST_READ, 1)
    sample = [normaliser.values(event.sql, event.params) for event in events[::step]]
    count = len({tuple(value for _, value in each) for each in sample})
    if count == 1:
        return 1, lookups
    columns: dict[Lookup, set[str]] = {}
    for each in sample:
        for lookup, value in each:
            columns.setdefault(lookup, set()).add(value)
    varying = tuple(lookup for lookup, values in columns.items() if len(values) > 1)
    return min(count * step, different), varying or lookups


def _count_different(texts: Sequence[str]) -> int:
    """Count texts; most differ at their end, and what is long takes time to compare."""
    count = len({text[-_END:] for text in texts})
    return count if count == len(texts) else len(set(texts))


def ask_the_same(events: Sequence[StatementEvent]) -> bool:
    """Whether statements are the same to the letter, with the same parameters."""
    first = events[0]
    return all(event.sql == first.sql and event.params == first.params for event in events)
