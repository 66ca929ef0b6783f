"""Removing what a plan of retention names, one backup after another, wherever they lie: each looked at right before."""

from collections.abc import Callable
from typing import Protocol

from dbtui.errors import LockedError, RefusedError, RemoteError, StorageError
from dbtui.model.events import CommandRan, Progressed, Routine, Warned
from dbtui.model.retention import ExpireResult, RetentionBackup, RetentionPlan
from dbtui.routines.context import RoutineContext

#: Told of every step with what it is about and what was done, to be written down at once.
Note = Callable[[str, str], None]
GONE = "it is not there any more"
PINNED = "it was pinned since the plan was made"
CHANGED = "its manifest has changed since the plan was made"


class Shelf(Protocol):
    """Where backups lie: directories here, or a remote."""

    def is_backup(self, backup: RetentionBackup) -> bool:
        """Whether it has a manifest still."""
        ...

    def find_change(self, backup: RetentionBackup) -> str:
        """Return why a backup is not the one that was planned about, empty when it is."""
        ...

    def is_whole(self, backup: RetentionBackup) -> bool:
        """Whether a backup is there with all its files."""
        ...

    def remove(self, c: RoutineContext, backup: RetentionBackup) -> Routine[None]:
        """Delete one backup. Raises LockedError, RefusedError, StorageError, RemoteError, ConnectError."""
        ...

    def finish(self, mark: str) -> str:
        """Finish a deletion that was interrupted; return the name of its data, empty when nothing is left of it."""
        ...


def remove_planned(c: RoutineContext, plan: RetentionPlan, shelf: Shelf, note: Note) -> Routine[ExpireResult]:
    """Remove what the plan names, oldest first, once interrupted deletions are finished.

    Raises RefusedError when the backups that should stay are not there, ConnectError, Cancelled.
    """
    note("", f"begins to remove {len(plan.removed)}: {', '.join(each.backup_id for each in plan.removed)}")
    finished = yield from _finish_leftovers(plan, shelf, note)
    removed: list[RetentionBackup] = []
    skipped: list[tuple[str, str]] = []
    remains: list[tuple[str, str]] = []
    doomed = plan.removed
    for number, backup in enumerate(doomed):
        c.cancellation.check()
        yield Progressed(number, len(doomed), "steps", backup.backup_id)
        _check_survivors(plan, shelf, backup)
        changed = shelf.find_change(backup)
        why = changed or (yield from _remove(c, shelf, backup))
        if why:
            is_begun = not changed and not shelf.is_backup(backup)
            (remains if is_begun else skipped).append((backup.backup_id, why))
            said = f"is no backup any more, and not wholly gone: {why}" if is_begun else f"stays: {why}"
            note(backup.backup_id, said)
            yield Warned(f"{backup.backup_id} {said}")
            continue
        removed.append(backup)
        note(backup.backup_id, f"removed from {backup.directory}, its manifest's SHA-256 began {backup.digest[:16]}")
        yield CommandRan(f"remove {backup.backup_id} from {backup.directory}, manifest sha256 {backup.digest}")
    yield Progressed(len(doomed), len(doomed), "steps")
    return ExpireResult(
        removed=tuple(each.backup_id for each in removed),
        freed_bytes=sum(each.size_bytes for each in removed),
        kept=len(plan.kept),
        finished=finished,
        skipped=tuple(skipped),
        remains=tuple(remains),
        refusals=plan.refusals,
    )


def _finish_leftovers(plan: RetentionPlan, shelf: Shelf, note: Note) -> Routine[tuple[str, ...]]:
    finished = []
    for mark in plan.leftovers:
        try:
            name = shelf.finish(mark)
        except (LockedError, RefusedError, StorageError, RemoteError) as error:
            yield Warned(f"a deletion that was interrupted could not be finished: {error}")
            continue
        if name:
            note(name, "removed what an interrupted deletion had left")
            yield CommandRan(f"finish the deletion of {name}")
            finished.append(name)
    return tuple(finished)


def _remove(c: RoutineContext, shelf: Shelf, backup: RetentionBackup) -> Routine[str]:
    """Delete one backup. Returns why it stays, empty when it is gone."""
    try:
        yield from shelf.remove(c, backup)
    except (LockedError, RefusedError, StorageError, RemoteError) as error:
        return str(error)
    return ""


def _check_survivors(plan: RetentionPlan, shelf: Shelf, doomed: RetentionBackup) -> None:
    """See that a good backup of the same scope is still there, whatever happened meanwhile. Raises RefusedError."""
    where = (doomed.scope, doomed.directory)
    group = next(group for group in plan.groups if (group.scope, group.directory) == where)
    good = sorted((each for each in group.kept if not each.problem), key=lambda each: each.began_at, reverse=True)
    if not any(map(shelf.is_whole, good)):
        raise RefusedError(
            f"no good backup of {doomed.scope.database} would be left: those that should stay are gone or damaged",
            "nothing more is removed; plan anew",
        )
