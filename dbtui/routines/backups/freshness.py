"""How fresh the backups of profiles are: the newest good one of each, against how old it may be."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from dbtui.analysis.backups.freshness import assess_freshness, find_limit
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.freshness import BackupFreshness
from dbtui.model.retention import RetentionBackup
from dbtui.routines.backups.expire import look_at
from dbtui.routines.backups.stored import database_of
from dbtui.routines.context import RoutineContext


def collect_freshness(
    c: RoutineContext,
    profiles: Sequence[ConnectionProfile],
    entries: Sequence[BackupEntry],
    physical: Mapping[str, datetime] | None = None,
) -> Routine[tuple[BackupFreshness, ...]]:
    """Return how fresh the backups of each profile are that has `max_backup_age`, or a `keep` that asks for them.

    `entries` are backups here and in remotes, in any order, of any database. Good is a whole backup, all of its
    database, whose files have the sizes that its manifest says and no verification of which failed; of one that lies
    in a remote alone the manifest is believed. By `keep` alone no backup at all is no fault. `physical` is when the
    newest usable backup of a profile's repository ended.
    """
    yield from ()
    ordered = sorted(entries, key=lambda entry: (entry.began_at, entry.backup_id), reverse=True)
    found = []
    for profile in profiles:
        limit = find_limit(profile)
        kept = (physical or {}).get(profile.name)
        is_backed_up = kept is not None or any(_is_of(entry, profile) for entry in ordered)
        # What keeps backups is said for all profiles at once; some, such as replicas, are never backed up.
        if limit is not None and (is_backed_up or limit.is_explicit):
            newest = _find_newest(c, profile, ordered)
            if kept is not None and (newest is None or kept > newest[1]):
                newest = (str(profile.repository), kept)
            found.append(assess_freshness(profile, newest, c.now()))
    return tuple(freshness for freshness in found if freshness is not None)


def _is_of(entry: BackupEntry, profile: ConnectionProfile) -> bool:
    return entry.engine is profile.engine and entry.database == database_of(profile) and entry.profile == profile.name


def _find_newest(
    c: RoutineContext, profile: ConnectionProfile, ordered: Sequence[BackupEntry]
) -> tuple[str, datetime] | None:
    for entry in ordered:
        c.cancellation.check()
        if entry.kind is EntryKind.COMPLETE and entry.engine is profile.engine and _is_good(entry, profile):
            return entry.backup_id, entry.began_at
    return None


def _is_good(entry: BackupEntry, profile: ConnectionProfile) -> bool:
    if entry.remote:
        return entry.profile == profile.name and entry.database == database_of(profile) and entry.failed_at is None
    if entry.database != database_of(profile):
        return False
    seen = look_at(entry, profile)
    return isinstance(seen, RetentionBackup) and not seen.problem and not seen.scope.covers
