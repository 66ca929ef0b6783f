"""What `dbtui backup verify` does: choose where to try a restore, run, tell."""

from dbtui.analysis.backups.proof_words import describe_verification, is_good
from dbtui.cli import exit_codes, plans
from dbtui.cli.backup_finding import find_destination
from dbtui.cli.backup_remotes import FoundBackup, find_anywhere
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.errors import DbtuiError, ToolError, UsageError
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobState
from dbtui.model.proofs import ThrowawayPlan
from dbtui.routines import backups as routines

Place = ThrowawayPlan | ConnectionProfile | None


def verify(
    *,
    reference: str,
    directory: str | None,
    restore: bool,
    throwaway: bool,
    to: str | None,
    dry_run: bool,
    identities: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Check a backup and print the verdict."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    if to is not None and throwaway:
        raise UsageError("--to names a server and --throwaway makes one", "leave one of them out")
    if to is not None and not restore:
        raise UsageError("--to names a server for --restore, which was not given", "add --restore or leave out --to")
    found = find_anywhere(invocation, reference, directory)
    entry = found.entry
    invocation.open_with(entry, identities)
    place = _choose_place(invocation, found, to, is_forced=throwaway) if restore or throwaway else None
    profile = place if isinstance(place, ConnectionProfile) else None
    if dry_run:
        return show_plan(
            invocation, plans.show_verify_plan(entry, place, found.far is not None), (), backup_id=entry.backup_id
        )
    request = JobRequest(
        routine="backup verify",
        target=profile.name if profile else entry.profile,
        subject=entry.backup_id,
        start=found.on_fetched(invocation, directory, lambda c, here: routines.verify_backup(c, here, place)),
        locks=(routines.backup_lock(entry),),
        summary=describe_verification,
        judge=lambda found: JobState.SUCCEEDED if is_good(found) else JobState.FAILED,
    )
    outcome = invocation.run(request, profile)
    return finish(invocation, outcome, lambda found: {"verification": found}, describe_verification, None,
                   failed=exit_codes.FOUND_SOMETHING)  # fmt: skip


def _choose_place(invocation: Invocation, found: FoundBackup, to: str | None, *, is_forced: bool) -> Place:
    """A throwaway server, unless a target was named, or none can be had here and the backup's own server is known."""
    entry, far = found.entry, found.far
    if to is not None:
        return find_destination(invocation, entry, to)
    request: JobRequest[ThrowawayPlan] = JobRequest(
        routine="plan proof",
        target=entry.profile,
        subject=entry.backup_id,
        start=lambda c: routines.plan_proof(c, entry, far.backup if far else None),
        changes=False,
    )
    try:
        return invocation.result_of(request)
    except ToolError as error:
        if is_forced:
            raise
        profile = _own_server(invocation, entry, error)
        invocation.printer.warn(f"{error.message}: it is restored into a scratch database on {profile.name} instead")
        return profile


def _own_server(invocation: Invocation, entry: BackupEntry, reason: DbtuiError) -> ConnectionProfile:
    try:
        return find_destination(invocation, entry, None)
    except UsageError:
        raise reason from None
