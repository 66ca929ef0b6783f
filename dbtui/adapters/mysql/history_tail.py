"""Reads the ring of statements that a MySQL server keeps in memory, often enough, and counts what it has lost."""

from collections.abc import Iterable

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.log_slow import RESET_SQL
from dbtui.adapters.mysql.top_queries import collect_settings, decode_text, hush
from dbtui.adapters.mysql.wire import PROGRAM_NAME, MysqlConnection
from dbtui.model.queries import SourceReport, StatementEvent

_PICOSECONDS = 10**12
#: Statements that end at the same time on two processors come into the ring in any order.
_OVERLAP = _PICOSECONDS // 20
_RESETS = ("statement/com/Reset Connection", "statement/com/Change user")
_NOT_RUN = ("statement/com/Prepare", "statement/com/Init DB", "statement/com/Field List")


class HistoryTail:
    """See `dbtui.adapters.adapter.StatementTail`.

    Within a thread events are numbered without gaps, by statements and by whatever else is kept of it. A gap is a loss
    only if the ring has run over since the last look, which its oldest statement tells.
    """

    every_seconds = 0.05

    def __init__(self, target: MysqlTarget, connection: MysqlConnection) -> None:
        self._target = target
        self._on = connection
        settings = collect_settings(target, connection)
        self._longest_bytes = int(settings.get("performance_schema_max_sql_text_length", "1024"))
        ends = target.collect_one("history_ends", connection)
        self._newest = int(ends["newest"] or 0)
        self._first_new_thread = int(ends["newest_thread"] or 0) + 1
        self._seen: dict[tuple[int, int], int] = {}  # events near the end of what was read: thread, event -> end
        self._numbers: dict[int, int] = {}  # the last event that is known of a thread
        self._sessions: dict[int, tuple[str, str]] = {}
        self._clock: float | None = None
        self._statements = self._skipped = self._truncated = self._lost = 0
        self.read_bytes = 0

    def read(self) -> tuple[list[StatementEvent], int]:
        """Return the statements that have ended since the last time, by their beginning; and how many were lost."""
        if self._clock is None:
            self._set_clock()
        previous = self._newest
        rows = [row for row in self._collect() if (int(row["thread"]), int(row["event"])) not in self._seen]
        self._seen |= {(int(row["thread"]), int(row["event"])): int(row["timer_end"]) for row in rows}
        self._newest = max([previous, *(int(row["timer_end"]) for row in rows)])
        self._seen = {key: end for key, end in self._seen.items() if end >= self._newest - _OVERLAP}
        self._name_sessions(int(row["thread"]) for row in rows)
        lost = self._count_lost(rows, previous)
        self._lost += lost
        return [event for row in rows if (event := self._event(row)) is not None], lost

    def finish(self) -> list[StatementEvent]:
        """Return what is left, when the server keeps no more."""
        return self.read()[0]

    def report(self) -> SourceReport:
        """Return what was read."""
        return SourceReport(
            source=f"the statements of {self._target.options.server}",
            format="performance_schema history",
            lines=self._statements + self._skipped,
            statements=self._statements,
            skipped=self._skipped,
            truncated=self._truncated,
            lost=self._lost,
        )

    # ------------------------------------------------------------------------------------------------- the server

    def _collect(self) -> list[Row]:
        return self._target.collect("statement_history", self._on, since=max(1, self._newest - _OVERLAP))

    def _set_clock(self) -> None:
        """Learn what the server's timer means in seconds since the epoch; then our own session needs no measuring."""
        rows = self._target.collect("history_clock", self._on)
        if rows:
            self._clock = float(rows[0]["seconds"]) - int(rows[0]["timer"]) / _PICOSECONDS
            hush(self._target, self._on)

    def _name_sessions(self, threads: Iterable[int]) -> None:
        """Learn whose threads they are, while they live. One that has ended before keeps its thread's number."""
        unknown = set(threads) - self._sessions.keys()
        if not unknown:
            return
        for row in self._target.collect("sessions_of_threads", self._on):
            self._sessions.setdefault(int(row["thread"]), (str(row["session"]), str(row["application"] or "")))
        for thread in unknown:
            self._sessions.setdefault(thread, (f"thread {thread}", ""))

    def _count_lost(self, rows: Iterable[Row], previous: int) -> int:
        missing = 0
        for row in sorted(rows, key=lambda row: (int(row["thread"]), int(row["event"]))):
            thread, event = int(row["thread"]), int(row["event"])
            known = self._numbers.get(thread, 0 if thread >= self._first_new_thread else event - 1)
            missing += max(0, event - known - 1)
            self._numbers[thread] = max(known, int(row["end_event"]))
        if not missing:
            return 0
        oldest = self._target.collect_one("history_ends", self._on)["oldest"]
        return missing if oldest is not None and int(oldest) > previous else 0

    # ------------------------------------------------------------------------------------------------- statements

    def _event(self, row: Row) -> StatementEvent | None:
        session, application = self._sessions[int(row["thread"])]
        name = str(row["event_name"])
        sql = RESET_SQL if name in _RESETS else decode_text(row["sql_text"])
        if application == PROGRAM_NAME or not sql or name in _NOT_RUN or row["nesting_type"] == "STATEMENT":
            self._skipped += 1
            return None
        size = len(row["sql_text"] or b"")
        is_truncated = size >= self._longest_bytes
        self._statements += 1
        self._truncated += is_truncated
        self.read_bytes += size
        return StatementEvent(
            session,
            int(row["event"]),
            sql,
            ts=None if self._clock is None else self._clock + int(row["timer_start"]) / _PICOSECONDS,
            duration_ms=int(row["timer_wait"]) / 1e9,
            rows=int(row["rows_sent"]) or int(row["rows_affected"]),
            transaction=str(row["nesting_event"]) if row["nesting_type"] == "TRANSACTION" else "",
            application=application,
            database=str(row["current_schema"] or ""),
            is_truncated=is_truncated,
        )
