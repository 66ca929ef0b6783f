"""Working on a backup that lies in a remote: it is fetched into a private directory, and gone when the work has ended.

The directory is locked by its run. One whose lock is free was left by a run that was killed: the next one removes it.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dbtui.adapters.streams import storage_errors
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupEntry, EntryKind, PlanStep, RestoreOptions, RestorePlan, RestoreResult
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.text import format_bytes, format_untrusted
from dbtui.routines.backups.contents import read_contents
from dbtui.routines.backups.create import check_refusals
from dbtui.routines.backups.find import find_backup
from dbtui.routines.backups.pull import apply_pull, plan_pull
from dbtui.routines.backups.remote_find import RemoteBackup
from dbtui.routines.backups.restore import apply_restore, plan_restore
from dbtui.routines.backups.store import prepare_directory, remove_path
from dbtui.routines.backups.stored import open_stored
from dbtui.routines.context import RoutineContext

ResultT = TypeVar("ResultT")
_PREFIX = ".dbtui-pulled-"


@dataclass
class _Staged:
    """A fetched copy, for who waits for its end."""

    path: Path
    is_ours: bool = True
    is_being_undone: bool = False

    @property
    def undoing(self) -> str:
        """See Unfinished."""
        return f"removing {format_untrusted(str(self.path))}"

    @property
    def left(self) -> str:
        """See Unfinished."""
        return f"{format_untrusted(str(self.path))}: the next run that fetches a backup there removes it"


def with_fetched(
    c: RoutineContext, found: RemoteBackup, directory: Path, work: Callable[[BackupEntry], Routine[ResultT]]
) -> Routine[ResultT]:
    """Fetch a backup into a private directory below `directory`, work on it there, and remove it however that ends.

    Raises RefusedError (it is not whole, or there is no room), RemoteError, ConnectError, StorageError, and what the
    work raises.
    """
    if found.entry.kind is EntryKind.BROKEN:
        problem = f"{found.entry.backup_id} in {found.address} is not whole: {found.entry.problem}"
        raise DamagedBackupError(problem, "use another backup")
    with staging_directory(c, prepare_directory(directory)) as place:
        plan = yield from plan_pull(c, found.address, found.data_name, lambda _manifest: place)
        yield from apply_pull(c, plan)
        return (yield from work(find_backup(place, plan.data_name)))


def plan_restore_far(
    c: RoutineContext, found: RemoteBackup, directory: Path, profile: ConnectionProfile, options: RestoreOptions
) -> Routine[RestorePlan]:
    """Decide about a restore of a backup in a remote, by its manifest; it is fetched when that is confirmed."""
    fetching = yield from plan_pull(c, found.address, found.data_name, lambda _manifest: directory / _PREFIX)
    plan = yield from plan_restore(c, found.entry, profile, options, found.backup)
    what = f"fetch {format_bytes(fetching.size_bytes)} from {found.address} into a private directory in {directory}"
    steps = (PlanStep(what, why="removed at the end"), *plan.steps)
    return replace(plan, steps=steps, refusals=(*fetching.refusals, *plan.refusals))


def apply_restore_far(
    c: RoutineContext, found: RemoteBackup, directory: Path, profile: ConnectionProfile, plan: RestorePlan
) -> Routine[RestoreResult]:
    """Do such a restore: fetch the backup, restore it as planned, and remove what was fetched."""
    check_refusals(plan.refusals)

    def restore(entry: BackupEntry) -> Routine[RestoreResult]:
        backup = open_stored(entry, c.identity_of)
        return apply_restore(c, profile, replace(plan, backup=backup, contents=read_contents(c, backup)))

    return (yield from with_fetched(c, found, directory, restore))


@contextmanager
def staging_directory(c: RoutineContext, parent: Path) -> Iterator[Path]:
    """Make a private directory in `parent` and remove it with all that it holds when the block ends."""
    sweep_staging(parent)
    path, descriptor = _make_locked(parent)
    staged = _Staged(path)
    c.unfinished.append(staged)
    try:
        yield path
    finally:
        staged.is_being_undone = True
        try:
            remove_path(path)
        finally:
            os.close(descriptor)
        staged.is_ours = False


def _make_locked(parent: Path) -> tuple[Path, int]:
    """Make a directory and lock it. Before it is locked somebody may take it for a dead run's: then another is made."""
    while True:
        with storage_errors(parent):
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        try:
            descriptor = _open(path)
        except FileNotFoundError:
            continue
        if _is_locked(descriptor) and path.exists():
            return path, descriptor
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _is_locked(descriptor: int) -> bool:
    """Lock a directory, and say whether that is done. Where there are no locks nobody can sweep it either."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def sweep_staging(parent: Path) -> tuple[Path, ...]:
    """Remove what runs left that were killed; return it. What somebody works with, or is not ours, stays."""
    swept = []
    for path in sorted(parent.glob(f"{_PREFIX}*")):
        try:
            descriptor = _open(path)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.geteuid():
                remove_path(path)
                swept.append(path)
        except OSError:  # held, or no locks there
            continue
        finally:
            os.close(descriptor)
    return tuple(swept)
