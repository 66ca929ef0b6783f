"""What every throwaway server shares: its own directory, account, port, process, and its end."""

import abc
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, ClassVar, Self

from dbtui.demo.servers import watchdog
from dbtui.demo.servers.accounts import Account, choose_account
from dbtui.demo.servers.directories import ServerDirectory
from dbtui.errors import ToolError

HOST = "127.0.0.1"
# Below the range that the kernel gives to outgoing connections.
PORTS = range(20_000, 32_000)
LAUNCH_ATTEMPTS = 5
READY_SECONDS = 90.0
PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Server(abc.ABC):
    """A private server: prepared, launched, awaited and ended. A context manager.

    Every process must be started from the main thread for the kernel to end it with us; started from another
    thread it is ended by the directory's watchdog alone.
    """

    kind: ClassVar[str]
    accounts: ClassVar[tuple[str, ...]] = ()
    end_signal: ClassVar[signal.Signals] = signal.SIGTERM
    superuser: ClassVar[str]
    is_unprivileged: ClassVar[bool] = True  # root hands it to another account

    def __init__(self, directory: ServerDirectory | None = None, *, name: str = "") -> None:
        self._owns_directory = directory is None
        self.directory = directory or ServerDirectory.create()
        self.name = name or self.kind
        self.host = HOST
        self.port = 0
        self.password = secrets.token_urlsafe(16)
        self.account: Account | None = choose_account(*self.accounts) if self.is_unprivileged else None
        self.home = self.directory.add_subdirectory(self.name, self.account)
        self.log = self.home / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._preparation: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def prepare(self) -> None:
        """Begin to write the data directory; does not wait. Nothing to do when it is there."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The argv that runs the server in the foreground on `self.port`."""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Whether the launched server takes logins."""

    def environment(self) -> dict[str, str]:
        """What its processes have as environment."""
        return clean_environment(self.home)

    def launch(self) -> None:
        """Wait for the preparation, then start the server; does not wait for it. Keeps a port it once had."""
        self.finish_preparation()
        self.port = self.port or choose_port()
        self.process = self.spawn(self.command())

    def wait_until_ready(self) -> None:
        """Return when the server takes logins. A port taken by somebody else is replaced by another.

        Raises ToolError, with the end of the server's log, when it does not start.
        """
        for _ in range(LAUNCH_ATTEMPTS):
            if self._became_ready():
                return
            if "in use" not in self._read_log():
                break
            self.port = 0
            self.log.write_text("")
            self.launch()
        raise ToolError(f"the throwaway {self.kind} server did not start: {self._last_words()}")

    def start(self) -> Self:
        """Prepare, launch and wait. Also starts a stopped server again, on the same port and data."""
        self.prepare()
        self.launch()
        self.wait_until_ready()
        return self

    def stop(self) -> None:
        """End the server; its data stays until the directory goes. May be called twice."""
        for process in (self.process, self._preparation):
            if process and process.poll() is None:
                watchdog.end_process(watchdog.format_identity(process.pid), self.end_signal)
            if process:
                process.wait()
        self.process = self._preparation = None

    def finish_preparation(self) -> None:
        """Wait for the program that writes the data directory. Raises ToolError when it failed."""
        if self._preparation and self._preparation.wait() != 0:
            raise ToolError(f"the data directory of a throwaway {self.kind} was not made: {self._last_words()}")
        self._preparation = None

    def spawn(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program in `home` under the server's account, with a clean environment, ending with us."""
        with self._open_log() as log:
            process = subprocess.Popen(
                [*_dying_with_parent(self.end_signal), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=self.environment(),
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
                umask=0o077,
                start_new_session=True,
            )
        self.directory.watch(process.pid, self.end_signal)
        return process

    def write_private(self, name: str, text: str) -> Path:
        """A 0600 file in `home` that the server's account can read."""
        path = self.home / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            if self.account:
                os.fchown(descriptor, self.account.uid, self.account.gid)
            file.write(text)
        return path

    def _open_log(self) -> BinaryIO:
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")

    def _became_ready(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while self.process and time.monotonic() < deadline:
            if self.is_ready():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        return False

    def _read_log(self) -> str:
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._read_log().splitlines() if line.strip()]
        return " / ".join(lines[-4:]) or "it said nothing"

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


def find_program(name: str) -> Path | None:
    """A program on PATH or in the system's directories, which a plain user's PATH may lack."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *PROGRAM_DIRECTORIES))
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def clean_environment(home: Path) -> dict[str, str]:
    """An environment with nothing of ours in it: no PG*, MYSQL*, proxies or secrets."""
    programs = os.pathsep.join(PROGRAM_DIRECTORIES)
    return {"HOME": str(home), "LC_ALL": "C", "PATH": programs, "TMPDIR": str(home), "TZ": "UTC"}


def _dying_with_parent(signal_number: signal.Signals) -> list[str]:
    """The words before a command that let the kernel end it with us. After the change of account, which resets it."""
    setpriv = find_program("setpriv")
    if not setpriv or sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return []
    return [str(setpriv), "--pdeathsig", signal_number.name.removeprefix("SIG"), "--"]
