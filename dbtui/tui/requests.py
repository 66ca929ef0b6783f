"""What the panes ask the runner to do: the core's routines, their locks, and the line that says how they ended.

What they ask of sessions is in `session_requests`: who looks at sessions needs to know nothing of backups.
"""

from pathlib import Path
from typing import TypeVar

from dbtui.analysis.backups.proof_words import describe_verification, is_good
from dbtui.history import History
from dbtui.jobs import JobRequest
from dbtui.model.backups import (
    BackupContents,
    BackupEntry,
    CreatePlan,
    CreateResult,
    DumpOptions,
    Manifest,
    RestoreOptions,
    RestorePlan,
    RestoreResult,
    TableName,
    TableSample,
    VerifyResult,
)
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.jobs import HistoryEntry, JobState
from dbtui.model.proofs import Proof, ThrowawayPlan
from dbtui.model.text import format_bytes, format_count, format_duration
from dbtui.routines import backups
from dbtui.routines.backups.stored import read_manifest
from dbtui.routines.context import RoutineContext

ResultT = TypeVar("ResultT")


def entries(directory: Path) -> JobRequest[tuple[BackupEntry, ...]]:
    """List the backups of a directory."""
    return JobRequest(routine="list", target=str(directory), changes=False,
                      start=lambda context: backups.collect_entries(context, directory))  # fmt: skip


def contents(entry: BackupEntry) -> JobRequest[BackupContents]:
    """Look inside a backup."""
    return JobRequest(routine="look into", target=entry.backup_id, changes=False,
                      start=lambda context: backups.collect_contents(context, entry))  # fmt: skip


def manifest(entry: BackupEntry) -> JobRequest[Manifest]:
    """Read a backup's manifest, which takes no longer however large the backup is."""

    def start(_context: RoutineContext) -> Routine[Manifest]:
        yield from ()
        return read_manifest(entry)

    return JobRequest(routine="read manifest", target=entry.backup_id, changes=False, start=start)


def definition(entry: BackupEntry, table: TableName) -> JobRequest[str]:
    """Read the SQL that makes a table."""
    return JobRequest(routine="read definition", target=entry.backup_id, changes=False,
                      start=lambda context: backups.show_definition(context, entry, table))  # fmt: skip


def sample(entry: BackupEntry, table: TableName, limit: int) -> JobRequest[TableSample]:
    """Read a table's first rows."""
    return JobRequest(routine="read rows", target=entry.backup_id, changes=False,
                      start=lambda context: backups.collect_sample(context, entry, table, limit))  # fmt: skip


def create_plan(profile: ConnectionProfile, directory: Path, options: DumpOptions) -> JobRequest[CreatePlan]:
    """Plan a backup."""
    return JobRequest(routine="plan backup", target=profile.name, changes=False,
                      start=lambda context: backups.plan_create(context, profile, directory, options))  # fmt: skip


def create(profile: ConnectionProfile, plan: CreatePlan) -> JobRequest[CreateResult]:
    """Make a backup."""
    return JobRequest(
        routine="backup create",
        target=profile.name,
        subject=plan.facts.info.database or profile.database,
        thread=f"jobs of {profile.name}",
        locks=(backups.create_lock(profile),),
        start=lambda context: backups.apply_create(context, profile, plan),
        summary=_created,
    )


def _created(result: CreateResult) -> str:
    manifest = result.manifest
    rows = [table.rows for table in manifest.tables if table.rows is not None]
    return (
        f"backed up {manifest.database} as {manifest.backup_id}: {format_bytes(manifest.size_bytes)}, "
        f"{len(manifest.tables)} tables, {format_count(sum(rows))} rows in {format_duration(manifest.duration_seconds)}"
    )


def restore_plan(entry: BackupEntry, profile: ConnectionProfile, options: RestoreOptions) -> JobRequest[RestorePlan]:
    """Plan a restore."""
    return JobRequest(routine="plan restore", target=profile.name, changes=False,
                      start=lambda context: backups.plan_restore(context, entry, profile, options))  # fmt: skip


def restore(profile: ConnectionProfile, plan: RestorePlan) -> JobRequest[RestoreResult]:
    """Restore a backup."""
    return JobRequest(
        routine="backup restore",
        target=profile.name,
        subject=f"{plan.backup.backup_id} into {plan.final_database}",
        thread=f"jobs of {profile.name}",
        locks=(backups.restore_lock(profile, plan.final_database),),
        start=lambda context: backups.apply_restore(context, profile, plan),
        summary=_restored,
        judge=lambda result: JobState.PARTIAL if result.differences else JobState.SUCCEEDED,
    )


def _restored(result: RestoreResult) -> str:
    rows = f", {format_count(result.rows)} rows" if result.rows is not None else ""
    text = f"restored into {result.database}: {result.tables} tables{rows} in {format_duration(result.seconds)}"
    if result.differences:
        return f"{text}; {len(result.differences)} tables have other row counts than the backup says"
    return f"{text}; what was there is kept as {result.kept_as}" if result.kept_as else f"{text}, row counts equal"


def proof_plan(entry: BackupEntry) -> JobRequest[ThrowawayPlan]:
    """Find out on which throwaway server a backup can be proven here."""
    return JobRequest(routine="plan proof", target=entry.backup_id, changes=False,
                      start=lambda context: backups.plan_proof(context, entry))  # fmt: skip


def proofs(entry: BackupEntry) -> JobRequest[tuple[Proof, ...]]:
    """Read what restoring a backup has shown."""

    def start(_context: RoutineContext) -> Routine[tuple[Proof, ...]]:
        yield from ()
        return backups.read_proofs(entry)

    return JobRequest(routine="read proofs", target=entry.backup_id, changes=False, start=start)


def verify(entry: BackupEntry, place: ThrowawayPlan | ConnectionProfile | None) -> JobRequest[VerifyResult]:
    """Verify a backup; with a place also by restoring it there."""
    profile = place if isinstance(place, ConnectionProfile) else None

    def start(context: RoutineContext) -> Routine[VerifyResult]:
        return backups.verify_backup(context, entry, place)

    return JobRequest(
        routine="backup verify",
        target=profile.name if profile else entry.profile,
        subject=entry.backup_id,
        thread=f"jobs of {profile.name}" if profile else "",
        locks=(backups.backup_lock(entry),),
        start=start,
        summary=describe_verification,
        judge=lambda result: JobState.SUCCEEDED if is_good(result) else JobState.FAILED,
    )


def past_runs(history: History, limit: int) -> JobRequest[tuple[HistoryEntry, ...]]:
    """Read the newest entries of the history."""

    def start(_context: RoutineContext) -> Routine[tuple[HistoryEntry, ...]]:
        yield from ()
        return history.entries(limit)

    return JobRequest(routine="read history", target="", changes=False, start=start)


def delete(entry: BackupEntry) -> JobRequest[str]:
    """Delete a backup."""
    return JobRequest(routine="backup delete", target=entry.profile, subject=entry.backup_id,
                      locks=(backups.backup_lock(entry),),
                      start=lambda context: backups.delete_backup(context, entry))  # fmt: skip
