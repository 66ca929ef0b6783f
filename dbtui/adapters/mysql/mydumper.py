"""mydumper, which dumps rows with several connections at once: where it is, and what it must not be trusted with."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.directory import PLAIN_NAME
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.privileges import format_grant, has_roles, lacks, privileges_on
from dbtui.adapters.mysql.tools import BINARIES_VARIABLE, INSTALLED, Tool
from dbtui.adapters.processes import tool_directories, tool_output
from dbtui.errors import ToolError
from dbtui.model.backups import TableFacts

_NAME = "mydumper"
_VERSION = re.compile(r"mydumper v?(\d+)\.(\d+)\.(\d+)")
_INSTEAD = "use --format plain, or leave it out with --exclude-table"
MYDUMPER_LOCKS = (
    "mydumper holds all tables against writing (FLUSH TABLES WITH READ LOCK) until its sessions share one snapshot, "
    "and those of engines without transactions until they are dumped"
)


def find_mydumper(environ: Mapping[str, str]) -> Tool:
    """Return the first mydumper found. Raises ToolError when there is none."""
    for directory in tool_directories(environ, BINARIES_VARIABLE, INSTALLED):
        path = (directory / _NAME).resolve()
        if not os.access(path, os.X_OK) or not path.is_file():
            continue
        found = _VERSION.search(tool_output([str(path), "--version"]))
        if found is not None:
            major, minor, patch = (int(part) for part in found.groups())
            number = major * 10000 + minor * 100 + patch
            return Tool(_NAME, str(path), f"{major}.{minor}.{patch}", number, is_mariadb=True)
    raise ToolError(
        "mydumper is not installed here, and --format directory is made with it",
        f"apt-get install mydumper, name its directory in {BINARIES_VARIABLE}, or use --format plain",
    )


def find_obstacles(target: MysqlTarget, tables: Iterable[TableFacts]) -> Iterator[str]:
    """Yield what speaks against dumping these tables with mydumper: rows would be lost, or their files misnamed."""
    named = {table.name for table in tables}
    if not PLAIN_NAME.fullmatch(target.database):
        yield f"database {show_name(target.database)}: its name makes no file name for mydumper; use --format plain"
    for row in target.collect("tables_of_schema", schema=target.database):
        if "\n" in str(row["name"]) and row["name"] not in named:
            yield f"table {show_name(str(row['name']))}: mydumper cannot be told to leave it out; use --format plain"
    for name in sorted(named):
        if not PLAIN_NAME.fullmatch(name):
            yield f"table {show_name(name)}: its name makes no file name for mydumper; {_INSTEAD}"
    for row in target.collect("columns_for_no_mydumper", schema=target.database):
        if str(row["name"]) in named:
            column = show_name(str(row["column_name"]))
            why = "leaves out its invisible" if row["is_invisible"] else f"writes as no {row['type']} its"
            yield f"table {show_name(str(row['name']))}: mydumper {why} column {column}; {_INSTEAD}"
    for row in target.collect("tables_for_no_mydumper", schema=target.database):
        if str(row["name"]) in named:
            is_merged = str(row["engine"]).upper() == "MRG_MYISAM"
            why = (
                "reads no rows of a table that merges others"
                if is_merged
                else "takes it for a view: its comment is VIEW"
            )
            yield f"table {show_name(str(row['name']))}: mydumper {why}; {_INSTEAD}"
    if "NO_BACKSLASH_ESCAPES" in str(target.collect_one("global_sql_mode")["mode"]).upper():
        yield "the server's sql_mode has NO_BACKSLASH_ESCAPES, in which mydumper writes texts wrong; use --format plain"


def find_missing_privileges(target: MysqlTarget) -> Iterator[str]:
    """Yield what a login lacks for one snapshot in several sessions, with the GRANT."""
    grants = target.collect_grants()
    everywhere = [grant for grant in grants if " ON *.* " in grant]
    if has_roles(grants) or not lacks(privileges_on(everywhere, target.database), "RELOAD"):
        return
    account = target.info.user
    yield f"{account} lacks RELOAD: {format_grant(['RELOAD'], '', account)}"
