"""Servers in memory for the tests of watches: they answer, refuse, get lost, or never answer at all."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import cast

from dbtui.adapters.adapter import Adapter, SessionAdapter, Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.errors import Cancelled
from dbtui.model.connections import ConnectionProfile, EngineName, ServerInfo, TargetStatus
from dbtui.model.sessions import Session, SessionsSnapshot
from dbtui.routines.context import RoutineContext
from dbtui.watches import Look

SECONDS = 20.0
INFO = ServerInfo(engine=EngineName.POSTGRESQL, flavour="PostgreSQL", version="15.18", user="dba")


def profile_named(name: str = "erp", engine: EngineName = EngineName.POSTGRESQL) -> ConnectionProfile:
    return ConnectionProfile(name=name, engine=engine, url=f"{engine.value}://dba@{name}:5432/{name}")


@dataclass
class MemoryTarget:
    """An open connection."""

    profile: ConnectionProfile
    cancellation: Cancellation
    server: "MemoryServer"
    info: ServerInfo = INFO

    def close(self) -> None:
        self.server.closed += 1


@dataclass
class MemoryServer:
    """`on_open`, `on_status` and `on_sessions` are called at each question and may raise or block."""

    on_open: Callable[[Cancellation], None] = lambda _cancellation: None
    on_status: Callable[[Cancellation], None] = lambda _cancellation: None
    on_sessions: Callable[[Cancellation], None] = lambda _cancellation: None
    has_sessions: bool = True
    opened: int = 0
    closed: int = 0
    asked: list[str] = field(default_factory=list)
    profiles: list[ConnectionProfile] = field(default_factory=list)

    @property
    def sessions(self) -> SessionAdapter | None:
        return cast(SessionAdapter, self) if self.has_sessions else None

    def collect_status(self, target: Target) -> TargetStatus:
        self.asked.append("status")
        self.on_status(target.cancellation)
        return TargetStatus(profile=target.profile.name, taken_at=datetime.now(UTC), info=target.info)

    def collect_sessions(self, target: Target) -> SessionsSnapshot:
        self.asked.append("sessions")
        self.on_sessions(target.cancellation)
        session = Session(session_id=1, user="erp")
        return SessionsSnapshot(profile=target.profile.name, taken_at=datetime.now(UTC), sessions=(session,))


@dataclass(frozen=True)
class MemoryContext(RoutineContext):
    """A context whose targets are servers in memory, found by the profile's name; "" answers for all others."""

    servers: dict[str, MemoryServer] = field(default_factory=dict)

    @contextmanager
    def open_target(self, profile: ConnectionProfile) -> Iterator[Target]:
        server = self.servers.get(profile.name) or self.servers[""]
        server.profiles.append(profile)
        server.on_open(self.cancellation)
        self.password_of(profile)
        server.opened += 1
        target = MemoryTarget(profile, self.cancellation, server)
        try:
            yield target
        finally:
            target.close()

    def adapter(self, engine: EngineName) -> Adapter:
        return cast(Adapter, Switchboard(self.servers))


@dataclass
class Switchboard:
    """The adapter of all servers in memory: hands each question to the server of its target."""

    servers: dict[str, MemoryServer]

    @property
    def sessions(self) -> SessionAdapter | None:
        return cast(SessionAdapter, self) if all(each.has_sessions for each in self.servers.values()) else None

    def collect_status(self, target: MemoryTarget) -> TargetStatus:
        return target.server.collect_status(target)

    def collect_sessions(self, target: MemoryTarget) -> SessionsSnapshot:
        return target.server.collect_sessions(target)


def never_answer(cancellation: Cancellation) -> None:
    """Block as a driver does whose packets are lost: nothing but a requested stop ends it."""
    interrupted = threading.Event()
    with cancellation.interrupting(interrupted.set):
        interrupted.wait(SECONDS * 3)
    raise Cancelled("interrupted")


class Looks:
    """What a watch published."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Look] = SimpleQueue()

    def __call__(self, look: Look) -> None:
        self.queue.put(look)

    def next(self, is_wanted: Callable[[Look], bool] = lambda _look: True) -> Look:
        """The next look that is wanted."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                look = self.queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise AssertionError("no such look was published") from None
            if is_wanted(look):
                return look

    @property
    def count(self) -> int:
        return self.queue.qsize()


def is_good(look: Look) -> bool:
    return look.status.reachable


def is_bad(look: Look) -> bool:
    return not look.status.reachable
