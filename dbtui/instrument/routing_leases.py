"""A replica's connection that one transaction of a session reads on, and the wait until it has a commit."""

import asyncio
import time
from time import monotonic
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.util import await_only

from dbtui.instrument.routing_replicas import ReplicaSet
from dbtui.instrument.routing_states import Replica

#: Where a connection remembers how far its server had replayed.
_REACHED = "dbtui.reached"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0005, 0.02
_KEEPS_SNAPSHOT = ("REPEATABLE READ", "SERIALIZABLE", "SNAPSHOT")


class LentConnection(Connection):
    """A connection on which no rollback fails: there is nothing to undo where nothing was written.

    Otherwise a replica that goes away after the last read of a transaction lets `Session.rollback` raise an error.
    """

    def _rollback_impl(self) -> None:
        try:
            super()._rollback_impl()
        except Exception as error:
            if not self.invalidated:
                self.invalidate(error)


class Lease:
    """One connection in a transaction of its own, which the session neither commits nor closes."""

    def __init__(self, replica: Replica, connection: Connection) -> None:
        self.replica = replica
        self.connection = connection
        self.has_read = False

    @property
    def may_move(self) -> bool:
        """Whether a statement may be repeated on the primary without mixing snapshots: each has its own, or it is the
        first."""
        return not self.has_read or self.replica.isolation not in _KEEPS_SNAPSHOT


def borrow(replicas: ReplicaSet, wanted: Any, tried: tuple[Replica, ...]) -> tuple[Lease | None, tuple[Replica, ...]]:
    """Borrow a connection of a replica that has `wanted` (a position, or None), and of none in `tried`.

    Returns it, or None when the primary has to serve, and whom need not be tried any more. A replica that cannot be
    reached is noted, and the next one asked.
    """
    while (replica := replicas.choose(tried)) is not None:
        tried = (*tried, replica)
        try:
            connection = LentConnection(replica.engine)
        except PoolTimeout:  # a pool that is exhausted is no outage
            return None, tried
        except Exception as error:
            replica.note_failure(error)
            continue
        try:
            has_it = _make_ready(replicas, replica, connection, wanted)
        except Exception as error:
            _discard(connection)
            replica.note_failure(error)
            continue
        except BaseException:
            _discard(connection)
            raise
        if has_it:
            return Lease(replica, connection), tried
        connection.close()
        if replica.is_open(monotonic()):
            break  # it is late, and so are the others, or they would be less busy: no second wait
    return None, tried


def _make_ready(replicas: ReplicaSet, replica: Replica, connection: Connection, wanted: Any) -> bool:
    """Whether the connection's server has `wanted` in time; then a transaction is begun on it."""
    if not replica.isolation:
        replica.isolation = connection.get_isolation_level()
        _raw(connection).rollback()
    if wanted is not None:
        known = connection.info.get(_REACHED)
        if (known is None or not replicas.log.covers(known, wanted)) and not _await(
            replicas, replica, connection, wanted
        ):
            return False
    connection.begin()
    return True


def _await(replicas: ReplicaSet, replica: Replica, connection: Connection, wanted: Any) -> bool:
    """Ask the very connection that will serve, until its server has replayed `wanted`, or the time is up."""
    log, raw = replicas.log, _raw(connection)
    deadline = monotonic() + replicas.limits.wait_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        is_replica, reached, is_lasting = log.ask_reached(raw)
        if not is_replica:
            replica.note_promoted()
            return False
        if log.covers(reached, wanted):
            if is_lasting:
                connection.info[_REACHED] = reached
            return True
        now = monotonic()
        if now >= deadline or not replica.is_open(now):
            return False
        rest(min(pause, deadline - now), replica.engine.dialect.is_async)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def rest(seconds: float, is_async: bool) -> None:
    """Wait, and let other tasks run meanwhile where there are any."""
    if is_async:
        await_only(asyncio.sleep(seconds))
    else:
        time.sleep(seconds)


def _raw(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _discard(connection: Connection) -> None:
    connection.invalidate()
    connection.close()
