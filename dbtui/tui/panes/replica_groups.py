"""Primaries with their replicas, as profiles name them, and what is known of each group from look to look. Pure."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dbtui.analysis.replicas import Track, advance
from dbtui.errors import ConfigError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.replicas import (
    LagStage,
    ReplicasAssessment,
    ReplicasSnapshot,
    ReplicaState,
    ReplicaVerdict,
    ServerReplication,
)
from dbtui.replica_settings import find_replicas

#: So long a past is drawn.
POINTS_SECONDS = 300.0
_MOST_POINTS = 600
#: What is said of a replica in these states is no news of its lag.
_UNSEEN = (ReplicaState.DOWN, ReplicaState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class StagePoint:
    """How far behind a replica was at a moment (monotonic seconds): bytes by stage, of all, and seconds."""

    at: float
    stages: tuple[int | None, ...]
    behind_bytes: int | None
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class Known:
    """The last figures of a replica, and when they were taken."""

    verdict: ReplicaVerdict
    at: datetime


@dataclass(eq=False)
class Group:
    """A primary and its replicas. `profile` is asked first. `problem`: why nothing is looked at, or not any more."""

    profile: ConnectionProfile
    replicas: tuple[ConnectionProfile, ...] = ()
    problem: str = ""
    snapshot: ReplicasSnapshot | None = None
    assessment: ReplicasAssessment | None = None
    before: ReplicasAssessment | None = None
    track: Track = field(default_factory=Track)
    points: dict[str, tuple[StagePoint, ...]] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    servers: dict[str, tuple[ServerReplication, datetime]] = field(default_factory=dict)  # as each was seen last

    @property
    def name(self) -> str:
        """What it is called: as the profile that is asked first."""
        return self.profile.name

    @property
    def is_misconfigured(self) -> bool:
        """Whether its profile names replicas that cannot be: there is nobody to ask."""
        return bool(self.problem and self.profile.replicas) and not self.replicas

    @property
    def profiles(self) -> Mapping[str, ConnectionProfile]:
        """Its profiles by their names."""
        return {each.name: each for each in (self.profile, *self.replicas)}

    @property
    def root(self) -> ServerReplication | None:
        """The primary, as the last look saw it."""
        name = self.assessment.primary if self.assessment is not None else ""
        return self.server(name) if name else None

    def server(self, name: str) -> ServerReplication | None:
        """One server of the last look."""
        servers = self.snapshot.servers if self.snapshot is not None else ()
        return next((each for each in servers if each.profile == name), None)

    def last_seen(self, name: str) -> tuple[ServerReplication, datetime] | None:
        """A server as it was when it could be asked last, and when that was."""
        return self.servers.get(name)

    def take(self, snapshot: ReplicasSnapshot) -> bool:
        """Judge a look, unless it is older than the one that is known; return whether it is news."""
        if self.snapshot is not None and snapshot.monotonic_seconds < self.snapshot.monotonic_seconds:
            return False
        self.before, self.problem = self.assessment, ""
        self.track, self.assessment = advance(self.track, snapshot)
        self.snapshot = snapshot
        for server in snapshot.servers:
            if not server.problem:
                self.servers[server.profile] = (server, snapshot.taken_at)
        root = self.root
        can_tell = root is None or not root.problem
        for verdict in self.assessment.replicas:
            if verdict.state not in _UNSEEN:
                self.known[verdict.key] = Known(verdict, snapshot.taken_at)
            if can_tell and verdict.stages:
                self._remember(verdict, snapshot.monotonic_seconds)
        if can_tell:  # who is gone while the primary can be asked is gone
            keys = {each.key for each in self.assessment.replicas}
            self.known = {key: each for key, each in self.known.items() if key in keys}
            self.points = {key: each for key, each in self.points.items() if key in keys}
        return True

    def _remember(self, verdict: ReplicaVerdict, at: float) -> None:
        found = {each.stage: each.behind_bytes for each in verdict.stages}
        stages = tuple(found.get(stage) for stage in LagStage)
        point = StagePoint(at, stages, verdict.behind_bytes, verdict.lag_seconds)
        kept = [each for each in self.points.get(verdict.key, ()) if each.at > at - POINTS_SECONDS]
        self.points[verdict.key] = (*kept[1 - _MOST_POINTS :], point)

    def gone(self) -> tuple[Known, ...]:
        """Replicas that the last look does not tell of, because their primary cannot be asked."""
        keys = {each.key for each in self.assessment.replicas} if self.assessment is not None else set()
        return tuple(each for key, each in self.known.items() if key not in keys)


def find_groups(
    profiles: Sequence[ConnectionProfile], opened: ConnectionProfile | None, known_replicas: Container[str] = ()
) -> list[Group]:
    """Return every primary whose profile names replicas, with all of those; the one of the open target first.

    `known_replicas`: profiles of servers that were seen to be replicas; whom nobody names is a group of its own.
    """
    known = [*profiles, *([opened] if opened is not None and opened not in profiles else [])]
    named = {name for each in known for name in each.replicas}
    groups = [_make_group(each, known) for each in known if each.replicas and _is_root(each, known, named)]
    shown = {name for each in groups for name in each.profiles}
    groups += [Group(each) for each in known if each.name in known_replicas and each.name not in shown]
    if opened is None:
        return groups
    own = [each for each in groups if opened.name in each.profiles]
    if not own and opened.engine is not EngineName.SQLITE:
        own = [Group(opened)]
    return [*own, *(each for each in groups if each not in own)]


def _is_root(profile: ConnectionProfile, known: Sequence[ConnectionProfile], named: Iterable[str]) -> bool:
    """Whether no other profile names it. Those that name each other in a circle all count: each shows it."""
    if profile.name not in named:
        return True
    return any(profile.name in each.replicas and each.name in profile.replicas for each in known)


def _make_group(profile: ConnectionProfile, known: Sequence[ConnectionProfile]) -> Group:
    try:
        return Group(profile, tuple(_all_replicas(profile, known)))
    except ConfigError as error:
        return Group(profile, problem=f"{error.message}; {error.hint}" if error.hint else error.message)


def _all_replicas(profile: ConnectionProfile, known: Sequence[ConnectionProfile]) -> Iterator[ConnectionProfile]:
    """Yield the replicas of a profile, and theirs. Raises ConfigError."""
    seen, waiting = {profile.name}, list(find_replicas(profile, known))
    while waiting:
        each = waiting.pop(0)
        if each.name not in seen:
            seen.add(each.name)
            yield each
            waiting += find_replicas(each, known)
