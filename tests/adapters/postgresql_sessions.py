"""Sessions of a PostgreSQL server that wait, sleep and block, for the tests of looking at them and ending them."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, though its author spelt it small

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sessions import SESSIONS
from dbtui.demo.servers import PostgreSQL, ServerDirectory
from dbtui.model.sessions import Session
from tests.adapters.postgresql_nasty import newest_tools
from tests.adapters.postgresql_targets import wait_until
from tests.fix_servers import unique_name


class Crowd:
    """Connections of other people; statements that wait run in threads of their own. Closed at the end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connections: list[Connection] = []
        self._threads: list[threading.Thread] = []

    def join(self, application: str = "erp", url: str = "", *, autocommit: bool = False) -> Connection:
        """Log in."""
        made = psycopg2.connect(url or self.url, application_name=application)
        made.autocommit = autocommit
        self._connections.append(made)
        return made

    def run(self, of: Connection, sql: str) -> None:
        """Begin a statement that takes its time; its error is its own business."""

        def execute() -> None:
            with suppress(psycopg2.Error), of.cursor() as cursor:
                cursor.execute(sql)

        thread = threading.Thread(target=execute, daemon=True)
        self._threads.append(thread)
        thread.start()

    def leave(self) -> None:
        """End every statement and close every connection."""
        for each in self._connections:
            with suppress(psycopg2.Error):
                each.cancel()
        for thread in self._threads:
            thread.join(10)
        for each in self._connections:
            each.close()


def execute(of: Connection, sql: str) -> None:
    """Run a statement and leave the transaction open."""
    with of.cursor() as cursor:
        cursor.execute(sql)


def pid_of(of: Connection) -> int:
    """The number of a session."""
    return int(of.info.backend_pid)


def see(target: PostgresqlTarget, session_id: int) -> Session:
    """One session as it is now. Fails when it is not there."""
    found = [each for each in SESSIONS.collect_sessions(target).sessions if each.session_id == session_id]
    assert found, f"session {session_id} is not there"
    return found[0]


def await_state(target: PostgresqlTarget, of: Connection, state: str = "active", wait: str = "") -> Session:
    """Wait until a session is in a state and waits for something; return it."""
    seen: list[Session] = []

    def is_there() -> bool:
        seen.append(see(target, pid_of(of)))
        return seen[-1].state == state and seen[-1].wait.startswith(wait)

    wait_until(is_there)
    return seen[-1]


def chain(crowd: Crowd, target: PostgresqlTarget, length: int) -> list[Connection]:
    """A chain of locks: the first session sits in its transaction, each other waits for the one before it."""
    links = [crowd.join(f"link {number}") for number in range(length)]
    execute(links[0], "CREATE TABLE IF NOT EXISTS links AS SELECT i, 0 AS n FROM generate_series(0, 20) i")
    links[0].commit()
    for number, link in enumerate(links):
        execute(link, f"UPDATE links SET n = n + 1 WHERE i = {number}")
    for number, link in enumerate(links[1:], 1):
        crowd.run(link, f"UPDATE links SET n = n + 1 WHERE i = {number - 1}")
        await_state(target, link, wait="Lock: transactionid")
    return links


@pytest.fixture(scope="session")
def newest_postgresql(server_directory: ServerDirectory) -> Iterator[PostgreSQL]:
    """PostgreSQL 18, with prepared transactions, reserved slots and little room for the text of statements."""
    config = ["max_prepared_transactions = 3", "reserved_connections = 4", "track_activity_query_size = 200"]
    with PostgreSQL(server_directory, name=unique_name("pg18"), config=config, binaries=newest_tools()) as server:
        yield server


@pytest.fixture(params=["installed", "18"])
def any_server(request: pytest.FixtureRequest) -> PostgreSQL:
    """The server that is installed, and PostgreSQL 18."""
    name = "postgresql_server" if request.param == "installed" else "newest_postgresql"
    server: PostgreSQL = request.getfixturevalue(name)
    return server


@contextmanager
def database_on(server: PostgreSQL, options: str = "") -> Iterator[str]:
    """The name of an empty database, dropped at the end."""
    name = unique_name("db")
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 {options}')
    try:
        yield name
    finally:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def any_database(any_server: PostgreSQL) -> Iterator[str]:
    """An empty database on any of the servers: its name."""
    with database_on(any_server) as name:
        yield name


@pytest.fixture
def crowd(any_server: PostgreSQL, any_database: str) -> Iterator[Crowd]:
    """People in `any_database`."""
    with crowd_in(any_server.url(any_database)) as people:
        yield people


@contextmanager
def crowd_in(url: str) -> Iterator[Crowd]:
    """People who log in with `url`."""
    with ExitStack() as stack:
        people = Crowd(url)
        stack.callback(people.leave)
        yield people


def add_login(server: PostgreSQL, *grants: str) -> str:
    """A login with password x that is a member of `grants`."""
    name = unique_name("login")
    server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    for grant in grants:
        server.execute(f"GRANT {grant} TO {name}")
    return name
