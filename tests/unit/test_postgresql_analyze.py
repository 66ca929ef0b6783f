"""Tables analyzed by several threads: what happens when some get no connection, or one loses it."""

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.analyze import analyze
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.errors import ConnectError, DbtuiError, ServerError
from dbtui.model.events import Event, StepFinished

TABLES = ["a", "b", "c"]


class FewConnections:
    """A server that gives so many connections and refuses the others; ANALYZE of some tables fails."""

    def __init__(self, connections: int, failures: dict[str, Exception] | None = None) -> None:
        self.cancellation = Cancellation()
        self.connections = connections
        self.failures = failures or {}
        self.analyzed: list[str] = []
        self.opened = 0
        self.closed = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def working(self, database: str, *, autocommit: bool = False) -> Iterator[object]:
        with self._lock:
            self.opened += 1
            if self.opened > self.connections:
                raise ConnectError("no free session")
        try:
            yield object()
        finally:
            with self._lock:
                self.closed += 1

    def collect(self, name: str, on: object) -> list[Any]:
        return [SimpleNamespace(table_name=table) for table in TABLES]

    def rows(self, sql: str, binds: None, on: object) -> list[Any]:
        table = sql.removeprefix("ANALYZE ")
        if table in self.failures:
            raise self.failures[table]
        self.analyzed.append(table)
        return []


def run(target: FewConnections) -> list[Event]:
    return list(analyze(cast(PostgresqlTarget, target), "erp", jobs=4))


@pytest.mark.parametrize("connections", [2, 4])
def test_a_thread_without_a_connection_leaves_its_tables_to_others(connections: int) -> None:
    target = FewConnections(connections)  # the first is for the list of tables
    assert isinstance(run(target)[-1], StepFinished)
    assert sorted(target.analyzed) == TABLES
    assert target.closed == min(connections, target.opened)


def test_no_connection_at_all_is_the_error() -> None:
    with pytest.raises(ConnectError, match="no free session"):
        run(FewConnections(1))


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (ConnectError("the connection to the server was lost"), ConnectError),
        (ServerError("permission denied"), ServerError),
        (psycopg2.InterfaceError("cursor closed"), DbtuiError),
    ],
)
def test_a_table_that_could_not_be_analyzed_is_the_error(failure: Exception, raised: type[DbtuiError]) -> None:
    target = FewConnections(4, {"b": failure})
    with pytest.raises(raised, match=str(failure)):
        run(target)
    assert "b" not in target.analyzed
    assert target.closed == target.opened
