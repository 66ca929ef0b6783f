"""A primary with replicas, an application on them, and ways to hurt them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from dbtui.demo.servers.base import Server
from dbtui.errors import ToolError
from dbtui.instrument import ReadWriteSession, ReplicaSet, create_engine
from dbtui.instrument.routing_postgresql import PostgreSQLLog
from dbtui.instrument.routing_states import ReplicaState
from tests.fix_servers import wait_until

GENEROUS = 60.0


class Base(DeclarativeBase):
    """The application's tables."""


class Owner(Base):
    """Has items."""

    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60), default="")
    items: Mapped[list["Item"]] = relationship(back_populates="owner", cascade="all, delete-orphan")


class Item(Base):
    """Has an owner and a number."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(default=0)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))
    owner: Mapped[Owner | None] = relationship(back_populates="items")


#: Which server serves: a plain read for a set that knows this function as harmless.
PORT = select(func.inet_server_port())


@dataclass
class Lab:
    """Two replicas of a primary."""

    primary: PostgreSQL
    replicas: list[PostgreSQLReplica]
    sets: list[ReplicaSet] = field(default_factory=list)

    @property
    def ports(self) -> set[int]:
        """The replicas' ports."""
        return {each.port for each in self.replicas}

    def url(self, server: PostgreSQL) -> str:
        """The URL of a server's database."""
        return server.url("postgres")

    def make_set(self, *, engine_options: dict[str, Any] | None = None, **options: Any) -> ReplicaSet:
        """A set of engines over these servers, which looks often; closed at the end."""
        engines = [create_engine(self.url(each), **(engine_options or {})) for each in (self.primary, *self.replicas)]
        options = {"look_seconds": 0.2, "wait_seconds": 5.0, "harmless_functions": ["inet_server_port"], **options}
        made = ReplicaSet(engines[0], engines[1:], **options)
        self.sets.append(made)
        return made

    def open_set(self, **options: Any) -> ReplicaSet:
        """The same, when every replica is read from."""
        made = self.make_set(**options)
        made.start()
        wait_until(lambda: all(each.is_read_from for each in made.states()), GENEROUS)
        return made

    def close(self) -> None:
        """Close the sets and their engines."""
        for each in self.sets:
            each.close()
            for engine in each.engines:
                engine.dispose()
        self.sets.clear()

    def restore(self) -> None:
        """Undo what a test, perhaps a failed one, did to the replicas."""
        for each in self.replicas:
            each.execute("SELECT pg_wal_replay_resume()")
            each.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
            each.execute("SELECT pg_reload_conf()")

    def wait_for_replay(self) -> None:
        """Wait until every replica has what was committed so far."""
        engine, log = create_engine(self.url(self.primary)), PostgreSQLLog()
        with closing(engine.raw_connection()) as raw:
            position = log.format(log.ask_position(raw.dbapi_connection)).partition(":")[2]
        engine.dispose()
        for each in self.replicas:
            wait_until(lambda server=each: has_replayed(server, position), GENEROUS)  # type: ignore[misc]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Replay stands still on every replica meanwhile."""
        for each in self.replicas:
            each.execute("SELECT pg_wal_replay_pause()")
            wait_until(lambda server=each: is_paused(server), GENEROUS)  # type: ignore[misc]
        try:
            yield
        finally:
            for each in self.replicas:
                each.execute("SELECT pg_wal_replay_resume()")


def has_replayed(server: PostgreSQL, position: str) -> bool:
    """Whether a replica has replayed up to a position."""
    return bool(server.execute("SELECT pg_last_wal_replay_lsn() >= %s", [position])[0][0])


def is_paused(server: PostgreSQL) -> bool:
    """Whether replay has come to its stand."""
    return bool(server.execute("SELECT pg_get_wal_replay_pause_state() = 'paused'")[0][0])


def kill_server(server: Server) -> None:
    """End a server with the signal that it cannot hear; a postmaster's children find out by themselves."""
    assert server.process
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()


def restart_server(server: Server) -> None:
    """Start a killed server again, as soon as its last child has gone."""

    def starts() -> bool:
        try:
            server.start()
        except ToolError:
            return False
        return True

    wait_until(starts, GENEROUS)


def port_of(session: ReadWriteSession) -> int:
    """Where the session reads."""
    found = session.scalar(PORT)
    assert found is not None
    return int(found)


def state_of(replicas: ReplicaSet, server: PostgreSQL) -> ReplicaState:
    """How a server's replica is seen."""
    return next(each for each in replicas.states() if f":{server.port}/" in each.name)


def wait_for_state(replicas: ReplicaSet, server: PostgreSQL, is_so: Callable[[ReplicaState], bool]) -> ReplicaState:
    """Wait until something is true of a server's replica."""
    wait_until(lambda: is_so(state_of(replicas, server)), GENEROUS)
    return state_of(replicas, server)
