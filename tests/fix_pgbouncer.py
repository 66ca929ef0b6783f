"""A private PgBouncer, transaction pooling, in front of the shared PostgreSQL."""

from collections.abc import Iterator

import pytest

from dbtui.demo.servers import PgBouncer, PostgreSQL


@pytest.fixture(scope="session")
def pgbouncer(postgresql_server: PostgreSQL) -> Iterator[PgBouncer]:
    """Every database of `postgresql_server` through the pooler: `pgbouncer.url(name)`."""
    with PgBouncer(postgresql_server) as pooler:
        yield pooler


@pytest.fixture
def pgbouncer_database(postgresql_server: PostgreSQL, pgbouncer: PgBouncer, postgresql_database: str) -> str:
    """The URL of an empty database of the shared server, through the pooler."""
    return pgbouncer.url(postgresql_database.rpartition("/")[2])
