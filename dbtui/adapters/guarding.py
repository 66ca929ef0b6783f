"""Starts the process that guards a capture, and speaks with it. It outlives whoever started it: that is what it is for.

It has a session of its own, so that no closing terminal ends it; its standard input is a pipe whose end tells it that
we have ended. The login goes through that pipe, never by arguments or the environment.
"""

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

import dbtui
from dbtui.adapters.processes import tool_environment
from dbtui.errors import ToolError
from dbtui.model.connections import ConnectionProfile, EngineName, Secret

_PASSED_ON = ("PG", "MYSQL", "MARIADB", "XDG_", "SSL_CERT", "KRB5", "DBTUI_")
_SECRETS = frozenset({"PGPASSWORD", "MYSQL_PWD"})
#: Those that were left to their work: they need no parent.
_LEFT_ALONE: list[subprocess.Popen[bytes]] = []


class GuardLogin(msgspec.Struct, kw_only=True):
    """How the guard logs in. `environ`: variables that are secrets."""

    profile: str
    engine: EngineName
    url: str
    database: str = ""
    password: str | None = None
    password_command: tuple[str, ...] = ()
    environ: dict[str, str] = {}

    @property
    def connection_profile(self) -> ConnectionProfile:
        """The profile that the login is of."""
        return ConnectionProfile(
            name=self.profile,
            engine=self.engine,
            url=self.url,
            database=self.database,
            password_command=self.password_command,
        )

    @property
    def secret(self) -> Secret | None:
        """The password that was found."""
        return None if self.password is None else Secret(self.password)


class GuardSaid(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the guard. `event`: ready, refused, applied, failed, ending, waiting, ended. `kind`: of an error."""

    event: str
    kind: str = ""
    message: str = ""
    hint: str = ""
    code: str = ""
    left: tuple[str, ...] = ()


class GuardProcess:
    """A guard that runs. Used by the thread that started it."""

    def __init__(self, journal: Path, login: GuardLogin, lock: int, environ: Mapping[str, str]) -> None:
        """Start it. `lock`: a descriptor that it inherits, and so holds the lock further on. Raises ToolError."""
        passed = {
            name: value for name, value in environ.items() if name.startswith(_PASSED_ON) and name not in _SECRETS
        }
        passed |= {name: environ[name] for name in ("HOME",) if name in environ}
        passed["PYTHONPATH"] = str(Path(dbtui.__file__).parents[1])
        _LEFT_ALONE[:] = [each for each in _LEFT_ALONE if each.poll() is None]
        try:
            self._process = subprocess.Popen(
                # -P: a folder that happens to be the current one is no place to import from.
                [sys.executable, "-P", "-m", "dbtui.cli.queries_guard", str(journal)],
                env=tool_environment(passed),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                umask=0o077,
                cwd="/",
                pass_fds=(lock,),
            )
        except OSError as error:
            raise ToolError(f"the guard of the capture cannot be started: {error.strerror}") from error
        self._said: queue.SimpleQueue[GuardSaid | None] = queue.SimpleQueue()
        self.is_gone = False
        threading.Thread(target=self._read, name="guard", daemon=True).start()
        secrets = {name: environ[name] for name in _SECRETS if name in environ}
        self._write(msgspec.json.encode(msgspec.structs.replace(login, environ=secrets)))

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def order(self, word: str) -> None:
        """Tell it to "apply" or to "end". One that is gone hears nothing: `hear` says so."""
        self._write(word.encode())

    def hear(self, seconds: float) -> GuardSaid | None:
        """Return what it says next, within `seconds`; None: nothing, or `is_gone`."""
        if self.is_gone:
            return None
        try:
            said = self._said.get(timeout=seconds)
        except queue.Empty:
            return None
        self.is_gone = said is None
        return said

    def leave(self, patience_seconds: float) -> None:
        """Let go of it: it ends when its work is done, which is awaited for a while."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it reads no more
                self._process.stdin.close()
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            _LEFT_ALONE.append(self._process)

    def _write(self, line: bytes) -> None:
        stream = self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended, which is heard
            if stream is not None:
                stream.write(line + b"\n")
                stream.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        if stream is not None:
            with stream:
                while (line := stream.readline()).endswith(b"\n"):
                    self._said.put(msgspec.json.decode(line, type=GuardSaid))
        self._said.put(None)
