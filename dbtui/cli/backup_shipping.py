"""What `dbtui backup push|pull` do: look at both sides, ship, tell."""

from typing import Any

from dbtui.cli import plans
from dbtui.cli.backup_finding import find_entry
from dbtui.cli.backup_remotes import choose_remote, fetch_directory, find_in_remotes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.errors import RefusedError
from dbtui.jobs import JobRequest
from dbtui.model.shipping import PullPlan, PushPlan, ShippingResult
from dbtui.model.text import format_bytes, format_duration
from dbtui.routines.backups.pull import apply_pull, plan_pull
from dbtui.routines.backups.push import apply_push, plan_push

_PUSH_CANCELLING = "What was sent stays; the next push goes on from there."


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
        summary=_summarise_push,
        cancelling=_PUSH_CANCELLING,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, _fields, lambda done: done.path, _summarise_push)


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
            wanted.database,
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
        summary=_summarise_pull,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, _fields, lambda done: done.path, _summarise_pull)


def _show(invocation: Invocation, plan: PushPlan | PullPlan) -> int:
    return show_plan(
        invocation, plans.show_shipping_plan(plan), plan.refusals, plan=plans.shipping_fields(plan),
        backup_id=plan.backup_id,
    )  # fmt: skip


def _summarise_push(done: ShippingResult) -> str:
    if done.was_there:
        return f"{done.backup_id}: a whole copy is in {done.remote} already"
    how = f", confirmed by {_CONFIRMED[done.confirmation]}" if done.confirmation else ""
    return f"{done.backup_id}: {_describe_moved(done)} sent to {done.remote}{_describe_time(done)}{how}"


def _summarise_pull(done: ShippingResult) -> str:
    if done.was_there:
        return f"{done.backup_id}: is here already, the same: {done.path}"
    return (
        f"{done.backup_id}: {_describe_moved(done)} fetched from {done.remote}{_describe_time(done)}, checksums equal"
    )


_CONFIRMED = {"checksum": "its checksum", "read back": "reading it back", "size": "its size alone"}


def _describe_moved(done: ShippingResult) -> str:
    if done.moved_files < done.files:
        return f"{format_bytes(done.moved_bytes)} that were missing of {format_bytes(done.size_bytes)}"
    return format_bytes(done.size_bytes)


def _describe_time(done: ShippingResult) -> str:
    if done.seconds < 1:
        return ""
    return f" in {format_duration(done.seconds)} ({format_bytes(round(done.moved_bytes / done.seconds))}/s)"


def _fields(done: ShippingResult) -> dict[str, Any]:
    return {"backup_id": done.backup_id, "shipping": done}
