"""Repositories of pgBackRest and Barman: what lies in them. Nothing here changes them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from dbtui.adapters.repositories.registry import open_repository
from dbtui.adapters.repositories.repository import RepositoryAdapter
from dbtui.analysis.repositories import choose_backup, with_findings
from dbtui.errors import ToolError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.repositories import Repository, RepositoryBackup, RepositoryDetail, RepositoryReport
from dbtui.routines.context import RoutineContext
from dbtui.routines.repository_evidence import read_last_proofs

#: Where, below the directory of the history, what verifications have shown is kept.
EVIDENCE = "repositories"


def open_adapter(c: RoutineContext, repository: Repository) -> RepositoryAdapter:
    """Return what speaks to a repository; nothing is asked yet."""
    return open_repository(repository, c.environ, c.cancellation)


def collect_repository_backups(
    c: RoutineContext, profile: ConnectionProfile, evidence: Path | None = None
) -> Routine[tuple[RepositoryBackup, ...]]:
    """Return the physical backups of a profile's cluster, newest first; none when it names no repository.

    Raises ToolError (the tool is missing, fails, or is not understood), Cancelled.
    """
    if profile.repository is None:
        return ()
    report = yield from collect_repository(c, profile.repository, evidence)
    if report.problem:
        raise ToolError(report.problem)
    return report.backups


def collect_repository(
    c: RoutineContext, repository: Repository, evidence: Path | None = None
) -> Routine[RepositoryReport]:
    """Ask a repository for its backups, its WAL and its health, with what there is to say of them.

    One that cannot be asked is a report with a `problem`. `evidence`: the directory where earlier verifications left
    what they have shown. Raises Cancelled.
    """
    yield from ()
    now = c.now()
    try:
        report = open_adapter(c, repository).collect_report(now)
    except ToolError as error:
        return with_findings(RepositoryReport(repository=repository, taken_at=now, problem=str(error)), now)
    return with_findings(_with_proofs(report, evidence), now)


def find_repository_backup(
    c: RoutineContext,
    repository: Repository,
    label: str,
    evidence: Path | None = None,
    target_time: datetime | None = None,
) -> Routine[tuple[RepositoryReport, RepositoryDetail]]:
    """Return one backup, with what the tool says of it, and its siblings; nothing is asked about health.

    `latest` is the newest that can be restored, before `target_time` where given. Raises ToolError, UsageError,
    Cancelled.
    """
    yield from ()
    adapter = open_adapter(c, repository)
    report = _with_proofs(adapter.collect_backups(c.now()), evidence)
    return report, _detail(adapter, choose_backup(report, label, target_time))


def collect_repository_backup(
    c: RoutineContext, repository: Repository, label: str, evidence: Path | None = None
) -> Routine[tuple[RepositoryReport, RepositoryDetail]]:
    """Return one backup of a repository, with what the tool says of it. Raises ToolError, UsageError, Cancelled."""
    report = yield from collect_repository(c, repository, evidence)
    if report.problem:
        raise ToolError(report.problem)
    return report, _detail(open_adapter(c, repository), choose_backup(report, label))


def _detail(adapter: RepositoryAdapter, backup: RepositoryBackup) -> RepositoryDetail:
    """What cannot be restored is not asked about: the tool may not know it."""
    return adapter.collect_detail(backup) if backup.is_usable else RepositoryDetail(backup=backup)


def _with_proofs(report: RepositoryReport, evidence: Path | None) -> RepositoryReport:
    if evidence is None:
        return report
    proofs = read_last_proofs(evidence, report.repository)
    return replace(report, backups=tuple(replace(each, proof=proofs.get(each.label)) for each in report.backups))


def distinct_repositories(profiles: Iterable[ConnectionProfile]) -> tuple[Repository, ...]:
    """Return the repositories that profiles name, each once."""
    return tuple(dict.fromkeys(each.repository for each in profiles if each.repository is not None))
