"""A network that breaks: a port that forwards to another, counts what is sent, and closes everything at a limit."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_BYTES = 65536


class CutNetwork:
    """Forwards a port of its own to `port` on this machine; cut off after `limit_bytes` from clients, None: never."""

    def __init__(self, port: int, limit_bytes: int | None = None) -> None:
        self._target = ("127.0.0.1", port)
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.sent_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, run: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                self._start(self._send, client, server)
                self._start(self._answer, server, client)

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut
            while data := client.recv(_BYTES):
                with self._lock:
                    self.sent_bytes += len(data)
                    is_over = self._limit is not None and self.sent_bytes > self._limit
                if is_over:
                    self._close(self._sockets)
                    return
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut
            while data := server.recv(_BYTES):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _close(self, sockets: list[socket.socket]) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):  # its peer has gone
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._close([self._listener])
        self._listener.close()
        self._threads[0].join()
        self._close(self._sockets)
        for thread in self._threads[1:]:
            thread.join()
        for each in self._sockets:
            each.close()
