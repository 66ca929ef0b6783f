"""Physical backups in words, for lists and verdicts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from dbtui.model.repositories import (
    RepositoryBackup,
    RepositoryDetail,
    RepositoryReport,
    RepositoryRestoreResult,
    RepositoryTrialPlan,
    RepositoryVerification,
    RestoreFromRepositoryPlan,
)
from dbtui.model.text import format_bytes, format_count, format_duration

#: What stands in a list where logical backups have their database.
WHOLE_CLUSTER = "whole cluster"


def describe_soundness(backup: RepositoryBackup, now: datetime) -> str:
    """Return what is known of a backup's soundness, with a mark. `now` is UTC."""
    if not backup.is_usable:
        return f"✖ {backup.problem or 'not whole'}"
    proof = backup.proof
    if proof is not None and proof.problems:
        return f"✖ failed its verification{_ago(proof.verified_at, now)}"
    if backup.problem:
        return f"▲ {backup.problem}"
    if proof is None:
        return "○ not proven"
    what = "restored and read" if proof.kind == "restored" else "checksums right"
    taken = f", {format_duration(proof.seconds)}" if proof.seconds >= 1 else ""
    return f"● {what}{_ago(proof.verified_at, now)}{taken}"


def _ago(moment: str, now: datetime) -> str:
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return f", {format_duration((now - then).total_seconds())} ago"


def describe_end(backup: RepositoryBackup) -> str:
    """Return when a backup ended."""
    return f"ended {backup.at:%Y-%m-%d %H:%M:%S} UTC"


def describe_backup(report: RepositoryReport, detail: RepositoryDetail, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a backup: label and text."""
    backup = detail.backup
    yield "backup", backup.reference
    yield "kind", f"{backup.kind.value}, made by {report.repository.kind.product}, of the whole cluster"
    yield "server", f"PostgreSQL {backup.server_version}" if backup.server_version else ""
    yield "begun", f"{backup.began_at:%Y-%m-%d %H:%M:%S} UTC" if backup.began_at else ""
    yield "ended", f"{backup.ended_at:%Y-%m-%d %H:%M:%S} UTC" if backup.ended_at else ""
    yield "restores", format_bytes(backup.database_bytes) if backup.database_bytes is not None else ""
    yield "size", format_bytes(backup.repository_bytes) if backup.repository_bytes is not None else ""
    yield "WAL", " to ".join(dict.fromkeys(name for name in (backup.wal_start, backup.wal_stop) if name))
    yield "needs", ", ".join(backup.needs)
    needed_by = [each.label for each in report.backups if backup.label in each.needs]
    yield "needed by", ", ".join(needed_by)
    yield "databases", ", ".join(detail.databases)
    for space in detail.tablespaces:
        yield "tablespace", f"{space.name} in {space.location}"
    yield "encrypted", report.cipher
    yield "proof", describe_soundness(backup, now)
    if backup.proof is not None:
        yield "verified", backup.proof.summary
    for archive in report.archives:
        when = f", which came {archive.last_at:%Y-%m-%d %H:%M:%S} UTC" if archive.last_at else ""
        yield "archive", f"{archive.first} to {archive.last}{when}" if archive.last else "no WAL"
    for finding in report.findings:
        yield finding.level.value, finding.words


def describe_checks(backup: RepositoryBackup, trial: RepositoryTrialPlan | None) -> tuple[str, ...]:
    """Return the steps of a verification, for its plan."""
    tool = backup.repository.partition(":")[0]
    steps = (f"{tool} reads every file again and compares its checksum", "look for gaps in the WAL from the backup on")
    if trial is None:
        return steps
    return (
        *steps,
        f"restore {backup.label} into a throwaway directory in {trial.parent}, as {trial.account}",
        f"start {trial.server} there, on a private socket and without network, until its recovery is consistent",
        "read every table of every database",
        "remove the server, with all that it holds",
    )


def describe_verification(found: RepositoryVerification) -> str:
    """Return the verdict of a verification in a line."""
    if found.problems:
        return f"{found.reference}: DAMAGED: {'; '.join(found.problems)}"
    if found.proof == "restored":
        counted = f"{_count(found.databases, 'database')}, {_count(found.tables, 'table')}, {_count(found.rows, 'row')}"
        return f"{found.reference}: restored and read: {counted}; on {found.where}, in {_taken(found.seconds)}"
    return f"{found.reference}: intact: {'; '.join(found.checked)}; in {_taken(found.seconds)}"


def describe_looks(found: RepositoryVerification) -> Sequence[str]:
    """Return what was looked at and what was not, a line each."""
    return (
        *(f"looked at: {text}" for text in found.checked),
        *(f"not looked at: {text}" for text in found.unchecked),
        *found.remarks,
    )


def describe_restoring(plan: RestoreFromRepositoryPlan) -> str:
    """Return the consequence of a restore as a verb phrase."""
    directory = plan.options.directory
    if plan.options.is_delta:
        return f"overwrites the database cluster in {directory} in place; nothing of it is kept"
    if plan.kept_as:
        return f"replaces the database cluster in {directory}; what is there now is kept as {plan.kept_as}"
    return f"writes a database cluster into {directory}, which is new or empty"


def describe_restored(done: RepositoryRestoreResult) -> str:
    """Return what a restore has done, in a line."""
    size = f", {format_bytes(done.bytes)}" if done.bytes is not None else ""
    kept = f"; what was there is in {done.kept_as}" if done.kept_as else ""
    return f"restored {done.reference} into {done.directory}{size} in {_taken(done.seconds)}{kept}"


def _taken(seconds: float) -> str:
    return format_duration(seconds) if seconds >= 1 else "under 1 s"


def _count(count: int | None, kind: str) -> str:
    if count is None:
        return f"{kind}s not counted"
    return f"{format_count(count)} {kind}{'' if count == 1 else 's'}"
