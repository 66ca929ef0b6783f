"""What `dbtui backup list` says of backups that are older than they may be."""

from collections.abc import Sequence

from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.freshness import BackupFreshness
from dbtui.model.repositories import RepositoryReport
from dbtui.routines.backups.freshness import collect_freshness


def collect_all_freshness(
    invocation: Invocation,
    profile: ConnectionProfile | None,
    entries: Sequence[BackupEntry],
    reports: Sequence[RepositoryReport] = (),
) -> tuple[BackupFreshness, ...]:
    """Return how fresh the backups of a profile are, or of all that are configured."""
    profiles = (profile,) if profile is not None else invocation.settings.profiles
    newest = {
        each.name: max(backup.at for backup in report.backups if backup.is_usable)
        for each in profiles
        for report in reports
        if each.repository == report.repository and any(backup.is_usable for backup in report.backups)
    }
    request: JobRequest[tuple[BackupFreshness, ...]] = JobRequest(
        routine="backup freshness",
        target=profile.name if profile is not None else "",
        start=lambda c: collect_freshness(c, profiles, entries, newest),
        changes=False,
    )
    return invocation.result_of(request)


def tell_overdue(invocation: Invocation, found: Sequence[BackupFreshness]) -> None:
    """Warn of what is overdue."""
    for freshness in found:
        if freshness.is_overdue:
            invocation.printer.warn(f"overdue: {freshness.profile}: {freshness.reason}")


def code_of(found: Sequence[BackupFreshness], fail_on: str | None, otherwise: int) -> int:
    """Return the exit code: 7 when `fail_on` asks for it and something is overdue."""
    is_found = fail_on is not None and any(freshness.is_overdue for freshness in found)
    return exit_codes.FOUND_SOMETHING if is_found else otherwise
