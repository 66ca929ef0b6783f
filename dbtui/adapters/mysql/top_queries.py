"""The statements of a MySQL server as its digests sum them up, and the door to the rest of this folder."""

import contextlib
import statistics
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime

from dbtui.adapters.adapter import CaptureSwitch, StatementTail, Target, narrow
from dbtui.adapters.mysql.connect import MysqlTarget, Row, collect_own_sessions
from dbtui.adapters.mysql.privileges import format_account
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.adapters.own_statements import is_own
from dbtui.errors import ServerError
from dbtui.model.captures import CaptureJournal, CaptureWish
from dbtui.model.queries import CapturePlan, QuerySchema, TopQueriesSnapshot, TopQuery
from dbtui.model.top_queries import PlanNode

REFUSED = ("1142", "1044", "1143", "1227")
_PICOSECONDS = 10**12
_ROUND_TRIPS = 9
_CUT = "..."
_SWITCH = "UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' WHERE NAME"


class MysqlQueries:
    """See `dbtui.adapters.adapter.QueryAdapter`."""

    def collect_top_queries(self, target: Target) -> TopQueriesSnapshot:
        """Ask for the digests. Raises ServerError, ConnectError."""
        return collect_top_queries(narrow(target, MysqlTarget))

    def collect_query_schema(self, target: Target) -> QuerySchema:
        """Ask the catalogue for keys and indexes."""
        from dbtui.adapters.mysql.schema import collect_query_schema

        return collect_query_schema(narrow(target, MysqlTarget))

    def explain_query(self, target: Target, query: TopQuery) -> str:
        """Return the plan of a statement that was summed up, without running it."""
        from dbtui.adapters.mysql.explain_query import explain_query

        return explain_query(target, query)

    def collect_plan(self, target: Target, query: TopQuery) -> PlanNode:
        """Return the same plan as a tree."""
        from dbtui.adapters.mysql.explain_query import collect_plan

        return collect_plan(target, query)

    def measure_round_trip(self, target: Target) -> float:
        """Return the median of some `SELECT 1`, in seconds."""
        return measure_round_trip(narrow(target, MysqlTarget))

    def plan_capture(self, target: Target, wish: CaptureWish) -> CapturePlan:
        """Look at what capturing needs and costs."""
        from dbtui.adapters.mysql.capture import plan_capture

        return plan_capture(narrow(target, MysqlTarget), wish)

    def open_switch(
        self, target: Target, journal: CaptureJournal, former: Collection[int] = ()
    ) -> AbstractContextManager[CaptureSwitch]:
        """Take the server's capture lock for a block."""
        from dbtui.adapters.mysql.capture_switch import open_switch

        return open_switch(narrow(target, MysqlTarget), journal, former)

    def open_tail(self, target: Target, plan: CapturePlan) -> AbstractContextManager[StatementTail]:
        """Begin to read the ring of statements, or the general log's table."""
        from dbtui.adapters.mysql.tails import open_tail

        return open_tail(narrow(target, MysqlTarget), plan)

    def own_sessions(self, target: Target) -> Collection[int]:
        """Return the numbers of this process's sessions on the server."""
        return collect_own_sessions(narrow(target, MysqlTarget).options.server)


QUERIES = MysqlQueries()


def measure_round_trip(target: MysqlTarget) -> float:
    """Return the median of some `SELECT 1`, in seconds."""
    times = []
    for _ in range(_ROUND_TRIPS):
        began = time.perf_counter()
        target.collect("ask_nothing")
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def hush(target: MysqlTarget, on: MysqlConnection | None = None) -> None:
    """Keep a session's own statements out of what the server keeps in memory, as far as this login may."""
    if not target.profile.read_only:
        with contextlib.suppress(ServerError):  # it may not, or nothing is measured
            target.collect("hush_own_session", on)


def collect_settings(target: MysqlTarget, on: MysqlConnection | None = None) -> dict[str, str]:
    """Return the server's settings that decide where statements can be read."""
    rows = target.collect("statement_settings", on)
    return {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}


def collect_top_queries(target: MysqlTarget) -> TopQueriesSnapshot:
    """Ask for the sums of every shape, by database: the server does not tell logins apart."""
    if "is_hushed" not in target.memory:
        target.memory["is_hushed"] = True
        hush(target)
    monotonic_seconds, taken_at = time.monotonic(), datetime.now(UTC)
    snapshot = TopQueriesSnapshot(
        profile=target.profile.name,
        taken_at=taken_at,
        monotonic_seconds=monotonic_seconds,
        source="performance_schema digests",
    )
    if missing := find_missing(target):
        return replace(snapshot, gaps=(missing,))
    rows = target.collect("statement_digests")
    queries = tuple(query for row in rows if (query := _query(row)) is not None)
    return replace(
        snapshot,
        queries=queries,
        since=min((query.first_at for query in queries if query.first_at), default=None),
        evicted=_lost(target),
        gaps=tuple(_gaps(rows)),
    )


def find_missing(target: MysqlTarget) -> str:
    """Return why there are no sums, with what to do; empty when there are."""
    if collect_settings(target).get("performance_schema", "OFF") != "ON":
        return (
            f"performance_schema is off: put performance_schema = ON below [mysqld] in the option file of "
            f"{target.options.server}, and restart the server"
        )
    try:
        consumers = {str(row["name"]): str(row["enabled"]) for row in target.collect("statement_consumers")}
    except ServerError as error:
        if error.code not in REFUSED:
            raise
        return f"statements need GRANT SELECT ON performance_schema.* TO {format_account(target.info.user)}"
    off = [name for name in ("global_instrumentation", "statements_digest") if consumers.get(name) != "YES"]
    if off:
        say = "; ".join(f"{_SWITCH} = '{name}'" for name in off)
        return f"the server sums no statements up: {say}"
    return ""


def _query(row: Row) -> TopQuery | None:
    """One shape in one database. The row without a digest, of all that found no room, is no shape."""
    if row["digest"] is None:
        return None
    text = decode_text(row["digest_text"])
    if is_own(text, __package__):
        return None
    rows = int(row["rows_sent"]) or int(row["rows_affected"])
    return TopQuery(
        key=f"{row['digest']}/{row['schema_name'] or ''}",
        sql=text.strip(),
        database=str(row["schema_name"] or ""),
        calls=int(row["calls"]),
        total_seconds=int(row["total_picoseconds"]) / _PICOSECONDS,
        rows=rows,
        min_seconds=int(row["least_picoseconds"]) / _PICOSECONDS,
        max_seconds=int(row["most_picoseconds"]) / _PICOSECONDS,
        rows_examined=int(row["rows_examined"]),
        no_index_calls=int(row["no_index_calls"]),
        first_at=_moment(row["first_seconds"]),
        last_at=_moment(row["last_seconds"]),
        is_truncated=text.rstrip().endswith(_CUT) and not text.rstrip().endswith(f", {_CUT}"),
    )


def decode_text(text: object) -> str:
    """Return a text of performance_schema: UTF-8, perhaps cut within a character."""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text or "")


def _moment(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(float(str(seconds)), UTC) if seconds else None


def _lost(target: MysqlTarget) -> int | None:
    rows = target.collect("digests_lost")
    return int(rows[0]["Value"]) if rows else None


def _gaps(rows: Sequence[Row]) -> Iterator[str]:
    rest = sum(int(row["calls"]) for row in rows if row["digest"] is None)
    if rest:
        yield (
            f"{rest} statements found no room among the shapes: raise performance_schema_digests_size, or empty "
            "performance_schema.events_statements_summary_by_digest"
        )
