"""A private MariaDB for each pytest process, a fresh database for each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dbtui.demo.servers import MariaDB, ServerDirectory
from tests.fix_servers import unique_name


@pytest.fixture(scope="session")
def mariadb_server(server_directory: ServerDirectory) -> Iterator[MariaDB]:
    """The server that tests share. A test that stops it or changes its settings takes `new_mariadb`."""
    with MariaDB(server_directory) as server:
        yield server


@pytest.fixture
def new_mariadb(server_directory: ServerDirectory) -> Iterator[Callable[..., MariaDB]]:
    """Starts a server for one test alone: `new_mariadb(options=["--max-connections=10"])`."""
    with ExitStack() as servers:

        def start(**options: object) -> MariaDB:
            server = MariaDB(server_directory, name=unique_name("maria"), **options)  # type: ignore[arg-type]
            return servers.enter_context(server)

        yield start


@pytest.fixture
def mariadb_database(mariadb_server: MariaDB) -> Iterator[str]:
    """The URL of an empty database, as the superuser; dropped after the test."""
    name = unique_name("db")
    mariadb_server.execute(f"CREATE DATABASE `{name}`")
    yield mariadb_server.url(name)
    mariadb_server.execute(f"DROP DATABASE IF EXISTS `{name}`")
