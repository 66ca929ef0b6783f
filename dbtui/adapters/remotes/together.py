"""Working on many objects of a remote at once: each thread has a connection of its own, for a remote has one owner."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Generic, TypeVar

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.remote import Remote
from dbtui.adapters.streams import TICK_SECONDS
from dbtui.errors import Cancelled, ConnectError, DbtuiError

DoneT = TypeVar("DoneT")
ReadT = TypeVar("ReadT")
OpenRemote = Callable[[Cancellation], AbstractContextManager[Remote]]


class _Together(Generic[DoneT]):
    """What the threads share. The first thing that goes wrong stops all of them."""

    def __init__(self, jobs: Sequence[Callable[[Remote], DoneT]], open_remote: OpenRemote) -> None:
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(jobs)):
            self._waiting.put(number)
        self._jobs = jobs
        self._open = open_remote
        self._failures: list[BaseException] = []
        self.done: dict[int, DoneT] = {}
        self.stopping = Cancellation()

    def serve(self) -> None:
        """Work until nothing waits, in a thread."""
        try:
            with self._open(self.stopping) as remote:
                while not self.stopping.requested:
                    try:
                        number = self._waiting.get_nowait()
                    except queue.Empty:
                        return
                    self.done[number] = self._jobs[number](remote)
        except BaseException as error:  # of a thread: whoever waits for it raises it
            self._failures.append(error)
            self.stopping.request("another one failed")

    def raise_failure(self) -> None:
        """Raise what went wrong first; that others were stopped by it is no cause."""
        if self._failures:
            raise min(self._failures, key=lambda error: isinstance(error, Cancelled))


def work_together(
    open_remote: OpenRemote, jobs: Sequence[Callable[[Remote], DoneT]], *, threads: int, cancellation: Cancellation
) -> Generator[None, None, list[DoneT]]:
    """Do every job, with at most so many threads; yield some times a second, and return what the jobs returned.

    `open_remote` is called by each thread, with what stops it. Raises what a job raised, Cancelled, ConnectError.
    """
    together = _Together(jobs, open_remote)
    workers = [
        threading.Thread(target=together.serve, name="remote", daemon=True) for _ in range(min(threads, len(jobs)))
    ]
    with cancellation.interrupting(lambda: together.stopping.request(cancellation.reason)):
        for worker in workers:
            worker.start()
        try:
            while living := [worker for worker in workers if worker.is_alive()]:
                living[0].join(TICK_SECONDS)
                yield
        finally:
            together.stopping.request("no longer wanted")
            for worker in workers:
                worker.join()
    cancellation.check()
    together.raise_failure()
    return [together.done[number] for number in range(len(jobs))]


def read_objects(
    open_remote: OpenRemote,
    names: Sequence[str],
    limit_bytes: int,
    understand: Callable[[str, bytes], ReadT],
    *,
    threads: int,
    cancellation: Cancellation,
) -> Generator[int, None, dict[str, ReadT | DbtuiError]]:
    """Return what `understand` makes of each object's bytes, or why it could not be read; yields how many are read.

    `understand` is called by several threads. Raises what keeps all of them from being read: ConnectError, Cancelled.
    """
    found: dict[str, ReadT | DbtuiError] = {}

    def read(name: str, remote: Remote) -> None:
        try:
            found[name] = understand(name, remote.read(name, limit_bytes))
        except (Cancelled, ConnectError):
            raise
        except DbtuiError as error:  # this object's own fault
            found[name] = error

    jobs = [partial(read, name) for name in names]
    for _tick in work_together(open_remote, jobs, threads=threads, cancellation=cancellation):
        yield len(found)
    return found
