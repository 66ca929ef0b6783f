"""Two backups side by side as rows, and all about one of them as lines."""

from collections.abc import Iterator
from dataclasses import dataclass

from dbtui.analysis.backups import difference_words as words
from dbtui.model.backup_differences import BackupDifferences, Change, PartDifference, TableDelta
from dbtui.model.backups import BackupTable
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.widgets.rows import Column

_TONES = {Change.REMOVED: Tone.TROUBLE, Change.CHANGED: Tone.WARNING, Change.ADDED: Tone.OK}
_SIGNS = {Change.REMOVED: "-", Change.CHANGED: "~", Change.ADDED: "+"}
_MOST_FLAGS = 3


@dataclass(frozen=True, slots=True)
class DiffRow:
    """A table, or a sequence that is not the same."""

    key: str
    name: str
    change: Change
    table: TableDelta | None = None
    sequence: PartDifference | None = None

    @property
    def search(self) -> str:
        """What a filter looks into."""
        parts = self.table.parts if self.table and self.table.parts else ()
        flag = self.table.flag.words if self.table and self.table.flag else ""
        return " ".join([self.name, self.change.value, flag, *(f"{part.kind} {part.name}" for part in parts)])

    @property
    def rows_delta(self) -> int:
        """How many rows came, or, negative, went; 0 where nobody knows."""
        return (self.table.rows_delta if self.table else 0) or 0

    @property
    def bytes_delta(self) -> int:
        """The same of bytes."""
        return (self.table.bytes_delta if self.table else 0) or 0


def rows_of(found: BackupDifferences, *, show_all: bool) -> list[DiffRow]:
    """Return the rows, what looks like a loss first; those without a difference only with `show_all`."""
    tables = [
        DiffRow(f"table {each.schema}\0{each.name}", str(each.table_name), each.change, each)
        for each in found.tables
        if show_all or not words.is_same(each)
    ]
    return [*tables, *(DiffRow(f"sequence {one.name}", one.name, one.change, sequence=one) for one in found.sequences)]


def _sign(row: DiffRow) -> Span:
    if row.table is not None and row.table.flag is not None:
        return Span("▲", Tone.TROUBLE) if row.table.flag.is_certain else Span("?", Tone.WARNING)
    return Span(_SIGNS.get(row.change, " "), _TONES.get(row.change, Tone.DIM))


def _name(row: DiffRow) -> Line:
    kind = dim("sequence ") if row.sequence is not None else Span("")
    return line(kind, strong(row.name) if row.change in _TONES else dim(row.name))


def _side(table: BackupTable | None) -> Line:
    if table is None:
        return line(dim("–"))
    size = "" if table.bytes is None else format_bytes(table.bytes)
    return line(words.format_rows(table), dim(f" {size:>7}"))


def _rows(row: DiffRow) -> Span:
    if row.table is None:
        return Span("")
    flagged = row.table.flag is not None and row.table.flag.is_certain
    return Span(words.format_rows_delta(row.table), Tone.TROUBLE if flagged else Tone.PLAIN)


def _what(row: DiffRow) -> Line:
    if row.table is None or not row.table.parts:
        return line(dim(row.change.value if row.change in _TONES and row.table is None else ""))
    return line(", ".join(words.describe_part(part) for part in row.table.parts))


COLUMNS: list[Column[DiffRow]] = [
    Column("", _sign, 1),
    Column("TABLE", _name, 16, grow=2, widest=40, order=lambda row: row.name),
    Column("EARLIER", lambda row: _side(row.table.before) if row.table else BLANK, 15, right=True),
    Column("LATER", lambda row: _side(row.table.after) if row.table else BLANK, 15, right=True),
    Column("± ROWS", _rows, 8, right=True, order=lambda row: row.rows_delta),
    Column("± SIZE", lambda row: dim(words.format_signed_bytes(row.bytes_delta) if row.bytes_delta else ""), 8,
           right=True, spare=2, order=lambda row: row.bytes_delta),
    Column("WHAT CHANGED", _what, 14, grow=4, spare=1),
]  # fmt: skip


def show_summary(found: BackupDifferences) -> list[Line]:
    """Return the lines above the rows: both sides, and what looks wrong."""
    lines = [
        line(dim(" earlier  "), words.describe_side(found.before)),
        line(dim(" later    "), words.describe_side(found.after)),
    ]
    certain = [flag for flag in found.flags if flag.is_certain]
    if certain:
        more = f"  and {len(certain) - _MOST_FLAGS} more" if len(certain) > _MOST_FLAGS else ""
        said = " · ".join(flag.words for flag in certain[:_MOST_FLAGS])
        return [*lines, line(" ", Span("▲ ", Tone.TROUBLE), Span(said, Tone.TROUBLE), dim(more))]
    if not found.has_changed:
        return [*lines, line(" ", Span("● ", Tone.OK), "no difference that is certain")]
    return [*lines, line(" ", dim(words.summarise(found)))]


def show_gaps(found: BackupDifferences) -> Iterator[Line]:
    """Yield what is not known, and how a loss is told."""
    yield line(dim(words.summarise(found)))
    for flag in found.flags:
        yield warning(flag.words) if flag.is_certain else line(dim("? "), flag.words)
    for gap in found.gaps:
        yield line(dim("not known  "), gap)


def show_row(row: DiffRow) -> list[Line]:
    """Return all about a table or sequence."""
    lines: list[Line] = [line(strong(row.name), dim(f"  {_word(row)}")), BLANK]
    if row.sequence is not None:
        return [*lines, *_part(row.sequence)]
    table = row.table
    if table is None:
        return lines
    if table.flag is not None:
        lines += [warning(table.flag.words), BLANK]
    lines += [_fact("earlier", table.before), _fact("later", table.after), BLANK]
    if table.parts is None and table.before and table.after:
        return [*lines, line(dim("Columns, indexes and constraints are not known on both sides."))]
    for part in table.parts or ():
        lines += [*_part(part), BLANK]
    if table.parts == ():
        lines.append(line(dim("Columns, indexes and constraints are the same.")))
    return lines


def _word(row: DiffRow) -> str:
    return words.describe_change(row.table) if row.table else f"sequence {row.change.value}"


def _fact(label: str, table: BackupTable | None) -> Line:
    if table is None:
        return fact(label, dim("not there"))
    rows = "not known" if table.rows is None else f"{format_count(table.rows)} rows"
    how = "" if table.rows is None or table.rows_are == "exact" else "  an estimate"
    size = "" if table.bytes is None else f"  {format_bytes(table.bytes)}"
    return fact(label, rows, dim(how + size))


def _part(part: PartDifference) -> Iterator[Line]:
    tone = _TONES.get(part.change, Tone.PLAIN)
    yield line(Span(f"{_SIGNS.get(part.change, ' ')} ", tone), dim(f"{part.kind} "), strong(part.name))
    if part.change is not Change.ADDED:
        yield fact("  earlier", part.before or "no definition is known")
    if part.change is not Change.REMOVED:
        yield fact("  later", part.after or "no definition is known")
