"""Trying again and again for a lock that somebody holds, never long at once, and saying who holds it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from dbtui.adapters.cancellation import Cancellation
from dbtui.model.events import Progressed, Routine, Warned
from dbtui.model.partitions import LockPatience, PartitionStep, StepOutcome, StepResult
from dbtui.model.text import format_untrusted

_MOST_NAMED = 5
_JITTER = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class LockHolder:
    """A session that holds a lock in the way. `seconds` is the age of its transaction."""

    session: int
    who: str
    seconds: float
    doing: str = ""

    def __str__(self) -> str:
        name = f"session {self.session}" if self.session else "a prepared transaction"
        doing = f": {format_untrusted(self.doing, 80)}" if self.doing else ""
        return f"{name} ({format_untrusted(self.who, 80)}, in a transaction for {self.seconds:.0f} s{doing})"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a try ended that was not stopped by a lock."""

    outcome: StepOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LockWait:
    """What waiting needs: how to look who is in the way, and how to try once, for so many seconds at most.

    A try returns None when it did not get a lock; it has then changed nothing that a later one does not find. One that
    takes its time is a routine, which tells how far it is.
    """

    look: Callable[[], Sequence[LockHolder]]
    attempt: Callable[[float], Attempt | Routine[Attempt | None] | None]


def try_patiently(
    step: PartitionStep, wait: LockWait, patience: LockPatience, cancellation: Cancellation
) -> Routine[StepResult]:
    """Try until it is done or patience ends; return what became of it. Raises Cancelled, and what a try raises."""
    began, pause, named = time.monotonic(), patience.first_pause_seconds, frozenset[int]()
    holders: Sequence[LockHolder] = ()
    number = 0
    for number in range(1, patience.tries + 1):
        cancellation.check()
        holders = wait.look()
        if not any(each.seconds > patience.old_seconds for each in holders):
            trying = wait.attempt(_rung(patience, number))
            done = (yield from trying) if isinstance(trying, Generator) else trying
            if done is not None:
                return _result(step, done, began, number)
            holders = wait.look() or holders
        sentence = format_holders(holders)
        sessions = frozenset(each.session for each in holders)
        if sessions - named:
            yield Warned(f"{step.partition.name} waits: {sentence}")
        named |= sessions
        yield Progressed(number, patience.tries, "tries", sentence)
        if time.monotonic() - began + pause > patience.seconds:
            break
        if number < patience.tries:
            cancellation.wait(pause * _JITTER.uniform(0.5, 1.0))
        pause = min(pause * 2, patience.longest_pause_seconds)
    cancellation.check()
    return _result(step, Attempt(StepOutcome.LOCKED, format_holders(holders)), began, number)


def _rung(patience: LockPatience, number: int) -> float:
    return patience.rungs_seconds[min(number, len(patience.rungs_seconds)) - 1]


def _result(step: PartitionStep, done: Attempt, began: float, tries: int) -> StepResult:
    return StepResult(
        step=step, outcome=done.outcome, seconds=time.monotonic() - began, tries=tries, detail=done.detail
    )


def format_holders(holders: Sequence[LockHolder]) -> str:
    """Return who is in the way, the oldest transaction first."""
    if not holders:
        return "somebody held a lock and has let it go since"
    ordered = sorted(holders, key=lambda each: -each.seconds)
    more = f" and {len(ordered) - _MOST_NAMED} more" if len(ordered) > _MOST_NAMED else ""
    return "held by " + ", ".join(map(str, ordered[:_MOST_NAMED])) + more
