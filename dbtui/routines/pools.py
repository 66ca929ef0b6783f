"""Looking at the saturation ladder of a profile, and at the clients of its PgBouncer."""

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

from dbtui.adapters.adapter import PoolAdapter, Target
from dbtui.adapters.app_pool.collecting import collect_app_pools
from dbtui.adapters.machine import collect_host
from dbtui.adapters.pgbouncer.clients import LinkedServer, RawClient, collect_clients, linked_processes
from dbtui.adapters.pgbouncer.console import Console
from dbtui.adapters.pgbouncer.snapshot import collect_pooler
from dbtui.errors import ConnectError, ServerError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.pools import (
    PoolerClient,
    PoolerClients,
    PoolerSnapshot,
    PoolsSnapshot,
    ServerPool,
)
from dbtui.model.sessions import Session
from dbtui.routines.consoles import code_of, failed_pooler, open_console, opened_console
from dbtui.routines.context import RoutineContext
from dbtui.routines.looks import take_looks
from dbtui.routines.pooler_orders import apply_pooler_order, plan_pooler_order

__all__ = [
    "APP_POOLS_SECONDS",
    "apply_pooler_order",
    "collect_pooler_clients",
    "collect_pools",
    "collect_readings",
    "join_clients",
    "plan_pooler_order",
]

APP_POOLS_SECONDS = 0.5
CLIENTS = 500


# ---------------------------------------------------------------- looking


def collect_pools(c: RoutineContext, profile: ConnectionProfile) -> Routine[PoolsSnapshot]:
    """Look at every tier once. A tier that cannot be reached says so itself."""
    return (yield from collect_readings(c, profile, looks=1))[-1]


def collect_readings(
    c: RoutineContext, profile: ConnectionProfile, looks: int = 2, between_seconds: float = 1.0
) -> Routine[tuple[PoolsSnapshot, ...]]:
    """Look at every tier `looks` times over the same connections: rates are differences of two."""
    return (yield from take_looks(c, profile, "look at pools", lambda: _Tiers(c, profile), looks, between_seconds))


class _Tiers:
    """The connections of one run to server and pooler, made when first asked for."""

    def __init__(self, c: RoutineContext, profile: ConnectionProfile) -> None:
        self._c, self._profile = c, profile
        self._console: Console | None = None
        self._asked = c.adapter(profile.engine).pools
        self._opened = ExitStack()
        self._target: Target | None = None
        self._problem, self._problem_code = "", ""

    def look(self) -> PoolsSnapshot:
        c, profile = self._c, self._profile
        app = collect_app_pools(profile.app_pools, APP_POOLS_SECONDS, c.now()) if profile.app_pools else None
        pooler = self._look_at_pooler() if profile.pgbouncer_url else None
        server = self._look_at_server(self._asked) if self._asked else None
        return PoolsSnapshot(
            profile=profile.name,
            taken_at=c.now(),
            monotonic_seconds=time.monotonic(),
            app=app,
            pooler=pooler,
            server=server,
            host=collect_host(),
            gaps=(self._problem,) if self._problem else (),
            server_problem=self._problem,
            server_problem_code=self._problem_code,
        )

    def _look_at_pooler(self) -> PoolerSnapshot:
        try:
            if self._console is None:
                self._console = open_console(self._c, self._profile)
            return collect_pooler(self._console, self._c.now())
        except (ConnectError, ServerError) as error:
            return failed_pooler(self._profile, self._c.now(), error)

    def _look_at_server(self, asked: PoolAdapter) -> ServerPool | None:
        try:
            if self._target is None:
                self._target = self._opened.enter_context(self._c.open_target(replace(self._profile, read_only=True)))
            self._problem, self._problem_code = "", ""
            return asked.collect_server_pool(self._target)
        except (ConnectError, ServerError) as error:
            self._problem, self._problem_code = str(error), code_of(error)
            return None

    def close(self) -> None:
        if self._console is not None:
            self._console.close()
        self._opened.close()


# ---------------------------------------------------------------- clients


def collect_pooler_clients(
    c: RoutineContext, profile: ConnectionProfile, most: int = CLIENTS
) -> Routine[PoolerClients]:
    """Ask PgBouncer for its clients and the server what those that are linked do there. Raises ConnectError."""
    yield from ()
    with opened_console(c, profile) as console:
        found = collect_clients(console, most)
        source, taken_at = console.source, c.now()
    backends, gap = _ask_backends(c, profile, linked_processes(found.clients))
    clients = tuple(join_client(client, backends) for client in found.clients)
    gaps = (*found.gaps, gap) if gap else found.gaps
    return PoolerClients(source=source, taken_at=taken_at, clients=clients, omitted=found.omitted, gaps=gaps)


def _ask_backends(
    c: RoutineContext, profile: ConnectionProfile, process_ids: tuple[int, ...]
) -> tuple[Mapping[int, Session], str]:
    asked = c.adapter(profile.engine).pools
    if asked is None or not process_ids:
        return {}, ""
    try:
        with c.open_target(replace(profile, read_only=True)) as target:
            return asked.collect_backends(target, process_ids), ""
    except (ConnectError, ServerError) as error:
        return {}, f"what servers do is not known: {error}"


def join_clients(console: Console, now: datetime, most: int, sessions: Iterable[Session] | None) -> PoolerClients:
    """Ask PgBouncer for its clients and add what the server's sessions, seen a moment ago, do for those linked."""
    found = collect_clients(console, most)
    gap = "what servers do is not known: their sessions were not looked at"
    gaps = found.gaps if sessions is not None else (*found.gaps, gap)
    backends = {each.session_id: each for each in sessions or ()}
    clients = tuple(join_client(client, backends) for client in found.clients)
    return PoolerClients(source=console.source, taken_at=now, clients=clients, omitted=found.omitted, gaps=gaps)


def join_client(raw: RawClient, backends: Mapping[int, Session]) -> PoolerClient:
    """Return a client with what its server does; only a link that holds now says whose work a server does."""
    backend = _find_backend(raw.server, backends)
    return PoolerClient(
        database=raw.database,
        user=raw.user,
        application=raw.application,
        client=raw.client,
        state=raw.state,
        wait_seconds=raw.wait_seconds,
        request_seconds=raw.request_seconds,
        connected_seconds=raw.connected_seconds,
        is_tls=raw.is_tls,
        client_id=raw.client_id,
        server_pid=raw.server.process_id if raw.server else None,
        server_state=backend.state if backend else "",
        wait=backend.wait if backend else "",
        transaction_seconds=backend.transaction_seconds if backend else None,
        query_seconds=backend.query_seconds if backend else None,
        sql=backend.sql if backend and backend.state != "idle" else "",
    )


def _find_backend(server: LinkedServer | None, backends: Mapping[int, Session]) -> Session | None:
    """The session with that process number, if it also is at that end of the connection: on another server of the same
    PgBouncer another session may have the number.
    """
    backend = backends.get(server.process_id) if server else None
    if backend is None or server is None:
        return None
    port = backend.client.rpartition(":")[2]
    is_other = server.local_port > 0 and port.isdecimal() and int(port) != server.local_port
    return None if is_other else backend
