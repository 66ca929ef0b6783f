"""How long a statement is on its way, estimated from the pauses in loops of look-ups when nobody measured it."""

from itertools import pairwise

from dbtui.analysis.queries.judging import Match
from dbtui.model.queries import PatternKind

_MOST_PAUSES = 2_000
_MOST_SECONDS = 0.25
#: Loops that are looked at when none of them gives a pause: the source times in whole seconds, or not at all.
_MOST_IN_VAIN = 500


class RoundTrips:
    """Collects the pauses between one look-up of a loop and the next, of which the shortest are round trips."""

    def __init__(self) -> None:
        self._pauses: list[float] = []
        self._in_vain = 0

    def learn(self, match: Match) -> None:
        """Take the pauses of a loop, where the source times both ends finely enough."""
        if match.kind is not PatternKind.N_PLUS_ONE or len(self._pauses) >= _MOST_PAUSES:
            return
        if not self._pauses:
            self._in_vain += 1
            if self._in_vain > _MOST_IN_VAIN:
                return
        events = match.view.events
        for run in match.runs:
            for one, other in pairwise(run.at[:50]):
                began, ended, duration = events[one].ts, events[other].ts, events[other].duration_ms
                if other != one + 1 or began is None or ended is None or duration is None:
                    continue
                pause = ended - began - duration / 1000
                if 0 < pause < _MOST_SECONDS and not began % 1 == ended % 1 == 0:
                    self._pauses.append(pause)

    def estimate(self) -> float | None:
        """Return the lower quartile of the pauses, in seconds; None when there are too few."""
        if len(self._pauses) < 5:
            return None
        return sorted(self._pauses)[len(self._pauses) // 4]
