"""Restoring: look at the destination, decide, prove the backup, load it beside what exists, compare, swap in.

Before the first statement the files are compared with the manifest and the archive is read for damage and hostile
statements. Both are done every time, although a SHA-256 that matches proves that nothing changed since the dump:
whoever can write the data file can write the manifest beside it, and a manifest proves nothing of what the statements
do. Comparing sizes costs nothing, the hash reads the file at the disk's speed and leaves it in the page cache, so that
the second reading costs the look at its text alone.
"""

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from dbtui.adapters.adapter import BackupAdapter, Target
from dbtui.adapters.encryption import require_identity
from dbtui.analysis import backups as analysis
from dbtui.errors import DamagedBackupError, MismatchError, RefusedError
from dbtui.model.backups import (
    MANIFEST_SUFFIX,
    BackupContents,
    BackupEntry,
    LoadRequest,
    RestoreFacts,
    RestoreOptions,
    RestorePlan,
    RestoreResult,
    StoredBackup,
)
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Routine, StepFinished, StepStarted, Warned
from dbtui.model.names import kept_suffix, loading_suffix, restored_suffix
from dbtui.model.urls import parse_database_url
from dbtui.routines.backups.answering import while_answering
from dbtui.routines.backups.contents import known_contents, read_contents
from dbtui.routines.backups.create import check_refusals
from dbtui.routines.backups.holding import held_for_reading
from dbtui.routines.backups.loading import FreshDatabase, describe_differences, fresh_database, load_and_compare
from dbtui.routines.backups.stored import open_stored, server_name
from dbtui.routines.backups.verify import check_backup
from dbtui.routines.context import RoutineContext

_SHOWN = 3


def plan_restore(
    c: RoutineContext,
    entry: BackupEntry,
    profile: ConnectionProfile,
    options: RestoreOptions,
    far: StoredBackup | None = None,
) -> Routine[RestorePlan]:
    """Read the backup, ask the target, and decide about a restore. Changes nothing.

    `far` is a backup that does not lie here: of that the plan knows what its manifest says. Raises DamagedBackupError
    when the backup cannot be read.
    """
    yield StepStarted("plan", "read the backup and ask the server")
    began = time.monotonic()
    backup = far or open_stored(entry, c.identity_of)
    if backup.encryption:
        require_identity(backup if backup.identity else replace(backup, identity=c.identity_of(entry.profile)))
    if backup.engine is not profile.engine:
        reason = (
            f"{backup.backup_id} is a backup of {backup.engine.value} and {profile.name} is {profile.engine.value}: "
            "choose a target of the same engine"
        )
        contents = BackupContents(engine=backup.engine)
        return analysis.refuse_restore(backup, contents, profile, server_name(profile), reason)
    contents = known_contents(backup) if far else read_contents(c, backup)
    with c.open_target(profile) as target:
        adapter = c.backups(profile.engine)
        wanted = _wanted_database(profile, options) or target.info.database or contents.database
        facts = adapter.collect_restore_facts(target, backup, contents, wanted)
        choice = _choose(adapter, target, facts, options, c.now())
    plan = analysis.plan_restore(backup, contents, facts, profile, options, choice, server_name(profile))
    yield StepFinished("plan", time.monotonic() - began)
    return plan


def _wanted_database(profile: ConnectionProfile, options: RestoreOptions) -> str:
    """The database asked for, else the profile's own. A file's name alone means one beside the profile's file."""
    if profile.engine is EngineName.SQLITE:
        own = Path(parse_database_url(profile.url).database).absolute()
        return str(own.parent / Path(options.into).expanduser() if options.into else own)
    return options.into or profile.database


def _choose(
    adapter: BackupAdapter, target: Target, facts: RestoreFacts, options: RestoreOptions, now: datetime
) -> analysis.DestinationChoice:
    database = facts.destination.database
    unique = hashlib.sha256(f"{now} {time.monotonic_ns()}".encode()).hexdigest()[:6]

    def name_with(suffix: str) -> str:
        return adapter.new_name(target, database, suffix)

    return analysis.choose_destination(
        facts,
        options,
        fresh_name=name_with(loading_suffix(now, unique)),
        kept_name=_free_name(lambda number: name_with(kept_suffix(now, number)), facts),
        restored_name=lambda number: name_with(restored_suffix(number)),
    )


def _free_name(nth: Callable[[int], str], facts: RestoreFacts) -> str:
    return next(name for name in map(nth, itertools.count(1)) if name not in facts.taken_names)


def apply_restore(c: RoutineContext, profile: ConnectionProfile, plan: RestorePlan) -> Routine[RestoreResult]:
    """Do the restore that was planned. Until the last step nothing that existed is touched.

    Raises RefusedError (the plan has refusals, or the target changed since), DamagedBackupError, MismatchError (the
    rows that arrived are not the manifest's), ServerError, ToolError, Cancelled, ConnectError (also when the server
    stops answering meanwhile); then the new database is dropped.
    """
    check_refusals(plan.refusals)
    return (yield from while_answering(c, profile, _apply_alone(c, profile, plan)))


def _apply_alone(c: RoutineContext, profile: ConnectionProfile, plan: RestorePlan) -> Routine[RestoreResult]:
    began = time.monotonic()
    for warning in plan.warnings:
        yield Warned(warning)
    with held_for_reading(Path(plan.backup.data_path + MANIFEST_SUFFIX)):
        yield from _prove(c, plan.backup)
        with fresh_database(c, profile, plan.load_database) as fresh, c.open_target(profile) as target:
            result = yield from _load_and_swap(c, target, fresh, plan, began)
            fresh.is_ours = False
            return result


def _prove(c: RoutineContext, backup: StoredBackup) -> Routine[None]:
    problems = yield from check_backup(c, backup)
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DamagedBackupError(
            f"{backup.backup_id} is not restored: {'; '.join(problems[:_SHOWN])}{more}", "use another backup"
        )


def _load_and_swap(
    c: RoutineContext, target: Target, fresh: FreshDatabase, plan: RestorePlan, began: float
) -> Routine[RestoreResult]:
    adapter = c.backups(target.profile.engine)
    like = _recheck(adapter, target, plan)
    request = LoadRequest(
        backup=plan.backup,
        contents=plan.contents,
        database=plan.load_database,
        tables=plan.tables,
        jobs=plan.jobs,
        skip_owners=bool(plan.missing_roles),
    )
    outcome = yield from load_and_compare(c, target, fresh, request, like)
    if outcome.differences:
        shown = "; ".join(describe_differences(outcome.differences[:_SHOWN]))
        more = len(outcome.differences) - _SHOWN
        raise MismatchError(
            f"what was loaded is not what the backup should hold: {shown}{f' and {more} more' if more > 0 else ''}",
            f"nothing was changed, {plan.load_database} was dropped again",
        )
    swap_seconds = (yield from _swap(c, adapter, target, plan)) if plan.replaces else None
    rows = [table.rows for table in outcome.counted if table.rows is not None]
    return RestoreResult(
        database=plan.final_database,
        tables=len(outcome.counted),
        rows=sum(rows) if rows or not outcome.counted else None,
        kept_as=plan.keeps_as if plan.replaces else "",
        undo=plan.undo,
        seconds=time.monotonic() - began,
        swap_seconds=swap_seconds,
        warnings=plan.warnings,
    )


def _recheck(adapter: BackupAdapter, target: Target, plan: RestorePlan) -> str:
    """Look whether the target is still as planned; return the database whose settings the new one takes, if any."""
    if not plan.replaces:
        return ""
    found = adapter.collect_destination(target, plan.final_database)
    if found.exists and found.tables and not plan.confirm_name:
        raise RefusedError(
            f"{plan.final_database} was empty when this was planned and has {found.tables} tables now", "plan it again"
        )
    if not found.exists:
        raise RefusedError(f"{plan.final_database} has gone since this was planned", "plan it again")
    return plan.final_database


def _swap(c: RoutineContext, adapter: BackupAdapter, target: Target, plan: RestorePlan) -> Routine[float]:
    c.cancellation.check()
    began = time.monotonic()
    yield StepStarted("swap", f"{plan.load_database} becomes {plan.final_database}")
    yield from adapter.swap_database(target, plan.final_database, plan.load_database, plan.keeps_as)
    seconds = time.monotonic() - began
    yield StepFinished("swap", seconds, f"the old one is {plan.keeps_as}")
    return seconds
