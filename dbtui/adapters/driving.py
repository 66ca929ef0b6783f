"""Work that is done step by step in a generator: driven to its end, its steps passed on or taken note of."""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

from dbtui.model.events import Progressed, ResultT, Routine

StepT = TypeVar("StepT")
ShownT = TypeVar("ShownT")


def exhaust(work: Generator[StepT, None, ResultT], note: Callable[[StepT], None] | None = None) -> ResultT:
    """Return the result of the work, calling `note`, if any, with each of its steps; it is closed in any case."""
    with closing(work):
        while True:
            try:
                step = next(work)
            except StopIteration as end:
                result: ResultT = end.value
                return result
            if note is not None:
                note(step)


def forward(
    work: Generator[StepT, None, ResultT], shown: Callable[[StepT], ShownT]
) -> Generator[ShownT, None, ResultT]:
    """Do the work, yielding what `shown` makes of each of its steps; it is closed in any case."""
    with closing(work):
        while True:
            try:
                step = next(work)
            except StopIteration as end:
                result: ResultT = end.value
                return result
            yield shown(step)


def report(work: Generator[int, None, ResultT], total: int | None, unit: str = "bytes") -> Routine[ResultT]:
    """Do the work, whose steps say how much is done; `total` is None when that is not known."""
    return forward(work, lambda done: Progressed(done, total, unit))
