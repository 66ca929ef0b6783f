"""Which backup and which server a command means."""

import os
from pathlib import Path

from dbtui.analysis.repositories import parse_reference
from dbtui.cli.invocation import Invocation
from dbtui.config import DATABASE_URL
from dbtui.errors import StorageError, UsageError
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.connections import ConnectionProfile
from dbtui.model.remotes import RemoteKind
from dbtui.model.text import format_untrusted
from dbtui.routines import backups as routines
from dbtui.routines.backups import find_backup
from dbtui.routines.backups.stored import database_of

#: Stands for the newest backup.
LATEST = "latest"
REMOTE_SCHEMES = tuple(f"{kind.value}://" for kind in RemoteKind)


def find_entry(invocation: Invocation, reference: str, directory: str | None) -> BackupEntry:
    """Return the backup that an id or path means: in `directory`, else in every directory the settings name.

    `latest` is the newest whole one there, `latest:PROFILE` the newest of a profile's database. Raises UsageError.
    """
    if reference.lower().startswith(REMOTE_SCHEMES):
        raise UsageError(f"{format_untrusted(reference)} lies in a remote, and this works on backups here",
                         "fetch it with dbtui backup pull first")  # fmt: skip
    word, _, target = reference.partition(":")
    if (physical := parse_reference(reference)) is not None:
        raise UsageError(f"{format_untrusted(reference)} is kept by {physical[0].product}, which alone may change it",
                         "backup list, show, verify and restore know it")  # fmt: skip
    if word == LATEST and (target or reference == LATEST):
        return _find_latest(invocation, target, directory)
    directories = (Path(directory),) if directory is not None else invocation.backup_directories()
    for candidate in directories[:-1]:
        try:
            return find_backup(candidate, reference)
        except UsageError:
            continue
    return find_backup(directories[-1], reference)


def _find_latest(invocation: Invocation, target: str, directory: str | None) -> BackupEntry:
    if "://" in target:  # nobody looks for a password in this word
        raise UsageError("latest: wants a profile's name, not a URL", "name a profile, or use latest with --dir")
    profile = invocation.target(target) if target else None
    database = database_of(profile) if profile is not None else ""
    if directory is not None:
        directories: tuple[Path, ...] = (Path(directory),)
    else:
        directories = (Path(profile.backup_dir),) if profile is not None else invocation.backup_directories()
    entries = [
        entry
        for place in directories
        for entry in invocation.result_of(list_request(place, database))
        if entry.kind is EntryKind.COMPLETE and (profile is None or entry.engine is profile.engine)
    ]
    if not entries:
        whose = f" of {format_untrusted(database)}" if database else ""
        where = ", ".join(map(str, directories))
        raise UsageError(f"there is no whole backup{whose} in {where}", "see dbtui backup list")
    return max(entries, key=lambda entry: (entry.began_at, entry.backup_id))


def choose_directories(
    invocation: Invocation, profile: ConnectionProfile | None, directory: str | None
) -> tuple[Path, ...]:  # fmt: skip
    """Return where backups are looked for: as typed, else the target's, else everywhere. Raises StorageError."""
    if directory is None:
        return (Path(profile.backup_dir),) if profile is not None else invocation.backup_directories()
    if not Path(directory).is_dir():
        raise StorageError(f"{directory} is not a directory", "name the directory that holds the backups")
    return (Path(directory),)


def list_request(directory: Path, database: str) -> JobRequest[tuple[BackupEntry, ...]]:
    """Return the request that lists the backups of a directory; `database` limits it to one."""
    return JobRequest(
        routine="backup list",
        target=str(directory),
        start=lambda c: routines.collect_entries(c, directory, database),
        changes=False,
    )


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
