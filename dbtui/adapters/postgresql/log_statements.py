"""Joins the records of PostgreSQL's log into statements that ran, whichever format they were written in.

One statement may be several records: parse, bind and execute; a text (log_statement) and a duration (log_duration);
a plan of auto_explain before either; parameters after. Each is one event. Only `statement:` and `execute` count, a
portal that is fetched in parts counts once, and what only has a plan counts by it.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from dbtui.adapters.log_parsing import LogCounts
from dbtui.adapters.postgresql.log_details import parse_arguments, parse_parameters, parse_plan, parse_prepare
from dbtui.adapters.postgresql.log_times import TimeReader
from dbtui.adapters.postgresql.log_words import ENGLISH, Words
from dbtui.model.queries import StatementEvent

#: Sessions whose last statement waits for its duration. Those that ended never get one; the oldest are let go.
MOST_WAITING = 10_000


class Row(NamedTuple):
    """One record of a log as text, as it is written: quotes may be doubled in it.

    `kind`: "statement", "execute p", "plan" ..., "" when it is something else. `rest`: not looked at.
    """

    time: str
    database: str
    session: str
    transaction: str
    level: str
    duration: str
    kind: str
    text: str
    detail: str
    application: str
    rest: str


#: As rows come from patterns: a tuple of the fields of Row.
RawRow = tuple[str, str, str, str, str, str, str, str, str, str, str]


class StatementJoiner:
    """Takes rows of text, in the order of the log, and gives the statements that are complete.

    `escape`: what stands in a text for what, such as a doubled quote. `has_detail_rows`: details come as rows of
    their own, right after the row they belong to.
    """

    def __init__(
        self,
        counts: LogCounts,
        *,
        words: Words = ENGLISH,
        escape: tuple[str, str] | None = None,
        has_detail_rows: bool = False,
    ) -> None:
        self._counts = counts
        self._words = words
        self._escape = escape or ("\0", "")  # NUL is in no statement
        self._has_detail_rows = has_detail_rows
        self._read_time = TimeReader(counts.warn).read
        self._seq = 0
        self._waiting: dict[str, StatementEvent] = {}
        self._planned: set[str] = set()  # sessions whose waiting statement is known by its plan alone
        self._open: StatementEvent | None = None  # its details may come next

    def take(self, rows: Iterable[RawRow]) -> list[StatementEvent]:
        """Return the statements that `rows` complete. What most rows are is told here at once, without a call."""
        events: list[StatementEvent] = []
        append, new, read_time, waiting = events.append, tuple.__new__, self._read_time, self._waiting
        words, has_detail_rows = self._words, self._has_detail_rows
        statement, execute, fetch = words.statement, words.execute, words.fetch
        detail_level = words.detail if has_detail_rows else ""
        escaped, plain = self._escape
        opened, self._open = self._open, None
        skipped, last_time, seconds = 0, "", None
        for row in rows:
            time, database, session, transaction, level, duration, kind, sql, detail, application, _ = row
            if opened is not None:
                if level == detail_level and session == opened.session:
                    opened = self._add_detail(opened, self._unescape(sql))
                    skipped += 1
                    continue
                append(opened)
                opened = None
            if kind == statement:
                is_plain = not detail and sql[:1] not in "eE"
            elif not kind:
                if not duration and (level != detail_level or session not in waiting):
                    skipped += 1
                    continue
                is_plain = False
            elif kind.startswith(("parse ", "bind ")):
                skipped += 1
                continue
            else:
                is_plain = kind.startswith(execute) and not kind.startswith(fetch)
            is_named_plainly = escaped not in application and escaped not in database
            if is_plain and duration and is_named_plainly and session not in waiting:
                if escaped in sql:
                    sql = sql.replace(escaped, plain)
                if time != last_time:
                    last_time, seconds = time, read_time(time)
                self._seq = seq = self._seq + 1
                params = self._read_parameters(detail) if detail else None
                event = new(StatementEvent, (
                    session, seq, sql, seconds, float(duration), None, params, transaction, "", application,
                    database, "", "", "", False,
                ))  # fmt: skip
                if has_detail_rows and kind != statement:
                    opened = event
                else:
                    append(event)
                continue
            self._take_row(Row._make(row), append)
            opened, self._open = self._open, None
        self._open = opened
        self._counts.skipped += skipped
        return events

    def settle(self) -> list[StatementEvent]:
        """Return the statement whose details would have followed at once."""
        opened, self._open = self._open, None
        return [] if opened is None else [opened]

    def mark_cut(self, session: str) -> None:
        """Say of the statement that waits in a session that its text is cut."""
        if session in self._waiting:
            self._waiting[session] = self._waiting[session]._replace(is_truncated=True)
            self._counts.truncated += 1

    def finish(self) -> list[StatementEvent]:
        """Return what waited for a duration that did not come."""
        events = self.settle()
        for session in list(self._waiting):
            self._release(session, events.append)
        return events

    def _take_row(self, row: Row, emit: Callable[[StatementEvent], None]) -> None:
        """Take a row that needs thought, while nothing waits for its details."""
        kind = row.kind
        if self._has_detail_rows and row.level == self._words.detail:
            self._take_detail(row.session, self._unescape(row.text))
        elif not kind:
            self._take_duration(row, emit)
        elif kind == self._words.statement or (
            kind.startswith(self._words.execute) and not kind.startswith(self._words.fetch)
        ):
            event = self._make(row, self._unescape(row.text))
            if row.detail:
                event = self._add_detail(event, self._unescape(row.detail))
            self._take_statement(event, row.duration, emit)
        elif kind == "plan":
            self._take_plan(row, emit)
        else:
            self._counts.skipped += 1

    def _take_statement(self, event: StatementEvent, duration: str, emit: Callable[[StatementEvent], None]) -> None:
        planned = self._waiting.get(event.session)
        if planned is not None and event.session in self._planned and planned.sql == event.sql:
            event = event._replace(rows=planned.rows)
            self._forget(event.session)
        else:
            self._release(event.session, emit)
        if not duration:
            self._wait(event, emit)
        elif self._has_detail_rows:
            self._emit(event, self._set_open)
        else:
            self._emit(event, emit)

    def _set_open(self, event: StatementEvent) -> None:
        self._open = event

    def _take_duration(self, row: Row, emit: Callable[[StatementEvent], None]) -> None:
        """A duration by itself belongs to what its session said last. Those of parse and bind belong to nothing."""
        event = self._waiting.get(row.session)
        if row.duration and not row.text and event is not None:
            self._forget(event.session)
            self._emit(event._replace(duration_ms=float(row.duration), transaction=row.transaction), emit)
        else:
            self._counts.skipped += 1

    def _take_plan(self, row: Row, emit: Callable[[StatementEvent], None]) -> None:
        """A plan comes before the record of its statement, if that is logged at all."""
        sql, rows = parse_plan(self._unescape(row.text))
        if not sql:
            self._counts.skipped += 1
            return
        said = self._waiting.get(row.session)
        if said is not None and said.sql == sql and said.session not in self._planned:
            self._waiting[said.session] = said._replace(rows=rows)
            self._counts.skipped += 1
            return
        self._release(row.session, emit)
        self._wait(self._make(row, sql)._replace(rows=rows), emit)
        self._planned.add(row.session)

    def _take_detail(self, session: str, text: str) -> None:
        """Add a detail to the statement that waits for its duration; others', such as an error's, are skipped."""
        self._counts.skipped += 1
        if session in self._waiting and session not in self._planned:
            self._waiting[session] = self._add_detail(self._waiting[session], text)

    def _add_detail(self, event: StatementEvent, text: str) -> StatementEvent:
        params = self._read_parameters(text)
        if params is not None:
            new: StatementEvent = tuple.__new__(StatementEvent, (*event[:6], params, *event[7:]))
            return new
        said, _, rest = text.partition(":")
        if said.strip().lower() == self._words.prepare.lower():
            return event._replace(sql=parse_prepare(rest), params=parse_arguments(event.sql) or None)
        return event

    def _read_parameters(self, text: str) -> tuple[str | None, ...] | None:
        """Return the values of a detail that tells parameters, whose first letter is a capital in newer versions."""
        start = len(self._words.parameters)
        if text[:start].lower() != self._words.parameters.lower():
            return None
        return parse_parameters(self._unescape(text[start:]))

    def _make(self, row: Row, sql: str) -> StatementEvent:
        return StatementEvent(
            session=row.session,
            seq=0,
            sql=sql,
            ts=self._read_time(row.time),
            duration_ms=float(row.duration) if row.duration else None,
            transaction=row.transaction,
            application=self._unescape(row.application),
            database=self._unescape(row.database),
        )

    def _unescape(self, text: str) -> str:
        escaped, plain = self._escape
        return text.replace(escaped, plain) if escaped in text else text

    def _wait(self, event: StatementEvent, emit: Callable[[StatementEvent], None]) -> None:
        self._waiting[event.session] = event
        if len(self._waiting) > MOST_WAITING:
            self._release(next(iter(self._waiting)), emit)

    def _release(self, session: str, emit: Callable[[StatementEvent], None]) -> None:
        """Give the statement that waits in a session, without what it waited for."""
        event = self._waiting.get(session)
        if event is not None:
            self._forget(session)
            self._emit(event, emit)

    def _forget(self, session: str) -> None:
        del self._waiting[session]
        self._planned.discard(session)

    def _emit(self, event: StatementEvent, emit: Callable[[StatementEvent], None]) -> None:
        self._seq += 1
        emit(event._replace(seq=self._seq))
