"""The differences of two backups in words, for both doors."""

from dbtui.model.backup_differences import BackupDifferences, Change, DiffSide, PartDifference, TableDelta
from dbtui.model.backups import BackupTable
from dbtui.model.text import format_bytes, format_count

_SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~"}


def is_same(table: TableDelta) -> bool:
    """Whether there is nothing to say of a table: neither a change nor a suspicion."""
    return table.change in (Change.SAME, Change.UNKNOWN) and table.flag is None


def describe_change(table: TableDelta) -> str:
    """Return what became of a table, in a word or two."""
    return "not told" if table.change is Change.UNKNOWN else table.change.value


def describe_side(side: DiffSide) -> str:
    """Return what one side is: its name, server, database, moment and number of tables."""
    moment = f"{side.taken_at:%Y-%m-%d %H:%M:%S} UTC" if side.taken_at else "at no known time"
    server = f"{side.flavour or side.engine.value} {side.server_version}".strip()
    kind, moment = (" (live)", "now") if side.is_live else ("", moment)
    return f"{side.label}{kind}  {server}  database {side.database or '?'}  {moment}  {len(side.tables)} tables"


def summarise(found: BackupDifferences) -> str:
    """Return all of it in one line."""
    words = (Change.REMOVED, Change.CHANGED, Change.ADDED, Change.SAME)
    counts = [f"{found.count(change)} {change.value}" for change in words if found.count(change)]
    limit = f"flagged: more than {found.threshold * 100:g} % of a table's rows lost"
    return f"{', '.join(counts) or 'no tables'}; {limit}"


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
