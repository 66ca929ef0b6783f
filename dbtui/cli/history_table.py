"""The history of runs as a table."""

from collections.abc import Sequence
from datetime import datetime

from dbtui.cli.tables import Column, format_table
from dbtui.model.jobs import HistoryEntry
from dbtui.model.text import format_duration

_COLUMNS = (
    Column("AGE", right=True),
    Column("RAN"),
    Column("STATE"),
    Column("TARGET", least=8, drop=1),
    Column("SUBJECT", least=12),
    Column("BY", least=8, drop=2),
    Column("DETAIL", least=16, drop=3),
)


def show_entries(entries: Sequence[HistoryEntry], now: datetime, width: int | None) -> list[str]:
    """Return the lines of the table. `now` is UTC, `width` in cells, None: no limit."""
    return format_table(_COLUMNS, [_cells(entry, now) for entry in entries], width)


def _cells(entry: HistoryEntry, now: datetime) -> tuple[str, ...]:
    age = format_duration((now - datetime.fromisoformat(entry.began)).total_seconds())
    return age, entry.routine, entry.state.value, entry.target, entry.subject, entry.operator, entry.detail
