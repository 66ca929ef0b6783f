"""Reads statements from where a capture has a MySQL server keep them."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbtui.adapters.adapter import StatementTail
from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly
from dbtui.adapters.mysql.general_tail import GeneralTail
from dbtui.adapters.mysql.history_tail import HistoryTail
from dbtui.model.queries import CapturePlan, CaptureWay


@contextmanager
def open_tail(target: MysqlTarget, plan: CapturePlan) -> Iterator[StatementTail]:
    """Begin to read, on a connection of its own. Raises ConnectError, ServerError."""
    connection = target.connect("")
    try:
        if plan.way is CaptureWay.MYSQL_GENERAL:
            yield GeneralTail(target, connection)
        else:
            yield HistoryTail(target, connection)
    finally:
        close_quietly(connection)
