"""What the demo's and the tests' servers share: a port on the loopback address, and waiting until they are ready."""

import abc
import random
import secrets
import socket
import time
from types import TracebackType
from typing import ClassVar, Self

from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.server import ThrowawayServer, clean_environment, find_program
from dbtui.errors import ToolError

__all__ = ["HOST", "Server", "choose_port", "clean_environment", "find_program", "start_together"]

HOST = "127.0.0.1"
# Below the range that the kernel gives to outgoing connections.
PORTS = range(20_000, 32_000)
LAUNCH_ATTEMPTS = 5
READY_SECONDS = 90.0


class Server(ThrowawayServer, abc.ABC):
    """A private server: prepared, launched, awaited and ended. A context manager."""

    superuser: ClassVar[str]

    def __init__(self, directory: ServerDirectory | None = None, *, name: str = "") -> None:
        self._owns_directory = directory is None
        super().__init__(directory or ServerDirectory.create(), name=name)
        self.host = HOST
        self.port = 0
        self.password = secrets.token_urlsafe(16)

    def launch(self) -> None:
        """Wait for the preparation, then start the server; does not wait for it. Keeps a port it once had."""
        self.finish_preparation()
        self.port = self.port or choose_port()
        super().launch()

    def wait_until_ready(self) -> None:
        """Return when the server takes logins. A port taken by somebody else is replaced by another.

        Raises ToolError, with the end of the server's log, when it does not start.
        """
        for _ in range(LAUNCH_ATTEMPTS):
            if self._became_ready():
                return
            if "in use" not in self.read_log():
                break
            self.port = 0
            self.log.write_text("")
            self.launch()
        raise ToolError(f"the throwaway {self.kind} server did not start: {self.last_words()}")

    def start(self) -> Self:
        """Prepare, launch and wait. Also starts a stopped server again, on the same port and data."""
        self.prepare()
        self.launch()
        self.wait_until_ready()
        return self

    def _became_ready(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while self.process and time.monotonic() < deadline:
            if self.is_ready():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._owns_directory:
            self.directory.close()


def start_together(*servers: Server) -> None:
    """Start servers side by side: all prepare at once, then all launch, then all are awaited."""
    for server in servers:
        server.prepare()
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_until_ready()


def choose_port() -> int:
    """A port on the loopback address that nobody listens on now; it may be taken before it is used."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
