"""A network between a tool and its server that can be cut, or swallow everything, at a chosen moment."""

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

_BYTES = 1 << 16
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Wire:
    """Forwards a port of its own to `port` on this machine. Use as a context manager.

    `cut` resets every connection and refuses new ones; `freeze` carries nothing any more, takes new connections and
    never answers them, as a firewall that lost its table, or a machine that hangs behind a load balancer.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._frozen = threading.Event()
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def cut(self) -> None:
        """Reset every connection on both sides."""
        self._ended.set()
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):  # its peer has gone
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self._close()

    def freeze(self) -> None:
        """Carry nothing any more."""
        self._frozen.set()

    def _begin(self, work: object, *words: object) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                client = self._listener.accept()[0]
                self._keep(client)
                if not self._frozen.is_set():
                    server = socket.create_connection(self._target)
                    self._keep(server)
                    self._begin(self._carry, client, server)
                    self._begin(self._carry, server, client)

    def _keep(self, made: socket.socket) -> None:
        with self._lock:
            self._sockets.append(made)
        if self._ended.is_set():
            made.close()

    def _carry(self, of: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut, or closed at the end
            while data := of.recv(_BYTES):
                if self._frozen.is_set():
                    self._ended.wait()
                    return
                to.sendall(data)
            if not self._frozen.is_set():
                to.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self._ended.set()
        with self._lock:
            for each in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):  # its peer has gone
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._close()
        for thread in self._threads:
            thread.join()
