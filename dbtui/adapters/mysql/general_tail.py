"""Reads the general log's table while the server writes it: every statement, without durations and rows."""

import time

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.log_slow import RESET_SQL, RESETS
from dbtui.adapters.mysql.top_queries import decode_text
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.model.queries import SourceReport, StatementEvent

_QUERY, _EXECUTE = "Query", "Execute"
_LEAST_SECONDS = 0.5
#: The table has no key: reading on costs as much as reading it whole, so it is not read all the time.
_PATIENCE = 4


class GeneralTail:
    """See `dbtui.adapters.adapter.StatementTail`. Nothing is lost unless somebody empties the table."""

    def __init__(self, target: MysqlTarget, connection: MysqlConnection) -> None:
        target.rows("SET SESSION sql_log_off = 1", on=connection)  # reading it is not worth a line in it
        self._target = target
        self._on = connection
        self._skipped = int(target.collect_one("count_general_log", connection)["logged"])
        self._own = {str(connection.thread_id()), str(target.own_number)}  # type: ignore[no-untyped-call]
        self._prepared: dict[str, StatementEvent] = {}  # EXECUTE in SQL: the statement follows as a row of its own
        self._seq = 0
        self._others = 0
        self.every_seconds = _LEAST_SECONDS
        self.read_bytes = 0

    def read(self) -> tuple[list[StatementEvent], int]:
        """Return what has come since the last time."""
        began = time.monotonic()
        rows = self._target.collect("general_log_rows", self._on, skipped=self._skipped)
        self._skipped += len(rows)
        self.every_seconds = max(_LEAST_SECONDS, _PATIENCE * (time.monotonic() - began))
        return [event for row in rows for event in self._events(row)], 0

    def finish(self) -> list[StatementEvent]:
        """Return what is left, when the server writes no more."""
        events, _ = self.read()
        waiting = [self._numbered(event) for event in self._prepared.values()]
        self._prepared.clear()
        return events + waiting

    def report(self) -> SourceReport:
        """Return what was read."""
        return SourceReport(
            source=f"the general log of {self._target.options.server}",
            format="mysql general log table",
            lines=self._seq + self._others,
            statements=self._seq,
            skipped=self._others,
            warnings=("the general log knows no durations and no rows",),
        )

    def _events(self, row: Row) -> list[StatementEvent]:
        session, command, sql = str(row["session"]), str(row["command"]), decode_text(row["argument"])
        self.read_bytes += len(sql)
        if session in self._own:
            return []
        event = StatementEvent(session, 0, sql, ts=float(row["seconds"]))
        before = self._prepared.pop(session, None)
        events = [self._numbered(before)] if before is not None and command != _EXECUTE else []
        if command == _QUERY and sql[:8].lower() == "execute ":
            self._prepared[session] = event
        elif command in (_QUERY, _EXECUTE):
            events.append(self._numbered(event))
        elif command in RESETS:
            events.append(self._numbered(event._replace(sql=RESET_SQL)))
        else:
            self._others += 1
        return events

    def _numbered(self, event: StatementEvent) -> StatementEvent:
        self._seq += 1
        return event._replace(seq=self._seq)
