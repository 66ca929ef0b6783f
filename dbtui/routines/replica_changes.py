"""Changing replication: planned by what the servers say now, looked at again before it is done."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from dbtui.adapters.adapter import ReplicaAdapter, Target
from dbtui.analysis.replicas import assess_replicas
from dbtui.analysis.replicas.adding import complete_wish, plan_addition
from dbtui.analysis.replicas.planning import plan_order, plan_slot_drop
from dbtui.errors import ConnectError, RefusedError, UsageError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import CommandRan, Routine, StepFinished, StepStarted
from dbtui.model.replicas import (
    ReplicaAction,
    ReplicaPlan,
    ReplicaResult,
    ReplicasSnapshot,
    ReplicaWish,
)
from dbtui.model.text import format_untrusted
from dbtui.routines.context import RoutineContext
from dbtui.routines.replicas import collect_replicas

#: How long a promotion may take until it is told as not done; it goes on then.
PROMOTION_SECONDS = 600.0
_HIGHEST_PORT, _MOST_TRIED = 65_535, 50
_USUAL_PORT = 5432


def replica_lock(profile: ConnectionProfile, plan: ReplicaPlan) -> str:
    """Return the name of a change's lock: one at a time fills a directory, or changes a replica or a slot."""
    if plan.action is ReplicaAction.ADD and plan.wish is not None:
        return f"replica in {plan.wish.data_directory}"
    return f"{'slot' if plan.action is ReplicaAction.DROP_SLOT else 'replica'} {plan.subject} of {profile.url}"


def plan_replica(
    c: RoutineContext,
    profile: ConnectionProfile,
    action: ReplicaAction,
    wish: ReplicaWish | None,
    subject: str,
    replicas: tuple[ConnectionProfile, ...],
) -> Routine[ReplicaPlan]:
    """Plan one change. `wish`: of a replica to add; `subject`: a replica's profile, or a slot of `profile`'s server.

    Changes nothing; what speaks against it is in the plan. Raises ConnectError, ServerError, UsageError, Cancelled.
    """
    began = time.monotonic()
    yield StepStarted("plan", f"{action.value} on {profile.name}")
    adapter = _adapter(c, profile)
    if action is ReplicaAction.ADD:
        if wish is None:
            raise UsageError("nothing is said of the replica to add", "name its data directory and port")
        plan = _plan_addition(c, profile, adapter, wish)
    else:
        snapshot = yield from collect_replicas(c, profile, replicas)
        plan = _plan_subject(c, profile, adapter, action, subject, snapshot, replicas)
    yield StepFinished("plan", time.monotonic() - began)
    return plan


def apply_replica(
    c: RoutineContext, profile: ConnectionProfile, plan: ReplicaPlan, replicas: tuple[ConnectionProfile, ...]
) -> Routine[ReplicaResult]:
    """Do what was planned, after planning it again: what has come to speak against it since then refuses it.

    Raises RefusedError, ConnectError, ServerError, ToolError, StorageError, Cancelled.
    """
    again = yield from plan_replica(c, profile, plan.action, plan.wish, plan.subject, replicas)
    if again.refusals:
        raise RefusedError(f"{plan.action.value} refused: {'; '.join(again.refusals)}", "nothing was changed")
    adapter = _adapter(c, profile)
    if plan.action is ReplicaAction.ADD:
        with c.open_target(profile) as target:
            addition = adapter.prepare_addition(target, again)
            c.unfinished.append(addition)
            return (yield from addition.run())
    began = time.monotonic()
    chosen = profile if plan.action is ReplicaAction.DROP_SLOT else _chosen(plan.subject, profile, replicas)
    with c.open_target(chosen) as target:
        yield StepStarted(plan.action.value, plan.subject)
        yield from _order(adapter, target, plan)
        yield StepFinished(plan.action.value, time.monotonic() - began)
    return ReplicaResult(plan=again, seconds=time.monotonic() - began)


def _order(adapter: ReplicaAdapter, target: Target, plan: ReplicaPlan) -> Routine[None]:
    if plan.action is ReplicaAction.PROMOTE:
        yield from adapter.promote(target, PROMOTION_SECONDS)
        return
    for order in adapter.show_orders(target, plan.action, plan.subject):
        yield CommandRan(order)
    if plan.action is ReplicaAction.PAUSE:
        adapter.pause_replay(target)
    elif plan.action is ReplicaAction.RESUME:
        adapter.resume_replay(target)
    else:
        adapter.drop_slot(target, plan.subject)


# ---------------------------------------------------------------- planning


def _plan_addition(
    c: RoutineContext, profile: ConnectionProfile, adapter: ReplicaAdapter, wish: ReplicaWish
) -> ReplicaPlan:
    if not wish.data_directory.strip() or "\0" in wish.data_directory or "\n" in wish.data_directory:
        raise UsageError("the data directory has no name", "give --data-dir DIR")
    typed = Path(wish.data_directory).expanduser()
    directory = os.path.abspath(typed)  # noqa: PTH100 - a link is not followed: somebody may turn it meanwhile
    if directory == os.sep:
        raise UsageError("the root directory is no place for a replica", "name a directory of its own")
    whole = complete_wish(replace(wish, data_directory=directory))
    with c.open_target(replace(profile, read_only=True)) as target:
        facts = adapter.collect_addition(target, whole)
    return plan_addition(profile, whole, facts)


def _plan_subject(
    c: RoutineContext,
    profile: ConnectionProfile,
    adapter: ReplicaAdapter,
    action: ReplicaAction,
    subject: str,
    snapshot: ReplicasSnapshot,
    replicas: tuple[ConnectionProfile, ...],
) -> ReplicaPlan:
    if action is ReplicaAction.DROP_SLOT:
        asked = snapshot.servers[0]
        if asked.problem:
            raise ConnectError(asked.problem, code=asked.problem_code)
        orders = _orders(c, profile, adapter, action, subject)
        return plan_slot_drop(profile, subject, snapshot, orders)
    assessment = assess_replicas(snapshot)
    found = _find(subject, profile, replicas)
    is_there = any(each.profile == subject and each.is_replica and not each.problem for each in snapshot.servers)
    orders = _orders(c, found, adapter, action, subject) if found is not None and is_there else ()
    plan = plan_order(profile, action, subject, snapshot, assessment, orders)
    if found is not None and found.read_only:
        return replace(plan, refusals=(*plan.refusals, f"profile {format_untrusted(found.name)} is read-only"))
    return plan


def _orders(
    c: RoutineContext, profile: ConnectionProfile, adapter: ReplicaAdapter, action: ReplicaAction, subject: str
) -> tuple[str, ...]:
    with c.open_target(replace(profile, read_only=True)) as target:
        return adapter.show_orders(target, action, subject)


def _find(
    subject: str, profile: ConnectionProfile, replicas: tuple[ConnectionProfile, ...]
) -> ConnectionProfile | None:
    return next((each for each in (profile, *replicas) if each.name == subject), None)


def _chosen(subject: str, profile: ConnectionProfile, replicas: tuple[ConnectionProfile, ...]) -> ConnectionProfile:
    found = _find(subject, profile, replicas)
    if found is None:
        raise UsageError(f"{format_untrusted(subject)} is no replica that is known here", "name its profile")
    return found


def _adapter(c: RoutineContext, profile: ConnectionProfile) -> ReplicaAdapter:
    adapter = c.adapter(profile.engine).replicas
    if adapter is None:
        raise UsageError(f"{format_untrusted(profile.name)} is an SQLite file: it has no replicas", "name a server")
    return adapter


def choose_port(c: RoutineContext, profile: ConnectionProfile) -> Routine[int]:
    """Return the next port after that of a profile's server that is free on this machine: a proposal."""
    yield from ()
    try:
        first = urlsplit(profile.url).port or _USUAL_PORT
    except ValueError:  # several hosts, each with its port
        first = _USUAL_PORT
    ports = range(min(first + 1, _HIGHEST_PORT), min(first + _MOST_TRIED, _HIGHEST_PORT) + 1)
    for port in ports:
        c.cancellation.check()
        if _is_free(port):
            return port
    return ports[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
