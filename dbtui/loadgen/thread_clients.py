"""Blocking clients: one with a MySQL connection of its own, and one that checks connections out of a pooled engine."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import psycopg2
import pymysql
import pymysql.cursors
import sqlalchemy.exc
from sqlalchemy import Engine

from dbtui.adapters.mysql.options import MysqlOptions
from dbtui.adapters.mysql.wire import MysqlConnection, open_connection
from dbtui.errors import ConnectError
from dbtui.instrument import create_engine, publish_pool
from dbtui.loadgen.sql import BUILT_IN, make_parameters
from dbtui.loadgen.sql_errors import describe_mysql, describe_postgresql
from dbtui.model.connections import EngineName, Secret
from dbtui.model.loadtest import GeneratorPlan, GeneratorSecrets, SqlPath

SERVICE = "dbtui-bench"


@contextmanager
def make_clients(plan: GeneratorPlan, secrets: GeneratorSecrets) -> Iterator[Callable[[], "MysqlClient | PoolClient"]]:
    """Yield what makes a client; what they share is closed with the block."""
    if plan.sql is None:
        raise ValueError("the plan names no database server")
    statements = plan.request.statements or (BUILT_IN,)
    connect = _mysql_opener(plan, secrets) if plan.sql.engine is EngineName.MYSQL else None
    if plan.request.path is SqlPath.DRIVER and connect is not None:
        opened = connect
        yield lambda: MysqlClient(opened, statements)
        return
    opener = connect or _postgresql_opener(plan, secrets)
    engine = create_engine(f"{plan.sql.engine}://", creator=opener, service=SERVICE)
    publisher = publish_pool(engine, service=SERVICE)
    try:
        yield lambda: PoolClient(engine, statements)
    finally:
        publisher.close()


def _postgresql_opener(plan: GeneratorPlan, secrets: GeneratorSecrets) -> Callable[[], Any]:
    parameters = make_parameters(plan, secrets)

    def connect() -> Any:
        return psycopg2.connect(**parameters)  # type: ignore[call-overload]  # keywords are libpq's own

    return connect


def _mysql_opener(plan: GeneratorPlan, secrets: GeneratorSecrets) -> Callable[[], MysqlConnection]:
    if plan.sql is None:
        raise ValueError("the plan names no database server")
    options = msgspec.json.decode(dict(plan.sql.parameters)["options"], type=MysqlOptions)
    options = replace(options, password=Secret(secrets.password) if secrets.password is not None else None)
    is_read_only = plan.sql.is_read_only
    is_shared = plan.request.path is SqlPath.POOL

    def connect() -> MysqlConnection:
        made = open_connection(options, options.database)
        if is_read_only:
            with made.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION READ ONLY")
        if is_shared:  # SQLAlchemy reads rows by position
            made.cursorclass = pymysql.cursors.Cursor  # type: ignore[assignment]
        return made

    return connect


class MysqlClient:
    """A connection of its own, autocommitting."""

    def __init__(self, connect: Callable[[], MysqlConnection], statements: tuple[str, ...]) -> None:
        self._connect = connect
        self._statements = statements
        self._next = 0
        self._connection: MysqlConnection | None = None

    def prepare(self) -> None:
        """Connect."""
        with contextlib.suppress(ConnectError):  # tried again when it is needed, and counted then
            self._connection = self._connect()

    def run(self) -> tuple[str, bool]:
        """Run the next statement and read what it returns."""
        try:
            if self._connection is None:
                self._connection = self._connect()
        except ConnectError as error:
            return _kind_of(error), False
        statement = self._statements[self._next]
        self._next = (self._next + 1) % len(self._statements)
        try:
            self._connection.query(statement)
        except (pymysql.Error, OSError) as error:
            kind = describe_mysql(error)
            if not kind.isdecimal():
                self.close()
            return kind, kind.isdecimal()
        return "", True

    def cancel(self) -> None:
        """End the statement by KILL QUERY on a second connection."""
        made = self._connection
        if made is None:
            return
        with contextlib.suppress(pymysql.Error, ConnectError, OSError):  # it is gone, which is what was wanted
            session = int(made.thread_id())  # type: ignore[no-untyped-call]
            with contextlib.closing(self._connect()) as second, second.cursor() as cursor:
                cursor.execute(f"KILL QUERY {session}")

    def close(self) -> None:
        """Close the connection."""
        made, self._connection = self._connection, None
        if made is not None:
            with contextlib.suppress(pymysql.Error, OSError):  # it is gone, which is what was wanted
                made.close()


class PoolClient:
    """Checks a connection out for each statement, and commits, as an application does for a request."""

    def __init__(self, engine: Engine, statements: tuple[str, ...]) -> None:
        self._engine = engine.execution_options(no_parameters=True)
        self._statements = statements
        self._next = 0
        self._lock = threading.Lock()
        self._driver: Any = None

    def prepare(self) -> None:
        """Nothing: a pool connects when it is asked to."""

    def run(self) -> tuple[str, bool]:
        """Run the next statement in a transaction of its own."""
        statement = self._statements[self._next]
        self._next = (self._next + 1) % len(self._statements)
        try:
            with self._engine.connect() as connection:
                self._driver = connection.connection.dbapi_connection
                try:
                    connection.exec_driver_sql(statement)
                    connection.commit()
                finally:
                    with self._lock:
                        self._driver = None
        except sqlalchemy.exc.TimeoutError:
            return "pool timeout", False
        except sqlalchemy.exc.DBAPIError as error:
            return _kind_in_pool(error)
        except (psycopg2.Error, pymysql.Error, ConnectError) as error:
            return _kind_of(error), False
        return "", True

    def cancel(self) -> None:
        """End the statement; MySQL has no other way than to cut the connection."""
        with self._lock, contextlib.suppress(psycopg2.Error, OSError):
            if isinstance(self._driver, psycopg2.extensions.connection):
                self._driver.cancel()
            elif self._driver is not None:
                self._driver._sock.shutdown(2)

    def close(self) -> None:
        """The engine's pool keeps the connections."""


def _kind_in_pool(error: sqlalchemy.exc.DBAPIError) -> tuple[str, bool]:
    kind = _kind_of(error.orig)
    return kind, (not error.connection_invalidated and len(kind) == 5) or kind.isdecimal()


def _kind_of(error: BaseException | None) -> str:
    if isinstance(error, psycopg2.Error):
        return describe_postgresql(error)
    if isinstance(error, ConnectError):
        return error.code or ("refused" if "refused" in str(error) else "no connection")
    return describe_mysql(error) if isinstance(error, Exception) else "no connection"
