"""Loads a backup into an empty database, in the way that fits its format."""

from pathlib import Path

from dbtui.adapters.driving import report
from dbtui.adapters.postgresql.analyze import analyze
from dbtui.adapters.postgresql.check import recognise
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.load_archive import load_archive
from dbtui.adapters.postgresql.load_plain import PlainLoader, refusal
from dbtui.adapters.postgresql.plain import PlainIndex, scan_backup
from dbtui.adapters.postgresql.selection import select_tables
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, LoadRequest
from dbtui.model.events import CommandRan, Routine, Warned


def load(target: PostgresqlTarget, request: LoadRequest) -> Routine[None]:
    """Load a backup into an empty database and gather its statistics.

    Raises DamagedBackupError, RefusedError before the first statement; ServerError with file, line and object;
    ConnectError, ToolError, StorageError, Cancelled.
    """
    target.refuse_read_only("restoring")
    if problem := recognise(request.backup):
        raise DamagedBackupError(problem, "nothing was changed; restore another backup")
    if request.backup.format is BackupFormat.PLAIN:
        yield from _load_plain(target, request)
    else:
        yield from load_archive(target, request)
    yield from analyze(target, request.database, request.jobs)


def _load_plain(target: PostgresqlTarget, request: LoadRequest) -> Routine[None]:
    name = Path(request.backup.data_path).name
    index = yield from _scan(target, request)
    _refuse(target, index, name)
    yield CommandRan(f"BEGIN; every statement of {request.backup.data_path}; COMMIT")
    for remark in index.left_out:
        yield Warned(remark)
    selection = select_tables(index, request.tables) if request.tables else None
    for warning in selection.warnings if selection else ():
        yield Warned(warning)
    yield from PlainLoader(target, request, index, selection).run()


def _scan(target: PostgresqlTarget, request: LoadRequest) -> Routine[PlainIndex]:
    total = request.backup.manifest.uncompressed_bytes if request.backup.manifest else None
    return report(scan_backup(request.backup, target.cancellation), total)


def _refuse(target: PostgresqlTarget, index: PlainIndex, name: str) -> None:
    if index.problems:
        raise DamagedBackupError(index.problems[0], "nothing was changed; restore another backup")
    grave = [risk for risk in index.risks if not risk.skippable]
    if grave and target.collect_one("collect_login_power").is_powerful:
        raise refusal(f"{name}:{grave[0].line}", grave[0].reason)
