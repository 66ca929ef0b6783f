"""One look at a server for the connections pane."""

import time
from datetime import UTC, datetime

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.names import show_name
from dbtui.model.connections import TargetStatus


def collect_status(target: MysqlTarget) -> TargetStatus:
    """Count sessions, tables and bytes. A database that does not exist is a problem, not an error."""
    began = time.monotonic()
    used = int(target.rows("SHOW GLOBAL STATUS LIKE 'Threads_connected'")[0]["Value"])
    limit = int(target.collect_one("session_limit")["sessions"])
    problem, gaps = "", []
    tables, size = None, None
    if target.database and not target.collect("find_schema", schema=target.database):
        problem = f"database {show_name(target.database)} does not exist, or this login may not see it"
    elif target.database:
        row = target.collect_one("size_of_schema", schema=target.database)
        tables, size = int(row["tables"]), int(row["bytes"])
    else:
        gaps.append("the URL names no database")
    return TargetStatus(
        profile=target.profile.name,
        taken_at=datetime.now(UTC),
        info=target.info,
        problem=problem,
        sessions_used=used,
        sessions_available=limit,
        size_bytes=size,
        tables=tables,
        seconds=time.monotonic() - began,
        gaps=tuple(gaps),
    )
