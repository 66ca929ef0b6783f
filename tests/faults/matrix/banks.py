"""The three engines as the trials need them: a database with a ledger and some bulk, its URL, its audit, its end."""

import abc
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import psycopg2
import pymysql

from dbtui.demo.servers import MariaDB, PostgreSQL, ServerDirectory
from tests.faults.matrix.ledgers import ACCOUNTS, AUDIT, EACH, transfer
from tests.fix_servers import unique_name

DATABASE = "bank"
#: The same with hardly any bulk, for trials that are many and short.
PURSE = "purse"
_PURSE_ROWS = 200
#: The recipient is put in when a backup is made: it is a new one in each run.
RECIPIENT = "age1"
ENCRYPTED = ("--encrypt-to", RECIPIENT)
_LOST_SECONDS = 10.0


class Bank(abc.ABC):
    """One engine with the database `bank`.

    `forms` are the words of `backup create` for each way to write it, `short_forms` those of the short form.
    """

    engine: ClassVar[str]
    forms: ClassVar[tuple[tuple[str, ...], ...]]
    short_forms: ClassVar[tuple[tuple[str, ...], ...]] = (("--compress", "zstd"),)
    tools: ClassVar[tuple[str, ...]] = ()
    is_server: ClassVar[bool] = True

    @abc.abstractmethod
    def url(self, database: str = DATABASE, *, port: int = 0) -> str:
        """The URL of a database; `port`: of a proxy, instead of the server's own."""

    @abc.abstractmethod
    def move(self, chance: random.Random, goes_on: Callable[[], bool]) -> None:
        """Connect, and transfer until told to stop."""

    @abc.abstractmethod
    def audit(self, database: str) -> tuple[Any, ...]:
        """The answer to AUDIT in a database."""

    @abc.abstractmethod
    def drop(self, database: str) -> None:
        """Remove a database that a trial restored."""

    @abc.abstractmethod
    def databases(self) -> set[str]:
        """The databases there are, without the server's own."""

    def place(self, name: str) -> str:
        """What `--into` is told for a new database of that name."""
        return name

    def confirmed(self, name: str) -> str:
        """What `--yes` is told for a database of that name."""
        return name

    @abc.abstractmethod
    def copy_purse(self, name: str) -> str:
        """Make a database like the small one; return what `url` and `audit` are told for it."""

    @abc.abstractmethod
    def count_bulk(self, database: str) -> tuple[int, ...]:
        """The rows of the three tables of bulk."""

    def foreign_sessions(self) -> list[str]:
        """What sessions of dbtui and its tools do on the server now."""
        return []

    def end(self, number: int) -> None:
        """End the server by a signal and start it again; a file has none."""
        return

    @property
    def port(self) -> int:
        """Where the server listens."""
        return 0

    def close(self) -> None:
        """End for good."""
        return


def fill_statements(rows: int, text: str, numbers: Callable[[int], str]) -> list[str]:
    """The statements that fill the ledger and add three tables of so many rows. `text` makes 64 bytes of `i`."""
    statements = [
        f"INSERT INTO accounts (id, balance) SELECT i, {EACH} FROM {numbers(ACCOUNTS)}",
    ]
    for name in ("one", "two", "three"):
        statements.append(f"CREATE TABLE bulk_{name} (i integer PRIMARY KEY, t text)")
        statements.append(f"INSERT INTO bulk_{name} SELECT i, {text} FROM {numbers(rows)}")
    return statements


COUNT_BULK = (
    "SELECT (SELECT count(*) FROM bulk_one), (SELECT count(*) FROM bulk_two), (SELECT count(*) FROM bulk_three)"
)


def rows_for(megabytes: int) -> int:
    """How many rows each of the three tables needs for about so much."""
    return megabytes * 10_000 // 3


class PostgresqlBank(Bank):
    """PostgreSQL; its server is asked over TCP, as from another machine."""

    engine = "postgresql"
    tools = ("pg_dump",)
    forms = (
        ("--format", "plain"),
        ("--format", "plain", "--compress", "zstd"),
        ("--format", "plain", "--compress", "gzip"),
        ("--format", "custom", "--compress", "gzip"),
        ("--format", "custom", "--compress", "zstd"),
        ("--format", "directory", "--jobs", "2"),
        ("--format", "directory", "--compress", "gzip", "--jobs", "2"),
        ("--format", "directory", "--compress", "zstd", "--jobs", "2"),
        ("--format", "plain", "--compress", "zstd", *ENCRYPTED),
        ("--format", "custom", "--compress", "zstd", *ENCRYPTED),
    )
    short_forms = (("--format", "plain", "--compress", "zstd"), ("--format", "directory", "--jobs", "2"))

    def __init__(self, directory: ServerDirectory, megabytes: int) -> None:
        self.server = PostgreSQL(directory, name=unique_name("pg")).start()
        self._make(DATABASE, rows_for(megabytes))
        self._make(PURSE, _PURSE_ROWS)

    def _make(self, database: str, rows: int) -> None:
        self.server.execute(f"CREATE DATABASE {database}")
        make = [
            "CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL)",
            "CREATE TABLE transfers (id bigserial PRIMARY KEY, payer integer NOT NULL REFERENCES accounts, "
            "recipient integer NOT NULL REFERENCES accounts, amount bigint NOT NULL)",
            *fill_statements(rows, "md5(i::text) || md5((i * 7)::text) || i", lambda n: f"generate_series(1, {n}) i"),
        ]
        self._ask(database, lambda cursor: [cursor.execute(sql) for sql in make])

    def url(self, database: str = DATABASE, *, port: int = 0) -> str:
        return self.server.url(database).replace(f":{self.server.port}/", f":{port or self.server.port}/")

    def _connect(self, database: str) -> Any:
        server = self.server
        return psycopg2.connect(
            host=server.host, port=server.port, user=server.superuser, password=server.password, dbname=database,
            application_name="bank",
        )  # fmt: skip

    def _ask(self, database: str, work: Callable[[Any], Any]) -> Any:
        with closing(self._connect(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                return work(cursor)

    def move(self, chance: random.Random, goes_on: Callable[[], bool]) -> None:
        with closing(self._connect(DATABASE)) as connection, connection.cursor() as cursor:
            while True:
                transfer(cursor, chance, "")
                connection.commit()
                if not goes_on():
                    return

    def audit(self, database: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._ask(database, lambda cursor: (cursor.execute(AUDIT), cursor.fetchone())[1])
        return row

    def copy_purse(self, name: str) -> str:
        self.server.execute(f"CREATE DATABASE {name} TEMPLATE {PURSE}")
        return name

    def count_bulk(self, database: str) -> tuple[int, ...]:
        row: tuple[int, ...] = self._ask(database, lambda cursor: (cursor.execute(COUNT_BULK), cursor.fetchone())[1])
        return row

    def drop(self, database: str) -> None:
        self.server.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def databases(self) -> set[str]:
        rows = self.server.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'")
        return {row[0] for row in rows}

    def foreign_sessions(self) -> list[str]:
        rows = self.server.execute(
            "SELECT application_name || ': ' || left(query, 80) FROM pg_stat_activity WHERE application_name <> 'bank' "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return [row[0] for row in rows]

    @property
    def port(self) -> int:
        return self.server.port

    def end(self, number: int) -> None:
        end_server(self.server, number)

    def close(self) -> None:
        self.server.stop()


class MariadbBank(Bank):
    """MariaDB over TCP, tables in InnoDB."""

    engine = "mariadb"
    tools = ("mariadb-dump", "mydumper")
    forms = (
        (),
        ("--compress", "zstd"),
        ("--compress", "gzip"),
        ("--format", "directory", "--jobs", "2"),
        ("--format", "directory", "--compress", "zstd", "--jobs", "2"),
        ("--compress", "zstd", *ENCRYPTED),
    )

    def __init__(self, directory: ServerDirectory, megabytes: int) -> None:
        self.server = MariaDB(directory, name=unique_name("maria")).start()
        self._make(DATABASE, rows_for(megabytes))
        self._make(PURSE, _PURSE_ROWS)
        # A login of its own, so that its sessions are not taken for those of dbtui; over TCP, for PyMySQL forgets to
        # close a unix socket that nobody listens at.
        self.server.execute(f"CREATE USER 'mover'@'{self.server.host}' IDENTIFIED BY '{self.server.password}'")
        self.server.execute(f"GRANT ALL ON {DATABASE}.* TO 'mover'@'{self.server.host}'")

    def _make(self, database: str, rows: int) -> None:
        self.server.execute(f"CREATE DATABASE {database}")
        make = [
            "CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL)",
            "CREATE TABLE transfers (id bigint AUTO_INCREMENT PRIMARY KEY, payer integer NOT NULL, "
            "recipient integer NOT NULL, amount bigint NOT NULL, "
            "FOREIGN KEY (payer) REFERENCES accounts (id), FOREIGN KEY (recipient) REFERENCES accounts (id))",
            *fill_statements(
                rows, "concat(md5(i), md5(i * 7), i)", lambda n: f"(SELECT seq AS i FROM seq_1_to_{n}) AS numbers"
            ),
        ]
        for sql in make:
            self.server.execute(sql, database=database)

    def url(self, database: str = DATABASE, *, port: int = 0) -> str:
        return self.server.url(database).replace(f":{self.server.port}/", f":{port or self.server.port}/")

    def move(self, chance: random.Random, goes_on: Callable[[], bool]) -> None:
        connection = pymysql.connect(
            host=self.server.host, port=self.server.port, user="mover", password=self.server.password, database=DATABASE
        )
        try:
            with connection.cursor() as cursor:
                while True:
                    transfer(cursor, chance, "")
                    connection.commit()
                    if not goes_on():
                        return
        finally:
            if connection.open:
                connection.close()

    def audit(self, database: str) -> tuple[Any, ...]:
        return self.server.execute(AUDIT, database=database)[0]

    def copy_purse(self, name: str) -> str:
        self._make(name, _PURSE_ROWS)
        return name

    def count_bulk(self, database: str) -> tuple[int, ...]:
        return self.server.execute(COUNT_BULK, database=database)[0]

    def drop(self, database: str) -> None:
        self.server.execute(f"DROP DATABASE IF EXISTS `{database}`")

    def databases(self) -> set[str]:
        own = {"information_schema", "mysql", "performance_schema", "sys"}
        return {row[0] for row in self.server.execute("SHOW DATABASES")} - own

    def foreign_sessions(self) -> list[str]:
        rows = self.server.execute(
            "SELECT concat(host, ': ', left(coalesce(info, command), 80)) FROM information_schema.processlist "
            "WHERE host LIKE '127.0.0.1:%' AND user = 'root'"
        )
        return [row[0] for row in rows]

    @property
    def port(self) -> int:
        return self.server.port

    def end(self, number: int) -> None:
        end_server(self.server, number)

    def close(self) -> None:
        self.server.stop()


class SqliteBank(Bank):
    """SQLite, with a write-ahead log or a rollback journal."""

    is_server = False
    forms = ((), ("--compress", "zstd"), ("--compress", "gzip"), ("--compress", "zstd", *ENCRYPTED))

    def __init__(self, folder: Path, journal: str, megabytes: int) -> None:
        self.folder = folder / f"sqlite-{journal}"
        self.folder.mkdir(mode=0o700)
        self.path = self._path(DATABASE)
        self._make(DATABASE, journal, rows_for(megabytes))
        self._make(PURSE, journal, _PURSE_ROWS)

    def _make(self, database: str, journal: str, rows: int) -> None:
        numbers = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n)"
        make = [
            f"PRAGMA journal_mode = {journal}",
            "CREATE TABLE accounts (id integer PRIMARY KEY, balance integer NOT NULL)",
            "CREATE TABLE transfers (id integer PRIMARY KEY, payer integer NOT NULL REFERENCES accounts, "
            "recipient integer NOT NULL REFERENCES accounts, amount integer NOT NULL)",
            *fill_statements(rows, "hex(randomblob(32)) || i", numbers.format),
        ]
        with closing(sqlite3.connect(self._path(database), isolation_level=None)) as connection:
            for sql in make:
                connection.execute(sql)

    def url(self, database: str = DATABASE, *, port: int = 0) -> str:
        return f"sqlite:///{self._path(database)}"

    def place(self, name: str) -> str:
        return str(self.folder / f"{name}.db")

    def _path(self, database: str) -> Path:
        return self.folder / f"{database}.db" if database in (DATABASE, PURSE) else Path(database)

    def move(self, chance: random.Random, goes_on: Callable[[], bool]) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=0.5)) as connection:
            while True:
                transfer(connection.cursor(), chance, "BEGIN IMMEDIATE")
                connection.execute("COMMIT")
                if not goes_on():
                    return

    def audit(self, database: str) -> tuple[Any, ...]:
        # May write, so that it can roll back what a run that was killed left in a journal.
        with closing(sqlite3.connect(f"file:{self._path(database)}?mode=rw", uri=True, timeout=10)) as connection:
            row: tuple[Any, ...] = connection.execute(AUDIT).fetchone()
            return row

    def confirmed(self, name: str) -> str:
        return f"{name}.db"

    def copy_purse(self, name: str) -> str:
        with closing(sqlite3.connect(self._path(PURSE))) as connection:
            connection.execute("VACUUM INTO ?", (self.place(name),))
        return self.place(name)

    def count_bulk(self, database: str) -> tuple[int, ...]:
        with closing(sqlite3.connect(f"file:{self._path(database)}?mode=rw", uri=True, timeout=10)) as connection:
            row: tuple[int, ...] = connection.execute(COUNT_BULK).fetchone()
            return row

    def drop(self, database: str) -> None:
        for path in (*self.folder.glob(f"{Path(database).name}*"),):
            path.unlink()

    def databases(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


class SqliteWalBank(SqliteBank):
    """SQLite with a write-ahead log."""

    engine = "sqlite"

    def __init__(self, folder: Path, megabytes: int) -> None:
        super().__init__(folder, "wal", megabytes)


class SqliteJournalBank(SqliteBank):
    """SQLite with a rollback journal."""

    engine = "sqlite-journal"

    def __init__(self, folder: Path, megabytes: int) -> None:
        super().__init__(folder, "delete", megabytes)


def end_server(server: PostgreSQL | MariaDB, number: int) -> None:
    """Send a server a signal, end it for certain when that takes long, and start it again on the same data."""
    process = server.process
    assert process is not None
    process.send_signal(number)
    deadline = time.monotonic() + _LOST_SECONDS
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.005)
    server.stop()
    for attempt in range(50):
        server.launch()
        try:
            server.wait_until_ready()
            return
        except Exception:  # after SIGKILL its children may still hold its memory for a moment
            if attempt == 49:
                raise
            time.sleep(0.1)


SERVERS = ("postgresql", "mariadb")
ENGINES = ("postgresql", "mariadb", "sqlite", "sqlite-journal")
