"""Private PostgreSQL servers: one for each pytest process, a fresh database for each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica, ServerDirectory
from tests.fix_servers import unique_name


@pytest.fixture(scope="session")
def postgresql_server(server_directory: ServerDirectory) -> Iterator[PostgreSQL]:
    """The server that tests share. A test that stops it or changes its settings takes `new_postgresql`."""
    with PostgreSQL(server_directory) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_replica(postgresql_server: PostgreSQL) -> PostgreSQLReplica:
    """A streaming replica of `postgresql_server`, which ends it."""
    return postgresql_server.add_replica()


@pytest.fixture
def new_postgresql(server_directory: ServerDirectory) -> Iterator[Callable[..., PostgreSQL]]:
    """Starts a server for one test alone: `new_postgresql(config=["max_connections = 10"])`."""
    with ExitStack() as servers:

        def start(**options: object) -> PostgreSQL:
            server = PostgreSQL(server_directory, name=unique_name("pg"), **options)  # type: ignore[arg-type]
            return servers.enter_context(server)

        yield start


@pytest.fixture
def postgresql_database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database, as the superuser; dropped after the test."""
    name = unique_name("db")
    postgresql_server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield postgresql_server.url(name)
    postgresql_server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
