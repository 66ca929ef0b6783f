"""From names of databases to files. A database here is a path; a name without a slash lies beside the target's file."""

import os
from pathlib import Path

from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.names import FILE_NAME_BYTES
from dbtui.model.text import format_untrusted
from dbtui.model.urls import parse_database_url

#: What SQLite may lay beside a database file.
COMPANIONS = ("-wal", "-shm", "-journal")


def path_of(profile: ConnectionProfile) -> Path:
    """Return the absolute path of a profile's file. Raises UsageError."""
    url = parse_database_url(profile.url)
    if url.query:
        raise UsageError(
            f"the URL of {format_untrusted(url.database, 100)} has parameters, and SQLite knows none here",
            "write a question mark that belongs to the file's name as %3F",
        )
    return Path(url.database).absolute()


def resolve(own: Path, database: str) -> Path:
    """Return the path of a database by name. `own` is the target's file; relative paths start in the working directory.

    Raises UsageError for a name that no file can have.
    """
    if not database:
        return own
    if "\0" in database or database.endswith(os.sep) or Path(database).name in ("", ".", ".."):
        raise UsageError(f"{format_untrusted(database, 100)!r} is not the name of a file")
    path = Path(database) if os.sep in database else own.parent / database
    if len(os.fsencode(path.name)) > FILE_NAME_BYTES:
        raise UsageError(f"{format_untrusted(path.name, 60)!r} is too long for the name of a file")
    return path.absolute()


def siblings(own: Path, database: str) -> tuple[str, ...]:
    """Return the names of everything in a database's folder, written the way `database` is."""
    folder = database.rpartition(os.sep)[0]
    try:
        names = [each.name for each in resolve(own, database).parent.iterdir()]
    except OSError:
        return ()
    return tuple(sorted(f"{folder}{os.sep}{name}" if os.sep in database else name for name in names))


def companions(path: Path) -> tuple[Path, ...]:
    """Return the paths of the log, index and journal that may lie beside a database file."""
    return tuple(path.with_name(path.name + suffix) for suffix in COMPANIONS)
