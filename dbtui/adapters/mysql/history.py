"""System-versioned tables of MariaDB: whether a dump can hold their old rows too."""

from collections.abc import Set

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.tools import Tool
from dbtui.model.tables import TableName

#: Tool and server can bring history from here on (manual, "mariadb-dump", --dump-history).
_SINCE = 101100


def has_history(target: MysqlTarget, tables: Set[TableName]) -> bool:
    """Whether any of these tables keeps its old rows."""
    if not target.is_mariadb:
        return False
    versioned = target.collect("versioned_tables", schema=target.database)
    return any(TableName(target.database, str(row["name"])) in tables for row in versioned)


def plan_history(target: MysqlTarget, tool: Tool, tables: Set[str]) -> tuple[bool, str]:
    """Return whether the tool is asked for the old rows of `tables`, and a remark where they stay behind."""
    if not target.is_mariadb:
        return False, ""
    versioned = [row for row in target.collect("versioned_tables", schema=target.database) if row["name"] in tables]
    precise = [show_name(str(row["name"])) for row in versioned if row["is_precise"]]
    if not versioned:
        return False, ""
    if not tool.is_mariadb or min(tool.version_number, target.info.version_number) < _SINCE:
        count = len(versioned)
        return False, f"the history of {count} system-versioned tables is left out: dumping it needs MariaDB 10.11"
    if precise:
        return False, (
            f"the history of system-versioned tables is left out: {precise[0]} keeps it by transaction, "
            "which no dump can hold; leave it out with --exclude-table to have the history of the others"
        )
    return True, ""
