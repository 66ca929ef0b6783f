"""Profiles with a PgBouncer, consoles, and clients that hold or wait, for tests with a real one."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.pgbouncer.console import Console, open_console
from dbtui.config import parse_url
from dbtui.demo.servers import PgBouncer
from dbtui.model.connections import ConnectionProfile
from dbtui.model.pools import PoolerPool, PoolerSnapshot

ResultT = TypeVar("ResultT")


def profile_of(pooler: PgBouncer, database: str, user: str | None = None, **words: Any) -> ConnectionProfile:
    """A profile of the server behind `pooler`, with the console as `user` (`pgbouncer_stats`)."""
    console = parse_url(pooler.console_url(user))
    profile = parse_url(pooler.server.url(database), "erp")
    return replace(profile, **{"pgbouncer_url": console.url, "pgbouncer_password": console.password} | words)


@contextmanager
def console_of(pooler: PgBouncer, user: str | None = None, **words: Any) -> Iterator[Console]:
    profile = replace(parse_url(pooler.console_url(user)), connect_seconds=5, **words)
    console = open_console(profile, profile.password, Cancellation(), {})
    try:
        yield console
    finally:
        console.close()


def connect(pooler: PgBouncer, database: str, *, autocommit: bool = False, application: str = "erp-api") -> Connection:
    made = psycopg2.connect(pooler.url(database), application_name=application)
    made.autocommit = autocommit
    return made


def ask(made: Connection, sql: str = "SELECT 1") -> None:
    with made.cursor() as cursor:
        cursor.execute(sql)


def finish(routine: Generator[Any, None, ResultT]) -> ResultT:
    """Run a routine to its end."""
    try:
        while True:
            next(routine)
    except StopIteration as end:
        result: ResultT = end.value
        return result


def pool_of(snapshot: PoolerSnapshot, database: str) -> PoolerPool:
    return next(pool for pool in snapshot.pools if pool.database == database)
