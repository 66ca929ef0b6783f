"""Retention at work: look at every backup of a directory, decide, remove exactly what was decided.

Nothing is removed by a rule at the time: the plan names ids and the digests of their manifests, and each is looked at
again right before it goes. What a killed run left is finished by the next one.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dbtui.analysis.backups import parse_backup_id
from dbtui.analysis.backups.retention import Policies, plan_retention
from dbtui.errors import DamagedBackupError, DbtuiError, LockedError, RefusedError, StorageError
from dbtui.model.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, BackupEntry, EntryKind, Manifest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine, StepFinished, StepStarted, Warned
from dbtui.model.policies import CountedProof
from dbtui.model.proofs import ProofOutcome
from dbtui.model.retention import ExpireResult, LeftAlone, RetentionBackup, RetentionPlan, RetentionScope
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.catalogue import collect_entries, list_directory, stem_of
from dbtui.routines.backups.delete import delete_backup, find_unfinished, finish_deletion
from dbtui.routines.backups.evidence import read_last_outcome
from dbtui.routines.backups.find import find_backup, find_manifest_path
from dbtui.routines.backups.holding import held_directory, held_for_removal, is_held
from dbtui.routines.backups.manifest import decode_manifest, read_limited
from dbtui.routines.backups.pins import is_pinned
from dbtui.routines.backups.removing import CHANGED, GONE, PINNED, Note, remove_planned
from dbtui.routines.backups.store import prepare_directory
from dbtui.routines.backups.stored import database_of, public_url
from dbtui.routines.context import RoutineContext

OTHER_TARGET = "it is of another target"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireRequest:
    """What to look at. `profile` limits it to one target's backups; `policy_of` says by which policy each is judged."""

    directories: tuple[Path, ...]
    policy_of: Policies
    profile: ConnectionProfile | None = None
    trusts_gaps: bool = False


# ---------------------------------------------------------------- looking and deciding


def plan_expire(c: RoutineContext, request: ExpireRequest) -> Routine[RetentionPlan]:
    """Look at the backups and decide which go. Changes nothing. Raises StorageError, UsageError."""
    found: list[RetentionBackup] = []
    left: list[LeftAlone] = []
    marks: list[Path] = []
    directories = tuple(dict.fromkeys(Path(os.path.realpath(each)) for each in request.directories))
    for directory in directories:
        entries = yield from collect_entries(c, directory)
        for entry in entries:
            c.cancellation.check()
            seen = look_at(entry, request.profile)
            if isinstance(seen, LeftAlone):
                left.append(seen)
            else:
                found.append(seen)
        marks.extend(find_unfinished(directory))
    now = c.now()
    return RetentionPlan(
        taken_at=now,
        directories=tuple(map(str, directories)),
        groups=plan_retention(found, request.policy_of, now, trusts_gaps=request.trusts_gaps),
        left_alone=tuple(left),
        leftovers=tuple(map(str, marks)),
    )


def look_at(entry: BackupEntry, profile: ConnectionProfile | None) -> RetentionBackup | LeftAlone:
    """Return a backup as retention sees it, or why it is none of its business, as one of another target is."""
    if entry.kind is not EntryKind.COMPLETE or entry.engine is None:
        return LeftAlone(entry.backup_id, entry.kind, entry.problem or "it has no manifest")
    path = find_manifest_path(entry)
    try:
        data = read_limited(path) if path is not None else b""
        manifest = decode_manifest(data)
    except (OSError, DamagedBackupError) as error:
        return LeftAlone(entry.backup_id, EntryKind.BROKEN, f"its manifest cannot be read: {error}")
    if profile is not None and not is_of(manifest, profile):
        return LeftAlone(entry.backup_id, entry.kind, OTHER_TARGET)
    return judge_manifest(
        entry,
        manifest,
        directory=entry.directory,
        digest=hashlib.sha256(data).hexdigest(),
        problem=_problem(entry, manifest),
        proof=_proof(entry),
    )


def is_of(manifest: Manifest, profile: ConnectionProfile) -> bool:
    """Whether a backup is of a target: of its database, made from its URL or by its name."""
    if manifest.engine is not profile.engine or manifest.database != database_of(profile):
        return False
    return manifest.url == public_url(profile) or manifest.profile == profile.name


def judge_manifest(
    entry: BackupEntry, manifest: Manifest, *, directory: str, digest: str, problem: str, proof: str | None
) -> RetentionBackup:
    """Return a backup as retention sees it. `directory` is also the address of a remote."""
    return RetentionBackup(
        backup_id=entry.backup_id,
        directory=directory,
        scope=RetentionScope(manifest.database, manifest.engine, manifest.url, describe_cover(manifest)),
        began_at=entry.began_at,
        ended_at=parse_time(manifest.end_time),
        profile=manifest.profile,
        size_bytes=manifest.size_bytes,
        packing=f"{manifest.format.value} {manifest.compression}",
        proof=proof,
        is_pinned=entry.is_pinned,
        problem=problem,
        digest=digest,
    )


def describe_cover(manifest: Manifest) -> str:
    """Return what of its database a backup holds; empty for all."""
    parts = ["definitions only"] if manifest.schema_only else []
    parts += [f"only {', '.join(sorted(manifest.selected_tables))}"] if manifest.selected_tables else []
    parts += [f"without {', '.join(sorted(manifest.excluded_tables))}"] if manifest.excluded_tables else []
    return ", ".join(parts)


def parse_time(text: str) -> datetime | None:
    """Return a manifest's time, None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _proof(entry: BackupEntry) -> str | None:
    """The best that was shown of a backup: a look at its checksums after a restore does not undo what that proved."""
    if entry.proof is not None and read_last_outcome(entry) is ProofOutcome.EQUAL:
        return CountedProof.RESTORED.value
    return entry.proof


def _problem(entry: BackupEntry, manifest: Manifest) -> str:
    """Why a backup is no good one: its files are not as its manifest says, or a verification failed. Sizes tell."""
    if entry.failed_at is not None:
        return f"its verification failed on {entry.failed_at}"
    if read_last_outcome(entry) is ProofOutcome.DIFFERENT:
        return "its last restore was not equal to its manifest"
    for file in manifest.files:
        path = Path(entry.directory, file.path)
        try:
            size = path.lstat().st_size
        except OSError as error:
            return f"{file.path} cannot be read: {error.strerror}"
        if size != file.size_bytes:
            return f"{file.path} has {size} bytes, its manifest says {file.size_bytes}"
    return ""


# ---------------------------------------------------------------- doing it


def apply_expire(c: RoutineContext, plan: RetentionPlan, note: Note) -> Routine[ExpireResult]:
    """Remove what the plan names, oldest first, each looked at again right before.

    Raises RefusedError (the plan is refused, or the backups that should stay are not all there), LockedError (a backup
    of the same database is being made, one that would go is being read, or another run of this is at work),
    StorageError (others may write into the directory).
    """
    if plan.is_refused:
        raise RefusedError("; ".join(plan.refusals), "nothing was removed")
    began = time.monotonic()
    yield StepStarted("expire", f"{len(plan.removed)} of {len(plan.removed) + len(plan.kept)} backups")
    with ExitStack() as stack:
        for directory in plan.directories:
            if Path(directory).is_dir():
                prepare_directory(Path(directory))  # where others may write, what counts there could be forged
                stack.enter_context(held_directory(Path(directory)))
        _check_nobody_is_at_work(plan)
        for text in plan.refusals:
            yield Warned(f"left alone: {text}")
        done = yield from remove_planned(c, plan, _Directories(), note)
    yield StepFinished("expire", time.monotonic() - began)
    return done


def _check_nobody_is_at_work(plan: RetentionPlan) -> None:
    databases = {group.scope.database for group in plan.groups if group.removed}
    for directory in map(Path, plan.directories):
        for backup_id in _being_made(directory):
            parsed = parse_backup_id(backup_id)
            if parsed is not None and parsed[0] in databases:
                raise LockedError(f"the backup {backup_id} is being made in {directory}", "wait until it has ended")
    for backup in plan.removed:
        path = _manifest_of(backup)
        if path is not None:
            with held_for_removal(path):
                continue


def _being_made(directory: Path) -> Iterator[str]:
    """The ids whose manifests somebody is writing in a directory now."""
    suffix = MANIFEST_SUFFIX + PARTIAL_SUFFIX
    for name in sorted(list_directory(directory).names):
        if name.endswith(suffix) and is_held(directory / name):
            yield stem_of(name.removesuffix(PARTIAL_SUFFIX))


def _manifest_of(backup: RetentionBackup) -> Path | None:
    return find_manifest_path(_entry_of(backup))


def _entry_of(backup: RetentionBackup) -> BackupEntry:
    return BackupEntry(backup_id=backup.backup_id, kind=EntryKind.COMPLETE, directory=backup.directory, data_path="",
                       began_at=backup.began_at)  # fmt: skip


class _Directories:
    """The directories of this machine, as what backups are removed from."""

    def is_backup(self, backup: RetentionBackup) -> bool:
        return _manifest_of(backup) is not None

    def find_change(self, backup: RetentionBackup) -> str:
        path = _manifest_of(backup)
        if path is None:
            return GONE
        entry = find_backup(Path(backup.directory), backup.backup_id)
        if is_pinned(entry):
            return PINNED
        if entry.backup_id != backup.backup_id:
            return "another backup answers to its id"
        return "" if _digest_of(path) == backup.digest else CHANGED

    def is_whole(self, backup: RetentionBackup) -> bool:
        try:
            entry = find_backup(Path(backup.directory), backup.backup_id)
            if entry.kind is not EntryKind.COMPLETE or entry.backup_id != backup.backup_id:
                return False
            path = find_manifest_path(entry)
            return path is not None and not _problem(entry, decode_manifest(read_limited(path)))
        except (OSError, DbtuiError):
            return False

    def remove(self, c: RoutineContext, backup: RetentionBackup) -> Routine[None]:
        entry = find_backup(Path(backup.directory), backup.backup_id)
        yield from delete_backup(c, entry)

    def finish(self, mark: str) -> str:
        return finish_deletion(Path(mark)) if os.path.lexists(mark) else ""


def _digest_of(path: Path) -> str:
    try:
        return hashlib.sha256(read_limited(path)).hexdigest()
    except OSError as error:
        raise StorageError(f"{format_untrusted(str(path))} cannot be read: {error.strerror}") from error
