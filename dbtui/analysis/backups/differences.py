"""What became of tables, columns, indexes and rows between two moments, and whether too much was lost."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain

from dbtui.model.backup_differences import (
    SHRINK_ROWS,
    SHRINK_SHARE,
    BackupDifferences,
    Change,
    DiffSide,
    FlagKind,
    PartDifference,
    ShrinkFlag,
    TableDelta,
)
from dbtui.model.backups import BackupTable
from dbtui.model.connections import EngineName
from dbtui.model.shapes import ColumnShape, DatabaseShape, NamedShape, SequenceShape, TableShape
from dbtui.model.tables import TableName
from dbtui.model.text import format_count

_ORDER = {Change.REMOVED: 0, Change.CHANGED: 1, Change.ADDED: 2, Change.UNKNOWN: 3, Change.SAME: 4}
_Pair = tuple[BackupTable | None, BackupTable | None]


def assess_differences(
    first: DiffSide,
    second: DiffSide,
    *,
    threshold: float = SHRINK_SHARE,
    tables: Sequence[TableName] = (),
    excluded: Sequence[TableName] = (),
) -> BackupDifferences:
    """Compare two sides, the earlier with the later, whichever is named first.

    A table that lost more than `threshold` (a fraction) of its rows is flagged. `tables` limits the comparison to
    some, `excluded` leaves some out, see `is_chosen`. What one side does not know is a gap, never a difference.
    """
    is_reversed = _is_later(first, second)
    before, after = (second, first) if is_reversed else (first, second)
    fold = ignores_schemas(before, after)
    pairs = {n: pair for n, pair in _pairs(before, after, fold=fold).items() if is_chosen(n, tables, excluded)}
    shapes = _shapes(before, fold=fold), _shapes(after, fold=fold)
    knows_shapes = _knows_shapes(before, after)
    deltas = [
        _delta(name, pair, (before, after), shapes if knows_shapes else None, threshold) for name, pair in pairs.items()
    ]
    ordered = sorted(deltas, key=lambda each: (each.flag is None, _ORDER[each.change], each.table_name))
    sequences, backwards = ((), ()) if tables or not knows_shapes else _sequences(before, after, fold=fold)
    flags = (*_flag_sides(before, after), *(each.flag for each in ordered if each.flag), *backwards)
    return BackupDifferences(
        before=before, after=after, tables=tuple(ordered), sequences=tuple(sequences), flags=flags,
        gaps=tuple(_gaps(before, after, ordered)), threshold=threshold, is_reversed=is_reversed,
    )  # fmt: skip


def _is_later(first: DiffSide, second: DiffSide) -> bool:
    if first.is_live != second.is_live:
        return first.is_live
    if first.taken_at is None or second.taken_at is None:
        return False
    if first.taken_at == second.taken_at and first.database == second.database:  # ids of one second are counted: x, x-2
        return (len(first.label), first.label) > (len(second.label), second.label)
    return first.taken_at > second.taken_at


def is_chosen(name: TableName, wanted: Sequence[TableName], excluded: Sequence[TableName] = ()) -> bool:
    """Whether a table is one of those wanted (none: all are) and not left out.

    In both, `*` and `?` stand for any letters and any letter. A schema that either side leaves out fits any.
    """
    if any(_fits(name, one) for one in excluded):
        return False
    return not wanted or any(_fits(name, one) for one in wanted)


def _fits(name: TableName, pattern: TableName) -> bool:
    in_schema = not pattern.schema or not name.schema or _matches(name.schema, pattern.schema)
    return in_schema and _matches(name.name, pattern.name)


def _matches(text: str, pattern: str) -> bool:
    return text == pattern or _pattern(pattern).fullmatch(text) is not None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": "."}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in text), re.DOTALL)


# ---------------------------------------------------------------- tables


def _key(table: BackupTable | TableShape | SequenceShape, *, fold: bool) -> TableName:
    """MySQL's schema is its database, whose name says nothing of its tables."""
    return TableName("", table.name) if fold else table.table_name


def _pairs(before: DiffSide, after: DiffSide, *, fold: bool) -> Mapping[TableName, _Pair]:
    earlier = {_key(table, fold=fold): table for table in before.tables}
    later = {_key(table, fold=fold): table for table in after.tables}
    return {name: (earlier.get(name), later.get(name)) for name in dict.fromkeys(chain(earlier, later))}


def _shapes(side: DiffSide, *, fold: bool) -> Mapping[TableName, TableShape]:
    return {_key(table, fold=fold): table for table in side.shape.tables} if side.shape else {}


def _knows_shapes(before: DiffSide, after: DiffSide) -> bool:
    return before.shape is not None and after.shape is not None and before.engine is after.engine


def _delta(
    name: TableName,
    pair: _Pair,
    sides: tuple[DiffSide, DiffSide],
    shapes: tuple[Mapping[TableName, TableShape], Mapping[TableName, TableShape]] | None,
    threshold: float,
) -> TableDelta:
    earlier, later = pair
    parts: tuple[PartDifference, ...] | None = None
    if shapes is not None and name in shapes[0] and name in shapes[1]:
        parts = tuple(_part_differences(shapes[0][name], shapes[1][name]))
    rows, rows_are = _rows_delta(pair)
    sizes = (earlier.bytes if earlier else None, later.bytes if later else None)
    delta = TableDelta(
        schema=name.schema, name=name.name, change=_change(pair, sides, rows, rows_are, parts),
        before=earlier, after=later, parts=parts, rows_delta=rows, rows_are=rows_are,
        bytes_delta=_minus(sizes[1], sizes[0]) if sides[0].sizes_are == sides[1].sizes_are else None,
    )  # fmt: skip
    return replace(delta, flag=_flag_table(delta, threshold))


def _minus(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def _rows_delta(pair: _Pair) -> tuple[int | None, str]:
    earlier, later = pair
    if earlier is None or later is None:
        return None, "exact"
    is_exact = earlier.rows_are == later.rows_are == "exact"
    return _minus(later.rows, earlier.rows), "exact" if is_exact else "estimate"


def _change(
    pair: _Pair,
    sides: tuple[DiffSide, DiffSide],
    rows: int | None,
    rows_are: str,
    parts: tuple[PartDifference, ...] | None,
) -> Change:
    if pair[0] is None:
        return Change.UNKNOWN if sides[0].is_partial else Change.ADDED
    if pair[1] is None:
        return Change.UNKNOWN if sides[1].is_partial else Change.REMOVED
    return Change.CHANGED if parts or (rows and rows_are == "exact") else Change.SAME


# ---------------------------------------------------------------- what tables look like


def _part_differences(before: TableShape, after: TableShape) -> Iterator[PartDifference]:
    found = [
        *_compare("column", _columns(before.columns), _columns(after.columns)),
        *_compare("index", _named(before.indexes), _named(after.indexes)),
        *_compare("constraint", _named(before.constraints), _named(after.constraints)),
    ]
    if not found and before.definition != after.definition:
        found = [PartDifference("definition", "", Change.CHANGED, before.definition, after.definition)]
    yield from found


def format_column(column: ColumnShape) -> str:
    """Return a column's definition: type, nullability, default."""
    parts = (column.type, "" if column.nullable else "not null", column.default and f"default {column.default}")
    return " ".join(part for part in parts if part)


def _columns(columns: Iterable[ColumnShape]) -> dict[str, str]:
    return {column.name: format_column(column) for column in columns}


def _named(shapes: Iterable[NamedShape]) -> dict[str, str]:
    """Definitions by name; a name that comes again gets a number."""
    seen: Counter[str] = Counter()
    named = {}
    for shape in shapes:
        seen[shape.name] += 1
        again = seen[shape.name]
        named[shape.name if again == 1 else f"{shape.name} ({again})"] = shape.definition
    return named


def _compare(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[PartDifference]:
    for name in dict.fromkeys(chain(before, after)):
        earlier, later = before.get(name), after.get(name)
        if later is None:
            yield PartDifference(kind, name, Change.REMOVED, before=earlier or "")
        elif earlier is None:
            yield PartDifference(kind, name, Change.ADDED, after=later)
        elif earlier != later:
            yield PartDifference(kind, name, Change.CHANGED, earlier, later)


def _sequences(
    before: DiffSide, after: DiffSide, *, fold: bool
) -> tuple[tuple[PartDifference, ...], tuple[ShrinkFlag, ...]]:
    """Sequences that came, went or were defined anew; and those whose last value went back."""
    earlier, later = _sequences_of(before.shape, fold=fold), _sequences_of(after.shape, fold=fold)
    found = _compare(
        "sequence",
        {str(name): each.definition for name, each in earlier.items()},
        {str(name): each.definition for name, each in later.items()},
    )
    partial = {
        change
        for side, change in ((before, Change.ADDED), (after, Change.REMOVED))
        if side.is_partial  # which of them a partial dump took along is not known
    }
    flags = tuple(_flag_sequence(each, later[name]) for name, each in earlier.items() if _went_back(each, later, name))
    return tuple(each for each in found if each.change not in partial), flags


def _sequences_of(shape: DatabaseShape | None, *, fold: bool) -> dict[TableName, SequenceShape]:
    return {_key(each, fold=fold): each for each in shape.sequences} if shape else {}


def _went_back(each: SequenceShape, later: Mapping[TableName, SequenceShape], name: TableName) -> bool:
    now = later.get(name)
    if now is None or each.last_value is None or now.last_value is None or now.definition != each.definition:
        return False
    return now.last_value < each.last_value and "increment -" not in each.definition and "cycle" not in each.definition


def _flag_sequence(before: SequenceShape, after: SequenceShape) -> ShrinkFlag:
    words = f"sequence {before.table_name} went back from {before.last_value} to {after.last_value}"
    return ShrinkFlag(FlagKind.SEQUENCE_BACK, words, before.table_name)


# ---------------------------------------------------------------- what looks wrong


def _flag_table(delta: TableDelta, threshold: float) -> ShrinkFlag | None:
    name = delta.table_name
    if delta.change is Change.REMOVED and delta.before is not None:
        had = "" if delta.before.rows is None else f", which had {_rows_words(delta.before)}"
        return ShrinkFlag(FlagKind.TABLE_GONE, f"{name} is gone{had}", name)
    if delta.rows_delta is None or delta.before is None or delta.after is None or not delta.before.rows:
        return None
    lost = -delta.rows_delta
    if not _is_suspicious(lost, delta.before.rows, delta.after.rows, threshold):
        return None
    is_certain = delta.rows_are == "exact"
    maybe = "" if is_certain else ", going by an estimate"
    what = "all" if not delta.after.rows else f"{lost / delta.before.rows * 100:.0f} %"
    words = f"{name} lost {what} of its {_rows_words(delta.before)}{maybe}"
    return ShrinkFlag(FlagKind.ROWS_LOST, words, name, is_certain)


def _is_suspicious(lost: int, before: int, after: int | None, threshold: float) -> bool:
    return lost > 0 and (not after or (lost >= SHRINK_ROWS and lost > before * threshold))


def _rows_words(table: BackupTable) -> str:
    sign = "" if table.rows_are == "exact" else "~"
    return f"{sign}{format_count(table.rows or 0)} row{'' if table.rows == 1 else 's'}"


def ignores_schemas(before: DiffSide, after: DiffSide) -> bool:
    """Whether tables are paired by name alone: MySQL's schema is the database, two engines have none in common."""
    return before.engine is EngineName.MYSQL or after.engine is not before.engine


def suspects(before: DiffSide, after: DiffSide, threshold: float) -> tuple[TableName, ...]:
    """Return the tables of `after` that an estimate alone puts under suspicion, or whose rows nobody has guessed."""
    fold = ignores_schemas(before, after)
    found = []
    for earlier, later in _pairs(before, after, fold=fold).values():
        if earlier is None or later is None or later.rows_are == "exact" or not earlier.rows:
            continue
        if later.rows is None or _is_suspicious(earlier.rows - later.rows, earlier.rows, later.rows, threshold):
            found.append(later.table_name)
    return tuple(found)


def _flag_sides(before: DiffSide, after: DiffSide) -> Iterator[ShrinkFlag]:
    if before.database and after.database and before.database != after.database:
        yield ShrinkFlag(FlagKind.OTHER_DATABASE, f"two databases: {before.database}, then {after.database}")
    if before.engine is not after.engine or (before.flavour and after.flavour and before.flavour != after.flavour):
        engines = f"{before.flavour or before.engine.value}, then {after.flavour or after.engine.value}"
        yield ShrinkFlag(FlagKind.OTHER_ENGINE, f"two engines: {engines}")
    elif 0 < _major(after) < _major(before):
        versions = f"{before.server_version}, then {after.server_version}"
        yield ShrinkFlag(FlagKind.OLDER_VERSION, f"the later one is of an older server: {versions}")
    if before.tables and not after.tables and not after.is_partial:
        yield ShrinkFlag(FlagKind.NO_TABLES, "the later one has no tables at all")


def _major(side: DiffSide) -> int:
    first = side.server_version.partition(".")[0]
    comparable = side.engine is not EngineName.SQLITE and first.isascii() and first.isdigit()
    return int(first) if comparable else 0


def _gaps(before: DiffSide, after: DiffSide, deltas: Iterable[TableDelta]) -> Iterator[str]:
    for side in (before, after):
        yield from side.remarks
        if side.shape is None:
            yield f"columns, indexes and constraints are not compared: {side.label} {side.shape_gap or 'does not tell'}"
    if before.engine is not after.engine:
        yield "columns, indexes and constraints are not compared: the engines are different"
    if before.sizes_are != after.sizes_are:
        yield "sizes are not compared: one side knows the size on the server, the other that of the text in its dump"
    deltas = tuple(deltas)
    yield from _row_gaps(deltas)
    left_out = sum(delta.change is Change.UNKNOWN for delta in deltas)
    if left_out:
        yield f"of {left_out} tables nothing is said: they were left out of a partial backup, or may not be seen"


def _row_gaps(deltas: tuple[TableDelta, ...]) -> Iterator[str]:
    both = [delta for delta in deltas if delta.before is not None and delta.after is not None]
    unknown = sum(delta.rows_delta is None for delta in both)
    guessed = sum(delta.rows_delta is not None and delta.rows_are != "exact" for delta in both)
    if unknown:
        yield f"the rows of {unknown} of {len(both)} tables are not known on both sides"
    if guessed:
        yield f"the rows of {guessed} of {len(both)} tables are estimates, marked ~: they fail no check"
