"""Work that blocks in a driver runs in a thread of its own, so that a routine can go on telling and be cancelled."""

import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from dbtui.adapters.cancellation import Cancellation
from dbtui.model.events import Event, Routine

ResultT = TypeVar("ResultT")
_TICK_SECONDS = 0.1


class Background(Generic[ResultT]):
    """`work` running in a thread. Leaving the block before its end calls `stop`, again and again, until it has ended.

    SQLite, as PostgreSQL, forgets an interrupt that arrives between two statements: hence again and again.
    """

    def __init__(self, work: Callable[[], ResultT], stop: Callable[[], None], cancellation: Cancellation) -> None:
        self._work = work
        self._stop = stop
        self._cancellation = cancellation
        self._result: list[ResultT] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background work", daemon=True)

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:  # it is raised again in the thread that waits
            self._error = error
        finally:
            self._ended.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop_and_wait()
        self._thread.join()

    def _stop_and_wait(self) -> None:
        while not self._ended.is_set():
            self._stop()
            self._ended.wait(_TICK_SECONDS / 2)

    def wait(self, tell: Callable[[], Event]) -> Routine[ResultT]:
        """Yield what `tell` says a few times a second until the work has ended; return its result or raise its error.

        Raises Cancelled when the work was stopped for that. A cancel that comes too late to stop it changes nothing:
        what is done is done, and its result is returned.
        """
        while not self._ended.wait(_TICK_SECONDS):
            if self._cancellation.requested:
                self._stop_and_wait()
            else:
                yield tell()
        if self._error is not None:
            self._cancellation.check()
            raise self._error
        return self._result[0]
