"""A place for replicas that are added by the product itself: their servers are ended, however a test ends."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dbtui.adapters.driving import exhaust
from dbtui.demo.servers import PostgreSQL
from dbtui.demo.servers.base import choose_port
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import CommandRan, Event, Progressed, StepStarted, Warned
from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaResult, ReplicaWish
from dbtui.routines.context import RoutineContext
from dbtui.routines.replica_changes import apply_replica, plan_replica
from tests.fix_servers import unique_name, wait_until
from tests.routines.replica_lab import profile_of


@dataclass
class Told:
    """What a run has said."""

    events: list[Event] = field(default_factory=list)

    @property
    def steps(self) -> list[str]:
        """The names of its steps."""
        return [each.step for each in self.events if isinstance(each, StepStarted)]

    @property
    def commands(self) -> list[str]:
        """What it ran."""
        return [each.text for each in self.events if isinstance(each, CommandRan)]

    @property
    def warnings(self) -> list[str]:
        """What it warned of."""
        return [each.message for each in self.events if isinstance(each, Warned)]

    @property
    def copied(self) -> list[Progressed]:
        """How far its copy was."""
        return [each for each in self.events if isinstance(each, Progressed) and each.unit == "bytes"]


@dataclass
class Site:
    """A primary, and a directory of its account in which replicas are made."""

    primary: PostgreSQL
    place: Path
    told: Told = field(default_factory=Told)

    @classmethod
    def of(cls, primary: PostgreSQL) -> "Site":
        """A new place, closed to others."""
        return cls(primary, primary.directory.add_subdirectory(unique_name("place"), primary.account))

    @property
    def profile(self) -> ConnectionProfile:
        """The primary's."""
        return profile_of("erp", self.primary)

    def wish(self, folder: str = "near", **changes: object) -> ReplicaWish:
        """A replica in a directory of that name, at a free port."""
        made = ReplicaWish(data_directory=str(self.place / folder), port=choose_port())
        return replace(made, **changes)  # type: ignore[arg-type]

    def plan(
        self,
        wish: ReplicaWish | None = None,
        action: ReplicaAction = ReplicaAction.ADD,
        subject: str = "",
        replicas: tuple[ConnectionProfile, ...] = (),
        profile: ConnectionProfile | None = None,
    ) -> ReplicaPlan:
        """Plan as both doors do."""
        return exhaust(plan_replica(RoutineContext(), profile or self.profile, action, wish, subject, replicas))

    def apply(
        self,
        plan: ReplicaPlan,
        replicas: tuple[ConnectionProfile, ...] = (),
        profile: ConnectionProfile | None = None,
        on_event: Callable[[RoutineContext, Event], None] | None = None,
    ) -> ReplicaResult:
        """Do a plan; `on_event` hears what it says, and may cancel it."""
        context = RoutineContext()
        self.told = Told()

        def note(event: Event) -> None:
            self.told.events.append(event)
            if on_event is not None:
                on_event(context, event)

        return exhaust(apply_replica(context, profile or self.profile, plan, replicas), note)

    def add(self, wish: ReplicaWish) -> ReplicaResult:
        """Plan and do it."""
        plan = self.plan(wish)
        assert not plan.refusals, plan.refusals
        return self.apply(plan)

    def replica_profile(self, name: str, port: int) -> ConnectionProfile:
        """The profile of a replica that was added: its logins are the primary's."""
        primary = self.profile
        return replace(primary, name=name, url=primary.url.replace(f":{self.primary.port}/", f":{port}/"))

    def ask(self, port: int, sql: str) -> list[tuple[object, ...]]:
        """Ask a replica something."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=port, user="postgres", password=self.primary.password, dbname="postgres"
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def slots(self) -> list[str]:
        """The primary's slots."""
        return [str(row[0]) for row in self.primary.execute("SELECT slot_name FROM pg_replication_slots ORDER BY 1")]

    def left(self) -> list[str]:
        """What is in the place."""
        return sorted(each.name for each in self.place.iterdir())

    def close(self) -> None:
        """End the servers in the place, and drop the slots they had."""
        for file in self.place.glob("*/postmaster.pid"):
            self.end(file.parent)
        self.primary.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
        wait_until(lambda: not self.primary.execute("SELECT 1 FROM pg_replication_slots WHERE active"))
        self.primary.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")

    def end(self, directory: Path) -> None:
        """End a replica's server at once."""
        file = directory / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError, ProcessLookupError):
            os.kill(int(file.read_text().splitlines()[0]), signal.SIGQUIT)
        wait_until(lambda: not file.exists(), 60)


def sites(primary: PostgreSQL) -> Iterator[Site]:
    """Yield a site and end its servers afterwards."""
    site = Site.of(primary)
    try:
        yield site
    finally:
        site.close()
