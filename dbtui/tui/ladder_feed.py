"""The ladder of the open target on its way to the loop: looks come from threads and are taken there, or recorded."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dbtui.ladders import LadderWatch
from dbtui.model.connections import ConnectionProfile
from dbtui.model.pools import LoadPoint, PoolerClients, PoolsSnapshot
from dbtui.routines.context import RoutineContext
from dbtui.tui.watching import Watching
from dbtui.watches import Look, Watch

if TYPE_CHECKING:
    from dbtui.recordings import Recorder

#: More looks than this do not wait: the oldest are lost when the loop is busy for so long.
_MOST_WAITING = 30


class Laddering(Protocol):
    """What the UI needs of a ladder's watch; every method returns at once."""

    wants_clients: Callable[[PoolerClients], None] | None

    def start(self) -> object:
        """Begin to look."""
        ...

    def stop(self) -> None:
        """End."""
        ...

    def wake(self) -> None:
        """Look now."""
        ...

    def pause(self) -> None:
        """Look no more until `resume()`."""
        ...

    def resume(self) -> None:
        """Go on, beginning now."""
        ...

    def set_interval(self, seconds: float) -> None:
        """Wait so long between two looks."""
        ...

    def receive(self, look: Look) -> None:
        """Take a look at the server."""
        ...


def make_ladder(
    profile: ConnectionProfile,
    context: RoutineContext,
    publish: Callable[[PoolsSnapshot], None],
    seconds: float,
    server: Watching | None,
) -> Laddering:
    """Return a watch that has not begun. `server`: a watch of the same target, so that it is not asked twice."""
    return LadderWatch(profile, context, publish, seconds, server=server if isinstance(server, Watch) else None)


class LadderFeed:
    """One target's ladder. `arrived` is called on the loop when looks wait that `take()` returns."""

    def __init__(
        self,
        profile: ConnectionProfile,
        context: RoutineContext,
        seconds: float,
        arrived: Callable[[], object],
        clients_arrived: Callable[[PoolerClients], object],
    ) -> None:
        self.profile = profile
        self.seconds = seconds
        self.wants_sessions = False  # of the server's watch: what clients do in the server
        self.load: LoadPoint | None = None  # what a load test does: kept with what is recorded
        self._context = context
        self._arrived, self._clients_arrived = arrived, clients_arrived
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[PoolsSnapshot] = []
        self._ladder: Laddering | None = None
        self._recorder: Recorder | None = None
        self._recorded = 0
        self._recording_error = ""
        self.has_ended = False

    def begin(self, server: Watching | None) -> None:
        """Begin to look; `server` is a watch of the same target, if there is one."""
        if self.has_ended or self._ladder is not None:
            return
        self._ladder = make_ladder(self.profile, self._context, self._publish, self.seconds, server)
        self._ladder.start()
        if self.wants_sessions:
            self.ask_clients(True)

    def receive(self, look: Look) -> None:
        """Take a look at the server, from the thread that looks."""
        if self._ladder is not None:
            self._ladder.receive(look)

    def stop(self) -> None:
        """End it, and a recording."""
        self.has_ended = True
        if self._ladder is not None:
            self._ladder.stop()
        if self.is_recording:
            self.stop_recording()

    def wake(self) -> None:
        """Look now."""
        if self._ladder is not None:
            self._ladder.wake()

    def set_paused(self, paused: bool) -> None:
        """Look no more, or go on."""
        if self._ladder is not None:
            (self._ladder.pause if paused else self._ladder.resume)()

    def set_interval(self, seconds: float) -> None:
        """Wait so long between two looks."""
        self.seconds = seconds
        if self._ladder is not None:
            self._ladder.set_interval(seconds)

    def ask_clients(self, wanted: bool) -> None:
        """Ask for PgBouncer's clients too, or no more."""
        self.wants_sessions = wanted
        if self._ladder is not None and (self._ladder.wants_clients is not None) != wanted:
            self._ladder.wants_clients = self._publish_clients if wanted else None

    # ------------------------------------------------------------ on the threads of the watch

    def _publish(self, snapshot: PoolsSnapshot) -> None:
        with self._lock:
            if self.load is not None:
                snapshot = replace(snapshot, load=self.load)
            self._record(snapshot)
            begins = not self._waiting
            self._waiting = [*self._waiting[1 - _MOST_WAITING :], snapshot]
        if begins:
            self._call(self._arrived)

    def _record(self, snapshot: PoolsSnapshot) -> None:
        if self._recorder is None:
            return
        try:
            self._recorder.write(snapshot)
            self._recorded += 1
        except OSError as error:
            self._recording_error = error.strerror or str(error)
            self._recorder.close()
            self._recorder = None

    def _publish_clients(self, clients: PoolerClients) -> None:
        self._call(lambda: self._clients_arrived(clients))

    def _call(self, say: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the operator has left
            self._loop.call_soon_threadsafe(say)

    def take(self) -> list[PoolsSnapshot]:
        """Return what was seen since the last time."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    # ------------------------------------------------------------ recordings

    @property
    def is_recording(self) -> bool:
        """Whether looks are written to a file."""
        return self._recorder is not None

    def take_recording_error(self) -> str:
        """Return why a recording ended by itself, once."""
        error, self._recording_error = self._recording_error, ""
        return error

    def record(self, directory: Path) -> Path:
        """Write every look to a new file in `directory` from now on. Raises StorageError, OSError."""
        from dbtui.recordings import Recorder  # not before somebody records

        recorder = Recorder.create(directory, self.profile.name)
        with self._lock:
            self._recorder, self._recorded = recorder, 0
        return recorder.path

    def stop_recording(self) -> tuple[Path, int]:
        """End the recording; return its file and how many looks are in it."""
        with self._lock:
            recorder, self._recorder = self._recorder, None
        assert recorder is not None  # noqa: S101  asked only while it runs
        recorder.close()
        return recorder.path, self._recorded
