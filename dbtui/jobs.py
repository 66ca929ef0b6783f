"""The one runner of routines. A job runs on its target's daemon thread; whoever started it gets its events in a queue.

The runner takes the locks, closes the generator, turns exceptions into an outcome and writes history. It is the only
loop over a routine. Both front doors use it: a command waits for its job, the terminal UI goes on drawing.
"""

import fcntl
import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import exhaust
from dbtui.errors import Cancelled, LockedError, StorageError
from dbtui.history import History
from dbtui.model.events import CommandRan, Event, LoadTicked, Progressed, Routine, StepStarted, Warned
from dbtui.model.jobs import JobOutcome, JobState
from dbtui.routines.context import RoutineContext, Unfinished

ResultT = TypeVar("ResultT")
#: Progress in this unit is that of the whole run.
WHOLE_UNIT = "steps"
UNDOES = "What it has done so far is undone; nothing that existed is touched."
_KEPT_EVENTS = 2000


def _tell_nobody(_job: object, _outcome: object) -> tuple[str, ...]:
    return ()


def _always_succeeded(_result: object) -> JobState:
    return JobState.SUCCEEDED


@dataclass(frozen=True, kw_only=True)
class JobRequest(Generic[ResultT]):
    """What to run. `start` makes the generator; `locks` name what it protects, such as "backup postgresql://db1:5432/erp".

    `changes` says whether history keeps it; `summary` and `judge` turn the result into a line and a final state.
    `cancelling` says what becomes of what was done when it is cancelled.
    `thread` names the thread that runs it, so that jobs of one target follow one another; empty: a thread of its own.
    """

    routine: str
    target: str
    start: Callable[[RoutineContext], Routine[ResultT]]
    subject: str = ""
    locks: tuple[str, ...] = ()
    changes: bool = True
    summary: Callable[[ResultT], str] = str
    judge: Callable[[ResultT], JobState] = _always_succeeded
    cancelling: str = UNDOES
    thread: str = ""


@dataclass(eq=False)
class Job(Generic[ResultT]):
    """A routine that waits, runs or ran. Fields are written by its thread alone; read them from anywhere.

    `updates` receives every event and, last, the outcome.
    """

    job_id: int
    request: JobRequest[ResultT]
    cancellation: Cancellation = field(default_factory=Cancellation)
    state: JobState = JobState.QUEUED
    began_at: datetime | None = None
    began_monotonic: float = 0.0
    step: str = ""
    step_began: float = 0.0
    progress: Progressed | None = None
    whole: Progressed | None = None  # how many of the run's steps have been done
    events: list[Event] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)
    outcome: JobOutcome[ResultT] | None = None
    updates: "queue.SimpleQueue[Event | JobOutcome[ResultT]]" = field(default_factory=queue.SimpleQueue)

    def cancel(self, reason: str = "operator") -> None:
        """Ask the job to stop; it ends as CANCELLED when what it was doing has been undone."""
        self.cancellation.request(reason)

    def note(self, event: Event) -> None:
        """Keep an event and hand it on. Progress replaces the last progress."""
        if isinstance(event, Progressed) and event.unit == WHOLE_UNIT:
            self.whole = event
        elif isinstance(event, Progressed):
            self.progress = event
        else:
            if isinstance(event, StepStarted):
                self.step, self.step_began, self.progress = event.step, time.monotonic(), None
            if len(self.events) < _KEPT_EVENTS and not isinstance(event, LoadTicked):
                self.events.append(event)
        self.updates.put(event)

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands and SQL it has run."""
        return tuple(event.text for event in self.events if isinstance(event, CommandRan))


@contextmanager
def held_lock(directory: Path, name: str) -> Iterator[None]:
    """Hold the lock called `name`; the kernel frees it when this process ends, however it ends.

    Raises LockedError, StorageError.
    """
    import hashlib  # a start has no time for it

    path = directory / f"{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.lock"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"the lock {path} cannot be opened: {error.strerror}"
        raise StorageError(message, "let XDG_STATE_HOME name a directory that you may write to") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            raise LockedError(f"{name} is already running ({holder})", "wait for it or cancel it") from None
        holder = f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        with suppress(OSError):  # who holds it is not told on a full disk; it is held all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        os.close(descriptor)


class JobRunner:
    """Runs jobs on daemon threads, one per target, and keeps those of this process for the jobs pane."""

    def __init__(self, context: RoutineContext, history: History) -> None:
        self.context = context
        self.history = history
        self.jobs: list[Job[Any]] = []
        #: Called on a job's thread when it has ended, before anybody hears of that: returns warnings, never raises.
        self.tell_hooks: Callable[[Job[Any], JobOutcome[Any]], Sequence[str]] = _tell_nobody
        self._ids = itertools.count(1)
        self._queues: dict[str, queue.SimpleQueue[Job[Any]]] = {}
        self._lock = threading.Lock()

    @property
    def tells_hooks(self) -> bool:
        """Whether somebody is told when a job has ended."""
        return self.tell_hooks is not _tell_nobody

    def submit(self, request: JobRequest[ResultT]) -> Job[ResultT]:
        """Queue a job on its target's thread and return at once."""
        job = Job(next(self._ids), request)
        with self._lock:
            if request.changes:
                self.jobs.append(job)
            if not request.thread:
                threading.Thread(target=self._run, args=(job,), name=f"job {job.job_id}", daemon=True).start()
                return job
            waiting = self._queues.get(request.thread)
            if waiting is None:
                waiting = self._queues[request.thread] = queue.SimpleQueue()
                threading.Thread(target=self._serve, args=(waiting,), name=request.thread, daemon=True).start()
        waiting.put(job)
        return job

    @property
    def running(self) -> tuple[Job[Any], ...]:
        """The jobs that have not ended, oldest first."""
        return tuple(job for job in self.jobs if not job.state.is_final)

    def _serve(self, waiting: "queue.SimpleQueue[Job[Any]]") -> None:
        while True:
            self._run(waiting.get())

    def _run(self, job: Job[ResultT]) -> None:
        job.began_at, job.began_monotonic, job.state = datetime.now(UTC), time.monotonic(), JobState.RUNNING
        outcome = self._outcome(job)
        seconds = time.monotonic() - job.began_monotonic
        warnings = tuple(event.message for event in job.events if isinstance(event, Warned))
        job.outcome = replace(outcome, seconds=seconds, warnings=warnings)
        if job.request.changes:
            job.outcome = self._record(job, job.began_at, job.outcome)
            complaints = self.tell_hooks(job, job.outcome)
            job.outcome = replace(job.outcome, warnings=(*job.outcome.warnings, *complaints))
        job.state = outcome.state
        job.updates.put(job.outcome)

    def _record(self, job: Job[ResultT], began_at: datetime, outcome: JobOutcome[ResultT]) -> JobOutcome[ResultT]:
        request = job.request
        try:
            detail = _detail(request, outcome)
            self.history.record(
                request.routine, request.target, request.subject, began_at, outcome, detail, job.commands
            )  # fmt: skip
        except Exception as error:  # the boundary: whoever waits for the job must hear of its end all the same
            missed = f"this run could not be written into the history: {error}"
            return replace(outcome, warnings=(*outcome.warnings, missed))
        return outcome

    def _outcome(self, job: Job[ResultT]) -> JobOutcome[ResultT]:
        context = replace(self.context, cancellation=job.cancellation, unfinished=job.unfinished)
        try:
            with ExitStack() as stack:
                job.cancellation.check()
                for name in job.request.locks:
                    stack.enter_context(held_lock(self.history.state_dir / "locks", name))
                result = exhaust(job.request.start(context), job.note)
            return JobOutcome(job.request.judge(result), result)
        except Cancelled as error:
            return JobOutcome(JobState.CANCELLED, error=error)
        except Exception as error:  # the boundary: whatever went wrong becomes the outcome, with its cause
            return JobOutcome(JobState.FAILED, error=error)


def _detail(request: JobRequest[ResultT], outcome: JobOutcome[ResultT]) -> str:
    if outcome.error is not None:
        return str(outcome.error)
    return request.summary(outcome.result) if outcome.result is not None else ""


def run(runner: JobRunner, request: JobRequest[ResultT], on_event: Callable[[Event], None]) -> Job[ResultT]:
    """Run a job to its end, calling `on_event` in this thread; signal handlers of this thread stay responsive.

    Whatever is raised here meanwhile, such as KeyboardInterrupt, cancels the job and goes on when the job has ended.
    """
    job = runner.submit(request)
    try:
        for event in _events(job):
            on_event(event)
    except BaseException as error:
        job.cancel(type(error).__name__)
        for _event in _events(job):
            pass
        raise
    return job


def _events(job: Job[ResultT]) -> Iterator[Event]:
    """Every event of a job until its outcome; at once none when that was taken already."""
    while not (job.state.is_final and job.updates.empty()):
        update = job.updates.get()
        if isinstance(update, JobOutcome):
            return
        yield update
