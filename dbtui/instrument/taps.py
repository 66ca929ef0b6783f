"""The one listener that an engine has: it sees each statement that ran and tells those who want to know.

It stays on its engine for good and does next to nothing while nobody listens: SQLAlchemy walks through its listeners
while other threads run statements, so taking one away could fail a statement of the application.
"""

import itertools
import logging
import os
import threading
import weakref
from collections.abc import Callable
from time import perf_counter, time
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, event

from dbtui.instrument.call_sites import CallSite, find_caller
from dbtui.instrument.orm_loads import LoadTraces, OrmLoad, collect_load, read_load
from dbtui.instrument.process_names import PROCESS
from dbtui.instrument.scopes import SCOPE
from dbtui.model.queries import StatementEvent

_LOG = logging.getLogger("dbtui.instrument")
_NUMBERS = itertools.count(1)
_LOCK = threading.Lock()
#: What INSERT and UPDATE begin with: their parameters may be large, and tell nothing about loops.
_WRITING = frozenset("IiUu")
#: PyMySQL's cursors on the server count so many as long as they do not know: -1, without its sign.
_UNKNOWN_ROWS = 1 << 62
#: Statements that fail leave their beginning behind.
_MOST_BEGUN = 10_000
_INFO_KEY = "dbtui.statements"
#: Makes a named tuple of a tuple, without the call of Python that its class makes.
_make = tuple.__new__


class _Line:
    """One connection to the server: its name, and how many statements and transactions it had."""

    __slots__ = ("count", "database", "is_sqlite", "name", "number", "process", "transaction", "transactions")

    def __init__(self, process: str, connection: Connection) -> None:
        self.process = process
        self.database = connection.engine.url.database or ""
        self.is_sqlite = connection.dialect.name == "sqlite"
        self.number = next(_NUMBERS)
        self.name = f"{process}.{self.number}"
        self.count = itertools.count(1).__next__
        self.transactions = 0
        self.transaction = f"{self.number}/0"


class Sighting(NamedTuple):
    """A statement that ran, as it was seen: `event` and `load` tell the rest, whenever there is time for it."""

    line: _Line
    number: int
    sql: str
    ts: float
    seconds: float
    rows: int | None
    params: Any
    transaction: str
    scope: str
    site: CallSite
    traces: OrmLoad | LoadTraces | None

    @property
    def load(self) -> OrmLoad | None:
        """What it loads for the ORM."""
        return read_load(self.traces)

    @property
    def event(self) -> StatementEvent:
        """What everybody else calls it; its parameters are as they were given."""
        load = self.load
        return StatementEvent(
            session=self.line.name,
            seq=self.number,
            sql=self.sql,
            ts=self.ts,
            duration_ms=self.seconds * 1000.0,
            rows=self.rows,
            params=self.params,
            transaction=self.transaction,
            scope=self.scope,
            database=self.line.database,
            call_site=self.site.text,
            relationship="" if load is None else load.name,
            load="" if load is None else load.kind,
        )


#: Told of a statement after it ran, in the thread that ran it.
Listener = Callable[[Sighting], object]


class Tap:
    """Listens to an engine, or to all engines of the process. Made by `open_tap`."""

    def __init__(self, engine: Engine | type[Engine]) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._was_logged = False
        self._began: dict[int, float] = {}  # when the statements that run now began, by their cursors
        self._key = (_INFO_KEY, id(self))
        event.listen(engine, "before_cursor_execute", self._before, retval=True)
        event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "begin_twophase", self._begin)

    def add(self, listener: Listener) -> None:
        """Tell `listener` from now on."""
        with _LOCK:
            self._listeners = (*self._listeners, listener)

    def remove(self, listener: Listener) -> None:
        """Tell it no more. One that is not known is no fault."""
        with _LOCK:
            self._listeners = tuple(each for each in self._listeners if each != listener)

    # --- SQLAlchemy's events ---------------------------------------------------------------------------------

    def _line_of(self, connection: Connection) -> _Line:
        try:  # what `connection.info` finds by three calls of Python
            info = connection._dbapi_connection._connection_record.info  # type: ignore[union-attr]
        except AttributeError:
            info = connection.info
        line: _Line | None = info.get(self._key)
        if line is None or line.process is not PROCESS.text:
            line = info[self._key] = _Line(PROCESS.text, connection)
        return line

    def _begin(self, connection: Connection, _xid: object = None) -> None:
        if self._listeners:
            try:
                line = self._line_of(connection)
            except Exception as error:
                self._log(error)
                return
            line.transactions += 1
            line.transaction = f"{line.number}/{line.transactions}"

    def _before(
        self, _connection: Connection, cursor: Any, sql: str, params: Any, _context: Any, _is_many: bool
    ) -> tuple[str, Any]:
        if self._listeners:
            began = self._began
            if len(began) >= _MOST_BEGUN:
                began.clear()
            began[id(cursor)] = perf_counter()
        return sql, params

    def _after(self, connection: Connection, cursor: Any, sql: str, params: Any, context: Any, is_many: bool) -> None:
        listeners = self._listeners
        if not listeners:
            return
        ended = perf_counter()
        try:
            line = self._line_of(connection)
            site, loader, collection = find_caller(sql)
            seconds = ended - self._began.pop(id(cursor), ended)
            rows = cursor.rowcount
            seen = _make(Sighting, (
                line,
                line.count(),
                sql,
                time() - seconds,
                seconds,
                rows if rows.__class__ is int and 0 < rows < _UNKNOWN_ROWS else _count_rows(rows, cursor, line),
                None if is_many or sql[:1] in _WRITING else params,
                line.transaction,
                SCOPE.get(),
                site,
                None if context is None else collect_load(context, loader, collection),
            ))  # fmt: skip
        except Exception as error:  # whatever is wrong here, the application's statement ran and has its rows
            self._log(error)
            return
        for listener in listeners:
            listener(seen)

    def _log(self, error: Exception) -> None:
        if not self._was_logged:
            self._was_logged = True
            _LOG.error("statements are not recorded: %s", type(error).__name__, exc_info=error)


def _count_rows(rows: Any, cursor: Any, line: _Line) -> int | None:
    """Return how many rows a statement returned or changed, None when the driver does not know yet."""
    if not rows:  # SQLite counts the rows of INSERT ... RETURNING while they are fetched
        return None if rows is None or (line.is_sqlite and cursor.description) else 0
    return int(rows) if 0 < rows < _UNKNOWN_ROWS else None


_TAPS: weakref.WeakKeyDictionary[Engine | type[Engine], Tap] = weakref.WeakKeyDictionary()


def open_tap(engine: Engine | type[Engine]) -> Tap:
    """Return the tap of an engine, or of all engines there are and will be: `open_tap(Engine)`."""
    with _LOCK:
        tap = _TAPS.get(engine)
        if tap is None:
            tap = _TAPS[engine] = Tap(engine)
        return tap


def _renew_lock() -> None:
    global _LOCK
    _LOCK = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)
