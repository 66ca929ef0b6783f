"""What the tables of a live database look like, asked of the information schema: no table is read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.facts import require_database
from dbtui.adapters.mysql.names import quote_name, quote_table
from dbtui.adapters.mysql.privileges import format_grant, has_roles, lacks, privileges_on
from dbtui.errors import ServerError
from dbtui.model.backup_differences import LiveContents
from dbtui.model.backups import BackupTable
from dbtui.model.shapes import ColumnShape, DatabaseShape, NamedShape, SequenceShape, TableShape
from dbtui.model.tables import TableName

_NO_TABLES = ("VIEW", "SYSTEM VIEW", "SEQUENCE")
#: 8.0.16, the first of MySQL whose CHECK is more than a comment.
_CHECKS_SINCE = 80016
_Named = defaultdict[str, list[NamedShape]]


def collect_shape(target: MysqlTarget) -> DatabaseShape:
    """Ask for the columns, indexes and constraints of every table, and for every sequence. Raises ServerError."""
    database = require_database(target)
    return _shape_of(target, database, target.collect("tables_of_schema", schema=database))


def collect_live_contents(target: MysqlTarget) -> LiveContents:
    """Ask for every table's size, shape and rows, of which the optimiser only has a guess. Raises ServerError."""
    database = require_database(target)
    there = target.collect("tables_of_schema", schema=database)
    return LiveContents(
        tables=tuple(
            BackupTable(database, str(row["name"]), _number(row["estimate"]), "estimate", _number(row["bytes"]))
            for row in _tables(there)
        ),
        shape=_shape_of(target, database, there),
        hides=_hides(target, database),
    )


def _hides(target: MysqlTarget, database: str) -> str:
    """MySQL lists only what an account has some privilege on: what it does not list need not be gone."""
    grants = target.collect_grants()
    if has_roles(grants) or not lacks(privileges_on(grants, database), "SELECT"):
        return ""
    account = target.info.user
    return f"{account} sees only what it was granted: {format_grant(['SELECT'], database, account)} shows the rest"


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))


def _tables(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row["type"] not in _NO_TABLES)


def _shape_of(target: MysqlTarget, database: str, there: list[Row]) -> DatabaseShape:
    columns: defaultdict[str, list[ColumnShape]] = defaultdict(list)
    for row in target.collect("shape_columns", schema=database):
        columns[str(row["table_name"])].append(_column(row, database))
    indexes = _indexes(target, database)
    constraints = _constraints(target, database)
    return DatabaseShape(
        tuple(
            TableShape(database, name, tuple(columns[name]), tuple(indexes[name]), tuple(constraints[name]))
            for name in (str(row["name"]) for row in _tables(there))
        ),
        tuple(_sequence(target, database, str(row["name"])) for row in there if row["type"] == "SEQUENCE"),
    )


def _own(expression: object, database: str) -> str:
    """An expression without the name of its own database, which the server writes into it: restores have another."""
    return str(expression).replace(f"{quote_name(database)}.", "")


def _column(row: Row, database: str) -> ColumnShape:
    kind = str(row["type"]) + (f" collate {row['collation_name']}" if row["collation_name"] else "")
    default = "" if row["default_text"] is None else _own(row["default_text"], database)
    if row["expression"]:
        default = f"generated always as ({_own(row['expression'], database)})"
    extra = " ".join(str(row["extra"] or "").replace("DEFAULT_GENERATED", "").split())
    shown = " ".join(part for part in ("" if default.upper() == "NULL" else default, extra) if part)
    return ColumnShape(str(row["name"]), kind, str(row["is_nullable"]).upper() == "YES", shown)


def _indexes(target: MysqlTarget, database: str) -> _Named:
    found: _Named = defaultdict(list)
    rows = target.collect("shape_indexes", schema=database)
    for (table, name), parts in groupby(rows, lambda row: (str(row["table_name"]), str(row["name"]))):
        columns = list(parts)
        shown = ", ".join(_index_column(row) for row in columns)
        kind = "unique " if not int(columns[0]["non_unique"]) and name != "PRIMARY" else ""
        key = "primary key" if name == "PRIMARY" else f"{kind}{str(columns[0]['type']).lower()}"
        found[table].append(NamedShape(name, f"{key} ({shown})"))
    return found


def _index_column(row: Row) -> str:
    if row["column_name"] is None:
        return "an expression"
    name = quote_name(str(row["column_name"]))
    return name if row["prefix"] is None else f"{name}({row['prefix']})"


def _constraints(target: MysqlTarget, database: str) -> _Named:
    found: _Named = defaultdict(list)
    rules = {
        (str(row["table_name"]), str(row["name"])): f"on update {row['on_update']} on delete {row['on_delete']}".lower()
        for row in target.collect("shape_foreign_keys", schema=database)
    }
    rows = target.collect("foreign_keys_of_schemas", schema=database)
    for (table, name), parts in groupby(rows, lambda row: (str(row["table_name"]), str(row["key_name"]))):
        columns = list(parts)
        parent = str(columns[0]["parent_name"])
        own = ", ".join(quote_name(str(row["column_name"])) for row in columns)
        theirs = ", ".join(quote_name(str(row["parent_column"])) for row in columns)
        schema = str(columns[0]["parent_schema"])
        shown = quote_name(parent) if schema == database else quote_table(TableName(schema, parent))
        rule = rules.get((table, name), "")
        found[table].append(NamedShape(name, f"foreign key ({own}) references {shown} ({theirs}) {rule}".strip()))
    for row in _checks(target, database):
        found[str(row["table_name"])].append(
            NamedShape(str(row["name"]), f"check ({_own(row['definition'], database)})")
        )
    return found


def _checks(target: MysqlTarget, database: str) -> list[Row]:
    if target.is_mariadb:
        return target.collect("shape_checks_mariadb", schema=database)
    if target.info.version_number < _CHECKS_SINCE:
        return []
    return target.collect("shape_checks_mysql", schema=database)


def _sequence(target: MysqlTarget, database: str, name: str) -> SequenceShape:
    """A sequence of MariaDB, which is read like a table of one row; its next value stands for the last one."""
    try:
        row = target.rows(f"SELECT * FROM {quote_table(TableName(database, name))}")[0]  # noqa: S608 - quoted
    except ServerError:
        return SequenceShape(database, name, "")  # may not be seen: that it is there is known all the same
    parts = (f"start {row['start_value']}", f"increment {row['increment']}", f"from {row['minimum_value']}",
             f"to {row['maximum_value']}", "cycle" if row["cycle_option"] else "")  # fmt: skip
    return SequenceShape(database, name, " ".join(filter(None, parts)), int(row["next_not_cached_value"]))
