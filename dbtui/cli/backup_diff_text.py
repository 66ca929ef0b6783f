"""The differences of two backups as lines for people."""

from collections.abc import Iterator

from dbtui.cli.tables import Column, format_table
from dbtui.model.backup_differences import BackupDifferences, Change, DiffSide, PartDifference, TableDelta
from dbtui.model.backups import BackupTable
from dbtui.model.text import format_bytes, format_count, format_untrusted

_COLUMNS = (
    Column("TABLE", least=16),
    Column("CHANGE"),
    Column("ROWS BEFORE", right=True, drop=2),
    Column("AFTER", right=True, drop=2),
    Column("ROWS", right=True),
    Column("BYTES", right=True, drop=1),
    Column("DETAILS", least=10, drop=3),
)
_SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~"}
_WIDEST = 200


def show_differences(found: BackupDifferences, width: int | None, *, show_all: bool = False) -> list[str]:
    """Return the lines: both sides, what looks wrong, the tables, what changed in them, and what is not known."""
    lines = [_side_line("earlier", found.before), _side_line("later", found.after), ""]
    lines += [f"{'▲' if flag.is_certain else '?'} {format_untrusted(flag.words)}" for flag in found.flags]
    lines += [""] if found.flags else []
    tables = [table for table in found.tables if show_all or not is_same(table)]
    if tables:
        lines += [*format_table(_COLUMNS, [_row(table) for table in tables], width), ""]
    lines += _parts(found, tables)
    lines.append(summarise(found))
    lines += [f"not known: {format_untrusted(gap)}" for gap in found.gaps]
    return lines


def is_same(table: TableDelta) -> bool:
    """Whether there is nothing to say of a table: neither a change nor a suspicion."""
    return table.change in (Change.SAME, Change.UNKNOWN) and table.flag is None


def _side_line(word: str, side: DiffSide) -> str:
    moment = (
        "now" if side.is_live else f"{side.taken_at:%Y-%m-%d %H:%M:%S} UTC" if side.taken_at else "at no known time"
    )
    server = f"{side.flavour or side.engine.value} {side.server_version}".strip()
    kind = " (live)" if side.is_live else ""
    about = f"{side.label}{kind}  {server}  database {side.database or '?'}  {moment}  {len(side.tables)} tables"
    return f"{word:<8} {format_untrusted(about)}"


def summarise(found: BackupDifferences) -> str:
    """Return all of it in one line."""
    words = (Change.REMOVED, Change.CHANGED, Change.ADDED, Change.SAME)
    counts = [f"{found.count(change)} {change.value}" for change in words if found.count(change)]
    limit = f"flagged: more than {found.threshold * 100:g} % of a table's rows lost"
    return f"{', '.join(counts) or 'no tables'}; {limit}"


def _row(table: TableDelta) -> tuple[str, ...]:
    return (
        str(table.table_name),
        "not told" if table.change is Change.UNKNOWN else table.change.value,
        format_rows(table.before),
        format_rows(table.after),
        format_rows_delta(table),
        "" if not table.bytes_delta else format_signed_bytes(table.bytes_delta),
        "; ".join(describe_part(part) for part in table.parts or ()),
    )


def format_rows(table: BackupTable | None) -> str:
    """Return a table's rows, an estimate with `~`, `?` where they are not known; empty where it is not there."""
    if table is None:
        return ""
    if table.rows is None:
        return "?"
    return f"{'' if table.rows_are == 'exact' else '~'}{format_count(table.rows)}"


def format_rows_delta(table: TableDelta) -> str:
    """Return `+12`, `-3`, `~+40`; empty where nothing can be said or nothing changed."""
    if not table.rows_delta:
        return ""
    sign = "+" if table.rows_delta > 0 else "-"
    return f"{'' if table.rows_are == 'exact' else '~'}{sign}{format_count(abs(table.rows_delta))}"


def format_signed_bytes(count: int) -> str:
    """Return `+1.2 MB`."""
    return f"{'+' if count > 0 else '-'}{format_bytes(abs(count))}"


def describe_part(part: PartDifference) -> str:
    """Return `+column note`, `~index orders_at`, `-constraint fk`."""
    return f"{_SIGNS.get(part.change, ' ')}{part.kind} {part.name}".rstrip()


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
