"""Dumps of a real PostgreSQL that fail, are cancelled or ended from outside: what they say, and what is left."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.tools import Tool
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import Cancelled, DbtuiError, ToolError
from dbtui.model.events import CommandRan, Event, Progressed
from tests.adapters.postgresql_targets import large_database, make_dump, opened, options_of, wait_until
from tests.cli.disks import on_small_disk
from tests.fix_servers import unique_name


@pytest.fixture(scope="module")
def large(postgresql_server: PostgreSQL) -> Iterator[str]:
    with large_database(postgresql_server) as name:
        yield name


def our_sessions(server: PostgreSQL, database: str) -> int:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'dbtui'"
    count: int = server.execute(asked, [database])[0][0]
    return count


def running_dumps() -> list[psutil.Process]:
    """The pg_dump processes that this process started and that still run."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "pg_dump" and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


@pytest.mark.parametrize("form", ["plain", "plain:gzip", "custom:gzip", "directory:gzip"])
@pytest.mark.parametrize("at", ["first event", "running"])
def test_cancel_leaves_no_child_and_no_query(
    postgresql_server: PostgreSQL, large: str, tmp_path: Path, form: str, at: str
) -> None:
    cancellation = Cancellation()

    def watch(event: Event) -> None:
        if at == "first event" or isinstance(event, CommandRan | Progressed):
            cancellation.request("test")

    with opened(postgresql_server.url(large), cancellation=cancellation) as target:
        began = time.monotonic()
        with pytest.raises(Cancelled):
            make_dump(target, tmp_path / "d", options_of(form, jobs=2 if "directory" in form else 1), watch)
        assert time.monotonic() - began < 12
    assert not running_dumps()
    wait_until(lambda: our_sessions(postgresql_server, large) == 0)


def test_a_tool_that_dies_is_an_error_and_its_workers_die_too(
    postgresql_server: PostgreSQL, large: str, tmp_path: Path
) -> None:
    def end_leader(event: Event) -> None:
        if isinstance(event, Progressed):
            for leader in running_dumps():
                leader.kill()

    with (
        opened(postgresql_server.url(large)) as target,
        pytest.raises(ToolError, match="was ended by SIGKILL"),
    ):
        make_dump(target, tmp_path / "d", options_of("directory:gzip:9", jobs=2), end_leader)
    ours = str(tmp_path)
    wait_until(
        lambda: not any(ours in " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    )
    wait_until(lambda: our_sessions(postgresql_server, large) == 0)


def test_no_secret_is_in_any_command_line(postgresql_server: PostgreSQL, large: str, tmp_path: Path) -> None:
    seen: set[str] = set()

    def look(_event: Event) -> None:
        for each in running_dumps():
            with contextlib.suppress(psutil.NoSuchProcess):
                seen.add(" ".join([*each.cmdline(), *each.environ().values()]))

    with opened(postgresql_server.url(large)) as target:
        make_dump(target, tmp_path / "d", options_of("plain:gzip:1"), look)
    assert any("pg_dump" in text for text in seen)
    assert not any(postgresql_server.password in text for text in seen)


DUMPING = """
import sys
from pathlib import Path
from dbtui.errors import StorageError
from tests.adapters.postgresql_targets import make_dump, opened, options_of
with opened(sys.argv[1]) as target:
    try:
        make_dump(target, Path(sys.argv[2]), options_of(sys.argv[3]))
    except StorageError as error:
        print(error)
"""


@pytest.mark.parametrize("form", ["plain", "plain:zstd", "custom", "custom:zstd", "directory"])
def test_a_full_disk_is_a_storage_error(postgresql_server: PostgreSQL, large: str, tmp_path: Path, form: str) -> None:
    words = [sys.executable, "-c", DUMPING, postgresql_server.url(large), str(tmp_path / "dump"), form]
    done = subprocess.run(
        [*on_small_disk(tmp_path, "8m"), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DBTUI_PG_BIN": str(postgresql_server.binaries)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(f"the disk that holds {tmp_path / 'dump'} is "), done.stderr
    assert "full" in done.stdout.splitlines()[0]
    wait_until(lambda: our_sessions(postgresql_server, large) == 0)


def test_a_tool_that_leaves_the_end_out_is_noticed(
    postgresql_server: PostgreSQL, postgresql_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit code of 0 is not enough."""
    with opened(postgresql_database) as target:
        real = target.find_tool("pg_dump")
        liar = tmp_path / "pg_dump"
        liar.write_text(f'#!/bin/sh\n"{real.path}" "$@" | head -c 300\nexit 0\n')
        liar.chmod(0o755)
        lying = Tool("pg_dump", str(liar), real.version, real.version_number)
        monkeypatch.setattr(target, "find_tool", lambda _name: lying)
        for form in ("plain", "plain:zstd"):
            with pytest.raises(ToolError, match="is not complete: its last line is missing"):
                make_dump(target, tmp_path / form, options_of(form))


def test_a_refused_table_is_told_as_pg_dump_tells_it(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    name, login = unique_name("db"), unique_name("poor")
    postgresql_server.execute(f'CREATE DATABASE "{name}"')
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    try:
        postgresql_server.execute("CREATE TABLE secret ()", database=name)
        with (
            opened(postgresql_server.url(name, login, "x")) as target,
            pytest.raises(DbtuiError, match="permission denied for table secret"),
        ):
            make_dump(target, tmp_path / "d", options_of())
    finally:
        postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_cancel_at_any_moment(postgresql_server: PostgreSQL, large: str, tmp_path: Path) -> None:
    chance = random.Random(20261122)
    ended_early = 0
    for number in range(20):
        form = chance.choice(["plain", "plain:zstd", "directory", "custom"])
        cancellation = Cancellation()
        timer = threading.Timer(chance.uniform(0.0, 0.5), cancellation.request)
        timer.start()
        try:
            with opened(postgresql_server.url(large), cancellation=cancellation) as target:
                make_dump(target, tmp_path / str(number), options_of(form, jobs=2 if form == "directory" else 1))
        except Cancelled:
            ended_early += 1
        finally:
            timer.cancel()
            timer.join()
        assert not running_dumps()
    assert ended_early >= 5
    wait_until(lambda: our_sessions(postgresql_server, large) == 0)
