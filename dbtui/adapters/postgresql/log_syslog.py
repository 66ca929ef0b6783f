"""PostgreSQL's log as syslog or the journal has it: what they put before each line is taken off again.

The server cuts a record into numbered lines (`[5-1]`, `[5-2]`, ...), writes a tab as `#011`, and lines of several
sessions may be mixed. Source: the manual, syslog_sequence_numbers and syslog_split_messages.
"""

import re
from datetime import UTC, datetime

from dbtui.adapters.log_parsing import LogParser
from dbtui.adapters.postgresql.log_prefixes import parse_prefix
from dbtui.adapters.postgresql.log_stderr import StderrParser
from dbtui.adapters.postgresql.log_words import ENGLISH, Words
from dbtui.model.queries import StatementEvent

HEAD = re.compile(
    r"(?:<\d+>)?(?:1 )?(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\S*) "
    r"\S+ (?P<program>[^\s\[:]+)\[(?P<pid>\d+)\](?:: | )(?:\[(?P<number>\d+)-(?P<part>\d+)\] )?"
)
#: What stands before each record when it is handed on: time and process, as an operator could have asked for.
OUTER_PREFIX = "%n <%p> "
_MOST_SESSIONS = 10_000


class SyslogParser(LogParser):
    """Reads a log of syslog. `prefix`: log_line_prefix, which stands behind what syslog writes."""

    name = "postgresql syslog"

    def __init__(self, prefix: str = "", words: Words = ENGLISH) -> None:
        super().__init__()
        self._inner = StderrParser(parse_prefix(OUTER_PREFIX + prefix), words, self.counts)
        self._records: dict[str, list[str]] = {}  # of each process: its record so far
        self._times: dict[str, str] = {}

    def _parse(self, whole: bytes) -> list[StatementEvent]:
        ready: list[str] = []
        for line in whole.decode("utf-8", "replace").removesuffix("\n").split("\n"):
            self._take_line(line, ready)
        return self._hand_on(ready)

    def _take_line(self, line: str, ready: list[str]) -> None:
        found = HEAD.match(line)
        self.counts.lines += 1
        if not found:
            if line.strip():
                self.counts.add_unreadable(self.counts.lines, line, "no line of syslog")
            return
        pid, text = found["pid"], line[found.end() :]
        record = self._records.get(pid)
        is_tabbed = text.startswith(("#011", "\t"))
        if record is not None and is_tabbed:
            record.append("\n\t" + text.removeprefix("#011").removeprefix("\t").replace("#011", "\t"))
        elif record is not None and found["part"] not in (None, "1"):
            record.append(text.replace("#011", "\t"))
        else:
            self._close(pid, ready)
            self._records[pid] = [f"{self._read_time(found['time'])} <{pid}> {text}".replace("#011", "\t")]
            if len(self._records) > _MOST_SESSIONS:
                self._close(next(iter(self._records)), ready)

    def _close(self, pid: str, ready: list[str]) -> None:
        if pid in self._records:
            ready.append("".join(self._records.pop(pid)) + "\n")

    def _read_time(self, text: str) -> str:
        """Return a time as `%n` has it. The old form has no year: this one, in the zone of this machine."""
        if text not in self._times:
            if len(self._times) > _MOST_SESSIONS:
                self._times.clear()
            self._times[text] = f"{_seconds_of(text):.3f}"
        return self._times[text]

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        """The last line has no end: its statement may be cut anywhere."""
        events = self._parse(half)
        found = HEAD.match(half.decode("utf-8", "replace"))
        ready: list[str] = []
        if found:
            self._close(found["pid"], ready)
        last = [*self._hand_on(ready), *self._inner.joiner.settle()]
        if last:
            last[-1] = last[-1]._replace(is_truncated=True)
            self.counts.truncated += 1
        return [*events, *last]

    def _hand_on(self, ready: list[str]) -> list[StatementEvent]:
        lines = self.counts.lines  # counted here already
        events = self._inner.parse_text("".join(ready))
        self.counts.lines = lines
        return events

    def _settle_statements(self) -> list[StatementEvent]:
        ready: list[str] = []
        for pid in list(self._records):
            self._close(pid, ready)
        return [*self._hand_on(ready), *self._inner.joiner.settle()]

    def _finish_statements(self) -> list[StatementEvent]:
        return [*self._settle_statements(), *self._inner.joiner.finish()]


def _seconds_of(text: str) -> float:
    try:
        if text[0].isdigit():
            return datetime.fromisoformat(text.replace(",", ".")).timestamp()
        now = datetime.now(UTC)
        time = datetime.strptime(f"{now.year} {text}", "%Y %b %d %H:%M:%S").astimezone()
        return (time if time <= now else time.replace(year=now.year - 1)).timestamp()
    except ValueError:
        return 0.0
