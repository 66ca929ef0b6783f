"""What `dbtui partitions apply` does: plan, ask, work, tell what became of each step."""

from dataclasses import replace
from typing import Any

from dbtui.analysis.partition_words import (
    describe_done,
    describe_plan,
    describe_policy,
    describe_result,
    judge_result,
    names_to_type,
)
from dbtui.cli import exit_codes
from dbtui.cli.confirm import confirm, confirm_yes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.cli.partitions_fields import plan_fields, result_fields
from dbtui.cli.partitions_reading import check_target, make_plan
from dbtui.cli.partitions_text import format_plan
from dbtui.cli.tables import terminal_width
from dbtui.errors import RefusedError
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import LockPatience, PartitionPlan, PartitionsResult
from dbtui.model.text import format_untrusted
from dbtui.routines.partition_journal import JOURNALS
from dbtui.routines.partitions import apply_partitions, partitions_lock

_WIDTH = 80


def apply(
    *,
    target: str,
    table: str,
    patience_seconds: float,
    dry_run: bool,
    confirmed: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **typed: Any,
) -> int:
    """Bring a table to its policy, after a question, and print what was done."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = check_target(invocation, invocation.target(target))
    if profile.read_only and not dry_run:
        name = format_untrusted(profile.name)
        raise RefusedError(f"partitions apply refused: profile {name} is read-only", "nothing was changed")
    planned = make_plan(invocation, profile, table, typed)
    plan = planned.plan
    lines = format_plan(plan, describe_policy(plan.policy), terminal_width() or _WIDTH)
    refusals = () if plan.steps else plan.refusals  # beside steps they are for somebody to look at
    if dry_run:
        return show_plan(invocation, lines, refusals, target=profile.name, plan=plan_fields(planned))
    if refusals:
        raise RefusedError(f"partitions apply refused: {'; '.join(refusals)}", "nothing was changed")
    for warning in (*plan.warnings, *(f"left alone: {each}" for each in plan.refusals)):
        invocation.printer.warn(warning)
    if not plan.steps:
        return _tell_converged(invocation, profile, plan)
    _confirm(plan, profile, lines, confirmed)
    patience = replace(LockPatience(), seconds=patience_seconds)
    journals = invocation.history.state_dir / JOURNALS
    request: JobRequest[PartitionsResult] = JobRequest(
        routine="partitions apply",
        target=profile.name,
        subject=str(plan.table),
        start=lambda c: apply_partitions(c, profile, plan, journals, patience),
        locks=(partitions_lock(profile, plan.table),),
        summary=describe_result,
        judge=lambda done: judge_result(done, plan.refusals),
    )
    outcome = invocation.run(request, profile)
    return finish(invocation, outcome, lambda done: result_fields(profile.name, done), _data, describe_result)


def _tell_converged(invocation: Invocation, profile: ConnectionProfile, plan: PartitionPlan) -> int:
    said = f"{format_untrusted(str(plan.table))} is as it should be: nothing to do"
    invocation.printer.result("", outcome="succeeded", exit_code=exit_codes.DONE,
                              **result_fields(profile.name, PartitionsResult(table=plan.table)))  # fmt: skip
    invocation.printer.say(said)
    return exit_codes.DONE


def _confirm(plan: PartitionPlan, profile: ConnectionProfile, lines: list[str], confirmed: tuple[str, ...]) -> None:
    consequence = describe_plan(plan, profile)
    names = names_to_type(plan, profile)
    if names:
        confirm(consequence, lines, names, confirmed)
    else:
        confirm_yes(consequence, lines, str(plan.table), confirmed)


def _data(done: PartitionsResult) -> str:
    return "\n".join(describe_done(each) for each in done.results)
