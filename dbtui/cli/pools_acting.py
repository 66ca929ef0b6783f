"""What `dbtui pools pause|resume|reload|reconnect|kill` do: plan, ask, order, tell what came of it."""

from typing import Any

from dbtui.cli.confirm import confirm, confirm_yes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.cli.pools_reading import check_target
from dbtui.errors import RefusedError
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.pools import PoolerPlan, PoolerResult, PoolerVerb
from dbtui.model.text import format_untrusted
from dbtui.routines.pools import apply_pooler_order, plan_pooler_order


def give_order(
    verb: PoolerVerb,
    *,
    target: str,
    database: str | None,
    dry_run: bool,
    confirmed: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Give PgBouncer an order, after a question, and print what came of it."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = check_target(invocation.target(target))
    planning: JobRequest[PoolerPlan] = JobRequest(
        routine="plan an order to PgBouncer",
        target=profile.name,
        start=lambda c: plan_pooler_order(c, profile, verb, database or ""),
        changes=False,
    )
    plan = invocation.result_of(planning, profile)
    lines = show_order_plan(plan)
    if dry_run:
        return show_plan(invocation, lines, plan.refusals, plan=plan, target=profile.name)
    if plan.refusals:
        raise RefusedError(f"{verb.value} refused: {'; '.join(plan.refusals)}", "nothing was changed")
    _confirm(plan, profile, lines, confirmed)
    order: JobRequest[PoolerResult] = JobRequest(
        routine=f"pools {verb.value}",
        target=profile.name,
        subject=plan.command,
        start=lambda c: apply_pooler_order(c, profile, plan),
        summary=lambda done: done.detail or plan.command,
    )
    return finish(invocation, invocation.run(order, profile), lambda done: _fields(profile, done),
                  lambda done: done.detail, None)  # fmt: skip


def _confirm(plan: PoolerPlan, profile: ConnectionProfile, lines: list[str], confirmed: tuple[str, ...]) -> None:
    """What drops clients, or is in production, wants names typed; the rest a yes."""
    name = plan.database or profile.name
    names = [plan.database] if plan.verb is PoolerVerb.KILL else []
    names += [plan.confirm] if plan.confirm and plan.confirm not in names else []
    if names:
        confirm(plan.consequence, lines, names, confirmed)
    else:
        confirm_yes(plan.consequence, lines, name, confirmed)


def show_order_plan(plan: PoolerPlan) -> list[str]:
    """Return the lines of a plan: the consequence, the command, how to undo it, what speaks against it."""
    lines = [f"this {plan.consequence}", f"  order     {plan.command}"]
    lines += [f"  undo      {plan.undo}"] if plan.undo else []
    lines += [f"  warning   {each}" for each in plan.warnings]
    lines += [f"  refused   {each}" for each in plan.refusals]
    return [format_untrusted(line) for line in lines]


def _fields(profile: ConnectionProfile, done: PoolerResult) -> dict[str, Any]:
    return {"target": profile.name, "verb": done.verb, "database": done.database, "detail": done.detail}
