"""Looking several times over the same connections: rates and countdowns are differences of two looks."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted
from dbtui.routines.context import RoutineContext

SnapshotT_co = TypeVar("SnapshotT_co", covariant=True)


class Looks(Protocol[SnapshotT_co]):
    """Connections that are kept between looks."""

    def look(self) -> SnapshotT_co:
        """Ask everybody once."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


def take_looks(
    c: RoutineContext,
    profile: ConnectionProfile,
    step: str,
    begin: Callable[[], Looks[SnapshotT_co]],
    looks: int,
    between_seconds: float,
) -> Routine[tuple[SnapshotT_co, ...]]:
    """Look `looks` times with what `begin` makes; `step`: what this is called while it runs. Raises Cancelled."""
    yield StepStarted(step, profile.name)
    began = time.monotonic()
    taken: list[SnapshotT_co] = []
    asked = begin()
    try:
        while len(taken) < looks:
            if taken:
                c.cancellation.wait(between_seconds)
            c.cancellation.check()
            taken.append(asked.look())
            yield Progressed(len(taken), looks, "looks")
    finally:
        asked.close()
    yield StepFinished(step, time.monotonic() - began)
    return tuple(taken)
