"""What the catalogue says of keys and indexes, for naming the cure of a repeated look-up."""

from collections import defaultdict
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.model.connections import EngineName
from dbtui.model.queries import ForeignKey, QuerySchema


def collect_query_schema(target: PostgresqlTarget) -> QuerySchema:
    """Ask for foreign keys, primary keys and the first columns of indexes: two questions to the catalogue, no locks.

    A table that the login finds without its schema is named without it.
    """
    keys = tuple(_foreign_key(row) for row in target.collect("collect_foreign_keys"))
    primary: dict[str, tuple[str, ...]] = {}
    indexed: defaultdict[str, set[str]] = defaultdict(set)
    for row in target.collect("collect_index_columns"):
        if row.columns:
            table = _name(row.schema, row.name, is_visible=row.is_visible)
            indexed[table].add(row.columns[0])
            if row.is_primary:
                primary[table] = tuple(row.columns)
    found = {table: frozenset(columns) for table, columns in indexed.items()}
    return QuerySchema(foreign_keys=keys, primary_keys=primary, indexed=found, engine=EngineName.POSTGRESQL)


def _foreign_key(row: Any) -> ForeignKey:
    return ForeignKey(
        table=_name(row.schema, row.name, is_visible=row.is_visible),
        columns=tuple(row.columns),
        parent=_name(row.parent_schema, row.parent_name, is_visible=row.is_parent_visible),
        parent_columns=tuple(row.parent_columns),
        is_required=row.is_required,
        is_unique=row.is_unique,
    )


def _name(schema: str, name: str, *, is_visible: bool) -> str:
    return name if is_visible else f"{schema}.{name}"
