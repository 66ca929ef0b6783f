"""A network that stops carrying anything, without closing a connection: what a failing firewall or a lost VPN does."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

_BYTES = 65536


class FrozenNetwork:
    """Forwards a port of its own to `port` on this machine until `freeze` is called. Use as a context manager."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._frozen = threading.Event()
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Carry nothing any more; new connections are taken and never answered."""
        self._frozen.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                client = self._listener.accept()[0]
                self._sockets.append(client)
                if not self._frozen.is_set():
                    server = socket.create_connection(self._target)
                    self._sockets.append(server)
                    threading.Thread(target=self._carry, args=(client, server), daemon=True).start()
                    threading.Thread(target=self._carry, args=(server, client), daemon=True).start()

    def _carry(self, of: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            for data in self._read(of):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    def _read(self, of: socket.socket) -> Iterator[bytes]:
        while data := of.recv(_BYTES):
            if self._frozen.is_set():
                self._ended.wait()
            yield data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):  # its peer has gone
                each.shutdown(socket.SHUT_RDWR)
            each.close()
