"""A small database on each engine, so that one test body speaks to all three."""

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbtui.demo.servers import MariaDB, PostgreSQL

USERS = 300
ORDERS = 1200
TABLES = ("users", "orders")
Rows = dict[str, list[tuple[Any, ...]]]


def table_statements(text_type: str) -> list[str]:
    """The statements that make and fill two tables."""
    users = ", ".join(f"({number}, 'user {number} ''[red]'' é\\n')" for number in range(1, USERS + 1))
    orders = ", ".join(f"({number}, {number % USERS + 1}, {number * 7 % 1000})" for number in range(1, ORDERS + 1))
    return [
        f"CREATE TABLE users (id integer PRIMARY KEY, name {text_type} NOT NULL)",
        "CREATE TABLE orders (id integer PRIMARY KEY, user_id integer REFERENCES users (id), cents integer)",
        f"INSERT INTO users VALUES {users}",
        f"INSERT INTO orders VALUES {orders}",
    ]


class Sample(ABC):
    """A database with two tables. `name` is its name (SQLite: the file's stem), `url` leads to it with a password."""

    engine: str
    suffix: str
    name: str
    url: str
    password: str

    @abstractmethod
    def execute(self, sql: str, database: str = "") -> list[tuple[Any, ...]]:
        """Run a statement in this database, or another on the same server."""

    @abstractmethod
    def databases(self) -> set[str]:
        """The databases on the server; SQLite: the files beside this one."""

    def fill(self, text_type: str = "text") -> None:
        """Make the two tables."""
        for statement in table_statements(text_type):
            self.execute(statement)

    def rows(self, database: str = "") -> Rows:
        """Every row of both tables."""
        return {table: self.execute(f"SELECT * FROM {table} ORDER BY id", database) for table in TABLES}

    def drop(self, database: str) -> None:
        """Remove a database that a test made."""
        self.execute(f"DROP DATABASE IF EXISTS {self.quote(database)}", self.home)

    home = ""

    def open_kept(self, database: str) -> None:
        """Let a database that a restore put aside be looked into, as its undo sentence says."""
        assert database in self.databases()

    def quote(self, name: str) -> str:
        """Quote a name."""
        return '"' + name.replace('"', '""') + '"'


@dataclass
class PostgresqlSample(Sample):
    """On the shared PostgreSQL."""

    server: PostgreSQL
    name: str
    engine = "postgresql"
    suffix = ".sql"
    home = "postgres"

    def __post_init__(self) -> None:
        self.url = self.server.url(self.name)
        self.password = self.server.password

    def execute(self, sql: str, database: str = "") -> list[tuple[Any, ...]]:
        return self.server.execute(sql, database=database or self.name)

    def databases(self) -> set[str]:
        return {row[0] for row in self.execute("SELECT datname FROM pg_database", "postgres")}

    def drop(self, database: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {self.quote(database)} WITH (FORCE)", self.home)

    def open_kept(self, database: str) -> None:
        self.execute(f"ALTER DATABASE {self.quote(database)} ALLOW_CONNECTIONS true", self.home)


@dataclass
class MariadbSample(Sample):
    """On the shared MariaDB."""

    server: MariaDB
    name: str
    engine = "mysql"
    suffix = ".sql"
    home = "mysql"

    def __post_init__(self) -> None:
        self.url = self.server.url(self.name)
        self.password = self.server.password

    def execute(self, sql: str, database: str = "") -> list[tuple[Any, ...]]:
        return self.server.execute(sql, database=database or self.name)

    def databases(self) -> set[str]:
        return {row[0] for row in self.execute("SHOW DATABASES", self.home)}

    def quote(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"


@dataclass
class SqliteSample(Sample):
    """A file."""

    path: Path
    engine = "sqlite"
    suffix = ".sqlite"
    password = ""

    def __post_init__(self) -> None:
        self.name = self.path.stem
        self.url = f"sqlite:///{self.path}"

    def execute(self, sql: str, database: str = "") -> list[tuple[Any, ...]]:
        path = self.path.parent / database if database else self.path
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()

    def databases(self) -> set[str]:
        return {str(path) for path in self.path.parent.iterdir() if path.is_file()}

    def drop(self, database: str) -> None:
        (self.path.parent / database).unlink(missing_ok=True)
