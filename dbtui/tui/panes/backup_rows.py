"""The rows of the history: backups here and in remotes, and those of repositories; its columns, keys and search."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from dbtui.analysis.backups.places import HERE, describe_places
from dbtui.analysis.repository_words import WHOLE_CLUSTER, describe_soundness
from dbtui.model.backups import BackupEntry
from dbtui.model.repositories import RepositoryBackup
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.ages import format_age
from dbtui.tui.cells import Line, Span, Tone, dim, line, strong
from dbtui.tui.panes.backup_list import engine_text, format_text, proof_line
from dbtui.tui.widgets.rows import Column

HistoryRow = BackupEntry | RepositoryBackup
_FORMAT, _FORMAT_AND_AGE = 11, 14
_WIDEST_WHERE = 10
_TONES = {"●": Tone.OK, "▲": Tone.WARNING, "✖": Tone.TROUBLE}


def row_key(row: HistoryRow) -> str:
    """Return what tells a row from all others: one id may stand for other backups elsewhere."""
    if isinstance(row, RepositoryBackup):
        return row.reference
    return f"{row.remote}/{row.backup_id}" if row.remote else row.backup_id


def merge_rows(entries: Sequence[BackupEntry], physical: Sequence[RepositoryBackup]) -> list[HistoryRow]:
    """Return one history, newest first; backups of databases keep their order among each other."""
    if not physical:
        return list(entries)
    rows: list[HistoryRow] = [*entries, *physical]
    return sorted(rows, key=_moment, reverse=True)


def _moment(row: HistoryRow) -> datetime:
    return row.at if isinstance(row, RepositoryBackup) else row.began_at


def history_columns(
    now: Callable[[], datetime],
    shrunk: Callable[[str], float | None],
    labels: Mapping[str, str],
    *,
    has_encrypted: bool,
    has_pinned: bool,
    keepers: frozenset[str],
) -> list[Column[HistoryRow]]:
    """Return the columns. `shrunk` tells by backup id how much smaller than its forerunner a backup is.

    `labels` are short names of remotes, `keepers` the tools that keep repositories: with any of them a column says
    where a backup lies.
    """
    place: Column[HistoryRow] = Column("WHERE", lambda row: _where(row, labels), _where_width(labels, keepers), grow=2,
                                       widest=24, order=lambda row: _where_text(row, labels))  # fmt: skip
    where = [place] if labels or keepers else []
    return [
        Column("AGE", lambda row: Span(format_age(_moment(row), now())), 6, order=_moment, descending=True),
        Column("DATABASE", _database, 10 if has_pinned else 8 if where else 9, grow=5, widest=40,
               order=lambda row: _database_text(row).lower()),
        Column("ENGINE", lambda row: Span(_engine_text(row)), 7, spare=2, order=_engine_text),
        Column("FORMAT", _format, _FORMAT_AND_AGE if has_encrypted else _FORMAT, widest=20, grow=1,
               order=_format_text),
        Column("SIZE", lambda row: Span(format_bytes(_size(row) or 0)), 6, right=True, order=_size, descending=True),
        Column("TABLES", lambda row: _count(row, "tables"), 6, right=True, spare=3,
               order=lambda row: _number(row, "tables"), descending=True),
        Column("ROWS", lambda row: _count(row, "rows"), 7, right=True, spare=1 if where and has_encrypted else 0,
               order=lambda row: _number(row, "rows"), descending=True),
        *where,
        Column("PROOF", lambda row: _proof(row, shrunk, now), 12, grow=2, widest=24, order=_proof_text),
    ]  # fmt: skip


def _database(row: HistoryRow) -> Line:
    if isinstance(row, RepositoryBackup):
        return line(strong(row.repository.partition(":")[2]), dim(" cluster"))
    name = strong(row.database) if row.database else dim(row.backup_id)
    return line(name, dim(" "), Span("pinned", Tone.ACCENT)) if row.is_pinned else line(name)


def _database_text(row: HistoryRow) -> str:
    return row.repository if isinstance(row, RepositoryBackup) else row.database


def _engine_text(row: HistoryRow) -> str:
    if isinstance(row, RepositoryBackup):
        return f"PG {row.server_version.partition('.')[0]}".rstrip()
    return engine_text(row)


def _format_text(row: HistoryRow) -> str:
    if isinstance(row, RepositoryBackup):
        return row.kind.value
    return " ".join(part for part in (format_text(row), row.encryption) if part)


def _format(row: HistoryRow) -> Line:
    if isinstance(row, RepositoryBackup) or not row.encryption:
        return line(_format_text(row))
    return line(format_text(row), " ", Span(row.encryption, Tone.ACCENT))


def _size(row: HistoryRow) -> int | None:
    return row.repository_bytes if isinstance(row, RepositoryBackup) else row.size_bytes


def _number(row: HistoryRow, name: str) -> int | None:
    found: int | None = None if isinstance(row, RepositoryBackup) else getattr(row, name)
    return found


def _count(row: HistoryRow, name: str) -> Span:
    value = _number(row, name)
    return dim("–") if value is None else Span(format_count(value))


def _where_width(labels: Mapping[str, str], keepers: frozenset[str]) -> int:
    """Room for `here+s3`, or what else stands there; names of several remotes may be cut."""
    longest = max((len(text) for text in (*(f"{HERE}+{label}" for label in labels.values()), *keepers)), default=0)
    return max(7, min(_WIDEST_WHERE, longest))


def _where_text(row: HistoryRow, labels: Mapping[str, str]) -> str:
    if isinstance(row, RepositoryBackup):
        return row.repository.partition(":")[0]
    return describe_places(row, dict(labels))


def _where(row: HistoryRow, labels: Mapping[str, str]) -> Span:
    text = _where_text(row, labels).replace(" + ", "+")
    return dim(text) if text == HERE else Span(text)


def _proof(row: HistoryRow, shrunk: Callable[[str], float | None], now: Callable[[], datetime]) -> Line:
    if isinstance(row, BackupEntry):
        return proof_line(row, shrunk(row.backup_id))
    sign, _, said = describe_soundness(row, now()).partition(" ")
    tone = _TONES.get(sign, Tone.DIM)
    if tone is Tone.OK:
        return line(Span(f"{sign} ", tone), Span(_proof_text(row)))
    return line(Span(f"{sign} ", tone), Span(said.partition(",")[0], tone))


def _proof_text(row: HistoryRow) -> str:
    if isinstance(row, BackupEntry):
        return row.proof or ""
    return row.proof.kind if row.proof is not None else ""


def row_search(row: HistoryRow, labels: Mapping[str, str]) -> str:
    """Return what a filter looks into."""
    if isinstance(row, RepositoryBackup):
        proof = _proof_text(row) or "not proven"
        return " ".join((row.reference, WHOLE_CLUSTER, "physical", _engine_text(row), row.kind.value, proof,
                         row.problem))  # fmt: skip
    words = (row.backup_id, row.database, row.profile, engine_text(row), format_text(row), row.kind.value,
             row.proof or "not proven", "pinned" if row.is_pinned else "", row.encryption and "encrypted",
             row.encryption, _where_text(row, labels), row.remote, *row.copies, row.problem)  # fmt: skip
    return " ".join(words)
