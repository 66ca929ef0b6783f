"""What the backups pane asks the runner about backups that pgBackRest and Barman keep: to verify and restore them."""

from dbtui.analysis.repository_words import describe_restored, describe_verification
from dbtui.history import History
from dbtui.jobs import JobRequest
from dbtui.model.events import Routine
from dbtui.model.jobs import JobState
from dbtui.model.repositories import (
    Repository,
    RepositoryBackup,
    RepositoryRestoreOptions,
    RepositoryRestoreResult,
    RepositoryTrialPlan,
    RepositoryVerification,
    RestoreFromRepositoryPlan,
)
from dbtui.routines.context import RoutineContext
from dbtui.routines.repositories import find_repository_backup
from dbtui.routines.repository_restores import (
    apply_repository_restore,
    plan_repository_restore,
    restore_directory_lock,
)
from dbtui.routines.repository_verifying import plan_repository_trial, verify_lock, verify_repository_backup
from dbtui.tui.place_requests import evidence_directory


def trial_plan(repository: Repository, backup: RepositoryBackup) -> JobRequest[RepositoryTrialPlan]:
    """Find out on which throwaway server a backup can be restored here."""
    return JobRequest(routine="plan proof", target=str(repository), subject=backup.label, changes=False,
                      start=lambda c: plan_repository_trial(c, repository, backup))  # fmt: skip


def verify(
    history: History, repository: Repository, backup: RepositoryBackup, trial: RepositoryTrialPlan | None, profile: str
) -> JobRequest[RepositoryVerification]:
    """Have the tool verify a backup; with a trial also restore and read it."""

    def start(context: RoutineContext) -> Routine[RepositoryVerification]:
        _report, detail = yield from find_repository_backup(context, repository, backup.label)
        evidence = evidence_directory(history)
        return (yield from verify_repository_backup(context, repository, detail, trial, evidence))

    return JobRequest(
        routine="backup verify",
        target=profile or str(repository),
        subject=backup.reference,
        locks=(verify_lock(repository, backup.label),),
        start=start,
        summary=describe_verification,
        judge=lambda found: JobState.FAILED if found.problems else JobState.SUCCEEDED,
    )


def restore_plan(
    history: History, repository: Repository, backup: RepositoryBackup, options: RepositoryRestoreOptions
) -> JobRequest[RestoreFromRepositoryPlan]:
    """Look at the repository and the directory."""
    evidence = evidence_directory(history)
    return JobRequest(
        routine="plan restore",
        target=str(repository),
        subject=backup.label,
        changes=False,
        start=lambda c: plan_repository_restore(c, repository, backup.label, options, evidence),
    )


def restore(plan: RestoreFromRepositoryPlan, profile: str) -> JobRequest[RepositoryRestoreResult]:
    """Have the tool restore a backup into a directory."""
    directory = plan.options.directory
    return JobRequest(
        routine="backup restore",
        target=profile or str(plan.repository),
        subject=f"{plan.backup.reference} into {directory}",
        locks=(restore_directory_lock(directory),),
        start=lambda c: apply_repository_restore(c, plan),
        summary=_restored,
    )


def _restored(done: RepositoryRestoreResult) -> str:
    return "; ".join([describe_restored(done), *done.warnings, *done.afterwards[:1]])
