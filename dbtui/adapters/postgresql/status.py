"""One look at a PostgreSQL server for the connections pane: cheap enough to be repeated every second."""

import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sessions import missing_sight
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.errors import ServerError
from dbtui.model.connections import StatusCounters, TargetStatus
from dbtui.model.text import format_duration

_SIZE_KEPT_SECONDS = 60.0


def collect_status(target: PostgresqlTarget) -> TargetStatus:
    """Ask for sessions, counters, lag and, once a minute, size and tables. What cannot be known is None, see `gaps`.

    Raises ConnectError when the profile's database does not exist.
    """
    target.check_database()
    began = time.monotonic()
    row = target.collect_one("collect_status")
    role = "replica" if row.is_replica else "primary"
    if role != target.info.role:  # promoted while we look
        target.info = dataclasses.replace(target.info, role=role)
    gaps = [] if row.sees_sessions else [missing_sight(target)]
    lag_seconds, reasons = _collect_lag(target) if row.is_replica else (None, [])
    size = _measure(target, gaps)
    gaps.extend([*_tight_limits(row, target), *reasons])
    seen = row if row.sees_sessions else None
    return TargetStatus(
        profile=target.profile.name,
        taken_at=datetime.now(UTC),
        info=target.info,
        sessions_used=row.sessions_used,
        sessions_available=max(0, row.sessions_used + _headroom(row)),
        size_bytes=size.size_bytes if size else None,
        tables=size.tables if size else None,
        seconds=time.monotonic() - began,
        gaps=tuple(gaps),
        started_at=row.started_at,
        sessions_active=seen and seen.sessions_active,
        sessions_idle_in_transaction=seen and seen.sessions_idle_in_transaction,
        sessions_blocked=seen and seen.sessions_blocked,
        oldest_transaction_seconds=seen and seen.oldest_transaction_seconds,
        counters=StatusCounters(transactions=row.transactions, blocks_hit=row.blocks_hit, blocks_read=row.blocks_read),
        lag_seconds=lag_seconds,
        is_pooled=target.is_pooled,
        is_tls=target.is_tls,
    )


def _headroom(row: Any) -> int:
    """How many more sessions this login can open here: the narrowest of the server's slots and CONNECTION LIMITs."""
    rooms = [row.slots - row.sessions_used]
    if row.login_limit is not None:
        rooms.append(row.login_limit - row.sessions_ours)
    if row.database_limit is not None:
        rooms.append(row.database_limit - row.sessions_here)
    return int(min(rooms))


def _tight_limits(row: Any, target: PostgresqlTarget) -> Iterator[str]:
    room = row.slots - row.sessions_used
    for limit, used, what in (
        (row.login_limit, row.sessions_ours, f"login {quote_name(target.info.user)}"),
        (row.database_limit, row.sessions_here, f"database {quote_name(target.info.database)}"),
    ):
        if limit is not None and limit - used < room:
            yield f"{what} may have {limit} sessions and has {used}: CONNECTION LIMIT"


def _measure(target: PostgresqlTarget, gaps: list[str]) -> Any:
    """Size and tables, at most a minute old; None, with a gap, when the server did not tell."""
    try:
        rows = target.collect_kept("measure_database", _SIZE_KEPT_SECONDS)
    except ServerError as error:
        gaps.append(f"size and tables are not known: {error.message}")
        return None
    if not rows:  # asking failed within the last minute
        gaps.append("size and tables are not known: the server did not tell, it is asked again in a minute")
    elif rows[0].size_bytes is None:
        names = quote_name(target.info.database), quote_name(target.info.user)
        gaps.append("the size needs GRANT CONNECT ON DATABASE {} TO {}".format(*names))
    return rows[0] if rows else None


def _collect_lag(target: PostgresqlTarget) -> tuple[float | None, list[str]]:
    """How many seconds a replica is behind: nothing when it has applied all it received from a primary that talks.

    Source: the manual, "Recovery Information Functions".
    """
    row = target.collect_one("collect_replay")
    since = (
        ""
        if row.seconds is None
        else f"; the last transaction replayed was committed {format_duration(row.seconds)} ago"
    )
    if not row.is_receiving:
        return None, [f"the lag is not known: the replica receives nothing from a primary{since}"]
    if row.is_silent:
        silent = format_duration(row.silent_seconds)
        return None, [f"the lag is not known: the primary has been silent for {silent}{since}"]
    remarks = ["replay is paused: SELECT pg_wal_replay_resume() goes on"] if row.is_paused else []
    if row.bytes_behind is None:
        return None, [*remarks, "the lag is not known: the replica has received nothing since it started"]
    return (0.0 if row.bytes_behind <= 0 else row.seconds), remarks
