"""What tables looked like when they were dumped: asked before and after, kept only where both answers are one."""

from collections.abc import Iterable
from dataclasses import replace

from dbtui.adapters.adapter import Target
from dbtui.errors import ConnectError, ServerError
from dbtui.model.backups import BackupTable, TableName
from dbtui.model.shapes import MOST_COLUMNS, DatabaseShape
from dbtui.routines.context import RoutineContext


def look_at_shape(c: RoutineContext, target: Target) -> DatabaseShape | None:
    """Ask what the tables look like. None where that cannot be had: no backup fails for it.

    After a dump of hours the own connection may have been ended for being idle.
    """
    try:
        return c.backups(target.profile.engine).collect_shape(target)
    except (ConnectError, ServerError):
        return None


def confirm_shape(
    c: RoutineContext, target: Target, before: DatabaseShape | None, tables: Iterable[BackupTable]
) -> DatabaseShape | None:
    """Return the shape of the dumped tables, None if somebody changed one while they were dumped.

    Sequences are as they were before: what was dumped of them is no older.
    """
    after = look_at_shape(c, target) if before is not None else None
    if before is None or after is None:
        return None
    names = {table.table_name for table in tables}
    kept = _only(before, names)
    if kept.definitions != _only(after, names).definitions or kept.columns > MOST_COLUMNS:
        return None
    return kept


def _only(shape: DatabaseShape, names: set[TableName]) -> DatabaseShape:
    return replace(shape, tables=tuple(table for table in shape.tables if table.table_name in names))
