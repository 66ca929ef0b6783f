"""One daemon thread that tells whoever asks how the pools of this process are: by a unix socket, and by HTTP if wanted.

The application never waits for a reader, and nothing that goes wrong here reaches it after the start: it is written to
the log, once. The thread rests nine times as long as it worked, so that readers in a hurry cannot take the interpreter.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dbtui.errors import StorageError
from dbtui.instrument.documents import format_pools, format_problem
from dbtui.instrument.metered_pool import Meter
from dbtui.instrument.openmetrics import format_metrics
from dbtui.instrument.places import bind_socket, is_trusted, socket_path, sweep_sockets
from dbtui.instrument.readers import HttpReader, Reader
from dbtui.model.pools import AppPool

_LOG = logging.getLogger("dbtui.instrument")
_LOOPBACK = "127.0.0.1"
_MOST_READERS = 32
#: A forked child that only runs another program, or forks again, is gone by then and leaves no socket behind.
_CHILD_SECONDS = 0.1
#: How many ports above the chosen one a forked child tries: its parent has that one.
_CHILD_PORTS = 200
_LONGEST_REST_SECONDS = 0.05
_TROUBLE_SECONDS = 1.0
_CLOSING_SECONDS = 2.0


class Publisher:
    """Publishes the pools of one service in this process. `path` is its socket; made by `publish_pool`."""

    path: Path
    _pid: int
    _closing: bool
    _waker: socket.socket
    _woken: socket.socket
    _selector: selectors.BaseSelector
    _thread: threading.Thread

    def __init__(self, service: str, directory: Path, http_port: int | None) -> None:
        """Bind and begin. Raises StorageError when the socket or the port cannot be had."""
        self.service = service
        self.directory = directory
        self.http_port = http_port
        self._wanted_port = http_port
        self._pools: list[tuple[Meter, AppPool]] = []
        self._begin()
        try:
            self._listen(1)
        except BaseException:
            self._release()
            self._waker.close()
            raise
        self._start(0)

    def __repr__(self) -> str:
        return f"<Publisher {self.path}>"

    @property
    def is_open(self) -> bool:
        """Whether it was not closed."""
        return not self._closing

    def add(self, meter: Meter, name: str, url: str) -> None:
        """Publish one more pool, once; another pool of the same name gets a number."""
        if any(known is meter for known, _ in self._pools):
            return
        taken = {template.pool for _, template in self._pools}
        number = 2
        unique = name
        while unique in taken:
            unique = f"{name}-{number}"
            number += 1
        self._pools.append((meter, AppPool(source="", service=self.service, pid=0, pool=unique, url=url)))

    def close(self) -> None:
        """Stop publishing and remove the socket. May be called twice."""
        if self._closing or self._pid != os.getpid():
            return
        self._closing = True
        with suppress(OSError):  # the thread has ended by itself: there is nobody to wake
            self._waker.send(b"!")
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_SECONDS)
        self._waker.close()
        self.path.unlink(missing_ok=True)

    def restart_in_child(self) -> None:
        """Go on in a process that was just forked, under its own number; what belongs to the parent is left alone."""
        was_closed = self._closing
        self._release()
        self._waker.close()
        self._begin()
        self._closing = was_closed
        if not was_closed:
            self._start(_CHILD_SECONDS)

    def _begin(self) -> None:
        self._closing = True
        self._pid = os.getpid()
        self.path = socket_path(self.directory, self.service, self._pid)
        self._started = time.time()
        self._was_logged = False
        self._listeners: list[socket.socket] = []
        self._readers: dict[socket.socket, Reader] = {}
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._closing = False

    def _release(self) -> None:
        for each in (*self._listeners, *self._readers, self._woken):
            each.close()
        self._selector.close()

    def _start(self, delay_seconds: float) -> None:
        self._thread = threading.Thread(target=self._run, args=(delay_seconds,), name="dbtui pools", daemon=True)
        self._thread.start()

    # --- sockets -------------------------------------------------------------------------------------------------

    def _listen(self, ports: int) -> None:
        """Open the sockets; of `ports` the first that is free. Raises StorageError."""
        self._selector.register(self._woken, selectors.EVENT_READ)
        try:
            sweep_sockets(self.directory, self.service)
            if self._wanted_port is not None:
                self._listen_http(self._wanted_port, ports)
            listener = bind_socket(self.path)
        except OSError as error:
            where = self.path if self._listeners or self._wanted_port is None else f"{_LOOPBACK}:{self._wanted_port}"
            wrong = f"the pools of {self.service} cannot be published at {where}: {error.strerror or error}"
            raise StorageError(wrong, "choose another directory or http_port for publish_pool") from error
        self._add_listener(listener, self._accept_local)

    def _listen_http(self, port: int, ports: int) -> None:
        for candidate in range(port, port + ports) if port else (0,):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((_LOOPBACK, candidate))
                listener.listen(_MOST_READERS)
            except OSError:
                listener.close()
                if candidate == port + ports - 1 or not port:
                    raise
            else:
                self.http_port = listener.getsockname()[1]
                self._add_listener(listener, self._accept_http)
                return

    def _add_listener(self, listener: socket.socket, accept: Callable[[socket.socket], Reader | None]) -> None:
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, accept)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self, delay_seconds: float) -> None:
        try:
            if delay_seconds:
                time.sleep(delay_seconds)
                if not self._closing:
                    self._listen(_CHILD_PORTS)
        except Exception as error:  # of a child: its parent was told at the start
            self._log(error)
            return
        while not self._closing:
            began = time.thread_time()
            try:
                self._serve_once()
            except Exception as error:  # whatever it is, the application goes on
                self._log(error)
                time.sleep(_TROUBLE_SECONDS)
            time.sleep(min(_LONGEST_REST_SECONDS, 9 * (time.thread_time() - began)))
        self._release()

    def _serve_once(self) -> None:
        """Wait until somebody wants something, then serve everybody once, all with the same reading."""
        ready = self._selector.select(self._seconds_to_wait())
        now = time.monotonic()
        texts: dict[str, bytes] = {}
        self._texts = texts
        for key, _ in ready:
            if key.fileobj is self._woken:
                return
            reader = key.data if isinstance(key.data, Reader) else key.data(key.fileobj)
            if reader is not None:
                self._advance(reader, now)
        for reader in [each for each in self._readers.values() if each.expires_at <= now]:
            self._drop(reader)

    def _seconds_to_wait(self) -> float | None:
        soonest = min((reader.expires_at for reader in self._readers.values()), default=None)
        return None if soonest is None else max(0.0, soonest - time.monotonic())

    def _advance(self, reader: Reader, now: float) -> None:
        if not reader.advance(now):
            self._drop(reader)
            return
        wanted = selectors.EVENT_WRITE if reader.is_writing else selectors.EVENT_READ
        self._selector.modify(reader.connection, wanted, reader)

    def _drop(self, reader: Reader) -> None:
        self._selector.unregister(reader.connection)
        del self._readers[reader.connection]
        reader.connection.close()

    def _accept_local(self, listener: socket.socket) -> Reader | None:
        return self._accept(listener, Reader, is_trusted)

    def _accept_http(self, listener: socket.socket) -> Reader | None:
        return self._accept(listener, HttpReader, lambda _: True)

    def _accept(
        self, listener: socket.socket, kind: type[Reader], is_welcome: Callable[[socket.socket], bool]
    ) -> Reader | None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return None
        if not is_welcome(connection):
            connection.close()
            return None
        if len(self._readers) >= _MOST_READERS:
            self._drop(min(self._readers.values(), key=lambda reader: reader.expires_at))
        reader = kind(connection, self._answer, time.monotonic())
        self._readers[connection] = reader
        self._selector.register(connection, selectors.EVENT_READ, reader)
        return reader

    # --- answers -------------------------------------------------------------------------------------------------

    def _answer(self, request: str) -> bytes | None:
        if request not in ("pools", "metrics"):
            return format_problem("say pools or metrics").encode()
        if request not in self._texts:
            self._texts[request] = self._format(request).encode("utf-8", "replace")
        return self._texts[request]

    def _format(self, request: str) -> str:
        now = time.monotonic()
        pools = self.collect(now)
        if request == "metrics":
            return format_metrics(self.service, self._pid, self._started, pools)
        return format_pools(self.service, self._pid, self._started, now, pools)

    def collect(self, monotonic_seconds: float) -> list[AppPool]:
        """Return the pools as they are now; those whose engine is gone are forgotten."""
        moment = datetime.fromtimestamp(self._started, UTC)
        pools, gone = [], []
        for meter, template in list(self._pools):
            pool = meter.read(
                replace(
                    template,
                    source=str(self.path),
                    pid=self._pid,
                    started_at=moment,
                    monotonic_seconds=monotonic_seconds,
                )
            )
            if pool is None:
                gone.append((meter, template))
            else:
                pools.append(pool)
        for each in gone:
            self._pools.remove(each)
        return pools

    def _log(self, error: Exception) -> None:
        if not self._was_logged:
            self._was_logged = True
            _LOG.error("the pools of %s are not published as they should be: %s", self.service, error)
