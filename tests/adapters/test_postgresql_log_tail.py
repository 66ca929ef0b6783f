"""PostgreSQL's log, read over the connection while it is written: rotated, emptied, removed, behind a pooler."""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbtui.adapters.adapter import StatementTail
from dbtui.adapters.postgresql import log_tail
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.top_queries import QUERIES
from dbtui.demo.servers import PgBouncer, PostgreSQL, ServerDirectory
from dbtui.model.captures import CaptureWish
from tests.adapters.postgresql_targets import opened
from tests.adapters.test_postgresql_capture import journal_of, plan
from tests.fix_servers import unique_name, wait_until


@pytest.fixture(scope="module")
def server(server_directory: ServerDirectory) -> Iterator[PostgreSQL]:
    """A server that logs into a directory of its own, in small files whose names come again."""
    name = unique_name("pg")
    made = PostgreSQL(server_directory, name=name)
    logs = made.home / "logs"
    logs.mkdir(mode=0o700)
    if made.account:
        os.chown(logs, made.account.uid, made.account.gid)
    made.config = (
        "logging_collector = on",
        f"log_directory = '{logs}'",
        "log_filename = 'p-%M%S.log'",
        "log_rotation_size = '100kB'",
        "log_truncate_on_rotation = on",
    )
    with made:
        yield made


@contextmanager
def tailing(server: PostgreSQL, url: str = "") -> Iterator[tuple[PostgresqlTarget, StatementTail]]:
    """Everything is logged and read while the block runs."""
    with opened(url or server.url()) as target:
        made = plan(target)
        assert not made.refusal
        with QUERIES.open_tail(target, made) as tail, QUERIES.open_switch(target, journal_of(made)) as switch:
            switch.apply()
            yield target, tail
            assert switch.revert() == ()


def log_of(server: PostgreSQL) -> Path:
    (path,) = server.execute("SELECT pg_current_logfile('jsonlog')")[0]
    return Path(path)


def numbers_in(tail: StatementTail, until: int) -> list[int]:
    """The numbers that were selected, in the order in which they are read, until one has come."""
    seen: list[int] = []

    def read() -> bool:
        for event in tail.read()[0]:
            seen.extend(int(found) for found in re.findall(r"^SELECT (\d+) AS number$", event.sql))
        return until in seen

    wait_until(read, 30)
    return seen


def test_many_rotations_lose_nothing(server: PostgreSQL) -> None:
    import psycopg2

    with tailing(server) as (_target, tail):
        server.execute("SELECT 0 AS number")
        assert numbers_in(tail, 0) == [0]
        connection = psycopg2.connect(server.url())
        connection.autocommit = True
        seen: list[int] = []
        with connection.cursor() as cursor:
            for number in range(1, 6001):
                cursor.execute(f"SELECT {number} AS number")
                if number % 500 == 0:
                    seen += numbers_in(tail, number)
        connection.close()
    assert len(seen) == 6000 and all(after == before + 1 for before, after in itertools.pairwise(seen))


def test_a_file_that_somebody_empties_is_read_on_and_told(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_tail, "_LOOK_SECONDS", 0.0)
    with tailing(server) as (_target, tail):
        server.execute("SELECT 1 AS number")
        assert numbers_in(tail, 1) == [1]
        os.truncate(log_of(server), 0)
        tail.read()
        server.execute("SELECT 2 AS number")
        assert numbers_in(tail, 2) == [2]
        assert any("was emptied while it was read" in warning for warning in tail.report().warnings)


def test_what_was_written_before_it_was_switched_off_is_read(server: PostgreSQL) -> None:
    """Also when the server has gone on to another file since the last look."""
    with opened(server.url()) as target:
        made = plan(target)
        with QUERIES.open_tail(target, made) as tail, QUERIES.open_switch(target, journal_of(made)) as switch:
            switch.apply()
            server.execute("SELECT 1 AS number")
            numbers_in(tail, 1)
            before = log_of(server)
            server.execute("SELECT 2 AS number")
            wait_until(lambda: bool(server.execute("SELECT pg_rotate_logfile()")) and log_of(server) != before)
            server.execute("SELECT 3 AS number")
            switch.revert()
            wait_until(lambda: server.execute("SELECT pg_current_logfile('jsonlog')") == [(None,)])
            texts = [event.sql for event in tail.finish()]
    assert [text for text in texts if "AS number" in text] == ["SELECT 2 AS number", "SELECT 3 AS number"]


def test_a_file_that_somebody_removes_is_told(server: PostgreSQL) -> None:
    with tailing(server) as (_target, tail):
        server.execute("SELECT 1 AS number")
        assert numbers_in(tail, 1) == [1]
        log_of(server).unlink()
        tail.read()
        server.execute("SELECT pg_rotate_logfile()")
        wait_until(lambda: log_of(server).exists())
        server.execute("SELECT 3 AS number")
        assert numbers_in(tail, 3) == [3]
        assert any("was removed while it was read" in warning for warning in tail.report().warnings)


def test_behind_a_pooler_it_goes_past_it(server: PostgreSQL) -> None:
    with PgBouncer(server, name=unique_name("bouncer")) as pooler:
        url = f"{pooler.url('postgres')}"
        with tailing(server, url) as (target, tail):
            assert target.is_pooled
            server.execute("SELECT 4 AS number")
            assert numbers_in(tail, 4) == [4]


def test_text_in_other_encodings_is_read(server: PostgreSQL) -> None:
    server.execute("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    with tailing(server) as (_target, tail):
        server.execute("SELECT 'é€'")
        server.execute("SELECT 'é'", database="old")
        server.execute("SELECT 5 AS number")
        assert numbers_in(tail, 5) == [5]
        assert tail.report().unreadable == 0


def test_a_sample_of_everything_is_everything(server: PostgreSQL) -> None:
    with opened(server.url()) as target:
        names = {change.name for change in plan(target, CaptureWish(sample_rate=1.0)).changes}
    assert "log_min_duration_statement" in names
