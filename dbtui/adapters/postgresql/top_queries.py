"""The statements of a PostgreSQL server as pg_stat_statements sums them up, and the door to the rest of this folder."""

import contextlib
import statistics
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from dbtui.adapters.adapter import CaptureSwitch, StatementTail, Target, narrow
from dbtui.adapters.own_statements import is_own
from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.errors import ServerError
from dbtui.model.captures import CaptureJournal, CaptureWish
from dbtui.model.queries import CapturePlan, QuerySchema, TopQueriesSnapshot, TopQuery
from dbtui.model.top_queries import PlanNode

_HIDDEN = "<insufficient privilege>"
_REFUSED = "42501"
_NOT_LOADED = "55000"
_ROUND_TRIPS = 9
_COUNTERS = (
    "calls", "rows", "total_exec_time", "min_exec_time", "max_exec_time", "shared_blks_hit", "shared_blks_read",
    "shared_blks_written", "local_blks_hit", "local_blks_read", "local_blks_written", "temp_blks_read",
    "temp_blks_written", "wal_bytes", "stats_since",
)  # fmt: skip
#: What versions before 1.8 called them.
_FORMER = {"total_exec_time": "total_time", "min_exec_time": "min_time", "max_exec_time": "max_time"}
#: How the statements begin that ask for the sums: a login without the right to keep them out sums them up itself.
_ROWS = "SELECT s.userid::bigint AS userid, s.dbid::bigint AS dbid, s.queryid, s.query,"
_TOTALS = "SELECT sum(s.calls)::float8 AS calls,"
_RESET = "SELECT dealloc, stats_reset FROM"
_NOT_SUMMED = {"pg_stat_statements.track": "none"}
#: `log_statement` is not among them: who logs what is changed on a server wants to see what we change, too.
_NOT_LOGGED = {"log_min_duration_statement": "-1", "log_transaction_sample_rate": "0", "log_min_duration_sample": "-1"}


class PostgresqlQueries:
    """See `dbtui.adapters.adapter.QueryAdapter`."""

    def collect_top_queries(self, target: Target) -> TopQueriesSnapshot:
        """Ask pg_stat_statements. Raises ServerError, ConnectError."""
        return collect_top_queries(narrow(target, PostgresqlTarget))

    def collect_query_schema(self, target: Target) -> QuerySchema:
        """Ask the catalogue for keys and indexes."""
        from dbtui.adapters.postgresql.schema import collect_query_schema

        return collect_query_schema(narrow(target, PostgresqlTarget))

    def explain_query(self, target: Target, query: TopQuery) -> str:
        """Return the plan of a statement that was summed up, without running it."""
        from dbtui.adapters.postgresql.explain_query import explain_query

        return explain_query(target, query)

    def collect_plan(self, target: Target, query: TopQuery) -> PlanNode:
        """Return the same plan as a tree."""
        from dbtui.adapters.postgresql.explain_query import collect_plan

        return collect_plan(target, query)

    def measure_round_trip(self, target: Target) -> float:
        """Return the median of some `SELECT 1`, in seconds."""
        return measure_round_trip(narrow(target, PostgresqlTarget))

    def plan_capture(self, target: Target, wish: CaptureWish) -> CapturePlan:
        """Look at what capturing needs and costs."""
        from dbtui.adapters.postgresql.capture import plan_capture

        return plan_capture(narrow(target, PostgresqlTarget), wish)

    def open_switch(
        self, target: Target, journal: CaptureJournal, former: Collection[int] = ()
    ) -> AbstractContextManager[CaptureSwitch]:
        """Take the server's capture lock for a block."""
        from dbtui.adapters.postgresql.capture_switch import open_switch

        return open_switch(narrow(target, PostgresqlTarget), journal, former)

    def open_tail(self, target: Target, plan: CapturePlan) -> AbstractContextManager[StatementTail]:
        """Begin to read the server's log over the connection."""
        from dbtui.adapters.postgresql.log_tail import open_tail

        return open_tail(narrow(target, PostgresqlTarget), plan)

    def own_sessions(self, target: Target) -> Collection[int]:
        """Return the process numbers of this target's own sessions."""
        return narrow(target, PostgresqlTarget).own_processes()


QUERIES = PostgresqlQueries()


def measure_round_trip(target: PostgresqlTarget) -> float:
    """Return the median of some `SELECT 1`, in seconds."""
    times = []
    for _ in range(_ROUND_TRIPS):
        began = time.perf_counter()
        target.collect("ask_nothing")
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def hush(target: PostgresqlTarget, on: Connection | None = None) -> None:
    """Keep a session's own statements out of the sums, and those of another connection than the own one out of the log
    of durations too, as far as this login may. Never through a pooler.
    """
    if target.is_pooled and (on is None or target.works_pooled):
        return
    for setting, value in (_NOT_SUMMED if on is None else _NOT_SUMMED | _NOT_LOGGED).items():
        with contextlib.suppress(ServerError):  # it may not, or the server has no such setting
            target.collect("set_quietly", on, setting=setting, value=value)


# ---------------------------------------------------------------- the extension


@dataclass(frozen=True)
class Statistics:
    """Where pg_stat_statements is and what its version counts. `missing`: why it cannot be asked, and what to do."""

    version: str = ""
    schema: str = ""
    columns: frozenset[str] = frozenset()
    block_bytes: int = 8192
    reads_all: bool = True
    missing: str = ""

    @property
    def function(self) -> str:
        """The function behind the view; it leaves texts out on request."""
        return f"{quote_name(self.schema)}.pg_stat_statements"

    def show_column(self, name: str) -> str:
        """Return a column as SQL, under the name that newer versions have; NULL where this one does not count it."""
        if name in self.columns:
            return f"s.{name}"
        former = _FORMER.get(name, "")
        return f"s.{former} AS {name}" if former in self.columns else f"NULL AS {name}"


def find_statistics(target: PostgresqlTarget) -> Statistics:
    """Look whether statements are summed up, and where."""
    row = target.collect_one("collect_statistics_extension")
    if row.is_loaded and row.version is not None:
        return Statistics(row.version, row.schema, frozenset(row.columns), row.block_bytes, row.reads_stats)
    create = f"CREATE EXTENSION pg_stat_statements in database {quote_name(row.database)}"
    if row.is_loaded:
        return Statistics(missing=f"statements are summed up, but cannot be asked for here: run {create}")
    libraries = ", ".join(part for part in (row.libraries, "pg_stat_statements") if part)
    setting = f"shared_preload_libraries = '{libraries}'"
    if row.libraries is None:
        setting = "shared_preload_libraries = '…, pg_stat_statements' (behind what it holds now)"
    after = "" if row.version is not None else f", then run {create}"
    return Statistics(missing=f"pg_stat_statements is not loaded: set {setting}, restart the server{after}")


# ---------------------------------------------------------------- the sums


@dataclass
class _Kept:
    """What one target has learnt: texts and names change seldom, and the texts are most of what is sent."""

    texts: dict[tuple[int, int, int], str] = field(default_factory=dict)
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    statistics: Statistics | None = None


_KEPT: WeakKeyDictionary[PostgresqlTarget, _Kept] = WeakKeyDictionary()


def collect_top_queries(target: PostgresqlTarget) -> TopQueriesSnapshot:
    """Ask for the sums of every statement that a client sent; those inside of functions are left out: their time is in
    the function's. Where another version or database is meant, the gap says what to do.
    """
    kept = _KEPT.get(target)
    if kept is None:
        kept = _KEPT[target] = _Kept()
        hush(target)
    if kept.statistics is None or kept.statistics.missing:
        kept.statistics = find_statistics(target)
    found = kept.statistics
    monotonic_seconds, taken_at = time.monotonic(), datetime.now(UTC)
    queries: tuple[TopQuery, ...] = ()
    gaps = [found.missing] if found.missing else []
    since, evicted = None, None
    if not found.missing:
        try:
            rows = _collect_rows(target, found, kept)
            since, evicted = _collect_reset(target, found)
        except ServerError as error:
            if error.code not in (_NOT_LOADED, _REFUSED):
                raise
            gaps.append(f"the sums of statements cannot be read: {error}")
        else:
            queries = tuple(_queries(rows, found, kept))
            gaps += _gaps(rows, target)
    return TopQueriesSnapshot(
        profile=target.profile.name,
        taken_at=taken_at,
        monotonic_seconds=monotonic_seconds,
        source=f"pg_stat_statements {found.version}" if found.version else "pg_stat_statements",
        queries=queries,
        since=since,
        evicted=evicted,
        gaps=tuple(gaps),
    )


def collect_totals(target: PostgresqlTarget) -> tuple[float, float] | None:
    """Return how many statements have run and how long their texts are on average, in bytes; None: not summed up."""
    found = find_statistics(target)
    if found.missing:
        return None
    mean = "COALESCE(sum(s.calls * length(s.query)) / NULLIF(sum(s.calls), 0), 0)::float8 AS bytes"
    sql = f"{_TOTALS} {mean} FROM {found.function}(true) s"  # its schema's name is quoted
    row = target.ask(sql)[0]
    return float(row.calls or 0), float(row.bytes)


def _collect_rows(target: PostgresqlTarget, found: Statistics, kept: _Kept) -> list[Any]:
    """The counters; with the texts only when one of them is not known yet."""
    rows = target.ask(_select(found, with_texts=not kept.texts))
    if any(_identity(row) not in kept.texts for row in rows if row.query is None and row.queryid is not None):
        rows = target.ask(_select(found, with_texts=True))
    # The server may lose its file of texts; a statement without one is not asked for again.
    texts = {_identity(row): row.query or kept.texts.get(_identity(row), "") for row in rows if row.queryid is not None}
    known = {_identity(row) for row in rows}
    kept.texts = {key: text for key, text in {**kept.texts, **texts}.items() if key in known}
    if any((kind, number) not in kept.names for row in rows for kind, number in _numbers(row)):
        named = target.collect("collect_names_of_logins")
        kept.names = {(row.kind, row.identity): row.name for row in named}
        for row in rows:
            for kind, number in _numbers(row):
                kept.names.setdefault((kind, number), f"({kind} {number})")
    return rows


def _select(found: Statistics, *, with_texts: bool) -> str:
    columns = ", ".join(found.show_column(name) for name in _COUNTERS)
    top = " WHERE s.toplevel" if "toplevel" in found.columns else ""
    return f"{_ROWS} {columns} FROM {found.function}({'true' if with_texts else 'false'}) s{top}"


def _numbers(row: Any) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("login", row.userid), ("database", row.dbid)


def _identity(row: Any) -> tuple[int, int, int]:
    return (row.userid, row.dbid, row.queryid or 0)


def _queries(rows: Iterable[Any], found: Statistics, kept: _Kept) -> Iterator[TopQuery]:
    """One for each shape, login and database; what a login may not see has no shape and is added up."""
    hidden: dict[tuple[int, int, int], list[Any]] = {}
    for row in rows:
        if row.queryid is None:
            hidden.setdefault(_identity(row), []).append(row)
            continue
        text = kept.texts.get(_identity(row), "")
        if text != _HIDDEN and not text.startswith((_ROWS, _TOTALS, _RESET)) and not is_own(text, __package__):
            yield _query(row, text, found, kept.names)
    for several in hidden.values():
        yield _query(_Sum(several), "", found, kept.names)


class _Sum:
    """Several rows read as one: counters are added up, the rest is that of the first."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        if name in ("min_exec_time", "max_exec_time"):
            return None
        if name not in _COUNTERS or name == "stats_since":
            return getattr(self._rows[0], name)
        values = [value for row in self._rows if (value := getattr(row, name)) is not None]
        return sum(values) if values else None


def _query(row: Any, text: str, found: Statistics, names: Mapping[tuple[str, int], str]) -> TopQuery:
    user, database, number = _identity(row)
    return TopQuery(
        key=f"{number}/{user}/{database}",
        sql=text,
        database=names[("database", database)],
        user=names[("login", user)],
        calls=row.calls,
        total_seconds=(row.total_exec_time or 0.0) / 1000,
        rows=row.rows,
        min_seconds=None if row.min_exec_time is None else row.min_exec_time / 1000,
        max_seconds=None if row.max_exec_time is None else row.max_exec_time / 1000,
        read_bytes=_bytes(found, row.shared_blks_read, row.local_blks_read),
        hit_bytes=_bytes(found, row.shared_blks_hit, row.local_blks_hit),
        temp_bytes=_bytes(found, row.temp_blks_read, row.temp_blks_written),
        written_bytes=_bytes(found, row.shared_blks_written, row.local_blks_written),
        wal_bytes=None if row.wal_bytes is None else int(row.wal_bytes),
        first_at=row.stats_since,
    )


def _bytes(found: Statistics, *blocks: int | None) -> int | None:
    counted = [each for each in blocks if each is not None]
    return sum(counted) * found.block_bytes if counted else None


def _collect_reset(target: PostgresqlTarget, found: Statistics) -> tuple[datetime | None, int | None]:
    """When the counters began, and how many shapes were forgotten; versions before 1.9 do not say."""
    if "toplevel" not in found.columns:
        return None, None
    schema = quote_name(found.schema)
    row = target.ask(f"{_RESET} {schema}.pg_stat_statements_info")[0]
    return row.stats_reset, row.dealloc


def _gaps(rows: Iterable[Any], target: PostgresqlTarget) -> Iterator[str]:
    hidden = sum(row.queryid is None for row in rows)
    if hidden:
        grant = f"GRANT pg_read_all_stats TO {quote_name(target.info.user)}"
        yield f"the texts of {hidden} statements of other logins are hidden: {grant}"
