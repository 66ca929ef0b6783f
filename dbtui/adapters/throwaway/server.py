"""What every throwaway server shares: its own directory, account, processes, and its end."""

import abc
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar

from dbtui.adapters.throwaway import watchdog
from dbtui.adapters.throwaway.accounts import Account, choose_account
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.errors import ToolError

PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class ThrowawayServer(abc.ABC):
    """A private server: prepared, launched, and ended with its directory.

    Every process must be started from the main thread for the kernel to end it with us; started from another
    thread it is ended by the directory's watchdog alone.
    """

    kind: ClassVar[str]
    accounts: ClassVar[tuple[str, ...]] = ()
    end_signal: ClassVar[signal.Signals] = signal.SIGTERM
    is_unprivileged: ClassVar[bool] = True  # root hands it to another account

    def __init__(self, directory: ServerDirectory, *, name: str = "", account: Account | None = None) -> None:
        """`account`: the one to run under; None: root chooses one, anybody else is itself."""
        self.directory = directory
        self.name = name or self.kind
        chosen = choose_account(*self.accounts) if self.is_unprivileged and account is None else account
        self.account: Account | None = chosen
        self.home = self.directory.add_subdirectory(self.name, self.account)
        self.log = self.home / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._preparation: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def prepare(self) -> None:
        """Begin to write the data directory; does not wait. Nothing to do when it is there."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """The argv that runs the server in the foreground."""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Whether the launched server takes logins."""

    def environment(self) -> dict[str, str]:
        """What its processes have as environment."""
        return clean_environment(self.home)

    def words_before(self) -> list[str]:
        """The words before every command, for what its processes shall be like."""
        return []

    def launch(self) -> None:
        """Wait for the preparation, then start the server; does not wait for it."""
        self.finish_preparation()
        self.process = self.spawn(self.command())

    def stop(self) -> None:
        """End the server; its data stays until the directory goes. May be called twice."""
        for process in (self.process, self._preparation):
            if process and process.poll() is None:
                watchdog.end_process(watchdog.format_identity(process.pid), self.end_signal)
            if process:
                process.wait()
        self.process = self._preparation = None

    @property
    def is_prepared(self) -> bool:
        """Whether the program that writes the data directory has ended, however it ended."""
        return self._preparation is None or self._preparation.poll() is not None

    def finish_preparation(self) -> None:
        """Wait for the program that writes the data directory. Raises ToolError when it failed."""
        if self._preparation and self._preparation.wait() != 0:
            raise ToolError(f"the data directory of a throwaway {self.kind} was not made: {self.last_words()}")
        self._preparation = None

    def spawn(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program in `home` under the server's account, with a clean environment, ending with us."""
        with self._open_log() as log:
            process = subprocess.Popen(
                [*_dying_with_parent(self.end_signal), *self.words_before(), *argv],
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

    def read_log(self) -> str:
        """Everything that its programs have said."""
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def last_words(self) -> str:
        """The end of the log, in one line."""
        lines = [line.strip() for line in self.read_log().splitlines() if line.strip()]
        return " / ".join(lines[-4:]) or "it said nothing"

    def _open_log(self) -> BinaryIO:
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


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
