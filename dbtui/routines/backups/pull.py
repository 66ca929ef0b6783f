"""Fetching a copy of a backup from a remote into a directory here, as carefully as one is made.

A manifest in a remote is not believed: nothing is written but the files of one backup, under names that dbtui gives,
into the one directory. Everything is fetched as `.partial`, compared with sizes and SHA-256, made durable and renamed,
the manifest last; whatever ends that leaves nothing that looks like a backup.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dbtui.adapters.disks import free_bytes
from dbtui.adapters.remotes.remote import Remote
from dbtui.adapters.streams import storage_errors
from dbtui.errors import DamagedBackupError, LockedError, UsageError
from dbtui.model.backups import PARTIAL_SUFFIX, BackupEntry, BackupFormat, EntryKind, Manifest, PlanStep
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.remotes import RemoteAddress
from dbtui.model.shipping import BackupOrigin, PullPlan, ShippedFile, ShippingResult
from dbtui.model.text import format_bytes
from dbtui.routines.backups.catalogue import list_directory, stem_of
from dbtui.routines.backups.create import check_refusals
from dbtui.routines.backups.find import find_backup, find_manifest_path, parse_stem
from dbtui.routines.backups.manifest import decode_manifest, read_limited
from dbtui.routines.backups.moving import fetch_files
from dbtui.routines.backups.remote_copy import RemoteManifest, find_sizes, fingerprint_of, read_remote_manifest
from dbtui.routines.backups.remote_find import find_manifest_name
from dbtui.routines.backups.store import PendingBackup, pending_backup, prepare_directory
from dbtui.routines.context import RoutineContext

#: What a file system wants beside the data itself.
_SPARE_BYTES = 1 << 20


def plan_pull(
    c: RoutineContext,
    address: RemoteAddress,
    reference: str,
    directory_of: Callable[[Manifest], Path],
    origin: BackupOrigin | None = None,
) -> Routine[PullPlan]:
    """Look what a remote has of a backup and whether it fits here. Changes nothing.

    `reference` is an id, the beginning of one, a name, or `latest`, which `origin` limits; `directory_of` says
    where its copy goes. Raises UsageError, DamagedBackupError (its manifest cannot be believed), ConnectError,
    RemoteError, StorageError.
    """
    began = time.monotonic()
    yield StepStarted("plan", f"ask {address} what it has")
    with c.open_remote(address) as remote:
        name = find_manifest_name(c, remote, reference, origin)
        found = read_remote_manifest(remote, name)
        plan = _plan(remote, found, directory_of(found.manifest))
    yield StepFinished("plan", time.monotonic() - began)
    return plan


def _plan(remote: Remote, found: RemoteManifest, directory: Path) -> PullPlan:
    directory = directory.expanduser().absolute()
    files = tuple(ShippedFile(file.path, file.size_bytes) for file in found.manifest.files)
    needed = sum(file.size_bytes for file in files)
    free = free_bytes(directory)
    is_done, taken = _look_here(found, directory)
    refusals = [taken] if taken else []
    if not is_done and not taken:
        refusals += _refuse_incomplete(remote, found)
        if free is not None and free < needed + _SPARE_BYTES:
            room = f"{format_bytes(needed)} are needed in {directory} and {format_bytes(free)} are free"
            refusals.append(f"{room}: make room, or choose another directory with --dir")
    steps = (
        PlanStep(f"fetch {len(files)} file{'' if len(files) == 1 else 's'}, {format_bytes(needed)}, into {directory}",
                 why="each is compared with the SHA-256 of the manifest"),
        PlanStep("write the manifest", why="last: until then it is no backup"),
    )  # fmt: skip
    return PullPlan(
        backup_id=found.backup_id,
        address=remote.address,
        directory=str(directory),
        data_name=found.base,
        files=files,
        is_done=is_done,
        steps=() if is_done else steps,
        refusals=tuple(refusals),
        manifest=found.manifest,
        encoded=found.encoded,
        free_bytes=free,
    )


def _look_here(found: RemoteManifest, directory: Path) -> tuple[bool, str]:
    """Whether the backup is here already, and else what is in its place; empty when nothing is."""
    names = [name for name in list_directory(directory).names if not name.endswith(PARTIAL_SUFFIX)]
    if not any(found.backup_id in (stem_of(name), parse_stem(name)) for name in names):
        return False, ""
    try:
        entry = find_backup(directory, found.base)
    except UsageError:
        return False, f"{directory} holds something that is called {found.backup_id}: it is not written over"
    path = find_manifest_path(entry)
    if entry.kind is not EntryKind.COMPLETE or path is None:
        what = entry.problem or "without a manifest"
        return False, f"{directory} holds {found.base}, {what}: it is not written over; move it away"
    return _compare(entry, path, found, directory)


def _compare(entry: BackupEntry, path: Path, found: RemoteManifest, directory: Path) -> tuple[bool, str]:
    try:
        here = decode_manifest(read_limited(path))
    except (OSError, DamagedBackupError):
        return False, f"{directory} holds {entry.backup_id} with a manifest that cannot be read: move it away"
    if fingerprint_of(here.files) == fingerprint_of(found.manifest.files):
        return True, ""
    return False, f"{directory} holds another backup called {entry.backup_id}: it is not written over; choose --dir"


def _refuse_incomplete(remote: Remote, found: RemoteManifest) -> Iterator[str]:
    sizes = find_sizes(remote, found.base, found.manifest.files)
    wrong = [file for file in found.manifest.files if sizes.get(file.path) != file.size_bytes]
    for file in wrong[:3]:
        there = sizes.get(file.path)
        what = "is not there" if there is None else f"has {there} bytes, the manifest says {file.size_bytes}"
        yield f"{remote.address}/{file.path} {what}: use another backup, or push this one again from where it is whole"


def apply_pull(c: RoutineContext, plan: PullPlan) -> Routine[ShippingResult]:
    """Fetch a backup. Raises RefusedError, DamagedBackupError (what came is not what the manifest says), RemoteError,
    ConnectError, StorageError, Cancelled, LockedError (it is being written here); then nothing of it stays.
    """
    check_refusals(plan.refusals)
    began = time.monotonic()
    if not plan.is_done:
        directory = prepare_directory(Path(plan.directory))
        suffix = plan.data_name.removeprefix(plan.backup_id)

        def no_other_id() -> str:
            raise LockedError(f"{plan.backup_id} is being written into {directory}", "wait until that has ended")

        with c.open_remote(plan.address) as remote, pending_backup(
            directory, plan.backup_id, suffix, no_other_id
        ) as pending:  # fmt: skip
            c.unfinished.append(pending)
            yield from _fetch(c, remote, plan, pending)
    return ShippingResult(
        backup_id=plan.backup_id,
        remote=str(plan.address),
        path=f"{plan.directory.rstrip('/')}/{plan.data_name}",
        was_there=plan.is_done,
        files=len(plan.files),
        size_bytes=plan.size_bytes,
        moved_files=0 if plan.is_done else len(plan.files),
        moved_bytes=0 if plan.is_done else plan.size_bytes,
        seconds=time.monotonic() - began,
    )


def _fetch(c: RoutineContext, remote: Remote, plan: PullPlan, pending: PendingBackup) -> Routine[None]:
    began = time.monotonic()
    yield StepStarted("pull", f"{plan.backup_id} from {plan.address}, {format_bytes(plan.size_bytes)}")
    if plan.manifest.format is BackupFormat.DIRECTORY:
        with storage_errors(pending.partial):
            pending.partial.mkdir(mode=0o700)
    inside = {file.path: file.path.partition("/")[2] for file in plan.manifest.files}
    destinations = [
        (file, pending.partial / inside[file.path] if inside[file.path] else pending.partial)
        for file in plan.manifest.files
    ]
    yield from fetch_files(c, remote, destinations)
    c.cancellation.check()
    pending.commit(plan.manifest, plan.encoded)
    yield StepFinished("pull", time.monotonic() - began)
