"""What the backups pane orders about backups that pgBackRest and Barman keep: verify, try, restore."""

from collections.abc import Sequence

from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.repositories import Repository, RepositoryBackup
from dbtui.tui.dialogs.dialog import ask
from dbtui.tui.messages import JobWanted
from dbtui.tui.panes.pane import Pane
from dbtui.tui.workers import outcome_of


def find_owner(backup: RepositoryBackup, profiles: Sequence[ConnectionProfile]) -> ConnectionProfile | None:
    """Return the profile whose cluster a backup is of; one for production before others."""
    owners = [profile for profile in profiles if str(profile.repository) == backup.repository]
    return next((each for each in owners if each.environment is Environment.PRODUCTION), next(iter(owners), None))


def _repository(backup: RepositoryBackup, profiles: Sequence[ConnectionProfile]) -> tuple[Repository | None, str]:
    owner = find_owner(backup, profiles)
    return (owner.repository, owner.name) if owner is not None else (None, "")


def verify(
    pane: Pane, runner: JobRunner, backup: RepositoryBackup, profiles: Sequence[ConnectionProfile]
) -> None:  # fmt: skip
    """Have the tool verify a backup."""
    from dbtui.tui import repository_requests as requests

    repository, profile = _repository(backup, profiles)
    if repository is not None:
        pane.post_message(JobWanted(requests.verify(runner.history, repository, backup, None, profile)))


async def prove(
    pane: Pane, runner: JobRunner, backup: RepositoryBackup, profiles: Sequence[ConnectionProfile]
) -> None:  # fmt: skip
    """Find out whether a backup can be restored into a throwaway server here, ask, then do it."""
    from dbtui.tui import repository_requests as requests
    from dbtui.tui.dialogs.restore_cluster import TryClusterDialog

    repository, profile = _repository(backup, profiles)
    if repository is None:
        return
    planned = await outcome_of(runner, requests.trial_plan(repository, backup))
    if await ask(pane, TryClusterDialog(backup, planned.result, planned.error)):
        pane.post_message(JobWanted(requests.verify(runner.history, repository, backup, planned.result, profile)))


async def restore(
    pane: Pane, runner: JobRunner, backup: RepositoryBackup, profiles: Sequence[ConnectionProfile]
) -> None:  # fmt: skip
    """Ask into which directory, show the plan, then have the tool do it."""
    from dbtui.tui import repository_requests as requests
    from dbtui.tui.dialogs.restore_cluster import RestoreClusterDialog

    owner = find_owner(backup, profiles)
    if owner is None or owner.repository is None:
        return
    plan = await ask(pane, RestoreClusterDialog(runner, owner.repository, backup, owner))
    if plan is not None:
        pane.post_message(JobWanted(requests.restore(plan, owner.name)))
