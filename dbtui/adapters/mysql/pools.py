"""The connections that a MySQL or MariaDB server takes, and who holds them."""

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.holders import merge_holders
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.sessions import collect_sessions
from dbtui.adapters.mysql.status import reckon_start
from dbtui.model.pools import ServerHolder, ServerPool, ServerState
from dbtui.model.sessions import Session

#: Thread states (manual, "General Thread States") of a session that is active and uses no processor.
_ASLEEP = ("User sleep", "Sending to client", "Writing to net", "Reading from net", "Waiting ")
_LOCKED = ("Waiting for", "User lock", "System lock")
_LOCK_WORDS = ("lock", "flush")


class MysqlPools:
    """See `dbtui.adapters.adapter.PoolAdapter`."""

    def collect_server_pool(self, target: Target) -> ServerPool:
        """Ask for connections, their peak and refusals. Raises ServerError, ConnectError."""
        return collect_server_pool(narrow(target, MysqlTarget))

    def collect_backends(self, target: Target, process_ids: Collection[int]) -> Mapping[int, Session]:
        """Ask what these sessions do."""
        there = collect_sessions(narrow(target, MysqlTarget)).sessions
        return {each.session_id: each for each in there if each.session_id in process_ids}


POOLS = MysqlPools()


def collect_server_pool(target: MysqlTarget) -> ServerPool:
    """Ask for connections and sessions by what they do.

    The server does not tell who waits for a disk: such a session counts as running.
    """
    counted = {str(row["Variable_name"]): int(row["Value"]) for row in target.collect("server_pool")}
    monotonic_seconds, taken_at = time.monotonic(), datetime.now(UTC)
    snapshot = collect_sessions(target)
    is_local = _is_local(target)
    return ServerPool(
        taken_at=taken_at,
        monotonic_seconds=monotonic_seconds,
        slots=int(target.collect_one("session_limit")["sessions"]),
        used=counted["Threads_connected"],
        engine=target.info.engine,
        flavour=target.info.flavour,
        holders=merge_holders(_holders(snapshot.sessions)),
        most_used=counted.get("Max_used_connections"),
        refused_total=counted.get("Connection_errors_max_connections"),
        started_at=reckon_start(target, taken_at, counted["Uptime"]),
        is_local=is_local,
        cores=os.cpu_count() if is_local else None,
        gaps=snapshot.gaps,
    )


def _holders(sessions: Iterable[Session]) -> Iterator[ServerHolder]:
    counts: Counter[ServerHolder] = Counter()
    oldest: dict[ServerHolder, float] = {}
    for session in sessions:
        if session.is_own or not session.is_client:
            continue
        kind = ServerHolder(
            application=session.application,
            client=session.client.rpartition(":")[0] or session.client,
            user=session.user,
            state=_state(session),
            count=1,
        )
        counts[kind] += 1
        oldest[kind] = max(oldest.get(kind, 0.0), session.state_seconds or 0.0)
    for kind, count in counts.most_common():
        yield replace(kind, count=count, oldest_seconds=oldest[kind])


def _state(session: Session) -> ServerState:
    if session.is_idle_in_transaction:
        return ServerState.IDLE_IN_TRANSACTION
    if not session.is_active:
        return ServerState.IDLE
    doing = session.state.partition(": ")[2]
    if session.blocked_by or (doing.startswith(_LOCKED) and any(word in doing.lower() for word in _LOCK_WORDS)):
        return ServerState.LOCK
    return ServerState.OTHER_WAIT if doing.startswith(_ASLEEP) else ServerState.ON_CPU


def _is_local(target: MysqlTarget) -> bool:
    """Whether the server runs on this machine: an address of this machine alone may be the end of a tunnel."""
    known = target.memory.get("is_local")
    if not isinstance(known, bool):
        known = target.options.is_local and str(target.collect_one("host_of_server")["host"]) == os.uname().nodename
        target.memory["is_local"] = known
    return known
