"""Statement traces: JSON lines, as dbtui's recorder writes them and anything else may.

`session`, `seq` and `sql` are required, what is not known is left out, and fields that nobody knows are ignored.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from dbtui.adapters.log_parsing import LogKind, LogParser
from dbtui.model.queries import LogFormat, StatementEvent

_VXID = re.compile(r"-?\d+/\d+")


class _Record(msgspec.Struct, gc=False):
    session: str | int
    seq: int
    sql: str
    ts: float | None = None
    duration_ms: float | None = None
    rows: int | None = None
    params: list[Any] | dict[str, Any] | None = None
    transaction: str | None = None
    scope: str | int | None = None
    application: str | None = None
    database: str | None = None
    call_site: str | None = None
    relationship: str | None = None
    load: str | None = None
    is_truncated: bool | None = None
    lost: int = 0  # a line of the recorder's own: so many statements ran before it and could not be written


class TraceParser(LogParser):
    """Reads a trace. A line of the wrong kind is counted, and the first is reported with its number."""

    name = "statement trace"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(_Record)

    def _parse(self, whole: bytes) -> list[StatementEvent]:
        try:
            records = self._decoder.decode_lines(whole)
        except (msgspec.DecodeError, UnicodeDecodeError):
            records = self._parse_damaged(whole)
        self.counts.lines += whole.count(b"\n")
        self.counts.lost += sum(record.lost for record in records)
        return [self._make(record) for record in records if not record.lost]

    def _make(self, record: _Record) -> StatementEvent:
        scope = "" if record.scope is None else str(record.scope)
        transaction = record.transaction or ""
        if "/" in scope and _VXID.fullmatch(scope):
            scope, transaction = "", transaction or scope
        params = record.params
        if record.is_truncated:
            self.counts.truncated += 1
        return StatementEvent(
            session=str(record.session),
            seq=record.seq,
            sql=record.sql,
            ts=record.ts,
            duration_ms=record.duration_ms,
            rows=record.rows,
            params=None if params is None else tuple(params.values() if isinstance(params, Mapping) else params),
            transaction=transaction,
            scope=scope,
            application=record.application or "",
            database=record.database or "",
            call_site=record.call_site or "",
            relationship=record.relationship or "",
            load=record.load or "",
            is_truncated=bool(record.is_truncated),
        )

    def _parse_damaged(self, whole: bytes) -> list[_Record]:
        records = []
        for number, line in enumerate(whole.split(b"\n"), self.counts.lines + 1):
            if line.strip():
                text = line.decode("utf-8", "replace")
                try:
                    records.append(self._decoder.decode(text.encode()))
                except msgspec.DecodeError as error:
                    self.counts.add_unreadable(number, text, _explain(error))
        return records

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        events = self._parse(half)
        self.counts.lines += 1
        return events


def _explain(error: msgspec.DecodeError) -> str:
    """Return "seq: expected int, got str" of what the decoder says."""
    said, _, place = str(error).replace("`", "").partition(" - at $.")
    return f"{place}: {said[:1].lower()}{said[1:]}" if place else said


def _is_trace(lines: list[str]) -> bool:
    return any(line.startswith("{") and '"sql"' in line and '"session"' in line for line in lines)


LOG_KINDS = (
    LogKind(LogFormat.TRACE, "statement trace (JSON lines)", _is_trace, lambda _lines, _prefix: TraceParser()),
)
