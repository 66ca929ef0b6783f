"""The slow log of MySQL (5.7, 8.0, with log_slow_extra too), Percona Server and MariaDB, with rows returned.

An entry begins with `# User@Host`, maybe after a `# Time`; its statement begins after SET timestamp and ends where the
next entry begins. MySQL writes `use` only when the database is another than in the entry before.
"""

import re
from datetime import datetime

from dbtui.adapters.log_parsing import LogParser
from dbtui.model.queries import StatementEvent

#: What a server writes when it opens the file, also in the middle of it.
BANNER = re.compile(
    r"^[^\n]*, Version: [^\n]*started with:\nTcp port: [^\n]*\nTime[ \t]+Id[ \t]+Command[ \t]+Argument(?:\n|\Z)",
    re.MULTILINE,
)
BANNER_MARK = "started with:\n"
#: The orders by which a pool hands a connection to somebody else, and the statement that stands for them.
RESETS = frozenset({"Reset connection", "Reset Connection", "Change user"})
RESET_SQL = "RESET CONNECTION"
_ADMINISTRATOR = "# administrator command: "
_SQL = r"([^#]*(?:#(?:(?<!\n#)|(?! (?:User@Host|Time): ))[^#]*)*)"
#: An entry as most are: its time, whose it is, seconds, rows sent, other numbers, database, time, statement; a stray.
_ENTRIES = re.compile(
    r"(?:# Time: ([^\n]*)\n)?# User@Host: ([^\n]*(?:\n# (?:T|S)[^\n]*)*)"
    r"\n# Query_time: ([^ ]*) +Lock_time: [^ ]* +Rows_sent: (\d+)([^\n]*(?:\n#[^\n]*)*)"
    rf"\n(?:use ([^\n]*);\n)?SET timestamp=([^;]*);\n{_SQL}|([^\n]+\n?|\n)"
)
#: An entry of any kind, without its time.
_ENTRY = re.compile(
    r"([^\n]*(?:\n# (?:Thread_id|Schema): [^\n]*)*)"
    r"\n# Query_time: (\d+(?:\.\d+)?) +Lock_time: [\d.]+(?: +Rows_sent: (\d+))?"
    r"([^\n]*(?:\n#(?! administrator)[^\n]*)*)"
    r"\n(?:use ([^\n]*?);?\n)?(?:SET (?:[^\n]*,)?timestamp=(\d+(?:\.\d+)?)[^\n]*\n)?(.*)",
    re.DOTALL,
)
_ENTRY_START = re.compile(r"^(?:# Time: ([^\n]*)\n)?# User@Host: ", re.MULTILINE)
_ID = re.compile(r"(?:# Thread_id|\] +Id): *(\d+)")
_SCHEMA = re.compile(r" Schema: (\S*)")
_EXTRA_ID = re.compile(r" Thread_id: (\d+)")
_AFFECTED = "Rows_affected: "
_AFFECTED_ROWS = re.compile(rf"{_AFFECTED}(\d+)")
_MOST_SESSIONS = 10_000


class SlowLogParser(LogParser):
    """Reads a slow log."""

    name = "mysql slow log"

    def __init__(self) -> None:
        super().__init__()
        self._seq = 0
        self._database = ""  # the last `use`
        self._stamp = ""
        self._seconds: float | None = None
        self._sessions: dict[str, tuple[str, str | None]] = {}  # an entry's first lines: session, database

    def _find_cut(self, held: bytes) -> int:
        """An entry is whole when the next one begins, with its time if it has one."""
        at = held.rfind(b"\n# User@Host: ")
        if at < 0:
            return 0
        line = held.rfind(b"\n", 0, at) + 1
        return line if held.startswith(b"# Time: ", line) else at + 1

    def _is_whole(self, held: bytes) -> bool:
        return held.endswith(b";\n")

    def _parse(self, whole: bytes) -> list[StatementEvent]:
        text = whole.decode("utf-8", "replace")
        first_line = self.counts.lines + 1
        self.counts.lines += text.count("\n") + (not text.endswith("\n"))
        if BANNER_MARK in text:
            text = BANNER.sub("", text)
        entries: list[tuple[str, ...]] = _ENTRIES.findall(text)
        if any([entry[8] for entry in entries]):  # noqa: C419 - a list is quicker
            entries = self._split_slowly(text, first_line)
        try:
            return self._take(entries)
        except ValueError:  # a number is damaged
            return self._take(self._split_slowly(text, first_line))

    def _take(self, entries: list[tuple[str, ...]]) -> list[StatementEvent]:
        events: list[StatementEvent] = []
        append, new, sessions = events.append, tuple.__new__, self._sessions
        seq, last_stamp, stamp_seconds = self._seq, self._stamp, self._seconds
        for time, who, seconds, sent, more, used, stamp, sql, _ in entries:
            session, database = sessions.get(who) or self._learn(who, more)
            if used:
                self._database = used.strip("`")
            if stamp != last_stamp:
                last_stamp, stamp_seconds = stamp, _parse_number(stamp)
            rows = int(sent) if sent else None
            if not rows and _AFFECTED in more:
                rows = _read_affected(more)
            sql = sql[:-2] if sql[-2:] == ";\n" else _strip_end(sql)
            if sql[:1] == "#" and sql.startswith(_ADMINISTRATOR):
                if sql[len(_ADMINISTRATOR) :] not in RESETS:
                    self.counts.skipped += 1
                    continue
                sql = RESET_SQL
            seq += 1
            append(new(StatementEvent, (
                session, seq, sql, (_parse_time(time) if time else None) or stamp_seconds, float(seconds) * 1000, rows,
                None, "", "", "", self._database if database is None else database, "", "", "", False,
            )))  # fmt: skip
        self._seq, self._stamp, self._seconds = seq, last_stamp, stamp_seconds
        return events

    def _learn(self, who: str, more: str) -> tuple[str, str | None]:
        """Return the session and database of an entry's first lines. Without a number the user is the session."""
        found, schema = _ID.search(who), _SCHEMA.search(who)
        database = schema[1] if schema else None
        if not found:
            extra = _EXTRA_ID.search(more)
            return extra[1] if extra else who, database
        if len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.clear()
        self._sessions[who] = found[1], database
        return self._sessions[who]

    def _split_slowly(self, text: str, first_line: int) -> list[tuple[str, ...]]:
        """Return the fields of entries of any kind; what is none is counted."""
        starts = list(_ENTRY_START.finditer(text))
        before = text[: starts[0].start() if starts else len(text)]
        if before.strip():
            self.counts.add_unreadable(first_line, before.lstrip(), "no entry of a slow log")
        entries: list[tuple[str, ...]] = []
        ends = [start.start() for start in starts[1:]] + [len(text)]
        for start, end in zip(starts, ends, strict=False):
            found = _ENTRY.fullmatch(text, start.end(), end)
            if found:
                entries.append((start[1] or "", *found.groups(""), ""))
            else:
                line = first_line + text.count("\n", 0, start.start())
                self.counts.add_unreadable(line, text[start.start() : end], "no entry of a slow log")
        return entries

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        """The last entry has no line end: its statement may be cut anywhere, or not be there at all."""
        events = self._parse(half)
        if not events:
            return events
        has_begun = b"\nSET " in half[half.rfind(b"# User@Host: ") :]
        if not has_begun or not events[-1].sql or events[-1].sql.startswith(("#", "SET ")):
            events.pop()
            self.counts.skipped += 1
        elif not half.rstrip().endswith(b";"):
            events[-1] = events[-1]._replace(is_truncated=True)
            self.counts.truncated += 1
        return events


def _read_affected(more: str) -> int | None:
    """Return the rows that a statement changed."""
    found = _AFFECTED_ROWS.search(more)
    return int(found[1]) if found else None


def _strip_end(sql: str) -> str:
    """Cut the end that the server puts after a statement."""
    return sql.removesuffix("\n").removesuffix(";")


def _parse_number(text: str) -> float | None:
    """Return a number; None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None


def _parse_time(text: str) -> float | None:
    """Return a `# Time` of MySQL 5.7 and later. Older ones and MariaDB's have no zone and are not used."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return time.timestamp() if time.tzinfo else None
