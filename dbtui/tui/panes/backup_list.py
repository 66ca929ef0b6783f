"""The history of backups as a table, and all that is known of the one under the cursor."""

from collections.abc import Callable, Sequence
from datetime import datetime

from dbtui.analysis.backups.proof_words import describe_details, describe_proof, describe_proven
from dbtui.model.backups import BackupEntry, BackupTable, EntryKind
from dbtui.model.connections import EngineName
from dbtui.model.proofs import Proof
from dbtui.model.retention import Pin
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.ages import format_age, format_time, parse_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, fit, line, size_bar, strong
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.spoken_keys import speak_keys, spoken_key

_BAR = 12
_NUMBERS = 20
_SHORTEST_NAME = 14
_MOST_TABLES = 40
_MOST_PROOFS = 5


def engine_text(entry: BackupEntry) -> str:
    """Return `PG 15`, `MDB 10`, `MySQL 8`, `SQLite`."""
    major = entry.server_version.partition(".")[0]
    if entry.engine is None:
        return "–"
    if entry.engine is EngineName.SQLITE:
        return "SQLite"
    if entry.engine is EngineName.POSTGRESQL:
        return f"PG {major}".rstrip()
    return f"{'MDB' if entry.flavour == 'MariaDB' else 'MySQL'} {major}".rstrip()


def format_text(entry: BackupEntry) -> str:
    """Return `plain zstd`, `directory`; that it is encrypted is told by a word of its own."""
    packing = entry.compression.partition(":")[0]
    parts = [entry.format.value if entry.format else "–", packing if packing != "none" else ""]
    return " ".join(part for part in parts if part)


def proof_line(entry: BackupEntry, shrunk: float | None) -> Line:
    """Return what is proven of a backup, or what is wrong with it. `shrunk` is the fraction it lost, if too much."""
    if entry.kind is EntryKind.BROKEN:
        return line(Span("✖ ", Tone.TROUBLE), Span("broken", Tone.TROUBLE))
    if entry.kind is EntryKind.FOREIGN:
        return line(dim("○ foreign"))
    if shrunk is not None:
        return line(Span("▲ ", Tone.WARNING), Span(f"{shrunk * 100:.0f} % less", Tone.WARNING))
    if entry.failed_at:
        return line(Span("✖ ", Tone.TROUBLE), Span("failed", Tone.TROUBLE))
    if entry.proof == "restored":
        return line(Span("● ", Tone.OK), Span("restored"))
    if entry.proof == "checksums":
        return line(Span("● ", Tone.OK), Span("checksums"))
    return line(dim("○ not proven"))


def show_entry(
    entry: BackupEntry, now: datetime, shrunk: float | None, pin: Pin | None = None, opens_with: str = ""
) -> list[Line]:
    """Return all that is known of a backup.

    `pin`: who has pinned it and why, once that was read. `opens_with`: where the key of an encrypted one comes from.
    """
    lines: list[Line] = [line(strong(entry.backup_id)), BLANK]
    if entry.problem:
        lines += [line(Span("✖ ", Tone.TROUBLE), Span(entry.problem, Tone.TROUBLE)), BLANK]
    if shrunk is not None:
        lines += [warning(f"{shrunk * 100:.0f} % smaller than the backup before it; look inside before trusting it"),
                  BLANK]  # fmt: skip
    if entry.kind is EntryKind.FOREIGN:
        lines += [line(dim("A dump without a manifest: not made by dbtui, or moved without it.")), BLANK]
    lines += [
        fact("made", format_time(entry.began_at)),
        fact("age", format_age(entry.began_at, now)),
        fact("database", entry.database or "–", dim(f"  profile {entry.profile}" if entry.profile else "")),
        fact("engine", f"{entry.flavour or engine_text(entry)} {entry.server_version}"),
        fact("format", format_text(entry)),
        *_encrypted(entry, opens_with),
        fact("size", format_bytes(entry.size_bytes)),
        fact("tables", "–" if entry.tables is None else str(entry.tables),
             dim("" if entry.rows is None else f"  {entry.rows:,} rows".replace(",", " "))),
        fact("proof", *_proof_sentence(entry, now)),
        *_verified(entry),
        *(_pinned(pin) if entry.is_pinned else []),
        *_places(entry),
    ]  # fmt: skip
    return lines


def _encrypted(entry: BackupEntry, opens_with: str) -> list[Line]:
    if not entry.encryption:
        return []
    sign = Span(entry.encryption, Tone.ACCENT)
    if opens_with:
        return [fact("encrypted", sign, dim(f"  opened with {opens_with}"))]
    return [
        fact("encrypted", sign, dim("  no key to open it is named here:")),
        fact("", dim("identity or identity_command in the configuration, or DBTUI_AGE_IDENTITY")),
    ]


def _places(entry: BackupEntry) -> list[Line]:
    here = [fact("file", entry.data_path or "gone")]
    if entry.remote:
        here = [fact("lies in", entry.data_path), fact("", dim("and not here"))]
    return [*here, *(fact("" if place else "copies", copy) for place, copy in enumerate(entry.copies))]


def _proof_sentence(entry: BackupEntry, now: datetime) -> Line:
    sign, *rest = proof_line(entry, None)
    said = describe_proven(entry, now) if entry.kind is EntryKind.COMPLETE else ""
    return line(sign, said) if said else (sign, *rest)


def show_proofs(proofs: Sequence[Proof], now: datetime) -> list[Line]:
    """Return what restoring a backup has shown, the newest with its details."""
    lines: list[Line] = []
    for number, proof in enumerate(proofs[:_MOST_PROOFS]):
        lines.append(line(describe_proof(proof, now)))
        if number == 0:
            lines += [line(dim(f"  {said}")) for said in describe_details(proof)]
    return [BLANK, line(strong("Restores")), *lines] if lines else []


def _pinned(pin: Pin | None) -> list[Line]:
    lines = [fact("pinned", "neither retention nor deletion removes it")]
    if pin is not None:
        moment = parse_time(pin.pinned_at)
        who = f"by {pin.operator}" if pin.operator else ""
        said = " ".join(part for part in (who, format_time(moment) if moment else "") if part)
        lines += [fact("", text) for text in (pin.reason, said) if text]
    return lines


def _verified(entry: BackupEntry) -> list[Line]:
    moment = parse_time(entry.verified_at or entry.failed_at or "")
    return [fact("proven", format_time(moment))] if moment else []


def show_tables(tables: tuple[BackupTable, ...], width: int) -> list[Line]:
    """Return the largest tables with a bar each, the largest first."""
    weight = _weight_of(tables)
    ordered = sorted(tables, key=lambda table: weight(table), reverse=True)
    most = max((weight(table) for table in tables), default=0)
    one_schema = len({table.schema for table in tables}) == 1
    bar_width = max(0, min(_BAR, width - _SHORTEST_NAME - _NUMBERS))
    names = max(_SHORTEST_NAME, width - bar_width - _NUMBERS)
    lines: list[Line] = []
    for table in ordered[:_MOST_TABLES]:
        name = fit(line(table.name if one_schema else str(table.table_name)), names)
        rows = "" if table.rows is None else f"{format_count(table.rows)}"
        size = "" if table.bytes is None else format_bytes(table.bytes)
        share = weight(table) / most if most else 0
        lines.append(line(*name, dim(f"  {rows:>7}  {size:>7}  "), size_bar(share, bar_width)))
    if len(ordered) > _MOST_TABLES:
        lines.append(line(dim(f"and {len(ordered) - _MOST_TABLES} more")))
    return lines


def count_table_lines(tables: int) -> int:
    """Return how many lines `show_tables` takes for so many tables."""
    return min(tables, _MOST_TABLES) + (tables > _MOST_TABLES)


def _weight_of(tables: tuple[BackupTable, ...]) -> Callable[[BackupTable], int]:
    if any(table.bytes for table in tables):
        return lambda table: table.bytes or 0
    return lambda table: table.rows or 0


def history_empty(directory: str, opened: str, problem: str) -> list[Line]:
    """Return what an empty history says: what would be here, and the key that makes it."""
    if problem:
        return [
            line(" ", Span("✖ ", Tone.TROUBLE), Span(problem)),
            BLANK,
            line(dim(speak_keys(" {global.refresh} reads it again"))),
        ]
    lines: list[Line] = [
        line(" No backup in ", strong(directory), " yet. Every backup made there would be a row."),
        BLANK,
    ]
    named = ("backups.backup", "global.connections", "connections.open")
    backup, first, opens = (Span(spoken_key(action_id), Tone.KEY) for action_id in named)
    if opened:
        return [*lines, line(" ", backup, " backs up ", strong(opened))]
    return [*lines, line(" ", first, ", then ", opens, " opens a connection; ", backup, " backs it up")]
