"""Replication without servers: a primary with a replica and one below that, paused, late, gone; plans and orders."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, Environment, ServerInfo
from dbtui.model.events import Progressed, Routine, StepStarted
from dbtui.model.replicas import (
    NOT_PAUSED,
    BaseBackupProgress,
    ReplicaAction,
    ReplicaPlan,
    ReplicaResult,
    ReplicasSnapshot,
    ReplicationSlot,
    ReplicaWish,
    ServerReplication,
)
from dbtui.routines.context import RoutineContext
from dbtui.tui import replica_requests as requests
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.replicas import ReplicasPane
from tests.tui.world import World, profile, server, wait_to_see, wait_until
from tests.unit.replica_scenes import END, PG, look, primary, standby, stream

MEGABYTE = 1_000_000
BASE = 50_000.0


def slot(name: str, **fields: Any) -> ReplicationSlot:
    """A slot that is read."""
    known: dict[str, Any] = {"is_active": True, "retained_bytes": 0, "safe_bytes": 1_000_000_000, "status": "reserved"}
    return ReplicationSlot(name=name, **{**known, **fields})


def scene(
    at: float,
    *,
    written: int = 0,
    behind: int = 0,
    pause: str = NOT_PAUSED,
    primary_fields: dict[str, Any] | None = None,
    near_fields: dict[str, Any] | None = None,
) -> ReplicasSnapshot:
    """A look after `at` seconds at `erp`, its replica `near`, and `far`, which receives from `near`.

    `written`: bytes of log since the beginning; `behind`: so many of them `near` has received and not applied.
    """
    end, moment = END + written, BASE + at
    done = end - behind
    below = stream(end, "far", session_id=51, replayed=end)
    known: dict[str, Any] = {"flavour": "PostgreSQL", "version": "15.18", "slots": (slot("near_slot"),)}
    top = primary(stream(end, replayed=done, slot="near_slot"), at=moment, end=end,
                  **{**known, **(primary_fields or {})})  # fmt: skip
    more: dict[str, Any] = {"streams": (below,), "flavour": "PostgreSQL", "version": "15.18", **(near_fields or {})}
    near = standby(moment + 0.01, done, end, receiver={"slot": "near_slot"}, applier={"pause": pause}, **more)
    far = standby(moment + 0.02, done, done, receiver={"source": "10.0.0.2:5432", "name": "far"}, profile="far",
                  address="10.0.0.3:5432", flavour="PostgreSQL", version="15.18")  # fmt: skip
    return _now(look(top, near, far, at=moment), at)


def _now(snapshot: ReplicasSnapshot, at: float) -> ReplicasSnapshot:
    return replace(snapshot, taken_at=datetime.now(UTC) + timedelta(seconds=at / 1000))


def calm(count: int = 5) -> list[ReplicasSnapshot]:
    """Looks at a tree where everybody has everything."""
    return [scene(float(second)) for second in range(count)]


def paused(count: int = 60, megabytes: float = 2.0) -> list[ReplicasSnapshot]:
    """Looks at a replica whose replay is paused while the primary writes."""
    steps = [int(second * megabytes * MEGABYTE) for second in range(count)]
    return [scene(float(second), written=step, behind=step, pause="paused") for second, step in enumerate(steps)]


def threatened(count: int = 20) -> list[ReplicasSnapshot]:
    """Looks at a slot that nobody reads and that keeps more and more, and at a base backup that runs."""
    return [
        scene(float(second), written=second * MEGABYTE, primary_fields={
            "slots": (slot("near_slot"), slot("old_slot", is_active=False, status="extended",
                                              retained_bytes=2_000_000_000 + second * MEGABYTE,
                                              safe_bytes=900_000_000 - second * MEGABYTE)),
            "backups": (BaseBackupProgress(session_id=99, phase="streaming database files",
                                           streamed_bytes=second * 20 * MEGABYTE, total_bytes=1_000_000_000),),
        })
        for second in range(count)
    ]  # fmt: skip


def unreachable(name: str, at: float) -> ServerReplication:
    """A server that cannot be asked."""
    return ServerReplication(profile=name, engine=PG, monotonic_seconds=BASE + at,
                             problem="connection refused on db1:5432")  # fmt: skip


def gone(at: float) -> ReplicasSnapshot:
    """A look when neither the primary nor `near` answers."""
    servers = scene(at).servers
    return _now(look(unreachable("erp", at), unreachable("near", at), servers[2], at=BASE + at), at)


@dataclass
class ReplicaWorld:
    """What the pane is given instead of servers. `watching`: whom a watch looks at now, by group."""

    world: World
    watching: dict[str, Callable[[ReplicasSnapshot], None]] = field(default_factory=dict)
    began: list[tuple[str, tuple[str, ...], bool]] = field(default_factory=list)
    planned: list[tuple[Any, ...]] = field(default_factory=list)
    applied: list[ReplicaPlan] = field(default_factory=list)
    plan_fields: dict[str, Any] = field(default_factory=dict)
    gate: Callable[[RoutineContext], None] = lambda _context: None

    def watch(
        self,
        target: ConnectionProfile,
        replicas: Any,
        _pace: Callable[[], float],
        on_look: Callable[[ReplicasSnapshot], None],
        *,
        is_once: bool = False,
    ) -> JobRequest[int]:
        """A watch that sees what a test shows it."""

        def start(context: RoutineContext) -> Routine[int]:
            ended = threading.Event()

            def show(snapshot: ReplicasSnapshot) -> None:
                on_look(snapshot)
                if is_once:
                    ended.set()

            self.began.append((target.name, tuple(each.name for each in replicas), is_once))
            self.watching[target.name] = show
            try:
                yield StepStarted("look at replicas", target.name)
                while not ended.is_set():
                    context.cancellation.wait(0.02 if is_once else 3600)
                    context.cancellation.check()
            finally:
                if self.watching.get(target.name) is show:
                    del self.watching[target.name]
            return 1

        return JobRequest(routine="watch", target=target.name, start=start, changes=False)

    def plan(
        self,
        target: ConnectionProfile,
        action: ReplicaAction,
        wish: ReplicaWish | None,
        subject: str,
        replicas: Any,
    ) -> JobRequest[ReplicaPlan]:
        """A plan such as the real one's."""

        def make() -> ReplicaPlan:
            self.planned.append((action, wish, subject))
            is_add = action is ReplicaAction.ADD
            dangerous = action in (ReplicaAction.PROMOTE, ReplicaAction.DROP_SLOT)
            known: dict[str, Any] = {
                "consequence": f"does {action.value} to {subject or 'it'}",
                "steps": ("SELECT pg_create_physical_replication_slot('second');", "pg_basebackup -R"),
                "danger": 3 if dangerous else 1,
                "names": (subject,) if dangerous else (),
                "needed_bytes": 48 * MEGABYTE if is_add else None,
                "free_bytes": 77_000 * MEGABYTE if is_add else None,
                **self.plan_fields,
            }
            return ReplicaPlan(action=action, profile=target.name, subject=subject or "second", wish=wish, **known)

        return self.world.returns("plan", target.name, make)

    def work(self, plan: ReplicaPlan, context: RoutineContext) -> Routine[ReplicaResult]:
        """Do nothing, step by step."""
        yield StepStarted("copy the data", plan.subject)
        for tenth in range(1, 11):
            self.gate(context)
            context.cancellation.check()
            yield Progressed(tenth * 5 * MEGABYTE, 50 * MEGABYTE, "bytes")
        self.applied.append(plan)
        return ReplicaResult(plan=plan, seconds=3.0, pid=4711, behind_bytes=0, copied_bytes=50 * MEGABYTE)


def make_replica_world(world: World, monkeypatch: pytest.MonkeyPatch) -> ReplicaWorld:
    """The first target has two replicas with profiles; the pane is answered from here; the terminal has braille."""
    first, *others = world.profiles
    names = ("near", "far")
    first = replace(first, replicas=names, environment=Environment.STAGING)
    replicas = [profile(name, f"postgresql://erp@{name}:5432/erp", world.runner.history.state_dir) for name in names]
    world.profiles = (first, *others, *replicas)
    for each in replicas:
        info: ServerInfo = replace(server(PG, "erp"), role="replica")
        world.statuses[each.name] = replace(world.statuses["erp"], profile=each.name, info=info)
        world.sessions[each.name] = replace(world.sessions["erp"], profile=each.name)
    made = ReplicaWorld(world)
    real_apply = requests.apply

    def apply(target: ConnectionProfile, plan: ReplicaPlan, replicas: Any) -> JobRequest[ReplicaResult]:
        return replace(real_apply(target, plan, replicas), start=lambda context: made.work(plan, context), locks=())

    for name, fake in {"watch": made.watch, "plan": made.plan, "apply": apply}.items():
        monkeypatch.setattr(requests, name, fake)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("LC_ALL", raising=False)
    return made


async def open_replicas(pilot: Pilot[Any], replicated: ReplicaWorld, looks: list[ReplicasSnapshot]) -> ReplicasPane:
    """Go to the pane of a target with replicas, and show it these looks."""
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", "6")
    await wait_until(pilot, lambda: "erp" in replicated.watching, what="a watch")
    pane = cast(ReplicasPane, cast(DbtuiApp, pilot.app).pane)
    for each in looks:
        replicated.watching["erp"](each)
    await wait_until(pilot, lambda: pane.feed.groups[0].snapshot is looks[-1], what="the last look")
    return pane


def patch_live(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and every look is another one: a primary that writes, a replica that applies in leaps."""
    make_replica_world(world, monkeypatch)

    def watch(target: ConnectionProfile, _replicas: Any, pace: Callable[[], float],
              seen: Callable[[ReplicasSnapshot], None], **_options: Any) -> JobRequest[int]:  # fmt: skip
        def start(context: RoutineContext) -> Routine[int]:
            yield StepStarted("look at replicas", target.name)
            for number in itertools.count():
                written, behind = number * 17 * MEGABYTE, number * 31 % 170 * MEGABYTE
                look = scene(number * 2.0, written=written, behind=min(written, behind))
                seen(replace(look, servers=look.servers if target.name == "erp" else look.servers[:1]))
                context.cancellation.wait(pace())
                context.cancellation.check()
            return 0

        return JobRequest(routine="watch", target=target.name, start=start, changes=False)

    monkeypatch.setattr(requests, "watch", watch)
