"""Targets, dumps and routines driven to their end, for the tests of the PostgreSQL adapter."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.dump import dump
from dbtui.adapters.postgresql.facts import collect_dump_facts
from dbtui.demo.servers import PostgreSQL
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, DumpOptions, DumpRequest, DumpResult
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.events import CommandRan, Event, Routine
from tests.fix_servers import unique_name

ResultT = TypeVar("ResultT")


def profile_of(url: str, *, read_only: bool = False, database: str = "") -> ConnectionProfile:
    """A profile with a name that is not its database's."""
    return ConnectionProfile(
        name="under test", engine=EngineName.POSTGRESQL, url=url, read_only=read_only, database=database
    )


@contextmanager
def opened(
    url: str,
    *,
    read_only: bool = False,
    password: str | None = None,
    cancellation: Cancellation | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[PostgresqlTarget]:
    """A target, closed at the end."""
    target = PostgresqlTarget(
        profile_of(url, read_only=read_only),
        None if password is None else Secret(password),
        cancellation or Cancellation(),
        os.environ if environ is None else environ,
    )
    try:
        yield target
    finally:
        target.close()


def drive(routine: Routine[ResultT], on_event: Callable[[Event], None] = lambda _event: None) -> ResultT:
    """Run a routine to its end, as jobs do: it is closed however it ends."""
    try:
        while True:
            try:
                on_event(next(routine))
            except StopIteration as end:
                result: ResultT = end.value
                return result
    finally:
        routine.close()


def commands_of(routine: Routine[ResultT]) -> tuple[ResultT, list[str]]:
    """Run a routine; return its result and the commands and SQL it said it ran."""
    ran: list[str] = []
    result = drive(routine, lambda event: ran.append(event.text) if isinstance(event, CommandRan) else None)
    return result, ran


def options_of(text: str = "plain", **fields: object) -> DumpOptions:
    """Options from `format`, `format:kind` or `format:kind:level`."""
    name, _, packing = text.partition(":")
    kind, _, level = packing.partition(":")
    compression = Compression(CompressionKind(kind or "none"), int(level) if level else None)
    return DumpOptions(format=BackupFormat(name), compression=compression, **fields)  # type: ignore[arg-type]


def make_dump(
    target: PostgresqlTarget,
    path: Path,
    options: DumpOptions,
    on_event: Callable[[Event], None] = lambda _event: None,
) -> DumpResult:
    """Dump what the target is connected to."""
    if options.format is BackupFormat.DIRECTORY:
        path.mkdir(mode=0o700)
    request = DumpRequest(partial_path=str(path), options=options, facts=collect_dump_facts(target, options))
    return drive(dump(target, request), on_event)


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition; fail when it does not come to pass."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@contextmanager
def large_database(server: PostgreSQL) -> Iterator[str]:
    """A database whose dump takes some seconds when it is compressed."""
    name = unique_name("large")
    server.execute(f'CREATE DATABASE "{name}"')
    for table in ("one", "two", "three"):
        server.execute(
            f"CREATE TABLE {table} AS SELECT i, md5(i::text) || md5((i*7)::text) AS t FROM generate_series(1,300000) i",
            database=name,
        )
    yield name
    server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
