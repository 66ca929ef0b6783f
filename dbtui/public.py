"""The two functions for use inside an application: they block until the work is done, and keep history."""

import os
from pathlib import Path
from typing import TypeVar

from dbtui import config
from dbtui.errors import UsageError
from dbtui.history import History
from dbtui.identities import Identities
from dbtui.jobs import JobRequest, JobRunner, run
from dbtui.model.backups import BackupEntry, BackupFormat, CreateResult, DumpOptions, RestoreOptions, RestoreResult
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Event, Routine
from dbtui.passwords import Passwords
from dbtui.routines import backups
from dbtui.routines.context import RoutineContext

__all__ = ["create_backup", "restore_backup"]

ResultT = TypeVar("ResultT")
_ORIGIN = "dbtui.public"


def create_backup(
    url: str,
    directory: str | os.PathLike[str] = "backups",
    *,
    format: str = "plain",  # noqa: A002 - the word of the command line
    compress: str = "none",
    jobs: int = 1,
    tables: tuple[str, ...] = (),
    exclude_tables: tuple[str, ...] = (),
    schema_only: bool = False,
    encrypt_to: tuple[str, ...] = (),
) -> Path:
    """Back up a database and return the path of the data file, or of the directory for `format="directory"`.

    `url` is a database URL, `compress` is none, gzip or zstd, with a level if wanted ("zstd:3"). `encrypt_to` are
    recipients of age, or files of them. The manifest lies beside the data. Raises a child of dbtui.errors.DbtuiError;
    then nothing stays in the directory.
    """
    profile = config.parse_url(url, origin=_ORIGIN)
    options = DumpOptions(
        format=_parse_format(format),
        compression=config.parse_compression(compress),
        jobs=jobs,
        tables=tuple(tables),
        exclude_tables=tuple(exclude_tables),
        schema_only=schema_only,
        encrypt_to=tuple(encrypt_to),
    )
    result = _run(_create_request(profile, Path(directory), options))
    return Path(result.data_path)


def restore_backup(
    url: str,
    backup: str | os.PathLike[str],
    *,
    into: str = "",
    replace: bool = True,
    jobs: int = 1,
    identity: str | os.PathLike[str] = "",
) -> str:
    """Restore a backup and return the name of the database (SQLite: the file) that it is in.

    `backup` is the path of a backup's data or manifest, or a dump without one. It goes into the database of `url`; if
    that has tables, its old content is kept under a dated name. `into` names another database to make instead, and
    `replace=False` never touches one that has tables. `identity` is the file that opens an encrypted backup; without
    it DBTUI_AGE_IDENTITY names one. Raises a child of dbtui.errors.DbtuiError; then nothing changed.
    """
    profile = config.parse_url(url, origin=_ORIGIN)
    path = Path(backup).absolute()
    entry = backups.find_backup(path.parent, str(path))
    request = _restore_request(profile, entry, RestoreOptions(into=into, replace=replace, jobs=jobs))
    return _run(request, (os.fspath(identity),) if identity else ()).database


def _parse_format(text: str) -> BackupFormat:
    try:
        return BackupFormat(text)
    except ValueError:
        offered = ", ".join(BackupFormat)
        raise UsageError(f"there is no backup format {text!r}", f"use one of {offered}") from None


def _create_request(profile: ConnectionProfile, directory: Path, options: DumpOptions) -> JobRequest[CreateResult]:
    return JobRequest(
        routine="backup create",
        target=profile.name,
        subject=backups.database_of(profile),
        locks=(backups.create_lock(profile),),
        start=lambda c: backups.create_backup(c, profile, directory, options),
        summary=lambda result: result.data_path,
    )


def _restore_request(
    profile: ConnectionProfile, entry: BackupEntry, options: RestoreOptions
) -> JobRequest[RestoreResult]:
    def start(c: RoutineContext) -> Routine[RestoreResult]:
        plan = yield from backups.plan_restore(c, entry, profile, options)
        return (yield from backups.apply_restore(c, profile, plan))

    return JobRequest(
        routine="backup restore",
        target=profile.name,
        subject=entry.backup_id,
        locks=(backups.restore_lock(profile, options.into),),
        start=start,
        summary=lambda result: result.database,
    )


def _run(request: JobRequest[ResultT], identities: tuple[str, ...] = ()) -> ResultT:
    """Run a job and wait for it. A KeyboardInterrupt of the application cancels the job first."""
    passwords = Passwords(os.environ)
    identity_of = Identities(os.environ, passwords, files=identities).find
    context = RoutineContext(password_of=passwords.find, identity_of=identity_of)
    runner = JobRunner(context, History(config.state_dir(os.environ)))
    job = run(runner, request, _ignore)
    outcome = job.outcome
    if outcome is None or outcome.error is not None:
        raise outcome.error if outcome and outcome.error else RuntimeError(f"{request.routine} ended without a result")
    result: ResultT = outcome.result  # type: ignore[assignment]
    return result


def _ignore(_event: Event) -> None:
    """An application is told the result alone."""
