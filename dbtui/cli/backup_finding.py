"""Which backup and which server a command means."""

import os
from pathlib import Path

from dbtui.cli.invocation import Invocation
from dbtui.config import DATABASE_URL
from dbtui.errors import UsageError
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.text import format_untrusted
from dbtui.routines.backups import find_backup


def find_entry(invocation: Invocation, reference: str, directory: str | None) -> BackupEntry:
    """Return the backup that an id or path means: in `directory`, else in every directory the settings name.

    Raises UsageError.
    """
    directories = (Path(directory),) if directory is not None else invocation.backup_directories()
    for candidate in directories[:-1]:
        try:
            return find_backup(candidate, reference)
        except UsageError:
            continue
    return find_backup(directories[-1], reference)


def find_destination(invocation: Invocation, entry: BackupEntry, to: str | None) -> ConnectionProfile:
    """Return the target of a restore: `to`, else the profile the backup was made from, else DATABASE_URL.

    Raises UsageError.
    """
    if to is not None:
        return invocation.target(to)
    if entry.profile and invocation.settings.profile(entry.profile) is not None:
        return invocation.target(entry.profile)
    if os.environ.get(DATABASE_URL, "").strip():
        return invocation.target(None)
    made_from = (
        f"its profile {format_untrusted(entry.profile)!r} is not configured" if entry.profile else "it names no profile"
    )
    what = f"it is not known where to restore {format_untrusted(entry.backup_id)}"
    raise UsageError(f"{what}: {made_from} and DATABASE_URL is not set", "say --to TARGET")
