"""PostgreSQL's log as comma-separated values (log_destination = csvlog).

23 columns until 12, backend_type since 13, leader_pid and query_id since 14. Text is always quoted, quotes are doubled,
what is NULL is empty. Source: the manual, "Using CSV-Format Log Output".
"""

import re

from dbtui.adapters.log_parsing import LogParser
from dbtui.adapters.postgresql.log_statements import RawRow, StatementJoiner
from dbtui.adapters.postgresql.log_words import ENGLISH, Words
from dbtui.model.queries import StatementEvent

_TEXT = r'(?:"[^"]*(?:""[^"]*)*")?'
_KEPT = r'(?:"([^"]*(?:""[^"]*)*)")?'
_PLAIN = r'[^,"\n]*'
BEGINNING = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Za-z0-9+-]+,(?:\"|,)"
_BEGINNING = re.compile(BEGINNING.encode())
_NEXT_BEGINNING = re.compile(rf"(?<=\n){BEGINNING}")
_NEXT_BEGINNING_BYTES = re.compile(rf"(?<=\n){BEGINNING}".encode())
_QUOTE = b'"'
_CUT = "the file begins or ends within this record, or it is damaged"


def record_pattern(words: Words) -> str:
    """Return the pattern of a record, with a group for each field of a Row but the last, in that order."""
    # Most records have nothing between detail and application_name, and few have more than backend_type behind it.
    between = f"(?:,,,,,,,|{_TEXT},{_TEXT},{_PLAIN},{_TEXT},{_TEXT},{_PLAIN},{_TEXT},)"
    behind = rf'(?:,"client backend",[^"\n]*|(?:,(?:{_TEXT}|{_PLAIN}))*)'
    return (
        rf"([^,\n]*),{_TEXT},{_KEPT},\d*,{_TEXT},([^,\n]*),\d*,"  # time, database, session
        rf"{_TEXT},[^,\n]*,([^,\n]*),\d*,([^,\n]*),[^,\n]*,"  # vxid, severity
        rf'"{words.message}([^"]*(?:""[^"]*)*)",{_KEPT},{between}{_KEPT}{behind}(?:\n|\Z)'  # detail, application
    )


class CsvlogParser(LogParser):
    """Reads a csvlog. Where a record is damaged, or the file begins within one, it goes on with the next."""

    name = "postgresql csvlog"

    def __init__(self, words: Words = ENGLISH) -> None:
        super().__init__()
        self._record = re.compile(record_pattern(words))
        self._records = re.compile(rf"{record_pattern(words)}|([^\n]+\n?|\n)")
        self._joiner = StatementJoiner(self.counts, words=words, escape=('""', '"'))
        self._is_between_records = True

    def _find_cut(self, held: bytes) -> int:
        """A record ends at a line's end with an even number of quotes before it."""
        if not self._is_between_records and not _BEGINNING.match(held):
            found = _NEXT_BEGINNING_BYTES.search(held)
            return found.start() if found else 0
        quotes, end = held.count(_QUOTE), len(held)
        at = held.rfind(b"\n")
        while at >= 0:
            quotes -= held.count(_QUOTE, at, end)
            if quotes % 2 == 0:
                return at + 1
            end, at = at, held.rfind(b"\n", 0, at)
        if self._is_at_start and not _BEGINNING.match(held.removeprefix(b"\xef\xbb\xbf")):
            self._is_between_records = False
        return 0

    def _is_whole(self, held: bytes) -> bool:
        return self._find_cut(held) == len(held)

    def _parse(self, whole: bytes) -> list[StatementEvent]:
        text = whole.decode("utf-8", "replace")
        rows: list[RawRow] = self._records.findall(text)
        if any([row[-1] for row in rows]):  # noqa: C419 - a list is quicker
            rows = self._parse_damaged(text)
        self.counts.lines += text.count("\n")
        return self._joiner.take(rows)

    def _parse_damaged(self, text: str) -> list[RawRow]:
        """Read the records of `text`, going on behind what is none at the next line that looks like one."""
        rows: list[RawRow] = []
        position = 0
        while position < len(text):
            if found := self._record.match(text, position):
                rows.append((*found.groups(""), ""))  # type: ignore[arg-type]
                position = found.end()
                self._is_between_records = True
                continue
            found = _NEXT_BEGINNING.search(text, position + 1)
            end = found.start() if found else len(text)
            if text[position:end].strip():
                line = self.counts.lines + text.count("\n", 0, position) + 1
                self.counts.add_unreadable(line, text[position:end], _CUT)
                self._is_between_records = False
            position = end
        return rows

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        events = self._parse(half)
        self.counts.lines += not half.endswith(b"\n")
        return events

    def _finish_statements(self) -> list[StatementEvent]:
        return self._joiner.finish()
