"""From a job's thread to the event loop: the updates of a job as an asynchronous stream.

The job runs on a daemon thread of `jobs.JobRunner`; a second daemon thread forwards what it says. Neither is asyncio's
executor, so that leaving never waits for a server that does not answer.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar, cast

from textual.css.query import NoMatches
from textual.dom import DOMNode

from dbtui.jobs import Job, JobRequest, JobRunner
from dbtui.model.events import Event, Progressed
from dbtui.model.jobs import JobOutcome

ResultT = TypeVar("ResultT")
Update = Event | JobOutcome[ResultT]
#: The screen is told of progress at most twice a second.
PROGRESS_SECONDS = 0.5


class Inbox:
    """Takes updates from any thread and wakes the loop. Progress replaces progress; nothing else is dropped."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._updates: list[Update[Any]] = []
        self._any = asyncio.Event()
        self._urgent = asyncio.Event()

    def put(self, update: Update[Any]) -> bool:
        """Add an update. Returns False when nobody listens any more."""
        with self._lock:
            if isinstance(update, Progressed) and self._updates and isinstance(self._updates[-1], Progressed):
                self._updates[-1] = update
                return True
            self._updates.append(update)
        try:
            self._loop.call_soon_threadsafe(self._wake, not isinstance(update, Progressed))
        except RuntimeError:
            return False  # the loop is closed: the operator has left
        return True

    def _wake(self, urgent: bool) -> None:
        self._any.set()
        if urgent:
            self._urgent.set()

    async def take(self) -> list[Update[Any]]:
        """Wait for updates and return all there are."""
        taken: list[Update[Any]] = []
        while not taken:  # a wake-up may come after its update was taken
            await self._any.wait()
            with self._lock:
                taken, self._updates = self._updates, []
                self._any.clear()
                self._urgent.clear()
        return taken

    async def rest(self) -> None:
        """Wait until the next progress may be shown, or something that is more than progress has come."""
        try:
            await asyncio.wait_for(self._urgent.wait(), PROGRESS_SECONDS)
        except TimeoutError:
            return


def _forward(job: Job[ResultT], inbox: Inbox) -> None:
    while True:
        update = job.updates.get()
        if not inbox.put(update) or isinstance(update, JobOutcome):
            return


async def follow(job: Job[ResultT]) -> AsyncIterator[list[Update[Any]]]:
    """Yield a job's updates in batches; the last batch ends with its outcome."""
    inbox = Inbox(asyncio.get_running_loop())
    threading.Thread(target=_forward, args=(job, inbox), name=f"updates of job {job.job_id}", daemon=True).start()
    while True:
        batch = await inbox.take()
        yield batch
        if isinstance(batch[-1], JobOutcome):
            return
        await inbox.rest()


async def outcome_of(
    runner: JobRunner, request: JobRequest[ResultT], on_start: Callable[[Job[ResultT]], None] | None = None
) -> JobOutcome[ResultT]:
    """Run a job and wait for its outcome without blocking the loop. Cancelling the wait cancels the job."""
    job = runner.submit(request)
    if on_start is not None:
        on_start(job)
    try:
        async for _batch in follow(job):
            pass
    except asyncio.CancelledError:
        request_cancel(job)
        raise
    assert job.outcome is not None  # noqa: S101  the last batch holds it
    return job.outcome


def request_cancel(job: Job[ResultT], reason: str = "operator") -> None:
    """Ask a job to stop, from a thread: telling a server to stop can itself take a moment."""
    threading.Thread(target=job.cancel, args=(reason,), name=f"cancel job {job.job_id}", daemon=True).start()


def run_in_background(
    node: DOMNode,
    name: str,
    work: Callable[..., Coroutine[Any, Any, object]],
    *arguments: Any,
    group: str = "",
    afterwards: Callable[[], object] | None = None,
) -> None:
    """Run a coroutine on the loop until it ends or `node` goes. Within a `group`, a newer one replaces the older.

    `name` is all that is told of it: by itself Textual would describe a worker by its arguments, secrets included.
    `afterwards` is called once it is over, however it ended, also when it was cancelled before its first step.
    """

    async def working() -> None:
        try:
            await work(*arguments)
        except NoMatches:
            if node.app.is_running:  # else the screen is being taken apart, and nobody will see the result
                raise

    place = group or "default"
    worker = node.run_worker(cast(Any, working), name, group=place, description=name, exclusive=bool(group))
    if afterwards is not None:
        over = afterwards
        cast("asyncio.Task[None]", worker._task).add_done_callback(lambda _task: over())
