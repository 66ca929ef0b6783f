"""Proving a backup: its files against the manifest, the archive's own integrity, and, asked for, a whole restore."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.hashing import HashingBeside
from dbtui.adapters.streams import TICK_SECONDS
from dbtui.errors import Cancelled, DamagedBackupError, DbtuiError, RefusedError, ServerError, ToolError
from dbtui.model.backups import (
    BackupEntry,
    BackupFile,
    LoadRequest,
    StoredBackup,
    TableDifference,
    VerifyResult,
)
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted
from dbtui.routines.backups.contents import read_contents
from dbtui.routines.backups.create import format_time
from dbtui.routines.backups.find import find_manifest_path
from dbtui.routines.backups.loading import describe_differences, fresh_database, load_and_compare
from dbtui.routines.backups.store import replace_manifest
from dbtui.routines.backups.stored import open_stored
from dbtui.routines.context import RoutineContext

_SCRATCH = "dbtui_verify"


def verify_backup(c: RoutineContext, entry: BackupEntry, profile: ConnectionProfile | None) -> Routine[VerifyResult]:
    """Check a backup; with a profile, also restore it into a scratch database of that server, dropped afterwards.

    What was found is in the result; a backup that passed gets the time and the kind of proof into its manifest, one
    that failed loses what an earlier verification wrote there.
    """
    began = time.monotonic()
    backup = open_stored(entry)
    if profile is not None:
        _check_profile(backup, profile)
    problems = yield from check_backup(c, backup)
    compared = 0
    differences: tuple[TableDifference, ...] = ()
    if profile is not None and not problems:
        compared, differences, problems = yield from _restore_into_scratch(c, backup, profile)
    proof = "checksums" if profile is None else "restored"
    result = VerifyResult(
        backup_id=backup.backup_id,
        proof=proof,
        files_checked=len(backup.manifest.files) if backup.manifest else 0,
        tables_compared=compared,
        differences=differences,
        problems=(*problems, *describe_differences(differences)),
        verified_at=None if problems or differences else format_time(c.now()),
        seconds=time.monotonic() - began,
    )
    _write_proof(entry, backup, result)
    return result


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


def _write_proof(entry: BackupEntry, backup: StoredBackup, result: VerifyResult) -> None:
    path = find_manifest_path(entry)
    if backup.manifest is None or path is None:
        return
    proof = result.proof if result.verified_at else None
    if (backup.manifest.verified_at, backup.manifest.proof) != (result.verified_at, proof):
        replace_manifest(path, replace(backup.manifest, verified_at=result.verified_at, proof=proof))


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


# ---------------------------------------------------------------- a whole restore

_Restored = tuple[int, tuple[TableDifference, ...], tuple[str, ...]]


def _restore_into_scratch(c: RoutineContext, backup: StoredBackup, profile: ConnectionProfile) -> Routine[_Restored]:
    """Restore into a database that is dropped again; return how many tables were compared, differences, problems."""
    contents = read_contents(c, backup)
    adapter = c.backups(backup.engine)
    with c.open_target(profile) as target:
        name = adapter.new_name(target, _SCRATCH, f"_{_scratch_tail(c, backup)}")
        facts = adapter.collect_restore_facts(target, backup, contents, name)
    if facts.refusals or facts.missing_extensions or not facts.can_create_database:
        missing = tuple(f"the server lacks the extension {one}" for one in facts.missing_extensions)
        barred = () if facts.can_create_database else (f"{facts.info.user} may not create a database there",)
        raise RefusedError("; ".join((*facts.refusals, *missing, *barred)))
    request = LoadRequest(
        backup=backup, contents=contents, database=name, skip_owners=bool(facts.missing_roles)
    )  # fmt: skip
    try:
        with fresh_database(c, profile, name) as fresh, c.open_target(profile) as target:
            outcome = yield from load_and_compare(c, target, fresh, request)
    except (DamagedBackupError, ServerError, ToolError) as error:
        return 0, (), (f"the restore failed: {error}",)
    return len(outcome.counted), outcome.differences, ()


def _scratch_tail(c: RoutineContext, backup: StoredBackup) -> str:
    """What makes the name of a scratch database this run's own."""
    stamp = f"{c.now():%Y%m%dt%H%M%S%f}"
    return f"{stamp}_{hashlib.sha256(f'{backup.backup_id} {time.monotonic_ns()}'.encode()).hexdigest()[:8]}"
