"""What `dbtui backup create|verify|restore|delete` do: plan, ask, run, tell."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dbtui.cli import plans
from dbtui.cli.backup_finding import find_destination
from dbtui.cli.backup_remotes import fetch_directory, find_anywhere, remote_of
from dbtui.cli.confirm import confirm
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.config import parse_compression
from dbtui.errors import RefusedError, UsageError
from dbtui.jobs import UNDOES, JobRequest
from dbtui.model.backups import (
    BackupEntry,
    BackupFormat,
    CreatePlan,
    CreateResult,
    DumpOptions,
    PlanStep,
    RestoreOptions,
    RestorePlan,
    RestoreResult,
)
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.jobs import JobState
from dbtui.model.remotes import RemoteAddress
from dbtui.model.text import format_bytes, format_count, format_duration, format_untrusted
from dbtui.routines import backups as routines
from dbtui.routines.backups.push import create_and_push
from dbtui.routines.backups.remote_removal import delete_remote_backup
from dbtui.routines.backups.staging import apply_restore_far, plan_restore_far

PUSHES = "Without a manifest there is no backup; one that is whole stays, and the next push goes on with its copy."

# ---------------------------------------------------------------- create


def create(
    *,
    target: str | None,
    directory: str | None,
    format_name: str | None,
    compress: str | None,
    encrypt_to: tuple[str, ...],
    push: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **wishes: Any,
) -> int:
    """Make a backup and print its path."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = invocation.target(target)
    options = DumpOptions(
        format=_choose_format(profile, format_name),
        compression=_parse_option("--compress", compress) if compress else parse_compression(profile.compress),
        encrypt_to=encrypt_to or None,
        **wishes,
    )
    where = Path(directory if directory is not None else profile.backup_dir)
    address = remote_of(profile) if push else None
    if dry_run:
        return _show_create_plan(invocation, profile, where, options, address)
    request = JobRequest(
        routine="backup create",
        target=profile.name,
        subject=profile.database,
        start=lambda c: (
            create_and_push(c, profile, where, options, address)
            if address
            else routines.create_backup(c, profile, where, options)
        ),
        locks=(routines.create_lock(profile),),
        summary=_summarise_create,
        judge=lambda made: JobState.PARTIAL if made.copy_problem else JobState.SUCCEEDED,
        cancelling=PUSHES if address else UNDOES,
    )
    outcome = invocation.run(request, profile)
    return finish(invocation, outcome, _created_fields, lambda made: made.data_path, _summarise_create)


def _choose_format(profile: ConnectionProfile, typed: str | None) -> BackupFormat:
    """A format that was typed is taken as it is; the profile's default gives way to what the engine has."""
    chosen = BackupFormat(typed or profile.format)
    if profile.engine is EngineName.SQLITE and (typed is None or chosen is BackupFormat.PLAIN):
        return BackupFormat.COPY
    if profile.engine is EngineName.MYSQL and typed is None:
        return BackupFormat.PLAIN
    return chosen


def _parse_option(option: str, text: str) -> Any:
    try:
        return parse_compression(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", error.hint) from None


def _show_create_plan(
    invocation: Invocation,
    profile: ConnectionProfile,
    where: Path,
    options: DumpOptions,
    address: RemoteAddress | None,
) -> int:
    request: JobRequest[CreatePlan] = JobRequest(
        routine="backup plan",
        target=profile.name,
        start=lambda c: routines.plan_create(c, profile, where, options),
        changes=False,
    )
    plan = invocation.result_of(request, profile)
    if address is not None:
        copying = PlanStep(f"push it to {address}", why="the manifest last; if that fails the backup stays here")
        plan = replace(plan, steps=(*plan.steps, copying))
    lines = plans.show_create_plan(plan, profile.name)
    return show_plan(invocation, lines, plan.refusals, plan=plans.plan_fields(plan))


def _summarise_create(made: CreateResult) -> str:
    manifest = made.manifest
    known = [table.rows for table in manifest.tables if table.rows is not None]
    rows = f"{format_count(sum(known))} rows, " if known else ""
    taken = format_duration(manifest.duration_seconds) if manifest.duration_seconds >= 1 else "under 1 s"
    copied = f"; copied to {made.copy_path}" if made.copy_path else ""
    if made.copy_problem:
        copied = "; NOT copied"
    size = format_bytes(manifest.size_bytes)
    return f"{manifest.backup_id}: {len(manifest.tables)} tables, {rows}{size} in {taken}{copied}"


def _created_fields(made: CreateResult) -> dict[str, Any]:
    return {
        "backup_id": made.manifest.backup_id,
        "path": made.data_path,
        "manifest_path": made.manifest_path,
        "size_bytes": made.manifest.size_bytes,
        "tables": len(made.manifest.tables),
        "manifest": made.manifest,
        "copy_path": made.copy_path,
        "copy_problem": made.copy_problem,
    }


# ---------------------------------------------------------------- restore


def restore(
    *,
    reference: str,
    directory: str | None,
    to: str | None,
    dry_run: bool,
    confirmed: tuple[str, ...],
    identities: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **wishes: Any,
) -> int:
    """Restore a backup and print the name of the database."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    found = find_anywhere(invocation, reference, directory)
    entry, far = found.entry, found.far
    invocation.open_with(entry, identities)
    profile = find_destination(invocation, entry, to)
    options = RestoreOptions(**wishes)
    where = fetch_directory(invocation, entry.profile, directory)
    planning: JobRequest[RestorePlan] = JobRequest(
        routine="restore plan",
        target=profile.name,
        start=lambda c: (
            plan_restore_far(c, far, where, profile, options)
            if far
            else routines.plan_restore(c, entry, profile, options)
        ),
        changes=False,
    )
    plan = invocation.result_of(planning, profile)
    lines = plans.show_restore_plan(plan)
    if dry_run:
        return show_plan(invocation, lines, plan.refusals, plan=plans.plan_fields(plan), backup_id=entry.backup_id)
    if plan.refusals:
        raise RefusedError(f"restore refused: {'; '.join(plan.refusals)}")
    if plan.confirm_name:
        confirm(plans.describe_restore(plan), lines, _names(plan.confirm_name, profile), confirmed)
    request = JobRequest(
        routine="backup restore",
        target=profile.name,
        subject=f"{entry.backup_id} into {plan.final_database}",
        start=lambda c: (
            apply_restore_far(c, far, where, profile, plan) if far else routines.apply_restore(c, profile, plan)
        ),
        locks=(routines.restore_lock(profile, plan.final_database),),
        summary=_summarise_restore,
        judge=lambda done: JobState.PARTIAL if done.differences else JobState.SUCCEEDED,
    )
    outcome = invocation.run(request, profile)
    return finish(invocation, outcome, lambda done: {"restore": done, "backup_id": entry.backup_id},
                   lambda done: done.database, _summarise_restore)  # fmt: skip


def _names(name: str, profile: ConnectionProfile | None) -> tuple[str, ...]:
    """What must be typed: the object's name, and for production the profile's too."""
    if profile is not None and profile.environment is Environment.PRODUCTION:
        return tuple(dict.fromkeys((name, profile.name)))
    return (name,)


def _summarise_restore(done: RestoreResult) -> str:
    rows = f", {format_count(done.rows)} rows" if done.rows is not None else ""
    taken = format_duration(done.seconds) if done.seconds >= 1 else "under 1 s"
    after = f"; {done.undo}" if done.undo else ""
    return f"restored {done.database}: {done.tables} tables{rows} in {taken}{after}"


# ---------------------------------------------------------------- delete


def delete(
    *, reference: str, directory: str | None, dry_run: bool, confirmed: tuple[str, ...], as_json: bool, quiet: bool
) -> int:
    """Delete a backup and print its id."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    found = find_anywhere(invocation, reference, directory)
    entry, far = found.entry, found.far
    lines = plans.show_delete_plan(entry)
    if dry_run:
        return show_plan(invocation, lines, (), backup=entry)
    profile = invocation.settings.profile(entry.profile)
    confirm(f"deletes the backup {format_untrusted(entry.backup_id)} for good", lines,
            _names(entry.backup_id, profile), confirmed)  # fmt: skip
    request = JobRequest(
        routine="backup delete",
        target=entry.profile,
        subject=entry.backup_id,
        start=lambda c: (
            routines.delete_backup(c, entry) if far is None else delete_remote_backup(c, far.address, far.data_name)
        ),
        locks=(routines.backup_lock(entry),),
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, lambda _said: _deleted_fields(entry), lambda _said: entry.backup_id, str)


def _deleted_fields(entry: BackupEntry) -> dict[str, Any]:
    return {"backup_id": entry.backup_id, "path": entry.data_path}
