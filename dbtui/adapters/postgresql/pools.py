"""The slots of a PostgreSQL server and who holds them."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.holders import merge_holders
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sessions import collect_sessions, decode_text, missing_sight
from dbtui.model.pools import ServerHolder, ServerPool, ServerState
from dbtui.model.sessions import Session


class PostgresqlPools:
    """See `dbtui.adapters.adapter.PoolAdapter`."""

    def collect_server_pool(self, target: Target) -> ServerPool:
        """Ask for slots and sessions by what they do. Raises ServerError, ConnectError."""
        return collect_server_pool(narrow(target, PostgresqlTarget))

    def collect_backends(self, target: Target, process_ids: Collection[int]) -> Mapping[int, Session]:
        """Ask what these sessions do."""
        there = collect_sessions(narrow(target, PostgresqlTarget)).sessions
        return {each.session_id: each for each in there if each.session_id in process_ids}


POOLS = PostgresqlPools()


def collect_server_pool(target: PostgresqlTarget) -> ServerPool:
    """Ask for slots and sessions by what they do, in one round trip."""
    rows = target.collect_bytes("collect_server_pool", own=target.own_processes(), is_pooled=target.is_pooled)
    monotonic_seconds = time.monotonic()
    is_local = is_local_process(rows[0].process_id)
    return ServerPool(
        taken_at=datetime.now(UTC),
        monotonic_seconds=monotonic_seconds,
        slots=max(0, rows[0].slots),
        used=sum(row.count for row in rows),
        engine=target.info.engine,
        flavour=target.info.flavour,
        holders=merge_holders(_holders(rows)),
        started_at=rows[0].started_at,
        is_local=is_local,
        cores=os.cpu_count() if is_local else None,
        gaps=tuple(_gaps(rows, target)),
    )


def _holders(rows: Iterable[Any]) -> Iterator[ServerHolder]:
    """Sessions whose state is known, without dbtui's own."""
    for row in rows:
        if row.state is not None and not row.is_own:
            yield ServerHolder(
                application=decode_text(row.application),
                client=decode_text(row.client),
                user=decode_text(row.login),
                state=ServerState(decode_text(row.state)),
                count=row.count,
                oldest_seconds=max(0.0, row.oldest_seconds or 0.0),
            )


def _gaps(rows: Iterable[Any], target: PostgresqlTarget) -> Iterator[str]:
    unknown = sum(row.count for row in rows if row.state is None)
    if unknown and not target.info.is_superuser and any(not row.sees_sessions for row in rows):
        yield f"what {unknown} sessions do is not known: {missing_sight(target)}"
    elif unknown:
        yield f"what {unknown} sessions do is not known: track_activities is off"


def is_local_process(process_id: int) -> bool:
    """Whether the server runs on this machine: an address of this machine may be the end of a tunnel, but the process
    that serves us is either here or not.
    """
    try:
        name = (Path("/proc") / str(process_id) / "comm").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return name.startswith(("postgres", "postmaster"))
