"""What ran, who ran it and how it ended: an SQLite file under the XDG state directory.

It is an index, not the truth (manifests are): a file that is damaged is put aside and a new one begun. A run never
fails because its record cannot be written; what went wrong is collected in `History.warnings` for whoever shows it.
"""

import contextlib
import errno
import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dbtui.adapters.liveness import format_process, is_alive
from dbtui.model.jobs import HistoryEntry, JobOutcome, JobState
from dbtui.model.schedules import CommandRun
from dbtui.model.text import mask_passwords
from dbtui.operators import format_operator

SCHEMA_VERSION = 1
_BUSY_SECONDS = 5.0
_KEPT_ENTRIES = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    entry_id INTEGER PRIMARY KEY,
    began TEXT NOT NULL,
    ended TEXT NOT NULL,
    routine TEXT NOT NULL,
    target TEXT NOT NULL,
    subject TEXT NOT NULL,
    operator TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    commands TEXT NOT NULL
)
"""
_COMMANDS_SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
    run_id INTEGER PRIMARY KEY,
    words TEXT NOT NULL,
    began TEXT NOT NULL,
    ended TEXT NOT NULL DEFAULT '',
    exit_code INTEGER,
    detail TEXT NOT NULL DEFAULT '',
    operator TEXT NOT NULL,
    process TEXT NOT NULL
)
"""
_COMMANDS_INDEX = "CREATE INDEX IF NOT EXISTS commands_by_words ON commands (words, run_id)"
_BEGIN_COMMAND = "INSERT INTO commands (words, began, operator, process) VALUES (?, ?, ?, ?)"
_END_COMMAND = "UPDATE commands SET ended = ?, exit_code = ?, detail = ? WHERE run_id = ?"
_SELECT_COMMANDS = """
SELECT words, began, ended, exit_code, detail, operator, process FROM commands WHERE words = ?
ORDER BY run_id DESC LIMIT ?
"""
_TRIM_COMMANDS = "DELETE FROM commands WHERE run_id <= (SELECT max(run_id) FROM commands) - ?"
_SELECT_INSTALLED = "SELECT max(ended) FROM runs WHERE routine = 'schedule' AND subject = ? AND state = 'succeeded'"
_MANNERS = ("--json", "--quiet", "-q")
_COLUMNS = "began, ended, routine, target, subject, operator, state, detail, commands"
_INSERT = f"INSERT INTO runs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
_SELECT = f"SELECT entry_id, {_COLUMNS} FROM runs ORDER BY entry_id DESC LIMIT ?"  # noqa: S608 - a constant
_TRIM = "DELETE FROM runs WHERE entry_id <= (SELECT max(entry_id) FROM runs) - ?"


class History:
    """The record of runs that changed something. `state_dir` also holds the locks.

    When the directory asked for cannot be written, `state_dir` is a private one under the temporary directory, and
    `warnings` says so.
    """

    def __init__(self, state_dir: Path) -> None:
        self.warnings: list[str] = []
        self.state_dir = self._choose_directory(state_dir)
        self.path = self.state_dir / "history.db"

    def record(
        self,
        routine: str,
        target: str,
        subject: str,
        began_at: datetime,
        outcome: JobOutcome[Any],
        detail: str,
        commands: Sequence[str],
    ) -> None:
        """Write one run down. Never raises: what went wrong is added to `warnings`."""
        row = (
            began_at.astimezone(UTC).isoformat(timespec="milliseconds"),
            (began_at + timedelta(seconds=outcome.seconds)).astimezone(UTC).isoformat(timespec="milliseconds"),
            routine,
            _storable(target),
            _storable(subject),
            format_operator(os.environ),
            outcome.state.value,
            _storable(detail),
            json.dumps([_storable(command) for command in commands]),
        )
        try:
            self._insert(row)
        except (OSError, sqlite3.Error) as error:
            self._warn(f"the history {self.path} cannot be written: {error}")

    def note(self, routine: str, target: str, subject: str, detail: str) -> None:
        """Write a step of a run down when it has been done, so that it is known however the run ends. Never raises."""
        done: JobOutcome[None] = JobOutcome(JobState.SUCCEEDED)
        self.record(routine, target, subject, datetime.now(UTC), done, detail, ())

    def entries(self, limit: int = 500) -> tuple[HistoryEntry, ...]:
        """Return the newest entries first; none, and a warning, when the file cannot be read."""
        if not self.path.exists():
            return ()
        try:
            with self._connected() as connection:
                return tuple(_entry(row) for row in connection.execute(_SELECT, (limit,)))
        except (OSError, sqlite3.Error, ValueError) as error:
            self._warn(f"the history {self.path} cannot be read: {error}")
            return ()

    def begin_command(self, words: Sequence[str]) -> int | None:
        """Write down that a command begins, and return the number of this run; None, and a warning, when it cannot be.

        What is begun and never ended was killed: `command_runs` tells it from what still runs.
        """
        row = (_store_words(words), _now(), format_operator(os.environ), format_process(os.getpid()))
        try:
            with self._connected() as connection, connection:
                connection.execute(_COMMANDS_SCHEMA)
                connection.execute(_COMMANDS_INDEX)
                connection.execute(_TRIM_COMMANDS, (_KEPT_ENTRIES,))
                return connection.execute(_BEGIN_COMMAND, row).lastrowid
        except (OSError, sqlite3.Error) as error:
            self._warn(f"the history {self.path} cannot be written: {error}")
            return None

    def end_command(self, run_id: int, exit_code: int, detail: str) -> None:
        """Write down how a command ended. Never raises: what went wrong is added to `warnings`."""
        try:
            with self._connected() as connection, connection:
                connection.execute(_END_COMMAND, (_now(), exit_code, _storable(detail), run_id))
        except (OSError, sqlite3.Error) as error:
            self._warn(f"the history {self.path} cannot be written: {error}")

    def command_runs(self, words: Sequence[str], limit: int = 200) -> tuple[CommandRun, ...]:
        """Return the runs of a command with these very words, the newest first."""
        rows = self._select(_SELECT_COMMANDS, (_store_words(words), limit))
        return tuple(_command_run(row) for row in rows)

    def installed_at(self, name: str) -> datetime | None:
        """Return when a schedule of this name was installed the last time; None: it is not known."""
        rows = self._select(_SELECT_INSTALLED, (name,))
        return datetime.fromisoformat(rows[0][0]) if rows and rows[0][0] else None

    def beside(self, environ: Mapping[str, str]) -> "History":
        """Return the history that a command with these variables writes, when there is one: else this one."""
        base = environ.get("XDG_STATE_HOME", "")
        other = Path(base) / self.state_dir.name
        return History(other) if base.startswith("/") and other != self.state_dir and other.is_dir() else self

    def _select(self, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        try:
            with self._connected() as connection:
                if statement == _SELECT_COMMANDS:
                    connection.execute(_COMMANDS_SCHEMA)
                return connection.execute(statement, parameters).fetchall()
        except (OSError, sqlite3.Error) as error:
            self._warn(f"the history {self.path} cannot be read: {error}")
            return []

    def _insert(self, row: tuple[str, ...]) -> None:
        try:
            self._write(row)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._put_aside()
            self._write(row)

    def _write(self, row: tuple[str, ...]) -> None:
        with self._connected() as connection, connection:
            connection.execute(_INSERT, row)
            connection.execute(_TRIM, (_KEPT_ENTRIES,))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise sqlite3.OperationalError(f"it was written by a newer dbtui (version {version} of the file)")
            if version < SCHEMA_VERSION:
                with connection:
                    connection.execute(_SCHEMA)
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            yield connection

    def _put_aside(self) -> None:
        aside = self.path.with_name(f"history.db.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        self.path.replace(aside)
        self._warn(f"the history was damaged and is kept as {aside}; a new one was begun")

    def _choose_directory(self, wanted: Path) -> Path:
        try:
            _prepare_directory(wanted)
        except OSError as error:
            import tempfile  # a start has no time for it

            fallback = Path(tempfile.gettempdir()) / f"dbtui-state-{os.geteuid()}"
            self._warn(f"{wanted} cannot be written ({error.strerror}); history and locks are kept in {fallback}")
            try:
                _prepare_directory(fallback)
                _check_private(fallback)
            except OSError as worse:
                self._warn(f"{fallback} cannot be used either: {worse.strerror}")
            return fallback
        return wanted

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


def _prepare_directory(path: Path) -> None:
    """Make a directory that only this account may enter; raises OSError unless it can be written."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "Permission denied")


def _check_private(path: Path) -> None:
    """Raise OSError if a directory under the temporary one may be somebody else's trap."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "it is not a private directory of this account")


def _storable(text: str) -> str:
    """Leave out what must not or cannot be stored: passwords and unpaired surrogates."""
    return mask_passwords(text).encode("utf-8", "replace").decode("utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _store_words(words: Sequence[str]) -> str:
    """The words by which runs are found: how one is to be told makes no other command of it."""
    return json.dumps([_storable(word) for word in words if word not in _MANNERS])


def _command_run(row: tuple[Any, ...]) -> CommandRun:
    words, began, ended, exit_code, detail, operator, process = row
    return CommandRun(
        words=tuple(json.loads(words)),
        began_at=datetime.fromisoformat(began),
        ended_at=datetime.fromisoformat(ended) if ended else None,
        exit_code=exit_code,
        detail=detail,
        operator=operator,
        is_alive=not ended and is_alive(process),
    )


def _entry(row: tuple[Any, ...]) -> HistoryEntry:
    entry_id, began, ended, routine, target, subject, operator, state, detail, commands = row
    return HistoryEntry(
        entry_id=entry_id,
        began=began,
        ended=ended,
        routine=routine,
        target=target,
        subject=subject,
        operator=operator,
        state=JobState(state),
        detail=detail,
        commands=tuple(json.loads(commands)),
    )
