"""What a backup holds as a tree: schemas and their tables, then views, functions and the rest. No widget in here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len

from dbtui.model.backups import BackupContents, BackupEntry, BackupTable, DumpObject, TableName, TableSample
from dbtui.model.text import format_bytes, format_count, format_untrusted
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, size_bar, strong
from dbtui.tui.widgets.rows import Column

ORDERS = ("size", "rows", "name")
_BAR = 14
_WIDEST_CELL = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One line of the tree. `share` is its part of the largest table; `search` what a filter looks into."""

    key: str
    label: str
    depth: int = 0
    table: BackupTable | None = None
    rows: int | None = None
    bytes: int | None = None
    estimated: bool = False
    share: float = 0.0
    count: int = 0
    folded: bool | None = None  # None: nothing to fold
    search: str = ""
    last: bool = False


def tree_of(contents: BackupContents, folded: frozenset[str], order: str) -> list[Leaf]:
    """Return the lines of the tree; `folded` holds the keys of branches that are shut."""
    leaves: list[Leaf] = []
    tables = sorted(contents.tables, key=lambda table: table.schema)
    most = max((_weight(table, order) for table in tables), default=0)
    schemas = {schema: list(group) for schema, group in groupby(tables, lambda table: table.schema)}
    for schema in contents.schemas:
        schemas.setdefault(schema, [])
    for schema, members in sorted(
        schemas.items(), key=lambda item: (-sum(_weight(t, order) for t in item[1]), item[0])
    ):
        leaves += _schema(schema, members, folded, order, most)
    objects = sorted(contents.objects, key=lambda each: (each.kind, each.schema, each.name))
    for kind, group in groupby(objects, lambda each: each.kind):
        leaves += _objects(kind, list(group), folded)
    for kind, names in (("extensions", contents.extensions), ("roles it names", contents.roles)):
        leaves += _objects(kind, [DumpObject(kind, "", name) for name in names], folded)
    return leaves


def _weight(table: BackupTable, order: str) -> int:
    return (table.rows if order == "rows" else table.bytes or table.rows) or 0


def _schema(schema: str, tables: list[BackupTable], folded: frozenset[str], order: str, most: int) -> Iterator[Leaf]:
    key = f"schema {schema}"
    shut = (key in folded) if tables else None
    rows = [table.rows for table in tables if table.rows is not None]
    sizes = [table.bytes for table in tables if table.bytes is not None]
    yield Leaf(key=key, label=schema or "tables", rows=sum(rows) if rows else None, folded=shut,
               bytes=sum(sizes) if sizes else None, count=len(tables),
               search=" ".join([schema, *(str(table.table_name) for table in tables)]))  # fmt: skip
    if shut:
        return
    if order == "name":
        tables = sorted(tables, key=lambda table: table.name)
    else:
        tables = sorted(tables, key=lambda table: (-_weight(table, order), table.name))
    for place, table in enumerate(tables):
        yield Leaf(key=f"table {table.schema}\0{table.name}", label=table.name, depth=1, table=table, rows=table.rows,
                   bytes=table.bytes, estimated=table.rows_are != "exact", search=str(table.table_name),
                   share=_weight(table, order) / most if most else 0, last=place == len(tables) - 1)  # fmt: skip


def _objects(kind: str, objects: list[DumpObject], folded: frozenset[str]) -> Iterator[Leaf]:
    if not objects:
        return
    key = f"kind {kind}"
    shut = key not in folded  # other things than tables begin shut
    names = [f"{each.schema}.{each.name}" if each.schema else each.name for each in objects]
    yield Leaf(key=key, label=kind if len(objects) == 1 or kind.endswith("s") else f"{kind}s", folded=shut,
               count=len(objects), search=" ".join([kind, *names]))  # fmt: skip
    if shut:
        return
    for place, name in enumerate(names):
        yield Leaf(key=f"{kind} {name} {place}", label=name, depth=1, search=f"{kind} {name}",
                   last=place == len(names) - 1)  # fmt: skip


def _label(leaf: Leaf) -> Line:
    if leaf.depth == 0:
        sign = "  " if leaf.folded is None else "+ " if leaf.folded else "- "
        return line(dim(sign), strong(leaf.label), dim(f"  {leaf.count}"))
    return line(dim("└ " if leaf.last else "├ "), leaf.label)


def _rows(leaf: Leaf) -> Span:
    if leaf.rows is None:
        return dim("" if leaf.folded is not None or leaf.table is None else "–")
    return Span(("~" if leaf.estimated else "") + format_count(leaf.rows), Tone.DIM if leaf.folded is not None
                else Tone.PLAIN)  # fmt: skip


def _size(leaf: Leaf) -> Span:
    if leaf.bytes is None:
        return dim("" if leaf.folded is not None or leaf.table is None else "–")
    return Span(format_bytes(leaf.bytes), Tone.DIM if leaf.folded is not None else Tone.PLAIN)


COLUMNS: list[Column[Leaf]] = [
    Column("NAME", _label, 20, grow=3, widest=60),
    Column("ROWS", _rows, 8, right=True),
    Column("SIZE", _size, 7, right=True),
    Column("SHARE", lambda leaf: size_bar(leaf.share, _BAR), _BAR, spare=1),
]


def tables_under(contents: BackupContents, leaf: Leaf) -> set[TableName]:
    """Return the tables that a line stands for: itself, or all of its schema."""
    if leaf.table is not None:
        return {leaf.table.table_name}
    if leaf.key.startswith("schema "):
        return {table.table_name for table in contents.tables if table.schema == leaf.key.removeprefix("schema ")}
    return set()


def contents_summary(entry: BackupEntry, contents: BackupContents, ticked: int) -> Line:
    """Return the line above the tree."""
    parts = [f"{len(contents.tables)} tables"]
    rows = [table.rows for table in contents.tables if table.rows is not None]
    if rows:
        parts.append(f"{format_count(sum(rows))} rows")
    parts.append(format_bytes(entry.size_bytes))
    chosen = (dim("   "), Span("■ ", Tone.ACCENT), Span(f"{ticked} ticked")) if ticked else ()
    return line(
        " ", strong(contents.database or entry.database or entry.backup_id), dim("  " + " · ".join(parts)), *chosen
    )


def show_sample(sample: TableSample) -> list[Line]:
    """Return a table's first rows under its column names; NULL is said in words and looks it."""
    if not sample.columns:
        return [line(dim("No columns could be read for this table."))]
    shown = [tuple(None if value is None else _one_line(value) for value in row) for row in sample.rows]
    names = tuple(_one_line(name) for name in sample.columns)
    widths = [max(cell_len(_text(row[place])) for row in (names, *shown)) for place in range(len(names))]
    widths[-1] = 0
    lines = [_sample_line(names, widths, Tone.ACCENT), *(_sample_line(row, widths, Tone.PLAIN) for row in shown)]
    if not shown:
        return [*lines, BLANK, line(dim("The table is empty in this backup."))]
    note = f"The first {len(shown)} rows; the backup holds more." if sample.more else f"All {len(shown)} rows."
    return [*lines, BLANK, line(dim(note))]


def _text(value: str | None) -> str:
    return "NULL" if value is None else value


def _sample_line(row: Sequence[str | None], widths: Sequence[int], tone: Tone) -> Line:
    return tuple(
        Span(
            _text(value) + " " * (width - cell_len(_text(value)) + 2 if width else 0),
            Tone.DIM if value is None else tone,
        )
        for value, width in zip(row, widths, strict=True)
    )


def _one_line(value: str) -> str:
    return format_untrusted(value.replace("\r\n", "⏎").replace("\n", "⏎").replace("\t", " "), _WIDEST_CELL)


def show_definition(text: str) -> list[Line]:
    """Return SQL as lines."""
    return [line(each.expandtabs(4)) for each in text.splitlines()] or [line(dim("The backup holds no definition."))]


def fold(leaf: Leaf, folded: frozenset[str]) -> frozenset[str]:
    """Return `folded` with this branch opened or shut."""
    return folded ^ {leaf.key}
