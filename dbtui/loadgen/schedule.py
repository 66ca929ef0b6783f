"""When requests are meant to start, and when something is to be reported: one clock, one grid for all generators."""

import math
from dataclasses import dataclass

from dbtui.model.loadtest import GeneratorPlan, LoadStage

_HAIR = 1e-6  # of a request: what floating point may be off by


class Arrivals:
    """The intended starts of an open model, evenly spaced. Times are moments of CLOCK_MONOTONIC.

    They do not depend on answers: a request that could not be sent in time keeps its intended start, from which its
    latency counts. `shift` (0 to 1, a share of the distance) lets several generators take turns.
    """

    def __init__(self, rate: float, begins: float, ends: float, shift: float = 0.0) -> None:
        self._rate = rate
        self._begins = begins
        self._shift = shift
        self._count = max(0, math.ceil((ends - begins) * rate - shift - _HAIR))
        self._taken = 0
        self.next = self._moment(0)

    def _moment(self, number: int) -> float:
        return self._begins + (number + self._shift) / self._rate if number < self._count else math.inf

    def is_due(self, now: float) -> bool:
        """Whether a request is meant to have started."""
        return self.next <= now

    def take(self) -> float:
        """Return the intended start of the next request; the one after it is next then."""
        taken = self.next
        self._taken += 1
        self.next = self._moment(self._taken)
        return taken

    def skip_until(self, moment: float) -> int:
        """Give up what was meant to start before `moment`; return how many that are."""
        if self.next >= moment:
            return 0
        wanted = min(self._count, max(self._taken, math.ceil((moment - self._begins) * self._rate - self._shift)))
        while wanted < self._count and self._moment(wanted) < moment:
            wanted += 1
        skipped, self._taken = wanted - self._taken, wanted
        self.next = self._moment(wanted)
        return skipped


@dataclass(frozen=True, slots=True)
class TimedStage:
    """A stage with its moments of CLOCK_MONOTONIC. `number` counts from 0."""

    number: int
    stage: LoadStage
    begins: float
    ends: float

    def arrivals(self, plan: GeneratorPlan) -> Arrivals | None:
        """The intended starts of this stage; None in a closed model."""
        if not self.stage.rate:
            return None
        return Arrivals(self.stage.rate, self.begins, self.ends, plan.number / plan.count)


def time_stages(plan: GeneratorPlan) -> list[TimedStage]:
    """Return the stages of a plan with their moments."""
    timed = []
    begins = plan.begins
    for number, stage in enumerate(plan.request.stages):
        timed.append(TimedStage(number, stage, begins, begins + stage.seconds))
        begins += stage.seconds
    return timed


def report_moments(timed: TimedStage, begins: float) -> list[tuple[float, int]]:
    """Return when to report during a stage: each full second since the test began, and the stage's end.

    Each moment comes with the number of the second that it ends.
    """
    first = math.floor(timed.begins - begins + 1e-6) + 1
    moments = [begins + number for number in range(first, math.ceil(timed.ends - begins))]
    moments = [moment for moment in moments if moment < timed.ends - 1e-3] + [timed.ends]
    return [(moment, math.ceil(moment - begins - 1e-6) - 1) for moment in moments]
