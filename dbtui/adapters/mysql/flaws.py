"""What is not sound in a restored database although every row is there."""

from itertools import groupby

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.names import quote_name, quote_table, show_name
from dbtui.model.backups import Flaw, TableName
from dbtui.model.events import Progressed, Routine
from dbtui.model.proofs import Soundness
from dbtui.model.text import format_count, format_untrusted

_FINE = ("ok", "table is already up to date")
_CHECKED = ("BASE TABLE", "SYSTEM VERSIONED", "VIEW", "SEQUENCE")


def collect_soundness(target: MysqlTarget, database: str) -> Routine[Soundness]:
    """Look at a restored database: tables and their indexes, views, and rows that refer to rows that are not there."""
    objects = [row for row in target.collect("tables_of_schema", schema=database) if row["type"] in _CHECKED]
    keys = target.collect("foreign_key_columns", schema=database)
    constraints = [list(columns) for _, columns in groupby(keys, key=lambda row: (row["child"], row["name"]))]
    total = len(objects) + len(constraints)
    flaws = []
    for done, row in enumerate(objects):
        yield Progressed(done, total, "objects", show_name(str(row["name"])))
        flaws += _check_object(target, database, row)
    for done, columns in enumerate(constraints, len(objects)):
        yield Progressed(done, total, "objects", show_name(str(columns[0]["name"])))
        flaws += _count_orphans(target, database, columns)
    views = sum(1 for row in objects if row["type"] == "VIEW")
    checked = (("foreign keys", len(constraints)), ("tables checked", len(objects) - views), ("views", views))
    return Soundness(checked, tuple(flaws))


def _check_object(target: MysqlTarget, database: str, row: Row) -> list[Flaw]:
    """CHECK TABLE reads a table with all its indexes; of a view it tells whether what it stands on is there."""
    name, is_view = str(row["name"]), row["type"] == "VIEW"
    said = target.rows(f"CHECK TABLE {quote_table(TableName(database, name))}")
    wrong = [
        str(one["Msg_text"])
        for one in said
        if str(one["Msg_type"]).lower() in ("error", "warning", "status") and str(one["Msg_text"]).lower() not in _FINE
    ]
    errors = any(str(one["Msg_type"]).lower() == "error" for one in said)
    if not wrong or "doesn't support check" in wrong[0]:
        return []
    return [Flaw("view" if is_view else "table", name, f"is not sound: {format_untrusted(wrong[0], 200)}",
                 is_certain=errors and not is_view)]  # fmt: skip


def _count_orphans(target: MysqlTarget, database: str, columns: list[Row]) -> list[Flaw]:
    """Count what no parent has. A NULL in any column of the key refers to nothing."""
    first = columns[0]
    child = quote_table(TableName(database, str(first["child"])))
    parent = quote_table(TableName(str(first["parent_schema"]), str(first["parent"])))
    pairs = [(quote_name(str(row["child_column"])), quote_name(str(row["parent_column"]))) for row in columns]
    same = " AND ".join(f"p.{theirs} = c.{ours}" for ours, theirs in pairs)
    filled = " AND ".join(f"c.{ours} IS NOT NULL" for ours, _ in pairs)
    sql = (
        f"SELECT COUNT(*) AS total FROM {child} c WHERE {filled} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {same})"  # noqa: S608
    )
    total = int(target.rows(sql)[0]["total"])
    if not total:
        return []
    name = f"{first['child']}.{first['name']}"
    rows = "row refers" if total == 1 else "rows refer"
    return [Flaw("constraint", name, f"is broken: {format_count(total)} {rows} to what does not exist")]
