"""Servers for tests of routing: a lab that tests leave as they found it, and labs of their own for other tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from dbtui.demo.servers import PostgreSQL, ServerDirectory
from dbtui.instrument import create_engine
from tests.fix_servers import unique_name
from tests.instrument.routing_lab import Base, Item, Lab, Owner


def prepare(lab: Lab) -> None:
    """Make the application's tables."""
    engine = create_engine(lab.url(lab.primary))
    Base.metadata.create_all(engine)
    engine.dispose()


def empty(lab: Lab) -> None:
    """Ten rows of each table, on every server."""
    engine = create_engine(lab.url(lab.primary))
    with Session(engine) as session:
        session.execute(text("TRUNCATE items, owners RESTART IDENTITY"))
        session.add_all(Owner(name=f"owner {number}") for number in range(1, 11))
        session.flush()
        session.add_all(Item(number=0, owner_id=number) for number in range(1, 11))
        session.commit()
    engine.dispose()
    lab.wait_for_replay()


@pytest.fixture(scope="package")
def routing_servers(server_directory: ServerDirectory) -> Iterator[Lab]:
    """A primary whose commits are on disk when they return, and two replicas."""
    with PostgreSQL(server_directory, name=unique_name("pg"), config=["synchronous_commit = on"]) as primary:
        lab = Lab(primary, [primary.add_replica(unique_name("replica")) for _ in range(2)])
        prepare(lab)
        yield lab


@pytest.fixture
def lab(routing_servers: Lab) -> Iterator[Lab]:
    """The shared lab with fresh rows. A test that stops a server takes `new_lab`."""
    empty(routing_servers)
    with closing(routing_servers):
        yield routing_servers
    routing_servers.restore()


@pytest.fixture
def new_lab(server_directory: ServerDirectory) -> Iterator[Callable[..., Lab]]:
    """Starts a lab for one test alone: `new_lab(replicas=1)`."""
    with ExitStack() as servers:

        def start(*, replicas: int = 2, config: list[str] | None = None, **options: Any) -> Lab:
            lines = ["synchronous_commit = on"] if config is None else config
            primary = PostgreSQL(server_directory, name=unique_name("pg"), config=lines, **options)
            servers.enter_context(primary)
            lab = Lab(primary, [primary.add_replica(unique_name("replica")) for _ in range(replicas)])
            servers.enter_context(closing(lab))
            prepare(lab)
            empty(lab)
            return lab

        yield start
