"""What signals do to a job, however early they come."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.cli.signals import EndSignals
from dbtui.history import History
from dbtui.jobs import Job, JobRequest, JobRunner
from dbtui.model.events import Event, Routine, StepStarted, Warned
from dbtui.model.jobs import JobOutcome, JobState
from dbtui.routines.context import RoutineContext


@pytest.fixture
def signals() -> Iterator[EndSignals]:
    """Taken over for one test."""
    taken = EndSignals()
    taken.install()
    yield taken
    taken.restore()


def _wait(context: RoutineContext) -> Routine[None]:
    yield StepStarted("wait")
    while True:
        context.cancellation.check()
        context.cancellation.wait(0.02)


def _updates(job: Job[None]) -> list[Event | JobOutcome[None]]:
    seen: list[Event | JobOutcome[None]] = [job.updates.get(timeout=30)]
    while not isinstance(seen[-1], JobOutcome):
        seen.append(job.updates.get(timeout=30))
    return seen


def test_a_signal_between_a_job_s_start_and_its_watching_is_told(signals: EndSignals, tmp_path: Path) -> None:
    """The job's thread may be at work before this thread watches it: who waits for the word gets it all the same."""
    runner, undone = JobRunner(RoutineContext(), History(tmp_path / "state")), threading.Event()

    def undo(context: RoutineContext) -> Routine[None]:
        try:
            yield from _wait(context)
        finally:
            undone.wait(30)

    with signals.guarding():
        job = runner.submit(JobRequest(routine="work", target="here", start=undo, changes=False))
        os.kill(os.getpid(), signal.SIGINT)
        signals.watch(job)
        os.kill(os.getpid(), signal.SIGTERM)
        undone.set()
        updates = _updates(job)
    assert [each.message for each in updates if isinstance(each, Warned)] == [
        "Ctrl-C: stopping, and undoing what was begun",
        "SIGTERM: already stopping; please wait",
    ]
    assert isinstance(updates[-1], JobOutcome)
    assert updates[-1].state is JobState.CANCELLED


def test_the_next_job_is_not_stopped_by_what_stopped_the_one_before(signals: EndSignals, tmp_path: Path) -> None:
    """Each block begins anew."""
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    for number in (signal.SIGTERM, signal.SIGINT):
        with signals.guarding():
            job = runner.submit(JobRequest(routine="work", target="here", start=_wait, changes=False))
            signals.watch(job)
            assert not job.cancellation.requested
            os.kill(os.getpid(), number)
            assert any(isinstance(each, Warned) and "stopping, and undoing" in each.message for each in _updates(job))
