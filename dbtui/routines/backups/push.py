"""Sending a copy of a backup to a remote, so that whatever ends it leaves no half of one that looks whole.

The order is the promise. First a small mark takes the name: it tells whose files arrive, so that the next push of the
same backup goes on where this one ended, and another backup of that name keeps away. Then the data files, each
confirmed by the remote against the SHA-256 of the manifest, which also proves the file here: a damaged backup is never
shipped. The manifest is created last, never over another; a backup is in a remote if and only if its manifest is.
"""

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from dbtui.adapters.remotes.remote import Remote
from dbtui.errors import (
    Cancelled,
    DamagedBackupError,
    DbtuiError,
    RefusedError,
    RemoteError,
    RemoteExistsError,
    StorageError,
)
from dbtui.model.backups import (
    MANIFEST_SUFFIX,
    BackupEntry,
    CreateResult,
    DumpOptions,
    EntryKind,
    Manifest,
    PlanStep,
)
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine, StepFinished, StepStarted, Warned
from dbtui.model.remotes import Confirmation, RemoteAddress
from dbtui.model.retention import DELETING_SUFFIX
from dbtui.model.shipping import PUSHING_SUFFIX, PUSHING_VERSION, PushPlan, ShippedFile, ShippingResult
from dbtui.model.text import format_bytes, format_untrusted
from dbtui.operators import format_operator
from dbtui.routines.backups.create import check_refusals, create_backup, format_time
from dbtui.routines.backups.find import find_backup, find_manifest_path
from dbtui.routines.backups.holding import held_for_reading
from dbtui.routines.backups.manifest import data_name, decode_manifest, read_limited
from dbtui.routines.backups.moving import send_files
from dbtui.routines.backups.remote_copy import find_sizes, fingerprint_of, read_remote_manifest
from dbtui.routines.context import RoutineContext

_LONGEST_MARK = 64 << 10
_WEAKEST = (Confirmation.SIZE, Confirmation.READ_BACK, Confirmation.CHECKSUM)


class _Mark(msgspec.Struct):
    """What lies beside the data while it is sent."""

    version: int
    backup_id: str
    fingerprint: str
    began_at: str
    host: str
    operator: str


_MARK: msgspec.json.Decoder[_Mark] = msgspec.json.Decoder(_Mark)


@dataclass(frozen=True, slots=True)
class _Local:
    """A backup here. `encoded` is its manifest as it was read."""

    manifest: Manifest
    encoded: bytes
    base: str
    directory: Path

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.manifest.files)


# ---------------------------------------------------------------- planning


def plan_push(c: RoutineContext, entry: BackupEntry, address: RemoteAddress) -> Routine[PushPlan]:
    """Look what a remote has of a backup, and decide what is to be sent. Changes nothing.

    Raises RefusedError (no whole backup of ours), DamagedBackupError, ConnectError, RemoteError, StorageError.
    """
    local = _read_local(entry)
    began = time.monotonic()
    yield StepStarted("plan", f"ask {address} what it has")
    with c.open_remote(address) as remote:
        plan = _plan(remote, entry, local)
    yield StepFinished("plan", time.monotonic() - began)
    return plan


def _read_local(entry: BackupEntry) -> _Local:
    if entry.remote:
        raise RefusedError(f"{entry.backup_id} lies in {entry.remote}", "pull it, then push it elsewhere")
    if entry.kind is EntryKind.FOREIGN:
        raise RefusedError(f"{entry.backup_id} has no manifest, so nobody could tell whether a copy of it is whole",
                           "push backups that dbtui made")  # fmt: skip
    if entry.kind is EntryKind.BROKEN:
        raise DamagedBackupError(f"{entry.backup_id} is not pushed: {entry.problem}", "use another backup")
    path = find_manifest_path(entry)
    if path is None:
        raise DamagedBackupError(f"{entry.backup_id} has no manifest any more", "see dbtui backup list")
    try:
        encoded = read_limited(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    manifest = decode_manifest(encoded)
    local = _Local(manifest, encoded, data_name([file.path for file in manifest.files]), path.parent)
    _check_sizes(entry, local)
    return local


def _check_sizes(entry: BackupEntry, local: _Local) -> None:
    """Names and sizes cost nothing to compare; the contents are hashed when they are sent."""
    for file in local.manifest.files:
        path = local.directory / file.path
        try:
            about = path.lstat()
        except OSError as error:
            raise DamagedBackupError(f"{entry.backup_id} is not pushed: {path} cannot be read: {error.strerror}",
                                     "use another backup") from error  # fmt: skip
        if about.st_size != file.size_bytes or path.is_symlink() or not path.is_file():
            raise DamagedBackupError(
                f"{entry.backup_id} is not pushed: {path} has {about.st_size} bytes, the manifest says "
                f"{file.size_bytes}", "use another backup",
            )  # fmt: skip


def _plan(remote: Remote, entry: BackupEntry, local: _Local) -> PushPlan:
    name = local.base + MANIFEST_SUFFIX
    is_listed = remote.find_object(name) is not None
    mark = None if is_listed else _read_mark(remote, local.base)
    refusal = _refuse_deleted(remote, local) or (
        _refuse_manifest(remote, local) if is_listed else _refuse_mark(remote, local, mark)
    )
    # Files that nobody vouches for are sent anew: a manifest does, and the mark of a push of the same files.
    sizes = find_sizes(remote, local.base, local.manifest.files) if is_listed or mark is not None else {}
    files = tuple(
        ShippedFile(file.path, file.size_bytes, sizes.get(file.path) == file.size_bytes)
        for file in local.manifest.files
    )
    is_done = is_listed and all(file.is_there for file in files)
    return PushPlan(
        backup_id=entry.backup_id,
        address=remote.address,
        directory=str(local.directory),
        data_name=local.base,
        files=files,
        is_done=is_done and not refusal,
        steps=() if is_done else tuple(_steps(files, name, is_listed=is_listed)),
        refusals=(refusal,) if refusal else (),
        entry=entry,
        fingerprint=local.fingerprint,
        is_listed=is_listed,
    )


def _steps(files: Sequence[ShippedFile], name: str, *, is_listed: bool) -> Iterator[PlanStep]:
    missing = [file for file in files if not file.is_there]
    size = format_bytes(sum(file.size_bytes for file in missing))
    there = f"; {len(files) - len(missing)} are there already" if len(missing) < len(files) else ""
    count = f"{len(missing)} file{'' if len(missing) == 1 else 's'}"
    yield PlanStep(f"send {count}, {size}{there}", why="each is confirmed against the SHA-256 of the manifest")
    if not is_listed:
        yield PlanStep(f"create {name}", why="last, and never over another: until then it is no backup")


def _refuse_deleted(remote: Remote, local: _Local) -> str:
    """Why nothing is sent while a backup of that name is deleted there: what is sent would go with it."""
    if remote.find_object(local.base + DELETING_SUFFIX) is None:
        return ""
    return (
        f"{local.base} is being deleted from {remote.address}, or a deletion of it was cut: dbtui backup expire with "
        f"--dir {remote.address} finishes that"
    )


def _refuse_manifest(remote: Remote, local: _Local) -> str:
    """Why a backup cannot go where one of the same name is listed; empty when that is a copy of it."""
    where = f"{remote.address}/{local.base}"
    try:
        found = read_remote_manifest(remote, local.base + MANIFEST_SUFFIX)
    except DamagedBackupError as error:
        return f"{error.message}; nothing is written over it"
    if fingerprint_of(found.manifest.files) == local.fingerprint:
        return ""
    origin = found.manifest.url or found.manifest.profile or "elsewhere"
    return (
        f"{where} is another backup, made of {format_untrusted(origin, 120)} at "
        f"{format_untrusted(found.manifest.begin_time, 40)}: nothing is written over it"
    )


def _refuse_mark(remote: Remote, local: _Local, mark: _Mark | None) -> str:
    """Why a backup cannot go where somebody pushes one of the same name; empty when that is the same backup."""
    if mark is None or mark.fingerprint == local.fingerprint:
        return ""
    return (
        f"another backup of this name is being pushed to {remote.address} by {format_untrusted(mark.operator, 60)} on "
        f"{format_untrusted(mark.host, 60)} since {format_untrusted(mark.began_at, 40)}: wait for it, or remove "
        f"{local.base}{PUSHING_SUFFIX} there when that push is dead"
    )


# ---------------------------------------------------------------- the mark


def _read_mark(remote: Remote, base: str) -> _Mark | None:
    """Return the mark of a push, None if there is none. Raises RemoteError when it cannot be understood."""
    name = base + PUSHING_SUFFIX
    if remote.find_object(name) is None:
        return None
    try:
        return _MARK.decode(remote.read(name, _LONGEST_MARK))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"{remote.address}/{name} cannot be understood"
        raise RemoteError(message, "remove it there, then push again") from error


def _take_name(c: RoutineContext, remote: Remote, local: _Local, backup_id: str) -> None:
    """Put the mark down, or find that of an earlier push of the same files. Raises RefusedError."""
    mark = _Mark(PUSHING_VERSION, backup_id, local.fingerprint, format_time(c.now()), platform.node(),
                 format_operator(c.environ))  # fmt: skip
    try:
        remote.create(local.base + PUSHING_SUFFIX, msgspec.json.format(msgspec.json.encode(mark), indent=2) + b"\n")
    except RemoteExistsError:
        refusal = _refuse_mark(remote, local, _read_mark(remote, local.base))
        if refusal:
            raise RefusedError(f"push refused: {refusal}") from None


# ---------------------------------------------------------------- making one and sending it


def create_and_push(
    c: RoutineContext, profile: ConnectionProfile, directory: Path, options: DumpOptions, address: RemoteAddress
) -> Routine[CreateResult]:
    """Make a backup, then send a copy; that it could not be sent is told in the result, and undoes nothing.

    Raises what making a backup raises, and Cancelled.
    """
    made = yield from create_backup(c, profile, directory, options)
    try:
        plan = yield from plan_push(c, find_backup(directory, made.data_path), address)
        done = yield from apply_push(c, plan)
    except Cancelled:
        raise
    except DbtuiError as error:
        yield Warned(f"{made.manifest.backup_id} was made and not copied: {error}")
        return replace(made, copy_problem=str(error))
    return replace(made, copy_path=done.path)


# ---------------------------------------------------------------- sending


def apply_push(c: RoutineContext, plan: PushPlan) -> Routine[ShippingResult]:
    """Send what a remote lacks of a backup, its manifest last; nobody deletes the backup here meanwhile.

    Raises RefusedError (the plan has refusals, or another backup of that name came), DamagedBackupError (what lies here
    is not what the manifest says), ConnectError, RemoteError, StorageError, Cancelled, LockedError (it is being
    deleted). A push that ends so is completed by the next.
    """
    check_refusals(plan.refusals)
    began = time.monotonic()
    with held_for_reading(find_manifest_path(plan.entry)):
        local = _read_local(plan.entry)
        if local.fingerprint != plan.fingerprint:
            raise RefusedError(f"{plan.backup_id} is another backup than when this was planned", "plan it again")
        with c.open_remote(plan.address) as remote:
            plan = _plan(remote, plan.entry, local)  # what was there may have gone since
            check_refusals(plan.refusals)
            confirmations, remarks = ((), ()) if plan.is_done else (yield from _send_all(c, remote, plan, local))
    return ShippingResult(
        backup_id=plan.backup_id,
        remote=str(plan.address),
        path=f"{plan.address}/{plan.data_name}",
        was_there=plan.is_done,
        files=len(plan.files),
        size_bytes=plan.size_bytes,
        moved_files=len(plan.missing),
        moved_bytes=plan.missing_bytes,
        seconds=time.monotonic() - began,
        confirmation=min(confirmations, key=_WEAKEST.index).value if confirmations else "",
        remarks=remarks,
    )


def _send_all(
    c: RoutineContext, remote: Remote, plan: PushPlan, local: _Local
) -> Routine[tuple[tuple[Confirmation, ...], tuple[str, ...]]]:
    began = time.monotonic()
    _take_name(c, remote, local, plan.backup_id)
    missing = {file.name for file in plan.missing}
    yield StepStarted("push", f"{plan.backup_id} to {plan.address}, {format_bytes(plan.missing_bytes)}")
    files = [file for file in local.manifest.files if file.path in missing]
    try:
        confirmations = yield from send_files(c, remote, local.directory, files)
    except DamagedBackupError:  # nobody can complete this one
        with suppress(RemoteError):  # a login that may not delete: it is no backup all the same
            # Files without a manifest are nobody's backup; with one they are that of who was faster.
            if plan.is_listed or remote.find_object(local.base + MANIFEST_SUFFIX) is None:
                for file in files:
                    remote.remove(file.path)
        _remove_mark(remote, local)
        raise
    yield StepFinished("push", time.monotonic() - began)
    c.cancellation.check()
    yield StepStarted("manifest", f"{local.base}{MANIFEST_SUFFIX}")
    began = time.monotonic()
    if not plan.is_listed:
        _create_manifest(remote, local)
    elif remote.find_object(local.base + MANIFEST_SUFFIX) is None:
        raise RefusedError(f"{local.base} was deleted from {remote.address} while its files were sent", "push it again")
    yield StepFinished("manifest", time.monotonic() - began)
    return confirmations, _remove_mark(remote, local)


def _create_manifest(remote: Remote, local: _Local) -> None:
    try:
        remote.create(local.base + MANIFEST_SUFFIX, local.encoded)
    except RemoteExistsError:  # completed before, or somebody was faster
        refusal = _refuse_manifest(remote, local)
        if refusal:
            raise RefusedError(f"push refused: {refusal}") from None


def _remove_mark(remote: Remote, local: _Local) -> tuple[str, ...]:
    """Take the mark away. A login that may not remove anything leaves it, which harms nobody: the manifest is there."""
    name = local.base + PUSHING_SUFFIX
    try:
        remote.remove(name)
    except RemoteError as error:
        return (f"{name} stays in {remote.address}, where it is in nobody's way: {error.message}",)
    return ()
