"""Fills a PostgreSQL database with the ERP: organisations, people, stock, orders, and a partitioned audit log."""

import io
from datetime import datetime
from typing import Any

import psycopg2
from psycopg2 import sql

from dbtui.demo.rows import Month, Row, Table, generate_erp, months_around
from dbtui.demo.schema import read_schema
from dbtui.demo.servers import PostgreSQL

DATABASE = "erp"
LOGIN = "dba"
WEB_LOGIN = "erp_web"
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def create_erp(server: PostgreSQL, password: str) -> None:
    """Create the roles and the empty database; `dba` may do everything, `erp_web` what the application does."""
    server.execute("CREATE ROLE erp_owner NOLOGIN")
    server.execute("CREATE ROLE erp_app NOLOGIN")
    server.execute("CREATE ROLE erp_report NOLOGIN")
    server.execute(f"CREATE ROLE {LOGIN} SUPERUSER LOGIN PASSWORD %s", [password])
    server.execute(f"CREATE ROLE {WEB_LOGIN} LOGIN PASSWORD %s IN ROLE erp_app", [password])
    server.execute(f"CREATE DATABASE {DATABASE} OWNER erp_owner TEMPLATE template0")


def fill_erp(url: str, now: datetime, scale: float = 1.0) -> int:
    """Create the schema in the database at `url` and fill it; returns how many rows it has."""
    before, after = read_schema("erp")
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET ROLE erp_owner")
            cursor.execute(before)
            for month in months_around(now):
                _create_partition(cursor, month)
            tables = generate_erp(now, scale)
            for table in tables:
                _copy(cursor, table)
            cursor.execute(after)
        with connection, connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute("SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'")
            if cursor.rowcount:
                cursor.execute("CREATE EXTENSION pg_stat_statements")
    finally:
        connection.close()
    return sum(len(table.rows) for table in tables)


def _create_partition(cursor: Any, month: Month) -> None:
    statement = sql.SQL("CREATE TABLE {} PARTITION OF audit_logs FOR VALUES FROM ({}) TO ({})")
    name = sql.Identifier(f"audit_logs_{month.suffix}")
    cursor.execute(statement.format(name, sql.Literal(str(month.begin)), sql.Literal(str(month.end))))


def _copy(cursor: Any, table: Table) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    lines = io.StringIO("".join(map(_format_line, table.rows)))
    cursor.copy_expert(statement, lines, 1 << 20)


def _format_line(row: Row) -> str:
    return "\t".join(["\\N" if value is None else str(value).translate(_ESCAPES) for value in row]) + "\n"
