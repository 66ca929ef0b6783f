"""From a job's thread to the loop: outcomes always arrive, progress may be dropped, nobody waits for a stuck thread."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from dbtui.history import History
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.events import Progressed, Routine, StepStarted, Warned
from dbtui.model.jobs import JobOutcome, JobState
from dbtui.routines.context import RoutineContext
from dbtui.tui.workers import PROGRESS_SECONDS, follow, outcome_of


@pytest.fixture
def runner(tmp_path: Path) -> JobRunner:
    """A runner with a history of its own."""
    return JobRunner(RoutineContext(), History(tmp_path / "state"))


def _busy(_context: RoutineContext) -> Routine[str]:
    yield StepStarted("dump")
    for number in range(20_000):
        yield Progressed(number, 20_000, "rows")
    yield Warned("look")
    return "done"


async def test_progress_is_merged_and_the_outcome_arrives(runner: JobRunner) -> None:
    """Twenty thousand progress events become a handful; everything else is there, in order."""
    job = runner.submit(JobRequest(routine="test", target="t", start=_busy))
    batches = [batch async for batch in follow(job)]
    updates = [update for batch in batches for update in batch]
    assert isinstance(updates[-1], JobOutcome)
    assert updates[-1].result == "done"
    assert [type(update) for update in updates if not isinstance(update, Progressed)] == [
        StepStarted,
        Warned,
        JobOutcome,
    ]
    assert len(updates) < 2000


async def test_progress_comes_at_most_twice_a_second(runner: JobRunner) -> None:
    """A job that talks all the time does not keep the screen busy."""

    def talking(context: RoutineContext) -> Routine[None]:
        for number in range(60):
            context.cancellation.wait(0.02)
            yield Progressed(number, 60, "rows")

    began = time.monotonic()
    job = runner.submit(JobRequest(routine="test", target="t", start=talking))
    batches = [batch async for batch in follow(job)]
    assert len(batches) <= (time.monotonic() - began) / PROGRESS_SECONDS + 3


async def test_an_error_is_an_outcome(runner: JobRunner) -> None:
    """Nothing is raised into the loop."""

    def failing(_context: RoutineContext) -> Routine[None]:
        yield StepStarted("fail")
        raise ValueError("no")

    outcome = await outcome_of(runner, JobRequest(routine="test", target="t", start=failing, changes=False))
    assert outcome.state is JobState.FAILED
    assert isinstance(outcome.error, ValueError)


async def test_giving_up_the_wait_cancels_the_job(runner: JobRunner) -> None:
    """A dialog that is closed does not leave its question running."""
    stopped = threading.Event()

    def waiting(context: RoutineContext) -> Routine[None]:
        yield StepStarted("wait")
        context.cancellation.wait(30)
        stopped.set()
        context.cancellation.check()

    task = asyncio.create_task(outcome_of(runner, JobRequest(routine="w", target="t", start=waiting, changes=False)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(stopped.wait, 5)


def test_no_thread_keeps_the_process_alive(runner: JobRunner) -> None:
    """Both threads of a job are daemons."""
    release = threading.Event()

    def stuck(_context: RoutineContext) -> Routine[None]:
        yield StepStarted("stuck")
        release.wait(30)

    async def look() -> None:
        job = runner.submit(JobRequest(routine="stuck", target="t", start=stuck, changes=False))
        async for batch in follow(job):
            if not isinstance(batch[0], StepStarted):
                continue
            mine = [thread for thread in threading.enumerate() if f"job {job.job_id}" in thread.name]
            assert len(mine) == 2
            assert all(thread.daemon for thread in mine)
            release.set()

    asyncio.run(look())
