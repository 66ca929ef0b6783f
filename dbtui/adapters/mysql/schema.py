"""What the catalogue says of keys and indexes, for naming the cure of a repeated look-up."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.model.connections import EngineName
from dbtui.model.queries import ForeignKey, QuerySchema


def collect_query_schema(target: MysqlTarget) -> QuerySchema:
    """Ask for foreign keys, primary keys and the first columns of indexes: three questions to the catalogue.

    Tables of the profile's database are named alone; where it names none, every table with its database.
    """
    primary: dict[str, tuple[str, ...]] = {}
    indexed: defaultdict[str, set[str]] = defaultdict(set)
    unique: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    rows = target.collect("index_columns_of_schemas", schema=target.database)
    for (schema, name, index), parts in groupby(rows, _index_of):
        columns = list(parts)
        names = tuple(str(row["column_name"]) for row in columns if row["column_name"] is not None)
        if len(names) < len(columns):  # an expression is among them
            continue
        table = _name(target, schema, name)
        indexed[table].add(names[0])
        if index == "PRIMARY":
            primary[table] = names
        if not int(columns[0]["non_unique"]):
            unique[table].append(frozenset(names))
    rows = target.collect("required_columns_of_schemas", schema=target.database)
    required = {(str(row["table_schema"]), str(row["table_name"]), str(row["column_name"])) for row in rows}
    rows = target.collect("foreign_keys_of_schemas", schema=target.database)
    keys = tuple(_foreign_keys(target, rows, required, unique))
    found = {table: frozenset(columns) for table, columns in indexed.items()}
    return QuerySchema(foreign_keys=keys, primary_keys=primary, indexed=found, engine=EngineName.MYSQL)


def _foreign_keys(
    target: MysqlTarget,
    rows: Iterable[Row],
    required: Collection[tuple[str, str, str]],
    unique: Mapping[str, list[frozenset[str]]],
) -> Iterator[ForeignKey]:
    for (schema, name, _key), parts in groupby(rows, _key_of):
        columns = list(parts)
        table, names = _name(target, schema, name), tuple(str(row["column_name"]) for row in columns)
        yield ForeignKey(
            table=table,
            columns=names,
            parent=_name(target, str(columns[0]["parent_schema"]), str(columns[0]["parent_name"])),
            parent_columns=tuple(str(row["parent_column"]) for row in columns),
            is_required=all((schema, name, column) in required for column in names),
            is_unique=any(each <= frozenset(names) for each in unique.get(table, ())),
        )


def _index_of(row: Row) -> tuple[str, str, str]:
    return str(row["table_schema"]), str(row["table_name"]), str(row["index_name"])


def _key_of(row: Row) -> tuple[str, str, str]:
    return str(row["table_schema"]), str(row["table_name"]), str(row["key_name"])


def _name(target: MysqlTarget, schema: str, name: str) -> str:
    return name if schema == target.database else f"{schema}.{name}"
