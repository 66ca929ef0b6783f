"""The general log of MySQL and MariaDB as a file: every statement with its session, without durations and rows.

MariaDB writes the time, in the server's zone, only when the second is another than before.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from dbtui.adapters.log_parsing import LogParser
from dbtui.adapters.mysql.log_slow import BANNER, RESET_SQL, RESETS
from dbtui.model.queries import StatementEvent

_COMMANDS = (
    "Query|Execute|Prepare|Connect|Quit|Init DB|Close stmt|Reset stmt|Reset [Cc]onnection|Change user|Field List|"
    "Statistics|Ping|Long Data|Fetch|Refresh|Shutdown|Processlist|Kill|Debug|Set option|Binlog Dump(?: GTID)?|Daemon|"
    "Sleep|Create DB|Drop DB|Register Slave|Table Dump|Connect Out|Time|Delayed insert|Error|Bulk_execute|Slave_[A-Z]+"
)
_STAMP = r"\d{6} [ \d]\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
HEAD = rf"(?:({_STAMP})|\t)\t *(\d+) ({_COMMANDS})(?:\t|(?=\n|\Z))"
_HEADS = re.compile(rf"^{HEAD}", re.MULTILINE)
_HEAD = re.compile(HEAD.encode())
_CONNECTED = re.compile(r"\S+ (?:as \S+ )?on (\S*)")
#: Sessions whose database is remembered; the oldest are forgotten.
_MOST_SESSIONS = 10_000


class GeneralLogParser(LogParser):
    """Reads a general log."""

    name = "mysql general log"

    def __init__(self) -> None:
        super().__init__()
        self._seq = 0
        self._time: float | None = None
        self._stamp = ""
        self._databases: dict[str, str] = {}
        self._executing: dict[str, StatementEvent] = {}  # EXECUTE in SQL, whose statement may come as a line of its own

    def _find_cut(self, held: bytes) -> int:
        """A record is whole when the next one begins."""
        at = held.rfind(b"\n", 0, -1)
        while at >= 0 and not _HEAD.match(held, at + 1):
            at = held.rfind(b"\n", 0, at)
        return at + 1

    def _parse(self, whole: bytes) -> list[StatementEvent]:
        text = whole.decode("utf-8", "replace")
        first_line = self.counts.lines + 1
        self.counts.lines += text.count("\n") + (not text.endswith("\n"))
        if "started with:\n" in text:
            text = BANNER.sub("", text)
        events: list[StatementEvent] = []
        heads = list(_HEADS.finditer(text))
        stray = text[: heads[0].start() if heads else len(text)]
        if stray.strip():
            self.counts.add_unreadable(first_line, stray.lstrip(), "no record of a general log")
        ends = [head.start() for head in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends, strict=False):
            self._take(head, text[head.end() : end].removesuffix("\n"), events.append)
        return events

    def _take(self, head: re.Match[str], argument: str, emit: Callable[[StatementEvent], None]) -> None:
        stamp, session, command = head.groups()
        if stamp and stamp != self._stamp:
            self._stamp, self._time = stamp, self._parse_time(stamp)
        held = self._executing.pop(session, None)
        if held is not None and command != "Execute":
            self._emit(held, emit)
        if command in ("Query", "Execute"):
            event = StatementEvent(session, 0, argument, ts=self._time, database=self._databases.get(session, ""))
            if command == "Query" and argument[:7].lower() == "execute":
                self._hold(session, event, emit)
            else:
                self._emit(event, emit)
            return
        if command in RESETS:
            self._emit(StatementEvent(session, 0, RESET_SQL, ts=self._time), emit)
        else:
            self.counts.skipped += 1
        self._note_database(session, command, argument)

    def _hold(self, session: str, event: StatementEvent, emit: Callable[[StatementEvent], None]) -> None:
        self._executing[session] = event
        if len(self._executing) > _MOST_SESSIONS:
            self._emit(self._executing.pop(next(iter(self._executing))), emit)

    def _emit(self, event: StatementEvent, emit: Callable[[StatementEvent], None]) -> None:
        self._seq += 1
        emit(event._replace(seq=self._seq))

    def _note_database(self, session: str, command: str, argument: str) -> None:
        if command == "Quit":
            self._databases.pop(session, None)
        elif command == "Init DB":
            self._databases[session] = argument
        elif command in ("Connect", "Change user"):
            found = _CONNECTED.match(argument)
            self._databases[session] = found[1] if found else ""
        if len(self._databases) > _MOST_SESSIONS:
            del self._databases[next(iter(self._databases))]

    def _parse_time(self, text: str) -> float | None:
        try:
            if "T" in text:
                return datetime.fromisoformat(text).timestamp()
            self.counts.warn("the times of this log have no zone: they are shown as if they were UTC")
            return datetime.strptime(text, "%y%m%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return None

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        """The last record has no line end: its statement may be cut anywhere."""
        events = self._parse(half)
        if half.endswith(b"\n"):
            return events
        if not events and self._executing and b"execute" in half.lower():
            self._emit(self._executing.popitem()[1], events.append)
        if events:
            events[-1] = events[-1]._replace(is_truncated=True)
            self.counts.truncated += 1
        return events

    def _finish_statements(self) -> list[StatementEvent]:
        events: list[StatementEvent] = []
        for event in self._executing.values():
            self._emit(event, events.append)
        self._executing.clear()
        return events
