"""Counting rows exactly."""

from collections.abc import Sequence

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.names import quote_table, show_name
from dbtui.model.backups import BackupTable, TableName
from dbtui.model.events import Progressed, Routine

_ALL_TIMES = " FOR SYSTEM_TIME ALL"


def count_rows(target: MysqlTarget, database: str, tables: Sequence[TableName]) -> Routine[tuple[BackupTable, ...]]:
    """Count the rows of each table that exists in `database`, whichever database its name says.

    Of system-versioned tables the old rows count too, for a dump can hold them.
    """
    there = target.collect("tables_of_schema", schema=database)
    sizes = {str(row["name"]): row["bytes"] for row in there}
    versioned = {str(row["name"]) for row in there if row["type"] == "SYSTEM VERSIONED"}
    counted = []
    for number, table in enumerate(tables):
        yield Progressed(number, len(tables), "tables", show_name(table.name))
        if table.name not in sizes:
            continue
        name = quote_table(TableName(database, table.name)) + _ALL_TIMES * (table.name in versioned)
        rows = int(target.rows(f"SELECT COUNT(*) AS total FROM {name}")[0]["total"])  # noqa: S608 - quoted
        size = sizes[table.name]
        counted.append(BackupTable(database, table.name, rows, "exact", None if size is None else int(size)))
    return tuple(counted)
