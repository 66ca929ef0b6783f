"""Retention of a remote, judged by itself: what is kept here counts for nothing there.

A remote knows no locks. So everything is looked at again right before it goes, and never goes when a good backup of the
same database is not seen to be there at that moment.
"""

import hashlib
import time
from functools import partial

from dbtui.adapters.remotes.remote import Remote
from dbtui.analysis.backups.retention import plan_retention
from dbtui.errors import ConnectError, DamagedBackupError, DbtuiError, RefusedError, RemoteError
from dbtui.model.backups import MANIFEST_SUFFIX, EntryKind
from dbtui.model.events import Routine, StepFinished, StepStarted, Warned
from dbtui.model.remotes import RemoteAddress
from dbtui.model.retention import PIN_SUFFIX, ExpireResult, LeftAlone, RetentionBackup, RetentionPlan
from dbtui.routines.backups.catalogue import stem_of
from dbtui.routines.backups.expire import OTHER_TARGET, ExpireRequest, is_of, judge_manifest
from dbtui.routines.backups.remote_catalogue import RemoteListing, list_remote, read_manifests, row_of
from dbtui.routines.backups.remote_copy import (
    RemoteManifest,
    find_sizes,
    parse_remote_manifest,
    read_remote_manifest,
)
from dbtui.routines.backups.remote_removal import find_marks, finish_remote_deletion, remove_from
from dbtui.routines.backups.removing import CHANGED, GONE, PINNED, Note, remove_planned
from dbtui.routines.context import RoutineContext


def plan_remote_expire(c: RoutineContext, address: RemoteAddress, request: ExpireRequest) -> Routine[RetentionPlan]:
    """Look at the backups in a remote and decide which go. Changes nothing.

    Raises ConnectError, RemoteError, UsageError, Cancelled.
    """
    with c.open_remote(address) as remote:
        listing = list_remote(c, remote)
    names = sorted(listing.manifests)
    manifests = yield from read_manifests(c, address, names, partial(parse_remote_manifest, address))
    found: list[RetentionBackup] = []
    left: list[LeftAlone] = []
    for name in names:
        seen = _look_at(listing, name, manifests[name], request)
        if isinstance(seen, LeftAlone):
            left.append(seen)
        else:
            found.append(seen)
    now = c.now()
    return RetentionPlan(
        taken_at=now,
        directories=(str(address),),
        groups=plan_retention(found, request.policy_of, now, trusts_gaps=request.trusts_gaps),
        left_alone=tuple(left),
        leftovers=find_marks(listing.data_bytes),
    )


def _look_at(
    listing: RemoteListing, name: str, found: RemoteManifest | DbtuiError, request: ExpireRequest
) -> RetentionBackup | LeftAlone:
    if isinstance(found, DbtuiError):
        return LeftAlone(name.removesuffix(MANIFEST_SUFFIX), EntryKind.BROKEN, found.message)
    try:
        entry = row_of(listing, name, found.encoded)
    except DamagedBackupError as error:
        return LeftAlone(name.removesuffix(MANIFEST_SUFFIX), EntryKind.BROKEN, error.message)
    if entry.kind is not EntryKind.COMPLETE or entry.engine is None:
        return LeftAlone(entry.backup_id, entry.kind, entry.problem)
    if request.profile is not None and not is_of(found.manifest, request.profile):
        return LeftAlone(entry.backup_id, entry.kind, OTHER_TARGET)
    return judge_manifest(
        entry,
        found.manifest,
        directory=str(listing.address),
        digest=hashlib.sha256(found.encoded).hexdigest(),
        problem=f"its verification failed on {entry.failed_at}" if entry.failed_at else "",
        proof=entry.proof,
    )


def apply_remote_expire(
    c: RoutineContext, address: RemoteAddress, plan: RetentionPlan, note: Note
) -> Routine[ExpireResult]:
    """Remove what the plan names from a remote, oldest first, each looked at again right before.

    Raises RefusedError (the plan is refused, or what should stay is not all there), ConnectError, Cancelled.
    """
    if plan.is_refused:
        raise RefusedError("; ".join(plan.refusals), "nothing was removed")
    began = time.monotonic()
    yield StepStarted("expire", f"{len(plan.removed)} of {len(plan.removed) + len(plan.kept)} backups in {address}")
    for text in plan.refusals:
        yield Warned(f"left alone: {text}")
    with c.open_remote(address) as remote:
        done = yield from remove_planned(c, plan, _Remote(remote, _names_of(plan, remote)), note)
    yield StepFinished("expire", time.monotonic() - began)
    return done


def _names_of(plan: RetentionPlan, remote: Remote) -> dict[str, str]:
    """The names of the data of the plan's backups, by id."""
    wanted = {each.backup_id for group in plan.groups for each in (*group.kept, *group.removed)}
    there = (each.name for each in remote.list_objects())
    names = {stem_of(name): name for name in there if name.endswith(MANIFEST_SUFFIX) and "/" not in name}
    return {key: name.removesuffix(MANIFEST_SUFFIX) for key, name in names.items() if key in wanted}


class _Remote:
    """A remote, as what backups are removed from."""

    def __init__(self, remote: Remote, names: dict[str, str]) -> None:
        self._remote = remote
        self._names = names

    def _read(self, backup: RetentionBackup) -> RemoteManifest | None:
        """The manifest of a backup, None when it is gone or no manifest any more."""
        base = self._names.get(backup.backup_id)
        if base is None or self._remote.find_object(base + MANIFEST_SUFFIX) is None:
            return None
        try:
            return read_remote_manifest(self._remote, base + MANIFEST_SUFFIX)
        except DamagedBackupError:
            return None

    def is_backup(self, backup: RetentionBackup) -> bool:
        base = self._names.get(backup.backup_id)
        return base is not None and self._remote.find_object(base + MANIFEST_SUFFIX) is not None

    def find_change(self, backup: RetentionBackup) -> str:
        if not self.is_backup(backup):
            return GONE
        found = self._read(backup)
        if found is None or hashlib.sha256(found.encoded).hexdigest() != backup.digest:
            return CHANGED
        return PINNED if self._remote.find_object(found.base + PIN_SUFFIX) is not None else ""

    def is_whole(self, backup: RetentionBackup) -> bool:
        try:
            found = self._read(backup)
            if found is None or hashlib.sha256(found.encoded).hexdigest() != backup.digest:
                return False
            sizes = find_sizes(self._remote, found.base, found.manifest.files)
        except ConnectError:
            raise
        except RemoteError:
            return False
        return all(sizes.get(file.path) == file.size_bytes for file in found.manifest.files)

    def remove(self, _c: RoutineContext, backup: RetentionBackup) -> Routine[None]:
        found = self._read(backup)
        if found is None:
            raise RemoteError(f"{backup.backup_id} is not there any more")
        yield from remove_from(self._remote, found)

    def finish(self, mark: str) -> str:
        return finish_remote_deletion(self._remote, mark)
