"""Views of replication as servers tell them, written down: a primary, a replica, what they say of each other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dbtui.model.connections import EngineName
from dbtui.model.replicas import (
    Applier,
    Receiver,
    ReplicasSnapshot,
    ReplicaStream,
    ServerReplication,
)

START = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
PG, MY = EngineName.POSTGRESQL, EngineName.MYSQL
END = 1_000_000_000


def stream(at: int = END, name: str = "near", **changes: Any) -> ReplicaStream:
    """A stream whose replica has told that it is at `at` throughout."""
    made = ReplicaStream(name=name, client="10.0.0.2", session_id=41, state="streaming", sync_state="async", sent=at,
                         written=at, flushed=at, replayed=at, reply_age_seconds=1.0)  # fmt: skip
    return replace(made, **changes)


def primary(*streams: ReplicaStream, at: float = 100.0, end: int = END, **changes: Any) -> ServerReplication:
    """A primary that was asked at `at` seconds."""
    made = ServerReplication(profile="erp", engine=PG, address="10.0.0.1:5432", monotonic_seconds=at, system="77",
                             timeline=1, position=end, streams=streams, clock_skew_seconds=0.0)  # fmt: skip
    return replace(made, **changes)


def standby(
    at: float = 100.01,
    replayed: int = END,
    received: int = END,
    *,
    receiver: dict[str, Any] | None = None,
    applier: dict[str, Any] | None = None,
    **changes: Any,
) -> ServerReplication:
    """A replica of it."""
    hears = Receiver(status="streaming", source="10.0.0.1:5432", received=received, source_end=received, name="near",
                     silence_seconds=1.0, silence_limit_seconds=45.0)  # fmt: skip
    applies = Applier(replayed=replayed, replay_age_seconds=12.5)
    made = ServerReplication(
        profile="near",
        engine=PG,
        address="10.0.0.2:5432",
        monotonic_seconds=at,
        is_replica=True,
        system="77",
        timeline=1,
        position=received,
        clock_skew_seconds=0.0,
        receivers=(replace(hears, **(receiver or {})),),
        applier=replace(applies, **(applier or {})),
    )
    return replace(made, **changes)


def look(*servers: ServerReplication, at: float = 100.0) -> ReplicasSnapshot:
    """A look at these servers."""
    return ReplicasSnapshot(
        profile=servers[0].profile, taken_at=START + timedelta(seconds=at), monotonic_seconds=at, servers=servers
    )
