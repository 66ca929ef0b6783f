"""What `dbtui replicas add|promote|drop-slot|pause|resume` do: plan, ask, work, tell what was done."""

from dataclasses import replace
from typing import Any

from dbtui.analysis.capture_words import parse_size
from dbtui.analysis.replicas.plan_words import describe_left, describe_plan, describe_result
from dbtui.cli.confirm import confirm, confirm_yes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.cli.replicas_reading import check_target
from dbtui.errors import ConfigError, RefusedError, UsageError
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaResult, ReplicaWish
from dbtui.model.text import format_untrusted
from dbtui.replica_settings import find_replicas
from dbtui.routines.replica_changes import apply_replica, plan_replica, replica_lock


def add(
    *,
    target: str,
    data_directory: str,
    port: int,
    slot: str,
    name: str,
    host: str,
    most_rate: str | None,
    is_spread: bool,
    is_left_stopped: bool,
    **options: Any,
) -> int:
    """Copy TARGET's server into a replica on this machine, and start it."""
    wish = ReplicaWish(
        data_directory=data_directory,
        port=port,
        slot=slot,
        name=name,
        host=host,
        most_bytes_per_second=None if most_rate is None else parse_size("--max-rate", most_rate),
        is_fast_checkpoint=not is_spread,
        is_started=not is_left_stopped,
    )
    return _change(ReplicaAction.ADD, target, "", wish, **options)


def order(action: ReplicaAction, *, target: str, subject: str, **options: Any) -> int:
    """Do something to a replica of TARGET, or to a slot of its server."""
    return _change(action, target, subject, None, **options)


def _change(
    action: ReplicaAction,
    target: str,
    subject: str,
    wish: ReplicaWish | None,
    *,
    dry_run: bool,
    confirmed: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = check_target(invocation.target(target))
    replicas = _replicas(invocation, profile, action, subject)
    named = replicas[-1].name if replicas and _is_of_replica(action) and "://" in subject else subject
    plan = _make_plan(invocation, profile, action, wish, named, replicas)
    lines = describe_plan(plan)
    if dry_run:
        return show_plan(invocation, lines, plan.refusals, target=profile.name, plan=plan)
    if plan.refusals:
        raise RefusedError(f"{action.value} refused: {'; '.join(plan.refusals)}", "nothing was changed")
    for warning in plan.warnings:
        invocation.printer.warn(warning)
    _confirm(plan, lines, confirmed)
    request: JobRequest[ReplicaResult] = JobRequest(
        routine=f"replicas {action.value}",
        target=profile.name,
        subject=plan.subject,
        start=lambda c: apply_replica(c, profile, plan, replicas),
        locks=(replica_lock(profile, plan),),
        summary=describe_result,
    )
    outcome = invocation.run(request, profile)
    for advice in describe_left(outcome.result) if outcome.result is not None else ():
        invocation.printer.say(advice)
    return finish(invocation, outcome, lambda done: _fields(profile, done), describe_result, None)


def _is_of_replica(action: ReplicaAction) -> bool:
    return action in (ReplicaAction.PROMOTE, ReplicaAction.PAUSE, ReplicaAction.RESUME)


def _replicas(
    invocation: Invocation, profile: ConnectionProfile, action: ReplicaAction, subject: str
) -> tuple[ConnectionProfile, ...]:
    """The profile's replicas, and the one that was named, which may be any profile, or a URL."""
    known = find_replicas(profile, invocation.settings.profiles)
    if not _is_of_replica(action) or subject in {profile.name, *(each.name for each in known)}:
        return known
    try:
        named = invocation.target(subject)
    except UsageError as error:
        if isinstance(error, ConfigError) or "://" in subject:
            raise
        return known  # the plan says that it is not known
    if named.engine is not profile.engine:
        said = f"{format_untrusted(subject)} is {named.engine.value}, and {format_untrusted(profile.name)} is not"
        raise UsageError(said, "name a replica of the same engine")
    if named.name in {profile.name, *(each.name for each in known)}:
        named = replace(named, name=f"{named.name} (URL)")
    return (*known, named)


def _make_plan(
    invocation: Invocation,
    profile: ConnectionProfile,
    action: ReplicaAction,
    wish: ReplicaWish | None,
    subject: str,
    replicas: tuple[ConnectionProfile, ...],
) -> ReplicaPlan:
    request: JobRequest[ReplicaPlan] = JobRequest(
        routine=f"plan to {action.value}",
        target=profile.name,
        start=lambda c: plan_replica(c, profile, action, wish, subject, replicas),
        changes=False,
    )
    return invocation.result_of(request, profile)


def _confirm(plan: ReplicaPlan, lines: list[str], confirmed: tuple[str, ...]) -> None:
    if plan.names:
        confirm(plan.consequence, lines, plan.names, confirmed)
    else:
        confirm_yes(plan.consequence, lines, plan.subject, confirmed)


def _fields(profile: ConnectionProfile, done: ReplicaResult) -> dict[str, Any]:
    names = ("pid", "behind_bytes", "copied_bytes", "left")
    return {
        "target": profile.name,
        "action": done.plan.action,
        "subject": done.plan.subject,
        "plan": done.plan,
        **{name: getattr(done, name) for name in names},
    }
