"""Opening a database file, for looking by default. Nothing here ever creates one.

A file of the operator's is never opened by any other way than SQLite's: closing a second descriptor of it anywhere in
this process would drop the locks that SQLite holds (https://sqlite.org/howtocorrupt.html, section 2.2).
"""

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote_from_bytes

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.memory_directories import lies_in_memory
from dbtui.adapters.queries import query
from dbtui.adapters.sqlite.at_rest import look_at_rest, open_tracked
from dbtui.adapters.sqlite.hostile import FORBIDDEN_FUNCTIONS
from dbtui.adapters.sqlite.locations import path_of
from dbtui.adapters.sqlite.translate import (
    busy_error,
    explain_unopened,
    is_busy,
    look_at,
    needs_recovery,
    shown,
    sqlite_errors,
)
from dbtui.errors import ConnectError, RefusedError
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, ServerInfo
from dbtui.model.urls import parse_database_url

ResultT = TypeVar("ResultT")
FLAVOUR = "SQLite"
#: How long a lock of another process is waited for. SQLite's own waiting knows no cancel, and its pauses grow so long
#: that a writer which never pauses is always there first: so it is told not to wait, and asked again and again.
BUSY_SECONDS = 30.0
BUSY_PAUSE_SECONDS = 0.001
#: As https://sqlite.org/security.html advises, where that takes nothing from a database that is merely large.
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000_000,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_SAFE_PRAGMAS = frozenset(
    (
        "quick_check",
        "integrity_check",
        "foreign_key_check",
        "table_info",
        "table_xinfo",
        "index_list",
        "index_xinfo",
        "foreign_key_list",
    )
)


def sql(name: str, **places: str) -> str:
    """Return a section of queries.sql with names quoted into its {places}."""
    text = query(__package__, name, sqlite3.sqlite_version_info)
    return text.format(**{place: quote_identifier(value) for place, value in places.items()}) if places else text


def quote_identifier(name: str) -> str:
    """Return a name as SQLite reads it as a name and nothing else."""
    return '"' + name.replace('"', '""') + '"'


def file_uri(path: Path, **parameters: str) -> str:
    """Return the URI of a file, whatever bytes are in its name."""
    encoded = quote_from_bytes(bytes(path.absolute()), safe="/")
    return f"file:{encoded}?" + "&".join(f"{name}={value}" for name, value in parameters.items())


def open_file(path: Path, mode: str = "ro", *, immutable: bool = False) -> sqlite3.Connection:
    """Open a database file that exists: `mode` is "ro" or "rw". `immutable` takes no locks and reads no log.

    Transactions begin and end as told. Raises ConnectError.
    """
    parameters = {"mode": mode, **({"immutable": "1"} if immutable else {})}
    try:
        connection = open_tracked(path, file_uri(path, **parameters), is_counted=not immutable)
    except sqlite3.Error as error:
        raise explain_unopened(path) from error
    try:
        with sqlite_errors(path):
            _harden(connection)
            if lies_in_memory(path):
                connection.execute(sql("no_temporary_files")).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _harden(connection: sqlite3.Connection) -> None:
    connection.text_factory = decode_text
    connection.row_factory = sqlite3.Row
    for name in ("harden", "check_cells", "no_memory_map"):
        connection.execute(sql(name)).fetchall()


def decode_text(raw: bytes) -> str:
    r"""Return text of a database; bytes that are not UTF-8 become `\xNN`."""
    return raw.decode("utf-8", "backslashreplace")


@contextmanager
def open_untrusted(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that somebody else may have made, for looking: no locks or writes, and nothing reaches outside."""
    with contextlib.closing(open_file(path, immutable=True)) as connection:
        connection.execute(sql("query_only")).fetchall()
        connection.execute(sql("ignore_check_constraints")).fetchall()
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_authorizer(_authorise)
        yield connection


def _authorise(
    action: int, first: str | None, second: str | None, _database: str | None, _inner: str | None
) -> int:  # fmt: skip
    if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA and second is not None and (first or "").lower() not in _SAFE_PRAGMAS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def retry_busy(
    work: Callable[[], ResultT], path: Path, cancellation: Cancellation, seconds: float | None = None
) -> ResultT:
    """Do `work`, again and again while another process's lock is in the way. Raises ServerError when time is over."""
    deadline = time.monotonic() + (BUSY_SECONDS if seconds is None else seconds)
    while True:
        cancellation.check()
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            if time.monotonic() >= deadline:
                raise busy_error(path) from error
        cancellation.wait(BUSY_PAUSE_SECONDS)


def hold_snapshot(connection: sqlite3.Connection, path: Path, cancellation: Cancellation) -> None:
    """Begin a read transaction: everything this connection reads until it ends is of one moment."""
    connection.execute(sql("begin"))
    retry_busy(lambda: connection.execute(sql("touch")).fetchall(), path, cancellation)


class SqliteTarget:
    """A database file. It need not exist as long as nothing of it is asked: a restore may be there to make it."""

    def __init__(self, profile: ConnectionProfile, path: Path, cancellation: Cancellation) -> None:
        self.profile = profile
        self.path = path
        self.cancellation = cancellation
        self.info = server_info(profile)
        self.checked: object = None  # what the last check for damage found
        self._reader: sqlite3.Connection | None = None

    def reader(self) -> sqlite3.Connection:
        """Return the connection for looking, opened when first asked for. Raises ConnectError."""
        if self._reader is None:
            self._reader = self.open_reader(self.path)
        return self._reader

    def look(self, ask: Callable[[sqlite3.Connection], ResultT], seconds: float | None = None) -> ResultT:
        """Return what `ask` finds in the file, leaving nothing beside it. It may be called again if a lock is met.

        Raises ConnectError, ServerError (code SQLITE_BUSY when a lock lasts longer than `seconds`), Cancelled.
        """
        with sqlite_errors(self.path, self.cancellation):
            found = look_at_rest(self.path, lambda: open_file(self.path, immutable=True), ask)
        if found is not None:
            return found
        if self._reader is not None:
            return self._ask(self._reader, ask, seconds)
        opened = open_reader(self.path, self.cancellation, may_recover=not self.profile.read_only, seconds=seconds)
        with contextlib.closing(opened):
            return self._ask(opened, ask, seconds)

    def _ask(
        self, connection: sqlite3.Connection, ask: Callable[[sqlite3.Connection], ResultT], seconds: float | None
    ) -> ResultT:
        with (
            sqlite_errors(self.path, self.cancellation),
            self.cancellation.interrupting(connection.interrupt),
        ):
            return retry_busy(lambda: ask(connection), self.path, self.cancellation, seconds)

    def open_reader(self, path: Path) -> sqlite3.Connection:
        """Open a connection for looking at this file or another, for the caller to close. Raises ConnectError."""
        return open_reader(path, self.cancellation, may_recover=not self.profile.read_only)

    def check_writable(self) -> None:
        """Raise RefusedError if the profile says that nothing may be changed."""
        if self.profile.read_only:
            raise RefusedError(
                f"profile {self.profile.name} is read-only", "take read_only out of its configuration or choose another"
            )

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def open_reader(
    path: Path, cancellation: Cancellation, *, may_recover: bool = True, seconds: float | None = None
) -> sqlite3.Connection:
    """Open a live database for looking and make sure that it is one.

    A program that died while it wrote leaves a journal that every reader of SQLite's has to play back first; without
    `may_recover` that is an error. Raises ConnectError, ServerError.
    """
    about = look_at(path)
    if about is None or stat.S_ISDIR(about.st_mode):
        raise explain_unopened(path)
    if not stat.S_ISREG(about.st_mode):
        raise ConnectError(f"{shown(path)} is not a regular file", "name a database file")
    connection = open_file(path)
    try:
        with sqlite_errors(path, cancellation), cancellation.interrupting(connection.interrupt):
            connection.execute(sql("query_only")).fetchall()
            _read_first_page(connection, path, cancellation, may_recover=may_recover, seconds=seconds)
    except BaseException:
        connection.close()
        raise
    return connection


def _read_first_page(
    connection: sqlite3.Connection, path: Path, cancellation: Cancellation, *, may_recover: bool, seconds: float | None
) -> None:
    def read() -> None:
        connection.execute(sql("schema_version")).fetchall()

    try:
        retry_busy(read, path, cancellation, seconds)
    except sqlite3.OperationalError as error:
        if not needs_recovery(error) or not may_recover or not os.access(path, os.W_OK):
            raise
        recover(path, cancellation)
        retry_busy(read, path, cancellation)


def recover(path: Path, cancellation: Cancellation) -> None:
    """Have SQLite roll back what a program that died left half written, as any reader would. Raises sqlite3.Error."""
    with contextlib.closing(open_file(path, "rw")) as connection:
        retry_busy(lambda: connection.execute(sql("touch")).fetchall(), path, cancellation)


def server_info(profile: ConnectionProfile) -> ServerInfo:
    """Return what the library says of itself."""
    major, minor, patch = sqlite3.sqlite_version_info[:3]
    return ServerInfo(
        engine=EngineName.SQLITE,
        flavour=FLAVOUR,
        version=sqlite3.sqlite_version,
        version_number=major * 1_000_000 + minor * 1000 + patch,
        database=profile.database or parse_database_url(profile.url).database,
    )


def open_target(
    profile: ConnectionProfile, _password: Secret | None, cancellation: Cancellation, _environ: Mapping[str, str]
) -> SqliteTarget:
    """Look at a file without changing it. An absent file is an error only when something of it is asked.

    Raises ConnectError, UsageError.
    """
    path = path_of(profile)
    folder = look_at(path.parent)
    if folder is None or not stat.S_ISDIR(folder.st_mode):
        raise ConnectError(f"there is no directory {shown(path.parent)}", "check the path in the URL")
    target = SqliteTarget(profile, path, cancellation)
    if look_at(path) is not None:
        target.look(_read_schema_version)
    return target


def _read_schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute(sql("schema_version")).fetchone()[0])
