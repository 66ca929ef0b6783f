"""A unit of work: what one request, or one session without a pause, asked of the server, in order.

`View` is a unit as the rules look at it: where each shape occurs, and what lies between.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from operator import ne

from dbtui.analysis.queries.forms import Form
from dbtui.model.queries import ShapeKind, StatementEvent

#: A server's transaction id where a request's is looked for: PostgreSQL's virtual transaction.
VIRTUAL_TRANSACTION = re.compile(r"\d+/\d+")
#: Within an open transaction a pause this long does not end the unit.
LONGEST_WAIT_SECONDS = 60.0
_BURST_SECONDS = 0.005
_BURST_FACTOR = 8


class Unit:
    """Statements of one unit, and until when it goes on."""

    __slots__ = ("carried", "events", "extra", "forms", "is_scoped", "last", "route", "until")

    def __init__(self, *, is_scoped: bool) -> None:
        self.events: list[StatementEvent] = []
        self.forms: list[Form] = []
        self.last: Form | None = None
        self.until = float("inf")
        self.route = ""
        self.is_scoped = is_scoped
        self.extra = 0  # what long texts weigh besides
        self.carried = 0  # statements at the front that an earlier part of the unit has been judged with

    @property
    def weight(self) -> int:
        """How much memory it takes, in statements of usual length."""
        return len(self.events) + self.extra

    def goes_on_at(self, event: StatementEvent) -> bool:
        """Whether an event after a pause still belongs here: a long statement, or an open transaction."""
        if self.is_scoped or event.ts is None or not self.events:
            return True
        last = self.events[-1]
        idle = event.ts - (last.ts or event.ts)
        busy = max(event.duration_ms or 0.0, last.duration_ms or 0.0) / 1000
        if event.ts - busy <= self.until:
            return True
        return idle <= LONGEST_WAIT_SECONDS and self._is_in_transaction(event)

    def _is_in_transaction(self, event: StatementEvent) -> bool:
        last = transaction_of(self.events[-1])
        if last or transaction_of(event):
            return last == transaction_of(event)
        for form in reversed(self.forms[-50:]):
            if form.is_boundary:
                return not form.is_end
        return False


def transaction_of(event: StatementEvent) -> str:
    """Return the id of the transaction a statement ran in, "" when it is not known or it ran in none."""
    name = event.transaction or (event.scope if VIRTUAL_TRANSACTION.fullmatch(event.scope) else "")
    return "" if name.endswith("/0") else name


class View:
    """A unit, or a part of one between two resets of its connection, with its order made easy to ask."""

    def __init__(self, events: Sequence[StatementEvent], forms: Sequence[Form], *, is_scoped: bool = False) -> None:
        self.events = events
        self.forms = forms
        self.is_scoped = is_scoped
        self.where: dict[Form, list[int]] = {}
        where, get = self.where, self.where.get
        for at, form in enumerate(forms):
            known = get(form)
            if known is None:
                where[form] = [at]
            else:
                known.append(at)
        self.writes = self._where_all(form for form in where if form.is_write)
        self.reads = self._where_all(form for form in where if form.is_read and not form.is_write)
        self.plain_lists = self._where_all(form for form in where if form.shape.kind is ShapeKind.SET)
        self.lists = self._where_all(form for form in where if form.is_parent or form.is_doubtful_parent)
        self.knows_transactions = True
        self.transactions = self._count_transactions()

    @property
    def is_blind(self) -> bool:
        """Whether requests that share the connection cannot be told apart: by a scope, transactions or pauses."""
        return not (self.is_scoped or self.knows_transactions or (self.transactions and self.transactions[-1]))

    def _where_all(self, forms: Iterable[Form]) -> list[int]:
        """Return where any of some shapes occurs, in order."""
        return sorted(chain.from_iterable(self.where[form] for form in forms))

    def _count_transactions(self) -> list[int]:
        """Number each statement's transaction; statements between two ends are one."""
        boundaries = self._where_all(form for form in self.where if form.is_boundary)
        if boundaries:
            return self._count_between(boundaries)
        numbers: list[int] = []
        number = 0
        names = self._shared_transactions()
        if not any(names):
            return self._count_bursts()
        before = ""
        for name in names:
            number += bool(name and before and name != before)
            before = name or before
            numbers.append(number)
        return numbers

    def _count_between(self, boundaries: list[int]) -> list[int]:
        """Number statements by the begins and ends before them; what has neither read nor written is no transaction."""
        numbers: list[int] = []
        number, before = 0, -1
        for at in [*boundaries, len(self.forms)]:
            numbers += [number] * (at - len(numbers))
            number += self.count_reads(before, at) > 0 or self.count_writes(before, at) > 0
            before = at
        return numbers

    def _shared_transactions(self) -> list[str]:
        """Return the transaction of each statement, "" where it is in none with others.

        By the extended protocol a statement outside of any transaction is logged with one of its own.
        """
        if not any(event.transaction or event.scope for event in self.events):
            return []
        names = [transaction_of(event) for event in self.events]
        counts = Counter(names)
        return [name if counts[name] > 1 else "" for name in names]

    def _count_bursts(self) -> list[int]:
        """Number the statements that followed one another at once: between two bursts there is a longer pause.

        Where nothing is known of transactions, this is what is left to tell the requests that share a connection.
        """
        pauses = [self.pause_before(at) for at in range(1, len(self.events))]
        known = [pause for pause in pauses if pause is not None]
        self.knows_transactions = False
        if len(known) < len(pauses) or not known or self.is_scoped:
            return [0] * len(self.events)
        longest = max(_BURST_SECONDS, _BURST_FACTOR * sorted(known)[len(known) // 4])
        return [0, *accumulate(pause > longest for pause in known)]

    def count_writes(self, first: int, last: int) -> int:
        """Count the writes between two statements."""
        return bisect_left(self.writes, last) - bisect_right(self.writes, first)

    def count_reads(self, first: int, last: int) -> int:
        """Count the statements between two that read tables."""
        return bisect_left(self.reads, last) - bisect_right(self.reads, first)

    def reads_between(self, first: int, last: int) -> list[int]:
        """Return the statements between two that read tables."""
        return self.reads[bisect_right(self.reads, first) : bisect_left(self.reads, last)]

    def pause_before(self, at: int) -> float | None:
        """Return how long nothing ran before a statement, in seconds; None when the source does not tell finely."""
        event, before = self.events[at], self.events[at - 1]
        if at == 0 or event.ts is None or before.ts is None or (event.ts % 1 == before.ts % 1 == 0):
            return None
        busy = max(event.duration_ms or 0.0, before.duration_ms or 0.0) / 1000
        return max(event.ts - before.ts - busy, 0.0)

    def are_together(self, one: int, other: int) -> bool:
        """Whether two statements are in one transaction; or the first in none, and the other in the next one."""
        if self.transactions[one] == self.transactions[other]:
            return True
        between = [form for form in self.forms[one + 1 : other] if not form.is_utility]
        if len(between) != 1 or not between[0].is_boundary or between[0].is_end:
            return False
        before = next((form for form in reversed(self.forms[:one]) if form.is_boundary), None)
        return before is None or before.is_end

    def pairs_with_write(self, at: Sequence[int]) -> int:
        """Count the neighbours of a run between which something was written."""
        if len(self.writes) > len(at):
            return sum(self.count_writes(one, other) > 0 for one, other in pairwise(at))
        gaps = {gap for write in self.writes if 0 < (gap := bisect_left(at, write)) < len(at) and at[gap] != write}
        return len(gaps)

    def pairs_apart(self, at: Sequence[int]) -> int:
        """Count the neighbours of a run that are in different transactions."""
        numbers = [self.transactions[each] for each in at]
        return sum(map(ne, numbers, numbers[1:]))
