"""The runner: events, outcomes, cancel, locks, threads. No sleeps: whoever waits is told."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbtui.errors import Cancelled, LockedError, StorageError, UsageError
from dbtui.history import History
from dbtui.jobs import Job, JobRequest, JobRunner, held_lock, run
from dbtui.model.events import CommandRan, Event, Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.jobs import JobOutcome, JobState
from dbtui.routines.context import RoutineContext


@pytest.fixture
def runner(tmp_path: Path) -> JobRunner:
    return JobRunner(RoutineContext(), History(tmp_path / "state"))


def request_of(start: Callable[[RoutineContext], Routine[Any]], **words: Any) -> JobRequest[Any]:
    return JobRequest(routine="backup create", target="erp", subject="erp", start=start, **words)


def outcome_of(job: Job[Any]) -> JobOutcome[Any]:
    while True:
        update = job.updates.get(timeout=30)
        if isinstance(update, JobOutcome):
            return update


def finished(job: Job[Any]) -> JobOutcome[Any]:
    assert job.outcome is not None
    return job.outcome


def counting(_c: RoutineContext) -> Routine[int]:
    yield StepStarted("dump", "erp")
    yield CommandRan("pg_dump erp")
    yield Progressed(1, 2, "tables")
    yield Warned("a lock")
    return 42


def waiting(
    entered: threading.Event, closed: threading.Event | None = None
) -> Callable[[RoutineContext], Routine[None]]:
    """A routine that blocks as a driver does: nothing but its interrupt ends it."""

    def start(c: RoutineContext) -> Routine[None]:
        interrupted = threading.Event()
        try:
            yield StepStarted("wait")
            with c.cancellation.interrupting(interrupted.set):
                entered.set()
                assert interrupted.wait(30)
                c.cancellation.check()
        finally:
            if closed is not None:
                closed.set()

    return start


def test_events_arrive_in_order_and_the_outcome_last(runner: JobRunner) -> None:
    events: list[Event] = []
    job = run(runner, request_of(counting, summary=lambda number: f"made {number}"), events.append)
    assert [type(event).__name__ for event in events] == ["StepStarted", "CommandRan", "Progressed", "Warned"]
    outcome = finished(job)
    assert (outcome.state, outcome.result, outcome.warnings) == (JobState.SUCCEEDED, 42, ("a lock",))
    assert (job.state, job.step, job.commands) == (JobState.SUCCEEDED, "dump", ("pg_dump erp",))
    (entry,) = runner.history.entries()
    assert (entry.routine, entry.target, entry.detail, entry.commands) == (
        "backup create", "erp", "made 42", ("pg_dump erp",),
    )  # fmt: skip


def test_a_judge_may_call_it_partial(runner: JobRunner) -> None:
    job = run(runner, request_of(counting, judge=lambda _: JobState.PARTIAL), lambda _: None)
    assert job.state is JobState.PARTIAL


@pytest.mark.parametrize("error", [UsageError("wrong"), RuntimeError("a bug"), MemoryError()])
def test_an_exception_is_the_outcome_and_the_generator_is_closed(runner: JobRunner, error: Exception) -> None:
    closed = threading.Event()

    def failing(_c: RoutineContext) -> Routine[None]:
        try:
            yield StepStarted("dump")
            raise error
        finally:
            closed.set()

    outcome = finished(run(runner, request_of(failing), lambda _: None))
    assert (outcome.state, outcome.error) == (JobState.FAILED, error)
    assert closed.is_set()
    assert runner.history.entries()[0].state is JobState.FAILED


def test_a_routine_that_cannot_even_start_is_an_outcome(runner: JobRunner) -> None:
    def broken(_c: RoutineContext) -> Routine[None]:
        raise UsageError("no")

    assert finished(run(runner, request_of(broken), lambda _: None)).state is JobState.FAILED


def test_a_history_that_fails_does_not_hide_the_end(runner: JobRunner) -> None:
    def failing(_result: object) -> str:
        raise RuntimeError("summary")

    outcome = finished(run(runner, request_of(counting, summary=failing), lambda _: None))
    assert outcome.state is JobState.SUCCEEDED
    assert "could not be written into the history" in outcome.warnings[-1]


def test_cancel_interrupts_what_blocks(runner: JobRunner) -> None:
    entered, closed = threading.Event(), threading.Event()
    job = runner.submit(request_of(waiting(entered, closed)))
    assert entered.wait(30)
    assert runner.running == (job,)
    job.cancel("Ctrl-C")
    job.cancel("Ctrl-C")
    outcome = outcome_of(job)
    assert outcome.state is JobState.CANCELLED
    assert isinstance(outcome.error, Cancelled)
    assert "Ctrl-C" in str(outcome.error)
    assert closed.is_set()
    assert not runner.running


def test_a_job_cancelled_while_it_waits_never_starts(runner: JobRunner) -> None:
    entered, started = threading.Event(), threading.Event()

    def never(_c: RoutineContext) -> Routine[None]:
        started.set()
        yield StepStarted("never")

    first = runner.submit(request_of(waiting(entered), thread="erp"))
    assert entered.wait(30)
    second = runner.submit(request_of(never, thread="erp"))
    second.cancel()
    first.cancel()
    assert outcome_of(second).state is JobState.CANCELLED
    assert not started.is_set()


def test_jobs_of_one_target_follow_one_another_and_others_do_not_wait(runner: JobRunner) -> None:
    entered = threading.Event()
    threads: list[str] = []

    def noting(_c: RoutineContext) -> Routine[None]:
        threads.append(threading.current_thread().name)
        yield StepStarted("note")

    first = runner.submit(request_of(waiting(entered), thread="erp"))
    assert entered.wait(30)
    second = runner.submit(request_of(noting, thread="erp"))
    assert outcome_of(runner.submit(request_of(noting, thread="shop"))).state is JobState.SUCCEEDED
    assert outcome_of(runner.submit(request_of(noting))).state is JobState.SUCCEEDED
    assert second.state is JobState.QUEUED
    first.cancel()
    assert outcome_of(second).state is JobState.SUCCEEDED
    assert threads[0] == "shop"
    assert threads[2] == "erp"


def test_reading_jobs_are_not_kept(runner: JobRunner) -> None:
    job = run(runner, request_of(counting, changes=False), lambda _: None)
    assert job.state is JobState.SUCCEEDED
    assert runner.jobs == []
    assert runner.history.entries() == ()


def test_an_exception_in_the_caller_cancels_the_job_and_waits_for_its_end(runner: JobRunner) -> None:
    entered, closed = threading.Event(), threading.Event()

    def interrupted(_event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(runner, request_of(waiting(entered, closed)), interrupted)
    assert closed.is_set()
    assert runner.jobs[0].state is JobState.CANCELLED


# ---------------------------------------------------------------- locks


def test_a_second_job_with_the_same_lock_is_told_who_holds_it(runner: JobRunner) -> None:
    entered = threading.Event()
    lock = "backup of erp on db1:5432"
    first = runner.submit(request_of(waiting(entered), locks=(lock,)))
    assert entered.wait(30)
    outcome = outcome_of(runner.submit(request_of(counting, locks=("other", lock))))
    assert isinstance(outcome.error, LockedError)
    assert str(outcome.error).startswith(f"{lock} is already running (process {os.getpid()} since ")
    first.cancel()
    assert outcome_of(first).state is JobState.CANCELLED
    assert finished(run(runner, request_of(counting, locks=(lock,)), lambda _: None)).state is JobState.SUCCEEDED


HOLDER = """
import sys, time
from pathlib import Path
from dbtui.jobs import held_lock
with held_lock(Path(sys.argv[1]), "erp"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_killed_holder_frees_its_lock(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    with pytest.raises(LockedError, match=f"process {holder.pid} "), held_lock(tmp_path, "erp"):
        pass
    with held_lock(tmp_path, "something else"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with held_lock(tmp_path, "erp"):
        pass


def test_a_lock_needs_no_plain_name_but_a_directory(tmp_path: Path) -> None:
    for name in ("a/b", "a\nb", "x" * 1000, "\ud800"):
        with held_lock(tmp_path / "new", name):
            pass
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="XDG_STATE_HOME"), held_lock(tmp_path / "file" / "locks", "erp"):
        pass


def test_progress_replaces_progress_and_a_step_begins_anew(runner: JobRunner) -> None:
    job: Job[Any] = Job(1, request_of(counting))
    job.note(Progressed(1, 2, "bytes"))
    job.note(Progressed(2, 2, "bytes"))
    assert job.progress == Progressed(2, 2, "bytes")
    before = time.monotonic()
    job.note(StepStarted("count rows"))
    assert job.step == "count rows"
    assert job.step_began >= before
    assert job.events == [StepStarted("count rows")]
    assert not isinstance(job.progress, Progressed)


def test_progress_of_the_whole_run_outlasts_its_steps(runner: JobRunner) -> None:
    """A step's own progress ends with it."""

    def work(_context: RoutineContext) -> Routine[int]:
        yield Progressed(0, 2, "steps")
        yield StepStarted("create")
        yield Progressed(3, 30, "tries", "held by session 5")
        yield StepFinished("create", 0.1)
        yield Progressed(1, 2, "steps")
        yield StepStarted("drop")
        return 7

    job = run(runner, JobRequest(routine="apply", target="erp", start=work), lambda _event: None)
    assert job.whole == Progressed(1, 2, "steps")
    assert job.progress is None
