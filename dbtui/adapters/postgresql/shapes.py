"""What the tables of a live database look like, asked of its catalogue: no table is read or locked."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.tables import CatalogTable, collect_catalogue
from dbtui.model.backup_differences import LiveContents
from dbtui.model.backups import BackupTable, DumpOptions
from dbtui.model.shapes import ColumnShape, DatabaseShape, NamedShape, SequenceShape, TableShape
from dbtui.model.tables import TableName

_PIN = "pin_partition_text"  # definitions mean the same whatever the session's search_path


def collect_shape(target: PostgresqlTarget) -> DatabaseShape:
    """Ask for the columns, indexes and constraints of every table, and for every sequence. Raises ServerError."""
    return _shape_of(target, _listed(target))


def collect_live_contents(target: PostgresqlTarget) -> LiveContents:
    """Ask for every table with its size and the planner's guess at its rows, and for its shape. Raises ServerError."""
    tables = _listed(target)
    return LiveContents(
        tables=tuple(
            BackupTable(each.table.schema, each.table.name, each.rows_estimate, "estimate", each.size_bytes)
            for each in tables
        ),
        shape=_shape_of(target, tables),
        uncountable=tuple(_uncountable(tables)),
    )


def _listed(target: PostgresqlTarget) -> tuple[CatalogTable, ...]:
    """The tables that a backup lists: partitioned parents only when they have no partition."""
    catalogue = collect_catalogue(target)
    chosen, _ = catalogue.choose(DumpOptions())
    return catalogue.listed(chosen)


def _uncountable(tables: Sequence[CatalogTable]) -> Iterator[tuple[TableName, str]]:
    for each in tables:
        if not (each.can_use_schema and each.can_read):
            yield each.table, "this login may not read it"
        elif each.hides_rows:
            yield each.table, "row security hides rows from this login"


def _shape_of(target: PostgresqlTarget, tables: Sequence[CatalogTable]) -> DatabaseShape:
    table_ids = [each.table_id for each in tables]
    columns: defaultdict[int, list[ColumnShape]] = defaultdict(list)
    for row in target.collect("collect_shape_columns", after=_PIN, table_ids=table_ids):
        columns[row.table_id].append(ColumnShape(row.name, row.type, row.is_nullable, row.default_text))
    indexes = _named(target.collect("collect_shape_indexes", after=_PIN, table_ids=table_ids))
    constraints = _named(target.collect("collect_shape_constraints", after=_PIN, table_ids=table_ids))
    return DatabaseShape(
        tuple(
            TableShape(
                each.table.schema,
                each.table.name,
                tuple(columns[each.table_id]),
                tuple(indexes[each.table_id]),
                tuple(constraints[each.table_id]),
            )
            for each in tables
        ),
        tuple(
            SequenceShape(row.schema, row.name, row.definition, row.last_value)
            for row in target.collect("collect_shape_sequences")
        ),
    )


def _named(rows: Sequence[Any]) -> defaultdict[int, list[NamedShape]]:
    named: defaultdict[int, list[NamedShape]] = defaultdict(list)
    for row in rows:
        named[row.table_id].append(NamedShape(row.name, row.definition or ""))
    return named
