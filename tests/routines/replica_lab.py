"""A primary and replicas that are looked at and judged as the command does it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dbtui.analysis.replicas import Track, advance
from dbtui.demo.servers import PostgreSQL
from dbtui.demo.servers.base import Server
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.replicas import ReplicasAssessment, ReplicasSnapshot, ReplicaVerdict, ServerReplication
from dbtui.routines.context import RoutineContext
from dbtui.routines.replicas import ReplicaLooks
from tests.fix_servers import wait_until

MEGABYTE = 1_000_000
FILLER = "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) FROM generate_series(1, %s)"


def profile_of(
    name: str, server: Server, *, user: str = "", password: str = "", engine: EngineName = EngineName.POSTGRESQL
) -> ConnectionProfile:
    """The profile of a server: its superuser's, unless told otherwise."""
    database = "postgres" if engine is EngineName.POSTGRESQL else "mysql"
    login = user or server.superuser
    return ConnectionProfile(
        name=name,
        engine=engine,
        url=f"{engine.value}://{login}@127.0.0.1:{server.port}/{database}",
        database=database,
        password=Secret(password or server.password),
    )


def fill(server: PostgreSQL, megabytes: int) -> None:
    """Write so much log, and a commit at the end."""
    server.execute(FILLER, [megabytes])
    server.execute("CREATE TABLE IF NOT EXISTS marks (at timestamptz)")
    server.execute("INSERT INTO marks VALUES (clock_timestamp())")


@dataclass
class Watcher:
    """Looks over kept connections, remembering what it saw."""

    profile: ConnectionProfile
    replicas: Sequence[ConnectionProfile] = ()
    track: Track = field(default_factory=Track)
    snapshot: ReplicasSnapshot | None = None
    assessment: ReplicasAssessment = field(default_factory=ReplicasAssessment)
    _looks: ReplicaLooks | None = None

    def look(self) -> ReplicasAssessment:
        """Look once more."""
        if self._looks is None:
            self._looks = ReplicaLooks(RoutineContext(), self.profile, self.replicas)
        self.snapshot = self._looks.look()
        self.track, self.assessment = advance(self.track, self.snapshot)
        return self.assessment

    def replica(self, name: str) -> ReplicaVerdict:
        """One replica of the last look."""
        found = [each for each in self.assessment.replicas if each.name == name]
        assert found, [each.name for each in self.assessment.replicas]
        return found[0]

    def server(self, name: str) -> ServerReplication:
        """One server of the last look."""
        assert self.snapshot is not None
        return next(each for each in self.snapshot.servers if each.profile == name)

    def until(self, name: str, is_so: Callable[[ReplicaVerdict], bool], seconds: float = 20.0) -> ReplicaVerdict:
        """Look until something is true of a replica."""

        def is_true() -> bool:
            return any(each.name == name and is_so(each) for each in self.look().replicas)

        try:
            wait_until(is_true, seconds)
        except AssertionError:
            raise AssertionError(f"it did not come true of {name}: {self.assessment}") from None
        return self.replica(name)

    def close(self) -> None:
        """Close its connections."""
        if self._looks is not None:
            self._looks.close()
