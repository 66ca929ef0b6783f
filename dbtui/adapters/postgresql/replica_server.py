"""The server of a new replica: started under its account by pg_ctl, looked at, stopped."""

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.replica_files import LOG_NAME
from dbtui.adapters.processes import Account, ChildTool
from dbtui.errors import ServerError
from dbtui.model.events import Progressed, Routine
from dbtui.model.text import format_untrusted

_TICK_SECONDS = 0.2
_START_SECONDS = 3600
_STOP_SECONDS = 30
_APPEAR_SECONDS = 10.0
_TAIL_BYTES = 8000
_WORDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaServer:
    """A data directory and the program that runs it."""

    pg_ctl: str
    directory: Path
    account: Account | None
    environ: Mapping[str, str]

    @property
    def log(self) -> Path:
        """What it says before its own log begins, and why it ended."""
        return self.directory / LOG_NAME

    def start_arguments(self) -> list[str]:
        """Return the argv that starts it; it goes on when pg_ctl ends."""
        return [self.pg_ctl, "start", "--pgdata", str(self.directory), "--log", str(self.log), "--wait",
                f"--timeout={_START_SECONDS}", "--silent"]  # fmt: skip

    def start(self, cancellation: Cancellation) -> Routine[int]:
        """Start it and wait until it takes connections, or is as far as a replica without any; return its process.

        Raises ServerError with the last words of its log, Cancelled (then it may be starting: `stop` it).
        """
        began = time.monotonic()
        with ChildTool(self.start_arguments(), environ=self.environ, account=self.account) as tool:
            try:
                while not tool.wait_for(_TICK_SECONDS):
                    cancellation.check()
                    yield Progressed(int(time.monotonic() - began), None, "seconds", self.last_words(1))
            except BaseException:
                self._await_process(tool)
                raise
            code = tool.wait()
        process = self.process()
        if code != 0 or process is None:
            said = self.last_words(_WORDS) or "; ".join(tool.messages) or "it gave no reason"
            raise ServerError(f"the new replica did not start: {said}", "see that its settings fit this machine")
        return process

    def _await_process(self, tool: ChildTool) -> None:
        """A server that was just started can be stopped only when it has written its number down."""
        ends = time.monotonic() + _APPEAR_SECONDS
        while self.process() is None and time.monotonic() < ends:
            if tool.wait_for(_TICK_SECONDS):
                return

    def process(self) -> int | None:
        """Return the number of its process, if it runs."""
        try:
            first = (self.directory / "postmaster.pid").read_text(errors="replace").splitlines()[0]
            number = int(first)
            os.kill(number, 0)
        except (OSError, ValueError, IndexError):
            return None
        return number if _is_its_process(number, self.directory) else None

    def stop(self) -> bool:
        """Stop it at once, if it runs; return whether it has ended."""
        if self.process() is None:
            return True
        argv = [self.pg_ctl, "stop", "--pgdata", str(self.directory), "--mode=immediate", "--wait",
                f"--timeout={_STOP_SECONDS}", "--silent"]  # fmt: skip
        with ChildTool(argv, environ=self.environ, account=self.account) as tool:
            tool.wait()
        return self.process() is None

    def last_words(self, count: int) -> str:
        """Return the last lines of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return " / ".join(format_untrusted(line.strip(), 200) for line in lines[-count:] if line.strip())


def _is_its_process(number: int, directory: Path) -> bool:
    """Whether a process works in the data directory, as a server does. True where that cannot be seen."""
    try:
        return Path(f"/proc/{number}/cwd").samefile(directory)
    except OSError:
        return True


def show_command(argv: Sequence[str], account: Account | None) -> str:
    """Return a command as somebody would type it to have it run as the account does."""
    words = ["setpriv", f"--reuid={account.name}", f"--regid={account.gid}", "--init-groups"] if account else []
    return shlex.join([*words, *argv])
