"""Reading many small objects of a remote at once: each thread has a connection of its own."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.remote import Remote
from dbtui.adapters.streams import TICK_SECONDS
from dbtui.errors import Cancelled, ConnectError, DbtuiError

ReadT = TypeVar("ReadT")


class _Reading(Generic[ReadT]):
    """What the threads share."""

    def __init__(self, names: Sequence[str], limit_bytes: int, understand: Callable[[str, bytes], ReadT]) -> None:
        self.waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in names:
            self.waiting.put(name)
        self.limit_bytes = limit_bytes
        self.understand = understand
        self.found: dict[str, ReadT | DbtuiError] = {}
        self.failure: BaseException | None = None
        self.stopping = threading.Event()

    def serve(self, open_remote: Callable[[], AbstractContextManager[Remote]]) -> None:
        """Read until nothing waits, in a thread."""
        try:
            with open_remote() as remote:
                while not self.stopping.is_set():
                    try:
                        name = self.waiting.get_nowait()
                    except queue.Empty:
                        return
                    self.found[name] = self._read(remote, name)
        except BaseException as error:  # of a thread: whoever waits for it raises it
            self.failure = self.failure or error
            self.stopping.set()

    def _read(self, remote: Remote, name: str) -> ReadT | DbtuiError:
        try:
            return self.understand(name, remote.read(name, self.limit_bytes))
        except (Cancelled, ConnectError):
            raise
        except DbtuiError as error:  # this object's own fault
            return error


def read_objects(
    open_remote: Callable[[], AbstractContextManager[Remote]],
    names: Sequence[str],
    limit_bytes: int,
    understand: Callable[[str, bytes], ReadT],
    *,
    threads: int,
    cancellation: Cancellation,
) -> Generator[int, None, dict[str, ReadT | DbtuiError]]:
    """Return what `understand` makes of each object's bytes, or why it could not be read; yields how many are read.

    `open_remote` is called by each of at most `threads` threads, and so is `understand`. Raises what keeps all of them
    from being read: ConnectError, Cancelled.
    """
    reading = _Reading(names, limit_bytes, understand)
    workers = [
        threading.Thread(target=reading.serve, args=(open_remote,), name="reading", daemon=True)
        for _ in range(min(threads, len(names)))
    ]
    for worker in workers:
        worker.start()
    try:
        while any(worker.is_alive() for worker in workers):
            cancellation.check()
            next(worker for worker in workers if worker.is_alive() or worker is workers[-1]).join(TICK_SECONDS)
            yield len(reading.found)
    finally:
        reading.stopping.set()
        for worker in workers:
            worker.join()
    if reading.failure is not None:
        raise reading.failure
    return reading.found
