"""The differences of two backups as lines for people."""

from collections.abc import Iterator

from dbtui.analysis.backups import difference_words as words
from dbtui.cli.tables import Column, format_table
from dbtui.model.backup_differences import BackupDifferences, Change, PartDifference, TableDelta
from dbtui.model.text import format_untrusted

_COLUMNS = (
    Column("TABLE", least=16),
    Column("CHANGE"),
    Column("ROWS BEFORE", right=True, drop=2),
    Column("AFTER", right=True, drop=2),
    Column("ROWS", right=True),
    Column("BYTES", right=True, drop=1),
    Column("DETAILS", least=10, drop=3),
)
_WIDEST = 200


def show_differences(found: BackupDifferences, width: int | None, *, show_all: bool = False) -> list[str]:
    """Return the lines: both sides, what looks wrong, the tables, what changed in them, and what is not known."""
    sides = (("earlier", found.before), ("later", found.after))
    lines = [*(f"{word:<8} {format_untrusted(words.describe_side(side))}" for word, side in sides), ""]
    lines += [f"{'▲' if flag.is_certain else '?'} {format_untrusted(flag.words)}" for flag in found.flags]
    lines += [""] if found.flags else []
    tables = [table for table in found.tables if show_all or not words.is_same(table)]
    if tables:
        lines += [*format_table(_COLUMNS, [_row(table) for table in tables], width), ""]
    lines += _parts(found, tables)
    lines.append(words.summarise(found))
    lines += [f"not known: {format_untrusted(gap)}" for gap in found.gaps]
    return lines


def _row(table: TableDelta) -> tuple[str, ...]:
    return (
        str(table.table_name),
        words.describe_change(table),
        words.format_rows(table.before),
        words.format_rows(table.after),
        words.format_rows_delta(table),
        "" if not table.bytes_delta else words.format_signed_bytes(table.bytes_delta),
        "; ".join(words.describe_part(part) for part in table.parts or ()),
    )


def _parts(found: BackupDifferences, tables: list[TableDelta]) -> list[str]:
    """What changed inside of tables, both definitions under each other."""
    lines: list[str] = []
    for table in tables:
        if table.parts:
            lines += [format_untrusted(str(table.table_name)), *_definitions(table.parts)]
    if found.sequences:
        lines += ["sequences", *_definitions(found.sequences)]
    return [*lines, ""] if lines else []


def _definitions(parts: tuple[PartDifference, ...]) -> Iterator[str]:
    for part in parts:
        yield f"  {part.kind} {format_untrusted(part.name, _WIDEST)}".rstrip()
        if part.change is not Change.ADDED:
            yield f"    - {format_untrusted(part.before, _WIDEST)}"
        if part.change is not Change.REMOVED:
            yield f"    + {format_untrusted(part.after, _WIDEST)}"
