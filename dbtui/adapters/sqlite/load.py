"""Loading a backup into the new file that was created for it."""

import contextlib
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.memory_directories import memory_directory
from dbtui.adapters.sqlite.check import unpack
from dbtui.adapters.sqlite.connect import SqliteTarget
from dbtui.adapters.sqlite.created import is_created
from dbtui.adapters.sqlite.dump import select_tables
from dbtui.adapters.sqlite.filing import copy_bytes, folder_beside, use_rollback_journal
from dbtui.adapters.sqlite.locations import resolve
from dbtui.adapters.sqlite.translate import shown
from dbtui.adapters.sqlite.unpacked import readable_file
from dbtui.adapters.streams import fsync_path
from dbtui.errors import RefusedError
from dbtui.model.backups import LoadRequest
from dbtui.model.events import CommandRan, Routine


def load(target: SqliteTarget, request: LoadRequest) -> Routine[None]:
    """Fill the new file with the backup's database, or with some of its tables.

    Raises RefusedError (the file is not one that this run created), DamagedBackupError, StorageError, Cancelled.
    """
    path = resolve(target.path, request.database)
    if not is_created(path):
        raise RefusedError(f"{shown(path)} was not made by this run", "restore into a new file")
    yield from unpack(request.backup, target.cancellation)
    with readable_file(request.backup, target.cancellation) as source:
        if not request.tables:
            yield CommandRan(f"copy {shown(request.backup.data_path)} into {shown(path)}")
            yield from copy_bytes(source, path, target.cancellation)
            use_rollback_journal(path)
        else:
            yield from _load_chosen(source, path, request, target.cancellation)
    fsync_path(path)


def _load_chosen(source: Path, path: Path, request: LoadRequest, cancellation: Cancellation) -> Routine[None]:
    names = tuple(table.name for table in request.tables)
    yield CommandRan(f"copy {len(names)} tables of {shown(request.backup.data_path)} into {shown(path)}")
    with contextlib.ExitStack() as stack:
        size = source.stat().st_size
        is_encrypted = bool(request.backup.encryption)
        folder = stack.enter_context(memory_directory(2 * size) if is_encrypted else folder_beside(path))
        whole, chosen = folder / "whole.sqlite", folder / "chosen.sqlite"
        yield from copy_bytes(source, whole, cancellation)
        use_rollback_journal(whole)
        yield from select_tables(whole, chosen, names, cancellation, keep_views=False)
        yield from copy_bytes(chosen, path, cancellation)
