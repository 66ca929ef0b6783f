"""How a run of a routine ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

ResultT = TypeVar("ResultT")


class JobState(StrEnum):
    """Where a job is. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class JobOutcome(Generic[ResultT]):
    """How a job ended. `result` is set when it succeeded, `error` (a DbtuiError, else unexpected) when it did not."""

    state: JobState
    result: ResultT | None = None
    error: BaseException | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One past run that changed something, as history keeps it."""

    entry_id: int
    began: str  # ISO 8601, UTC
    ended: str
    routine: str  # "backup create"
    target: str  # profile name
    subject: str  # what it worked on: a database, a backup id
    operator: str  # login, and the SSH client it came from
    state: JobState
    detail: str  # one line: the result, or the error
    commands: tuple[str, ...] = ()
