"""Sessions that wait for one another's locks, on either kind of server."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import pymysql

from dbtui.demo.servers import MariaDB, PostgreSQL
from tests.fix_servers import wait_until

_ERRORS = (psycopg2.Error, pymysql.Error, OSError)
_WAITING = {
    PostgreSQL: "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = ANY (%s)",
    MariaDB: "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    " AND trx_mysql_thread_id IN %s",
}


class LockChain:
    """`ids` are the sessions, the root first; each other waits for the row that the one before it has changed."""

    def __init__(self, server: PostgreSQL | MariaDB, database: str, length: int) -> None:
        self.server, self.database = server, database
        self.connections = [self.connect() for _ in range(length)]
        self.ids = [self.id_of(each) for each in self.connections]
        self._threads: list[threading.Thread] = []
        self.execute(self.connections[0], "CREATE TABLE links (i int PRIMARY KEY, n varchar(99))")
        for number in range(length):
            self.execute(self.connections[0], f"INSERT INTO links VALUES ({number}, '')")
        self.connections[0].commit()
        for number, each in enumerate(self.connections):
            self.execute(each, f"UPDATE links SET n = 'pass{number}' WHERE i = {number}")
        for number, each in enumerate(self.connections[1:], 1):
            self._wait_in_thread(each, f"UPDATE links SET n = 'secret{number}' WHERE i = {number - 1}")
            self._await_waiting(self.ids[1 : number + 1])

    def connect(self) -> Any:
        """Log somebody in."""
        if isinstance(self.server, PostgreSQL):
            return psycopg2.connect(self.server.url(self.database), application_name="erp web")
        return pymysql.connect(
            host="127.0.0.1", port=self.server.port, user=self.server.superuser, password=self.server.password,
            database=self.database, program_name="erp web",
        )  # fmt: skip

    @staticmethod
    def id_of(connection: Any) -> int:
        """The number of a session."""
        return int(connection.info.backend_pid if hasattr(connection, "info") else connection.thread_id())

    @staticmethod
    def execute(connection: Any, sql: str) -> None:
        """Run a statement."""
        with connection.cursor() as cursor:
            cursor.execute(sql)

    def _wait_in_thread(self, connection: Any, sql: str) -> None:
        def execute() -> None:
            with suppress(*_ERRORS):
                self.execute(connection, sql)

        thread = threading.Thread(target=execute, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _await_waiting(self, ids: list[int]) -> None:
        wait_until(lambda: self._count_waiting(ids) == len(ids))

    def _count_waiting(self, ids: list[int]) -> int:
        if isinstance(self.server, MariaDB):
            time.sleep(0.15)  # its table is made anew when nobody has read it for a tenth of a second
        count: int = self.server.execute(_WAITING[type(self.server)], (ids,))[0][0]
        return count

    def is_there(self, session_id: int) -> bool:
        """Whether the server still has a session."""
        if isinstance(self.server, PostgreSQL):
            return bool(self.server.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (session_id,)))
        return bool(
            self.server.execute("SELECT 1 FROM information_schema.processlist WHERE id = %s", (session_id,))
        )  # fmt: skip

    def is_waiting(self, session_id: int) -> bool:
        """Whether a session waits for a lock."""
        return self._count_waiting([session_id]) == 1

    def close(self) -> None:
        """Log everybody out."""
        for session_id in self.ids:
            with suppress(*_ERRORS):
                if isinstance(self.server, PostgreSQL):
                    self.server.execute("SELECT pg_terminate_backend(%s)", (session_id,))
                else:
                    self.server.execute(f"KILL {session_id}")
        for thread in self._threads:
            thread.join(20)
        for each in self.connections:
            with suppress(*_ERRORS):
                each.close()


@contextmanager
def lock_chain(server: PostgreSQL | MariaDB, database: str, length: int = 4) -> Iterator[LockChain]:
    """A chain of locks in an existing database."""
    chain = LockChain(server, database, length)
    try:
        yield chain
    finally:
        chain.close()
