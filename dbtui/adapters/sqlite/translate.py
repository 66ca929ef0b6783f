"""From SQLite's errors to sentences that say which file, and what to do."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.holders import name_holders
from dbtui.errors import ConnectError, DamagedBackupError, DbtuiError, ServerError, StorageError
from dbtui.model.text import format_untrusted

#: `Connection.backup` raises with SQLite's text alone, without its code.
_NAMES = {
    "database or disk is full": "SQLITE_FULL",
    "disk I/O error": "SQLITE_IOERR",
    "attempt to write a readonly database": "SQLITE_READONLY",
    "database disk image is malformed": "SQLITE_CORRUPT",
    "file is not a database": "SQLITE_NOTADB",
    "unable to open database file": "SQLITE_CANTOPEN",
    "database is locked": "SQLITE_BUSY",
    "interrupted": "SQLITE_INTERRUPT",
}

#: A database with a write-ahead log that cannot be looked at without making files beside it.
_UNREADABLE_LOG = ("SQLITE_READONLY_CANTINIT", "SQLITE_READONLY_RECOVERY", "SQLITE_READONLY_DIRECTORY")
#: A journal lies beside the file that has to be played back before anything can be read.
_HALF_WRITTEN = "SQLITE_READONLY_ROLLBACK"


def error_name(error: sqlite3.Error) -> str:
    """Return SQLite's name of an error: SQLITE_BUSY, SQLITE_IOERR_READ… Empty if it has none."""
    name = getattr(error, "sqlite_errorname", None)
    return str(name) if name else _NAMES.get(str(error), "")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection's lock was in the way."""
    return error_name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def needs_recovery(error: sqlite3.Error) -> bool:
    """Whether a journal of a program that died has to be played back first."""
    return error_name(error) == _HALF_WRITTEN


def is_refused_statement(error: sqlite3.Error) -> bool:
    """Whether SQLite could not make sense of a statement: a module, function or collation is missing here."""
    return error_name(error).startswith(("SQLITE_ERROR", "SQLITE_AUTH"))


def shown(path: Path | str) -> str:
    """Return a path as it may be shown in a sentence."""
    return format_untrusted(str(path), 200)


def translate(error: sqlite3.Error, path: Path) -> DbtuiError:
    """Return the error that says in a sentence what SQLite found wrong with the database at `path`."""
    name, said = error_name(error), format_untrusted(str(error), 300)
    if name == "SQLITE_NOTADB":
        return ConnectError(f"{shown(path)} is no SQLite database, or it is encrypted", "check the path")
    if name.startswith("SQLITE_CANTOPEN"):
        return explain_unopened(path)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return busy_error(path)
    if name.startswith("SQLITE_CORRUPT"):
        return ServerError(
            f"{shown(path)} is damaged: {said}",
            "restore a backup, or read what is left with the .recover command of the sqlite3 shell",
            code=name,
        )
    if name == "SQLITE_FULL":
        return StorageError(f"the disk that holds {shown(path)} is full", "free some space or choose another directory")
    if name == _HALF_WRITTEN:
        return ConnectError(
            f"{shown(path)} was left half written by a program that died, and rolling that back changes the file",
            "open it once with that program, or with a profile and a user that may write",
        )
    if name in _UNREADABLE_LOG:
        return explain_unopened(path)
    if name.startswith("SQLITE_READONLY"):
        return StorageError(f"{shown(path)} cannot be written", "its file or its directory is not writable for you")
    if name.startswith("SQLITE_IOERR"):
        return StorageError(f"{shown(path)} cannot be read or written: {said} ({name})", "look at the disk")
    return ServerError(f"{shown(path)}: {said}", code=name)


def busy_error(path: Path) -> ServerError:
    """Return the error for a database that another process keeps locked, naming who has it open."""
    holders = name_holders(path)
    who = f", open in {holders}" if holders else ""
    return ServerError(
        f"{shown(path)} is locked by another process{who}",
        "wait until it has ended its transaction",
        code="SQLITE_BUSY",
    )


def look_at(path: Path) -> os.stat_result | None:
    """Return what the file system says of a path, None if nothing is there. Raises ConnectError."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        said = error.strerror or str(error)
        raise ConnectError(f"{shown(path)} cannot be looked at: {said}", "run as a user that may read it") from error


def explain_unopened(path: Path) -> ConnectError:
    """Return the reason why SQLite cannot open a file."""
    about = look_at(path)
    if about is None:
        return ConnectError(
            f"there is no file {shown(path)}", "check the path; dbtui creates no database by opening it"
        )
    if stat.S_ISDIR(about.st_mode):
        return ConnectError(f"{shown(path)} is a directory", "name the database file in it")
    if not os.access(path, os.R_OK):
        return ConnectError(f"{shown(path)} may not be read by this user", "run as a user that may read it")
    if not os.access(path.parent, os.W_OK):
        return ConnectError(
            f"{shown(path)} keeps a write-ahead log, and its directory cannot be written",
            "SQLite needs to write there to read such a database: run as its owner",
        )
    return ConnectError(f"{shown(path)} cannot be opened", "check its permissions and those of its directory")


@contextmanager
def sqlite_errors(path: Path, cancellation: Cancellation | None = None) -> Iterator[None]:
    """Turn SQLite's errors in the block into sentences about `path`; an interrupt becomes Cancelled."""
    try:
        yield
    except sqlite3.Error as error:
        if cancellation is not None and error_name(error) == "SQLITE_INTERRUPT":
            cancellation.check()
        raise translate(error, path) from error


@contextmanager
def backup_errors(name: str, cancellation: Cancellation) -> Iterator[None]:
    """Turn SQLite's errors while reading a backup into DamagedBackupError; an interrupt becomes Cancelled."""
    try:
        yield
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        if isinstance(error, sqlite3.Error) and error_name(error) == "SQLITE_INTERRUPT":
            cancellation.check()
        said = format_untrusted(str(error), 300)
        raise DamagedBackupError(f"{shown(name)} cannot be read: {said}", "use another backup") from error
