"""The history of runs as a table."""

from collections.abc import Sequence
from datetime import datetime

from dbtui.cli.tables import Column, format_table
from dbtui.model.jobs import HistoryEntry
from dbtui.model.text import format_duration, format_untrusted

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


def show_entry(entry: HistoryEntry) -> list[str]:
    """Return the lines of one entry, nothing cut: what ran, where, by whom, how it ended, and the commands."""
    began = datetime.fromisoformat(entry.began)
    seconds = (datetime.fromisoformat(entry.ended) - began).total_seconds()
    facts = [
        ("target", entry.target),
        ("subject", entry.subject),
        ("by", entry.operator),
        ("outcome", entry.detail),
        *(("ran", command) for command in entry.commands),
    ]
    head = f"{began:%Y-%m-%d %H:%M:%S} UTC  {entry.routine}  {entry.state.value} in {seconds:.1f} s"
    return [format_untrusted(head), *(f"  {label:<9}{format_untrusted(text)}" for label, text in facts if text)]


def _cells(entry: HistoryEntry, now: datetime) -> tuple[str, ...]:
    age = format_duration((now - datetime.fromisoformat(entry.began)).total_seconds())
    return age, entry.routine, entry.state.value, entry.target, entry.subject, entry.operator, entry.detail
