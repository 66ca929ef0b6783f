"""One look at a PostgreSQL server for the connections pane."""

import time
from datetime import UTC, datetime

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.model.connections import TargetStatus


def collect_status(target: PostgresqlTarget) -> TargetStatus:
    """Ask for sessions, size and tables. What this login may not see is None, with the GRANT in `gaps`.

    Raises ConnectError when the profile's database does not exist.
    """
    target.check_database()
    began = time.monotonic()
    row = target.collect_one("collect_status")
    gaps = []
    if not row.sees_sessions:
        gaps.append(f'sessions of other logins need GRANT pg_read_all_stats TO "{target.info.user}"')
    if row.size_bytes is None:
        gaps.append(f'the size needs GRANT CONNECT ON DATABASE "{target.info.database}" TO "{target.info.user}"')
    return TargetStatus(
        profile=target.profile.name,
        taken_at=datetime.now(UTC),
        info=target.info,
        sessions_used=row.sessions_used,
        sessions_available=row.sessions_available,
        size_bytes=row.size_bytes,
        tables=row.tables,
        seconds=time.monotonic() - began,
        gaps=tuple(gaps),
    )
