"""One look at a server for the connections pane: a handful of short questions, fit to be asked every second."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.probes import gap_without_process, measures_itself, probes_of, version_of
from dbtui.adapters.mysql.replication import collect_replication
from dbtui.model.connections import StatusCounters, TargetStatus

#: The size of a database is added up from every table's statistics: dear where there are thousands.
_SIZE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Size:
    """What was found when the tables were last added up."""

    looked_at: float
    tables: int | None = None
    size_bytes: int | None = None
    problem: str = ""


def collect_status(target: MysqlTarget) -> TargetStatus:
    """Look at server and database. A database that does not exist is a problem, not an error.

    Raises ServerError, ConnectError, Cancelled.
    """
    began, taken_at = time.monotonic(), datetime.now(UTC)
    counted = {str(row["Variable_name"]): int(row["Value"]) for row in target.collect("server_counters")}
    size = _collect_size(target)
    is_read_only = bool(target.collect_one("read_only")["read_only"])
    replication = collect_replication(target, is_read_only=is_read_only)
    status = TargetStatus(
        profile=target.profile.name,
        taken_at=taken_at,
        info=replace(target.info, role=replication.role or target.info.role),
        problem=size.problem,
        sessions_used=counted["Threads_connected"],
        sessions_available=int(target.collect_one("session_limit")["sessions"]),
        size_bytes=size.size_bytes,
        tables=size.tables,
        started_at=reckon_start(target, taken_at, counted["Uptime"]),
        sessions_active=max(0, counted["Threads_running"] - 1),  # the one that asks
        counters=_counters(counted),
        lag_seconds=replication.lag_seconds,
        is_pooled=False if target.options.socket else None,
        is_tls=target.is_encrypted,
    )
    status = _with_transactions(target, status)
    gaps = (*probes_of(target).gaps, *replication.gaps, *_remarks(target))
    return replace(status, gaps=gaps, seconds=time.monotonic() - began)


def _counters(counted: dict[str, int]) -> StatusCounters:
    """Transactions are those that were ended by COMMIT or ROLLBACK; with autocommit the server counts none."""
    reads = counted.get("Innodb_buffer_pool_reads")
    requests = counted.get("Innodb_buffer_pool_read_requests")
    return StatusCounters(
        transactions=counted["Com_commit"] + counted["Com_rollback"],
        queries=counted["Questions"],
        blocks_hit=None if requests is None or reads is None else max(0, requests - reads),
        blocks_read=reads,
    )


def _with_transactions(target: MysqlTarget, status: TargetStatus) -> TargetStatus:
    """Add what needs PROCESS."""
    version = version_of(target) if not target.is_mariadb and measures_itself(target) else ()
    rows = probes_of(target).collect("transaction_ages", gap_without_process(target), version)
    if rows is None:
        return status
    row, waiting = rows[0], int(target.collect_one("waiting_for_locks")["waiting"])
    return replace(
        status,
        sessions_idle_in_transaction=int(row["idle"]),
        sessions_blocked=int(row["blocked"]) + waiting,
        oldest_transaction_seconds=None if row["seconds"] is None else float(row["seconds"]),
    )


def reckon_start(target: MysqlTarget, now: datetime, uptime_seconds: int) -> datetime:
    """Return when the server started: it cannot change while we are connected, so it is reckoned once."""
    known = target.memory.get("started_at")
    if not isinstance(known, datetime):
        known = target.memory["started_at"] = (now - timedelta(seconds=uptime_seconds)).replace(microsecond=0)
    return known


def _remarks(target: MysqlTarget) -> tuple[str, ...]:
    """Say what else limits this login; what the server takes in all is another number."""
    if "login_limit" not in target.memory:
        target.memory["login_limit"] = int(target.collect_one("login_limit")["sessions"])
    limit = target.memory["login_limit"]
    remarks = (f"this login may have {limit} sessions at most (max_user_connections)",) if limit else ()
    return remarks if target.database else (*remarks, "the URL names no database")


def _collect_size(target: MysqlTarget) -> _Size:
    known = target.memory.get("size")
    if isinstance(known, _Size) and time.monotonic() - known.looked_at < _SIZE_SECONDS:
        return known
    found = _look_at_size(target)
    target.memory["size"] = found
    return found


def _look_at_size(target: MysqlTarget) -> _Size:
    now = time.monotonic()
    if not target.database:
        return _Size(now)
    if not target.collect("find_schema", schema=target.database):
        shown = show_name(target.database)
        return _Size(now, problem=f"database {shown} does not exist, or this login may not see it")
    row = target.collect_one("size_of_schema", schema=target.database)
    return _Size(now, int(row["tables"]), int(row["bytes"]))
