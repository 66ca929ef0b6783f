"""Fills a MariaDB database with a web shop: customers, products, orders and their lines."""

from datetime import datetime
from typing import Any

import pymysql

from dbtui.demo.rows import Table, batches, generate_shop
from dbtui.demo.schema import read_schema
from dbtui.demo.servers import MariaDB

DATABASE = "shop"
LOGIN = "dba"
STATEMENT_END = ";;\n"


def create_shop(server: MariaDB, password: str) -> None:
    """Create the empty database and the login `dba` with `password`, which may do everything."""
    for host in ("localhost", server.host):
        server.execute(f"CREATE USER '{LOGIN}'@'{host}' IDENTIFIED BY %s", [password])
        server.execute(f"GRANT ALL PRIVILEGES ON *.* TO '{LOGIN}'@'{host}' WITH GRANT OPTION")
    server.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")


def fill_shop(server: MariaDB, password: str, now: datetime, scale: float = 1.0) -> int:
    """Create the tables of the shop and fill them; returns how many rows it has."""
    before, after = read_schema("shop")
    tables = generate_shop(now, scale)
    connection = pymysql.connect(
        host=server.host, port=server.port, user=LOGIN, password=password, database=DATABASE, charset="utf8mb4"
    )
    try:
        with connection.cursor() as cursor:
            _run_script(cursor, before)
            for table in tables:
                _insert(cursor, table)
            _run_script(cursor, after)
        connection.commit()
    finally:
        connection.close()
    return sum(len(table.rows) for table in tables)


def _run_script(cursor: Any, script: str) -> None:
    for statement in script.split(STATEMENT_END):
        if statement.strip():
            cursor.execute(statement)


def _insert(cursor: Any, table: Table) -> None:
    places = ", ".join(["%s"] * len(table.columns))
    columns = ", ".join(table.columns)
    for rows in batches(table.rows):
        cursor.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", rows)
