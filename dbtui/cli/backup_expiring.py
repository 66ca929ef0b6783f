"""What `dbtui backup expire|pin|unpin` do: plan by a policy, ask, remove exactly what was planned, tell."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dbtui.analysis.backups import retention_words as words
from dbtui.analysis.backups.retention import Policies, choose_policies
from dbtui.analysis.backups.survival import simulate
from dbtui.cli import exit_codes
from dbtui.cli.backup_finding import choose_directories
from dbtui.cli.backup_remotes import find_anywhere, is_remote
from dbtui.cli.confirm import confirm, confirm_yes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.cli.tables import terminal_width
from dbtui.errors import RefusedError, UsageError
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress
from dbtui.model.retention import ExpireResult, RetentionPlan, Survival
from dbtui.model.text import format_untrusted
from dbtui.remote_settings import find_keep
from dbtui.routines.backups import backup_lock
from dbtui.routines.backups.expire import ExpireRequest, apply_expire, plan_expire
from dbtui.routines.backups.pins import pin_backup, pin_remote, unpin_backup, unpin_remote
from dbtui.routines.backups.remote_expire import apply_remote_expire, plan_remote_expire
from dbtui.routines.context import RoutineContext

_WIDTH = 100
_ROUTINE = "backup expire"
_CANCELLING = "What was removed stays removed; a new plan goes on from there."


def expire(
    *,
    target: str | None,
    directory: str | None,
    time_zone: str | None,
    count: str | None,
    trust_clock: bool,
    simulation: bool,
    dry_run: bool,
    confirmed: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **numbers: int | None,
) -> int:
    """Remove the backups that have no place left, after a question, and print their ids."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = invocation.target(target) if target is not None else None
    typed = _typed_policy(numbers, time_zone, count)
    address = parse_remote_address(directory) if directory is not None and is_remote(directory) else None
    request = ExpireRequest(
        directories=choose_directories(invocation, profile, directory) if address is None else (),
        policy_of=_policies(invocation, profile, typed, (time_zone, count), address),
        profile=profile,
        trusts_gaps=trust_clock,
    )
    plan = invocation.result_of(_planning(profile, request, address))
    if simulation:
        return _show_years(invocation, plan)
    lines = [format_untrusted(line) for line in words.format_plan(plan)]
    if dry_run:
        return show_plan(invocation, lines, plan.refusals if plan.is_refused else (), plan=words.plan_fields(plan))
    if plan.is_refused:
        raise RefusedError(f"backup expire refused: {'; '.join(plan.refusals)}", "nothing was removed")
    for warning in plan.warnings:
        invocation.printer.warn(warning)
    names = [name for _, name in words.names_to_type(plan, invocation.settings.profiles)]
    if names:
        confirm(words.describe_plan(plan), lines, names, confirmed)
    return _remove(invocation, profile, plan, address)


def _typed_policy(
    numbers: dict[str, int | None], time_zone: str | None, count: str | None
) -> RetentionPolicy | None:  # fmt: skip
    """The policy of the options; None when none of its numbers was typed."""
    given = {name: number for name, number in numbers.items() if number is not None}
    if not given:
        return None
    policy = RetentionPolicy(**given, time_zone=time_zone or "UTC", counts=CountedProof(count or "complete"))
    if policy.is_empty:
        raise UsageError("this would keep no backup at all", "give at least one of --keep-last, --keep-daily …")
    return policy


def _policies(
    invocation: Invocation,
    profile: ConnectionProfile | None,
    typed: RetentionPolicy | None,
    refinements: tuple[str | None, str | None],
    address: RemoteAddress | None,
) -> Policies:
    """The options' policy for all, else `keep` of the configuration: the target's, or that of each backup's profile.

    A remote may have a `keep` of its own.
    """
    if typed is not None:
        return lambda _backup: typed
    if any(refinements):
        raise UsageError("--time-zone and --count go with --keep-last, --keep-daily …", "say how many to keep")
    settings = invocation.settings
    kept_there = find_keep(settings.remotes, address) if address is not None else None
    if kept_there is not None:
        return lambda _backup: kept_there
    if profile is not None:
        kept = profile.keep
        policy_of: Policies = lambda _backup: kept  # noqa: E731 - one of two
    else:
        policy_of = choose_policies(settings.profiles, settings.keep)
        kept = settings.keep or next((each.keep for each in settings.profiles if each.keep), None)
    if kept is None:
        raise UsageError(
            "no policy says how many backups to keep",
            "give --keep-last N, --keep-daily N …, or write keep = { daily = 7 } into the configuration",
        )
    return policy_of


def _planning(
    profile: ConnectionProfile | None, request: ExpireRequest, address: RemoteAddress | None
) -> JobRequest[RetentionPlan]:
    return JobRequest(
        routine="plan expire",
        target=profile.name if profile else "",
        start=lambda c: plan_expire(c, request) if address is None else plan_remote_expire(c, address, request),
        changes=False,
    )


def _remove(
    invocation: Invocation, profile: ConnectionProfile | None, plan: RetentionPlan, address: RemoteAddress | None
) -> int:
    target = profile.name if profile is not None else ", ".join(plan.directories)
    if not plan.removed and not plan.leftovers:
        invocation.printer.say(f"nothing to remove: {len(plan.kept)} backups, all with a place")
        invocation.printer.result("", outcome="succeeded", exit_code=exit_codes.DONE, **_result_fields(
            ExpireResult(kept=len(plan.kept), refusals=plan.refusals)))  # fmt: skip
        return exit_codes.DONE
    note = _note(invocation, target)
    request: JobRequest[ExpireResult] = JobRequest(
        routine=_ROUTINE,
        target=target,
        subject=", ".join(dict.fromkeys(each.scope.database for each in plan.removed)),
        start=lambda c: apply_expire(c, plan, note) if address is None else apply_remote_expire(c, address, plan, note),
        locks=tuple(f"{_ROUTINE} in {directory}" for directory in plan.directories),
        summary=words.describe_result,
        judge=words.judge_result,
        cancelling=_CANCELLING,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, _result_fields, lambda done: "\n".join(done.removed), words.describe_result)


def _note(invocation: Invocation, target: str) -> Callable[[str, str], None]:
    return lambda subject, detail: invocation.history.note(_ROUTINE, target, subject, detail)


def _result_fields(done: ExpireResult) -> dict[str, Any]:
    skipped, remains = (
        [{"backup_id": backup_id, "reason": why} for backup_id, why in found] for found in (done.skipped, done.remains)
    )
    return {"removed": done.removed, "freed_bytes": done.freed_bytes, "kept": done.kept, "finished": done.finished,
            "skipped": skipped, "remains": remains, "refusals": done.refusals}  # fmt: skip


def _show_years(invocation: Invocation, plan: RetentionPlan) -> int:
    now = datetime.now(UTC)
    years = [year for group in plan.groups if (year := simulate(group, now)) is not None]
    lines = [line for year in years for line in (*_show_year(year), "")]
    text = "\n".join(format_untrusted(line) for line in lines).rstrip() or "no backups to look at"
    code = exit_codes.REFUSED if plan.is_refused else exit_codes.DONE
    invocation.printer.result(text, outcome="failed" if plan.is_refused else "succeeded", exit_code=code, dry_run=True,
                              simulation=words.survival_fields(years), plan=words.plan_fields(plan))  # fmt: skip
    for text in plan.refusals:
        invocation.printer.warn(text)
    return code


def _show_year(year: Survival) -> list[str]:
    return [*words.format_survival(year, terminal_width() or _WIDTH), "", *words.format_leaving(year)]


# ---------------------------------------------------------------- pins


def pin(*, reference: str, directory: str | None, reason: str, as_json: bool, quiet: bool) -> int:
    """Keep a backup whatever the policy says, and print its id."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    found = find_anywhere(invocation, reference, directory)
    entry, far = found.entry, found.far

    def start(c: RoutineContext) -> Routine[bool]:
        return pin_backup(c, entry, reason) if far is None else pin_remote(c, far, reason)

    return _change_pin(invocation, entry, "backup pin", start, ("pinned", "was pinned already"))


def unpin(
    *, reference: str, directory: str | None, dry_run: bool, confirmed: tuple[str, ...], as_json: bool, quiet: bool
) -> int:
    """Let the policy decide about a backup again, and print its id."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    found = find_anywhere(invocation, reference, directory)
    entry, far = found.entry, found.far
    consequence = f"lets the policy remove the backup {format_untrusted(entry.backup_id)} again"
    if dry_run:
        return show_plan(invocation, [f"this {consequence}"], (), backup_id=entry.backup_id)
    if entry.is_pinned:
        confirm_yes(consequence, [f"this {consequence}"], entry.backup_id, confirmed)

    def start(c: RoutineContext) -> Routine[bool]:
        return unpin_backup(c, entry) if far is None else unpin_remote(c, far)

    return _change_pin(invocation, entry, "backup unpin", start, ("is pinned no more", "was not pinned"))


def _change_pin(
    invocation: Invocation,
    entry: BackupEntry,
    routine: str,
    start: Callable[[RoutineContext], Any],
    said: tuple[str, str],
) -> int:
    def describe(changed: bool) -> str:
        return f"{entry.backup_id} {said[0] if changed else said[1]}"

    request: JobRequest[bool] = JobRequest(
        routine=routine,
        target=entry.profile,
        subject=entry.backup_id,
        start=start,
        locks=(backup_lock(entry),),
        summary=describe,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, lambda changed: {"backup_id": entry.backup_id, "changed": changed},
                  lambda _changed: entry.backup_id, describe)  # fmt: skip
