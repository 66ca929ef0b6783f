"""What a routine says while it works, and the type of a routine.

A routine is a generator: it yields events and returns its result. It never prints, starts threads or draws.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # only who tests with load needs to know more
    from dbtui.model.loadtest import LoadSecond

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins. `step` is a short name ("dump", "count rows"), `detail` what it works on."""

    step: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the current step is. `total` is None when unknown; `unit` is "bytes", "rows", "tables" or "pages"."""

    done: int
    total: int | None
    unit: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the operator should know that does not end the run."""

    message: str


@dataclass(frozen=True, slots=True)
class CommandRan:
    """The exact command line or SQL that was run, without secrets: shown in the jobs pane and kept in history."""

    text: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended well. `seconds` is its wall time."""

    step: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LoadTicked:
    """A second of a load test has passed. Not kept with a job's events: who wants them all takes the result."""

    second: LoadSecond


Event = StepStarted | Progressed | Warned | CommandRan | StepFinished | LoadTicked
Routine = Generator[Event, None, ResultT]
