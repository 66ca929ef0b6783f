"""What `dbtui backup push|pull` do: look at both sides, ship, tell."""

from typing import Any

from dbtui.analysis.backups.shipping_words import PUSH_CANCELLING, describe_pull, describe_push
from dbtui.cli import plans
from dbtui.cli.backup_finding import find_entry
from dbtui.cli.backup_remotes import choose_remote, fetch_directory, find_in_remotes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.errors import RefusedError
from dbtui.jobs import JobRequest
from dbtui.model.shipping import PullPlan, PushPlan, ShippingResult
from dbtui.routines.backups.pull import apply_pull, plan_pull
from dbtui.routines.backups.push import apply_push, plan_push


def push(
    *, reference: str, remote: str | None, directory: str | None, dry_run: bool, as_json: bool, quiet: bool
) -> int:
    """Send a copy of a backup and print its address."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    entry = find_entry(invocation, reference, directory)
    address = choose_remote(invocation, entry, remote)
    planning: JobRequest[PushPlan] = JobRequest(
        routine="push plan",
        target=entry.profile,
        start=lambda c: plan_push(c, entry, address),
        changes=False,
    )
    plan = invocation.result_of(planning)
    if dry_run:
        return _show(invocation, plan)
    if plan.refusals:
        raise RefusedError(f"push refused: {'; '.join(plan.refusals)}")
    request = JobRequest(
        routine="backup push",
        target=entry.profile,
        subject=f"{entry.backup_id} to {address}",
        start=lambda c: apply_push(c, plan),
        locks=(f"push of {entry.backup_id} to {address}",),
        summary=describe_push,
        cancelling=PUSH_CANCELLING,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, _fields, lambda done: done.path, describe_push)


def pull(*, reference: str, directory: str | None, dry_run: bool, as_json: bool, quiet: bool) -> int:
    """Fetch a copy of a backup and print its path."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    wanted = find_in_remotes(invocation, reference)
    planning: JobRequest[PullPlan] = JobRequest(
        routine="pull plan",
        target=str(wanted.address),
        start=lambda c: plan_pull(
            c,
            wanted.address,
            wanted.reference,
            lambda manifest: fetch_directory(invocation, manifest.profile, directory),
            wanted.origin,
        ),
        changes=False,
    )
    plan = invocation.result_of(planning)
    if dry_run:
        return _show(invocation, plan)
    if plan.refusals:
        raise RefusedError(f"pull refused: {'; '.join(plan.refusals)}")
    request = JobRequest(
        routine="backup pull",
        target=plan.manifest.profile,
        subject=f"{plan.backup_id} from {plan.address}",
        start=lambda c: apply_pull(c, plan),
        locks=(f"pull of {plan.backup_id} into {plan.directory}",),
        summary=describe_pull,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, _fields, lambda done: done.path, describe_pull)


def _show(invocation: Invocation, plan: PushPlan | PullPlan) -> int:
    return show_plan(
        invocation, plans.show_shipping_plan(plan), plan.refusals, plan=plans.shipping_fields(plan),
        backup_id=plan.backup_id,
    )  # fmt: skip


def _fields(done: ShippingResult) -> dict[str, Any]:
    return {"backup_id": done.backup_id, "shipping": done}
