"""What the backups pane asks the runner about backups that lie in a remote alone: known by their manifest, or fetched.

What needs the data fetches it into a private directory below the pane's own, and removes it when the work has ended.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from dbtui.jobs import JobRequest
from dbtui.model.backups import (
    BackupContents,
    BackupEntry,
    Manifest,
    RestoreOptions,
    RestorePlan,
    RestoreResult,
    VerifyResult,
)
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.proofs import ThrowawayPlan
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.routines import backups
from dbtui.routines.backups.pins import pin_remote, unpin_remote
from dbtui.routines.backups.remote_find import RemoteBackup, find_remote_backup
from dbtui.routines.backups.remote_removal import delete_remote_backup
from dbtui.routines.backups.staging import apply_restore_far, plan_restore_far, with_fetched
from dbtui.routines.context import RoutineContext
from dbtui.tui import requests, retention_requests

ResultT = TypeVar("ResultT")


def find_far(context: RoutineContext, entry: BackupEntry) -> Routine[RemoteBackup]:
    """Ask the remote of a row for its backup."""
    return find_remote_backup(context, parse_remote_address(entry.remote), entry.data_path.rpartition("/")[2])


def _reads(entry: BackupEntry, what: str, take: Callable[[RemoteBackup], ResultT]) -> JobRequest[ResultT]:
    def start(context: RoutineContext) -> Routine[ResultT]:
        found = yield from find_far(context, entry)
        return take(found)

    return JobRequest(routine=what, target=entry.remote, subject=entry.backup_id, changes=False, start=start)


def manifest(entry: BackupEntry) -> JobRequest[Manifest]:
    """Read a backup's manifest."""
    return _reads(entry, "read manifest", lambda far: far.manifest)


def contents(entry: BackupEntry) -> JobRequest[BackupContents]:
    """Look inside a backup, as far as its manifest tells."""
    return _reads(entry, "look into", lambda far: far.contents)


def proof_plan(entry: BackupEntry) -> JobRequest[ThrowawayPlan]:
    """Find out on which throwaway server a backup can be proven here."""

    def start(context: RoutineContext) -> Routine[ThrowawayPlan]:
        far = yield from find_far(context, entry)
        return (yield from backups.plan_proof(context, far.entry, far.backup))

    return JobRequest(routine="plan proof", target=entry.remote, subject=entry.backup_id, changes=False, start=start)


def verify(
    entry: BackupEntry, place: ThrowawayPlan | ConnectionProfile | None, directory: Path
) -> JobRequest[VerifyResult]:
    """Fetch a backup and verify it; with a place also by restoring it there."""

    def verify_here(context: RoutineContext, here: BackupEntry) -> Routine[VerifyResult]:
        return backups.verify_backup(context, here, place)

    def start(context: RoutineContext) -> Routine[VerifyResult]:
        far = yield from find_far(context, entry)
        return (yield from with_fetched(context, far, directory, partial(verify_here, context)))

    return replace(requests.verify(entry, place), start=start)


def restore_plan(
    entry: BackupEntry, profile: ConnectionProfile, options: RestoreOptions, directory: Path
) -> JobRequest[RestorePlan]:
    """Plan a restore by the manifest; the backup is fetched when that is confirmed."""

    def start(context: RoutineContext) -> Routine[RestorePlan]:
        far = yield from find_far(context, entry)
        return (yield from plan_restore_far(context, far, directory, profile, options))

    return JobRequest(routine="plan restore", target=profile.name, changes=False, start=start)


def restore(
    entry: BackupEntry, profile: ConnectionProfile, plan: RestorePlan, directory: Path
) -> JobRequest[RestoreResult]:
    """Fetch a backup and restore it."""

    def start(context: RoutineContext) -> Routine[RestoreResult]:
        far = yield from find_far(context, entry)
        return (yield from apply_restore_far(context, far, directory, profile, plan))

    return replace(requests.restore(profile, plan), start=start)


# ---------------------------------------------------------------- what lies there itself


def delete(entry: BackupEntry) -> JobRequest[str]:
    """Delete a backup in its remote."""

    def start(context: RoutineContext) -> Routine[str]:
        far = yield from find_far(context, entry)
        return (yield from delete_remote_backup(context, far.address, far.data_name))

    return replace(requests.delete(entry), start=start)


def pin(entry: BackupEntry, reason: str) -> JobRequest[bool]:
    """Pin a backup in its remote. `reason` may be empty."""

    def start(context: RoutineContext) -> Routine[bool]:
        far = yield from find_far(context, entry)
        return (yield from pin_remote(context, far, reason))

    return replace(retention_requests.pin(entry, reason), start=start)


def unpin(entry: BackupEntry) -> JobRequest[bool]:
    """Take a backup's pin away in its remote."""

    def start(context: RoutineContext) -> Routine[bool]:
        far = yield from find_far(context, entry)
        return (yield from unpin_remote(context, far))

    return replace(retention_requests.unpin(entry), start=start)
