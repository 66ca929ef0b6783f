"""Has servers stop working on what nobody waits for any more, on a thread, so that a slow server delays nothing."""

import contextlib
import queue
import threading

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, though its author spelt it small

_PATIENCE_SECONDS = 2.0


class Canceller:
    """Cancels and closes connections in the order in which they were given up."""

    def __init__(self) -> None:
        self._given_up: queue.SimpleQueue[tuple[Connection, bool] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def cancel(self, connection: Connection, *, is_running: bool) -> None:
        """Cancel the statement of a connection, if it runs one, and close it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="cancelling", daemon=True)
            self._thread.start()
        self._given_up.put((connection, is_running))

    def finish(self) -> None:
        """Wait a little for what is to be cancelled."""
        if self._thread is not None:
            self._given_up.put(None)
            self._thread.join(_PATIENCE_SECONDS)

    def _serve(self) -> None:
        while (given_up := self._given_up.get()) is not None:
            connection, is_running = given_up
            with contextlib.suppress(psycopg2.Error):  # it is gone, which is what was wanted
                if is_running:
                    connection.cancel()
                connection.close()
