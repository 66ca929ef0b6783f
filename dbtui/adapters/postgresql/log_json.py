"""PostgreSQL's log as JSON lines (log_destination = jsonlog, since 15)."""

import re

import msgspec

from dbtui.adapters.log_parsing import LogParser
from dbtui.adapters.postgresql.log_statements import RawRow, StatementJoiner
from dbtui.adapters.postgresql.log_words import ENGLISH, Words
from dbtui.model.queries import StatementEvent


class _Record(msgspec.Struct, gc=False):
    """The fields that are used of a line. The server leaves out what is NULL."""

    message: str
    timestamp: str = ""
    session_id: str = ""
    vxid: str = ""
    application_name: str = ""
    dbname: str = ""
    error_severity: str = ""
    detail: str = ""
    pid: int = 0


class JsonlogParser(LogParser):
    """Reads a jsonlog."""

    name = "postgresql jsonlog"

    def __init__(self, words: Words = ENGLISH) -> None:
        super().__init__()
        self._split = re.compile(words.message).match
        self._decoder = msgspec.json.Decoder(_Record)
        self._joiner = StatementJoiner(self.counts, words=words)

    def _parse(self, whole: bytes) -> list[StatementEvent]:
        try:
            records = self._decoder.decode_lines(whole)
        except (msgspec.DecodeError, UnicodeDecodeError):
            records = self._parse_damaged(whole)
        self.counts.lines += whole.count(b"\n")
        return self._joiner.take([self._make_row(record) for record in records])

    def _make_row(self, record: _Record) -> RawRow:
        message = record.message
        found = self._split(message)
        duration, kind, text = (found[1] or "", found[2] or "", message[found.end() :]) if found else ("", "", message)
        return (
            record.timestamp,
            record.dbname,
            record.session_id or str(record.pid),
            record.vxid,
            record.error_severity,
            duration,
            kind,
            text,
            record.detail,
            record.application_name,
            "",
        )

    def _parse_damaged(self, whole: bytes) -> list[_Record]:
        """Read line by line. The server writes text as the database has it: what is not UTF-8 is read with marks."""
        records = []
        for number, line in enumerate(whole.split(b"\n"), self.counts.lines + 1):
            if not line.strip():
                continue
            text = line.decode("utf-8", "replace")
            try:
                records.append(self._decoder.decode(text.encode()))
            except msgspec.DecodeError as error:
                self.counts.add_unreadable(number, text, str(error))
        return records

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        events = self._parse(half)
        self.counts.lines += 1
        return events

    def _finish_statements(self) -> list[StatementEvent]:
        return self._joiner.finish()
