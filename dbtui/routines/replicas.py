"""Looking at a primary and its configured replicas: one after another, each with a short limit of its own.

The primary is asked first. So whatever a replica has of the primary's log by then, it has of everything that was
committed before the look began. One that cannot be asked is a server with a problem, and is tried again more rarely.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from dbtui.adapters.adapter import ReplicaAdapter, Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, DbtuiError, ServerError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Progressed, Routine
from dbtui.model.replicas import ReplicasSnapshot, ServerReplication
from dbtui.routines.context import RoutineContext
from dbtui.routines.looks import take_looks

CONNECT_SECONDS, STATEMENT_SECONDS = 3, 3
#: A server that has not answered for so long is taken for lost, whatever its network says.
_OPENING_SECONDS, _LOOKING_SECONDS = 5.0, 5.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 30.0
_UNSUPPORTED = "SQLite is a file: it has no replicas"


def collect_replicas(
    c: RoutineContext, profile: ConnectionProfile, replicas: Sequence[ConnectionProfile]
) -> Routine[ReplicasSnapshot]:
    """Look once. Raises AuthenticationError when the first server refuses the login, Cancelled."""
    return (yield from collect_replica_looks(c, profile, replicas, looks=1))[-1]


def collect_replica_looks(
    c: RoutineContext,
    profile: ConnectionProfile,
    replicas: Sequence[ConnectionProfile],
    looks: int = 2,
    between_seconds: float = 1.0,
) -> Routine[tuple[ReplicasSnapshot, ...]]:
    """Look `looks` times over the same connections: rates and countdowns are differences of two."""
    return (
        yield from take_looks(
            c, profile, "look at replicas", lambda: ReplicaLooks(c, profile, replicas), looks, between_seconds
        )
    )


def watch_replicas(
    c: RoutineContext,
    profile: ConnectionProfile,
    replicas: Sequence[ConnectionProfile],
    every_seconds: float | Callable[[], float],
    show: Callable[[ReplicasSnapshot], bool],
) -> Routine[int]:
    """Look again and again, over kept connections, until `show` returns False; return how often. Raises Cancelled.

    `every_seconds`: between two looks, or what says it anew after each.
    """
    asked = ReplicaLooks(c, profile, replicas)
    count = 0
    try:
        while True:
            began = time.monotonic()
            count += 1
            if not show(asked.look()):
                return count
            yield Progressed(count, None, "looks")
            pause = every_seconds() if callable(every_seconds) else every_seconds
            c.cancellation.wait(max(0.0, began + pause - time.monotonic()))
            c.cancellation.check()
    finally:
        asked.close()


class ReplicaLooks:
    """The connections to a primary and its replicas, made when first asked for and kept. For one thread."""

    def __init__(self, c: RoutineContext, profile: ConnectionProfile, replicas: Sequence[ConnectionProfile]) -> None:
        self._c, self._profile = c, profile
        adapter = c.adapter(profile.engine).replicas
        self._servers = [_Server(c, each, adapter) for each in (profile, *replicas)] if adapter is not None else []

    def look(self) -> ReplicasSnapshot:
        """Ask every server. Raises Cancelled, and AuthenticationError when the first refuses the first login."""
        taken_at, monotonic_seconds = self._c.now(), time.monotonic()
        servers = []
        for position, server in enumerate(self._servers):
            servers.append(server.ask())
            if position == 0 and server.refusal is not None:
                raise server.refusal
        return ReplicasSnapshot(
            profile=self._profile.name,
            taken_at=taken_at,
            monotonic_seconds=monotonic_seconds,
            servers=tuple(servers),
            unsupported="" if self._servers else _UNSUPPORTED,
        )

    def close(self) -> None:
        """Close every connection."""
        for server in self._servers:
            server.close()


class _Server:
    """One server: its connection, and when it may be tried again."""

    def __init__(self, c: RoutineContext, profile: ConnectionProfile, adapter: ReplicaAdapter) -> None:
        self._c, self._adapter = c, adapter
        self._profile = replace(
            profile, read_only=True, connect_seconds=CONNECT_SECONDS, statement_seconds=STATEMENT_SECONDS
        )
        self._opened = ExitStack()
        self._target: Target | None = None
        self._cancellation = Cancellation()
        self._failures, self._next_try = 0, 0.0
        self._problem: DbtuiError | None = None
        self._was_seen = False

    @property
    def refusal(self) -> AuthenticationError | None:
        """What was said to the first login of all, when that was refused."""
        problem = self._problem
        return problem if isinstance(problem, AuthenticationError) and not self._was_seen else None

    def ask(self) -> ServerReplication:
        """Return its own view, or a server with a problem. Raises Cancelled."""
        if self._problem is not None and time.monotonic() < self._next_try:
            return self._with_problem(self._problem)
        try:
            found = self._look()
        except Cancelled:
            self._c.cancellation.check()
            return self._fail(ConnectError("the server did not answer in time", "check the network and the server"))
        except DbtuiError as error:
            return self._fail(error)
        self._failures, self._problem, self._was_seen = 0, None, True
        return found

    def _look(self) -> ServerReplication:
        if self._target is None:
            self._cancellation = Cancellation()
        own = self._cancellation
        with self._c.cancellation.interrupting(lambda: own.request(self._c.cancellation.reason)):
            if self._target is None:
                context = replace(self._c, cancellation=own)
                with DEADLINES.limiting(_OPENING_SECONDS, own):
                    self._target = self._opened.enter_context(context.open_target(self._profile))
            with DEADLINES.limiting(_LOOKING_SECONDS, own):
                return self._adapter.collect_replication(self._target)

    def _fail(self, error: DbtuiError) -> ServerReplication:
        self.close()
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**self._failures)
        self._failures, self._problem, self._next_try = self._failures + 1, error, time.monotonic() + pause
        return self._with_problem(error)

    def _with_problem(self, error: DbtuiError) -> ServerReplication:
        return ServerReplication(
            profile=self._profile.name,
            engine=self._profile.engine,
            monotonic_seconds=time.monotonic(),
            problem=str(error),
            problem_code=error.code if isinstance(error, (ConnectError, ServerError)) else "",
        )

    def close(self) -> None:
        """Close its connection."""
        self._target = None
        self._opened.close()
