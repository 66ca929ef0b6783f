"""The only place where dbtui starts a database's own tools.

A tool is started from a list, without a shell, in a session of its own, with an environment that holds no settings of
the operator's and no secret. It ends when dbtui does, even when dbtui is killed: `setpriv --pdeathsig` asks the kernel
for that. What it writes to stderr is drained in a thread and kept only at its head and tail, because some clients
repeat whole statements with their data.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from dbtui.errors import ToolError
from dbtui.model.text import format_untrusted

_KEPT_LINES = 200
_KEPT_ERRORS = 20
_PIPE_BYTES = 1 << 20
#: "pg_dump: error: …", "mysqldump: Got error: 1045: …", "zstd: error 70 : …", but no table that is called so.
_ERROR = re.compile(r"\b(?:error|fatal)\b(?:\s+\d+)?(?:\s*\([^)]*\))?\s*:", re.IGNORECASE)
_LINE_LIMIT = 500
_GRACE_SECONDS = 10.0
_NO_ACCOUNT: dict[str, Any] = {}
_INHERITED = ("HOME", "PATH", "TMPDIR", "USER", "LOGNAME", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "KRB5CCNAME")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine that root runs a tool under."""

    name: str
    uid: int
    gid: int
    home: str

    def options(self) -> dict[str, Any]:
        """What `subprocess` needs to know of it, its other groups included."""
        return {"user": self.uid, "group": self.gid, "extra_groups": os.getgrouplist(self.name, self.gid)}


def tool_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a clean environment for a tool: UTC, UTF-8, none of PG*, MYSQL* and the like, plus `extra`."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return environment | dict(extra or {})


def with_parent_death_signal(argv: Sequence[str], number: signal.Signals = signal.SIGTERM) -> list[str]:
    """Return the argv of a program that gets this signal when the thread that started it ends, however it ends."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *argv] if setpriv else list(argv)


def widen_pipe(descriptor: int) -> None:
    """Let a pipe hold a mebibyte, so that writer and reader wait less for each other. No error where it may not."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # a plain user may own only so many pages of pipes
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class ChildTool:
    """A running tool. Use as a context manager: leaving the block ends the process if it still runs.

    `on_line` is called, from the draining thread, with each line the tool writes to stderr; `pass_descriptors` are
    those it inherits besides its three. `account`: under which root has it run; None: our own.
    `signalled_by`: the words before a command that may signal it where we may not: those of sudo that it began with.
    Start it from a thread that lives as long as the tool should: the kernel ties it to that thread.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        on_line: Callable[[str], None] | None = None,
        pass_descriptors: Sequence[int] = (),
        account: Account | None = None,
        signalled_by: Sequence[str] = (),
    ) -> None:
        self.name = Path(argv[0]).name
        self._signalled_by = tuple(signalled_by)
        self._on_line = on_line
        self._head: list[str] = []
        self._errors: list[str] = []
        self._ended = threading.Event()
        self._tail: deque[str] = deque(maxlen=_KEPT_LINES)
        if shutil.which(argv[0]) is None:
            raise ToolError(f"{argv[0]} cannot be started: there is no such program", "install it or put it on PATH")
        try:
            self.process = subprocess.Popen(
                with_parent_death_signal(argv),
                env=tool_environment() if environ is None else dict(environ),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                start_new_session=True,
                umask=0o077,
                pass_fds=tuple(pass_descriptors),
                cwd="/" if account or signalled_by else None,  # ours may be closed to it
                **(account.options() if account else _NO_ACCOUNT),
            )
        except OSError as error:
            raise ToolError(f"{argv[0]} cannot be started: {error.strerror}", "install it or put it on PATH") from error
        if self.process.stdout is not None:
            widen_pipe(self.process.stdout.fileno())
        self._drain = threading.Thread(target=self._drain_stderr, name=f"stderr of {self.name}", daemon=True)
        self._drain.start()

    def _drain_stderr(self) -> None:
        stream = self.process.stderr
        try:
            while stream is not None and (line := stream.readline(65536)):
                text = format_untrusted(line.decode("utf-8", "replace").rstrip("\r\n"), _LINE_LIMIT)
                (self._head if len(self._head) < _KEPT_LINES else self._tail).append(text)
                if len(self._errors) < _KEPT_ERRORS and _ERROR.search(text):
                    self._errors.append(text)
                if self._on_line is not None:
                    self._on_line(text)
        finally:
            self._ended.set()

    @property
    def messages(self) -> tuple[str, ...]:
        """What the tool wrote to stderr: the first and the last lines."""
        return (*self._head, *self._tail)

    @property
    def errors(self) -> tuple[str, ...]:
        """The first lines in which the tool spoke of an error."""
        return tuple(self._errors)

    def wait_for(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end; return at once, with True, when the tool closes its stderr by ending."""
        # A tool that was ended from outside may leave children that keep its stderr open.
        return self._ended.wait(seconds) or self.process.poll() is not None

    def wait(self) -> int:
        """Wait for the end and return the exit code; a signal is negative, as subprocess has it.

        Children of a tool that failed (the workers of a parallel dump) are ended with it.
        """
        code = self.process.wait()
        if code != 0:
            self._signal_group(signal.SIGKILL)
        self._drain.join(timeout=_GRACE_SECONDS)
        return code

    def check(self, what: str) -> None:
        """Wait for the end; raise ToolError with the tool's last words unless it exited with 0."""
        code = self.wait()
        if code != 0:
            raise self.failure(what, code)

    def failure(self, what: str, code: int) -> ToolError:
        """Return the ToolError for an exit code, with the first error the tool wrote."""
        ending = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        said = self._errors[0] if self._errors else (self.messages[-1] if self.messages else "it gave no reason")
        return ToolError(f"{what}: {self.name} {ending}: {said}")

    def stop(self) -> None:
        """Ask the tool and its children to end (TERM); may be called from any thread, any number of times."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self._signal_group(number)

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:  # ended meanwhile
            return
        except PermissionError:
            if not self._signalled_by:
                raise
            self._signal_as_it_began(number)

    def _signal_as_it_began(self, number: signal.Signals) -> None:
        """Signal it by its own account; a group that has ended meanwhile is no error."""
        argv = [*self._signalled_by, "kill", "-s", number.name, "--", f"-{self.process.pid}"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(argv, env=tool_environment(), stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=_GRACE_SECONDS, check=False)  # fmt: skip

    def close(self) -> None:
        """End the tool and its children if they still run: TERM, after ten seconds KILL. Closes its pipes."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self.process.wait()
        if self.process.returncode != 0:
            self._signal_group(signal.SIGKILL)
        self._drain.join(timeout=_GRACE_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def tool_output(argv: Sequence[str], seconds: float = 10.0) -> str:
    """Run a tool that only says something of itself (`--version`, `--help`) and return its stdout.

    Raises ToolError when it is missing, fails or takes longer than `seconds`.
    """
    try:
        done = subprocess.run(
            list(argv),
            env=tool_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(f"{argv[0]} cannot be run: {error}", "install it or put it on PATH") from error
    return done.stdout.decode("utf-8", "replace")


def tool_directories(environ: Mapping[str, str], variable: str, installed: Sequence[str]) -> Iterator[Path]:
    """Yield where tools may be: the directory that `variable` names, those of PATH, and those that `installed` fits.

    `installed` are patterns below the root. Relative entries of PATH are passed over.
    """
    if named := environ.get(variable):
        yield Path(named)
    for entry in environ.get("PATH", os.defpath).split(os.pathsep):
        if entry.startswith("/"):
            yield Path(entry)
    for pattern in installed:
        yield from sorted(Path("/").glob(pattern))
