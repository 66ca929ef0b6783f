"""Proving a backup: a whole restore, into a throwaway server or a scratch database, and a look at what arrived.

Three things can come of it, and they are kept apart: it is equal; it is not, which is a fault of the backup; or it
cannot be tried here (an extension, a library or the room is missing), which says nothing against the backup.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from dbtui.adapters.adapter import Target
from dbtui.adapters.driving import forward
from dbtui.adapters.encryption import require_identity
from dbtui.adapters.throwaway.directories import sweep_directories
from dbtui.adapters.throwaway.proving import Throwaway, temporary_places
from dbtui.analysis.backups.proof import assess_soundness, sum_rows
from dbtui.errors import (
    ConnectError,
    DamagedBackupError,
    DbtuiError,
    RefusedError,
    ServerError,
    StorageError,
    ToolError,
)
from dbtui.model.backups import (
    BackupContents,
    BackupEntry,
    LoadRequest,
    RestoreFacts,
    StoredBackup,
    TableDifference,
)
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Event, Routine, StepFinished, StepStarted, Warned
from dbtui.model.proofs import ThrowawayPlan
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.contents import read_contents
from dbtui.routines.backups.loading import FreshDatabase, fresh_database, load_and_compare
from dbtui.routines.backups.stored import open_stored
from dbtui.routines.context import RoutineContext, removed_after

_SCRATCH = "dbtui_verify"
_NOT_ITS_FAULT = "which says nothing against the backup"
_ELSEWHERE = "or restore it on a server: --to TARGET"
#: What a program needs of our environment to reach a server of our own; nothing that leads elsewhere.
_KEPT_VARIABLES = ("PATH", "TMPDIR", "DBTUI_PG_BIN", "LD_LIBRARY_PATH")


class UnprovenError(RefusedError):
    """A restore that cannot be tried here, which says nothing against the backup."""


@dataclass
class Trial:
    """What a restore has shown so far. `steps` are seconds by step."""

    where: str
    server_version: str = ""
    tables: int = 0
    rows: int | None = None
    differences: tuple[TableDifference, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: list[str] = field(default_factory=list)
    checked: tuple[tuple[str, int], ...] = ()
    steps: dict[str, float] = field(default_factory=dict)

    def note(self, event: Event) -> Event:
        """Keep how long a step took."""
        if isinstance(event, StepFinished):
            self.steps[event.step] = round(self.steps.get(event.step, 0.0) + event.seconds, 3)
        return event


def sweep_throwaways(c: RoutineContext) -> tuple[Path, ...]:
    """Remove what throwaway servers of dead runs left on this machine; those of others and of live runs stay."""
    return tuple(path for place in temporary_places(c.environ) for path in sweep_directories(place))


def plan_proof(c: RoutineContext, entry: BackupEntry, far: StoredBackup | None = None) -> Routine[ThrowawayPlan]:
    """Find out on which throwaway server a backup can be proven here. Makes nothing.

    `far` is a backup that does not lie here: its manifest tells all that is needed. Raises ToolError (what to install,
    and what can be done instead), RefusedError, DamagedBackupError.
    """
    yield from ()
    backup = far or open_stored(entry, c.identity_of)
    if backup.encryption:
        require_identity(backup if backup.identity else replace(backup, identity=c.identity_of(entry.profile)))
    return c.proofs(backup.engine).plan_throwaway(backup, _known_contents(c, backup), c.environ)


def _known_contents(c: RoutineContext, backup: StoredBackup) -> BackupContents:
    """The manifest knows all that a plan needs; of a foreign file only its contents do."""
    manifest = backup.manifest
    if manifest is None:
        return read_contents(c, backup)
    return BackupContents(
        engine=backup.engine, server_version=manifest.server_version, extensions=manifest.extensions
    )  # fmt: skip


def restore_on_trial(
    c: RoutineContext, backup: StoredBackup, place: ThrowawayPlan | ConnectionProfile, trial: Trial
) -> Routine[None]:
    """Restore a backup into a throwaway server, or into a scratch database; either is gone when this ends.

    Raises UnprovenError, and what is no fault of the backup: StorageError, ServerError, ConnectError, ToolError.
    """
    if isinstance(place, ThrowawayPlan):
        return forward(_restore_on_throwaway(c, backup, place, trial), trial.note)
    return forward(_restore(c, backup, place, trial, None), trial.note)


def _restore_on_throwaway(c: RoutineContext, backup: StoredBackup, plan: ThrowawayPlan, trial: Trial) -> Routine[None]:
    trial.remarks += plan.remarks
    for remark in plan.remarks:
        yield Warned(remark)
    with removed_after(c, c.proofs(backup.engine).prepare_throwaway(plan)) as throwaway:
        profile = yield from throwaway.start(c.cancellation)
        alone = replace(c, environ=_environ_for(c, throwaway), password_of=lambda profile: profile.password)
        yield from _restore(alone, backup, profile, trial, throwaway)
        began = time.monotonic()
        yield StepStarted("remove", f"the throwaway {plan.server}")
        throwaway.close()
        yield StepFinished("remove", time.monotonic() - began)


def _environ_for(c: RoutineContext, throwaway: Throwaway) -> dict[str, str]:
    """Nothing of the operator's leads there: no PG* and MYSQL* variables, no option or service file in the home."""
    home = str(throwaway.directory.path) if throwaway.directory else "/"
    return {name: c.environ[name] for name in _KEPT_VARIABLES if name in c.environ} | {"HOME": home}


def _restore(
    c: RoutineContext, backup: StoredBackup, profile: ConnectionProfile, trial: Trial, throwaway: Throwaway | None
) -> Routine[None]:
    contents = read_contents(c, backup)
    adapter = c.backups(backup.engine)
    with c.open_target(profile) as target:
        name = adapter.new_name(target, _SCRATCH, f"_{_scratch_tail(c, backup)}")
        facts = adapter.collect_restore_facts(target, backup, contents, name)
        trial.server_version = facts.info.version
        _check(facts)
        missing = facts.missing_roles
        if throwaway is not None:
            missing = c.proofs(backup.engine).welcome(target, facts)
            trial.remarks += missing
    request = LoadRequest(backup=backup, contents=contents, database=name, skip_owners=bool(missing))
    try:
        with _made(c, profile, name, throwaway) as fresh, c.open_target(profile) as target:
            yield from _load_and_look(c, target, fresh, request, trial)
    except (DamagedBackupError, ServerError, ToolError, ConnectError) as error:
        trial.problems = (_blame(c, backup, error, throwaway),)


@contextmanager
def _made(
    c: RoutineContext, profile: ConnectionProfile, name: str, throwaway: Throwaway | None
) -> Iterator[FreshDatabase]:
    """A database that is dropped at the end; on a throwaway server it goes with the server."""
    if throwaway is None:
        with fresh_database(c, profile, name) as fresh:
            yield fresh
    else:
        yield FreshDatabase(name)


def _check(facts: RestoreFacts) -> None:
    """Raise UnprovenError for what keeps the restore from being tried."""
    lacking = [f"the server lacks the extension {format_untrusted(one, 63)}" for one in facts.missing_extensions]
    barred = () if facts.can_create_database else (f"{facts.info.user} may not create a database there",)
    reasons = (*facts.refusals, *lacking, *barred)
    if reasons:
        raise UnprovenError(
            f"it cannot be proven on {facts.info.flavour} {facts.info.version}, {_NOT_ITS_FAULT}: {'; '.join(reasons)}",
            "install what is missing there, or name a server that has it: --to TARGET",
        )


def _blame(c: RoutineContext, backup: StoredBackup, error: DbtuiError, throwaway: Throwaway | None) -> str:
    """Return what a failure says of the backup; raise what is the server's own fault, or its machine's."""
    code, proofs = getattr(error, "code", ""), c.proofs(backup.engine)
    if throwaway is not None:
        _check_place(error, throwaway, is_full=proofs.is_disk_full(code))
    if isinstance(error, ConnectError):
        raise error
    if code and proofs.is_about_the_place(code):
        raise ServerError(
            f"the server could not go on, {_NOT_ITS_FAULT}: {error.message}",
            error.hint or "look at its memory and its disk, then try again",
            code=code,
        ) from error
    if code and proofs.is_missing_here(code):
        raise UnprovenError(
            f"it cannot be proven here, {_NOT_ITS_FAULT}: {error.message}",
            "install what is missing, or name a server that has it: --to TARGET",
        ) from error
    return f"the restore failed: {error}"


def _check_place(error: DbtuiError, throwaway: Throwaway, *, is_full: bool) -> None:
    """Raise what happened to the throwaway server itself."""
    server, has_ended = throwaway.plan.server, throwaway.has_ended_by_now()
    if is_full or throwaway.is_full or "No space left on device" in str(error):
        raise StorageError(
            f"the disk under {throwaway.plan.parent} is full: the throwaway {server} could not go on, {_NOT_ITS_FAULT}",
            f"let TMPDIR name a directory with more room, {_ELSEWHERE}",
        ) from error
    if has_ended:
        raise ServerError(
            f"the throwaway {server} ended by itself, {_NOT_ITS_FAULT}: {throwaway.last_words()}",
            "look at the memory of this machine, then try again",
        ) from error


def _load_and_look(
    c: RoutineContext, target: Target, fresh: FreshDatabase, request: LoadRequest, trial: Trial
) -> Routine[None]:
    outcome = yield from load_and_compare(c, target, fresh, request)
    trial.tables, trial.rows = len(outcome.counted), sum_rows(outcome.counted)
    trial.differences = outcome.differences
    began = time.monotonic()
    yield StepStarted("check", "what holds beside the rows")
    soundness = yield from c.proofs(request.backup.engine).collect_soundness(target, fresh.name)
    trial.checked = soundness.checked
    trial.problems, remarks = assess_soundness(soundness, request.backup.manifest)
    trial.remarks += remarks
    for remark in remarks:
        yield Warned(remark)
    yield StepFinished("check", time.monotonic() - began)


def _scratch_tail(c: RoutineContext, backup: StoredBackup) -> str:
    """What makes the name of a scratch database this run's own."""
    stamp = f"{c.now():%Y%m%dt%H%M%S%f}"
    return f"{stamp}_{hashlib.sha256(f'{backup.backup_id} {time.monotonic_ns()}'.encode()).hexdigest()[:8]}"
