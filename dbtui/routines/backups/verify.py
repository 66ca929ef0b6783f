"""Proving a backup: its files against the manifest, the archive's own integrity, and, asked for, a whole restore."""

import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import dbtui
from dbtui.adapters.encryption import require_identity
from dbtui.adapters.hashing import HashingBeside
from dbtui.adapters.streams import TICK_SECONDS
from dbtui.analysis.backups.proof import shorten
from dbtui.errors import Cancelled, DamagedBackupError, DbtuiError, RefusedError
from dbtui.model.backups import BackupEntry, BackupFile, StoredBackup, VerifyResult
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.proofs import Proof, ProofOutcome, ThrowawayPlan
from dbtui.routines.backups.create import format_time
from dbtui.routines.backups.evidence import keep_proof
from dbtui.routines.backups.find import find_manifest_path
from dbtui.routines.backups.holding import held_for_reading
from dbtui.routines.backups.loading import describe_differences
from dbtui.routines.backups.proof import Trial, UnprovenError, restore_on_trial, sweep_throwaways
from dbtui.routines.backups.store import replace_manifest
from dbtui.routines.backups.stored import open_stored
from dbtui.routines.context import RoutineContext

SEALED = "it is encrypted and no identity was given: its checksums were compared, its contents were not looked at"


def verify_backup(
    c: RoutineContext, entry: BackupEntry, place: ThrowawayPlan | ConnectionProfile | None
) -> Routine[VerifyResult]:
    """Check a backup; with a place, also restore it there: a throwaway server, or a scratch database of a server.

    What was found is in the result; a backup that passed gets the time and the kind of proof into its manifest, one
    that failed loses what an earlier verification wrote there. What a restore has shown is kept beside the manifest.
    Raises RefusedError when the restore cannot be tried there, which changes nothing that was proven before;
    LockedError while the backup is being deleted.
    """
    with held_for_reading(find_manifest_path(entry)):
        return (yield from _verify(c, entry, place))


def _verify(
    c: RoutineContext, entry: BackupEntry, place: ThrowawayPlan | ConnectionProfile | None
) -> Routine[VerifyResult]:
    began, began_at = time.monotonic(), c.now()
    backup = open_stored(entry, c.identity_of)
    if backup.encryption and place is not None:
        require_identity(backup)
    if isinstance(place, ConnectionProfile):
        _check_profile(backup, place)
    sweep_throwaways(c)
    problems = yield from check_backup(c, backup)
    trial = Trial("" if problems else _describe_place(place)) if place is not None else None
    if place is not None and trial is not None and not problems:
        try:
            yield from restore_on_trial(c, backup, place, trial)
        except UnprovenError as error:
            trial.remarks.append(str(error))
            _keep(c, entry, backup, trial, began_at, began, ProofOutcome.UNPROVEN)
            raise
    result = _result(c, backup, problems, trial, began)
    try:
        if trial is not None:
            outcome = ProofOutcome.EQUAL if result.verified_at else ProofOutcome.DIFFERENT
            trial.problems = result.problems
            _keep(c, entry, backup, trial, began_at, began, outcome)
    finally:
        _write_proof(c, entry, backup, result)
    return result


def _describe_place(place: ThrowawayPlan | ConnectionProfile) -> str:
    if isinstance(place, ThrowawayPlan):
        return f"a throwaway {place.server}"
    return f"a scratch database on {place.name}"


def _result(
    c: RoutineContext, backup: StoredBackup, problems: tuple[str, ...], trial: Trial | None, began: float
) -> VerifyResult:
    differences = trial.differences if trial else ()
    found = (*problems, *describe_differences(differences), *(trial.problems if trial else ()))
    return VerifyResult(
        backup_id=backup.backup_id,
        proof="restored" if trial else "checksums",
        files_checked=len(backup.manifest.files) if backup.manifest else 0,
        tables_compared=trial.tables if trial else 0,
        differences=differences,
        problems=found,
        verified_at=None if found else format_time(c.now()),
        seconds=time.monotonic() - began,
        remarks=tuple(trial.remarks) if trial else _remark_sealed(backup),
        where=trial.where if trial else "",
        rows_compared=trial.rows if trial else None,
        checked=trial.checked if trial else (),
    )


def _remark_sealed(backup: StoredBackup) -> tuple[str, ...]:
    return (SEALED,) if backup.encryption and backup.identity is None else ()


def _check_profile(backup: StoredBackup, profile: ConnectionProfile) -> None:
    if profile.engine is not backup.engine:
        raise RefusedError(
            f"{backup.backup_id} is a backup of {backup.engine.value} and {profile.name} is {profile.engine.value}",
            "choose a target of the same engine",
        )
    if profile.read_only:
        raise RefusedError(
            f"profile {profile.name} is read-only, and a verification creates a database there", "choose another target"
        )


def _write_proof(c: RoutineContext, entry: BackupEntry, backup: StoredBackup, result: VerifyResult) -> None:
    path = find_manifest_path(entry)
    if backup.manifest is None or path is None:
        return
    is_good = result.verified_at is not None
    manifest = replace(
        backup.manifest,
        verified_at=result.verified_at,
        proof=result.proof if is_good else None,
        proof_seconds=round(result.seconds, 3) if is_good else None,
        failed_at=None if is_good else format_time(c.now()),
    )
    replace_manifest(path, manifest)


def _keep(
    c: RoutineContext,
    entry: BackupEntry,
    backup: StoredBackup,
    trial: Trial,
    began_at: datetime,
    began: float,
    outcome: ProofOutcome,
) -> None:
    """Keep what a restore has shown. A foreign file gets nothing laid beside it."""
    manifest = backup.manifest
    if manifest is None:
        return
    proof = Proof(
        outcome=outcome,
        began_at=format_time(began_at),
        ended_at=format_time(c.now()),
        seconds=round(time.monotonic() - began, 3),
        where=trial.where,
        host=platform.node(),
        server_version=trial.server_version,
        backup_version=manifest.server_version,
        dbtui_version=dbtui.__version__,
        files=len(manifest.files),
        tables=trial.tables,
        rows=trial.rows,
        checked=dict(trial.checked),
        steps=trial.steps,
        problems=shorten(trial.problems),
        remarks=shorten(tuple(trial.remarks)),
    )
    keep_proof(entry, proof)


# ---------------------------------------------------------------- files


def check_backup(c: RoutineContext, backup: StoredBackup) -> Routine[tuple[str, ...]]:
    """Compare every file with the manifest and look into the archive, both at once; return what is wrong, in sentences.

    Names and sizes are compared first, which costs nothing. An altered file is called that, whatever else it does to
    the archive. A foreign file has no manifest to differ from.
    """
    files = backup.manifest.files if backup.manifest else ()
    problems = [*_wrong_sizes(backup, files), *_strangers(backup, files)] if backup.manifest else []
    if problems:
        return tuple(problems)
    if backup.encryption and backup.identity is None and backup.manifest:
        return (yield from _check_sealed(c, backup, files))
    failure: DbtuiError | None = None
    inside: tuple[str, ...] = ()
    with HashingBeside([(_path_of(backup, file), file.path) for file in files]) as hashing:
        try:
            inside = yield from _check_archive(c, backup)
        except Cancelled:
            raise
        except DbtuiError as error:
            failure = error
        altered = (yield from _check_hashes(c, files, hashing)) if files else ()
    if failure is not None and not altered:
        raise failure
    return altered or inside


def _check_sealed(
    c: RoutineContext, backup: StoredBackup, files: tuple[BackupFile, ...]
) -> Routine[tuple[str, ...]]:  # fmt: skip
    """What can be said of an encrypted backup that nothing opens here: that its files are the manifest's."""
    yield Warned(SEALED)
    with HashingBeside([(_path_of(backup, file), file.path) for file in files]) as hashing:
        return (yield from _check_hashes(c, files, hashing))


def _check_hashes(c: RoutineContext, files: tuple[BackupFile, ...], hashing: HashingBeside) -> Routine[tuple[str, ...]]:
    began = time.monotonic()
    total = sum(file.size_bytes for file in files)
    yield StepStarted("checksums", f"{len(files)} file{'' if len(files) == 1 else 's'}")
    while not hashing.wait_for(TICK_SECONDS):
        c.cancellation.check()
        yield Progressed(hashing.done_bytes, total, "bytes")
    yield StepFinished("checksums", time.monotonic() - began)
    return tuple(
        f"{file.path} was altered: its SHA-256 is not the manifest's"
        for file, found in zip(files, hashing.hashed, strict=True)
        if found.sha256 != file.sha256
    )


def _path_of(backup: StoredBackup, file: BackupFile) -> Path:
    return Path(backup.data_path).parent / file.path


def _wrong_sizes(backup: StoredBackup, files: tuple[BackupFile, ...]) -> Iterator[str]:
    for file in files:
        path = _path_of(backup, file)
        try:
            about = path.lstat()
        except FileNotFoundError:
            yield f"{file.path} is gone"
            continue
        except OSError as error:
            yield f"{file.path} cannot be read: {error.strerror}"
            continue
        if path.is_symlink() or not path.is_file():
            yield f"{file.path} is not a regular file"
        elif about.st_size != file.size_bytes:
            what = "truncated" if about.st_size < file.size_bytes else "altered"
            yield f"{file.path} was {what}: it has {about.st_size} bytes, the manifest says {file.size_bytes}"


def _strangers(backup: StoredBackup, files: tuple[BackupFile, ...]) -> Iterator[str]:
    """Files in a directory dump that the manifest does not know: a restore would read them all the same."""
    base = Path(backup.data_path)
    if not base.is_dir():
        return
    known = {file.path for file in files}
    for path in sorted(base.rglob("*")):
        name = f"{base.name}/{path.relative_to(base)}"
        if name not in known and not path.is_dir():
            yield f"{name} is not in the manifest"


def _check_archive(c: RoutineContext, backup: StoredBackup) -> Routine[tuple[str, ...]]:
    """Look into the archive for damage and hostile statements. Returns what is wrong, a sentence each."""
    began = time.monotonic()
    yield StepStarted("archive", "its end, its structure, its statements")
    try:
        problems = yield from c.backups(backup.engine).check_archive(backup, c.cancellation)
    except DamagedBackupError as error:
        return (str(error),)
    yield StepFinished("archive", time.monotonic() - began)
    return problems
