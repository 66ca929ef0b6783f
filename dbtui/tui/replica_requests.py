"""What the replicas pane asks the runner to do: watching a primary and its replicas, plans, and doing them."""

from collections.abc import Callable, Sequence

from dbtui.analysis.replicas.plan_words import describe_left, describe_result
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaResult, ReplicasSnapshot, ReplicaWish
from dbtui.routines.replica_changes import apply_replica, choose_port, plan_replica, replica_lock
from dbtui.routines.replicas import watch_replicas

_CANCELLING = "What was copied is removed, and the slot that was made for it is dropped."
_ORDERED = "What was ordered of the server may be done all the same."


def watch(
    profile: ConnectionProfile,
    replicas: Sequence[ConnectionProfile],
    pace: Callable[[], float],
    on_look: Callable[[ReplicasSnapshot], None],
    *,
    is_once: bool = False,
) -> JobRequest[int]:
    """Look at a primary and its replicas until it is cancelled, or once; one watch of a primary at a time."""

    def show(snapshot: ReplicasSnapshot) -> bool:
        on_look(snapshot)
        return not is_once

    return JobRequest(
        routine="watch replicas",
        target=profile.name,
        start=lambda context: watch_replicas(context, profile, replicas, pace, show),
        changes=False,
        thread=f"replicas of {profile.name}",
    )


def plan(
    profile: ConnectionProfile,
    action: ReplicaAction,
    wish: ReplicaWish | None,
    subject: str,
    replicas: tuple[ConnectionProfile, ...],
) -> JobRequest[ReplicaPlan]:
    """Plan an order: what is added, promoted, dropped, paused or resumed."""
    return JobRequest(
        routine=f"plan to {action.value}",
        target=profile.name,
        start=lambda context: plan_replica(context, profile, action, wish, subject, replicas),
        changes=False,
    )


def free_port(profile: ConnectionProfile) -> JobRequest[int]:
    """Find a port of this machine that a new replica could listen at."""
    return JobRequest(routine="find a port", target=profile.name, changes=False,
                      start=lambda context: choose_port(context, profile))  # fmt: skip


def apply(
    profile: ConnectionProfile, chosen: ReplicaPlan, replicas: tuple[ConnectionProfile, ...]
) -> JobRequest[ReplicaResult]:
    """Do a plan."""
    return JobRequest(
        routine=f"replicas {chosen.action.value}",
        target=profile.name,
        subject=chosen.subject,
        thread=f"jobs of {profile.name}",
        start=lambda context: apply_replica(context, profile, chosen, replicas),
        locks=(replica_lock(profile, chosen),),
        summary=_summarise,
        cancelling=_CANCELLING if chosen.action is ReplicaAction.ADD else _ORDERED,
    )


def _summarise(done: ReplicaResult) -> str:
    return "; ".join([describe_result(done), *describe_left(done)])
